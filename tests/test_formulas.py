"""Margin, liquidation, funding and treasury formulas against their definitions and against closed forms."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from abm.clearing import formulas as f
from abm.units import MICRO, RATE_ONE, rate_units

TICK_VALUE = 100
BRACKETS = ((0, "0.004"), (300_000, "0.005"), (800_000, "0.0065"), (3_000_000, "0.01"), (12_000_000, "0.02"))


def tiers(brackets=BRACKETS):
    floors = [dollars * MICRO for dollars, _ in brackets]
    rates = [rate_units(rate) for _, rate in brackets]
    amounts = f.maintenance_amounts(floors, rates)
    return [f.Tier(*row, leverage=1) for row in zip(floors, rates, amounts, strict=True)]


ONE_TIER = tiers(((0, "0.005"),))


def opened(side, leverage, price_ticks=1_000_000, lots=1000):
    """(position, entry cost, margin) of an isolated position."""
    value = f.trade_value(price_ticks, side * lots, TICK_VALUE)
    return side * lots, value, f.initial_margin(value, leverage)


positions = st.integers(-2_000_000, 2_000_000).filter(bool)
prices = st.integers(1, 3_000_000)


def test_maintenance_amounts_follow_the_venues_table():
    assert [a // MICRO for a in f.maintenance_amounts([t.floor for t in tiers()], [t.rate for t in tiers()])] == [
        0,
        300,
        1_500,
        12_000,
        132_000,
    ]
    with pytest.raises(ValueError, match="whole number"):
        f.maintenance_amounts([0, 7], [400_000, 500_000])


@given(st.sampled_from(tiers()[1:]), st.integers(-3, 3))
def test_maintenance_is_continuous_and_rises(tier, step):
    at, beside = (f.maintenance_margin(tier.floor + d, tiers()) for d in (0, step))
    assert abs(at - beside) <= 1
    assert (beside - at) * step >= 0


@pytest.mark.parametrize("leverage, share", [(10, 0.904523), (20, 0.954774), (100, 0.994975)])
def test_liquidation_price_of_a_long_matches_the_closed_form(leverage, share):
    lots, cost, margin = opened(1, leverage, price_ticks=10_000_000)
    ticks = f.liquidation_price_ticks(lots, cost, margin, TICK_VALUE, ONE_TIER)
    assert ticks / 10_000_000 == pytest.approx(share, abs=1e-6)
    # bankrupt at p0 (1 - 1/L), liquidated at that over (1 - maintenance)
    bankrupt = f.bankruptcy_price_ticks(lots, cost, margin, TICK_VALUE)
    assert bankrupt == 10_000_000 - 10_000_000 // leverage
    assert ticks == -(-bankrupt * 1000 // 995) - 1


@pytest.mark.parametrize("leverage", [10, 20, 100])
def test_liquidation_price_of_a_short_matches_the_closed_form(leverage):
    lots, cost, margin = opened(-1, leverage)
    bankrupt = f.bankruptcy_price_ticks(lots, cost, margin, TICK_VALUE)
    assert bankrupt == 1_000_000 + 1_000_000 // leverage
    ticks = f.liquidation_price_ticks(lots, cost, margin, TICK_VALUE, ONE_TIER)
    assert ticks == bankrupt * 1000 // 1005 + 1


@pytest.mark.parametrize("leverage, dollars", [(20, 111_434), (10, 105_569), (7.5, 101_659)])
def test_liquidation_prices_of_the_day(leverage, dollars):
    """Longs opened at 116,830 before the headline: maintenance 0.4 %, below 300,000 $."""
    value = f.trade_value(1_168_300, 1000, TICK_VALUE)
    margin = -(-value * 2 // int(2 * leverage))
    ticks = f.liquidation_price_ticks(1000, value, margin, TICK_VALUE, tiers())
    assert round(ticks / 10) == dollars


def test_leverage_beyond_maintenance_is_liquidated_at_the_opening():
    lots, cost, margin = opened(1, 1001)
    assert f.below_maintenance(margin, lots, 1_000_000, cost, TICK_VALUE, ONE_TIER)
    lots, cost, margin = opened(1, 100)
    assert not f.below_maintenance(margin, lots, 1_000_000, cost, TICK_VALUE, ONE_TIER)


@given(positions, prices, st.integers(0, 10**16))
def test_liquidation_tick_is_where_the_predicate_turns(lots, price, collateral):
    cost = f.trade_value(price, lots, TICK_VALUE)
    tick = f.liquidation_price_ticks(lots, cost, collateral, TICK_VALUE, tiers())

    def below(mark):
        return f.below_maintenance(collateral, lots, mark, cost, TICK_VALUE, tiers())

    if lots > 0:
        assert tick == 0 or below(tick)
        assert not below(tick + 1)
    else:
        assert below(tick)
        assert tick == 1 or not below(tick - 1)


@given(positions, prices, st.integers(-(10**12), 10**16), st.sampled_from([0, 50_000, 1_250_000]))
def test_closing_at_the_bankruptcy_price_leaves_nothing_negative(lots, price, collateral, fee_rate):
    cost = f.trade_value(price, lots, TICK_VALUE)
    ticks = f.bankruptcy_price_ticks(lots, cost, collateral, TICK_VALUE, fee_rate)

    def left(at):
        value = f.trade_value(at, lots, TICK_VALUE)
        return collateral + value - cost - f.ceil_div(abs(value) * fee_rate, RATE_ONE)

    side = 1 if lots > 0 else -1
    if ticks > 0 or lots > 0:
        assert left(ticks) >= 0
    if not (lots > 0 and ticks == 0):
        assert left(ticks - side) < 0
    assert collateral + f.bankruptcy_value(cost, collateral) - cost == 0


@given(st.floats(0, 6.3), st.integers(500_000, 1_500_000), st.floats(0, 0.03), st.sampled_from([0, 500_000, 1_250_000]))
@example(5.477122, 1_000_000, 0.0118, 1_250_000)  # closing all would cost more than there is, closing some suffices
def test_forced_size_brings_back_or_closes_whole(log_lots, mark, share, fee_rate):
    lots = int(10**log_lots)
    equity = int(lots * mark * TICK_VALUE * share)
    size = f.bring_back_lots(lots, mark, equity, TICK_VALUE, tiers(), fee_rate)

    def safe(closed):
        fee = f.ceil_div(closed * mark * TICK_VALUE * fee_rate, RATE_ONE)
        return equity - fee >= f.maintenance_margin((lots - closed) * mark * TICK_VALUE, tiers())

    assert 0 <= size <= lots
    assert size == lots or safe(size)
    assert size == 0 or not safe(size - 1)
    if size == lots and lots > 300:
        assert not any(safe(lots * k // 300) for k in range(300))


def test_small_positions_are_closed_whole_when_the_fee_exceeds_maintenance():
    lots, cost, margin = opened(1, 20)
    mark = f.liquidation_price_ticks(lots, cost, margin, TICK_VALUE, tiers())
    equity = f.equity(margin, lots, mark, cost, TICK_VALUE)
    assert f.bring_back_lots(lots, mark, equity, TICK_VALUE, tiers(), rate_units("0.0125")) == lots
    assert f.bring_back_lots(lots, mark, equity, TICK_VALUE, tiers(), 0) < lots
    assert f.bring_back_lots(lots, mark, 0, TICK_VALUE, ONE_TIER, rate_units("0.0125")) == lots


def test_liquidation_fee_takes_at_most_what_is_left():
    assert f.liquidation_fee(-1_000_001, rate_units("0.0125"), 10**9) == 12_501
    assert f.liquidation_fee(1_000_000, rate_units("0.0125"), 7) == 7
    assert f.liquidation_fee(1_000_000, rate_units("0.0125"), -7) == 0


def test_break_even_slippage_below_the_liquidation_price_is_the_maintenance_rate():
    """A fund that closes at the liquidation price less 0.5 % of it has neither gained nor lost on the position."""
    lots, cost, margin = opened(1, 20, price_ticks=10_000_000)
    liquidated = f.liquidation_price_ticks(lots, cost, margin, TICK_VALUE, ONE_TIER)
    bankrupt = f.bankruptcy_price_ticks(lots, cost, margin, TICK_VALUE)
    assert liquidated - bankrupt == pytest.approx(0.005 * liquidated, abs=1)


@pytest.mark.parametrize(
    "premium, rate",
    [
        ("0", "0.0001"),
        ("0.0006", "0.0001"),
        ("-0.0004", "0.0001"),
        ("0.001", "0.0005"),
        ("-0.001", "-0.0005"),
        ("0.01", "0.003"),
        ("-0.02", "-0.003"),
    ],
)
def test_funding_rate_is_flat_inside_the_clamp_and_capped(premium, rate):
    terms = [rate_units(x) for x in ("0.0001", "0.0005", "0.003")]
    assert f.funding_rate(rate_units(premium), *terms) == rate_units(rate)
    assert f.funding_rate(rate_units(premium), *terms, interval_h=4) == rate_units(rate) // 2


def test_a_year_of_funding_pays_the_hedgers_financing():
    """Short the perpetual, long the coin on credit at 5 %: with three payments a day fair at 1095 / (1095 - 0.05)."""
    ratio = 1095 / (1095 - 0.05)
    premium = rate_units(str(round(ratio - 1, 8)))
    no_interest = f.funding_rate(premium, 0, 0, rate_units("0.003"))
    assert 1095 * no_interest / RATE_ONE == pytest.approx(0.05 * ratio, rel=3e-4)
    # Equal prices are fair only where the interest term alone pays it: 0.01 % each 8 hours are 10.95 % a year.
    assert 1095 * f.funding_rate(0, 10_000, 50_000, 300_000) == rate_units("0.1095")


@given(st.integers(-(10**17), 10**17), st.integers(-300_000, 300_000))
def test_funding_is_rounded_against_both_sides(value, rate):
    paid, received = f.funding_payment(value, rate), -f.funding_payment(-value, rate)
    assert 0 <= paid - received <= 1
    assert received <= Fraction(value * rate, RATE_ONE) <= paid


def test_deleveraging_score():
    # 50 % profit on the wallet, margin ratio 10 / 150
    assert f.adl_score(50 * MICRO, 100 * MICRO, 10 * MICRO) == Fraction(1, 2) * Fraction(10, 150)
    assert f.adl_score(-1, 100 * MICRO, 10 * MICRO) == 0
    assert f.adl_score(5 * MICRO, -5 * MICRO, 10 * MICRO) == 0
    # a wallet below one coin counts as one
    assert f.adl_score(2 * MICRO, 0, MICRO) == Fraction(2, 1) * Fraction(1, 2)


def test_treasury_company():
    ltv = Fraction(1, 2)
    assert f.treasury_trigger_price(10_000, 400_000_000, ltv) == 80_000
    sold = f.treasury_coins_to_sell(10_000, 400_000_000, ltv, 70_000)
    assert float(sold) == pytest.approx(1428.571, abs=1e-3)
    left_debt = 400_000_000 - sold * 70_000
    assert left_debt / ((10_000 - sold) * 70_000) == ltv
    assert f.treasury_coins_to_sell(10_000, 400_000_000, ltv, 80_000) == 0
    assert f.treasury_coins_to_sell(10_000, 400_000_000, ltv, 30_000) == 10_000
    assert float(f.coins_per_share_factor(Fraction(2), Fraction(1, 10))) == pytest.approx(1.0909, abs=1e-4)
    assert float(f.coins_per_share_factor(Fraction(4, 5), Fraction(1, 10))) == pytest.approx(0.9818, abs=1e-4)
