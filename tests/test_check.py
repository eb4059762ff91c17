"""`deleverage check`: a sound trader passes, and every mistake it is there for is found and named."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from abm.check import check
from abm.check_worlds import all_kinds
from abm.cli import _run
from abm.settings import SettingsError
from abm.traders import kinds

SHORT = ["scenario.duration_s=25"]
FAULTY = {
    "GlobalLuck": {"determinism", "luck"},
    "TwoMinds": {"agreement"},
    "Sharing": {"order"},
    "Minting": {"accounting"},
    "Pocketing": {"accounting"},
    "Greedy": {"refusals"},
    "Raising": {"runs"},
    "Idle": {"acts"},
    "Bare": {"parameters"},
}


@pytest.fixture(autouse=True)
def _permitted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Only the classes of this test, only during it."""
    names = [*FAULTY, "DipBuyer", "Vectorised", "NoParticipant", "Nobody"]
    monkeypatch.setattr(kinds, "_permitted", {f"tests.own_trader:{name}" for name in names})
    yield


@pytest.mark.parametrize("name", ["DipBuyer", "Vectorised"])
def test_a_sound_trader_passes(name: str) -> None:
    found = check(f"tests.own_trader:{name}", SHORT)
    assert all(one.ok for one in found), [one for one in found if not one.ok]
    assert len({one.check for one in found}) == 10


@pytest.mark.full
@pytest.mark.parametrize("kind", all_kinds())
def test_every_kind_of_the_package_passes(kind: str) -> None:
    found = check(kind)
    assert all(one.ok for one in found), [one for one in found if not one.ok]


@pytest.mark.parametrize("name", FAULTY)
def test_every_mistake_is_found(name: str) -> None:
    failed = {one.check for one in check(f"tests.own_trader:{name}", SHORT) if not one.ok}
    assert failed == FAULTY[name]


def test_what_an_exception_tells() -> None:
    found = check("tests.own_trader:Raising")[-1]
    assert found.seen == "ZeroDivisionError: float division by zero"
    assert found.advice.startswith("raised in own_trader.py, line")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("treasurry", 'did you mean "treasur'),
        ("tests.own_trader:NoParticipant", "no Participant"),
        ("tests.own_trader:Nobody", "cannot be loaded"),
        ("tests.own_trader:Buyer", "--allow-code"),
    ],
)
def test_what_is_no_kind(kind: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        check(kind)


def test_settings_reach_the_kind_and_its_world() -> None:
    settings = ["accounts=7", "scenario.duration_s=20"]
    seen = {one.check: one.seen for one in check("tests.own_trader:DipBuyer", settings)}
    assert "7 rows in 20 ticks" in seen["acts"]
    with pytest.raises(SettingsError, match="did you mean"):
        check("tests.own_trader:DipBuyer", ["dipp=0.1"])
    with pytest.raises(SettingsError, match="FIELD=value"):
        check("tests.own_trader:DipBuyer", ["dip"])


def test_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["check", "pool"]) == 0
    assert "every check passed" in capsys.readouterr().out
    assert _run(["check", "tests.own_trader:Idle"]) == 3
    out = capsys.readouterr()
    assert "acts         FAIL" in out.out and "Idle" in out.err
    assert _run(["check", "nonsense"]) == 2
    assert _run(["check"]) == 2
    assert _run(["check", "pool", "--all"]) == 2
    assert _run(["check", "--all", "--set", "a=1"]) == 2
