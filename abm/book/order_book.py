"""`OrderBook`: one market for people, with the same compiled matching as the simulations.

>>> book = OrderBook()
>>> book.limit("sell", price=101, qty=5).resting
5
>>> book.limit("sell", price=102, qty=5, owner="ann").id
2
>>> done = book.market("buy", qty=7, owner="bob")
>>> [(fill.price, fill.qty) for fill in done.fills]
[(101, 5), (102, 2)]
>>> book.best_ask, book.asks
(102, [(102, 3)])
>>> book.cancel(2, owner="ann").accepted
True
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from abm.book.books import Books
from abm.book.record_kernel import UNCHANGED
from abm.state import (
    BUY,
    CANCEL,
    EXPIRED,
    FOK,
    IOC,
    LIMIT,
    MARKET,
    MESSAGE,
    NOBODY,
    POST_ONLY,
    REJECTED,
    REPLACE,
    SELF_TRADE_MODES,
    SELF_TRADED,
    SELL,
    STOP,
    STOP_LIMIT,
)

SIDES = {"buy": BUY, "B": BUY, "sell": SELL, "S": SELL}


@dataclass(frozen=True, slots=True)
class Fill:
    """A trade, at the resting order's price."""

    maker: int
    taker: int
    price: int
    qty: int


@dataclass(frozen=True, slots=True)
class Done:
    """What a message did, the stops that it set off included."""

    id: int
    accepted: bool
    fills: list[Fill]
    expired: dict[int, int]
    """Lots by order id that expired, self-trade prevention included."""
    resting: int
    """Open lots of the order itself (waiting ones if it is a stop)."""


class OrderBook:
    """A price-time-priority book. Prices are whole ticks and quantities whole lots, both positive; ids count from 1.

    `self_trade` is one of SELF_TRADE_MODES; it looks at `owner`, and orders without one are never checked.
    """

    def __init__(self, self_trade: str = "none") -> None:
        if self_trade not in SELF_TRADE_MODES:
            raise ValueError(f"self_trade {self_trade!r}: one of {', '.join(SELF_TRADE_MODES)}")
        self._books = Books(1, 0, 1, SELF_TRADE_MODES[self_trade], capacity=1024)
        self._message = np.zeros(1, MESSAGE)
        self._net = np.zeros(1, np.int64)
        self._offset = np.full(1, NOBODY, np.int64)
        self._owners: dict[Hashable, int] = {}
        self._handles: list[int] = [NOBODY]

    # --- messages ---------------------------------------------------------------------------------
    def limit(self, side: str, price: int, qty: int, owner: Hashable = None, post_only: bool = False) -> Done:
        """Trade up to `price`; what is left rests. With `post_only` it is rejected instead of trading."""
        return self._new(POST_ONLY if post_only else LIMIT, side, qty, owner, price)

    def market(self, side: str, qty: int, owner: Hashable = None) -> Done:
        """Trade at any price; what is left expires."""
        return self._new(MARKET, side, qty, owner)

    def ioc(self, side: str, qty: int, price: int = 0, owner: Hashable = None) -> Done:
        """Immediate or cancel: trade up to `price` (0 = any), what is left expires."""
        return self._new(IOC, side, qty, owner, price)

    def fok(self, side: str, qty: int, price: int = 0, owner: Hashable = None) -> Done:
        """Fill or kill: everything at once, up to `price` (0 = any), or rejected."""
        return self._new(FOK, side, qty, owner, price)

    def stop(self, side: str, stop: int, qty: int, price: int | None = None, owner: Hashable = None) -> Done:
        """Wait for the last price to reach `stop`, then act as a market order, or as a limit order at `price`."""
        return self._new(STOP if price is None else STOP_LIMIT, side, qty, owner, price or 0, stop)

    def cancel(self, order_id: int, owner: Hashable = None) -> Done:
        """Take a resting order or a waiting stop out of the book."""
        return self._old(CANCEL, order_id, owner, 0, 0)

    def replace(self, order_id: int, price: int | None = None, qty: int | None = None, owner: Hashable = None) -> Done:
        """Change price or open quantity (0 cancels). Only a smaller quantity at the same price keeps the place in
        the queue.
        """
        return self._old(
            REPLACE, order_id, owner, UNCHANGED if price is None else price, UNCHANGED if qty is None else qty
        )

    # --- looking ----------------------------------------------------------------------------------
    @property
    def best_bid(self) -> int | None:
        """Highest buying price, or None."""
        return self._books.best(0, BUY) or None

    @property
    def best_ask(self) -> int | None:
        """Lowest selling price, or None."""
        return self._books.best(0, SELL) or None

    @property
    def last(self) -> int | None:
        """Price of the last trade, or None."""
        return self._books.last(0) or None

    @property
    def bids(self) -> list[tuple[int, int]]:
        """(price, lots) of each buying level, best first."""
        return self._levels(BUY)

    @property
    def asks(self) -> list[tuple[int, int]]:
        """(price, lots) of each selling level, best first."""
        return self._levels(SELL)

    def resting(self, order_id: int) -> int:
        """Open lots of an order; 0 when it has left."""
        handle = self._handles[order_id] if 0 < order_id < len(self._handles) else NOBODY
        order = self._books.order(handle)
        return 0 if order is None else int(order["size_lots"])

    def __repr__(self) -> str:
        """The five best levels of each side around the last price."""
        lines = [f"{'':>10}{price:>10}{lots:>10}" for price, lots in reversed(self.asks[:5])]
        lines.append(f"{'':>10}{'--- last ' + str(self.last) if self.last else '---':^10}")
        lines += [f"{lots:>10}{price:>10}" for price, lots in self.bids[:5]]
        return "\n".join([f"{'buy':>10}{'price':>10}{'sell':>10}", *lines])

    # --- inside -----------------------------------------------------------------------------------
    def _levels(self, side: int) -> list[tuple[int, int]]:
        ticks, lots = self._books.ladder(0, side)
        return list(zip(ticks.tolist(), lots.tolist(), strict=True))

    def _account(self, owner: Hashable) -> int:
        return NOBODY if owner is None else self._owners.setdefault(owner, len(self._owners))

    def _new(self, op: int, side: str, qty: int, owner: Hashable, price: int = 0, stop: int = 0) -> Done:
        if side not in SIDES:
            raise ValueError(f"side {side!r}: 'buy' or 'sell'")
        number = len(self._handles)
        self._message[0] = (0, self._account(owner), op, SIDES[side], 0, 0, 0, price, stop, qty, number, 0, NOBODY)
        done = self._send(number)
        return done

    def _old(self, op: int, order_id: int, owner: Hashable, price: int, qty: int) -> Done:
        handle = self._handles[order_id] if 0 < order_id < len(self._handles) else NOBODY
        self._message[0] = (0, self._account(owner), op, BUY, 0, 0, 0, price, 0, qty, handle, 0, NOBODY)
        return self._send(order_id)

    def _send(self, number: int) -> Done:
        outcome = self._books.match(self._message, self._net, self._offset)
        if number == len(self._handles):
            self._handles.append(int(outcome.handles[0]))
        fills = [
            Fill(int(f["maker_order"]), int(f["taker_order"]), int(f["price_ticks"]), int(f["size_lots"]))
            for f in outcome.fills
        ]
        expired: dict[int, int] = {}
        for close in outcome.closes:
            if close["reason"] in (EXPIRED, SELF_TRADED):
                order = int(close["order"])
                expired[order] = expired.get(order, 0) + int(close["size_lots"])
        accepted = not (outcome.closes["reason"] == REJECTED).any()
        return Done(number, accepted, fills, expired, self.resting(number))
