"""What a run shows in numbers; `abm.targets` sets the real ones beside them.

Definitions follow the real figures: the fall is from the last price before the first news to the lowest trade; depth is
that of the bids within 1 % in snapshots of 30 s; the reported liquidations are at most one order a second, as the
venue's feed has them (`abm.reported`). In a world of several venues the measures are those of the lead venue, and
`venues` has each venue's own; in one with altcoins they are those of BTC, and `alts` has each coin's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abm.events import BY_LIQUIDATION, DELEVERAGE, FILL_EVENT, LIQUIDATION, REASON_NAMES, ROUND_CAP
from abm.reported import reported_liquidations
from abm.targets import DAY, WINDOW

if TYPE_CHECKING:
    import pandas as pd

    from abm.recorder import Run

Floats = NDArray[np.float64]
SNAPSHOT_S = 30
RECOVERY_MINUTES = (5, 10, 30, 60)


def summary(run: Run) -> dict[str, Any]:
    """All measures of a run as one dict, flat but for `venues`; nan where a run is too short or keeps no events.

    Percentages are in %, money in $, times in minutes or seconds as the names say.
    """
    steps = run.steps
    if steps.empty:
        return {"ticks": 0}
    seconds = _seconds(steps, run.info["start"])
    first_news = _first_news_s(steps, seconds)
    result: dict[str, Any] = {"ticks": len(steps)}
    result |= price_path(steps, seconds, first_news)
    result |= liquidity(steps, seconds, first_news)
    result |= moments(steps, seconds, run.info["start"], result)
    result |= flow(steps)
    result |= forced(steps, seconds)
    several = len(run.info.get("venues", ())) > 1
    coins = list(run.alts.loc[run.alts["perp_usd"].notna(), "coin"].unique())
    lead = run.info["markets"][0]["base"] if coins else None
    result |= from_events(run.forced_events, steps, run.info, run.info["venues"][0] if several else None, lead)
    result["messages"] = int(steps["messages"].sum())
    result["fills"] = int(steps["fills"].sum())
    result |= {"venues": by_venue(run)} if several else {}
    return result | ({"alts": {coin: of_coin(run, coin) for coin in coins}} if coins else {})


VENUE_KEYS = (
    *("start_usd", "low_usd", "fall_percent", "minutes_to_low"),
    *("depth_normal_usd", "depth_min_usd", "volume_btc"),
)
"""Measures of path, depth and flow that each venue has too, beside everything about forced trading."""


def by_venue(run: Run) -> dict[str, dict[str, Any]]:
    """Each venue's own measures by name, with its share of all venues' liquidations, true and as reported."""
    found = {}
    for name in run.info["venues"]:
        steps = run.venues[run.venues["venue"] == name].reset_index(drop=True)
        seconds = _seconds(steps, run.info["start"])
        first_news = _first_news_s(steps, seconds)
        every = price_path(steps, seconds, first_news) | liquidity(steps, seconds, first_news) | flow(steps)
        measures = {key: every[key] for key in VENUE_KEYS} | forced(steps, seconds)
        found[name] = measures | from_events(run.forced_events, steps, run.info, name)
    for share, key in (("share", "liquidated_usd"), ("reported_share", "reported_liquidated_usd")):
        total = sum(measures[key] for measures in found.values())
        for measures in found.values():
            measures[f"{share}_percent"] = 100 * measures[key] / total if total > 0 else math.nan
    return found


def of_coin(run: Run, coin: str) -> dict[str, Any]:
    """An altcoin's own measures, volumes in its coins, and how many accounts were liquidated in it and in BTC too."""
    steps = run.alts[run.alts["coin"] == coin].reset_index(drop=True)
    seconds = _seconds(steps, run.info["start"])
    first_news = _first_news_s(run.steps, _seconds(run.steps, run.info["start"]))
    every = price_path(steps, seconds, first_news) | liquidity(steps, seconds, first_news) | flow(steps)
    measures = {key: every[key] for key in (*VENUE_KEYS, "depth_ratio")} | forced(steps, seconds)
    measures |= from_events(run.forced_events, steps, run.info, run.info["venues"][0], coin)
    events, bases = run.forced_events, np.array([market["base"] for market in run.info["markets"]])
    if events.empty:
        return measures | {"liquidated_in_both_accounts": math.nan}
    started = events[events["kind"] == LIQUIDATION]
    base = bases[started["market"].to_numpy()]
    both = [set(started["account"][base == name]) for name in (coin, bases[0])]
    return measures | {"liquidated_in_both_accounts": len(both[0] & both[1])}


# --- parts ------------------------------------------------------------------------------------------------------------
def _seconds(steps: pd.DataFrame, start: str) -> Floats:
    """Seconds since the start at the end of each tick."""
    begin = np.datetime64(datetime.fromisoformat(start).astimezone(UTC).replace(tzinfo=None), "ms")
    times = steps["time"].dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[ms]")
    elapsed: Floats = (times - begin).astype(np.int64) / 1000.0
    return elapsed


def _first_news_s(steps: pd.DataFrame, seconds: Floats) -> float:
    """Seconds at the end of the last tick before any news; nan without news."""
    moved = np.flatnonzero(steps["news_fair_change"].to_numpy() != 0)
    if not moved.size:
        return math.nan
    return float(seconds[moved[0] - 1]) if moved[0] else 0.0


def price_path(steps: pd.DataFrame, seconds: Floats, first_news: float) -> dict[str, Any]:
    """Fall, its time, its size beside the news, and how much came back."""
    price, low = steps["perp_usd"].to_numpy(), steps["perp_low_usd"].to_numpy()
    after = seconds > first_news if math.isfinite(first_news) else np.ones(price.size, bool)
    before = np.flatnonzero(~after)
    start = float(price[before[-1]]) if before.size else float(price[0])
    begin = first_news if math.isfinite(first_news) else 0.0
    at = int(np.flatnonzero(after)[np.argmin(low[after])]) if after.any() else int(np.argmin(low))
    bottom = float(low[at])
    fall = 100 * (bottom / start - 1)
    news = 100 * (float(np.prod(1 + steps["news_fair_change"].to_numpy())) - 1)
    result = {
        "start_usd": start,
        "low_usd": bottom,
        "end_usd": float(price[-1]),
        "fall_percent": fall,
        "minutes_to_low": (float(seconds[at]) - begin) / 60,
        "news_percent": news,
        "multiplier": fall / news if news < 0 else math.nan,
    }
    for minutes in RECOVERY_MINUTES:
        later = float(seconds[at]) + 60 * minutes
        found = at_second(seconds, price, later)
        share = (found - bottom) / (start - bottom) if start > bottom else math.nan
        result[f"recovery_{minutes}min_percent"] = 100 * share
    calm = price[~after] if before.size else price
    per_minute = max(1, round(60 / max(float(seconds[0]), 1e-9))) if seconds.size else 1
    returns = np.diff(np.log(calm[::per_minute]))
    result["calm_volatility_bp"] = 1e4 * float(np.std(returns)) if returns.size > 2 else math.nan
    return result


def moments(steps: pd.DataFrame, seconds: Floats, start: str, path: Mapping[str, Any]) -> dict[str, Any]:
    """Prices at two moments of the evening: 21:10 against the last price before the news, the low against 21:15."""
    begin = datetime.fromisoformat(start)
    price = steps["perp_usd"].to_numpy()
    early = at_second(seconds, price, (DAY.replace(hour=21, minute=10) - begin).total_seconds())
    late = at_second(seconds, price, (DAY.replace(hour=21, minute=15) - begin).total_seconds())
    return {
        "price_2110_percent": 100 * (early / path["start_usd"] - 1),
        "last_leg_percent": 100 * (path["low_usd"] / late - 1),
    }


def at_second(seconds: Floats, values: Floats, when: float) -> float:
    """Value at the last tick that ended by `when`; nan outside the run (half a minute of grace at the end)."""
    if not seconds.size or when > seconds[-1] + 30 or when < seconds[0]:
        return math.nan
    return float(values[int(np.searchsorted(seconds, when + 1e-9, side="right")) - 1])


def liquidity(steps: pd.DataFrame, seconds: Floats, first_news: float) -> dict[str, Any]:
    """Depth of the bids within 1 %: normal, lowest and return, in snapshots of 30 s; spread."""
    tick_s = float(seconds[0])
    every = max(1, round(SNAPSHOT_S / tick_s)) if seconds[-1] >= 10 * SNAPSHOT_S else 1
    at = np.arange(every - 1, seconds.size, every)
    depth, when = steps["depth_bid_usd"].to_numpy()[at], seconds[at]
    calm = depth[when <= first_news] if math.isfinite(first_news) else depth
    normal = float(np.median(calm)) if calm.size else float(depth[0])
    low = int(np.argmin(depth))
    least = float(depth[low])
    back = np.flatnonzero(depth[low:] >= 0.5 * normal)
    return {
        "depth_normal_usd": normal,
        "depth_min_usd": least,
        "depth_ratio": normal / least if least > 0 else math.inf,
        "depth_half_back_min": float(when[low + back[0]] - when[low]) / 60 if back.size else math.nan,
        "spread_median_bp": float(np.nanmedian(steps["spread_bp"])) if steps["spread_bp"].notna().any() else math.nan,
    }


def flow(steps: pd.DataFrame) -> dict[str, Any]:
    """Volume and net taker share, whole run and the nine minutes of `WINDOW`; open interest."""
    result: dict[str, Any] = {}
    inside = ((steps["time"] > WINDOW[0]) & (steps["time"] <= WINDOW[1])).to_numpy()
    covered = bool(inside.any()) and steps["time"].iloc[-1] >= WINDOW[1]
    for name, rows in (("", slice(None)), ("window_", inside)):
        volume = float(steps["volume_btc"].to_numpy()[rows].sum())
        net = float(steps["net_taker_btc"].to_numpy()[rows].sum())
        known = name == "" or covered
        result[f"{name}volume_btc"] = volume if known else math.nan
        result[f"{name}net_taker_percent"] = 100 * net / volume if known and volume > 0 else math.nan
    interest = steps["open_interest_btc"].to_numpy()
    result["open_interest_change_percent"] = (
        100 * float(interest[-1] / interest[0] - 1) if interest[0] > 0 else math.nan
    )
    return result


def forced(steps: pd.DataFrame, seconds: Floats) -> dict[str, Any]:
    """Liquidations, the fund, bad debt and deleveraging, from the steps."""
    longs, shorts = float(steps["liquidated_long_usd"].sum()), float(steps["liquidated_short_usd"].sum())
    starts = (steps["liquidated_long_accounts"] + steps["liquidated_short_accounts"]).to_numpy()
    fund = steps["fund_usd"].to_numpy()
    liquidated, deleveraged = np.flatnonzero(starts > 0), np.flatnonzero(steps["adl_usd"].to_numpy() > 0)
    delay = (
        float(seconds[deleveraged[0]] - seconds[liquidated[0]]) if liquidated.size and deleveraged.size else math.nan
    )
    return {
        "liquidated_usd": longs + shorts,
        "liquidated_long_usd": longs,
        "liquidated_short_usd": shorts,
        "long_share_percent": 100 * longs / (longs + shorts) if longs + shorts > 0 else math.nan,
        "liquidation_starts": int(starts.sum()),
        "taken_over_usd": float(steps["taken_over_usd"].sum()),
        "fund_start_usd": float(fund[0]),
        "fund_least_usd": float(fund.min()),
        "fund_change_usd": float(fund[-1] - fund[0]),
        "fund_largest_loss_usd": float(fund[0] - fund.min()),
        "bad_debt_usd": float(steps["bad_debt_usd"].to_numpy()[-1]),
        "adl_usd": float(steps["adl_usd"].sum()),
        "adl_accounts": int(steps["adl_accounts"].sum()),
        "adl_delay_s": delay,
    }


def from_events(
    events: pd.DataFrame,
    steps: pd.DataFrame,
    info: Mapping[str, Any],
    venue: str | None = None,
    coin: str | None = None,
) -> dict[str, Any]:
    """Measures that need single events, those of one `venue` and `coin` (whose `steps` these are) or of all of them.

    Without events nan.
    """
    names = (
        "liquidated_accounts",
        "largest_liquidation_usd",
        "reported_liquidated_usd",
        "both_sides_liquidated_usd",
        "branching_ratio",
        "adl_fills",
    )
    if events.empty:
        return dict.fromkeys((*names, "round_caps"), math.nan)
    here = [venue in (None, market["venue"]) and coin in (None, market["base"]) for market in info["markets"]]
    mine = np.array(here)[events["market"].to_numpy()]
    caused = branching(events, mine)
    caps = int((events["kind"].to_numpy() == ROUND_CAP).sum())
    events = events[mine]
    kind = events["kind"].to_numpy()
    started = events[kind == LIQUIDATION]
    dollars = dollars_per_lot(info, steps)
    seen = reported_liquidations(events, info)
    size = started["size_lots"].to_numpy() * dollars(started["market"].to_numpy(), started["tick"].to_numpy())
    return {
        "liquidated_accounts": int(started["account"].nunique()),
        "largest_liquidation_usd": float(size.max()) if size.size else 0.0,
        "reported_liquidated_usd": seen["reported_usd"],
        "both_sides_liquidated_usd": seen["both_sides_usd"],
        **caused,
        "adl_fills": int((kind == DELEVERAGE).sum()),
        "round_caps": caps,
    }


def dollars_per_lot(info: Mapping[str, Any], steps: pd.DataFrame) -> Any:
    """Function (market ids, ticks) -> $ a lot at the mark of that tick (spot: last price)."""
    lots = np.array([market["lot_coins"] for market in info["markets"]])
    perpetual = np.array([market["kind"] == "perpetual" for market in info["markets"]])
    ticks = steps["tick"].to_numpy()
    marks, spots = steps["mark_usd"].to_numpy(), steps["spot_usd"].to_numpy()

    def value(market: NDArray[np.int64], tick: NDArray[np.int64]) -> Floats:
        row = np.clip(np.searchsorted(ticks, tick), 0, ticks.size - 1)
        dollars: Floats = lots[market] * np.where(perpetual[market], marks[row], spots[row])
        return dollars

    return value


def branching(events: pd.DataFrame, mine: NDArray[np.bool_]) -> dict[str, Any]:
    """Who caused the liquidations: their `cause` is the fill that moved the mark past the threshold.

    The branching ratio is the number of liquidations that a forced fill caused, per liquidation: the mean number of
    children. Counted are the liquidations among `mine` (n,), whatever venue the fill was at.
    """
    kind, seq = events["kind"].to_numpy(), events["seq"].to_numpy()
    started = (kind == LIQUIDATION) & mine
    total = int(started.sum())
    if not total:
        return {"branching_ratio": math.nan, "liquidation_causes": {}}
    order = np.argsort(seq, kind="stable")
    causes = events["cause"].to_numpy()[started]
    place = order[np.clip(np.searchsorted(seq[order], causes), 0, seq.size - 1)]
    is_fill = (seq[place] == causes) & (kind[place] == FILL_EVENT)
    reasons = np.where(is_fill, events["reason"].to_numpy()[place], -1)
    counts = {("index or news" if r < 0 else REASON_NAMES[r]): int((reasons == r).sum()) for r in np.unique(reasons)}
    return {"branching_ratio": float((reasons == BY_LIQUIDATION).mean()), "liquidation_causes": counts}
