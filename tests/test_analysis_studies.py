"""Studies on disk: loaded in one line, analysed by the command, drawn, and read by the recipes of docs/analysis.md."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import image

from abm.analysis import IncompleteDesignError, load, measures_of, problem_of, sobol
from abm.analysis.report import Wishes, findings
from abm.cli import main
from abm.settings import SettingsError
from tests.study_tables import market, write_study

ROOT = Path(__file__).resolve().parent.parent
RANGES = [{"path": "leverage", "low": 5.0, "high": 50.0}, {"path": "depth", "low": 10.0, "high": 80.0, "scale": "log"}]


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("grid") / "study", set={"fragile": True})


def code_of(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    return int(stopped.value.code or 0)


# --- loading ----------------------------------------------------------------------------------------------------------
def test_a_study_is_loaded_in_one_line(grid: Path) -> None:
    frame = load(grid)
    assert len(frame) == 80 and frame.attrs["failed"] == 4 and frame.attrs["missing"] == 0
    assert frame.attrs["varied"] == ["leverage", "depth"] and measures_of(frame) == [
        "bad_debt_usd", "branching_ratio", "fall_percent"
    ]  # fmt: skip
    assert (frame[["point", "replicate"]].to_numpy() == [[i // 5, i % 5] for i in range(80)]).all()
    good = load(grid, failures=False)
    assert len(good) == 76 and good["error_type"].isna().all()
    row = good.iloc[-1]
    want = market({"leverage": row["leverage"], "depth": row["depth"]}, int(row["seed"]))
    assert row["fall_percent"] == want["fall_percent"]


def test_half_a_study_is_loaded_too(tmp_path: Path) -> None:
    frame = load(write_study(tmp_path / "half", (1, 2)))
    assert len(frame) == 40 and frame.attrs["missing"] == 40
    assert frame.attrs["points"] == 16 and frame.attrs["replicates"] == 5


def test_no_study(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no study"):
        load(tmp_path)
    assert code_of("analyse", str(tmp_path)) == 2


# --- what follows from the design -------------------------------------------------------------------------------------
def test_the_design_chooses_the_analysis(grid: Path, tmp_path: Path) -> None:
    assert [one.name for one in findings(load(grid))] == ["phase", "tail"]
    names = [one.name for one in findings(load(grid), Wishes(levels={"branching_ratio": 0.5}))]
    assert names == ["phase", "crossing-branching_ratio", "tail"]
    assert findings(load(grid), Wishes(across="leverage"))[0].name == "curve-leverage"
    spread = write_study(tmp_path / "lhs", design="latin-hypercube", points=40, vary=RANGES, replicates=1)
    table = {one.name: one.table for one in findings(load(spread))}["ranks-fall_percent"].set_index("factor")
    assert table.loc["leverage", "rank"] < -0.3 and table.loc["depth", "rank"] > 0.3
    with pytest.raises(SettingsError, match=r"(?s)fall_percnt.*did you mean.*makers: not varied"):
        findings(load(grid), Wishes(measures=("fall_percnt",), across="makers"))


@pytest.mark.parametrize("design", ["saltelli", "morris"])
def test_designs_for_sensitivity_from_study_to_picture(design: str, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    write_study(folder, design=design, points=32, vary=RANGES, replicates=2)
    found = findings(load(folder), Wishes(measures=("fall_percent",)))
    assert {"factor"} < set(found[0].table)
    assert found[0].table["factor"].tolist() == ["leverage", "depth"]
    assert found[0].draw is not None
    assert image.imread(found[0].draw(tmp_path / "picture.png")).shape[0] > 200
    assert problem_of(load(folder)).factors[1].scale == "log"
    half = tmp_path / "half"
    write_study(half, (1, 3), design=design, points=32, vary=RANGES, replicates=2)
    with pytest.raises(IncompleteDesignError, match=r"point 0 \(leverage=.*, depth=.*\): 1 of 2 replicates run"):
        findings(load(half), Wishes(measures=("fall_percent",)))


def test_missing_points_are_named_with_their_values(tmp_path: Path) -> None:
    fields = {"design": "saltelli", "points": 4, "vary": RANGES, "replicates": 1}
    frame = load(write_study(tmp_path / "half", (1, 2), **fields))
    with pytest.raises(IncompleteDesignError, match=r"point 1 \(leverage=[\d.]+, depth=[\d.]+\): not run"):
        sobol(frame, ["leverage", "depth"], "fall_percent")


# --- the command ------------------------------------------------------------------------------------------------------
def test_analyse_prints_and_writes(grid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    arguments = ["--level", "branching_ratio=0.5", "--by", "leverage", "--median", "--out", str(out)]
    assert code_of("analyse", str(grid), *arguments) == 0
    said = capsys.readouterr()
    assert "0 runs are missing, 4 have failed" in said.err
    assert "crosses 0.5 along depth" in said.out and "next:" in said.out
    written = sorted(path.name for path in out.iterdir())
    assert written == ["crossing-branching_ratio.csv", "phase.csv", "phase.png", "tail.csv", "tail.png"]
    crossing = pd.read_csv(out / "crossing-branching_ratio.csv").set_index("leverage")
    # leverage / depth = 0.5 at a depth of twice the leverage; luck of the median seed is 1/6 · 0.1 at most.
    assert crossing.loc[[10, 20], "place"].tolist() == pytest.approx([20, 40], rel=0.35)
    assert image.imread(out / "phase.png").shape[1] > 1000
    assert code_of("analyse", str(grid), "--level", "branching_ratio") == 2
    assert code_of("analyse", str(grid), "--across", "depth", "--at", "leverage=7") == 2


def test_pictures_are_the_same_bytes(grid: Path, tmp_path: Path) -> None:
    pictures = []
    for name in ("a", "b"):
        drawn = [one.draw(tmp_path / f"{name}-{one.name}.png") for one in findings(load(grid)) if one.draw]
        pictures.append([path.read_bytes() for path in drawn])
    assert pictures[0] == pictures[1] and len(pictures[0]) == 2


def test_curves_and_sparse_tables_are_drawn(grid: Path, tmp_path: Path) -> None:
    frame = load(grid)
    frame.loc[(frame["leverage"] == 5) & (frame["depth"] == 80.0), "branching_ratio"] = np.nan
    for wishes in (Wishes(across="leverage", at={"depth": 20}), Wishes(across="leverage", up="depth")):
        found = findings(frame, wishes)[0]
        assert found.draw is not None
        assert image.imread(found.draw(tmp_path / f"{found.name}.png")).shape[1] > 1000
    single = write_study(tmp_path / "one", vary=[{"path": "leverage", "values": [20]}], set={"depth": 20.0})
    found = findings(load(single))[0]
    assert found.draw is not None and found.draw(tmp_path / "one.png").stat().st_size > 5_000


def test_a_parameter_of_words_is_a_table(tmp_path: Path) -> None:
    words = write_study(
        tmp_path / "words", vary=[{"path": "name", "values": ["a", "b"]}], set={"depth": 9.0, "leverage": 9}
    )
    found = findings(load(words))[0]
    assert found.table["name"].tolist() == ["a", "b"] * 3 and found.draw is None
    load(words).to_parquet(tmp_path / "copy.parquet")  # what travels with the table can be written


# --- the recipes ------------------------------------------------------------------------------------------------------
RECIPE = re.compile(r"^```py\n(.*?)^```$", re.M | re.S)


def recipes() -> list[object]:
    text = (ROOT / "docs" / "analysis.md").read_text(encoding="utf-8")
    return [pytest.param(match[1], id=str(n)) for n, match in enumerate(RECIPE.finditer(text))]


def test_there_are_recipes_for_each_library() -> None:
    text = "".join(str(one.values[0]) for one in recipes())  # type: ignore[attr-defined]
    assert all(f"import {name}" in text for name in ("duckdb", "polars", "pandas"))


@pytest.mark.parametrize("recipe", recipes())
def test_recipes_run(recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block of docs/analysis.md, on a study in the place that the page names."""
    for name in re.findall(r"^(?:import|from) (duckdb|polars|SALib)", recipe, re.M):
        pytest.importorskip(name)
    monkeypatch.chdir(tmp_path)
    fields = {"design": "saltelli", "points": 8, "vary": RANGES, "replicates": 1} if "sobol(" in recipe else {}
    write_study(Path("runs/sweep-leverage-depth"), **fields)
    exec(compile(recipe, "docs/analysis.md", "exec"), {})
