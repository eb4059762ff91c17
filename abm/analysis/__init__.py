"""From the runs of a study to curves, phase diagrams, sensitivities and tails.

`load(path)` reads a study in one line; the rest takes the table that it gives.
"""

from __future__ import annotations

from abm.analysis.curves import crossings, curve, phase_diagram, succeeded
from abm.analysis.designs import Factor, Problem, morris, saltelli
from abm.analysis.load import load, measures_of, problem_of, study_of
from abm.analysis.sensitivity import IncompleteDesignError, morris_effects, rank_correlations, sobol
from abm.analysis.tails import expected_shortfall, tails, value_at_risk

__all__ = [
    "Factor",
    "IncompleteDesignError",
    "Problem",
    "crossings",
    "curve",
    "expected_shortfall",
    "load",
    "measures_of",
    "morris",
    "morris_effects",
    "phase_diagram",
    "problem_of",
    "rank_correlations",
    "saltelli",
    "sobol",
    "study_of",
    "succeeded",
    "tails",
    "value_at_risk",
]
