"""The lab under load: `python -m benchmarks.lab [--accounts 100000] [--seconds 12] [--minutes 0] [--cycles 50]`.

Measured in a headless Chromium on this machine, software rendering, the model of `october-2025` playing as fast as it
goes: ticks and frames a second on every tab after 2,000 ticks (2,000 points a series), time from a click to the changed
page, memory of the server. Goals: 15 frames/s on Market, 5 elsewhere, 0.5 s, flat memory. `--minutes 30` plays over and
over for so long and prints the memory every minute; `--cycles` opens and closes windows. The load of the machine stands
with the figures, because everything here shares its cores with the browser.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import threading
import time
from pathlib import Path

from abm.app.server import Lab, Server
from abm.app.session import Session
from abm.scenario import load_scenario
from tests.lab_browser import MISSING, Browser

TABS = ("market", "book", "heatmap", "venue", "treasuries", "traders")
GOALS = {"market": 15.0}
ELSEWHERE, CLICK_S = 5.0, 0.5
POINTS = 2_000


def resident_mb() -> float:
    """Memory of this process that is in use now, MB (Linux; elsewhere nan)."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return float("nan")
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def opened(page: Browser, server: Server) -> Session:
    """Open the page at full speed; its session."""
    page.open(server.address)
    page.wait("window.lab && lab.run && document.querySelectorAll('.key').length === 7", 600)
    page.run("document.getElementById('speed').value = 9; document.getElementById('speed').oninput()")
    session = server.lab.sessions[page.run("return lab.session")]
    assert isinstance(session, Session)
    return session


def stand_at(page: Browser, session: Session, ticks: int) -> None:
    """Step to a tick."""
    for first in range(session.arms[0].model.tick, ticks, 1_000):
        session.step(min(1_000, ticks - first))
    page.wait(f"lab.run.arms[0].columns.seconds.length >= {ticks}", 1_800)


def playing(page: Browser, session: Session, name: str, seconds: float) -> tuple[float, float]:
    """Frames and ticks a second while it plays on a tab."""
    page.click(f"#tabs [data-tab={name}]")
    if name != "market":
        page.wait(f"lab.shown?.name === '{name}' && lab.shown.arms[0].data", 120)
    page.click("#play")
    page.wait("lab.playing", 60)
    page.run("lab.painted = 0")
    begin, tick = time.monotonic(), session.arms[0].model.tick
    time.sleep(seconds)
    painted, ticks, took = page.run("return lab.painted"), session.arms[0].model.tick - tick, time.monotonic() - begin
    page.click("#play")
    page.wait("!lab.playing", 60)
    return painted / took, ticks / took


CLICKS = {
    "pause, the button turns": (
        "document.getElementById('play').click()",
        "document.getElementById('play').getAttribute('aria-label') === 'play'",
    ),
    "Book, its data drawn": (
        "document.querySelector('#tabs [data-tab=book]').click()",
        "lab.tab === 'book' && lab.shown?.name === 'book' && !document.getElementById('canvas').hidden",
    ),
    "Traders, its table": (
        "document.querySelector('#tabs [data-tab=traders]').click()",
        "lab.shown?.name === 'traders' && document.querySelectorAll('#panel tr').length > 2",
    ),
    "Venue, its tables": (
        "document.querySelector('#tabs [data-tab=venue]').click()",
        "lab.shown?.name === 'venue' && document.querySelectorAll('#panel table').length > 1",
    ),
    "scrub to half, Venue of then": (
        "const s = document.getElementById('scrub'); s.value = Math.floor(s.max / 2); s.oninput()",
        "lab.shown?.name === 'venue' && lab.shown.arms[0].tick <= lab.run.arms[0].columns.tick[lab.cursor]",
    ),
    "a bad value, its message": (
        "const e = document.getElementById('c-depth'); e.value = 'x'; e.oninput()",
        "document.getElementById('c-depth-error').textContent !== ''",
    ),
}
TIMER = """
const done = arguments[arguments.length - 1], begin = performance.now();
const check = new Function('return ' + arguments[1]), end = () => done(performance.now() - begin);
new Function(arguments[0])();
const look = () => (check() ? requestAnimationFrame(end) : setTimeout(look, 4));
look();
"""


def clicks(page: Browser, times: int) -> dict[str, list[float]]:
    """Seconds from a click to the change, while the model plays."""
    found: dict[str, list[float]] = {name: [] for name in CLICKS}
    for _ in range(times):
        for name, (click, change) in CLICKS.items():
            page.run(
                "document.getElementById('latest').click(); if (!lab.playing) document.getElementById('play').click()"
            )
            page.wait("lab.playing", 60)
            time.sleep(0.3)
            found[name].append(page.run_async(TIMER, click, change) / 1000)
    page.run("const e = document.getElementById('c-depth'); e.value = lab.given.depth; e.oninput()")
    page.run("document.getElementById('latest').click(); if (lab.playing) document.getElementById('play').click()")
    return found


def long_play(page: Browser, session: Session, minutes: float) -> list[float]:
    """Memory, MB, once a minute while it plays, from the start again whenever it ends."""
    page.click("#tabs [data-tab=market]")
    found, until, due = [], time.monotonic() + 60 * minutes, 0.0
    while time.monotonic() < until:
        if not session.playing:
            if not session.running:
                session.reset({})
            session.play(True)
        if time.monotonic() >= due:
            found.append(resident_mb())
            due = time.monotonic() + 60
            print(
                f"  memory {found[-1]:,.0f} MB, tick {session.arms[0].model.tick if session.arms else 0:,}", flush=True
            )
        time.sleep(0.5)
    session.play(False)
    return found


def cycles(many: int) -> list[float]:
    """Memory, MB, after each time a window with a tiny model is opened, played and closed."""
    found = []
    with Server(Lab(load_scenario("tiny"), "tiny")) as server, Browser() as page:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        for _ in range(many):
            opened(page, server)
            page.click("#play")
            page.wait("lab.run.arms[0].columns.seconds.length > 20")
            page.open("about:blank")
            for _ in range(200):
                if not server.lab.sessions:
                    break
                time.sleep(0.02)
            found.append(resident_mb())
        assert not server.lab.sessions
        server.shutdown()
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=12.0, help="of play on each tab")
    parser.add_argument("--minutes", type=float, default=0.0, help="of play for the memory")
    parser.add_argument("--cycles", type=int, default=50, help="windows opened and closed")
    chosen = parser.parse_args()
    if MISSING:
        raise SystemExit(MISSING)
    sys.setswitchinterval(0.001)  # as `deleverage view` does
    print(f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors", flush=True)
    with (
        Server(Lab(load_scenario("october-2025", (), None, chosen.accounts), "october-2025")) as server,
        Browser() as page,
    ):
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        session = opened(page, server)
        print(f"{chosen.accounts:,} accounts, opened: memory {resident_mb():,.0f} MB", flush=True)
        stand_at(page, session, POINTS)
        kept = sum(one.ledgers.nbytes for one in session.arms[0].past.kept) / 1e6
        print(f"after {POINTS:,} ticks: memory {resident_mb():,.0f} MB, of it accounts at earlier ticks {kept:,.0f} MB")
        for name in TABS:
            frames, ticks = playing(page, session, name, chosen.seconds)
            goal = GOALS.get(name, ELSEWHERE)
            print(f"  {name:<11} {frames:5.1f} frames/s (goal {goal:.0f})  {ticks:6.1f} ticks/s", flush=True)
        epoch = page.run("return lab.epoch")
        session.reset({})  # the run may be over
        page.wait(f"lab.epoch > {epoch} && lab.run.arms[0].columns.seconds.length === 0", 600)
        for name, seconds in clicks(page, 3).items():
            print(
                f"  {name:<30} {statistics.median(seconds):.2f} s, at most {max(seconds):.2f} s (goal {CLICK_S})",
                flush=True,
            )
        if chosen.minutes:
            long_play(page, session, chosen.minutes)
        print(f"at the end: memory {resident_mb():,.0f} MB, load {os.getloadavg()[0]:.1f}", flush=True)
        server.shutdown()
    if chosen.cycles:
        memory = cycles(chosen.cycles)
        shown = {number: round(memory[number - 1]) for number in (1, 10, 20, 30, 40, 50) if number <= len(memory)}
        print(f"{len(memory)} windows opened and closed; memory after so many, MB: {shown}")


if __name__ == "__main__":
    main()
