"""`crash-vs-inventory`: the exact law in the books, what the dials do, options and picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abm.experiment import load_experiment
from abm.settings import SettingsError
from abm.state import BUY, SELL
from experiments._inventory_market import VALUE_TICKS, InventoryMarket, Setting
from experiments.crash_vs_inventory import Options, _direction, draw, run, text

TINY = {"limits": [0, 500, 1500], "sales": [1000, 2000], "refills": [0.0, 0.1], "seeds": 4, "steps": 30, "selling": 20}


def silent(words: str) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """A tiny run."""
    found: dict[str, Any] = run(Options.model_validate(TINY), silent)
    return found


def played(limits: list[int], sale: int, refill: float = 0.0, noise: float = 0.0, **changes: Any) -> InventoryMarket:
    """Replicas with these limits."""
    count = len(limits)
    setting = Setting(
        np.array(limits), np.full(count, sale), np.full(count, refill), np.arange(count), 1, noise=noise, **changes
    )
    return InventoryMarket(setting).run()


def test_a_lot_of_inventory_is_worth_a_lot_of_the_book() -> None:
    market = played([0, 300, 777, 1800], 3000, density=10, clip=45, gap=2)
    assert (VALUE_TICKS - market.low).tolist() == pytest.approx([300.0, 270.0, 222.3, 120.0], abs=1.0)
    assert market.held.max(axis=0).tolist() == [0.0, 300.0, 777.0, 1800.0]


def test_no_maker_passes_its_limit_and_lots_are_conserved() -> None:
    market = played([200, 900], 3000, refill=0.2, noise=80.0)
    assert (np.abs(market.held) <= [200.0, 900.0]).all()
    accounts, books = market.floor.accounts, market.floor.books
    assert int(accounts.position.sum()) == 0
    books.check()
    for place in range(2):  # the value traders' book is as deep as they think it is, where makers do not stand
        record = books.resting(place, BUY)
        mine = record[1][record[3] == market.value[place]].sum()
        shelf = 20 * (3000 // 20 + 199)
        assert mine == shelf - market.missing[BUY][place]
    assert accounts.position[0, market.seller].tolist() == [SELL * 3000] * 2


def test_checks_hold_and_the_law_is_among_them(results: dict[str, Any]) -> None:
    assert all(row["inside"] for row in results["checks"]), text(results)
    assert sum(row["exact"] > 0 for row in results["checks"]) >= 4
    assert {row["refill"] for row in results["rows"]} == {0.0, 0.1}


def test_directions_can_be_wrong() -> None:
    rising = [[1.0, 2.0, 3.0], [21.0, 22.0, 23.1], [41.0, 42.0, 43.0]]
    assert _direction("falls", rising, -1)["ours"] == 2.0
    assert _direction("rises", rising, 1)["inside"]


def test_same_seed_same_results(results: dict[str, Any]) -> None:
    small = TINY | {"sales": [1000], "seeds": 2}
    one, two, other = (run(Options.model_validate(small | {"seed": seed}), silent) for seed in (1, 1, 2))
    assert json.dumps(one) == json.dumps(two) != json.dumps(other)


@pytest.mark.parametrize(
    "setting", ["limits=[]", "limits=[5,1]", "sales=[0]", "sales=[99999999]", "refills=[2]", "selling=100", "seeds=1"]
)
def test_bad_options_are_refused(setting: str) -> None:
    with pytest.raises(SettingsError):
        load_experiment("crash-vs-inventory", [setting])


def test_picture_is_written(results: dict[str, Any], tmp_path: Path) -> None:
    assert draw(results, tmp_path / "crash.png").stat().st_size > 30_000


@pytest.mark.full
def test_acceptance_at_full_size() -> None:
    found = run(Options(), silent)
    assert all(row["inside"] for row in found["checks"]), text(found)
