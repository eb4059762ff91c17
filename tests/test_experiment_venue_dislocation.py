"""The experiment on a cascade at one venue: small here; ten seeds in `full`."""

from pathlib import Path

import pytest
from matplotlib import image

from abm.experiment import load_experiment
from abm.settings import SettingsError
from experiments import venue_dislocation as study

SMALL = {"reps": 1, "accounts": 300, "duration_s": 120, "seed": 3, "processes": 1, "capital_coins": [0, 3000]}


def test_options_are_checked() -> None:
    for setting in ("capital_coins=[5]", "capital_coins=[5,1]"):
        with pytest.raises(SettingsError, match="two rising"):
            load_experiment("venue-dislocation", [setting])


def test_a_run_gives_gaps_and_a_picture(tmp_path: Path) -> None:
    experiment = load_experiment("venue-dislocation", [f"{key}={value}" for key, value in SMALL.items()])
    said: list[str] = []
    result = experiment.run(said.append)
    rows = result["results"]["runs"]
    assert len(said) == len(rows) == 2 and all(len(row["gap_percent"]) == 120 for row in rows)
    assert [row["capital_coins"] for row in rows] == [0, 3000]
    assert rows[0]["late_percent"] > rows[1]["late_percent"], "this seed's gap stays open without capital"
    assert "common seeds" in experiment.text(result)
    assert image.imread(experiment.draw(result, tmp_path / "gap.png")).shape[1] > 1000


def test_the_count_can_fail() -> None:
    """Gaps that capital does not close are counted as misses."""
    options = study.Options(capital_coins=(0.0, 10.0), reps=2)
    rows = [{"capital_coins": c, "seed": s, "late_percent": 1.0 + s * c} for s in (0, 1) for c in (0.0, 10.0)]
    open_ones, closed = study.checks(rows, options)
    assert open_ones["inside"] and open_ones["ours"] == 2
    assert not closed["inside"] and closed["ours"] == 0


@pytest.mark.full
def test_ten_seeds() -> None:
    results = load_experiment("venue-dislocation").run()["results"]
    assert all(check["inside"] for check in results["checks"]), study.text(results)
