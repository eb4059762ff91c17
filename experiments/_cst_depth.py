"""The whole book of the Cont-Stoikov-Talreja model in the project's own books: depth profile and one-step moves.

Limit orders arrive at rate limit[i] a tick i away from the best price of the *other* side, for i up to the window;
market orders take the best; each resting order is cancelled at the rate of its present distance, however far it is. A
side that is empty keeps its last best price as the reference of the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from abm.rng import stream, uniforms
from abm.state import BUY, CANCEL, I64, LIMIT, MARKET, SELL
from experiments._shelf import B1, F64, Tape

START_TICKS = 120_000
"""Best bid at the beginning; the ladders of a book have room for twice this, and grow if need be."""
BURN_IN = 0.25
"""Share of the events that come before anything is measured."""
EVERY = 48
"""Steps between two looks at the depth."""


@dataclass(frozen=True, slots=True)
class AllRates:
    """Rates by distance from the best price of the other side, per unit of time; index 0 is a distance of 1 tick."""

    limit: F64
    cancel: F64
    """The last one holds for everything further away."""
    market: float

    def cancel_at(self, distance: I64) -> F64:
        """Cancel rate of an order `distance` >= 1 ticks from the other side's best."""
        rates: F64 = self.cancel[np.minimum(distance, self.cancel.size) - 1]
        return rates

    def prob_longer(self, distance: int, queue: int) -> float:
        """One-step rule at a spread of 1: P(a queue of `queue` orders next becomes longer); nan if it never changes."""
        up = float(self.limit[distance - 1]) if distance <= self.limit.size else 0.0
        down = queue * float(self.cancel_at(np.array([distance]))[0]) + (self.market if distance == 1 else 0.0)
        return up / (up + down) if up + down > 0 else float("nan")


@dataclass(slots=True)
class WholeBooks:
    """So many books run together, one candidate event each a step (thinning: cancels that are too many are dropped)."""

    rates: AllRates
    markets: int
    seed: int
    distances: int
    """One-step moves are counted for so many distances and queues of up to `queues` orders."""
    queues: int
    tape: Tape = field(init=False)
    quote: I64 = field(init=False)
    """Best price of each queue, the last one while it is empty."""
    held: F64 = field(init=False)
    """Time by market."""
    depth: F64 = field(init=False)
    """Orders times time, (markets, window) by distance, both sides together."""
    moves: I64 = field(init=False)
    """Moves of queues at a spread of one tick, (distances, queues, 2): shorter, longer."""
    events: int = 0

    def __post_init__(self) -> None:
        """Empty books with one order at each best price."""
        self.tape = Tape(self.markets)
        every = np.arange(2 * self.markets)
        self.quote = START_TICKS + (every & 1)
        self.held = np.zeros(self.markets)
        self.depth = np.zeros((self.markets, self.rates.limit.size))
        self.moves = np.zeros((self.distances, self.queues, 2), np.int64)
        self.tape.send(LIMIT, every, self.quote, self.tape.shelf.add(every, self.quote))
        self.tape.run()

    def run(self, events: int, say: Callable[[str], None] = lambda words: None) -> None:
        """Run until so many events were measured in all books together."""
        step, warm, told = 0, int(BURN_IN * events), 0
        while self.events < events + warm:
            measured = self.events >= warm
            total = self._step(step, measured)
            if measured and step % EVERY == 0:
                self._look(1.0 / total)
            step += 1
            if self.events * 2 // (events + warm) > told:
                told += 1
                say(f"whole book: {min(self.events, events + warm):,} events")
        self.events -= warm
        self.tape.check(0)

    def _step(self, step: int, measured: bool) -> F64:
        """One candidate event in every book; the total rate of each before it, (markets,)."""
        shelf, tape, rates = self.tape.shelf, self.tape, self.rates
        rows = np.arange(self.markets)
        count = shelf.count.reshape(-1, 2)
        arrivals = np.full(count.shape, rates.limit.sum())
        trades = np.where(count > 0, rates.market, 0.0)
        edges = np.cumsum(np.concatenate([arrivals, trades, rates.cancel.max() * count], 1), axis=1)
        draws = [uniforms(self.seed, stream("cst-2010 book"), rows, step, draw) for draw in range(3)]
        choice = np.minimum(((draws[0] * edges[:, -1])[:, None] >= edges).sum(1), 5)
        queue = 2 * rows + (choice & 1)
        own, other = 1 - 2 * (queue & 1), self.quote[queue ^ 1]
        arrive, trade, leave = choice < 2, (choice == 2) | (choice == 3), choice >= 4
        ticks = np.where(trade, self.quote[queue], other - own * self._distance(draws[1]))
        picked = shelf.pick(queue[leave], draws[1][leave])
        ticks[leave] = shelf.ticks[picked]
        distance = own * (other - ticks)
        accepted = draws[2][leave] * rates.cancel.max() < rates.cancel_at(distance[leave])
        happens = np.ones(self.markets, np.bool_)
        happens[leave] = accepted
        if measured:
            spread = self.quote[2 * rows + 1] - self.quote[2 * rows]
            both = (count > 0).all(1)
            self._count(queue, ticks, distance, arrive, happens & both & (spread == 1))
        order = np.full(self.markets, -1)
        order[leave] = picked
        order[arrive] = shelf.add(queue[arrive], ticks[arrive])
        op = np.where(arrive, LIMIT, np.where(leave, CANCEL, MARKET))
        tape.send(op[happens], queue[happens], ticks[happens], order[happens])
        filled = tape.run()
        shelf.remove(np.concatenate([picked[accepted], filled]))
        for side in (BUY, SELL):
            best = tape.books.best_ticks(side)
            at = 2 * rows + (side < 0)
            self.quote[at] = np.where(best > 0, best, self.quote[at])
        self.events += int(happens.sum())
        total: F64 = edges[:, -1]
        return total

    def _distance(self, draw: F64) -> I64:
        """Distance of a new order, by a number in (0, 1)."""
        edges = np.cumsum(self.rates.limit)
        distance: I64 = np.minimum(np.searchsorted(edges, draw * edges[-1], "right"), edges.size - 1) + 1
        return distance

    def _count(self, queue: I64, ticks: I64, distance: I64, arrive: B1, seen: B1) -> None:
        """Count the moves of queues that `seen` markets are about to make."""
        shelf = self.tape.shelf
        most = int(shelf.count.max())
        live = np.arange(most)[:, None] < shelf.count[queue]
        length = (live & (shelf.ticks[shelf.orders[:most, queue]] == ticks)).sum(0)
        seen = seen & (distance <= self.distances) & (length >= 1) & (length <= self.queues)
        np.add.at(self.moves, (distance[seen] - 1, length[seen] - 1, arrive[seen].astype(np.int64)), 1)

    def _look(self, weight: F64) -> None:
        """Add the depth that the books show, weighted by the mean time that each of them stays as it is."""
        window = self.depth.shape[1]
        for market in range(self.markets):
            for side in (BUY, SELL):
                other = int(self.quote[2 * market + (side > 0)])
                ticks, lots = self.tape.books.ladder(market, side, max(other - side * window, 1))
                self.depth[market, side * (other - ticks) - 1] += lots * weight[market]
        self.held += weight

    def profile(self) -> tuple[F64, F64]:
        """Mean orders a side by distance and its standard error over markets, (window,) each."""
        by_market = self.depth / (2.0 * self.held[:, None])
        return by_market.mean(0), by_market.std(0, ddof=1) / np.sqrt(self.markets)


def moves_table(books: WholeBooks) -> tuple[NDArray[np.float64], I64]:
    """Share of moves that made a queue longer, nan where none was seen, and how many were; (distances, queues) each."""
    seen = books.moves.sum(2)
    with np.errstate(invalid="ignore"):
        return books.moves[:, :, 1] / seen, seen
