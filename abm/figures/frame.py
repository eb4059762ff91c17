"""The columns of a run as the panels need them: missing columns are gaps, never zeros that look measured."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from abm.events import COVENANT, NEWS
from abm.figures.timeaxis import DAY_S, Clock, Floats, Whole, bars, clock_of, interval_s, interval_words

NEWS_GAP_S = 60.0
"""Shocks closer than this are drawn as one piece of news."""
MILLIONTH = 1e-6


@dataclass(frozen=True, slots=True)
class News:
    """One piece of news, from `x` to `end_x` (seconds after the opening); `change` of fair value is a fraction."""

    x: float
    end_x: float
    change: float
    label: str = ""


def grouped(places: list[tuple[float, float]]) -> list[News]:
    """Changes of fair value (x, fraction) joined where they lie closer than `NEWS_GAP_S`."""
    joined: list[News] = []
    for x, size in places:
        last = joined[-1] if joined else None
        if last is not None and x - last.end_x <= NEWS_GAP_S:
            joined[-1] = News(last.x, x, (1.0 + last.change) * (1.0 + size) - 1.0)
        else:
            joined.append(News(x, x, size))
    return joined


@dataclass(frozen=True)
class Frame:
    """Steps, events and the description of a run on one clock."""

    steps: pd.DataFrame
    events: pd.DataFrame
    run: dict[str, Any]
    clock: Clock
    step_s: int
    """Length of a bar in seconds."""

    @cached_property
    def x(self) -> Floats:
        """End of each tick, in seconds after the opening, float64[n]."""
        return self.clock.x(self.steps["time"]) if len(self.steps) else np.empty(0)

    @cached_property
    def _bars(self) -> tuple[Whole, Floats]:
        return bars(self.clock, self.x, self.step_s)

    @property
    def number(self) -> Whole:
        """Bar each tick falls into."""
        return self._bars[0]

    @property
    def opens(self) -> Floats:
        """Opening of each bar, in seconds after the opening of the run."""
        return self._bars[1]

    @property
    def interval(self) -> str:
        """The bar in words: "minute", "10 s"."""
        return interval_words(self.step_s)[0]

    def column(self, name: str) -> Floats:
        """A column of the steps as float64[n]; all gaps when the run does not have it."""
        if name in self.steps.columns:
            values: Floats = self.steps[name].to_numpy(np.float64, na_value=np.nan)
            return values
        return np.full(len(self.steps), np.nan)

    def known(self, name: str) -> bool:
        """Whether a column has at least one value."""
        return bool(np.isfinite(self.column(name)).any())

    def some(self, name: str) -> bool:
        """Whether a column has a value other than zero."""
        return bool((np.nan_to_num(self.column(name)) != 0).any())

    @cached_property
    def news(self) -> list[News]:
        """News in time order: what the scenario schedules and any other change of fair value (close ticks as one)."""
        planned = [item for entry in self._planned() if (item := self._of_entry(entry)) is not None]
        places: list[tuple[float, float]] = []
        if "news_fair_change" in self.steps.columns:
            change = np.nan_to_num(self.column("news_fair_change"))
            places = [(float(self.x[i]) - self.clock.tick_s, float(change[i])) for i in np.flatnonzero(change)]
        elif len(rows := self.of_kind(NEWS)):
            sizes = rows["amount"].to_numpy(np.float64) * MILLIONTH
            places = [
                (float(x) - self.clock.tick_s, float(size))
                for x, size in zip(self.clock.x(rows["time"]), sizes, strict=True)
            ]
        slack = self.clock.tick_s + 1e-6
        free = [
            place for place in places if not any(item.x - slack <= place[0] <= item.end_x + slack for item in planned)
        ]
        return sorted(planned + grouped(free), key=lambda item: item.x)

    @property
    def main_news(self) -> list[News]:
        """The few largest pieces of news, in time order: those that are marked and named."""
        return sorted(sorted(self.news, key=lambda item: -abs(item.change))[:4], key=lambda item: item.x)

    def _planned(self) -> list[dict[str, Any]]:
        """The news entries of the resolved scenario."""
        scenario = self.run.get("scenario")
        entries = scenario.get("news") if isinstance(scenario, dict) else None
        return [entry for entry in entries or [] if isinstance(entry, dict) and "at" in entry]

    def _of_entry(self, entry: dict[str, Any]) -> News | None:
        """A scheduled entry on the clock (`at` is a time of day or a date and time); None outside the window."""
        at = str(entry["at"])
        if len(at) <= 15 and "-" not in at:
            hour, minute, second = ([float(part) for part in at.rstrip("Z").split(":")] + [0.0, 0.0])[:3]
            x = (hour * 3600 + minute * 60 + second - self.clock.start_s) % DAY_S
        else:
            x = float(self.clock.x([at])[0])
        if not -1e-6 <= x <= self.clock.length_s:
            return None
        return News(
            x,
            x + float(entry.get("over_s") or 0.0),
            float(entry.get("change_percent") or 0.0) / 100,
            str(entry.get("label") or ""),
        )

    def of_kind(self, kind: int) -> pd.DataFrame:
        """Events of one kind (empty when events were not kept)."""
        if "kind" not in self.events.columns or "time" not in self.events.columns:
            return pd.DataFrame({"time": [], "amount": []})
        return self.events[self.events["kind"] == kind]

    @cached_property
    def covenants(self) -> Floats:
        """Times at which a covenant made a treasury sell."""
        rows = self.of_kind(COVENANT)
        return self.clock.x(rows["time"]) if len(rows) else np.empty(0)

    @cached_property
    def reference(self) -> tuple[float, str]:
        """Price from which moves are counted, and its name: last perpetual print before the news, else the first."""
        price = self.column("perp_usd")
        known = np.flatnonzero(np.isfinite(price))
        if not len(known):
            return np.nan, "the opening"
        if self.news:
            before = known[self.x[known] <= self.news[0].x + 1e-6]
            if len(before):
                return float(price[before[-1]]), "the last print before the news"
        return float(price[known[0]]), "the first print"


def frame_of(steps: pd.DataFrame, events: pd.DataFrame, run: dict[str, Any]) -> Frame:
    """Put a run on its clock and choose the bar length."""
    ordered = steps.sort_values("time") if len(steps) else steps
    clock = clock_of(ordered, run)
    return Frame(ordered.reset_index(drop=True), events, run, clock, interval_s(clock))


def find(node: Any, name: str) -> Any:
    """First plain value called `name` in nested dictionaries, breadth first; None when there is none."""
    level = [node]
    while level:
        deeper: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                if name in item and not isinstance(item[name], dict | list):
                    return item[name]
                deeper.extend(item.values())
        level = deeper
    return None
