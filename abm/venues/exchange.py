"""An exchange: a rule book and a view on its markets and accounts. It marks, liquidates, absorbs and funds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

import mesa
import numpy as np
from numpy.typing import NDArray

from abm.clearing.audit import AuditError
from abm.clearing.cross import CrossMargin
from abm.clearing.trading import TradingFloor
from abm.records import joined
from abm.state import I64, PERPETUAL, SPOT
from abm.units import INT64_MAX, rate_units
from abm.venues.basket import basket_of
from abm.venues.desk import ForcedTotals, PerpetualDesk, Snapshot
from abm.venues.halts import Halts
from abm.venues.preset import HoursRules, VenuePreset

VENUE_ROWS = ("outside world", "fees", "funding remainder", "rounding", "insurance fund")
"""Rows of every venue, first in the account table; their offsets are OUTSIDE_ROW ... FUND_ROW."""
OUTSIDE_ROW, FEES_ROW, REMAINDER_ROW, ROUNDING_ROW, FUND_ROW = range(5)


class AgentNumbers(WeakKeyDictionary[Any, Iterator[int]]):
    """Counters of agents by model that do not keep the model alive, as those of Mesa 3.3 do; later ones need none."""

    def __getitem__(self, model: Any) -> Iterator[int]:
        return self.setdefault(model, count(1))


AGENT_NUMBERS = AgentNumbers()


@dataclass(eq=False)
class Clock:
    """What an exchange asks of its model: the time. For venues without a Mesa model around them."""

    tick: int = 0
    round: int = 0
    setup: Any = field(default_factory=lambda: SimpleNamespace(tick_s=1.0))

    def register_agent(self, agent: Any) -> None:
        """An exchange says that it is there; nobody schedules it."""
        agent.unique_id = 1


class Exchange(mesa.Agent):
    """One venue. As a machine it also sends the orders by which its insurance fund unloads what it took over.

    Its rows begin at `first_row`, in the order of `VENUE_ROWS`; `day_ms` is the midnight before the opening in
    milliseconds since 1970 (for expiries); other arguments as in `PerpetualDesk`.
    """

    machine = True
    _ids = AGENT_NUMBERS

    def __init__(
        self, model: Any, venue: int, preset: VenuePreset, floor: TradingFloor, first_row: int, start_ticks: I64,
        last_funding_bp: float, start_s: int, day_ms: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(model)
        self.name, self.venue, self.seat, self.preset, self.floor = preset.name, venue, venue, preset, floor
        self.latency = 0
        markets = floor.markets
        own = np.flatnonzero(markets.venue == venue)
        self.fund_row, self.rounding_row, self.day_ms = first_row + FUND_ROW, first_row + ROUNDING_ROW, day_ms
        floor.fee_row[own] = first_row + FEES_ROW
        floor.forced_fee[own] = markets.taker_fee[own] if preset.liquidation.pays_taker_fee else 0
        spots = own[markets.kind[own] == SPOT]
        self.cross = CrossMargin(floor, venue, self._haircuts(preset, spots))
        rules = {f"{preset.name}/{r.name}": r for r in preset.perpetual}
        rows = (first_row + REMAINDER_ROW, self.fund_row)
        spot_of = {int(markets.base[spot]): int(spot) for spot in spots[::-1]}
        self.desks = [
            PerpetualDesk(
                *(rules[markets.names[m]], preset, floor, int(m), spot_of[int(markets.base[m])]),
                *(self.cross, rows, start_ticks, last_funding_bp, start_s),
            )
            for m in own[markets.kind[own] == PERPETUAL]
        ]

    def _haircuts(self, preset: VenuePreset, spots: I64) -> dict[int, int]:
        """Haircut (1e-8) by asset id of what is collateral without settling any position; `spots` are market ids."""
        markets = self.floor.markets
        settling = markets.settle[(markets.venue == self.venue) & (markets.kind == PERPETUAL)]
        stated = {asset.name: asset.haircut for asset in preset.assets if asset.haircut is not None}
        found = {}
        for market, rules in zip(spots.tolist(), preset.spot, strict=True):
            if rules.base in stated and markets.base[market] not in settling:
                found[int(markets.base[market])] = rate_units(stated[rules.base])
        return found

    def decide(self, view: Any, batch: Any) -> None:
        """The fund unloads a share of its inventory a second, by clock: in the first round of a tick only.

        Coins that it seized it sells in the venue's own spot market.
        """
        if view.round == 1:
            for desk in self.desks:
                order = desk.unloading(view.tick_s)
                if order is not None:
                    batch.add(1)[:] = order
            for spot, lots in self.cross.seized_lots(self.fund_row):
                batch.add(1)[:] = self.desks[0].unloading_in(spot, lots, int(view.last_ticks[spot]), view.tick_s)

    def after_trade(self, handles: I64, offset: int) -> None:
        """Nothing to remember of `handles` (n,): its orders never rest."""

    def fund_equity(self, mark_ticks: I64) -> int:
        """Marked equity of the insurance fund in the asset of the first perpetual, units; `mark_ticks` int64 (M,)."""
        accounts, markets = self.floor.accounts, self.floor.markets
        settle = self.desks[0].settle
        total = int(accounts.cash[settle, self.fund_row]) + self.cross.seized_value(self.fund_row, settle)
        for desk in self.desks:
            held = int(accounts.position[desk.slot, self.fund_row])
            if held and desk.settle == settle:
                value = markets.value_of(desk.market, held, int(mark_ticks[desk.market]))
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
        self._desk_of = {desk.market: desk for desk in self.desks}
        self.mark_ticks: I64 = start_ticks.copy()
        self.index_ticks: I64 = start_ticks.copy()
        self.forced_any = False
        self.unwound = False
        self.halts = Halts(floor)
        self._changed: list[I64] = []
        self._untraded = True
        """Whether some market has had no trade yet."""
        self._spots = np.flatnonzero(floor.markets.kind == SPOT)
        self._dated = [(venue, desk) for venue in self.venues for desk in venue.desks if desk.expiry_ms]
        self._breakers = [desk.breaker for desk in self.desks if desk.breaker is not None]
        self.watchers: list[Any] = []
        """Policies: `after_mark(exchanges, now_ms)` is called with each new mark."""
        self._totals = {desk.market: ForcedTotals() for desk in self.desks}
        self.note_opening_funds()
        everyone = np.arange(floor.accounts.rows)
        for venue in self.venues:
            venue.cross.note(everyone)
            venue.cross.revalue(self.mark_ticks)
        for desk in self.desks:
            desk.rebuild()
            desk.backstop.note(everyone)
            if desk.mark_rules.index == "basket":
                oracle = desk.mark_rules.rule == "median-oracle-ema"
                names = [venue.name for venue in self.venues]
                desk.basket = basket_of(desk.mark_rules.basket, desk.market, floor.markets, names, oracle)

    def note_opening_funds(self) -> None:
        """The funds as they are now count as undistressed."""
        self._opening_funds = [max(venue.fund_equity(self.mark_ticks), 1) for venue in self.venues]

    def __iter__(self) -> Iterator[Exchange]:
        return iter(self.venues)

    def _now_ms(self) -> int:
        """All venues open at one moment: any desk's clock is everybody's."""
        model = self.venues[0].model
        return self.desks[0].now_ms(model.tick, model.setup.tick_s)

    def begin_tick(self) -> None:
        """Forget the last tick's totals; close what has closing hours, open what has waited long enough."""
        self._totals = {desk.market: ForcedTotals() for desk in self.desks}
        self.unwound = False
        for desk in self.desks:
            if desk.hours is not None:
                self._keep_hours(desk, desk.hours)
        now_ms, model = self._now_ms(), self.venues[0].model
        if self.halts.any and self.halts.reopen(now_ms, self.mark_ticks, model.tick * 1024):
            self.rebucket()

    def _keep_hours(self, desk: PerpetualDesk, hours: HoursRules) -> None:
        now_ms = self._now_ms()
        now = datetime.fromtimestamp((self.venues[0].day_ms + now_ms) / 1000, UTC)
        if not self.halts.until_ms[desk.market] and not hours.is_open(now):
            closed_ms = round((hours.next_open(now) - now).total_seconds() * 1000)
            self.halts.halt(desk.market, now_ms + closed_ms, now_ms)

    def offered(self, best_ticks: I64) -> I64:
        """Best prices int64 (M,) as one can trade at them: 0, as of an empty side, where the market stands still."""
        if self.halts.any:
            best_ticks[self.halts.halted] = 0
        return best_ticks

    def passing(self, messages: NDArray[Any]) -> NDArray[Any]:
        """Messages that may reach their markets, MESSAGE (n,) as given; those to halted markets are refused."""
        if not self.halts.any:
            return messages
        return self.halts.filter(messages, self._now_ms(), round(self.venues[0].model.setup.tick_s * 1000))

    def last_ticks(self) -> I64:
        """Last trade price of each market, int64 (M,); the opening price before the first trade."""
        last = self.floor.books.last_ticks()
        if self._untraded:
            self._untraded = bool(np.count_nonzero(last) < last.size)
            last = np.where(last > 0, last, self._start_ticks)
        return last

    def mark(self) -> None:
        """Every index and mark from one snapshot of the books."""
        last, now_ms = self.last_ticks(), self._now_ms()
        seen = Snapshot(self.floor.books, last)
        for desk in self.desks:
            desk.mark(seen, now_ms)
            self.index_ticks[desk.market] = desk.index_ticks
        self.mark_ticks[self._spots] = self.index_ticks[self._spots] = last[self._spots]
        for desk in self.desks:
            self.mark_ticks[desk.market] = desk.mark_ticks
        for venue in self.venues:
            venue.cross.revalue(self.mark_ticks)
        for breaker in self._breakers:
            breaker.watch(self.halts, int(last[breaker.market]), now_ms)
        for watcher in self.watchers:
            watcher.after_mark(self, now_ms)

    def liquidate(self) -> NDArray[Any] | None:
        """Forced orders of every account below maintenance, and stops that watch the mark: MESSAGE (n,) or None."""
        self.forced_any = False
        parts, halted, now_ms = [], self.halts.until_ms.tolist(), self._now_ms()
        for desk in self.desks:
            if halted[desk.market]:
                desk.stand_still()  # forces nothing; its accounts do not count as forced
                continue
            stops = desk.due_stops()
            if stops is not None:
                parts.append(stops)
            messages = desk.liquidate(now_ms, self._totals[desk.market])
            self.forced_any = self.forced_any or desk.forced_any
            if messages is not None:
                parts.append(messages)
        return joined(parts) if parts else None

    def absorb(self) -> None:
        """Settle this round's forced accounts; the backstop takes what the book did not; losses; deleverage."""
        halted = self.halts.until_ms.tolist()
        for desk in self.desks:
            if halted[desk.market]:
                continue
            desk.absorb(self._totals[desk.market])
            # winners' orders are cancelled in the next round: there is one
            self.unwound = self.unwound or desk.unwound
            self.forced_any = self.forced_any or desk.unwound
        self.rebucket()

    def rebucket(self) -> None:
        """New liquidation prices for every row that was touched."""
        touched = self.floor.accounts.touched
        rows = np.flatnonzero(touched)
        if rows.size:
            for venue in self.venues:
                venue.cross.note(rows)
            for desk in self.desks:
                desk.ladder.update(rows, desk.mark_ticks)
                desk.backstop.note(rows)
            touched[rows] = False
            self._changed.append(rows)

    def take_changed(self) -> I64:
        """Rows whose balances changed since the last call, int64 (n,); one may stand there several times."""
        rows = np.concatenate([*self._changed, np.flatnonzero(self.floor.accounts.touched)])
        self._changed.clear()
        return rows

    def fund(self) -> None:
        """Funding, when due: longs and shorts pay each other, zero-sum."""
        now_ms, dark = self._now_ms(), self.halts.dark.tolist()
        changed = [desk.fund(now_ms) for desk in self.desks if not dark[desk.market]]
        changed += [self._expire(venue, desk) for venue, desk in self._dated]
        if any(changed):
            self.rebucket()

    def _expire(self, venue: Exchange, desk: PerpetualDesk) -> bool:
        """Settle a dated future whose time has come. True when it was."""
        if self.halts.until_ms[desk.market] == INT64_MAX or venue.day_ms + self._now_ms() < desk.expiry_ms:
            return False
        desk.expire(venue.rounding_row, self.mark_ticks)
        self.halts.until_ms[desk.market] = INT64_MAX  # nothing trades here any more
        return True

    # --- what others ask ----------------------------------------------------------------------------------------------

    def waiting(self) -> int:
        """Accounts that are below maintenance at the present mark and have not been dealt with."""
        alone = sum(desk.ladder.crossed(desk.mark_ticks).size for desk in self.desks)
        return alone + sum(venue.cross.waiting() for venue in self.venues)

    def tick_totals(self, market: int) -> ForcedTotals:
        """What was forced in a perpetual in this tick so far."""
        return self._totals[market]

    def fund_equity(self, venue: int = 0) -> int:
        """Marked equity of a venue's insurance fund, settlement units."""
        return self.venues[venue].fund_equity(self.mark_ticks)

    def distress(self, venue: int = 0) -> float:
        """0 = the venue's fund is as at the opening, 1 = it is used up."""
        left = self.fund_equity(venue) / self._opening_funds[venue]
        return min(max(1.0 - left, 0.0), 1.0)

    def indicated_funding_bp(self, market: int) -> float:
        """The funding rate of a perpetual as it would be fixed now, basis points per 8 hours."""
        desk = self._desk_of[market]
        return desk.funding.indicated_bp_8h if desk.funding else 0.0

    def check_ladders(self) -> None:
        """Slow audit of the margin ladders; raises `AuditError`."""
        for desk in self.desks:
            try:
                desk.ladder.check()
            except AssertionError as error:
                raise AuditError(f"margin ladder of {self.floor.markets.names[desk.market]}: {error}") from error
