"""Where batches run: worker processes of this machine, or any `concurrent.futures.Executor`, such as Dask's."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from abm.settings import SettingsError
from abm.sweep.worker import ONE_THREAD, begin_worker, ready

STARTS_MAX = 6
"""Workers that may die while they start, one after another, before that is an error."""

ASK_S = 2.0
"""A cluster is asked so often how many workers it has now."""


class WorkersError(SettingsError):
    """There are no workers to run anything."""


@dataclass(frozen=True, slots=True)
class Over:
    """A batch is over. `started`: its worker had started; `exit_code`: of the worker that died, where it is known."""

    started: bool = True
    exit_code: int | None = None


class Lanes(Protocol):
    """Something that runs batches. `exact`: a death can be laid at the door of one batch."""

    exact: bool

    def free(self) -> int:
        """Batches that would start at once."""

    def count(self) -> int:
        """Batches that run at a time."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Start a batch."""

    def took(self, future: Future[Any]) -> Over:
        """The batch is over; how things stand with its worker."""

    def close(self, at_once: bool) -> None:
        """End the workers, after their batches or at once."""


@dataclass(eq=False)
class _Worker:
    """One process behind an executor of its own, so that its death breaks nothing else."""

    pool: ProcessPoolExecutor | None = None
    process: Any = None
    started: Future[int] | None = None
    batch: Future[Any] | None = None

    def start(self) -> None:
        before = set(multiprocessing.active_children())
        with _spawning():
            self.pool = ProcessPoolExecutor(
                1, mp_context=multiprocessing.get_context("spawn"), initializer=begin_worker
            )
            self.started = self.pool.submit(ready)
        self.process = next(iter(set(multiprocessing.active_children()) - before), None)

    def exit_code(self) -> int | None:
        """Of a process that has just died; the pool, too, waits for it."""
        end = time.monotonic() + 2.0
        while self.process is not None and self.process.exitcode is None and time.monotonic() < end:
            time.sleep(0.01)
        code: int | None = self.process.exitcode if self.process is not None else None
        return code

    def drop(self) -> None:
        if self.pool is not None:
            self.pool.shutdown(wait=False, cancel_futures=True)
        self.pool = self.process = None


@contextmanager
def _spawning() -> Iterator[None]:
    """While a worker is spawned: one thread each in its environment, and Ctrl-C kept for later, not for the child."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if hasattr(signal, "pthread_sigmask") else None
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class LocalLanes:
    """Spawned processes that live long, one thread each; one that dies is replaced."""

    exact = True

    def __init__(self, workers: int) -> None:
        self._workers = [_Worker() for _ in range(workers)]
        self._false_starts = 0

    def free(self) -> int:
        """Workers without a batch."""
        return sum(worker.batch is None for worker in self._workers)

    def count(self) -> int:
        """Workers."""
        return len(self._workers)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Start a batch on a free worker. Raises WorkersError if none stays alive."""
        worker = next(worker for worker in self._workers if worker.batch is None)
        for _ in range(STARTS_MAX):
            if worker.pool is None:
                worker.start()
            try:
                worker.batch = worker.pool.submit(function, *arguments)  # type: ignore[union-attr]
                return worker.batch
            except BrokenExecutor:  # it died while it had nothing to do
                worker.drop()
        raise WorkersError(["worker processes die as soon as they are started"])

    def took(self, future: Future[Any]) -> Over:
        """Free the worker, or drop it if it died. Raises WorkersError after many false starts."""
        worker = next(worker for worker in self._workers if worker.batch is future)
        worker.batch = None
        if not isinstance(future.exception(), BrokenExecutor):
            self._false_starts = 0
            return Over()
        started = worker.started is not None and worker.started.done() and worker.started.exception() is None
        code = worker.exit_code()
        worker.drop()
        self._false_starts = 0 if started else self._false_starts + 1
        if self._false_starts >= STARTS_MAX:
            raise WorkersError([f"{STARTS_MAX} worker processes in a row died while they started"])
        return Over(started, code)

    def pids(self) -> list[int]:
        """Process numbers of the living workers."""
        return [worker.process.pid for worker in self._workers if worker.process is not None]

    def close(self, at_once: bool) -> None:
        """End all processes."""
        for worker in self._workers:
            if at_once and worker.process is not None:
                worker.process.kill()
            if worker.pool is not None:
                worker.pool.shutdown(wait=True, cancel_futures=True)
            worker.pool = worker.process = None


class SharedLanes:
    """Any executor, whose workers are its own business.

    Args:
        executor: takes the batches.
        slots: batches that may be with the executor at a time, asked again before each.
        close: ends what belongs to the executor; told whether at once.
    """

    exact = False

    def __init__(self, executor: Executor, slots: Callable[[], int], close: Callable[[bool], None]) -> None:
        self._executor, self._slots, self._close = executor, slots, close
        self._flying: set[Future[Any]] = set()

    def free(self) -> int:
        """Slots without a batch."""
        return self.count() - len(self._flying)

    def count(self) -> int:
        """Slots, one at least."""
        return max(self._slots(), 1)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Hand a batch to the executor."""
        future = self._executor.submit(function, *arguments)
        self._flying.add(future)
        return future

    def took(self, future: Future[Any]) -> Over:
        """The slot is free; the executor looks after its workers."""
        self._flying.discard(future)
        return Over()

    def close(self, at_once: bool) -> None:
        """Cancel what waits, if at once, and end what belongs to the executor."""
        if at_once:
            for future in self._flying:
                future.cancel()
        self._close(at_once)


def dask_lanes(address: str, timeout_s: float = 10.0) -> SharedLanes:
    """The workers of a Dask cluster, one batch a thread. Raises `WorkersError` when nobody answers there."""
    try:
        distributed: Any = import_module("distributed")
    except ImportError:
        raise WorkersError(["--dask needs Dask: pip install 'deleverage[dask]'"]) from None
    try:
        client = distributed.Client(address, timeout=timeout_s, set_as_default=False)
    except (OSError, ValueError) as error:
        raise WorkersError([f"--dask {address}: no scheduler answers there ({error})"]) from None
    # Not `pure`: a batch that is run again after a failure is not to be answered from memory.
    executor = client.get_executor(pure=False)

    asked = [-math.inf, 0.0]

    def slots() -> int:
        if time.monotonic() - asked[0] > ASK_S:
            try:
                asked[:] = [time.monotonic(), float(sum(client.nthreads().values()))]
            except Exception:  # a client without its scheduler raises whatever comes first
                raise WorkersError(
                    [f"the cluster at {address} is gone: the same command goes on when it is back"]
                ) from None
        return int(asked[1])

    def close(at_once: bool) -> None:
        executor.shutdown(wait=not at_once)
        client.close(timeout=5)

    return SharedLanes(executor, slots, close)
