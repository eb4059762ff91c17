"""The figure of a calibration: the search, the loss along each parameter, and how the best trials hang together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.study import number_axis
from abm.figures.style import SOURCE_PT, Palette, save, styled

COLUMNS = 3


def draw_calibration(result: Any, known: Any, path: Path) -> Path:
    """Draw it.

    Args:
        result: `abm.calibrate.Calibrated`.
        known: `abm.calibrate.Identified` of it.
        path: PNG or PDF.
    """
    study, trials = result.study, result.trials
    related = bool(known.correlation.notna().any(axis=None))  # with few trials none is known
    panels = 1 + len(study.free) + related
    rows = -(-panels // COLUMNS)
    name = study.title or study.name
    words = f"{len(trials)} trials on {study.seeds} common seeds ({study.sampler}), {len(study.moments)} moments."
    fresh = f", {result.fresh_loss:.3g} on {study.fresh_seeds} fresh seeds" if len(result.finalists) else ""
    lines = [
        f"Calibrated on {study.event}. {words} Chosen: loss {result.loss:.3g} ± {result.error:.2g}{fresh}.",
        "Steps: least loss in an eighth of the range, whatever the other parameters are. Filled: the best trials.",
    ]
    with styled() as colours:
        plate = Plate(name, lines, rows, COLUMNS, colours, panel_in=(2.75, 2.0))
        ceiling = _ceiling(trials["loss"].to_numpy(np.float64))
        _search(plate, trials, colours, ceiling)
        for one, row in zip(study.free, known.rows, strict=True):
            _profile(plate, one, row, result, known, colours, ceiling)
        if related:
            _correlation(plate, known.correlation, colours)
        return save(plate.sheet.figure, path)


def _ceiling(losses: Any) -> float:
    """Top of the axes: bad trials would push the good ones to the floor."""
    return float(max(np.quantile(losses, 0.85), 1.3 * losses.min()) * 1.05)


def _search(plate: Plate, trials: pd.DataFrame, colours: Palette, ceiling: float) -> None:
    keys = [Key("ring", colours.note, "trial"), Key("line", colours.perp, "best")]
    axes = plate.panel("Search", "loss", "", keys, across="trial")
    loss = trials["loss"].to_numpy(np.float64)
    axes.plot(trials["trial"], np.minimum(loss, ceiling), "o", markersize=3.5, mfc=colours.paper, mec=colours.note)
    axes.step(trials["trial"], np.minimum(np.minimum.accumulate(loss), ceiling), where="post", color=colours.perp)
    axes.set_ylim(0, ceiling * 1.04)


def _profile(
    plate: Plate, one: Any, row: dict[str, Any], result: Any, known: Any, colours: Palette, ceiling: float
) -> None:
    head = one.path if len(one.path) <= 30 else "… " + one.path.split(".", 1)[1]
    axes = plate.panel(head, "", f"loss; {row['words']}", (), across=one.unit or "value")
    trials = result.trials
    best = trials["trial"].isin(known.best)
    for chosen, face in ((~best, colours.paper), (best, colours.short)):
        part = trials[chosen]
        edge = colours.short if face == colours.short else colours.note
        axes.plot(part[one.path], np.minimum(part["loss"], ceiling), "o", markersize=3.5, mfc=face, mec=edge)
    least = np.minimum(known.profiles[one.path]["least"].to_numpy(np.float64), ceiling)
    edges = [float(one.at(i / len(least))) for i in range(len(least) + 1)]
    axes.stairs(least, edges, baseline=None, color=colours.perp, linewidth=1.4)
    axes.axvline(row["value"], color=colours.long, linewidth=1.2)
    places = [float(f"{one.at(i / 4):.3g}") for i in range(5)]
    number_axis(axes, "x", np.array(places), one.scale == "log")
    axes.set_xlim(one.low, one.high)
    axes.set_ylim(0, ceiling * 1.04)


def _correlation(plate: Plate, table: pd.DataFrame, colours: Palette) -> None:
    axes: Axes = plate.panel("The best trials", "", "rank correlation of their parameters")
    names = [str(name).rsplit(".", 1)[-1] for name in table.columns]
    axes.imshow(table.to_numpy(np.float64), cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
    places = range(len(names))
    axes.set_xticks(list(places), [str(i + 1) for i in places])
    axes.set_yticks(list(places), [f"{i + 1} {name[:14]}" for i, name in enumerate(names)], fontsize=SOURCE_PT)
    axes.grid(False)
    box = axes.get_position()
    room = 0.9 / plate.sheet.width_in
    axes.set_position((box.x0 + room - 0.1 / plate.sheet.width_in, box.y0, box.width - room, box.height))
    for i in places:
        for j in places:
            value = float(table.iloc[i, j])
            ink = colours.paper if abs(value) > 0.6 else colours.text
            axes.text(j, i, "-" if value != value else f"{value:.1f}".replace("-", "−"), ha="center", va="center",
                      fontsize=SOURCE_PT, color=ink)  # fmt: skip
