"""What all tests share: hypothesis profiles and a compile cache of the test run's own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# No deadlines: the first example of a test may compile a kernel.
SLOW_START = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("default", SLOW_START, max_examples=100, derandomize=True, database=None)
settings.register_profile("full", SLOW_START, max_examples=500, print_blob=True)

CACHE = "DELEVERAGE_CACHE"
OWN_CACHE = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Choose the profile; make the compile cache, which parallel workers inherit from the first process."""
    marks = config.getoption("markexpr", default="") or ""
    full = "full" in marks.replace("not full", "")
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "full" if full else "default"))
    if CACHE not in os.environ:
        os.environ[CACHE] = tempfile.mkdtemp(prefix="deleverage-cache-")
        config.stash[OWN_CACHE] = os.environ[CACHE]


@pytest.fixture(autouse=True)
def no_outside_code() -> Iterator[None]:
    """A test that allows code from outside allows it for itself only."""
    from abm import outside

    before = dict(outside._state)
    yield
    outside._state.update(before)


def pytest_unconfigure(config: pytest.Config) -> None:
    if OWN_CACHE in config.stash:
        shutil.rmtree(config.stash[OWN_CACHE], ignore_errors=True)
        os.environ.pop(CACHE, None)
