"""Traders as somebody else might write them: a sound one, and one for each mistake that `deleverage check` finds."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from abm.parameters import Parameters, quantity
from abm.state import BUY, I64
from abm.traders.base import Batch, Office, View, asked
from abm.traders.handle import Account, Luck, Orders
from abm.traders.trader import Trader, TraderParameters


class DipParameters(TraderParameters):
    """Bids below the market."""

    accounts: int = quantity(5, unit="accounts", source="made up", ge=1, le=100)
    dip: float = quantity(0.0005, unit="fraction", source="made up", gt=0.0, lt=1.0)


class DipBuyer(Trader):
    """Keeps one bid a little below the last price and moves it now and then; takes profit at once."""

    parameters_class = DipParameters
    parameters: DipParameters

    def decide_one(self, view: View, me: Account, rng: Luck) -> Orders:
        bid = me.last() * (1.0 - self.parameters.dip)
        if me.position > 0:
            return [*(me.cancel(order) for order in me.orders), me.close()]
        if not me.orders:
            return [me.buy(0.01, limit=bid)]
        return [me.replace(me.orders[0], limit=bid, coins=0.01)] if rng.chance(0.3) else None


class Buyer(Trader):
    """Buys a little now and then: what the faulty ones below are made of."""

    def decide_one(self, view: View, me: Account, rng: Luck) -> Orders:
        return [me.buy(0.01)] if rng.chance(0.2) else []


class GlobalLuck(Buyer):
    """Draws from NumPy's global generator."""

    def decide_one(self, view: View, me: Account, rng: Luck) -> Orders:
        heads = importlib.import_module("numpy.random").random_sample() < 0.5
        return [me.buy(0.01)] if heads else []


class TwoMinds(Buyer):
    """Its `decide` by arrays buys more than `decide_one` says."""

    def decide(self, view: View, batch: Batch) -> None:
        orders = batch.add(self.rows.size)
        orders["market"], orders["account"], orders["side"] = self.world.perp, self.rows, BUY
        orders["op"], orders["size_lots"] = 1, 20


class Sharing(Trader):
    """Whoever is asked first gets the larger size."""

    example = {"accounts": 4}  # noqa: RUF012 (as users write it)
    _left = 0

    def prepare(self, view: View) -> None:
        self._left = self.rows.size

    def decide_one(self, view: View, me: Account, rng: Luck) -> Orders:
        self._left -= 1
        return [me.buy(0.001 * (1 + self._left))]


class Minting(Buyer):
    """Gives itself money."""

    def decide_one(self, view: View, me: Account, rng: Luck) -> Orders:
        self.world.accounts.cash[self.world.usdt, me.row] += 1_000_000
        return [me.buy(0.01)]


class Pocketing(Buyer):
    """Takes money from its neighbour without a posting: the sums stay right."""

    example = {"accounts": 2}  # noqa: RUF012

    def review(self, view: View, office: Office) -> None:
        self.world.accounts.cash[self.world.usdt, self.rows] += np.array([1_000, -1_000])


class Greedy(Trader):
    """Asks for what it cannot pay."""

    def decide_one(self, view: View, me: Account, rng: Luck) -> Orders:
        return [me.buy(1_000.0)]


class Raising(Trader):
    """Has a bug."""

    def decide_one(self, view: View, me: Account, rng: Luck) -> Orders:
        return [me.buy(1.0 / (view.tick - 3))]


class Idle(Trader):
    """Does nothing."""

    def decide_one(self, view: View, me: Account, rng: Luck) -> Orders:
        return None


class BareParameters(TraderParameters):
    """A number without unit and source."""

    wish: float = 1.0


class Bare(Buyer):
    """Its parameters say nothing about themselves."""

    parameters_class = BareParameters


class Vectorised(DipBuyer):
    """One rule for arrays and for one, as the built-in kinds have it; without luck."""

    def decide(self, view: View, batch: Batch) -> None:
        self._rule(view, self.woken(view), batch)

    def decide_one(self, view: View, me: Account, rng: Luck) -> Orders:
        return asked(self._rule, view, me.number)

    def _rule(self, view: View, numbers: I64, batch: Batch) -> None:
        who = numbers[(numbers + view.tick) % 5 == 0]
        orders = batch.add(who.size)
        orders["market"], orders["account"], orders["side"] = self.world.perp, self.rows[who], BUY
        orders["op"], orders["size_lots"] = 1, 2


class NoParticipant:
    """No trader at all."""

    parameters_class: Any = Parameters
