"""The engine of sweeps: every run of a plan once, whatever happens to workers, disk or driver.

A batch whose worker dies is taken apart and its runs are repeated one at a time, so that the one to blame is found.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from abm.sweep.folder import Heartbeat, Lock, shard_tag, write_study
from abm.sweep.lanes import Lanes, Over, WorkersError
from abm.sweep.parts import RUNS_FILE, StorageError, Store, canonical_bytes, forget, scan, table_bytes, write_synced
from abm.sweep.plan import PLAN_FILE, Plan, row_of
from abm.sweep.worker import HARD_EXIT, CodeMismatchError, Ended, grace_s, run_batch

TARGET_S = 1.5
"""A batch should take about so long: losing one costs little, and handing it over costs less."""
BATCH_MAX = 500
DEATHS_MAX = 3
"""A run that kills its worker so often, alone, is set aside."""
WAIT_S = 0.2
CANCELLED_MAX = 50
"""Batches in a row that a cluster may hand back without a result."""


class Asked(Protocol):
    """Whether Ctrl-C was pressed; `closing` is set here while a second one is to be passed over."""

    asked: bool
    closing: bool


class Shown(Protocol):
    """Progress: as `abm.console.Meter`."""

    def show(self, done: int, note: str = "") -> None:
        """Say how far it is."""


@dataclass(slots=True)
class Tally:
    """How a sweep stands. Numbers of runs; `full` is what the disk said when it took no more."""

    planned: int = 0
    present: int = 0
    done: int = 0
    failed: int = 0
    deaths: int = 0
    set_aside: list[str] = field(default_factory=list)
    interrupted: bool = False
    full: str = ""
    unwritten: int = 0
    complete: bool = False


@dataclass(slots=True)
class _Batch:
    """Runs that are under way together. `alone`: nothing else is, so that a death has one cause."""

    runs: tuple[int, ...]
    deaths: int = 0
    alone: bool = False
    began: float = 0.0


class _Engine:
    """One call of `sweep`."""

    def __init__(
        self,
        plan: Plan,
        todo: Sequence[int],
        lanes: Lanes,
        store: Store,
        tally: Tally,
        say: Callable[[str], None],
        stop: Asked | None,
    ) -> None:
        self.plan, self.lanes, self.store, self.tally, self.say, self.stop = plan, lanes, store, tally, say, stop
        self.todo = deque(todo)
        self.suspects: deque[_Batch] = deque()
        self.last: deque[_Batch] = deque()
        self.flying: dict[Future[list[Ended]], _Batch] = {}
        self.total, self.began = len(todo), time.monotonic()
        self._run_s, self._size = math.nan, 1
        self._warned, self._cancelled, self.workers = False, 0, lanes.count()

    # --- what to start next -------------------------------------------------------------------------------------------
    @property
    def ending(self) -> bool:
        """Whether nothing new is started."""
        return bool(self.tally.full) or (self.stop is not None and self.stop.asked)

    def work(self, every: Callable[[], None]) -> None:
        """Until nothing is left or the end is asked for; `every` is called some times a second."""
        while True:
            if not self.ending:
                self._fill()
            if not self.flying:
                break
            done, _ = wait(self.flying, timeout=WAIT_S, return_when=FIRST_COMPLETED)
            for future in done:
                self._take(future)
            if self.store.due():
                self.flush()
            every()

    def _fill(self) -> None:
        self.workers = self.lanes.count()
        while self.lanes.free() > 0:
            if any(batch.alone for batch in self.flying.values()):
                return
            if self.suspects:
                batch = self.suspects.popleft()
            elif self.todo:
                size = self._next_size()
                batch = _Batch(tuple(self.todo.popleft() for _ in range(min(size, len(self.todo)))))
            elif self.last and not self.flying:
                batch = self.last.popleft()
            else:
                return
            batch.began = time.monotonic()
            future = self.lanes.submit(run_batch, [self.plan.job(run) for run in batch.runs], self.plan.recipe)
            self.flying[future] = batch

    def _next_size(self) -> int:
        """Runs a batch: about `TARGET_S` of them, growing step by step, small enough to keep all workers busy."""
        if self.plan.batch is not None:
            return self.plan.batch
        if math.isfinite(self._run_s):
            wanted = int(TARGET_S / max(self._run_s, 1e-6))
            self._size = max(1, min(wanted, 4 * self._size, BATCH_MAX))
        return max(1, min(self._size, math.ceil(len(self.todo) / (2 * self.lanes.count()))))

    # --- what came of it ----------------------------------------------------------------------------------------------
    def _take(self, future: Future[list[Ended]]) -> None:
        batch = self.flying.pop(future)
        over = self.lanes.took(future)
        try:
            ended = future.result()
        except CancelledError:
            self._cancelled += 1
            if self._cancelled > CANCELLED_MAX:
                raise WorkersError(["every batch is cancelled: is the cluster gone?"]) from None
            self.suspects.append(batch)
        except CodeMismatchError:
            raise
        except Exception as error:
            if isinstance(error, BrokenExecutor) or type(error).__name__ == "KilledWorker":
                self._died(batch, over, error)
            elif len(batch.runs) > 1:
                self.suspects.extend(_Batch((run,)) for run in batch.runs)
            else:
                self._keep([Ended(batch.runs[0], error_type=type(error).__name__, message=str(error))])
        else:
            self._cancelled = 0
            seconds = sum(one.seconds for one in ended) / len(ended)  # without the start of the worker
            self._run_s = seconds if math.isnan(self._run_s) else 0.5 * self._run_s + 0.5 * seconds
            self._keep(ended)

    def _died(self, batch: _Batch, over: Over, error: Exception) -> None:
        """A worker died. Find the run to blame; set it aside when it has done so often enough."""
        if not over.started:
            self.suspects.append(batch)
            return
        self.tally.deaths += 1
        if len(batch.runs) > 1:
            self.say(f"a worker died; the {len(batch.runs)} runs it was at are repeated one at a time")
            self.suspects.extend(_Batch((run,)) for run in batch.runs)
            return
        run, deaths, spent = batch.runs[0], batch.deaths + 1, time.monotonic() - batch.began
        limit = self.plan.recipe.limit_s
        outlasted = limit is not None and spent >= limit + grace_s(limit) and over.exit_code in (None, HARD_EXIT)
        if outlasted and (self.lanes.exact or batch.alone):
            words = f"outlasted its limit of {limit:g} s and had to be ended together with its worker"
            self._set_aside(run, "TimeLimit", words)
        elif not self.lanes.exact and not batch.alone:
            self.say(f"a worker died at {self._name(run)} and others; it is repeated when nothing else is under way")
            self.last.append(_Batch((run,), alone=True))
        elif not self.lanes.exact or deaths >= DEATHS_MAX:
            times = f"{DEATHS_MAX} times" if self.lanes.exact else "again and again"
            self._set_aside(run, "WorkerDied", f"killed its worker {times}, running alone: {error}")
        else:
            self.say(f"a worker died at {self._name(run)}, {deaths} of {DEATHS_MAX} times; it is repeated")
            self.suspects.append(_Batch((run,), deaths))

    def _set_aside(self, run: int, kind: str, words: str) -> None:
        self.say(f"set aside: {self._name(run)} {words}")
        self.tally.set_aside.append(self.plan.ids[run])
        self._keep([Ended(run, error_type=kind, message=words)])

    def _name(self, run: int) -> str:
        """A run as people find it."""
        values = ", ".join(f"{path}={value}" for path, value in self.plan.values(run).items())
        return f"run {self.plan.ids[run][:12]} ({values + ', ' if values else ''}seed {self.plan.seeds[run]})"

    def _keep(self, ended: Sequence[Ended]) -> None:
        rows = [row_of(self.plan, one) for one in ended]
        self.store.add(rows)
        self.tally.done += len(rows)
        self.tally.failed += sum(row["error_type"] is not None for row in rows)
        if not self._warned and self.plan.recipe.record and any(one.measures or not one.error_type for one in ended):
            self._warned = True
            if not any(one.measures for one in ended):
                self.say(f"record: no measure is called {', '.join(self.plan.recipe.record)}: the rows stay empty")

    def flush(self) -> None:
        """Write what waits; a full disk ends the sweep, softly."""
        trouble = ""
        try:
            self.store.flush()
        except StorageError as error:
            trouble = str(error)
        trouble = trouble or self.store.given_up
        if trouble and not self.tally.full:
            self.say(f"cannot write results: {trouble}. What runs is finished, nothing new is started")
        self.tally.full = trouble or self.tally.full

    # --- how far it is ------------------------------------------------------------------------------------------------
    def facts(self) -> dict[str, Any]:
        """For the heartbeat."""
        spent = time.monotonic() - self.began
        rate = self.tally.done / spent if spent > 0 else 0.0
        left = self.total - self.tally.done
        return {
            "runs": self.tally.planned,
            "finished": self.tally.present + self.tally.done,
            "failed": self.tally.failed,
            "set_aside": len(self.tally.set_aside),
            "worker_deaths": self.tally.deaths,
            "under_way": sum(len(batch.runs) for batch in self.flying.values()),
            "runs_per_second": round(rate, 4),
            "seconds_left": round(left / rate, 1) if rate > 0 else None,
            "workers": self.workers,
            "not_written_yet": len(self.store.waiting),
        }

    def note(self) -> str:
        """For the progress line: failures and time left."""
        spent = time.monotonic() - self.began
        if not self.tally.done or spent <= 0:
            return ""
        left_s = (self.total - self.tally.done) * spent / self.tally.done
        slow = "" if self.tally.done > spent else f"{spent / self.tally.done:.1f} s a run, "
        return f"{slow}{self.tally.failed} failed, {duration(left_s)} left"


def duration(seconds: float) -> str:
    """A time for people."""
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def todo_of(plan: Plan, present: set[str], shard: tuple[int, int] | None) -> list[int]:
    """Runs that are missing, of one shard or all; of runs that are the same one, the first."""
    seen = set(present)
    found = []
    for run, one in enumerate(plan.ids):
        if one not in seen and (shard is None or run % shard[1] == shard[0] - 1):
            found.append(run)
        seen.add(one)
    return found


def sweep(
    plan: Plan,
    folder: Path,
    lanes: Callable[[int], Lanes],
    shard: tuple[int, int] | None = None,
    retry_failed: bool = False,
    say: Callable[[str], None] = print,
    stop: Asked | None = None,
    meter: Callable[[int], Shown] | None = None,
) -> Tally:
    """Run what is missing in a folder, and leave the results there.

    Args:
        plan: all runs.
        folder: results; made if it is not there.
        lanes: makes what runs batches, told how many runs there are to do; not called when there are none.
        shard: (I, N): only every Nth run, from the Ith on.
        retry_failed: run again what is there as a failure.
        say: told everything that people should know.
        stop: when it is asked, nothing new is started.
        meter: makes what shows progress, told the number of runs to do.

    Raises:
        FolderBusyError: another driver is at work there.
        CodeMismatchError: a worker has other sources.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with Lock(folder, shard, say) as lock:
        present, codes = _prepare(plan, folder, shard, retry_failed, say)
        tally = Tally(planned=len(set(plan.ids)))
        todo = todo_of(plan, set(present), shard)
        tally.present = sum(one in present for one in set(plan.ids))
        tally.failed = sum(present.get(one, False) for one in set(plan.ids))
        others = len(set(present) - set(plan.ids))
        if others:
            why = " (made with other sources)" if codes - {plan.recipe.code[:16]} else ""
            say(f"warning: {others:,} older runs in {folder} belong to other code or settings{why}; they stay, unused")
        store = Store(folder, plan, shard_tag(shard))
        try:
            if todo:
                (folder / RUNS_FILE).unlink(missing_ok=True)
                _go(plan, folder, todo, lanes, store, tally, lock, say, stop, meter)
        finally:
            store.close()
        _conclude(plan, folder, tally, say)
    return tally


def _prepare(
    plan: Plan, folder: Path, shard: tuple[int, int] | None, retry_failed: bool, say: Callable[[str], None]
) -> tuple[dict[str, bool], set[str]]:
    """Read what is there, write what the folder is of, forget failures that are to be run again."""
    present, codes = scan(folder, say)
    write_study(folder, plan)
    write_synced(folder / PLAN_FILE, table_bytes(plan.table()))
    if retry_failed:
        failed = {one for one in set(plan.ids) if present.get(one)}
        if shard is not None:
            own = {one for run, one in enumerate(plan.ids) if run % shard[1] == shard[0] - 1}
            failed &= own
        count = forget(folder, failed, shard_tag(shard) if shard else None)
        if count:
            say(f"{count} failed runs are run again")
        present, codes = scan(folder, say)
    return present, codes


def closing(stop: Asked | None, now: bool) -> None:
    """Whether a second Ctrl-C is to be passed over, as what is finished is being written."""
    if stop is not None:
        stop.closing = now


def _go(
    plan: Plan,
    folder: Path,
    todo: Sequence[int],
    lanes: Callable[[int], Lanes],
    store: Store,
    tally: Tally,
    lock: Lock,
    say: Callable[[str], None],
    stop: Asked | None,
    meter: Callable[[int], Shown] | None,
) -> None:
    """Run, and whatever ends it, write what is finished."""
    where = lanes(len(todo))
    engine = _Engine(plan, todo, where, store, tally, say, stop)
    heart = Heartbeat(folder, lock.shard)
    shown = meter(len(todo)) if meter is not None else None

    def every() -> None:
        if shown is not None:
            shown.show(tally.done, engine.note())
        if heart.beat("ending" if engine.ending else "running", engine.facts()):
            lock.touch()

    at_once = True
    closing(stop, False)
    try:
        heart.beat("starting", engine.facts(), at_once=True)
        engine.work(every)
        at_once = False
    except KeyboardInterrupt:
        tally.interrupted = True
    finally:
        closing(stop, True)
        where.close(at_once)
        engine.flush()
        tally.unwritten = len(store.waiting)
        left = tally.done < len(todo)
        tally.interrupted |= left and not tally.full and stop is not None and stop.asked
        state = "full" if tally.full else "stopped" if left else "finished"
        heart.beat(state, engine.facts(), at_once=True)


def _conclude(plan: Plan, folder: Path, tally: Tally, say: Callable[[str], None]) -> None:
    """When every run of the plan is there, `runs.parquet` holds them in order."""
    tally.complete = not tally.full and not set(plan.ids) - set(scan(folder, say)[0])
    if tally.complete:
        try:
            write_synced(folder / RUNS_FILE, canonical_bytes(folder))
        except OSError as error:
            tally.full, tally.complete = str(error), False
