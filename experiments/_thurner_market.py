"""One asset, noise traders and leveraged value funds, cleared once a step: the market of Thurner, Farmer, Geanakoplos.

"Leverage causes fat tails and clustered volatility", Quantitative Finance 12 (2012) 695, arXiv:0908.1555; the policies
of lenders after Poledna, Thurner, Farmer and Geanakoplos, J. Banking & Finance 42 (2014) 199, arXiv:1301.6114. Plain
numpy, many replicas side by side; this is the exact solver, not the project's book.

N coins of value 1. Noise traders spend xi_t, with log xi_t = rho log xi_(t-1) + sigma eps_t + (1 - rho) log N. A fund h
with D coins, cash M (negative: a loan) and wealth W = D p + M wants coins worth min(beta_h m, lambda) W at a mispricing
m = 1 - p > 0, else none. The price solves

    g(p) = xi + sum_h min(beta_h (1 - p)+, lambda) (D_h p + M_h)+ - N p = 0.

Between the kinks of its terms (p = 1, m = lambda / beta_h, and where a fund's wealth ends) g is quadratic, so all
roots are found exactly; of several the one nearest to the last price is taken. Then P <- (1 - a) P + a r with r the
return on wealth, and max(-1, b (P - benchmark)) W comes from investors (or goes to them). A fund with W below a tenth
of its first wealth is closed, sells all, and comes back after `reentry` steps with the first wealth.

The order of these within a step is not known to us; it is as written. Units: price 1 = value, money in those units.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abm.parameters import Parameters, quantity
from abm.rng import normals, stream

F64 = NDArray[np.float64]
FREE, ADAPTIVE, HAIRCUT, HEDGE = range(4)
"""What lenders do: one limit lambda; min(lambda, kappa / variance); lambda min(1, ordinary / present volatility), so
that haircuts are as many present standard deviations as an unregulated lender's are ordinary ones; or one limit, and
puts on all collateral, which the borrowers pay and count against what they see of a discount."""
FIRST_WEALTH, DEFAULT_SHARE, CLOSED_STEPS = 2.0, 0.1, 100
EDGE = 1e-10
_NOISE = stream("thurner: noise traders")
"""A root may lie so far beyond a kink: rounding."""


class MarketOptions(Parameters):
    """The paper's numbers, as relayed; two public programs differ in a and b."""

    coins: float = quantity(1000.0, unit="coins", source="Thurner et al. (2012)", gt=0.0, text="N, supply")
    rho: float = quantity(0.99, unit="-", source="Thurner et al. (2012)", ge=0.0, lt=1.0, text="of noise traders")
    sigma: float = quantity(0.035, unit="-", source="Thurner et al. (2012)", gt=0.0, le=0.3)
    funds: int = quantity(10, unit="funds", source="Thurner et al. (2012)", ge=0, le=50)
    least_beta: float = quantity(5.0, unit="-", source="Thurner et al. (2012)", gt=0.0)
    most_beta: float = quantity(50.0, unit="-", source="Thurner et al. (2012)", gt=0.0)
    flow_memory: float = quantity(0.1, unit="-", source="Thurner et al. (2012)", ge=0.0, le=1.0, text="a")
    flow_response: float = quantity(0.15, unit="-", source="Thurner et al. (2012)", ge=0.0, text="b")
    benchmark: float = quantity(0.005, unit="per step", source="Thurner et al. (2012)", text="keeps investors")
    burn: int = quantity(1000, unit="steps", source="chosen", ge=0, le=100_000, text="left out at the start")
    seed: int = quantity(1, unit="-", source="chosen", ge=0, text="replicas are numbered under it")

    @property
    def betas(self) -> F64:
        """Aggressiveness of the funds, (funds,)."""
        return np.linspace(self.least_beta, self.most_beta, self.funds)

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the returns of a market without funds: sigma sqrt(2 / (1 + rho))."""
        return self.sigma * math.sqrt(2.0 / (1.0 + self.rho))


@dataclass(frozen=True, slots=True)
class Lending:
    """Limit and policy a replica, (R,) each, and the numbers of the policies."""

    limit: F64
    policy: NDArray[np.int64]
    kappa: float = 0.01
    window: int = 10
    """Steps over which volatility is measured (tau)."""
    ordinary: float = 0.03
    """Volatility a step at which a haircut is 1 / lambda."""
    life: float = 10.0
    """Of the puts, steps."""


@dataclass(slots=True)
class Funds:
    """(R, H) each: coins, cash, investors' memory of returns, steps until a closed fund comes back (0: open)."""

    coins: F64
    cash: F64
    performance: F64
    closed: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Moment:
    """What a step did: (R,) price, limit in force, loss of the lenders; (R, H) truth values and wealth."""

    price: F64
    called: NDArray[np.bool_]
    """At the limit and with fewer coins than before."""
    failed: NDArray[np.bool_]
    wealth: F64
    """Of the funds, (R, H)."""
    limit: F64
    """In force, (R,)."""
    lost: F64
    """By the lenders without a hedge, in this step (R,)."""


def noise(options: MarketOptions, seeds: int, steps: int) -> Iterator[F64]:
    """Log xi_t of `seeds` replicas step by step, (seeds,) each; a replica depends on its own number only."""
    every = np.arange(seeds)
    mean = math.log(options.coins)
    level = np.full(seeds, mean)
    for step in range(steps):
        shock = normals(options.seed, _NOISE, every, step, 0)
        level = options.rho * level + options.sigma * shock + (1.0 - options.rho) * mean
        yield level


def clear(
    xi: F64, last: F64, coins: F64, cash: F64, limit: F64, betas: F64, supply: float, value: F64 | None = None
) -> F64:
    """Market-clearing price nearest to the last, (R,): xi, last, limit, value (R,), coins, cash (R, H), betas (H,).

    Three kinks a fund, from above: at the `value` v (1, or less by what a hedge costs) it begins to buy, A(p) =
    beta (v - p)(D p + M); at the limit of leverage B(p) = lambda (D p + M) takes over; where D p + M ends, nothing is
    left.
    """
    top = np.ones(len(xi)) if value is None else value
    replicas, funds = coins.shape
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.where(coins > 0.0, -cash / coins, np.where(cash > 0.0, 0.0, 1.0))
    ends = np.clip(ends, 0.0, top[:, None])
    turns = np.maximum(np.maximum(top[:, None] - limit[:, None] / betas, 0.0), ends)
    highest = betas * top[:, None]
    first = np.stack([-betas * coins, highest * coins - betas * cash, highest * cash])
    second = np.stack([np.zeros_like(coins), limit[:, None] * coins, limit[:, None] * cash])
    kinks = np.concatenate([turns, ends], axis=1)
    order = np.argsort(-kinks, axis=1, kind="stable")
    kinks = np.take_along_axis(kinks, order, axis=1)
    changes = np.take_along_axis(np.concatenate([second - first, -second], axis=2), order[None], axis=2)
    pieces = np.zeros((3, replicas, 2 * funds + 2))
    pieces[1, :, 0], pieces[2, :, 0] = -supply, xi
    pieces[:, :, 1] = first.sum(axis=2)
    pieces[:, :, 2:] = changes
    a, b, c = np.cumsum(pieces, axis=2)
    ceiling = np.concatenate([np.full((replicas, 1), np.inf), top[:, None], kinks], axis=1)
    floor = np.concatenate([ceiling[:, 1:], np.zeros((replicas, 1))], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        part = -0.5 * (b + np.copysign(np.sqrt(b * b - 4.0 * a * c), b))
        roots = np.concatenate([c / part, part / a], axis=1)
    inside = (roots >= np.tile(floor, 2) - EDGE) & (roots <= np.tile(ceiling, 2) + EDGE)
    away = np.where(inside, np.abs(roots - last[:, None]), np.inf)
    best = np.argmin(away, axis=1)
    rows = np.arange(replicas)
    assert np.isfinite(away[rows, best]).all(), "the market did not clear"
    price: F64 = roots[rows, best]
    return price


def put_price(price: F64, strike: F64, deviation: F64) -> F64:
    """Black and Scholes without interest: a put, `deviation` = volatility times the root of its life; all one shape."""
    from scipy.special import ndtr

    with np.errstate(divide="ignore", invalid="ignore"):
        upper = np.log(price / strike) / deviation + 0.5 * deviation
        value = strike * ndtr(deviation - upper) - price * ndtr(-upper)
    return np.where((strike > 0.0) & (deviation > 0.0), value, np.maximum(strike - price, 0.0))


class Market:
    """Replicas of the market; `step(log_xi)` moves all of them."""

    def __init__(self, options: MarketOptions, lending: Lending) -> None:
        self.options, self.lending, self.betas = options, lending, options.betas
        shape = (lending.limit.size, options.funds)
        self.price = np.ones(shape[0])
        self.funds = Funds(
            np.zeros(shape), np.full(shape, FIRST_WEALTH), np.full(shape, options.benchmark), np.zeros(shape, np.int64)
        )
        self._squares = np.full((lending.window, shape[0]), options.noise_sd**2)
        self._steps = 0

    def limits(self) -> tuple[F64, F64]:
        """Limit of leverage in force and variance of the last returns, (R,) each."""
        lending = self.lending
        variance = self._squares.mean(axis=0)
        floor = np.maximum(variance, 1e-12)
        scaled = lending.limit * np.minimum(1.0, lending.ordinary / np.sqrt(floor))
        limit = lending.limit
        for policy, other in ((ADAPTIVE, lending.kappa / floor), (HAIRCUT, scaled)):
            limit = np.where(lending.policy == policy, np.minimum(limit, np.maximum(other, 1.0)), limit)
        return limit, variance

    def step(self, log_xi: F64) -> Moment:
        """Clear at this cash of noise traders, (R,), then flows, closures and returns."""
        o, funds, last = self.options, self.funds, self.price
        limit, variance = self.limits()
        before, held = funds.coins * last[:, None] + funds.cash, funds.coins
        value = 1.0 - self._premium(variance)
        price = clear(np.exp(log_xi), last, held, funds.cash, limit, self.betas, o.coins, value)
        wealth = held * price[:, None] + funds.cash
        wanted = self.betas * (value - price)[:, None]
        at_limit = wanted >= limit[:, None]
        funds.coins = np.clip(wanted, 0.0, limit[:, None]) * np.maximum(wealth, 0.0) / price[:, None]
        funds.cash = wealth - funds.coins * price[:, None]
        called = at_limit & (funds.coins < held)
        opened = funds.closed == 0
        earned = np.where(before > 0.0, (wealth - before) / np.where(before > 0.0, before, 1.0), 0.0)
        funds.performance += o.flow_memory * (earned - funds.performance)
        flow = np.maximum(-1.0, o.flow_response * (funds.performance - o.benchmark)) * np.maximum(wealth, 0.0)
        funds.cash += flow
        self._hedge(price, variance)
        failed = opened & (funds.coins * price[:, None] + funds.cash < DEFAULT_SHARE * FIRST_WEALTH)
        lost = np.where(failed, np.maximum(-wealth, 0.0), 0.0).sum(axis=1)
        self._close(failed)
        self._squares[self._steps % self.lending.window] = np.log(price / last) ** 2
        self._steps += 1
        self.price = price
        return Moment(price, called, failed, wealth, limit, lost)

    def _premium(self, variance: F64) -> F64:
        """Price of a put on a coin of value 1 bought at the limit of leverage, (R,); 0 without a hedge."""
        lending, rows = self.lending, self.lending.policy == HEDGE
        if not rows.any():
            return np.zeros(rows.size)
        strike = 1.0 - 1.0 / np.maximum(lending.limit, 1.0)
        return np.where(rows, put_price(np.ones(rows.size), strike, np.sqrt(variance * lending.life)), 0.0)

    def _hedge(self, price: F64, variance: F64) -> None:
        """Borrowers pay one step's share of puts that cover the loan: one a coin, struck at the loan a coin."""
        rows = np.flatnonzero(self.lending.policy == HEDGE)
        if rows.size == 0:
            return
        funds, life = self.funds, self.lending.life
        coins, cash = funds.coins[rows], funds.cash[rows]
        strike = np.where(coins > 0.0, np.maximum(-cash, 0.0) / np.where(coins > 0.0, coins, 1.0), 0.0)
        deviation = np.broadcast_to(np.sqrt(variance[rows] * life)[:, None], coins.shape)
        value = put_price(np.broadcast_to(price[rows, None], coins.shape), strike, deviation)
        funds.cash[rows] -= coins * value / life

    def _close(self, failed: NDArray[np.bool_]) -> None:
        funds = self.funds
        waiting = funds.closed > 0
        if waiting.any():
            funds.closed[waiting] -= 1
            back = waiting & (funds.closed == 0)
            funds.cash[back], funds.performance[back] = FIRST_WEALTH, self.options.benchmark
        if failed.any():
            funds.coins[failed] = funds.cash[failed] = 0.0
            funds.closed[failed] = CLOSED_STEPS


@dataclass(slots=True)
class Record:
    """Series after the burn-in, (steps, R); prices begin one step before, (steps + 1, R); defaults (R,)."""

    price: F64
    calls: NDArray[np.int8]
    """Number of funds with a margin call."""
    defaults: F64
    wealth: F64
    """Of all funds together."""
    lost: F64
    """By lenders to closed funds, if nothing hedged them, (R,)."""

    @classmethod
    def empty(cls, steps: int, replicas: int) -> Record:
        """Nothing yet."""
        shape, none = (steps, replicas), np.zeros(replicas)
        return cls(np.ones((steps + 1, replicas)), np.zeros(shape, np.int8), none, np.zeros(shape), none.copy())


def play(
    options: MarketOptions,
    lending: Lending,
    seeds: int,
    steps: int,
    say: Callable[[str], None],
    name: str = "market",
) -> Record:
    """Run replicas; their number is a multiple of `seeds`, and replica r has the noise of seed r modulo `seeds`."""
    replicas = lending.limit.size
    market, copies = Market(options, lending), replicas // seeds
    record = Record.empty(steps, replicas)
    for number, level in enumerate(noise(options, seeds, options.burn + steps)):
        moment, at = market.step(np.tile(level, copies)), number - options.burn
        if at >= -1:
            record.price[at + 1] = moment.price
        if at >= 0:
            record.calls[at] = moment.called.sum(axis=1)
            record.defaults += moment.failed.sum(axis=1)
            record.wealth[at] = moment.wealth.sum(axis=1)
            record.lost += moment.lost
            if (at + 1) % max(steps // 5, 1) == 0:
                say(f"{name}: step {at + 1:,} of {steps:,}")
    return record
