"""The engine of sweeps: every run once, failures as rows, resumed from whatever is left in the folder."""

from __future__ import annotations

import errno
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from abm.cli import main
from abm.sweep import parts as parts_module
from abm.sweep.engine import Tally, sweep, todo_of
from abm.sweep.folder import FolderBusyError, Lock
from abm.sweep.lanes import LocalLanes, SharedLanes
from abm.sweep.parts import StorageError, Store, canonical_bytes, collect
from abm.sweep.plan import Plan, plan_study
from abm.sweep.study import study_from
from abm.sweep.worker import run_job
from tests.toy_runs import ids_on_disk, parts

STUDY: dict[str, Any] = {
    "runner": "tests.toy_runs:steady",
    "part_rows": 5,
    "replicates": 2,
    "vary": [{"path": "a", "values": list(range(12))}, {"path": "b", "low": 0.0, "high": 1.0, "points": 2}],
}


def plan_of(changes: dict[str, Any] | None = None) -> Plan:
    return plan_study(study_from({**STUDY, **(changes or {})}))


def serial(_runs: int) -> SharedLanes:
    pool = ThreadPoolExecutor(1)
    return SharedLanes(pool, lambda: 1, lambda _at_once: pool.shutdown())


def swept(plan: Plan, folder: Path, said: list[str] | None = None, **options: Any) -> Tally:
    lanes = options.pop("lanes", serial)
    return sweep(plan, folder, lanes, say=(said if said is not None else []).append, **options)


@dataclass
class AfterSome:
    """Ctrl-C when so many parts are there."""

    folder: Path
    count: int

    @property
    def asked(self) -> bool:
        return parts(self.folder) >= self.count


def test_all_runs_once_in_two_processes_as_in_one(tmp_path: Path) -> None:
    plan = plan_of()
    assert len(plan) == 48 == len(set(plan.ids))
    one = swept(plan, tmp_path / "one")
    two = swept(plan, tmp_path / "two", lanes=lambda _runs: LocalLanes(2))
    assert (one.done, one.failed, one.complete) == (two.done, two.failed, two.complete) == (48, 0, True)
    assert sorted(ids_on_disk(tmp_path / "two")) == sorted(plan.ids)
    assert canonical_bytes(tmp_path / "one") == canonical_bytes(tmp_path / "two")
    table = pq.read_table(tmp_path / "two" / "runs.parquet")
    assert table["id"].to_pylist() == plan.ids and table["a"].to_pylist()[:5] == [0, 0, 0, 0, 1]
    assert {"figure", "count", "inner.x", "error_type", "message"} <= set(table.column_names)
    heart = json.loads((tmp_path / "two" / "heartbeat.json").read_text())
    assert (heart["state"], heart["finished"], heart["runs"]) == ("finished", 48, 48)


def test_interrupted_and_resumed_runs_nothing_twice(tmp_path: Path) -> None:
    plan = plan_of({"batch": 1})
    first = swept(plan, tmp_path / "x", stop=AfterSome(tmp_path / "x", 2))
    assert first.interrupted and 10 <= first.done < 30 and not (tmp_path / "x" / "runs.parquet").exists()
    second = swept(plan, tmp_path / "x")
    assert second.present == first.done and second.done == 48 - first.done and second.complete
    swept(plan, tmp_path / "y")
    assert sorted(ids_on_disk(tmp_path / "x")) == sorted(plan.ids)
    assert canonical_bytes(tmp_path / "x") == canonical_bytes(tmp_path / "y")
    assert swept(plan, tmp_path / "x").done == 0


def test_more_replicates_and_wider_grids_rerun_nothing(tmp_path: Path) -> None:
    swept(plan_of(), tmp_path / "x")
    assert swept(plan_of({"replicates": 3}), tmp_path / "x").done == 24
    wider = [{"path": "a", "values": list(range(-1, 12))}, STUDY["vary"][1]]
    plan = plan_of({"replicates": 3, "vary": wider})
    assert swept(plan, tmp_path / "x").done == 6
    swept(plan, tmp_path / "y")
    assert canonical_bytes(tmp_path / "x") == canonical_bytes(tmp_path / "y")  # points were renumbered


def test_shards_together_are_the_whole(tmp_path: Path) -> None:
    plan = plan_of()
    done = [swept(plan, tmp_path / "x", shard=(i, 4)) for i in (1, 2, 3, 4)]
    assert [tally.done for tally in done] == [12] * 4
    assert [tally.complete for tally in done] == [False, False, False, True]
    swept(plan, tmp_path / "y")
    assert canonical_bytes(tmp_path / "x") == canonical_bytes(tmp_path / "y")
    assert swept(plan, tmp_path / "x").done == 0
    assert todo_of(plan, set(), (4, 4))[:2] == [3, 7]


def test_failures_are_rows_and_the_rest_finish(tmp_path: Path) -> None:
    ways = ["fine", "raises", "leaves", "dies", "sleeps", "spins", "deaf", "good"]
    study = {"runner": "tests.toy_runs:troubled", "limit_s": 0.5, "batch": 2, "vary": [{"path": "how", "values": ways}]}
    plan, said = plan_study(study_from(study)), list[str]()
    tally = swept(plan, tmp_path, said, lanes=lambda _runs: LocalLanes(2))
    assert (tally.done, tally.failed, tally.complete) == (8, 6, True)
    rows = {row["how"]: row for row in collect(tmp_path)[0].to_pylist()}
    kinds = {how: row["error_type"] for how, row in rows.items()}
    assert kinds == {
        "fine": None,
        "raises": "ArithmeticError",
        "leaves": "SystemExit",
        "dies": "WorkerDied",
        "sleeps": "TimeLimit",
        "spins": "TimeLimit",
        "deaf": "TimeLimit",
        "good": None,
    }
    assert "no result for seed 1" in rows["raises"]["message"] and "troubled" in rows["raises"]["traceback"]
    assert rows["raises"]["command"].startswith("deleverage sweep")
    assert set(tally.set_aside) == {rows["dies"]["id"], rows["deaf"]["id"]}
    assert any("how=dies" in words and "3 times" in words for words in said if words.startswith("set aside"))
    assert swept(plan, tmp_path).done == 0  # failures are not run again unless asked
    assert run_job(plan.job(1), plan.recipe).error_type == "ArithmeticError"


def test_failed_runs_are_run_again_when_asked(tmp_path: Path) -> None:
    module = tmp_path / "sometimes.py"
    module.write_text("from pathlib import Path\nHERE = Path(__file__).parent\n"
                      "def run(values, seed):\n    assert (HERE / 'now').exists() or values['a'] % 3, 'not yet'\n"
                      "    return {'y': values['a']}\n")  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        plan = plan_of({"runner": "sometimes:run"})
        out = tmp_path / "x"
        assert swept(plan, out).failed == 16
        (tmp_path / "now").touch()
        again = swept(plan, out, retry_failed=True)
        assert (again.done, again.failed, again.present) == (16, 0, 32)
        assert sorted(ids_on_disk(out)) == sorted(plan.ids)
        # Other code: other ids. What is there stays, and is said to be unused.
        module.write_text(module.read_text() + "# changed\n")
        changed, said = plan_of({"runner": "sometimes:run"}), list[str]()
        assert not set(changed.ids) & set(plan.ids)
        assert swept(changed, out, said).done == 48
        assert any("48 older runs" in words and "other sources" in words for words in said)
        assert len(ids_on_disk(out)) == 96 and collect(out)[0]["id"].to_pylist() == changed.ids


def test_a_damaged_part_is_moved_aside_and_its_runs_are_run_again(tmp_path: Path) -> None:
    plan = plan_of()
    swept(plan, tmp_path)
    whole = canonical_bytes(tmp_path)
    files = sorted((tmp_path / "parts").glob("*.parquet"))
    files[0].write_bytes(files[0].read_bytes()[: files[0].stat().st_size // 2])
    data = bytearray(files[1].read_bytes())
    data[40:60] = bytes(20)  # its end is fine: only the checksums of its pages tell
    files[1].write_bytes(data)
    said: list[str] = []
    tally = swept(plan, tmp_path, said)
    assert tally.done > 0 and tally.present + tally.done == 48 and tally.complete
    assert sum("damaged part" in words for words in said) == 2
    assert len(list((tmp_path / "parts" / "damaged").iterdir())) == 2
    assert canonical_bytes(tmp_path) == whole


def test_a_full_disk_loses_no_finished_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of()
    real, room = parts_module.write_synced, 3

    def scarce(path: Path, data: bytes, sync: bool = True) -> None:
        nonlocal room
        if path.name.startswith("all-"):
            room -= 1
            if room < 0:
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
        real(path, data, sync)

    monkeypatch.setattr(parts_module, "write_synced", scarce)
    said: list[str] = []
    first = swept(plan, tmp_path, said)
    assert "No space left" in first.full and first.unwritten > 0 and not first.complete
    assert len(ids_on_disk(tmp_path)) == first.done - first.unwritten > 0
    assert sum("cannot write results" in words for words in said) == 1
    monkeypatch.undo()
    assert swept(plan, tmp_path).done == 48 - (first.done - first.unwritten)
    assert sorted(ids_on_disk(tmp_path)) == sorted(plan.ids)


def test_the_reserve_holds_what_had_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, out = plan_of(), tmp_path / "x"
    real = parts_module.write_synced

    def full_with_reserve(path: Path, data: bytes, sync: bool = True) -> None:
        if path.name == "all-000004.parquet" and (out / ".reserve-all").exists():
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        real(path, data, sync)

    monkeypatch.setattr(parts_module, "write_synced", full_with_reserve)
    tally = swept(plan, out)
    assert "No space left" in tally.full and tally.unwritten == 0 and 15 < tally.done < 48
    assert len(ids_on_disk(out)) == tally.done


def test_the_reserve_is_given_up_first_then_smaller_parts_are_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of({"part_rows": 8})
    store = Store(tmp_path, plan, "all")
    reserve = tmp_path / ".reserve-all"
    assert reserve.stat().st_size == parts_module.BALLAST_BYTES
    from abm.sweep.engine import row_of
    from abm.sweep.worker import Ended

    rows = [row_of(plan, Ended(run, {"figure": 1.0}, 0.1)) for run in range(8)]
    small = len(parts_module.table_bytes(parts_module.rows_table(rows[:4], plan.columns)))
    real = parts_module.write_synced

    def limited(path: Path, data: bytes, sync: bool = True) -> None:
        if reserve.exists() or len(data) > small + 20:
            raise OSError(errno.EFBIG, "File too large", str(path))
        real(path, data, sync)

    monkeypatch.setattr(parts_module, "write_synced", limited)
    store.add(rows)
    store.flush()
    assert "File too large" in store.given_up
    assert not reserve.exists() and parts(tmp_path) == 2 and len(ids_on_disk(tmp_path)) == 8
    monkeypatch.setattr(parts_module, "write_synced", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "broken")))
    store.add(rows[:2])
    with pytest.raises(StorageError, match="broken"):
        store.flush()
    assert len(store.waiting) == 2


def test_one_driver_a_folder(tmp_path: Path) -> None:
    said: list[str] = []
    with Lock(tmp_path, None, said.append):
        with pytest.raises(FolderBusyError, match="at work here"), Lock(tmp_path, None, said.append):
            pass
        with pytest.raises(FolderBusyError), Lock(tmp_path, (1, 2), said.append):
            pass
    with Lock(tmp_path, (1, 2), said.append), Lock(tmp_path, (2, 2), said.append):
        for other in ((1, 2), (1, 3), None):
            with pytest.raises(FolderBusyError), Lock(tmp_path, other, said.append):
                pass
    assert not said
    (tmp_path / "locks" / "all.lock").write_text('{"pid": 1, "host": "gone"}')
    with Lock(tmp_path, None, said.append):
        pass
    assert len(said) == 1 and "taking over" in said[0]


# --- the command ------------------------------------------------------------------------------------------------------
def code_of(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        main([str(one) for one in arguments])
    return int(stopped.value.code or 0)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    file = tmp_path / "toy.toml"
    file.write_text('runner = "tests.toy_runs:steady"\n[[vary]]\npath = "a"\nlow = 0\nhigh = 1\npoints = 6\n')
    return file


def test_command_end_to_end(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    words = ("sweep", study, "--allow-code", "--out", out)
    assert code_of(*words, "--dry-run") == 0
    said = capsys.readouterr().out
    assert "6 runs to do" in said and "disk: about" in said and "time: about" in said and not out.exists()
    assert code_of(*words, "--workers", "1", "--shard", "1/2") == 0
    assert "shard 1 of 2" in capsys.readouterr().out
    assert code_of(*words, "--workers", "1") == 0
    said = capsys.readouterr().out
    assert "3 of them are there already" in said and "6 of 6 runs" in said and "runs.parquet" in said
    assert code_of(*words, "--only", "2/0") == 0
    assert "figure" in capsys.readouterr().out


def test_command_says_what_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.toml"
    file.write_text('runner = "tests.toy_runs:troubled"\n[[vary]]\npath = "how"\nvalues = ["fine", "raises"]\n')
    words = ("sweep", file, "--allow-code", "--out", tmp_path / "out")
    assert code_of(*words, "--workers", "1") == 3
    assert "--retry-failed" in capsys.readouterr().err
    failed = collect(tmp_path / "out")[0].to_pylist()[1]
    assert failed["command"].startswith(f"deleverage sweep {file} --out") and failed["id"][:12] in failed["command"]
    assert code_of(*words, "--only", failed["id"][:12]) == 3
    assert "no result for seed 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--allow-code"),
        (("--allow-code", "--shard", "3/2"), "I/N"),
        (("--allow-code", "--workers", "2", "--dask", "tcp://127.0.0.1:1"), "exclude"),
        (("--allow-code", "--set", "replicats=2"), 'did you mean "replicates"'),
        (("--allow-code", "--only", "6/0"), "last run is 5/0"),
    ],
)
def test_command_refuses(
    words: tuple[str, ...], said: str, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("sweep", study, "--out", tmp_path / "out", *words) == 2
    assert said in capsys.readouterr().err
