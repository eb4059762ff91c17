"""Binance's queue: profit ratio times margin ratio."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from abm.clearing.adl.queue import Queue
from abm.clearing.adl.winners import Winners
from abm.clearing.formulas import adl_score
from abm.state import I64


@dataclass(frozen=True, slots=True)
class BinanceQueue(Queue):
    """Highest leveraged profit first, `formulas.adl_score`, where its source is.

    `one` is one whole settlement coin in units.
    """

    one: int = 1_000_000

    def scores(self, winners: Winners, which: I64) -> NDArray[np.float64]:
        """max(0, profit) / max(1, wallet) * maintenance / (wallet + profit)."""
        profit, wallet = winners.unrealised[which], winners.wallet[which]
        balance = wallet + profit
        part = profit / np.maximum(self.one, wallet) * winners.maintenance[which]
        scores: NDArray[np.float64] = np.where(balance > 0, part / np.maximum(1, balance), 0.0)
        return scores

    def exact(self, winners: Winners, i: int) -> Fraction:
        """The same, exact."""
        return adl_score(int(winners.unrealised[i]), int(winners.wallet[i]), int(winners.maintenance[i]), self.one)
