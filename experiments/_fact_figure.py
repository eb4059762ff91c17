"""The figure of `stylised-facts`: a line and a band for each variant, black for what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.style import Palette, save, styled
from experiments._fact_month import DEPTH_PERCENT, MEMORY_LAGS, MINUTES, name_of
from experiments._fact_targets import FACTS, MEMORY, TAIL
from experiments._facts import tail_curve

MOST_SHOWN = 5


def draw(results: dict[str, Any], path: Path) -> Path:
    """Tail, memory, kurtosis and volatility by bar, impact, depth: at most five variants."""
    shown = [one for one in results["variants"] if one["runs"]][:MOST_SHOWN]
    with styled() as colours:
        looks = (colours.long, colours.short, colours.fund, colours.adl, colours.treasury)
        title = "Stylised facts of a calm month"
        size = f"{_count(results['days'], 'day')}, {_count(results['seeds'], 'seed')}"
        words = f"{size}: medians; bands hold the middle 80 % of seeds."
        real = "Black: Binance BTCUSDT perpetual, 15 September to 9 October 2025."
        plate = Plate(title, [words, real], 2, 3, colours, (3.3, 2.2))
        keys = [Key("line", look, one["variant"]) for one, look in zip(shown, looks, strict=False)]
        pairs = list(zip(shown, looks, strict=False))
        _tail(plate, pairs, colours)
        _memory(plate, pairs, colours, keys)
        _by_bar(plate, pairs, colours, "std_bp", "Volatility", "bp", log=True)
        _by_bar(plate, pairs, colours, "kurtosis", "Excess kurtosis", "", log=False)
        _impact(plate, pairs, colours)
        _depth(plate, pairs, colours)
        return save(plate.sheet.figure, path)


Pairs = list[tuple[dict[str, Any], str]]


def _count(number: float, word: str) -> str:
    return f"{number:g} {word}{'' if number == 1 else 's'}"


def _decades(axis: Any, marks: Any = ()) -> None:
    """Plain numbers on a log axis: `marks`, or the powers of ten."""
    axis.set_major_locator(FixedLocator(list(marks) or [10.0**n for n in range(-5, 7)]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def _line(axes: Any, at: Any, curve: list[list[float]], colour: str, positive: bool = False) -> None:
    """Median and band of a curve, list of (median, low, high)."""
    values = np.array(curve, np.float64)
    if not values.size:
        return
    if positive:
        values = np.where(values > 0, values, np.nan)
    axes.plot(at, values[:, 0], color=colour, linewidth=1.5)
    axes.fill_between(at, values[:, 1], values[:, 2], color=colour, alpha=0.18, linewidth=0)


def _dots(axes: Any, at: Any, values: Any, colours: Palette) -> None:
    look = {"marker": "o", "markersize": 5, "markerfacecolor": colours.paper, "markeredgewidth": 1.2}
    axes.plot(at, values, color=colours.perp, linestyle="none", zorder=4, **look)


def _tail(plate: Plate, pairs: Pairs, colours: Palette) -> None:
    words = "|r| of 5 minutes over its standard deviation"
    axes = plate.panel("Tails", "share above", "", [Key("ring", colours.perp, "real")], words)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _decades(axes.yaxis)
    grid = tail_curve(np.ones(2))[0]
    for one, look in pairs:
        _line(axes, grid, one["curves"]["tail"], look, positive=True)
    _dots(axes, [at for at, _ in TAIL], [share for _, share in TAIL], colours)
    normal = np.array([0.5, 0.6, 0.8, 1, 1.5, 2, 2.5, 3, 3.5])
    from scipy.special import erfc

    axes.plot(normal, erfc(normal / np.sqrt(2)), color=colours.note, linestyle=(0, (4, 3)), linewidth=1.1)
    axes.annotate("normal", (3.1, 3e-4), color=colours.note, fontsize=8, ha="right")
    axes.set_xlim(0.4, 20)
    axes.set_ylim(1e-4, 1)
    _decades(axes.xaxis, [0.5, 1, 2, 5, 10, 20])


def _memory(plate: Plate, pairs: Pairs, colours: Palette, keys: list[Key]) -> None:
    axes = plate.panel("ACF of |r|", "", "", keys, "lag, 5-minute bars")
    axes.set_xscale("log")
    for one, look in pairs:
        _line(axes, MEMORY_LAGS, one["curves"]["memory"], look)
    _dots(axes, MEMORY_LAGS, MEMORY, colours)
    axes.axhline(0, color=colours.axis, linewidth=0.8)
    _decades(axes.xaxis, [1, 5, 12, 50, 288])


def _by_bar(plate: Plate, pairs: Pairs, colours: Palette, key: str, title: str, unit: str, log: bool) -> None:
    """One fact at the four lengths of bars; variants side by side, so that bands do not hide one another."""
    axes = plate.panel(title, unit, "", [Key("ring", colours.perp, "real")], "bar")
    names = [name_of(minutes) for minutes in MINUTES]
    if log:
        axes.set_yscale("log")
    else:
        axes.set_yscale("symlog", linthresh=5)
    real = {fact.key: fact.month for fact in FACTS}
    for place, (one, look) in enumerate(pairs):
        shift = 0.13 * (place - (len(pairs) - 1) / 2)
        for at, name in enumerate(names):
            if (ends := one["facts"].get(f"{name}.{key}")) is None:
                continue
            axes.plot([at + shift] * 2, ends[1:], color=look, linewidth=3, alpha=0.35, solid_capstyle="butt")
            axes.plot(at + shift, ends[0], color=look, marker="s", markersize=4.5)
    measured = [at for at, name in enumerate(names) if real.get(f"{name}.{key}") is not None]
    _dots(axes, measured, [real[f"{names[at]}.{key}"] for at in measured], colours)
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.5, len(names) - 0.5)
    _decades(axes.yaxis, [3, 5, 10, 20, 50, 100, 200, 500] if log else [0, 2, 5, 10, 20, 50, 100, 300, 1_000])


def _impact(plate: Plate, pairs: Pairs, colours: Palette) -> None:
    keys = [Key("dashes", colours.perp, "exponent 0.76")]
    axes = plate.panel("Impact", "bp a minute", "", keys, "net taker flow, BTC a minute")
    axes.set_xscale("log")
    axes.set_yscale("log")
    ends = []
    for one, look in pairs:
        flow, change = one["curves"]["impact_flow"], one["curves"]["impact_bp"]
        if flow:
            _line(axes, [values[0] for values in flow], change, look, positive=True)
            ends.append((flow[len(flow) // 2][0], change[len(change) // 2][0], flow[-1][0], flow[0][0]))
    axes.set_ylim(bottom=0.05)
    _decades(axes.xaxis, [1, 3, 10, 30, 100, 300, 1_000, 3_000])
    _decades(axes.yaxis, [0.1, 0.3, 1, 3, 10, 30, 100, 300])
    if ends and ends[0][1] > 0:
        x = np.geomspace(ends[0][3], ends[0][2], 20)
        axes.plot(x, ends[0][1] * (x / ends[0][0]) ** 0.76, color=colours.perp, linestyle=(0, (4, 3)), linewidth=1.1)


def _depth(plate: Plate, pairs: Pairs, colours: Palette) -> None:
    keys = [Key("dashes", colours.perp, "exponent 1.13, 2,090 BTC within 1 %")]
    axes = plate.panel("Depth", "BTC", "", keys, "distance from the middle, %")
    axes.set_xscale("log")
    axes.set_yscale("log")
    at = np.array(DEPTH_PERCENT)
    for one, look in pairs:
        _line(axes, at, one["curves"]["depth_coins"], look)
    axes.plot(at, 2_090 * at**1.13, color=colours.perp, linestyle=(0, (4, 3)), linewidth=1.1)
    _decades(axes.xaxis, [0.1, 0.3, 1, 3])
    _decades(axes.yaxis)
