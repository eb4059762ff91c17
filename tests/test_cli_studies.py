"""`deleverage compare` and `deleverage experiment`, end to end on a small market in two processes."""

from __future__ import annotations

import json
import sys
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


TOY = '''"""A toy."""
from pathlib import Path
from abm.parameters import Parameters
class Options(Parameters):
    size: int = 3
QUICK = {{"size": 1}}
{extra}
def run(options, say):
    say("working [1/2]")
    {body}
def draw(results, path):
    Path(path).write_bytes(b"picture")
    return path
'''
GOOD = 'return {"size": options.size, "checks": [{"inside": True}, {"inside": options.size == 1}]}'


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of experiments in the place of the real one: `add(name, body)` writes one; runs happen in tmp_path."""
    package = tmp_path / "toys"
    package.mkdir()
    (package / "__init__.py").write_text('"""Toys."""\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("abm.experiment.PACKAGE", "toys")
    monkeypatch.chdir(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] == "toys"]:
        monkeypatch.delitem(sys.modules, name)
    return package


def add(package: Path, name: str, body: str, extra: str = "") -> None:
    (package / f"{name}.py").write_text(TOY.format(body=body, extra=extra))


def test_one_experiment_writes_results_and_picture_unasked(toys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(toys, "good_one", GOOD)
    assert code_of("experiment", "good-one") == 0
    said = capsys.readouterr().out
    folder = toys.parent / "runs" / "experiments"
    result = json.loads((folder / "good-one.json").read_text(encoding="utf-8"))
    assert result["parameters"] == {"size": 3} and (folder / "good-one.png").read_bytes() == b"picture"
    for words in ("wrote runs/experiments/good-one.json", "good-one.png", "good-one: 0.0 s", "working [1/2]"):
        assert words in said
    assert code_of("experiment", "good-one", "--quick", "--out", "here") == 0
    assert json.loads((toys.parent / "here" / "good-one.json").read_text())["parameters"] == {"size": 1}
    assert code_of("experiment", "good-one", "--picture", "only.png") == 0
    assert sorted(path.name for path in toys.parent.iterdir()) == ["here", "only.png", "runs", "toys"]


def test_all_experiments_run_whatever_one_of_them_does(toys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(toys, "a_raises", 'raise ArithmeticError("no more")')
    add(toys, "b_fails", 'return [{"error": "lost"}, {"error": "", "checks": [{"inside": True}]}]')
    add(toys, "c_good", GOOD)
    add(toys, "d_slow", 'raise AssertionError("was run")', "SLOW = True")
    assert code_of("experiment", "--all", "--quick") == 3
    shown = capsys.readouterr()
    rows = {line.split()[0]: line.split()[1:] for line in shown.out.splitlines() if line.split()}
    assert rows["a-raises"][1:] == ["-", "raised"]
    assert rows["b-fails"][1:] == ["1", "of", "1", "1"]
    assert rows["c-good"][1:] == ["2", "of", "2", "0"]
    assert rows["all"][1:] == ["3", "of", "3", "1,", "1", "raised"]
    assert "left out, being slow: d-slow" in shown.out and "ArithmeticError: no more" in shown.err
    written = sorted(path.name for path in (toys.parent / "runs" / "experiments").iterdir())
    assert written == ["b-fails.json", "b-fails.png", "c-good.json", "c-good.png"]


def test_all_experiments_without_failure_is_zero(toys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(toys, "good_one", GOOD)
    assert code_of("experiment", "--all", "--out", "there") == 0
    assert "1 of 2" in capsys.readouterr().out  # a check outside its tolerance is shown, but is no failed run
    assert (toys.parent / "there" / "good-one.png").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--all"),
        (("some", "--all"), "--all"),
        (("--all", "--set", "a=1"), "single experiment"),
        (("--all", "--json", "x.json"), "single experiment"),
        (("some", "--quick", "--full"), "exclude"),
    ],
)
def test_experiment_refuses_contradictions(
    arguments: tuple[str, ...], words: str, toys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("experiment", *arguments) == 2
    assert words in capsys.readouterr().err
    assert not (toys.parent / "runs").exists()
