"""Exact answers for two queues of unit orders at the best prices: linear systems of birth-death chains, truncated.

The model is that of Cont, Stoikov and Talreja, "A stochastic model for order book dynamics", Operations Research 58
(2010) 549: at a best price orders arrive at rate `limit`, market orders take the first one at rate `market`, and every
resting order is cancelled at rate `cancel`. A queue of n orders thus grows at rate `limit` and shrinks at rate `market`
+ n `cancel`. Rates are per unit of time, whichever. All is solved on queues of at most `size` orders (a full queue
takes no more), and `solve` doubles `size` until the answers stand still.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_banded
from scipy.sparse import csc_array
from scipy.sparse.linalg import spsolve

F64 = NDArray[np.float64]
STILL = 1e-9
"""Probabilities that change by less when `size` is doubled are taken as exact."""
LEAST_SIZE, MOST_SIZE = 32, 512


@dataclass(frozen=True, slots=True)
class BestQueues:
    """Rates at the best prices, per unit of time."""

    limit: float
    market: float
    cancel: float

    def deaths(self, size: int) -> F64:
        """Rate at which a queue of n orders shrinks, (size + 1,) for n = 0..size; 0 for n = 0."""
        queue = np.arange(size + 1)
        return np.where(queue > 0, self.market + queue * self.cancel, 0.0)

    def executions(self, most: int) -> F64:
        """Rate at which a never-cancelled order at place i moves up one place, (most + 1,) for i = 0..most."""
        return self.market + np.maximum(np.arange(most + 1) - 1, 0) * self.cancel


@dataclass(frozen=True, slots=True)
class Exact:
    """Tables (max_queue, max_queue), index [bid queue - 1, ask queue - 1], and how sure they are."""

    prob_up: F64
    prob_fill: F64
    prob_make: F64
    size: int
    """Queue length from which on nothing changed any more."""
    change: float
    """Largest change when `size` was doubled for the last time."""


def solve(rates: BestQueues, max_queue: int) -> Exact:
    """All three tables, with the truncation doubled until they change by less than `STILL` or it is `MOST_SIZE`."""

    def tables(size: int) -> F64:
        return np.stack([f(rates, max_queue, size) for f in (next_move_up, fill_before_move, make_spread)])

    size = max(LEAST_SIZE, 2 * max_queue)
    before = tables(size)
    while True:
        now = tables(2 * size)
        change = float(np.abs(now - before).max())
        if change < STILL or 4 * size > MOST_SIZE:
            return Exact(now[0], now[1], now[2], size if change < STILL else 2 * size, change)
        size, before = 2 * size, now


def next_move_up(rates: BestQueues, max_queue: int, size: int) -> F64:
    """P(the ask queue empties before the bid queue), (max_queue, max_queue) by [bid queue - 1, ask queue - 1].

    The two queues are alike, so the answer is 1/2 wherever they are equal, and P(b, a) = 1 - P(a, b). What is left to
    solve is the triangle of states b > a, which ends at a = 0 (up) or on the diagonal. That also gives the limit where
    the queues hardly ever empty, or need not: neither of them emptying counts as half a move up.
    """
    bids, asks = np.tril_indices(size + 1, -1)
    inside = asks > 0
    bids, asks = bids[inside], asks[inside]
    number = np.full((size + 2, size + 2), -1)
    number[bids, asks] = np.arange(bids.size)
    deaths = rates.deaths(size)
    births = np.where(np.arange(size + 1) < size, rates.limit, 0.0)
    here = np.arange(bids.size)
    right = np.zeros(bids.size)
    rows, columns, values = [here], [here], [births[bids] + births[asks] + deaths[bids] + deaths[asks]]
    moves = ((1, 0, births[bids]), (-1, 0, deaths[bids]), (0, 1, births[asks]), (0, -1, deaths[asks]))
    for more_bids, more_asks, rate in moves:
        b, a = bids + more_bids, asks + more_asks
        right += np.where(a == 0, rate, np.where(a == b, 0.5 * rate, 0.0))
        to = number[b, a]
        goes = to >= 0
        rows.append(here[goes])
        columns.append(to[goes])
        values.append(-rate[goes])
    triples = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    solution = spsolve(csc_array(triples, shape=(here.size, here.size)), right)
    table = np.full((max_queue, max_queue), 0.5)
    small = bids <= max_queue
    table[bids[small] - 1, asks[small] - 1] = solution[small]
    table[asks[small] - 1, bids[small] - 1] = 1.0 - solution[small]
    return table


def _chain(out: F64 | float, up: F64, down: F64, source: F64) -> F64:
    """The x with (out + up + down) x[n] - up x[n + 1] - down x[n - 1] = source[n], all (n,); ends closed."""
    bands = np.zeros((3, source.size))
    bands[0, 1:] = -up[:-1]
    bands[1] = out + up + down
    bands[2, :-1] = -down[1:]
    return np.asarray(solve_banded((1, 1), bands, source))


def _race(rates: BestQueues, max_queue: int, size: int) -> F64:
    """P(an order at place i is filled before an opposite queue of n is empty), (max_queue + 1, size + 1) by [i, n].

    Equation of the text, P[eps_i < sigma_n]: eps_i is a sum of i exponential times of rates market + (j - 1) cancel.
    """
    table = np.zeros((max_queue + 1, size + 1))
    table[0, 1:] = 1.0
    up = np.full(size, rates.limit)
    up[-1] = 0.0
    down = rates.deaths(size)[1:]
    for place, rate in enumerate(rates.executions(max_queue)):
        if place:
            table[place, 1:] = _chain(rate, up, down, rate * table[place - 1, 1:])
    return table


def fill_before_move(rates: BestQueues, max_queue: int, size: int) -> F64:
    """P(the last of b bids, never cancelled, is filled before the mid moves | a asks), by [b - 1, a - 1]."""
    return _race(rates, max_queue, size)[1:, 1 : max_queue + 1]


def make_spread(rates: BestQueues, max_queue: int, size: int) -> F64:
    """P(the last of b bids and the last of a asks, never cancelled, are both filled before the mid moves).

    Once the first of the two is filled, the orders behind it must last until the second is filled (which may empty its
    own queue). Behind the first, orders arrive at rate `limit` and are only cancelled. By [b - 1, a - 1].
    """
    race = _race(rates, max_queue, size)
    up = np.full(size + 1, rates.limit)
    up[-1] = 0.0
    down = np.array(rates.cancel * np.arange(size + 1), np.float64)
    ahead = rates.executions(max_queue)
    # P(this one is filled first, from place i, and then the other from place j | k behind this one), by [i, j, k]
    first = np.zeros((max_queue + 1, max_queue + 1, size + 1))
    first[0, 1:] = race[1:]
    for i in range(1, max_queue + 1):
        for j in range(1, max_queue + 1):
            source = ahead[i] * first[i - 1, j] + ahead[j] * first[i, j - 1]
            first[i, j] = _chain(ahead[i] + ahead[j], up, down, source)
    alone = first[1:, 1:, 0]
    return np.asarray(alone + alone.T)
