"""Which unit orders rest in many books at once: their handles, and a way to pick one of a queue at random.

A *queue* is one side of one book, number 2 * market + (side < 0). Orders stand on the places of a queue in no order at
all; time priority is the book's own business, and the id of a fill tells which order it was.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from abm.book.books import Books, Outcome
from abm.state import CANCEL, I64, LIMIT, MARKET, MESSAGE, NOBODY

F64 = NDArray[np.float64]
B1 = NDArray[np.bool_]


class Shelf:
    """The orders of 2 * `markets` queues, on so many places each; order number = place * queues + queue."""

    def __init__(self, markets: int, places: int = 32) -> None:
        self.queues = 2 * markets
        self.count = np.zeros(self.queues, np.int64)
        self.orders = np.zeros((0, self.queues), np.int64)  # the first `count` of a column live, the rest free
        self.rank = np.zeros(0, np.int64)  # by order: where it stands in `orders`
        self.handle = np.zeros(0, np.int64)  # by order
        self.ticks = np.zeros(0, np.int64)  # by order: its price
        self._grow(places)

    def _grow(self, places: int) -> None:
        old = self.orders.shape[0]
        new = np.arange(old * self.queues, places * self.queues)
        self.orders = np.vstack([self.orders, new.reshape(-1, self.queues)])
        self.rank = np.concatenate([self.rank, new // self.queues])
        for name in ("handle", "ticks"):
            setattr(self, name, np.concatenate([getattr(self, name), np.zeros(new.size, np.int64)]))

    def add(self, queue: I64, ticks: I64, nth: I64 | int = 0) -> I64:
        """Numbers of new orders, one an entry of `queue`; `nth` counts those of the same queue within the call."""
        place = self.count[queue] + nth
        if place.size and place.max() >= self.orders.shape[0]:
            self._grow(2 * int(place.max() + 1))
        order: I64 = self.orders[place, queue]
        self.ticks[order] = ticks
        self.count += np.bincount(queue, minlength=self.queues)
        return order

    def remove(self, order: I64) -> None:
        """Take orders off, at most one a queue."""
        queue = order % self.queues
        self.count[queue] -= 1
        last, rank = self.count[queue], self.rank[order]
        moved = self.orders[last, queue]
        self.orders[rank, queue], self.orders[last, queue] = moved, order
        self.rank[moved], self.rank[order] = rank, last

    def pick(self, queue: I64, share: F64, but: I64 | None = None) -> I64:
        """An order of each queue, by a number in (0, 1): any with the same chance, except `but` (-1 = no exception)."""
        spared = 0 if but is None else (but >= 0).astype(np.int64)
        choice = self.count[queue] - spared
        rank = np.minimum((share * choice).astype(np.int64), choice - 1)  # a share may be rounded up to 1
        if but is not None:
            rank += (but >= 0) & (rank >= self.rank[but])
        picked: I64 = self.orders[rank, queue]
        return picked


class Tape:
    """Messages of one lot being collected, their execution in the books, and the totals."""

    def __init__(self, markets: int) -> None:
        try:
            self.books = Books(markets, levels=1)  # the narrowest ladders, of which only a few pages are touched
        except MemoryError:
            raise ValueError(f"no memory for {markets} books side by side (20 MB of address space each)") from None
        self.shelf = Shelf(markets)
        self.messages = self.fills = 0
        self._buffer = np.zeros(0, MESSAGE)
        self._offset = np.full(markets, NOBODY, np.int64)
        self._nothing = np.zeros(1, np.int64)
        self._size = 0

    def _next(self, count: int) -> NDArray[np.void]:
        if self._size + count > self._buffer.size:
            grown = np.zeros(2 * (self._size + count), MESSAGE)
            grown["account"] = grown["cause"] = NOBODY
            grown["size_lots"] = 1
            grown[: self._size] = self._buffer[: self._size]
            self._buffer = grown
        part = self._buffer[self._size : self._size + count]
        self._size += count
        return part

    def send(self, op: I64 | int, queue: I64, ticks: I64 | int, order: I64) -> None:
        """LIMIT and CANCEL: an order of the shelf, in its `queue`. MARKET: against the best of `queue`.

        A LIMIT with `order` -1 is none of the shelf's.
        """
        shelf, part = self.shelf, self._next(queue.size)
        own = 1 - 2 * (queue & 1)
        part["market"] = queue >> 1
        part["op"] = op
        part["side"] = np.where(op == MARKET, -own, own)
        part["price_ticks"] = np.where(op == LIMIT, ticks, 0)
        part["order"] = np.where(op == LIMIT, order + 1, np.where(op == CANCEL, shelf.handle[order], 0))

    def run(self) -> I64:
        """Execute what was sent, in that order; returns the orders of the shelf that were filled."""
        messages = self._buffer[: self._size]
        done: Outcome = self.books.match(messages, self._nothing, self._offset)
        new = (messages["op"] == LIMIT) & (messages["order"] > 0)
        self.shelf.handle[messages["order"][new] - 1] = done.handles[new]
        self.messages += self._size
        self.fills += done.fills.size
        self._size = 0
        filled: I64 = done.fills["maker_order"] - 1
        return filled

    def check(self, others: int) -> None:
        """The books' own structure, and that every queue holds the shelf's orders and `others`: AssertionError."""
        self.books.check()
        resting = [self.books.count_resting(queue >> 1, 1 - 2 * (queue & 1)) for queue in range(self.shelf.queues)]
        if not np.array_equal(resting, self.shelf.count + others):
            raise AssertionError("the books hold other orders than were left in them")
