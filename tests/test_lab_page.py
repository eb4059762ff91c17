"""The lab in a real headless Chromium: play, pause, step, sliders, shock, copy, replay; nothing leaves the machine."""

from __future__ import annotations

import http.client
import json
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from abm import MarketModel
from abm.app.server import Lab, Server
from abm.results import RunWriter
from abm.scenario import load_scenario
from tests.lab_browser import MISSING, Browser

needs_browser = pytest.mark.skipif(bool(MISSING), reason=MISSING)
FALL = {"news.shock.change_percent": -9.0, "venue.backstop.size_usd": 2_000_000}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished run."""
    folder = tmp_path_factory.mktemp("runs")
    scenario = load_scenario("tiny").changed({**FALL, "duration_s": 60})
    with RunWriter(folder / "fall", scenario=scenario.resolved(), name="tiny", title="", seed=1) as writer:
        MarketModel(scenario, recorder=writer).run()
        writer.finish({}, [])
        writer.publish()
    return folder


@pytest.fixture(scope="module")
def server(runs: Path) -> Iterator[Server]:
    lab = Lab(load_scenario("tiny").changed(FALL), "tiny", runs=runs)
    with Server(lab) as made:
        threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture
def page(server: Server) -> Iterator[Browser]:
    """An open page with a model; afterwards nothing was complained about and nothing asked elsewhere."""
    with Browser() as browser:
        browser.open(server.address)
        browser.wait("window.lab && lab.run && document.querySelectorAll('.key').length === 7")
        yield browser
        assert browser.complaints() == []
        assert browser.requested() - {"new-tab-page"} == {urlsplit(server.address).netloc}


def ticks(page: Browser) -> int:
    return int(page.run("return lab.run.arms[0].columns.seconds.length"))


@needs_browser
def test_play_pause_step_reset_shock_copy(page: Browser, server: Server) -> None:
    session = server.lab.sessions[page.run("return lab.session")]
    page.run("document.getElementById('speed').value = 9; document.getElementById('speed').oninput()")
    page.click("#play")
    page.wait("lab.run.arms[0].columns.seconds.length >= 40")
    page.click("#play")
    page.wait("!lab.playing")
    time.sleep(0.3)
    at = ticks(page)
    time.sleep(0.3)
    assert ticks(page) == at
    page.click("#step")
    page.wait(f"lab.run.arms[0].columns.seconds.length === {at + 1}")
    model = session.arms[0].model  # type: ignore[union-attr]
    assert model.tick == at + 1
    page.wait(f"document.getElementById('tick').textContent.includes('tick {at + 1} ')")
    assert page.words("[data-key='Mark price'] b") == f"{round(model.latest['mark_usd']):,}"
    fund = model.exchanges.fund_equity(0) / 1e6
    assert page.words("[data-key='Insurance fund'] b").replace("−", "-") == f"{fund / 1e6:.1f}"

    page.fill("#shock", "−4")
    page.click("#shock-go")
    page.click("#step")
    page.wait(f"lab.run.arms[0].columns.seconds.length === {at + 2}")
    assert page.run("return lab.run.arms[0].columns.news_fair_change.at(-1)") == pytest.approx(-0.04)
    page.click("#toml")
    page.wait("lab.toml")
    copied = tomllib.loads(page.run("return lab.toml"))
    assert copied["news"][-1]["change_percent"] == -4 and copied["extends"] == "tiny"
    page.click("#dialog-close")

    epoch = page.run("return lab.epoch")
    page.fill("#c-depth", "1500")
    assert "1 changed" in page.words("#pending")
    page.click("#apply")
    page.wait(f"lab.epoch === {epoch + 1} && lab.run.arms[0].columns.seconds.length === 0")
    assert session.arms[0].model.setup.makers.depth_coins == 1500  # type: ignore[union-attr]


@needs_browser
def test_bad_input_stands_beside_the_field_and_the_model_stays(page: Browser) -> None:
    page.click("#step")
    page.wait("lab.run.arms[0].columns.seconds.length === 1")
    epoch = page.run("return lab.epoch")
    for key, text, words in (("seed", "1.5", "whole"), ("depth", "deep", "number"), ("accounts", "7", "50")):
        page.fill(f"#c-{key}", text)
        page.click("#apply")
        page.wait(f"document.getElementById('c-{key}-error').textContent.includes('{words}')")
        page.wait(f"document.getElementById('c-{key}').getAttribute('aria-invalid') === 'true'")
    page.fill("#shock", "-200")
    page.click("#shock-go")
    page.wait("document.getElementById('shock-error').textContent.includes('between')")
    assert page.run("return lab.epoch") == epoch and ticks(page) == 1
    refused = [one for one in page.complaints() if "422" not in one]  # the console also notes a refused request
    assert refused == []


@needs_browser
def test_tabs_events_and_keys(page: Browser, tmp_path: Path) -> None:
    page.run("document.getElementById('speed').value = 9; document.getElementById('speed').oninput()")
    page.press(" ")
    page.wait("lab.run.arms[0].lines.some((line) => line.kind === 'long')")
    page.press(" ")
    page.wait("!lab.playing")
    pictures = {page.picture(tmp_path / "market.png").read_bytes()}
    for number, name in enumerate(("book", "heatmap", "venue", "treasuries", "traders"), 2):
        page.press(str(number))
        page.wait(f"lab.tab === '{name}' && lab.shown?.name === '{name}'")
        time.sleep(0.2)
        pictures.add(page.picture(tmp_path / f"{name}.png").read_bytes())
    assert len(pictures) == 6
    page.click("#panel tr[tabindex]")
    page.wait("lab.shown?.data?.picked && document.getElementById('panel').textContent.includes('Liquidation price')")
    page.press("1")
    page.click("#log li:last-child button")
    page.wait("document.querySelectorAll('#why li').length > 0")
    assert page.run("return lab.run.arms[0].columns.tick[lab.cursor]") == page.run(
        "return lab.run.arms[0].lines[0].tick"
    )
    before = page.run("return document.documentElement.dataset.theme")
    page.press("d")
    page.wait(f"document.documentElement.dataset.theme !== '{before}'")


@needs_browser
def test_compare_and_tour(page: Browser) -> None:
    page.run("const e = document.getElementById('c-rule'); e.value = 'pro-rata'; e.onchange()")
    page.click("#mode-compare")
    page.wait("lab.run?.arms.length === 2")
    page.click("#step")
    page.wait("lab.run.arms[1].columns.seconds.length === 1")
    page.wait("document.querySelector(\"[data-key='Mark price']\").textContent.includes('changed:')")
    page.click("#tour")
    page.click("#guide-next")
    page.wait("lab.run.arms[0].lines.some((line) => line.kind === 'long') && !lab.playing")
    page.click("#guide-end")


@needs_browser
def test_replay_and_scrub(page: Browser) -> None:
    page.click("#mode-replay")
    page.wait("document.getElementById('dialog').open && document.querySelector('#dialog-body button')")
    page.click("#dialog-body button")
    page.wait("lab.kind === 'replay' && lab.run && lab.run.arms[0].columns.seconds.length === 60")
    page.run("const s = document.getElementById('scrub'); s.value = 30; s.oninput()")
    page.wait("document.getElementById('tick').textContent.includes('tick 31 ')")
    mark = page.run("return lab.run.arms[0].columns.mark_usd[30]")
    assert page.words("[data-key='Mark price'] b") == f"{round(mark):,}"
    page.click("#mode-live")
    page.wait("lab.kind === 'live' && lab.run && lab.run.arms[0].columns.seconds.length === 0")


# --- the server without a browser -------------------------------------------------------------------------------------
def ask(server: Server, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
    where = urlsplit(server.address)
    connection = http.client.HTTPConnection(str(where.hostname), where.port, timeout=30)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_other_sites_are_refused(server: Server) -> None:
    assert ask(server, "GET", "/")[0] == 200
    assert ask(server, "GET", "/", Host="evil.example")[0] == 403
    assert ask(server, "POST", "/api/open", {}, Origin="http://evil.example")[0] == 403
    assert ask(server, "GET", "/../pyproject.toml")[0] == 404 and ask(server, "GET", "/..%2f__init__.py")[0] == 404
    assert ask(server, "POST", "/api/open", {"run": "../../etc"})[0] == 422
    assert ask(server, "POST", "/api/do", {"session": "no", "action": "play"})[0] == 410
    assert ask(server, "POST", "/api/open", ["x"])[0] == 400


def test_page_names_no_other_host(server: Server) -> None:
    for name in ("/", "/lab.js", "/draw.js", "/panels.js", "/tour.js", "/style.css", "/palette.css"):
        status, body = ask(server, "GET", name)
        assert status == 200 and b"http:" not in body and b"https:" not in body and b"//cdn" not in body, name
    assert ask(server, "GET", "/IBMPlexSans-Regular-Latin1.ttf")[1][:4] in (b"\0\1\0\0", b"true")


def test_windows_that_are_gone_are_closed(server: Server) -> None:
    before = set(server.lab.sessions)
    for _ in range(5):
        token = json.loads(ask(server, "POST", "/api/open", {})[1])["session"]
        session = server.lab.sessions[token]
        session.touched -= 100.0
        server.lab.sweep()
        assert token not in server.lab.sessions and session.arms == []  # type: ignore[union-attr]
    assert set(server.lab.sessions) <= before
