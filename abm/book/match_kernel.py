"""The matching kernel: a batch of messages for many markets, executed in order in one compiled call.

Data structure. Each market has five *ladders* of equal span, one entry a tick: the book (bids and asks share it,
they never overlap) and four for waiting stops (last-price buy and sell, mark-price buy and sell, which may
overlap). An entry heads a doubly linked first-in-first-out list of order records in one pool shared by all markets.
Three levels of 64-way bitmaps find the next non-empty entry. A *queue* is one side of one ladder (six a market)
with its best tick and its number of orders, so that the check for due stops is one comparison. Links and heads hold
slot + 1, so that fresh zero pages are empty lists.

Why it is one long flat function: helpers that receive arrays cost five times the speed in Numba (reference
counting). The function is a small state machine instead, in which each structural action (unlink, look for the next
level, link, report a closing) exists once.

Where the rules of the order stream are silent, this file decides:

* Stops compare with the last trade price once the message, or the stop before them in the queue, has run to its
  end; prices that were only passed through on the way do not set them off.
* A stop that was set off keeps its slot, id and handle. What a `stop` cannot fill expires, what a `stop_limit`
  cannot fill rests. Self-trade rules apply to it as to any taker.
* A replace of equal price and equal quantity loses its place (only a smaller quantity keeps it). A replaced
  post-only order may trade.
* A resting reduce-only order is clipped, for good, when a taker reaches it, before the self-trade rule looks at it;
  an order that enters is clipped before it trades, a stop when it is set off. A fill-or-kill order must fill what
  is left after clipping.
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

TOUCH = 32
"""Messages whose memory is loaded ahead together."""

UNCHANGED = -1
"""Price or size of a REPLACE message that keeps what the order has."""

FREE, RESTING, WAITING, RUNNING, GONE = range(5)
"""States of a pool slot. RUNNING only inside a call; GONE only with fixed slots: an id that was used and may not
come back.
"""

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
"""One side of one ladder: level index = tick + shift; best tick (0 = empty) in the order of execution; number of
orders.
"""

BOOK = np.dtype([("last", np.int64), ("base", np.int64), ("span", np.int64), ("self_trade", np.int64)], align=True)
"""One market: last trade price (0 = none), lowest tick and number of ticks of its ladders, self-trade mode."""

RANKS = 4
"""Ranks of bitmap words: 64**4 levels and more than that are never needed."""

QUEUES = 6
"""Queues a market: bids, asks, buy and sell stops on the last price, buy and sell stops on the mark."""

_DONE, _START, _PROBE, _TAKE, _REST, _SETTLE = range(6)
_TO_FREE, _TO_CHAIN, _TO_SLOT = range(3)

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
def report(close: Any, who: Any, number: Any, market: Any, reason: Any, lots: Any, message: Any) -> None:
    """Fill in a CLOSE for an order or a message."""
    close["market"] = market
    close["account"] = who["account"]
    close["side"] = who["side"]
    close["flags"] = who["flags"]
    close["reason"] = reason
    close["op"] = who["op"]
    close["size_lots"] = lots
    close["order"] = number
    close["unit_reserve"] = who["unit_reserve"]
    close["message"] = message


@scalar
def trade(fill: Any, taker: Any, maker: Any, market: Any, lots: Any) -> None:
    """Fill in a FILL at the maker's price."""
    fill["market"] = market
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


@scalar
def put_down(order: Any, taker: Any, market: Any, state: Any, price: Any, lots: Any) -> None:
    """Write what comes to rest or waits into its slot. A replaced order stays what it was when it entered."""
    if taker["op"] != REPLACE:
        order["account"] = taker["account"]
        order["market"] = market
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


@scalar
def pick_up(taker: Any, order: Any) -> None:
    """Make an order from the pool the one that is executed."""
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
def pick_up_replaced(taker: Any, order: Any, message: Any) -> None:
    """Make a REPLACE message the order that it wants to have."""
    pick_up(taker, order)
    taker["op"] = REPLACE
    taker["reason"] = message["reason"]
    taker["unit_reserve"] = message["unit_reserve"]
    taker["cause"] = message["cause"]
    if message["price_ticks"] != UNCHANGED:
        taker["price_ticks"] = message["price_ticks"]
    if message["size_lots"] != UNCHANGED:
        taker["size_lots"] = message["size_lots"]


@scalar
def unacceptable(message: Any, op: Any, best: Any) -> Any:
    """Whether a new order breaks a rule by itself, or is post-only and would trade or lock at the other side's best."""
    price = message["price_ticks"]
    if message["size_lots"] <= 0 or price < 0 or op < 0:
        return True
    if price == 0 and (op == LIMIT or op == POST_ONLY or op == STOP_LIMIT):
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
def vacate(order: Any, fixed: bool) -> None:
    """The slot's order has left; old handles no longer fit."""
    order["state"] = GONE if fixed else FREE
    if not fixed:
        order["generation"] += 1


# --- kernels ----------------------------------------------------------------------------------------------------------


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
    words: Any,  # uint64: a bit a level, then a bit a word of these, and so on
    ranks: Any,  # int64[RANKS]: where each kind of word begins
    queues: Any,  # QUEUE[markets * QUEUES]
    books: Any,  # BOOK[markets]
    free: Any,  # int32[capacity]: stack of slots given back
    pool: Any,  # int64[3]: size of that stack, first slot never used, nothing
    scratch: Any,  # MESSAGE[1]: what is executed when it is not a message as it came
    net_lots: Any,  # int64: signed position by net_offset[market] + account
    net_offset: Any,  # int64[markets], -1 = not tracked
    fills: Any,  # FILL[bound]
    closes: Any,  # CLOSE[bound]
    handles: Any,  # int64[n]
    first_seq: int,
    fixed: bool,  # slot = id = handle, an id is used once
) -> Any:
    """Execute the batch; returns the numbers of fills and closings. All arrays must be large enough (`Books.match`)."""
    n_fills = 0
    n_closes = 0
    n_free = pool[0]
    unused = pool[1]
    touched = 0
    for i in range(messages.size):
        # load what the next messages will need, all at once and without branches: to wait for memory each time costs more
        for k in range(i, min(i + TOUCH, messages.size) if i % TOUCH == 0 else i):
            message = messages[k]
            slot = (message["order"] & 0xFFFFFFFF) * (message["op"] > STOP_LIMIT)
            place = message["price_ticks"] + queues[message["market"] * QUEUES]["shift"]
            touched += orders[slot * (slot < orders.size)]["next"] + levels[max(0, min(place, levels.size - 1))]["tail"]
        for k in range(i, min(i + TOUCH, messages.size) if i % TOUCH == 0 else i):
            message = messages[k]
            slot = (message["order"] & 0xFFFFFFFF) * (message["op"] > STOP_LIMIT)
            order = orders[slot * (slot < orders.size)]
            place = order["price_ticks"] + queues[message["market"] * QUEUES]["shift"]
            touched += levels[max(0, min(place, levels.size - 1))]["tail"]
            touched += orders[max(0, order["prev"] - 1)]["side"] + orders[max(0, order["next"] - 1)]["side"]
            place = message["price_ticks"] + queues[message["market"] * QUEUES]["shift"]
            touched += orders[max(0, levels[max(0, min(place, levels.size - 1))]["tail"] - 1)]["side"]
        handles[i] = NOBODY
        # the order that is being executed: first the message itself, later each stop that it sets off (in `scratch`)
        taker = messages[i]
        t_op = int(taker["op"])
        if t_op == REFUSED:
            continue
        market = int(taker["market"])
        first_queue = market * QUEUES
        book = books[market]
        mode = book["self_trade"]
        offset = net_offset[market]
        t_side = int(taker["side"])
        t_slot = -1  # its slot in the pool, if it has one
        t_rests = t_op == LIMIT or t_op == POST_ONLY or t_op == STOP_LIMIT  # what it cannot trade stays
        t_state = RESTING  # ... as this
        t_mine = True  # it is what the message is about: its handle is reported
        facing = queues[first_queue + (1 if t_side > 0 else 0)]
        settled = n_fills  # fills whose price the stops have seen
        chain_head = 0  # stops set off and not yet executed, slot + 1
        chain_tail = 0
        gone = -1  # slot that the next pass of the loop below unlinks ...
        gone_to = _TO_FREE  # ... and what becomes of it
        seek = -1  # level beyond which that pass looks for the next non-empty one
        # --- what the message asks for ----------------------------------------------------------------------------
        if t_op <= STOP_LIMIT:
            if unacceptable(taker, t_op, facing["best"]) or (fixed and orders[taker["order"]]["state"] != FREE):
                report(closes[n_closes], taker, taker["order"], market, REJECTED, max(0, taker["size_lots"]), i)
                n_closes += 1
                continue
            task = _START if t_op == FOK or taker["flags"] & REDUCE_ONLY else _TAKE
            if t_op >= STOP and waits(taker, book["last"]):
                task = _REST
                t_state = WAITING
        else:
            slot = int(taker["order"]) & 0xFFFFFFFF
            lots = int(taker["size_lots"]) if t_op == REPLACE else 0  # reported if refused
            refused = taker["order"] < 0 or slot >= orders.size or t_op > REFUSED
            if not refused:
                refused = out_of_reach(orders[slot], taker, t_op)
            if t_op == REPLACE and not refused:
                order = orders[slot]
                pick_up_replaced(scratch[0], order, taker)
                taker = scratch[0]
                lots = int(taker["size_lots"])
                refused = lots < 0 or taker["price_ticks"] <= 0
            if refused:
                report(closes[n_closes], taker, messages[i]["order"], market, REJECTED, max(0, lots), i)
                n_closes += 1
                continue
            order = orders[slot]
            gone = slot
            task = _DONE
            if t_op == TRIGGER:
                gone_to = _TO_CHAIN
                task = _SETTLE
            elif t_op == CANCEL or lots == 0:
                report(closes[n_closes], order, order["id"], market, CANCELLED, order["size_lots"], i)
                n_closes += 1
            elif lots < order["size_lots"] and taker["price_ticks"] == order["price_ticks"]:  # keeps its place
                report(closes[n_closes], order, order["id"], market, REPLACED, order["size_lots"], i)
                n_closes += 1
                queue = queues[first_queue + (1 if order["side"] < 0 else 0)]
                levels[order["price_ticks"] + queue["shift"]]["lots"] -= order["size_lots"] - lots
                order["size_lots"] = lots
                order["unit_reserve"] = taker["unit_reserve"]
                handles[i] = messages[i]["order"]
                continue
            else:
                gone = -1
                t_slot = slot
                t_side = int(taker["side"])
                t_rests = True
                facing = queues[first_queue + (1 if t_side > 0 else 0)]
                task = _START
        t_account = int(taker["account"])
        t_limit = int(taker["price_ticks"])
        t_left = int(taker["size_lots"])
        while True:
            # --- structural actions that the last pass asked for --------------------------------------------------
            if gone >= 0:
                order = orders[gone]
                which = first_queue + (1 if order["side"] < 0 else 0)
                tick = order["price_ticks"]
                seek_down = order["side"] > 0
                if order["state"] == WAITING:
                    which += 4 if order["flags"] & ON_MARK else 2
                    tick = order["stop_ticks"]
                    seek_down = not seek_down
                queue = queues[which]
                place = tick + queue["shift"]
                level = levels[place]
                ahead = int(order["prev"])
                behind = int(order["next"])
                level["lots"] -= order["size_lots"]
                queue["count"] -= 1
                if ahead != 0:
                    orders[ahead - 1]["next"] = behind
                else:
                    level["head"] = behind
                if behind != 0:
                    orders[behind - 1]["prev"] = ahead
                else:
                    level["tail"] = ahead
                if ahead == 0 and behind == 0:
                    if queue["best"] == tick:
                        queue["best"] = 0
                        if queue["count"] > 0:
                            seek = place
                            seek_queue = which
                    index = place
                    for rank in range(RANKS):
                        words[ranks[rank] + (index >> 6)] &= ~bit(index)
                        index >>= 6
                        if words[ranks[rank] + index] != 0:
                            break
                if gone_to == _TO_FREE:
                    vacate(order, fixed)
                    if not fixed:
                        free[n_free] = gone
                        n_free += 1
                elif gone_to == _TO_CHAIN:
                    order["state"] = RUNNING
                    order["next"] = 0
                    order["prev"] = 0 if t_op == TRIGGER else n_fills  # 1 + the fill that set it off
                    if chain_tail != 0:
                        orders[chain_tail - 1]["next"] = gone + 1
                    else:
                        chain_head = gone + 1
                    chain_tail = gone + 1
                gone = -1
            if seek >= 0:  # up the words until one has a bit beyond, and down again; the asker knows that there is one
                rank = 0
                word = beyond(words[seek >> 6], seek, seek_down)
                while word == 0:
                    rank += 1
                    seek >>= 6
                    word = beyond(words[ranks[rank] + (seek >> 6)], seek, seek_down)
                index = ((seek >> 6) << 6) + pick(word, seek_down)
                while rank > 0:
                    rank -= 1
                    index = (index << 6) + pick(words[ranks[rank] + index], seek_down)
                seek = -1
                if seek_queue >= 0:
                    queues[seek_queue]["best"] = index - queues[seek_queue]["shift"]
                else:
                    probe = index
            if task == _DONE:
                break
            # --- stops that the last price sets off; then the next of their queue ---------------------------------
            if task == _SETTLE:
                if n_fills > settled:
                    queue = queues[first_queue + 2]
                    due = queue["best"] != 0 and queue["best"] <= book["last"]
                    if not due:
                        queue = queues[first_queue + 3]
                        due = queue["best"] >= book["last"]  # an empty queue has 0
                    if due:
                        gone = int(levels[queue["best"] + queue["shift"]]["head"]) - 1
                        gone_to = _TO_CHAIN
                        continue
                    settled = n_fills
                if chain_head == 0:
                    break
                t_slot = chain_head - 1
                order = orders[t_slot]
                chain_head = int(order["next"])
                if chain_head == 0:
                    chain_tail = 0
                taker = scratch[0]
                pick_up(taker, order)
                t_mine = order["prev"] == 0
                taker["cause"] = messages[i]["cause"] if t_mine else first_seq + order["prev"] - 1
                t_op = int(taker["op"])
                t_account = int(taker["account"])
                t_side = int(taker["side"])
                t_limit = int(taker["price_ticks"])
                t_left = int(taker["size_lots"])
                t_rests = t_op == STOP_LIMIT
                t_state = RESTING
                facing = queues[first_queue + (1 if t_side > 0 else 0)]
                task = _START
            # --- before taking: reduce-only; the dry run of fill-or-kill and of a replace that must not meet itself ---
            if task == _START:
                t_clip = 0
                if offset >= 0 and t_account != NOBODY and taker["flags"] & REDUCE_ONLY:
                    t_clip = max(0, t_left - max(0, -t_side * net_lots[offset + t_account]))
                    t_left -= t_clip
                probe = -1
                probe_left = t_left
                probe_seen = 0
                probe_fills = n_fills
                probe_own = False
                if t_op == FOK or (t_op == REPLACE and (mode == CANCEL_TAKER or mode == CANCEL_BOTH)):
                    probe = facing["best"] + facing["shift"] if facing["best"] != 0 else -1
                    task = _PROBE
            if task == _PROBE and probe >= 0:  # one level a pass
                if t_limit == 0 or t_side * (t_limit - probe + facing["shift"]) >= 0:
                    walk = int(levels[probe]["head"])
                    while walk != 0 and probe_left > 0 and not probe_own:
                        maker = orders[walk - 1]
                        walk = int(maker["next"])
                        probe_seen += 1
                        m_account = int(maker["account"])
                        tracked = offset >= 0 and m_account != NOBODY
                        lots = min(int(maker["size_lots"]), probe_left)
                        if tracked and maker["flags"] & REDUCE_ONLY:
                            lots = min(lots, max(0, t_side * net_lots[offset + m_account]))
                        if lots > 0 and mode != 0 and m_account == t_account and m_account != NOBODY:
                            probe_own = mode != CANCEL_MAKER
                            continue
                        probe_left -= lots
                        if offset >= 0 and t_account != NOBODY:
                            net_lots[offset + t_account] += t_side * lots
                        if tracked:  # positions as they would be; undone below from notes in the free part of `fills`
                            net_lots[offset + m_account] -= t_side * lots
                            fills[probe_fills]["maker"] = m_account
                            fills[probe_fills]["size_lots"] = lots
                            probe_fills += 1
                    if probe_left > 0 and not probe_own and probe_seen < facing["count"]:
                        seek = probe
                        seek_queue = -1
                        seek_down = t_side < 0
                        continue
                while probe_fills > n_fills:
                    probe_fills -= 1
                    net_lots[offset + fills[probe_fills]["maker"]] += t_side * fills[probe_fills]["size_lots"]
                if offset >= 0 and t_account != NOBODY:
                    net_lots[offset + t_account] -= t_side * (t_left - probe_left)
            if task == _START or task == _PROBE:
                if probe_own if t_op == REPLACE else task == _PROBE and probe_left > 0:
                    report(closes[n_closes], taker, messages[i]["order"], market, REJECTED, t_left + t_clip, i)
                    n_closes += 1
                    break
                task = _TAKE
                if t_op == REPLACE:
                    order = orders[t_slot]
                    report(closes[n_closes], order, order["id"], market, REPLACED, order["size_lots"], i)
                    n_closes += 1
                    gone = t_slot
                    gone_to = _TO_SLOT
                if t_clip > 0:
                    report(closes[n_closes], taker, taker["order"], market, CLIPPED, t_clip, i)
                    n_closes += 1
                if gone >= 0:
                    continue
            # --- taking -------------------------------------------------------------------------------------------
            if task == _TAKE:
                while t_left > 0 and gone < 0:
                    best = facing["best"]
                    if best == 0 or (t_limit != 0 and t_side * (t_limit - best) < 0):
                        break
                    level = levels[best + facing["shift"]]
                    slot = int(level["head"]) - 1
                    maker = orders[slot]
                    m_account = int(maker["account"])
                    lots = int(maker["size_lots"])
                    minus = min(lots, t_left)
                    room = lots
                    if maker["flags"] & REDUCE_ONLY and offset >= 0 and m_account != NOBODY:
                        room = min(lots, max(0, t_side * net_lots[offset + m_account]))
                    if room < lots:  # clipped now, looked at again in the next round
                        minus = lots - room
                        report(closes[n_closes], maker, maker["id"], market, CLIPPED, minus, i)
                        n_closes += 1
                    elif mode != 0 and m_account == t_account and m_account != NOBODY:
                        t_minus = minus if mode == DECREMENT else t_left if mode != CANCEL_MAKER else 0
                        minus = minus if mode == DECREMENT else lots if mode != CANCEL_TAKER else 0
                        if minus > 0:
                            report(closes[n_closes], maker, maker["id"], market, SELF_TRADED, minus, i)
                            n_closes += 1
                        if t_minus > 0:
                            report(closes[n_closes], taker, taker["order"], market, SELF_TRADED, t_minus, i)
                            n_closes += 1
                        t_left -= t_minus
                    else:
                        trade(fills[n_fills], taker, maker, market, minus)
                        n_fills += 1
                        t_left -= minus
                        book["last"] = best
                        if offset >= 0 and t_account != NOBODY:
                            net_lots[offset + t_account] += t_side * minus
                        if offset >= 0 and m_account != NOBODY:
                            net_lots[offset + m_account] -= t_side * minus
                    level["lots"] -= minus
                    maker["size_lots"] = lots - minus
                    if lots == minus:
                        gone = slot
                        gone_to = _TO_FREE
                if gone >= 0:
                    continue
                if t_left == 0 or not t_rests:
                    if t_left > 0:
                        report(closes[n_closes], taker, taker["order"], market, EXPIRED, t_left, i)
                        n_closes += 1
                    if fixed:
                        vacate(orders[taker["order"]], fixed)
                    elif t_slot >= 0:
                        vacate(orders[t_slot], fixed)
                        free[n_free] = t_slot
                        n_free += 1
                    if n_fills == settled and chain_head == 0:
                        break
                    task = _SETTLE
                    continue
            # --- coming to rest, or waiting as a stop -------------------------------------------------------------
            if t_slot < 0:
                if fixed:
                    t_slot = int(taker["order"])
                elif n_free > 0:
                    n_free -= 1
                    t_slot = int(free[n_free])
                else:
                    t_slot = int(unused)
                    unused += 1
            order = orders[t_slot]
            put_down(order, taker, market, t_state, t_limit, t_left)
            which = first_queue + (1 if t_side < 0 else 0)
            tick = t_limit
            if t_state == WAITING:
                which += 4 if taker["flags"] & ON_MARK else 2
                tick = int(taker["stop_ticks"])
            queue = queues[which]
            place = tick + queue["shift"]
            level = levels[place]
            tail = int(level["tail"])
            order["prev"] = tail
            order["next"] = 0
            level["tail"] = t_slot + 1
            level["lots"] += t_left
            queue["count"] += 1
            if tail != 0:
                orders[tail - 1]["next"] = t_slot + 1
            else:
                level["head"] = t_slot + 1
                index = place
                for rank in range(RANKS):
                    word = words[ranks[rank] + (index >> 6)]
                    words[ranks[rank] + (index >> 6)] = word | bit(index)
                    if word != 0:
                        break
                    index >>= 6
                best = queue["best"]
                ahead = tick - best if t_state == WAITING else best - tick
                if best == 0 or t_side * ahead < 0:
                    queue["best"] = tick
            if t_mine:
                handles[i] = t_slot | np.int64(order["generation"]) << 32
            if n_fills == settled and chain_head == 0:
                break
            task = _SETTLE
    pool[0] = n_free
    pool[1] = unused
    pool[2] = touched
    return n_fills, n_closes
