"""Retail behaviour beyond the plain rule of `abm.traders.retail`: off by default, each part switched on by itself.

All causes of one review compete for one uniform number, so each happens with its own chance; what none of them takes
goes on to the plain rule. With side s = +-1 of a position, p the last price, F fair value, u uniform, z noise:

    beliefs   expected return over the personal horizon h (Chiarella and Iori, Quantitative Finance 2, 2002; Chiarella,
              Iori and Perello, JEDC 33, 2009, secondary sources):
                  e = (g1 ln(F (1 + belief) / p) min(1, h / T) + g2 r_h + n sigma sqrt(h) z) / (g1 + g2 + n)
              g1, g2 exponential with means `value` and `trend`; h = `horizon_s` (1 + g1) / (1 + g2), moved to the
              nearest horizon of `View.returns`; z uniform with variance 1. If |e| > level: flat traders enter towards
              e, holders against e leave, with the chance `chance`. Reason: the largest of the three parts.
    signals   RSI and gap readers enter with the signal, leave against it (`retail_signals`); reason BY_SIGNAL
    herding   tilt = tanh(flow of 60 s / (herd_flow x all positions at the start)): flat traders enter with it with the
              chance herd_chance |tilt|, those against it leave with the same; reason BY_COPYING
    copying   groups with one signal each; members act on it within a small lag of its moment, whenever they would
              have reviewed otherwise (they then review everything); reason BY_COPYING
    level     long, p below a personal level (lognormal around `usd`): leave with `chance`, and no entry while p is
              below; reason BY_PANIC
    carry     f basis points per 8 h that the perpetual's longs pay: leave with the chance leave x max(0, s f - free),
              enter on the receiving side with enter x max(0, |f| - free); reason BY_FUNDING_COST
    stops     a share of each leverage class keeps a stop at `margin` / leverage from the price of the review that set
              it (half of the margin lost: 2.5 % away at 20x); a trailing one is set anew when that would tighten it by
              `trails` of its distance
    caution   leverage wanted:  L = max(1, L0 e^-c v),  c <- max(0, c e^(-dt / memory) + loss ln(W_before / W_now)),
              W equity, so L = L0 (W / W_top)^loss right after a loss, forgotten with `memory_s`;
              v = min(1, (calm_bp / sigma)^volatility): with exponent 1 leverage falls as 1 / sigma as under a
              value-at-risk limit (Aymanns and Farmer, "The dynamics of the leverage cycle", JEDC 50, 2015).
              The next entry uses the whole part of L. Holders above L (1 + trim_band) sell down to L with the chance
              `trim_chance`; reason BY_REBALANCING. `past_loss` x: they come with c = loss x, and with the same
              margin, so the opening position is L / L0 of what it was.
    remedies  of wealth W a part r (uniform in `reserve`) is kept aside, a part o is in spot coins, and the position is
              size (1 - r - o) of what it was, at the same leverage. The reserve is no margin for entries; if `top_up`
              is set it goes into an isolated position once equity is below `top_up` of the initial margin, at a review.
              (On a cross account all cash is margin; there the reserve only bounds the size.)
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from abm.rng import normals, stream, uniforms
from abm.state import I64
from abm.traders.base import HORIZONS_S, View, World
from abm.traders.retail_kernel import (
    CAUTION,
    COPIES,
    EQUITY,
    HORIZON,
    KEPT,
    NEWS,
    PANIC_TICKS,
    READS_GAP,
    READS_RSI,
    SENSITIVITY,
    STOP_MARGIN,
    TOPS_UP,
    TRAILS,
    USUAL_LEVERAGE,
    WEIGHT_NOISE,
    WEIGHT_TREND,
    WEIGHT_VALUE,
)
from abm.traders.retail_opening import OpeningBook
from abm.traders.retail_parameters import RetailParameters
from abm.traders.retail_signals import Chart, Groups

COLUMNS = 18
RETURN_300 = HORIZONS_S.index(300)
_HABIT = stream("retail habit")
(_BELIEVES, _VALUE, _TREND, _RSI, _GAP, _COPIES, _STOPS, _ADAPTS, _REMEDIES, _RESERVE) = range(10)
_LEVEL = 20


class Wide(NamedTuple):
    """What the compiled review needs of this module; `OFF` where nothing is switched on."""

    on: bool
    habits: NDArray[np.float64]  # (n, 18), columns of `retail_kernel`
    numbers: NDArray[np.float64]  # (16,), arguments of `wider_rule` from `reversion_s`, then memory
    horizons_s: NDArray[np.float64]  # (H,)
    returns: NDArray[np.float64]  # (H,)
    signs: NDArray[np.float64]  # (5,) RSI, gap, tilt of the flow, funding, what volatility leaves of leverage


HORIZON_ARRAY = np.array(HORIZONS_S, np.float64)
OFF = Wide(False, np.zeros((1, COLUMNS)), np.zeros(16), HORIZON_ARRAY, np.zeros(len(HORIZONS_S)), np.zeros(5))


def switched_on(p: RetailParameters) -> bool:
    """Whether any behaviour of this module is."""
    shares = (p.beliefs.share, p.signals.rsi_share, p.signals.gap_share, p.copying.share, p.copying.herd_chance)
    others = (p.level_panic.usd, p.carry.leave, p.carry.enter, p.caution.share, p.remedies.share, *p.stops.share)
    return any((*shares, *others))


def _those(seed: int, n: int, draw: int, share: float) -> NDArray[np.bool_]:
    """A keyed share of the traders, bool (n,); a larger share contains a smaller one."""
    chosen: NDArray[np.bool_] = uniforms(seed, _HABIT, np.arange(n), 0, draw) < share
    return chosen


def adapt_opening(p: RetailParameters, book: OpeningBook, seed: int) -> tuple[I64, NDArray[np.float64]]:
    """Smaller leverage after `past_loss`, and the remedies, in place.

    Returns the usual leverage and the coins held outside in lots, both (n,).
    """
    n, trader, usual = book.kind.size, book.kind != NEWS, book.leverage.copy()
    side, lots = np.sign(book.position_lots), np.abs(book.position_lots)
    if p.caution.share and p.caution.past_loss:
        adapts = _those(seed, n, _ADAPTS, p.caution.share) & trader
        wanted = np.maximum(1.0, book.leverage * math.exp(-p.caution.loss * p.caution.past_loss))
        lower = np.where(adapts, np.floor(wanted + 1e-9).astype(np.int64), book.leverage)
        lots = np.where(lots > 0, np.maximum(1, lots * lower // book.leverage), 0)
        book.leverage[:] = lower
    outside = np.zeros(n)
    if p.remedies.share:
        careful = _those(seed, n, _REMEDIES, p.remedies.share) & trader
        wealth = lots / book.leverage + book.cash_lots
        outside = np.where(careful, p.remedies.outside * wealth, 0.0)
        part = p.remedies.size * (1.0 - reserve_part(p, n, seed) - p.remedies.outside)
        lots = np.where(careful & (lots > 0), np.maximum(1, np.floor(lots * part)).astype(np.int64), lots)
        book.cash_lots[:] = np.where(careful, wealth - outside - lots / book.leverage, book.cash_lots)
    book.position_lots[:] = side * lots
    return usual, outside


def reserve_part(p: RetailParameters, n: int, seed: int) -> NDArray[np.float64]:
    """Part of wealth that each would keep in reserve, (n,)."""
    low, high = p.remedies.reserve
    return low + (high - low) * uniforms(seed, _HABIT, np.arange(n), 0, _RESERVE)


class Habits:
    """What wider behaviour keeps: `table` float64 (n, 18), the chart, the groups, and the market's signs.

    Columns of `table`: weights g1, g2, n; index of the horizon; panic level in ticks; 1 if a reader of RSI, of gaps;
    signal just copied; usual leverage L0; sensitivity to losses (0: does not adapt); caution c; equity in units and
    time at the last review; reserve in units; `top_up`; `margin` of an algorithmic stop (0: none); `trails`; the
    level of its stop in ticks.
    """

    def __init__(self, p: RetailParameters, world: World, rows: I64, book: OpeningBook, seed: int) -> None:
        self._p, self._seed, self._market = p, seed, world.perp
        n, dollars = rows.size, float(world.markets.tick_dollars[world.perp])
        self.table = np.zeros((n, COLUMNS))
        trader = book.kind != NEWS
        self._beliefs(n, trader)
        levels = np.exp(p.level_panic.spread * normals(seed, _HABIT, np.arange(n), 0, _LEVEL))
        self.table[:, PANIC_TICKS] = p.level_panic.usd / dollars * levels
        self.table[:, READS_RSI] = _those(seed, n, _RSI, p.signals.rsi_share)
        self.table[:, READS_GAP] = _those(seed, n, _GAP, p.signals.gap_share)
        classes = p.leverage_class(book.leverage)
        stops = np.array(p.stops.share)[np.minimum(classes, len(p.stops.share) - 1)]
        draws = uniforms(seed, _HABIT, np.arange(n), 0, _STOPS)
        self.table[:, STOP_MARGIN] = np.where(draws < stops, p.stops.margin, 0.0)
        self.table[:, TRAILS] = p.stops.trails
        adapts = _those(seed, n, _ADAPTS, p.caution.share) & trader
        self.table[:, SENSITIVITY] = np.where(adapts, p.caution.loss, 0.0)
        self.table[:, CAUTION] = self.table[:, SENSITIVITY] * p.caution.past_loss
        self.members = np.flatnonzero(_those(seed, n, _COPIES, p.copying.share) & trader)
        self.open_interest = float(np.abs(book.position_lots).sum())
        self.chart = Chart(p.signals, world.perp, dollars)
        self._groups: Groups | None = None
        self._tick = -1
        self.called: I64 = np.zeros(0, np.int64)
        self.wide = Wide(True, self.table, self._numbers(), HORIZON_ARRAY, np.zeros(len(HORIZONS_S)), np.zeros(5))
        careful = _those(seed, n, _REMEDIES, p.remedies.share) & trader
        self._careful = np.where(careful, reserve_part(p, n, seed) / (1.0 - p.remedies.outside), 0.0)

    def _beliefs(self, n: int, trader: NDArray[np.bool_]) -> None:
        """Weights and horizons of those who form expectations."""
        b, number = self._p.beliefs, np.arange(n)
        believes = _those(self._seed, n, _BELIEVES, b.share) & trader
        value = -b.value * np.log(uniforms(self._seed, _HABIT, number, 0, _VALUE))
        trend = -b.trend * np.log(uniforms(self._seed, _HABIT, number, 0, _TREND))
        horizon = b.horizon_s * (1.0 + value) / (1.0 + trend)
        nearest = np.abs(np.log(horizon[:, None] / HORIZON_ARRAY)).argmin(axis=1)
        for column, weight in ((WEIGHT_VALUE, value), (WEIGHT_TREND, trend), (WEIGHT_NOISE, b.noise)):
            self.table[:, column] = np.where(believes, weight, 0.0)
        self.table[:, HORIZON] = nearest

    def _numbers(self) -> NDArray[np.float64]:
        p = self._p
        sigma = p.beliefs.sigma_bp * 1e-4 / math.sqrt(60.0)
        return np.array(
            [
                *(p.beliefs.reversion_s, sigma, p.beliefs.level, p.beliefs.chance, p.signals.chance),
                *(p.copying.herd_chance, p.copying.chance, p.level_panic.chance),
                *(p.carry.free_bp, p.carry.leave, p.carry.enter),
                *(p.caution.trim_band, p.caution.trim_chance, p.slip, p.panic_slip, p.caution.memory_s),
            ]
        )

    def open_accounts(self, usual: I64, leverage: I64, wealth_units: I64) -> None:
        """Once the accounts hold their money: usual and present leverage, equity (units) of each trader, int64 (n,)."""
        self.table[:, USUAL_LEVERAGE] = np.where(self.table[:, CAUTION] > 0.0, usual, leverage)
        self.table[:, EQUITY] = wealth_units
        self.table[:, KEPT] = np.floor(self._careful * wealth_units)
        self.table[:, TOPS_UP] = np.where(self._careful > 0.0, self._p.remedies.top_up, 0.0)

    def watch(self, model: Any, dollars: float) -> None:
        """Find a venue with hours, whose close leaves the gap."""
        for desk in model.exchanges.desks:
            if desk.hours is not None and desk.market != self._market:
                self.chart.regulated = desk.market
                self.chart.regulated_scale = float(desk.floor.markets.tick_dollars[desk.market]) / dollars
                return

    def see(self, view: View) -> None:
        """Once per decision: the signs of the market; once per tick: chart and groups."""
        p, signs = self._p, self.wide.signs
        self.wide.returns[:] = view.returns[self._market]
        self.called = np.zeros(0, np.int64)
        if view.tick != self._tick:
            self._tick = view.tick
            self.chart.see(view)
            if self.members.size:
                self._call(view)
        signs[0], signs[1] = self.chart.rsi_signal, self.chart.gap_signal
        flow = float(view.flow_lots[self._market])
        signs[2] = math.tanh(flow / (p.copying.herd_flow * self.open_interest)) if self.open_interest else 0.0
        signs[3] = float(view.funding_bp[self._market])
        sigma_bp = 1e4 * math.sqrt(self.chart.variance)
        signs[4] = min(1.0, (p.caution.calm_bp / sigma_bp) ** p.caution.volatility) if sigma_bp > 0.0 else 1.0

    def _call(self, view: View) -> None:
        """Members of groups whose moment it is."""
        if self._groups is None:
            self._groups = Groups(self._p.copying, self._seed, self.members, view.tick_s)
        self._groups.see(view.tick, float(self.wide.returns[RETURN_300]))
        due = self._groups.due(view.tick)
        for members, signal in due:
            self.table[members, COPIES] = signal
        if due:
            self.called = np.concatenate([members for members, _ in due])
