"""Functions that sweeps of the tests run instead of a market, and the processes that tests start and kill."""

from __future__ import annotations

import hashlib
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parent.parent
DRIVER = [sys.executable, "-c", "from abm.cli import main; main()"]


def steady(values: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The same figures for the same values and seed, after `$TOY_SLEEP_S` seconds."""
    time.sleep(float(os.environ.get("TOY_SLEEP_S", "0")))
    digest = hashlib.sha256(repr((values["a"], values.get("b"), seed)).encode()).digest()
    measures: dict[str, Any] = {
        "figure": int.from_bytes(digest[:6], "big") / 2**48,
        "count": digest[6],
        "inner": {"x": 1},
    }
    if values["a"] >= values.get("long_from", math.inf):
        measures["long"] = [byte / 7 for i in range(600) for byte in hashlib.sha256(digest + i.to_bytes(2)).digest()]
    return measures


def troubled(values: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Raises, leaves, dies, or does not end, as `how` says."""
    how = values["how"]
    if how == "raises":
        raise ArithmeticError(f"no result for seed {seed}")
    if how == "leaves":
        sys.exit(7)
    if how == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "sleeps":
        time.sleep(3600)
    while how == "spins":
        pass
    if how == "deaf":  # as compiled code that holds the interpreter and does not look at signals
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        time.sleep(3600)
    return {"figure": float(seed)}


def ishigami(values: Mapping[str, Any], _seed: int) -> dict[str, Any]:
    """The test function of sensitivity analysis."""
    x, y, z = (values[name] for name in ("x", "y", "z"))
    return {"value": math.sin(x) + 7 * math.sin(y) ** 2 + 0.1 * z**4 * math.sin(x)}


# --- processes --------------------------------------------------------------------------------------------------------
def start(*arguments: object, sleep_s: float = 0.0, limit: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    """A driver in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TOY_SLEEP_S": str(sleep_s)}
    return subprocess.Popen(
        [*DRIVER, *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=limit,
    )


def workers_of(driver: subprocess.Popen[str]) -> list[int]:
    """Process numbers of a driver's own workers."""
    found = []
    children = Path(f"/proc/{driver.pid}/task/{driver.pid}/children").read_text(encoding="utf-8").split()
    for child in children:
        try:
            words = Path(f"/proc/{child}/cmdline").read_bytes()
        except OSError:
            continue
        if b"spawn_main" in words:
            found.append(int(child))
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_for(what: Callable[[], object], seconds: float = 60.0) -> None:
    """Until it is so; an error after a long time."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.005)


def parts(folder: Path) -> int:
    """Number of files of results."""
    return len(list((folder / "parts").glob("*.parquet")))


def ids_on_disk(folder: Path) -> list[str]:
    """Ids in all parts, as often as they are there."""
    files = sorted((folder / "parts").glob("*.parquet"))
    return [one for path in files for one in pq.read_table(path, columns=["id"])["id"].to_pylist()]
