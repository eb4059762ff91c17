"""Compiled rules of retail behaviour that is off by default: numbers in, numbers out. Equations in `retail_wider`."""

from __future__ import annotations

import math

from abm.compiled import scalar
from abm.events import (
    BY_COPYING,
    BY_FUNDING_COST,
    BY_NOISE,
    BY_PANIC,
    BY_REBALANCING,
    BY_SIGNAL,
    BY_TREND,
    BY_VALUE,
)
from abm.state import BUY, SELL

MOST_LOSS = 3.0
"""Largest log loss that one review counts: all but 5 % of the money."""


@scalar
def wider_rule(
    position_lots: int,
    budget_lots: int,
    last_ticks: int,
    log_gap: float,
    own_return: float,
    horizon_s: float,
    weight_value: float,
    weight_trend: float,
    weight_noise: float,
    panic_ticks: float,
    chart_signal: float,
    copy_signal: float,
    flow_tilt: float,
    funding_bp: float,
    leverage_now: float,
    leverage_goal: float,
    draw: float,
    draw_noise: float,
    reversion_s: float,
    sigma: float,
    belief_level: float,
    belief_chance: float,
    signal_chance: float,
    herd_chance: float,
    copy_chance: float,
    panic_chance: float,
    free_funding_bp: float,
    funding_exit: float,
    funding_entry: float,
    trim_band: float,
    trim_chance: float,
    slip: float,
    panic_slip: float,
) -> tuple[int, int, int, int]:
    """What one trader does for the reasons of `retail_wider`: (reason, side, size_lots, price_ticks); 0: nothing.

    The causes compete for one uniform number `draw`: each has its own part of (0, 1), so that each happens with its
    own chance. `budget_lots` 0: has no money for an entry or does not think of one. `draw_noise` uniform as well.
    """
    expected, trend, noise = 0.0, 0.0, 0.0
    weights = weight_value + weight_trend + weight_noise
    if weights > 0.0:
        value = weight_value * log_gap * min(1.0, horizon_s / reversion_s)
        trend = weight_trend * own_return
        noise = weight_noise * sigma * math.sqrt(12.0 * horizon_s) * (draw_noise - 0.5)
        expected = (value + trend + noise) / weights
        trend, noise = abs(trend) - abs(value), abs(noise) - max(abs(value), abs(trend))
    belief = 0.0
    if abs(expected) > belief_level:
        belief = belief_chance
    why = BY_VALUE
    if trend > 0.0:
        why = BY_TREND
    if noise > 0.0:
        why = BY_NOISE

    if position_lots != 0:
        side = BUY if position_lots > 0 else SELL
        reason, size, worst = 0, abs(position_lots), slip
        edge = copy_chance if copy_signal * side < 0.0 else 0.0
        if draw < edge:
            reason = BY_COPYING
        if reason == 0 and side == BUY and last_ticks < panic_ticks:
            edge += panic_chance
            if draw < edge:
                reason, worst = BY_PANIC, panic_slip
        if reason == 0 and chart_signal * side < 0.0:
            edge += signal_chance
            if draw < edge:
                reason = BY_SIGNAL
        if reason == 0:
            edge += funding_exit * max(0.0, side * funding_bp - free_funding_bp)
            if draw < edge:
                reason = BY_FUNDING_COST
        if reason == 0:
            edge += herd_chance * max(0.0, -side * flow_tilt)
            if draw < edge:
                reason = BY_COPYING
        if reason == 0 and expected * side < 0.0:
            edge += belief
            if draw < edge:
                reason = why
        if reason == 0 and leverage_now > leverage_goal * (1.0 + trim_band):
            edge += trim_chance
            if draw < edge:
                reason, size = BY_REBALANCING, int(size * (1.0 - leverage_goal / leverage_now))
        if reason == 0 or size < 1:
            return 0, BUY, 0, 0
        return reason, -side, size, max(1, int(last_ticks * (1.0 - side * worst)))

    if budget_lots < 1 or last_ticks < panic_ticks:
        return 0, BUY, 0, 0
    reason, towards = 0, 0.0
    edge = copy_chance if copy_signal != 0.0 else 0.0
    if draw < edge:
        reason, towards = BY_COPYING, copy_signal
    if reason == 0 and chart_signal != 0.0:
        edge += signal_chance
        if draw < edge:
            reason, towards = BY_SIGNAL, chart_signal
    if reason == 0:
        edge += funding_entry * max(0.0, abs(funding_bp) - free_funding_bp)
        if draw < edge:
            reason, towards = BY_FUNDING_COST, -funding_bp
    if reason == 0:
        edge += herd_chance * abs(flow_tilt)
        if draw < edge:
            reason, towards = BY_COPYING, flow_tilt
    if reason == 0:
        edge += belief
        if draw < edge:
            reason, towards = why, expected
    if reason == 0 or towards == 0.0:
        return 0, BUY, 0, 0
    side = BUY if towards > 0.0 else SELL
    return reason, side, budget_lots, max(1, int(last_ticks * (1.0 + side * slip)))


@scalar
def caution_after(
    caution: float, past_s: float, memory_s: float, sensitivity: float, before: float, now: float
) -> float:
    """Caution after a review: max(0, c e^(-past / memory) + sensitivity ln(before / now)).

    It is a fall of one's equity from its top that is slowly forgotten: losses raise it, gains lower it as far as they
    make up for losses. `before` and `now` are equity in settlement units, `past_s` the time between two reviews.
    """
    faded = caution * math.exp(-past_s / memory_s)
    if before <= 0.0 or now == before:
        return faded
    lost = MOST_LOSS
    if now > before * math.exp(-MOST_LOSS):
        lost = math.log(before / now)
    return max(0.0, faded + sensitivity * lost)


@scalar
def leverage_wanted(usual: float, caution: float, calm: float) -> float:
    """Leverage a trader wants: usual x e^-caution x calm, at least 1; `calm` <= 1 is what volatility leaves of it."""
    return max(1.0, usual * math.exp(-caution) * calm)


@scalar
def top_up_units(kept: float, free_units: int, equity_units: int, initial_units: int, at: float) -> int:
    """Reserve put into an isolated position when its equity is below `at` x initial margin: up to the full margin."""
    if equity_units >= at * initial_units:
        return 0
    return max(0, min(int(kept), free_units, initial_units - equity_units))
