"""What happens inside a worker: jobs one after another, each under its limit; whatever goes wrong becomes a row.

Imports nothing heavy: a worker loads the market only when a job needs it.
"""

from __future__ import annotations

import ctypes
import faulthandler
import fnmatch
import importlib
import math
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

GRACE_S = (1.0, 5.0)
"""Bounds of `grace_s`."""
HARD_EXIT = 1
"""Exit code of a process that was ended for not listening (that of `faulthandler`)."""
ONE_THREAD = {
    f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA", "BLIS", "VECLIB")
} | {"VECLIB_MAXIMUM_THREADS": "1"}
"""Environment of a worker: as many runs at a time as workers, each on one thread."""
_nowhere: list[Any] = []


def grace_s(limit_s: float) -> float:
    """A run that does not listen to its limit for so long takes its worker with it: as long as the limit, bounded."""
    return min(max(GRACE_S[0], limit_s), GRACE_S[1])


class OutlastedError(BaseException):
    """Raised inside a run that outlasts its limit; no `except Exception` of a model swallows it."""


class CodeMismatchError(RuntimeError):
    """A worker has other sources than the driver: its results would bear wrong ids."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run: position in the plan, resolved scenario (or the values for a function), seed."""

    index: int
    payload: Mapping[str, Any]
    seed: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """What all runs of a sweep share. `target` is "" for scenarios, else "module:function"."""

    target: str = ""
    code: str = ""
    record: tuple[str, ...] = ()
    series: tuple[str, ...] = ()
    series_points: int = 200
    limit_s: float | None = None
    whole: bool = False
    allow_code: bool = False
    """Whether scenarios may name classes from outside."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How one run ended: its measures, or what went wrong."""

    index: int
    measures: dict[str, Any] = field(default_factory=dict)
    seconds: float = math.nan
    error_type: str | None = None
    message: str | None = None
    traceback: str | None = None


# --- the process ------------------------------------------------------------------------------------------------------
def begin_worker() -> None:
    """Start of a worker process: Ctrl-C is the driver's business, and a worker does not outlive its driver."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ.update(ONE_THREAD)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: Any) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


def ready() -> int:
    """First task of a worker: says that it has started."""
    return os.getpid()


@contextmanager
def time_limit(limit_s: float | None) -> Iterator[None]:
    """Raise `OutlastedError` inside the block after `limit_s`; end the whole process `grace_s` later if that is no use.

    The second clock does not need the interpreter, so that it also ends a run stuck in compiled code.
    """
    if limit_s is None:
        yield
        return
    if not _nowhere:
        _nowhere.append(open(os.devnull, "w"))  # noqa: SIM115 (kept open as long as the process)
    faulthandler.dump_traceback_later(limit_s + grace_s(limit_s), exit=True, file=_nowhere[0])
    try:
        by_signal = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
        with _alarm(limit_s) if by_signal else _raised_in_thread(limit_s):
            yield
    finally:
        faulthandler.cancel_dump_traceback_later()


@contextmanager
def _alarm(limit_s: float) -> Iterator[None]:
    def ring(_number: int, _frame: FrameType | None) -> None:
        raise OutlastedError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _raised_in_thread(limit_s: float) -> Iterator[None]:
    """The same where signals do not reach: threads of a Dask worker, systems without timers."""
    thread = ctypes.c_ulong(threading.get_ident())
    timer = threading.Timer(
        limit_s, ctypes.pythonapi.PyThreadState_SetAsyncExc, (thread, ctypes.py_object(OutlastedError))
    )
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


# --- the runs ---------------------------------------------------------------------------------------------------------
def run_batch(jobs: Sequence[Job], recipe: Recipe) -> list[Ended]:
    """Run jobs one after another. Raises `CodeMismatchError` when this process has other sources than the driver."""
    if recipe.allow_code:
        from abm import outside

        outside.allow()
    if recipe.code and (own := code_hash(recipe.target)) != recipe.code:
        raise CodeMismatchError(
            f"a worker has other sources ({own[:12]}) than this process ({recipe.code[:12]}): were files edited, or is "
            "another version installed there? Run the command again once they are the same"
        )
    return [run_job(job, recipe) for job in jobs]


def run_job(job: Job, recipe: Recipe) -> Ended:
    """One run; failures, exits and limits are rows."""
    began = time.perf_counter()
    try:
        with time_limit(recipe.limit_s):
            measures = _kept(_measured(job, recipe), recipe)
        return Ended(job.index, measures, time.perf_counter() - began)
    except OutlastedError:
        kind, message, trace = "TimeLimit", f"outlasted its limit of {recipe.limit_s:g} s", traceback.format_exc()
    except (Exception, SystemExit) as error:
        kind, message, trace = type(error).__name__, str(error), traceback.format_exc()
    return Ended(job.index, {}, time.perf_counter() - began, kind, message, trace)


def _measured(job: Job, recipe: Recipe) -> Mapping[str, Any]:
    if recipe.target:
        return dict(load_function(recipe.target)({**job.payload}, job.seed))
    from abm.sweep.run import measured

    return measured(job.payload, job.seed, recipe.series, recipe.series_points)


def _kept(measures: Mapping[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Measures as flat plain values: those asked for, or one JSON text of them all."""
    from abm.provenance import canonical_json, finite

    plain = finite(measures)
    if recipe.whole:
        return {"summary_json": canonical_json(plain)}
    every = flat(plain)
    if not recipe.record:
        return every
    wanted = [*recipe.record, *(f"series.{name}" for name in (*recipe.series, "seconds"))]
    return {key: value for key, value in every.items() if any(fnmatch.fnmatchcase(key, one) for one in wanted)}


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one table with dotted keys."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def load_function(target: str) -> Any:
    """The function "module:function" names. Raises ImportError, AttributeError or ValueError."""
    module, _, name = target.partition(":")
    if not module or not name:
        raise ValueError(f"{target!r} is not of the form module:function")
    return getattr(importlib.import_module(module), name)


def code_hash(target: str) -> str:
    """Hash of what decides a result: the package's sources, and the file of the function that is run instead."""
    import hashlib
    from pathlib import Path

    from abm.provenance import source_hash

    if not target:
        return source_hash()
    file = importlib.import_module(target.partition(":")[0]).__file__
    own = Path(file).read_bytes() if file else b""
    return hashlib.sha256(source_hash().encode() + own).hexdigest()
