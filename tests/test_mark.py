"""Index and mark price."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abm.clearing.mark import (
    BASIS_AVERAGED,
    BOOK_AVERAGED,
    BOOK_MEDIAN,
    FUNDING_ADJUSTED,
    INDEX_PRICE,
    LAST_PRICE,
    OTHER_VENUES,
    BasisMark,
    IndexMark,
    LastMark,
    MedianMark,
    OracleMark,
    mark_rule,
    median,
    price_ratio,
    spot_index_ticks,
    tick_ratio,
    weighted_average,
    weighted_median,
)
from abm.units import rate_units
from abm.venues.preset import MarkRules, load_preset, preset_names


@given(*[st.integers(-5, 5)] * 3)
def test_median_is_the_middle_one(a, b, c):
    assert median(a, b, c) == sorted([a, b, c])[1]


def test_index_is_converted_to_ticks_of_the_perpetual():
    ratio = tick_ratio(1, 10_000, 100, 100_000)
    assert Fraction(*ratio) == Fraction(1, 10)
    assert spot_index_ticks(11_682_990, 11_683_000, 11_683_010, *ratio) == 1_168_300
    assert spot_index_ticks(11_683_004, 1, 11_683_100, *ratio) == 1_168_300
    assert spot_index_ticks(11_683_005, 1, 11_683_100, *ratio) == 1_168_301  # halves up


def test_ratio_of_ticks_holds_for_contracts_of_any_size():
    assert price_ratio("0.01", "0.1") == (1, 10)
    assert price_ratio("0.01", "5") == (1, 500)
    assert price_ratio("1", "0.25") == (4, 1)
    assert Fraction(*price_ratio("0.01", "0.1")) == Fraction(*tick_ratio(1, 10_000, 100, 100_000))


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 5)), min_size=1, max_size=8))
def test_weighted_median_is_the_median_of_repeated_prices(pairs):
    prices, weights = zip(*pairs, strict=True)
    repeated = sorted(price for price, weight in pairs for _ in range(weight))
    assert weighted_median(prices, weights) == repeated[(len(repeated) - 1) // 2]
    assert abs(weighted_average(prices, weights) - sum(repeated) / len(repeated)) <= 0.5


def test_one_venue_cannot_move_an_oracle_alone():
    """Weights 3, 2, 2: the heaviest venue far off leaves the median with the others."""
    assert weighted_median([90, 100, 101], [3, 2, 2]) == 100
    assert weighted_average([90, 100, 101], [3, 2, 2]) == 96
    for one in (weighted_median, weighted_average):
        with pytest.raises(ValueError, match="positive weight"):
            one([], [])


def test_index_with_an_empty_side_is_the_last_price():
    assert spot_index_ticks(0, 100, 500) == 100
    assert spot_index_ticks(50, 100, 0) == 100
    assert spot_index_ticks(99, 0, 102) == 101
    assert spot_index_ticks(1, 1, 2, 1, 10) == 1  # never zero: nothing could be divided by it
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


# --- other rules ------------------------------------------------------------------------------------------------------
def test_oracle_takes_the_median_of_its_three_inputs():
    """The published example: oracle 10,000, its average basis +20, a median of the book near 10,005."""
    rule = OracleMark()
    for second in range(600):
        mark = rule.update(3000 * second, 100_000, 100_150, 100_250, 100_050, 0, 100_080)
    assert mark.inputs == (100_150, 100_200, 100_080) and mark == (100_150, BOOK_MEDIAN, mark.inputs)
    assert rule.update(1_800_000, 100_000, 100_150, 100_250, 100_050, 0, 100_180).selected == OTHER_VENUES
    assert OracleMark().update(0, 1000, 900, 0, 1100, 0, 1050) == (1100, BOOK_MEDIAN, (1100, 1100, 1050))


def test_oracle_alone_uses_an_average_of_the_book_instead_of_other_venues():
    rule = OracleMark()
    rule.update(0, 1000, 999, 1001, 1000, 0)
    mark = rule.update(3000, 1000, 799, 801, 800, 0)
    book = 1000 + (800 - 1000) * (1 - 30 * math.exp(-0.1) / (30 * math.exp(-0.1) + 3))
    assert mark.inputs[2] == round(book) and mark.inputs[0] == 800
    assert mark.selected == BOOK_AVERAGED
    assert not mark.follows_index


@given(st.lists(st.tuples(st.integers(1, 9000), st.integers(-300, 300)), min_size=1, max_size=40))
def test_exponential_average_is_the_published_sum(steps):
    """num <- num * exp(-t / 150 s) + x * t and den likewise, from a first value that has stood for ever."""
    rule, now, num, den = OracleMark(), 0, 0.0, 0.0
    for n, (elapsed, basis) in enumerate([(0, 0), *steps]):
        now += elapsed
        weight = elapsed if n else 150_000
        kept = math.exp(-elapsed / 150_000) if n else 0.0
        num, den = num * kept + basis * weight, den * kept + weight
        mark = rule.update(now, 1_000_000, 1_000_000 + basis, 1_000_000 + basis, 1_000_000, 0)
        assert abs(mark.inputs[1] - 1_000_000 - num / den) <= 0.5 + 1e-6


def test_rounds_at_the_same_instant_leave_the_average_alone():
    rule = OracleMark()
    rule.update(5000, 1000, 1000, 1000, 1000, 0)
    for _ in range(20):
        mark = rule.update(5000, 1000, 500, 500, 500, 0)
    assert mark.inputs == (500, 1000, 1000)


def test_basis_mark_is_index_plus_average():
    rule = BasisMark(points=2)
    assert rule.update(0, 1000, 1010, 1010, 1, 0) == (1010, BASIS_AVERAGED, (1010,))
    assert rule.update(1000, 1000, 1020, 1020, 1, 0).ticks == 1015
    assert rule.update(2000, 1100, 1120, 1120, 1, 0).ticks == 1120


def test_index_and_last_are_themselves():
    assert IndexMark().update(0, 1000, 1, 2, 900, 0) == (1000, INDEX_PRICE, (1000,))
    assert IndexMark().update(0, 1000, 1, 2, 900, 0).follows_index
    assert LastMark().update(0, 1000, 1, 2, 900, 0) == (900, LAST_PRICE, (1000, 1000, 900))
    assert MedianMark().update(0, 1000, 900, 900, 1200, 0).follows_index


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        ("median-basis-average", MedianMark),
        ("median-oracle-ema", OracleMark),
        ("index-basis-average", BasisMark),
        ("index", IndexMark),
        ("last", LastMark),
    ],
)
def test_rules_by_name(rule, kind):
    assert type(mark_rule(MarkRules(rule=rule))) is kind


@pytest.mark.parametrize("name", preset_names())
def test_a_quiet_book_is_marked_at_its_price_by_every_venue(name):
    for market in load_preset(name).perpetual:
        rule = mark_rule(market.mark, market.funding.interval_h if market.funding else 8)
        for second in range(400):
            mark = rule.update(second * 1000, 10_000, 9_999, 10_001, 10_000, 0, 10_000)
        assert mark.ticks == 10_000


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("binance-2025-10", 15), ("bybit-2025-10", 150), ("okx-2025-10", 30), ("hyperliquid-2025-10", 0)],
)
def test_how_fast_a_mark_follows_its_own_book(name, seconds):
    """Seconds until the mark has come half of the way to a book and trades 10 % below an index that stays."""
    (market,) = load_preset(name).perpetual
    rule = mark_rule(market.mark)
    for second in range(1200):
        rule.update(second * 1000, 10_000, 10_000, 10_000, 10_000, 0)
    marks = [rule.update((1200 + n) * 1000, 10_000, 9_000, 9_000, 9_000, 0).ticks for n in range(1200)]
    half = next(n for n, ticks in enumerate(marks, 1) if ticks <= 9_500)
    # alone, an oracle mark has two inputs from its own book: the slower, a 30-s average, is the median
    expected = seconds or math.ceil(30 * math.log(2)) + 1
    assert abs(half - expected) <= 2
