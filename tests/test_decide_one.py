"""`decide_one` and `decide` are one rule: identical bytes for every built-in kind, whoever is asked first."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from abm.check import Trial, members, one_by_one, order_finding, run_trial
from abm.check_worlds import Subject, all_kinds, subject_of
from abm.model import MarketModel
from abm.rng import stream
from abm.traders.base import Participant
from abm.traders.handle import Luck

TRADERS = Path(__file__).resolve().parent.parent / "abm" / "traders"


@cache
def subject(kind: str) -> Subject:
    return subject_of(kind)


@cache
def first(kind: str) -> Trial:
    return run_trial(subject(kind))


def asks(cls: type[Participant]) -> bool:
    """Whether the kind sends orders at all (some act at reviews only)."""
    return cls.decide is not Participant.decide or cls.decide_one is not Participant.decide_one


@pytest.mark.parametrize("kind", all_kinds())
def test_one_by_one_and_by_arrays_give_the_same_bytes(kind: str) -> None:
    cls = subject(kind).cls
    assert members(MarketModel(subject(kind).scenario), cls), "the kind is not in its own world"
    if not asks(cls):
        assert first(kind).events > 0 or first(kind).figure_changes
        return
    assert cls.decide_one is not Participant.decide_one, f"{cls.__name__} has no decide_one"
    assert first(kind).sent > 0, "it asks for nothing, so this shows nothing"
    with one_by_one([cls]):
        looped = run_trial(subject(kind))
    assert looped.sent == first(kind).sent
    assert looped.digest == first(kind).digest


@pytest.mark.parametrize("kind", all_kinds())
def test_nobody_depends_on_who_was_asked_before(kind: str) -> None:
    found = order_finding(subject(kind), first(kind))
    assert found.ok, found.seen


def test_all_kinds_at_once_one_by_one() -> None:
    """Not only one kind beside others that decide by arrays."""
    with one_by_one():
        looped = run_trial(subject("bridges"))
    assert looped.digest == first("bridges").digest


def test_every_class_of_the_package_is_covered() -> None:
    """A participant in `abm/traders` that sends orders is checked above, or made of one that is."""
    covered = {subject(kind).cls for kind in all_kinds()}
    found = set()
    for cls in _below(Participant):
        if cls.__module__.startswith("abm.traders.") and asks(cls):
            found.add(cls)
    # To be made of; a handle on one trader of a cohort; needs a dated future, so it is asked in test_arbitrageurs.
    handles = {"Trader", "RetailTrader", "CashAndCarry"}
    missing = {cls.__name__ for cls in found if not any(issubclass(one, cls) for one in covered)} - handles
    assert not missing


def _below(top: type[Participant]) -> set[type[Participant]]:
    return {one for cls in top.__subclasses__() for one in (cls, *_below(cls))}


def test_luck_is_keyed() -> None:
    key = stream("somebody")
    a, b = Luck(1, key, 3, 10, 0), Luck(1, key, 3, 10, 0)
    drawn = [a.uniform() for _ in range(3)]
    assert drawn == [b.uniform() for _ in range(3)] and len(set(drawn)) == 3
    others = [Luck(2, key, 3, 10, 0), Luck(1, key, 4, 10, 0), Luck(1, key, 3, 11, 0), Luck(1, key, 3, 10, 1)]
    assert all(one.uniform() != drawn[0] for one in others)


def test_luck_has_the_stated_laws() -> None:
    """Moments of each law within four standard errors; 4,000 accounts with three draws each."""
    n = 4_000
    lucks = [Luck(5, stream("laws"), number, 1, 0) for number in range(n)]
    uniform = np.array([one.uniform(2.0, 4.0) for one in lucks])
    normal = np.array([one.normal(1.0, 2.0) for one in lucks])
    waits = np.array([one.exponential(3.0) for one in lucks])
    whole = np.array([one.integer(-2, 2) for one in lucks])
    for drawn, mean, sd in ((uniform, 3.0, 2 / 12**0.5), (normal, 1.0, 2.0), (waits, 3.0, 3.0), (whole, -0.5, 1.118)):
        assert abs(drawn.mean() - mean) < 4 * sd / n**0.5
        assert abs(drawn.std() - sd) < 0.15 * sd
    assert set(whole) == {-2, -1, 0, 1}
    assert abs(np.mean([one.chance(0.2) for one in lucks]) - 0.2) < 4 * (0.16 / n) ** 0.5
