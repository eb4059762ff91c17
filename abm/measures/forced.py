"""Forced trading: liquidations, their concentration and causes, the fund, bad debt and auto-deleveraging.

Arrays: `steps` is the table of a run, one row a tick; `seconds` (ticks,) the end of each tick.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abm.events import BY_LIQUIDATION, FILL_EVENT, LIQUIDATION, ROUND_CAP
from abm.measures.adl import deleveraging
from abm.measures.branching import WINDOW_S, by_cause, by_flow
from abm.measures.path import minute_of
from abm.reported import reported_liquidations
from abm.state import SELL
from abm.targets.events import OCTOBER

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
WINDOW_MINUTES = 40


def forced(steps: pd.DataFrame, seconds: Floats, start: str) -> dict[str, Any]:
    """Liquidations, the fund, bad debt and deleveraging, from the steps."""
    longs, shorts = float(steps["liquidated_long_usd"].sum()), float(steps["liquidated_short_usd"].sum())
    starts = (steps["liquidated_long_accounts"] + steps["liquidated_short_accounts"]).to_numpy()
    fund = steps["fund_usd"].to_numpy()
    liquidated, deleveraged = np.flatnonzero(starts > 0), np.flatnonzero(steps["adl_usd"].to_numpy() > 0)
    delay = (
        float(seconds[deleveraged[0]] - seconds[liquidated[0]]) if liquidated.size and deleveraged.size else math.nan
    )
    loss = float(fund[0] - fund.min())
    return {
        "liquidated_usd": longs + shorts,
        "liquidated_long_usd": longs,
        "liquidated_short_usd": shorts,
        "long_share_percent": percent(longs, longs + shorts),
        **concentration(steps, seconds, start),
        "liquidation_starts": int(starts.sum()),
        "taken_over_usd": float(steps["taken_over_usd"].sum()),
        "fund_start_usd": float(fund[0]),
        "fund_least_usd": float(fund.min()),
        "fund_change_usd": float(fund[-1] - fund[0]),
        "fund_largest_loss_usd": loss,
        "fund_used_percent": percent(loss, float(fund[0])),
        "bad_debt_usd": float(steps["bad_debt_usd"].to_numpy()[-1]),
        "adl_usd": float(steps["adl_usd"].sum()),
        "adl_accounts": int(steps["adl_accounts"].sum()),
        "adl_delay_s": delay,
    }


def percent(part: float, whole: float) -> float:
    """A part in per cent of the whole; nan when there is no whole."""
    return 100 * part / whole if whole > 0 else math.nan


def concentration(steps: pd.DataFrame, seconds: Floats, start: str) -> dict[str, Any]:
    """How much of the liquidations fell into the worst minute and the worst 40 minutes; the long share of that minute.

    `evening_share_percent`: 20:50 to 21:30 of what fell between 20:50 and 22:20 on 10 October 2025.
    """
    minutes = minute_of(seconds, start)
    sides = [steps[f"liquidated_{side}_usd"].to_numpy() for side in ("long", "short")]
    longs, shorts = (np.bincount(minutes, side) for side in sides)
    total = longs + shorts
    worst = int(np.argmax(total))
    summed = np.concatenate([[0.0], np.cumsum(total)])
    width = min(WINDOW_MINUTES, total.size)
    best = float((summed[width:] - summed[:-width]).max())
    whole = float(total.sum())
    time, both = steps["time"], sides[0] + sides[1]
    first, middle, last = OCTOBER.at(20, 50), OCTOBER.at(21, 30), OCTOBER.at(22, 20)
    early, late = ((time > a) & (time <= b) for a, b in ((first, middle), (first, last)))
    covered = bool(early.any()) and time.iloc[-1] >= last
    evening = percent(float(both[early.to_numpy()].sum()), float(both[late.to_numpy()].sum())) if covered else math.nan
    return {
        "peak_minute_liquidated_usd": float(total[worst]),
        "peak_minute_share_percent": percent(float(total[worst]), whole),
        "peak_minute_long_share_percent": percent(float(longs[worst]), float(total[worst])),
        "worst_40min_share_percent": percent(best, whole),
        "evening_share_percent": evening,
    }


EVENT_KEYS = (
    *("liquidated_accounts", "long_share_accounts_percent", "largest_liquidation_usd", "forced_usd"),
    *("peak_minute_fills_percent", "reported_liquidated_usd", "both_sides_liquidated_usd", "branching_ratio"),
    "flow_branching_ratio",
)


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
    marks = marks_of(info, steps)
    if events.empty:
        return dict.fromkeys((*EVENT_KEYS, "round_caps"), math.nan) | deleveraging(events, info, marks)
    here = [venue in (None, market["venue"]) and coin in (None, market["base"]) for market in info["markets"]]
    mine = np.array(here)[events["market"].to_numpy()]
    caused = by_cause(events, mine)
    caps = int((events["kind"].to_numpy() == ROUND_CAP).sum())
    events = events[mine]
    kind = events["kind"].to_numpy()
    started = events[kind == LIQUIDATION]
    seen = reported_liquidations(events, info)
    lots = np.array([market["lot_coins"] for market in info["markets"]])
    market = started["market"].to_numpy()
    size = started["size_lots"].to_numpy() * lots[market] * marks(market, started["tick"].to_numpy())
    accounts = started["account"].to_numpy()
    longs = np.unique(accounts[started["side"].to_numpy() == SELL])
    return {
        "liquidated_accounts": int(np.unique(accounts).size),
        "long_share_accounts_percent": percent(longs.size, np.unique(accounts).size),
        "largest_liquidation_usd": float(size.max()) if size.size else 0.0,
        "forced_usd": seen["forced_usd"],
        "peak_minute_fills_percent": peak_minute(events[(kind == FILL_EVENT) & (events["reason"] == BY_LIQUIDATION)]),
        "reported_liquidated_usd": seen["reported_usd"],
        "both_sides_liquidated_usd": seen["both_sides_usd"],
        **caused,
        "flow_branching_ratio": by_flow(events, steps, lots, max(1, round(WINDOW_S / float(info["tick_s"])))),
        **deleveraging(events, info, marks),
        "round_caps": caps,
    }


def peak_minute(rows: pd.DataFrame) -> float:
    """Share in % of the busiest minute in the number of `rows`, minutes counted from the first of them."""
    if rows.empty:
        return math.nan
    passed = (rows["time"] - rows["time"].min()).dt.total_seconds().to_numpy()
    return 100 * float(np.bincount((passed // 60).astype(np.int64)).max()) / len(rows)


def marks_of(info: Mapping[str, Any], steps: pd.DataFrame) -> Any:
    """Function (market ids, ticks) -> $ a coin: the mark at the end of that tick (spot: last price)."""
    perpetual = np.array([market["kind"] == "perpetual" for market in info["markets"]])
    ticks = steps["tick"].to_numpy()
    marks, spots = steps["mark_usd"].to_numpy(), steps["spot_usd"].to_numpy()

    def value(market: NDArray[np.int64], tick: NDArray[np.int64]) -> Floats:
        row = np.clip(np.searchsorted(ticks, tick), 0, ticks.size - 1)
        dollars: Floats = np.where(perpetual[market], marks[row], spots[row])
        return dollars

    return value
