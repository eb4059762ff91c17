"""A plate: panels of one size in rows and columns under one title, for figures of experiments and papers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from matplotlib.axes import Axes

from abm.figures.sheet import HEADER_IN, Key, Sheet, title_height
from abm.figures.style import Palette

LEFT_IN, RIGHT_IN = 0.72, 0.28
"""Room beside the axes of a panel: for the numbers up its side, and to its neighbour."""
AXIS_IN, GAP_IN, FOOT_IN = 0.46, 0.14, 0.08
"""Room under the axes for numbers and name of the horizontal axis, above a header, and at the foot of the page."""


@dataclass(slots=True)
class Plate:
    """Panels `panel_in` (width, height of the axes, inches) large; letters follow the order in which they are asked."""

    title: str
    lines: Sequence[str]
    rows: int
    columns: int
    colours: Palette
    panel_in: tuple[float, float] = (3.3, 2.4)
    sheet: Sheet = field(init=False)
    _count: int = 0

    def __post_init__(self) -> None:
        width, height = self._cell_in()
        tall = title_height(len(self.lines)) + self.rows * height + FOOT_IN
        self.sheet = Sheet(self.columns * width, tall, self.colours)
        self.sheet.title(self.title, self.lines)

    def _cell_in(self) -> tuple[float, float]:
        return LEFT_IN + self.panel_in[0] + RIGHT_IN, GAP_IN + HEADER_IN + self.panel_in[1] + AXIS_IN

    def panel(self, title: str, unit: str = "", note: str = "", keys: Sequence[Key] = (), across: str = "") -> Axes:
        """Axes of the next panel, row by row; `unit` of the vertical axis, `across` the name of the horizontal one."""
        row, column = divmod(self._count, self.columns)
        if row >= self.rows:
            raise ValueError(f"the plate holds {self.rows * self.columns} panels")
        sheet, (width, height) = self.sheet, self._cell_in()
        sheet.left_in = column * width + LEFT_IN
        sheet.right_in = sheet.width_in - (column + 1) * width + RIGHT_IN
        sheet.down_in = title_height(len(self.lines)) + row * height + GAP_IN
        axes = sheet.panel(chr(ord("a") + self._count), title, unit, note, self.panel_in[1], keys)
        if across:
            axes.set_xlabel(across, color=self.colours.note, labelpad=3)
        self._count += 1
        return axes
