"""What chart readers and copy-trading groups look at: bars, RSI, volatility, the gap to a regulated venue's close.

RSI   = 100 - 100 / (1 + U / D), U and D means of the rises and falls of n bars: plain over the first n, afterwards
        U <- U + (max(0, change) - U) / n (J. Welles Wilder, New Concepts in Technical Trading Systems, 1978).
        Signal +1 below `rsi_low` or for a bar after crossing 50 upwards, -1 above `rsi_high` or after crossing 50
        downwards ("above the neutral 50: waning bearish momentum"). None before n bars.
gap   the price is expected to come back to the last price before a venue with hours closed, or to a given level:
        sign(level - p) once |ln(level / p)| > least, until the price has been at the level: then it is filled.
sigma exponentially weighted variance of the one-minute return with a memory of 10 minutes (RiskMetrics form).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from abm.rng import normals, stream, uniforms
from abm.state import I64
from abm.traders.base import View
from abm.traders.retail_behaviour import Copying, Signals

MINUTE_S, VARIANCE_MINUTES = 60.0, 10.0
_GROUP = stream("retail group")
_LAG = stream("retail group lag")


class Bars:
    """Closes of bars of `bar_s` seconds, and Wilder's RSI over `count` of them; 50 until there are enough."""

    def __init__(self, count: int, bar_s: float) -> None:
        self.count, self._bar_s = count, bar_s
        self.closes = 0
        self.rsi = self.before = 50.0
        self._close = self._rise = self._fall = 0.0
        self._bar = 0

    def see(self, seconds: float, price: float) -> None:
        """A price at a time; a bar closes with the last price before its end."""
        bar = int(seconds / self._bar_s)
        if self._close == 0.0:
            self._close = self._last = price
            self._bar = bar
        if bar > self._bar:
            self._add(self._last)
            self._bar = bar
        self._last = price

    def _add(self, close: float) -> None:
        change, self._close = close - self._close, close
        self.closes += 1
        weight = 1.0 / min(self.closes, self.count)
        self._rise += weight * (max(change, 0.0) - self._rise)
        self._fall += weight * (max(-change, 0.0) - self._fall)
        self.before = self.rsi
        if self.closes >= self.count:
            both = self._rise + self._fall
            self.rsi = 100.0 * self._rise / both if both > 0.0 else 50.0


class Chart:
    """The public chart of one market, as its readers keep it; `see` once a tick."""

    def __init__(self, parameters: Signals, market: int, tick_dollars: float) -> None:
        self._p, self._market = parameters, market
        self.bars = Bars(parameters.rsi_bars, parameters.rsi_bar_s)
        self.variance = 0.0
        """Of a one-minute log return; 0 before the first minute is over."""
        self.gap_ticks = parameters.gap_usd / tick_dollars
        self._gap_side = 0.0
        self._minute = (0.0, 0.0)
        self.regulated = -1
        """Market of a venue with hours, -1 = none."""
        self.regulated_scale = 1.0
        self._closed = False

    def see(self, view: View) -> None:
        """Bars, variance and gap after one more tick."""
        last = float(view.last_ticks[self._market])
        if last <= 0.0:
            return
        self.bars.see(view.seconds, last)
        since, then = self._minute
        if then == 0.0:
            self._minute = (view.seconds, last)
        elif view.seconds - since >= MINUTE_S:
            square = math.log(last / then) ** 2 * MINUTE_S / (view.seconds - since)
            self.variance += (square - self.variance) * (1.0 if self.variance == 0.0 else 1.0 / VARIANCE_MINUTES)
            self._minute = (view.seconds, last)
        self._watch_gap(view, last)

    def _watch_gap(self, view: View, last: float) -> None:
        if self.regulated >= 0 and self._p.gap_usd == 0.0:
            closed = view.bid_ticks[self.regulated] == 0 and view.ask_ticks[self.regulated] == 0
            if closed and not self._closed:
                self.gap_ticks, self._gap_side = float(view.last_ticks[self.regulated]) * self.regulated_scale, 0.0
            self._closed = bool(closed)
        if self.gap_ticks <= 0.0:
            return
        distance = math.log(self.gap_ticks / last)
        if self._gap_side == 0.0 and abs(distance) > self._p.gap_least:
            self._gap_side = math.copysign(1.0, distance)
        elif self._gap_side * distance < 0.0:
            self.gap_ticks = self._gap_side = 0.0  # filled

    @property
    def rsi_signal(self) -> float:
        """+1 buy, -1 sell, 0 nothing."""
        bars, p = self.bars, self._p
        if bars.closes < bars.count:
            return 0.0
        if bars.rsi < p.rsi_low or bars.rsi > p.rsi_high:
            return 1.0 if bars.rsi < p.rsi_low else -1.0
        return float(bars.before <= 50.0 < bars.rsi) - float(bars.before >= 50.0 > bars.rsi)

    @property
    def gap_signal(self) -> float:
        """Towards the open gap, 0 without one."""
        return self._gap_side


class Groups:
    """Copy-trading groups: who belongs to which, and when the members of a group act.

    A group's signal is the sign of the 300-s return where its size exceeds the group's own level; it goes out at the
    moment it comes or turns. Each member acts at a tick of its own within `lag_s` of that moment.
    """

    def __init__(self, parameters: Copying, seed: int, members: I64, tick_s: float) -> None:
        p = parameters
        self._seed, self._lag = seed, max(1, round(p.lag_s / tick_s))
        groups = np.arange(p.groups)
        self.levels: NDArray[np.float64] = p.level * np.exp(p.level_spread * normals(seed, _GROUP, groups, 0, 0))
        of = (uniforms(seed, _GROUP, members, 1, 0) * p.groups).astype(np.int64)
        order = np.argsort(of, kind="stable")
        self.members: list[I64] = np.split(members[order], np.searchsorted(of[order], groups[1:]))
        self._signal: NDArray[np.float64] = np.zeros(p.groups)
        self._due: dict[int, list[tuple[I64, float]]] = {}

    def see(self, tick: int, return_300: float) -> None:
        """New signals of this tick put their members on the calendar."""
        signal = np.where(np.abs(return_300) > self.levels, np.sign(return_300), 0.0)
        for group in np.flatnonzero((signal != 0.0) & (signal != self._signal)).tolist():
            members = self.members[group]
            lag = (uniforms(self._seed, _LAG, members, tick, 0) * self._lag).astype(np.int64)
            for late in np.unique(lag).tolist():
                self._due.setdefault(tick + late, []).append((members[lag == late], float(signal[group])))
        self._signal = signal

    def due(self, tick: int) -> list[tuple[I64, float]]:
        """Members (m,) int64, numbered within the cohort, who act in this tick, and on which signal, once a group."""
        return self._due.pop(tick, [])
