"""One window's own model: a worker thread steps it, and nobody else touches it.

The window's requests only read what the worker has published (columns of finished ticks, log lines, the tab it asked
for) and leave wishes: play, pause, step, reset, shock. Two windows share nothing. A session whose window is gone is
closed, and its models go with it.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abm.app import controls, series, story, tabs
from abm.events import EVENT
from abm.recorder import Recorder, forced_rows
from abm.records import joined
from abm.scenario import Scenario

if TYPE_CHECKING:
    from abm.model import MarketModel

Plain = dict[str, Any]
WAIT_S = 8.0
"""A request for news is answered after so long even if there is none."""
TAB_S, MAP_COLUMNS = 0.2, 240
"""Least time between two readings of a tab while the model runs; columns of the map of liquidation prices."""
FASTEST = 0.0


class Watcher(Recorder):
    """A recorder that keeps the ticks, and of the events those that tell the story (no ordinary fills but causes)."""

    def __init__(self) -> None:
        super().__init__("fills")
        self.story: list[NDArray[np.void]] = []
        self.lines: list[story.Line] = []
        self._fresh: NDArray[np.void] | None = None
        self._teller = story.Teller()

    def events(self, rows: NDArray[np.void]) -> None:
        """Events of one tick; what is no ordinary fill is kept."""
        self._fresh = forced_rows(rows) if rows.size else None
        if self._fresh is not None and self._fresh.size:
            self.story.append(self._fresh)

    def step(self, row: Any) -> None:
        """The tick is over: its lines of the log."""
        super().step(row)
        if self._fresh is not None and self._fresh.size:
            mark = float(self.steps_array["mark_usd"][-1])
            self.lines += self._teller.lines(self._fresh, self.facts, mark)
        self._fresh = None

    @property
    def kept(self) -> NDArray[np.void]:
        """All events kept, by seq."""
        return joined(self.story) if self.story else np.zeros(0, EVENT)


@dataclass
class Arm:
    """One model of a session; a comparison has two. `map` has the liquidation profile by time."""

    scenario: Scenario
    words: str
    watcher: Watcher
    model: MarketModel
    map: list[tuple[int, list[float], list[float]]] = field(default_factory=list)
    map_every: int = 1

    @classmethod
    def of(cls, scenario: Scenario, words: str, watcher: Callable[[], Watcher] = Watcher) -> Arm:
        """A model at its opening."""
        from abm.model import MarketModel

        kept = watcher()
        arm = cls(scenario, words, kept, MarketModel(scenario, recorder=kept))
        arm.map_every = max(1, scenario.ticks // MAP_COLUMNS)
        arm.note_map()
        return arm

    def step(self) -> None:
        """One tick, if there is one left."""
        if self.model.running:
            self.model.step()
            if self.model.tick % self.map_every == 0:
                self.note_map()

    def note_map(self) -> None:
        """One column of the map."""
        edges = tabs.map_edges(self.scenario.world.start_price_usd)
        self.map.append((self.model.tick, *tabs.liquidation_profile(self.model, edges)))

    def shock(self, percent: Any) -> None:
        """A change of the fair value in the next tick; it belongs to the scenario from now on."""
        from abm.world import NewsStep

        scenario, item = controls.shocked(self.scenario, self.model.tick, percent)
        step = NewsStep(scenario.news_seconds(item), item.over_s, item.change_percent / 100.0)
        self.model.world.schedule(step)
        self.scenario = self.model.setup = scenario


class Session:
    """A live model (or two, compared in step) for one window.

    `base` is what the window was opened with, `source` its name for people and TOML. All models are built and stepped
    by the worker thread.
    """

    def __init__(self, base: Scenario, source: str, watcher: Callable[[], Watcher] = Watcher) -> None:
        self.base, self.source, self._watcher = base, source, watcher
        self.arms: list[Arm] = []
        self.epoch = self.version = 0
        self.playing, self.closed, self.problem = False, False, ""
        self.speed = 60.0
        self.touched = time.monotonic()
        self._changed = threading.Condition()
        self._wishes: list[Callable[[], None]] = []
        self._tab: tuple[str, Mapping[str, Any]] = ("market", {})
        self._shown: Plain = {}
        self._shown_at = (-1, 0.0)
        self._due = 0.0
        self._wish(lambda: self._build([(base, "as it is")]))
        self._worker = threading.Thread(target=self._work, name="lab model", daemon=True)
        self._worker.start()

    # --- wishes (any thread) ------------------------------------------------------------------------------------------
    def _wish(self, what: Callable[[], None]) -> None:
        with self._changed:
            self._wishes.append(what)
            self._changed.notify_all()

    def play(self, on: bool) -> None:
        """Run or hold."""

        def wish() -> None:
            self.playing, self._due = on and self.running, time.monotonic()

        self._wish(wish)

    def step(self, ticks: int = 1) -> None:
        """Hold, and go on by so many ticks."""

        def wish() -> None:
            self.playing = False
            for _ in range(min(max(ticks, 1), 1_000)):
                self._step()

        self._wish(wish)

    def set_speed(self, times: float) -> None:
        """Model time over wall time; 0 = as fast as it goes."""
        self.speed, self._due = max(float(times), 0.0), time.monotonic()

    def reset(self, values: controls.Values, base: Scenario | None = None, source: str = "") -> None:
        """Begin again with these values. Raises `FieldError`, and then nothing has changed."""
        scenario = controls.applied(base or self.base, values)
        if base is not None:
            self.base, self.source = base, source
        self._wish(lambda: self._build([(scenario, "as it is")]))

    def compare(self, values: controls.Values) -> None:
        """Begin again with two models in step: the scenario as it was opened, and with these values."""
        changed = controls.applied(self.base, values)
        if changed == self.base:
            raise controls.FieldError({"": "nothing to compare: change a control first"})
        self._wish(lambda: self._build([(self.base, "as it is"), (changed, "changed")]))

    def shock(self, percent: Any) -> None:
        """A change of the fair value in the next tick of every model. Raises `FieldError` for a bad number."""
        if not self.arms:
            raise controls.FieldError({"shock": "the model is still being built"})
        controls.shocked(self.arms[0].scenario, self.arms[0].model.tick, percent)

        def wish() -> None:
            for arm in self.arms:
                arm.shock(percent)

        self._wish(wish)

    def close(self) -> None:
        """End the worker and let go of the models."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()
        if threading.current_thread() is not self._worker:
            self._worker.join(timeout=30)

    # --- the worker ---------------------------------------------------------------------------------------------------
    @property
    def running(self) -> bool:
        """Whether any model has ticks left."""
        return any(arm.model.running for arm in self.arms)

    def _work(self) -> None:
        while True:
            with self._changed:
                if not (self.closed or self._wishes or self.playing):
                    self._changed.wait()
                if self.closed:
                    break
                wishes, self._wishes = self._wishes, []
            try:
                for wish in wishes:
                    wish()
                if self.playing:
                    self._play()
                self._read_tab(force=bool(wishes) or not self.playing)
            except Exception as error:  # the window says what happened; the server and other windows go on
                self.problem, self.playing = f"{type(error).__name__}: {error}", False
            self._say()
        self.arms, self._shown = [], {}
        gc.collect()  # a model is large, and dies in a reference cycle

    def _say(self) -> None:
        with self._changed:
            self.version += 1
            self._changed.notify_all()

    def _build(self, wanted: list[tuple[Scenario, str]]) -> None:
        self.playing, self.problem, self.arms = False, "", []
        self._say()
        self.arms = [Arm.of(scenario, words, self._watcher) for scenario, words in wanted]
        self.epoch += 1

    def _step(self) -> None:
        for arm in self.arms:
            arm.step()
        if not self.running:
            self.playing = False

    def _play(self) -> None:
        """One tick when it is due; slow speeds wait, and wake for wishes."""
        if self.speed > FASTEST:
            tick_s = self.base.tick_s / self.speed
            with self._changed:
                left = self._due - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                    if self._wishes or self.closed or self._due > time.monotonic():
                        return
            self._due = max(self._due + tick_s, time.monotonic() - 0.1)
        self._step()

    def _read_tab(self, force: bool) -> None:
        if not self.arms:
            return
        now, tick = time.monotonic(), self.arms[0].model.tick
        if not force and (self._shown_at[0] == tick or now - self._shown_at[1] < TAB_S):
            return
        name, arguments = self._tab
        self._shown = {"name": name, "tick": tick, **read_tab(self.arms[0], name, arguments)}
        self._shown_at = (tick, now)

    # --- what the window reads ----------------------------------------------------------------------------------------
    def frame(self, epoch: int, since: int, lines: int, seen: int, tab: str, arguments: Mapping[str, Any]) -> Plain:
        """What is new for a window that has `since` ticks and `lines` log lines of `epoch`, as of version `seen`.

        Waits for news when there is none.
        """
        self.touched = time.monotonic()
        if (tab, arguments) != self._tab:
            self._tab = (tab, arguments)
            self._wish(lambda: None)
        with self._changed:
            if self.version == seen and not self.closed:
                self._changed.wait(WAIT_S)
            version, arms, now = self.version, list(self.arms), self.epoch
        self.touched = time.monotonic()
        if epoch != now:
            since = lines = 0
        found: Plain = {
            **{"version": version, "epoch": now, "playing": self.playing, "problem": self.problem},
            **{"kind": "live", "building": not arms and not self.problem, "speed": self.speed, "closed": self.closed},
        }
        if arms:
            found["arms"] = [arm_frame(arm, since, lines if not i else 0) for i, arm in enumerate(arms)]
            found |= {"since": since, "lines_from": lines, "tab": self._shown}
            if epoch != now:
                found["about"] = about(arms[0].scenario, self.source) | {"arms": [arm.words for arm in arms]}
        return found

    def chain(self, seq: int) -> list[story.Line]:
        """What an event goes back to."""
        arms = self.arms
        return story.chain(arms[0].watcher.kept, seq, arms[0].watcher.facts) if arms else []

    def toml(self) -> str:
        """The scenario of the (first) model as text, shocks included."""
        if not self.arms:
            raise controls.FieldError({"": "the model is still being built"})
        return controls.as_toml(self.arms[-1].scenario, self.source)


def about(scenario: Scenario, source: str) -> Plain:
    """What a window must know of a scenario once."""
    duration = scenario.duration_s
    return {
        **{"name": scenario.name, "title": scenario.title, "source": source, "seed": scenario.seed},
        **{"accounts": scenario.accounts, "ticks": scenario.ticks, "tick_s": scenario.tick_s},
        "start_ms": round(scenario.start.timestamp() * 1000),
        "duration_s": duration,
        "venue": scenario.venue.title,
        "controls": controls.described(scenario),
        "bar_s": series.bin_s(duration, series.BARS, scenario.tick_s),
        "bubble_s": series.bin_s(duration, series.BUBBLES, max(10.0 if duration > 1_000 else 1.0, scenario.tick_s)),
        "depth_normal_usd": scenario.makers.depth_coins * scenario.world.start_price_usd,
        "map_edges_usd": tabs.map_edges(scenario.world.start_price_usd).tolist(),
        "news": [
            {"seconds": scenario.news_seconds(item), "label": item.label or item.name, "percent": item.change_percent}
            for item in scenario.news
        ],
    }


def arm_frame(arm: Arm, since: int, lines: int) -> Plain:
    """New ticks, bins and lines of one model."""
    steps, facts = arm.watcher.steps_array, about_bins(arm.scenario)
    told = arm.watcher.lines
    return {
        "columns": series.columns(steps, arm.scenario.tick_s, since),
        "bars": series.forced_bins(steps, arm.scenario.tick_s, facts[0], since) if steps.size > since else [],
        "bubbles": series.forced_bins(steps, arm.scenario.tick_s, facts[1], since) if steps.size > since else [],
        "lines": told[lines:],
        "running": arm.model.running,
        "news": [
            {"seconds": arm.scenario.news_seconds(item), "label": item.label or item.name} for item in arm.scenario.news
        ],
    }


def about_bins(scenario: Scenario) -> tuple[float, float]:
    """Lengths of bars and of bubbles, seconds."""
    duration, tick_s = scenario.duration_s, scenario.tick_s
    bubbles = series.bin_s(duration, series.BUBBLES, max(10.0 if duration > 1_000 else 1.0, tick_s))
    return series.bin_s(duration, series.BARS, tick_s), bubbles


def read_tab(arm: Arm, name: str, arguments: Mapping[str, Any]) -> Plain:
    """The data of a tab as of the tick the model stands at."""
    model = arm.model
    if name == "book":
        return {"data": tabs.book(model)}
    if name == "traders":
        picked = int(arguments.get("account", -1))
        data = tabs.traders(model, str(arguments.get("order", "nearest")), picked)
        if data["picked"]:
            data["story"] = story.account_story(arm.watcher.kept, picked, arm.watcher.facts)
        return {"data": data}
    if name == "venue":
        return {"data": tabs.venue(model)}
    if name == "treasuries":
        return {"data": tabs.treasuries(model)}
    if name == "heatmap":
        return {"data": {"columns": [list(column) for column in arm.map]}}
    return {"data": {}}
