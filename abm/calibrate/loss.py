"""The loss of a trial: distance of its moments from their targets, and their spread over the seeds.

With x the values of a moment over the seeds, t its target and w its width,

    loss = sum_m weight_m [ d(median(x) - t)^2 + spread d(max(0, sd(x) - allowed w))^2 ] / sum_m weight_m

where d divides by w and stops at `worst`. The median is that of the seeds that have a value; a seed without one (no
liquidation, so no long share; a run that failed) takes part as a value `worst` widths off, so that it costs by its
number. A loss of 1 means that moments are off by a width each.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abm.rng import stream, uniforms

if TYPE_CHECKING:
    import pandas as pd

    from abm.calibrate.study import Calibration, Moment

Floats = NDArray[np.float64]
_RESAMPLED = stream("resampled trials")


def deviations(values: Floats, moment: Moment, worst: float) -> Floats:
    """(value - target) in widths, float64 (n,); what is missing, or further off than `worst`, is `worst` off."""
    target, width = float(moment.target or 0.0), float(moment.width or 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = moment.scale == "log"
        away = np.log(values / target) / math.log(width) if ratio else (values - target) / width
    result: Floats = np.clip(np.where(np.isnan(away), worst, away), -worst, worst)
    return result


def loss_of(values: Floats, study: Calibration) -> tuple[float, dict[str, dict[str, float]]]:
    """Loss of one trial and what each moment has to do with it.

    Args:
        values: of the moments, float64 (seeds, moments); nan where a run has none.
        study: its moments, spread, worst.

    Returns:
        The loss, and for each measure: middle (median over the seeds that have a value), off and sd (in widths), loss
        (its part before weights).
    """
    total = weights = 0.0
    parts = {}
    for column, moment in zip(values.T, study.moments, strict=True):
        away = deviations(column, moment, study.worst)
        off = float(np.median(away))
        sd = float(np.std(away, ddof=1)) if away.size > 1 else 0.0
        wide = min(max(0.0, sd - study.spread_allowed), study.worst)
        part = off**2 + study.spread * wide**2
        known = column[np.isfinite(column)]
        middle = float(np.median(known)) if known.size else math.nan
        parts[moment.measure] = {"middle": middle, "off": off, "sd": sd, "loss": part}
        total += moment.weight * part
        weights += moment.weight
    return total / weights, parts


def moment_values(frame: pd.DataFrame, study: Calibration) -> Floats:
    """Values of the moments in a table of runs, float64 (runs, moments); nan where there is none."""
    found = np.full((len(frame), len(study.moments)), np.nan)
    for i, moment in enumerate(study.moments):
        if moment.measure in frame.columns:
            found[:, i] = frame[moment.measure].to_numpy(np.float64, na_value=np.nan)
    return found


def loss_error(values: Floats, study: Calibration, resamples: int = 200) -> float:
    """Standard error of a trial's loss: seeds resampled, all moments of a seed together.

    Args:
        values: (seeds, moments) as in `loss_of`, float64, each moment in its own unit; NaN where a run has none.
        study: moments, targets and bands.
        resamples: how often the seeds are drawn again.
    """
    draws = uniforms(1, _RESAMPLED, np.arange(resamples * len(values)), 0, 0)
    picks = (draws * len(values)).astype(np.int64).reshape(resamples, len(values))
    return float(np.std([loss_of(values[pick], study)[0] for pick in picks]))


def trial_losses(frame: pd.DataFrame, study: Calibration) -> pd.DataFrame:
    """One row a trial, from one row a run.

    Args:
        frame: runs with the columns point, the free parameters, the measures (`abm.analysis.load`).
        study: what the runs are of.

    Returns:
        trial, the free parameters, loss, and MEASURE.middle, MEASURE.off, MEASURE.sd, MEASURE.loss.
    """
    import pandas as pd

    every, points = moment_values(frame, study), frame["point"].to_numpy()
    free = {path: frame[path].tolist() for path in study.paths}
    found = []
    for point in np.unique(points):
        rows = np.flatnonzero(points == point)
        loss, parts = loss_of(every[rows], study)
        line: dict[str, Any] = {"trial": int(point), **{path: values[rows[0]] for path, values in free.items()}}
        line["loss"] = loss
        found.append(line | {f"{name}.{key}": value for name, one in parts.items() for key, value in one.items()})
    return pd.DataFrame(found)
