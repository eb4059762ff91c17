"""Basis holders: long coins, short the perpetual, the other side of retail's net long position.

Bound after everybody else, they take minus the sum of all opening positions at minus the sum of all entry costs, so
that positions and unrealised results add up to zero at the opening. Collateral is between one and two times below the
position's value (leverage 1 to 2, assumed); coins equal to the short lie beside it.

They hold the very position that a discount of the perpetual makes worth closing. With b = p_perp / p_spot - 1, a holder
who looks (every `review_s` on average) and finds b below minus a personal discount buys back the share `close_share` of
the short and sells as many coins in spot, both immediate-or-cancel with worst prices `slip` away. Otherwise they are
passive: funding pays them and deleveraging may take their short. All of it is assumed; there is no published record.
"""

from __future__ import annotations

import numpy as np

from abm.events import BY_ARBITRAGE
from abm.parameters import Parameters, quantity
from abm.rng import normals, stream, uniforms
from abm.state import BUY, CROSS, HEDGER, IOC, REDUCE_ONLY, SELL
from abm.traders.base import Batch, Participant, View, World
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

    def decide(self, view: View, batch: Batch) -> None:
        """Close a part where the perpetual is far enough below spot."""
        p, world = self.parameters, self.world
        last = view.last_ticks * world.markets.tick_dollars
        discount = 1.0 - float(last[world.perp]) / float(last[world.spot])
        if discount < self._least_discount or p.close_share == 0.0:
            return
        number = np.arange(self.rows.size)
        looks = uniforms(view.seed, _LOOK, number, view.tick, 0) < -np.expm1(-view.tick_s / p.review_s)
        short = -world.accounts.position[int(world.markets.slot[world.perp]), self.rows]
        per_lot = int(world.markets.lot_units[world.perp])
        held = world.accounts.cash[world.btc, self.rows] // per_lot
        size = np.floor(p.close_share * np.minimum(short, held)).astype(np.int64)
        who = np.flatnonzero(looks & (discount > self._discount) & (size > 0))
        for market, side in ((world.perp, BUY), (world.spot, SELL)):
            lots = size[who] * per_lot // int(world.markets.lot_units[market])
            orders = batch.add(who.size)
            orders["market"], orders["account"], orders["op"], orders["side"] = market, self.rows[who], IOC, side
            orders["price_ticks"] = max(1, round(float(view.last_ticks[market]) * (1.0 + side * p.slip)))
            orders["size_lots"], orders["reason"] = lots, BY_ARBITRAGE
            if market == world.perp:
                orders["flags"] = REDUCE_ONLY
