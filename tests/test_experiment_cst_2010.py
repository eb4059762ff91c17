"""`cst-2010`: exact solvers against the paper and against each other, the real book against the exact solvers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abm.experiment import Experiment, load_experiment
from abm.settings import SettingsError
from experiments._birth_death import BestQueues, next_move_up, solve
from experiments._cst_depth import AllRates, WholeBooks, moves_table
from experiments._cst_races import Races
from experiments._shelf import Shelf
from experiments.cst_2010 import TABLE_3, TABLE_4, Options, next_move, scores

PAPER = BestQueues(1.85, 0.94, 0.71)
BUSY = BestQueues(3.0, 0.5, 1.1)
"""A set of our own: queues that are long and mostly cancelled."""


def brute_force(rates: BestQueues, size: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """P(ask queue empties first) on all of the square, dense and without any symmetry, (5, 5)."""
    births, deaths = np.where(np.arange(size + 1) < size, rates.limit, 0.0), rates.deaths(size)
    number = np.arange(size * size).reshape(size, size)
    system, right = np.zeros((size * size, size * size)), np.zeros(size * size)
    for b in range(1, size + 1):
        for a in range(1, size + 1):
            row = number[b - 1, a - 1]
            system[row, row] = births[b] + births[a] + deaths[b] + deaths[a]
            for to, rate in (((b + 1, a), births[b]), ((b - 1, a), deaths[b]), ((b, a + 1), births[a])):
                if rate and to[0]:
                    system[row, number[to[0] - 1, to[1] - 1]] -= rate
            if a > 1:
                system[row, number[b - 1, a - 2]] -= deaths[a]
            else:
                right[row] = deaths[a]
    return np.linalg.solve(system, right).reshape(size, size)[:5, :5]


def test_solver_against_the_printed_tables() -> None:
    exact = solve(PAPER, 5)
    assert exact.change < 1e-9
    assert np.abs(exact.prob_up - TABLE_3).max() < 1e-3
    assert np.abs(exact.prob_up + exact.prob_up.T - 1.0).max() < 1e-14
    # Table 4 as printed is one minus the formula of the text with the queues exchanged, and not that formula itself.
    assert np.abs(1.0 - exact.prob_fill.T - TABLE_4).max() < 6e-4
    assert np.abs(exact.prob_fill - TABLE_4).max() > 0.1
    assert np.allclose(exact.prob_make, exact.prob_make.T, rtol=0, atol=1e-14)


@pytest.mark.parametrize("rates", [PAPER, BUSY, BestQueues(0.4, 1.0, 0.0)])
def test_next_move_without_the_symmetry(rates: BestQueues) -> None:
    assert np.abs(brute_force(rates, 24) - next_move_up(rates, 5, 24)).max() < 1e-10


def test_solver_where_a_formula_is_known() -> None:
    # Without limit orders and cancels the next move is a race of Poisson counts, and a fill one of two exponentials.
    pure = solve(BestQueues(0.0, 2.0, 0.0), 3)
    assert pure.prob_up[0, :3] == pytest.approx([1 / 2, 1 / 4, 1 / 8], abs=1e-12)
    assert pure.prob_fill[0, :3] == pytest.approx([1 / 2, 3 / 4, 7 / 8], abs=1e-12)
    assert np.abs(pure.prob_make).max() == 0.0, "nothing comes behind the first order: the mid moves with its fill"
    # Only cancels besides: P(mu before a death rate of mu + theta).
    assert solve(BestQueues(0.0, 1.0, 3.0), 1).prob_fill[0, 0] == pytest.approx(1 / 5, abs=1e-12)


@pytest.mark.parametrize(
    "rates",
    [
        BestQueues(1.85, 0.94, 0.0),
        BestQueues(200.0, 1.0, 0.7),
        pytest.param(BestQueues(1.0, 1.0, 0.0), marks=pytest.mark.full),  # needs the longest queues
    ],
)
def test_solver_where_queues_hardly_ever_empty(rates: BestQueues) -> None:
    exact = solve(rates, 4)
    assert exact.change < 1e-6
    for table in (exact.prob_up, exact.prob_fill, exact.prob_make):
        assert ((table >= 0) & (table <= 1)).all()
    assert (np.diff(exact.prob_up, axis=0) > 0).all() and (np.diff(exact.prob_up, axis=1) < 0).all()


@pytest.mark.parametrize("rates", [PAPER, BUSY, BestQueues(1.85, 0.94, 0.0)], ids=["paper", "busy", "no cancels"])
def test_the_book_against_exact(rates: BestQueues) -> None:
    exact, races = solve(rates, 3), 250
    for kind, table in (("up", exact.prob_up), ("fill", exact.prob_fill), ("make", exact.prob_make)):
        won = Races(kind, rates, 3, exact.size, 48, 5).run(races)
        z = (won.share - table) / np.sqrt(table * (1.0 - table) / races)
        assert np.abs(z).max() < 4.0, (kind, z.round(2))
        assert won.fills > 0 and won.messages > 2 * 9 * races


def test_a_wrong_rate_is_found() -> None:
    exact, races = solve(PAPER, 2), 2_000
    wrong = Races("fill", BestQueues(1.85, 0.94, 0.40), 2, exact.size, 96, 5).run(races)
    z = (wrong.share - exact.prob_fill) / np.sqrt(exact.prob_fill * (1.0 - exact.prob_fill) / races)
    assert np.abs(z).max() > 6.0


def test_whole_book_moves_by_the_one_step_rule() -> None:
    rates = AllRates(np.array([1.85, 1.51, 1.09]), np.array([0.71, 0.81, 0.68, 0.0]), 0.94)
    assert rates.prob_longer(1, 1) == pytest.approx(0.5286, abs=5e-5)
    assert rates.prob_longer(1, 5) == pytest.approx(0.2918, abs=5e-5)
    assert rates.prob_longer(2, 3) == pytest.approx(0.3832, abs=5e-5)
    books = WholeBooks(rates, 32, 3, 3, 3)
    books.run(20_000)
    share, seen = moves_table(books)
    exact = np.array([[rates.prob_longer(i, n) for n in (1, 2, 3)] for i in (1, 2, 3)])
    assert seen.sum() > 5_000 and seen.min() > 50
    assert np.abs((share - exact) / np.sqrt(exact * (1 - exact) / seen)).max() < 4.0
    mean, error = books.profile()
    assert mean.shape == error.shape == (3,) and (mean > 0).all()


def test_the_shelf_keeps_its_orders_apart() -> None:
    shelf = Shelf(1, places=2)
    queue = np.zeros(5, np.int64)
    orders = shelf.add(queue, np.arange(5), np.arange(5))
    assert np.unique(orders).size == 5 and shelf.count.tolist() == [5, 0]
    shelf.remove(orders[1:2])
    shares = (np.arange(40) + 0.5) / 40
    left = [int(shelf.pick(queue[:1], np.array([share]))[0]) for share in shares]
    assert {order: left.count(order) for order in set(left)} == dict.fromkeys(np.delete(orders, 1).tolist(), 10)
    spared = {int(shelf.pick(queue[:1], np.array([share]), orders[2:3])[0]) for share in shares}
    assert spared == {int(orders[0]), int(orders[3]), int(orders[4])}


def test_rates_beyond_the_lists() -> None:
    paper = Options().rates()
    assert paper.limit[5] == pytest.approx(1.92 / 6**0.52) and paper.limit.size == 20
    assert paper.cancel_at(np.array([5, 6, 99])).tolist() == [0.47, 0.47, 0.47]
    own = Options(limit_rates=(2.0,), cancel_rates=(1.0,)).rates()
    assert own.limit.tolist() == [2.0] and own.cancel_at(np.array([1, 2, 9])).tolist() == [1.0, 0.0, 0.0]
    power = Options(limit_rates=(2.0,), power_scale=1.0, power_exponent=1.0, window=3).rates()
    assert power.limit == pytest.approx([2.0, 1 / 2, 1 / 3])


def test_every_bad_option_is_named() -> None:
    settings = ["limit_rates=[-1.0]", "market_rate=0", "max_queue=0", "tick=1", "power_scale=-1"]
    with pytest.raises(SettingsError) as found:
        load_experiment("cst-2010", settings)
    said = str(found.value)
    assert all(name in said for name in ("limit_rates", "market_rate", "max_queue", "tick", "power_scale"))
    for pair in (["power_exponent=0.5", "limit_rates=[1]"], ["limit_rates=[]"], ["limit_rates=[0, 0]"]):
        with pytest.raises(SettingsError):
            load_experiment("cst-2010", pair)


def small(*settings: str) -> Experiment:
    fixed = ["events=20", "fill_events=20", "depth_events=1500", "markets=16"]
    return load_experiment("cst-2010", [*fixed, *settings])


def test_results_picture_and_same_seed(tmp_path: Path) -> None:
    experiment = small("max_queue=2")
    result = experiment.run()
    again, other = (small("max_queue=2", f"seed={seed}").run()["results"] for seed in (1, 2))
    assert again == result["results"] != other
    results = json.loads(json.dumps(result, allow_nan=False))["results"]
    wanted = {"prob_up_exact", "prob_up_book", "prob_fill_before_move", "prob_make_spread", "depth_profile", "one_step"}
    assert wanted | {"checks"} <= set(results)
    assert np.shape(results["prob_up_book"]) == np.shape(results["prob_fill_before_move"]["book"]) == (2, 2)
    assert results["prob_up_published"] == [[0.5, 0.336], [0.664, 0.5]]
    assert experiment.draw(result, tmp_path / "cst.png").stat().st_size > 20_000
    assert "standard errors" in experiment.text(result)


@pytest.mark.parametrize(
    "settings",
    [
        ["limit_rates=[1.2]", "cancel_rates=[0.4]", "market_rate=0.9", "max_queue=7", "events=4"],
        ["limit_rates=[0.8, 1]", "cancel_rates=[0, 0]", "max_queue=1"],
        ["limit_rates=[40]", "cancel_rates=[]", "market_rate=3", "max_queue=2"],
        ["limit_rates=[0, 2]", "cancel_rates=[1, 1]", "max_queue=2"],
    ],
    ids=["one level", "no cancels", "large rates", "none at the best"],
)
def test_any_rates_run_and_draw(settings: list[str], tmp_path: Path) -> None:
    experiment = small(*settings)
    result = experiment.run()
    assert result["results"]["prob_up_published"] is None
    assert experiment.text(result)
    if result["parameters"]["max_queue"] != 2:  # pictures of unusual shape
        assert experiment.draw(result, tmp_path / "cst.png").exists()


@pytest.mark.full
@pytest.mark.parametrize(
    "settings",
    [[], ["limit_rates=[3.0, 2.0]", "cancel_rates=[1.1, 0.9]", "market_rate=0.5", "max_queue=4"]],
    ids=["paper", "other"],
)
def test_acceptance(settings: list[str]) -> None:
    """At 150,000 first passages a cell every cell lies within four standard errors; the depth is greatest at two."""
    results = load_experiment("cst-2010", settings, "full").run()["results"]
    outside = [row for row in results["checks"] if not row["inside"]]
    assert not outside
    assert np.abs(scores(next_move(results))).max() < 4.0
