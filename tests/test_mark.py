"""Index and mark price."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abm.clearing.mark import (
    BASIS_AVERAGED,
    FUNDING_ADJUSTED,
    LAST_PRICE,
    MedianMark,
    median,
    spot_index_ticks,
    tick_ratio,
)
from abm.units import rate_units


@given(*[st.integers(-5, 5)] * 3)
def test_median_is_the_middle_one(a, b, c):
    assert median(a, b, c) == sorted([a, b, c])[1]


def test_index_is_converted_to_ticks_of_the_perpetual():
    ratio = tick_ratio(1, 10_000, 100, 100_000)
    assert Fraction(*ratio) == Fraction(1, 10)
    assert spot_index_ticks(11_682_990, 11_683_000, 11_683_010, *ratio) == 1_168_300
    assert spot_index_ticks(11_683_004, 1, 11_683_100, *ratio) == 1_168_300
    assert spot_index_ticks(11_683_005, 1, 11_683_100, *ratio) == 1_168_301  # halves up


def test_index_with_an_empty_side_is_the_last_price():
    assert spot_index_ticks(0, 100, 500) == 100
    assert spot_index_ticks(50, 100, 0) == 100
    assert spot_index_ticks(99, 0, 102) == 101
    with pytest.raises(ValueError, match="no spot price"):
        spot_index_ticks(0, 0, 102)


def test_funding_term_fades_toward_the_payment():
    rate = rate_units("0.003")
    for hours_gone, expected in ((0, 1003), (4, 1002), (7, 1000)):
        mark = MedianMark().update(hours_gone * 3_600_000, 1000, 999, 1001, 1000, rate)
        assert mark.inputs == (expected, 1000, 1000)


def test_ties_name_the_last_price_first():
    assert MedianMark().update(0, 1000, 999, 1001, 1000, 0).selected == LAST_PRICE
    assert MedianMark().update(0, 1000, 999, 1001, 1200, 0) == (1000, BASIS_AVERAGED, (1000, 1000, 1200))
    assert MedianMark().update(0, 1000, 1100, 1100, 1050, 0) == (1050, LAST_PRICE, (1000, 1100, 1050))
    assert MedianMark().update(0, 1000, 900, 900, 1200, 0) == (1000, FUNDING_ADJUSTED, (1000, 900, 1200))


def test_mark_follows_a_dislocated_book_within_thirty_samples():
    rule = MedianMark()
    for second in range(30):
        rule.update(second * 1000, 1000, 1000, 1000, 1000, 0)
    averages = []
    for second in range(30, 62):
        mark = rule.update(second * 1000, 1000, 700, 700, 500, 0)
        averages.append(mark.inputs[BASIS_AVERAGED])
    assert averages == [1000 - 10 * min(n, 30) for n in range(1, 33)]
    assert mark.selected == BASIS_AVERAGED


def test_rounds_within_a_second_add_no_sample_and_long_ticks_add_several():
    rule = MedianMark(points=4)
    rule.update(0, 1000, 1000, 1000, 1000, 0)
    for round_number in range(20):
        rule.update(500 + round_number, 1000, 500, 500, 500, 0)
    assert rule.basis_ticks == 0
    rule.update(3000, 1000, 900, 900, 900, 0)
    assert rule.basis_ticks == -75
    rule.update(600_000, 1000, 800, 800, 800, 0)
    assert rule.basis_ticks == -200


def test_average_keeps_half_ticks_and_empty_sides_use_the_last_price():
    rule = MedianMark(points=2)
    rule.update(0, 1000, 1000, 1001, 1000, 0)
    rule.update(1000, 1000, 1001, 1002, 1000, 0)
    assert rule.basis_ticks == 1  # (0.5 + 1.5) / 2
    assert MedianMark().update(0, 1000, 0, 1001, 990, 0).inputs[BASIS_AVERAGED] == 990
