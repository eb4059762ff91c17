"""The speed goals beside what is measured: `python -m benchmarks.goals [--quick] [--repeats 3] [--long] [--json FILE]`.

One table: median and range over the repeats, the goal, and whether it is met. Peers run in the same process or, where
they need another numpy, in `--peer-python`, in turn with what they are compared with. `--long` adds the evening with a
million accounts and the day with 100,000 (minutes each). `--docs docs/performance.md` puts the table into that page.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from abm.provenance import git_commit
from benchmarks import book, idle, ladder, margin, others, peers, startup, tick
from benchmarks.machine import described, fill, hardware, load_average

Repeat = Callable[[Callable[[], float]], list[float]]


@dataclass
class Row:
    """One line of the table. `goal` nan: none, it is there to compare."""

    what: str
    unit: str
    values: list[float] = field(default_factory=list)
    goal: float = float("nan")
    most: bool = False
    """The goal is an upper bound."""
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values) if self.values else float("nan")

    @property
    def verdict(self) -> str:
        """Met, or how far away; what was skipped says why."""
        if not self.values or self.goal != self.goal:
            return self.note or "-"
        reached = self.goal / self.median if self.most else self.median / self.goal
        away = f"{1 / reached:.2f} times it" if self.most else f"{reached:.2f} of it"
        said = "met" if reached >= 1 else f"missed: {away}"
        return f"{said}; {self.note}" if self.note else said

    @property
    def cells(self) -> tuple[str, str, str, str]:
        shown = [_number(value) for value in (min(self.values), self.median, max(self.values))] if self.values else []
        measured = f"{shown[1]} ({shown[0]} to {shown[2]}) {self.unit}" if shown else "-"
        bound = "" if self.goal != self.goal else f"{'at most' if self.most else 'at least'} {_number(self.goal)}"
        return self.what, measured, bound, self.verdict


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


@dataclass(frozen=True)
class Amount:
    """How much is measured."""

    quick: bool
    repeats: int
    peer_python: str

    @property
    def messages(self) -> int:
        return 60_000 if self.quick else 1_000_000

    @property
    def accounts(self) -> tuple[int, ...]:
        return (10_000,) if self.quick else (100_000, 1_000_000)

    @property
    def agents(self) -> tuple[int, ...]:
        return (1_000,) if self.quick else (100, 1_000, 10_000)


def books(amount: Amount) -> Iterator[Row]:
    """The book kernel, interleaved with the C++ ladder, and bourse's book on the same stream."""
    works = ladder.workloads(amount.messages, (5_000,) if amount.quick else ladder.RESTING)
    with tempfile.TemporaryDirectory() as folder:
        library = ladder.build(Path(folder))
        if isinstance(library, str):
            for work in works:
                ladder.time_ours(work)
                work.ours = [ladder.time_ours(work) for _ in range(amount.repeats)]
        else:
            ladder.compare(library, works, amount.repeats)
    for work in works:
        name = f"book kernel, {work.name}" + (f", {work.wanted:,} resting orders" if work.wanted else "")
        goal = float(book.GOALS.get(work.wanted, float("nan")))
        yield Row(name, "M messages/s", [work.timed / seconds / 1e6 for seconds in work.ours], goal)
        if isinstance(library, str):
            yield Row("  over the C++ ladder", "", note=library)
        else:
            note = f"same output, {work.agreed}"
            yield Row("  over the C++ ladder", "", work.ratios, ladder.GOAL if work.wanted else float("nan"), note=note)
            yield Row("  the C++ ladder", "M messages/s", [work.timed / seconds / 1e6 for seconds in work.cpp])
    stream = works[0].stream[:200_000]
    rival = book.run_bourse(stream)
    if isinstance(rival, str):
        yield Row("bourse, order by order, W-B", "M messages/s", note=rival)
    else:
        seconds = [rival() for _ in range(amount.repeats)]
        yield Row("  bourse, order by order, W-B", "M messages/s", [stream.size / 2 / s / 1e6 for s in seconds])


def floors(amount: Amount) -> Iterator[Row]:
    """Agents through margin and double entry beside bourse without accounts and plain Mesa without a book."""
    for agents in amount.agents:
        peers.drive(agents, peers.ours(agents))
        mine, rival, plain = [], [], []
        why = ""
        for _ in range(amount.repeats):
            mine.append(peers.MESSAGES / peers.drive(agents, peers.ours(agents)) / 1e6)
            there = peers.bourse(agents)
            if isinstance(there, str):
                why = there
            else:
                rival.append(peers.MESSAGES / peers.drive(agents, there) / 1e6)
            plain.append(peers.MESSAGES / others.drive_mesa(agents) / 1e6)
        yield Row(f"{agents:,} agents (W-A), with margin and ledger", "M messages/s", mine)
        yield Row(
            "  over bourse StepEnvNumpy (no accounts)", "", [a / b for a, b in zip(mine, rival, strict=False)], note=why
        )
        yield Row("  over plain Mesa (no book, no accounts)", "", [a / b for a, b in zip(mine, plain, strict=True)])
    found = [others.pams(amount.peer_python, 100, 200 if amount.quick else 1_000) for _ in range(amount.repeats)]
    orders = [value / 1e3 for value in found if not isinstance(value, str)]
    why = next((value for value in found if isinstance(value, str)), "its own traders on its own book")
    yield Row("  PAMS, 100 agents", "thousand orders/s", orders, note=why)


def ticks(amount: Amount) -> Iterator[Row]:
    """The whole tick."""
    tick.bare(3_000, tick.CRASH_TICKS)
    for accounts in amount.accounts:
        for name, window, more in (
            ("calm", tick.CALM_TICKS, []),
            ("crash", tick.CRASH_TICKS, []),
            ("calm, ten times the makers", tick.CALM_TICKS, tick.DENSE),
        ):
            found = [tick.bare(accounts, window, more) for _ in range(amount.repeats)]
            note = f"{found[0]['messages a tick']:,.0f} messages a tick"
            goal = tick.GOAL.get(accounts, float("nan"))
            what = f"full tick, {accounts:,} accounts, {name}"
            yield Row(what, "M messages/s", [one["M messages/s"] for one in found], goal, note=note)
            yield Row("  one tick, median", "ms", [one["ms a tick, median"] for one in found])


def margins(amount: Amount) -> Iterator[Row]:
    """Accounts crossed by a move of the mark; the full scan, beside the liquidation engine of lrvx."""
    for accounts in amount.accounts:
        found = [margin.measure(accounts) for _ in range(amount.repeats)]
        moves, scans = ([one[name] for one in found] for name in ("1-tick move, us", "full scan, ns an account"))
        yield Row(f"1-tick move of the mark, {accounts:,} accounts", "us", moves, 5.0, most=True)
        yield Row(f"full margin scan, {accounts:,} accounts", "ns an account", scans, 2.5, most=True)
    accounts = 10_000 if amount.quick else 100_000
    mine, rival, why = [], [], ""
    for _ in range(amount.repeats):
        mine.append(others.scan(accounts))
        checks = others.lrvx(amount.peer_python, accounts)
        rival += [] if isinstance(checks, str) else [checks]
        why = checks if isinstance(checks, str) else "before: flox-py; here the full scan"
    ratios = [a / b for a, b in zip(mine, rival, strict=False)]
    yield Row(f"  checks/s over lrvx's liquidation engine, {accounts:,}", "", ratios, note=why)


def starts(amount: Amount) -> Iterator[Row]:
    """Cold and warm start, and the idle tick."""
    exchanges = idle.world(6, 3, 5_000)
    idle.measure(exchanges, 20, False)
    laps = [idle.measure(exchanges, 300, False)["median"] for _ in range(amount.repeats)]
    yield Row("idle tick, 6 venues with 3 instruments", "ms", laps, idle.GOAL_MS, most=True)
    cold: list[float] = []
    warm: list[float] = []
    first: list[float] = []
    names = ("import abm", "import the model (Mesa, Numba)", "build the model", "first tick")
    for _ in range(amount.repeats):
        with tempfile.TemporaryDirectory() as cache:
            if not amount.quick:
                cold.append(startup.whole_command(cache))
            startup.fresh(cache)
            warm.append(sum(startup.fresh(cache)["figures"][name] for name in names))
            if not amount.quick:
                first.append(startup.whole_command(cache))
    yield Row("warm start: new process to the first tick", "s", warm, 3.0, most=True)
    if not amount.quick:
        yield Row("`run october-2025 --accounts 20000`, nothing compiled yet", "s", cold, 30.0, most=True)
        yield Row("  the same, compiled before", "s", first)


def sizes(amount: Amount) -> Iterator[Row]:
    """The evening with a million accounts, and the day."""
    for name, what, goal_s, goal_gb in (
        ("million", "evening of October, 1,000,000 accounts", 120.0, 4.0),
        ("day", "a day of 1-s ticks, 100,000 accounts", 60.0, float("nan")),
    ):
        found = []
        for _ in range(amount.repeats):
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "scale.json"
                subprocess.run([sys.executable, "-m", "benchmarks.scale", name, "--json", str(file)], check=True)
                found.append(json.loads(file.read_text(encoding="utf-8")))
        note = f"{found[0]['messages'] / 1e6:.1f} M messages, conservation exact"
        yield Row(what, "s", [one["wall_s"] for one in found], goal_s, most=True, note=note)
        yield Row("  per message", "M messages/s", [one["messages_per_s"] / 1e6 for one in found])
        yield Row("  peak memory", "GB", [one["peak_mb"] / 1e3 for one in found], goal_gb, most=True)


PARTS = {"books": books, "floors": floors, "ticks": ticks, "margins": margins, "starts": starts, "sizes": sizes}


def table(rows: list[Row]) -> str:
    """The rows as a table of Markdown, columns in line."""
    cells = [("what", "median (range)", "goal", "result"), *(row.cells for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    padded = [[f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)] for line in cells]
    lines = [f"| {' | '.join(line)} |" for line in padded]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def main(words: list[str] | None = None) -> list[dict[str, Any]]:
    """Measure, print and write; the rows as plain data."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="small and once: for a first look")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--long", action="store_true", help="also a million accounts and the day")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="some parts of the table")
    parser.add_argument("--peer-python", default="", help="interpreter that has PAMS and lrvx; empty: this one")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--docs", type=Path, metavar="FILE", help="put the table between the marks of this page")
    options = parser.parse_args(words)
    amount = Amount(options.quick, 1 if options.quick else options.repeats, options.peer_python)
    machine, load = described(), load_average()
    print(machine, flush=True)
    rows: list[Row] = []
    for name in options.only or [part for part in PARTS if part != "sizes" or options.long]:
        print(f"measuring: {name}", file=sys.stderr, flush=True)
        rows += PARTS[name](amount)
    text = table(rows)
    print(text)
    plain = [asdict(row) | {"median": row.median, "verdict": row.verdict} for row in rows]
    if options.json:
        found = {"hardware": hardware(), "load_average": load, "commit": git_commit(), "rows": plain}
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    if options.docs:
        commit = (git_commit() or "unknown")[:7]
        said = f"{machine.replace(chr(10), '; ')}; commit {commit}, {amount.repeats} repeats."
        fill(options.docs, "goals", f"{said}\n\n{text}")
    return plain


if __name__ == "__main__":
    main()
