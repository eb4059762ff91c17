"""Legs, concentration, recovery of the book, deleveraging: measures on runs made by hand, and on the real minutes."""

import csv
import math
import os
from pathlib import Path

import numpy as np
import pytest

from abm.events import BY_LIQUIDATION, DELEVERAGE, FILL_EVENT, LIQUIDATION
from abm.measures import summary
from abm.measures.adl import gini, hill
from abm.measures.path import candles, legs, minute_of, returns, seconds_of
from abm.state import BUY, SELL
from tests.test_measures import event, flat, run_of

DATA = Path(os.environ.get("DELEVERAGE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
MINUTES = DATA / "binance_usdm_btcusdt_1m_20251010_2101_2204.csv"
FIVE_MINUTES = DATA / "binance_usdm_btcusdt_5m_20250915_20251115.csv"
NEWS_AT = 600


def with_news(n: int, **columns: object) -> dict[str, object]:
    news = np.zeros(n)
    news[NEWS_AT] = -0.02
    return flat(n, news_fair_change=news, **columns)


def bars_of(closes: list[float]) -> np.ndarray:
    """Candles whose highs and lows are their ends."""
    opened, close = np.array(closes[:-1]), np.array(closes[1:])
    return np.stack([opened, np.maximum(opened, close), np.minimum(opened, close), close])


# --- legs -------------------------------------------------------------------------------------------------------------
def test_legs_are_falls_with_pauses() -> None:
    assert legs(bars_of([100, 99, 98.5, 99.5])) == []
    assert legs(bars_of([100, 97, 95])) == pytest.approx([-5])
    assert legs(bars_of([100, 97, 98, 95])) == pytest.approx([-5]), "a rise of one per cent is no pause"
    assert legs(bars_of([100, 97, 100, 95, 99, 90])) == pytest.approx([-3, -5, 100 * (90 / 99 - 1)])
    assert legs(bars_of([100, 90, 99, 95, 99, 92])) == pytest.approx([-10]), "after the low nothing counts"


def test_inside_a_candle_the_end_that_it_closed_away_from_came_first() -> None:
    falling = np.array([[100.0], [104.0], [96.0], [97.0]])
    assert legs(falling) == pytest.approx([100 * (96 / 104 - 1)])
    rising = np.array([[100.0], [104.0], [96.0], [103.0]])
    assert legs(rising) == pytest.approx([-4])


def test_minutes_are_those_of_the_clock() -> None:
    n = 150
    price = np.arange(1.0, n + 1)
    run = run_of(flat(n, perp_usd=price, perp_low_usd=price), start="2025-10-10T20:40:30+00:00")
    seconds = seconds_of(run.steps, run.info["start"])
    minutes = minute_of(seconds, run.info["start"])
    assert np.bincount(minutes).tolist() == [30, 60, 60]
    bars = candles(run.steps, minutes)
    assert bars[3].tolist() == [30, 90, 150] and bars[0].tolist() == [1, 30, 90]
    assert bars[1].tolist() == [30, 90, 150] and bars[2].tolist() == [1, 30, 90]


def real_minutes() -> np.ndarray:
    if not (MINUTES.exists() and FIVE_MINUTES.exists()):
        pytest.skip("the candles of Binance are not part of the project; DELEVERAGE_DATA names their folder")
    names = ("open", "high", "low", "close")
    found = []
    for path, first, last in ((FIVE_MINUTES, "20:50", "20:56"), (MINUTES, "21:01", "21:59")):
        with path.open() as file:
            found += [
                [float(row[name]) for name in names]
                for row in csv.DictReader(file)
                if row["utc"].startswith("2025-10-10 ") and first <= row["utc"][11:16] <= last
            ]
    return np.array(found).T


def test_the_real_evening_had_three_legs() -> None:
    """Five-minute candles to 21:00, then minutes; the number depends on the pause as the documentation says."""
    bars = real_minutes()
    assert legs(bars) == pytest.approx([-6.6, -6.1, -8.4], abs=0.1)
    assert [len(legs(bars, pause=pause)) for pause in (0.005, 0.01, 0.02, 0.025, 0.03, 0.04)] == [5, 5, 5, 3, 3, 2]


# --- the path in minutes ----------------------------------------------------------------------------------------------
def test_widest_minute_and_legs_of_a_run() -> None:
    n = 1800
    price = np.full(n, 100.0)
    price[700:760], price[760:820], price[820:] = 95.0, 98.0, 90.0
    s = summary(run_of(with_news(n, perp_usd=price, perp_low_usd=price)))
    assert s["legs"] == 2 and s["largest_leg_percent"] == pytest.approx(100 * (90 / 98 - 1))
    assert s["minute_range_max_percent"] == pytest.approx(100 * 8 / 98)
    assert math.isnan(summary(run_of(flat(400)))["legs"]), "without news there is no fall to take apart"


def test_multiplier_by_what_is_left() -> None:
    n = 5000
    price = np.full(n, 100.0)
    price[700:], price[900:] = 90.0, 97.5
    s = summary(run_of(with_news(n, perp_usd=price, perp_low_usd=price)))
    assert s["recovery_60min_percent"] == pytest.approx(75) and s["multiplier_left_60min"] == pytest.approx(4)
    assert s["multiplier"] == pytest.approx(5) and math.isnan(s["multiplier_left_24h"])
    real = 100 * (101_516.5 / 116_830 - 1)
    assert s["multiplier_news_24h"] == pytest.approx(-10 / (0.43 * real))


def test_returns_of_white_noise() -> None:
    n = 300 * 10 * 30
    g = np.random.default_rng(1)
    price = 100 * np.exp(np.cumsum(1e-4 * g.standard_normal(n)))
    run = run_of(flat(n, perp_usd=price, perp_low_usd=price, volume_btc=np.full(n, 0.5)))
    found = returns(run.steps, seconds_of(run.steps, run.info["start"]))
    assert found["bar_sd_bp"] == pytest.approx(math.sqrt(300), rel=0.2)
    assert abs(found["bar_kurtosis"]) < 1.2 and abs(found["bar_acf_return"]) < 4 / math.sqrt(300)
    assert found["bar_volume_btc"] == 150
    assert math.isnan(summary(run_of(flat(400)))["bar_sd_bp"])


# --- the book ---------------------------------------------------------------------------------------------------------
def test_how_long_depth_and_spread_are_away() -> None:
    n = 1800
    depth, spread = np.full(n, 200.0), np.full(n, 0.1)
    depth[700:900], spread[745:755] = 15.0, 20.0
    s = summary(run_of(with_news(n, depth_bid_usd=depth, spread_bp=spread)))
    assert s["depth_collapse_min"] == pytest.approx(3.5)  # snapshots at 720, 750, ..., 900
    assert s["spread_widest_times"] == pytest.approx(200) and s["spread_max_bp"] == 20
    assert s["depth_half_back_min"] == pytest.approx(3.5)


def test_takers_after_the_low() -> None:
    n = 1800
    low, volume, net = np.full(n, 100.0), np.ones(n), np.full(n, -0.5)
    low[899], net[900:1200] = 90.0, 0.25
    s = summary(run_of(with_news(n, perp_low_usd=low, volume_btc=volume, net_taker_btc=net)))
    assert s["rebound_net_taker_percent"] == pytest.approx(25) and s["rebound_volume_btc"] == 300
    assert s["peak_minute_volume_btc"] == 60


# --- forced trading ---------------------------------------------------------------------------------------------------
def test_concentration_in_minutes() -> None:
    n = 6000
    longs, shorts = np.zeros(n), np.zeros(n)
    longs[700:720], shorts[705] = 2.0, 10.0  # one minute: 40 and 10
    longs[2000], longs[5000] = 30.0, 20.0
    s = summary(run_of(with_news(n, liquidated_long_usd=longs, liquidated_short_usd=shorts)))
    assert s["peak_minute_liquidated_usd"] == 50 and s["peak_minute_share_percent"] == pytest.approx(50)
    assert s["peak_minute_long_share_percent"] == pytest.approx(80)
    assert s["worst_40min_share_percent"] == pytest.approx(80)
    assert s["evening_share_percent"] == pytest.approx(80)  # 21:30 is 3000 s after the start


def test_accounts_by_side_and_busiest_minute_of_fills() -> None:
    sold = {"side": SELL, "price_ticks": 1_000_000, "reason": BY_LIQUIDATION}
    rows = [event(i, LIQUIDATION, account=i, size_lots=1, side=SELL if i < 3 else BUY) for i in range(4)]
    rows += [
        event(10 + i, FILL_EVENT, tick=tick, account=0, size_lots=1, **sold) for i, tick in enumerate((1, 9, 50, 70))
    ]
    s = summary(run_of(flat(100), np.concatenate(rows)))
    assert s["long_share_accounts_percent"] == 75 and s["liquidated_accounts"] == 4
    assert s["peak_minute_fills_percent"] == 75


def test_deleveraging_who_how_much_and_too_far() -> None:
    """Two shorts closed at $100 a coin with the mark at 98, then 95; a long closed at $90 a minute later."""
    n = 200
    mark = np.full(n, 98.0)
    mark[14:] = 95.0
    closed = {"price_ticks": 1_000, "size_lots": 1000}  # ticks of $0.1, lots of 0.001: one coin
    events = np.concatenate(
        [
            event(1, DELEVERAGE, tick=10, account=5, counterparty=1, side=SELL, **closed),
            event(2, DELEVERAGE, tick=10, account=5, counterparty=2, side=SELL, price_ticks=1_000, size_lots=2000),
            event(3, DELEVERAGE, tick=130, account=6, counterparty=3, side=BUY, price_ticks=900, size_lots=1000),
        ]
    )
    s = summary(run_of(flat(n, mark_usd=mark), events))
    assert s["adl_fills"] == 3 and s["adl_winners"] == 3
    assert s["adl_short_share_percent"] == pytest.approx(200 / 3)
    assert s["adl_mean_price_usd"] == pytest.approx((3 * 100 + 90) / 4)
    assert s["adl_needed_usd"] == pytest.approx(3 * 2 + 5)
    assert s["adl_overshoot_usd"] == pytest.approx(3 * (100 - 95) + 5)
    assert s["adl_duration_min"] == pytest.approx(2) and s["adl_peak_minute_percent"] == pytest.approx(200 / 3)
    assert s["adl_top10_percent"] == pytest.approx(100) and math.isnan(s["adl_hill"])


def test_inequality_of_sizes() -> None:
    assert gini(np.ones(50)) == pytest.approx(0)
    assert gini(np.array([0.0] * 99 + [1.0])) == pytest.approx(0.99)
    pareto = np.random.default_rng(3).pareto(0.7, 20_000) + 1
    assert hill(pareto, 0.1) == pytest.approx(0.7, rel=4 / math.sqrt(2000))
    assert math.isnan(hill(np.ones(10), 0.1))
