"""Calibration by simulated moments: study files, samplers, trials that are all kept, and how well each value is known.

A study names free parameters and moments; every trial is run on the same few seeds, and its loss adds to the distance
of the moments a penalty on their spread over seeds, since a set that sometimes runs away and sometimes holds is right
on average and wrong every time. The method: McFadden (1989), Econometrica 57, 995, with common random numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from abm.calibrate.identify import Identified, identified
    from abm.calibrate.loss import loss_of, trial_losses
    from abm.calibrate.study import Calibration, Free, Moment, load_calibration
    from abm.calibrate.trials import Calibrated, calibrate, read_calibrated
    from abm.calibrate.written import scenario_text

_HOMES = {
    "abm.calibrate.identify": ("Identified", "identified"),
    "abm.calibrate.loss": ("loss_of", "trial_losses"),
    "abm.calibrate.study": ("Calibration", "Free", "Moment", "load_calibration"),
    "abm.calibrate.trials": ("Calibrated", "calibrate", "read_calibrated"),
    "abm.calibrate.written": ("scenario_text",),
}
__all__ = [
    "Calibrated",
    "Calibration",
    "Free",
    "Identified",
    "Moment",
    "calibrate",
    "identified",
    "load_calibration",
    "loss_of",
    "read_calibrated",
    "scenario_text",
    "trial_losses",
]


def __getattr__(name: str) -> Any:
    """Import on first use: a study is checked without loading the model."""
    for module, names in _HOMES.items():
        if name in names:
            from importlib import import_module

            return getattr(import_module(module), name)
    raise AttributeError(f"module 'abm.calibrate' has no attribute {name!r}")
