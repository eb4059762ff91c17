"""Arbitrageurs between venues: they buy a perpetual where it is cheap and sell it where it is dear.

Opening. With a_i the ask at venue i, b_j the bid at venue j and f the taker fees, the gap g = b_j / a_i - 1 earns
g - 2 (f_i + f_j) if it closes to nothing: both legs pay to come in and to go out. An account acts on the pair with the
largest such profit when it exceeds a personal threshold; the rest is the excess x. It takes

    rate dt min(1, x / full)   coins on both legs, immediate-or-cancel,

no more than its position limit at each venue, its own money there and the depth that is still profitable allow; the
worst prices of the legs share what the pair earns equally. All limits are coins a second: rounds inside a tick share
one budget.

Closing. Long at i and short at j, a part of both is closed at the same rate once b_i / a_j - 1 > -`closed`: the gap is
gone. What one leg lacks is traded away, once a tick, at the venue where most of the surplus lies.

Money. Profit arises at one venue and loss at the other. Every `review_s` an account whose money at a venue is below
`least_share` of its average over venues takes what is missing from where most is free. It is on its way for `delay_s`:
out of the account when it leaves, into the other when it arrives, against the outside world of each venue. Settlement
assets of all venues count at par.

A venue that is halted or slow is left alone. Everything here is assumed; no record of such accounts is public.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from abm.events import BY_ARBITRAGE
from abm.parameters import Parameters, quantity
from abm.rng import normals, stream
from abm.state import ARBITRAGEUR, BUY, CROSS, I64, IOC, REDUCE_ONLY, SELL
from abm.traders.base import BOT_LATENCY, Batch, Office, Participant, View, World, asked
from abm.traders.handle import Account, Luck, Orders
from abm.units import RATE_ONE

_TASTE = stream("bridge taste")
F64 = NDArray[np.float64]


class BridgesParameters(Parameters):
    """Arbitrageurs between the venues of one world; without a second venue there are none."""

    accounts: int = quantity(10, unit="accounts", source="a resolution; each at every venue", ge=1, le=1000)
    capital_coins: float = quantity(
        3000.0,
        unit="BTC",
        source="not observed; half of what trades spot against the perpetual",
        ge=0.0,
        likely=(500.0, 10e3),
        text="largest position at a venue, each way, all accounts; 0: nobody trades between venues",
    )
    leverage: int = quantity(
        3,
        unit="x",
        source="not observed",
        ge=1,
        le=20,
        likely=(1, 10),
        text="their money at a venue: capital over this",
    )
    threshold: float = quantity(
        0.0002,
        unit="fraction",
        source="not observed",
        ge=0.0,
        le=0.1,
        likely=(0.0, 0.002),
        text="median profit asked for",
    )
    threshold_spread: float = quantity(0.5, unit="log", source="not observed", ge=0.0, le=2.0)
    full: float = quantity(
        0.002,
        unit="fraction",
        source="as the arbitrageurs of one venue",
        gt=0.0,
        text="excess at which all of the rate is used",
    )
    rate_coins: float = quantity(
        20.0, unit="BTC/s", source="as the arbitrageurs of one venue", gt=0.0, likely=(5.0, 100.0), text="all accounts"
    )
    closed: float = quantity(
        0.0001,
        unit="fraction",
        source="not observed",
        ge=0.0,
        le=0.1,
        likely=(0.0, 0.001),
        text="gap that counts as none",
    )
    hedge_slip: float = quantity(0.005, unit="fraction", source="as the arbitrageurs of one venue", ge=0.0, le=0.05)
    review_s: float = quantity(60.0, unit="s", source="not observed", gt=0.0, likely=(10.0, 600.0))
    least_share: float = quantity(
        0.7,
        unit="-",
        source="not observed",
        ge=0.0,
        le=1.0,
        text="of an account's average money: below it, money is sent",
    )
    delay_s: float = quantity(
        1200.0,
        unit="s",
        source="confirmations on a chain and crediting: minutes to an hour",
        grade="M",
        ge=0.0,
        likely=(60.0, 3600.0),
        text="time that money is on its way",
    )


@dataclass(slots=True)
class Leg:
    """One venue of a bridge."""

    world: World
    rows: I64  # an account's row at this venue
    outside: int  # row of the outside world there
    lots: int  # lots in the common unit of size


class Share(NamedTuple):
    """What the accounts do at one venue: `lots` int64 (accounts,), zero where one does nothing."""

    venue: int
    side: int
    lots: I64
    worst_ticks: int
    flags: int


class Posting(NamedTuple):
    """Money that leaves or arrives now: units of `asset` from row to row, both of one venue."""

    payer: int
    receiver: int
    asset: int
    amount: int


class Bridges(Participant):
    """All accounts that trade between venues: machines with one row each at every venue.

    `rows` are all of them, venue by venue; `reachable` (V,) says which venues can be traded with now.
    """

    machine = True
    latency = BOT_LATENCY
    row_kind = ARBITRAGEUR
    parameters: BridgesParameters

    def rows_needed(self) -> int:
        """Rows at each venue."""
        return self.parameters.accounts

    def bind_all(self, worlds: list[World], rows: list[I64], outside: list[int]) -> None:
        """Take possession of `rows` (one array a venue) and put the capital there; `outside`: rows of the outside."""
        p, self.legs = self.parameters, list[Leg]()
        coins = [float(world.markets.lot_coins[world.perp]) for world in worlds]
        self._unit_coins = max(coins)
        for world, mine, out, lot in zip(worlds, rows, outside, coins, strict=True):
            accounts = world.accounts
            accounts.kind[mine], accounts.mode[mine], accounts.leverage[mine] = self.row_kind, CROSS, p.leverage
            self.legs.append(Leg(world, mine, out, round(self._unit_coins / lot)))
        self.rows = np.concatenate(rows)
        self._limit = p.capital_coins / p.accounts / self._unit_coins
        for leg in self.legs:
            cash = 1.1 * self._limit * leg.lots * self._worth(leg) / p.leverage
            leg.world.deposit(leg.rows, leg.world.usdt, np.full(p.accounts, round(cash)))
        spread = normals(worlds[0].seed, _TASTE, np.arange(p.accounts), 0, 0)
        self._threshold = p.threshold * np.exp(p.threshold_spread * spread)
        self._least = float(self._threshold.min())
        self._perps = np.array([world.perp for world in worlds])
        self._dollars = worlds[0].markets.tick_dollars[self._perps]
        self.reachable = np.ones(len(worlds), np.bool_)
        self.on_the_way: list[tuple[float, Posting]] = []
        self._next_review_s, self._tick = 0.0, -1
        self._budget = np.zeros(p.accounts)
        self._shares: list[Share] = []

    def _charged(self) -> None:
        """Both trades and their unwinding between every two venues, at the taker fees of now: fractions (V, V)."""
        fees = np.array([float(leg.world.markets.taker_fee[leg.world.perp]) / RATE_ONE for leg in self.legs])
        self._cost = 2.0 * (fees[:, None] + fees[None, :])
        np.fill_diagonal(self._cost, np.inf)

    @staticmethod
    def _worth(leg: Leg) -> float:
        """Settlement units of a lot at the opening price."""
        return float(leg.world.start_ticks[leg.world.perp]) * float(leg.world.markets.tick_value[leg.world.perp])

    def positions(self) -> I64:
        """Positions in the common unit of size (lots of the coarsest venue), int64 (V, accounts)."""
        held = [self._held(leg) for leg in self.legs]
        return np.array([np.sign(lots) * (np.abs(lots) // leg.lots) for lots, leg in zip(held, self.legs, strict=True)])

    @staticmethod
    def _held(leg: Leg) -> I64:
        held: I64 = leg.world.accounts.position[int(leg.world.markets.slot[leg.world.perp]), leg.rows]
        return held

    def woken(self, view: View) -> I64:
        """Everybody; an account has one number and a row at every venue."""
        return np.arange(self.parameters.accounts)

    def decide(self, view: View, batch: Batch) -> None:
        """What all of them do."""
        self.prepare(view)
        self._send(view, self.woken(view), batch)

    def decide_one(self, view: View, me: Account, rng: Luck) -> Orders:
        """What one of them does, at all venues."""
        return asked(self._send, view, me.number)

    def prepare(self, view: View) -> None:
        """Once a tick even out the legs; then open where the gap pays for it, else close where it is gone.

        All accounts act on the same pair and share the depth that is still profitable.
        """
        self._shares.clear()
        p = self.parameters
        fresh = view.tick != self._tick
        if fresh:
            self._tick = view.tick
            self._charged()
            self._budget[:] = p.rate_coins * view.tick_s / p.accounts / self._unit_coins
        bid, ask = (ticks[self._perps] * self._dollars for ticks in (view.bid_ticks, view.ask_ticks))
        shown = (bid > 0.0) & (ask > 0.0) & self.reachable
        if int(shown.sum()) < 2:
            return
        if fresh:
            self._even_out(view, shown)
        # earned by buying at the row's venue and selling at the column's
        gap = np.where(shown[:, None] & shown[None, :], bid[None, :] / np.where(ask > 0, ask, 1.0)[:, None] - 1.0, -1.0)
        profit = gap - self._cost
        cheap, dear = (int(n) for n in np.unravel_index(int(profit.argmax()), profit.shape))
        if profit[cheap, dear] > self._least:
            self._open(view, cheap, dear, float(profit[cheap, dear]))
        else:
            self._close(view, gap)

    def _open(self, view: View, cheap: int, dear: int, profit: float) -> None:
        """Buy at one venue and sell at the other."""
        excess = profit - self._threshold
        wanted = self._budget * np.clip(excess / self.parameters.full, 0.0, 1.0)
        for venue, side in ((cheap, BUY), (dear, SELL)):
            wanted = np.minimum(wanted, self._room(view, venue, side))
        self._both(view, (cheap, dear), wanted, 0.5 * (profit - self._least), 0)

    def _room(self, view: View, venue: int, side: int) -> F64:
        """How much more an account can hold at a venue on a side, by its limit and its money; common units."""
        leg = self.legs[venue]
        held = self._held(leg) / leg.lots
        worth = float(view.mark_ticks[leg.world.perp]) * float(leg.world.markets.tick_value[leg.world.perp]) * leg.lots
        owned = 0.9 * self._money(view, leg) * self.parameters.leverage / worth
        room: F64 = np.minimum(self._limit, np.maximum(owned, 0.0)) - side * held
        return np.maximum(room, 0.0)

    @staticmethod
    def _money(view: View, leg: Leg) -> F64:
        """Equity at the mark, settlement units."""
        world, accounts, rows = leg.world, leg.world.accounts, leg.rows
        slot, tick_value = int(world.markets.slot[world.perp]), int(world.markets.tick_value[world.perp])
        value = accounts.position[slot, rows] * (int(view.mark_ticks[world.perp]) * tick_value)
        equity: F64 = (accounts.cash[world.usdt, rows] - accounts.entry_cost[slot, rows] + value).astype(np.float64)
        return equity

    def _close(self, view: View, gap: F64) -> None:
        """Give back what is long at one venue and short at another, if the gap has gone."""
        held = self.positions()
        long, short = np.maximum(held, 0), np.maximum(-held, 0)
        if not long.any() or not short.any():
            return
        both = np.minimum(long[:, None], short[None, :]).sum(axis=2)
        # closing sells where it is long: the gap of buying at the short venue, selling at the long one
        ready = (both > 0) & (gap.T + self.parameters.closed > 0.0)
        if not ready.any():
            return
        i, j = (int(n) for n in np.unravel_index(int(np.where(ready, gap.T, -2.0).argmax()), ready.shape))
        wanted = np.minimum(self._budget, np.minimum(long[i], short[j]))
        self._both(view, (j, i), wanted, self.parameters.closed, REDUCE_ONLY)

    def _both(self, view: View, pair: tuple[int, int], wanted: F64, give: float, flags: int) -> None:
        """Buy at the first venue of the pair, sell at the second, up to `give` (fraction) worse than the best price."""
        total = float(np.floor(wanted).sum())
        if total < 1.0:
            return
        worst, deep = [], total
        for venue, side in zip(pair, (BUY, SELL), strict=True):
            leg = self.legs[venue]
            best = int((view.ask_ticks if side == BUY else view.bid_ticks)[leg.world.perp])
            worst.append(max(1, int(best * (1.0 + side * give)) + (side == SELL)))
            deep = min(deep, leg.world.books.depth_lots(leg.world.perp, -side, worst[-1]) / leg.lots)
        size = np.floor(wanted * min(1.0, deep / total)).astype(np.int64)
        self._budget -= size
        for venue, side, price in zip(pair, (BUY, SELL), worst, strict=True):
            self._shares.append(Share(venue, side, size * self.legs[venue].lots, price, flags))

    def _even_out(self, view: View, shown: NDArray[np.bool_]) -> None:
        """Trade away what one leg has more than the others, at the venue where most of it lies."""
        held = self.positions()
        surplus = held.sum(axis=0)
        if not surplus.any():
            return
        where = np.where(shown[:, None], held * np.sign(surplus), np.iinfo(np.int64).min).argmax(axis=0)
        for venue in np.flatnonzero(shown).tolist():
            leg = self.legs[venue]
            last = int(view.last_ticks[leg.world.perp])
            for side in (BUY, SELL):
                lots = np.where((where == venue) & (np.sign(surplus) == -side), np.abs(surplus), 0) * leg.lots
                worst = max(1, int(last * (1.0 + side * self.parameters.hedge_slip)))
                self._shares.append(Share(venue, side, lots, worst, 0))

    def _send(self, view: View, numbers: I64, batch: Batch) -> None:
        """Immediate-or-cancel orders of these accounts, where their share is positive."""
        for share in self._shares:
            leg, lots = self.legs[share.venue], share.lots[numbers]
            some = lots > 0
            orders = batch.add(int(some.sum()))
            orders["market"], orders["account"], orders["op"] = leg.world.perp, leg.rows[numbers[some]], IOC
            orders["side"], orders["price_ticks"], orders["size_lots"] = share.side, share.worst_ticks, lots[some]
            orders["flags"], orders["reason"], orders["latency"] = share.flags, BY_ARBITRAGE, self.latency

    # --- money between venues -----------------------------------------------------------------------------------------

    def review(self, view: View, office: Office) -> None:
        """Post what arrives and what leaves now."""
        for posting in self.postings(view):
            office.pay(posting.payer, posting.receiver, posting.asset, posting.amount, BY_ARBITRAGE)

    def postings(self, view: View) -> list[Posting]:
        """What arrives and what leaves now. A closed venue credits when it is open again."""
        closed = {leg.outside for leg, open_now in zip(self.legs, self.reachable, strict=True) if not open_now}
        due = [item[0] <= view.seconds and item[1].payer not in closed for item in self.on_the_way]
        now = [item[1] for item, arrives in zip(self.on_the_way, due, strict=True) if arrives]
        self.on_the_way = [item for item, arrives in zip(self.on_the_way, due, strict=True) if not arrives]
        if view.seconds >= self._next_review_s:
            self._next_review_s = view.seconds + self.parameters.review_s
            now += self._departures(view)
        return now

    def _departures(self, view: View) -> list[Posting]:
        """Money leaves where most is free for where too little is left."""
        money = np.array([self._money(view, leg) for leg in self.legs])
        coming = np.zeros_like(money)
        for _, posting in self.on_the_way:
            venue = next(n for n, leg in enumerate(self.legs) if leg.outside == posting.payer)
            coming[venue, posting.receiver - self.legs[venue].rows[0]] += posting.amount
        average = (money + coming).mean(axis=0)
        missing = average - (money + coming).min(axis=0)
        poor, rich = (money + coming).argmin(axis=0), money.argmax(axis=0)
        sent = []
        for me in np.flatnonzero(missing > (1.0 - self.parameters.least_share) * average).tolist():
            source, target = self.legs[int(rich[me])], self.legs[int(poor[me])]
            amount = int(min(missing[me], money[rich[me], me] - average[me], self._free(view, source, me)))
            if amount <= 0 or source is target or not self.reachable[rich[me]] or not self.reachable[poor[me]]:
                continue
            sent.append(Posting(int(source.rows[me]), source.outside, source.world.usdt, amount))
            arrival = Posting(target.outside, int(target.rows[me]), target.world.usdt, amount)
            self.on_the_way.append((view.seconds + self.parameters.delay_s, arrival))
        return sent

    def _free(self, view: View, leg: Leg, me: int) -> float:
        """What an account may take away: cash that backs neither position nor orders, without unrealised profit."""
        world, row = leg.world, leg.rows[me]
        slot, tick_value = int(world.markets.slot[world.perp]), int(world.markets.tick_value[world.perp])
        cash, lots = float(world.accounts.cash[world.usdt, row]), int(world.accounts.position[slot, row])
        value = lots * int(view.mark_ticks[world.perp]) * tick_value
        lost = min(0.0, value - float(world.accounts.entry_cost[slot, row]))
        return cash + lost - abs(value) / self.parameters.leverage - float(world.accounts.reserved[world.usdt, row])
