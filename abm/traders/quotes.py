"""Optimal quotes: Avellaneda and Stoikov (2008), and Guéant, Lehalle and Fernandez-Tapia (2013), called GLFT here.

One model for both. The middle price S is a Brownian motion with volatility sigma. Market orders trade with a quote at
distance delta from it at rate A exp(-k delta), one unit at a time. The maker ends at T with profit W and maximises
E[-exp(-gamma W)]. With q the inventory in units and tau = T - t:

* Avellaneda and Stoikov, equations (29), (30): reservation price S - q gamma sigma^2 tau, and
  spread gamma sigma^2 tau + (2 / gamma) ln(1 + gamma / k) about it. An expansion in q, not the optimum.
* GLFT, the optimum with |q| <= Q: v' = alpha q^2 v_q - eta (v_{q-1} + v_{q+1}) in t, v(T) = 1,
  alpha = k gamma sigma^2 / 2, eta = A (1 + gamma / k)^-(1 + k / gamma), and
  delta_bid = ln(v_q / v_{q+1}) / k + ln(1 + gamma / k) / gamma; delta_ask with v_{q-1}. The certainty equivalent of
  starting without inventory is ln(v_0) / k.
* GLFT's closed form for tau to infinity, from the continuous-q limit of the slowest mode.
* The benchmark of Avellaneda and Stoikov: the same spread on average over time, always about S.

Every rule gives a `Quotes`: how far the centre lies from S, and how far each quote lies from the centre.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
STATIONARY = 1e-11
"""Quotes that change by less than this (times 1 / k) from one step to the next are those of an infinite horizon."""


@dataclass(frozen=True, slots=True)
class QuotingModel:
    """The four numbers of the model, in any consistent units of price and time; one unit is traded at a time."""

    risk_aversion: float  # gamma, 1 / price
    volatility: float  # sigma, price / sqrt(time)
    decay: float  # k, 1 / price
    rate: float  # A, 1 / time

    @property
    def base(self) -> float:
        """Half-spread without inventory risk, ln(1 + gamma / k) / gamma."""
        return math.log1p(self.risk_aversion / self.decay) / self.risk_aversion

    @property
    def alpha(self) -> float:
        """Cost of inventory in GLFT's linear system, 1 / time."""
        return 0.5 * self.decay * self.risk_aversion * self.volatility**2

    @property
    def eta(self) -> float:
        """Value of trading in GLFT's linear system, 1 / time."""
        ratio = self.risk_aversion / self.decay
        return self.rate * math.exp(-(1.0 + 1.0 / ratio) * math.log1p(ratio))


class Quotes(NamedTuple):
    """Bid = S + shift - half, ask = S + shift + half; prices, each of the shape of the inventory."""

    shift: F64
    half: F64

    @property
    def bid(self) -> F64:
        """Distance of the bid below S, in the price's unit; negative above it."""
        return self.half - self.shift

    @property
    def ask(self) -> F64:
        """Distance of the ask above S, in the price's unit."""
        return self.half + self.shift


class Rule(Protocol):
    """A quoting rule."""

    def __call__(self, inventory: F64, remaining: float) -> Quotes:
        """Quotes for each inventory (units, any shape) with `remaining` time to go."""


@dataclass(frozen=True, slots=True)
class AvellanedaStoikov:
    """Reservation price and spread of Avellaneda and Stoikov (2008), equations (29) and (30)."""

    model: QuotingModel

    def __call__(self, inventory: F64, remaining: float) -> Quotes:
        risk = self.model.risk_aversion * self.model.volatility**2 * remaining
        return Quotes(-risk * inventory, np.full_like(inventory, 0.5 * risk + self.model.base))


@dataclass(frozen=True, slots=True)
class Symmetric:
    """The benchmark of Avellaneda and Stoikov: their spread, averaged over the horizon, about the middle price."""

    model: QuotingModel
    horizon: float

    def __call__(self, inventory: F64, remaining: float) -> Quotes:
        average = 0.5 * self.model.risk_aversion * self.model.volatility**2 * self.horizon
        return Quotes(np.zeros_like(inventory), np.full_like(inventory, 0.5 * average + self.model.base))


@dataclass(frozen=True, slots=True)
class Asymptotic:
    """GLFT's closed form for a far horizon: distances base + (1 ± 2 q) / 2 * sqrt(alpha / eta) / k."""

    model: QuotingModel

    def __call__(self, inventory: F64, remaining: float) -> Quotes:
        model = self.model
        skew = math.sqrt(model.alpha / model.eta) / model.decay
        return Quotes(-skew * inventory, np.full_like(inventory, model.base + 0.5 * skew))


class Exact:
    """GLFT's optimum for |q| <= limit, tabulated at the remaining times 0, step, 2 step, ...

    The table ends at the horizon, or where the quotes no longer change. Between whole units of inventory the quotes
    are interpolated. On the side that would pass the limit there is no quote; the closed form stands there.

    `log_value` (times, 2 limit + 1) is ln v_q for q = -limit ... limit.
    """

    def __init__(self, model: QuotingModel, limit: int, step: float, horizon: float) -> None:
        self.model, self.limit, self.step = model, limit, step
        self.units = np.arange(-limit, limit + 1, dtype=np.float64)
        self._far = Asymptotic(model)
        advance, scale = transition(model, limit, step)
        rows: list[F64] = [np.zeros(self.units.size)]
        shift: list[F64] = []
        half: list[F64] = []
        value, log_scale = np.ones(self.units.size), 0.0
        for n in range(math.ceil(horizon / step - 1e-9) + 1):
            quotes = self._quotes(value)
            shift.append(quotes.shift)
            half.append(quotes.half)
            if n and max(np.abs(np.subtract(a[-1], a[-2])).max() for a in (shift, half)) * model.decay < STATIONARY:
                break
            value = advance @ value
            log_scale += scale + math.log(float(value.max()))
            value /= value.max()
            with np.errstate(divide="ignore"):
                rows.append(np.log(value) + log_scale)
        self.log_value = np.array(rows[: len(shift)])
        self._shift, self._half = np.array(shift), np.array(half)

    def _quotes(self, value: F64) -> Quotes:
        """Quotes from v_q: where a neighbour is beyond the limit (or underflows), the closed form."""
        far = self._far(self.units, 0.0)
        bid, ask = far.bid.copy(), far.ask.copy()
        with np.errstate(divide="ignore", invalid="ignore"):
            log_ratio = np.log(value[:-1]) - np.log(value[1:])
        known = np.isfinite(log_ratio)
        distance = log_ratio / self.model.decay
        bid[:-1] = np.where(known, distance + self.model.base, bid[:-1])
        ask[1:] = np.where(known, self.model.base - distance, ask[1:])
        return Quotes(0.5 * (ask - bid), 0.5 * (ask + bid))

    def __call__(self, inventory: F64, remaining: float) -> Quotes:
        row = min(round(remaining / self.step), len(self._shift) - 1)
        shift, half = (np.interp(inventory, self.units, table[row]) for table in (self._shift, self._half))
        return Quotes(shift, half)

    def certainty_equivalent(self, remaining: float) -> float:
        """Sure profit worth as much as quoting for `remaining` time from no inventory: ln(v_0) / k, a price."""
        row, last = round(remaining / self.step), len(self.log_value) - 1
        value = self.log_value[:, self.limit]
        # beyond the table the quotes stand still, and every step adds the same
        beyond = (row - last) * (value[-1] - value[-2]) if row > last else 0.0
        return float(value[min(row, last)] + beyond) / self.model.decay


def transition(model: QuotingModel, limit: int, step: float) -> tuple[F64, float]:
    """Matrix (states, states) that carries GLFT's v over `step` of remaining time, up to the factor exp(second result).

    The generator is shifted by a multiple of the identity until no entry is negative. Taylor series and squarings then
    add positive numbers only: every entry has its full relative precision, however small. (An eigen-decomposition
    would lose the small values at large inventory.)
    """
    units = np.arange(-limit, limit + 1, dtype=np.float64)
    size = units.size
    cost = model.alpha * units**2
    generator = np.diag(cost.max() - cost) + model.eta * (np.eye(size, k=1) + np.eye(size, k=-1))
    norm = float(generator.sum(axis=1).max()) * step
    squarings = max(0, math.ceil(math.log2(max(norm, 1e-300))) + 1)
    small = generator * (step / 2**squarings)
    matrix, term = np.eye(size), np.eye(size)
    for n in range(1, 19):
        term = term @ small / n
        matrix += term
    log_scale = -float(cost.max()) * step
    for later in range(squarings - 1, -1, -1):
        matrix = matrix @ matrix
        largest = float(matrix.max())
        matrix /= largest
        # every later squaring squares this factor as well
        log_scale += math.log(largest) * 2.0**later
    return matrix, log_scale
