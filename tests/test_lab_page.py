"""The lab in a real headless Chromium: every control, every tab, replay, comparison; nothing leaves the machine."""

from __future__ import annotations

import csv
import io
import math
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from abm import MarketModel
from abm.app.server import Lab, Server
from abm.app.session import Session
from abm.app.watcher import Watcher
from abm.results import RunWriter
from abm.scenario import load_scenario
from tests.lab_browser import MISSING, Browser

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)
FALL = {"news.shock.change_percent": -9.0, "venue.backstop.size_usd": 2_000_000}
TABS = ("book", "heatmap", "venue", "treasuries", "traders")


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
    lab = Lab(load_scenario("tiny").changed({**FALL, "duration_s": 600}), "tiny", runs=runs)
    with Server(lab) as made:
        threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as made:
        yield made


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Browser]:
    """An open page with a model; afterwards nothing was complained about and nothing asked elsewhere."""
    opened(browser, server)
    yield browser
    refused = [one for one in browser.complaints() if "422" not in one]  # the console also notes a refused request
    assert refused == []
    assert browser.requested() - {"new-tab-page"} == {urlsplit(server.address).netloc}


def opened(browser: Browser, server: Server) -> None:
    browser.open(server.address)
    browser.wait("window.lab && lab.run && document.querySelectorAll('.key').length === 7")
    browser.run("document.getElementById('speed').value = 9; document.getElementById('speed').oninput()")


def session_of(page: Browser, server: Server) -> Session:
    found = server.lab.sessions[page.run("return lab.session")]
    assert isinstance(found, Session)
    return found


def ticks(page: Browser) -> int:
    return int(page.run("return lab.run.arms[0].columns.seconds.length"))


def play_until(page: Browser, condition: str) -> int:
    """Play, pause when a condition of the page holds, and wait until it stands; the tick."""
    page.click("#play")
    page.wait(condition, 240)  # a machine under load may give the model a few ticks a second
    page.click("#play")
    page.wait("!lab.playing")
    time.sleep(0.3)
    return ticks(page)


def show(page: Browser, name: str, place: int = 0) -> dict[str, Any]:
    """Open a tab; what the page was given for it."""
    page.click(f"#tabs [data-tab={name}]")
    page.wait(f"lab.shown?.name === '{name}' && lab.shown.place === {place} && lab.shown.arms[0].data")
    page.wait("!document.getElementById('panel').hidden || !document.getElementById('canvas').hidden")
    found: dict[str, Any] = page.run("return lab.shown.arms[0]")
    return found


def half_up(value: float) -> int:
    """As a browser rounds; Python's own takes a half to the even number."""
    return math.floor(value + 0.5)


def millions(value: float) -> str:
    return f"{value / 1e6:.{0 if abs(value) >= 1e8 else 1}f}".replace("-", "−")


def test_play_300_ticks_pause_step_shock_copy_reset(page: Browser, server: Server, tmp_path: Path) -> None:
    session = session_of(page, server)
    at = play_until(page, "lab.run.arms[0].columns.seconds.length >= 300")
    assert at < 600
    time.sleep(0.3)
    assert ticks(page) == at
    page.click("#step")
    page.wait(f"lab.run.arms[0].columns.seconds.length === {at + 1}")
    assert session.arms[0].model.tick == at + 1

    page.fill("#shock", "−4")
    page.click("#shock-go")
    page.wait("document.getElementById('said').textContent.includes('next tick')")
    page.click("#step")
    page.wait(f"lab.run.arms[0].columns.seconds.length === {at + 2}")
    assert page.run("return lab.run.arms[0].columns.news_fair_change.at(-1)") == pytest.approx(-0.04)
    page.click("#toml")
    page.wait("lab.toml")
    assert page.run("return lab.toml") == session.toml()  # tests/test_lab_toml.py runs such a text by the command line
    (tmp_path / "copied.toml").write_text(page.run("return lab.toml"), encoding="utf-8")
    page.click("#dialog-close")
    again = Watcher()
    model = MarketModel(load_scenario(tmp_path / "copied.toml"), recorder=again)
    while model.tick < at + 2:
        model.step()
    mine = session.arms[0].watcher
    assert np.array_equal(again.kept, mine.kept) and again.steps_array.tobytes() == mine.steps_array.tobytes()

    epoch = page.run("return lab.epoch")
    page.fill("#c-depth", "1500")
    assert "1 changed" in page.words("#pending")
    page.click("#apply")
    page.wait(f"lab.epoch === {epoch + 1} && lab.run.arms[0].columns.seconds.length === 0")
    assert session.arms[0].model.setup.makers.depth_coins == 1500


def test_numbers_on_the_page_are_the_models(page: Browser, server: Server) -> None:
    """Key figures and the tables of a cascade, read off the page, against the model."""
    at = play_until(page, "lab.run.arms[0].lines.filter((line) => line.kind === 'fund').length > 2")
    arm = session_of(page, server).arms[0]
    model, steps = arm.model, arm.watcher.steps_array
    page.wait(f"document.getElementById('tick').textContent.includes('tick {at} ')")
    forced = float(steps["liquidated_long_usd"].sum() + steps["liquidated_short_usd"].sum())
    expected = {
        "Mark price": f"{half_up(model.latest['mark_usd']):,}",
        "Liquidated": millions(forced),
        "Liquidations": str(int(steps["liquidated_long_accounts"].sum() + steps["liquidated_short_accounts"].sum())),
        "Bid depth within 1 %": millions(model.latest["depth_bid_usd"]),
        "Insurance fund": millions(model.exchanges.fund_equity(0) / 1e6),
        "Auto-deleveraged": millions(float(steps["adl_usd"].sum())),
        "Treasuries": f"{half_up(5_000 - model.latest['treasury_btc']):,}",
    }
    assert forced > 0
    for key, words in expected.items():
        assert page.words(f"[data-key='{key}'] b") == words, key
    show(page, "venue")
    assert f"{model.exchanges.fund_equity(0) / 1e12:.2f} $M".replace("-", "−") in page.words("#panel .cards")
    show(page, "treasuries")
    assert f"{100 * model.latest['treasury_ltv']:.1f} %" in page.words("#panel table")
    show(page, "traders")
    page.click("#panel tr[tabindex]")
    page.wait("lab.shown?.arms[0].data?.picked && document.getElementById('panel').textContent.includes('Its story')")
    row = page.run("return lab.account")
    accounts, slot = model.accounts, int(model.markets.slot[model.perp])
    size = abs(float(accounts.position[slot, row] * model.markets.lot_coins[model.perp]))
    assert f"{float(f'{size:.5g}'):g} BTC" in page.words("#panel .cards")
    desk = model.exchanges.desks[0]
    liquidation = int(desk.ladder.liquidation_ticks(np.array([row]))[0]) * model.markets.tick_dollars[model.perp]
    assert f"{liquidation:,.1f}" in page.words("#panel .cards")


def test_bad_input_in_every_field(page: Browser, server: Server) -> None:
    page.click("#step")
    page.wait("lab.run.arms[0].columns.seconds.length === 1")
    epoch, model = page.run("return lab.epoch"), session_of(page, server).arms[0].model
    keys = page.run(
        "return lab.run.about.controls.filter((one) => ['slider', 'number'].includes(one.kind)).map((one) => one.key)"
    )
    assert len(keys) >= 11
    for key in keys:
        before = page.run(f"return document.getElementById('c-{key}').value")
        for text, words in (("deep", "number"), ("", "needed"), ("-7", "")):
            page.fill(f"#c-{key}", text)
            page.wait(f"document.getElementById('c-{key}-error').textContent.includes('{words}')", 10)
            page.wait(f"document.getElementById('c-{key}').getAttribute('aria-invalid') === 'true'", 10)
        page.click("#apply")
        page.wait(f"document.getElementById('c-{key}-error').textContent !== ''", 10)
        page.fill(f"#c-{key}", before)
        page.wait(f"document.getElementById('c-{key}').getAttribute('aria-invalid') !== 'true'", 10)
    page.fill("#shock", "-200")
    page.click("#shock-go")
    page.wait("document.getElementById('shock-error').textContent.includes('between')")
    show(page, "traders")
    page.fill("#account", "many")
    page.run("document.getElementById('account').nextSibling.click()")
    page.wait("document.getElementById('account-error').textContent.includes('whole number')")
    assert page.run("return lab.epoch") == epoch and ticks(page) == 1
    assert session_of(page, server).arms[0].model is model and model.tick == 1


def test_tabs_events_and_keys(page: Browser, tmp_path: Path) -> None:
    """Every tab shows the tick of the scrubber, and an event leads to its tick, also on the tabs."""
    page.press(" ")
    page.wait("lab.run.arms[0].lines.some((line) => line.kind === 'long')")
    page.press(" ")
    page.wait("!lab.playing")
    pictures = {page.picture(tmp_path / "market.png").read_bytes()}
    for number, name in enumerate(TABS, 2):
        page.press(str(number))
        page.wait(f"lab.tab === '{name}' && lab.shown?.name === '{name}' && lab.shown.arms[0].data")
        page.wait(f"{ticks(page)} - lab.shown.arms[0].tick < 2")
        time.sleep(0.1)
        pictures.add(page.picture(tmp_path / f"{name}.png").read_bytes())
        page.run("const s = document.getElementById('scrub'); s.value = 25; s.oninput()")
        page.wait(f"lab.shown?.name === '{name}' && lab.shown.arms[0].tick === 26")
        page.press("End")
    assert len(pictures) == 6
    page.click("#log li:last-child button")
    page.wait("document.querySelectorAll('#why li').length > 0")
    first = page.run("return lab.run.arms[0].lines[0].tick")
    assert page.run("return lab.run.arms[0].columns.tick[lab.cursor]") == first
    page.wait(f"{first} - lab.shown.arms[0].tick < 2 && lab.shown.arms[0].tick <= {first}")  # kept every other tick
    before = page.run("return document.documentElement.dataset.theme")
    page.press("d")
    page.wait(f"document.documentElement.dataset.theme !== '{before}'")


def test_keyboard_reaches_everything(page: Browser) -> None:
    page.click("#step")
    page.wait("document.querySelectorAll('#log button').length > 0 || lab.run.arms[0].columns.seconds.length === 1")
    play_until(page, "lab.run.arms[0].lines.length > 0")
    page.run("document.activeElement?.blur()")
    wanted = ["play", "step", "speed", "preset", "c-depth", "c-rule", "shock", "apply", "tab", "scrub", "log"]
    name = (
        "const e = document.activeElement; return e.closest('#log') ? 'log' : e.closest('#tabs') ? 'tab' : "
        "e.id || (e.type === 'range' ? 'slider' : e.tagName)"
    )
    reached: list[str] = []
    for _ in range(90):
        page.press("Tab")
        reached.append(page.run(name))
        if reached[-1] == "log":
            break
    places = [reached.index(one) for one in wanted]
    assert places == sorted(places) and reached.count("slider") >= 9, reached
    outline = page.run("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.press("Enter")
    page.wait("document.querySelectorAll('#why li').length > 0")


def test_files_of_what_is_shown(page: Browser) -> None:
    """PNG, SVG and CSV of every tab; the SVG is well-formed and loads nothing, the CSV holds the numbers."""
    at = play_until(page, "lab.run.arms[0].lines.some((line) => line.kind === 'long')")
    for name in ("market", *TABS):
        if name != "market":
            show(page, name)
        head, size = page.run("return lab_file('png').then((bytes) => [bytes.slice(0, 8), bytes.length])")
        assert bytes(head) == b"\x89PNG\r\n\x1a\n" and size > 5_000, name
        decoded = "return lab_file(arguments[0]).then((bytes) => new TextDecoder().decode(new Uint8Array(bytes)))"
        svg, table = page.run(decoded, "svg"), page.run(decoded, "csv")
        texts = [one.text for one in ET.fromstring(svg).iter() if one.tag.endswith("text")]
        assert len(texts) > 8 and "http://" not in svg.replace("http://www.w3.org/2000/svg", ""), name
        rows = list(csv.reader(io.StringIO(table)))
        assert len(rows) > 1 and len(rows[0]) > 2, name
        if name == "market":
            records = list(csv.DictReader(io.StringIO(table)))
            assert len(records) == at
            assert float(records[-1]["mark_usd"]) == page.run("return lab.run.arms[0].columns.mark_usd.at(-1)")


def test_compare_and_tour(page: Browser) -> None:
    page.run("const e = document.getElementById('c-rule'); e.value = 'pro-rata'; e.onchange()")
    page.click("#mode-compare")
    page.wait("lab.run?.arms.length === 2")
    at = play_until(page, "lab.run.arms[0].lines.some((line) => line.kind === 'long')")
    assert page.run("return lab.run.arms[1].columns.seconds.length") == at
    assert "changed:" in page.words("[data-key='Mark price']")
    rules = []
    for name in TABS:
        show(page, name)
        rules.append(page.run("return lab.shown.arms.map((arm) => arm.data.rule)"))
    assert ["binance-queue", "pro-rata"] in rules
    page.run("const e = document.getElementById('arm'); e.value = 1; e.onchange()")
    page.wait("document.getElementById('panel').textContent.length > 0")
    page.click("#mode-live")
    page.wait("lab.run?.arms.length === 1 && lab.run.arms[0].columns.seconds.length === 0")
    page.click("#tour")
    for _ in range(2):
        page.click("#guide-next")
    page.wait("lab.run.arms[0].lines.some((line) => line.kind === 'long') && !lab.playing")
    first = page.run("return lab.run.arms[0].lines.find((line) => line.kind === 'long').tick")
    page.wait(f"lab.run.arms[0].columns.tick[lab.cursor] === {first}")
    page.click("#guide-end")


def test_replay_and_scrub(page: Browser) -> None:
    page.click("#mode-replay")
    page.wait("document.getElementById('dialog').open && document.querySelector('#dialog-body button')")
    page.click("#dialog-body button")
    page.wait("lab.kind === 'replay' && lab.run && lab.run.arms[0].columns.seconds.length === 60")
    page.run("const s = document.getElementById('scrub'); s.value = 30; s.oninput()")
    page.wait("document.getElementById('tick').textContent.includes('tick 31 ')")
    mark = page.run("return lab.run.arms[0].columns.mark_usd[30]")
    assert page.words("[data-key='Mark price'] b") == f"{half_up(mark):,}"
    for name in TABS:  # made again from the scenario, each tick compared with the one on disk
        shown = show(page, name)
        assert shown["tick"] == 31, name
    page.run("const s = document.getElementById('scrub'); s.value = 5; s.oninput()")
    page.wait("lab.shown.arms[0].tick === 6")
    page.click("#mode-live")
    page.wait("lab.kind === 'live' && lab.run && lab.run.arms[0].columns.seconds.length === 0")


def test_two_windows_at_once_share_nothing(page: Browser, server: Server) -> None:
    one = session_of(page, server)
    first = page.window()
    try:
        opened(page, server)
        other = session_of(page, server)
        assert other is not one
        page.fill("#shock", "-5")
        page.click("#shock-go")
        page.wait("document.getElementById('said').textContent.includes('next tick')")
        at = play_until(page, "lab.run.arms[0].columns.seconds.length >= 30")
        page.click("#tabs [data-tab=book]")
        second = page.window(first)
        assert ticks(page) == 0 and page.run("return lab.tab") == "market"
        page.click("#step")
        page.wait("lab.run.arms[0].columns.seconds.length === 1")
        assert other.arms[0].model.tick == at and one.arms[0].model.tick == 1
        assert [len(session.arms[0].scenario.news) for session in (one, other)] == [1, 2]
        page.window(second)
        assert ticks(page) == at
    finally:
        page.close_window()
        page.window(first)
    for _ in range(100):
        if other.closed:
            break
        time.sleep(0.05)
    assert other.closed and not one.closed  # a closed window takes its model with it


def test_venues_can_be_chosen(browser: Browser) -> None:
    with Server(Lab(load_scenario("two-venues").changed(FALL), "two-venues")) as made:
        threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        opened(browser, made)
        at = play_until(browser, "lab.run.arms[0].columns.seconds.length >= 25")
        browser.run("const e = document.getElementById('place'); e.value = 1; e.onchange()")
        browser.wait(f"lab.run.about.place === 1 && lab.run.arms[0].columns.seconds.length === {at}")
        model = session_of(browser, made).arms[0].model
        perp = model.places[1].perp
        mark = model.exchanges.mark_ticks[perp] * model.markets.tick_dollars[perp]
        assert browser.run("return lab.run.arms[0].columns.mark_usd.at(-1)") == mark
        assert show(browser, "venue", 1)["data"]["title"] == model.places[1].setup.preset.title
        assert browser.complaints() == []
        browser.open("about:blank")
        made.shutdown()
