"""A trader of somebody's own: the page that explains it is executed, and its code is loaded only when asked."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abm import MarketModel, load_scenario, outside
from abm.cli import _run
from abm.recorder import Recorder
from abm.scenario import Scenario, from_resolved
from abm.settings import SettingsError
from abm.state import BUY, CANCEL, IOC, LIMIT, MARKET, MESSAGE, OWN_KIND, POST_ONLY, REDUCE_ONLY, REPLACE, SELL, STOP
from abm.traders import kinds
from abm.traders.handle import Account, gathered
from tests.own_trader import DipBuyer

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "write-your-own-trader.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
COMMAND = "from abm.cli import main; main()"


def deleverage(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, without anything of the tests on its path."""
    return subprocess.run(
        [sys.executable, "-P", "-c", COMMAND, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[str, str]]]:
    """A folder with the files of the page, and its blocks in order."""
    folder = tmp_path_factory.mktemp("own")
    blocks = [(match[1], match[2]) for match in FENCE.finditer(PAGE.read_text(encoding="utf-8"))]
    for _, text in blocks:
        name = re.match(r"# (\w+\.(?:py|toml))\n", text)
        if name:
            (folder / name[1]).write_text(text, encoding="utf-8")
    return folder, blocks


def test_the_page_does_what_it_says(page: tuple[Path, list[tuple[str, str]]]) -> None:
    """Its files, then every command and snippet in order."""
    folder, blocks = page
    assert (folder / "dip_buyer.py").exists() and (folder / "dips.toml").exists()
    commands = [line for kind, text in blocks if kind == "console" for line in text.splitlines()]
    assert len(commands) >= 5 and all(line.startswith("deleverage ") for line in commands)
    for line in commands:
        done = deleverage(folder, *line.split()[1:])
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        if " check " in line:
            assert done.stdout.count(" ok ") == 10
    for text in (text for kind, text in blocks if kind == "py"):
        done = subprocess.run(
            [sys.executable, "-c", text],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        largest = re.search(r"largest position ([\d.]+) BTC", done.stdout)
        assert largest and float(largest[1]) > 0.0
    rows = np.flatnonzero(kinds_of(folder / "runs" / "dips") == OWN_KIND)
    assert rows.size == 50


def kinds_of(run: Path) -> Any:
    import pyarrow.parquet as pq

    names = pq.read_table(run / "opening.parquet", columns=["kind"]).column(0).to_numpy()
    return np.where(names == "own kind", OWN_KIND, -1) if names.dtype == object else names


@pytest.fixture
def inside(page: tuple[Path, list[tuple[str, str]]], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder as the current one of this process, where nothing from outside is allowed yet."""
    monkeypatch.chdir(page[0])
    monkeypatch.setitem(outside._state, "allowed", False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return page[0]


@pytest.mark.parametrize(
    "words",
    [("run", "trap.toml"), ("compare", "trap.toml", "--set", "seed=3"), ("sweep", "s.toml"), ("check", "trap:Trader")],
)
def test_nothing_is_loaded_without_being_asked(
    inside: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    (inside / "s.toml").write_text('scenario = "trap.toml"\nreplicates = 1\n', encoding="utf-8")
    text = (inside / "dips.toml").read_text(encoding="utf-8").replace("dip_buyer:DipBuyer", "trap:Trader")
    (inside / "trap.toml").write_text(text, encoding="utf-8")
    (inside / "trap.py").write_text("open('sprung', 'w').close()\nfrom abm.traders.trader import Trader\n")
    assert _run(list(words)) == 2
    assert "--allow-code" in capsys.readouterr().err
    assert not (inside / "sprung").exists()


def test_workers_load_it_too(page: tuple[Path, list[tuple[str, str]]]) -> None:
    folder, _ = page
    study = 'scenario = "dips.toml"\nreplicates = 1\nset = {duration_s = 30, accounts = 100, news = []}\n'
    study += '[[vary]]\npath = "participants.dips.parameters.dip"\nvalues = [0.001, 0.002]\n'
    (folder / "dipping.toml").write_text(study, encoding="utf-8")
    done = deleverage(folder, "sweep", "dipping.toml", "--workers", "1", "--allow-code")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 runs" in done.stdout


def test_reproduce_only_with_the_same_file(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "dips.toml", "--set", "duration_s=30", "--accounts", "100", "--out", "runs/short", "--allow-code"]
    assert _run(words) == 0
    resolved = json.loads((inside / "runs/short/run.json").read_text())["scenario"]["participants"][0]
    assert resolved["code"] == hashlib.sha256((inside / "dip_buyer.py").read_bytes()).hexdigest()
    outside._state["allowed"] = False
    assert _run(["export", "runs/short", "--out", "short.zip"]) == 0
    assert _run(["reproduce", "short.zip"]) == 2
    assert "--allow-code" in capsys.readouterr().err
    assert _run(["reproduce", "short.zip", "--allow-code"]) == 0
    assert "identical" in capsys.readouterr().out
    source = inside / "dip_buyer.py"
    before = source.read_text(encoding="utf-8")
    source.write_text(before + "# changed\n", encoding="utf-8")
    assert _run(["reproduce", "short.zip", "--allow-code"]) == 2
    assert "the file was" in capsys.readouterr().err
    source.write_text(before, encoding="utf-8")


# --- the handle -------------------------------------------------------------------------------------------------------
@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> MarketModel:
    monkeypatch.setattr(kinds, "_permitted", {"tests.own_trader:DipBuyer"})
    entry = {"name": "dips", "kind": "tests.own_trader:DipBuyer", "parameters": {"leverage": 2, "coins": 1.0}}
    scenario: Scenario = load_scenario("tiny").changed({"participants": [entry], "duration_s": 60, "accounts": 100})
    assert from_resolved(scenario.resolved()) == scenario
    return MarketModel(scenario, recorder=Recorder("orders"))


def test_a_handle_reads_the_account(model: MarketModel) -> None:
    owner = model.places[0].joined[0]
    assert isinstance(owner, DipBuyer)
    me = Account(owner, model.view, 2)
    assert me.row == owner.rows[2] and (me.perp, me.spot) == (model.perp, model.spot)
    assert (me.cash, me.free, me.equity, me.coins, me.position, me.entry) == (100_000, 100_000, 100_000, 1.0, 0.0, 0.0)
    assert me.last() == pytest.approx(116_830.0)
    model.step()
    me = Account(owner, model.view, 2)
    assert 0.0 < me.bid() < me.ask() < 1.01 * me.mark()
    held = 0
    while model.running:
        model.step()
        me = Account(owner, model.view, 2, owner._handles.get(2, ()))
        assert len(me.orders) <= 2 and all(order.side == BUY for order in me.orders)
        for order in me.orders:
            assert order.price < me.last() * 1.01 and 0 < order.coins <= 0.01
            assert me.free < me.cash
        if me.position:
            held += 1
            assert me.entry == pytest.approx(me.last(), rel=0.02)
            gained = me.position * (me.mark() - me.entry)
            assert me.equity == pytest.approx(me.cash + gained, abs=0.01)
    assert held > 0


def test_orders_of_a_handle(model: MarketModel) -> None:
    """Units, rounding in favour of what was said, and flags."""
    owner = model.places[0].joined[0]
    me = Account(owner, model.view, 0)
    bought = me.buy(0.3)[0]
    assert (bought["op"], bought["side"], bought["size_lots"], bought["price_ticks"]) == (MARKET, BUY, 300, 0)
    bid, ask = me.buy(0.1, limit=100_000.07)[0], me.sell(0.1, limit=100_000.07, post_only=True)[0]
    assert (bid["op"], bid["price_ticks"]) == (LIMIT, 1_000_000)
    assert (ask["op"], ask["side"], ask["price_ticks"]) == (POST_ONLY, SELL, 1_000_001)
    taken = me.sell(0.0019, worst=99_999.95, market=me.spot, reduce_only=True)[0]
    assert (taken["op"], taken["market"], taken["flags"]) == (IOC, me.spot, REDUCE_ONLY)
    assert gathered([me.buy(0.0), me.close(), me.stop(1.0)]).size == 0
    assert gathered(None).size == 0 and gathered([]).size == 0
    with pytest.raises(ValueError, match="not both"):
        me.buy(1.0, limit=1.0, worst=1.0)
    slot = int(model.markets.slot[model.perp])
    model.accounts.position[slot, me.row] = -20
    close, stop = me.close()[0], me.stop(120_000.0)[0]
    assert (close["op"], close["side"], close["size_lots"], close["flags"]) == (MARKET, BUY, 20, REDUCE_ONLY)
    assert (stop["op"], stop["side"], stop["size_lots"], stop["stop_ticks"]) == (STOP, BUY, 20, 1_200_000)
    model.accounts.position[slot, me.row] = 0
    record = np.zeros(1, MESSAGE)
    assert gathered(record) is record


def test_cancel_and_replace(model: MarketModel) -> None:
    owner = model.places[0].joined[0]
    me = Account(owner, model.view, 1)
    while not me.orders:
        model.step()
        me = Account(owner, model.view, 1, owner._handles.get(1, ()))
    order = me.orders[0]
    moved, gone = me.replace(order, limit=order.price - 1.0, coins=0.02)[0], me.cancel(order)[0]
    assert (moved["op"], moved["order"], moved["size_lots"]) == (REPLACE, order.handle, 20)
    assert (gone["op"], gone["order"]) == (CANCEL, order.handle)


def test_a_scenario_says_all_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "_permitted", {"tests.own_trader:DipBuyer", "tests.nowhere:Nobody"})
    entries = [
        {"name": "dips", "kind": "tests.own_trader:DipBuyer", "parameters": {"dip": 2.0, "sise": 1}},
        {"name": "nobody", "kind": "tests.nowhere:Nobody"},
        {"name": "other", "kind": "tests.own_trader:DipBuyer", "code": "0" * 64},
    ]
    with pytest.raises(SettingsError) as caught:
        load_scenario("tiny").changed({"participants": entries})
    text = "\n".join(caught.value.lines)
    for words in ("participants.dips.dip: 2", "sise", "participants.nobody", "participants.other.code: the file was"):
        assert words in text
