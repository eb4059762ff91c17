"""Impact of a market order on a static book: a uniform book gives x = Q/rho, a linearly growing one x = sqrt(2Q/L).

The second is the square-root law of impact in miniature: it needs no more than a book (latent or not) whose density
vanishes at the price and grows linearly away from it (Toth et al., Phys. Rev. X 1, 021006, 2011). On a lattice, with
rho lots at every tick, or L j lots at the j-th tick away, the law is exact in whole numbers: the last tick traded is
the first at which the book up to it holds the order. Real market orders, both sides.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import model_validator

from abm.book.books import Books
from abm.parameters import Parameters, quantity
from abm.state import BUY, I64, LIMIT, MARKET, MESSAGE, NOBODY, SELL
from experiments._checks import check, check_table

START_TICKS = 1_000_000
"""Price at which the order arrives: one tick before the first that holds anything."""
DEEPEST_TICKS = 50_000
SHAPES = ("uniform", "linear")


class Options(Parameters):
    """What is run."""

    sizes_lots: tuple[int, ...] = quantity(
        (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000), unit="lots", source="chosen", text="Q"
    )
    lots_per_tick: int = quantity(100, unit="lots/tick", source="chosen", ge=1, le=1_000_000, text="rho")
    growth: int = quantity(2, unit="lots/tick^2", source="chosen", ge=1, le=1_000_000, text="L")
    seed: int = quantity(1, unit="-", source="nothing is random here", ge=0)

    @model_validator(mode="after")
    def _fit(self) -> Self:
        """Orders must be rising, and books must hold them."""
        problems = []
        if len(self.sizes_lots) < 2 or min(self.sizes_lots) < 1:
            problems.append("sizes_lots: at least two sizes are needed, of one lot or more")
        elif any(b <= a for a, b in zip(self.sizes_lots, self.sizes_lots[1:], strict=False)):
            problems.append("sizes_lots: must rise")
        elif max(reach(shape, max(self.sizes_lots), self) for shape in SHAPES) > DEEPEST_TICKS:
            problems.append(f"sizes_lots: the largest would eat more than {DEEPEST_TICKS} ticks")
        if problems:
            raise ValueError("; ".join(problems))
        return self


QUICK: dict[str, Any] = {}
FULL = {"sizes_lots": [round(100 * 10 ** (k / 10)) for k in range(41)]}


# --- exact ------------------------------------------------------------------------------------------------------------
def reach(shape: str, lots: int, options: Options) -> int:
    """The last tick traded, counted from the first: smallest j at which ticks 1..j hold `lots`; in whole numbers."""
    if shape == "uniform":
        return -(-lots // options.lots_per_tick)
    whole = -(-lots // options.growth)  # smallest j with j (j + 1) / 2 >= lots / L
    j = (math.isqrt(8 * whole + 1) - 1) // 2
    return j if j * (j + 1) // 2 >= whole else j + 1


def average(shape: str, lots: int, options: Options) -> float:
    """Average distance of the price paid from the start, ticks."""
    last = reach(shape, lots, options)
    full = last - 1
    if shape == "uniform":
        held, weighted = full, full * (full + 1) // 2
        unit = options.lots_per_tick
    else:  # sums of j and of j squared
        held, weighted = full * (full + 1) // 2, full * (full + 1) * (2 * full + 1) // 6
        unit = options.growth
    return (weighted * unit + (lots - held * unit) * last) / lots


def continuum(shape: str, lots: int, options: Options) -> tuple[float, float]:
    """Distance eaten and average distance in a book without a lattice, ticks: Q/rho and half, sqrt(2Q/L) and 2/3."""
    if shape == "uniform":
        return lots / options.lots_per_tick, lots / options.lots_per_tick / 2
    x = math.sqrt(2 * lots / options.growth)
    return x, 2 * x / 3


# --- through the book -------------------------------------------------------------------------------------------------
def executed(shape: str, side: int, options: Options) -> tuple[I64, list[float], list[float]]:
    """A taker of `side` in one book a size: last tick traded int64 (S,), average of the fills, `impact_ticks` before.

    All as distances from the start, in ticks.
    """
    sizes = np.array(options.sizes_lots, np.int64)
    deep = reach(shape, int(sizes[-1]), options) + 5
    away = np.arange(1, deep + 1)
    depth = np.full(deep, options.lots_per_tick) if shape == "uniform" else options.growth * away
    books = Books(sizes.size, START_TICKS - deep - 10, 2 * deep + 20)
    orders = np.zeros(sizes.size * deep, MESSAGE)
    orders["market"] = np.repeat(np.arange(sizes.size), deep)
    orders["op"], orders["side"], orders["account"], orders["cause"] = LIMIT, -side, NOBODY, NOBODY
    orders["price_ticks"] = np.tile(START_TICKS + side * away, sizes.size)
    orders["size_lots"], orders["order"] = np.tile(depth, sizes.size), np.arange(orders.size)
    untracked = (np.zeros(1, np.int64), np.full(sizes.size, NOBODY, np.int64))
    books.match(orders, *untracked)
    told = [side * (books.impact_ticks(m, side, int(lots)) - START_TICKS) for m, lots in enumerate(sizes)]
    takers = np.zeros(sizes.size, MESSAGE)
    takers["market"], takers["op"], takers["side"] = np.arange(sizes.size), MARKET, side
    takers["account"], takers["cause"], takers["size_lots"] = NOBODY, NOBODY, sizes
    takers["order"] = orders.size + np.arange(sizes.size)
    fills = books.match(takers, *untracked).fills
    value = np.zeros(sizes.size, np.int64)
    np.add.at(value, fills["market"], (fills["price_ticks"] - START_TICKS) * side * fills["size_lots"])
    books.check()
    last: I64 = side * (books.last_ticks() - START_TICKS)
    return last, (value / sizes).tolist(), told


def slope(sizes: Any, ticks: Any) -> float:
    """Least-squares slope of log distance on log size."""
    return float(np.polyfit(np.log(np.asarray(sizes, float)), np.log(np.asarray(ticks, float)), 1)[0])


def run(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """Distances by shape and size, and comparisons."""
    checks = []
    shapes: dict[str, Any] = {}
    sizes = list(options.sizes_lots)
    for shape in SHAPES:
        exact = [reach(shape, lots, options) for lots in sizes]
        mean = [average(shape, lots, options) for lots in sizes]
        smooth = [continuum(shape, lots, options) for lots in sizes]
        last, paid, told = executed(shape, BUY, options)
        sold = executed(shape, SELL, options)
        law, power = ("Q/rho", 1.0) if shape == "uniform" else ("sqrt(2Q/L)", 0.5)
        off = {
            "last tick, buys": np.abs(last - exact).max(),
            "last tick, sells": np.abs(sold[0] - exact).max(),
            "average paid": np.abs(np.array(paid) - mean).max(),
            "average received": np.abs(np.array(sold[1]) - mean).max(),
        }
        for what, worst in off.items():
            what = f"{shape}: {what}, largest error"
            checks.append(check(what, float(worst), exact=0.0, within=1e-9, why="exact", unit="ticks"))
        worst = max(abs(a - b) for pair in ((told, paid), (sold[2], sold[1])) for a, b in zip(*pair, strict=True))
        checks.append(
            check(f"{shape}: impact_ticks against fills", worst, exact=0.0, within=1e-6, why="float sums", unit="ticks")
        )
        for lots, ours, (x, _) in zip(sizes, last.tolist(), smooth, strict=True):
            checks.append(check(f"{shape}: {law}, {lots} lots", ours, exact=x, within=1, why="one tick", unit="ticks"))
        # each distance is off by a tick at most, so a slope is by no more than that of the worst arrangement
        logs = np.log(np.array(sizes, float)) - np.log(np.array(sizes, float)).mean()
        room = float((np.abs(logs) / (logs**2).sum() * np.log1p(1 / np.array([x for x, _ in smooth]))).sum())
        what = f"{shape}: slope of log x on log Q"
        checks.append(check(what, slope(sizes, last), exact=power, within=room, why="one tick each"))
        shapes[shape] = {
            "last_ticks": last.tolist(),
            "exact_ticks": exact,
            "continuum_ticks": [x for x, _ in smooth],
            "average_ticks": paid,
            "average_exact_ticks": mean,
            "average_continuum_ticks": [half for _, half in smooth],
            "slope": slope(sizes, last),
        }
        say(f"{shape}: slope {slope(sizes, last):.3f}")
    return {"sizes_lots": sizes, "shapes": shapes, "checks": checks}


# --- showing ----------------------------------------------------------------------------------------------------------
def text(results: dict[str, Any]) -> str:
    """The comparisons."""
    return check_table(results["checks"])


def draw(results: dict[str, Any], path: Path) -> Path:
    """Distance eaten and average price paid, over size, on logarithmic scales."""
    from abm.figures.plate import Plate
    from abm.figures.sheet import Key
    from abm.figures.style import round_number, save, styled

    sizes = results["sizes_lots"]
    with styled() as colours:
        lines = [
            "Market orders into static books: the same lots ρ at every tick (x = Q/ρ), or lots that grow by L a tick",
            "(x = √(2Q/L)). On the lattice the average price lies half a tick further than half of Q/ρ.",
        ]
        plate = Plate("Impact of one order: a book's shape is its law", lines, 1, 2, colours)
        hue = {"uniform": colours.short, "linear": colours.long}
        keys = [Key("ring", hue["uniform"], "uniform"), Key("ring", hue["linear"], "growing")]
        panels = (
            ("Ticks eaten", "last_ticks", "continuum_ticks", "Q/ρ, √(2Q/L)"),
            ("Average price paid", "average_ticks", "average_exact_ticks", "exact"),
        )
        for title, ours, law, name in panels:
            key = Key("line", colours.perp, name)
            axes = plate.panel(title, "ticks from the start", "", [key, *keys], across="size of the order Q, lots")
            axes.set_xscale("log")
            axes.set_yscale("log")
            for shape, part in results["shapes"].items():
                axes.plot(sizes, part[law], color=colours.perp, linewidth=1.3)
                look: dict[str, Any] = {"markerfacecolor": colours.paper, "markeredgecolor": hue[shape]}
                axes.plot(sizes, part[ours], "o", markersize=5, markeredgewidth=1.2, clip_on=False, zorder=4, **look)
                if ours == "last_ticks":
                    at, place = len(sizes) // 4, (9, -9) if shape == "uniform" else (-2, 9)
                    axes.annotate(f"slope {part['slope']:.2f}", (sizes[at], part[law][at]), place,
                                  textcoords="offset points", ha="left" if place[0] > 0 else "right",
                                  color=hue[shape])  # fmt: skip
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(lambda value, _: round_number(value))
        return save(plate.sheet.figure, path)
