"""Stylised facts from traders who know a value and traders who guess: Chiarella and Iori (2002), beside PAMS.

Chiarella and Iori (2002), Quantitative Finance 2, 346-353, in the form of the traders of PAMS (arXiv:2309.10729), which
are played in the project's books (`_fcn_market`). PAMS states five thresholds that its market passes in 240 runs, with
ranges and medians, and for the parameters of its sample CI2002 that neither fat tails nor vanishing autocorrelation
appears. Both are tested here; and run by run against PAMS itself, with the same traders and other random numbers, where
it is installed. It is skipped, with the reason, where it is not.

Facts are of the log returns between different successive prices: excess kurtosis; Hill's tail index of the largest 5 %;
the largest autocorrelation of lags 1 to 20; that of absolute returns at lag 1, and its mean over lags 1 to 10.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from abm.parameters import Parameters, quantity
from experiments._checks import Check, check, check_table
from experiments._facts import autocorrelation, excess_kurtosis, hill
from experiments._fcn_figure import draw
from experiments._fcn_market import SAMPLE, VALIDATION, FcnMarket, Population
from experiments._fcn_pams import missing, pams_prices

__all__ = ["FULL", "QUICK", "Options", "draw", "run", "text"]

F64 = NDArray[np.float64]
PAMS = "PAMS, user guide"
FACTS = ("kurtosis", "tail index", "autocorrelation", "clustering at 1", "clustering 1-10")
THRESHOLDS = ((3.0, math.inf), (1.5, 4.5), (0.0, 0.1), (0.1, math.inf), (0.02, math.inf))
RANGES = {
    "validation": ((5.8, 30.3), (1.72, 3.25), (0.024, 0.067), (0.144, 0.240), (0.034, 0.077)),
    "sample": ((0.2, 1.7), (5.0, 7.0), None, None, None),
}
"""Of 240 runs, and of 40 for the sample ("about"), of 20,000 steps."""
MEDIANS = (12.5, 2.51, None, 0.185, 0.053)
BOUNCE = -0.44
"""Autocorrelation of the sample's returns at lag 1, "about"."""
RUNS, ERRORS, PUBLISHED_STEPS, PUBLISHED_WARM = 240, 4.0, 20_000, 1_000
FAR = math.sqrt(-math.log(3.17e-5) / 2.0)
"""Two-sided tail of 4 standard errors in the law of Kolmogorov and Smirnov."""
TAIL, LAGS, SHORT = 0.05, 20, 10


class Options(Parameters):
    """How many runs, how long, and whose PAMS."""

    seeds: int = quantity(40, unit="seeds", source="card: at least 20", ge=4, le=2_000, text="of each population")
    steps: int = quantity(PUBLISHED_STEPS, unit="steps", source=PAMS, ge=2_000, le=1_000_000)
    warm: int = quantity(PUBLISHED_WARM, unit="steps", source=PAMS, ge=0, le=100_000)
    traders: int = quantity(100, unit="traders", source=PAMS, ge=1, le=10_000)
    pams_seeds: int = quantity(20, unit="seeds", source="card: at least 20", ge=0, le=2_000, text="of PAMS; 0: not run")
    pams_python: str = Field("", description="interpreter in which PAMS is installed; empty: this one")
    seed: int = quantity(1, unit="-", source="chosen", ge=0)


QUICK = {"seeds": 20, "pams_seeds": 0}
FULL = {"seeds": 240, "pams_seeds": 240}


def facts_of(prices: F64) -> list[float]:
    """The five facts, the autocorrelation at lag 1, the number of returns; prices (T,)."""
    returns = np.diff(np.log(prices))
    moved = returns[returns != 0.0]
    size = np.abs(moved)
    linear = [autocorrelation(moved, lag) for lag in range(1, LAGS + 1)]
    clusters = [autocorrelation(size, lag) for lag in range(1, SHORT + 1)]
    return [
        excess_kurtosis(moved), hill(moved, TAIL), float(np.abs(linear).max()), clusters[0],
        float(np.mean(clusters)), linear[0], float(moved.size),
    ]  # fmt: skip


def run(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """An object: `ours` and `pams`, facts by population and run (runs, 7); a `path`; `skipped`; `checks`."""
    kinds = (VALIDATION, SAMPLE)
    number = np.arange(options.seeds)
    rows = [kind for kind in kinds for _ in number]
    market = FcnMarket(rows, np.tile(number, len(kinds)), options.traders, options.seed)
    prices = market.run(options.warm, options.steps).prices
    ours = {
        kind.name: [facts_of(prices[:, place * options.seeds + k]) for k in range(options.seeds)]
        for place, kind in enumerate(kinds)
    }
    for name, found in ours.items():
        middle = np.median(found, axis=0)
        say(f"{name}: " + ", ".join(f"{fact} {value:.3g}" for fact, value in zip(FACTS, middle, strict=False)))
    python = options.pams_python or sys.executable
    skipped = "pams_seeds is 0" if options.pams_seeds == 0 else missing(python)
    if skipped:
        say(f"skipped: PAMS; {skipped}")
    pams = {} if skipped else {kind.name: _pams(options, python, kind, say) for kind in kinds}
    if options.steps < PUBLISHED_STEPS:
        say(f"skipped: thresholds and ranges; they are for {PUBLISHED_STEPS:,} steps")
    checks = [*_threshold_checks(options, ours), *_pams_checks(ours, pams)]
    shown = prices[:: max(options.steps // 1000, 1), [0, options.seeds]]
    path = {"step": list(range(0, options.steps, max(options.steps // 1000, 1))), "prices": shown.T.tolist()}
    return {"ours": ours, "pams": pams, "skipped": skipped, "path": path, "steps": options.steps, "checks": checks}


def _pams(options: Options, python: str, kind: Population, say: Callable[[str], None]) -> list[list[float]]:
    prices = pams_prices(python, kind, options.traders, options.warm, options.steps, options.pams_seeds)
    say(f"PAMS, {kind.name}: {options.pams_seeds} runs")
    return [facts_of(prices[:, k]) for k in range(options.pams_seeds)]


def _threshold_checks(options: Options, ours: dict[str, list[list[float]]]) -> list[Check]:
    """PAMS's thresholds, medians and ranges; and that the sample's parameters miss the first and the third."""
    if options.steps < PUBLISHED_STEPS:  # PAMS asks for 5,000 returns
        return []
    good, sample = (np.array(ours[name]) for name in ("validation", "sample"))
    checks = [
        check(f"validation: runs whose {fact} misses its threshold", _outside(good[:, k], bounds), published=0,
              within=0, why="as in all of the 240 runs")
        for k, (fact, bounds) in enumerate(zip(FACTS, THRESHOLDS, strict=True))
    ]  # fmt: skip
    for k, what in ((0, "with fat tails"), (2, "without autocorrelation")):
        passed = len(sample) - _outside(sample[:, k], THRESHOLDS[k])
        checks.append(check(f"sample: runs {what}", passed, published=0, within=0, why="neither appears"))
    if (options.steps, options.warm) != (PUBLISHED_STEPS, PUBLISHED_WARM):
        return checks
    count = len(good)
    for k, fact in enumerate(FACTS):
        middle, bounds = MEDIANS[k], RANGES["validation"][k]
        error = 0.5 * math.sqrt(1 / count + 1 / RUNS)
        if middle is not None and ERRORS * error < 0.5:
            checks.append(check(f"validation: share of runs with {fact} below the median {middle:g}",
                                float((good[:, k] < middle).mean()), published=0.5, within=ERRORS * error,
                                why="4 errors of both"))  # fmt: skip
        if bounds is not None:
            mean = 2.0 * count / (RUNS + 1)
            sd = math.sqrt(mean + mean**2 / 2.0)
            checks.append(check(f"validation: runs with {fact} outside {bounds[0]:g} to {bounds[1]:g}",
                                _outside(good[:, k], bounds), exact=mean, within=ERRORS * sd,
                                why="range of 240 draws"))  # fmt: skip
    bounce = sample[:, 5]
    checks.append(check("sample: autocorrelation at 1", float(bounce.mean()), published=BOUNCE, within=0.005 + ERRORS
                        * float(bounce.std(ddof=1)) / math.sqrt(count), why="digits, 4 standard errors"))  # fmt: skip
    return checks


def _outside(values: F64, bounds: tuple[float, float]) -> int:
    return int(((values < bounds[0]) | (values > bounds[1])).sum())


def _pams_checks(ours: dict[str, list[list[float]]], pams: dict[str, list[list[float]]]) -> list[Check]:
    """Distances of Kolmogorov and Smirnov between our runs and PAMS's, fact by fact, where runs suffice to tell."""
    checks = []
    for name, theirs in pams.items():
        a, b = np.array(ours[name]), np.array(theirs)
        far = FAR * math.sqrt(1 / len(a) + 1 / len(b))
        for k, fact in enumerate((*FACTS, "autocorrelation at 1", "number of returns") if far < 1.0 else ()):
            checks.append(check(f"{name}, {fact}: distance to PAMS", distance(a[:, k], b[:, k]), exact=0.0,
                                within=far, why="4 standard errors (Kolmogorov-Smirnov)"))  # fmt: skip
    return checks


def distance(a: F64, b: F64) -> float:
    """Largest difference of two distribution functions."""
    at = np.concatenate([a, b])
    one, two = (np.searchsorted(np.sort(x), at, side="right") / x.size for x in (a, b))
    return float(np.abs(one - two).max())


def text(results: dict[str, Any]) -> str:
    """Medians and ranges, what was skipped, the checks."""
    heads = (*FACTS, "autocorr. at 1", "returns")
    lines = [f"{'median (least to most)':<26}" + "".join(f"{head:>26}" for head in heads)]
    for whose, table in (("ours", results["ours"]), ("PAMS", results["pams"])):
        for name, found in table.items():
            values = np.array(found)
            cells = (
                f"{np.median(values[:, k]):.3g} ({values[:, k].min():.3g} to {values[:, k].max():.3g})"
                for k in range(len(heads))
            )
            lines.append(f"{f'{whose}, {name}, {len(found)} runs':<26}" + "".join(f"{cell:>26}" for cell in cells))
    if results["skipped"]:
        lines.append(f"SKIPPED: PAMS; {results['skipped']}")
    return "\n".join(lines) + "\n\n" + check_table(results["checks"])
