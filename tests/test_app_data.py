"""The lab without a browser: what the page is given equals the model, sliders and text give the same run."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from abm import MarketModel
from abm.app import about, controls, ledger, past, series, story, tabs
from abm.app.session import Arm
from abm.app.watcher import Watcher
from abm.events import BY_LIQUIDATION, FILL_EVENT, LIQUIDATION
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
    kept, lines = arm.watcher.kept, arm.watcher.lines[0]
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
    place = model.places[0]
    now = ledger.ledger_now(model, place)
    shown = ledger.traders(model, place, now)
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
    row = ledger.account(model, place, now, int(handle.row))
    beside = row["cash_usd"] if row["mode"] == "isolated" else 0.0  # free cash does not stand for an isolated position
    assert row["equity_usd"] + beside == pytest.approx(handle.equity)
    assert row["liquidation_usd"] == pytest.approx(handle.liquidation_price)


def test_every_tab_is_plain_data_and_the_models(arm: Arm) -> None:
    model = arm.model
    for name in ("book", "traders", "venue", "treasuries", "heatmap"):
        json.dumps(arm.past.now(name, 0, {"account": 400, "order": "largest"}), allow_nan=False)
    book = arm.past.now("book", 0, {})["data"]
    ticks, lots = model.books.ladder(model.perp, 1)
    near = np.abs(ticks * 0.1 / book["mid_usd"] - 1) <= tabs.BOOK_REACH
    resting = sum(sum(book["bids"][kind]) for kind in ("makers", "people", "forced"))
    assert resting == pytest.approx(float(lots[near].sum()) * 0.001)
    venue = arm.past.now("venue", 0, {})["data"]
    assert venue["fund_usd"] == model.exchanges.fund_equity(0) / 1e6
    queue = venue["queues"]["shorts"]["first"]
    assert queue and venue["ranked"]
    closed = [one["taken_coins"] > 0 for one in queue]
    assert closed == sorted(closed, reverse=True)  # the queue is closed from its head
    company = arm.past.now("treasuries", 0, {})["data"]["companies"][0]
    assert company["ltv_percent"] == pytest.approx(100 * model.latest["treasury_ltv"])
    longs, shorts = arm.past.kept[0].maps[-1][1:]
    assert sum(longs) > 0 and sum(shorts) > 0


def test_book_shows_all_forced_trades(arm: Arm) -> None:
    """What forced orders traded in the last minute, by price; all of it, near and beyond the reach of the chart."""
    book = arm.past.now("book", 0, {})["data"]
    shown = sum(sum(book[side]["traded_by_force"]) + book[side]["forced_beyond"] for side in ("bids", "asks"))
    kept = arm.watcher.kept
    forced = kept[
        (kept["kind"] == FILL_EVENT) & (kept["reason"] == BY_LIQUIDATION) & (kept["market"] == arm.model.perp)
    ]
    late = forced[forced["tick"] > arm.model.tick - tabs.FORCED_S]
    assert late.size and shown == pytest.approx(float(late["size_lots"].sum()) * 0.001)


def test_the_past_is_what_the_tabs_showed(arm: Arm) -> None:
    """At an earlier tick every tab is what it was then."""
    made = Arm.of(arm.scenario, "again")
    for _ in range(40):
        made.step()
    for name in ("book", "venue", "treasuries", "traders"):
        then = made.past.now(name, 0, {"account": 400})
        assert arm.past.at(name, 0, 40, {"account": 400}) == then, name
        assert arm.past.at(name, 0, 40, {})["tick"] == 40
    assert arm.past.at("heatmap", 0, 40, {})["data"]["columns"][:41] == made.past.kept[0].maps
    ticks, values = arm.past.kept[0].ledgers.history(400, 40)
    assert ticks == list(range(41)) and values[0, -1] == made.model.accounts.position[0, 400]
    assert arm.past.at("book", 0, -1, {}) == {"tick": -1, "data": None}


def test_readings_of_a_long_run_are_bounded() -> None:
    scenario = load_scenario("october-2025")
    assert scenario.ticks == 12_000 and past.kept_every(scenario) == 40
    assert past.kept_every(load_scenario("tiny")) == 1


def test_every_venue_and_altcoin_has_its_own_numbers() -> None:
    for name, expected in (("two-venues", 2), ("altcoin-spillover", 4)):
        scenario = load_scenario(name).changed({"accounts": 200})
        made = Arm.of(scenario, "")
        for _ in range(15):
            made.step()
        places = past.places_of(made.model)
        assert len(places) == len(about.places_of(scenario)) >= min(expected, 2)
        seen = set()
        for number, place in enumerate(places):
            shown = made.told(number, 15)["columns"]
            dollars = made.model.markets.tick_dollars[place.perp]
            assert shown["mark_usd"][-1] == made.model.exchanges.mark_ticks[place.perp] * dollars
            assert len(shown["tick"]) == len(made.told(0, 15)["columns"]["tick"])
            for tab in ("book", "traders", "venue", "treasuries", "heatmap"):
                json.dumps(made.past.now(tab, number, {}), allow_nan=False)
            seen.add(shown["mark_usd"][-1])
        assert len(seen) == len(places)


def test_looking_changes_nothing() -> None:
    """A watched model makes the events of one that nobody looks at."""
    scenario = load_scenario("tiny").changed({"duration_s": 30})
    watched = Arm.of(scenario, "", Hashing)
    while watched.model.running:
        watched.step()
        for name in ("book", "traders", "venue", "treasuries", "heatmap"):
            watched.past.now(name, 0, {"account": 100})
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
    base = load_scenario("tiny")
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
        controls.applied(load_scenario("tiny"), values)
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
