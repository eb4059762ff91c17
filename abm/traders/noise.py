"""Noise traders: the ordinary taker flow of a market, stronger when the market moves.

    flow  = rate * min(cap, max(floor, 1 + slope (z - 1)))   coins a second, z = `abm.traders.stress`

Orders come from a few deep accounts. Each keeps one direction for `direction_s`, so that the flow has runs as real
signs do; order sizes are lognormal; a worst price `slip` bounds every order. An account leans against its own
inventory and stays near zero in the long run. The rate is the median volume of September 2025 (119,320 BTC a day,
graded A); the law in z is calibrated with a one-book prototype; the split into orders is assumed.
"""

from __future__ import annotations

import numpy as np

from abm.events import BY_NOISE
from abm.parameters import Parameters, quantity
from abm.rng import normals, stream, uniforms
from abm.state import I64, RETAIL
from abm.traders.base import PEOPLE_LATENCY, Batch, Participant, View, World, asked, together
from abm.traders.handle import Account, Luck, Orders
from abm.traders.noise_kernel import flow
from abm.traders.stress import stress

SEARCH = "search on the path of 10 Oct 2025 with a one-book prototype"
_FLOW = stream("noise flow")
_SIDE = stream("noise side")


class NoiseParameters(Parameters):
    """Background taker flow of one venue."""

    accounts: int = quantity(60, unit="accounts", source="a resolution", ge=1, le=10_000)
    rate_coins: float = quantity(
        1.5,
        unit="BTC/s",
        source="119,320 BTC a day, median of 15 Sep to 9 Oct 2025",
        ge=0.0,
        grade="A",
        likely=(1.0, 2.0),
    )
    spot_share: float = quantity(
        0.17,
        unit="-",
        source="BTC turnover 10 Oct 2025 21:09-22:00: spot 8.6, perpetuals 51.5 $bn",
        ge=0.0,
        le=5.0,
        grade="A",
    )
    slope: float = quantity(1.15, unit="-", source=SEARCH, ge=0.0, grade="calibrated")
    floor: float = quantity(0.3, unit="-", source="no flow below a third of the ordinary one", ge=0.0, le=1.0)
    cap: float = quantity(25.0, unit="-", source=SEARCH, ge=1.0, grade="calibrated", likely=(25.0, 60.0))
    slip: float = quantity(0.003, unit="fraction", source=SEARCH, ge=0.0, le=0.05, grade="calibrated")
    orders_s: float = quantity(
        6.0, unit="1/s", source="not observed", gt=0.0, text="orders on the perpetual at the ordinary rate"
    )
    size_spread: float = quantity(1.5, unit="log", source="not observed", ge=0.0, le=3.0)
    direction_s: float = quantity(
        20.0,
        unit="s",
        source="not observed; at 120 s runs of signs alone empty a thin book",
        gt=0.0,
        likely=(5.0, 120.0),
    )
    inventory_coins: float = quantity(
        25.0, unit="BTC", source="not observed", gt=0.0, likely=(10.0, 100.0), text="an account leans back near it"
    )


class Noise(Participant):
    """The accounts behind the background flow on the perpetual and the spot market."""

    latency = PEOPLE_LATENCY
    row_kind = RETAIL
    parameters: NoiseParameters

    def rows_needed(self) -> int:
        return self.parameters.accounts

    def bind(self, world: World) -> None:
        """Unlevered accounts, deep enough to buy and to sell three times the inventory they lean back at."""
        p, self.world = self.parameters, world
        markets, rows = world.markets, self.rows
        world.accounts.kind[rows] = self.row_kind
        lots = 3.0 * p.inventory_coins / float(markets.lot_coins[world.perp])
        cash = 2.0 * lots * float(world.start_ticks[world.perp]) * float(markets.tick_value[world.perp])
        world.deposit(rows, world.usdt, np.full(rows.size, int(cash), np.int64))
        coins = int(3.0 * p.inventory_coins / float(markets.lot_coins[world.spot])) * int(markets.lot_units[world.spot])
        world.deposit(rows, world.btc, np.full(rows.size, coins, np.int64))
        self._opening_coins = coins
        self._number, self._where = np.arange(rows.size), together(rows)

    def _held(self, market: int) -> tuple[I64, int, float]:
        """What each account holds in a market, (accounts,), how much of it from the start, and one unit in coins."""
        world, coins = self.world, float(self.world.markets.lot_coins[market])
        if market == world.perp:
            return world.accounts.position[int(world.markets.slot[market]), self._where], 0, coins
        coins /= float(world.markets.lot_units[market])
        return world.accounts.cash[world.btc, self._where], self._opening_coins, coins

    def decide(self, view: View, batch: Batch) -> None:
        """This tick's orders in both markets."""
        self._rule(view, self._number, batch)

    def decide_one(self, view: View, me: Account, rng: Luck) -> Orders:
        """This tick's orders of one account."""
        return asked(self._rule, view, me.number)

    def _rule(self, view: View, numbers: I64, batch: Batch) -> None:
        """The orders of these accounts on the perpetual, then in spot."""
        self._flow(view, numbers, batch, self.world.perp, 1.0)
        if self.parameters.spot_share > 0.0:
            self._flow(view, numbers, batch, self.world.spot, self.parameters.spot_share)

    def _flow(self, view: View, numbers: I64, batch: Batch, market: int, share: float) -> None:
        p, last = self.parameters, int(view.last_ticks[market])
        if last <= 0 or p.rate_coins == 0.0:
            return
        strength = min(p.cap, max(p.floor, 1.0 + p.slope * (stress(view, market) - 1.0)))
        # More flow means more orders until every account trades in every tick, then larger ones.
        wanted = share * p.orders_s * view.tick_s * strength / self._number.size
        chance = min(1.0, wanted)
        stream_id = _FLOW + int(market == self.world.perp)
        who = numbers[uniforms(view.seed, stream_id, numbers, view.tick, 0) < chance]
        if who.size == 0:
            return
        spread = np.exp(p.size_spread * normals(view.seed, stream_id, who, view.tick, 1) - 0.5 * p.size_spread**2)
        mean_lots = p.rate_coins / p.orders_s * (wanted / chance) / float(self.world.markets.lot_coins[market])
        held, opening, coins = self._held(market)
        count = flow(
            batch.room(who.size), who, spread, self.rows, held, opening, coins / p.inventory_coins, mean_lots, p.slip,
            market, last, self.latency, BY_NOISE, view.seed, stream_id, _SIDE + int(market == self.world.perp),
            view.tick, int(view.seconds // p.direction_s),
        )  # fmt: skip
        batch.took(count)
