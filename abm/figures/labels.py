"""Words in a panel, put where they cover neither lines nor bubbles nor other words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from abm.figures.style import BODY_PT
from abm.figures.timeaxis import Floats, thin

Side = Literal["left", "right"]
Offset = tuple[float, float, Side]
"""Points to the right, points up, and which side of the words stands there."""
SIDES: tuple[tuple[float, Side], ...] = ((1.0, "left"), (-1.0, "right"))


def around(across: Sequence[float], up: Sequence[float]) -> list[Offset]:
    """Offsets on both sides of a point, nearest first."""
    return [(sign * dx, dy, side) for dx in across for dy in up for sign, side in SIDES]


class Obstacles:
    """What is already drawn in the panel, in pixels, so that words can be put where nothing is."""

    def __init__(self, axes: Axes) -> None:
        """Start with the empty panel."""
        self.axes = axes
        self.area = axes.get_window_extent()
        self.circles: list[tuple[float, float, float]] = []
        self.boxes: list[Bbox] = []
        self.points = np.empty((0, 2))

    def line(self, x: Floats, y: Floats) -> None:
        """Remember a line, thinned to a point a pixel."""
        known = np.isfinite(y)
        if known.any():
            pixels = self.axes.transData.transform(np.column_stack(thin(x[known], y[known])))
            inside = np.linspace(0, len(pixels) - 1, max(len(pixels), 3000))
            dense = [np.interp(inside, np.arange(len(pixels)), pixels[:, i]) for i in (0, 1)]
            self.points = np.vstack([self.points, np.column_stack(dense)])

    def hits(self, box: Bbox, *, circles: bool = True) -> float:
        """How much a box would cover; 0 when it is free, infinite outside the panel."""
        if box.x0 < self.area.x0 or box.x1 > self.area.x1 or box.y0 < self.area.y0 or box.y1 > self.area.y1:
            return float("inf")
        cost = 0.0
        if any(box.overlaps(other) for other in self.boxes):
            cost += 10_000.0
        if len(self.points):
            px, py = self.points[:, 0], self.points[:, 1]
            cost += float(((px > box.x0 - 3) & (px < box.x1 + 3) & (py > box.y0 - 3) & (py < box.y1 + 3)).sum())
        for cx, cy, radius in self.circles if circles else ():
            dx, dy = cx - min(max(cx, box.x0), box.x1), cy - min(max(cy, box.y0), box.y1)
            if dx * dx + dy * dy < (radius + 2) ** 2:
                cost += 30.0
        return cost


def put_label(
    axes: Axes,
    words: str,
    at: tuple[float, float],
    offsets: Sequence[Offset],
    boxes: Obstacles,
    limit: float = 0.0,
    **look: Any,
) -> Annotation | None:
    """Write `words` near the data point `at` at the first free offset (points right, up, side); None if none is."""
    best: tuple[float, Offset] | None = None
    note = axes.annotate(
        words, at, (0, 0), textcoords="offset points", fontsize=BODY_PT, va="center", annotation_clip=False
    )
    note.set(**look)
    for offset in offsets:
        note.set_position(offset[:2])
        note.set_horizontalalignment(offset[2])
        cost = boxes.hits(note.get_window_extent().padded(2.0))
        if best is None or cost < best[0]:
            best = (cost, offset)
        if cost == 0.0:
            break
    if best is None or best[0] > limit:
        note.remove()
        return None
    note.set_position(best[1][:2])
    note.set_horizontalalignment(best[1][2])
    boxes.boxes.append(note.get_window_extent().padded(2.0))
    return note
