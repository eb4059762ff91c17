"""Panel a: perpetual, mark and spot price, liquidation bubbles, news, the low, and real points if there are any."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.ticker import FixedLocator, MaxNLocator
from matplotlib.transforms import Bbox

from abm.figures.bubbles import Bubbles, bubbles_of, draw_bubbles, draw_key, key_box_px, limits_with_room
from abm.figures.frame import Frame
from abm.figures.labels import Obstacles, Offset, around, put_label
from abm.figures.sheet import Key, Sheet
from abm.figures.style import BODY_PT, Palette, round_number, with_commas
from abm.figures.timeaxis import SHORT_WINDOW_S, edge, extreme, set_time_axis, thin

THOUSAND = 1e3
STEMS = 3000
"""Range stems drawn at most (about two a pixel); of more ticks several share one."""


def draw_price(sheet: Sheet, frame: Frame, letter: str, height_in: float) -> Axes:
    """Draw the price panel and return its axes."""
    colours = sheet.colours
    bubbles = bubbles_of(frame)
    axes = sheet.panel(
        letter, "Price", price_unit(frame), price_note(frame, bubbles), height_in, price_keys(frame, colours)
    )
    set_time_axis(axes, frame.clock, labels=True)
    bottom, top = price_limits(axes, frame, bubbles)
    axes.set_ylim(bottom, top)
    scale_ticks(axes, bottom, top)
    boxes = Obstacles(axes)
    boxes.circles = draw_bubbles(axes, bubbles, colours)
    draw_lines(axes, frame, colours)
    for name in ("perp_usd", "mark_usd", "spot_usd"):
        boxes.line(frame.x, frame.column(name))
    draw_news(axes, frame, colours, boxes)
    draw_real_points(axes, frame, colours, boxes)
    draw_low(axes, frame, colours, boxes)
    draw_real_labels(axes, frame, colours, boxes)
    if len(bubbles.usd):
        place_key(axes, bubbles, colours, boxes)
    percent_axis(axes, frame, colours)
    return axes


def price_unit(frame: Frame) -> str:
    """Units of both sides of the panel."""
    return "thousand $ (right: % change)" if np.isfinite(frame.reference[0]) else "thousand $"


def price_note(frame: Frame, bubbles: Bubbles) -> str:
    """The grey line of the panel."""
    words = f"Model: last trade and range of each tick; % of {frame.reference[1]}."
    if len(bubbles.usd):
        words += f" Bubbles: forced notional in {bubbles.bin_s} s, by area; small ones in the rug."
    else:
        words += " No forced trades in this run."
    if real_points(frame):
        words += " Rings: measured (A)."
    return words


def price_keys(frame: Frame, colours: Palette) -> list[Key]:
    """Legend in the order of the drawing."""
    keys = [Key("line", colours.perp, "perpetual")]
    if frame.known("mark_usd"):
        keys.append(Key("dashes", colours.mark, "mark"))
    if frame.known("spot_usd"):
        keys.append(Key("line", colours.spot, "spot"))
    if frame.some("liquidated_long_usd"):
        keys.append(Key("circle", colours.long, "longs liquidated"))
    if frame.some("liquidated_short_usd"):
        keys.append(Key("circle", colours.short, "shorts"))
    if real_points(frame):
        keys.append(Key("ring", colours.note, "real"))
    return keys


def real_points(frame: Frame) -> list[dict[str, object]]:
    """Real point values inside the window, in time order."""
    inside = []
    for point in frame.run.get("real_points") or []:
        x = float(frame.clock.x([point["time"]])[0])
        if -1e-6 <= x <= frame.clock.length_s + 1e-6:
            inside.append({**point, "x": x})
    return sorted(inside, key=lambda point: point["x"])


def price_limits(axes: Axes, frame: Frame, bubbles: Bubbles) -> tuple[float, float]:
    """Limits that hold every price drawn and every bubble."""
    columns = ("perp_usd", "perp_low_usd", "perp_high_usd", "mark_usd", "spot_usd")
    seen = np.concatenate([frame.column(name) for name in columns])
    seen = np.append(seen, [float(str(point["price_usd"])) for point in real_points(frame)])
    seen = seen[np.isfinite(seen)]
    if not len(seen):
        return 0.0, 1.0
    low, high = float(seen.min()), float(seen.max())
    pad = max(0.06 * (high - low), 0.0002 * high)
    dots = axes.figure.dpi
    above = 0.20 * (high - low) + pad if frame.news else 1.5 * pad
    return limits_with_room(bubbles, low - pad, high + above, axes.get_window_extent().height, dots)


def scale_ticks(axes: Axes, bottom: float, top: float) -> None:
    """Price ticks in thousand dollars, with as many decimals as the step needs."""
    places = [
        float(p) for p in MaxNLocator(nbins=8, steps=[1, 2, 2.5, 5, 10]).tick_values(bottom, top) if bottom <= p <= top
    ]
    step = places[1] - places[0] if len(places) > 1 else 1000.0
    decimals = next((n for n in range(6) if abs(round(step / THOUSAND, n) - step / THOUSAND) < 1e-9), 6)
    axes.yaxis.set_major_locator(FixedLocator(places))
    axes.set_yticklabels([with_commas(place / THOUSAND, decimals) for place in places])


def draw_lines(axes: Axes, frame: Frame, colours: Palette) -> None:
    """Spot, mark, then the range of trades and the perpetual on top, cased in paper."""
    x = frame.x
    price = thin(x, frame.column("perp_usd"))
    axes.plot(*price, color=colours.paper, linewidth=1.2 + 2.0, zorder=4.8)  # keeps the lines apart from the bubbles
    if frame.known("spot_usd"):
        axes.plot(*thin(x, frame.column("spot_usd")), color=colours.spot, linewidth=1.0, zorder=5)
    if frame.known("mark_usd"):
        axes.plot(
            *thin(x, frame.column("mark_usd")), color=colours.mark, linewidth=1.0, linestyle=(0, (3.2, 1.8)), zorder=5.2
        )
    low, high = frame.column("perp_low_usd"), frame.column("perp_high_usd")
    group = np.arange(len(x)) // max(1, len(x) // STEMS)
    count = int(group[-1]) + 1 if len(x) else 0
    low, high = extreme(group, low, count, highest=False), extreme(group, high, count, highest=True)
    at = edge(group, x, count, last=True)
    wide = np.flatnonzero(high > low)
    if len(wide):
        width_pt = axes.get_window_extent().width / axes.figure.dpi * 72.0
        linewidth = min(1.2, max(0.4, 0.6 * width_pt / count))
        stems = [[(at[i], low[i]), (at[i], high[i])] for i in wide]
        look: dict[str, Any] = {"colors": colours.perp, "linewidths": linewidth, "alpha": 0.55, "zorder": 5.5}
        axes.add_collection(LineCollection(stems, **look), autolim=False)
    axes.plot(*price, color=colours.perp, linewidth=1.2, zorder=6)


def draw_news(axes: Axes, frame: Frame, colours: Palette, boxes: Obstacles) -> None:
    """Words at each piece of news (the line runs through all panels and is drawn with them)."""
    top = axes.get_ylim()[1]
    lines = [axes.transData.transform((item.x, top))[0] for item in frame.main_news]
    boxes.boxes.extend(Bbox.from_extents(x - 1.0, boxes.area.y0, x + 1.0, boxes.area.y1) for x in lines)
    for item in frame.main_news:
        seconds = frame.clock.length_s < SHORT_WINDOW_S
        when = frame.clock.label(item.x, seconds=seconds)
        label = item.label if item.label.lower() not in ("", "news") else "fair value"
        words = f"{when} news: {label} {signed(100 * item.change)} %"
        rows = [-7.0 - 12.0 * row for row in range(3)]
        offsets = around([5.0], rows)
        behind = {"facecolor": colours.paper, "edgecolor": "none", "pad": 0.8, "alpha": 0.85}
        put_label(
            axes,
            words,
            (item.x, top),
            offsets,
            boxes,
            bbox=behind,
            color=colours.news,
            fontweight="bold",
            zorder=8,
            limit=50_000.0,
        )
    reference, name = frame.reference
    if frame.news and np.isfinite(reference) and "news" in name:
        at = (frame.news[0].x, reference)
        axes.plot(
            *at,
            "o",
            markersize=4.5,
            markerfacecolor=colours.paper,
            markeredgecolor=colours.news,
            markeredgewidth=1.2,
            zorder=9,
        )
        put_label(axes, with_commas(reference), at, [(-6.0, 10.0, "right"), (-6.0, -11.0, "right")], boxes, zorder=8)


def draw_low(axes: Axes, frame: Frame, colours: Palette, boxes: Obstacles) -> None:
    """Words at the lowest trade and at the end: depth of the fall, share of it recovered."""
    low = frame.column("perp_low_usd")
    low = np.where(np.isfinite(low), low, frame.column("perp_usd"))
    if not np.isfinite(low).any():
        return
    start = frame.news[0].x if frame.news else 0.0
    after = np.isfinite(low) & (frame.x > start)
    i = int(np.nanargmin(np.where(after, low, np.nan) if after.any() else low))
    price, x = float(low[i]), float(frame.x[i])
    reference = frame.reference[0]
    short = frame.clock.length_s < SHORT_WINDOW_S
    words = f"low {with_commas(price)} at {frame.clock.label(x - frame.clock.tick_s / 2, seconds=True)}"
    if x > start and price < 0.9995 * reference:
        minutes = (x - start) / 60
        span = (
            f"{minutes / 60:.1f} h"
            if minutes >= 120
            else f"{minutes:.0f} min"
            if minutes >= 1.5
            else f"{x - start:.0f} s"
        )
        words += f"\n{signed(100 * (price / reference - 1))} % in {span}"
    offsets = around((26.0, 60.0, 100.0), (0.0, -8.0, 9.0, 26.0, 44.0))
    arrow = {"arrowstyle": "-", "color": colours.text, "linewidth": 0.7, "shrinkA": 2, "shrinkB": 2}
    note = put_label(
        axes, words, (x, price), offsets, boxes, color=colours.perp, fontweight="bold", zorder=8, limit=400.0
    )
    if note is not None:
        axes.annotate("", (x, price), note.get_position(), textcoords="offset points", arrowprops=arrow, zorder=7)
    last = frame.column("perp_usd")
    known = np.flatnonzero(np.isfinite(last))
    fall = reference - price
    if not len(known) or fall <= 0.005 * reference or known[-1] <= i:
        return
    end = float(last[known[-1]])
    share = 100 * (end - price) / fall
    when = frame.clock.label(frame.x[known[-1]], seconds=short)
    words = f"{with_commas(end)} at {when}: {share:.0f} % of the fall recovered"
    ends: list[Offset] = [(-2.0, dy, "right") for dy in (14.0, -14.0, 24.0, -24.0, 34.0, -34.0, 46.0, 60.0)]
    put_label(axes, words, (float(frame.x[known[-1]]), end), ends, boxes, zorder=8)


def signed(value: float) -> str:
    """A percentage with its sign and one decimal."""
    return ("+" if value > 0 else "−" if value < 0 else "") + f"{abs(value):.1f}"


def draw_real_points(axes: Axes, frame: Frame, colours: Palette, boxes: Obstacles) -> None:
    """Open grey rings at the real point values."""
    points = real_points(frame)
    if not points:
        return
    x = np.array([float(str(point["x"])) for point in points])
    y = np.array([float(str(point["price_usd"])) for point in points])
    axes.plot(
        x,
        y,
        "o",
        markersize=4.6,
        markerfacecolor=colours.paper,
        markeredgecolor=colours.note,
        markeredgewidth=1.1,
        zorder=8,
        clip_on=False,
    )
    boxes.circles.extend((px, py, 6.0) for px, py in axes.transData.transform(np.column_stack([x, y])))


def draw_real_labels(axes: Axes, frame: Frame, colours: Palette, boxes: Obstacles) -> None:
    """Names of real points where there is room; minute closes are a series and stay without names."""
    near = around([7.0], (0.0, 10.0, -10.0))
    far = around((24.0, 48.0, 80.0, 120.0, 170.0), (0.0, -9.0, 9.0))
    arrow = {"arrowstyle": "-", "color": colours.note, "linewidth": 0.7, "shrinkA": 2, "shrinkB": 3}
    named: set[str] = set()
    for point in real_points(frame):
        label = str(point.get("label") or "")
        if not label or "close" in label or label in named:
            continue
        named.add(label)
        at = (float(str(point["x"])), float(str(point["price_usd"])))
        words = f"real {label}" + (f" {round_number(at[1])}" if label == "low" else "")
        look: dict[str, Any] = {"color": colours.note, "zorder": 8}
        if put_label(axes, words, at, near, boxes, **look) is None and label == "low":
            note = put_label(axes, words, at, far, boxes, **look)
            if note is not None:
                axes.annotate("", at, note.get_position(), textcoords="offset points", arrowprops=arrow, zorder=7)


def place_key(axes: Axes, bubbles: Bubbles, colours: Palette, boxes: Obstacles) -> None:
    """Put the size key where it covers least."""
    width, height = key_box_px(axes, bubbles)
    area = boxes.area
    best = (float("inf"), (area.x0 + 12.0, area.y0 + 14.0))
    for down in (0.0, 0.25, 0.5, 0.75, 1.0):
        for along in np.linspace(0.0, 1.0, 13):
            x = area.x0 + 10.0 + along * (area.width - width - 20.0)
            y = area.y0 + 22.0 + down * (area.height - height - 40.0)
            cost = boxes.hits(Bbox.from_bounds(x - 4.0, y - 4.0, width + 8.0, height + 12.0)) + 0.01 * down
            if cost < best[0]:
                best = (cost, (x, y))
    draw_key(axes, bubbles, colours, best[1])


def percent_axis(axes: Axes, frame: Frame, colours: Palette) -> None:
    """Right side: the same price as a percentage of the reference print."""
    reference = frame.reference[0]
    if not np.isfinite(reference):
        return
    bottom, top = (100 * (limit / reference - 1) for limit in axes.get_ylim())
    places = [
        float(p) for p in MaxNLocator(nbins=7, steps=[1, 2, 2.5, 5, 10]).tick_values(bottom, top) if bottom <= p <= top
    ]
    step = places[1] - places[0] if len(places) > 1 else 1.0
    decimals = next((n for n in range(5) if abs(round(step, n) - step) < 1e-9), 5)
    for place in places:
        axes.annotate(
            f"{with_commas(place, decimals)}%",
            (1.0, reference * (1 + place / 100)),
            (4, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize=BODY_PT,
            color=colours.text,
            annotation_clip=False,
        )
