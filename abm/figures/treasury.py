"""Stress of treasury companies: what trips where, coins sold, and what the sale does to the price."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import MaxNLocator

from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.style import SOURCE_PT, save, styled, tint

if TYPE_CHECKING:
    from abm.stress import Stress

LETTERS = {"covenant": "C", "put": "P", "dividend": "D", "unmet": "!", "posts": "+"}
MOST_COMPANIES = 18
LAWS = {"book": "one sweep of the bids", "root": "square-root law"}


def draw_stress(found: Stress, path: Path) -> Path:
    """Three panels: companies by drop, coins sold, price effect by both laws."""
    with styled() as colours:
        law = found.options.impact
        other = "root" if law == "book" else "book"
        lines = [
            f"Companies of {found.scenario}, coin at {found.start_usd:,.0f} before the fall; puts and dividends of "
            f"{found.options.horizon_days:g} days; nobody earns, shares are issued only while mNAV is above 1.",
            f"All sell at once: {LAWS[law]}; prices and sales iterated to a fixed point. Model values.",
        ]
        tall = min(2.6, max(1.7, 0.21 * min(len(found.sheets), MOST_COMPANIES)))
        plate = Plate("Treasury companies under stress", lines, 1, 3, colours, panel_in=(3.4, tall))
        _companies(plate, found)
        _sold(plate, found)
        _effect(plate, found, law, other)
        save(plate.sheet.figure, path)
    return path


def _companies(plate: Plate, found: Stress) -> None:
    """A cell a company and drop: shade by the share of its coins that it sells, letters for what trips."""
    colours = plate.colours
    note = "C covenant, P put, D dividend: sells; + posts coins; ! unmet"
    axes = plate.panel("What trips", "darker: more of its coins sold", note, across="fall of the price, %")
    sheets = found.sheets[:MOST_COMPANIES]
    drops = [100.0 * one.drop for one in found.settled]
    shades = LinearSegmentedColormap.from_list("sold", [colours.paper, colours.treasury])
    for x, one in enumerate(found.settled):
        for y, (sheet, strain) in enumerate(zip(sheets, one.strains, strict=False)):
            share = strain.coins / sheet.coins if sheet.coins > 0.0 else 0.0
            face = shades(0.0 if share <= 0.0 else 0.15 + 0.85 * share)
            axes.add_patch(_cell(x, y, face, tint(colours.note, colours.paper, 0.25)))
            words = "".join(LETTERS[word] for word in strain.trips.split(" + ") if word)
            ink = colours.paper if share > 0.45 else colours.text
            axes.text(x, y, words, ha="center", va="center", fontsize=SOURCE_PT, color=ink)
    axes.set_xlim(-0.5, len(drops) - 0.5)
    axes.set_ylim(len(sheets) - 0.5, -0.5)
    every = max(1, (len(drops) + 12) // 13)
    axes.set_xticks(range(0, len(drops), every), [f"{drop:g}" for drop in drops[::every]])
    axes.set_yticks(range(len(sheets)), [sheet.name for sheet in sheets], fontsize=SOURCE_PT)
    axes.grid(visible=False)


def _cell(x: int, y: int, face: Any, edge: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.5, y - 0.5), 1.0, 1.0, facecolor=face, edgecolor=edge, linewidth=0.5)


def _sold(plate: Plate, found: Stress) -> None:
    """Coins that must be sold at the shocked price, and in the end."""
    colours = plate.colours
    drops = found.drops()
    across = [row["drop_percent"] for row in drops]
    most = max(row["sold_coins"] for row in drops)
    keys = [Key("line", colours.treasury, "in the end"), Key("dashes", colours.note, "at the shocked price")]
    axes = plate.panel("Coins sold", f"thousand BTC; at most {most / 1e3:,.1f}", "", keys, "fall of the price, %")
    axes.plot(across, [row["static_coins"] / 1e3 for row in drops], color=colours.note, linestyle="--", linewidth=1.2)
    axes.plot(across, [row["sold_coins"] / 1e3 for row in drops], color=colours.treasury, marker="s", markersize=3.5)
    axes.set_ylim(0.0, max(1.1 * most / 1e3, 0.1))
    axes.yaxis.set_major_locator(MaxNLocator(5))


def _effect(plate: Plate, found: Stress, law: str, other: str) -> None:
    """What the sale does to the price, by both laws."""
    colours = plate.colours
    drops = found.drops()
    across = [row["drop_percent"] for row in drops]
    deepest = min(row["effect_percent"] for row in drops)
    keys = [Key("line", colours.perp, LAWS[law]), Key("dashes", colours.perp, LAWS[other])]
    axes = plate.panel("Effect on the price", "% on top of the fall", "", keys, "fall of the price, %")
    axes.plot(across, [row["effect_percent"] for row in drops], color=colours.perp, marker="o", markersize=3)
    axes.plot(across, [row["other_effect_percent"] for row in drops], color=colours.perp, linestyle="--", linewidth=1.2)
    low = min(deepest, min(row["other_effect_percent"] for row in drops))
    axes.set_ylim(1.1 * low if low < -0.05 else -1.0, 0.0)
    axes.yaxis.set_major_locator(MaxNLocator(5))
