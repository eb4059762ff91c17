"""Disclosure: the venue publishes at which prices how much would be liquidated.

The profile is exact for isolated positions and for cross accounts with one position; cross accounts with several are
left out, since their price depends on the others'. Nobody in the model reacts to it by itself: participants may read
it from the view.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import PrivateAttr

from abm.parameters import Parameters, quantity
from abm.venues.desk import PerpetualDesk
from abm.venues.exchange import Exchanges


class Disclosure(Parameters):
    """Every `every_s` seconds, lots by distance from the mark in steps of `step`, out to `reach` on both sides."""

    every_s: float = quantity(60.0, unit="s", gt=0, source="policy")
    step: float = quantity(0.005, unit="fraction", gt=0, lt=0.5, source="policy")
    reach: float = quantity(0.2, unit="fraction", gt=0, lt=1, source="policy")
    _profiles: dict[int, NDArray[np.float64]] = PrivateAttr(default_factory=dict)
    _next_ms: list[int] = PrivateAttr(default_factory=lambda: [0])

    def begin(self, exchanges: Exchanges) -> None:
        """Nothing is published yet."""
        self._profiles.clear()
        self._next_ms[0] = 0

    def after_mark(self, exchanges: Exchanges, now_ms: int) -> None:
        """Publish when it is time."""
        if now_ms < self._next_ms[0]:
            return
        self._next_ms[0] = now_ms + round(self.every_s * 1000)
        for desk in exchanges.desks:
            self._profiles[desk.market] = self.profile(desk)

    def profile(self, desk: PerpetualDesk) -> NDArray[np.float64]:
        """Lots by step, float64 (2 n,): from -reach to +reach of the mark; longs fail below it, shorts above."""
        accounts = desk.floor.accounts
        rows = np.flatnonzero(accounts.position[desk.slot])
        ticks = desk.ladder.liquidation_ticks(rows)
        known = ticks > 0
        distance = ticks[known] / desk.mark_ticks - 1.0
        count = round(self.reach / self.step)
        edges = np.linspace(-self.reach, self.reach, 2 * count + 1)
        lots, _ = np.histogram(distance, edges, weights=np.abs(accounts.position[desk.slot, rows[known]]))
        return np.asarray(lots, np.float64)

    def published(self, market: int) -> NDArray[np.float64] | None:
        """The latest profile of a perpetual, lots (2 n,) as `profile` has them; None before the first."""
        return self._profiles.get(market)
