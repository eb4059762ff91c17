"""The plate of the zero-intelligence experiment: spread, collapse, diffusion by granularity and by lag."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.style import SOURCE_PT, Palette, save, styled

Rows = list[dict[str, Any]]

REACH = 8.0
"""Distance up to which the depth profile is drawn, p_c."""
SMALL = 0.2
"""The guides of the diffusion are laid through the granularities up to this one."""
DASHES: Any = (0, (3.0, 2.0))


def draw(results: dict[str, Any], path: Path) -> Path:
    """Four panels; ours in colour with bars of two standard errors, yardsticks in ink and grey."""
    rows = sorted(results["rows"], key=lambda row: float(row["eps"]))
    first, last = results["rows"][0]["tick"], results["rows"][-1]["tick"]
    fine, coarse = ([row for row in rows if row["tick"] == tick] for tick in (first, last))
    table = [row for row in results["regression"] if row["tick"] == first and _within(fine, row["eps"])]
    with styled() as colours:
        lines = (
            "Random limit orders (rate alpha), market orders (mu), cancellations (delta) of size sigma on the project's"
            " books; rates are one side's.",
            f"Price unit p_c = mu/alpha, time unit 1/delta, tick {first:g} p_c."
            " Bars: two standard errors over independent replicas.",
        )
        plate = Plate("Zero-intelligence order flow", lines, 2, 2, colours, panel_in=(3.6, 2.5))
        _spread(plate, fine, coarse if last != first else [], table)
        _depth(plate, fine, results["collapse"])
        _diffusion(plate, fine, table)
        _signature(plate, fine)
        save(plate.sheet.figure, path)
    return path


def _spread(plate: Plate, fine: Rows, coarse: Rows, table: Rows) -> None:
    """Spread by granularity, at the fine and at the coarse tick, beside the table and the published fit."""
    colours = plate.colours
    keys = [Key("ring", colours.long, "ours")]
    keys += [Key("diamond", colours.fund, f"tick {coarse[0]['tick']:g}")] if coarse else []
    keys += [Key("square", colours.perp, "table")] if table else []
    note = f"{'table: regression, not published · ' if table else ''}dashes: published mean field"
    axes = plate.panel("Spread", "p_c", note, keys, across="eps = delta sigma/mu")
    eps = np.geomspace(fine[0]["eps"] / 1.2, fine[-1]["eps"] * 1.2, 100)
    fits = (
        (0.28 + 1.86 * eps**0.75, "fit, mu of one side"),
        (2 * (0.28 + 1.86 * (eps / 2) ** 0.75), "fit, mu of both sides"),
    )
    for (values, words), below in zip(fits, (True, False), strict=True):
        axes.plot(eps, values, color=colours.note, linewidth=1.2, linestyle=DASHES)
        at = 18 if below else 50
        axes.annotate(
            words, (eps[at], values[at]), (5, -3) if below else (-5, 3), textcoords="offset points", fontsize=SOURCE_PT,
            color=colours.note, ha="left" if below else "right", va="top" if below else "bottom",
        )  # fmt: skip
    if coarse:
        _points(axes, coarse, "spread", colours.fund, "D", 3.2)
    _table(axes, table, "spread", colours)
    _points(axes, fine, "spread", colours.long)
    _log(axes, [row["eps"] for row in fine], (0.25, 0.5, 1.0, 2.0, 4.0))


def _depth(plate: Plate, fine: Rows, collapse: Rows) -> None:
    """Depth by distance under both parameter sets."""
    colours = plate.colours
    keys = [Key("line", colours.perp, "set A"), Key("dashes", colours.note, "far, exact")]
    keys[1:1] = [Key("ring", colours.perp, "B")] if collapse else []
    note = "B has 3 lots an order, rates × 2.7 and dollars × 5" if collapse else ""
    axes = plate.panel("Depth", "alpha/delta", note, keys, across="distance from the opposite best price, p_c")
    axes.axhline(1.0, color=colours.note, linewidth=1.2, linestyle=DASHES)
    others = {pair["eps"]: pair["other"] for pair in collapse}
    for row, colour in zip(fine, _ramp(len(fine)), strict=True):
        distance, profile = np.array(row["profile_distance"]), np.array(row["profile"])[:, 0]
        near = distance <= REACH
        axes.plot(distance[near], profile[near], color=colour, linewidth=1.4)
        if row["eps"] in others:
            other = np.array(others[row["eps"]]["profile"])[near, 0]
            axes.plot(
                distance[near][::2], other[::2], linestyle="none", marker="o", markersize=3.6, markeredgewidth=0.9,
                markerfacecolor=colours.paper, markeredgecolor=colour,
            )  # fmt: skip
    axes.set_xlim(0.0, REACH)
    axes.set_ylim(0.0, 1.15)
    _label_ramp(axes, fine, 0.97, 0.62, colours.note)


def _diffusion(plate: Plate, fine: Rows, table: Rows) -> None:
    """Short-time and long-time diffusion of the mid by granularity."""
    colours = plate.colours
    keys = [Key("ring", colours.long, "event"), Key("ring", colours.short, "long")]
    keys += [Key("square", colours.perp, "table")] if table else []
    shortest, longest = (choice(row["lags"][-1] for row in fine) for choice in (min, max))
    lags = f"{longest:.0f}/delta" if longest < 1.1 * shortest else f"{shortest:.0f} to {longest:.0f}/delta"
    note = f"lag: one event, or {lags} · dashes: eps^−½, eps^½"
    axes = plate.panel("Diffusion", "p_c² delta", note, keys, across="eps = delta sigma/mu")
    eps = np.array([fine[0]["eps"], fine[-1]["eps"]])
    for name, power, colour in (("variation", -0.5, colours.long), ("diffusion", 0.5, colours.short)):
        small = [row for row in fine if row["eps"] <= SMALL] or fine
        level = np.exp(np.mean([np.log(row[name]) - power * np.log(row["eps"]) for row in small]))
        axes.plot(eps, level * eps**power, color=colours.note, linewidth=1.0, linestyle=DASHES)
        _table(axes, table, name, colours)
        _points(axes, fine, name, colour)
    _log(axes, [row["eps"] for row in fine], (0.1, 0.3, 1.0, 3.0, 10.0))


def _signature(plate: Plate, fine: Rows) -> None:
    """Diffusion by lag, from one event to many lifetimes."""
    note = "mean squared change of the mid over a lag, divided by the lag"
    axes = plate.panel("Signature", "p_c² delta", note, across="lag, 1/delta")
    for row, colour in zip(fine, _ramp(len(fine)), strict=True):
        lags, found = np.array(row["lags"]), np.array(row["diffusion_by_lag"])
        bars = 2 * found[:, 1]
        axes.errorbar(lags, found[:, 0], bars, color=colour, linewidth=1.3, elinewidth=0.8, marker="o", markersize=2.4)
    _log(axes, (1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0, 100.0), (0.1, 0.3, 1.0, 3.0, 10.0))
    _label_ramp(axes, fine, 0.10, 0.075 * (len(fine) + 1), plate.colours.note)


def _within(rows: Rows, eps: float) -> bool:
    """Whether a granularity lies in the range of the rows."""
    return bool(rows[0]["eps"] <= eps <= rows[-1]["eps"])


def _points(axes: Axes, rows: Rows, name: str, colour: str, sign: str = "o", size: float = 5.5) -> None:
    """Ours with bars of two standard errors."""
    eps = [row["eps"] for row in rows]
    values, errors = ([row[key] for row in rows] for key in (name, f"{name}_error"))
    axes.errorbar(
        eps, values, 2 * np.array(errors), color=colour, linestyle="none", marker=sign, markersize=size,
        markerfacecolor="none", markeredgewidth=1.2, elinewidth=1.2, capsize=2.5, zorder=4,
    )  # fmt: skip


def _table(axes: Axes, rows: Rows, name: str, colours: Palette) -> None:
    """The regression table."""
    axes.plot(
        [row["eps"] for row in rows], [row[name] for row in rows], color=colours.perp, linestyle="none", marker="s",
        markersize=3.0, zorder=3,
    )  # fmt: skip


def _ramp(count: int) -> list[str]:
    """Colours from the smallest granularity to the largest."""
    return [to_hex(colormaps["cividis"](share)) for share in np.linspace(0.0, 0.85, count)]


def _label_ramp(axes: Axes, rows: Rows, right: float, top: float, grey: str) -> None:
    """Names of the lines, in their colours, left of `right` and from `top` (shares of the axes) down."""
    words = ["eps", *(f"{row['eps']:g}" for row in rows)]
    for number, (word, colour) in enumerate(zip(words, [grey, *_ramp(len(rows))], strict=True)):
        axes.text(
            right, top - 0.075 * number, word, transform=axes.transAxes, fontsize=SOURCE_PT, color=colour, ha="right",
            va="top",
        )  # fmt: skip


def _log(axes: Axes, across: Any, up: Any) -> None:
    """Logarithmic axes with plain numbers at these ticks, as far as they are in view."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis, ticks in ((axes.xaxis, across), (axes.yaxis, up)):
        axis.set_major_locator(FixedLocator([float(tick) for tick in ticks]))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
