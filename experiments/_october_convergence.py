"""Resolution: from which number of accounts, tick and cap on rounds on a run says the same as the finest one.

The question is not whether a difference is significant but whether it is small (two one-sided tests, Schuirmann 1987):
the 90 % bootstrap interval of the difference of medians to the finest resolution has to lie inside a margin. The margin
is the finest one's own noise: half of its interquartile range over seeds, so that resolution matters less than luck.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments._october_design import Cell, Runs
from experiments._october_parts import BASE
from experiments._october_tables import COLUMNS, LEAST_PAIRS, Column, Row, interval, number, pairs_of, resampled

MEASURES = ("fall_percent", "minutes_to_low", "recovery_5min_percent", "liquidated_usd")
LEVEL = 0.90
FINEST = {"tick": min, "rounds": max, "accounts": max}
EQUIVALENT, DIFFERENT, OPEN = "equivalent", "different", "open"
CONVERGED = [column for column in COLUMNS if column.key in MEASURES]


def resolution(group: str, cell: Cell, own: Mapping[str, float]) -> float:
    """The number that a row stands for: seconds, rounds or accounts; `own` are those of the base."""
    if cell.variant == BASE:
        return own[group]
    return float(cell.variant.replace(",", "").removesuffix(" s"))


def equivalence(finest: Mapping[int, Row], other: Mapping[int, Row], column: Column) -> dict[str, Any]:
    """Difference of medians over common seeds, its 90 % interval, the margin, and the verdict."""
    both = pairs_of(finest, other, column)
    found: dict[str, Any] = {"pairs": len(both), "difference": None, "low": None, "high": None, "margin": None}
    if len(both) < LEAST_PAIRS:
        return {**found, "verdict": OPEN}
    medians = np.median(both, axis=0)
    drawn: NDArray[np.float64] = np.median(both[resampled(len(both))], axis=1)
    low, high = interval(drawn[:, 1] - drawn[:, 0], LEVEL)
    quarter, three = np.quantile(both[:, 0], [0.25, 0.75])
    margin = float(three - quarter) / 2
    verdict = EQUIVALENT if -margin <= low and high <= margin else DIFFERENT if low > margin or high < -margin else OPEN
    return {**found, "difference": float(medians[1] - medians[0]), "low": low, "high": high, "margin": margin,
            "verdict": verdict}  # fmt: skip


def convergence_table(runs: Runs, cells: Sequence[Cell], own: Mapping[str, float]) -> dict[str, Any]:
    """One group: a row a resolution from coarse to fine, each held against the finest, and from where on all agree."""
    group = cells[0].group
    sign = 1 if FINEST[group] is max else -1
    ordered = sorted(cells, key=lambda cell: sign * resolution(group, cell, own))
    every = {cell.variant: _good(runs.table_rows([cell])) for cell in ordered}
    finest = every[ordered[-1].variant]
    rows = []
    for cell in ordered:
        mine = every[cell.variant]
        effects = {c.key: equivalence(finest, mine, c) for c in CONVERGED} if cell is not ordered[-1] else {}
        rows.append({
            "resolution": resolution(group, cell, own),
            "base": cell.variant == BASE,
            "runs": len(mine),
            "seconds": _middle([row.get("seconds") for row in mine.values()]),
            "medians": {c.key: _middle([row.get(c.key) for row in mine.values()], c.scale) for c in CONVERGED},
            "values": [row["fall_percent"] for row in mine.values() if row.get("fall_percent") is not None],
            "against_finest": effects,
        })  # fmt: skip
    return {"group": group, "event": cells[0].event, "rows": rows, "from": agreed_from(rows)}


def _good(rows: Sequence[Row]) -> dict[int, Row]:
    return {int(row["seed"]): row for row in rows if not row.get("error_type")}


def _middle(values: Sequence[float | None], scale: float = 1.0) -> float | None:
    known = [scale * value for value in values if value is not None and math.isfinite(value)]
    return float(np.median(known)) if known else None


def agreed_from(rows: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """For each measure the coarsest resolution from which on all are equivalent to the finest; None: none is known."""
    found: dict[str, float | None] = {}
    for column in CONVERGED:
        found[column.key] = None
        for row in reversed(rows[:-1]):
            if row["against_finest"][column.key]["verdict"] != EQUIVALENT:
                break
            found[column.key] = row["resolution"]
    return found


def statement(table: Mapping[str, Any]) -> str:
    """From where on a run says what the finest says, in a sentence."""
    names = {"tick": ("a tick of {:g} s", "s"), "rounds": ("{:g} rounds", ""), "accounts": ("{:,.0f} accounts", "")}
    form = names[table["group"]][0]
    rows = table["rows"]
    if len(rows) < 2:
        return "Nothing to compare."
    finest = form.format(rows[-1]["resolution"])
    same = [c for c in CONVERGED if table["from"][c.key] is not None]
    open_ = [c.words.lower() for c in CONVERGED if table["from"][c.key] is None]
    parts = [f"{c.words.lower()} from {form.format(table['from'][c.key])}" for c in same]
    words = f"Within the noise of {finest} ({rows[-1]['runs']} runs): {'; '.join(parts)}." if parts else ""
    if open_:
        fewest = min(row["runs"] for row in rows)
        words += f" Not shown for {', '.join(open_)}" + (f" ({fewest} runs)." if fewest < 20 else ".")
    return words.strip()


def convergence_text(table: Mapping[str, Any]) -> str:
    """Plain lines: medians, and the difference to the finest with its interval and verdict."""
    head = f"  {table['group']:<12}{'runs':>6}" + "".join(f"{f'{c.words}, {c.unit}':>44}" for c in CONVERGED)
    lines = [head]
    for row in table["rows"]:
        cells = [f"{number(row['medians'][c.key])}{against(row['against_finest'].get(c.key))}" for c in CONVERGED]
        name = f"{row['resolution']:g}" + (" *" if row["base"] else "")
        lines.append(f"  {name:<12}{row['runs']:>6}" + "".join(f"{cell:>44}" for cell in cells))
    return "\n".join([*lines, f"  {statement(table)}"])


def against(effect: Mapping[str, Any] | None) -> str:
    """A difference to the finest in words."""
    if not effect or effect["low"] is None:
        return ""
    return f" {number(effect['difference'])} ({number(effect['low'])}, {number(effect['high'])}) {effect['verdict']}"
