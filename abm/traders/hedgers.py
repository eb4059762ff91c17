"""Basis holders: long coins, short the perpetual, the other side of retail's net long position.

They are passive: no orders, only positions that funding pays and deleveraging may take. Bound after everybody else, they take
minus the sum of all opening positions at minus the sum of all entry costs, so that positions and unrealised results add up to
zero at the opening. Collateral is between one and two times below the position's value (leverage 1 to 2, assumed); coins equal
to the short lie beside it.
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
    least_leverage: float = quantity(1.0, unit="x", source="basis trades are collateralised in full or half", ge=0.1, le=20.0)
    most_leverage: float = quantity(2.0, unit="x", source="basis trades are collateralised in full or half", ge=0.1, le=20.0)


class Hedgers(Participant):
    """The accounts that make the sum of opening positions zero. Must be bound last."""

    row_kind = HEDGER
    parameters: HedgersParameters

    def rows_needed(self) -> int:
        return self.parameters.accounts

    def bind(self, world: World) -> None:
        """Take the other side of everybody."""
        p, rows, accounts, markets = self.parameters, self.rows, world.accounts, world.markets
        slot, n = int(markets.slot[world.perp]), self.rows.size
        venue = accounts.venue == accounts.venue[rows[0]]
        lots = -int(accounts.position[slot, venue].sum())
        cost = -int(accounts.entry_cost[slot, venue].sum())
        accounts.kind[rows] = self.row_kind
        accounts.mode[rows] = CROSS
        accounts.leverage[rows] = max(1, round(p.most_leverage))
        if lots == 0:
            return
        share = bounded_pareto((n - np.arange(n) - 0.5) / n, p.size_tail, n, p.largest_share)
        size = whole_lots(share, abs(lots)) * (1 if lots > 0 else -1)
        # Everybody's average entry, in whole settlement units; the largest account carries the rounding.
        entry = np.array([int(part) * cost // lots for part in size.tolist()], np.int64)
        entry[0] += cost - int(entry.sum())
        world.open_positions(rows, size, entry)
        leverage = p.least_leverage + (p.most_leverage - p.least_leverage) * (np.arange(n) + 0.5) / n
        value = np.abs(size) * float(world.start_ticks[world.perp]) * float(markets.tick_value[world.perp])
        # The collateral counts from today's price: an opening loss or gain is on top of it.
        gap = size * float(world.start_ticks[world.perp]) * float(markets.tick_value[world.perp]) - entry
        world.deposit(rows, world.usdt, np.ceil(np.maximum(value / leverage - gap, 0.2 * value)).astype(np.int64))
        if lots < 0:
            per_lot = int(markets.lot_units[world.perp])
            world.deposit(rows, world.btc, -size * per_lot)

    def decide(self, view: View, batch: Batch) -> None:
        """Hold."""
