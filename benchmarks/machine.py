"""The machine that figures were measured on: `python -m benchmarks.machine` prints it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PACKAGES = ("numpy", "numba", "llvmlite", "mesa")


def _first(file: str, key: str) -> str:
    """Value of the first line `key : value` of a file of the system, "" where there is none."""
    try:
        lines = Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key), "")


def hardware() -> dict[str, str]:
    """CPU, memory, system and versions, as the system names them."""
    memory = _first("/proc/meminfo", "MemTotal").split()
    facts = {
        "CPU": _first("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{int(memory[0]) / 2**20:.1f} GiB" if memory else "unknown",
        "system": platform.system(),
        "Python": sys.version.split()[0],
    }
    return facts | {name: importlib.metadata.version(name) for name in PACKAGES}


def load_average() -> float:
    """Processes that wanted to run in the last minute; nan where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


def described() -> str:
    """One line about the machine, and one about what else it does."""
    facts = hardware()
    packages = ", ".join(f"{name} {facts[name]}" for name in ("Python", *PACKAGES))
    return (
        f"{facts['CPU']}, {facts['cores']} cores, {facts['memory']}, {facts['system']}; {packages}\n"
        f"load average at the start {load_average():.2f} (an idle machine: near 0)"
    )


def resident_mb() -> float:
    """Memory of this process that is in use now, MB (Linux; elsewhere nan)."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return float("nan")
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def peak_mb() -> float:
    """Largest memory of this process so far, MB (Linux; elsewhere nan). Unlike `getrusage` not that of its parent."""
    words = _first("/proc/self/status", "VmHWM").split()
    return int(words[0]) * 1024 / 1e6 if words else float("nan")


def slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Slope of a straight line through y (n,) at x (n,), and its standard error, both in units of y a unit of x.

    Neighbouring samples of a process's memory hang together; the error is that of Newey and West (1987,
    Econometrica 55:703), Bartlett weights up to lag n**(1/2). (nan, nan) for fewer than five samples.
    """
    n = x.size
    if n < 5:
        return float("nan"), float("nan")
    away = x - x.mean()
    spread = float(away @ away)
    found = float(away @ y) / spread
    score = away * (y - y.mean() - found * away)
    total, lags = float(score @ score), int(n**0.5)
    for lag in range(1, lags + 1):
        total += 2 * (1 - lag / (lags + 1)) * float(score[lag:] @ score[:-lag])
    return found, max(total, 0.0) ** 0.5 / spread


def fill(file: Path, mark: str, text: str) -> None:
    """Put text between `<!-- mark -->` and `<!-- /mark -->` of a page. Raises ValueError where they are missing."""
    page = file.read_text(encoding="utf-8")
    head, begin, rest = page.partition(f"<!-- {mark} -->\n")
    _, end, tail = rest.partition(f"<!-- /{mark} -->")
    if not begin or not end:
        raise ValueError(f"{file} has no place for it: <!-- {mark} --> and <!-- /{mark} --> on lines of their own")
    file.write_text(f"{head}{begin}{text}\n{end}{tail}", encoding="utf-8")
    print(f"put into {file}")


def main() -> None:
    """Print it."""
    print(described())


if __name__ == "__main__":
    main()
