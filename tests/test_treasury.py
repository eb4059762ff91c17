"""Treasury companies: oracle O8, what falls due and in which order, shares against coins."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from abm.clearing import formulas
from abm.events import BY_BUYBACK, BY_COVENANT, BY_INCOME, BY_ISSUANCE, BY_REDEMPTION, COVENANT
from abm.parameters import Grade
from abm.settings import SettingsError, validate
from abm.state import BUY, SELL
from abm.traders.treasury import Treasuries, Treasury, TreasuryParameters
from abm.traders.treasury_population import (
    TreasuriesParameters,
    load_population,
    plain_company,
    population_names,
    population_table,
)
from abm.traders.treasury_sheet import (
    coins_per_share_factor,
    coins_to_sell,
    covenant_price,
    next_log_mnav,
    price_for_share,
    share_price,
    zero_equity_price,
)
from tests.test_traders_others import place
from tests.traders_world import OUTSIDE, SPOT_MARKET, START, START_TICKS, Stage


# --- treasury companies -----------------------------------------------------------------------------------------------
def test_covenant_arithmetic() -> None:
    assert covenant_price(400e6, 10_000, 0.5) == 80_000
    assert zero_equity_price(400e6, 10_000) == 40_000
    assert coins_to_sell(400e6, 10_000, 70_000, 0.5) == pytest.approx(1428.571428, abs=1e-6)
    assert coins_to_sell(400e6, 10_000, 80_000, 0.5) == 0.0
    assert coins_to_sell(400e6, 10_000, 30_000, 0.5) == 10_000
    with pytest.raises(ValueError, match="target"):
        coins_to_sell(1.0, 1.0, 1.0, 1.0)


def company() -> tuple[Stage, Treasury]:
    stage = Stage(1, (Treasury, TreasuryParameters(coins=10_000, debt_usd=400e6, cash_usd=0.0, review_s=60.0)))
    treasury = stage.people[0]
    assert isinstance(treasury, Treasury)
    return stage, treasury


def test_a_breach_sells_until_the_loan_is_covered_again() -> None:
    stage, treasury = company()
    assert stage.review(treasury, stage.view(last_ticks=np.array([START_TICKS, 800_010]))) == []
    assert treasury.loan_to_value(80_000.0) == pytest.approx(0.5)
    stage.tick = 30
    fallen = {"last_ticks": np.array([START_TICKS, 700_000])}
    assert stage.review(treasury, stage.view(**fallen)) == [], "the clock has not come round"
    stage.tick = 60
    breach = stage.review(treasury, stage.view(**fallen))
    assert breach == [
        {
            "kind": COVENANT,
            "side": SELL,
            "market": SPOT_MARKET,
            "account": int(treasury.rows[0]),
            "price_ticks": 700_000,
            "size_lots": 1_428_572,
            "amount": 571_429,
        }
    ]
    place(stage, SPOT_MARKET, BUY, 700_000, 10**9)
    sold = 0
    flow = np.array([0.0, -12_000_000.0])
    for tick in range(61, 300):
        stage.tick = tick
        orders = stage.turn(treasury, stage.view(flow_lots=flow, **fallen))
        assert (orders["side"] == SELL).all() and (orders["reason"] == BY_COVENANT).all()
        assert orders.size == 0 or orders["size_lots"].max() <= 0.2 * 12_000_000 / 60
        sold += int(orders["size_lots"].sum())
        stage.review(treasury, stage.view(**fallen))
    # Reviews repay with what has come in; in the end the same coins are sold as in one step.
    assert sold == pytest.approx(1_428_572, abs=2)
    assert treasury.loan_to_value(70_000.0) == pytest.approx(0.5, abs=1e-6)
    assert treasury.debt_usd == pytest.approx(300e6, abs=200)


def test_a_company_without_debt_never_sells() -> None:
    stage = Stage(1, (Treasury, TreasuryParameters(debt_usd=0.0)))
    treasury = stage.people[0]
    assert stage.review(treasury, stage.view(last_ticks=np.array([10, 10]))) == []
    assert stage.ask(treasury, stage.view()).size == 0
    assert math.isnan(treasury.loan_to_value(1.0))


# --- shares and coins -------------------------------------------------------------------------------------------------
def at(price: float) -> dict[str, Any]:
    return {"last_ticks": np.array([START_TICKS, round(price * 10)])}


def firm_of(**values: Any) -> tuple[Stage, Any]:
    plain = {"coins": 10_000, "debt_usd": 0.0, "cash_usd": 0.0, "review_s": 60.0, "slip": 0.01}
    stage = Stage(1, (Treasury, TreasuryParameters.model_validate(plain | values)))
    return stage, stage.people[0].firm  # type: ignore[attr-defined]


def review(stage: Stage, firm: Any, tick: int, price: float) -> list[dict[str, int]]:
    stage.tick = tick
    return stage.review(stage.people[0], stage.view(**at(price)))


def test_oracle_o8_shares() -> None:
    assert coins_per_share_factor(2.0, 0.1) == pytest.approx(1.0909, abs=1e-4)
    assert coins_per_share_factor(0.8, 0.1) == pytest.approx(0.9818, abs=1e-4)
    assert coins_per_share_factor(1.0, 0.3) == 1.0
    exact = formulas.coins_per_share_factor(Fraction(2), Fraction(1, 10))
    assert float(exact) == coins_per_share_factor(2.0, 0.1)
    # mNAV 1, no claims: the share is its coins; claims come first, and a share is worth no less than nothing
    assert share_price(1.0, 100.0, 90e3, 0.0, 0.0, 1e6) == 9.0
    assert share_price(2.0, 100.0, 90e3, 3e6, 1e6, 1e6) == 16.0
    assert share_price(1.0, 100.0, 90e3, 10e6, 0.0, 1e6) == 0.0


def test_the_price_at_which_a_share_is_worth_its_conversion_price() -> None:
    sheet = load_population("november-2025")[0]
    price = price_for_share(183.19, sheet, 101_663.0)
    mnav = sheet.mnav * (price / 101_663.0) ** sheet.mnav_beta
    assert share_price(mnav, sheet.coins, price, sheet.claims_usd, sheet.cash_usd, sheet.shares) == pytest.approx(
        183.19
    )
    # An analyst put the price below which the 2028 notes want cash at about 91,500 dollars.
    assert price == pytest.approx(91_500, rel=0.15)


def test_mnav_reverts_moves_with_the_coin_and_has_the_stated_variance() -> None:
    half = math.log(2.0) / 10.0
    assert next_log_mnav(1.0, 0.0, half, 10.0, 0.0, 0.0, 0.0) == pytest.approx(0.5)
    two = next_log_mnav(next_log_mnav(1.0, 0.2, 0.1, 3.0, 0.0, 0.0, 0.0), 0.2, 0.1, 4.0, 0.0, 0.0, 0.0)
    assert next_log_mnav(1.0, 0.2, 0.1, 7.0, 0.0, 0.0, 0.0) == pytest.approx(two), "one step or two: the same"
    assert next_log_mnav(0.0, 0.0, 0.0, 1.0, -0.03, 0.5, 2.0) == pytest.approx(-0.03 + 1.0)
    spread = next_log_mnav(0.0, 0.0, 0.1, 1e4, 0.0, 0.02, 1.0)
    assert spread == pytest.approx(0.02 / math.sqrt(0.2)), "stationary standard deviation"


@pytest.mark.parametrize("mnav", [2.0, 1.25])
def test_issuing_above_the_coins_adds_coins_to_every_share(mnav: float) -> None:
    stage, firm = firm_of(shares=1e6, mnav=mnav, mnav_mean=mnav, mnav_beta=0.0, atm_share=0.1, least_rate_coins=1e5)
    place(stage, SPOT_MARKET, -1, 900_000, 10**9)
    review(stage, firm, 0, 90_000.0)
    before = firm.coins / firm.shares
    review(stage, firm, 86_400, 90_000.0)
    payer, receiver, _, amount, reason = stage.office.paid[-1]
    assert (payer, reason) == (OUTSIDE, BY_ISSUANCE) and receiver == stage.people[0].rows[0]
    assert amount / 1e6 == pytest.approx(0.1 * mnav * 10_000 * 90_000.0)
    orders = stage.turn(stage.people[0], stage.view(**at(90_000.0)))
    assert orders["side"].tolist() == [BUY] and orders["reason"].tolist() == [BY_ISSUANCE]
    assert firm.coins / firm.shares / before == pytest.approx(coins_per_share_factor(mnav, 0.1), rel=1e-6)
    # What was spent is spent: no second purchase out of the same money.
    review(stage, firm, 86_460, 90_000.0)
    assert firm.to_buy_lots * 90.0 == pytest.approx(
        60 / 86_400 * 0.1 * firm.shares * firm.share_usd(90_000.0), rel=0.01
    )


def test_below_the_coins_it_buys_back_with_cash_and_then_with_coins() -> None:
    shares = {"shares": 1e6, "mnav": 0.8, "mnav_mean": 0.8, "mnav_beta": 0.0, "buyback_share": 0.1}
    stage, firm = firm_of(**shares, buyback_sells=True, least_rate_coins=1e5)
    place(stage, SPOT_MARKET, 1, 900_000, 10**9)
    review(stage, firm, 0, 90_000.0)
    before = firm.coins / firm.shares
    review(stage, firm, 86_400, 90_000.0)
    assert firm.shares == 1e6 and firm.to_sell_lots == pytest.approx(0.1 * 0.8 * 10_000_000, abs=1)
    stage.turn(stage.people[0], stage.view(**at(90_000.0)))
    review(stage, firm, 2 * 86_400, 90_000.0)
    assert stage.office.paid[-1][4] == BY_BUYBACK
    assert firm.bought_back_usd == pytest.approx(0.1 * 0.8 * 10_000 * 90_000.0, rel=1e-6)
    assert firm.coins / firm.shares > before, "worth more to those who stay"
    stage, firm = firm_of(**(shares | {"mnav": 1.2, "mnav_mean": 1.2}))
    review(stage, firm, 0, 90_000.0)
    review(stage, firm, 86_400, 90_000.0)
    assert stage.office.paid == [] and firm.to_sell_lots == 0, "above 1 nobody buys back"


def test_shares_out_of_lock_up_press_on_the_share() -> None:
    placement = {"shares": 2e5, "unlock_on": (START + timedelta(days=2)).isoformat(), "over_days": 1.0, "pressure": 0.5}
    stage, firm = firm_of(shares=1e6, mnav_beta=0.0, mnav_speed=0.0, placements=[placement])
    seen = []
    for day in range(6):
        review(stage, firm, day * 86_400, 90_000.0)
        seen.append(math.log(firm.mnav))
    assert seen == pytest.approx([0.0, 0.0, 0.0, -0.1, -0.1, -0.1])


def test_the_share_falls_with_the_coin_and_its_noise_is_keyed() -> None:
    stage, firm = firm_of(shares=1e6, mnav_beta=0.5, mnav_speed=0.0)
    review(stage, firm, 0, 100_000.0)
    review(stage, firm, 60, 81_000.0)
    assert firm.mnav == pytest.approx(math.sqrt(0.81))
    paths = []
    for _ in range(2):
        stage, firm = firm_of(shares=1e6, mnav_beta=0.0, mnav_noise=0.02)
        for day in range(5):
            review(stage, firm, day * 86_400, 90_000.0)
        paths.append(firm.log_mnav)
    assert paths[0] == paths[1] != 0.0


# --- notes, dividends, cure, pledge -----------------------------------------------------------------------------------
def note(conversion: float, days: float, **values: Any) -> dict[str, Any]:
    due = START + timedelta(days=days)
    plain = {"principal_usd": 90e6, "conversion_usd": conversion, "matures_on": (due + timedelta(days=900)).isoformat()}
    return plain | {"put_on": due.isoformat()} | values


def test_convertible_notes_never_trip_on_a_price() -> None:
    stage, firm = firm_of(shares=1e6, converts=[note(500.0, 30.0, principal_usd=500e6)])
    for tick, price in enumerate((90_000.0, 40_000.0, 5_000.0, 100.0)):
        assert review(stage, firm, 60 * tick, price) == []
        assert firm.to_sell_lots == 0 and math.isnan(firm.loan_to_value(price))
    assert stage.office.paid == []


def test_a_put_is_paid_in_cash_below_the_conversion_price_and_in_shares_above() -> None:
    stage, firm = firm_of(shares=1e6, cash_usd=9e6, converts=[note(1e4, 1.0)], least_rate_coins=1e5)
    place(stage, SPOT_MARKET, 1, 900_000, 10**9)
    review(stage, firm, 0, 90_000.0)
    assert stage.office.paid == []
    review(stage, firm, 86_400, 90_000.0)
    assert [one[3:] for one in stage.office.paid] == [(9_000_000_000_000, BY_REDEMPTION)]
    assert firm.to_sell_lots == pytest.approx(81e6 / 90_000 * 1000, abs=1)
    stage.turn(stage.people[0], stage.view(**at(90_000.0)))
    review(stage, firm, 86_460, 90_000.0)
    assert sum(one[3] for one in stage.office.paid) == 90_000_000_000_000 and firm.to_sell_lots == 0
    assert firm.claims_usd == 0.0
    stage, firm = firm_of(shares=1e6, converts=[note(100.0, 1.0)])
    review(stage, firm, 0, 90_000.0)
    review(stage, firm, 86_400, 90_000.0)
    assert stage.office.paid == [] and firm.shares == pytest.approx(1e6 + 90e6 / 100.0)


def test_dividends_are_paid_in_cash_and_coins_are_sold_for_what_is_missing() -> None:
    stage, firm = firm_of(preferred_usd=100e6, dividend_usd=12e6, dividend_days=36.525, cash_usd=2e6)
    review(stage, firm, 0, 90_000.0)
    review(stage, firm, round(36.5 * 86_400), 90_000.0)
    assert stage.office.paid == []
    review(stage, firm, round(36.6 * 86_400), 90_000.0)
    assert [one[3:] for one in stage.office.paid] == [(1_200_000_000_000, BY_INCOME)]
    assert firm.to_sell_lots == 0
    review(stage, firm, round(73.1 * 86_400), 90_000.0)
    assert firm.dividends_usd == pytest.approx(2.4e6)
    assert firm.to_sell_lots == math.ceil(0.4e6 / 90.0)


def test_the_cure_period_gives_time() -> None:
    for healed in (True, False):
        stage, firm = firm_of(debt_usd=400e6, cure_s=3600.0)
        first = review(stage, firm, 0, 70_000.0)
        assert [(one["kind"], one["size_lots"]) for one in first] == [(COVENANT, 0)]
        assert review(stage, firm, 1800, 70_000.0) == [] and firm.to_sell_lots == 0
        if healed:
            assert review(stage, firm, 3000, 85_000.0) == []
            assert review(stage, firm, 3600, 70_000.0)[0]["size_lots"] == 0, "a new breach, a new period"
        else:
            assert review(stage, firm, 3600, 70_000.0)[0]["size_lots"] == 1_428_572


def test_once_in_breach_it_sells_down_to_the_target() -> None:
    stage, firm = firm_of(debt_usd=400e6, ltv_target=0.4, least_rate_coins=100.0)
    place(stage, SPOT_MARKET, 1, 700_000, 10**9)
    for tick in range(0, 1200):
        stage.tick = tick
        stage.turn(stage.people[0], stage.view(**at(70_000.0)))
        stage.review(stage.people[0], stage.view(**at(70_000.0)))
    assert firm.loan_to_value(70_000.0) == pytest.approx(0.4, abs=1e-5)
    assert firm.coins == pytest.approx(10_000 - coins_to_sell(400e6, 10_000, 70_000, 0.4), abs=0.01)


def test_free_coins_are_posted_before_any_is_sold() -> None:
    stage, firm = firm_of(debt_usd=200e6, pledged_coins=4_000, ltv_limit=0.8, ltv_target=0.6, tied_coins=1_000)
    assert firm.loan_to_value(90_000.0) == pytest.approx(200e6 / 4_000 / 90_000)
    assert review(stage, firm, 0, 60_000.0) == [] and firm.calls == 1
    assert firm.loan_to_value(60_000.0) == pytest.approx(0.6, abs=1e-4)
    assert review(stage, firm, 60, 28_000.0) == [] and firm.to_sell_lots == 0
    # 9,000 coins can be pledged: covenant at 200e6 / (0.8 x 9,000) = 27,778
    assert review(stage, firm, 120, 27_770.0)[0]["size_lots"] > 0
    wanted = coins_to_sell(200e6, 9_000, 27_770.0, 0.6)
    assert firm.to_sell_lots == pytest.approx(1000 * wanted, abs=1)


# --- populations ------------------------------------------------------------------------------------------------------
def figures(table: Any) -> list[dict[str, Any]]:
    if isinstance(table, dict):
        return [table] if "value" in table else [one for item in table.values() for one in figures(item)]
    return [one for item in table for one in figures(item)] if isinstance(table, list) else []


@pytest.mark.parametrize("name", population_names())
def test_every_figure_of_a_population_has_date_source_and_grade(name: str) -> None:
    table = population_table(name)
    for company in table["company"]:
        found = figures(company)
        plain = sum(isinstance(value, int | float | datetime) for value in company.values())
        assert len(found) >= 3 and plain == 0, f"{company['name']}: a figure without a source"
        for one in found:
            assert set(one) == {"value", "date", "grade", "source"}, one
            assert one["grade"] in Grade.__args__ and one["source"] and str(one["date"])[:4] in ("2024", "2025", "2026")
        if company["debt_usd"]["value"] > 0:
            assert company["ltv_limit"]["grade"] == "assumed", "no covenant of these loans is public"
    sheets = load_population(name)
    assert len({sheet.name for sheet in sheets}) == len(sheets)


def test_a_premium_becomes_enterprise_value_over_coins() -> None:
    table = {"name": "x", "coins": 100, "cash_usd": 1e6, "debt_usd": 3e6, "shares": 1e6, "premium": {"value": 0.9}}
    company = TreasuryParameters.model_validate(plain_company(table, 100e3))
    worth = share_price(company.mnav, 100, 100e3, company.claims_usd, 1e6, 1e6)
    assert worth * 1e6 / (100 * 100e3) == pytest.approx(0.9)


def test_a_population_is_written_out_and_can_be_changed() -> None:
    asked = {
        "population": "november-2025",
        "common": {"cash_usd": 0.0},
        "changes": {"MARA": {"cure_s": 60}},
        "assumed_loan": {"price_usd": 100e3, "ltv_low": 0.4, "ltv_high": 0.5, "except_names": ["Strategy"]},
    }
    parameters = validate(TreasuriesParameters, asked, "test")
    again = validate(TreasuriesParameters, parameters.model_dump(mode="json"), "test")
    assert again == parameters
    first, second, *rest = parameters.companies
    assert first.name == "Strategy" and first.debt_usd == 0.0
    assert second.name == "MARA" and second.cure_s == 60 and second.cash_usd == 0.0
    ratios = [one.debt_usd / one.free_coins / 100e3 for one in (second, *rest)]
    assert ratios == pytest.approx([0.4 + 0.1 * (i + 0.5) / len(ratios) for i in range(len(ratios))])
    for bad in ({"population": "nowhere"}, asked | {"changes": {"ACME": {}}}):
        with pytest.raises(SettingsError, match=r"known|no company"):
            validate(TreasuriesParameters, bad, "test")
    with pytest.raises(SettingsError, match="tied"):
        validate(TreasuryParameters, {"coins": 1, "tied_coins": 2}, "test")


def test_one_company_s_sale_trips_the_next() -> None:
    """A book that falls by ten dollars for each coin: the first sale carries the price to the second's covenant."""
    companies = [
        {"name": "weak", "coins": 1_000, "debt_usd": 46e6, "cash_usd": 0, "review_s": 10, "least_rate_coins": 50},
        {"name": "next", "coins": 1_000, "debt_usd": 45.45e6, "cash_usd": 0, "review_s": 10, "least_rate_coins": 50},
    ]
    prices = {}
    for pair in (companies, companies[1:]):
        parameters = TreasuriesParameters.model_validate({"companies": pair})
        stage = Stage(1, (Treasuries, parameters))
        for step in range(3_000):
            place(stage, SPOT_MARKET, 1, 910_000 - 10 * step, 100)
        price = 91_000.0
        firms = stage.people[0].firms  # type: ignore[attr-defined]
        for tick in range(200):
            stage.tick = tick
            price = (stage.books.last(SPOT_MARKET) or round(price * 10)) / 10
            stage.review(stage.people[0], stage.view(**at(price)))
            stage.turn(stage.people[0], stage.view(**at(price)))
        prices[len(pair)] = price
        assert firms[-1].breaches == (1 if len(pair) == 2 else 0)
        if len(pair) == 2:
            assert firms[0].breaches == 1 and firms[1].coins < 1_000
    assert prices[1] == 91_000.0 and prices[2] < covenant_price(45.45e6, 1_000, 0.5)
