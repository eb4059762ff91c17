"""Where a result comes from: sources, version, commit, machine. `run_id` names a run by everything that decides it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
import platform
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

PACKAGE = Path(__file__).resolve().parent


@cache
def source_hash() -> str:
    """SHA-256 of the package's Python sources, venue presets and treasuries (names and bytes, in order of name)."""
    digest = hashlib.sha256()
    data = (path for folder in ("venues", "traders") for path in (PACKAGE / folder).rglob("*.toml"))
    for path in sorted([*PACKAGE.rglob("*.py"), *data]):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def version() -> str:
    """Version of the installed distribution."""
    try:
        return importlib.metadata.version("deleverage")
    except importlib.metadata.PackageNotFoundError:
        return "0+source"


@cache
def git_commit() -> str | None:
    """Commit of the source tree the package is imported from; None when it is not a work tree of its own."""
    try:
        found = subprocess.run(
            ["git", "-C", str(PACKAGE.parent), "rev-parse", "--show-toplevel", "HEAD"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return None
    return found[1] if len(found) == 2 and Path(found[0]).resolve() == PACKAGE.parent else None


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no spaces; refuses NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def run_id(resolved: Mapping[str, Any], seed: int) -> str:
    """SHA-256 of resolved scenario, seed, version and source hash: equal ids mean equal results."""
    parts = {"scenario": resolved, "seed": seed, "version": version(), "source_hash": source_hash()}
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()


def finite(value: Any) -> Any:
    """The same value with NaN and infinities as None and NumPy numbers as Python numbers, ready for JSON."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def manifest(wall_s: float) -> dict[str, Any]:
    """Facts of this execution that may differ between equal runs: time, machine, packages, memory."""
    packages = {}
    for name in ("mesa", "numpy", "numba", "llvmlite", "scipy", "pandas", "pydantic", "pyarrow", "matplotlib"):
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            packages[name] = "not installed"
    return {
        "wall_seconds": round(wall_s, 3),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor": platform.machine(),
        "packages": packages,
        "peak_memory_mb": peak_memory_mb(),
    }


def peak_memory_mb() -> float | None:
    """Largest resident memory of this process so far, None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024), 1)
