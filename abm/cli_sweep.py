"""`deleverage sweep`: many runs from one study file; and the engine behind `deleverage compare`."""

from __future__ import annotations

import shlex
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from abm import console

if TYPE_CHECKING:
    from abm.sweep.engine import Tally
    from abm.sweep.lanes import Lanes
    from abm.sweep.plan import Plan
    from abm.sweep.run import Outcome
    from abm.sweep.study import Study

PILOT_RUNS = 4
STOPPING = "finishing what runs, then stopping (Ctrl-C again: at once)"


def sweep(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="a TOML file, see docs/sweeps.md")],
    workers: Annotated[int | None, typer.Option(min=1, max=1024, help="runs at a time; default: processors")] = None,
    dask: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="run on the Dask cluster with this address")
    ] = None,
    shard: Annotated[str | None, typer.Option(metavar="I/N", help="only the Ith of N parts, for array jobs")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="run failed runs again")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="runs, time and disk by a pilot; writes nothing")] = False,
    out: Annotated[Path | None, typer.Option(help="folder of the results; default runs/sweep-NAME")] = None,
    settings: Annotated[list[str], typer.Option("--set", metavar="a=v", help="change a field of the study")] = [],  # noqa: B006
    allow_code: Annotated[bool, typer.Option("--allow-code", help="let it name functions and classes")] = False,
    only: Annotated[
        str | None, typer.Option(metavar="ID", help="one run (POINT/REPLICATE, or its id), here, shown")
    ] = None,
) -> None:
    """Run every run of a study once; the same command again goes on where it was left."""
    if dask and workers:
        raise typer.BadParameter("--workers and --dask exclude each other")
    division = _shard(shard)
    chosen = _study(study, settings, allow_code)
    folder = out or Path("runs") / f"sweep-{chosen.name}"
    again = _again(study, folder, out, settings, allow_code)
    began = time.perf_counter()
    if chosen.runner is None:
        console.warn_compile()
    from abm.sweep.plan import plan_study

    plan = plan_study(chosen, folder, str(study), shlex.join(again))
    if only is not None:
        return _one(plan, only)
    console.out.print(f"{chosen.name}: {described(plan, chosen)}", markup=False)
    if (planned_s := time.perf_counter() - began) > 5:
        console.out.print(f"planned in {planned_s:.0f} s")
    width = workers or processors()
    if dry_run:
        return _dry_run(plan, folder, division, width)
    tally = run_plan(plan, folder, chosen.name, lanes_of(width, dask), division, retry_failed)
    _conclude(tally, folder, [*again, *(["--shard", shard] if shard else [])], division)


def processors() -> int:
    """Processors this process may use."""
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _study(study: Path, settings: Sequence[str], allow_code: bool) -> Study:
    """Read the study; code from outside is only loaded when asked for."""
    from abm import outside
    from abm.settings import SettingsError, override
    from abm.sweep.study import load_study

    table: dict[str, Any] = {}
    for one in settings:
        table = override(table, one)
    chosen = load_study(study, table)
    if chosen.runner is not None and not allow_code:
        raise SettingsError([f"runner: {chosen.runner} is code of the study: add --allow-code to run it"], str(study))
    if allow_code:
        outside.allow(study, Path(chosen.scenario or study))
    return chosen


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, _, second = text.partition("/")
    if not (first.isdigit() and second.isdigit() and 1 <= int(first) <= int(second)):
        raise typer.BadParameter(f"{text}: not of the form I/N with 1 <= I <= N", param_hint="--shard")
    return int(first), int(second)


def _again(study: Path, folder: Path, out: Path | None, settings: Sequence[str], allow_code: bool) -> list[str]:
    """The command that goes on."""
    words = ["deleverage", "sweep", str(study), *(["--out", str(folder)] if out else [])]
    words += [word for one in settings for word in ("--set", one)]
    return words + (["--allow-code"] if allow_code else [])


def described(plan: Plan, study: Study) -> str:
    """Runs of a plan in words."""
    count, varied = len(plan) // plan.replicates, ", ".join(plan.columns) or "nothing"
    seeds = f"{plan.replicates} {study.seeds} seed{'s' if plan.replicates != 1 else ''} each"
    return f"{len(plan):,} runs: {count:,} points ({study.design}: {varied}), {seeds}"


def lanes_of(workers: int, dask: str | None) -> Callable[[int], Lanes]:
    """What makes the workers: processes here, or a cluster."""
    from abm.sweep.lanes import LocalLanes, dask_lanes

    if dask is not None:
        return lambda _runs: dask_lanes(dask)
    return lambda runs: LocalLanes(min(workers, runs))


@contextmanager
def _stoppable() -> Iterator[console.Stop]:
    """Ctrl-C, and the signal by which a batch system ends a job, let what runs finish."""
    with console.stoppable(STOPPING) as stop:
        try:
            before = signal.signal(signal.SIGTERM, stop.ask)
        except ValueError:  # not the main thread
            yield stop
            return
        try:
            yield stop
        finally:
            signal.signal(signal.SIGTERM, before)


def run_plan(
    plan: Plan,
    folder: Path,
    title: str,
    lanes: Callable[[int], Lanes],
    shard: tuple[int, int] | None = None,
    retry_failed: bool = False,
) -> Tally:
    """Run a plan with progress on the terminal and Ctrl-C obeyed."""
    from abm.sweep.engine import sweep as run_sweep
    from abm.sweep.worker import CodeMismatchError

    meters: list[console.Meter] = []

    def meter(runs: int) -> console.Meter:
        if runs < len(plan) and shard is None:
            console.out.print(f"{len(plan) - runs:,} of them are there already")
        meters.append(console.Meter(title, runs, "runs"))
        return meters[-1].__enter__()

    try:
        with _stoppable() as stop:
            return run_sweep(plan, folder, lanes, shard, retry_failed, _say, stop, meter)
    except CodeMismatchError as error:
        console.complain(f"deleverage: {error}")
        raise typer.Exit(console.SOME_FAILED) from None
    finally:
        for one in meters:
            one.__exit__()


def _say(words: str) -> None:
    console.out.print(words, markup=False)


def _conclude(tally: Tally, folder: Path, again: Sequence[str], shard: tuple[int, int] | None) -> None:
    """What came of it, what to do now, and the exit code."""
    here = tally.present + tally.done - tally.unwritten
    console.out.print(
        f"{here:,} of {tally.planned:,} runs are in {folder}, {tally.failed:,} of them failed", markup=False
    )
    for one in tally.set_aside:
        console.complain(f"set aside: run {one}")
    if tally.full:
        console.complain(f"cannot write results: {tally.full}")
        if tally.unwritten:
            console.complain(f"{tally.unwritten} finished runs could not be written and will be run again")
        console.complain(f"make room, then go on with: {shlex.join(again)}")
        raise typer.Exit(console.SOME_FAILED)
    if tally.interrupted:
        console.complain(f"stopped; go on with: {shlex.join(again)}")
        raise typer.Exit(console.INTERRUPTED)
    if tally.complete:
        console.wrote(folder / "runs.parquet")
    elif shard is not None:
        console.out.print(f"shard {shard[0]} of {shard[1]} is done; the table is written by the last one")
    if tally.failed:
        console.complain(f"{tally.failed:,} runs failed (column error_type); again: {shlex.join(again)} --retry-failed")
        raise typer.Exit(console.SOME_FAILED)
    if tally.complete:
        console.try_next(
            f"python -c \"import pandas; print(pandas.read_parquet('{folder / 'runs.parquet'}').describe())\""
        )


# --- small commands ---------------------------------------------------------------------------------------------------
def _one(plan: Plan, only: str) -> None:
    """One run in this process, its measures printed, its error raised."""
    from abm.sweep.worker import run_job

    run = _chosen(plan, only)
    ended = run_job(plan.job(run), plan.recipe)
    console.out.print(
        f"run {plan.ids[run]}: {plan.values(run)}, seed {plan.seeds[run]}, {ended.seconds:.2f} s", markup=False
    )
    for name, value in ended.measures.items():
        console.out.print(
            f"  {name:<40} {console.number(value) if not isinstance(value, list) else f'{len(value)} values'}",
            markup=False,
        )
    if ended.error_type is not None:
        console.complain(ended.traceback or f"{ended.error_type}: {ended.message}")
        raise typer.Exit(console.SOME_FAILED)


def _chosen(plan: Plan, only: str) -> int:
    """A run by its point and replicate, or by the beginning of its id."""
    point, slash, replicate = only.partition("/")
    if slash:
        last = len(plan) // plan.replicates - 1
        if not (point.isdigit() and replicate.isdigit()) or int(point) > last or int(replicate) >= plan.replicates:
            words = f"{only}: the last run is {last}/{plan.replicates - 1}"
            raise typer.BadParameter(words, param_hint="--only")
        return int(point) * plan.replicates + int(replicate)
    found = [run for run, one in enumerate(plan.ids) if one.startswith(only)]
    if len({plan.ids[run] for run in found}) != 1:
        words = "no run has" if not found else f"{len(found)} runs have"
        raise typer.BadParameter(f"{only}: {words} an id that begins so", param_hint="--only")
    return found[0]


def _dry_run(plan: Plan, folder: Path, shard: tuple[int, int] | None, workers: int) -> None:
    """Number of runs, and time and disk by a few of them; nothing stays."""
    from abm.sweep.engine import duration, todo_of
    from abm.sweep.parts import part_files, read_part, scan

    present: set[str] = set()
    for path in part_files(folder):
        try:
            present |= set(read_part(path, ["id"])["id"].to_pylist())
        except Exception as error:
            console.complain(f"damaged part {path}: {type(error).__name__}; a real run moves it aside")
    todo = todo_of(plan, present, shard)
    console.out.print(f"{len(todo):,} runs to do, {len(set(plan.ids) & present):,} are in {folder}", markup=False)
    if not todo:
        return
    chosen = sorted({todo[i * (len(todo) - 1) // max(PILOT_RUNS - 1, 1)] for i in range(PILOT_RUNS)})
    points = [run // plan.replicates for run in chosen]
    pilot = replace(
        plan,
        columns={path: [column[point] for point in points] for path, column in plan.columns.items()},
        replicates=1,
        seeds=[plan.seeds[run] for run in chosen],
        ids=[plan.ids[run] for run in chosen],
        payload=lambda point: plan.payload(points[point]),
        command=lambda run: plan.command(chosen[run]),
        batch=1,
    )
    with tempfile.TemporaryDirectory(prefix="deleverage-") as scratch:
        tally = run_plan(pilot, Path(scratch), "pilot", lanes_of(1, None))
        if tally.interrupted:
            raise KeyboardInterrupt
        tables = [read_part(path) for path in part_files(Path(scratch))]
        failed = sum(scan(Path(scratch), _say)[0].values())
        size = sum(path.stat().st_size for path in part_files(Path(scratch)))
    seconds = [value for table in tables for value in table["seconds"].to_pylist() if value is not None]
    warm = seconds[1:] or seconds  # the first loads, and may compile, the model
    mean_s = sum(warm) / max(len(warm), 1)
    # A small part is mostly its head; in parts of hundreds a run takes a fraction of that.
    head = sum(table.num_columns for table in tables) * 130
    low, high = 8 * sum(t.num_columns for t in tables) / max(len(tables), 1), size / len(chosen)
    each = min(max((size - head) / len(chosen), low), high)
    console.out.print(f"pilot of {len(chosen)} runs: {mean_s:.3g} s a run, {failed} failed")
    console.out.print(f"time: about {duration(len(todo) * mean_s / workers)} with {workers} workers")
    console.out.print(f"disk: about {len(todo) * each / 1e6:,.1f} MB")


# --- compare ----------------------------------------------------------------------------------------------------------
def compare_folder(base: Path, plan: Plan, out: Path | None) -> tuple[Path, Path]:
    """Folder of a comparison and the one beside it where its runs are kept until all are there.

    Raises:
        FolderTakenError: the folder, or what should be its partial one, holds something else.
    """
    from abm.results import FolderTakenError, free_folder
    from abm.sweep.plan import plan_key

    def partial(folder: Path) -> Path:
        return folder.with_name(f"{folder.name}.partial")

    if out is None:
        left = [
            path.with_suffix("") for path in base.parent.glob(f"{base.name}*.partial") if plan_key(path) == plan.key
        ]
        out = next((path for path in left if not path.exists()), None) or free_folder(base)
    if out.exists():
        raise FolderTakenError(f"{out} exists already and is not overwritten: choose another --out or remove it")
    if partial(out).exists() and plan_key(partial(out)) != plan.key:
        raise FolderTakenError(f"{partial(out)} holds something else: choose another --out or remove it")
    return out, partial(out)


def paired_outcomes(plan: Plan, processes: int, folder: Path) -> list[Outcome]:
    """Outcomes of the two variants of a `pair_plan`, side by side by seed; runs that are in `folder` are not repeated.

    Raises:
        typer.Exit: interrupted; the finished runs are kept.
    """
    import json

    from abm.sweep.parts import collect
    from abm.sweep.run import Outcome

    tally = run_plan(plan, folder, "compare", lanes_of(processes, None), retry_failed=folder.exists())
    if tally.full:
        raise OSError(f"cannot write results: {tally.full}")
    if not tally.complete:
        console.complain(f"interrupted; finished runs are in {folder}, the same command again goes on from there")
        raise typer.Exit(console.INTERRUPTED)
    found = [
        Outcome(
            seed=row["seed"],
            summary=json.loads(row["summary_json"]) if row.get("summary_json") else {},
            error=f"{row['error_type']}: {row['message']}\n{row['traceback'] or ''}" if row["error_type"] else "",
        )
        for row in collect(folder)[0].to_pylist()
    ]
    return [
        outcome for pair in zip(found[: plan.replicates], found[plan.replicates :], strict=True) for outcome in pair
    ]
