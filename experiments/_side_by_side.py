"""Many small markets beside one another on one trading floor: one replica of a stylised model in each.

No fees, no margin schedule, wide price filters: what the models of the literature assume. Books, admission and posting
are those of the project.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.book.books import Books
from abm.clearing.trading import TradingFloor
from abm.events import EventLog
from abm.state import CROSS, I64, MESSAGE, NOBODY, PERPETUAL, Accounts, Markets
from abm.units import MICRO, RATE_ONE

USD, COIN = range(2)
"""Assets: micro-dollars, and the thing traded in units of one lot."""
HALF = RATE_ONE // 2
POCKET = 1 << 50
"""Micro-dollars: more than any replica can lose."""


def build_markets(kind: NDArray[np.int32], venue: NDArray[np.int32], tick_usd: float, tick_value: int) -> Markets:
    """Markets of the given kinds at the given venues, (M,) each: lots of one coin, no fees, one margin tier.

    `tick_value` micro-dollars a tick and lot; `tick_usd` is the same in dollars, for people.
    """
    count = kind.size
    some = np.ones(count, np.int64)
    return Markets(
        names=[f"replica {m}" for m in range(count)],
        venue=venue.astype(np.int32),
        kind=kind.astype(np.int32),
        slot=np.where(kind == PERPETUAL, 0, NOBODY).astype(np.int32),
        settle=np.full(count, USD, np.int32),
        base=np.full(count, COIN, np.int32),
        tick_value=some * tick_value,
        lot_units=some.copy(),
        taker_fee=some * 0,
        maker_fee=some * 0,
        band=some * HALF,
        price_filter=some * HALF,
        tick_dollars=np.full(count, tick_usd),
        lot_coins=np.ones(count),
        tier_floor=np.zeros((count, 1), np.int64),
        tier_maintenance=np.zeros((count, 1), np.int64),
        tier_amount=np.zeros((count, 1), np.int64),
        tier_leverage=np.full((count, 1), 100, np.int64),
    )


def open_floor(
    markets: Markets, accounts: Accounts | int, base_ticks: Any, seed: int, capacity: int = 1 << 16
) -> TradingFloor:
    """A floor with these accounts, or so many empty ones, and books from `base_ticks` up; nothing is logged."""
    if isinstance(accounts, int):
        accounts = Accounts.empty(accounts, 2, 1)
    books = Books(markets.count, base_ticks, 1, 0, capacity)
    return TradingFloor(markets, accounts, books, EventLog("summary"), seed)


def open_perpetuals(count: int, tick_usd: float, seed: int) -> TradingFloor:
    """A floor of so many perpetuals without price limits, each with two rich accounts, rows r and `count` + r."""
    replica = np.arange(count, dtype=np.int32)
    markets = build_markets(np.full(count, PERPETUAL, np.int32), replica, tick_usd, 1)
    markets.band[:] = markets.price_filter[:] = RATE_ONE
    accounts = Accounts.empty(2 * count, 2, 1)
    accounts.venue[:], accounts.leverage[:] = np.tile(replica, 2), 100
    accounts.mode[:], accounts.cash[0] = CROSS, POCKET
    return open_floor(markets, accounts, 1, seed, 1 << 16)


def orders(op: int, market: I64, account: I64, side: Any, size_lots: Any, price_ticks: Any, latency: int) -> Any:
    """MESSAGE (n,): one order an entry of `market`, the others (n,) or one number; lower latency goes first."""
    new = np.zeros(np.size(market), MESSAGE)
    new["order"] = new["cause"] = NOBODY
    new["market"], new["account"], new["op"], new["side"] = market, account, op, side
    new["size_lots"], new["price_ticks"], new["latency"] = size_lots, price_ticks, latency
    return new


def dollars(units: I64) -> NDArray[np.float64]:
    """Micro-dollars in dollars."""
    return np.asarray(units / MICRO)
