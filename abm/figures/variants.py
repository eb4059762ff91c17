"""Variants of one scenario on the same randomness: lines over time, and single figures over seeds or groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.style import Palette, save, styled
from abm.figures.timeaxis import Floats

POINTS = 1500
"""Most points of a line."""
WORDED = FuncFormatter(lambda value, _: f"{value:,g}".replace("-", "−"))


@dataclass(frozen=True)
class Series:
    """Lines: a column of the steps, or of the participants where the name holds a dot; summed up if wished."""

    title: str
    unit: str
    column: str
    scale: float = 1.0
    note: str = ""
    summed: bool = False


@dataclass(frozen=True)
class Dots:
    """A figure of every seed: seeds side by side, or (`grouped`) one bar for each variant, at the median."""

    title: str
    unit: str
    figure: str
    scale: float = 1.0
    note: str = ""
    grouped: bool = False


@dataclass(frozen=True)
class Picture:
    """Title, lines below it and panels; in the lines {seed} and {accounts} are filled in."""

    title: str
    lines: tuple[str, ...]
    panels: tuple[Series | Dots, ...]
    columns: int = 2
    panel_in: tuple[float, float] = (3.6, 2.0)


@dataclass(frozen=True)
class Variant:
    """The tables of one run, and figures of the same variant by name and seed."""

    label: str
    steps: pd.DataFrame
    participants: pd.DataFrame
    figures: Mapping[str, Mapping[int, float]] = field(default_factory=dict)

    def clock(self) -> tuple[Floats, str]:
        """End of each tick and what it counts: hours of the first day, minutes from the start in a short run."""
        time = self.steps["time"]
        short = time.iloc[-1] - time.iloc[0] < pd.Timedelta(hours=2)
        first, unit = (time.iloc[0], 60.0) if short else (time.iloc[0].normalize(), 3600.0)
        passed: Floats = ((time - first).dt.total_seconds() / unit).to_numpy(np.float64)
        return passed, "minutes from the start" if short else "hour of the day, UTC"

    def values(self, series: Series) -> Floats:
        """What a panel shows, float64 (ticks,)."""
        table = self.participants if "." in series.column else self.steps
        found: Floats = table[series.column].to_numpy(np.float64) * series.scale
        return np.cumsum(found) if series.summed else found


def hues(colours: Palette) -> tuple[str, ...]:
    """A colour for each variant, in their order."""
    return (colours.perp, colours.long, colours.short, colours.fund)


def draw_variants(picture: Picture, variants: Sequence[Variant], path: Path | str) -> Path:
    """Draw every panel, each variant in its colour, the legend in the first one; the path written."""
    with styled() as colours:
        rows = -(-len(picture.panels) // picture.columns)
        plate = Plate(picture.title, list(picture.lines), rows, picture.columns, colours, panel_in=picture.panel_in)
        pairs = list(zip(variants, hues(colours)[: len(variants)], strict=True))
        keys = [Key("line", hue, one.label) for one, hue in pairs]
        for number, panel in enumerate(picture.panels):
            grouped = isinstance(panel, Dots) and panel.grouped
            across = variants[0].clock()[1] if isinstance(panel, Series) else "" if grouped else "seed"
            legend = keys if number == 0 and not grouped else ()
            axes = plate.panel(panel.title, panel.unit, panel.note, legend, across=across)
            if isinstance(panel, Series):
                for one, hue in pairs:
                    every = max(1, len(one.steps) // POINTS)
                    axes.plot(one.clock()[0][::every], one.values(panel)[::every], color=hue, linewidth=1.2)
            elif grouped:
                _bars(axes, panel, pairs)
            else:
                _seeds(axes, panel, pairs)
            axes.yaxis.set_major_formatter(WORDED)
        return save(plate.sheet.figure, path)


def _seeds(axes: Axes, panel: Dots, pairs: Sequence[tuple[Variant, str]]) -> None:
    """One dot a seed and variant; zero is on the axis."""
    seeds = sorted({seed for one, _ in pairs for seed in one.figures[panel.figure]})
    for place, (one, hue) in enumerate(pairs):
        aside = 0.16 * (place - (len(pairs) - 1) / 2)
        found = one.figures[panel.figure]
        axes.plot([seed + aside for seed in found], [panel.scale * found[seed] for seed in found], "o", color=hue)
    axes.set_xticks(seeds)
    axes.set_xlim(seeds[0] - 0.5, seeds[-1] + 0.5)
    low, high = axes.get_ylim()
    room = 0.06 * (max(high, 0.0) - min(low, 0.0))
    axes.set_ylim(min(low - room, 0.0), max(high + room, 0.0))


def _bars(axes: Axes, panel: Dots, pairs: Sequence[tuple[Variant, str]]) -> None:
    """One bar a variant at the median over seeds, a dot for every seed."""
    for place, (one, hue) in enumerate(pairs):
        values = np.array(list(one.figures[panel.figure].values())) * panel.scale
        middle = float(np.median(values))
        axes.bar(place, middle, width=0.6, color=hue, alpha=0.55)
        axes.plot(np.linspace(place - 0.18, place + 0.18, values.size), values, "o", color=hue, markersize=3.5)
        top = (place, max(middle, float(values.max())))
        axes.annotate(f"{middle:.0f}", top, xytext=(0, 6), textcoords="offset points", ha="center", fontsize=9)
    axes.set_xticks(range(len(pairs)), [one.label for one, _ in pairs])
    axes.set_ylim(0, 1.18 * axes.get_ylim()[1])
