"""Admission: is a message covered? What it may cost at worst is reserved before anything is matched.

A flat kernel by design: one pass over the batch, no function that takes arrays (those cost five times the speed).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.book.record_kernel import UNCHANGED
from abm.compiled import kernel
from abm.state import (
    CANCEL,
    FOK,
    FORCED,
    I32,
    I64,
    IOC,
    ISOLATED,
    MARKET,
    NOBODY,
    PERPETUAL,
    REDUCE_ONLY,
    REFUSED,
    REPLACE,
    STOP,
    STOP_LIMIT,
    TRIGGER,
)
from abm.units import COLLATERAL_UNITS, MAX_LOTS, at_rate_ceil, mul_div_floor, signed_value


@kernel
def admit(
    messages: NDArray[Any],
    orders: NDArray[Any],
    mark_ticks: I64,
    market_kind: I32,
    market_venue: I32,
    market_slot: I32,
    market_settle: I32,
    market_base: I32,
    tick_value: I64,
    inverse: I64,
    lot_units: I64,
    taker_fee: I64,
    band: I64,
    price_filter: I64,
    perp_of_slot: I32,
    tier_floor: I64,
    tier_leverage: I64,
    collateral: I64,
    mode: I32,
    leverage: I64,
    cash: I64,
    reserved: I64,
    margin: I64,
    position: I64,
    entry_cost: I64,
    open_bid: I64,
    open_ask: I64,
    first_id: int,
) -> int:
    """Admit the batch in its order; returns how many messages are refused (their op becomes REFUSED).

    Sets each order's worst price and `unit_reserve` (units per lot), and reserves. For derivatives, initial margin is
    taken on max(|net + bids|, |net - asks|) at the mark; fees and the loss of the worst price against the mark are
    reserved per order. Spot reserves cash or coins in full, as far as no position needs them as margin. New
    orders without an id are numbered from `first_id`.

    Shapes: messages MESSAGE (n,), in the order of execution; orders, the books' pool (read only); mark_ticks (ticks),
    market_*, tick_value, inverse, lot_units and the rates (M,), as in `Markets`; perp_of_slot (V, K), -1 = none; tiers
    (M, T); collateral (V, A, A), what `COLLATERAL_UNITS` of the second asset count as margin of cross rows in the
    first; accounts as `Accounts`. Writes messages, reserved, open_bid and open_ask.
    """
    refused = 0
    next_id = first_id
    slots = position.shape[0]
    tiers = tier_floor.shape[1]
    for i in range(messages.size):
        op = messages[i]["op"]
        if op == CANCEL or op == TRIGGER or op == REFUSED:
            continue
        m = messages[i]["market"]
        row = messages[i]["account"]
        side = messages[i]["side"]
        flags = messages[i]["flags"]
        price = messages[i]["price_ticks"]
        size = messages[i]["size_lots"]
        if op == REPLACE:
            handle = messages[i]["order"]
            slot_number = handle & 0xFFFFFFFF
            live = handle >= 0 and slot_number < orders.size
            if live:
                live = orders[slot_number]["generation"] == (handle >> 32) and orders[slot_number]["account"] == row
            if not live:
                messages[i]["op"] = REFUSED
                refused += 1
                continue
            side = orders[slot_number]["side"]
            flags = orders[slot_number]["flags"]
            messages[i]["side"] = side
            messages[i]["flags"] = flags
            # what a replace leaves unchanged is what the order has now: only a known quantity can be covered
            if price == UNCHANGED:
                price = orders[slot_number]["price_ticks"]
                messages[i]["price_ticks"] = price
            if size == UNCHANGED:
                size = np.int64(orders[slot_number]["size_lots"])
                messages[i]["size_lots"] = size
        elif messages[i]["order"] == NOBODY:
            messages[i]["order"] = next_id
            next_id += 1
        messages[i]["unit_reserve"] = 0
        if flags & FORCED:
            continue
        if row == NOBODY:
            messages[i]["op"] = REFUSED  # on a venue every order has an owner
            refused += 1
            continue
        # every order has a worst price: its limit, or the venue's band around the mark (a stop: around its stop price)
        reference = mark_ticks[m]
        if op == STOP:
            reference = messages[i]["stop_ticks"]
        if op == MARKET or op == IOC or op == FOK or op == STOP:
            width = at_rate_ceil(reference, band[m])
            bound = reference + side * width
            if price <= 0 or side * (price - bound) > 0:
                price = max(bound, 1)
                messages[i]["price_ticks"] = price
        elif op != STOP_LIMIT and side * (price - reference) > at_rate_ceil(reference, price_filter[m]):
            messages[i]["op"] = REFUSED  # a limit that bids up or offers down further than the venue accepts
            refused += 1
            continue
        if size <= 0 or (flags & REDUCE_ONLY and market_kind[m] == PERPETUAL and size <= MAX_LOTS):
            continue  # nothing to cover, or the book will reject it
        if price <= 0 or size > MAX_LOTS or flags & REDUCE_ONLY:
            # no order, more than can be multiplied, or reduce-only where there is no position to reduce
            messages[i]["op"] = REFUSED
            refused += 1
            continue
        # what the row can put up in the asset it pays with
        asset = market_settle[m] if market_kind[m] == PERPETUAL or side > 0 else market_base[m]
        venue = market_venue[m]
        in_cash = cash[asset, row] - reserved[asset, row]
        free = in_cash
        if mode[row] != ISOLATED:
            for a in range(collateral.shape[2]):
                if collateral[venue, asset, a] > 0 and cash[a, row] > 0:
                    free += mul_div_floor(cash[a, row], collateral[venue, asset, a], COLLATERAL_UNITS)
        cap = np.int64(0)
        grows = True
        closes = False
        for k in range(slots):
            perp = perp_of_slot[venue, k]
            if perp < 0 or market_settle[perp] != asset:
                continue
            net = position[k, row]
            bids = open_bid[k, row]
            asks = open_ask[k, row]
            mark = mark_ticks[perp]
            if perp == m:
                if side > 0:
                    bids += size
                else:
                    asks += size
            exposure = max(abs(net + bids), abs(net - asks))
            if perp == m:
                grows = exposure > abs(net)
                closes = side * net < 0 and (bids if side > 0 else asks) <= abs(net)
            notional = abs(signed_value(exposure, mark, tick_value[perp], inverse[perp]))
            requirement = -(-notional // leverage[row])
            value = signed_value(net, mark, tick_value[perp], inverse[perp])
            if mode[row] == ISOLATED:
                requirement -= -(-abs(value) // leverage[row])
            else:
                free += value - entry_cost[k, row]
            free -= max(requirement, 0)
            if perp == m:
                for t in range(tiers):
                    if notional >= tier_floor[m, t]:
                        cap = tier_leverage[m, t]
        if market_kind[m] == PERPETUAL:
            mark = mark_ticks[m]
            if inverse[m] == 0:
                loss = max(side * (price - mark), 0) * tick_value[m]
                fee = at_rate_ceil(max(price, mark) * tick_value[m], taker_fee[m])
            else:  # a lot is worth more coins the lower the price; one unit more for what rounding takes
                loss = max(side * (inverse[m] // mark - inverse[m] // price) + 1, 0)
                fee = at_rate_ceil(inverse[m] // min(price, mark) + 1, taker_fee[m])
            unit = fee + loss - (-loss // leverage[row])
            need = unit * size
            covered = free >= need and (leverage[row] <= cap or not grows)
            if not covered and closes:  # who can only become smaller by it needs no margin for it
                covered, unit, need = True, 0, 0
        else:
            unit = lot_units[m]
            if side > 0:
                value = price * tick_value[m]
                unit = value + at_rate_ceil(value, taker_fee[m])
            need = unit * size
            # spot is paid with what is there: neither unrealised profit nor other collateral buys it
            covered = min(free, in_cash) >= need
        if not covered:
            messages[i]["op"] = REFUSED
            refused += 1
            continue
        reserved[asset, row] += need
        messages[i]["unit_reserve"] = unit
        if market_kind[m] == PERPETUAL:
            k = market_slot[m]
            if side > 0:
                open_bid[k, row] += size
            else:
                open_ask[k, row] += size
    return refused
