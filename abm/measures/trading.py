"""Depth, spread, volume, taker flow and open interest.

Arrays: `steps` is the table of a run, one row a tick; `seconds` (ticks,) the end of each tick.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abm.targets.events import OCTOBER

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
SNAPSHOT_S = 30
COLLAPSED = 0.1
"""Depth below this share of its normal level counts as collapsed."""
AFTER_LOW_S = 300


def liquidity(steps: pd.DataFrame, seconds: Floats, first_news: float) -> dict[str, Any]:
    """Depth of the bids within 1 %: normal, lowest and return, in snapshots of 30 s; spread."""
    tick_s = float(seconds[0])
    every = max(1, round(SNAPSHOT_S / tick_s)) if seconds[-1] >= 10 * SNAPSHOT_S else 1
    at = np.arange(every - 1, seconds.size, every)
    depth, when = steps["depth_bid_usd"].to_numpy()[at], seconds[at]
    before = when <= first_news if math.isfinite(first_news) else np.ones(at.size, bool)
    normal = float(np.median(depth[before])) if before.any() else float(depth[0])
    low = int(np.argmin(depth))
    least = float(depth[low])
    back = np.flatnonzero(depth[low:] >= 0.5 * normal)
    result = {
        "depth_normal_usd": normal,
        "depth_min_usd": least,
        "depth_ratio": normal / least if least > 0 else math.inf,
        "depth_half_back_min": float(when[low + back[0]] - when[low]) / 60 if back.size else math.nan,
        "depth_collapse_min": float((depth < COLLAPSED * normal).sum()) * every * tick_s / 60,
        "spread_median_bp": float(np.nanmedian(steps["spread_bp"])) if steps["spread_bp"].notna().any() else math.nan,
    }
    spread = steps["spread_bp"].to_numpy()[at]
    known = np.isfinite(spread)
    calm = float(np.median(spread[before & known])) if (before & known).any() else math.nan
    widest = float(spread[known].max()) if known.any() else math.nan
    return {**result, "spread_max_bp": widest, "spread_widest_times": widest / calm if calm > 0 else math.nan}


def flow(steps: pd.DataFrame, seconds: Floats, first_news: float) -> dict[str, Any]:
    """Volume and net taker share: whole run, the nine minutes of October, the five after the low; open interest."""
    time = steps["time"]
    first, last = OCTOBER.window
    inside = ((time > first) & (time <= last)).to_numpy()
    covered = bool(inside.any()) and time.iloc[-1] >= last
    after = seconds > first_news if math.isfinite(first_news) else np.ones(seconds.size, bool)
    low = steps["perp_low_usd"].to_numpy()
    at = seconds[after][int(np.argmin(low[after]))] if after.any() else seconds[0]
    rebound = (seconds > at) & (seconds <= at + AFTER_LOW_S)
    whole = np.ones(seconds.size, bool)
    result: dict[str, Any] = {}
    parts = (("", whole, True), ("window_", inside, covered), ("rebound_", rebound, seconds[-1] >= at + AFTER_LOW_S))
    for name, rows, known in parts:
        volume = float(steps["volume_btc"].to_numpy()[rows].sum())
        net = float(steps["net_taker_btc"].to_numpy()[rows].sum())
        result[f"{name}volume_btc"] = volume if known else math.nan
        result[f"{name}net_taker_percent"] = 100 * net / volume if known and volume > 0 else math.nan
    interest = steps["open_interest_btc"].to_numpy()
    result["open_interest_change_percent"] = (
        100 * float(interest[-1] / interest[0] - 1) if interest[0] > 0 else math.nan
    )
    return result
