"""Races to the next move of the mid in real books of the Cont-Stoikov-Talreja model, many markets side by side.

Each market starts a race with b bids and a asks of one lot at a spread of one tick; then limit orders arrive at the
best prices, market orders take what is first in the queue and cancels hit any order of a queue with the same chance.
Which order a market order fills, and when the mid has moved, is said by the book: by its fill records and its best
prices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abm.rng import stream, uniforms
from abm.state import BUY, CANCEL, I64, LIMIT, MARKET, SELL
from experiments._birth_death import BestQueues
from experiments._shelf import B1, Tape

BID_TICKS = 1_000
"""Best bid; the best ask is one tick above, and one order that never leaves stands one tick behind each of them."""
PATIENCE, LONG = 1_000, 16
"""A race for the next move that is so many events old, or has come to queues so long (or twice the longest at the
start), is decided by a fair coin as soon as the queues are equal. That is exact, as they are alike; it ends the races
between queues that hardly ever empty, or need not."""
TOGETHER = 6
"""Races begin together once this part (one in ...) of the books is free; it only saves time."""
KINDS: dict[str, tuple[bool, bool]] = {"up": (False, False), "fill": (True, False), "make": (True, True)}
"""Whether the last bid and the last ask are followed and never cancelled."""

GOALS = {"up": "the next move", "fill": "a fill before it", "make": "both fills before it"}


@dataclass(frozen=True, slots=True)
class Won:
    """Outcome of the races, (max_queue, max_queue) by [bid queue - 1, ask queue - 1]."""

    share: NDArray[np.float64]
    races: int
    """Races a cell."""
    coins: int
    """Races of all cells that a coin decided."""
    messages: int
    fills: int


class Races:
    """All races of one kind. Won: "up" the ask queue empties first; "fill" the last bid is filled before the mid moves;
    "make" so are the last bid and the last ask (the second may itself empty its queue).
    """

    def __init__(self, kind: str, rates: BestQueues, max_queue: int, most: int, markets: int, seed: int) -> None:
        self.rates, self.max_queue, self.seed = rates, max_queue, seed
        self.kind = kind
        self.followed = np.array(KINDS[kind])
        self.stream = stream(f"cst-2010 {kind}")
        self.markets = markets
        self.tape = Tape(markets)
        self.cell = np.zeros(markets, np.int64)
        self.age = np.zeros(markets, np.int64)
        self.kept = np.full(2 * markets, -1, np.int64)  # followed order of each queue, -1 = none or filled
        self.coins = 0
        self.arrivals = np.append(np.full(most, rates.limit), 0.0)  # by queue length: a full one takes no more
        every = np.arange(2 * markets)
        behind = _best(every) - _own(every)
        self.tape.send(LIMIT, every, behind, np.full(every.size, -1))  # stays, and is none of the shelf's
        self.tape.run()

    def run(self, races: int, say: Callable[[str], None] = lambda words: None) -> Won:
        """Run `races` of each cell. Every race that is begun is run to its end, so that slow ones are not missed."""
        cells = self.max_queue**2
        total, begun, step, told = races * cells, 0, 0, 0
        wins = np.zeros(cells, np.int64)
        running, idle = np.zeros(0, np.int64), np.arange(self.markets)
        while begun < total or running.size:
            fresh = idle[:0]
            if idle.size * TOGETHER >= self.markets:
                fresh, idle = idle[: total - begun], idle[total - begun :]
                self._begin(fresh, (begun + np.arange(fresh.size)) % cells)
                begun += fresh.size
            self._event(running, step)
            won, ended = self._judge(running, step)
            wins += np.bincount(self.cell[running[won]], minlength=cells)
            idle = np.concatenate([idle, running[ended]])
            running = np.concatenate([running[~ended], fresh])
            step += 1
            if begun * 4 // total > told and begun < total:
                told = begun * 4 // total
                say(f"{told * 25} % of {total:,} races to {GOALS[self.kind]}")
        self.tape.check(1)
        share = wins.reshape(self.max_queue, -1) / races
        return Won(share, races, self.coins, self.tape.messages, self.tape.fills)

    def _begin(self, markets: I64, cell: I64) -> None:
        """Bring the queues of `markets` to the lengths of a cell. A followed order is new, the last of its queue."""
        shelf, tape = self.tape.shelf, self.tape
        self.cell[markets], self.age[markets] = cell, 0
        queue = (2 * markets[:, None] + np.arange(2)).ravel()
        wanted = np.stack([cell // self.max_queue, cell % self.max_queue], 1).ravel() + 1
        follow = np.tile(self.followed, markets.size)
        stay = np.minimum(shelf.count[queue], wanted - follow)
        which, nth = _counted(shelf.count[queue] - stay)
        surplus = shelf.orders[stay[which] + nth, queue[which]]
        shelf.count[queue] = stay
        which, nth = _counted(wanted - stay)
        new = shelf.add(queue[which], _best(queue[which]), nth)
        order = np.concatenate([surplus, new])
        at = order % shelf.queues
        tape.send(np.repeat([CANCEL, LIMIT], [surplus.size, new.size]), at, _best(at), order)
        self.kept[queue] = -1
        last = follow[which] & (nth + 1 == (wanted - stay)[which])
        self.kept[queue[which[last]]] = new[last]

    def _event(self, running: I64, step: int) -> None:
        """One event in each of the markets `running`, together with what was sent before."""
        shelf, tape, rates = self.tape.shelf, self.tape, self.rates
        both = 2 * running[:, None] + np.arange(2)
        count = shelf.count[both]
        arrivals, trades = self.arrivals[count], self.arrivals[count] + rates.market
        total = trades + rates.cancel * (count - (self.kept[both] >= 0))
        draw = uniforms(self.seed, self.stream, running, step, 0) * total.sum(1)
        side = (draw >= total[:, 0]).astype(np.int64)
        draw = draw - side * total[:, 0]
        row = np.arange(running.size)
        queue, price = both[row, side], BID_TICKS + side
        arrive, leave = draw < arrivals[row, side], draw >= trades[row, side]
        op = np.where(arrive, LIMIT, np.where(leave, CANCEL, MARKET))
        share = (draw - trades[row, side])[leave] / (total - trades)[row, side][leave]
        cancelled = shelf.pick(queue[leave], share, self.kept[queue[leave]])
        order = np.full(running.size, -1)
        order[leave] = cancelled
        order[arrive] = shelf.add(queue[arrive], price[arrive])
        tape.send(op, queue, price, order)
        filled = tape.run()
        shelf.remove(np.concatenate([cancelled, filled]))
        at = filled % shelf.queues
        self.kept[at[self.kept[at] == filled]] = -1
        self.age[running] += 1

    def _judge(self, running: I64, step: int) -> tuple[B1, B1]:
        """Which of the races are won, and which have ended."""
        books = self.tape.books
        moved = np.stack([books.best_ticks(side)[running] != BID_TICKS + (side < 0) for side in (BUY, SELL)], 1)
        if self.followed.any():
            won: B1 = np.asarray(~(self.kept.reshape(-1, 2)[running] >= 0).any(1))
            return won, np.asarray(won | moved.any(1))
        count = self.tape.shelf.count.reshape(-1, 2)[running]
        late = (self.age[running] > PATIENCE) | (count[:, 0] >= max(LONG, 2 * self.max_queue))
        coin = late & (count[:, 0] == count[:, 1]) & ~moved.any(1)
        self.coins += int(coin.sum())
        heads = uniforms(self.seed, self.stream, running, step, 2) < 0.5 if coin.any() else coin
        up: B1 = moved[:, 1] | (coin & heads)
        return up, np.asarray(moved.any(1) | coin)


def _own(queue: I64) -> I64:
    return 1 - 2 * (queue & 1)


def _best(queue: I64) -> I64:
    return BID_TICKS + (queue & 1)


def _counted(repeats: I64) -> tuple[I64, I64]:
    """Index of each entry, repeated so many times, and a count from 0 within the repeats of an entry."""
    which = np.repeat(np.arange(repeats.size), repeats)
    return which, np.arange(which.size) - (np.cumsum(repeats) - repeats)[which]
