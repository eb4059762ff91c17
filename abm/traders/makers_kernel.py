"""Compiled part of the market makers: the difference between the ladder wanted and the one that rests, as messages."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.compiled import kernel
from abm.state import BUY, CANCEL, NOBODY, POST_ONLY, REPLACE, SELL


@kernel
def quote(
    out: NDArray[Any],
    orders: NDArray[Any],
    handles: NDArray[np.int64],
    emitted: NDArray[np.int64],
    rows: NDArray[np.int64],
    awake: NDArray[np.bool_],
    refill: bool,
    scale: NDArray[np.float64],
    inner_ticks: NDArray[np.float64],
    distance: NDArray[np.float64],
    cumulative_lots: NDArray[np.float64],
    centre_ticks: NDArray[np.float64],
    markets: NDArray[np.int64],
    bid_ticks: NDArray[np.int64],
    ask_ticks: NDArray[np.int64],
    price_tolerance: float,
    size_tolerance: float,
    latency: int,
    reason: int,
    first: int,
) -> int:
    """Write what changes each maker's ladder in one book into `out`; returns the number of messages.

    `out` is MESSAGE (room,); `orders`, ORDER (capacity,), is the pool of `Books`; `handles` int64 (makers, 2, steps)
    are the orders of bids (0) and asks (1) and is tidied here; `emitted` int64 receives `first` plus the flat index
    into `handles` of each message. `scale` (2, makers) is the share of the normal size. A step lies `inner_ticks`
    (makers,) plus `distance` (makers, steps), a fraction of the centre, from `centre_ticks` (makers,);
    `cumulative_lots` (makers, steps) are the normal lots up to and including it. `markets` (makers,) is the market of
    each maker's book. `bid_ticks`, `ask_ticks` (M,): best prices, 0 = empty; nothing is quoted through them.

    `refill` is true in the first round of a tick only. In later rounds quotes are taken away or moved further out,
    never added: how fast a book refills is a matter of the clock, not of the number of rounds.
    """
    count = 0
    steps = distance.shape[1]
    for maker in range(rows.size):
        if not awake[maker]:
            continue
        centre = centre_ticks[maker]
        inner = inner_ticks[maker]
        market = markets[maker]
        for index in range(2):
            side = BUY if index == 0 else SELL
            opposite = ask_ticks[market] if index == 0 else bid_ticks[market]
            placed = 0
            for step in range(steps):
                reach = inner + distance[maker, step] * centre
                price = side * math.floor(side * centre - reach)
                if opposite > 0 and side * (price - opposite) >= 0:
                    price = opposite - side
                total = int(cumulative_lots[maker, step] * scale[index, maker])
                size = total - placed
                placed = total
                if price < 1:
                    size = 0
                handle = handles[maker, index, step]
                live = 0
                old_price = 0
                if handle >= 0:
                    slot = handle & 0xFFFFFFFF
                    if orders[slot]["generation"] == handle >> 32:
                        live = orders[slot]["size_lots"]
                        old_price = orders[slot]["price_ticks"]
                    if live <= 0:
                        live = 0
                        handles[maker, index, step] = NOBODY
                if live == 0:
                    if size == 0 or not refill:
                        continue
                    op = POST_ONLY
                    handle = NOBODY
                elif size == 0:
                    op = CANCEL
                    price = old_price
                else:
                    if not refill:
                        size = min(size, live)
                        if side * (price - old_price) > 0:
                            price = old_price
                    moved = abs(price - old_price) > price_tolerance * reach
                    if not moved:
                        price = old_price
                        if abs(size - live) <= size_tolerance * size:
                            continue
                    op = REPLACE
                out[count]["market"] = market
                out[count]["account"] = rows[maker]
                out[count]["op"] = op
                out[count]["side"] = side
                out[count]["flags"] = 0
                out[count]["reason"] = reason
                out[count]["latency"] = latency
                out[count]["price_ticks"] = price
                out[count]["stop_ticks"] = 0
                out[count]["size_lots"] = size
                out[count]["order"] = handle
                out[count]["unit_reserve"] = 0
                out[count]["cause"] = NOBODY
                emitted[count] = first + (maker * 2 + index) * steps + step
                count += 1
    return count


@kernel
def shown(
    scale: NDArray[np.float64],
    skew: NDArray[np.float64],
    fast: NDArray[np.float64],
    wanted: NDArray[np.float64],
    back: float,
    inventory: NDArray[np.float64],
    until_s: NDArray[np.float64],
    seconds: float,
    by_room: bool,
    least: float,
    lean: float,
) -> None:
    """Share of the normal size that each maker shows, into `scale` (2, makers): thinning, alarms, inventory.

    `fast` (makers,) is the thinning g: at once down to `wanted`, up to it by the share `back`. `inventory` is given as
    a share of its limit, and acts on each side by the room that is left, or only at the limit (`by_room` false). Nobody
    shows less than `least`, nor more before `until_s`. `skew` receives the lean, as a share of the centre price.
    """
    for maker in range(fast.size):
        fast[maker] = min(fast[maker] + max(wanted[maker] - fast[maker], 0.0) * back, wanted[maker])
        willing = fast[maker] if seconds >= until_s[maker] else 0.0
        for index in range(2):
            side = 1.0 if index == 0 else -1.0
            room = 1.0 - side * inventory[maker]
            if by_room:
                room = min(max(room, 0.0), 1.0)
            else:
                room = 1.0 if room > 0.0 else 0.0
            scale[index, maker] = max(willing * room, least)
        skew[maker] = -lean * min(max(inventory[maker], -1.0), 1.0)


@kernel
def weighed(
    inventory: NDArray[np.float64],
    reference: NDArray[np.float64],
    until_s: NDArray[np.float64],
    rows: NDArray[np.int64],
    perps: NDArray[np.int64],
    slots: NDArray[np.int64],
    spot: int,
    mark_ticks: NDArray[np.int64],
    last_ticks: NDArray[np.int64],
    tick_value: NDArray[np.float64],
    inverse: NDArray[np.float64],
    linear: bool,
    lot_units: NDArray[np.int64],
    coin_value: float,
    opening_coins: NDArray[np.int64],
    usdt: NDArray[np.int64],
    btc: NDArray[np.int64],
    margin: NDArray[np.int64],
    position: NDArray[np.int64],
    entry_cost: NDArray[np.int64],
    limit_lots: float,
    capital: NDArray[np.float64],
    loss_limit: NDArray[np.float64],
    seconds: float,
    pause_s: float,
) -> None:
    """Inventory of each maker as a share of its limit, into `inventory` (makers,); who stops because of a loss.

    The wealth is that of `Makers._wealth`, the rule that of `Alarms`: `reference` and `until_s` (makers,) are changed
    in place. `rows`, `perps`, `slots`, `tick_value`, `inverse`, `opening_coins`, `capital`, `loss_limit` (makers,);
    `usdt`, `btc` (R,) cash; margin, position, entry cost (K, R); prices and `lot_units` (M,). `spot` is NOBODY where
    the makers quote one market only; `coin_value` is that of a unit of coins.
    """
    for maker in range(rows.size):
        row = rows[maker]
        slot = slots[maker]
        perp = perps[maker]
        held = position[slot, row]
        mark = mark_ticks[perp]
        if mark <= 0:  # not marked yet
            mark = last_ticks[perp]
        if linear:
            value = held * (mark * tick_value[maker])
        else:
            value = -held * inverse[maker] / mark
        wealth = (usdt[row] + margin[slot, row] - entry_cost[slot, row]) + value
        lots = np.float64(held)
        if spot != NOBODY:
            extra = btc[row] - opening_coins[maker]
            wealth = wealth + extra * coin_value
            lots = held + extra / lot_units[perp]
        inventory[maker] = lots / limit_lots
        lost = (reference[maker] - wealth) / capital[maker]
        if lost > loss_limit[maker] and seconds >= until_s[maker]:
            # The next pause needs a further loss of the same size, not the old one again.
            until_s[maker] = seconds + pause_s
            reference[maker] -= lost * capital[maker]
