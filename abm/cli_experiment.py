"""`deleverage experiment`: one experiment, or all of them with a table at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import typer

from abm import console
from abm.experiment import (
    Experiment,
    count_checks,
    experiments,
    failed_rows,
    load_experiment,
    slow_experiments,
    write_json,
)

FOLDER = Path("runs") / "experiments"
"""Where NAME.json and NAME.png go unless something else is said."""


@dataclass(slots=True)
class Ended:
    """How one of all experiments ended."""

    name: str
    seconds: float
    inside: int = 0
    checks: int = 0
    failed: int = 0
    error: str = ""


def run_one(
    name: str,
    settings: Sequence[str],
    size: str,
    out: Path | None = None,
    json_file: Path | None = None,
    picture: Path | None = None,
) -> int:
    """Run an experiment, print its results, write what was asked for; returns the number of failed rows.

    With neither `json_file` nor `picture`, NAME.json and NAME.png go to the folder `out` (default `FOLDER`).
    """
    found = load_experiment(name, settings, size)
    if json_file is not None and not json_file.parent.is_dir():
        raise typer.BadParameter(f"--json {json_file}: the folder {json_file.parent} does not exist")
    if json_file is None and (picture is None or out is not None):
        json_file = (out or FOLDER) / f"{found.name}.json"
    if picture is None and json_file is not None:
        picture = json_file.with_suffix(".png")
    console.warn_compile()
    result = _run(found, json_file, picture)
    failed = failed_rows(result)
    if failed:
        console.complain(f"{failed} runs failed")
    return failed


def _run(found: Experiment, json_file: Path | None, picture: Path | None) -> dict[str, Any]:
    """Run, print, write; the elapsed time is that of the run."""
    console.out.print(f"{found.name}: {found.title}", markup=False)
    result = found.run(lambda words: console.out.print(words, markup=False))
    console.out.print(found.text(result), markup=False)
    console.out.print(f"{found.name}: {result['seconds']:.1f} s")
    if json_file is not None:
        console.wrote(write_json(result, json_file))
    if picture is not None and found.draws:
        picture.parent.mkdir(parents=True, exist_ok=True)
        console.wrote(found.draw(result, picture))
    return result


def run_all(size: str, out: Path) -> int:
    """Run every experiment that is not slow, one after another; returns how many raised or have failed rows.

    An experiment that raises does not keep the others from running. At the end stands a table of all.
    """
    slow = slow_experiments()
    names = [name for name in experiments() if name not in slow]
    began = perf_counter()
    console.warn_compile()
    ended = [_run_caught(name, size, out) for name in names]
    rows = [
        (
            one.name,
            f"{one.seconds:.1f}",
            f"{one.inside} of {one.checks}" if one.checks else "-",
            "raised" if one.error else str(one.failed),
        )
        for one in ended
    ]
    rows.append(("all", f"{perf_counter() - began:.1f}", *_totals(ended)))
    console.table(f"{len(names)} experiments", ("experiment", "seconds", "checks inside", "failed rows"), rows)
    if slow:
        console.out.print(f"left out, being slow: {', '.join(sorted(slow))}")
    for one in ended:
        if one.error:
            console.complain(f"{one.name}: {one.error}")
    return sum(1 for one in ended if one.error or one.failed)


def _totals(ended: Sequence[Ended]) -> tuple[str, str]:
    inside, checks = sum(one.inside for one in ended), sum(one.checks for one in ended)
    raised = sum(1 for one in ended if one.error)
    return f"{inside} of {checks}", f"{sum(one.failed for one in ended)}" + (f", {raised} raised" if raised else "")


def _run_caught(name: str, size: str, out: Path) -> Ended:
    """One of all; whatever it raises becomes a row of the table."""
    began = perf_counter()
    try:
        result = _run(load_experiment(name, (), size), out / f"{name}.json", out / f"{name}.png")
    except Exception as error:
        console.complain(f"{name}: {type(error).__name__}: {error}")
        return Ended(name, perf_counter() - began, error=f"{type(error).__name__}: {error}")
    inside, checks = count_checks(result)
    return Ended(name, perf_counter() - began, inside, checks, failed_rows(result))
