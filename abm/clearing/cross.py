"""Cross margin over several positions or other collateral: accounts whose equity depends on more than one price.

Such an account has no single liquidation price; it is looked at whenever the marks move. Its equity (cash, collateral
after haircut, profits) is shared over its positions in proportion to their maintenance requirement, so that each
position can be forced, taken over or deleveraged by the rules of its own market, and the parts add up to the whole.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from abm.clearing.margin import NO_ROWS, maintenance_of
from abm.clearing.trading import TradingFloor
from abm.state import CROSS, FUND, I64, PERPETUAL, SPOT
from abm.units import RATE_ONE


class CrossMargin:
    """The cross accounts of one venue that hold several positions in one settlement asset, or other collateral.

    `haircuts` are rates (1e-8) by asset id of what counts as collateral beside the settlement asset; each is valued at
    the venue's own spot market against it, which must exist (raises ValueError).
    """

    def __init__(self, floor: TradingFloor, venue: int, haircuts: dict[int, int]) -> None:
        self.floor, self.venue, self.haircuts = floor, venue, haircuts
        markets = floor.markets
        mine = (markets.venue == venue) & (markets.kind == PERPETUAL)
        self.perpetuals = np.flatnonzero(mine)
        self.marks: I64 = np.ones(markets.count, np.int64)
        self._spot = {asset: self._spot_of(asset) for asset in haircuts}
        self.members: I64 = np.zeros(0, np.int64)
        """Rows looked after here, rising."""
        self._groups = [self.perpetuals[markets.settle[self.perpetuals] == s] for s in self._settlements()]
        self._needed = bool(haircuts) or any(group.size > 1 for group in self._groups)

    def _settlements(self) -> list[int]:
        return sorted(set(self.floor.markets.settle[self.perpetuals].tolist()))

    def _spot_of(self, asset: int) -> int:
        markets = self.floor.markets
        found = np.flatnonzero((markets.venue == self.venue) & (markets.kind == SPOT) & (markets.base == asset))
        if found.size == 0:
            raise ValueError(f"asset {asset} counts as collateral, but venue {self.venue} has no spot market for it")
        return int(found[0])

    def revalue(self, mark_ticks: I64) -> None:
        """New prices: `mark_ticks` int64 (M,), for spot the last price. Collateral is worth what spot pays, less."""
        self.marks = mark_ticks
        markets = self.floor.markets
        for asset, spot in self._spot.items():
            coin = int(mark_ticks[spot]) * int(markets.tick_value[spot]) * RATE_ONE // int(markets.lot_units[spot])
            self.floor.collateral[self.venue, asset] = coin * (RATE_ONE - self.haircuts[asset]) // RATE_ONE

    def note(self, rows: I64) -> None:
        """Rows (n,) whose balances changed: do they belong here? Call before the ladders are updated."""
        if not self._needed:
            return
        accounts = self.floor.accounts
        rows = rows[(accounts.venue[rows] == self.venue) & (accounts.kind[rows] < FUND)]
        crossed = accounts.mode[rows] == CROSS
        backed = crossed & (accounts.cash[list(self.haircuts)][:, rows] > 0).any(axis=0)
        accounts.backed[rows] = backed
        several = np.zeros(rows.size, np.bool_)
        for group in self._groups:
            held = (accounts.position[self.floor.markets.slot[group]][:, rows] != 0).sum(axis=0)
            several |= crossed & ((held > 1) | (backed & (held > 0)))
        self.members = np.union1d(np.setdiff1d(self.members, rows[~several], assume_unique=False), rows[several])

    def belongs(self, rows: I64) -> NDArray[np.bool_]:
        """Bool (n,): which of the rows are looked after here, not by a ladder."""
        return np.isin(rows, self.members)

    def collateral_value(self, rows: I64) -> I64:
        """What the other collateral of rows (n,) counts for, settlement units."""
        accounts, total = self.floor.accounts, np.zeros(rows.size, np.int64)
        for asset in self.haircuts:
            total += _at_price(np.maximum(accounts.cash[asset, rows], 0), int(self.floor.collateral[self.venue, asset]))
        return total

    def _tables(self, rows: I64, market: int) -> tuple[I64, I64, I64, I64]:
        """Perpetuals of the market's settlement asset (K,), and per one of them and row: value, cost, requirement."""
        markets, accounts = self.floor.markets, self.floor.accounts
        group = self.perpetuals[markets.settle[self.perpetuals] == markets.settle[market]]
        slots = markets.slot[group]
        position = accounts.position[slots][:, rows]
        value = markets.value(group[:, None], position, self.marks[group][:, None])
        owed = np.stack([maintenance_of(np.abs(v), markets, int(m)) for v, m in zip(value, group, strict=True)])
        return group, value, accounts.entry_cost[slots][:, rows], np.where(position != 0, owed, 0)

    def equity(self, rows: I64, market: int) -> tuple[I64, I64]:
        """Equity and maintenance requirement of rows (n,) in the settlement asset of a market, settlement units."""
        _, value, cost, owed = self._tables(rows, market)
        accounts = self.floor.accounts
        cash = accounts.cash[int(self.floor.markets.settle[market]), rows] + self.collateral_value(rows)
        equity: I64 = cash + (value - cost).sum(axis=0)
        return equity, owed.sum(axis=0)

    def below(self, market: int) -> I64:
        """Members below maintenance that hold this market, int64, ascending."""
        if self.members.size == 0:
            return NO_ROWS
        slot = int(self.floor.markets.slot[market])
        rows: I64 = self.members[self.floor.accounts.position[slot, self.members] != 0]
        if rows.size == 0:
            return rows
        equity, owed = self.equity(rows, market)
        below: I64 = rows[equity < owed]
        return below

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

        The fund pays the debt and takes coins for it at their collateral value, rounded in its favour.
        """
        accounts, seized = self.floor.accounts, []
        for row in rows.tolist():
            for asset in self.haircuts:
                owed, held = -int(accounts.cash[settle, row]), int(accounts.cash[asset, row])
                price = int(self.floor.collateral[self.venue, asset])
                if owed <= 0 or held <= 0 or price <= 0:
                    continue
                units = min(held, -(-owed * RATE_ONE // price))
                paid = min(owed, units * price // RATE_ONE)
                accounts.cash[settle, row] += paid
                accounts.cash[settle, fund_row] -= paid
                accounts.cash[asset, row] -= units
                accounts.cash[asset, fund_row] += units
                accounts.touched[[row, fund_row]] = True
                seized.append((row, asset, units, paid))
        return seized


def _at_price(units: I64, price: int) -> I64:
    """floor(units * price / 1e8) in two parts, as the whole product may not fit."""
    whole = units // RATE_ONE
    total: I64 = whole * price + (units - whole * RATE_ONE) * price // RATE_ONE
    return total
