"""A slow and obvious order book, written from the rules of the order stream alone: what the compiled one must agree
with.

Two lists of orders sorted by priority and a list of stops; every rule is a few lines of plain Python. Questions of
the kind "what would happen" (fill-or-kill, a replace that may not reach its own orders) are answered by trying it
on a copy.
"""

from __future__ import annotations

import copy
import hashlib
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False, slots=True)
class Order:
    id: Any
    op: str
    side: int
    price: int  # 0 = any
    stop: int
    lots: int
    owner: int  # -1 = nobody
    reduce_only: bool = False
    on_mark: bool = False
    reserve: int = 0
    reason: int = 0


@dataclass(eq=False)
class NaiveBook:
    """One market. `run` executes a message (a dict) and returns whether it was accepted; the records grow."""

    mode: str = "none"
    net: dict[int, int] | None = None  # owner -> position; None = no accounts
    sides: dict[int, list[Order]] = field(default_factory=lambda: {1: [], -1: []})
    stops: list[Order] = field(default_factory=list)
    orders: dict[Any, Order] = field(default_factory=dict)  # live ones
    seen: set[Any] = field(default_factory=set)
    last: int = 0
    fills: list[tuple[Any, ...]] = field(default_factory=list)
    closes: list[tuple[Any, ...]] = field(default_factory=list)

    # --- messages ---------------------------------------------------------------------------------
    def run(self, m: dict[str, Any]) -> bool:
        op = m["op"]
        if op == "refused":
            return True
        first = len(self.fills)
        queue: deque[tuple[Order, Any]] = deque()
        if op == "cancel":
            accepted = self._cancel(m)
        elif op == "replace":
            accepted = self._replace(m)
        elif op == "trigger":
            order = self.orders.get(m["id"])
            accepted = order in self.stops
            if accepted:
                self.stops.remove(order)
                queue.append((order, m.get("cause", -1)))
            else:
                self._reject(m, 0)
        else:
            accepted = self._new(m)
        self._cascade(queue, first)
        return accepted

    def _new(self, m: dict[str, Any]) -> bool:
        order = Order(
            m["id"],
            m["op"],
            m["side"],
            m.get("price", 0),
            m.get("stop", 0),
            m["qty"],
            m.get("owner", -1),
            m.get("reduce_only", False),
            m.get("on_mark", False),
            m.get("reserve", 0),
            m.get("reason", 0),
        )
        limited = order.op in ("limit", "post_only", "stop_limit")
        is_stop = order.op in ("stop", "stop_limit")
        bad = order.id in self.seen or order.lots <= 0 or order.price < 0
        bad = bad or (limited and order.price == 0) or (is_stop and order.stop <= 0)
        if not bad and order.op == "post_only":
            bad = self._best_crossing(order) is not None
        if not bad and order.op == "fok":
            bad = not self._would_fill(order)
        if bad:
            self._close(order, "rejected", max(order.lots, 0))
            return False
        self.seen.add(order.id)
        if is_stop and (order.on_mark or not self._through(order)):
            self.stops.append(order)
            self.orders[order.id] = order
        else:
            self._execute(order, m.get("cause", -1))
        return True

    def _cancel(self, m: dict[str, Any]) -> bool:
        order = self.orders.get(m["id"])
        if order is None or order.owner != m.get("owner", -1):
            self._reject(m, 0)
            return False
        self._close(order, "cancelled", order.lots)
        self._remove(order)
        return True

    def _replace(self, m: dict[str, Any]) -> bool:
        order = self.orders.get(m["id"])
        if order is None or order in self.stops or order.owner != m.get("owner", -1):
            self._reject(m, max(m.get("qty", -1), 0))
            return False
        price = m.get("price", order.price)
        lots = m.get("qty", order.lots)
        if price <= 0 or lots < 0:
            self._reject(m, max(lots, 0), order)
            return False
        if lots == 0:
            self._close(order, "cancelled", order.lots)
            self._remove(order)
            return True
        reserve = m.get("reserve", 0)
        if price == order.price and lots < order.lots:
            self._close(order, "replaced", order.lots)
            order.lots, order.reserve = lots, reserve
            return True
        if self.mode in ("cancel-taker", "cancel-both") and self._would_meet_itself(order, price, lots):
            self._reject(m, lots, order)
            return False
        self._close(order, "replaced", order.lots)
        self._remove(order)
        order.op, order.price, order.lots = "replace", price, lots
        order.reserve, order.reason = reserve, m.get("reason", 0)
        self._execute(order, m.get("cause", -1))
        return True

    def _reject(self, m: dict[str, Any], lots: int, order: Order | None = None) -> None:
        ghost = Order(m["id"], m["op"], m.get("side", 1), 0, 0, lots, m.get("owner", -1), reserve=m.get("reserve", 0))
        if order is not None:
            ghost.side = order.side
        self._close(ghost, "rejected", lots)

    # --- stops ------------------------------------------------------------------------------------
    def _through(self, order: Order) -> bool:
        return self.last != 0 and order.side * (self.last - order.stop) >= 0

    def _cascade(self, queue: deque[tuple[Order, Any]], traded: int) -> None:
        """Stops that are due join the queue, then its first runs, and so on until it is empty."""
        while True:
            if len(self.fills) > traded:
                due = [stop for stop in self.stops if not stop.on_mark and self._through(stop)]
                due.sort(key=lambda stop: (-stop.side, stop.side * stop.stop))  # stable: ties by entry
                for stop in due:
                    self.stops.remove(stop)
                    queue.append((stop, ("fill", len(self.fills) - 1)))
                traded = len(self.fills)
            if not queue:
                return
            order, cause = queue.popleft()
            del self.orders[order.id]
            self._execute(order, cause)

    # --- matching ---------------------------------------------------------------------------------
    def _execute(self, taker: Order, cause: Any) -> None:
        excess = self._excess(taker)
        if excess:
            self._close(taker, "clipped", excess)
            taker.lots -= excess
        self._take(taker, cause)
        if taker.lots > 0 and taker.op in ("limit", "post_only", "stop_limit", "replace"):
            book = self.sides[taker.side]
            book.insert(bisect_right(book, -taker.side * taker.price, key=lambda o: -o.side * o.price), taker)
            self.orders[taker.id] = taker
        elif taker.lots > 0:
            self._close(taker, "expired", taker.lots)
            taker.lots = 0

    def _best_crossing(self, taker: Order) -> Order | None:
        """The first order on the other side, if the taker's price reaches it."""
        book = self.sides[-taker.side]
        if book and (taker.price == 0 or taker.side * (taker.price - book[0].price) >= 0):
            return book[0]
        return None

    def _excess(self, order: Order) -> int:
        """Lots of a reduce-only order beyond the position that it can reduce."""
        if not order.reduce_only or self.net is None or order.owner == -1:
            return 0
        return max(0, order.lots - max(0, -order.side * self.net.get(order.owner, 0)))

    def _take(self, taker: Order, cause: Any) -> None:
        while taker.lots > 0:
            maker = self._best_crossing(taker)
            if maker is None:
                return
            excess = self._excess(maker)
            if excess:
                self._expire(maker, "clipped", excess)
            elif self.mode != "none" and maker.owner == taker.owner and maker.owner != -1:
                self._meet_own(taker, maker)
            else:
                self._trade(taker, maker, cause)

    def _meet_own(self, taker: Order, maker: Order) -> None:
        smaller = min(taker.lots, maker.lots)
        if self.mode in ("cancel-maker", "cancel-both"):
            self._expire(maker, "self-traded", maker.lots)
        if self.mode == "decrement":
            self._expire(maker, "self-traded", smaller)
        if self.mode in ("cancel-taker", "cancel-both"):
            self._close(taker, "self-traded", taker.lots)
            taker.lots = 0
        if self.mode == "decrement":
            self._close(taker, "self-traded", smaller)
            taker.lots -= smaller

    def _trade(self, taker: Order, maker: Order, cause: Any) -> None:
        lots = min(taker.lots, maker.lots)
        reserves = (taker.reserve, maker.reserve)
        flags = (taker.reduce_only, maker.reduce_only)
        self.fills.append((maker.id, taker.id, maker.price, lots, taker.side, cause, taker.reason, *reserves, *flags))
        self.last = maker.price
        if self.net is not None:
            for order in (taker, maker):
                if order.owner != -1:
                    self.net[order.owner] = self.net.get(order.owner, 0) + order.side * lots
        taker.lots -= lots
        maker.lots -= lots
        if maker.lots == 0:
            self._remove(maker)

    def _expire(self, maker: Order, why: str, lots: int) -> None:
        self._close(maker, why, lots)
        maker.lots -= lots
        if maker.lots == 0:
            self._remove(maker)

    def _remove(self, order: Order) -> None:
        (self.stops if order in self.stops else self.sides[order.side]).remove(order)
        del self.orders[order.id]

    def _close(self, order: Order, why: str, lots: int) -> None:
        self.closes.append((order.id, why, lots, order.side, order.owner, order.reserve))

    # --- trying on a copy -------------------------------------------------------------------------
    def _copy(self) -> NaiveBook:
        other = NaiveBook(self.mode, None if self.net is None else dict(self.net))
        other.sides = {side: [copy.copy(order) for order in book] for side, book in self.sides.items()}
        other.orders = {order.id: order for book in other.sides.values() for order in book}
        return other

    def _would_fill(self, order: Order) -> bool:
        """Whether everything that reduce-only leaves of it trades."""
        other, taker = self._copy(), copy.copy(order)
        taker.lots -= other._excess(taker)
        wanted = taker.lots
        other._take(taker, None)
        return sum(fill[3] for fill in other.fills) == wanted

    def _would_meet_itself(self, order: Order, price: int, lots: int) -> bool:
        other = self._copy()
        taker = other.orders[order.id]
        other._remove(taker)
        taker.price, taker.lots = price, lots
        taker.lots -= other._excess(taker)
        other._take(taker, None)
        return any(close[1] == "self-traded" for close in other.closes)

    # --- state ------------------------------------------------------------------------------------
    def state_sha256(self) -> str:
        text = ""
        for side, letter in ((1, "B"), (-1, "S")):
            text += "".join(f"{letter},{o.price},{o.id},{o.lots};" for o in self.sides[side])
        for o in sorted(self.stops, key=lambda stop: stop.id):
            text += f"X{'B' if o.side > 0 else 'S'},{o.stop},{o.price},{o.id},{o.lots};"
        return hashlib.sha256(text.encode()).hexdigest()
