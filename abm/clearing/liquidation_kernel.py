"""The liquidation engine's arithmetic: how much is forced, at what limit, and what is settled afterwards.

Flat kernels by design; the order of the waterfall stands in `abm.clearing.liquidation`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from abm.compiled import kernel
from abm.state import ISOLATED
from abm.units import at_rate_ceil

I64 = NDArray[np.int64]
I32 = NDArray[np.int32]

NO_TAKEOVER = -9_223_372_036_854_775_807
"""Value of a takeover that does not happen."""

LIMIT_BANKRUPTCY, LIMIT_BAND, LIMIT_NONE = range(3)
"""Limit price of a forced order: bankruptcy price (inside the band), band around the mark, or none."""


@kernel
def size_forced(
    rows: I64,
    k: int,
    settle: int,
    mark_ticks: int,
    tick_value: int,
    band: int,
    limit_rule: int,
    fee_rate: int,
    partial: bool,
    tier_floor: I64,
    tier_maintenance: I64,
    tier_amount: I64,
    mode: I32,
    cash: I64,
    margin: I64,
    position: I64,
    entry_cost: I64,
) -> tuple[I64, I64, I64]:
    """Lots to force, limit price (0 = none) and equity of each row below maintenance; three int64 arrays like `rows`.

    Limits in ticks, equity in settlement units. `rows` (n,); k is the position slot of the market, `band` and
    `fee_rate` in 1e-8; accounts as `Accounts`, read only. With `partial`, the smallest size that brings the account
    back to its maintenance requirement at the mark after the liquidation fee; where the maintenance rate does not
    exceed the fee the position is closed whole, since selling then costs more than it frees (`formulas.bring_back_lots`
    is the same rule in plain arithmetic). Tiers: (T,) of this market.
    """
    lots = np.empty(rows.size, np.int64)
    limit = np.empty(rows.size, np.int64)
    equity = np.empty(rows.size, np.int64)
    for i in range(rows.size):
        row = rows[i]
        held = position[k, row]
        size = abs(held)
        sign = 1 if held > 0 else -1
        per_lot = mark_ticks * tick_value
        wealth = margin[k, row] if mode[row] == ISOLATED else cash[settle, row]
        equity[i] = wealth + held * per_lot - entry_cost[k, row]
        # the value at which equity is zero, as a price that never leaves the account below zero
        zero_value = sign * (entry_cost[k, row] - wealth)
        per_tick = size * tick_value
        zero_price = -(-zero_value // per_tick) if sign > 0 else zero_value // per_tick
        bound = mark_ticks - sign * at_rate_ceil(mark_ticks, band)
        limit[i] = 0
        if limit_rule == LIMIT_BAND:
            limit[i] = max(bound, 1)
        elif limit_rule == LIMIT_BANKRUPTCY:
            limit[i] = max(zero_price, bound, 1) if sign > 0 else max(min(zero_price, bound), 1)
        lots[i] = size
        if not partial:
            continue
        # largest reduction for which every unit closed still frees more maintenance than it costs in fees
        keep = np.int64(-1)
        for t in range(tier_floor.size):
            if tier_maintenance[t] > fee_rate:
                keep = -(-tier_floor[t] // per_lot)
                break
        low, high = np.int64(1), size - keep
        if keep < 0 or high < 1:
            continue
        for step in range(64):
            trial = high if step == 0 else (low + high) // 2
            notional = (size - trial) * per_lot
            requirement = np.int64(0)
            for t in range(tier_floor.size):
                if notional >= tier_floor[t]:
                    requirement = at_rate_ceil(notional, tier_maintenance[t]) - tier_amount[t]
            enough = equity[i] - at_rate_ceil(trial * per_lot, fee_rate) >= requirement
            if step == 0:
                if not enough:
                    break
                lots[i] = trial
            elif enough:
                high = trial
                lots[i] = trial
            else:
                low = trial + 1
            if low >= high:
                break
    return lots, limit, equity


@kernel
def settle_forced(
    rows: I64,
    forced_value: I64,
    k: int,
    settle: int,
    mark_ticks: int,
    tick_value: int,
    fee_rate: int,
    fund_row: int,
    tier_floor: I64,
    tier_maintenance: I64,
    tier_amount: I64,
    mode: I32,
    cash: I64,
    margin: I64,
    position: I64,
    entry_cost: I64,
) -> tuple[I64, I64, I64]:
    """After the forced orders: charge the fee, pay out what is left, and say what the backstop must take over.

    `rows` and `forced_value` (n,), the latter in settlement units: what each row's forced order traded. Other arguments
    as in `size_forced`. Returns per row, int64 settlement units: fee paid to the fund; shortfall paid by the fund (a
    close beyond bankruptcy); and the signed value at which the account's remaining position passes to the fund,
    NO_TAKEOVER where it does not (closed, or safe again). A takeover's value leaves the account with exactly nothing:
    value = wealth - entry cost (signed as the account's trade).
    """
    fee = np.zeros(rows.size, np.int64)
    shortfall = np.zeros(rows.size, np.int64)
    takeover = np.full(rows.size, NO_TAKEOVER)
    for i in range(rows.size):
        row = rows[i]
        isolated = mode[row] == ISOLATED
        held = position[k, row]
        wealth = margin[k, row] if isolated else cash[settle, row]
        equity = wealth + held * mark_ticks * tick_value - entry_cost[k, row]
        fee[i] = min(at_rate_ceil(forced_value[i], fee_rate), max(min(equity, wealth), 0))
        wealth -= fee[i]
        cash[settle, fund_row] += fee[i]
        if held == 0:
            if wealth < 0:
                shortfall[i] = -wealth
                cash[settle, fund_row] += wealth
                wealth = 0
        else:
            notional = abs(held) * mark_ticks * tick_value
            requirement = np.int64(0)
            for t in range(tier_floor.size):
                if notional >= tier_floor[t]:
                    requirement = at_rate_ceil(notional, tier_maintenance[t]) - tier_amount[t]
            if equity - fee[i] < requirement:
                takeover[i] = wealth - entry_cost[k, row]
        if not isolated:
            cash[settle, row] = wealth
        elif held == 0:
            cash[settle, row] += wealth
            margin[k, row] = 0
        else:
            margin[k, row] = wealth
    return fee, shortfall, takeover
