"""October 2025 in full: events, ablation, critical point, policies, resolution, on common seeds.

One command makes all tables and pictures again. Every part is a study of the sweep engine in its own folder below
`folder`: runs are kept, the same call goes on where it was left. Differences are paired over common seeds, with
bootstrap intervals of the mean; the draws are keyed, so that everybody has the same luck in both runs of a pair.
What got clearly worse is listed for every policy, wanted or not.

    deleverage experiment october --quick
    deleverage experiment october --full --set parts='["policies"]' --set groups='["fund"]'
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from abm.parameters import Parameters, quantity
from abm.provenance import finite
from abm.sweep.parts import write_synced
from experiments._october_events import EVENTS, draw_events, event_text, held_against
from experiments._october_figure import draw_critical, draw_group
from experiments._october_parts import ABLATION, BASE, DEPTHS, LEVERAGES, POLICIES, Group, convergence, critical
from experiments._october_run import RUNNER
from experiments._october_tables import Row, errors_of, group_table, group_text, number, values_of
from experiments._studies import finished

PARTS = ("events", "ablation", "critical", "policies", "convergence")
SLOW = True
QUICK = {
    "accounts": 2_500,
    "seeds": 2,
    "critical_seeds": 1,
    "duration_s": 2_400,
    "tick_s": 10,
    "few": True,
    "leverages": (5, 100),
    "depths": (260, 2_090),
    "ticks_s": (5.0,),
    "rounds": (1,),
    "numbers": (2_200,),
    "held": ("october-2025", "september-2025"),
    "event_seeds": 1,
    "folder": "runs/october-quick",
}
FULL = {"event_seeds": 50, "seeds": 100, "critical_seeds": 20, "numbers": (2_000, 5_000, 20_000, 100_000, 300_000)}


class Options(Parameters):
    """What is run. A run of October takes 8 to 15 s with 5,000 accounts; `policies` alone has about 130 points."""

    parts: tuple[str, ...] = Field(PARTS, description="of events, ablation, critical, policies, convergence")
    groups: tuple[str, ...] = Field(tuple(group.key for group in POLICIES), description="groups of policies")
    scenario: str = Field("october-2025", description="packaged name or file")
    other: str = Field("september-2025", description="second event, for ablation and policies; empty: none")
    held: tuple[str, ...] = Field(EVENTS, description="scenarios that `events` holds against what was measured")
    accounts: int = quantity(5_000, unit="accounts", source="granularity only", ge=50, le=5_000_000)
    seeds: int = quantity(20, unit="pairs", source="chosen", ge=1, le=10_000)
    event_seeds: int = quantity(10, unit="runs an event", source="chosen", ge=1, le=10_000)
    critical_seeds: int = quantity(5, unit="runs a point", source="chosen", ge=1, le=10_000)
    seed: int = quantity(1, unit="-", source="first of the common seeds", ge=0)
    duration_s: float = quantity(0.0, unit="s", source="0: as the scenario has it", ge=0)
    tick_s: float = quantity(0.0, unit="s", source="0: as the scenario has it", ge=0)
    few: bool = Field(False, description="only the first and the last variant of each group")
    leverages: tuple[int, ...] = quantity(LEVERAGES, unit="x", source="chosen", text="highest leverage")
    depths: tuple[float, ...] = quantity(DEPTHS, unit="BTC within 1 %", source="chosen", text="depth of the makers")
    ticks_s: tuple[float, ...] = quantity((0.25, 0.5, 2.0, 5.0), unit="s", source="chosen", text="other tick lengths")
    rounds: tuple[int, ...] = quantity((1, 2, 4, 16, 32), unit="rounds", source="chosen", text="other caps on rounds")
    numbers: tuple[int, ...] = quantity(
        (2_000, 20_000, 100_000), unit="accounts", source="chosen", text="other numbers"
    )
    processes: int = quantity(2, unit="processes", source="a small machine", ge=1, le=256)
    folder: str = Field("runs/october", description="where runs, tables and pictures of the parts are kept")

    @model_validator(mode="after")
    def _known(self) -> Options:
        from abm.settings import nearest

        keys = [group.key for group in POLICIES]
        lines = [f"parts: no part {one!r}{nearest(one, PARTS)}" for one in self.parts if one not in PARTS]
        lines += [f"groups: no group {one!r}{nearest(one, keys)}" for one in self.groups if one not in keys]
        if not self.parts or len(set(self.parts)) < len(self.parts):
            lines.append("parts: name at least one, each once")
        for name in ("leverages", "depths"):
            if len(set(getattr(self, name))) < 2:
                lines.append(f"{name}: at least two, each once")
        if self.scenario == self.other:
            lines.append("other: the same scenario")
        if lines:
            raise ValueError("; ".join(lines))
        return self

    @property
    def events(self) -> list[str]:
        """The scenarios that ablation and policies are run on."""
        return [self.scenario, *([self.other] if self.other else [])]


# --- studies ----------------------------------------------------------------------------------------------------------
Point = tuple[str, str, str, list[str]]
"""Event, group, variant, settings."""


def study(options: Options, name: str, points: Sequence[Point], seeds: int) -> dict[str, Any]:
    """Fields of a study of the sweep engine: these points side by side, on common seeds."""
    columns = list(zip(*points, strict=True))
    names = ("event", "group", "variant", "settings")
    return {
        "name": f"october-{name}",
        "title": f"October: {name}",
        "runner": RUNNER,
        "set": {"accounts": options.accounts, "duration_s": options.duration_s, "tick_s": options.tick_s},
        "design": "list",
        "vary": [
            {"path": "scenario", "values": list(columns[0])},
            *({"path": path, "values": list(column)} for path, column in zip(names, columns, strict=True)),
        ],
        "replicates": seeds,
        "seed": options.seed,
    }


def group_points(groups: Sequence[Group], events: Sequence[str]) -> list[Point]:
    """Every group on every event, first as it is, then its variants."""
    return [
        (event, group.key, name, [*group.base, *settings])
        for event in events
        for group in groups
        for name, settings in [(BASE, ()), *((variant.name, variant.settings) for variant in group.variants)]
    ]


def groups_of(options: Options, part: str) -> list[Group]:
    """The groups of a part."""
    if part == "ablation":
        found = [ABLATION]
    elif part == "policies":
        found = [group for group in POLICIES if group.key in options.groups]
    else:
        found = list(convergence(options.ticks_s, options.rounds, options.numbers))
    return [group.few() for group in found] if options.few else found


# --- the experiment ---------------------------------------------------------------------------------------------------
def run(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """Each part in turn; its tables are written to its folder as soon as they are there."""
    parts: dict[str, Any] = {}
    for part in options.parts:
        say(f"part {part}")
        folder = Path(options.folder) / part
        parts[part] = _part(options, part, folder, say)
        folder.mkdir(parents=True, exist_ok=True)
        write_synced(folder / "tables.json", (json.dumps(finite(parts[part]), indent=1) + "\n").encode())
        draw_part(part, parts[part], folder)
    errors = [table["error"] for part in parts.values() for table in part["tables"] if table["error"]]
    return {
        "seeds": options.seeds,
        "accounts": options.accounts,
        "parts": parts,
        "error": "; ".join(errors),
    }


def _part(options: Options, part: str, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    if part == "critical":
        return _critical(options, say)
    if part != "events":
        return _grouped(options, part, say)
    # Whole days, whatever `duration_s` says: a run that ends before the fall cannot be held against it.
    settings = {"accounts": options.accounts, **({"tick_s": options.tick_s} if options.tick_s else {})}
    seeds = options.event_seeds
    tables = held_against(options.held, settings, seeds, options.seed, options.processes, folder, say)
    return {"words": _world(options, seeds), "tables": tables}


def _grouped(options: Options, part: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Ablation, policies, convergence: groups of variants against their base."""
    groups = groups_of(options, part)
    events = options.events if part != "convergence" else options.events[:1]
    points = group_points(groups, events)
    folder = Path(options.folder) / part
    rows = finished(study(options, part, points, options.seeds), folder, options.processes, say)
    tables = [group_table(rows, group, event) for group in groups for event in events]
    return {"words": _world(options, options.seeds), "tables": tables}


def _critical(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """Multiplier and branching ratio over leverage and depth, beside the oracle."""
    event = options.scenario
    points: list[Point] = [
        (event, f"{most}", f"{depth:g}", list(settings))
        for most, depth, settings in critical(options.leverages, options.depths)
    ]
    folder = Path(options.folder) / "critical"
    rows = finished(study(options, "critical", points, options.critical_seeds), folder, options.processes, say)
    keys = ("multiplier", "branching_ratio", "fall_percent", "mean_field_n", "bad_debt_usd")
    table = []
    for _, leverage, depth, _ in points:
        mine = [row for row in rows if row["group"] == leverage and row["variant"] == depth]
        means = {key: _mean(mine, key) for key in keys}
        n = means["mean_field_n"]
        oracle = None if n is None or n >= 1 else 1 / (1 - n)
        table.append({"leverage": int(leverage), "depth_btc": float(depth), **means, "mean_field_multiplier": oracle})
    found = {
        "event": event,
        "rows": table,
        "runs": len(rows),
        "seeds": options.critical_seeds,
        "error": errors_of(rows),
    }
    found["crossings"] = {key: _crossing(table, key) for key in ("branching_ratio", "mean_field_n")}
    return {"words": _world(options, options.critical_seeds), "tables": [found]}


def _mean(rows: Sequence[Row], key: str) -> float | None:
    values = values_of(rows, key)
    return float(values.mean()) if values.size else None


def _crossing(table: Sequence[Row], key: str) -> list[Row]:
    """For each leverage the depth (BTC) below which a ratio is above one, between points as on a log scale.

    None: it is above one nowhere (`above` False) or everywhere (True).
    """
    found = []
    for leverage in sorted({row["leverage"] for row in table}):
        mine = [row for row in table if row["leverage"] == leverage and row[key] is not None]
        mine.sort(key=lambda row: -row["depth_btc"])
        depth: float | None = None
        for thick, thin in pairwise(mine):
            if thick[key] < 1 <= thin[key]:
                share = (1 - thick[key]) / (thin[key] - thick[key])
                depth = float(np.exp((1 - share) * np.log(thick["depth_btc"]) + share * np.log(thin["depth_btc"])))
                break
        found.append({"leverage": leverage, "depth_btc": depth, "above": bool(mine) and mine[0][key] >= 1})
    return found


def _world(options: Options, seeds: int) -> str:
    tick = f", ticks of {options.tick_s:g} s" if options.tick_s else ""
    return f"{options.accounts:,} accounts{tick}, {seeds} common seed{'s' if seeds > 1 else ''}"


# --- words and pictures -----------------------------------------------------------------------------------------------
def text(results: Mapping[str, Any]) -> str:
    """All tables as plain lines."""
    lines = []
    for name, part in results["parts"].items():
        lines.append(f"--- {name}: {part['words']}")
        for table in part["tables"]:
            worded = {"critical": critical_text, "events": event_text}.get(name, group_text)
            lines.append(worded(table))
    return "\n".join(lines)


def critical_text(table: Mapping[str, Any]) -> str:
    """The points, and where each ratio crosses one."""
    heads = ("leverage", "depth, BTC", "fall/news", "branching", "oracle n", "1/(1-n)")
    keys = ("leverage", "depth_btc", "multiplier", "branching_ratio", "mean_field_n", "mean_field_multiplier")
    lines = ["  " + "".join(f"{head:>12}" for head in heads)]
    lines += ["  " + "".join(f"{number(row[key]):>12}" for key in keys) for row in table["rows"]]
    for key, words in (("branching_ratio", "branching ratio"), ("mean_field_n", "oracle n")):
        places = [
            f"{one['leverage']}x "
            + (f"{one['depth_btc']:,.0f} BTC" if one["depth_btc"] else "all" if one["above"] else "-")
            for one in table["crossings"][key]
        ]
        lines.append(f"  {words} above one below a depth of: {', '.join(places)}")
    return "\n".join(lines)


def draw_part(part: str, found: Mapping[str, Any], folder: Path) -> list[Path]:
    """The pictures of a part, one a group or event; the files."""
    if part == "events":
        return draw_events(found["tables"], folder)
    if part == "critical":
        return [draw_critical(found["tables"][0], [f"{found['words']}."], folder / "critical.png")]
    files = []
    for group in dict.fromkeys(table["group"] for table in found["tables"]):
        tables = [table for table in found["tables"] if table["group"] == group]
        lines = [
            f"{found['words']}. Difference to the scenario as it is, mean and 95 % interval; filled: excludes zero."
        ]
        files.append(draw_group(tables, [*lines, tables[0]["caveat"]], folder / f"{group}.png"))
    return files


def draw(results: Mapping[str, Any], path: Path) -> Path:
    """One of the pictures, of the first part that is not `events`; all of them lie in the folders of the parts."""
    several = list(results["parts"].items())
    name, part = next((one for one in several if one[0] != "events"), several[0])
    if name == "events":
        from abm.figures.validation import draw_validation

        return draw_validation(part["tables"][0], path)
    lines = [f"{part['words']}."]
    if name == "critical":
        return draw_critical(part["tables"][0], lines, path)
    first = part["tables"][0]["group"]
    return draw_group([table for table in part["tables"] if table["group"] == first], lines, path)
