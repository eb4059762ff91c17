"""Cash and carry: arbitrageurs with limited capital between spot and a dated future, held to the end.

At its time T the future settles at the index, so a coin bought now at S and a future sold at K have earned K - S then.
Money costs the rate r a year; with tau the time left in years the pair is worth while when

    sell the future, buy coins:    b_F / a_S - 1 >  r tau + c,
    buy the future, sell coins:    a_F / b_S - 1 <  r tau - c,

with b and a bid and ask, c = f_F + 2 f_S + threshold (taker fees of the future once, of spot twice: coins come and go).
Between the two lies the band in which nobody trades. x is what lies beyond; an account takes

    rate dt min(1, x / full)   coins on both legs, immediate-or-cancel,

no more than its capital, coins, cash and the depth that is still profitable allow; the worst prices of the legs share x
equally. Positions are not closed before T but by the trade in the other direction; coins that stand against nothing,
of a leg that did not fill or after T, are traded away in spot at the same rate. Rounds inside a tick share one budget.

With capital left the basis stays inside the band (up to the depth of the book); without it, it goes wherever others
push it. Sizes and thresholds are assumed; that basis trades are carried like this is common knowledge.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from abm.events import BY_ARBITRAGE
from abm.parameters import Parameters, quantity
from abm.rng import normals, stream
from abm.state import ARBITRAGEUR, BUY, CROSS, I64, IOC, SELL
from abm.traders.base import BOT_LATENCY, Batch, Participant, View, World, asked
from abm.traders.handle import Account, Luck, Orders
from abm.units import RATE_ONE

F64 = NDArray[np.float64]
YEAR_S = 365.0 * 86_400.0
_TASTE = stream("carry taste")


class CashAndCarryParameters(Parameters):
    """Arbitrageurs between spot and a dated future."""

    market: str = quantity("", unit="name", source="-", text="the dated future; empty: the venue's first")
    accounts: int = quantity(10, unit="accounts", source="a resolution", ge=1, le=1000)
    capital_coins: float = quantity(
        2000.0, unit="BTC", source="not observed", ge=0.0, likely=(200.0, 20e3), text="largest position, each way, all"
    )
    rate_a_year: float = quantity(
        0.05, unit="1/year", source="dollar interest, 4 to 5 % in 2025", grade="M", ge=-0.5, le=1.0, text="r"
    )
    threshold: float = quantity(
        0.0005, unit="fraction", source="not observed", ge=0.0, le=0.1, text="median profit asked for"
    )
    threshold_spread: float = quantity(0.5, unit="log", source="not observed", ge=0.0, le=2.0)
    full: float = quantity(0.002, unit="fraction", source="as the arbitrageurs of the perpetual", gt=0.0)
    rate_coins: float = quantity(
        10.0, unit="BTC/s", source="half of the arbitrageurs of the perpetual", gt=0.0, likely=(1.0, 50.0)
    )
    slip: float = quantity(0.005, unit="fraction", source="not observed", ge=0.0, le=0.05)
    leverage: int = quantity(3, unit="x", source="as the arbitrageurs of the perpetual", ge=1, le=20)


class CashAndCarry(Participant):
    """Machines that look at spot and one dated future in every round."""

    machine = True
    latency = BOT_LATENCY
    row_kind = ARBITRAGEUR
    parameters_class = CashAndCarryParameters
    parameters: CashAndCarryParameters

    def rows_needed(self) -> int:
        return self.parameters.accounts

    def bind(self, world: World) -> None:
        """Coins for half of the capital, cash for all of it on both legs. Without a dated future nobody acts."""
        p, self.world, n = self.parameters, world, self.rows.size
        accounts, markets = world.accounts, world.markets
        accounts.kind[self.rows], accounts.mode[self.rows] = self.row_kind, CROSS
        accounts.leverage[self.rows] = p.leverage
        self._future = self._found()
        if self._future < 0:
            return
        self._slot, self._unit = int(markets.slot[self._future]), int(markets.lot_units[world.spot])
        self._ratio = float(markets.lot_coins[world.spot]) / float(markets.lot_coins[self._future])
        self._limit_lots = p.capital_coins / n / float(markets.lot_coins[self._future])
        worth = float(markets.value(self._future, 1, int(world.start_ticks[self._future])))
        cash = math.ceil(self._limit_lots * worth * (1.1 + 2.0 / p.leverage))
        world.deposit(self.rows, world.usdt, np.full(n, cash))
        self._opening_coins = int(0.5 * self._limit_lots / self._ratio) * self._unit
        world.deposit(self.rows, world.btc, np.full(n, self._opening_coins))
        spread = normals(world.seed, _TASTE, np.arange(n), 0, 0)
        fees = float(markets.taker_fee[self._future] + 2 * markets.taker_fee[world.spot]) / RATE_ONE
        self.costs = fees + p.threshold * np.exp(p.threshold_spread * spread)
        """C of each account, fraction of the price, (accounts,)."""
        self._least = float(self.costs.min())
        self._dollars = (float(markets.tick_dollars[self._future]), float(markets.tick_dollars[world.spot]))
        self._end_s = float(markets.expiry_ms[self._future]) / 1000.0 - world.start.timestamp()
        self._tick = -1
        self._budget_lots = np.zeros(n)

    def _found(self) -> int:
        """Market id of the future, -1 = there is none; raises ValueError when the name is wrong."""
        markets, world, name = self.world.markets, self.world, self.parameters.market
        dated = np.flatnonzero((markets.venue == markets.venue[world.perp]) & (markets.expiry_ms > 0))
        settled = [int(m) for m in dated if markets.settle[m] == world.usdt and not markets.inverse[m]]
        if not name:
            return settled[0] if settled else -1
        named = [market for market in settled if markets.names[market].rpartition("/")[2] == name]
        if not named:
            raise ValueError(f"{name!r} is no dated future of the venue that settles in its money")
        return named[0]

    def carry(self, seconds: float) -> float:
        """R tau, what money costs until the end; fraction of the price."""
        return self.parameters.rate_a_year * max(self._end_s - seconds, 0.0) / YEAR_S

    def prepare(self, view: View) -> None:
        """The direction that pays, the worst prices, and what of everybody's wish the books can carry."""
        self._side = 0
        if view.tick != self._tick:
            self._tick, self._fresh = view.tick, True
            each = self.parameters.rate_coins * view.tick_s / self.parameters.accounts
            self._budget_lots[:] = each / float(self.world.markets.lot_coins[self._future])
        else:
            self._fresh = False
        if view.seconds >= self._end_s:
            return
        for side in (SELL, BUY):
            beyond = self._beyond(view, side)
            if beyond > self._least:
                self._open(view, side, beyond)
                return

    def decide(self, view: View, batch: Batch) -> None:
        """Trade the basis if it is outside the band; otherwise, once a tick, what stands against nothing."""
        if self._future >= 0:
            self.prepare(view)
            self._rule(view, np.arange(self.rows.size), batch)

    def woken(self, view: View) -> I64:
        """Numbers of everybody, if there is a future."""
        return np.arange(self.rows.size if self._future >= 0 else 0)

    def decide_one(self, view: View, me: Account, rng: Luck) -> Orders:
        """The same for one account."""
        return asked(self._rule, view, me.number)

    def _beyond(self, view: View, side: int) -> float:
        """What trading the future on `side` against spot earns before costs; -1 where a side is empty."""
        ours, theirs = (view.bid_ticks, view.ask_ticks) if side == SELL else (view.ask_ticks, view.bid_ticks)
        future_usd, spot_usd = ours[self._future] * self._dollars[0], theirs[self.world.spot] * self._dollars[1]
        if future_usd <= 0.0 or spot_usd <= 0.0:
            return -1.0
        return float(-side * (future_usd / spot_usd - 1.0 - self.carry(view.seconds)))

    def _open(self, view: View, side: int, beyond: float) -> None:
        """Wishes of all accounts and the share of them that both books can carry within the worst prices."""
        world, books = self.world, self.world.books
        best = [int((view.bid_ticks if one == SELL else view.ask_ticks)[m]) for m, one in self._legs(side)]
        give = 0.5 * (beyond - self._least)
        self._worst = [
            max(1, int(at * (1.0 + one * give))) for at, (_, one) in zip(best, self._legs(side), strict=True)
        ]
        wanted = np.minimum(
            self._budget_lots * np.clip((beyond - self.costs) / self.parameters.full, 0.0, 1.0),
            np.maximum(self._room(side), 0.0),
        )
        total = float(wanted.sum())
        if total < 1.0:
            return
        deep = min(
            books.depth_lots(self._future, -side, self._worst[0]),
            books.depth_lots(world.spot, side, self._worst[1]) * self._ratio,
        )
        self._side, self._wanted = side, np.floor(wanted * min(1.0, deep / total)).astype(np.int64)

    def _legs(self, side: int) -> list[tuple[int, int]]:
        return [(self._future, side), (self.world.spot, -side)]

    def _room(self, side: int) -> F64:
        """What capital, cash or coins leave each account, lots of the future; shape (accounts,)."""
        world, accounts = self.world, self.world.accounts
        room: F64 = self._limit_lots - side * accounts.position[self._slot, self.rows]
        free = accounts.cash[:, self.rows] - accounts.reserved[:, self.rows]
        if side == SELL:
            worth = self._worst[1] * float(world.markets.tick_value[world.spot]) / self._ratio
            room = np.minimum(room, 0.9 * free[world.usdt] / worth)
        else:
            room = np.minimum(room, free[world.btc] / self._unit * self._ratio)
        return room

    def _rule(self, view: View, who: I64, batch: Batch) -> None:
        if self._side:
            lots = self._wanted[who]
            self._budget_lots[who] -= lots
            sizes = (lots, (lots / self._ratio).astype(np.int64))
            for (market, side), worst, size in zip(self._legs(self._side), self._worst, sizes, strict=True):
                self._send(batch, market, side, who, size, worst)
        elif self._fresh:
            self._square(view, who, batch)

    def _square(self, view: View, who: I64, batch: Batch) -> None:
        """Trade the difference of the legs away in spot."""
        world, rows, last = self.world, self.rows[who], int(view.last_ticks[self.world.spot])
        coins = (world.accounts.cash[world.btc, rows] - self._opening_coins) / self._unit
        bare = coins + world.accounts.position[self._slot, rows] / self._ratio
        lots = np.trunc(np.clip(bare, -self._budget_lots[who] / self._ratio, self._budget_lots[who] / self._ratio))
        for side in (BUY, SELL):
            size = np.maximum(-side * lots, 0.0).astype(np.int64)
            self._send(batch, world.spot, side, who, size, max(1, int(last * (1.0 + side * self.parameters.slip))))

    def _send(self, batch: Batch, market: int, side: int, who: I64, lots: I64, worst_ticks: int) -> None:
        some = lots > 0
        orders = batch.add(int(some.sum()))
        orders["market"], orders["account"], orders["op"], orders["side"] = market, self.rows[who[some]], IOC, side
        orders["price_ticks"], orders["size_lots"] = worst_ticks, lots[some]
        orders["reason"], orders["latency"] = BY_ARBITRAGE, self.latency
