"""What was measured on 10 October 2025, with grade and band, and a run's figures beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from abm.scenario import Scenario

DAY = datetime(2025, 10, 10, tzinfo=UTC)
WINDOW = (DAY.replace(hour=21, minute=12), DAY.replace(hour=21, minute=21))
"""The nine one-minute candles, 21:12 to 21:20, over which the real volume and taker flow were summed."""


@dataclass(frozen=True, slots=True)
class Target:
    """A real figure; its band is the spread of sources, or, where there is one, the tolerance stated in `source`."""

    measure: str
    key: str
    unit: str
    real: float
    low: float
    high: float
    grade: str
    source: str
    scale: float = 1.0


_CANDLES = "Binance BTCUSDT perpetual, candles of 10 Oct 2025"
TARGETS = (
    Target("fall to the low", "fall_percent", "%", -13.1, -14.4, -11.8, "A", f"{_CANDLES}; ± 10 %"),
    Target("time to the low", "minutes_to_low", "min", 30.5, 27.5, 33.5, "A", f"{_CANDLES}; ± 10 %"),
    Target("recovered after 5 min", "recovery_5min_percent", "%", 45, 35, 55, "A", f"{_CANDLES}; ± 10 points"),
    Target("recovered after 10 min", "recovery_10min_percent", "%", 50, 40, 60, "A", f"{_CANDLES}; ± 10 points"),
    Target("recovered after 30 min", "recovery_30min_percent", "%", 75, 65, 85, "A", f"{_CANDLES}; ± 10 points"),
    Target("recovered after 60 min", "recovery_60min_percent", "%", 76, 66, 86, "A", f"{_CANDLES}; ± 10 points"),
    Target("price at 21:10", "price_2110_percent", "%", -2.1, -3.1, -1.1, "A", f"{_CANDLES}; ± 1 point"),
    Target("21:15 to the low", "last_leg_percent", "%", -9.5, -10.5, -8.5, "A", f"{_CANDLES}; ± 10 %"),
    Target("calm one-minute volatility", "calm_volatility_bp", "bp", 5.9, 4.4, 7.4, "A", f"{_CANDLES}; ± 25 %"),
    Target("normal bid depth within 1 %", "depth_normal_usd", "$m", 244, 195, 293, "B",
           "order-book snapshots of 30 s, median of five days; ± 20 %", 1e-6),
    Target("fall of that depth", "depth_ratio", "times", 114, 55, 230, "B",
           "same; the field was frozen for a while, filtered 109; a factor of 2"),
    Target("volume 21:12-21:21", "window_volume_btc", "BTC", 65_932, 49_000, 82_000, "A", f"{_CANDLES}; ± 25 %"),
    Target("net taker flow / volume 21:12-21:21", "window_net_taker_percent", "%", -11, -14, -8, "A",
           f"{_CANDLES}; ± 3 points"),
    Target("long share of liquidations", "long_share_percent", "%", 87, 84, 93, "B",
           "all venues: 83.9 (Amberdata), 87 (CoinGlass), 93.5 in the peak minute"),
    Target("open interest", "open_interest_change_percent", "%", -50, -60, -40, "C", "all markets, press; ± 10 points"),
    Target("insurance fund", "fund_change_usd", "$m", -188, -188, 0, "B",
           "all contracts of the venue: a bound for this one, https://firememecoins.com/?p=29894", 1e-6),
)  # fmt: skip

_CHAIN = "chain data of 10 Oct 2025, 21:15-21:27, https://github.com/ConejoCapital/HyperMultiAssetedADL"
VENUE_TARGETS = {
    "hyperliquid": (
        Target("Hyperliquid: deleveraged, BTC", "adl_usd", "$m", 621, 435, 807, "A", f"{_CHAIN}; ± 30 %", 1e-6),
        Target("Hyperliquid: first liquidation to first ADL", "adl_delay_s", "s", 61.7, 31, 123, "A",
               f"{_CHAIN}, all coins; a factor of 2"),
        Target("Hyperliquid: long share of liquidations", "long_share_percent", "%", 93, 88, 98, "A",
               f"{_CHAIN}, share of BTC accounts; ± 5 points"),
        Target("Hyperliquid: liquidated and deleveraged, both sides, BTC", "both_sides_liquidated_usd", "$m", 1_790,
               1_253, 2_327, "A", f"{_CHAIN}, as published: both sides counted; ± 30 %", 1e-6),
        Target("Hyperliquid: bad debt", "bad_debt_usd", "$m", 23.2, 0, 23.2, "A",
               f"{_CHAIN}, all coins: a bound", 1e-6),
    )
}  # fmt: skip
"""Figures of single venues, judged where a venue of this name is in the world (targets for its preset)."""


def is_october(scenario: Scenario) -> bool:
    """Whether a scenario covers the fall of 10 October 2025 and has news."""
    low = DAY.replace(hour=21, minute=30)
    return bool(scenario.news) and DAY < scenario.start <= DAY.replace(hour=20, minute=50) and scenario.end >= low


def comparison(measured: Mapping[str, Any], scenario: Scenario) -> list[dict[str, Any]]:
    """Rows model beside real with band and grade; empty for scenarios that are not about that evening.

    `inside` is True or False when both are known, else None: a miss is shown as a miss.
    """
    if not is_october(scenario):
        return []
    rows = []
    judged = [(target, measured) for target in TARGETS]
    for name, own in measured.get("venues", {}).items():
        judged += [(target, own) for target in VENUE_TARGETS.get(name, ())]
    for target, found in judged:
        value = found.get(target.key, math.nan)
        model = float(value) * target.scale if value is not None else math.nan
        known = not math.isnan(model)
        rows.append(
            {
                "measure": target.measure,
                "unit": target.unit,
                "model": model if known else None,
                "real": target.real,
                "low": target.low,
                "high": target.high,
                "grade": target.grade,
                "inside": bool(target.low <= model <= target.high) if known else None,
                "source": target.source,
            }
        )
    return rows


_CLOSES = (112_891, 111_904, 112_138, 110_998, 108_905, 107_677, 108_890, 103_441, 104_311, 106_417, 107_274, 107_747,
           108_473, 107_112)  # fmt: skip
LOW_USD = 101_516.5
PRINT_USD = 116_830.0
LOW_TIME = DAY.replace(hour=21, minute=20, second=30)


def real_points(scenario: Scenario) -> list[dict[str, Any]]:
    """Published point values of the real price: dicts with time, price_usd, label, grade; empty for other evenings.

    The closes are those of one-minute candles and stand at the end of their minute.
    """
    if not is_october(scenario):
        return []
    first = DAY.replace(hour=21, minute=13)
    points = [
        (DAY.replace(hour=20, minute=50), PRINT_USD, "last print before the news"),
        (DAY.replace(hour=20, minute=55), 115_328.0, "five-minute close"),
        (DAY.replace(hour=21), 114_198.0, "five-minute close"),
        *[(first + timedelta(minutes=n), float(close), "minute close") for n, close in enumerate(_CLOSES)],
        (LOW_TIME, LOW_USD, "low"),
    ]
    for minutes, share in ((10, 0.50), (30, 0.75), (60, 0.76)):
        points.append(
            (LOW_TIME + timedelta(minutes=minutes), LOW_USD + share * (PRINT_USD - LOW_USD), "recovery share")
        )
    keep = [point for point in points if scenario.start <= point[0] <= scenario.end + timedelta(minutes=1)]
    return [{"time": t, "price_usd": p, "label": label, "grade": "A"} for t, p, label in sorted(keep)]
