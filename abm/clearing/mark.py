"""Index and mark price, in whole ticks of the derivative. Positions are valued and liquidated at the mark.

One class a rule, all with the same `update`:

* `MedianMark`, Binance, in force on 10 October 2025, and Bybit with a longer average: the median of the index adjusted
  for funding, the index plus the average of one-second samples of (mid - index), and the last price.
  Sources: https://www.binance.com/en/support/faq/360033525071,
  https://testnet.bybit.com/en-US/help-center/s/article/What-is-Dual-Price-mechanism.
* `OracleMark`, Hyperliquid: the median of the oracle plus an exponential average of (mid - oracle), the median of best
  bid, best ask and last price, and the perpetuals of other venues; without those, an exponential average of the second
  takes their place. Source: https://hyperliquid-co.gitbook.io/wiki/architecture/hypercore/dex/oracle.
* `BasisMark`, OKX: the index plus the average of (mid - index).
  Source: https://www.okx.com/learn/mark-price-and-index-price-of-margined-contracts.
* `IndexMark`, the pool of Aster Simple: the index itself.
* `LastMark`, a future marked to its own market: the last price.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

from abm.clearing.formulas import round_div
from abm.units import RATE_ONE

if TYPE_CHECKING:
    from abm.venues.rules import MarkRules

HOUR_MS = 3_600_000
FUNDING_ADJUSTED, BASIS_AVERAGED, LAST_PRICE, BOOK_MEDIAN, BOOK_AVERAGED, OTHER_VENUES, INDEX_PRICE = range(7)
"""Which input became the mark. On ties an input nearer to a trade is named first."""
_FIXED_BITS = 40
"""Bits after the point of a decay factor."""


class Mark(NamedTuple):
    """A mark price and how it came about; all prices in ticks."""

    ticks: int
    selected: int
    """FUNDING_ADJUSTED ... INDEX_PRICE."""
    inputs: tuple[int, ...]
    """What was considered, in the order that the rule's `update` states."""

    @property
    def follows_index(self) -> bool:
        """Whether the selected input is the index, at most adjusted for funding: then no trade here moved it."""
        return self.selected in (FUNDING_ADJUSTED, INDEX_PRICE)


class MarkRule(Protocol):
    """What every mark price can do."""

    def update(
        self, time_ms: int, index_ticks: int, bid_ticks: int, ask_ticks: int, last_ticks: int, funding_rate: int,
        others_ticks: int = 0,
    ) -> Mark:  # fmt: skip
        """Mark at this moment from one snapshot of the book.

        Prices in ticks. `time_ms` counts from midnight UTC of any day; bid or ask 0 = empty side, then the last price
        stands for the mid; `funding_rate` (1e-8) is the last one paid, 0 of a dated future; `others_ticks` is the
        weighted median of other venues' mids, 0 = there are none.
        """


def mark_rule(rules: MarkRules, funding_interval_h: int = 8) -> MarkRule:
    """A fresh mark price by these rules; `funding_interval_h` counts where the index is adjusted for funding."""
    period_ms = rules.basis_period_s * 1000
    match rules.rule:
        case "median-basis-average":
            return MedianMark(rules.basis_points, period_ms, funding_interval_h)
        case "median-oracle-ema":
            return OracleMark(rules.ema_s * 1000)
        case "index-basis-average":
            return BasisMark(rules.basis_points, period_ms)
        case "index":
            return IndexMark()
        case "last":
            return LastMark()


# --- prices from prices -----------------------------------------------------------------------------------------------
def median(a: int, b: int, c: int) -> int:
    """The middle one of three."""
    return max(min(a, b), min(max(a, b), c))


def weighted_median(prices: Sequence[int], weights: Sequence[int]) -> int:
    """Smallest price at which at least half of the weight is reached (an oracle over venues).

    Raises ValueError without any weight.
    """
    if not prices or sum(weights) <= 0:
        raise ValueError("a weighted median needs a price with a positive weight")
    reached, ordered = 0, sorted(zip(prices, weights, strict=True))
    for price, weight in ordered:
        reached += weight
        if 2 * reached >= sum(weights):
            return price
    return ordered[-1][0]


def weighted_average(prices: Sequence[int], weights: Sequence[int]) -> int:
    """Average price (an index over venues), rounded to the nearest tick, halves up.

    Raises ValueError without any weight.
    """
    if not prices or sum(weights) <= 0:
        raise ValueError("a weighted average needs a price with a positive weight")
    return round_div(sum(p * w for p, w in zip(prices, weights, strict=True)), sum(weights))


def spot_index_ticks(bid: int, last: int, ask: int, numerator: int = 1, denominator: int = 1) -> int:
    """Index from one spot market: median of best bid, last and best ask, in ticks of the derivative.

    A tick of the spot market is numerator / denominator ticks of the derivative (`price_ratio`); rounded to the
    nearest, halves up, at least one tick. 0 stands for an empty side or no trade yet: with a side empty the last price
    counts, without a trade the mid. Raises ValueError when nothing is known.
    """
    doubled = 2 * last
    if bid > 0 and ask > 0:
        doubled = 2 * median(bid, last, ask) if last > 0 else bid + ask
    if doubled <= 0:
        raise ValueError("no spot price: a side of the book is empty and nothing has traded")
    return max(1, round_div(doubled * numerator, 2 * denominator))


def tick_ratio(spot_tick_value: int, spot_lot_units: int, perp_tick_value: int, perp_lot_units: int) -> tuple[int, int]:
    """(numerator, denominator): a spot tick in perpetual ticks, from settlement units a tick and base units a lot.

    Both linear and in units of one size; `price_ratio` holds for inverse contracts too.
    """
    return spot_tick_value * perp_lot_units, perp_tick_value * spot_lot_units


def price_ratio(spot_tick: str, tick: str) -> tuple[int, int]:
    """(numerator, denominator): a spot tick in ticks of a derivative, from both tick sizes in dollars a coin."""
    return (Decimal(spot_tick) / Decimal(tick)).as_integer_ratio()


# --- averages ---------------------------------------------------------------------------------------------------------
class _BasisAverage:
    """Average of the last `points` samples of (mid - index), one a period.

    Samples advance by clock: a call inside the same period adds none, a call after several periods adds as many copies
    of what it sees.
    """

    def __init__(self, points: int, period_ms: int) -> None:
        self._period_ms = period_ms
        self._samples: deque[int] = deque(maxlen=points)
        self._sum = 0
        self._period = -1

    @property
    def ticks(self) -> int:
        """Rounded to the nearest tick, halves up; 0 before the first sample."""
        return round_div(self._sum, 2 * len(self._samples)) if self._samples else 0

    def add(self, time_ms: int, doubled_basis: int) -> None:
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


@lru_cache(maxsize=256)
def _decay(elapsed_ms: int, constant_ms: int) -> int:
    """exp(-elapsed / constant) in 2**-40, the same on every machine: decimal exponentials are correctly rounded."""
    with localcontext() as context:
        context.prec = 30
        return int((Decimal(-elapsed_ms) / Decimal(constant_ms)).exp() * (1 << _FIXED_BITS) + Decimal("0.5"))


class _ExponentialAverage:
    """Exponential average over time: numerator and weight decay by exp(-t / constant), then gain x * t and t.

    Integers: the weight and the numerator carry 40 bits after the point, each decay is rounded to the nearest. What is
    seen first counts as if it had stood for ever, so its weight is the constant.
    """

    def __init__(self, constant_ms: int) -> None:
        self._constant_ms = constant_ms
        self._numerator = self._weight = self._time_ms = 0

    def add(self, time_ms: int, value: int) -> None:
        """A new value; calls at the same instant add nothing."""
        elapsed_ms = time_ms - self._time_ms if self._weight else self._constant_ms
        if elapsed_ms > 0:
            kept = _decay(elapsed_ms, self._constant_ms)
            gained = elapsed_ms << _FIXED_BITS
            self._numerator = round_div(self._numerator * kept, 1 << _FIXED_BITS) + value * gained
            self._weight = round_div(self._weight * kept, 1 << _FIXED_BITS) + gained
            self._time_ms = time_ms

    def rounded(self, divisor: int = 1) -> int:
        """The average divided by `divisor`, to the nearest, halves up; 0 before the first value."""
        return round_div(self._numerator, self._weight * divisor) if self._weight else 0


def _doubled_mid(bid_ticks: int, ask_ticks: int, last_ticks: int) -> int:
    return bid_ticks + ask_ticks if bid_ticks > 0 and ask_ticks > 0 else 2 * last_ticks


def _named(inputs: tuple[int, ...], codes: tuple[int, ...], middle: int) -> Mark:
    """The mark, with the first of `codes` (aligned with `inputs`) that is at the middle price."""
    return Mark(max(1, middle), next(c for c, ticks in zip(codes, inputs, strict=True) if ticks == middle), inputs)


# --- rules ------------------------------------------------------------------------------------------------------------
class MedianMark:
    """Binance and Bybit: median of (index adjusted for funding, index + average basis, last price).

    Args:
        points: number of basis samples averaged.
        period_ms: time between two samples, see `_BasisAverage`.
        interval_h: funding interval, which ends at whole multiples of itself since midnight UTC.
    """

    def __init__(self, points: int = 30, period_ms: int = 1000, interval_h: int = 8) -> None:
        self._interval_ms = interval_h * HOUR_MS
        self._basis = _BasisAverage(points, period_ms)

    def update(
        self, time_ms: int, index_ticks: int, bid_ticks: int, ask_ticks: int, last_ticks: int, funding_rate: int,
        others_ticks: int = 0,
    ) -> Mark:  # fmt: skip
        """As `MarkRule.update`; inputs in the order of the codes FUNDING_ADJUSTED, BASIS_AVERAGED, LAST_PRICE."""
        self._basis.add(time_ms, _doubled_mid(bid_ticks, ask_ticks, last_ticks) - 2 * index_ticks)
        left_ms = self._interval_ms - time_ms % self._interval_ms
        drift = round_div(index_ticks * funding_rate * left_ms, RATE_ONE * self._interval_ms)
        inputs = (index_ticks + drift, index_ticks + self.basis_ticks, last_ticks)
        middle = median(*inputs)
        selected = next(n for n in (LAST_PRICE, BASIS_AVERAGED, FUNDING_ADJUSTED) if inputs[n] == middle)
        return Mark(max(1, middle), selected, inputs)

    @property
    def basis_ticks(self) -> int:
        """Average of the samples, rounded to the nearest tick, halves up; 0 before the first."""
        return self._basis.ticks


class OracleMark:
    """Hyperliquid: median of (oracle + average of mid - oracle, median of the book, other venues' perpetuals).

    Without other venues an average of the book's median over `book_ms` is the third. Both averages are exponential,
    with time constants in milliseconds (`_ExponentialAverage`).
    """

    def __init__(self, basis_ms: int = 150_000, book_ms: int = 30_000) -> None:
        self._basis = _ExponentialAverage(basis_ms)
        self._book = _ExponentialAverage(book_ms)

    def update(
        self, time_ms: int, index_ticks: int, bid_ticks: int, ask_ticks: int, last_ticks: int, funding_rate: int,
        others_ticks: int = 0,
    ) -> Mark:  # fmt: skip
        """As `MarkRule.update`; inputs: book median, oracle + average basis, others or average of the book median."""
        two_sided = bid_ticks > 0 and ask_ticks > 0
        book = median(bid_ticks, ask_ticks, last_ticks) if two_sided else last_ticks
        self._basis.add(time_ms, _doubled_mid(bid_ticks, ask_ticks, last_ticks) - 2 * index_ticks)
        self._book.add(time_ms, book)
        third, code = (others_ticks, OTHER_VENUES) if others_ticks > 0 else (self._book.rounded(), BOOK_AVERAGED)
        inputs = (book, index_ticks + self._basis.rounded(2), third)
        return _named(inputs, (BOOK_MEDIAN, BASIS_AVERAGED, code), median(*inputs))


class BasisMark:
    """OKX, and dated futures: index + average of (mid - index). Arguments as in `MedianMark`."""

    def __init__(self, points: int = 60, period_ms: int = 1000) -> None:
        self._basis = _BasisAverage(points, period_ms)

    def update(
        self, time_ms: int, index_ticks: int, bid_ticks: int, ask_ticks: int, last_ticks: int, funding_rate: int,
        others_ticks: int = 0,
    ) -> Mark:  # fmt: skip
        """As `MarkRule.update`; the only input is the mark."""
        self._basis.add(time_ms, _doubled_mid(bid_ticks, ask_ticks, last_ticks) - 2 * index_ticks)
        ticks = index_ticks + self._basis.ticks
        return Mark(max(1, ticks), BASIS_AVERAGED, (ticks,))


class IndexMark:
    """The index itself, as a pool that trades at an oracle's price has it."""

    def update(
        self, time_ms: int, index_ticks: int, bid_ticks: int, ask_ticks: int, last_ticks: int, funding_rate: int,
        others_ticks: int = 0,
    ) -> Mark:  # fmt: skip
        """As `MarkRule.update`; the only input is the index."""
        return Mark(max(1, index_ticks), INDEX_PRICE, (index_ticks,))


class LastMark:
    """Mark price equal to the last trade price: the simplest rule, and the one that theory of cascades assumes."""

    def update(
        self, time_ms: int, index_ticks: int, bid_ticks: int, ask_ticks: int, last_ticks: int, funding_rate: int,
        others_ticks: int = 0,
    ) -> Mark:  # fmt: skip
        """As `MarkRule.update`; inputs: index, index, last price."""
        return Mark(max(1, last_ticks), LAST_PRICE, (index_ticks, index_ticks, last_ticks))
