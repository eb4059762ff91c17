"""Studies made by hand for tests of the analysis: points with known answers, and folders as a sweep writes them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from abm.sweep.engine import sweep
from abm.sweep.plan import plan_study
from abm.sweep.study import study_from

ISHIGAMI = {"x1": (-np.pi, np.pi), "x2": (-np.pi, np.pi), "x3": (-np.pi, np.pi)}
"""Ishigami and Homma (1990), a = 7, b = 0.1."""
ISHIGAMI_FIRST, ISHIGAMI_TOTAL = (0.313905, 0.442411, 0.0), (0.557589, 0.442411, 0.243684)
G_WEIGHTS = (0.0, 1.0, 4.5, 9.0, 99.0)


def ishigami(x: np.ndarray) -> np.ndarray:
    return np.sin(x[:, 0]) + 7 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0])


def g_function(x: np.ndarray) -> np.ndarray:
    """Sobol's g-function with `G_WEIGHTS` (Saltelli and Sobol 1995)."""
    weights = np.array(G_WEIGHTS)
    return np.prod((np.abs(4 * x - 2) + weights) / (1 + weights), axis=1)


def g_indices() -> tuple[np.ndarray, np.ndarray]:
    """Exact first and total indices of `g_function`."""
    part = 1 / (3 * (1 + np.array(G_WEIGHTS)) ** 2)
    whole = np.prod(1 + part) - 1
    total = part * np.array([np.prod(np.delete(1 + part, i)) for i in range(part.size)])
    return part / whole, total / whole


def runs_of(points: pd.DataFrame, value: Callable[[np.ndarray], np.ndarray], replicates: int = 1) -> pd.DataFrame:
    """One row a run of a function on points, as `load` gives them."""
    frame = points.reset_index().assign(y=value(points.to_numpy()))
    frame = frame.loc[frame.index.repeat(replicates)].reset_index(drop=True)
    frame["replicate"] = frame.groupby("point").cumcount()
    frame["error_type"] = None
    frame.attrs = {"points": len(points), "replicates": replicates, "varied": list(points.columns)}
    return frame


def market(values: dict[str, Any], seed: int) -> dict[str, Any]:
    """A stand-in for a market: falls more with leverage, less with depth; one point fails, calm ones have no ratio."""
    if values.get("breaks") or (values.get("fragile") and values["leverage"] == 20 and seed == 2):
        raise ArithmeticError("the ledger does not add up")
    luck = ((seed * 7919) % 13 - 6) / 6
    ratio = values["leverage"] / values["depth"] * (1 + 0.1 * luck)
    return {
        "fall_percent": -3 - 10 * ratio - luck,
        "branching_ratio": ratio if ratio > 0.03 else None,
        "bad_debt_usd": max(0.0, ratio - 0.5) * 1e6,
    }


class Here:
    """Runs batches at once, in this process."""

    exact = True

    def free(self) -> int:
        return 1

    def count(self) -> int:
        return 1

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(function(*arguments))
        return future

    def took(self, future: Future[Any]) -> bool:
        return True

    def close(self, at_once: bool) -> None:
        pass


GRID = [{"path": "leverage", "values": [5, 10, 20, 50]}, {"path": "depth", "values": [10.0, 20.0, 40.0, 80.0]}]


def write_study(folder: Path, shard: tuple[int, int] | None = None, **fields: Any) -> Path:
    """A study folder of `market`, by the engine itself."""
    table = {"runner": "tests.study_tables:market", "replicates": 5, "vary": GRID, **fields}
    study = study_from(table, "study", None, "made-up")
    sweep(plan_study(study), folder, lambda _: Here(), shard, say=lambda _: None)
    return folder
