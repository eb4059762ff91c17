"""Optimal quotes: printed values, an independent solver, limits, and how the market's makers use them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.linalg import expm

from abm.state import BUY, NOBODY, POST_ONLY, SELL
from abm.traders.makers import Makers, MakersParameters, optimal_rule
from abm.traders.quotes import Asymptotic, AvellanedaStoikov, Exact, QuotingModel, Symmetric
from tests.traders_world import PERP, SPOT_MARKET, START_TICKS, Stage

PAPER = QuotingModel(risk_aversion=0.1, volatility=2.0, decay=1.5, rate=140.0)


def solved(model: QuotingModel, limit: int, remaining: float) -> np.ndarray:
    """ln v_q by a general matrix exponential."""
    units = np.arange(-limit, limit + 1.0)
    neighbours = np.eye(units.size, k=1) + np.eye(units.size, k=-1)
    return np.log(expm((np.diag(-model.alpha * units**2) + model.eta * neighbours) * remaining) @ np.ones(units.size))


def test_glft_quotes_to_five_decimals() -> None:
    quotes = Exact(PAPER, 30, 0.005, 1.0)(np.array([0.0, 3.0]), 1.0)
    assert quotes.bid == pytest.approx([0.67163, 0.82850], abs=1e-5)
    assert quotes.ask[1] == pytest.approx(0.51438, abs=1e-5)
    assert Asymptotic(PAPER)(np.array([0.0, 3.0]), 1.0).bid == pytest.approx([0.67124, 0.82640], abs=1e-5)


@pytest.mark.parametrize("gamma", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("remaining", [0.02, 0.3, 2.0])
def test_exact_quotes_against_a_general_matrix_exponential(gamma: float, remaining: float) -> None:
    model = QuotingModel(gamma, 2.0, 1.5, 140.0)
    exact = Exact(model, 6, 0.01, 2.0)
    log_value = solved(model, 6, remaining)
    distance = (log_value[:-1] - log_value[1:]) / model.decay
    quotes = exact(exact.units, remaining)
    assert quotes.bid[:-1] == pytest.approx(distance + model.base, abs=1e-8)
    assert quotes.ask[1:] == pytest.approx(model.base - distance, abs=1e-8)
    assert exact.certainty_equivalent(remaining) == pytest.approx(log_value[6] / model.decay, abs=1e-8)


def test_small_values_keep_their_precision() -> None:
    """Far from zero inventory v_q is 1e-50 of v_0: the values there still solve the system."""
    model = QuotingModel(1.0, 2.0, 1.5, 140.0)
    exact = Exact(model, 40, 0.05, 5.0)
    log_value = exact.log_value[-1]
    assert log_value[0] - log_value[40] < math.log(1e-50)
    # the slowest mode: (growth - cost_q) v_q = eta (v_{q-1} + v_{q+1}) with the same growth for every q
    inner = log_value[1:-1]
    flow = model.eta * (np.exp(log_value[:-2] - inner) + np.exp(log_value[2:] - inner))
    growth = flow - model.alpha * exact.units[1:-1] ** 2
    assert growth == pytest.approx(np.full(growth.size, growth[39]), rel=1e-6)


def test_avellaneda_stoikov_and_its_benchmark() -> None:
    for gamma, spread in ((0.1, 1.49), (0.01, 1.35), (1.0, 3.02)):
        model = QuotingModel(gamma, 2.0, 1.5, 140.0)
        rule, units = AvellanedaStoikov(model), np.array([-2.0, 0.0, 5.0])
        quotes = rule(units, 0.25)
        assert quotes.shift == pytest.approx(-units * gamma * 4.0 * 0.25)
        assert quotes.bid + quotes.ask == pytest.approx(np.full(3, gamma + 2.0 * math.log1p(gamma / 1.5) / gamma))
        benchmark = Symmetric(model, 1.0)(units, 0.9)
        average = np.mean([2.0 * rule(units, time).half for time in np.linspace(0.0005, 0.9995, 1000)])
        assert (2.0 * benchmark.half).tolist() == pytest.approx([average] * 3)
        assert average == pytest.approx(spread, abs=0.005) and not benchmark.shift.any()


def test_table_ends_when_nothing_changes_and_goes_on_as_it_was() -> None:
    short, long = Exact(PAPER, 8, 0.01, 50.0), Exact(PAPER, 8, 0.01, 1.0)
    assert len(short.log_value) < 500 and len(long.log_value) == 101
    assert short.certainty_equivalent(5.0) == pytest.approx(solved(PAPER, 8, 5.0)[8] / 1.5, rel=1e-9)
    assert (short(short.units, 49.0).half == short(short.units, 40.0).half).all()


def test_between_units_and_beyond_the_limit() -> None:
    exact = Exact(PAPER, 5, 0.01, 1.0)
    low, middle, high = exact(np.array([1.0, 1.5, 2.0]), 1.0).shift
    assert middle == pytest.approx(0.5 * (low + high))
    assert np.isfinite(exact(np.array([-9.0, 5.0, 9.0]), 1.0).bid).all()


# --- in the market ----------------------------------------------------------------------------------------------------


def staged(**settings: object) -> tuple[Stage, Makers]:
    stage = Stage(3, (Makers, MakersParameters(**settings)))
    makers = stage.people[0]
    assert isinstance(makers, Makers)
    stage.turn(makers, stage.view())
    return stage, makers


@pytest.mark.parametrize("quoting", ["avellaneda-stoikov", "glft", "glft-asymptotic", "symmetric"])
@pytest.mark.parametrize("steps", [1, 12])
def test_innermost_quote_stands_where_the_rule_wants_it(quoting: str, steps: int) -> None:
    stage, makers = staged(quoting=quoting, steps=steps, count=3, inventory_coins=300.0, arrival_decay=2e3)
    rule = optimal_rule(makers.parameters, START_TICKS * 0.1, 1.0)
    quotes = rule(np.zeros(1), makers.parameters.horizon_s)
    for market, clip in ((PERP, 5000), (SPOT_MARKET, 1500)):
        assert stage.books.best(market, BUY) == math.floor(START_TICKS * (1.0 - quotes.bid[0]))
        assert stage.books.best(market, SELL) == math.ceil(START_TICKS * (1.0 + quotes.ask[0]))
        best = int(stage.books.ladder(market, BUY)[1][0])
        assert best == 3 * clip if steps == 1 else 3 * clip <= best < 3.1 * clip
        assert (stage.books.count_resting(market, BUY) > 3) == (steps > 1)
    stage.books.check()


def test_inventory_moves_the_quotes_and_stops_one_side_at_the_limit() -> None:
    stage, makers = staged(
        quoting="glft", steps=1, count=2, inventory_coins=100.0, spot_share=0.0, centre_on="index", requote_rate=1.0,
        price_tolerance=0.0, risk_aversion=1e-4, loss_share=1e9, sticky=0.0,
    )  # fmt: skip
    rule = optimal_rule(makers.parameters, START_TICKS * 0.1, 1.0)
    for coins, sides in ((20.0, 2), (-50.0, 1), (50.0, 1)):
        stage.tick += 1
        stage.accounts.position[0, makers.rows] = int(coins * 1000)
        stage.accounts.entry_cost[0, makers.rows] = int(coins * 1000) * START_TICKS * 100
        stage.turn(makers, stage.view())
        quotes = rule(np.array([coins / 5.0]), makers.parameters.horizon_s - stage.tick)
        wanted = {BUY: START_TICKS * (1.0 - quotes.bid[0]), SELL: START_TICKS * (1.0 + quotes.ask[0])}
        standing = {side: stage.books.best(PERP, side) for side in (BUY, SELL)}
        assert sum(price > 0 for price in standing.values()) == sides
        for side, price in standing.items():
            if price:
                assert abs(price - wanted[side]) <= 1.0
    assert standing[BUY] == 0, "long at the limit: no bid"


def test_the_exact_rule_refuses_a_grid_that_is_too_large() -> None:
    with pytest.raises(ValueError, match=r"1 to 200 clips a maker, here 2500"):
        MakersParameters(quoting="glft", clip_coins=0.1)
    assert MakersParameters(quoting="glft-asymptotic", clip_coins=0.1).clips == 2500


def test_makers_of_many_markets_each_look_at_their_own() -> None:
    """Two makers, two perpetuals of two venues: book, inventory and quotes do not mix."""
    from experiments._optimal_makers import MakerOptions, empty_books, look, open_block

    options = MakerOptions(paths=2, block=2)
    block = open_block(empty_books(options), options, 0.1, "avellaneda-stoikov", 2, 201)
    block.world.accounts.position[0, block.makers.rows] = 0, 2
    from abm.traders.base import Batch

    batch = Batch()
    block.makers.decide(look(block, options, 0, block.start + np.array([0, 500])), batch)
    sent = batch.messages()
    assert sent["market"].tolist() == [0, 0, 1, 1] and (sent["op"] == POST_ONLY).all()
    assert (sent["order"] == NOBODY).all() and (sent["size_lots"] == 1).all()
    middle = 0.5 * (sent["price_ticks"][1::2] + sent["price_ticks"][::2])
    assert middle == pytest.approx([100_000, 100_500 - 800], abs=1.0), "q gamma sigma^2 T = 0.8"
