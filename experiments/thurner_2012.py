"""Thurner, Farmer and Geanakoplos (2012): leverage makes fat tails and clustered volatility.

"Leverage causes fat tails and clustered volatility", Quantitative Finance 12, 695-707, arXiv:0908.1555; we know the
model and its figures at second hand. Value funds buy what is cheap, up to a limit of leverage; at the limit they must
sell into a fall. The market is played twice with the same noise: cleared at one price a step with all roots known
exactly (`_thurner_market`), and in the project's order book with margin calls as forced sales (`_thurner_book`).

Yardsticks, not of one rank:

* exact: a market without funds is normal, with standard deviation sigma sqrt(2 / (1 + rho));
* regression: a table computed once by an earlier, independent program of the same model (8 seeds, 60,000 steps). It is
  no published result;
* published, as relayed: tail index near 2.6 at leverage 10, falling with leverage and flat beyond about 7.5.

Of the book the same order is required (normal without funds, tails and clustering that rise with leverage, volatility
that falls, no defaults without leverage), not the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from abm.parameters import quantity
from experiments._checks import Check, check, check_table
from experiments._thurner_book import play_book
from experiments._thurner_figure import draw
from experiments._thurner_market import ADAPTIVE, FREE, Lending, MarketOptions, play
from experiments._thurner_measures import NAMES, by_seed, crash, part, summary

__all__ = ["FULL", "QUICK", "REGRESSION", "Options", "draw", "run", "text"]

Rows = list[dict[str, Any]]

REGRESSION: dict[str, dict[str, tuple[float, float]]] = {
    "1": {"std": (0.0324, 0.0006), "kurtosis": (3.20, 0.06), "hill": (5.3, 0.2), "acf1": (0.038, 0.012)},
    "10": {
        "std": (0.0292, 0.0007), "kurtosis": (16.7, 5.4), "skew": (-0.74, 0.27), "hill": (2.51, 0.08),
        "acf1": (0.210, 0.013), "acf50": (0.080, 0.007), "defaults_per_fund_1e5": (62.0, 9.0),
        "margin_call_share": (0.74, 0.10),
    },
    "10 adaptive": {
        "std": (0.0296, 0.0008), "kurtosis": (12.9, 2.6), "hill": (2.61, 0.07), "acf1": (0.192, 0.018),
        "defaults_per_fund_1e5": (69.0, 11.0), "margin_call_share": (0.83, 0.10),
    },
}  # fmt: skip
"""Mean and standard deviation over seeds of 60,000 steps, by leverage and measure."""
REGRESSION_STEPS, REGRESSION_DEVIATIONS = 60_000, 3.0
PUBLISHED_HILL = (10.0, 2.6)
ORDERED = (("hill", -1), ("acf1", 1), ("std", -1), ("kurtosis", 1))
"""What rises (1) and falls (-1) from leverage 1 to 10."""
ORDER_RANGE, ORDER_ERRORS = (1.0, 10.0), 2.0
NOISE_KURTOSIS_WITHIN = 0.1


class Options(MarketOptions):
    """What is run."""

    leverages: list[float] = quantity(
        [1.0, 2.0, 3.0, 4.0, 5.0, 7.5, 10.0, 15.0], unit="x", source="Thurner et al. (2012): 1 to 15",
        text="limits of leverage, a row each",
    )  # fmt: skip
    seeds: int = quantity(8, unit="seeds", source="regression table", ge=2, le=200)
    steps: int = quantity(60_000, unit="steps", source="regression table", ge=500, le=5_000_000, text="cleared market")
    book_steps: int = quantity(
        6_000, unit="steps", source="two minutes", ge=0, le=1_000_000, text="in the order book; 0: not played"
    )
    book_burn: int = quantity(500, unit="steps", source="chosen", ge=0, le=100_000)
    arrival: Literal["random", "noise first", "funds first"] = Field(
        default="random", description="who comes first in a step of the book"
    )
    adaptive_at: float = quantity(
        10.0, unit="x", source="regression table", ge=0.0, text="limit also run under kappa / variance; 0: none"
    )
    kappa: float = quantity(0.01, unit="-", source="regression table", gt=0.0, text="of the adaptive limit")
    window: int = quantity(10, unit="steps", source="Thurner et al. (2012), unverified", ge=2, le=1000, text="tau")

    @field_validator("leverages")
    @classmethod
    def _leverages(cls, values: list[float]) -> list[float]:
        if not values or len(set(values)) < len(values) or not all(0.5 <= value <= 50.0 for value in values):
            raise ValueError("a list of different numbers from 0.5 to 50 is needed")
        return values


QUICK = {"leverages": [1.0, 3.0, 10.0], "seeds": 4, "steps": 8_000, "book_steps": 800, "book_burn": 300}
FULL = {"steps": 200_000, "book_steps": 12_000}


def run(options: Options, say: Callable[[str], None]) -> Rows:
    """A row per leverage; the market without funds stands in the first, the adaptive limit in the row it belongs to."""
    limits = [0.0, *options.leverages]
    policies = [FREE] * len(limits)
    if options.adaptive_at:
        limits.append(options.adaptive_at)
        policies.append(ADAPTIVE)
    lending = Lending(
        np.repeat(limits, options.seeds), np.repeat(policies, options.seeds), options.kappa, options.window
    )
    record = play(options, lending, options.seeds, options.steps, say, "cleared")
    groups = [part(record, _of(number, options.seeds)) for number in range(len(limits))]
    rows: Rows = [
        {"leverage": limit, **summary(group, options.funds)} for limit, group in zip(limits, groups, strict=True)
    ]
    seeds = [by_seed(group, options.funds) for group in groups]
    rows[0] |= dict.fromkeys(("defaults_per_fund_1e5", "margin_call_share"), 0.0)  # there are none
    found, last = rows[1 : 1 + len(options.leverages)], rows[-1]
    if options.adaptive_at:
        same = [row for row in found if row["leverage"] == options.adaptive_at] or found[-1:]
        same[0]["adaptive"] = last | _more_defaults(seeds, limits, options)
    found[0]["without_funds"] = rows[0]
    worst = max(range(len(found)), key=lambda number: float(found[number]["kurtosis"]))
    found[worst]["crash"] = crash(groups[1 + worst])
    book_seeds = _book(options, found, say) if options.book_steps else []
    for row in found:
        row["checks"] = _row_checks(options, row)
    found[0]["checks"] = [*_noise_checks(options, found[0]), *found[0]["checks"]]
    found[-1]["checks"] += _order_checks(options.leverages, seeds[1 : 1 + len(found)], "cleared")
    found[-1]["checks"] += _order_checks(options.leverages, book_seeds[1:], "book")
    return found


def _of(number: int, seeds: int) -> slice:
    return slice(number * seeds, (number + 1) * seeds)


def _book(options: Options, rows: Rows, say: Callable[[str], None]) -> list[dict[str, NDArray[np.float64]]]:
    """The same in the book, put into the rows; the measures by seed, without funds first."""
    limits = [0.0, *options.leverages]
    settings = options.model_copy(update={"burn": options.book_burn})
    record, counts = play_book(
        settings, np.repeat(limits, options.seeds), options.seeds, options.book_steps, say, options.arrival
    )
    groups = [part(record, _of(number, options.seeds)) for number in range(len(limits))]
    none = dict.fromkeys(("defaults_per_fund_1e5", "margin_call_share"), 0.0)
    rows[0]["without_funds"]["book"] = summary(groups[0], options.funds) | none
    for row, group in zip(rows, groups[1:], strict=True):
        row["book"] = summary(group, options.funds)
    rows[-1]["book_counts"] = counts
    return [by_seed(group, options.funds) for group in groups]


def _more_defaults(
    seeds: list[dict[str, NDArray[np.float64]]], limits: list[float], options: Options
) -> dict[str, float | None]:
    """Defaults under the adaptive limit less those under the fixed one, and the standard error over seeds."""
    if options.adaptive_at not in options.leverages:
        return {"more_defaults": None, "more_defaults_error": None}
    name = "defaults_per_fund_1e5"
    more = seeds[-1][name] - seeds[limits.index(options.adaptive_at)][name]
    return {
        "more_defaults": float(more.mean()), "more_defaults_error": float(more.std(ddof=1) / math.sqrt(more.size))
    }  # fmt: skip


# --- checks -----------------------------------------------------------------------------------------------------------


def _noise_checks(options: Options, row: dict[str, Any]) -> list[Check]:
    """Point i: without funds returns are normal, with a known deviation."""
    checks = []
    for where, steps in (("cleared", options.steps), ("book", options.book_steps)):
        if not steps:
            continue
        found = row["without_funds"] if where == "cleared" else row["without_funds"]["book"]
        count = options.seeds * steps
        error = 4.0 * options.noise_sd / math.sqrt(2.0 * count)
        checks.append(
            check(f"i. std without funds, {where}", found["std"], exact=options.noise_sd, within=error,
                  why="4 standard errors")
        )  # fmt: skip
        error = 4.0 * math.sqrt(24.0 / count)
        why = "stated" if error <= NOISE_KURTOSIS_WITHIN else "4 standard errors"
        within = max(NOISE_KURTOSIS_WITHIN, error)
        checks.append(
            check(f"i. kurtosis without funds, {where}", found["kurtosis"], exact=3.0, within=within, why=why)
        )
    return checks


def _row_checks(options: Options, row: dict[str, Any]) -> list[Check]:
    """Points iii and iv: the regression table, the relayed tail index, no defaults without leverage."""
    checks = []
    if row["leverage"] == 1.0:
        for where in ("cleared", "book"):
            found = row if where == "cleared" else row.get("book")
            if found:
                checks += _no_defaults(found, where)
    cases = [(f"{row['leverage']:g}", row)]
    if row.get("adaptive") and (options.kappa, options.window) == (0.01, 10):
        cases.append((f"{row['adaptive']['leverage']:g} adaptive", row["adaptive"]))
    scale = math.sqrt(max(REGRESSION_STEPS / options.steps, 1.0))
    words = "3 sd of a seed" if scale == 1.0 else "3 sd of a seed, for fewer steps"
    for name, found in cases:
        for measure, (mean, sd) in REGRESSION.get(name, {}).items():
            # the column is the published one; the name says that this value is none
            checks.append(
                check(f"iii. {measure}, regression, leverage {name}", found["median"][measure], published=mean,
                      within=REGRESSION_DEVIATIONS * sd * scale, why=words)
            )  # fmt: skip
    if row["leverage"] == PUBLISHED_HILL[0]:
        within = REGRESSION_DEVIATIONS * REGRESSION["10"]["hill"][1] * scale
        what = "tail index, as relayed, leverage 10"
        checks.append(check(what, row["hill"], published=PUBLISHED_HILL[1], within=within, why=words))
    return checks


def _no_defaults(found: dict[str, Any], where: str) -> list[Check]:
    """Point iv. A fund without loans can still be closed: when investors withdraw nine tenths of it."""
    what = f"iv. defaults a fund and 1e5 steps, regression, leverage 1, {where}"
    why = f"printed without decimals; {found['closed']:.0f} closed by withdrawals"
    return [
        check(what, found["defaults_per_fund_1e5"], published=0.0, within=0.5, why=why),
        check(f"iv. loss of lenders, leverage 1, {where}", found["lost"], exact=0.0, within=0.0, why="no loans"),
    ]


def _order_checks(leverages: list[float], seeds: list[dict[str, NDArray[np.float64]]], where: str) -> list[Check]:
    """Points ii and v: between neighbouring leverages nothing goes the wrong way by more than its error."""
    low, high = ORDER_RANGE
    some = sorted(
        (leverage, found) for leverage, found in zip(leverages, seeds, strict=False) if low <= leverage <= high
    )
    checks = []
    for name, sign in ORDERED if len(some) > 1 else ():
        wrong = 0
        for (_, before), (_, after) in pairwise(some):
            change = sign * (after[name] - before[name])  # same noise: paired by seed
            wrong += bool(change.mean() < -ORDER_ERRORS * change.std(ddof=1) / math.sqrt(change.size))
        total = sign * (some[-1][1][name].mean() - some[0][1][name].mean())
        point, word = "ii." if name in ("hill", "acf1") else "v.", "rises" if sign > 0 else "falls"
        steps = len(some) - 1
        checks.append(
            check(f"{point} steps of leverage in which {name} {word}, {where}", steps - wrong - (total <= 0),
                  exact=steps, within=0, why="or is level within 2 standard errors; and over all")
        )  # fmt: skip
    return checks


def text(results: Rows) -> str:
    """The table, cleared and in the book, and the checks."""
    heads = ("leverage", "std", "kurtosis", "skew", "hill", "acf1", "acf50", "defaults", "calls")
    lines = []

    def line(label: str, found: dict[str, Any]) -> None:
        lines.append(f"{label:<18}" + "".join(f"{found[name]:>10.4f}" for name in NAMES))

    noise = results[0]["without_funds"]
    for title, key in (("cleared", None), ("in the book", "book")):
        if key and key not in noise:
            continue
        lines += [f"{title}:", f"{heads[0]:<18}" + "".join(f"{head:>10}" for head in heads[1:])]
        line("without funds", noise[key] if key else noise)
        for row in results:
            line(f"{row['leverage']:g}", row[key] if key else row)
        for row in results:
            if not key and row.get("adaptive"):
                line(f"{row['adaptive']['leverage']:g} adaptive", row["adaptive"])
                if row["adaptive"]["more_defaults"] is not None:
                    more, error = row["adaptive"]["more_defaults"], row["adaptive"]["more_defaults_error"]
                    lines.append(f"defaults adaptive less fixed: {more:+.1f} ± {error:.1f} (one standard error)")
        lines.append("")
    return "\n".join(lines) + check_table([one for row in results for one in row["checks"]])
