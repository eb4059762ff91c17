"""Compiled part of the retail traders: one scalar rule, and the loop that applies it to the accounts that review."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.compiled import kernel, scalar
from abm.events import (
    BY_COVERING,
    BY_ENTRY,
    BY_NEWS,
    BY_NOISE,
    BY_PANIC,
    BY_STOP_LOSS,
    BY_TAKE_PROFIT,
    BY_TREND,
    BY_VALUE,
)
from abm.rng import bits, stream, uniform
from abm.state import BUY, CANCEL, IOC, ISOLATED, LIMIT, NOBODY, REDUCE_ONLY, SELL, STOP
from abm.traders.retail_wider_kernel import caution_after, leverage_wanted, top_up_units, wider_rule

TREND, VALUE, NOISE, NEWS = range(4)
"""Kinds of retail trader."""
NOTHING = -1
"""The operation of a review that changes nothing."""
REVIEW_STREAM: Any = np.int64(stream("retail review"))  # typed: a plain constant would compile `uniform` anew
MASK_31 = 0x7FFFFFFF
(
    WEIGHT_VALUE,
    WEIGHT_TREND,
    WEIGHT_NOISE,
    HORIZON,
    PANIC_TICKS,
    READS_RSI,
    READS_GAP,
    COPIES,
    USUAL_LEVERAGE,
    SENSITIVITY,
    CAUTION,
    EQUITY,
    SEEN_S,
    KEPT,
    TOPS_UP,
    STOP_MARGIN,
    TRAILS,
    STOP_TICKS,
) = range(18)
"""Columns of `habits`: what wider behaviour knows of a trader; `retail_wider.Habits` says what they mean."""


@scalar
def retail_rule(
    kind: int,
    entry_side: int,
    position_lots: int,
    entry_ticks: float,
    budget_lots: int,
    news_lots: float,
    belief: float,
    panic_drawdown: float,
    cover_gain: float,
    stop_distance: float,
    profit_distance: float,
    rested: bool,
    last_ticks: int,
    fair_ticks: float,
    return_180: float,
    return_300: float,
    drawdown_600: float,
    draw_exit: float,
    draw_calm: float,
    panic: float,
    panic_most: float,
    cover_chance: float,
    exit_chance: float,
    noise_chance: float,
    trend_level: float,
    trend_gain: float,
    value_level: float,
    value_chance: float,
    short_gain: float,
    news_width: float,
    slip: float,
    panic_slip: float,
) -> tuple[int, int, int, int, int, int, int]:
    """What one trader does at a review: numbers in, (op, side, size_lots, price_ticks, stop_ticks, flags, reason) out.

    Prices in ticks; returns, drawdown, distances, gains and slips as fractions; `draw_*` uniform in (0, 1); chances
    are for one review. A `stop_distance` or `profit_distance` of 0 means: wants none, or has one already. `rested`:
    long enough since the last exit to think of a new position. Equations in `abm.traders.retail`.
    """
    gap = fair_ticks * (1.0 + belief) / last_ticks - 1.0
    if kind == NEWS:
        wanted = news_lots * min(1.0, max(-1.0, gap / news_width)) - position_lots
        size = int(abs(wanted))
        if size < 1 or size < 0.02 * news_lots:
            return NOTHING, BUY, 0, 0, 0, 0, 0
        side = BUY if wanted > 0.0 else SELL
        return IOC, side, size, max(1, int(last_ticks * (1.0 + side * slip))), 0, 0, BY_NEWS

    if position_lots != 0:
        side = BUY if position_lots > 0 else SELL
        reason = 0
        worst = slip
        if side == BUY and drawdown_600 > panic_drawdown and return_180 < 0.0:
            if draw_exit < min(panic_most, panic * (drawdown_600 / panic_drawdown - 1.0)):
                reason = BY_PANIC
                worst = panic_slip
        elif side == SELL and entry_ticks > last_ticks * (1.0 + cover_gain) and draw_exit < cover_chance:
            reason = BY_COVERING
            worst = panic_slip
        if reason == 0 and draw_calm < exit_chance:
            reason = BY_NOISE
        if reason != 0:
            price = max(1, int(last_ticks * (1.0 - side * worst)))
            return IOC, -side, abs(position_lots), price, 0, REDUCE_ONLY, reason
        if stop_distance > 0.0:
            stop = max(1, int(last_ticks * (1.0 - side * stop_distance)))
            return STOP, -side, abs(position_lots), 0, stop, REDUCE_ONLY, BY_STOP_LOSS
        if profit_distance > 0.0:
            price = max(1, int(last_ticks * (1.0 + side * profit_distance)))
            return LIMIT, -side, abs(position_lots), price, 0, REDUCE_ONLY, BY_TAKE_PROFIT
        return NOTHING, BUY, 0, 0, 0, 0, 0

    if budget_lots < 1 or not rested:
        return NOTHING, BUY, 0, 0, 0, 0, 0
    reason = 0
    if draw_calm < noise_chance:
        reason = BY_NOISE
    elif entry_side == SELL:
        if draw_exit < -short_gain * return_180:
            reason = BY_ENTRY
    elif kind == TREND:
        if return_300 > trend_level and draw_exit < trend_gain * return_300:
            reason = BY_TREND
    elif kind == VALUE and gap > value_level and draw_exit < value_chance:
        reason = BY_VALUE
    if reason == 0:
        return NOTHING, BUY, 0, 0, 0, 0, 0
    return IOC, entry_side, budget_lots, max(1, int(last_ticks * (1.0 + entry_side * slip))), 0, 0, reason


@scalar
def affordable_lots(
    free_units: int,
    leverage: int,
    usage: float,
    slip: float,
    taker_fee: float,
    last_ticks: int,
    mark_ticks: int,
    tick_value: int,
) -> int:
    """Lots that the share `usage` of free cash carries at this leverage and price, as far as the venue admits them.

    Admission wants initial margin at the mark, and for the order's worst price (`slip` from the last) its fee and its
    loss against the mark; at 35x and more these come to more than what `usage` leaves. Settlement units, ticks.
    """
    if free_units <= 0:
        return 0
    loss_ticks = slip * last_ticks + abs(last_ticks - mark_ticks)
    fee_ticks = taker_fee * (max(last_ticks, mark_ticks) * (1.0 + slip))
    cost_ticks = mark_ticks / leverage + loss_ticks * (1.0 + 1.0 / leverage) + fee_ticks
    # three ticks: every unit of the reserve is rounded up
    most = free_units / ((cost_ticks + 3.0) * tick_value)
    return int(min(usage * free_units * leverage / (last_ticks * tick_value), most))


@kernel
def review(
    out: NDArray[Any],
    emitted: NDArray[np.int64],
    woken: NDArray[np.int64],
    rows: NDArray[np.int64],
    kind: NDArray[np.int8],
    entry_side: NDArray[np.int8],
    taste: NDArray[np.float64],
    protective: NDArray[np.int64],
    rest_until_s: NDArray[np.float64],
    position: NDArray[np.int64],
    entry_cost: NDArray[np.int64],
    cash: NDArray[np.int64],
    reserved: NDArray[np.int64],
    leverage: NDArray[np.int64],
    margin: NDArray[np.int64],
    mode: NDArray[np.int32],
    touched: NDArray[np.bool_],
    numbers: NDArray[np.float64],
    wide: bool,
    habits: NDArray[np.float64],
    wider: NDArray[np.float64],
    horizons_s: NDArray[np.float64],
    returns: NDArray[np.float64],
    signs: NDArray[np.float64],
    seed: int,
    tick: int,
    first_draw: int,
    seconds: float,
    last_ticks: int,
    mark_ticks: int,
    fair_ticks: float,
    return_180: float,
    return_300: float,
    drawdown_600: float,
    tick_value: int,
    taker_fee: float,
    market: int,
    latency: int,
) -> int:
    """Messages of the traders `woken` (numbers within the cohort, ascending) into `out`; returns how many.

    `taste` float64 (6, n): news lots, belief, panic drawdown, cover gain, stop and take-profit distance. `protective`
    int64 (n, 2): handles of stop and take-profit. `numbers` are the rule's parameters from `panic` on, then rest and
    usage. `emitted` receives 2 * trader + (0 stop, 1 take-profit) for a message whose handle is to be kept, else
    NOBODY. A trader who leaves first cancels what protects the position. `out` needs three records a trader.

    `wide`: there are `habits` float64 (n, 18), parameters `wider` (16,), `returns` (H,) over `horizons_s`, and `signs`
    (5,): RSI and gap signal, tilt of the flow, funding in basis points, what volatility leaves of leverage.
    """
    count = 0
    for w in range(woken.size):
        me = woken[w]
        row = rows[me]
        held = position[row]
        more = wide and kind[me] != NEWS
        leverage_now, leverage_goal, kept = 0.0, 1.0, 0
        if more:
            worth = held * last_ticks * tick_value
            if habits[me, SENSITIVITY] > 0.0:
                equity = cash[row] + margin[row] - entry_cost[row] + worth
                habits[me, CAUTION] = caution_after(
                    habits[me, CAUTION],
                    seconds - habits[me, SEEN_S],
                    wider[15],
                    habits[me, SENSITIVITY],
                    habits[me, EQUITY],
                    float(equity),
                )
                habits[me, SEEN_S], habits[me, EQUITY] = seconds, float(equity)
                leverage_goal = leverage_wanted(habits[me, USUAL_LEVERAGE], habits[me, CAUTION], signs[4])
                if held == 0:
                    leverage[row] = int(leverage_goal + 1e-9)
                elif equity > 0:
                    leverage_now = abs(worth) / equity
            if held != 0 and habits[me, TOPS_UP] > 0.0 and mode[row] == ISOLATED:
                added = top_up_units(
                    habits[me, KEPT],
                    cash[row] - reserved[row],
                    margin[row] - entry_cost[row] + worth,
                    abs(worth) // leverage[row],
                    habits[me, TOPS_UP],
                )
                if added > 0:
                    cash[row] -= added
                    margin[row] += added
                    habits[me, KEPT] -= added
                    touched[row] = True
            kept = int(habits[me, KEPT])
        entry_ticks = 0.0
        if held != 0:
            entry_ticks = entry_cost[row] / (held * tick_value)
        budget = 0
        if held == 0:
            free = cash[row] - reserved[row] - kept
            budget = affordable_lots(
                free, leverage[row], numbers[14], numbers[11], taker_fee, last_ticks, mark_ticks, tick_value
            )
        rested = seconds >= rest_until_s[me]
        stop_wanted = taste[4, me]
        trailed = False
        if more:
            if last_ticks < habits[me, PANIC_TICKS]:
                budget = 0
            if stop_wanted == 0.0 and habits[me, STOP_MARGIN] > 0.0:
                stop_wanted = min(0.9, habits[me, STOP_MARGIN] / leverage[row])
        if protective[me, 0] >= 0:
            if more and habits[me, TRAILS] > 0.0 and held != 0 and stop_wanted > 0.0:
                way = BUY if held > 0 else SELL
                better = way * (last_ticks * (1.0 - way * stop_wanted) - habits[me, STOP_TICKS])
                trailed = better > habits[me, TRAILS] * stop_wanted * last_ticks
            if not trailed:
                stop_wanted = 0.0
        profit_wanted = taste[5, me]
        if protective[me, 1] >= 0:
            profit_wanted = 0.0
        op, side, size, price, stop, flags, reason = NOTHING, BUY, 0, 0, 0, 0, 0
        if more:
            horizon = int(habits[me, HORIZON])
            chart = habits[me, READS_RSI] * signs[0] + habits[me, READS_GAP] * signs[1]
            word = bits(seed, REVIEW_STREAM, me, tick, first_draw + 2)  # 31 bits each for cause and noise
            log_gap, noise = 0.0, 0.5
            if habits[me, WEIGHT_VALUE] + habits[me, WEIGHT_TREND] + habits[me, WEIGHT_NOISE] > 0.0:
                log_gap = math.log(fair_ticks * (1.0 + taste[1, me]) / last_ticks)
                noise = ((word & MASK_31) + 0.5) * (1.0 / 2147483648.0)
            entry_lots = budget
            if not rested:
                entry_lots = 0
            reason, side, size, price = wider_rule(
                held,
                entry_lots,
                last_ticks,
                log_gap,
                returns[horizon],
                horizons_s[horizon],
                habits[me, WEIGHT_VALUE],
                habits[me, WEIGHT_TREND],
                habits[me, WEIGHT_NOISE],
                habits[me, PANIC_TICKS],
                chart,
                habits[me, COPIES],
                signs[2],
                signs[3],
                leverage_now,
                leverage_goal,
                ((word >> 31) + 0.5) * (1.0 / 2147483648.0),
                noise,
                wider[0],
                wider[1],
                wider[2],
                wider[3],
                wider[4],
                wider[5],
                wider[6],
                wider[7],
                wider[8],
                wider[9],
                wider[10],
                wider[11],
                wider[12],
                wider[13],
                wider[14],
            )
            habits[me, COPIES] = 0.0
            if reason != 0:
                op = IOC
                if held != 0:
                    flags = REDUCE_ONLY
        if op == NOTHING:
            op, side, size, price, stop, flags, reason = retail_rule(
                kind[me],
                entry_side[me],
                held,
                entry_ticks,
                budget,
                taste[0, me],
                taste[1, me],
                taste[2, me],
                taste[3, me],
                stop_wanted,
                profit_wanted,
                rested,
                last_ticks,
                fair_ticks,
                return_180,
                return_300,
                drawdown_600,
                uniform(seed, REVIEW_STREAM, me, tick, first_draw),
                uniform(seed, REVIEW_STREAM, me, tick, first_draw + 1),
                numbers[0],
                numbers[1],
                numbers[2],
                numbers[3],
                numbers[4],
                numbers[5],
                numbers[6],
                numbers[7],
                numbers[8],
                numbers[9],
                numbers[10],
                numbers[11],
                numbers[12],
            )
        leaves = op == IOC and flags == REDUCE_ONLY and size == abs(held)
        if leaves:
            rest_until_s[me] = seconds + numbers[13]
        for which in range(3):
            if which < 2:
                gone = leaves or held == 0 or (trailed and which == 0 and op == STOP)
                if not gone or protective[me, which] < 0:
                    continue
                this_op, this_side, this_size, this_order = CANCEL, SELL, 0, protective[me, which]
                this_price, this_stop, this_flags, this_reason = 0, 0, 0, 0
                protective[me, which] = NOBODY
            else:
                if op == NOTHING:
                    continue
                this_op, this_side, this_size, this_order = op, side, size, NOBODY
                this_price, this_stop, this_flags, this_reason = price, stop, flags, reason
            out[count]["market"] = market
            out[count]["account"] = row
            out[count]["op"] = this_op
            out[count]["side"] = this_side
            out[count]["flags"] = this_flags
            out[count]["reason"] = this_reason
            out[count]["latency"] = latency
            out[count]["price_ticks"] = this_price
            out[count]["stop_ticks"] = this_stop
            out[count]["size_lots"] = this_size
            out[count]["order"] = this_order
            out[count]["unit_reserve"] = 0
            out[count]["cause"] = NOBODY
            emitted[count] = NOBODY
            if this_op == STOP:
                emitted[count] = 2 * me
                if more:
                    habits[me, STOP_TICKS] = this_stop
            elif this_op == LIMIT:
                emitted[count] = 2 * me + 1
            count += 1
    return count
