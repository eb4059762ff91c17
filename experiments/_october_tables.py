"""From runs to the tables of `october`: paired differences with intervals, tails of bad debt, what got worse."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.analysis.curves import interval_of
from abm.analysis.tails import quantile_interval, value_at_risk
from experiments._october_parts import BASE, Group

Row = dict[str, Any]
LEVEL = 0.95
LEAST_PAIRS = 5
"""With fewer pairs a bootstrap interval is much too narrow: none is given."""
VAR_SHARE = 0.95


@dataclass(frozen=True, slots=True)
class Column:
    """A measure of a table; `bad` is the sign of a change for the worse, 0 where neither is."""

    key: str
    words: str
    unit: str
    scale: float = 1.0
    bad: int = 0


COLUMNS = (
    Column("fall_percent", "Fall", "%", bad=-1),
    Column("multiplier", "Fall / news", "times", bad=1),
    Column("branching_ratio", "Branching ratio", "-", bad=1),
    Column("minutes_to_low", "Time to the low", "min"),
    Column("recovery_30min_percent", "Recovered, 30 min", "%", bad=-1),
    Column("depth_half_back_min", "Depth half back", "min", bad=1),
    Column("spread_median_bp", "Spread", "bp", bad=1),
    Column("liquidated_usd", "Liquidated", "$m", 1e-6, bad=1),
    Column("liquidated_accounts_percent", "Accounts liquidated", "%", bad=1),
    Column("traders_kept_half_percent", "Keep half their money", "%", bad=-1),
    Column("traders_wealth_percent", "Money left", "%", bad=-1),
    Column("fund_largest_loss_usd", "Fund's largest loss", "$m", 1e-6, bad=1),
    Column("adl_usd", "Auto-deleveraged", "$m", 1e-6, bad=1),
    Column("bad_debt_usd", "Bad debt", "$m", 1e-6, bad=1),
    Column("volume_btc", "Volume", "BTC"),
)
SHOWN = ("fall_percent", "recovery_30min_percent", "liquidated_accounts_percent", "traders_kept_half_percent",
         "adl_usd", "bad_debt_usd")  # fmt: skip
"""Columns of pictures and of the printed table; all are in the JSON."""


def values_of(rows: Sequence[Row], key: str, scale: float = 1.0) -> NDArray[np.float64]:
    """A measure of the runs that have it, float64 (n,)."""
    known = [scale * float(row[key]) for row in rows if row.get(key) is not None]
    return np.array(known, np.float64)


def paired(base: Mapping[int, Row], changed: Mapping[int, Row], column: Column) -> dict[str, Any]:
    """Mean of (changed - base) over common seeds with its bootstrap interval; runs without a value drop out in pairs.

    Keys: base and changed (means over the pairs), mean, low, high (None with few pairs), pairs, clear (the interval
    excludes zero), worse (clear, and to the bad side).
    """
    pairs = [
        (column.scale * float(before[column.key]), column.scale * float(changed[seed][column.key]))
        for seed, before in base.items()
        if seed in changed and before.get(column.key) is not None and changed[seed].get(column.key) is not None
    ]
    both = np.array(pairs, np.float64).reshape(-1, 2)
    away = both[:, 1] - both[:, 0]
    low = high = math.nan
    if len(pairs) >= LEAST_PAIRS:
        low, high = interval_of(away, "bootstrap", "mean", LEVEL, 2_000, 1)
    mean = float(away.mean()) if pairs else math.nan
    clear = bool(low > 0 or high < 0)
    return {
        "base": float(both[:, 0].mean()) if pairs else math.nan,
        "changed": float(both[:, 1].mean()) if pairs else math.nan,
        "mean": mean,
        "low": low,
        "high": high,
        "pairs": len(pairs),
        "clear": clear,
        "worse": clear and column.bad != 0 and mean * column.bad > 0,
    }


def by_seed(rows: Sequence[Row]) -> dict[int, Row]:
    """Runs by their seed."""
    return {int(row["seed"]): row for row in rows}


def errors_of(rows: Sequence[Row]) -> str:
    """What went wrong in runs, each message once."""
    found = {f"{row['variant']}: {row['error_type']}: {row['message']}" for row in rows if row.get("error_type")}
    return "; ".join(sorted(found))


def tail_of(rows: Sequence[Row]) -> dict[str, Any]:
    """Value at risk of bad debt over the runs, $m, with the interval of an order statistic (open with few runs)."""
    losses = values_of(rows, "bad_debt_usd", 1e-6)
    if not losses.size:
        return {"var95": None, "var95_low": None, "var95_high": None, "runs": 0}
    low, high = quantile_interval(losses, VAR_SHARE, LEVEL)
    at = value_at_risk(losses, VAR_SHARE)
    ends = {"var95_low": max(low, 0.0), "var95_high": high if math.isfinite(high) else None}
    return {"var95": at, **ends, "runs": int(losses.size)}


def group_table(rows: Sequence[Row], group: Group, event: str) -> dict[str, Any]:
    """One group on one event: the base's means and a row for each variant."""
    mine = [row for row in rows if row["event"] == event and row["group"] == group.key]
    before = [row for row in mine if row["variant"] == BASE]
    table = []
    for variant in group.variants:
        after = [row for row in mine if row["variant"] == variant.name]
        effects = {column.key: paired(by_seed(before), by_seed(after), column) for column in COLUMNS}
        table.append({
            "variant": variant.name,
            "settings": list(variant.settings),
            "effects": effects,
            "tail": tail_of(after),
            "worse": [column.key for column in COLUMNS if effects[column.key]["worse"]],
        })  # fmt: skip
    means = {column.key: _mean(values_of(before, column.key, column.scale)) for column in COLUMNS}
    return {
        "event": event, "group": group.key, "title": group.title, "caveat": group.caveat, "settings": list(group.base),
        "base": means, "tail": tail_of(before), "runs": len(before), "rows": table, "error": errors_of(mine),
    }  # fmt: skip


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if values.size else None


# --- words ------------------------------------------------------------------------------------------------------------
def group_text(table: Mapping[str, Any]) -> str:
    """Plain lines: means as it is, then differences with intervals; a star where the interval excludes zero."""
    columns = [column for column in COLUMNS if column.key in SHOWN]
    lines = [
        f"{table['title']}, {table['event']}: difference to '{BASE}', mean ({100 * LEVEL:.0f} % interval)",
        f"  {'':<34}" + "".join(f"{f'{c.words}, {c.unit}':>26}" for c in columns) + f"{'VaR95 bad debt, $m':>20}",
        f"  {BASE:<34}" + "".join(f"{number(table['base'][c.key]):>26}" for c in columns)
        + f"{number(table['tail']['var95']):>20}",
    ]  # fmt: skip
    for row in table["rows"]:
        cells = "".join(f"{cell(row['effects'][c.key]):>26}" for c in columns)
        lines.append(f"  {row['variant']:<34}{cells}{number(row['tail']['var95']):>20}")
        if row["worse"]:
            lines.append(f"    worse: {', '.join(row['worse'])}")
    return "\n".join(lines)


def cell(effect: Mapping[str, Any]) -> str:
    """A difference with its interval."""
    if effect["low"] is None or effect["low"] != effect["low"]:
        return number(effect["mean"])
    return (
        f"{number(effect['mean'])} ({number(effect['low'])}, {number(effect['high'])}){'*' if effect['clear'] else ' '}"
    )


def number(value: float | None) -> str:
    """Three digits; a dash where there is none."""
    if value is None or value != value:
        return "-"
    return f"{value:.3g}" if abs(value) < 1_000 else f"{value:,.0f}"
