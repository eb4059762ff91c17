"""October 2025 in full: events, ablation, policies, critical point, resolution, on common seeds.

One command makes all tables and pictures again. Runs are kept below `folder` and never repeated: killed at any time,
the same call goes on. Seeds come in blocks, and every part gets its first block before any gets its second, so that
what is there can be used whenever it stops; tables say how many pairs they rest on. Differences are paired over common
seeds, and the draws are keyed, so that everybody has the same luck in both runs of a pair. What got worse is listed for
every policy, wanted or not.

    deleverage experiment october --quick
    deleverage experiment october --full --set do=plan
    deleverage experiment october --full --set parts='["policies"]' --set groups='["fund"]'
    deleverage experiment october --full --set do=tables --set docs=docs
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from abm.provenance import finite
from abm.sweep.parts import write_synced
from experiments._october_convergence import convergence_table, convergence_text
from experiments._october_critical import critical_table, critical_text
from experiments._october_design import (
    Cell,
    Runs,
    blocks,
    cells_of,
    cost_text,
    groups_of,
    stored,
    study,
)
from experiments._october_events import draw_events, event_text, held_against
from experiments._october_figure import draw_convergence, draw_critical, draw_group, unchanged
from experiments._october_options import FULL, PARTS, QUICK, Options
from experiments._october_tables import group_table, group_text, mark_found
from experiments._october_words import pages, quoted
from experiments._studies import run_missing

__all__ = ["FULL", "PARTS", "QUICK", "SLOW", "Options", "draw", "run", "text"]
SLOW = True
Say = Callable[[str], None]


# --- the experiment ---------------------------------------------------------------------------------------------------
def run(options: Options, say: Say) -> dict[str, Any]:
    """Block after block of seeds through all parts; tables and pictures after each block, and when interrupted."""
    say(cost_text(options))
    if options.do == "plan":
        return {"parts": {}, "cost": cost_text(options), "error": ""}
    cells = cells_of(options)
    parts: dict[str, Any] = {}
    runs = Runs(options, stored(options, Path(options.folder) / "runs"))
    try:
        for places in blocks(options) if options.do == "run" else []:
            say(f"seeds {runs.seed(places.start)} to {runs.seed(places.stop - 1)}")
            parts |= _block(options, runs, cells, places, say)
            _write(options, runs, cells, parts, say)
    except KeyboardInterrupt:
        runs.rows = stored(options, Path(options.folder) / "runs")
        _write(options, runs, cells, parts, say)
        raise
    if options.do == "tables":
        if "events" in options.parts:
            parts |= _events(options, options.event_seeds, say)
        _write(options, runs, cells, parts, say)
    if options.docs:
        _publish(parts, Path(options.docs), say)
    errors = [part["error"] for part in parts.values() if part["error"]]
    ordered = {name: parts[name] for name in options.parts if name in parts}
    return {"seeds": options.seeds, "accounts": options.accounts, "parts": ordered, "error": "; ".join(errors)}


def _block(options: Options, runs: Runs, cells: Sequence[Cell], places: range, say: Say) -> dict[str, Any]:
    """Make the runs of a block; what the events look like with it."""
    folder = Path(options.folder) / "runs"
    before: list[Any] = []
    retry = options.retry_failed
    while todo := _todo(runs, cells, places, retry):
        if todo == before:
            raise RuntimeError(f"{len(todo)} runs do not get done, the first {todo[0]}")
        run_missing(study(options, todo), folder, options.processes, say, retry)
        runs.rows, before, retry = stored(options, folder), todo, False
        for name in runs.audit(cells):
            say(f"not idle although nothing seemed to be left to do, so every seed is run: {name}")
    if "events" not in options.parts or places.start >= options.event_seeds:
        return {}
    return _events(options, min(places.stop, options.event_seeds), say)


def _todo(runs: Runs, cells: Sequence[Cell], places: range, retry_failed: bool) -> list[Any]:
    """Runs that are missing; with `retry_failed` those that failed too."""
    if retry_failed:
        runs.rows = {key: row for key, row in runs.rows.items() if not row.get("error_type")}
    return runs.missing(cells, places)


def _events(options: Options, seeds: int, say: Say) -> dict[str, Any]:
    """Whole days, whatever `duration_s` says: a run that ends before the fall cannot be held against it."""
    settings = {"accounts": options.accounts, **({"tick_s": options.tick_s} if options.tick_s else {})}
    folder, run_them = Path(options.folder) / "events", options.do == "run"
    tables = held_against(
        options.held, settings, seeds, options.seed, options.processes, folder, say, run_them, options.retry_failed
    )
    return {"events": {"words": _world(options, seeds, False), "tables": tables, "error": _errors(tables)}}


def _write(options: Options, runs: Runs, cells: Sequence[Cell], parts: dict[str, Any], say: Say) -> None:
    """Tables and pictures of every part from the runs that are there; a picture that fails is said, no more."""
    for part in options.parts:
        mine = [cell for cell in cells if cell.part == part]
        if part != "events":
            parts[part] = _part(options, runs, mine, part)
        if part not in parts:
            continue
        folder = Path(options.folder) / part
        folder.mkdir(parents=True, exist_ok=True)
        write_synced(folder / "tables.json", (json.dumps(finite(parts[part]), indent=1) + "\n").encode())
        try:
            draw_part(part, parts[part], folder)
        except Exception as error:
            say(f"no picture of {part}: {type(error).__name__}: {error}")


def _publish(parts: Mapping[str, Any], docs: Path, say: Say) -> None:
    """Fill the pages of a folder, and put the pictures beside them."""
    pictures = docs / "figures" / "october"
    pictures.mkdir(parents=True, exist_ok=True)
    drawn = [path for name in parts if name != "events" for path in draw_part(name, parts[name], pictures)]
    for path in [*drawn, *pages(parts, docs, drawn)]:
        say(f"written: {path}")


def _part(options: Options, runs: Runs, cells: Sequence[Cell], part: str) -> dict[str, Any]:
    if part == "critical":
        tables = [critical_table(runs, cells)]
        return {"words": _world(options, options.critical_seeds), "tables": tables, "error": _errors(tables)}
    groups = groups_of(options, part)
    events = list(dict.fromkeys(cell.event for cell in cells))
    rows = runs.table_rows(cells)
    tables = [group_table(rows, group, event) for group in groups for event in events]
    mark_found(tables)
    seeds = options.convergence_seeds if part == "convergence" else options.seeds
    found = {"words": _world(options, seeds), "tables": tables, "error": _errors(tables)}
    found["not_idle"] = runs.audit(cells)
    if part == "convergence":
        own = _own(options)
        of_group = {group.key: [cell for cell in cells if cell.group == group.key] for group in groups}
        found["resolution"] = [convergence_table(runs, mine, own) for mine in of_group.values() if len(mine) > 1]
    return found


def _own(options: Options) -> dict[str, float]:
    """Tick, cap on rounds and accounts of the base."""
    from abm.scenario import load_scenario

    scenario = load_scenario(options.scenario)
    tick_s = options.tick_s or scenario.tick_s
    return {"tick": tick_s, "rounds": float(scenario.rounds_max), "accounts": float(options.accounts)}


def _errors(tables: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(dict.fromkeys(table["error"] for table in tables if table["error"]))


def _world(options: Options, seeds: int, short: bool = True) -> str:
    tick = f", ticks of {options.tick_s:g} s" if options.tick_s else ""
    length = f", {options.duration_s / 60:g} min from {options.lead_in_s:g} s before the first news"
    length = length if short and options.duration_s and options.lead_in_s else ""
    return f"{options.accounts:,} accounts{tick}{length}, up to {seeds} common seed{'s' if seeds > 1 else ''}"


# --- words and pictures -----------------------------------------------------------------------------------------------
def text(results: Mapping[str, Any]) -> str:
    """All tables as plain lines, and what each says."""
    if not results["parts"]:
        return str(results.get("cost", "nothing"))
    lines = []
    for name, part in results["parts"].items():
        lines.append(f"--- {name}: {part['words']}")
        if name == "convergence":
            lines += [convergence_text(table) for table in part["resolution"]]
            continue
        for table in part["tables"]:
            lines.append({"critical": critical_text, "events": event_text}.get(name, group_text)(table))
            lines += [quoted(table)] if name == "policies" else []
    return "\n".join(lines)


def draw_part(part: str, found: Mapping[str, Any], folder: Path) -> list[Path]:
    """The pictures of a part, one a group or event; the files."""
    if part == "events":
        return draw_events(found["tables"], folder)
    if part == "critical":
        drawn = any(row["runs"] for row in found["tables"][0]["rows"])
        return [draw_critical(found["tables"][0], [f"{found['words']}."], folder / "critical.png")] if drawn else []
    if part == "convergence":
        return [draw_convergence(found["resolution"], f"{found['words']}.", folder / "convergence.png")]
    files = []
    for group in dict.fromkeys(table["group"] for table in found["tables"]):
        tables = [table for table in found["tables"] if table["group"] == group]
        if any(row["pairs"] for row in tables[0]["rows"]):
            files.append(draw_group(tables, group_lines(found, tables), folder / f"{group}.png"))
    return files


def group_lines(found: Mapping[str, Any], tables: Sequence[Mapping[str, Any]]) -> list[str]:
    """What stands under the title of a group's picture."""
    counts = [row["pairs"] for table in tables for row in table["rows"]]
    pairs = f"{min(counts)} to {max(counts)} pairs" if min(counts) < max(counts) else f"{max(counts)} pairs"
    first = f"{found['words']}; {pairs}."
    second = (
        "Difference to the scenario as it is, mean and 95 % interval; filled: still there when all are tested. "
        "Fall: to the right, less deep."
    )
    same = unchanged(tables)
    third = f"No difference in any pair: {', '.join(same)}." if same else ""
    return [first, second, *([third] if third else []), tables[0]["caveat"]]


def draw(results: Mapping[str, Any], path: Path) -> Path:
    """One of the pictures, of the first part that is not `events`; all of them lie in the folders of the parts."""
    from shutil import copyfile
    from tempfile import TemporaryDirectory

    several = [one for one in results["parts"].items() if one[0] != "events"] or list(results["parts"].items())
    if not several:
        return path
    with TemporaryDirectory() as made:
        files = draw_part(several[0][0], several[0][1], Path(made))
        if files and files[0].suffix == path.suffix:
            copyfile(files[0], path)
    return path
