"""Pictures of every tab of the lab in the middle of a cascade, light and dark, 1280 x 800.

    python -m tests.lab_pictures docs/lab

needs Chromium and its driver. The model is `october-2025` with the assumed
company of `tiny`; it is stepped to 21:19, when most is liquidated, and a
comparison of two deleveraging rules to the same minute.
"""

from __future__ import annotations

import argparse
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from abm.app.server import Lab, Server
from abm.app.session import Session
from abm.scenario import load_scenario
from tests.lab_browser import MISSING, Browser

SCENARIO, ACCOUNTS = "october-2025", 20_000
MOMENT = datetime(2025, 10, 10, 21, 19, 0, tzinfo=UTC)
TABS = ("market", "book", "heatmap", "venue", "treasuries", "traders")
MOST_BYTES = 250_000
SMALL_FUND = {"rule": "pro-rata", "fund": 2}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("docs/lab"))
    parser.add_argument("--scenario", default=SCENARIO)
    parser.add_argument("--accounts", type=int, default=ACCOUNTS)
    parser.add_argument("--ticks", type=int, help="ticks before the pictures (until 21:19)")
    chosen = parser.parse_args()
    if MISSING:
        raise SystemExit(MISSING)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    scenario = load_scenario(chosen.scenario, (), None, chosen.accounts)
    if not scenario.treasuries:  # so that Treasuries has something to show
        company = [one.model_dump(mode="json") for one in load_scenario("tiny").treasuries]
        scenario = scenario.changed({"treasuries": company})
    ticks = chosen.ticks or round((MOMENT - scenario.start).total_seconds() / scenario.tick_s)
    lab = Lab(scenario, chosen.scenario)
    with Server(lab) as server, Browser() as page:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        page.open(server.address)
        page.wait("window.lab && lab.run && document.querySelectorAll('.key').length === 7", 300)
        session = next(iter(lab.sessions.values()))
        assert isinstance(session, Session)
        step(page, session, ticks)
        for theme in ("light", "dark"):
            page.run("document.documentElement.dataset.theme = arguments[0]; lab.dirty = true", theme)
            for name in TABS:
                take(page, name, chosen.folder / f"{name}-{theme}.png")
        page.run("document.documentElement.dataset.theme = 'light'")
        session.compare(SMALL_FUND)
        page.wait("lab.run?.arms.length === 2", 300)
        step(page, session, ticks)
        for name in ("market", "venue"):
            take(page, name, chosen.folder / f"compare-{name}-light.png")
        complaints = page.complaints()
    assert not complaints, complaints


def step(page: Browser, session: Session, ticks: int) -> None:
    """So many ticks from the opening on, and wait until the page has them."""
    for first in range(0, ticks, 1_000):
        session.step(min(1_000, ticks - first))
    page.wait(f"lab.run.arms[0].columns.seconds.length >= {ticks}", 900)


def take(page: Browser, name: str, path: Path) -> None:
    """One tab as a file; on Traders the account that the last forced sale was of."""
    page.click(f"#tabs [data-tab={name}]")
    if name != "market":
        page.wait(f"lab.shown?.name === '{name}' && lab.shown.arms[0].data", 60)
    if name == "traders":
        page.run("document.querySelectorAll('#panel tr[tabindex]')[3].click()")
        page.wait("lab.shown?.arms[0].data.picked", 30)
    elif name == "market":
        page.run("[...document.querySelectorAll('#log button')].find((b) => /largest/.test(b.textContent))?.click()")
        page.wait("document.querySelectorAll('#why li').length > 0 || !document.querySelector('#log button')", 30)
        page.click("#latest")
    page.run("document.activeElement?.blur()")
    time.sleep(0.5)
    size = page.picture(path).stat().st_size
    print(f"{path}  {size / 1000:.0f} kB", flush=True)
    assert size <= MOST_BYTES, f"{path} has {size} bytes"


if __name__ == "__main__":
    main()
