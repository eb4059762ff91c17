"""Stakers: shares by the logit, speed by the formula, unbonding takes its time, open interest falls as yields rise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from abm import MarketModel
from abm.events import BY_STAKING, FILL_EVENT, TRANSFER
from abm.recorder import Recorder
from abm.scenario import load_scenario
from abm.state import BUY, LIMIT, MESSAGE, SELL
from abm.traders.stakers import FUNDING_A_YEAR, Stakers, StakersParameters, staked_share
from tests.traders_world import PERP, START_TICKS, Stage

SIMPLE: dict[str, Any] = {
    "accounts": 20, "capital_usd": 20e6, "look_s": 1e-3, "taste_percent": 0.0, "least_share": 0.0, "leverage": 4.0,
    "opening_funding_bp": 0.0, "expected_percent": 2.0, "temperature_percent": 10.0, "yield_percent": 3.0,
}  # fmt: skip
"""Everybody looks in every second; c = 4 * 2 % = 8 %."""

LOT = START_TICKS * 100
"""Value of one lot in micro-dollars; everybody's position is whole lots."""
LEFT_OVER = 20 * LOT / 4.0 / 20e12
"""Capital behind a lot of each of 20 accounts at leverage 4, as a share of all wealth."""


def stakers(**changes: Any) -> tuple[Stage, Stakers]:
    """A stage with deep books on both sides of the opening price."""
    stage = Stage(1, (Stakers, StakersParameters(**(SIMPLE | changes))))
    people = stage.people[0]
    assert isinstance(people, Stakers)
    for side in (BUY, SELL):
        message = np.zeros(1, MESSAGE)
        message["market"], message["account"], message["op"], message["side"] = PERP, -1, LIMIT, side
        message["order"] = message["cause"] = -1
        message["price_ticks"], message["size_lots"] = START_TICKS - side, 10**9
        stage.trade(message)
    return stage, people


def run(stage: Stage, people: Stakers, ticks: int, **view: Any) -> None:
    still = {"last_ticks": np.array([START_TICKS] * 2), "mark_ticks": np.array([START_TICKS] * 2)} | view
    for _ in range(ticks):
        stage.tick += 1
        stage.turn(people, stage.view(**still))
        stage.review(people, stage.view(**still))


def outside(people: Stakers) -> float:
    """Staked share of all wealth, at the opening price."""
    return float(people.staked.sum() / (people.staked.sum() + people.leaving.sum() + here(people)))


def here(people: Stakers) -> float:
    accounts = people.world.accounts
    value = accounts.position[0, people.rows] * START_TICKS * 100
    return float((accounts.cash[0, people.rows] + value - accounts.entry_cost[0, people.rows]).sum())


def test_the_opening_is_the_steady_state() -> None:
    stage, people = stakers()
    share = float(staked_share(0.03 - 0.08, 0.1))
    assert share == pytest.approx(1 / (1 + math.exp(0.5)))
    assert outside(people) == pytest.approx(share, abs=1e-9)
    lots = int(stage.accounts.position[0].sum())
    assert lots * START_TICKS * 100 == pytest.approx(4 * (1 - share) * 20e12, abs=20 * LOT)
    run(stage, people, 20)
    assert abs(int(stage.accounts.position[0].sum()) - lots) <= 20, "at rest; rounding of a lot each"


def test_a_higher_yield_draws_capital_and_open_interest_to_the_formula() -> None:
    stage, people = stakers(yields=[{"at_s": 5.0, "percent": 23.0}])
    start = int(stage.accounts.position[0].sum())
    before, after = float(staked_share(-0.05, 0.1)), float(staked_share(0.15, 0.1))
    run(stage, people, 4)
    assert outside(people) == pytest.approx(before, abs=1e-6)
    for looks in range(1, 5):
        run(stage, people, 1)
        # Half the distance at each look; a lot each may be left over, selling a tick below costs 1e-6 of notional.
        assert outside(people) == pytest.approx(after - (after - before) * 0.5**looks, abs=2 * LEFT_OVER)
    run(stage, people, 30)
    assert outside(people) == pytest.approx(after, abs=2 * LEFT_OVER)
    assert int(stage.accounts.position[0].sum()) / start == pytest.approx((1 - after) / (1 - before), rel=1e-3)
    leverage = stage.accounts.position[0].sum() * START_TICKS * 100 / here(people)
    assert leverage == pytest.approx(4.0, rel=1e-3), "what is left keeps its leverage"
    paid = sum(amount for _, receiver, _, amount, _ in stage.office.paid if receiver == -1)
    assert paid + round(before * 20e12) == pytest.approx(int(people.staked.sum()), abs=40)


def test_money_asked_back_waits() -> None:
    stage, people = stakers(yield_percent=23.0, yields=[{"at_s": 5.0, "percent": 3.0}], unbonding_s=50.0, speed=1.0)
    lots = int(stage.accounts.position[0].sum())
    run(stage, people, 50)
    assert people.leaving.sum() > 0 and abs(int(stage.accounts.position[0].sum()) - lots) <= 20
    run(stage, people, 10)
    now = int(stage.accounts.position[0].sum())
    after, before = float(staked_share(-0.05, 0.1)), float(staked_share(0.15, 0.1))
    assert people.leaving.sum() / 20e12 == pytest.approx(0.0, abs=1e-4)
    assert now / lots == pytest.approx((1 - after) / (1 - before), rel=2e-3)


def test_funding_makes_longs_leave() -> None:
    """Funding of 1 bp in 8 h is 10.95 % a year, times the leverage."""
    stage, people = stakers(funding_memory_s=1e-6)
    run(stage, people, 40, funding_bp=np.array([1.0, 0.0]))
    assert people.carry() == pytest.approx(4 * (0.02 - 1e-4 * FUNDING_A_YEAR))
    assert outside(people) == pytest.approx(float(staked_share(0.03 - people.carry(), 0.1)), abs=1e-4)


def test_tastes_differ_and_one_by_one_is_the_same() -> None:
    stage, people = stakers(taste_percent=5.0, look_s=3.0, yields=[{"at_s": 1.0, "percent": 30.0}])
    twin_stage, twin = stakers(taste_percent=5.0, look_s=3.0, yields=[{"at_s": 1.0, "percent": 30.0}])
    assert np.std(people.target(0.03, np.arange(20))) > 0.03
    for tick in (1, 2, 3):
        stage.tick = twin_stage.tick = tick
        view = stage.view()
        together = stage.ask(people, view)
        alone = [twin_stage.people[0].decide_one(view, _Me(n), None) for n in twin.woken(view).tolist()]  # type: ignore[arg-type]
        assert together.tolist() == np.concatenate(alone).tolist() and together.size


class _Me:
    def __init__(self, number: int) -> None:
        self.number = number


def test_in_the_model_money_is_exact_and_the_price_is_pressed() -> None:
    table = "{name='stakers',kind='staker',parameters={look_s=10,yields=[{at_s=20,percent=60}]}}"
    recorder = Recorder("fills")
    scenario = load_scenario("tiny", [f"participants=[{table}]", "news=[]", "treasuries=[]"])
    model = MarketModel(scenario, recorder=recorder)
    model.run()
    shown, events = recorder.run().participants, recorder.events_array
    sold = events[(events["kind"] == FILL_EVENT) & (events["reason"] == BY_STAKING)]
    assert sold.size and (sold["side"] == SELL).all()
    lots = shown["stakers.position_btc"]
    assert lots.iloc[-1] < 0.5 * lots.iloc[10] and shown["stakers.target_share"].iloc[-1] > 0.8
    gone = events[(events["kind"] == TRANSFER) & (events["reason"] == BY_STAKING)]["amount"].sum() / 1e6
    assert gone == pytest.approx(shown["stakers.staked_usd"].iloc[-1] - shown["stakers.staked_usd"].iloc[0])
