"""Sizes of liquidation cascades against Borel's law, and the mean-field fall of the price against 1/(1 - n).

A forced sale of one clip (q lots) meets a uniform book (rho lots a tick) and accounts of one clip each, whose
liquidation ticks form a Poisson process (lambda a tick); the mark is the last price. Every clip then sets off
Poisson(n) others, n = lambda q / rho, and the number K of clips sold, the first included, follows Borel's law:
P(K = k) = exp(-nk) (nk)^(k-1) / k!, mean 1/(1-n), variance n/(1-n)^3; for n > 1 a cascade never ends with probability
x = 1 - exp(-n x). With a smooth density of accounts a sale that alone moves the price by D moves it by D/(1-n) in all,
and for n >= 1 to the last account. Both go through the real exchange: mark, liquidate, trade, absorb, round after round
until nobody is forced. From `size_cap` on a cascade counts as one that survives; for n < 1 practically none gets there,
otherwise mean and variance do not exist (null) and those of the cascades that end are given.

Contrast: makers who refill (a share of the eaten levels comes back after each round) and makers who withdraw (once the
price falls they show less). Sources: Borel, C. R. Acad. Sci. 214 (1942); Harris, The Theory of Branching Processes
(1963), chapter I; Consul and Jain, Technometrics 15 (1973), for a first generation with a mean of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import model_validator

from abm.parameters import Parameters, quantity
from abm.state import I64
from experiments._branching import (
    chi_square,
    ending_moments,
    moments,
    refill_reference,
    size_cap_for,
    size_pmf,
    survival_limit,
)
from experiments._cascade_world import AUDIT_EVERY, CascadeWorld, Makers, Refilling, Withdrawing, poisson_numbers
from experiments._checks import check, check_table

DEEPEST_TICKS = 400_000
"""No book may reach further below the opening price of a million ticks."""


class Options(Parameters):
    """What is run."""

    branching: tuple[float, ...] = quantity((0.3, 0.5, 0.7, 0.9, 1.2), unit="-", source="chosen", text="ratios n")
    runs: int = quantity(20_000, unit="cascades a ratio", source="chosen", ge=100, le=1_000_000)
    contrast_runs: int = quantity(
        2_000, unit="cascades a ratio", source="chosen", ge=0, le=1_000_000, text="for each other kind of maker"
    )
    clip_lots: int = quantity(100, unit="lots", source="chosen", ge=1, le=100_000, text="q: size of every account")
    lots_per_tick: int = quantity(50, unit="lots/tick", source="chosen", ge=1, le=100_000, text="rho: bids")
    refill: float = quantity(0.5, unit="share of the eaten levels", source="chosen", ge=0, le=1)
    withdraw: float = quantity(0.5, unit="share of the depth", source="papers: depth halves", ge=0, lt=1)
    first_drop_ticks: int = quantity(
        500, unit="ticks", source="chosen", ge=50, le=5_000, text="fall by the first sale alone, mean-field case"
    )
    world_ticks: int = quantity(
        8_192, unit="ticks", source="speed only", ge=256, le=100_000, text="of price used before accounts are renewed"
    )
    size_cap: int = quantity(
        5_000, unit="clips", source="chosen", ge=100, le=50_000, text="survival counts from here where n is 1 or nearly"
    )
    seed: int = quantity(1, unit="-", source="chosen", ge=0)

    @model_validator(mode="after")
    def _lattice(self) -> Self:
        """Every sale must end with a tick: otherwise neighbouring cascades would share one."""
        problems = []
        if not self.branching:
            problems.append("branching: at least one ratio is needed")
        bad = [n for n in self.branching if not 0.01 <= n <= 3]
        if bad:
            problems.append(f"branching: {', '.join(map(str, bad))} should lie between 0.01 and 3")
        if len(set(self.branching)) < len(self.branching):
            problems.append("branching: a ratio is named twice")
        if self.clip_lots % self.lots_per_tick:
            problems.append(f"clip_lots: {self.clip_lots} is no whole number of ticks of {self.lots_per_tick} lots")
        left = (1 - self.withdraw) * self.lots_per_tick
        if abs(left - round(left)) > 1e-9 or round(left) < 1:
            problems.append(f"withdraw: leaves {left:g} of {self.lots_per_tick} lots a tick, which is no whole number")
        elif self.clip_lots % round(left):
            problems.append(f"withdraw: {self.clip_lots} lots are no whole number of ticks of {round(left)} lots")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def clip_ticks(self) -> int:
        """Ticks that a clip eats of the full book."""
        return self.clip_lots // self.lots_per_tick


QUICK = {"runs": 2_000, "contrast_runs": 200, "size_cap": 1_000}
FULL = {"runs": 50_000, "contrast_runs": 10_000}

WORLDS_AUDITED = 8
"""Of so many worlds one has its books, reserves and ladders audited too; money is audited in all."""

SIZES_LISTED = 50
"""Sizes whose exact probability is put into the results."""

STEADY, REFILL, WITHDRAW = range(3)
"""Kinds of maker; they key the draws."""


# --- through the exchange ---------------------------------------------------------------------------------------------
def cascades(options: Options, n: float, kind: int, runs: int, size_cap: int) -> tuple[I64, dict[str, float]]:
    """Sizes of `runs` cascades, int64, cut at `size_cap`; and facts of the runs: rounds, worlds, ticks_per_clip."""
    makers: Makers = (Makers(), Refilling(options.refill), Withdrawing(options.withdraw))[kind]
    thinned = 1 - options.withdraw if kind == WITHDRAW else 1.0
    reserve = math.ceil(size_cap * options.clip_ticks / thinned) + 2 * options.clip_ticks
    depth = options.world_ticks + reserve
    if depth > DEEPEST_TICKS:
        raise ValueError(f"a book of {depth} ticks is too deep: lower size_cap or clip_lots, or raise lots_per_tick")
    key = round(n * 1_000_000) * 4 + kind
    sizes: list[int] = []
    ticks = sold = rounds = worlds = 0
    while len(sizes) < runs:
        numbers = poisson_numbers(n / options.clip_ticks, depth, options.seed, worlds, key)
        world = CascadeWorld(numbers, options.clip_lots, options.lots_per_tick, depth)
        while len(sizes) < runs and world.fallen_ticks + reserve <= depth:
            sizes.append(world.cascade(options.clip_lots, makers, size_cap))
            if len(sizes) % AUDIT_EVERY == 0:
                world.audit_cash()
        if worlds % WORLDS_AUDITED == 0:
            world.audit()
        world.audit_cash()
        ticks, sold = ticks + world.fallen_ticks, sold + world.sold_lots
        rounds, worlds = rounds + world.rounds, worlds + 1
    facts = {"rounds": rounds, "worlds": worlds, "ticks_per_clip": ticks * options.clip_lots / sold}
    return np.minimum(np.array(sizes, np.int64), size_cap), facts


def mean_field(options: Options, n: float) -> dict[str, Any]:
    """Fall of the price after a sale into a smooth density of accounts (one a tick), in units of its own impact.

    For n < 1 against 1/(1 - n). Otherwise every account there is is liquidated, and the fall is that of all that is
    sold.
    """
    first, rho = options.first_drop_ticks, options.lots_per_tick
    accounts = first * math.ceil(1.25 / (1 - n) if n < 1 else 20)
    accounts = min(accounts, DEEPEST_TICKS // 4)
    held = np.diff(np.rint(n * rho * np.arange(accounts + 1)).astype(np.int64))
    everything = math.ceil((first * rho + int(held.sum())) / rho)
    used = held > 0
    world = CascadeWorld(used.astype(np.int64), held[used], rho, max(everything, accounts) + 2)
    forced = world.cascade(first * rho, Makers(), size_cap=np.iinfo(np.int64).max) - 1
    world.audit()
    fallen = world.start_ticks - world.desk.mark_ticks
    runaway = forced == int(used.sum())
    exact = everything / first if n >= 1 else 1 / (1 - n)
    return {
        "drop_ratio": fallen / first if n < 1 and not runaway else None,
        "drop_ratio_exact": exact if n < 1 else None,
        "runaway": runaway,
        "runaway_drop_ratio": fallen / first if runaway else None,
        "runaway_drop_ratio_exact": exact if n >= 1 else None,
        "drop_rounds": world.rounds,
    }


# --- rows -------------------------------------------------------------------------------------------------------------
def steady_row(options: Options, n: float) -> dict[str, Any]:
    """Sizes beside Borel's law."""
    size_cap = size_cap_for(n, n, options.size_cap)
    sizes, facts = cascades(options, n, STEADY, options.runs, size_cap)
    pmf = size_pmf(n, n, size_cap)
    ended = sizes[sizes < size_cap]
    counts = np.bincount(ended, minlength=size_cap)[1:]
    statistic, freedom, p = chi_square(counts, pmf, options.runs)
    finite = n < 1 and options.runs * (1 - pmf.sum()) < 1e-3
    mean, variance = (float(sizes.mean()), float(sizes.var(ddof=1))) if finite else (None, None)
    shown = min(size_cap - 1, SIZES_LISTED)
    return {
        "branching": n,
        "runs": options.runs,
        "mean": mean,
        "variance": variance,
        "histogram": {str(k + 1): int(counts[k]) for k in np.flatnonzero(counts)},
        "survival": float((sizes >= size_cap).mean()),
        "size_cap": size_cap,
        "mean_exact": 1 / (1 - n) if n < 1 else None,
        "variance_exact": n / (1 - n) ** 3 if n < 1 else None,
        "survival_exact": float(1 - pmf.sum()),
        "survival_limit": survival_limit(n, n),
        "mean_of_ended": float(ended.mean()) if ended.size else None,
        "mean_of_ended_exact": ending_moments(pmf)[0],
        "borel": {str(k): float(pmf[k - 1]) for k in range(1, shown + 1)},
        "chi_square": statistic,
        "chi_square_freedom": freedom,
        "chi_square_p": p,
        **facts,
    }


def contrast(options: Options, n: float, kind: int) -> dict[str, Any]:
    """Cascades among makers of another kind beside what theory says of them; means are over all, cut at `size_cap`.

    Withdrawing makers: exact, all clips but the first have n / (1 - withdraw) children. Refilling ones: a reference
    without book and accounts; `mean_field` is then the mean if all that comes back were eaten, a lower bound (what
    comes back after the last sale stays): 1 / (1 - n (1 - refill)).
    """
    thinner = n / (1 - options.withdraw)
    steepest = thinner if kind == WITHDRAW else n
    size_cap = size_cap_for(n, steepest, options.size_cap)
    sizes, _ = cascades(options, n, kind, options.contrast_runs, size_cap)
    if kind == WITHDRAW:
        mean, variance = moments(size_pmf(n, thinner, size_cap), size_cap)
        survival = float(1 - size_pmf(n, thinner, size_cap).sum())
        mean_field = 1 + n / (1 - thinner) if thinner < 1 else None
        error_mean, limit = math.sqrt(variance / sizes.size), survival_limit(n, thinner)
    else:
        reference = refill_reference(n, options.refill, options.clip_ticks, size_cap, options.seed)
        mean, survival = float(reference.mean()), float((reference >= size_cap).mean())
        both = 1 / sizes.size + 1 / reference.size
        error_mean = math.sqrt(float(reference.var()) * both)
        effective = n * (1 - options.refill)
        mean_field, limit = (1 / (1 - effective) if effective < 1 else None), None
    return {
        "runs": int(sizes.size),
        "kept": 1 - options.withdraw if kind == WITHDRAW else 1.0,
        "mean": float(sizes.mean()),
        "mean_exact": mean,
        "mean_error": error_mean,
        "mean_field": mean_field,
        "survival": float((sizes >= size_cap).mean()),
        "survival_exact": survival,
        "survival_limit": limit,
        "size_cap": size_cap,
    }


def row_checks(options: Options, row: dict[str, Any]) -> list[dict[str, Any]]:
    """The comparisons of a row."""
    n, runs, four = row["branching"], row["runs"], "4 standard errors"
    pmf = size_pmf(n, n, row["size_cap"])
    checks = []
    if row["mean"] is not None:
        _, variance, fourth = ending_moments(pmf)
        spread = math.sqrt(max(fourth - variance**2, 0) / runs)
        checks.append(
            check("mean size", row["mean"], exact=row["mean_exact"], within=4 * math.sqrt(variance / runs), why=four)
        )
        checks.append(
            check("variance of size", row["variance"], exact=row["variance_exact"], within=4 * spread, why=four)
        )
    else:
        _, variance, _ = ending_moments(pmf)
        within = 4 * math.sqrt(variance / max(runs * (1 - row["survival"]), 1))
        checks.append(
            check("mean size of those that end", row["mean_of_ended"] or 0.0, exact=row["mean_of_ended_exact"],
                  within=within, why=four)
        )  # fmt: skip
    checks.append(share_check("survival", row["survival"], row["survival_exact"], runs))
    checks.append(check("chi-square p", row["chi_square_p"], exact=1.0, within=0.99, why="above 0.01"))
    checks.append(
        check("ticks eaten by a clip", row["ticks_per_clip"], exact=options.clip_ticks, within=0, why="the lattice")
    )
    if row["drop_ratio"] is not None:
        exact = row["drop_ratio_exact"]
        checks.append(check("mean-field fall", row["drop_ratio"], exact=exact, within=0.02 * exact, why="2 %"))
    elif row["runaway_drop_ratio_exact"] is not None:
        exact = row["runaway_drop_ratio_exact"]
        ours = row["runaway_drop_ratio"] or 0.0
        within = 1 / options.first_drop_ticks
        checks.append(check("runaway fall, all sold", ours, exact=exact, within=within, why="one tick"))
    for name in ("refill", "withdraw"):
        part = row[name]
        if part is None:
            continue
        within = 4 * part["mean_error"]
        checks.append(check(f"{name}: mean size", part["mean"], exact=part["mean_exact"], within=within, why=four))
        checks.append(share_check(f"{name}: survival", part["survival"], part["survival_exact"], part["runs"]))
    return checks


def share_check(what: str, ours: float, exact: float, runs: int) -> dict[str, Any]:
    """A share of cascades against a probability: 4 standard errors, and one cascade."""
    within = 4 * math.sqrt(max(exact * (1 - exact), 0) / runs) + 1 / runs
    return check(what, ours, exact=exact, within=within, why="4 standard errors and one cascade")


def run(options: Options, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """One row a branching ratio."""
    rows = []
    for n in options.branching:
        row = steady_row(options, n) | mean_field(options, n)
        others = options.contrast_runs > 0
        row["refill"] = contrast(options, n, REFILL) if others else None
        row["withdraw"] = contrast(options, n, WITHDRAW) if others else None
        row["checks"] = row_checks(options, row)
        rows.append(row)
        mean = "no mean" if row["mean"] is None else f"mean {row['mean']:.3f}"
        say(f"n = {n:g}: {options.runs} cascades, {mean}, survival {row['survival']:.4f}, p {row['chi_square_p']:.3f}")
    return rows


# --- showing ----------------------------------------------------------------------------------------------------------
def text(results: list[dict[str, Any]]) -> str:
    """All comparisons, then what makers do to a cascade."""
    checks = [item | {"what": f"n = {row['branching']:g}: {item['what']}"} for row in results for item in row["checks"]]
    lines = [check_table(checks), "", f"{'n':>5}" + "".join(f"{head:>26}" for head in ("steady", "refill", "withdraw"))]
    for row in results:
        parts = (row, row["refill"], row["withdraw"])
        cells = (f"{_mean(part)}, alive {part['survival']:.4f}" if part else "-" for part in parts)
        lines.append(f"{row['branching']:>5g}" + "".join(f"{cell:>26}" for cell in cells))
    return "\n".join(lines)


def _mean(part: dict[str, Any]) -> str:
    known = part["mean"] is not None and part["survival_exact"] < 1e-3
    return f"mean {part['mean']:.2f}" if known else "no mean"


def draw(results: list[dict[str, Any]], path: Path) -> Path:
    """Sizes, fall, mean and survival."""
    from experiments._cascade_plate import draw_cascades

    return draw_cascades(results, path)
