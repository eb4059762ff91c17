"""The memory of the books: one pool of orders, the price ladders of all markets, and how they grow.

Plain arrays, as the kernel wants them; `Books` is the face. See `match_kernel` for the structure itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.book.record_kernel import BOOK, FREE, LEVEL, LINK, ORDER, QUEUE, QUEUES, RANKS, RESTING, WAITING
from abm.records import taken
from abm.state import BUY, I64, LIMIT, ON_MARK, POST_ONLY, REPLACE, SELL, STOP, STOP_LIMIT

LADDERS = 5
"""Ladders a market: the book, then waiting stops (last-price buy and sell, mark-price buy and sell)."""
LADDER_OF_QUEUE = (0, 0, 1, 2, 3, 4)
SIGN_OF_QUEUE = (1, -1, -1, 1, -1, 1)
"""+1: the highest tick is served first (bids, sell stops); -1: the lowest."""
CACHE_LINE = 64
SPAN_UNIT = 1 << 18
"""Ladders are whole multiples of this many ticks, so that no bitmap word is shared by two of them."""
REACH = 64**RANKS
"""Levels under one word of the highest rank, beyond which no next price is looked for: no ladder lies across two."""
MAX_SPAN = 1 << 24
"""Widest price range of one market, ticks."""
MAX_ORDERS = 1 << 26
"""Most orders in the pool (5 GB)."""


class BookLimitError(ValueError):
    """A batch needs more orders or a wider price range than the stated limits; nothing was changed."""


def _per_market(value: Any, count: int) -> I64:
    return np.ascontiguousarray(np.broadcast_to(np.asarray(value, np.int64), (count,)))


def _zeros(size: int, dtype: np.dtype[np.void]) -> NDArray[np.void]:
    """Zeros that begin at a cache line, so that records of 64 bytes never lie on two."""
    room = np.zeros(size * dtype.itemsize + CACHE_LINE, np.uint8)
    skip = -room.ctypes.data % CACHE_LINE
    return room[skip : skip + size * dtype.itemsize].view(dtype)


class Ladders:
    """Arrays of all books. Fresh pages are zero and cost no memory until a price is used."""

    def __init__(self, count: int, base_ticks: Any, levels: Any, self_trade: Any, capacity: int) -> None:
        self.count = count
        self.books = np.zeros(count, BOOK)
        self.books["self_trade"] = _per_market(self_trade, count)
        self.orders = _zeros(capacity + 1, ORDER)  # slot 0 is nobody's
        self.links = np.zeros(capacity + 1, LINK)
        self.free = np.zeros(capacity + 1, np.int32)
        self.pool = np.array([0, 1], np.int64)
        self.queues = np.zeros(count * QUEUES, QUEUE)
        spans = -(-np.maximum(_per_market(levels, count), 1) // SPAN_UNIT) * SPAN_UNIT
        if spans.max() > MAX_SPAN:
            raise BookLimitError(f"{spans.max()} price levels; at most {MAX_SPAN} are possible")
        self._allocate(_per_market(base_ticks, count), spans)

    def _allocate(self, base: I64, span: I64) -> None:
        """Empty ladders for these lowest ticks and numbers of ticks."""
        start: list[int] = []
        total = 0
        for ticks in np.repeat(span, LADDERS).tolist():
            if total % REACH + ticks > REACH:
                total = -(-total // REACH) * REACH
            start.append(total)
            total += ticks
        place = np.array(start)
        self.levels = np.zeros(total, LEVEL)
        sizes = [-(-total // 64 ** (rank + 1)) for rank in range(RANKS)]
        self.ranks = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        self.words = np.zeros(sum(sizes), np.uint64)
        self.books["base"] = base
        self.books["span"] = span
        for queue, ladder in enumerate(LADDER_OF_QUEUE):
            self.queues["shift"][queue::QUEUES] = place[ladder::LADDERS] - base

    # --- growth -----------------------------------------------------------------------------------
    def make_room_for_orders(self, new: int) -> None:
        """Enlarge the pool so that `new` more orders fit; `orders` is then another array.

        Raises BookLimitError beyond the most.
        """
        size = self.orders.size
        need = int(self.pool[1] - self.pool[0]) + new
        if need > MAX_ORDERS:
            raise BookLimitError(f"{need} orders at once; at most {MAX_ORDERS} are possible")
        while size < need:
            size = min(2 * size, MAX_ORDERS)
        used = int(self.pool[1])
        for name in ("orders", "links", "free"):
            old = getattr(self, name)
            grown = _zeros(size, old.dtype)
            grown[:used] = old[:used]
            setattr(self, name, grown)

    def wanted_range(self, messages: NDArray[np.void]) -> tuple[I64, I64]:
        """Lowest tick and number of ticks, int64 (M,), that hold each market's orders and this batch of MESSAGE (n,).

        Nothing is changed. Raises BookLimitError where the range is wider than a ladder may be.
        """
        base, span = self.books["base"].copy(), self.books["span"].copy()
        op, market = messages["op"], messages["market"]
        price, stop = messages["price_ticks"], messages["stop_ticks"]
        rests = np.isin(op, (LIMIT, POST_ONLY, STOP_LIMIT, REPLACE)) & (price > 0)
        waits = np.isin(op, (STOP, STOP_LIMIT)) & (stop > 0)
        markets = np.concatenate([market[rests], market[waits]])
        ticks = np.concatenate([price[rests], stop[waits]])
        outside = (ticks < base[markets]) | (ticks >= (base + span)[markets])
        for m in np.unique(markets[outside]):
            used = [self.ticks(m * QUEUES + queue) for queue in range(QUEUES)]
            everything = np.concatenate([*used, ticks[markets == m]])
            low, high = int(everything.min()), int(everything.max())
            need = high - low + 1
            if need > MAX_SPAN:
                raise BookLimitError(
                    f"market {m}: prices from {low} to {high} ticks; a book spans at most {MAX_SPAN} ticks"
                )
            while span[m] < min(2 * need, MAX_SPAN):
                span[m] *= 2
            span[m] = min(span[m], MAX_SPAN)
            base[m] = max(0, low - (span[m] - need) // 2)
        return base, span

    def make_room_for_prices(self, messages: NDArray[np.void]) -> None:
        """Move and widen ladders so that every price in ticks of MESSAGE (n,) that may rest has its level.

        Orders keep their slots.
        """
        base, span = self.wanted_range(messages)
        kept = []
        for queue in range(self.count * QUEUES):
            ticks = self.ticks(queue)
            kept.append((queue, ticks, self.levels[ticks + self.queues["shift"][queue]]))
        self._allocate(base, span)
        for queue, ticks, content in kept:
            index = ticks + self.queues["shift"][queue]
            self.levels[index] = content
            self._mark(self.words, index)

    def _mark(self, words: NDArray[np.uint64], index: I64) -> None:
        """Set the bits of these levels in every rank."""
        for start in self.ranks:
            np.bitwise_or.at(words, start + (index >> 6), np.uint64(1) << (index & 63).astype(np.uint64))
            index = index >> 6

    # --- looking ----------------------------------------------------------------------------------
    def ticks(self, queue: int, low: int = 0, high: int | None = None) -> I64:
        """Non-empty ticks of a queue (index market * QUEUES + kind) within low..high, rising: int64 (n,)."""
        best = int(self.queues["best"][queue])
        if best == 0:
            return np.zeros(0, np.int64)
        book = self.books[queue // QUEUES]
        low = max(low, int(book["base"]))
        high = int(book["base"] + book["span"]) - 1 if high is None else min(high, int(book["base"] + book["span"]) - 1)
        kind = queue % QUEUES
        if SIGN_OF_QUEUE[kind] > 0:
            high = min(high, best)
        else:
            low = max(low, best)
        if low > high:
            return np.zeros(0, np.int64)
        shift = int(self.queues["shift"][queue])
        first, last = (low + shift) >> 6, (high + shift) >> 6
        words = self.words[first : last + 1]
        used = np.flatnonzero(words)
        row, bit = np.nonzero(np.unpackbits(words[used].view(np.uint8), bitorder="little").reshape(-1, 64))
        ticks = ((first + used[row]) << 6) + bit - shift
        return np.asarray(ticks[(ticks >= low) & (ticks <= high)], np.int64)

    def walk(self, queue: int) -> tuple[I64, I64]:
        """Slots of a queue in the order of execution, and the tick of each; int64 (n,)."""
        ticks = self.ticks(queue)[:: -SIGN_OF_QUEUE[queue % QUEUES]]
        at = self.levels["head"][ticks + self.queues["shift"][queue]].astype(np.int64)
        level = np.arange(ticks.size)
        slots, levels = [at], [level]
        following = self.links["next"]
        while at.size:  # all levels at once: the k-th order of each
            at = following[at].astype(np.int64)
            more = at > 0
            at, level = at[more], level[more]
            slots.append(at)
            levels.append(level)
        where = np.concatenate(levels)
        order = np.argsort(where, kind="stable")
        return np.concatenate(slots)[order], ticks[where[order]]

    def live_slots(self, market: int | None = None) -> I64:
        """Slots of all resting and waiting orders, rising; int64 (n,)."""
        used = self.orders if self.pool[1] == 1 else self.orders[: int(self.pool[1])]
        mask = (used["state"] == RESTING) | (used["state"] == WAITING)
        if market is not None:
            mask &= used["market"] == market
        return np.flatnonzero(mask)

    # --- the whole structure ----------------------------------------------------------------------
    def check(self, fixed: bool) -> None:
        """Validate every link, sum, bit and cached value; AssertionError says which one is wrong."""
        found, used = [], [np.zeros(0, np.int64)]
        for queue in range(self.count * QUEUES):
            slots = self._check_queue(queue)
            found.append(slots)
            if slots.size:
                used.append(self._ticks_of(slots, queue) + int(self.queues["shift"][queue]))
        places, words = self._bitmap(np.unique(np.concatenate(used)))
        assert np.array_equal(places, np.flatnonzero(self.words != 0)), "the bitmap does not match the levels"
        assert np.array_equal(words, self.words[places]), "the bitmap does not match the levels"
        live = np.sort(np.concatenate(found))
        assert np.array_equal(live, self.live_slots()), "an order is in no queue, or in two"
        if not fixed:
            unused = np.sort(self.free[: int(self.pool[0])].astype(np.int64))
            everything = np.sort(np.concatenate([live, unused]))
            assert np.array_equal(everything, np.arange(1, int(self.pool[1]))), "free list and orders are not the pool"
            assert (self.orders["state"][unused] == FREE).all(), "a free slot is not free"
        for market in range(self.count):
            bid, ask, buy, sell = self.queues["best"][market * QUEUES : market * QUEUES + 4].tolist()
            assert bid == 0 or ask == 0 or bid < ask, f"market {market} is crossed or locked: {bid} {ask}"
            last = int(self.books["last"][market])
            assert last == 0 or ((buy == 0 or buy > last) and sell < last), f"market {market}: a due stop is waiting"

    def _bitmap(self, index: I64) -> tuple[I64, NDArray[np.uint64]]:
        """Which words of the bitmap are not zero for these levels (rising, each once), and what they must be."""
        places, words = [], []
        for start in self.ranks.tolist() if index.size else ():
            word = index >> 6
            first = np.flatnonzero(np.diff(word, prepend=-1))
            bits = np.uint64(1) << (index & 63).astype(np.uint64)
            places.append(start + word[first])
            words.append(np.bitwise_or.reduceat(bits, first))
            index = word[first]
        if not places:
            return np.zeros(0, np.int64), np.zeros(0, np.uint64)
        return np.concatenate(places), np.concatenate(words)

    def _ticks_of(self, slots: I64, queue: int) -> I64:
        name = "price_ticks" if queue % QUEUES < 2 else "stop_ticks"
        return np.asarray(self.orders[name][slots], np.int64)

    def _check_queue(self, queue: int) -> I64:
        market, kind = divmod(queue, QUEUES)
        best, count, shift = (int(self.queues[name][queue]) for name in ("best", "count", "shift"))
        where = f"queue {kind} of market {market}"
        if best == 0:
            assert count == 0, f"{where}: counts {count}, is empty"
            return np.zeros(0, np.int64)
        slots, ticks = self.walk(queue)
        mine = taken(self.orders, slots)
        assert count == slots.size, f"{where}: counts {count}, holds {slots.size}"
        assert best == (ticks[0] if slots.size else 0), f"{where}: best {best}"
        side = BUY if kind % 2 == 0 else SELL
        state = RESTING if kind < 2 else WAITING
        assert (mine["market"] == market).all() and (mine["side"] == side).all(), f"{where}: foreign order"
        assert (mine["state"] == state).all() and (mine["size_lots"] > 0).all(), f"{where}: state or size"
        if kind >= 2:
            assert ((mine["flags"] & ON_MARK != 0) == (kind >= 4)).all(), f"{where}: watches the wrong price"
        assert np.array_equal(self._ticks_of(slots, queue), ticks), f"{where}: order on a foreign tick"
        starts = np.flatnonzero(np.diff(ticks, prepend=-1))
        before = np.concatenate([[0], slots[:-1]]) if slots.size else slots
        before[starts] = 0
        assert np.array_equal(self.links["prev"][slots], before), f"{where}: broken back link"
        level = self.levels[ticks[starts] + shift]
        ends = np.append(starts[1:], slots.size)[: starts.size] - 1
        assert np.array_equal(level["tail"], slots[ends]), f"{where}: wrong tail"
        sums = np.add.reduceat(mine["size_lots"], starts) if slots.size else np.zeros(0, np.int64)
        assert np.array_equal(level["lots"], sums), f"{where}: wrong sum of lots"
        return slots
