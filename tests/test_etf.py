"""Funds: flows by the formula, shares against coins without loss, trade in US market hours only."""

from __future__ import annotations

from datetime import UTC, date, datetime
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abm import MarketModel
from abm.events import BY_CREATION, BY_REDEMPTION, FILL_EVENT, TRANSFER
from abm.market_hours import SESSION_S, StockHours, session, summer_time
from abm.recorder import Recorder
from abm.scenario import load_scenario
from abm.state import BUY, ETF, FUND, LIMIT, SELL, STAKER, TREASURY
from abm.traders.etf import Etf, EtfParameters, basket_coins
from tests.traders_world import SPOT_MARKET, START_TICKS, Stage

OPEN_S = 16 * 3600.0
"""Inside the session of Friday, 10 Oct 2025; the stage starts at midnight."""


# --- hours ------------------------------------------------------------------------------------------------------------
def test_hours_of_the_stock_market() -> None:
    assert session(date(2025, 11, 13)) == (14.5 * 3600, 21 * 3600), "winter"
    assert session(date(2025, 10, 10)) == (13.5 * 3600, 20 * 3600), "summer"
    assert session(date(2025, 11, 15)) is None and session(date(2025, 11, 27)) is None, "Saturday, Thanksgiving"
    assert summer_time(date(2025, 10, 31)) and not summer_time(date(2025, 11, 3))
    assert summer_time(date(2025, 3, 10)) and not summer_time(date(2025, 3, 7))
    hours = StockHours(datetime(2025, 11, 14, 12, tzinfo=UTC))  # Friday noon
    assert hours.open_s(0, 4 * 86_400) == 2 * SESSION_S, "Friday and Monday"
    assert hours.open_s(9_000 - 5, 9_000 + 5) == 5.0
    assert hours.closes(32_399, 32_400) and not hours.closes(32_400, 32_401)


# --- shares against coins ---------------------------------------------------------------------------------------------
@given(st.integers(1, 10**15), st.integers(2, 10**10), st.integers(1, 10**9), st.sampled_from([BUY, SELL]))
def test_nav_per_share_is_constant_to_less_than_one_satoshi(coins: int, held: int, shares: int, side: int) -> None:
    """C / S never falls, and the fund gains less than one satoshi; exact where coins a share are whole."""
    shares = min(shares, held - 1)
    moved = basket_coins(coins, held, shares, side)
    after = Fraction(coins + side * moved, held + side * shares)
    gain = (after - Fraction(coins, held)) * (held + side * shares)
    assert 0 <= gain < 1
    assert basket_coins(held * 56_800, held, shares, side) == shares * 56_800


def funds(**changes: object) -> tuple[Stage, Etf]:
    stage = Stage(1, (Etf, EtfParameters(**({"coins": 10_000.0} | changes))))
    fund = stage.people[0]
    assert isinstance(fund, Etf)
    fund._reserves = None  # type: ignore[assignment]  # the stage has no model
    stage.tick = int(OPEN_S)
    return stage, fund


def quote(stage: Stage, side: int, lots: int = 10**9) -> None:
    """Somebody who takes everything at the opening price."""
    message = np.zeros(1, stage.ask(stage.people[0], stage.view(seconds=0.0)).dtype)
    message["market"], message["account"], message["op"], message["side"] = SPOT_MARKET, -1, LIMIT, side
    message["order"], message["cause"], message["price_ticks"], message["size_lots"] = -1, -1, START_TICKS, lots
    stage.trade(message)


def session_of(stage: Stage, fund: Etf, seconds: int) -> None:
    for _ in range(seconds):
        stage.tick += 1
        stage.turn(fund, stage.view())
        stage.review(fund, stage.view())


@pytest.mark.parametrize("flow", [-40e6, 40e6])
def test_coins_a_share_stay_the_same_number(flow: float) -> None:
    stated = [{"day": "2025-10-10", "flow_usd": flow * SESSION_S / 300}]
    stage, fund = funds(flows=stated, work_s=20.0, least_rate_coins=5.0)
    quote(stage, -1 if flow > 0 else 1)
    before = Fraction(fund.custody_satoshi, fund.shares)
    session_of(stage, fund, 300)
    shares = fund.shares
    assert Fraction(fund.custody_satoshi, fund.shares) == before == 56_800
    assert np.sign(shares * 56_800 / 1e8 - 10_000) == np.sign(flow)
    assert fund.demanded_usd == pytest.approx(flow)
    # Everything demanded was traded but what the last seconds left open; no coin and no dollar is lost.
    assert fund.traded_usd + fund.open_micro / 1e6 == pytest.approx(flow, abs=1e-3)
    assert abs(fund.open_micro) / 1e6 < 0.1 * abs(flow)
    office_usd = sum(a * (1 if p == -1 else -1) for p, _, asset, a, _ in stage.office.paid if asset == 0 for p in [p])
    assert office_usd / 1e6 == pytest.approx(fund.traded_usd + max(fund.open_micro, 0) / 1e6, abs=1e-3)
    coins = int(stage.accounts.cash[1, fund.rows].sum()) / 1e8
    opening = round(10_000 / 22.72) * 22.72
    assert (coins - opening) * 116_830 == pytest.approx(fund.traded_usd, rel=1e-9)


def test_flow_follows_the_formula() -> None:
    _, fund = funds(scale=0.5, past_return=-0.04)
    look = fund.parameters.look_back_s
    flow = fund.session_flow_usd(0.25 * look, 116_830 * 0.98)
    assert flow == pytest.approx(0.5 * (100e6 + 5_701e6 * (np.log(0.98) - 0.75 * 0.04)))
    fund._prices.append(120_000.0)
    assert fund.look_back_return(2 * look, 108_000.0) == pytest.approx(np.log(0.9))
    _, stated = funds(flows=[{"day": "2025-10-10", "flow_usd": -866.7e6}])
    assert stated.session_flow_usd(OPEN_S, 90_000.0) == -866.7e6
    assert stated.session_flow_usd(OPEN_S + 86_400, 116_830.0) == pytest.approx(100e6)


def test_a_subscription_is_executed_like_the_flow() -> None:
    stage, fund = funds(base_flow_usd=0.0, flow_per_return_usd=0.0, work_s=5.0)
    quote(stage, -1)
    shares = fund.shares
    fund.subscribe(8e6)
    session_of(stage, fund, 200)
    assert fund.traded_usd == pytest.approx(8e6, rel=1e-3) and fund.demanded_usd == 8e6
    assert fund.shares - shares == int(8e6 / 116_830 / 22.72) * 40_000, "whole baskets"


def test_nobody_trades_outside_hours_and_pace_is_bounded() -> None:
    stage, fund = funds(flows=[{"day": "2025-10-10", "flow_usd": -5e9}], work_s=0.1)
    quote(stage, 1)
    stage.tick = 20 * 3600 - 3
    session_of(stage, fund, 3)
    assert fund.traded_usd < 0 and fund.open_micro < 0
    done = fund.traded_usd
    session_of(stage, fund, 3)
    assert fund.traded_usd == done, "the close"
    stage.tick = int(OPEN_S)
    orders = stage.ask(fund, stage.view(flow_lots=np.array([0.0, -60_000.0])))
    assert orders["size_lots"].tolist() == [500], "at least half a coin a second"
    orders = stage.ask(fund, stage.view(flow_lots=np.array([0.0, 600_000.0])))
    assert orders["size_lots"].tolist() == [2_000], "a fifth of the flow seen"


def test_a_fund_never_redeems_its_last_basket() -> None:
    stage, fund = funds(coins=50.0)
    fund.redeem(10**12, stage.office)
    assert fund.shares == 40_000 and fund.custody_satoshi == 40_000 * 56_800


# --- in the model -----------------------------------------------------------------------------------------------------
def test_redemptions_press_the_price_and_fill_the_reserve() -> None:
    """Signed effect in a small market, beside the same market without flow; money stays exact (the run audits it)."""
    lows = {}
    for flow in (0.0, -6e9):
        table = f"{{name='etf',kind='etf',parameters={{flows=[{{day='2025-10-10',flow_usd={flow}}}],work_s=30}}}}"
        settings = [f"participants=[{table}]", "start=2025-10-10T15:40:00Z", "news=[]", "treasuries=[]"]
        recorder = Recorder("fills")
        model = MarketModel(load_scenario("tiny", settings), recorder=recorder)
        kinds = model.accounts.kind
        model.run()
        run, events = recorder.run(), recorder.events_array
        shown = run.participants
        lows[flow] = float(run.steps["spot_usd"].iloc[-30:].mean())
        counted = (kinds < FUND) & ~np.isin(kinds, (ETF, STAKER, TREASURY))
        assert shown["etf.reserve_btc"].iloc[-1] == pytest.approx(model.accounts.cash[1, counted].sum() / 1e8)
        if flow:
            sold = events[(events["kind"] == FILL_EVENT) & (events["reason"] == BY_REDEMPTION)]
            lots = int(sold["size_lots"].sum()) * float(model.markets.lot_coins[model.spot])
            gone = shown["etf.reserve_btc"].iloc[-1] - shown["etf.reserve_btc"].iloc[0]
            assert lots > 50 and gone == pytest.approx(lots, rel=0.05), "coins sold lie at the venue"
            paid = events[(events["kind"] == TRANSFER) & (events["reason"] == BY_REDEMPTION)]
            assert paid.size and not (events["reason"] == BY_CREATION).any()
            ratio = shown["etf.custody_btc"] / shown["etf.shares_count"]
            assert np.ptp(ratio) < 1e-15 and shown["etf.shares_count"].iloc[-1] < shown["etf.shares_count"].iloc[0]
    assert lows[-6e9] < lows[0.0]
