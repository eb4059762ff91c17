"""One window's own model: a worker thread steps it, and nobody else touches it.

The window's requests only read what the worker has published (columns of finished ticks, log lines, readings of the
tabs) and leave wishes: play, pause, step, reset, shock. Two windows share nothing. A session whose window is gone is
closed, and its models go with it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from abm.app import controls, story
from abm.app.about import about, told
from abm.app.memory import give_back
from abm.app.past import Past
from abm.app.watcher import Watcher
from abm.scenario import Scenario

if TYPE_CHECKING:
    from abm.model import MarketModel

Plain = dict[str, Any]
WAIT_S = 8.0
"""A request for news is answered after so long even if there is none."""
FASTEST = 0.0
BREATH_SHARE, BREATH_S = 0.08, 0.002
"""After a tick the worker stands still for this share of its time, at most so long, so that requests are answered."""
ANSWER_S, ASK_S = 30.0, 0.25
"""How long a request waits for the model to end its tick; how often it looks whether the session was closed."""


@dataclass
class Arm:
    """One model of a session; a comparison has two. `past` has what the tabs showed at earlier ticks."""

    scenario: Scenario
    words: str
    watcher: Watcher
    model: MarketModel
    past: Past

    @classmethod
    def of(cls, scenario: Scenario, words: str, watcher: Callable[[], Watcher] = Watcher) -> Arm:
        """A model at its opening."""
        from abm.model import MarketModel

        kept = watcher()
        kept.alts = [coin.name for coin in scenario.alts]
        model = MarketModel(scenario, recorder=kept)
        return cls(scenario, words, kept, model, Past(model, kept))

    def step(self) -> None:
        """One tick, if there is one left."""
        if self.model.running:
            self.model.step()
            self.past.after_step()

    def told(self, number: int, upto: int, since: int = 0, from_line: int = 0) -> Plain:
        """Ticks until `upto`, bins and lines of one of its places."""
        steps, lines = self.watcher.steps_of(number)[:upto], self.watcher.lines[number]
        return told(self.scenario, steps, lines, since, from_line) | {"running": self.model.running}

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
                while wishes:  # none is kept: the question of a tab refers to models
                    wishes.pop(0)()
                if self.playing:
                    self._play()
            except Exception as error:  # the window says what happened; the server and other windows go on
                self.problem, self.playing = f"{type(error).__name__}: {error}", False
            self._say()
        self.arms, self._wishes = [], []
        give_back()

    def _say(self) -> None:
        with self._changed:
            self.version += 1
            self._changed.notify_all()

    def _build(self, wanted: list[tuple[Scenario, str]]) -> None:
        self.playing, self.problem, self.arms = False, "", []
        self._say()
        if self.epoch:
            give_back()  # before there are twice as many
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
        begin = time.perf_counter()
        self._step()
        time.sleep(min(BREATH_SHARE * (time.perf_counter() - begin), BREATH_S))  # requests that wait go first

    # --- what the window reads ----------------------------------------------------------------------------------------
    def frame(self, epoch: int, since: int, lines: Sequence[int], seen: int, place: int = 0) -> Plain:
        """What is new for a window that has `since` ticks and so many log lines of each model of `epoch`, as of `seen`.

        Waits for news when there is none.
        """
        self.touched = time.monotonic()
        with self._changed:
            if self.version == seen and not self.closed:
                self._changed.wait(WAIT_S)
            version, arms, now = self.version, list(self.arms), self.epoch
        self.touched = time.monotonic()
        if epoch != now:
            since, lines = 0, ()
        found: Plain = {
            **{"version": version, "epoch": now, "playing": self.playing, "problem": self.problem},
            **{"kind": "live", "building": not arms and not self.problem, "speed": self.speed, "closed": self.closed},
        }
        if arms:
            place = place if 0 <= place < len(arms[0].past.places) else 0
            have = [*lines, *(0 for _ in arms)]
            upto = min(arm.watcher.steps_array.size for arm in arms)
            found["arms"] = [arm.told(place, upto, since, have[i]) for i, arm in enumerate(arms)]
            found |= {"since": since, "lines_from": have[: len(arms)]}
            if epoch != now:
                found["about"] = about(arms[0].scenario, self.source, place) | {"arms": [arm.words for arm in arms]}
        return found

    def tab(self, name: str, place: int, at: int, arguments: Mapping[str, Any]) -> Plain:
        """A tab of every model as it stands (`at` < 0), or as it was at the last reading before the end of tick `at`.

        The model itself is read between two ticks by the thread that steps it.
        """
        self.touched = time.monotonic()
        arms = self.arms
        if not arms:  # it is still being built
            return {"name": name, "epoch": self.epoch, "place": place, "arms": [{"tick": -1, "data": None}]}
        if not 0 <= place < len(arms[0].past.places):
            raise controls.FieldError({"": "there is no such place"})
        if 0 <= at < arms[0].model.tick or name == "heatmap":
            shown = [arm.past.at(name, place, at if at >= 0 else arm.model.tick, arguments) for arm in arms]
        else:
            shown = self._ask(lambda: [arm.past.now(name, place, arguments) for arm in arms])
        return {"name": name, "epoch": self.epoch, "place": place, "arms": shown}

    def _ask(self, question: Callable[[], list[Plain]]) -> list[Plain]:
        """The answer of the thread that steps the models; no data while it does something longer than a tick."""
        answered, answer = threading.Event(), []

        def wish() -> None:
            try:
                answer.extend(question())
            finally:
                answered.set()

        self._wish(wish)
        until = time.monotonic() + ANSWER_S
        while not (answered.wait(ASK_S) or self.closed or time.monotonic() > until):
            pass
        return answer or [{"tick": -1, "data": None}]

    def chain(self, seq: int, arm: int = 0) -> list[story.Line]:
        """What an event of a model goes back to."""
        arms = self.arms
        if not 0 <= arm < len(arms):
            return []
        return story.chain(arms[arm].watcher.kept, seq, arms[arm].watcher.facts)

    def toml(self) -> str:
        """The scenario of the (last) model as text, shocks included."""
        if not self.arms:
            raise controls.FieldError({"": "the model is still being built"})
        return controls.as_toml(self.arms[-1].scenario, self.source)
