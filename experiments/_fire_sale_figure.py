"""The plate of `fire-sale-2017`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.style import Palette, save, styled


def draw(results: dict[str, Any], path: Path) -> Path:
    """Failures and sales by impact and by shock under both rules; identical investors; who comes first."""
    curves, banks, o = results["curves"], results["banks"], results["options"]
    whose = "of the 2018 European stress test" if results["source"] == "file" else "drawn at random"
    with styled() as colours:
        lines = (
            f"{banks} banks {whose} sell bonds when equity falls short of their rule, all in the same step. Lines: "
            f"exact, one price a step. Rings: in the book, {o['rounds']} rounds a step.",
            f"Threshold: below {100 * o['trigger']:g} % of assets, back to {100 * o['target']:g} %. Targeting: always "
            f"back to {100 * o['target']:g} %. Below {100 * o['minimum']:g} % a bank fails and sells all. Identical "
            "investors hold one bond, with borrowed money.",
        )
        plate = Plate("Fire sales: threshold against targeting", lines, 2, 3, colours, panel_in=(3.5, 2.35))
        keys = [Key("line", colours.perp, "threshold"), Key("line", colours.long, "targeting")]
        first = f"government bonds down {100 * o['shock']:g} %"
        impact = "fall of the price when a twentieth is sold, %"
        axes = plate.panel("Failures by impact", "banks", first, across=impact)
        _curve(axes, curves["impact"], "failed", 1.0, colours.perp, colours)
        axes.set_ylim(0, banks)
        shock = "fall of government bonds, %"
        axes = plate.panel("Failures by shock", "banks", "", keys, across=shock)
        for name, colour in (("threshold", colours.perp), ("targeting", colours.long)):
            _curve(axes, curves[name], "failed", 1.0, colour, colours)
        axes.set_ylim(0)
        _alike(plate, results)
        axes = plate.panel("Sold by impact", "% of all bonds", first, across=impact)
        _curve(axes, curves["impact"], "sold", 100.0, colours.perp, colours)
        axes.set_ylim(0, 104)
        axes = plate.panel("Sold by shock", "% of all bonds", "", keys, across=shock)
        for name, colour in (("threshold", colours.perp), ("targeting", colours.long)):
            _curve(axes, curves[name], "sold", 100.0, colour, colours)
        axes.set_ylim(0, 104)
        _arrivals(plate, results, impact)
        return save(plate.sheet.figure, path)


def _curve(axes: Axes, curve: dict[str, Any], key: str, factor: float, colour: str, colours: Palette) -> None:
    across = 100.0 * np.array(curve["across"])
    axes.plot(across, factor * np.array(curve["exact"][key]), color=colour, linewidth=1.5)
    axes.plot(
        across, factor * np.array(curve["ours"][key]), "o", color=colour, markersize=4.5,
        markerfacecolor=colours.paper, markeredgewidth=1.1, zorder=3, clip_on=False,
    )  # fmt: skip


def _alike(plate: Plate, results: dict[str, Any]) -> None:
    colours, law, rows = plate.colours, results["law"], results["alike"]
    keys = [Key("line", colours.perp, "exact"), Key("dashes", colours.note, "1/(1 − gain)"),
            Key("ring", colours.long, "targeting"), Key("ring", colours.short, "threshold")]  # fmt: skip
    axes = plate.panel("Identical investors", "fall / shock, log", "", keys, across="gain of a round, β (leverage − 1)")
    axes.plot(law["gain"], law["fall"], color=colours.perp, linewidth=1.5)
    most = 1.05 * max(row["targeting"] for row in rows)
    grid = np.linspace(0.0, 1.0 - 1.0 / most, 200)
    axes.plot(grid, 1.0 / (1.0 - grid), color=colours.note, linewidth=1.1, linestyle=(0, (3, 2)))
    for name, colour in (("targeting", colours.long), ("threshold", colours.short)):
        axes.plot(
            [row["gain"] for row in rows], [row[name] for row in rows], "o", color=colour, markersize=5.5,
            markerfacecolor=colours.paper, markeredgewidth=1.2, zorder=3,
        )  # fmt: skip
    axes.set_xlim(left=-0.04)
    axes.set_yscale("log")
    axes.set_ylim(0.8, 1.3 * most)
    marks = [mark for mark in (1, 2, 5, 10, 20, 50, 100, 200) if mark <= 1.3 * most]
    axes.set_yticks(marks, [str(mark) for mark in marks])
    axes.minorticks_off()


def _arrivals(plate: Plate, results: dict[str, Any], across: str) -> None:
    colours, found = plate.colours, results["arrivals"]
    failed = np.array(found["failed"])
    keys = [Key("line", colours.perp, "exact"), Key("ring", colours.fund, "one round")]
    note = f"{len(failed)} orders of arrival"
    axes = plate.panel("First come, first paid", "banks", note, keys, across=across)
    x = 100.0 * np.array(found["across"])
    axes.plot(x, results["curves"]["impact"]["exact"]["failed"], color=colours.perp, linewidth=1.5)
    axes.vlines(x, failed.min(axis=0), failed.max(axis=0), color=colours.fund, linewidth=1.2)
    axes.plot(
        x, failed.mean(axis=0), "o", color=colours.fund, markersize=4.5, markerfacecolor=colours.paper,
        markeredgewidth=1.1, zorder=3,
    )  # fmt: skip
    axes.set_ylim(0, results["banks"])
