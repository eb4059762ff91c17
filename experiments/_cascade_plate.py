"""The figure of `cascade-size`: sizes beside Borel's law, fall of the price, mean and survival by kind of maker."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.style import BODY_PT, Palette, round_number, save, styled
from experiments._branching import size_pmf, survival_limit

Rows = list[dict[str, Any]]


def draw_cascades(results: Rows, path: Path) -> Path:
    """Four panels; `results` as given by the experiment."""
    rows = sorted(results, key=lambda row: float(row["branching"]))
    with styled() as colours:
        runs = max(row["runs"] for row in rows)
        lines = [
            f"A sale of one clip into a uniform book sets off Poisson(n) liquidations of one clip each, and so on; "
            f"{round_number(runs)} cascades a ratio.",
            "Rings: every step is the exchange's own (mark = last price, liquidate, trade, absorb). Lines: exact. "
            + _maker_words(rows),
        ]
        plate = Plate("Liquidation cascades against theory", lines, 2, 2, colours)
        _sizes(plate, rows, colours)
        _fall(plate, rows, colours)
        _means(plate, rows, colours)
        _survival(plate, rows, colours)
        return save(plate.sheet.figure, path)


def _maker_words(rows: Rows) -> str:
    part = next((row["withdraw"] for row in rows if row["withdraw"]), None)
    return "" if part is None else f"Withdraw: {1 - part['kept']:.0%} of the depth leaves."


def ring(colour: str, colours: Palette) -> dict[str, Any]:
    """Look of a measured point."""
    return {"marker": "o", "markersize": 5, "markerfacecolor": colours.paper, "markeredgecolor": colour,
            "markeredgewidth": 1.2, "linestyle": "none", "clip_on": False, "zorder": 4}  # fmt: skip


def _sizes(plate: Plate, rows: Rows, colours: Palette) -> None:
    keys = [Key("line", colours.perp, "Borel"), Key("ring", colours.long, "exchange")]
    axes = plate.panel("Size of a cascade", "probability of k clips or more", "", keys, across="clips sold, k")
    axes.set_xscale("log")
    axes.set_yscale("log")
    least = min(1 / row["runs"] for row in rows) / 2
    widest = 1
    for row in rows:
        n, cap = float(row["branching"]), int(row["size_cap"])
        beyond = np.concatenate([[1.0], 1 - np.cumsum(size_pmf(n, n, cap))])
        counts = np.zeros(cap)
        for size, number in row["histogram"].items():
            counts[int(size)] = number
        ours = 1 - np.cumsum(counts) / row["runs"]  # at k: more than k
        used = np.flatnonzero(beyond > least)
        widest = max(widest, int(used[-1]) + 1)
        axes.plot(used + 1, beyond[used], color=colours.perp, linewidth=1.3)
        places = np.unique(np.rint(np.geomspace(1, used[-1] + 1, 14)).astype(int))
        found = np.array([1.0 if k == 1 else ours[k - 1] for k in places if k <= cap])
        places = places[places <= cap]
        axes.plot(places[found > least], found[found > least], **ring(colours.long, colours))
        end = used[-1]
        place = (-4, 6) if beyond[end] > 0.02 else (-7, 4)  # above the plateau of those that survive; else left
        axes.annotate(f"{n:g}", (end + 1, beyond[end]), place, textcoords="offset points", ha="right",
                      fontsize=BODY_PT, color=colours.note)  # fmt: skip
    axes.set_xlim(0.9, widest * 2)
    axes.set_ylim(least, 1.3)
    axes.yaxis.set_major_locator(FixedLocator([10.0**p for p in range(math.ceil(math.log10(least)), 1)]))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_major_formatter(lambda value, _: round_number(value))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
        axis.set_minor_formatter(NullFormatter())


def _fall(plate: Plate, rows: Rows, colours: Palette) -> None:
    keys = [Key("line", colours.perp, "1/(1 − n)"), Key("ring", colours.long, "exchange")]
    axes = plate.panel("Fall of the price", "in units of the first sale's own", "smooth accounts", keys,
                       across="branching ratio n")  # fmt: skip
    _ratios(axes, rows)
    known = [row for row in rows if row["drop_ratio"] is not None]
    most = max([0.9, *(row["branching"] for row in known)])
    curve = np.linspace(0, most + (1 - most) / 3, 300)
    axes.plot(curve, 1 / (1 - curve), color=colours.perp, linewidth=1.3)
    axes.plot([row["branching"] for row in known], [row["drop_ratio"] for row in known], **ring(colours.long, colours))
    _times(axes, 1.5 / (1 - most))
    _threshold(axes, colours, "runs to the last account")


def _maker_keys(colours: Palette) -> list[Key]:
    hues = {"steady": colours.perp, "refill": colours.short, "withdraw": colours.long}
    return [Key("line", hue, name) for name, hue in hues.items()]


def _part(row: dict[str, Any], name: str) -> dict[str, Any]:
    """The results of a row for one kind of maker; none: empty."""
    part: dict[str, Any] = (row[name] if name else row) or {}
    return part


def _means(plate: Plate, rows: Rows, colours: Palette) -> None:
    keys = _maker_keys(colours)
    axes = plate.panel("Mean size by kind of maker", "clips", "", keys, across="branching ratio n")
    _ratios(axes, rows)
    critical = _critical(rows)
    top = 1.0
    for name, colour in (("", colours.perp), ("withdraw", colours.long)):
        bound = critical if name else 1.0
        curve = np.linspace(0, bound * 0.985, 300)
        axes.plot(curve, 1 + curve / (1 - curve / bound), color=colour, linewidth=1.3)
        known = [row for row in rows if row["branching"] < bound * 0.97 and _part(row, name).get("mean") is not None]
        means = [float(_part(row, name)["mean"]) for row in known]
        axes.plot([row["branching"] for row in known], means, **ring(colour, colours))
        top = max([top, *means])
    known = [row for row in rows if row["refill"] and row["refill"]["survival_exact"] < 1e-3]
    ratios = [float(row["branching"]) for row in known]
    axes.plot([0, *ratios], [1, *(row["refill"]["mean_exact"] for row in known)], color=colours.short, linewidth=1.3)
    axes.plot(ratios, [row["refill"]["mean"] for row in known], **ring(colours.short, colours))
    _times(axes, 2 * top)


def _survival(plate: Plate, rows: Rows, colours: Palette) -> None:
    keys = _maker_keys(colours)
    axes = plate.panel("Cascades that never end", "share", "", keys, across="branching ratio n")
    _ratios(axes, rows)
    critical = _critical(rows)
    curve = np.linspace(0.01, axes.get_xlim()[1], 400)
    axes.plot(curve, [survival_limit(n, n) for n in curve], color=colours.perp, linewidth=1.3)
    axes.plot(curve, [survival_limit(n, n / critical) for n in curve], color=colours.long, linewidth=1.3)
    for name, colour in (("withdraw", colours.long), ("refill", colours.short), ("", colours.perp)):
        known = [row for row in rows if _part(row, name)]
        ratios = [float(row["branching"]) for row in known]
        if name == "refill":
            axes.plot(ratios, [row["refill"]["survival_exact"] for row in known], color=colour, linewidth=1.3)
        axes.plot(ratios, [_part(row, name)["survival"] for row in known], **ring(colour, colours))
    axes.set_ylim(0, 1)


def _critical(rows: Rows) -> float:
    """The ratio from which cascades among withdrawing makers survive: what they leave of the book."""
    return next((float(row["withdraw"]["kept"]) for row in rows if row["withdraw"]), 1.0)


def _ratios(axes: Axes, rows: Rows) -> None:
    axes.set_xlim(0, max(1.1, max(row["branching"] for row in rows) + 0.1))


def _times(axes: Axes, most: float) -> None:
    axes.set_yscale("log")
    axes.set_ylim(1, most)
    axes.yaxis.set_major_locator(FixedLocator([c * 10.0**p for p in range(4) for c in (1, 2, 5)]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: round_number(value))


def _threshold(axes: Axes, colours: Palette, words: str) -> None:
    axes.axvline(1, color=colours.note, linewidth=0.8, linestyle=(0, (3.0, 2.0)))
    axes.annotate(words, (1, axes.get_ylim()[0]), (4, 6), textcoords="offset points", rotation=90, fontsize=BODY_PT,
                  color=colours.note)  # fmt: skip
