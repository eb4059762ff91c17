"""`avellaneda-stoikov-2008` and `glft-2013`: exact solvers against printed values, the engine against the solvers."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abm.experiment import load_experiment
from abm.settings import SettingsError
from experiments import avellaneda_stoikov_2008, glft_2013
from experiments._maker_chain import certainty_equivalent, moves, profit, symmetric_profit, trading
from experiments._optimal_makers import MakerOptions, empty_books, simulate, standard_errors

PAPER = MakerOptions()


@pytest.mark.parametrize(
    ("gamma", "quoting", "mean", "sd", "sd_inventory"),
    [
        # closed form
        (0.1, "symmetric", 68.23, 13.46, 8.40),
        (0.01, "symmetric", 68.67, 13.68, 8.71),
        (1.0, "symmetric", 43.87, 10.75, 5.19),
        # 200,000 simulated paths of the model without a book
        (0.1, "avellaneda-stoikov", 64.91, 6.56, 2.93),
        (0.01, "avellaneda-stoikov", 68.39, 8.95, 5.22),
        (1.0, "avellaneda-stoikov", 31.45, 4.84, 1.65),
    ],
)
def test_exact_moments(gamma: float, quoting: Any, mean: float, sd: float, sd_inventory: float) -> None:
    chain = PAPER.chain(gamma, quoting, 201)
    money, trade = profit(chain), trading(chain)
    assert money.mean == pytest.approx(mean, abs=5 * sd / math.sqrt(200_000) + 0.005)
    assert money.sd == pytest.approx(sd, abs=0.06 if quoting == "avellaneda-stoikov" else 0.006)
    assert trade.inventory.sd == pytest.approx(sd_inventory, abs=0.02)
    if quoting == "symmetric":
        half = float(chain.rule(np.zeros(1), 0.0).half[0])
        assert (money.mean, money.sd, trade.inventory.sd) == pytest.approx(symmetric_profit(half, chain), rel=1e-9)
        assert trade.fills == pytest.approx(money.mean / half)


def test_exact_moments_by_enumeration() -> None:
    """Three steps, every one of 8^3 outcomes: four moments and the exponential one."""
    options = MakerOptions(dt=1.0 / 3.0, A=1.5)
    chain = options.chain(0.1, "avellaneda-stoikov", 2)
    outcomes = []
    for path in itertools.product(itertools.product(range(4), (-1, 1)), repeat=3):
        chance, gain, held = 1.0, 0.0, 0
        for step, (fill, jump) in enumerate(path):
            move = moves(chain, step)[fill]
            chance *= 0.5 * float(move.chance[held + 2])
            gain += float(move.gain[held + 2])
            if chance == 0.0:
                break
            held += move.shift
            gain += held * jump * 2.0 * math.sqrt(1.0 / 3.0)
        outcomes.append((chance, gain))
    weight, gain = np.array(outcomes).T
    assert weight.sum() == pytest.approx(1.0)
    mean = float(weight @ gain)
    central = [float(weight @ (gain - mean) ** power) for power in (2, 4)]
    assert profit(chain) == pytest.approx((mean, math.sqrt(central[0]), central[1] / central[0] ** 2))
    exact = -math.log(float(weight @ np.exp(-0.1 * gain))) / 0.1
    assert certainty_equivalent(chain, 0.1) == pytest.approx(exact)


def test_the_wrong_fill_probability_costs_a_tenth() -> None:
    wrong = profit(PAPER.chain(0.1, "symmetric", 201, poisson=True)).mean
    assert wrong / 68.228 - 1.0 == pytest.approx(-0.106, abs=0.002)


@pytest.mark.parametrize("gamma", [0.01, 0.1, 1.0])
def test_the_exact_quotes_are_worth_most(gamma: float) -> None:
    options = glft_2013.Options(dt=0.002)
    worth = [certainty_equivalent(options.chain(gamma, rule, 30), gamma) for rule in glft_2013.RULES.values()]
    assert worth[0] > worth[1] > worth[2]
    chain = options.chain(gamma, "glft", 30)
    for wider in (-0.1, 0.1):  # in steps the best quotes are a little closer than in continuous time
        other = options.chain(gamma, "glft", 30, wider=wider)
        assert certainty_equivalent(other, gamma) < certainty_equivalent(chain, gamma)


@pytest.mark.parametrize("quoting", ["avellaneda-stoikov", "glft", "symmetric"])
def test_books_and_ledger_against_exact_moments(quoting: Any) -> None:
    """Also where the inventory limit binds, and where quotes pass the middle price (chances are cut at one)."""
    options = MakerOptions(paths=300, block=160, dt=0.02, A=20.0, seed=11)
    limit = 3
    chain = options.chain(1.0, quoting, limit)
    money, trade = profit(chain), trading(chain)
    paths = simulate(empty_books(options), options, 1.0, quoting, limit)
    assert paths.misplaced == 0
    error = standard_errors(money, 300)
    assert paths.profit.mean() == pytest.approx(money.mean, abs=4 * error[0])
    assert paths.profit.std() == pytest.approx(money.sd, abs=4 * error[1])
    assert paths.spread == pytest.approx(trade.spread, abs=0.002 + 4 * trade.spread_sd / math.sqrt(300))
    assert np.abs(paths.inventory).max() <= limit
    counts = np.bincount(paths.inventory + limit, minlength=7)
    spread = np.sqrt(300 * trade.law * (1 - trade.law))
    assert (np.abs(counts - 300 * trade.law) <= 4.5 * spread + 1e-6).all()


def test_paths_do_not_depend_on_the_blocks() -> None:
    options = MakerOptions(paths=9, dt=0.1, A=10.0)
    whole = simulate(empty_books(options), options, 0.1, "avellaneda-stoikov", 11)
    parts = options.model_copy(update={"block": 4})
    again = simulate(empty_books(parts), parts, 0.1, "avellaneda-stoikov", 11)
    assert whole.profit.tolist() == again.profit.tolist() and whole.inventory.tolist() == again.inventory.tolist()
    other = options.model_copy(update={"seed": 2})
    assert simulate(empty_books(other), other, 0.1, "avellaneda-stoikov", 11).profit.tolist() != whole.profit.tolist()


def test_options_name_everything_that_is_wrong() -> None:
    with pytest.raises(SettingsError) as error:
        load_experiment("avellaneda-stoikov-2008", ["dt=0.3", "sigma=20", "tick=0.00015"])
    said = "\n".join(error.value.lines)
    assert "dt: 0.3" in said and "sigma: 20" in said and "tick: 0.00015" in said
    for setting in ("gammas=[]", "gammas=[0.1,-1]", "gammas=[0.1,0.1]", "paths=1", "limit=3"):
        with pytest.raises(SettingsError):
            load_experiment("avellaneda-stoikov-2008", [setting])
    for setting in ("limit=500", "horizons=[2.0]", "horizons=[]"):
        with pytest.raises(SettingsError):
            load_experiment("glft-2013", [setting])


def test_avellaneda_stoikov_runs_and_draws(tmp_path: Path) -> None:
    experiment = load_experiment("avellaneda-stoikov-2008", ["paths=40", "gammas=[0.1]"])
    result = experiment.run()
    found = result["results"]
    assert [row["strategy"] for row in found["rows"]] == ["inventory", "symmetric"]
    row = found["rows"][1]
    assert (row["profit_mean_published"], row["profit_sd_published"]) == (68.4, 12.7)
    assert sum(row["histogram"]["counts"]) == 40 and len(found["sample"]["middle"]) == 200
    assert len(found["checks"]) == 22 and all(check["inside"] for check in found["checks"])
    assert "12.7 / 13.46" in experiment.text(result)
    assert experiment.draw(result, tmp_path / "as.png").stat().st_size > 20_000
    other = avellaneda_stoikov_2008.Options(sigma=1.0)
    assert avellaneda_stoikov_2008.published(other, 0.1, "inventory") is None, "the paper printed other parameters"


def test_glft_runs_and_draws(tmp_path: Path) -> None:
    experiment = load_experiment("glft-2013", ["paths=60", "gammas=[0.1,1.0]", "dt=0.01"])
    result = experiment.run()
    found = result["results"]
    checks = {check["what"]: check for check in found["checks"]}
    assert checks["gamma 0.1: bid, q = 3"]["published"] == 0.8285
    assert all(check["inside"] for check in found["checks"])
    assert "gamma 0.1: certainty equivalent, books" in checks
    assert "gamma 1: certainty equivalent, books" not in checks, "no estimate at that risk aversion"
    assert experiment.draw(result, tmp_path / "glft.png").stat().st_size > 20_000


@pytest.mark.full
@pytest.mark.parametrize("module", [avellaneda_stoikov_2008, glft_2013])
def test_acceptance(module: Any) -> None:
    """Every comparison at the default size holds, and every quote stood where its rule wanted it."""
    found = module.run(module.Options(), lambda words: None)
    outside = [check["what"] for check in found["checks"] if not check["inside"]]
    assert not outside
    assert sum(row["misplaced_quotes"] for row in found["rows"]) == 0
