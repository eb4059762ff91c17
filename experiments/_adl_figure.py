"""The plate of `adl-2025`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.style import Palette, save, styled, tint, with_commas

Rows = list[dict[str, Any]]
Looks = dict[str, tuple[str, str, str]]


def draw(results: dict[str, Any], path: Path) -> Path:
    """Sixteen waves: taken, needed, haircut; one loss under six rules: haircut by rank, who bears it, a larger need."""
    waves, rules = results["waves"], results["rules"]
    with styled() as colours:
        kind = "rebuilt from" if rules["source"] == "reconstructed" else "drawn like those of"
        who = "waves of Chitra (2025)" if waves["source"] == "file" else "the published totals"
        lines = [
            f"Hyperliquid, 10 October 2025, 21:16–21:27 UTC. a–c: {who}; c: {waves['accounts']:,} drawn winners a wave "
            "scaled to its capacity.",
            f"d–f: {rules['eligible']:,} winners {kind} the venue's; {100 * rules['share']:.0f} % of their notional is "
            f"closed {rules['gap_percent']:.1f} % beyond the mark to raise ${rules['loss_usd'] / 1e6:.1f}m. A "
            "socialised charge falls on",
            "the same accounts. Bybit's queue ranks as Hyperliquid's wherever equity is above zero.",
        ]
        plate = Plate("Auto-deleveraging on 10 October 2025: who pays", lines, 2, 3, colours, (3.7, 2.4))
        _waves(plate, waves["waves"])
        looks = _looks(colours)
        _ranks(plate, rules["ranks"], looks)
        _need(plate, rules["curves"], looks, rules["share"])
        return save(plate.sheet.figure, path)


def _waves(plate: Plate, rows: Rows) -> None:
    """Taken and needed, overshoot, haircut of the largest winner."""
    colours, place = plate.colours, np.arange(len(rows))
    light = tint(colours.adl, colours.paper, 0.45)
    needed, taken = (np.array([row[key] for row in rows]) / 1e6 for key in ("needed", "production"))
    keys = [Key("bar", light, "taken"), Key("diamond", colours.perp, "needed")]
    axes = plate.panel("Taken and needed", "$m, log", "", keys, across="wave")
    floor = 1e-4
    axes.bar(place, np.maximum(taken - floor, 0), bottom=floor, color=light, width=0.7)
    axes.plot(place, needed, "D", color=colours.perp, markersize=4)
    axes.set_yscale("log")
    axes.set_ylim(floor, 100)
    axes.set_yticks([1e-3, 1e-1, 10.0], ["0.001", "0.1", "10"])
    axes.minorticks_off()
    _names(axes, rows)
    axes = plate.panel("Overshoot, cumulated", "$m", "taken less needed", across="wave")
    over = np.cumsum(taken - needed)
    axes.fill_between(place, 0, over, step="post", color=colours.adl, alpha=0.25, linewidth=0)
    axes.step(place, over, where="post", color=colours.adl, linewidth=1.6)
    axes.axhline(0, color=colours.axis, linewidth=0.8)
    _names(axes, rows)
    keys = [Key("diamond", colours.long, "queue"), Key("ring", colours.short, "pro rata")]
    axes = plate.panel("Haircut of the largest winner", "% of profit, log", "", keys, across="wave")
    queue, even = (100 * np.array([row["top_haircut"][i] for row in rows]) for i in (0, 1))
    axes.vlines(place, np.minimum(queue, even), np.maximum(queue, even), color=colours.axis, linewidth=1.0)
    axes.plot(place, queue, "D", color=colours.long, markersize=4.5)
    axes.plot(place, even, "o", color=colours.short, markersize=5.5, markerfacecolor=colours.paper)
    axes.set_yscale("log")
    axes.set_ylim(1e-3, 200)
    axes.set_yticks([1e-3, 1e-2, 0.1, 1, 10, 100], ["0.001", "0.01", "0.1", "1", "10", "100"])
    axes.minorticks_off()
    _names(axes, rows)


def _names(axes: Axes, rows: Rows) -> None:
    axes.set_xticks(range(len(rows)), [str(row["wave"]) for row in rows])


def _looks(colours: Palette) -> Looks:
    """Colour, dash and words of each rule that takes something."""
    return {
        "hyperliquid-queue": (colours.adl, "-", "Hyperliquid"),
        "bybit-queue": (colours.mark, "--", "Bybit"),
        "binance-queue": (colours.long, "-", "Binance"),
        "pro-rata": (colours.short, "-", "pro rata"),
        "capped-pro-rata": (colours.fund, "--", "capped"),
        "socialised": (colours.spot, "-", "socialised"),
    }


def _keys(looks: Looks, *names: str) -> list[Key]:
    return [Key("line" if looks[name][1] == "-" else "dashes", looks[name][0], looks[name][2]) for name in names]


def _ranks(plate: Plate, ranks: dict[str, list[float]], looks: Looks) -> None:
    keys = _keys(looks, "hyperliquid-queue", "bybit-queue", "binance-queue")
    axes = plate.panel("Haircut by rank", "% of profit", "", keys, across="rank of the winner by profit")
    for name, (colour, dash, _) in looks.items():
        axes.plot(ranks["rank"], 100 * np.array(ranks[name]), dash, color=colour, linewidth=1.6, marker="o", ms=3)
    _log_across(axes)
    axes.set_ylim(bottom=0)
    keys = _keys(looks, "pro-rata", "capped-pro-rata", "socialised")
    axes = plate.panel("Who bears the loss", "%, cumulated", "", keys, across="accounts, by what they pay")
    for name, (colour, dash, _) in looks.items():
        axes.plot(ranks["payers"], 100 * np.array(ranks[f"{name} cumulated"]), dash, color=colour, linewidth=1.6)
    _log_across(axes)
    axes.set_ylim(0, 102)


def _log_across(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator([10.0**n for n in range(7)]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: with_commas(value)))
    axes.xaxis.set_minor_locator(NullLocator())


def _need(plate: Plate, curves: dict[str, Any], looks: Looks, share: float) -> None:
    note = "closing takes more profit than the loss"
    axes = plate.panel("Profit booked beyond the loss", "$m", note, across="need, % of the notional that was closed")
    for name, (colour, dash, _) in looks.items():
        axes.plot(100 * np.array(curves["share"]), np.array(curves[name]["booked_beyond_usd"]) / 1e6, dash,
                  color=colour, linewidth=1.6)  # fmt: skip
    axes.axvline(100 * share, color=plate.colours.note, linewidth=0.8, linestyle=(0, (2, 2)))
    axes.set_ylim(bottom=0)
