"""Companies that hold coins: one (`Treasury`), or a whole population of them (`Treasuries`, kind "treasuries").

What they owe and when it trips: `abm.traders.treasury_sheet`. What they do about it: `abm.traders.treasury_firm`.
Populations of real companies: `abm.traders.treasury_population`.

The lender is outside the model: repaid debt leaves the company's row, counted as `repaid_micro`. A sale takes time: at
most the share `participation` of the recent spot volume, or a stated pace.

The default company is an assumed stress case: its holdings and its loan are not those of any firm. Large convertible
notes of 2025 were unsecured and had no price trigger.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from abm.state import I64, MESSAGE, TREASURY
from abm.traders.base import PEOPLE_LATENCY, Batch, Office, Participant, View, World
from abm.traders.handle import Account, Luck, Orders
from abm.traders.treasury_firm import Firm
from abm.traders.treasury_population import TreasuriesParameters
from abm.traders.treasury_sheet import TreasuryParameters, coins_to_sell, covenant_price, zero_equity_price

__all__ = [
    "Firm",
    "Treasuries",
    "TreasuriesParameters",
    "Treasury",
    "TreasuryParameters",
    "coins_to_sell",
    "covenant_price",
    "zero_equity_price",
]

_NOTHING = np.zeros(0, MESSAGE)
EXAMPLE: dict[str, Any] = {"coins": 2_000, "debt_usd": 116.6e6, "cash_usd": 0.0, "review_s": 5, "ltv_target": 0.4}
"""A company that acts in a tiny world: its covenant trips 0.2 % below 116,830."""


class Treasury(Participant):
    """A company with one account row: coins and cash on the spot market, and what it owes."""

    latency = PEOPLE_LATENCY
    row_kind = TREASURY
    parameters: TreasuryParameters
    parameters_class = TreasuryParameters
    example: ClassVar[dict[str, Any]] = EXAMPLE
    firm: Firm

    def __init__(self, model: Any, parameters: TreasuryParameters) -> None:
        super().__init__(model, parameters)
        self.firm = Firm(parameters, 0)

    def bind(self, world: World) -> None:
        """Deposit coins and cash."""
        self.firm.open(world, int(self.rows[0]))

    @property
    def debt_usd(self) -> float:
        """What is left of the loan."""
        return self.firm.debt_usd

    @property
    def coins_lots(self) -> int:
        """Coins held, in lots of the spot market."""
        return self.firm.coins_lots

    @property
    def cash_usd(self) -> float:
        """Cash."""
        return self.firm.cash_usd

    def loan_to_value(self, price_usd: float) -> float:
        """Loan over the coins pledged; nan without debt, infinite without coins."""
        return self.firm.loan_to_value(price_usd)

    def review(self, view: View, office: Office) -> None:
        """What falls due, on the company's slow clock (`Firm.review`)."""
        self.firm.review(view, office)

    def decide(self, view: View, batch: Batch) -> None:
        """A slice of what is to be sold or bought."""
        self.firm.order(view, batch, self.latency)

    def decide_one(self, view: View, me: Account, rng: Luck) -> Orders:
        """The same, asked by itself."""
        return slice_of(self.firm, view, self.latency)


class Treasuries(Participant):
    """A population of companies, one account row each. At the lead of a venue's treasuries in its step records."""

    latency = PEOPLE_LATENCY
    row_kind = TREASURY
    parameters: TreasuriesParameters
    parameters_class = TreasuriesParameters
    example: ClassVar[dict[str, Any]] = {"companies": [{"name": "example", **EXAMPLE}]}

    def __init__(self, model: Any, parameters: TreasuriesParameters) -> None:
        super().__init__(model, parameters)
        self.firms = [Firm(company, number) for number, company in enumerate(parameters.companies)]

    def rows_needed(self) -> int:
        return len(self.firms)

    def bind(self, world: World) -> None:
        """Deposit coins and cash of every company."""
        for firm, row in zip(self.firms, self.rows.tolist(), strict=True):
            firm.open(world, row)
        self._world = world
        self._opening_lots = sum(firm.coins_lots for firm in self.firms)

    def begin(self, model: Any) -> None:
        """From now on the venue's step records count these companies too."""
        model.places[self.venue].treasuries.extend(self.firms)

    def review(self, view: View, office: Office) -> None:
        """Every company on its own clock."""
        for firm in self.firms:
            firm.review(view, office)

    def woken(self, view: View) -> I64:
        """Numbers of the companies that have something to sell or to buy."""
        return np.array([firm.number for firm in self.firms if firm.to_sell_lots or firm.to_buy_lots], np.int64)

    def decide_one(self, view: View, me: Account, rng: Luck) -> Orders:
        """A slice of what one company has to sell or buy."""
        return slice_of(self.firms[me.number], view, self.latency)

    def decide(self, view: View, batch: Batch) -> None:
        """The slices of all companies."""
        for firm in self.firms:
            if firm.to_sell_lots or firm.to_buy_lots:
                firm.order(view, batch, self.latency)

    def measured(self) -> Mapping[str, float]:
        """Coins, cash and debts of all, and what they are doing."""
        firms, coins = self.firms, float(self._world.markets.lot_coins[self._world.spot])
        held = sum(firm.coins_lots for firm in firms)
        return {
            "coins_btc": held * coins,
            "sold_btc": (self._opening_lots - held) * coins,
            "to_sell_btc": sum(firm.to_sell_lots for firm in firms) * coins,
            "cash_usd": sum(firm.cash_usd for firm in firms),
            "debt_usd": sum(firm.debt_usd for firm in firms),
            "issued_usd": sum(firm.issued_usd for firm in firms),
            "bought_back_usd": sum(firm.bought_back_usd for firm in firms),
            "dividends_usd": sum(firm.dividends_usd for firm in firms),
            "posted_calls": float(sum(firm.calls for firm in firms)),
            "breached_companies": float(sum(firm.breaches > 0 for firm in firms)),
            "selling_companies": float(sum(firm.to_sell_lots > 0 for firm in firms)),
        }


def slice_of(firm: Firm, view: View, latency: int) -> Orders:
    """MESSAGE (n,): the orders of one company."""
    batch = Batch(1)
    firm.order(view, batch, latency)
    return batch.messages() if batch.count else _NOTHING
