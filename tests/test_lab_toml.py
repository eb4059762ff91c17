"""What "Copy as TOML" gives, run by the command line itself, makes the very files of the lab's own run."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from numpy.typing import NDArray

from abm.app import server as lab_server
from abm.app.server import Lab, Server
from abm.app.session import Session
from abm.app.watcher import Watcher
from abm.cli import main
from abm.results import RunWriter
from abm.scenario import Scenario, load_scenario
from abm.state import Accounts, Markets

CHANGED = {"seed": 7, "depth": "1500", "fund": "1.5", "rule": "pro-rata", "withdrawal": 3, "leveraged": "30",
           "treasury_debt": 280, "breaker": True, "accounts": 250}  # fmt: skip
FILES = ("events.parquet", "steps.parquet", "opening.parquet", "closing.parquet")


class Written(Watcher):
    """A watcher that also hands everything to the writer of run folders."""

    def __init__(self, writer: RunWriter) -> None:
        super().__init__()
        self.writer = writer

    def begin(
        self, markets: Markets, assets: Sequence[str], venues: Sequence[str], start: datetime, tick_s: float
    ) -> None:
        super().begin(markets, assets, venues, start, tick_s)
        self.writer.begin(markets, assets, venues, start, tick_s)

    def opening(self, accounts: Accounts) -> None:
        self.writer.opening(accounts)

    def events(self, rows: NDArray[np.void]) -> None:
        super().events(rows)
        self.writer.events(rows)

    def step(self, row: Any) -> None:
        super().step(row)
        self.writer.step(row)

    def venue_steps(self, rows: Sequence[Mapping[str, float]]) -> None:
        super().venue_steps(rows)
        self.writer.venue_steps(rows)

    def alt_steps(self, rows: Mapping[str, Mapping[str, float]]) -> None:
        super().alt_steps(rows)
        self.writer.alt_steps(rows)


class Window:
    """Talks to the lab as the page does; every model it gets is written to a folder of its own."""

    def __init__(self, scenario: Scenario, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writers: list[RunWriter] = []

        def watcher() -> Watcher:
            out = folder / f"lab-{len(self.writers)}"
            head = {"scenario": scenario.resolved(), "name": "lab", "title": "", "seed": 0}
            self.writers.append(RunWriter(out, **head))
            return Written(self.writers[-1])

        monkeypatch.setattr(lab_server, "Session", type("Session", (Session,), {
            "__init__": lambda mine, base, source: Session.__init__(mine, base, source, watcher)}))  # fmt: skip
        self.server = Server(Lab(scenario, scenario.name))
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.token = self.ask("open")["session"]
        session = self.server.lab.sessions[self.token]
        assert isinstance(session, Session)
        self.session = session
        self.stands(1, 0)

    def ask(self, path: str, **wish: Any) -> Any:
        where = urlsplit(self.server.address)
        connection = http.client.HTTPConnection(str(where.hostname), where.port, timeout=120)
        try:
            connection.request("POST", f"/api/{path}", json.dumps(wish))
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            return json.load(answer)
        finally:
            connection.close()

    def do(self, action: str, **more: Any) -> Any:
        return self.ask("do", session=self.token, action=action, **more)

    def stands(self, epoch: int, tick: int) -> None:
        for _ in range(18_000):
            if self.session.epoch == epoch and self.session.arms[-1].model.tick >= tick:
                return
            time.sleep(0.01)
        raise AssertionError(f"tick {tick} did not come: {self.session.problem}")

    def run_to_the_end(self) -> Path:
        """Play what is left; the folder with the files of the (last) model's run."""
        model = self.session.arms[-1].model
        self.do("speed", times=0)
        self.do("play")
        self.stands(self.session.epoch, model.setup.ticks)
        for _ in range(3_000):
            if not self.session.playing:
                break
            time.sleep(0.01)
        self.writers[-1].closing(model.accounts)
        self.writers[-1].close_data()
        return self.writers[-1].folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command line runs (without its picture, for speed)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("abm.cli._draw_overview", lambda *_: None)
    return tmp_path


def run_by_command(text: str, folder: Path) -> Path:
    """`deleverage run FILE`; the run folder."""
    (folder / "copied.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit) as stopped:
        main(["run", "copied.toml", "--out", "again"])
    assert not stopped.value.code
    return folder / "again"


def assert_same_files(one: Path, other: Path) -> None:
    for name in FILES:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


@pytest.mark.parametrize("preset", ["", "two-venues"])
def test_copied_toml_run_by_the_command_line(preset: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changed controls, a shock before and one in the middle of the run, from the own scenario and from a preset."""
    window = Window(load_scenario("tiny", ["news.shock.change_percent=-9"]), folder, monkeypatch)
    with window.server:
        values = CHANGED if not preset else {"seed": 7, "depth": "800", "rule": "pro-rata"}
        window.do("reset", values=values, preset=preset)
        window.stands(2, 0)
        window.do("shock", percent="−2")
        window.do("step", ticks=20)
        window.stands(2, 20)
        window.do("shock", percent="-4.5")
        window.do("step", ticks=1)
        window.stands(2, 21)
        text = window.do("toml")["toml"]
        ran = window.run_to_the_end()
        window.server.shutdown()
    again = run_by_command(text, folder)
    assert_same_files(ran, again)
    run = json.loads((again / "run.json").read_text(encoding="utf-8"))
    assert run["seed"] == 7 and [item["change_percent"] for item in run["scenario"]["news"]][-2:] == [-2, -4.5]
    assert run["summary"]["liquidation_starts"] > 0


def test_copied_toml_of_a_comparison_is_the_changed_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    window = Window(load_scenario("tiny", ["news.shock.change_percent=-9"]), folder, monkeypatch)
    with window.server:
        window.do("compare", values={"rule": "pro-rata", "fund": "1.5"})
        window.stands(2, 0)
        window.do("shock", percent=-3)
        text = window.do("toml")["toml"]
        window.do("step", ticks=1)
        window.stands(2, 1)
        later = window.do("toml")["toml"]
        ran = window.run_to_the_end()
        window.server.shutdown()
    assert 'extends = "tiny"' in later and len(later) >= len(text)
    assert_same_files(ran, run_by_command(later, folder))
