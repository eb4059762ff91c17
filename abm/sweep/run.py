"""One function that runs a scenario in any process, and a plain way to run several. `abm.sweep.engine` is for many."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.measures import summary
from abm.model import MarketModel
from abm.provenance import finite
from abm.recorder import Recorder
from abm.scenario import Scenario, from_resolved

PATH_POINTS = 400
"""Points of the price path that a run hands back."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run: its measures and its price path, or what went wrong."""

    seed: int
    summary: dict[str, Any] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    price_usd: list[float] = field(default_factory=list)
    error: str = ""


def simulated(resolved: Mapping[str, Any], seed: int) -> tuple[Scenario, Recorder]:
    """Run one scenario (plain data, so that it travels between processes) in memory, to its end."""
    scenario = from_resolved({**resolved, "seed": seed})
    recorder = Recorder("fills")
    MarketModel(scenario, recorder=recorder).run()
    return scenario, recorder


def thinned(recorder: Recorder, points: int) -> NDArray[np.void]:
    """About `points` of the ticks, STEP (k,), evenly spaced, the first among them."""
    steps = recorder.steps_array
    return steps[:: max(1, steps.size // points)]


def measured(resolved: Mapping[str, Any], seed: int, series: Sequence[str] = (), points: int = 200) -> dict[str, Any]:
    """All measures of one run; with `series`, columns of the ticks as lists `series.NAME` beside `series.seconds`."""
    scenario, recorder = simulated(resolved, seed)
    found = summary(recorder.run())
    if series:
        steps = thinned(recorder, points)
        found["series"] = {"seconds": (steps["tick"] * scenario.tick_s).tolist()}
        found["series"] |= {name: steps[name].astype(float).tolist() for name in series}
    return found


def run_once(resolved: Mapping[str, Any], seed: int) -> Outcome:
    """Run one scenario. Failures are outcomes."""
    try:
        scenario, recorder = simulated(resolved, seed)
        steps = thinned(recorder, PATH_POINTS)
        return Outcome(
            seed=seed,
            summary=finite(summary(recorder.run())),
            seconds=(steps["tick"] * scenario.tick_s).tolist(),
            price_usd=steps["perp_usd"].tolist(),
        )
    except Exception as error:
        return Outcome(seed=seed, error=f"{type(error).__name__}: {error}\n{traceback.format_exc()}")


def process_pool(processes: int) -> ProcessPoolExecutor:
    """Fresh interpreters, the same on every system; Mesa, threads and compiled code are not forked."""
    return ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"))


def run_many(
    jobs: Sequence[tuple[Mapping[str, Any], int]],
    executor: Executor | None = None,
    on_done: Callable[[int, Outcome], None] | None = None,
) -> list[Outcome]:
    """Run jobs (resolved scenario, seed); outcomes in the order of the jobs, whatever the order of completion.

    Args:
        jobs: pairs of resolved scenario and seed.
        executor: any `concurrent.futures` executor; None runs here, one after the other.
        on_done: told the index and outcome of each finished job.
    """
    outcomes: list[Outcome | None] = [None] * len(jobs)

    def keep(index: int, outcome: Outcome) -> None:
        outcomes[index] = outcome
        if on_done is not None:
            on_done(index, outcome)

    if executor is None:
        for index, job in enumerate(jobs):
            keep(index, run_once(*job))
    else:
        waiting = {executor.submit(run_once, *job): index for index, job in enumerate(jobs)}
        for future in as_completed(waiting):
            index = waiting[future]
            try:
                keep(index, future.result())
            except Exception as error:  # the worker itself died
                keep(index, Outcome(seed=jobs[index][1], error=f"{type(error).__name__}: {error}"))
    return [outcome for outcome in outcomes if outcome is not None]
