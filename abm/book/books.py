"""`Books`: the order books of all markets, executed batch by batch."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from abm.book.depth_kernel import sweep
from abm.book.ladders import BookLimitError, Ladders
from abm.book.match_kernel import match_batch, survey
from abm.book.record_kernel import QUEUES, RESTING, WAITING
from abm.state import BUY, CLOSE, FILL, I64, MESSAGE, NOBODY

__all__ = ["BookLimitError", "Books", "Outcome", "state_text"]


ALL_LOTS = np.iinfo(np.int64).max


class Outcome(NamedTuple):
    """What a batch did. The arrays are views of buffers that the next `match` overwrites: copy what must last."""

    fills: NDArray[np.void]
    """FILL[k] in the order of execution."""
    closes: NDArray[np.void]
    """CLOSE[j] in the order of execution: everything that left, or was refused, without trading. `op` is how the
    order entered (REPLACE while it trades as a replaced order; the message's own for a rejected message), `order`
    its id (for a rejected cancel, replace or trigger the handle that was given).
    """
    handles: I64
    """int64[n]: handle of what came to rest or to wait because of message i, else NOBODY. A later message may have
    filled it already: `Books.order` tells."""


class Books:
    """Price-time-priority books of many markets over one pool of orders.

    Parameters: `markets` their number (or anything with `.count`); `base_ticks` and `levels` the price range to
    begin with (it grows), and `self_trade` a mode of `abm.state`, each one number or one a market; `capacity` the
    pool to begin with (it grows). With `fixed_slots` new orders name a dense id below `capacity`: id = slot =
    handle, and an id is accepted once.
    """

    def __init__(
        self,
        markets: Any,
        base_ticks: Any = 0,
        levels: Any = 1 << 20,
        self_trade: Any = 0,
        capacity: int = 1 << 16,
        fixed_slots: bool = False,
    ) -> None:
        self.count = int(getattr(markets, "count", markets))
        self.fixed_slots = fixed_slots
        self._memory = Ladders(self.count, base_ticks, levels, self_trade, capacity)
        self._fills = np.empty(1 << 12, FILL)
        self._closes = np.empty(1 << 14, CLOSE)
        self._handles = np.empty(1 << 10, np.int64)
        self._scratch = np.zeros(1, MESSAGE)
        # fields that are read again and again, as views; these tables never grow
        self._best: I64 = self._memory.queues["best"]
        self._bids, self._asks = self._best[0::QUEUES], self._best[1::QUEUES]
        self._last: I64 = self._memory.books["last"]
        self._bind()

    def _bind(self) -> None:
        """Take the present arrays: growth replaces them."""
        memory = self._memory
        self._pool = memory.pool
        self._state = (
            *(memory.orders, memory.links, memory.levels, memory.words, memory.ranks),
            *(memory.queues, memory.books, memory.free, memory.pool, self._scratch),
        )

    @property
    def orders(self) -> NDArray[np.void]:
        """The pool, ORDER (capacity,), by slot. Growth makes a new array: read the property again after each batch."""
        return self._memory.orders

    # --- executing --------------------------------------------------------------------------------
    def match(self, messages: NDArray[np.void], net_lots: I64, net_offset: I64, first_fill_seq: int = 0) -> Outcome:
        """Execute MESSAGE[n] in the order given.

        `net_lots` (int64, flat) holds signed positions at `net_offset[market] + account`; it is kept current at
        each fill. Offset -1 or account NOBODY: not tracked. A `cause` of a fill by a last-price stop is
        `first_fill_seq` plus the index of the fill that set it off. In REPLACE messages UNCHANGED (-1) keeps price
        or size, size 0 cancels. Raises BookLimitError, with nothing changed, when the pool or the price range would
        pass the stated limits.
        """
        n = messages.size
        memory = self._memory
        new, outside = survey(messages, memory.books)
        if outside:
            memory.wanted_range(messages)  # refuses before the pool is touched
        if self.fixed_slots:
            self._check_ids(messages)
        elif new > memory.orders.size - self._pool[1] + self._pool[0]:
            memory.make_room_for_orders(new)
            self._bind()
        if outside:
            memory.make_room_for_prices(messages)
            self._bind()
        # every meeting of two orders exhausts one of them, so this many fills are possible and no more
        bound = (memory.orders.size if self.fixed_slots else int(self._pool[1] - self._pool[0])) + new + 1
        if bound > self._fills.size:
            self._fills = np.empty(2 * bound, FILL)
        if 4 * (bound + n) > self._closes.size:
            self._closes = np.empty(8 * (bound + n), CLOSE)
        if n > self._handles.size:
            self._handles = np.empty(2 * n, np.int64)
        fills, closes, handles = self._fills, self._closes, self._handles
        n_fills, n_closes = match_batch(
            messages, *self._state, net_lots, net_offset, fills, closes, handles, first_fill_seq, self.fixed_slots
        )
        return Outcome(fills[:n_fills], closes[:n_closes], handles[:n])

    def _check_ids(self, messages: NDArray[np.void]) -> None:
        ids = messages["order"]
        if ids.size and not 0 < ids.min() <= ids.max() < self._memory.orders.size:
            raise BookLimitError(f"with fixed slots ids run from 1 to {self._memory.orders.size - 1}")

    # --- looking ----------------------------------------------------------------------------------
    def best(self, market: int, side: int) -> int:
        """Best price of a side in ticks; 0 = empty."""
        return int(self._best[market * QUEUES + (side < 0)])

    def best_ticks(self, side: int) -> I64:
        """Best price of a side in ticks in every market, (M,) a copy; 0 = empty."""
        return (self._bids if side == BUY else self._asks).copy()

    def last_ticks(self) -> I64:
        """Last trade price in ticks in every market, (M,) a copy; 0 = none yet."""
        return self._last.copy()

    def last(self, market: int) -> int:
        """Last trade price in ticks; 0 = none yet."""
        return int(self._last[market])

    def count_resting(self, market: int, side: int) -> int:
        """Number of resting orders of a side."""
        return int(self._memory.queues[market * QUEUES + (side < 0)]["count"])

    def ladder(self, market: int, side: int, worst_ticks: int | None = None) -> tuple[I64, I64]:
        """Prices in ticks and lots, int64 (n,), of the non-empty levels of a side, best first, up to `worst_ticks`."""
        queue = market * QUEUES + (side < 0)
        low, high = (worst_ticks or 0, None) if side == BUY else (0, worst_ticks)
        ticks = self._memory.ticks(queue, low, high)[::-side]
        lots = self._memory.levels["lots"][ticks + self._memory.queues["shift"][queue]]
        return ticks, lots

    def depth_lots(self, market: int, side: int, worst_ticks: int) -> int:
        """Lots resting on a side at `worst_ticks` or better."""
        return self._swept(market, side, worst_ticks, ALL_LOTS)[0]

    def impact_ticks(self, market: int, side: int, lots: int) -> float:
        """Average price in ticks at which a taker of this side would trade `lots`; nan if the book holds less."""
        if lots <= 0:
            return float("nan")
        found, value = self._swept(market, -side, 0 if side < 0 else ALL_LOTS, lots)
        return float(value) / float(lots) if found == lots else float("nan")

    def _swept(self, market: int, side: int, worst_ticks: int, most_lots: int) -> tuple[int, int]:
        """Lots of a side at `worst_ticks` or better, best first and up to `most_lots`; and the sum of price * lots."""
        memory, queue = self._memory, market * QUEUES + (side < 0)
        best, base, span = int(self._best[queue]), int(memory.books["base"][market]), int(memory.books["span"][market])
        worst = min(max(int(worst_ticks), base), base + span - 1)
        if best == 0 or side * (best - worst) < 0:
            return 0, 0
        lots, value = sweep(memory.words, memory.levels, int(memory.queues["shift"][queue]), best, worst, most_lots)
        return int(lots), int(value)

    def due_stops(self, market: int, mark_ticks: int) -> I64:
        """Handles (n,) of the ON_MARK stops that this mark sets off.

        Buys by rising stop, sells by falling, ties by entry.
        """
        memory, found = self._memory, []
        for side, kind in ((1, 4), (-1, 5)):
            best = int(self._best[market * QUEUES + kind])
            if best != 0 and side * (mark_ticks - best) >= 0:
                slots, ticks = memory.walk(market * QUEUES + kind)
                found.append(slots[side * (mark_ticks - ticks) >= 0])
        return self.handles(np.concatenate(found)) if found else np.zeros(0, np.int64)

    def handles(self, slots: I64) -> I64:
        """Handles of slots, int64 of the same shape."""
        return np.asarray(slots, np.int64) | (self.orders["generation"][slots].astype(np.int64) << 32)

    def handles_of(self, mask: NDArray[np.bool_], market: int | None = None) -> I64:
        """Handles, int64 (n,), of everything resting or waiting that belongs to the rows of bool (R,) `mask`, by slot.

        In one market, or in all.
        """
        orders = self.orders[: int(self._pool[1])]
        account = orders["account"]
        slots = np.flatnonzero(mask[account] & (account != NOBODY))
        state = orders["state"][slots]
        live = (state == RESTING) | (state == WAITING)
        if market is not None:
            live &= orders["market"][slots] == market
        return self.handles(slots[live])

    def order(self, handle: int) -> np.void | None:
        """The live order with this handle as a record view, or None when it has left (its generation has passed)."""
        slot = int(handle) & 0xFFFFFFFF
        if handle < 0 or slot >= self.orders.size:
            return None
        record: np.void = self.orders[slot]
        live = record["state"] in (RESTING, WAITING) and int(record["generation"]) == int(handle) >> 32
        return record if live else None

    def lots_left(self, handles: I64) -> I64:
        """Lots of the live orders with these handles, int64 (n,) as given; 0 = it has left, or is NOBODY's."""
        slots = handles & 0xFFFFFFFF
        found = (handles >= 0) & (slots < self.orders.size)
        slots = np.where(found, slots, 0)
        state, generation = self.orders["state"][slots], self.orders["generation"][slots]
        live = found & ((state == RESTING) | (state == WAITING)) & (generation == handles >> 32)
        return np.where(live, self.orders["size_lots"][slots], 0)

    def resting(self, market: int, side: int) -> tuple[I64, I64, I64, NDArray[np.int32], I64]:
        """(price_ticks, size_lots, order ids, accounts, handles) of a side in match order."""
        slots, ticks = self._memory.walk(market * QUEUES + (side < 0))
        mine = self.orders[slots]
        return ticks, mine["size_lots"], mine["id"], mine["account"], self.handles(slots)

    def waiting_stops(self, market: int) -> NDArray[np.void]:
        """Records (copies, ORDER) of the waiting stops, by id."""
        memory = self._memory
        slots = np.concatenate([memory.walk(market * QUEUES + kind)[0] for kind in range(2, QUEUES)])
        mine = self.orders[slots]
        ordered: NDArray[np.void] = mine[np.argsort(mine["id"], kind="stable")]
        return ordered

    def check(self) -> None:
        """Validate the whole structure; raises AssertionError."""
        self._memory.check(self.fixed_slots)

    def state_sha256(self, market: int) -> str:
        """SHA-256 of resting orders and waiting stops, as in the order stream's `book.json`."""
        return hashlib.sha256(state_text(self, market).encode()).hexdigest()


def state_text(books: Books, market: int, prices: I64 | None = None, ids: I64 | None = None) -> str:
    """The text behind `state_sha256`: `side,price,id,qty;` in match order, then `X<side>,<stop>,<price or
    0>,<id>,<qty>;` by id.

    `prices` and `ids`, int64 (ranks,), translate ticks and ids back for books that were run on ranks (replays).
    """
    parts = []
    for side, letter in ((1, "B"), (-1, "S")):
        ticks, lots, order, _, _ = books.resting(market, side)
        ticks = ticks if prices is None else prices[ticks]
        order = order if ids is None else ids[order]
        rows = zip(ticks.tolist(), order.tolist(), lots.tolist(), strict=True)
        parts += [f"{letter},{price},{number},{size};" for price, number, size in rows]
    stops = []
    for record in books.waiting_stops(market):
        stop, price, number = int(record["stop_ticks"]), int(record["price_ticks"]), int(record["id"])
        if prices is not None:
            stop, price = int(prices[stop]), int(prices[price]) if price else 0
        if ids is not None:
            number = int(ids[number])
        letter = "B" if record["side"] == BUY else "S"
        stops.append((number, f"X{letter},{stop},{price},{number},{int(record['size_lots'])};"))
    return "".join(parts) + "".join(text for _, text in sorted(stops))
