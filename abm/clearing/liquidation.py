"""The liquidation engine of one perpetual: who is forced, by which order, and what happens to the rest.

Waterfall, common to the large venues: cancel the account's orders; a forced order into the book at the venue's limit;
what the book did not take goes to the backstop (`abm.clearing.backstop`) at the bankruptcy price.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.clearing.liquidation_kernel import LIMIT_BANKRUPTCY, NO_TAKEOVER, settle_forced, size_forced
from abm.clearing.margin import MarginLadder
from abm.clearing.trading import TradingFloor
from abm.events import BAD_DEBT, BY_LIQUIDATION, LIQUIDATION, LIQUIDATION_FEE
from abm.state import BUY, CANCEL, FORCED, I64, IOC, MESSAGE, NOBODY, REDUCE_ONLY, SELL

CANCEL_FIRST, FORCED_FIRST = -2, -1
"""Latency classes of the liquidation engine: ahead of everybody."""


@dataclass(frozen=True, slots=True)
class LiquidationRules:
    """How the venue forces: limit of its orders (LIMIT_*), fee (in 1e-8) and whether it closes only what is needed."""

    limit_rule: int = LIMIT_BANKRUPTCY
    fee_rate: int = 1_250_000
    partial: bool = True


@dataclass(slots=True)
class Forced:
    """The accounts forced in one round, int64 arrays (n,)."""

    rows: I64
    lots: I64
    side: I64  # of the forced order
    seq: I64  # of the liquidation events


@dataclass(slots=True)
class Takeovers:
    """Positions that pass to the backstop, int64 arrays (n,); lots and value are signed as the account's own trade."""

    rows: I64
    lots: I64
    value: I64  # settlement units, exact
    cause: I64  # seq of the liquidation event, or NOBODY


class LiquidationEngine:
    """Forces the accounts of one perpetual (id `market`) whose equity is below maintenance at the mark."""

    def __init__(
        self, floor: TradingFloor, market: int, ladder: MarginLadder, rules: LiquidationRules, fund_row: int
    ) -> None:
        self.floor, self.market, self.ladder, self.rules, self.fund_row = floor, market, ladder, rules, fund_row
        markets = floor.markets
        self.slot, self.settle = int(markets.slot[market]), int(markets.settle[market])
        self.tick_value = int(markets.tick_value[market])
        self.sold = {BUY: 0, SELL: 0}
        """Value that this round's forced orders traded in the book, by side of the order; settlement units."""
        self.venue_markets = np.flatnonzero(markets.venue == markets.venue[market])

    def force(self, mark_ticks: int, cause: int, tick: int) -> tuple[Forced, NDArray[Any]] | None:
        """Cancel the orders of every account below maintenance and write its forced order; None when all are safe.

        `cause` is the seq of the event that moved the mark. Returns the accounts and MESSAGE (n,): cancels, then
        forced orders. Accounts that still cool down from an earlier liquidation at this tick are left alone.
        """
        rows = self.ladder.crossed(mark_ticks)
        accounts, markets = self.floor.accounts, self.floor.markets
        rows = rows[accounts.cooldown_until[rows] <= tick]
        if rows.size == 0:
            return None
        m = self.market
        lots, limit, equity = size_forced(
            rows, self.slot, self.settle, mark_ticks, self.tick_value, int(markets.band[m]), self.rules.limit_rule,
            self.rules.fee_rate, self.rules.partial, markets.tier_floor[m], markets.tier_maintenance[m],
            markets.tier_amount[m], accounts.mode, accounts.cash, accounts.margin, accounts.position,
            accounts.entry_cost,
        )  # fmt: skip
        side = np.where(accounts.position[self.slot, rows] > 0, SELL, BUY)
        first = self.floor.log.add(
            LIQUIDATION, rows.size, market=m, asset=self.settle, account=rows, side=side, price_ticks=limit,
            size_lots=lots, amount=equity, reason=BY_LIQUIDATION, cause=cause,
        )  # fmt: skip
        forced = Forced(rows, lots, side, np.arange(first, first + rows.size))
        return forced, np.concatenate([self.cancels(rows), self._orders(forced, limit)])

    def cancels(self, rows: I64) -> NDArray[Any]:
        """Messages that cancel every open order of the rows (n,) on all markets of the venue: MESSAGE (orders,)."""
        mask = np.zeros(self.floor.accounts.rows, np.bool_)
        mask[rows] = True
        parts = []
        for market in self.venue_markets:
            handles = self.floor.books.handles_of(mask, int(market))
            part = np.zeros(handles.size, MESSAGE)
            part["market"], part["op"], part["latency"], part["order"] = market, CANCEL, CANCEL_FIRST, handles
            part["account"] = self.floor.books.orders["account"][handles & 0xFFFFFFFF]
            part["cause"] = NOBODY
            parts.append(part)
        return np.concatenate(parts)

    def _orders(self, forced: Forced, limit: I64) -> NDArray[Any]:
        orders = np.zeros(forced.rows.size, MESSAGE)
        orders["market"], orders["op"], orders["latency"] = self.market, IOC, FORCED_FIRST
        orders["account"], orders["side"], orders["size_lots"] = forced.rows, forced.side, forced.lots
        orders["price_ticks"], orders["order"], orders["cause"] = limit, NOBODY, forced.seq
        orders["flags"], orders["reason"] = FORCED | REDUCE_ONLY, BY_LIQUIDATION
        return orders

    def settle_round(self, forced: Forced, fills: NDArray[Any], mark_ticks: int) -> Takeovers:
        """Charge the liquidation fee on what was sold, pay out or top up closed accounts; what the backstop takes.

        `fills` are the FILL (n,) of this round's trade; sets `sold`.
        """
        accounts, markets, m = self.floor.accounts, self.floor.markets, self.market
        own = fills[(fills["market"] == m) & (fills["taker_flags"] & FORCED != 0)]
        value = own["price_ticks"] * own["size_lots"] * self.tick_value
        forced_rows = np.isin(own["taker"], forced.rows)  # the fund's own unloading orders also carry the flag
        self.sold = {side: int(value[forced_rows & (own["side"] == side)].sum()) for side in (BUY, SELL)}
        sold = np.zeros(accounts.rows, np.int64)
        np.add.at(sold, own["taker"], value)
        rows = forced.rows
        fee, shortfall, takeover = settle_forced(
            rows, sold[rows], self.slot, self.settle, mark_ticks, self.tick_value, self.rules.fee_rate, self.fund_row,
            markets.tier_floor[m], markets.tier_maintenance[m], markets.tier_amount[m], accounts.mode, accounts.cash,
            accounts.margin, accounts.position, accounts.entry_cost,
        )  # fmt: skip
        accounts.touched[rows] = True
        accounts.touched[self.fund_row] = True
        paid, short, taken = fee > 0, shortfall > 0, takeover != NO_TAKEOVER
        log = self.floor.log
        log.add(
            LIQUIDATION_FEE, int(paid.sum()), market=m, asset=self.settle, account=rows[paid],
            counterparty=self.fund_row, amount=fee[paid], reason=BY_LIQUIDATION, cause=forced.seq[paid],
        )  # fmt: skip
        log.add(
            BAD_DEBT, int(short.sum()), market=m, asset=self.settle, account=self.fund_row, counterparty=rows[short],
            amount=shortfall[short], reason=BY_LIQUIDATION, cause=forced.seq[short],
        )  # fmt: skip
        lots = -accounts.position[self.slot, rows[taken]]
        return Takeovers(rows[taken], lots, takeover[taken], forced.seq[taken])
