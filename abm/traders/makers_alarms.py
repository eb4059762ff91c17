"""What makes a maker stop quoting for a while: a loss, a fall of the venue's insurance fund, a hedge that was taken.

    loss   the wealth has fallen by more than a personal share of the risk capital since the opening or the last stop
    fund   the insurance fund has lost more than a personal share of its opening size since its highest point since then
    hedge  deleveraging has taken a part of the maker's position, of which the venue tells it

Each sets the moment of return to now + `pause_s`. The next alarm of the first two kinds needs a further loss, or fall,
of the same size; of the third, another deleveraging, which may come during a pause and prolongs it. Reported for
10 October 2025: makers with large losses stopped, and deleveraging took the profitable half of hedged books (targets
6.14). How much it took and for how long is assumed; `watch_fund` and `watch_hedge` are off unless a scenario asks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from abm.rng import normals, uniforms
from abm.state import I64
from abm.traders.makers_parameters import MakersParameters

F64 = NDArray[np.float64]


class Alarms:
    """Of all makers of a venue. `seed` and `stream_id` draw who listens to what, and where each one's limits lie."""

    def __init__(self, parameters: MakersParameters, seed: int, stream_id: int) -> None:
        p, number = parameters, np.arange(parameters.count)
        self.pause_s = p.pause_s
        self.until_s = np.full(p.count, -1.0)
        """When each comes back, (makers,): until then it does not quote."""
        self.loss_limit = p.loss_share * np.exp(p.loss_spread * normals(seed, stream_id, number, 0, 1))
        self._fund_limit = p.fund_fall * np.exp(p.fund_spread * normals(seed, stream_id, number, 0, 15))
        self._watches_fund = uniforms(seed, stream_id, number, 0, 20) < p.watch_fund
        self._watches_hedge = uniforms(seed, stream_id, number, 0, 21) < p.watch_hedge
        self.watches_fund, self.watches_hedge = bool(self._watches_fund.any()), bool(self._watches_hedge.any())
        self._distress = np.zeros(p.count)
        self._taken_lots: I64 = np.zeros(p.count, np.int64)

    def fund(self, distress: float, seconds: float) -> None:
        """The share of its opening size that the insurance fund has lost."""
        np.minimum(self._distress, distress, out=self._distress)
        hit = self._watches_fund & (distress - self._distress > self._fund_limit) & (seconds >= self.until_s)
        if hit.any():
            self.until_s[hit] = seconds + self.pause_s
            self._distress[hit] = distress

    def hedges(self, taken_lots: I64, seconds: float) -> None:
        """Lots (makers,) that deleveraging has taken from each maker since the beginning."""
        hit = self._watches_hedge & (taken_lots > self._taken_lots)
        self.until_s[hit] = seconds + self.pause_s
        self._taken_lots = taken_lots
