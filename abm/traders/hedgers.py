"""Basis holders: long coins, short the perpetual, the other side of retail's net long position.

They are passive: no orders, only positions that funding pays and deleveraging may take. Balanced after everybody else
is bound, they take minus the sum of all opening positions at minus the sum of all entry costs, so that positions and
unrealised results add up to zero at the opening. Collateral is between one and two times below the position's value
(leverage 1 to 2, assumed); coins equal to the short lie beside it.
"""

from __future__ import annotations

import numpy as np

from abm.parameters import Parameters, quantity
from abm.state import CROSS, HEDGER
from abm.traders.base import Batch, Participant, View, World
from abm.traders.retail_opening import bounded_pareto, whole_lots


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


class Hedgers(Participant):
    """The accounts that make the sum of opening positions zero: call `balance` after everybody is bound."""

    row_kind = HEDGER
    parameters: HedgersParameters

    def rows_needed(self) -> int:
        return self.parameters.accounts

    def bind(self, world: World) -> None:
        """Account settings; the positions come with `balance`, when everybody else's are known."""
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
        """Hold."""
