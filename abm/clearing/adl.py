"""Auto-deleveraging: whose winning positions are closed when the insurance fund cannot take a bankrupt one.

A rule is any object with `allocate(needed_lots, winners) -> lots per row`. The engine executes what it returns and
checks it with `check_allocation`: winners only, no side flip, and in total as much as is needed or all there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from abm.clearing.formulas import adl_score
from abm.clearing.margin import maintenance_of, traders_with_positions
from abm.state import I64, ISOLATED, Accounts, Markets

_ROUNDING = 1e-12
"""Scores in floating point closer than this (relative) are compared exactly."""
_FIRST_LOOK = 256


@dataclass(frozen=True, slots=True)
class Winners:
    """Candidates for deleveraging in one perpetual: int64 arrays of one length, by row. Money in settlement units."""

    rows: I64
    size_lots: I64  # absolute position
    unrealised: I64  # profit at the mark
    wallet: I64  # cash of a cross row, margin of an isolated one
    maintenance: I64

    def __post_init__(self) -> None:
        if np.any(np.diff(self.rows) <= 0):
            raise ValueError("winners must be given once each, ascending by row")

    @property
    def eligible(self) -> NDArray[np.bool_]:
        """Who may be deleveraged at all: positions in profit."""
        return (self.unrealised > 0) & (self.size_lots > 0)

    @property
    def available_lots(self) -> int:
        """Lots that can be closed."""
        return int(self.size_lots[self.eligible].sum())


class DeleveragingRule(Protocol):
    """The extension point."""

    def allocate(self, needed_lots: int, winners: Winners) -> I64:
        """Lots to close of each row of `winners`, int64 in the same order; 0 where it is spared."""


class AllocationError(AssertionError):
    """A deleveraging rule asked for what no rule may do."""


def check_allocation(needed_lots: int, winners: Winners, lots: I64) -> None:
    """Raise `AllocationError` unless only winners lose, nobody flips, and the total is min(needed, available)."""
    if lots.shape != winners.rows.shape or not np.issubdtype(lots.dtype, np.integer):
        raise AllocationError(f"expected {winners.rows.size} whole numbers, got {lots.dtype} of shape {lots.shape}")
    for rows, what in (
        (winners.rows[lots < 0], "a negative size"),
        (winners.rows[lots > winners.size_lots], "more than the position, which would flip it"),
        (winners.rows[(lots != 0) & ~winners.eligible], "a position without profit"),
    ):
        if rows.size:
            raise AllocationError(f"{what}: row {rows[0]}" + (f" and {rows.size - 1} more" if rows.size > 1 else ""))
    total, wanted = int(lots.sum()), min(max(0, needed_lots), winners.available_lots)
    if total != wanted:
        raise AllocationError(f"{total} lots allocated, {wanted} wanted (needed {needed_lots})")


def winners_at(
    markets: Markets, accounts: Accounts, market: int, side: int, mark_ticks: int, excluded: Sequence[int] = ()
) -> Winners:
    """Traders in profit at the mark whose position in this perpetual has this side (+1 long, -1 short).

    `excluded` rows (being liquidated themselves) are left out; the venue's own rows always are.
    """
    slot, settle = int(markets.slot[market]), int(markets.settle[market])
    rows = traders_with_positions(markets, accounts, market)
    if len(excluded):
        rows = rows[~np.isin(rows, np.asarray(excluded))]
    value = accounts.position[slot, rows] * (mark_ticks * int(markets.tick_value[market]))
    profit = value - accounts.entry_cost[slot, rows]
    keep = (np.sign(value) == side) & (profit > 0)
    rows, value, profit = rows[keep], value[keep], profit[keep]
    isolated = accounts.mode[rows] == ISOLATED
    return Winners(
        rows=rows,
        size_lots=np.abs(accounts.position[slot, rows]),
        unrealised=profit,
        wallet=np.where(isolated, accounts.margin[slot, rows], accounts.cash[settle, rows]),
        maintenance=maintenance_of(np.abs(value), markets, market),
    )


@dataclass(frozen=True, slots=True)
class BinanceQueue:
    """Highest leveraged profit first (`formulas.adl_score`), each closed whole until the need is met; ties by row.

    `one` is one whole settlement coin in units.
    """

    one: int = 1_000_000

    def allocate(self, needed_lots: int, winners: Winners) -> I64:
        """Walk down the queue. Looks at the top of it only, and further down as long as that does not suffice."""
        lots = np.zeros(winners.rows.size, np.int64)
        needed = min(max(0, needed_lots), winners.available_lots)
        look = _FIRST_LOOK
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
        """Indices into `winners` of the eligible in the order of the queue, at least the first `top` of them.

        Floating point only sorts roughly; neighbours that it cannot tell apart are compared as exact fractions.
        """
        eligible = np.flatnonzero(winners.eligible)
        score = self._scores(winners, eligible)
        if top is not None and top < eligible.size:
            worst = np.partition(score, eligible.size - top)[eligible.size - top]
            near = score >= worst * (1 - _ROUNDING)
            eligible, score = eligible[near], score[near]
        order = np.argsort(-score, kind="stable")
        eligible, score = eligible[order], score[order]
        tied = score[1:] >= score[:-1] * (1 - _ROUNDING)
        starts = np.flatnonzero(np.diff(np.concatenate(([False], tied, [False])).astype(np.int8)) == 1)
        ends = np.flatnonzero(np.diff(np.concatenate(([False], tied, [False])).astype(np.int8)) == -1)
        for start, end in zip(starts, ends, strict=True):
            group = eligible[start : end + 1]
            exact = {int(i): self._exact(winners, int(i)) for i in group}
            eligible[start : end + 1] = sorted(exact, key=lambda i: (-exact[i], i))
        return eligible

    def _scores(self, winners: Winners, which: I64) -> NDArray[np.float64]:
        """Approximate score of some winners."""
        profit, wallet = winners.unrealised[which], winners.wallet[which]
        balance = wallet + profit
        part = profit / np.maximum(self.one, wallet) * winners.maintenance[which]
        scores: NDArray[np.float64] = np.where(balance > 0, part / np.maximum(1, balance), 0.0)
        return scores

    def _exact(self, winners: Winners, i: int) -> Fraction:
        return adl_score(int(winners.unrealised[i]), int(winners.wallet[i]), int(winners.maintenance[i]), self.one)
