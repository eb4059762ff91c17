"""Who can be deleveraged, and what no rule may do with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from abm.clearing.margin import maintenance_of, traders_with_positions
from abm.state import I64, ISOLATED, Accounts, Markets

Moves = Literal["positions", "cash", "nothing"]
"""What a rule takes from traders: lots of winners, money of everybody who holds a position, or nothing."""


@dataclass(frozen=True, slots=True)
class Winners:
    """Candidates for deleveraging in one instrument: int64 arrays of one length, by row. Money in settlement units."""

    rows: I64
    size_lots: I64  # absolute position
    unrealised: I64  # profit at the mark
    wallet: I64  # cash of a cross row, margin of an isolated one
    maintenance: I64
    notional: I64  # absolute value at the mark
    entry_notional: I64  # absolute entry cost
    equity: I64  # of a cross row: of the account; of an isolated one: margin + profit

    def __post_init__(self) -> None:
        if np.any(np.diff(self.rows) <= 0):
            raise ValueError("winners must be given once each, ascending by row")

    @property
    def eligible(self) -> NDArray[np.bool_]:
        """Who may be deleveraged at all: positions in profit; bool (n,)."""
        return (self.unrealised > 0) & (self.size_lots > 0)

    @property
    def available_lots(self) -> int:
        """Lots that can be closed."""
        return int(self.size_lots[self.eligible].sum())

    def needed(self, lots: int) -> int:
        """Lots that a rule must allocate when so many are asked for."""
        return min(max(0, lots), self.available_lots)


class DeleveragingRule(Protocol):
    """The extension point. The engine executes what a rule returns, after `check_allocation`."""

    @property
    def moves(self) -> Moves:
        """Only a rule that moves positions is asked to allocate more than zeros."""

    def allocate(self, needed_lots: int, winners: Winners) -> I64:
        """Lots to close of each row of `winners`, int64 (n,) in the same order; 0 where it is spared."""


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
    total, wanted = int(lots.sum()), winners.needed(needed_lots)
    if total != wanted:
        raise AllocationError(f"{total} lots allocated, {wanted} wanted (needed {needed_lots})")


def winners_at(
    markets: Markets,
    accounts: Accounts,
    market: int,
    side: int,
    mark_ticks: int,
    excluded: Sequence[int] = (),
    equity: I64 | None = None,
) -> Winners:
    """Traders in profit at the mark whose position in this instrument has this side (+1 long, -1 short).

    `excluded` rows (being liquidated themselves) are left out; the venue's own rows always are. `equity` is that of
    each account, int64 (R,), where cross rows hold several instruments or coins; without it a cross row is taken to own
    its cash and this position only.
    """
    slot, settle = int(markets.slot[market]), int(markets.settle[market])
    rows = traders_with_positions(markets, accounts, market)
    if len(excluded):
        rows = rows[~np.isin(rows, np.asarray(excluded))]
    lots, cost = accounts.position[slot, rows], accounts.entry_cost[slot, rows]
    value = markets.value(market, lots, mark_ticks)
    profit = value - cost
    keep = (np.sign(lots) == side) & (profit > 0)
    rows, lots, cost, value, profit = rows[keep], lots[keep], cost[keep], value[keep], profit[keep]
    isolated = accounts.mode[rows] == ISOLATED
    wallet = np.where(isolated, accounts.margin[slot, rows], accounts.cash[settle, rows])
    own = wallet + profit
    return Winners(
        rows=rows,
        size_lots=np.abs(lots),
        unrealised=profit,
        wallet=wallet,
        maintenance=maintenance_of(np.abs(value), markets, market),
        notional=np.abs(value),
        entry_notional=np.abs(cost),
        equity=own if equity is None else np.where(isolated, own, equity[rows]),
    )
