"""Fire sales: who acts at a threshold of leverage against who always returns to a target.

The question of Cont and Schaanning (2017, Norges Bank working paper 2/2017) in the form of the public code of Farmer,
Kleinnijenhuis, Nahai-Williamson and Wetzer (2020), repository firesale_stresstest: `_fire_sale` has the model in our
words. Its table of 48 banks is looked for with `data`; without it banks are drawn, and its figures are not compared.

Three answers stand beside one another: the numbers of that code (run by us, exact but for the order of the banks), an
exact solver in which all sellers of a step are paid one price, and the project's books, where a sale walks down bids
and who comes first is paid more (`_fire_sale_book`). For identical investors at leverage L with all of their assets in
one bond, targeting multiplies a small shock by 1 / (1 - beta (L - 1)): the critical beta is 1 / (L - 1). A shock of
finite size ends sooner, since they have less and less to sell (`law_of_targeting`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, field_validator, model_validator
from scipy.optimize import brentq

from abm.parameters import Parameters, quantity
from experiments._checks import Check, check, check_table
from experiments._fire_sale import FILE, PART, Outcome, Rules, Sheets, alike, drawn_sheets, read_sheets, solve
from experiments._fire_sale_book import sell_in_book
from experiments._fire_sale_figure import draw

__all__ = ["FULL", "QUICK", "Options", "draw", "run", "text"]

CODE = "Farmer et al. 2020, code"
CELLS = 21
FAILED = {
    "impact": (7, 9, 18, 25, 32, 36, 38, 43, 43, 43, 44, 44, 45, 45, 45, 45, 45, 45, 45, 45, 45),
    "threshold": (0, 0, 0, 0, 2, 2, 2, 2, 3, 4, 6, 10, 14, 17, 16, 16, 18, 19, 21, 24, 25),
    "targeting": (0, 0, 0, 2, 2, 2, 3, 3, 4, 6, 12, 11, 12, 13, 14, 15, 18, 20, 22, 23, 26),
}
"""Banks that fail, of 48, in that code: impact 0 to 0.1 at a shock of 0.2, and shock 0 to 0.3 at an impact of 0.01."""
SOLD = {
    "impact": (0.60512, 0.79342, 0.91450, 0.94416, 0.98162, 0.99385, 0.99385, 0.99385, 0.99605, 0.99605, 0.99605,
               0.99605, 0.99605, 0.99605, 0.99605, 0.99605, 1, 1, 1, 1, 1),
    "threshold": (0.04711, 0.04711, 0.08692, 0.11543, 0.15790, 0.37226, 0.69199, 0.85226, 0.87631, 0.91450, 0.91450,
                  0.91450, 0.91450, 0.91450, 0.91450, 0.91450, 0.92752, 0.93494, 0.93832, 0.94416, 0.95671),
    "targeting": (0.31686, 0.51217, 0.82695, 0.87899, 0.89244, 0.90465, 0.91277, 0.91532, 0.92084, 0.92527, 0.92959,
                  0.93217, 0.93610, 0.94429, 0.95222, 0.95993, 0.96740, 0.97547, 0.98332, 0.98383, 0.98383),
}  # fmt: skip
"""Share of all bonds that is sold, likewise."""
SHOWN = (2, 6, 10, 14, 18)
"""Cells that stand in the table of checks one by one."""
SMALL_TICKS, SMALL_ROUNDS, SMALL_STEPS = 100_000, 8, 120


class Options(Parameters):
    """The grid is that of the code; what a cell costs is small."""

    data: str = Field("", description=f"file {FILE} of the repository firesale_stresstest, or its folder; empty: drawn")
    banks: int = quantity(48, unit="banks", source=CODE, ge=2, le=1_000, text="drawn, without the file")
    most_impact: float = quantity(0.1, unit="of the price", source=CODE, gt=0, le=0.2, text="by a sale of a twentieth")
    most_shock: float = quantity(0.3, unit="of the price", source=CODE, gt=0, le=0.5, text="of government bonds")
    shock: float = quantity(0.2, unit="of the price", source=CODE, ge=0, le=0.5, text="where the impact varies")
    impact: float = quantity(0.01, unit="of the price", source=CODE, ge=0, le=0.2, text="where the shock varies")
    trigger: float = quantity(0.04, unit="equity/assets", source=CODE, gt=0, lt=1, text="the threshold")
    target: float = quantity(0.05, unit="equity/assets", source=CODE, gt=0, lt=1)
    minimum: float = quantity(0.03, unit="equity/assets", source=CODE, ge=0, lt=1, text="below it a bank fails")
    steps: int = quantity(6, unit="steps", source=CODE, ge=1, le=100)
    ticks: int = quantity(4_000, unit="ticks", source="chosen", ge=200, le=100_000, text="in a price of one")
    rounds: int = quantity(32, unit="rounds", source="chosen", ge=1, le=1_000, text="parts of a step's sale")
    orders: int = quantity(12, unit="seeds", source="chosen", ge=2, le=1_000, text="of who comes first, in one round")
    leverage: float = quantity(10.0, unit="assets/equity", source="card", gt=1, le=30, text="of identical investors")
    gains: list[float] = quantity(
        [0.0, 0.25, 0.5, 0.7, 0.8, 0.9, 1.2], unit="-", source="chosen", text="beta (L - 1) of identical investors"
    )
    small_shock: float = quantity(0.001, unit="of the price", source="chosen", gt=0, le=0.02)
    seed: int = quantity(1, unit="-", source="of drawn banks and of who comes first", ge=0)

    @field_validator("gains")
    @classmethod
    def _rising(cls, gains: list[float]) -> list[float]:
        if not gains or sorted(set(gains)) != gains or gains[0] < 0 or gains[-1] > 3:
            raise ValueError("a rising list of different numbers between 0 and 3 is needed")
        return gains

    @model_validator(mode="after")
    def _fits(self) -> Options:
        problems = []
        if not self.minimum < self.trigger <= self.target:
            problems.append("minimum, trigger and target: must rise in this order")
        if self.data and table(self.data) is None:
            problems.append(f"data: {FILE} is not there")
        if problems:
            raise ValueError("; ".join(problems))
        return self


QUICK = {"orders": 4, "gains": [0.0, 0.5, 0.8, 1.2]}
FULL = {"orders": 100, "ticks": 20_000, "rounds": 128}


def table(data: str) -> Path | None:
    """The file, if it is there."""
    places = [Path(data), Path(data) / FILE] if data else []
    places += [Path(os.environ["DELEVERAGE_DATA"]) / FILE] if not data and "DELEVERAGE_DATA" in os.environ else []
    return next((place for place in places if place.is_file()), None)


def curves_of(options: Options) -> dict[str, Rules]:
    """The three sweeps."""
    impacts, shocks = np.linspace(0, options.most_impact, CELLS), np.linspace(0, options.most_shock, CELLS)
    full = np.ones(CELLS)

    def rules(impact: Any, shock: Any, trigger: float) -> Rules:
        return Rules(impact * full, shock * full, trigger * full, options.target * full, options.minimum, options.steps)

    return {
        "impact": rules(impacts, options.shock, options.trigger),
        "threshold": rules(options.impact, shocks, options.trigger),
        "targeting": rules(options.impact, shocks, 1.0),
    }


def run(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """An object: `curves` of the three sweeps, `arrivals` of the first in one round, `alike`, and `checks`."""
    place = table(options.data)
    sheets = drawn_sheets(options.banks, options.seed) if place is None else read_sheets(place)
    if place is None:
        say(f"no {FILE}: {options.banks} banks are drawn, and figures of the code are not compared (--set data=FILE)")
    many = sheets.repeated(CELLS)
    curves, checks = {}, []
    for name, rules in curves_of(options).items():
        exact = solve(many, rules)
        ours = sell_in_book(many, rules, options.ticks, options.rounds, options.seed)
        across = rules.impact if name == "impact" else rules.shock
        curves[name] = {"across": across.tolist(), "exact": _series(exact), "ours": _series(ours)}
        published = name if place is not None and _as_published(options) else ""
        checks += _curve_checks(name, exact, ours, sheets, published)
        say(f"{name}: {exact.failed[0]} to {exact.failed[-1]} banks fail, in the book {ours.failed[0]} to "
            f"{ours.failed[-1]}")  # fmt: skip
    less = np.array(curves["targeting"]["ours"]["sold"]) < np.array(curves["threshold"]["ours"]["sold"]) - 1e-3
    checks.append(check("shocks at which targeting sells less", int(less.sum()), exact=0, within=0, why="count"))
    found, more = _alike(options, say)
    return {
        "source": "drawn" if place is None else "file",
        "banks": sheets.cash.shape[1],
        "curves": curves,
        "arrivals": _arrivals(options, many, say),
        "alike": found,
        "law": _curve_law(options),
        "options": options.model_dump(mode="json", exclude={"data"}),
        "checks": [*checks, *more],
    }


def _series(outcome: Outcome) -> dict[str, list[float]]:
    last = outcome.prices[-1]
    return {"failed": outcome.failed.tolist(), "sold": outcome.sold.tolist(), "price": last[:, 1].tolist()}


def _as_published(options: Options) -> bool:
    """Whether the sweeps are those of the code."""
    names = ("most_impact", "most_shock", "shock", "impact", "trigger", "target", "minimum", "steps")
    return all(getattr(options, name) == Options.model_fields[name].default for name in names)


def _curve_checks(name: str, exact: Outcome, ours: Outcome, sheets: Sheets, published: str) -> list[Check]:
    """Cells one by one, and the largest differences of all; one bank more or less is the code's own tolerance."""
    apart = int(np.abs(ours.failed - exact.failed).max())
    one = float((sheets.bonds.sum(axis=2) / sheets.bonds.sum()).max())
    rows = [
        check(f"{name}, cell {cell}: banks that fail", int(ours.failed[cell]), exact=int(exact.failed[cell]),
              published=FAILED[published][cell] if published else None, within=1, why="one bank")
        for cell in SHOWN
    ]  # fmt: skip
    rows += [
        check(f"{name}: failures, largest difference of {CELLS}", apart, exact=0, within=1, why="one bank"),
        check(f"{name}: share sold, largest difference", float(np.abs(ours.sold - exact.sold).max()), exact=0,
              within=one, why="the bonds of one bank"),
    ]  # fmt: skip
    if published:
        off = int(np.abs(exact.failed - np.array(FAILED[published])).max())
        gap = float(np.abs(exact.sold - np.array(SOLD[published])).max())
        rows += [
            check(f"{name}: failures, solver against the code", off, published=0, within=0, why="all cells"),
            check(f"{name}: share sold, solver against the code", gap, published=0, within=5.1e-6, why="digits"),
        ]
    return rows


def _arrivals(options: Options, many: Sheets, say: Callable[[str], None]) -> dict[str, Any]:
    """The first sweep with every sale in one round: failures by who comes first, (orders, cells)."""
    rules = curves_of(options)["impact"]
    failed = [sell_in_book(many, rules, options.ticks, 1, options.seed + 1 + k).failed for k in range(options.orders)]
    gap = np.abs(np.array(failed) - solve(many, rules).failed)
    say(f"in one round a step: up to {gap.max()} banks more or less by who comes first")
    return {"across": rules.impact.tolist(), "failed": np.array(failed).tolist()}


def law_of_targeting(leverage: float, beta: float, shock: float) -> tuple[float, float]:
    """Where identical investors stop, without ticks: share of the bond sold, and the whole fall over the shock.

    Having sold a share f they have received (1 - shock) (1 - exp(-beta f)) / beta and hold 1 - f at
    (1 - shock) exp(-beta f); they stop as soon as the rest of the loan is 1 - 1 / leverage of that.
    """
    part = 1.0 - 1.0 / leverage

    def too_much(f: Any) -> Any:
        paid = -np.expm1(-beta * f) / beta if beta > 0.0 else f
        return part - (1.0 - shock) * (paid + part * np.exp(-beta * f) * (1.0 - f))

    grid = np.linspace(0.0, 1.0, 4001)
    past = np.flatnonzero(too_much(grid) <= 0.0)
    sold = float(brentq(too_much, grid[past[0] - 1], grid[past[0]])) if past.size else 1.0
    return sold, (1.0 - (1.0 - shock) * float(np.exp(-beta * sold))) / shock


def _alike(options: Options, say: Callable[[str], None]) -> tuple[list[dict[str, Any]], list[Check]]:
    """Identical investors: the whole fall over the shock, under both rules, by the gain of a round."""
    gains, lever, shock = np.array(options.gains), options.leverage, options.small_shock
    each = np.ones(gains.size)
    betas = gains / (lever - 1.0)
    sheets = alike(10, lever).repeated(gains.size)
    found = {}
    for name, trigger in (("targeting", 1.0), ("threshold", 0.8 / lever)):
        rules = Rules(-np.expm1(-PART * betas), shock * each, trigger * each, each / lever, 0.0, SMALL_STEPS)
        found[name] = sell_in_book(sheets, rules, SMALL_TICKS, SMALL_ROUNDS, options.seed)
    rows, checks = [], []
    tick = 1.0 / SMALL_TICKS
    for place, gain in enumerate(options.gains):
        near = [law_of_targeting(lever, betas[place], shock + k * tick)[1] * (shock + k * tick) for k in (-1, 0, 1)]
        falls = {name: float(1.0 - outcome.prices[-1, place, 1]) / shock for name, outcome in found.items()}
        limit = 1.0 / (1.0 - gain) if gain < 1.0 else None
        sold = float(found["targeting"].sold[place])
        rows.append({"gain": gain, "law": near[1] / shock, "limit": limit, "sold": sold, **falls})
        within = (max(near[2] - near[1], near[1] - near[0]) + tick) / shock
        checks.append(check(f"gain {gain:g}: fall over shock", falls["targeting"], exact=near[1] / shock,
                            within=within, why="a tick in the shock, a tick at the end"))  # fmt: skip
        say(f"gain {gain:g}: a fall of {falls['targeting']:.3f} shocks, exact {near[1] / shock:.3f}")
    quiet = float(np.abs((1.0 - found["threshold"].prices[-1, :, 1]) / shock - 1.0).max())
    what = "threshold: fall beyond the shock, in shocks"
    checks.append(check(what, quiet, exact=0.0, within=0.5 * tick / shock, why="half a tick"))
    return rows, checks


def _curve_law(options: Options) -> dict[str, list[float]]:
    """The law on a fine grid of gains, for the picture."""
    gains = np.linspace(0.0, options.gains[-1], 200)
    betas = gains / (options.leverage - 1.0)
    falls = [law_of_targeting(options.leverage, float(beta), options.small_shock)[1] for beta in betas]
    return {"gain": gains.tolist(), "fall": falls}


def text(results: dict[str, Any]) -> str:
    """Failures and shares sold along the sweeps, and the checks."""
    whose = "of the stress test's table" if results["source"] == "file" else "DRAWN"
    lines = [f"{results['banks']} banks {whose}; failed, and share of bonds sold: exact (book)"]
    for name, curve in results["curves"].items():
        for cell in range(0, CELLS, 4):
            exact, ours = curve["exact"], curve["ours"]
            lines.append(
                f"{name:<10}{curve['across'][cell]:>7.3f}{exact['failed'][cell]:>5} ({ours['failed'][cell]})"
                f"{exact['sold'][cell]:>9.3f} ({ours['sold'][cell]:.3f})"
            )
    return "\n".join(lines) + "\n\n" + check_table(results["checks"])
