"""Ticks as columns of plain numbers, the way the page draws them: from `STEP` records to lists.

Everything the page shows as a number is computed here or read from the model; the page formats and draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

NICE_S = (1, 2, 5, 10, 15, 30, 60, 300, 900, 3_600, 14_400, 86_400)
"""Lengths of bins in seconds."""
BARS, BUBBLES = 100, 200
"""At most so many bars and bubbles of a side across a whole run."""
PLAIN = (
    *("perp_usd", "perp_high_usd", "perp_low_usd", "mark_usd", "spot_usd", "fair_usd", "depth_bid_usd"),
    *("depth_ask_usd", "spread_bp", "funding_bp_8h", "open_interest_btc", "fund_usd", "bad_debt_usd", "adl_usd"),
    *("liquidated_long_usd", "liquidated_short_usd", "taken_over_usd", "treasury_btc", "treasury_ltv"),
    *("makers_quoting", "volume_btc", "news_fair_change", "messages", "rounds", "adl_accounts"),
)
"""Columns of `STEP` that go to the page as they are."""
TOTALS = {
    "liquidated_long_total_usd": "liquidated_long_usd",
    "liquidated_short_total_usd": "liquidated_short_usd",
    "liquidated_long_accounts_total": "liquidated_long_accounts",
    "liquidated_short_accounts_total": "liquidated_short_accounts",
    "adl_total_usd": "adl_usd",
    "adl_accounts_total": "adl_accounts",
    "taken_over_total_usd": "taken_over_usd",
}
"""Running sums that the page needs, by the column they sum."""


def plain(values: NDArray[Any]) -> list[Any]:
    """A column as a list; what is not finite becomes None (JSON has no nan)."""
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        if not finite.all():
            return [value if good else None for value, good in zip(values.tolist(), finite.tolist(), strict=True)]
    listed: list[Any] = values.tolist()
    return listed


def columns(steps: NDArray[np.void], tick_s: float, since: int = 0) -> dict[str, list[Any]]:
    """Columns of the rows from `since` on, `steps` (n,) of dtype `STEP`; sums and falls count from the first row.

    `seconds` is the end of the tick after the start, `fall_percent` the change of the price from the first tick.
    """
    if steps.size == 0:
        return {}
    found = {name: plain(steps[name][since:]) for name in ("tick", *PLAIN)}
    found["seconds"] = plain(steps["tick"][since:] * tick_s)
    for name, column in TOTALS.items():
        found[name] = plain(np.cumsum(steps[column])[since:])
    found["fall_percent"] = plain(100.0 * (steps["perp_usd"][since:] / steps["perp_usd"][0] - 1.0))
    found["open_interest_usd"] = plain(steps["open_interest_btc"][since:] * steps["mark_usd"][since:])
    found["fund_change_usd"] = plain(steps["fund_usd"][since:] - steps["fund_usd"][0])
    found["treasury_sold_btc"] = plain(steps["treasury_btc"][0] - steps["treasury_btc"][since:])
    return found


def bin_s(duration_s: float, at_most: int, least_s: float) -> float:
    """The shortest nice bin, at least `least_s` long, that a run has at most `at_most` of."""
    wanted = max(duration_s / at_most, least_s)
    return float(next((nice for nice in NICE_S if nice >= wanted), NICE_S[-1]))


def forced_bins(steps: NDArray[np.void], tick_s: float, length_s: float, since: int = 0) -> list[list[Any]]:
    """Forced flow by bins of time, from the bin of row `since` on; bins without any are left out.

    Each [bin, longs sold $, shorts bought $, deleveraged $, lowest price, highest price]. A tick belongs to the bin in
    which it begins.
    """
    if steps.size == 0:
        return []
    number = np.floor((steps["tick"] - 1) * tick_s / length_s + 1e-9).astype(np.int64)
    first = int(np.searchsorted(number, number[min(since, steps.size - 1)]))
    number, rows = number[first:], steps[first:]
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    sums = [np.add.reduceat(rows[name], starts) for name in ("liquidated_long_usd", "liquidated_short_usd", "adl_usd")]
    low, high = np.minimum.reduceat(rows["perp_low_usd"], starts), np.maximum.reduceat(rows["perp_high_usd"], starts)
    kept = sum(sums) > 0
    parts = [part[kept].tolist() for part in (number[starts], *sums, low, high)]
    return [list(row) for row in zip(*parts, strict=True)]


def row_of(steps: NDArray[np.void], index: int) -> Mapping[str, Any]:
    """One tick by column name, for tests and messages."""
    return {name: steps[name][index].item() for name in steps.dtype.names or ()}
