"""Figure of a waterfall: what winners lose by rank of profit, the fund's waterline, and who pays in sum."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.style import Palette, round_number, save, styled, with_commas

if TYPE_CHECKING:
    from abm.unwind import Unwound

UNITS = ((1e9, "bn"), (1e6, "m"), (1e3, "thousand"), (1.0, ""))


def draw_unwind(done: Unwound, title: str, path: Path) -> Path:
    """Three panels; the ending of `path` chooses the format."""
    what = np.array(done.accounts["what"])
    forced = np.isin(what, ("handed over", "liquidated", "reduced"))
    with styled() as colours:
        lines = [
            f"{what.size:,} accounts at a mark of {with_commas(done.mark_usd)} that does not move; rule {done.rule}. "
            f"{int(forced.sum()):,} liquidated, {int((what == 'deleveraged').sum()):,} winners deleveraged, "
            f"{int((done.column('charged') < 0).sum()):,} charged.",
        ]
        plate = Plate(title, lines, 1, 3, colours, (3.3, 2.5))
        _draw_haircuts(plate, done, colours)
        _draw_waterline(plate, done, colours)
        _draw_sums(plate, done, forced, colours)
        return save(plate.sheet.figure, path)


def _draw_haircuts(plate: Plate, done: Unwound, colours: Palette) -> None:
    """Loss of each account in profit over its profit, by rank."""
    profit = done.column("profit_before")
    lost = -(done.column("deleveraged") + done.column("charged"))
    order = np.argsort(-profit, kind="stable")
    order = order[profit[order] > 0]
    axes = plate.panel(
        "Haircut by rank",
        "% of profit",
        keys=[Key("diamond", colours.adl, "loses"), Key("ring", colours.note, "spared")],
        across="rank of the winner by profit",
    )
    rank, cut = np.arange(1, order.size + 1), 100 * lost[order] / np.maximum(profit[order], 1e-12)
    hit = cut > 0
    small = order.size > 200
    axes.plot(rank[~hit], cut[~hit], "o", color=colours.note, markersize=2 if small else 5, mfc=colours.paper)
    axes.plot(rank[hit], cut[hit], "D", color=colours.adl, markersize=2.5 if small else 4.5)
    if order.size > 50:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator([10.0**n for n in range(8)]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: with_commas(value)))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    top = max(float(cut.max(initial=0.0)), 1.0)
    if top > 200:
        axes.set_yscale("symlog", linthresh=10)
        axes.set_yticks([0, 10, 100, 1_000], ["0", "10", "100", "1,000"])
    axes.set_ylim(-0.04 * top, 1.06 * top)


def _draw_waterline(plate: Plate, done: Unwound, colours: Palette) -> None:
    """Equity of the fund after each of its events, and the floor."""
    level = np.array([step[2] for step in done.waterline])
    scale, word = _scale(np.append(level, done.floor))
    axes = plate.panel(
        "Waterline of the fund", f"{word} {done.settle}".strip(), "",
        [Key("line", colours.fund, "equity at the mark"), Key("dashes", colours.note, "floor")],
        across="event of the fund",
    )  # fmt: skip
    count = np.arange(level.size + 1)
    drawn = np.append(level, level[-1]) / scale
    axes.fill_between(count, drawn, done.floor / scale, step="post", color=colours.fund, alpha=0.2, linewidth=0)
    axes.step(count, drawn, where="post", color=colours.fund, linewidth=1.6)
    axes.axhline(done.floor / scale, color=colours.note, linewidth=1.2, linestyle=(0, (3, 2)))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.set_xlim(0, level.size)


def _draw_sums(plate: Plate, done: Unwound, forced: NDArray[np.bool_], colours: Palette) -> None:
    """Change of equity by group: what one loses others gain, the sum is nothing."""
    change = done.column("equity_after") - done.column("equity_before")
    haircut = done.column("deleveraged")
    groups = [
        ("liquidated", float(change[forced].sum()), colours.long),
        ("fund", done.others["fund"][1] - done.others["fund"][0], colours.fund),
        ("deleveraged", float(haircut.sum()), colours.adl),
        ("charged", float(done.column("charged").sum()), colours.short),
        ("the book", done.others["rest of the market"][1], colours.spot),
        ("fees", done.others["fees"][1], colours.forced),
    ]
    scale, word = _scale(np.array([amount for _, amount, _ in groups]))
    axes = plate.panel("Who pays", f"change of equity, {word} {done.settle}".replace(" ,", ","), "")
    place = np.arange(len(groups))[::-1]
    amounts = np.array([amount for _, amount, _ in groups]) / scale
    axes.barh(place, amounts, color=[colour for _, _, colour in groups], height=0.62)
    axes.axvline(0, color=colours.axis, linewidth=0.8)
    axes.yaxis.set_major_locator(FixedLocator(place.tolist()))
    axes.set_yticklabels([name for name, _, _ in groups])
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x", color=colours.grid, linewidth=0.8)
    reach = max(float(np.abs(amounts).max()), 1e-9)
    for y, amount in zip(place, amounts, strict=True):
        side = 1 if amount >= 0 else -1
        words = with_commas(amount, 0 if abs(amount) >= 100 or amount == 0 else 1)
        axes.annotate(words, (amount, y), (4 * side, 0), textcoords="offset points", va="center",
                      ha="left" if side > 0 else "right", fontsize=8, color=colours.text)  # fmt: skip
    axes.set_xlim(-1.35 * reach, 1.35 * reach)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: round_number(value)))


def _scale(amounts: NDArray[np.float64]) -> tuple[float, str]:
    """Divisor and word for amounts of this size."""
    largest = float(np.abs(amounts).max(initial=0.0))
    return next(((size, word) for size, word in UNITS if largest >= size), UNITS[-1])
