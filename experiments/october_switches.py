"""October with parts switched off: what carries the fall beyond the news, on common seeds.

Each row is one variant of `october-2025`: as it is; everybody at 1x, so that nobody can be liquidated by a fall of this
size; makers obliged to show a share of their normal depth; and news only, without leverage or voluntary selling. The
same seeds are used for all, and the random draws are keyed, so the difference of a pair is due to the switch alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field

from abm.parameters import Parameters, quantity
from experiments._variants import draw_falls, fall_table, run_variants

ONE_X = ("retail.most_leverage=1",)
NO_VOLUNTARY = ("retail.panic=0", "retail.stop_share=0", "retail.short_gain=0", "retail.trend_gain=0", "treasuries=[]")


class Options(Parameters):
    """What is run."""

    scenario: str = Field("october-2025", description="packaged name or file")
    accounts: int = quantity(100_000, unit="accounts", source="granularity only", ge=50, le=5_000_000)
    reps: int = quantity(10, unit="seeds", source="chosen", ge=1, le=1_000)
    seed: int = quantity(1, unit="-", source="first of the common seeds", ge=0)
    obliged: float = quantity(1.0, unit="share of normal depth", source="policy", ge=0, le=1)
    processes: int = quantity(2, unit="processes", source="a small machine", ge=1, le=256)


SLOW = True
QUICK = {"accounts": 2_000, "reps": 2}
FULL = {"reps": 20}


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
    seeds = range(options.seed, options.seed + options.reps)
    return run_variants(options.scenario, variants(options), options.accounts, seeds, options.processes, say)


def draw(results: list[dict[str, Any]], path: Path) -> Path:
    """Falls side by side."""
    return draw_falls(results, "What carries the fall of 10 October 2025", path)


def text(results: list[dict[str, Any]]) -> str:
    """A plain table."""
    return fall_table(results)
