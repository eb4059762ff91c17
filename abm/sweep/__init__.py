"""Many runs: study files, an engine that loses none of them, and pairs of runs that differ in one setting only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from abm.sweep.engine import Tally, sweep
    from abm.sweep.paired import COMPARED, paired_jobs, paired_table, pairs_frame
    from abm.sweep.parts import canonical_bytes, collect
    from abm.sweep.plan import Plan, plan_study
    from abm.sweep.run import Outcome, process_pool, run_many, run_once
    from abm.sweep.study import Study, load_study

_HOMES = {
    "abm.sweep.engine": ("Tally", "sweep"),
    "abm.sweep.paired": ("COMPARED", "paired_jobs", "paired_table", "pairs_frame"),
    "abm.sweep.parts": ("canonical_bytes", "collect"),
    "abm.sweep.plan": ("Plan", "plan_study"),
    "abm.sweep.run": ("Outcome", "process_pool", "run_many", "run_once"),
    "abm.sweep.study": ("Study", "load_study"),
}
__all__ = [
    "COMPARED",
    "Outcome",
    "Plan",
    "Study",
    "Tally",
    "canonical_bytes",
    "collect",
    "load_study",
    "paired_jobs",
    "paired_table",
    "pairs_frame",
    "plan_study",
    "process_pool",
    "run_many",
    "run_once",
    "sweep",
]


def __getattr__(name: str) -> Any:
    """Import on first use: a worker that runs somebody's own function loads neither Mesa nor Numba."""
    for module, names in _HOMES.items():
        if name in names:
            from importlib import import_module

            return getattr(import_module(module), name)
    raise AttributeError(f"module 'abm.sweep' has no attribute {name!r}")
