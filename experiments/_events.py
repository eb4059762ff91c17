"""State of a scenario from price bars: turning points before the opening, the fall, what was left of it, the news.

    python -m experiments._events BARS.csv 2025-11-04T15:00 2025-11-03T00:00 2025-11-04T21:40 [OLDER.csv]

BARS are candles with the columns utc, open, high, low, close; OLDER are daily closes (date, price) for the days before
them; the three times are the opening of the scenario, and the first moment and the end of the fall. The bars themselves
belong to the exchange and are not part of the project: the scenarios hold the numbers with their source. The rules are
those of `docs/identification.md`; nothing here looks at a simulation.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
DAY_S = 86_400.0
THRESHOLD = 0.022
"""A turning point is one from which the price then moved by this fraction, as in `retail.path_days` of October."""
PATH_DAYS = 25.0
HOURS = (1.0, 24.0, 48.0)
"""Hours after the low at which what is left of a fall is read; the middle one is the rule, the others its span."""
RULE_H = 24.0


@dataclass(frozen=True, slots=True)
class Bars:
    """Candles in time order; `seconds` float64 (n,) is when each begins (UTC, since 1970), prices float64 (n,) in $."""

    seconds: Floats
    open: Floats
    high: Floats
    low: Floats
    close: Floats

    def between(self, since_s: float, until_s: float) -> Bars:
        """Bars that begin in [since_s, until_s). Raises ValueError when there is none."""
        here = (self.seconds >= since_s) & (self.seconds < until_s)
        if not here.any():
            raise ValueError(f"no bar begins between {clock(since_s)} and {clock(until_s)}")
        columns = (self.seconds, self.open, self.high, self.low, self.close)
        return Bars(*(column[here] for column in columns))

    def price_at(self, moment_s: float) -> float:
        """The opening price of the first bar from then on, in $. Raises ValueError behind the last bar."""
        n = int(np.searchsorted(self.seconds, moment_s - 1e-6))
        if n >= self.seconds.size:
            raise ValueError(f"the bars end before {clock(moment_s)}")
        return float(self.open[n])


@dataclass(frozen=True, slots=True)
class Fall:
    """A fall from the last price before it to its lowest trade; `low_s` is when the bar of the low begins."""

    print_usd: float
    print_s: float
    low_usd: float
    low_s: float

    @property
    def percent(self) -> float:
        """The fall in %, negative."""
        return 100.0 * (self.low_usd / self.print_usd - 1.0)


@dataclass(frozen=True, slots=True)
class Impulse:
    """A part of the declared news: from when, over how many seconds, by how many %."""

    at_s: float
    over_s: float
    change_percent: float


# --- rules ------------------------------------------------------------------------------------------------------------
def turning_points(bars: Bars, threshold: float = THRESHOLD) -> tuple[Floats, Floats]:
    """Times (s) and prices ($) at which the price turned, oldest first; float64 (k,) each.

    A high counts once a later low lies `threshold` below it, a low once a later high lies so much above it; the last
    extreme since the last of these counts too. Inside one bar nothing turns: its extremes are taken as simultaneous.
    """
    if not 0.0 < threshold < 1.0:
        raise ValueError(f"threshold: {threshold:g}: must lie between 0 and 1")
    found: list[tuple[int, float]] = []
    top = bottom = 0  # bars of the highest high and the lowest low since the last turning point
    rising: bool | None = None  # what is under way; unknown until the first turn
    for n in range(1, bars.seconds.size):
        if rising is not False and bars.low[n] <= bars.high[top] * (1.0 - threshold):
            found.append((top, float(bars.high[top])))
            rising, bottom = False, n
        elif rising is not True and bars.high[n] >= bars.low[bottom] * (1.0 + threshold):
            found.append((bottom, float(bars.low[bottom])))
            rising, top = True, n
        if rising is not False and bars.high[n] > bars.high[top]:
            top = n
        if rising is not True and bars.low[n] < bars.low[bottom]:
            bottom = n
    if rising is not None:
        found.append((top, float(bars.high[top])) if rising else (bottom, float(bars.low[bottom])))
    return np.array([bars.seconds[n] for n, _ in found]), np.array([price for _, price in found])


def opening_path(
    bars: Bars, start_s: float, threshold: float = THRESHOLD, days: float = PATH_DAYS
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """`retail.path_days` and `retail.path_ratio` of an opening at `start_s`: ages in days, prices over the opening's.

    From (0, 1) back over the turning points to the price `days` before, or to the first bar.
    """
    before = bars.between(max(start_s - days * DAY_S, float(bars.seconds[0])), start_s)
    price = bars.price_at(start_s)
    seconds, prices = turning_points(before, threshold)
    path = {0.0: 1.0}
    for moment, value in zip(seconds[::-1].tolist(), prices[::-1].tolist(), strict=True):
        path.setdefault(round((start_s - moment) / DAY_S, 2), round(value / price, 4))
    path.setdefault(round((start_s - float(before.seconds[0])) / DAY_S, 2), round(float(before.open[0]) / price, 4))
    return tuple(path), tuple(path.values())


def fall(bars: Bars, since_s: float, until_s: float) -> Fall:
    """The fall that begins with the price at `since_s` and has its low before `until_s`."""
    here = bars.between(since_s, until_s)
    lowest = int(np.argmin(here.low))
    return Fall(bars.price_at(since_s), since_s, float(here.low[lowest]), float(here.seconds[lowest]))


def left(bars: Bars, whole: Fall, hours: float = RULE_H) -> float:
    """Share of a fall that is still there `hours` after the bar of its low; above 1: it went on falling."""
    later = bars.price_at(whole.low_s + hours * 3600.0)
    return (whole.print_usd - later) / (whole.print_usd - whole.low_usd)


def news_profile(
    bars: Bars, whole: Fall, legs: Sequence[tuple[float, float]], hours: float = RULE_H
) -> tuple[Impulse, ...]:
    """The declared news: the part of the fall that stayed, each leg with the share it had of the fall, in logs.

    `legs` are (begin, end) in seconds since 1970, in time order and without overlap. The share of a leg is what the
    price did from its begin to that of the next, of the last one down to the low. What fell before the first is not
    declared: it lies before the scenario.
    """
    if any(end <= begin for begin, end in legs):
        raise ValueError("legs: each must end after it begins")
    if any(later[0] < earlier[1] for earlier, later in pairwise(legs)):
        raise ValueError("legs: they must follow each other")
    stayed = np.log1p(left(bars, whole, hours) * whole.percent / 100.0)
    every = np.log1p(whole.percent / 100.0)
    marks = [*(bars.price_at(begin) for begin, _ in legs), whole.low_usd]
    shares = [np.log(later / earlier) / every for earlier, later in pairwise(marks)]
    return tuple(
        Impulse(begin, end - begin, float(100.0 * np.expm1(stayed * share)))
        for (begin, end), share in zip(legs, shares, strict=True)
    )


# --- files ------------------------------------------------------------------------------------------------------------
def read_bars(path: Path) -> Bars:
    """Candles of a CSV file with the columns utc, open, high, low, close."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(moment(row["utc"]), *(float(row[name]) for name in PRICES)) for row in csv.DictReader(file)]
    return Bars(*np.array(rows).T)


PRICES = ("open", "high", "low", "close")


def read_daily(path: Path) -> Bars:
    """Daily closes of a CSV file with the columns date, price, as bars without range at the end of each day."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(moment(row["date"]) + DAY_S, *[float(row["price"])] * len(PRICES)) for row in csv.DictReader(file)]
    return Bars(*np.array(rows).T)


def joined(older: Bars, bars: Bars) -> Bars:
    """Bars with older ones before them."""
    early = older.seconds < bars.seconds[0]
    pairs = ((getattr(older, name), getattr(bars, name)) for name in ("seconds", *PRICES))
    return Bars(*(np.concatenate((first[early], second)) for first, second in pairs))


def moment(text: str) -> float:
    """Seconds since 1970 of a UTC time in ISO form."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def clock(seconds: float) -> str:
    """A moment as people write it."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"


def report(bars: Bars, start_s: float, since_s: float, until_s: float) -> str:
    """The derived state as text, ready for a scenario file."""
    whole, leg = fall(bars, since_s, until_s), fall(bars, start_s, until_s)
    days, ratio = opening_path(bars, start_s)
    lines = [
        f"start_price_usd = {bars.price_at(start_s):.1f}  # {clock(start_s)}",
        f"path_days = {list(days)}",
        f"path_ratio = {list(ratio)}",
    ]
    for name, one in (("whole", whole), ("from the start", leg)):
        shares = ", ".join(f"{100 * left(bars, one, hours):.0f} % after {hours:g} h" for hours in HOURS)
        lines.append(
            f"{name}: {one.print_usd:.1f} -> {one.low_usd:.1f} in the bar of {clock(one.low_s)}: {one.percent:.2f} %; "
            f"still there: {shares}"
        )
    for hours in HOURS:
        (news,) = news_profile(bars, whole, [(start_s, until_s)], hours)
        lines.append(f"news from the start by what is left after {hours:g} h: {news.change_percent:.2f} %")
    return "\n".join(lines)


if __name__ == "__main__":
    table = read_bars(Path(sys.argv[1]))
    table = joined(read_daily(Path(sys.argv[5])), table) if len(sys.argv) > 5 else table
    print(report(table, *(moment(text) for text in sys.argv[2:5])))
