"""A second ledger for tests: plain Python integers, written from the table in `abm.events`, fed with events alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.events import BAD_DEBT, DELEVERAGE, FILL_EVENT, FUNDING, LIQUIDATION_FEE, TAKEOVER, TRANSFER
from abm.state import PERPETUAL, Accounts, Markets

MOVES_CASH = (LIQUIDATION_FEE, BAD_DEBT, TRANSFER)


def part(amount: int, share: int, whole: int) -> int:
    """amount * share / whole toward zero."""
    size = abs(amount) * share // whole
    return size if amount > 0 else -size


class ShadowLedger:
    """Settled wealth per asset, position and entry cost of every row of one venue with one perpetual."""

    def __init__(self, markets: Markets, accounts: Accounts, fee_row: int) -> None:
        self.markets, self.fee_row = markets, fee_row
        self.wealth: list[list[int]] = [[int(x) for x in row] for row in accounts.cash]
        perp = int(np.flatnonzero(markets.kind == PERPETUAL)[0])
        self.settle = int(markets.settle[perp])
        self.wealth[self.settle] = [
            w + int(m) for w, m in zip(self.wealth[self.settle], accounts.margin[0], strict=True)
        ]
        self.position = [int(x) for x in accounts.position[0]]
        self.cost = [int(x) for x in accounts.entry_cost[0]]

    def trade(self, row: int, lots: int, value: int) -> None:
        """Signed lots at a signed value: what closes is realised, what opens adds to the cost."""
        held, cost = self.position[row], self.cost[row]
        closing = min(abs(lots), abs(held)) if held * lots < 0 else 0
        value_closed = part(value, closing, abs(lots))
        cost_closed = part(cost, closing, abs(held)) if held else 0
        self.position[row] = held + lots
        self.cost[row] = cost - cost_closed + value - value_closed
        self.wealth[self.settle][row] -= cost_closed + value_closed

    def apply(self, events: NDArray[Any]) -> None:
        """Post events in their order."""
        for e in events:
            kind, m, row, other, amount = (int(e[n]) for n in ("kind", "market", "account", "counterparty", "amount"))
            lots = int(e["side"]) * int(e["size_lots"])
            if kind == FILL_EVENT:
                self._fill(e, m, row, other, lots)
            elif kind in (TAKEOVER, DELEVERAGE):
                self.trade(row, lots, amount)
                self.trade(other, -lots, -amount)
            elif kind == FUNDING:
                self._funding(int(e["price_ticks"]) * int(self.markets.tick_value[m]), amount, other)
            elif kind in MOVES_CASH:
                assert amount >= 0
                self.wealth[int(e["asset"])][row] -= amount
                self.wealth[int(e["asset"])][other] += amount

    def _fill(self, e: Any, m: int, taker: int, maker: int, lots: int) -> None:
        value = int(e["price_ticks"]) * lots * int(self.markets.tick_value[m])
        assert abs(value) == int(e["amount"]) and lots != 0
        cash = self.wealth[int(self.markets.settle[m])]
        for row, fee, sign in ((taker, int(e["fee_taker"]), 1), (maker, int(e["fee_maker"]), -1)):
            cash[row] -= fee
            cash[self.fee_row] += fee
            if self.markets.kind[m] == PERPETUAL:
                self.trade(row, sign * lots, sign * value)
            else:
                cash[row] -= sign * value
                self.wealth[int(self.markets.base[m])][row] += sign * lots * int(self.markets.lot_units[m])

    def _funding(self, lot_value: int, rate: int, remainder_row: int) -> None:
        cash = self.wealth[self.settle]
        for row, lots in enumerate(self.position):
            payment = -(-lots * lot_value * rate // 10**8)
            cash[row] -= payment
            cash[remainder_row] += payment

    def compare(self, accounts: Accounts) -> None:
        """Every row of the real tables is what the events say."""
        for asset, rows in enumerate(self.wealth):
            real = accounts.cash[asset] + (accounts.margin.sum(axis=0) if asset == self.settle else 0)
            self._same(f"wealth in asset {asset}", rows, real)
        self._same("position", self.position, accounts.position[0])
        self._same("entry cost", self.cost, accounts.entry_cost[0])

    @staticmethod
    def _same(what: str, shadow: list[int], real: NDArray[np.int64]) -> None:
        for row, (a, b) in enumerate(zip(shadow, real.tolist(), strict=True)):
            assert a == b, f"{what} of row {row}: {b}, by the events {a}"
