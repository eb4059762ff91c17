"""Worked examples that the venues publish, in plain numbers, against `abm.clearing.formulas`.

Each stands with the address of the page it was read on. Where a page rounds, leaves out a step or contradicts itself,
the line says so. Two kinds: numbers printed by the venue, and a formula printed by the venue evaluated at our numbers.
Coin-margined contracts have a file of their own.
"""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abm.clearing.formulas import (
    Tier,
    bankruptcy_price_ticks,
    ceil_div,
    funding_payment,
    funding_rate,
    initial_margin,
    liquidation_price_ticks,
    maintenance_amounts,
    maintenance_margin,
    tier_of,
    trade_value,
)
from abm.clearing.funding import FundingClock, premium_index
from abm.units import RATE_ONE, at_rate_ceil, at_rate_floor, rate_units
from abm.venues.preset import PerpetualRules, load_preset

CENT = Decimal("0.01")
MILLI = Decimal("0.001")
MICRO_USD = 1_000_000
TICK_VALUE = 10
"""Micro-dollars in a cent on a thousandth of a coin."""


def usd(amount: str) -> int:
    return int(Decimal(amount) * MICRO_USD)


def ticks(price: str) -> int:
    return int(Decimal(price) / CENT)


def lots(coins: str) -> int:
    return int(Decimal(coins) / MILLI)


def brackets(table: list[tuple[int, str]]) -> list[Tier]:
    """(floor in whole dollars, rate) with the amounts of the recursion that every venue prints."""
    floors, rates = [floor * MICRO_USD for floor, _ in table], [rate_units(rate) for _, rate in table]
    amounts = maintenance_amounts(floors, rates)
    return [Tier(f, r, a, 1) for f, r, a in zip(floors, rates, amounts, strict=True)]


def tiers_of(market: PerpetualRules) -> list[Tier]:
    return brackets([(int(Decimal(t.from_notional)), t.maintenance) for t in market.tiers])


def fixed(amount: int) -> list[Tier]:
    """Maintenance of a fixed amount, whatever the price: how some pages simplify it (taken at the entry value)."""
    return [Tier(0, 0, -amount, 1)]


# --- Binance ----------------------------------------------------------------------------------------------------------
BINANCE_2020 = [(0, "0.004"), (50_000, "0.005"), (250_000, "0.01"), (1_000_000, "0.025"), (10_000_000, "0.05")]
BINANCE_2020 += [(20_000_000, "0.1"), (50_000_000, "0.125"), (100_000_000, "0.15"), (200_000_000, "0.25")]
BINANCE_2020 += [(300_000_000, "0.5")]


def test_binance_maintenance_amounts_of_2020():
    """https://www.binance.com/en/support/faq/b3c689c1f50a44cabb3a84e663b81d93: 264,000 USDT lie in the 1 % bracket, and
    500,000 in one of amount 250,000 * (1 % - 0.5 %) + 50 = 1,300. The other amounts of that table as recorded in
    https://gist.github.com/highfestiva/b71e76f51eed84d56c1be8ebbcc286b5.
    """
    tiers = brackets(BINANCE_2020)
    assert tiers[tier_of(usd("264000"), tiers)].rate == rate_units("0.01")
    assert tiers[tier_of(usd("500000"), tiers)].amount == usd("1300")
    printed = [0, 50, 1_300, 16_300, 266_300, 1_266_300, 2_516_300, 5_016_300, 25_016_300, 100_016_300]
    assert [tier.amount for tier in tiers] == [usd(str(a)) for a in printed]


@given(st.sampled_from([-1, 1]), st.integers(1, 5_000), st.integers(2, 125))
def test_binance_liquidation_price_formula(side, coins, leverage):
    """https://www.binance.com/en/support/faq/b3c689c1f50a44cabb3a84e663b81d93 names the terms; written out in
    https://gist.github.com/highfestiva/b71e76f51eed84d56c1be8ebbcc286b5:
    (wallet + amount - q * entry) / (|q| * (rate - side)), at the bracket of the liquidation price. Our numbers.
    """
    tiers, entry, size = brackets(BINANCE_2020), ticks("60000"), side * lots(str(coins))
    cost = trade_value(entry, size, TICK_VALUE)
    margin = initial_margin(cost, leverage)
    found = liquidation_price_ticks(size, cost, margin, TICK_VALUE, tiers)
    inside = []
    for n, tier in enumerate(tiers):
        rate = Decimal(tier.rate) / RATE_ONE
        price = Decimal(margin + tier.amount - cost) / (abs(size) * TICK_VALUE * (rate - side))
        above = tiers[n + 1].floor if n + 1 < len(tiers) else None
        value = price * abs(size) * TICK_VALUE
        if value >= tier.floor and (above is None or value < above):
            inside.append(price)
    if inside:
        assert any(abs(found - price) <= 1 for price in inside)
    else:
        assert found in (0, 1) or side * (found - entry) >= 0  # below maintenance at any price from the start


def test_binance_interest_is_three_hundredths_of_a_percent_a_day():
    """Binance's funding page as quoted in https://www.btcysb.com/what-is-funding-in-binance-futures/: 0.03 % a day,
    0.01 % an interval; a calm premium changes nothing (third of all prints of 2020-26 are exactly this).
    """
    terms = [rate_units(x) for x in ("0.0001", "0.0005", "0.003")]
    assert {funding_rate(rate_units(p), *terms) for p in ("-0.0004", "0", "0.0003", "0.0006")} == {rate_units("0.0001")}
    assert 3 * funding_rate(0, *terms) == rate_units("0.0003")
    assert 3 * funding_payment(usd("20000"), funding_rate(0, *terms)) == usd("6")


@pytest.mark.parametrize(("worth", "haircut", "counts"), [("1000", "0.05", "950"), ("1000", "0.011", "989")])
def test_binance_collateral(worth, haircut, counts):
    """https://bbapi.viigoo.eu.org/it/futures/trading-rules/perpetual/multi-asset-info: 1,000 dollars of BNB count 950,
    of FDUSD 989.
    """
    assert at_rate_floor(usd(worth), RATE_ONE - rate_units(haircut)) == usd(counts)


# --- Bybit ------------------------------------------------------------------------------------------------------------
BYBIT_DEDUCTIONS = [0, 1_200, 3_020, 4_300, 5_820, 8_460, 15_460, 20_500, 46_000, 66_000]
BYBIT_DEDUCTIONS += [80_000, 160_000, 300_000, 452_000, 502_000, 777_000, 837_000, 967_000, 1_107_000, 1_482_000]


def test_bybit_deductions_of_all_twenty_tiers():
    """https://bybitx.global/pt-PT/announcement-info/margin-parameters: the amounts printed beside the rates."""
    tiers = tiers_of(load_preset("bybit-2025-10").perpetual[0])
    assert [tier.amount for tier in tiers] == [usd(str(amount)) for amount in BYBIT_DEDUCTIONS]


def test_bybit_rate_by_size():
    """https://www.bytick.com/fil-PH/help-center/search-result?page=34 (Maintenance Margin, USDT Contract): 0.5 % up to
    2,000,000 USDT, 0.56 % at 2,600,000. At a bound both tiers ask for the same.
    """
    tiers = tiers_of(load_preset("bybit-2025-10").perpetual[0])
    assert maintenance_margin(usd("2000000"), tiers) == usd("10000")
    assert tiers[tier_of(usd("2600000") - 1, tiers)].rate == rate_units("0.0056")
    assert maintenance_margin(usd("2600000"), tiers) == usd("13360")


def test_bybit_linear_liquidation_price():
    """https://testnet.bybit.com/en-US/help-center/s/article/Liquidation-Price-USDT-Contract: long 1 BTC at 20,000,
    50x, 0.5 %: initial margin 400, maintenance 100, price 19,700. The page takes maintenance at the entry value; at
    the mark, as the engine does, the root is 19,600 / 0.995, a dollar and a half lower.
    """
    cost = trade_value(ticks("20000"), lots("1"), TICK_VALUE)
    margin, tiers = initial_margin(cost, 50), brackets([(0, "0.005")])
    assert (margin, maintenance_margin(cost, tiers)) == (usd("400"), usd("100"))
    page = liquidation_price_ticks(lots("1"), cost, margin, TICK_VALUE, fixed(usd("100")))
    assert page == ticks("19700") - 1  # the last tick below maintenance
    exact = liquidation_price_ticks(lots("1"), cost, margin, TICK_VALUE, tiers)
    assert exact == ticks("19698.49") and page - exact == ticks("1.50")


@pytest.mark.parametrize(
    ("coins", "entry", "margin", "printed"),
    [
        # https://mobie.io/faq/what-is-bybits-bankruptcy-price-how-can-i-calculate-it: 1 BTC at 10,000, 50x
        ("1", "10000", "200", "9800"),
        # https://wuyelx.com/6291.html (relay of the page on deleveraging): 100 at 500, margin 1,000 and wallet 100
        ("100", "500", "1100", "489"),
    ],
)
def test_bybit_linear_bankruptcy_price(coins, entry, margin, printed):
    cost = trade_value(ticks(entry), lots(coins), TICK_VALUE)
    assert bankruptcy_price_ticks(lots(coins), cost, usd(margin), TICK_VALUE) == ticks(printed)


def test_bybit_deleverages_at_the_mark_where_bankruptcy_is_far_from_it():
    """https://wuyelx.com/6291.html: bankruptcy 489, mark 400: further apart than 5 %."""
    beyond = Decimal(load_preset("bybit-2025-10").deleverage.mark_beyond)
    assert abs(Decimal(489) - 400) / 400 > beyond == Decimal("0.05")


def test_bybit_interest_and_damper():
    """https://help.bybit.com/hc/en-us/articles/360039261114-What-is-funding-rate-and-predicted-rate-: (0.06 % - 0.03
    %) / 3 = 0.01 %; https://bybit.com/fil-PH/help-center/s/article/What-is-funding-rate-and-predicted-rate: where
    interest and premium differ by at most 0.05 % the rate is the interest.
    """
    rules = load_preset("bybit-2025-10").perpetual[0].funding
    assert rules is not None
    interest, clamp, cap = (rate_units(x) for x in (rules.interest, rules.clamp, rules.cap))
    assert interest == (rate_units("0.0006") - rate_units("0.0003")) // 3
    for premium in range(interest - clamp, interest + clamp + 1, 5_000):
        assert funding_rate(premium, interest, clamp, cap) == interest


def test_bybit_weights_of_an_interval():
    """https://bybit.com/fil-PH/help-center/s/article/What-is-funding-rate-and-predicted-rate: 480 samples of a minute,
    weighted 1, 2, ..., 480.
    """
    clock = FundingClock(0, period_ms=60_000)
    for minute in range(1, 481):
        clock.sample(minute * 60_000, 1e6 + minute, 1e6 + minute, 1_000_000)
    exact = Decimal(sum(n * n for n in range(1, 481))) / sum(range(1, 481)) / 1_000_000
    assert abs(Decimal(clock.average_premium) / RATE_ONE - exact) <= Decimal("5e-9")


# --- Hyperliquid ------------------------------------------------------------------------------------------------------
def test_hyperliquid_tiers():
    """https://hyperliquid.gitbook.io/hyperliquid-docs/trading/margin-tiers: maintenance is half of the initial margin
    at the highest leverage (20x: 2.5 %), and the deduction makes it continuous.
    """
    market = load_preset("hyperliquid-2025-10").perpetual[0]
    for tier in market.tiers:
        assert Decimal(tier.maintenance) * 2 * tier.leverage == 1
    tiers = tiers_of(market)
    assert tiers[1].amount == usd("150000000") * (tiers[1].rate - tiers[0].rate) // RATE_ONE == usd("1875000")


@given(st.sampled_from([-1, 1]), st.integers(1, 700), st.integers(1, 40))
def test_hyperliquid_liquidation_price_formula(side, coins, leverage):
    """https://hyperliquid.gitbook.io/hyperliquid-docs/trading/liquidations: price - side * available / size / (1 - l *
    side), available = margin - maintenance at this price, l the maintenance rate. Our numbers, first tier.
    """
    entry = Decimal(100_000)
    cost = trade_value(ticks("100000"), side * lots(str(coins)), TICK_VALUE)
    margin = initial_margin(cost, leverage)
    tiers = tiers_of(load_preset("hyperliquid-2025-10").perpetual[0])
    available = Decimal(margin - maintenance_margin(abs(cost), tiers)) / MICRO_USD
    price = entry - side * available / coins / (1 - Decimal("0.0125") * side)
    found = liquidation_price_ticks(side * lots(str(coins)), cost, margin, TICK_VALUE, tiers) * CENT
    assert abs(found - max(price, Decimal(0))) <= CENT


def test_hyperliquid_funding():
    """The documentation's example as kept in https://www.cortex-vigil.com/wiki/funding-rates: impact bid 10,100 over a
    spot price of 10,000 is a premium of 1 %, less the damper 0.95 % for 8 hours; an eighth is paid each hour on the
    oracle's notional. Interest 0.01 % in 8 hours = 0.00125 % an hour:
    https://hyperliquid-co.gitbook.io/community-docs/technology-breakdown/hyperliquid-l1/dex/clearinghouse/funding.
    """
    rules = load_preset("hyperliquid-2025-10").perpetual[0].funding
    assert rules is not None and rules.notional == "index"
    terms = [rate_units(x) for x in (rules.interest, rules.clamp, rules.cap)]
    premium = premium_index(10_100.0, 10_110.0, 10_000)
    assert premium == rate_units("0.01")
    assert funding_rate(premium, *terms) == rate_units("0.0095")
    rate = funding_rate(premium, *terms, rules.interval_h)
    assert rate == rate_units("0.0011875")
    assert funding_payment(usd("100000"), rate) == usd("118.75")  # 10 BTC long
    assert funding_rate(0, *terms, rules.interval_h) == rate_units("0.0000125")


# --- OKX --------------------------------------------------------------------------------------------------------------
def test_okx_partial_liquidation_goes_two_tiers_down():
    """https://supdljgzdhc.okx.com/hc/en-us/articles/360020411711-V-Forced-Partial-or-Full-Liquidation: tier 3 from
    12,001 contracts, tier 1 up to 2,000; of 15,000 contracts 13,000 are closed.
    """
    first_of_tier, held = [1, 2_001, 12_001], 15_000
    rules = load_preset("okx-2025-10").liquidation
    tier = max(n for n, first in enumerate(first_of_tier) if first <= held)
    assert tier + 1 > rules.whole_up_to_tier
    largest = first_of_tier[tier - rules.tiers_down + 1] - 1
    assert held - largest == 13_000


def test_okx_funding():
    """https://www.okx.com/help/360053909272: the plain average of each minute's premium, interest 0, limits 0.375 %."""
    rules = load_preset("okx-2025-10").perpetual[0].funding
    assert rules is not None and rules.weights == "equal"
    clock = FundingClock(
        0,
        interest=rate_units(rules.interest),
        clamp=rate_units(rules.clamp),
        cap=rate_units(rules.cap),
        period_ms=60_000,
        linear=False,
    )
    for minute, mid in enumerate((1_000_100.0, 1_000_200.0, 1_000_600.0), 1):
        clock.sample(minute * 60_000, mid, mid, 1_000_000)
    assert clock.indicated_rate == rate_units("0.0003")
    clock.sample(480 * 60_000, 1_100_000.0, 1_100_000.0, 1_000_000)
    assert clock.indicated_rate == rate_units("0.00375")


# --- Aster ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("price", "printed"), [("1500", "1.20"), ("1600", "1.28")])
def test_aster_simple_fees(price, printed):
    """https://docs.asterdex.com/product/asterex-simple/fees-and-slippage: one ETH opened at 1,500 and closed at 1,600,
    0.08 % each.
    """
    assert at_rate_ceil(trade_value(ticks(price), lots("1"), TICK_VALUE), rate_units("0.0008")) == usd(printed)


def test_aster_simple_closing_fee_example_contradicts_itself():
    """https://docs.asterdex.com/product/asterex-simple/fees-and-slippage prints max(100 * 15 % / 600, 0.03 %) = 0.03 %;
    the first term is 2.5 %, so that the result is 2.5 %.
    """
    assert max(Decimal(100) * Decimal("0.15") / 600, Decimal("0.0003")) == Decimal("0.025")


@pytest.mark.parametrize(("leverage", "distance"), [(1001, "0.00055"), (500, "0.0014")])
def test_aster_simple_is_liquidated_at_85_percent_of_the_margin(leverage, distance):
    """https://docs.asterdex.com/product/asterex-simple/fees-and-slippage: loss and closing fee of 85 % of the margin.
    At 1001x an adverse move of 0.085 % less the 0.03 % fee. Maintenance is the 15 % of the margin plus the fee.
    """
    preset = load_preset("aster-simple-2025-10")
    cost = trade_value(ticks("100000"), lots("1"), TICK_VALUE)
    margin = initial_margin(cost, leverage)
    left = at_rate_ceil(margin, rate_units(preset.liquidation.margin_share))
    tiers = [Tier(0, rate_units(preset.perpetual[0].tiers[0].maintenance), -left, leverage)]
    found = liquidation_price_ticks(lots("1"), cost, margin, TICK_VALUE, tiers)
    assert abs(Decimal(ticks("100000") - found) / ticks("100000") - Decimal(distance)) < Decimal("0.000001")


# --- CME --------------------------------------------------------------------------------------------------------------
def test_cme_value_of_a_tick():
    """https://www.cmegroup.com/trading/equity-index/us-index/bitcoin_contractSpecs_options.html: 5 dollars a bitcoin
    are 25 dollars a contract of 5 BTC, half a dollar on a micro contract of 0.1.
    """
    market = load_preset("regulated-2025-10").perpetual[0]
    step = trade_value(1, 1, int(Decimal(market.tick) * Decimal(market.lot) * MICRO_USD))
    assert step * 5 / Decimal(market.lot) == usd("25") and step * Decimal("0.1") / Decimal(market.lot) == usd("0.5")


def test_cme_margin_call():
    """https://www.cmegroup.com/solutions/risk-management/performance-bonds-margins/faq-performance-bonds-margins.html:
    a future of 50 dollars a point bought at 1,050.00 with 4,000, maintenance 3,200: a call comes when the balance
    falls below 3,200, hence below 1,034.00, and asks for what is missing to 4,000. In quarter points.
    """
    quarter, cost = 12_500_000, trade_value(4_200, 1, 12_500_000)
    first = liquidation_price_ticks(1, cost, usd("4000"), quarter, fixed(usd("3200")))
    assert first == 4_136 - 1
    balance = usd("4000") + trade_value(first, 1, quarter) - cost
    assert usd("4000") - balance == usd("812.5")


@pytest.mark.parametrize(("value", "rate", "printed"), [("11595", "0.44", "5101.80"), ("56461.95", "0.35", "19761.68")])
def test_initial_margin_of_the_first_bitcoin_futures(value, rate, printed):
    """http://www.halifaxamerica.com/latest-updates-on-bitcoin-futures/: CBOE 44 % and CME 35 % in December 2017."""
    margin = Decimal(ceil_div(usd(value) * rate_units(rate), RATE_ONE)) / MICRO_USD
    assert margin.quantize(CENT) == Decimal(printed)
