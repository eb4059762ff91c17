"""The picture of variants: every panel's column exists, short and long clocks, a file comes out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from abm.figures.variants import PICTURES, Variant, draw_variants, main
from abm.recorder import STEP
from abm.scenario import load_scenario


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_a_picture_of_variants(name: str, tmp_path: Path) -> None:
    picture, n = PICTURES[name], 40
    named = {entry.name for entry in load_scenario(name).participants}
    columns = {series.column for series in picture.panels}
    assert all(column in (STEP.names or ()) or column.partition(".")[0] in named for column in columns)
    for settings in picture.variants.values():
        load_scenario(name, settings)
    time = pd.date_range("2025-10-10 14:00", periods=n, freq="15min" if name != "staking-yield" else "10s", tz="UTC")
    table = pd.DataFrame({"time": time} | {column: np.linspace(1.0, 2.0, n) for column in columns})
    variants = [Variant(label, table, table) for label in picture.variants]
    assert draw_variants(picture, variants, tmp_path / "a.png").stat().st_size > 10_000
    clock, words = variants[0].clock()
    assert words.startswith("minutes") == (name == "staking-yield") and (np.diff(clock) > 0).all()


def test_unknown_pictures_are_refused() -> None:
    with pytest.raises(SystemExit, match="usage"):
        main(["tiny", "x.png"])
