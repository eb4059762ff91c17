"""Sessions of the lab without a browser: play, reset, comparison; finished runs and the state behind them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from abm import MarketModel
from abm.app import controls, series
from abm.app.replay import Replay
from abm.app.session import Arm, Session
from abm.app.watcher import Watcher
from abm.recorder import Recorder
from abm.results import RunWriter
from abm.scenario import Scenario, load_scenario

FALL = {"news.shock.change_percent": -9.0, "venue.backstop.size_usd": 2_000_000}


def live(session: Session) -> dict[str, Any]:
    """Frames until the model stands."""
    seen = -1
    for _ in range(500):
        frame = session.frame(-1, 0, (), seen)
        seen = frame["version"]
        if not frame["building"] and "arms" in frame:
            return frame
    raise AssertionError("no model")


def until(session: Session, tick: int) -> None:
    for _ in range(6_000):
        if session.arms and session.arms[0].model.tick >= tick:
            return
        time.sleep(0.01)
    raise AssertionError(f"tick {tick} did not come")


# --- sessions ---------------------------------------------------------------------------------------------------------
def test_a_session_plays_pauses_steps_and_resets() -> None:
    session = Session(load_scenario("tiny"), "tiny")
    try:
        frame = live(session)
        assert frame["about"]["ticks"] == 120 and not frame["playing"]
        session.set_speed(0)
        session.play(True)
        until(session, 10)
        session.play(False)
        session.step()
        time.sleep(0.3)
        tick = session.arms[0].model.tick
        time.sleep(0.2)
        assert session.arms[0].model.tick == tick
        epoch = session.epoch
        with pytest.raises(controls.FieldError):
            session.reset({"depth": -1})
        time.sleep(0.2)
        assert session.epoch == epoch and session.arms[0].model.tick == tick  # the model stays
        session.reset({"seed": 3, "depth": 1000})
        for _ in range(200):
            if session.epoch > epoch:
                break
            time.sleep(0.02)
        setup = session.arms[0].model.setup
        assert (setup.seed, setup.makers.depth_coins, session.arms[0].model.tick) == (3, 1000.0, 0)
    finally:
        session.close()
    assert session.arms == []


def test_two_windows_share_nothing() -> None:
    one, other = Session(load_scenario("tiny"), "tiny"), Session(load_scenario("tiny"), "tiny")
    try:
        live(one), live(other)
        one.shock(-5)
        one.step(4)
        until(one, 4)
        time.sleep(0.1)
        assert other.arms[0].model.tick == 0 and len(other.arms[0].scenario.news) == 1
        assert one.arms[0].scenario.news[-1].change_percent == -5
    finally:
        one.close(), other.close()


def test_compare_runs_two_rules_in_step() -> None:
    session = Session(load_scenario("tiny").changed(FALL), "tiny")
    try:
        live(session)
        with pytest.raises(controls.FieldError):
            session.compare({})
        session.compare({"rule": "pro-rata"})
        for _ in range(200):
            if session.epoch == 2:
                break
            time.sleep(0.02)
        session.step(60)
        until(session, 60)
        time.sleep(0.1)
        frame = session.frame(-1, 0, (), -1)
        assert [arm.model.tick for arm in session.arms] == [60, 60]
        assert frame["about"]["arms"] == ["as it is", "changed"]
        first, second = (arm["columns"]["perp_usd"] for arm in frame["arms"])
        assert first[:20] == second[:20]  # the same seed and, so far, the same world
    finally:
        session.close()


# --- replay -----------------------------------------------------------------------------------------------------------
def finished(folder: Path, scenario: Scenario) -> Path:
    """A run folder."""
    with RunWriter(folder, scenario=scenario.resolved(), name=scenario.name, title="", seed=scenario.seed) as writer:
        MarketModel(scenario, recorder=writer).run()
        writer.finish({}, [])
        writer.publish()
    return folder


def rebuilt(replay: Replay, name: str, at: int) -> dict[str, Any]:
    """A tab of a finished run at a tick, once it is made again so far."""
    for _ in range(600):
        shown = replay.tab(name, 0, at, {"account": 400})
        if shown["arms"][0]["data"] is not None or shown["note"]:
            return shown
        time.sleep(0.02)
    raise AssertionError("not made again")


def test_a_finished_run_tells_the_same(tmp_path: Path) -> None:
    scenario = load_scenario("tiny").changed({**FALL, "duration_s": 60})
    seen = Arm.of(scenario, "")
    for _ in range(60):
        seen.step()
    replay = Replay(finished(tmp_path / "run", scenario))
    try:
        frame = replay.frame(-1, 0, (), -1)
        assert frame["arms"][0]["columns"] == series.columns(seen.watcher.steps_array, 1.0)
        assert frame["arms"][0]["lines"] == seen.watcher.lines[0]
        assert "extends" in replay.toml()
        for name in ("book", "venue", "treasuries", "traders", "heatmap"):  # the state is made again, and is the same
            for at in (60, 33):
                assert rebuilt(replay, name, at)["arms"][0] == seen.past.at(name, 0, at, {"account": 400}), (name, at)
    finally:
        replay.close()


def test_a_run_that_cannot_be_made_again_says_so(tmp_path: Path) -> None:
    replay = Replay(finished(tmp_path / "run", load_scenario("tiny").changed({"duration_s": 30})))
    try:
        replay.steps[0]["mark_usd"][11] += 0.1  # as if another version had written it
        shown = rebuilt(replay, "book", 30)
        assert "another run" in shown["note"] and shown["arms"][0]["data"] is None
        assert len(replay.frame(-1, 0, (), -1)["arms"][0]["columns"]["tick"]) == 30
    finally:
        replay.close()


def test_watcher_is_a_recorder() -> None:
    assert isinstance(Watcher(), Recorder)
