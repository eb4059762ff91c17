"""The sums that must be zero after every tick, column by column so that memory is read in order."""

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
) -> tuple[I64, I64, I64, int]:
    """Residues per venue: (V, A) of cash + margin - entry cost, (V, K) of positions; then (V, K) lots held long, and the
    smallest reserve of any row.

    `settle_of_slot` (V, K) says which asset a slot settles in. The sums wrap around like all int64 sums; a residue of zero
    is exact because every term fits int64 many times over.
    """
    rows = venue.size
    money = np.zeros((venues, cash.shape[0]), np.int64)
    lots = np.zeros((venues, position.shape[0]), np.int64)
    longs = np.zeros((venues, position.shape[0]), np.int64)
    lowest = np.int64(0)
    # Rows of a venue stand together: summing to its end before the total is stored is four times as fast.
    first = 0
    while first < rows:
        v = venue[first]
        end = first + 1
        while end < rows and venue[end] == v:
            end += 1
        for a in range(cash.shape[0]):
            total = np.int64(0)
            for row in range(first, end):
                total += cash[a, row]
                lowest = min(lowest, reserved[a, row])
            money[v, a] += total
        for k in range(position.shape[0]):
            total = np.int64(0)
            net = np.int64(0)
            long = np.int64(0)
            for row in range(first, end):
                total += margin[k, row] - entry_cost[k, row]
                net += position[k, row]
                long += max(position[k, row], 0)
            money[v, settle_of_slot[v, k]] += total
            lots[v, k] += net
            longs[v, k] += long
        first = end
    return money, lots, longs, lowest
