"""Exact theory through the real engine: oracles O2, O3, O4, O7 (queue) and the sign of a short's liquidation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from abm.events import BAD_DEBT, DELEVERAGE, FILL_EVENT, LIQUIDATION, TAKEOVER
from abm.rng import normals, stream
from abm.state import BUY, SELL
from tests.venue_world import DEEP_POCKET, FIRST, VenueWorld, preset

TICK = 0.1
LOT = 0.001


@pytest.mark.parametrize(("leverage", "share"), [(10, 0.904523), (20, 0.954774), (100, 0.994975)])
def test_liquidation_price_of_a_long(leverage: int, share: float) -> None:
    """O2: p_liq = p0 (1 - 1/L) / (1 - mm), to the tick."""
    world = VenueWorld(1, preset())
    row = world.hold(0, 1000, leverage)
    ticks = world.desk.ladder.liquidation_ticks([row])[0]
    exact = 1_000_000 * (1 - 1 / leverage) / 0.995
    assert exact - 1 <= ticks <= exact
    assert ticks / 1_000_000 == pytest.approx(share, abs=2e-6)


@pytest.mark.parametrize("leverage", [10, 20, 100])
def test_liquidation_price_of_a_short(leverage: int) -> None:
    """O2: p_liq = p0 (1 + 1/L) / (1 + mm), to the tick."""
    world = VenueWorld(1, preset())
    row = world.hold(0, -1000, leverage)
    exact = 1_000_000 * (1 + 1 / leverage) / 1.005
    assert exact <= world.desk.ladder.liquidation_ticks([row])[0] <= exact + 1


def test_a_shorts_liquidation_buys() -> None:
    """Shorts are hurt by a rise: their forced order is a buy and lifts the price (seed 2 has the sign wrong)."""
    world = VenueWorld(1, preset())
    row = world.hold(0, -1000, 20)
    world.quote(SELL, np.arange(1_044_800, 1_045_800, 10), 100)
    world.set_mark(1_044_790)
    world.liquidate_until_quiet()
    events = world.log.rows()
    forced = events[events["kind"] == LIQUIDATION]
    fills = events[events["kind"] == FILL_EVENT]
    assert forced["side"].tolist() == [BUY]
    assert fills["account"].tolist() == [row] * fills.size and set(fills["side"]) == {BUY}
    assert world.floor.books.last(world.perp) > 1_044_790
    assert world.accounts.position[0, row] == 0


def barrier_probability(leverage: int, days: float, sigma: float, mmr: float, dt: float) -> float:
    """O3 for a driftless price watched every `dt` days: the barrier moves out by 0.5826 sigma sqrt(dt)."""
    b = math.log((1 - 1 / leverage) / (1 - mmr)) - 0.5826 * sigma * math.sqrt(dt)
    nu, spread = -sigma * sigma / 2, sigma * math.sqrt(days)
    return norm.cdf((b - nu * days) / spread) + math.exp(2 * nu * b / sigma**2) * norm.cdf((b + nu * days) / spread)


def test_probability_of_liquidation_without_impact() -> None:
    """O3: share of price paths that liquidate an account, by the real margin ladder."""
    leverages, sigma, steps, paths = (10, 20, 50, 100), 0.03, 250, 2_000
    world = VenueWorld(len(leverages), preset())
    for i, leverage in enumerate(leverages):
        world.hold(i, 1000, leverage)
    ladder, dt = world.desk.ladder, 1 / steps
    hits = np.zeros(len(leverages))
    for path in range(paths):
        draws = normals(7, stream("o3"), np.arange(steps), path, 0)
        prices = np.exp(np.cumsum(sigma * math.sqrt(dt) * draws - 0.5 * sigma**2 * dt))
        hit: set[int] = set()
        for ticks in np.minimum.accumulate(np.rint(1_000_000 * prices)).astype(np.int64):
            hit.update(ladder.crossed(int(ticks)).tolist())
        ladder.crossed(1_000_000)
        for row in hit:
            hits[row - FIRST] += 1
    for count, leverage in zip(hits, leverages, strict=True):
        expected = barrier_probability(leverage, 1.0, sigma, 0.005, dt)
        error = 4 * math.sqrt(max(expected * (1 - expected), 1e-4) / paths)
        assert count / paths == pytest.approx(expected, abs=error), f"{leverage}x"


@pytest.mark.parametrize(("clip", "sign"), [(0.8, 1), (1.0, 0), (1.2, -1)])
def test_break_even_size_of_the_insurance_fund(clip: float, sign: int) -> None:
    """O4: with a uniform book a clip of q* = 2 rho p_liq mm costs the fund nothing; larger loses, smaller gains.

    The forced order has no limit; what is left of the account goes to the fund (a fee that takes all).
    """
    rules = preset(order_limit="none", sizing="whole", fee="1")
    world = VenueWorld(1, rules)
    lots_per_tick = 100  # 0.1 BTC per 0.1 $: rho = 1 BTC per dollar
    liquidation_ticks = math.floor(1_000_000 * 0.95 / 0.995)
    size = round(clip * 2 * liquidation_ticks * TICK * 0.005 / LOT)
    world.hold(0, size, 20)
    world.quote(BUY, np.arange(liquidation_ticks, liquidation_ticks - 20_000, -1), lots_per_tick)
    before = world.fund_cash
    world.set_mark(liquidation_ticks)
    world.liquidate_until_quiet()
    change = (world.fund_cash - before) / 1e6
    bankrupt, slippage = 95_000.0, size * LOT / 2  # average slippage q / (2 rho)
    expected = (liquidation_ticks * TICK - slippage - bankrupt) * size * LOT
    assert change == pytest.approx(expected, abs=0.2 * size * LOT)
    if sign:
        assert math.copysign(1, change) == sign
        assert (world.log.rows()["kind"] == BAD_DEBT).any() == (sign < 0)
    else:
        assert abs(change) < 0.001 * size * LOT * 100_000


def test_remainder_goes_to_the_fund_at_bankruptcy() -> None:
    """A forced order limited at bankruptcy sells what the book takes; the fund gets the rest at exactly zero equity."""
    world = VenueWorld(1, preset(sizing="whole"))
    row = world.hold(0, 10_000, 20)
    world.quote(BUY, 953_000, 4_000)
    world.set_mark(953_500)
    world.liquidate_until_quiet()
    a = world.accounts
    assert a.position[0, row] == 0 and a.margin[0, row] == 0 and a.cash[0, row] == 0
    assert a.position[0, DEEP_POCKET] == -6_000
    events = world.log.rows()
    taken = events[events["kind"] == TAKEOVER]
    assert taken["size_lots"].tolist() == [6_000]


def test_queue_deleverages_the_most_levered_profit_first() -> None:
    """O7, queue part: winners with profits 100, 60, 40 and a bankrupt long that only the first is needed for."""
    world = VenueWorld(4, preset(sizing="whole"), fund_usd=0)
    loser = world.hold(0, 500, 50)
    winners = [world.hold(i + 1, -lots, 50) for i, lots in enumerate((1000, 600, 400))]
    world.set_mark(975_000)
    world.liquidate_until_quiet()
    a = world.accounts
    assert a.position[0, loser] == 0
    events = world.log.rows()
    used = events[events["kind"] == DELEVERAGE]
    assert used["counterparty"].tolist() == [winners[0]] and used["size_lots"].tolist() == [500]
    assert int(used["amount"].sum()) == -500 * 980_000 * 100
    assert [int(x) for x in a.position[0, winners]] == [-500, -600, -400]


def test_deleveraging_spreads_when_the_first_winner_is_too_small() -> None:
    """Exact value whatever the split; no side flips; the bankrupt account ends with nothing."""
    world = VenueWorld(4, preset(sizing="whole"), fund_usd=0)
    loser = world.hold(0, 1501, 50)
    held = ((1000, 50), (600, 40), (400, 30))
    winners = [world.hold(i + 1, -lots, leverage) for i, (lots, leverage) in enumerate(held)]
    world.set_mark(975_000)
    world.liquidate_until_quiet()
    a = world.accounts
    assert a.position[0, loser] == a.margin[0, loser] == a.cash[0, loser] == 0
    assert [int(x) for x in a.position[0, winners]] == [0, -99, -400]
