"""`export` and `reproduce` on a tiny market: identical, within tolerance, or different at the right tick."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from abm import reproduce
from abm.cli import main
from abm.provenance import manifest, source_hash
from abm.reproduce import compare, export_run, read_export, surroundings
from abm.results import FolderTakenError, load_run
from abm.settings import SettingsError

ROOT = Path(__file__).resolve().parent.parent
TICKS = 40


def code_of(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    return int(stopped.value.code or 0)


def made(folder: Path, *more: str) -> Path:
    """A run folder: 40 s of tiny with a fall of 9 % from second 20 on."""
    settings = [
        "--set",
        f"duration_s={TICKS}",
        "--set",
        "news.shock.change_percent=-9",
        "--set",
        "makers.follow_news=0",
    ]
    assert code_of("run", "tiny", *settings, *more, "--out", str(folder)) == 0
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("made") / "run")


@pytest.fixture
def file(run: Path, tmp_path: Path) -> Path:
    return export_run(run, tmp_path / "run.zip")


def edited(file: Path, target: Path, changes: dict[str, Callable[[bytes], bytes]]) -> Path:
    """A copy of an export with members changed."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, changes.get(name, bytes)(old.read(name)))
    return target


def with_info(**values: Any) -> dict[str, Callable[[bytes], bytes]]:
    return {"export.json": lambda data: json.dumps(json.loads(data) | values).encode()}


def with_step(column: str, tick: int, factor: float) -> dict[str, Callable[[bytes], bytes]]:
    """One value of the steps multiplied."""

    def change(data: bytes) -> bytes:
        table = pq.read_table(io.BytesIO(data))
        values = table[column].to_numpy().copy()
        values[tick - 1] *= factor
        sink = io.BytesIO()
        pq.write_table(table.set_column(table.column_names.index(column), column, pa.array(values)), sink)
        return sink.getvalue()

    return {"steps.parquet": change}


# --- the file ---------------------------------------------------------------------------------------------------------
def test_the_same_run_gives_the_same_bytes(run: Path, file: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "copy" / "elsewhere")
    again = export_run(copy, tmp_path / "again.zip")
    assert again.read_bytes() == file.read_bytes()
    with zipfile.ZipFile(file) as archive:
        info = json.loads(archive.read("export.json"))
    assert info["source_hash"] == source_hash() and info["seed"] == 1 and info["scenario"]["duration_s"] == TICKS
    assert set(info["files"]) == {"run.json", "steps.parquet", "events.parquet", "opening.parquet", "closing.parquet"}
    assert {"numpy", "numba", "mesa"} <= set(info["packages"])


def test_what_cannot_be_exported(run: Path, file: Path, tmp_path: Path) -> None:
    with pytest.raises(FolderTakenError):
        export_run(run, file)
    copy = shutil.copytree(run, tmp_path / "half")
    info = json.loads((copy / "run.json").read_text(encoding="utf-8"))
    (copy / "run.json").write_text(json.dumps(info | {"complete": False}), encoding="utf-8")
    with pytest.raises(SettingsError, match="not complete"):
        export_run(copy, tmp_path / "half.zip")
    assert code_of("export", str(tmp_path)) == 2


@pytest.mark.parametrize("harm", ["missing", "cut", "text", "format"])
def test_damaged_files_are_refused(harm: str, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.zip"
    if harm == "cut":
        bad.write_bytes(file.read_bytes()[:-200])
    elif harm == "text":
        bad.write_text("no archive", encoding="utf-8")
    elif harm == "format":
        edited(file, bad, with_info(format=99))
    assert code_of("reproduce", str(bad)) == 2
    assert "bad.zip" in capsys.readouterr().err


# --- the verdict of the command ---------------------------------------------------------------------------------------
def test_identical(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "kept"
    assert code_of("reproduce", str(file), "--out", str(kept)) == 0
    said = capsys.readouterr().out
    assert "\nidentical\n" in said and "code: the same sources" in said and "packages: the same" in said
    assert "5 of 5 files the same byte for byte" in said
    assert (kept / "run.json").is_file()


def test_another_shock_is_found_at_its_tick(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The export says -9 %, its scenario now -8 %: nothing differs before the news at second 20."""
    scenario = read_export(file).info["scenario"]
    scenario["news"][0]["change_percent"] = -8.0
    bad = edited(file, tmp_path / "bad.zip", with_info(scenario=scenario))
    assert code_of("reproduce", str(bad)) == 3
    said = capsys.readouterr().out
    assert "different at tick 21" in said and "steps, fair_usd: " in said
    assert code_of("reproduce", str(bad), "--tolerance", "0.5") == 0
    assert "within tolerance 0.5: first difference at tick 21" in capsys.readouterr().out


def test_a_venue_more_and_nothing_but_a_summary(tmp_path: Path) -> None:
    """Runs of two venues have their table of venues; those of level summary have neither events nor balances."""
    two = tmp_path / "two"
    assert code_of("run", "two-venues", "--set", "duration_s=31", "--accounts", "200", "--out", str(two)) == 0
    summary = made(tmp_path / "summary", "--record", "summary")
    for folder in (two, summary):
        exported = read_export(export_run(folder, folder.with_suffix(".zip")))
        assert compare(exported, load_run(folder)).word == "identical"
    assert read_export(two.with_suffix(".zip")).venues
    venues = read_export(two.with_suffix(".zip"))
    venues.venues["perp_usd"] = venues.venues["perp_usd"] + (np.arange(62) == 5)
    assert compare(venues, load_run(two)).first_tick == 3
    assert not read_export(summary.with_suffix(".zip")).events
    assert code_of("reproduce", str(summary.with_suffix(".zip"))) == 0


# --- the comparison ---------------------------------------------------------------------------------------------------
def test_a_value_off_by_a_trifle(run: Path, file: Path, tmp_path: Path) -> None:
    export = read_export(edited(file, tmp_path / "b.zip", with_step("perp_usd", 33, 1 + 1e-12)))
    verdict = compare(export, load_run(run), 1e-9)
    assert (verdict.word, verdict.first_tick, verdict.ok) == ("within tolerance", 33, True)
    strict = compare(export, load_run(run))
    assert strict.word == "different" and strict.text.startswith("different at tick 33\n  steps, perp_usd: ")


def test_the_first_tick_beyond_the_tolerance_counts(run: Path, file: Path, tmp_path: Path) -> None:
    both = edited(file, tmp_path / "a.zip", with_step("perp_usd", 5, 1 + 1e-12))
    export = read_export(edited(both, tmp_path / "b.zip", with_step("mark_usd", 30, 1.01)))
    verdict = compare(export, load_run(run), 1e-9)
    assert verdict.word == "different" and verdict.first_tick == 30
    assert "mark_usd" in verdict.text and "perp_usd" not in verdict.text
    assert compare(export, load_run(run)).first_tick == 5


def test_events_and_balances_count(run: Path, file: Path) -> None:
    export = read_export(file)
    row = int(np.flatnonzero(export.events["tick"] == 30)[0])
    export.events["price_ticks"][row] ^= 1
    verdict = compare(export, load_run(run))
    assert verdict.text.startswith("different at tick 30\n  events, price_ticks: not the same")
    assert compare(export, load_run(run), 1e-9).word == "within tolerance"
    export = read_export(file)
    export.info["balances"]["closing"]["margin_0"] = "0" * 16
    assert compare(export, load_run(run)).first_tick == TICKS
    export.info["balances"]["opening"]["margin_0"] = "0" * 16
    assert compare(export, load_run(run)).text.startswith("different at tick 0\n  opening, margin_0")
    export = read_export(file)
    for column in export.steps:
        export.steps[column] = export.steps[column][:25]
    assert compare(export, load_run(run)).first_tick == 26


def test_a_measure_that_is_computed_otherwise(run: Path, file: Path) -> None:
    export = read_export(file)
    export.info["summary"]["fall_percent"] -= 0.5
    verdict = compare(export, load_run(run))
    assert verdict.text.startswith("different in the summary\n  summary, fall_percent")


def test_other_code_and_packages_are_said(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = read_export(file).info
    here = manifest(0.0)
    assert [line.split(":")[0] for line in surroundings(info, here)] == ["code", "packages"]
    other = info | {"packages": info["packages"] | {"numpy": "1.0"}, "processor": "z80"}
    monkeypatch.setattr(reproduce, "source_hash", lambda: "f" * 64)
    lines = surroundings(other, here)
    assert lines[0].startswith("code DIFFERS: exported with version") and "here" in lines[0]
    assert lines[1].startswith("packages DIFFER: numpy 1.0 there")
    assert lines[2].startswith("processor DIFFERS: z80 there")


@pytest.mark.full
def test_identical_in_a_fresh_copy_of_the_sources(file: Path, tmp_path: Path) -> None:
    """Another folder, another compile cache, another process."""
    for name in ("abm", "experiments"):
        shutil.copytree(ROOT / name, tmp_path / "fresh" / name, ignore=shutil.ignore_patterns("__pycache__"))
    surrounding = os.environ | {"PYTHONPATH": str(tmp_path / "fresh"), "DELEVERAGE_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-c", "from abm.cli import main; main()", "reproduce", str(file)]
    done = subprocess.run(command, cwd=tmp_path, env=surrounding, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nidentical\n" in done.stdout
