"""How the traders of one cohort fare: what they keep, who is liquidated, at which leverage they stand.

wealth_ratio           money of all (with coins outside, at the last price) over money at the opening
kept_half_share        traders who still have half of their money
median_kept_ratio      median of a trader's money now over money at the opening
liquidated_share       traders with a position at the opening who were liquidated so far, each once; from the log,
                       so a run recorded at level "summary" shows 0
open_interest_coins    long and short positions together
low_leverage_share     traders whose chosen leverage is 1-3x, among those with money and no news traders
low_notional_share     positions whose notional is at most 3.5 times the trader's equity, by notional
stopped_coins          sold or bought by stop-losses so far; from the log as well
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abm.events import BY_STOP_LOSS, FILL_EVENT, LIQUIDATION
from abm.state import I64
from abm.traders.retail_kernel import NEWS

if TYPE_CHECKING:
    from abm.traders.retail import RetailCohort

LOW = 3
"""Highest leverage that counts as low."""
ROUNDED = 3.5


class Figures:
    """Figures of one cohort; begins when the run does."""

    def __init__(self, cohort: RetailCohort, model: Any) -> None:
        self._cohort, self._model = cohort, model
        world = cohort.world
        self._lot_coins = float(world.markets.lot_coins[world.perp])
        self._first = int(cohort.rows[0]) if cohort.rows.size else 0
        self._trader = cohort.kind != NEWS
        self._held: NDArray[np.bool_] = (cohort.opening.position_lots != 0) & self._trader
        self._liquidated = np.zeros(cohort.rows.size, np.bool_)
        self._stopped_lots = 0
        self._opening = self._wealth(int(world.start_ticks[world.perp]), int(world.start_ticks[world.spot]))

    def _wealth(self, perp_ticks: int, spot_ticks: int) -> NDArray[np.float64]:
        """Settlement units of each trader, float64 (n,)."""
        cohort, world = self._cohort, self._cohort.world
        coins = world.accounts.cash[world.btc, cohort.rows] / float(world.markets.lot_units[world.spot])
        outside = coins * (spot_ticks * float(world.markets.tick_value[world.spot]))
        wealth: NDArray[np.float64] = cohort.equity_units(perp_ticks) + outside
        return wealth

    def _read_log(self) -> None:
        rows, size = self._model.log.rows(), self._liquidated.size
        forced = rows["account"][rows["kind"] == LIQUIDATION].astype(np.int64) - self._first
        self._liquidated[forced[(forced >= 0) & (forced < size)]] = True
        stops = rows[(rows["kind"] == FILL_EVENT) & (rows["reason"] == BY_STOP_LOSS)]
        takers = stops["account"].astype(np.int64) - self._first
        self._stopped_lots += int(stops["size_lots"][(takers >= 0) & (takers < size)].sum())

    def now(self) -> Mapping[str, float]:
        """Figures at the end of a tick."""
        self._read_log()
        cohort, world = self._cohort, self._cohort.world
        accounts, last = world.accounts, self._model.exchanges.last_ticks()
        perp_ticks = int(last[world.perp])
        wealth = self._wealth(perp_ticks, int(last[world.spot]))
        mine = self._trader & (self._opening > 0)
        kept = np.maximum(wealth[mine], 0.0) / self._opening[mine]
        position: I64 = np.abs(accounts.position[int(world.markets.slot[world.perp]), cohort.rows])
        notional = position * (perp_ticks * float(world.markets.tick_value[world.perp]))
        equity = cohort.equity_units(perp_ticks)
        solvent = self._trader & (equity > 0)
        low = solvent & (accounts.leverage[cohort.rows] <= LOW)
        calm = solvent & (notional <= ROUNDED * equity)
        total = float(notional[self._trader].sum())
        return {
            "wealth_ratio": float(wealth[mine].sum() / self._opening[mine].sum()),
            "kept_half_share": float((kept >= 0.5).mean()),
            "median_kept_ratio": float(np.median(kept)),
            "liquidated_share": float(self._liquidated[self._held].mean()) if self._held.any() else 0.0,
            "open_interest_coins": float(position.sum()) * self._lot_coins,
            "low_leverage_share": float(low.sum() / max(int(solvent.sum()), 1)),
            "low_notional_share": float(notional[calm].sum() / total) if total > 0.0 else 0.0,
            "stopped_coins": self._stopped_lots * self._lot_coins,
        }
