"""`who-matters`: signs, pairs, intervals by hand; every kind can be switched; a small study runs, resumes, is drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib import image

from abm.experiment import load_experiment
from abm.scenario import load_scenario
from abm.settings import SettingsError
from experiments import who_matters as experiment
from experiments._who_kinds import KINDS, Kind, mixed


def runs(*falls: float | None) -> dict[int, dict[str, float | None]]:
    return {seed: {"fall_percent": fall, "bad_debt_usd": 2e6} for seed, fall in enumerate(falls)}


def test_the_effect_is_with_minus_without() -> None:
    """Falls of 12, 10, 8, ... % with panic, of 9, 8, 7, ... % without: panic adds 3, 2, 1, ... points."""
    with_it, without = runs(-12.0, -10.0, -8.0, -12.0, -8.0), runs(-9.0, -8.0, -7.0, -9.0, -7.0)
    effect = experiment.effects("panic", True, (), with_it, without)["effects"]["fall_percent"]
    assert effect["mean"] == pytest.approx(-2) and effect["pairs"] == 5
    assert -3 <= effect["low"] < -2 < effect["high"] <= -1
    brought_in = experiment.effects("etf", False, (), with_it, without)
    assert brought_in["effects"]["fall_percent"]["mean"] == pytest.approx(2)
    assert brought_in["effects"]["bad_debt_usd"]["mean"] == 0  # and its interval is the point itself
    assert experiment._cell(brought_in["effects"]["fall_percent"]).endswith(")*")
    assert experiment._cell(brought_in["effects"]["bad_debt_usd"]).endswith(") ")
    assert brought_in["effects"]["adl_usd"] == {"mean": None, "low": None, "high": None, "pairs": 0}


def test_failed_runs_drop_out_with_their_partner() -> None:
    changed = runs(-9.0, None, -7.0)
    changed[1]["error_type"], changed[1]["message"] = "ValueError", "no"  # type: ignore[assignment]
    row = experiment.effects("panic", True, (), runs(-12.0, -10.0, -8.0), changed)
    assert row["effects"]["fall_percent"]["pairs"] == 2 and "ValueError: no" in row["error"]
    assert row["effects"]["fall_percent"]["low"] is None, "two pairs are too few for an interval"


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_every_kind_can_be_switched(kind: Kind) -> None:
    base, changed = load_scenario("october-2025"), load_scenario("october-2025", kind.settings)
    assert changed.resolved() != base.resolved()


def test_bots_take_over_what_people_give_up() -> None:
    changed = load_scenario("october-2025", mixed(0.25, {"open_interest_coins": 80_000}, accounts=500))
    assert changed.retail.open_interest_coins == 60_000
    assert changed.participants[0].parameters["open_interest_coins"] == 20_000


def test_options_are_checked() -> None:
    for setting, words in (('kinds=["retail: panics"]', "retail: panic"), ("kinds=[]", "at least"), ("seeds=0", "1")):
        with pytest.raises(SettingsError, match=words):
            load_experiment("who-matters", [setting])


def test_a_small_study(tmp_path: Path) -> None:
    sets = [f"folder={tmp_path / 'runs'}", "scenario=tiny", "accounts=200", "seeds=2", "duration_s=60", "processes=1",
            'kinds=["retail: leverage", "value sellers"]']  # fmt: skip
    found = load_experiment("who-matters", sets)
    result = found.run()
    rows = {row["kind"]: row for row in result["results"]["rows"]}
    assert set(rows) == {"retail: leverage", "value sellers"} and not result["results"]["error"]
    assert all(row["effects"]["fall_percent"]["pairs"] == 2 for row in rows.values())
    assert rows["retail: leverage"]["effects"]["liquidation_starts_share"]["mean"] >= 0
    assert "a part of the scenario" in found.text(result)
    assert image.imread(found.draw(result, tmp_path / "who.png")).shape[1] > 800
    wider = load_experiment("who-matters", [*sets[:-1], 'kinds=["retail: leverage"]'])
    again = wider.run()
    assert again["seconds"] < result["seconds"], "the runs are there"
    assert again["results"]["rows"][0]["effects"] == rows["retail: leverage"]["effects"]
