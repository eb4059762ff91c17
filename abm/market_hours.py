"""Hours of the US stock market: 9:30 to 16:00 in New York on weekdays, 14:30-21:00 UTC in winter, an hour earlier in
summer time (second Sunday of March to first Sunday of November). Full holidays of 2024-2026 are closed; the few early
closes (13:00 in New York) are not modelled.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache

DAY_S = 86_400.0
SESSION_S = 23_400.0
"""Length of a trading day in seconds, 6.5 hours."""
WINTER_OPEN_S = 52_200.0
"""14:30 UTC in seconds of the day."""
_HOLIDAYS = {
    2024: (1128, 1225),
    2025: (101, 109, 120, 217, 418, 526, 619, 704, 901, 1127, 1225),
    2026: (101, 119, 216, 403, 525, 619, 703, 907, 1126, 1225),
}
"""Full holidays as 100 month + day; 9 Jan 2025 was a day of mourning."""


def _sunday(year: int, month: int, number: int) -> date:
    """The first, second ... Sunday of a month."""
    first = date(year, month, 1)
    return first + timedelta(days=(6 - first.weekday()) % 7 + 7 * (number - 1))


def summer_time(day: date) -> bool:
    """Whether New York's clocks stand an hour ahead when the market opens that day."""
    return _sunday(day.year, 3, 2) <= day < _sunday(day.year, 11, 1)


@cache
def session(day: date) -> tuple[float, float] | None:
    """Opening and close in seconds of the UTC day; None on weekends and holidays."""
    if day.weekday() >= 5 or 100 * day.month + day.day in _HOLIDAYS.get(day.year, ()):
        return None
    opening = WINTER_OPEN_S - 3600.0 * summer_time(day)
    return opening, opening + SESSION_S


class StockHours:
    """The stock market's hours on the clock of a run that begins at `start`: seconds count from there."""

    def __init__(self, start: datetime) -> None:
        moment = start.astimezone(UTC)
        self._first = moment.date()
        self._offset_s = (moment - datetime(moment.year, moment.month, moment.day, tzinfo=UTC)).total_seconds()

    def open_s(self, since_s: float, until_s: float) -> float:
        """Seconds of trading between two moments of the run, `since_s` <= `until_s`."""
        total, begin, end = 0.0, since_s + self._offset_s, until_s + self._offset_s
        for number in range(int(begin // DAY_S), int(end // DAY_S) + 1):
            hours = session(self._first + timedelta(days=number))
            if hours is not None:
                total += max(0.0, min(end, number * DAY_S + hours[1]) - max(begin, number * DAY_S + hours[0]))
        return total

    def closes(self, since_s: float, until_s: float) -> bool:
        """Whether a trading day ends in (since_s, until_s]."""
        begin, end = since_s + self._offset_s, until_s + self._offset_s
        for number in range(int(begin // DAY_S), int(end // DAY_S) + 1):
            hours = session(self._first + timedelta(days=number))
            if hours is not None and begin < number * DAY_S + hours[1] <= end:
                return True
        return False
