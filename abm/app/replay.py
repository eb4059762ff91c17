"""A finished run for one window: its ticks and log at once; the state behind the other tabs is made once more.

A run keeps no state of every tick, but its scenario and its seed make it again. A thread does so when a tab first asks,
compares every tick with the one on disk, and keeps readings as a live model does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.app import controls, story
from abm.app.about import about, places_of, told
from abm.app.memory import give_back
from abm.app.session import WAIT_S, Arm, Plain
from abm.events import EVENT
from abm.recorder import STEP
from abm.results import load_run
from abm.scenario import from_resolved

OTHER = "this version of the program makes another run of this scenario: its state at a tick is not known"
TELL_S = 0.25


class Replay:
    """Answers like a `Session` that stands still. Raises FileNotFoundError or `SettingsError` for what is no run."""

    epoch, playing = 1, False

    def __init__(self, folder: Path) -> None:
        run = load_run(folder)
        self.source, self.touched = folder.name, time.monotonic()
        self.scenario, self.facts = from_resolved(run.info["scenario"]), run.info
        self.places = places_of(self.scenario)
        venues, alts = run.venues, run.alts
        beside = [
            alts[alts["coin"] == place["name"]] if place["coin"] != "BTC" else venues[venues["venue"] == place["name"]]
            for place in self.places[1:]
        ]
        self.steps = [records(table, STEP) for table in (run.steps, *beside)]
        self.kept = records(run.forced_events, EVENT)
        self.complete = bool(run.info.get("complete"))
        tellers = story.places(self.facts, [coin.name for coin in self.scenario.alts])
        self.lines = [
            all_lines(self.kept, rows, self.facts, one) for one, rows in zip(tellers, self.steps, strict=True)
        ]
        self.arm: Arm | None = None
        self.problem, self.version, self.closed, self._reached = "", 1, False, 0
        self._changed = threading.Condition()
        self._maker: threading.Thread | None = None

    # --- making it again ----------------------------------------------------------------------------------------------
    def _make(self) -> None:
        try:
            arm = Arm.of(self.scenario, "run")
            self.arm, told_s = arm, 0.0
            while arm.model.running and not self.closed and arm.model.tick < self.steps[0].size:
                arm.step()
                self._reached = arm.model.tick
                if not same(arm.watcher.steps_array[-1], self.steps[0][arm.model.tick - 1]):
                    self.arm, self.problem = None, OTHER
                    break
                if time.monotonic() - told_s > TELL_S:
                    told_s = time.monotonic()
                    self._say()
        except Exception as error:  # the window says what happened
            self.arm, self.problem = None, f"{type(error).__name__}: {error}"
        self._say()

    def _say(self) -> None:
        with self._changed:
            self.version += 1
            self._changed.notify_all()

    @property
    def rebuilt(self) -> int:
        """Ticks made again so far."""
        return self._reached if self.arm is not None else 0

    # --- what the window reads ----------------------------------------------------------------------------------------
    def frame(self, epoch: int, since: int, lines: Sequence[int], seen: int, place: int = 0) -> Plain:
        """Everything, or what is new: how far the run has been made again. Waits for news when there is none."""
        self.touched = time.monotonic()
        with self._changed:
            if self.version == seen and epoch == 1 and not self.closed:
                self._changed.wait(WAIT_S)
        self.touched = time.monotonic()
        found: Plain = {
            **{"version": self.version, "epoch": 1, "playing": False, "problem": "", "kind": "replay"},
            **{"building": False, "closed": self.closed, "rebuilt": self.rebuilt, "note": self.problem},
        }
        if epoch != 1:
            place = place if 0 <= place < len(self.places) else 0
            mine = told(self.scenario, self.steps[place], self.lines[place]) | {"running": False}
            found |= {"arms": [mine], "since": 0, "lines_from": [0]}
            found["about"] = about(self.scenario, self.source, place) | {"arms": ["run"], "complete": self.complete}
        return found

    def tab(self, name: str, place: int, at: int, arguments: Mapping[str, Any]) -> Plain:
        """A tab as it was at the last reading before the end of tick `at`; None while it is not made yet."""
        self.touched = time.monotonic()
        with self._changed:
            if self._maker is None:
                self._maker = threading.Thread(target=self._make, name="lab replay", daemon=True)
                self._maker.start()
        at = at if at >= 0 else self.steps[0].size
        found: Plain = {"tick": -1, "data": None}
        arm = self.arm
        if arm is not None and 0 <= place < len(arm.past.places):
            reached = self._reached
            if at <= reached or name == "heatmap":
                found = arm.past.at(name, place, min(at, reached), arguments)
        return {
            "name": name,
            "epoch": 1,
            "place": place,
            "arms": [found],
            "rebuilt": self.rebuilt,
            "note": self.problem,
        }

    def chain(self, seq: int, arm: int = 0) -> list[story.Line]:
        """What an event goes back to."""
        return story.chain(self.kept, seq, self.facts)

    def toml(self) -> str:
        """The run's scenario as text."""
        return controls.as_toml(self.scenario, self.scenario.name)

    def close(self) -> None:
        """End the thread and let go of the model."""
        self.closed = True
        self._say()
        if self._maker is not None and threading.current_thread() is not self._maker:
            self._maker.join(timeout=30)
        self.arm = None
        give_back()


def same(made: np.void, kept: np.void) -> bool:
    """Whether two ticks are equal, nan to nan."""
    return all(a == b or (a != a and b != b) for a, b in zip(made.item(), kept.item(), strict=True))


def records(frame: Any, dtype: np.dtype[Any]) -> NDArray[np.void]:
    """A table of a run folder as the structured array it was written from, (n,) of `dtype`."""
    rows = np.zeros(len(frame), dtype)
    for name in dtype.names or ():
        rows[name] = frame[name].to_numpy()
    return rows


def all_lines(
    kept: NDArray[np.void], steps: NDArray[np.void], facts: Mapping[str, Any], place: Mapping[str, Any]
) -> list[story.Line]:
    """The log of a whole run at one place, tick by tick, as a live model tells it."""
    found: list[story.Line] = []
    marks = dict(zip(steps["tick"].tolist(), steps["mark_usd"].tolist(), strict=True))
    starts = np.flatnonzero(np.diff(kept["tick"], prepend=-1)) if kept.size else np.zeros(0, np.int64)
    teller = story.Teller(place)
    for rows in np.split(kept, starts[1:]) if kept.size else ():
        found += teller.lines(rows, facts, marks.get(int(rows["tick"][0]), 0.0))
    return found
