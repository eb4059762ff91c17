"""Value buyers and arbitrageurs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from abm.events import BY_ARBITRAGE, BY_VALUE
from abm.state import BUY, CANCEL, IOC, LIMIT, MESSAGE, NOBODY, REPLACE, SELL
from abm.traders.arbitrageurs import Arbitrageurs, ArbitrageursParameters
from abm.traders.value_buyers import ValueBuyers, ValueBuyersParameters
from tests.traders_world import PERP, SPOT_MARKET, START_TICKS, Stage


def place(stage: Stage, market: int, side: int, price: int, lots: int) -> None:
    order = np.zeros(1, MESSAGE)
    order["market"], order["op"], order["side"], order["price_ticks"], order["size_lots"] = (
        market,
        LIMIT,
        side,
        price,
        lots,
    )
    order["account"], order["order"] = NOBODY, NOBODY
    stage.trade(order)


# --- value buyers -----------------------------------------------------------------------------------------------------
def discounted(stage: Stage, gap: float) -> dict[str, np.ndarray]:
    return {"fair_ticks": np.array([START_TICKS * (1 + gap)] * 2)}


def test_value_buyers_stay_away_from_small_gaps() -> None:
    stage = Stage(1, (ValueBuyers, ValueBuyersParameters(margin_spread=0.0)))
    for tick in range(40):
        stage.tick = tick
        assert stage.ask(stage.people[0], stage.view(**discounted(stage, 0.035))).size == 0


def test_value_buyers_mostly_rest_and_reach_their_target_by_the_clock() -> None:
    stage = Stage(1, (ValueBuyers, ValueBuyersParameters(margin_spread=0.0)))
    buyers = stage.people[0]
    assert isinstance(buyers, ValueBuyers)
    for market in (PERP, SPOT_MARKET):
        place(stage, market, SELL, START_TICKS, 10**9)
    taken, kinds = 0, set()
    gap = 0.036 + 0.085 / 2
    for tick in range(48):
        stage.tick = tick
        messages = stage.turn(buyers, stage.view(**discounted(stage, gap)))
        assert (messages["side"] == BUY).all() and (messages["reason"] == BY_VALUE).all()
        kinds |= set(messages["op"].tolist())
        taken += int(messages["size_lots"][messages["op"] == IOC].sum())
    assert kinds == {IOC, LIMIT, REPLACE}
    target = round(ValueBuyersParameters().coins * 1000) / 2
    bids = stage.books.depth_lots(PERP, BUY, 1) + stage.books.depth_lots(SPOT_MARKET, BUY, 1)
    assert taken == buyers.bought_lots().sum()
    assert 0.4 * target < taken + bids < 0.8 * target
    assert bids > 2 * taken
    for tick in range(48, 600):
        stage.tick = tick
        stage.turn(buyers, stage.view(**discounted(stage, gap)))
    held = buyers.bought_lots()
    assert held.sum() <= target
    assert held[buyers.market == SPOT_MARKET].sum() / held.sum() == pytest.approx(0.25, abs=0.03)
    # The gap closes: bids leave, what was bought stays.
    for tick in range(600, 700):
        stage.tick = tick
        messages = stage.turn(buyers, stage.view(**discounted(stage, 0.0)))
        assert np.isin(messages["op"], (CANCEL,)).all()
    assert stage.books.depth_lots(PERP, BUY, 1) == 0
    assert (buyers.bought_lots() == held).all()
    stage.books.check()


# --- arbitrageurs -----------------------------------------------------------------------------------------------------
def basis(stage: Stage, perp_over_spot: float) -> None:
    perp = int(START_TICKS * (1 + perp_over_spot))
    for market, middle in ((PERP, perp), (SPOT_MARKET, START_TICKS)):
        place(stage, market, BUY, middle - 5, 200_000)
        place(stage, market, SELL, middle + 5, 200_000)


def test_no_trade_inside_fees_and_thresholds() -> None:
    stage = Stage(1, (Arbitrageurs, ArbitrageursParameters(threshold_spread=0.0, reverters=0)))
    basis(stage, 0.0016)
    assert stage.ask(stage.people[0], stage.view()).size == 0


@pytest.mark.parametrize("sign", [1, -1])
def test_basis_is_traded_on_both_legs_within_the_budget_of_the_tick(sign: int) -> None:
    stage = Stage(1, (Arbitrageurs, ArbitrageursParameters(reverters=0)))
    pairs = stage.people[0]
    basis(stage, sign * 0.01)
    sent = [stage.turn(pairs, stage.view(round=number)) for number in (1, 2, 3)]
    everything = np.concatenate(sent)
    perp, spot = everything[everything["market"] == PERP], everything[everything["market"] == SPOT_MARKET]
    assert (perp["side"] == -sign).all() and (spot["side"] == sign).all()
    assert perp["size_lots"].sum() == spot["size_lots"].sum() <= 20_000
    assert perp["size_lots"].sum() > 15_000, "far beyond full: the whole rate"
    assert (everything["op"] == IOC).all() and (everything["reason"] == BY_ARBITRAGE).all()
    worst = sign * (perp["price_ticks"].astype(float) / spot["price_ticks"] - 1.0)
    assert (worst > 0.0015).all(), "even at the worst prices the fees are earned"
    delta = (
        stage.accounts.position[0, pairs.rows] + (stage.accounts.cash[1, pairs.rows] - pairs._opening_coins) // 100_000
    )
    assert (delta == 0).all()
    stage.tick = 1
    assert stage.turn(pairs, stage.view(round=1)).size > 0, "a new tick, a new budget"


def test_capital_is_limited_and_an_open_leg_is_hedged() -> None:
    stage = Stage(1, (Arbitrageurs, ArbitrageursParameters(reverters=0, capital_coins=10.0)))
    pairs = stage.people[0]
    basis(stage, 0.02)
    for tick in range(30):
        stage.tick = tick
        stage.turn(pairs, stage.view(round=1))
    assert -stage.accounts.position[0, pairs.rows].sum() <= 10_000
    stage = Stage(1, (Arbitrageurs, ArbitrageursParameters(reverters=0)))
    pairs = stage.people[0]
    basis(stage, 0.0)
    stage.accounts.position[0, pairs.rows[0]] = 700
    messages = stage.turn(pairs, stage.view(round=1))
    assert messages["size_lots"].tolist() == [700] and messages["side"].tolist() == [SELL]
    assert stage.accounts.position[0, pairs.rows].sum() == 0


def test_reverters_lean_against_a_move_once_a_tick() -> None:
    stage = Stage(1, (Arbitrageurs, ArbitrageursParameters(outside_coins=100.0)))
    pairs = stage.people[0]
    basis(stage, 0.0)
    high = {"ema50_ticks": np.array([START_TICKS * 1.02] * 2)}
    messages = stage.ask(pairs, stage.view(round=1, **high))
    assert (messages["side"] == BUY).all()
    assert messages["size_lots"].sum() == pytest.approx(700_000 * (1 - math.exp(-0.2)), rel=0.01)
    assert stage.ask(pairs, stage.view(round=2, **high)).size == 0
    stage.tick = 1
    assert stage.ask(pairs, stage.view(fair_ticks=np.array([START_TICKS * 1.0004] * 2))).size == 0, "inside the fee"
    stage.tick = 2
    messages = stage.ask(pairs, stage.view(fair_ticks=np.array([START_TICKS * 0.99] * 2)))
    assert (messages["side"] == SELL).all()
    sold = [messages["size_lots"][messages["market"] == market].sum() for market in (PERP, SPOT_MARKET)]
    assert sold == pytest.approx([100_000 * (1 - math.exp(-0.2)), 30_000 * (1 - math.exp(-0.2))], rel=0.01)
