"""Auto-deleveraging from its events: who was closed, how unequally, when, at which prices, and how much too far."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abm.events import DELEVERAGE
from abm.reported import dollars_of
from abm.state import SELL

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
HORIZON_S = 5
"""How long after it a deleveraging is judged: waves are five seconds apart in Chitra et al., arXiv:2512.01112."""
LEAST_TAIL = 5
"""Accounts in the tail below which no tail index is given."""
ADL_KEYS = (
    *("adl_fills", "adl_winners", "adl_short_share_percent", "adl_top10_percent", "adl_gini", "adl_hill"),
    *("adl_peak_minute_percent", "adl_duration_min", "adl_mean_price_usd", "adl_needed_usd", "adl_overshoot_usd"),
)


def deleveraging(events: pd.DataFrame, info: Mapping[str, Any], marks: Any) -> dict[str, Any]:
    """Measures of the deleveraging among `events`; nan without any, but for the counts.

    Args:
        events: as `Run.forced_events`, of the markets that are asked for.
        info: `run.json`.
        marks: function (market ids, ticks) -> $ a coin.

    `adl_needed_usd` is the sum of |mark - price| x size (arXiv:2512.01112), the loss that the closed winners take over.
    `adl_overshoot_usd` is what they would have gained more, had they kept their positions for five seconds: negative
    when the price turned and the closing saved them money.
    """
    if events.empty:
        return dict.fromkeys(ADL_KEYS, math.nan)
    rows = events[events["kind"] == DELEVERAGE]
    dollars, winner = dollars_of(rows, info), rows["counterparty"].to_numpy()
    if not dollars.sum() > 0:
        return dict.fromkeys(ADL_KEYS, math.nan) | {"adl_fills": len(rows), "adl_winners": int(np.unique(winner).size)}
    market, tick = rows["market"].to_numpy(), rows["tick"].to_numpy()
    price = rows["price_ticks"].to_numpy() * np.array([one["tick_dollars"] for one in info["markets"]])[market]
    coins = dollars / np.maximum(price, 1e-9)
    # the account trades `side`, so that the winner's position had the sign of `side`: a bankrupt long sells to a short
    sign = np.where(rows["side"].to_numpy() == SELL, -1.0, 1.0)
    later = marks(market, tick + round(HORIZON_S / float(info["tick_s"])))
    accounts, place = np.unique(winner, return_inverse=True)
    sizes = np.bincount(place, dollars).astype(np.float64)
    shorts = np.unique(winner[sign < 0]).size
    passed = (rows["time"] - rows["time"].min()).dt.total_seconds().to_numpy()
    per_minute = np.bincount((passed // 60).astype(np.int64))
    return {
        "adl_fills": len(rows),
        "adl_winners": int(accounts.size),
        "adl_short_share_percent": 100 * shorts / accounts.size,
        "adl_top10_percent": 100 * float(np.sort(sizes)[::-1][:10].sum()) / float(sizes.sum()),
        "adl_gini": gini(sizes),
        "adl_hill": hill(sizes, 0.1),
        "adl_peak_minute_percent": 100 * float(per_minute.max()) / len(rows),
        "adl_duration_min": float(passed.max()) / 60,
        "adl_mean_price_usd": float(dollars.sum() / coins.sum()),
        "adl_needed_usd": float(np.abs(marks(market, tick) - price) @ coins),
        "adl_overshoot_usd": float((sign * (later - price)) @ coins),
    }


def gini(sizes: Floats) -> float:
    """Gini coefficient of positive sizes (n,): 0 when all are the same, (n - 1) / n when one has everything."""
    ordered = np.sort(sizes)
    ranks = np.arange(1, ordered.size + 1)
    return float((2 * ranks - ordered.size - 1) @ ordered / (ordered.size * ordered.sum()))


def hill(sizes: Floats, share: float) -> float:
    """Hill's tail index of the largest `share` of sizes (n,); nan when fewer than `LEAST_TAIL` are in it."""
    ordered = np.sort(sizes)[::-1]
    tail = int(share * ordered.size)
    if tail < LEAST_TAIL or ordered[tail] <= 0:
        return math.nan
    excess = float(np.mean(np.log(ordered[:tail] / ordered[tail])))
    return 1 / excess if excess > 0 else math.nan
