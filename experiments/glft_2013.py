"""Guéant, Lehalle and Fernandez-Tapia (2013): optimal quotes under inventory risk, and what optimality is worth.

The quotes come from `abm.traders.quotes`, as the market's `Makers` use them: exact ones from the linear system for v_q,
and the closed form for a far horizon. Beside them: the eigen-decomposition of the same tridiagonal system.

Value. With exponential utility, a maker without inventory would sell its business for the certainty equivalent
-ln E[exp(-gamma profit)] / gamma. In continuous time it is ln(v_0) / k for the exact quotes. In steps of dt the exact
value of any rule follows by dynamic programming over the inventory (`_maker_chain`); its first-order error in dt is
removed by halving the step. The makers' profits in the project's books give it by Monte Carlo. That estimate stops
being one when gamma times the spread of profits is large (the mean of an exponential is then carried by paths that
nobody has seen); its exact standard error says when, and then only mean and spread of profits are compared.

Order. The exact quotes must be worth at least as much as those of Avellaneda and Stoikov, and these at least as much as
quotes that ignore the inventory: no sampling is involved. All three stop quoting a side at the same `limit`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator
from scipy.linalg import eigh_tridiagonal

from abm.parameters import quantity
from abm.traders.makers_parameters import MOST_CLIPS, RuleName
from abm.traders.quotes import Asymptotic, AvellanedaStoikov, Exact, QuotingModel
from experiments._checks import Check, check, check_table
from experiments._maker_chain import certainty_equivalent, profit, trading
from experiments._optimal_makers import MakerOptions, Paths, empty_books, simulate, standard_errors

RULES: dict[str, RuleName] = {"exact": "glft", "avellaneda-stoikov": "avellaneda-stoikov", "symmetric": "symmetric"}
REFERENCE_GAMMA = 0.1
REFERENCE = {"bid, q = 0": 0.67163, "bid, q = 3": 0.82850, "ask, q = 3": 0.51438}
REFERENCE_FAR = {"bid, q = 0": 0.67124, "bid, q = 3": 0.82640}
"""Distances computed once elsewhere, to five decimals, for the default parameters and gamma = 0.1."""
QUOTES_WITHIN = 1e-5
MOST_RELATIVE_ERROR = 0.25
"""Of the Monte Carlo mean of exp(-gamma profit): beyond it the estimate is shown, not compared."""
SMALL_CHANCE = 0.2
"""Of a fill in a double step at the middle price: up to it the error of the step is of first order."""


class Options(MakerOptions):
    """As Avellaneda and Stoikov, in shorter steps and with a limit."""

    dt: float = quantity(0.0005, unit="time", source="close to continuous time", gt=0.0, text="length of a step")
    limit: int = quantity(30, unit="units", source="hardly ever reached", ge=3, le=MOST_CLIPS, text="of inventory")
    horizons: list[float] = quantity(
        [0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0],
        unit="time",
        source="chosen",
        text="remaining times at which quotes are shown",
    )

    @model_validator(mode="after")
    def _horizons(self) -> Options:
        if not self.horizons or not all(0.0 < time <= self.T for time in self.horizons):
            raise ValueError(f"horizons: {self.horizons}: remaining times above 0 and at most T = {self.T:g}")
        return self


QUICK = {"paths": 80, "block": 80, "gammas": [0.1, 1.0]}
FULL = {"paths": 4_000}


def run(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """An object: `rows` (one a gamma) and `checks`."""
    rows, checks = [], []
    books = empty_books(options)
    for gamma in options.gammas:
        row = {"gamma": gamma} | quotes(options, gamma) | worth(options, gamma)
        say(f"gamma {gamma:g}: exact certainty equivalents")
        paths = simulate(books, options, gamma, "glft", options.limit, say)
        row |= traded(options, gamma, row, paths)
        rows.append(row)
        checks += [*compare_quotes(options, row), *compare_worth(options, row)]
    return {"rows": rows, "checks": checks}


# --- quotes -----------------------------------------------------------------------------------------------------------


def quotes(options: Options, gamma: float) -> dict[str, Any]:
    """Distances by inventory with T to go, by three rules; exact ones by remaining time; and by eigenvectors."""
    model = options.model(gamma)
    exact = Exact(model, options.limit, options.dt, options.T)
    shown = np.arange(-min(options.limit - 1, 10), min(options.limit - 1, 10) + 1, dtype=np.float64)
    row: dict[str, Any] = {"inventory": shown.tolist()}
    for name, rule in (("exact", exact), ("far", Asymptotic(model)), ("avellaneda-stoikov", AvellanedaStoikov(model))):
        found = rule(shown, options.T)
        row[f"bid_{name}"], row[f"ask_{name}"] = found.bid.tolist(), found.ask.tolist()
    row["by_time"] = []
    for time in options.horizons:
        found = exact(np.array([0.0, 3.0]), time)
        row["by_time"].append({"remaining": time, "bid_0": float(found.bid[0]), "bid_3": float(found.bid[1])})
    row["far_by_time"] = Asymptotic(model)(np.array([0.0, 3.0]), 0.0).bid.tolist()
    value = by_eigenvectors(model, options.limit, options.T)
    middle = options.limit
    distance = np.log(value[middle : middle + 4] / value[middle + 1 : middle + 5]) / options.k + model.base
    row["bid_eigenvectors"] = distance.tolist()
    row["certainty_equivalent_eigenvectors"] = math.log(value[middle]) / options.k
    row["certainty_equivalent"] = exact.certainty_equivalent(options.T)
    return row


def by_eigenvectors(model: QuotingModel, limit: int, remaining: float) -> NDArray[np.float64]:
    """GLFT's v_q for q = -limit ... limit by the spectrum of the tridiagonal matrix; small values are inaccurate."""
    units = np.arange(-limit, limit + 1, dtype=np.float64)
    rates, modes = eigh_tridiagonal(-model.alpha * units**2, np.full(units.size - 1, model.eta))
    value: NDArray[np.float64] = modes @ (np.exp(rates * remaining) * modes.sum(axis=0))
    return value


def compare_quotes(options: Options, row: dict[str, Any]) -> list[Check]:
    """The makers' quotes against eigenvectors, and against the reference where the parameters are those."""
    label, centre = f"gamma {row['gamma']:g}: ", row["inventory"].index(0.0)
    ours = {"bid, q = 0": row["bid_exact"][centre]}
    theirs = {"bid, q = 0": row["bid_eigenvectors"][0]}
    far = {"bid, q = 0": row["bid_far"][centre]}
    if 3.0 in row["inventory"]:
        three = row["inventory"].index(3.0)
        ours |= {"bid, q = 3": row["bid_exact"][three], "ask, q = 3": row["ask_exact"][three]}
        theirs |= {"bid, q = 3": row["bid_eigenvectors"][3]}
        theirs |= {"ask, q = 3": 2.0 * options.model(row["gamma"]).base - row["bid_eigenvectors"][2]}
        far |= {"bid, q = 3": row["bid_far"][three]}
    usual = Options()
    same = row["gamma"] == REFERENCE_GAMMA and all(
        getattr(options, name) == getattr(usual, name) for name in ("T", "sigma", "k", "A", "limit")
    )
    checks = []
    for name, value in ours.items():
        printed = REFERENCE[name] if same else None
        why = "five decimals"
        checks.append(
            check(label + name, value, exact=theirs[name], published=printed, within=QUOTES_WITHIN, why=why, unit="$")
        )
    if same:
        for name, printed in REFERENCE_FAR.items():
            checks.append(
                check(f"{label}far, {name}", far[name], published=printed, within=QUOTES_WITHIN, why=why, unit="$")
            )
    return checks


# --- values -----------------------------------------------------------------------------------------------------------


def worth(options: Options, gamma: float) -> dict[str, Any]:
    """Exact certainty equivalents in steps of dt by rule, and the exact rule's with the error of the step removed."""
    row: dict[str, Any] = {"in_steps": {}}
    for name, quoting in RULES.items():
        chain = options.chain(gamma, quoting, options.limit)
        row["in_steps"][name] = certainty_equivalent(chain, gamma)
    coarse = options.chain(gamma, "glft", options.limit, dt=2.0 * options.dt, steps=max(options.steps // 2, 1))
    row["in_double_steps"] = certainty_equivalent(coarse, gamma)
    row["without_steps"] = 2.0 * row["in_steps"]["exact"] - row["in_double_steps"]
    return row


def traded(options: Options, gamma: float, row: dict[str, Any], paths: Paths) -> dict[str, Any]:
    """What the books gave with the exact quotes, with exact values and standard errors beside."""
    chain = options.chain(gamma, "glft", options.limit)
    money, trade, value = profit(chain), trading(chain), row["in_steps"]["exact"]
    weights = -gamma * paths.profit
    largest = float(weights.max())
    mean = math.log(float(np.exp(weights - largest).mean())) + largest
    # E[Y^2] / E[Y]^2 of Y = exp(-gamma profit), exactly
    log_ratio = 2.0 * gamma * (value - certainty_equivalent(chain, 2.0 * gamma))
    relative = math.sqrt(math.expm1(min(log_ratio, 600.0)) / options.paths)
    held = paths.inventory.astype(np.float64)
    counts = np.bincount(paths.inventory + options.limit, minlength=2 * options.limit + 1)
    return {
        "paths": options.paths,
        "certainty_equivalent_book": -mean / gamma,
        "certainty_equivalent_book_error": relative / gamma,
        "relative_error": relative,
        "profit_mean": float(paths.profit.mean()),
        "profit_mean_exact": money.mean,
        "profit_mean_error": standard_errors(money, options.paths)[0],
        "profit_sd": float(paths.profit.std(ddof=1)),
        "profit_sd_exact": money.sd,
        "profit_sd_error": standard_errors(money, options.paths)[1],
        "inventory_sd": float(held.std(ddof=1)),
        "inventory_sd_exact": trade.inventory.sd,
        "inventory_sd_error": standard_errors(trade.inventory, options.paths)[1],
        "spread": paths.spread,
        "spread_exact": trade.spread,
        # as if a path showed one spread: its average over the path varies less
        "spread_error": trade.spread_sd / math.sqrt(options.paths),
        "inventory_counts": counts.tolist(),
        "inventory_law": trade.law.tolist(),
        "misplaced_quotes": paths.misplaced,
    }


def compare_worth(options: Options, row: dict[str, Any]) -> list[Check]:
    """Certainty equivalents, their order, and the moments of profit and inventory in the books."""
    label, steps = f"gamma {row['gamma']:g}: ", row["in_steps"]
    step_error = abs(row["in_double_steps"] - steps["exact"])
    checks = [
        check(label + "certainty equivalent, matrix exponential", row["certainty_equivalent"],
              exact=row["certainty_equivalent_eigenvectors"], within=1e-6, why="two solvers of one system", unit="$"),
    ]  # fmt: skip
    if 2.0 * options.A * options.dt <= SMALL_CHANCE:
        within, why = 0.1 * step_error + 1e-6, "a tenth of the step's own error"
        value, limit = row["without_steps"], row["certainty_equivalent"]
        what = label + "certainty equivalent, steps to zero"
        checks.append(check(what, value, exact=limit, within=within, why=why, unit="$"))
    for better, worse in (("exact", "avellaneda-stoikov"), ("avellaneda-stoikov", "symmetric")):
        lacking = min(steps[better] - steps[worse], 0.0)
        checks.append(
            check(f"{label}{better} lacks against {worse}", lacking, exact=0.0, within=1e-9, why="optimality", unit="$")
        )
    if row["relative_error"] <= MOST_RELATIVE_ERROR:
        within = 4.0 * row["certainty_equivalent_book_error"]
        checks.append(
            check(label + "certainty equivalent, books", row["certainty_equivalent_book"], exact=steps["exact"],
                  within=within, why="4 standard errors", unit="$")
        )  # fmt: skip
    units = {"profit_mean": "$", "profit_sd": "$", "inventory_sd": "units"}
    words = ("mean profit", "sd of profit", "sd of inventory")
    for (name, unit), said in zip(units.items(), words, strict=True):
        checks.append(
            check(label + said, row[name], exact=row[f"{name}_exact"], within=4.0 * row[f"{name}_error"],
                  why="4 standard errors", unit=unit)
        )  # fmt: skip
    ticks = "two quotes, each rounded by less than a tick; 4 standard errors"
    wide = 2.0 * options.tick + 4.0 * row["spread_error"]
    checks.append(check(label + "spread", row["spread"], exact=row["spread_exact"], within=wide, why=ticks, unit="$"))
    return checks


def text(results: dict[str, Any]) -> str:
    """Certainty equivalents by rule, and the checks."""
    lines = ["certainty equivalents, $: continuous time | in steps: exact, Avellaneda-Stoikov, symmetric | books"]
    for row in results["rows"]:
        steps = ", ".join(f"{value:.3f}" for value in row["in_steps"].values())
        book = f"{row['certainty_equivalent_book']:.2f} ± {row['certainty_equivalent_book_error']:.2f}"
        if row["relative_error"] > MOST_RELATIVE_ERROR:
            book = f"{row['certainty_equivalent_book']:.2f} (no estimate: relative error {row['relative_error']:.1g})"
        lines.append(f"  gamma {row['gamma']:g}: {row['certainty_equivalent']:.3f} | {steps} | {book}")
    misplaced = sum(row["misplaced_quotes"] for row in results["rows"])
    lines += [f"quotes out of place: {misplaced}", ""]
    return "\n".join(lines) + "\n" + check_table(results["checks"])


def draw(results: dict[str, Any], path: Path) -> Path:
    """Quotes by inventory, their way to the closed form, certainty equivalents, and the last inventory."""
    from experiments._maker_figures import draw_quotes

    return draw_quotes(results, path)
