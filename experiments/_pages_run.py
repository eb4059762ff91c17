"""One run of `scenario-pages`: its measures and, in bars, everything that its steps record. The sweep engine calls it.

A bar is some ticks long, so that a run of any length has a few hundred: flows are summed up over it, prices have their
lowest or highest value, everything else is as it stands at its end. All pictures and tables are made from the bars, so
that a new column of a table needs no new run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from abm.figures.timeaxis import TICK_STEPS_S
from abm.measures import summary
from abm.model import MarketModel
from abm.provenance import finite
from abm.recorder import Recorder
from abm.scenario import load_scenario

RUNNER = "experiments._pages_run:variant"
BARS = 800
FLOWS = frozenset(
    {
        *("rounds", "messages", "fills", "volume_btc", "net_taker_btc", "spot_volume_btc", "taken_over_usd"),
        *("liquidated_long_usd", "liquidated_short_usd", "liquidated_long_accounts", "liquidated_short_accounts"),
        *("adl_usd", "adl_accounts", "news_fair_change"),
    }
)
"""Columns of the steps that count what happened in a tick."""
LOWEST, HIGHEST = frozenset({"perp_low_usd"}), frozenset({"perp_high_usd"})
KEPT = ("start", "tick_s", "markets", "assets", "venues")
"""What the tables of a run need of its `run.json`."""
NAMES = ("coin", "venue", "time", "tick")
"""Columns that are no figures; of them only the time is kept, as seconds since the start."""


def variant(values: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Run a scenario with settings; measures, extremes of the spot price, returns by the minute, and bars.

    Args:
        values: scenario, accounts, settings (texts `a.b=value`), record (level), variant (a name for people).
        seed: of the run.
    """
    scenario = load_scenario(values["scenario"], list(values["settings"]), seed, values["accounts"])
    recorder = Recorder(values["record"])
    MarketModel(scenario, recorder=recorder).run()
    run = recorder.run()
    every = ticks_of_bar(len(run.steps), scenario.tick_s)
    tables = {"steps": run.steps, "participants": run.participants}
    tables |= {f"alts.{name}": rows for name, rows in run.alts.groupby("coin", sort=False)}
    kept = {
        "info": {key: run.info[key] for key in KEPT}
        | {"name": scenario.name, "title": scenario.title, "seed": seed, "bar_s": every * scenario.tick_s}
        | {"scenario": {"accounts": scenario.accounts}},
        "bars": {name: lists(in_bars(rows, every), run.info["start"]) for name, rows in tables.items()},
    }
    return {**summary(run), **by_minute(run.steps, scenario.tick_s), "kept_json": json.dumps(finite(kept))}


def ticks_of_bar(ticks: int, tick_s: float) -> int:
    """Ticks in a bar: a round number of seconds, at most `BARS` bars."""
    wanted = ticks * tick_s / BARS
    seconds = next((step for step in TICK_STEPS_S if step >= wanted), TICK_STEPS_S[-1])
    return max(1, round(seconds / tick_s))


def in_bars(rows: pd.DataFrame, every: int) -> pd.DataFrame:
    """A table with one row a tick (n,), in bars of `every` ticks (n / every, rounded up); the last may be shorter."""
    if rows.empty:
        return rows
    firsts = np.arange(0, len(rows), every)
    lasts = np.minimum(firsts + every, len(rows)) - 1
    found = rows.iloc[lasts].reset_index(drop=True)
    for names, total in ((FLOWS, np.add), (LOWEST, np.fmin), (HIGHEST, np.fmax)):
        for name in names & set(rows.columns):
            found[name] = total.reduceat(rows[name].to_numpy(np.float64), firsts)
    return found


def lists(rows: pd.DataFrame, start: str) -> dict[str, list[float]]:
    """Columns as lists of nine digits, the time as seconds since the start."""
    if rows.empty:
        return {}
    seconds = (rows["time"] - pd.Timestamp(start)).dt.total_seconds()
    columns = {"seconds": seconds} | {key: rows[key] for key in rows.columns if key not in NAMES}
    return {str(key): [float(f"{value:.9g}") for value in column] for key, column in columns.items()}


def by_minute(steps: pd.DataFrame, tick_s: float) -> dict[str, float]:
    """Lowest and highest spot price; standard deviation and largest size of one-minute returns of the perpetual."""
    every = max(1, round(60.0 / tick_s))
    returns = 1e4 * np.diff(np.log(steps["perp_usd"].to_numpy()[::every]))
    few = returns.size < 3
    return {
        "spot_low_usd": float(steps["spot_usd"].min()),
        "spot_high_usd": float(steps["spot_usd"].max()),
        "minute_sd_bp": float("nan") if few else float(returns.std()),
        "minute_most_bp": float("nan") if few else float(np.abs(returns).max()),
    }
