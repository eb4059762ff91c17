"""The table at the foot of the overview: model beside real, and in words whether the model lies inside the band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.lines import Line2D

from abm.figures.sheet import HEADER_IN, Sheet
from abm.figures.style import SOURCE_PT, with_commas

ROW_IN, SECOND_LINE_IN, HEAD_IN = 0.16, 0.13, 0.20
RIGHT_IN, BLOCK_GAP_IN = 0.18, 0.18
ONE_COLUMN_ROWS = 8
INSIDE, OUTSIDE, UNKNOWN = "inside the band", "outside the band", "not observed"


def verdict(row: dict[str, Any]) -> str:
    """What `inside` says, else what the band says: `INSIDE`, `OUTSIDE` or `UNKNOWN`. No band, nothing inside."""
    said = row.get("inside")
    if isinstance(said, str) and said in (INSIDE, OUTSIDE, UNKNOWN):
        return said
    if number(row.get("model")) is None:
        return UNKNOWN
    if isinstance(said, bool):
        return INSIDE if said else OUTSIDE
    low, high, model = (number(row.get(name)) for name in ("low", "high", "model"))
    if model is None or (low is None and high is None):
        return UNKNOWN
    return INSIDE if (low is None or model >= low) and (high is None or model <= high) else OUTSIDE


def number(value: Any) -> float | None:
    """A finite float, or None."""
    if value is None or isinstance(value, str):
        return None
    result = float(value)
    return result if abs(result) < float("inf") else None


def cell(value: Any) -> str:
    """A value for a cell: about three digits, a dash when it is not there."""
    exact = number(value)
    if exact is None:
        return str(value) if isinstance(value, str) and value else "–"
    size = abs(exact)
    if exact == int(exact) and size < 1e15:
        return with_commas(exact)
    return with_commas(exact, 0 if size >= 1000 else 1 if size >= 10 else 2 if size >= 0.1 else 4)


def band(row: dict[str, Any]) -> str:
    """The band of a row, as in "1.2 to 3.4"."""
    low, high = cell(row.get("low")), cell(row.get("high"))
    if low == "–" and high == "–":
        return "–"
    return f"at least {low}" if high == "–" else f"at most {high}" if low == "–" else f"{low} to {high}"


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the table goes: blocks side by side, lines in each, widths in inches, names of the rows cut into lines.

    `edges` are right edges of the columns, counted from the left of a block (left edge for the verdict).
    """

    columns: int
    lines: int
    width_in: float
    edges_in: dict[str, float]
    names: list[list[str]]

    def height_in(self) -> float:
        """Height of the longest block, without its heading."""
        return max(rows_in(self.names[: self.lines]), rows_in(self.names[self.lines :]))


def rows_in(names: Sequence[list[str]]) -> float:
    """Height of rows in inches."""
    return sum(ROW_IN + SECOND_LINE_IN * (len(name) - 1) for name in names)


def plan_of(sheet: Sheet, rows: Sequence[dict[str, Any]]) -> Plan:
    """One block for a few rows, else two; names that do not fit get a second line."""
    columns = 1 if len(rows) <= ONE_COLUMN_ROWS else 2
    width = (sheet.width_in - sheet.left_in - RIGHT_IN - BLOCK_GAP_IN * (columns - 1)) / columns
    spread = 1.0 if columns == 2 else 1.6
    verdict = width - (0.73 if columns == 2 else 1.06)
    band_edge = verdict - 0.17 * spread
    real = band_edge - 0.98 * spread
    model = real - 0.60 * spread
    room = model - 0.46
    names = [wrapped(sheet, name_of(row), room) for row in rows]
    cuts = range(1, len(rows)) if columns == 2 else [len(rows)]
    lines = min(cuts, key=lambda cut: max(rows_in(names[:cut]), rows_in(names[cut:])))
    edges = {"verdict": verdict, "band": band_edge, "real": real, "model": model, "name": room}
    return Plan(columns, lines, width, edges, names)


def name_of(row: dict[str, Any]) -> str:
    """Measure and unit; a number and its % sign stay together."""
    unit = f", {row['unit']}" if row.get("unit") else ""
    return f"{row.get('measure', '')}{unit}".replace(" %", "\N{NO-BREAK SPACE}%")


def wrapped(sheet: Sheet, words: str, room_in: float) -> list[str]:
    """`words` on one line or, when they do not fit, on two."""
    if sheet.width_of_words(words, fontsize=SOURCE_PT) <= room_in:
        return [words]
    parts = words.split(" ")
    for cut in range(len(parts) - 1, 0, -1):
        first = " ".join(parts[:cut])
        if sheet.width_of_words(first, fontsize=SOURCE_PT) <= room_in:
            return [first, " ".join(parts[cut:])]
    return [words]


def table_height(sheet: Sheet, rows: Sequence[dict[str, Any]]) -> float:
    """Inches the table needs, header included; 0 without rows."""
    return HEADER_IN + HEAD_IN + plan_of(sheet, rows).height_in() if rows else 0.0


def table_note(rows: Sequence[dict[str, Any]], seed: Any) -> str:
    """The grey line: how many rows lie inside and that one seed is one seed."""
    words = [verdict(row) for row in rows]
    inside, outside, unknown = (words.count(word) for word in (INSIDE, OUTSIDE, UNKNOWN))
    return (
        f"{inside} of {inside + outside} judged rows inside the band, {outside} outside; {unknown} not observed. "
        f"One seed{f' ({seed})' if seed is not None else ''}: one path of many. Grades: A events, B vendor, C press."
    )


def draw_table(sheet: Sheet, letter: str, rows: Sequence[dict[str, Any]], seed: Any) -> None:
    """Draw the table in one column of rows, or two when there are many."""
    sheet.header(
        letter,
        "Model beside real",
        "real = published figure and grade; band = what counts as a hit",
        table_note(rows, seed),
    )
    plan = plan_of(sheet, rows)
    top = sheet.down_in + 0.11
    for block in range(plan.columns):
        part = slice(plan.lines, None) if block else slice(0, plan.lines)
        draw_block(
            sheet, plan, rows[part], plan.names[part], sheet.left_in + block * (plan.width_in + BLOCK_GAP_IN), top
        )
    sheet.down_in += HEAD_IN + plan.height_in()


def draw_block(
    sheet: Sheet, plan: Plan, rows: Sequence[dict[str, Any]], names: Sequence[list[str]], left: float, top: float
) -> None:
    """One block of rows with its heading: measure and unit, model, real, band, verdict."""
    colours = sheet.colours
    at = {name: left + edge for name, edge in plan.edges_in.items()}
    look: dict[str, Any] = {"fontsize": SOURCE_PT, "color": colours.note}
    texts = [sheet.write(left, top, "measure, unit", **look)]
    texts += [sheet.write(at[name], top, name, ha="right", **look) for name in ("model", "real", "band")]
    texts.append(sheet.write(at["verdict"], top, "the model is", **look))
    sheet.headers.append(texts)
    sheet.figure.add_artist(rule(sheet, left, left + plan.width_in, top + 0.05, colours.axis))
    down = top + 0.03
    for row, name in zip(rows, names, strict=True):
        down += ROW_IN
        words = verdict(row)
        weight = "bold" if words == OUTSIDE else "normal"
        ink = {INSIDE: colours.text, OUTSIDE: colours.perp, UNKNOWN: colours.note}[words]
        texts = [sheet.write_fitted(left, down, name[0], plan.edges_in["name"], fontsize=SOURCE_PT)]
        grade = f" {row['grade']}" if row.get("grade") else ""
        for column, value in (
            ("model", cell(row.get("model"))),
            ("real", cell(row.get("real")) + grade),
            ("band", band(row)),
        ):
            heavy = weight if column == "model" else "normal"
            texts.append(sheet.write(at[column], down, value, ha="right", fontsize=SOURCE_PT, fontweight=heavy))
        said = words if plan.columns == 1 else words.replace(" the band", "")
        texts.append(sheet.write(at["verdict"], down, said, fontsize=SOURCE_PT, color=ink, fontweight=weight))
        sheet.headers.append(texts)
        sheet.figure.add_artist(dot(sheet, at["verdict"] - 0.09, down - 0.035, words, ink))
        for line in name[1:]:
            down += SECOND_LINE_IN
            sheet.write_fitted(left, down, line, plan.edges_in["name"], fontsize=SOURCE_PT)


def rule(sheet: Sheet, left: float, right: float, down: float, colour: str) -> Line2D:
    """A thin horizontal rule."""
    x, y = [sheet.across(left), sheet.across(right)], [sheet.up(down)] * 2
    return Line2D(x, y, color=colour, linewidth=0.8, transform=sheet.figure.transFigure)


def dot(sheet: Sheet, x: float, down: float, words: str, ink: str) -> Line2D:
    """Filled for inside, a cross for outside, an empty ring for not observed: readable without colour."""
    shape = {INSIDE: "o", OUTSIDE: "X", UNKNOWN: "o"}[words]
    face = sheet.colours.paper if words == UNKNOWN else ink
    return Line2D(
        [sheet.across(x)],
        [sheet.up(down)],
        marker=shape,
        markersize=5.2 if words == OUTSIDE else 4.2,
        markerfacecolor=face,
        markeredgecolor=ink,
        markeredgewidth=0.8,
        linestyle="none",
        transform=sheet.figure.transFigure,
    )
