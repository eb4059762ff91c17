"""From runs to the tables of `october`: paired differences with intervals, tails of bad debt, what got worse.

A difference is *clear* when the bootstrap interval of its mean excludes zero. Over a hundred rows with a dozen measures
each, some are clear by luck: *found* is what is clear and still stands when the sign tests of all differences of a part
are taken together (Benjamini and Hochberg 1995, false discoveries at most 5 %).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.analysis.tails import quantile_interval, value_at_risk
from abm.rng import stream, uniforms
from experiments._october_parts import BASE, Group

Row = dict[str, Any]
LEVEL = 0.95
LEAST_PAIRS = 5
"""With fewer pairs a bootstrap interval is much too narrow: none is given."""
VAR_SHARE = 0.95
LEAST_TAIL = 60
"""With fewer pairs three runs or less lie beyond the value at risk: no change of it is given."""
RESAMPLES = 2_000
_RESAMPLE = stream("resampled pairs")
FALSE_SHARE = 0.05
STILL_SHARE = 0.1
ROUNDING = 1e-9


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
    Column("flow_branching_ratio", "Branching ratio", "-", bad=1),
    Column("minutes_to_low", "Time to the low", "min"),
    Column("recovery_5min_percent", "Recovered, 5 min", "%", bad=-1),
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
    Column("volume_btc", "Volume", "1,000 BTC", 1e-3),
    Column("lead_volume_share_percent", "Lead venue's share of volume", "%"),
)
SHOWN = ("fall_percent", "recovery_5min_percent", "liquidated_accounts_percent", "traders_kept_half_percent",
         "adl_usd", "bad_debt_usd")  # fmt: skip
"""Columns of the printed table; all are in the JSON."""


def values_of(rows: Sequence[Row], key: str, scale: float = 1.0) -> NDArray[np.float64]:
    """A measure of the runs that have it, float64 (n,)."""
    known = [scale * float(row[key]) for row in rows if row.get(key) is not None]
    return np.array(known, np.float64)


@lru_cache(maxsize=64)
def resampled(n: int) -> NDArray[np.int64]:
    """Places of bootstrap samples of n values, int64 (RESAMPLES, n); the same for every measure of the same pairs."""
    draws = uniforms(1, _RESAMPLE, np.arange(RESAMPLES * n), 0, 0)
    return (draws * n).astype(np.int64).reshape(RESAMPLES, n)


def interval(statistics: NDArray[np.float64], level: float = LEVEL) -> tuple[float, float]:
    """Percentile interval of resampled statistics, float64 (RESAMPLES,)."""
    low, high = np.quantile(statistics, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def sign_test(away: NDArray[np.float64]) -> dict[str, Any]:
    """How many differences are up and down, and the exact two-sided probability of so uneven a count by luck."""
    from scipy.stats import binomtest

    up, down = int((away > 0).sum()), int((away < 0).sum())
    return {"up": up, "down": down, "p": float(binomtest(up, up + down).pvalue) if up + down else 1.0}


def pairs_of(base: Mapping[int, Row], changed: Mapping[int, Row], column: Column) -> NDArray[np.float64]:
    """Values without and with a change over the common seeds that have both, float64 (n, 2), in the column's unit."""
    pairs = [
        (column.scale * float(before[column.key]), column.scale * float(changed[seed][column.key]))
        for seed, before in base.items()
        if seed in changed and before.get(column.key) is not None and changed[seed].get(column.key) is not None
    ]
    return np.array(pairs, np.float64).reshape(-1, 2)


def paired(base: Mapping[int, Row], changed: Mapping[int, Row], column: Column) -> dict[str, Any]:
    """Mean of (changed - base) over common seeds with its bootstrap interval; runs without a value drop out in pairs.

    Keys: base and changed (means over the pairs), mean, low, high (None with few pairs), pairs, sign (of `sign_test`),
    clear (the interval excludes zero), worse (clear, and to the bad side).
    """
    both = pairs_of(base, changed, column)
    away = both[:, 1] - both[:, 0]
    away[np.abs(away) <= ROUNDING * np.abs(both).max(axis=1, initial=0.0)] = 0.0
    low = high = math.nan
    if len(both) >= LEAST_PAIRS:
        low, high = interval(away[resampled(len(both))].mean(axis=1))
    mean = float(away.mean()) if len(both) else math.nan
    clear = bool(low > 0 or high < 0)
    return {
        "base": float(both[:, 0].mean()) if len(both) else math.nan,
        "changed": float(both[:, 1].mean()) if len(both) else math.nan,
        "mean": mean,
        "low": low,
        "high": high,
        "pairs": len(both),
        "sign": sign_test(away),
        "clear": clear,
        "worse": clear and column.bad != 0 and mean * column.bad > 0,
    }


def tail_change(base: Mapping[int, Row], changed: Mapping[int, Row]) -> dict[str, Any]:
    """Change of the value at risk of bad debt, $m, over the common seeds, with its bootstrap interval."""
    both = pairs_of(base, changed, Column("bad_debt_usd", "", "", 1e-6))
    if len(both) < LEAST_TAIL:
        return {"var95_change": None, "var95_change_low": None, "var95_change_high": None}
    at = [value_at_risk(both[:, side], VAR_SHARE) for side in (0, 1)]
    drawn = [np.quantile(both[resampled(len(both)), side], VAR_SHARE, axis=1, method="inverted_cdf") for side in (0, 1)]
    low, high = interval(drawn[1] - drawn[0])
    return {"var95_change": at[1] - at[0], "var95_change_low": low, "var95_change_high": high}


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
        tail = {**tail_of(after), **tail_change(by_seed(before), by_seed(after))}
        table.append({
            "variant": variant.name,
            "settings": list(variant.settings),
            "effects": effects,
            "tail": tail,
            "pairs": effects["fall_percent"]["pairs"],
            "copied": sum(bool(row.get("copied")) for row in after),
            "failed": sum(bool(row.get("error_type")) for row in after),
            "no_market": stands_still(effects["volume_btc"]),
            "worse": [column.key for column in COLUMNS if effects[column.key]["worse"]] + _worse_tail(tail),
        })  # fmt: skip
    means = {column.key: _mean(values_of(before, column.key, column.scale)) for column in COLUMNS}
    return {
        "event": event, "group": group.key, "title": group.title, "caveat": group.caveat, "settings": list(group.base),
        "base": means, "tail": tail_of(before), "runs": len(before), "rows": table, "error": errors_of(mine),
    }  # fmt: skip


def stands_still(volume: Mapping[str, Any]) -> bool:
    """Whether next to nothing is traded under a rule, so that its other outcomes are those of no market at all."""
    return bool(volume["pairs"] and volume["changed"] < STILL_SHARE * volume["base"])


def _worse_tail(tail: Mapping[str, Any]) -> list[str]:
    low = tail["var95_change_low"]
    return ["bad_debt_var95"] if low is not None and low > 0 else []


def mark_found(tables: Sequence[dict[str, Any]]) -> None:
    """Set `found` of every effect and `worse_found` of every row: what stands when all sign tests count."""
    effects = [row["effects"][c.key] for table in tables for row in table["rows"] for c in COLUMNS]
    tested = sorted(e["sign"]["p"] for e in effects if e["pairs"] >= LEAST_PAIRS and e["sign"]["p"] < 1)
    tests = sum(e["pairs"] >= LEAST_PAIRS for e in effects)
    most = max((p for place, p in enumerate(tested, 1) if p <= FALSE_SHARE * place / tests), default=-1.0)
    for effect in effects:
        effect["found"] = bool(effect["clear"] and effect["sign"]["p"] <= most)
    for table in tables:
        for row in table["rows"]:
            row["worse_found"] = [key for key in row["worse"] if row["effects"].get(key, {}).get("found")]


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if values.size else None


# --- words ------------------------------------------------------------------------------------------------------------
def group_text(table: Mapping[str, Any]) -> str:
    """Plain lines: means as it is, then differences with intervals; * where one is clear, ** where it is found."""
    columns = [column for column in COLUMNS if column.key in SHOWN]
    lines = [
        f"{table['title']}, {table['event']}: difference to '{BASE}', mean ({100 * LEVEL:.0f} % interval)",
        f"  {'':<34}{'pairs':>7}" + "".join(f"{f'{c.words}, {c.unit}':>26}" for c in columns)
        + f"{'VaR95 bad debt, $m':>20}",
        f"  {BASE:<34}{table['runs']:>7}" + "".join(f"{number(table['base'][c.key]):>26}" for c in columns)
        + f"{number(table['tail']['var95']):>20}",
    ]  # fmt: skip
    for row in table["rows"]:
        cells = "".join(f"{cell(row['effects'][c.key]):>26}" for c in columns)
        lines.append(f"  {row['variant']:<34}{row['pairs']:>7}{cells}{number(row['tail']['var95']):>20}")
        if row["worse"]:
            lines.append(f"    worse: {', '.join(worse_words(row))}")
        if row["no_market"]:
            lines.append("    nobody trades: whatever else stands here is the outcome of no market")
        if row["copied"]:
            lines.append(f"    in {row['copied']} of them the rule had nothing to do: not run")
    return "\n".join(lines)


def worse_words(row: Mapping[str, Any]) -> list[str]:
    """What got clearly worse, with a mark where it also stands among all tests."""
    names = {column.key: column.words.lower() for column in COLUMNS} | {"bad_debt_var95": "VaR95 of bad debt"}
    return [names[key] + ("**" if key in row.get("worse_found", ()) else "") for key in row["worse"]]


def cell(effect: Mapping[str, Any]) -> str:
    """A difference with its interval."""
    if effect["low"] is None or effect["low"] != effect["low"]:
        return number(effect["mean"])
    stars = "**" if effect.get("found") else "*" if effect["clear"] else ""
    return f"{number(effect['mean'])} ({number(effect['low'])}, {number(effect['high'])}){stars}"


def number(value: float | None) -> str:
    """Three digits; a dash where there is none."""
    if value is None or value != value:
        return "-"
    return f"{value:.3g}" if abs(value) < 1_000 else f"{value:,.0f}"
