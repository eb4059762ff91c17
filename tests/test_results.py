"""Run folders: same bytes for the same run, readable when broken off, never overwritten."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from abm.events import BY_LIQUIDATION, DELEVERAGE, EVENT, FILL_EVENT, LIQUIDATION
from abm.provenance import finite, run_id, source_hash
from abm.recorder import STEP, Recorder
from abm.results import GROUP_ROWS, FolderTakenError, RunWriter, free_folder, load_run
from abm.state import Accounts
from abm.venues.preset import asset_names, build_markets, load_preset

START = datetime(2025, 10, 10, 20, 40, tzinfo=UTC)


def writer(out: Path, level: str = "fills") -> RunWriter:
    return RunWriter(out, scenario={"a": 1, "b": float("nan")}, name="x", title="X", seed=3, level=level)


def rows_of(tick: int, n: int) -> np.ndarray:
    rows = np.zeros(n, EVENT)
    rows["tick"] = tick
    rows["seq"] = np.arange(n) + tick * n
    rows["amount"] = 2**60 + np.arange(n)
    return rows


def begin(recorder: Recorder) -> Accounts:
    preset = load_preset("binance-2025-10")
    accounts = Accounts.empty(4, 2, 1)
    accounts.cash[0] = [10, -20, 30, 2**62]
    recorder.begin(build_markets([preset]), asset_names([preset]), [preset.name], START, 0.5)
    recorder.opening(accounts)
    return accounts


def write(out: Path, ticks: int = 5, n: int = 7) -> Path:
    with writer(out) as w:
        accounts = begin(w)
        for tick in range(1, ticks + 1):
            w.events(rows_of(tick, n))
            w.step({"tick": tick, "perp_usd": 100.0 + tick, "messages": n})
        w.closing(accounts)
        w.close_data()
        w.finish({"fall": float("nan"), "n": np.int64(3)}, [])
        return w.publish()


def test_a_run_comes_back_as_it_was(tmp_path: Path) -> None:
    run = load_run(write(tmp_path / "out"))
    assert run.info["complete"] and run.info["ticks"] == 5 and run.info["summary"] == {"fall": None, "n": 3}
    assert [m["kind"] for m in run.info["markets"]] == ["spot", "perpetual"]
    assert list(run.steps.columns) == ["tick", "time", *[n for n in STEP.names if n != "tick"]]
    assert run.steps["perp_usd"].tolist() == [101, 102, 103, 104, 105]
    assert run.steps["spot_usd"].isna().all() and (run.steps["fills"] == 0).all()
    assert str(run.steps["time"].iloc[0]) == "2025-10-10 20:40:00.500000+00:00"
    assert len(run.events) == 35 and run.events["amount"].iloc[-1] == 2**60 + 6
    assert {name: run.events[name].dtype for name in EVENT.names} == {name: EVENT[name] for name in EVENT.names}
    assert run.closing["cash_USDT"].tolist() == [10, -20, 30, 2**62]
    assert {"row", "venue", "kind", "mode", "leverage", "cash_BTC", "margin_0", "position_0", "entry_cost_0"} < set(
        run.opening
    )
    assert not (tmp_path / "out.partial").exists()


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a"), write(tmp_path / "b")
    for name in ("run.json", "steps.parquet", "events.parquet", "opening.parquet", "closing.parquet"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    words = (first / "run.json").read_text() + (first / "events.parquet").read_bytes().decode("latin1")
    assert str(tmp_path) not in words and "wall" not in words
    assert json.loads((first / "manifest.json").read_text())["wall_seconds"] >= 0


def test_memory_and_disk_agree(tmp_path: Path) -> None:
    recorder = Recorder()
    begin(recorder)
    for tick in range(1, 6):
        recorder.events(rows_of(tick, 7))
        recorder.step({"tick": tick, "perp_usd": 100.0 + tick, "messages": 7})
    on_disk, kept = load_run(write(tmp_path / "out")), recorder.run()
    assert kept.steps.equals(on_disk.steps) and kept.events.equals(on_disk.events)


def test_forced_events_are_the_small_part(tmp_path: Path) -> None:
    rows = rows_of(1, 6)
    rows["kind"] = [FILL_EVENT, FILL_EVENT, LIQUIDATION, FILL_EVENT, FILL_EVENT, DELEVERAGE]
    rows["reason"] = [0, 0, 0, BY_LIQUIDATION, 0, 0]
    rows["seq"], rows["cause"] = [10, 11, 12, 13, 14, 15], [-1, -1, 11, 12, -1, -1]
    recorder = Recorder()
    begin(recorder)
    recorder.events(rows)
    with writer(tmp_path / "out") as w:
        begin(w)
        w.events(rows)
        w.step({"tick": 1})
        run = w.close_data()
    assert run.forced_events["seq"].tolist() == [11, 12, 13, 15]
    assert "events" not in run.__dict__
    assert recorder.run().forced_events["seq"].tolist() == [11, 12, 13, 15]


def test_many_events_are_written_in_groups(tmp_path: Path) -> None:
    n = GROUP_ROWS // 3
    with writer(tmp_path / "out") as w:
        begin(w)
        for tick in range(1, 8):
            w.events(rows_of(tick, n))
            w.step({"tick": tick})
        w.events(rows_of(8, 5 * GROUP_ROWS))  # one tick larger than the buffer
        run = w.close_data()
    assert len(run.events) == 7 * n + 5 * GROUP_ROWS
    assert (np.diff(run.events["tick"]) >= 0).all()


def test_an_exception_leaves_readable_files_marked_incomplete(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), writer(tmp_path / "out") as w:
        accounts = begin(w)
        w.events(rows_of(1, 3))
        w.step({"tick": 1})
        w.closing(accounts)
        raise KeyboardInterrupt
    assert not (tmp_path / "out").exists()
    run = load_run(tmp_path / "out.partial")
    assert run.info["complete"] is False
    assert len(run.events) == 3 and len(run.steps) == 1 and len(run.closing) == 4


def test_a_run_without_events_has_an_empty_file_and_summary_has_none(tmp_path: Path) -> None:
    run = load_run(write(tmp_path / "out", n=0))
    assert len(run.events) == 0 and (run.path / "events.parquet").exists()
    with writer(tmp_path / "brief", "summary") as w:
        begin(w)
        w.events(rows_of(1, 3))
        w.step({"tick": 1})
        w.finish({}, [])
    assert not (w.folder / "events.parquet").exists() and load_run(w.folder).events.empty


def test_existing_folders_are_never_touched(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(FolderTakenError, match="not overwritten"):
        writer(tmp_path / "out")
    (tmp_path / "new.partial").mkdir()
    with pytest.raises(FolderTakenError, match="partial"):
        writer(tmp_path / "new")
    assert free_folder(tmp_path / "out").name == "out-2"
    assert free_folder(tmp_path / "new").name == "new-2"


def test_nothing_is_written_before_the_model_stands(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), writer(tmp_path / "out"):
        raise RuntimeError("the model cannot be built")
    assert list(tmp_path.iterdir()) == []


def test_unknown_step_values_and_levels_are_refused() -> None:
    recorder = Recorder()
    with pytest.raises(ValueError, match="no field"):
        recorder.step({"perp_usdt": 1.0})
    with pytest.raises(ValueError, match="summary"):
        Recorder("everything")


def test_run_id_depends_on_everything_that_decides() -> None:
    base = run_id({"a": 1}, 1)
    assert base == run_id({"a": 1}, 1) and len(base) == 64
    assert len({base, run_id({"a": 2}, 1), run_id({"a": 1}, 2)}) == 3
    assert len(source_hash()) == 64


def test_finite_makes_plain_json() -> None:
    value = finite({"a": np.float64("nan"), "b": (np.int64(2), float("inf")), "c": {"d": True}})
    assert value == {"a": None, "b": [2, None], "c": {"d": True}}
    json.dumps(value, allow_nan=False)


def test_load_run_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no run\.json"):
        load_run(tmp_path)
