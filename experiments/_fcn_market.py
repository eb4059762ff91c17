"""Traders of Chiarella and Iori (2002) in the project's books, as PAMS's FCN agents have them; a replica a market.

In each step one of the traders, at random, posts an order for one unit. It expects the log return

    (w_f log(F / p) / reversion + w_c log(p / p_window) / window + w_n scale N(0, 1)) / (w_f + w_c + w_n)   a step,

over its `window` steps, F the fundamental price (constant), p the last trade's price; it buys at the expected price
less its margin if that is above p, else sells at the expected price plus its margin; the order rests for `window`
steps more. Weights are exponential; no chart here (w_c = 0), as in PAMS's sample and in its validation. Before the
market counts, a warm-up in which p stays at F.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abm.rng import normals, stream, uniforms
from abm.state import BUY, CANCEL, I64, LIMIT, NOBODY, SELL
from experiments._side_by_side import open_perpetuals, orders

F64 = NDArray[np.float64]
TICK, START, SCALE = 0.002, 300.0, 0.001
TOP_TICKS = 260_000
"""Highest limit: books reserve not many more levels."""
_POOL, _WHO, _NOISE = (stream(f"Chiarella and Iori: {what}") for what in ("traders", "who comes", "noise"))


@dataclass(frozen=True, slots=True)
class Population:
    """Ranges of the traders' parameters, uniform."""

    name: str
    window: tuple[int, int]
    margin: float
    """From 0."""
    reversion: tuple[int, int]


VALIDATION = Population("validation", (10, 50), 0.01, (400, 800))
SAMPLE = Population("sample", (100, 200), 0.1, (50, 100))
"""PAMS's sample CI2002, and the parameters on which it tests stylised facts."""


class FcnMarket:
    """`number` (R,) of the noise and a population each; after `run`: prices (steps, R) at the end of each step."""

    def __init__(self, kinds: list[Population], number: I64, traders: int, seed: int) -> None:
        self.kinds, self.number, self.traders, self.seed = kinds, number, traders, seed
        n = number.size
        self.every = np.arange(n)
        self.floor = open_perpetuals(n, TICK, seed)
        rows = (np.arange(traders) + traders * number[:, None]).ravel()
        draw = [uniforms(seed, _POOL, rows, 0, k).reshape(n, traders) for k in range(5)]

        def between(u: F64, name: str) -> F64:
            low, high = (np.array([getattr(kind, name)[end] for kind in kinds])[:, None] for end in (0, 1))
            return np.asarray(np.floor(low + (high - low) * u))

        self.window, self.reversion = between(draw[0], "window"), between(draw[1], "reversion")
        self.margin = draw[2] * np.array([kind.margin for kind in kinds])[:, None]
        fundamental, noisy = -np.log(draw[3]), -np.log(draw[4])
        self.pull, self.noise = fundamental / (fundamental + noisy), noisy / (fundamental + noisy)
        longest = max(kind.window[1] for kind in kinds)
        self.handle = np.full((n, longest + 2), NOBODY, np.int64)
        self.ends, self.owner = np.zeros((2, n, longest + 2), np.int64)
        self.price = np.full(n, START)

    def run(self, warm: int, steps: int) -> FcnMarket:
        """Warm-up and market."""
        self.prices = np.empty((steps, self.every.size))
        for now in range(warm + steps):
            traded = self._step(now)
            if now >= warm:
                self.price = np.where(np.isnan(traded), self.price, traded)
                self.prices[now - warm] = self.price
        self.floor.books.check()
        assert int(self.floor.accounts.position.sum()) == 0
        return self

    def _step(self, now: int) -> F64:
        """Orders past their time go, one comes; price of the trade, NaN if there is none."""
        row, slot = np.nonzero((self.handle != NOBODY) & (self.ends < now))
        cancel = orders(CANCEL, row, self.owner[row, slot], 0, 0, 0, 0)
        cancel["order"] = self.handle[row, slot]
        self.handle[row, slot] = NOBODY
        side, ticks, last = self._order(now)
        account = np.where(side == BUY, self.every, self.every + self.every.size)
        new = orders(LIMIT, self.every, account, side, 1, ticks, 1)
        mark = np.rint(self.price / TICK).astype(np.int64)
        handles = self.floor.trade(np.concatenate([cancel, new]), mark, now)[cancel.size :]
        place = now % self.handle.shape[1]
        self.handle[:, place], self.ends[:, place], self.owner[:, place] = handles, now + last, account
        traded = np.full(self.every.size, np.nan)
        fills = self.floor.fills
        traded[fills["market"]] = fills["price_ticks"] * TICK
        return traded

    def _order(self, now: int) -> tuple[I64, I64, I64]:
        """Side, limit in ticks and window of the next trader."""
        who = (uniforms(self.seed, _WHO, self.number, now, 0) * self.traders).astype(np.int64)
        window, margin = self.window[self.every, who], self.margin[self.every, who]
        pull = self.pull[self.every, who] * np.log(START / self.price) / self.reversion[self.every, who]
        noise = self.noise[self.every, who] * SCALE * normals(self.seed, _NOISE, self.number, now, 0)
        expected = self.price * np.exp((pull + noise) * window)
        side = np.where(expected > self.price, BUY, SELL)
        limit = expected * (1.0 - side * margin) / TICK
        ticks = np.where(side == BUY, np.floor(limit), np.ceil(limit))
        return side, np.clip(ticks, 1, TOP_TICKS).astype(np.int64), window.astype(np.int64)
