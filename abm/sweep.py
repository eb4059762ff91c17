"""Many runs: one function that runs a scenario in any process, and pairs of runs that differ in one setting only."""

from __future__ import annotations

import math
import multiprocessing
import statistics
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from abm.measures import summary
from abm.model import MarketModel
from abm.provenance import finite
from abm.recorder import Recorder
from abm.scenario import Scenario, from_resolved

if TYPE_CHECKING:
    import pandas as pd

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


def run_once(resolved: Mapping[str, Any], seed: int) -> Outcome:
    """Run one scenario (plain data, so that it travels between processes) in memory. Failures are outcomes."""
    try:
        scenario = from_resolved({**resolved, "seed": seed})
        recorder = Recorder("fills")
        model = MarketModel(scenario, recorder=recorder)
        model.run()
        steps = recorder.steps_array
        keep = slice(0, None, max(1, steps.size // PATH_POINTS))
        return Outcome(
            seed=seed,
            summary=finite(summary(recorder.run())),
            seconds=(steps["tick"][keep] * scenario.tick_s).tolist(),
            price_usd=steps["perp_usd"][keep].tolist(),
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


COMPARED = (
    ("fall_percent", "fall to the low", "%"),
    ("minutes_to_low", "time to the low", "min"),
    ("multiplier", "fall / news", "times"),
    ("recovery_30min_percent", "recovered after 30 min", "%"),
    ("liquidated_usd", "liquidated", "$m"),
    ("long_share_percent", "long share of it", "%"),
    ("liquidation_starts", "liquidations", "accounts"),
    ("branching_ratio", "branching ratio", ""),
    ("depth_ratio", "fall of depth", "times"),
    ("volume_btc", "volume", "BTC"),
    ("fund_largest_loss_usd", "fund, largest loss", "$m"),
    ("adl_usd", "auto-deleveraged", "$m"),
    ("bad_debt_usd", "bad debt", "$m"),
)


def paired_table(base: Sequence[Outcome], changed: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Rows of a paired comparison: medians of both, median and range of the difference over common seeds.

    Failed runs drop out with their partner. Money in $m. Keys of a row: key, measure, unit, base, changed, difference,
    low, high, pairs.
    """
    rows = []
    for key, measure, unit in COMPARED:
        scale = 1e-6 if unit == "$m" else 1.0
        pairs = [
            (scale * a.summary[key], scale * b.summary[key])
            for a, b in zip(base, changed, strict=True)
            if _known(a.summary.get(key)) and _known(b.summary.get(key))
        ]
        differences = [after - before for before, after in pairs]
        rows.append(
            {
                "key": key,
                "measure": measure,
                "unit": unit,
                "base": statistics.median(before for before, _ in pairs) if pairs else None,
                "changed": statistics.median(after for _, after in pairs) if pairs else None,
                "difference": statistics.median(differences) if pairs else None,
                "low": min(differences, default=None),
                "high": max(differences, default=None),
                "pairs": len(pairs),
            }
        )
    return rows


def pairs_frame(
    outcomes: Sequence[Outcome], variants: tuple[str, str]
) -> tuple[pd.DataFrame, dict[str, tuple[str, str]]]:
    """Table for `abm.figures.compare.draw_compare` and its labels, from outcomes in the order of `paired_jobs`."""
    import pandas as pd

    labels = {key: (words[:1].upper() + words[1:], "$" if unit == "$m" else unit) for key, words, unit in COMPARED}
    rows = [
        {"seed": outcome.seed, "variant": variants[i % 2], **{key: outcome.summary.get(key) for key in labels}}
        for i, outcome in enumerate(outcomes)
        if not outcome.error
    ]
    frame = pd.DataFrame(rows).astype(dict.fromkeys(labels, float)) if rows else pd.DataFrame(rows)
    return frame, labels


def _known(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def paired_jobs(base: Scenario, changed: Scenario, reps: int) -> list[tuple[dict[str, Any], int]]:
    """Jobs of a paired comparison: seeds seed, seed + 1, ...; base and changed of a seed side by side."""
    first, second = base.resolved(), changed.resolved()
    return [(data, base.seed + rep) for rep in range(reps) for data in (first, second)]
