"""`poledna-2014`: the price of puts, what the rules do to the limit of leverage, options and picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abm.experiment import load_experiment
from abm.settings import SettingsError
from experiments._thurner_market import FREE, HAIRCUT, HEDGE, Lending, Market, MarketOptions, noise, put_price
from experiments.poledna_2014 import Options, _checks, draw, run, text

TINY = {"leverages": [5.0, 20.0], "seeds": 4, "steps": 900, "burn": 100}


def silent(words: str) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def results() -> list[dict[str, Any]]:
    """A tiny run."""
    found: list[dict[str, Any]] = run(Options.model_validate(TINY), silent)
    return found


def test_puts_by_drawing_prices() -> None:
    luck = np.random.default_rng(5).standard_normal(400_000)
    price, strike, deviation = np.array([1.0, 0.8]), np.array([0.9, 0.79]), np.array([0.1, 0.05])
    for now, least, sd, value in zip(price, strike, deviation, put_price(price, strike, deviation), strict=True):
        paid = np.maximum(least - now * np.exp(sd * luck - sd * sd / 2), 0.0)
        assert abs(paid.mean() - value) < 4 * paid.std() / math.sqrt(paid.size)
    assert put_price(np.ones(2), np.array([0.0, 1.2]), np.zeros(2)) == pytest.approx([0.0, 0.2])


def test_rules_act_as_described() -> None:
    """The Basle limit follows ordinary over present volatility; hedged funds pay, and buy less; free ones neither."""
    options = MarketOptions()
    market = Market(options, Lending(np.full(3, 20.0), np.array([FREE, HAIRCUT, HEDGE]), ordinary=0.03))
    prices = []
    for level in noise(options, 1, 60):
        prices.append(market.price.copy())
        moment = market.step(np.tile(level, 3))
        assert moment.limit[0] == moment.limit[2] == 20.0
        if len(prices) > 11:
            returns = np.diff(np.log([price[1] for price in prices[-11:]]))
            assert moment.limit[1] == pytest.approx(max(20.0 * min(1.0, 0.03 / np.sqrt((returns**2).mean())), 1.0))
    assert (np.diff(np.array(prices), axis=0).std(axis=0) > 0).all()
    assert market._premium(np.full(3, 0.04**2))[:2].tolist() == [0.0, 0.0]
    assert market._premium(np.full(3, 0.04**2))[2] > 0.01
    before = market.funds.cash.copy()
    market.funds.coins[:], market.funds.cash[:] = 10.0, -9.0
    market._hedge(np.ones(3), np.full(3, 0.04**2))
    assert (market.funds.cash[:2] == -9.0).all() and (market.funds.cash[2] < -9.0).all() and before.shape == (3, 10)


def test_rows_hold_what_the_table_needs(results: list[dict[str, Any]]) -> None:
    assert [row["leverage"] for row in results] == [5.0, 20.0]
    for row in results:
        assert row["basel"]["wealth"] != row["free"]["wealth"] != row["hedge"]["wealth"]
        assert row["basel_less_free"] == pytest.approx(row["basel"]["defaults"] - row["free"]["defaults"])
    assert "basel - free" in text(results)


def test_signs_count_only_beyond_their_error() -> None:
    rules: dict[str, Any] = {"free": {"defaults": 5.0}, "hedge_less_free": 0.0, "hedge_less_free_error": 1.0}
    rows = [
        {"leverage": 5.0, "basel_less_free": -9.0, "basel_less_free_error": 2.0, **rules},
        {"leverage": 20.0, "basel_less_free": 3.0, "basel_less_free_error": 2.0, **rules},
    ]
    assert [check["inside"] for check in _checks(rows, 5.0, 20.0)] == [True, False, False, False]
    rows[1]["basel_less_free"] = 8.0
    assert [check["inside"] for check in _checks(rows, 5.0, 20.0)] == [True, True, False, False]
    assert len(_checks(rows, 4.0, 20.0)) == 2


@pytest.mark.parametrize("setting", ["leverages=[]", "leverages=[0.5]", "seeds=1", "ordinary=0", "life=0"])
def test_bad_options_are_refused(setting: str) -> None:
    with pytest.raises(SettingsError):
        load_experiment("poledna-2014", [setting])


def test_picture_is_written(results: list[dict[str, Any]], tmp_path: Path) -> None:
    assert draw(results, tmp_path / "poledna.png").stat().st_size > 30_000


@pytest.mark.full
def test_basel_rule_reduces_defaults_where_leverage_is_low() -> None:
    """The one sign of the abstract that is found; the others are misses that docs/papers.md explains."""
    found = {row["leverage"]: row for row in run(Options(leverages=[4.0, 5.0, 20.0]), silent)}
    for leverage in (4.0, 5.0):
        assert found[leverage]["basel_less_free"] < -3 * found[leverage]["basel_less_free_error"]
    assert abs(found[20.0]["basel_less_free"]) < 4 * found[20.0]["basel_less_free_error"]
