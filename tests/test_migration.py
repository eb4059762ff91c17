"""Money that moves between venues: the logit's steady state and its relaxation, conservation, and who moves."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abm import MarketModel
from abm.clearing.audit import audit_money
from abm.events import BY_MIGRATION, TRANSFER
from abm.recorder import Recorder
from abm.results import RunWriter
from abm.scenario import Scenario, load_scenario
from abm.state import Accounts
from abm.traders.competition import flat
from abm.traders.migration import Migration, logit, net_flows, pieces
from abm.units import MICRO
from abm.venues.exchange import OUTSIDE_ROW
from abm.verify import verify_run

STILL: dict[str, Any] = {
    "noise.rate_coins": 0.0, "retail.open_interest_coins": 5.0, "retail.long_accounts": 0.1,
    "retail.short_accounts": 0.1, "retail.idle_s": 1e12, "retail.holding_s": 1e12, "retail.trend_share": 0.0,
    "retail.value_share": 0.0, "retail.short_gain": 0.0, "retail.news_coins": 0.0, "retail.stop_share": 0.0,
    "retail.profit_share": 0.0, "world.fair_volatility_bp": 0.0,
}  # fmt: skip
"""A world in which nobody trades: nearly all accounts are flat and stay so."""


def small(parameters: dict[str, Any] | None = None, **changes: Any) -> Scenario:
    own = {"review_s": 2.0, "time_s": 20.0, "delay_s": 0.0, **(parameters or {})}
    joined = [{"name": "movers", "kind": "migration", "parameters": own}]
    base = {"accounts": 200, "duration_s": 40, "news": [], "participants": joined}
    return load_scenario("two-venues").changed(base | changes)


def movers_of(model: MarketModel) -> Migration:
    found = next(one for one in model.places[0].joined if isinstance(one, Migration))
    return found


# --- the rule ---------------------------------------------------------------------------------------------------------
amounts = st.lists(st.integers(0, 10**12), min_size=1, max_size=12)


@given(amounts, amounts)
def test_pieces_give_all_that_leaves(leaving: list[int], wanted: list[int]) -> None:
    gone, quota = np.array(leaving, np.int64), np.array(wanted, np.int64)
    if gone.sum() > quota.sum():
        quota[-1] += gone.sum() - quota.sum()
    who, place, amount = pieces(gone, quota)
    assert (amount > 0).all() and amount.sum() == gone.sum()
    assert (np.bincount(who, amount, gone.size).astype(np.int64) == gone).all()
    assert (np.bincount(place, amount, quota.size).astype(np.int64) <= quota).all()


@given(st.lists(st.floats(0.1, 1e9), min_size=2, max_size=5), st.floats(0.01, 1.0), st.floats(-2, 2))
def test_flows_balance_and_stop_at_the_logit(money: list[float], part: float, pull: float) -> None:
    held = np.array(money)
    attraction = np.zeros(held.size)
    attraction[0] = pull
    share = logit(held, attraction)
    leaves, enters = net_flows(held, share, part, held)
    assert leaves.sum() == pytest.approx(enters.sum(), rel=1e-9, abs=1e-9)
    assert ((leaves == 0) | (enters == 0)).all(), "the net only"
    assert held - leaves + enters == pytest.approx(held + part * (share * held.sum() - held))
    odds = share / share[-1]
    assert odds[0] == pytest.approx(money[0] / money[-1] * math.exp(pull)), "odds move by the exponential"
    still, _ = net_flows(held, logit(held, np.zeros(held.size)), part, held)
    assert still.max() < 1e-6 * held.max(), "nothing moves while nothing has changed"


def test_who_has_an_order_in_the_book_stays() -> None:
    accounts = Accounts.empty(3, 2, 1)
    accounts.position[0, 0], accounts.reserved[1, 1] = -2, 5
    assert flat(accounts, np.arange(3)).tolist() == [False, False, True]


# --- in a world -------------------------------------------------------------------------------------------------------
def test_shares_relax_to_the_logit() -> None:
    """A venue that suddenly offers more leverage: money follows the closed form to a dollar, review by review."""
    model = MarketModel(small({"leverage": 0.4, "etf_share": 0.2}, **STILL))
    movers = movers_of(model)
    model.step()
    perp = model.places[1].perp
    start = np.array([movers._money(home).sum() / MICRO for home in movers.homes] + [movers.etf_usd])
    assert start[2] / start.sum() == pytest.approx(0.2)
    model.markets.tier_leverage[perp, 0] *= 10
    pi = logit(start, np.array([0.0, 0.4 * math.log(10), 0.0]))
    assert pi[1] / pi[0] == pytest.approx(start[1] / start[0] * 10**0.4)
    # reviews at ticks 2, 4, ...: what is posted at one arrives with the next tick
    for review in range(1, 19):
        model.step()
        model.step()
        expected = pi * start.sum() + (start - pi * start.sum()) * math.exp(-2.0 * review / 20.0)
        found = [movers._money(home).sum() / MICRO for home in movers.homes] + [movers.etf_usd]
        assert np.array(found) == pytest.approx(expected, abs=1.0), review
    assert model.tick == 37


def test_nothing_moves_while_nothing_changes() -> None:
    recorder = Recorder("fills")
    MarketModel(small(**STILL), recorder=recorder).run()
    events = recorder.events_array
    assert not ((events["kind"] == TRANSFER) & (events["reason"] == BY_MIGRATION)).any()


def test_losses_are_not_made_good_by_others() -> None:
    """Money that is lost at a venue is gone: its home weight falls with it, and nobody refills it."""
    model = MarketModel(small(**STILL))
    movers = movers_of(model)
    home = movers.homes[0]
    rows = home.place.retail.rows
    for row in rows[:60].tolist():
        model.floor.transfer(row, home.outside, home.settle, int(model.accounts.cash[home.settle, row]) // 2)
    before = [int(movers._money(home).sum()) for home in movers.homes]
    model.run()
    assert [int(movers._money(home).sum()) for home in movers.homes] == pytest.approx(before, rel=1e-5)


def test_not_a_unit_is_lost_on_the_way() -> None:
    """Outside worlds hold what is on the way and what went to the fund, exactly, tick by tick, in a busy world."""
    busy: dict[str, Any] = {"retail.idle_s": 400.0, "retail.holding_s": 20.0, "bridges.capital_coins": 0.0}
    told: list[float] = []
    model = MarketModel(small({"delay_s": 5.0, "time_s": 10.0, "regulation": 1.0}, **busy))
    movers = movers_of(model)
    movers._subscribe = told.append
    outside = [place.first_row + OUTSIDE_ROW for place in model.places]
    model.step()
    movers.homes[1].distress = 0.3
    before = int(model.accounts.cash[movers.homes[0].settle, outside].sum())
    flew = trades = False
    while model.running:
        model.step()
        flying = sum(int(item.amounts.sum()) for item in movers.on_the_way)
        moved = int(model.accounts.cash[movers.homes[0].settle, outside].sum()) - before
        assert moved == flying + movers.etf_micro
        trades = trades or model.latest["volume_btc"] > 0
        audit_money(model.floor, model.exchanges.assets)
        flew = flew or flying > 0
    assert flew and trades and movers.etf_micro > 0
    assert sum(told) * MICRO == pytest.approx(movers.etf_micro)
    assert movers.homes[1].net_micro < 0 < movers.homes[0].net_micro


def test_whole_accounts_leave_a_venue_that_deleveraged_them() -> None:
    """With the default push, after 14 % of open interest is deleveraged, about 0.4 of the traders stay."""
    only = {"etf_share": 0.0, "regulation": 0.0, "memory_s": 1e12}
    first_is_large = {"others.bybit-2025-10.share": 0.1}
    model = MarketModel(small({**only, "time_s": 2.0}, **STILL, **first_is_large))
    movers = movers_of(model)
    model.step()
    count = movers.measured()["bybit_traders"]
    there = movers._money(movers.homes[1]).sum() / sum(movers._money(home).sum() for home in movers.homes)
    movers.homes[1].distress = 0.141
    model.run()
    push = math.exp(-6.5 * 0.141)
    after = movers._money(movers.homes[1]).sum() / sum(movers._money(home).sum() for home in movers.homes)
    assert after == pytest.approx(there * push / (there * push + 1 - there), rel=1e-3)
    assert push == pytest.approx(0.4, abs=0.01)
    assert movers.measured()["bybit_traders"] < 0.8 * count
    assert movers.measured()["bybit_net_usd"] == pytest.approx(-movers.measured()["binance_net_usd"])


def test_fear_drives_money_to_regulated_places() -> None:
    """Deleveraging anywhere pulls to the regulated venue and the fund by the same factor."""
    three = dict.fromkeys(("most_leverage", "entrant_long_leverage", "entrant_short_leverage"), 3)
    regulated = {"name": "regulated-2025-10", "share": 0.3, "retail": three, "makers": {"leverage": 3}}
    thursday = {"others": [regulated], "start": "2025-10-09T15:00:00Z"}
    model = MarketModel(small({"memory_s": 1e12, "fund": 0.0}, **STILL, **thursday))
    movers = movers_of(model)
    movers.homes[0].distress = 0.2
    weight = movers.base[0] / movers.base[:2].sum()
    attraction = movers.attraction()
    assert [home.regulated for home in movers.homes] == [False, True]
    assert attraction == pytest.approx([-6.5 * 0.2, 2.0 * 0.2 * weight, 2.0 * 0.2 * weight])
    model.run()
    figures = movers.measured()
    assert figures["regulated_net_usd"] > 0 and figures["to_etf_usd"] > 0 > figures["binance_net_usd"]


def test_the_independent_replayer_agrees(tmp_path: Path) -> None:
    busy: dict[str, Any] = {"retail.idle_s": 400.0, "retail.holding_s": 20.0, "duration_s": 20}
    scenario = small({"delay_s": 3.0, "fund": 2.0}, **busy).changed({"news": [
        {"name": "shock", "at": "20:40:05", "over_s": 3, "change_percent": -6.0}]})  # fmt: skip
    with RunWriter(tmp_path / "run", scenario=scenario.resolved(), name="move", title="", seed=1) as writer:
        MarketModel(scenario, recorder=writer).run()
        writer.close_data()
        writer.finish({}, [])
        report = verify_run(writer.publish())
    assert report.ok, report.text
