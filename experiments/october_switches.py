"""October with parts switched off: what carries the fall beyond the news, on common seeds.

Each row is one variant of `october-2025`: as it is; everybody at 1x, so that nobody can be liquidated by a fall of this
size; makers obliged to show a share of their normal depth; and news only, without leverage or voluntary selling. The
same seeds are used for all, and the random draws are keyed, so the difference of a pair is due to the switch alone.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from abm.parameters import Parameters, quantity
from abm.scenario import load_scenario
from abm.sweep import Outcome, process_pool, run_many

ONE_X = ("retail.most_leverage=1",)
NO_VOLUNTARY = ("retail.panic=0", "retail.stop_share=0", "retail.short_gain=0", "retail.trend_gain=0", "treasuries=[]")


class Options(Parameters):
    """What is run."""

    scenario: str = Field("october-2025", description="packaged name or file")
    accounts: int = quantity(20_000, unit="accounts", source="granularity only", ge=50, le=5_000_000)
    reps: int = quantity(10, unit="seeds", source="chosen", ge=1, le=1_000)
    seed: int = quantity(1, unit="-", source="first of the common seeds", ge=0)
    obliged: float = quantity(1.0, unit="share of normal depth", source="policy", ge=0, le=1)
    processes: int = quantity(2, unit="processes", source="a small machine", ge=1, le=256)


QUICK = {"accounts": 2_000, "reps": 2}
FULL = {"accounts": 100_000, "reps": 20}


def variants(options: Options) -> dict[str, tuple[str, ...]]:
    """The settings of each variant."""
    return {
        "as it is": (),
        "leverage 1x": ONE_X,
        "makers obliged": (f"makers.obliged={options.obliged}",),
        "news only": (*ONE_X, *NO_VOLUNTARY),
    }


def run(options: Options, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """One row a variant: falls by seed, medians, and the paired difference to the first variant."""
    seeds = [options.seed + rep for rep in range(options.reps)]
    chosen = variants(options)
    scenarios = {
        name: load_scenario(options.scenario, sets, accounts=options.accounts) for name, sets in chosen.items()
    }
    jobs = [(scenarios[name].resolved(), seed) for seed in seeds for name in chosen]
    names = list(chosen)

    def done(index: int, outcome: Outcome) -> None:
        fall = outcome.summary.get("fall_percent")
        words = outcome.error.splitlines()[0] if outcome.error else f"{fall:.2f} %"
        say(f"seed {outcome.seed}, {names[index % len(names)]}: {words}")

    with process_pool(min(options.processes, len(jobs))) as pool:
        outcomes = run_many(jobs, pool, done)
    first = outcomes[:: len(names)]
    return [row(name, chosen[name], outcomes[i :: len(names)], first) for i, name in enumerate(names)]


def row(name: str, settings: Sequence[str], outcomes: Sequence[Outcome], first: Sequence[Outcome]) -> dict[str, Any]:
    """Summary of one variant."""
    falls = [outcome.summary.get("fall_percent") for outcome in outcomes]
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
        "fall_percent": falls,
        "liquidated_usd": [outcome.summary.get("liquidated_usd") for outcome in outcomes],
        "fall_median_percent": middle("fall_percent"),
        "difference_median_percent": statistics.median(pairs) if pairs else None,
        "news_percent": middle("news_percent"),
        "liquidated_median_usd": middle("liquidated_usd"),
        "depth_ratio_median": middle("depth_ratio"),
        "recovery_30min_median_percent": middle("recovery_30min_percent"),
        "adl_median_usd": middle("adl_usd"),
        "error": "; ".join(outcome.error.splitlines()[0] for outcome in outcomes if outcome.error),
    }


def draw(results: list[dict[str, Any]], path: Path) -> Path:
    """Falls of all variants side by side, a dot a seed, lines between the runs of one seed."""
    import pandas as pd

    from abm.figures.compare import draw_compare

    rows = [
        {"seed": seed, "variant": r["variant"], "fall_percent": fall, "liquidated_usd": liquidated}
        for r in results
        for seed, fall, liquidated in zip(r["seeds"], r["fall_percent"], r["liquidated_usd"], strict=True)
    ]
    labels = {"fall_percent": ("Fall to the low", "%"), "liquidated_usd": ("Liquidated", "$")}
    note = f"{len(results[0]['seeds'])} common seeds; one scenario, parts of it switched off"
    return draw_compare(pd.DataFrame(rows), "What carries the fall of 10 October 2025", path, labels, note)


def text(results: list[dict[str, Any]]) -> str:
    """A plain table."""
    lines = [f"{'variant':<20}{'fall, %':>9}{'difference':>12}{'news, %':>9}{'liquidated, $m':>16}{'depth fall':>12}"]
    for r in results:
        cells = (r["fall_median_percent"], r["difference_median_percent"], r["news_percent"])
        a, b, c = ("-" if cell is None else f"{cell:.2f}" for cell in cells)
        liquidated, depth = r["liquidated_median_usd"], r["depth_ratio_median"]
        d = "-" if liquidated is None else f"{liquidated / 1e6:,.0f}"
        e = "-" if depth is None else f"{depth:.1f}x"
        lines.append(f"{r['variant']:<20}{a:>9}{b:>12}{c:>9}{d:>16}{e:>12}")
    return "\n".join([*lines, f"medians over {len(results[0]['seeds'])} common seeds"])
