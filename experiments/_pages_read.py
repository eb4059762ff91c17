"""What a run of `scenario-pages` kept, as tables again, and single figures taken from it by a short text.

A figure is a measure of `abm.measures.summary` (or of `experiments/_pages_run.py`) by its name, or one word and a
column. Columns are those of the steps; those of participants have a dot (`funds.custody_btc`), those of an altcoin its
name in front (`ETH:perp_usd`).

first, last           value of the first or the last bar
most, least           largest and smallest value of any bar
change                from the first to the last bar, %
rise, dip             from the first bar to the largest or smallest value, %
before, drift         value in the last bar before any news; change from the first bar to there, %
total, ahead, after   sum over all bars, over those before any news, over the others
since 21:36           sum over the bars that end after that time of the first day, UTC
below 98000           sum over the bars that end with the perpetual below that price
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from abm.figures.timeaxis import Floats
from abm.recorder import Run

OF_VALUES: dict[str, Callable[[Floats], float]] = {
    "first": lambda values: float(values[0]),
    "last": lambda values: float(values[-1]),
    "most": lambda values: float(np.nanmax(values)),
    "least": lambda values: float(np.nanmin(values)),
    "change": lambda values: 100.0 * float(values[-1] / values[0] - 1.0),
    "rise": lambda values: 100.0 * float(np.nanmax(values) / values[0] - 1.0),
    "dip": lambda values: 100.0 * float(np.nanmin(values) / values[0] - 1.0),
    "total": lambda values: float(np.nansum(values)),
}
OF_NEWS = ("before", "drift", "ahead", "after")
OF_ARGUMENT = ("since", "below")


def read(kept_json: str) -> Run:
    """A run whose ticks are the bars that `experiments._pages_run.variant` kept."""
    kept = json.loads(kept_json)
    info = kept["info"] | {"tick_s": kept["info"]["bar_s"]}
    run = Run(Path(), info)
    frames = {name: _frame(columns, info["start"]) for name, columns in kept["bars"].items()}
    run.__dict__["steps"], run.__dict__["participants"] = frames.pop("steps"), frames.pop("participants")
    alts = [rows.assign(coin=name.removeprefix("alts.")) for name, rows in frames.items()]
    run.__dict__["alts"] = pd.concat(alts, ignore_index=True) if alts else pd.DataFrame({"coin": []})
    return run


def _frame(columns: Mapping[str, list[float | None]], start: str) -> pd.DataFrame:
    frame = pd.DataFrame({key: np.array(values, np.float64) for key, values in columns.items() if key != "seconds"})
    if "seconds" in columns:
        frame.insert(0, "time", pd.Timestamp(start) + pd.to_timedelta(columns["seconds"], unit="s"))
    return frame


def column_of(run: Run, name: str) -> Floats:
    """A column in bars, float64 (bars,). Raises KeyError where the run has none of that name."""
    coin, _, own = name.rpartition(":")
    table = run.alts[run.alts["coin"] == coin] if coin else run.participants if "." in name else run.steps
    found: Floats = table[own].to_numpy(np.float64)
    return found


def figure(measures: Mapping[str, Any], run: Run, text: str) -> float:
    """One figure of a run; nan where the run does not have it."""
    if " " not in text:
        found = measures.get(text)
        return math.nan if found is None else float(found)
    verb, _, rest = text.partition(" ")
    argument, _, column = rest.rpartition(" ")
    values = column_of(run, column)
    if verb in OF_VALUES and not argument:
        return OF_VALUES[verb](values)
    if verb in OF_NEWS and not argument:
        return _of_news(verb, values, run.steps["news_fair_change"].to_numpy())
    if verb == "since" and argument:
        begin = run.steps["time"].iloc[0].normalize() + pd.Timedelta(f"{argument}:00")
        return float(values[(run.steps["time"] > begin).to_numpy()].sum())
    if verb == "below" and argument:
        return float(values[run.steps["perp_usd"].to_numpy() < float(argument)].sum())
    raise ValueError(f"no figure {text!r}: {', '.join((*OF_VALUES, *OF_NEWS, *OF_ARGUMENT))} and a column")


def _of_news(verb: str, values: Floats, news: Floats) -> float:
    """Figures on either side of the first bar with news (bars,); nan without any."""
    moved = np.flatnonzero(news != 0)
    first = int(moved[0]) if moved.size else 0
    if not first:
        return math.nan
    if verb in ("before", "drift"):
        return float(values[first - 1]) if verb == "before" else 100.0 * float(values[first - 1] / values[0] - 1.0)
    return float(values[:first].sum() if verb == "ahead" else values[first:].sum())
