"""Coin-margined contracts through the engine: liquidation, bankruptcy, funding, deleveraging, every satoshi replayed.

Contracts of 100 $ at 100,000 $, tick 0.1 $: a contract is worth 100,000 satoshi at the start. O2 of the oracles.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from abm.clearing.formulas import ceil_div, maintenance_margin
from abm.clearing.funding import pay
from abm.clearing.liquidation import Takeovers
from abm.events import DELEVERAGE, FUNDING, LIQUIDATION, TAKEOVER
from abm.state import BUY, ISOLATED, SELL
from abm.units import BEYOND_ANY_PRICE, MICRO, SATOSHI
from abm.venues.exchange import FUND_ROW, REMAINDER_ROW
from tests.replayed import Replayed
from tests.test_cross_margin import COIN, Multi, multi, tiers
from tests.venue_world import FIRST

pytestmark = pytest.mark.kernels

CONTRACT = 100 * 10 * SATOSHI
COINS = 1
"""Asset id."""
WORLD = Multi(1)


def coins(lots: int, mark: int) -> int:
    return CONTRACT * lots // mark


def below(world: Multi, lots: int, cost: int, margin: int, mark: int) -> bool:
    """Equity < maintenance by plain integers; a long's value is negative."""
    notional = coins(abs(lots), mark)
    value = -notional if lots > 0 else notional
    return margin + value - cost < maintenance_margin(notional, tiers(world, world.market_of(COIN)))


def place(world: Multi, lots: int, cost: int, margin: int) -> int:
    """Give the first account an isolated position; its liquidation tick."""
    a, slot = world.accounts, int(world.markets.slot[world.market_of(COIN)])
    a.mode[FIRST] = ISOLATED
    a.position[slot, FIRST], a.entry_cost[slot, FIRST], a.margin[slot, FIRST] = lots, cost, margin
    desk = next(desk for desk in world.exchange.desks if desk.slot == slot)
    desk.ladder.update(np.array([FIRST]), desk.mark_ticks)
    return int(desk.ladder.liquidation_ticks([FIRST])[0])


floors = [t.floor for t in tiers(WORLD, WORLD.market_of(COIN))]


@settings(max_examples=300, deadline=None)
@given(
    lots=st.integers(1, 1_000_000) | st.sampled_from(floors[1:]).flatmap(
        lambda floor: st.integers(-2, 2).map(lambda off: floor // 100_000 + off)  # notional at a tier's edge
    ),
    sign=st.sampled_from((1, -1)), leverage=st.integers(1, 125), entry=st.integers(500_000, 2_000_000),
)  # fmt: skip
def test_the_liquidation_price_is_where_equity_meets_maintenance(
    lots: int, sign: int, leverage: int, entry: int
) -> None:
    """Both sides, every tier and its edges: below at the liquidation tick, not at the next; 0 or beyond: never."""
    cost = -sign * coins(lots, entry)
    margin = ceil_div(abs(cost), leverage)
    tick = place(WORLD, sign * lots, cost, margin)
    if tick == 0:
        assert not below(WORLD, sign * lots, cost, margin, 1 if sign > 0 else 20_000_000)
    elif tick >= BEYOND_ANY_PRICE:
        assert not below(WORLD, sign * lots, cost, margin, 20_000_000)
    else:
        assert below(WORLD, sign * lots, cost, margin, tick)
        assert not below(WORLD, sign * lots, cost, margin, tick + sign)


def test_liquidation_prices_by_hand() -> None:
    """Long 1,000 contracts at 20x: 1 BTC, margin 0.05. Safe while C (1 + 0.4 %) <= 1.05: from 95,619.1 $ on.

    Short: C (1 - 0.4 %) >= 0.95, up to 104,842.1 $.
    """
    assert place(WORLD, 1_000, -SATOSHI, SATOSHI // 20) == 956_190
    assert place(WORLD, -1_000, SATOSHI, SATOSHI // 20) == 1_048_422


def test_a_long_on_coins_loses_on_both() -> None:
    """Wrong-way risk: of two longs of 1 BTC with 5,000 $, the coin-margined one fails 612 $ earlier.

    Dollars: p (1 - 0.4 %) = 95,000, p = 95,381.5; and where both are at the mark of 96,000 the coin margin is worth
    0.05 x 96,000 = 4,800 $ of which 1 / 96,000 - 1 / 100,000 a dollar times 100,000 is lost: 0.041666 BTC = 4,000 $.
    """
    world = Multi(2)
    world.hold(0, 1_000, 20, market=world.market_of("BTCUSDT"))
    world.hold(1, 1_000, 20, market=world.market_of(COIN))
    ladders = [desk.ladder for desk in world.exchange.desks if desk.market in map(world.market_of, ("BTCUSDT", COIN))]
    dollars, inverse = int(ladders[0].liquidation_ticks([FIRST])[0]), int(ladders[1].liquidation_ticks([FIRST + 1])[0])
    assert (dollars, inverse) == (953_815, 956_190)
    slot = int(world.markets.slot[world.market_of(COIN)])
    value = world.markets.value(world.market_of(COIN), 1_000, 960_000) - world.accounts.entry_cost[slot, FIRST + 1]
    assert int(value) == SATOSHI - ceil_div(100_000 * SATOSHI, 96_000) + 1


def test_a_liquidated_long_is_sold_at_bankruptcy_or_better_and_the_rest_is_taken_over() -> None:
    """1,000 contracts at 20x: zero at C = 1.05, 95,238.1 $ rounded up. The book takes 400 at 95,300; the rest passes
    to the fund at the coins that leave nothing: 1.05 BTC less what 400 contracts cost at 95,300."""
    world = Multi(1)
    m = world.market_of(COIN)
    row = world.hold(0, 1_000, 20, market=m)
    world.quote(BUY, 953_000, 400, market=m)
    world.quote(BUY, 952_380, 1_000, market=m)
    replayed = Replayed(world)
    world.at(BTCUSD=953_000)
    world.liquidate_until_quiet()
    forced, taken = world.events(LIQUIDATION), world.events(TAKEOVER)
    assert forced["price_ticks"].tolist() == [952_381] and forced["size_lots"].tolist() == [1_000]
    assert taken["size_lots"].tolist() == [600]
    sold = coins(400, 953_000)
    assert taken["amount"].tolist() == [SATOSHI + SATOSHI // 20 - sold]
    a, slot = world.accounts, int(world.markets.slot[m])
    assert not a.cash[:, row].any() and not a.margin[:, row].any() and not a.entry_cost[:, row].any()
    assert int(a.position[slot, FUND_ROW]) == 600
    # both parts of the loss were in coins: the fund has 600 contracts for 0.63027 BTC, worth 0.62959 at the mark
    assert int(a.entry_cost[slot, FUND_ROW]) == -(SATOSHI + SATOSHI // 20 - sold)
    replayed.check()


def test_a_large_position_is_brought_back() -> None:
    """Enough, and not one contract more than enough, by exact sums: 25,000 contracts at 50x, tier 20 to 30 BTC."""
    world = Multi(1, multi("0", sizing="bring-back"))
    m = world.market_of(COIN)
    row = world.hold(0, 25_000, 50, market=m)
    world.quote(BUY, 985_000, 25_000, market=m)
    replayed = Replayed(world)
    world.at(BTCUSD=985_000)
    world.liquidate_until_quiet()
    sold = world.events(LIQUIDATION)["size_lots"].tolist()
    assert len(sold) == 1 and 0 < sold[0] < 25_000
    a, slot = world.accounts, int(world.markets.slot[m])
    assert int(a.position[slot, row]) == 25_000 - sold[0]
    equity = 25 * SATOSHI * 102 // 100 - coins(25_000, 985_000)

    def enough(lots: int) -> bool:
        return equity >= maintenance_margin(coins(25_000 - lots, 985_000), tiers(world, m))

    assert enough(sold[0]) and not enough(sold[0] - 1)
    replayed.check()


def test_longs_pay_when_the_rate_is_positive() -> None:
    """0.01 % of 1 BTC at the start: 10,000 satoshi from the long, as many to the short; crumbs to the remainder."""
    world = Multi(2)
    m = world.market_of(COIN)
    long, short = world.hold(0, 1_000, 20, market=m), world.hold(1, -333, 20, market=m)
    a, slot = world.accounts, int(world.markets.slot[m])
    before = a.margin[slot].copy(), a.cash[COINS].copy()
    replayed = Replayed(world)
    pay(world.markets, a, m, 970_001, 10_000, REMAINDER_ROW)
    world.log.add(FUNDING, market=m, asset=COINS, counterparty=REMAINDER_ROW, price_ticks=970_001, amount=10_000)
    paid = ceil_div(coins(1_000, 970_001) * 10_000, SATOSHI)
    got = coins(333, 970_001) * 10_000 // SATOSHI
    assert int(a.margin[slot, long] - before[0][long]) == -paid
    assert int(a.margin[slot, short] - before[0][short]) == got
    assert int((a.cash[COINS] - before[1]).sum() + (a.margin[slot] - before[0]).sum()) == 0
    world.exchanges.rebucket()
    world.audit()
    replayed.check()


def test_funding_moves_the_liquidation_price() -> None:
    """Each satoshi of funding comes out of the margin: after 0.01 BTC the long of 1 BTC fails at 1.04 / 1.004."""
    tick = place(WORLD, 1_000, -SATOSHI, SATOSHI // 20)
    pay(WORLD.markets, WORLD.accounts, WORLD.market_of(COIN), 1_000_000, SATOSHI // 100, REMAINDER_ROW)
    slot = int(WORLD.markets.slot[WORLD.market_of(COIN)])
    margin = int(WORLD.accounts.margin[slot, FIRST])
    assert margin == SATOSHI // 20 - SATOSHI // 100
    moved = place(WORLD, 1_000, -SATOSHI, margin)
    assert tick == 956_190 and moved == int(Fraction(CONTRACT * 1_000, SATOSHI) * Fraction(1004, 1040))


def test_a_bankruptcy_price_may_be_negative() -> None:
    """Linear: 1 BTC long with 150,000 $ of margin has nothing left at -50,000 $. Forced by hand, it passes there."""
    world = Multi(1)
    row = world.hold(0, 1_000, 1)
    slot = 0
    world.accounts.margin[slot, row] = 150_000 * MICRO
    world.settle_outside()
    replayed = Replayed(world)
    engine = world.desk.engine
    taken = np.array([-1_000]), np.array([150_000 * MICRO - 100_000 * MICRO])
    takeover = Takeovers(np.array([row]), *taken, np.array([-1]))
    world.desk.backstop.absorb(takeover, 1_000_000)
    event = world.events(TAKEOVER)
    assert event["side"].tolist() == [SELL] and event["amount"].tolist() == [50_000 * MICRO]  # it pays to be rid of it
    assert int(engine.wealth(np.array([row]))[0]) == 0 and int(world.accounts.cash[0, row]) == 0
    world.exchanges.rebucket()
    world.audit()
    replayed.check()


def test_winners_in_coins_are_deleveraged_at_the_exact_value() -> None:
    """No fund: a 20x long beyond bankruptcy passes to the short at 1.05 BTC, which loses nothing to rounding."""
    world = Multi(2, fund_usd=0)
    m = world.market_of(COIN)
    long = world.hold(0, 1_000, 20, market=m)
    short = world.hold(1, -1_500, 10, market=m)
    replayed = Replayed(world)
    world.at(BTCUSD=940_000)
    world.liquidate_until_quiet()
    closed = world.events(DELEVERAGE)
    assert closed["counterparty"].tolist() == [short] and closed["amount"].tolist() == [SATOSHI + SATOSHI // 20]
    a, slot = world.accounts, int(world.markets.slot[m])
    assert int(a.position[slot, short]) == -500 and not a.position[slot, FUND_ROW]
    # two thirds of its margin of 0.15 BTC and the profit of 0.05 BTC: what the long had
    assert int(a.cash[COINS, short]) == SATOSHI // 10 + SATOSHI // 20
    assert not a.cash[:, long].any()
    replayed.check()


@settings(max_examples=15, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(seed=st.integers(0, 2**32))
def test_every_satoshi_is_found_again(seed: int) -> None:
    """Random isolated and cross accounts in the coin-margined contract, random books and marks, fills and funding."""
    rng = np.random.default_rng(seed)
    rule = str(rng.choice(["binance-queue", "pro-rata", "capped-pro-rata", "socialised", "bybit-queue"]))
    world = Multi(6, multi(str(rng.choice(["0", "0.005"])), rule), fund_usd=int(rng.choice([0, 100, 10**7])))
    m = world.market_of(COIN)
    for i in range(6):
        lots = int(rng.integers(1, 30_000)) * int(rng.choice([-1, 1]))
        world.hold(i, lots, int(rng.choice([5, 20, 50])), market=m, cross=bool(rng.integers(2)))
    replayed = Replayed(world)
    for _ in range(3):
        mark = round(1_000_000 * rng.uniform(0.85, 1.15))
        world.at(BTCUSD=mark)
        for side in (BUY, SELL):
            world.quote(side, mark - side * int(rng.integers(1, 3_000)), int(rng.integers(1, 20_000)), market=m)
        world.liquidate_until_quiet(30)
        rate = int(rng.integers(-300_000, 300_000))
        pay(world.markets, world.accounts, m, mark, rate, REMAINDER_ROW)
        world.log.add(FUNDING, market=m, asset=COINS, counterparty=REMAINDER_ROW, price_ticks=mark, amount=rate)
        world.exchanges.rebucket()
        world.audit()
        replayed.check()
