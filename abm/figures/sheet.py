"""A page of panels: header (letter, title, unit, legend), a grey line, then the axes. Places are inches from above."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from abm.figures.style import BODY_PT, SOURCE_PT, TITLE_PT, Palette, new_figure

HEADER_IN = 0.36
KEY_IN = 0.26
"""Width of a sign in a legend."""
GAP_IN = 0.16
LETTER_IN = 0.35
"""How far left of its axes the letter of a panel stands."""


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of a legend: `sign` is line, dashes, bar, hollow, area, circle, ring, diamond, square or rug."""

    sign: str
    colour: str
    label: str
    edge: str | None = None


@dataclass(slots=True)
class Sheet:
    """A figure filled from the top down. `down_in` is the next free place, in inches below the upper edge."""

    width_in: float
    height_in: float
    colours: Palette
    left_in: float = 0.62
    right_in: float = 0.60
    down_in: float = 0.0
    figure: Figure = field(init=False)
    headers: list[list[Text]] = field(default_factory=list)
    """Texts that share a row, panel by panel (tests see to it that none overlap)."""

    def __post_init__(self) -> None:
        """Make the empty figure."""
        self.figure = new_figure(self.width_in, self.height_in)

    def across(self, x_in: float) -> float:
        """Figure fraction of a place `x_in` inches from the left edge."""
        return x_in / self.width_in

    def up(self, down_in: float) -> float:
        """Figure fraction of a place `down_in` inches below the upper edge."""
        return 1.0 - down_in / self.height_in

    def write(self, x_in: float, down_in: float, words: str, **look: Any) -> Text:
        """Text with its baseline `down_in` below the upper edge."""
        look.setdefault("fontsize", BODY_PT)
        look.setdefault("color", self.colours.text)
        return self.figure.text(self.across(x_in), self.up(down_in), words, va="baseline", **look)

    def width_of(self, text: Text) -> float:
        """Width of a drawn text in inches."""
        return float(text.get_window_extent().width) / self.figure.dpi

    def write_fitted(self, x_in: float, down_in: float, words: str, room_in: float, **look: Any) -> Text:
        """Text cut to `room_in` inches; a cut is shown by an ellipsis."""
        text = self.write(x_in, down_in, words, **look)
        while self.width_of(text) > room_in and len(words) > 1:
            excess = self.width_of(text) / room_in
            words = words[: min(len(words) - 1, int(len(words) / excess))].rstrip(" ,;·")
            text.set_text(words + "…")
        return text

    def title(self, words: str, lines: Sequence[str]) -> None:
        """Title of the page and the lines under it."""
        left, room = 0.27, self.width_in - 0.27 - 0.3
        self.write_fitted(left, 0.33, words, room, fontsize=15, fontweight="bold", color=self.colours.perp)
        for number, line in enumerate(lines):
            self.write_fitted(left, 0.56 + 0.185 * number, line, room)
        self.down_in = title_height(len(lines))

    def panel(self, letter: str, title: str, unit: str, note: str, height_in: float, keys: Sequence[Key] = ()) -> Axes:
        """Header and axes of one panel; moves `down_in` to the foot of the axes."""
        self.header(letter, title, unit, note, keys)
        axes = self.axes(height_in)
        self.down_in += height_in
        return axes

    def header(self, letter: str, title: str, unit: str, note: str, keys: Sequence[Key] = ()) -> None:
        """Letter, title, unit; the legend at the right; one grey line below."""
        first, second = self.down_in + 0.145, self.down_in + 0.295
        ink = self.colours.perp
        mark = self.write(self.left_in - LETTER_IN, first, letter, fontsize=TITLE_PT, fontweight="bold", color=ink)
        head = self.write(self.left_in, first, title, fontsize=TITLE_PT, fontweight="bold", color=ink)
        start = self.left_in + self.width_of(head) + 0.08
        right = self.width_in - self.right_in
        legend_in = self.legend_width(keys)
        beside = legend_in <= right - start - self.width_of_words(unit) - 0.2
        measure = self.write_fitted(start, first, unit, right - start, color=self.colours.note)
        room = right - self.left_in - (0.0 if beside else legend_in + 0.2)
        source = self.write_fitted(self.left_in, second, note, room, fontsize=SOURCE_PT, color=self.colours.note)
        labels = self.legend(keys, first if beside else second)
        rows = [[mark, head, measure], [source]]
        rows[0 if beside else 1].extend(labels)
        self.headers.extend(rows)
        self.down_in += HEADER_IN

    def axes(self, height_in: float, down_in: float | None = None) -> Axes:
        """Bare axes in the style: no frame, horizontal grid, line at the foot."""
        top = self.down_in if down_in is None else down_in
        width = self.width_in - self.left_in - self.right_in
        box = (
            self.across(self.left_in),
            self.up(top + height_in),
            width / self.width_in,
            height_in / self.height_in,
        )
        axes = self.figure.add_axes(box)
        plain(axes, self.colours)
        return axes

    def width_of_words(self, words: str, **look: Any) -> float:
        """Width a text would have, in inches."""
        text = self.write(0.0, 0.0, words, **look)
        width = self.width_of(text)
        text.remove()
        return width

    def legend_width(self, keys: Sequence[Key]) -> float:
        """Width of a legend in inches."""
        words = sum(self.width_of_words(key.label) + KEY_IN + 0.06 for key in keys)
        return words + GAP_IN * max(len(keys) - 1, 0)

    def legend(self, keys: Sequence[Key], down_in: float) -> list[Text]:
        """Legend in one row, flush right, in the order given; its labels."""
        x_in = self.width_in - self.right_in - self.legend_width(keys)
        labels = []
        for key in keys:
            self.sign(key, x_in, down_in - 0.045)
            label = self.write(x_in + KEY_IN + 0.06, down_in, key.label)
            labels.append(label)
            x_in += KEY_IN + 0.06 + self.width_of(label) + GAP_IN
        return labels

    def sign(self, key: Key, x_in: float, down_in: float) -> None:
        """The sign of a legend entry, centred on a line `down_in` below the upper edge."""
        if key.sign in ("bar", "hollow", "area"):
            alpha = 1.0
            face = self.colours.paper if key.sign == "hollow" else key.colour
            box = Rectangle(
                (self.across(x_in + 0.06), self.up(down_in + 0.045)),
                (KEY_IN - 0.08) / self.width_in,
                0.09 / self.height_in,
                transform=self.figure.transFigure,
                facecolor=face,
                edgecolor=key.edge or key.colour,
                linewidth=0.8,
                alpha=alpha,
            )
            self.figure.add_artist(box)
            return
        x = [self.across(x_in + 0.02), self.across(x_in + KEY_IN)]
        y = [self.up(down_in)] * 2
        if key.sign in ("line", "dashes"):
            look: dict[str, Any] = {"linestyle": "-" if key.sign == "line" else (0, (3.0, 2.0)), "linewidth": 1.6}
        else:
            x, y = [self.across(x_in + KEY_IN / 2 + 0.03)], y[:1]
            look = marker(key, self.colours)
        line = Line2D(x, y, color=key.colour, transform=self.figure.transFigure, **look)
        self.figure.add_artist(line)


def title_height(lines: int) -> float:
    """Inches the title and `lines` lines under it take."""
    return 0.52 + 0.185 * lines


def marker(key: Key, colours: Palette) -> dict[str, Any]:
    """Look of a legend sign that is a single marker."""
    shapes = {"circle": ("o", 7.5), "ring": ("o", 5.5), "diamond": ("D", 5.0), "square": ("s", 5.0), "rug": ("|", 7.0)}
    shape, size = shapes[key.sign]
    face = key.colour
    if key.sign == "ring":
        face = colours.paper
    look: dict[str, Any] = {"marker": shape, "markersize": size, "markerfacecolor": face, "linestyle": "none"}
    look["markeredgewidth"] = 1.2 if key.sign in ("ring", "rug") else 0.6
    if key.sign == "circle":
        look["alpha"] = 0.6
    return look


def plain(axes: Axes, colours: Palette, grid: Literal["x", "y"] = "y") -> None:
    """No frame; a grid across the values only; ticks pointing out at the foot."""
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(colours.axis)
    axes.set_axisbelow(True)
    axes.grid(axis=grid, color=colours.grid, linewidth=0.8)
    axes.tick_params(axis="y", length=0, labelsize=BODY_PT, pad=4)
    axes.tick_params(axis="x", length=3, width=0.8, labelsize=BODY_PT, pad=3)
    axes.patch.set_visible(False)
    few_ticks(axes)


def few_ticks(axes: Axes, most: int = 4) -> None:
    """At most `most` + 1 round ticks up the side."""
    axes.yaxis.set_major_locator(MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10]))
