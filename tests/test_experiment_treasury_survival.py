"""`treasury-survival`: the end of a sale by small steps, the chance of a breach by paths, options and picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abm.experiment import load_experiment
from abm.settings import SettingsError
from experiments.treasury_survival import (
    Options,
    critical_density,
    draw,
    run,
    sell_in_book,
    sold_coins,
    text,
    tripped,
)

TINY = {"shocks": [0.03, 0.1], "depths": [0.8, 1.3, 4.0], "paths": 2_000, "horizons_days": [20, 60]}


def silent(words: str) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """A tiny run."""
    found: dict[str, Any] = run(Options.model_validate(TINY), silent)
    return found


@pytest.mark.parametrize(("limit", "debt"), [(0.5, 400e6), (0.3, 240e6), (0.8, 640e6)])
@pytest.mark.parametrize("depth", [0.6, 1.5, 3.0, 8.0])
def test_end_of_a_sale_by_small_steps(limit: float, debt: float, depth: float) -> None:
    """A tenth of a coin after another until the covenant holds, or no coin, or no bid, is left."""
    options, price = Options(limit=limit, debt_usd=debt, loans=[0.1]), 77_000.0
    density = depth * critical_density(options, price)
    coins, owed, now, step = 10_000.0, debt, price, 0.1
    while owed > limit * coins * now and coins > step and now > step / density:
        owed -= step * (now - step / (2 * density))
        now -= step / density
        coins -= step
    assert 10_000.0 - coins == pytest.approx(sold_coins(options, price, density), abs=0.3)


def test_a_book_that_is_too_thin_takes_everything() -> None:
    options, price = Options(), 79_000.0
    lots = np.rint(critical_density(options, price) * 100.0 * np.array([1.05, 4.0])).astype(np.int64)
    sold, rounds = sell_in_book(options, np.full(2, price), lots)
    assert sold[0] > 0.15 * options.coins > 5 * sold[1] > 0.0
    assert rounds[0] > rounds[1] > 1


def test_chance_of_a_breach() -> None:
    """The papers' card: barrier probabilities of a long at 20 and 50 times, one day, as the same formula gives them."""
    for leverage, chance in ((20, 0.12577), (50, 0.61727)):
        barrier = (1.0 - 1.0 / leverage) / (1.0 - 0.005)
        assert tripped(barrier, 1.0, 0.03, 1.0) == pytest.approx(chance, abs=2e-5)
    assert tripped(0.4, 0.5, 0.6, 0.5, 1 / 365) < tripped(0.4, 0.5, 0.6, 0.5)


def test_checks_hold(results: dict[str, Any]) -> None:
    assert all(row["inside"] for row in results["checks"]), text(results)
    assert len(results["rows"]) == 6 and any(row["sold"] > 0.7 * results["coins"] for row in results["rows"])


def test_same_seed_same_results(results: dict[str, Any]) -> None:
    again = run(Options.model_validate(TINY), silent)
    other = run(Options.model_validate(TINY | {"seed": 5}), silent)
    assert json.dumps(again) == json.dumps(results) != json.dumps(other)


@pytest.mark.parametrize(
    "setting", ["shocks=[]", "shocks=[0.95]", "depths=[2,1]", "loans=[0.6]", "debt_usd=1", "paths=3", "limit=1"]
)
def test_bad_options_are_refused(setting: str) -> None:
    with pytest.raises(SettingsError):
        load_experiment("treasury-survival", [setting])


def test_picture_is_written(results: dict[str, Any], tmp_path: Path) -> None:
    assert draw(results, tmp_path / "survival.png").stat().st_size > 20_000


@pytest.mark.full
def test_acceptance_at_full_size() -> None:
    found = run(Options(), silent)
    assert all(row["inside"] for row in found["checks"]), text(found)
