"""`scenario-pages`: bars and figures by hand, tables, pages in step with their scenarios, pictures, runs again."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import image

from abm import gallery
from abm.experiment import load_experiment
from abm.figures.variants import Dots, Picture, Series, Variant, draw_variants
from abm.model import MarketModel
from abm.recorder import STEP, Recorder, Run
from abm.scenario import load_scenario
from abm.settings import SettingsError
from experiments import _pages_run as runs
from experiments._pages_draw import LARGEST, smaller
from experiments._pages_kinds import Measure, Page, digest
from experiments._pages_list import PAGES
from experiments._pages_read import OF_ARGUMENT, OF_NEWS, OF_VALUES, figure, read
from experiments._pages_table import Row, cell_text, cells, markdown, number, put_into, settings_of, table_of, wanted

DOCS = Path(__file__).resolve().parent.parent / "docs" / "scenarios"
START = "2025-10-10T20:48:00+00:00"


def steps(n: int, **columns: Any) -> pd.DataFrame:
    """A table of n ticks of 10 s."""
    time = pd.Timestamp(START) + pd.to_timedelta(10.0 * np.arange(1, n + 1), unit="s")
    return pd.DataFrame({"time": time} | columns)


# --- bars and figures -------------------------------------------------------------------------------------------------
def test_bars_by_hand() -> None:
    """Five ticks in bars of two: flows 1+2, 3+4, 5; lows and highs of each bar; the rest as it ends."""
    flow = [1.0, 2.0, 3.0, 4.0, 5.0]
    low, high = [9.0, 7.0, math.nan, 8.0, 6.0], [1.0, 3.0, 2.0, math.nan, 4.0]
    table = steps(5, liquidated_long_usd=flow, perp_low_usd=low, perp_high_usd=high, spot_usd=flow)
    bars = runs.in_bars(table, 2)
    assert bars["liquidated_long_usd"].tolist() == [3, 7, 5]
    assert bars["perp_low_usd"].tolist() == [7, 8, 6] and bars["perp_high_usd"].tolist() == [3, 2, 4]
    assert bars["spot_usd"].tolist() == [2, 4, 5]
    kept = runs.lists(bars, START)
    assert kept["seconds"] == [20, 40, 50] and kept["spot_usd"] == [2, 4, 5]
    assert set(STEP.names or ()) >= runs.FLOWS | runs.LOWEST | runs.HIGHEST


@pytest.mark.parametrize(("ticks", "tick_s", "every"), [(120, 1.0, 1), (5_400, 0.5, 10), (23_040, 5.0, 60)])
def test_a_bar_is_a_round_number_of_seconds(ticks: int, tick_s: float, every: int) -> None:
    assert runs.ticks_of_bar(ticks, tick_s) == every and ticks / every <= runs.BARS


def made_run() -> Run:
    """Four bars; the news comes in the third."""
    run = Run(Path(), {"start": START})
    run.__dict__["steps"] = steps(
        4,
        spot_usd=[100.0, 98.0, 95.0, 99.0],
        perp_usd=[100.0, 99.0, 90.0, 96.0],
        liquidated_long_usd=[1.0, 2.0, 4.0, 8.0],
        news_fair_change=[0.0, 0.0, -0.1, 0.0],
    )
    run.__dict__["participants"] = pd.DataFrame({"funds.sold_btc": [0.0, 1.0, 2.0, 5.0]})
    eth = [40.0, 38.0, 20.0, 30.0]
    run.__dict__["alts"] = pd.DataFrame({"coin": ["ETH", "SOL"] * 4, "perp_usd": np.repeat(eth, 2)})
    return run


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("first spot_usd", 100), ("last spot_usd", 99), ("most spot_usd", 100), ("least spot_usd", 95),
        ("change spot_usd", -1), ("rise spot_usd", 0), ("dip spot_usd", -5), ("total liquidated_long_usd", 15),
        ("before spot_usd", 98), ("drift spot_usd", -2), ("ahead liquidated_long_usd", 3),
        ("after liquidated_long_usd", 12), ("last funds.sold_btc", 5), ("dip ETH:perp_usd", -50),
        ("below 97 liquidated_long_usd", 12), ("since 20:48 liquidated_long_usd", 15),
        ("since 20:49 liquidated_long_usd", 0), ("fall_percent", -7),
    ],
)  # fmt: skip
def test_figures_by_hand(text: str, expected: float) -> None:
    assert figure({"fall_percent": -7.0}, made_run(), text) == pytest.approx(expected)


def test_figures_that_are_not_there() -> None:
    run = made_run()
    assert math.isnan(figure({"fall_percent": None}, run, "fall_percent"))
    run.steps["news_fair_change"] = 0.0
    assert math.isnan(figure({}, run, "before spot_usd"))
    for text in ("lats spot_usd", "since spot_usd", "last 9 spot_usd"):
        with pytest.raises(ValueError, match="no figure"):
            figure({}, run, text)
    with pytest.raises(KeyError):
        figure({}, run, "last nothing_usd")


# --- tables -----------------------------------------------------------------------------------------------------------
FALL = Measure("fall", "%", "fall_percent")
MONEY = Measure("money", "$m", "money_usd", 1e-6, 0)
PAGE = Page({"off": ("a=1",), "on": ()}, (FALL, MONEY), picture="spillover")


def rows() -> list[Row]:
    off = {"fall_percent": {1: -4.0, 2: -6.0, 3: -9.0}, "money_usd": {1: 1e9, 2: 2e9, 3: math.nan}}
    on = {"fall_percent": {1: -5.0, 2: -9.0}, "money_usd": {1: 1.5e9, 2: 2e9}}
    run = made_run()
    return [Row("off", dict.fromkeys((1, 2, 3), run), off), Row("on", dict.fromkeys((1, 2), run), on)]


def test_a_table_is_medians_ranges_and_paired_differences() -> None:
    off, on, less = table_of(PAGE, rows())
    assert off["fall"] == {"median": -6, "least": -9, "greatest": -4, "seeds": 3} and off["money"]["seeds"] == 2
    assert on["seeds"] == 2 and less["row"] == "on less off" and less["seeds"] == 2
    assert less["fall"] == {"median": -2, "least": -3, "greatest": -1, "seeds": 2}, "seed 3 has no partner"
    words = markdown("tiny", PAGE, [off, on, less], 2_000, "0f0f")
    assert "Median of 3 common seeds (lowest to highest), 2,000 accounts." in words
    assert "| off | −6.0 (−9.0 to −4.0) | 1,500 (1,000 to 2,000) |" in words
    assert "| on (2 seeds) | −7.0 (−9.0 to −5.0) | 1,750 (1,500 to 2,000) |" in words
    assert "| *on less off* (2 seeds) | −2.0 (−3.0 to −1.0) | 250 (0 to 500) |" in words
    assert "settings 0f0f -->" in words and '["tiny"]' in words


def test_numbers_in_words() -> None:
    assert (number(-1234.56, 1), number(-0.04, 1), number(0.0, 0), number(2.5, 2)) == ("−1,234.6", "0.0", "0", "2.50")
    assert cell_text(cells(FALL, {}), 1) == "–" and cell_text(cells(FALL, {1: -3.0}), 1) == "−3.0"


def test_only_the_block_of_a_page_changes(tmp_path: Path) -> None:
    page = tmp_path / "x.md"
    empty = "<!-- begin scenario-pages -->\nold\n<!-- end scenario-pages -->"
    page.write_text(f"# X\n\n{empty}\n\nafter\n", encoding="utf-8")
    assert settings_of(page) == ""
    block = markdown("x", PAGE, table_of(PAGE, rows()), 100, "abcd1234")
    put_into(page, block)
    once = page.read_text(encoding="utf-8")
    assert once == f"# X\n\n{block}\n\nafter\n" and settings_of(page) == "abcd1234"
    put_into(page, block)
    assert page.read_text(encoding="utf-8") == once
    page.write_text("no markers", encoding="utf-8")
    with pytest.raises(ValueError, match="no block"):
        put_into(page, block)


# --- the pages --------------------------------------------------------------------------------------------------------
def test_settings_count_and_words_do_not(tmp_path: Path) -> None:
    page = Page({"as it is": ()}, (FALL,), picture="spillover")
    text = 'extends = "tiny"\nname = "x"\n[makers]\ndepth_coins = {}\n'
    found = []
    for number_, more in ((500, ""), (500, "# a remark\n"), (501, "")):
        file = tmp_path / "x.toml"
        file.write_text(more + text.format(number_), encoding="utf-8")
        found.append(digest(str(file), page))
    assert found[0] == found[1] != found[2]
    assert digest("tiny", page) != digest("tiny", replace(page, variants={"as it is": ("accounts=7", "tick_s=2")}))
    assert digest("tiny", page) == digest("tiny", replace(page, variants={"as it is": ("accounts=7",)}))
    held, fewer = ({"x": (f"collateral.USDE.accounts={share}",)} for share in (0.15, 0.1))
    peg = "collateral-depeg"
    assert digest(peg, replace(page, variants=held)) != digest(peg, replace(page, variants=fewer))


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_is_in_step_with_its_scenario(name: str) -> None:
    file = DOCS / f"{name}.md"
    text = file.read_text(encoding="utf-8")
    measured = settings_of(file)
    assert measured, f"{file.name} has no measured table"
    assert measured == digest(name, PAGES[name]), (
        f"{file.name} was measured with other settings than the scenario has now; again: "
        f"deleverage experiment scenario-pages --set 'scenarios=[\"{name}\"]' --set docs=docs/scenarios"
    )
    assert f"]({name}.png)" in text and (DOCS / f"{name}.png").stat().st_size < 260_000
    commands = gallery.commands_of(file)
    assert any("experiment scenario-pages" in command and name in command for command in commands), commands
    assert "to be taken again" not in text


def test_every_picture_of_a_scenario_comes_from_a_program() -> None:
    for one in gallery.figures()[0]:
        if one.page.startswith("scenarios/"):
            assert re.search(r"python -m|deleverage experiment", "\n".join(one.commands)), one.file


@pytest.mark.parametrize("name", sorted(PAGES))
def test_variants_load_and_figures_are_known(name: str) -> None:
    page = PAGES[name]
    loaded = [load_scenario(name, settings).resolved() for settings in page.variants.values()]
    assert all(one != other for at, one in enumerate(loaded) for other in loaded[:at]), "two variants are the same"
    entries = {entry.name for entry in load_scenario(name).participants}
    assert len({one.words for one in page.measures}) == len(page.measures)
    columns = [panel.column for panel in page.picture.panels if isinstance(panel, Series)] if isinstance(
        page.picture, Picture) else []  # fmt: skip
    for text in wanted(page):
        verb, _, rest = text.partition(" ")
        assert not rest or verb in (*OF_VALUES, *OF_NEWS, *OF_ARGUMENT), text
        columns += [rest.split(" ")[-1].replace("{group}", page.groups[0] if page.groups else "")] if rest else []
    for column in columns:
        assert column in (STEP.names or ()) or column.partition(".")[0] in entries, column


# --- pictures ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", sorted(name for name, page in PAGES.items() if isinstance(page.picture, Picture)))
def test_a_picture_of_variants(name: str, tmp_path: Path) -> None:
    page, n = PAGES[name], 40
    assert isinstance(page.picture, Picture)
    long = name == "macro-selloff"
    time = pd.date_range("2025-10-10 14:00", periods=n, freq="15min" if long else "10s", tz="UTC")
    columns = {panel.column for panel in page.picture.panels if isinstance(panel, Series)}
    table = pd.DataFrame({"time": time} | {column: np.linspace(1.0, 2.0, n) for column in columns})
    figures = {text: {1: -2.0 if "{" not in text else 0.5, 2: 0.7} for text in wanted(page)}
    shown = [Variant(label, table, table, figures) for label in (page.groups or page.variants)]
    drawn = draw_variants(page.picture, shown, tmp_path / "a.png")
    assert drawn.stat().st_size > 10_000 and image.imread(drawn).shape[1] > 800
    clock, words = shown[0].clock()
    assert words.startswith("minutes") == (not long) and (np.diff(clock) > 0).all()


def test_a_line_may_be_summed_up() -> None:
    one = Variant("x", steps(3, liquidated_long_usd=[1e6, 2e6, 3e6]), pd.DataFrame())
    summed = Series("", "", "liquidated_long_usd", 1e-6, summed=True)
    assert one.values(summed).tolist() == [1, 3, 6] and one.values(replace(summed, summed=False)).tolist() == [1, 2, 3]
    assert Dots("", "", "x").grouped is False


def test_a_large_picture_is_stored_with_few_colours(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).random((300, 300, 3))
    image.imsave(tmp_path / "a.png", noise)
    before = (tmp_path / "a.png").stat().st_size
    assert before > LARGEST and smaller(tmp_path / "a.png").stat().st_size < before / 2


# --- runs -------------------------------------------------------------------------------------------------------------
def test_a_run_keeps_what_its_pages_need() -> None:
    """The same run by hand: ends, sums and lows of the bars are those of the ticks."""
    settings = ["duration_s=30", "news=[]"]
    values = {"scenario": "altcoin-spillover", "accounts": 100, "settings": settings, "record": "fills"}
    kept = runs.variant(values, 3)
    run = read(kept["kept_json"])
    recorder = Recorder("fills")
    MarketModel(load_scenario("altcoin-spillover", settings, 3, 100), recorder=recorder).run()
    whole = recorder.run()
    assert len(run.steps) == 30 and run.info["tick_s"] == 1.0 and whole.info["tick_s"] == 0.5
    assert run.steps["time"].iloc[-1] == whole.steps["time"].iloc[-1]
    for name, one in (("volume_btc", "sum"), ("perp_low_usd", "min"), ("perp_high_usd", "max")):
        assert getattr(run.steps[name], one)() == pytest.approx(getattr(whole.steps[name], one)(), rel=1e-7)
    assert run.steps["spot_usd"].iloc[-1] == pytest.approx(whole.steps["spot_usd"].iloc[-1])
    alts = whole.alts[whole.alts["coin"] == "ETH"]["perp_usd"].iloc[-1]
    assert figure({}, run, "last ETH:perp_usd") == pytest.approx(alts)
    assert kept["volume_btc"] == pytest.approx(whole.steps["volume_btc"].sum())
    json.dumps(kept["kept_json"], allow_nan=False)


def test_a_small_call_writes_and_resumes(tmp_path: Path) -> None:
    sets = ['scenarios=["two-venues"]', "seeds=1", "accounts=60", f"folder={tmp_path / 'runs'}"]
    found = load_experiment("scenario-pages", sets)
    result = found.run()
    row = result["results"][0]
    labels = ["the first alone", "two venues", "two venues less the first alone"]
    assert [entry["row"] for entry in row["table"]] == labels
    assert not row["error"] and all(Path(file).is_file() for file in row["files"])
    assert "less" in found.text(result) and found.draw(result, tmp_path / "x.png").stat().st_size > 10_000
    page = tmp_path / "docs" / "two-venues.md"
    page.parent.mkdir()
    page.write_text("# T\n\n<!-- begin scenario-pages -->\n<!-- end scenario-pages -->\n", encoding="utf-8")
    again = load_experiment("scenario-pages", [*sets, f"docs={page.parent}"]).run()
    assert again["seconds"] < result["seconds"], "the runs are there"
    assert settings_of(page) == digest("two-venues", PAGES["two-venues"]) and page.with_suffix(".png").is_file()
    assert again["results"][0]["table"] == row["table"]


def test_options_are_checked(tmp_path: Path) -> None:
    cases = (
        (['scenarios=["two-venue"]'], "two-venues"),
        (["scenarios=[]"], "at least one"),
        (["seeds=-1"], "seeds"),
        ([f"docs={tmp_path}", 'scenarios=["two-venues"]'], "no markers"),
    )
    for settings, words in cases:
        with pytest.raises(SettingsError, match=words):
            load_experiment("scenario-pages", settings)
