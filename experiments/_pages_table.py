"""The measured table of a page: one row a variant, over common seeds, and where it stands in the page."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from abm.figures.variants import Dots
from abm.recorder import Run
from experiments._pages_kinds import Measure, Page
from experiments._pages_read import figure, read

BEGIN, END = "<!-- begin scenario-pages", "<!-- end scenario-pages -->"
BLOCK = re.compile(re.escape(BEGIN) + r"(?: settings (\w+))? -->\n.*?" + re.escape(END), re.S)
COMMAND = "deleverage experiment scenario-pages --set 'scenarios=[\"{}\"]' --set docs=docs/scenarios"


@dataclass(frozen=True)
class Row:
    """A variant, or a group of traders of the only one: its runs by seed, and each figure by text and seed."""

    label: str
    runs: Mapping[int, Run]
    figures: Mapping[str, Mapping[int, float]]


def rows_of(page: Page, found: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The rows of a table from finished runs; a run that failed is left out."""
    rows = []
    for label in page.variants:
        kept = {int(one["seed"]): one for one in found if one["variant"] == label and one.get("kept_json")}
        runs = {seed: read(one["kept_json"]) for seed, one in kept.items()}
        for group in page.groups or ("",):
            figures = {
                text: {seed: figure(kept[seed], run, text.replace("{group}", group)) for seed, run in runs.items()}
                for text in wanted(page)
            }
            rows.append(Row(group or label, runs, figures))
    return rows


def wanted(page: Page) -> tuple[str, ...]:
    """Texts of all figures of a page: those of its table, then those that only its picture shows."""
    panels = () if isinstance(page.picture, str) else page.picture.panels
    shown = [panel.figure for panel in panels if isinstance(panel, Dots)]
    return tuple(dict.fromkeys([*(one.figure for one in page.measures), *shown]))


def cells(measure: Measure, by_seed: Mapping[int, float], first: Mapping[int, float] | None = None) -> dict[str, Any]:
    """Median, least, greatest and number of a figure in the measure's unit; with `first`, of the differences to it."""
    values = [
        measure.scale * (value - (first[seed] if first else 0.0))
        for seed, value in by_seed.items()
        if math.isfinite(value) and (first is None or math.isfinite(first.get(seed, math.nan)))
    ]
    if not values:
        return {"median": None, "least": None, "greatest": None, "seeds": 0}
    return {
        "median": statistics.median(values),
        "least": min(values),
        "greatest": max(values),
        "seeds": len(values),
    }


def table_of(page: Page, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The table as plain rows: `row`, `seeds`, a cell a measure; then those of the differences to the first row."""
    found = [
        {"row": row.label, "seeds": len(row.runs)}
        | {one.words: cells(one, row.figures[one.figure]) for one in page.measures}
        for row in rows
    ]
    for row in rows[1:]:
        differences = {
            one.words: cells(one, row.figures[one.figure], rows[0].figures[one.figure]) for one in page.measures
        }
        seeds = len(row.runs.keys() & rows[0].runs.keys())
        found.append({"row": f"{row.label} less {rows[0].label}", "seeds": seeds, **differences})
    return found


def number(value: float, digits: int) -> str:
    """A number in words of the pages: a true minus, commas, no minus before zero."""
    words = f"{value:,.{digits}f}"
    zero = not words.strip("-0.,")
    return words.lstrip("-") if zero else words.replace("-", "−")


def cell_text(cell: Mapping[str, Any], digits: int) -> str:
    """The median, and in brackets least and greatest where there are several seeds."""
    if cell["median"] is None:
        return "–"
    middle, low, high = (number(cell[key], digits) for key in ("median", "least", "greatest"))
    return middle if cell["seeds"] < 2 or low == high else f"{middle} ({low} to {high})"


def markdown(name: str, page: Page, table: Sequence[Mapping[str, Any]], accounts: int, settings: str) -> str:
    """The block of a page between its markers, these included."""
    seeds = max((row["seeds"] for row in table), default=0)
    size = f"{accounts:,} accounts"
    words = f"One seed, {size}." if seeds == 1 else f"Median of {seeds} common seeds (lowest to highest), {size}."
    if any(" less " in row["row"] for row in table):
        words += " *less*: the difference on the same seed."
    units = [f"{one.words}, {one.unit}" if one.unit else one.words for one in page.measures]
    lines = ["| | " + " | ".join(units) + " |", "|---|" + "--:|" * len(units)]
    for row in table:
        values = [cell_text(row[one.words], one.digits) for one in page.measures]
        few = "" if row["seeds"] == seeds else f" ({row['seeds']} seeds)"
        label = f"*{row['row']}*" if " less " in row["row"] else row["row"]
        lines.append(f"| {label}{few} | " + " | ".join(values) + " |")
    command = COMMAND.format(name) + (f" --set seeds={seeds}" if seeds != page.seeds else "")
    body = "\n".join(lines)
    return f"{BEGIN} settings {settings} -->\n{words} Made by\n`{command}`.\n\n{body}\n{END}"


def put_into(path: Path, block: str) -> None:
    """Put a block in place of that of a page. Raises ValueError where the page has no markers."""
    text = path.read_text(encoding="utf-8")
    if not BLOCK.search(text):
        raise ValueError(f"{path}: no block from `{BEGIN} -->` to `{END}`")
    path.write_text(BLOCK.sub(lambda _: block, text, count=1), encoding="utf-8")


def settings_of(path: Path) -> str:
    """The settings a page's table was measured with (see `experiments._pages_kinds.digest`); "" without a table."""
    found = BLOCK.search(path.read_text(encoding="utf-8"))
    return (found[1] or "") if found else ""
