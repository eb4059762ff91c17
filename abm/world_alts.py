"""What coins beside BTC are worth to those who trade them, and what a pegged asset is worth at one venue.

With F and P fundamental value and traded price of BTC (index), F0 and P0 at the opening, m the log level of the stock
index, w the weight of the price, n own news and W a random walk of its own (`volatility` per square root of a second):

    ln V / V0 = beta ((1 - w) ln F / F0 + w ln P / P0) + gamma m + n + W

With w = 0 nothing here looks at a market; w > 0 is a belief that BTC's price tells something: contagion by opinion,
beside that by shared margin. A pegged asset is worth its price but for declared times: down (or up) in `over` seconds,
evenly in logs, there until `lasts` have passed since the beginning, then back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from abm.rng import normal, stream
from abm.world import FairValue, NewsStep

if TYPE_CHECKING:
    from abm.scenario import Scenario
    from abm.scenario_alts import Altcoin, Collateral

STREAM_ALT = stream("alt value")


@dataclass(frozen=True, slots=True)
class DepegTime:
    """Seconds after the start; `to` is the value at the bottom as a share of the price."""

    at_s: float
    over_s: float
    lasts_s: float
    to: float


class AltFairValue:
    """Belief about one altcoin; `usd` as of the end of the last tick."""

    def __init__(
        self, start_usd: float, beta: float, price_weight: float, macro_beta: float, volatility: float,
        news: Sequence[NewsStep], seed: int, tick_s: float,
    ) -> None:  # fmt: skip
        self.usd = start_usd
        self.news_change = 0.0
        self._start_usd, self._beta, self._weight, self._macro = start_usd, beta, price_weight, macro_beta
        self._step_sd, self._news, self._seed, self._tick_s = volatility * math.sqrt(tick_s), tuple(news), seed, tick_s
        self._walk = self._news_log = 0.0

    def advance(self, tick: int, fair_log: float, price_log: float, macro: float) -> None:
        """Move to the end of tick `tick`; logs of BTC's fair value and price over those at the opening."""
        now_s, total = tick * self._tick_s, 0.0
        for item in self._news:
            past_s = now_s - item.at_s
            share = min(max(past_s / item.over_s, 0.0), 1.0) if item.over_s > 0 else float(past_s > 0)
            total += share * math.log1p(item.change)
        self.news_change, self._news_log = math.expm1(total - self._news_log), total
        if self._step_sd > 0:
            self._walk += self._step_sd * normal(self._seed, STREAM_ALT, 0, tick, 0)
        followed = self._beta * ((1.0 - self._weight) * fair_log + self._weight * price_log)
        self.usd = self._start_usd * math.exp(followed + self._macro * macro + total + self._walk)


class PeggedValue:
    """Value of a pegged asset at one venue."""

    def __init__(self, start_usd: float, times: Sequence[DepegTime], tick_s: float) -> None:
        self.usd, self._start_usd, self._times, self._tick_s = start_usd, start_usd, tuple(times), tick_s

    def advance(self, tick: int) -> None:
        """Move to the end of tick `tick`."""
        now_s, total = tick * self._tick_s, 0.0
        for item in self._times:
            down = min(max((now_s - item.at_s) / item.over_s, 0.0), 1.0)
            back = min(max((now_s - item.at_s - item.lasts_s) / item.over_s, 0.0), 1.0)
            total += math.log(item.to) * (down - back)
        self.usd = self._start_usd * math.exp(total)


class ValuesBeside:
    """Dollars of each market's coin, `usd` float64 (M,): of BTC, altcoins and pegged assets.

    Args:
        start_usd: opening price of BTC.
        markets: number of markets.
        alts: beliefs and the markets they are about.
        pegs: values and their spot markets.
    """

    def __init__(
        self, start_usd: float, markets: int, alts: Sequence[tuple[AltFairValue, Sequence[int]]],
        pegs: Sequence[tuple[PeggedValue, int]],
    ) -> None:  # fmt: skip
        self._start_usd, self._alts, self._pegs = start_usd, list(alts), list(pegs)
        self.usd: NDArray[np.float64] = np.full(markets, start_usd)
        self._fill(start_usd)

    def _fill(self, btc_usd: float) -> None:
        self.usd = np.full_like(self.usd, btc_usd)
        for value, places in self._alts:
            self.usd[list(places)] = value.usd
        for peg, market in self._pegs:
            self.usd[market] = peg.usd

    def advance(self, tick: int, btc: FairValue, index_usd: float) -> None:
        """Move to the end of tick `tick`, after BTC's fair value; `index_usd` is what BTC trades at."""
        fair_log, price_log = math.log(btc.usd / self._start_usd), math.log(index_usd / self._start_usd)
        for value, _ in self._alts:
            value.advance(tick, fair_log, price_log, btc.macro)
        for peg, _ in self._pegs:
            peg.advance(tick)
        self._fill(btc.usd)


def alt_value(scenario: Scenario, coin: Altcoin, seed: int) -> AltFairValue:
    """The belief about an altcoin at the opening."""
    news = [NewsStep(scenario.news_seconds(n), n.over_s, n.change_percent / 100.0) for n in coin.news]
    volatility = coin.volatility_bp * 1e-4 / 60.0**0.5
    terms = (coin.beta, coin.price_weight, coin.macro_beta, volatility)
    return AltFairValue(coin.start_price_usd, *terms, news, seed, scenario.tick_s)


def pegged_value(scenario: Scenario, item: Collateral) -> PeggedValue:
    """The value of a collateral asset at the opening."""
    times = [DepegTime(scenario.news_seconds(d), d.over_s, d.lasts_s, d.to) for d in item.depegs]
    return PeggedValue(item.start_price_usd, times, scenario.tick_s)
