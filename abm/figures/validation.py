"""Dots and bands: every row of a validation on one scale, on which its band runs from 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from abm.figures.sheet import HEADER_IN, Key, Sheet, title_height
from abm.figures.style import BODY_PT, SOURCE_PT, Palette, save, short_number, styled, with_commas

Floats = NDArray[np.float64]
Rows = Sequence[Mapping[str, Any]]
WIDTH_IN, LABEL_IN, WORDS_IN = 10.0, 3.35, 3.05
ROW_IN, GAP_IN, FOOT_IN = 0.2, 0.16, 0.3
NEAR = 1.25
"""How many widths of the band beyond its edges are drawn; what lies farther is an arrow at the edge."""
_FLOW = (
    "depth",
    "spread",
    "window_",
    "rebound_",
    "open_interest",
    "volume",
    "event_volume",
    "peak_minute_volume",
    "bar_volume",
)
_FORCED = ("long_share", "peak_minute", "evening_share", "fund", "adl", "bad_debt", "liquidated", "published", "forced")


def group_of(row: Mapping[str, Any]) -> str:
    """Panel of a row: the price, depth and flow, forced trading, or single venues."""
    if row["venue"]:
        return "Single venues"
    if row["key"].startswith(_FLOW):
        return "Depth, volume, flow"
    return "Forced trading" if row["key"].startswith(_FORCED) else "Price"


def draw_validation(found: Mapping[str, Any], path: Path | str) -> Path:
    """Draw what `abm.validate.report` gives; the path written."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in found["rows"]:
        groups.setdefault(group_of(row), []).append(row)
    share, plural = found["inside"], "s" if len(found["seeds"]) != 1 else ""
    lines = [
        f"{len(found['seeds'])} seed{plural}, {found['accounts']:,} accounts. {share['inside']} of {share['counted']} "
        "graded rows (A, B) have their median inside the band.",
        "Rows are scaled so that all bands have one width. Grey rows do not count: press, bounds, put in, said twice.",
    ]
    tall = title_height(len(lines)) + sum(GAP_IN + HEADER_IN + FOOT_IN + ROW_IN * len(rows) for rows in groups.values())
    with styled() as colours:
        sheet = Sheet(WIDTH_IN, tall, colours, left_in=LABEL_IN, right_in=WORDS_IN)
        sheet.title(f"{found['title']}: the model against measurements", lines)
        for number, (name, rows) in enumerate(groups.items()):
            _panel(sheet, name, rows, number, colours)
        return save(sheet.figure, path)


def _panel(sheet: Sheet, name: str, rows: Rows, number: int, colours: Palette) -> None:
    sheet.down_in += GAP_IN
    keys = [
        Key("bar", colours.grid, "band", colours.axis),
        Key("line", colours.perp, "seeds, 90 %"),
        Key("circle", colours.perp, "median"),
        Key("circle", colours.long, "median outside"),
        Key("ring", colours.note, "real"),
    ]
    sheet.left_in, sheet.right_in = 0.62, 0.27
    sheet.header(chr(ord("a") + number), name, "", "", keys if number == 0 else ())
    sheet.left_in, sheet.right_in = LABEL_IN, WORDS_IN
    axes = sheet.axes(ROW_IN * len(rows))
    axes.set_xlim(-NEAR, 1 + NEAR)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.axvspan(0, 1, color=colours.grid, linewidth=0)
    axes.set_xticks([-1, 0, 1, 2], ["−1", "lower edge", "upper edge", "+1"], fontsize=SOURCE_PT)
    top = sheet.down_in
    for place, row in enumerate(rows):
        _row(axes, row, place, colours)
        _words(sheet, row, top + ROW_IN * (place + 0.5) + 0.045, colours)
    sheet.down_in += ROW_IN * len(rows) + FOOT_IN


def scaled(row: Mapping[str, Any], values: Any) -> Floats:
    """Values on the scale of the row's band, clipped to what is drawn."""
    width = row["high"] - row["low"]
    places: Floats = (np.asarray(values, float) - row["low"]) / (width if width > 0 else 1.0)
    return np.clip(places, -NEAR, 1 + NEAR)


def _row(axes: Axes, row: Mapping[str, Any], place: int, colours: Palette) -> None:
    """Band, single seeds, interval, median and real figure of a row."""
    ink = colours.perp if row["counted"] else colours.spot
    axes.axhline(place, color=colours.axis, linewidth=0.5, zorder=1)
    for edge in (0, 1):
        axes.plot([edge, edge], [place - 0.36, place + 0.36], color=colours.spot, linewidth=0.8, zorder=2)
    if row["real"] is not None and math.isfinite(row["real"]):
        axes.plot(scaled(row, [row["real"]]), [place], marker="o", markersize=6.5, markerfacecolor=colours.paper,
                  markeredgecolor=colours.note, markeredgewidth=1.2, linestyle="none", zorder=3)  # fmt: skip
    values = [value for value in row["values"] if value is not None]
    if not values:
        return
    axes.plot(scaled(row, values), np.full(len(values), place), marker="|", markersize=5, color=ink, alpha=0.45,
              linestyle="none", zorder=4)  # fmt: skip
    axes.plot(scaled(row, [row["low5"], row["high95"]]), [place, place], color=ink, linewidth=1.4, zorder=4)
    at = scaled(row, [row["median"]])
    far = (row["median"] - row["low"]) / max(row["high"] - row["low"], 1e-300)
    shape = "<" if far < -NEAR else ">" if far > 1 + NEAR else "o"
    colour = ink if row["inside"] or not row["counted"] else colours.long
    axes.plot(at, [place], marker=shape, markersize=6, color=colour, linestyle="none", zorder=5, clip_on=False)


def _words(sheet: Sheet, row: Mapping[str, Any], down_in: float, colours: Palette) -> None:
    """Name of the row left of its line; median, band and verdict right of it."""
    ink = colours.text if row["counted"] else colours.note
    unit = "" if row["unit"] in ("-", "") else f", {row['unit']}"
    sheet.write_fitted(0.27, down_in, f"{row['measure']}{unit}", LABEL_IN - 0.42, color=ink)
    right = WIDTH_IN - WORDS_IN
    median = short_number(row["median"]) if row["runs"] else "–"
    sheet.write(right + 0.66, down_in, median, color=ink, ha="right", fontweight="bold")
    sheet.write(right + 0.76, down_in, band_words(row), color=colours.note, fontsize=SOURCE_PT)
    sheet.write(right + 1.92, down_in, row["grade"], color=colours.note, fontsize=BODY_PT)
    word = {"inside": "inside", "below": "below", "above": "above"}.get(row["side"], "not produced")
    missed = row["side"] != "inside" and row["counted"]
    sheet.write(right + 2.14, down_in, word, color=colours.long if missed else ink,
                fontweight="bold" if missed else "normal")  # fmt: skip


def band_words(row: Mapping[str, Any]) -> str:
    """The band as in "25 to 65"."""
    return f"{_edge(row['low'])} to {_edge(row['high'])}"


def _edge(value: float) -> str:
    decimals = next((n for n in range(4) if abs(round(value, n) - value) < 1e-9 * max(1.0, abs(value))), 4)
    return with_commas(value, decimals)
