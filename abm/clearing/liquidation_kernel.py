"""The liquidation engine's arithmetic: how much is forced, at what limit, and what is settled afterwards.

Flat kernels by design; the order of the waterfall stands in `abm.clearing.liquidation`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from abm.compiled import kernel
from abm.state import I32, I64, ISOLATED
from abm.units import BEYOND_ANY_PRICE, RATE_ONE, at_rate_ceil, inverse_price, signed_value

Flags = NDArray[np.bool_]

NO_TAKEOVER = -9_223_372_036_854_775_807
"""Value of a takeover that does not happen."""

LIMIT_BANKRUPTCY, LIMIT_BAND, LIMIT_NONE = range(3)
"""Limit price of a forced order: bankruptcy price (inside the band), band around the mark, or none."""

BRING_BACK, WHOLE, SHARE, LOWER_TIER = range(4)
"""Size of a forced order: back to the maintenance requirement; all; a share of it; down to a lower margin tier."""


@kernel
def size_forced(
    rows: I64,
    wealth: I64,
    at_once: Flags,
    k: int,
    mark_ticks: int,
    tick_value: int,
    inverse: int,
    band: int,
    limit_rule: int,
    fee_rate: int,
    sizing: int,
    step_share: int,
    step_above: int,
    tiers_down: int,
    whole_up_to: int,
    margin_share: int,
    tier_floor: I64,
    tier_maintenance: I64,
    tier_amount: I64,
    mode: I32,
    margin: I64,
    position: I64,
    entry_cost: I64,
) -> tuple[I64, I64, I64, I64]:
    """Lots to force, limit price (0 = none), equity and requirement of each row; four int64 arrays like `rows` (n,).

    Limits in ticks, money in settlement units. `wealth` (n,): what stands behind the position (isolated margin, cash,
    or the position's share of a cross account); `at_once` (n,): closed whole whatever the sizing. k is the position
    slot; rates in 1e-8; tiers (T,) of this market; accounts as `Accounts`, read only.

    BRING_BACK: the smallest size that brings the account back to its requirement at the mark after the liquidation fee;
    where the maintenance rate does not exceed the fee the position is closed whole, since selling then costs more than
    it frees (`formulas.bring_back_lots` is the same rule in plain arithmetic). SHARE: `step_share` of positions worth
    more than `step_above`. LOWER_TIER: so much that the notional falls into the tier `tiers_down` below; positions in
    the first `whole_up_to` tiers are closed whole. `margin_share`: an isolated position must keep this share of its
    margin on top.
    """
    lots = np.empty(rows.size, np.int64)
    limit = np.empty(rows.size, np.int64)
    equity = np.empty(rows.size, np.int64)
    required = np.empty(rows.size, np.int64)
    for i in range(rows.size):
        row = rows[i]
        held = position[k, row]
        size = abs(held)
        sign = 1 if held > 0 else -1
        value = signed_value(held, mark_ticks, tick_value, inverse)
        notional = abs(value)
        equity[i] = wealth[i] + value - entry_cost[k, row]
        tier = 0
        for t in range(tier_floor.size):
            if notional >= tier_floor[t]:
                tier = t
        requirement = at_rate_ceil(notional, tier_maintenance[tier]) - tier_amount[tier]
        if margin_share > 0 and mode[row] == ISOLATED:
            requirement += at_rate_ceil(margin[k, row], margin_share)
        required[i] = requirement
        # the value at which equity is zero, as a price that never leaves the account below zero; 0 = at any price
        zero_value = entry_cost[k, row] - wealth[i]
        if inverse == 0 and sign > 0:
            zero_price = -(-zero_value // (size * tick_value))
        elif inverse == 0:
            zero_price = -zero_value // (size * tick_value)
        elif sign > 0:
            zero_price = inverse_price(size, -zero_value, inverse) if zero_value <= 0 else BEYOND_ANY_PRICE
        else:
            zero_price = inverse_price(size, zero_value - 1, inverse) - 1 if zero_value > 0 else BEYOND_ANY_PRICE
        bound = mark_ticks - sign * at_rate_ceil(mark_ticks, band)
        limit[i] = 0
        if limit_rule == LIMIT_BAND:
            limit[i] = max(bound, 1)
        elif limit_rule == LIMIT_BANKRUPTCY:
            limit[i] = max(zero_price, bound, 1) if sign > 0 else max(min(zero_price, bound), 1)
        lots[i] = size
        if at_once[i] or sizing == WHOLE:
            continue
        if sizing == SHARE:
            if notional > step_above:
                lots[i] = at_rate_ceil(size, step_share)
            continue
        if sizing == LOWER_TIER:
            if tier + 1 > whole_up_to:
                # the most that still lies in the tier aimed at
                below = tier_floor[max(tier - tiers_down, 0) + 1] - 1
                kept = below // (mark_ticks * tick_value) if inverse == 0 else int(below / inverse * mark_ticks)
                lots[i] = max(size - kept, 1)
            continue
        # largest reduction for which every unit closed still frees more maintenance than it costs in fees
        keep = -1
        for t in range(tier_floor.size):
            if tier_maintenance[t] > fee_rate:
                if inverse == 0:
                    keep = -(-tier_floor[t] // (mark_ticks * tick_value))
                else:
                    keep = int(tier_floor[t] / inverse * mark_ticks) + 1 if tier_floor[t] > 0 else 0
                break
        low, high = np.int64(1), size - keep
        if keep < 0 or high < 1:
            continue
        for step in range(64):
            trial = high if step == 0 else (low + high) // 2
            rest = abs(signed_value(size - trial, mark_ticks, tick_value, inverse))
            requirement = 0
            for t in range(tier_floor.size):
                if rest >= tier_floor[t]:
                    requirement = at_rate_ceil(rest, tier_maintenance[t]) - tier_amount[t]
            sold = abs(signed_value(trial, mark_ticks, tick_value, inverse))
            enough = equity[i] - at_rate_ceil(sold, fee_rate) >= requirement
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
    return lots, limit, equity, required


@kernel
def settle_forced(
    rows: I64,
    wealth: I64,
    alone: Flags,
    spare: I64,
    whole: Flags,
    forced_value: I64,
    k: int,
    settle: int,
    mark_ticks: int,
    tick_value: int,
    inverse: int,
    fee_rate: int,
    takeover_step: int,
    takeover_whole: int,
    margin_share: int,
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

    (n,) arrays: `rows`; `wealth` behind the position after the trade; `alone`, no other position and no other
    collateral belongs to it, else `spare` is what the whole account can pay a fee from; `whole`, the forced order was
    for all of it; `forced_value`, what it traded, settlement units. Other arguments as in `size_forced`. A position
    whose equity is below `takeover_whole` (after a step `takeover_step`) of its requirement passes to the backstop;
    shares in 1e-8.

    Returns per row, int64 settlement units: fee paid to the fund; shortfall paid by the fund (a close beyond
    bankruptcy); and the signed value at which the remaining position passes to the fund, NO_TAKEOVER where it does not.
    That value leaves the account with exactly nothing: value = wealth - entry cost (signed as the account's trade).
    """
    fee = np.zeros(rows.size, np.int64)
    shortfall = np.zeros(rows.size, np.int64)
    takeover = np.full(rows.size, NO_TAKEOVER)
    for i in range(rows.size):
        row = rows[i]
        isolated = mode[row] == ISOLATED
        held = position[k, row]
        value = signed_value(held, mark_ticks, tick_value, inverse)
        left = wealth[i]
        equity = left + value - entry_cost[k, row]
        payable = min(equity, left) if alone[i] else spare[i]
        fee[i] = min(at_rate_ceil(forced_value[i], fee_rate), max(payable, 0))
        left -= fee[i]
        equity -= fee[i]
        cash[settle, fund_row] += fee[i]
        if isolated:
            margin[k, row] -= fee[i]
        else:
            cash[settle, row] -= fee[i]
        if held != 0:
            requirement = 0
            for t in range(tier_floor.size):
                if abs(value) >= tier_floor[t]:
                    requirement = at_rate_ceil(abs(value), tier_maintenance[t]) - tier_amount[t]
            if margin_share > 0 and isolated:
                requirement += at_rate_ceil(margin[k, row], margin_share)
            share = takeover_whole if whole[i] else takeover_step
            if equity < (requirement if share == RATE_ONE else at_rate_ceil(requirement, share)):
                takeover[i] = left - entry_cost[k, row]
            continue
        if alone[i] and left < 0:
            shortfall[i] = -left
            cash[settle, fund_row] += left
            left = 0
        if isolated:
            cash[settle, row] += left
            margin[k, row] = 0
        elif alone[i]:
            cash[settle, row] = left
    return fee, shortfall, takeover
