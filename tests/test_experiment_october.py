"""`october`: its parts as data, paired tables by hand, the oracle of an opening, and one small run of every part."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from abm.experiment import load_experiment
from abm.scenario import load_scenario
from abm.settings import SettingsError
from experiments import october, october_granularity
from experiments._october_convergence import DIFFERENT, EQUIVALENT, OPEN, agreed_from, equivalence
from experiments._october_critical import critical_text, crossing
from experiments._october_design import Cell, Runs, blocks, cells_of, groups_of, opening, planned, stored
from experiments._october_parts import ABLATION, BASE, POLICIES, Group, Idle, Variant, convergence, critical, one
from experiments._october_run import evening
from experiments._october_tables import COLUMNS, group_table, mark_found, paired, tail_of
from experiments._october_words import pages, paragraph
from experiments.october import Options, run, text

SMALL: dict[str, Any] = {
    "scenario": "tiny",
    "other": "small-fund",
    "accounts": 200,
    "seeds": 1,
    "critical_seeds": 1,
    "convergence_seeds": 1,
    "duration_s": 0,
    "processes": 1,
    "leverages": (2, 100),
    "depths": (300, 2_000),
}


# --- data -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("event", ["october-2025", "september-2025"])
def test_every_variant_is_a_scenario_of_its_own(event: str) -> None:
    groups = [ABLATION, *POLICIES, *convergence((0.25,), (2,), (3_000,))]
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


def test_every_part_gets_its_first_seeds_before_any_gets_its_second() -> None:
    options = Options(seeds=45, block=20, critical_seeds=5, convergence_seeds=30, parts=october.PARTS[1:])
    assert blocks(options) == [range(20), range(20, 40), range(40, 45)]
    cells = cells_of(options)
    assert {cell.part for cell in cells} == set(october.PARTS[1:])
    first = [cell for cell in cells if cell.variant == BASE]
    assert len({(c.event, c.settings) for c in first if c.part == "policies"}) == 4  # two events, two funds
    assert [v.name for v in groups_of(Options(few=True), "policies")[0].variants] == ["1x", "150x"]
    runs, hours = planned(Options(seeds=100, parts=("policies",)))["policies"]
    assert 12_000 < runs < 15_000 and 10 < hours < 70
    assert opening("october-2025", 120.0) == ("start=2025-10-10T20:48:00Z",) and opening("october-2025", 0.0) == ()


def test_what_is_missing_is_run_once_and_idle_rules_are_copied() -> None:
    base = Cell("policies", "e", "g", BASE, ("b",), ("b",), 3)
    rule = Cell("policies", "e", "g", "a", ("b", "x=1"), ("b",), 3, Idle("move_5min_percent", 5.0))
    runs = Runs(Options(audited=1, seed=1))
    assert runs.missing([base, base, rule], range(3)) == [("e", ("b",), seed) for seed in (1, 2, 3)]
    same = {"fall_percent": -3.0, "error_type": None, "move_5min_percent": 3.0}
    runs.rows = {("e", ("b",), seed): dict(same) for seed in (1, 2, 3)}
    runs.rows[("e", ("b",), 3)]["move_5min_percent"] = 5.0  # the rule may have acted there
    assert runs.missing([base, rule], range(3)) == [("e", ("b", "x=1"), 1), ("e", ("b", "x=1"), 3)]
    runs.rows[("e", ("b", "x=1"), 1)] = dict(same)
    assert runs.audit([base, rule]) == []
    assert [row.get("copied", False) for row in runs.table_rows([rule])] == [False, True]
    runs.rows[("e", ("b", "x=1"), 1)]["fall_percent"] = -4.0  # it acted where it could not have
    assert runs.audit([base, rule]) == ["a (g, e)"]
    assert [seed for _, _, seed in runs.missing([rule], range(3))] == [2, 3]
    assert Idle("behind_fund_usd", 0.0).holds({"behind_fund_usd": 0.0})
    assert not Idle("behind_fund_usd", 0.0).holds({"behind_fund_usd": 2.0})
    assert not Idle("move_5min_percent", 5.0).holds({"move_5min_percent": None})


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
    found = {one["leverage"]: one for one in crossing(rows, "n")}
    assert found[5]["depth_btc"] == pytest.approx(800.0)  # half-way, as on a log scale
    assert found[2]["depth_btc"] is None and not found[2]["above"] and found[9]["above"]


def made_up(change: float, seeds: int = 40) -> list[dict[str, Any]]:
    """Runs of a base and of one rule that makes falls smaller by `change` and costs a little recovery."""
    rows = []
    for seed in range(seeds):
        wave = math.sin(7.0 * seed)
        for variant, moved in ((BASE, 0.0), ("strong", change)):
            row = {column.key: 5.0 + wave for column in COLUMNS}
            row |= {"fall_percent": -12.0 + wave + moved, "recovery_30min_percent": 60.0 - 3.0 * moved}
            rows.append({"event": "october-2025", "group": "g", "variant": variant, "seed": seed, **row})
    return rows


def test_paragraphs_are_filled_in_from_the_table(tmp_path: Path) -> None:
    group = Group("g", "A rule", (one("strong", "x=1"),), caveat="Made up.")
    table = group_table(made_up(2.0), group, "october-2025")
    mark_found([table])
    assert table["rows"][0]["worse_found"] == ["recovery_30min_percent"]
    words = paragraph(table)
    assert "falls by 11.9 %" in words and "The fall shrinks most with “strong”, by 2 percentage points" in words
    assert "Made worse: recovered, 30 min (“strong”)" in words and "40 pairs" in words
    nothing = group_table(made_up(0.0), group, "october-2025")
    mark_found([nothing])
    assert "In none of the pairs did the rule change anything." in paragraph(nothing)
    few = group_table(made_up(2.0, 3), group, "october-2025")
    mark_found([few])
    assert "3 pairs of runs are too few" in paragraph(few)
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- begin october-g: command -->\nSTALE\n<!-- end october-g -->\nafter\n")
    (tmp_path / "other.md").write_text("nothing to fill\n")
    assert pages({"policies": {"tables": [table], "words": "w"}}, tmp_path) == [page]
    filled = page.read_text()
    assert filled.startswith("before\n<!-- begin") and filled.endswith("<!-- end october-g -->\nafter\n")
    assert "STALE" not in filled and "| strong | 40 |" in filled and "*Caveat.* Made up." in filled


def test_luck_among_many_rows_is_not_found() -> None:
    """Twenty rules that do nothing but shuffle luck: some differences are clear, next to none is found."""
    draw = np.random.default_rng(5)
    group = Group("g", "G", tuple(Variant(f"{n}", (f"x={n}",)) for n in range(20)))
    rows = [
        {"event": "e", "group": "g", "variant": name, "seed": seed}
        | {column.key: float(draw.normal()) for column in COLUMNS}
        for name in (BASE, *(variant.name for variant in group.variants))
        for seed in range(30)
    ]
    table = group_table(rows, group, "e")
    mark_found([table])
    effects = [effect for row in table["rows"] for effect in row["effects"].values()]
    assert sum(effect["clear"] for effect in effects) > 5 > sum(effect["found"] for effect in effects)


def test_equivalence_is_about_size_not_significance() -> None:
    draw = np.random.default_rng(3)
    luck = draw.normal(-10, 3, 200)
    column = COLUMNS[0]
    finest = {seed: {"fall_percent": value} for seed, value in enumerate(luck)}
    shifted = [{seed: {"fall_percent": v + by + draw.normal(0, 0.5)} for seed, v in enumerate(luck)} for by in (0.3, 6)]
    assert [equivalence(finest, other, column)["verdict"] for other in shifted] == [EQUIVALENT, DIFFERENT]
    few = {seed: finest[seed] for seed in range(3)}
    assert equivalence(finest, few, column)["verdict"] == OPEN
    verdicts = [EQUIVALENT, OPEN, EQUIVALENT]  # what is coarser than an open row does not count
    rows = [{"resolution": n, "against_finest": {c: {"verdict": v} for c in october_keys()}} for n, v in zip((1, 2, 3),
            verdicts, strict=True)]  # fmt: skip
    assert agreed_from([*rows, {"resolution": 4, "against_finest": {}}])["fall_percent"] == 3


def october_keys() -> tuple[str, ...]:
    from experiments._october_convergence import MEASURES

    return MEASURES


# --- runs -------------------------------------------------------------------------------------------------------------
def test_the_oracle_of_an_opening() -> None:
    values = {"scenario": "tiny", "accounts": 400, "duration_s": 0, "tick_s": 0}
    slow = ["makers.follow_news=0"]
    thick = evening(values | {"settings": slow}, 1)
    assert thick["mean_field_n"] == pytest.approx(thick["to_be_liquidated_btc"] / thick["book_btc"])
    assert thick["mean_field_multiplier"] == pytest.approx(1 / (1 - thick["mean_field_n"]))
    thin = evening(values | {"settings": [*slow, "makers.depth_coins=500"]}, 1)
    assert thin["mean_field_n"] > 2 * thick["mean_field_n"]
    safe = evening(values | {"settings": [*slow, "retail.most_leverage=2"]}, 1)
    assert safe["mean_field_n"] < 0.05 * thick["mean_field_n"]
    assert 50 < thick["traders_wealth_percent"] < 110 and 0 < thick["traders_kept_half_percent"] <= 100


def test_events_are_held_against_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = {"fall_percent": -13.0, "minutes_to_low": 31.0, "news_percent": -5.0, "multiplier": 2.6}
    rows = [{"seed": seed, "error_type": None, **good} for seed in (1, 2)]
    rows.append({"seed": 3, "error_type": "ValueError", "message": "no"})
    monkeypatch.setattr("experiments._october_events.run_missing", lambda *_: None)
    monkeypatch.setattr("experiments._october_events.finished_of", lambda *_: rows)
    results = run(Options(parts=("events",), held=("october-2025",), folder=str(tmp_path)), lambda _: None)
    assert results["error"] == "october-2025: ValueError: no"
    words = text(results)
    assert "graded rows inside their bands" in words and "fall to the low" in words
    assert (tmp_path / "events" / "october-2025.png").stat().st_size > 10_000
    assert json.loads((tmp_path / "events" / "tables.json").read_text(encoding="utf-8"))["tables"][0]["failed"] == 1


FEW: dict[str, Any] = {"few": True, "other": "", "groups": ("fund", "traders"), "numbers": (), "rounds": (1,),
                       "ticks_s": (2.0,), "parts": october.PARTS[1:]}  # fmt: skip


def test_every_part_runs_resumes_and_draws(tmp_path: Path) -> None:
    options = Options(**SMALL | FEW | {"folder": str(tmp_path)})
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
    before = {path.name for path in (tmp_path / "runs" / "parts").iterdir()}
    again = run(options.model_copy(update={"do": "tables"}), said.append)
    assert text(again) == text(results)
    assert text(run(options, said.append)) == text(results)
    assert {path.name for path in (tmp_path / "runs" / "parts").iterdir()} == before, "nothing is run twice"
    assert "CPU h" in text(run(options.model_copy(update={"do": "plan"}), said.append))


def test_interrupted_it_leaves_tables_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments._studies.SAID_S", 0.0)
    options = Options(**SMALL | FEW | {"parts": ("policies",), "folder": str(tmp_path), "seeds": 2})

    def stop(words: str) -> None:
        if " runs" in words and words.startswith(("2 of", "3 of", "4 of")):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(options, stop)
    made = set(stored(options, tmp_path / "runs"))
    assert 1 <= len(made) < 14 and (tmp_path / "policies" / "tables.json").exists()
    results = run(options, lambda _: None)
    after = stored(options, tmp_path / "runs")
    assert made < set(after) and not results["error"]
    parts = sorted((tmp_path / "runs" / "parts").glob("*.parquet"))
    ids = [one for path in parts for one in pq.read_table(path)["id"].to_pylist()]
    assert len(ids) == len(set(ids)) == len(after), "no run was made twice"
    assert all(row["pairs"] == 2 for table in results["parts"]["policies"]["tables"] for row in table["rows"])


def test_a_failing_run_is_a_row(tmp_path: Path) -> None:
    options = Options(**SMALL | FEW | {"parts": ("policies",), "groups": ("disclosure",), "folder": str(tmp_path)})
    options = options.model_copy(update={"limit_s": 0.001})
    results = run(options, lambda _: None)
    (table,) = results["parts"]["policies"]["tables"]
    assert "TimeLimit" in results["error"] and table["rows"][0]["failed"] == 1 and table["rows"][0]["pairs"] == 0
    mended = run(options.model_copy(update={"limit_s": 600.0, "retry_failed": True}), lambda _: None)
    assert not mended["error"] and mended["parts"]["policies"]["tables"][0]["rows"][0]["pairs"] == 1


def test_granularity_is_the_part_convergence(tmp_path: Path) -> None:
    options = october_granularity.Options(
        scenario="tiny", accounts=200, numbers=(100,), ticks_s=(2.0,), rounds=(1,), reps=1, processes=1,
        folder=str(tmp_path),
    )  # fmt: skip
    results = october_granularity.run(options, lambda _: None)
    assert list(results["parts"]) == ["convergence"] and not results["error"]
    groups = [table["group"] for table in results["parts"]["convergence"]["resolution"]]
    assert groups == ["tick", "rounds", "accounts"]
    finest = results["parts"]["convergence"]["resolution"][2]["rows"][-1]
    assert finest["resolution"] == 200 and finest["base"] and finest["runs"] == 1
    assert (tmp_path / "convergence" / "convergence.png").exists()


@pytest.mark.full
def test_quick_is_quick_and_survives_being_killed(tmp_path: Path) -> None:
    """The whole command; killed half way, the next call repeats nothing."""
    words = [sys.executable, "-c", "import sys; from abm.cli import main; sys.exit(main())",
             "experiment", "october", "--quick"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    child = subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    parts = tmp_path / "runs" / "october-quick" / "runs" / "parts"
    began = time.monotonic()
    while time.monotonic() - began < 300 and len(list(parts.glob("*.parquet"))) < 2:
        time.sleep(0.2)
    child.kill()
    child.wait()
    early = sum(pq.read_metadata(path).num_rows for path in parts.glob("*.parquet"))
    began, used = time.monotonic(), os.times()
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    spent = os.times().children_user - used.children_user
    assert done.returncode == 0, done.stdout + done.stderr
    ids = [one for path in parts.glob("*.parquet") for one in pq.read_table(path)["id"].to_pylist()]
    assert early > 0 and len(ids) == len(set(ids)) > early
    assert spent < 120, f"{spent:.0f} s of processor time, {time.monotonic() - began:.0f} s in all"
    for name in october.PARTS:
        assert (tmp_path / "runs" / "october-quick" / name / "tables.json").exists()
