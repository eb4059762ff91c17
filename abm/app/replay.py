"""A finished run for one window: everything at once, the window scrubs by itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.app import series, story
from abm.app.session import Plain, about, about_bins
from abm.events import EVENT
from abm.recorder import STEP
from abm.results import load_run
from abm.scenario import from_resolved


class Replay:
    """Answers like a `Session` that stands still. Raises FileNotFoundError or `SettingsError` for what is no run."""

    epoch, version, playing, problem = 1, 1, False, ""

    def __init__(self, folder: Path) -> None:
        run = load_run(folder)
        self.source, self.touched = folder.name, time.monotonic()
        self.scenario, self.facts = from_resolved(run.info["scenario"]), run.info
        self.steps = records(run.steps, STEP)
        self.kept = records(run.forced_events, EVENT)
        self.complete = bool(run.info.get("complete"))
        self.lines = told(self.kept, self.steps, self.facts)
        self._tab: Plain = {}

    def frame(self, epoch: int, since: int, lines: int, seen: int, tab: str, arguments: Mapping[str, Any]) -> Plain:
        """Everything, or that there is nothing new; the story of an account when one is picked."""
        self.touched = time.monotonic()
        data: Plain = {}
        if tab == "traders" and int(arguments.get("account", -1)) >= 0:
            data = {"story": story.account_story(self.kept, int(arguments["account"]), self.facts)}
        found: Plain = {
            **{"version": 1, "epoch": 1, "playing": False, "problem": "", "kind": "replay", "building": False},
            **{"closed": False, "since": 0 if epoch != 1 else self.steps.size},
            **{"lines_from": 0 if epoch != 1 else len(self.lines), "tab": {"name": tab, "tick": -1, "data": data}},
        }
        if epoch != 1:
            bars, bubbles = about_bins(self.scenario)
            tick_s = self.scenario.tick_s
            found["about"] = about(self.scenario, self.source) | {"arms": ["run"], "complete": self.complete}
            found["arms"] = [
                {
                    "columns": series.columns(self.steps, tick_s),
                    "bars": series.forced_bins(self.steps, tick_s, bars),
                    "bubbles": series.forced_bins(self.steps, tick_s, bubbles),
                    "lines": self.lines,
                    "running": False,
                    "news": found["about"]["news"],
                }
            ]
        return found

    def chain(self, seq: int) -> list[story.Line]:
        """What an event goes back to."""
        return story.chain(self.kept, seq, self.facts)

    def toml(self) -> str:
        """The run's scenario as text."""
        from abm.app.controls import as_toml

        return as_toml(self.scenario, self.scenario.name)

    def close(self) -> None:
        """Nothing runs."""


def records(frame: Any, dtype: np.dtype[Any]) -> NDArray[np.void]:
    """A table of a run folder as the structured array it was written from, (n,) of `dtype`."""
    rows = np.zeros(len(frame), dtype)
    for name in dtype.names or ():
        rows[name] = frame[name].to_numpy()
    return rows


def told(kept: NDArray[np.void], steps: NDArray[np.void], facts: Mapping[str, Any]) -> list[story.Line]:
    """The log of a whole run, tick by tick, as a live model tells it."""
    found: list[story.Line] = []
    marks = dict(zip(steps["tick"].tolist(), steps["mark_usd"].tolist(), strict=True))
    starts = np.flatnonzero(np.diff(kept["tick"], prepend=-1)) if kept.size else np.zeros(0, np.int64)
    teller = story.Teller()
    for rows in np.split(kept, starts[1:]) if kept.size else ():
        found += teller.lines(rows, facts, marks.get(int(rows["tick"][0]), 0.0))
    return found
