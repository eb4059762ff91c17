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
) -> int:
    """Write what changes each maker's ladder in one book into `out`; returns the number of messages.

    `orders` is the pool of `Books`; `handles` int64 (makers, 2, steps) are the orders of bids (0) and asks (1) and is
    tidied here; `emitted` int64 receives the flat index into `handles` of each message. `scale` (2, makers) is the
    share of the normal size. A step lies `inner_ticks` (makers,) plus `distance` (makers, steps), a fraction of the
    centre, from `centre_ticks` (makers,); `cumulative_lots` (makers, steps) are the normal lots up to and including it.
    `markets` (makers,) is the market of each maker's book. `bid_ticks`, `ask_ticks` (makers,): its best prices, 0 =
    empty; nothing is quoted through them.

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
        for index in range(2):
            side = BUY if index == 0 else SELL
            opposite = ask_ticks[maker] if index == 0 else bid_ticks[maker]
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
                out[count]["market"] = markets[maker]
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
                emitted[count] = (maker * 2 + index) * steps + step
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
    shows less than `least`, nor more before `until_s`. `skew` receives the factor of the centre price.
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
        skew[maker] = 1.0 - lean * min(max(inventory[maker], -1.0), 1.0)
