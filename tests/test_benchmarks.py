"""The benchmark programs in their smallest size: that they run, and say what they should."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from abm import state
from benchmarks import goals, growth, guard, ladder, machine, others, peers, scale, threads
from benchmarks.book import Messages, new_books, positions, random_orders

ROOT = Path(__file__).resolve().parent.parent
needs_compiler = pytest.mark.skipif(ladder.compiler() is None, reason="no C++ compiler on this machine")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> object:
    """The C++ ladder, compiled once."""
    built = ladder.build(tmp_path_factory.mktemp("ladder"))
    assert not isinstance(built, str), built
    return built


def wild_stream(n: int, mode: int, seed: int) -> Messages:
    """Every kind of message, also wrong ones, in a market where three accounts meet all the time."""
    rng = np.random.default_rng(seed)
    books, (net, offset) = new_books(mode), positions(True)
    parts = []
    for first in range(0, n, 50):
        messages = random_orders(rng, 50, 6.0)
        messages["account"] = rng.integers(0, 3, 50)
        messages["flags"] = np.where(rng.random(50) < 0.2, state.REDUCE_ONLY, 0)
        stops = messages["op"] >= state.STOP
        messages["flags"][stops & (rng.random(50) < 0.3)] |= state.ON_MARK
        messages["op"] = np.where(rng.random(50) < 0.1, state.FOK, messages["op"])
        messages["stop_ticks"][stops] -= (45 * messages["side"])[stops]
        messages["size_lots"][rng.random(50) < 0.02] = 0
        messages["order"] = first + np.arange(50)
        live = books._memory.live_slots(0)
        if live.size:
            where = rng.random(50) < 0.35
            targets = rng.choice(live, 50)
            change = rng.choice([state.CANCEL, state.REPLACE, state.REPLACE, state.TRIGGER], 50)
            messages["op"] = np.where(where, change, messages["op"])
            messages["order"] = np.where(where, books.handles(targets), messages["order"])
            messages["account"] = np.where(where, books.orders["account"][targets], messages["account"])
            same = where & (rng.random(50) < 0.5)
            messages["price_ticks"] = np.where(same, -1, messages["price_ticks"])
            messages["account"][rng.random(50) < 0.03] = 2
        books.match(messages, net, offset)
        parts.append(messages)
    return np.concatenate(parts)


@needs_compiler
@pytest.mark.parametrize("mode", range(5))
def test_cpp_ladder_agrees(library: object, mode: int) -> None:
    """In every self-trade mode, message by message batch: fills, closings, handles, positions and what is left."""
    for seed in range(4):
        work = ladder.Workload("wild", None, wild_stream(3_000, mode, seed), mode, True)
        assert "fills, checksum" in ladder.agree(library, work)  # type: ignore[arg-type]
    assert work.resting > 0


@needs_compiler
def test_disagreement_is_found(library: object) -> None:
    """The comparison can fail: the same stream under another self-trade rule is not the same."""
    work = ladder.Workload("wild", None, wild_stream(500, state.DECREMENT, 1), state.DECREMENT, True)
    honest = ladder.CppBooks

    class Wrong(honest):  # type: ignore[valid-type, misc]
        def __init__(self, library: object, self_trade: int) -> None:
            super().__init__(library, state.SELF_TRADE_NONE)

    ladder.CppBooks = Wrong  # type: ignore[misc]
    try:
        with pytest.raises(AssertionError, match="disagree"):
            ladder.agree(library, work)  # type: ignore[arg-type]
    finally:
        ladder.CppBooks = honest  # type: ignore[misc]


@needs_compiler
def test_timed_in_turn(library: object) -> None:
    work = ladder.workloads(4_000, ())[0]
    ladder.compare(library, [work], 2)  # type: ignore[arg-type]
    assert len(work.ours) == len(work.cpp) == 2 and min(work.ratios) > 0 and work.agreed


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "no C++ compiler" in str(ladder.build(tmp_path))


def test_goals(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Some parts of the table, on paper, as JSON and in a page."""
    monkeypatch.setattr(peers, "MESSAGES", 4_000)
    monkeypatch.setattr(others, "MESSAGES", 4_000)
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- goals -->\nold\n<!-- /goals -->\nafter\n", encoding="utf-8")
    file = tmp_path / "goals.json"
    words = ["--quick", "--only", "floors", "margins", "--json", str(file), "--docs", str(page)]
    rows = goals.main([*words, "--peer-python", "no-such-python"])
    said = capsys.readouterr().out
    assert "1-tick move of the mark, 10,000 accounts" in said and "cores" in said and "load average" in said
    by_name = {row["what"].strip(): row for row in rows}
    assert by_name["1-tick move of the mark, 10,000 accounts"]["median"] > 0
    assert "skipped" in by_name["PAMS, 100 agents"]["verdict"] and not by_name["PAMS, 100 agents"]["values"]
    assert by_name["over plain Mesa (no book, no accounts)"]["median"] > 0
    assert json.loads(file.read_text(encoding="utf-8"))["hardware"]["numba"]
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text and "| what" in text


def test_verdicts() -> None:
    assert goals.Row("a", "s", [1.0, 2.0, 9.0], 2.0, most=True).verdict == "met"
    assert goals.Row("a", "s", [3.0], 2.0, most=True).verdict == "missed: 1.50 times it"
    assert goals.Row("a", "M/s", [1.0], 2.0).verdict == "missed: 0.50 of it"
    assert goals.Row("a", "", note="skipped: why").cells == ("a", "-", "", "skipped: why")


def test_growth(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(growth, "SETTLED", 2)
    monkeypatch.setattr(growth, "TURN", 3)
    growth.main(["--quick", "--ticks", "3", "--out", str(tmp_path / "growth.png")])
    assert (tmp_path / "growth.png").stat().st_size > 10_000
    assert all(name in capsys.readouterr().out for name in growth.PANELS[:1])


def test_scale_adds_up_and_repeats(tmp_path: Path) -> None:
    """A short million: the sum in whole numbers, and the same events again."""
    found = []
    for name in ("one", "two"):
        file = tmp_path / f"{name}.json"
        scale.main(["million", "--accounts", "2000", "--ticks", "10", "--json", str(file)])
        found.append(json.loads(file.read_text(encoding="utf-8")))
    assert found[0]["sha256"] == found[1]["sha256"] and found[0]["events"] > 0 and found[0]["adds_up"]
    assert found[0]["messages"] > 0 and found[0]["disk_mb"] > 0 and found[0]["ticks"] == 10
    other = tmp_path / "other.json"
    scale.main(["million", "--accounts", "2000", "--ticks", "10", "--set", "seed=2", "--json", str(other)])
    assert json.loads(other.read_text(encoding="utf-8"))["sha256"] != found[0]["sha256"]


def test_scale_stops_at_its_messages(tmp_path: Path) -> None:
    file = tmp_path / "soak.json"
    scale.main(["soak", "--accounts", "500", "--messages", "5000", "--json", str(file)])
    found = json.loads(file.read_text(encoding="utf-8"))
    assert 5_000 <= found["messages"] < 20_000 and found["disk_mb"] == 0


def test_recount_finds_a_lost_unit() -> None:
    from abm import MarketModel

    model = MarketModel("tiny")
    assert scale.recount(model) == []
    model.accounts.cash[0, -1] += 1
    assert scale.recount(model) == ["venue 0, asset 0: 1 units"]


def test_slope() -> None:
    """A straight line exactly; noise within its error; too few samples."""
    at = np.arange(400.0)
    assert machine.slope(at, 3 + 2 * at) == pytest.approx((2, 0), abs=1e-9)
    noise = np.random.default_rng(1).normal(size=400)
    found, error = machine.slope(at, 5 + noise)
    white = 1 / np.sqrt(np.sum((at - at.mean()) ** 2))
    assert abs(found) < 4 * error and error == pytest.approx(white, rel=0.5)
    walk = np.cumsum(noise)
    found, error = machine.slope(at, walk)
    residual = walk - walk.mean() - found * (at - at.mean())
    assert error > 2 * np.std(residual) * white  # samples that hang together count for less
    assert np.isnan(machine.slope(at[:4], at[:4])).all()


def test_guard_interval() -> None:
    values = np.random.default_rng(2).normal(1.2, 0.05, 200)
    middle, low, high = guard.interval(values)
    assert low < middle < high and low > 1.15 and high < 1.25


def test_guard_runs() -> None:
    """This tree against its last commit, where there is one."""
    if subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, check=False).returncode:
        pytest.skip("not a work tree of git")
    asked = {"accounts": 500, "messages": 500, "warm": 1, "ticks": 1, "book": 1}
    with guard.unpacked("HEAD") as before:
        assert (before / "abm" / "model.py").exists()
    found = guard.ratios((ROOT, ROOT), 1, 2, asked)
    assert {work: values.size for work, values in found.items()} == {"ticks": 2, "book": 2}
    assert all((values > 0).all() for values in found.values())
    with pytest.raises(SystemExit, match="no-such-revision"), guard.unpacked("no-such-revision"):
        pass


def test_threads(capsys: pytest.CaptureFixture[str]) -> None:
    threads.main(["--quick"])
    assert "Amdahl" in capsys.readouterr().out


def test_hardware_is_named() -> None:
    facts = machine.hardware()
    assert all(facts[name] for name in ("CPU", "cores", "memory", "system", "Python", "numpy", "numba"))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.machine"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert facts["CPU"] in done.stdout
