"""An exchange: a rule book and a view on its markets and accounts. It marks, liquidates, absorbs and funds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

import mesa
import numpy as np
from numpy.typing import NDArray

from abm.clearing.audit import AuditError
from abm.clearing.trading import TradingFloor
from abm.state import I64, PERPETUAL, SPOT
from abm.venues.desk import ForcedTotals, PerpetualDesk
from abm.venues.preset import VenuePreset

VENUE_ROWS = ("outside world", "fees", "funding remainder", "rounding", "insurance fund")
"""Rows of every venue, first in the account table; their offsets are OUTSIDE_ROW ... FUND_ROW."""
OUTSIDE_ROW, FEES_ROW, REMAINDER_ROW, ROUNDING_ROW, FUND_ROW = range(5)


class AgentNumbers(WeakKeyDictionary[Any, Iterator[int]]):
    """Counters of agents by model that do not keep the model alive, as those of Mesa 3.3 do; later ones need none."""

    def __getitem__(self, model: Any) -> Iterator[int]:
        return self.setdefault(model, count(1))


AGENT_NUMBERS = AgentNumbers()


class Exchange(mesa.Agent):
    """One venue. As a machine it also sends the orders by which its insurance fund unloads what it took over.

    Its rows begin at `first_row`, in the order of `VENUE_ROWS`; other arguments as in `PerpetualDesk`.
    """

    machine = True
    _ids = AGENT_NUMBERS

    def __init__(
        self, model: Any, venue: int, preset: VenuePreset, floor: TradingFloor, first_row: int, start_ticks: I64,
        last_funding_bp: float, start_s: int,
    ) -> None:  # fmt: skip
        super().__init__(model)
        self.name, self.venue, self.preset, self.floor = preset.name, venue, preset, floor
        self.latency = 0
        markets = floor.markets
        own = np.flatnonzero(markets.venue == venue)
        self.fund_row = first_row + FUND_ROW
        floor.fee_row[own] = first_row + FEES_ROW
        floor.forced_fee[own] = markets.taker_fee[own] if preset.liquidation.pays_taker_fee else 0
        spot = int(own[markets.kind[own] == SPOT][0])
        rules = {f"{preset.name}/{r.name}": r for r in preset.perpetual}
        rows = (first_row + REMAINDER_ROW, self.fund_row)
        self.desks = [
            PerpetualDesk(
                rules[markets.names[m]], preset, floor, int(m), spot, rows, start_ticks, last_funding_bp, start_s
            )
            for m in own[markets.kind[own] == PERPETUAL]
        ]

    def decide(self, view: Any, batch: Any) -> None:
        """The fund unloads a share of its inventory a second, by clock: in the first round of a tick only."""
        if view.round == 1:
            for desk in self.desks:
                order = desk.unloading(view.tick_s)
                if order is not None:
                    batch.add(1)[:] = order

    def after_trade(self, handles: I64, offset: int) -> None:
        """Its orders never rest."""

    def fund_equity(self, mark_ticks: I64) -> int:
        """Marked equity of the insurance fund over all perpetuals, settlement units; `mark_ticks` int64 (M,)."""
        accounts = self.floor.accounts
        total = int(accounts.cash[self.desks[0].settle, self.fund_row])
        for desk in self.desks:
            value = int(accounts.position[desk.slot, self.fund_row]) * int(mark_ticks[desk.market]) * desk.tick_value
            total += value - int(accounts.entry_cost[desk.slot, self.fund_row])
        return total


class Exchanges:
    """All venues, phase by phase: each phase runs over all markets from one snapshot.

    `assets` are names by asset id; `start_ticks`, `mark_ticks` and `index_ticks` int64 (M,), for spot the last price.
    """

    def __init__(self, venues: Sequence[Exchange], floor: TradingFloor, assets: list[str], start_ticks: I64) -> None:
        self.venues, self.floor, self.assets = list(venues), floor, assets
        self._start_ticks = start_ticks
        self.desks = [desk for venue in self.venues for desk in venue.desks]
        self.mark_ticks: I64 = start_ticks.copy()
        self.index_ticks: I64 = start_ticks.copy()
        self.forced_any = False
        self.unwound = False
        self._totals = ForcedTotals()
        self._opening_funds = [max(venue.fund_equity(self.mark_ticks), 1) for venue in self.venues]
        for desk in self.desks:
            desk.rebuild()

    def __iter__(self) -> Iterator[Exchange]:
        return iter(self.venues)

    def _now_ms(self, desk: PerpetualDesk) -> int:
        model = self.venues[0].model
        return desk.now_ms(model.tick, model.setup.tick_s)

    def begin_tick(self) -> None:
        """Forget the last tick's totals."""
        self._totals = ForcedTotals()
        self.unwound = False

    def last_ticks(self) -> I64:
        """Last trade price of each market, int64 (M,); the opening price before the first trade."""
        last = self.floor.books.last_ticks()
        return np.where(last > 0, last, self._start_ticks)

    def mark(self) -> None:
        """Every index and mark from one snapshot of the books."""
        last = self.last_ticks()
        for desk in self.desks:
            desk.mark(last, self._now_ms(desk))
            self.index_ticks[desk.market] = desk.index_ticks
        spot = self.floor.markets.kind == SPOT
        self.mark_ticks[spot] = last[spot]
        self.index_ticks[spot] = last[spot]
        for desk in self.desks:
            self.mark_ticks[desk.market] = desk.mark_ticks

    def liquidate(self) -> NDArray[Any] | None:
        """Forced orders of every account below maintenance, and stops that watch the mark: MESSAGE (n,) or None."""
        self.forced_any = False
        tick = self.venues[0].model.tick
        parts = []
        for desk in self.desks:
            stops = desk.due_stops()
            if stops.size:
                parts.append(stops)
            messages = desk.liquidate(tick, self._totals)
            self.forced_any = self.forced_any or desk.forced_any
            if messages is not None:
                parts.append(messages)
        return np.concatenate(parts) if parts else None

    def absorb(self) -> None:
        """Settle this round's forced accounts; the backstop takes what the book did not; losses; deleverage."""
        for desk in self.desks:
            desk.absorb(self._totals)
            # winners' orders are cancelled in the next round: there is one
            self.unwound = self.unwound or desk.unwound
            self.forced_any = self.forced_any or desk.unwound
        self.rebucket()

    def rebucket(self) -> None:
        """New liquidation prices for every row that was touched."""
        touched = self.floor.accounts.touched
        rows = np.flatnonzero(touched)
        if rows.size:
            for desk in self.desks:
                desk.ladder.update(rows, desk.mark_ticks)
            touched[rows] = False

    def fund(self) -> None:
        """Funding, when due: longs and shorts pay each other, zero-sum."""
        paid = [desk.fund(self._now_ms(desk)) for desk in self.desks]
        if any(paid):
            self.rebucket()

    # --- what others ask ----------------------------------------------------------------------------------------------

    def waiting(self) -> int:
        """Accounts that are below maintenance at the present mark and have not been dealt with."""
        return sum(desk.ladder.crossed(desk.mark_ticks).size for desk in self.desks)

    def tick_totals(self) -> ForcedTotals:
        """What was forced in this tick so far."""
        return self._totals

    def fund_equity(self) -> int:
        """Marked equity of all insurance funds, settlement units."""
        return sum(venue.fund_equity(self.mark_ticks) for venue in self.venues)

    def distress(self) -> float:
        """0 = the worst-hit fund is as at the opening, 1 = it is used up."""
        funds = zip(self.venues, self._opening_funds, strict=True)
        left = [venue.fund_equity(self.mark_ticks) / full for venue, full in funds]
        return min(max(1.0 - min(left), 0.0), 1.0)

    def indicated_funding_bp(self, market: int) -> float:
        """The funding rate of a perpetual as it would be fixed now, basis points per 8 hours."""
        return next(desk.funding.indicated_bp_8h for desk in self.desks if desk.market == market)

    def check_ladders(self) -> None:
        """Slow audit of the margin ladders; raises `AuditError`."""
        for desk in self.desks:
            try:
                desk.ladder.check()
            except AssertionError as error:
                raise AuditError(f"margin ladder of {self.floor.markets.names[desk.market]}: {error}") from error

