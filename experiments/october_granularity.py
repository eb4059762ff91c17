"""October as a function of resolution: number of accounts, tick length, rounds inside a tick.

None of them is a fact about the market. Where the fall depends on one of them, it is a modelling claim and has to be
quoted with it. This is the part `convergence` of `october` alone, from another number of accounts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import Field

from abm.parameters import Parameters, quantity
from experiments import october


class Options(Parameters):
    """What is run."""

    scenario: str = Field("october-2025", description="packaged name or file")
    accounts: int = quantity(100_000, unit="accounts", source="where the clock is varied", ge=50, le=5_000_000)
    numbers: tuple[int, ...] = quantity((2_000, 5_000, 20_000), unit="accounts", source="chosen", text="other numbers")
    ticks_s: tuple[float, ...] = quantity((1.0, 2.0), unit="s", source="chosen", text="other tick lengths")
    rounds: tuple[int, ...] = quantity((1, 2, 32), unit="rounds", source="chosen", text="other caps on rounds")
    reps: int = quantity(8, unit="seeds", source="chosen", ge=1, le=1_000)
    seed: int = quantity(1, unit="-", source="first of the common seeds", ge=0)
    lead_in_s: float = quantity(0.0, unit="s", source="0: all there is", ge=0, text="run before the first news")
    duration_s: float = quantity(0.0, unit="s", source="0: as the scenario has it", ge=0)
    processes: int = quantity(2, unit="processes", source="a small machine", ge=1, le=256)
    folder: str = Field("runs/october-granularity", description="where runs, tables and the picture are kept")


SLOW = True
QUICK = {"accounts": 600, "numbers": (300,), "ticks_s": (10.0,), "rounds": (1,), "reps": 1, "lead_in_s": 120.0,
         "duration_s": 1_500.0, "folder": "runs/october-granularity-quick"}  # fmt: skip
FULL = {"reps": 20}


def run(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """The part `convergence` of `october`."""
    fields = options.model_dump()
    fields["convergence_seeds"] = fields.pop("reps")
    return october.run(october.Options(parts=("convergence",), other="", **fields), say)


text, draw = october.text, october.draw
