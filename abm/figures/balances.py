"""Panels of the backstop and of the treasuries: insurance fund with deleveraging marks, loan to value, coins held."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import blended_transform_factory

from abm.figures.frame import Frame
from abm.figures.panels import BILLION, MILLION, numbers, say, signed_percent
from abm.figures.sheet import Key, Sheet, few_ticks
from abm.figures.style import short_number, tint, with_commas
from abm.figures.timeaxis import set_time_axis, thin

LABEL_IN = 0.16
"""Least distance on paper of two labels of an axis."""


def bad_debt_words(frame: Frame) -> str:
    """Bad debt at the end, in words."""
    debt = frame.column("bad_debt_usd")
    known = debt[np.isfinite(debt)]
    if not len(known):
        return "bad debt not recorded"
    return f"bad debt {short_number(float(known[-1]) / MILLION)} $M" if known[-1] > 0 else "no bad debt"


def draw_fund(sheet: Sheet, frame: Frame, letter: str, height_in: float) -> Axes:
    """Waterline of the insurance fund; ticks at the foot where positions were deleveraged; bad debt in words."""
    colours = sheet.colours
    fund = frame.column("fund_usd")
    adl = np.nan_to_num(frame.column("adl_usd"))
    hit = np.flatnonzero(adl > 0)
    known = np.flatnonzero(np.isfinite(fund))
    largest = float(np.nanmax(np.abs(fund))) if len(known) else 0.0
    scale, unit = (BILLION, "$ billion") if largest >= 0.2 * BILLION else (MILLION, "$ million")
    keys = [Key("area", tint(colours.fund, colours.paper, 0.16), "fund at the mark", edge=colours.fund)] + (
        [Key("rug", colours.adl, "ADL")] if len(hit) else []
    )
    note = "Model: no fund was recorded."
    if len(known):
        first, last, least = float(fund[known[0]]), float(fund[known[-1]]), float(np.nanmin(fund))
        start, lowest, end = (short_number(value / MILLION) for value in (first, least, last))
        note = f"Model: {start} $M at the opening, least {lowest}, end {end}; {bad_debt_words(frame)}."
    if len(hit):
        counted = np.nan_to_num(frame.column("adl_accounts")).sum()
        accounts = f" from {with_commas(counted)} accounts" if counted else ""
        start = frame.clock.label(float(frame.x[hit[0]]) - frame.clock.tick_s, seconds=True)
        note += f" ADL {short_number(adl.sum() / MILLION)} $M{accounts}, first at {start}."
    else:
        note += " No ADL."
    axes = sheet.panel(letter, "Insurance fund", unit, note, height_in, keys)
    set_time_axis(axes, frame.clock, labels=False)
    x, y = thin(frame.x, fund / scale)
    axes.fill_between(x, y, 0.0, color=colours.fund, alpha=0.16, linewidth=0, zorder=2)
    axes.plot(x, y, color=colours.fund, linewidth=1.4, zorder=3)
    low = min(float(np.nanmin(fund)) / scale, 0.0) if len(known) else 0.0
    high = max(float(np.nanmax(fund)) / scale, 0.0) if len(known) else 1.0
    span = (high - low) or 1.0
    axes.set_ylim(low - (0.08 * span if low < 0 else 0.0), high + 0.18 * span)
    if low < 0:
        axes.axhline(0.0, color=colours.forced, linewidth=0.8, zorder=3)
    if len(hit):
        foot = blended_transform_factory(axes.transData, axes.transAxes)
        places = np.unique(np.round(frame.x[hit] / frame.clock.length_s * 1400)) / 1400 * frame.clock.length_s
        axes.vlines(places, 0.0, 0.22, color=colours.adl, linewidth=1.0, transform=foot, zorder=4)
    numbers(axes)
    few_ticks(axes, 3)
    return axes


def has_treasury(frame: Frame) -> bool:
    """Whether a treasury takes part in the run."""
    return frame.some("treasury_btc") or frame.some("treasury_ltv")


def draw_treasury(sheet: Sheet, frame: Frame, letter: str, height_in: float) -> Axes:
    """Loan to value above, coins held below (the axes returned), as steps; squares where a covenant made it sell."""
    colours, clock = sheet.colours, frame.clock
    ltv, coins = 100.0 * frame.column("treasury_ltv"), frame.column("treasury_btc")
    held = coins[np.isfinite(coins)]
    words = ["Model:"]
    if np.isfinite(ltv).any():
        i = int(np.nanargmax(ltv))
        words.append(
            f"highest loan to value {ltv[i]:.0f} % at {clock.label(float(frame.x[i]) - clock.tick_s, seconds=True)}."
        )
    else:
        words.append("no debt.")
    sold = float(held[0] - held[-1]) if len(held) else 0.0
    if len(held) and sold > 0:
        words.append(f"{with_commas(sold)} of {with_commas(held[0])} BTC sold ({signed_percent(-sold / held[0])}).")
    elif len(held):
        words.append(f"Holds {with_commas(held[-1])} BTC; nothing was sold.")
    keys = [Key("line", colours.treasury, "loan to value, coins")]
    if len(frame.covenants):
        keys.append(Key("square", colours.treasury, "covenant sale"))
    sheet.header(
        letter, "Treasuries", "loan to value in % (above); coins in thousand BTC (below)", " ".join(words), keys
    )
    half = (height_in - 0.10) / 2.0
    upper, lower = sheet.axes(half), sheet.axes(half, sheet.down_in + half + 0.10)
    sheet.down_in += height_in
    for axes, values, scale in ((upper, ltv, 1.0), (lower, coins, 1e3)):
        set_time_axis(axes, clock, labels=False)
        known = np.isfinite(values)
        if not known.any():
            axes.set_yticks([])
            say(axes, "no debt, so no loan to value" if axes is upper else "coins not recorded", colours)
            continue
        x, y = thin(frame.x, values / scale)
        axes.plot(x, y, color=colours.treasury, linewidth=1.4, drawstyle="steps-post", zorder=3)
        low, high = float(np.nanmin(y)), float(np.nanmax(y))
        air = max(0.2 * (high - low), 0.05 * abs(high), 1e-6)
        axes.set_ylim(low - air, high + air)
        numbers(axes)
        # the panel is low: the opening value, and the one farthest from it where both labels fit
        first = float(y[np.isfinite(y)][0])
        far = low if first - low > high - first else high
        apart_in = abs(far - first) / (high - low + 2 * air) * half
        marks = [first, far] if apart_in > LABEL_IN else [first]
        axes.set_yticks(marks, [short_number(mark) for mark in marks])
        if len(frame.covenants):
            at = np.interp(frame.covenants, frame.x[known], values[known] / scale)
            axes.plot(
                frame.covenants,
                at,
                "s",
                color=colours.treasury,
                markersize=4.0,
                markeredgecolor=colours.paper,
                markeredgewidth=0.5,
                zorder=4,
            )
    upper.spines["bottom"].set_visible(False)
    upper.tick_params(axis="x", length=0)
    return lower
