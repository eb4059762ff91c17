"""Funding: sampling by clock, due times, and payments that sum to zero exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abm.clearing import formulas
from abm.clearing.funding import FundingClock, pay, premium_index
from abm.state import CROSS, FUND, FUNDING_REMAINDER, ISOLATED, Accounts
from abm.units import rate_units
from abm.venues.preset import build_markets, load_preset

pytestmark = pytest.mark.kernels

HOUR = 3_600_000


def test_premium_counts_only_what_lies_beyond_the_index():
    assert premium_index(1001.0, 1002.0, 1000) == rate_units("0.001")
    assert premium_index(990.0, 998.0, 1000) == rate_units("-0.002")
    assert premium_index(999.0, 1001.0, 1000) == 0
    assert premium_index(math.nan, 998.0, 1000) == rate_units("-0.002")
    assert premium_index(math.nan, math.nan, 1000) == 0
    assert premium_index(1000.5004, 1002.0, 1000) == premium_index(1000.5, 1002.0, 1000)


def test_samples_advance_by_clock():
    clock = FundingClock(0, linear=False)
    clock.sample(4_999, 2000.0, 2000.0, 1000)
    assert clock.average_premium == 0
    clock.sample(5_000, 1001.0, 1001.0, 1000)
    clock.sample(5_001, 2000.0, 2000.0, 1000)
    assert clock.average_premium == rate_units("0.001")
    clock.sample(20_000, 1003.0, 1003.0, 1000)  # three periods have begun
    assert clock.average_premium == rate_units("0.0025")


def test_linear_weights_count_late_samples_more():
    clock, by_one = FundingClock(0), FundingClock(0)
    for n in range(1, 5):
        by_one.sample(5_000 * n, 1000.0 + n, 1000.0 + n, 1000)
    expected = sum(n * n for n in range(1, 5)) / 10 / 1000
    assert by_one.average_premium == rate_units(str(expected))
    clock.preload(rate_units("0.001"), 3)
    clock.sample(5_000, 1002.0, 1002.0, 1000)
    assert clock.average_premium == (6 * rate_units("0.001") + 4 * rate_units("0.002")) // 10


def test_due_at_midnight_eight_and_sixteen():
    clock = FundingClock(15 * HOUR)
    assert not clock.due(16 * HOUR - 1)
    with pytest.raises(ValueError, match="due"):
        clock.settle(16 * HOUR - 1)
    assert clock.due(16 * HOUR)
    clock.sample(16 * HOUR, 1010.0, 1010.0, 1000)
    assert clock.indicated_bp_8h == pytest.approx(30)
    assert clock.settle(16 * HOUR) == clock.last_rate == rate_units("0.003")  # capped
    assert not clock.due(24 * HOUR - 1) and clock.due(24 * HOUR)
    assert clock.average_premium == 0
    assert clock.indicated_rate == rate_units("0.0001")


def hourly(**changes):
    terms = {"cap": rate_units("0.32"), "interval_h": 1, "linear": False, **changes}
    return FundingClock(15 * HOUR, **terms)


def test_hourly_funding_pays_an_eighth_each_hour():
    clock = hourly()
    for second in range(5, 3601, 5):
        clock.sample(15 * HOUR + second * 1000, 10_100.0, 10_110.0, 10_000)
    assert clock.average_premium == rate_units("0.01")
    assert clock.due(16 * HOUR) and not clock.due(16 * HOUR - 1)
    assert clock.settle(16 * HOUR) == rate_units("0.0011875")  # (1 % - 0.05 %) / 8
    assert clock.indicated_bp_8h == pytest.approx(1.0)
    assert clock.due(17 * HOUR) and clock.settle(17 * HOUR) == 1_250


def test_hourly_funding_is_capped_at_four_percent_an_hour():
    clock = hourly()
    clock.sample(16 * HOUR, 14_000.0, 14_000.0, 10_000)
    assert clock.settle(16 * HOUR) == rate_units("0.04")
    clock.sample(17 * HOUR, 6_000.0, 6_000.0, 10_000)
    assert clock.settle(17 * HOUR) == -rate_units("0.04")


@pytest.mark.parametrize(
    ("name", "calm", "capped"),
    [
        ("binance-2025-10", "0.0001", "0.003"),
        ("bybit-2025-10", "0.0001", "0.00375"),
        ("hyperliquid-2025-10", "0.0000125", "0.04"),
        ("okx-2025-10", "0.0003", "0.00375"),
    ],
)
def test_funding_of_every_venue(name, calm, capped):
    """What a premium of 0.03 % and one of 50 % cost in an interval."""
    rules = load_preset(name).perpetual[0].funding
    found = [
        formulas.funding_rate(
            rate_units(premium),
            rate_units(rules.interest),
            rate_units(rules.clamp),
            rate_units(rules.cap),
            rules.interval_h,
        )
        for premium in ("0.0003", "0.5")
    ]
    assert found == [rate_units(calm), rate_units(capped)]


@given(st.integers(0, 2**32 - 1), st.integers(-300_000, 300_000), st.integers(1, 2_000_000))
def test_payments_sum_to_zero_and_round_against_everybody(seed, rate, mark):
    rng = np.random.default_rng(seed)
    markets, accounts = build_markets([load_preset("binance-2025-10")]), Accounts.empty(30, 2, 1)
    accounts.mode[:] = rng.integers(0, 2, 30)
    accounts.kind[-2:] = FUND, FUNDING_REMAINDER
    accounts.mode[-2:] = CROSS
    accounts.position[0, :28] = rng.integers(-1_000_000, 1_000_000, 28) * rng.integers(0, 2, 28)
    accounts.position[0, 28] = -accounts.position[0].sum()
    accounts.venue[3] = 1
    accounts.position[0, 28] += accounts.position[0, 3]
    accounts.cash[0], accounts.margin[0] = 10**12, 10**11
    before = accounts.cash[0].astype(object), accounts.margin[0].astype(object)
    result = pay(markets, accounts, 1, mark, rate, 29)
    assert accounts.cash[0].sum() + accounts.margin[0].sum() == sum(before[0]) + sum(before[1])
    assert result.paid == result.received + result.remainder
    assert 0 <= result.remainder < 30
    for row in range(29):
        lots = int(accounts.position[0, row]) if row != 3 else 0
        due = formulas.funding_payment(lots * mark * 100, rate)
        isolated = accounts.mode[row] == ISOLATED
        assert before[0][row] - accounts.cash[0, row] == (0 if isolated else due)
        assert before[1][row] - accounts.margin[0, row] == (due if isolated else 0)
        assert accounts.touched[row] == (lots != 0)
    assert accounts.cash[0, 29] == before[0][29] + result.remainder
