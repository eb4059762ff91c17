"""A queue: the highest score first, each position closed whole until the need is met."""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from abm.clearing.adl.winners import Moves, Winners
from abm.state import I64

ROUNDING = 1e-12
"""Scores in floating point closer than this (relative) are compared exactly."""
FIRST_LOOK = 256


class Queue(ABC):
    """A rule that ranks. A venue's queue says how it scores, approximately for all and exactly for one; ties by row."""

    __slots__ = ()
    moves: ClassVar[Moves] = "positions"

    @abstractmethod
    def scores(self, winners: Winners, which: I64) -> NDArray[np.float64]:
        """Approximate score of some winners (relative error far below `ROUNDING`), float64 (k,) like `which`."""

    @abstractmethod
    def exact(self, winners: Winners, i: int) -> Fraction:
        """Score of winner number `i`, without rounding."""

    def allocate(self, needed_lots: int, winners: Winners) -> I64:
        """Lots to close, int64 (n,), down the queue: looks at its top, and further as long as that is too little."""
        lots = np.zeros(winners.rows.size, np.int64)
        needed = winners.needed(needed_lots)
        look = FIRST_LOOK
        while needed > 0:
            order = self.ranking(winners, look)
            size = winners.size_lots[order]
            if look >= winners.rows.size or size.sum() >= needed:
                before = np.cumsum(size) - size
                lots[order] = np.clip(needed - before, 0, size)
                break
            look *= 8
        return lots

    def ranking(self, winners: Winners, top: int | None = None) -> I64:
        """Indices (k,) into `winners` of the eligible in the order of the queue, at least the first `top` of them.

        Floating point only sorts roughly; neighbours that it cannot tell apart are compared as exact fractions.
        """
        eligible = np.flatnonzero(winners.eligible)
        score = self.scores(winners, eligible)
        if top is not None and top < eligible.size:
            worst = np.partition(score, eligible.size - top)[eligible.size - top]
            near = score >= worst * (1 - ROUNDING)
            eligible, score = eligible[near], score[near]
        order = np.argsort(-score, kind="stable")
        eligible, score = eligible[order], score[order]
        tied = score[1:] >= score[:-1] * (1 - ROUNDING)
        edges = np.diff(np.concatenate(([False], tied, [False])).astype(np.int8))
        for start, end in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
            group = eligible[start : end + 1]
            exact = {int(i): self.exact(winners, int(i)) for i in group}
            eligible[start : end + 1] = sorted(exact, key=lambda i: (-exact[i], i))
        return eligible
