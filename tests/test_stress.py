"""`deleverage stress`: closed forms, the fixed point over companies, the command."""

from __future__ import annotations

import csv
import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abm.cli import _run as cli
from abm.cli_stress import drops_of, with_population
from abm.scenario import load_scenario
from abm.settings import SettingsError
from abm.stress import Ladder, StressOptions, companies_of, marks, root_impact, settle, strain, stress
from abm.traders.treasury_sheet import TreasuryParameters, coins_to_sell

START = datetime(2025, 11, 12, tzinfo=UTC)
OPTIONS = StressOptions()


def sheet(**values: Any) -> TreasuryParameters:
    plain = {"coins": 10_000, "debt_usd": 400e6, "cash_usd": 0.0, "ltv_limit": 0.5, "ltv_target": 0.5}
    return TreasuryParameters.model_validate(plain | values)


def at(company: TreasuryParameters, price: float, **options: Any) -> Any:
    return strain(company, price, 100_000.0, START, StressOptions(**options))


def test_oracle_o8() -> None:
    """H = 10,000, D = $400m, l = 1/2: covenant at 80,000, equity gone at 40,000, 1,428.6 coins at 70,000."""
    found = marks(sheet(), 100_000.0)
    assert (found.covenant_usd, found.sells_usd, found.zero_equity_usd) == (80_000, 80_000, 40_000)
    assert at(sheet(), 80_001.0).trips == ""
    assert at(sheet(), 70_000.0).covenant_coins == pytest.approx(1428.5714, abs=1e-4)
    assert at(sheet(), 70_000.0).trips == "covenant"
    gone = at(sheet(), 30_000.0)
    assert gone.coins == 10_000 and gone.unmet_usd == pytest.approx(100e6)
    assert gone.equity_usd == pytest.approx(-100e6) and gone.trips == "covenant + unmet"


def test_cash_cures_first_and_free_coins_are_posted_before_they_are_sold() -> None:
    company = sheet(cash_usd=50e6)
    assert marks(company, 1e5).sells_usd == 70_000
    assert at(company, 70_001.0).coins == 0.0
    assert at(company, 60_000.0).coins == pytest.approx(coins_to_sell(350e6, 10_000, 60_000, 0.5))
    assert math.isnan(marks(sheet(cash_usd=400e6), 1e5).sells_usd), "cash that covers the loan cures any breach"
    pledging = sheet(pledged_coins=6_000, ltv_limit=0.8, ltv_target=0.7)
    assert marks(pledging, 1e5).posts_usd == pytest.approx(400e6 / 0.8 / 6_000)
    found = at(pledging, 80_000.0)
    assert found.trips == "posts" and found.posted_coins == pytest.approx(400e6 / 0.7 / 80_000 - 6_000)
    assert at(pledging, 49_000.0).covenant_coins == pytest.approx(coins_to_sell(400e6, 10_000, 49_000, 0.7))


def test_notes_trip_only_on_their_day_and_dividends_take_cash() -> None:
    notes = [{"principal_usd": 90e6, "conversion_usd": 500.0, "matures_on": "2026-11-12T00:00:00Z"}]
    company = sheet(debt_usd=0.0, shares=1e6, converts=notes, cash_usd=10e6, mnav=0.9)
    assert at(company, 60_000.0, horizon_days=364).coins == 0.0, "not yet due"
    assert at(company, 20_000.0, horizon_days=364).coins == 0.0, "nor at any price"
    due = at(company, 50_000.0, horizon_days=366)
    assert due.share_usd < 500.0 and due.put_coins == pytest.approx(80e6 / 50_000) and due.trips == "put"
    assert at(company, 80_000.0, horizon_days=366).coins == 0.0, "the share is worth more than the conversion price"
    paying = sheet(debt_usd=0.0, preferred_usd=1e9, dividend_usd=36.525e6, cash_usd=10e6)
    assert at(paying, 50_000.0, horizon_days=100).coins == 0.0
    assert at(paying, 50_000.0, horizon_days=365.25).dividend_coins == pytest.approx(26.525e6 / 50_000)
    issuing = paying.model_copy(update={"shares": 1e6, "mnav": 3.0})
    found = at(issuing, 100_000.0, horizon_days=365.25)
    assert found.coins == 0.0 and found.issued_usd == pytest.approx(26.525e6), "above 1 shares pay"


def test_the_ladder_inverts_and_goes_on_as_a_power() -> None:
    distance = np.linspace(0.0, 0.1, 11)
    ladder = Ladder(distance, 1_000.0 * (distance / 0.1) ** 1.0, 1.25)
    assert ladder.impact(0.0) == 0.0 and ladder.impact(500.0) == pytest.approx(0.05)
    assert ladder.impact(2_000.0) == pytest.approx(0.1 * 2.0 ** (1 / 1.25))
    assert root_impact(119_320.0, OPTIONS) == pytest.approx(0.0219)


def test_the_fixed_point_is_the_closed_form_of_two_companies() -> None:
    """Linear impact p = P (1 - x / A): the first company's sale trips the second, which the shock alone does not."""
    first, second = sheet(name="first"), sheet(name="second", debt_usd=348e6)
    room = 60_000.0

    def impact(sold: float) -> float:
        return sold / room

    alone = settle([second], 0.30, 100_000.0, START, OPTIONS, impact)
    assert alone.coins == 0.0 and alone.price_usd == pytest.approx(70_000.0)
    both = settle([first, second], 0.30, 100_000.0, START, OPTIONS, impact)
    assert both.by_others == ("second",)
    p = both.price_usd
    total = coins_to_sell(400e6, 10_000, p, 0.5) + coins_to_sell(348e6, 10_000, p, 0.5)
    assert both.coins == pytest.approx(total) and p == pytest.approx(70_000.0 * (1 - total / room), abs=1.0)
    one = settle([first], 0.30, 100_000.0, START, OPTIONS, impact)
    # D - l H p = (1 - l) p x and p = P (1 - x / A): a quadratic in x
    a, b, c = 0.5 * 70_000 / room, 0.5 * 10_000 * 70_000 / room - 0.5 * 70_000, 400e6 - 0.5 * 10_000 * 70_000
    x = (-b - math.sqrt(b * b - 4 * a * c)) / (2 * a)
    assert one.coins == pytest.approx(x, abs=0.05)
    assert p < one.price_usd < 70_000.0
    assert settle([first, second], 0.0, 100_000.0, START, OPTIONS, impact).coins == 0.0


def test_deeper_falls_sell_more_and_end_lower() -> None:
    found = stress(with_population(load_scenario("tiny"), "november-2025"), [0.1, 0.4, 0.6, 0.7], OPTIONS)
    drops = found.drops()
    sold = [row["sold_usd"] for row in drops]
    assert sold[0] == 0.0 and sold == sorted(sold) and sold[-1] > 0.5e9
    assert drops[-1]["effect_percent"] < drops[-1]["other_effect_percent"] < 0.0, "a sweep moves the price more"
    assert all(row["price_usd"] <= row["shocked_usd"] for row in drops)
    assert {row["company"] for row in found.rows()} == {one.name for one in found.sheets}
    strategy = [row for row in found.rows() if row["company"] == "Strategy"]
    assert all(row["covenant_coins"] == 0.0 for row in strategy), "unsecured notes have no covenant"


def test_the_default_company_of_a_scenario() -> None:
    companies = companies_of(load_scenario("october-2025", ["treasuries=[{coins=5000}]"]))
    assert [one.name for one in companies] == ["company"] and companies[0].coins == 5_000
    with pytest.raises(SettingsError, match="no treasury company"):
        companies_of(load_scenario("october-2025"))


def test_the_command_writes_tables_and_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, data = tmp_path / "out", tmp_path / "found.json"
    code = cli(
        [
            "stress",
            "tiny",
            "--drop",
            "4:12:4",
            "--run",
            "25",
            "--set",
            "makers.follow_news=0",
            "--out",
            str(out),
            "--json",
            str(data),
        ]
    )
    assert code == 0, capsys.readouterr().err
    rows = list(csv.DictReader((out / "companies.csv").open()))
    assert [row["trips_at_shock"] for row in rows] == ["", "covenant", "covenant"]
    assert float(rows[1]["sold_coins"]) >= float(rows[1]["sold_coins_at_shock"]) > 0.0
    assert (out / "stress.png").stat().st_size > 20_000
    found = json.loads(data.read_text())
    assert len(found["drops"]) == 3 and found["marks"][0]["covenant_usd"] == 112_000
    run = found["runs"][0]
    assert run["sold_coins"] >= 0.0 and run["end_with_usd"] < run["end_without_usd"] < run["start_usd"]


@pytest.mark.parametrize(
    "words",
    [
        ["tiny", "--drop", "10:70"],
        ["tiny", "--drop", "70:10:5"],
        ["tiny", "--drop", "10:70:0"],
        ["tiny", "--drop", "a"],
        ["tiny", "--drop", "-5"],
        ["tiny", "--drop", "100"],
        ["tiny", "--run", "x"],
        ["tiny", "--impact", "magic"],
        ["tiny", "--population", "nowhere"],
        ["tiny", "--set", "treasuries=[]"],
        ["nowhere"],
    ],
)
def test_bad_input_is_one_message(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["stress", *words, "--out", str(tmp_path / "out")]) == 2
    shown = capsys.readouterr()
    assert shown.err.strip() and "Traceback" not in shown.err
    assert not (tmp_path / "out").exists()


def test_drops() -> None:
    assert drops_of("10:70:5", "--drop") == pytest.approx([0.01 * p for p in range(10, 71, 5)])
    assert drops_of("20,40", "--drop") == [0.2, 0.4] and drops_of("0", "--drop") == [0.0]
