"""Rules that turn bars into the state of an event, on made-up bars; and that the events change state only."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from abm.model import MarketModel
from abm.scenario import load_scenario
from experiments._events import (
    Bars,
    fall,
    joined,
    left,
    moment,
    news_profile,
    opening_path,
    read_bars,
    read_daily,
    report,
    turning_points,
)
from experiments._events_figure import clock_hour, draw

EVENTS = ("september-2025", "november-2025-early")
MINUTE_S = 60.0
HOUR_S = 3600.0
STATE = {
    *("name", "title", "description", "extends", "start", "duration_s", "accounts", "retail.accounts"),
    *("world.start_price_usd", "world.macro_steps", "news", "treasuries", "state.last_funding_bp"),
    *("makers.depth_coins", "venue.backstop.size_usd", "retail.path_days", "retail.path_ratio"),
    "retail.open_interest_coins",
}
"""All that an event may say differently from October: clock, exogenous news, observed and unobserved state."""


def bars_of(closes: list[float], every_s: float = MINUTE_S, spread: float = 0.0) -> Bars:
    """Bars from price to price; `spread` widens each by a fraction on both sides."""
    close = np.array(closes)
    first = np.concatenate(([close[0]], close[:-1]))
    high, low = np.maximum(first, close) * (1 + spread), np.minimum(first, close) * (1 - spread)
    return Bars(np.arange(close.size) * every_s, first, high, low, close)


def line(*prices: float, steps: int = 50) -> list[float]:
    """Straight lines through these prices."""
    parts = [np.linspace(a, b, steps, endpoint=False) for a, b in pairwise(prices)]
    return [*np.concatenate(parts).tolist(), prices[-1]]


# --- turning points ---------------------------------------------------------------------------------------------------
def test_turning_points_are_the_corners() -> None:
    """Rises and falls beyond the threshold turn; the wiggle of 1 % from 108 does not; the last extreme counts."""
    corners = (100.0, 110.0, 104.0, 108.0, 106.92, 115.0, 105.0, 106.0)
    seconds, prices = turning_points(bars_of(line(*corners)))
    assert prices == pytest.approx([100.0, 110.0, 104.0, 115.0, 105.0])
    assert seconds == pytest.approx(np.array([0, 50, 100, 250, 300]) * MINUTE_S, abs=MINUTE_S)


def test_turning_points_see_wicks() -> None:
    """A spike inside one bar is a turning point at its extreme."""
    bars = bars_of([100.0] * 30)
    bars.low[10] = 95.0
    seconds, prices = turning_points(bars)
    assert prices[:2] == pytest.approx([100.0, 95.0])
    assert seconds[1] == 10 * MINUTE_S


def test_no_turn_in_a_calm_market() -> None:
    seconds, prices = turning_points(bars_of(line(100.0, 101.0, 100.0, 101.5)))
    assert seconds.size == prices.size == 0


@pytest.mark.parametrize("seed", range(5))
def test_turning_points_alternate(seed: int) -> None:
    """On a random walk each leg is as large as the threshold, up and down in turn, and between two of them the price
    stays between them."""
    steps = np.random.Generator(np.random.Philox(seed)).normal(0.0, 0.003, 3_000)
    bars = bars_of((100.0 * np.exp(np.cumsum(steps))).tolist(), spread=0.0005)
    seconds, prices = turning_points(bars)
    assert prices.size > 10
    moves = np.diff(np.log(prices))
    assert (np.sign(moves[1:]) == -np.sign(moves[:-1])).all()
    assert (np.abs(np.expm1(moves[:-1])) >= 0.022 - 1e-9).all()
    for (a, b), (low, high) in zip(pairwise(seconds.tolist()), pairwise(prices.tolist()), strict=True):
        if b <= a + MINUTE_S:
            continue
        here = bars.between(a + MINUTE_S, b)
        assert here.low.min() >= min(low, high) - 1e-9
        assert here.high.max() <= max(low, high) + 1e-9


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.1])
def test_threshold_is_a_fraction(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        turning_points(bars_of([100.0, 101.0]), threshold)


# --- path before the opening ------------------------------------------------------------------------------------------
def test_opening_path_counts_back() -> None:
    """Ages rise from 0 and prices stand relative to the opening; the path ends where it is cut."""
    bars = bars_of(line(100.0, 120.0, 90.0, 105.0, steps=24), every_s=HOUR_S)
    ages, ratios = opening_path(bars, bars.seconds[-1], days=2.5)
    assert ages[0] == 0.0 and ratios[0] == 1.0
    assert list(ages) == sorted(set(ages)) and ages[-1] == pytest.approx(2.5)
    price = bars.price_at(bars.seconds[-1])
    assert [ages[2], ratios[2]] == pytest.approx([1.0, 90.0 / price], abs=0.05)
    assert [ages[3], ratios[3]] == pytest.approx([2.0, 120.0 / price], abs=0.05)


def test_opening_path_knows_nothing_of_later_bars() -> None:
    prices = line(100.0, 110.0, 100.0, 108.0)
    calm, crash = bars_of([*prices, 108.0, 108.0]), bars_of([*prices, 50.0, 300.0])
    start = calm.seconds[len(prices)]
    assert opening_path(calm, start) == opening_path(crash, start)


def test_older_days_stand_before() -> None:
    bars = Bars(*(column + 10 * 86_400.0 * (n == 0) for n, column in enumerate(columns(bars_of(line(100.0, 101.0))))))
    days = bars_of([90.0, 100.0, 95.0] * 4, every_s=86_400.0)
    both = joined(days, bars)
    assert (np.diff(both.seconds) > 0).all()
    assert both.seconds.size == 10 + bars.seconds.size
    assert max(opening_path(both, both.seconds[-1])[0]) > 9.0


def columns(bars: Bars) -> tuple[np.ndarray[Any, Any], ...]:
    return bars.seconds, bars.open, bars.high, bars.low, bars.close


# --- news -------------------------------------------------------------------------------------------------------------
def crash() -> Bars:
    """100 -> 80 within 50 minutes, 85 an hour later, 90 after a day, 84 after two; in bars of 5 minutes."""
    hours = [0.0, 50 / 60, 50 / 60 + 1, 50 / 60 + 24, 50 / 60 + 48, 60.0]
    at = np.arange(0.0, 60.0, 1 / 12)
    return bars_of(np.interp(at, hours, [100.0, 80.0, 85.0, 90.0, 84.0, 84.0]).tolist(), every_s=300.0)


def test_what_is_left() -> None:
    whole = fall(crash(), 0.0, 2 * HOUR_S)
    assert whole.percent == pytest.approx(-20.0)
    shares = [left(crash(), whole, hours) for hours in (1.0, 24.0, 48.0)]
    assert shares == pytest.approx([0.75, 0.5, 0.8], abs=0.025), "to one bar"


def test_news_is_the_part_that_stayed() -> None:
    """The legs together make up what is left of the fall, each in proportion to its part of it."""
    bars = crash()
    whole = fall(bars, 0.0, 2 * HOUR_S)
    legs = [(0.0, 900.0), (1_500.0, 3_600.0)]
    for hours in (1.0, 24.0, 48.0):
        news = news_profile(bars, whole, legs, hours)
        together = np.prod([1 + item.change_percent / 100 for item in news])
        assert together == pytest.approx(1 + left(bars, whole, hours) * whole.percent / 100)
        logs = [np.log1p(item.change_percent / 100) for item in news]
        assert logs[0] / sum(logs) == pytest.approx(np.log(bars.price_at(1_500.0) / 100.0) / np.log(0.8))
        assert [(item.at_s, item.over_s) for item in news] == [(a, b - a) for a, b in legs]
    both, later = news_profile(bars, whole, legs), news_profile(bars, whole, legs[1:])
    assert later == both[1:], "what fell before a scenario is not declared in it"


@pytest.mark.parametrize("legs", [[(10.0, 10.0)], [(0.0, 600.0), (300.0, 900.0)]])
def test_bad_legs(legs: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="legs"):
        news_profile(crash(), fall(crash(), 0.0, 2 * HOUR_S), legs)


def test_bars_that_end_too_early() -> None:
    bars = bars_of(line(100.0, 80.0))
    with pytest.raises(ValueError, match="bars end before"):
        left(bars, fall(bars, 0.0, HOUR_S))
    with pytest.raises(ValueError, match="no bar begins"):
        bars.between(1e9, 2e9)


def test_files(tmp_path: Path) -> None:
    """Bars and days as files, and the report that the module prints."""
    made, file = crash(), tmp_path / "bars.csv"
    stamps = (np.datetime64("2025-09-22T00:00") + (made.seconds / 60).astype("timedelta64[m]")).astype(str)
    rows = zip(stamps, *columns(made)[1:], strict=True)
    text = "\n".join(",".join(map(str, row)) for row in rows)
    file.write_text(f"utc,open,high,low,close\n{text}\n", encoding="utf-8")
    bars, start = read_bars(file), moment("2025-09-22")
    assert bars.open == pytest.approx(made.open)
    assert bars.seconds[0] == start
    days = tmp_path / "days.csv"
    days.write_text("date,price\n2025-09-19,90\n2025-09-20,95\n", encoding="utf-8")
    assert read_daily(days).seconds[-1] == moment("2025-09-21")
    words = report(joined(read_daily(days), bars), start, start, start + 2 * HOUR_S)
    assert "-20.00 %" in words and "50 % after 24 h" in words


def test_figure(tmp_path: Path) -> None:
    """Runs as lines and the real day as rings, drawn from the folders of runs."""
    assert clock_hour("06:02:30") == pytest.approx(6 + 2.5 / 60)
    scenario = load_scenario("september-2025", accounts=300).resolved()
    (tmp_path / "run.json").write_text(json.dumps({"scenario": scenario}), encoding="utf-8")
    columns = ("perp_usd", "liquidated_long_usd", "depth_bid_usd", "open_interest_btc")
    steps = pd.DataFrame({"tick": np.arange(1, 5_401), **dict.fromkeys(columns, 114_000.0)})
    steps.to_parquet(tmp_path / "steps.parquet")
    assert draw([tmp_path, tmp_path], tmp_path / "made.png").stat().st_size > 20_000


# --- scenarios --------------------------------------------------------------------------------------------------------
def differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Dotted paths at which two tables differ; lists are values."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from differences(before.get(key), after.get(key), f"{path}.{key}".lstrip("."))
    elif before != after:
        yield path


@pytest.mark.parametrize("name", EVENTS)
def test_events_change_state_only(name: str) -> None:
    """Behaviour, venue rules, tick and rounds are October's, to the last number."""
    changed = set(differences(load_scenario("october-2025").resolved(), load_scenario(name).resolved()))
    assert "news" in changed and "retail.path_ratio" in changed
    assert changed <= STATE, f"{name} also changes {sorted(changed - STATE)}"


@pytest.mark.parametrize("name", EVENTS)
def test_events_begin(name: str) -> None:
    """The opening holds together: half a minute runs, the books stand, nobody is forced before the news."""
    model = MarketModel(load_scenario(name, ["duration_s=30", "news=[]"], accounts=300))
    for _ in range(30):
        model.step()
    assert model.latest["perp_usd"] == pytest.approx(model.setup.world.start_price_usd, rel=0.005)
    assert model.latest["liquidated_long_usd"] == model.latest["liquidated_short_usd"] == 0


# --- against the exchange's bars --------------------------------------------------------------------------------------
BARS = "DELEVERAGE_BARS"
needs_bars = pytest.mark.skipif(
    not Path(os.environ.get(BARS, "")).is_file(),
    reason=f"{BARS} names no CSV of Binance BTCUSDT five-minute candles, 15 Sep to 15 Nov 2025: not redistributable",
)


@needs_bars
def test_october_by_the_same_rules() -> None:
    """The path in `retail` and the shares that the news of October is bounded by."""
    bars, retail = read_bars(Path(os.environ[BARS])), load_scenario("october-2025").retail
    ages, ratios = opening_path(bars, moment("2025-10-10T20:40"))
    assert ages[:13] == retail.path_days[:13]
    assert ratios[:13] == retail.path_ratio[:13]
    whole = fall(bars, moment("2025-10-10T20:50"), moment("2025-10-10T21:25"))
    shares = [left(bars, whole, hours) for hours in (1.0, 24.0, 48.0)]
    assert shares == pytest.approx([0.24, 0.43, 0.11], abs=0.005)


@needs_bars
@pytest.mark.parametrize(
    ("name", "since", "legs"),
    [
        ("september-2025", "2025-09-22T00:00", [("2025-09-22T05:55", "2025-09-22T06:05")]),
        ("november-2025-early", "2025-11-03T00:00", [("2025-11-04T15:00", "2025-11-04T21:40")]),
    ],
)
def test_events_follow_the_rules(name: str, since: str, legs: list[tuple[str, str]]) -> None:
    """Start price, path and news of each file are what the rules make of the bars."""
    bars, setup = read_bars(Path(os.environ[BARS])), load_scenario(name)
    start = setup.start.timestamp()
    assert setup.world.start_price_usd == pytest.approx(bars.price_at(start), abs=0.5)
    ages, ratios = opening_path(bars, start)
    recent = [n for n, age in enumerate(setup.retail.path_days) if age < min(ages[-1], 24.9)]
    assert [setup.retail.path_days[n] for n in recent] == list(ages[: len(recent)])
    assert [setup.retail.path_ratio[n] for n in recent] == list(ratios[: len(recent)])
    seconds = [(moment(a), moment(b)) for a, b in legs]
    news = news_profile(bars, fall(bars, moment(since), seconds[-1][1]), seconds)
    assert [item.change_percent for item in setup.news] == pytest.approx(
        [item.change_percent for item in news], abs=0.01
    )
