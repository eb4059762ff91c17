"""A small market in which demand for the perpetual is one-sided, with and without funding: the peg of `funding-peg`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.clearing.funding import FundingClock, pay
from abm.rng import normals, stream
from abm.state import BUY, CANCEL, I64, IOC, LIMIT, MARKET, NOBODY, PERPETUAL, SELL, SPOT
from abm.units import MICRO, RATE_ONE
from experiments._side_by_side import build_markets, open_floor, orders

F64 = NDArray[np.float64]
COIN_PRICE, DEMAND = stream("funding peg: coin of the market"), stream("funding peg: demand")
TICK_USD, LOT_COINS = 1.0, 1e-3
TICK_VALUE = round(TICK_USD * LOT_COINS * MICRO)
HOUR_MS, HOURS_A_YEAR, FUNDING_H = 3_600_000, 8760.0, 8
KAPPA = HOURS_A_YEAR / FUNDING_H
"""Of the funding clock: the average premium is paid once every 8 hours."""
LEVELS, SPACING = 5, 1
"""Quotes a side of a maker, and ticks between them."""
POCKET = 10**16


def resting_carry(options: Any, demand: float) -> float:
    """Yearly funding at which carry traders sell just what the others buy: hurdle + width demand / speed."""
    return float(options.hurdle + options.width * demand / options.speed)


class PegMarket:
    """Replicas of a perpetual and a spot market, hour by hour.

    The maker of the perpetual quotes around the coin's price times exp(-impact * inventory). Others buy `demand` coins
    an hour (with noise) and hold. Carry traders sell the perpetual and buy the coin, or the reverse where funding is
    negative, at speed * clip((|funding a year| - hurdle) / width, 0, 1) coins an hour, funding being the rate that the
    venue indicates. Where it is switched off they earn nothing by it and stay away.

    After `run`: carry (hours, replicas), indicated funding a year; premium (hours, replicas), middle of the perpetual's
    quotes over the coin, minus one; made_units.
    """

    def __init__(self, options: Any, demand: float, funded: bool, number: int) -> None:
        self.options, self.demand, self.funded, self.number = options, demand, funded, number
        n = self.n = options.market_replicas
        every = self.every = np.arange(n)
        kind = np.repeat(np.array([PERPETUAL, SPOT], np.int32), n)
        self.markets = build_markets(kind, np.tile(every, 2), TICK_USD, TICK_VALUE)
        self.floor = open_floor(self.markets, 5 * n, 1, options.seed)
        a = self.floor.accounts
        a.venue[:], a.leverage[:], a.cash[:] = np.tile(every, 5), 100, POCKET
        self.maker, self.dealer, self.others, self.carriers, self.rest = (every + k * n for k in range(5))
        terms: dict[str, Any] = {"interest": 0, "clamp": 0, "cap": RATE_ONE, "interval_h": FUNDING_H, "linear": False}
        self.clocks = [FundingClock(0, period_ms=HOUR_MS, **terms) for _ in range(n)]
        self.left = np.zeros((0, 3), np.int64)
        hours = 24 * options.market_days
        self.carry, self.premium = np.zeros((2, hours, n))

    def run(self) -> PegMarket:
        """Hour by hour: quotes, demand, carry trades, premium sample, funding when it is due."""
        o = self.options
        before = self.floor.accounts.cash.sum(axis=1)
        sd = o.volatility / math.sqrt(HOURS_A_YEAR)
        price = np.full(self.n, o.start_usd)
        for hour in range(self.carry.shape[0]):
            price = price * np.exp(sd * normals(o.seed, COIN_PRICE, self.every, hour, self.number) - sd * sd / 2)
            index = np.rint(price / TICK_USD).astype(np.int64)
            self._quote(price, index, hour)
            self._demand(index, hour)
            self._trade_carry(index, hour)
            self._sample(index, price, hour)
        a = self.floor.accounts
        gained = a.cash.sum(axis=1) - before - np.array([a.entry_cost.sum(), 0])
        self.made_units = float(np.abs(gained).sum() + np.abs(a.position.sum()) + self.floor.tally().refused)
        return self

    def _quote(self, price: F64, index: I64, hour: int) -> None:
        """Renew all quotes: a short ladder on the perpetual, one deep level a side around the coin's price."""
        o, size = self.options, round(self.options.level_coins / LOT_COINS)
        held = self.floor.accounts.position[0, self.maker] * LOT_COINS
        centre = price * np.exp(-o.impact * held) / TICK_USD
        cancel = orders(CANCEL, self.left[:, 0], self.left[:, 1], 0, 0, 0, 0)
        cancel["order"] = self.left[:, 2]
        batch = []
        for side in (BUY, SELL):
            best = np.floor(centre) if side == BUY else np.floor(centre) + 1
            for level in range(LEVELS):
                ticks = best.astype(np.int64) - side * level * SPACING
                batch.append(orders(LIMIT, self.every, self.maker, side, size, ticks, 1))
            batch.append(orders(LIMIT, self.every + self.n, self.dealer, side, 100 * size, index - side, 1))
        new = np.concatenate(batch)
        handles = self._send(np.concatenate([cancel, new]), index, hour, 0)[cancel.size :]
        self.left = np.stack([new["market"], new["account"], handles], axis=1)[handles != NOBODY].astype(np.int64)

    def _send(self, batch: Any, index: I64, hour: int, phase: int) -> I64:
        return self.floor.trade(batch, np.tile(index, 2), 4 * hour + phase)

    def _demand(self, index: I64, hour: int) -> None:
        """What the others buy, net."""
        noise = self.options.noise_coins * normals(self.options.seed, DEMAND, self.every, hour, self.number)
        lots = np.rint((self.demand + noise) / LOT_COINS).astype(np.int64)
        some = lots != 0
        row, size = self.others[some], np.abs(lots[some])
        self._send(orders(MARKET, self.every[some], row, np.sign(lots[some]), size, 0, 0), index, hour, 1)

    def _trade_carry(self, index: I64, hour: int) -> None:
        """Carry traders sell the perpetual where its funding is worth it, and buy as many coins."""
        o = self.options
        rate = np.array([clock.indicated_rate for clock in self.clocks]) if self.funded else np.zeros(self.n)
        self.carry[hour] = rate / RATE_ONE * KAPPA
        if not self.funded:
            return
        size_of = np.clip((np.abs(self.carry[hour]) - o.hurdle) / o.width, 0, 1)
        share = np.sign(self.carry[hour]) * size_of
        lots = np.rint(o.speed * share / LOT_COINS).astype(np.int64)
        some = lots != 0
        side, size, row = -np.sign(lots[some]), np.abs(lots[some]), self.carriers[some]
        worst = np.rint(index[some] * (1 + 0.05 * side)).astype(np.int64)
        perp = orders(IOC, self.every[some], row, side, size, worst, 0)
        self._send(perp, index, hour, 2)
        filled = np.zeros(self.n, np.int64)
        np.add.at(filled, self.floor.fills["market"], self.floor.fills["size_lots"])
        done = filled[some]
        coins = orders(IOC, self.every[some] + self.n, row, -side, done, worst + 2 * (index[some] - worst), 0)
        self._send(coins[done > 0], index, hour, 3)

    def _sample(self, index: I64, price: F64, hour: int) -> None:
        """The clock takes the premium from impact prices; funding is paid when it is due."""
        books, now = self.floor.books, (hour + 1) * HOUR_MS
        impact = round(self.options.impact_coins / LOT_COINS)
        middle = (books.best_ticks(BUY)[: self.n] + books.best_ticks(SELL)[: self.n]) / 2 * TICK_USD
        self.premium[hour] = middle / price - 1
        for k, clock in enumerate(self.clocks):
            if clock.due(now):
                rate = clock.settle(now)
                if self.funded:
                    pay(self.markets, self.floor.accounts, k, int(index[k]), rate, int(self.rest[k]))
            bid, ask = books.impact_ticks(k, SELL, impact), books.impact_ticks(k, BUY, impact)
            clock.sample(now, bid, ask, int(index[k]))
