"""Coin-margined contracts: values, liquidation and bankruptcy prices against exact fractions, through the kernels."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abm.units import BEYOND_ANY_PRICE, inverse_price, signed_value

CONTRACT = 100 * 10 * 10**8
"""A $100 contract with a tick of $0.1 in satoshi: settlement units times ticks."""

lots = st.integers(1, 2_000_000)
prices = st.integers(1_000, 20_000_000)


@given(lots, prices)
def test_value_of_an_inverse_position(size: int, price: int) -> None:
    """Minus the coins for a long, plus for a short, rounded toward zero once; a long gains when the price rises."""
    coins = Fraction(CONTRACT * size, price)
    long = signed_value(size, price, 1, CONTRACT)
    assert long == -(coins.numerator // coins.denominator) == -signed_value(-size, price, 1, CONTRACT)
    assert signed_value(size, price + 1, 1, CONTRACT) >= long


@given(lots, st.integers(0, 10**15))
def test_price_at_which_a_position_is_worth_so_many_coins(size: int, coins: int) -> None:
    """`inverse_price` is the lowest price with a value of at most `coins`, to the tick."""
    price = inverse_price(size, coins, CONTRACT)
    if price < BEYOND_ANY_PRICE:
        assert CONTRACT * size // price <= coins
        assert price == 1 or CONTRACT * size // (price - 1) > coins
    else:
        assert CONTRACT * size // (BEYOND_ANY_PRICE - 1) >= coins


@pytest.mark.parametrize(("leverage", "long"), [(5, 5 / 6), (10, 10 / 11), (50, 50 / 51)])
def test_bankruptcy_price_of_an_inverse_contract(leverage: int, long: float) -> None:
    """O2: p0 L / (L + 1) for a long, p0 L / (L - 1) for a short."""
    start, size = 1_000_000, 10_000
    cost = signed_value(size, start, 1, CONTRACT)
    margin = abs(cost) // leverage
    assert inverse_price(size, margin - cost, CONTRACT) == pytest.approx(start * long, abs=1.5)
    short = inverse_price(size, -cost - margin - 1, CONTRACT) - 1
    assert short == pytest.approx(start * leverage / (leverage - 1), abs=1.5)


def test_values_by_arrays_equal_the_scalar() -> None:
    """`Markets.value` and `units.signed_value` are the same rule."""
    from tests.venue_world import VenueWorld, preset

    markets = VenueWorld(1, preset()).markets
    markets.inverse[0] = CONTRACT
    rng = np.random.default_rng(5)
    for market in (0, 1):
        size, price = rng.integers(-2_000_000, 2_000_000, 500), rng.integers(1_000, 3_000_000, 500)
        facts = int(markets.tick_value[market]), int(markets.inverse[market])
        expected = [signed_value(int(n), int(p), *facts) for n, p in zip(size, price, strict=True)]
        assert markets.value(market, size, price).tolist() == expected
