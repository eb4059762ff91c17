"""`deleverage compare` and `deleverage experiment`, end to end on a small market in two processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from abm.cli import main
from abm.scenario import load_scenario, write_toml


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A scenario file: 80 accounts, half a minute, a fall of 6 %."""
    file = tmp_path / "small.toml"
    changes = {"duration_s": 30, "accounts": 80, "makers__count": 4, "makers__steps": 12}
    news = {"name": "shock", "at": "20:40:05", "over_s": 5, "change_percent": -6}
    write_toml(load_scenario("tiny").changed(name="small", news=[news], **changes), file)
    return file


def code_of(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    return int(stopped.value.code or 0)


def test_compare_runs_pairs_on_common_seeds(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert code_of("compare", str(small), "--set", "makers.obliged=1", "--reps", "2", "--out", str(out)) == 0
    result = json.loads((out / "compare.json").read_text(encoding="utf-8"))
    assert [run["seed"] for run in result["runs"]] == [1, 1, 2, 2]
    assert [run["changed"] for run in result["runs"]] == [False, True, False, True]
    assert all(run["summary"]["fall_percent"] < 0 and not run["error"] for run in result["runs"])
    assert (out / "compare.png").stat().st_size > 10_000
    assert "next:" in capsys.readouterr().out


def test_experiment_writes_json_and_picture(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "switches.json"
    settings = [f'scenario="{small}"', "accounts=80", "reps=1"]
    arguments = [part for setting in settings for part in ("--set", setting)]
    assert code_of("experiment", "october-switches", *arguments, "--json", str(file)) == 0
    result = json.loads(file.read_text(encoding="utf-8"))
    assert set(result) == {"experiment", "parameters", "seconds", "results"}
    assert [row["variant"] for row in result["results"]] == ["as it is", "leverage 1x", "makers obliged", "news only"]
    assert all(not row["error"] for row in result["results"])
    assert file.with_suffix(".png").stat().st_size > 10_000
    assert "common seeds" in capsys.readouterr().out


def test_experiment_reports_every_bad_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("experiment", "october-switches", "--set", "rep=1", "--set", "accounts=-5") == 2
    said = capsys.readouterr().err
    assert "rep" in said and "accounts" in said
