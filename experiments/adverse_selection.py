"""Makers against better informed traders: Glosten-Milgrom quotes and Kyle's price impact, exact.

Glosten and Milgrom (1985, J. Fin. Econ. 14): an asset is worth `value_low` or `value_high`. Traders come one by one; a
share a of them knows and buys or sells accordingly, the others toss a coin. A maker who earns nothing asks what the
asset is worth if somebody buys, and bids what it is worth if somebody sells: the odds of the high value multiply by
(1 + a) / (1 - a) with each buy and shrink by as much with each sale. With prior 1/2 the first quotes are (1 ± a) / 2.

Kyle (1985, Econometrica 53), one auction: value of variance S0, noise orders of standard deviation s. The insider
trades (v - p0) s / sqrt(S0), the price is p0 + L y with L = sqrt(S0) / (2 s) in the net order flow y; half of the
variance remains, and the insider earns s sqrt(S0) / 2. Here y walks up a book with 1 / L lots a dollar; all then trade
at the last price, as in the auction. Left with the prices of the walk the makers would lose what the insider earns: in
a book that is walked, a quote meets all larger orders too (Glosten 1994, J. Finance 49).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.style import Palette, save, styled
from abm.parameters import Parameters, quantity
from experiments._checks import Check, check, check_table
from experiments._insiders import Kyle, Sequential, expected_learning, kyle_moments, quotes

OWN = "chosen"
F64 = NDArray[np.float64]


class Options(Parameters):
    """What is run: a sequence of traders, and Kyle's auction."""

    informed: float = quantity(0.3, unit="share of traders", source="chosen: first quotes 0.65, 0.35", gt=0, lt=1)
    believed: tuple[float, ...] = quantity(
        (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6), unit="shares", source=OWN, text="what other makers take the share for"
    )
    prior: float = quantity(0.5, unit="probability", source="Glosten and Milgrom's example", gt=0, lt=1)
    trades: int = quantity(40, unit="trades", source=OWN, ge=2, le=2_000, text="traders that come, one by one")
    paths: int = quantity(20_480, unit="paths", source=OWN, ge=64, le=10_000_000)
    believed_paths: int = quantity(5_120, unit="paths", source=OWN, ge=64, le=10_000_000, text="for each belief")
    value_low: float = quantity(100.0, unit="$", source=OWN, gt=0)
    value_high: float = quantity(101.0, unit="$", source=OWN, gt=0)
    tick: float = quantity(1e-5, unit="$", source="fine: the theory has no ticks", ge=1e-6, le=1)
    value_sd: float = quantity(1.0, unit="$", source=OWN, gt=0, text="Kyle: sqrt(S0)")
    noise_sd: int = quantity(10_000, unit="lots", source=OWN, ge=100, le=10_000_000, text="Kyle: s")
    kyle_tick: float = quantity(0.01, unit="$", source=OWN, ge=1e-6, le=10)
    auctions: int = quantity(20_480, unit="auctions", source=OWN, ge=64, le=10_000_000)
    intensities: tuple[float, ...] = quantity(
        (0.25, 0.5, 0.75, 1.25, 1.5, 2.0), unit="of Kyle's", source=OWN, text="other intensities of the insider"
    )
    intensity_auctions: int = quantity(4_096, unit="auctions", source=OWN, ge=64, le=10_000_000, text="for each")
    replicas: int = quantity(64, unit="markets", source="side by side; for speed only", ge=1, le=1024)
    seed: int = quantity(1, unit="-", source="of all draws", ge=0)

    @model_validator(mode="after")
    def _fit(self) -> Self:
        wrong = []
        if not self.value_low < self.value_high <= 1.4 * self.value_low:
            wrong.append("value_high must lie above value_low, by at most 40 % (the price filter)")
        if (self.value_high - self.value_low) / self.tick < 100:
            wrong.append("tick: at least 100 ticks must lie between the values")
        if not all(0 < share < 1 for share in self.believed):
            wrong.append("believed: shares lie strictly between 0 and 1")
        if not all(0 < many <= 4 for many in self.intensities):
            wrong.append("intensities: above 0, at most 4")
        if self.noise_sd * self.kyle_tick / self.value_sd < 5:
            wrong.append("kyle_tick: fewer than 10 lots a tick (2 noise_sd kyle_tick / value_sd)")
        if self.value_sd / self.kyle_tick > 2_000:
            wrong.append("kyle_tick: value_sd is more than 2,000 ticks")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


QUICK = {
    "paths": 5_120, "believed_paths": 2_048, "believed": (0.1, 0.3, 0.5), "auctions": 5_120,
    "intensity_auctions": 1_024, "intensities": (0.5, 1.5),
}  # fmt: skip
FULL = {"paths": 204_800, "believed_paths": 51_200, "auctions": 102_400, "intensity_auctions": 20_480}


def run(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """Both models; every series is there beside its exact value."""
    sequence = _sequence(options, say)
    beliefs = []
    for number, share in enumerate(options.believed, 1):
        profit = Sequential(options, share, options.believed_paths, number).run().maker_usd
        exact = expected_learning(options, share)["maker_usd"]
        beliefs.append({"believed": share, "exact_usd": exact, "ours_usd": profit.mean(), "se_usd": _se(profit)})
        say(f"maker who believes {share:g}: ${profit.mean():+.3f} a path, exact ${exact:+.3f}")
    kyle, curve = _kyle(options, say)
    checks = [*sequence.pop("checks"), *_belief_checks(options, beliefs), *kyle.pop("checks"), *_curve_checks(curve)]
    shares = np.linspace(min(options.believed), max(options.believed), 41) if options.believed else np.zeros(0)
    many = np.linspace(0.0, max([1.0, *options.intensities]), 41)
    moments = [kyle_moments(options, float(one), kyle["impact_usd_per_lot"]) for one in many]
    exact = {
        "believed": shares.tolist(),
        "believed_usd": [expected_learning(options, float(share))["maker_usd"] for share in shares],
        "intensity": many.tolist(),
        "insider_usd": [row["insider_usd"] for row in moments],
        "walked_usd": [row["walked_usd"] for row in moments],
    }
    return {
        "checks": checks, "sequence": sequence, "beliefs": beliefs, "kyle": kyle, "intensities": curve, "exact": exact,
    }  # fmt: skip


def _se(sample: F64) -> float:
    return float(sample.std(ddof=1) / math.sqrt(sample.size))


# --- Glosten and Milgrom ----------------------------------------------------------------------------------------------
def _sequence(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """The maker who knows the share of the informed."""
    ours = Sequential(options, options.informed, options.paths, 0).run()
    exact = expected_learning(options, options.informed)
    width = options.value_high - options.value_low
    spread = ours.spread_usd / width
    say(f"{options.paths:,} paths of {options.trades} trades; mean spread at the end {spread[:, -1].mean():.4f}")
    return {
        "spread_ours": spread.mean(axis=0).tolist(),
        "spread_exact": exact["spread"].tolist(),
        "sample_paths": ours.belief[:6].tolist(),
        "checks": _sequence_checks(options, ours, exact, spread),
    }


def _sequence_checks(options: Options, ours: Sequential, exact: dict[str, Any], spread: F64) -> list[Check]:
    width, a, prior = options.value_high - options.value_low, options.informed, options.prior
    tick, known = options.tick / width, options.informed == 0.3 and options.prior == 0.5
    price = (ours.price_usd - options.value_low) / width
    buy = ours.side > 0
    ask, bid = quotes(prior, a)
    first, low, second = price[buy[:, 0], 0], price[~buy[:, 0], 0], price[buy[:, 0] & buy[:, 1], 1]
    ratio = _odds(second.mean()) / _odds(first.mean())
    slack = 1.5 * tick * ratio * (1 / (second.mean() * (1 - second.mean())) + 1 / (first.mean() * (1 - first.mean())))
    changes = np.diff(ours.belief, axis=1)
    lagged = (changes[:, 1:] * changes[:, :-1]).mean(axis=1)
    end = ours.belief[:, -1]
    rounding, bound = "a tick", options.tick * options.trades
    statistics = "4 standard errors"
    of_informed, lost = ours.informed_usd, ours.uninformed_usd
    rows = [
        check("first ask", first.mean(), exact=ask, published=0.65 if known else None, within=tick, why=rounding),
        check("first bid", low.mean(), exact=bid, published=0.35 if known else None, within=tick, why=rounding),
        check(
            "second ask after a buy", second.mean(), exact=quotes(ask, a)[0], published=0.7752 if known else None,
            within=tick, why=rounding,
        ),
        check("odds multiply with a buy by", ratio, exact=(1 + a) / (1 - a), within=slack, why="a tick in each price"),
        check("maker's profit", ours.maker_usd.mean(), exact=0.0, within=4 * _se(ours.maker_usd) + bound,
              why="4 standard errors and a tick a trade", unit="$ a path"),
        check("informed traders' profit", of_informed.mean(), exact=exact["informed_usd"],
              within=4 * _se(of_informed) + bound, why="4 standard errors and a tick a trade", unit="$ a path"),
        check("the others' profit", lost.mean(), exact=-exact["informed_usd"], within=4 * _se(lost) + bound,
              why="4 standard errors and a tick a trade", unit="$ a path"),
        check("mean belief at the end", end.mean(), exact=prior, within=4 * _se(end), why=statistics),
        check("covariance of successive price changes", lagged.mean(), exact=0.0, within=4 * _se(lagged),
              why=statistics),
        check("squared error of the last belief", ((ours.high - end) ** 2).mean(), exact=exact["variance"],
              within=4 * _se((ours.high - end) ** 2), why=statistics),
        check("money and coins made", ours.made_units, exact=0.0, within=0, why="exact", unit="units"),
    ]  # fmt: skip
    for trade in sorted({1, options.trades // 4, options.trades // 2, options.trades}):
        column = spread[:, trade]
        rows.append(
            check(f"mean spread after {trade} trades", column.mean(), exact=float(exact["spread"][trade]),
                  within=4 * _se(column) + tick, why="4 standard errors and a tick")
        )  # fmt: skip
    return rows


def _odds(probability: float) -> float:
    return float(probability / (1 - probability))


def _belief_checks(options: Options, beliefs: list[dict[str, float]]) -> list[Check]:
    return [
        check(
            f"profit of a maker who believes {row['believed']:g}", row["ours_usd"], exact=row["exact_usd"],
            within=4 * row["se_usd"] + options.tick * options.trades, why="4 standard errors and a tick a trade",
            unit="$ a path",
        )
        for row in beliefs
    ]  # fmt: skip


# --- Kyle -------------------------------------------------------------------------------------------------------------
def _kyle(options: Options, say: Callable[[str], None]) -> tuple[dict[str, Any], list[dict[str, float]]]:
    """The auction at Kyle's intensity, and the insider's profit at others."""
    ours = Kyle(options, 1.0, options.auctions, 0).run()
    say(f"Kyle: {options.auctions:,} auctions, insider earns ${ours.insider_usd.mean():,.0f}")
    curve = [_curve_row(options, 1.0, ours)]
    for number, many in enumerate(options.intensities, 1):
        curve.append(_curve_row(options, many, Kyle(options, many, options.intensity_auctions, number).run()))
    curve.sort(key=lambda row: row["intensity"])
    say(f"Kyle: {len(options.intensities)} other intensities")
    edges = np.linspace(-2.5, 2.5, 11) * math.sqrt(2) * options.noise_sd
    place = np.digitize(ours.flow, edges)
    bins = [place == k for k in range(1, edges.size) if (place == k).sum() > 1]
    kyle = {
        "flow_lots": [float(ours.flow[inside].mean()) for inside in bins],
        "value_usd": [float(ours.value[inside].mean()) for inside in bins],
        "value_se_usd": [_se(ours.value[inside]) for inside in bins],
        "price_usd": [float(ours.price[inside].mean()) for inside in bins],
        "impact_usd_per_lot": ours.impact,
        "cut": ours.cut,
        "checks": _kyle_checks(options, ours),
    }
    return kyle, curve


def _curve_row(options: Options, many: float, ours: Kyle) -> dict[str, float]:
    exact = kyle_moments(options, many, ours.impact)
    return {
        "intensity": many, "auctions": ours.flow.size, "insider_usd": ours.insider_usd.mean(),
        "insider_se_usd": _se(ours.insider_usd), "insider_exact_usd": exact["insider_usd"],
        "walked_usd": ours.walked_usd.mean(), "walked_se_usd": _se(ours.walked_usd),
        "walked_exact_usd": exact["walked_usd"],
    }  # fmt: skip


def _kyle_checks(options: Options, ours: Kyle) -> list[Check]:
    """At the equilibrium intensity; the book has whole lots a tick, so its slope may differ by `off` from Kyle's."""
    sd, noise = options.value_sd, float(options.noise_sd)
    slope, earned = 0.5 * sd / noise, 0.5 * sd * noise
    off = abs(ours.impact / slope - 1)
    fit = float(np.polyfit(ours.flow, ours.price, 1)[0])
    squares = (ours.value - ours.price) ** 2
    farthest = float(np.abs(ours.price - ours.impact * ours.flow).max())
    more = "4 standard errors" + ("" if off < 1e-9 else " and whole lots a tick")
    half_tick = 0.5 * options.kyle_tick
    spread = float(ours.flow.std()) * math.sqrt(ours.flow.size)
    return [
        check("Kyle: impact of the book", fit * 1e4, exact=slope * 1e4, unit="$ per 10,000 lots",
              within=(4 * half_tick / spread + off * slope) * 1e4, why="half a tick of rounding" if not off else more),
        check("Kyle: farthest last price from the line", farthest, exact=0.0, within=half_tick * (1 + 1e-9),
              why="half a tick", unit="$"),
        check("Kyle: insider's profit", ours.insider_usd.mean(), exact=earned, unit="$",
              within=4 * _se(ours.insider_usd) + 2 * off * earned, why=more),
        check("Kyle: noise traders' profit", ours.noise_usd.mean(), exact=-earned, unit="$",
              within=4 * _se(ours.noise_usd) + 2 * off * earned, why=more),
        check("Kyle: maker's profit in the auction", ours.maker_usd.mean(), exact=0.0, unit="$",
              within=4 * _se(ours.maker_usd) + 2 * off * earned, why=more),
        check("Kyle: maker's profit if the book is walked", ours.walked_usd.mean(), exact=-earned, unit="$",
              within=4 * _se(ours.walked_usd) + 2 * off * earned, why=more),
        check("Kyle: variance left, share of the prior", squares.mean() / sd**2, exact=0.5,
              within=4 * _se(squares) / sd**2 + off, why=more),
        check("Kyle: money and coins made", ours.made_units, exact=0.0, within=0, why="exact", unit="units"),
        check("Kyle: orders that the book could not fill", float(ours.cut), exact=0.0, within=0, why="exact"),
    ]  # fmt: skip


def _curve_checks(curve: list[dict[str, float]]) -> list[Check]:
    return [
        check(
            f"Kyle: insider's profit at {row['intensity']:g} of the intensity", row["insider_usd"], unit="$",
            exact=row["insider_exact_usd"], within=4 * row["insider_se_usd"], why="4 standard errors",
        )
        for row in curve if row["intensity"] != 1.0
    ]  # fmt: skip


# --- words and picture ------------------------------------------------------------------------------------------------
def text(results: dict[str, Any]) -> str:
    """The comparisons."""
    return check_table(results["checks"])


def draw(results: dict[str, Any], path: Path) -> Path:
    """Spread, price of a wrong belief, what order flow reveals, the insider's best intensity."""
    with styled() as colours:
        lines = ["Glosten-Milgrom (a, b) and Kyle (c, d) on real books. Lines: exact. Rings: measured, bars 2 s.e."]
        plate = Plate("What makers lose to those who know, and how quotes answer", lines, 2, 2, colours, (3.6, 2.3))
        keys = [Key("line", colours.perp, "exact"), Key("ring", colours.long, "ours")]
        axes = plate.panel("Spread", "share of high − low", "mean over paths", keys, "trades so far")
        _draw_spread(axes, results["sequence"], colours)
        axes = plate.panel(
            "Maker's profit", "$ a path", "quotes for a share that is believed", keys, "believed share of informed"
        )
        _draw_beliefs(axes, results, colours)
        keys = [Key("line", colours.perp, "price"), Key("ring", colours.long, "mean value")]
        axes = plate.panel("Price and value", "$ from prior", "bins of order flow", keys, "net order flow, 1,000 lots")
        kyle = results["kyle"]
        flow = np.array(kyle["flow_lots"]) / 1e3
        axes.plot(flow, kyle["price_usd"], color=colours.perp, linewidth=1.6)
        _rings(axes, flow, kyle["value_usd"], 2 * np.array(kyle["value_se_usd"]), colours.long, colours.paper)
        keys = [Key("ring", colours.long, "insider"), Key("ring", colours.short, "maker whose book is walked")]
        axes = plate.panel("Profit", "$1,000", "", keys, "insider's trading, 1 = Kyle's equilibrium")
        _draw_intensities(axes, results, colours)
        return save(plate.sheet.figure, path)


def _draw_spread(axes: Any, sequence: dict[str, Any], colours: Palette) -> None:
    steps = np.arange(len(sequence["spread_exact"]))
    every = slice(None, None, max(steps.size // 20, 1))
    axes.plot(steps, sequence["spread_exact"], color=colours.perp, linewidth=1.6)
    _rings(axes, steps[every], np.array(sequence["spread_ours"])[every], None, colours.long, colours.paper)
    axes.set_ylim(0)


def _draw_beliefs(axes: Any, results: dict[str, Any], colours: Palette) -> None:
    rows, exact = results["beliefs"], results["exact"]
    axes.axhline(0, color=colours.axis, linewidth=0.8)
    axes.plot(exact["believed"], exact["believed_usd"], color=colours.perp, linewidth=1.6)
    bars = np.array([2 * row["se_usd"] for row in rows])
    ours = [row["ours_usd"] for row in rows]
    _rings(axes, [row["believed"] for row in rows], ours, bars, colours.long, colours.paper)


def _draw_intensities(axes: Any, results: dict[str, Any], colours: Palette) -> None:
    rows, exact = results["intensities"], results["exact"]
    axes.axhline(0, color=colours.axis, linewidth=0.8)
    at = [row["intensity"] for row in rows]
    for name, colour in (("insider", colours.long), ("walked", colours.short)):
        axes.plot(exact["intensity"], np.array(exact[f"{name}_usd"]) / 1e3, color=colours.perp, linewidth=1.6)
        bars = np.array([2 * row[f"{name}_se_usd"] for row in rows]) / 1e3
        _rings(axes, at, [row[f"{name}_usd"] / 1e3 for row in rows], bars, colour, colours.paper)


def _rings(axes: Any, x: Any, y: Any, bars: Any, colour: str, paper: str) -> None:
    look = {"marker": "o", "markersize": 5, "markerfacecolor": paper, "markeredgewidth": 1.2, "linestyle": "none"}
    axes.errorbar(x, y, yerr=bars, color=colour, elinewidth=1.0, zorder=3, **look)
