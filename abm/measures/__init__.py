"""What a run shows in numbers; `abm.targets` sets the real ones beside them.

Definitions follow the real figures: the fall is from the last price before the first news to the lowest trade; depth is
that of the bids within 1 % in snapshots of 30 s; the reported liquidations are at most one order a second, as the
venue's feed has them (`abm.reported`). In a world of several venues the measures are those of the lead venue, and
`venues` has each venue's own; in one with altcoins they are those of BTC, and `alts` has each coin's.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from abm.events import LIQUIDATION
from abm.measures.forced import forced, from_events
from abm.measures.path import by_minute, first_news_s, moments, price_path, returns, seconds_of
from abm.measures.trading import flow, liquidity
from abm.targets.events import OCTOBER, OTHERS

if TYPE_CHECKING:
    from abm.recorder import Run


def summary(run: Run) -> dict[str, Any]:
    """All measures of a run as one dict, flat but for `venues`; nan where a run is too short or keeps no events.

    Percentages are in %, money in $, times in minutes or seconds as the names say.
    """
    steps = run.steps
    if steps.empty:
        return {"ticks": 0}
    seconds = seconds_of(steps, run.info["start"])
    first_news = first_news_s(steps, seconds)
    start = run.info["start"]
    result: dict[str, Any] = {"ticks": len(steps)}
    result |= price_path(steps, seconds, first_news)
    result |= by_minute(steps, seconds, start, first_news)
    result |= liquidity(steps, seconds, first_news)
    for event in (OCTOBER, *(one for one in OTHERS if one.overlaps(datetime.fromisoformat(start), float(seconds[-1])))):
        result |= moments(steps, seconds, start, result, event)
    result |= flow(steps, seconds, first_news)
    result |= returns(steps, seconds)
    result |= forced(steps, seconds, start)
    several = len(run.info.get("venues", ())) > 1
    coins = list(run.alts.loc[run.alts["perp_usd"].notna(), "coin"].unique())
    lead = run.info["markets"][0]["base"] if coins else None
    result |= from_events(run.forced_events, steps, run.info, run.info["venues"][0] if several else None, lead)
    result["messages"] = int(steps["messages"].sum())
    result["fills"] = int(steps["fills"].sum())
    result |= {"venues": by_venue(run)} if several else {}
    return result | ({"alts": {coin: of_coin(run, coin) for coin in coins}} if coins else {})


COIN_KEYS = (
    *("start_usd", "low_usd", "fall_percent", "minutes_to_low"),
    *("depth_normal_usd", "depth_min_usd", "depth_ratio", "volume_btc"),
)
VENUE_KEYS = (
    *COIN_KEYS,
    *("recovery_5min_percent", "recovery_30min_percent", "legs", "minute_range_max_percent", "depth_half_back_min"),
    *("spread_median_bp", "spread_max_bp", "net_taker_percent", "window_volume_btc", "window_net_taker_percent"),
    "open_interest_change_percent",
)
"""Measures of path, depth and flow that each venue (coin) has too, beside everything about forced trading."""
PUBLISHED = {"binance": "reported_liquidated_usd", "hyperliquid": "both_sides_liquidated_usd"}
"""How a venue's liquidations came to be published, where not in full (`abm.reported`)."""


VENUE_SHARES = {
    "share": "liquidated_usd",
    "reported_share": "reported_liquidated_usd",
    "published_share": "published_usd",
}


def by_venue(run: Run) -> dict[str, dict[str, Any]]:
    """Each venue's own measures by name, with its share of all venues' liquidations, true and as reported."""
    found, start = {}, run.info["start"]
    for name in run.info["venues"]:
        steps = run.venues[run.venues["venue"] == name].reset_index(drop=True)
        seconds = seconds_of(steps, run.info["start"])
        first_news = first_news_s(steps, seconds)
        every = price_path(steps, seconds, first_news) | liquidity(steps, seconds, first_news)
        every |= flow(steps, seconds, first_news) | by_minute(steps, seconds, start, first_news)
        measures = {key: every[key] for key in VENUE_KEYS} | forced(steps, seconds, start)
        measures |= from_events(run.forced_events, steps, run.info, name)
        price = measures["adl_mean_price_usd"]
        measures["adl_mean_price_percent"] = 100 * (price / measures["start_usd"] - 1)
        measures["published_usd"] = measures[PUBLISHED.get(name, "forced_usd")]
        found[name] = measures
    for share, key in VENUE_SHARES.items():
        total = sum(measures[key] for measures in found.values())
        for measures in found.values():
            measures[f"{share}_percent"] = 100 * measures[key] / total if total > 0 else math.nan
    return found


def of_coin(run: Run, coin: str) -> dict[str, Any]:
    """An altcoin's own measures, volumes in its coins, and how many accounts were liquidated in it and in BTC too."""
    steps = run.alts[run.alts["coin"] == coin].reset_index(drop=True)
    seconds = seconds_of(steps, run.info["start"])
    first_news = first_news_s(run.steps, seconds_of(run.steps, run.info["start"]))
    every = price_path(steps, seconds, first_news) | liquidity(steps, seconds, first_news)
    every |= flow(steps, seconds, first_news)
    measures = {key: every[key] for key in COIN_KEYS} | forced(steps, seconds, run.info["start"])
    measures |= from_events(run.forced_events, steps, run.info, run.info["venues"][0], coin)
    events, bases = run.forced_events, np.array([market["base"] for market in run.info["markets"]])
    if events.empty:
        return measures | {"liquidated_in_both_accounts": math.nan}
    started = events[events["kind"] == LIQUIDATION]
    base = bases[started["market"].to_numpy()]
    both = [set(started["account"][base == name]) for name in (coin, bases[0])]
    return measures | {"liquidated_in_both_accounts": len(both[0] & both[1])}
