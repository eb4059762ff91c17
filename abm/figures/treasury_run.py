"""A forced sale in the model's market beside the same run without it: price, coins, liquidations."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from abm.figures.plate import Plate
from abm.figures.sheet import Key
from abm.figures.style import save, styled

POINTS = 600


def draw_sale(
    sale: pd.DataFrame, without: pd.DataFrame, name: str, funds: str, title: str, lines: Sequence[str], path: Path
) -> Path:
    """Three panels over hours. The frames are the step records of two runs with their participants' figures joined.

    `name` is that of the treasuries' entry in the scenario, `funds` that of the funds' ("" for none).
    """
    with styled() as colours:
        plate = Plate(title, lines, 1, 3, colours, panel_in=(3.3, 2.2))
        hours = np.linspace(0, len(sale) - 1, min(POINTS, len(sale))).astype(int)
        x = _hours(sale)[hours]
        keys = [Key("line", colours.treasury, "with the sale"), Key("line", colours.spot, "without")]
        axes = plate.panel("Spot price", "thousand $; dashes: fair value", "", keys, "hours")
        for frame, colour in ((without, colours.spot), (sale, colours.treasury)):
            axes.plot(x, frame["spot_usd"].to_numpy()[hours] / 1e3, color=colour, linewidth=1.2)
        axes.plot(x, sale["fair_usd"].to_numpy()[hours] / 1e3, color=colours.note, linestyle="--", linewidth=1.0)
        _count(axes)
        keys = [Key("line", colours.treasury, "companies"), Key("dashes", colours.treasury, "still to sell")]
        if funds:
            keys.append(Key("line", colours.perp, "redeemed"))
        axes = plate.panel("Coins sold", "thousand BTC", "", keys, "hours")
        axes.plot(x, sale[f"{name}.sold_btc"].to_numpy()[hours] / 1e3, color=colours.treasury)
        left = sale[f"{name}.to_sell_btc"].to_numpy()[hours] / 1e3
        axes.plot(x, left, color=colours.treasury, linestyle="--", linewidth=0.9)
        if funds:
            custody = sale[f"{funds}.custody_btc"].to_numpy()[hours]
            axes.plot(x, (custody[0] - custody) / 1e3, color=colours.perp, linewidth=1.1)
        _count(axes)
        keys = [Key("line", colours.long, "with the sale"), Key("line", colours.spot, "without")]
        axes = plate.panel("Longs liquidated", "$ billion, since the start", "", keys, "hours")
        for frame, colour in ((without, colours.spot), (sale, colours.long)):
            axes.plot(x, frame["liquidated_long_usd"].cumsum().to_numpy()[hours] / 1e9, color=colour)
        _count(axes)
        save(plate.sheet.figure, path)
    return path


def _hours(frame: pd.DataFrame) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Hours since the first record, float64 (n,)."""
    seconds = (frame["time"] - frame["time"].iloc[0]).dt.total_seconds()
    return np.asarray(seconds.to_numpy(), np.float64) / 3600.0


def _count(axes: Axes) -> None:
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))


def read_run(folder: Path) -> pd.DataFrame:
    """Step records of a run folder with the figures of its participants beside them."""
    steps = pd.read_parquet(folder / "steps.parquet")
    own = pd.read_parquet(folder / "participants.parquet").drop(columns=["tick", "time"])
    return pd.concat([steps.reset_index(drop=True), own.reset_index(drop=True)], axis=1)


if __name__ == "__main__":
    with_sale, without_it = Path(sys.argv[1]), Path(sys.argv[2])
    words = ["Simulated, one seed: the same run with the companies' loans and without them. A stress case."]
    picture = with_sale / "sale.png"
    draw_sale(
        read_run(with_sale),
        read_run(without_it),
        "datcos",
        "funds",
        "Forced sales of treasury companies",
        words,
        picture,
    )
    print(picture)
