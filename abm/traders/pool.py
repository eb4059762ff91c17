"""A pool that takes the other side of every trade at the oracle's price, as in the pool mode of Aster ("1001x").

It quotes a given size at the index: a bid at it and an ask one tick above, so that whoever trades pays the oracle's
price. It has no latency: its quotes stand at the new index before anything else of the same round is executed, forced
orders included. It does not hedge; what traders win it loses. Its capital bounds what it can hold; when that is used
up, the side that would add to its position is no longer quoted.
"""

from __future__ import annotations

import math

import numpy as np

from abm.parameters import Parameters, quantity
from abm.state import BUY, CANCEL, CROSS, I64, LIMIT, MAKER, NOBODY, SELL
from abm.traders.base import Batch, Participant, View, World
from abm.traders.handle import Account, Luck, Orders

ORACLE_LATENCY = -3
"""Latency class ahead of the venue's own cancels and forced orders."""


class PoolParameters(Parameters):
    """The pool; without capital there is none."""

    capital_usd: float = quantity(
        0.0,
        unit="$",
        ge=0.0,
        source="0: off. Size of Aster's pool on 10 Oct 2025 not found; 50 million is that of its preset",
        likely=(20e6, 200e6),
    )
    quote_usd: float = quantity(
        5e6, unit="$", gt=0.0, source="limits of size in pool mode not found", likely=(1e6, 20e6), text="on each side"
    )
    leverage: int = quantity(
        1, unit="x", ge=1, le=20, source="assumed: the pool never holds more than its capital covers", likely=(1, 5)
    )


class Pool(Participant):
    """One cross account with a bid at the index and an ask a tick above, moved whenever the index moved."""

    machine = True
    latency = ORACLE_LATENCY
    parameters: PoolParameters

    def bind(self, world: World) -> None:
        """The capital in cash."""
        self.world, row = world, int(self.rows[0])
        accounts = world.accounts
        accounts.kind[row], accounts.mode[row] = MAKER, CROSS
        accounts.leverage[row] = self.parameters.leverage
        world.deposit(self.rows, world.usdt, np.array([math.floor(self.parameters.capital_usd * 1e6)]))
        self._handle = {BUY: NOBODY, SELL: NOBODY}
        self._price = {BUY: 0, SELL: 0}
        self._sent: list[int] = []

    def decide_one(self, view: View, me: Account, rng: Luck) -> Orders:
        """Take back what is not at the index any more or was hit, then quote afresh."""
        batch = Batch(4)
        world, row = self.world, int(self.rows[0])
        index = int(view.index_ticks[world.perp])
        lots = int(self.parameters.quote_usd * 1e6) // (index * int(world.markets.tick_value[world.perp]))
        self._sent = []
        stale = []
        for side, price in ((BUY, index), (SELL, index + 1)):
            order = world.books.order(self._handle[side])
            if order is not None and self._price[side] == price and int(order["size_lots"]) == lots:
                continue
            self._price[side] = price
            stale.append(side)
            if order is not None:
                cancel = batch.add(1)
                cancel["market"], cancel["account"], cancel["op"] = world.perp, row, CANCEL
                cancel["order"] = self._handle[side]
                self._sent.append(0)
        for side in stale:
            quote = batch.add(1)
            quote["market"], quote["account"], quote["op"], quote["side"] = world.perp, row, LIMIT, side
            quote["price_ticks"], quote["size_lots"] = self._price[side], lots
            self._sent.append(side)
        return batch.messages()

    def after_trade(self, handles: I64, offset: int) -> None:
        """Remember what rests."""
        for side, handle in zip(self._sent, handles.tolist(), strict=True):
            if side:
                self._handle[side] = handle
