"""From a study to its points (grids, lists, Latin hypercubes, Sobol, Saltelli, Morris) and their seeds."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Sequence
from operator import methodcaller
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.provenance import canonical_json
from abm.sweep.study import RUNS_MAX, Study, StudyError, Vary

DIGITS = 12
"""Significant digits of a computed value: enough, and the same on every machine."""


def points_of(study: Study) -> dict[str, list[Any]]:
    """Values of every varied path, one a point, in the order of the points. Raises `StudyError`."""
    if study.samples is not None:
        return _from_file(Path(study.samples))
    paths = [one.path for one in study.vary]
    if study.design == "grid":
        axes = [_axis(one) for one in study.vary]
        if math.prod(len(axis) for axis in axes) * study.replicates > RUNS_MAX:
            raise StudyError([f"more than {RUNS_MAX:,} runs"], study.name)
        rows: Sequence[Sequence[Any]] = list(itertools.product(*axes))
        return {path: [row[i] for row in rows] for i, path in enumerate(paths)}
    if study.design == "list":
        return {one.path: _axis(one) for one in study.vary}
    spread = _unit_points(study)
    return {one.path: [_at(one, float(u)) for u in spread[:, i]] for i, one in enumerate(study.vary)}


def _axis(one: Vary) -> list[Any]:
    """Values of a list, or `points` values from low to high."""
    if one.values is not None:
        return list(one.values)
    count = one.points or 2
    return [_at(one, i / (count - 1)) for i in range(count)]


def _at(one: Vary, share: float) -> Any:
    """The value at a share (0 to 1) of the way through a list or from low to high."""
    if one.values is not None:
        return one.values[min(int(share * len(one.values)), len(one.values) - 1)]
    low, high = one.low or 0.0, one.high or 0.0
    value = low * (high / low) ** share if one.scale == "log" else low + (high - low) * share
    value = low if share == 0 else high if share == 1 else value
    return round(value) if one.integer else float(f"{value:.{DIGITS}g}")


def _unit_points(study: Study) -> NDArray[np.float64]:
    """Points in the unit cube, (points, varied); seeded."""
    from scipy.stats import qmc

    count, width = study.points or 1, len(study.vary)
    if study.design == "sobol":
        sampler = qmc.Sobol(width, scramble=True, rng=study.design_seed)
        return np.asarray(sampler.random_base2(count.bit_length() - 1))
    if study.design == "latin-hypercube":
        # The sampler's own stream, seeded by the study; the method's name is that of the global one.
        return np.asarray(methodcaller("random", count)(qmc.LatinHypercube(width, rng=study.design_seed)))
    from abm.analysis.designs import morris_shares, saltelli_shares

    shares = saltelli_shares if study.design == "saltelli" else morris_shares
    return shares(width, count, seed=study.design_seed)


def _from_file(path: Path) -> dict[str, list[Any]]:
    import pandas as pd

    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise StudyError([f"samples: {path}: {error}"], str(path)) from None
    if table.empty or table.isna().any(axis=None):
        raise StudyError([f"samples: {path}: no points, or empty cells"], str(path))
    return {str(name): table[name].tolist() for name in table.columns}


def seeds_of(study: Study, points: dict[str, list[Any]]) -> list[int]:
    """Seed of every run, point by point. Independent seeds depend on a point's values, not on its place."""
    count = len(next(iter(points.values()), [None]))
    if study.seeds == "common":
        return [study.seed + r for _ in range(count) for r in range(study.replicates)]
    found = []
    for i in range(count):
        values = {path: column[i] for path, column in points.items()}
        for r in range(study.replicates):
            text = canonical_json([study.seed, values, r])
            found.append(int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big"))
    return found
