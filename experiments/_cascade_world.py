"""Cascades one after another through the real liquidation engine: a uniform book, equal clips, mark = last price.

Every bid tick holds the same lots, a forced clip eats a whole number of ticks, and an account whose liquidation tick is
t is forced as soon as the mark is at t or below. A sale that eats the next s ticks therefore sets off exactly the
accounts of these s ticks, and a sale that comes after finds none of them left: with Poisson numbers of accounts a tick,
independent of each other, the rounds of a cascade are the generations of a Galton-Watson process, and cascades that
follow each other down the book are independent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.stats import poisson

from abm.clearing.audit import audit_money
from abm.clearing.mark import LastMark
from abm.rng import stream, uniforms
from abm.state import BUY, CANCEL, CROSS, I64, MARKET, REPLACE, SELL
from experiments._venue_world import DEEP_POCKET, FIRST, VenueWorld, preset

STREAM_THRESHOLDS = stream("cascade thresholds")
SELLER = FIRST
"""Row of the account whose sale begins each cascade; it owes nothing."""
AUDIT_EVERY = 256
"""Cascades between two audits of all money; books, reserves and ladders are audited when a world is used up."""


def poisson_numbers(mean: float, size: int, seed: int, world: int, key: int) -> I64:
    """Poisson numbers, int64 (size,), by inversion of keyed uniform draws; `key` names what they are for."""
    most = int(poisson.ppf(1 - 1e-15, mean)) + 2
    below = poisson.cdf(np.arange(most), mean)
    draws = uniforms(seed, STREAM_THRESHOLDS, np.arange(size), world, key)
    return np.searchsorted(below, draws).astype(np.int64)


class Makers:
    """Makers who neither add nor withdraw: the book ahead of the price is as it was."""

    def before_round(self, world: CascadeWorld) -> None:
        """The price has fallen, and accounts are about to be forced."""

    def after_round(self, world: CascadeWorld, lots: int) -> None:
        """A round sold these lots into the book."""

    def after_cascade(self, world: CascadeWorld) -> None:
        """The price has come to rest."""


@dataclass(slots=True)
class Refilling(Makers):
    """After each round a share of the eaten levels comes back, the lowest first, so that the book has no hole."""

    share: float
    _handles: list[int] = field(default_factory=list)

    def after_round(self, world: CascadeWorld, lots: int) -> None:
        back = round(self.share * lots / world.lots_per_tick)
        best = world.floor.books.best(world.perp, BUY)
        if back > 0:
            handles = world.quote(BUY, np.arange(best + 1, best + back + 1), world.lots_per_tick)
            self._handles.extend(handles.tolist())

    def after_cascade(self, world: CascadeWorld) -> None:
        """What was refilled and not eaten is withdrawn: the next cascade meets the book that the first one met."""
        live = [handle for handle in self._handles if world.floor.books.order(handle) is not None]
        world.change(CANCEL, np.array(live, np.int64))
        self._handles.clear()


@dataclass(slots=True)
class Withdrawing(Makers):
    """Once the price falls, makers take away a share of what they show.

    Only levels that the next sale reaches are touched, at the latest moment: further ones would be the same messages
    sent earlier, and cancelled again when the price rests.
    """

    share: float

    def before_round(self, world: CascadeWorld) -> None:
        kept = round((1 - self.share) * world.lots_per_tick)
        rows = world.desk.ladder.crossed(world.desk.mark_ticks)
        reach = int(world.accounts.position[0, rows].sum()) // kept
        world.change(REPLACE, world.bids[world.fallen_ticks : world.fallen_ticks + reach], kept)


class CascadeWorld(VenueWorld):
    """A uniform book below the price and long accounts with given liquidation ticks.

    Args:
        numbers: accounts of one clip that are liquidated at each tick below the price, int64 (ticks,), highest first.
        lots: of each of these accounts, one number or int64 (accounts,).
        lots_per_tick: bids at every tick.
        depth_ticks: number of ticks with bids.
    """

    def __init__(self, numbers: I64, lots: Any, lots_per_tick: int, depth_ticks: int) -> None:
        rules = preset(order_limit="none", sizing="whole", fee="0")
        accounts = int(numbers.sum())
        super().__init__(accounts + 1, rules, fund_usd=10**10, level="summary", levels=1 << 18)
        self.desk.mark_price = LastMark()
        self.lots_per_tick = lots_per_tick
        self.start_ticks = int(self.start[self.perp])
        self.accounts.mode[SELLER] = CROSS
        self.accounts.cash[0, SELLER] = 10**17
        ticks = np.repeat(self.start_ticks - 1 - np.arange(numbers.size), numbers)
        self.rows = self.hold_until(1, np.broadcast_to(lots, accounts), ticks)
        found = self.desk.ladder.liquidation_ticks(self.rows)
        if not np.array_equal(found, ticks):
            raise AssertionError("an account's liquidation tick is not the one prepared for it")
        self.bids = self.quote(BUY, self.start_ticks - 1 - np.arange(depth_ticks), lots_per_tick)
        self.rounds = self.sold_lots = 0

    @property
    def fallen_ticks(self) -> int:
        """How far the best bid lies below the best bid at the start: ticks eaten so far."""
        return self.start_ticks - 1 - self.floor.books.best(self.perp, BUY)

    def change(self, op: int, handles: I64, lots: int = 0) -> None:
        """Cancel bids of the deep pocket, or replace them by others of a smaller size at the same price."""
        if handles.size == 0:
            return
        messages = np.repeat(self.message(DEEP_POCKET, op, BUY, lots), handles.size)
        messages["order"] = handles
        messages["price_ticks"] = -1
        self.floor.trade(messages, self.exchanges.mark_ticks, 0)

    def sell(self, lots: int) -> None:
        """The sale that begins a cascade, at market."""
        self.floor.trade(self.message(SELLER, MARKET, SELL, lots), self.exchanges.mark_ticks, 0)

    def cascade(self, lots: int, makers: Makers, size_cap: int) -> int:
        """Sell, then liquidate round after round until nothing is forced; returns one plus the accounts forced.

        At `size_cap` a cascade counts as one that survives: its last accounts get more margin instead of being sold.
        """
        exchanges = self.exchanges
        exchanges.begin_tick()
        self.model.tick += 1
        self.sell(lots)
        self.sold_lots += lots
        makers.after_round(self, lots)
        size = 1
        while True:
            exchanges.mark()
            waiting = exchanges.waiting()
            if waiting == 0:
                break
            size += waiting
            if size >= size_cap:
                self.rescue()
                break
            makers.before_round(self)
            forced = exchanges.liquidate()
            if forced is None:
                raise AssertionError("accounts are below maintenance and none is forced")
            self.model.round += 1
            self.floor.trade(forced, exchanges.mark_ticks, self.model.round)
            lots = int(self.floor.fills["size_lots"].sum())
            exchanges.absorb()
            self.sold_lots += lots
            makers.after_round(self, lots)
            self.rounds += 1
        makers.after_cascade(self)
        return size

    def rescue(self) -> None:
        """Accounts below maintenance pay in as much as their position is worth."""
        rows = self.desk.ladder.crossed(self.desk.mark_ticks)
        paid = self.accounts.entry_cost[0, rows]
        self.accounts.margin[0, rows] += paid
        self.accounts.cash[0, 0] -= paid.sum()
        self.accounts.touched[rows] = True
        self.exchanges.rebucket()

    def audit_cash(self) -> None:
        """Audit of all money; raises `AuditError`."""
        audit_money(self.floor, ["USDT", "BTC"])
