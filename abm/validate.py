"""Many seeds of a scenario against what was measured: median, 90 % interval, band, in or out.

A row is inside when the median of the seeds lies in its band. What a row needs and most runs did not produce (no
deleveraging, no rebound in time) is a miss too. The share counts graded rows (A and B) that are no mere bounds, were
not put in and say nothing twice.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from abm.settings import SettingsError, Table, override
from abm.targets import EVENTS, SILENT, Target, event_of, subject, targets_of

if TYPE_CHECKING:
    from abm.scenario import Scenario
    from abm.sweep.study import Study

INTERVAL = (0.05, 0.95)
"""Quantiles of the 90 % interval over the seeds."""
RECOVERY = timedelta(minutes=75)
INSIDE, BELOW, ABOVE, MISSING = "inside", "below", "above", "not produced"
COLUMNS = (
    *("row", "measure", "venue", "unit", "key", "runs", "median", "low5", "high95", "real", "low", "high", "grade"),
    *("counted", "inside", "side", "inside_share", "source"),
)


def study_of(scenario: str, seeds: int, first: int, accounts: int | None, settings: Sequence[str]) -> Study:
    """The study that is run: one point, `seeds` seeds from `first` on, all measures kept."""
    from abm.sweep.study import study_from

    given: Table = {}
    for one in settings:
        given = override(given, one)
    if accounts is not None:
        given["accounts"] = accounts
    name = f"validate-{Path(scenario).stem}".lower()
    table = {"name": "".join(c if c.isalnum() else "-" for c in name), "scenario": scenario, "set": given}
    return study_from({**table, "replicates": seeds, "seed": first}, scenario)


def lengthened(scenario: Scenario, settings: Sequence[str]) -> list[str]:
    """`settings`, with a run long enough for the recovery after a low that is a quarter of an hour late.

    What comes earlier stays the same. A length that is given with --set is left alone.
    """
    event = event_of(scenario)
    given = any(one.partition("=")[0].strip() == "duration_s" for one in settings)
    if event is None or given:
        return list(settings)
    needed = (event.low_time + RECOVERY - scenario.start).total_seconds()
    return [*settings, f"duration_s={needed:.0f}"] if needed > scenario.duration_s else list(settings)


def targets_for(scenario: Scenario) -> tuple[Target, ...]:
    """The rows of a scenario. Raises SettingsError when there are none."""
    found = targets_of(scenario)
    if not found:
        known = ", ".join(f"{event.name} ({event.title})" for event in EVENTS)
        words = (
            f"{scenario.name}: nothing real to hold it against; it must have news and cover one of {known} from before"
        )
        raise SettingsError([f"{words} its first price until after its low, or have no news"])
    return found


def values_of(rows: Sequence[Mapping[str, Any]], target: Target) -> list[float | None]:
    """The measure of each run in the target's unit, None where a run has none."""
    found: list[float | None] = []
    for row in rows:
        value = row.get(target.path)
        known = isinstance(value, int | float) and math.isfinite(value)
        found.append(float(value) * target.scale if known and value is not None else None)
    return found


def judged(rows: Sequence[Mapping[str, Any]], targets: Sequence[Target]) -> list[dict[str, Any]]:
    """Each target beside the runs.

    Args:
        rows: flat measures of the runs (a sweep's rows: `venues.NAME.measure` for venues), failed ones left out.
        targets: what they are held against.

    Returns:
        Dicts with `COLUMNS` and `values`, one entry a run. `inside` is None only when there are no runs; `runs` is the
        number of those that have the measure, `inside_share` of all runs those that lie in the band.
    """
    result = []
    for target in targets:
        values = values_of(rows, target)
        known = np.array([value for value in values if value is not None])
        produced = known.size > 0 and 2 * known.size > len(values)
        median = float(np.median(known)) if known.size else math.nan
        low5, high95 = (float(q) for q in np.quantile(known, INTERVAL)) if known.size else (math.nan, math.nan)
        side = MISSING if not produced else BELOW if median < target.low else ABOVE if median > target.high else INSIDE
        within = int(((known >= target.low) & (known <= target.high)).sum())
        result.append(
            {
                "row": target.row,
                "measure": target.measure,
                "venue": target.venue,
                "unit": target.unit,
                "key": target.path,
                "runs": int(known.size),
                "median": median,
                "low5": low5,
                "high95": high95,
                "real": target.real,
                "low": target.low,
                "high": target.high,
                "grade": target.grade,
                "counted": target.counted,
                "inside": side == INSIDE if values else None,
                "side": side,
                "inside_share": within / len(values) if values else math.nan,
                "source": target.source,
                "values": values,
            }
        )
    return result


def share_inside(table: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Counted rows, those inside, the share in %."""
    counted = [row for row in table if row["counted"] and row["inside"] is not None]
    inside = sum(bool(row["inside"]) for row in counted)
    return {"counted": len(counted), "inside": inside, "percent": 100 * inside / len(counted) if counted else math.nan}


def spread_of(rows: Sequence[Mapping[str, Any]], key: str) -> dict[str, float]:
    """Median and 90 % interval of a measure over the runs that have it."""
    known = [row[key] for row in rows if isinstance(row.get(key), int | float) and math.isfinite(row[key])]
    if not known:
        return {"runs": 0, "median": math.nan, "low5": math.nan, "high95": math.nan}
    low, high = np.quantile(known, INTERVAL)
    return {"runs": len(known), "median": float(np.median(known)), "low5": float(low), "high95": float(high)}


def multipliers(rows: Sequence[Mapping[str, Any]], scenario: Scenario) -> list[dict[str, Any]]:
    """Fall over news: as declared, and for each share of the real fall that was left after a time.

    `news_percent` is the news each way, `multiplier` the model's, `real` that of the real fall. A multiplier is the
    model's own answer only for news of the size that it was given: the others say what its fall would mean if the news
    had been so large.
    """
    declared = spread_of(rows, "news_percent")["median"]
    found = [{"news": "as declared", "news_percent": declared, "real": math.nan, **spread_of(rows, "multiplier")}]
    event = event_of(scenario)
    for name, share in (event.left if event else {}).items():
        news = share * event.fall_percent if event else math.nan
        line = {"news": f"{100 * share:.0f} % left after {name}", "news_percent": news, "real": 1 / share}
        found.append({**line, **spread_of(rows, f"multiplier_news_{name}")})
    return found if declared < 0 else []


def report(scenario: Scenario, rows: Sequence[Mapping[str, Any]], failed: int) -> dict[str, Any]:
    """Everything `deleverage validate` writes: rows, share, multipliers, spread of every measure, rows left out."""
    from abm.provenance import source_hash, version

    table = judged(rows, targets_for(scenario))
    keys = sorted({key for row in rows for key, value in row.items() if isinstance(value, float | int)} - _OWN)
    return {
        "scenario": scenario.name,
        "title": scenario.title,
        "subject": subject(scenario),
        "accounts": scenario.accounts,
        "seeds": [row["seed"] for row in rows],
        "failed": failed,
        "version": version(),
        "source_hash": source_hash(),
        "inside": share_inside(table),
        "rows": table,
        "multipliers": multipliers(rows, scenario),
        "measures": {key: spread_of(rows, key) for key in keys},
        "not_spoken_to": [{"row": one.row, "what": one.what, "reason": one.reason} for one in SILENT],
    }


_OWN = {"seed", "point", "replicate", "seconds"}


def markdown(found: Mapping[str, Any]) -> str:
    """The graded rows of a report as a table for a page, with how many are inside and the multipliers."""
    from abm.pages import markdown_table

    share, plural = found["inside"], "s" if len(found["seeds"]) != 1 else ""
    head = (
        f"{found['title']}: **{share['inside']} of {share['counted']} graded rows inside**, {len(found['seeds'])} "
        f"seed{plural}, {found['accounts']:,} accounts, sources `{found['source_hash'][:12]}`."
    )
    heads = ("row", "median", "90 % of seeds", "real", "band", "grade", "seeds inside", "")
    rows = [
        (
            f"{row['measure']}{'' if row['unit'] == '-' else ', ' + row['unit']}",
            short(row["median"]),
            f"{short(row['low5'])} to {short(row['high95'])}" if row["runs"] else "–",
            short(row["real"]),
            f"{short(row['low'])} to {short(row['high'])}",
            row["grade"],
            f"{100 * row['inside_share']:.0f} %",
            "inside" if row["inside"] else f"**{row['side']}**",
        )
        for row in found["rows"]
        if row["counted"]
    ]
    table = markdown_table(heads, rows)
    if found["failed"]:
        head += f" {found['failed']} runs failed."
    times = [
        f"{short(line['median'])} ({line['news']}" + (f"; the real fall {short(line['real'])})" if known else ")")
        for line in found["multipliers"]
        if (known := math.isfinite(line["real"])) or line["runs"]
    ]
    return f"{head}\n\n{table}" + (f"\n\nFall over news: {', '.join(times)}." if times else "")


def short(value: float | None) -> str:
    """Three digits, thousands with commas; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.3g}" if abs(value) < 1_000 else f"{value:,.0f}"


def write_rows(table: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """The judged rows as CSV, without the single values."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        for row in table:
            writer.writerow({key: "" if isinstance(row[key], float) and math.isnan(row[key]) else row[key]
                             for key in COLUMNS})  # fmt: skip
    return path
