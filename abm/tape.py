"""What the market has shown so far: returns, extremes and flow over the last minutes, as everybody may see them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from abm.state import I64
from abm.traders.base import HORIZONS_S

FLOW_S = 60
"""Span of `Tape.flow_lots`."""
LONGEST_S = max(HORIZONS_S)
EMA_S = 50.0
"""Time constant of the moving average."""


class Tape:
    """Last prices and net taker flow, one entry a tick, over the longest horizon.

    `start_ticks` int64 (M,) stands for the time before the first tick of `tick_s` seconds. Public float64 (M,):
    `ema50_ticks`, moving average of the last price with a time constant of 50 s; `flow_lots`, taker buys minus sells of
    the last minute.
    """

    def __init__(self, start_ticks: I64, tick_s: float) -> None:
        markets = start_ticks.size
        self._depth = max(math.ceil(LONGEST_S / tick_s), 1) + 1
        self._lags = np.array([max(round(h / tick_s), 1) for h in HORIZONS_S])
        self._flow_lag = max(round(FLOW_S / tick_s), 1)
        self._prices = np.repeat(start_ticks[:, None], self._depth, axis=1).astype(np.int64)
        self._flow = np.zeros((markets, self._flow_lag), np.float64)
        self._at = 0
        self._decay = 1.0 - math.exp(-tick_s / EMA_S)
        self.ema50_ticks: NDArray[np.float64] = start_ticks.astype(np.float64)
        self.flow_lots: NDArray[np.float64] = np.zeros(markets)

    def record(self, last_ticks: I64, net_taker_lots: I64) -> None:
        """Append the state at the end of a tick: last price and the tick's taker buys minus sells, int64 (M,)."""
        self._at += 1
        self._prices[:, self._at % self._depth] = last_ticks
        column = self._at % self._flow_lag
        self.flow_lots = self.flow_lots + net_taker_lots - self._flow[:, column]
        self._flow[:, column] = net_taker_lots
        self.ema50_ticks = self.ema50_ticks + self._decay * (last_ticks - self.ema50_ticks)

    def returns(self) -> NDArray[np.float64]:
        """Signed log return of the last price over each of `HORIZONS_S`, float64 (M, H); 0 before anything moved."""
        now = self._prices[:, self._at % self._depth]
        then = self._prices.take((self._at - self._lags) % self._depth, axis=1)
        ratio: NDArray[np.float64] = np.log(now[:, None] / then)
        return ratio

    def high_ticks(self) -> I64:
        """Highest last price over the longest horizon, int64 ticks (M,)."""
        high: I64 = np.maximum.reduce(self._prices, axis=1)
        return high

    def low_ticks(self) -> I64:
        """Lowest last price over the longest horizon, int64 ticks (M,)."""
        low: I64 = np.minimum.reduce(self._prices, axis=1)
        return low
