"""Who matters in October: every kind of participant off and on, on common seeds.

The effect of a kind is the measure with it minus the measure without it, seed by seed; for a kind that is a part of the
scenario the run without it is the changed one, for the others the run with it. Intervals are bootstrap percentiles of
the mean difference. The draws are keyed, so that everybody else has the same luck in both runs. Runs go through the
sweep engine into `folder`; the same call goes on where it was left. What is brought in has its default parameters,
which nobody observed: the rows of these kinds say what such a kind would do, not what it did.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from abm.analysis.curves import interval_of
from abm.parameters import Parameters, quantity
from experiments._studies import finished
from experiments._who_figure import draw
from experiments._who_kinds import KINDS
from experiments._who_run import RUNNER

__all__ = ["FULL", "QUICK", "Options", "draw", "run", "text"]

BASE = "as it is"
COLUMNS: tuple[tuple[str, str, str, float], ...] = (
    ("fall_percent", "fall", "%", 1.0),
    ("recovery_5min_percent", "recovered, 5 min", "%", 1.0),
    ("recovery_30min_percent", "recovered, 30 min", "%", 1.0),
    ("liquidation_starts_share", "accounts liquidated", "%", 100.0),
    ("bad_debt_usd", "bad debt", "$m", 1e-6),
    ("adl_usd", "auto-deleveraged", "$m", 1e-6),
)
"""Measure, words, unit, scale."""
LEVEL = 0.95
LEAST_PAIRS = 5
"""With fewer pairs a bootstrap interval is much too narrow: none is given."""
SLOW = True
QUICK = {"accounts": 1_000, "seeds": 2, "duration_s": 2_400, "kinds": ["retail: leverage", "makers: thinning"]}
FULL = {"seeds": 20}
_NAMES = tuple(kind.name for kind in KINDS)


class Options(Parameters):
    """What is run. A run of October takes 10 to 20 s at any number of accounts."""

    scenario: str = Field("october-2025", description="packaged name or file")
    kinds: tuple[str, ...] = Field(_NAMES, description="names of kinds, as in `experiments/_who_kinds.py`")
    accounts: int = quantity(100_000, unit="accounts", source="granularity only", ge=50, le=5_000_000)
    seeds: int = quantity(20, unit="seeds", source="chosen", ge=1, le=1_000)
    seed: int = quantity(1, unit="-", source="first of the common seeds", ge=0)
    duration_s: float = quantity(0.0, unit="s", source="0: as the scenario has it", ge=0)
    tick_s: float = quantity(0.0, unit="s", source="0: as the scenario has it; 2 halves the cost", ge=0)
    processes: int = quantity(2, unit="processes", source="a small machine", ge=1, le=256)
    folder: str = Field("runs/sweep-who-matters", description="where runs are kept; they are not repeated")

    @model_validator(mode="after")
    def _known(self) -> Options:
        from abm.settings import nearest

        lines = [f"kinds: no kind {name!r}{nearest(name, list(_NAMES))}" for name in self.kinds if name not in _NAMES]
        if not self.kinds or len(set(self.kinds)) < len(self.kinds):
            lines.append("kinds: name at least one, each once")
        if lines:
            raise ValueError("; ".join(lines))
        return self


def study(options: Options) -> dict[str, Any]:
    """The runs as a study of the sweep engine: the scenario as it is, then one point a kind; common seeds."""
    chosen = [kind for kind in KINDS if kind.name in options.kinds]
    return {
        "name": "who-matters",
        "title": "Who matters in October",
        "runner": RUNNER,
        "set": options.model_dump(include={"scenario", "accounts", "duration_s", "tick_s"}),
        "design": "list",
        "vary": [
            {"path": "kind", "values": [BASE, *(kind.name for kind in chosen)]},
            {"path": "settings", "values": [[], *(list(kind.settings) for kind in chosen)]},
        ],
        "replicates": options.seeds,
        "seed": options.seed,
    }


def run(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """The scenario as it is, and for every kind the paired effects with intervals, the largest on the fall first."""
    found = finished(study(options), Path(options.folder), options.processes, say)
    for row in found:
        if row.get("liquidation_starts") is not None:
            row["liquidation_starts_share"] = row["liquidation_starts"] / options.accounts
    base = {row["seed"]: row for row in found if row["kind"] == BASE}
    rows = []
    for kind in KINDS:
        changed = {row["seed"]: row for row in found if row["kind"] == kind.name}
        if changed:
            rows.append(effects(kind.name, kind.part, kind.settings, base, changed))
    rows.sort(key=lambda row: -abs(row["effects"]["fall_percent"]["mean"] or 0.0))
    errors = [row["error"] for row in rows if row["error"]]
    return {
        "scenario": options.scenario,
        "seeds": options.seeds,
        "accounts": options.accounts,
        "base": {key: _mean([row.get(key) for row in base.values()], scale) for key, _, _, scale in COLUMNS},
        "rows": rows,
        "error": "; ".join(errors),
    }


Runs = Mapping[int, Mapping[str, Any]]


def effects(name: str, part: bool, settings: Sequence[str], base: Runs, changed: Runs) -> dict[str, Any]:
    """A row: for each column the mean of (with - without) over common seeds, its interval, and how many pairs.

    Args:
        name, part, settings: of the kind.
        base, changed: measures by seed. A run that failed, or does not have a measure, drops out with its partner.
    """
    sign = -1.0 if part else 1.0
    found = {}
    for key, _, _, scale in COLUMNS:
        pairs = [
            (before[key], changed[seed][key])
            for seed, before in base.items()
            if before.get(key) is not None and seed in changed and changed[seed].get(key) is not None
        ]
        differences = np.array([sign * scale * (after - before) for before, after in pairs])
        low = high = math.nan
        if len(pairs) >= LEAST_PAIRS:
            low, high = interval_of(differences, "bootstrap", "mean", LEVEL, 2_000, 1)
        found[key] = {
            "mean": float(differences.mean()) if pairs else None,
            "low": low if low == low else None,
            "high": high if high == high else None,
            "pairs": len(pairs),
        }
    failures = sorted(
        {f"{name}: {row['error_type']}: {row['message']}" for row in changed.values() if row.get("error_type")}
        | {f"{BASE}: {row['error_type']}: {row['message']}" for row in base.values() if row.get("error_type")}
    )
    return {"kind": name, "part": part, "settings": list(settings), "effects": found, "error": "; ".join(failures)}


def _mean(values: Sequence[Any], scale: float) -> float | None:
    known = [value for value in values if value is not None]
    return scale * sum(known) / len(known) if known else None


def text(results: dict[str, Any]) -> str:
    """A table: the effect of each kind with its interval, a star where it excludes zero; no column without a number."""
    columns = [column for column in COLUMNS if results["base"][column[0]] is not None]
    head = f"{'':<32}" + "".join(f"{f'{words}, {unit}':>27}" for _, words, unit, _ in columns)
    world = f"{results['scenario']}, {results['accounts']:,} accounts, {results['seeds']} common seeds"
    lines = [
        f"{world}: with minus without, mean ({100 * LEVEL:.0f} % interval; * excludes zero)",
        head,
        f"{BASE:<32}" + "".join(f"{_number(results['base'][key]):>27}" for key, *_ in columns),
    ]
    for part, words in ((True, "a part of the scenario"), (False, "brought in")):
        rows = [row for row in results["rows"] if row["part"] == part]
        lines += [words] if rows else []
        lines += [
            f"  {row['kind']:<30}" + "".join(f"{_cell(row['effects'][key]):>27}" for key, *_ in columns) for row in rows
        ]
    return "\n".join(lines)


def _cell(effect: Mapping[str, Any]) -> str:
    if effect["mean"] is None:
        return "-"
    if effect["low"] is None:
        return _number(effect["mean"])
    star = "*" if effect["low"] > 0 or effect["high"] < 0 else " "
    return f"{_number(effect['mean'])} ({_number(effect['low'])}, {_number(effect['high'])}){star}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if abs(value) < 1_000 else f"{value:,.0f}"
