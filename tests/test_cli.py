"""The command line: quick help, one message and the right exit code for every mistake, nothing written."""

import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from abm.cli import main
from abm.provenance import source_hash, version

HEAVY = ("numba", "mesa", "numpy", "pandas", "pyarrow", "matplotlib", "pydantic")


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    shown = capsys.readouterr()
    return int(stopped.value.code or 0), shown.out, shown.err


def test_help_imports_nothing_heavy() -> None:
    code = f"""
import sys
from abm.cli import main
try:
    main(["--help"])
except SystemExit as stopped:
    assert not stopped.code
print("heavy:", [name for name in {HEAVY!r} if name in sys.modules])
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "heavy: []" in shown
    for command in ("run", "compare", "experiment", "replay-orders", "verify", "list", "new"):
        assert command in shown


def test_version_names_the_sources(capsys: pytest.CaptureFixture[str]) -> None:
    code, shown, _ = call(capsys, "--version")
    assert code == 0
    assert shown == f"deleverage {version()}, sources {source_hash()[:12]}, Python {platform.python_version()}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "octobre-2025"), 'did you mean "october-2025"?'),
        (("run", "tiny", "--set", "makers.conut=3", "--set", "tick_s=0.7"), "2 problems"),
        (("run", "tiny", "--accounts", "3"), ">= 50"),
        (("run", "tiny", "--record", "everything"), "record"),
        (("run", "tiny", "--seed", "x"), "--seed"),
        (("compare", "tiny", "--set", "nonsense"), "a.b=value"),
        (("compare", "tiny"), "--set"),
        (("experiment", "no-such-thing"), "no experiment"),
        (("verify", "nowhere"), "nowhere"),
        (("new", "file.txt"), ".toml"),
        (("rnu", "tiny"), "No such command"),
        (("replay-orders", "nothing.jsonl"), "nothing.jsonl"),
        (("replay-orders", "nothing.jsonl", "--self-trade", "some"), "cancel-maker"),
    ],
)
def test_bad_input_is_two_and_writes_nothing(
    arguments: tuple[str, ...],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = call(capsys, *arguments)
    assert code == 2
    assert words in err and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "list")
    assert code == 0
    for word in ("october-2025", "small-fund", "binance-2025-10", "replay-orders", "next: deleverage"):
        assert word in out


def test_new_writes_a_scenario(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.toml"
    code, out, _ = call(capsys, "new", str(file), "--from", "small-fund")
    assert code == 0 and file.exists() and f"wrote {file}" in out and "next: deleverage run" in out
    assert call(capsys, "new", str(file))[0] == 2


def test_replay_orders_names_the_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = '{"op": "limit", "id": 1, "side": "B", "price": 10, "qty": 2}\n'
    (tmp_path / "orders.jsonl").write_text(good + '{"op": "limit", "id": 2, "side": "S", "price": 10, "qty": 1}\n')
    code, out, _ = call(capsys, "replay-orders", str(tmp_path / "orders.jsonl"), "--out", str(tmp_path / "out"))
    assert code == 0 and "book.json" in out
    assert (tmp_path / "out" / "fills.csv").read_text() == "1,2,10,1\n"
    (tmp_path / "bad.jsonl").write_text(good + '{"op": "limmit"}\n')
    code, _, err = call(capsys, "replay-orders", str(tmp_path / "bad.jsonl"), "--out", str(tmp_path / "none"))
    assert code == 2 and "line 2" in err and not (tmp_path / "none").exists()


def test_run_verify_and_refusal_to_overwrite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    short = ("--accounts", "100", "--set", "duration_s=30", "--set", "news.shock.over_s=5")
    code, out, err = call(capsys, "run", "tiny", *short)
    assert code == 0, err
    folder = tmp_path / "runs" / "tiny-seed1"
    names = {"run.json", "steps.parquet", "events.parquet", "opening.parquet", "closing.parquet", "manifest.json"}
    assert names <= {path.name for path in folder.iterdir()}
    info = json.loads((folder / "run.json").read_text())
    assert info["complete"] and info["ticks"] == 30 and info["comparison"] == []
    assert "wrote runs/tiny-seed1" in out and "next: deleverage verify" in out
    assert call(capsys, "verify", str(folder))[0] == 0
    assert call(capsys, "run", "tiny", *short, "--out", str(folder))[0] == 2
    assert call(capsys, "run", "tiny", *short)[0] == 0  # without --out: the next free name
    again = tmp_path / "runs" / "tiny-seed1-2"
    for name in names - {"manifest.json"}:
        assert (folder / name).read_bytes() == (again / name).read_bytes(), name


def test_interrupt_leaves_a_readable_partial_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from abm import console
    from abm.results import load_run

    def stop_soon(self: console.Meter, done: int, note: str = "") -> None:
        if done == 3:
            console.signal.raise_signal(console.signal.SIGINT)

    monkeypatch.setattr(console.Meter, "show", stop_soon)
    code, _, err = call(capsys, "run", "tiny", "--accounts", "100", "--out", str(tmp_path / "out"))
    assert code == 130 and "interrupted" in err
    run = load_run(tmp_path / "out.partial")
    assert run.info["complete"] is False and len(run.steps) == 3
    assert not (tmp_path / "out").exists()


def test_audit_failure_says_what_where_and_how_to_reproduce(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import abm.model as model

    real = model.MoneyAudit.check

    def broken(self: Any, *rest: Any) -> None:
        real(self, *rest)
        if self._floor.log.tick == 2:
            raise model.AuditError("USDT of binance: off by 1")

    monkeypatch.setattr(model.MoneyAudit, "check", broken)
    code, _, err = call(capsys, "run", "tiny", "--accounts", "100", "--out", str(tmp_path / "out"))
    assert code == 3
    for word in ("tick 2", "off by 1", "deleverage run tiny --seed 1 --accounts 100"):
        assert word in err
