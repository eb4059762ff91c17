"""What a venue keeps for one perpetual: index, mark, funding, margin ladder, liquidation engine, backstop."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.book.books import Books
from abm.clearing.adl import deleveraging_rule
from abm.clearing.backstop import Backstop
from abm.clearing.cross import CrossMargin
from abm.clearing.funding import FundingClock, pay
from abm.clearing.liquidation import FORCED_FIRST, Forced, LiquidationEngine
from abm.clearing.margin import MarginLadder
from abm.clearing.mark import OTHER_VENUES, mark_rule, price_ratio, spot_index_ticks
from abm.clearing.trading import TradingFloor
from abm.events import BY_FUND, FUNDING, SETTLEMENT
from abm.records import joined
from abm.state import BUY, FORCED, I64, IOC, ISOLATED, MESSAGE, NOBODY, REDUCE_ONLY, SELL, TRIGGER
from abm.units import MICRO, rate_units
from abm.venues.basket import Basket
from abm.venues.engine_rules import backstop_rules, liquidation_rules
from abm.venues.halts import MoveBreaker
from abm.venues.preset import FundingRules, PerpetualRules, VenuePreset

LADDER_LEVELS = 1 << 21
"""Buckets of the margin ladder, from tick 0; liquidation prices above share the last one and stay exact."""


@dataclass(slots=True)
class ForcedTotals:
    """What the venues' engines did in a tick; notional at the mark in micro-dollars, numbers of accounts."""

    liquidated_long: int = 0
    liquidated_short: int = 0
    long_accounts: int = 0
    short_accounts: int = 0
    taken_over: int = 0
    deleveraged: int = 0
    deleveraged_accounts: int = 0


class Snapshot:
    """Best prices and last trades of all markets at one moment, in ticks: lists by market id, 0 = an empty side."""

    def __init__(self, books: Books, last_ticks: I64) -> None:
        self.last_ticks = last_ticks
        """int64 (M,)."""
        self.lasts: list[int] = last_ticks.tolist()
        self.bids: list[int] = books.best_ticks(BUY).tolist()
        self.asks: list[int] = books.best_ticks(SELL).tolist()


class PerpetualDesk:
    """One perpetual of a venue. `mark_ticks` and `index_ticks` are those of the present round.

    Args:
        rules: of this perpetual; the venue's own, on liquidation and backstop, are in `preset`.
        market, spot: market ids of the perpetual and of the spot market its index follows.
        cross: the venue's cross accounts with several positions or other collateral.
        rows: account rows of the funding remainder and of the insurance fund.
        start_ticks: opening price of each market, int64 (M,).
        last_funding_bp: the rate paid last before the opening, basis points.
        start_s: opening, seconds since midnight UTC.
    """

    def __init__(
        self, rules: PerpetualRules, preset: VenuePreset, floor: TradingFloor, market: int, spot: int,
        cross: CrossMargin, rows: tuple[int, int], start_ticks: I64, last_funding_bp: float, start_s: int,
    ) -> None:  # fmt: skip
        self.floor, self.market, self.spot, self.venue = floor, market, spot, int(floor.markets.venue[market])
        self.remainder_row, self.fund_row = rows
        markets = floor.markets
        self.slot, self.settle = int(markets.slot[market]), int(markets.settle[market])
        self.tick_value = int(markets.tick_value[market])
        self.mark_ticks = self.index_ticks = int(start_ticks[market])
        self.start_ms = start_s * 1000
        self._ratio = price_ratio(str(markets.tick_dollars[spot]), str(markets.tick_dollars[market]))
        self.mark_rules = rules.mark
        self.basket: Basket | None = None
        """Spot markets of several venues behind the index (`Exchanges` sets it); None = the own spot market."""
        self.mark_price = mark_rule(rules.mark, rules.funding.interval_h if rules.funding else 8)
        self.funding = self._funding_clock(rules.funding, last_funding_bp) if rules.funding else None
        self._pays_on_index = rules.funding is not None and rules.funding.notional == "index"
        self._contract_usd = Decimal(rules.inverse_contract or 0)
        dollar = MICRO
        if markets.inverse[market]:
            dollar = int(int(markets.inverse[market]) / (self.mark_ticks * self._contract_usd))
        engine_rules = liquidation_rules(preset, dollar)
        self.ladder = MarginLadder(market, markets, floor.accounts, 0, LADDER_LEVELS, engine_rules.margin_share)
        self.engine = LiquidationEngine(floor, market, self.ladder, engine_rules, self.fund_row, cross)
        self._unload_share = float(preset.backstop.unload_share)
        self._unload_slip = rate_units(preset.backstop.unload_slip)
        coin = 10 ** (6 if markets.inverse[market] == 0 else 8)
        self.backstop = Backstop(
            self.engine, deleveraging_rule(preset.deleverage.rule, coin), backstop_rules(preset, dollar)
        )
        self._cancels_winners = preset.deleverage.cancels_orders
        self.expiry_ms = int(markets.expiry_ms[market])
        self.hours, self.breaker = preset.hours, None
        if preset.hours is not None:
            terms = (preset.hours.breaker_window_s * 1000, preset.hours.breaker_halt_s * 1000)
            self.breaker = MoveBreaker(market, float(preset.hours.breaker_move), *terms)
        self._forced: Forced | None = None
        self._cause = NOBODY
        self.unwound = False

    def _funding_clock(self, f: FundingRules, last_funding_bp: float) -> FundingClock:
        """The interval under way is taken to have had, so far, the premium that gave the last rate (assumed)."""
        last_rate = rate_units(str(round(last_funding_bp * 1e-4, 8)))
        interest, clamp = rate_units(f.interest), rate_units(f.clamp)
        clock = FundingClock(
            self.start_ms, interest=interest, clamp=clamp, cap=rate_units(f.cap), interval_h=f.interval_h,
            period_ms=f.sample_period_s * 1000, linear=f.weights == "linear", last_rate=last_rate,
        )  # fmt: skip
        premium = interest if last_rate == interest else last_rate + (clamp if last_rate > interest else -clamp)
        elapsed_ms = self.start_ms % (f.interval_h * 3_600_000)
        clock.preload(premium, elapsed_ms // (f.sample_period_s * 1000))
        self._impact_usd = f.impact_usd
        return clock

    def rebuild(self) -> None:
        """Put every account into the margin ladder; once, after the opening."""
        self.ladder.rebuild(self.mark_ticks)

    def now_ms(self, tick: int, tick_s: float) -> int:
        """Milliseconds since midnight UTC at the end of a tick."""
        return self.start_ms + round(tick * tick_s * 1000)

    # --- mark ---------------------------------------------------------------------------------------------------------

    def mark(self, seen: Snapshot, now_ms: int) -> None:
        """Index from spot, mark from index, basis and last; and which event moved the input that was selected.

        Rules and sources in `abm.clearing.mark`. Raises ValueError if spot has no price.
        """
        books, basket, spot, m = self.floor.books, self.basket, self.spot, self.market
        self.index_ticks = basket.index_ticks(books, seen.last_ticks) if basket else spot_index_ticks(
            seen.bids[spot], seen.lasts[spot], seen.asks[spot], *self._ratio
        )  # fmt: skip
        others = basket.others_ticks(books, seen.last_ticks) if basket else 0
        rate = self.funding.last_rate if self.funding else 0
        mark = self.mark_price.update(now_ms, self.index_ticks, seen.bids[m], seen.asks[m], seen.lasts[m], rate, others)
        self.mark_ticks = mark.ticks
        source = self.spot if mark.follows_index else self.market
        self._cause = int(self.floor.last_fill_seq[source])
        if basket and (mark.follows_index or mark.selected == OTHER_VENUES):
            self._cause = basket.latest(self.floor.last_fill_seq, mark.follows_index)

    def _sample_premium(self, clock: FundingClock, now_ms: int) -> None:
        """Premium of the perpetual over its index, from what selling and buying the impact size would get; by clock."""
        if self._contract_usd:
            lots = max(int(self._impact_usd / self._contract_usd), 1)
        else:
            lots = max(self._impact_usd * MICRO // abs(self.backstop.value(1, self.index_ticks)), 1)
        books = self.floor.books
        sold, bought = (books.impact_ticks(self.market, side, lots) for side in (SELL, BUY))
        clock.sample(now_ms, sold, bought, self.index_ticks)

    # --- forced action ------------------------------------------------------------------------------------------------

    def due_stops(self) -> NDArray[Any] | None:
        """Messages that set off the stops which the mark has reached: MESSAGE (n,), None when there are none."""
        handles = self.floor.books.due_stops(self.market, self.mark_ticks)
        if handles.size == 0:
            return None
        stops = np.zeros(handles.size, MESSAGE)
        stops["market"], stops["op"], stops["order"], stops["latency"] = self.market, TRIGGER, handles, FORCED_FIRST
        stops["account"] = self.floor.books.orders["account"][handles & 0xFFFFFFFF]
        stops["cause"] = self._cause
        return stops

    def liquidate(self, now_ms: int, totals: ForcedTotals) -> NDArray[Any] | None:
        """Forced orders of accounts below maintenance, after cancels of their own and of deleveraged winners' orders.

        MESSAGE (n,), None when there is nothing; adds the accounts to `totals`.
        """
        parts = []
        if self.backstop.deleveraged_rows and self._cancels_winners:
            parts.append(self.engine.cancels(np.unique(np.concatenate(self.backstop.deleveraged_rows))))
        self.backstop.deleveraged_rows.clear()
        self.backstop.note_time(now_ms, self.mark_ticks)
        found = self.engine.force(self.mark_ticks, self._cause, now_ms)
        self._forced = None
        if found is not None:
            self._forced, messages = found
            parts.append(messages)
            totals.long_accounts += int((self._forced.side == SELL).sum())
            totals.short_accounts += int((self._forced.side == BUY).sum())
        return joined(parts) if parts else None

    def stand_still(self) -> None:
        """A round in which the market is halted."""
        self._forced = None
        self.unwound = False

    @property
    def forced_any(self) -> bool:
        """Whether this round's liquidation forced an account."""
        return self._forced is not None

    def absorb(self, totals: ForcedTotals) -> None:
        """Settle the forced accounts; the fund takes over the rest, or winners are deleveraged; also on a new mark.

        Adds what was done to `totals`: micro-dollars at the mark.
        """
        backstop = self.backstop
        if self._forced is not None:
            fills = self.floor.fills
            settled = self.engine.settle_round(self._forced, fills, self.mark_ticks)
            sold = self.engine.sold
            totals.liquidated_long += self._micro(sold[SELL])
            totals.liquidated_short += self._micro(sold[BUY])
            backstop.absorb(settled, self.mark_ticks)
        else:
            backstop.watch(self.mark_ticks)
        tally = backstop.take_tally()
        self.unwound = tally.deleveraged_accounts > 0
        totals.liquidated_long += self._micro(tally.long)
        totals.liquidated_short += self._micro(tally.short)
        totals.taken_over += self._micro(tally.taken_over)
        totals.deleveraged += self._micro(tally.deleveraged)
        totals.deleveraged_accounts += tally.deleveraged_accounts

    def _micro(self, units: int) -> int:
        """Micro-dollars of an absolute value at the mark in settlement units; a contract is worth its dollars."""
        if not self._contract_usd or not units:
            return units
        inverse = int(self.floor.markets.inverse[self.market])
        return int(units * self.mark_ticks * self._contract_usd * MICRO / inverse)

    def unloading(self, tick_s: float) -> NDArray[Any] | None:
        """The fund's order of this tick, MESSAGE (1,): a share of its inventory, near the best price; None if flat."""
        held = int(self.floor.accounts.position[self.slot, self.fund_row])
        return self.unloading_in(self.market, held, self.mark_ticks, tick_s) if held else None

    def unloading_in(self, market: int, held: int, price_ticks: int, tick_s: float) -> NDArray[Any]:
        """The same, MESSAGE (1,), for signed lots in a market; `price_ticks` serves where the book has no price."""
        side = SELL if held > 0 else BUY
        best = self.floor.books.best(market, -side) or price_ticks
        order = np.zeros(1, MESSAGE)
        order["market"], order["account"], order["op"], order["side"] = market, self.fund_row, IOC, side
        order["size_lots"] = min(abs(held), int(abs(held) * self._unload_share * tick_s) + 1)
        order["price_ticks"] = best + side * (best * self._unload_slip // 100_000_000)
        order["order"], order["cause"] = NOBODY, NOBODY
        order["flags"], order["reason"] = FORCED | (REDUCE_ONLY if market == self.market else 0), BY_FUND
        return order

    # --- the end of a dated future ------------------------------------------------------------------------------------

    def expire(self, rounding_row: int, mark_ticks: I64) -> None:
        """Cancel every order and close every position at the index, once; afterwards nothing trades here any more.

        Values are posted once; what rounding leaves (inverse contracts only) goes to the venue's rounding row. What an
        account lacks beyond its margin the fund pays.
        """
        floor, accounts = self.floor, self.floor.accounts
        everyone = np.ones(accounts.rows, np.bool_)
        floor.trade(self.engine.cancels_in(self.market, everyone), mark_ticks, 0)
        mine = accounts.venue == floor.markets.venue[self.market]
        rows = np.flatnonzero((accounts.position[self.slot] != 0) & mine)
        value = floor.markets.value(self.market, accounts.position[self.slot, rows], self.index_ticks)
        profit = value - accounts.entry_cost[self.slot, rows]
        isolated = accounts.mode[rows] == ISOLATED
        accounts.margin[self.slot, rows[isolated]] += profit[isolated]
        accounts.cash[self.settle, rows[~isolated]] += profit[~isolated]
        accounts.cash[self.settle, rounding_row] -= int(value.sum())
        accounts.position[self.slot, rows] = accounts.entry_cost[self.slot, rows] = 0
        floor.net_lots[floor.net_offset[self.market] + rows] = 0
        accounts.touched[rows] = True
        floor.log.add(
            SETTLEMENT, market=self.market, asset=self.settle, counterparty=rounding_row,
            price_ticks=self.index_ticks,
        )  # fmt: skip
        self.backstop.pay_out(rows)
        self.backstop.watch(self.mark_ticks)

    # --- funding ------------------------------------------------------------------------------------------------------

    def fund(self, now_ms: int) -> bool:
        """Sample the premium; pay funding if it is due. True when it was. A dated future pays none."""
        clock = self.funding
        if clock is None:
            return False
        if clock.wants_sample(now_ms):
            self._sample_premium(clock, now_ms)
        if not clock.due(now_ms):
            return False
        rate = clock.settle(now_ms)
        price = self.index_ticks if self._pays_on_index else self.mark_ticks
        pay(self.floor.markets, self.floor.accounts, self.market, price, rate, self.remainder_row)
        self.floor.log.add(
            FUNDING, market=self.market, asset=self.settle, counterparty=self.remainder_row, price_ticks=price,
            amount=rate,
        )  # fmt: skip
        return True
