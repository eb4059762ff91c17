"""Zero-intelligence order flow on the project's own books: many replicas side by side, one event a replica a step.

Daniels, Farmer, Gillemot, Iori, Smith, Phys. Rev. Lett. 90, 108102 (2003); Smith, Farmer, Gillemot, Krishnamurthy,
Quantitative Finance 3, 481 (2003). All rates here are those of ONE side of the book.

What is drawn, and how time is kept:

* A replica's table holds the handles of its limit orders. Each entry is struck off at rate delta; the book refuses the
  cancel of an order that has traded (its handle has passed), and such an entry is struck off all the same. So every
  live order is cancelled at rate delta, exactly, and the length of the table is Poisson with mean 2 alpha W / (delta
  sigma) at all times (an M/M/inf queue that does not know about trades), which makes an exact check of the flow.
* A limit order comes at a uniform tick of the W ticks beyond the opposite best price, so it never trades at once. The
  range moves with that price; orders that it leaves behind stay and decay. While a side is empty, its last best price
  stands in for it, and a market order that meets nobody expires.
* Replicas step event by event, each with its own total rate L. Averages over time weigh the state before an event by
  the mean waiting time 1/L, and the clock is the sum of 1/L: the same means as drawn waiting times, and less noise.
* The flow starts from the far profile, a Poisson number of orders with mean alpha/(delta sigma) at every tick within
  W of the middle.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import pdtr

from abm.book.books import Books
from abm.rng import stream, uniforms
from abm.state import BUY, CANCEL, I64, LIMIT, MARKET, MESSAGE, NOBODY, SELL

F64 = NDArray[np.float64]

LEVELS = 1 << 18
"""Ticks of a replica's book to begin with; it grows if the mid wanders further."""
START_TICKS = 1 << 30
"""The first mid: so high that no path comes to zero."""
BLOCK_STEPS = 128
"""Events between two snapshots of the mid."""
STEP_LAGS = (1, 4, 16, 64)
"""Lags, in events, at which the mid is compared within a block."""
LONG_LAG = 64.0
"""The longest lag of the diffusion, in lifetimes 1/delta, if the measurement is longer than that."""
PROFILES = 24
"""How often the whole depth profile is read during a measurement."""
BINS = 96
"""Bins of the depth profile over the window."""
NEAR = 2.0
"""Depth within so many p_c counts as near."""
FAR = (0.4, 0.6)
"""Part of the window in which the depth counts as far from the mid: a crossing takes many lifetimes."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Order flow of one side, in dollars, seconds and lots (notation of Smith et al. 2003)."""

    alpha: float  # limit orders: lots/($ s)
    mu: float  # market orders: lots/s
    delta: float  # cancellations: 1/s, each order
    sigma: int  # size of every order: lots
    tick: float  # $
    window: float  # limit orders come so far beyond the opposite best price: $

    @property
    def price(self) -> float:
        """Characteristic price p_c = mu/alpha, $."""
        return self.mu / self.alpha

    @property
    def eps(self) -> float:
        """Granularity delta sigma/mu; with the tick parameter it decides everything."""
        return self.delta * self.sigma / self.mu

    @property
    def window_ticks(self) -> int:
        """W in ticks."""
        return max(round(self.window / self.tick), 1)

    @property
    def table(self) -> float:
        """Mean length of a replica's table of handles, both sides: exact."""
        return 2 * self.window_ticks * self.tick * self.alpha / (self.delta * self.sigma)

    @property
    def steps_a_lifetime(self) -> float:
        """Events of a replica in 1/delta, on average."""
        return 2 * self.table + 2 / self.eps


@dataclass(frozen=True, slots=True)
class Measured:
    """What R replicas gave. Pairs are (mean, standard error), from the R independent time averages."""

    spread: tuple[float, float]  # $
    late: tuple[float, float]  # $, spread of the second half less that of the first
    variation: tuple[float, float]  # $^2/s, squared changes of the mid at every event
    table: tuple[float, float]  # length of the table of handles
    near: tuple[float, float]  # lots/$, mean depth within `NEAR` p_c of the opposite best price
    far: tuple[float, float]  # lots/$, depth in the middle fifth of the window
    lags: F64  # s
    diffusion: F64  # (lags, 2) $^2/s, mean squared change of the mid over a lag by lag, and its standard error
    profile: F64  # (BINS, 2) lots/$ by distance from the opposite best price, and its standard error
    empty: int  # quotes that stood in for an empty side
    events: int  # while measuring
    replicas: int


class Replicas:
    """R books under the same flow, each by itself. `quotes` (2, R) are the best bids and asks in ticks."""

    def __init__(self, flow: Flow, count: int, seed: int, name: str) -> None:
        self.flow, self.count = flow, count
        self.seed, self.stream, self.blocks = seed, stream(f"zero intelligence, {name}"), 0
        self.room = math.ceil(flow.table + 12 * math.sqrt(flow.table)) + 12 + BLOCK_STEPS
        self.books = Books(
            markets=count, base_ticks=START_TICKS - LEVELS // 2, levels=LEVELS, capacity=count * self.room
        )
        self.row = np.arange(count, dtype=np.int64) * self.room
        self.handles = np.full(count * self.room, NOBODY, np.int64)
        self.length = np.zeros(count, np.int64)
        self.messages = np.zeros(count, MESSAGE)
        self.messages["market"] = np.arange(count)
        self.messages["account"], self.messages["size_lots"] = NOBODY, flow.sigma
        self.untracked = (np.zeros(1, np.int64), np.full(count, -1, np.int64))
        self.quotes = np.full((2, count), START_TICKS, np.int64)
        self.empty = 0
        # rates in limit orders a tick and second: those of both sides' limit and market orders, and of a cancellation
        self.unit = flow.alpha * flow.tick / flow.sigma
        self.half = flow.window_ticks + flow.price / flow.tick
        self.cancel = flow.delta / self.unit
        self._open()

    def _open(self) -> None:
        """The far profile on both sides of the middle."""
        width = self.flow.window_ticks
        mean = self.flow.table / (2 * width)
        most = math.ceil(mean + 12 * math.sqrt(mean)) + 12
        number = np.searchsorted(pdtr(np.arange(most), mean), self._uniform(self.count * 2 * width))
        market, column = (np.repeat(index, number) for index in np.divmod(np.arange(number.size), 2 * width))
        opening = np.zeros(market.size, MESSAGE)
        opening["market"], opening["account"], opening["size_lots"] = market, NOBODY, self.flow.sigma
        opening["op"], opening["side"] = LIMIT, np.where(column < width, BUY, SELL)
        opening["price_ticks"] = START_TICKS + np.where(column < width, -1 - column, column - width)
        handles = self.books.match(opening, *self.untracked).handles
        self.length[:] = np.bincount(market, minlength=self.count)
        if self.length.max() >= self.room:
            raise ValueError("the table of handles is too short")
        first = np.cumsum(self.length) - self.length
        self.handles[self.row[market] + np.arange(market.size) - first[market]] = handles
        self._look()

    def _uniform(self, number: int) -> F64:
        """Uniform numbers of the next block, keyed by its number and by their place in it."""
        drawn: F64 = uniforms(self.seed, self.stream, np.arange(number), self.blocks, 0)
        self.blocks += 1
        return drawn

    def _look(self) -> None:
        """Read the quotes; where a side is empty, its last best price stays."""
        for quote, side in zip(self.quotes, (BUY, SELL), strict=True):
            best = self.books.best_ticks(side)
            if best.all():
                quote[:] = best
            else:
                self.empty += int((best == 0).sum())
                np.copyto(quote, best, where=best > 0)

    def advance(self, steps: int, quotes: I64, lengths: I64) -> None:
        """One event a replica, `steps` times; int64 `quotes` (steps, 2, R) and `lengths` (steps, R) take the states
        before each event.

        One uniform number x decides all of an event. On an axis of rates, buyers lie left of 0 and sellers right,
        each with W ticks of limit orders and then their market orders; beyond the sellers lie the table's entries.
        """
        while self.length.max() + steps >= self.room:
            self._lengthen()
        width, half, entry = self.flow.window_ticks, self.half, self.cancel
        messages, table, length, row = self.messages, self.handles, self.length, self.row
        bid, ask = self.quotes
        uniform = self._uniform(steps * self.count).reshape(steps, self.count)
        operations = np.array([MARKET, LIMIT, CANCEL], np.int8)
        for step in range(steps):
            quotes[step], lengths[step] = self.quotes, length
            place = uniform[step] * (2 * half + entry * length) - half
            buys, cancels = place < 0, place >= half
            away = np.abs(place).astype(np.int64)
            limits = away < width
            struck = np.minimum(((place - half) / entry).astype(np.int64), length - 1)
            where = row + np.where(cancels, struck, length)
            messages["op"] = operations[limits + 2 * cancels.view(np.int8)]
            messages["side"] = np.where(buys, BUY, SELL)
            messages["price_ticks"] = limits * np.where(buys, ask - 1 - away, bid + 1 + away)
            messages["order"] = table[where]
            handles = self.books.match(messages, *self.untracked).handles
            table[where] = np.where(cancels, table[row + length - 1], handles)
            length += limits
            length -= cancels
            self._look()

    def _lengthen(self) -> None:
        """More room in the table (hardly ever at Poisson lengths, but nothing must run over)."""
        old, self.room = self.handles.reshape(self.count, -1), 2 * self.room
        wider = np.full((self.count, self.room), NOBODY, np.int64)
        wider[:, : old.shape[1]] = old
        self.handles, self.row = wider.ravel(), np.arange(self.count, dtype=np.int64) * self.room

    def wait(self, lengths: I64) -> F64:
        """Mean waiting time (s) until the next event at these lengths of the table."""
        waited: F64 = 1 / (self.unit * (2 * self.half + self.cancel * lengths))
        return waited

    def depth(self) -> F64:
        """Depth by distance from the opposite best price, (R, BINS) lots/$, mean of both sides."""
        flow, found = self.flow, np.zeros((self.count, BINS))
        width = flow.window_ticks
        for market in range(self.count):
            for side, opposite in ((BUY, self.quotes[1]), (SELL, self.quotes[0])):
                ticks, lots = self.books.ladder(market, side)
                bins = (side * (opposite[market] - ticks) - 1) * BINS // width
                found[market] += np.bincount(np.minimum(bins, BINS), lots, BINS + 1)[:BINS]
        edges = -(-np.arange(BINS + 1) * width // BINS)
        return found / 2 / (np.maximum(np.diff(edges), 1) * flow.tick)


class Sums:
    """Sums over time, replica by replica (R). The spread's are (2, R): first and second half of the measurement."""

    def __init__(self, replicas: Replicas) -> None:
        count = replicas.count
        self.replicas = replicas
        self.time, self.spread, self.table = np.zeros((2, count)), np.zeros((2, count)), np.zeros(count)
        self.squares = np.zeros((len(STEP_LAGS), count))  # squared changes of twice the mid, ticks^2
        self.pairs = np.zeros(len(STEP_LAGS))
        self.depth, self.weight = np.zeros((count, BINS)), np.zeros((count, 1))
        self.clock, self.mid = [np.zeros(count)], [replicas.quotes.sum(0)]  # twice the mid, ticks
        self.steps = 0

    def add(self, quotes: I64, lengths: I64, half: int) -> None:
        """A block of states, (steps + 1, 2, R) and (steps + 1, R), the last one being the next block's first."""
        replicas, flow = self.replicas, self.replicas.flow
        wait = replicas.wait(lengths[:-1])
        spread = quotes[:-1, 1] - quotes[:-1, 0]
        self.time[half] += wait.sum(0)
        self.spread[half] += (wait * spread).sum(0) * flow.tick
        self.table += (wait * lengths[:-1]).sum(0)
        mid = quotes.sum(1)
        for number, lag in enumerate(STEP_LAGS):
            change = mid[lag:] - mid[:-lag]
            self.squares[number] += (change * change).sum(0)
            self.pairs[number] += change.shape[0]
        self.clock.append(self.time.sum(0))
        self.mid.append(mid[-1])
        self.steps += lengths.shape[0] - 1

    def add_depth(self) -> None:
        """The present depth. Snapshots come after so many events, thus more often while events are fast: the weight
        is the waiting time, as in all averages.
        """
        weight = self.replicas.wait(self.replicas.length)[:, None]
        self.depth += weight * self.replicas.depth()
        self.weight += weight

    def diffusion(self) -> tuple[F64, F64]:
        """Lags (s) and, at each, mean squared change of the mid a second with its standard error ($^2/s)."""
        flow, time = self.replicas.flow, self.time.sum(0)
        scale = flow.tick**2 / 4
        lags = [float(lag * time.mean() / self.steps) for lag in STEP_LAGS]
        rows = [
            pair(scale * squares / pairs / lag * self.steps / time)
            for lag, squares, pairs in zip(STEP_LAGS, self.squares, self.pairs, strict=True)
        ]
        clock, mid = np.array(self.clock), np.array(self.mid)
        longest = min(max(round(LONG_LAG / flow.delta / lags[0] / BLOCK_STEPS), 1), len(mid) - 1)
        long = []
        blocks = longest
        while blocks > 0:
            squares = scale * ((mid[blocks:] - mid[:-blocks]) ** 2).mean(0)
            waited = (clock[blocks:] - clock[:-blocks]).mean(0)
            long.append((float(waited.mean()), pair(squares / waited)))
            blocks //= 2
        lags += [lag for lag, _ in long[::-1]]
        rows += [row for _, row in long[::-1]]
        return np.array(lags), np.array(rows)

    def measured(self) -> Measured:
        """Averages over time, and their scatter from replica to replica."""
        replicas, time = self.replicas, self.time.sum(0)
        halves = self.spread / self.time
        lags, diffusion = self.diffusion()
        depth = self.depth / self.weight
        near = max(round(BINS * NEAR * replicas.flow.price / replicas.flow.window), 1)
        far = slice(round(FAR[0] * BINS), round(FAR[1] * BINS))
        return Measured(
            spread=pair(self.spread.sum(0) / time),
            late=pair(halves[1] - halves[0]),
            variation=(float(diffusion[0, 0]), float(diffusion[0, 1])),
            table=pair(self.table / time),
            near=pair(depth[:, :near].mean(1)),
            far=pair(depth[:, far].mean(1)),
            lags=lags,
            diffusion=diffusion,
            profile=np.array([pair(column) for column in depth.T]),
            empty=replicas.empty,
            events=self.steps * replicas.count,
            replicas=replicas.count,
        )


def pair(values: F64) -> tuple[float, float]:
    """Mean and standard error of independent values."""
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(values.size))


def measure(
    flow: Flow, replicas: int, burn: float, lifetimes: float, seed: int, name: str, say: Callable[[str], None]
) -> Measured:
    """Run `replicas` books over `burn` lifetimes 1/delta unseen, then over `lifetimes` that are measured.

    `seed` and `name` choose the random numbers; `say` is told how far it is.
    """
    runs = Replicas(flow, replicas, seed, name)
    quotes = np.empty((BLOCK_STEPS + 1, 2, replicas), np.int64)
    lengths = np.empty((BLOCK_STEPS + 1, replicas), np.int64)
    for _ in range(math.ceil(burn * flow.steps_a_lifetime / BLOCK_STEPS)):
        runs.advance(BLOCK_STEPS, quotes, lengths)
    runs.empty = 0
    sums = Sums(runs)
    blocks = max(math.ceil(lifetimes * flow.steps_a_lifetime / BLOCK_STEPS), 2)
    for number in range(blocks):
        if number % max(blocks // 4, 1) == 0:
            say(f"{name}: {number * BLOCK_STEPS * replicas:,} of {blocks * BLOCK_STEPS * replicas:,} events")
        runs.advance(BLOCK_STEPS, quotes, lengths)
        quotes[-1], lengths[-1] = runs.quotes, runs.length
        sums.add(quotes, lengths, 2 * number // blocks)
        if (number + 1) * PROFILES // blocks > number * PROFILES // blocks:
            sums.add_depth()
    return sums.measured()
