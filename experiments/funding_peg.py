"""Funding and the fair price of a perpetual: what a cash-and-carry portfolio earns in the project's ledger.

A long perpetual pays kappa (f - x) dt + iota x dt, f its price and x that of the coin. Long one perpetual, short c
coins, the proceeds lent at r_a, the coins borrowed at r_b: with f = c x the prices cancel and the portfolio grows by
(kappa - iota) - c (kappa + r_b - r_a) a year for each dollar of coins. So the only ratio without arbitrage is

    f / x = (kappa - iota) / (kappa + r_b - r_a),

and f = x just when iota = r_a - r_b (Ackerer, Hugonnier and Jermann, Perpetual futures pricing, arXiv:2310.11771).
With kappa = 365 and r_a = 5 % a year: 1.000137. Here both legs are traded in real books, funding is paid between real
accounts at whole rates of 1e-8 and whole micro-dollars, interest compounds, and coins move at random. What is left at
the fair ratio is the length of the interval: it vanishes in proportion.

Beside it a small market: makers who see nothing but their inventory, others who buy `demand` coins an hour and hold,
and carry traders who sell the perpetual against the coin when a year's funding exceeds their hurdle. Without funding
the premium grows as long as the others buy. With the venue's funding clock it comes to rest where carry traders sell
what the others buy: at a funding of hurdle + width demand / speed a year.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from abm.parameters import Parameters, quantity
from abm.rng import normals, stream
from experiments._carry import HOURS, Carried, Carry, Terms
from experiments._checks import Check, check, check_table
from experiments._peg_figure import draw
from experiments._peg_market import FUNDING_H, KAPPA, TICK_USD, PegMarket, resting_carry

__all__ = ["FULL", "QUICK", "Options", "draw", "run", "text"]

DERIVED = {(365.0, 0.0, 0.05, 0.0): 1.37}
"""Basis points above the coin as they are quoted, 1.000137."""
PATHS = stream("funding peg: price of the coin")
F64 = NDArray[np.float64]
MADE_UP = "chosen"


class Options(Parameters):
    """What is run: every kappa with every set of rates."""

    kappas: tuple[float, ...] = quantity(
        (52.0, 365.0, 1095.0), unit="1/year", source="premium paid weekly, daily, every 8 hours"
    )
    rates: tuple[tuple[float, float, float], ...] = quantity(
        ((0.0, 0.05, 0.0), (0.05, 0.05, 0.0), (0.1095, 0.05, 0.0), (0.0, 0.02, 0.06)), unit="1/year",
        source="chosen; 0.1095 = 0.01 % every 8 hours (Binance)", text="sets of iota, r_a (dollars), r_b (coins)",
    )  # fmt: skip
    offsets: tuple[float, ...] = quantity(
        (-0.001, -0.0005, 0.0005, 0.001), unit="of the price", source="chosen", text="ratios beside the fair one"
    )
    interval_hours: float = quantity(8.0, unit="h", source="Binance", gt=0, le=8760)
    intervals_hours: tuple[float, ...] = quantity(
        (168.0, 56.0, 24.0, 8.0, 2.0), unit="h", source="chosen", text="for convergence, at the fair ratio"
    )
    days: int = quantity(364, unit="days", source="52 weeks", ge=1, le=3_650)
    paths: int = quantity(12, unit="paths", source="chosen", ge=2, le=1_000)
    volatility: float = quantity(0.6, unit="1/sqrt(year)", source="bitcoin, about", ge=0, le=3, grade="M")
    start_usd: float = quantity(100_000.0, unit="$", source="chosen", ge=1_000, le=1_000_000)
    coins: float = quantity(1_000.0, unit="coins", source="chosen", ge=1, le=20_000, text="size of a portfolio")
    demands: tuple[float, ...] = quantity(
        (5.0, 10.0, 20.0), unit="coins/h", source=MADE_UP, text="one-sided demand in the small market; empty: no market"
    )
    noise_coins: float = quantity(5.0, unit="coins/h", source=MADE_UP, ge=0, le=1_000, text="its standard deviation")
    hurdle: float = quantity(0.1, unit="1/year", source=MADE_UP, ge=0, le=5, text="funding that carry traders ask for")
    width: float = quantity(0.2, unit="1/year", source=MADE_UP, gt=0, le=10, text="funding beyond it for full speed")
    speed: float = quantity(40.0, unit="coins/h", source=MADE_UP, gt=0, le=10_000, text="of all carry traders")
    impact: float = quantity(2e-7, unit="1/coin", source=MADE_UP, gt=0, le=1e-4, text="maker's shift by inventory")
    level_coins: float = quantity(50.0, unit="coins", source=MADE_UP, gt=0, le=10_000, text="on each of 5 levels")
    impact_coins: float = quantity(5.0, unit="coins", source=MADE_UP, gt=0, text="size of the impact prices")
    market_days: int = quantity(30, unit="days", source=MADE_UP, ge=4, le=1_000)
    market_replicas: int = quantity(8, unit="markets", source=MADE_UP, ge=2, le=256)
    seed: int = quantity(1, unit="-", source="of the price paths", ge=0)

    @model_validator(mode="after")
    def _fit(self) -> Self:
        wrong = []
        if not self.kappas or not self.rates or len(self.offsets) < 2:
            wrong.append("at least one kappa, one set of rates and two offsets are needed")
        for kappa in self.kappas:
            for iota, quote, coin in self.rates:
                if not (kappa > 0 and kappa + coin - quote > 0 and kappa > iota):
                    wrong.append(f"kappa {kappa:g} is too small for iota {iota:g}, r_a {quote:g}, r_b {coin:g}")
                elif abs(Terms(kappa, iota, quote, coin).fair - 1) > 0.2:
                    wrong.append(f"kappa {kappa:g} with iota {iota:g}: the fair ratio is more than 20 % from one")
        if any(not 0 < abs(offset) <= 0.1 for offset in self.offsets):
            wrong.append("offsets: not 0, at most 0.1")
        spans = (self.interval_hours, *self.intervals_hours)
        for span in spans:
            if span <= 0 or (self.days * 24 / span) % 1 or (span / min(spans)) % 1:
                wrong.append(f"interval {span:g} h: it must divide {self.days} days and be a multiple of the shortest")
        if any(not 0 < demand < 0.9 * self.speed for demand in self.demands):
            wrong.append(f"demands: above 0 and below 90 % of the carry traders' speed, {self.speed:g}")
        if self.demands and self.impact * self.speed / self.width * KAPPA * FUNDING_H > 1:
            wrong.append("impact * speed / width: carry traders would move the premium faster than it is averaged")
        if self.impact_coins > 2 * self.level_coins or self.speed + max(self.demands, default=0) > 4 * self.level_coins:
            wrong.append("level_coins: the quotes are too thin for the impact size, speed and demand")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


QUICK = {
    "kappas": (365.0, 1095.0), "rates": ((0.0, 0.05, 0.0), (0.05, 0.05, 0.0), (0.0, 0.02, 0.06)),
    "offsets": (-0.001, 0.001), "intervals_hours": (168.0, 56.0, 24.0, 8.0), "paths": 8,
    "demands": (5.0, 20.0), "market_days": 20, "market_replicas": 4,
}  # fmt: skip
FULL = {"market_replicas": 32, "market_days": 60, "paths": 64, "intervals_hours": (168.0, 56.0, 24.0, 8.0, 2.0, 0.5)}


def run(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """Growth by ratio for every kappa and set of rates, at the fair ratio by interval; the small market."""
    index = _paths(options)
    cases, checks, gap, made = [], [], 0.0, 0.0
    for kappa in options.kappas:
        for rates in options.rates:
            case, found, held = _case(options, Terms(kappa, *rates), index)
            cases.append(case)
            checks += found
            gap, made = max(gap, float(np.abs(held.ledger_gap / held.rounding).max())), made + held.made_units
            say(f"kappa {kappa:g}, iota {rates[0]:g}, r_a {rates[1]:g}, r_b {rates[2]:g}: f/x {case['ours']:.7f}, "
                f"exact {case['fair']:.7f}")  # fmt: skip
    checks += [
        check("ledger against real numbers, share of what whole units allow", gap, exact=0.0, within=1.0,
              why="rounding bound"),
        check("money and coins made by the portfolios", made, exact=0.0, within=0.0, why="exact", unit="units"),
    ]  # fmt: skip
    terms = Terms(_middle(options.kappas), *options.rates[0])
    steps, found = _convergence(options, terms, index, say)
    market, more = _market(options, say)
    return {
        "checks": checks + found + more, "cases": cases, "convergence": steps, "market": market,
        "wealth": _sample(options, terms, index),
    }  # fmt: skip


def _middle(values: Sequence[float]) -> float:
    return values[len(values) // 2]


def _paths(options: Options) -> F64:
    """Coin prices without drift on the finest grid of all, (steps + 1, paths)."""
    hours = min(options.interval_hours, *options.intervals_hours)
    steps = round(options.days * 24 / hours)
    sd = options.volatility * math.sqrt(hours / HOURS)
    rows = np.arange(options.paths)
    moves = np.stack([sd * normals(options.seed, PATHS, rows, step, 0) for step in range(steps)]) - sd * sd / 2
    zero = np.zeros((1, options.paths))
    return np.asarray(options.start_usd * np.exp(np.concatenate([zero, np.cumsum(moves, axis=0)])))


def _at(options: Options, index: F64, hours: float) -> F64:
    """Every so many hours of the paths."""
    return index[:: round(hours / min(options.interval_hours, *options.intervals_hours))]


def _carry(options: Options, terms: Terms, offsets: Sequence[float], index: F64, hours: float) -> Carried:
    """Portfolios for every offset and path, offsets outermost."""
    prices = _at(options, index, hours)
    ratios = np.repeat(terms.fair * (1 + np.asarray(offsets)), options.paths)
    return Carry(terms, ratios, np.tile(prices, len(offsets)), hours / HOURS, options.coins, options.seed).run()


def _case(options: Options, terms: Terms, index: F64) -> tuple[dict[str, Any], list[Check], Carried]:
    """One kappa and set of rates: growth at the fair ratio and beside it."""
    offsets = sorted([0.0, *options.offsets])
    dt = options.interval_hours / HOURS
    held = _carry(options, terms, offsets, index, options.interval_hours)
    growth = held.growth.reshape(len(offsets), -1)
    residual = held.residual.reshape(len(offsets), -1)
    mean, se = growth.mean(axis=1), residual.std(axis=1, ddof=1) / math.sqrt(options.paths)
    ends = _ends(options)
    ratios = [terms.fair * (1 + offset) for offset in offsets]
    slope, level = np.polyfit(np.array(ratios) - terms.fair, mean, 1)
    ours = terms.fair - level / slope
    name = f"kappa {terms.kappa:g}, iota {terms.iota:g}, r_a {terms.quote:g}, r_b {terms.coin:g}"
    steep = terms.kappa + terms.coin - terms.quote
    compound = abs(terms.growth_in_steps(terms.fair, dt))
    slack = 4 * se + ends + held.rounding.max()
    why = "4 standard errors and rounding"
    rows = [
        check(f"fair price above the coin, {name}", 1e4 * (ours - 1), exact=1e4 * (terms.fair - 1), unit="bp",
              published=DERIVED.get((terms.kappa, terms.iota, terms.quote, terms.coin)),
              within=1e4 * float((slack.max() + compound) / steep), why="the growth's tolerance over kappa"),
    ]  # fmt: skip
    for k, offset in enumerate(offsets):
        exact, bias = terms.growth(ratios[k]), abs(terms.growth_in_steps(ratios[k], dt) - terms.growth(ratios[k]))
        rows.append(
            check(f"growth at {1e4 * offset:+g} bp, {name}", 100 * mean[k], exact=100 * exact, unit="% a year",
                  within=100 * float(slack[k] + bias), why=f"{why}, compounding")
        )  # fmt: skip
    case = {
        **terms._asdict(), "fair": terms.fair, "ours": float(ours), "offsets": offsets, "growth": mean.tolist(),
        "se": se.tolist(), "exact": [terms.growth(ratio) for ratio in ratios],
    }  # fmt: skip
    return case, rows, held


def _ends(options: Options) -> float:
    """Growth that rounding the prices of opening and closing may give: half a tick each, of mark and index."""
    return 2 * 0.01 / (0.3 * options.start_usd) / (options.days * 24 / HOURS)


def _convergence(
    options: Options, terms: Terms, index: F64, say: Callable[[str], None]
) -> tuple[list[dict[str, float]], list[Check]]:
    """Root mean square over paths of the growth at the fair ratio, by length of the interval; it is of first order."""
    rows = []
    for hours in sorted(options.intervals_hours, reverse=True):
        held = _carry(options, terms, [0.0], index, hours)
        rms = float(np.sqrt((held.growth**2).mean()))
        prices = _at(options, index, hours)
        # Funding and coin interest fall due on the price at the end of an interval, loans run on that at its start.
        charged = terms.fair * terms.coin + terms.kappa * (terms.fair - 1) + terms.iota
        years = prices[:-1].sum(axis=0) * hours / HOURS
        late = charged * hours / HOURS * (prices[-1] - prices[0]) / years
        exact = float(np.sqrt(((terms.growth_in_steps(terms.fair, hours / HOURS) - late) ** 2).mean()))
        rounding = float(held.rounding.max()) + _ends(options)
        rows.append({"hours": hours, "rms": rms, "exact": exact, "rounding": rounding})
        say(f"interval {hours:g} h: growth {rms:.2e} a year, first order says {exact:.2e}")
    checks = [
        check(f"growth left by intervals of {row['hours']:g} h", 1e6 * row["rms"], exact=1e6 * row["exact"],
              unit="1e-6 a year", within=1e6 * (0.1 * row["exact"] + row["rounding"]),
              why="10 % for higher orders, and rounding")
        for row in rows
    ]  # fmt: skip
    if len(rows) > 1:
        order = np.polyfit(np.log([row["hours"] for row in rows]), np.log([row["rms"] for row in rows]), 1)[0]
        worst = max(row["rounding"] / row["exact"] for row in rows) / math.log(rows[0]["hours"] / rows[-1]["hours"])
        checks.append(check("order of convergence in the interval", float(order), exact=1.0, within=0.05 + worst,
                            why="0.05 for higher orders, and rounding"))  # fmt: skip
    return rows, checks


def _block_mean(series: F64, hours: int = 72) -> tuple[float, float]:
    """Mean and standard error of (hours, replicas) from blocks of so many hours, which hardly know of one another."""
    count = max(series.shape[0] // hours, 1)
    blocks = np.concatenate([part.mean(axis=0) for part in np.array_split(series, count)])
    return float(blocks.mean()), float(blocks.std(ddof=1) / math.sqrt(blocks.size))


def _market(options: Options, say: Callable[[str], None]) -> tuple[dict[str, Any], list[Check]]:
    """The small market for every demand, and once without funding."""
    if not options.demands:
        return {}, []
    rows, checks, lines = [], [], {}
    shown = _middle(options.demands)
    half = 12 * options.market_days
    for number, demand in enumerate(options.demands):
        ours = PegMarket(options, demand, True, number).run()
        mean, se = _block_mean(ours.carry[half:])
        exact = resting_carry(options, demand)
        rows.append({"demand": demand, "carry": mean, "se": se, "exact": exact})
        checks += [
            check(f"funding at rest, demand {demand:g} coins/h", 100 * mean, exact=100 * exact, unit="% a year",
                  within=400 * se, why="4 standard errors"),
            check(f"money and positions made, demand {demand:g} coins/h", ours.made_units, exact=0.0, within=0.0,
                  why="exact", unit="units"),
        ]  # fmt: skip
        if demand == shown:
            lines["funded"] = ours
        say(f"demand {demand:g} coins/h: funding comes to rest at {100 * mean:.2f} % a year, exact {100 * exact:.2f} %")
    lines["unfunded"] = free = PegMarket(options, shown, False, options.demands.index(shown)).run()
    end = free.premium[-1]
    hours = free.premium.shape[0] - 1
    mean, exact = float(end.mean()), math.expm1(options.impact * shown * hours)
    say(f"demand {shown:g} coins/h without funding: premium {1e4 * mean:.2f} bp after {options.market_days} days")
    within = 4 * options.impact * options.noise_coins * math.sqrt(hours / end.size) + 0.5 * TICK_USD / options.start_usd
    checks.append(
        check("premium at the end without funding", 1e4 * mean, exact=1e4 * exact, unit="bp", within=1e4 * within,
              why="4 standard errors and half a tick")
    )  # fmt: skip
    every = max(hours // 240, 1)
    paths = {name: (1e4 * one.premium.mean(axis=1)[::every]).tolist() for name, one in lines.items()}
    days = (np.arange(hours + 1)[::every] / 24).tolist()
    return {"demand": shown, "days": days, "premium_bp": paths, "rest": rows}, checks


def _sample(options: Options, terms: Terms, index: F64) -> dict[str, Any]:
    """Wealth of portfolios at the lowest, the fair and the highest ratio on the first paths, for the picture."""
    offsets = [min(options.offsets), 0.0, max(options.offsets)]
    few = options.model_copy(update={"paths": min(options.paths, 4)})
    held = _carry(few, terms, offsets, index[:, : few.paths], options.interval_hours)
    every = max(held.wealth.shape[0] // 180, 1)
    days = np.arange(held.wealth.shape[0])[::every] * options.interval_hours / 24
    return {"days": days.tolist(), "offsets": offsets, "paths": few.paths, "usd": held.wealth[::every].T.tolist()}


# --- words ------------------------------------------------------------------------------------------------------------
def text(results: dict[str, Any]) -> str:
    """The comparisons."""
    return check_table(results["checks"])
