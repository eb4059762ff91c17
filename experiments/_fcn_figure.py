"""The plate of `chiarella-iori`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.style import save, styled

PANELS = (
    (0, "Fat tails", "excess kurtosis, log", (3.0, None), (5.8, 30.3)),
    (1, "Tail index", "Hill, largest 5 %", (1.5, 4.5), (1.72, 3.25)),
    (2, "No autocorrelation", "largest of lags 1–20", (None, 0.1), (0.024, 0.067)),
    (3, "Volatility clusters", "autocorr. of |r| at 1", (0.1, None), (0.144, 0.240)),
    (4, "Clusters last", "mean of lags 1–10", (0.02, None), (0.034, 0.077)),
)
"""Fact, title, unit, PAMS's threshold and its range over 240 runs."""


def draw(results: dict[str, Any], path: Path) -> Path:
    """Two prices, and each fact run by run: ours and PAMS's, its thresholds and ranges."""
    ours, pams = results["ours"], results["pams"]
    with styled() as colours:
        beside = f"{len(next(iter(pams.values())))} of PAMS" if pams else "PAMS was not run"
        lines = (
            f"100 traders of Chiarella and Iori in our books, {results['steps']:,} steps, {len(ours['validation'])} "
            f"runs a population, one after another along each axis; {beside}. Dashes: PAMS's thresholds.",
            "Band: its range over 240 runs of the validation population. Sample: the parameters of its example, "
            "wide margins and windows, which fail on purpose.",
        )
        plate = Plate("Stylised facts from an order book", lines, 2, 3, colours, (3.5, 2.3))
        keys = [Key("line", colours.long, "validation"), Key("line", colours.short, "sample")]
        axes = plate.panel("One path of each", "price", "", keys, across="step, thousands")
        for prices, colour in zip(results["path"]["prices"], (colours.long, colours.short), strict=True):
            axes.plot(np.array(results["path"]["step"]) / 1e3, prices, color=colour, linewidth=0.9)
        keys = [Key("circle", colours.long, "validation"), Key("circle", colours.short, "sample"),
                Key("ring", colours.perp, "PAMS")]  # fmt: skip
        for number, title, unit, threshold, span in PANELS:
            axes = plate.panel(title, unit, "", keys)
            axes.axhspan(*span, color=colours.band, zorder=0)
            for bound in threshold:
                if bound is not None:
                    axes.axhline(bound, color=colours.note, linewidth=0.9, linestyle=(0, (3, 2)))
            for place, (name, colour) in enumerate((("validation", colours.long), ("sample", colours.short))):
                for found, face, edge, shift in ((ours, colour, colour, 0.0), (pams, colours.paper, colours.perp, 0.5)):
                    values = np.array(found.get(name, np.empty((0, 7))))[:, number]
                    across = place + shift + np.linspace(0.06, 0.44, values.size) if values.size else values
                    axes.plot(
                        across, values, "o", color=face, markersize=3.6, markeredgecolor=edge, markeredgewidth=0.8
                    )
            axes.set_xlim(0, 2)
            axes.set_xticks([0.5, 1.5], ["validation", "sample"])
            if number == 0:
                axes.set_yscale("log")
                axes.set_yticks([0.3, 1, 3, 10, 30], ["0.3", "1", "3", "10", "30"])
                axes.minorticks_off()
            else:
                axes.set_ylim(0)
        return save(plate.sheet.figure, path)
