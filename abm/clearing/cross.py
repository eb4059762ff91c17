"""Cross margin over several positions or other collateral: accounts whose equity depends on more than one price.

Such an account has no single liquidation price; it is looked at whenever the marks move. Its equity (cash, collateral
after haircut, profits) is shared over its positions in proportion to their maintenance requirement, so that each
position can be forced, taken over or deleveraged by the rules of its own market, and the parts add up to the whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abm.clearing.margin import NO_ROWS, maintenance_of
from abm.clearing.trading import TradingFloor
from abm.state import CROSS, FUND, I64, PERPETUAL, SPOT
from abm.units import COLLATERAL_UNITS, RATE_ONE

ROUNDED_UNITS = 1_000
"""More than rounding can add up to over the positions of an account."""


@dataclass(frozen=True, slots=True)
class Scan:
    """Who was below maintenance, at what prices, and how far these may move before anybody else can be."""

    below: I64
    reach: float
    markets: I64
    prices: I64

    def holds(self, marks: I64) -> bool:
        """Whether the same rows are below maintenance at these prices, int64 (M,), for certain."""
        moved = np.abs(marks[self.markets] - self.prices)
        return not moved.any() or bool((moved < self.reach * self.prices).all())


class CrossMargin:
    """The cross accounts of one venue that hold several positions in one settlement asset, or other collateral.

    `haircuts` are rates (1e-8) by asset id of what counts as collateral beside the settlement asset. Each is valued at
    the venue's own spot market, which must exist (raises ValueError), and backs positions that settle in the asset in
    which that market is paid.
    """

    def __init__(self, floor: TradingFloor, venue: int, haircuts: dict[int, int]) -> None:
        self.floor, self.venue, self.haircuts = floor, venue, haircuts
        markets = floor.markets
        mine = (markets.venue == venue) & (markets.kind == PERPETUAL)
        self.perpetuals = np.flatnonzero(mine)
        self.marks: I64 = np.zeros(markets.count, np.int64)
        self._spot = {asset: self._spot_of(asset) for asset in haircuts}
        settlements = sorted(set(markets.settle[self.perpetuals].tolist()))
        self._groups = {s: self.perpetuals[markets.settle[self.perpetuals] == s] for s in settlements}
        self._backing = {s: [a for a, m in self._spot.items() if markets.settle[m] == s] for s in settlements}
        self._inside = {s: np.zeros(floor.accounts.rows, np.bool_) for s in settlements}
        self._members: dict[int, I64] = dict.fromkeys(settlements, NO_ROWS)
        self._needed = [s for s in settlements if self._backing[s] or self._groups[s].size > 1]
        self._scans: dict[int, Scan] = {}

    def _spot_of(self, asset: int) -> int:
        markets = self.floor.markets
        found = np.flatnonzero((markets.venue == self.venue) & (markets.kind == SPOT) & (markets.base == asset))
        if found.size == 0:
            raise ValueError(f"asset {asset} counts as collateral, but venue {self.venue} has no spot market for it")
        return int(found[0])

    def revalue(self, mark_ticks: I64) -> None:
        """New prices: `mark_ticks` int64 (M,), for spot the last price. Collateral is worth what spot pays, less."""
        markets = self.floor.markets
        if np.array_equal(mark_ticks, self.marks):
            return
        self.marks = mark_ticks.copy()
        self._scans = {settle: scan for settle, scan in self._scans.items() if scan.holds(self.marks)}
        for asset, spot in self._spot.items():
            worth = int(mark_ticks[spot]) * int(markets.tick_value[spot]) * COLLATERAL_UNITS
            counted = worth * (RATE_ONE - self.haircuts[asset]) // (int(markets.lot_units[spot]) * RATE_ONE)
            self.floor.collateral[self.venue, markets.settle[spot], asset] = counted

    def note(self, rows: I64) -> None:
        """Rows (n,) whose balances changed: do they belong here? Call before the ladders are updated."""
        if not self._needed:
            return
        accounts = self.floor.accounts
        rows = rows[(accounts.venue[rows] == self.venue) & (accounts.kind[rows] < FUND)]
        crossed = accounts.mode[rows] == CROSS
        for settle in self._needed:
            held = np.zeros(rows.size, np.int64)
            for slot in self.slots(settle):
                held += accounts.position[slot, rows] != 0
            backed = np.zeros(rows.size, np.bool_)
            for asset in self._backing[settle]:
                backed |= accounts.cash[asset, rows] > 0
            backed &= crossed
            accounts.backed[settle, rows] = backed
            several = crossed & ((held > 1) | (backed & (held > 0)))
            before = self._inside[settle][rows]
            if np.any(before | several):
                self._scans.pop(settle, None)
            if np.any(before != several):
                self._inside[settle][rows] = several
                self._members[settle] = np.flatnonzero(self._inside[settle])

    def slots(self, settle: int) -> I64:
        """Position slots of the perpetuals that settle in an asset, int64 (K,)."""
        slots: I64 = self.floor.markets.slot[self._groups[settle]].astype(np.int64)
        return slots

    def members(self, market: int) -> I64:
        """Rows (n,) looked after here for the settlement asset of a market, rising."""
        return self._members[int(self.floor.markets.settle[market])]

    def belongs(self, rows: I64, market: int) -> NDArray[np.bool_]:
        """Bool (n,): which of the rows are looked after here, not by the market's ladder."""
        return self._inside[int(self.floor.markets.settle[market])][rows]

    def collateral_value(self, rows: I64, settle: int) -> I64:
        """What the other collateral of rows (n,) counts for in a settlement asset, its units."""
        accounts, total = self.floor.accounts, np.zeros(rows.size, np.int64)
        for asset in self._backing[settle]:
            price = int(self.floor.collateral[self.venue, settle, asset])
            total += _at_price(np.maximum(accounts.cash[asset, rows], 0), price)
        return total

    def seized_value(self, row: int, settle: int) -> int:
        """What the coins that the fund's row has seized count for, units of the settlement asset."""
        coins = self.floor.accounts.cash
        if all(coins[asset, row] == 0 for asset in self._backing[settle]):
            return 0
        return int(self.collateral_value(np.array([row]), settle)[0])

    def seized_lots(self, row: int) -> list[tuple[int, int]]:
        """(spot market, whole lots) of each kind of coins that the fund's row holds."""
        units, coins = self.floor.markets.lot_units, self.floor.accounts.cash
        held = [(spot, int(coins[asset, row]) // int(units[spot])) for asset, spot in self._spot.items()]
        return [(spot, lots) for spot, lots in held if lots > 0]

    def _tables(self, rows: I64, market: int) -> tuple[I64, I64, I64, I64]:
        """Perpetuals of the market's settlement asset (K,), and per one of them and row: value, cost, requirement."""
        markets, accounts = self.floor.markets, self.floor.accounts
        group = self._groups[int(markets.settle[market])]
        held = np.ix_(markets.slot[group], rows)
        position = accounts.position[held]
        value = markets.value(group[:, None], position, self.marks[group][:, None])
        owed = np.stack([maintenance_of(np.abs(v), markets, int(m)) for v, m in zip(value, group, strict=True)])
        return group, value, accounts.entry_cost[held], np.where(position != 0, owed, 0)

    def equity(self, rows: I64, market: int) -> tuple[I64, I64]:
        """Equity and maintenance requirement of rows (n,) in the settlement asset of a market, settlement units."""
        _, value, cost, owed = self._tables(rows, market)
        settle = int(self.floor.markets.settle[market])
        cash = self.floor.accounts.cash[settle, rows] + self.collateral_value(rows, settle)
        equity: I64 = cash + (value - cost).sum(axis=0)
        return equity, owed.sum(axis=0)

    def below(self, market: int) -> I64:
        """Rows of members below maintenance that hold this market, int64 (n,), ascending."""
        members = self.members(market)
        if members.size == 0:
            return NO_ROWS
        settle = int(self.floor.markets.settle[market])
        scan = self._scans.get(settle)
        if scan is None:
            scan = self._scans[settle] = self._scan(members, market)
        slot = int(self.floor.markets.slot[market])
        below: I64 = scan.below[self.floor.accounts.position[slot, scan.below] != 0]
        return below

    def _scan(self, members: I64, market: int) -> Scan:
        """Look at every member. While no price moves by `reach`, those that are safe stay safe.

        A relative move d of prices changes equity less requirement by at most 2 d times the exposure, positions and
        collateral: requirements grow by less than half of the value, and 1 / p by less than d / (1 - d).
        """
        _, value, cost, owed = self._tables(members, market)
        settle = int(self.floor.markets.settle[market])
        counted = self.collateral_value(members, settle)
        spare = self.floor.accounts.cash[settle, members] + counted + (value - cost - owed).sum(axis=0)
        below = spare < 0
        exposure = np.abs(value).sum(axis=0) + counted
        reach = np.min((spare - ROUNDED_UNITS)[~below] / (2.0 * exposure[~below] + 1.0), initial=0.1)
        prices = np.concatenate([self._groups[settle], [self._spot[asset] for asset in self._backing[settle]]])
        at = prices.astype(np.int64)
        return Scan(members[below], 0.0 if below.any() else float(reach), at, self.marks[at].copy())

    def waiting(self) -> int:
        """Members below maintenance, each counted once."""
        below = [self.below(int(market)) for market in self.perpetuals if self.members(int(market)).size]
        return np.unique(np.concatenate(below)).size if below else 0

    def wealth(self, rows: I64, market: int) -> I64:
        """What stands behind the position of rows (n,) in this market: its share of the equity less its profit.

        Shares follow the requirements; the last position held gets what rounding leaves, so that the sum over the
        positions of a row is exactly its cash and collateral.
        """
        group, value, cost, owed = self._tables(rows, market)
        equity, total = self.equity(rows, market)
        share = (equity * (owed / np.maximum(total, 1))).astype(np.int64)
        last = group.size - 1 - np.argmax((owed > 0)[::-1], axis=0)
        columns = np.arange(rows.size)
        share[last, columns] += equity - share.sum(axis=0)
        here = int(np.flatnonzero(group == market)[0])
        return np.asarray(share[here] - (value - cost)[here], np.int64)

    def seize(self, rows: I64, settle: int, fund_row: int) -> list[tuple[int, int, int, int]]:
        """Debts of rows without positions are paid from their collateral: (row, asset, units, settlement units) each.

        The fund pays the debt and takes coins for it at their collateral value, rounded in its favour; all of them
        where they are not worth more.
        """
        accounts, seized = self.floor.accounts, []
        for row in rows.tolist():
            for asset in self._backing[settle]:
                owed, held = -int(accounts.cash[settle, row]), int(accounts.cash[asset, row])
                price = int(self.floor.collateral[self.venue, settle, asset])
                if owed <= 0 or held <= 0 or price <= 0:
                    continue
                worth = held * price // COLLATERAL_UNITS
                units = held if owed >= worth else -(-owed * COLLATERAL_UNITS // price)
                paid = min(owed, worth)
                accounts.cash[settle, row] += paid
                accounts.cash[settle, fund_row] -= paid
                accounts.cash[asset, row] -= units
                accounts.cash[asset, fund_row] += units
                accounts.touched[[row, fund_row]] = True
                seized.append((row, asset, units, paid))
        return seized


def _at_price(units: I64, price: int) -> I64:
    """floor(units * price / `COLLATERAL_UNITS`) in two parts, as the whole product may not fit."""
    whole = units // COLLATERAL_UNITS
    total: I64 = whole * price + (units - whole * COLLATERAL_UNITS) * price // COLLATERAL_UNITS
    return total
