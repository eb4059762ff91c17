"""Studies of experiments on the sweep engine: runs are kept in a folder and never repeated."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from abm.sweep.engine import sweep
from abm.sweep.lanes import Lanes, LocalLanes, SharedLanes
from abm.sweep.plan import plan_study
from abm.sweep.study import study_from

SAID_S = 20.0
"""Seconds between two words about progress."""


class Progress:
    """Tells `say` how far a sweep is, now and then; the engine calls `show`."""

    def __init__(self, runs: int, say: Callable[[str], None]) -> None:
        self._runs, self._say, self._next = runs, say, time.monotonic() + SAID_S

    def show(self, done: int, note: str = "") -> None:
        """Say so many are done, at most every `SAID_S`."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + SAID_S
            self._say(f"{done} of {self._runs} runs {note}".rstrip())


class Here(Executor):
    """Runs what it is given at once, in this process: nothing has to be loaded again for a few short runs."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run it; a failure is the future's."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def lanes(processes: int, runs: int) -> Lanes:
    """Processes for so many runs; one process is this one."""
    if min(processes, runs) <= 1:
        return SharedLanes(Here(), lambda: 1, lambda _at_once: None)
    return LocalLanes(min(processes, runs))


def run_missing(
    study: dict[str, Any], folder: Path, processes: int, say: Callable[[str], None], retry_failed: bool = False
) -> None:
    """Run what is missing in a folder.

    Args:
        study: fields of a study file.
        folder: where runs are kept. The same study goes on there; runs of other plans stay beside its own.
        processes: runs at a time; 1: in this process.
        say: told how far it is.
        retry_failed: run again what is there as a failure.

    Raises:
        OSError: the disk is full.
        KeyboardInterrupt: interrupted; what is finished is kept.
    """
    plan = plan_study(study_from(study), folder)
    say(f"{len(plan)} runs, kept in {folder}")
    tally = sweep(
        plan,
        folder,
        lambda runs: lanes(processes, runs),
        retry_failed=retry_failed,
        say=lambda words: None if _of_other_plans(words) else say(words),
        meter=lambda runs: Progress(runs, say),
    )
    if tally.full:
        raise OSError(f"cannot write results: {tally.full}")
    if tally.interrupted:
        raise KeyboardInterrupt


def _of_other_plans(words: str) -> bool:
    """Whether a warning is about runs of the same sources that another plan made: a folder may hold several."""
    return "older runs in" in words and "made with other sources" not in words


def finished(study: dict[str, Any], folder: Path, processes: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """As `run_missing`; then one dict a run, in the order of the plan, failed runs with `error_type` and `message`."""
    run_missing(study, folder, processes, say)
    return finished_of(folder)


def finished_of(folder: Path) -> list[dict[str, Any]]:
    """The finished runs of the study whose folder this is, in the order of its plan; none where there is no study."""
    from abm.analysis import load
    from abm.sweep.plan import PLAN_FILE

    if not (folder / PLAN_FILE).is_file():
        return []
    return [{str(key): _plain(value) for key, value in row.items()} for row in load(folder).to_dict("records")]


def finished_rows(folder: Path) -> list[dict[str, Any]]:
    """Every run that lies in a folder, whatever plan and sources made it."""
    from abm.sweep.parts import part_files, read_part

    return [
        {key: _plain(value) for key, value in row.items()}
        for path in part_files(folder)
        for row in read_part(path).to_pylist()
    ]


def _plain(value: Any) -> Any:
    """Lists for arrays, None for what is missing."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return None if value is None or value != value else value
