"""`chiarella-iori`: facts and distances by hand, the market's rules, thresholds, PAMS skipped, picture."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abm.experiment import load_experiment
from abm.settings import SettingsError
from abm.state import BUY, SELL
from experiments import _fcn_pams
from experiments._fcn_market import START, TICK, VALIDATION, FcnMarket
from experiments.chiarella_iori import Options, _outside, _threshold_checks, distance, draw, facts_of, run, text

TINY = {"seeds": 4, "steps": 3_000, "warm": 100, "pams_seeds": 0}


def silent(words: str) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """A tiny run without PAMS."""
    found: dict[str, Any] = run(Options.model_validate(TINY), silent)
    return found


def played(steps: int, count: int = 3) -> FcnMarket:
    """The validation population, without a warm-up."""
    return FcnMarket([VALIDATION] * count, np.arange(count), 100, 3).run(0, steps)


def test_facts_of_known_series() -> None:
    rng = np.random.default_rng(1)
    normal = facts_of(np.exp(np.cumsum(0.001 * rng.standard_normal(8_000))))
    assert abs(normal[0]) < 0.3 and 5 < normal[1] < 7 and normal[2] < 0.05 and abs(normal[3]) < 0.05
    power = facts_of(np.exp(np.cumsum(1e-4 * rng.choice([-1, 1], 8_000) * rng.pareto(3.0, 8_000))))
    assert power[0] > 3 and 1.5 < power[1] < 4.5
    repeated = np.repeat(np.exp(np.cumsum(0.001 * rng.standard_normal(2_000))), 3)
    assert facts_of(repeated)[6] == 1_999  # steps without a change do not count
    bouncing = 300.0 + np.tile([0.0, 1.0], 500)
    assert facts_of(bouncing)[5] == pytest.approx(-1.0, abs=0.01)


def test_distance_by_hand() -> None:
    assert distance(np.array([1.0, 2, 3, 4]), np.array([3.0, 4, 5, 6])) == 0.5
    assert distance(np.array([1.0, 2]), np.array([1.0, 2])) == 0.0
    assert _outside(np.array([1.0, 2, 3]), (1.5, np.inf)) == 1


def test_orders_rest_for_their_window_and_lots_are_conserved() -> None:
    market = played(400)
    books, floor = market.floor.books, market.floor
    assert int(floor.accounts.position.sum()) == 0 and floor.tally().refused == 0
    live = market.handle != -1
    for place in range(3):
        held = np.concatenate([books.resting(place, side)[4] for side in (BUY, SELL)])
        assert set(held.tolist()) <= set(market.handle[place][live[place]].tolist())
        ends = {int(h): int(e) for h, e in zip(market.handle[place], market.ends[place], strict=True) if h != -1}
        assert all(399 <= ends[int(h)] <= 399 + 50 for h in held)
    assert (books.best_ticks(BUY) < books.best_ticks(SELL)).all()


def test_orders_follow_the_rule() -> None:
    """Far above the fundamental price traders without noise sell, dearer by their margin and on the grid."""
    market = played(1)
    market.noise[:], market.pull[:] = 0.0, 1.0
    market.price[:] = 2 * START - 200.0
    side, ticks, window = market._order(7)
    assert (side == SELL).all() and (window >= 10).all() and (window < 50).all()
    pull = np.log(START / 400.0) / market.reversion
    limits = np.ceil(400.0 * np.exp(pull * market.window) * (1 + market.margin) / TICK)
    assert all(ticks[k] in limits[k] for k in range(3))
    assert not np.array_equal(played(300).prices[:, 0], played(300).prices[:, 1])


def test_populations_differ_as_published(results: dict[str, Any]) -> None:
    good, sample = (np.array(results["ours"][name]) for name in ("validation", "sample"))
    assert (good[:, 0] > 3).all() and (sample[:, 0] < 3).all()
    assert sample[:, 5].mean() == pytest.approx(-0.44, abs=0.05) and np.abs(good[:, 5]).max() < 0.15
    assert (good[:, 1] < 4.5).all() and results["pams"] == {}
    assert results["checks"] == []  # runs are too short for the thresholds


def test_thresholds_and_medians_can_fail() -> None:
    rng = np.random.default_rng(2)
    good = [[12.5, 2.51, 0.04, 0.185, 0.053, 0.0, 8e3], [0.9, 6.0, 0.44, 0.17, 0.07, -0.44, 8e3]]
    ours = {
        name: (np.array(row) * (1 + 0.05 * rng.standard_normal((40, 1)))).tolist()
        for name, row in zip(("validation", "sample"), good, strict=True)
    }
    found = _threshold_checks(Options(), ours)
    assert len(found) == 17 and all(row["inside"] for row in found), [row for row in found if not row["inside"]]
    swapped = {"validation": ours["sample"], "sample": ours["validation"]}
    missed = [row["what"] for row in _threshold_checks(Options(), swapped) if not row["inside"]]
    assert len(missed) >= 8 and "sample: runs with fat tails" in missed


def test_pams_is_skipped_with_a_reason(results: dict[str, Any]) -> None:
    assert "SKIPPED: PAMS; pams_seeds is 0" in text(results)
    assert "nowhere" in _fcn_pams.missing("/nowhere/python")
    said: list[str] = []
    tiny = TINY | {"seeds": 4, "steps": 2_000, "pams_seeds": 1, "pams_python": "/nowhere/python"}
    assert run(Options.model_validate(tiny), said.append)["skipped"]
    assert any(words.startswith("skipped: PAMS") for words in said)
    with pytest.raises(RuntimeError, match="PAMS"):
        _fcn_pams.pams_prices(sys.executable, VALIDATION, 0, 1, 1, 1)


@pytest.mark.skipif(bool(_fcn_pams.missing(sys.executable)), reason="PAMS is not installed here: pip install pams")
def test_pams_runs_beside() -> None:
    prices = _fcn_pams.pams_prices(sys.executable, VALIDATION, 100, 50, 400, 2)
    assert prices.shape == (400, 2) and (np.abs(prices / START - 1) < 0.3).all()


def test_same_seed_same_results() -> None:
    small = TINY | {"steps": 2_000}
    one, two, other = (run(Options.model_validate(small | {"seed": seed}), silent) for seed in (1, 1, 2))
    assert json.dumps(one) == json.dumps(two) != json.dumps(other)


@pytest.mark.parametrize("setting", ["seeds=1", "steps=10", "traders=0", "pams_seeds=-1"])
def test_bad_options_are_refused(setting: str) -> None:
    with pytest.raises(SettingsError):
        load_experiment("chiarella-iori", [setting])


def test_picture_is_written(results: dict[str, Any], tmp_path: Path) -> None:
    assert draw(results, tmp_path / "facts.png").stat().st_size > 30_000


@pytest.mark.full
def test_acceptance_at_full_size() -> None:
    found = run(Options(), silent)
    assert all(row["inside"] for row in found["checks"]), text(found)
