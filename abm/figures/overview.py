"""The overview of one run: price, liquidations, flows, depth, open interest, fund, treasuries, model beside real."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from abm.figures import balances, panels, table
from abm.figures.frame import Frame, find, frame_of
from abm.figures.price import draw_price
from abm.figures.sheet import HEADER_IN, Sheet, title_height
from abm.figures.style import Palette, save, styled, with_commas
from abm.figures.timeaxis import set_time_axis

WIDTH_IN, MOST_IN, LEAST_IN = 10.0, 13.0, 10.0
GAP_IN, AXIS_IN, FOOT_IN = 0.09, 0.22, 0.26
PRICE_IN, PRICE_LEAST_IN, PRICE_MOST_IN, MOST_STRETCH = 2.3, 1.8, 2.9, 1.35
"""Height of the price panel: wanted, least, most; and how far the other panels may stretch when there is room."""
Panel = Callable[[Sheet, Frame, str, float], Axes]
HEIGHTS_IN: tuple[tuple[Panel, float], ...] = (
    (panels.draw_range, 0.44),
    (panels.draw_volume, 0.60),
    (panels.draw_liquidations, 0.66),
    (panels.draw_depth, 0.60),
    (panels.draw_open_interest, 0.38),
    (balances.draw_fund, 0.42),
)
TREASURY_IN = 0.56


def draw_overview(
    steps: pd.DataFrame, events: pd.DataFrame, run: dict[str, Any], path: Path | str, theme: str = "light"
) -> Path:
    """Draw one run; the path written.

    `steps`: one row a tick with the columns of `steps.parquet`; a missing column is drawn as not available.
    `events`: rows of `events.parquet` with `time` (may be empty). `run`: the dictionary of `run.json`; `real_points` in
    it (time, price_usd, label, grade) are drawn as rings, `comparison` becomes the table. `path` ends in .png or .pdf.
    """
    with styled(theme) as colours:
        sheet = overview_sheet(frame_of(steps, events, run), colours)
        return save(sheet.figure, path)


def overview_sheet(frame: Frame, colours: Palette) -> Sheet:
    """The drawn page, before it is saved."""
    rows = list(frame.run.get("comparison") or [])
    lines = subtitle(frame)
    parts = list(HEIGHTS_IN) + ([(balances.draw_treasury, TREASURY_IN)] if balances.has_treasury(frame) else [])
    table_in = table.table_height(Sheet(WIDTH_IN, MOST_IN, colours), rows)
    fixed = title_height(len(lines)) + (HEADER_IN + GAP_IN) * (len(parts) + 1) + 2 * AXIS_IN + table_in + FOOT_IN
    price_in, stretch = shares(MOST_IN - fixed, sum(height for _, height in parts))
    height = max(fixed + price_in + stretch * sum(height for _, height in parts), LEAST_IN)
    sheet = Sheet(WIDTH_IN, height, colours)
    sheet.title(title(frame), lines)
    drawn: list[Axes] = []
    if not len(frame.steps):
        sheet.write(0.27, sheet.down_in + 0.3, "The run has no steps: nothing to draw.", color=colours.note)
        return sheet
    drawn.append(draw_price(sheet, frame, "a", price_in))
    sheet.down_in += AXIS_IN
    for number, (draw, panel_in) in enumerate(parts, start=1):
        sheet.down_in += GAP_IN
        drawn.append(draw(sheet, frame, "abcdefgh"[number], stretch * panel_in))
    set_time_axis(drawn[-1], frame.clock, labels=True)
    mark_news(sheet, frame, sheet.figure.axes)
    sheet.down_in += AXIS_IN + GAP_IN
    if rows:
        table.draw_table(sheet, "abcdefghi"[len(parts) + 1], rows, frame.run.get("seed"))
    footer(sheet, frame, with_treasury=balances.has_treasury(frame))
    return sheet


def shares(room_in: float, panels_in: float) -> tuple[float, float]:
    """Height of the price panel and stretch of the others that fill the room as far as they may."""
    stretch = min(max((room_in - PRICE_IN) / panels_in, 1.0), MOST_STRETCH)
    return min(max(room_in - stretch * panels_in, PRICE_LEAST_IN), PRICE_MOST_IN), stretch


def title(frame: Frame) -> str:
    """What the picture shows, first of all that it is a model."""
    run = frame.run
    name = run.get("title") or run.get("name") or "Liquidation cascade"
    return f"{name}: one model run"


def subtitle(frame: Frame) -> list[str]:
    """Window, scenario, accounts, seed, version; a line more when the run was stopped."""
    run = frame.run
    accounts = find(run.get("summary"), "accounts") or find(run.get("scenario"), "accounts") or run.get("accounts")
    facts = [frame.clock.window() if len(frame.steps) else "no steps"]
    if run.get("name"):
        facts.append(f"scenario {run['name']}")
    if isinstance(accounts, int | float):
        facts.append(f"{with_commas(accounts)} accounts")
    if run.get("seed") is not None:
        facts.append(f"one seed ({run['seed']})")
    if run.get("version"):
        facts.append(f"version {run['version']}")
    if run.get("source_hash"):
        facts.append(f"source {str(run['source_hash'])[:8]}")
    lines = [" · ".join(facts)]
    if run.get("complete") is False:
        of = f" of {with_commas(float(run['ticks']))}" if run.get("ticks") else ""
        lines.append(f"Incomplete: stopped after {with_commas(len(frame.steps))}{of} ticks.")
    return lines


def mark_news(sheet: Sheet, frame: Frame, drawn: Sequence[Axes]) -> None:
    """The dashed line of each piece of news, through all panels."""
    for axes in drawn:
        for item in frame.main_news:
            axes.axvline(item.x, color=sheet.colours.news, linewidth=1.2, linestyle=(0, (4, 2.5)), zorder=4.5)


def footer(sheet: Sheet, frame: Frame, *, with_treasury: bool) -> None:
    """Last grey line: what is not drawn, and where the numbers come from."""
    words = "Simulated, not measured; UTC."
    if frame.run.get("real_points"):
        words += " Rings: published prices, for comparison only."
    if not with_treasury:
        words += " No treasury takes part in this run."
    if not frame.news:
        words += " No news in this run."
    sheet.write_fitted(
        sheet.left_in, sheet.height_in - 0.10, words, sheet.width_in - 1.0, fontsize=8.0, color=sheet.colours.note
    )
