"""The order of messages inside one batch: latency class, then a keyed draw."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.compiled import kernel
from abm.rng import bits, stream

STREAM_PRIORITY: Any = np.int64(stream("batch priority"))
"""Typed, as is FIRST: a plain constant would compile `bits` anew."""
FIRST: Any = np.int64(0)


@kernel
def priorities(
    messages: NDArray[Any], seeds: NDArray[np.int64], first_row: NDArray[np.int64], moment: int
) -> NDArray[np.int64]:
    """Sort key of each MESSAGE, int64 (n,): class in the high bits, then one draw per account and moment.

    All messages of an account in one market share a key, so a stable sort keeps their order (cancel before renewal).
    Its markets follow each other, the last first, because two cohorts may act for one account; what is forced keeps the
    order in which it was given. Draws are keyed by the seed of the market's venue and by the row within it, `seeds` and
    `first_row` int64 (M,).
    """
    keys = np.empty(messages.size, np.int64)
    account = np.int64(-2)
    draw = np.int64(0)
    for i in range(messages.size):
        if messages[i]["account"] != account:
            account = np.int64(messages[i]["account"])
            market = messages[i]["market"]
            draw = bits(seeds[market], STREAM_PRIORITY, account - first_row[market], moment, FIRST) >> 18 << 12
        latency = np.int64(messages[i]["latency"])
        keys[i] = (latency << 56) + draw
        if latency > 0:
            keys[i] += 4095 - (np.int64(messages[i]["market"]) & 4095)
    return keys
