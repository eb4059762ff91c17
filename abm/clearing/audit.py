"""Audits: always on. A broken invariant stops the run and says what, where and when.

Every tick: all that was posted adds up to nothing in money, positions and coins, and no order left a negative reserve.
Every 60 ticks, after every unwind and at the end also: the same counted over all accounts, which finds what was changed
past the books; the structure of the books, the reserves recomputed from the orders, the ladders, and the book's copy of
the positions.
"""

from __future__ import annotations

import numpy as np

from abm.clearing.audit_kernel import add_changes
from abm.clearing.trading import TradingFloor
from abm.records import taken
from abm.state import FORCED, I64, NOBODY, PERPETUAL, REDUCE_ONLY


class AuditError(RuntimeError):
    """An invariant of the ledger or of the books does not hold."""


def audit_money(floor: TradingFloor, assets: list[str]) -> I64:
    """Per venue and asset: cash + margin - entry cost sums to zero; positions sum to zero; no reserve is negative.

    `assets` are the names by asset id. Returns the lots held long, int64 (venues, slots): the open interest, which the
    same pass counts. Raises `AuditError` that names everything found wrong.
    """
    markets, accounts = floor.markets, floor.accounts
    money = np.zeros((floor.perp_of_slot.shape[0], accounts.cash.shape[0]), np.int64)
    lots, longs = (np.zeros(floor.perp_of_slot.shape, np.int64) for _ in range(2))
    # NumPy's sums wrap around like all int64 sums; a residue of zero is exact.
    total = np.add.reduce
    for venue, mine in floor.rows_of_venues:
        money[venue] += total(accounts.cash[:, mine], axis=1)
        for slot, perp in enumerate(floor.perp_of_slot[venue].tolist()):
            if perp != NOBODY:
                tied = total(accounts.margin[slot, mine]) - total(accounts.entry_cost[slot, mine])
                money[venue, markets.settle[perp]] += tied
            held = accounts.position[slot, mine]
            lots[venue, slot] += total(held)
            longs[venue, slot] += total(np.maximum(held, 0))
    lowest = int(accounts.reserved.min())
    if lowest >= 0 and not np.count_nonzero(money) and not np.count_nonzero(lots):
        return longs
    problems = []
    for venue, asset in np.argwhere(money):
        problems.append(f"venue {venue}: {assets[asset]} does not add up, residue {money[venue, asset]} units")
    for venue, slot in np.argwhere(lots):
        name = markets.names[floor.perp_of_slot[venue, slot]]
        problems.append(f"{name}: positions sum to {lots[venue, slot]} lots instead of 0")
    if lowest < 0:
        asset, row = np.unravel_index(int(accounts.reserved.argmin()), accounts.reserved.shape)
        problems.append(f"account {row}: reserved {assets[asset]} is {lowest} units, below zero")
    raise AuditError("; ".join(problems))


class MoneyAudit:
    """The audit of money and positions that costs what was posted, not what is there; a whole count where in doubt.

    Whoever changes a balance marks the row in `Accounts.touched`. What changed in those rows must add up to nothing.
    `longs` are the lots held long, int64 (venues, slots): the open interest.
    """

    def __init__(self, floor: TradingFloor, assets: list[str]) -> None:
        self._floor, self._assets = floor, assets
        self._money = np.zeros((floor.perp_of_slot.shape[0], floor.accounts.cash.shape[0]), np.int64)
        self._lots = np.zeros(floor.perp_of_slot.shape, np.int64)
        self.longs = np.zeros_like(self._lots)
        self._seen_money = np.zeros_like(floor.accounts.cash)
        self._seen_lots = np.zeros_like(floor.accounts.position)
        self._add(np.arange(floor.accounts.rows))

    def check(self, rows: I64, whole: bool = False) -> None:
        """What changed in `rows` (n,) since the last check, or everything; raises `AuditError` as `audit_money` does.

        A change that does not add up may be half of one whose other half nobody marked: then the whole count decides.
        """
        self._add(rows)
        balanced = not np.count_nonzero(self._money) and not np.count_nonzero(self._lots)
        if whole or not balanced or self._floor.least_reserved < 0:
            longs = audit_money(self._floor, self._assets)
            if not balanced or not np.array_equal(longs, self.longs):
                self._add(np.arange(self._floor.accounts.rows))
            self._floor.least_reserved = 0

    def _add(self, rows: I64) -> None:
        floor, a = self._floor, self._floor.accounts
        add_changes(
            rows, a.venue, floor.perp_of_slot, floor.markets.settle, a.cash, a.margin, a.position, a.entry_cost,
            self._seen_money, self._seen_lots, self._money, self._lots, self.longs,
        )  # fmt: skip


def audit_structure(floor: TradingFloor) -> None:
    """Books, reserves and the book's positions, recomputed from scratch; raises `AuditError` at a difference."""
    markets, accounts, books = floor.markets, floor.accounts, floor.books
    try:
        books.check()
    except AssertionError as error:
        raise AuditError(f"order book structure: {error}") from error
    reserved = np.zeros_like(accounts.reserved)
    open_lots = {1: np.zeros_like(accounts.open_bid), -1: np.zeros_like(accounts.open_ask)}
    everyone = np.ones(accounts.rows, np.bool_)
    counted = taken(books.orders, books.handles_of(everyone) & 0xFFFFFFFF)
    counted = taken(counted, (counted["flags"] & (FORCED | REDUCE_ONLY)) == 0)
    for m in range(markets.count):
        orders = taken(counted, counted["market"] == m)
        for side in (1, -1):
            own = taken(orders, orders["side"] == side)
            asset = markets.settle[m] if side > 0 or markets.kind[m] == PERPETUAL else markets.base[m]
            np.add.at(reserved[asset], own["account"], own["size_lots"].astype(np.int64) * own["unit_reserve"])
            if markets.kind[m] == PERPETUAL:
                np.add.at(open_lots[side][markets.slot[m]], own["account"], own["size_lots"])
    for name, found, expected in (
        ("reserved units", accounts.reserved, reserved),
        ("open bid lots", accounts.open_bid, open_lots[1]),
        ("open ask lots", accounts.open_ask, open_lots[-1]),
        ("the book's net lots", floor.net_lots.reshape(accounts.position.shape), accounts.position),
    ):
        if not np.array_equal(found, expected):
            column, row = np.argwhere(found != expected)[0]
            values = f"{found[column, row]}, recomputed {expected[column, row]} (column {column})"
            raise AuditError(f"account {row}: {name} {values}")
