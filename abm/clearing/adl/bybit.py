"""Bybit's queue: return times effective leverage."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from abm.clearing.adl.queue import Queue
from abm.clearing.adl.winners import Winners
from abm.state import I64


@dataclass(frozen=True, slots=True)
class BybitQueue(Queue):
    """Highest leveraged return first: (profit / entry value) * (value at the mark / equity behind the position).

    Bybit publishes "leveraged return = return % x effective leverage" (Auto-Deleveraging, help centre, 5 Nov 2025)
    without defining the two factors. Taken here, as venues with the same words define them (BitMEX, Delta Exchange):
    return on the entry value, and mark value / (mark value - bankrupt value), the divisor being the equity behind the
    position. Status: partial. No equity, no place in the queue: score 0.
    """

    def scores(self, winners: Winners, which: I64) -> NDArray[np.float64]:
        """Return times effective leverage, float64 (k,)."""
        equity = winners.equity[which]
        gain = winners.unrealised[which] / np.maximum(1, winners.entry_notional[which])
        scores: NDArray[np.float64] = np.where(equity > 0, gain * winners.notional[which] / np.maximum(1, equity), 0.0)
        return scores

    def exact(self, winners: Winners, i: int) -> Fraction:
        """The same, exact."""
        profit, equity = int(winners.unrealised[i]), int(winners.equity[i])
        if profit <= 0 or equity <= 0:
            return Fraction(0)
        return Fraction(profit * int(winners.notional[i]), max(1, int(winners.entry_notional[i])) * equity)
