"""The figure of `funding-peg`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.style import Palette, save, styled
from experiments._carry import Terms


def draw(results: dict[str, Any], path: Path) -> Path:
    """Wealth by time, growth by ratio, fair ratio by kappa, what the interval leaves; the small market."""
    market = results["market"]
    with styled() as colours:
        lines = ["a–d: long a perpetual, short coins, dollars lent, in the ledger. Lines: theory. Rings: measured."]
        lines += ["e, f: a small market with real books and the venue's funding clock."] if market else []
        plate = Plate("Funding pegs a perpetual to its fair price", lines, 2, 3 if market else 2, colours, (3.6, 2.3))
        shown = [(colours.short, "too cheap"), (colours.fund, "fair"), (colours.long, "too dear")]
        keys = [Key("line", colour, words) for colour, words in shown]
        axes = plate.panel("Wealth", "$1,000 a coin", "", keys, "days")
        _draw_wealth(axes, results["wealth"], colours)
        keys = [Key("line", colours.perp, "theory"), Key("ring", colours.long, "ours")]
        axes = plate.panel("Growth", "% a year", "each line one kappa", keys, "price above fair ratio, basis points")
        _draw_growth(axes, results["cases"], colours)
        note = "beside each line iota, r_a, r_b in %"
        axes = plate.panel("Fair price above the coin", "bp", note, keys, "kappa, 1/year")
        _draw_fair(axes, results["cases"], colours)
        axes = plate.panel("Growth at the fair price", "% a year", "rms over paths", keys, "hours between payments")
        _draw_convergence(axes, results["convergence"], colours)
        if market:
            _draw_market(plate, market, colours)
        return save(plate.sheet.figure, path)


def _draw_market(plate: Plate, market: dict[str, Any], colours: Palette) -> None:
    keys = [Key("line", colours.long, "without funding"), Key("line", colours.fund, "with")]
    axes = plate.panel("Premium", "bp", f"demand {market['demand']:g} coins/h", keys, "days")
    for name, colour in (("unfunded", colours.long), ("funded", colours.fund)):
        axes.plot(market["days"], market["premium_bp"][name], color=colour, linewidth=1.6)
    axes.set_ylim(0)
    keys = [Key("line", colours.perp, "theory"), Key("ring", colours.long, "ours")]
    axes = plate.panel("Funding at rest", "% a year", "bars two standard errors", keys, "one-sided demand, coins/h")
    rows = market["rest"]
    at = [row["demand"] for row in rows]
    axes.plot(at, [100 * row["exact"] for row in rows], color=colours.perp, linewidth=1.6)
    bars = [200 * row["se"] for row in rows]
    axes.errorbar(at, [100 * row["carry"] for row in rows], yerr=bars, color=colours.long, linestyle="none")
    _rings(axes, at, [100 * row["carry"] for row in rows], colours)


def _draw_wealth(axes: Any, wealth: dict[str, Any], colours: Palette) -> None:
    look = [colours.short, colours.fund, colours.long]
    for number, line in enumerate(wealth["usd"]):
        axes.plot(wealth["days"], np.array(line) / 1e3, color=look[number // wealth["paths"]], linewidth=1.1)


def _draw_growth(axes: Any, cases: list[dict[str, Any]], colours: Palette) -> None:
    first = [case for case in cases if (case["iota"], case["quote"], case["coin"]) == _rates(cases[0])]
    for case in first:
        at = 1e4 * np.array(case["offsets"])
        axes.plot(at, 100 * np.array(case["exact"]), color=colours.perp, linewidth=1.4)
        _rings(axes, at, 100 * np.array(case["growth"]), colours)
        axes.annotate(f"{case['kappa']:g}", (at[-1], 100 * case["exact"][-1]), (6, 0), textcoords="offset points",
                      va="center", fontsize=8, color=colours.note)  # fmt: skip
    axes.margins(x=0.12)


def _rates(case: dict[str, Any]) -> tuple[float, float, float]:
    return case["iota"], case["quote"], case["coin"]


def _draw_fair(axes: Any, cases: list[dict[str, Any]], colours: Palette) -> None:
    kappas = sorted({case["kappa"] for case in cases})
    grid = np.geomspace(kappas[0] / 1.2, kappas[-1] * 1.2, 60)
    axes.set_xscale("log")
    for rates in dict.fromkeys(_rates(case) for case in cases):
        line = [1e4 * (Terms(k, *rates).fair - 1) for k in grid]
        axes.plot(grid, line, color=colours.perp, linewidth=1.4)
        words = ", ".join(f"{100 * rate:g}" for rate in rates)
        axes.annotate(words, (grid[0], line[0]), (-5, 0), textcoords="offset points", ha="right", va="center",
                      fontsize=8, color=colours.note)  # fmt: skip
    axes.set_xlim(left=grid[0] * (grid[0] / grid[-1]) ** 0.28)
    _rings(axes, [case["kappa"] for case in cases], [1e4 * (case["ours"] - 1) for case in cases], colours)
    axes.set_xticks(kappas, [f"{kappa:g}" for kappa in kappas])
    axes.minorticks_off()


def _draw_convergence(axes: Any, rows: list[dict[str, float]], colours: Palette) -> None:
    hours = [row["hours"] for row in rows]
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.plot(hours, [100 * row["exact"] for row in rows], color=colours.perp, linewidth=1.6)
    ours = [100 * row["rms"] for row in rows]
    _rings(axes, hours, ours, colours)
    axes.set_xticks(hours, [f"{one:g}" for one in hours])
    decades = range(math.floor(math.log10(min(ours))), math.ceil(math.log10(max(ours))) + 1)
    marks = [digit * 10.0**decade for decade in decades for digit in (1, 3)]
    marks = [one for one in marks if 0.5 * min(ours) < one < 1.5 * max(ours)]
    axes.set_yticks(marks, [f"{one:g}" for one in marks])
    axes.minorticks_off()


def _rings(axes: Any, x: Any, y: Any, colours: Palette) -> None:
    look = {"marker": "o", "markersize": 5, "markerfacecolor": colours.paper, "markeredgewidth": 1.2}
    axes.plot(x, y, color=colours.long, linestyle="none", zorder=3, **look)
