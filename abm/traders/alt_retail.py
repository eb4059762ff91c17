"""Retail traders of an altcoin, some of them in accounts that also hold BTC; and accounts with other collateral.

Shared accounts. Of the altcoin's opening positions the share `shared` lies in cross-margin accounts of BTC retail
traders: longs with longs, shorts with shorts, the k-th largest with the k-th largest of as many accounts drawn by key.
These accounts turn to cross margin, if they were not: a loss in one coin eats the margin of the other. The position
brings its own margin and free cash, at the lower of the two leverages. Each coin's cohort decides about its own
position by the rule of `abm.traders.retail`; an account row that is not used stays empty.

Collateral. `pledge` lets an asset stand for a part of the cash of drawn cross accounts: x of cash become
x / (price (1 - haircut)) of the asset, which count for as much at the opening.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from abm.rng import stream, uniforms
from abm.state import CROSS, I64
from abm.traders.base import World
from abm.traders.retail import RetailCohort
from abm.traders.retail_opening import OpeningBook
from abm.traders.retail_parameters import RetailParameters
from abm.units import RATE_ONE

_SHARED = stream("shared accounts")
_PLEDGED = stream("pledged collateral")


def to_cross(world: World, rows: I64) -> None:
    """Let accounts margin the position in the world's perpetual with all they have; rows (n,), before the opening."""
    accounts, slot = world.accounts, int(world.markets.slot[world.perp])
    accounts.cash[world.usdt, rows] += accounts.margin[slot, rows]
    accounts.margin[slot, rows] = 0
    accounts.mode[rows] = CROSS


class AltRetail(RetailCohort):
    """The retail cohort of an altcoin; `main` is that of BTC at the same venue, bound before."""

    def __init__(self, model: Any, parameters: RetailParameters, shared: float, main: RetailCohort) -> None:
        super().__init__(model, parameters)
        self.shared, self.main = shared, main
        self.members: I64 = np.zeros(0, np.int64)
        """Numbers within this cohort whose position lies in an account of `main`."""

    def _pairs(self, seed: int, lots: I64) -> tuple[I64, I64]:
        """Members and the account rows they share, (k,) each; `lots` (n,) are this cohort's positions."""
        main, members, rows = self.main, [], []
        theirs = main.opening.position_lots
        for side in (1, -1):
            own, other = np.flatnonzero(side * lots > 0), np.flatnonzero(side * theirs > 0)
            count = min(round(self.shared * own.size), other.size)
            own = own[np.argsort(uniforms(seed, _SHARED, own, 0, 0), kind="stable")[:count]]
            other = other[np.argsort(uniforms(seed, _SHARED, other, 1, 0), kind="stable")[:count]]
            members.append(own[np.argsort(np.abs(lots[own]), kind="stable")])
            rows.append(main.rows[other[np.argsort(np.abs(theirs[other]), kind="stable")]])
        return np.concatenate(members), np.concatenate(rows)

    def _post(self, world: World, book: OpeningBook) -> None:
        """As the cohort's, after the shared accounts were made."""
        self.members, rows = self._pairs(world.seed, book.position_lots)
        to_cross(self.main.world, rows)
        self.rows = self.rows.copy()
        self.rows[self.members] = rows
        book.isolated[self.members] = False
        lower = np.minimum(book.leverage[self.members], world.accounts.leverage[rows])
        book.leverage[self.members] = lower
        super()._post(world, book)


def pledge(
    cohort: RetailCohort, asset: int, price_units: int, coin_units: int, haircut: int, accounts: float, replaced: float
) -> I64:
    """Give a share of the cohort's accounts with positions an asset in place of a share of their cash; their rows (k,).

    Args:
        cohort: bound already.
        asset: id of the asset, worth `price_units` of the settlement asset for `coin_units` of its own.
        haircut: rate (1e-8).
        accounts: share of the positions in such accounts.
        replaced: share of their cash.
    """
    world, tables = cohort.world, cohort.world.accounts
    number = np.flatnonzero(cohort.opening.position_lots)
    luck = uniforms(world.seed, _PLEDGED + asset, number, 0, 0)
    rows: I64 = cohort.rows[number[luck < accounts]]
    to_cross(world, rows)
    cash = (np.maximum(tables.cash[world.usdt, rows], 0) * replaced).astype(np.int64)
    counted = price_units * (1.0 - haircut / RATE_ONE) / coin_units
    world.deposit(rows, asset, np.ceil(cash / counted).astype(np.int64))
    world.deposit(rows, world.usdt, -cash)
    return rows
