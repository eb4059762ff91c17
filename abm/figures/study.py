"""Figures of a study: a measure along one factor, over two with contours, sensitivities with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from abm.figures.compare import scaled, words_of
from abm.figures.panels import numbers
from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.style import BODY_PT, SOURCE_PT, Palette, save, short_number, styled, tint, with_commas

Floats = NDArray[np.float64]
Labels = Mapping[str, tuple[str, str]]
"""Column -> (words, unit), for measures and factors whose names do not say it well."""
RAMP = "cividis"
MOST_TICKS = 7


# --- what all share ---------------------------------------------------------------------------------------------------
def is_geometric(values: Floats) -> bool:
    """Whether values (n,) ascend by a factor rather than by a step."""
    if values.size < 3 or values[0] <= 0:
        return False
    ratios, steps = values[1:] / values[:-1], np.diff(values)
    return bool(np.ptp(np.log(ratios)) < np.ptp(np.log(steps)) and values[-1] > 4 * values[0])


def edges_of(values: Floats, log: bool) -> Floats:
    """Edges (n + 1,) of cells around values (n,)."""
    v = np.log(values) if log else values
    if v.size == 1:
        inner, half = np.zeros(0), 0.5 * (abs(v[0]) or 1.0)
        outer = (v[0] - half, v[0] + half)
    else:
        inner = (v[1:] + v[:-1]) / 2
        outer = (v[0] - (inner[0] - v[0]), v[-1] + (v[-1] - inner[-1]))
    edges = np.concatenate([[outer[0]], inner, [outer[1]]])
    return np.exp(edges) if log else edges


def plain_number(value: float) -> str:
    """A tick label: as many decimals as the number needs, true minus, thousands separated."""
    decimals = next((n for n in range(7) if abs(round(value, n) - value) < 1e-9 * max(1.0, abs(value))), 6)
    return with_commas(value, decimals)


def number_axis(axes: Axes, which: str, values: Floats, log: bool) -> None:
    """Ticks at the values themselves (thinned to a few); log scale where they are geometric."""
    if log:
        getattr(axes, f"set_{which}scale")("log")
    axis = getattr(axes, f"{which}axis")
    every = -(-values.size // MOST_TICKS)
    axis.set_major_locator(FixedLocator(values[::every].tolist()))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: short_or_plain(value)))


def short_or_plain(value: float) -> str:
    """`plain_number`, or three digits where that would be long."""
    words = plain_number(value)
    return words if len(words) <= 6 else short_number(value)


def label_of(column: str, labels: Labels | None) -> str:
    """Name of a factor on an axis, with its unit if known."""
    if labels and column in labels:
        words, unit = labels[column]
        return f"{words}, {unit}" if unit else words
    return column


def narrowed(plate: Plate, axes: Axes, left_in: float = 0.0, right_in: float = 0.0) -> None:
    """Take room from the sides of a panel's axes, for row names or a colour scale."""
    box = axes.get_position()
    left, right = plate.sheet.across(left_in), plate.sheet.across(right_in)
    axes.set_position((box.x0 + left, box.y0, box.width - left - right, box.height))


def percent(level: float) -> str:
    """95 %"""
    return f"{plain_number(round(100 * level, 6))} %"


# --- one factor -------------------------------------------------------------------------------------------------------
def draw_curves(
    curves: Sequence[pd.DataFrame], title: str, path: Path, labels: Labels | None = None, note: str = ""
) -> Path:
    """Measures along one factor, a panel for each table of `analysis.curve`; dots with intervals."""
    facts = curves[0].attrs
    runs = int(curves[0]["runs"].sum())
    what = f"{percent(facts['level'])} of the runs" if facts["interval"] == "quantile" else (
        f"{percent(facts['level'])} interval of the {facts['statistic']} (bootstrap over replicates)"
    )  # fmt: skip
    lines = [f"{runs:,} runs; ring = {facts['statistic']} of the replicates, band = {what}", *([note] if note else [])]
    columns = min(3, len(curves)) if len(curves) != 4 else 2
    with styled() as colours:
        plate = Plate(title, lines, -(-len(curves) // columns), columns, colours, (3.3, 2.4))
        for one in curves:
            _draw_curve(plate, one, colours, labels)
        return save(plate.sheet.figure, path)


def _draw_curve(plate: Plate, table: pd.DataFrame, colours: Palette, labels: Labels | None) -> None:
    factor, measure = table.attrs["factor"], table.attrs["measure"]
    words, unit = words_of(measure, labels)
    x = table[factor].to_numpy(np.float64)
    scale, unit = scaled(table[["middle", "low", "high"]].to_numpy(np.float64).ravel(), unit)
    middle, low, high = (table[key].to_numpy(np.float64) / scale for key in ("middle", "low", "high"))
    without = int(table["without"].sum())
    note = f"{without:,} runs have no value of it" if without else ""
    axes = plate.panel(words, unit, note, across=label_of(factor, labels))
    number_axis(axes, "x", x, is_geometric(x))
    axes.fill_between(x, low, high, color=tint(colours.short, colours.paper, 0.25), linewidth=0)
    axes.vlines(x, low, high, color=colours.short, linewidth=1.0)
    axes.plot(x, middle, color=colours.perp, linewidth=1.3)
    axes.plot(x, middle, "o", markersize=5, mfc=colours.paper, mec=colours.perp, mew=1.2, clip_on=False, zorder=4)
    numbers(axes)
    axes.margins(y=0.08)
    if x.size > 1:  # also where the ends have no value
        log = is_geometric(x)
        air = (x[-1] / x[0]) ** 0.03 if log else 0.03 * (x[-1] - x[0])
        axes.set_xlim((x[0] / air, x[-1] * air) if log else (x[0] - air, x[-1] + air))


# --- two factors ------------------------------------------------------------------------------------------------------
def draw_phase(
    diagrams: Sequence[pd.DataFrame],
    title: str,
    path: Path,
    *,
    levels: Mapping[str, float] | None = None,
    crossing: pd.DataFrame | None = None,
    labels: Labels | None = None,
    note: str = "",
) -> Path:
    """Heat maps of tables of `analysis.phase_diagram`, with a contour where a measure crosses a level.

    Args:
        diagrams: one panel each, all over the same two factors.
        levels: measure -> level; its contour is drawn into every panel.
        crossing: table of `analysis.crossings` of the first of `levels`: its interval is drawn too.
    """
    facts, empty = diagrams[0].attrs, max(table.attrs["empty"] for table in diagrams)
    few, many = facts["replicates"]
    times = f"{few}" if few == many else f"{few} to {many}"
    lines = [f"{facts['runs']:,} runs, {times} a cell; colour = {facts['statistic']} over them"
             + ("; hatched = no value" if empty else "")]  # fmt: skip
    lines += _contour_words(levels or {}, crossing is not None, labels) + ([note] if note else [])
    columns = min(3, len(diagrams)) if len(diagrams) != 4 else 2
    with styled() as colours:
        plate = Plate(title, lines, -(-len(diagrams) // columns), columns, colours, (3.9, 2.9))
        by_name = {table.attrs["measure"]: table for table in diagrams}
        for table in diagrams:
            axes = _draw_cells(plate, table, colours, labels)
            for name, level in (levels or {}).items():
                _draw_contour(axes, by_name.get(name), level, colours)
            if crossing is not None:
                _draw_crossing(axes, crossing, colours)
        return save(plate.sheet.figure, path)


def _contour_words(levels: Mapping[str, float], interval: bool, labels: Labels | None) -> list[str]:
    if not levels:
        return []
    each = [f"{words_of(name, labels)[0].lower()} = {plain_number(level)}" for name, level in levels.items()]
    tail = "; bars: its 95 % interval along the horizontal (bootstrap over replicates)" if interval else ""
    return [f"line: {', '.join(each)}{tail}"]


def _draw_cells(plate: Plate, table: pd.DataFrame, colours: Palette, labels: Labels | None) -> Axes:
    words, unit = words_of(table.attrs["measure"], labels)
    values = table.to_numpy(np.float64)
    scale, unit = scaled(values, unit)
    up, across = str(table.index.name), str(table.columns.name)
    axes = plate.panel(words, unit, f"up: {label_of(up, labels)}", across=label_of(across, labels))
    narrowed(plate, axes, right_in=0.62)
    axes.grid(visible=False)
    x, y = (np.asarray(index, np.float64) for index in (table.columns, table.index))
    logs = is_geometric(x), is_geometric(y)
    box = edges_of(x, logs[0]), edges_of(y, logs[1])
    ground = Rectangle((0, 0), 1, 1, transform=axes.transAxes, facecolor=colours.band, edgecolor=colours.axis,
                       hatch="////", linewidth=0, zorder=0)  # fmt: skip
    axes.add_patch(ground)
    ramp = matplotlib.colormaps[RAMP]
    drawn = axes.pcolormesh(*box, np.ma.masked_invalid(values / scale), cmap=ramp, linewidth=0, zorder=1)
    number_axis(axes, "x", x, logs[0])
    number_axis(axes, "y", y, logs[1])
    axes.set_xlim(box[0][0], box[0][-1])
    axes.set_ylim(box[1][0], box[1][-1])
    place = axes.get_position()
    left, width = place.x1 + plate.sheet.across(0.1), plate.sheet.across(0.13)
    side = plate.sheet.figure.add_axes((left, place.y0, width, place.height))
    bar = plate.sheet.figure.colorbar(drawn, cax=side)
    bar.outline.set_visible(False)
    bar.locator = MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10])
    bar.update_ticks()
    side.tick_params(length=0, labelsize=SOURCE_PT, pad=3)
    side.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short_or_plain(value)))
    return axes


def _draw_contour(axes: Axes, table: pd.DataFrame | None, level: float, colours: Palette) -> None:
    """Line where a table crosses a level, on paper so that it shows on any colour."""
    if table is None or min(table.shape) < 2:
        return
    values = table.to_numpy(np.float64)
    if not np.nanmin(values) < level < np.nanmax(values):
        return
    grid = np.asarray(table.columns, np.float64), np.asarray(table.index, np.float64), np.ma.masked_invalid(values)
    axes.contour(*grid, levels=[level], colors=[colours.paper], linewidths=3.6, zorder=3)
    axes.contour(*grid, levels=[level], colors=[colours.long], linewidths=1.8, zorder=4)


def _draw_crossing(axes: Axes, crossing: pd.DataFrame, colours: Palette) -> None:
    """Interval of the crossing, a bar in every row of cells."""
    y = crossing.iloc[:, 0].to_numpy(np.float64)
    low, high = crossing["low"].to_numpy(np.float64), crossing["high"].to_numpy(np.float64)
    known = np.isfinite(low) & np.isfinite(high) & np.isfinite(crossing["place"].to_numpy(np.float64))
    axes.hlines(y[known], low[known], high[known], color=colours.paper, linewidth=3.2, zorder=3)
    axes.hlines(y[known], low[known], high[known], color=colours.long, linewidth=1.4, zorder=4)


# --- sensitivity ------------------------------------------------------------------------------------------------------
def draw_sensitivity(
    title: str,
    path: Path,
    *,
    sobol: pd.DataFrame | None = None,
    morris: pd.DataFrame | None = None,
    labels: Labels | None = None,
    note: str = "",
) -> Path:
    """Bars with intervals: Morris's mean sizes and their spread, Sobol's first and total indices; largest on top."""
    tables = [table for table in (morris, sobol) if table is not None]
    if not tables:
        raise ValueError("nothing to draw: give sobol, morris or both")
    rows = max(len(table) for table in tables)
    panels = (2 if morris is not None else 0) + (1 if sobol is not None else 0)
    lines = [_facts(table, labels) for table in tables] + ([note] if note else [])
    with styled() as colours:
        plate = Plate(title, lines, 1, panels, colours, (4.4, max(1.4, 0.42 * rows + 0.3)))
        if morris is not None:
            _draw_bars(plate, morris, colours, labels, ("mu_star",), "Mean size of an effect", "Morris")
            _draw_spread(plate, morris, colours, labels)
        if sobol is not None:
            _draw_bars(plate, sobol, colours, labels, ("first", "total"), "Share of the variance", "Sobol")
        return save(plate.sheet.figure, path)


def _facts(table: pd.DataFrame, labels: Labels | None) -> str:
    facts = table.attrs
    size = f"{facts['base']:,} base rows" if "base" in facts else f"{facts['trajectories']:,} trajectories"
    noise = facts["noise_share"]
    chance = "" if not np.isfinite(noise) else f"; chance makes {percent(round(noise, 3))} of the variance over points"
    kind = "Sobol" if "base" in facts else "Morris"
    name = words_of(facts["measure"], labels)[0].lower()
    return f"{kind} of {name}: {size}, {facts['runs']:,} runs; bars with {percent(facts['level'])} intervals{chance}"


def _draw_bars(
    plate: Plate,
    table: pd.DataFrame,
    colours: Palette,
    labels: Labels | None,
    kinds: Sequence[str],
    title: str,
    by: str,
) -> None:
    hues = {"mu_star": colours.perp, "first": colours.perp, "total": tint(colours.short, colours.paper, 0.6)}
    names = {"first": "alone", "total": "with interactions"}
    keys = [Key("bar", hues[kind], names[kind]) for kind in kinds if kind in names]
    unit = words_of(table.attrs["measure"], labels)[1] if by == "Morris" else ""
    scale, unit = scaled(table["mu_star"].to_numpy(), unit) if by == "Morris" else (1.0, "")
    axes = plate.panel(title, unit, "" if keys else "over the whole range of the factor", keys)
    ordered = table.sort_values(kinds[-1])
    words = [label_of(str(name), labels) for name in ordered.index]
    narrowed(plate, axes, left_in=max(plate.sheet.width_of_words(name) for name in words) + 0.06)
    high = 0.7 / len(kinds)
    for i, kind in enumerate(kinds):
        place = np.arange(len(ordered)) + high * ((len(kinds) - 1) / 2 - i)
        value, low, top = (ordered[key].to_numpy(np.float64) / scale for key in (kind, f"{kind}_low", f"{kind}_high"))
        axes.barh(place, value, height=high * 0.92, color=hues[kind])
        axes.hlines(place, low, top, color=colours.paper, linewidth=3.0)
        axes.hlines(place, low, top, color=colours.long, linewidth=1.4)
    axes.axvline(0, color=colours.axis, linewidth=0.8)
    axes.yaxis.set_major_locator(FixedLocator(list(range(len(words)))))
    axes.set_yticklabels(words)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x", color=colours.grid, linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_or_plain(value)))


def _draw_spread(plate: Plate, table: pd.DataFrame, colours: Palette, labels: Labels | None) -> None:
    """Morris's plane: far right matters, high up acts through others or bends."""
    scale, unit = scaled(table["mu_star"].to_numpy(), words_of(table.attrs["measure"], labels)[1])
    size, spread = table["mu_star"].to_numpy(np.float64) / scale, table["sigma"].to_numpy(np.float64) / scale
    keys = [Key("dashes", colours.note, "as large as the mean")]
    note, across = "above the dashes: interactions or curvature", "mean size of an effect"
    axes = plate.panel("Spread of the effects", unit, note, keys, across=across)
    top = 1.12 * max(float(np.nanmax(size)), 1e-300)
    axes.plot([0, top], [0, top], color=colours.note, linewidth=1.2, linestyle=(0, (3, 2)))
    axes.plot(size, spread, "o", markersize=6, color=colours.perp, clip_on=False)
    for name, x, y in zip(table.index, size, spread, strict=True):
        left = x > 0.6 * top
        axes.annotate(label_of(str(name), labels).split(",")[0], (x, y), (-7 if left else 7, 0), va="center",
                      textcoords="offset points", ha="right" if left else "left", fontsize=BODY_PT, zorder=5,
                      bbox={"facecolor": colours.paper, "edgecolor": "none", "pad": 1.0, "alpha": 0.85})  # fmt: skip
    axes.set_xlim(0, top)
    axes.set_ylim(0, 1.12 * max(float(np.nanmax(spread, initial=0.0)), 0.05 * top))
    numbers(axes)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_or_plain(value)))
