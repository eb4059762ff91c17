"""A trader to start from: accounts with cash and coins on one venue, asked one by one.

    class Mine(Trader):
        def decide_one(self, view, me, rng):
            return [me.buy(0.1)] if rng.chance(0.01) else []

Own parameters: a subclass of `TraderParameters`, named as `parameters_class`. Whoever needs other opening balances
writes an own `bind`; whoever needs speed with many accounts writes `decide` by arrays beside `decide_one`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from abm.parameters import Parameters, quantity
from abm.state import CROSS, OWN_KIND
from abm.traders.base import PEOPLE_LATENCY, Participant, World
from abm.units import MICRO, SATOSHI


class TraderParameters(Parameters):
    """What accounts begin with."""

    accounts: int = quantity(1, unit="accounts", source="chosen", ge=1, le=100_000)
    cash: float = quantity(
        100_000.0,
        unit="settlement asset",
        source="chosen",
        ge=0.0,
        le=1e12,
        text="each; dollars, or coins where the perpetual is settled in coins",
    )
    coins: float = quantity(0.0, unit="BTC", source="chosen", ge=0.0, le=1e7, text="each")
    leverage: int = quantity(1, unit="x", source="chosen", ge=1, le=1001, text="most that a position may be over cash")


class Trader(Participant):
    """Cross accounts with cash and coins; subclasses say what they do in `decide_one`."""

    latency = PEOPLE_LATENCY
    row_kind = OWN_KIND
    parameters_class = TraderParameters
    parameters: TraderParameters

    def rows_needed(self) -> int:
        return self.parameters.accounts

    def bind(self, world: World) -> None:
        """Kind, margin mode, leverage, cash and coins."""
        p, self.world, rows, n = self.parameters, world, self.rows, self.rows.size
        world.accounts.kind[rows] = self.row_kind
        world.accounts.mode[rows] = CROSS
        world.accounts.leverage[rows] = p.leverage
        unit = SATOSHI if world.markets.inverse[world.perp] else MICRO
        world.deposit(rows, world.usdt, np.full(n, round(p.cash * unit)))
        world.deposit(rows, world.btc, np.full(n, round(p.coins * SATOSHI)))

    def positions(self) -> NDArray[np.float64]:
        """Signed positions on the perpetual, coins; shape (accounts,)."""
        world = self.world
        lots = world.accounts.position[int(world.markets.slot[world.perp]), self.rows]
        held: NDArray[np.float64] = lots * float(world.markets.lot_coins[world.perp])
        return held

    def measured(self) -> Mapping[str, float]:
        """Position of all its accounts."""
        return {"position_btc": float(self.positions().sum())}
