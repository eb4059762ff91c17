"""`stylised-facts`: every statistic on series of known value; a short month runs, is judged and drawn."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from numpy.random import Generator, Philox

from abm.experiment import load_experiment
from abm.scenario import load_scenario
from abm.settings import SettingsError
from experiments import _facts as facts
from experiments import stylised_facts as experiment
from experiments._fact_month import DEPTH_PERCENT, MEMORY_LAGS
from experiments._fact_targets import FACTS, MEMORY, Fact

N = 200_000


def draws(seed: int = 1) -> Generator:
    return Generator(Philox(seed))


def test_returns_and_sums() -> None:
    price = 100 * np.exp(0.01 * np.arange(9.0))
    assert facts.log_returns(price, 4) == pytest.approx([0.04, 0.04])
    assert facts.summed(np.arange(7.0), 3).tolist() == [3, 12]


def test_normal() -> None:
    """Kurtosis 0 within 4 standard errors sqrt(24/n); no memory within 4/sqrt(n)."""
    x = draws().standard_normal(N)
    assert abs(facts.excess_kurtosis(x)) < 4 * math.sqrt(24 / N)
    for lag in (1, 12):
        assert abs(facts.autocorrelation(x, lag)) < 4 / math.sqrt(N)
        assert abs(facts.autocorrelation(np.abs(x), lag)) < 4 / math.sqrt(N)
    assert facts.tail_curve(x)[1][0] == pytest.approx(math.erfc(0.3 / math.sqrt(2)), abs=4 * 0.5 / math.sqrt(N))


def test_laplace_kurtosis() -> None:
    assert facts.excess_kurtosis(draws().laplace(size=N)) == pytest.approx(3, abs=0.25)


@pytest.mark.parametrize("alpha", [1.5, 3.0])
def test_hill_of_a_pareto_tail(alpha: float) -> None:
    """Standard error alpha / sqrt(k); the sign of the value does not matter."""
    x = draws().pareto(alpha, N) + 1.0
    x[::2] *= -1
    for share in facts.TAIL_SHARES:
        assert facts.hill(x, share) == pytest.approx(alpha, abs=4 * alpha / math.sqrt(share * N))


def test_ar1() -> None:
    phi, x = 0.6, np.zeros(N)
    noise = draws().standard_normal(N)
    for t in range(1, N):
        x[t] = phi * x[t - 1] + noise[t]
    for lag in (1, 3):
        assert facts.autocorrelation(x, lag) == pytest.approx(phi**lag, abs=0.012)


def test_garch() -> None:
    """Returns without memory, squares with: rho_1 = a + a^2 b / (1 - 2ab - b^2), then (a + b) times the one before."""
    a, b = 0.1, 0.8
    x, variance, noise = np.zeros(N), 1.0, draws().standard_normal(N)
    for t in range(N):
        x[t] = math.sqrt(variance) * noise[t]
        variance = (1 - a - b) + a * x[t] ** 2 + b * variance
    first = a + a * a * b / (1 - 2 * a * b - b * b)
    assert abs(facts.autocorrelation(x, 1)) < 0.02
    assert facts.autocorrelation(x**2, 1) == pytest.approx(first, abs=0.03)
    assert facts.autocorrelation(x**2, 5) == pytest.approx(first * (a + b) ** 4, abs=0.03)
    assert facts.excess_kurtosis(x) == pytest.approx(6 * a * a / (1 - (a + b) ** 2 - 2 * a * a), abs=0.25)


@pytest.mark.parametrize("gamma", [0.5, 0.76, 1.0])
def test_impact_exponent(gamma: float) -> None:
    flow = draws(1).standard_normal(N) * 50
    change = 1e-5 * np.sign(flow) * np.abs(flow) ** gamma + 2e-4 * draws(2).standard_normal(N)
    found = facts.impact_exponent(flow, change)
    assert found == pytest.approx(gamma, abs=0.06)
    assert math.isnan(facts.impact_exponent(flow[:50], change[:50]))


def test_power_and_rank() -> None:
    x = np.geomspace(0.1, 5, 9)
    assert facts.power(x, 2_090 * x**1.13) == pytest.approx(1.13)
    assert facts.rank_correlation(x, x**7) == pytest.approx(1)
    assert facts.rank_correlation(x, 1 / x) == pytest.approx(-1)


def test_too_short_is_nan() -> None:
    few = np.arange(3.0)
    found = facts.facts_of(few, few, few)
    assert all(math.isnan(value) for key, value in found.items() if key != "std_bp")
    assert math.isnan(facts.band([])[0]) and facts.band([1.0, None, 3.0], 1.0) == (2, 1, 3)


def test_a_real_figure_outside_the_band_is_a_miss() -> None:
    fact = Fact("k", "words", "-", 2.0, 9.0)
    assert experiment.judged(fact, [1.5, 1.0, 2.5])["inside"]
    assert not experiment.judged(fact, [3.0, 2.5, 3.5])["inside"]
    assert not experiment.judged(Fact("k", "words", "-"), [3.0, 2.5, 3.5])["inside"]


def test_tables_fit() -> None:
    assert len({fact.key for fact in FACTS}) == len(FACTS) and len(MEMORY) == len(MEMORY_LAGS)
    for settings in experiment.VARIANTS.values():
        load_scenario("calm-month", settings)


def test_options_are_checked() -> None:
    for setting, words in (('variants=["none"]', "is none of"), ("tick_s=7", "evenly"), ("variants=[]", "at least")):
        with pytest.raises(SettingsError, match=words):
            load_experiment("stylised-facts", [setting])


def test_a_short_month(tmp_path: Path) -> None:
    """Two seeds of a few hours; the second call runs nothing again."""
    sets = [f"folder={tmp_path / 'runs'}", "days=0.1", "seeds=1", "accounts=200", "processes=1", "tick_s=30",
            'variants=["as packaged"]']  # fmt: skip
    found = load_experiment("stylised-facts", sets)
    result = found.run()
    first = result["results"]["variants"][0]
    assert first["runs"] == 1 and first["failed"] == 0
    assert first["facts"]["1 min.std_bp"][0] > 0
    assert len(first["curves"]["depth_coins"]) == len(DEPTH_PERCENT)
    assert "tail index" in found.text(result)
    assert image.imread(found.draw(result, tmp_path / "facts.png")).shape[1] > 1000
    again = load_experiment("stylised-facts", sets).run()
    assert again["results"] == result["results"]
    assert again["seconds"] < result["seconds"]


@pytest.mark.full
def test_depth_has_the_shape_it_is_given(tmp_path: Path) -> None:
    """The one fact that is put in: the exponent of depth in calm."""
    found = load_experiment("stylised-facts", [f"folder={tmp_path / 'runs'}", "days=1", "seeds=2"])
    check = {row["what"]: row for row in found.run()["results"]["checks"]}["depth, exponent"]
    assert check["ours"] == pytest.approx(1.13, abs=0.25)
