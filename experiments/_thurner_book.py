"""The market of Thurner, Farmer and Geanakoplos (2012) played in the project's order book, one replica a market.

Nobody clears. In each step all orders are renewed. Noise traders post their demand curve xi / p as a ladder of bids and
asks about the price at which they are content; each fund posts its own curve, `demand` of `abm.traders.leveraged_funds`
at its wealth at the last price. They arrive in random order, as the floor draws it: what crosses, trades; what does
not, rests. Since limit orders cannot sell into a fall, margin calls come after: as long as a fund has more than lambda
times its wealth at the middle price, it sells the difference at once at any price, and round after round the fall
calls the next. Flows of investors, closures and new funds are those of `_thurner_market`. The price of a step is the
middle of the last quotes.

A book has no one price a step: who comes second trades at the other's prices. Noise traders who always come first are
picked off, those who always come last pick off the funds; `arrival` shows what that is worth.

Funds and noise traders hold a perpetual in cross accounts of the project's ledger, so coins are conserved: what funds
hold, the noise traders have sold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.book.books import Books
from abm.book.record_kernel import RESTING
from abm.clearing.trading import TradingFloor
from abm.events import EventLog
from abm.state import BUY, CANCEL, CANCEL_MAKER, CROSS, I64, IOC, LIMIT, PERPETUAL, SELL, Accounts
from abm.traders.leveraged_funds import demand
from experiments._side_by_side import build_markets, orders
from experiments._thurner_market import CLOSED_STEPS, DEFAULT_SHARE, F64, FIRST_WEALTH, MarketOptions, Record, noise

ONE_TICKS, COIN_LOTS = 2000, 1000
"""Ticks in the value of a coin, lots in a coin."""
MONEY = ONE_TICKS * COIN_LOTS
"""Units of the ledger in one unit of the paper's money: a tick and lot is one unit."""
LADDER = np.concatenate([0.004 * np.arange(1, 26), 0.1 + 0.02 * np.arange(1, 16)])
"""Distances of noise traders' orders from the price at which they are content."""
CURVE = np.concatenate([0.01 * np.arange(13), 0.12 + 0.02 * np.arange(1, 10), 0.3 + 0.05 * np.arange(1, 5)])
"""Mispricings at which a fund's curve has an order; funds are staggered within the first step."""
REACH, NEAR = 0.45, 0.15
"""No order further than this from the last price: the venue's price filter. Funds' curves do not go that far."""
MOST_ROUNDS = 60
ENOUGH = 0.001
"""A fund above its limit by a smaller part of its coins is left in peace."""
POCKET = 1 << 50
LATENCY = {"random": (1, 1), "noise first": (1, 2), "funds first": (2, 1)}
"""Classes of noise traders and of funds; cancellations are 0, forced sales 3."""


class BookMarket:
    """Replicas side by side, one an entry of `limit`."""

    def __init__(self, options: MarketOptions, limit: F64, arrival: str = "random") -> None:
        self.noise_class, self.fund_class = LATENCY[arrival]
        self.options, self.limit, self.betas = options, limit, options.betas
        n, funds = limit.size, options.funds
        self.every = np.arange(n)
        self.markets = build_markets(np.full(n, PERPETUAL, np.int32), self.every.astype(np.int32), 1 / ONE_TICKS, 1)
        accounts = Accounts.empty(n * (funds + 2), 2, 1)
        books = Books(n, 1, 4 * ONE_TICKS, CANCEL_MAKER, capacity=1 << 15)
        self.floor = TradingFloor(self.markets, accounts, books, EventLog("summary"), options.seed)
        accounts.venue[:] = np.repeat(self.every, funds + 2)
        accounts.leverage[:], accounts.mode[:] = 100, CROSS
        first = self.every * (funds + 2)
        self.outside, self.crowd = first, first + 1
        self.rows = first[:, None] + 2 + np.arange(funds)  # (R, H)
        accounts.cash[0, self.crowd] = POCKET
        accounts.cash[0, self.rows] = round(FIRST_WEALTH * MONEY)
        accounts.cash[0, self.outside] = -POCKET - funds * round(FIRST_WEALTH * MONEY)
        self.price = np.full(n, float(ONE_TICKS))  # ticks
        self.performance = np.full((n, funds), options.benchmark)
        self.closed = np.zeros((n, funds), np.int64)
        self.moment = self.rounds = 0

    @property
    def coins(self) -> F64:
        """Of the funds, (R, H)."""
        held: F64 = self.floor.accounts.position[0, self.rows] / COIN_LOTS
        return held

    def wealth(self) -> F64:
        """Of the funds at the last price, (R, H), in the paper's money."""
        a = self.floor.accounts
        cash = (a.cash[0, self.rows] - a.entry_cost[0, self.rows]) / MONEY
        return np.asarray(cash + self.coins * self.price[:, None] / ONE_TICKS)

    def step(self, log_xi: F64) -> tuple[NDArray[np.bool_], NDArray[np.bool_], F64]:
        """Orders, margin calls, flows: called and failed, (R, H), and what lenders lost, (R,)."""
        before = self.wealth()
        self._send([self._cancels(), self._noise(np.exp(log_xi)), *self._curves(before), self._closing()])
        self.price = self._middle()
        called = self._margin_calls()
        wealth = self.wealth()
        earned = np.where(before > 0.0, wealth / np.where(before > 0.0, before, 1.0) - 1.0, 0.0)
        o, a = self.options, self.floor.accounts
        self.performance += o.flow_memory * (earned - self.performance)
        flow = np.maximum(-1.0, o.flow_response * (self.performance - o.benchmark)) * np.maximum(wealth, 0.0)
        self._pay(flow)
        failed = (self.closed == 0) & (wealth + flow < DEFAULT_SHARE * FIRST_WEALTH)
        waiting = self.closed > 0
        self.closed[waiting] -= 1
        back = waiting & (self.closed == 0)
        self._pay(np.where(back, FIRST_WEALTH - self.wealth(), 0.0))
        self.performance[back] = o.benchmark
        self.closed[failed] = CLOSED_STEPS
        assert int(a.position.sum()) == 0
        return called, failed, np.where(failed, np.maximum(-wealth, 0.0), 0.0).sum(axis=1)

    def _pay(self, money: F64) -> None:
        """From outside to funds, (R, H)."""
        a = self.floor.accounts
        units = np.rint(money * MONEY).astype(np.int64)
        a.cash[0, self.rows] += units
        a.cash[0, self.outside] -= units.sum(axis=1)

    def _send(self, parts: list[Any]) -> None:
        self.floor.trade(np.concatenate(parts), np.rint(self.price).astype(np.int64), self.moment)
        self.moment += 1

    def _middle(self) -> F64:
        books = self.floor.books
        bid, ask = books.best_ticks(BUY), books.best_ticks(SELL)
        return np.where((bid > 0) & (ask > 0), (bid + ask) / 2.0, self.price)

    def _cancels(self) -> Any:
        books = self.floor.books
        slots = np.flatnonzero(books.orders["state"] == RESTING)
        cancels = orders(CANCEL, books.orders["market"][slots], books.orders["account"][slots], 0, 0, 0, 0)
        cancels["order"] = books.handles(slots)
        return cancels

    def _noise(self, xi: F64) -> Any:
        """Noise traders' ladder about the price xi / coins at which they hold what they want."""
        held = self.options.coins + self.floor.accounts.position[0, self.crowd] / COIN_LOTS
        content = xi / held * ONE_TICKS
        parts = []
        for side in (BUY, SELL):
            steps = content[:, None] * (1.0 - side * LADDER)
            ticks = np.maximum(side * np.floor(side * steps), 1.0)
            wanted = np.abs(xi[:, None] * ONE_TICKS / ticks - held[:, None]) * COIN_LOTS
            lots = np.diff(np.rint(wanted), axis=1, prepend=0.0)
            parts.append(
                self._limits(side, lots, ticks, np.broadcast_to(self.crowd[:, None], lots.shape), self.noise_class)
            )
        return np.concatenate(parts)

    def _limits(self, side: int, lots: F64, ticks: F64, rows: I64, urgency: int) -> Any:
        """Limit orders from (R, K) arrays, row by row; those without size or out of reach are left out."""
        some = (lots > 0.0) & (np.abs(ticks - self.price[:, None]) < REACH * self.price[:, None])
        market = np.broadcast_to(self.every[:, None], lots.shape)[some]
        return orders(
            LIMIT, market, rows[some], side, lots[some].astype(np.int64), ticks[some].astype(np.int64), urgency
        )

    def _curves(self, wealth: F64) -> list[Any]:
        """Funds' curves: at each price what is missing from, or too much for, the coins wanted there."""
        parts = []
        price = self.price[:, None]
        for fund in range(self.options.funds):
            beta, mine = self.betas[fund], np.maximum(wealth[:, fund], 0.0) * (self.closed[:, fund] == 0)
            edge = np.minimum(self.limit / beta, CURVE[-1])
            shift = CURVE[1] * fund / self.options.funds
            cheap = np.minimum(np.maximum(CURVE - shift, 0.0), edge[:, None])
            ticks = np.rint((1.0 - cheap) * ONE_TICKS)
            leverage = demand(cheap, beta, np.inf)
            wanted = np.rint(np.minimum(leverage, self.limit[:, None]) * mine[:, None] * MONEY / ticks)
            held = self.floor.accounts.position[0, self.rows[:, fund]][:, None]
            rows = np.broadcast_to(self.rows[:, fund, None], wanted.shape)
            buys = np.diff(np.maximum(wanted, held), axis=1, prepend=held)
            most = np.concatenate([wanted[:, 1:], np.full((len(wanted), 1), np.inf)], axis=1)
            sells = np.minimum(most, held) - np.minimum(wanted, held)
            shown = (self.closed[:, fund] == 0)[:, None] & (np.abs(ticks - price) < NEAR * price)
            for side, lots in ((BUY, buys), (SELL, sells)):
                parts.append(self._limits(side, lots * shown, ticks, rows, self.fund_class))
        return parts

    def _sales(self, lots: I64) -> Any:
        """Sell (R, H) lots at any price."""
        market, fund = np.nonzero(lots > 0)
        worst = np.maximum(np.ceil((1.0 - REACH) * self.price[market]), 1.0).astype(np.int64)
        return orders(IOC, market, self.rows[market, fund], SELL, lots[market, fund], worst, 3)

    def _closing(self) -> Any:
        """Closed funds sell all."""
        return self._sales(np.where(self.closed > 0, self.floor.accounts.position[0, self.rows], 0))

    def _margin_calls(self) -> NDArray[np.bool_]:
        """Rounds of forced sales until no fund is above its limit; who had to sell, (R, H)."""
        called = np.zeros(self.rows.shape, np.bool_)
        for _ in range(MOST_ROUNDS):
            held = self.floor.accounts.position[0, self.rows]
            most = self.limit[:, None] * np.maximum(self.wealth(), 0.0) * MONEY / self.price[:, None]
            over = np.where(self.closed == 0, held - np.floor(most).astype(np.int64), 0)
            over = np.where(over > np.maximum(ENOUGH * held, 1), over, 0)
            if not over.any():
                break
            called |= over > 0
            self._send([self._sales(over)])
            self.price = self._middle()
            self.rounds += 1
        return called


def play_book(
    options: MarketOptions, limit: F64, seeds: int, steps: int, say: Callable[[str], None], arrival: str = "random"
) -> tuple[Record, dict[str, int]]:
    """As `_thurner_market.play`, in the book; also rounds of margin calls, refused orders and fills."""
    market, replicas = BookMarket(options, limit, arrival), limit.size
    record = Record.empty(steps, replicas)
    for number, level in enumerate(noise(options, seeds, options.burn + steps)):
        called, failed, lost = market.step(np.tile(level, replicas // seeds))
        at = number - options.burn
        if at >= -1:
            record.price[at + 1] = market.price / ONE_TICKS
        if at >= 0:
            record.calls[at] = called.sum(axis=1)
            record.defaults += failed.sum(axis=1)
            record.wealth[at] = market.wealth().sum(axis=1)
            record.lost += lost
            if (at + 1) % max(steps // 5, 1) == 0:
                say(f"book: step {at + 1:,} of {steps:,}")
    tally = market.floor.tally()
    return record, {"rounds": market.rounds, "refused": tally.refused, "fills": tally.fills, "messages": tally.messages}
