"""Scenarios: everything wrong is said at once, settings reach their place, packaged files say what they assume."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from abm.scenario import (
    SCENARIOS,
    Scenario,
    ScenarioError,
    from_resolved,
    load_scenario,
    new_scenario,
    reference_page,
    reference_table,
    scenario_names,
    write_toml,
)
from abm.settings import SettingsError, merge, override, parse_value


def mistakes(*overrides: str, name: str | Path = "tiny") -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(name, overrides)
    return caught.value.lines


def test_every_mistake_is_reported_at_once(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        """
        seeds = 3
        tick_s = 0.7
        accounts = "many"
        record = "fill"
        [makers]
        conut = 30
        dept = 1
        depth_coins = -5.0
        [venue]
        preset = "binanc"
        [[news]]
        name = "late"
        at = 23:00:00
        change_percent = -3
        """
    )
    lines = mistakes(name=file)
    starts = {line.split(": ")[0]: line for line in lines}
    assert starts["seeds"].endswith('did you mean "seed"?')
    assert 'did you mean "count"?' in starts["makers.conut"]
    assert 'did you mean "depth_coins"?' in starts["makers.dept"]  # the beginning of a longer name
    assert 'did you mean "fills"?' in starts["record"]
    assert 'did you mean "binance-2025-10"?' in starts["venue.preset"]
    assert "integer" in starts["accounts"] and ">= 50" in starts["accounts"]
    assert "-5" in starts["makers.depth_coins"] and ">= 0" in starts["makers.depth_coins"]
    assert "BTC" in starts["makers.depth_coins"]
    assert "no multiple of tick_s" in starts["duration_s"]
    assert "outside the run" in starts["news.late.at"]
    assert len(lines) == 9


@pytest.mark.parametrize(
    ("setting", "path", "words"),
    [
        ("duration_s=100.5", "duration_s", "100 or 101"),
        ("tick_s=0.0015", "tick_s", "milliseconds"),
        ("news.shock.over_s=101", "news.shock.over_s", "after the end"),
        ("news.shock.at=20:39:59", "news.shock.at", "outside the run"),
        ("retail.open_interest_coins=1e12", "retail.open_interest_coins", "overflow"),
        ("world.start_price_usd=2e6", "world.start_price_usd", "above the highest price"),
        ("retail.long_accounts=0.9", "retail.long_accounts + retail.short_accounts", "exceed 1"),
        ("retail.accounts=77", "retail.accounts", "set only `accounts`"),
        ("venue.perpetual.BTCUSDT.tiers.0.leverage=400", "venue.BTCUSDT.tiers.1", "less than maintenance"),
        ("venue.perpetual.BTCUSDT.tick=-0.1", "venue.perpetual.BTCUSDT.tick", "valid string"),
        ("start=2025-10-10T20:40:00", "start", "time zone"),
        ("treasuries=[{debt_usd=3e8}]", "treasuries.0.debt_usd", "breached at the start"),
        ("treasuries=[{ltv_target=0.6}]", "treasuries.0.ltv_target", "above the limit"),
    ],
)
def test_economic_nonsense(setting: str, path: str, words: str) -> None:
    lines = mistakes(setting)
    assert any(line.startswith(f"{path}: ") and words in line for line in lines), lines


def test_more_leverage_than_the_venue_gives() -> None:
    tiers = "[{from_notional='0', leverage=10, maintenance='0.06', amount='0'}]"
    lines = mistakes(f"venue.perpetual.BTCUSDT.tiers={tiers}")
    assert any("retail.entrant_short_leverage: 25: BTCUSDT gives at most 10x" in line for line in lines)


def test_numbers_are_strict() -> None:
    assert "valid integer" in mistakes("seed=1.5")[0]
    assert "valid number" in mistakes('tick_s="1"')[0]
    assert "valid integer" in mistakes("rounds_max=true")[0]


def test_set_reaches_lists_by_name_and_tables() -> None:
    s = load_scenario(
        "october-2025", ["news.second.change_percent=-2.5", "venue.backstop.size_usd=5"], seed=9, accounts=60
    )
    assert [n.change_percent for n in s.news] == [-1.84, -2.5]
    assert s.venue.backstop.size_usd == 5
    assert (s.seed, s.accounts, s.retail.accounts) == (9, 60, 60)
    assert "did you mean" in mistakes("news.secnd.change_percent=-2", name="october-2025")[0]


def test_extends_merges_deeply(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(
        'extends = "october-2025"\n[makers]\ncount = 7\n[[news]]\nname = "tariff"\nover_s = 5\n'
    )
    (tmp_path / "b.toml").write_text('extends = "a.toml"\nseed = 5\n')
    s = load_scenario(tmp_path / "b.toml")
    assert s.name == "b"
    assert (s.makers.count, s.seed, s.makers.depth_coins) == (7, 5, 2090)
    parent = load_scenario("october-2025").news
    assert [n.name for n in s.news] == ["tariff", "second"] and s.news[1] == parent[1]
    assert s.news[0] == parent[0].model_copy(update={"over_s": 5})


def test_a_circle_of_extends_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('extends = "b.toml"')
    (tmp_path / "b.toml").write_text('extends = "a.toml"')
    assert "extends itself" in mistakes(name=tmp_path / "a.toml")[0]


def test_unknown_scenario_and_broken_toml(tmp_path: Path) -> None:
    assert 'did you mean "october-2025"?' in mistakes(name="octobre-2025")[0]
    (tmp_path / "x.toml").write_text("seed = \n")
    assert "line 1" in mistakes(name=tmp_path / "x.toml")[0]


@pytest.mark.parametrize("name", scenario_names())
def test_resolved_and_toml_round_trip(name: str, tmp_path: Path) -> None:
    s = load_scenario(name)
    assert from_resolved(s.resolved()) == s.model_copy(update={"extends": None})
    write_toml(s, tmp_path / "copy.toml")
    assert load_scenario(tmp_path / "copy.toml").resolved() == s.resolved()


def test_changed_checks_and_keeps_the_rest() -> None:
    s = load_scenario("tiny")
    t = s.changed({"makers.count": 5}, seed=4, accounts=80)
    assert (t.makers.count, t.seed, t.accounts, t.retail.accounts) == (5, 4, 80, 80)
    assert s.changed(makers__count=5).makers.count == 5
    with pytest.raises(ScenarioError, match="did you mean"):
        s.changed(makers__conut=5)


def test_october_declares_what_it_assumes() -> None:
    s = load_scenario("october-2025")
    assert (s.start, s.ticks, s.accounts) == (datetime(2025, 10, 10, 20, 40, tzinfo=UTC), 12_000, 100_000)
    assert all(item.assumed and item.grade == "assumed" and item.source for item in s.news)
    total = 1.0
    for item in s.news:
        total *= 1 + item.change_percent / 100
    assert 100 * (total - 1) == pytest.approx(-5.66, abs=0.01)  # what was left of the fall after a day
    assert [s.news_seconds(item) for item in s.news] == [600, 1830]
    assert s.makers.depth_coins * s.world.start_price_usd == pytest.approx(244e6, rel=0.01)
    assert not s.individual and load_scenario("tiny").individual


def test_small_fund_is_october_but_for_the_fund() -> None:
    a, b = load_scenario("october-2025").resolved(), load_scenario("small-fund").resolved()
    assert b["venue"]["backstop"]["size_usd"] == 1_000_000
    b["venue"]["backstop"]["size_usd"] = a["venue"]["backstop"]["size_usd"]
    words = ("name", "title", "description", "seed")
    assert {k: v for k, v in a.items() if k not in words} == {k: v for k, v in b.items() if k not in words}


def test_news_by_time_of_day_may_lie_after_midnight() -> None:
    s = load_scenario("tiny", ["start=2025-10-10T23:59:00Z", "news.shock.at=00:00:10"])
    assert s.news_seconds(s.news[0]) == 70


def test_reference_table_names_every_field() -> None:
    table = reference_table()
    assert "| `makers.depth_coins` | 2090 | BTC |" in table
    assert "`news[].change_percent`" in table and "`venue.backstop.size_usd`" in table
    for name in Scenario.model_fields:
        assert f"`{name}" in table


def test_the_reference_page_is_up_to_date() -> None:
    page = Path(__file__).parents[1] / "docs" / "parameters.md"
    assert page.read_text(encoding="utf-8") == reference_page(), "run: python -m abm.scenario > docs/parameters.md"


def test_new_scenario_is_valid_and_never_overwrites(tmp_path: Path) -> None:
    file = new_scenario(tmp_path / "mine.toml", "small-fund")
    assert load_scenario(file).venue.backstop.size_usd == 1_000_000
    with pytest.raises(ScenarioError, match="not overwritten"):
        new_scenario(file, "tiny")
    with pytest.raises(ScenarioError, match="no scenario"):
        new_scenario(tmp_path / "other.toml", "nothing-like-it")


def test_values_of_set() -> None:
    assert parse_value("3") == 3 and parse_value("1e-3") == 0.001 and parse_value("true") is True
    assert parse_value("[1, 2.5]") == [1, 2.5] and parse_value('"a b"') == "a b" and parse_value("cohort") == "cohort"
    assert parse_value("null") is None
    with pytest.raises(SettingsError, match="not of the form"):
        override({}, "a.b")


def test_merge_replaces_plain_lists() -> None:
    assert merge({"a": [1, 2], "b": {"c": 1}}, {"a": [3], "b": {"d": 2}}) == {"a": [3], "b": {"c": 1, "d": 2}}
    assert merge([{"name": "x", "v": 1}], [{"name": "y", "v": 2}]) == [{"name": "x", "v": 1}, {"name": "y", "v": 2}]


def test_every_number_of_october_stands_beside_a_word_on_its_origin() -> None:
    text = (SCENARIOS / "october-2025.toml").read_text()
    for key in ("start_price_usd", "fair_volatility_bp", "last_funding_bp", "depth_coins", "open_interest_coins"):
        line = next(line for line in text.splitlines() if line.startswith(f"{key} ="))
        assert "observed" in line or "assumed" in line, line
