"""The matching kernel: a batch of messages for many markets, executed in order in one compiled call.

Data structure. Each market has five *ladders* of equal span, one entry a tick: the book (bids and asks share it, they never overlap)
and four for waiting stops (last-price buy and sell, mark-price buy and sell, which may overlap). An entry heads a doubly linked
first-in-first-out list of order records in one pool shared by all markets. Three levels of 64-way bitmaps find the next non-empty
entry. A *queue* is one side of one ladder (six a market) with its best tick and its number of orders, so that the check for due stops
is one comparison. Links and heads hold slot + 1, so that fresh zero pages are empty lists.

Why it is one long flat function: helpers that receive arrays cost five times the speed in Numba (reference counting). The function is
a small state machine instead, in which each structural action (unlink, look for the next level, link, report a closing) exists once.

Where the rules of the order stream are silent, this file decides:

* Stops compare with the last trade price once the message, or the stop before them in the queue, has run to its end; prices that
  were only passed through on the way do not set them off.
* A stop that was set off keeps its slot, id and handle. What a `stop` cannot fill expires, what a `stop_limit` cannot fill rests.
  Self-trade rules apply to it as to any taker.
* A replace of equal price and equal quantity loses its place (only a smaller quantity keeps it). A replaced post-only order may trade.
* A resting reduce-only order is clipped, for good, when a taker reaches it, before the self-trade rule looks at it; an order that
  enters is clipped before it trades, a stop when it is set off. A fill-or-kill order must fill what is left after clipping.
* `post_only` looks at prices alone: an own or a soon to be clipped order at the best price still means a lock.
* An order belongs to the account it names, NOBODY included: cancel and replace must name the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from abm.compiled import kernel, scalar
from abm.state import (
    CANCEL,
    CANCEL_BOTH,
    CANCEL_MAKER,
    CANCEL_TAKER,
    CANCELLED,
    CLIPPED,
    DECREMENT,
    EXPIRED,
    FOK,
    LIMIT,
    NOBODY,
    ON_MARK,
    POST_ONLY,
    REDUCE_ONLY,
    REFUSED,
    REJECTED,
    REPLACE,
    REPLACED,
    SELF_TRADED,
    STOP,
    STOP_LIMIT,
    TRIGGER,
)

UNCHANGED = -1
"""Price or size of a REPLACE message that keeps what the order has."""

FREE, RESTING, WAITING, RUNNING, GONE = range(5)
"""States of a pool slot. RUNNING only inside a call; GONE only with fixed slots: an id that was used and may not come back."""

ORDER = np.dtype(
    [
        ("account", np.int32),
        ("next", np.int32),  # slot + 1 of the order behind, 0 = none
        ("prev", np.int32),  # slot + 1 of the order before
        ("generation", np.int32),
        ("market", np.int16),
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
"""One order, 64 bytes."""

LEVEL = np.dtype([("head", np.int32), ("tail", np.int32), ("lots", np.int64)], align=True)
"""One tick of one ladder."""

QUEUE = np.dtype([("shift", np.int64), ("best", np.int64), ("count", np.int64)], align=True)
"""One side of one ladder: level index = tick + shift; best tick (0 = empty) in the order of execution; number of orders."""

BOOK = np.dtype([("last", np.int64), ("base", np.int64), ("span", np.int64), ("self_trade", np.int64)], align=True)
"""One market: last trade price (0 = none), lowest tick and number of ticks of its ladders, self-trade mode."""

QUEUES = 6
"""Queues a market: bids, asks, buy and sell stops on the last price, buy and sell stops on the mark."""

_DONE, _START, _PROBE, _BEGIN, _TAKE, _REST, _SETTLE, _KEEP = range(8)
_TO_FREE, _TO_CHAIN, _TO_SLOT = range(3)

_U1 = np.uint64(1)
_U2 = np.uint64(2)
_U4 = np.uint64(4)
_U8 = np.uint64(8)
_U16 = np.uint64(16)
_U32 = np.uint64(32)
_U63 = np.uint64(63)
_PAIRS = np.uint64(0x5555555555555555)
_FOURS = np.uint64(0x3333333333333333)
_EIGHTS = np.uint64(0x0F0F0F0F0F0F0F0F)
_COUNT = np.uint64(127)


@scalar
def ones(word: Any) -> Any:
    """Number of bits set in a uint64 (by adding ever wider fields: Numba has no public instruction for it)."""
    word = word - ((word >> _U1) & _PAIRS)
    word = (word & _FOURS) + ((word >> _U2) & _FOURS)
    word = (word + (word >> _U4)) & _EIGHTS
    word = word + (word >> _U8)
    word = word + (word >> _U16)
    word = word + (word >> _U32)
    return np.int64(word & _COUNT)


@scalar
def lowest(word: Any) -> Any:
    """Position of the lowest bit set; `word` must not be zero."""
    return ones((word & (~word + _U1)) - _U1)


@scalar
def highest(word: Any) -> Any:
    """Position of the highest bit set; `word` must not be zero."""
    word = word | (word >> _U1)
    word = word | (word >> _U2)
    word = word | (word >> _U4)
    word = word | (word >> _U8)
    word = word | (word >> _U16)
    word = word | (word >> _U32)
    return ones(word) - 1


@kernel
def survey(messages: Any, books: Any) -> Any:
    """Number of new orders in a batch, and whether a price that may come to rest lies outside its market's ladders.

    A pass before anything changes: the pool and the ladders are grown for the whole batch, or it is refused.
    """
    new = 0
    outside = False
    for i in range(messages.size):
        op = int(messages[i]["op"])
        if op <= STOP_LIMIT:
            new += 1
        elif op != REPLACE:
            continue
        market = int(messages[i]["market"])
        low = books[market]["base"]
        high = low + books[market]["span"]
        price = messages[i]["price_ticks"]
        stop = messages[i]["stop_ticks"]
        if price > 0 and (op == LIMIT or op == POST_ONLY or op == STOP_LIMIT or op == REPLACE):
            outside |= price < low or price >= high
        if stop > 0 and (op == STOP or op == STOP_LIMIT):
            outside |= stop < low or stop >= high
    return new, outside


@kernel
def match_batch(
    messages: Any,  # MESSAGE[n]
    orders: Any,  # ORDER[capacity]
    levels: Any,  # LEVEL[all ladders]
    words0: Any,  # uint64: a bit a level
    words1: Any,  # a bit a word of words0
    words2: Any,  # a bit a word of words1
    queues: Any,  # QUEUE[markets * QUEUES]
    books: Any,  # BOOK[markets]
    free: Any,  # int32[capacity]: stack of slots given back
    pool: Any,  # int64[2]: size of that stack, first slot never used
    net_lots: Any,  # int64: signed position by net_offset[market] + account
    net_offset: Any,  # int64[markets], -1 = not tracked
    fills: Any,  # FILL[bound]
    closes: Any,  # CLOSE[bound]
    handles: Any,  # int64[n]
    first_seq: int,
    fixed: bool,  # slot = id = handle, an id is used once
) -> Any:
    """Execute the batch; returns the numbers of fills and closings written. Everything must be large enough (`Books.match`)."""
    n_fills = 0
    n_closes = 0
    n_free = pool[0]
    unused = pool[1]
    for i in range(messages.size):
        handles[i] = NOBODY
        t_op = int(messages[i]["op"])
        if t_op == REFUSED:
            continue
        # the order that is being executed ("taker"): first the message's own, later the stops it sets off
        market = int(messages[i]["market"])
        t_account = int(messages[i]["account"])
        t_side = int(messages[i]["side"])
        t_flags = int(messages[i]["flags"])
        t_reason = int(messages[i]["reason"])
        t_limit = int(messages[i]["price_ticks"])
        t_stop = int(messages[i]["stop_ticks"])
        t_left = int(messages[i]["size_lots"])
        t_id = int(messages[i]["order"])
        t_reserve = int(messages[i]["unit_reserve"])
        t_cause = int(messages[i]["cause"])
        t_rests = t_op == LIMIT or t_op == POST_ONLY or t_op == STOP_LIMIT or t_op == REPLACE
        t_slot = -1  # its slot in the pool, if it has one
        t_state = RESTING  # what it becomes if it stays
        t_mine = True  # it is what the message is about: its handle is reported
        t_clip = 0  # lots cut off by reduce-only
        first_queue = market * QUEUES
        mode = books[market]["self_trade"]
        offset = net_offset[market]
        last = books[market]["last"]
        settled = n_fills  # fills whose price the stops have seen
        chain_head = 0  # stops set off and not yet executed, slot + 1
        chain_tail = 0
        # pending structural actions of the loop below
        gone = -1  # slot to unlink ...
        gone_to = _TO_FREE  # ... and what becomes of it
        seek = -1  # level from which the next non-empty one is searched ...
        seek_down = False
        seek_queue = -1  # ... to be the best of this queue; -1 = for the probe
        m_close = -1  # lots to report as closed of the order in slot m_slot
        m_slot = -1
        m_why = 0
        t_close = -1  # lots to report as closed of the taker
        t_why = 0
        probe = -1  # level that a dry run looks at
        probe_left = 0
        probe_seen = 0
        probe_fills = 0
        probe_own = False
        # --- what the message asks for ------------------------------------------------------------------------------------
        refused = False
        task = _START
        if t_op <= STOP_LIMIT:
            refused = t_op < 0 or t_left <= 0 or t_limit < 0 or (t_rests and t_limit == 0)
            if fixed and orders[t_id]["state"] != FREE:
                refused = True
            best = queues[first_queue + (1 if t_side > 0 else 0)]["best"]
            if t_op == POST_ONLY and best != 0 and t_side * (t_limit - best) >= 0:
                refused = True
            if t_op == STOP or t_op == STOP_LIMIT:
                if t_stop <= 0:
                    refused = True
                if t_flags & ON_MARK or last == 0 or t_side * (last - t_stop) < 0:
                    t_state = WAITING
                    task = _REST
        else:
            slot = t_id & 0xFFFFFFFF
            refused = t_id < 0 or slot >= orders.size or t_op > REFUSED
            if not refused:
                state = int(orders[slot]["state"])
                refused = (
                    (state != RESTING and (state != WAITING or t_op == REPLACE))
                    or (state != WAITING and t_op == TRIGGER)
                    or (t_op != TRIGGER and orders[slot]["account"] != t_account)
                    or orders[slot]["generation"] != t_id >> 32
                    or orders[slot]["market"] != market
                )
            if t_op != REPLACE:
                t_left = 0  # reported if refused
            if not refused:
                if t_op == TRIGGER:
                    gone = slot
                    gone_to = _TO_CHAIN
                    task = _SETTLE
                elif t_op == CANCEL:
                    gone = slot
                    m_close = orders[slot]["size_lots"]
                    m_why = CANCELLED
                    task = _DONE
                else:
                    t_slot = slot
                    old = int(orders[slot]["size_lots"])
                    t_side = int(orders[slot]["side"])
                    t_flags = int(orders[slot]["flags"])
                    t_stop = int(orders[slot]["stop_ticks"])
                    t_left = old if t_left == UNCHANGED else t_left
                    t_limit = int(orders[slot]["price_ticks"]) if t_limit == UNCHANGED else t_limit
                    refused = t_left < 0 or t_limit <= 0
                    if t_left == 0 and not refused:
                        gone = slot
                        m_close = old
                        m_why = CANCELLED
                        task = _DONE
                    elif t_limit == orders[slot]["price_ticks"] and t_left < old and not refused:
                        m_close = old
                        m_why = REPLACED
                        task = _KEEP
                m_slot = slot
        if refused:
            t_close = max(t_left, 0)
            t_why = REJECTED
            task = _DONE
        opposite = first_queue + (1 if t_side > 0 else 0)
        while True:
            # --- structural actions that the last pass asked for ----------------------------------------------------------
            if m_close >= 0:
                closes[n_closes]["market"] = market
                closes[n_closes]["account"] = orders[m_slot]["account"]
                closes[n_closes]["side"] = orders[m_slot]["side"]
                closes[n_closes]["flags"] = orders[m_slot]["flags"]
                closes[n_closes]["reason"] = m_why
                closes[n_closes]["op"] = orders[m_slot]["op"]
                closes[n_closes]["size_lots"] = m_close
                closes[n_closes]["order"] = orders[m_slot]["id"]
                closes[n_closes]["unit_reserve"] = orders[m_slot]["unit_reserve"]
                closes[n_closes]["message"] = i
                n_closes += 1
                m_close = -1
            if t_close >= 0:
                closes[n_closes]["market"] = market
                closes[n_closes]["account"] = t_account
                closes[n_closes]["side"] = t_side
                closes[n_closes]["flags"] = t_flags
                closes[n_closes]["reason"] = t_why
                closes[n_closes]["op"] = t_op
                closes[n_closes]["size_lots"] = t_close
                closes[n_closes]["order"] = t_id
                closes[n_closes]["unit_reserve"] = t_reserve
                closes[n_closes]["message"] = i
                n_closes += 1
                t_close = -1
            if gone >= 0:
                g_side = int(orders[gone]["side"])
                g_tick = orders[gone]["price_ticks"]
                queue = first_queue + (1 if g_side < 0 else 0)
                seek_down = g_side > 0
                if orders[gone]["state"] == WAITING:
                    g_tick = orders[gone]["stop_ticks"]
                    queue += 4 if orders[gone]["flags"] & ON_MARK else 2
                    seek_down = g_side < 0
                level = g_tick + queues[queue]["shift"]
                ahead = orders[gone]["prev"]
                behind = orders[gone]["next"]
                if ahead != 0:
                    orders[ahead - 1]["next"] = behind
                else:
                    levels[level]["head"] = behind
                if behind != 0:
                    orders[behind - 1]["prev"] = ahead
                else:
                    levels[level]["tail"] = ahead
                levels[level]["lots"] -= orders[gone]["size_lots"]
                queues[queue]["count"] -= 1
                if ahead == 0 and behind == 0:
                    words0[level >> 6] &= ~(_U1 << np.uint64(level & 63))
                    if words0[level >> 6] == 0:
                        words1[level >> 12] &= ~(_U1 << np.uint64((level >> 6) & 63))
                        if words1[level >> 12] == 0:
                            words2[level >> 18] &= ~(_U1 << np.uint64((level >> 12) & 63))
                    if queues[queue]["best"] == g_tick:
                        queues[queue]["best"] = 0
                        if queues[queue]["count"] > 0:
                            seek = level
                            seek_queue = queue
                if gone_to == _TO_FREE:
                    orders[gone]["state"] = GONE if fixed else FREE
                    if not fixed:
                        orders[gone]["generation"] += 1
                        free[n_free] = gone
                        n_free += 1
                elif gone_to == _TO_CHAIN:
                    orders[gone]["state"] = RUNNING
                    orders[gone]["next"] = 0
                    orders[gone]["prev"] = n_fills if task == _SETTLE and t_op != TRIGGER else 0
                    if chain_tail != 0:
                        orders[chain_tail - 1]["next"] = gone + 1
                    else:
                        chain_head = gone + 1
                    chain_tail = gone + 1
                gone = -1
            if seek >= 0:  # the next non-empty level beyond `seek`; the caller made sure that there is one
                index = seek
                word = words0[index >> 6]
                if seek_down:
                    word = (word << np.uint64(63 - (index & 63))) << _U1
                    if word != 0:
                        index -= 64 - highest(word)
                    else:
                        index >>= 6
                        word = (words1[index >> 6] << np.uint64(63 - (index & 63))) << _U1
                        if word != 0:
                            index -= 64 - highest(word)
                        else:
                            index >>= 6
                            word = (words2[index >> 6] << np.uint64(63 - (index & 63))) << _U1
                            if word != 0:
                                index -= 64 - highest(word)
                            else:
                                index = (index >> 6) - 1
                                while words2[index] == 0:
                                    index -= 1
                                index = (index << 6) + highest(words2[index])
                            index = (index << 6) + highest(words1[index])
                        index = (index << 6) + highest(words0[index])
                else:
                    word = (word >> np.uint64(index & 63)) >> _U1
                    if word != 0:
                        index += 1 + lowest(word)
                    else:
                        index >>= 6
                        word = (words1[index >> 6] >> np.uint64(index & 63)) >> _U1
                        if word != 0:
                            index += 1 + lowest(word)
                        else:
                            index >>= 6
                            word = (words2[index >> 6] >> np.uint64(index & 63)) >> _U1
                            if word != 0:
                                index += 1 + lowest(word)
                            else:
                                index = (index >> 6) + 1
                                while words2[index] == 0:
                                    index += 1
                                index = (index << 6) + lowest(words2[index])
                            index = (index << 6) + lowest(words1[index])
                        index = (index << 6) + lowest(words0[index])
                if seek_queue >= 0:
                    queues[seek_queue]["best"] = index - queues[seek_queue]["shift"]
                else:
                    probe = index
                seek = -1
            # --- taking -----------------------------------------------------------------------------------------------------
            if task == _TAKE:
                best = queues[opposite]["best"]
                if t_left > 0 and best != 0 and (t_limit == 0 or t_side * (t_limit - best) >= 0):
                    level = best + queues[opposite]["shift"]
                    maker = levels[level]["head"] - 1
                    m_account = int(orders[maker]["account"])
                    lots = orders[maker]["size_lots"]
                    minus = min(lots, t_left)
                    if offset >= 0 and m_account != NOBODY and orders[maker]["flags"] & REDUCE_ONLY:
                        room = max(0, t_side * net_lots[offset + m_account])
                    else:
                        room = lots
                    if room < lots:  # clipped now, looked at again in the next pass
                        m_slot = maker
                        m_close = lots - room
                        m_why = CLIPPED
                        minus = m_close
                    elif mode != 0 and m_account == t_account and m_account != NOBODY:
                        if mode != CANCEL_TAKER:
                            m_slot = maker
                            m_close = minus if mode == DECREMENT else lots
                            m_why = SELF_TRADED
                        if mode != CANCEL_MAKER:
                            t_close = minus if mode == DECREMENT else t_left
                            t_why = SELF_TRADED
                            t_left -= t_close
                        minus = max(m_close, 0)
                    else:
                        fills[n_fills]["market"] = market
                        fills[n_fills]["taker"] = t_account
                        fills[n_fills]["maker"] = m_account
                        fills[n_fills]["side"] = t_side
                        fills[n_fills]["taker_flags"] = t_flags
                        fills[n_fills]["maker_flags"] = orders[maker]["flags"]
                        fills[n_fills]["reason"] = t_reason
                        fills[n_fills]["price_ticks"] = best
                        fills[n_fills]["size_lots"] = minus
                        fills[n_fills]["taker_order"] = t_id
                        fills[n_fills]["maker_order"] = orders[maker]["id"]
                        fills[n_fills]["taker_reserve"] = t_reserve
                        fills[n_fills]["maker_reserve"] = orders[maker]["unit_reserve"]
                        fills[n_fills]["cause"] = t_cause
                        n_fills += 1
                        t_left -= minus
                        last = best
                        if offset >= 0:
                            if t_account != NOBODY:
                                net_lots[offset + t_account] += t_side * minus
                            if m_account != NOBODY:
                                net_lots[offset + m_account] -= t_side * minus
                    levels[level]["lots"] -= minus
                    orders[maker]["size_lots"] = lots - minus
                    if lots == minus:
                        gone = maker
                        gone_to = _TO_FREE
                    continue
                if t_left > 0 and t_rests:
                    task = _REST
                else:
                    if t_left > 0:
                        t_close = t_left
                        t_why = EXPIRED
                    if t_slot >= 0:
                        orders[t_slot]["state"] = GONE if fixed else FREE
                        if not fixed:
                            orders[t_slot]["generation"] += 1
                            free[n_free] = t_slot
                            n_free += 1
                    elif fixed:
                        orders[t_id]["state"] = GONE
                    task = _SETTLE
                    continue
            # --- coming to rest, or waiting as a stop ---------------------------------------------------------------------
            if task == _REST:
                if t_slot < 0:
                    if fixed:
                        t_slot = t_id
                    elif n_free > 0:
                        n_free -= 1
                        t_slot = int(free[n_free])
                    else:
                        t_slot = unused
                        unused += 1
                    orders[t_slot]["account"] = t_account
                    orders[t_slot]["market"] = market
                    orders[t_slot]["side"] = t_side
                    orders[t_slot]["flags"] = t_flags
                    orders[t_slot]["op"] = t_op
                    orders[t_slot]["stop_ticks"] = t_stop
                    orders[t_slot]["id"] = t_id
                orders[t_slot]["reason"] = t_reason
                orders[t_slot]["state"] = t_state
                orders[t_slot]["price_ticks"] = t_limit
                orders[t_slot]["size_lots"] = t_left
                orders[t_slot]["unit_reserve"] = t_reserve
                tick = t_limit
                queue = first_queue + (1 if t_side < 0 else 0)
                ahead_sign = t_side
                if t_state == WAITING:
                    tick = t_stop
                    queue += 4 if t_flags & ON_MARK else 2
                    ahead_sign = -t_side
                level = tick + queues[queue]["shift"]
                tail = int(levels[level]["tail"])
                orders[t_slot]["prev"] = tail
                orders[t_slot]["next"] = 0
                levels[level]["tail"] = t_slot + 1
                levels[level]["lots"] += t_left
                if tail != 0:
                    orders[tail - 1]["next"] = t_slot + 1
                else:
                    levels[level]["head"] = t_slot + 1
                    words0[level >> 6] |= _U1 << np.uint64(level & 63)
                    words1[level >> 12] |= _U1 << np.uint64((level >> 6) & 63)
                    words2[level >> 18] |= _U1 << np.uint64((level >> 12) & 63)
                    best = queues[queue]["best"]
                    if best == 0 or ahead_sign * (tick - best) > 0:
                        queues[queue]["best"] = tick
                queues[queue]["count"] += 1
                if t_mine:
                    handles[i] = t_slot | np.int64(orders[t_slot]["generation"]) << 32
                task = _SETTLE
            # --- stops that the last price sets off; then the next of the queue -------------------------------------------------
            if task == _SETTLE:
                if n_fills > settled:
                    queue = first_queue + 2
                    best = queues[queue]["best"]
                    if best == 0 or best > last:
                        queue = first_queue + 3
                        best = queues[queue]["best"]
                        if best != 0 and best < last:
                            best = 0
                    if best != 0:
                        gone = levels[best + queues[queue]["shift"]]["head"] - 1
                        gone_to = _TO_CHAIN
                        continue
                    settled = n_fills
                if chain_head == 0:
                    break
                t_slot = int(chain_head - 1)
                chain_head = int(orders[t_slot]["next"])
                if chain_head == 0:
                    chain_tail = 0
                t_account = int(orders[t_slot]["account"])
                t_side = int(orders[t_slot]["side"])
                t_flags = int(orders[t_slot]["flags"])
                t_reason = int(orders[t_slot]["reason"])
                t_limit = int(orders[t_slot]["price_ticks"])
                t_stop = int(orders[t_slot]["stop_ticks"])
                t_left = int(orders[t_slot]["size_lots"])
                t_id = int(orders[t_slot]["id"])
                t_reserve = int(orders[t_slot]["unit_reserve"])
                set_off_by = int(orders[t_slot]["prev"])
                t_mine = set_off_by == 0
                t_cause = first_seq + set_off_by - 1 if set_off_by > 0 else int(messages[i]["cause"])
                t_op = int(orders[t_slot]["op"])
                t_rests = t_op == STOP_LIMIT
                t_state = RESTING
                opposite = first_queue + (1 if t_side > 0 else 0)
                task = _START
            # --- before taking: reduce-only, and the dry run of fill-or-kill and of a replace that must not reach itself -------
            if task == _START:
                t_clip = 0
                if offset >= 0 and t_account != NOBODY and t_flags & REDUCE_ONLY:
                    t_clip = max(0, t_left - max(0, -t_side * net_lots[offset + t_account]))
                    t_left -= t_clip
                task = _BEGIN
                if t_op == FOK or (t_op == REPLACE and (mode == CANCEL_TAKER or mode == CANCEL_BOTH)):
                    task = _PROBE
                    probe_left = t_left
                    probe_seen = 0
                    probe_fills = n_fills
                    probe_own = False
                    best = queues[opposite]["best"]
                    probe = best + queues[opposite]["shift"] if best != 0 else -1
            if task == _PROBE:
                tick = probe - queues[opposite]["shift"]
                if probe >= 0 and (t_limit == 0 or t_side * (t_limit - tick) >= 0):
                    walk = int(levels[probe]["head"])
                    while walk != 0 and probe_left > 0 and not probe_own:
                        maker = walk - 1
                        walk = int(orders[maker]["next"])
                        probe_seen += 1
                        m_account = int(orders[maker]["account"])
                        lots = int(orders[maker]["size_lots"])
                        tracked = offset >= 0 and m_account != NOBODY
                        if tracked and orders[maker]["flags"] & REDUCE_ONLY:
                            lots = min(lots, max(0, t_side * net_lots[offset + m_account]))
                        if lots > 0 and mode != 0 and m_account == t_account and m_account != NOBODY:
                            probe_own = mode != CANCEL_MAKER
                            continue
                        lots = min(lots, probe_left)
                        probe_left -= lots
                        if offset >= 0:  # positions as they would be; undone below from notes in the free part of `fills`
                            if t_account != NOBODY:
                                net_lots[offset + t_account] += t_side * lots
                            if tracked:
                                net_lots[offset + m_account] -= t_side * lots
                            fills[probe_fills]["maker"] = m_account
                            fills[probe_fills]["size_lots"] = lots
                            probe_fills += 1
                    if probe_left > 0 and not probe_own and probe_seen < queues[opposite]["count"]:
                        seek = probe
                        seek_queue = -1
                        seek_down = t_side < 0
                        continue
                while probe_fills > n_fills:
                    probe_fills -= 1
                    lots = int(fills[probe_fills]["size_lots"])
                    m_account = int(fills[probe_fills]["maker"])
                    if t_account != NOBODY:
                        net_lots[offset + t_account] -= t_side * lots
                    if m_account != NOBODY:
                        net_lots[offset + m_account] += t_side * lots
                task = _BEGIN
                if probe_own if t_op == REPLACE else probe_left > 0:
                    t_close = t_left + t_clip
                    t_why = REJECTED
                    task = _DONE
                    continue
            if task == _BEGIN:
                if t_op == REPLACE:
                    t_id = int(orders[t_slot]["id"])
                    m_slot = t_slot
                    m_close = orders[t_slot]["size_lots"]
                    m_why = REPLACED
                    gone = t_slot
                    gone_to = _TO_SLOT
                if t_clip > 0:
                    t_close = t_clip
                    t_why = CLIPPED
                task = _TAKE
                continue
            if task == _KEEP:
                level = t_limit + queues[first_queue + (1 if t_side < 0 else 0)]["shift"]
                levels[level]["lots"] -= orders[t_slot]["size_lots"] - t_left
                orders[t_slot]["size_lots"] = t_left
                orders[t_slot]["unit_reserve"] = t_reserve
                handles[i] = messages[i]["order"]
            break
        books[market]["last"] = last
    pool[0] = n_free
    pool[1] = unused
    return n_fills, n_closes
