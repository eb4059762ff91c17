"""The part `events` of `october`: scenarios held against what was measured, as `deleverage validate` does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from abm.scenario import load_scenario
from abm.settings import Table
from experiments._october_tables import errors_of, number
from experiments._studies import finished_of, run_missing

EVENTS = ("october-2025", "september-2025", "november-2025-early")
"""Behaviour was set on the first; the others change the state alone."""


def held_against(
    events: Sequence[str],
    settings: Table,
    seeds: int,
    seed: int,
    processes: int,
    folder: Path,
    say: Callable[[str], None],
    run: bool = True,
    retry_failed: bool = False,
) -> list[dict[str, Any]]:
    """For each event what `abm.validate.report` gives, and its errors.

    Args:
        events: scenarios of days that were measured.
        settings: what all runs share; they must leave the day's fall inside the run.
        seeds, seed: number of runs, the first seed.
        processes, folder, say, retry_failed: as in `run_missing`.
        run: make what is missing; otherwise events without any run are left out.
    """
    from abm.validate import report

    tables = []
    for event in events:
        stem = Path(event).stem.lower()
        study = {"name": f"events-{stem}", "scenario": event, "set": settings, "replicates": seeds, "seed": seed}
        if run:
            run_missing(study, folder / stem, processes, say, retry_failed)
        rows = finished_of(folder / stem)
        if not rows:
            continue
        good = [row for row in rows if not row.get("error_type")]
        scenario = load_scenario(event, [f"{path}={value}" for path, value in settings.items()])
        found = report(scenario, good, len(rows) - len(good))
        tables.append({**found, "event": event, "error": errors_of([{"variant": event, **row} for row in rows])})
    return tables


def event_text(table: Mapping[str, Any]) -> str:
    """Plain lines: each row with its median, interval, band, in or out."""
    share = table["inside"]
    lines = [f"{table['event']}: {share['inside']} of {share['counted']} graded rows inside their bands"]
    for row in table["rows"]:
        model = f"{number(row['median'])} ({number(row['low5'])}, {number(row['high95'])})"
        band = f"{number(row['low'])} to {number(row['high'])}"
        lines.append(f"  {row['measure'] + ', ' + row['unit']:<58}{model:>28}{band:>22}  {row['grade']} {row['side']}")
    return "\n".join(lines)


def draw_events(tables: Sequence[Mapping[str, Any]], folder: Path) -> list[Path]:
    """A picture an event; the files."""
    from abm.figures.validation import draw_validation

    return [draw_validation(table, folder / f"{Path(table['event']).stem}.png") for table in tables if table["seeds"]]
