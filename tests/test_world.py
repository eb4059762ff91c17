"""The stock index and what it does to the coin: exact moments, the day's kink, steps as news; off by default."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from abm import MarketModel
from abm.events import NEWS
from abm.market_hours import SESSION_S, StockHours, session
from abm.recorder import Recorder
from abm.scenario import Scenario, ScenarioError, load_scenario
from abm.world import (
    FairValue,
    Macro,
    MacroTerms,
    NewsStep,
    fair_value,
    fitted_response,
    response,
    response_moments,
)
from abm.world_parameters import WorldParameters

START = datetime(2025, 1, 6, tzinfo=UTC)
"""A Monday, midnight."""
QUIET = MacroTerms(0.0, 0.0, 0.0, 0.0, 0.0, beta_up=1.0, beta_down=2.0)


def daily(terms: MacroTerms, seed: int, tick_s: float, days: int) -> np.ndarray:
    """Log changes of index and coin over each session day, (sessions, 2), from one run of the index."""
    index = Macro(terms, (), StockHours(START), seed, tick_s)
    rows, last = [], (0.0, 0.0)
    for day in range(days):
        for tick in range(round(day * 86_400 / tick_s), round((day + 1) * 86_400 / tick_s)):
            index.advance(tick + 1)
        now = (index.level, index.walk_log + index.news_log)
        if session((START + timedelta(days=day)).date()) is not None:
            rows.append((now[0] - last[0], now[1] - last[1]))
            last = now
    return np.array(rows)


def test_off_by_default() -> None:
    assert not WorldParameters().macro_moves
    value = fair_value(load_scenario("tiny"))
    assert value._index is None
    for tick in range(1, 50):
        value.advance(tick)
    assert value.macro == 0.0


@pytest.mark.parametrize("tick_s", [900.0, 7_200.0])
def test_daily_law_does_not_depend_on_the_tick(tick_s: float) -> None:
    """Means, deviation and correlation of about 2,000 sessions beside the formula, within four standard errors."""
    mu, sigma = 0.0009, 0.011
    days = daily(MacroTerms(mu, sigma, 0.0, 0.0, 0.0, 0.91, 2.37), 3, tick_s, 2_920)
    n = len(days)
    index, coin = days.T
    mean, deviation, correlation = response_moments(mu, sigma, 0.91, 2.37, 0.0)
    assert index.mean() == pytest.approx(mu, abs=4 * sigma / math.sqrt(n))
    assert index.std() == pytest.approx(sigma, rel=4 / math.sqrt(2 * n))
    assert coin.mean() == pytest.approx(mean, abs=4 * deviation / math.sqrt(n))
    assert coin.std() == pytest.approx(deviation, rel=4 * 1.5 / math.sqrt(2 * n)), "kurtosis above the normal's"
    assert np.corrcoef(index, coin)[0, 1] == pytest.approx(correlation, abs=4 * (1 - correlation**2) / math.sqrt(n))
    up, down = index > 0, index < 0
    assert np.allclose(coin[up], 0.91 * index[up]) and np.allclose(coin[down], 2.37 * index[down])


def test_the_betas_come_from_the_reported_figures() -> None:
    mu, mean = math.log(1.037) / 40, math.log(0.82) / 40
    up, down, own = fitted_response(mu, 0.011, mean, 0.0219, 0.8)
    world = WorldParameters()
    assert (world.macro_beta_up, world.macro_beta_down) == pytest.approx((up, down), abs=0.005)
    assert own == pytest.approx(0.0122, abs=5e-5)
    assert response_moments(mu, 0.011, up, down, own) == pytest.approx((mean, 0.0219, 0.8))
    assert math.exp(40 * response_moments(mu, 0.011, up, down, own)[0]) - 1 == pytest.approx(-0.18)
    with pytest.raises(ValueError, match="deviation"):
        fitted_response(mu, 0.011, 10 * mean, 0.0219, 0.8)


def test_jumps_are_poisson_and_count_as_news() -> None:
    terms = MacroTerms(0.0, 0.0, 0.5, -0.02, 0.005, 1.0, 2.0)
    index = Macro(terms, (), StockHours(START), 1, 1_800.0)
    sizes, sessions = [], 0
    for tick in range(1, 48 * 1_460 + 1):
        before = index.level
        index.advance(tick)
        if index.level != before:
            sizes.append(index.level - before)
    sessions = sum(session((START + timedelta(days=day)).date()) is not None for day in range(1_460))
    # at most one a tick: 13 ticks a session, each with chance 1 - exp(-0.5 / 13)
    expected = sessions * 13 * -math.expm1(-0.5 / 13)
    assert len(sizes) == pytest.approx(expected, abs=4 * math.sqrt(expected))
    assert np.mean(sizes) == pytest.approx(-0.02, abs=4 * 0.005 / math.sqrt(len(sizes)))
    assert index.walk_log == 0.0 and index.news_log < 0.0


def test_a_step_moves_the_coin_by_its_beta_of_the_day() -> None:
    """Down 3.6 %, later half of it back the same day: the kink is at the last close, not at each step."""
    steps = [NewsStep(100.0, 50.0, -0.036), NewsStep(300.0, 0.0, 0.018), NewsStep(86_400.0 + 100.0, 0.0, 0.02)]
    hours = StockHours(START.replace(hour=14, minute=30))
    value = FairValue(100.0, (), 0.0, 1, 1.0, Macro(QUIET, steps, hours, 1, 1.0))
    seen = {}
    for tick in range(1, 86_400 + 200):
        value.advance(tick)
        seen[tick] = (value.macro, value.usd, value.news_change)
    fall, half, rise = math.log1p(-0.036), math.log1p(0.018), math.log1p(0.02)
    assert seen[125][0] == pytest.approx(0.5 * fall)
    assert seen[200][:2] == pytest.approx((fall, 100 * math.exp(2 * fall)))
    assert seen[301][:2] == pytest.approx((fall + half, 100 * math.exp(2 * (fall + half))))
    assert seen[int(SESSION_S)][1] == pytest.approx(100 * math.exp(2 * (fall + half)))
    last = seen[86_400 + 150]
    assert last[1] == pytest.approx(100 * math.exp(2 * (fall + half) + rise)), "next day: a rise counts once"
    news = math.prod(1 + change for _, _, change in seen.values())
    assert news == pytest.approx(last[1] / 100)
    assert response(0.01, 1.0, 2.0) == 0.01 and response(-0.01, 1.0, 2.0) == -0.02


def macro_scenario(**changes: float) -> Scenario:
    step = "{name='selloff',at=15:30:20,over_s=10,change_percent=-1.5}"
    more = [f"world.{name}={value}" for name, value in changes.items()]
    return load_scenario(
        "tiny", ["start=2025-11-13T15:30:00Z", "news=[]", f"world.macro_steps=[{step}]", "treasuries=[]", *more]
    )


def test_a_step_is_news_in_the_model() -> None:
    recorder = Recorder("fills")
    model = MarketModel(macro_scenario(fair_volatility_bp=0.0), recorder=recorder)
    model.run()
    events = recorder.events_array
    news = events[events["kind"] == NEWS]
    assert news["tick"].tolist() == list(range(21, 31))
    beta = WorldParameters().macro_beta_down
    total = beta * math.log1p(-0.015)
    assert math.log(model.world.usd / 116_830) == pytest.approx(total)
    assert np.log1p(news["amount"] / 1e6).sum() == pytest.approx(total, abs=1e-5)
    assert model.view.macro == pytest.approx(math.log1p(-0.015))
    assert recorder.run().steps["spot_usd"].iloc[-1] < 0.995 * 116_830, "the market begins to follow"


def test_the_walk_of_the_index_is_no_news() -> None:
    value = fair_value(macro_scenario(macro_volatility_percent=1.1).changed(world__macro_steps=[]))
    changes = []
    for tick in range(1, 100):
        value.advance(tick)
        changes.append(value.news_change)
    assert not any(changes) and value.macro != 0.0


def test_steps_must_lie_inside_the_run() -> None:
    with pytest.raises(ScenarioError) as caught:
        load_scenario("tiny", ["world.macro_steps=[{name='late',at=23:00:00,change_percent=-1}]"])
    assert any(line.startswith("world.macro_steps.late.at: ") for line in caught.value.lines)
