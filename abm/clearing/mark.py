"""Index and mark price, in whole ticks of the perpetual. Positions are valued and liquidated at the mark.

Binance, in force on 10 October 2025: the mark is the median of the index adjusted for funding, the index plus the
average of 30 one-second samples of (mid - index), and the last price. It follows a dislocated book within half a
minute. Source: https://www.binance.com/en/support/faq/360033525071.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from abm.clearing.formulas import round_div
from abm.units import RATE_ONE

HOUR_MS = 3_600_000
FUNDING_ADJUSTED, BASIS_AVERAGED, LAST_PRICE = range(3)
"""Which input the median selected. On ties the last price is named first, then the basis average."""


class Mark(NamedTuple):
    """A mark price and how it came about; all prices in ticks."""

    ticks: int
    selected: int
    """FUNDING_ADJUSTED, BASIS_AVERAGED or LAST_PRICE."""
    inputs: tuple[int, int, int]
    """In the order of those codes."""


def median(a: int, b: int, c: int) -> int:
    """The middle one of three."""
    return max(min(a, b), min(max(a, b), c))


def spot_index_ticks(bid: int, last: int, ask: int, numerator: int = 1, denominator: int = 1) -> int:
    """Index from one spot market: median of best bid, last and best ask, in ticks of the perpetual.

    A tick of the spot market is numerator / denominator ticks of the perpetual (`tick_ratio`); rounded to the nearest,
    halves up. 0 stands for an empty side or no trade yet: with a side empty the last price counts, without a trade the
    mid. Raises ValueError when nothing is known.
    """
    doubled = 2 * last
    if bid > 0 and ask > 0:
        doubled = 2 * median(bid, last, ask) if last > 0 else bid + ask
    if doubled <= 0:
        raise ValueError("no spot price: a side of the book is empty and nothing has traded")
    return round_div(doubled * numerator, 2 * denominator)


def tick_ratio(spot_tick_value: int, spot_lot_units: int, perp_tick_value: int, perp_lot_units: int) -> tuple[int, int]:
    """(numerator, denominator): a spot tick in perpetual ticks, from settlement units a tick and base units a lot."""
    return spot_tick_value * perp_lot_units, perp_tick_value * spot_lot_units


class MedianMark:
    """Mark price of one perpetual by Binance's rule; remembers the basis samples.

    Args:
        points: number of samples averaged.
        period_ms: time between two samples. Samples advance by clock: a call inside the same period adds none, a call
            after several periods adds as many copies of what it sees.
        interval_h: funding interval, which ends at whole multiples of itself since midnight UTC.
    """

    def __init__(self, points: int = 30, period_ms: int = 1000, interval_h: int = 8) -> None:
        self._period_ms = period_ms
        self._interval_ms = interval_h * HOUR_MS
        self._samples: deque[int] = deque(maxlen=points)
        self._sum = 0
        self._period = -1

    def update(
        self, time_ms: int, index_ticks: int, bid_ticks: int, ask_ticks: int, last_ticks: int, funding_rate: int
    ) -> Mark:
        """Mark at this moment from one snapshot of the book.

        Prices in ticks. `time_ms` counts from midnight UTC of any day; bid or ask 0 = empty side, then the last price
        stands for the mid; `funding_rate` (1e-8) is the last one paid.
        """
        doubled_mid = bid_ticks + ask_ticks if bid_ticks > 0 and ask_ticks > 0 else 2 * last_ticks
        self._sample(time_ms, doubled_mid - 2 * index_ticks)
        left_ms = self._interval_ms - time_ms % self._interval_ms
        drift = round_div(index_ticks * funding_rate * left_ms, RATE_ONE * self._interval_ms)
        inputs = (index_ticks + drift, index_ticks + self.basis_ticks, last_ticks)
        middle = median(*inputs)
        selected = next(n for n in (LAST_PRICE, BASIS_AVERAGED, FUNDING_ADJUSTED) if inputs[n] == middle)
        return Mark(max(1, middle), selected, inputs)

    @property
    def basis_ticks(self) -> int:
        """Average of the samples, rounded to the nearest tick, halves up; 0 before the first."""
        return round_div(self._sum, 2 * len(self._samples)) if self._samples else 0

    def _sample(self, time_ms: int, doubled_basis: int) -> None:
        """Add the basis (in half ticks, exact) once for each period that has begun since the last call."""
        period = time_ms // self._period_ms
        capacity = self._samples.maxlen or 1
        count = 1 if not self._samples else min(period - self._period, capacity)
        for _ in range(count):
            if len(self._samples) == capacity:
                self._sum -= self._samples[0]
            self._samples.append(doubled_basis)
            self._sum += doubled_basis
        self._period = max(period, self._period)
