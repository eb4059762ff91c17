"""`cascade-size`: Borel's law and the mean-field fall, in theory and through the exchange."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abm.experiment import load_experiment
from abm.settings import SettingsError
from experiments._branching import chi_square, moments, refill_reference, size_cap_for, size_pmf, survival_limit
from experiments._cascade_world import CascadeWorld, Makers, Refilling, Withdrawing, poisson_numbers
from experiments.cascade_size import Options, mean_field

SMALL = ["runs=300", "contrast_runs=60", "branching=[0.5,1.2]", "first_drop_ticks=200", "world_ticks=2048"]


@pytest.fixture(scope="module")
def small() -> Any:
    return load_experiment("cascade-size", SMALL)


@pytest.fixture(scope="module")
def result(small: Any) -> dict[str, Any]:
    answer: dict[str, Any] = small.run()
    return answer


# --- theory -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("n", "printed"), [(0.5, (0.60653, 0.18394, 0.08367)), (0.3, (0.74082, 0.16464, 0.05489))])
def test_borel_as_printed(n: float, printed: tuple[float, ...]) -> None:
    pmf = size_pmf(n, n, 2_000)
    assert pmf[:3] == pytest.approx(printed, abs=5e-6)
    mean, variance = moments(pmf, 2_000)
    assert mean == pytest.approx(1 / (1 - n)) and variance == pytest.approx(n / (1 - n) ** 3)


def test_borel_in_integers() -> None:
    """The same number by the formula with factorials."""
    pmf = size_pmf(0.7, 0.7, 20)
    direct = [math.exp(-0.7 * k) * (0.7 * k) ** (k - 1) / math.factorial(k) for k in range(1, 20)]
    assert pmf == pytest.approx(direct, rel=1e-12)


def test_critical_tail() -> None:
    """At n = 1, P(K >= k) is about sqrt(2 / (pi k))."""
    k = 4_000
    assert 1 - size_pmf(1.0, 1.0, k).sum() == pytest.approx(math.sqrt(2 / (math.pi * k)), rel=1e-3)


def test_survival() -> None:
    x = survival_limit(1.2, 1.2)
    assert x == pytest.approx(1 - math.exp(-1.2 * x), abs=1e-12) and x == pytest.approx(0.31370, abs=1e-5)
    assert survival_limit(0.9, 0.9) == 0 == survival_limit(0.4, 0.8)
    assert 1 - size_pmf(0.7, 1.4, 2_000).sum() == pytest.approx(survival_limit(0.7, 1.4), abs=1e-9)


def test_first_generation_of_its_own() -> None:
    """One plus Poisson(first) trees, each of mean 1 / (1 - later)."""
    mean, _ = moments(size_pmf(0.3, 0.6, 3_000), 3_000)
    assert mean == pytest.approx(1 + 0.3 / (1 - 0.6))


def test_size_cap_cuts_practically_none() -> None:
    for n in (0.3, 0.7, 0.9):
        cap = size_cap_for(n, n, 5_000)
        assert 0 <= 1 - size_pmf(n, n, cap).sum() < 2e-9
    assert size_cap_for(1.0, 1.0, 5_000) == 5_000


def test_chi_square_finds_a_wrong_law() -> None:
    counts = np.rint(size_pmf(0.5, 0.5, 100) * 20_000).astype(np.int64)
    assert chi_square(counts, size_pmf(0.5, 0.5, 100), 20_000)[2] > 0.99
    assert chi_square(counts, size_pmf(0.55, 0.55, 100), 20_000)[2] < 0.01


def test_poisson_numbers() -> None:
    numbers = poisson_numbers(0.45, 200_000, 3, 0, 1)
    assert numbers.mean() == pytest.approx(0.45, abs=4 * math.sqrt(0.45 / 200_000))
    assert numbers.var() == pytest.approx(0.45, abs=0.01)
    assert not np.array_equal(numbers, poisson_numbers(0.45, 200_000, 3, 1, 1))


def test_refilled_book_without_return_is_steady() -> None:
    sizes = refill_reference(0.5, 0.0, 2, 10_000, 1)
    assert sizes.mean() == pytest.approx(2, abs=4 * math.sqrt(4 / sizes.size))


# --- the world --------------------------------------------------------------------------------------------------------
def prepared(numbers: list[int], depth: int = 60) -> CascadeWorld:
    """Clips of 100 lots, 50 lots a tick: a sale eats two ticks."""
    return CascadeWorld(np.array(numbers, np.int64), 100, 50, depth)


def test_a_sale_forces_the_accounts_of_its_own_ticks() -> None:
    """Two accounts in the first two ticks, one in the next four, none below: rounds of 1, 2, 1 clips."""
    world = prepared([0, 2, 0, 0, 0, 1, 0, 0, 3])
    assert world.cascade(100, Makers(), 1_000) == 4
    assert world.rounds == 2 and world.fallen_ticks == 8
    world.audit()
    assert world.cascade(100, Makers(), 1_000) == 4  # the three at the ninth tick
    assert world.fallen_ticks == 16
    world.audit()


def test_an_account_one_tick_below_is_safe() -> None:
    world = prepared([0, 0, 1])
    assert world.cascade(100, Makers(), 1_000) == 1
    assert world.accounts.position[0, world.rows].tolist() == [100]


def test_refilling_makers_stop_a_cascade() -> None:
    """All eaten levels come back: the second sale stays on old ground, and the account below is safe."""
    world = prepared([1, 0, 1])
    assert world.cascade(100, Refilling(1.0), 1_000) == 2
    assert world.fallen_ticks == 2  # nothing refilled is left behind for the next cascade
    world.audit()
    steady = prepared([1, 0, 1])
    assert steady.cascade(100, Makers(), 1_000) == 3


def test_withdrawing_makers_double_the_reach() -> None:
    """Half of the lots leave: the second sale eats four ticks and finds the account at the sixth."""
    world = prepared([1, 0, 0, 0, 0, 1])
    assert world.cascade(100, Withdrawing(0.5), 1_000) == 3
    assert world.fallen_ticks == 2 + 4 + 4
    world.audit()
    assert prepared([1, 0, 0, 0, 0, 1]).cascade(100, Makers(), 1_000) == 2


def test_survivors_are_let_go_at_the_cap() -> None:
    """At the cap the accounts pay in instead of being sold; the next cascade begins below them."""
    world = prepared([1] * 20)
    assert world.cascade(100, Makers(), 6) >= 6
    world.audit()
    assert (world.accounts.position[0, world.rows] > 0).any()
    assert world.exchanges.waiting() == 0
    fallen = world.fallen_ticks
    assert world.cascade(100, Makers(), 3) >= 3
    assert world.fallen_ticks > fallen
    world.audit()


def test_mean_field_example() -> None:
    """rho = 2, phi = 1.2, Q0 = 100: what alone would be a fall of 50 $ becomes one of 125 $."""
    found = mean_field(Options(), 0.6)
    assert 50 * found["drop_ratio"] == pytest.approx(125, rel=0.01) and not found["runaway"]
    doubled = mean_field(Options(), 1.2)  # half of the book gone: to the last account
    assert doubled["runaway"] and doubled["drop_ratio"] is None


# --- the experiment ---------------------------------------------------------------------------------------------------
def test_everything_is_inside_its_tolerance(result: dict[str, Any]) -> None:
    for row in result["results"]:
        assert [item["what"] for item in row["checks"] if not item["inside"]] == []
        counts = {int(size): number for size, number in row["histogram"].items()}
        assert min(counts) == 1
        assert sum(counts.values()) + round(row["survival"] * row["runs"]) == row["runs"] == 300


def test_rows(result: dict[str, Any]) -> None:
    below, above = result["results"]
    assert below["drop_ratio"] == pytest.approx(2, rel=0.02) and not below["runaway"]
    assert above["runaway"] and above["drop_ratio"] is None and above["runaway_drop_ratio"] == pytest.approx(25)
    assert above["mean"] is None and above["variance"] is None and above["survival"] > 0.2
    assert below["mean"] == pytest.approx(2, abs=0.4) and below["survival"] == 0
    assert below["withdraw"]["mean"] > below["mean"] > below["refill"]["mean"]
    assert above["refill"]["survival"] == 0


def test_withdrawal_makes_a_quiet_book_explode() -> None:
    """n = 0.7 dies out; with half of the depth gone it is 1.4, and 30 % of the cascades never end."""
    row = load_experiment("cascade-size", ["runs=100", "contrast_runs=150", "branching=[0.7]"]).run()["results"][0]
    assert row["survival"] == 0
    assert row["withdraw"]["survival"] == pytest.approx(0.3007, abs=4 * math.sqrt(0.21 / 150))


def test_same_seed_same_results(small: Any) -> None:
    tiny = [*SMALL, "runs=100", "contrast_runs=0", "branching=[0.5]"]
    one, other = (load_experiment("cascade-size", tiny).run()["results"] for _ in range(2))
    assert one == other
    changed = load_experiment("cascade-size", [*tiny, "seed=2"]).run()["results"]
    assert changed[0]["histogram"] != one[0]["histogram"]
    assert one[0]["refill"] is None and "none" not in small.text({"results": one})


def test_bad_options_are_named_together() -> None:
    with pytest.raises(SettingsError) as caught:
        load_experiment("cascade-size", ["branching=[0.5,0.5,7]", "clip_lots=75", "withdraw=0.33"])
    words = str(caught.value)
    for name in ("between 0.01 and 3", "named twice", "clip_lots", "withdraw"):
        assert name in words


def test_picture_and_words(small: Any, result: dict[str, Any], tmp_path: Path) -> None:
    assert small.draw(result, tmp_path / "cascades.png").stat().st_size > 20_000
    words = small.text(result)
    assert "chi-square p" in words and "OUTSIDE" not in words and "withdraw" in words


@pytest.mark.full
def test_acceptance() -> None:
    """Borel at 0.3 and 0.5 with 20,000 cascades each; mean-field falls within 2 %; supercritical survival."""
    settings = ["branching=[0.3,0.5,0.9,1.2]", "runs=20000"]
    for row in load_experiment("cascade-size", settings).run()["results"]:
        assert row["chi_square_p"] > 0.01
        assert [item["what"] for item in row["checks"] if not item["inside"]] == []
