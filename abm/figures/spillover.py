"""Several coins at one venue: paths, depth, liquidations, and open interest or the price of a collateral asset.

`python -m abm.figures.spillover RUN FILE.png` draws a run folder with altcoins.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator
from numpy.typing import NDArray

from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.style import Palette, round_number, save, styled, with_commas
from abm.figures.timeaxis import Clock, bars, clock_of, set_time_axis, total

if TYPE_CHECKING:
    import pandas as pd

    from abm.recorder import Run

Floats = NDArray[np.float64]
SNAPSHOT_S = 30


class _Coins:
    """Steps of BTC and of each altcoin on one clock, with a colour each."""

    def __init__(self, run: Run, colours: Palette) -> None:
        self.colours = colours
        self.clock: Clock = clock_of(run.steps, run.info)
        self.x: Floats = self.clock.x(run.steps["time"])
        first = str(run.info["markets"][0]["base"])
        self.steps: dict[str, pd.DataFrame] = {first: run.steps}
        self.pegs: dict[str, pd.DataFrame] = {}
        for name, rows in run.alts.groupby("coin", sort=False):
            held = rows.reset_index(drop=True)
            (self.steps if held["perp_usd"].notna().any() else self.pegs)[str(name)] = held
        shades = (colours.perp, colours.mark, colours.fund, colours.adl, colours.treasury)
        self.shades = dict(zip((*self.steps, *self.pegs), shades, strict=False))
        quiet = np.flatnonzero(run.steps["news_fair_change"].to_numpy() != 0)
        self.start = max(int(quiet[0]) - 1, 0) if quiet.size else 0
        """Last tick before any news."""

    def keys(self, names: Any) -> list[Key]:
        return [Key("line", self.shades[name], name) for name in names]

    def finish(self, axes: Axes, news: list[float]) -> None:
        """Time below, news as dashes."""
        set_time_axis(axes, self.clock, labels=True)
        every = axes.get_xticklabels()
        for label in every[1::2]:
            label.set_visible(False)
        for x in news:
            axes.axvline(x, color=self.colours.news, linewidth=1.0, linestyle=(0, (4, 2.5)), zorder=1)


def _news(run: Run, coins: _Coins) -> list[float]:
    """Seconds at which news begins, those of BTC."""
    moved = np.flatnonzero(run.steps["news_fair_change"].to_numpy() != 0)
    fresh = moved[np.diff(moved, prepend=-1000) > 60]
    return [float(coins.x[at]) for at in fresh]


def draw_spillover(run: Run, path: Path | str) -> Path:
    """Draw a run with altcoins; the path written, which ends in .png or .pdf."""
    info = run.info
    with styled() as colours:
        coins = _Coins(run, colours)
        news = _news(run, coins)
        accounts = (info.get("scenario") or {}).get("accounts")
        facts = f"{coins.clock.window()} · scenario {info.get('name', '')} · one seed ({info.get('seed', '')})"
        if accounts:
            facts += f" · {with_commas(accounts)} accounts of BTC"
        lines = [facts, "Model. Dashes: news about BTC, which others follow. % of the last price before the news."]
        plate = Plate(str(info.get("title") or info.get("name") or "Several coins"), lines, 2, 2, colours, (4.1, 2.3))
        for draw in (_prices, _depth, _liquidations, _fourth):
            coins.finish(draw(plate, coins), news)
        return save(plate.sheet.figure, path)


def _prices(plate: Plate, coins: _Coins) -> Axes:
    falls = []
    paths = {}
    for name, steps in coins.steps.items():
        price = steps["perp_usd"].to_numpy()
        paths[name] = 100.0 * (price / price[coins.start] - 1.0)
        falls.append(f"{name} {100 * (steps['perp_low_usd'].min() / price[coins.start] - 1):.1f} %".replace("-", "−"))
    axes = plate.panel("Price of the perpetual", "%", f"Lowest trade: {', '.join(falls)}.", coins.keys(coins.steps))
    for name, path in paths.items():
        axes.plot(coins.x, path, color=coins.shades[name], linewidth=1.3)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−")))
    return axes


def _depth(plate: Plate, coins: _Coins) -> Axes:
    every = max(1, round(SNAPSHOT_S / coins.clock.tick_s))
    words, drawn = [], {}
    for name, steps in coins.steps.items():
        depth = steps["depth_bid_usd"].to_numpy()[every - 1 :: every] / 1e6
        normal = float(np.median(depth[: max(coins.start // every, 1)]))
        drawn[name] = depth
        words.append(f"{name} {normal / depth.min():.0f} times")
    note = f"Bids within 1 %, every {SNAPSHOT_S} s; fall: {', '.join(words)}."
    axes = plate.panel("Depth", "million $, log", note, coins.keys(coins.steps))
    for name, depth in drawn.items():
        axes.plot(coins.x[every - 1 :: every], depth, color=coins.shades[name], linewidth=1.3)
    axes.set_yscale("log")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: round_number(value)))
    return axes


def _liquidations(plate: Plate, coins: _Coins) -> Axes:
    number, opens = bars(coins.clock, coins.x, 60)
    words, drawn = [], {}
    for name, steps in coins.steps.items():
        forced = (steps["liquidated_long_usd"] + steps["liquidated_short_usd"]).to_numpy() / 1e6
        drawn[name] = total(number, forced, opens.size)
        words.append(f"{name} {with_commas(forced.sum())}")
    note = f"Longs and shorts, with takeovers; $ million in all: {', '.join(words)}."
    axes = plate.panel("Liquidations", "million $ a minute", note, coins.keys(coins.steps))
    for name, bar in drawn.items():
        axes.step(opens, bar, where="post", color=coins.shades[name], linewidth=1.3)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: round_number(value)))
    return axes


def _fourth(plate: Plate, coins: _Coins) -> Axes:
    """The price of collateral that is no coin of the world, else open interest."""
    if coins.pegs:
        low = [f"{name} {steps['spot_usd'].min():.2f} $" for name, steps in coins.pegs.items()]
        note = f"Spot price at this venue; lowest: {', '.join(low)}."
        axes = plate.panel("Collateral", "$", note, coins.keys(coins.pegs))
        for name, steps in coins.pegs.items():
            axes.plot(coins.x, steps["spot_usd"], color=coins.shades[name], linewidth=1.3)
        axes.set_ylim(0, None)
        return axes
    axes = plate.panel("Open interest", "% of the opening", "Coins, one side.", coins.keys(coins.steps))
    for name, steps in coins.steps.items():
        interest = steps["open_interest_btc"].to_numpy()
        axes.plot(coins.x, 100.0 * interest / interest[0], color=coins.shades[name], linewidth=1.3)
    return axes


if __name__ == "__main__":
    from abm.results import load_run

    print(draw_spillover(load_run(sys.argv[1]), sys.argv[2]))
