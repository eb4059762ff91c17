"""Variants of one scenario on common seeds: what several experiments share."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from abm.scenario import load_scenario
from abm.sweep import Outcome, process_pool, run_many

MEDIANS = {
    "fall_median_percent": "fall_percent",
    "news_percent": "news_percent",
    "minutes_to_low_median": "minutes_to_low",
    "liquidated_median_usd": "liquidated_usd",
    "depth_ratio_median": "depth_ratio",
    "recovery_30min_median_percent": "recovery_30min_percent",
    "adl_median_usd": "adl_usd",
}
"""Columns of a row that are medians over seeds, and the measure each is taken from."""
WIDTHS = (9, 9, 9, 12, 16, 12)


def run_variants(
    scenario: str,
    variants: Mapping[str, Sequence[str]],
    accounts: int,
    seeds: Sequence[int],
    processes: int,
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    """One row a variant: falls by seed, medians, and the paired difference to the first variant.

    Args:
        scenario: packaged name or file.
        variants: settings `a.b=value` of each variant by name.
        accounts: retail accounts, unless a variant sets its own.
        seeds: common seeds.
        processes: runs at a time.
        say: told the fall of every finished run.
    """
    names = list(variants)
    loaded = {name: load_scenario(scenario, (f"accounts={accounts}", *sets)) for name, sets in variants.items()}
    jobs = [(loaded[name].resolved(), seed) for seed in seeds for name in names]

    def done(index: int, outcome: Outcome) -> None:
        fall = outcome.summary.get("fall_percent")
        words = outcome.error.splitlines()[0] if outcome.error else f"{fall:.2f} %"
        say(f"seed {outcome.seed}, {names[index % len(names)]}: {words}")

    with process_pool(min(processes, len(jobs))) as pool:
        outcomes = run_many(jobs, pool, done)
    first = outcomes[:: len(names)]
    return [_row(name, variants[name], outcomes[i :: len(names)], first) for i, name in enumerate(names)]


def _row(name: str, settings: Sequence[str], outcomes: Sequence[Outcome], first: Sequence[Outcome]) -> dict[str, Any]:
    pairs = [
        b.summary["fall_percent"] - a.summary["fall_percent"]
        for a, b in zip(first, outcomes, strict=True)
        if not a.error and not b.error
    ]

    def middle(key: str) -> float | None:
        known = [o.summary[key] for o in outcomes if o.summary.get(key) is not None]
        return statistics.median(known) if known else None

    return {
        "variant": name,
        "settings": list(settings),
        "seeds": [outcome.seed for outcome in outcomes],
        "fall_percent": [outcome.summary.get("fall_percent") for outcome in outcomes],
        "liquidated_usd": [outcome.summary.get("liquidated_usd") for outcome in outcomes],
        **{column: middle(key) for column, key in MEDIANS.items()},
        "difference_median_percent": statistics.median(pairs) if pairs else None,
        "error": "; ".join(outcome.error.splitlines()[0] for outcome in outcomes if outcome.error),
    }


def draw_falls(results: Sequence[Mapping[str, Any]], title: str, path: Path) -> Path:
    """Falls and liquidations of all variants side by side, a dot a seed, lines between the runs of one seed."""
    import pandas as pd

    from abm.figures.compare import draw_compare

    rows = [
        {"seed": seed, "variant": r["variant"], "fall_percent": fall, "liquidated_usd": liquidated}
        for r in results
        for seed, fall, liquidated in zip(r["seeds"], r["fall_percent"], r["liquidated_usd"], strict=True)
    ]
    labels = {"fall_percent": ("Fall to the low", "%"), "liquidated_usd": ("Liquidated", "$")}
    return draw_compare(pd.DataFrame(rows), title, path, labels, f"{len(results[0]['seeds'])} common seeds")


def fall_table(results: Sequence[Mapping[str, Any]]) -> str:
    """A plain table of medians."""
    heads = ("fall, %", "lowest", "highest", "difference", "liquidated, $m", "depth fall")
    lines = [f"{'variant':<20}" + "".join(f"{head:>{width}}" for head, width in zip(heads, WIDTHS, strict=True))]
    for r in results:
        falls = [fall for fall in r["fall_percent"] if fall is not None]
        cells = [r["fall_median_percent"], min(falls, default=None), max(falls, default=None)]
        words = ["-" if cell is None else f"{cell:.2f}" for cell in (*cells, r["difference_median_percent"])]
        liquidated, depth = r["liquidated_median_usd"], r["depth_ratio_median"]
        words += ["-" if liquidated is None else f"{liquidated / 1e6:,.0f}", "-" if depth is None else f"{depth:.1f}x"]
        lines.append(f"{r['variant']:<20}" + "".join(f"{word:>{w}}" for word, w in zip(words, WIDTHS, strict=True)))
    news = results[0]["news_percent"]
    return "\n".join([*lines, f"medians over {len(results[0]['seeds'])} common seeds; the news is {news:.2f} %"])
