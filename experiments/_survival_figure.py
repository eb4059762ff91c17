"""The plate of `treasury-survival`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.style import SOURCE_PT, save, styled

DASHES: Any = (0, (3.0, 2.0))


def draw(results: dict[str, Any], path: Path) -> Path:
    """Two panels: lines exact, rings measured."""
    with styled() as colours:
        lines = (
            "A company must keep its debt below a share of its coins' value, and sells coins to repay if it does not.",
            "Left: in the book, sale after sale. Right: daily prices without impact.",
        )
        plate = Plate("How deep a market a treasury needs", lines, 1, 2, colours, panel_in=(3.6, 2.6))
        keys = [Key("line", colours.perp, "exact"), Key("ring", colours.perp, "book")]
        note = "colour: price below the trigger"
        axes = plate.panel("Coins sold", "% of all", note, keys, across="depth of the bids, critical = 1")
        shocks = sorted({row["shock"] for row in results["rows"]})
        shades = [to_hex(colormaps["cividis"](share)) for share in np.linspace(0.0, 0.85, len(shocks))]
        for place, (shock, colour) in enumerate(zip(shocks, shades, strict=True)):
            some = [row for row in results["rows"] if row["shock"] == shock]
            depth = [row["depth"] for row in some]
            curve = results["curves"][place]
            axes.plot(curve["depth"], 100 * np.array(curve["sold"]) / results["coins"], color=colour, linewidth=1.3)
            axes.plot(
                depth, [100 * row["sold"] / results["coins"] for row in some], "o", color=colour, markersize=5,
                markerfacecolor="none",
            )  # fmt: skip
            axes.text(
                0.97, 0.95 - 0.08 * place, f"{100 * shock:g} %", transform=axes.transAxes, ha="right", va="top",
                color=colour, fontsize=SOURCE_PT,
            )  # fmt: skip
        axes.axvline(1.0, color=colours.note, linewidth=1.0, linestyle=DASHES)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator([0.7, 1.0, 2.0, 3.0, 5.0, 10.0]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_ylim(0.0, 105.0)
        keys = [Key("line", colours.perp, "exact, daily"), Key("ring", colours.perp, "paths")]
        axes = plate.panel("Chance of a forced sale", "%", "", keys, across="debt at the start, % of the coins' value")
        days = sorted({row["days"] for row in results["chances"]})
        for day, share in zip(days, np.linspace(0.85, 0.0, len(days)), strict=True):
            colour = to_hex(colormaps["cividis"](float(share)))
            some = [row for row in results["chances"] if row["days"] == day]
            loans = [100 * row["loan"] for row in some]
            axes.plot(loans, [100 * row["exact"] for row in some], color=colour, linewidth=1.3)
            axes.plot(
                loans, [100 * row["ours"] for row in some], "o", color=colour, markersize=5, markerfacecolor="none"
            )
            axes.text(
                0.04, 0.9 - 0.08 * days.index(day), f"{day} days", transform=axes.transAxes, color=colour,
                fontsize=SOURCE_PT,
            )  # fmt: skip
        axes.set_ylim(0.0, 100.0)
        save(plate.sheet.figure, path)
    return path
