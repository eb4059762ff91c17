"""What the tables of `october` say, in words that are filled in from them: paragraphs, and the parts of pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from abm.pages import fill, markdown_table
from abm.scenario import load_scenario
from experiments._october_convergence import CONVERGED, against, statement
from experiments._october_critical import CROSSED, place
from experiments._october_tables import COLUMNS, FALSE_SHARE, LEAST_PAIRS, SHOWN, Column, cell, number, worse_words

Table = Mapping[str, Any]
LIMITS = "A simulated market, set on one evening: it claims the signs and the order of effects, not their size."
"""Stands under every paragraph."""
BETTER = {"%": "percentage points", "$m": "", "min": "minutes"}
SPOKEN = ("fall_percent", "liquidated_accounts_percent", "traders_kept_half_percent", "bad_debt_usd", "adl_usd",
          "recovery_5min_percent")  # fmt: skip


def title_of(event: str) -> str:
    """The title of a scenario."""
    return load_scenario(event).title


def sized(value: float | None, column: Column) -> str:
    """A value with its unit."""
    if column.unit == "$m":
        return f"${number(None if value is None else abs(value))}m"
    size = number(value)
    return size if column.unit in ("-", "times") else f"{size} %" if column.unit == "%" else f"{size} {column.unit}"


def amount(effect: Table, column: Column) -> str:
    """A difference with its interval, the ends in order of size."""
    ends = sorted((abs(effect["low"]), abs(effect["high"])))
    unit = BETTER.get(column.unit, column.unit)
    if column.unit == "$m":
        return f"${number(abs(effect['mean']))}m (95 % interval ${number(ends[0])}m to ${number(ends[1])}m)"
    return f"{number(abs(effect['mean']))} {unit} (95 % interval {number(ends[0])} to {number(ends[1])})"


def paragraph(table: Table) -> str:
    """One group on one event, for somebody who has to decide: what it changes, what it does not, what it worsens."""
    still = [row["variant"] for row in table["rows"] if row["no_market"]]
    rows = [row for row in table["rows"] if row["pairs"] >= LEAST_PAIRS and not row["no_market"]]
    fewest = min((row["pairs"] for row in table["rows"]), default=0)
    if not rows:
        return (
            f"**{table['title']}, {title_of(table['event'])}.** {fewest} pairs of runs are too few to say anything; "
            f"{LEAST_PAIRS} is the least."
        )
    base = table["base"]
    starts = {column.key: column for column in COLUMNS}
    fall, hit = starts["fall_percent"], starts["liquidated_accounts_percent"]
    words = [
        f"**{table['title']}, {title_of(table['event'])}.** Without the rule the simulated price falls by "
        f"{number(abs(base[fall.key] or 0.0))} %, {sized(base[hit.key], hit)} of the accounts are liquidated and the "
        f"95 % worst case of uncovered losses is ${number(table['tail']['var95'])}m "
        f"({fewest if fewest == rows[-1]['pairs'] else f'at least {fewest}'} pairs of runs)."
    ]
    columns = [starts[key] for key in SPOKEN]
    words += [found for column in columns if (found := change(rows, column))]
    quiet = [PROSE[column.key] for column in columns if not any(r["effects"][column.key].get("found") for r in rows)]
    if not any(effect["sign"]["up"] + effect["sign"]["down"] for row in rows for effect in row["effects"].values()):
        words.append("In none of the pairs did the rule change anything.")
    elif len(quiet) == len(columns) and 0.5 ** (fewest - 1) > FALSE_SHARE:
        words.append("So few pairs cannot tell an outcome from luck where all are tested together.")
    elif len(quiet) == len(columns):
        words.append("No outcome of the rule can be told from luck.")
    elif quiet:
        words.append(f"Not to be told from luck: {', '.join(quiet)}.")
    dead = [f"With {', '.join(still)} next to nobody trades; these settings are left out."] if still else []
    return " ".join([*words, harm(rows), *dead])


PROSE = {
    "fall_percent": "the fall",
    "liquidated_accounts_percent": "the share of accounts liquidated",
    "traders_kept_half_percent": "the share of traders who keep half their money",
    "bad_debt_usd": "uncovered losses",
    "adl_usd": "auto-deleveraging",
    "recovery_5min_percent": "the share of the fall recovered five minutes after the low",
}
"""Measures inside a sentence; others by the name of their column."""


def change(rows: Sequence[Table], column: Column) -> str:
    """The strongest effect on a measure that is found, and at how many of the settings there is one."""
    found = [row for row in rows if row["effects"][column.key].get("found")]
    if not found:
        return ""
    most = max(found, key=lambda row: abs(row["effects"][column.key]["mean"]))
    effect = most["effects"][column.key]
    verbs = ("grows", "shrinks")
    if column.key == "fall_percent":  # a fall is negative: what makes it smaller raises the number
        verbs = ("shrinks", "deepens")
    elif PROSE[column.key].endswith("s"):
        verbs = ("grow", "shrink")
    name = PROSE[column.key].capitalize()
    words = f"{name} {verbs[effect['mean'] < 0]} most with “{most['variant']}”, by {amount(effect, column)}"
    if len(rows) > 1:
        words += f"; an effect is found at {len(found)} of {len(rows)} settings"
    mixed = len({row["effects"][column.key]["mean"] > 0 for row in found}) > 1
    return words + (", of both signs" if mixed else "") + "."


def harm(rows: Sequence[Table]) -> str:
    """What got worse at which settings, found and merely clear."""
    words = []
    leads = {True: "Made worse", False: "Perhaps worse (one interval, but not when all are tested together)"}
    for sure, lead in leads.items():
        where: dict[str, list[str]] = {}
        for row in rows:
            for name in worse_words(row):
                if name.endswith("**") is sure:
                    where.setdefault(name.rstrip("*"), []).append(f"“{row['variant']}”")
        if where:
            listed = [f"{name} ({', '.join(places)})" for name, places in where.items()]
            words.append(f"{lead}: {'; '.join(listed)}.")
    return " ".join(words) or "Nothing became clearly worse."


def quoted(table: Table) -> str:
    """The paragraph with the caveat of its group and the limits of all."""
    return f"{paragraph(table)}\n*Caveat.* {table['caveat']} {LIMITS}"


# --- Markdown ---------------------------------------------------------------------------------------------------------
def group_markdown(table: Table, words: bool = True) -> str:
    """Table and paragraph of a group on an event."""
    columns = [c for c in COLUMNS if c.key in SHOWN or (c.key == "lead_volume_share_percent" and table["base"][c.key])]
    heads = ("", "pairs", *(f"{c.words}, {c.unit}" for c in columns), "VaR95 of bad debt, $m", "worse")
    first = ("as it is", f"{table['runs']}", *(number(table["base"][c.key]) for c in columns),
             number(table["tail"]["var95"]), "")  # fmt: skip
    rows = [
        (row["variant"], pairs(row), *(cell(row["effects"][c.key]) for c in columns),
         number(row["tail"]["var95"]), ", ".join([*worse_words(row), *(["no market"] if row["no_market"] else [])]))
        for row in table["rows"]
    ]  # fmt: skip
    about = f"{title_of(table['event'])}: {table['title'].lower()}"
    block = f"*{about}; first row means, below differences to it.*\n\n{markdown_table(heads, [first, *rows])}"
    return f"{block}\n\n{paragraph(table)}\n\n*Caveat.* {table['caveat']} {LIMITS}" if words else block


def pairs(row: Table) -> str:
    """Pairs of a row, with those that were not run because the rule had nothing to do, and failures."""
    copied = f" ({row['copied']} idle)" if row["copied"] else ""
    return f"{row['pairs']}{copied}" + (f", {row['failed']} failed" if row["failed"] else "")


POINTS = {
    "fall_percent": "fall, %",
    "multiplier": "fall / news",
    "flow_branching_ratio": "branching ratio n",
    "flow_multiplier": "1 / (1 − n)",
    "mean_field_n": "oracle n",
    "mean_field_multiplier": "1 / (1 − oracle n)",
}
"""What the page shows of every point of the critical part."""


def critical_markdown(table: Table) -> str:
    """Where each ratio crosses one, and every point."""
    heads = ("highest leverage", *(f"{words} above 1 below" for words in CROSSED.values()))
    leverages = [one["leverage"] for one in table["crossings"]["multiplier"]]
    rows = [
        (f"{leverage}x", *(place(next(o for o in table["crossings"][key] if o["leverage"] == leverage))
                           for key in CROSSED))
        for leverage in leverages
    ]  # fmt: skip
    least, most = (pick(row["runs"] for row in table["rows"]) for pick in (min, max))
    runs = f"{most}" if least == most else f"{least} to {most}"
    points = [
        (f"{row['leverage']}x", f"{row['depth_btc']:,.0f}", *(number(row[key]) for key in POINTS))
        for row in table["rows"]
    ]
    every = markdown_table(("highest leverage", "depth, BTC", *POINTS.values()), points)
    return f"{markdown_table(heads, rows)}\n\nDepth in BTC within 1 %; {runs} runs a point.\n\n{every}"


def convergence_markdown(table: Table) -> str:
    """Medians and differences to the finest resolution, and the statement."""
    heads = (table["group"], "runs", "CPU s a run", *(f"{c.words}, {c.unit}" for c in CONVERGED))
    rows = [
        (f"{row['resolution']:g}", f"{row['runs']}", number(row["seconds"]),
         *(f"{number(row['medians'][c.key])}{against(row['against_finest'].get(c.key))}" for c in CONVERGED))
        for row in table["rows"]
    ]  # fmt: skip
    return f"{markdown_table(heads, rows)}\n\n{statement(table)}"


def event_markdown(table: Table) -> str:
    """How many graded rows are inside, and every one."""
    share = table["inside"]
    heads = ("row", "median", "90 % of seeds", "real", "band", "grade", "")
    rows = [
        (f"{row['measure']}, {row['unit']}" + (f" ({row['venue']})" if row["venue"] else ""), number(row["median"]),
         f"{number(row['low5'])} to {number(row['high95'])}", number(row["real"]),
         f"{number(row['low'])} to {number(row['high'])}", row["grade"], row["side"])
        for row in table["rows"] if row["counted"]
    ]  # fmt: skip
    head = (
        f"{table['title']}: {share['inside']} of {share['counted']} graded rows inside, {len(table['seeds'])} seeds, "
    )
    return f"{head}{table['accounts']:,} accounts.\n\n{markdown_table(heads, rows)}"


def pages(parts: Mapping[str, Table], folder: Path, drawn: Sequence[Path] = ()) -> list[Path]:
    """Fill the pages of a folder with what these parts say; those that have a place for any of it.

    `drawn` are pictures in that folder named as the blocks, less "october-"; each stands at the head of its block.
    """
    blocks: dict[str, str] = {}
    for name, part in parts.items():
        tables = part["tables"]
        if name == "events":
            blocks |= {f"october-events-{Path(t['event']).stem}": event_markdown(t) for t in tables}
        elif name == "critical":
            blocks["october-critical"] = "\n\n".join(critical_markdown(t) for t in tables)
        elif name == "convergence":
            blocks["october-convergence"] = "\n\n".join(convergence_markdown(t) for t in part["resolution"])
        else:
            groups = list(dict.fromkeys(table["group"] for table in tables))
            blocks |= {
                f"october-{group}": "\n\n".join(
                    group_markdown(t, name == "policies") for t in tables if t["group"] == group
                )
                for group in groups
            }
        if name in ("critical", "convergence", "policies", "ablation"):
            blocks[f"october-{name}-about"] = f"{part['words']}."
    for path in drawn:
        block, picture = f"october-{path.stem}", path.relative_to(folder).as_posix()
        blocks[block] = f"![{path.stem.replace('-', ' ').capitalize()}]({picture})\n\n{blocks[block]}"
    filled = []
    for page in sorted(folder.glob("*.md")):
        if any(f"<!-- begin {name}" in page.read_text(encoding="utf-8") for name in blocks):
            fill(page, blocks)
            filled.append(page)
    return filled
