"""Sweeps whose workers and drivers are killed, at moments told by the number of result files."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from abm.sweep.engine import sweep
from abm.sweep.lanes import SharedLanes
from abm.sweep.parts import canonical_bytes
from abm.sweep.plan import plan_study
from abm.sweep.study import load_study
from tests.toy_runs import alive, ids_on_disk, parts, start, wait_for, workers_of

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds workers in /proc")
STUDY = """
runner = "tests.toy_runs:steady"
replicates = {replicates}
part_rows = {rows}
batch = {batch}
[[vary]]
path = "a"
values = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
[[vary]]
path = "b"
low = 0.0
high = 1.0
points = 10
"""


def serially(study: Path, folder: Path) -> tuple[list[str], bytes]:
    """Ids and canonical bytes of the same runs, one after another, in this process."""
    plan = plan_study(load_study(study))
    pool = ThreadPoolExecutor(1)
    sweep(plan, folder, lambda _runs: SharedLanes(pool, lambda: 1, lambda _: pool.shutdown()), say=lambda _: None)
    return plan.ids, canonical_bytes(folder)


class Show:
    """Drivers on one folder, one after another."""

    def __init__(self, study: Path, out: Path, sleep_s: float, *more: str) -> None:
        self.words = ("sweep", study, "--allow-code", "--out", out, "--workers", "2", *more)
        self.out, self.sleep_s, self.said = out, sleep_s, ""
        self.driver: subprocess.Popen[str] | None = None

    def begin(self) -> None:
        self.driver = start(*self.words, sleep_s=self.sleep_s)

    def until(self, files: int) -> subprocess.Popen[str]:
        """Wait for so many files of results."""
        assert self.driver is not None
        driver = self.driver
        wait_for(lambda: parts(self.out) >= files or driver.poll() is not None, 120)
        assert driver.poll() is None, f"the driver ended before {files} files: {driver.communicate()[0]}"
        return driver

    def kill_worker(self, files: int) -> None:
        driver = self.until(files)
        wait_for(lambda: workers_of(driver))
        os.kill(workers_of(driver)[-1], signal.SIGKILL)

    def kill_driver(self, files: int) -> None:
        driver = self.until(files)
        workers = workers_of(driver)
        assert workers
        driver.kill()
        driver.communicate()
        wait_for(lambda: not any(alive(pid) for pid in workers), 20)  # orphans end by themselves

    def interrupt(self, files: int) -> int:
        driver = self.until(files)
        driver.send_signal(signal.SIGINT)
        return self.end()

    def end(self) -> int:
        assert self.driver is not None
        self.said = self.driver.communicate(timeout=300)[0]
        return self.driver.returncode


@pytest.fixture
def shown() -> Iterator[list[Show]]:
    """Whatever happens in a test, no driver of it stays."""
    drivers: list[Show] = []
    yield drivers
    for one in drivers:
        if one.driver is not None and one.driver.poll() is None:
            one.driver.kill()
            one.driver.communicate()


def three_two_one(show: Show, study: Path, serial: Path, marks: list[int]) -> None:
    """Three workers killed, two drivers killed, one Ctrl-C; then the rest. Everything is there once."""
    show.begin()
    show.kill_worker(marks[0])
    show.kill_worker(marks[1])
    show.kill_driver(marks[2])
    between = set(ids_on_disk(show.out))
    show.begin()
    show.kill_worker(marks[3])
    show.kill_driver(marks[4])
    assert between < set(ids_on_disk(show.out))
    show.begin()
    assert show.interrupt(marks[5]) == 130
    assert "go on with: deleverage sweep" in show.said and "taking over from a driver that was killed" in show.said
    assert not (show.out / "runs.parquet").exists()
    show.begin()
    assert show.end() == 0, show.said
    ids, expected = serially(study, serial)
    found = ids_on_disk(show.out)
    assert len(found) == len(set(found)) == len(ids) and set(found) == set(ids)
    assert canonical_bytes(show.out) == expected == (show.out / "runs.parquet").read_bytes()


def test_killed_workers_killed_drivers_and_ctrl_c(tmp_path: Path, shown: list[Show]) -> None:
    study = tmp_path / "toy.toml"
    study.write_text(STUDY.format(replicates=3, rows=10, batch=5))
    shown.append(Show(study, tmp_path / "out", 0.02))
    three_two_one(shown[0], study, tmp_path / "serial", [2, 4, 6, 9, 12, 15])


@pytest.mark.full
def test_two_thousand_runs(tmp_path: Path, shown: list[Show]) -> None:
    study = tmp_path / "toy.toml"
    study.write_text(STUDY.format(replicates=20, rows=50, batch=25))
    shown.append(Show(study, tmp_path / "out", 0.01))
    three_two_one(shown[0], study, tmp_path / "serial", [4, 8, 12, 17, 22, 28])


def test_second_ctrl_c_ends_at_once(tmp_path: Path, shown: list[Show]) -> None:
    study = tmp_path / "toy.toml"
    study.write_text(STUDY.format(replicates=1, rows=5, batch=5))
    show = Show(study, tmp_path / "out", 0.2)
    shown.append(show)
    show.begin()
    driver = show.until(1)
    workers = workers_of(driver)
    driver.send_signal(signal.SIGINT)
    wait_for(lambda: '"ending"' in (show.out / "heartbeat.json").read_text() or driver.poll() is not None, 20)
    driver.send_signal(signal.SIGINT)
    assert show.end() == 130, show.said
    assert not any(alive(pid) for pid in workers)
    here = re.search(r"(\d+) of 100 runs", show.said)
    assert here and int(here[1]) == len(ids_on_disk(show.out))  # what had finished was written


def test_a_limit_on_file_size_stops_a_sweep_that_then_goes_on(tmp_path: Path, shown: list[Show]) -> None:
    """Runs from a = 5 on are too large for the limit; those before are kept."""
    study = tmp_path / "toy.toml"
    study.write_text(STUDY.format(replicates=1, rows=5, batch=5))
    show = Show(study, tmp_path / "out", 0.0, "--set", "set.long_from=5")
    shown.append(show)
    bytes_max = 16_000
    show.driver = start(*show.words, limit=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, bytes_max)))
    assert show.end() == 3, show.said
    assert "cannot write results" in show.said and "File too large" in show.said and "make room" in show.said
    before = ids_on_disk(show.out)
    assert 50 <= len(before) < 100 and len(before) == len(set(before))
    show.begin()
    assert show.end() == 0, show.said
    assert f"{len(before)} of them are there already" in show.said
    assert len(ids_on_disk(show.out)) == 100 == len(set(ids_on_disk(show.out)))
