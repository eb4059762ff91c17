"""Comparisons over seeds: paired dots (the same seed with and without a change) and bands over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from abm.figures.panels import numbers
from abm.figures.sheet import HEADER_IN, Key, Sheet, few_ticks, plain, title_height
from abm.figures.style import BODY_PT, Palette, save, short_number, styled, tint
from abm.figures.timeaxis import Clock, Floats, set_time_axis

WIDTH_IN = 10.0
ROW_IN, AXIS_IN, GAP_IN, FOOT_IN = 0.36, 0.26, 0.14, 0.22
LEAST_SHARE, MOST_SHARE = 10.0, 90.0
KEYS = ("seed", "variant")
BAND_IN = 1.25
CHANGE_PT = 136.0
"""Distance of the paired change from the axes, in points: right of median and band."""
UNITS = {"percent": "%", "usd": "$", "btc": "BTC", "bp": "bp", "s": "s", "min": "min", "minutes": "min"}
SCALES = ((1e9, "billion"), (1e6, "million"), (1e3, "thousand"))


def words_of(measure: str, labels: Mapping[str, tuple[str, str]] | None) -> tuple[str, str]:
    """Title and unit of a measure: as given in `labels`, else from its name ("fall_percent" is Fall, %)."""
    if labels and measure in labels:
        return labels[measure]
    head, _, tail = measure.rpartition("_")
    unit = UNITS.get(tail, "")
    name = (head if unit and head else measure).replace("_", " ").strip()
    return name[:1].upper() + name[1:], unit


def scaled(values: Floats, unit: str) -> tuple[float, str]:
    """Divisor and unit for dollars and coins too large to read: $ becomes "$ million", BTC "thousand BTC"."""
    largest = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 0.0
    for scale, word in SCALES if unit in ("$", "BTC") else ():
        if largest >= (20.0 if scale == 1e3 else 1.0) * scale:
            return scale, f"{unit} {word}" if unit == "$" and word != "thousand" else f"{word} {unit}"
    return 1.0, unit


def spread(values: Floats) -> tuple[float, float, float]:
    """10th percentile, median and 90th percentile of the finite values; nan without any."""
    known = values[np.isfinite(values)]
    if not len(known):
        return float("nan"), float("nan"), float("nan")
    low, middle, high = np.percentile(known, [LEAST_SHARE, 50.0, MOST_SHARE])
    return float(low), float(middle), float(high)


def band_over_seeds(values: Floats) -> tuple[Floats, Floats, Floats]:
    """10th percentile, median and 90th percentile at each instant.

    `values` is float64[seeds, n]; a gap in one seed is left out, an instant without any value stays nan.
    """
    columns = [spread(values[:, i]) for i in range(values.shape[1])]
    low, middle, high = np.array(columns, dtype=np.float64).reshape(-1, 3).T
    return low, middle, high


def measures_of(table: pd.DataFrame, skip: Sequence[str] = KEYS) -> list[str]:
    """Numeric columns that are not keys, in their order."""
    return [str(name) for name in table.columns if name not in skip and pd.api.types.is_numeric_dtype(table[name])]


def seeds_words(count: int) -> str:
    """How many seeds, with a warning where there is only one."""
    return "one seed: one path, no spread" if count == 1 else f"{count} seeds"


# --- paired dots ------------------------------------------------------------------------------------------------------
def draw_compare(
    pairs: pd.DataFrame,
    title: str,
    path: Path | str,
    labels: Mapping[str, tuple[str, str]] | None = None,
    note: str = "",
    theme: str = "light",
) -> Path:
    """Paired dots per seed, one panel a measure; the path written.

    `pairs`: one row per seed and variant, columns `seed`, `variant` and numeric measures; the variants keep the order
    in which they first appear, the first is the one the others are set against. `labels`: measure -> (title, unit).
    `note`: a line under the title. `path` ends in .png or .pdf. Raises ValueError when `seed` or `variant` is missing
    or a seed is there twice for a variant.
    """
    missing = [name for name in KEYS if name not in pairs.columns]
    if missing:
        raise ValueError(f"the comparison lacks the column {missing[0]!r}; it has {', '.join(map(str, pairs.columns))}")
    if pairs.duplicated(list(KEYS)).any():
        raise ValueError("the comparison has a seed twice for one variant")
    with styled(theme) as colours:
        return save(compare_sheet(pairs, title, colours, labels, note).figure, path)


def compare_sheet(
    pairs: pd.DataFrame, title: str, colours: Palette, labels: Mapping[str, tuple[str, str]] | None, note: str
) -> Sheet:
    """The drawn comparison, before it is saved."""
    variants = [str(name) for name in pd.unique(pairs["variant"])]
    measures = measures_of(pairs)
    seeds = pairs["seed"].nunique()
    lines = [
        f"{seeds_words(seeds)}, the same in every row; dots = seeds, lines join a seed, bar = median, band = 10–90 %"
    ]
    lines += [note] if note else []
    panel_in = max(ROW_IN * len(variants), 0.6)
    each = HEADER_IN + panel_in + AXIS_IN + GAP_IN
    height = title_height(len(lines)) + each * max(len(measures), 1) + FOOT_IN
    sheet = Sheet(WIDTH_IN, height, colours, right_in=2.05 if len(variants) <= 2 else 3.35)
    sheet.title(title, lines)
    longest = max((sheet.width_of_words(name) for name in variants), default=0.0)
    sheet.left_in = min(max(0.62, 0.27 + longest + 0.14), 3.6)
    if not measures or not variants:
        sheet.write(0.27, sheet.down_in + 0.25, "Nothing to compare: no rows or no measures.", color=colours.note)
        return sheet
    for number, measure in enumerate(measures):
        sheet.down_in += GAP_IN
        table = pairs.assign(variant=pairs["variant"].astype(str)).pivot(
            index="seed", columns="variant", values=measure
        )
        values = table[variants].to_numpy(np.float64, na_value=np.nan)
        draw_pairs(sheet, chr(ord("a") + number % 26), words_of(measure, labels), values, variants, panel_in)
        sheet.down_in += AXIS_IN
    return sheet


def draw_pairs(
    sheet: Sheet, letter: str, words: tuple[str, str], values: Floats, variants: Sequence[str], panel_in: float
) -> Axes:
    """One measure: a row per variant. `values` is float64[seeds, variants]."""
    colours, count = sheet.colours, len(variants)
    scale, unit = scaled(values, words[1])
    values = values / scale
    changes = [change_words(values[:, place] - values[:, 0], unit if count == 2 else "") for place in range(1, count)]
    note = f"Median change of a seed against {variants[0]}: " + (
        "at the right, after median and band." if count > 2 else "".join(changes)
    )
    inner, sheet.left_in = sheet.left_in, 0.62
    sheet.header(letter, words[0], unit, note if count > 1 else "One variant; nothing to set it against.")
    sheet.left_in = inner
    axes = sheet.axes(panel_in)
    sheet.down_in += panel_in
    plain(axes, colours, grid="x")
    axes.grid(visible=False, axis="y")
    rows = np.arange(count)[::-1].astype(np.float64)
    axes.set_ylim(-0.6, count - 0.4)
    axes.set_yticks(rows, [shortened(sheet, name, inner - 0.4) for name in variants])
    if not np.isfinite(values).any():
        axes.set_xticks([])
        axes.text(0.5, 0.5, "not available", transform=axes.transAxes, ha="center", va="center", color=colours.note)
        return axes
    line = tint(colours.note, colours.paper, 0.45 if count == 2 else 0.25)
    for one in values:
        axes.plot(one, rows, color=line, linewidth=0.7, zorder=2)
    for place in range(count):
        draw_row(axes, values[:, place], float(rows[place]), colours.note if place == 0 else colours.perp, colours)
        if count > 2 and place > 0:
            beside(axes, changes[place - 1], float(rows[place]), CHANGE_PT, colours.note)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 2.5, 5, 10]))
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    air = 0.04 * (high - low) or max(abs(high) * 0.05, 0.5)
    axes.set_xlim(low - air, high + air)
    number_along(axes)
    return axes


def draw_row(axes: Axes, values: Floats, row: float, ink: str, colours: Palette) -> None:
    """Dots, median bar, 10-90 % band and numbers of one variant. `values` is float64[seeds]."""
    low, middle, high = spread(values)
    if not np.isfinite(middle):
        beside(axes, "not available", row, 10.0, colours.note)
        return
    if np.isfinite(values).sum() > 1:
        place = ((low, row - 0.24), high - low, 0.48)
        axes.add_patch(Rectangle(*place, facecolor=colours.axis, alpha=0.55, linewidth=0, zorder=1))
    look: dict[str, Any] = {"markersize": 4.4, "alpha": 0.75, "markeredgewidth": 0, "zorder": 3, "clip_on": False}
    axes.plot(values, np.full(len(values), row), "o", color=ink, **look)
    axes.plot([middle, middle], [row - 0.32, row + 0.32], color=ink, linewidth=2.2, zorder=4)
    beside(axes, f"{short_number(middle)}  ({short_number(low)} to {short_number(high)})", row, 10.0, colours.text)


def beside(axes: Axes, words: str, row: float, right_pt: float, colour: str) -> None:
    """Words right of the axes, level with a row."""
    look: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points"}
    look |= {"va": "center", "fontsize": BODY_PT, "color": colour, "annotation_clip": False}
    axes.annotate(words, (1.0, row), (right_pt, 0.0), **look)


def number_along(axes: Axes) -> None:
    """Tick labels along the foot in the style of the side."""
    places = [float(place) for place in axes.get_xticks() if axes.get_xlim()[0] <= place <= axes.get_xlim()[1]]
    step = float(np.min(np.diff(places))) if len(places) > 1 else 1.0
    decimals = next((n for n in range(9) if abs(round(step, n) - step) < 1e-9 * max(1.0, step)), 9)
    axes.set_xticks(places, [f"{place:,.{decimals}f}".replace("-", "−") for place in places])


def shortened(sheet: Sheet, words: str, room_in: float) -> str:
    """`words`, cut with an ellipsis where they are wider than `room_in` inches."""
    while sheet.width_of_words(words) > room_in and len(words) > 2:
        words = words.rstrip("…")[:-1].rstrip() + "…"
    return words


def change_words(change: Floats, unit: str) -> str:
    """Median of a paired change and in how many seeds it has that direction. `change` is float64[seeds]."""
    known = change[np.isfinite(change)]
    if not len(known):
        return "no pair"
    middle = float(np.median(known))
    higher, lower = int((known > 0).sum()), int((known < 0).sum())
    side = f"higher in {higher}" if higher >= lower else f"lower in {lower}"
    return (
        f"{'+' if middle > 0 else ''}{short_number(middle)} {'points' if unit == '%' else unit}".rstrip()
        + f", {side} of {len(known)}"
    )


# --- bands over time --------------------------------------------------------------------------------------------------
def draw_bands(
    series: pd.DataFrame,
    title: str,
    path: Path | str,
    labels: Mapping[str, tuple[str, str]] | None = None,
    real: pd.DataFrame | None = None,
    note: str = "",
    theme: str = "light",
) -> Path:
    """Median and 10-90 % band over seeds along time, one panel a measure; the path written.

    `series`: columns `time` (UTC timestamps) or `x` (any number), `seed`, optionally `variant`, and numeric measures,
    one row per instant, seed and variant. `real`: the same first column and some of the measures, drawn as rings.
    """
    key = "time" if "time" in series.columns else "x"
    for name in (key, "seed"):
        if name not in series.columns:
            raise ValueError(f"the series lack the column {name!r}; they have {', '.join(map(str, series.columns))}")
    with styled(theme) as colours:
        return save(bands_sheet(series, key, title, colours, labels, real, note).figure, path)


def bands_sheet(
    series: pd.DataFrame,
    key: str,
    title: str,
    colours: Palette,
    labels: Mapping[str, tuple[str, str]] | None,
    real: pd.DataFrame | None,
    note: str,
) -> Sheet:
    """The drawn bands, before they are saved."""
    measures = measures_of(series, (*KEYS, "time", "x", "tick"))
    seeds = int(series["seed"].nunique())
    lines = [f"{seeds_words(seeds)}; line = median, band = 10–90 % of the seeds"] + ([note] if note else [])
    height = title_height(len(lines)) + max(len(measures), 1) * (HEADER_IN + BAND_IN + GAP_IN) + AXIS_IN + FOOT_IN
    sheet = Sheet(WIDTH_IN, height, colours)
    sheet.title(title, lines)
    if not measures or not len(series):
        sheet.write(0.27, sheet.down_in + 0.25, "Nothing to draw: no rows or no measures.", color=colours.note)
        return sheet
    table = series if "variant" in series.columns else series.assign(variant="model")
    variants = [str(name) for name in pd.unique(table["variant"])]
    inks = variant_colours(len(variants), colours)
    clock = band_clock(table, key)
    for number, measure in enumerate(measures):
        sheet.down_in += GAP_IN
        has_real = real is not None and measure in real.columns
        keys = [Key("line", ink, name) for name, ink in zip(variants, inks, strict=True)]
        keys += [Key("ring", colours.note, "real")] if has_real else []
        name, unit = words_of(measure, labels)
        scale, unit = scaled(table[measure].to_numpy(np.float64, na_value=np.nan), unit)
        axes = sheet.panel(chr(ord("a") + number % 26), name, unit, "", BAND_IN, keys if len(keys) > 1 else [])
        for variant, ink in zip(variants, inks, strict=True):
            draw_band(axes, table[table["variant"].astype(str) == variant], key, measure, ink, clock, scale)
        if real is not None and has_real:
            at = place_of(real, key, clock)
            axes.plot(
                at,
                real[measure] / scale,
                "o",
                markersize=4.6,
                markerfacecolor=colours.paper,
                markeredgecolor=colours.note,
                markeredgewidth=1.1,
                zorder=6,
            )
        numbers(axes)
        few_ticks(axes, 4)
        finish_x(axes, table, key, clock, labels=number == len(measures) - 1)
    return sheet


def variant_colours(count: int, colours: Palette) -> list[str]:
    """Ink for one variant, grey and ink for two; for more, steps of `cividis`, which no role uses."""
    if count <= 2:
        return [colours.note, colours.perp][-count:]
    ramp = matplotlib.colormaps["cividis"]
    return [to_hex(ramp(0.05 + 0.80 * i / (count - 1))) for i in range(count)]


def band_clock(table: pd.DataFrame, key: str) -> Clock | None:
    """The clock of a time axis; None for a plain number."""
    if key != "time":
        return None
    stamps = pd.to_datetime(table["time"], utc=True)
    return Clock(stamps.min().timestamp(), max((stamps.max() - stamps.min()).total_seconds(), 1.0), 1.0)


def place_of(table: pd.DataFrame, key: str, clock: Clock | None) -> Floats:
    """Where rows stand along the foot."""
    return clock.x(table[key]) if clock is not None else table[key].to_numpy(np.float64)


def draw_band(
    axes: Axes, part: pd.DataFrame, key: str, measure: str, ink: str, clock: Clock | None, scale: float
) -> None:
    """Median line and pale band of one variant on given axes; one seed is a thin line without a band."""
    grid = part.pivot_table(index=key, columns="seed", values=measure, aggfunc="mean", dropna=False).sort_index()
    if not len(grid):
        return
    low, middle, high = band_over_seeds(grid.to_numpy(np.float64).T / scale)
    at = place_of(grid.reset_index(), key, clock)
    if grid.shape[1] > 1:
        axes.fill_between(at, low, high, color=ink, alpha=0.18, linewidth=0, zorder=2)
    look: dict[str, Any] = {"linewidth": 1.5 if grid.shape[1] > 1 else 0.9, "zorder": 3}
    axes.plot(at, middle, color=ink, **look)


def finish_x(axes: Axes, table: pd.DataFrame, key: str, clock: Clock | None, *, labels: bool) -> None:
    """Shared limits along the foot; labels under the last panel only."""
    if clock is not None:
        set_time_axis(axes, clock, labels=labels)
        return
    axes.set_xlim(float(table[key].min()), float(table[key].max()) or 1.0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8))
    axes.tick_params(axis="x", labelbottom=labels)
