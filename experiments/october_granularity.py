"""October as a function of resolution: number of accounts, tick length, rounds inside a tick.

None of them is a fact about the market. Where the fall depends on one of them, it is a modelling claim and has to be
quoted with it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field

from abm.parameters import Parameters, quantity
from experiments._variants import draw_falls, fall_table, run_variants


class Options(Parameters):
    """What is run."""

    scenario: str = Field("october-2025", description="packaged name or file")
    accounts: int = quantity(20_000, unit="accounts", source="where the clock is varied", ge=50, le=5_000_000)
    numbers: tuple[int, ...] = quantity((2_000, 5_000, 100_000), unit="accounts", source="chosen", text="other numbers")
    ticks_s: tuple[float, ...] = quantity((0.5, 2.0), unit="s", source="chosen", text="other tick lengths")
    rounds: tuple[int, ...] = quantity((1, 2, 32), unit="rounds", source="chosen", text="other caps on rounds")
    reps: int = quantity(8, unit="seeds", source="chosen", ge=1, le=1_000)
    seed: int = quantity(1, unit="-", source="first of the common seeds", ge=0)
    processes: int = quantity(2, unit="processes", source="a small machine", ge=1, le=256)


SLOW = True
QUICK = {"accounts": 2_000, "numbers": (500,), "ticks_s": (2.0,), "rounds": (1,), "reps": 2}
FULL = {"reps": 20}


def run(options: Options, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """One row a variant; the first is the scenario with `accounts`, its own tick and rounds."""
    variants: dict[str, tuple[str, ...]] = {f"{options.accounts:,} accounts": ()}
    variants |= {f"{n:,} accounts": (f"accounts={n}",) for n in options.numbers}
    variants |= {f"tick {t:g} s": (f"tick_s={t}",) for t in options.ticks_s}
    variants |= {f"rounds at most {r}": (f"rounds_max={r}",) for r in options.rounds}
    seeds = range(options.seed, options.seed + options.reps)
    return run_variants(options.scenario, variants, options.accounts, seeds, options.processes, say)


def draw(results: list[dict[str, Any]], path: Path) -> Path:
    """Falls side by side."""
    return draw_falls(results, "The fall of 10 October 2025 and the resolution of the model", path)


def text(results: list[dict[str, Any]]) -> str:
    """A plain table."""
    return fall_table(results)
