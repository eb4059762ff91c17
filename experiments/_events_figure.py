"""An event beside its day: model runs as lines, a few candle prices of the real day as rings.

    python -m experiments._events_figure RUN [RUN ...] FILE.png

RUNs are folders of `deleverage run september-2025` or `november-2025-early`, one a seed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.ticker import MultipleLocator

from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.style import save, styled

Every: Callable[[float], Any] = MultipleLocator
REAL = {
    "september-2025": (
        *(("05:55", 114_269.0), ("06:00", 113_615.0), ("06:02:30", 111_469.2), ("06:05", 112_439.6)),
        *(("06:10", 112_690.5), ("06:15", 112_937.1), ("06:30", 112_752.0), ("07:00", 112_748.8)),
    ),
    "november-2025-early": (
        *(("15:00", 104_458.4), ("16:00", 103_157.7), ("17:00", 102_227.4), ("18:00", 101_074.8)),
        *(("18:37:30", 100_000.0), ("19:00", 101_317.3), ("20:00", 100_507.0), ("20:22:30", 99_675.1)),
        *(("21:00", 100_710.0), ("21:37:30", 98_888.8), ("22:00", 100_274.2), ("22:35", 101_484.7)),
    ),
}
"""Openings and lowest trades of Binance BTCUSDT five-minute candles, lowest trades in the middle of theirs."""


def draw(runs: Sequence[Path], path: Path) -> Path:
    """Price, liquidations so far, depth of bids and open interest of each run, against the time of day (UTC)."""
    tables = [pd.read_parquet(run / "steps.parquet") for run in runs]
    scenario = json.loads((runs[0] / "run.json").read_text(encoding="utf-8"))["scenario"]
    start = datetime.fromisoformat(scenario["start"])
    hour = start.hour + start.minute / 60
    news = scenario["news"][0]
    seeds = f"{len(runs)} seeds" if len(runs) > 1 else "One seed"
    lines = (
        f"{seeds}, {scenario['accounts']:,} accounts. Behaviour of October, not refitted.",
        f"News of \N{MINUS SIGN}{abs(news['change_percent']):g} % from {news['at'][:5]}: size from what stayed of the "
        "fall, time assumed.",
    )
    with styled() as colours:
        plate = Plate(scenario["title"] + ", model and day", lines, 2, 2, colours, panel_in=(3.3, 2.2))
        keys = [Key("line", colours.perp, "model"), Key("ring", colours.long, "day")]
        panels: tuple[tuple[str, str, str, Sequence[Key], Callable[[Any], Any]], ...] = (
            ("Price", "thousand $", "candles of the perpetual", keys, lambda t: t["perp_usd"] / 1e3),
            ("Longs liquidated", "$ million", "so far", (), lambda t: t["liquidated_long_usd"].cumsum() / 1e6),
            ("Bids within 1 %", "$ million", "", (), lambda t: t["depth_bid_usd"] / 1e6),
            ("Open interest", "thousand BTC", "one side", (), lambda t: t["open_interest_btc"] / 1e3),
        )
        for title, unit, note, shown, column in panels:
            axes = plate.panel(title, unit, note, shown, across="time, UTC")
            axes.xaxis.set_major_locator(Every(0.5 if scenario["duration_s"] < 3 * 3600 else 2.0))
            axes.xaxis.set_major_formatter(lambda x, _: f"{int(x):02d}:{round(x % 1 * 60):02d}")
            for table in tables:
                every = max(1, len(table) // 2_000)
                at = hour + table["tick"] * scenario["tick_s"] / 3600
                axes.plot(at[::every], column(table)[::every], color=colours.perp, linewidth=1.0, alpha=0.75)
            if title == "Price":
                at_real = [clock_hour(text) for text, _ in REAL[scenario["name"]]]
                prices = [price / 1e3 for _, price in REAL[scenario["name"]]]
                axes.plot(at_real, prices, "o", markerfacecolor="none", markeredgecolor=colours.long, markersize=5)
            else:
                axes.set_ylim(bottom=0)
        return save(plate.sheet.figure, path)


def clock_hour(text: str) -> float:
    """Hours since midnight of "HH:MM" or "HH:MM:SS"."""
    parts = [float(part) for part in text.split(":")]
    return float(sum(part / 60.0**n for n, part in enumerate(parts)))


if __name__ == "__main__":
    print(draw([Path(name) for name in sys.argv[1:-1]], Path(sys.argv[-1])))
