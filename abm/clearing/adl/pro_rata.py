"""Pro rata: everybody in profit, in proportion to the profit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from abm.clearing.adl.shares import exact_shares, mul_div, sum_of
from abm.clearing.adl.winners import Moves, Winners
from abm.state import I64


@dataclass(frozen=True, slots=True)
class ProRata:
    """Lots in proportion to positive profit; what a position cannot give goes around again.

    All lots close at one price, so a share of the lots is the same share of the haircut: h_i = H / U for everybody, as
    long as no position is used up. What does not fit is shared in further rounds, by the profit then left open.
    """

    moves: ClassVar[Moves] = "positions"

    def allocate(self, needed_lots: int, winners: Winners) -> I64:
        """Lots to close, int64 (n,). Exact in total; ties by row."""
        needed = winners.needed(needed_lots)
        lots = np.zeros(winners.rows.size, np.int64)
        open_lots = np.where(winners.eligible, winners.size_lots, 0)
        while needed > 0:
            # at least 1, so that everybody with a lot left can be asked: then every round closes a position or ends
            profit, _ = mul_div(np.maximum(winners.unrealised, 0), open_lots, np.maximum(winners.size_lots, 1))
            share = np.where(open_lots > 0, np.maximum(profit, 1), 0)
            asked = exact_shares(needed, share, np.full(share.size, needed))
            taken = np.minimum(asked, open_lots)
            lots += taken
            open_lots -= taken
            needed -= sum_of(taken)
        return lots
