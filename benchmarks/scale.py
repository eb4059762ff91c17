"""Full size: `python -m benchmarks.scale million|day|month|soak [--twice] [--ticks N] [--json FILE]`.

| | what | goal |
|--|--|--|
| `million` | the evening of October 2025, 1,000,000 accounts (or `--scenario october-2025-venues`) | 120 s, 4 GB |
| `day` | 86,400 ticks of one second, 100,000 accounts, as many messages as the market makes | 60 s, flat |
| `month` | thirty days in ticks of ten seconds | none |
| `soak` | 100 million messages | memory slope zero within its error |

The model is audited in every tick, as always: a lost unit ends the run. At the end all money is counted once more, in
whole numbers without bound. Events (level `fills`) are hashed and written to a folder that is removed afterwards
(`soak`: hashed only, and what a run keeps of each tick by design is dropped, so that what grows is a leak). `--twice`
does it again in a new process and compares the hashes. Compiling is not counted: a small model runs first.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm import MarketModel
from abm.recorder import Recorder
from abm.results import RunWriter
from abm.scenario import Scenario, load_scenario
from abm.state import NOBODY
from benchmarks.machine import described, fill, hardware, load_average, peak_mb, resident_mb, slope

PROGRESS_S = 10.0
DAY_S, HOUR_S = 86_400, 3_600
SOAK_TICKS = 2_000_000
"""More ticks than 100 million messages need."""


@dataclass(frozen=True)
class Size:
    """One of the runs."""

    scenario: str
    accounts: int | None
    settings: tuple[str, ...] = ()
    messages: float = float("inf")
    to_disk: bool = True
    sample_s: float = HOUR_S
    """Simulated seconds between two looks at the memory, less in short trials."""
    goal_s: float = float("nan")
    goal_mb: float = float("nan")


SIZES = {
    "million": Size("october-2025", 1_000_000, sample_s=100, goal_s=120, goal_mb=4_000),
    "day": Size("calm", 100_000, (f"duration_s={DAY_S}", "tick_s=1"), goal_s=60),
    "month": Size("calm-month", None),
    "soak": Size("calm", 20_000, (f"duration_s={SOAK_TICKS}", "tick_s=1"), messages=1e8, to_disk=False, sample_s=50),
}


class Digest:
    """SHA-256 of all that a run handed over."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()
        self.events = 0
        self.seconds = 0.0

    def add(self, rows: NDArray[np.void]) -> None:
        """Count rows of events in; field by field, so that padding does not matter."""
        begin = time.perf_counter()
        self.events += rows.size
        for name in rows.dtype.names or ():
            self.sha256.update(np.ascontiguousarray(rows[name]))
        self.seconds += time.perf_counter() - begin


class Hashed(Recorder):
    """Hashes events and keeps nothing."""

    def __init__(self) -> None:
        super().__init__("fills")
        self.digest = Digest()

    def events(self, rows: NDArray[np.void]) -> None:
        self.digest.add(rows)

    def step(self, row: Mapping[str, float] | NDArray[np.void] | np.void) -> None:
        self.digest.sha256.update(repr(row).encode())


class HashedOnDisk(RunWriter):
    """Writes a run folder and hashes the events on the way."""

    def __init__(self, out: Path, scenario: Scenario) -> None:
        named = {"name": scenario.name, "title": scenario.title, "seed": scenario.seed}
        super().__init__(out, scenario=scenario.resolved(), level="fills", **named)
        self.digest = Digest()

    def events(self, rows: NDArray[np.void]) -> None:
        self.digest.add(rows)
        super().events(rows)


@dataclass
class Progress:
    """Samples of a run while it goes on."""

    ticks: int
    begun: float = field(default_factory=time.perf_counter)
    said: float = field(default_factory=time.perf_counter)
    messages: int = 0
    samples: list[tuple[float, float, float]] = field(default_factory=list)
    """(simulated seconds, messages, resident MB)."""

    def sample(self, model: MarketModel) -> None:
        self.samples.append((model.tick * model.setup.tick_s, self.messages, resident_mb()))

    def say(self, model: MarketModel, always: bool = False) -> None:
        """A line every so many seconds."""
        now = time.perf_counter()
        if always or now - self.said >= PROGRESS_S:
            self.said, spent = now, now - self.begun
            rate = self.messages / spent / 1e6
            print(
                f"{spent:7.1f} s  tick {model.tick:,} of {self.ticks:,}  {self.messages / 1e6:,.2f} M messages"
                f"  {rate:.2f} M/s  {1e3 * spent / max(model.tick, 1):.2f} ms a tick  {resident_mb():,.0f} MB",
                flush=True,
            )


def recount(model: MarketModel) -> list[str]:
    """What does not add up, counted in whole numbers without bound; [] = every unit and lot is there."""
    accounts, markets, problems = model.accounts, model.markets, []
    for venue in np.unique(markets.venue).tolist():
        rows = accounts.venue == venue
        money = [sum(cash[rows].tolist()) for cash in accounts.cash]
        for slot, perp in enumerate(model.floor.perp_of_slot[venue].tolist()):
            if perp != NOBODY:
                tied = sum(accounts.margin[slot, rows].tolist()) - sum(accounts.entry_cost[slot, rows].tolist())
                money[int(markets.settle[perp])] += tied
                lots = sum(accounts.position[slot, rows].tolist())
                problems += [f"venue {venue}, slot {slot}: {lots} lots too many"] if lots else []
        problems += [f"venue {venue}, asset {asset}: {units} units" for asset, units in enumerate(money) if units]
    return problems


def simulate(model: MarketModel, progress: Progress, messages: float, every: int, keep: bool) -> None:
    """Step until the ticks or the messages are reached; a sample every so many ticks."""
    for tick in range(1, progress.ticks + 1):
        model.step()
        progress.messages += int(model.traffic.messages.sum())
        if tick % every == 0:
            progress.sample(model)
            if not keep:
                for values in model.datacollector.model_vars.values():
                    values.clear()
        progress.say(model)
        if progress.messages >= messages:
            break


def measure(size: Size, scenario: Scenario, ticks: int, messages: float) -> dict[str, Any]:
    """Run it; its figures."""
    every = max(1, min(round(size.sample_s / scenario.tick_s), ticks // 50))
    with tempfile.TemporaryDirectory() as folder:
        recorder = HashedOnDisk(Path(folder) / "run", scenario) if size.to_disk else Hashed()
        begun, cpu = time.perf_counter(), time.process_time()
        model = MarketModel(scenario, recorder=recorder)
        opened = time.perf_counter() - begun
        print(f"{opened:7.1f} s  opened: {model.accounts.rows:,} account rows, {resident_mb():,.0f} MB", flush=True)
        progress = Progress(ticks, begun)
        progress.sample(model)
        simulate(model, progress, messages, every, size.to_disk)
        recorder.closing(model.accounts)
        if isinstance(recorder, HashedOnDisk):
            recorder.close_data()
        wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
        progress.say(model, always=True)
        disk = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    problems = recount(model)
    if problems:
        raise AssertionError(f"does not add up: {'; '.join(problems)}")
    taken = np.array(progress.samples)
    settled = taken[max(1, len(taken) // 10) :]  # buffers grow to their size in the first tenth
    grows, error = slope(settled[:, 1] / 1e6, settled[:, 2])
    return {
        "scenario": scenario.name,
        "accounts": scenario.accounts,
        "rows": model.accounts.rows,
        "ticks": model.tick,
        "tick_s": scenario.tick_s,
        "messages": progress.messages,
        "events": recorder.digest.events,
        "wall_s": wall,
        "cpu_s": cpu,
        "opening_s": opened,
        "hash_s": recorder.digest.seconds,
        "messages_per_s": progress.messages / wall,
        "ms_a_tick": 1e3 * (wall - opened) / model.tick,
        "peak_mb": peak_mb(),
        "disk_mb": disk / 1e6,
        "mb_per_million_messages": grows,
        "mb_per_million_messages_se": error,
        "sha256": recorder.digest.sha256.hexdigest(),
        "adds_up": True,
        "samples": progress.samples,
    }


def said(found: Mapping[str, Any], size: Size) -> str:
    """The figures as lines."""
    goal = f" (goal {size.goal_s:.0f})" if size.goal_s == size.goal_s else ""
    most = f" (goal {size.goal_mb:,.0f})" if size.goal_mb == size.goal_mb else ""
    hours = found["samples"]
    shown = [hours[i] for i in np.unique(np.linspace(0, len(hours) - 1, 13).astype(int))]
    return "\n".join(
        [
            f"{found['scenario']}, {found['accounts']:,} accounts, {found['ticks']:,} ticks of {found['tick_s']} s",
            f"wall {found['wall_s']:.1f} s{goal}, of which opening {found['opening_s']:.1f}; "
            f"CPU {found['cpu_s']:.1f} s, of which hashing {found['hash_s']:.1f}; {found['ms_a_tick']:.2f} ms a tick",
            f"{found['messages']:,} messages, {found['messages_per_s'] / 1e6:.2f} million/s; "
            f"{found['events']:,} events, {found['disk_mb']:.0f} MB on disk",
            f"peak memory {found['peak_mb']:,.0f} MB{most}; after the first tenth it grows by "
            f"{found['mb_per_million_messages']:.3f} MB a million messages, standard error "
            f"{found['mb_per_million_messages_se']:.3f}",
            "memory, MB at simulated hour: " + ", ".join(f"{mb:,.0f} at {s / HOUR_S:.1f}" for s, _, mb in shown),
            "conservation: audited in every tick, all accounts in every 60th, and recounted at the end: exact",
            f"SHA-256 of the events {found['sha256']}",
        ]
    )


def again(arguments: Sequence[str], first: Mapping[str, Any]) -> dict[str, Any]:
    """The same in a new process; raises AssertionError when its events are others."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "second.json"
        subprocess.run([sys.executable, "-m", "benchmarks.scale", *arguments, "--json", str(file)], check=True)
        second: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if second["sha256"] != first["sha256"]:
        raise AssertionError(f"two runs differ: {first['sha256']} and {second['sha256']}")
    print(f"identical in two processes: {first['events']:,} events; the second took {second['wall_s']:.1f} s")
    return second


def warm(scenario: Scenario) -> None:
    """Compile, or load, what the run needs."""
    small = scenario.changed({"accounts": 3_000})
    model = MarketModel(small, recorder=Recorder("fills"))
    for _ in range(min(130, small.ticks)):
        model.step()
    del model
    gc.collect()


def arguments_of(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("size", choices=SIZES, nargs="?", help="none: say what there is")
    parser.add_argument("--scenario", help="another one")
    parser.add_argument("--accounts", type=int)
    parser.add_argument("--set", action="append", default=[], metavar="a.b=v", help="change one value of the scenario")
    parser.add_argument("--ticks", type=int, help="stop after so many")
    parser.add_argument("--messages", type=float, help="stop after so many")
    parser.add_argument("--twice", action="store_true", help="again in a new process; the events must be the same")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument(
        "--docs", type=Path, metavar="FILE", help="also put the figures between their marks in this file"
    )
    options = parser.parse_args(words)
    if options.size is None:
        parser.print_help()
    return options


def main(words: Sequence[str] | None = None) -> None:
    """Run one of the sizes and print its figures."""
    options = arguments_of(words)
    if options.size is None:
        return
    size: Size = SIZES[options.size]
    scenario = load_scenario(
        options.scenario or size.scenario, [*size.settings, *options.set], accounts=options.accounts or size.accounts
    )
    machine, load = described(), load_average()
    print(machine, flush=True)
    begun = time.perf_counter()
    warm(scenario)
    print(f"compiled or loaded in {time.perf_counter() - begun:.1f} s", flush=True)
    ticks = min(options.ticks or scenario.ticks, scenario.ticks)
    found = measure(size, scenario, ticks, options.messages or size.messages)
    print(said(found, size), flush=True)
    if options.twice:
        given = list(sys.argv[1:] if words is None else words)
        second = again([word for n, word in enumerate(given) if word != "--twice" and not _of_file(given, n)], found)
        found["second"] = {name: second[name] for name in ("wall_s", "cpu_s", "peak_mb", "sha256")}
    if options.docs:
        mark = "-".join(word for word in (options.size, options.scenario) if word)
        twice = (
            f"\nidentical in two processes; the second took {found['second']['wall_s']:.1f} s" if options.twice else ""
        )
        fill(options.docs, mark, f"```text\n{machine}\n\n{said(found, size)}{twice}\n```")
    if options.json:
        found |= {"size": options.size, "hardware": hardware(), "load_average": load}
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


def _of_file(words: Sequence[str], n: int) -> bool:
    """Whether a word names a file to write."""
    names = ("--json", "--docs")
    return words[n].startswith(names) or (n > 0 and words[n - 1] in names)


if __name__ == "__main__":
    main()
