"""A company that holds coins, with a loan secured by them and a loan-to-value covenant.

H coins, debt D, cash C, price P. The covenant asks LTV = D / (H P) <= l. It is touched at P* = D / (l H); equity in
the loan is gone at D / H. To come back to a target LTV t by selling x coins and repaying with the proceeds (no
impact):

    (D - x P) / ((H - x) P) = t    =>    x = (D - t H P) / (P (1 - t))

Free cash is used first. The company reviews on a slow clock; after a breach it sells x in the spot market over time,
at most the share `participation` of the recent spot volume, and repays at every review with what has come in. The
lender is outside the model: repaid debt stays on the company's account as money set aside, counted as `repaid_micro`
and no longer as cash.

The default company is an assumed stress case: its holdings and its loan are not those of any firm. Large convertible
notes of 2025 were unsecured and had no price trigger.
"""

from __future__ import annotations

import math

import numpy as np

from abm.events import BY_COVENANT, COVENANT
from abm.parameters import Parameters, quantity
from abm.state import IOC, SELL, TREASURY
from abm.traders.base import PEOPLE_LATENCY, Batch, Office, Participant, View, World
from abm.units import MICRO


def covenant_price(debt: float, coins: float, limit: float) -> float:
    """Price at which LTV reaches the limit: D / (l H); dollars. `coins` and `limit` must be positive."""
    return debt / (limit * coins)


def zero_equity_price(debt: float, coins: float) -> float:
    """Price at which the coins are worth the debt: D / H; dollars."""
    return debt / coins


def coins_to_sell(debt: float, coins: float, price: float, target: float) -> float:
    """Coins whose sale at `price`, proceeds repaid, brings LTV to `target`: (D - t H P) / (P (1 - t)), in [0, H].

    Money in dollars, 0 <= target < 1.
    """
    if not 0.0 <= target < 1.0:
        raise ValueError(f"target {target} must lie in [0, 1)")
    return min(coins, max(0.0, (debt - target * coins * price) / (price * (1.0 - target))))


class TreasuryParameters(Parameters):
    """One treasury company."""

    coins: float = quantity(
        5000.0,
        unit="BTC",
        source="a mid-sized holder; stress case",
        ge=0.0,
        likely=(0.0, 30e3),
        text="holdings pledged for the loan",
    )
    debt_usd: float = quantity(
        280e6, unit="$", source="stress case: covenant at -4 % from 116,830", ge=0.0, text="secured loan"
    )
    cash_usd: float = quantity(1e6, unit="$", source="thin, as reported of such firms", ge=0.0)
    ltv_limit: float = quantity(0.5, unit="-", source="stress case", gt=0.0, lt=1.0, likely=(0.4, 0.8))
    ltv_target: float = quantity(0.5, unit="-", source="back to the limit, no further", gt=0.0, lt=1.0)
    review_s: float = quantity(60.0, unit="s", source="not observed", gt=0.0)
    participation: float = quantity(0.2, unit="-", source="common execution limit", gt=0.0, le=1.0, likely=(0.05, 0.3))
    least_rate_coins: float = quantity(
        0.5, unit="BTC/s", source="not observed", ge=0.0, text="pace of sale when the volume seen is small or mixed"
    )
    slip: float = quantity(0.005, unit="fraction", source="not observed", ge=0.0, le=0.05)


class Treasury(Participant):
    """A company with one account row: coins and cash on the spot market, and a loan."""

    latency = PEOPLE_LATENCY
    row_kind = TREASURY
    parameters: TreasuryParameters

    def bind(self, world: World) -> None:
        """Deposit coins and cash."""
        p, self.world = self.parameters, world
        world.accounts.kind[self.rows] = self.row_kind
        self._unit = int(world.markets.lot_units[world.spot])
        lots = int(p.coins / float(world.markets.lot_coins[world.spot]))
        world.deposit(self.rows, world.btc, np.array([lots * self._unit]))
        world.deposit(self.rows, world.usdt, np.array([round(p.cash_usd * MICRO)]))
        self.repaid_micro = 0
        self.to_sell_lots = 0
        self._sold_from = lots
        self._next_review_s = 0.0

    @property
    def debt_usd(self) -> float:
        """What is left of the loan."""
        return self.parameters.debt_usd - self.repaid_micro / MICRO

    @property
    def coins_lots(self) -> int:
        """Coins held, in lots of the spot market."""
        return int(self.world.accounts.cash[self.world.btc, self.rows[0]]) // self._unit

    @property
    def cash_usd(self) -> float:
        """Cash."""
        return int(self.world.accounts.cash[self.world.usdt, self.rows[0]]) / MICRO

    def loan_to_value(self, price_usd: float) -> float:
        """D / (H P); nan without debt, infinite without coins."""
        if self.debt_usd <= 0.0:
            return math.nan
        value = self.coins_lots * float(self.world.markets.lot_coins[self.world.spot]) * price_usd
        return self.debt_usd / value if value > 0.0 else math.inf

    def review(self, view: View, office: Office) -> None:
        """The covenant, on its slow clock: repay with what came in, then see whether more must be sold.

        A breach is a COVENANT event: price, lots to sell, loan to value in millionths.
        """
        if view.seconds < self._next_review_s or self.parameters.debt_usd <= 0.0:
            return
        p, world = self.parameters, self.world
        self._next_review_s = view.seconds + p.review_s
        ticks = int(view.last_ticks[world.spot])
        price = ticks * float(world.markets.tick_dollars[world.spot])
        paid = 0
        if self.loan_to_value(price) > p.ltv_limit or self.to_sell_lots > 0:
            paid = min(max(0, round(self.cash_usd * MICRO)), max(0, round(self.debt_usd * MICRO)))
            self.repaid_micro += paid
        self.to_sell_lots = 0
        ratio = self.loan_to_value(price)
        if not math.isnan(ratio) and ratio > p.ltv_limit:
            lot_coins = float(world.markets.lot_coins[world.spot])
            coins = coins_to_sell(self.debt_usd, self.coins_lots * lot_coins, price, min(p.ltv_target, p.ltv_limit))
            self.to_sell_lots = min(self.coins_lots, math.ceil(coins / lot_coins))
            self._sold_from = self.coins_lots
            office.note(
                COVENANT,
                side=SELL,
                market=world.spot,
                account=int(self.rows[0]),
                price_ticks=ticks,
                size_lots=self.to_sell_lots,
                amount=round(min(ratio, 1e6) * 1_000_000),
            )
        if paid:
            office.pay(int(self.rows[0]), office.outside, world.usdt, paid, BY_COVENANT)

    def decide(self, view: View, batch: Batch) -> None:
        """Sell a slice of what a breach asks for."""
        left = self.to_sell_lots - (self._sold_from - self.coins_lots)
        last = int(view.last_ticks[self.world.spot])
        if self.to_sell_lots == 0 or left <= 0 or last <= 0:
            return
        p, spot = self.parameters, self.world.spot
        lot_coins = float(self.world.markets.lot_coins[spot])
        # The flow seen is net, so it is a lower bound of the volume.
        rate = max(p.least_rate_coins, p.participation * abs(float(view.flow_lots[spot])) * lot_coins / 60.0)
        size = min(left, max(1, round(rate * view.tick_s / lot_coins)))
        order = batch.add(1)
        order["market"], order["account"], order["op"], order["side"] = spot, self.rows[0], IOC, SELL
        order["price_ticks"], order["size_lots"] = max(1, int(last * (1.0 - p.slip))), size
        order["reason"], order["latency"] = BY_COVENANT, self.latency
