"""How violent the market is: the number z that makers thin by and noise traders are drawn by.

    z = max over h of |r_h| / (sigma_300 sqrt(h / 300)),   h = 15, 60, 300 s

`sigma_300` = 0.131 % is the standard deviation of the 5-minute returns of the Binance perpetual, July to December 2025
(computed from minute bars). In a calm market z is about 1.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from abm.traders.base import View

SIGMA_300 = 0.00131
"""Standard deviation of a 5-minute log return in ordinary times."""
STRESS_HORIZONS_S = (15, 60, 300)
_COLUMNS = (0, 1, 3)
"""Where those horizons stand in `View.returns`."""
_SCALES = tuple(1.0 / (SIGMA_300 * math.sqrt(horizon / 300.0)) for horizon in STRESS_HORIZONS_S)


def stress(view: View, market: int) -> float:
    """Z of one market as of the end of the last tick."""
    returns, most = view.returns[market].tolist(), 0.0
    for column, scale in zip(_COLUMNS, _SCALES, strict=True):
        most = max(most, abs(returns[column]) * scale)
    return most


class PriceMemory:
    """The last price at the start of each of the past 300 s, so that a machine sees z move inside the tick.

    One ring per market; before the run is 300 s old the opening price stands for the missing past.
    """

    def __init__(self, start_ticks: NDArray[np.int64], tick_s: float) -> None:
        self._steps = tuple(max(1, round(horizon / tick_s)) for horizon in STRESS_HORIZONS_S)
        self._ring = np.repeat(np.maximum(start_ticks, 1).astype(np.float64)[:, None], max(self._steps) + 1, axis=1)
        self._at = 0
        self._tick = -1

    def remember(self, view: View) -> None:
        """Note the last prices, once a tick."""
        if view.tick == self._tick:
            return
        self._tick = view.tick
        self._at = (self._at + 1) % self._ring.shape[1]
        self._ring[:, self._at] = np.maximum(view.last_ticks, 1)

    def stress(self, view: View, market: int) -> float:
        """Z of one market with the last price of this very round."""
        last = float(max(int(view.last_ticks[market]), 1))
        ring, size, most = self._ring[market], self._ring.shape[1], 0.0
        for steps, scale in zip(self._steps, _SCALES, strict=True):
            most = max(most, abs(math.log(last / float(ring[(self._at - steps) % size]))) * scale)
        return most
