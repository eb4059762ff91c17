"""Altcoins beside BTC at one venue: amounts and beliefs, shared accounts, and what must not change."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abm import MarketModel
from abm.events import LIQUIDATION
from abm.measures import summary
from abm.recorder import Recorder
from abm.results import load_run
from abm.scenario import Scenario, ScenarioError, from_resolved, load_scenario
from abm.scenario_alts import alt_setups, listed
from abm.state import CROSS, MAKER
from abm.venues.preset import load_preset
from abm.verify import verify_run
from abm.world import NewsStep
from abm.world_alts import AltFairValue
from tests.stressed import write_run

ETH = {"name": "ETH", "start_price_usd": 4363.0, "share": 0.5, "shared": 0.4}
VIOLENT = {
    "makers": {"depth_coins": 3000.0, "spot_share": 0.1},
    "retail": {"news_coins": 300_000, "news_s": 10, "news_width": 0.02, "slip": 0.05},
    "arbitrageurs": {"rate_coins": 60_000, "full": 0.0001, "capital_coins": 250_000},
}
HOT: dict[str, Any] = {"accounts": 400, "duration_s": 60, "retail.class_notional": [0.5, 0.2, 0.1, 0.2]}
"""A thin ETH market with traders on news, and high leverage."""
DROP = {"name": "drop", "at": "2025-10-10T20:40:10Z", "over_s": 10, "change_percent": -12}


def small(alt: dict[str, Any] | None = None, **changes: Any) -> Scenario:
    """`tiny` with an ETH market: 200 and 100 accounts, half a minute, quiet unless told."""
    coins = [] if alt is None else [ETH | alt]
    preset = listed(load_preset("binance-multi-2025-10"), ["ETH"] if coins else [], [])
    venue = preset.model_dump(mode="json")
    table = {"venue": venue, "alts": coins, "accounts": 200, "duration_s": 30, "news": []}
    return load_scenario("tiny").changed(**(table | changes))


def run(scenario: Scenario) -> tuple[MarketModel, Recorder]:
    recorder = Recorder("fills")
    model = MarketModel(scenario, recorder=recorder)
    model.run()
    return model, recorder


# --- what a scenario says ---------------------------------------------------------------------------------------------
def test_amounts_are_a_share_of_btc_in_dollars() -> None:
    s = small({"makers": {"count": 7}, "volatility_ratio": 2.0, "beta": 1.5})
    lead = s.venue_setups()[0]
    [(coin, eth)] = alt_setups(s, lead)
    ratio = 0.5 * s.world.start_price_usd / 4363.0
    assert coin.name == "ETH" and eth.makers.count == 7
    assert eth.makers.depth_coins == pytest.approx(ratio * lead.makers.depth_coins)
    assert eth.retail.open_interest_coins == pytest.approx(ratio * lead.retail.open_interest_coins)
    assert eth.noise.orders_s == pytest.approx(0.5 * lead.noise.orders_s)
    assert eth.retail.accounts == 100 and eth.retail.panic_drawdown == 2.0 * lead.retail.panic_drawdown
    assert eth.retail.path_ratio[2] == pytest.approx(lead.retail.path_ratio[2] ** 1.5)
    assert [m.name for m in (*eth.preset.spot, *eth.preset.perpetual)] == ["ETHUSDT-SPOT", "ETHUSDT"]
    assert eth.seed != lead.seed and from_resolved(s.resolved()).resolved() == s.resolved()


def test_mistakes_are_all_named() -> None:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(
            "altcoin-spillover",
            ["alts.ETH.makers.cuont=3", "alts.ETH.retail.trend_share=0.9", "alts.ETH.share=-1"],
        )
    assert any("alts.ETH.share" in line for line in caught.value.lines)
    with pytest.raises(ScenarioError) as caught:
        load_scenario("altcoin-spillover", ["alts.ETH.makers.cuont=3"])
    assert any(line.startswith("alts.ETH.makers.cuont") for line in caught.value.lines)
    with pytest.raises(ScenarioError) as caught:
        load_scenario("altcoin-spillover", ["alts.ETH.retail.trend_share=0.9"])
    assert any(line.startswith("alts.ETH.retail.trend_share + retail.value_share") for line in caught.value.lines)
    with pytest.raises(ScenarioError, match="lists no spot market"):
        load_scenario("altcoin-spillover", ["alts.ETH.name=SOL"])
    with pytest.raises(ScenarioError, match="a run has exactly one"):
        load_scenario("october-2025", ["venue.preset=binance-multi-2025-10"])


# --- what it is worth -------------------------------------------------------------------------------------------------
def test_belief_is_the_stated_formula() -> None:
    value = AltFairValue(4000.0, 1.5, 0.25, 2.0, 0.0, [NewsStep(5.0, 10.0, -0.1)], 1, 1.0)
    value.advance(10, math.log(0.95), math.log(0.9), 0.01)
    half = math.log(0.9) * 0.5
    wanted = 1.5 * (0.75 * math.log(0.95) + 0.25 * math.log(0.9)) + 2.0 * 0.01 + half
    assert value.usd == pytest.approx(4000.0 * math.exp(wanted), rel=1e-12)
    assert value.news_change == pytest.approx(math.expm1(half), rel=1e-12)
    walk = AltFairValue(4000.0, 0.0, 0.0, 0.0, 0.001, [], 1, 4.0)
    logs = []
    for tick in range(1, 4001):
        walk.advance(tick, 0.0, 0.0, 0.0)
        logs.append(math.log(walk.usd))
    assert np.std(np.diff(logs)) == pytest.approx(0.002, rel=4 / math.sqrt(2 * 4000))


def test_everybody_sees_values_in_the_ticks_of_the_market() -> None:
    model = MarketModel(small({}))
    eth = model.alts[0]
    dollars = model.markets.tick_dollars
    assert (model.view.fair_ticks * dollars)[[eth.perp, eth.spot]] == pytest.approx([4363.0, 4363.0])
    assert model.view.fair_ticks[model.perp] * dollars[model.perp] == pytest.approx(model.world.usd)
    assert eth.retail.seat == 1 and model.views[1].seed == eth.setup.seed != model.views[0].seed
    last = model.exchanges.last_ticks() * dollars
    assert last[[eth.perp, eth.spot]] == pytest.approx([4363.0, 4363.0], rel=1e-6)


# --- accounts ---------------------------------------------------------------------------------------------------------
def test_shared_accounts_hold_both_on_one_side_in_cross_margin() -> None:
    model = MarketModel(small({"shared": 0.4}))
    eth, a = model.alts[0], model.accounts
    slots = [int(model.markets.slot[m]) for m in (model.perp, eth.perp)]
    rows = eth.retail.rows[eth.retail.members]
    held = np.flatnonzero(eth.retail.opening.position_lots).size
    assert rows.size == pytest.approx(0.4 * held, abs=2) and np.unique(rows).size == rows.size
    assert set(rows.tolist()) <= set(model.retail.rows.tolist())
    btc, own = (a.position[slot, rows] for slot in slots)
    assert (np.sign(btc) == np.sign(own)).all() and (own != 0).all() and (a.mode[rows] == CROSS).all()
    assert not a.margin[:, rows].any() and (a.cash[model.markets.settle[eth.perp], rows] > 0).all()
    assert a.position[slots[1]].sum() == 0 and a.position[slots[0]].sum() == 0
    cross = model.exchanges.venues[0].cross
    assert set(rows.tolist()) <= set(cross.members(eth.perp).tolist())
    alone = MarketModel(small({"shared": 0.0})).alts[0]
    assert alone.retail.members.size == 0
    assert (alone.retail.opening.position_lots == eth.retail.opening.position_lots).all()


def test_a_loss_in_one_coin_liquidates_the_other() -> None:
    """ETH alone falls by news of its own, without beta: BTC positions are forced in shared accounts only."""
    news = [DROP | {"change_percent": -25}]
    calm = {"beta": 0.0, "news": news, "volatility_bp": 0.0} | VIOLENT
    forced = {}
    for shared in (0.0, 0.6):
        model, recorder = run(small(calm | {"shared": shared}, **HOT))
        events = recorder.events_array
        started = events[events["kind"] == LIQUIDATION]
        in_btc = started["account"][started["market"] == model.perp]
        forced[shared] = in_btc.size
        eth = model.alts[0]
        assert int((started["market"] == eth.perp).sum()) > 0
        assert set(in_btc.tolist()) <= set(eth.retail.rows[eth.retail.members].tolist())
    assert forced[0.6] > 0 and forced[0.0] == 0


# --- the same as ever -------------------------------------------------------------------------------------------------
def test_without_beta_and_shared_accounts_btc_does_not_notice() -> None:
    """Every BTC fill is the same with and without an ETH market in which nothing happens that concerns BTC.

    Nobody is forced in ETH: forced orders open a round in which all machines act, those of BTC too.
    """
    found = []
    for alt in (None, {"beta": 1.3, "shared": 0.0, "price_weight": 1.0}):
        _, recorder = run(small(alt, news=[DROP | {"change_percent": -3}], makers__follow_news=0.0))
        columns = ["perp_usd", "spot_usd", "volume_btc", "depth_bid_usd", "liquidated_long_usd"]
        found.append(recorder.steps_array[columns])
    assert (found[0] == found[1]).all()


def test_two_runs_have_the_same_bytes_and_verify(tmp_path: Path) -> None:
    s = small(VIOLENT, news=[DROP | {"change_percent": -25}], **HOT | {"venue.backstop.size_usd": 1000})
    hashes = []
    for name in ("one", "two"):
        out = write_run(s, tmp_path / name)
        report = verify_run(out)
        assert report.ok, report.text
        files = [(out / file).read_bytes() for file in ("events.parquet", "alts.parquet", "closing.parquet")]
        hashes.append(hashlib.sha256(b"".join(files)).digest())
    assert hashes[0] == hashes[1]
    loaded = load_run(tmp_path / "one")
    assert loaded.alts["coin"].unique().tolist() == ["ETH"] and len(loaded.alts) == 60
    assert loaded.alts["fair_usd"].iloc[0] == pytest.approx(4363, rel=0.01)
    whole = summary(loaded)
    eth = whole["alts"]["ETH"]
    assert eth["fall_percent"] < -10 and eth["liquidated_usd"] > 0 and eth["adl_usd"] > 0 and eth["depth_ratio"] > 1
    assert eth["fund_change_usd"] == whole["fund_change_usd"]
    assert eth["liquidated_accounts"] + whole["liquidated_accounts"] > eth["liquidated_in_both_accounts"] > 0


def test_makers_of_both_coins_quote_from_the_start() -> None:
    model = MarketModel(small({}))
    assert (model.accounts.kind == MAKER).sum() == 2 * model.setup.makers.count
    assert (model.view.bid_ticks >= 0).all() and model.books.best(model.alts[0].perp, 1) > 0
