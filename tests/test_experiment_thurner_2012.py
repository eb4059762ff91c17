"""`thurner-2012`: the clearing against a plain root search, the book against the cleared market, options, picture."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abm.experiment import load_experiment
from abm.settings import SettingsError
from experiments._thurner_book import ONE_TICKS, BookMarket
from experiments._thurner_market import ADAPTIVE, FREE, Lending, Market, MarketOptions, clear, noise, play
from experiments._thurner_measures import NAMES, hill
from experiments.thurner_2012 import REGRESSION, Options, draw, run, text

TINY = {"leverages": [1.0, 10.0], "seeds": 3, "steps": 1_500, "book_steps": 150, "book_burn": 50, "burn": 200}


def silent(words: str) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def results() -> list[dict[str, Any]]:
    """A tiny run."""
    found: list[dict[str, Any]] = run(Options.model_validate(TINY), silent)
    return found


def excess(price: Any, xi: float, coins: Any, cash: Any, limit: float, betas: Any) -> Any:
    """Demand less supply in money at some prices, written out fund by fund."""
    total = xi - 1000.0 * price
    for coin, money, beta in zip(coins, cash, betas, strict=True):
        total += np.clip(beta * (1.0 - price), 0.0, limit) * np.maximum(coin * price + money, 0.0)
    return total


def test_clearing_finds_the_nearest_root() -> None:
    """Random states, among them bankrupt funds: every root by a fine search, and the one found is the nearest."""
    luck, betas = np.random.default_rng(3), MarketOptions().betas
    several, count = 0, 300
    xi, last = luck.uniform(550.0, 1050.0, count), luck.uniform(0.75, 1.02, count)
    limit, coins = luck.uniform(1.0, 15.0, count), luck.uniform(0.0, 80.0, (count, 10))
    cash = -coins * last[:, None] * luck.uniform(0.75, 1.02, (count, 10))
    price = clear(xi, last, coins, cash, limit, betas, 1000.0)
    grid = np.linspace(0.02, 1.8, 20_001)
    for row in range(count):
        state = (xi[row], coins[row], cash[row], limit[row], betas)
        assert abs(excess(price[row], *state)) < 1e-6
        values = excess(grid, *state)
        roots = grid[1:][np.sign(values[1:]) != np.sign(values[:-1])]
        several += roots.size > 1
        assert abs(price[row] - last[row]) <= np.abs(roots - last[row]).min() + 1e-3
    assert several > 10


def test_without_funds_returns_are_normal() -> None:
    options = MarketOptions(burn=10)
    record = play(options, Lending(np.zeros(20), np.zeros(20, np.int64)), 20, 3_000, silent)
    returns = np.diff(np.log(record.price), axis=0)
    error = 4 * options.noise_sd / math.sqrt(2 * returns.size)
    assert abs(returns.std() - options.sigma * math.sqrt(2 / (1 + options.rho))) < error < 0.001
    levels = np.array([level[0] for level in noise(options, 1, 3_010)])
    assert np.log(1000.0 * record.price[1:, 0]) == pytest.approx(levels[10:], abs=1e-9)


def test_money_and_coins_are_accounted_for() -> None:
    """Funds earn on what they held; nothing but the price, flows and closures changes their wealth."""
    options = MarketOptions(flow_response=0.0)
    market = Market(options, Lending(np.array([1.0, 10.0]), np.array([FREE, ADAPTIVE])))
    for level in noise(options, 1, 400):
        held, cash = market.funds.coins.copy(), market.funds.cash.copy()
        was_open = market.funds.closed == 0
        moment = market.step(np.tile(level, 2))
        assert moment.wealth == pytest.approx(held * moment.price[:, None] + cash)
        kept = ~moment.failed & was_open
        after = market.funds.coins * moment.price[:, None] + market.funds.cash
        assert after[kept] == pytest.approx(moment.wealth[kept])
        spent = math.exp(level[0]) + (market.funds.coins * moment.price[:, None]).sum(axis=1)
        full = ~(moment.failed | ~was_open).any(axis=1)
        assert spent[full] == pytest.approx(1000.0 * moment.price[full])
        assert (market.funds.coins * moment.price[:, None] <= moment.limit[:, None] * after * (1 + 1e-9) + 1e-9).all()
    assert (moment.limit <= [1.0, 10.0]).all()


def test_a_longer_run_begins_as_a_shorter_one() -> None:
    one, two = (np.stack(list(noise(MarketOptions(), 2, steps))) for steps in (40, 700))
    assert np.array_equal(one, two[:40])
    assert not np.array_equal(two[:, 0], two[:, 1])


def test_hill_index_of_a_power_law() -> None:
    losses = np.random.default_rng(1).pareto(2.5, 200_000) + 1.0
    assert hill(losses) == pytest.approx(2.5, abs=4 * 2.5 / math.sqrt(10_000))


def test_book_follows_the_crowd_and_conserves_coins() -> None:
    """Without funds the middle price is the noise traders', to half a tick; with them calls leave nobody above."""
    options = MarketOptions()
    market, most = BookMarket(options, np.array([0.0, 8.0])), 0.0
    for level in noise(options, 1, 120):
        called, _, _ = market.step(np.tile(level, 2))
        assert abs(market.price[0] - math.exp(level[0]) / 1000.0 * ONE_TICKS) <= 1.0
        assert not called[0].any()
        coins, wealth = market.coins[1], market.wealth()[1]
        able = (wealth > 0.2) & (market.closed[1] == 0)  # flows of a step may take a fund over its limit again
        most = max(most, float(coins.max()))
        assert (coins[able] * market.price[1] / ONE_TICKS <= 8.0 * 1.25 * wealth[able]).all()
    accounts = market.floor.accounts
    assert most > 1.0
    assert int(accounts.position.sum()) == 0 and int((accounts.cash[0] - accounts.entry_cost[0]).sum()) == 0
    market.floor.books.check()


def test_rows_hold_what_the_table_needs(results: list[dict[str, Any]]) -> None:
    assert [row["leverage"] for row in results] == [1.0, 10.0]
    for row in results:
        assert all(math.isfinite(row[name]) and math.isfinite(row["book"][name]) for name in NAMES)
    assert results[1]["adaptive"]["leverage"] == 10.0
    assert results[1]["std"] < results[0]["std"] < results[0]["without_funds"]["std"]
    assert results[1]["acf1"] > results[0]["acf1"]
    assert any("iii." in check["what"] for check in results[1]["checks"])
    assert "adaptive" in text(results)


def test_checks_notice_a_wrong_market(monkeypatch: pytest.MonkeyPatch) -> None:
    """Funds that never sell under a call would have no fat tails; other noise would not be normal enough."""
    monkeypatch.setattr("experiments.thurner_2012.play", lambda *a: _stretched(play(*a)))
    found = run(Options.model_validate(TINY | {"book_steps": 0}), silent)
    wrong = [check["what"] for row in found for check in row["checks"] if not check["inside"]]
    assert any(what.startswith("i. std") for what in wrong)
    assert any("std, regression" in what for what in wrong)


def _stretched(record: Any) -> Any:
    record.price **= 1.6
    return record


def test_same_seed_same_results() -> None:
    small = TINY | {"leverages": [6.0], "seeds": 2, "steps": 500, "book_steps": 60, "book_burn": 5, "burn": 20}
    one, two, other = (run(Options.model_validate(small | {"seed": seed}), silent) for seed in (1, 1, 9))
    assert json.dumps(one) == json.dumps(two)
    assert other[0]["std"] != one[0]["std"] and other[0]["book"]["std"] != one[0]["book"]["std"]


@pytest.mark.parametrize(
    "setting",
    ["leverages=[]", "leverages=[1,1]", "leverages=[100]", "seeds=1", "steps=5", "arrival=never", "leverage=3"],
)
def test_bad_options_are_refused(setting: str) -> None:
    with pytest.raises(SettingsError):
        load_experiment("thurner-2012", [setting])


def test_picture_is_written(results: list[dict[str, Any]], tmp_path: Path) -> None:
    assert draw(results, tmp_path / "thurner.png").stat().st_size > 30_000


@pytest.mark.full
def test_acceptance_at_full_size() -> None:
    found = run(Options(), silent)
    checks = [check for row in found for check in row["checks"]]
    assert all(check["inside"] for check in checks), text(found)
    assert sum("iii." in check["what"] for check in checks) == sum(len(table) for table in REGRESSION.values())
