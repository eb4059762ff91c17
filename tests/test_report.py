"""`deleverage report` of a run: everything in one file, everything escaped, nothing loaded, nothing hidden."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from abm.events import BAD_DEBT, COVENANT, DELEVERAGE, EVENT, HALT, LIQUIDATION, REOPEN
from abm.measures import summary
from abm.model import MarketModel
from abm.provenance import run_id
from abm.recorder import arrow_table
from abm.report import assumptions, report_of, write_report
from abm.report.events import event_blocks
from abm.report.origin import exact_command, scenario_file
from abm.report.page import GOOD, Page, dollars, element, escaped, gauge, number, table, verdict
from abm.results import FolderTakenError, RunWriter, load_run
from abm.scenario import Scenario, from_resolved, load_scenario
from abm.settings import SettingsError

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;"
VOID = {"meta", "img", "source", "wbr", "line", "rect", "circle", "path"}
LOADS = {"src", "srcset", "data", "poster", "action", "background", "xlink:href"}


class Reader(HTMLParser):
    """Checks that tags close in order; collects what a browser would load, and the texts of some elements."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.loaded: list[str] = []
        self.texts: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        table = {name: value or "" for name, value in attrs}
        self.tags.append((tag, table))
        self.loaded += [value for name, value in table.items() if name in LOADS]
        self.loaded += [table["href"]] if tag in ("link", "base", "use", "image") and "href" in table else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, (tag, self.open)
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open
    return reader


def small(**values: Any) -> Scenario:
    """Tiny with 80 accounts for half a minute and a fall of 9 %."""
    news = {"name": "shock", "at": "20:40:05", "over_s": 5, "change_percent": -9, "source": HOSTILE}
    settings = {"duration_s": 30.0, "accounts": 80, "makers__count": 4, "makers__steps": 12, **values}
    return load_scenario("tiny").changed(news=[news], **settings)


def simulated(folder: Path, scenario: Scenario, ticks: int | None = None) -> Path:
    """A run folder; broken off after so many ticks."""
    about = {"name": scenario.name, "title": scenario.title, "seed": scenario.seed, "level": scenario.record}
    writer = RunWriter(folder, scenario=scenario.resolved(), **about)  # type: ignore[arg-type]
    with writer:
        model = MarketModel(scenario, recorder=writer)
        while model.running and (ticks is None or model.tick < ticks):
            model.step()
        writer.closing(model.accounts)
        if ticks is not None:
            return writer.folder
        writer.finish(summary(writer.close_data()), [])
        writer.publish()
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scenario = small(title=HOSTILE, description=f"First.\n\n{HOSTILE}")
    return simulated(tmp_path_factory.mktemp("made") / "run", scenario)


@pytest.fixture(scope="module")
def html(run: Path) -> str:
    return report_of(run).html


@pytest.fixture
def no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are slow: those that a test does not look at are a few bytes."""

    def drawn(_steps: Any, _events: Any, _run: Any, path: Path, theme: str) -> Path:
        path.write_bytes(theme.encode())
        return path

    monkeypatch.setattr("abm.figures.overview.draw_overview", drawn)


def test_one_file_that_loads_nothing(html: str) -> None:
    reader = read(html)
    assert reader.loaded and all(value.startswith("data:image/png;base64,") for value in reader.loaded)
    style = "".join(reader.texts["style"])
    assert "@import" not in style
    assert all(target.startswith("data:") for target in re.findall(r"url\(\s*['\"]?([^'\")]*)", style))
    assert "default-src 'none'" in html and "prefers-color-scheme: dark" in style and "@media print" in style
    anchors = {table["id"] for _, table in reader.tags if "id" in table}
    assert all(table["href"].removeprefix("#") in anchors for tag, table in reader.tags if tag == "a")


def test_hostile_words_stay_words(html: str) -> None:
    reader = read(html)
    assert HOSTILE in reader.texts["h1"] and HOSTILE in "".join(reader.texts["p"])
    assert not {"script", "iframe", "object", "embed", "link", "form"} & {tag for tag, _ in reader.tags}
    assert not [name for _, table in reader.tags for name in table if name.startswith("on")]
    assert all(table["src"].startswith("data:") for tag, table in reader.tags if tag == "img")


def test_same_folder_same_bytes(run: Path, html: str, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "elsewhere" / "run")
    assert report_of(tmp_path / "elsewhere" / "run").html == html
    assert str(run.parent) not in html


def test_people_who_do_not_see_it(html: str) -> None:
    reader = read(html)
    tables = [tag for tag, _ in reader.tags if tag == "table"]
    assert len(tables) == sum(tag == "caption" for tag, _ in reader.tags) > 8
    assert all("scope" in table for tag, table in reader.tags if tag == "th")
    assert all(len(table["alt"]) > 20 for tag, table in reader.tags if tag == "img")
    assert ("html", {"lang": "en"}) in reader.tags
    assert sum(tag == "h1" for tag, _ in reader.tags) == sum(tag == "main" for tag, _ in reader.tags) == 1


def test_it_says_what_was_run(run: Path, html: str) -> None:
    info = load_run(run).info
    for fact in (info["run_id"], info["source_hash"], "every balance is explained", "verified: read in a source"):
        assert escaped(fact) in html
    for name in ("run.json", "events.parquet", "manifest.json"):
        assert f">{name}<" in html
    fall = number(info["summary"]["fall_percent"])
    assert f"<strong>{fall} %</strong>" in html
    assert "nothing to compare" in html and "This is one run with one seed" in html


@pytest.mark.usefixtures("no_drawing")
def test_the_books_are_looked_at(run: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    shutil.copytree(run, bad)
    closing = pq.read_table(bad / "closing.parquet").to_pandas()
    closing.loc[3, "cash_USDT"] += 1
    pq.write_table(pa.Table.from_pandas(closing, preserve_index=False), bad / "closing.parquet")
    found = report_of(bad)
    assert not found.ok and "THE BOOKS DO NOT ADD UP" in found.html and re.search(r"row 3 cash.* replayed", found.html)
    assert report_of(bad, verify=False).ok and "Not verified" in report_of(bad, verify=False).html


@pytest.mark.usefixtures("no_drawing")
def test_a_run_that_was_broken_off(tmp_path: Path) -> None:
    folder = simulated(tmp_path / "half", small(), ticks=12)
    found = report_of(folder)
    assert "INCOMPLETE" in found.html and "after 12 of 30 ticks" in found.html and "incomplete" in found.remarks[0]
    assert "Key figures" in found.html and "a run that was broken off" in found.html


@pytest.mark.usefixtures("no_drawing")
def test_a_run_without_events(tmp_path: Path) -> None:
    found = report_of(simulated(tmp_path / "short", small(record="summary")))
    assert found.ok and "keeps no events" in found.html and "Not verified" in found.html
    assert str(tmp_path) not in found.html


@pytest.mark.usefixtures("no_drawing")
def test_a_scenario_of_another_version(run: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(run, old)
    info = json.loads((old / "run.json").read_text(encoding="utf-8"))
    info["scenario"]["makers"]["gone"] = 1
    (old / "run.json").write_text(json.dumps(info), encoding="utf-8")
    found = report_of(old).html
    assert "cannot read the scenario" in found and "Key figures" in found and "gone = 1" in found


def test_rare_events_in_words(run: Path) -> None:
    data = load_run(run)
    rows = np.zeros(7, EVENT)
    rows["tick"], rows["seq"], rows["market"] = np.arange(1, 8), np.arange(7), 1
    rows["kind"] = (LIQUIDATION, LIQUIDATION, DELEVERAGE, HALT, REOPEN, COVENANT, BAD_DEBT)
    rows["account"], rows["counterparty"], rows["side"] = 11, 12, (-1, 1, 1, 0, 0, -1, 0)
    rows["size_lots"] = (1_000, 3_000, 2_000, 0, 0, 500, 0)
    rows["amount"] = (0, 0, 0, 60_000, 0, 512_000, 9)
    data.__dict__["forced_events"] = arrow_table(rows, 0, 1000).to_pandas()
    words = event_blocks(data, {"liquidation_causes": {"noise": 1, "liquidation": 3}})
    marks = data.steps["mark_usd"].to_numpy()
    first, second = words.index(dollars(3.0 * marks[1])), words.index(dollars(1.0 * marks[0]))
    assert first < second and "The 2 largest liquidations" in words  # the short of 3 BTC before the long of 1 BTC
    assert "2 BTC of account 12 closed against account 11" in words and "for 60 s" in words
    assert "must sell 0.500 BTC, loan to value 51.2 %" in words and "account 12 topped up" in words
    assert '<th scope="row">liquidation</th><td class="figure">3</td><td class="figure">75</td>' in words


# --- assumptions ------------------------------------------------------------------------------------------------------
def test_values_that_differ_come_first_with_grade_and_range() -> None:
    scenario = load_scenario("october-2025", ["retail.panic=3.0", "makers.count=21", "treasuries=[{coins=5100}]"])
    items = {item.path: item for item in assumptions.assumptions(scenario)}
    panic = items["retail.panic"]
    assert panic.differs and panic.outside and panic.grade == "calibrated" and panic.default != panic.value
    assert items["makers.count"].differs
    assert [item.differs for path, item in items.items() if re.fullmatch(r"treasuries\.[^.]+\.coins", path)] == [True]
    assert not items["retail.short_share"].differs and items["value_sellers.coins"].default == 0.0
    assert not any(path.startswith(("venue.", "news.")) for path in items)
    first, rest = assumptions.blocks(scenario)
    head = first.index("Values that differ from the defaults")
    middle = first.index("Assumed and calibrated values at their defaults")
    assert head < first.index(assumptions.broken("retail.panic")) < middle
    assert "value is outside" in first and assumptions.broken("retail.panic") not in rest


def test_nothing_differs_by_default() -> None:
    items = assumptions.assumptions(Scenario.model_validate({}))
    assert len(items) > 200 and not [item.path for item in items if item.differs]


def test_other_venues_and_participants_have_their_own_rows() -> None:
    venues = {item.path for item in assumptions.assumptions(load_scenario("two-venues"))}
    assert any(path.startswith("others.") and path.endswith(".share") for path in venues)
    joined = assumptions.assumptions(load_scenario("etf-outflow"))
    own = [item for item in joined if ".parameters." in item.path]
    assert own and any(item.grade for item in own) and all(item.text or item.source for item in own if item.grade)


def test_rules_are_set_beside_their_preset() -> None:
    name, changes = assumptions.nearest_preset(load_scenario("tiny").venue)
    assert (name, changes) == ("binance-2025-10", [])
    changed = load_scenario("tiny", ['venue.perpetual.BTCUSDT.taker_fee="0.0007"']).venue
    name, changes = assumptions.nearest_preset(changed)
    assert name == "binance-2025-10" and changes == [("perpetual.BTCUSDT.taker_fee", "0.0007", "0.0005")]
    assert "verified" in assumptions.rule_books(load_scenario("tiny"))


# --- the command ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "settings", [[], ["makers.obliged=0.5", "treasuries=[]"], ["news.shock.change_percent=-7", 'record="orders"']]
)
def test_the_command_gives_the_same_scenario(settings: list[str]) -> None:
    scenario = load_scenario("tiny", settings, 5, 200).resolved()
    command = exact_command({"name": "tiny", "seed": 5, "scenario": scenario})
    assert command is not None
    words = shlex.split(command)
    assert words[:3] == ["deleverage", "run", "tiny"]
    sets = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    again = load_scenario(
        "tiny", sets, int(words[words.index("--seed") + 1]), int(words[words.index("--accounts") + 1])
    )
    assert run_id(again.resolved(), 5) == run_id(scenario, 5)


def test_a_scenario_of_ones_own_travels_as_a_file() -> None:
    scenario = small(name="mine").resolved()
    assert exact_command({"name": "mine", "seed": 1, "scenario": scenario}) is None
    table = from_resolved(tomllib.loads(scenario_file(scenario))).resolved()
    assert run_id(table, 1) == run_id(scenario, 1)


# --- writing and the command line -------------------------------------------------------------------------------------
@pytest.mark.usefixtures("no_drawing")
def test_only_a_report_is_replaced(run: Path, tmp_path: Path) -> None:
    report = report_of(run, verify=False)
    file = write_report(report, tmp_path / "new" / "report.html")
    assert write_report(report, file).read_text(encoding="utf-8") == report.html
    (tmp_path / "mine.html").write_text("<html>mine", encoding="utf-8")
    with pytest.raises(FolderTakenError):
        write_report(report, tmp_path / "mine.html")
    assert (tmp_path / "mine.html").read_text(encoding="utf-8") == "<html>mine"
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize("make", [True, False])
def test_no_run_is_one_message(make: bool, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    if make:
        folder.mkdir()
    with pytest.raises(SettingsError) as raised:
        report_of(folder)
    assert len(raised.value.lines) == 1


@pytest.mark.usefixtures("no_drawing")
def test_the_command_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from abm.cli import main

    def code_of(*arguments: str) -> int:
        with pytest.raises(SystemExit) as stopped:
            main(["report", *arguments])
        return int(stopped.value.code or 0)

    assert code_of(str(run), "--out", str(tmp_path / "r.html")) == 0
    assert "wrote" in capsys.readouterr().out and (tmp_path / "r.html").stat().st_size > 100_000
    assert code_of(str(tmp_path), "--out", str(tmp_path / "s.html")) == 2
    assert "no run, study or comparison" in capsys.readouterr().err and not (tmp_path / "s.html").exists()


# --- blocks -----------------------------------------------------------------------------------------------------------
def test_figures_for_people() -> None:
    shown = [number(value) for value in (-3.00001, 0.0, -0.0, 1234567, 1234.5, 0.01234, 5e-7, None, float("nan"), True)]
    assert shown == ["−3.00", "0", "0", "1,234,567", "1,234", "0.0123", "5.00e−07", "n/a", "n/a", "yes"]
    sums = [dollars(v) for v in (1.5e9, -2e6, 2_500, 12, 0, None)]
    assert sums == ["$1.50bn", "−$2m", "$2.50k", "$12", "$0", "n/a"]


def test_everything_is_escaped() -> None:
    assert element("p", "<b>", element("i", "&"), class_='"x') == '<p class="&quot;x">&lt;b&gt;<i>&amp;</i></p>'
    assert escaped("a") + "<b>" == "a&lt;b&gt;"
    page = Page(HOSTILE, HOSTILE, HOSTILE)
    page.add("one", HOSTILE, table(HOSTILE, (HOSTILE, "n"), [(HOSTILE, HOSTILE)], note=HOSTILE), verdict(GOOD, HOSTILE))
    reader = read(page.render())
    assert not {"script", "img"} & {tag for tag, _ in reader.tags}
    assert "none" in table("nothing", ("a", "b"), [])


def test_the_gauge_shows_a_miss_as_a_miss() -> None:
    assert 'class="in"' in gauge(1.0, 1.1, 0.9, 1.2) and 'class="out"' not in gauge(1.0, 1.1, 0.9, 1.2)
    assert 'class="out"' in gauge(1.3, 1.1, 0.9, 1.2) and "<circle" in gauge(1.3, 1.1, 0.9, 1.2)
    assert "<path" in gauge(9.0, 1.1, 0.9, 1.2)
