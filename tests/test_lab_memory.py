"""Windows opened and closed leave nothing behind: no live model, and no memory that grows."""

from __future__ import annotations

import multiprocessing
import threading
import time
import weakref
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import pytest

from abm import MarketModel
from abm.app.memory import give_back, one_heap
from abm.app.server import TABS, Lab, Server
from abm.app.session import Session
from abm.scenario import load_scenario
from benchmarks.lab import resident_mb

FALL = {"news.shock.change_percent": -9.0, "venue.backstop.size_usd": 2_000_000}
WARM, CYCLES, TICKS, MOST_MB = 3, 9, 8, 40.0
"""Windows before memory is compared, windows in all, ticks of each model; growth that is no leak (the six
windows after the first three have 24 models of some 20 MB)."""


def waited(condition: Any) -> None:
    for _ in range(12_000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come")


def reached(session: Session, epoch: int) -> bool:
    return session.epoch == epoch


def visit(lab: Lab, ticks: int) -> list[weakref.ref[Any]]:
    """One window, all it can ask, and its end; what must not outlive it."""
    token = lab.open({})["session"]
    session = lab.sessions[token]
    assert isinstance(session, Session)
    left: list[weakref.ref[Any]] = []
    wishes = (lambda: None, lambda: session.reset({"seed": 2}), lambda: session.compare({"rule": "pro-rata"}))
    for epoch, wish in enumerate(wishes, 1):
        wish()
        waited(partial(reached, session, epoch))
        left += [weakref.ref(part) for arm in session.arms for part in (arm.model, arm.watcher, arm.past)]
        session.shock(-2)
        session.step(ticks)
        for name in TABS:
            assert session.tab(name, 0, -1, {"account": 5})["arms"][0]["data"] is not None
        session.frame(-1, 0, (), -1)
        session.chain(3)
        session.toml()
    session.set_speed(0)
    session.play(True)
    lab.close(token)
    return left


def cycles(many: int, ticks: int) -> tuple[list[int], list[float]]:
    """After each of so many windows: objects of it that live, and the memory of the process, MB."""
    alive, memory = [], []
    lab = Lab(load_scenario("tiny").changed(FALL), "tiny")
    with Server(lab):
        for _ in range(many):
            left = visit(lab, ticks)
            alive.append(sum(one() is not None for one in left))
            memory.append(resident_mb())
    return alive, memory


def test_closed_windows_leave_no_model_and_no_memory() -> None:
    """In a process of its own, whose memory no other test has touched."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        alive, memory = pool.submit(cycles, CYCLES, TICKS).result(timeout=900)
    assert alive == [0] * CYCLES
    assert max(memory[WARM:]) <= max(memory[:WARM]) + MOST_MB or memory[0] != memory[0], memory


def test_a_question_of_a_closed_window_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tab asked of a model that is in the middle of a long tick does not hold the model after the window has gone."""
    session = Session(load_scenario("tiny"), "tiny")
    waited(lambda: session.arms)
    monkeypatch.setattr(session, "_wish", lambda what: None)  # the worker never comes to it
    asking = threading.Thread(target=lambda: session.tab("book", 0, -1, {}))
    asking.start()
    session.close()
    asking.join(timeout=5)
    assert not asking.is_alive()


def test_without_glibc_nothing_is_asked_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("abm.app.memory._glibc", lambda: None)
    model = MarketModel(load_scenario("tiny"))
    left = weakref.ref(model)
    del model
    one_heap()
    give_back()
    assert left() is None
