"""Margin, liquidation, funding and deleveraging rules as exact arithmetic on Python integers.

Kernels do the same sums on arrays; these functions document them and serve as their tests' reference. Money is in units
of the settlement asset (micro-dollars), prices in ticks, sizes in lots, rates in 1e-8 (`units.RATE_ONE`), positions
signed. What an account owes is rounded up, what it receives down.

Sources: Binance's published rules for USD-margined contracts (margin tiers, liquidation protocol, ADL, funding),
collected with their addresses in the venue preset.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from abm.units import RATE_ONE

EIGHT_HOURS = 8
"""Hours to which quoted funding rates refer."""


class Tier(NamedTuple):
    """A margin bracket: applies to notional values from `floor` up to the next bracket's."""

    floor: int
    """Settlement units."""
    rate: int
    """Maintenance rate, 1e-8."""
    amount: int
    """Settlement units taken off, so that maintenance is continuous."""
    leverage: int
    """Highest whole-number leverage."""


def ceil_div(numerator: int, denominator: int) -> int:
    """Quotient rounded up; the denominator must be positive."""
    return -(-numerator // denominator)


def round_div(numerator: int, denominator: int) -> int:
    """Quotient rounded to the nearest integer, halves up; the denominator must be positive."""
    return (2 * numerator + denominator) // (2 * denominator)


# --- values and margins -----------------------------------------------------------------------------------------------
def trade_value(price_ticks: int, size_lots: int, tick_value: int) -> int:
    """Value of a trade or position, price * size * tick_value: exact, and signed like `size_lots`."""
    return price_ticks * size_lots * tick_value


def initial_margin(value: int, leverage: int) -> int:
    """Margin to open a position of this value (either sign), |value| / leverage rounded up.

    Raises ValueError where leverage is no whole number from 1.
    """
    if leverage < 1:
        raise ValueError(f"leverage must be a whole number from 1, not {leverage}")
    return ceil_div(abs(value), leverage)


def maintenance_amounts(floors: Sequence[int], rates: Sequence[int]) -> list[int]:
    """Amounts that make maintenance continuous: amount(n) = amount(n-1) + floor(n) * (rate(n) - rate(n-1)), first 0.

    Raises ValueError where an amount is not a whole number of units: then no integer schedule is continuous.
    """
    amounts = [0]
    for n in range(1, len(floors)):
        step, rest = divmod(floors[n] * (rates[n] - rates[n - 1]), RATE_ONE)
        if rest:
            raise ValueError(f"tier {n + 1}: floor {floors[n]} times the change of rate is no whole number of units")
        amounts.append(amounts[-1] + step)
    return amounts


def tier_of(notional: int, tiers: Sequence[Tier]) -> int:
    """Index of the bracket of a notional value (absolute, settlement units)."""
    return max(n for n, tier in enumerate(tiers) if n == 0 or tier.floor <= notional)


def maintenance_margin(notional: int, tiers: Sequence[Tier]) -> int:
    """Maintenance margin of an absolute notional value: ceil(notional * rate) - amount of its bracket."""
    tier = tiers[tier_of(notional, tiers)]
    return ceil_div(notional * tier.rate, RATE_ONE) - tier.amount


def equity(collateral: int, position_lots: int, mark_ticks: int, entry_cost: int, tick_value: int) -> int:
    """Collateral (isolated: its margin; cross: the cash) + value at the mark - cost, exact."""
    return collateral + trade_value(mark_ticks, position_lots, tick_value) - entry_cost


def below_maintenance(
    collateral: int, position_lots: int, mark_ticks: int, entry_cost: int, tick_value: int, tiers: Sequence[Tier]
) -> bool:
    """Whether a position is to be liquidated at this mark: equity < maintenance margin."""
    notional = abs(trade_value(mark_ticks, position_lots, tick_value))
    return equity(collateral, position_lots, mark_ticks, entry_cost, tick_value) < maintenance_margin(notional, tiers)


# --- liquidation and bankruptcy ---------------------------------------------------------------------------------------
def liquidation_price_ticks(
    position_lots: int, entry_cost: int, collateral: int, tick_value: int, tiers: Sequence[Tier]
) -> int:
    """Mark at which a position is liquidated, exact: a long's largest tick below maintenance, a short's smallest.

    0 = never (no position, or a long that owes nothing); a short that is below at any price has 1. Maintenance is the
    largest of the tiers' lines, so each tier bounds the safe notional value by one division, and the tightest bound
    decides.
    """
    if position_lots == 0:
        return 0
    cushion = collateral - entry_cost
    if position_lots > 0:
        safe_from = max(ceil_div((-cushion - tier.amount) * RATE_ONE, RATE_ONE - tier.rate) for tier in tiers)
        return max(0, ceil_div(safe_from, position_lots * tick_value) - 1)
    safe_to = min((cushion + tier.amount) * RATE_ONE // (RATE_ONE + tier.rate) for tier in tiers)
    return max(1, safe_to // (-position_lots * tick_value) + 1)


def bankruptcy_value(entry_cost: int, collateral: int) -> int:
    """Signed value of the position at which nothing is left: collateral + value - cost = 0."""
    return entry_cost - collateral


def bankruptcy_price_ticks(
    position_lots: int, entry_cost: int, collateral: int, tick_value: int, fee_rate: int = 0
) -> int:
    """Worst price at which closing the whole position still leaves equity >= 0 after a fee of `fee_rate`.

    A long's price is rounded up (0 if it owes nothing), a short's down (0 if no price leaves anything).
    Raises ValueError without a position.
    """
    if position_lots == 0:
        raise ValueError("no position, no bankruptcy price")
    value = bankruptcy_value(entry_cost, collateral)
    if position_lots > 0:
        return max(0, ceil_div(ceil_div(value * RATE_ONE, RATE_ONE - fee_rate), position_lots * tick_value))
    return max(0, -value * RATE_ONE // (RATE_ONE + fee_rate) // (-position_lots * tick_value))


def liquidation_fee(notional: int, rate: int, equity_left: int) -> int:
    """min(ceil(rate * notional), equity left), never negative."""
    return max(0, min(ceil_div(abs(notional) * rate, RATE_ONE), equity_left))


def bring_back_lots(
    position_lots: int,
    mark_ticks: int,
    equity_now: int,
    tick_value: int,
    tiers: Sequence[Tier],
    fee_rate: int,
) -> int:
    """Fewest lots whose sale at the mark, fee paid, leaves equity >= maintenance: size of the forced order.

    Where maintenance is not above the fee (small positions on Binance: 0.4 % against 1.25 %) selling more costs more
    than it frees, and the answer is the whole position. Bisection on the exact predicate.
    """
    whole = abs(position_lots)

    def safe(lots: int) -> bool:
        fee = ceil_div(lots * mark_ticks * tick_value * fee_rate, RATE_ONE)
        return equity_now - fee >= maintenance_margin((whole - lots) * mark_ticks * tick_value, tiers)

    if whole == 0 or safe(0):
        return 0
    # What is missing after closing c lots, fee(c) + maintenance(rest) - equity, is convex in c: it falls as long as the
    # rate of the rest's tier exceeds the fee, then rises. The first safe c, if any, lies where it falls.
    reducing = [tier.floor for tier in tiers if tier.rate > fee_rate]
    if not reducing:
        return whole
    lots_at_floor = max(0, whole - ceil_div(reducing[0], mark_ticks * tick_value))
    high = next((lots for lots in (lots_at_floor, min(whole, lots_at_floor + 1)) if safe(lots)), whole)
    if not safe(high):
        return whole
    low = 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if safe(middle) else (middle, high)
    return high


# --- funding ----------------------------------------------------------------------------------------------------------
def funding_rate(premium: int, interest: int, clamp: int, cap: int, interval_h: int = EIGHT_HOURS) -> int:
    """Rate of one funding interval from the average premium index, all rates in 1e-8.

    F = [P + clamp(I - P, -c, c)] limited to ± cap, times interval / 8 h rounded toward zero. Interest, clamp and cap
    are per 8 hours. Positive: longs pay shorts. Binance: I = 0.01 %, c = 0.05 %; the cap of 0.30 % is the range of
    BTCUSDT's prints.
    """
    rate = premium + max(-clamp, min(clamp, interest - premium))
    rate = max(-cap, min(cap, rate))
    scaled = abs(rate) * interval_h // EIGHT_HOURS
    return scaled if rate >= 0 else -scaled


def funding_payment(position_value: int, rate: int) -> int:
    """What a row pays (negative: receives), ceil(value * rate): against the row. The value is signed, at the mark."""
    return ceil_div(position_value * rate, RATE_ONE)


# --- deleveraging -----------------------------------------------------------------------------------------------------
def adl_score(unrealised: int, wallet: int, maintenance: int, one: int = 1_000_000) -> Fraction:
    """Binance's ranking: profit ratio times margin ratio, exact; the highest is deleveraged first.

    max(0, profit) / max(1, wallet) * maintenance / (wallet + profit); 0 where wallet + profit <= 0.
    `one` is one whole settlement coin in units. Source: Binance, ADL; formula relayed at dev.binance.vision, topic
    17801.
    """
    balance = wallet + unrealised
    if unrealised <= 0 or balance <= 0:
        return Fraction(0)
    return Fraction(unrealised * maintenance, max(one, wallet) * balance)


# --- treasury companies -----------------------------------------------------------------------------------------------
def treasury_trigger_price(coins: Fraction | int, debt: Fraction | int, covenant_ltv: Fraction) -> Fraction:
    """Price at which debt / (coins * price) reaches the covenant: debt / (covenant * coins)."""
    return Fraction(debt) / (covenant_ltv * coins)


def treasury_coins_to_sell(
    coins: Fraction | int, debt: Fraction | int, covenant_ltv: Fraction, price: Fraction | int
) -> Fraction:
    """Coins to sell at `price`, proceeds repaying debt, so that loan to value is back at the covenant; 0 if it holds.

    (debt - covenant * coins * price) / (price * (1 - covenant)), at most all coins.
    """
    missing = debt - covenant_ltv * coins * price
    if missing <= 0:
        return Fraction(0)
    return min(Fraction(coins), Fraction(missing) / (price * (1 - covenant_ltv)))


def coins_per_share_factor(premium: Fraction, dilution: Fraction) -> Fraction:
    """Growth of coins per share when a debt-free treasury issues `dilution` new shares per share at a premium.

    (1 + premium * dilution) / (1 + dilution), where `premium` is market value / net asset value: above 1 only while the
    shares trade above the coins (premium > 1).
    """
    return (1 + premium * dilution) / (1 + dilution)
