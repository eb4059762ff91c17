"""Liquidation bubbles: area = forced notional of a short bin; longs hang under the price, shorts sit on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.transforms import blended_transform_factory

from abm.figures.frame import Frame
from abm.figures.style import BODY_PT, Palette, round_number
from abm.figures.timeaxis import Floats, bars, edge, extreme, total

LARGEST_SHARE = 1.0 / 3.0
"""Largest bubble, as a share of the height of the panel."""
RUG_SHARE = 0.01
GAP_PX = 3.0
ALPHA = 0.32
POINTS = 72.0


@dataclass(frozen=True)
class Bubbles:
    """Bins with forced trades. `side` is -1 for longs (forced selling), +1 for shorts; `usd` their notional."""

    x: Floats
    extreme_usd: Floats
    usd: Floats
    side: Floats
    falling: Floats
    bin_s: int

    @property
    def largest_usd(self) -> float:
        """Notional of the largest bin."""
        return float(self.usd.max()) if len(self.usd) else 0.0


def bubbles_of(frame: Frame) -> Bubbles:
    """Sum the forced notional per side and bin: 10 s, or 1 s in runs under 2 minutes, 60 s in runs over 4 hours."""
    length = frame.clock.length_s
    bin_s = 1 if length < 120 else 10 if length <= 14_400 else 60
    bin_s = max(bin_s, int(np.ceil(frame.clock.tick_s)))
    number, opens = bars(frame.clock, frame.x, bin_s)
    count = len(opens)
    price = frame.column("perp_usd")
    falling = edge(number, price, count, last=True) < edge(number, price, count, last=False)
    parts = []
    for side, name, column in (
        (-1.0, "liquidated_long_usd", "perp_low_usd"),
        (1.0, "liquidated_short_usd", "perp_high_usd"),
    ):
        usd = total(number, frame.column(name), count)
        border = extreme(number, frame.column(column), count, highest=side > 0)
        fallback = extreme(number, price, count, highest=side > 0)
        border = np.where(np.isfinite(border), border, fallback)
        hit = (usd > 0) & np.isfinite(border)
        middle = opens[hit] + bin_s / 2.0
        parts.append((middle, border[hit], usd[hit], np.full(int(hit.sum()), side), falling[hit].astype(np.float64)))
    x, border, usd, sides, fell = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Bubbles(x, border, usd, sides, fell, bin_s)


def diameters_pt(bubbles: Bubbles, height_pt: float) -> Floats:
    """Diameter of each bubble in points: the area is proportional to the notional, with one factor and no cap."""
    if not len(bubbles.usd):
        return np.empty(0)
    return np.asarray(height_pt * LARGEST_SHARE * np.sqrt(bubbles.usd / bubbles.largest_usd))


def limits_with_room(bubbles: Bubbles, low: float, high: float, height_px: float, dots: float) -> tuple[float, float]:
    """Price limits so wide that no bubble leaves the panel."""
    size_px = diameters_pt(bubbles, height_px / dots * POINTS) * dots / POINTS + GAP_PX + 4.0
    bottom, top = low, high
    for _ in range(40):
        per_px = (top - bottom) / height_px
        needed = bubbles.extreme_usd + bubbles.side * size_px * per_px
        under, over = needed[bubbles.side < 0], needed[bubbles.side > 0]
        bottom = min(low, float(under.min())) if len(under) else low
        top = max(high, float(over.max())) if len(over) else high
    return bottom, top


def draw_bubbles(axes: Axes, bubbles: Bubbles, colours: Palette) -> list[tuple[float, float, float]]:
    """Draw bubbles and the rug of small bins on axes with final limits; (x, y, radius) of each mark in pixels."""
    if not len(bubbles.usd):
        return []
    dots = axes.figure.dpi
    height_px = axes.get_window_extent().height
    radius_px = diameters_pt(bubbles, height_px / dots * POINTS) * dots / POINTS / 2.0
    place = axes.transData.transform(np.column_stack([bubbles.x, bubbles.extreme_usd]))
    place[:, 1] += bubbles.side * (radius_px + GAP_PX)
    left = (bubbles.side < 0) & (bubbles.falling > 0)
    place[left, 0] -= radius_px[left] / 2.0
    data = axes.transData.inverted().transform(place)
    big = bubbles.usd >= RUG_SHARE * bubbles.largest_usd
    order = np.argsort(-bubbles.usd, kind="stable")
    order = order[big[order]]
    edges = [to_rgba(colours.long if side < 0 else colours.short) for side in bubbles.side[order]]
    axes.scatter(
        data[order, 0],
        data[order, 1],
        s=(2.0 * radius_px[order] * POINTS / dots) ** 2,
        linewidth=0.5,
        zorder=3.0,
        facecolor=[(*edge[:3], ALPHA) for edge in edges],
        edgecolor=edges,
    )
    drawn = [(float(place[i, 0]), float(place[i, 1]), float(radius_px[i])) for i in order]
    foot = blended_transform_factory(axes.transData, axes.transAxes)
    for side, colour, height in ((-1.0, colours.long, 0.012), (1.0, colours.short, 0.045)):
        small = ~big & (bubbles.side == side)
        if small.any():
            heights = np.full(int(small.sum()), height)
            drawn += [
                (float(x), float(y), 3.0) for x, y in foot.transform(np.column_stack([bubbles.x[small], heights]))
            ]
            axes.plot(
                bubbles.x[small],
                heights,
                "|",
                color=colour,
                markersize=4.5,
                markeredgewidth=0.7,
                transform=foot,
                zorder=2.5,
            )
    return drawn


def key_sizes(largest_usd: float) -> list[float]:
    """Three round notionals on a 1-3-10 ladder, the top one no larger than the largest bubble."""
    if largest_usd <= 0:
        return []
    decade = 10.0 ** np.floor(np.log10(largest_usd))
    if largest_usd >= 3.0 * decade:
        return [3.0 * decade, decade, decade / 10.0]
    return [decade, 0.3 * decade, decade / 10.0]


def draw_key(axes: Axes, bubbles: Bubbles, colours: Palette, corner_px: tuple[float, float]) -> None:
    """Nested circles of known size, their lower left corner at `corner_px` (pixels of the figure)."""
    dots = axes.figure.dpi
    height_px = axes.get_window_extent().height
    inverse = axes.transData.inverted()
    sizes = key_sizes(bubbles.largest_usd)
    scale = height_px * LARGEST_SHARE / np.sqrt(bubbles.largest_usd)
    across = scale * np.sqrt(sizes[0])
    centre = corner_px[0] + across / 2.0
    label_y = np.inf
    for usd in sizes:
        size = scale * np.sqrt(usd)
        x, y = inverse.transform((centre, corner_px[1] + size / 2.0))
        axes.scatter(
            x, y, s=(size / dots * POINTS) ** 2, facecolor="none", edgecolor=colours.note, linewidth=0.7, zorder=4
        )
        top_y = min(corner_px[1] + size * (0.86 if usd == sizes[0] else 1.0), label_y - 0.155 * dots)
        label_y = top_y
        tx, ty = inverse.transform((corner_px[0] + across + 0.06 * dots, top_y))
        words = f"{round_number(usd / 1e6)} $M" + (f" in {bubbles.bin_s} s" if usd == sizes[0] else "")
        axes.text(tx, ty, words, fontsize=BODY_PT, color=colours.note, va="center", zorder=4)


def key_box_px(axes: Axes, bubbles: Bubbles) -> tuple[float, float]:
    """Width and height of the key in pixels."""
    dots = axes.figure.dpi
    height_px = axes.get_window_extent().height
    sizes = key_sizes(bubbles.largest_usd)
    across = height_px * LARGEST_SHARE * np.sqrt(sizes[0] / bubbles.largest_usd)
    return across + 1.0 * dots, max(across, 0.5 * dots)
