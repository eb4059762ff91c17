"""The plate of `crash-vs-inventory`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.style import LIGHT, SOURCE_PT, save, styled

Rows = list[dict[str, Any]]


def draw(results: dict[str, Any], path: Path) -> Path:
    """Paths of the price, falls by limit without noise, by seller's size and by value traders' return."""
    rows: Rows = results["rows"]
    with styled() as colours:
        lines = (
            "A seller, makers who quote until their inventory is at its limit, value traders with a uniform book.",
            "Sold in equal parts, step by step. Bars: two standard errors over seeds.",
        )
        plate = Plate("How deep a sale falls", lines, 2, 2, colours, panel_in=(3.6, 2.3))
        note = f"sold over {results['selling']} steps; colour: makers' limit, lots"
        axes = plate.panel("Best bid without noise", "bp from the value", note, across="steps")
        shown = results["paths"]
        for place, (one, colour) in enumerate(zip(shown, _ramp(len(shown)), strict=True)):
            axes.plot(np.arange(1, len(one["price_bp"]) + 1), one["price_bp"], color=colour, linewidth=1.3)
            axes.text(
                0.02, 0.02 + 0.07 * (len(shown) - 1 - place), f"{one['limit']:,}", transform=axes.transAxes,
                color=colour, fontsize=SOURCE_PT,
            )  # fmt: skip
        keys = [Key("line", colours.perp, "(Q − L)/density"), Key("ring", colours.long, "book")]
        axes = plate.panel("Fall without noise", "bp", "", keys, across="makers' limit L, lots")
        _falls(axes, [row for row in rows if not row["noise"]], "sale", law=colours.perp)
        quiet = [row for row in rows if row["noise"] and row["refill"] == 0.0]
        axes = plate.panel("With noise, by sale", "bp", "at the lines: lots sold", across="makers' limit, lots")
        _falls(axes, quiet, "sale")
        middle = next((row["sale"] for row in rows if row["refill"] > 0.0), rows[0]["sale"])
        back = [row for row in rows if row["noise"] and row["sale"] == middle]
        note = f"sale {middle:,}; share of missing levels put back a step"
        axes = plate.panel("By value traders' return", "bp", note, across="makers' limit, lots")
        _falls(axes, back, "refill")
        save(plate.sheet.figure, path)
    return path


def _ramp(count: int) -> list[str]:
    return [to_hex(colormaps["cividis"](share)) for share in np.linspace(0.0, 0.85, count)]


def _falls(axes: Axes, rows: Rows, name: str, law: str = "") -> None:
    """Falls by limit, a line for each value of `name`, which stands at its first point."""
    ink = LIGHT.long
    values = sorted({row[name] for row in rows})
    for value, colour in zip(values, _ramp(len(values)), strict=True):
        some = [row for row in rows if row[name] == value]
        limits, falls = [row["limit"] for row in some], [row["fall"] for row in some]
        if law:
            known = [row for row in some if row["law"] is not None]
            axes.plot([row["limit"] for row in known], [row["law"] for row in known], color=law, linewidth=1.4)
        axes.errorbar(
            limits, falls, [2.0 * row["error"] for row in some], color=ink if law else colour, marker="o",
            markersize=4.5, markerfacecolor="none", linestyle="none" if law else "-", linewidth=1.2, capsize=2.0,
            zorder=3,
        )  # fmt: skip
        axes.annotate(
            f"{value:,g}", (limits[0], falls[0]), (-6, 0), textcoords="offset points", fontsize=SOURCE_PT, color=colour,
            ha="right", va="center",
        )  # fmt: skip
    widest = max(row["limit"] for row in rows)
    axes.set_xlim(-0.13 * widest, 1.04 * widest)
    axes.set_ylim(0.0)
