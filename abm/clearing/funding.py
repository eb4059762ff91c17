"""Funding of a perpetual: premium sampled by clock, averaged over the interval, paid between longs and shorts.

Binance: the premium index compares impact prices (what a trade of stated size would get) with the index; the rate is
the average premium pulled toward the interest by at most 0.05 %, and is due at 00:00, 08:00 and 16:00 UTC.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from abm.clearing import formulas
from abm.clearing.formulas import round_div
from abm.clearing.funding_kernel import pay_rows
from abm.clearing.mark import HOUR_MS
from abm.state import Accounts, Markets
from abm.units import RATE_ONE

_FINE = 1000
"""Impact prices are averages: they are rounded to a thousandth of a tick before they count."""


def premium_index(impact_bid_ticks: float, impact_ask_ticks: float, index_ticks: int) -> int:
    """(max(0, impact bid - index) - max(0, index - impact ask)) / index as a rate (1e-8), nearest, halves up.

    An impact price that is nan (the book holds less than the impact size on that side) adds nothing.
    """
    index = index_ticks * _FINE
    above = max(0, _fine(impact_bid_ticks) - index) if not math.isnan(impact_bid_ticks) else 0
    below = max(0, index - _fine(impact_ask_ticks)) if not math.isnan(impact_ask_ticks) else 0
    return round_div((above - below) * RATE_ONE, index)


def _fine(ticks: float) -> int:
    return math.floor(ticks * _FINE + 0.5)


class FundingClock:
    """Premium average and due times of one perpetual.

    Args:
        start_ms: time of the opening, in milliseconds since midnight UTC of any day.
        interest, clamp, cap: rates per 8 hours (1e-8).
        interval_h: hours between payments, which fall on whole multiples of it since midnight.
        period_ms: time between premium samples; they advance by clock as those of the mark.
        linear: weight the n-th sample of an interval by n (Binance); otherwise equally.
        last_rate: the rate paid last before the opening.
    """

    def __init__(
        self,
        start_ms: int,
        *,
        interest: int = 10_000,
        clamp: int = 50_000,
        cap: int = 300_000,
        interval_h: int = 8,
        period_ms: int = 5000,
        linear: bool = True,
        last_rate: int = 0,
    ) -> None:
        self._terms = (interest, clamp, cap, interval_h)
        self._interval_ms = interval_h * HOUR_MS
        self._period_ms = period_ms
        self._linear = linear
        self._settled = start_ms // self._interval_ms
        self._period = start_ms // period_ms
        self._count = 0
        self._weights = 0
        self._weighted = 0
        self.last_rate = last_rate

    def preload(self, premium: int, samples: int) -> None:
        """Begin in the middle of an interval: as if so many samples of this premium (1e-8) had been taken."""
        self._add(premium, samples)

    def wants_sample(self, time_ms: int) -> bool:
        """Whether a period has begun since the last sample."""
        return time_ms // self._period_ms > self._period

    def sample(self, time_ms: int, impact_bid_ticks: float, impact_ask_ticks: float, index_ticks: int) -> None:
        """Take the premium once for each period that has begun since the last sample; none within the same period."""
        period = time_ms // self._period_ms
        if period > self._period:
            self._add(premium_index(impact_bid_ticks, impact_ask_ticks, index_ticks), period - self._period)
            self._period = period

    @property
    def average_premium(self) -> int:
        """Weighted average of this interval's samples (1e-8), nearest, halves up; 0 without samples."""
        return round_div(self._weighted, self._weights) if self._weights else 0

    @property
    def indicated_rate(self) -> int:
        """The rate that would be paid if the interval ended now (1e-8)."""
        return formulas.funding_rate(self.average_premium, *self._terms)

    @property
    def indicated_bp_8h(self) -> float:
        """The indicated rate in basis points per 8 hours, for people."""
        return self.indicated_rate / RATE_ONE * 1e4 * formulas.EIGHT_HOURS / self._terms[3]

    def due(self, time_ms: int) -> bool:
        """Whether a payment time has passed that is not settled yet."""
        return time_ms // self._interval_ms > self._settled

    def settle(self, time_ms: int) -> int:
        """Close the interval: the rate to be paid (1e-8), now the last rate; the average starts afresh.

        Raises ValueError when nothing is due. Intervals without a call in between are not made up for.
        """
        if not self.due(time_ms):
            raise ValueError("no funding is due")
        self.last_rate = self.indicated_rate
        self._settled = time_ms // self._interval_ms
        self._count = self._weights = self._weighted = 0
        return self.last_rate

    def _add(self, premium: int, samples: int) -> None:
        first, last = self._count + 1, self._count + samples
        weight = (first + last) * samples // 2 if self._linear else samples
        self._count = last
        self._weights += weight
        self._weighted += weight * premium


class FundingPaid(NamedTuple):
    """Totals of a funding payment in settlement units: paid = received + remainder."""

    paid: int
    received: int
    remainder: int


def pay(
    markets: Markets, accounts: Accounts, market: int, mark_ticks: int, rate: int, remainder_row: int
) -> FundingPaid:
    """Pay funding between all rows with a position in this perpetual, the venue's own rows included.

    Each pays ceil(value * rate) (`formulas.funding_payment`): cross rows from cash, isolated rows from the position's
    margin. What rounding leaves goes to the cash of `remainder_row`. Sets `accounts.touched` for every row that paid or
    received.
    """
    slot = int(markets.slot[market])
    paid, received = pay_rows(
        int(markets.venue[market]),
        int(mark_ticks),
        int(markets.tick_value[market]),
        int(markets.inverse[market]),
        int(rate),
        int(remainder_row),
        accounts.venue,
        accounts.mode,
        accounts.cash[int(markets.settle[market])],
        accounts.margin[slot],
        accounts.position[slot],
        accounts.touched,
    )
    return FundingPaid(int(paid), int(received), int(paid - received))
