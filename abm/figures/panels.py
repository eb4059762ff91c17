"""Panels b to h of the overview: range, volume, liquidations, depth, open interest, insurance fund, treasury."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.ticker import FixedLocator, FuncFormatter

from abm.figures.frame import Frame
from abm.figures.sheet import Key, Sheet, few_ticks
from abm.figures.style import BODY_PT, Palette, round_number, short_number, tint, with_commas
from abm.figures.timeaxis import Floats, edge, extreme, set_time_axis, thin, total

NORMAL_DEPTH_USD = 244e6
"""Median depth of the BTCUSDT perpetual within 1 % of the mid on one side, on the days before 10 October 2025."""
DEPTH_FLOOR_USD = 1e6
MILLION, BILLION = 1e6, 1e9


def numbers(axes: Axes) -> None:
    """Tick labels with thousands separators and true minus signs, as many decimals as the ticks need."""
    few_ticks(axes)

    def text(value: float, _: Any) -> str:
        places = axes.yaxis.get_majorticklocs()
        step = float(np.min(np.diff(places))) if len(places) > 1 else 1.0
        decimals = next((n for n in range(7) if abs(round(step, n) - step) < 1e-9), 7)
        return with_commas(value, decimals)

    axes.yaxis.set_major_formatter(FuncFormatter(text))


def say(axes: Axes, words: str, colours: Palette, x: float = 0.5, y: float = 0.5, **look: Any) -> None:
    """Words inside a panel, in fractions of the axes, with the paper behind them."""
    look.setdefault("ha", "center")
    look.setdefault("color", colours.note)
    box = {"facecolor": colours.paper, "edgecolor": "none", "pad": 1.2, "alpha": 0.85}
    axes.text(x, y, words, transform=axes.transAxes, va="center", fontsize=BODY_PT, bbox=box, zorder=9, **look)


def bar_row(axes: Axes, frame: Frame, heights: Floats, colour: str, *, share: float = 0.86, **look: Any) -> None:
    """Bars over [open, open + interval); with very many bars a filled step instead, which looks the same."""
    if len(frame.opens) > 500:
        x = np.append(frame.opens, frame.opens[-1] + frame.step_s)
        axes.fill_between(x, np.append(heights, heights[-1:]), 0.0, step="post", facecolor=colour, linewidth=0, **look)
        return
    left = frame.opens + (1.0 - share) / 2.0 * frame.step_s
    right = left + share * frame.step_s
    ground = np.zeros(len(heights))
    corners = np.array([[left, ground], [left, heights], [right, heights], [right, ground]]).transpose(2, 0, 1)
    axes.add_collection(PolyCollection(list(corners), facecolor=colour, linewidth=0, **look), autolim=False)


def per_interval(frame: Frame) -> str:
    """The end of a unit: "per minute", "per 10 s"."""
    return f"per {frame.interval}"


def draw_range(sheet: Sheet, frame: Frame, letter: str, height_in: float) -> Axes:
    """(high - low) / open of each bar; the largest is labelled."""
    count = len(frame.opens)
    high = extreme(frame.number, frame.column("perp_high_usd"), count, highest=True)
    low = extreme(frame.number, frame.column("perp_low_usd"), count, highest=False)
    price = frame.column("perp_usd")
    start, close = (edge(frame.number, price, count, last=last) for last in (False, True))
    start[1:] = np.where(np.isfinite(close[:-1]), close[:-1], start[1:])
    percent = 100.0 * (high - low) / start
    known = np.flatnonzero(np.isfinite(percent))
    note = f"Model: (high − low) / open of each {frame.interval}; the open is the close of the bar before."
    if len(known):
        i = int(np.nanargmax(percent))
        note += (
            f" Largest {short_number(percent[i])} % at {frame.clock.label(frame.opens[i], seconds=frame.step_s < 60)}."
        )
    axes = sheet.panel(letter, "High–low range", f"% of the open, {frame.interval} bars", note, height_in)
    set_time_axis(axes, frame.clock, labels=False)
    bar_row(axes, frame, np.nan_to_num(percent), sheet.colours.perp)
    axes.set_ylim(0.0, max(1.12 * float(np.nanmax(percent)), 1e-3) if len(known) else 1.0)
    numbers(axes)
    few_ticks(axes, 2)
    return axes


def draw_volume(sheet: Sheet, frame: Frame, letter: str, height_in: float) -> Axes:
    """Perpetual volume (grey, up) and net taker flow (ink, below zero when takers sold more)."""
    colours, count = sheet.colours, len(frame.opens)
    volume = total(frame.number, frame.column("volume_btc"), count)
    net = total(frame.number, frame.column("net_taker_btc"), count)
    grey = tint(colours.perp, colours.paper, 0.22)
    keys = [Key("bar", grey, "volume"), Key("bar", colours.perp, "net taker flow")]
    scale, unit = (1e3, "thousand BTC") if volume.max(initial=0.0) >= 2e3 else (1.0, "BTC")
    share = f"; {signed_percent(net.sum() / volume.sum())} of it net taker flow" if volume.sum() > 0 else ""
    note = f"Model, perpetual: {with_commas(volume.sum())} BTC in all{share}. Below zero takers sold more than they"
    note += " bought."
    axes = sheet.panel(letter, "Volume and net taker flow", f"{unit} {per_interval(frame)}", note, height_in, keys)
    set_time_axis(axes, frame.clock, labels=False)
    bar_row(axes, frame, volume / scale, grey, zorder=2)
    bar_row(axes, frame, net / scale, colours.perp, share=0.6, zorder=3)
    axes.axhline(0.0, color=colours.forced, linewidth=0.8, zorder=4)
    roomy(axes, np.concatenate([volume, net]) / scale)
    numbers(axes)
    return axes


def signed_percent(share: float) -> str:
    """A share as a signed percentage: −11 %."""
    decimals = 0 if abs(share) >= 0.1 else 1
    return ("+" if share > 0 else "") + with_commas(100 * share, decimals) + " %"


def roomy(axes: Axes, values: Floats) -> None:
    """Limits around values and zero with a little air."""
    low, high = min(float(values.min(initial=0.0)), 0.0), max(float(values.max(initial=0.0)), 0.0)
    span = (high - low) or 1.0
    axes.set_ylim(low - (0.10 * span if low < 0 else 0.0), high + 0.12 * span)


def draw_liquidations(sheet: Sheet, frame: Frame, letter: str, height_in: float) -> Axes:
    """Forced notional per bar: longs up, shorts down, linear; deleveraging as a stem in front with a diamond."""
    colours, count = sheet.colours, len(frame.opens)
    sums = {
        name: total(frame.number, frame.column(column), count) / MILLION
        for name, column in (("long", "liquidated_long_usd"), ("short", "liquidated_short_usd"), ("adl", "adl_usd"))
    }
    keys = [Key("bar", colours.long, "longs sold"), Key("bar", colours.short, "shorts bought")]
    if sums["adl"].any():
        keys.append(Key("diamond", colours.adl, "ADL"))
    both = sums["long"].sum() + sums["short"].sum()
    if both > 0:
        longs = f"{100 * sums['long'].sum() / both:.0f} % longs"
        note = f"Model: {short_number(both)} $M in all, {longs}. Fund takeovers included"
        note += (
            f"; ADL {short_number(sums['adl'].sum())} $M is shown apart (stems), not added on top."
            if sums["adl"].any()
            else "; no ADL."
        )
    else:
        note = "Model: no account was liquidated in this run." + (" ADL only." if sums["adl"].any() else "")
    axes = sheet.panel(
        letter, "Liquidations", f"$ million {per_interval(frame)}, linear; shorts below zero", note, height_in, keys
    )
    set_time_axis(axes, frame.clock, labels=False)
    axes.axhline(0.0, color=colours.forced, linewidth=0.8, zorder=4)
    if not (both > 0 or sums["adl"].any()):
        axes.set_yticks([0.0])
        axes.set_ylim(-1.0, 1.0)
        say(axes, "no liquidations", colours)
        return axes
    bar_row(axes, frame, sums["long"], colours.long, zorder=2)
    bar_row(axes, frame, -sums["short"], colours.short, zorder=2)
    hit = np.flatnonzero(sums["adl"] > 0)
    if len(hit):
        middle = frame.opens[hit] + frame.step_s / 2
        axes.vlines(middle, 0.0, sums["adl"][hit], color=colours.adl, linewidth=1.8 if count <= 200 else 0.8, zorder=5)
        axes.plot(middle, sums["adl"][hit], "D", color=colours.adl, markersize=3.4, markeredgewidth=0, zorder=5)
    roomy(axes, np.concatenate([sums["long"], -sums["short"], sums["adl"]]))
    numbers(axes)
    return axes


def draw_depth(sheet: Sheet, frame: Frame, letter: str, height_in: float) -> Axes:
    """Depth ribbon: asks above, bids below one centre line, log distance from the floor; a pinch is a vacuum."""
    colours, clock = sheet.colours, frame.clock
    bid, ask = frame.column("depth_bid_usd"), frame.column("depth_ask_usd")
    depths = np.concatenate([bid, ask])
    half = tint(colours.depth, colours.paper, 0.5)
    largest = float(np.nanmax(depths)) if np.isfinite(depths).any() else 0.0
    floor = (
        DEPTH_FLOOR_USD
        if largest >= 10 * DEPTH_FLOOR_USD or largest <= 0
        else 10.0 ** (np.floor(np.log10(largest)) - 2)
    )
    unit = f"$ million within 1 % of the mid, log distance from {round_number(floor / MILLION)} $M"
    note = "Model: no depth was recorded."
    if np.isfinite(bid).any():
        i = int(np.nanargmin(bid))
        calm = float(bid[np.flatnonzero(np.isfinite(bid))[0]])
        when = clock.label(float(frame.x[i]) - clock.tick_s, seconds=True)
        times = (
            f", {with_commas(calm / bid[i], 0 if calm >= 10 * bid[i] else 1)} times less than at the opening"
            if bid[i] > 0
            else ", an empty book"
        )
        start, least = short_number(calm / MILLION), short_number(bid[i] / MILLION)
        note = f"Model: bids {start} $M at the opening, least {least} $M at {when}{times}. A pinch is a vacuum."
    keys = [
        Key("area", half, "asks", edge=colours.depth_edge),
        Key("area", colours.depth, "bids", edge=colours.depth_edge),
    ]
    if floor == DEPTH_FLOOR_USD:
        keys.append(Key("dashes", colours.note, "normal of October 2025, 244"))
    axes = sheet.panel(letter, "Depth", unit, note, height_in, keys)
    set_time_axis(axes, clock, labels=False)
    reach = max(np.log10(max(largest, NORMAL_DEPTH_USD if floor == DEPTH_FLOOR_USD else 0.0, 10 * floor) / floor), 1.0)
    for side, depth, face in ((1, ask, half), (-1, bid, colours.depth)):
        x, y = thin(frame.x, side * np.log10(np.maximum(depth, floor) / floor))
        axes.fill_between(x, y, 0.0, color=face, linewidth=0, zorder=2)
        axes.plot(x, y, color=colours.depth_edge, linewidth=0.6, zorder=3)
    axes.axhline(0.0, color=colours.paper, linewidth=1.2, zorder=4)
    if floor == DEPTH_FLOOR_USD:
        for side in (-1, 1):
            axes.axhline(
                side * np.log10(NORMAL_DEPTH_USD / floor),
                color=colours.note,
                linewidth=0.8,
                linestyle=(0, (4, 2.5)),
                zorder=5,
            )
    decades = np.arange(1, int(np.floor(reach + 1e-9)) + 1)
    decades = decades[-1:]
    places = [-float(d) for d in decades[::-1]] + [0.0] + [float(d) for d in decades]
    axes.yaxis.set_major_locator(FixedLocator(places))
    axes.set_yticklabels([round_number(floor / MILLION * 10 ** abs(p)) for p in places])
    axes.set_ylim(-1.12 * reach, 1.12 * reach)
    return axes


def draw_open_interest(sheet: Sheet, frame: Frame, letter: str, height_in: float) -> Axes:
    """Open interest in thousand BTC; the funding rate in words."""
    colours = sheet.colours
    interest = frame.column("open_interest_btc")
    known = np.flatnonzero(np.isfinite(interest))
    note = "Model: no open interest was recorded."
    if len(known):
        first, last = float(interest[known[0]]), float(interest[known[-1]])
        change = f" ({signed_percent(last / first - 1)})" if first > 0 else ""
        note = f"Model, one side: {with_commas(first)} BTC at the opening, {with_commas(last)} BTC at the end{change}."
        mark = frame.column("mark_usd")
        if np.isfinite(mark[[known[0], known[-1]]]).all():
            before, after = first * mark[known[0]] / BILLION, last * mark[known[-1]] / BILLION
            note += f" At the mark {short_number(before)} and {short_number(after)} $bn."
    funding = frame.column("funding_bp_8h")
    if np.isfinite(funding).any():
        rate = float(funding[np.flatnonzero(np.isfinite(funding))[-1]])
        note += f" Indicated funding at the end {with_commas(rate, 2)} bp per 8 h."
    scale, unit = (1e3, "thousand BTC") if len(known) and np.nanmax(interest) >= 2e3 else (1.0, "BTC")
    axes = sheet.panel(letter, "Open interest", unit, note, height_in)
    set_time_axis(axes, frame.clock, labels=False)
    axes.plot(*thin(frame.x, interest / scale), color=colours.perp, linewidth=1.4)
    if len(known):
        low, high = float(np.nanmin(interest)) / scale, float(np.nanmax(interest)) / scale
        air = max(0.12 * (high - low), 0.01 * high, 1e-9)
        axes.set_ylim(low - air, high + air)
    few_ticks(axes, 3)
    numbers(axes)
    few_ticks(axes, 3)
    return axes
