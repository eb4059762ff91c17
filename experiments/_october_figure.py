"""The pictures of `october`: a row a variant with a dot an event, and the critical point over leverage and depth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator, NullLocator

from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.study import draw_phase, narrowed
from abm.figures.style import Palette, save, styled
from experiments._october_tables import COLUMNS, LEAST_PAIRS, SHOWN, Column

ROW_IN = 0.26
NAMES_IN = 1.25
"""Room for the names of rows, beside that for numbers."""
ACROSS = 3
LINE = 150
"""Characters of a line under the title."""
PANELS = (*SHOWN[:4], "adl_usd", "bad_debt_usd", "var95", "depth_half_back_min", "volume_btc")
VAR95 = Column("var95", "Bad debt, VaR 95 %", "$m", bad=1)


def draw_group(tables: Sequence[Mapping[str, Any]], lines: Sequence[str], path: Path) -> Path:
    """One group on its events side by side: differences to the scenario as it is, mean and interval.

    Args:
        tables: of `group_table`, one an event, with the same variants.
        lines: under the title.
        path: PNG or PDF.
    """
    names = [row["variant"] for row in tables[0]["rows"]]
    shown = [column for column in _columns() if _moved(tables, column)] or list(_columns()[:1])
    with styled() as colours:
        hues = (colours.perp, colours.long)
        keys = [Key("square", hue, table["event"]) for hue, table in zip(hues, tables, strict=False)]
        size = (NAMES_IN + 1.7, max(ROW_IN * len(names), 0.9))
        said = [part for line in lines for part in wrap(line, LINE)]
        plate = Plate(tables[0]["title"], said, math.ceil(len(shown) / ACROSS), min(ACROSS, len(shown)), colours, size)
        for number, column in enumerate(shown):
            unit = "points" if column.unit == "%" else column.unit
            axes = plate.panel(column.words, unit, "", keys if number == 0 and len(tables) > 1 else ())
            narrowed(plate, axes, NAMES_IN)
            _rows(axes, names, colours)
            for place, (table, hue) in enumerate(zip(tables, hues, strict=False)):
                shift = 0.0 if len(tables) == 1 else (place - 0.5) * 0.34
                _dots(axes, table, column.key, shift, hue, colours)
            axes.margins(x=0.12)
        return save(plate.sheet.figure, path)


def _columns() -> list[Column]:
    by_key = {column.key: column for column in (*COLUMNS, VAR95)}
    return [by_key[key] for key in PANELS]


def _moved(tables: Sequence[Mapping[str, Any]], column: Column) -> bool:
    return any(_effect(row, column.key)[0] for table in tables for row in table["rows"])


def unchanged(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the measures that are the same with and without each rule, and get no panel."""
    same = []
    for column in _columns():
        if column.key != "var95":
            effects = [row["effects"][column.key] for table in tables for row in table["rows"]]
            if all(effect["pairs"] >= LEAST_PAIRS and effect["mean"] == 0 for effect in effects):
                same.append(column.words.lower())
    return same


def _rows(axes: Any, names: Sequence[str], colours: Palette) -> None:
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), names)
    axes.grid(True, axis="x")
    axes.axvline(0, color=colours.axis, linewidth=1.2)
    axes.xaxis.set_major_locator(MaxNLocator(4))


def _effect(row: Mapping[str, Any], key: str) -> tuple[float | None, float | None, float | None, bool]:
    """Difference, ends of its interval, and whether it stands; no difference where few pairs have the measure."""
    if key == "var95":
        tail = row["tail"]
        mean, low, high = (tail[f"var95_change{end}"] for end in ("", "_low", "_high"))
        stands = low is not None and (low > 0 or high < 0)
    else:
        effect = row["effects"][key]
        mean, low, high, stands = effect["mean"], effect["low"], effect["high"], bool(effect.get("found"))
    without = low is None or not math.isfinite(low)
    if mean is None or not math.isfinite(mean) or (without and row["pairs"] >= LEAST_PAIRS):
        return None, None, None, False
    return mean, None if without else low, high, stands


def _dots(axes: Any, table: Mapping[str, Any], key: str, shift: float, hue: str, colours: Palette) -> None:
    for place, row in enumerate(table["rows"]):
        mean, low, high, stands = _effect(row, key)
        if mean is None:
            continue
        at = place + shift
        if low is not None and high is not None:
            axes.plot([low, high], [at, at], color=hue, linewidth=1.6, solid_capstyle="butt")
        face = hue if stands else colours.paper
        axes.plot(mean, at, "s", markersize=4.2, color=hue, markerfacecolor=face, zorder=3)


def draw_convergence(tables: Sequence[Mapping[str, Any]], words: str, path: Path) -> Path:
    """Falls of single runs by resolution, and below the difference of medians to the finest with its margin.

    Args:
        tables: of `convergence_table`, one for each of tick, rounds, accounts.
        words: under the title.
        path: PNG or PDF.
    """
    names = {"tick": ("Tick length", "tick, s"), "rounds": ("Rounds in a tick, at most", "rounds"),
             "accounts": ("Number of accounts", "accounts")}  # fmt: skip
    lines = [words, "Below: median less that of the finest, 90 % interval; band: half the interquartile range of the "
             "finest; filled: inside it, so equivalent."]  # fmt: skip
    with styled() as colours:
        plate = Plate("Resolution and the fall", lines, 2, len(tables), colours, (3.1, 1.9))
        for table in tables:
            title, unit = names[table["group"]]
            axes = plate.panel(title, "% fall", "ring: a run, line: median", across=unit)
            for row in table["rows"]:
                values = row["values"]
                axes.plot([row["resolution"]] * len(values), values, "o", markersize=4, color=colours.note,
                          markerfacecolor="none", markeredgewidth=0.8)  # fmt: skip
            middle = [(row["resolution"], row["medians"]["fall_percent"]) for row in table["rows"] if row["values"]]
            axes.plot(*zip(*middle, strict=True), color=colours.perp, linewidth=1.4) if middle else None
            _log_axis(axes, table)
        for table in tables:
            axes = plate.panel(names[table["group"]][0], "points", across=names[table["group"]][1])
            _margins(axes, table, colours)
            _log_axis(axes, table)
        return save(plate.sheet.figure, path)


def _log_axis(axes: Any, table: Mapping[str, Any]) -> None:
    places = [row["resolution"] for row in table["rows"]]
    axes.set_xscale("log")
    axes.set_xlim(min(places) / 1.5, max(places) * 1.5)
    axes.set_xticks(places, [f"{one / 1000:g}k" if one >= 1000 else f"{one:g}" for one in places])
    axes.xaxis.set_minor_locator(NullLocator())


def _margins(axes: Any, table: Mapping[str, Any], colours: Palette) -> None:
    effects = [(row["resolution"], row["against_finest"].get("fall_percent")) for row in table["rows"]]
    known = [(at, effect) for at, effect in effects if effect and effect["low"] is not None]
    axes.axhline(0, color=colours.axis, linewidth=1.0)
    if known:
        margin = max(effect["margin"] for _, effect in known)
        axes.axhspan(-margin, margin, color=colours.band, zorder=0)
    else:
        axes.text(0.5, 0.5, "too few seeds", transform=axes.transAxes, ha="center", color=colours.note)
        axes.set_ylim(-1, 1)
    for at, effect in known:
        axes.plot([at, at], [effect["low"], effect["high"]], color=colours.perp, linewidth=1.6)
        face = colours.perp if effect["verdict"] == "equivalent" else colours.paper
        axes.plot(at, effect["difference"], "s", markersize=5, color=colours.perp, markerfacecolor=face, zorder=3)


def draw_critical(table: Mapping[str, Any], lines: Sequence[str], path: Path) -> Path:
    """Multiplier, branching ratio by flow, what it implies, and the oracle, over leverage and depth.

    A line shows where the oracle's n is one: where the mean-field theory of the calm book has no end.
    """
    rows = pd.DataFrame(table["rows"])
    diagrams = []
    for key in ("multiplier", "flow_branching_ratio", "flow_multiplier", "mean_field_n"):
        one = rows.pivot(index="leverage", columns="depth_btc", values=key).astype(float)
        one = one.replace([np.inf, -np.inf], np.nan)
        one.attrs = {
            "measure": key,
            "statistic": "mean",
            "runs": int(table["runs"]),
            "empty": int(one.isna().sum().sum()),
        }
        one.attrs["replicates"] = (int(table["seeds"]), int(table["seeds"]))
        diagrams.append(one)
    labels = {
        "multiplier": ("Fall / news", "times"),
        "flow_branching_ratio": ("Branching ratio n, measured", ""),
        "flow_multiplier": ("1 / (1 − n)", "times"),
        "mean_field_n": ("Oracle: n of the calm book", ""),
        "leverage": ("highest leverage", "x"),
        "depth_btc": ("depth of the makers", "BTC within 1 %"),
    }
    title = f"Critical point: {table['event']}"
    return draw_phase(diagrams, title, path, levels={"mean_field_n": 1.0}, labels=labels, note=" ".join(lines))
