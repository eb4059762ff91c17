"""The liquidation profile of a perpetual: how much would be liquidated at which prices.

Exact for isolated positions and for cross accounts with one position; cross accounts with several are left out, since
their price depends on the others'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from abm.venues.desk import PerpetualDesk

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Profile:
    """Lots that fail between prices, longs below the mark and shorts above it."""

    mark_ticks: int  # when it was drawn up
    edges_ticks: F64  # (2 n + 1,) prices between the steps, rising
    lots: F64  # (2 n,)

    def longs_between(self, low_ticks: float, high_ticks: float) -> float:
        """Lots of longs that fail between two prices; within a step evenly spread."""
        return self._between(low_ticks, min(high_ticks, self.mark_ticks))

    def shorts_between(self, low_ticks: float, high_ticks: float) -> float:
        """Lots of shorts that fail between two prices."""
        return self._between(max(low_ticks, self.mark_ticks), high_ticks)

    def _between(self, low_ticks: float, high_ticks: float) -> float:
        if high_ticks <= low_ticks:
            return 0.0
        sums = np.concatenate([[0.0], np.cumsum(self.lots)])
        low, high = np.interp([low_ticks, high_ticks], self.edges_ticks, sums)
        return float(high - low)


class Publisher(Protocol):
    """Who publishes profiles: `abm.policies.disclosure`."""

    def published(self, market: int) -> Profile | None:
        """The latest profile of a perpetual; None before the first."""


def profile_of(desk: PerpetualDesk, step: float, reach: float) -> Profile:
    """Of one perpetual now, in steps of a fraction `step` of its mark out to `reach` on both sides."""
    accounts = desk.floor.accounts
    rows = np.flatnonzero(accounts.position[desk.slot])
    ticks = desk.ladder.liquidation_ticks(rows)
    known = ticks > 0
    distance = ticks[known] / desk.mark_ticks - 1.0
    edges = np.linspace(-reach, reach, 2 * round(reach / step) + 1)
    lots, _ = np.histogram(distance, edges, weights=np.abs(accounts.position[desk.slot, rows[known]]))
    return Profile(desk.mark_ticks, desk.mark_ticks * (1.0 + edges), np.asarray(lots, np.float64))
