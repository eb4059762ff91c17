"""What comes from outside: the fundamental value, moved by scheduled news and small random steps.

News is exogenous and declared in the scenario; the cascade is not. Nothing here looks at the market.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from abm.rng import normal, stream

STREAM_FAIR = stream("fair value")


@dataclass(frozen=True, slots=True)
class NewsStep:
    """A change of the fundamental value, spread evenly (in logs) over `over_s` seconds from `at_s` after the start."""

    at_s: float
    over_s: float
    change: float  # fraction, -0.013 = -1.3 %


class FairValue:
    """Log fair value = log start + news so far + a random walk of `volatility` per square root of a second.

    `usd` is the value in dollars at the end of the last tick, `news_change` the fraction that news added in it.
    """

    def __init__(self, start_usd: float, news: Sequence[NewsStep], volatility: float, seed: int, tick_s: float) -> None:
        self.usd = start_usd
        self.news_change = 0.0
        self.macro = 0.0
        self._start_usd, self._news, self._seed, self._tick_s = start_usd, tuple(news), seed, tick_s
        self._step_sd = volatility * math.sqrt(tick_s)
        self._walk = 0.0
        self._news_log = 0.0

    def advance(self, tick: int) -> None:
        """Move to the end of tick `tick` (1, 2, ...). `news_change` is the fraction added by news in this tick."""
        now_s = tick * self._tick_s
        total = 0.0
        for item in self._news:
            past_s = now_s - item.at_s
            share = min(max(past_s / item.over_s, 0.0), 1.0) if item.over_s > 0 else float(past_s > 0)
            total += share * math.log1p(item.change)
        self.news_change = math.expm1(total - self._news_log)
        self._news_log = total
        if self._step_sd > 0:
            self._walk += self._step_sd * normal(self._seed, STREAM_FAIR, 0, tick, 0)
        self.usd = self._start_usd * math.exp(total + self._walk)

    def shock(self, change: float) -> None:
        """An unscheduled change of the fundamental value by a fraction, now."""
        self._start_usd *= 1.0 + change
