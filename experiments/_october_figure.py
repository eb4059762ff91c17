"""The pictures of `october`: a row a variant with a dot an event, and the critical point over leverage and depth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.study import draw_phase, narrowed
from abm.figures.style import Palette, save, styled
from experiments._october_tables import COLUMNS, SHOWN

ROW_IN = 0.26
NAMES_IN = 1.25
"""Room for the names of rows, beside that for numbers."""
ACROSS = 3


def draw_group(tables: Sequence[Mapping[str, Any]], lines: Sequence[str], path: Path) -> Path:
    """One group on its events side by side: differences to the scenario as it is, mean and interval.

    Args:
        tables: of `group_table`, one an event, with the same variants.
        lines: under the title.
        path: PNG or PDF.
    """
    names = [row["variant"] for row in tables[0]["rows"]]
    columns = [column for column in COLUMNS if column.key in SHOWN]
    with styled() as colours:
        hues = (colours.perp, colours.long)
        keys = [Key("square", hue, table["event"]) for hue, table in zip(hues, tables, strict=False)]
        size = (NAMES_IN + 1.7, max(ROW_IN * len(names), 0.9))
        plate = Plate(tables[0]["title"], list(lines), math.ceil(len(columns) / ACROSS), ACROSS, colours, size)
        for number, column in enumerate(columns):
            axes = plate.panel(column.words, column.unit, "", keys if number == 0 and len(tables) > 1 else ())
            narrowed(plate, axes, NAMES_IN)
            _rows(axes, names, colours)
            for place, (table, hue) in enumerate(zip(tables, hues, strict=False)):
                shift = 0.0 if len(tables) == 1 else (place - 0.5) * 0.34
                _dots(axes, table, column.key, shift, hue, colours)
            axes.margins(x=0.12)
        return save(plate.sheet.figure, path)


def _rows(axes: Any, names: Sequence[str], colours: Palette) -> None:
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), names)
    axes.grid(True, axis="x")
    axes.axvline(0, color=colours.axis, linewidth=1.2)


def _dots(axes: Any, table: Mapping[str, Any], key: str, shift: float, hue: str, colours: Palette) -> None:
    for place, row in enumerate(table["rows"]):
        effect = row["effects"][key]
        if effect["mean"] is None or not math.isfinite(effect["mean"]):
            continue
        at = place + shift
        known = effect["low"] is not None and math.isfinite(effect["low"])
        if known:
            axes.plot([effect["low"], effect["high"]], [at, at], color=hue, linewidth=1.6, solid_capstyle="butt")
        face = hue if effect["clear"] else colours.paper
        axes.plot(effect["mean"], at, "s", markersize=4.2, color=hue, markerfacecolor=face, zorder=3)


def draw_critical(table: Mapping[str, Any], lines: Sequence[str], path: Path) -> Path:
    """Multiplier, branching ratio and the oracle over leverage and depth.

    A line shows where the branching ratio is one or, if it gets there nowhere, where the oracle's n is.
    """
    rows = pd.DataFrame(table["rows"])
    diagrams = []
    for key in ("multiplier", "branching_ratio", "mean_field_n", "mean_field_multiplier"):
        one = rows.pivot(index="leverage", columns="depth_btc", values=key).astype(float)
        one = one.replace([np.inf, -np.inf], np.nan)
        one.attrs = {
            "measure": key,
            "statistic": "mean",
            "runs": int(table["runs"]),
            "empty": int(one.isna().sum().sum()),
        }
        one.attrs["replicates"] = (int(table["seeds"]), int(table["seeds"]))
        diagrams.append(one)
    labels = {
        "multiplier": ("Fall / news", "times"),
        "branching_ratio": ("Branching ratio, from causes", ""),
        "mean_field_n": ("Oracle: n of the calm book", ""),
        "mean_field_multiplier": ("Oracle: 1 / (1 − n)", "times"),
        "leverage": ("highest leverage", "x"),
        "depth_btc": ("depth of the makers", "BTC within 1 %"),
    }
    title = f"Critical point: {table['event']}"
    reached = bool((rows["branching_ratio"].astype(float) >= 1).any())
    levels = {"branching_ratio" if reached else "mean_field_n": 1.0}
    return draw_phase(diagrams, title, path, levels=levels, labels=labels, note=" ".join(lines))
