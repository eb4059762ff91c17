"""Sixteen waves of deleveraging: what was needed, what was taken, and what a queue or pro rata takes from whom.

Chitra 2025 (arXiv 2512.01112, v3, repository autodeleveraging-analysis, MIT): on 10 October 2025 between 21:16:04 and
21:25:35 UTC Hyperliquid deleveraged in sixteen waves at least 5 s apart. The published file holds outcomes (budgets and
haircut measures by wave and policy), not lists of winners: its identities are checked, no rule can be run on it. So the
rules run on synthetic winners: sizes drawn from the quantiles of the real accounts (`_adl_winners.drawn`), scaled so
that their profits add up to the wave's capacity. Haircuts are on profits, in whole micro-dollars, totals exact.

One pool over all coins is easier on winners than the venue's queues by coin: one account mostly suffices.

The deficits repeat one account's $10.93m in nine waves: their sum of $100m is an upper bound, not a loss.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from abm.clearing.adl.haircuts import pro_rata_haircut, queue_haircut
from abm.parameters import Parameters, quantity
from abm.state import I64
from abm.units import MICRO
from experiments._adl_winners import (
    DEFICITS,
    F64,
    SHOCKS,
    WAVES,
    drawn,
    read_columns,
    share_of_top,
    units,
)
from experiments._checks import Check, check

POLICIES = ("prod", "pr", "pnl_pr", "eq_pr", "vector", "contract_pr", "fixed_point_ilp_integer")
NEEDED_USD, PRODUCTION_USD = 15_079_670.0, 60_108_335.0
GAP_MS = 5_000
TOP = 10
Table = dict[str, F64]


class Options(Parameters):
    """How many winners are drawn."""

    accounts: int = quantity(
        2_000, unit="winners a wave", source="chosen; 34,983 closings in 16 waves", ge=20, le=200_000
    )
    seed: int = quantity(1, unit="-", source="of drawn winners", ge=0)


def run_on(place: Path | None, options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """The waves with both rules on synthetic winners; identities of the file. `place`: its folder, if it is there."""
    checks: list[Check] = []
    if place is None:
        say("one wave with the published totals stands for all")
        capacity = drawn(options.accounts, options.seed).profit.sum()
        table = {"wave": [0.0], "needed": [NEEDED_USD], "production": [PRODUCTION_USD], "capacity": [capacity]}
        waves = {key: np.array(values) for key, values in table.items()}
    else:
        file = read_waves(place)
        checks += identities(file, place)
        waves = {"wave": file["wave"], "needed": file["budget_needed"], "production": file["budget_prod"],
                 "capacity": file["total_cap"]}  # fmt: skip
    rows = [_wave({key: float(values[i]) for key, values in waves.items()}, options) for i in range(waves["wave"].size)]
    say(f"{len(rows)} waves, {options.accounts:,} synthetic winners each")
    return {
        "source": "totals" if place is None else "file",
        "accounts": options.accounts,
        "waves": rows,
        "checks": [*checks, *_theory_checks(rows)],
    }


# --- the file ---------------------------------------------------------------------------------------------------------
def read_waves(place: Path) -> Table:
    """Columns of the file by policy, float64 (16,), dollars."""
    names = ["wave", "budget_needed", "total_cap", "deficit_usd", "max_loss_usd", "theta_prod_capped"]
    names += ["theta_needed_capped", "max_pct_pr"]
    names += [f"{kind}_{policy}" for policy in POLICIES for kind in ("budget", "overshoot")]
    return dict(zip(names, read_columns(place / WAVES, *names), strict=True))


def identities(file: Table, place: Path) -> list[Check]:
    """What must hold inside the file, and between it and its two companions; and its published totals."""
    needed, off = file["budget_needed"], 0.0
    for policy in POLICIES:
        off = max(off, float(np.abs(file[f"budget_{policy}"] - needed - file[f"overshoot_{policy}"]).max()))
    rows = [check("overshoot = budget - needed, 7 policies", off, exact=0.0, within=1e-6, why="rounding", unit="$")]
    for kind, budget in (("prod", "budget_prod"), ("needed", "budget_needed")):
        theta = np.minimum(1.0, file[budget] / file["deficit_usd"])
        worst = float(np.abs(theta - file[f"theta_{kind}_capped"]).max())
        rows.append(check(f"severity = {kind} over deficit, at most 1", worst, exact=0.0, within=1e-9, why="rounding"))
    below = file["wave"][file["overshoot_prod"] < 0]
    sums = {policy: float(file[f"overshoot_{policy}"].sum()) for policy in POLICIES}
    dollar, largest = "a dollar", int(np.argmax(needed))
    rows += [
        check("needed", float(needed.sum()), published=NEEDED_USD, within=0.5, why=dollar, unit="$"),
        check("taken", float(file["budget_prod"].sum()), published=PRODUCTION_USD, within=0.5, why=dollar, unit="$"),
        check("overshoot of the venue", sums["prod"], published=45_028_666, within=0.5, why=dollar, unit="$"),
        check("of pro rata in contracts", sums["contract_pr"], published=-3.02e6, within=5e3, why="digits", unit="$"),
        check("of the integer program", sums["fixed_point_ilp_integer"], published=92e3, within=500, why="digits",
              unit="$"),
        check("waves in which the venue took too little", below.size, published=6, within=0, why="count"),
        check("their numbers (1, 2, 4, 5, 9, 10), sum", float(below.sum()), published=31, within=0, why="count"),
        check("largest wave: needed", float(needed[largest]) / 1e6, published=5.58, within=5e-3, why="digits",
              unit="$m"),
        check("largest wave: taken", float(file["budget_prod"][largest]) / 1e6, published=38.45, within=5e-3,
              why="digits", unit="$m"),
    ]  # fmt: skip
    return [*rows, *_companions(file, place)]


def _companions(file: Table, place: Path) -> list[Check]:
    """The files of deficits and of single shocks, where they lie beside it."""
    rows = []
    if (place / DEFICITS).is_file():
        start, end, deficit, worst = read_columns(
            place / DEFICITS, "t_start_ms", "t_end_ms", "deficit_usd", "max_loss_usd"
        )
        same = float(np.abs(deficit - file["deficit_usd"]).max() + np.abs(worst - file["max_loss_usd"]).max())
        rows += [
            check("deficits alike in two files", same, exact=0.0, within=1e-6, why="rounding", unit="$"),
            check("waves less than 5 s apart", int((start[1:] - end[:-1] < GAP_MS).sum()), published=0, within=0,
                  why="count"),
            check("sum of deficits", float(deficit.sum()), published=100_063_387, within=0.5, why="a dollar", unit="$"),
            check("waves with the same largest loss", int((worst == worst.max()).sum()), exact=9, within=0,
                  why="count: do not add them up"),
        ]  # fmt: skip
    if (place / SHOCKS).is_file():
        names = ("deficit_usd", "budget_queue_usd", "overshoot_queue_usd", "residual_queue_usd")
        deficit, budget, over, rest = read_columns(place / SHOCKS, *names)
        off = float(np.abs(budget + rest - deficit - over).max())
        rows += [
            check("shocks: budget + rest = deficit + overshoot", off, exact=0.0, within=1e-6, why="rounding", unit="$"),
            check("shocks: overshoot in wealth", float(over.sum()) / 1e6, published=653.55, within=5e-3, why="digits",
                  unit="$m"),
            check("shocks: deficits, each once", float(deficit.sum()) / 1e6, published=23.19, within=5e-3, why="digits",
                  unit="$m"),
        ]  # fmt: skip
    return rows


# --- the rules on synthetic winners -----------------------------------------------------------------------------------
def profits_of(capacity_usd: float, accounts: int, seed: int, wave: int) -> I64:
    """Synthetic profits of a wave, micro-dollars, that add up to its capacity to within a unit each."""
    size = drawn(accounts, seed, wave).notional
    return units(capacity_usd * size / size.sum())


def _wave(wave: dict[str, float], options: Options) -> dict[str, Any]:
    """Both rules at what the wave needed; money in dollars."""
    profits = profits_of(wave["capacity"], options.accounts, options.seed, int(wave["wave"]))
    budget = round(wave["needed"] * MICRO)
    queue, even = queue_haircut(profits, budget), pro_rata_haircut(profits, budget)
    top = int(np.argmax(profits))
    return {
        **{key: wave[key] for key in ("needed", "production", "capacity")},
        "wave": int(wave["wave"]),
        "raised": [int(queue.sum()) / MICRO, int(even.sum()) / MICRO],
        "missed_units": [int(queue.sum()) - budget, int(even.sum()) - budget],
        "accounts": [int((queue > 0).sum()), int((even > 0).sum())],
        "top_10_share": [share_of_top(queue, TOP), share_of_top(even, TOP)],
        "top_haircut": [float(queue[top] / profits[top]), float(even[top] / profits[top])],
        "kept_more_usd": float(queue[top] - even[top]) / MICRO,
        "kept_more_exact_usd": _kept_more(profits, budget) / MICRO,
    }


def _kept_more(profits: I64, budget: int) -> float:
    """What the top winner keeps more under pro rata: H (1 - w1/U), while H <= w1; else w1 (1 - H/U). Micro-dollars."""
    top, whole = int(profits.max()), int(profits.sum())
    return min(budget, top) - budget * top / whole


def _theory_checks(rows: list[dict[str, Any]]) -> list[Check]:
    off = max(abs(row["kept_more_usd"] - row["kept_more_exact_usd"]) for row in rows)
    missed = max(abs(miss) for row in rows for miss in row["missed_units"])
    level = max(abs(row["top_haircut"][1] - row["needed"] / row["capacity"]) for row in rows)
    return [
        check("queue and pro rata raise what is needed", missed, exact=0, within=0, why="whole numbers", unit="units"),
        check("top winner keeps H (1 - w1/U) more", off, exact=0.0, within=2 / MICRO, why="a unit each", unit="$"),
        check("pro rata: the same haircut H/U for the top", level, exact=0.0, within=1e-6, why="units of rounding"),
    ]


# --- words ----------------------------------------------------------------------------------------------------------
def text(results: dict[str, Any]) -> str:
    """The waves."""
    lines = [
        "The file holds outcomes, not winners; haircuts are those of "
        f"{results['accounts']:,} synthetic winners a wave, scaled to its capacity",
        f"{'':>6}{'needed':>12}{'taken':>12}{'overshoot':>12}{'|':>3}{'queue hits':>11}{'cut of top':>11}"
        f"{'|':>3}{'pro rata':>9}{'top keeps more':>16}",
    ]
    for row in results["waves"]:
        lines.append(
            f"{row['wave']:>6}{row['needed']:>12,.0f}{row['production']:>12,.0f}"
            f"{row['production'] - row['needed']:>12,.0f}{'|':>3}{row['accounts'][0]:>11,}"
            f"{row['top_haircut'][0]:>11.1%}{'|':>3}{row['top_haircut'][1]:>9.3%}{row['kept_more_usd']:>16,.0f}"
        )
    return "\n".join(lines)
