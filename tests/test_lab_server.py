"""The lab's server without a browser: who is served, what is left when it is killed, what memory a window leaves."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from abm import MarketModel
from abm.app.server import WEB, Lab, Server
from abm.app.session import Session
from abm.results import RunWriter, load_run
from abm.scenario import load_scenario

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(Lab(load_scenario("tiny"), "tiny")) as made:
        threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield made
        made.shutdown()


def ask(address: str, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
    where = urlsplit(address)
    connection = http.client.HTTPConnection(str(where.hostname), where.port, timeout=30)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def built(session: Session) -> None:
    """Wait for its model."""
    for _ in range(1_000):
        if session.arms:
            return
        time.sleep(0.02)
    raise AssertionError("no model")


def test_other_sites_are_refused(server: Server) -> None:
    at = server.address
    assert ask(at, "GET", "/")[0] == 200
    assert ask(at, "GET", "/", Host="evil.example")[0] == 403
    assert ask(at, "POST", "/api/open", {}, Origin="http://evil.example")[0] == 403
    assert ask(at, "GET", "/../pyproject.toml")[0] == 404 and ask(at, "GET", "/..%2f__init__.py")[0] == 404
    assert ask(at, "POST", "/api/open", {"run": "../../etc"})[0] == 422
    assert ask(at, "POST", "/api/do", {"session": "no", "action": "play"})[0] == 410
    token = json.loads(ask(at, "POST", "/api/open", {})[1])["session"]
    session = server.lab.sessions[token]
    assert isinstance(session, Session)
    built(session)
    for query in ("tab=nothing", "tab=book&at=x", "tab=book&place=9", "tab=traders&account=1e9"):
        assert ask(at, "GET", f"/api/tab?session={token}&{query}")[0] == 422, query
    ask(at, "POST", "/api/close", {"session": token})


def test_page_names_no_other_host(server: Server) -> None:
    for name in ("/", "/palette.css", *(f"/{file.name}" for file in WEB.iterdir())):
        status, body = ask(server.address, "GET", name)
        assert status == 200 and b"http:" not in body and b"https:" not in body and b"//cdn" not in body, name
    assert ask(server.address, "GET", "/IBMPlexSans-Regular-Latin1.ttf")[1][:4] in (b"\0\1\0\0", b"true")


def test_script_files_stay_short() -> None:
    for file in WEB.iterdir():
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 400, file.name


def test_a_window_takes_its_model_with_it(server: Server) -> None:
    """Closed by itself or gone without a word: neither session nor model stays in memory."""
    left = []
    for number in range(6):
        token = json.loads(ask(server.address, "POST", "/api/open", {})[1])["session"]
        session = server.lab.sessions[token]
        assert isinstance(session, Session)
        built(session)
        left.append(weakref.ref(session.arms[0].model))
        if number % 2:
            session.touched -= 100.0
            server.lab.sweep()
        else:
            ask(server.address, "POST", "/api/close", {"session": token})
        assert token not in server.lab.sessions and session.arms == []
    assert [one for one in left if one() is not None] == []


def test_a_killed_server_loses_no_finished_run(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "calm"
    scenario = load_scenario("tiny").changed({"duration_s": 30})
    with RunWriter(folder, scenario=scenario.resolved(), name="tiny", title="", seed=1) as writer:
        MarketModel(scenario, recorder=writer).run()
        writer.finish({}, [])
        writer.publish()

    def digest() -> dict[str, str]:
        return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}

    before = digest()
    code = "from abm.cli import main; import sys; sys.exit(main())"
    command = [sys.executable, "-c", code, "view", "tiny", "--port", "0", "--no-browser"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            address = next(found[0] for line in child.stdout if (found := re.search(r"http://[\w.:]+/", line)))
            opened = json.loads(ask(address, "POST", "/api/open", {})[1])
            assert opened["runs"] == ["calm"]
            session = opened["session"]
            ask(address, "POST", "/api/do", {"session": session, "action": "play"})
            live = json.loads(ask(address, "POST", "/api/open", {"run": "calm"})[1])["session"]
            ask(address, "GET", f"/api/tab?session={live}&tab=book")
            frame = f"/api/frame?session={session}&epoch=-1&since=0&seen=-1"
            for _ in range(400):
                arms = json.loads(ask(address, "GET", frame)[1]).get("arms")
                if arms and arms[0]["columns"].get("tick"):
                    break
                time.sleep(0.05)
            else:
                raise AssertionError("it does not play")
        finally:
            child.send_signal(signal.SIGKILL)
    assert digest() == before
    run = load_run(folder)
    assert run.info["complete"] and len(run.steps) == 30
