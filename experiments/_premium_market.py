"""The perpetual market of Rao (2025), arXiv:2501.09404, in the project's books, one replica a market.

The coin's price is a geometric Brownian motion. In each step four traders come one after another, until somebody
trades. A trader is long or short by chance; a long is positional with probability 1 - bias, a short with probability
bias, else a basis trader. Positional: forecasts the coin; a long buys if that rises and a short if it falls, else
they sell (as the author's program has it). Basis: forecasts the premium; a long buys if it forecasts a fall, a short if
a rise. All orders are for one unit at the forecast of the coin times 1 - k or 1 + k and live `life` steps. A forecast
is the price times exp(a weighted mean of a past mean return and of noise, uniform from 0 to `noise`). The perpetual's
price is that of the trade, else the middle of the book.

The author's program names orders by their step, and its book's `market.order` removes by name: with the order that is
hit all others of its step go. `siblings` is that, so that its figures can be met; without it the book is right.

So funding is a forecast here and nobody pays it. Two more switches are ours: a trader who is `blind` looks at the
perpetual's last price where the paper's looks at the coin; and `carry`, basis traders who sell when the premium is
above zero and buy when it is below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.rng import normals, stream, uniforms
from abm.state import BUY, CANCEL, I64, LIMIT, NOBODY, SELL
from experiments._side_by_side import open_perpetuals, orders

F64 = NDArray[np.float64]
Flags = NDArray[np.bool_]
TICK = 0.01
FIRST = 249
"""The step of the first orders; before it the series are the coin's price and noise."""
TRADERS, COHORT, DRIFT, VOLATILITY, START = 200, 4, 1.0, 0.5, 100.0
CHART, NOISE_WEIGHT, LEAVE, LEAST = 10.0, 10.0, 0.05, 1
"""Largest weights, the chance to leave without an order, shortest horizon."""
DRAWS = 16
_COIN, _POOL, _STEP, _FIRST = (stream(f"perpetual premium: {what}") for what in ("coin", "pool", "step", "first book"))


@dataclass(frozen=True, slots=True)
class Setting:
    """By replica, (R,) each; `number` of its noise: replicas with one number share theirs."""

    bias: F64
    life: I64
    """Steps that an order rests."""
    spread: F64
    """Largest k of all traders."""
    horizon: I64
    """Longest, steps."""
    blind: F64
    """Chance that a trader looks at the perpetual."""
    carry: Flags
    siblings: Flags
    number: I64
    seed: int
    steps: int = 1000
    noise: float = 0.05
    centred: bool = False
    """Noise from -noise/2 to noise/2: forecasts no longer rise on average."""


class PremiumMarket:
    """After `run`: spot and perp (steps + 1, R)."""

    def __init__(self, setting: Setting) -> None:
        self.setting, n = setting, setting.bias.size
        self.every = np.arange(n)
        self.floor = open_perpetuals(n, TICK, setting.seed)
        self.spot = self._coin()
        noise = np.stack([uniforms(setting.seed, _FIRST, setting.number, step, 0) for step in range(FIRST + 1)])
        self.perp = self.spot.copy()
        self.perp[: FIRST + 1] += 2.0 * noise - 1.0
        self.lowest = (self.perp[: FIRST + 1] - self.spot[: FIRST + 1]).min(axis=0)
        pool = np.arange(TRADERS) + TRADERS * setting.number[:, None]
        draws = (uniforms(setting.seed, _POOL, pool.ravel(), 0, draw).reshape(n, TRADERS) for draw in range(3))
        self.chart, self.noisy, self.wide = draws
        slots = 2 * int(setting.life.max()) + 1
        self.handle = np.full((n, slots, COHORT), NOBODY, np.int64)
        self.born = np.zeros((n, slots), np.int64)
        self.owner = np.zeros((n, slots, COHORT), np.int64)
        self.price_ticks = np.zeros((n, slots, COHORT), np.int64)
        self.moment = self.trades = 0

    def _coin(self) -> F64:
        """(steps + 1, R)."""
        s = self.setting
        dt = 1.0 / s.steps
        moves = np.stack([normals(s.seed, _COIN, s.number, step, 0) for step in range(s.steps)])
        path = np.cumsum((DRIFT - VOLATILITY**2 / 2) * dt + VOLATILITY * np.sqrt(dt) * moves, axis=0)
        return np.asarray(START * np.exp(np.concatenate([np.zeros((1, s.bias.size)), path])))

    def run(self) -> PremiumMarket:
        """All steps."""
        self._first_book()
        for now in range(FIRST, self.setting.steps):
            self._step(now)
        books, accounts = self.floor.books, self.floor.accounts
        books.check()
        assert int(accounts.position.sum()) == 0
        return self

    def _first_book(self) -> None:
        """As many bids as asks, up to 10 from the coin's price, for the first steps."""
        s, life = self.setting, self.setting.life
        for back in range(2 * int(life.max()), 0, -1):
            step = FIRST - back
            gap = np.floor(11.0 * uniforms(s.seed, _FIRST, s.number, step, 1))
            side = BUY if step % 2 == 0 else SELL
            self._send(np.flatnonzero(back <= 2 * life), side + 0 * self.every, self.spot[step] - side * gap, step, 0)

    def _send(self, rows: I64, side: I64, price: F64, step: int, place: int) -> F64:
        """One order each for some replicas; prices at which it traded (R,), NaN where it rests."""
        ticks = np.clip(np.rint(price[rows] / TICK), 1, 2e5).astype(np.int64)
        buys = side[rows] == BUY
        account = np.where(buys, rows, rows + self.every.size)
        mark = np.rint(self.spot[step] / TICK).astype(np.int64)
        handles = self.floor.trade(orders(LIMIT, rows, account, side[rows], 1, ticks, 0), mark, self.moment)
        self.moment += 1
        slot = step % self.handle.shape[1]
        self.handle[rows, slot, place], self.owner[rows, slot, place] = handles, account
        self.born[rows, slot], self.price_ticks[rows, slot, place] = step, ticks
        done = np.full(self.every.size, np.nan)
        fills = self.floor.fills
        done[fills["market"]] = fills["price_ticks"] * TICK
        if fills.size:
            self._forget(fills)
        self.trades += fills.size
        return done

    def _step(self, now: int) -> None:
        """Four traders, until one trades; then orders that are too old go."""
        slot = now % self.handle.shape[1]
        self.handle[:, slot] = NOBODY
        price = np.full(self.every.size, np.nan)
        for place in range(COHORT):
            side, limit = self._order(now, place)
            rows = np.flatnonzero(np.isnan(price) & (side != 0))
            if rows.size:
                price[rows] = self._send(rows, side, limit, now, place)[rows]
        books = self.floor.books
        bid, ask = books.best_ticks(BUY), books.best_ticks(SELL)
        middle = np.where((bid > 0) & (ask > 0), (bid + ask) / 2.0 * TICK, self.perp[now])
        self.perp[now + 1] = np.where(np.isnan(price), middle, price)
        self.lowest = np.minimum(self.lowest, self.perp[now + 1] - self.spot[now + 1])
        self._remove(now)

    def _forget(self, fills: Any) -> None:
        """Orders that were hit leave the list, and those named alike are as good as too old."""
        row = fills["market"]  # one fill a replica: orders are for one unit
        alike = (self.handle[row] != NOBODY) & (self.owner[row] == fills["maker"][:, None, None])
        alike &= self.price_ticks[row] == fills["price_ticks"][:, None, None]
        born = np.where(alike, self.born[row][..., None], np.iinfo(np.int64).max).reshape(row.size, -1)
        slot, place = np.divmod(born.argmin(axis=1), COHORT)
        self.handle[row, slot, place] = NOBODY
        named = self.setting.siblings[row]
        self.born[row[named], slot[named]] = -1

    def _remove(self, now: int) -> None:
        """Cancel what is too old."""
        old = (self.born <= now - self.setting.life[:, None])[..., None] & (self.handle != NOBODY)
        row, slot, place = np.nonzero(old)
        cancel = orders(CANCEL, row, self.owner[row, slot, place], 0, 0, 0, 0)
        cancel["order"] = self.handle[row, slot, place]
        self.floor.trade(cancel, np.rint(self.spot[now] / TICK).astype(np.int64), self.moment)
        self.moment += 1
        self.handle[old] = NOBODY

    def _order(self, now: int, place: int) -> tuple[I64, F64]:
        """Side (0: leaves) and limit of the next trader of every replica."""
        s = self.setting
        draw = [uniforms(s.seed, _STEP, s.number, now, DRAWS * place + k) for k in range(9)]
        who = (draw[0] * TRADERS).astype(np.int64)
        weights = (CHART * self.chart[self.every, who], NOISE_WEIGHT * self.noisy[self.every, who])
        seen = np.where(draw[1] < s.blind, self.perp[now], self.spot[now])
        far = slice(now - int(s.horizon.max()) - 1, now + 1)
        spot, perp = self.spot[far], self.perp[far]
        past = LEAST + (draw[2] * (s.horizon - LEAST + 1)).astype(np.int64)
        trend = mean_return(np.where(draw[1] < s.blind, perp, spot), past)
        low = 0.5 if s.centred else 0.0
        forecast = seen * np.exp(_mixed(weights, trend, s.noise * (draw[3] - low)))
        premium = perp - spot
        past = LEAST + (draw[4] * (s.horizon - LEAST + 1)).astype(np.int64)
        up = _mixed(weights, mean_return(premium + np.abs(self.lowest) + 1.0, past), s.noise * (draw[5] - low)) > 0.0
        side = np.where(draw[6] < 0.5, BUY, SELL)
        positional = np.where(side == BUY, draw[7] > s.bias, draw[7] < s.bias)
        follows = np.where(forecast > seen, side, -side)
        basis = np.where(s.carry, -np.sign(premium[-1]).astype(np.int64), np.where(up, -side, side))
        k = draw[8] * s.spread * self.wide[self.every, who]
        chosen = np.where(positional, follows, basis)
        leaves = uniforms(s.seed, _STEP, s.number, now, DRAWS * place + 9) < LEAVE
        return np.where(leaves, 0, chosen), forecast * (1.0 - chosen * k)


def mean_return(series: F64, past: I64) -> F64:
    """Sum of the last `past` + 1 simple returns over `past`, as in the author's code: series (T, R), past (R,)."""
    returns = (series[1:] / series[:-1] - 1.0)[::-1]
    counted = np.arange(returns.shape[0])[:, None] <= past
    return np.asarray((returns * counted).sum(axis=0) / past)


def _mixed(weights: tuple[F64, F64], chart: F64, noise: F64) -> F64:
    total = weights[0] + weights[1]
    return np.asarray((weights[0] * chart + weights[1] * noise) / total)
