"""Zero-intelligence order flow (Daniels et al. 2003): spread, depth and diffusion collapse on two numbers.

Daniels, Farmer, Gillemot, Iori, Smith, Phys. Rev. Lett. 90, 108102; Smith, Farmer, Gillemot, Krishnamurthy,
Quantitative Finance 3, 481 (2003), arXiv cond-mat/0210475; Farmer, Patelli, Zovko, PNAS 102, 2254 (2005), arXiv
cond-mat/0309233.

Limit orders fall uniformly below the best ask and above the best bid, at alpha (lots a dollar and second), market
orders come at mu (lots a second), every order has sigma lots and is cancelled at rate delta. With the price p_c =
mu/alpha and the time 1/delta only eps = delta sigma/mu and the tick dp/p_c remain, exactly. All rates are those of one
side.

Three kinds of yardstick, and they are not of one rank:

* exact: the depth far from the mid, alpha/delta; the collapse of parameter sets with equal eps and tick;
* regression: a table simulated for this very model by an earlier, independent program (per side, p_c = 100 ticks,
  window 24 p_c, 10 million events, spread to 1 %). It is no published result;
* published: the fit of the mean-field spread (mu/alpha) f(delta sigma/mu), f(x) = 0.28 + 1.86 x^(3/4), a trend only.
  The papers differ by a factor of two in what mu counts: if one side's market orders, the fit is f(eps) p_c in our
  units; if those of both sides, 2 f(eps/2) p_c. Both are given; the check takes the second.

The squared changes of the mid are summed over every event (quadratic variation). That is the short-time diffusion,
which the law of 2005 describes (D/(p_c^2 delta) ~ eps^(-1/2)); over many lifetimes the mid diffuses far less.
Ten ticks to p_c instead of a hundred widen the spread by nearly half of such a tick, whatever eps is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from pydantic import Field, field_validator, model_validator

from abm.parameters import Parameters, quantity
from experiments._checks import Check, check, check_table
from experiments._zero_book import FAR, LONG_LAG, Flow, Measured, measure
from experiments._zero_figure import draw

__all__ = ["FULL", "QUICK", "REGRESSION", "Options", "draw", "run", "text"]

REGRESSION = {
    0.01: (0.469, 7.95, 0.13),
    0.05: (0.553, 2.79, 0.32),
    0.1: (0.633, 2.20, 0.50),
    0.2: (0.763, 2.17, 0.80),
    0.5: (1.110, 3.17, 1.8),
    1.0: (1.640, 6.06, 4.0),
}
"""By eps: spread/p_c, quadratic variation of the mid/(p_c^2 delta), and its diffusion over 64/delta (20 %)."""
REGRESSION_TICK = 0.01
COARSE = (0.1, 1.03, 1.10)
"""At this tick the spread is so much wider than at `REGRESSION_TICK`, from and to."""
SPREAD_WITHIN, DIFFUSION_WITHIN, TREND_WITHIN, COLLAPSE_WITHIN = 0.03, 0.20, 0.45, 0.02
ERRORS = 4.0
"""Standard errors that a comparison allows where they exceed the stated tolerance."""
FAR_LENGTHS = 5.0
"""A hole that the mid has left in the book fades by 1/e each sqrt(D/2 delta) of distance; far is beyond so many."""
LEAST_REPLICAS = 32
SHORT = 12.0
"""Lifetimes measured, at least, where no long lag is asked for."""
OTHER_SIZE, OTHER_TIME, OTHER_PRICE = 3, 2.7, 5.0
"""The other parameter set of the collapse: lots an order, rates, dollars, each times so much."""


class Options(Parameters):
    """What is run."""

    eps: list[float] = quantity(
        [0.01, 0.05, 0.1, 0.2, 0.5, 1.0],
        unit="-",
        source="regression table",
        text="granularity delta sigma/mu, one side's",
    )
    tick: list[float] | float = quantity(
        [0.01, 0.1], unit="p_c", source="regression table", text="one size or several; the first is also collapsed"
    )
    events: int = quantity(
        10_000_000, unit="events", source="spread to 0.4 %", ge=10_000, le=10_000_000_000, text="a run, at least"
    )
    lifetimes: float = quantity(
        80,
        unit="1/delta",
        source="long lag of 64",
        ge=1,
        text="measured at least, at the first tick; others at most 12",
    )
    burn: float = quantity(6, unit="1/delta", source="spread is steady by then", ge=0, text="passes before measuring")
    window: float = quantity(24, unit="p_c", source="much wider than p_c", ge=4, text="limit orders fall so far away")
    market_rate: float = quantity(1.0, unit="lots/s", source="scale only", gt=0, text="mu, one side; p_c is 1 $")
    replicas: int = quantity(256, unit="books", source="speed", ge=8, le=512, text="side by side, at most")
    collapse: bool = Field(default=True, description="whether the other parameter set is run")
    seed: int = quantity(1, unit="-", source="chosen", ge=0)

    @property
    def ticks(self) -> list[float]:
        """Tick sizes as a list."""
        return self.tick if isinstance(self.tick, list) else [self.tick]

    @field_validator("eps")
    @classmethod
    def _eps(cls, value: list[float]) -> list[float]:
        if not value or len(set(value)) < len(value) or not all(0.002 <= eps <= 10 for eps in value):
            raise ValueError("a list of different numbers from 0.002 to 10 is needed")
        return value

    @field_validator("tick")
    @classmethod
    def _tick(cls, value: list[float] | float) -> list[float] | float:
        ticks = value if isinstance(value, list) else [value]
        if not ticks or len(set(ticks)) < len(ticks) or not all(0.001 <= tick <= 0.5 for tick in ticks):
            raise ValueError("a number, or a list of different numbers, from 0.001 to 0.5 is needed")
        return value

    @model_validator(mode="after")
    def _whole(self) -> Options:
        bad = [tick for tick in self.ticks if self.window / tick > 100_000]
        if bad:
            raise ValueError(f"the window is more than 100,000 ticks wide at the ticks {bad}")
        return self


QUICK = {"eps": [0.1, 0.2, 1.0], "events": 600_000, "lifetimes": 10, "replicas": 96, "burn": 4}
FULL = {"events": 60_000_000}


def flow(options: Options, eps: float, tick: float, other: bool = False) -> Flow:
    """The flow at a granularity and tick: p_c = 1 $ and one lot an order, or all of it in other units of everything."""
    size, pace, dollars = (OTHER_SIZE, OTHER_TIME, OTHER_PRICE) if other else (1, 1.0, 1.0)
    lots = options.market_rate * size * pace
    return Flow(
        alpha=lots / dollars,
        mu=lots,
        delta=eps * options.market_rate * pace,
        sigma=size,
        tick=tick * dollars,
        window=options.window * dollars,
    )


def run(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """All rows, the collapse and the checks."""
    rows, collapse = [], []
    for tick in options.ticks:
        for eps in options.eps:
            first = tick == options.ticks[0]
            rows.append(_row(options, eps, tick, options.lifetimes if first else min(SHORT, options.lifetimes), say))
            if first and options.collapse:
                other = _row(options, eps, tick, min(SHORT, options.lifetimes), say, other=True)
                collapse.append(_collapsed(rows[-1], other))
    checks = [*_exact_checks(rows, collapse), *_regression_checks(rows), *_tick_checks(rows), *_trend_checks(rows)]
    names = ("spread", "variation", "diffusion")
    table = [
        {"eps": eps, "tick": REGRESSION_TICK, **dict(zip(names, values, strict=True))}
        for eps, values in REGRESSION.items()
    ]
    return {"rows": rows, "collapse": collapse, "regression": table, "checks": checks}


def _row(
    options: Options, eps: float, tick: float, lifetimes: float, say: Callable[[str], None], other: bool = False
) -> dict[str, Any]:
    """One measurement, in units of p_c, 1/delta and alpha/delta."""
    market = flow(options, eps, tick, other)
    steps = market.steps_a_lifetime
    count = round(
        min(max(options.events / (steps * lifetimes), min(LEAST_REPLICAS, options.replicas)), options.replicas)
    )
    lifetimes = max(lifetimes, options.events / (steps * count))
    name = f"eps {eps:g}, tick {tick:g}{', other units' if other else ''}"
    found = measure(market, count, options.burn, lifetimes, options.seed, name, say)
    return {"eps": eps, "tick": tick, "seconds_a_lifetime": 1 / market.delta, **_scaled(market, found), **_fits(eps)}


def _scaled(market: Flow, found: Measured) -> dict[str, Any]:
    """What was measured as pure numbers, each with its standard error."""
    pace, depth = market.price**2 * market.delta, market.alpha / market.delta
    scaled: dict[str, Any] = {}
    for name, pair, unit in (
        ("spread", found.spread, market.price),
        ("late", found.late, market.price),
        ("variation", found.variation, pace),
        ("diffusion", (found.diffusion[-1, 0], found.diffusion[-1, 1]), pace),
        ("near", found.near, depth),
        ("far", found.far, depth),
        ("table", found.table, market.table),
    ):
        scaled[name], scaled[f"{name}_error"] = (float(value) / unit for value in pair)
    bins, length = len(found.profile), math.sqrt(scaled["diffusion"] / 2)
    scaled |= {
        "lags": (found.lags * market.delta).tolist(),
        "diffusion_by_lag": (found.diffusion / pace).tolist(),
        "profile_distance": [market.window / market.price * (number + 0.5) / bins for number in range(bins)],
        "profile": (found.profile / depth).tolist(),
        "window_is_wide": FAR[0] * market.window / market.price > scaled["spread"] + FAR_LENGTHS * length,
        "empty_quotes": found.empty,
        "events": found.events,
        "replicas": found.replicas,
    }
    return scaled


def _fits(eps: float) -> dict[str, float]:
    """The published fit of the spread/p_c, its rates read as one side's and as both sides'."""
    return {"fit_one_side": 0.28 + 1.86 * eps**0.75, "fit_both_sides": 2 * (0.28 + 1.86 * (eps / 2) ** 0.75)}


def _collapsed(row: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Ratios of two parameter sets that must agree, with their standard errors."""
    ratios: dict[str, Any] = {"eps": row["eps"], "tick": row["tick"], "other": other}
    for name in ("spread", "variation", "near"):
        ratio = other[name] / row[name]
        ratios[name] = ratio
        ratios[f"{name}_error"] = ratio * math.hypot(*(part[f"{name}_error"] / part[name] for part in (row, other)))
    return ratios


def _allowed(stated: float, error: float, words: str) -> dict[str, Any]:
    """The stated tolerance, or what the statistics of a short run allow."""
    if ERRORS * error <= stated:
        return {"within": stated, "why": words}
    more = f": more than the {words} of a longer run" if words else ""
    return {"within": ERRORS * error, "why": f"{ERRORS:g} standard errors{more}"}


def _exact_checks(rows: list[dict[str, Any]], collapse: list[dict[str, Any]]) -> list[Check]:
    """Collapse; the depth far away; the flow itself; no drift after the burn-in."""
    found = []
    for name, words in (("spread", "spread"), ("variation", "quadratic variation"), ("near", "depth within 2 p_c")):
        for pair in collapse:
            stated = COLLAPSE_WITHIN if name == "spread" else 0.0
            allowed = _allowed(stated, pair[f"{name}_error"], "2 %" if stated else "")
            found.append(check(f"{words}, other units/these, eps {pair['eps']:g}", pair[name], exact=1.0, **allowed))
    for row in rows:
        if not row["window_is_wide"]:
            continue
        what = f"far depth/(alpha/delta), eps {row['eps']:g}, tick {row['tick']:g}"
        found.append(check(what, row["far"], exact=1.0, within=ERRORS * row["far_error"], why="4 standard errors"))
    everything = [*rows, *(pair["other"] for pair in collapse)]
    for name, value, words in (
        ("table", 1.0, "orders not yet cancelled less 2 W alpha/(delta sigma)"),
        ("late", 0.0, "spread, second half less first"),
    ):
        worst = max(abs(row[name] - value) / row[f"{name}_error"] for row in everything)
        why = f"worst of {len(everything)} runs"
        found.append(check(f"{words}, standard errors", worst, exact=0.0, within=ERRORS, why=why))
    return found


def _regression_checks(rows: list[dict[str, Any]]) -> list[Check]:
    """Beside the regression table, where the same eps and tick were run."""
    found: list[Check] = []
    names = ("spread", "variation", "diffusion")
    words = ("spread/p_c", "quadratic variation/(p_c^2 delta)", "diffusion over 64/delta")
    for number, (name, what) in enumerate(zip(names, words, strict=True)):
        for row in rows:
            if row["tick"] != REGRESSION_TICK or row["eps"] not in REGRESSION:
                continue
            if name == "diffusion" and row["lags"][-1] < 0.9 * LONG_LAG:
                continue
            value, stated = REGRESSION[row["eps"]][number], DIFFUSION_WITHIN if name == "diffusion" else SPREAD_WITHIN
            allowed = _allowed(stated * value, row[f"{name}_error"], f"{100 * stated:.0f} %")
            # the column is the published one; the name says that this value is none
            found.append(check(f"{what}, regression, eps {row['eps']:g}", row[name], published=value, **allowed))
    return found


def _tick_checks(rows: list[dict[str, Any]]) -> list[Check]:
    """How much wider the spread is at ten ticks a p_c (regression)."""
    fine = {row["eps"]: row for row in rows if row["tick"] == REGRESSION_TICK}
    tick, low, high = COARSE
    found = []
    for row in rows:
        if row["tick"] != tick or row["eps"] not in fine or row["eps"] not in REGRESSION:
            continue
        base = fine[row["eps"]]
        ratio = row["spread"] / base["spread"]
        error = ratio * math.hypot(row["spread_error"] / row["spread"], base["spread_error"] / base["spread"])
        within, why = (high - low) / 2 + ERRORS * error, f"{low:g} to {high:g}, and 4 standard errors"
        what = f"spread at 10 ticks/at 100 ticks, regression, eps {row['eps']:g}"
        found.append(check(what, ratio, published=(low + high) / 2, within=within, why=why))
    return found


def _trend_checks(rows: list[dict[str, Any]]) -> list[Check]:
    """The published mean-field fit, over the granularities of the table: within 45 %, and rising as ours does."""
    least, most = min(REGRESSION), max(REGRESSION)
    known = [row for row in rows if row["tick"] == rows[0]["tick"] and least <= row["eps"] <= most]
    fine = sorted(known, key=lambda row: float(row["eps"]))
    found = []
    for row in fine:
        fit = row["fit_both_sides"]
        what = f"spread/p_c beside the published fit, eps {row['eps']:g}"
        found.append(check(what, row["spread"], published=fit, within=TREND_WITHIN * fit, why="a trend, 45 %"))
    rising = sum(after["spread"] > before["spread"] for before, after in pairwise(fine))
    if len(fine) > 1:
        words = "steps of eps at which the spread rises"
        found.append(check(words, rising, published=len(fine) - 1, within=0, why="f is monotone"))
    return found


def text(results: dict[str, Any]) -> str:
    """The table and the checks."""
    heads = ("eps", "tick", "spread/p_c", "variation", "diffusion", "over", "far depth", "fit, one", "both", "events")
    lines = ["".join(f"{head:>16}" for head in heads)]
    for row in results["rows"]:
        pairs = {
            name: f"{row[name]:.4g}±{row[f'{name}_error']:.2g}" for name in ("spread", "variation", "diffusion", "far")
        }
        cells = [f"{row['eps']:g}", f"{row['tick']:g}", pairs["spread"], pairs["variation"], pairs["diffusion"]]
        cells += [f"{row['lags'][-1]:.1f}/delta", pairs["far"]]
        cells += [f"{row['fit_one_side']:.3f}", f"{row['fit_both_sides']:.3f}", f"{row['events']:,}"]
        lines.append("".join(f"{cell:>16}" for cell in cells))
    units = "variation and diffusion in p_c^2 delta, far depth in alpha/delta; ± one standard error over replicas"
    return "\n".join([*lines, units, "", check_table(results["checks"])])
