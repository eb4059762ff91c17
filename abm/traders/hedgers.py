"""Basis holders: long coins, short the perpetual, the other side of retail's net long position.

Bound after everybody else, they take minus the sum of all opening positions at minus the sum of all entry costs, so
that positions and unrealised results add up to zero at the opening. Collateral is between one and two times below the
position's value (leverage 1 to 2, assumed); coins equal to the short lie beside it.

They hold the very position that a discount of the perpetual makes worth closing. With b = p_perp / p_spot - 1, a holder
who looks (every `review_s` on average) and finds b below minus a personal discount buys back the share `close_share` of
the short and sells as many coins in spot, both immediate-or-cancel with worst prices `slip` away. Otherwise they are
passive: funding pays them and deleveraging may take their short. All of it is assumed; there is no published record.

A lost hedge. Coins without a short against them, u = coins - short, appear when deleveraging or liquidation takes the
short, or when the spot leg of a closing trade did not fill. Off unless `sell_unhedged` or `rehedge` is positive: that
share of the holders answers, after a time

    T = `react_s` (-ln U)**(1 / `react_shape`),   P(T < t) = 1 - exp(-(t / react_s)**react_shape),

by selling the u coins in spot, or by selling the perpetual again, evenly over `sale_s`. The law of T is fitted to the
deleveraged accounts of Hyperliquid on 10 October 2025, of whom 1.1 % traded again within 5 s, 3.8 % in 60 s and 6.7 %
in 5 min (targets 6.10); the fit gives 1.1, 3.5 and 7.1 %. Those were all accounts, not basis holders, and what the law
says beyond 5 min is extrapolated: half would have answered after 12 hours.
"""

from __future__ import annotations

import numpy as np
from pydantic import model_validator

from abm.events import BY_ARBITRAGE, BY_REBALANCING
from abm.parameters import Parameters, quantity
from abm.rng import normals, stream, uniforms
from abm.state import BUY, CROSS, HEDGER, I64, IOC, NOBODY, REDUCE_ONLY, SELL
from abm.traders.base import Batch, Participant, View, World, asked
from abm.traders.handle import Account, Luck, Orders
from abm.traders.retail_opening import bounded_pareto, whole_lots

_LOOK = stream("hedger look")


class HedgersParameters(Parameters):
    """Basis holders of one venue."""

    accounts: int = quantity(50, unit="accounts", source="not observed", ge=1, le=100_000)
    size_tail: float = quantity(0.8, unit="-", source="as retail", gt=0.1, lt=1.0)
    largest_share: float = quantity(0.08, unit="-", source="not observed", gt=0.0, le=1.0)
    least_leverage: float = quantity(
        1.0, unit="x", source="basis trades are collateralised in full or half", ge=0.1, le=20.0
    )
    most_leverage: float = quantity(
        2.0, unit="x", source="basis trades are collateralised in full or half", ge=0.1, le=20.0
    )
    review_s: float = quantity(30.0, unit="s", source="not observed", gt=0.0, text="mean time between two looks")
    discount: float = quantity(
        0.01, unit="fraction", source="not observed", gt=0.0, likely=(0.003, 0.03), text="median discount that closes"
    )
    discount_spread: float = quantity(0.5, unit="log", source="not observed", ge=0.0, le=2.0)
    close_share: float = quantity(
        0.05,
        unit="of the position",
        source="not observed",
        ge=0.0,
        le=1.0,
        likely=(0.0, 0.2),
        text="closed at one look",
    )
    slip: float = quantity(0.005, unit="fraction", source="not observed", ge=0.0, le=0.05)
    sell_unhedged: float = quantity(
        0.0,
        unit="-",
        source="off; not observed",
        ge=0.0,
        le=1.0,
        likely=(0.0, 1.0),
        text="share of holders who sell coins whose short was taken",
    )
    rehedge: float = quantity(
        0.0,
        unit="-",
        source="off; not observed",
        ge=0.0,
        le=1.0,
        likely=(0.0, 1.0),
        text="share of holders who sell the perpetual again when a short was taken",
    )
    react_s: float = quantity(
        96_000.0,
        unit="s",
        source="fit to when deleveraged accounts traded again, targets 6.10; extrapolated beyond 5 min",
        gt=0.0,
        grade="B",
        likely=(60.0, 2e5),
        text="time after which 63 % have answered",
    )
    react_shape: float = quantity(
        0.453, unit="-", source="the same fit", gt=0.0, le=5.0, grade="B", text="of the Weibull law of that time"
    )
    sale_s: float = quantity(
        600.0,
        unit="s",
        source="not observed",
        gt=0.0,
        likely=(60.0, 7200.0),
        text="time over which an answer is carried out",
    )

    @model_validator(mode="after")
    def _shares(self) -> HedgersParameters:
        if self.sell_unhedged + self.rehedge > 1.0:
            raise ValueError("sell_unhedged and rehedge are shares of the same holders: their sum must not exceed 1")
        return self


class Hedgers(Participant):
    """The accounts that make the sum of opening positions zero: call `balance` after everybody is bound."""

    row_kind = HEDGER
    parameters: HedgersParameters

    def rows_needed(self) -> int:
        return self.parameters.accounts

    def bind(self, world: World) -> None:
        """Account settings; the positions come with `balance`, when everybody else's are known."""
        self.world = world
        spread = self.parameters.discount_spread * normals(world.seed, _LOOK, np.arange(self.rows.size), 0, 1)
        self._discount = self.parameters.discount * np.exp(spread)
        self._least_discount = float(self._discount.min())
        p, taste = self.parameters, uniforms(world.seed, _LOOK, np.arange(self.rows.size), 0, 4)
        self._answer = np.where(
            taste < p.sell_unhedged, world.spot, np.where(taste < p.sell_unhedged + p.rehedge, world.perp, NOBODY)
        )
        """The market in which each holder answers to a lost hedge, int64 (accounts,); NOBODY: in none."""
        self._answers = bool((self._answer >= 0).any())
        self._due_s = np.full(self.rows.size, np.inf)
        self._pace = np.zeros(self.rows.size)
        world.accounts.kind[self.rows] = self.row_kind
        world.accounts.mode[self.rows] = CROSS
        world.accounts.leverage[self.rows] = max(1, round(self.parameters.most_leverage))

    def balance(self, world: World, lots: int) -> None:
        """Take `lots` (signed) against everybody, with collateral and coins."""
        p, rows, accounts, markets = self.parameters, self.rows, world.accounts, world.markets
        slot, n = int(markets.slot[world.perp]), self.rows.size
        cost = -int(accounts.entry_cost[slot, accounts.venue == accounts.venue[rows[0]]].sum())
        if lots == 0:
            return
        share = bounded_pareto((n - np.arange(n) - 0.5) / n, p.size_tail, n, p.largest_share)
        size = whole_lots(share, abs(lots)) * (1 if lots > 0 else -1)
        # Everybody's average entry, in whole settlement units; the largest account carries the rounding.
        entry = np.array([int(part) * cost // lots for part in size.tolist()], np.int64)
        entry[0] += cost - int(entry.sum())
        world.open_positions(rows, size, entry)
        leverage = p.least_leverage + (p.most_leverage - p.least_leverage) * (np.arange(n) + 0.5) / n
        worth = float(world.start_ticks[world.perp]) * float(markets.tick_value[world.perp])
        # Collateral counts from today's price, so what the position has gained or lost so far is part of it.
        gained = size * worth - entry
        collateral = np.maximum(np.abs(size) * worth / leverage - gained, 0.2 * np.abs(size) * worth)
        world.deposit(rows, world.usdt, np.ceil(collateral).astype(np.int64))
        if lots < 0:
            world.deposit(rows, world.btc, -size * int(markets.lot_units[world.perp]))

    def prepare(self, view: View) -> None:
        """How far the perpetual is below spot."""
        last = view.last_ticks * self.world.markets.tick_dollars
        self._below = 1.0 - float(last[self.world.perp]) / float(last[self.world.spot])

    def decide(self, view: View, batch: Batch) -> None:
        """Close a part where the perpetual is far enough below spot; answer to lost hedges."""
        self.prepare(view)
        if self._answers or self._closes():
            self._rule(view, np.arange(self.rows.size), batch)

    def decide_one(self, view: View, me: Account, rng: Luck) -> Orders:
        """The same for one holder."""
        return asked(self._rule, view, me.number)

    def _closes(self) -> bool:
        return self._below >= self._least_discount and self.parameters.close_share > 0.0

    def _rule(self, view: View, who: I64, batch: Batch) -> None:
        short, held = self._legs(who)
        if self._closes():
            self._close(view, who, short, held, batch)
        if self._answers:
            self._answer_loss(view, who, held - np.clip(short, 0, held), batch)

    def _legs(self, who: I64) -> tuple[I64, I64]:
        """Short positions and coins, both in lots of the perpetual; shape of `who`."""
        world, rows = self.world, self.rows[who]
        short: I64 = -world.accounts.position[int(world.markets.slot[world.perp]), rows]
        coins: I64 = world.accounts.cash[world.btc, rows] // int(world.markets.lot_units[world.perp])
        return short, coins

    def _close(self, view: View, who: I64, short: I64, held: I64, batch: Batch) -> None:
        """A part of both legs of those who look and find the discount large enough."""
        p, world = self.parameters, self.world
        looks = uniforms(view.seed, _LOOK, who, view.tick, 0) < -np.expm1(-view.tick_s / p.review_s)
        size = np.floor(p.close_share * np.minimum(short, held)).astype(np.int64)
        some = looks & (self._below > self._discount[who]) & (size > 0)
        for market, side in ((world.perp, BUY), (world.spot, SELL)):
            flags = REDUCE_ONLY if market == world.perp else 0
            self._send(view, batch, market, side, who[some], size[some], flags, BY_ARBITRAGE)

    def _answer_loss(self, view: View, who: I64, bare: I64, batch: Batch) -> None:
        """Sell coins without a hedge, or hedge them again, when the time to answer has come; `bare` in lots."""
        p, world, now = self.parameters, self.world, view.seconds
        new = (bare > 0) & np.isinf(self._due_s[who]) & (self._answer[who] >= 0)
        if new.any():
            luck = uniforms(view.seed, _LOOK, who[new], view.tick, 6)
            self._due_s[who[new]] = now + p.react_s * (-np.log(luck)) ** (1.0 / p.react_shape)
        over = who[bare <= 0]
        self._due_s[over], self._pace[over] = np.inf, 0.0
        acting = (bare > 0) & (now >= self._due_s[who])
        mine, size = who[acting], bare[acting]
        self._pace[mine] = np.maximum(self._pace[mine], size / p.sale_s)
        size = np.minimum(np.ceil(self._pace[mine] * view.tick_s).astype(np.int64), size)
        for market in (world.spot, world.perp):
            whole = size * int(world.markets.lot_units[world.perp]) >= int(world.markets.lot_units[market])
            there = (self._answer[mine] == market) & whole
            self._send(view, batch, market, SELL, mine[there], size[there], 0, BY_REBALANCING)

    def _send(
        self, view: View, batch: Batch, market: int, side: int, who: I64, lots: I64, flags: int, reason: int
    ) -> None:
        """Immediate-or-cancel orders; `lots` of the perpetual."""
        markets = self.world.markets
        orders = batch.add(who.size)
        orders["market"], orders["account"], orders["op"], orders["side"] = market, self.rows[who], IOC, side
        orders["price_ticks"] = max(1, round(float(view.last_ticks[market]) * (1.0 + side * self.parameters.slip)))
        orders["size_lots"] = lots * int(markets.lot_units[self.world.perp]) // int(markets.lot_units[market])
        orders["reason"], orders["flags"] = reason, flags
