"""A venue that stands still, with the accounts of a snapshot: the mark does not move, nobody trades on his own."""

from __future__ import annotations

import numpy as np

from abm.book.books import Books
from abm.clearing.trading import TradingFloor
from abm.events import EventLog
from abm.settings import SettingsError
from abm.state import (
    FEES,
    FUND,
    FUNDING_REMAINDER,
    I64,
    ISOLATED,
    LIMIT,
    MESSAGE,
    NOBODY,
    OUTSIDE,
    PERPETUAL,
    ROUNDING,
    SPOT,
    Accounts,
    Markets,
)
from abm.unwind.tables import BookLevels, Snapshot
from abm.venues.exchange import FUND_ROW, OUTSIDE_ROW, VENUE_ROWS, Clock, Exchange, Exchanges
from abm.venues.preset import VenuePreset, asset_names, asset_units, build_markets

REST = len(VENUE_ROWS)
"""Row of the rest of the market: the other side, and the book."""
FIRST = REST + 1
DEEP_UNITS = 10**17
BOOK_LEVELS = 1 << 21
MOST_ROUNDS = 2_000


class World:
    """The venue with the snapshot's accounts and book at the mark."""

    def __init__(
        self, snapshot: Snapshot, book: BookLevels, mark_usd: float, preset: VenuePreset, instrument: str, fund: float
    ) -> None:
        self.markets, self.preset = build_markets([preset]), preset
        self.market = m = _market(self.markets, preset, instrument)
        self.slot, self.settle = int(self.markets.slot[m]), int(self.markets.settle[m])
        self.unit = float(asset_units([preset])[self.settle])
        self.tick_usd = float(self.markets.tick_dollars[m])
        self.lot = 1.0 if self.markets.inverse[m] else float(self.markets.lot_coins[m])
        self.mark_ticks = round(mark_usd / self.tick_usd)
        start = np.ones(self.markets.count, np.int64)
        base = (self.markets.base == self.markets.base[m]) & (self.markets.kind == SPOT)
        start[base] = np.maximum(np.rint(mark_usd / self.markets.tick_dollars[base]), 1).astype(np.int64)
        start[m] = self.mark_ticks
        assets = asset_names([preset])
        n = len(snapshot.names)
        self.accounts = Accounts.empty(FIRST + n, len(assets), len(preset.perpetual))
        self._fill(snapshot, fund)
        self.log = EventLog("fills")
        books = Books(self.markets.count, [max(int(t) - BOOK_LEVELS // 2, 1) for t in start], BOOK_LEVELS, 0)
        self.floor = TradingFloor(self.markets, self.accounts, books, self.log, 1)
        self.clock = Clock()
        exchange = Exchange(self.clock, 0, preset, self.floor, 0, start, 0.0, 0)
        self.desk = next(desk for desk in exchange.desks if desk.market == m)
        self.exchanges = Exchanges([exchange], self.floor, assets, start)
        self._quote(book)

    def _fill(self, snapshot: Snapshot, fund: float) -> None:
        a, m = self.accounts, self.market
        a.kind[:FIRST] = OUTSIDE, FEES, FUNDING_REMAINDER, ROUNDING, FUND, OUTSIDE
        rows = np.arange(FIRST, a.rows)
        lots = snapshot.side * np.rint(snapshot.size / self.lot).astype(np.int64)
        if not lots.all():
            raise SettingsError([f"{snapshot.names[int(np.argmin(np.abs(lots)))]}: smaller than a lot, {self.lot:g}"])
        # entry prices are averages: no whole ticks; the cost is rounded to a unit
        if self.markets.inverse[m]:
            cost = -lots * float(self.markets.inverse[m]) / (snapshot.entry / self.tick_usd)
        else:
            cost = lots * float(self.markets.tick_value[m]) * (snapshot.entry / self.tick_usd)
        a.position[self.slot, rows], a.entry_cost[self.slot, rows] = lots, np.rint(cost).astype(np.int64)
        margin = np.rint(snapshot.margin / self.unit).astype(np.int64)
        a.mode[rows] = snapshot.mode
        isolated = snapshot.mode == ISOLATED
        a.margin[self.slot, rows[isolated]] = margin[isolated]
        a.cash[self.settle, rows[~isolated]] = margin[~isolated]
        a.position[self.slot, REST] = -lots.sum()
        a.entry_cost[self.slot, REST] = -a.entry_cost[self.slot, rows].sum()
        a.cash[:, REST] = DEEP_UNITS
        a.cash[self.settle, FUND_ROW] = round(fund / self.unit)
        a.cash[:, OUTSIDE_ROW] = -a.cash.sum(axis=1)
        a.cash[self.settle, OUTSIDE_ROW] -= int((a.margin - a.entry_cost).sum())

    def _quote(self, book: BookLevels) -> None:
        orders = np.zeros(book.side.size, MESSAGE)
        orders["market"], orders["account"], orders["op"], orders["side"] = self.market, REST, LIMIT, book.side
        orders["price_ticks"] = np.rint(book.price / self.tick_usd)
        orders["size_lots"] = np.rint(book.size / self.lot)
        orders["order"] = orders["cause"] = NOBODY
        orders = orders[orders["size_lots"] > 0]
        handles = self.floor.trade(orders, self.exchanges.mark_ticks, 0)
        self.left_out = int((handles == NOBODY).sum())
        self.exchanges.rebucket()

    def equity(self) -> I64:
        """Of every row at the mark, settlement units, int64 (R,)."""
        a = self.accounts
        value = self.markets.value(self.market, a.position[self.slot], self.mark_ticks)
        total: I64 = a.cash[self.settle] + a.margin[self.slot] + value - a.entry_cost[self.slot]
        return total

    def run(self) -> int:
        """Rounds until no position and no balance changes any more; returns how many.

        Waits that the venue grants (between steps, to answer a margin call) are waited for. Where neither book nor fund
        takes a position, it stays, below maintenance. Raises RuntimeError if it does not come to an end.
        """
        rules, a = self.preset.liquidation, self.accounts
        wait_s = max(rules.recheck_s, rules.deadline_s) + 1
        waited = False
        for number in range(1, MOST_ROUNDS + 1):
            self.log.round = number
            before = (a.position.copy(), a.cash.copy(), a.margin.copy())
            forced = self.exchanges.liquidate()
            if forced is not None:
                self.floor.trade(forced, self.exchanges.mark_ticks, number)
            else:
                self.floor.fills = self.floor.fills[:0]
            self.exchanges.absorb()
            if not all(map(np.array_equal, before, (a.position, a.cash, a.margin))):
                waited = False
            elif waited or not self.exchanges.waiting():
                return number
            else:
                self.clock.tick += wait_s
                waited = True
        raise RuntimeError(f"the waterfall has not ended after {MOST_ROUNDS} rounds")


def _market(markets: Markets, preset: VenuePreset, instrument: str) -> int:
    names = [rules.name for rules in preset.perpetual]
    if instrument and instrument not in names:
        raise SettingsError([f"{preset.name} has no {instrument!r}; it has {', '.join(names)}"])
    name = f"{preset.name}/{instrument or names[0]}"
    return next(i for i in range(markets.count) if markets.names[i] == name and markets.kind[i] == PERPETUAL)
