"""Order records, and the helpers that the matching kernel calls on numbers and single records.

A record is a bare address: passing one costs no reference counting, as passing an array would.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from abm.compiled import scalar
from abm.state import LIMIT, ON_MARK, POST_ONLY, REPLACE, STOP, STOP_LIMIT, TRIGGER

UNCHANGED = -1
"""Price or size of a REPLACE message that keeps what the order has."""

FREE, RESTING, WAITING, RUNNING, GONE = range(5)
"""States of a pool slot. RUNNING only inside a call; GONE only with fixed slots: an id that was used and may not
come back.
"""

ORDER = np.dtype(
    [
        ("account", np.int32),
        ("generation", np.int32),
        ("market", np.int32),
        ("side", np.int8),
        ("flags", np.int8),
        ("reason", np.int8),
        ("state", np.int8),
        ("op", np.int8),  # how it entered
        ("price_ticks", np.int64),  # limit; of a waiting stop its worst price, 0 = any
        ("stop_ticks", np.int64),
        ("size_lots", np.int64),  # open quantity
        ("id", np.int64),
        ("unit_reserve", np.int64),
    ],
    align=True,
)
"""One order, 64 bytes: a cache line."""

LINK = np.dtype(
    [
        ("next", np.uint32),  # slot of the order behind, 0 = none
        ("prev", np.uint32),  # slot of the order before; once set off: 1 + the fill that did it, 0 = a message
    ],
    align=True,
)
"""The neighbours of an order; apart from the orders, so that leaving a queue touches one cache line of orders."""

LEVEL = np.dtype([("head", np.int32), ("tail", np.int32), ("lots", np.int64)], align=True)
"""One tick of one ladder."""

QUEUE = np.dtype([("shift", np.int64), ("best", np.int64), ("count", np.int64)], align=True)
"""One side of one ladder: level index = tick + shift; best tick (0 = empty) in the order of execution; number of
orders.
"""

BOOK = np.dtype([("last", np.int64), ("base", np.int64), ("span", np.int64), ("self_trade", np.int64)], align=True)
"""One market: last trade price (0 = none), lowest tick and number of ticks of its ladders, self-trade mode."""

RANKS = 4
"""Ranks of bitmap words: 64**4 levels and more than that are never needed."""

QUEUES = 6
"""Queues a market: bids, asks, buy and sell stops on the last price, buy and sell stops on the mark."""

_U1, _U2, _U4, _U8, _U16, _U32 = (np.uint64(1 << n) for n in range(6))
_PAIRS = np.uint64(0x5555555555555555)
_FOURS = np.uint64(0x3333333333333333)
_EIGHTS = np.uint64(0x0F0F0F0F0F0F0F0F)
_COUNT = np.uint64(127)


# --- helpers on numbers and single records (a record is a bare address: it costs no reference counting) -------------


@scalar
def bit(position: Any) -> Any:
    """A word with the bit of this level or word set."""
    return _U1 << np.uint64(position & 63)


@scalar
def beyond(word: Any, position: Any, down: bool) -> Any:
    """Only the bits of a word below (`down`) or above the bit of this position."""
    if down:
        return word & ((_U1 << np.uint64(position & 63)) - _U1)
    return ((word >> np.uint64(position & 63)) >> _U1) << np.uint64(position & 63) << _U1


@scalar
def pick(word: Any, down: bool) -> Any:
    """Position of the highest (`down`) or lowest bit of a word that is not zero.

    The bits below the one that is looked for are set and counted, by adding ever wider fields: Numba offers no
    instruction for it.
    """
    if down:
        word = word | (word >> _U1)
        word = word | (word >> _U2)
        word = word | (word >> _U4)
        word = word | (word >> _U8)
        word = word | (word >> _U16)
        word = (word | (word >> _U32)) >> _U1
    else:
        word = (word & (~word + _U1)) - _U1
    word = word - ((word >> _U1) & _PAIRS)
    word = (word & _FOURS) + ((word >> _U2) & _FOURS)
    word = (word + (word >> _U4)) & _EIGHTS
    word = word + (word >> _U8)
    word = word + (word >> _U16)
    word = word + (word >> _U32)
    return np.int64(word & _COUNT)


@scalar
def unlink(link: Any, ahead: Any, behind: Any, level: Any, queue: Any, lots: Any) -> Any:
    """Take an order of so many lots out of its queue; whether its level is empty now.

    Slot 0 takes what concerns nobody. Without branches: which of the cases it is cannot be foreseen.
    """
    before, after = link["prev"], link["next"]
    ahead["next"] = after
    behind["prev"] = before
    level["head"] = after if before == 0 else level["head"]
    level["tail"] = before if after == 0 else level["tail"]
    level["lots"] -= lots
    queue["count"] -= 1
    return before | after == 0


@scalar
def append(link: Any, last: Any, level: Any, queue: Any, slot: Any, lots: Any) -> None:
    """Put an order of so many lots behind the last one of its level."""
    link["prev"] = level["tail"]
    link["next"] = 0
    last["next"] = slot
    level["tail"] = slot
    level["lots"] += lots
    queue["count"] += 1


@scalar
def report(close: Any, who: Any, number: Any, reason: Any, lots: Any, message: Any) -> int:
    """Fill in a CLOSE for an order or a message (a wrong one may have less than no lots); returns 1, the number of
    records.
    """
    close["market"] = who["market"]
    close["account"] = who["account"]
    close["side"] = who["side"]
    close["flags"] = who["flags"]
    close["reason"] = reason
    close["op"] = who["op"]
    close["size_lots"] = max(0, lots)
    close["order"] = number
    close["unit_reserve"] = who["unit_reserve"]
    close["message"] = message
    return 1


@scalar
def trade(fill: Any, taker: Any, maker: Any, lots: Any) -> int:
    """Fill in a FILL at the maker's price; returns 1, the number of records."""
    fill["market"] = taker["market"]
    fill["taker"] = taker["account"]
    fill["maker"] = maker["account"]
    fill["side"] = taker["side"]
    fill["taker_flags"] = taker["flags"]
    fill["maker_flags"] = maker["flags"]
    fill["reason"] = taker["reason"]
    fill["price_ticks"] = maker["price_ticks"]
    fill["size_lots"] = lots
    fill["taker_order"] = taker["order"]
    fill["maker_order"] = maker["id"]
    fill["taker_reserve"] = taker["unit_reserve"]
    fill["maker_reserve"] = maker["unit_reserve"]
    fill["cause"] = taker["cause"]
    return 1


@scalar
def put_down(order: Any, taker: Any, slot: Any, state: Any, price: Any, lots: Any) -> Any:
    """Write what comes to rest or waits into its slot; returns its handle. A replaced order stays what it was when it
    entered.
    """
    if taker["op"] != REPLACE:
        order["account"] = taker["account"]
        order["market"] = taker["market"]
        order["side"] = taker["side"]
        order["flags"] = taker["flags"]
        order["op"] = taker["op"]
        order["stop_ticks"] = taker["stop_ticks"]
        order["id"] = taker["order"]
    order["reason"] = taker["reason"]
    order["state"] = state
    order["price_ticks"] = price
    order["size_lots"] = lots
    order["unit_reserve"] = taker["unit_reserve"]
    return slot | np.int64(order["generation"]) << 32


@scalar
def pick_up(taker: Any, order: Any) -> None:
    """Make an order from the pool the one that is executed."""
    taker["market"] = order["market"]
    taker["account"] = order["account"]
    taker["op"] = order["op"]
    taker["side"] = order["side"]
    taker["flags"] = order["flags"]
    taker["reason"] = order["reason"]
    taker["price_ticks"] = order["price_ticks"]
    taker["stop_ticks"] = order["stop_ticks"]
    taker["size_lots"] = order["size_lots"]
    taker["order"] = order["id"]
    taker["unit_reserve"] = order["unit_reserve"]


@scalar
def pick_up_replaced(taker: Any, order: Any, message: Any) -> Any:
    """Make a REPLACE message the order that it wants to have; returns whether it may."""
    pick_up(taker, order)
    taker["op"] = REPLACE
    taker["reason"] = message["reason"]
    taker["unit_reserve"] = message["unit_reserve"]
    taker["cause"] = message["cause"]
    if message["price_ticks"] != UNCHANGED:
        taker["price_ticks"] = message["price_ticks"]
    if message["size_lots"] != UNCHANGED:
        taker["size_lots"] = message["size_lots"]
    return taker["size_lots"] >= 0 and taker["price_ticks"] > 0


@scalar
def unacceptable(message: Any, op: Any, best: Any) -> Any:
    """Whether a new order breaks a rule by itself, or is post-only and would trade or lock at the other side's best."""
    price = message["price_ticks"]
    if op == LIMIT:
        return message["size_lots"] <= 0 or price <= 0
    if message["size_lots"] <= 0 or price < 0 or op < 0:
        return True
    if price == 0 and (op == POST_ONLY or op == STOP_LIMIT):
        return True
    if op == POST_ONLY:
        return best != 0 and message["side"] * (price - best) >= 0
    return op >= STOP and message["stop_ticks"] <= 0


@scalar
def out_of_reach(order: Any, message: Any, op: Any) -> Any:
    """Whether a CANCEL, REPLACE or TRIGGER may not touch this order: gone, the wrong kind, or somebody else's."""
    state = order["state"]
    if order["generation"] != message["order"] >> 32 or order["market"] != message["market"]:
        return True
    if op == TRIGGER:
        return state != WAITING
    if order["account"] != message["account"]:
        return True
    return state != RESTING and (state != WAITING or op == REPLACE)


@scalar
def waits(message: Any, last: Any) -> Any:
    """Whether a new stop has to wait: it watches the mark, or the last price has not reached it."""
    return message["flags"] & ON_MARK or last == 0 or message["side"] * (last - message["stop_ticks"]) < 0


@scalar
def vacate(order: Any, fixed: bool) -> int:
    """The slot's order has left, old handles no longer fit; returns the number of slots that can be used again."""
    order["state"] = GONE if fixed else FREE
    order["generation"] += 0 if fixed else 1
    return 0 if fixed else 1


@scalar
def kind(side: Any, waiting: bool, flags: Any) -> Any:
    """Which queue of its market an order belongs to."""
    return (1 if side < 0 else 0) + (0 if not waiting else 4 if flags & ON_MARK else 2)


@scalar
def kind_of(order: Any) -> Any:
    """Which queue of its market an order of the pool is in."""
    return kind(order["side"], order["state"] == WAITING, order["flags"])


@scalar
def tick_of(order: Any) -> Any:
    """Which tick of its ladder an order of the pool is at."""
    return order["stop_ticks"] if order["state"] == WAITING else order["price_ticks"]


@scalar
def crosses(side: Any, limit: Any, best: Any) -> Any:
    """Whether a taker of this side and limit (0 = any) trades at the other side's best (0 = empty)."""
    return best != 0 and (limit == 0 or side * (limit - best) >= 0)
