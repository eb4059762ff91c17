"""The lab under load, in a headless Chromium on this machine: `python -m benchmarks.lab [--only PART] [...]`.

| Part | What | Goal |
|--|--|--|
| `play` | frames/s and ticks/s on every tab, from 2,000 ticks (2,000 points a series) on | 15 on Market, 5 elsewhere |
| `clicks` | seconds from a click to the changed page, while the model plays | 0.5 s |
| `memory` | server memory while it plays over and over, `--minutes 30` | flat |
| `cycles` | server memory over `--cycles 50` windows opened, played and closed, after one large model | flat |

Without `--only` all parts, `memory` only with `--minutes`. The model is `october-2025`, 100,000 accounts, as fast
as it goes; software rendering. Everything here shares its cores with the browser, so the load of the machine stands
with the figures. All parts step through 2,000 ticks first, so that little is compiled while it is measured.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import threading
import time

import numpy as np

from abm.app.server import Lab, Server
from abm.app.session import Session
from abm.scenario import load_scenario
from benchmarks.machine import resident_mb
from tests.lab_browser import MISSING, Browser

TABS = ("market", "book", "heatmap", "venue", "treasuries", "traders")
GOALS = {"market": 15.0}
ELSEWHERE, CLICK_S = 5.0, 0.5
POINTS, SAMPLE_S = 2_000, 5.0
PARTS = ("play", "clicks", "memory", "cycles")


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
    "shock now, the tick with it": (
        "document.getElementById('shock').value = '-0.5'; window.was = lab.run.arms[0].columns.seconds.length;"
        "document.getElementById('shock-go').click()",
        "lab.run.arms[0].columns.news_fair_change.slice(window.was).some((change) => change < -0.004)",
    ),
    "Reset, the new model": (
        "window.was = lab.epoch; document.getElementById('apply').click()",
        "lab.epoch > window.was && lab.run.arms[0].columns.seconds.length === 0",
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
            if name.startswith("Reset"):  # a bad value would be refused
                page.run("const e = document.getElementById('c-depth'); e.value = lab.given.depth; e.oninput()")
            found[name].append(page.run_async(TIMER, click, change) / 1000)
    page.run("const e = document.getElementById('c-depth'); e.value = lab.given.depth; e.oninput()")
    page.run("document.getElementById('latest').click(); if (lab.playing) document.getElementById('play').click()")
    return found


def long_play(page: Browser, session: Session, minutes: float) -> list[float]:
    """Memory, MB, every five seconds while it plays, from the start again whenever it ends."""
    page.click("#tabs [data-tab=market]")
    found, runs, until, due = [], 0, time.monotonic() + 60 * minutes, 0.0
    while time.monotonic() < until:
        if not session.playing:
            if not session.running:
                runs += 1
                session.reset({})
            session.play(True)
        if time.monotonic() >= due:
            found.append(resident_mb())
            due = time.monotonic() + SAMPLE_S
        time.sleep(0.5)
    session.play(False)
    print(f"{runs} runs ended and began again")
    return found


def closed(server: Server) -> None:
    """Wait until the windows' sessions and their threads have ended."""
    for _ in range(1_500):
        if not (server.lab.sessions or any(one.name == "lab model" for one in threading.enumerate())):
            return
        time.sleep(0.02)
    raise SystemExit("a session does not end")


def cycles(page: Browser, many: int) -> list[float]:
    """Memory, MB, after each time a window with a tiny model is opened, played and closed."""
    found = []
    with Server(Lab(load_scenario("tiny"), "tiny")) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        for _ in range(many):
            opened(page, server)
            page.click("#play")
            page.wait("lab.run.arms[0].columns.seconds.length > 20")
            page.open("about:blank")
            closed(server)
            found.append(resident_mb())
        server.shutdown()
    return found


# --- tables -----------------------------------------------------------------------------------------------------------
def load() -> str:
    """The load of the machine, for the heading of a table."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"


def table(title: str, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print a Markdown table."""
    print(f"\n{title}; {load()}\n")
    for row in (head, ("--",) * len(head), *rows):
        print(f"| {' | '.join(row)} |", flush=True)


def show_play(page: Browser, session: Session, seconds: float) -> None:
    """Frames and ticks a second, each tab from the same tick on."""
    rows = []
    for name in TABS:
        if session.arms[0].model.tick > POINTS:
            begun_again(page, session)
            stand_at(page, session, POINTS)
        frames, ticks = playing(page, session, name, seconds)
        rows.append((name, f"{frames:.1f}", f"{GOALS.get(name, ELSEWHERE):.0f}", f"{ticks:.0f}"))
    table(f"{seconds:.0f} s of play", ("tab", "frames/s", "goal", "ticks/s"), rows)


def show_clicks(page: Browser, session: Session, times: int) -> None:
    """Seconds from click to change, from the opening on."""
    begun_again(page, session)
    rows = [
        (name, f"{statistics.median(seconds):.2f}", f"{max(seconds):.2f}", str(CLICK_S))
        for name, seconds in clicks(page, times).items()
    ]
    table(f"click to change, s, {times} times each", ("click", "median", "most", "goal"), rows)


def show_memory(memory: list[float], unit: str, title: str) -> None:
    """Lowest and highest in each fifth of a list of MB."""
    parts = [part for part in np.array_split(np.array(memory), 5) if part.size]
    ends = np.cumsum([part.size for part in parts])
    rows = [
        (f"{end - part.size + 1} to {end}", f"{part.min():.0f}", f"{part.max():.0f}")
        for end, part in zip(ends, parts, strict=True)
    ]
    table(title, (unit, "lowest MB", "highest MB"), rows)


def begun_again(page: Browser, session: Session) -> None:
    """Back to the opening."""
    epoch = page.run("return lab.epoch")
    session.reset({})
    page.wait(f"lab.epoch > {epoch} && lab.run.arms[0].columns.seconds.length === 0", 600)


def large(page: Browser, chosen: argparse.Namespace, parts: tuple[str, ...]) -> None:
    """The parts that need the large model; without one it is only stepped and closed."""
    scenario = load_scenario("october-2025", (), None, chosen.accounts)
    with Server(Lab(scenario, "october-2025")) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        session = opened(page, server)
        print(f"{chosen.accounts:,} accounts, opened: memory {resident_mb():,.0f} MB; {load()}", flush=True)
        stand_at(page, session, POINTS)
        kept = sum(one.ledgers.nbytes for one in session.arms[0].past.kept) / 1e6
        print(f"after {POINTS:,} ticks: memory {resident_mb():,.0f} MB, of it accounts at earlier ticks {kept:,.0f} MB")
        if "play" in parts:
            show_play(page, session, chosen.seconds)
        if "clicks" in parts:
            show_clicks(page, session, chosen.times)
        if "memory" in parts and chosen.minutes:
            found = long_play(page, session, chosen.minutes)
            show_memory(found, f"samples of {SAMPLE_S:.0f} s", f"memory over {chosen.minutes:g} minutes of play")
        page.open("about:blank")
        closed(server)
        print(f"\nits window closed: memory {resident_mb():,.0f} MB", flush=True)
        server.shutdown()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, help="one part")
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=12.0, help="of play on each tab")
    parser.add_argument("--times", type=int, default=5, help="each click")
    parser.add_argument("--minutes", type=float, default=0.0, help="of play for the memory")
    parser.add_argument("--cycles", type=int, default=50, help="windows opened and closed")
    chosen = parser.parse_args()
    parts = (chosen.only,) if chosen.only else PARTS
    if MISSING:
        raise SystemExit(MISSING)
    if chosen.only == "memory" and not chosen.minutes:
        chosen.minutes = 30.0
    sys.setswitchinterval(0.001)  # as `deleverage view` does
    with Browser() as page:
        large(page, chosen, parts)
        if "cycles" in parts and chosen.cycles:
            show_memory(cycles(page, chosen.cycles), "windows", f"{chosen.cycles} windows opened, played and closed")


if __name__ == "__main__":
    main()
