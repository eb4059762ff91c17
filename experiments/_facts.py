"""Statistics of a price series that markets are known by: tails, memory, volume, impact, shape of the book.

Plain functions of arrays; nan where a series is too short or has no variance.

    hill       1 / mean(ln(x_i / x_{k+1})) over the k largest of |r|                        (Hill 1975)
    impact     slope of ln E[sign(q) r | |q|] against ln |q|, q the net taker flow of a bar, in bins of equal count
    shape      slope of ln depth(u) against ln u, depth(u) the coins within u per cent of the middle of the book
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NAN = math.nan
LAGS = (1, 12, 50, 288)
"""Lags of the autocorrelation of absolute returns, in bars."""
TAIL_SHARES = (0.025, 0.05)
"""Shares of the largest absolute returns that the Hill estimate uses."""
IMPACT_BINS = 20


def log_returns(price: Floats, every: int = 1) -> Floats:
    """Log returns over `every` bars that do not overlap; price (n,), the opening price first."""
    found: Floats = np.diff(np.log(price[::every]))
    return found


def summed(values: Floats, every: int) -> Floats:
    """Sums over `every` values, (n // every,); a rest at the end is left out."""
    whole = values.size // every * every
    found: Floats = values[:whole].reshape(-1, every).sum(axis=1)
    return found


def excess_kurtosis(x: Floats) -> float:
    """Fourth central moment over the squared variance, minus 3."""
    if x.size < 4 or not x.std() > 0:
        return NAN
    gap = x - x.mean()
    return float((gap**4).mean() / (gap**2).mean() ** 2 - 3.0)


def hill(x: Floats, share: float) -> float:
    """Tail index of |x| by its largest `share`; nan with fewer than ten values there or ties at zero."""
    largest = np.sort(np.abs(x))[::-1]
    count = int(share * largest.size)
    if count < 10 or not largest[count] > 0:
        return NAN
    mean_log = float(np.log(largest[:count] / largest[count]).mean())
    return 1.0 / mean_log if mean_log > 0 else NAN


def autocorrelation(x: Floats, lag: int) -> float:
    """Autocorrelation at one lag; nan with fewer than four times as many values as the lag."""
    if x.size < max(4 * lag, 8) or not x.std() > 0:
        return NAN
    gap = x - x.mean()
    return float((gap[lag:] * gap[:-lag]).mean() / (gap * gap).mean())


def rank_correlation(x: Floats, y: Floats) -> float:
    """Spearman's rank correlation: one wild bar does not decide it."""
    if x.size < 8 or not (x.std() > 0 and y.std() > 0):
        return NAN
    from scipy.stats import spearmanr

    return float(spearmanr(x, y).statistic)


def power(x: Floats, y: Floats, error: Floats | None = None) -> float:
    """Exponent of y ~ x**power by least squares on logarithms; values at or below zero are left out.

    With the standard error of y each point counts by (y / error)**2, the inverse variance of its logarithm.
    """
    known = (x > 0) & (y > 0)
    if error is not None:
        known &= error > 0
    if known.sum() < 3 or not np.log(x[known]).std() > 0:
        return NAN
    weights = None if error is None else y[known] / error[known]
    slope, _ = np.polyfit(np.log(x[known]), np.log(y[known]), 1, w=weights)
    return float(slope)


def impact_curve(flow: Floats, change: Floats, bins: int = IMPACT_BINS) -> tuple[Floats, Floats, Floats]:
    """Mean |flow|, mean sign(flow) change and its standard error in bins of equal count of |flow|.

    Each (bins,), empty if too short.
    """
    moved = flow != 0
    size, signed = np.abs(flow[moved]), (np.sign(flow) * change)[moved]
    if size.size < 10 * bins:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    order = np.argsort(size, kind="stable")
    parts = np.array_split(order, bins)
    error = np.array([signed[part].std() / math.sqrt(part.size) for part in parts])
    return np.array([size[p].mean() for p in parts]), np.array([signed[p].mean() for p in parts]), error


def impact_exponent(flow: Floats, change: Floats) -> float:
    """Exponent of the mean price change against net flow; below 1: concave."""
    return power(*impact_curve(flow, change))


def tail_curve(x: Floats, points: int = 40) -> tuple[Floats, Floats]:
    """Share of |x| above multiples of its standard deviation, on a log grid; both (points,)."""
    scaled = np.sort(np.abs(x)) / max(float(x.std()), 1e-300)
    at = np.geomspace(0.3, 30.0, points)
    return at, 1.0 - np.searchsorted(scaled, at, side="right") / max(scaled.size, 1)


def facts_of(change: Floats, volume: Floats, flow: Floats | None = None) -> dict[str, float]:
    """The facts of one bar length: returns, volume and, where it is known, net taker flow, each (n,)."""
    size = np.abs(change)
    found = {"std_bp": 1e4 * float(change.std()) if change.size > 1 else NAN, "kurtosis": excess_kurtosis(change)}
    found |= {f"hill_{100 * share:g}": hill(change, share) for share in TAIL_SHARES}
    found["acf_return"] = autocorrelation(change, 1)
    found |= {f"acf_size_{lag}": autocorrelation(size, lag) for lag in LAGS}
    found["volume_volatility"] = rank_correlation(volume, size)
    if flow is not None:
        found["impact"] = impact_exponent(flow, change)
    return found


def band(values: Sequence[Any], level: float = 0.8) -> tuple[float, float, float]:
    """Median, and the ends between which the middle `level` of the known values lies."""
    known = np.array([v for v in values if v is not None and math.isfinite(v)], np.float64)
    if not known.size:
        return NAN, NAN, NAN
    low, middle, high = np.quantile(known, [(1 - level) / 2, 0.5, (1 + level) / 2])
    return float(middle), float(low), float(high)
