"""A large seller, makers with an inventory limit, value traders with a uniform book: replicas in the project's books.

Value traders rest `density` lots at every tick below the value, and as many above. Makers quote `levels` levels a side
about the last middle price, each of `clip` lots, as far as their inventory leaves room: a side that would pass the
limit is withdrawn. In a step makers renew, others buy or sell at random at market, the seller sells, and value traders
put back a share of the levels that are missing, those next to the book first.

Makers stand in front of the value traders until they are full. So without noise and refilling a sale of Q lots ends

    x = (Q - L) / density   ticks

below the value, L the makers' limit, as long as they do get full: one lot of inventory is worth one lot of the book.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.book.record_kernel import RESTING
from abm.rng import normals, stream
from abm.state import BUY, CANCEL, CROSS, I64, IOC, LIMIT, PERPETUAL, SELL, Accounts
from experiments._side_by_side import POCKET, build_markets, open_floor, orders

F64 = NDArray[np.float64]
VALUE_TICKS = 10_000
"""The value; a tick is one basis point of it."""
_NOISE = stream("crash: noise traders")
FIRST, SECOND, THIRD, FOURTH = range(4)
"""Latency classes: cancellations, quotes, the others' orders, the seller's."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One number a replica, (R,) each, or one for all."""

    limit: I64  # lots
    sale: I64  # lots, in all
    refill: F64  # share a step
    number: I64
    """Of the noise: replicas with one number share theirs."""
    seed: int
    density: int = 20  # lots a tick
    clip: int = 60  # lots a level of the makers
    gap: int = 1  # ticks between levels
    levels: int = 20
    steps: int = 60
    selling: int = 40  # steps
    noise: float = 40.0  # lots, sd of what the others buy in a step


class InventoryMarket:
    """`run()` plays all replicas; then `low` (R,), `path` (steps, R) best bids and `held` (steps, R) are there."""

    def __init__(self, setting: Setting) -> None:
        self.setting, n = setting, setting.limit.size
        self.every = np.arange(n)
        markets = build_markets(np.full(n, PERPETUAL, np.int32), self.every.astype(np.int32), 1e-4, 1)
        accounts = Accounts.empty(4 * n, 2, 1)
        self.floor = open_floor(markets, accounts, 1, setting.seed, 1 << 16)
        accounts.venue[:], accounts.leverage[:] = np.tile(self.every, 4), 100
        accounts.mode[:], accounts.cash[0] = CROSS, POCKET
        self.maker, self.value, self.others, self.seller = (self.every + k * n for k in range(4))
        self.middle = np.full(n, float(VALUE_TICKS))
        self.missing = {BUY: np.zeros(n, np.int64), SELL: np.zeros(n, np.int64)}
        """Lots that the value traders' sides lack (R,)."""
        self.low = np.full(n, VALUE_TICKS, np.int64)
        """Lowest price of a trade with the seller."""
        self.path, self.held = np.zeros((2, setting.steps, n))
        self.moment = 0
        self.draws = np.stack([
            normals(setting.seed, _NOISE, setting.number, step, 0) for step in range(setting.steps)
        ])  # fmt: skip
        depth = np.arange(1, int(np.ceil(setting.sale.max() / setting.density)) + 200)
        for side in (BUY, SELL):
            ticks = np.tile(VALUE_TICKS - side * depth, n)
            rows = np.repeat(self.every, depth.size)
            self._send(orders(LIMIT, rows, self.value[rows], side, setting.density, ticks, SECOND))

    def run(self) -> InventoryMarket:
        """All steps."""
        setting = self.setting
        parts = np.linspace(0, 1, setting.selling + 1)
        sold = np.floor(parts[:, None] * setting.sale).astype(np.int64)
        for step in range(setting.steps):
            self._renew()
            noise = np.rint(setting.noise * self.draws[step]).astype(np.int64)
            self._take(self.others, np.sign(noise), np.abs(noise), THIRD)
            if step < setting.selling:
                fills = self._take(self.seller, np.full(self.every.size, SELL), sold[step + 1] - sold[step], FOURTH)
                np.minimum.at(self.low, fills["market"], fills["price_ticks"])
            self._restore()
            self._look(step)
        return self

    def _send(self, batch: Any) -> Any:
        """Trade a batch; what value traders lose or regain of their book is counted. Gives copies of the fills."""
        floor = self.floor
        floor.trade(batch, np.rint(self.middle).astype(np.int64), self.moment)
        self.moment += 1
        fills = floor.fills.copy()
        for role, sign in (("maker", -1), ("taker", 1)):
            owner = fills[role] - self.every.size
            mine = (owner >= 0) & (owner < self.every.size)
            for side in (BUY, SELL):
                some = mine & (fills["side"] == sign * side)
                np.add.at(self.missing[side], fills["market"][some], fills["size_lots"][some])
        return fills

    def _renew(self) -> None:
        """Makers cancel and quote again, as far as their limit allows."""
        setting, books = self.setting, self.floor.books
        live = np.flatnonzero((books.orders["state"] == RESTING) & (books.orders["account"] < self.every.size))
        cancel = orders(CANCEL, books.orders["market"][live], books.orders["account"][live], 0, 0, 0, FIRST)
        cancel["order"] = books.handles(live)
        held = self.floor.accounts.position[0, self.maker]
        parts = [cancel]
        for side in (BUY, SELL):
            room = np.maximum(setting.limit - side * held, 0)[:, None]
            level = np.arange(setting.levels)
            lots = np.clip(room - setting.clip * level, 0, setting.clip)
            best = side * np.ceil(side * self.middle - 1.0)
            ticks = (best[:, None] - side * setting.gap * level).astype(np.int64)
            row = np.broadcast_to(self.every[:, None], lots.shape)
            some = lots > 0
            parts.append(orders(LIMIT, row[some], self.maker[row[some]], side, lots[some], ticks[some], SECOND))
        self._send(np.concatenate(parts))

    def _take(self, rows: I64, side: I64, lots: I64, urgency: int) -> Any:
        """Orders at any price; the fills."""
        some = lots > 0
        worst = np.where(side > 0, np.ceil(1.4 * self.middle), np.floor(0.6 * self.middle)).astype(np.int64)
        return self._send(orders(IOC, self.every[some], rows[some], side[some], lots[some], worst[some], urgency))

    def _restore(self) -> None:
        """Value traders put back a share of their missing levels, those next to what is left first."""
        setting = self.setting
        for side in (BUY, SELL):
            gone = self.missing[side] // setting.density
            back = np.floor(setting.refill * gone).astype(np.int64)
            row = np.repeat(self.every, back)
            if row.size == 0:
                continue
            place = np.arange(row.size) - np.repeat(np.cumsum(back) - back, back)
            # the best first: what meets makers' quotes and trades leaves a gap at the top, not a hole
            ticks = VALUE_TICKS - side * (gone[row] - back[row] + 1 + place)
            self.missing[side] -= back * setting.density
            self._send(orders(LIMIT, row, self.value[row], side, setting.density, ticks, SECOND))

    def _look(self, step: int) -> None:
        books = self.floor.books
        bid, ask = books.best_ticks(BUY), books.best_ticks(SELL)
        self.middle = np.where((bid > 0) & (ask > 0), (bid + ask) / 2.0, self.middle)
        self.path[step], self.held[step] = bid, self.floor.accounts.position[0, self.maker]
