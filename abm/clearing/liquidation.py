"""The liquidation engine of one perpetual: who is forced, by which order, and what happens to the rest.

Waterfall, common to the large venues: cancel the account's orders; a forced order into the book at the venue's limit;
what the book did not take goes to the backstop (`abm.clearing.backstop`) at the bankruptcy price.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.clearing.cross import CrossMargin
from abm.clearing.liquidation_kernel import (
    BRING_BACK,
    LIMIT_BANKRUPTCY,
    LOWER_TIER,
    NO_TAKEOVER,
    SHARE,
    settle_forced,
    size_forced,
)
from abm.clearing.margin import MarginLadder
from abm.clearing.trading import TradingFloor
from abm.events import BAD_DEBT, BY_LIQUIDATION, LIQUIDATION, LIQUIDATION_FEE, MARGIN_CALL
from abm.records import joined, taken
from abm.state import BUY, CANCEL, FORCED, I64, IOC, ISOLATED, MESSAGE, NOBODY, REDUCE_ONLY, SELL
from abm.units import RATE_ONE, at_rate_ceil

CANCEL_FIRST, FORCED_FIRST = -2, -1
"""Latency classes of the liquidation engine: ahead of everybody."""


@dataclass(frozen=True, slots=True)
class LiquidationRules:
    """How the venue forces. Rates and shares in 1e-8, money in settlement units.

    `sizing` is a code of `liquidation_kernel`; a step is an order for less than the whole position. After a step the
    account is left alone for `recheck_ms`, and closed whole if it is forced again within `cooldown_ms`. With
    `deadline_ms` the account is called for margin first and forced when the time is up. `straight_to_backstop`: what is
    already below `takeover_step` of its requirement is not offered to the book.
    """

    limit_rule: int = LIMIT_BANKRUPTCY
    fee_rate: int = 1_250_000
    sizing: int = BRING_BACK
    step_share: int = RATE_ONE
    step_above: int = 0
    tiers_down: int = 1
    whole_up_to: int = 1
    recheck_ms: int = 0
    cooldown_ms: int = 0
    takeover_step: int = RATE_ONE
    takeover_whole: int = RATE_ONE
    margin_share: int = 0
    deadline_ms: int = 0
    straight_to_backstop: bool = False


@dataclass(slots=True)
class Forced:
    """The accounts forced in one round, arrays (n,)."""

    rows: I64
    lots: I64  # 0 = no order: it waits for the next step, but the backstop must act
    side: I64  # of the forced order
    whole: NDArray[np.bool_]
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
        self, floor: TradingFloor, market: int, ladder: MarginLadder, rules: LiquidationRules, fund_row: int,
        cross: CrossMargin,
    ) -> None:  # fmt: skip
        self.floor, self.market, self.ladder, self.rules, self.fund_row = floor, market, ladder, rules, fund_row
        self.cross = cross
        markets = floor.markets
        self.slot, self.settle = int(markets.slot[market]), int(markets.settle[market])
        self._value = (int(markets.tick_value[market]), int(markets.inverse[market]))
        self._tiers = (markets.tier_floor[market], markets.tier_maintenance[market], markets.tier_amount[market])
        self.sold = {BUY: 0, SELL: 0}
        """Value that this round's forced orders traded in the book, by side of the order; settlement units."""
        self.venue_markets = np.flatnonzero(markets.venue == markets.venue[market])

    def wealth(self, rows: I64) -> I64:
        """What stands behind the positions of rows (n,): isolated margin, cash, or a share of a cross account."""
        accounts = self.floor.accounts
        isolated = accounts.mode[rows] == ISOLATED
        wealth: I64 = np.where(isolated, accounts.margin[self.slot, rows], accounts.cash[self.settle, rows])
        shared = self.cross.belongs(rows, self.market)
        if shared.any():
            wealth[shared] = self.cross.wealth(rows[shared], self.market)
        return wealth

    def account_equity(self) -> I64 | None:
        """Equity of every account, (R,) settlement units, also of cross rows in several parts; None: no such."""
        rows = self.cross.members(self.market)
        if rows.size == 0:
            return None
        accounts = self.floor.accounts
        equity = accounts.cash[self.settle] - accounts.entry_cost[self.slot]
        equity += self.floor.markets.value(self.market, accounts.position[self.slot], self.cross.marks[self.market])
        equity[rows] = self.cross.equity(rows, self.market)[0]
        return np.asarray(equity, np.int64)

    def force(self, mark_ticks: int, cause: int, now_ms: int) -> tuple[Forced, NDArray[Any]] | None:
        """Cancel the orders of every account below maintenance and write its forced order; None when all are safe.

        `cause` is the seq of the event that moved the mark. Returns the accounts and MESSAGE (n,): cancels, then
        forced orders. Accounts that wait for their next step, or for the end of a margin call, are left alone.
        """
        rules, accounts = self.rules, self.floor.accounts
        rows = self.ladder.crossed(mark_ticks)
        shared = self.cross.below(self.market)
        if shared.size:
            rows = np.union1d(rows, shared)
        if rules.deadline_ms:
            rows = self._after_call(rows, now_ms, cause)
        if rows.size == 0:
            return None
        m = self.market
        at_once = accounts.whole_until_ms[self.slot, rows] > now_ms
        lots, limit, equity, required = size_forced(
            rows, self.wealth(rows), at_once, self.slot, mark_ticks, *self._value, int(self.floor.markets.band[m]),
            rules.limit_rule, rules.fee_rate, rules.sizing, rules.step_share, rules.step_above, rules.tiers_down,
            rules.whole_up_to, rules.margin_share, *self._tiers, accounts.mode, accounts.margin, accounts.position,
            accounts.entry_cost,
        )  # fmt: skip
        waits = accounts.cooldown_until_ms[self.slot, rows] > now_ms
        if waits.any() or rules.straight_to_backstop:
            lost = equity < _at_rate(required, rules.takeover_step)
            lots[waits | (lost & rules.straight_to_backstop)] = 0
            rows, lots, limit, equity = (x[~waits | lost] for x in (rows, lots, limit, equity))
            if rows.size == 0:
                return None
        held = accounts.position[self.slot, rows]
        side = np.where(held > 0, SELL, BUY)
        first = self.floor.log.add(
            LIQUIDATION, rows.size, market=m, asset=self.settle, account=rows, side=side, price_ticks=limit,
            size_lots=lots, amount=equity, reason=BY_LIQUIDATION, cause=cause,
        )  # fmt: skip
        whole = lots == np.abs(held)
        forced = Forced(rows, lots, side, whole, np.arange(first, first + rows.size))
        if rules.deadline_ms:  # the member's position is closed out at the pace of `recheck_ms`
            accounts.cooldown_until_ms[self.slot, rows] = now_ms + rules.recheck_ms
        elif rules.sizing in (SHARE, LOWER_TIER):
            stepped = rows[~whole & (lots > 0)]
            accounts.cooldown_until_ms[self.slot, stepped] = now_ms + rules.recheck_ms
            accounts.whole_until_ms[self.slot, stepped] = now_ms + rules.cooldown_ms
        return forced, joined([self.cancels(rows), self._orders(forced, limit)])

    def _after_call(self, rows: I64, now_ms: int, cause: int) -> I64:
        """Margin calls: of the rows below maintenance those whose time to answer is up. New ones are called."""
        accounts = self.floor.accounts
        until = accounts.call_until_ms[self.slot]
        open_calls = np.flatnonzero((until > 0) & (accounts.venue == self.ladder.venue))
        until[open_calls[~np.isin(open_calls, rows)]] = 0  # answered, or closed
        new = rows[until[rows] == 0]
        until[new] = now_ms + self.rules.deadline_ms
        self.floor.log.add(
            MARGIN_CALL, new.size, market=self.market, asset=self.settle, account=new, cause=cause,
            amount=np.full(new.size, self.rules.deadline_ms),
        )  # fmt: skip
        due: I64 = rows[until[rows] <= now_ms]
        return due

    def cancels(self, rows: I64) -> NDArray[Any]:
        """Messages that cancel every open order of the rows (n,) on all markets of the venue: MESSAGE (orders,)."""
        mask = np.zeros(self.floor.accounts.rows, np.bool_)
        mask[rows] = True
        return self._cancels(self.floor.books.handles_of(mask), self.venue_markets)

    def cancels_in(self, market: int, mask: NDArray[np.bool_]) -> NDArray[Any]:
        """Messages that cancel every open order of the rows in bool (R,) `mask` in one market: MESSAGE (orders,)."""
        return self._cancels(self.floor.books.handles_of(mask, market), np.array([market]))

    def _cancels(self, handles: I64, markets: I64) -> NDArray[Any]:
        """Cancels of those orders (n,) that stand in one of the markets, market by market: MESSAGE (orders,)."""
        orders = taken(self.floor.books.orders, handles & 0xFFFFFFFF)
        found = np.concatenate([np.flatnonzero(orders["market"] == market) for market in markets])
        part = np.zeros(found.size, MESSAGE)
        part["market"], part["account"] = orders["market"][found], orders["account"][found]
        part["op"], part["latency"], part["order"], part["cause"] = CANCEL, CANCEL_FIRST, handles[found], NOBODY
        return part

    def _orders(self, forced: Forced, limit: I64) -> NDArray[Any]:
        orders = np.zeros(forced.rows.size, MESSAGE)
        orders["market"], orders["op"], orders["latency"] = self.market, IOC, FORCED_FIRST
        orders["account"], orders["side"], orders["size_lots"] = forced.rows, forced.side, forced.lots
        orders["price_ticks"], orders["order"], orders["cause"] = limit, NOBODY, forced.seq
        orders["flags"], orders["reason"] = FORCED | REDUCE_ONLY, BY_LIQUIDATION
        return orders[forced.lots > 0]

    def settle_round(self, forced: Forced, fills: NDArray[Any], mark_ticks: int) -> Takeovers:
        """Charge the liquidation fee on what was sold, pay out or top up closed accounts; what the backstop takes.

        `fills` are the FILL (n,) of this round's trade; sets `sold`.
        """
        accounts, markets, m = self.floor.accounts, self.floor.markets, self.market
        own = taken(fills, (fills["market"] == m) & (fills["taker_flags"] & FORCED != 0))
        value = np.abs(markets.value(m, own["size_lots"], own["price_ticks"]))
        rows, rules = forced.rows, self.rules
        sold, ours = np.zeros(accounts.rows, np.int64), np.zeros(accounts.rows, np.bool_)
        np.add.at(sold, own["taker"], value)
        ours[rows] = True
        forced_rows = ours[own["taker"]]  # the fund's own unloading orders also carry the flag
        self.sold = {side: int(value[forced_rows & (own["side"] == side)].sum()) for side in (BUY, SELL)}
        shared = self.cross.belongs(rows, m)
        spare = np.zeros(rows.size, np.int64)
        if shared.any():
            spare[shared] = self.cross.equity(rows[shared], m)[0]
        fee, shortfall, takeover = settle_forced(
            rows, self.wealth(rows), ~shared, spare, forced.whole, sold[rows], self.slot, self.settle, mark_ticks,
            *self._value, rules.fee_rate, rules.takeover_step, rules.takeover_whole, rules.margin_share, self.fund_row,
            *self._tiers, accounts.mode, accounts.cash, accounts.margin, accounts.position, accounts.entry_cost,
        )  # fmt: skip
        accounts.touched[rows] = True
        accounts.touched[self.fund_row] = True
        paid, short, passed = fee > 0, shortfall > 0, takeover != NO_TAKEOVER
        log = self.floor.log
        log.add(
            LIQUIDATION_FEE, int(paid.sum()), market=m, asset=self.settle, account=rows[paid],
            counterparty=self.fund_row, amount=fee[paid], reason=BY_LIQUIDATION, cause=forced.seq[paid],
        )  # fmt: skip
        log.add(
            BAD_DEBT, int(short.sum()), market=m, asset=self.settle, account=self.fund_row, counterparty=rows[short],
            amount=shortfall[short], reason=BY_LIQUIDATION, cause=forced.seq[short],
        )  # fmt: skip
        lots = -accounts.position[self.slot, rows[passed]]
        return Takeovers(rows[passed], lots, takeover[passed], forced.seq[passed])


def _at_rate(amounts: I64, rate: int) -> I64:
    """`units.at_rate_ceil` of each."""
    return np.array([at_rate_ceil(int(amount), rate) for amount in amounts], np.int64)
