"""How the project compiles: one decorator for kernels, one for the scalar helpers that they may call.

The compile cache lives in a folder named by the hash of every source that can end up in a kernel (`*_kernel.py`,
`units.py`, `rng.py`, `state.py`, `events.py`, `compiled.py`). Numba looks at the date of one file only, so a cached
caller would otherwise keep an edited helper's old code.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import config as numba_config

F = TypeVar("F", bound=Callable[..., Any])

PACKAGE = Path(__file__).resolve().parent
GROUND_FLOOR = ("compiled.py", "events.py", "rng.py", "state.py", "units.py")


@cache
def kernel_hash() -> str:
    """Hash (16 hex digits) of all sources that are compiled."""
    digest = hashlib.sha256()
    for path in sorted([*PACKAGE.rglob("*_kernel.py"), *(PACKAGE / name for name in GROUND_FLOOR)]):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Where compiled kernels are kept: `$DELEVERAGE_CACHE`, else `$XDG_CACHE_HOME`, else `~/.cache`."""
    base = os.environ.get("DELEVERAGE_CACHE") or os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "deleverage" / kernel_hash()


def _compiled(function: F, **options: Any) -> F:
    """Compile lazily with the project's cache folder, leaving other packages' Numba settings alone."""
    before = numba_config.CACHE_DIR
    numba_config.CACHE_DIR = str(cache_folder())
    try:
        result: F = numba.njit(function, cache=True, nogil=True, boundscheck=True, **options)
    finally:
        numba_config.CACHE_DIR = before
    return result


def kernel(function: F) -> F:
    """A compiled phase: plain arrays in and out, releases the GIL, bounds-checked."""
    return _compiled(function)


def scalar(function: F) -> F:
    """A compiled helper on numbers only, inlined by the compiler into kernels.

    Not on arrays: a helper that is handed arrays counts references to them in every call, inlined or not. With the list
    operations of `abm.clearing.margin_kernel.rebucket` in such helpers it took 1.8 times as long.
    """
    return _compiled(function)
