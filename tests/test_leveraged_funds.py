"""Leveraged value funds: the demand in its three regimes, margin calls, investors, and fatter falls with leverage."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from abm.book.books import Books
from abm.events import BY_COVENANT, BY_CREATION, BY_REDEMPTION, BY_VALUE
from abm.state import BUY, IOC, LIMIT, MESSAGE, NOBODY, SELL
from abm.traders.base import View
from abm.traders.leveraged_funds import LeveragedFunds, LeveragedFundsParameters, demand
from tests.one_by_one import same_one_by_one
from tests.traders_world import OUTSIDE, PERP, START_TICKS, Stage

pytestmark = pytest.mark.kernels

FAST = {"speed_s": 1e-3, "slip": 0.05, "call_slip": 0.05, "flow_response": 0.0}
"""Goes to the target at once, as in the paper, and nobody gives or takes money."""


def staged(**settings: Any) -> tuple[Stage, LeveragedFunds]:
    stage = Stage(1, (LeveragedFunds, LeveragedFundsParameters(**{**FAST, **settings})))
    funds = stage.people[0]
    assert isinstance(funds, LeveragedFunds)
    return stage, funds


def place(stage: Stage, *orders: tuple[int, int, int]) -> None:
    """Orders of nobody: (side, price, lots)."""
    batch = np.zeros(len(orders), MESSAGE)
    batch["op"], batch["market"], batch["account"], batch["order"] = LIMIT, PERP, NOBODY, NOBODY
    for name, values in zip(("side", "price_ticks", "size_lots"), zip(*orders, strict=True), strict=True):
        batch[name] = values
    stage.trade(batch)


def deep(stage: Stage, price: int) -> None:
    place(stage, (BUY, price - 1, 10**8), (SELL, price, 10**8))


def seen(stage: Stage, price: int, fair: int, **changes: Any) -> View:
    at = np.array([price] * 2)
    return stage.view(last_ticks=at, mark_ticks=at, fair_ticks=np.array([fair] * 2, float), **changes)


# --- demand -----------------------------------------------------------------------------------------------------------
def test_demand_in_its_three_regimes() -> None:
    """Nothing above value; beta m W below the kink m = lambda / beta; lambda W beyond it."""
    mispricing = np.array([-0.1, 0.0, 0.05, 0.2, 0.3])
    assert demand(mispricing, np.full(5, 50.0), 10.0).tolist() == pytest.approx([0.0, 0.0, 2.5, 10.0, 10.0])
    assert demand(mispricing, np.full(5, 5.0), 10.0).tolist() == pytest.approx([0.0, 0.0, 0.25, 1.0, 1.5])


@pytest.mark.parametrize(("mispricing", "leverage"), [(-0.02, 0.0), (0.04, 0.8), (0.1, 2.0), (0.3, 3.0)])
def test_positions_in_the_book_are_the_demand(mispricing: float, leverage: float) -> None:
    """One fund of 1 million dollars, beta 20, limit 3: D p = min(20 m, 3) W for m > 0."""
    stage, funds = staged(funds=1, capital_usd=1e6, least_beta=20.0, most_leverage=3.0)
    price = 1_000_000
    deep(stage, price)
    messages = stage.turn(funds, seen(stage, price, round(price / (1.0 - mispricing))))
    held = int(stage.accounts.position[0, funds.rows[0]])
    assert held * price * 100 == pytest.approx(leverage * 1e12, rel=1e-3, abs=1.0)
    assert (messages["reason"] == BY_VALUE).all() and (messages["op"] == IOC).all()


def test_it_goes_to_its_target_at_its_speed() -> None:
    stage, funds = staged(funds=1, capital_usd=1e6, least_beta=20.0, speed_s=20.0)
    deep(stage, 1_000_000)
    target = 0.05 * 20 * 10_000
    for tick in range(1, 41):
        stage.tick = tick
        stage.turn(funds, seen(stage, 1_000_000, 1_052_632))
        held = int(stage.accounts.position[0, 0])
        assert held == pytest.approx(target * (1.0 - np.exp(-tick / 20.0)), rel=0.01, abs=tick)


# --- margin calls -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("limit", [1.0, 2.0, 5.0, 10.0])
def test_a_fall_at_the_limit_sells_by_the_formula_and_nothing_without_leverage(limit: float) -> None:
    """From p to p': (lambda - 1) (p / p' - 1) D coins."""
    stage, funds = staged(funds=1, capital_usd=1e6, least_beta=50.0, most_leverage=limit)
    deep(stage, 1_000_000)
    stage.turn(funds, seen(stage, 1_000_000, 2_000_000))
    held = int(stage.accounts.position[0, 0])
    assert held == pytest.approx(limit * 10_000, abs=2)
    stage.tick = 1
    calls = stage.ask(funds, seen(stage, 980_000, 2_000_000))
    assert int(calls["size_lots"].sum()) == pytest.approx((limit - 1.0) * (1.0 / 0.98 - 1.0) * held, abs=2)
    if limit > 1.0:
        assert calls["side"].tolist() == [SELL] and calls["reason"].tolist() == [BY_COVENANT]
        assert funds.measured()["called_funds"] == 1.0
        assert stage.ask(funds, seen(stage, 1_000_000, 2_000_000)).size == 0, "no fall, no call"
    rise = stage.ask(funds, seen(stage, 1_020_000, 2_000_000))
    assert not (rise["side"] == SELL).any(), "a rise makes room"


def test_a_margin_call_does_not_wait_but_a_target_does() -> None:
    stage, funds = staged(funds=1, capital_usd=1e6, least_beta=50.0)
    deep(stage, 1_000_000)
    stage.turn(funds, seen(stage, 1_000_000, 2_000_000))
    slow = LeveragedFundsParameters(**{**FAST, "funds": 1, "capital_usd": 1e6, "least_beta": 50.0, "speed_s": 1e6})
    funds.parameters = slow
    called = stage.ask(funds, seen(stage, 990_000, 2_000_000))
    assert int(called["size_lots"].sum()) == pytest.approx(9 * (1 / 0.99 - 1) * 100_000, abs=2)
    assert stage.ask(funds, seen(stage, 1_000_000, 1_000_000)).size == 0, "fair again: no hurry"


def test_the_venue_tiers_bound_the_position() -> None:
    stage, funds = staged(funds=1, capital_usd=1e6, least_beta=50.0)
    markets = stage.world.markets
    markets.tier_floor, markets.tier_leverage = np.array([[0, 2 * 10**12]] * 2), np.array([[150, 5]] * 2)
    funds.bind(stage.world)
    deep(stage, 1_000_000)
    stage.turn(funds, seen(stage, 1_000_000, 2_000_000))
    assert int(stage.accounts.position[0, 0]) == 20_000, "2 million dollars, though 10 million would be wanted"


# --- investors --------------------------------------------------------------------------------------------------------
def test_investors_follow_performance() -> None:
    """A = 0.1, b = 0.15, benchmark 0.5 %: a gain of 20 % draws 0.15 * 0.1 * (20 % - 0.5 %) of the wealth."""
    stage, funds = staged(funds=1, capital_usd=1e6, flow_response=0.15, flow_s=100.0)
    stage.accounts.cash[0, 0] += 200_000_000_000
    stage.tick = 100
    stage.review(funds, seen(stage, 1_000_000, 1_000_000))
    expected = 0.15 * 0.1 * (0.2 - 0.005) * 1.2e12
    assert stage.office.paid == [(OUTSIDE, 0, 0, pytest.approx(expected, abs=2), BY_CREATION)]
    stage.accounts.cash[0, 0] -= 400_000_000_000
    stage.tick = 150
    stage.review(funds, seen(stage, 1_000_000, 1_000_000))
    assert len(stage.office.paid) == 1, "the clock has not come round"
    stage.tick = 200
    stage.review(funds, seen(stage, 1_000_000, 1_000_000))
    assert stage.office.paid[1][:3] == (0, OUTSIDE, 0) and stage.office.paid[1][4] == BY_REDEMPTION
    assert not funds.owed.any(), "without a position everything is free"


def test_redemptions_wait_until_positions_are_sold() -> None:
    stage, funds = staged(funds=1, capital_usd=1e6, least_beta=50.0, most_leverage=5.0)
    deep(stage, 1_000_000)
    stage.turn(funds, seen(stage, 1_000_000, 2_000_000))
    held, owed = int(stage.accounts.position[0, 0]), 200_000_000_000
    funds.owed[0] = owed
    stage.review(funds, seen(stage, 1_000_000, 2_000_000))
    assert sum(paid[3] for paid in stage.office.paid) < 0.001 * owed
    for tick in range(1, 4):
        stage.tick = tick
        stage.turn(funds, seen(stage, 999_999, 2_000_000))
        stage.review(funds, seen(stage, 999_999, 2_000_000))
    assert sum(paid[3] for paid in stage.office.paid) == owed
    assert int(stage.accounts.position[0, 0]) == pytest.approx(0.8 * held, rel=0.002)


def test_a_fund_that_has_lost_all_but_a_tenth_closes_and_another_begins() -> None:
    stage, funds = staged(funds=2, capital_usd=2e6, reentry_s=50.0)
    stage.accounts.cash[0, 0] = 90_000_000_000
    deep(stage, 1_000_000)
    stage.tick = 10
    stage.review(funds, seen(stage, 1_000_000, 2_000_000))
    stage.turn(funds, seen(stage, 1_000_000, 2_000_000))
    assert stage.accounts.position[0].tolist()[0] == 0 < stage.accounts.position[0, 1]
    assert funds.measured()["closed_funds"] == 1.0
    stage.tick = 60
    stage.review(funds, seen(stage, 1_000_000, 2_000_000))
    assert stage.office.paid == [(OUTSIDE, 0, 0, 910_000_000_000, BY_CREATION)]
    assert funds.measured()["closed_funds"] == 0.0


# --- the market of the paper ------------------------------------------------------------------------------------------
def returns_below_value(limit: float, seed: int, steps: int = 350) -> np.ndarray:
    """Log returns from prices below value, in our book: the ladder of each step is the paper's noise traders.

    They hold what the funds do not of N = 1000 coins and would hold xi / p at price p: ln xi is an AR(1) with rho 0.99,
    sigma 0.035. The ladder says so from 20 % below to 20 % above the last price. V = 1 is 10,000 ticks, a coin 1,000
    lots; the ten funds begin with 2 each. They come to their target within a few steps, not at once as in the paper.
    """
    coins, value = 1_000_000, 10_000
    settings = {"speed_s": 2.0, "slip": 0.19, "call_slip": 0.19, "reentry_s": 100.0, "capital_usd": 20_000}
    stage, funds = staged(most_leverage=limit, **settings)
    draws = np.random.default_rng(seed).normal(0.0, 0.035, steps)
    log_xi, path = 0.0, []
    for tick in range(1, steps + 1):
        stage.tick = tick
        log_xi = 0.99 * log_xi + draws[tick - 1]
        cash = value * np.exp(log_xi) * coins
        price = round(cash / max(coins - int(stage.accounts.position[0, funds.rows].sum()), 1))
        stage.books = stage.world.books = Books(2, 1, 1 << 16)
        for side in (BUY, SELL):
            at = np.unique(np.rint(price * (1.0 - side * np.arange(0.002, 0.2, 0.002))).astype(np.int64))[::-side]
            lots = np.diff(np.abs(cash / at - cash / price), prepend=0.0)
            batch = np.zeros(at.size, MESSAGE)
            batch["op"], batch["side"], batch["account"], batch["order"] = LIMIT, side, NOBODY, NOBODY
            batch["price_ticks"], batch["size_lots"] = at, np.maximum(np.rint(lots), 1)
            stage.trade(batch)
        stage.turn(funds, seen(stage, price, value))
        last = stage.books.last(PERP) or price
        stage.review(funds, seen(stage, last, value))
        path.append(np.log(last / value))
    logs = np.array(path)
    returns: np.ndarray = np.diff(logs)
    return returns[logs[:-1] < 0.0]


def test_more_leverage_gives_fatter_falls() -> None:
    """Sign only: the largest falls over their typical size (99.5 % against 50 % quantile) grow with lambda."""
    fat = []
    for limit in (1.0, 10.0):
        every = -np.concatenate([returns_below_value(limit, seed) for seed in (1, 2)])
        every = every[every > 0.0]
        fat.append(float(np.quantile(every, 0.995) / np.median(every)))
    assert fat[1] > 1.3 * fat[0], fat


# --- one by one -------------------------------------------------------------------------------------------------------
def test_funds_one_by_one() -> None:
    def build() -> Stage:
        stage, _ = staged(funds=4, capital_usd=4e6, speed_s=3.0)
        for price in range(980_000, 1_020_000, 500):
            place(stage, (BUY if price < 1_000_000 else SELL, price, 4_000))
        return stage

    def view(stage: Stage, tick: int) -> View:
        return seen(stage, 1_000_000 - 1_500 * tick, START_TICKS)

    assert same_one_by_one(build, view, 20) > 20
