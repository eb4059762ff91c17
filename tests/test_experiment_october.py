"""`october`: its parts as data, paired tables by hand, the oracle of an opening, and one small run of every part."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from abm.experiment import load_experiment
from abm.scenario import load_scenario
from abm.settings import SettingsError
from experiments import october
from experiments._october_parts import ABLATION, BASE, POLICIES, Group, convergence, critical, one
from experiments._october_run import evening
from experiments._october_tables import COLUMNS, group_table, paired, tail_of
from experiments.october import Options, critical_text, group_points, groups_of, run, text

SMALL: dict[str, Any] = {
    "scenario": "tiny",
    "other": "small-fund",
    "accounts": 200,
    "seeds": 1,
    "critical_seeds": 1,
    "processes": 1,
    "leverages": (2, 100),
    "depths": (300, 2_000),
}


# --- data -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("event", ["october-2025", "september-2025"])
def test_every_variant_is_a_scenario_of_its_own(event: str) -> None:
    groups = [ABLATION, *POLICIES, *convergence((0.5,), (2,), (3_000,))]
    assert len({group.key for group in groups}) == len(groups)
    base = load_scenario(event).resolved()
    for group in groups:
        seen = [load_scenario(event, group.base).resolved()]
        assert (seen[0] == base) == (not group.base)
        for variant in group.variants:
            resolved = load_scenario(event, [*group.base, *variant.settings]).resolved()
            own = resolved in seen  # the rule that the venue has anyway is a row too
            assert not own or variant.name == "binance-queue", f"{group.key}: {variant.name} changes nothing"
            seen.append(resolved)
    for _, _, settings in critical((2, 100), (260, 4_200)):
        assert load_scenario(event, settings).retail.most_leverage in (2, 100)


def test_the_policies_that_the_lab_owes() -> None:
    keys = {group.key for group in POLICIES}
    assert keys == {"leverage-cap", "initial-margin", "circuit-breaker", "maker-obligation", "fund", "deleveraging",
                    "disclosure", "dynamic-margin", "traders", "clearing"}  # fmt: skip
    from abm.clearing.adl import RULES

    rules = next(group for group in POLICIES if group.key == "deleveraging")
    assert {variant.name for variant in rules.variants} == set(RULES)
    assert all(group.caveat for group in POLICIES)


def test_points_pair_every_variant_with_its_own_base() -> None:
    group = Group("g", "G", (one("a", "x=1"), one("b", "x=2")), base=("y=3",))
    points = group_points([group], ["e", "f"])
    assert points[:3] == [("e", "g", BASE, ["y=3"]), ("e", "g", "a", ["y=3", "x=1"]), ("e", "g", "b", ["y=3", "x=2"])]
    assert len(points) == 6
    assert [v.name for v in groups_of(Options(few=True), "policies")[0].variants] == ["1x", "150x"]


def test_mistakes_in_options_are_named_together() -> None:
    with pytest.raises(SettingsError) as caught:
        load_experiment("october", ['parts=["polices"]', 'groups=["funds"]', "depths=[1]", 'other="october-2025"'])
    for words in ('did you mean "policies"', 'did you mean "fund"', "depths: at least two", "the same scenario"):
        assert words in str(caught.value)
    for size in ("quick", "full"):
        load_experiment("october", (), size)


# --- tables -----------------------------------------------------------------------------------------------------------
def rows_of(variant: str, values: list[float | None], key: str = "fall_percent") -> list[dict[str, Any]]:
    return [
        {"event": "e", "group": "g", "variant": variant, "seed": seed, key: value, "error_type": None}
        for seed, value in enumerate(values)
    ]


def test_differences_are_paired_by_seed() -> None:
    base = {row["seed"]: row for row in rows_of(BASE, [-10.0, -12.0, -20.0, -11.0, -9.0, None])}
    changed = {row["seed"]: row for row in rows_of("a", [-12.0, -14.0, -22.5, -13.0, -11.0, -1.0])}
    found = paired(base, changed, COLUMNS[0])
    assert found["pairs"] == 5 and found["mean"] == pytest.approx(-2.1) and found["base"] == pytest.approx(-12.4)
    assert found["low"] <= -2.1 <= found["high"] < 0 and found["clear"] and found["worse"]  # a deeper fall
    few = paired({s: base[s] for s in (0, 1)}, changed, COLUMNS[0])
    assert math.isnan(few["low"]) and not few["clear"] and not few["worse"]


def test_a_table_says_what_got_worse_and_what_failed() -> None:
    group = Group("g", "G", (one("a", "x=1"),), caveat="made up")
    rows = rows_of(BASE, [1e6, 2e6, 3e6, 4e6, 5e6], "bad_debt_usd") + rows_of(
        "a", [3e6, 4e6, 5e6, 6e6, 7e6], "bad_debt_usd"
    )
    rows.append({"event": "e", "group": "g", "variant": "a", "seed": 9, "error_type": "ValueError", "message": "no"})
    table = group_table(rows, group, "e")
    assert table["rows"][0]["worse"] == ["bad_debt_usd"] and table["base"]["bad_debt_usd"] == pytest.approx(3.0)
    assert table["error"] == "a: ValueError: no"
    assert tail_of(rows_of("a", [float(i) * 1e6 for i in range(1, 101)], "bad_debt_usd"))["var95"] == pytest.approx(
        95.0
    )
    assert tail_of(rows[:5])["var95_high"] is None  # five runs do not bound it


def test_crossing_by_hand() -> None:
    rows = [{"leverage": 5, "depth_btc": d, "n": n} for d, n in ((100.0, 4.0), (400.0, 1.5), (1_600.0, 0.5))]
    rows += [{"leverage": 2, "depth_btc": d, "n": 0.1} for d in (100.0, 400.0)]
    rows += [{"leverage": 9, "depth_btc": d, "n": 3.0} for d in (100.0, 400.0)]
    found = {one["leverage"]: one for one in october._crossing(rows, "n")}
    assert found[5]["depth_btc"] == pytest.approx(800.0)  # half-way, as on a log scale
    assert found[2]["depth_btc"] is None and not found[2]["above"] and found[9]["above"]


# --- runs -------------------------------------------------------------------------------------------------------------
def test_the_oracle_of_an_opening() -> None:
    values = {"scenario": "tiny", "accounts": 400, "duration_s": 0, "tick_s": 0}
    thick = evening(values | {"settings": []}, 1)
    assert thick["mean_field_n"] == pytest.approx(thick["to_be_liquidated_btc"] / thick["book_btc"])
    assert thick["mean_field_multiplier"] == pytest.approx(1 / (1 - thick["mean_field_n"]))
    thin = evening(values | {"settings": ["makers.depth_coins=500"]}, 1)
    assert thin["mean_field_n"] > 2 * thick["mean_field_n"]
    safe = evening(values | {"settings": ["retail.most_leverage=2"]}, 1)
    assert safe["mean_field_n"] < 0.05 * thick["mean_field_n"]
    assert 50 < thick["traders_wealth_percent"] < 110 and 0 < thick["traders_kept_half_percent"] <= 100


def test_events_are_held_against_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = {"fall_percent": -13.0, "minutes_to_low": 31.0, "news_percent": -5.0, "multiplier": 2.6}
    rows = [{"seed": seed, "error_type": None, **good} for seed in (1, 2)]
    rows.append({"seed": 3, "error_type": "ValueError", "message": "no"})
    monkeypatch.setattr("experiments._october_events.finished", lambda *_: rows)
    results = run(Options(parts=("events",), held=("october-2025",), folder=str(tmp_path)), lambda _: None)
    assert results["error"] == "october-2025: ValueError: no"
    words = text(results)
    assert "graded rows inside their bands" in words and "fall to the low" in words
    assert (tmp_path / "events" / "october-2025.png").stat().st_size > 10_000
    assert json.loads((tmp_path / "events" / "tables.json").read_text(encoding="utf-8"))["tables"][0]["failed"] == 1


def test_every_part_runs_resumes_and_draws(tmp_path: Path) -> None:
    few = {"few": True, "other": "", "groups": ("fund", "traders"), "numbers": (), "rounds": (1,), "ticks_s": (2.0,),
           "parts": october.PARTS[1:]}  # fmt: skip
    options = Options(**SMALL | few | {"folder": str(tmp_path)})
    said: list[str] = []
    results = run(options, said.append)
    assert not results["error"] and set(results["parts"]) == set(october.PARTS[1:])
    for name, part in results["parts"].items():
        saved = json.loads((tmp_path / name / "tables.json").read_text(encoding="utf-8"))
        assert len(saved["tables"]) == len(part["tables"])
        assert list((tmp_path / name).glob("*.png"))
    assert "Insurance fund" in text(results) and "above one below" in critical_text(
        results["parts"]["critical"]["tables"][0]
    )
    assert october.draw(results, tmp_path / "first.png").stat().st_size > 10_000
    again = run(options, said.append)
    assert text(again) == text(results)
