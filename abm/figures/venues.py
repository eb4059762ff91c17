"""Several venues in one picture: price, leverage offered, volume shares, open interest, liquidations, money moved.

Here a colour stands for a venue, the lead venue in ink. To draw a run folder: `python -m abm.figures.venues RUN [PNG]`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from abm.figures.frame import Frame, frame_of
from abm.figures.overview import mark_news, subtitle, title
from abm.figures.panels import numbers, say
from abm.figures.sheet import HEADER_IN, Key, Sheet, title_height
from abm.figures.style import Palette, round_number, save, short_number, styled, with_commas
from abm.figures.timeaxis import Floats, set_time_axis, thin, total

WIDTH_IN = 10.0
GAP_IN, AXIS_IN, FOOT_IN = 0.12, 0.24, 0.28
MILLION, THOUSAND = 1e6, 1e3
STEPS_X = (1, 3, 10, 20, 40, 100, 200, 500, 1001)
"""Ticks of the leverage axis."""


@dataclass(frozen=True)
class Scene:
    """A run of several venues: one frame each, by name, and the figures of named participants."""

    frames: dict[str, Frame]
    participants: pd.DataFrame
    colours: dict[str, str]

    @property
    def lead(self) -> Frame:
        """The lead venue, which has the clock."""
        return next(iter(self.frames.values()))

    @property
    def keys(self) -> list[Key]:
        """The legend of the venues."""
        return [Key("line", self.colours[name], name) for name in self.frames]

    def figures(self, ending: str) -> dict[str, Floats]:
        """What participants report of each venue as `NAME.VENUE_ending`, float64[n]; without venues that lack it."""
        found = {}
        for name in self.frames:
            tail = f".{name.replace('-', '_')}_{ending}"
            columns = [column for column in self.participants.columns if str(column).endswith(tail)]
            if columns:
                found[name] = self.participants[columns[0]].to_numpy(np.float64)
        return found

    def single(self, ending: str) -> Floats | None:
        """The first figure of a participant called `ending`."""
        columns = [column for column in self.participants.columns if str(column).endswith(f".{ending}")]
        return self.participants[columns[0]].to_numpy(np.float64) if columns else None


Panel = Callable[[Sheet, Scene, str, float], Axes]


def draw_venues(
    venues: pd.DataFrame, participants: pd.DataFrame, run: dict[str, Any], path: Path | str, theme: str = "light"
) -> Path:
    """Draw a run of several venues; the path written.

    `venues`: rows of `venues.parquet`, one a tick and venue; `participants`: those of `participants.parquet` (may be
    empty); `run`: the dictionary of `run.json`. `path` ends in .png or .pdf. Raises ValueError for fewer than two
    venues.
    """
    if venues.empty or venues["venue"].nunique() < 2:
        raise ValueError("a picture of several venues needs a run of at least two")
    with styled(theme) as colours:
        return save(venues_sheet(scene_of(venues, participants, run, colours), colours).figure, path)


def scene_of(venues: pd.DataFrame, participants: pd.DataFrame, run: dict[str, Any], colours: Palette) -> Scene:
    """Split the table by venue, lead venue first."""
    order = [str(name) for name in run.get("venues") or pd.unique(venues["venue"])]
    none = pd.DataFrame()
    frames = {name: frame_of(venues[venues["venue"] == name], none, run) for name in order}
    hues = (colours.perp, colours.mark, colours.adl, colours.fund, colours.treasury, colours.spot)
    return Scene(frames, participants, {name: hues[n % len(hues)] for n, name in enumerate(order)})


def venues_sheet(scene: Scene, colours: Palette) -> Sheet:
    """The drawn page, before it is saved."""
    parts: list[tuple[Panel, float]] = [(draw_prices, 1.9)]
    parts += [(draw_leverage, 1.2)] if scene.figures("leverage_x") else []
    parts += [(draw_shares, 0.9), (draw_interest, 1.0), (draw_forced, 1.2)]
    parts += [(draw_money, 1.0)] if scene.figures("net_usd") else []
    lines = subtitle(scene.lead)
    height = title_height(len(lines)) + sum(h for _, h in parts) + len(parts) * (HEADER_IN + GAP_IN) + AXIS_IN + FOOT_IN
    sheet = Sheet(WIDTH_IN, height, colours)
    sheet.title(title(scene.lead), lines)
    for number, (draw, panel_in) in enumerate(parts):
        sheet.down_in += GAP_IN
        axes = draw(sheet, scene, "abcdefgh"[number], panel_in)
        set_time_axis(axes, scene.lead.clock, labels=number == len(parts) - 1)
    mark_news(sheet, scene.lead, sheet.figure.axes)
    words = "Simulated, not measured; UTC. Dashed line: news."
    sheet.write_fitted(sheet.left_in, height - 0.08, words, WIDTH_IN - 1.0, fontsize=8.0, color=colours.note)
    return sheet


# --- panels -----------------------------------------------------------------------------------------------------------
def draw_prices(sheet: Sheet, scene: Scene, letter: str, height_in: float) -> Axes:
    """Last trade of each perpetual."""
    lows = {name: float(np.nanmin(frame.column("perp_low_usd"))) for name, frame in scene.frames.items()}
    note = f"Model: last trade of each perpetual. Lows, $: {named({k: with_commas(v) for k, v in lows.items()}, '')}."
    axes = sheet.panel(letter, "Price", "thousand $", note, height_in, scene.keys)
    for name, frame in reversed(scene.frames.items()):
        axes.plot(*thin(frame.x, frame.column("perp_usd") / THOUSAND), color=scene.colours[name], linewidth=1.0)
    numbers(axes)
    return axes


def draw_leverage(sheet: Sheet, scene: Scene, letter: str, height_in: float) -> Axes:
    """Highest leverage each venue offers: what a competition reports, else the venue's first bracket."""
    offered = scene.figures("leverage_x")
    for name, value in first_brackets(scene.lead.run).items():
        if name in scene.frames:
            offered.setdefault(name, np.full(len(scene.lead.x), value))
    ends = {name: round_number(float(values[-1])) for name, values in offered.items()}
    note = f"Model: first margin bracket. At the end: {named(ends, 'x')}."
    high = scene.single("interest_at_50x_percent")
    if high is not None:
        note += f" Open interest at 50x or more: at most {short_number(float(np.nanmax(high)))} %."
    axes = sheet.panel(letter, "Highest leverage", "x, log", note, height_in)
    if not offered:
        say(axes, "not recorded", sheet.colours)
        return axes
    for rank, (name, values) in enumerate(offered.items()):
        apart = 1.03 ** (rank - (len(offered) - 1) / 2)  # equal ones lie side by side, 3 % apart
        axes.step(scene.lead.x, values * apart, where="post", color=scene.colours[name], linewidth=1.4)
    lowest = min(float(values.min()) for values in offered.values())
    highest = max(float(values.max()) for values in offered.values())
    axes.set_yscale("log")
    axes.set_ylim(lowest / 1.25, highest * 1.35)
    places = [step for step in STEPS_X if lowest / 1.2 <= step <= highest * 1.2]
    axes.yaxis.set_major_locator(FixedLocator(places))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_yticklabels([str(step) for step in places])
    return axes


def draw_shares(sheet: Sheet, scene: Scene, letter: str, height_in: float) -> Axes:
    """Share of the perpetuals' volume, bar by bar."""
    bars = {n: total(f.number, f.column("volume_btc"), len(f.opens)) for n, f in scene.frames.items()}
    every = np.sum(list(bars.values()), axis=0)
    share = {name: 100.0 * values / np.maximum(every, 1e-12) for name, values in bars.items()}
    whole = {name: short_number(100.0 * float(v.sum() / max(every.sum(), 1e-12))) for name, v in bars.items()}
    note = f"Model: each {scene.lead.interval}. Of the whole run: {named(whole, ' %')}."
    axes = sheet.panel(letter, "Share of volume", "%", note, height_in)
    for name, values in share.items():
        middle = scene.lead.opens + scene.lead.step_s / 2
        axes.plot(middle, np.where(every > 0, values, np.nan), color=scene.colours[name], linewidth=1.4)
    axes.set_ylim(0.0, None)
    numbers(axes)
    return axes


def draw_interest(sheet: Sheet, scene: Scene, letter: str, height_in: float) -> Axes:
    """Open interest of each venue."""
    change = {}
    for name, frame in scene.frames.items():
        values = frame.column("open_interest_btc")
        change[name] = f"{with_commas(values[0])} to {with_commas(values[-1])}"
    note = f"Model, one side, BTC, opening to end: {named(change, '')}."
    axes = sheet.panel(letter, "Open interest", "thousand BTC", note, height_in)
    for name, frame in scene.frames.items():
        line(axes, scene.lead, frame.column("open_interest_btc") / THOUSAND, scene.colours[name])
    axes.set_ylim(0.0, None)
    numbers(axes)
    return axes


def draw_forced(sheet: Sheet, scene: Scene, letter: str, height_in: float) -> Axes:
    """Liquidated notional since the opening; deleveraging dashed."""
    sums, adl = {}, {}
    for name, frame in scene.frames.items():
        sums[name] = np.cumsum(frame.column("liquidated_long_usd") + frame.column("liquidated_short_usd")) / MILLION
        adl[name] = np.cumsum(frame.column("adl_usd")) / MILLION
    note = f"Model, $M in all: {named({n: short_number(float(v[-1])) for n, v in sums.items()}, '')}."
    dashed = {name: short_number(float(v[-1])) for name, v in adl.items() if v[-1] > 0}
    note += f" ADL: {named(dashed, '')}." if dashed else " No ADL."
    grey = sheet.colours.note
    keys = [Key("line", grey, "liquidated"), Key("dashes", grey, "ADL")][: 2 if dashed else 1]
    axes = sheet.panel(letter, "Liquidations since the opening", "$ million", note, height_in, keys)
    for name, colour in scene.colours.items():
        line(axes, scene.lead, sums[name], colour)
        if name in dashed:
            line(axes, scene.lead, adl[name], colour, dashed=True)
    axes.set_ylim(0.0, None)
    numbers(axes)
    return axes


def draw_money(sheet: Sheet, scene: Scene, letter: str, height_in: float) -> Axes:
    """What moved into each venue, net, since the opening; the exchange-traded fund dashed."""
    moved = {name: values / MILLION for name, values in scene.figures("net_usd").items()}
    fund = scene.single("to_etf_usd")
    note = f"Model, $M at the end: {named({n: short_number(float(v[-1])) for n, v in moved.items()}, '')}"
    note += "." if fund is None else f"; to the ETF {short_number(float(fund[-1]) / MILLION)}."
    keys = [] if fund is None else [Key("dashes", sheet.colours.note, "ETF")]
    axes = sheet.panel(letter, "Money moved in, net", "$ million", note, height_in, keys)
    axes.axhline(0.0, color=sheet.colours.axis, linewidth=0.8)
    for name, values in moved.items():
        line(axes, scene.lead, values, scene.colours[name])
    if fund is not None:
        line(axes, scene.lead, fund / MILLION, sheet.colours.note, dashed=True)
    numbers(axes)
    return axes


def line(axes: Axes, frame: Frame, values: Floats, colour: str, *, dashed: bool = False) -> None:
    """A line over time, thinned."""
    style = (0, (3.0, 2.0)) if dashed else "-"
    axes.plot(*thin(frame.x, values), color=colour, linewidth=1.4, linestyle=style)


def named(values: dict[str, str], unit: str) -> str:
    """Names with their values, as in "binance 3, bybit 4"."""
    return ", ".join(f"{name} {value}{unit}" for name, value in values.items())


def first_brackets(run: dict[str, Any]) -> dict[str, float]:
    """Highest leverage at the opening by venue name, from the resolved scenario of a run."""
    scenario = run.get("scenario")
    if not isinstance(scenario, dict):
        return {}
    cap = ((scenario.get("policies") or {}).get("leverage_cap") or {}).get("most", np.inf)
    presets = [scenario.get("venue"), *(other.get("venue") for other in scenario.get("others") or [])]
    return {
        str(preset["name"]): float(min(preset["perpetual"][0]["tiers"][0]["leverage"], cap))
        for preset in presets
        if isinstance(preset, dict) and preset.get("perpetual")
    }


def main(arguments: list[str]) -> int:
    """Draw a run folder: the folder, and the picture (left out: `venues.png` in it)."""
    from abm.results import load_run

    if len(arguments) not in (1, 2):
        print("usage: python -m abm.figures.venues RUN [PICTURE]")
        return 2
    run = load_run(Path(arguments[0]))
    target = Path(arguments[1]) if len(arguments) == 2 else run.path / "venues.png"
    print(draw_venues(run.venues, run.participants, run.info, target))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
