"""Oracle O8, covenant part, through the whole model: 10,000 coins, 400 million of debt, LTV limit one half."""

from __future__ import annotations

import pytest

from abm import MarketModel
from abm.events import BY_COVENANT, COVENANT, FILL_EVENT, TRANSFER
from abm.recorder import Recorder
from abm.scenario import load_scenario
from abm.traders.treasury import coins_to_sell, covenant_price


def test_a_covenant_forces_the_sale_that_theory_asks_for() -> None:
    debt, coins, limit = 400e6, 10_000.0, 0.5
    company = {"coins": coins, "debt_usd": debt, "cash_usd": 0.0, "review_s": 10.0}
    company |= {"ltv_limit": limit, "ltv_target": limit}
    fall = {"name": "fall", "at": "2025-10-10T20:40:30Z", "over_s": 60, "change_percent": -8}
    scenario = load_scenario("tiny").changed(
        {"world.start_price_usd": 84_000.0, "world.fair_volatility_bp": 0.0},
        duration_s=900,
        accounts=300,
        news=[fall],
        treasuries=[company | {"least_rate_coins": 5.0}],
        retail__panic=0.0,
        makers__depth_coins=40_000.0,
        makers__thinning_max=1.0,
        arbitrageurs__outside_coins=30_000.0,
        noise__rate_coins=0.0,
    )
    recorder = Recorder("fills")
    model = MarketModel(scenario, recorder=recorder)
    model.run()
    events, dollars = recorder.events_array, model.markets.tick_dollars[model.spot]
    breaches = events[events["kind"] == COVENANT]
    assert breaches.size >= 1
    touched = breaches["price_ticks"] * dollars <= covenant_price(debt, coins, limit)
    assert touched.all(), "touched only below P* = 80,000"
    first = breaches[0]
    price = float(first["price_ticks"] * dollars)
    wanted = coins_to_sell(debt, coins, price, limit)
    assert first["size_lots"] * model.markets.lot_coins[model.spot] == pytest.approx(wanted, abs=2e-4)
    sales = events[(events["kind"] == FILL_EVENT) & (events["reason"] == BY_COVENANT)]
    assert sales.size and set(sales["side"]) == {-1} and set(sales["market"]) == {model.spot}
    repaid = events[(events["kind"] == TRANSFER) & (events["reason"] == BY_COVENANT)]["amount"].sum() / 1e6
    proceeds = (sales["amount"] - sales["fee_taker"]).sum() / 1e6
    treasury = model.treasuries[0]
    spot = float(model.latest["spot_usd"])
    assert repaid <= proceeds + 1e-6 and treasury.debt_usd == pytest.approx(debt - repaid)
    assert treasury.loan_to_value(spot) == pytest.approx(limit, abs=0.005), "the ratio is restored, and no more is sold"
