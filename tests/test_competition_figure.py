"""The picture of several venues: every venue in it, nothing without two, what a competition reports is drawn."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from abm.figures import style
from abm.figures.venues import draw_venues, scene_of, venues_sheet
from tests.test_figures import PNG, made_up_run, made_up_steps

RUN = made_up_run(venues=["lead", "second-one"])


def table(ticks: int = 600) -> pd.DataFrame:
    return pd.concat([made_up_steps(ticks).assign(venue=name) for name in RUN["venues"]], ignore_index=True)


def test_each_venue_is_drawn_and_the_same_each_time(tmp_path: Path) -> None:
    reported = pd.DataFrame({f"race.{name}_leverage_x": np.full(600, 40.0) for name in ("lead", "second_one")})
    first = draw_venues(table(), reported, RUN, tmp_path / "one.png").read_bytes()
    assert first.startswith(PNG)
    assert first == draw_venues(table(), reported, RUN, tmp_path / "two.png").read_bytes()
    with style.styled() as colours:
        scenes = [scene_of(table(), figures, RUN, colours) for figures in (reported, reported[[]])]
        sheets = [venues_sheet(scene, colours) for scene in scenes]
        words = ["\n".join(text.get_text() for text in sheet.figure.findobj(Text)) for sheet in sheets]
    assert "lead" in words[0] and "second-one" in words[0] and "second-one 40x" in words[0]
    assert "Highest leverage" not in words[1], "left out where nobody changes it"


def test_one_venue_is_no_picture(tmp_path: Path) -> None:
    alone = table()[lambda rows: rows["venue"] == "lead"]
    with pytest.raises(ValueError, match="at least two"):
        draw_venues(alone, pd.DataFrame(), RUN, tmp_path / "no.png")
