"""Tails of a measure over runs: value at risk and expected shortfall, with intervals that admit too few runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.random import Generator, Philox
from numpy.typing import NDArray

from abm.settings import SettingsError

Floats = NDArray[np.float64]


def value_at_risk(losses: Floats, share: float) -> float:
    """The smallest loss that at least `share` of the runs do not exceed. `losses` float64 (n,)."""
    return float(np.quantile(losses, share, method="inverted_cdf"))


def expected_shortfall(losses: Floats, share: float) -> float:
    """Mean of the worst 1 - `share` of the runs (Rockafellar and Uryasev 2000, the run at the edge counted in part)."""
    edge = value_at_risk(losses, share)
    return edge + float(np.maximum(losses - edge, 0.0).mean()) / (1 - share)


def quantile_interval(losses: Floats, share: float, level: float = 0.95) -> tuple[float, float]:
    """Interval of a quantile from order statistics: holds for every distribution, -inf or inf where runs are too few.

    The number of runs below the true quantile is binomial (n, share); the ends are the order statistics between which
    it lies with probability `level` or more.
    """
    from scipy.stats import binom

    ordered, n = np.sort(losses), losses.size
    low = int(binom.ppf((1 - level) / 2, n, share))
    high = int(binom.ppf((1 + level) / 2, n, share)) + 1
    return (float(ordered[low - 1]) if low >= 1 else -np.inf, float(ordered[high - 1]) if high <= n else np.inf)


def tails(
    frame: pd.DataFrame,
    measure: str = "bad_debt_usd",
    shares: Sequence[float] = (0.95, 0.99),
    *,
    by: Sequence[str] = (),
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 1,
) -> pd.DataFrame:
    """Value at risk and expected shortfall of a measure over the runs of each group.

    Args:
        frame: what `load` gave.
        measure: column; large is bad.
        shares: of the runs, e.g. 0.95 for VaR95.
        by: columns that make groups; none: all runs are one.
        level: of the intervals: order statistics for the value at risk, bootstrap percentiles for the shortfall.

    Returns:
        One row a group and share: share, var, var_low, var_high, shortfall, shortfall_low, shortfall_high, runs,
        above (runs at or beyond the value at risk: with few, the shortfall is a guess), mean, largest.

    Raises SettingsError for a measure or column that the study does not have.
    """
    unknown = [f"{name}: no such column" for name in (measure, *by) if name not in frame.columns]
    unknown += [f"share {share:g}: must lie between 0 and 1" for share in shares if not 0 < share < 1]
    if unknown:
        raise SettingsError(unknown)
    groups = [((), frame)] if not by else list(frame.groupby(list(by)))
    rows = []
    for key, part in groups:
        losses = part[measure].to_numpy(np.float64, na_value=np.nan)
        losses = losses[np.isfinite(losses)]
        for share in shares if losses.size else ():
            rows.append({**dict(zip(by, key, strict=True)), **_row(losses, share, level, resamples, seed)})
    return pd.DataFrame(rows)


def _row(losses: Floats, share: float, level: float, resamples: int, seed: int) -> dict[str, float]:
    draw = Generator(Philox(seed))
    many = [expected_shortfall(losses[draw.integers(0, losses.size, losses.size)], share) for _ in range(resamples)]
    low, high = np.quantile(many, [(1 - level) / 2, (1 + level) / 2])
    at = value_at_risk(losses, share)
    ends = quantile_interval(losses, share, level)
    return {
        "share": share,
        "var": at,
        "var_low": ends[0],
        "var_high": ends[1],
        "shortfall": expected_shortfall(losses, share),
        "shortfall_low": float(low),
        "shortfall_high": float(high),
        "runs": losses.size,
        "above": int((losses >= at).sum()),
        "mean": float(losses.mean()),
        "largest": float(losses.max()),
    }
