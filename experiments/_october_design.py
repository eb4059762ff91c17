"""Which runs `october` needs and in which order: seeds in blocks, every part in each block, nothing twice.

A run is known by its event, settings and seed, so that what several groups compare with is run once. Where the run
without a rule shows that the rule had nothing to do (`Idle`), the run with it is the same run: it is not made but
copied, and counted as such. On the first seeds both are made and compared; where they differ nothing is copied.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from experiments._october_options import Options
from experiments._october_parts import ABLATION, BASE, POLICIES, Group, Idle, convergence, critical
from experiments._october_run import RUNNER
from experiments._october_tables import COLUMNS, Row

Key = tuple[str, tuple[str, ...], int]
"""Event, settings, seed."""
TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Cell:
    """A variant on an event: its settings, those of what it is compared with, and how many seeds it wants."""

    part: str
    event: str
    group: str
    variant: str
    settings: tuple[str, ...]
    base: tuple[str, ...]
    seeds: int
    idle: Idle | None = None


def groups_of(options: Options, part: str) -> list[Group]:
    """The groups of a part."""
    if part == "ablation":
        found = [ABLATION]
    elif part == "policies":
        found = [group for group in POLICIES if group.key in options.groups]
    elif part == "convergence":
        found = list(convergence(options.ticks_s, options.rounds, options.numbers))
    else:
        found = []
    return [group.few() for group in found] if options.few else found


@lru_cache(maxsize=16)
def opening(event: str, lead_in_s: float) -> tuple[str, ...]:
    """The setting that begins an event so long before its first news; none where it begins later anyway."""
    from abm.scenario import load_scenario

    scenario = load_scenario(event)
    first = min((scenario.news_seconds(news) for news in scenario.news), default=0.0)
    if lead_in_s <= 0 or first <= lead_in_s:
        return ()
    return (f"start={(scenario.start + timedelta(seconds=first - lead_in_s)).strftime('%Y-%m-%dT%H:%M:%SZ')}",)


def cells_of(options: Options) -> list[Cell]:
    """Everything that is wanted, but for `events`, in order of parts."""
    found = []
    for part in options.parts:
        events = options.events if part in ("ablation", "policies") else [options.scenario]
        most = {"critical": options.critical_seeds, "convergence": options.convergence_seeds}.get(part, options.seeds)
        for group in groups_of(options, part):
            for event in events:
                start, seeds = opening(event, options.lead_in_s), min(most, group.most_seeds)
                base = (*start, *group.base)
                found.append(Cell(part, event, group.key, BASE, base, base, seeds))
                found += [
                    Cell(part, event, group.key, one.name, (*base, *one.settings), base, seeds, one.idle)
                    for one in group.variants
                ]
        if part == "critical":
            start = opening(options.scenario, options.lead_in_s)
            for leverage, depth, settings in critical(options.leverages, options.depths):
                every = (*start, *settings)
                found.append(
                    Cell(part, options.scenario, f"{leverage}", f"{depth:g}", every, every, options.critical_seeds)
                )
    return found


def blocks(options: Options) -> list[range]:
    """Places of the seeds, block after block."""
    sizes = {"events": options.event_seeds, "critical": options.critical_seeds}
    sizes["convergence"] = options.convergence_seeds
    most = max(sizes.get(part, options.seeds) for part in options.parts)
    return [range(first, min(first + options.block, most)) for first in range(0, most, options.block)]


# --- what is there ----------------------------------------------------------------------------------------------------
@dataclass
class Runs:
    """Finished runs by key, and what follows from them."""

    options: Options
    rows: dict[Key, Row] = field(default_factory=dict)
    broken: set[tuple[str, tuple[str, ...]]] = field(default_factory=set)
    """Event and settings of rules that did something where they could do nothing: nothing of them is copied."""

    def seed(self, place: int) -> int:
        """The seed at a place."""
        return self.options.seed + place

    def get(self, cell: Cell, place: int) -> Row | None:
        """The run of a cell, made or copied; None when it is not there yet."""
        row = self.rows.get((cell.event, cell.settings, self.seed(place)))
        return row if row is not None else self.copied(cell, place)

    def copied(self, cell: Cell, place: int) -> Row | None:
        """The run without the rule, where that had nothing to do; measures of the tables only."""
        if cell.idle is None or place < self.options.audited or (cell.event, cell.settings) in self.broken:
            return None
        base = self.rows.get((cell.event, cell.base, self.seed(place)))
        if base is None or base.get("error_type") or not cell.idle.holds(base):
            return None
        return {column.key: base.get(column.key) for column in COLUMNS} | {"copied": True, "error_type": None}

    def missing(self, cells: Sequence[Cell], places: Sequence[int]) -> list[Key]:
        """Runs to make now, in order; a rule that might be idle waits for the run without it."""
        found: dict[Key, None] = {}
        for cell in cells:
            for place in places:
                key = (cell.event, cell.settings, self.seed(place))
                waits = cell.idle is not None and (cell.event, cell.base, self.seed(place)) not in self.rows
                if place < cell.seeds and key not in found and not waits and self.get(cell, place) is None:
                    found[key] = None
        return list(found)

    def audit(self, cells: Sequence[Cell]) -> list[str]:
        """Compare the runs that could have been copied but were made; what differs is copied no more, and named."""
        for cell in cells:
            for place in range(cell.seeds if cell.idle else 0):
                row = self.rows.get((cell.event, cell.settings, self.seed(place)))
                base = self.rows.get((cell.event, cell.base, self.seed(place)))
                good = row is not None and base is not None and not row.get("error_type") and not base.get("error_type")
                if good and cell.idle and cell.idle.holds(base or {}) and differing(base or {}, row or {}):
                    self.broken.add((cell.event, cell.settings))
        return [f"{c.variant} ({c.group}, {c.event})" for c in cells if (c.event, c.settings) in self.broken]

    def table_rows(self, cells: Sequence[Cell]) -> list[Row]:
        """The finished runs of these cells with event, group, variant and seed."""
        return [
            {**row, "event": cell.event, "group": cell.group, "variant": cell.variant, "seed": self.seed(place)}
            for cell in cells
            for place in range(cell.seeds)
            if (row := self.get(cell, place)) is not None
        ]


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Measures of the tables in which two runs differ."""
    found = []
    for column in COLUMNS:
        a, b = one.get(column.key), other.get(column.key)
        if (a is None) != (b is None) or (a is not None and abs(a - b) > TOLERANCE * max(1.0, abs(a))):
            found.append(column.key)
    return found


# --- runs on the sweep engine -----------------------------------------------------------------------------------------
def study(options: Options, keys: Sequence[Key]) -> dict[str, Any]:
    """Fields of a study of the sweep engine: these runs, in this order."""
    columns: dict[str, list[Any]] = {
        "scenario": [event for event, _, _ in keys],
        "settings": [list(settings) for _, settings, _ in keys],
        "draw": [seed for _, _, seed in keys],
        **{name: [value] * len(keys) for name, value in options.common.items()},
    }
    return {
        "name": "october",
        "title": "October: variants on common seeds",
        "runner": RUNNER,
        "design": "list",
        "vary": [{"path": path, "values": values} for path, values in columns.items()],
        "limit_s": options.limit_s,
        "seed": 0,  # the seeds are values: `draw`
    }


def stored(options: Options, folder: Path) -> dict[Key, Row]:
    """The finished runs of a folder that were made with these sources and these common values."""
    from abm.sweep.worker import code_hash
    from experiments._studies import finished_rows

    code, common, found = code_hash(RUNNER)[:16], options.common, {}
    for row in finished_rows(folder):
        if row["code"] == code and all(row.get(name) == value for name, value in common.items()):
            found[(row["scenario"], tuple(json.loads(row["settings"])), int(row["draw"]))] = row
    return found


# --- how long ---------------------------------------------------------------------------------------------------------
def seconds_of(options: Options, settings: Sequence[str]) -> float:
    """CPU seconds of a run, roughly: what single runs took on one core of the machine of `docs/results.md`."""
    from abm.scenario import load_scenario

    given = dict(one.split("=", 1) for one in settings)
    tick_s = float(given.get("tick_s", options.tick_s or load_scenario(options.scenario).tick_s))
    accounts = float(given.get("accounts", options.accounts))
    length_s = options.duration_s or load_scenario(options.scenario).duration_s
    return _seconds(length_s, tick_s, accounts)


def _seconds(length_s: float, tick_s: float, accounts: float) -> float:
    """Fitted to evenings of October with 20,000 to a million accounts; how the tick enters is an older measurement."""
    return 0.5 + length_s * (1.15e-3 / tick_s + 0.86e-3) * (1 + accounts / 540_000)


def planned(options: Options) -> dict[str, tuple[int, float]]:
    """Runs and CPU hours of each part, none copied; a run that two parts share counts for the first."""
    seen: set[Key] = set()
    found = {}
    for part in options.parts:
        runs, seconds = 0, 0.0
        if part == "events":
            runs = options.event_seeds * len(options.held)
            seconds = sum(event_seconds(options, event) for event in options.held) * options.event_seeds
        for cell in (cell for cell in cells_of(options) if cell.part == part):
            new = {(cell.event, cell.settings, place) for place in range(cell.seeds)} - seen
            seen |= new
            runs += len(new)
            seconds += len(new) * seconds_of(options, cell.settings)
        found[part] = (runs, seconds / 3600)
    return found


def event_seconds(options: Options, event: str) -> float:
    """CPU seconds of a whole day."""
    from abm.scenario import load_scenario

    scenario = load_scenario(event)
    tick_s = options.tick_s or scenario.tick_s
    return _seconds(scenario.duration_s, tick_s, options.accounts)


def cost_text(options: Options) -> str:
    """Runs and CPU hours of each part in words."""
    lines = [f"  {part:<12}{runs:>8,} runs {hours:>7.1f} CPU h" for part, (runs, hours) in planned(options).items()]
    runs, hours = (sum(column) for column in zip(*planned(options).values(), strict=True))
    return "\n".join([
        *lines,
        f"  {'all':<12}{runs:>8,} runs {hours:>7.1f} CPU h at most: rules that had nothing to do are not run",
    ])  # fmt: skip
