"""A venue without traders, for tests of the engine: accounts are given, the book is filled by hand, the mark is set."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import mesa
import numpy as np
from numpy.typing import NDArray

from abm.book.books import Books
from abm.clearing.audit import audit_money, audit_structure
from abm.clearing.trading import TradingFloor
from abm.events import EventLog
from abm.state import (
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
from abm.units import MICRO
from abm.venues.exchange import FUND_ROW, OUTSIDE_ROW, VENUE_ROWS, Exchange, Exchanges
from abm.venues.preset import VenuePreset, build_markets, load_preset

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
    """One venue with `n` isolated accounts after a deep pocket; marks are forced with `set_mark`."""

    def __init__(
        self,
        n: int,
        rules: VenuePreset,
        start_usd: float = 100_000.0,
        fund_usd: int = 1_000_000_000,
        self_trade: int = 0,
        level: str = "fills",
        levels: int = 1 << 20,
    ) -> None:
        self.markets = build_markets([rules])
        self.perp = int(np.flatnonzero(self.markets.kind == PERPETUAL)[0])
        self.spot = int(np.flatnonzero(self.markets.kind == SPOT)[0])
        self.accounts = Accounts.empty(FIRST + n, 2, 1, self.markets.count)
        a = self.accounts
        a.kind[: len(VENUE_ROWS)] = OUTSIDE, FEES, FUNDING_REMAINDER, ROUNDING, FUND
        a.mode[FIRST:] = ISOLATED
        a.cash[0, DEEP_POCKET] = 10**17
        a.cash[1, DEEP_POCKET] = 10**16
        a.cash[0, FUND_ROW] = fund_usd * MICRO
        self.start = np.rint(start_usd / self.markets.tick_dollars).astype(np.int64)
        self.log = EventLog(level)
        books = Books(self.markets.count, [max(int(t) - levels // 2, 1) for t in self.start], levels, self_trade)
        self.floor = TradingFloor(self.markets, a, books, self.log, 1)
        self.model = mesa.Model(rng=1)
        self.model.tick, self.model.round = 0, 0  # type: ignore[attr-defined]
        self.model.setup = SimpleNamespace(tick_s=1.0)  # type: ignore[attr-defined]
        self.exchange = Exchange(self.model, 0, rules, self.floor, 0, self.start, 0.0, 75_000)
        self.exchanges = Exchanges([self.exchange], self.floor, ["USDT", "BTC"], self.start)
        self.desk = self.exchange.desks[0]
        self.settle_outside()

    def settle_outside(self) -> None:
        """Whatever was put into accounts by hand came from the outside world."""
        a = self.accounts
        a.cash[:, OUTSIDE_ROW] = 0
        a.cash[:, OUTSIDE_ROW] = -a.cash.sum(axis=1)
        a.cash[0, OUTSIDE_ROW] -= int((a.margin - a.entry_cost).sum())
        self.floor.net_lots[:] = a.position.reshape(-1)
        self.exchanges = Exchanges([self.exchange], self.floor, ["USDT", "BTC"], self.start)

    def hold(self, i: int, lots: int, leverage: int, entry_ticks: int | None = None) -> int:
        """Give account i a position and its isolated margin, the deep pocket the other side. Returns the row."""
        a, row = self.accounts, FIRST + i
        entry = int(self.start[self.perp]) if entry_ticks is None else entry_ticks
        value = lots * entry * int(self.markets.tick_value[self.perp])
        a.leverage[row] = leverage
        a.margin[0, row] = -(-abs(value) // leverage)
        a.position[0, row], a.entry_cost[0, row] = lots, value
        a.position[0, DEEP_POCKET] -= lots
        a.entry_cost[0, DEEP_POCKET] -= value
        self.settle_outside()
        return row

    def quote(
        self, side: int, prices_ticks: Any, lots: Any, account: int = DEEP_POCKET, market: int | None = None
    ) -> None:
        """Limit orders of the deep pocket."""
        prices = np.atleast_1d(prices_ticks)
        orders = np.zeros(prices.size, MESSAGE)
        orders["market"] = self.perp if market is None else market
        orders["account"], orders["op"], orders["side"] = account, LIMIT, side
        orders["price_ticks"], orders["size_lots"], orders["order"], orders["cause"] = prices, lots, NOBODY, NOBODY
        self.floor.trade(orders, self.exchanges.mark_ticks, 0)

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

    def set_mark(self, ticks: int) -> None:
        """Put the mark somewhere without a trade."""
        self.desk.mark_ticks = ticks
        self.exchanges.mark_ticks[self.perp] = ticks

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
        audit_money(self.floor, ["USDT", "BTC"])
        audit_structure(self.floor)
        self.exchanges.check_ladders()

    @property
    def fund_cash(self) -> int:
        return int(self.accounts.cash[0, FUND_ROW])
