"""Exact results for a maker who quotes one unit a side: dynamic programming over its inventory.

In every step of length dt the bid at distance d below the middle price trades with probability min(1, A exp(-k d) dt),
the ask likewise and independently, one unit each; then the middle price moves by sigma sqrt(dt) up or down with equal
chance. Distances depend on inventory and time only, so the inventory is a Markov chain of its own and the price is
independent of it. Moments and exponential moments of the profit (cash plus inventory at the last price) follow by
backward recursion, without sampling.

This is the model of the numerical part of Avellaneda and Stoikov (2008), section 3.3, where fills have probability
lambda dt. `poisson=True` takes 1 - exp(-lambda dt) instead, which loses about lambda dt / 2 of the fills.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from abm.traders.quotes import Rule

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Chain:
    """A quoting rule in discrete time. Prices in $, time in the unit of T; `limit` is the largest inventory."""

    rule: Rule
    sigma: float
    decay: float  # k
    rate: float  # A
    dt: float
    steps: int
    limit: int
    poisson: bool = False
    wider: float = 0.0
    """Added to both distances: the effect of rounding quotes away from the middle."""

    @property
    def units(self) -> F64:
        """The inventories, (2 limit + 1,)."""
        return np.arange(-self.limit, self.limit + 1, dtype=np.float64)


class Move(NamedTuple):
    """One of the four things that can happen to the quotes of a step; arrays over inventories before it."""

    chance: F64
    gain: F64  # against the middle price of the step
    shift: int  # change of inventory


@lru_cache(maxsize=1 << 13)
def moves(chain: Chain, step: int) -> tuple[Move, ...]:
    """Nothing, bid only, ask only, both; `step` counts from 0."""
    quotes = chain.rule(chain.units, (chain.steps - step) * chain.dt)
    bid, ask = quotes.bid + chain.wider, quotes.ask + chain.wider
    chances = []
    for distance in (bid, ask):
        mean = np.exp(np.minimum(math.log(chain.rate * chain.dt) - chain.decay * distance, 50.0))
        chances.append(-np.expm1(-mean) if chain.poisson else np.minimum(mean, 1.0))
    buys, sells = chances
    buys[-1] = sells[0] = 0.0  # no quote that would pass the limit
    return (
        Move((1.0 - buys) * (1.0 - sells), np.zeros_like(bid), 0),
        Move(buys * (1.0 - sells), bid, 1),
        Move((1.0 - buys) * sells, ask, -1),
        Move(buys * sells, bid + ask, 0),
    )


def after(values: F64, shift: int) -> F64:
    """`values` at the inventory after a change; beyond the limit, where nothing leads, 0."""
    if shift == 0:
        return values
    moved = np.zeros_like(values)
    if shift > 0:
        moved[:-1] = values[1:]
    else:
        moved[1:] = values[:-1]
    return moved


class Moments(NamedTuple):
    """Exact mean, standard deviation and kurtosis (3 for a normal law, 1 where nothing is random)."""

    mean: float
    sd: float
    kurtosis: float


def from_raw(raw: Sequence[float]) -> Moments:
    """From the means of x, x^2, x^3, x^4."""
    mean, second, third, fourth = raw
    variance = second - mean**2
    central = fourth - 4.0 * third * mean + 6.0 * second * mean**2 - 3.0 * mean**4
    if variance <= 1e-12 * second:
        return Moments(mean, 0.0, 1.0)
    return Moments(mean, math.sqrt(variance), central / variance**2)


def profit(chain: Chain) -> Moments:
    """Of a maker who starts without inventory, $.

    `ahead[j]` (inventories) is the mean of (profit still to come)^j after the fills of a step. The price then moves by
    ±sigma sqrt(dt) times the inventory; the gain of the fills comes on top.
    """
    swing = chain.units * chain.sigma * math.sqrt(chain.dt)
    powers = [np.ones_like(swing), *(np.zeros_like(swing) for _ in range(4))]
    for step in range(chain.steps - 1, -1, -1):
        w1, w2, w3, w4 = powers[1:]
        s2 = swing**2
        moved = [powers[0], w1, w2 + s2, w3 + 3.0 * s2 * w1, w4 + 6.0 * s2 * w2 + s2**2]
        found = [np.zeros_like(swing) for _ in range(4)]
        for move in moves(chain, step):
            ahead = [after(values, move.shift) for values in moved]
            for power in range(1, 5):
                terms = (math.comb(power, j) * move.gain ** (power - j) * ahead[j] for j in range(power + 1))
                found[power - 1] += move.chance * np.asarray(sum(terms))
        powers[1:] = found
    return from_raw([float(values[chain.limit]) for values in powers[1:]])


def certainty_equivalent(chain: Chain, gamma: float) -> float:
    """-ln E[exp(-gamma profit)] / gamma, $, from no inventory."""
    swing = np.abs(gamma * chain.sigma * math.sqrt(chain.dt) * chain.units)
    log_sway = swing + np.log1p(np.exp(-2.0 * swing)) - math.log(2.0)  # ln cosh: the price moves up or down
    log_value = np.zeros(chain.units.size)
    for step in range(chain.steps - 1, -1, -1):
        ahead = log_value + log_sway
        with np.errstate(divide="ignore"):
            parts = [np.log(m.chance) - gamma * m.gain + after(ahead, m.shift) for m in moves(chain, step)]
        log_value = np.logaddexp.reduce(parts)
    return -float(log_value[chain.limit]) / gamma


def inventory_laws(chain: Chain) -> Iterator[F64]:
    """Law of the inventory before step 0, 1, ... and at the end; each (2 limit + 1,)."""
    law = np.zeros(chain.units.size)
    law[chain.limit] = 1.0
    yield law
    for step in range(chain.steps):
        law = np.asarray(sum(after(law * move.chance, -move.shift) for move in moves(chain, step)))
        yield law


class Trading(NamedTuple):
    """Exact law and moments of the last inventory (units), the spread's mean and sd ($), and the number of fills."""

    law: F64
    inventory: Moments
    spread: float
    spread_sd: float
    fills: float


def trading(chain: Chain) -> Trading:
    """Of a maker who starts without inventory; the spread is that of steps in which both quotes stand."""
    spread, square, fills, weight = 0.0, 0.0, 0.0, 0.0
    law = np.zeros(0)
    for step, law in enumerate(inventory_laws(chain)):
        if step == chain.steps:
            break
        both = law[1:-1]
        quotes = chain.rule(chain.units, (chain.steps - step) * chain.dt)
        wide = 2.0 * (quotes.half[1:-1] + chain.wider)
        spread += float(both @ wide)
        square += float(both @ wide**2)
        weight += float(both.sum())
        _, buy, sell, two = moves(chain, step)
        fills += float(law @ (buy.chance + sell.chance + 2.0 * two.chance))
    inventory = from_raw([float(law @ chain.units**power) for power in range(1, 5)])
    spread /= weight
    return Trading(law, inventory, spread, math.sqrt(max(square / weight - spread**2, 0.0)), fills)


def symmetric_profit(half: float, chain: Chain) -> tuple[float, float, float]:
    """Closed form for a fixed half-spread without a limit: mean and sd of the profit, sd of the last inventory.

    With p the chance of a fill and N steps, mean 2 N p half and variance half^2 2 N p (1 - p) + sigma^2 dt times the
    sum of 2 n p (1 - p) over n = 1 ... N.
    """
    p = min(1.0, chain.rate * chain.dt * math.exp(-chain.decay * half))
    steps, spread = chain.steps, 2.0 * p * (1.0 - p)
    variance = half**2 * steps * spread + chain.sigma**2 * chain.dt * spread * steps * (steps + 1) / 2
    return 2.0 * steps * p * half, math.sqrt(variance), math.sqrt(steps * spread)
