"""The lab without a browser: what the page is given equals the model, sliders and text give the same run."""

from __future__ import annotations

import hashlib
import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from abm import MarketModel
from abm.app import controls, series, story, tabs
from abm.app.replay import Replay
from abm.app.session import Arm, Session, Watcher, read_tab
from abm.events import LIQUIDATION
from abm.recorder import Recorder
from abm.results import RunWriter
from abm.scenario import Scenario, load_scenario
from abm.state import SELL

FALL = {"news.shock.change_percent": -9.0, "venue.backstop.size_usd": 2_000_000}


@pytest.fixture(scope="module")
def arm() -> Arm:
    """A small market in the middle of a cascade."""
    made = Arm.of(load_scenario("tiny").changed(FALL), "as it is")
    for _ in range(70):
        made.step()
    return made


class Hashing(Watcher):
    """Also the digest of every event."""

    def __init__(self) -> None:
        super().__init__()
        self.digest = hashlib.sha256()

    def events(self, rows: NDArray[np.void]) -> None:
        self.digest.update(rows.tobytes())
        super().events(rows)


def digest(scenario: Scenario) -> str:
    found = Hashing()
    MarketModel(scenario, recorder=found).run()
    return found.digest.hexdigest()


def live(session: Session, since: int = 0, tab: str = "market", **arguments: Any) -> dict[str, Any]:
    """Frames until the model stands."""
    seen = -1
    for _ in range(500):
        frame = session.frame(-1, since, 0, seen, tab, arguments)
        seen = frame["version"]
        if not frame["building"] and frame.get("tab", {}).get("name") == tab:
            return frame
    raise AssertionError("no model")


def until(session: Session, tick: int) -> None:
    for _ in range(6_000):
        if session.arms and session.arms[0].model.tick >= tick:
            return
        time.sleep(0.01)
    raise AssertionError(f"tick {tick} did not come")


# --- numbers equal the model's ----------------------------------------------------------------------------------------
def test_columns_are_the_record(arm: Arm) -> None:
    steps = arm.watcher.steps_array
    shown = series.columns(steps, arm.scenario.tick_s)
    for name in series.PLAIN:
        kept = [None if isinstance(v, float) and v != v else v for v in steps[name].tolist()]
        assert shown[name] == kept, name
    assert shown["liquidated_long_total_usd"][-1] == pytest.approx(float(steps["liquidated_long_usd"].sum()))
    assert shown["liquidated_long_total_usd"][-1] > 0
    assert shown["fund_usd"][-1] == arm.model.exchanges.fund_equity(0) / 1e6
    dollars = arm.model.markets.tick_dollars[arm.model.perp]
    assert shown["mark_usd"][-1] == arm.model.exchanges.mark_ticks[arm.model.perp] * dollars
    json.dumps(shown, allow_nan=False)


@pytest.mark.parametrize("since", [1, 23, 69, 70])
def test_parts_join_to_the_whole(arm: Arm, since: int) -> None:
    steps, tick_s = arm.watcher.steps_array, arm.scenario.tick_s
    parts = ((steps, 0), (steps[:since], 0), (steps, since))
    whole, first, rest = (series.columns(rows, tick_s, at) for rows, at in parts)
    for name, values in whole.items():
        assert first[name] + rest[name] == values, name


def test_bins_hold_all_forced_flow(arm: Arm) -> None:
    steps = arm.watcher.steps_array
    for length in (1.0, 2.0, 10.0):
        bins = series.forced_bins(steps, 1.0, length)
        for column, name in ((1, "liquidated_long_usd"), (2, "liquidated_short_usd"), (3, "adl_usd")):
            assert sum(row[column] for row in bins) == pytest.approx(float(steps[name].sum()))
        late = {row[0]: row for row in series.forced_bins(steps, 1.0, length, 45)}
        assert late == {row[0]: row for row in bins if row[0] >= 45 // length}


def test_log_counts_every_liquidation(arm: Arm) -> None:
    kept, lines = arm.watcher.kept, arm.watcher.lines
    longs = kept[(kept["kind"] == LIQUIDATION) & (kept["side"] == SELL)]
    assert longs.size
    assert {line["tick"] for line in lines if line["kind"] == "long"} == set(longs["tick"].tolist())
    steps = arm.watcher.steps_array
    told = sum(line["usd"] for line in lines if line["kind"] in ("long", "short") or "takes over" in line["words"])
    forced = float(steps["liquidated_long_usd"].sum() + steps["liquidated_short_usd"].sum())
    assert told == pytest.approx(forced, rel=0.03)  # sold in the book or taken over; prices differ a little
    assert [line["tick"] for line in lines if line["kind"] == "news"] == [21]  # a slide of ten seconds is told once
    assert {line["kind"] for line in lines} >= {"news", "long", "fund"}


def test_chain_goes_back_through_causes(arm: Arm) -> None:
    kept = arm.watcher.kept
    last = kept[kept["kind"] == LIQUIDATION][-1]
    chain = story.chain(kept, int(last["seq"]), arm.watcher.facts)
    assert chain[0]["seq"] == last["seq"] and chain[1]["seq"] == last["cause"]
    assert all(a["seq"] > b["seq"] for a, b in pairwise(chain))
    assert story.chain(kept, -1, arm.watcher.facts) == []


def test_accounts_are_the_tables(arm: Arm) -> None:
    model = arm.model
    shown = tabs.traders(model)
    slot = int(model.markets.slot[model.perp])
    away = [abs(row["distance_percent"]) for row in shown["rows"]]
    assert away == sorted(away)
    for row in shown["rows"]:
        at = row["account"]
        assert row["coins"] == model.accounts.position[slot, at] * model.markets.lot_coins[model.perp]
        assert row["margin_usd"] == model.accounts.margin[slot, at] / 1e6
        desk = model.exchanges.desks[0]
        ticks = int(desk.ladder.liquidation_ticks(np.array([at]))[0])
        assert row["liquidation_usd"] == ticks * model.markets.tick_dollars[model.perp]
    handle = next(agent for agent in model.agents if type(agent).__name__ == "RetailTrader" and agent.position)
    row = tabs.account(model, int(handle.row))
    beside = row["cash_usd"] if row["mode"] == "isolated" else 0.0  # free cash does not stand for an isolated position
    assert row["equity_usd"] + beside == pytest.approx(handle.equity)
    assert row["liquidation_usd"] == pytest.approx(handle.liquidation_price)


def test_every_tab_is_plain_data(arm: Arm) -> None:
    for name in ("market", "book", "traders", "venue", "treasuries", "heatmap"):
        json.dumps(read_tab(arm, name, {"account": 400, "order": "largest"}), allow_nan=False)
    book = tabs.book(arm.model)
    ticks, lots = arm.model.books.ladder(arm.model.perp, 1)
    near = np.abs(ticks * 0.1 / book["mid_usd"] - 1) <= tabs.BOOK_REACH
    assert sum(book["bids"]["makers"]) + sum(book["bids"]["others"]) == pytest.approx(float(lots[near].sum()) * 0.001)
    venue = tabs.venue(arm.model)
    assert venue["fund_usd"] == arm.model.exchanges.fund_equity(0) / 1e6
    assert venue["queues"]["shorts"]["first"]
    company = tabs.treasuries(arm.model)["companies"][0]
    assert company["ltv_percent"] == pytest.approx(100 * arm.model.latest["treasury_ltv"])
    longs, shorts = tabs.liquidation_profile(arm.model, tabs.map_edges(116_830.0))
    assert sum(longs) > 0 and sum(shorts) > 0


def test_looking_changes_nothing() -> None:
    """A watched model makes the events of one that nobody looks at."""
    scenario = load_scenario("tiny").changed({"duration_s": 30})
    watched = Arm.of(scenario, "", Hashing)
    while watched.model.running:
        watched.step()
        for name in ("book", "traders", "venue", "treasuries", "heatmap"):
            read_tab(watched, name, {"account": 100})
    assert watched.watcher.digest.hexdigest() == digest(scenario)  # type: ignore[attr-defined]


# --- controls ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["tiny", "october-2025", "two-venues", "october-2025-venues"])
def test_controls_say_what_the_scenario_has(name: str) -> None:
    scenario = load_scenario(name)
    shown = {one["key"]: one["value"] for one in controls.described(scenario)}
    assert controls.applied(scenario, shown) is scenario
    assert all(one["line"] for one in controls.described(scenario))


@pytest.mark.parametrize("control", controls.CONTROLS, ids=lambda control: control.key)
def test_every_control_changes_the_scenario(control: controls.Control) -> None:
    base = load_scenario("october-2025")
    wanted: Any = {"switch": True, "select": "pro-rata"}.get(control.kind, control.low + 3 * control.step)
    wanted = {"treasury": 6_000, "treasury_debt": 200, "accounts": 500}.get(control.key, wanted)
    changed = controls.applied(base, {control.key: wanted})
    assert changed != base and control.value(changed) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("values", "key", "part"),
    [
        ({"seed": "x"}, "seed", "not a number"),
        ({"seed": 1.5}, "seed", "whole number"),
        ({"seed": -1}, "seed", "greater than or equal to 0"),
        ({"depth": ""}, "depth", "number is needed"),
        ({"depth": -5}, "depth", "greater"),
        ({"accounts": 10}, "accounts", "50"),
        ({"leveraged": 100}, "leveraged", "between"),
        ({"rule": "nope"}, "rule", "none of"),
        ({"withdrawal": 99}, "withdrawal", "8"),
        ({"breaker": 3}, "breaker", "on or off"),
        ({"treasury": 100}, "treasury_debt", "covenant"),
        ({"fund": float("nan")}, "fund", "not a number"),
        ({"what": 1}, "what", "no such"),
    ],
)
def test_bad_input_has_a_message_beside_it(values: dict[str, Any], key: str, part: str) -> None:
    with pytest.raises(controls.FieldError) as error:
        controls.applied(load_scenario("october-2025"), values)
    assert part in error.value.by_key[key], error.value.by_key


@pytest.mark.parametrize("percent", ["", "x", "0", "-95", None, True, "1e400"])
def test_bad_shocks(percent: Any) -> None:
    with pytest.raises(controls.FieldError):
        controls.shocked(load_scenario("tiny"), 3, percent)


# --- the same run from the command line -------------------------------------------------------------------------------
@pytest.mark.parametrize("tick_s", [1.0, 0.1, 0.7])
def test_toml_gives_identical_events(tick_s: float, tmp_path: Path) -> None:
    """Sliders, two shocks by hand in the middle, then the copied file: the same bytes."""
    early = load_scenario("tiny").changed({"news.shock.at": "20:40:01", "news.shock.over_s": 1})
    base = early.changed({"tick_s": tick_s, "duration_s": 45 * tick_s})
    chosen = controls.applied(base, {"seed": 5, "depth": 900, "fund": 3, "rule": "pro-rata", "dynamic": True})
    arm = Arm.of(chosen, "", Hashing)
    while arm.model.running:
        if arm.model.tick in (3, 21):
            arm.shock("−2.5")
        arm.step()
    text = controls.as_toml(arm.scenario, "tiny")
    file = tmp_path / "copied.toml"
    file.write_text(text, encoding="utf-8")
    again = load_scenario(file)
    assert len(again.news) == 3
    assert digest(again) == arm.watcher.digest.hexdigest()  # type: ignore[attr-defined]


def test_toml_is_short_where_it_can_be(tmp_path: Path) -> None:
    scenario = controls.applied(load_scenario("october-2025"), {"seed": 9, "cap": True})
    text = controls.as_toml(scenario, "october-2025")
    assert 'extends = "october-2025"' in text and len(text.splitlines()) < 12
    unknown = controls.as_toml(scenario, "no-such-file")
    (tmp_path / "all.toml").write_text(unknown, encoding="utf-8")
    assert load_scenario(tmp_path / "all.toml").resolved() == scenario.resolved()


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
        frame = session.frame(-1, 0, 0, -1, "market", {})
        assert [arm.model.tick for arm in session.arms] == [60, 60]
        assert frame["about"]["arms"] == ["as it is", "changed"]
        first, second = (arm["columns"]["perp_usd"] for arm in frame["arms"])
        assert first[:20] == second[:20]  # the same seed and, so far, the same world
    finally:
        session.close()


# --- replay -----------------------------------------------------------------------------------------------------------
def test_a_finished_run_tells_the_same(tmp_path: Path) -> None:
    scenario = load_scenario("tiny").changed({**FALL, "duration_s": 60})
    with RunWriter(tmp_path / "run", scenario=scenario.resolved(), name="tiny", title="", seed=1) as writer:
        MarketModel(scenario, recorder=writer).run()
        writer.finish({}, [])
        writer.publish()
    seen = Watcher()
    MarketModel(scenario, recorder=seen).run()
    frame = Replay(tmp_path / "run").frame(-1, 0, 0, -1, "market", {})
    assert frame["arms"][0]["columns"] == series.columns(seen.steps_array, 1.0)
    assert frame["arms"][0]["lines"] == seen.lines
    assert "extends" in Replay(tmp_path / "run").toml()


def test_watcher_is_a_recorder() -> None:
    assert isinstance(Watcher(), Recorder)
