"""Poledna, Thurner, Farmer and Geanakoplos (2014): what lenders' rules do to defaults, by the limit of leverage.

"Leverage-induced systemic risk under Basle II and other credit risk policies", J. Banking & Finance 42, 199-212,
arXiv:1301.6114. We have its abstract and its model (`_thurner_market`), not its parameters. Its finding: compared with
nothing but a limit of leverage, a Basle rule and perfect hedges reduce defaults where leverage is low and increase them
where it is high, because all borrowers are then made to sell together.

The rules as we put them; their numbers are ours:

* free: the limit lambda;
* basel: lambda min(1, s / sigma), sigma the volatility of the last `window` steps and s the ordinary one. So a lender's
  haircut is always as many present standard deviations as 1 / lambda is ordinary ones;
* hedge: the limit lambda, and the lender buys puts on all collateral, struck at the loan; borrowers pay for them as
  time goes by, and deduct the price of a put from the discount that they see.

All replicas of a seed have the same noise, so rules are compared seed by seed. The checks ask for the signs of the
abstract at a low and at a high leverage; not all of them are found (docs/papers.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from abm.parameters import quantity
from experiments._checks import Check, check, check_table
from experiments._poledna_figure import draw
from experiments._thurner_market import FREE, HAIRCUT, HEDGE, Lending, MarketOptions, Record, play
from experiments._thurner_measures import PER_STEPS, by_seed, part

__all__ = ["FULL", "QUICK", "Options", "draw", "run", "text"]

Rows = list[dict[str, Any]]
F64 = NDArray[np.float64]
RULES = {"free": FREE, "basel": HAIRCUT, "hedge": HEDGE}
SURE = 2.0
"""Standard errors beyond which a difference has a sign."""
TOGETHER = 5
"""So many funds with a margin call in one step sell together."""


class Options(MarketOptions):
    """What is run."""

    leverages: list[float] = quantity(
        [3.0, 4.0, 5.0, 7.0, 10.0, 20.0],
        unit="x",
        source="Poledna et al. (2014): low to high",
        text="limits, a row each",
    )
    low: float = quantity(5.0, unit="x", source="chosen: the limit binds", gt=0.0, text="low leverage of the checks")
    high: float = quantity(20.0, unit="x", source="chosen", gt=0.0, text="high leverage of the checks")
    seeds: int = quantity(50, unit="seeds", source="papers card: 50 or more", ge=2, le=1000)
    steps: int = quantity(10_000, unit="steps", source="two minutes", ge=200, le=5_000_000)
    ordinary: float = quantity(
        0.03, unit="a step", source="of a market with funds (thurner-2012)", gt=0.0, le=1.0,
        text="volatility at which the Basle rule's limit is lambda",
    )  # fmt: skip
    window: int = quantity(10, unit="steps", source="Thurner et al. (2012), unverified", ge=2, le=1000)
    life: float = quantity(10.0, unit="steps", source="chosen, as window", gt=0.0, le=1000.0, text="of the puts")

    @field_validator("leverages")
    @classmethod
    def _leverages(cls, values: list[float]) -> list[float]:
        if not values or len(set(values)) < len(values) or not all(1.0 <= value <= 50.0 for value in values):
            raise ValueError("a list of different numbers from 1 to 50 is needed")
        return values


QUICK = {"leverages": [5.0, 7.0, 20.0], "seeds": 10, "steps": 3_000}
FULL = {"seeds": 100, "steps": 30_000}


def run(options: Options, say: Callable[[str], None]) -> Rows:
    """A row per leverage: defaults, lenders' losses, wealth and forced sales by rule, and differences from free."""
    count, limits = options.seeds, options.leverages
    lending = Lending(
        np.tile(np.repeat(limits, count), len(RULES)),
        np.repeat(list(RULES.values()), count * len(limits)),
        window=options.window,
        ordinary=options.ordinary,
        life=options.life,
    )
    record = play(options, lending, count, options.steps, say)
    rows: Rows = []
    for place, limit in enumerate(limits):
        row: dict[str, Any] = {"leverage": limit}
        found = {}
        for number, name in enumerate(RULES):
            start = (number * len(limits) + place) * count
            found[name] = _measures(options, part(record, slice(start, start + count)))
            row[name] = {key: float(values.mean()) for key, values in found[name].items()}
            row[name] |= {f"{key}_error": _error(values) for key, values in found[name].items()}
        for name in list(RULES)[1:]:
            more = found[name]["defaults"] - found["free"]["defaults"]
            row[f"{name}_less_free"], row[f"{name}_less_free_error"] = float(more.mean()), _error(more)
        row["checks"] = []
        rows.append(row)
    rows[-1]["checks"] = _checks(rows, options.low, options.high)
    return rows


def _measures(options: Options, record: Record) -> dict[str, F64]:
    """By seed, (S,): defaults and lenders' losses a fund and 1e5 steps, funds' wealth, kurtosis, joint calls."""
    scale = PER_STEPS / options.steps / max(options.funds, 1)
    some = np.maximum((record.calls > 0).sum(axis=0), 1)
    return {
        "defaults": record.defaults * scale,
        "lost": record.lost * scale,
        "wealth": record.wealth.mean(axis=0),
        "kurtosis": by_seed(record, options.funds)["kurtosis"],
        "together": (record.calls >= TOGETHER).sum(axis=0) / some,
    }


def _error(values: F64) -> float:
    return float(values.std(ddof=1) / math.sqrt(values.size))


def _checks(rows: Rows, low: float, high: float) -> list[Check]:
    """The sign of the difference at a low and at a high leverage, where they were run."""
    checks = []
    for name in ("basel", "hedge"):
        for wanted, sign, word in ((low, -1, "fewer"), (high, 1, "more")):
            row = next((row for row in rows if row["leverage"] == wanted), None)
            if row is None:
                continue
            more, error = row[f"{name}_less_free"], row[f"{name}_less_free_error"]
            sure = float(np.sign(more)) if abs(more) > SURE * error else 0.0
            what = f"{name} {word} defaults than free at leverage {row['leverage']:g}: sign"
            why = f"abstract; {more:+.1f} ± {error:.1f}, 0 if below {SURE:g} standard errors"
            checks.append(check(what, sure, published=sign, within=0.0, why=why))
    return checks


def text(results: Rows) -> str:
    """Defaults by leverage and rule, the other measures, and the checks."""
    lines = ["defaults a fund and 1e5 steps (± standard error); differences seed by seed"]
    lines.append(f"{'leverage':<10}" + "".join(f"{name:>16}" for name in (*RULES, "basel - free", "hedge - free")))
    for row in results:
        cells = [(row[name]["defaults"], row[name]["defaults_error"]) for name in RULES]
        cells += [(row[f"{name}_less_free"], row[f"{name}_less_free_error"]) for name in list(RULES)[1:]]
        shown = [f"{value:.1f} ± {error:.1f}" for value, error in cells]
        lines.append(f"{row['leverage']:<10g}" + "".join(f"{word:>16}" for word in shown))
    for key, words in (
        ("lost", "lenders' losses a fund and 1e5 steps, before puts pay"),
        ("wealth", "wealth of all funds"),
        ("kurtosis", "kurtosis of returns"),
        ("together", f"of the steps with margin calls, share with {TOGETHER} funds or more"),
    ):
        lines += ["", words]
        for row in results:
            lines.append(f"{row['leverage']:<10g}" + "".join(f"{row[name][key]:>16.3f}" for name in RULES))
    return "\n".join(lines) + "\n\n" + check_table([one for row in results for one in row["checks"]])
