"""The fire sale of `_fire_sale` in the project's books: two spot markets a replica, bids whose depth is exponential.

Bids rest at every tick so that selling a share f of all bonds takes the best bid from p to p exp(-beta f). Banks' cash
and bonds are accounts of the project's ledger; their sales are orders at any price, in `rounds` equal parts, and in
each round banks come in random order. So who sells first is paid more: with one round a step, that is where the book
parts from one price for all; with many, all are paid nearly the same. Prices of the balance sheets are best bids.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.state import BUY, I64, IOC, LIMIT, SELL, SPOT, Accounts
from abm.units import MICRO, RATE_ONE
from experiments._fire_sale import Outcome, Rules, Sheets, share_sold, wanted
from experiments._side_by_side import COIN, USD, build_markets, open_floor, orders

MOST = 1 << 60
LOTS = 4_000_000
"""Lots in all bonds of a replica."""


class SaleInBook:
    """`run()` plays all replicas; a price of one is `ticks` ticks."""

    def __init__(self, first: Sheets, rules: Rules, ticks: int, rounds: int, seed: int) -> None:
        self.rules, self.ticks, self.rounds = rules, ticks, rounds
        self.sheets = Sheets(*(part.copy() for part in first.parts()))
        replicas, banks = first.cash.shape
        every = self.every = np.arange(replicas)
        self.lot = first.bonds.sum(axis=(1, 2)).max() / LOTS
        """Millions at a price of one."""
        markets = build_markets(np.full(2 * replicas, SPOT, np.int32), np.tile(every, 2).astype(np.int32), 1.0 / ticks,
                                MICRO)  # fmt: skip
        markets.band[:] = markets.price_filter[:] = RATE_ONE
        markets.base[replicas:] = COIN + 1
        accounts = self.accounts = Accounts.empty(replicas * (banks + 2), 3, 1)
        accounts.venue[:] = np.repeat(every, banks + 2)
        start = every * (banks + 2)
        self.rows, self.buyer, self.lender = start[:, None] + np.arange(banks), start + banks, start + banks + 1
        self.money = self.lot / ticks / MICRO
        """Millions in a unit of the ledger."""
        accounts.cash[USD, self.buyer] = MOST
        accounts.cash[USD, self.rows] = np.rint(first.cash / self.money)
        for kind in (0, 1):
            accounts.cash[COIN + kind, self.rows] = np.rint(first.bonds[..., kind] / self.lot)
        self.before = accounts.cash.sum(axis=1)
        self.floor = open_floor(markets, accounts, 1, seed, 1 << 18)
        self.whole = accounts.cash[COIN:][:, self.rows].sum(axis=2).T  # (R, 2) lots
        self.tops = np.rint(np.stack([np.ones(replicas), 1.0 - rules.shock], axis=1) * ticks).astype(np.int64)
        self.best = self.tops.copy()
        for kind in (0, 1):
            self._rest(kind)

    def _rest(self, kind: int) -> None:
        """Bids for all bonds of a kind: down to a tick p lie whole / beta * ln(top / p) lots."""
        for place in self.every:
            top, whole, beta = int(self.tops[place, kind]), int(self.whole[place, kind]), self.rules.beta[place]
            if whole == 0:
                continue
            least = max(int(top * np.exp(-beta)) - 2, 1)
            ticks = np.arange(top, least - 1, -1)
            if beta == 0.0:
                lots = np.full(1, whole, np.int64)
                ticks = ticks[:1]
            else:  # a tick is used up when the price half a tick below it is reached
                down = np.rint(whole / beta * np.log(top / (ticks - 0.5))).astype(np.int64)
                lots = np.diff(down, prepend=0)
                lots[-1] += whole
            market = np.full(ticks.size, place + kind * self.every.size)
            self._trade(orders(LIMIT, market, self.buyer[market % self.every.size], BUY, lots, ticks, 0), 0)

    def _trade(self, batch: Any, moment: int) -> None:
        self.floor.trade(batch[batch["size_lots"] > 0], self.best.T.ravel(), moment)

    def run(self) -> Outcome:
        """All steps."""
        ledger, sheets, rules = self.accounts.cash, self.sheets, self.rules
        alive = np.ones(self.rows.shape, np.bool_)
        lots = np.zeros((2, *self.rows.shape), np.int64)
        path = [self.best / self.ticks]
        for step in range(rules.steps):
            self._sell(lots, step + 1)
            path.append(self.best / self.ticks)
            sheets.cash = ledger[USD, self.rows] * self.money
            sheets.bonds = np.moveaxis(ledger[COIN:][:, self.rows], 0, -1) * self.lot
            repaid, raised, fails = wanted(sheets, path[-1], rules, alive)
            paid = np.minimum(np.rint(repaid / self.money).astype(np.int64), ledger[USD, self.rows])
            ledger[USD, self.rows] -= paid
            ledger[USD, self.lender] += paid.sum(axis=1)
            sheets.cash -= paid * self.money
            sheets.loan -= paid * self.money
            alive &= ~fails
            held = ledger[COIN:][:, self.rows]
            lots = np.rint(held * share_sold(sheets, path[-1], raised, fails)).astype(np.int64)
        assert (ledger.sum(axis=1) == self.before).all()
        self.floor.books.check()
        left = ledger[COIN:][:, self.rows].sum(axis=2).T
        sold = 1.0 - left.sum(axis=1) / self.whole.sum(axis=1)
        return Outcome((~alive).sum(axis=1), sold, np.stack(path))

    def _sell(self, lots: NDArray[np.int64], step: int) -> None:
        """Sell (2, R, N) lots at any price, a part in each round."""
        kind, place, bank = np.nonzero(lots)
        clips = np.diff(np.outer(lots[kind, place, bank], np.arange(self.rounds + 1)) // self.rounds, axis=1)
        market, rows = place + kind * self.every.size, self.rows[place, bank]
        for number in range(self.rounds if kind.size else 0):
            self._trade(orders(IOC, market, rows, SELL, clips[:, number], 1, 0), step * self.rounds + number)
            found: I64 = self.floor.books.best_ticks(BUY)
            self.best = np.where(found > 0, found, self.best.T.ravel()).reshape(2, -1).T


def sell_in_book(first: Sheets, rules: Rules, ticks: int, rounds: int, seed: int) -> Outcome:
    """As `_fire_sale.solve`, in the book."""
    return SaleInBook(first, rules, ticks, rounds, seed).run()
