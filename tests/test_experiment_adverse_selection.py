"""`adverse-selection`: exact solutions against the literature, real books against exact solutions."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from abm.experiment import load_experiment
from abm.settings import SettingsError
from experiments import adverse_selection as experiment
from experiments._insiders import Kyle, Sequential, belief_after, expected_learning, kyle_moments, quotes

TINY = ("trades=12", "paths=1024", "believed=[0.1,0.6]", "believed_paths=512", "auctions=1024",
        "intensities=[0.5]", "intensity_auctions=512")  # fmt: skip


def test_published_quotes() -> None:
    """Quotes of a maker with prior 1/2 and 30 % informed: 0.65 / 0.35, after a buy 0.7752."""
    assert quotes(0.5, 0.3) == pytest.approx((0.65, 0.35))
    assert quotes(0.65, 0.3)[0] == pytest.approx(1.69 / (1.69 + 0.49))
    assert round(quotes(0.65, 0.3)[0], 4) == 0.7752
    assert quotes(0.65, 0.3)[1] == pytest.approx(0.5)  # a sale undoes a buy
    belief = belief_after(0.5, 0.3, np.array([-1, 0, 1, 2]))
    assert belief == pytest.approx([0.35, 0.5, 0.65, 1.69 / 2.18])


def test_enumeration_equals_all_histories_by_hand() -> None:
    """Every sequence of three trades, weighed by its probability, instead of counting net order flow."""
    options = experiment.Options(trades=3, informed=0.4, prior=0.3)
    for believed in (0.4, 0.15):
        maker = error = 0.0
        for high in (0, 1):
            for sides in itertools.product((1, -1), repeat=3):
                weight, net, gain = (0.3 if high else 0.7), 0, 0.0
                for side in sides:
                    ask, bid = quotes(belief_after(0.3, believed, net), believed)
                    gain += ask - high if side > 0 else high - bid
                    weight *= 0.5 + 0.5 * 0.4 * side * (1 if high else -1)
                    net += side
                maker += weight * gain
                error += weight * (high - belief_after(0.3, believed, net)) ** 2
        exact = expected_learning(options, believed)
        assert exact["maker_usd"] == pytest.approx(maker, abs=1e-12)
        assert exact["variance"] == pytest.approx(error)
    assert expected_learning(options, 0.4)["maker_usd"] == pytest.approx(0, abs=1e-12)
    assert expected_learning(options, 0.15)["maker_usd"] < 0 < expected_learning(options, 0.6)["maker_usd"]


def test_kyle_closed_form() -> None:
    options = experiment.Options()
    slope = 0.5 * options.value_sd / options.noise_sd
    best = kyle_moments(options, 1.0, slope)
    assert best["insider_usd"] == pytest.approx(5_000) and best["walked_usd"] == pytest.approx(-5_000)
    assert all(kyle_moments(options, m, slope)["insider_usd"] < 5_000 for m in (0.9, 1.1))


def test_books_agree_with_theory(tmp_path: Path) -> None:
    found = load_experiment("adverse-selection", TINY)
    result = found.run()
    checks = result["results"]["checks"]
    assert len(checks) >= 25 and all(row["inside"] for row in checks), found.text(result)
    json.dumps(result, allow_nan=False)
    assert found.draw(result, tmp_path / "figure.png").stat().st_size > 20_000
    assert f"{len(checks)} of {len(checks)} inside" in found.text(result)


def test_nothing_depends_on_the_replicas_and_seeds_differ() -> None:
    base = {"trades": 6, "paths": 64, "auctions": 64}
    one = Sequential(experiment.Options(**base, replicas=64), 0.3, 64, 0).run()
    two = Sequential(experiment.Options(**base, replicas=16), 0.3, 64, 0).run()
    assert (one.side == two.side).all() and (one.maker_usd == two.maker_usd).all()
    other = Sequential(experiment.Options(**base, replicas=16, seed=2), 0.3, 64, 0).run()
    assert (other.side != two.side).any()
    assert (one.maker_usd + one.informed_usd + one.uninformed_usd == pytest.approx(0, abs=1e-6)) and one.made_units == 0
    first = Kyle(experiment.Options(**base, replicas=64), 1.0, 64, 0).run()
    second = Kyle(experiment.Options(**base, replicas=16), 1.0, 64, 0).run()
    assert (first.price == second.price).all() and first.insider_usd == pytest.approx(second.insider_usd)


def test_a_wrong_belief_is_noticed() -> None:
    """The check of the maker's profit can fail: a maker who underrates the informed loses far beyond its tolerance."""
    profit = Sequential(experiment.Options(trades=12), 0.05, 1_024, 0).run().maker_usd
    assert profit.mean() < -4 * profit.std() / 32


def test_bad_options_are_all_named() -> None:
    with pytest.raises(SettingsError) as stopped:
        load_experiment("adverse-selection", ("value_high=99", "believed=[0.2,1.0]", "intensities=[0]"))
    for word in ("value_high", "believed", "intensities"):
        assert word in str(stopped.value)
    with pytest.raises(SettingsError):
        load_experiment("adverse-selection", ("informed=1",))


@pytest.mark.full
def test_at_full_size() -> None:
    found = load_experiment("adverse-selection", (), "full")
    result = found.run()
    assert all(row["inside"] for row in result["results"]["checks"]), found.text(result)
