"""The figure of `who-matters`: one row a kind, one panel a measure, dots with intervals."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.style import Palette, save, styled

PANELS = (
    ("fall_percent", "Fall", "points"),
    ("recovery_5min_percent", "Recovered, 5 min", "points"),
    ("recovery_30min_percent", "Recovered, 30 min", "points"),
    ("liquidation_starts_share", "Accounts liquidated", "points"),
    ("bad_debt_usd", "Bad debt", "$m"),
    ("adl_usd", "Auto-deleveraged", "$m"),
)
ROW_IN = 0.24
FAR = 3.0
"""A mean beyond so many times the third largest (of any row, in size) stands at the edge with its number."""


def draw(results: dict[str, Any], path: Path) -> Path:
    """Effects of the kinds that are a part of the scenario above, of those brought in below."""
    rows = [row for part in (True, False) for row in results["rows"] if row["part"] == part]
    with styled() as colours:
        words = f"{results['scenario']}, {results['accounts']:,} accounts, {results['seeds']} common seeds."
        lines = [f"{words} Measure with the kind minus measure without it: mean, 95 % interval.",
                 "Filled: a part of the scenario. Hollow: brought in with assumed parameters."]  # fmt: skip
        shown = [panel for panel in PANELS if any(row["effects"][panel[0]]["mean"] for row in rows)] or [PANELS[0]]
        plate = Plate("Who matters", lines, 1, len(shown) + 1, colours, (1.7, max(ROW_IN * len(rows), 1.2)))
        _names(plate, rows, colours)
        for key, title, unit in shown:
            _panel(plate, rows, key, title, unit, colours)
        return save(plate.sheet.figure, path)


def _names(plate: Plate, rows: list[dict[str, Any]], colours: Palette) -> None:
    """The names of the rows, in the place of a panel; the header stands for the letters' sake."""
    axes = plate.panel("Kind")
    _rows_of(axes, rows, colours)
    for at, row in enumerate(rows):
        axes.text(1.0, at, row["kind"], transform=axes.get_yaxis_transform(), ha="right", va="center", fontsize=9)
    axes.set_xticks([])
    axes.grid(False)
    for side in axes.spines.values():
        side.set_visible(False)


def _rows_of(axes: Any, rows: list[dict[str, Any]], colours: Palette) -> None:
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks([])
    parts = sum(row["part"] for row in rows)
    if 0 < parts < len(rows):
        axes.axhline(parts - 0.5, color=colours.axis, linewidth=0.8)


def _panel(plate: Plate, rows: list[dict[str, Any]], key: str, title: str, unit: str, colours: Palette) -> None:
    keys: list[Key] = []
    axes = plate.panel(title, unit, "", keys)
    _rows_of(axes, rows, colours)
    axes.axvline(0, color=colours.perp, linewidth=0.9)
    far = _far([row["effects"][key] for row in rows])
    for at, row in enumerate(rows):
        effect = row["effects"][key]
        if effect["mean"] is None:
            continue
        if abs(effect["mean"]) > far:
            _beyond(axes, at, effect["mean"], colours)
            continue
        clear = effect["low"] is not None and (effect["low"] > 0 or effect["high"] < 0)
        colour = colours.long if clear else colours.note
        if effect["low"] is not None:
            axes.plot([effect["low"], effect["high"]], [at, at], color=colour, linewidth=1.6, solid_capstyle="butt")
        face = colour if row["part"] else colours.paper
        axes.plot(effect["mean"], at, marker="o", markersize=5.5, color=colour, markerfacecolor=face, zorder=3)
    axes.grid(True, axis="x")
    axes.margins(x=0.12)


def _far(effects: list[dict[str, Any]]) -> float:
    """Size of a mean from which on it would hide the others; infinite where the others are nothing."""
    sizes = sorted((abs(effect["mean"]) for effect in effects if effect["mean"] is not None), reverse=True)
    return FAR * sizes[2] if len(sizes) > 2 and sizes[2] > 0 else math.inf


def _beyond(axes: Any, at: int, mean: float, colours: Palette) -> None:
    """An arrow at the edge, and how far it would point."""
    edge, sign = (1.0, "") if mean > 0 else (0.0, "−")
    axes.annotate(
        f"{sign}{abs(mean):,.3g}", (edge, at), (edge + (-22 if mean > 0 else 22) / 100, at),
        xycoords=axes.get_yaxis_transform(), textcoords=axes.get_yaxis_transform(), va="center", fontsize=9,
        ha="right" if mean > 0 else "left", color=colours.long,
        arrowprops={"arrowstyle": "-|>", "color": colours.long, "linewidth": 1.6},
    )  # fmt: skip
