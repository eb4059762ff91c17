"""What a finished study says, chosen from its design: tables and pictures for `deleverage analyse`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from abm.analysis.curves import Statistic, crossings, curve, phase_diagram, picked
from abm.analysis.load import measures_of, problem_of
from abm.analysis.sensitivity import morris_effects, rank_correlations, sobol
from abm.analysis.tails import tails
from abm.settings import SettingsError, nearest

USUAL = ("fall_percent", "branching_ratio", "liquidated_usd", "bad_debt_usd", "multiplier", "adl_usd")
MEASURES = 3
LOSS = "bad_debt_usd"
LEAST_RUNS = 20
"""Runs from which a tail is shown at all."""
GROUPS = 6


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user asked for; what is not said follows from the study."""

    measures: tuple[str, ...] = ()
    across: str | None = None
    up: str | None = None
    levels: Mapping[str, float] = field(default_factory=dict)
    at: Mapping[str, Any] = field(default_factory=dict)
    by: str | None = None
    statistic: Statistic = "mean"
    fill: float | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One result: a table for people and files, and a function that draws it to a path (none: no picture)."""

    name: str
    title: str
    table: pd.DataFrame
    draw: Callable[[Path], Path] | None = None


def findings(frame: pd.DataFrame, wishes: Wishes = Wishes()) -> list[Finding]:
    """Analyse a study as its design asks.

    Saltelli's design gives Sobol indices, Morris's elementary effects, a grid of two parameters a phase diagram, other
    grids a curve for each parameter, designs that fill space rank correlations; and tails of the bad debt, if any.
    Raises SettingsError for wishes that do not fit the study.
    """
    varied = list(frame.attrs.get("varied", ()))
    wanted = _checked(frame, wishes, varied)
    design = frame.attrs.get("design", "grid")
    numeric = [name for name in varied if pd.api.types.is_numeric_dtype(frame[name])]
    found: list[Finding] = []
    if not len(frame):
        raise SettingsError([f"{frame.attrs.get('study', 'the study')}: no run has finished yet"])
    if design in ("saltelli", "morris"):
        found += [_sensitivity(frame, varied, measure, design, wishes) for measure in wanted]
    elif wishes.across and wishes.up:
        found += _phase(frame, wishes.across, wishes.up, wanted, wishes)
    elif wishes.across:
        found.append(_curves(frame, wishes.across, wanted, wishes))
    elif design in ("latin-hypercube", "sobol") and len(numeric) > 1:
        found += [_ranks(frame, numeric, measure) for measure in wanted]
    elif len(numeric) == 2 and len(varied) == 2:
        found += _phase(frame, numeric[1], numeric[0], wanted, wishes)
    else:
        found += [_curves(frame, name, wanted, wishes) for name in varied]
    return found + _tail(frame, wishes)


def _checked(frame: pd.DataFrame, wishes: Wishes, varied: Sequence[str]) -> list[str]:
    """Measures to show. Raises SettingsError naming everything that the study does not have."""
    there = measures_of(frame)
    asked = [("--measure", name) for name in wishes.measures] + [("--level", name) for name in wishes.levels]
    lines = [f"{option} {name}: no such measure{nearest(name, there)}" for option, name in asked if name not in there]
    named = [*(name for name in (wishes.across, wishes.up, wishes.by) if name), *wishes.at]
    lines += [f"{name}: not varied in this study; varied: {', '.join(varied)}" for name in named if name not in varied]
    if wishes.up and not wishes.across:
        lines.append("--up: goes with --across")
    if lines:
        raise SettingsError(lines)
    usual = [name for name in USUAL if name in there] or there
    return list(dict.fromkeys([*(wishes.measures or usual[:MEASURES]), *wishes.levels]))


def _curves(frame: pd.DataFrame, factor: str, measures: Sequence[str], wishes: Wishes) -> Finding:
    tables = [curve(frame, factor, measure, at=wishes.at, statistic=wishes.statistic) for measure in measures]
    merged = pd.concat([table.assign(measure=table.attrs["measure"]) for table in tables], ignore_index=True)
    title, labels = _title(frame, f"along {factor}"), _labels(frame)

    def draw(path: Path) -> Path:
        from abm.figures.study import draw_curves

        return draw_curves(tables, title, path, labels, note=_held(wishes.at))

    front = ["measure", factor]
    table = merged[front + [column for column in merged if column not in front]]
    # Words have no place along an axis.
    return Finding(f"curve-{factor}", title, table, draw if pd.api.types.is_numeric_dtype(table[factor]) else None)


def _phase(frame: pd.DataFrame, across: str, up: str, measures: Sequence[str], wishes: Wishes) -> list[Finding]:
    held: dict[str, Any] = {"at": wishes.at, "statistic": wishes.statistic}
    tables = [phase_diagram(frame, across, up, measure, **held) for measure in measures]
    lines = {name: crossings(frame, across, up, name, level, **held) for name, level in wishes.levels.items()}
    title, labels = _title(frame, f"{up} against {across}"), _labels(frame)

    def draw(path: Path) -> Path:
        from abm.figures.study import draw_phase

        first = next(iter(lines.values()), None)
        return draw_phase(
            tables, title, path, levels=wishes.levels, crossing=first, labels=labels, note=_held(wishes.at)
        )

    long = pd.concat([table.stack().rename("value").reset_index().assign(measure=table.attrs["measure"])
                      for table in tables], ignore_index=True)  # fmt: skip
    found = [Finding("phase", title, long[["measure", up, across, "value"]], draw)]
    found += [Finding(f"crossing-{name}", f"where {name} crosses {wishes.levels[name]:g} along {across}", table)
              for name, table in lines.items()]  # fmt: skip
    return found


def _sensitivity(frame: pd.DataFrame, names: Sequence[str], measure: str, design: str, wishes: Wishes) -> Finding:
    kind = "sobol" if design == "saltelli" else "morris"
    if kind == "sobol":
        table = sobol(frame, names, measure, fill=wishes.fill)
    else:
        table = morris_effects(frame, problem_of(frame), measure, fill=wishes.fill)
    title, labels = _title(frame, f"what {measure} depends on"), _labels(frame)

    def draw(path: Path) -> Path:
        from abm.figures.study import draw_sensitivity

        return draw_sensitivity(title, path, sobol=table if kind == "sobol" else None,
                                morris=table if kind == "morris" else None, labels=labels)  # fmt: skip

    return Finding(f"{kind}-{measure}", title, table.reset_index(), draw)


def _ranks(frame: pd.DataFrame, names: Sequence[str], measure: str) -> Finding:
    table = rank_correlations(frame, names, measure)
    return Finding(f"ranks-{measure}", f"rank correlation of {measure}", table.reset_index())


def _tail(frame: pd.DataFrame, wishes: Wishes) -> list[Finding]:
    """Tails of the loss: by the groups asked for, else all runs together; none where nothing is lost."""
    if LOSS not in frame.columns:
        return []
    rows = picked(frame, (LOSS,), wishes.at)
    rows = rows[np.isfinite(rows[LOSS].astype(float))]
    if len(rows) < LEAST_RUNS or not (rows[LOSS] > 0).any():
        return []
    by = [wishes.by] if wishes.by else []
    table = tails(rows, LOSS, by=by)
    groups = {"all runs": rows[LOSS].to_numpy(np.float64)}
    if wishes.by:
        groups = {f"{wishes.by.rsplit('.', 1)[-1]} {key}": part[LOSS].to_numpy(np.float64)
                  for key, part in rows.groupby(wishes.by)}  # fmt: skip
    title = _title(frame, "tail of the bad debt")

    def draw(path: Path) -> Path:
        from abm.figures.tails import draw_tails

        return draw_tails(groups, table, LOSS, title, path)

    return [Finding("tail", title, table, draw if len(groups) <= GROUPS else None)]


def _title(frame: pd.DataFrame, what: str) -> str:
    """Title of the study if it has one, else its name and what is shown."""
    return str(frame.attrs.get("title") or f"{frame.attrs.get('study', 'study')}: {what}")


def _labels(frame: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Units of the varied parameters, from the schema of scenarios."""
    from abm.parameters import reference_rows
    from abm.scenario import Scenario

    units = {row["path"]: row["unit"] for row in reference_rows(Scenario)}
    varied = [str(name) for name in frame.attrs.get("varied", ())]
    return {name: (name, units[name] if units[name] != "-" else "") for name in varied if units.get(name)}


def _held(at: Mapping[str, Any]) -> str:
    return "held: " + ", ".join(f"{name} = {value}" for name, value in at.items()) if at else ""
