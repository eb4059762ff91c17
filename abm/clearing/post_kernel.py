"""Posting: turns fills into money. Every value is computed once and posted plus and minus the same integer.

Flat kernels by design: the rule of one side of a trade stands once, in the scalar `settle_side`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.compiled import kernel, scalar
from abm.state import FORCED, I32, I64, ISOLATED, NOBODY, PERPETUAL, REDUCE_ONLY, UNCOVERED
from abm.units import at_rate_ceil, mul_div_trunc, signed_value

VOLUME, NET_TAKER, HIGH, LOW, LAST_FILL = range(5)
"""Columns of the per-market tally: lots traded, taker buys minus sells in lots, highest and lowest price in ticks,
index of the last fill."""


@scalar
def settle_side(position: int, cost: int, lots: int, value: int) -> tuple[int, int, int, int, int]:
    """One side of a trade of signed `lots` at signed `value` against a position with its entry cost.

    Values in settlement units. Returns new position, new cost, realised profit, lots closed, value opened. Closing
    takes the proportional cost (rounded toward zero; all of it when the position ends) and realises minus (cost closed
    + value closed). cash - entry_cost changes by exactly -value.
    """
    if position == 0 or (position < 0) == (lots < 0):
        return position + lots, cost + value, 0, 0, value
    closed = min(abs(position), abs(lots))
    cost_closed = cost if closed == abs(position) else mul_div_trunc(cost, closed, abs(position))
    value_closed = value if closed == abs(lots) else mul_div_trunc(value, closed, abs(lots))
    opened = value - value_closed
    return position + lots, cost - cost_closed + opened, -(cost_closed + value_closed), closed, opened


@scalar
def margin_to_open(opened_value: int, leverage: int, open_loss: int, cash: int) -> int:
    """Isolated margin for newly opened value: initial margin (rounded up) plus the loss against the mark, in units.

    Never more than the cash there is.
    """
    return min(-(-abs(opened_value) // leverage) + max(open_loss, 0), max(cash, 0))


@kernel
def post(
    fills: NDArray[Any],
    fees: I64,
    fee_row: I32,
    mark_ticks: I64,
    market_kind: I32,
    market_slot: I32,
    market_settle: I32,
    market_base: I32,
    tick_value: I64,
    inverse: I64,
    lot_units: I64,
    taker_fee: I64,
    maker_fee: I64,
    forced_fee: I64,
    mode: I32,
    leverage: I64,
    cash: I64,
    reserved: I64,
    margin: I64,
    position: I64,
    entry_cost: I64,
    open_bid: I64,
    open_ask: I64,
    touched: NDArray[np.bool_],
    tally: I64,
) -> int:
    """Post the fills in order. Writes `fees` (n, 2): taker, maker; adds to `tally` (M, 5); sets `touched` rows.

    Returns the least that any of them has left in reserve, or 0.

    `fills` FILL (n,); mark_ticks (ticks), `fee_row`, market_*, tick_value, inverse, lot_units and the fee rates (1e-8)
    (M,); accounts as `Accounts`. Money in settlement units.
    """
    least = np.int64(0)
    for i in range(fills.size):
        m = fills[i]["market"]
        side = fills[i]["side"]
        price = fills[i]["price_ticks"]
        lots = fills[i]["size_lots"]
        value: Any = signed_value(lots, price, tick_value[m], inverse[m])  # of what the buyer gets
        settle = market_settle[m]
        tally[m, 0] += lots
        tally[m, 1] += side * lots
        tally[m, 2] = max(tally[m, 2], price)
        tally[m, 3] = min(tally[m, 3], price)
        tally[m, 4] = i
        for party in range(2):
            if party == 0:
                row = fills[i]["taker"]
                sign = np.int64(side)
                flags = fills[i]["taker_flags"]
                rate = forced_fee[m] if flags & FORCED else taker_fee[m]
                unit = fills[i]["taker_reserve"]
            else:
                row = fills[i]["maker"]
                sign = np.int64(-side)
                flags = fills[i]["maker_flags"]
                rate = maker_fee[m]
                unit = fills[i]["maker_reserve"]
            fee = at_rate_ceil(abs(value), rate)
            fees[i, party] = fee
            if flags & FORCED and mode[row] == ISOLATED and market_kind[m] == PERPETUAL:
                margin[market_slot[m], row] -= fee  # all that a forced reduction costs stays inside its position
            else:
                cash[settle, row] -= fee
            cash[settle, fee_row[m]] += fee
            held = unit * lots
            touched[row] = touched[fee_row[m]] = True
            if market_kind[m] != PERPETUAL:
                base = market_base[m]
                asset = settle if sign > 0 else base
                reserved[asset, row] -= held
                least = min(least, reserved[asset, row])
                cash[settle, row] -= sign * value
                cash[base, row] += sign * lots * lot_units[m]
                continue
            k = market_slot[m]
            reserved[settle, row] -= held
            least = min(least, reserved[settle, row])
            if not flags & (FORCED | REDUCE_ONLY):
                if sign > 0:
                    open_bid[k, row] -= lots
                else:
                    open_ask[k, row] -= lots
            before = position[k, row]
            after, cost, realised, closed, opened = settle_side(before, entry_cost[k, row], sign * lots, sign * value)
            position[k, row] = after
            entry_cost[k, row] = cost
            if mode[row] != ISOLATED:
                cash[settle, row] += realised
                continue
            if flags & FORCED:
                margin[k, row] += realised
                continue
            if closed > 0:
                released = margin[k, row]
                if closed < abs(before):
                    released = mul_div_trunc(margin[k, row], closed, abs(before))
                margin[k, row] -= released
                cash[settle, row] += released + realised
            if opened != 0:
                marked: Any = signed_value(lots - closed, mark_ticks[m], tick_value[m], inverse[m])
                open_loss = sign * (signed_value(lots - closed, price, tick_value[m], inverse[m]) - marked)
                moved = margin_to_open(opened, leverage[row], open_loss, cash[settle, row])
                margin[k, row] += moved
                cash[settle, row] -= moved
    return int(least)


@kernel
def release(
    closes: NDArray[Any],
    market_kind: I32,
    market_slot: I32,
    market_settle: I32,
    market_base: I32,
    reserved: I64,
    open_bid: I64,
    open_ask: I64,
) -> int:
    """Give back what the quantity that left the book without trading had reserved. After the batch, never inside it.

    `closes` CLOSE (n,); market_* (M,); reserved (A, R) units, open_bid and open_ask (K, R) lots are changed.
    Returns the least that any of them has left in reserve, or 0.
    """
    least = np.int64(0)
    for i in range(closes.size):
        row = closes[i]["account"]
        lots = closes[i]["size_lots"]
        flags = closes[i]["flags"]
        if row == NOBODY or lots == 0 or closes[i]["reason"] == UNCOVERED or flags & (FORCED | REDUCE_ONLY):
            continue
        m = closes[i]["market"]
        side = closes[i]["side"]
        held = closes[i]["unit_reserve"] * lots
        asset = market_settle[m] if side > 0 or market_kind[m] == PERPETUAL else market_base[m]
        reserved[asset, row] -= held
        least = min(least, reserved[asset, row])
        if market_kind[m] != PERPETUAL:
            continue
        k = market_slot[m]
        if side > 0:
            open_bid[k, row] -= lots
        else:
            open_ask[k, row] -= lots
    return int(least)


@kernel
def post_off_book(
    account: I64,
    counterparty: I64,
    lots: I64,
    value: I64,
    slot: int,
    settle: int,
    mode: I32,
    cash: I64,
    margin: I64,
    position: I64,
    entry_cost: I64,
    touched: NDArray[np.bool_],
) -> None:
    """Trades outside the book at an exact value and without fees: takeovers and deleveraging.

    `account` trades signed `lots` at signed `value` (n,), `counterparty` the opposite. An isolated account that is
    taken over keeps what it realises in its margin; an isolated winner is paid out in proportion, as in an ordinary
    close.
    """
    for i in range(account.size):
        for party in range(2):
            row = account[i] if party == 0 else counterparty[i]
            sign = 1 if party == 0 else -1
            before = position[slot, row]
            cost_before = entry_cost[slot, row]
            after, cost, realised, closed, _ = settle_side(before, cost_before, sign * lots[i], sign * value[i])
            position[slot, row] = after
            entry_cost[slot, row] = cost
            touched[row] = True
            if mode[row] != ISOLATED:
                cash[settle, row] += realised
            elif party == 0:
                margin[slot, row] += realised
            else:
                released = margin[slot, row]
                if closed < abs(before):
                    released = mul_div_trunc(margin[slot, row], closed, abs(before))
                margin[slot, row] -= released
                cash[settle, row] += released + realised
