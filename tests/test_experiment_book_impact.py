"""`book-impact`: impact on a uniform and on a linearly growing book, exact on the lattice."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from abm.experiment import load_experiment
from abm.settings import SettingsError
from abm.state import BUY, SELL
from experiments.book_impact import FULL, Options, average, continuum, executed, reach


def counted(shape: str, lots: int, options: Options) -> tuple[int, float]:
    """Last tick and average distance by walking the book lot by lot."""
    left, tick, paid = lots, 0, 0
    while left > 0:
        tick += 1
        taken = min(left, options.lots_per_tick if shape == "uniform" else options.growth * tick)
        left, paid = left - taken, paid + taken * tick
    return tick, paid / lots


@pytest.mark.parametrize("shape", ["uniform", "linear"])
@pytest.mark.parametrize("lots", [1, 6, 7, 99, 100, 101, 12_345])
def test_exact_formulas(shape: str, lots: int) -> None:
    options = Options(lots_per_tick=7, growth=2)
    last, paid = counted(shape, lots, options)
    assert reach(shape, lots, options) == last
    assert average(shape, lots, options) == pytest.approx(paid, rel=1e-12)
    assert abs(continuum(shape, lots, options)[0] - last) <= 1


@pytest.mark.parametrize("side", [BUY, SELL])
def test_orders_eat_what_the_formula_says(side: int) -> None:
    options = Options(sizes_lots=(3, 50, 51, 4_321), lots_per_tick=10, growth=3)
    for shape in ("uniform", "linear"):
        last, paid, told = executed(shape, side, options)
        for lots, tick, mean, before in zip(options.sizes_lots, last.tolist(), paid, told, strict=True):
            assert (tick, mean) == pytest.approx(counted(shape, lots, options))
            assert before == pytest.approx(mean, abs=1e-6)


def test_square_root() -> None:
    """Four times the size, twice the distance."""
    options = Options(sizes_lots=(10_000, 40_000))
    last, _, _ = executed("linear", BUY, options)
    assert last[0] == round(math.sqrt(2 * 10_000 / 2)) and last[1] == 2 * last[0]


def test_run_words_and_picture(tmp_path: Path) -> None:
    experiment = load_experiment("book-impact", [], "quick")
    result: dict[str, Any] = experiment.run()
    assert all(item["inside"] for item in result["results"]["checks"])
    assert result["results"]["shapes"]["linear"]["slope"] == pytest.approx(0.5, abs=0.01)
    assert "32 of 32" in experiment.text(result)
    assert experiment.draw(result, tmp_path / "impact.png").stat().st_size > 10_000


def test_bad_options() -> None:
    for setting, word in (("[5]", "at least two"), ("[5,5]", "rise"), ("[5,900000000]", "ticks")):
        with pytest.raises(SettingsError, match=word):
            load_experiment("book-impact", [f"sizes_lots={setting}"])
    Options(**FULL)
