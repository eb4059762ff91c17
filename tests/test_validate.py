"""Seeds against bands: verdicts on runs whose measures are known, files, picture, and the command from end to end."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from matplotlib.image import imread

from abm import cli
from abm.figures.validation import draw_validation, group_of, scaled
from abm.pages import fill
from abm.scenario import load_scenario
from abm.settings import SettingsError
from abm.targets import Target, targets_of
from abm.validate import (
    judged,
    lengthened,
    markdown,
    multipliers,
    report,
    share_inside,
    study_of,
    targets_for,
    write_rows,
)

ONE = Target("one", "one", "$m", 2.0, 1.0, 3.0, "A", "here", 1e-6, "1.1")
PRESS = Target("press", "press", "-", 2.0, 1.0, 3.0, "C", "there")
THERE = Target("adl", "adl_usd", "$m", 5.0, 4.0, 6.0, "B", "chain", 1.0, "6.1", "hyperliquid")


def rows(*values: float | None) -> list[dict[str, Any]]:
    return [{"seed": i, "one": v, "press": v, "venues.hyperliquid.adl_usd": v} for i, v in enumerate(values)]


def test_the_median_decides() -> None:
    (inside,) = judged(rows(0.5e6, 2.0e6, 2.5e6, 9e6), [ONE])
    assert (inside["median"], inside["inside"], inside["side"]) == (pytest.approx(2.25), True, "inside")
    assert inside["inside_share"] == 0.5 and inside["runs"] == 4
    assert inside["low5"] == pytest.approx(0.725) and inside["high95"] == pytest.approx(2.5 + 0.85 * 6.5)
    assert judged(rows(0.5e6, 0.9e6, 2e6), [ONE])[0]["side"] == "below"
    assert judged(rows(3.5e6), [ONE])[0]["side"] == "above"
    assert judged(rows(3e6), [ONE])[0]["inside"] is True, "the edge belongs to the band"


def test_what_most_runs_do_not_produce_is_a_miss() -> None:
    (gone,) = judged(rows(None, math.nan, 5.0), [THERE])
    assert (gone["side"], gone["inside"], gone["runs"]) == ("not produced", False, 1)
    (there,) = judged(rows(None, 5.0, 5.0), [THERE])
    assert there["inside"] is True and there["inside_share"] == pytest.approx(2 / 3)
    assert judged([], [THERE])[0]["inside"] is None


def test_the_share_counts_graded_rows_only() -> None:
    table = judged(rows(2e6, 2e6), [ONE, PRESS, THERE])
    assert [row["inside"] for row in table] == [True, False, False]
    assert share_inside(table) == {"counted": 2, "inside": 1, "percent": 50}


def test_multipliers_for_each_share_of_news() -> None:
    october = load_scenario("october-2025")
    runs = [{"seed": 1, "news_percent": -4.95, "multiplier": 2.4, "multiplier_news_60min": 3.8}]
    found = multipliers(runs, october)
    assert [line["news"] for line in found] == [
        "as declared", "24 % left after 60min", "43 % left after 24h", "11 % left after 48h",
    ]  # fmt: skip
    assert [round(line["news_percent"], 2) for line in found] == [-4.95, -3.15, -5.64, -1.44]
    assert [round(line["real"], 1) for line in found[1:]] == [4.2, 2.3, 9.1] and found[1]["median"] == 3.8
    assert multipliers([{"seed": 1, "news_percent": 0.0}], load_scenario("calm")) == []


def made_up(name: str, seeds: int) -> dict[str, Any]:
    """A report whose every measure lies around the middle of its band, some rows off it."""
    chosen = load_scenario(name, accounts=300)
    runs = []
    for seed in range(seeds):
        run: dict[str, Any] = {"seed": seed, "news_percent": -4.95, "multiplier": 2.4}
        for i, t in enumerate(targets_of(chosen)):
            shift = 0.1 * (seed - seeds / 2) + (3.0 if i % 7 == 0 else 0.0)
            run[t.path] = ((t.low + t.high) / 2 + shift * (t.high - t.low)) / t.scale
        runs.append(run)
    return report(chosen, runs, 0)


def test_report_holds_every_row_once(tmp_path: Path) -> None:
    found = made_up("october-2025", 5)
    assert len(found["rows"]) == len(targets_of(load_scenario("october-2025")))
    counted = [row for row in found["rows"] if row["counted"]]
    assert found["inside"]["inside"] == sum(row["side"] == "inside" for row in counted) < len(counted)
    assert found["measures"]["fall_percent"]["runs"] == 5 and found["not_spoken_to"]
    lines = write_rows(found["rows"], tmp_path / "rows.csv").read_text().splitlines()
    assert len(lines) == len(found["rows"]) + 1 and lines[0].startswith("row,measure,venue")


def test_the_page_is_filled_in_from_the_report(tmp_path: Path) -> None:
    found = made_up("september-2025", 6)
    words = markdown(found)
    share = found["inside"]
    assert f"**{share['inside']} of {share['counted']} graded rows inside**, 6 seeds" in words
    assert words.count("\n| ") == 2 + share["counted"] and "**above**" in words
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- begin validate-september-2025 -->\n<!-- end validate-september-2025 -->\nz\n")
    assert fill(page, {"validate-september-2025": words}) == ["validate-september-2025"]
    assert words in page.read_text() and page.read_text().startswith("a\n") and page.read_text().endswith("z\n")
    page.write_text("<!-- begin half -->\n")
    with pytest.raises(SettingsError, match="no end"):
        fill(page, {})


def test_picture_of_all_rows(tmp_path: Path) -> None:
    found = made_up("october-2025-venues", 7)
    path = draw_validation(found, tmp_path / "v.png")
    assert imread(path).shape[0] > 1500 and path.stat().st_size > 20_000
    assert {group_of(row) for row in found["rows"]} == {
        "Price",
        "Depth, volume, flow",
        "Forced trading",
        "Single venues",
    }
    row = {"low": 10.0, "high": 20.0}
    assert scaled(row, [10, 20, 15, 1000, -1000]).tolist() == [0, 1, 0.5, 2.25, -1.25]


def test_the_study_is_one_point_with_all_measures() -> None:
    study = study_of("october-2025", 50, 3, 2000, ["makers.obliged=0.25"])
    assert (study.replicates, study.seed, study.record, study.name) == (50, 3, (), "validate-october-2025")
    assert study.fixed == {"makers.obliged": 0.25, "accounts": 2000}


def test_runs_are_long_enough_for_the_recovery() -> None:
    october = load_scenario("october-2025", accounts=300)
    assert lengthened(october, ["a=1"]) == ["a=1", "duration_s=6930"]  # 20:40 to 22:35:30
    assert lengthened(october, ["duration_s=3600"]) == ["duration_s=3600"]
    assert lengthened(load_scenario("calm"), []) == []


def test_a_scenario_without_real_figures_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SettingsError, match="nothing real"):
        targets_for(load_scenario("tiny"))
    with pytest.raises(SystemExit) as ended:
        cli.main(["validate", "tiny"])
    assert ended.value.code == 2 and "nothing real to hold it against" in capsys.readouterr().err


def test_from_end_to_end_and_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two seeds of a short calm market: judged, written, drawn; the second call runs one more seed, not three."""
    monkeypatch.chdir(tmp_path)
    words = [
        "validate",
        "calm",
        "--accounts",
        "300",
        "--set",
        "duration_s=60",
        "--workers",
        "1",
        "--out",
        "v",
        "--docs",
        "page.md",
    ]
    (tmp_path / "page.md").write_text("<!-- begin validate-calm -->\n<!-- end validate-calm -->\n")
    for seeds in (2, 3):
        with pytest.raises(SystemExit) as ended:
            cli.main([*words, "--seeds", str(seeds)])
        assert ended.value.code == 0
        found = json.loads((tmp_path / "v" / "validation.json").read_text())
        assert found["subject"] == "calm" and found["seeds"] == [1, 2, 3][:seeds]
    assert "3 seeds, 300 accounts" in (tmp_path / "page.md").read_text()
    shown = capsys.readouterr().out
    assert "2 of them are there already" in shown and "graded rows (A, B) inside" in shown
    depth = next(row for row in found["rows"] if row["key"] == "depth_normal_usd")
    assert depth["runs"] == 3 and 100 < depth["median"] < 400 and depth["side"] in ("inside", "below", "above")
    assert found["rows"][0]["side"] == "not produced", "a minute has no one-minute volatility"
    assert (tmp_path / "v" / "validation.csv").exists() and (tmp_path / "v" / "validation.png").exists()
