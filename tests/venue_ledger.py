"""The second ledger for a venue with several instruments, coin-margined ones among them: fed with events alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.events import FUNDING, SETTLEMENT
from abm.state import PERPETUAL, Accounts
from abm.units import signed_value
from abm.venues.exchange import FEES_ROW
from tests.shadow_ledger import ShadowLedger
from tests.venue_world import VenueWorld


class VenueLedger(ShadowLedger):
    """Wealth per asset; position and entry cost per instrument. `mark` is the world's, ticks by market."""

    def __init__(self, world: VenueWorld) -> None:
        a, m = world.accounts, world.markets
        self.markets, self.fee_row, self.mark = m, FEES_ROW, world.exchanges.mark_ticks
        self.wealth = [[int(x) for x in row] for row in a.cash]
        self.slots = [int(np.flatnonzero((m.kind == PERPETUAL) & (m.slot == k))[0]) for k in range(len(a.position))]
        for k, perp in enumerate(self.slots):
            asset = int(m.settle[perp])
            self.wealth[asset] = [w + int(x) for w, x in zip(self.wealth[asset], a.margin[k], strict=True)]
        self.positions = [[int(x) for x in row] for row in a.position]
        self.costs = [[int(x) for x in row] for row in a.entry_cost]

    def open(self, market: int) -> None:
        """Post to this instrument from here on."""
        k = max(int(self.markets.slot[market]), 0)
        self.position, self.cost, self.settle = self.positions[k], self.costs[k], int(self.markets.settle[market])

    def value(self, market: int, lots: int, price: int) -> int:
        return int(signed_value(lots, price, int(self.markets.tick_value[market]), int(self.markets.inverse[market])))

    def apply(self, events: NDArray[Any]) -> None:
        for e in events:
            market, price, other = int(e["market"]), int(e["price_ticks"]), int(e["counterparty"])
            self.open(market)
            if e["kind"] == SETTLEMENT:
                for row, held in enumerate(self.position):
                    value = self.value(market, held, price)
                    self.wealth[self.settle][row] += value - self.cost[row]
                    self.wealth[self.settle][other] -= value
                    self.position[row] = self.cost[row] = 0
            elif e["kind"] == FUNDING:
                self._pay(market, price, int(e["amount"]), other)
            else:
                super().apply(np.array([e]))

    def _fill(self, e: Any, m: int, taker: int, maker: int, lots: int) -> None:
        if self.markets.inverse[m] == 0:
            super()._fill(e, m, taker, maker, lots)
            return
        value = self.value(m, lots, int(e["price_ticks"]))
        for row, fee, sign in ((taker, int(e["fee_taker"]), 1), (maker, int(e["fee_maker"]), -1)):
            self.wealth[self.settle][row] -= fee
            self.wealth[self.settle][self.fee_row] += fee
            self.trade(row, sign * lots, sign * value)

    def _pay(self, market: int, price: int, rate: int, remainder_row: int) -> None:
        """Funding: every position pays ceil(value * rate); of a coin-margined long the value is minus its coins."""
        cash, sign = self.wealth[self.settle], -1 if self.markets.inverse[market] else 1
        for row, held in enumerate(self.position):
            payment = -(-sign * self.value(market, held, price) * rate // 10**8)
            cash[row] -= payment
            cash[remainder_row] += payment

    def compare(self, accounts: Accounts) -> None:
        for asset, rows in enumerate(self.wealth):
            tied = [accounts.margin[k] for k, perp in enumerate(self.slots) if self.markets.settle[perp] == asset]
            self._same(f"wealth in asset {asset}", rows, accounts.cash[asset] + sum(tied))
        for k in range(len(self.slots)):
            self._same(f"position {k}", self.positions[k], accounts.position[k])
            self._same(f"entry cost {k}", self.costs[k], accounts.entry_cost[k])
