"""`deleverage report` of a study and of a comparison."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from abm.analysis import load
from abm.analysis.report import findings
from abm.report import report_of
from abm.report.page import escaped
from abm.report.study import study_page
from abm.scenario import load_scenario
from abm.settings import SettingsError
from abm.sweep import paired_table
from abm.sweep.run import Outcome
from tests.study_tables import write_study
from tests.test_report import HOSTILE, read

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are slow: those that a test does not look at are a few bytes."""

    def drawn(*arguments: Any, **_: Any) -> Path:
        path = next(one for one in arguments if isinstance(one, Path))
        path.write_bytes(PNG)
        return path

    for name in ("study.draw_phase", "study.draw_curves", "study.draw_sensitivity", "tails.draw_tails"):
        monkeypatch.setattr(f"abm.figures.{name}", drawn)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("studies") / "study", title=HOSTILE)


def test_a_study_in_one_file(study: Path) -> None:
    found = report_of(study)
    reader = read(found.html)
    assert found.ok and not found.remarks and HOSTILE in reader.texts["h1"]
    assert reader.loaded and all(value.startswith("data:image/png") for value in reader.loaded)
    for words in ("80 of 80", "grid: 16 points × 5 replicates", "1 to 5 (5), common", "Phase diagram", "No run failed"):
        assert words in found.html
    value = load(study).groupby(["leverage", "depth"])["fall_percent"].mean()[50, 10.0]
    assert f"−{abs(value):.0f}" in found.html  # the mean of the worst point stands in the table of the map


@pytest.mark.usefixtures("no_drawing")
def test_what_was_kept_is_shown_beside_what_is_made(study: Path) -> None:
    plain = report_of(study).html
    assert report_of(study).html == plain
    folder = study / "analysis"
    folder.mkdir()
    try:
        for one in findings(load(study)):
            one.table.to_csv(folder / f"{one.name}.csv", index=False)
        assert report_of(study).html == plain  # the same tables are not shown twice
        (folder / "crossing-fall_percent.csv").write_text("depth,leverage\n10,12.5\n")
        (folder / "crossing-fall_percent.png").write_bytes(PNG)
        shown = report_of(study).html
        assert "kept in analysis/crossing-fall_percent.csv" in shown and "12.5" in shown
    finally:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


@pytest.mark.usefixtures("no_drawing")
def test_failures_and_what_is_missing_are_said(tmp_path: Path) -> None:
    vary = [{"path": "leverage", "values": [5, 20]}, {"path": "depth", "values": [10.0]}]
    failing = write_study(tmp_path / "failing", vary=[*vary, {"path": "fragile", "values": [1]}])
    found = report_of(failing)
    assert found.remarks == ("1 runs failed",) and "the ledger does not add up" in found.html
    partial = write_study(tmp_path / "partial", shard=(1, 2), vary=vary)
    words = report_of(partial)
    assert words.remarks[0].startswith("INCOMPLETE: ") and words.remarks[0] in words.html


@pytest.mark.usefixtures("no_drawing")
def test_indices_that_cannot_be_computed_are_no_crash(tmp_path: Path) -> None:
    ranges = [{"path": "leverage", "low": 5.0, "high": 50.0}, {"path": "depth", "low": 10.0, "high": 80.0}]
    whole = write_study(tmp_path / "morris", design="morris", points=4, replicates=1, vary=ranges)
    assert "Elementary effects on" in report_of(whole).html
    part = write_study(tmp_path / "part", shard=(1, 2), design="morris", points=4, replicates=1, vary=ranges)
    assert "No analysis" in report_of(part).html


@pytest.mark.usefixtures("no_drawing")
def test_a_study_of_a_scenario_shows_its_assumptions(study: Path, tmp_path: Path) -> None:
    told = tmp_path / "told"
    told.mkdir()
    for file in study.rglob("*.*"):
        if file.is_file():
            target = told / file.relative_to(study)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    about = json.loads((told / "study.json").read_text(encoding="utf-8"))
    about["study"] |= {"runner": None, "scenario": "tiny", "set": {"makers.obliged": 0.25}}
    (told / "study.json").write_text(json.dumps(about), encoding="utf-8")
    names = [name for name, _, _ in study_page(told)[0].sections]
    assert "assumptions" in names and "rules" in names
    assert "makers.<wbr>obliged" in report_of(told).html
    about["study"]["scenario"] = "gone.toml"
    (told / "study.json").write_text(json.dumps(about), encoding="utf-8")
    assert "cannot be read from here" in report_of(told).html


# --- compare ----------------------------------------------------------------------------------------------------------
def compared(folder: Path, **changes: Any) -> Path:
    """A folder as `deleverage compare` writes it, two seeds, the last run failed."""
    outcomes = [
        Outcome(1, {"fall_percent": -5.0, "liquidated_usd": 2e6}),
        Outcome(1, {"fall_percent": -3.0, "liquidated_usd": 1e6}),
        Outcome(2, {"fall_percent": -6.0, "liquidated_usd": 3e6}),
        Outcome(2, error=f"ArithmeticError: {HOSTILE}\nTraceback"),
    ]
    runs = [
        {"seed": o.seed, "changed": i % 2 == 1, "summary": o.summary, "error": o.error} for i, o in enumerate(outcomes)
    ]
    rows = paired_table(outcomes[::2], outcomes[1::2])
    found = {"scenario": load_scenario("tiny").resolved(), "set": ["makers.obliged=1"], "rows": rows, "runs": runs}
    folder.mkdir()
    (folder / "compare.json").write_text(json.dumps(found | changes), encoding="utf-8")
    return folder


def test_a_comparison_in_one_file(tmp_path: Path) -> None:
    folder = compared(tmp_path / "pair")
    found = report_of(folder)
    read(found.html)
    assert found.remarks == ("1 of 4 runs failed",) and escaped(f"ArithmeticError: {HOSTILE}") in found.html
    assert "deleverage compare tiny --set makers.obliged=1 --reps 2 --seed 1 --accounts 300" in found.html
    assert "in every value" in found.html and "With and without the change" in found.html
    (folder / "compare.png").write_bytes(PNG)
    shown = report_of(folder)
    assert len(read(shown.html).loaded) == 2 and shown.html == report_of(folder).html  # light, and dark drawn anew


def test_a_damaged_comparison_is_one_message(tmp_path: Path) -> None:
    folder = compared(tmp_path / "pair")
    (folder / "compare.json").write_text('{"set": 1}', encoding="utf-8")
    with pytest.raises(SettingsError, match=r"compare\.json cannot be read"):
        report_of(folder)
    old = compared(tmp_path / "old", scenario={"name": "tiny", "gone": 1})
    assert "cannot read the scenario" in report_of(old).html
