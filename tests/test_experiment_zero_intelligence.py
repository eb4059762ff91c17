"""The zero-intelligence experiment: its flow against an independent twin, exact laws, its options and its picture."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abm.experiment import load_experiment
from abm.settings import SettingsError
from abm.state import BUY, SELL
from experiments import _zero_book, zero_intelligence_2003
from experiments._zero_book import Flow, Measured, Replicas, measure
from experiments.zero_intelligence_2003 import REGRESSION, Options, draw, flow, run, text

TINY = {"eps": [0.5, 1.0], "tick": [0.01, 0.1], "events": 60_000, "lifetimes": 8, "burn": 4, "replicas": 48}
SMALL = Flow(alpha=1.0, mu=1.0, delta=1.0, sigma=1, tick=0.25, window=4.0)
"""A book of a few orders, which the twin manages too."""


def measured(market: Flow, replicas: int, lifetimes: float, seed: int = 1) -> Measured:
    """A measurement without words."""
    return measure(market, replicas, 5, lifetimes, seed, "test", lambda words: None)


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """A tiny run."""
    found: dict[str, Any] = run(Options.model_validate(TINY), lambda words: None)
    return found


def twin(market: Flow, lifetimes: float, seed: int) -> tuple[float, float, float]:
    """The same model by plain lists, drawn waiting times and one replica: spread ($), its error, squares ($^2/s)."""
    generator = np.random.default_rng(seed)
    width, each = market.window_ticks, market.alpha * market.tick / market.sigma
    orders: dict[int, list[int]] = {BUY: [999], SELL: [1001]}
    best = {BUY: 999, SELL: 1001}
    clock, start, end = 0.0, 20 / market.delta, (20 + lifetimes) / market.delta
    batches, squares = np.zeros((2, 40)), 0.0
    while clock < end:
        before = best[SELL] + best[BUY]
        resting = len(orders[BUY]) + len(orders[SELL])
        rates = [width * each] * 2 + [market.mu / market.sigma] * 2 + [market.delta * resting]
        wait = generator.exponential(1 / sum(rates))
        if clock > start:
            batch = min(int((clock - start) / (end - start) * 40), 39)
            batches[:, batch] += wait, wait * (best[SELL] - best[BUY]) * market.tick
        clock += wait
        what = int(np.searchsorted(np.cumsum(rates), generator.random() * sum(rates), "right"))
        side = BUY if what % 2 == 0 else SELL
        if what < 2:
            orders[side].append(best[-side] - side * int(generator.integers(1, width + 1)))
        elif what < 4 and orders[-side]:
            orders[-side].remove(best[-side])
        elif what == 4:
            number = int(generator.integers(resting))
            side = BUY if number < len(orders[BUY]) else SELL
            orders[side].pop(number if side == BUY else number - len(orders[BUY]))
        for side in (BUY, SELL):
            if orders[side]:
                best[side] = side * max(side * price for price in orders[side])
        squares += (best[SELL] + best[BUY] - before) ** 2 * (clock > start)
    spread = batches[1] / batches[0]
    rate = squares * market.tick**2 / 4 / batches[0].sum()
    return float(spread.mean()), float(spread.std(ddof=1) / math.sqrt(40)), rate


def test_books_agree_with_a_twin_by_plain_lists() -> None:
    spread, error, squares = twin(SMALL, 600, seed=3)
    found = measured(SMALL, 96, 60)
    assert abs(found.spread[0] - spread) < 4 * math.hypot(error, found.spread[1])
    assert found.variation[0] == pytest.approx(squares, rel=0.15)
    assert found.spread[1] < 0.03 * spread and error < 0.05 * spread


def test_far_depth_and_table_are_exact_and_the_spread_is_the_tables() -> None:
    market = flow(Options(), 0.5, 0.01)
    found = measured(market, 64, 30)
    far = market.alpha / market.delta
    assert abs(found.far[0] - far) < 4 * found.far[1] < 0.08 * far
    assert abs(found.table[0] - market.table) < 4 * found.table[1] < 0.05 * market.table
    assert abs(found.spread[0] - REGRESSION[0.5][0]) < 4 * found.spread[1] < 0.1
    assert abs(found.late[0]) < 4 * found.late[1]
    assert found.empty == 0


def test_other_units_are_other_units_only() -> None:
    these, others = (flow(Options(window=6), 0.5, 0.05, other) for other in (False, True))
    assert others.eps == pytest.approx(these.eps)
    assert others.tick / others.price == pytest.approx(these.tick / these.price)
    assert others.sigma == 3 and others.price == pytest.approx(5 * these.price)
    one, two = measured(these, 16, 6), measured(others, 16, 6)  # from one seed: the same events, whatever the units
    assert two.spread[0] / others.price == pytest.approx(one.spread[0] / these.price, rel=1e-9)
    unit = [market.price**2 * market.delta for market in (these, others)]
    assert two.diffusion / unit[1] == pytest.approx(one.diffusion / unit[0], rel=1e-9)
    assert two.profile * others.delta / others.alpha == pytest.approx(one.profile * these.delta / these.alpha, rel=1e-9)


def test_every_resting_order_is_in_the_table() -> None:
    runs = Replicas(SMALL, 12, 5, "test")
    steps = 300
    runs.advance(steps, np.empty((steps, 2, 12), np.int64), np.empty((steps, 12), np.int64))
    runs.books.check()
    table = runs.handles.reshape(12, -1)
    for market in range(12):
        live = {int(handle) for handle in table[market, : runs.length[market]] if runs.books.order(int(handle))}
        resting = np.concatenate([runs.books.resting(market, side)[4] for side in (BUY, SELL)])
        assert live == set(resting.tolist())


def test_table_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Replicas(SMALL, 4, 5, "test")
    before = [runs.handles[row : row + length].tolist() for row, length in zip(runs.row, runs.length, strict=True)]
    runs._lengthen()
    assert before == [runs.handles[row : row + n].tolist() for row, n in zip(runs.row, runs.length, strict=True)]


def test_an_empty_side_keeps_its_last_quote() -> None:
    found = measured(replace(SMALL, delta=8.0), 16, 30)
    assert found.empty > 0
    assert found.spread[0] >= SMALL.tick


def test_results_hold_what_the_table_needs(results: dict[str, Any]) -> None:
    assert [(row["eps"], row["tick"]) for row in results["rows"]] == [(0.5, 0.01), (1.0, 0.01), (0.5, 0.1), (1.0, 0.1)]
    assert [pair["eps"] for pair in results["collapse"]] == [0.5, 1.0]
    for row in results["rows"]:
        assert row["spread_error"] > 0 and row["events"] >= TINY["events"]
        assert row["lags"] == sorted(row["lags"])
        assert row["variation"] > row["diffusion"]
        assert row["fit_both_sides"] > row["fit_one_side"]
    assert all(row["inside"] for row in results["checks"]), text(results)


def test_checks_notice_a_wrong_engine(results: dict[str, Any]) -> None:
    rows = [
        {**row, "spread": 1.1 * row["spread"], "spread_error": 1e-3, "far": 1.2, "window_is_wide": True}
        for row in results["rows"]
    ]
    found = [*zero_intelligence_2003._regression_checks(rows), *zero_intelligence_2003._exact_checks(rows, [])]
    wrong = [row["what"] for row in found if not row["inside"]]
    assert sum(what.startswith("spread/p_c, regression") for what in wrong) == 2
    assert sum(what.startswith("far depth") for what in wrong) == 4


def test_far_depth_counts_only_where_far_is_far() -> None:
    found = run(
        Options.model_validate(TINY | {"eps": [2.0], "tick": 0.25, "window": 4, "collapse": False}), lambda words: None
    )
    assert not found["rows"][0]["window_is_wide"]
    assert not any("depth" in row["what"] or "published" in row["what"] for row in found["checks"])


def test_same_seed_same_results(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, other = (measured(SMALL, 8, 4, seed) for seed in (1, 1, 2))
    assert one.spread == two.spread and np.array_equal(one.diffusion, two.diffusion)
    assert one.spread != other.spread
    monkeypatch.setattr(_zero_book, "BLOCK_STEPS", 96)
    assert measured(SMALL, 8, 4, 1).spread != one.spread  # another length, yet it runs


@pytest.mark.parametrize(
    "setting",
    ["eps=[]", "eps=[0.1,0.1]", "eps=[100]", "tick=0", "tick=[0.01,0.9]", "events=5", "replicas=2000", "epz=1"],
)
def test_bad_options_are_refused(setting: str) -> None:
    with pytest.raises(SettingsError):
        load_experiment("zero-intelligence-2003", [setting])


def test_tick_may_be_a_number() -> None:
    found = load_experiment("zero-intelligence-2003", ["tick=0.02", "eps=[0.3]"], "quick")
    assert isinstance(found.options, Options) and found.options.ticks == [0.02]
    with pytest.raises(SettingsError, match="100,000 ticks"):
        load_experiment("zero-intelligence-2003", ["tick=0.001", "window=200"])


def test_picture_is_written(results: dict[str, Any], tmp_path: Path) -> None:
    assert draw(results, tmp_path / "zero.png").stat().st_size > 20_000
    alone = {**results, "rows": results["rows"][:1], "collapse": []}
    assert draw(alone, tmp_path / "alone.png").stat().st_size > 10_000


@pytest.mark.full
def test_acceptance_at_full_size() -> None:
    found = run(Options(), lambda words: None)
    assert all(row["inside"] for row in found["checks"]), text(found)
    for row in found["rows"][: len(REGRESSION)]:
        assert abs(row["spread"] / REGRESSION[row["eps"]][0] - 1) < 0.03
        assert 4 * row["spread_error"] < 0.03 * row["spread"]
    assert all(abs(pair["spread"] - 1) < 0.02 for pair in found["collapse"])
