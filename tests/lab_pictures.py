"""Pictures of every tab of the lab in the middle of a cascade, light and dark, 1280 x 800.

    python -m tests.lab_pictures docs/lab

needs Chromium and its driver. Market, Book, Heatmap, Venue and Traders are of `october-2025`, and so is the comparison
of two deleveraging rules; Treasuries is of `datco-forced-sale`, as October has no company. Each scenario is run once
ahead: the pictures are of the end of the minute in which most is liquidated, that of Treasuries of the tick at which
half is sold of what the companies sell. What was found is printed; nothing here is tied to numbers of a scenario.
"""

from __future__ import annotations

import argparse
import threading
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from abm import MarketModel
from abm.app.server import Lab, Server
from abm.app.session import Session
from abm.recorder import Recorder
from abm.scenario import Scenario, load_scenario
from tests.lab_browser import MISSING, Browser

SCENARIO, ACCOUNTS = "october-2025", 20_000
COMPANIES, COMPANIES_ACCOUNTS = "datco-forced-sale", 2_000
TABS = ("market", "book", "heatmap", "venue", "traders")
MOST_BYTES = 300_000
SEED = 4  # one in which the cascade goes off
SMALL_FUND = {"rule": "pro-rata", "fund": 2}
MINUTE_S, WAIT_S = 60.0, 300.0


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("docs/lab"))
    parser.add_argument("--scenario", default=SCENARIO)
    parser.add_argument("--accounts", type=int, default=ACCOUNTS)
    parser.add_argument("--ticks", type=int, help="ticks before the pictures, instead of the busiest minute")
    parser.add_argument("--companies", default=COMPANIES, help="scenario of the Treasuries tab")
    parser.add_argument("--companies-accounts", type=int, default=COMPANIES_ACCOUNTS)
    parser.add_argument("--only", choices=("market", "companies"), help="all but Treasuries, or that alone")
    chosen = parser.parse_args()
    if MISSING:
        raise SystemExit(MISSING)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    with Browser() as page:
        if chosen.only != "companies":
            scenario = load_scenario(chosen.scenario, (), SEED, chosen.accounts)
            pictures(page, scenario, chosen.scenario, chosen.ticks or busiest(scenario), TABS, chosen.folder)
        if chosen.only != "market":
            scenario = load_scenario(chosen.companies, (), None, chosen.companies_accounts)
            pictures(page, scenario, chosen.companies, half_sold(scenario), ("treasuries",), chosen.folder)
        complaints = page.complaints()
    assert not complaints, complaints


def ahead(scenario: Scenario) -> NDArray[np.void]:
    """All ticks of a run, (ticks,) of dtype `STEP`."""
    recorder = Recorder("summary")
    MarketModel(scenario, recorder=recorder).run()
    return recorder.steps_array


def busiest(scenario: Scenario) -> int:
    """The tick at the end of the minute in which most is liquidated."""
    steps = ahead(scenario)
    forced = np.cumsum(steps["liquidated_long_usd"] + steps["liquidated_short_usd"])
    ticks = max(1, round(MINUTE_S / scenario.tick_s))
    minutes = forced - np.concatenate([np.zeros(ticks), forced])[: forced.size]
    if forced[-1] == 0:
        raise SystemExit(f"{scenario.name}: nobody is liquidated: give --scenario or --ticks")
    tick = int(np.argmax(minutes)) + 1
    say(scenario, tick, f"${forced[tick - 1] / 1e6:,.0f}m of ${forced[-1] / 1e6:,.0f}m liquidated")
    return tick


def half_sold(scenario: Scenario) -> int:
    """The tick at which the companies have sold half of what they sell in all."""
    coins = ahead(scenario)["treasury_btc"]
    if not coins[-1] < coins[0]:
        raise SystemExit(f"{scenario.name}: no company sells: give --companies")
    tick = int(np.argmax(coins <= (coins[0] + coins[-1]) / 2)) + 1
    say(scenario, tick, f"{coins[0] - coins[tick - 1]:,.0f} of {coins[0] - coins[-1]:,.0f} coins sold")
    return tick


def say(scenario: Scenario, tick: int, words: str) -> None:
    """Print which moment was chosen."""
    moment = scenario.start + timedelta(seconds=tick * scenario.tick_s)
    print(f"{scenario.name}: tick {tick:,} of {scenario.ticks:,}, {moment:%d %B %H:%M:%S}: {words}", flush=True)


def pictures(page: Browser, scenario: Scenario, source: str, ticks: int, tabs: tuple[str, ...], folder: Path) -> None:
    """These tabs at a tick, light and dark; with Market also the comparison."""
    with Server(Lab(scenario, source)) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        page.open(server.address)
        page.wait("window.lab && lab.run && document.querySelectorAll('.key').length === 7", WAIT_S)
        session = next(iter(server.lab.sessions.values()))
        assert isinstance(session, Session)
        step(page, session, ticks)
        for theme in ("light", "dark"):
            page.run("document.documentElement.dataset.theme = arguments[0]; lab.dirty = true", theme)
            for name in tabs:
                take(page, name, folder / f"{name}-{theme}.png")
        page.run("document.documentElement.dataset.theme = 'light'")
        if "market" in tabs:
            session.compare(SMALL_FUND)
            page.wait("lab.run?.arms.length === 2", WAIT_S)
            step(page, session, ticks)
            for name in ("market", "venue"):
                take(page, name, folder / f"compare-{name}-light.png")
        page.open("about:blank")
        server.shutdown()


def step(page: Browser, session: Session, ticks: int) -> None:
    """So many ticks from the opening on, and wait until the page has them."""
    for first in range(0, ticks, 1_000):
        session.step(min(1_000, ticks - first))
    page.wait(f"lab.run.arms[0].columns.seconds.length >= {ticks}", 3 * WAIT_S)


def take(page: Browser, name: str, path: Path) -> None:
    """One tab as a file; on Market with the causes of the largest event, on Traders one near to its own."""
    page.click(f"#tabs [data-tab={name}]")
    if name != "market":
        page.wait(f"lab.shown?.name === '{name}' && lab.shown.arms[0].data", WAIT_S)
    if name == "traders":
        page.run(
            "const rows = document.querySelectorAll('#panel tr[tabindex]'); rows[Math.min(3, rows.length - 1)].click()"
        )
        page.wait("lab.shown?.arms[0].data.picked", WAIT_S)
    elif name == "market":
        page.run(
            "const all = [...document.querySelectorAll('#log button')];"
            "(all.find((one) => /largest/.test(one.textContent)) || all.at(-1))?.click()"
        )
        page.wait("document.querySelectorAll('#why li').length > 0 || !document.querySelector('#log button')", WAIT_S)
        page.click("#latest")
    page.run("document.activeElement?.blur()")
    time.sleep(0.5)
    size = page.picture(path).stat().st_size
    print(f"{path}  {size / 1000:.0f} kB", flush=True)
    assert size <= MOST_BYTES, f"{path} has {size} bytes"


if __name__ == "__main__":
    main()
