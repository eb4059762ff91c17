"""Time on a shared UTC axis: seconds since the start, round ticks, bars that cover [open, open + interval)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

TICK_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
INTERVALS_S = (1, 5, 10, 60, 300, 900, 3600, 86400)
SHORT_WINDOW_S = 300
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Clock:
    """The window of a run. `start_s` is POSIX time of the opening; x values are seconds after it."""

    start_s: float
    length_s: float
    tick_s: float

    def x(self, times: Any) -> Floats:
        """Seconds since the opening of pandas timestamps (naive ones are read as UTC), float64[n]."""
        stamps = pd.to_datetime(pd.Series(times), utc=True)
        micro: Floats = stamps.dt.as_unit("us").astype("int64").to_numpy(np.float64)
        return micro / 1e6 - self.start_s

    def label(self, x: float, *, seconds: bool = False) -> str:
        """UTC time of day of `x` as HH:MM or HH:MM:SS."""
        moment = datetime.fromtimestamp(round(self.start_s + x, 3), UTC)
        return moment.strftime("%H:%M:%S" if seconds else "%H:%M")

    def day(self, x: float) -> str:
        """UTC date of `x`, as in "10 Oct"."""
        moment = datetime.fromtimestamp(round(self.start_s + x, 3), UTC)
        return f"{moment.day} {moment:%b}"

    def window(self) -> str:
        """The window in words, as in "20:40–22:20 UTC, 10 October 2025"."""
        seconds = self.length_s < SHORT_WINDOW_S
        first = datetime.fromtimestamp(self.start_s, UTC)
        last = datetime.fromtimestamp(self.start_s + self.length_s, UTC)
        start, end = self.label(0.0, seconds=seconds), self.label(self.length_s, seconds=seconds)
        if last.date() != first.date() and end.startswith("00:00") and self.length_s <= DAY_S:
            end = end.replace("00:00", "24:00", 1)
        if self.length_s <= DAY_S:
            return f"{start}–{end} UTC, {first.day} {first:%B %Y}"
        return f"{first.day} {first:%B} {start} to {last.day} {last:%B %Y} {end} UTC"


def clock_of(steps: pd.DataFrame, run: dict[str, Any]) -> Clock:
    """The clock of a run from its `start` and `tick_s`, or, where these are missing, from the times of the steps."""
    stamps = pd.to_datetime(steps["time"], utc=True).dt.as_unit("us").astype("int64").to_numpy(np.float64) / 1e6
    tick_s = float(run.get("tick_s") or 0.0)
    if tick_s <= 0:
        tick_s = float(np.median(np.diff(stamps))) if len(stamps) > 1 else 1.0
    if len(stamps):
        start_s = float(stamps[0]) - tick_s
        return Clock(start_s, float(stamps[-1]) - start_s, tick_s)
    opening = pd.to_datetime(run.get("start") or 0, utc=True)
    start_s = float(opening.timestamp())
    return Clock(start_s, max(float(run.get("ticks") or 1), 1.0) * tick_s, tick_s)


def interval_s(clock: Clock, most: int = 1500) -> int:
    """Length of a bar: a minute for any window from five minutes to a day; finer below, coarser above."""
    usable = [step for step in INTERVALS_S if step >= clock.tick_s] or [INTERVALS_S[-1]]
    if clock.length_s >= SHORT_WINDOW_S:
        usable = [step for step in usable if step >= 60] or usable[-1:]
        most_bars = most
    else:
        most_bars = 120
    return next((step for step in usable if clock.length_s / step <= most_bars), usable[-1])


def interval_words(step_s: int) -> tuple[str, str]:
    """An interval as "minute" and "1-min", "5 min" and "5-min", "10 s" and "10-s"."""
    if step_s % 86_400 == 0:
        return "day", "1-day"
    if step_s % 3600 == 0:
        return "hour", "1-h"
    if step_s % 60 == 0:
        minutes = step_s // 60
        return ("minute", "1-min") if minutes == 1 else (f"{minutes} min", f"{minutes}-min")
    return ("second", "1-s") if step_s == 1 else (f"{step_s} s", f"{step_s}-s")


def bars(clock: Clock, ends_x: Floats, step_s: int) -> tuple[Whole, Floats]:
    """Number of the bar each tick falls into (int64[n], from 0) and the opening of every bar (float64[m]).

    A tick is given by its end; bars sit on whole multiples of `step_s` in UTC.
    """
    opening = clock.start_s % step_s
    middle = ends_x - clock.tick_s / 2.0
    number = np.floor((middle + opening) / step_s).astype(np.int64)
    count = int(number.max()) + 1 if len(number) else 0
    return number, np.arange(count, dtype=np.float64) * step_s - opening


def total(number: Whole, values: Any, count: int) -> Floats:
    """Sum of `values` in each bar, gaps (nan) counted as nothing."""
    sums = np.bincount(number, np.nan_to_num(np.asarray(values, dtype=np.float64)), minlength=count)
    return sums.astype(np.float64)  # without ticks NumPy counts in integers


def extreme(number: Whole, values: Any, count: int, *, highest: bool) -> Floats:
    """Largest or smallest value in each bar; nan for a bar without one."""
    data = np.asarray(values, dtype=np.float64)
    worst = -np.inf if highest else np.inf
    result = np.full(count, worst)
    known = np.isfinite(data)
    (np.maximum if highest else np.minimum).at(result, number[known], data[known])
    result[np.isinf(result)] = np.nan
    return result


def edge(number: Whole, values: Any, count: int, *, last: bool) -> Floats:
    """First or last value in each bar; nan for a bar without one."""
    data = np.asarray(values, dtype=np.float64)
    known = np.flatnonzero(np.isfinite(data))
    order = known if last else known[::-1]
    result = np.full(count, np.nan)
    result[number[order]] = data[order]
    return result


def thin(x: Floats, y: Floats, columns: int = 2400) -> tuple[Floats, Floats]:
    """Line with at most four points a column (first, low, high, last), so that no extreme is lost."""
    if len(x) <= 4 * columns:
        return x, y
    width = -(-len(x) // columns)
    rows = -(-len(x) // width)
    padded = np.full(rows * width, np.nan)
    padded[: len(y)] = y
    table = padded.reshape(rows, width)
    first = np.arange(rows) * width
    lowest = first + np.where(np.isnan(table), np.inf, table).argmin(axis=1)
    highest = first + np.where(np.isnan(table), -np.inf, table).argmax(axis=1)
    last = np.minimum(first + width, len(x)) - 1
    index = np.unique(np.concatenate([first, lowest, highest, last]))
    return x[index], y[index]


def time_ticks(clock: Clock, most: int = 11) -> tuple[list[float], list[str]]:
    """Round UTC ticks inside the window and their labels; midnight of a longer run carries the date."""
    step = next((s for s in TICK_STEPS_S if clock.length_s / s <= most), DAY_S)
    while clock.length_s / step > most:
        step += DAY_S
    first = -(clock.start_s % step)
    places = [first + i * step for i in range(int(clock.length_s / step) + 3)]
    places = [x for x in places if -1e-6 <= x <= clock.length_s + 1e-6]
    fine = step < 60
    labels = []
    for x in places:
        midnight = round(clock.start_s + x) % DAY_S == 0
        labels.append(clock.day(x) if midnight and clock.length_s > DAY_S else clock.label(x, seconds=fine))
    return places, labels


def set_time_axis(axes: Axes, clock: Clock, *, labels: bool) -> None:
    """Shared limits and ticks of the time axis; labels only where they are read."""
    places, words = time_ticks(clock)
    axes.set_xlim(0.0, clock.length_s)
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_ticklabels(words if labels else [])
