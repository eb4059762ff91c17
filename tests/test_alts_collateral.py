"""Other collateral in a whole run: what it counts for, a depeg at one venue, and coins that fall with the position."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abm import MarketModel
from abm.events import LIQUIDATION
from abm.recorder import Recorder
from abm.results import load_run
from abm.scenario import Scenario, ScenarioError, load_scenario
from abm.scenario_alts import listed
from abm.state import CROSS
from abm.units import MICRO
from abm.venues.preset import load_preset
from abm.verify import verify_run
from abm.world_alts import DepegTime, PeggedValue
from tests.stressed import write_run

USDE = {"name": "USDE", "accounts": 0.5, "replaced": 0.9}
DEPEG = {"at": "2025-10-10T20:40:05Z", "to": 0.3, "over_s": 80, "lasts_s": 90}


def small(collateral: dict[str, Any] | None, **changes: Any) -> Scenario:
    """`tiny` with other collateral: 300 accounts, half a minute, no news."""
    items = [collateral] if collateral else []
    venue = listed(load_preset("binance-multi-2025-10"), [], [item["name"] for item in items])
    table = {"venue": venue.model_dump(mode="json"), "collateral": items, "accounts": 300, "duration_s": 180}
    return load_scenario("tiny").changed(**(table | {"news": []} | changes))


def holders(model: MarketModel, asset: str) -> Any:
    """Retail rows that hold it, int64 (n,)."""
    rows = model.retail.rows
    return rows[model.accounts.cash[model.exchanges.assets.index(asset), rows] > 0]


def liquidated(scenario: Scenario) -> tuple[MarketModel, set[int]]:
    recorder = Recorder("fills")
    model = MarketModel(scenario, recorder=recorder)
    owners = set(holders(model, scenario.collateral[0].name).tolist()) if scenario.collateral else set()
    model.run()
    events = recorder.events_array
    found = set(events["account"][events["kind"] == LIQUIDATION].tolist())
    assert not scenario.collateral or found <= owners or scenario.news
    return model, found


def test_value_goes_down_and_comes_back_as_declared() -> None:
    value = PeggedValue(1.0, [DepegTime(100.0, 40.0, 1000.0, 0.65)], 10.0)
    seen = {}
    for tick in range(1, 121):
        value.advance(tick)
        seen[10 * tick] = value.usd
    assert seen[100] == 1.0 and seen[120] == pytest.approx(math.sqrt(0.65)) and seen[140] == pytest.approx(0.65)
    assert seen[1100] == pytest.approx(0.65) and seen[1120] == pytest.approx(math.sqrt(0.65))
    assert seen[1140] == pytest.approx(1.0) and seen[1200] == pytest.approx(1.0)


def test_it_counts_for_the_cash_it_stands_for() -> None:
    """1 $ less 10 % a token: tokens and what is left of the cash count as before, and nobody is near liquidation."""
    plain, other = MarketModel(small(None)), MarketModel(small(USDE))
    rows = holders(other, "USDE")
    held = np.flatnonzero(other.retail.opening.position_lots).size
    assert rows.size == pytest.approx(0.5 * held, abs=4 * math.sqrt(held / 4))
    number = rows - other.retail.rows[0]
    same = plain.retail.rows[number]
    slot = int(plain.markets.slot[plain.perp])
    wealth = plain.accounts.cash[0, same] + plain.accounts.margin[slot, same]
    cross = other.exchanges.venues[0].cross
    counted = other.accounts.cash[0, rows] + cross.collateral_value(rows, 0)
    assert (np.abs(counted - wealth) <= 2).all() and (other.accounts.mode[rows] == CROSS).all()
    tokens = other.accounts.cash[other.exchanges.assets.index("USDE"), rows]
    assert tokens == pytest.approx(0.9 * wealth / 0.9, rel=1e-5)
    assert other.exchanges.waiting() == 0


def test_a_depeg_here_liquidates_those_who_hold_it() -> None:
    calm, none = liquidated(small(USDE))
    broken, some = liquidated(small(USDE | {"depegs": [DEPEG]}))
    assert not none and len(some) > 5
    price = [(m.exchanges.last_ticks() * m.markets.tick_dollars)[m.pegs[0].market] for m in (calm, broken)]
    assert price[0] == pytest.approx(1.0, abs=0.002) and price[1] == pytest.approx(1.0, abs=0.05)
    # whoever had lost half of what counts and still was above maintenance was left alone
    fund = broken.exchanges.venues[0]
    seized = fund.cross.seized_value(fund.fund_row, 0)
    assert seized > 0


def test_it_verifies_and_its_price_is_recorded(tmp_path: Path) -> None:
    out = write_run(small(USDE | {"depegs": [DEPEG]}), tmp_path / "run")
    report = verify_run(out)
    assert report.ok, report.text
    rows = load_run(out).alts
    assert rows["coin"].unique().tolist() == ["USDE"] and rows["spot_usd"].min() == pytest.approx(0.3, rel=0.04)
    fair, price = rows["fair_usd"].to_numpy(), rows["spot_usd"].to_numpy()
    assert np.abs(price[5:] / fair[5:] - 1).max() < 0.08  # a few ticks behind a value that moves by 1.5 % a second


def test_coins_as_collateral_fall_with_the_position() -> None:
    """Wrong-way risk: equity is cash, coins at spot less 5 %, and profit; with the price all of it falls."""
    model = MarketModel(small({"name": "BTC", "accounts": 0.5, "replaced": 0.9}))
    rows, slot = holders(model, "BTC"), int(model.markets.slot[model.perp])
    a, dollars = model.accounts, float((model.exchanges.last_ticks() * model.markets.tick_dollars)[model.spot])
    longs = rows[a.position[slot, rows] > 0]
    coins = a.cash[model.exchanges.assets.index("BTC"), longs] / 1e8
    wanted = a.cash[0, longs] / MICRO + 0.95 * coins * dollars
    tick_value, mark = int(model.markets.tick_value[model.perp]), float(model.exchanges.mark_ticks[model.perp])
    value = a.position[slot, longs] * mark * tick_value
    wanted += (value - a.entry_cost[slot, longs]) / MICRO
    equity, _ = model.exchanges.venues[0].cross.equity(longs, model.perp)
    assert equity / MICRO == pytest.approx(wanted, rel=1e-6, abs=0.01)


def test_coins_as_collateral_liquidate_more_longs() -> None:
    """The same fall, paired, everybody in cross margin: with coins for cash accounts are liquidated sooner."""
    news = [{"name": "drop", "at": "2025-10-10T20:40:05Z", "over_s": 5, "change_percent": -25}]
    violent = {
        "duration_s": 60, "news": news, "retail.class_notional": [0.5, 0.2, 0.1, 0.2], "makers.depth_coins": 400,
        "retail.news_coins": 20_000, "retail.news_s": 10, "retail.news_width": 0.02, "retail.slip": 0.05,
    }  # fmt: skip
    alike = {"accounts": 1.0, "replaced": 0.9}
    dollars, coins = (liquidated(small({"name": name} | alike, **violent))[1] for name in ("USDE", "BTC"))
    assert len(coins) > len(dollars) > 0


def test_mistakes_are_named() -> None:
    with pytest.raises(ScenarioError, match="states no haircut"):
        load_scenario("collateral-depeg", ["collateral.USDE.name=SOL"])
    with pytest.raises(ScenarioError, match="lies outside the run"):
        load_scenario("collateral-depeg", ["duration_s=3000"])
    with pytest.raises(ScenarioError, match="coin of this world"):
        load_scenario("collateral-depeg", ["collateral.USDE.name=BTC"])
