"""How well the trials tell each parameter: profile of the loss along it, and how the best trials hang together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from abm.calibrate.trials import Calibrated

BINS = 8
BEST_SHARE = 0.15
BEST_LEAST = 6
"""Of the trials, those that count as the best: this share, at least so many."""
CLEAR = 2.0
"""A profile that rises by so many standard errors of the loss, on both sides of its lowest, tells the parameter."""


@dataclass(frozen=True)
class Identified:
    """What is known of the free parameters.

    Attributes:
        profiles: path -> table with middle (of a bin of the range), least (loss in the bin, over everything else),
            trials (in the bin).
        rows: one a parameter: path, value, low and high (of the best trials), share (of the range that they cover),
            rise_below and rise_above (largest least loss on that side less the smallest, in standard errors of the
            loss), words.
        correlation: rank correlation of the parameters among the best trials, (n, n); nan with too few.
        best: numbers of the best trials.
    """

    profiles: dict[str, pd.DataFrame]
    rows: list[dict[str, Any]]
    correlation: pd.DataFrame
    best: list[int]


def identified(result: Calibrated, bins: int = BINS) -> Identified:
    """Profiles, ranges and correlations from the trials of a calibration."""
    study, trials = result.study, result.trials
    count = min(len(trials), max(BEST_LEAST, math.ceil(BEST_SHARE * len(trials))))
    top = trials.nsmallest(count, "loss")
    profiles, rows = {}, []
    for one in study.free:
        shares = np.array([one.share(float(value)) for value in trials[one.path]])
        place = np.clip((shares * bins).astype(int), 0, bins - 1)
        groups = trials["loss"].groupby(place)
        table = pd.DataFrame({"least": groups.min(), "trials": groups.size()}).reindex(range(bins))
        table["trials"] = table["trials"].fillna(0).astype(int)
        table.insert(0, "middle", [float(one.at((i + 0.5) / bins)) for i in range(bins)])
        profiles[one.path] = table
        ends = (float(top[one.path].min()), float(top[one.path].max()))
        below, above = _rises(table["least"].to_numpy(np.float64), result.error)
        rows.append({
            "path": one.path,
            "unit": one.unit,
            "value": result.values[one.path],
            "low": ends[0],
            "high": ends[1],
            "share": one.share(ends[1]) - one.share(ends[0]),
            "rise_below": below,
            "rise_above": above,
            "words": _words(below, above),
        })  # fmt: skip
    return Identified(profiles, rows, _correlation(top, study.paths), [int(i) for i in top["trial"]])


def _rises(least: np.ndarray[Any, np.dtype[np.float64]], error: float) -> tuple[float, float]:
    """How far the profile rises on either side of its lowest bin, in standard errors; nan where there is no bin."""
    if not np.isfinite(least).any():
        return math.nan, math.nan
    at = int(np.nanargmin(least))
    unit = error if error > 0 else math.nan if not math.isfinite(error) else 1e-12

    def rise(part: np.ndarray[Any, np.dtype[np.float64]]) -> float:
        known = part[np.isfinite(part)]
        return float((known.max() - least[at]) / unit) if known.size else math.nan

    return rise(least[:at]), rise(least[at + 1 :])


def _words(below: float, above: float) -> str:
    """What two rises say."""
    sides = [(name, rise) for name, rise in (("below", below), ("above", above)) if math.isfinite(rise)]
    clear = [name for name, rise in sides if rise >= CLEAR]
    if len(clear) == 2:
        return "told from both sides"
    if clear:
        at_end = len(sides) == 1
        return f"bounded from {clear[0]}" + ("; lowest at an end" if at_end else "")
    return "not told"


def _correlation(top: pd.DataFrame, paths: list[str]) -> pd.DataFrame:
    """Spearman's rank correlation among the best trials."""
    if len(top) < len(paths) + 3:
        return pd.DataFrame(np.nan, index=paths, columns=paths)
    found: pd.DataFrame = top[paths].rank().corr()
    return found
