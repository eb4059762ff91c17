"""The picture of `cst-2010`: six panels, exact against the project's own book."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from scipy.stats import norm

from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.style import BODY_PT, SOURCE_PT, Palette, save, styled, tint, with_commas
from experiments._birth_death import F64
from experiments.cst_2010 import ERRORS, next_move, scores

MOST_CELLS_WORDED, MOST_LINES, ONE_STEP_LINES = 6, 6, 3
"""Larger tables are drawn without numbers in the cells; only so many lines of a table are drawn."""
BARS = 2.0
"""Length of an error bar to either side, standard errors."""


def draw_cst(results: dict[str, Any], path: Path) -> Path:
    """Draw `results` of `cst-2010.run`; returns `path`."""
    with styled() as colours:
        books, inside = results["books"], sum(row["inside"] for row in results["checks"])
        lines = [
            "Zero-intelligence book of Cont, Stoikov and Talreja (2010): limit orders, market orders and cancels at "
            "constant rates. Exact: linear systems of the two best queues; book: this project's matching engine,",
            f"{with_commas(books['messages'])} messages, {with_commas(books['fills'])} fills. "
            f"Bars: two standard errors. Inside their tolerance: {inside} of {len(results['checks'])} checks.",
        ]
        plate = Plate("A random order book against exact answers", lines, 2, 3, colours)
        _next_move(plate, results)
        for head, key, note in (
            ("Bid filled before a move", "prob_fill_before_move", "the last bid, never cancelled"),
            ("Bid and ask both filled", "prob_make_spread", "the last of each queue"),
        ):
            table, across = results[key], "orders at the best ask"
            axes = plate.panel(head, "probability", note, _keys(colours), across)
            _lines(axes, table, [f"bid queue {n + 1}" for n in range(len(table["exact"]))], colours)
        _depth(plate, results["depth_profile"])
        step = results["one_step"]
        shown = {part: values[:ONE_STEP_LINES] for part, values in step.items()}
        names = [f"{distance} tick{'s' * (distance > 1)} away" for distance in shown["distance"]]
        across = "orders in the queue"
        axes = plate.panel("Next change is one more", "probability", "at a spread of one tick", _keys(colours), across)
        _lines(axes, shown, names, colours)
        _differences(plate, results)
        return save(plate.sheet.figure, path)


def _keys(colours: Palette) -> list[Key]:
    return [Key("line", colours.perp, "exact"), Key("ring", colours.long, "book")]


def _next_move(plate: Plate, results: dict[str, Any]) -> None:
    """Heat map of P(next move up) in the book; small: the difference to exact in standard errors."""
    colours = plate.colours
    table = next_move(results)
    book, score = np.array(table["book"], float), scores(table)
    size = len(book)
    note = "book; below: difference to exact in standard errors" if size <= MOST_CELLS_WORDED else "book"
    axes = plate.panel("Next move of the mid is up", "orders at the best bid", note, (), "orders at the best ask")
    ends = tint(colours.short, colours.paper, 0.75), colours.paper, tint(colours.long, colours.paper, 0.75)
    axes.imshow(
        book, cmap=LinearSegmentedColormap.from_list("up", ends), vmin=0.0, vmax=1.0, aspect="auto", origin="lower"
    )
    places = np.arange(size) if size <= MOST_CELLS_WORDED else np.linspace(0, size - 1, 5).round().astype(int)
    axes.set_xticks(places, [str(n + 1) for n in places])
    axes.set_yticks(places, [str(n + 1) for n in places])
    axes.grid(visible=False)
    if size <= MOST_CELLS_WORDED:
        for (row, column), value in np.ndenumerate(book):
            look: dict[str, Any] = {"ha": "center", "color": colours.perp}
            axes.text(column, row + 0.02, f"{value:.4f}", va="bottom", fontsize=BODY_PT, **look)
            if np.isfinite(score[row, column]):
                words = f"{score[row, column]:+.1f}".replace("-", "\N{MINUS SIGN}")
                axes.text(column, row - 0.06, words, va="top", fontsize=SOURCE_PT, **look)


def _lines(axes: Axes, table: dict[str, Any], names: Sequence[str], colours: Palette) -> None:
    """A line of exact values and rings of the book's for each row of a table; the name stands at the line's end."""
    exact, book, error = (np.array(table[part], float) for part in ("exact", "book", "standard_error"))
    chosen = np.unique(np.linspace(0, len(exact) - 1, min(len(exact), MOST_LINES)).round().astype(int))
    queue = np.arange(1, exact.shape[1] + 1)
    look: dict[str, Any] = {"fmt": "o", "markersize": 4.5, "elinewidth": 1.0, "zorder": 3}
    look |= {"markerfacecolor": colours.paper, "markeredgecolor": colours.long, "ecolor": colours.long}
    for row in chosen:
        axes.plot(queue, exact[row], color=colours.perp, linewidth=1.0, zorder=2)
        axes.errorbar(queue, book[row], BARS * error[row], **look)
    known = np.stack([exact, book - BARS * error, book + BARS * error])[:, chosen]
    known = known[np.isfinite(known)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    pad = max(0.06 * (high - low), 0.005)
    axes.set_ylim(low - pad, high + pad)
    room = 0.30 * max(queue[-1] - 1, 1)
    axes.set_xlim(1 - 0.05 * max(queue[-1] - 1, 1), queue[-1] + room)
    axes.set_xticks(queue if queue.size <= 10 else np.linspace(1, queue[-1], 5).round().astype(int))
    least = (high - low + 2 * pad) * 0.065
    ends = [(row, float(exact[row, -1])) for row in chosen if np.isfinite(exact[row, -1])]
    for (row, _), place in zip(ends, _apart([end for _, end in ends], least), strict=True):
        axes.text(queue[-1] + 0.22 * room, place, names[row], fontsize=SOURCE_PT, color=colours.note, va="center")


def _apart(places: Sequence[float], least: float) -> F64:
    """The places moved as little as is simple so that neighbours are `least` apart; in the order given."""
    order = np.argsort(places)
    moved = np.array(places, float)[order]
    for _ in range(200):
        gaps = np.diff(moved)
        short = np.maximum(least - gaps, 0.0)
        if not (short > 1e-9).any():
            break
        moved[1:] += short / 2
        moved[:-1] -= short / 2
    out = np.empty_like(moved)
    out[order] = moved
    return out


def _depth(plate: Plate, profile: dict[str, Any]) -> None:
    """Mean depth by distance from the other side's best price."""
    colours = plate.colours
    published = profile["published_peak"]
    note = f"{with_commas(profile['events'])} events"
    keys = [Key("bar", colours.depth, "book", colours.depth_edge)]
    if published is not None:
        keys.append(Key("dashes", colours.perp, "peak in the paper"))
    across = "distance from the other side's best price, ticks"
    axes = plate.panel("Mean depth of the book", "orders", note, keys, across)
    distance, mean, error = (np.array(profile[part], float) for part in ("distance", "mean", "standard_error"))
    look: dict[str, Any] = {"color": colours.depth, "edgecolor": colours.depth_edge, "linewidth": 0.8, "zorder": 2}
    axes.bar(distance, mean, width=0.75, yerr=BARS * error, ecolor=colours.perp, error_kw={"elinewidth": 1.0}, **look)
    if published is not None:
        axes.axvline(published, color=colours.perp, linewidth=1.2, linestyle=(0, (3.0, 2.0)), zorder=4)
    axes.set_xlim(0.3, distance[-1] + 0.7)
    axes.set_ylim(0, 1.12 * float((mean + BARS * error).max()))
    apart = max(1, 5 * round(distance.size / 25)) if distance.size > 10 else 1
    axes.set_xticks(np.unique([1, *range(apart, distance.size + 1, apart)]))


def _differences(plate: Plate, results: dict[str, Any]) -> None:
    """All differences, book minus exact, sorted: on the line if they are normal noise."""
    colours = plate.colours
    tables = (next_move(results), results["prob_fill_before_move"], results["prob_make_spread"], results["one_step"])
    names = ("next move", "fill", "both", "one step")
    signs = (("o", colours.long), ("s", colours.short), ("D", colours.fund), ("^", colours.adl))
    all_scores = [score[np.isfinite(score)] for score in map(scores, tables)]
    flat = np.concatenate(all_scores)
    note = f"largest of {flat.size} cells: {np.abs(flat).max():.2f} standard errors" if flat.size else "no cells"
    keys = [Key("dashes", colours.note, "tolerance")]
    axes = plate.panel("Book minus exact", "standard errors", note, keys, "expected of normal noise")
    which = np.repeat(np.arange(len(tables)), [score.size for score in all_scores])
    order = np.argsort(flat, kind="stable")
    expected = norm.ppf((np.arange(flat.size) + 0.5) / max(flat.size, 1))
    axes.plot((-3.2, 3.2), (-3.2, 3.2), color=colours.perp, linewidth=1.0, zorder=2)
    for tolerance in (-ERRORS, ERRORS):
        axes.axhline(tolerance, color=colours.note, linewidth=1.2, linestyle=(0, (3.0, 2.0)), zorder=1)
    for number, (marker, colour) in enumerate(signs):
        mine = which[order] == number
        look: dict[str, Any] = {"linestyle": "none", "marker": marker, "markersize": 4.0, "zorder": 3}
        look |= {"markerfacecolor": colours.paper, "markeredgecolor": colour, "label": names[number]}
        axes.plot(expected[mine], flat[order][mine], **look)
    reach = max(5.0, 1.15 * float(np.abs(flat).max(initial=0.0)))
    axes.set_xlim(-3.3, 3.3)
    axes.set_ylim(-reach, reach)
    axes.set_yticks((-4, -2, 0, 2, 4))
    axes.legend(loc="lower right", frameon=False, fontsize=SOURCE_PT, ncols=2, handletextpad=0.1, columnspacing=0.8,
                bbox_to_anchor=(0.99, 0.12), borderaxespad=0.0)  # fmt: skip
