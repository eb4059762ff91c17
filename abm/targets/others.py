"""22 September and 4 November 2025, and a calm month: held against behaviour that was set on 10 October.

Bands are set by one rule for both falls: fall and prices within a fifth of the fall, time of the low as stated,
what came back within 20 points after 5 minutes and 10 points later, volume within a quarter.
"""

from __future__ import annotations

from abm.targets.target import Target

_CANDLES = "Binance BTCUSDT perpetual, five-minute candles"
_LAW = (
    "typical large event: median 3.4, one in ten above 17; 1.2 for returns of 4 to 6 standard deviations, "
    "https://github.com/min66633/liquidation-cascade-research"
)


def _prices(row: str, fall: float, *moments: tuple[str, float]) -> tuple[Target, ...]:
    """Prices at moments, `HHMM` and % against the last price before the news."""
    room = 0.2 * abs(fall)
    return tuple(
        Target(f"price at {hour[:2]}:{hour[2:]}", f"price_{hour}_percent", "%", real, real - room, real + room, "A",
               f"{_CANDLES}; ± a fifth of the fall", row=row)
        for hour, real in moments
    )  # fmt: skip


SEPTEMBER = (
    Target("fall to the low", "fall_percent", "%", -2.45, -2.94, -1.96, "A", f"{_CANDLES}; ± 20 %", row="3.1"),
    Target("time to the low", "minutes_to_low", "min", 7.5, 3.5, 11.5, "A",
           f"{_CANDLES}, in the candle of 06:00; ± 4 min", row="3.1"),
    Target("recovered after 5 min", "recovery_5min_percent", "%", 39, 19, 59, "A",
           f"{_CANDLES}, low taken at 06:02:30; ± 20 points", row="3.1"),
    Target("recovered after 10 min", "recovery_10min_percent", "%", 48, 38, 58, "A",
           f"{_CANDLES}, low taken at 06:02:30; ± 10 points", row="3.1"),
    Target("recovered after 30 min", "recovery_30min_percent", "%", 44, 34, 54, "A",
           f"{_CANDLES}, low taken at 06:02:30; ± 10 points", row="3.1"),
    Target("recovered after 60 min", "recovery_60min_percent", "%", 46, 36, 56, "A",
           f"{_CANDLES}, low taken at 06:02:30; ± 10 points", row="3.1"),
    *_prices("3.1", -2.45, ("0600", -0.55), ("0610", -1.38), ("0615", -1.17), ("0630", -1.33), ("0700", -1.33)),
    Target("volume 05:55-06:25", "event_volume_btc", "BTC", 33_410, 25_060, 41_760, "A", f"{_CANDLES}; ± 25 %",
           row="3.1"),
    Target("fall of bid depth within 1 %", "depth_ratio", "times", 3.4, 1.2, 17, "B", _LAW, row="4.3"),
)  # fmt: skip
NOVEMBER = (
    Target("fall to the low", "fall_percent", "%", -5.33, -6.4, -4.27, "A", f"{_CANDLES}; ± 20 %", row="3.4"),
    Target("time to the low", "minutes_to_low", "min", 397.5, 337.5, 457.5, "A",
           f"{_CANDLES}, from 15:00 to the candle of 21:35; ± 60 min", row="3.4"),
    Target("recovered after 5 min", "recovery_5min_percent", "%", 6, -14, 26, "A",
           f"{_CANDLES}, low taken at 21:37:30; ± 20 points", row="3.4"),
    Target("recovered after 10 min", "recovery_10min_percent", "%", 9, -1, 19, "A",
           f"{_CANDLES}, low taken at 21:37:30; ± 10 points", row="3.4"),
    Target("recovered after 30 min", "recovery_30min_percent", "%", 34, 24, 44, "A",
           f"{_CANDLES}, low taken at 21:37:30; ± 10 points", row="3.4"),
    Target("recovered after 60 min", "recovery_60min_percent", "%", 47, 37, 57, "A",
           f"{_CANDLES}, low taken at 21:37:30; ± 10 points", row="3.4"),
    *_prices("3.4", -5.33, ("1600", -1.25), ("1800", -3.24), ("2000", -3.78), ("2100", -3.59)),
    Target("volume 15:00-22:00", "event_volume_btc", "BTC", 134_341, 100_760, 167_930, "A", f"{_CANDLES}; ± 25 %",
           row="3.4"),
    Target("long share of liquidations", "long_share_percent", "%", 90, 85, 95, "C",
           "all venues and coins, $1.14bn of 1.27bn to 4 Nov 03:00, press; ± 5 points", row="3.2"),
    Target("fall of bid depth within 1 %", "depth_ratio", "times", 3.4, 1.2, 17, "B", _LAW, row="4.3"),
)  # fmt: skip

_MONTH = f"{_CANDLES}, 15 Sep to 9 Oct 2025"
CALM = (
    Target("one-minute volatility", "calm_volatility_bp", "bp", 5.9, 4.4, 7.4, "A",
           "Binance BTCUSDT perpetual, minutes before the fall of 10 Oct 2025; ± 25 %", row="2.5"),
    Target("bid depth within 1 %", "depth_normal_usd", "$m", 244, 195, 293, "B",
           "Binance order-book snapshots, median of five days; ± 20 %", 1e-6, row="4.1"),
    Target("five-minute returns: sd", "bar_sd_bp", "bp", 9.03, 6.8, 11.3, "A", f"{_MONTH}; ± 25 %", row="8.1"),
    Target("five-minute returns: excess kurtosis", "bar_kurtosis", "-", 10.9, 5.4, 21.8, "A",
           f"{_MONTH}; a factor of 2", row="8.1"),
    Target("five-minute returns: tail index, top 5 %", "bar_hill_5", "-", 3.01, 2.26, 3.76, "A", f"{_MONTH}; ± 25 %",
           row="8.1"),
    Target("five-minute returns: ACF lag 1", "bar_acf_return", "-", 0.018, -0.032, 0.068, "A", f"{_MONTH}; ± 0.05",
           row="8.1"),
    Target("absolute returns: ACF lag 1", "bar_acf_size_1", "-", 0.266, 0.166, 0.366, "A", f"{_MONTH}; ± 0.1",
           row="8.1"),
    Target("absolute returns: ACF lag 12", "bar_acf_size_12", "-", 0.152, 0.077, 0.227, "A", f"{_MONTH}; ± 0.075",
           row="8.1"),
    Target("absolute returns: ACF lag 288", "bar_acf_size_288", "-", 0.082, 0.032, 0.132, "A", f"{_MONTH}; ± 0.05",
           row="8.1"),
    Target("volume in five minutes, median", "bar_volume_btc", "BTC", 251, 188, 314, "A", f"{_MONTH}; ± 25 %",
           row="8.8"),
    Target("spread, median", "spread_median_bp", "bp", 0.0087, 0.0087, 0.0175, "M", "one tick, at most two",
           row="4.12"),
)  # fmt: skip
