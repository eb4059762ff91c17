"""Money, rates and time as integers.

Prices are integer ticks, quantities integer lots, balances int64 units of an asset (micro-dollars for USDT, satoshi for
BTC). A rate is an integer in units of 1e-8 (`RATE_ONE` is 100 %). Every division states its rounding.
"""

from __future__ import annotations

from decimal import Decimal

from abm.compiled import scalar

MICRO = 1_000_000
"""Micro-dollars in a dollar."""
SATOSHI = 100_000_000
"""Satoshi in a bitcoin."""
RATE_ONE = 100_000_000
"""A rate of 1 (100 %). One unit is 1e-8."""
COLLATERAL_UNITS = 10_000_000
"""Units of an asset whose worth as collateral is stated: few enough that products fit, enough to be exact."""
INT64_MAX = 9_223_372_036_854_775_807
MAX_LOTS = 3_000_000_000
"""Largest position in lots: its square stays inside int64, as `mul_div_floor` needs."""

BEYOND_ANY_PRICE = 1_000_000_000
"""Ticks; times `MAX_LOTS` it still fits int64."""


def rate_units(value: float | str | Decimal) -> int:
    """Fixed-point rate of a decimal number, e.g. "0.0005" -> 50_000. Refuses what 1e-8 cannot express."""
    exact = Decimal(str(value)) * RATE_ONE
    units = int(exact)
    if exact != units:
        raise ValueError(f"rate {value} needs more than 8 decimals; round it to a multiple of 1e-8")
    return units


@scalar
def mul_div_floor(amount: int, factor: int, divisor: int) -> int:
    """floor(amount * factor / divisor) without overflow.

    Needs divisor > 0, 0 <= factor and divisor * factor < 2**63; the result must fit int64.
    """
    whole = amount // divisor
    rest = amount - whole * divisor
    return whole * factor + rest * factor // divisor


@scalar
def mul_div_trunc(amount: int, factor: int, divisor: int) -> int:
    """Product `amount * factor / divisor` rounded toward zero; same limits as `mul_div_floor`."""
    if amount >= 0:
        return mul_div_floor(amount, factor, divisor)
    return -mul_div_floor(-amount, factor, divisor)


@scalar
def at_rate_floor(amount: int, rate: int) -> int:
    """floor(amount * rate): what an account receives. `rate` may be negative (rebates, funding)."""
    if rate >= 0:
        return mul_div_floor(amount, rate, RATE_ONE)
    return -at_rate_ceil_positive(amount, -rate)


@scalar
def at_rate_ceil_positive(amount: int, rate: int) -> int:
    """ceil(amount * rate) for rate >= 0: what an account owes (fees, margin)."""
    return -mul_div_floor(-amount, rate, RATE_ONE)


@scalar
def at_rate_ceil(amount: int, rate: int) -> int:
    """ceil(amount * rate) for any sign of rate; a negative rate is a rebate, rounded against the account."""
    if rate >= 0:
        return at_rate_ceil_positive(amount, rate)
    return -mul_div_floor(amount, -rate, RATE_ONE)


@scalar
def signed_value(lots: int, price_ticks: int, tick_value: int, inverse: int) -> int:
    """Value of signed lots at a price, in settlement units.

    Linear (`inverse` 0): lots * price * tick_value, exact. Inverse, settled in the coin: minus inverse * |lots| / price
    for a long, plus for a short, the quotient rounded toward zero once, where `inverse` is settlement units times ticks
    a lot. In both a long gains when the price rises, and value at the mark minus the signed entry cost is the profit.
    """
    if inverse == 0:
        return lots * price_ticks * tick_value
    if lots >= 0:
        return -mul_div_floor(inverse, lots, price_ticks)
    return mul_div_floor(inverse, -lots, price_ticks)


@scalar
def inverse_price(lots: int, most_units: int, inverse: int) -> int:
    """Lowest price in ticks at which `lots` (positive) of an inverse contract are worth at most `most_units` (>= 0).

    Exact up to `BEYOND_ANY_PRICE`, which it returns where the price would be higher.
    """
    guess = inverse / (most_units + 1.0) * lots
    if guess >= BEYOND_ANY_PRICE:
        return BEYOND_ANY_PRICE
    price = max(int(guess), 1)
    while mul_div_floor(inverse, lots, price) > most_units:
        price += 1
    while price > 1 and mul_div_floor(inverse, lots, price - 1) <= most_units:
        price -= 1
    return price
