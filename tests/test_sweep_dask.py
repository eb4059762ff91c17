"""Sweeps on Dask: a cluster of this process, and a scheduler and workers from the command line, on one machine.

Several machines are not tested here.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from abm.sweep.engine import sweep
from abm.sweep.lanes import WorkersError, dask_lanes
from abm.sweep.parts import canonical_bytes, collect
from abm.sweep.plan import plan_study
from abm.sweep.study import load_study, study_from
from tests.test_sweep_kill import STUDY, serially
from tests.toy_runs import ROOT, ids_on_disk, parts, start, wait_for

distributed = pytest.importorskip("distributed", reason="needs the extra `dask`")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two workers of one thread; they find the tests as this process does."""
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("TOY_SLEEP_S", "0.02")
        with distributed.LocalCluster(processes=True, **options) as running:
            yield running


def pids(cluster: Any) -> list[int]:
    return [worker.process.pid for worker in cluster.workers.values() if worker.process and worker.process.pid]


def killed_three_times(study: Path, tmp_path: Path, cluster: Any, marks: list[int]) -> None:
    plan, out = plan_study(load_study(study)), tmp_path / "out"
    killed: list[int] = []

    def kill() -> None:
        for files in marks:
            wait_for(lambda files=files: parts(out) >= files, 120)
            wait_for(lambda: set(pids(cluster)) - set(killed), 60)
            killed.append(min(set(pids(cluster)) - set(killed)))
            os.kill(killed[-1], signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    tally = sweep(plan, out, lambda _: dask_lanes(cluster.scheduler_address), say=lambda _: None)
    killer.join(60)
    assert len(killed) == len(marks) == 3
    assert tally.complete and tally.failed == 0
    ids, expected = serially(study, tmp_path / "serial")
    assert sorted(ids_on_disk(out)) == sorted(ids)
    assert canonical_bytes(out) == expected


def test_a_cluster_whose_worker_is_killed_three_times(tmp_path: Path, cluster: Any) -> None:
    study = tmp_path / "toy.toml"
    study.write_text(STUDY.format(replicates=2, rows=10, batch=5))
    killed_three_times(study, tmp_path, cluster, [2, 5, 8])


@pytest.mark.full
def test_two_thousand_runs_on_a_cluster(tmp_path: Path, cluster: Any) -> None:
    study = tmp_path / "toy.toml"
    study.write_text(STUDY.format(replicates=20, rows=50, batch=25))
    killed_three_times(study, tmp_path, cluster, [5, 12, 20])


def test_limits_and_failures_in_threads_of_a_cluster(tmp_path: Path, cluster: Any) -> None:
    ways = ["fine", "raises", "spins", "good"]
    study = {"runner": "tests.toy_runs:troubled", "limit_s": 1.0, "vary": [{"path": "how", "values": ways}]}
    tally = sweep(
        plan_study(study_from(study)), tmp_path, lambda _: dask_lanes(cluster.scheduler_address), say=lambda _: None
    )
    assert tally.complete and tally.failed == 2
    kinds = {row["how"]: row["error_type"] for row in collect(tmp_path)[0].to_pylist()}
    assert kinds == {"fine": None, "raises": "ArithmeticError", "spins": "TimeLimit", "good": None}


@pytest.mark.full
def test_a_run_that_kills_every_worker_of_a_cluster_is_set_aside(tmp_path: Path, cluster: Any) -> None:
    ways = ["fine", "dies", "good", "better", "best"]
    study = {"runner": "tests.toy_runs:troubled", "batch": 3, "vary": [{"path": "how", "values": ways}]}
    tally = sweep(
        plan_study(study_from(study)), tmp_path, lambda _: dask_lanes(cluster.scheduler_address), say=lambda _: None
    )
    assert tally.complete and tally.failed == 1 and len(tally.set_aside) == 1
    rows = {row["how"]: row["error_type"] for row in collect(tmp_path)[0].to_pylist()}
    assert rows == dict.fromkeys(ways) | {"dies": "WorkerDied"}


def test_nobody_answers() -> None:
    with pytest.raises(WorkersError, match="no scheduler answers"):
        dask_lanes("tcp://127.0.0.1:9", timeout_s=1)


@pytest.mark.full
def test_scheduler_and_workers_from_the_command_line(tmp_path: Path) -> None:
    """The same on loopback, as one would on several machines."""
    study, out, file = tmp_path / "toy.toml", tmp_path / "out", tmp_path / "scheduler.json"
    study.write_text(STUDY.format(replicates=20, rows=50, batch=25))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TOY_SLEEP_S": "0.01"}

    def begin(program: str, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{program}", *words, "--scheduler-file", str(file)]
        return subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    with ExitStack() as stack:

        def running(program: str, *words: str) -> None:
            process = begin(program, *words)
            stack.callback(process.wait)
            stack.callback(process.terminate)

        running("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        wait_for(lambda: file.exists() and '"address"' in file.read_text(), 60)
        for _ in range(2):
            running("worker", "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1")
        address = re.search(r'"address": "(tcp://[^"]+)"', file.read_text())
        assert address
        driver = start("sweep", study, "--allow-code", "--out", out, "--dask", address[1])
        stack.callback(driver.kill)
        said = driver.communicate(timeout=300)[0]
        assert driver.returncode == 0, said
    ids, expected = serially(study, tmp_path / "serial")
    assert sorted(ids_on_disk(out)) == sorted(ids)
    assert canonical_bytes(out) == expected
