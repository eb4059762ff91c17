"""The sums that must be zero after every tick, in one pass over the accounts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from abm.compiled import kernel

I64 = NDArray[np.int64]


@kernel
def audit_sums(
    venue: NDArray[np.int32],
    venues: int,
    cash: I64,
    reserved: I64,
    margin: I64,
    position: I64,
    entry_cost: I64,
    settle_of_slot: NDArray[np.int32],
) -> tuple[I64, I64, int]:
    """Residues per venue: (V, A) of cash + margin - entry cost, (V, K) of positions, and the smallest reserve of any row.

    `settle_of_slot` (V, K) says which asset a slot settles in. The sums wrap around like all int64 sums; a residue of zero
    is exact because every term fits int64 many times over.
    """
    assets = cash.shape[0]
    slots = position.shape[0]
    money = np.zeros((venues, assets), np.int64)
    lots = np.zeros((venues, slots), np.int64)
    lowest = np.int64(0)
    for row in range(venue.size):
        v = venue[row]
        for a in range(assets):
            money[v, a] += cash[a, row]
            lowest = min(lowest, reserved[a, row])
        for k in range(slots):
            money[v, settle_of_slot[v, k]] += margin[k, row] - entry_cost[k, row]
            lots[v, k] += position[k, row]
    return money, lots, lowest
