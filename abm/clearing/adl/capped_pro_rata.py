"""Capped pro rata: in proportion to the profit up to a cap of one's own, at one water level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from abm.clearing.adl.shares import exact_shares
from abm.clearing.adl.winners import Moves, Winners
from abm.state import I64
from abm.units import RATE_ONE


@dataclass(frozen=True, slots=True)
class CappedProRata:
    """Water-filling: the haircut of winner i is h_i = min(eta, beta_i), with one eta for all.

    The cap is the whole position, or with `profit_share` (rate, 1e-8) the lots that book that share of the winner's
    profit. When everybody is at the cap and more is needed, the rest is filled up to the whole positions in a second
    pass at one level: the engine must get rid of what it holds. Chitra 2025 (arXiv 2512.01112): the only rule that is
    proof against splitting an account, indifferent to scale and monotone.
    """

    profit_share: int = RATE_ONE
    moves: ClassVar[Moves] = "positions"

    def __post_init__(self) -> None:
        if not 0 < self.profit_share <= RATE_ONE:
            raise ValueError(f"profit share must lie in (0, 1], not {self.profit_share / RATE_ONE:g}")

    def allocate(self, needed_lots: int, winners: Winners) -> I64:
        """Lots to close, int64 (n,). Exact in total; ties by row."""
        needed = winners.needed(needed_lots)
        size = np.where(winners.eligible, winners.size_lots, 0)
        profit = np.where(winners.eligible, winners.unrealised, 0)
        whole, part = np.divmod(size, RATE_ONE)
        lots = exact_shares(needed, profit, whole * self.profit_share + part * self.profit_share // RATE_ONE)
        rest = needed - int(lots.sum())
        return lots if rest == 0 else lots + exact_shares(rest, profit, size - lots)
