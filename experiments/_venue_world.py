"""One venue without traders: accounts are given, the book is filled by hand. For engine tests and for theory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.book.books import Books
from abm.clearing.audit import audit_money, audit_structure
from abm.clearing.trading import TradingFloor
from abm.events import EventLog
from abm.state import (
    CROSS,
    FEES,
    FUND,
    FUNDING_REMAINDER,
    I64,
    ISOLATED,
    LIMIT,
    MESSAGE,
    NOBODY,
    OUTSIDE,
    PERPETUAL,
    ROUNDING,
    SPOT,
    Accounts,
)
from abm.units import MICRO, RATE_ONE
from abm.venues.exchange import FUND_ROW, OUTSIDE_ROW, VENUE_ROWS, Clock, Exchange, Exchanges
from abm.venues.preset import VenuePreset, asset_names, build_markets, load_preset

DEEP_POCKET = len(VENUE_ROWS)
"""Row of an unlevered account that provides the book."""
FIRST = DEEP_POCKET + 1


def preset(mmr: str = "0.005", leverage: int = 100, **liquidation: Any) -> VenuePreset:
    """The packaged venue with one flat tier, no trading fees, and the given liquidation rules."""
    base = load_preset("binance-2025-10")
    tier = base.perpetual[0].tiers[0].model_copy(update={"maintenance": mmr, "leverage": leverage})
    perp = base.perpetual[0].model_copy(
        update={"tiers": (tier,), "taker_fee": "0", "maker_fee": "0", "price_band": "0.5", "price_filter": "0.5"}
    )
    rules = base.liquidation.model_copy(update=liquidation)
    return base.model_copy(update={"perpetual": (perp,), "liquidation": rules})


class VenueWorld:
    """One venue with `n` isolated accounts after a deep pocket; marks follow the venue's rule or `set_mark`.

    `start_usd`: opening price of every coin, or by the name of the asset. `fund_usd` is in the first asset of the
    preset, dollars. `day_ms`: midnight before the opening, milliseconds since 1970. `perp`, `spot` and `desk` are the
    first of their kind.
    """

    def __init__(
        self,
        n: int,
        rules: VenuePreset,
        start_usd: float | Mapping[str, float] = 100_000.0,
        fund_usd: int = 1_000_000_000,
        self_trade: int = 0,
        level: str = "fills",
        levels: int = 1 << 20,
        day_ms: int = 0,
    ) -> None:
        self.assets = asset_names([rules])
        self.markets = build_markets([rules])
        self.perp = int(np.flatnonzero(self.markets.kind == PERPETUAL)[0])
        self.spot = int(np.flatnonzero(self.markets.kind == SPOT)[0])
        slots = len(rules.perpetual)
        self.accounts = Accounts.empty(FIRST + n, len(self.assets), slots)
        a = self.accounts
        a.kind[: len(VENUE_ROWS)] = OUTSIDE, FEES, FUNDING_REMAINDER, ROUNDING, FUND
        a.mode[FIRST:] = ISOLATED
        a.cash[0, DEEP_POCKET] = 10**17
        a.cash[1:, DEEP_POCKET] = 10**16
        a.cash[0, FUND_ROW] = fund_usd * MICRO
        usd = [start_usd if isinstance(start_usd, float) else start_usd[self.assets[b]] for b in self.markets.base]
        self.start = np.rint(np.array(usd) / self.markets.tick_dollars).astype(np.int64)
        self.log = EventLog(level)
        books = Books(self.markets.count, [max(int(t) - levels // 2, 1) for t in self.start], levels, self_trade)
        self.floor = TradingFloor(self.markets, a, books, self.log, 1)
        self.model = Clock()
        self.exchange = Exchange(self.model, 0, rules, self.floor, 0, self.start, 0.0, 75_000, day_ms)
        self.desk = self.exchange.desks[0]
        self.settle_outside()

    def settle_outside(self) -> None:
        """Whatever was put into accounts by hand came from the outside world."""
        a = self.accounts
        a.cash[:, OUTSIDE_ROW] = 0
        a.cash[:, OUTSIDE_ROW] = -a.cash.sum(axis=1)
        for slot, settle in zip(self._slots(), self._settles(), strict=True):
            a.cash[settle, OUTSIDE_ROW] -= int((a.margin[slot] - a.entry_cost[slot]).sum())
        self.floor.net_lots[:] = a.position.reshape(-1)
        self.exchanges = Exchanges([self.exchange], self.floor, self.assets, self.start)

    def _slots(self) -> list[int]:
        return [int(slot) for slot in self.markets.slot[self.markets.kind == PERPETUAL]]

    def _settles(self) -> list[int]:
        return [int(asset) for asset in self.markets.settle[self.markets.kind == PERPETUAL]]

    def hold(
        self, i: int, lots: int, leverage: int, entry_ticks: int | None = None, market: int | None = None,
        cross: bool = False,
    ) -> int:  # fmt: skip
        """Give account i a position and its margin, isolated or as cash, the deep pocket the other side: the row."""
        a, row, m = self.accounts, FIRST + i, self.perp if market is None else market
        slot, settle = int(self.markets.slot[m]), int(self.markets.settle[m])
        value = int(self.markets.value(m, lots, int(self.start[m]) if entry_ticks is None else entry_ticks))
        margin = -(-abs(value) // leverage)
        a.leverage[row] = leverage
        if cross:
            a.mode[row] = CROSS
            a.cash[settle, row] += margin
        else:
            a.margin[slot, row] = margin
        a.position[slot, row], a.entry_cost[slot, row] = lots, value
        a.position[slot, DEEP_POCKET] -= lots
        a.entry_cost[slot, DEEP_POCKET] -= value
        self.settle_outside()
        return row

    def market_of(self, instrument: str) -> int:
        """Market id of an instrument of the preset."""
        return self.markets.names.index(f"{self.exchange.name}/{instrument}")

    def hold_until(self, first: int, lots: ArrayLike, liquidation_ticks: ArrayLike) -> I64:
        """Longs from account `first` on, bought at the start, with just the margin that fails at a given tick.

        `lots` and `liquidation_ticks` int64 (n,): largest mark at which each is below maintenance (one flat tier). The
        deep pocket takes the other side. Returns the rows.
        """
        size, ticks = np.atleast_1d(np.asarray(lots, np.int64)), np.asarray(liquidation_ticks, np.int64)
        a, m = self.accounts, self.perp
        rows = np.arange(FIRST + first, FIRST + first + size.size)
        per_tick = int(self.markets.tick_value[m])
        kept = RATE_ONE - int(self.markets.tier_maintenance[m, 0])
        owed = (2 * ticks + 1) * per_tick * kept // (2 * RATE_ONE)  # a lot's debt: midway between two ticks
        value = size * int(self.start[m]) * per_tick
        a.position[0, rows], a.entry_cost[0, rows], a.margin[0, rows] = size, value, value - size * owed
        a.position[0, DEEP_POCKET] -= size.sum()
        a.entry_cost[0, DEEP_POCKET] -= value.sum()
        self.settle_outside()
        return rows

    def quote(
        self, side: int, prices_ticks: Any, lots: Any, account: int = DEEP_POCKET, market: int | None = None
    ) -> I64:
        """Limit orders, of the deep pocket unless `account` says otherwise. Returns their handles."""
        prices = np.atleast_1d(prices_ticks)
        orders = np.zeros(prices.size, MESSAGE)
        orders["market"] = self.perp if market is None else market
        orders["account"], orders["op"], orders["side"] = account, LIMIT, side
        orders["price_ticks"], orders["size_lots"], orders["order"], orders["cause"] = prices, lots, NOBODY, NOBODY
        return self.floor.trade(orders, self.exchanges.mark_ticks, 0)

    def send(self, *messages: NDArray[Any]) -> I64:
        """One batch of messages made by `message`; those of one account keep their order. Returns their handles."""
        handles = self.floor.trade(np.concatenate(messages), self.exchanges.mark_ticks, 0)
        self.exchanges.rebucket()
        return handles

    def message(self, account: int, op: int, side: int = 0, size_lots: int = 0, **fields: int) -> NDArray[Any]:
        """One message of a row, on the perpetual unless `market` says otherwise."""
        one = np.zeros(1, MESSAGE)
        one["market"], one["order"], one["cause"] = self.perp, NOBODY, NOBODY
        one["account"], one["op"], one["side"], one["size_lots"] = account, op, side, size_lots
        for name, value in fields.items():
            one[name] = value
        return one

    def set_mark(self, ticks: int, market: int | None = None) -> None:
        """Put the mark (of a spot market: its price) somewhere without a trade."""
        m = self.perp if market is None else market
        for desk in self.exchange.desks:
            if desk.market == m:
                desk.mark_ticks = ticks
        self.exchanges.mark_ticks[m] = ticks
        self.exchange.cross.revalue(self.exchanges.mark_ticks)

    def liquidate_until_quiet(self, rounds: int = 8) -> None:
        """Rounds of liquidation at the present mark, audited."""
        self.exchanges.rebucket()
        for _ in range(rounds):
            forced = self.exchanges.liquidate()
            if forced is not None:
                self.floor.trade(forced, self.exchanges.mark_ticks, 1)
            else:
                self.floor.fills = self.floor.fills[:0]
            self.exchanges.absorb()
            self.audit()
            if not self.exchanges.forced_any:
                return

    def audit(self) -> None:
        """Money, books, reserves and ladders, from scratch; raises `AuditError`."""
        audit_money(self.floor, self.assets)
        audit_structure(self.floor)
        self.exchanges.check_ladders()

    @property
    def fund_cash(self) -> int:
        """Cash of the insurance fund in settlement units."""
        return int(self.accounts.cash[0, FUND_ROW])
