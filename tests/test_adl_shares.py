"""Pro rata, capped and socialised rules: exact shares; the theory of haircuts; money is conserved."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abm.clearing.adl import (
    RULES,
    CappedProRata,
    Holders,
    ProRata,
    SocialisedLoss,
    check_allocation,
    deleveraging_rule,
)
from abm.clearing.adl.haircuts import (
    capped_haircut,
    insurance_needed,
    pro_rata_haircut,
    queue_haircut,
    shares_kept,
    water_level,
)
from abm.clearing.adl.shares import exact_shares, mul_div, sum_of
from abm.units import MICRO, RATE_ONE
from tests.test_adl import winners

W = np.array([100, 60, 40]) * MICRO
H = 50 * MICRO
amounts = st.lists(
    st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=30
) | st.lists(st.tuples(st.integers(0, 10**14), st.integers(0, 10**16)), min_size=1, max_size=30)  # fmt: skip


def exact_level(total, weights, caps):
    """The shares before rounding, by bisection over the breakpoints; Fractions."""
    live = [(Fraction(c, w), w, c) for w, c in zip(weights, caps, strict=True) if w > 0 and c > 0]
    left, whole = Fraction(total), sum(w for _, w, _ in live)
    for level, w, c in sorted(live):
        if left <= level * whole:
            return left / whole
        left, whole = left - c, whole - w
    return None


@given(amounts, st.integers(0, 10**17))
def test_shares_are_the_water_level_rounded(pairs, total):
    weights, caps = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    shares = exact_shares(total, weights, caps)
    room = sum(int(c) for w, c in pairs if w > 0)
    assert sum_of(shares) == min(total, room)
    assert np.all((shares >= 0) & (shares <= caps))
    assert not shares[weights == 0].any()
    level = exact_level(total, *zip(*pairs, strict=True))
    for (w, c), share in zip(pairs, shares.tolist(), strict=True):
        want = Fraction(0) if w == 0 else Fraction(c) if level is None else min(level * w, Fraction(c))
        assert abs(share - want) < 1


@given(
    st.lists(
        st.tuples(st.integers(0, 2**61), st.integers(0, 2**61), st.integers(1, 2**62 - 1)), min_size=1, max_size=20
    ),
    st.integers(0, 61),
)
def test_quotients_are_exact_on_both_paths(rows, shift):
    """Factors shifted down take the fast path, large ones that of Python's integers."""
    rows = [(a, b >> shift, max(d, b >> shift, 1)) for a, b, d in rows]
    amounts, factor, divisor = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    quotient, rest = mul_div(amounts, factor, divisor)
    assert list(zip(quotient.tolist(), rest.tolist(), strict=True)) == [divmod(a * b, d) for a, b, d in rows]
    total = sum(d for *_, d in rows)
    quotient, _ = mul_div(divisor, int(factor[0]), total)
    assert quotient.tolist() == [d * int(factor[0]) // total for *_, d in rows]


def test_the_largest_remainders_are_rounded_up_and_ties_go_by_row():
    wide = np.full(3, 10**9)
    assert exact_shares(10, np.array([1, 1, 1]), wide).tolist() == [4, 3, 3]
    assert exact_shares(10, np.array([5, 7, 9]), wide).tolist() == [3, 3, 4]  # remainders 8, 7 and 6 of 21
    assert exact_shares(11, np.array([1, 1, 1]), wide).tolist() == [4, 4, 3]
    assert exact_shares(-5, np.array([1, 1]), np.array([9, 9])).tolist() == [0, 0]
    assert exact_shares(7, np.zeros(0, np.int64), np.zeros(0, np.int64)).size == 0


# --- haircuts in money ------------------------------------------------------------------------------------------------
def test_queue_against_pro_rata():
    """Chitra 2025: under pro rata the top winner keeps H (1 - w1/U) more than in the queue, while H <= w1."""
    queue, even = queue_haircut(W, H), pro_rata_haircut(W, H)
    assert (queue // MICRO).tolist() == [50, 0, 0]
    assert (even // MICRO).tolist() == [25, 15, 10]
    kept = shares_kept(W, even)[0], shares_kept(W, queue)[0]
    assert kept == (75 * MICRO, 50 * MICRO)
    assert Fraction(int(kept[0] - kept[1])) == H * (1 - Fraction(100, 200))


def test_water_filling():
    caps = np.array([RATE_ONE // 5, RATE_ONE, RATE_ONE])
    assert water_level(W, caps, H) == Fraction(3, 10)
    assert (capped_haircut(W, caps, H) // MICRO).tolist() == [20, 18, 12]
    # caps that do not suffice: everybody is at the cap, and the fund pays what is missing
    low = np.full(3, RATE_ONE // 10)
    assert water_level(W, low, H) == 1
    assert (capped_haircut(W, low, H) // MICRO).tolist() == [10, 6, 4]
    assert insurance_needed(H, capped_haircut(W, low, H)) == 30 * MICRO


def test_splitting_an_account_pays_in_the_queue_only():
    split = np.array([10] * 10 + [60, 40]) * MICRO
    queue = queue_haircut(split, H)
    assert queue[:10].sum() == 0
    assert queue[10] == H, "the hit moves to the 60"
    assert pro_rata_haircut(split, H)[:10].sum() == pro_rata_haircut(W, H)[0] == 25 * MICRO
    caps = np.array([RATE_ONE // 5] * 10 + [RATE_ONE] * 2)
    assert capped_haircut(split, caps, H)[:10].sum() == 20 * MICRO


@given(
    st.lists(st.tuples(st.integers(-100, 10**12), st.integers(1, RATE_ONE)), min_size=1, max_size=40),
    st.integers(0, 10**13),
)
def test_deficit_is_haircuts_plus_insurance(pairs, deficit):
    profits, caps = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    for lost in queue_haircut(profits, deficit), pro_rata_haircut(profits, deficit), capped_haircut(
        profits, caps, deficit
    ):  # fmt: skip
        assert np.all((lost >= 0) & (lost <= np.maximum(profits, 0)))
        rest = insurance_needed(deficit, lost)
        assert rest >= 0
        assert sum_of(lost) + rest == deficit
        assert sum_of(shares_kept(profits, lost)) + sum_of(lost) == sum_of(np.maximum(profits, 0))


# --- lots -------------------------------------------------------------------------------------------------------------
@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.integers(-5, 40_000), st.sampled_from(sorted(RULES)))
def test_no_rule_breaks_what_holds_for_all(seed, count, needed, name):
    rng = np.random.default_rng(seed)
    profits = rng.integers(-5, 50, count) * rng.integers(1, 10**6, count)
    who = winners(profits, sizes=rng.integers(1, 200, count), wallets=rng.integers(-9, 10**6, count))
    rule = deleveraging_rule(name)
    lots = rule.allocate(needed, who)
    assert lots.dtype == np.int64
    if rule.moves == "positions":
        check_allocation(needed, who, lots)
    else:
        assert not lots.any()


def test_pro_rata_takes_lots_by_profit():
    who = winners([100, 60, 40, -10], sizes=[1000, 1000, 1000, 1000])
    for rule in ProRata(), CappedProRata():
        assert rule.allocate(500, who).tolist() == [250, 150, 100, 0]
        assert rule.allocate(501, who).tolist() == [251, 150, 100, 0]  # of .5, .3 and .2 the largest


def test_what_does_not_fit_goes_around_again():
    """The first has 50 lots only; pro rata asks the others again by the profit still open, water-filling by all."""
    who = winners([100, 60, 40], sizes=[50, 1000, 60])
    assert CappedProRata().allocate(200, who).tolist() == [50, 90, 60]
    # 200 -> 100, 60, 40, of which 50 are missing; profits left 60 * 940 / 1000 and 40 * 20 / 60 -> 40 : 10 of 50
    lots = ProRata().allocate(200, who)
    assert lots.tolist() == [50, 60 + 40, 40 + 10]
    assert ProRata().allocate(1_110, who).tolist() == CappedProRata().allocate(5_000, who).tolist() == [50, 1000, 60]


def test_a_profit_share_caps_first_and_gives_way_only_when_all_are_at_it():
    who = winners([100, 60, 40], sizes=[100, 100, 100])
    half = CappedProRata(profit_share=RATE_ONE // 2)
    assert half.allocate(120, who).tolist() == [50, 42, 28]
    assert half.allocate(150, who).tolist() == [50, 50, 50]
    assert half.allocate(200, who).tolist() == [75, 65, 60]
    assert CappedProRata().allocate(120, who).tolist() == [60, 36, 24]
    for share in 0, RATE_ONE + 1:
        with pytest.raises(ValueError, match="profit share"):
            CappedProRata(profit_share=share)


def test_splitting_an_account_changes_nothing_pro_rata():
    whole = winners([100, 60, 40], sizes=[100, 600, 400])
    split = winners([10] * 10 + [60, 40], sizes=[10] * 10 + [600, 400])
    for rule in ProRata(), CappedProRata():
        for needed in (50, 120, 400, 900):
            one, ten = rule.allocate(needed, whole), rule.allocate(needed, split)
            # each piece may be rounded by one lot
            assert abs(int(ten[:10].sum()) - int(one[0])) <= 10


def test_unknown_rules_are_named():
    with pytest.raises(ValueError, match=r"'fifo'.*hyperliquid-queue"):
        deleveraging_rule("fifo")
    assert list(RULES) == [
        "binance-queue", "bybit-queue", "hyperliquid-queue", "pro-rata", "capped-pro-rata", "socialised", "none",
    ]  # fmt: skip
    assert deleveraging_rule("binance-queue", 10**8).one == 10**8


# --- socialised -------------------------------------------------------------------------------------------------------
def test_a_loss_is_charged_by_open_interest_up_to_the_equity():
    holders = Holders(np.arange(4), np.array([10, 30, 60, 100]), np.array([10**6, 100, 10**6, -5]))
    rule = SocialisedLoss()
    assert rule.charges(0, holders).tolist() == [0, 0, 0, 0]
    assert rule.charges(70, holders).tolist() == [7, 21, 42, 0]
    assert rule.charges(71, holders).tolist() == [7, 21, 43, 0]
    # the second can pay 100 of its 300; the other two bear the rest 1 : 6
    assert rule.charges(800, holders).tolist() == [100, 100, 600, 0]
    assert rule.charges(10**9, holders).tolist() == [10**6, 100, 10**6, 0]
    flat = Holders(np.arange(2), np.array([0, 5]), np.array([10**6, 10**6]))
    assert rule.charges(900, flat).tolist() == [0, 900], "who has no position never pays"
