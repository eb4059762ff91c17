"""The rows of real figures: complete, in order, each about a measure that exists, for the scenarios they belong to."""

import math
import re

import numpy as np
import pytest

from abm.measures import summary
from abm.scenario import load_scenario
from abm.targets import EVENTS, SILENT, TARGETS, event_of, october, others, subject, targets_of
from tests.test_measures import event, flat, run_of

EVERY = (
    *(*october.HEADLINES, *october.MORE, *others.SEPTEMBER, *others.NOVEMBER, *others.CALM),
    *(target for group in (*october.VENUES.values(), *october.MORE_VENUES.values()) for target in group),
)
STATED = {
    "minutes_to_low": (26.5, 34.5), "fall_percent": (-16, -11), "legs": (2, 6), "long_share_percent": (84, 93),
    "recovery_5min_percent": (25, 65), "depth_ratio": (50, 200), "window_net_taker_percent": (-20, -5),
}  # fmt: skip


def test_every_row_is_complete() -> None:
    for target in EVERY:
        assert target.low <= target.high and target.grade in "ABCM" and target.source and target.row, target
        assert math.isnan(target.real) or target.low <= target.real <= target.high, target
        left_out = target.bound or target.follows or target.given
        assert target.counted == (target.grade in "AB" and not left_out)


def test_bands_that_were_stated_before() -> None:
    found = {target.key: (target.low, target.high) for target in (*october.HEADLINES, *october.MORE)}
    assert {key: found[key] for key in STATED} == STATED


def test_measures_exist() -> None:
    """Each key is one of a run's measures (prices at moments only where the run is of that day)."""
    rows = event(1, 1)
    have = set(summary(run_of(flat(40), rows)))
    have |= {"published_share_percent", "adl_mean_price_percent"}  # of each venue
    for start in ("2025-09-22T05:45:00+00:00", "2025-11-04T14:55:00+00:00"):
        have |= set(summary(run_of(flat(1200), start=start)))
    assert {target.key for target in EVERY} <= have


def test_no_row_twice_and_no_reason_missing() -> None:
    numbers = [(one.row, one.what) for one in SILENT]
    assert len(set(numbers)) == len(numbers) and all(one.reason for one in SILENT)
    assert all(re.fullmatch(r"[1-8]\.\d+[bc]?", one.row) for one in (*SILENT, *EVERY))


@pytest.mark.parametrize("name", ["october-2025", "september-2025", "november-2025-early"])
def test_scenarios_of_the_events_are_recognised(name: str) -> None:
    chosen = load_scenario(name, accounts=300)
    assert subject(chosen) == name
    assert targets_of(chosen) and {target.venue for target in targets_of(chosen)} == {""}


def test_rows_of_venues_where_they_are_in_the_world() -> None:
    rows = targets_of(load_scenario("october-2025-venues", accounts=300))
    assert {target.venue for target in rows} == {"", "binance", "bybit", "hyperliquid"}
    assert rows[: len(TARGETS)] == TARGETS
    assert next(target for target in rows if target.key == "adl_usd").path == "venues.hyperliquid.adl_usd"


def test_nothing_is_held_against_the_wrong_market() -> None:
    assert targets_of(load_scenario("tiny")) == () and event_of(load_scenario("tiny")) is None
    short, month = targets_of(load_scenario("calm")), targets_of(load_scenario("calm-month"))
    assert not any(target.key.startswith("bar_") for target in short)
    assert sum(target.key.startswith("bar_") for target in month) == 8


def test_events_agree_with_their_rows() -> None:
    for one, rows in zip(EVENTS, (october.HEADLINES, others.SEPTEMBER, others.NOVEMBER), strict=True):
        real = {target.key: target.real for target in rows}
        assert real["fall_percent"] == pytest.approx(one.fall_percent, abs=0.05)
        minutes = (one.low_time - one.reference).total_seconds() / 60
        assert real["minutes_to_low"] == pytest.approx(minutes, abs=0.1)
    assert np.isclose(1 / EVENTS[0].left["60min"], 4.2, atol=0.05)
