"""No rule at all: the fund takes every position and may go below zero, which is recorded as its own loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from abm.clearing.adl.winners import Moves, Winners
from abm.state import I64


@dataclass(frozen=True, slots=True)
class NoDeleveraging:
    """Nobody is closed and nobody is charged."""

    moves: ClassVar[Moves] = "nothing"

    def allocate(self, needed_lots: int, winners: Winners) -> I64:
        """Zeros: no lots of any row, int64 (n,)."""
        return np.zeros(winners.rows.size, np.int64)
