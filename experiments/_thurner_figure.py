"""The plate of `thurner-2012`: tails, clustering, volatility, defaults by leverage, and one crash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from scipy.special import ndtr

from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.style import SOURCE_PT, Palette, save, styled

Rows = list[dict[str, Any]]
SHOWN = (1.0, 2.0, 3.0, 5.0, 10.0)
"""Leverages whose whole tail is drawn, where they were run."""
RELAYED = {"leverage": 10.0, "hill": 2.6}


def draw(results: Rows, path: Path) -> Path:
    """Six panels; the cleared market in ink, the book in orange, both with bars of two standard errors."""
    rows = sorted(results, key=lambda row: float(row["leverage"]))
    noise = next(row["without_funds"] for row in results if "without_funds" in row)
    crash = next(row for row in results if "crash" in row)
    book = all("book" in row for row in rows)
    with styled() as colours:
        lines = (
            "Ten value funds may borrow up to a limit of leverage and are called when a fall takes them beyond it;"
            " noise traders revert to the value.",
            "Cleared: one price a step. Book: the same demand as orders, margin calls as forced sales."
            " Bars: two standard errors over seeds.",
        )
        plate = Plate("Leverage makes fat tails", lines, 2, 3, colours, panel_in=(3.3, 2.4))
        _tail(plate, rows, noise)
        note = "Hill, largest 5 % of falls below the value"
        _by_leverage(plate, rows, "Tail index", "", "hill", note, book, relayed=RELAYED)
        _clustering(plate, rows, noise)
        _by_leverage(
            plate, rows, "Volatility", "% a step", "std", "of log returns", book, scale=100.0, level=noise["std"]
        )
        _by_leverage(plate, rows, "Defaults", "a fund and 1e5 steps", "defaults_per_fund_1e5", "", book)
        _crash(plate, crash)
        save(plate.sheet.figure, path)
    return path


def _shown(rows: Rows) -> list[tuple[dict[str, Any], str]]:
    """Rows whose lines are drawn, with their colours."""
    some = [row for row in rows if row["leverage"] in SHOWN] or rows[:5]
    return [(row, to_hex(colormaps["cividis"](share))) for row, share in zip(some, _shares(len(some)), strict=True)]


def _shares(count: int) -> list[float]:
    return [float(share) for share in np.linspace(0.85, 0.0, count)]


def _tail(plate: Plate, rows: Rows, noise: dict[str, Any]) -> None:
    """Share of falls beyond a size, in standard deviations."""
    colours = plate.colours
    keys = [Key("dashes", colours.note, "normal")]
    note = "cleared, by limit of leverage (0: no funds)"
    axes = plate.panel("Falls beyond", "share of falls", note, keys, "standard deviations")
    grid = np.geomspace(0.5, 6.0, 60)
    axes.plot(grid, 2.0 * ndtr(-grid), color=colours.note, linewidth=1.2, linestyle=(0, (3.0, 2.0)))
    shown = [(noise, colours.spot), *_shown(rows)]
    for row, colour in shown:
        tail = row["tail"]
        axes.plot(tail["fall"], tail["share"], color=colour, linewidth=1.4)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(0.5, max(max(row["tail"]["fall"]) for row, _ in shown) * 1.1)
    axes.set_ylim(min(min(row["tail"]["share"]) for row, _ in shown) / 2, 1.0)
    _plain_ticks(axes, (0.5, 1.0, 2.0, 5.0, 10.0, 20.0), (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0))
    _labels(axes, [(f"{row['leverage']:g}", colour) for row, colour in shown], colours, 0.06, 0.5)


def _clustering(plate: Plate, rows: Rows, noise: dict[str, Any]) -> None:
    """Autocorrelation of absolute returns."""
    colours = plate.colours
    note = "of absolute returns, by limit of leverage; cleared"
    axes = plate.panel("Autocorrelation", "", note, across="lag, steps")
    shown = [(noise, colours.spot), *_shown(rows)]
    for row, colour in shown:
        axes.plot(row["acf"]["lag"], row["acf"]["value"], color=colour, linewidth=1.3, marker="o", markersize=2.6)
    axes.set_xscale("log")
    axes.axhline(0.0, color=colours.axis, linewidth=0.8)
    axes.xaxis.set_major_locator(FixedLocator([1.0, 3.0, 10.0, 30.0, 100.0]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    _labels(axes, [(f"{row['leverage']:g}", colour) for row, colour in shown], colours, 0.93, 0.97)


def _by_leverage(
    plate: Plate,
    rows: Rows,
    title: str,
    unit: str,
    name: str,
    note: str,
    book: bool,
    scale: float = 1.0,
    level: float | None = None,
    relayed: dict[str, float] | None = None,
) -> None:
    """One measure by the limit of leverage, cleared and in the book."""
    colours = plate.colours
    keys = [Key("ring", colours.perp, "cleared")]
    keys += [Key("diamond", colours.long, "book")] if book else []
    keys += [Key("square", colours.short, "paper")] if relayed else []
    axes = plate.panel(title, unit, note, keys, across="limit of leverage")
    for kind, colour, sign, size in (("cleared", colours.perp, "o", 5.0), ("book", colours.long, "D", 4.0)):
        if kind == "book" and not book:
            continue
        found = [row if kind == "cleared" else row["book"] for row in rows]
        values = scale * np.array([row[name] for row in found])
        errors = [2.0 * scale * (row["sd"][name] or 0.0) / np.sqrt(row["seeds"]) for row in found]
        axes.errorbar(
            [row["leverage"] for row in rows], values, errors, color=colour, linewidth=1.2, marker=sign,
            markersize=size, markerfacecolor=colours.paper if kind == "cleared" else colour, elinewidth=1.0,
            capsize=2.0, zorder=3,
        )  # fmt: skip
    if level is not None:
        axes.axhline(scale * level, color=colours.note, linewidth=1.2, linestyle=(0, (3.0, 2.0)))
        axes.annotate(
            "without funds", (rows[-1]["leverage"], scale * level), (0, -4), textcoords="offset points", ha="right",
            va="top", fontsize=SOURCE_PT, color=colours.note,
        )  # fmt: skip
    else:
        axes.set_ylim(0.0)
    if relayed:
        axes.plot(
            relayed["leverage"],
            relayed[name],
            color=colours.short,
            marker="s",
            markersize=4.5,
            linestyle="none",
            zorder=4,
        )


def _crash(plate: Plate, row: dict[str, Any]) -> None:
    """The price about the worst step, margin calls marked."""
    colours, found = plate.colours, row["crash"]
    keys = [Key("line", colours.perp, "price"), Key("circle", colours.long, "call")]
    keys.append(Key("line", colours.fund, "wealth"))
    note = f"cleared, limit {row['leverage']:g}"
    axes = plate.panel("The worst step", "value = 1", note, keys, across="steps from the crash")
    steps, price, wealth = (np.array(found[name]) for name in ("step", "price", "wealth"))
    called = np.array(found["called"])
    axes.plot(steps, price, color=colours.perp, linewidth=1.4)
    axes.plot(steps[called], price[called], color=colours.long, linestyle="none", marker="o", markersize=4.5, zorder=3)
    axes.set_ylim(0.0, 1.15)
    scale = 1.0 / max(wealth.max(), 1e-9)
    axes.plot(steps, np.maximum(scale * wealth, 0.0), color=colours.fund, linewidth=1.2)
    for place, side in ((0, "left"), (-1, "right")):
        axes.annotate(
            f"{wealth[place]:.0f}", (steps[place], max(scale * wealth[place], 0.0)), (0, 5), fontsize=SOURCE_PT,
            textcoords="offset points", ha=side, va="bottom", color=colours.fund,
        )  # fmt: skip


def _labels(axes: Axes, names: list[tuple[str, str]], colours: Palette, across: float, top: float) -> None:
    """Names of the lines in their colours, from `top` (share of the axes) down."""
    for number, (word, colour) in enumerate(names):
        axes.text(
            across, top - 0.075 * number, word, transform=axes.transAxes, fontsize=SOURCE_PT, color=colour, va="top"
        )


def _plain_ticks(axes: Axes, across: Any, up: Any) -> None:
    for axis, ticks in ((axes.xaxis, across), (axes.yaxis, up)):
        axis.set_major_locator(FixedLocator([float(tick) for tick in ticks]))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
