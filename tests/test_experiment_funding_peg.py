"""`funding-peg`: the closed form, and portfolios in the ledger against it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from abm.experiment import load_experiment
from abm.settings import SettingsError
from experiments import funding_peg as experiment
from experiments._carry import HOURS, Carry, Terms
from experiments._peg_market import KAPPA, PegMarket, resting_carry

TINY = ("kappas=[365]", "rates=[[0,0.05,0],[0.05,0.05,0]]", "offsets=[-0.001,0.001]", "days=56", "paths=4",
        "intervals_hours=[168,56,24]", "demands=[20]", "market_days=12", "market_replicas=2")  # fmt: skip


def test_fair_ratio() -> None:
    assert Terms(365, 0, 0.05, 0).fair == pytest.approx(1.000137, abs=5e-7)
    assert Terms(365, 0.05, 0.05, 0).fair == 1
    assert Terms(12, 0.03, 0.07, 0.04).fair == pytest.approx(1, abs=1e-15)
    assert Terms(365, 0, 0.02, 0.06).fair < 1 < Terms(365, -0.1, 0.05, 0).fair
    for terms in (Terms(52, 0.1, 0.03, 0.01), Terms(365, 0, 0.2, 0.05)):
        assert terms.growth(terms.fair) == pytest.approx(0, abs=1e-12)
        assert terms.growth(terms.fair * 1.001) == pytest.approx(-0.001 * (terms.kappa - terms.iota))
        gap = [terms.growth_in_steps(1.01, dt) - terms.growth(1.01) for dt in (1e-3, 1e-4)]
        assert gap[0] / gap[1] == pytest.approx(10, rel=1e-3)  # of first order


def test_one_interval_by_hand() -> None:
    """Price 100,000 to 110,000 in 8 hours, perpetual at the price, funding 0.01 %, dollars lent at 10 %."""
    dt = 8 / HOURS
    terms = Terms(365.0, 0.0001 / dt, 0.1, 0.0)
    prices = np.array([[100_000.0], [110_000.0]])
    held = Carry(terms, np.array([1.0]), prices, dt, 10.0, 1).run()
    interest = 100_000 * math.expm1(0.1 * dt)
    assert held.wealth[1, 0] == pytest.approx(interest - 11.0, abs=1e-4)  # longs pay 0.01 % of 110,000
    assert held.growth[0] == pytest.approx((interest - 11.0) / (100_000 * dt), abs=1e-6)
    assert held.made_units == 0 and abs(held.ledger_gap[0]) <= held.rounding[0]


def test_no_growth_only_at_the_fair_ratio() -> None:
    """The check can fail: five basis points away from the fair ratio the growth is far outside its tolerance."""
    terms, dt = Terms(365.0, 0.0, 0.05, 0.0), 8 / HOURS
    prices = 100_000 * np.exp(np.cumsum(np.tile([[0.01], [-0.01]], (60, 3)), axis=0))
    ratios = terms.fair * np.array([1.0, 1.0005, 0.9995])
    growth = Carry(terms, ratios, prices, dt, 100.0, 1).run().growth
    assert abs(growth[0]) < 1e-3 and growth[1] == pytest.approx(-0.1825, abs=2e-3) and growth[2] > 0.18


def test_ledger_agrees_with_theory(tmp_path: Path) -> None:
    found = load_experiment("funding-peg", TINY)
    result = found.run()
    checks = result["results"]["checks"]
    assert len(checks) >= 14 and all(row["inside"] for row in checks), found.text(result)
    assert checks[0]["published"] == 1.37
    json.dumps(result, allow_nan=False)
    assert found.draw(result, tmp_path / "figure.png").stat().st_size > 20_000


def test_same_options_same_results() -> None:
    short = (*TINY, "demands=[]", "days=7", "intervals_hours=[24]")
    one, two = (load_experiment("funding-peg", short).run()["results"] for _ in range(2))
    assert json.dumps(one) == json.dumps(two) and one["market"] == {}
    other = load_experiment("funding-peg", (*short, "seed=2")).run()["results"]
    assert one["cases"][0]["growth"] != other["cases"][0]["growth"]


def test_without_funding_nothing_holds_the_premium() -> None:
    """The market's check can fail: where funding is switched off the premium is far beyond its resting place."""
    options = experiment.Options(market_days=8, market_replicas=2)
    held, free = (PegMarket(options, 20.0, funded, 0).run() for funded in (True, False))
    at_rest = resting_carry(options, 20.0) / KAPPA
    assert held.premium[-24:].mean() == pytest.approx(at_rest, rel=0.2)  # quotes are whole dollars
    assert free.premium[-24:].mean() > 3 * at_rest
    assert held.made_units == free.made_units == 0


def test_bad_options_are_all_named() -> None:
    with pytest.raises(SettingsError) as stopped:
        bad = ("kappas=[0.01]", "offsets=[0,0.5]", "interval_hours=7.3", "demands=[40]", "impact=1e-5")
        load_experiment("funding-peg", bad)
    for word in ("kappa 0.01", "offsets", "interval 7.3 h", "demands", "impact"):
        assert word in str(stopped.value)


@pytest.mark.full
def test_at_full_size() -> None:
    found = load_experiment("funding-peg", (), "full")
    result = found.run()
    assert all(row["inside"] for row in result["results"]["checks"]), found.text(result)
