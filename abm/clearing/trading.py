"""One trade: admit -> match -> post -> release, all markets at once. Every order and every fill goes through here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.book.books import Books
from abm.clearing.admit_kernel import admit
from abm.clearing.event_kernel import log_fills
from abm.clearing.order_kernel import priorities
from abm.clearing.post_kernel import post, post_off_book, release
from abm.events import (
    DELEVERAGE,
    FILL_EVENT,
    ORDINARY,
    PLACE,
    REMOVE,
    TRANSFER,
    EventLog,
)
from abm.records import taken
from abm.state import FILL, I64, NOBODY, PERPETUAL, REFUSED, UNCOVERED, Accounts, Markets

_NO_FILLS = np.zeros(0, FILL)
LOWEST = np.iinfo(np.int64).max


@dataclass(slots=True)
class Tally:
    """What traded since the last `reset_tally`: int64 (M,), and numbers over all markets."""

    volume_lots: I64
    net_taker_lots: I64
    high_ticks: I64  # 0 = nothing traded
    low_ticks: I64
    messages: int = 0
    fills: int = 0
    refused: int = 0


class TradingFloor:
    """The shared place of all venues where batches of messages become fills and money.

    `fee_row` (M,) and `forced_fee` (M,) come from the venues: where fees go and what a forced order pays as taker.
    """

    def __init__(self, markets: Markets, accounts: Accounts, books: Books, log: EventLog, seed: int) -> None:
        self.markets, self.accounts, self.books, self.log, self.seed = markets, accounts, books, log, seed
        count = markets.count
        self.seeds, self.first_row = np.full(count, seed, np.int64), np.zeros(count, np.int64)
        """By which the order of a batch is drawn, (M,): seed and first row of each market's venue."""
        self.fee_row = np.zeros(count, np.int32)
        self.forced_fee = np.zeros(count, np.int64)
        self.last_fill_seq = np.full(count, NOBODY, np.int64)
        self.next_order = 0
        self.fills: NDArray[Any] = _NO_FILLS
        """Fills of the latest trade, valid until the next."""
        self.least_reserved = 0
        """The least that any order left in reserve, if below zero: that must not be."""
        self._tally = np.zeros((count, 5), np.int64)
        self._messages = self._fills = self._refused = 0
        slots = accounts.position.shape[0]
        venues = int(markets.venue.max()) + 1
        assets = accounts.cash.shape[0]
        self.collateral = np.zeros((venues, assets, assets), np.int64)
        """What `COLLATERAL_UNITS` of the second asset count as margin of cross rows in the first, (V, A, A)."""
        self.perp_of_slot = np.full((venues, slots), NOBODY, np.int32)
        for m in range(count):
            if markets.kind[m] == PERPETUAL:
                self.perp_of_slot[markets.venue[m], markets.slot[m]] = m
        # the book's own copy of the positions, kept current inside a batch to clip reduce-only orders
        self.net_lots = accounts.position.copy().reshape(-1)
        self.net_offset = np.where(markets.kind == PERPETUAL, markets.slot.astype(np.int64) * accounts.rows, NOBODY)
        self.reset_tally()

    @cached_property
    def rows_of_venues(self) -> list[tuple[int, slice]]:
        """Venue and rows of each stretch of the account table: rows of a venue stand together."""
        venue = self.accounts.venue
        edges = np.concatenate([[0], np.flatnonzero(np.diff(venue)) + 1, [venue.size]]).tolist()
        return [(int(venue[first]), slice(first, end)) for first, end in pairwise(edges)]

    def reset_tally(self) -> None:
        """Start counting afresh; once a tick."""
        self._tally[:] = 0
        self._tally[:, 3] = LOWEST
        self._messages = self._fills = self._refused = 0

    def tally(self) -> Tally:
        """What traded since `reset_tally`, a copy."""
        low = np.where(self._tally[:, 3] == LOWEST, 0, self._tally[:, 3])
        volume, net, high = (self._tally[:, column].copy() for column in range(3))
        return Tally(volume, net, high, low, self._messages, self._fills, self._refused)

    def trade(self, messages: NDArray[Any], mark_ticks: I64, moment: int, in_order: bool = False) -> I64:
        """Execute a batch; returns, per message as given, the handle of what rests. The fills are then in `self.fills`.

        `messages` MESSAGE (n,), any order; `mark_ticks` int64 (M,); `moment` keys the draws of the batch's order;
        `in_order` executes it as given (auctions).
        Handles int64 (n,), NOBODY where nothing rests. A refused message is no error; a batch beyond the stated limits
        of the books raises `BookLimitError`.
        """
        n = messages.size
        handles = np.full(n, NOBODY, np.int64)
        self.fills = _NO_FILLS
        if n == 0:
            return handles
        order = np.arange(n) if in_order else self._order(messages, moment)
        batch = taken(messages, order)
        self._admit(batch, mark_ticks)
        outcome = self.books.match(batch, self.net_lots, self.net_offset, self.log.next_seq)
        fees = np.empty((outcome.fills.size, 2), np.int64)
        self._post(outcome.fills, fees, mark_ticks)
        m, a = self.markets, self.accounts
        least = release(outcome.closes, m.kind, m.slot, m.settle, m.base, a.reserved, a.open_bid, a.open_ask)
        self.least_reserved = min(self.least_reserved, least)
        self._log_trade(batch, outcome.fills, fees, outcome.closes, outcome.handles)
        handles[order] = outcome.handles
        self._messages += n
        self._fills += outcome.fills.size
        self.fills = outcome.fills
        return handles

    def _order(self, messages: NDArray[Any], moment: int) -> I64:
        """Positions of the messages in the order of their execution, int64 (n,)."""
        return np.argsort(priorities(messages, self.seeds, self.first_row, moment), kind="stable")

    def _admit(self, batch: NDArray[Any], mark_ticks: I64) -> None:
        m, a = self.markets, self.accounts
        refused = admit(
            batch, self.books.orders, mark_ticks, m.kind, m.venue, m.slot, m.settle, m.base, m.tick_value, m.inverse,
            m.lot_units, m.taker_fee, m.band, m.price_filter, self.perp_of_slot, m.tier_floor, m.tier_leverage,
            self.collateral, a.mode, a.leverage, a.cash, a.reserved, a.margin, a.position, a.entry_cost, a.open_bid,
            a.open_ask, self.next_order,
        )  # fmt: skip
        self.next_order += batch.size
        self._refused += refused

    def _post(self, fills: NDArray[Any], fees: I64, mark_ticks: I64) -> None:
        m, a = self.markets, self.accounts
        if fills.size == 0:
            return
        least = post(
            fills, fees, self.fee_row, mark_ticks, m.kind, m.slot, m.settle, m.base, m.tick_value, m.inverse,
            m.lot_units, m.taker_fee, m.maker_fee, self.forced_fee, a.mode, a.leverage, a.cash, a.reserved, a.margin,
            a.position, a.entry_cost, a.open_bid, a.open_ask, a.touched, self._tally,
        )  # fmt: skip
        self.least_reserved = min(self.least_reserved, least)

    def _log_trade(
        self, batch: NDArray[Any], fills: NDArray[Any], fees: I64, closes: NDArray[Any], handles: I64
    ) -> None:
        m, log = self.markets, self.log
        if fills.size:
            first, rows = log.next_seq, log.room(fills.size)
            log_fills(
                rows, fills, fees, self.last_fill_seq, first, log.tick, log.round, FILL_EVENT, m.settle, m.tick_value,
                m.inverse,
            )  # fmt: skip
        if self.log.keeps_orders:
            self._log_orders(batch, closes, handles)

    def _log_orders(self, batch: NDArray[Any], closes: NDArray[Any], handles: I64) -> None:
        placed = batch[handles != NOBODY]
        self.log.add(
            PLACE, placed.size, market=placed["market"], account=placed["account"], side=placed["side"],
            order_id=placed["order"], price_ticks=placed["price_ticks"], size_lots=placed["size_lots"],
            reason=placed["reason"], cause=placed["cause"],
        )  # fmt: skip
        self.log.add(
            REMOVE, closes.size, market=closes["market"], account=closes["account"], side=closes["side"],
            order_id=closes["order"], size_lots=closes["size_lots"], reason=closes["reason"],
        )  # fmt: skip
        refused = batch[batch["op"] == REFUSED]
        self.log.add(
            REMOVE, refused.size, market=refused["market"], account=refused["account"], side=refused["side"],
            order_id=refused["order"], price_ticks=refused["price_ticks"], size_lots=refused["size_lots"],
            reason=UNCOVERED,
        )  # fmt: skip

    # --- postings outside the book ------------------------------------------------------------------------------------

    def pass_positions(
        self, kind: int, market: int, account: I64, counterparty: I64, lots: I64, value: I64, cause: I64
    ) -> None:
        """TAKEOVER or DELEVERAGE (`kind`): `account` trades signed `lots` at exact signed `value` with `counterparty`.

        All int64 (n,); value in settlement units, rows of one venue; `cause` is the seq that set it off.
        """
        if account.size == 0:
            return
        m, a = self.markets, self.accounts
        slot, settle = int(m.slot[market]), int(m.settle[market])
        post_off_book(
            account, counterparty, lots, value, slot, settle, a.mode, a.cash, a.margin, a.position, a.entry_cost,
            a.touched,
        )  # fmt: skip
        both = np.concatenate([account, counterparty])
        self.net_lots[self.net_offset[market] + both] = a.position[slot, both]
        if kind == DELEVERAGE:
            a.deleveraged[slot, counterparty] += np.abs(lots)  # no winner twice in one call
        size = np.maximum(np.abs(lots), 1)
        if m.inverse[market]:
            price = int(m.inverse[market]) // np.maximum(np.abs(value) // size, 1)
        else:
            price = np.abs(value) // (size * m.tick_value[market])
        self.log.add(
            kind, account.size, market=market, asset=settle, account=account, counterparty=counterparty,
            side=np.sign(lots), price_ticks=price, size_lots=np.abs(lots), amount=value, cause=cause,
        )  # fmt: skip

    def transfer(self, payer: int, receiver: int, asset: int, amount: int, reason: int = ORDINARY) -> None:
        """Move units of an asset between rows; `reason` is a code of `abm.events`. Cover is the caller's business."""
        cash = self.accounts.cash
        cash[asset, payer] -= amount
        cash[asset, receiver] += amount
        self.accounts.touched[[payer, receiver]] = True
        self.log.add(TRANSFER, asset=asset, account=payer, counterparty=receiver, amount=amount, reason=reason)
