"""What comes from outside: the fundamental value, moved by scheduled news, small random steps and a stock index.

News is exogenous and declared in the scenario; the cascade is not. Nothing here looks at the market.

**The stock index** has log level M, 0 at the opening. In US market hours it moves by drift and volatility (per session
of 6.5 hours) and by jumps: Poisson, at most one a tick, size normal. Scheduled steps move it at any hour. The coin's
log fundamental value follows the move x of the day, from one close of the stock market to the next:

    g(x) = beta_up x    for x > 0,      beta_down x    for x < 0

A move is judged by the day, not by the tick: a kink in every small step of a random walk would add a drift that grows
with the square root of the number of ticks. With x normal (mean mu, deviation sigma, m = mu / sigma) and an own random
walk of deviation s a day,

    E g = beta_up E x+ + beta_down (mu - E x+),    E x+ = sigma phi(m) + mu Phi(m)
    Cov(g, x) = sigma^2 (beta_up Phi(m) + beta_down Phi(-m))                          (Stein's lemma)

**Where the betas come from.** Reported by Wintermute ("BTC and the Nasdaq: the correlation that only hurts", 12 Nov
2025): correlation about 0.8, falls shared more than rises, BTC -18 % against +3.7 % of the Nasdaq 100 since 17 Sep (40
sessions). With sigma = 1.1 % and a daily deviation of 2.19 % of the coin (2025), four numbers fix beta_up = 0.91,
beta_down = 2.37 and s = 1.22 % (`fitted_response`). This blames the whole lag on the asymmetry, also what October's
cascade did by itself, so beta_down is an upper bound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from abm.market_hours import SESSION_S, StockHours
from abm.rng import normal, stream, uniform

if TYPE_CHECKING:
    from abm.scenario import Scenario

STREAM_FAIR = stream("fair value")
STREAM_MACRO = stream("stock index")
STREAM_JUMP = stream("stock index jump")


@dataclass(frozen=True, slots=True)
class NewsStep:
    """A change of a value, spread evenly (in logs) over `over_s` seconds from `at_s` after the start."""

    at_s: float
    over_s: float
    change: float  # fraction, -0.013 = -1.3 %


def arrived_log(steps: Sequence[NewsStep], now_s: float) -> float:
    """Sum of the log changes that have come by `now_s`."""
    total = 0.0
    for item in steps:
        past_s = now_s - item.at_s
        share = min(max(past_s / item.over_s, 0.0), 1.0) if item.over_s > 0 else float(past_s > 0)
        total += share * math.log1p(item.change)
    return total


# --- the stock index --------------------------------------------------------------------------------------------------
def response(move: float, up: float, down: float) -> float:
    """The coin's log change to a log move of the index over a day."""
    return up * move if move > 0.0 else down * move


def response_moments(mu: float, sigma: float, up: float, down: float, own: float) -> tuple[float, float, float]:
    """Mean and deviation of the coin's daily log return, and its correlation with the index's.

    x is normal (mu, sigma), the coin's return g(x) plus an independent part of deviation `own`; sigma > 0.
    """
    m = mu / sigma
    above, density = 0.5 * math.erfc(-m / math.sqrt(2.0)), math.exp(-0.5 * m * m) / math.sqrt(2.0 * math.pi)
    rises = sigma * density + mu * above
    mean = up * rises + down * (mu - rises)
    squares = (mu * mu + sigma * sigma) * above + mu * sigma * density
    second = up * up * squares + down * down * (mu * mu + sigma * sigma - squares)
    deviation = math.sqrt(second - mean * mean + own * own)
    return mean, deviation, sigma * (up * above + down * (1.0 - above)) / deviation


def fitted_response(
    mu: float, sigma: float, mean: float, deviation: float, correlation: float
) -> tuple[float, float, float]:
    """(beta_up, beta_down, own) that give the coin this mean, deviation and correlation; all by the day.

    The two betas solve two linear equations. Raises ValueError when no own part is left for the deviation.
    """
    m = mu / sigma
    above, density = 0.5 * math.erfc(-m / math.sqrt(2.0)), math.exp(-0.5 * m * m) / math.sqrt(2.0 * math.pi)
    rises = sigma * density + mu * above
    falls, slope = mu - rises, correlation * deviation / sigma
    # up * rises + down * falls = mean;  up * above + down * (1 - above) = slope
    determinant = rises * (1.0 - above) - falls * above
    up = (mean * (1.0 - above) - slope * falls) / determinant
    down = (slope * rises - mean * above) / determinant
    shared = response_moments(mu, sigma, up, down, 0.0)[1]
    if shared > deviation:
        raise ValueError(f"the index alone gives a deviation of {shared:.4f}, more than {deviation:.4f}")
    return up, down, math.sqrt(deviation * deviation - shared * shared)


@dataclass(frozen=True, slots=True)
class MacroTerms:
    """How the index moves in market hours, by the session, and the coin's betas. Changes are logs."""

    drift: float
    volatility: float
    jumps: float
    jump_mean: float
    jump_spread: float
    beta_up: float
    beta_down: float


class Macro:
    """The stock index on the run's clock; `level` is M, `walk_log` and `news_log` what it has done to the coin's value.

    `news_log` collects steps and jumps, `walk_log` the rest. Several values may follow one index.
    """

    def __init__(
        self, terms: MacroTerms, steps: Sequence[NewsStep], hours: StockHours, seed: int, tick_s: float
    ) -> None:
        self.level = self.walk_log = self.news_log = 0.0
        self._terms, self._steps, self._hours, self._seed, self._tick_s = terms, tuple(steps), hours, seed, tick_s
        self._tick = 0
        self._close = 0.0
        self._stepped = 0.0

    def advance(self, tick: int) -> None:
        """Move to the end of tick `tick`; a second call in a tick does nothing."""
        if tick == self._tick:
            return
        self._tick = tick
        since_s, until_s = (tick - 1) * self._tick_s, tick * self._tick_s
        part = self._hours.open_s(since_s, until_s) / SESSION_S
        terms, before = self._terms, self._coin()
        if part > 0.0:
            self.level += terms.drift * part
            if terms.volatility > 0.0:
                self.level += terms.volatility * math.sqrt(part) * normal(self._seed, STREAM_MACRO, 0, tick, 0)
        between = self._coin()
        chance = -math.expm1(-terms.jumps * part)
        if chance > 0.0 and uniform(self._seed, STREAM_JUMP, 0, tick, 0) < chance:
            self.level += terms.jump_mean + terms.jump_spread * normal(self._seed, STREAM_JUMP, 0, tick, 1)
        stepped = arrived_log(self._steps, until_s)
        self.level += stepped - self._stepped
        self._stepped = stepped
        self.walk_log += between - before
        self.news_log += self._coin() - between
        if self._hours.closes(since_s, until_s):
            self._close = self.level

    def _coin(self) -> float:
        """The coin's log change since the last close."""
        return response(self.level - self._close, self._terms.beta_up, self._terms.beta_down)


# --- the coin's value -------------------------------------------------------------------------------------------------
class FairValue:
    """Log fair value = log start + news so far + a random walk of `volatility` per square root of a second + macro.

    `usd` is the value in dollars at the end of the last tick, `news_change` the fraction that news and steps of the
    stock index added in it, `macro` the log level of the index.
    """

    def __init__(
        self,
        start_usd: float,
        news: Sequence[NewsStep],
        volatility: float,
        seed: int,
        tick_s: float,
        index: Macro | None = None,
    ) -> None:
        self.usd = start_usd
        self.news_change = 0.0
        self.macro = 0.0
        self._start_usd, self._news, self._seed, self._tick_s = start_usd, tuple(news), seed, tick_s
        self._step_sd = volatility * math.sqrt(tick_s)
        self._index = index
        self._walk = 0.0
        self._news_log = 0.0

    def advance(self, tick: int) -> None:
        """Move to the end of tick `tick` (1, 2, ...). `news_change` is the fraction added by news in this tick."""
        total, other = arrived_log(self._news, tick * self._tick_s), 0.0
        if self._index is not None:
            self._index.advance(tick)
            self.macro = self._index.level
            total += self._index.news_log
            other = self._index.walk_log
        self.news_change = math.expm1(total - self._news_log)
        self._news_log = total
        if self._step_sd > 0:
            self._walk += self._step_sd * normal(self._seed, STREAM_FAIR, 0, tick, 0)
        self.usd = self._start_usd * math.exp(total + (self._walk + other))

    def shock(self, change: float) -> None:
        """An unscheduled change of the fundamental value by a fraction, now."""
        self._start_usd *= 1.0 + change

    def schedule(self, item: NewsStep) -> None:
        """Add a piece of news that begins after the last tick: from then on as if it had been there at the start."""
        self._news = (*self._news, item)


def stock_index(setup: Scenario) -> Macro | None:
    """The index of a scenario; None where it never moves."""
    p = setup.world
    if not p.macro_moves:
        return None
    steps = [NewsStep(setup.news_seconds(n), n.over_s, n.change_percent / 100.0) for n in p.macro_steps]
    percent = (p.macro_drift_percent, p.macro_volatility_percent, p.macro_jump_percent, p.macro_jump_spread_percent)
    drift, volatility, mean, spread = (value / 100.0 for value in percent)
    terms = MacroTerms(drift, volatility, p.macro_jumps, mean, spread, p.macro_beta_up, p.macro_beta_down)
    return Macro(terms, steps, StockHours(setup.start), setup.seed, setup.tick_s)


def fair_value(setup: Scenario) -> FairValue:
    """The coin's value in a scenario, with its news and its stock index."""
    news = [NewsStep(setup.news_seconds(n), n.over_s, n.change_percent / 100.0) for n in setup.news]
    volatility = setup.world.fair_volatility_bp * 1e-4 / 60.0**0.5
    index = stock_index(setup)
    return FairValue(setup.world.start_price_usd, news, volatility, setup.seed, setup.tick_s, index)
