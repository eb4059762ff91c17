"""How a simulation is put together: markets, rows, participants, opening balances. Used once, by `MarketModel`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from abm.book.books import Books
from abm.clearing.trading import TradingFloor
from abm.events import EventLog
from abm.state import FEES, FUND, FUNDING_REMAINDER, I64, OUTSIDE, PERPETUAL, ROUNDING, SPOT, Accounts
from abm.traders.arbitrageurs import Arbitrageurs
from abm.traders.base import Participant, World
from abm.traders.hedgers import Hedgers
from abm.traders.makers import Makers
from abm.traders.noise import Noise
from abm.traders.retail import RetailCohort
from abm.traders.retail_trader import individually
from abm.traders.treasury import Treasury
from abm.traders.value_buyers import ValueBuyers
from abm.units import MICRO
from abm.venues.exchange import (
    FEES_ROW,
    FUND_ROW,
    OUTSIDE_ROW,
    REMAINDER_ROW,
    ROUNDING_ROW,
    VENUE_ROWS,
    Exchange,
    Exchanges,
)
from abm.venues.preset import asset_names, build_markets

if TYPE_CHECKING:
    from abm.model import MarketModel

LEVELS = 1 << 20
"""Ticks that a book covers at first, three quarters of them below the opening price; it grows when needed."""


class Opening:
    """Everything a `MarketModel` starts with. Row layout: each venue's own rows, then the participants, retail last.

    `level` is what the event log keeps (`abm.events.LEVELS`). `start_ticks` int64 (M,): opening price of each market.
    """

    def __init__(self, model: MarketModel, level: str) -> None:
        self.model, self.scenario = model, model.setup
        presets = [self.scenario.venue]
        self.markets = build_markets(presets)
        self.assets = asset_names(presets)
        self.perp = int(np.flatnonzero(self.markets.kind == PERPETUAL)[0])
        self.spot = int(np.flatnonzero(self.markets.kind == SPOT)[0])
        self.usdt, self.btc = int(self.markets.settle[self.perp]), int(self.markets.base[self.spot])
        self.start_ticks = np.rint(self.scenario.world.start_price_usd / self.markets.tick_dollars).astype(np.int64)
        self.log = EventLog(level)
        self._participants(model)
        self._rows()
        self.books = self._books()
        self.floor = TradingFloor(self.markets, self.accounts, self.books, self.log, self.scenario.seed)
        self._bind()
        self.floor.net_lots[:] = self.accounts.position.reshape(-1)
        start = self.scenario.start
        start_s = start.hour * 3600 + start.minute * 60 + start.second
        last_funding_bp = self.scenario.state.last_funding_bp
        exchange = Exchange(model, 0, presets[0], self.floor, 0, self.start_ticks, last_funding_bp, start_s)
        self.exchanges = Exchanges([exchange], self.floor, self.assets, self.start_ticks)
        self.machines.append(exchange)

    def _participants(self, model: MarketModel) -> None:
        s = self.scenario
        retail = s.retail.model_copy(update={"accounts": s.accounts})
        self.retail = RetailCohort(model, retail)
        self.makers = Makers(model, s.makers)
        self.hedgers = Hedgers(model, s.hedgers)
        noise, value = Noise(model, s.noise), ValueBuyers(model, s.value_buyers)
        arbitrage = Arbitrageurs(model, s.arbitrageurs)
        self.treasuries = [Treasury(model, p) for p in s.treasuries]
        self.people: list[Participant] = [self.retail, noise, value, self.hedgers, *self.treasuries]
        self.machines: list[Participant | Exchange] = [self.makers, arbitrage]
        self.in_row_order: list[Participant] = [
            self.makers, arbitrage, self.hedgers, noise, value, *self.treasuries, self.retail
        ]  # fmt: skip

    def _rows(self) -> None:
        first = len(VENUE_ROWS)
        for participant in self.in_row_order:
            n = participant.rows_needed()
            participant.rows = np.arange(first, first + n, dtype=np.int64)
            first += n
        slots = int(self.markets.slot.max()) + 1
        self.accounts = Accounts.empty(first, len(self.assets), slots, self.markets.count)
        rows = [OUTSIDE_ROW, FEES_ROW, REMAINDER_ROW, ROUNDING_ROW, FUND_ROW]
        self.accounts.kind[rows] = OUTSIDE, FEES, FUNDING_REMAINDER, ROUNDING, FUND

    def _books(self) -> Books:
        base = [max(int(ticks) - (3 * LEVELS) // 4, 1) for ticks in self.start_ticks]
        count = self.markets.count
        modes = [self.scenario.venue.self_trade_mode] * count
        return Books(count, base, [LEVELS] * count, modes, capacity=1 << 16)

    def _bind(self) -> None:
        """Deposits and opening positions; the hedgers hold what makes the positions sum to zero; money from outside."""
        start = self.scenario.start
        world = World(
            self.scenario.seed, self.markets, self.accounts, self.books, self.perp, self.spot, self.usdt, self.btc,
            self.start_ticks, float(start.hour * 3600 + start.minute * 60 + start.second),
        )  # fmt: skip
        for participant in self.in_row_order:
            participant.bind(world)
        slot = int(self.markets.slot[self.perp])
        a = self.accounts
        self.hedgers.balance(world, -int(a.position[slot].sum()))
        fund: I64 = np.array([FUND_ROW])
        world.deposit(fund, self.usdt, np.array([self.scenario.venue.backstop.size_usd * MICRO]))
        a.cash[:, OUTSIDE_ROW] = -a.cash.sum(axis=1)
        a.cash[self.usdt, OUTSIDE_ROW] -= int((a.margin - a.entry_cost).sum())
        if self.scenario.individual:
            individually(self.retail)
