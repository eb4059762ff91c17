"""One evening of `who-matters`: a run and its measures. The sweep engine calls `evening`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abm.measures import summary
from abm.model import MarketModel
from abm.recorder import Recorder
from abm.scenario import load_scenario

RUNNER = "experiments._who_run:evening"


def evening(values: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Run `scenario` with `settings` (texts `a.b=value`) and give its measures.

    Args:
        values: scenario, accounts, duration_s and tick_s (0: as the scenario has it), settings, kind (a name).
        seed: of the run.
    """
    settings = list(values["settings"])
    settings += [f"{name}={values[name]}" for name in ("duration_s", "tick_s") if values[name] > 0]
    scenario = load_scenario(values["scenario"], settings, seed, values["accounts"])
    recorder = Recorder("summary")
    MarketModel(scenario, recorder=recorder).run()
    return summary(recorder.run())
