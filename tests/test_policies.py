"""Each policy changes what it says and nothing else; whole runs stay audited."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from abm.events import FILL_EVENT, HALT, REOPEN
from abm.model import MarketModel
from abm.recorder import Recorder
from abm.scenario import load_scenario
from abm.venues.exchange import FUND_ROW

SHOCK = [{"name": "shock", "at": "20:40:05", "over_s": 5, "change_percent": -9}]


def model_of(**policies: Any) -> MarketModel:
    scenario = load_scenario("tiny").changed(
        {f"policies.{name}": value for name, value in policies.items()}, duration_s=60, accounts=200, news=SHOCK
    )
    return MarketModel(scenario, recorder=Recorder("fills"))


def test_leverage_cap_keeps_positions_and_adds_money() -> None:
    free, capped = model_of(), model_of(leverage_cap={"most": 5})
    assert np.array_equal(free.accounts.position, capped.accounts.position)
    assert capped.accounts.leverage[capped.retail.rows].max() == 5 < free.accounts.leverage[free.retail.rows].max()
    assert capped.accounts.margin.sum() > free.accounts.margin.sum()
    floor = model_of(initial_margin={"rate": 0.15})
    assert floor.accounts.leverage[floor.retail.rows].max() == 6


def test_professionals_obey_a_cap_and_go_on_trading() -> None:
    """At 1x nobody's account stands above the cap, and the makers' orders are not refused."""
    capped = model_of(leverage_cap={"most": 1})
    assert capped.accounts.leverage[capped.makers.rows].max() == 1
    assert capped.accounts.leverage.max() == 1
    depth = capped.latest["depth_bid_usd"]
    assert depth == pytest.approx(model_of().latest["depth_bid_usd"], rel=0.01)
    capped.run()
    assert capped.recorder.steps_array["volume_btc"].sum() > 0


def test_capital_rule_fills_the_fund_up() -> None:
    model = model_of(fund_capital={"share": 0.5})
    held = model.accounts.position[0]
    lots = int(held[(held > 0) & (model.accounts.kind < 6)].sum())
    worth = lots * int(model.exchanges.mark_ticks[model.perp]) * int(model.markets.tick_value[model.perp])
    assert int(model.accounts.cash[model.markets.settle[model.perp], FUND_ROW]) == pytest.approx(worth / 2, abs=1)
    model.run()


def test_obliged_makers_stay() -> None:
    free, obliged = model_of(), model_of(maker_obligation={"share": 1.0})
    free.run()
    obliged.run()
    assert obliged.recorder.steps_array["makers_quoting"].min() == 1.0
    assert free.recorder.steps_array["makers_quoting"].min() < 0.5


def test_circuit_breaker_halts_and_reopens() -> None:
    """While the markets stand still nothing trades; they open again within the run."""
    rule = {"move": 0.004, "window_s": 10, "halt_s": 10}
    model = model_of(circuit_breaker=rule)
    model.run()
    events = model.recorder.events_array
    halts, opens = (events[events["kind"] == kind] for kind in (HALT, REOPEN))
    assert halts.size > 0 and opens.size > 0
    first, again = int(halts["tick"][0]), int(opens["tick"][0])
    assert again - first == 10
    fills = events[events["kind"] == FILL_EVENT]["tick"]
    assert not ((fills > first) & (fills < again)).any() and (fills >= again).any()


def test_dynamic_margin_rises_with_volatility() -> None:
    model = model_of(dynamic_margin={"reference_percent": 0.1, "most": 2.0})
    before = model.markets.tier_maintenance[model.perp].copy()
    model.run()
    after = model.markets.tier_maintenance[model.perp]
    assert (after >= before).all() and after[0] > before[0]
    assert after[0] <= 2 * before[0]


def test_disclosure_publishes_every_isolated_position_in_reach() -> None:
    model = model_of(disclosure={"every_s": 1.0, "reach": 0.9, "step": 0.01})
    model.step()
    policy = model.policies.disclosure
    assert policy is not None
    profile = policy.published(model.perp)
    desk = model.exchanges.desks[0]
    rows = np.flatnonzero(model.accounts.position[0])
    ticks = desk.ladder.liquidation_ticks(rows)
    near = (ticks > 0) & (np.abs(ticks / desk.mark_ticks - 1) < 0.9)
    lots = np.abs(model.accounts.position[0, rows[near]]).sum()
    assert profile is not None and profile.lots.sum() == pytest.approx(lots, rel=0.02)
