"""The matching kernel: a batch of messages for many markets, executed in order in one compiled call.

Data structure. Each market has five *ladders* of equal span, one entry a tick: the book (bids and asks share it,
they never overlap) and four for waiting stops (last-price buy and sell, mark-price buy and sell, which may
overlap). An entry heads a doubly linked first-in-first-out list of order records in one pool shared by all markets;
the links lie apart, so that an order that leaves touches one cache line of orders.
Bitmaps, a bit an entry and above it a bit a word, find the next non-empty one. A *queue* is one side of one ladder
(six a market) with its best tick and its number of orders, so that the check for due stops is one comparison. Slot
0 of the pool stays nobody's, so that fresh zero pages are empty lists.

Why it is one long flat function: helpers that receive arrays cost five times the speed in Numba (reference
counting); helpers that receive records cost nothing. A message is first looked at alone. Most leave there: cancels,
and orders that go behind others of their price. (A pass through the loop below costs as much as all they do: it has
too many variables for the registers.) The others go through a small state machine, in which each action on whole
arrays (look for the next level, set and clear bits) exists once. Indexes are made unsigned, and what random messages
decide is computed without branches, as far as that was measured to pay.

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
    append,
    beyond,
    bit,
    crosses,
    kind,
    kind_of,
    out_of_reach,
    pick,
    pick_up,
    pick_up_replaced,
    put_down,
    report,
    tick_of,
    trade,
    unacceptable,
    unlink,
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
    IOC,
    LIMIT,
    MARKET,
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
_at = np.uint64
"""Makes an index. One with a sign costs more: Numba lets it count from the end."""


@kernel
def survey(messages: Any, books: Any) -> Any:
    """Number of new orders in a batch, and whether a price that may come to rest lies outside its market's ladders.

    A pass before anything changes: the pool and the ladders are grown for the whole batch, or it is refused.
    """
    new = outside = 0
    for i in range(messages.size):  # without branches: the next operation cannot be foreseen
        message = messages[i]
        op, price, stop = message["op"], message["price_ticks"], message["stop_ticks"]
        book = books[_at(message["market"])]
        low = book["base"]
        high = low + book["span"]
        new += op <= STOP_LIMIT
        rests = (op == LIMIT) | (op == POST_ONLY) | (op == STOP_LIMIT) | (op == REPLACE)
        waits_at = (op == STOP) | (op == STOP_LIMIT)
        outside |= rests & (price > 0) & ((price < low) | (price >= high))
        outside |= waits_at & (stop > 0) & ((stop < low) | (stop >= high))
    return new, outside != 0


@kernel
def match_batch(
    messages: Any, orders: Any, links: Any, levels: Any, words: Any, ranks: Any, queues: Any, books: Any, free: Any,
    pool: Any, scratch: Any, net_lots: Any, net_offset: Any, fills: Any, closes: Any, handles: Any, first_seq: int,
    fixed: bool,
) -> Any:  # fmt: skip
    """Execute a batch; returns the numbers of fills and closings. Long and flat for the reason given above.

    MESSAGE[n] `messages`; ORDER[capacity] `orders`, LINK[capacity] `links`; LEVEL `levels` of all ladders; uint64
    `words`: a bit a level, then a bit a word of these and so on, each rank beginning at int64[RANKS] `ranks`;
    QUEUE[markets * QUEUES] `queues`, BOOK[markets] `books`; int32[capacity] `free`: stack of slots given back; int64[2]
    `pool`: its size, first slot never used; MESSAGE[1] `scratch`: what is executed when it is not a message as it came;
    int64 `net_lots`: position by int64[markets] `net_offset` (-1 = not tracked) + account; FILL `fills`, CLOSE `closes`
    and int64[n] `handles`, large enough (`Books.match`); `fixed`: slot = id = handle, and an id is used once.
    """
    n_fills = n_closes = 0
    n_free, unused = pool[0], pool[1]
    # Between two messages these are as here: the order that the next pass of the loop below takes out of its queue; the
    # level that has just become empty; where the next one is looked for, and for which queue (-1: the dry run); first
    # and last slot of the stops that were set off and not yet executed.
    gone, emptied, seek, seek_queue, chain_head, chain_tail = 0, -1, -1, -1, 0, 0
    t_clip, probe, probe_left, probe_seen, probe_fills, probe_own = 0, -1, 0, 0, 0, False
    for i in range(messages.size):
        handles[i] = NOBODY
        # the order that is being executed: first the message itself, later each stop that it sets off (in `scratch`)
        taker = messages[i]
        t_op, t_side, market = int(taker["op"]), int(taker["side"]), int(taker["market"])
        first_queue, book = market * QUEUES, books[_at(market)]
        settled = n_fills  # fills whose price the stops have seen
        # its slot in the pool, if it has one; whether it is what the message is about, so that its handle is reported
        t_slot, t_mine, task = 0, True, _TAKE
        # --- what the message asks for ------------------------------------------------------------
        if t_op <= STOP_LIMIT:
            facing = queues[_at(first_queue + (t_side > 0))]
            if unacceptable(taker, t_op, facing["best"]) or (fixed and orders[_at(taker["order"])]["state"] != FREE):
                n_closes += report(closes[_at(n_closes)], taker, taker["order"], REJECTED, taker["size_lots"], i)
                continue
            if t_op == FOK or taker["flags"] & REDUCE_ONLY:
                task = _START
            if t_op >= STOP and waits(taker, book["last"]):
                task = _REST
            t_limit, t_left = int(taker["price_ticks"]), int(taker["size_lots"])
            apart = not crosses(t_side, t_limit, facing["best"])
            if (t_op == LIMIT or t_op == POST_ONLY) and apart and task == _TAKE and n_free > 0:
                # most new orders: straight behind the last one of their level
                queue = queues[_at(first_queue + (t_side < 0))]
                level = levels[_at(t_limit + queue["shift"])]
                tail = int(level["tail"])
                if tail != 0:
                    n_free -= 1
                    slot = int(free[_at(n_free)])
                    handles[i] = put_down(orders[_at(slot)], taker, slot, RESTING, t_limit, t_left)
                    append(links[_at(slot)], links[_at(tail)], level, queue, slot, t_left)
                    continue
        else:
            if t_op == REFUSED:
                continue
            slot = int(taker["order"]) & 0xFFFFFFFF
            slot = slot if slot < orders.size else 0  # slot 0 is nobody's
            order = orders[_at(slot)]
            refused = t_op > REFUSED or out_of_reach(order, taker, t_op)
            if t_op == REPLACE and not refused:
                refused = not pick_up_replaced(scratch[0], order, taker)
                taker = scratch[0]
            lots = int(taker["size_lots"]) if t_op == REPLACE else 0
            if refused:
                n_closes += report(closes[_at(n_closes)], taker, messages[i]["order"], REJECTED, lots, i)
                continue
            facing = queues[_at(first_queue + (order["side"] > 0))]
            if t_op == TRIGGER:
                gone, task = slot, _SETTLE
            elif t_op == CANCEL or lots == 0:
                n_closes += report(closes[_at(n_closes)], order, order["id"], CANCELLED, order["size_lots"], i)
                seek_queue = first_queue + kind_of(order)
                queue, link, lots = queues[_at(seek_queue)], links[_at(slot)], order["size_lots"]
                place = tick_of(order) + queue["shift"]
                free[_at(n_free)] = slot
                n_free += vacate(order, fixed)
                if not unlink(link, links[link["prev"]], links[link["next"]], levels[_at(place)], queue, lots):
                    continue
                emptied, task = place, _DONE
            elif lots < order["size_lots"] and taker["price_ticks"] == order["price_ticks"]:  # keeps its place
                n_closes += report(closes[_at(n_closes)], order, order["id"], REPLACED, order["size_lots"], i)
                queue = queues[_at(first_queue + kind(order["side"], False, 0))]
                levels[_at(order["price_ticks"] + queue["shift"])]["lots"] -= order["size_lots"] - lots
                order["size_lots"], order["unit_reserve"] = lots, taker["unit_reserve"]
                handles[i] = messages[i]["order"]
                continue
            else:
                t_slot, t_side, task = slot, int(taker["side"]), _START
        mode, offset = book["self_trade"], net_offset[_at(market)]
        t_account, t_limit, t_left = int(taker["account"]), int(taker["price_ticks"]), int(taker["size_lots"])
        while True:
            # --- bits of an empty level; the next level ------------------------------------------
            if emptied >= 0:
                queue = queues[_at(seek_queue)]
                if queue["count"] == 0:
                    queue["best"] = 0
                elif queue["best"] + queue["shift"] == emptied:
                    seek = emptied
                for rank in range(RANKS):
                    row = _at(ranks[rank] + (emptied >> 6))
                    words[row] &= ~bit(emptied)
                    emptied >>= 6
                    if words[row] != 0:
                        break
                emptied = -1
            if seek >= 0:  # up the words until one has a bit beyond, and down again; the asker knows that there is one
                rank, which = 0, seek_queue - first_queue
                seek_down = which == 0 or which == 3 or which == 5 or (seek_queue < 0 and t_side < 0)
                word = beyond(words[_at(seek >> 6)], seek, seek_down)
                while word == 0:
                    rank += 1
                    seek >>= 6
                    word = beyond(words[_at(ranks[rank] + (seek >> 6))], seek, seek_down)
                place = ((seek >> 6) << 6) + pick(word, seek_down)
                while rank > 0:
                    rank -= 1
                    place = (place << 6) + pick(words[_at(ranks[rank] + place)], seek_down)
                seek = -1
                if seek_queue >= 0:
                    queues[_at(seek_queue)]["best"] = place - queues[_at(seek_queue)]["shift"]
                else:
                    probe = place
            if task != _TAKE and task != _REST:
                # --- what a stop or a replaced order leaves behind ----------------------------------------
                if gone > 0:
                    order = orders[_at(gone)]
                    seek_queue = first_queue + kind_of(order)
                    queue, link, lots = queues[_at(seek_queue)], links[_at(gone)], order["size_lots"]
                    place = tick_of(order) + queue["shift"]
                    if unlink(link, links[link["prev"]], links[link["next"]], levels[_at(place)], queue, lots):
                        emptied = place
                    if task == _SETTLE:
                        order["state"] = RUNNING
                        link["next"] = 0
                        link["prev"] = 0 if t_op == TRIGGER else n_fills  # 1 + the fill that set it off
                        links[_at(chain_tail)]["next"] = gone
                        chain_head, chain_tail = gone if chain_tail == 0 else chain_head, gone
                    gone, task = 0, _SETTLE if task == _SETTLE else _TAKE
                    continue
                # --- stops that the last price sets off; then the next of their queue -----------------
                if task == _SETTLE:
                    if n_fills > settled:
                        queue = queues[_at(first_queue + 2)]
                        if queue["best"] == 0 or queue["best"] > book["last"]:
                            queue = queues[_at(first_queue + 3)]
                            if queue["best"] < book["last"]:  # also when it is empty
                                settled = n_fills
                        if n_fills > settled:
                            gone = int(levels[_at(queue["best"] + queue["shift"])]["head"])
                            continue
                    if chain_head == 0:
                        break
                    t_slot = chain_head
                    order, link = orders[_at(t_slot)], links[_at(t_slot)]
                    chain_head = int(link["next"])
                    chain_tail = chain_tail if chain_head > 0 else 0
                    taker = scratch[0]
                    pick_up(taker, order)
                    t_mine = link["prev"] == 0
                    taker["cause"] = messages[i]["cause"] if t_mine else first_seq + int(link["prev"]) - 1
                    t_op, t_side, t_account = int(taker["op"]), int(taker["side"]), int(taker["account"])
                    t_limit, t_left = int(taker["price_ticks"]), int(taker["size_lots"])
                    facing = queues[_at(first_queue + (t_side > 0))]
                    task = _START
                elif task == _DONE:
                    break
                # --- reduce-only; the dry run of fill-or-kill and of a replace that must not meet itself ----
                if task == _START:
                    t_clip = 0
                    if offset >= 0 and t_account != NOBODY and taker["flags"] & REDUCE_ONLY:
                        t_clip = max(0, t_left - max(0, -t_side * net_lots[_at(offset + t_account)]))
                        t_left -= t_clip
                    probe, probe_left, probe_seen, probe_fills, probe_own = -1, t_left, 0, n_fills, False
                    if t_op == FOK or (t_op == REPLACE and (mode == CANCEL_TAKER or mode == CANCEL_BOTH)):
                        probe = facing["best"] + facing["shift"] if crosses(t_side, t_limit, facing["best"]) else -1
                        task = _PROBE
                if task == _PROBE and probe >= 0:  # one level a pass
                    walk = int(levels[_at(probe)]["head"]) if crosses(t_side, t_limit, probe - facing["shift"]) else 0
                    while walk != 0 and probe_left > 0 and not probe_own:
                        maker = orders[_at(walk)]
                        walk = int(links[_at(walk)]["next"])
                        probe_seen += 1
                        m_account, lots = int(maker["account"]), min(int(maker["size_lots"]), probe_left)
                        tracked = offset >= 0 and m_account != NOBODY
                        if tracked and maker["flags"] & REDUCE_ONLY:
                            lots = min(lots, max(0, t_side * net_lots[_at(offset + m_account)]))
                        if lots > 0 and mode != 0 and m_account == t_account and m_account != NOBODY:
                            lots, probe_own = 0, mode != CANCEL_MAKER
                        probe_left -= lots
                        if offset >= 0 and t_account != NOBODY:  # positions as they would be ...
                            net_lots[_at(offset + t_account)] += t_side * lots
                        if tracked:
                            net_lots[_at(offset + m_account)] -= t_side * lots
                            note = fills[_at(probe_fills)]
                            note["maker"], note["size_lots"] = m_account, lots
                            probe_fills += 1
                        if walk == 0 and probe_left > 0 and probe_seen < facing["count"] and not probe_own:
                            seek, seek_queue = probe, -1
                    if seek >= 0:
                        continue
                    while probe_fills > n_fills:  # ... undone from notes in the part of `fills` that is still free
                        probe_fills -= 1
                        note = fills[_at(probe_fills)]
                        net_lots[_at(offset + note["maker"])] += t_side * note["size_lots"]
                    if offset >= 0 and t_account != NOBODY:
                        net_lots[_at(offset + t_account)] -= t_side * (t_left - probe_left)
                if probe_own if t_op == REPLACE else task == _PROBE and probe_left > 0:
                    n_closes += report(closes[_at(n_closes)], taker, messages[i]["order"], REJECTED, t_left + t_clip, i)
                    break
                if t_op == REPLACE:
                    order, gone = orders[_at(t_slot)], t_slot
                    n_closes += report(closes[_at(n_closes)], order, order["id"], REPLACED, order["size_lots"], i)
                if t_clip > 0:
                    n_closes += report(closes[_at(n_closes)], taker, taker["order"], CLIPPED, t_clip, i)
                if gone > 0:
                    continue
                task = _TAKE
            # --- taking ---------------------------------------------------------------------------
            if task == _TAKE:
                while emptied < 0 and t_left > 0 and crosses(t_side, t_limit, facing["best"]):
                    place = facing["best"] + facing["shift"]
                    level = levels[_at(place)]
                    slot = int(level["head"])
                    maker = orders[_at(slot)]
                    m_account, lots = int(maker["account"]), int(maker["size_lots"])
                    minus, room = min(lots, t_left), lots
                    if maker["flags"] & REDUCE_ONLY and offset >= 0 and m_account != NOBODY:
                        room = min(lots, max(0, t_side * net_lots[_at(offset + m_account)]))
                    if room < lots:  # clipped now, looked at again in the next round
                        minus = lots - room
                        n_closes += report(closes[_at(n_closes)], maker, maker["id"], CLIPPED, minus, i)
                    elif mode != 0 and m_account == t_account and m_account != NOBODY:
                        t_minus = minus if mode == DECREMENT else t_left if mode != CANCEL_MAKER else 0
                        minus = minus if mode == DECREMENT else lots if mode != CANCEL_TAKER else 0
                        if minus > 0:
                            n_closes += report(closes[_at(n_closes)], maker, maker["id"], SELF_TRADED, minus, i)
                        if t_minus > 0:
                            n_closes += report(closes[_at(n_closes)], taker, taker["order"], SELF_TRADED, t_minus, i)
                        t_left -= t_minus
                    else:
                        n_fills += trade(fills[_at(n_fills)], taker, maker, minus)
                        t_left -= minus
                        book["last"] = facing["best"]
                        if offset >= 0 and t_account != NOBODY:
                            net_lots[_at(offset + t_account)] += t_side * minus
                        if offset >= 0 and m_account != NOBODY:
                            net_lots[_at(offset + m_account)] -= t_side * minus
                    if lots == minus:
                        link = links[_at(slot)]
                        if unlink(link, links[0], links[link["next"]], level, facing, lots):
                            emptied, seek_queue = place, first_queue + (t_side > 0)
                        free[_at(n_free)] = slot
                        n_free += vacate(maker, fixed)
                    else:
                        level["lots"] -= minus
                        maker["size_lots"] = lots - minus
                if emptied >= 0:
                    continue
            if task == _TAKE and (t_left == 0 or t_op == MARKET or t_op == IOC or t_op == FOK or t_op == STOP):
                if t_left > 0:
                    n_closes += report(closes[_at(n_closes)], taker, taker["order"], EXPIRED, t_left, i)
                t_slot = int(taker["order"]) if fixed else t_slot
                if t_slot > 0:
                    free[_at(n_free)] = t_slot
                    n_free += vacate(orders[_at(t_slot)], fixed)
            # --- coming to rest, or waiting as a stop ---------------------------------------------
            else:
                if t_slot == 0 and n_free > 0:
                    n_free -= 1
                    t_slot = int(free[_at(n_free)])
                elif t_slot == 0:
                    t_slot = int(taker["order"]) if fixed else int(unused)
                    unused += 0 if fixed else 1
                waiting = task == _REST
                handle = put_down(orders[_at(t_slot)], taker, t_slot, WAITING if waiting else RESTING, t_limit, t_left)
                handles[i] = handle if t_mine else handles[i]
                tick = int(taker["stop_ticks"]) if waiting else t_limit
                queue = queues[_at(first_queue + kind(t_side, waiting, taker["flags"]))]
                place = tick + queue["shift"]
                level = levels[_at(place)]
                tail = int(level["tail"])
                append(links[_at(t_slot)], links[_at(tail)], level, queue, t_slot, t_left)
                if tail == 0:
                    level["head"] = t_slot
                    for rank in range(RANKS):
                        row = _at(ranks[rank] + (place >> 6))
                        word = words[row]
                        words[row] = word | bit(place)
                        if word != 0:
                            break
                        place >>= 6
                    if queue["best"] == 0 or ((tick > queue["best"]) == ((t_side > 0) != waiting)):
                        queue["best"] = tick
            if n_fills == settled and chain_head == 0:
                break
            task = _SETTLE
    pool[0], pool[1] = n_free, unused
    return n_fills, n_closes
