"""Figure of a tail: how often so much is lost, and value at risk with expected shortfall by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from abm.figures.compare import scaled, variant_colours, words_of
from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.study import Labels, narrowed, percent, short_or_plain
from abm.figures.style import Palette, save, styled

Floats = NDArray[np.float64]
MOST_KEYS = 3
"""Groups that a legend has room for; more are named in the second panel only."""


def draw_tails(
    groups: Mapping[str, Floats],
    table: pd.DataFrame,
    measure: str,
    title: str,
    path: Path,
    labels: Labels | None = None,
) -> Path:
    """Share of runs that lose at least so much, and value at risk with shortfall by group.

    Args:
        groups: name -> values of the runs (n,).
        table: rows of `analysis.tails`, group after group in the same order.
    """
    words, unit = words_of(measure, labels)
    scale, unit = scaled(np.concatenate(list(groups.values())), unit)
    runs = sum(len(values) for values in groups.values())
    lines = [
        f"{runs:,} runs. Value at risk: 95 % intervals from order statistics, open to the right with too few runs.",
        "Expected shortfall: mean loss beyond the value at risk; 95 % intervals by bootstrap over runs.",
    ]
    with styled() as colours:
        plate = Plate(title, lines, 1, 2, colours, (4.2, 2.9))
        hues = dict(zip(groups, variant_colours(len(groups), colours), strict=True))
        keys = [Key("line", hue, name) for name, hue in hues.items()] if 1 < len(groups) <= MOST_KEYS else []
        note = "colours as in b" if len(groups) > MOST_KEYS else ""
        axes = plate.panel(words, "share of the runs with at least this", note, keys, across=f"{words.lower()}, {unit}")
        for name, values in groups.items():
            _draw_exceedance(axes, np.sort(values) / scale, hues[name])
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(FixedLocator([m * 10.0**-n for n in range(5) for m in (1, 0.5, 0.2)]))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(value)))
        axes.set_ylim(0.6 / max(len(values) for values in groups.values()), 1.3)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_or_plain(value)))
        _draw_risk(plate, list(groups), table, scale, unit, colours, hues)
        return save(plate.sheet.figure, path)


def _draw_exceedance(axes: Axes, ordered: Floats, hue: str) -> None:
    share = 1 - np.arange(ordered.size) / ordered.size
    axes.step(ordered, share, where="pre", color=hue, linewidth=1.5)


def _draw_risk(
    plate: Plate, names: Sequence[str], table: pd.DataFrame, scale: float, unit: str, colours: Palette, hues: Any
) -> None:
    keys = [Key("ring", colours.perp, "value at risk"), Key("diamond", colours.long, "expected shortfall")]
    axes = plate.panel("In the tail", unit, "", keys)
    shares = sorted(table["share"].unique())
    each = len(shares)
    rows = [(name if len(names) > 1 else "", share) for name in names for share in shares]
    words = [f"{name}  {percent(share)}".strip() for name, share in rows]
    narrowed(plate, axes, left_in=max(0.0, max(plate.sheet.width_of_words(one) for one in words) - 0.5))
    value = {key: table[key].to_numpy(np.float64) / scale for key in table if key not in ("share", "runs", "above")
             and pd.api.types.is_numeric_dtype(table[key])}  # fmt: skip
    largest = 1.1 * max(float(np.nanmax(value["largest"])), float(np.nanmax(value["shortfall_high"])), 1e-12)
    for i in range(len(rows)):
        hue, place = hues[names[i // each]], len(rows) - 1 - i
        high = min(value["var_high"][i], largest)
        axes.hlines(place + 0.12, max(value["var_low"][i], 0.0), high, color=hue, linewidth=1.4)
        axes.hlines(
            place - 0.12, value["shortfall_low"][i], value["shortfall_high"][i], color=colours.long, linewidth=1.4
        )
        axes.plot(
            value["var"][i], place + 0.12, "o", markersize=5.5, mfc=colours.paper, mec=hue, mew=1.3, clip_on=False
        )
        axes.plot(value["shortfall"][i], place - 0.12, "D", markersize=4.5, color=colours.long, clip_on=False)
    axes.set_xlim(0, largest)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.yaxis.set_major_locator(FixedLocator([len(rows) - 1 - i for i in range(len(rows))]))
    axes.set_yticklabels(words)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x", color=colours.grid, linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_or_plain(value)))
