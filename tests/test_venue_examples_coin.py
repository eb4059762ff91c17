"""Worked examples that the venues publish for coin-margined (inverse) contracts; see `test_venue_examples`."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from abm.clearing.formulas import Tier, maintenance_amounts, maintenance_margin, tier_of
from abm.units import SATOSHI, at_rate_ceil, rate_units, signed_value
from abm.venues.preset import load_preset


def test_binance_coin_margined_amounts():
    """https://www.binance.com/es/support/faq/ceccfcfb4e3a45e3b48b0b1bb1a8ae46: 50 BTC * (5 % - 2.5 %) + 0.56 = 1.81
    BTC, and 300 BTC at 12.5 % with an amount of 11.81 BTC.
    """
    market = next(m for m in load_preset("binance-multi-2025-10").perpetual if m.inverse_contract)
    floors = [int(Decimal(tier.from_notional) * SATOSHI) for tier in market.tiers]
    rates = [rate_units(tier.maintenance) for tier in market.tiers]
    amounts = maintenance_amounts(floors, rates)
    tiers = [Tier(f, r, a, 1) for f, r, a in zip(floors, rates, amounts, strict=True)]
    assert [Decimal(t.amount) / SATOSHI for t in tiers][3:5] == [Decimal("0.56"), Decimal("1.81")]
    large = tiers[tier_of(300 * SATOSHI, tiers)]
    assert (large.rate, large.amount) == (rate_units("0.125"), 1_181_000_000)
    assert maintenance_margin(300 * SATOSHI, tiers) == int(Decimal("25.69") * SATOSHI)


class Inverse(NamedTuple):
    """Contracts of one dollar settled in BTC; prices in half dollars."""

    contracts: int
    entry: str
    tick: str = "0.5"

    @property
    def inverse(self) -> int:
        return int(SATOSHI / Decimal(self.tick))

    def equity(self, price: str, margin: int, fee: str = "0") -> int:
        """At a price in dollars, after a fee on what is closed there."""
        at = int(Decimal(price) / Decimal(self.tick))
        value = signed_value(self.contracts, at, 0, self.inverse)
        return margin + value - self.cost - at_rate_ceil(abs(value), rate_units(fee))

    @property
    def cost(self) -> int:
        """Entry cost; an average entry price need be no whole tick."""
        coins = int(abs(self.contracts) * SATOSHI / Decimal(self.entry))
        return -coins if self.contracts > 0 else coins


def test_bybit_inverse_bankruptcy_price():
    """https://help.bybit.com/hc/en-us/articles/900000031623-What-is-Auto-Deleveraging-ADL-: 5,000 contracts at
    7,890.08, 50x: 7,890.08 * 50 / 51 = 7,735.37, up to the half dollar 7,735.50.
    """
    position = Inverse(5_000, "7890.08")
    margin = abs(position.cost) // 50
    assert position.equity("7735.5", margin) >= 0 > position.equity("7735.0", margin)


def test_bybit_inverse_cross_margin():
    """https://help.bybit.com/hc/en-us/articles/360039261334-How-to-calculate-Liquidation-Price-Inverse-Contract-:
    10,000 contracts at 8,000 with 0.5 BTC and a fee of 0.075 %: bankruptcy 5,718.57, liquidation 5,739.50. Maintenance
    there is 0.5 % of the entry value plus the fee at bankruptcy; its equation gives 5,739.08, printed as the next half
    dollar.
    """
    position, wallet = Inverse(10_000, "8000"), SATOSHI // 2
    fine = Inverse(10_000, "8000", "0.01")
    assert fine.equity("5718.58", wallet, "0.00075") >= 0 > fine.equity("5718.56", wallet, "0.00075")
    fee = int(Decimal(10_000) * Decimal("0.00075") / Decimal("5718.57") * SATOSHI)
    maintenance = at_rate_ceil(abs(position.cost), rate_units("0.005")) + fee
    assert position.equity("5739.5", wallet) >= maintenance > position.equity("5739.0", wallet)
    assert fine.equity("5739.09", wallet) >= maintenance > fine.equity("5739.07", wallet)


def test_bybit_inverse_isolated_short():
    """https://testnet.bybit.com/ar-SA/help-center/article/Liquidation-Price-Calculation-under-Isolated-Mode-Unified-Trading-Account
    (the copy read breaks off before the result): 60,000 dollars short at 50,000, 10x, 0.5 %: 1.2 BTC, margin 0.12; by
    the formula of the page 60,000 / (1.2 - (0.12 - 0.006)) = 55,248.62.
    """
    position = Inverse(-60_000, "50000", "0.01")
    margin, maintenance = position.cost // 10, position.cost // 200
    assert (position.cost, margin, maintenance) == (120_000_000, 12_000_000, 600_000)
    assert position.equity("55248.61", margin) >= maintenance > position.equity("55248.63", margin)


def test_bybit_inverse_average_entry():
    """https://www.bybit.global/fil-PH/help-center/search-result?page=46 (How to Calculate Average Entry Price): 50
    contracts at 10,000 and 50 at 15,000 are 0.00833333 BTC, on average 12,000.
    """
    cost = -sum(signed_value(50, price * 2, 0, 2 * SATOSHI) for price in (10_000, 15_000))
    assert cost == 833_333
    assert round(100 * SATOSHI / cost) == 12_000


def test_okx_inverse_profit():
    """https://www.okex.com/futureTrade/beforePerpetualFuture: a long gains face * n / entry - face * n / mark. Our
    numbers: 10 contracts of 100 dollars from 50,000 to 62,500 gain 0.02 - 0.016 BTC.
    """
    inverse = 100 * SATOSHI * 10  # tick 0.1
    for side in (1, -1):
        gain = signed_value(10 * side, 625_000, 0, inverse) - signed_value(10 * side, 500_000, 0, inverse)
        assert gain == side * 400_000
