"""Halts: a market that stands still, and how it opens again.

While a market is halted nothing is matched and nobody is forced; orders may be cancelled. In the last tick of the halt,
the call, limit orders are collected; then one auction price opens the market. What asks for a halt (a circuit breaker,
trading hours, an outage) is the business of policies and of the scenario.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.clearing.auction import hold_auction
from abm.clearing.trading import TradingFloor
from abm.events import HALT, REOPEN
from abm.state import CANCEL, FOK, FORCED, I64, IOC, LIMIT, MARKET, MESSAGE, NOBODY, POST_ONLY, REFUSED, REPLACE

CALLED = (LIMIT, POST_ONLY, IOC, MARKET, FOK)
"""What the call accepts, as limit orders at their worst price."""


class MoveBreaker:
    """Halts a market that moved by `move` (fraction) or more within `window_ms`, for `halt_ms`.

    The reference is the last price at the beginning of the window; after a halt it is the reopening price.
    """

    def __init__(self, market: int, move: float, window_ms: int, halt_ms: int) -> None:
        self.market, self.move, self.window_ms, self.halt_ms = market, move, window_ms, halt_ms
        self._path: deque[tuple[int, int]] = deque()  # (time, last price)

    def watch(self, halts: Halts, last_ticks: int, now_ms: int) -> bool:
        """Look at the last price; True when the market was halted now."""
        if halts.until_ms[self.market]:
            self._path.clear()
            return False
        self._path.append((now_ms, last_ticks))
        while len(self._path) > 1 and self._path[1][0] <= now_ms - self.window_ms:
            self._path.popleft()
        if abs(last_ticks / self._path[0][1] - 1.0) < self.move:
            return False
        halts.halt(self.market, now_ms + self.halt_ms, now_ms)
        return True


class Halts:
    """Which markets stand still, until when. Times in milliseconds of the model's clock."""

    def __init__(self, floor: TradingFloor) -> None:
        self.floor = floor
        count = floor.markets.count
        self.until_ms: I64 = np.zeros(count, np.int64)
        """0 = open."""
        self.dark = np.zeros(count, np.bool_)
        """Not even cancels arrive, and no auction opens the market: an outage."""
        self._calls: list[NDArray[Any]] = []

    @property
    def any(self) -> bool:
        """Whether a market stands still."""
        return bool(np.count_nonzero(self.until_ms))

    @property
    def halted(self) -> NDArray[np.bool_]:
        """Whether each market stands still, bool (M,)."""
        return self.until_ms > 0

    def halt(self, market: int, until_ms: int, now_ms: int, dark: bool = False) -> None:
        """Let a market stand still; a longer halt that is under way stays."""
        if until_ms <= max(now_ms, int(self.until_ms[market])):
            return
        self.until_ms[market] = until_ms
        self.dark[market] = dark
        price = self.floor.books.last(market)
        self.floor.log.add(HALT, market=market, price_ticks=price, amount=until_ms - now_ms)

    def filter(self, messages: NDArray[Any], now_ms: int, tick_ms: int) -> NDArray[Any]:
        """What may pass: MESSAGE (n,) as given, the others refused in place (op REFUSED); call orders are kept aside.

        A batch of the last `tick_ms` before a market opens belongs to its call.
        """
        market = messages["market"]
        held = self.halted[market] & ((messages["op"] != CANCEL) | self.dark[market])
        if not held.any():
            return messages
        messages = messages.copy()
        in_call = held & (self.until_ms[market] - now_ms <= tick_ms) & ~self.dark[market]
        calls = in_call & np.isin(messages["op"], CALLED) & (messages["flags"] & FORCED == 0)
        if calls.any():
            self._calls.append(self._as_limits(messages[calls]))
        moved = np.flatnonzero(in_call & (messages["op"] == REPLACE))
        found = [self._renewed(messages[i : i + 1].copy()) for i in moved]
        self._calls += [one for one in found if one.size]
        messages["op"][held] = REFUSED
        messages["op"][moved] = CANCEL
        return messages

    def _renewed(self, message: NDArray[Any]) -> NDArray[Any]:
        """What a change of a resting order asks for, as a new limit order of the call (the old one is cancelled)."""
        order = self.floor.books.order(int(message["order"][0]))
        if order is None or order["account"] != message["account"][0]:
            return message[:0]
        message["op"], message["side"], message["order"] = LIMIT, order["side"], NOBODY
        for name in ("price_ticks", "size_lots"):
            if message[name][0] < 0:
                message[name] = order[name]
        return message if message["size_lots"][0] > 0 else message[:0]

    def _as_limits(self, calls: NDArray[Any]) -> NDArray[Any]:
        """Orders without a price take the venue's band around the last price as their limit."""
        markets, books = self.floor.markets, self.floor.books
        last = np.array([books.last(int(m)) for m in calls["market"]], np.int64)
        band = markets.band[calls["market"]]
        worst = last + calls["side"] * (last * (band / 1e8)).astype(np.int64)
        calls["price_ticks"] = np.maximum(np.where(calls["price_ticks"] > 0, calls["price_ticks"], worst), 1)
        calls["op"] = LIMIT
        return calls

    def reopen(self, now_ms: int, mark_ticks: I64, moment: int) -> list[int]:
        """Open what is due, each by an auction of its call (after an outage without); the markets that
        opened. `mark_ticks` (M,).
        """
        due = np.flatnonzero(self.halted & (self.until_ms <= now_ms)).tolist()
        if not due:
            return due
        calls = np.concatenate(self._calls) if self._calls else np.zeros(0, MESSAGE)
        for market in due:
            self.until_ms[market] = 0
            price = 0
            if not self.dark[market]:
                own = calls[calls["market"] == market]
                price = hold_auction(self.floor, market, own, mark_ticks, moment).price_ticks
            self.dark[market] = False
            self.floor.log.add(REOPEN, market=market, price_ticks=price or int(mark_ticks[market]))
        left = calls[~np.isin(calls["market"], due)]
        self._calls = [left] if left.size else []
        return due
