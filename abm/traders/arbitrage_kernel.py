"""Compiled part of the arbitrageurs: the step of fast accounts toward a target position."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.compiled import kernel
from abm.state import BUY, IOC, SELL


@kernel
def approach(
    out: NDArray[Any],
    rows: NDArray[np.int64],
    held: NDArray[np.int64],
    target: float,
    back: float,
    forth: float,
    least: float,
    market: int,
    most_ticks: int,
    least_ticks: int,
    latency: int,
    reason: int,
) -> int:
    """Write immediate-or-cancel orders that take accounts toward `target` lots into `out`; returns their number.

    `out` MESSAGE (n,) zeroed; rows and `held` lots int64 (n,). A step is the share `forth` of the distance, or `back`
    where a position is given back; none is shorter than `least` lots. Buys come first, at `most_ticks` or better, then
    sells, at `least_ticks` or better.
    """
    count = 0
    for side in (BUY, SELL):
        for account in range(rows.size):
            gap = target - held[account]
            step = np.int64(gap * (back if gap * held[account] < 0.0 else forth))
            if side * step <= 0 or abs(step) < least:
                continue
            order = out[count]
            order["market"] = market
            order["account"] = rows[account]
            order["op"] = IOC
            order["side"] = side
            order["reason"] = reason
            order["latency"] = latency
            order["price_ticks"] = most_ticks if side == BUY else least_ticks
            order["size_lots"] = side * step
            count += 1
    return count
