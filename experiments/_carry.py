"""A funded cash-and-carry portfolio in the project's ledger, and what it must earn: the machinery of `funding-peg`."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from abm.clearing.funding import pay
from abm.state import BUY, I64, LIMIT, MARKET, PERPETUAL, SELL, SPOT, Accounts
from abm.units import MICRO, RATE_ONE
from experiments._side_by_side import COIN, USD, build_markets, open_floor, orders

F64 = NDArray[np.float64]
HOURS = 8760.0
"""In a year of 365 days."""
TICK_USD = 0.01
LOT_COINS = 1e-4
TICK_VALUE = round(TICK_USD * LOT_COINS * MICRO)
HALF_RANGE = 1 << 17
POCKET = 10**17
"""Micro-dollars and lots of coins of the dealer."""
CREDIT = 10**16


class Terms(NamedTuple):
    """Rates a year: of the premium (kappa) and of interest (iota) in funding, of dollars (r_a) and of coins (r_b)."""

    kappa: float
    iota: float
    quote: float
    coin: float

    @property
    def fair(self) -> float:
        """Ratio f/x without arbitrage: (kappa - iota) / (kappa + r_b - r_a)."""
        return (self.kappa - self.iota) / (self.kappa + self.coin - self.quote)

    def growth(self, ratio: float) -> float:
        """What a long perpetual against a short coin earns a year, per dollar of coins: r_a c - r_b c - funding."""
        return (self.kappa - self.iota) - ratio * (self.kappa + self.coin - self.quote)

    def growth_in_steps(self, ratio: float, dt: float) -> float:
        """The same in expectation where interest compounds and funding is paid every `dt` years; x a martingale."""
        interest = math.expm1(self.quote * dt) - math.expm1(self.coin * dt)
        return ratio * interest / dt - (self.kappa * (ratio - 1) + self.iota)


class Carried(NamedTuple):
    """Portfolios (n,): long one perpetual at f = ratio x, short `ratio` coins, proceeds lent; per coin of perpetual."""

    growth: F64
    """Final wealth over the dollar-years of coins held, each grown at r_a to the end."""
    residual: F64
    """`growth` minus `growth_in_steps`: what the path did between the payments."""
    ledger_gap: F64
    """Final wealth minus that of the same postings in real numbers, over the dollar-years."""
    rounding: F64
    """Largest gap that whole units allow."""
    wealth: F64
    """(steps + 1, n) $ per coin of perpetual, at the mark."""
    made_units: float
    """Money and coins that the postings created."""


class Carry:
    """`n` portfolios side by side, each at a venue of its own with a perpetual and a spot market.

    Args:
        terms: rates a year.
        ratios: f/x of each portfolio, (n,).
        index_usd: price of the coin, (steps + 1, n).
        dt: years between funding payments.
        coins: perpetuals held by each portfolio, in coins.
    """

    def __init__(self, terms: Terms, ratios: F64, index_usd: F64, dt: float, coins: float, seed: int) -> None:
        self.terms, self.ratios, self.dt, self.seed = terms, ratios, dt, seed
        self.n = n = ratios.size
        self.lots = round(coins / LOT_COINS)
        self.coins = np.rint(ratios * self.lots).astype(np.int64)
        self.index = np.rint(index_usd / TICK_USD).astype(np.int64)
        self.mark = np.rint(index_usd * ratios / TICK_USD).astype(np.int64)
        every = self.every = np.arange(n)
        kind = np.repeat(np.array([PERPETUAL, SPOT], np.int32), n)
        self.markets = build_markets(kind, np.tile(every, 2), TICK_USD, TICK_VALUE)
        self.accounts = Accounts.empty(4 * n, 2, 1)
        self.accounts.venue[:] = np.tile(every, 4)
        self.accounts.leverage[:] = 100
        self.carry, self.dealer, self.rest, self.bank = (every + k * n for k in range(4))
        self.accounts.cash[:, self.dealer] = POCKET

    def run(self) -> Carried:
        """Open, carry through every interval, close; all of it in real accounts."""
        before = self.accounts.cash.sum(axis=1)
        self._trade(0, 1)
        steps = self.index.shape[0] - 1
        up, coin_up = math.expm1(self.terms.quote * self.dt), math.expm1(self.terms.coin * self.dt)
        owed, real = np.zeros(self.n), self._wealth(0).astype(float)
        wealth = np.empty((steps + 1, self.n))
        wealth[0] = real
        variation = np.zeros(self.n)
        for step in range(steps):
            lent = self._wealth(step) + self.coins * self.index[step] * TICK_VALUE
            rate = self._rate(step + 1)
            posted = np.rint(rate + owed).astype(np.int64)
            owed += rate - posted
            for k in range(self.n):
                pay(self.markets, self.accounts, k, int(self.mark[step + 1, k]), int(posted[k]), int(self.rest[k]))
            interest = lent * up - self.coins * self.index[step + 1] * TICK_VALUE * coin_up
            self._transfer(np.rint(interest).astype(np.int64))
            wealth[step + 1] = self._wealth(step + 1)
            real = self._real(real, step, rate, up, coin_up)
            variation += np.abs(self.mark[step + 1] - self.mark[step])
        self._trade(steps, -1)
        closed = self.accounts.cash[USD, self.carry]
        assert not self.accounts.position[0, self.carry].any() and (closed == wealth[-1]).all()
        made = float(np.abs(self.accounts.cash.sum(axis=1) - before).sum())
        return self._measure(wealth, real, variation, made)

    def _trade(self, step: int, sign: int) -> None:
        """Open (+1) or close (-1) both legs in real books against the dealer; coins are borrowed and given back.

        A credit line covers what admission asks for while the orders are out.
        """
        base = np.maximum(np.concatenate([self.mark[step], self.index[step]]) - HALF_RANGE, 1)
        floor = open_floor(self.markets, self.accounts, base, self.seed)
        marks = np.concatenate([self.mark[step], self.index[step]])
        cash = self.accounts.cash
        cash[USD, self.carry] += CREDIT
        if sign > 0:
            cash[COIN, self.bank] -= self.coins
            cash[COIN, self.carry] += self.coins
        legs = [(self.every + self.n, self.coins, self.index[step], SELL * sign),
                (self.every, np.full(self.n, self.lots), self.mark[step], BUY * sign)]  # fmt: skip
        for market, size, price, side in legs if sign > 0 else legs[::-1]:
            floor.trade(orders(LIMIT, market, self.dealer, -side, size, price, 0), marks, 0)
            floor.trade(orders(MARKET, market, self.carry, side, size, 0, 0), marks, 1)
            if int(floor.fills["size_lots"].sum()) != int(size.sum()):
                raise AssertionError("a leg was not filled")
        cash[USD, self.carry] -= CREDIT
        if sign < 0:
            cash[COIN, self.carry] -= self.coins
            cash[COIN, self.bank] += self.coins

    def _transfer(self, amount: I64) -> None:
        """Interest from the bank, micro-dollars (n,)."""
        cash = self.accounts.cash
        cash[USD, self.carry] += amount
        cash[USD, self.bank] -= amount

    def _rate(self, step: int) -> F64:
        """Funding of an interval, (kappa (f - x) + iota x) dt over f, in units of 1e-8, not yet rounded."""
        f, x = self.mark[step], self.index[step]
        return np.asarray((self.terms.kappa * (f - x) + self.terms.iota * x) * (self.dt * RATE_ONE) / f)

    def _wealth(self, step: int) -> I64:
        """Cash, profit of the perpetual at the mark, coins owed at the index; micro-dollars (n,)."""
        a, row = self.accounts, self.carry
        profit = a.position[0, row] * self.mark[step] * TICK_VALUE - a.entry_cost[0, row]
        return np.asarray(a.cash[USD, row] + profit - self.coins * self.index[step] * TICK_VALUE)

    def _real(self, wealth: F64, step: int, rate: F64, up: float, coin_up: float) -> F64:
        """The same interval in real numbers."""
        worth = self.coins * self.index[step] * TICK_VALUE
        end = self.coins * self.index[step + 1] * TICK_VALUE
        profit = self.lots * (self.mark[step + 1] - self.mark[step]) * TICK_VALUE - (end - worth)
        funding = rate / RATE_ONE * (self.lots * self.mark[step + 1] * TICK_VALUE)
        return np.asarray(wealth + (wealth + worth) * up - end * coin_up + profit - funding)

    def _measure(self, wealth: F64, real: F64, variation: F64, made: float) -> Carried:
        """Growth a year; the dollar-years are those of `lots` coins at the index, grown at r_a."""
        steps = self.index.shape[0] - 1
        later = np.exp(self.terms.quote * self.dt * np.arange(steps - 1, -1, -1.0))
        years = (self.index[:-1] * later[:, None]).sum(axis=0) * self.dt * self.lots * TICK_VALUE
        growth = wealth[-1] / years
        expected = np.array([self.terms.growth_in_steps(float(c), self.dt) for c in self.ratios])
        grown = math.exp(abs(self.terms.quote) * self.dt * steps)
        # The rate carries half a unit at most from one interval to the next; every posting is rounded once.
        rates = 0.5 / RATE_ONE * (self.mark[-1] + variation) * self.lots * TICK_VALUE + 2.0 * steps
        return Carried(
            growth, growth - expected, (wealth[-1] - real) / years, grown * rates / years,
            wealth / MICRO / (self.lots * LOT_COINS), made,
        )  # fmt: skip
