"""Speed of the whole tick: `python -m benchmarks.tick [--accounts N ...] [--quick] [--everyone]` prints a table.

Decisions, admission, matching, ledger, stops, marks, liquidations, audit and records of `october-2025`, events at level
`fills` kept in memory, on a calm stretch and through a shock of 12 %. The phases are timed by wrapping the model's
methods; their cost is inside the tick's. A phase counts what it does itself: `mark` without the trade, and so on.
`--dense` has ten times as many makers, and so seven times the messages. `--everyone` brings in every kind of
participant and habit that `who-matters` knows and October has not, and times each kind's decisions.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from abm import MarketModel
from abm.recorder import Recorder
from abm.scenario import Scenario, load_scenario
from benchmarks.machine import described, fill
from experiments._who_kinds import KINDS

GOAL = {10_000: 3.0, 100_000: 3.0, 1_000_000: 2.0}
"""Million messages a second (DESIGN, speed goals)."""
SHOCK = {"name": "shock", "at": "20:42:00", "over_s": 10, "change_percent": -12}
DENSE = ["makers.count=200"]
"""Ten times as many makers with a tenth of the depth each, hence messages."""
CALM_TICKS, CRASH_TICKS = (60, 210), (245, 395)


class Clock:
    """Adds up the time of wrapped methods."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def wrap(self, owner: Any, method: str, phase: Callable[..., str] | str) -> None:
        inner = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            begin = time.perf_counter()
            try:
                return inner(*args, **kwargs)
            finally:
                name = phase if isinstance(phase, str) else phase(*args)
                self.seconds[name] += time.perf_counter() - begin

        setattr(owner, method, timed)


def instrument(model: MarketModel) -> Clock:
    clock = Clock()
    people = model.people
    clock.wrap(model, "decide", lambda asked: "decide, people" if asked is people else "decide, machines")
    clock.wrap(model, "trade", lambda *_: "trade")
    for method in ("mark", "liquidate", "absorb", "fund"):
        clock.wrap(model.exchanges, method, method)
    for owner, method, phase in (
        (model.floor, "_order", "order"),
        (model.floor, "_admit", "admit"),
        (model.books, "match", "match"),
        (model.floor, "_post", "post"),
        (model.floor, "_log_trade", "events"),
        (model.exchanges, "rebucket", "rebucket"),
    ):
        if hasattr(owner, method):  # parts of the trade, by what they are called inside
            clock.wrap(owner, method, f"  trade: {phase}")
    for one in model.people + model.machines:
        name = getattr(one, "name", "") or type(one).__name__
        if hasattr(one, "decide"):
            clock.wrap(one, "decide", f"  decide: {name}")
    for method in ("advance_world", "audit", "record", "review_institutions"):
        clock.wrap(model, method, method.replace("_", " "))
    return clock


def everyone() -> list[str]:
    """Settings that bring in all that October has not."""
    settings, participants = [], []
    for kind in KINDS:
        for setting in () if kind.part else kind.settings:
            if setting.startswith("participants="):
                participants += json.loads(setting.partition("=")[2])
            elif not kind.name.startswith("bots"):  # they would take positions from the others
                settings.append(setting)
    return [*settings, f"participants={json.dumps(participants)}"]


def setup(accounts: int, more: Sequence[str]) -> Scenario:
    """October with a shock instead of its news."""
    return load_scenario("october-2025", more, accounts=accounts).changed(news=[SHOCK])


def started(accounts: int, window: tuple[int, int], more: Sequence[str]) -> tuple[MarketModel, Recorder]:
    """A model at the beginning of a window of ticks, and its recorder."""
    recorder = Recorder("fills")
    model = MarketModel(setup(accounts, more), recorder=recorder)
    for _ in range(window[0]):
        model.step()
    return model, recorder


def bare(accounts: int, window: tuple[int, int], more: Sequence[str] = ()) -> dict[str, float]:
    """Figures of the ticks in a window, nothing wrapped."""
    model, recorder = started(accounts, window, more)
    laps = [time.perf_counter()]
    for _ in range(*window):
        model.step()
        laps.append(time.perf_counter())
    seconds, ticks = laps[-1] - laps[0], len(laps) - 1
    steps = recorder.steps_array[window[0] :]
    messages = int(steps["messages"].sum())
    return {
        "ms a tick": 1e3 * seconds / ticks,
        "ms a tick, median": 1e3 * statistics.median(np.diff(laps)),
        "messages a tick": messages / ticks,
        "rounds a tick": float(steps["rounds"].mean()),
        "fills a tick": float(steps["fills"].mean()),
        "accounts forced": float(steps["liquidated_long_accounts"].sum()),
        "M messages/s": messages / seconds / 1e6,
    }


def phases(accounts: int, window: tuple[int, int], more: Sequence[str] = ()) -> dict[str, float]:
    """Milliseconds a tick of each phase, and `all`, in a window of ticks."""
    model, _ = started(accounts, window, more)
    clock = instrument(model)
    begin = time.perf_counter()
    for _ in range(*window):
        model.step()
    spent = {"all": time.perf_counter() - begin} | clock.seconds
    return {phase: 1e3 * seconds / (window[1] - window[0]) for phase, seconds in spent.items()}


def measure(accounts: int, window: tuple[int, int], more: Sequence[str]) -> dict[str, float]:
    """Figures of the ticks in a window, twice: bare for the totals, instrumented for the phases."""
    spent = phases(accounts, window, more)
    return bare(accounts, window, more) | {f"  {phase}, ms": found for phase, found in spent.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--accounts", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--quick", action="store_true", help="10,000 accounts only")
    parser.add_argument("--everyone", action="store_true", help="with every kind of participant and habit")
    parser.add_argument("--dense", action="store_true", help="ten times as many makers: what one more message costs")
    parser.add_argument("--docs", type=Path, metavar="FILE", help="also put the table between its marks in this file")
    options = parser.parse_args()
    more = everyone() if options.everyone else []
    more += DENSE if options.dense else []
    sizes = [10_000] if options.quick else options.accounts
    model = MarketModel(setup(sizes[0], more), recorder=Recorder("fills"))
    for _ in range(CRASH_TICKS[0] + 10):  # compiles, or loads, everything
        model.step()
    columns = {
        f"{n:,} {name}": measure(n, window, more)
        for n in sizes
        for name, window in (("calm", CALM_TICKS), ("crash", CRASH_TICKS))
    }
    names = list(dict.fromkeys(key for figures in columns.values() for key in figures))
    table = [f"{'':34}" + "".join(f"{name:>17}" for name in columns)]
    for name in names:
        table.append(f"{name:34}" + "".join(f"{figures.get(name, np.nan):17,.3f}" for figures in columns.values()))
    print("\n".join(table))
    if options.docs:
        fill(options.docs, "tick", "\n".join(["```text", described(), "", *table, "```"]))
    print(f"goal, M messages/s: {', '.join(f'{GOAL.get(n, np.nan)} at {n:,}' for n in sizes)}")
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


if __name__ == "__main__":
    main()
