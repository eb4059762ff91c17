"""Stylised facts of a calm month: tails, memory, volume, impact and depth beside the real ones, over seeds.

The packaged population trades for days without scheduled news (`calm-month`); every variant adds or removes a
mechanism, on common seeds. Nothing is fitted: the bands show where the model's months lie, and a real figure outside
its band is reported as a miss. Runs go through the sweep engine into `folder`; the same call goes on where it was left.

Real figures: `month`, Binance BTCUSDT perpetual, 5-minute bars of 15 September to 9 October 2025, by the same
functions; `half year`, July to December 2025, which holds 10 October.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from abm.parameters import Parameters, quantity
from experiments._fact_figure import draw
from experiments._fact_month import RUNNER
from experiments._fact_targets import FACTS, Fact, known
from experiments._facts import band
from experiments._studies import finished

__all__ = ["FULL", "QUICK", "VARIANTS", "Options", "draw", "run", "text"]

VARIANTS: dict[str, tuple[str, ...]] = {
    "as packaged": (),
    "beliefs": ("retail.beliefs.share=1",),
    "stock index": ("world.macro_volatility_percent=1.1", "world.macro_jumps=2", "world.macro_jump_spread_percent=0.5"),
    "value capital near": (
        *(f"value_{side}.margin=0.005" for side in ("buyers", "sellers")),
        *(f"value_{side}.width=0.03" for side in ("buyers", "sellers")),
    ),
    "no thinning": ("makers.thinning_max=1", "noise.slope=0"),
    "no leverage": ("retail.most_leverage=1",),
}
"""Settings of each variant beside those of the scenario."""
CURVES = ("memory", "tail", "impact_flow", "impact_bp", "depth_coins", "path_usd", "fair_path_usd")
LEVEL = 0.8
SLOW = True
QUICK = {"days": 0.5, "seeds": 1, "variants": ["as packaged"]}
FULL = {"days": 30, "seeds": 20}


class Options(Parameters):
    """What is run. A day takes 20 to 30 s."""

    scenario: str = Field("calm-month", description="packaged name or file")
    variants: tuple[str, ...] = Field(tuple(VARIANTS)[:5], description=f"any of {', '.join(VARIANTS)}")
    days: float = quantity(3.0, unit="d", source="chosen", ge=0.1, le=32)
    seeds: int = quantity(4, unit="seeds", source="chosen", ge=1, le=1_000)
    seed: int = quantity(1, unit="-", source="first of the common seeds", ge=0)
    accounts: int = quantity(2_000, unit="accounts", source="granularity only", ge=50, le=5_000_000)
    tick_s: float = quantity(
        10.0, unit="s", source="the longest at which calm is not lost", ge=0.1, le=60, text="parts a minute evenly"
    )
    processes: int = quantity(2, unit="processes", source="a small machine", ge=1, le=256)
    folder: str = Field("runs/sweep-stylised-facts", description="where runs are kept; they are not repeated")

    @model_validator(mode="after")
    def _known(self) -> Options:
        strange = [name for name in self.variants if name not in VARIANTS]
        lines = [f"variants: {name!r} is none of {', '.join(VARIANTS)}" for name in strange]
        if not self.variants or len(set(self.variants)) < len(self.variants):
            lines.append("variants: name at least one, each once")
        if abs(60 / self.tick_s - round(60 / self.tick_s)) > 1e-9:
            lines.append(f"tick_s: {self.tick_s:g} s do not part a minute evenly")
        if lines:
            raise ValueError("; ".join(lines))
        return self


def study(options: Options) -> dict[str, Any]:
    """The runs as a study of the sweep engine: a list of variants, common seeds."""
    shared = options.model_dump(include={"scenario", "days", "accounts", "tick_s"})
    names = list(options.variants)
    return {
        "name": "stylised-facts",
        "title": "Stylised facts of a calm month",
        "runner": RUNNER,
        "set": shared,
        "design": "list",
        "vary": [
            {"path": "variant", "values": names},
            {"path": "settings", "values": [list(VARIANTS[name]) for name in names]},
        ],
        "replicates": options.seeds,
        "seed": options.seed,
    }


def run(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """Runs, and for each variant every fact as median and band over seeds beside the real figures."""
    rows = finished(study(options), Path(options.folder), options.processes, say)
    variants = [summed_up(name, [row for row in rows if row["variant"] == name]) for name in options.variants]
    first = variants[0]
    return {
        "days": options.days,
        "seeds": options.seeds,
        "variants": variants,
        "checks": [judged(fact, first["facts"][fact.key]) for fact in FACTS if fact.key in first["facts"]],
        "error": "; ".join(sorted({one["error"] for one in variants if one["error"]})),
    }


def summed_up(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Facts of a variant: median and ends of the band over seeds; curves: the same point by point."""
    good = [row for row in rows if not row.get("error_type")]
    facts = {}
    for fact in FACTS:
        values = [row.get(fact.key) for row in good]
        facts[fact.key] = band([None if value is None else fact.scale * value for value in values], LEVEL)
    failures = {f"{name}: {row['error_type']}: {row['message']}" for row in rows if row.get("error_type")}
    curves = {key: [row[key] for row in good if row.get(key) is not None] for key in CURVES}
    return {
        "variant": name,
        "settings": list(VARIANTS.get(name, ())),
        "runs": len(good),
        "failed": len(rows) - len(good),
        "facts": {key: list(ends) for key, ends in facts.items() if math.isfinite(ends[0])},
        "curves": {key: banded(lists) for key, lists in curves.items() if not key.endswith("path_usd")},
        "paths": curves["path_usd"][:5],
        "error": "; ".join(sorted(failures)),
    }


def banded(lists: list[list[float | None]]) -> list[list[float]]:
    """Median, low and high end at each point of curves of one length; empty ones are left out."""
    full = [one for one in lists if one]
    return [list(band(values, LEVEL)) for values in zip(*full, strict=False)] if full else []


def judged(fact: Fact, ends: list[float]) -> dict[str, Any]:
    """A check: does the real month (else the half year) lie in the band of the model's months?"""
    real = known(fact.month, fact.half_year)
    middle, low, high = ends
    return {
        "what": fact.words,
        "unit": fact.unit,
        "published": real,
        "ours": middle,
        "low": low,
        "high": high,
        "inside": real is not None and low <= real <= high,
        "why": f"the real figure lies where {100 * LEVEL:.0f} % of the model's months lie",
    }


def text(results: dict[str, Any]) -> str:
    """A table: real figures, then median (band) of each variant."""
    names = [one["variant"] for one in results["variants"]]
    lines = [f"{results['days']:g} days, {results['seeds']} seeds: median (ends of the middle {100 * LEVEL:.0f} %)"]
    lines.append(f"{'':<34}{'month':>9}{'half year':>11}" + "".join(f"{name:>30}" for name in names))
    for fact in FACTS:
        cells = "".join(f"{_ends(one['facts'].get(fact.key)):>30}" for one in results["variants"])
        lines.append(f"{fact.words + ', ' + fact.unit:<34}{_number(fact.month):>9}{_number(fact.half_year):>11}{cells}")
    inside = sum(row["inside"] for row in results["checks"] if row["published"] is not None)
    judged_rows = sum(row["published"] is not None for row in results["checks"])
    return "\n".join([*lines, f"{names[0]}: {inside} of {judged_rows} real figures inside the band"])


def _ends(ends: list[float] | None) -> str:
    return "-" if ends is None else f"{_number(ends[0])} ({_number(ends[1])}, {_number(ends[2])})"


def _number(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"
