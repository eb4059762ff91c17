"""Readers of published liquidation prices: predators, who sell ahead of them, and providers, who wait there with bids.

Where a venue publishes at which prices how much would be liquidated (`policies.disclosure`), two kinds can use it.

*Predators* (Brunnermeier and Pedersen 2005, "Predatory Trading", Journal of Finance 60) know who will have to sell,
sell first, and buy back when the forced sales come. With L the coins of longs that fail within `hunt_reach` below the
last price and S those of shorts within it above, they go, all together, to

    share (S - L)   coins,

at speed 1 / tau by immediate-or-cancel orders: short while longs are near, flat again once they are gone. Less than
`least_usd` in reach is not worth a hunt.

*Providers* (Admati and Pfleiderer 1991, "Sunshine Trading and Financial Market Equilibrium", Review of Financial
Studies 4: what is announced draws those who take the other side) put `share` of what fails in each published step,
within `reach` of the last price, as bids at its lower edge, and asks at the upper edge above; every new profile
replaces them. What they have bought they sell again over `hold_s`.

Both have a stated capital in cross accounts and take positions up to `leverage` times their equity, counting what they
bid. Nobody has observed such traders with such data; sizes and speeds are assumed. Where nothing is published they
do nothing. Whether others know of them, and trade on that, is not modelled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from abm.events import BY_SIGNAL
from abm.parameters import Parameters, quantity
from abm.state import CROSS, I64, LEVERAGED_FUND
from abm.traders.base import Participant, View, World
from abm.traders.handle import Account, Luck, Orders
from abm.units import MICRO
from abm.venues.profile import Profile, Publisher

UNKNOWN = "not observed"


class ReadersParameters(Parameters):
    """Traders who read published liquidation prices."""

    traders: int = quantity(10, unit="accounts", source=UNKNOWN, ge=1, le=1000)
    capital_usd: float = quantity(
        100e6, unit="$", source=UNKNOWN, gt=0.0, likely=(10e6, 1e9), text="of all of them together"
    )
    leverage: float = quantity(3.0, unit="x", source=UNKNOWN, gt=0.0, le=20.0, likely=(1.0, 5.0), text="at most")
    share: float = quantity(
        0.25, unit="share", source=UNKNOWN, gt=0.0, le=1.0, likely=(0.05, 1.0), text="of the published lots in reach"
    )
    slip: float = quantity(0.003, unit="fraction", source="as noise traders", ge=0.0, le=0.5)


class PredatorsParameters(ReadersParameters):
    """Traders who sell ahead of forced sales."""

    hunt_reach: float = quantity(0.01, unit="fraction", source=UNKNOWN, gt=0.0, lt=1.0, likely=(0.005, 0.03))
    least_usd: float = quantity(20e6, unit="$", source=UNKNOWN, ge=0.0, text="in reach, on one side")
    speed_s: float = quantity(10.0, unit="s", source=UNKNOWN, gt=0.0, likely=(1.0, 60.0), text="tau")


class ProvidersParameters(ReadersParameters):
    """Traders who wait with bids where forced sales will come."""

    reach: float = quantity(0.1, unit="fraction", source=UNKNOWN, gt=0.0, lt=1.0, likely=(0.03, 0.2))
    hold_s: float = quantity(
        600.0, unit="s", source=UNKNOWN, gt=0.0, likely=(60.0, 3600.0), text="time constant of selling again"
    )


class Readers(Participant):
    """Cross accounts on the perpetual with equal capital; people, who decide once a tick."""

    row_kind = LEVERAGED_FUND
    reason = BY_SIGNAL
    example_scenario: ClassVar[Mapping[str, Any]] = {"policies.disclosure.every_s": 5}
    parameters: ReadersParameters
    _disclosure: Publisher | None = None
    _profile: Profile | None = None

    def rows_needed(self) -> int:
        return self.parameters.traders

    def bind(self, world: World) -> None:
        """Equal cash for everybody; a leverage setting a quarter above the limit, so that the limit binds first."""
        p, self.world, accounts = self.parameters, world, world.accounts
        accounts.kind[self.rows], accounts.mode[self.rows] = self.row_kind, CROSS
        most = int(world.markets.tier_leverage[world.perp, 0])
        accounts.leverage[self.rows] = min(max(1, math.ceil(1.25 * p.leverage)), most)
        self._first = np.full(self.rows.size, round(p.capital_usd * MICRO / self.rows.size))
        world.deposit(self.rows, world.usdt, self._first)
        self._slot, self._tick_usd = int(world.markets.slot[world.perp]), float(world.markets.tick_dollars[world.perp])
        self._lot_coins = float(world.markets.lot_coins[world.perp])

    def begin(self, model: Any) -> None:
        """Find what is published, if anything is."""
        self._disclosure = model.policies.disclosure

    def prepare(self, view: View) -> None:
        """The latest profile."""
        self._profile = self._disclosure.published(self.world.perp) if self._disclosure is not None else None

    def room(self, me: Account) -> float:
        """Largest position its equity allows, coins."""
        return max(0.0, self.parameters.leverage * me.equity / me.last())

    def step_to(self, me: Account, wanted: float, pace: float, rng: Luck) -> NDArray[Any] | None:
        """MESSAGE (1,): a part `pace` of the way from the position to what is wanted, coins; whole lots by chance."""
        gap, slip = wanted - me.position, self.parameters.slip
        coins = math.floor(abs(gap) * pace / self._lot_coins + rng.uniform()) * self._lot_coins
        if coins <= 0.0 or coins > abs(gap) + self._lot_coins:
            return None
        if gap > 0.0:
            return me.buy(coins, worst=me.last() * (1.0 + slip))
        return me.sell(coins, worst=me.last() * (1.0 - slip))

    def measured(self) -> Mapping[str, float]:
        """Position of all, and what they have gained on the cash they began with, at the last price."""
        world, rows = self.world, self.rows
        held = world.accounts.position[self._slot, rows]
        last = world.books.last(world.perp)
        value = world.markets.value(world.perp, held, last) - world.accounts.entry_cost[self._slot, rows]
        gained = world.accounts.cash[world.usdt, rows] + value - self._first
        return {"position_btc": float(held.sum()) * self._lot_coins, "gained_usd": float(gained.sum()) / MICRO}


class Predators(Readers):
    """They sell first and buy back into the forced sales."""

    parameters_class = PredatorsParameters
    parameters: PredatorsParameters
    example: ClassVar[Mapping[str, Any]] = {"least_usd": 0.0, "hunt_reach": 0.05}

    def prepare(self, view: View) -> None:
        super().prepare(view)
        self._each = self.wanted(view) / self.rows.size

    def woken(self, view: View) -> I64:
        """Everybody, once something is published."""
        return np.arange(self.rows.size if self._profile is not None else 0)

    def wanted(self, view: View) -> float:
        """Position of all of them together that the profile asks for, coins."""
        p, profile, last = self.parameters, self._profile, float(view.last_ticks[self.world.perp])
        if profile is None or last <= 0.0:
            return 0.0
        least_lots = p.least_usd / (last * self._tick_usd * self._lot_coins)
        longs = profile.longs_between(last * (1.0 - p.hunt_reach), last)
        shorts = profile.shorts_between(last, last * (1.0 + p.hunt_reach))
        longs, shorts = (lots if lots >= least_lots else 0.0 for lots in (longs, shorts))
        return p.share * (shorts - longs) * self._lot_coins

    def decide_one(self, view: View, me: Account, rng: Luck) -> Orders:
        """A step toward its part of what is wanted."""
        if me.last() <= 0.0:
            return None
        room = self.room(me)
        wanted = min(max(self._each, -room), room)
        return self.step_to(me, wanted, -math.expm1(-view.tick_s / self.parameters.speed_s), rng)


class Providers(Readers):
    """They wait with bids and asks where forced orders will come, and hand on slowly what they were given."""

    parameters_class = ProvidersParameters
    parameters: ProvidersParameters
    example: ClassVar[Mapping[str, Any]] = {"hold_s": 20.0}
    _read: Profile | None = None
    _new = False

    def prepare(self, view: View) -> None:
        super().prepare(view)
        self._new = self._profile is not self._read
        self._read = self._profile

    def woken(self, view: View) -> I64:
        """Everybody at a new profile, else who has a position."""
        if self._new:
            return np.arange(self.rows.size)
        return np.flatnonzero(self.world.accounts.position[self._slot, self.rows])

    def decide_one(self, view: View, me: Account, rng: Luck) -> Orders:
        """New quotes at a new profile; otherwise a part of the position is given back."""
        if me.last() <= 0.0:
            return None
        if not self._new or self._profile is None:
            return self.step_to(me, 0.0, -math.expm1(-view.tick_s / self.parameters.hold_s), rng)
        return [*(me.cancel(order) for order in me.orders), *self._quotes(self._profile, me)]

    def _quotes(self, profile: Profile, me: Account) -> list[NDArray[Any]]:
        """Bids below the last price and asks above it, nearest first, as far as the money goes."""
        p, last, usd, mark = self.parameters, me.last(), self._tick_usd, profile.mark_ticks
        coins = profile.lots * (p.share * self._lot_coins / self.rows.size)
        low, high = profile.edges_ticks[:-1] * usd, profile.edges_ticks[1:] * usd
        found = []
        below = np.flatnonzero((low < min(last, mark * usd)) & (low >= last * (1.0 - p.reach)))[::-1]
        room = self.room(me) - max(me.position, 0.0)
        for step in below.tolist():
            size = min(float(coins[step]), room)
            room -= size
            found.append(me.buy(size, limit=float(low[step]), post_only=True))
        above = np.flatnonzero((high > max(last, mark * usd)) & (high <= last * (1.0 + p.reach)))
        room = self.room(me) + min(me.position, 0.0)
        for step in above.tolist():
            size = min(float(coins[step]), room)
            room -= size
            found.append(me.sell(size, limit=float(high[step]), post_only=True))
        return found
