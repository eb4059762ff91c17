"""Call auction: one price for everybody who waited while a market was halted.

The price trades the most lots; among those it leaves the smallest imbalance, and among those it is nearest to the
reference (the last price). That is the common rule of opening auctions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.clearing.trading import TradingFloor
from abm.state import BUY, I64, MESSAGE, NOBODY, REPLACE, SELL


@dataclass(frozen=True, slots=True)
class Uncrossing:
    """Where a call auction trades: price in ticks (0 = nothing crosses) and lots."""

    price_ticks: int
    lots: int


def uncross(bid_ticks: I64, bid_lots: I64, ask_ticks: I64, ask_lots: I64, reference_ticks: int) -> Uncrossing:
    """The auction price of limit orders, any order of arrays; int64 (n,) bids and (m,) asks, lots positive."""
    limits = np.concatenate([bid_ticks, ask_ticks])
    prices = np.unique(np.concatenate([limits, limits + 1, limits - 1]))  # between two limits less may be left over
    if bid_ticks.size == 0 or ask_ticks.size == 0 or bid_ticks.max() < ask_ticks.min():
        return Uncrossing(0, 0)
    order = np.argsort(bid_ticks, kind="stable")
    below = np.concatenate([[0], np.cumsum(bid_lots[order])])
    wanted = below[-1] - below[np.searchsorted(bid_ticks[order], prices, side="left")]  # bids at this price or better
    order = np.argsort(ask_ticks, kind="stable")
    offered = np.concatenate([[0], np.cumsum(ask_lots[order])])[np.searchsorted(ask_ticks[order], prices, side="right")]
    traded, imbalance = np.minimum(wanted, offered), np.abs(wanted - offered)
    best = np.lexsort((np.abs(prices - reference_ticks), imbalance, -traded))[0]
    return Uncrossing(int(prices[best]), int(traded[best]))


def hold_auction(floor: TradingFloor, market: int, calls: NDArray[Any], mark_ticks: I64, moment: int) -> Uncrossing:
    """Uncross one market through the ordinary book, so that margin, fees and events are those of any trade.

    `calls` MESSAGE (n,): the limit orders of the call in the order in which they came; `mark_ticks` int64 (M,);
    `moment` as in `TradingFloor.trade`. Whatever can trade is brought to the auction price, best limit first and oldest
    first: one side, then the other, which meets it there. The side that has orders in the book goes first; only one
    side can have any, since the book is not crossed. What the auction leaves open goes back to its own limit.
    """
    books = floor.books
    resting = {side: books.resting(market, side) for side in (SELL, BUY)}
    own = {side: calls[calls["side"] == side] for side in (SELL, BUY)}
    prices = {side: np.concatenate([resting[side][0], own[side]["price_ticks"]]) for side in (SELL, BUY)}
    sizes = {side: np.concatenate([resting[side][1], own[side]["size_lots"]]) for side in (SELL, BUY)}
    found = uncross(prices[BUY], sizes[BUY], prices[SELL], sizes[SELL], books.last(market) or int(mark_ticks[market]))
    if found.lots == 0:
        floor.trade(calls, mark_ticks, moment, in_order=True)
        return found
    price = found.price_ticks
    queues, limits = [], []
    first = BUY if books.best(market, BUY) >= price else SELL
    for side in (first, -first):
        ticks, lots, _, accounts, known = resting[side]
        inside = side * (ticks - price) >= 0
        moved = np.zeros(int(inside.sum()), MESSAGE)
        moved["market"], moved["op"], moved["side"], moved["cause"] = market, REPLACE, side, NOBODY
        moved["account"], moved["order"], moved["size_lots"] = accounts[inside], known[inside], lots[inside]
        moved["price_ticks"] = price
        # an order that rests at the price already would keep its place before better ones: it steps aside first
        aside = moved[ticks[inside] == price].copy()
        aside["price_ticks"] -= side
        floor.trade(aside, mark_ticks, moment, in_order=True)
        called = own[side][side * (own[side]["price_ticks"] - price) >= 0].copy()
        limit = np.concatenate([ticks[inside], called["price_ticks"]])
        called["price_ticks"] = price
        order = np.argsort(-side * limit, kind="stable")  # among equals, who rested goes before who called
        queues.append(np.concatenate([moved, called])[order])
        limits.append(limit[order])
    handles = [floor.trade(queue, mark_ticks, moment, in_order=True) for queue in queues]
    _go_back(floor, queues, limits, handles, mark_ticks, moment)
    outside = [own[side][side * (own[side]["price_ticks"] - price) < 0] for side in (SELL, BUY)]
    floor.trade(np.concatenate(outside), mark_ticks, moment, in_order=True)
    return found


def _go_back(
    floor: TradingFloor, queues: list[NDArray[Any]], limits: list[I64], handles: list[I64], mark_ticks: I64, moment: int
) -> None:
    """Orders that the auction left open return from its price to their own limit."""
    for queue, limit, resting in zip(queues, limits, handles, strict=True):
        back = []
        for i in np.flatnonzero((resting != NOBODY) & (limit != queue["price_ticks"])).tolist():
            order = floor.books.order(int(resting[i]))
            if order is not None:
                one = queue[i : i + 1].copy()
                one["op"], one["order"] = REPLACE, resting[i]
                one["price_ticks"], one["size_lots"] = limit[i], order["size_lots"]
                back.append(one)
        if back:
            floor.trade(np.concatenate(back), mark_ticks, moment, in_order=True)
