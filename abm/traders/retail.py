"""Retail traders on the perpetual: thousands of accounts that review now and then, by one rule.

Reviews. Each trader reviews once in every interval of `review_s` (news traders: `news_s`), at a moment drawn anew for
each interval. With r_h the return over h seconds, p the last price, F fair value, u uniform in (0, 1):

    panic     long, D = ln(high_600 / p) above a personal d and r_180 < 0, still falling:
              sell all if u < min(panic_most, panic (D / d - 1))
    covering  short whose entry is above p (1 + personal gain): buy back if u < cover_chance
    leaving   any position: close with the chance review_s / holding_s
    stops     some keep a reduce-only stop in the book, some a reduce-only take-profit limit
    trend     flat, of the trend kind: buy if r_300 > trend_level and u < trend_gain r_300
    value     flat, of the value kind: buy if F (1 + belief) / p - 1 > value_level and u < value_chance
    shorts    flat and waiting to go short: sell if u < -short_gain r_180, at 20-50x: "the fall goes on"
    noise     flat: enter with the chance review_s / idle_s
    news      target news_lots clip(gap / news_width), gap = F / p - 1; trades the difference when reviewing

Behaviour beyond this rule is in `abm.traders.retail_wider`; all of it is off by default. A cohort whose class is a
machine (`abm.traders.retail_bots`) decides by the same rule in every round inside the tick.

Entries and exits are immediate-or-cancel orders with a worst price `slip` (panic: `panic_slip`) from the last price.
The opening state is in `abm.traders.retail_opening`. Starting values were found in a search on 10 October 2025 with a
one-book prototype (graded calibrated); where nothing was known they are assumed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from abm.rng import bits, normals, stream, uniforms
from abm.state import CROSS, I64, ISOLATED, MESSAGE, NOBODY, RETAIL
from abm.traders.base import PEOPLE_LATENCY, Batch, Participant, View, World
from abm.traders.handle import Account, Luck, Orders
from abm.traders.retail_figures import Figures
from abm.traders.retail_kernel import NEWS, STOP_MARGIN, review
from abm.traders.retail_opening import OpeningBook, opening_book
from abm.traders.retail_parameters import RetailParameters
from abm.traders.retail_wider import OFF, Habits, adapt_opening, switched_on
from abm.units import RATE_ONE

__all__ = ["Calendar", "RetailCohort", "RetailParameters"]

if TYPE_CHECKING:
    from abm.traders.retail_trader import RetailTrader

_TASTE = stream("retail taste")
_WAKE = stream("retail wake")
_LUCK = stream("retail luck")
DRAWS_A_ROUND = 4


class Calendar:
    """Who reviews when: one wake in each interval of a group, at a tick drawn by key; buckets by tick.

    Deciding costs what the woken traders cost, not what all traders cost.
    """

    def __init__(self, seed: int, members: I64, interval_s: float, tick_s: float) -> None:
        self._seed, self._members = seed, members
        self._ticks = max(1, round(interval_s / tick_s))
        self._interval = -1
        self._order = members
        self._starts = np.zeros(self._ticks + 1, np.int64)

    def woken(self, tick: int) -> I64:
        """Members (woken,) int64, numbered within the cohort, whose wake tick this is, ascending."""
        interval, at = divmod(tick, self._ticks)
        if interval != self._interval:
            self._interval = interval
            wake = (uniforms(self._seed, _WAKE, self._members, interval, 0) * self._ticks).astype(np.int32)
            self._order = self._members[np.argsort(wake, kind="stable")]
            self._starts = np.searchsorted(np.sort(wake), np.arange(self._ticks + 1))
        return self._order[self._starts[at] : self._starts[at + 1]]


class RetailCohort(Participant):
    """All retail traders of a venue, held as arrays: `n` traders, numbered within the cohort, one account row each."""

    latency = PEOPLE_LATENCY
    row_kind = RETAIL
    parameters_class = RetailParameters
    parameters: RetailParameters
    example: ClassVar[Mapping[str, Any]] = {
        **{"accounts": 200, "open_interest_coins": 50.0, "entrant_short_coins": 4.0, "entrant_long_coins": 3.0},
        **{"news_coins": 2.0, "review_s": 20.0},
    }

    def __init__(self, model: Any, parameters: RetailParameters) -> None:
        super().__init__(model, parameters)
        self.individuals: list[RetailTrader] | None = None
        self.habits: Habits | None = None
        self._figures: Figures | None = None

    def rows_needed(self) -> int:
        return self.parameters.accounts

    def bind(self, world: World) -> None:
        """Opening positions, margins, cash and personal tastes."""
        p, self.world, n = self.parameters, world, self.rows.size
        perp, seed = world.perp, self._seed(world.seed)
        book = opening_book(p, n, seed, int(world.start_ticks[perp]), float(world.markets.lot_coins[perp]))
        self.opening = book
        self.kind, self.entry_side = book.kind, book.entry_side
        wide = switched_on(p)
        usual, outside = adapt_opening(p, book, seed) if wide else (book.leverage, np.zeros(0))
        self._post(world, book)
        self.habits = Habits(p, world, self.rows, book, seed) if wide else None
        if self.habits is not None:
            coins = np.floor(outside * float(world.markets.lot_units[world.spot])).astype(np.int64)
            world.deposit(self.rows, world.btc, coins)
            start = int(world.start_ticks[perp])
            self.habits.open_accounts(usual, world.accounts.leverage[self.rows], self.equity_units(start))
        number = np.arange(n)

        def lognormal(median: float, spread: float, draw: int) -> NDArray[np.float64]:
            return median * np.exp(spread * normals(seed, _TASTE, number, 0, draw))

        self.taste = np.zeros((n, 6)).T  # a trader's tastes stand together in memory
        self.taste[0] = book.news_lots
        self.taste[1] = np.where(self.kind == NEWS, 0.0, lognormal(1.0, p.belief_spread, 0) - 1.0)
        self.taste[2] = lognormal(p.panic_drawdown, p.panic_spread, 1)
        self.taste[3] = lognormal(p.cover_gain, p.cover_spread, 2)
        # A short in profit has a target beyond today's gain: nobody covers only because the run begins.
        gain = book.entry_ticks / float(world.start_ticks[perp]) - 1.0
        self.taste[3] += np.where(book.position_lots < 0, np.maximum(gain, 0.0), 0.0)
        stops = np.clip(lognormal(p.stop_distance, p.stop_spread, 3), 0.005, 0.9)
        profits = np.clip(lognormal(p.profit_distance, p.stop_spread, 4), 0.005, 0.9)
        self.taste[4] = np.where(uniforms(seed, _TASTE, number, 1, 0) < p.stop_share, stops, 0.0)
        self.taste[5] = np.where(uniforms(seed, _TASTE, number, 1, 1) < p.profit_share, profits, 0.0)
        self.protective = np.full((n, 2), NOBODY, np.int64)
        self.rest_until_s = np.zeros(n)
        self._numbers = p.rule_numbers()
        self._calendars: tuple[Calendar, ...] = ()
        self._emitted = np.zeros(64, np.int64)
        self._out = np.zeros(64, MESSAGE)
        self._sent = 0

    def begin(self, model: Any) -> None:
        """Look around: where is a venue with hours; from now on figures are kept if the scenario names this cohort."""
        if self.habits is not None:
            self.habits.watch(model, float(self.world.markets.tick_dollars[self.world.perp]))
        if self.name:
            self._figures = Figures(self, model)

    def measured(self) -> Mapping[str, float]:
        """How its traders fare (`abm.traders.retail_figures`)."""
        return self._figures.now() if self._figures is not None else {}

    def _seed(self, seed: int) -> int:
        """Key of this cohort's draws: the venue's own, unless it has luck of its own."""
        luck = self.parameters.luck
        return bits(seed, _LUCK, luck, 0, 0) if luck else seed

    def equity_units(self, price_ticks: int) -> I64:
        """Cash and margin plus the position at a price, settlement units, int64 (n,)."""
        world, rows = self.world, self.rows
        accounts, slot = world.accounts, int(world.markets.slot[world.perp])
        worth = accounts.position[slot, rows] * (price_ticks * int(world.markets.tick_value[world.perp]))
        settled = accounts.cash[world.usdt, rows] + accounts.margin[slot, rows] - accounts.entry_cost[slot, rows]
        equity: I64 = settled + worth
        return equity

    def _post(self, world: World, book: OpeningBook) -> None:
        """Account settings, deposits and opening positions."""
        accounts, markets, rows = world.accounts, world.markets, self.rows
        tick_value = int(markets.tick_value[world.perp])
        accounts.kind[rows] = self.row_kind
        accounts.mode[rows] = np.where(book.isolated, ISOLATED, CROSS)
        start = int(world.start_ticks[world.perp])
        # nobody holds more leverage than the venue's bracket for the size allows
        notional = np.abs(book.position_lots) * (start * tick_value)
        bracket = np.searchsorted(markets.tier_floor[world.perp], notional, side="right") - 1
        np.minimum(book.leverage, markets.tier_leverage[world.perp][bracket], out=book.leverage)
        accounts.leverage[rows] = book.leverage
        cash = np.ceil(book.cash_lots * (start * tick_value)).astype(np.int64)
        held = np.flatnonzero(book.position_lots)
        value = book.position_lots[held] * book.entry_ticks[held] * tick_value
        initial = -(-np.abs(value) // book.leverage[held])
        cross = ~book.isolated[held]
        cash[held[cross]] += initial[cross]
        world.deposit(rows, world.usdt, cash)
        world.open_positions(rows[held], book.position_lots[held], value, np.where(cross, 0, initial))

    def prepare(self, view: View) -> None:
        """Forget what was sent; what the market shows to those with wider behaviour."""
        self._sent = 0
        if self.habits is not None:
            self.habits.see(view)

    def woken(self, view: View) -> I64:
        """Numbers of the traders that review now, ascending.

        In the first tick those who keep protective orders in the book all come, so that the book opens with them.
        """
        if not self._calendars:
            number = np.arange(self.rows.size)
            news = self.kind == NEWS
            p, seed = self.parameters, self._seed(view.seed)
            self._calendars = (
                Calendar(seed, number[~news], p.review_s, view.tick_s),
                Calendar(seed, number[news], p.news_s, view.tick_s),
            )
            guarded = (self.taste[4] > 0.0) | (self.taste[5] > 0.0)
            if self.habits is not None:
                guarded |= self.habits.table[:, STOP_MARGIN] > 0.0
            return np.flatnonzero(guarded & (self.opening.position_lots != 0))
        woken = np.sort(np.concatenate([calendar.woken(view.tick) for calendar in self._calendars]))
        if self.habits is not None and self.habits.called.size:
            woken = np.union1d(woken, self.habits.called)
        return woken

    def _seen(self, view: View) -> tuple[int, float, float, float, float]:
        """Last and fair price in ticks, 180-s and 300-s returns, and the fall from the 10-minute high (log)."""
        market = self.world.perp
        last = max(1, int(view.last_ticks[market]))
        drawdown = math.log(max(last, int(view.high_600_ticks[market])) / last)
        returns = view.returns[market]
        return last, float(view.fair_ticks[market]), float(returns[2]), float(returns[3]), drawdown

    def decide(self, view: View, batch: Batch) -> None:
        """The messages of everybody who reviews in this tick."""
        self.prepare(view)
        woken = self.woken(view)
        if self.individuals is not None:
            for me in woken.tolist():
                self.individuals[me].answer(view)
        elif woken.size:
            self.review_of(view, woken)
        batch.extend(self._out[: self._sent])

    def decide_one(self, view: View, me: Account, rng: Luck) -> Orders:
        """The same for one of them; the rule draws by itself, from streams keyed by its number."""
        return self.review_of(view, np.array([me.number])).copy()

    def review_of(self, view: View, woken: I64) -> NDArray[Any]:
        """Messages of the traders with these numbers, MESSAGE (n,), a view: one compiled call."""
        first, room = self._sent, self._sent + 3 * woken.size
        if room > self._out.size:
            self._out = np.concatenate([self._out[:first], np.zeros(2 * room - first, MESSAGE)])
            self._emitted = np.concatenate([self._emitted[:first], np.zeros(2 * room - first, np.int64)])
        world, market = self.world, self.world.perp
        accounts, slot = world.accounts, int(world.markets.slot[market])
        last, fair, return_180, return_300, drawdown = self._seen(view)
        wide = OFF if self.habits is None else self.habits.wide
        self._sent += review(
            self._out[first:],
            self._emitted[first:],
            woken,
            self.rows,
            self.kind,
            self.entry_side,
            self.taste,
            self.protective,
            self.rest_until_s,
            accounts.position[slot],
            accounts.entry_cost[slot],
            accounts.cash[world.usdt],
            accounts.reserved[world.usdt],
            accounts.leverage,
            accounts.margin[slot],
            accounts.mode,
            accounts.touched,
            self._numbers,
            *wide,
            self._seed(view.seed),
            view.tick,
            DRAWS_A_ROUND * max(view.round - 1, 0),
            view.seconds,
            last,
            int(view.mark_ticks[market]),
            fair,
            return_180,
            return_300,
            drawdown,
            int(world.markets.tick_value[market]),
            float(world.markets.taker_fee[market]) / RATE_ONE,
            market,
            self.latency,
        )
        return self._out[first : self._sent]

    def after_trade(self, handles: I64, offset: int) -> None:
        """Keep the handles of stops and take-profits."""
        kept = self._emitted[: self._sent]
        mine = kept >= 0
        self.protective.reshape(-1)[kept[mine]] = handles[: self._sent][mine]
        self._sent = 0
