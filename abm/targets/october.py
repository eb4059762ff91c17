"""10 October 2025: figures of the lead venue (Binance), then of single venues.

Bands of the headline rows are those that were written down before the model was run: low within 4 minutes, fall 11 to
16 %, two legs or more, 45 % +- 20 points back five minutes after the low, depth down 50 to 200 times, net taker selling
5 to 20 % of volume, long share 84 to 93 %. Others have the spread of sources or a tolerance that is stated.
"""

from __future__ import annotations

from abm.targets.target import UNKNOWN, Target

_CANDLES = "Binance BTCUSDT perpetual, candles of 10 Oct 2025"
_DEPTH = "Binance order-book snapshots of 30 s, https://github.com/min66633/liquidation-cascade-research"
_AMBERDATA = "Amberdata, https://blog.amberdata.io/how-3.21b-vanished-in-60-seconds-october-2025-crypto-crash-explained-through-7-charts"
HEADLINES = (
    Target("fall to the low", "fall_percent", "%", -13.1, -16, -11, "A", f"{_CANDLES}; 11 to 16 %", row="2.7"),
    Target("time to the low", "minutes_to_low", "min", 30.5, 26.5, 34.5, "A", f"{_CANDLES}; ± 4 min", row="2.2"),
    Target("recovered after 5 min", "recovery_5min_percent", "%", 45, 25, 65, "A", f"{_CANDLES}; ± 20 points",
           row="2.8"),
    Target("recovered after 10 min", "recovery_10min_percent", "%", 50, 40, 60, "A", f"{_CANDLES}; ± 10 points",
           row="2.8"),
    Target("recovered after 30 min", "recovery_30min_percent", "%", 75, 65, 85, "A", f"{_CANDLES}; ± 10 points",
           row="2.8"),
    Target("recovered after 60 min", "recovery_60min_percent", "%", 76, 66, 86, "A", f"{_CANDLES}; ± 10 points",
           row="2.8"),
    Target("price at 21:10", "price_2110_percent", "%", -2.1, -3.1, -1.1, "A", f"{_CANDLES}; ± 1 point",
           row="2.4", given=True),
    Target("21:15 to the low", "last_leg_percent", "%", -9.5, -10.5, -8.5, "A", f"{_CANDLES}; ± 10 %", row="2.7"),
    Target("calm one-minute volatility", "calm_volatility_bp", "bp", 5.9, 4.4, 7.4, "A", f"{_CANDLES}; ± 25 %",
           row="2.5", given=True),
    Target("normal bid depth within 1 %", "depth_normal_usd", "$m", 244, 195, 293, "B",
           f"{_DEPTH}, median of five days; ± 20 %", 1e-6, row="4.1", given=True),
    Target("fall of that depth", "depth_ratio", "times", 114, 50, 200, "B",
           f"{_DEPTH}; the field was frozen for a while, filtered 109; 50 to 200", row="4.2"),
    Target("volume 21:12-21:21", "window_volume_btc", "BTC", 65_932, 49_000, 82_000, "A", f"{_CANDLES}; ± 25 %",
           row="2.9"),
    Target("net taker flow / volume 21:12-21:21", "window_net_taker_percent", "%", -11, -20, -5, "A",
           f"{_CANDLES}; 5 to 20 % sold", row="2.10"),
    Target("long share of liquidations", "long_share_percent", "%", 87, 84, 93, "B",
           "all venues: 83.9 (Amberdata), 87 (CoinGlass), 93.5 in the peak minute", row="1.3"),
    Target("open interest", "open_interest_change_percent", "%", -50, -60, -40, "C", "all markets, press; ± 10 points",
           row="5.1b"),
    Target("insurance fund", "fund_change_usd", "$m", -188, -188, 0, "B",
           "all contracts of the venue: a bound for this one, https://firememecoins.com/?p=29894", 1e-6, row="6.12",
           bound=True),
)  # fmt: skip
"""What every run of that evening is shown beside."""

MORE = (
    Target("legs of the fall", "legs", "legs", 3, 2, 6, "A",
           f"{_CANDLES}; falls of 2 % that end with a rise of 2.5 %; two or more", row="2.6"),
    Target("price at 20:55", "price_2055_percent", "%", -1.29, -2.29, -0.29, "A", f"{_CANDLES}; ± 1 point",
           row="2.3", given=True),
    Target("price at 21:00", "price_2100_percent", "%", -2.25, -3.25, -1.25, "A", f"{_CANDLES}; ± 1 point",
           row="2.3", given=True),
    Target("price at 21:15", "price_2115_percent", "%", -4.0, -5.0, -3.0, "A", f"{_CANDLES}; ± 1 point", row="2.4"),
    Target("widest minute, range", "minute_range_max_percent", "%", 6.8, 4.8, 8.8, "A", f"{_CANDLES}; ± 30 %",
           row="2.5"),
    Target("minute range 21:01-21:10", "calm_minute_range_percent", "%", 0.25, 0.125, 0.5, "A",
           f"{_CANDLES}, median; a factor of 2", row="2.5"),
    Target("volume of the busiest minute", "peak_minute_volume_btc", "BTC", 10_542, 7_900, 13_200, "A",
           f"{_CANDLES}; ± 25 %", row="2.9"),
    Target("net taker flow, 5 min after the low", "rebound_net_taker_percent", "%", 8.3, 3, 15, "A",
           f"{_CANDLES}, 21:21-21:26; positive, 3 to 15 %", row="2.10"),
    Target("fall over what is left after 60 min", "multiplier_left_60min", "times", 4.2, 2.9, 7.1, "A",
           f"{_CANDLES}; the band of the recovery", row="2.8", follows=True),
    Target("fall over news", "multiplier", "times", UNKNOWN, 2.3, 9.1, "A",
           f"{_CANDLES}; 43 % of the fall left after 24 h, 11 % after 48 h", row="2.8"),
    Target("long share in the peak minute", "peak_minute_long_share_percent", "%", 93.5, 88.5, 98.5, "B",
           "Amberdata, all venues, relayed by https://cryptonewz.com.br/90b-vanishes-in-an-hour-as-traders-face-1-3b-"
           "in-forced-liquidations/; ± 5 points", row="1.3"),
    Target("20:50-21:30 of 20:50-22:20, liquidated", "evening_share_percent", "%", UNKNOWN, 77, 96, "B",
           f"{_AMBERDATA}: $6.93bn by 21:30, 2.05 until 03:00; all of that by 22:20, or none sooner than evenly",
           row="1.6"),
    Target("bid depth below a tenth", "depth_collapse_min", "min", UNKNOWN, 1, 30, "B",
           f"{_DEPTH}: a collapse of minutes, the day's median is unchanged; 1 to 30", row="4.2"),
    Target("widest spread over the calm one", "spread_widest_times", "times", 1_321, 660, 2_640, "C",
           "attributed to Amberdata, https://followin.io/feed/22111099; a factor of 2", row="4.5"),
)  # fmt: skip

_CHAIN = "chain data of 10 Oct 2025, 21:15-21:27, https://github.com/ConejoCapital/HyperMultiAssetedADL"
_PAPER = "Chitra et al., arXiv:2512.01112"
_SHARES = "CoinGlass 24 h, all coins, of the three: $10.2bn, 4.6 and 2.4, https://www.binance.bh/en-TR/square/post/31136358766305"
HYPERLIQUID = "hyperliquid"
ON_HYPERLIQUID = (
    Target("Hyperliquid: deleveraged, BTC", "adl_usd", "$m", 621, 435, 807, "A", f"{_CHAIN}; ± 30 %", 1e-6, "6.1",
           HYPERLIQUID),
    Target("Hyperliquid: first liquidation to first ADL", "adl_delay_s", "s", 61.7, 31, 123, "A",
           f"{_CHAIN}, all coins; a factor of 2", 1.0, "6.2", HYPERLIQUID),
    Target("Hyperliquid: long share of liquidated accounts", "long_share_accounts_percent", "%", 93, 88, 98, "A",
           f"{_CHAIN}, BTC; ± 5 points", 1.0, "6.7", HYPERLIQUID),
    Target("Hyperliquid: liquidated, both sides, and ADL, BTC", "both_sides_liquidated_usd", "$m", 1_790,
           1_253, 2_327, "A", f"{_CHAIN}, as published: both sides counted; ± 30 %", 1e-6, "1.9", HYPERLIQUID),
    Target("Hyperliquid: bad debt", "bad_debt_usd", "$m", 23.2, 0, 23.2, "A",
           f"{_CHAIN}, all coins: a bound", 1e-6, "6.8", HYPERLIQUID, bound=True),
)  # fmt: skip
MORE_ON_HYPERLIQUID = (
    Target("Hyperliquid: liquidated in the market, BTC", "forced_usd", "$m", 584, 409, 759, "A",
           f"{_CHAIN}, one side; ± 30 %", 1e-6, "1.9", HYPERLIQUID),
    Target("Hyperliquid: busiest minute of forced trades", "peak_minute_fills_percent", "%", 30, 15, 45, "A",
           f"{_CHAIN}, all coins, 4,301 of 14,327; ± 15 points", 1.0, "6.3", HYPERLIQUID),
    Target("Hyperliquid: busiest minute of ADL fills", "adl_peak_minute_percent", "%", 41, 21, 61, "A",
           f"{_CHAIN}, all coins, 14,194 of 34,983; ± 20 points", 1.0, "6.3", HYPERLIQUID),
    Target("Hyperliquid: first to last ADL", "adl_duration_min", "min", 10.9, 5.4, 21.8, "A",
           f"{_CHAIN}, all coins; a factor of 2", 1.0, "6.1", HYPERLIQUID),
    Target("Hyperliquid: shorts among deleveraged accounts", "adl_short_share_percent", "%", 97, 92, 100, "A",
           f"{_CHAIN}, BTC, 1,699 of 1,759; ± 5 points", 1.0, "6.7", HYPERLIQUID),
    Target("Hyperliquid: ADL, ten largest accounts", "adl_top10_percent", "%", UNKNOWN, 45.8, 92, "A",
           f"{_CHAIN}: 45.8 of the notional of all coins, 92 of the gains in BTC", 1.0, "6.5", HYPERLIQUID),
    Target("Hyperliquid: ADL, tail index of the top 10 %", "adl_hill", "-", 0.58, 0.4, 1.1, "A",
           f"{_CHAIN}, all coins: 0.58 (10 %) to 0.87 (1 %); ± 0.2", 1.0, "6.5", HYPERLIQUID),
    Target("Hyperliquid: ADL, Gini coefficient", "adl_gini", "-", 0.98, 0.9, 1.0, "A", f"{_CHAIN}, all coins; ± 0.08",
           1.0, "6.5", HYPERLIQUID),
    Target("Hyperliquid: mean price of ADL, BTC", "adl_mean_price_percent", "%", -8.9, -10.9, -6.9, "A",
           f"{_CHAIN}, 106,428 against 116,830; ± 2 points", 1.0, "2.11", HYPERLIQUID),
    Target("Hyperliquid: gain of the vault", "fund_change_usd", "$m", 40, 0, 40, "B",
           "all coins, relayed, $30m and more or 40: a bound", 1e-6, "6.11", HYPERLIQUID, bound=True),
    Target("Hyperliquid: ADL beyond the need", "adl_overshoot_usd", "$m", 45.0, 0, 51.7, "A",
           f"{_PAPER}, all coins: a bound, and of a quantity that needs the winners' gains; not counted", 1e-6, "6.9",
           HYPERLIQUID, bound=True, follows=True),
    Target("Hyperliquid: open interest", "open_interest_change_percent", "%", -50, -60, -40, "C",
           "press: nearly half; ± 10 points", 1.0, "5.1", HYPERLIQUID),
)  # fmt: skip


def _share(name: str, venue: str, real: float) -> Target:
    measure, low = f"{name}: share of liquidations as published", max(real - 15, 0)
    source = f"{_SHARES}; ± 15 points"
    return Target(measure, "published_share_percent", "%", real, low, real + 15, "B", source, 1.0, "1.7", venue)


VENUES: dict[str, tuple[Target, ...]] = {
    HYPERLIQUID: ON_HYPERLIQUID,
}
"""Figures of single venues shown beside a run, judged where a venue of this name is in the world."""
MORE_VENUES: dict[str, tuple[Target, ...]] = {
    HYPERLIQUID: (*MORE_ON_HYPERLIQUID, _share("Hyperliquid", HYPERLIQUID, 59)),
    "bybit": (_share("Bybit", "bybit", 27),),
    "binance": (_share("Binance", "binance", 14),),
}
