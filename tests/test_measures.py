"""Measures on frames made by hand, where every number can be worked out on paper."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from abm.events import BY_LIQUIDATION, BY_PANIC, DELEVERAGE, EVENT, FILL_EVENT, LIQUIDATION, NEWS, ROUND_CAP
from abm.measures import summary
from abm.measures.branching import by_flow
from abm.recorder import Recorder, Run
from abm.scenario import load_scenario
from abm.state import BUY, SELL
from abm.sweep import Outcome, paired_table
from abm.targets import TARGETS, WINDOW, comparison, is_october, real_points
from abm.venues.preset import asset_names, build_markets, load_preset

PERP = 1


def run_of(
    columns: dict[str, Any],
    events: np.ndarray | None = None,
    start: str = "2025-10-10T20:40:00+00:00",
    tick_s: float = 1.0,
) -> Run:
    recorder = Recorder()
    preset = load_preset("binance-2025-10")
    begin = datetime.fromisoformat(start)
    recorder.begin(build_markets([preset]), asset_names([preset]), [preset.name], begin, 1.0)
    length = max(len(v) for v in columns.values() if not np.isscalar(v))
    for i in range(length):
        row = {name: (v if np.isscalar(v) else v[i]) for name, v in columns.items()}
        recorder.step({"tick": i + 1, **row})
    if events is not None:
        recorder.events(events)
    return recorder.run()


def flat(n: int, **columns: Any) -> dict[str, Any]:
    base: dict[str, Any] = dict.fromkeys(("perp_usd", "perp_low_usd", "mark_usd", "spot_usd", "fair_usd"), 100.0)
    base |= dict.fromkeys(("news_fair_change", "volume_btc", "net_taker_btc", "adl_usd", "bad_debt_usd"), 0.0)
    base |= dict.fromkeys(("liquidated_long_usd", "liquidated_short_usd", "taken_over_usd"), 0.0)
    base |= {"depth_bid_usd": 200.0, "open_interest_btc": 50.0, "fund_usd": 1000.0, "spread_bp": 0.1}
    return {**base, "messages": np.ones(n), **columns}


def test_fall_recovery_and_multiplier() -> None:
    n = 3600
    price = np.full(n, 100.0)
    price[600:900] = np.linspace(100, 91, 300)
    low = price.copy()
    low[899] = 90.0  # a trade below every close
    price[900:1199], price[1199:] = 91.0, 95.0
    low[900:] = price[900:]
    news = np.zeros(n)
    news[600] = -0.04
    s = summary(run_of(flat(n, perp_usd=price, perp_low_usd=low, news_fair_change=news)))
    assert s["start_usd"] == 100 and s["low_usd"] == 90
    assert s["fall_percent"] == pytest.approx(-10)
    assert s["news_percent"] == pytest.approx(-4) and s["multiplier"] == pytest.approx(2.5)
    assert s["minutes_to_low"] == pytest.approx(5)  # low in the tick that ends 900 s after the start, news after 600 s
    assert s["recovery_5min_percent"] == pytest.approx(50)
    assert s["recovery_10min_percent"] == pytest.approx(50)
    assert math.isnan(s["recovery_60min_percent"])
    assert s["calm_volatility_bp"] == 0


def test_depth_is_measured_in_snapshots() -> None:
    n = 1200
    depth = np.full(n, 200.0)
    depth[610] = 1.0  # between two snapshots: the real data would not show it
    depth[719] = 4.0  # the snapshot at 720 s
    news = np.zeros(n)
    news[600] = -0.01
    s = summary(run_of(flat(n, depth_bid_usd=depth, news_fair_change=news)))
    assert (s["depth_normal_usd"], s["depth_min_usd"], s["depth_ratio"]) == (200, 4, 50)
    assert s["depth_half_back_min"] == pytest.approx(0.5)


def test_window_of_the_real_volume() -> None:
    n = 3000
    volume, net = np.ones(n), np.full(n, -0.1)
    first = int((WINDOW[0] - datetime(2025, 10, 10, 20, 40, tzinfo=UTC)).total_seconds())
    volume[first], volume[first - 1], volume[first + 540] = 11.0, 1000.0, 1000.0
    s = summary(run_of(flat(n, volume_btc=volume, net_taker_btc=net)))
    assert s["window_volume_btc"] == pytest.approx(550)
    assert s["window_net_taker_percent"] == pytest.approx(-100 * 54 / 550)
    assert s["volume_btc"] == pytest.approx(n + 10 + 2 * 999)


def test_forced_flows_fund_and_delay() -> None:
    n = 50
    longs, shorts, adl, starts = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    longs[10], shorts[20], adl[40] = 9e6, 1e6, 5e5
    starts[10], fund = 3, np.full(n, 1000.0)
    fund[30], fund[31:] = 200.0, 700.0
    columns = {"liquidated_long_usd": longs, "liquidated_short_usd": shorts, "adl_usd": adl, "fund_usd": fund}
    s = summary(run_of(flat(n, **columns, liquidated_long_accounts=starts, adl_accounts=(adl > 0) * 2)))
    assert s["liquidated_usd"] == 1e7 and s["long_share_percent"] == pytest.approx(90)
    assert s["fund_largest_loss_usd"] == 800 and s["fund_change_usd"] == -300
    assert s["adl_delay_s"] == 30 and s["adl_accounts"] == 2 and s["liquidation_starts"] == 3


def event(seq: int, kind: int, tick: int = 1, **columns: Any) -> np.ndarray:
    row = np.zeros(1, EVENT)
    row["seq"], row["kind"], row["tick"], row["cause"], row["market"] = seq, kind, tick, -1, PERP
    for name, value in columns.items():
        row[name] = value
    return row


def test_branching_reported_and_largest() -> None:
    sold = {"side": SELL, "price_ticks": 1_000_000, "reason": BY_LIQUIDATION}  # $100 a lot of 0.001 BTC
    events = np.concatenate(
        [
            event(0, NEWS),
            event(1, LIQUIDATION, account=7, size_lots=10, cause=0),
            event(2, FILL_EVENT, account=7, size_lots=6, cause=1, **sold),
            event(3, FILL_EVENT, account=7, size_lots=4, cause=1, **sold),
            event(4, LIQUIDATION, account=8, size_lots=3, cause=3),
            event(5, FILL_EVENT, account=8, size_lots=3, cause=4, **sold),
            event(6, FILL_EVENT, tick=2, account=5, size_lots=1, price_ticks=1_000_000, side=SELL, reason=BY_PANIC),
            event(7, LIQUIDATION, tick=2, account=9, size_lots=50, cause=6),
            event(8, FILL_EVENT, tick=2, account=9, size_lots=50, cause=7, **sold),
            event(9, LIQUIDATION, tick=3, account=7, size_lots=2, cause=8),
            event(10, DELEVERAGE, tick=3, account=7, side=BUY, size_lots=2),
            event(11, ROUND_CAP, tick=3),
        ]
    )
    s = summary(run_of(flat(4, mark_usd=100_000.0), events))
    assert s["branching_ratio"] == 0.5  # 8 and the second of 7 were set off by forced fills; one by news, one by panic
    assert s["liquidation_causes"] == {"liquidation": 2, "panic": 1, "index or news": 1}
    assert s["liquidated_accounts"] == 3 and s["adl_fills"] == 1 and s["round_caps"] == 1
    assert s["largest_liquidation_usd"] == pytest.approx(50 * 100)
    assert s["reported_liquidated_usd"] == pytest.approx(3 * 100 + 50 * 100)  # of second 1 only the last, account 8's


def cascade(n: float, way: int, news: np.ndarray, others: np.ndarray) -> float:
    """Ratio by flow, window of a tick, of a cascade in which every coin sold sets off n coins in the next tick.

    The price moves by 1 bp a coin that takers trade in direction `way` and by `news` (ticks,) in it; others trade
    `others` coins (ticks,); each bp sets off n coins a tick later.
    """
    forced, moved = np.zeros(news.size), np.zeros(news.size)
    for tick in range(news.size):
        forced[tick] = max(0.0, n * moved[tick - 1]) if tick else 0.0
        moved[tick] = forced[tick] + others[tick] + news[tick]
    rows, side = [], BUY if way > 0 else SELL
    for tick, coins in enumerate(forced):
        size = {"tick": tick + 1, "side": side, "size_lots": round(coins * 1e6)}
        rows.append(event(2 * tick, LIQUIDATION, **size))
        rows.append(event(2 * tick + 1, FILL_EVENT, reason=BY_LIQUIDATION, **size))
    steps = pd.DataFrame(
        {
            "tick": np.arange(news.size) + 1,
            "net_taker_btc": way * (forced + others),
            "mark_usd": np.exp(way * 1e-4 * np.cumsum(moved)),
            "fair_usd": np.exp(way * 1e-4 * np.cumsum(news)),
        }
    )
    return by_flow(pd.DataFrame(np.concatenate(rows)), steps, np.full(PERP + 1, 1e-6), 1)


@pytest.mark.parametrize("way", [-1, 1])
@pytest.mark.parametrize("n", [0.2, 0.5, 0.9])
def test_ratio_by_flow_is_exact_in_a_linear_cascade(n: float, way: int) -> None:
    ticks = 400  # a cascade is over long before: 0.9 ** 300
    shock, none = np.zeros(ticks), np.zeros(ticks)
    shock[1:60] = 10.0
    assert cascade(n, way, none, shock) == pytest.approx(n, abs=1e-4)  # others sell
    assert cascade(n, way, shock, none) == pytest.approx(n, abs=1e-4)  # the news moves the price, nobody sells first
    assert cascade(n, way, shock, 0.5 * shock) == pytest.approx(n, abs=1e-4)


def test_ratio_by_flow_where_others_trade_against_the_cascade() -> None:
    ticks = 50
    shock, none = np.zeros(ticks), np.zeros(ticks)
    shock[1] = 10.0
    assert math.isnan(cascade(0.0, -1, shock, none))  # nobody was liquidated
    first = cascade(0.5, -1, shock, none)
    against = none.copy()
    against[3] = -1.0  # others buy one of the 2.5 coins sold by force: the move is all the forced orders'
    assert cascade(0.5, -1, shock, against) < first  # fewer children of the same first generation
    assert cascade(0.5, -1, shock, against) == pytest.approx(1 - 5.0 / (5.0 + 2.5 + 0.75 * 2), abs=1e-3)


def test_without_events_event_measures_are_unknown() -> None:
    s = summary(run_of(flat(40)))
    assert math.isnan(s["branching_ratio"]) and math.isnan(s["reported_liquidated_usd"])
    assert math.isnan(s["multiplier"]) and math.isnan(s["adl_delay_s"])


def test_comparison_never_calls_a_miss_a_hit() -> None:
    october = load_scenario("october-2025")
    rows = {row["measure"]: row for row in comparison({"fall_percent": -13.0, "minutes_to_low": 5.0}, october)}
    assert rows["fall to the low"]["inside"] is True
    assert rows["time to the low"]["inside"] is False
    assert rows["volume 21:12-21:21"]["inside"] is None and rows["volume 21:12-21:21"]["model"] is None
    assert len(rows) == len(TARGETS)
    assert comparison({"depth_normal_usd": 244e6}, october)[9]["model"] == pytest.approx(244)
    assert all(t.low <= t.real <= t.high and t.grade in "ABC" and t.source for t in TARGETS)


def test_targets_are_measured() -> None:
    keys = set(summary(run_of(flat(40))))
    assert {target.key for target in TARGETS} <= keys


def test_only_october_is_compared_with_october() -> None:
    for name, expected in (("october-2025", True), ("small-fund", True), ("calm", False), ("tiny", False)):
        scenario = load_scenario(name)
        assert is_october(scenario) is expected
        assert bool(comparison({}, scenario)) is expected and bool(real_points(scenario)) is expected


def test_real_points_are_the_published_ones() -> None:
    points = real_points(load_scenario("october-2025"))
    times = [p["time"] for p in points]
    assert times == sorted(times) and len(points) == 21
    by_label = {p["label"]: p for p in points}
    assert by_label["last print before the news"]["price_usd"] == 116_830
    assert by_label["low"]["time"] - datetime(2025, 10, 10, 20, 50, tzinfo=UTC) == timedelta(minutes=30.5)
    assert all(101_516 <= p["price_usd"] <= 116_830 and p["grade"] == "A" for p in points)
    at_five = next(p for p in points if p["time"] == datetime(2025, 10, 10, 21, 25, tzinfo=UTC))
    assert (at_five["price_usd"] - 101_516.5) / (116_830 - 101_516.5) == pytest.approx(0.45, abs=0.01)


def test_paired_table_uses_common_seeds_only() -> None:
    base = [Outcome(1, {"fall_percent": -10.0}), Outcome(2, {"fall_percent": -12.0}), Outcome(3, error="broke")]
    changed = [
        Outcome(1, {"fall_percent": -7.0}),
        Outcome(2, {"fall_percent": -11.0}),
        Outcome(3, {"fall_percent": -1.0}),
    ]
    row = next(r for r in paired_table(base, changed) if r["key"] == "fall_percent")
    assert (row["base"], row["changed"], row["difference"]) == (-11, -9, 2)
    assert (row["low"], row["high"], row["pairs"]) == (1, 3, 2)
