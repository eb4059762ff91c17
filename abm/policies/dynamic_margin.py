"""Dynamic margin: requirements that rise with the volatility of the last minutes, as clearing houses set them."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from pydantic import Field, PrivateAttr

from abm.clearing.formulas import maintenance_amounts
from abm.parameters import Parameters, quantity
from abm.state import I64
from abm.units import INT64_MAX, RATE_ONE
from abm.venues.exchange import Exchanges

STEP = 0.25
"""The factor moves in steps, so that requirements do not change with every tick."""


class DynamicMargin(Parameters):
    """Requirements are multiplied by max(1, realised volatility / reference), at most `most`, in steps of 0.25."""

    reference_percent: float = quantity(
        0.25, unit="% per sqrt(minute)", gt=0, source="policy; calm one-minute volatility is about 0.06 %"
    )
    window_s: float = quantity(300.0, unit="s", gt=0, source="policy", likely=(60.0, 3600.0))
    most: float = quantity(3.0, unit="-", ge=1, le=10, source="policy", text="largest factor")
    maintenance: bool = Field(True, description="whether maintenance rises too, or initial margin only")
    _factors: dict[int, float] = PrivateAttr(default_factory=dict)
    _paths: dict[int, deque[tuple[int, int]]] = PrivateAttr(default_factory=dict)
    _tiers: tuple[I64, I64] | None = PrivateAttr(default=None)

    def begin(self, exchanges: Exchanges) -> None:
        """Remember the venue's own brackets."""
        markets = exchanges.floor.markets
        self._tiers = (markets.tier_maintenance.copy(), markets.tier_leverage.copy())
        self._factors.clear()
        self._paths.clear()

    def after_mark(self, exchanges: Exchanges, now_ms: int) -> None:
        """New requirements where the factor has moved by a step; the margin ladders are rebuilt."""
        for desk in exchanges.desks:
            path = self._paths.setdefault(desk.market, deque())
            if not path or path[-1][0] != now_ms:
                path.append((now_ms, desk.mark_ticks))
            while path[0][0] < now_ms - self.window_s * 1000:
                path.popleft()
            factor = self._factor(path)
            if factor != self._factors.get(desk.market, 1.0):
                self._factors[desk.market] = factor
                self._apply(exchanges, desk.market, factor)
                desk.rebuild()

    def _factor(self, path: deque[tuple[int, int]]) -> float:
        if len(path) < 3:
            return 1.0
        prices = np.log([price for _, price in path])
        minutes = (path[-1][0] - path[0][0]) / 60_000
        volatility = 100.0 * math.sqrt(float((np.diff(prices) ** 2).sum()) / minutes)
        return min(max(math.floor(volatility / self.reference_percent / STEP) * STEP, 1.0), self.most)

    def _apply(self, exchanges: Exchanges, market: int, factor: float) -> None:
        """Scale one market's brackets; a bracket's leverage never asks for less than twice its maintenance rate."""
        assert self._tiers is not None
        markets = exchanges.floor.markets
        used = int((markets.tier_floor[market] < INT64_MAX).sum())
        rates = (self._tiers[0][market, :used] * factor).astype(np.int64)
        rates = np.minimum(rates, RATE_ONE // 2)
        initial = np.maximum((self._tiers[1][market, :used] / factor).astype(np.int64), 1)
        if self.maintenance:
            markets.tier_maintenance[market, :used] = rates
            amounts = maintenance_amounts(markets.tier_floor[market, :used].tolist(), rates.tolist())
            markets.tier_amount[market, :used] = amounts
        markets.tier_leverage[market, :used] = initial
