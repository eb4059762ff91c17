"""Hyperliquid's queue: leverage of the account times return, each with a floor."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from abm.clearing.adl.queue import Queue
from abm.clearing.adl.winners import Winners
from abm.state import I64

FLOOR = Fraction(1, 10**8)


@dataclass(frozen=True, slots=True)
class HyperliquidQueue(Queue):
    """max(|notional| / account value, 1e-8) * max(max(profit, 0) / entry notional, 1e-8), highest first.

    Source: decompiled form (OtterSec, osec.io, 22 Jun 2026); the venue's documents give (mark / entry) * (notional /
    account value), which would rank profitable shorts last. An account without value has the floor's leverage.
    """

    def scores(self, winners: Winners, which: I64) -> NDArray[np.float64]:
        """Leverage times return, with the floors, float64 (k,)."""
        floor, equity = float(FLOOR), winners.equity[which]
        leverage = np.where(equity > 0, winners.notional[which] / np.maximum(1, equity), floor)
        gain = np.maximum(winners.unrealised[which], 0) / np.maximum(1, winners.entry_notional[which])
        scores: NDArray[np.float64] = np.maximum(leverage, floor) * np.maximum(gain, floor)
        return scores

    def exact(self, winners: Winners, i: int) -> Fraction:
        """The same, exact."""
        equity = int(winners.equity[i])
        leverage = Fraction(int(winners.notional[i]), equity) if equity > 0 else FLOOR
        gain = Fraction(max(int(winners.unrealised[i]), 0), max(1, int(winners.entry_notional[i])))
        return max(leverage, FLOOR) * max(gain, FLOOR)
