"""Figures: a colour has one meaning, nothing overlaps, a miss is called a miss, and empty or short runs draw too."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

from abm.events import COVENANT, EVENT
from abm.figures import bubbles, style, table, timeaxis
from abm.figures.compare import band_over_seeds, compare_sheet, draw_bands, draw_compare, scaled
from abm.figures.frame import Frame, frame_of
from abm.figures.overview import draw_overview, overview_sheet
from abm.figures.sheet import Sheet

START = "2025-10-10T20:40:00+00:00"
PNG = b"\x89PNG\r\n\x1a\n"
ROWS = [
    {"measure": "fall to the low", "unit": "%", "model": -13, "real": -13, "low": -14, "high": -12, "inside": True},
    {"measure": "time to the low", "unit": "min", "model": 50, "real": 30, "low": 27.5, "high": 33.5, "inside": False},
    {"measure": "net taker flow / volume 21:12-21:21", "unit": "%", "model": None, "real": -11, "low": -14, "high": -8},
]  # fmt: skip


def made_up_steps(
    ticks: int = 1200, tick_s: float = 1.0, *, forced: bool = True, treasury: bool = True
) -> pd.DataFrame:
    """An invented dip with invented forced trades: shapes only, no data."""
    rng = np.random.default_rng(5)
    t = np.arange(1, ticks + 1) * tick_s
    dip = np.exp(-0.5 * ((t / t[-1] - 0.4) / 0.05) ** 2)
    perp = 50_000 - 5_000 * dip + rng.normal(0, 5, ticks)
    long_usd = dip * rng.pareto(2.0, ticks) * 1e6 * forced
    adl_usd = np.where((dip > 0.97) & forced, 1e6, 0.0)
    news = np.zeros(ticks)
    news[ticks // 5] = -0.03
    return pd.DataFrame(
        {
            "tick": np.arange(ticks, dtype=np.int32),
            "time": (pd.Timestamp(START) + pd.to_timedelta(t, unit="s")).as_unit("ms"),
            "perp_usd": perp,
            "spot_usd": perp + 20,
            "mark_usd": perp + 10,
            "perp_high_usd": perp + 15,
            "perp_low_usd": perp - 15,
            "depth_bid_usd": 244e6 / (1 + 80 * dip),
            "depth_ask_usd": 244e6 / (1 + 60 * dip),
            "volume_btc": 1 + 20 * dip,
            "net_taker_btc": -3 * dip,
            "open_interest_btc": 60_000 - 9_000 * np.cumsum(dip) / dip.sum(),
            "funding_bp_8h": 0.1,
            "liquidated_long_usd": long_usd,
            "liquidated_short_usd": 0.1 * long_usd[::-1],
            "adl_usd": adl_usd,
            "adl_accounts": (adl_usd > 0).astype(np.int32),
            "fund_usd": 300e6 - np.cumsum(adl_usd),
            "bad_debt_usd": 0.01 * np.cumsum(adl_usd),
            "treasury_btc": np.where(t < 0.6 * t[-1], 9_000.0, 7_500.0) if treasury else 0.0,
            "treasury_ltv": 2e8 / (9_000 * perp) if treasury else np.nan,
            "news_fair_change": news,
        }
    )


def made_up_run(**changes: Any) -> dict[str, Any]:
    run = {"name": "made-up", "title": "Invented dip", "seed": 3, "version": "0.0.0", "source_hash": "abcdef0123456789"}
    return (
        run
        | {"start": START, "tick_s": 1.0, "complete": True, "scenario": {"accounts": 1000}, "comparison": ROWS}
        | changes
    )


def covenant_event(steps: pd.DataFrame) -> pd.DataFrame:
    events = np.zeros(1, EVENT)
    events["kind"] = COVENANT
    return pd.DataFrame(events).assign(time=[steps["time"].iloc[len(steps) * 6 // 10]])


@pytest.fixture
def colours() -> Iterator[style.Palette]:
    with style.styled() as palette:
        yield palette


def sheet_of(colours: style.Palette, steps: pd.DataFrame | None = None, **run: Any) -> Sheet:
    steps = made_up_steps() if steps is None else steps
    return overview_sheet(frame_of(steps, covenant_event(steps), made_up_run(**run)), colours)


def words(sheet: Sheet) -> str:
    return "\n".join(text.get_text() for text in sheet.figure.findobj(Text))


# --- files ------------------------------------------------------------------------------------------------------------
def test_overview_is_a_png_of_the_stated_size_and_the_same_each_time(tmp_path: Path) -> None:
    steps = made_up_steps()
    before = dict(matplotlib.rcParams)
    first = draw_overview(steps, covenant_event(steps), made_up_run(), tmp_path / "one.png")
    second = draw_overview(steps, covenant_event(steps), made_up_run(), tmp_path / "deep" / "two.png")
    content = first.read_bytes()
    assert content.startswith(PNG)
    assert content == second.read_bytes()
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    assert width == 1600
    assert 1600 <= height <= 13 * 160
    assert b"Software" not in content
    assert dict(matplotlib.rcParams) == before


def test_dark_theme_and_pdf_and_wrong_ending(tmp_path: Path) -> None:
    steps = made_up_steps(200)
    assert (
        draw_overview(steps, pd.DataFrame(), made_up_run(), tmp_path / "dark.png", theme="dark").stat().st_size > 20_000
    )
    assert draw_overview(steps, pd.DataFrame(), made_up_run(), tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(ValueError, match=r"\.png or \.pdf"):
        draw_overview(steps, pd.DataFrame(), made_up_run(), tmp_path / "picture.jpeg")
    with pytest.raises(ValueError, match="theme"):
        draw_overview(steps, pd.DataFrame(), made_up_run(), tmp_path / "x.png", theme="pink")


# --- layout -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("rows", [ROWS, ROWS * 6])
def test_texts_of_one_row_do_not_overlap_and_stay_on_the_page(
    colours: style.Palette, rows: list[dict[str, Any]]
) -> None:
    sheet = sheet_of(colours, comparison=rows)
    page = sheet.figure.bbox
    assert len(sheet.headers) > 2 * 8
    for row in sheet.headers:
        boxes = [(text, text.get_window_extent()) for text in row if text.get_text()]
        for (one, left), (two, right) in combinations(boxes, 2):
            assert not left.overlaps(right), f"{one.get_text()!r} runs into {two.get_text()!r}"
        for text, box in boxes:
            assert box.x0 >= 0, text.get_text()
            assert box.x1 <= page.x1, text.get_text()


def test_words_in_the_price_panel_do_not_overlap(colours: style.Palette) -> None:
    points = [{"time": "2025-10-10T20:48:00Z", "price_usd": 45_100.0, "label": "low", "grade": "A"}]
    sheet = sheet_of(colours, real_points=points)
    inside = sheet.figure.axes[0].get_window_extent()
    texts = [text for text in sheet.figure.axes[0].texts if text.get_text()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    boxes = [(said, box) for said, box in boxes if box.x1 <= inside.x1]
    assert any("real low" in said for said, _ in boxes)
    for (one, left), (two, right) in combinations(boxes, 2):
        assert not left.overlaps(right), f"{one!r} runs into {two!r}"


def test_panels_do_not_overlap_and_no_text_is_too_small(colours: style.Palette) -> None:
    sheet = sheet_of(colours, comparison=ROWS * 6)
    boxes = [axes.get_position() for axes in sheet.figure.axes]
    assert all(upper.y0 >= lower.y1 for upper, lower in pairwise(boxes))
    assert min(text.get_fontsize() for text in sheet.figure.findobj(Text) if text.get_text()) >= style.SOURCE_PT
    assert sheet.down_in <= sheet.height_in


# --- meaning ----------------------------------------------------------------------------------------------------------
def test_colours_by_role() -> None:
    assert (style.LIGHT.long, style.DARK.long) == ("#E0401A", "#F75A1A")
    assert (style.LIGHT.short, style.LIGHT.adl, style.LIGHT.fund) == ("#1793E6", "#633089", "#0D877A")
    for palette in style.PALETTES.values():
        roles = [
            getattr(palette, name)
            for name in ("long", "short", "adl", "fund", "treasury", "spot", "perp", "mark", "news")
        ]
        assert len(set(roles)) == len(roles)
    assert style.tint("#000000", "#FFFFFF", 0.5) in ("#808080", "#7F7F7F")


def test_each_series_has_the_colour_of_its_role(colours: style.Palette) -> None:
    price = sheet_of(colours).figure.axes[0]
    drawn = {to_hex(line.get_color()).upper() for line in price.get_lines()}
    assert {colours.perp, colours.mark, colours.spot, colours.news} <= drawn
    assert colours.fund not in drawn


def test_a_miss_is_never_a_hit() -> None:
    row = {"model": 50.0, "low": 27.5, "high": 33.5}
    assert table.verdict(row | {"inside": False}) == "outside the band"
    assert table.verdict(row) == "outside the band"
    assert table.verdict(row | {"model": 30.0}) == "inside the band"
    assert table.verdict({"model": 30.0, "low": None, "high": None}) == "not observed"
    assert table.verdict(row | {"model": None, "inside": None}) == "not observed"
    assert table.verdict(row | {"model": float("nan"), "inside": True}) == "not observed"


def test_the_page_says_what_it_is(colours: style.Palette) -> None:
    said = words(sheet_of(colours))
    for part in ("one seed (3)", "1,000 accounts", "made-up", "version 0.0.0", "Simulated, not measured"):
        assert part in said
    assert "1 of 2 judged rows inside the band, 1 outside; 1 not observed" in said
    assert "Rings" not in said
    assert "Incomplete: stopped after 1,200 of 6,000 ticks" in words(sheet_of(colours, complete=False, ticks=6000))


def test_real_points_only_when_the_run_has_them(colours: style.Palette) -> None:
    inside = {"time": "2025-10-10T20:50:00Z", "price_usd": 49_000.0, "label": "low", "grade": "A"}
    outside = inside | {"time": "2025-10-11T20:50:00Z"}
    assert "Rings" in words(sheet_of(colours, real_points=[inside, outside]))
    assert "real low" not in words(sheet_of(colours, real_points=[outside]))


def test_scheduled_news_keep_their_words_and_shocks_are_added() -> None:
    steps = made_up_steps()
    planned = {"name": "a", "at": "20:42:00", "over_s": 30, "change_percent": -1.5, "label": "an announcement"}
    frame = frame_of(steps, pd.DataFrame(), made_up_run(scenario={"news": [planned]}))
    assert [(item.x, item.label) for item in frame.news] == [(120.0, "an announcement"), (240.0, "")]
    assert frame.news[1].change == pytest.approx(-0.03)


# --- bubbles and time -------------------------------------------------------------------------------------------------
def test_bubble_area_is_linear_without_a_cap() -> None:
    usd = np.array([1e6, 4e6, 100e6])
    shape = np.zeros(3)
    many = bubbles.Bubbles(shape, shape, usd, shape - 1, shape, 10)
    diameter = bubbles.diameters_pt(many, 90.0)
    assert diameter[2] == pytest.approx(30.0)
    assert diameter**2 / usd == pytest.approx(np.full(3, 900.0 / 100e6))


def test_bubbles_keep_the_sum_and_stay_in_the_panel(colours: style.Palette) -> None:
    steps = made_up_steps()
    made = bubbles.bubbles_of(frame_of(steps, pd.DataFrame(), made_up_run()))
    forced = steps["liquidated_long_usd"].sum() + steps["liquidated_short_usd"].sum()
    assert made.usd.sum() == pytest.approx(forced)
    bottom, top = bubbles.limits_with_room(made, 45_000.0, 50_000.0, 400.0, 160.0)
    reach = bubbles.diameters_pt(made, 400.0 / 160.0 * 72.0) * 160.0 / 72.0 * (top - bottom) / 400.0
    longs = made.side < 0
    assert (made.extreme_usd[longs] - reach[longs] >= bottom).all()
    assert (made.extreme_usd[~longs] + reach[~longs] <= top).all()
    assert bubbles.key_sizes(250e6) == pytest.approx([100e6, 30e6, 10e6])
    assert bubbles.key_sizes(0.0) == []


def test_bars_stand_on_whole_minutes_and_lose_nothing() -> None:
    steps = made_up_steps(1000)
    clock = timeaxis.clock_of(steps, {"tick_s": 1.0})
    number, opens = timeaxis.bars(clock, clock.x(steps["time"]), 60)
    assert number[59] == 0
    assert number[60] == 1
    assert opens[1] == 60.0
    assert timeaxis.total(number, steps["volume_btc"], len(opens)).sum() == pytest.approx(steps["volume_btc"].sum())


@pytest.mark.parametrize(
    ("ticks", "tick_s", "step", "first"),
    [(120, 1.0, 1, "20:40:00"), (6000, 1.0, 60, "20:40"), (8640, 10.0, 60, "21:00"), (5000, 60.0, 300, "11 Oct")],
)
def test_time_axis_fits_the_window(ticks: int, tick_s: float, step: int, first: str) -> None:
    clock = timeaxis.Clock(pd.Timestamp(START).timestamp(), ticks * tick_s, tick_s)
    places, labels = timeaxis.time_ticks(clock)
    assert timeaxis.interval_s(clock) == step
    assert labels[0] == first
    assert 2 <= len(places) <= 12
    assert all(0 <= place <= clock.length_s for place in places)


def test_thinning_keeps_the_extremes() -> None:
    y = np.sin(np.arange(90_000) / 500.0)
    y[40_001], y[70_003] = -9.0, 9.0
    x, kept = timeaxis.thin(np.arange(90_000.0), y, columns=500)
    assert len(x) <= 2000
    assert (kept.min(), kept.max()) == (-9.0, 9.0)
    assert (np.diff(x) > 0).all()


# --- what may be missing ----------------------------------------------------------------------------------------------
def variants() -> dict[str, tuple[pd.DataFrame, dict[str, Any]]]:
    plain = made_up_steps()
    return {
        "no steps": (plain.iloc[:0], {"comparison": []}),
        "one tick": (plain.iloc[:1], {}),
        "short": (made_up_steps(90), {}),
        "calm": (made_up_steps(forced=False, treasury=False).assign(news_fair_change=0.0), {"comparison": []}),
        "few columns": (plain[["time", "perp_usd"]], {}),
        "all gaps": (plain.assign(perp_usd=np.nan, perp_low_usd=np.nan, perp_high_usd=np.nan), {}),
        "coarse": (made_up_steps(300, 60.0), {"tick_s": 60.0}),
        "no description": (plain, {"name": None, "title": None, "seed": None, "version": None, "tick_s": None}),
    }


@pytest.mark.parametrize("name", list(variants()))
def test_incomplete_runs_are_drawn(tmp_path: Path, name: str) -> None:
    steps, changes = variants()[name]
    path = draw_overview(steps, pd.DataFrame(), made_up_run(**changes), tmp_path / "run.png")
    assert path.stat().st_size > 5_000


def test_missing_treasury_and_liquidations_are_said_in_words(colours: style.Palette) -> None:
    steps = made_up_steps(forced=False, treasury=False)
    said = words(overview_sheet(Frame(steps, pd.DataFrame(), {}, timeaxis.clock_of(steps, {}), 60), colours))
    assert "no liquidations" in said
    assert "No treasury takes part" in said
    assert "Treasuries" not in said


def test_without_the_font_the_fallback_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert style.register_fonts(tmp_path) == [style.FALLBACK_FAMILY]
    for name in style.FONT_FILES:
        (tmp_path / name).write_bytes(b"no font")
    assert style.register_fonts(tmp_path) == [style.FALLBACK_FAMILY]
    assert style.register_fonts() == [style.FONT_FAMILY, style.FALLBACK_FAMILY]
    monkeypatch.setattr(style, "families", lambda: (style.FALLBACK_FAMILY,))
    steps = made_up_steps(200)
    assert draw_overview(steps, pd.DataFrame(), made_up_run(), tmp_path / "plain.png").stat().st_size > 20_000


def test_numbers_have_a_true_minus_and_no_negative_zero() -> None:
    assert style.with_commas(-1234.56, 1) == "\N{MINUS SIGN}1,234.6"
    assert style.with_commas(-0.001, 1) == "0.0"
    assert style.with_commas(float("nan")) == "n/a"
    assert [style.short_number(value) for value in (101_234.4, 42.71, 2.5, 0.0031)] == [
        "101,234",
        "42.7",
        "2.50",
        "0.0031",
    ]
    assert [style.round_number(value) for value in (30.0, 2.5, 0.1)] == ["30", "2.5", "0.1"]


# --- comparisons ------------------------------------------------------------------------------------------------------
def made_up_pairs(seeds: int, names: tuple[str, ...] = ("base", "changed")) -> pd.DataFrame:
    rows = [
        {"seed": seed, "variant": name, "fall_percent": -13.0 + seed % 3 + 4 * at, "liquidated_usd": 1e9 + 1e8 * seed}
        for seed in range(seeds)
        for at, name in enumerate(names)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("seeds", [0, 1, 9])
def test_comparison_of_two_and_of_many(tmp_path: Path, seeds: int) -> None:
    columns = ["seed", "variant", "fall_percent"]
    for names in (("base", "changed"), ("all on", "no panic", "makers stay and a rather long name of a switch")):
        pairs = made_up_pairs(seeds, names) if seeds else pd.DataFrame({name: [] for name in columns})
        assert draw_compare(pairs, "A change", tmp_path / "pairs.png").read_bytes().startswith(PNG)


def test_comparison_states_pairs_and_seeds(colours: style.Palette) -> None:
    said = words(compare_sheet(made_up_pairs(9), "A change", colours, {"fall_percent": ("Fall", "%")}, ""))
    assert "9 seeds" in said
    assert "+4.00 points, higher in 9 of 9" in said
    assert "$ billion" in said
    assert "one seed: one path" in words(compare_sheet(made_up_pairs(1), "A change", colours, None, ""))


def test_comparison_refuses_what_is_no_pair(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="variant"):
        draw_compare(pd.DataFrame({"seed": [1], "fall": [2.0]}), "x", tmp_path / "x.png")
    with pytest.raises(ValueError, match="twice"):
        draw_compare(pd.concat([made_up_pairs(2)] * 2), "x", tmp_path / "x.png")


def test_bands_are_percentiles_over_seeds(tmp_path: Path) -> None:
    values = np.arange(11.0)[:, None] * np.ones(3)
    values[3, 1] = np.nan
    values[:, 2] = np.nan
    low, middle, high = band_over_seeds(values)
    assert (low[0], middle[0], high[0]) == (1.0, 5.0, 9.0)
    assert np.isfinite(middle[1])
    assert np.isnan(middle[2])
    times = pd.date_range(START, periods=30, freq="1min")
    series = pd.concat([pd.DataFrame({"time": times, "seed": seed, "perp_usd": 5e4 + seed}) for seed in range(4)])
    real = pd.DataFrame({"time": times[[3]], "perp_usd": [5e4]})
    assert draw_bands(series, "Price", tmp_path / "bands.png", real=real).stat().st_size > 5_000
    numbered = series.assign(x=np.tile(np.arange(30.0), 4)).drop(columns="time")
    assert draw_bands(numbered, "Price", tmp_path / "numbered.png").stat().st_size > 5_000
    assert scaled(np.array([5e4]), "$") == (1e3, "thousand $")
