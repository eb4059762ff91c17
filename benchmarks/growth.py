"""How the cost of a tick grows: `python -m benchmarks.growth [--quick] [--accounts N ...] [--out FILE.png]`.

* with the number of accounts, when as many of them act in a tick as before (`retail.review_s` grows with their
  number): what is left is what the tick pays for those who only hold a position; beside it all of them active as in
  the scenario;
* with the number of orders that rest in the books, at one number of accounts (the share of positions with a stop and
  a take-profit order is what changes);
* with the number of venues, each with its own two books, 10,000 accounts and traders of a size.

`calm` with its ticks of half a second; median of the ticks after the first, models of one panel take turns of ten
ticks, so that other work on the machine meets all of them alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from abm import MarketModel
from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.style import Palette, save, styled, with_commas
from abm.recorder import Recorder
from abm.scenario import load_scenario
from benchmarks.machine import described, hardware

ACTIVE = 10_000
"""Accounts whose reviews a second every other number of them shares."""
REVIEW_S, NEWS_S = 240.0, 40.0
SETTLED = 20
"""Ticks that are not timed: everybody places first orders, caches fill."""

TURN = 10
"""Ticks of a model before it is the next one's turn."""


@dataclass
class Point:
    """One model of a panel."""

    at: float
    """Accounts, resting orders or venues."""
    settings: list[str]
    accounts: int
    model: MarketModel | None = None
    laps: list[float] = field(default_factory=list)
    messages: int = 0

    @property
    def ms(self) -> float:
        return 1e3 * statistics.median(self.laps)

    @property
    def range_ms(self) -> tuple[float, float]:
        """Quarter and three quarters of the ticks."""
        low, _, high = statistics.quantiles(self.laps, n=4)
        return 1e3 * low, 1e3 * high


def resting(model: MarketModel) -> int:
    """Orders in all books, resting or waiting."""
    return int(model.books._memory.queues["count"].sum())


def timed(points: Sequence[Point], ticks: int) -> None:
    """Step the models in turn."""
    for point in points:
        scenario = load_scenario("calm", point.settings, accounts=point.accounts)
        point.model = MarketModel(scenario, recorder=Recorder("summary"))
        for _ in range(SETTLED):
            point.model.step()
    for _ in range(-(-ticks // TURN)):
        for point in points:
            assert point.model is not None
            point.model.step()  # its memory comes back into the caches
            for _ in range(TURN):
                begin = time.perf_counter()
                point.model.step()
                point.laps.append(time.perf_counter() - begin)
                point.messages += int(point.model.traffic.messages.sum())


def by_accounts(accounts: Sequence[int], ticks: int, fixed: bool) -> list[Point]:
    """Cost against accounts, with a fixed number of active ones or with all of them as active as they are."""
    found = []
    for n in accounts:
        slower = n / ACTIVE if fixed else 1.0
        settings = [f"retail.review_s={REVIEW_S * slower}", f"retail.news_s={NEWS_S * slower}", 'traders="cohort"']
        found.append(Point(n, settings, n))
    timed(found, ticks)
    return found


def by_resting(shares: Sequence[float], accounts: int, ticks: int) -> list[Point]:
    """Cost against resting orders."""
    slower = accounts / ACTIVE
    calm = [f"retail.review_s={REVIEW_S * slower}", f"retail.news_s={NEWS_S * slower}"]
    far = ["retail.stop_distance=0.6", "retail.profit_distance=0.6"]
    found = [
        Point(share, [*calm, *far, f"retail.stop_share={share}", f"retail.profit_share={share}"], accounts)
        for share in shares
    ]
    timed(found, ticks)
    for point in found:
        assert point.model is not None
        point.at = resting(point.model)
    return found


def by_venues(counts: Sequence[int], accounts: int, ticks: int) -> list[Point]:
    """Cost against venues under the same rule book, each of the size of the first."""
    found = []
    for count in counts:
        others = []
        for number in range(2, count + 1):
            rules = {"preset": "binance-2025-10", "name": f"venue-{number}"}
            others.append({"name": f"venue-{number}", "share": 1.0, "venue": rules})
        found.append(Point(count, [f"others={json.dumps(others)}"], accounts))
    timed(found, ticks)
    return found


PANELS = ("accounts", "accounts, all active", "resting orders", "venues")


def draw(found: dict[str, list[Point]], path: Path) -> Path:
    """Three panels, logarithmic both ways."""
    with styled() as colours:
        facts = hardware()
        lines = [
            "Median tick of the scenario “calm” (0.5 s); bars from a quarter to three quarters of the ticks.",
            "In a, black: of all accounts as many act in a tick as of 10,000."
            f" One core of {facts['CPU']}, numba {facts['numba']}.",
        ]
        plate = Plate("What a tick costs as the market grows", lines, 1, 3, colours, panel_in=(3.1, 2.5))
        keys = [
            Key("line", colours.perp, "equally many active"),
            Key("line", colours.long, "all active"),
        ]
        panel(plate, colours, "Accounts", keys, "accounts", [found[PANELS[0]], found[PANELS[1]]])
        panel(plate, colours, "Resting orders", [], "orders resting or waiting", [found[PANELS[2]]])
        keys = [Key("dashes", colours.note, "in proportion")]
        axes = panel(plate, colours, "Venues", keys, "venues, 10,000 accounts each", [found[PANELS[3]]])
        first = found[PANELS[3]][0]
        ends = [first.at, found[PANELS[3]][-1].at]
        axes.plot(ends, [first.ms * end / first.at for end in ends], color=colours.note, linestyle="--", linewidth=1)
        axes.set_xticks([point.at for point in found[PANELS[3]]], [f"{point.at:.0f}" for point in found[PANELS[3]]])
        return save(plate.sheet.figure, path)


def panel(plate: Plate, colours: Palette, title: str, keys: list[Key], across: str, series: list[list[Point]]) -> Any:
    """One panel with its series; the vertical axis is the same in all."""
    axes = plate.panel(title, "ms a tick", "", keys, across)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(0.3, 30)
    axes.set_yticks([0.3, 1, 3, 10, 30], ["0.3", "1", "3", "10", "30"])
    ends = np.log10([series[0][0].at, series[0][-1].at])
    decades = 10.0 ** np.arange(np.ceil(ends[0] - 0.01), np.floor(ends[1] + 0.01) + 1)
    axes.set_xticks(decades, [with_commas(at) for at in decades])
    axes.minorticks_off()
    for points, colour, face in zip(series, (colours.perp, colours.long), (colours.perp, colours.paper), strict=False):
        at, ms = [point.at for point in points], [point.ms for point in points]
        ends = np.array([point.range_ms for point in points]).T
        spread = np.abs(ends - ms)
        axes.errorbar(
            at, ms, yerr=spread, color=colour, marker="o", markersize=5, markerfacecolor=face, linewidth=1.2, capsize=0
        )
    return axes


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print the numbers, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--accounts", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--ticks", type=int, default=150)
    parser.add_argument("--quick", action="store_true", help="small and short: for a first look")
    parser.add_argument("--out", type=Path, metavar="FILE.png", help="draw the picture")
    options = parser.parse_args(words)
    accounts, ticks = ([1_000, 4_000], 10) if options.quick else (options.accounts, options.ticks)
    shares, counts = ([0.0, 1.0], [1, 2]) if options.quick else ([0.0, 0.01, 0.1, 1.0], [1, 2, 4, 8])
    print(described(), flush=True)
    found: dict[str, list[Point]] = {}
    for name in PANELS:
        if name == "resting orders":
            found[name] = by_resting(shares, max(accounts) if options.quick else 200_000, ticks)
        elif name == "venues":
            found[name] = by_venues(counts, 1_000 if options.quick else 10_000, ticks)
        else:
            found[name] = by_accounts(accounts, ticks, fixed=name == "accounts")
        print(f"{name:24}{'ms a tick':>12}{'quartiles':>18}{'messages':>12}{'resting':>12}")
        for point in found[name]:
            low, high = point.range_ms
            assert point.model is not None
            messages = point.messages / len(point.laps)
            print(
                f"{point.at:24,.0f}{point.ms:12.3f}{f'{low:.3f} to {high:.3f}':>18}{messages:12,.0f}"
                f"{resting(point.model):12,}",
                flush=True,
            )
            point.model = None
    if options.out:
        print(f"drawn: {draw(found, options.out)}")


if __name__ == "__main__":
    main()
