"""The plate of `poledna-2014`: defaults, their differences, lenders' losses and joint calls by leverage and rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.style import Palette, save, styled

Rows = list[dict[str, Any]]


def draw(results: Rows, path: Path) -> Path:
    """Four panels; bars of two standard errors over seeds."""
    rows = sorted(results, key=lambda row: float(row["leverage"]))
    with styled() as colours:
        lines = (
            "The market of Thurner, Farmer and Geanakoplos under three rules for lenders; the noise is the same,"
            " seed by seed.",
            "Free: one limit. Basel: the limit shrinks as volatility grows. Hedge: borrowers pay for puts on their"
            " collateral.",
        )
        plate = Plate("Rules for lenders and defaults", lines, 2, 2, colours, panel_in=(3.6, 2.3))
        looks = _looks(colours)
        keys = [Key("ring", colour, name) for name, (colour, _) in looks.items()]
        axes = plate.panel("Defaults", "a fund and 1e5 steps", "", keys, across="limit of leverage")
        for name, look in looks.items():
            _line(
                axes, rows, [row[name]["defaults"] for row in rows], [row[name]["defaults_error"] for row in rows], look
            )
        axes.set_ylim(0.0)
        note = "below zero: fewer"
        axes = plate.panel("Defaults less those of free", "same unit", note, keys[1:], across="limit of leverage")
        axes.axhline(0.0, color=colours.perp, linewidth=1.0)
        for name in ("basel", "hedge"):
            values = [row[f"{name}_less_free"] for row in rows]
            _line(axes, rows, values, [row[f"{name}_less_free_error"] for row in rows], looks[name])
        note = "before puts pay"
        axes = plate.panel("Lenders' losses", "a fund and 1e5 steps", note, keys, across="limit of leverage")
        for name, look in looks.items():
            values, errors = ([row[name][key] for row in rows] for key in ("lost", "lost_error"))
            _line(axes, rows, values, errors, look)
        axes.set_ylim(0.0)
        note = "five funds or more, of all steps with a call"
        axes = plate.panel("Called together", "%", note, keys, across="limit of leverage")
        for name, look in looks.items():
            values = [100.0 * row[name]["together"] for row in rows]
            _line(axes, rows, values, [100.0 * row[name]["together_error"] for row in rows], look)
        axes.set_ylim(0.0)
        save(plate.sheet.figure, path)
    return path


def _looks(colours: Palette) -> dict[str, tuple[str, float]]:
    """Colour of a rule, and the factor by which its points are moved aside."""
    return {"free": (colours.perp, 0.98), "basel": (colours.long, 1.0), "hedge": (colours.short, 1.02)}


def _line(axes: Axes, rows: Rows, values: list[float], errors: list[float], look: tuple[str, float]) -> None:
    colour, aside = look
    axes.errorbar(
        [aside * row["leverage"] for row in rows], values, 2.0 * np.array(errors), color=colour, linewidth=1.2,
        marker="o", markersize=4.5, markerfacecolor="none", elinewidth=1.0, capsize=2.0,
    )  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator([row["leverage"] for row in rows]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
