"""Cost of a sweep: `python -m benchmarks.sweep [--quick] [--parts trivial memory october]` prints a table a part.

trivial: runs that do nothing, so that what is left is the engine. memory: what a worker holds over 2,000 runs of a
small market. october: `october-2025` at 5,000 accounts with one and two workers, beside Mesa's `batch_run` on the same.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from abm.sweep.engine import sweep
from abm.sweep.lanes import LocalLanes
from abm.sweep.parts import collect
from abm.sweep.plan import plan_study
from abm.sweep.study import study_from

ACCOUNTS = 5_000
SHORT_S = 2_000  # past the last of the evening's news


def nothing(values: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """A run that costs nothing and has twenty measures."""
    return {f"measure_{i}": float(seed + i) for i in range(20)}


def market(values: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """A small market, and what its process holds after it."""
    from abm.scenario import load_scenario
    from abm.sweep.run import measured

    settings = ["accounts=80", "duration_s=40", "makers.count=4", "makers.steps=12"]
    measured(load_scenario("tiny", settings).resolved(), seed)
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return {"resident_mb": pages * os.sysconf("SC_PAGESIZE") / 2**20, "pid": os.getpid()}


def timed(fields: dict[str, Any], workers: int) -> tuple[float, float, Any]:
    """Seconds for the whole of a sweep with warm disk, seconds inside its runs, its table."""
    plan = plan_study(study_from(fields))
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        tally = sweep(plan, Path(folder), lambda runs: LocalLanes(min(workers, runs)), say=print)
        seconds = time.perf_counter() - began
        assert tally.complete
        assert not tally.failed
        parts = collect(Path(folder))[0]
        size = sum(path.stat().st_size for path in (Path(folder) / "parts").glob("*.parquet"))
    print(f"  {len(plan):,} runs, {workers} workers: {seconds:.1f} s, {size / len(plan):,.0f} bytes a run", flush=True)
    return seconds, sum(parts["seconds"].to_pylist()), parts


def trivial(quick: bool) -> None:
    runs = 2_000 if quick else 20_000
    fields = {"runner": "benchmarks.sweep:nothing", "replicates": runs}
    print(f"{runs:,} runs that do nothing, start of the workers included")
    for workers in (1, 2):
        seconds, _, _ = timed(fields, workers)
        print(f"  {workers} workers: {runs / seconds:,.0f} runs/s, {1e6 * seconds / runs:,.0f} us a run")


def memory(quick: bool) -> None:
    runs = 200 if quick else 2_000
    print(f"memory of two workers over {runs:,} runs of a small market")
    _, _, parts = timed({"runner": "benchmarks.sweep:market", "replicates": runs, "part_rows": 100}, 2)
    pids, held = np.array(parts["pid"].to_pylist()), np.array(parts["resident_mb"].to_pylist())
    for pid in np.unique(pids):
        own = held[pids == pid]
        tenths = [np.median(piece) for piece in np.array_split(own, 10)]
        print(f"  {own.size} runs: {', '.join(f'{value:.0f}' for value in tenths)} MB (medians of tenths)")


def october(quick: bool, runs: int = 8) -> None:
    runs = 2 if quick else runs
    settings: dict[str, Any] = {"accounts": ACCOUNTS} | ({"duration_s": SHORT_S} if quick else {})
    print(f"october-2025, {ACCOUNTS:,} accounts, {runs} runs")
    fields = {"scenario": "october-2025", "set": settings, "replicates": runs, "batch": 1}
    timed({**fields, "replicates": 1, "set": {**settings, "duration_s": SHORT_S}}, 1)  # compiles
    wall = {}
    for workers in (1, 2):
        wall[workers], inside, _ = timed(fields, workers)
        print(f"  {workers} workers: {wall[workers] / runs:.2f} s a run, {inside / runs:.2f} s inside a run")
    print(f"  efficiency of two workers: {wall[1] / (2 * wall[2]):.2f}")
    batch_run(runs, settings)


def batch_run(runs: int, settings: dict[str, Any]) -> None:
    """Mesa's own, which keeps all rows in memory and ends with the first exception.

    It runs the model alone: events are not kept, and nothing is measured at the end.
    """
    import mesa
    from mesa.batchrunner import batch_run as mesa_batch_run

    from abm import MarketModel
    from abm.scenario import load_scenario

    ticks = load_scenario("october-2025", [f"{k}={v}" for k, v in settings.items()]).ticks
    parameters = {"scenario": ["october-2025"], **{k: [v] for k, v in settings.items()}}
    seeds = {"rng": list(range(1, runs + 1))}
    for workers in (1, 2):
        began = time.perf_counter()
        if "rng" in mesa_batch_run.__code__.co_varnames:
            options: dict[str, Any] = {"parameters": parameters, **seeds}
        else:
            options = {"parameters": {**parameters, **seeds}}
        rows = mesa_batch_run(MarketModel, number_processes=workers, max_steps=ticks, display_progress=False, **options)
        seconds = time.perf_counter() - began
        assert len({row["RunId"] for row in rows}) == runs
        print(f"  Mesa {mesa.__version__} batch_run, {workers} processes: {seconds / runs:.2f} s a run", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="smaller everywhere")
    parser.add_argument("--parts", nargs="+", default=["trivial", "memory", "october"])
    options = parser.parse_args()
    for part in options.parts:
        {"trivial": trivial, "memory": memory, "october": october}[part](options.quick)


if __name__ == "__main__":
    main()
