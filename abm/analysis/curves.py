"""A measure along one factor, over two, and the line where it crosses a level; all with intervals over replicates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.random import Generator, Philox
from numpy.typing import NDArray

from abm.settings import SettingsError

Floats = NDArray[np.float64]
Statistic = Literal["mean", "median"]
STATISTICS: dict[str, Callable[..., Any]] = {"mean": np.nanmean, "median": np.nanmedian}
MOST_DRAWN = 5_000_000
"""Values of a bootstrap that are held in memory at a time."""


def succeeded(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of runs that ended well."""
    if "error_type" not in frame.columns:
        return frame
    return frame[frame["error_type"].fillna("").astype(str) == ""]


def picked(frame: pd.DataFrame, names: Sequence[str], at: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Successful runs with the other factors at the values of `at`. Raises SettingsError for unknown columns."""
    unknown = [f"{name}: no such column" for name in (*names, *(at or {})) if name not in frame.columns]
    if unknown:
        raise SettingsError(unknown)
    rows = succeeded(frame)
    for name, value in (at or {}).items():
        there = sorted(rows[name].dropna().unique().tolist())
        rows = rows[np.isclose(rows[name], value)] if isinstance(value, float | int) else rows[rows[name] == value]
        if rows.empty:
            raise SettingsError([f"{name}={value}: no run has it; there are {', '.join(map(str, there[:12]))}"])
    return rows


def interval_of(
    values: Floats, kind: str, statistic: Statistic, level: float, resamples: int, seed: int
) -> tuple[float, float]:
    """Ends of the interval of values (n,): `bootstrap` of the statistic, or `quantile` of the values themselves."""
    if values.size < 2:
        return float("nan"), float("nan")
    ends = [(1 - level) / 2, (1 + level) / 2]
    if kind == "quantile":
        low, high = np.quantile(values, ends)
    else:
        from scipy.stats import bootstrap

        draws: dict[str, Any] = {"n_resamples": resamples, "confidence_level": level, "rng": Generator(Philox(seed))}
        draws["batch"] = max(1, MOST_DRAWN // values.size)
        found = bootstrap((values,), STATISTICS[statistic], method="percentile", **draws).confidence_interval
        low, high = found.low, found.high
    return float(low), float(high)


def curve(
    frame: pd.DataFrame,
    factor: str,
    measure: str,
    *,
    at: Mapping[str, Any] | None = None,
    statistic: Statistic = "mean",
    interval: Literal["bootstrap", "quantile"] = "bootstrap",
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 1,
) -> pd.DataFrame:
    """A measure along one factor.

    Args:
        frame: what `load` gave.
        factor: column along which.
        measure: column to average.
        at: values of other factors to hold; those not named are averaged over.
        statistic: mean or median of the runs at a value.
        interval: "bootstrap": where the statistic lies; "quantile": where `level` of the runs lie.

    Returns:
        One row a value of the factor, ascending: the factor, middle, low, high, runs, without (runs without a value).

    Raises SettingsError for a factor, measure or value that the study does not have, or another interval.
    """
    rows = picked(frame, (factor, measure), at)
    if interval not in ("bootstrap", "quantile"):
        raise SettingsError([f"interval {interval!r} is not bootstrap or quantile"])
    found = []
    for value, part in rows.groupby(factor, sort=True):
        values = part[measure].to_numpy(np.float64, na_value=np.nan)
        known = values[np.isfinite(values)]
        low, high = interval_of(known, interval, statistic, level, resamples, seed)
        middle = float(STATISTICS[statistic](known)) if known.size else float("nan")
        found.append({factor: value, "middle": middle, "low": low, "high": high, "runs": values.size,
                      "without": values.size - known.size})  # fmt: skip
    table = pd.DataFrame(found)
    table.attrs = {"factor": factor, "measure": measure, "statistic": statistic, "interval": interval, "level": level}
    return table


# --- two factors ------------------------------------------------------------------------------------------------------
def phase_diagram(
    frame: pd.DataFrame,
    across: str,
    up: str,
    measure: str,
    *,
    at: Mapping[str, Any] | None = None,
    statistic: Statistic = "mean",
) -> pd.DataFrame:
    """A measure over two factors: one row a value of `up`, one column a value of `across`, both ascending.

    Cells without a value are nan. `attrs`: runs, replicates (fewest and most in a cell), empty (number of cells).
    """
    rows = picked(frame, (across, up, measure), at)
    value = rows[measure].astype(float).where(np.isfinite(rows[measure].astype(float)))
    groups = value.groupby([rows[up], rows[across]])
    table: pd.DataFrame = getattr(groups, statistic)().unstack().sort_index(axis=0).sort_index(axis=1)
    sizes = groups.size()
    table.attrs = {"measure": measure, "statistic": statistic, "runs": len(rows)}
    table.attrs |= {"replicates": (int(sizes.min()), int(sizes.max())), "empty": int(table.isna().sum().sum())}
    return table


def crossings(
    frame: pd.DataFrame,
    across: str,
    up: str,
    measure: str,
    crossing: float,
    *,
    at: Mapping[str, Any] | None = None,
    statistic: Statistic = "mean",
    level: float = 0.95,
    resamples: int = 400,
    seed: int = 1,
) -> pd.DataFrame:
    """Where a measure first crosses a level along `across`, for each value of `up`, with a bootstrap interval.

    Replicates are drawn for all cells together: with common seeds, neighbours share their luck. Between two values of
    `across` the measure is taken as straight.

    Returns:
        One row a value of `up`: the factor, place, low, high, share (of the resamples that cross at all). `place` is
        nan where the measure never crosses.
    """
    rows = picked(frame, (across, up, measure), at)
    x, y = np.sort(rows[across].unique()).astype(float), np.sort(rows[up].unique()).astype(float)
    number = rows.groupby([up, across]).cumcount() if at is None else rows.groupby([up, across, *at]).cumcount()
    grid = np.full((y.size, x.size, int(number.max()) + 1), np.nan)
    places = (np.searchsorted(y, rows[up]), np.searchsorted(x, rows[across]), number.to_numpy())
    grid[places] = rows[measure].to_numpy(np.float64, na_value=np.nan)
    draw = Generator(Philox(seed))
    middle = _first_crossing(x, _averaged(grid, statistic), crossing)
    many = np.array([
        _first_crossing(x, _averaged(grid[:, :, draw.integers(0, grid.shape[2], grid.shape[2])], statistic), crossing)
        for _ in range(resamples)
    ])  # fmt: skip
    found = []
    for i, value in enumerate(y):
        known = many[np.isfinite(many[:, i]), i]
        low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2]) if known.size else (np.nan, np.nan)
        found.append({up: value, "place": middle[i], "low": low, "high": high, "share": known.size / resamples})
    return pd.DataFrame(found)


def _averaged(grid: Floats, statistic: Statistic) -> Floats:
    """Mean or median over the last axis; nan where there is nothing."""
    known = np.isfinite(grid).any(axis=-1)
    result = np.full(grid.shape[:-1], np.nan)
    result[known] = STATISTICS[statistic](np.where(np.isfinite(grid), grid, np.nan)[known], axis=-1)
    return result


def _first_crossing(x: Floats, table: Floats, crossing: float) -> Floats:
    """Place (rows,) where each row of table (rows, x) first passes the level, up or down; nan where it does not."""
    above = table - crossing
    with np.errstate(invalid="ignore", divide="ignore"):
        passes = (np.sign(above[:, :-1]) != np.sign(above[:, 1:])) & np.isfinite(above[:, :-1] + above[:, 1:])
        share = above[:, :-1] / (above[:, :-1] - above[:, 1:])
    places = x[:-1] + share * np.diff(x)
    first = np.argmax(passes, axis=1)
    found: Floats = np.where(passes.any(axis=1), places[np.arange(len(table)), first], np.nan)
    return found
