"""`fire-sale-2017`: the solver by hand, the book against it, the law of identical investors, options and picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abm.experiment import load_experiment
from abm.settings import SettingsError
from experiments._fire_sale import FILE, Rules, Sheets, alike, drawn_sheets, read_sheets, sheets_of, solve
from experiments._fire_sale_book import sell_in_book
from experiments.fire_sale_2017 import FAILED, SOLD, Options, draw, law_of_targeting, run, table, text

TINY = {"banks": 20, "orders": 2, "gains": [0.0, 0.5, 1.2], "ticks": 2000}


def silent(words: str) -> None:
    """Nobody listens."""


def rules(impact: float, shock: float, trigger: float, target: float, minimum: float = 0.03, steps: int = 6) -> Rules:
    """One replica."""
    return Rules(*(np.array([value]) for value in (impact, shock, trigger, target)), minimum=minimum, steps=steps)


def one_bank(cash: float, bonds: float, loan: float) -> Sheets:
    """A bank with government bonds only, beside one that holds the other half and never acts."""
    held = np.zeros((1, 2, 2))
    held[..., 1] = bonds
    return Sheets(np.array([[cash, 0.0]]), held, np.zeros((1, 2)), np.array([[loan, 0.0]]), np.zeros((1, 2)))


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """A tiny run with drawn banks."""
    found: dict[str, Any] = run(Options.model_validate(TINY), silent)
    return found


def test_two_steps_by_hand() -> None:
    """10 cash and 100 bonds at 0.9, 97 owed: 3 % of equity, back to 10 %: 70 too much, 10 repaid, 60 sold."""
    sheets = one_bank(10.0, 100.0, 97.0)
    found = solve(sheets, rules(0.05, 0.1, 0.04, 0.1, minimum=0.01, steps=2))
    sold = 60.0 / 0.9
    beta = -np.log(0.95) / 0.05
    after = 0.9 * np.exp(-beta * sold / 200.0)
    assert found.sold[0] == pytest.approx(sold / 200.0)
    assert found.prices[-1, 0, 1] == pytest.approx(after)
    equity = sold * (0.9 + after) / 2 + (100.0 - sold) * after - 87.0
    assert equity < 0 and found.failed[0] == 1  # the sale has eaten its equity
    assert solve(sheets, rules(0.05, 0.1, 0.02, 0.1, minimum=0.01)).sold[0] == 0.0  # above the threshold nobody sells


def test_a_bank_with_cash_sells_nothing() -> None:
    assert solve(one_bank(80.0, 100.0, 163.5), rules(0.05, 0.1, 0.04, 0.05)).sold[0] == 0.0


@pytest.mark.parametrize(("impact", "shock", "trigger"), [(0.01, 0.12, 1.0), (0.01, 0.2, 0.04), (0.06, 0.2, 0.04)])
def test_book_and_solver_to_a_bank(impact: float, shock: float, trigger: float) -> None:
    sheets, how = drawn_sheets(30, 5), rules(impact, shock, trigger, 0.05)
    exact, ours = solve(sheets, how), sell_in_book(sheets, how, 10_000, 64, 1)
    assert abs(int(ours.failed[0] - exact.failed[0])) <= 1
    assert ours.prices[1:4] == pytest.approx(exact.prices[1:4], abs=2e-3)
    one_round = sell_in_book(sheets, how, 10_000, 1, 1)
    assert abs(one_round.sold[0] - exact.sold[0]) >= abs(ours.sold[0] - exact.sold[0]) - 1e-6


def test_law_of_identical_investors() -> None:
    """By many small sales; in the limit of a small shock 1 / (1 - gain)."""
    for gain, shock in ((0.5, 0.001), (0.9, 0.01), (1.2, 0.001)):
        beta, cash, held, price, step = gain / 9.0, 0.0, 1.0, 1.0 - shock, 1e-5
        while 0.9 - cash > 0.9 * held * price:
            cash, held, price = cash + step * price, held - step, price * np.exp(-beta * step)
        sold, fall = law_of_targeting(10.0, beta, shock)
        assert sold == pytest.approx(1.0 - held, abs=1e-3)
        assert fall * shock == pytest.approx(1.0 - price, abs=1e-4)
    assert law_of_targeting(10.0, 0.8 / 9.0, 1e-6)[1] == pytest.approx(5.0, rel=1e-3)
    assert law_of_targeting(10.0, 0.0, 0.01)[1] == pytest.approx(1.0)


def test_threshold_is_quiet_and_targeting_is_not() -> None:
    sheets = alike(4, 10.0)
    quiet, loud = (sell_in_book(sheets, rules(0.004, 0.01, trigger, 0.1, 0.0), 20_000, 4, 1) for trigger in (0.08, 1.0))
    assert quiet.sold[0] == 0.0 and loud.sold[0] > 0.1


def test_checks_hold_and_nothing_is_called_published(results: dict[str, Any]) -> None:
    assert all(row["inside"] for row in results["checks"]), text(results)
    assert results["source"] == "drawn" and "DRAWN" in text(results)
    assert all(row["published"] is None for row in results["checks"])


def test_file_is_read_and_compared(tmp_path: Path) -> None:
    """Another table than the code's is read, and fails its comparison."""
    (tmp_path / FILE).write_text("bank,...\nAA 5000 5.0 20000 1000+9000\nBB 4000 8 9000 4000\n")
    sheets = read_sheets(tmp_path / FILE)
    assert sheets.cash[0].tolist() == pytest.approx([5000.0, 2500.0])
    assert sheets.bonds[0].tolist() == [[10_000.0, 10_000.0], [5000.0, 4000.0]]
    assert table(str(tmp_path)) == tmp_path / FILE
    found = run(Options(data=str(tmp_path), orders=2, gains=[0.0]), silent)
    wrong = [row["what"] for row in found["checks"] if not row["inside"]]
    assert found["source"] == "file" and "impact: failures, solver against the code" in wrong
    (tmp_path / FILE).write_text("bank\nAA 5000 5.0\n")
    with pytest.raises(ValueError, match="five columns"):
        read_sheets(tmp_path / FILE)


def test_balance_sheets_balance() -> None:
    sheets = sheets_of(np.array([5.0]), np.array([0.05]), np.array([[10.0, 20.0]]))
    assets = sheets.cash + sheets.bonds.sum(axis=2) + sheets.other
    assert assets - sheets.loan - sheets.debt == pytest.approx(5.0)
    assert all(len(values) == 21 for values in (*FAILED.values(), *SOLD.values()))


def test_same_seed_same_results(results: dict[str, Any]) -> None:
    again, other = (run(Options.model_validate(TINY | {"seed": seed}), silent) for seed in (1, 2))
    assert json.dumps(again) == json.dumps(results) != json.dumps(other)


@pytest.mark.parametrize(
    "setting", ["gains=[]", "gains=[0.5,0.2]", "trigger=0.06", "data=/nowhere/EBA.csv", "banks=1", "most_shock=0.9"]
)
def test_bad_options_are_refused(setting: str) -> None:
    with pytest.raises(SettingsError):
        load_experiment("fire-sale-2017", [setting])


def test_picture_is_written(results: dict[str, Any], tmp_path: Path) -> None:
    assert draw(results, tmp_path / "sale.png").stat().st_size > 30_000


@pytest.mark.full
def test_acceptance_at_full_size() -> None:
    found = run(Options(orders=100, ticks=20_000, rounds=128), silent)
    assert all(row["inside"] for row in found["checks"]), text(found)
