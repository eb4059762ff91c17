"""Avellaneda and Stoikov (2008): a maker who minds its inventory against one who does not, their Tables 1 to 3.

Both are the `Makers` of the market with one order a side; quotes rest in the project's books, fills and profits come
from its ledger (see `_optimal_makers`). Beside them stand the published values (1,000 simulations each) and exact ones
from dynamic programming over the inventory (`_maker_chain`), which for the symmetric maker agree with a closed form.

The benchmark's spread is the inventory maker's, averaged over time:
gamma sigma^2 T / 2 + (2 / gamma) ln(1 + gamma / k).

Trap. The paper lets a quote trade with probability lambda dt in a step. 1 - exp(-lambda dt), the probability of at
least one arrival of a Poisson process, is about lambda dt / 2 smaller: at gamma = 0.1 that takes a tenth of the profit
away. `trap` in the results holds both. Where the inventory maker quotes beyond the middle price, lambda dt may exceed
one; it is cut at one.

The published 12.7 for the symmetric maker at gamma = 0.1 lies 2.5 standard errors below the exact 13.46: noise of 1,000
paths.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from abm.traders.makers_parameters import RuleName
from experiments._checks import Check, check, check_table
from experiments._maker_chain import profit, symmetric_profit, trading
from experiments._optimal_makers import MakerOptions, Paths, empty_books, simulate, standard_errors

STRATEGIES: dict[str, RuleName] = {"inventory": "avellaneda-stoikov", "symmetric": "symmetric"}
PUBLISHED_PATHS = 1000
PUBLISHED: dict[tuple[float, str], tuple[float, float, float, float, float]] = {
    (0.1, "inventory"): (1.49, 65.0, 6.6, 0.08, 2.9),
    (0.1, "symmetric"): (1.49, 68.4, 12.7, 0.26, 8.4),
    (0.01, "inventory"): (1.35, 68.6, 8.7, 0.12, 5.1),
    (0.01, "symmetric"): (1.35, 68.8, 12.8, 0.09, 8.7),
    (1.0, "inventory"): (3.02, 31.4, 5.0, 0.02, 1.7),
    (1.0, "symmetric"): (3.02, 44.0, 11.0, 0.0, 5.1),
}
"""Tables 1 to 3: spread, mean and sd of the profit, mean and sd of the last inventory."""
NAMES = ("spread", "profit_mean", "profit_sd", "inventory_mean", "inventory_sd")
WORDS = ("spread", "mean profit", "sd of profit", "mean inventory", "sd of inventory")
UNITS = ("$", "$", "$", "units", "units")


class Options(MakerOptions):
    """The parameters of the paper; what it prints is shown where all but paths, tick and seed are its own."""


QUICK = {"paths": 200, "block": 200}
FULL = {"paths": 10_000}


def run(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """An object: `rows` (one a gamma and strategy), `trap`, `sample` (path 0 of the first gamma) and `checks`."""
    rows, checks, trap = [], [], []
    sample: dict[str, list[float]] = {}
    books = empty_books(options)
    for gamma in options.gammas:
        for strategy, quoting in STRATEGIES.items():
            paths = simulate(books, options, gamma, quoting, options.steps + 1, say)
            row = values(options, gamma, strategy, paths)
            rows.append(row)
            checks += compare(options, row)
            trap.append(wrong_chance(options, row))
            sample = sample or paths.sample
    return {"rows": rows, "trap": trap, "sample": sample, "checks": checks}


def published(options: Options, gamma: float, strategy: str) -> tuple[float, ...] | None:
    """What the paper prints, if these are its parameters."""
    theirs = Options()
    same = all(getattr(options, name) == getattr(theirs, name) for name in ("dt", "T", "s0", "sigma", "k", "A"))
    return PUBLISHED.get((gamma, strategy)) if same else None


def values(options: Options, gamma: float, strategy: str, paths: Paths) -> dict[str, Any]:
    """A row of the results: ours with standard errors, exact, published; and how much whole ticks change."""
    limit = options.steps + 1  # more than can ever be held
    chain = options.chain(gamma, STRATEGIES[strategy], limit)
    rounded = options.chain(gamma, STRATEGIES[strategy], limit, wider=options.tick)
    money, trade, shown = profit(chain), trading(chain), published(options, gamma, strategy)
    held = paths.inventory.astype(np.float64)
    ours = (paths.spread, paths.profit.mean(), paths.profit.std(ddof=1), held.mean(), held.std(ddof=1))
    exact = (trade.spread, money.mean, money.sd, 0.0, trade.inventory.sd)  # the law of the inventory is even
    errors, theirs = (
        (0.0, *standard_errors(money, count), *standard_errors(trade.inventory, count))
        for count in (options.paths, PUBLISHED_PATHS)
    )
    row: dict[str, Any] = {"gamma": gamma, "strategy": strategy, "paths": options.paths}
    for n, name in enumerate(NAMES):
        row[name] = float(ours[n])
        row[f"{name}_exact"] = float(exact[n])
        row[f"{name}_published"] = None if shown is None else shown[n]
        row[f"{name}_error"] = float(errors[n])
        row[f"{name}_published_error"] = float(theirs[n])
    benchmark = symmetric_profit(float(options.chain(gamma, "symmetric", 1).rule(np.zeros(1), 0.0).half[0]), chain)
    if strategy == "symmetric":
        row["closed_form"] = list(benchmark)
    edges = np.linspace(benchmark[0] - 4.0 * benchmark[1], benchmark[0] + 4.0 * benchmark[1], 41)
    counts = np.histogram(np.clip(paths.profit, edges[0], edges[-1]), edges)[0]
    row |= {"fills": paths.fills, "fills_exact": trade.fills, "misplaced_quotes": paths.misplaced}
    row["rounding_of_mean"] = abs(profit(rounded).mean - money.mean)
    row["histogram"] = {"edges": edges.tolist(), "counts": counts.tolist()}
    return row


def compare(options: Options, row: dict[str, Any]) -> list[Check]:
    """Ours against exact and published."""
    label = f"gamma {row['gamma']:g}, {row['strategy']}: "
    checks = []
    for name, words, unit in zip(NAMES, WORDS, UNITS, strict=True):
        ours, exact, shown = row[name], row[f"{name}_exact"], row[f"{name}_published"]
        if name == "spread":
            within, why = 2.0 * options.tick, "two quotes, each rounded by less than a tick"
        else:
            within, why = 4.0 * row[f"{name}_error"], "4 standard errors"
        checks.append(check(label + words, ours, exact=exact, published=shown, within=within, why=why, unit=unit))
        if shown is None:
            continue
        if name == "spread":
            within = 0.005 + 0.5 * row["gamma"] * options.sigma**2 * options.dt + 2.0 * options.tick
            why = "printed decimals, steps for an integral, ticks"
        else:
            # the paper prints one decimal of profits and of the sd of inventory, two of its mean
            printed = 0.005 if name == "inventory_mean" else 0.05
            within = 3.0 * math.hypot(row[f"{name}_error"], row[f"{name}_published_error"]) + printed
            why = "3 standard errors of theirs and ours, printed decimals"
        checks.append(check(label + words + ", paper", ours, published=shown, within=within, why=why, unit=unit))
    if row["strategy"] == "symmetric":
        why = "the recursion against the closed form"
        mean, exact = row["profit_mean_exact"], row["closed_form"][0]
        checks.append(check(label + "recursion, mean", mean, exact=exact, within=1e-8 * abs(exact), why=why, unit="$"))
        sd, exact = row["profit_sd_exact"], row["closed_form"][1]
        checks.append(check(label + "recursion, sd", sd, exact=exact, within=1e-6 * exact, why=why, unit="$"))
    return checks


def wrong_chance(options: Options, row: dict[str, Any]) -> dict[str, Any]:
    """Exact mean and sd of the profit with lambda dt and with 1 - exp(-lambda dt)."""
    gamma, strategy, mean = row["gamma"], row["strategy"], row["profit_mean_exact"]
    wrong = profit(options.chain(gamma, STRATEGIES[strategy], options.steps + 1, poisson=True))
    return {
        "gamma": gamma,
        "strategy": strategy,
        "mean": mean,
        "mean_wrong": wrong.mean,
        "sd": row["profit_sd_exact"],
        "sd_wrong": wrong.sd,
        "change_of_mean": wrong.mean / mean - 1.0,
    }


def text(results: dict[str, Any]) -> str:
    """Tables 1 to 3 with ours and exact, the trap, and the checks."""
    lines = [" | ".join(cells) for cells in table(results["rows"])]
    lines += ["(each: published / exact / ours)", "", "fill probability 1 - exp(-lambda dt) instead of lambda dt:"]
    for item in results["trap"]:
        words = f"{item['mean']:.2f} becomes {item['mean_wrong']:.2f} ({100 * item['change_of_mean']:+.1f} %)"
        lines.append(f"  gamma {item['gamma']:g}, {item['strategy']}: mean profit {words}")
    ticks = max(row["rounding_of_mean"] for row in results["rows"])
    misplaced = sum(row["misplaced_quotes"] for row in results["rows"])
    distance = [
        abs(row[f"{name}_published"] - row[f"{name}_exact"]) / row[f"{name}_published_error"]
        for row in results["rows"]
        for name in NAMES[1:]
        if row[f"{name}_published"] is not None
    ]
    if distance:
        lines.append(f"published values lie at most {max(distance):.1f} of their standard errors from the exact ones")
    lines += [f"whole ticks change a mean profit by less than ${ticks:.3f}; quotes out of place: {misplaced}", ""]
    return "\n".join(lines) + check_table(results["checks"])


def table(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Heads and cells: gamma, strategy, and published / exact / ours of every value."""
    found = [["gamma", "strategy", *(f"{words}, {unit}" for words, unit in zip(WORDS, UNITS, strict=True))]]
    for row in rows:
        cells = [f"{row['gamma']:g}", row["strategy"]]
        for name in NAMES:
            decimals = 1 if name in ("profit_mean", "profit_sd", "inventory_sd") else 2
            shown, exact, ours = (row[name + ending] for ending in ("_published", "_exact", ""))
            first = "-" if shown is None else f"{shown:.{decimals}f}"
            words = f"{first} / {exact:.2f} / {ours:.2f}".replace("-0.00", "0.00")
            cells.append(words.replace("-", "\N{MINUS SIGN}"))
        found.append(cells)
    return found


def draw(results: dict[str, Any], path: Path) -> Path:
    """Profits of both strategies for each gamma, a sample path, and the table."""
    from experiments._maker_figures import draw_strategies

    return draw_strategies(results, table(results["rows"]), path)
