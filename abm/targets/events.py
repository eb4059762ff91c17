"""The days that are held against a run: reference price, low, and the moments at which prices are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from abm.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Event:
    """A real fall on the Binance BTCUSDT perpetual.

    Attributes:
        reference: instant of the last price before it, `reference_usd`.
        low_time: when the low was made, as well as the candles tell.
        until: a run must reach this instant to be held against the event.
        window: over which the real volume and taker flow were summed.
        moments: instants at which prices are compared.
        left: share of the fall that was still there after a time.
    """

    name: str
    title: str
    reference: datetime
    reference_usd: float
    low_time: datetime
    low_usd: float
    until: datetime
    window: tuple[datetime, datetime]
    moments: tuple[datetime, ...] = ()
    left: Mapping[str, float] = field(default_factory=dict)

    @property
    def fall_percent(self) -> float:
        """The real fall, negative."""
        return 100 * (self.low_usd / self.reference_usd - 1)

    def at(self, hour: int, minute: int) -> datetime:
        """An instant of the reference's day."""
        return self.reference.replace(hour=hour, minute=minute, second=0)

    def overlaps(self, start: datetime, length_s: float) -> bool:
        """Whether a run that begins at `start` has anything of it."""
        return start < self.until and start + timedelta(seconds=length_s) > self.reference

    def covered(self, scenario: Scenario) -> bool:
        """Whether a scenario with news starts on the event's day before its reference and lasts long enough."""
        day = self.reference.replace(hour=0, minute=0)
        in_time = day - timedelta(days=1) < scenario.start <= self.reference and scenario.end >= self.until
        return bool(scenario.news) and in_time


DAY = datetime(2025, 10, 10, tzinfo=UTC)
WINDOW = (DAY.replace(hour=21, minute=12), DAY.replace(hour=21, minute=21))
"""The nine one-minute candles, 21:12 to 21:20, over which the real volume and taker flow were summed."""
LOW_USD = 101_516.5
PRINT_USD = 116_830.0
LOW_TIME = DAY.replace(hour=21, minute=20, second=30)


def _moments(day: datetime, *hours: tuple[int, int]) -> tuple[datetime, ...]:
    return tuple(day.replace(hour=hour, minute=minute) for hour, minute in hours)


OCTOBER = Event(
    "october-2025",
    "10 October 2025",
    DAY.replace(hour=20, minute=50),
    PRINT_USD,
    LOW_TIME,
    LOW_USD,
    DAY.replace(hour=21, minute=30),
    WINDOW,
    _moments(DAY, (20, 55), (21, 0), (21, 10), (21, 15)),
    {"60min": 0.24, "24h": 0.43, "48h": 0.11},
)
_SEPTEMBER_DAY = datetime(2025, 9, 22, tzinfo=UTC)
SEPTEMBER = Event(
    "september-2025",
    "22 September 2025",
    _SEPTEMBER_DAY.replace(hour=5, minute=55),
    114_269.0,
    _SEPTEMBER_DAY.replace(hour=6, minute=2, second=30),
    111_469.2,
    _SEPTEMBER_DAY.replace(hour=6, minute=15),
    (_SEPTEMBER_DAY.replace(hour=5, minute=55), _SEPTEMBER_DAY.replace(hour=6, minute=25)),
    _moments(_SEPTEMBER_DAY, (6, 0), (6, 10), (6, 15), (6, 30), (7, 0)),
)
_NOVEMBER_DAY = datetime(2025, 11, 4, tzinfo=UTC)
NOVEMBER = Event(
    "november-2025-early",
    "4 November 2025",
    _NOVEMBER_DAY.replace(hour=15),
    104_458.4,
    _NOVEMBER_DAY.replace(hour=21, minute=37, second=30),
    98_888.8,
    _NOVEMBER_DAY.replace(hour=22),
    (_NOVEMBER_DAY.replace(hour=15), _NOVEMBER_DAY.replace(hour=22)),
    _moments(_NOVEMBER_DAY, (16, 0), (18, 0), (20, 0), (21, 0), (22, 10)),
)
OTHERS = (SEPTEMBER, NOVEMBER)
EVENTS = (OCTOBER, *OTHERS)
CALM = "calm"
"""Name of the targets of a market without news."""
LEAST_CALM_S = 20 * 86_400
"""Length from which a calm run has the statistics of a month."""


def event_of(scenario: Scenario) -> Event | None:
    """The event a scenario is about, if any."""
    return next((event for event in EVENTS if event.covered(scenario)), None)


def is_october(scenario: Scenario) -> bool:
    """Whether a scenario covers the fall of 10 October 2025 and has news."""
    return OCTOBER.covered(scenario)
