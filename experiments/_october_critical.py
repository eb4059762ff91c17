"""The critical point of `october`: multiplier and branching ratio over leverage and depth, beside the oracle.

The oracle is the mean-field cascade: with liquidation density phi and bid density rho of the calm book, n = phi / rho,
and a fall is 1 / (1 - n) times what it would be without liquidations; n >= 1 runs away (`_october_run`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from experiments._october_design import Cell, Runs
from experiments._october_tables import Row, errors_of, number, values_of

KEYS = (
    *("multiplier", "flow_branching_ratio", "flow_branching_ratio_10s", "flow_branching_ratio_300s", "branching_ratio"),
    *("fall_percent", "mean_field_n", "bad_debt_usd", "liquidated_usd"),
)
CROSSED = {"multiplier": "fall / news", "mean_field_n": "oracle n"}
"""Ratios that can cross one. A branching ratio that was lived through stays below it, or there would be no end."""
IMPLIED = {"flow": "flow_branching_ratio", "mean_field": "mean_field_n"}


def critical_table(runs: Runs, cells: Sequence[Cell]) -> dict[str, Any]:
    """One row a point with means over its runs, and where each ratio crosses one.

    `flow_multiplier` is 1 / (1 - n) with the branching ratio by flow, what the cascade that was measured should have
    made of the news; `mean_field_multiplier` the same with the oracle's n, which knows only the calm book.
    """
    table: list[dict[str, Any]] = []
    every: list[Row] = []
    for cell in cells:
        mine = runs.table_rows([cell])
        every += mine
        good = [row for row in mine if not row.get("error_type")]
        means = {key: _mean(good, key) for key in KEYS}
        point = {"leverage": int(cell.group), "depth_btc": float(cell.variant), "runs": len(good)}
        implied = {f"{name}_multiplier": _implied(means[key]) for name, key in IMPLIED.items()}
        table.append({**point, **means, **implied})
    return {
        "event": cells[0].event,
        "rows": table,
        "runs": len(every),
        "seeds": max((row["runs"] for row in table), default=0),
        "error": errors_of(every),
        "crossings": {key: crossing(table, key) for key in CROSSED},
    }


def _implied(n: float | None) -> float | None:
    """1 / (1 - n); None without n, or where there is no end."""
    return None if n is None or n >= 1 else 1 / (1 - n)


def _mean(rows: Sequence[Row], key: str) -> float | None:
    values = values_of(rows, key)
    return float(values.mean()) if values.size else None


def crossing(table: Sequence[Row], key: str) -> list[Row]:
    """For each leverage the depth (BTC) below which a ratio is above one, between points as on a log scale.

    The deepest such place. None: the ratio is above one nowhere (`above` False) or already in the deepest book (True).
    """
    found = []
    for leverage in sorted({row["leverage"] for row in table}):
        mine = [row for row in table if row["leverage"] == leverage and row[key] is not None]
        mine.sort(key=lambda row: -row["depth_btc"])
        depth: float | None = None
        for thick, thin in pairwise(mine):
            if thick[key] < 1 <= thin[key]:
                share = (1 - thick[key]) / (thin[key] - thick[key])
                depth = math.exp((1 - share) * math.log(thick["depth_btc"]) + share * math.log(thin["depth_btc"]))
                break
        found.append({"leverage": leverage, "depth_btc": depth, "above": bool(mine) and mine[0][key] >= 1})
    return found


def place(one: Mapping[str, Any]) -> str:
    """A crossing in words."""
    return f"{one['depth_btc']:,.0f} BTC" if one["depth_btc"] else "all" if one["above"] else "-"


def critical_text(table: Mapping[str, Any]) -> str:
    """The points, and where each ratio crosses one."""
    heads = ("leverage", "depth, BTC", "runs", "fall/news", "branching", "1/(1-n)", "oracle n", "1/(1-n)", "by causes")
    keys = (
        *("leverage", "depth_btc", "runs", "multiplier", "flow_branching_ratio", "flow_multiplier"),
        *("mean_field_n", "mean_field_multiplier", "branching_ratio"),
    )
    lines = ["  " + "".join(f"{head:>12}" for head in heads)]
    lines += ["  " + "".join(f"{number(row[key]):>12}" for key in keys) for row in table["rows"]]
    for key, words in CROSSED.items():
        places = [f"{one['leverage']}x {place(one)}" for one in table["crossings"][key]]
        lines.append(f"  {words} above one below a depth of: {', '.join(places)}")
    return "\n".join(lines)
