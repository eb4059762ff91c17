"""Samples for sensitivity analysis: the problem (names and ranges), Saltelli's and Morris's designs, SALib in and out.

Rows stand in the order that SALib uses, so that either can analyse what the other has drawn: for Sobol indices, for
each base row A, then A with one column of B each, then B; for Morris, trajectories of one row more than factors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import Generator, Philox
from numpy.typing import NDArray

from abm.settings import SettingsError

Floats = NDArray[np.float64]
DISTRIBUTIONS = {"linear": "unif", "log": "logunif"}


@dataclass(frozen=True, slots=True)
class Factor:
    """A varied parameter: dotted path, range, and whether it is spread evenly itself or in its logarithm."""

    path: str
    low: float
    high: float
    scale: str = "linear"

    def place(self, share: Floats) -> Floats:
        """Values at shares (…,) 0 to 1 of the range, float64 of the same shape, in the unit of the parameter."""
        if self.scale == "log":
            spread: Floats = self.low * (self.high / self.low) ** share
            return spread
        return self.low + (self.high - self.low) * share

    def share(self, value: Floats) -> Floats:
        """Shares 0 to 1 of the range at values, float64 of the same shape."""
        if self.scale == "log":
            share: Floats = np.log(value / self.low) / np.log(self.high / self.low)
            return share
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True, slots=True)
class Problem:
    """The varied parameters of a study."""

    factors: tuple[Factor, ...]

    def __post_init__(self) -> None:
        """Raises SettingsError with every bad range."""
        names = [factor.path for factor in self.factors]
        bad = [f"{name}: named twice" for name in sorted(set(names)) if names.count(name) > 1]
        for factor in self.factors:
            if not factor.low < factor.high:
                bad.append(f"{factor.path}: low {factor.low:g} is not below high {factor.high:g}")
            if factor.scale not in DISTRIBUTIONS:
                bad.append(f"{factor.path}: scale {factor.scale!r} is not linear or log")
            elif factor.scale == "log" and factor.low <= 0:
                bad.append(f"{factor.path}: a log scale needs low above 0")
        if bad or not names:
            raise SettingsError(bad or ["nothing is varied"])

    @property
    def names(self) -> list[str]:
        """Dotted paths, in order."""
        return [factor.path for factor in self.factors]

    @classmethod
    def of(cls, ranges: Mapping[str, tuple[float, float]]) -> Problem:
        """A problem of linear ranges: `Problem.of({"makers.depth_coins": (50, 500)})`."""
        return cls(tuple(Factor(name, float(low), float(high)) for name, (low, high) in ranges.items()))

    @classmethod
    def from_salib(cls, problem: Mapping[str, Any]) -> Problem:
        """A SALib problem. Groups and distributions other than unif and logunif are refused."""
        if len(set(problem.get("groups") or problem["names"])) != len(problem["names"]):
            raise SettingsError(["groups of factors are not supported"])
        known = {name: scale for scale, name in DISTRIBUTIONS.items()}
        kinds = problem.get("dists") or ["unif"] * len(problem["names"])
        bad = [f"{n}: distribution {k!r} is not unif or logunif" for n, k in zip(problem["names"], kinds, strict=True)
               if k not in known]  # fmt: skip
        if bad:
            raise SettingsError(bad)
        rows = zip(problem["names"], problem["bounds"], kinds, strict=True)
        return cls(tuple(Factor(str(name), float(low), float(high), known[kind]) for name, (low, high), kind in rows))

    def to_salib(self) -> dict[str, Any]:
        """The problem as SALib takes it."""
        return {
            "num_vars": len(self.factors),
            "names": self.names,
            "bounds": [[factor.low, factor.high] for factor in self.factors],
            "dists": [DISTRIBUTIONS[factor.scale] for factor in self.factors],
        }

    def table(self, shares: Floats) -> pd.DataFrame:
        """Points (n rows, a column each factor) at shares (n, factors) of the ranges."""
        columns = {factor.path: factor.place(shares[:, i]) for i, factor in enumerate(self.factors)}
        return pd.DataFrame(columns).rename_axis("point")


def saltelli(problem: Problem, base: int, seed: int = 1) -> pd.DataFrame:
    """Points for Sobol indices: `base` × (factors + 2). Raises SettingsError when `base` is no power of 2."""
    return problem.table(saltelli_shares(len(problem.factors), base, seed))


def saltelli_shares(count: int, base: int, seed: int = 1) -> Floats:
    """Saltelli's design in the unit cube, from a scrambled Sobol sequence; shape (base * (count + 2), count).

    Saltelli et al. (2010), Computer Physics Communications 181, 259-270. A power of 2 keeps the sequence balanced.
    Raises SettingsError for another base.
    """
    from scipy.stats.qmc import Sobol

    if base < 2 or base & (base - 1):
        raise SettingsError([f"{base} base points: take a power of 2"])
    sequence = Sobol(2 * count, scramble=True, rng=Generator(Philox(seed))).random_base2(base.bit_length() - 1)
    a, b = sequence[:, :count], sequence[:, count:]
    blocks = np.repeat(a[:, None, :], count + 2, axis=1)
    for i in range(count):
        blocks[:, i + 1, i] = b[:, i]
    blocks[:, -1, :] = b
    points: Floats = blocks.reshape(-1, count)
    return points


def morris(problem: Problem, trajectories: int, levels: int = 4, seed: int = 1) -> pd.DataFrame:
    """Points for elementary effects: `trajectories` × (factors + 1); see `morris_shares`."""
    return problem.table(morris_shares(len(problem.factors), trajectories, levels, seed))


def morris_shares(count: int, trajectories: int, levels: int = 4, seed: int = 1) -> Floats:
    """Morris's design on a grid of `levels` in the unit cube (Morris 1991); shape (trajectories * (count + 1), count).

    Each trajectory starts at random and moves every factor once, in random order, by levels / (2 (levels - 1)) of its
    range. Raises SettingsError for an odd number of levels.
    """
    if levels < 2 or levels % 2 or trajectories < 1:
        raise SettingsError([f"{trajectories} trajectories on {levels} levels: take 1 or more and an even number"])
    draw, half = Generator(Philox(seed)), levels // 2
    shares = np.empty((trajectories, count + 1, count))
    for one in shares:
        low, up = draw.integers(0, half, count), draw.integers(0, 2, count)
        now = low + half * (1 - up)
        one[0] = now / (levels - 1)
        for step, i in enumerate(draw.permutation(count), 1):
            now[i] += half if up[i] else -half
            one[step] = now / (levels - 1)
    points: Floats = shares.reshape(-1, count)
    return points
