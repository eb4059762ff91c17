"""Figures of `avellaneda-stoikov-2008` and `glft-2013`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.style import SOURCE_PT, Palette, round_number, save, styled

MOST_PANELS = 3
"""Gammas that get a panel of their own."""


def draw_strategies(results: dict[str, Any], cells: Sequence[Sequence[str]], path: Path) -> Path:
    """Histograms of profit by gamma (the first three), one path, and the table of values."""
    rows = results["rows"]
    gammas = list(dict.fromkeys(row["gamma"] for row in rows))[:MOST_PANELS]
    with styled() as colours:
        lines = [
            "Profit of the market's makers in the project's books, inventory strategy and symmetric benchmark of equal "
            "average spread;",
            f"{rows[0]['paths']:,} paths each. Marks above: exact mean, and one standard deviation to each side.",
        ]
        plate = Plate("Avellaneda and Stoikov (2008)", lines, 2, MOST_PANELS, colours, panel_in=(3.3, 2.3))
        for gamma in gammas:
            keys = [Key("area", colours.long, "inventory"), Key("area", colours.short, "symmetric")]
            axes = plate.panel(f"Profit, γ = {gamma:g}", "share of paths, %", "", keys, across="profit at T, $")
            histograms(axes, [row for row in rows if row["gamma"] == gamma], colours)
        for _ in range(MOST_PANELS - len(gammas)):
            plate.panel("", "").set_axis_off()
        sample_panel(plate, results["sample"], rows[0]["gamma"], colours)
        axes = plate.panel("Published / exact / ours", "", "published: 1,000 paths; exact: dynamic programming")
        write_table(axes, cells, colours)
        return save(plate.sheet.figure, path)


def histograms(axes: Axes, rows: Sequence[dict[str, Any]], colours: Palette) -> None:
    """Both strategies on common bins, with exact mean and standard deviation above."""
    highest = 0.0
    for row in rows:
        edges, counts = (np.asarray(row["histogram"][name], float) for name in ("edges", "counts"))
        share = 100.0 * counts / counts.sum()
        colour = colours.long if row["strategy"] == "inventory" else colours.short
        axes.stairs(share, edges, fill=True, color=colour, alpha=0.25)
        axes.stairs(share, edges, color=colour, linewidth=1.2)
        axes.set_xlim(edges[0], edges[-1])
        highest = max(highest, float(share.max()))
    for n, row in enumerate(rows):
        colour = colours.long if row["strategy"] == "inventory" else colours.short
        height, mean, sd = highest * (1.10 + 0.10 * n), row["profit_mean_exact"], row["profit_sd_exact"]
        axes.errorbar(
            mean, height, xerr=sd, color=colour, marker="D", markersize=4.5, capsize=3, elinewidth=1.4, zorder=4
        )
    axes.set_ylim(0.0, highest * 1.32)


def sample_panel(plate: Plate, sample: dict[str, list[float]], gamma: float, colours: Palette) -> None:
    """One path: middle price, reservation price, quotes."""
    keys = [
        Key("line", colours.perp, "middle"),
        Key("dashes", colours.adl, "reservation"),
        Key("line", colours.long, "ask"),
        Key("line", colours.short, "bid"),
    ]
    axes = plate.panel(f"One path, γ = {gamma:g}", "$", "", keys, across="time, T = 1")
    time, middle, bid, ask = (np.asarray(sample[name]) for name in ("time", "middle", "bid", "ask"))
    bid, ask = np.where(bid > 0, bid, np.nan), np.where(ask > 0, ask, np.nan)
    axes.step(time, ask, color=colours.long, linewidth=0.9, where="post")
    axes.step(time, bid, color=colours.short, linewidth=0.9, where="post")
    axes.step(time, 0.5 * (bid + ask), color=colours.adl, linewidth=1.1, linestyle=(0, (3.0, 2.0)), where="post")
    axes.step(time, middle, color=colours.perp, linewidth=1.3, where="post")
    axes.set_xlim(time[0], time[-1])


def write_table(axes: Axes, cells: Sequence[Sequence[str]], colours: Palette) -> None:
    """The table, over the width of two panels; spread, profit and inventory each in a column."""
    box = axes.get_position()
    axes.set_position((box.x0 - 0.01, box.y0, 0.985 - box.x0, box.height))
    axes.set_axis_off()
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(0.0, 1.0)
    places = (0.0, 0.065, 0.275, 0.475, 0.675, 0.845, 1.0)
    for n, row in enumerate(cells):
        height = 0.94 - n * 0.9 / max(len(cells), 7)
        for column, words in enumerate(row):
            left = column < 2
            look: dict[str, Any] = {"fontsize": SOURCE_PT, "ha": "left" if left else "right", "va": "center"}
            colour = colours.note if n == 0 else colours.text
            axes.text(places[column], height, words, color=colour, **look)
        if n == 0:
            axes.axhline(height - 0.055, color=colours.axis, linewidth=0.8)


def draw_quotes(results: dict[str, Any], path: Path) -> Path:
    """Four panels about the first gamma; certainty equivalents of all."""
    rows = results["rows"]
    row = rows[0]
    with styled() as colours:
        lines = [
            "Quotes of the market's makers by three rules, and what the rules are worth to a maker with exponential "
            "utility.",
            f"Panels a, b and d: γ = {row['gamma']:g}; {row['paths']:,} paths through the project's books.",
        ]
        plate = Plate("Guéant, Lehalle and Fernandez-Tapia (2013)", lines, 2, 2, colours, panel_in=(4.4, 2.5))
        quotes_panel(plate, row, colours)
        time_panel(plate, row, colours)
        worth_panel(plate, rows, colours)
        law_panel(plate, row, colours)
        return save(plate.sheet.figure, path)


def quotes_panel(plate: Plate, row: dict[str, Any], colours: Palette) -> None:
    """Distances of bid and ask by inventory."""
    keys = [
        Key("line", colours.short, "bid"),
        Key("line", colours.long, "ask"),
        Key("ring", colours.perp, "closed form"),
        Key("dashes", colours.note, "Avellaneda-Stoikov"),
    ]
    axes = plate.panel("Distance from the middle", "$", "", keys, across="inventory, units")
    units = np.asarray(row["inventory"])
    for side, colour in (("bid", colours.short), ("ask", colours.long)):
        exact = np.asarray(row[f"{side}_exact"])
        axes.plot(units, row[f"{side}_avellaneda-stoikov"], color=colour, linewidth=1.0, linestyle=(0, (3.0, 2.0)))
        axes.plot(units, exact, color=colour, linewidth=1.6)
        far = np.asarray(row[f"{side}_far"])
        axes.plot(units, far, linestyle="none", marker="o", markersize=4.0, markerfacecolor="none", color=colour)
    low, high = min(row["bid_exact"]), max(row["bid_exact"])
    axes.set_ylim(low - 0.25 * (high - low), high + 0.25 * (high - low))
    axes.set_xlim(units[0] - 0.5, units[-1] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def time_panel(plate: Plate, row: dict[str, Any], colours: Palette) -> None:
    """Exact bid distances against remaining time, with the closed form."""
    keys = [
        Key("circle", colours.fund, "q = 0"),
        Key("circle", colours.adl, "q = 3"),
        Key("dashes", colours.note, "closed form"),
    ]
    axes = plate.panel("Exact bid distance", "$", "", keys, across="remaining time")
    times = [item["remaining"] for item in row["by_time"]]
    for name, colour, far in (("bid_0", colours.fund, 0), ("bid_3", colours.adl, 1)):
        bids = [item[name] for item in row["by_time"]]
        axes.plot(times, bids, color=colour, linewidth=1.4, marker="o", markersize=4.5)
        axes.axhline(row["far_by_time"][far], color=colour, linewidth=1.0, linestyle=(0, (3.0, 2.0)))
    axes.set_xlim(0.0, max(times) * 1.03)


def worth_panel(plate: Plate, rows: Sequence[dict[str, Any]], colours: Palette) -> None:
    """What each rule loses against the exact one, by gamma."""
    keys = [Key("bar", colours.long, "Avellaneda-Stoikov"), Key("bar", colours.short, "symmetric")]
    title = "Certainty equivalent below the optimum"
    axes = plate.panel(title, "$, log scale", "", keys, across="risk aversion γ, and value of the exact quotes")
    least = 1e-3
    names = (("avellaneda-stoikov", colours.long), ("symmetric", colours.short))
    for place, row in enumerate(rows):
        for n, (name, colour) in enumerate(names):
            loss = max(row["in_steps"]["exact"] - row["in_steps"][name], least)
            at = place + 0.36 * (n - 0.5)
            axes.bar(at, loss, width=0.32, color=colour)
            axes.text(at, loss * 1.15, f"{loss:,.2f}", ha="center", va="bottom", fontsize=SOURCE_PT, color=colours.text)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: round_number(value)))
    axes.yaxis.set_minor_locator(NullLocator())
    losses = [row["in_steps"]["exact"] - row["in_steps"]["symmetric"] for row in rows]
    axes.set_ylim(0.02, max(max(losses), 1.0) * 6.0)
    axes.set_xticks(range(len(rows)), [f"{row['gamma']:g}:  ${row['in_steps']['exact']:.2f}" for row in rows])
    axes.set_xlim(-0.6, len(rows) - 0.4)


def law_panel(plate: Plate, row: dict[str, Any], colours: Palette) -> None:
    """Law of the last inventory: exact and in the books."""
    keys = [Key("bar", colours.depth, "books"), Key("circle", colours.perp, "exact")]
    axes = plate.panel("Inventory at the end", "share of paths, %", "exact quotes", keys, across="units")
    law, counts = np.asarray(row["inventory_law"]), np.asarray(row["inventory_counts"], float)
    limit = law.size // 2
    units = np.arange(-limit, limit + 1)
    seen = np.flatnonzero((law > 1e-4) | (counts > 0))
    axes.bar(units, 100.0 * counts / counts.sum(), width=0.8, color=colours.depth)
    axes.plot(units, 100.0 * law, linestyle="none", marker="o", markersize=4.0, color=colours.perp)
    axes.set_xlim(units[seen[0]] - 1, units[seen[-1]] + 1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
