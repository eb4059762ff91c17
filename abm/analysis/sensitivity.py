"""Which parameters matter: Morris's elementary effects and Sobol's indices, with intervals; no incomplete design.

Both average a measure over the replicates of a point first. What chance adds to that average is reported as
`noise_share`, the part of the variance over points that comes from too few replicates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import Generator, Philox
from numpy.typing import NDArray

from abm.analysis.designs import Problem
from abm.settings import SettingsError

Floats = NDArray[np.float64]
NAMED = 20
"""Missing points that a refusal names before it only counts."""


class IncompleteDesignError(SettingsError):
    """A design that lacks points; `lines` name them, `missing` has their numbers."""

    def __init__(self, missing: Sequence[int], lines: Sequence[str]) -> None:
        self.missing = list(missing)
        more = [f"and {len(lines) - NAMED} more"] if len(lines) > NAMED else []
        super().__init__([*lines[:NAMED], *more], "the design is not complete, and indices of a part of it are wrong")


# --- from runs to points ----------------------------------------------------------------------------------------------
def point_means(
    frame: pd.DataFrame, names: Sequence[str], measure: str, block: int, fill: float | None = None
) -> tuple[Floats, Floats, float]:
    """Values of the factors (points, factors), mean of the measure over replicates (points,), share of noise.

    Args:
        frame: what `load` gave: columns point, replicate, the factors, the measure.
        names: paths of the factors, in the order of the design.
        measure: column to analyse.
        block: points that belong together in the design; their number is a multiple of it.
        fill: value for runs that ended well but have none of this measure (a multiplier without news).

    Raises:
        IncompleteDesignError: naming each point without a run, with a failed one, or without a value.
    """
    unknown = [f"{name}: no such column" for name in (*names, measure) if name not in frame.columns]
    if unknown:
        raise SettingsError(unknown)
    failed = _failed(frame)
    value = frame[measure].astype(float)
    if fill is not None:
        value = value.where(failed | np.isfinite(value), fill)
    planned = int(frame.attrs.get("points") or int(frame["point"].max()) + 1)
    planned = -(-planned // block) * block
    replicates = int(frame.attrs.get("replicates") or frame.groupby("point").size().max())
    good = ~failed & np.isfinite(value)
    counts = frame["point"][good].value_counts().reindex(range(planned), fill_value=0).to_numpy()
    missing = np.flatnonzero(counts < replicates)
    if missing.size:
        known = frame.drop_duplicates("point").set_index("point")
        runs = frame["point"].value_counts()
        errors = frame[failed].groupby("point").size()
        lines = [
            f"point {p}{_where(known, frame.attrs.get('absent', {}), int(p), names)}: "
            + _why(int(runs.get(p, 0)), int(errors.get(p, 0)), replicates, measure)
            for p in missing
        ]
        raise IncompleteDesignError(missing.tolist(), lines)
    table = pd.DataFrame({"point": frame["point"], "value": value})
    groups = table.groupby("point")["value"]
    means = groups.mean().to_numpy()
    spread = float(groups.var().mean() / replicates) if replicates > 1 else float("nan")
    total = float(np.var(means))
    places = frame.drop_duplicates("point").set_index("point").sort_index()[list(names)].to_numpy(np.float64)
    return places, means, spread / total if total > 0 else float("nan")


def _failed(frame: pd.DataFrame) -> pd.Series:
    if "error_type" not in frame.columns:
        return pd.Series(False, index=frame.index)
    return frame["error_type"].fillna("").astype(str) != ""


def _where(known: pd.DataFrame, absent: Mapping[int, Any], point: int, names: Sequence[str]) -> str:
    row = known.loc[point] if point in known.index else absent.get(point)
    if row is None:
        return ""
    return " (" + ", ".join(f"{name}={row[name]:.6g}" for name in names) + ")"


def _why(runs: int, failed: int, replicates: int, measure: str) -> str:
    if runs < replicates:
        return f"{runs} of {replicates} replicates run" if runs else "not run"
    return f"{failed} of {replicates} replicates failed" if failed else f"a run without a value of {measure}"


# --- Sobol ------------------------------------------------------------------------------------------------------------
def sobol(
    frame: pd.DataFrame,
    names: Sequence[str],
    measure: str,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    fill: float | None = None,
    seed: int = 1,
) -> pd.DataFrame:
    """First-order and total Sobol indices of a study on the points of `designs.saltelli` (or SALib's `sobol`).

    First order by Saltelli et al. (2010), Computer Physics Communications 181, 259-270, table 2 (b); total by Jansen
    (1999), table 2 (f). Intervals are percentiles of a bootstrap over base rows.

    Returns:
        One row a factor: first, first_low, first_high, total, total_low, total_high. `attrs`: base (rows), runs,
        level, noise_share, variance.

    Raises:
        IncompleteDesignError: naming the missing points.
        SettingsError: the points are no such design, or the measure does not vary.
    """
    count = len(names)
    places, means, noise = point_means(frame, names, measure, count + 2, fill)
    _check_saltelli(places.reshape(-1, count + 2, count), names)
    values = means.reshape(-1, count + 2)
    if np.ptp(means) == 0:
        raise SettingsError([f"{measure} is the same at every point: there is no variance to share out"])
    best = _indices(values[None])[0]
    draws = Generator(Philox(seed)).integers(0, len(values), (resamples, len(values)))
    many = np.concatenate([_indices(values[some]) for some in np.array_split(draws, max(1, draws.size // 200_000))])
    low, high = np.nanquantile(many, [(1 - level) / 2, (1 + level) / 2], axis=0)
    columns: dict[str, Floats] = {}
    for i, kind in enumerate(("first", "total")):
        columns |= {kind: best[i], f"{kind}_low": low[i], f"{kind}_high": high[i]}
    table = pd.DataFrame(columns, index=pd.Index(names, name="factor"))
    table.attrs = {"base": len(values), "runs": len(frame), "level": level, "noise_share": noise, "measure": measure,
                   "variance": float(np.var(means.reshape(-1, count + 2)[:, [0, -1]]))}  # fmt: skip
    return table


def _indices(values: Floats) -> Floats:
    """First and total indices (samples, 2, factors) of outputs (samples, base rows, factors + 2)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ends = values[:, :, [0, -1]]
        centred = values - ends.mean(axis=(1, 2), keepdims=True)
        a, mixed, b = centred[:, :, :1], centred[:, :, 1:-1], centred[:, :, -1:]
        variance = ends.var(axis=(1, 2))[:, None]
        first = (b * (mixed - a)).mean(axis=1) / variance
        total = 0.5 * ((a - mixed) ** 2).mean(axis=1) / variance
    return np.stack([first, total], axis=1)


def _check_saltelli(blocks: Floats, names: Sequence[str]) -> None:
    """Whether each block (factors + 2, factors) is A, A with a column of B, ..., B."""
    want = np.repeat(blocks[:, :1], len(names) + 2, axis=1)
    for i in range(len(names)):
        want[:, i + 1, i] = blocks[:, -1, i]
    want[:, -1] = blocks[:, -1]
    bad = np.flatnonzero(~np.isclose(want, blocks, rtol=1e-9, atol=0).all(axis=(1, 2)))
    if bad.size:
        rows = ", ".join(str(one) for one in bad[:5] * (len(names) + 2))
        raise SettingsError([f"the points are no Saltelli design of {', '.join(names)}: see the rows from {rows}"])


# --- Morris -----------------------------------------------------------------------------------------------------------
def morris_effects(
    frame: pd.DataFrame,
    problem: Problem,
    measure: str,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    fill: float | None = None,
    seed: int = 1,
) -> pd.DataFrame:
    """Elementary effects over trajectories: change of the measure per whole range of a factor (Morris 1991).

    Returns:
        One row a factor: mu (mean effect), mu_star (mean size, Campolongo et al. 2007), mu_star_low, mu_star_high
        (bootstrap over trajectories), sigma (spread: interactions and curvature). `attrs`: trajectories, runs, level,
        noise_share.

    Raises:
        IncompleteDesignError: naming the missing points.
        SettingsError: the points are no trajectories.
    """
    names = problem.names
    count = len(names)
    places, means, noise = point_means(frame, names, measure, count + 1, fill)
    shares = np.column_stack([factor.share(places[:, i]) for i, factor in enumerate(problem.factors)])
    effects = elementary_effects(shares.reshape(-1, count + 1, count), means.reshape(-1, count + 1), names)
    draws = Generator(Philox(seed)).integers(0, len(effects), (resamples, len(effects)))
    low, high = np.quantile(np.abs(effects)[draws].mean(axis=1), [(1 - level) / 2, (1 + level) / 2], axis=0)
    columns = {
        "mu": effects.mean(axis=0),
        "mu_star": np.abs(effects).mean(axis=0),
        "mu_star_low": low,
        "mu_star_high": high,
        "sigma": effects.std(axis=0, ddof=1) if len(effects) > 1 else np.full(count, np.nan),
    }
    table = pd.DataFrame(columns, index=pd.Index(names, name="factor"))
    table.attrs = {"trajectories": len(effects), "runs": len(frame), "level": level, "noise_share": noise,
                   "measure": measure}  # fmt: skip
    return table


def elementary_effects(shares: Floats, values: Floats, names: Sequence[str]) -> Floats:
    """Effects (trajectories, factors) of points (trajectories, factors + 1, factors) and outputs (trajectories, …).

    Raises SettingsError where the points are no trajectories: a step moves exactly one factor.
    """
    moves, changes = np.diff(shares, axis=1), np.diff(values, axis=1)
    moved = np.abs(moves) > 1e-9
    if not ((moved.sum(axis=2) == 1).all() and (moved.sum(axis=1) == 1).all()):
        bad = np.flatnonzero((moved.sum(axis=2) != 1).any(axis=1) | (moved.sum(axis=1) != 1).any(axis=1))
        rows = ", ".join(str(one) for one in bad[:5] * (len(names) + 1))
        raise SettingsError([f"the points are no trajectories of {', '.join(names)}: see the rows from {rows}"])
    each: Floats = np.where(moved, changes[:, :, None] / np.where(moved, moves, 1.0), 0.0).sum(axis=1)
    return each


# --- any design -------------------------------------------------------------------------------------------------------
def rank_correlations(
    frame: pd.DataFrame,
    names: Sequence[str],
    measure: str,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 1,
) -> pd.DataFrame:
    """Spearman's rank correlation of a measure with each factor, for Latin hypercubes and Sobol sequences.

    A first look that needs no special design and sees monotone effects only. Returns one row a factor: rank, low, high
    (bootstrap over points). Raises SettingsError where points are too few or all the same.
    """
    value = frame[measure].astype(float)
    rows = frame[~_failed(frame) & np.isfinite(value)]
    means = rows.groupby("point")[[*names, measure]].mean()
    if len(means) < 4 or means[measure].nunique() < 2:
        raise SettingsError([f"{measure}: {len(means)} points with a value are too few, or all are the same"])
    table = means.to_numpy(np.float64)
    draw = Generator(Philox(seed))
    found = []
    for i, name in enumerate(names):
        many = [_rank(table[draw.integers(0, len(table), len(table))][:, [i, -1]]) for _ in range(resamples)]
        low, high = np.nanquantile(many, [(1 - level) / 2, (1 + level) / 2])
        found.append({"factor": name, "rank": _rank(table[:, [i, -1]]), "low": float(low), "high": float(high)})
    result = pd.DataFrame(found).set_index("factor")
    result.attrs = {"points": len(means), "runs": len(rows), "level": level, "measure": measure}
    return result


def _rank(pair: Floats) -> float:
    """Spearman's correlation of two columns, mean ranks for ties; nan when one is constant."""
    from scipy.stats import rankdata

    ranks = rankdata(pair, axis=0)
    spread = ranks - ranks.mean(axis=0)
    size = np.sqrt((spread**2).sum(axis=0).prod())
    return float((spread[:, 0] * spread[:, 1]).sum() / size) if size > 0 else float("nan")
