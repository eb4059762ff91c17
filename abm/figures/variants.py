"""Variants of one scenario on the same randomness: pictures of `etf-outflow`, `macro-selloff` and `staking-yield`.

`python -m abm.figures.variants SCENARIO FILE.png` runs the variants and draws them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.style import save, styled
from abm.figures.timeaxis import Floats
from abm.model import MarketModel
from abm.recorder import Recorder
from abm.scenario import load_scenario


@dataclass(frozen=True)
class Series:
    """One panel: a column of the steps, or of the participants where the name holds a dot; summed up if wished."""

    title: str
    unit: str
    column: str
    scale: float = 1.0
    note: str = ""
    summed: bool = False


@dataclass(frozen=True)
class Picture:
    """Title, lines below it, variants (label -> settings) and panels."""

    title: str
    lines: tuple[str, ...]
    variants: Mapping[str, tuple[str, ...]]
    panels: tuple[Series, ...]


_PRICE = Series("Spot price", "thousand $", "spot_usd", 1e-3)
_FORCED = Series("Longs liquidated", "$ million", "liquidated_long_usd", 1e-6, "since the start", summed=True)
PICTURES = {
    "etf-outflow": Picture(
        "Funds sell $867m in a session: 13 November 2025",
        ("Seed 1, 5,000 accounts. The flow is observed, its execution assumed; no other news.",),
        {
            "outflow of $867m": (),
            "no flow": ('participants.etfs.parameters.flows=[{day="2025-11-13",flow_usd=0}]',),
        },
        (
            _PRICE,
            Series("Net flow traded", "$ million", "etfs.traded_usd", 1e-6, "since the start"),
            Series("Exchange reserve", "thousand BTC", "etfs.reserve_btc", 1e-3, "coins of participants at the venue"),
            _FORCED,
        ),
    ),
    "macro-selloff": Picture(
        "Stocks fall by 3.6 %: 10 October 2025, before the evening",
        ("Seed 1, 5,000 accounts. Fall of the index observed, its path assumed.",),
        {"beta on falls 2.37": (), "beta on falls 1.0": ("world.macro_beta_down=1.0",)},
        (
            _PRICE,
            Series("Fundamental value", "thousand $", "fair_usd", 1e-3, "moved by the index"),
            Series("Open interest", "thousand BTC", "open_interest_btc", 1e-3),
            _FORCED,
        ),
    ),
    "staking-yield": Picture(
        "A yield outside draws capital from leverage, then bad news comes",
        ("Seed 1, 5,000 accounts. A what-if: yield, holders and news are assumed.",),
        {
            "rises to 60 %": (),
            "stays at 3 %": ("participants.stakers.parameters.yields=[]",),
            "60 % throughout": ("participants.stakers.parameters.yield_percent=60",),
        },
        (
            _PRICE,
            Series("Positions of the holders", "thousand BTC", "stakers.position_btc", 1e-3),
            Series("Staked", "$ million", "stakers.staked_usd", 1e-6),
            _FORCED,
        ),
    ),
}


@dataclass(frozen=True)
class Variant:
    """The tables of one run."""

    label: str
    steps: pd.DataFrame
    participants: pd.DataFrame

    def clock(self) -> tuple[Floats, str]:
        """End of each tick and what it counts: hours of the first day, minutes from the start in a short run."""
        time = self.steps["time"]
        short = time.iloc[-1] - time.iloc[0] < pd.Timedelta(hours=2)
        first, unit = (time.iloc[0], 60.0) if short else (time.iloc[0].normalize(), 3600.0)
        passed: Floats = ((time - first).dt.total_seconds() / unit).to_numpy(np.float64)
        return passed, "minutes from the start" if short else "hour of the day, UTC"

    def values(self, series: Series) -> Floats:
        """What a panel shows, float64 (ticks,)."""
        table = self.participants if "." in series.column else self.steps
        found: Floats = table[series.column].to_numpy(np.float64) * series.scale
        return np.cumsum(found) if series.summed else found


def run_variants(name: str, seed: int | None = None, accounts: int | None = None) -> list[Variant]:
    """Run what the picture of a scenario compares; all variants have the same seed."""
    found = []
    for label, settings in PICTURES[name].variants.items():
        recorder = Recorder("summary")
        MarketModel(load_scenario(name, settings, seed, accounts), recorder=recorder).run()
        run = recorder.run()
        found.append(Variant(label, run.steps, run.participants))
    return found


def draw_variants(picture: Picture, variants: Sequence[Variant], path: Path | str) -> Path:
    """Four panels, one line a variant; the path written."""
    with styled() as colours:
        hues = (colours.long, colours.perp, colours.short, colours.fund)
        plate = Plate(picture.title, list(picture.lines), 2, 2, colours, panel_in=(3.6, 2.0))
        keys = [Key("line", hue, one.label) for hue, one in zip(hues, variants, strict=False)]
        for number, series in enumerate(picture.panels):
            legend = keys if number == 0 else ()
            axes = plate.panel(series.title, series.unit, series.note, legend, across=variants[0].clock()[1])
            for hue, one in zip(hues, variants, strict=False):
                every = max(1, len(one.steps) // 1500)
                axes.plot(one.clock()[0][::every], one.values(series)[::every], color=hue, linewidth=1.2)
        return save(plate.sheet.figure, path)


def main(arguments: Sequence[str]) -> None:
    """Draw the picture of a scenario: its name and a file."""
    if len(arguments) != 2 or arguments[0] not in PICTURES:
        raise SystemExit(f"usage: python -m abm.figures.variants ({' | '.join(PICTURES)}) FILE.png")
    print(draw_variants(PICTURES[arguments[0]], run_variants(arguments[0]), arguments[1]))


if __name__ == "__main__":
    main(sys.argv[1:])
