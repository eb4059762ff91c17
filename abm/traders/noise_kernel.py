"""Compiled part of the noise traders: the orders of those who trade now."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.compiled import kernel
from abm.rng import uniform
from abm.state import BUY, I64, IOC, SELL

SIDE_DRAW: Any = np.int64(0)
SIZE_DRAW: Any = np.int64(4)
"""Typed: plain constants would compile `uniform` anew for each."""


@kernel
def flow(
    out: NDArray[Any],
    who: I64,
    spread: NDArray[np.float64],
    rows: I64,
    held: I64,
    opening: int,
    limit_share: float,
    mean_lots: float,
    slip: float,
    market: int,
    last_ticks: int,
    latency: int,
    reason: int,
    seed: int,
    size_stream: int,
    side_stream: int,
    tick: int,
    block: int,
) -> int:
    """Write one order for each number in `who` (n,) that has a size into `out`, MESSAGE (n,) new; how many there are.

    `spread` (n,) multiplies the mean size; `rows` and `held` (accounts,) are account rows and what they hold in this
    market, `opening` of it from the start; `limit_share` is one unit as a share of the inventory at which an account
    leans back fully.
    """
    count = 0
    for n in range(who.size):
        me = who[n]
        # rounded by a draw: a small mean keeps its volume
        size = int(np.floor(mean_lots * spread[n] + uniform(seed, size_stream, me, tick, SIZE_DRAW)))
        if size <= 0:
            continue
        lean = min(max((held[me] - opening) * limit_share, -1.0), 1.0)
        side = BUY if uniform(seed, side_stream, me, block, SIDE_DRAW) < 0.5 - 0.5 * lean else SELL
        out[count]["market"] = market
        out[count]["account"] = rows[me]
        out[count]["op"] = IOC
        out[count]["side"] = side
        out[count]["reason"] = reason
        out[count]["latency"] = latency
        out[count]["price_ticks"] = max(1, int(np.rint(last_ticks * (1.0 + slip * side))))
        out[count]["size_lots"] = size
        count += 1
    return count
