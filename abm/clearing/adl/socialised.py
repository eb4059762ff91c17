"""Socialised loss: a charge in cash on everybody who holds a position, in proportion to open interest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from abm.clearing.adl.shares import exact_shares
from abm.clearing.adl.winners import Moves, Winners
from abm.state import I64


@dataclass(frozen=True, slots=True)
class Holders:
    """Who holds a position in one instrument, either side: int64 arrays of one length, by row.

    Rows without a position do not belong here; given all the same, they pay nothing.
    """

    rows: I64
    size_lots: I64  # absolute position
    equity: I64  # settlement units, at the mark; of an isolated row that of the position


@dataclass(frozen=True, slots=True)
class SocialisedLoss:
    """Closes nobody: the position stays with the fund, and holders pay for what the fund lacks.

    Exact: a row without a position in the instrument pays nothing. The charges are whole units and add up to min(loss,
    sum of the equities above zero), with no unit lost or made. Nobody pays more than the equity above zero. Where no
    such limit binds, a charge is within one unit of loss * own lots / all lots, the largest remainders rounded up, ties
    by row; where it binds on some, the others share what is left in the same proportion. What exceeds all equities is
    not charged and stays with the fund. Not exact, by nature: holders' equity is that at the mark, not what closing
    would bring.
    """

    moves: ClassVar[Moves] = "cash"

    def allocate(self, needed_lots: int, winners: Winners) -> I64:
        """Nobody is closed: no lots of any row, int64 (n,)."""
        return np.zeros(winners.rows.size, np.int64)

    def charges(self, loss: int, holders: Holders) -> I64:
        """What each holder pays, int64 (n,), settlement units; `loss` beyond their sum is not covered."""
        return exact_shares(loss, holders.size_lots, np.maximum(holders.equity, 0))
