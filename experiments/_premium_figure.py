"""The plate of `perp-premium`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.style import Palette, save, styled
from experiments._premium_published import PUBLISHED

ACROSS = {"bias": "bias: shorts who are positional", "life": "life of an order, steps", "spread": "largest k"}


def draw(results: dict[str, Any], path: Path) -> Path:
    """Control limits by bias, life and spread; points outside; what holds the premium."""
    rows, own = results["rows"], results["own"]
    with styled() as colours:
        lines = (
            f"The market of Rao (2025) in our books, means of {results['seeds']} runs. Lines: published, the program's "
            "own results over 100 runs. Rings: ours, orders removed by name as there. Diamonds: a book that is right.",
            "e, f: ours. Blind traders look at the perpetual's own price, not at the coin's. Carry: basis traders act "
            "on the premium, not on its trend.",
        )
        plate = Plate("What holds the premium of a perpetual", lines, 2, 3, colours, panel_in=(3.5, 2.35))
        keys = [Key("line", colours.perp, "centre"), Key("line", colours.long, "upper"),
                Key("line", colours.short, "lower")]  # fmt: skip
        titles = {"bias": "Longs positional, shorts basis", "life": "Deeper books", "spread": "Wider quotes"}
        for sweep, title in titles.items():
            axes = plate.panel(title, "$, coin from 100", "", keys, across=ACROSS[sweep])
            some = [row for row in rows if row["sweep"] == sweep]
            for k, colour in enumerate((colours.perp, colours.short, colours.long)):
                _series(axes, some, PUBLISHED[sweep], k, colour, colours)
            axes.axhline(0.0, color=colours.note, linewidth=0.8, linestyle=(0, (2, 2)))
        keys = [Key("line", colours.perp, "published"), Key("ring", colours.long, "ours"),
                Key("diamond", colours.fund, "right book")]  # fmt: skip
        axes = plate.panel("Points outside the limits", "of 1,000", "", keys, across=ACROSS["life"])
        some = [row for row in rows if row["sweep"] == "life"]
        _series(axes, some, PUBLISHED["life"], 3, colours.perp, colours, colours.long, colours.fund)
        axes.set_ylim(0)
        if own:
            _own(plate, own, results["path"])
        return save(plate.sheet.figure, path)


def _series(
    axes: Axes, some: list[dict[str, Any]], known: dict[float, Any], k: int, colour: str, colours: Palette,
    ring: str = "", cross: str = "",
) -> None:  # fmt: skip
    axes.plot(list(known), [values[k] for values in known.values()], color=colour, linewidth=1.5)
    look: dict[str, Any] = {"linestyle": "none", "zorder": 3}
    at = [row["value"] for row in some]
    right, ours = ([row[name][k] for row in some] for name in ("right", "ours"))
    axes.plot(at, right, "D", color=cross or colour, markersize=3.5, markeredgewidth=0.0, **look)
    axes.plot(
        at, ours, "o", color=ring or colour, markersize=5, markerfacecolor=colours.paper, markeredgewidth=1.2, **look
    )


def _own(plate: Plate, own: list[dict[str, Any]], path: dict[str, Any]) -> None:
    colours = plate.colours
    looks = ((False, colours.long, "trend only"), (True, colours.fund, "carry"))
    keys = [Key("line", colour, words) for _, colour, words in looks]
    axes = plate.panel("Premium by who looks", "% rms, log", "", keys, across="blind traders, %")
    for carry, colour, _ in looks:
        some = [row for row in own if row["carry"] == carry]
        axes.errorbar(
            [100 * row["blind"] for row in some], [100 * row["rms"] for row in some],
            [200 * row["se"] for row in some], color=colour, linewidth=1.5, marker="o", markersize=5,
            markerfacecolor=colours.paper, capsize=2,
        )  # fmt: skip
    axes.set_yscale("log")
    marks = (2, 5, 10, 20, 50, 100)
    axes.set_yticks(marks, [str(mark) for mark in marks])
    axes.minorticks_off()
    axes = plate.panel("One path", "premium, %", f"{100 * path['blind']:.0f} % blind", keys, across="step")
    axes.plot(path["step"], path["without"], color=colours.long, linewidth=1.2)
    axes.plot(path["step"], path["with"], color=colours.fund, linewidth=1.2)
    axes.axhline(0.0, color=colours.note, linewidth=0.8, linestyle=(0, (2, 2)))
