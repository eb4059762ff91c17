"""The matching kernel: a batch of messages for many markets, executed in order in one compiled call.

Data structure. Each market has five *ladders* of equal span, one entry a tick: the book (bids and asks share it,
they never overlap) and four for waiting stops (last-price buy and sell, mark-price buy and sell, which may
overlap). An entry heads a doubly linked first-in-first-out list of order records in one pool shared by all markets.
Bitmaps, a bit an entry and above it a bit a word, find the next non-empty one. A *queue* is one side of one ladder
(six a market) with its best tick and its number of orders, so that the check for due stops is one comparison. Slot
0 of the pool stays nobody's, so that fresh zero pages are empty lists.

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

from abm.book.record_kernel import (
    FREE,
    QUEUES,
    RANKS,
    RESTING,
    RUNNING,
    WAITING,
    beyond,
    bit,
    crosses,
    kind,
    out_of_reach,
    pick,
    pick_up,
    pick_up_replaced,
    put_down,
    report,
    trade,
    unacceptable,
    vacate,
    waits,
)  # fmt: skip
from abm.compiled import kernel
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
)  # fmt: skip

_DONE, _START, _PROBE, _TAKE, _REST, _SETTLE = range(6)
_TO_FREE, _TO_CHAIN, _TO_SLOT = range(3)


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
    messages: Any, orders: Any, levels: Any, words: Any, ranks: Any, queues: Any, books: Any, free: Any, pool: Any,
    scratch: Any, net_lots: Any, net_offset: Any, fills: Any, closes: Any, handles: Any, first_seq: int, fixed: bool,
) -> Any:  # fmt: skip
    """Execute a batch; returns the numbers of fills and closings. All arrays must be large enough (`Books.match`).

    MESSAGE[n] `messages`, ORDER[capacity] `orders`, LEVEL `levels` of all ladders; uint64 `words`: a bit a level,
    then a bit a word of these and so on, each rank beginning at int64[RANKS] `ranks`; QUEUE[markets * QUEUES]
    `queues`, BOOK[markets] `books`; int32[capacity] `free`: stack of slots given back; int64[2] `pool`: its size,
    first slot never used; MESSAGE[1] `scratch`: what is executed when it is not a message as it came; int64
    `net_lots`: position by int64[markets] `net_offset` (-1 = not tracked) + account; FILL `fills`, CLOSE `closes`,
    int64[n] `handles`; `fixed`: slot = id = handle, and an id is used once.
    """
    n_fills = n_closes = 0
    n_free, unused = pool[0], pool[1]
    for i in range(messages.size):
        handles[i] = NOBODY
        # the order that is being executed: first the message itself, later each stop that it sets off (in `scratch`)
        taker = messages[i]
        t_op, t_side, market = int(taker["op"]), int(taker["side"]), int(taker["market"])
        if t_op == REFUSED:
            continue
        t_slot = 0  # its slot in the pool, if it has one
        t_mine = True  # it is what the message is about: its handle is reported
        t_state = RESTING
        t_rests = t_op == LIMIT or t_op == POST_ONLY or t_op == STOP_LIMIT  # what it cannot trade stays
        first_queue = market * QUEUES
        facing = queues[first_queue + kind(-t_side, False, 0)]
        book = books[market]
        mode, offset = book["self_trade"], net_offset[market]
        settled = n_fills  # fills whose price the stops have seen
        chain_head = chain_tail = 0  # slots of the stops set off and not yet executed
        # what the next pass of the loop below unlinks, what becomes of it, and where it looks for the next level
        gone, gone_to, seek = 0, _TO_FREE, -1
        # --- what the message asks for ------------------------------------------------------------
        if t_op <= STOP_LIMIT:
            if unacceptable(taker, t_op, facing["best"]) or (fixed and orders[taker["order"]]["state"] != FREE):
                lots = max(0, taker["size_lots"])
                n_closes += report(closes[n_closes], taker, taker["order"], market, REJECTED, lots, i)
                continue
            task = _START if t_op == FOK or taker["flags"] & REDUCE_ONLY else _TAKE
            if t_op >= STOP and waits(taker, book["last"]):
                task, t_state = _REST, WAITING
        else:
            slot = int(taker["order"]) & 0xFFFFFFFF
            slot = slot if slot < orders.size else 0  # slot 0 is nobody's
            order = orders[slot]
            lots = int(taker["size_lots"]) if t_op == REPLACE else 0
            refused = t_op > REFUSED or out_of_reach(order, taker, t_op)
            if t_op == REPLACE and not refused:
                pick_up_replaced(scratch[0], order, taker)
                taker = scratch[0]
                lots = int(taker["size_lots"])
                refused = lots < 0 or taker["price_ticks"] <= 0
            if refused:
                n_closes += report(closes[n_closes], taker, messages[i]["order"], market, REJECTED, max(0, lots), i)
                continue
            gone, task = slot, _DONE
            if t_op == TRIGGER:
                gone_to, task = _TO_CHAIN, _SETTLE
            elif t_op == CANCEL or lots == 0:
                n_closes += report(closes[n_closes], order, order["id"], market, CANCELLED, order["size_lots"], i)
            elif lots < order["size_lots"] and taker["price_ticks"] == order["price_ticks"]:  # keeps its place
                n_closes += report(closes[n_closes], order, order["id"], market, REPLACED, order["size_lots"], i)
                queue = queues[first_queue + kind(order["side"], False, 0)]
                levels[order["price_ticks"] + queue["shift"]]["lots"] -= order["size_lots"] - lots
                order["size_lots"] = lots
                order["unit_reserve"] = taker["unit_reserve"]
                handles[i] = messages[i]["order"]
                continue
            else:
                t_slot, t_side, t_rests, gone, task = slot, int(taker["side"]), True, 0, _START
                facing = queues[first_queue + kind(-t_side, False, 0)]
        t_account, t_limit, t_left = int(taker["account"]), int(taker["price_ticks"]), int(taker["size_lots"])
        while True:
            # --- structural actions that the last pass asked for ----------------------------------
            if gone > 0:
                order = orders[gone]
                waiting = order["state"] == WAITING
                tick = int(order["stop_ticks"]) if waiting else int(order["price_ticks"])
                which = first_queue + kind(order["side"], waiting, order["flags"])
                queue = queues[which]
                place = tick + queue["shift"]
                level = levels[place]
                ahead, behind = int(order["prev"]), int(order["next"])
                orders[ahead]["next"] = behind  # slot 0 takes what concerns nobody
                orders[behind]["prev"] = ahead
                level["lots"] -= order["size_lots"]
                queue["count"] -= 1
                if ahead == 0:
                    level["head"] = behind
                if behind == 0:
                    level["tail"] = ahead
                    if ahead == 0:
                        if queue["best"] == tick:
                            queue["best"] = 0
                            if queue["count"] > 0:
                                seek, seek_queue, seek_down = place, which, (order["side"] > 0) != waiting
                        for rank in range(RANKS):
                            words[ranks[rank] + (place >> 6)] &= ~bit(place)
                            place >>= 6
                            if words[ranks[rank] + place] != 0:
                                break
                if gone_to == _TO_FREE:
                    free[n_free] = gone
                    n_free += vacate(order, fixed)
                elif gone_to == _TO_CHAIN:
                    order["state"] = RUNNING
                    order["next"] = 0
                    order["prev"] = 0 if t_op == TRIGGER else n_fills  # 1 + the fill that set it off
                    orders[chain_tail]["next"] = gone
                    chain_head = gone if chain_tail == 0 else chain_head
                    chain_tail = gone
                gone = 0
            if seek >= 0:  # up the words until one has a bit beyond, and down again; the asker knows that there is one
                rank = 0
                word = beyond(words[seek >> 6], seek, seek_down)
                while word == 0:
                    rank += 1
                    seek >>= 6
                    word = beyond(words[ranks[rank] + (seek >> 6)], seek, seek_down)
                place = ((seek >> 6) << 6) + pick(word, seek_down)
                while rank > 0:
                    rank -= 1
                    place = (place << 6) + pick(words[ranks[rank] + place], seek_down)
                seek = -1
                if seek_queue >= 0:
                    queues[seek_queue]["best"] = place - queues[seek_queue]["shift"]
                else:
                    probe = place
            # --- stops that the last price sets off; then the next of their queue -----------------
            if task == _SETTLE:
                if n_fills > settled:
                    queue = queues[first_queue + 2]
                    if queue["best"] == 0 or queue["best"] > book["last"]:
                        queue = queues[first_queue + 3]
                        if queue["best"] < book["last"]:  # also when it is empty
                            settled = n_fills
                    if n_fills > settled:
                        gone, gone_to = int(levels[queue["best"] + queue["shift"]]["head"]), _TO_CHAIN
                        continue
                if chain_head == 0:
                    break
                t_slot = chain_head
                order = orders[t_slot]
                chain_head = int(order["next"])
                chain_tail = chain_tail if chain_head > 0 else 0
                taker = scratch[0]
                pick_up(taker, order)
                t_mine = order["prev"] == 0
                taker["cause"] = messages[i]["cause"] if t_mine else first_seq + order["prev"] - 1
                t_op, t_side, t_account = int(taker["op"]), int(taker["side"]), int(taker["account"])
                t_limit, t_left = int(taker["price_ticks"]), int(taker["size_lots"])
                t_rests, t_state = t_op == STOP_LIMIT, RESTING
                facing = queues[first_queue + kind(-t_side, False, 0)]
                task = _START
            elif task == _DONE:
                break
            # --- reduce-only; the dry run of fill-or-kill and of a replace that must not meet itself ----
            if task == _START:
                t_clip = 0
                if offset >= 0 and t_account != NOBODY and taker["flags"] & REDUCE_ONLY:
                    t_clip = max(0, t_left - max(0, -t_side * net_lots[offset + t_account]))
                    t_left -= t_clip
                probe, probe_left, probe_seen, probe_fills, probe_own = -1, t_left, 0, n_fills, False
                if t_op == FOK or (t_op == REPLACE and (mode == CANCEL_TAKER or mode == CANCEL_BOTH)):
                    probe = facing["best"] + facing["shift"] if facing["best"] != 0 else -1
                    task = _PROBE
            if task == _PROBE and probe >= 0:  # one level a pass
                walk = int(levels[probe]["head"]) if crosses(t_side, t_limit, probe - facing["shift"]) else 0
                while walk != 0 and probe_left > 0 and not probe_own:
                    maker = orders[walk]
                    walk = int(maker["next"])
                    probe_seen += 1
                    m_account, lots = int(maker["account"]), min(int(maker["size_lots"]), probe_left)
                    tracked = offset >= 0 and m_account != NOBODY
                    if tracked and maker["flags"] & REDUCE_ONLY:
                        lots = min(lots, max(0, t_side * net_lots[offset + m_account]))
                    if lots > 0 and mode != 0 and m_account == t_account and m_account != NOBODY:
                        lots, probe_own = 0, mode != CANCEL_MAKER
                    probe_left -= lots
                    if offset >= 0 and t_account != NOBODY:  # positions as they would be ...
                        net_lots[offset + t_account] += t_side * lots
                    if tracked:
                        net_lots[offset + m_account] -= t_side * lots
                        fills[probe_fills]["maker"] = m_account
                        fills[probe_fills]["size_lots"] = lots
                        probe_fills += 1
                    if walk == 0 and probe_left > 0 and probe_seen < facing["count"] and not probe_own:
                        seek, seek_queue, seek_down = probe, -1, t_side < 0
                if seek >= 0:
                    continue
                while probe_fills > n_fills:  # ... undone from notes in the part of `fills` that is still free
                    probe_fills -= 1
                    net_lots[offset + fills[probe_fills]["maker"]] += t_side * fills[probe_fills]["size_lots"]
                if offset >= 0 and t_account != NOBODY:
                    net_lots[offset + t_account] -= t_side * (t_left - probe_left)
            if task == _START or task == _PROBE:
                if probe_own if t_op == REPLACE else task == _PROBE and probe_left > 0:
                    lots = t_left + t_clip
                    n_closes += report(closes[n_closes], taker, messages[i]["order"], market, REJECTED, lots, i)
                    break
                task = _TAKE
                if t_op == REPLACE:
                    order = orders[t_slot]
                    n_closes += report(closes[n_closes], order, order["id"], market, REPLACED, order["size_lots"], i)
                    gone, gone_to = t_slot, _TO_SLOT
                if t_clip > 0:
                    n_closes += report(closes[n_closes], taker, taker["order"], market, CLIPPED, t_clip, i)
            # --- taking ---------------------------------------------------------------------------
            if task == _TAKE:
                while gone == 0 and t_left > 0 and crosses(t_side, t_limit, facing["best"]):
                    level = levels[facing["best"] + facing["shift"]]
                    slot = int(level["head"])
                    maker = orders[slot]
                    m_account, lots = int(maker["account"]), int(maker["size_lots"])
                    minus = min(lots, t_left)
                    room = lots
                    if maker["flags"] & REDUCE_ONLY and offset >= 0 and m_account != NOBODY:
                        room = min(lots, max(0, t_side * net_lots[offset + m_account]))
                    if room < lots:  # clipped now, looked at again in the next round
                        minus = lots - room
                        n_closes += report(closes[n_closes], maker, maker["id"], market, CLIPPED, minus, i)
                    elif mode != 0 and m_account == t_account and m_account != NOBODY:
                        t_minus = minus if mode == DECREMENT else t_left if mode != CANCEL_MAKER else 0
                        minus = minus if mode == DECREMENT else lots if mode != CANCEL_TAKER else 0
                        if minus > 0:
                            n_closes += report(closes[n_closes], maker, maker["id"], market, SELF_TRADED, minus, i)
                        if t_minus > 0:
                            n_closes += report(closes[n_closes], taker, taker["order"], market, SELF_TRADED, t_minus, i)
                        t_left -= t_minus
                    else:
                        n_fills += trade(fills[n_fills], taker, maker, market, minus)
                        t_left -= minus
                        book["last"] = facing["best"]
                        if offset >= 0 and t_account != NOBODY:
                            net_lots[offset + t_account] += t_side * minus
                        if offset >= 0 and m_account != NOBODY:
                            net_lots[offset + m_account] -= t_side * minus
                    level["lots"] -= minus
                    maker["size_lots"] = lots - minus
                    if lots == minus:
                        gone, gone_to = slot, _TO_FREE
                if gone > 0:
                    continue
                if t_left == 0 or not t_rests:
                    if t_left > 0:
                        n_closes += report(closes[n_closes], taker, taker["order"], market, EXPIRED, t_left, i)
                    t_slot = int(taker["order"]) if fixed else t_slot
                    if t_slot > 0:
                        free[n_free] = t_slot
                        n_free += vacate(orders[t_slot], fixed)
                    if n_fills == settled and chain_head == 0:
                        break
                    task = _SETTLE
                    continue
            # --- coming to rest, or waiting as a stop ---------------------------------------------
            if t_slot == 0:
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
            waiting = t_state == WAITING
            tick = int(taker["stop_ticks"]) if waiting else t_limit
            queue = queues[first_queue + kind(t_side, waiting, taker["flags"])]
            place = tick + queue["shift"]
            level = levels[place]
            tail = int(level["tail"])
            order["prev"] = tail
            order["next"] = 0
            orders[tail]["next"] = t_slot
            level["tail"] = t_slot
            level["lots"] += t_left
            queue["count"] += 1
            if tail == 0:
                level["head"] = t_slot
                for rank in range(RANKS):
                    word = words[ranks[rank] + (place >> 6)]
                    words[ranks[rank] + (place >> 6)] = word | bit(place)
                    if word != 0:
                        break
                    place >>= 6
                if queue["best"] == 0 or ((tick > queue["best"]) == ((t_side > 0) != waiting)):
                    queue["best"] = tick
            if t_mine:
                handles[i] = t_slot | np.int64(order["generation"]) << 32
            if n_fills == settled and chain_head == 0:
                break
            task = _SETTLE
    pool[0], pool[1] = n_free, unused
    return n_fills, n_closes
