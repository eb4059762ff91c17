"""`perp-premium`: the control chart and the forecast by hand, orders in the book, shapes, options and picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abm.experiment import load_experiment
from abm.settings import SettingsError
from abm.state import BUY, SELL
from experiments._premium_market import COHORT, FIRST, PremiumMarket, Setting, mean_return
from experiments._premium_published import PUBLISHED
from experiments.perp_premium import D2, Options, control, draw, run, text

TINY = {"biases": [0.05, 0.5], "lives": [2.0, 12.0], "spreads": [0.05, 0.5], "seeds": 16, "blind": [0.0, 1.0],
        "own_seeds": 8}  # fmt: skip


def silent(words: str) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """A tiny run."""
    found: dict[str, Any] = run(Options.model_validate(TINY), silent)
    return found


def market(count: int, life: int = 4, named: bool = False, carry: bool = False, steps: int = 400) -> PremiumMarket:
    """Replicas at the usual values."""
    full = np.ones(count)
    flags = np.full(count, True)
    return PremiumMarket(
        Setting(
            0.5 * full, np.full(count, life), 0.5 * full, np.full(count, 5), 0.0 * full, flags & carry, flags & named,
            np.arange(count), 1, steps,
        )
    )  # fmt: skip


def test_control_chart_by_hand() -> None:
    series = np.array([[1.0], [3.0], [2.0], [2.0], [12.0]])
    reach = 3 * (2 + 1 + 0 + 10) / 4 / D2
    assert control(series)[:, 0].tolist() == pytest.approx([4.0, 4.0 - reach, 4.0 + reach, 0.0])
    assert control(np.array([[0.0]] * 99 + [[9.0]]))[3, 0] == 1


def test_trend_counts_one_return_more_than_it_divides_by() -> None:
    """As the author's program has it."""
    series = np.array([[100.0, 100.0], [110.0, 100.0], [121.0, 100.0], [121.0, 110.0]])
    assert mean_return(series, np.array([1, 2])).tolist() == pytest.approx([0.1, 0.05])


def test_orders_live_as_long_as_they_should_and_lots_are_conserved() -> None:
    """What rests is not older than its life; what the list of live orders says is what the book holds."""
    for named in (False, True):
        one = market(6, life=3, named=named).run()
        books, last = one.floor.books, 399
        live = one.handle != -1
        for place in range(6):
            held = np.concatenate([books.resting(place, side)[4] for side in (BUY, SELL)])
            assert sorted(held.tolist()) == sorted(one.handle[place][live[place]].tolist())
            born = np.repeat(one.born[place], COHORT)[live[place].ravel()]
            assert (born > last - 3).all()
        assert one.trades > 100 and one.floor.tally().refused == 0


def test_removing_by_name_thins_the_book() -> None:
    """With what is hit its siblings go: fewer orders, larger moves."""
    right, named = (market(30, life=8, named=flag, steps=700).run() for flag in (False, True))
    moves = [np.abs(np.diff(np.log(one.perp[FIRST:]), axis=0)).mean() for one in (right, named)]
    assert 1.01 < moves[1] / moves[0] < 1.2


def test_checks_hold(results: dict[str, Any]) -> None:
    assert all(row["inside"] for row in results["checks"]), text(results)
    assert sum(row["published"] is not None for row in results["checks"]) > 30


def test_a_wrong_market_is_noticed(results: dict[str, Any]) -> None:
    """The life of orders tells by its points outside: those published for 2 and 12 are far from one another's."""
    rows = [row for row in results["rows"] if row["sweep"] == "life"]
    outside = next(row for row in results["checks"] if row["what"] == "life 2: outside")
    assert abs(rows[1]["ours"][3] - PUBLISHED["life"][2.0][3]) > 5 * outside["tolerance"]


def test_acting_on_the_premium_holds_it(results: dict[str, Any]) -> None:
    found = {(row["blind"], row["carry"]): row["rms"] for row in results["own"]}
    assert found[1.0, False] > 3 * found[1.0, True] > 3 * found[0.0, True]


def test_same_seed_same_results() -> None:
    small = TINY | {"biases": [0.5], "lives": [], "spreads": [], "seeds": 8, "blind": [], "steps": 400}
    one, two, other = (run(Options.model_validate(small | {"seed": seed}), silent) for seed in (1, 1, 2))
    assert json.dumps(one) == json.dumps(two) != json.dumps(other)


@pytest.mark.parametrize("setting", ["biases=[0.5,0.1]", "blind=[2]", "lives=[2.5]", "seeds=1", "steps=10"])
def test_bad_options_are_refused(setting: str) -> None:
    with pytest.raises(SettingsError):
        load_experiment("perp-premium", [setting])


def test_picture_is_written(results: dict[str, Any], tmp_path: Path) -> None:
    assert draw(results, tmp_path / "premium.png").stat().st_size > 30_000


@pytest.mark.full
def test_acceptance_at_full_size() -> None:
    found = run(Options(), silent)
    assert all(row["inside"] for row in found["checks"]), text(found)
