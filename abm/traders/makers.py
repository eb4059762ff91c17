"""Market makers: a ladder in each market, thinned as the market gets violent, withdrawn by inventory and losses.

Normal ladder. Together the makers show D(u) = depth * u**kappa coins within u per cent of the centre, out to `reach`;
the steps of one maker are geometric, and the makers' steps are shifted against each other so that the sum is smooth.

Centre. c = (1 - w) mid + w last, moved against the own inventory: c (1 - skew q / Q), the first-order term of the
reservation price of Avellaneda and Stoikov (2008); q inventory (perpetual and spot coins together), Q its limit.

Share shown. s = max(sticky, obliged, g i l) with
    g  thinning: falls at once to g* = 1 / min(fmax, 1 + (z / z0)**p), comes back by dg/dt = (g* - g) / tau;
       z is `abm.traders.stress`, z0 lognormal over makers;
    i  inventory: 1 - q / Q on the bid, 1 + q / Q on the ask, within [0, 1];
    l  losses: 0 for `pause_s` after the wealth has fallen by more than a personal share of the risk capital Q * price.

Clock. A maker comes back to its quotes with a given probability a second. Inside a tick those who are awake look
again in every round, with the fresh last price; then they only take away.

Grades: ladder and thinning are calibrated to reported depth, in calm and by z; withdrawal by loss is assumed.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from abm.events import BY_QUOTE
from abm.parameters import Parameters, quantity
from abm.rng import normals, stream, uniforms
from abm.state import I64, MAKER, MESSAGE, NOBODY, REPLACE
from abm.traders.base import MACHINE_LATENCY, Batch, Participant, View, World
from abm.traders.makers_kernel import quote
from abm.traders.stress import PriceMemory

SEARCH = "search on the path of 10 Oct 2025 with a one-book prototype"
_AWAKE = stream("maker awake")
_TASTE = stream("maker taste")


class MakersParameters(Parameters):
    """Market makers of one venue."""

    count: int = quantity(
        20, unit="makers", source="number of large quoting firms, not observed", ge=1, le=400, likely=(10, 40)
    )
    depth_coins: float = quantity(
        2090.0,
        unit="BTC",
        source="$244m of bids within 1 % (median of 5 days, 30-s snapshots of the Binance book) at 116,830",
        ge=0.0,
        grade="B",
        text="normal depth within 1 % of the centre on each side of the perpetual, all makers",
    )
    depth_exponent: float = quantity(
        1.13,
        unit="-",
        source="cumulative depth of BTC against distance, order-book snapshots",
        gt=0.2,
        le=3.0,
        grade="B",
    )
    spot_share: float = quantity(
        0.3, unit="-", source="spot over perpetual depth, not observed", ge=0.0, le=5.0, likely=(0.15, 0.6)
    )
    reach: float = quantity(
        0.14, unit="fraction", source=SEARCH, gt=0.0, lt=0.9, text="farthest quote on the perpetual"
    )
    spot_reach: float = quantity(0.08, unit="fraction", source="bounds the coins tied up", gt=0.0, lt=0.9)
    steps: int = quantity(
        36, unit="steps", source="resolution: a step is 1.4 times as far as the one before", ge=2, le=200
    )
    first_ticks: float = quantity(
        1.0, unit="ticks", source="the calm spread of the perpetual is 1 tick", ge=0.5, le=1000.0, grade="M"
    )
    thinning_level: float = quantity(15.8, unit="-", source=SEARCH, gt=0.0, grade="calibrated", likely=(12.0, 18.0))
    thinning_spread: float = quantity(0.5, unit="log", source=SEARCH, ge=0.0, le=2.0, text="sd of ln z0 over makers")
    thinning_power: float = quantity(
        2.35, unit="-", source=SEARCH, ge=0.0, le=8.0, grade="calibrated", likely=(1.75, 2.4)
    )
    thinning_max: float = quantity(25.0, unit="-", source=SEARCH, ge=1.0, grade="calibrated", likely=(25.0, 100.0))
    return_s: float = quantity(
        400.0, unit="s", source=SEARCH, gt=0.0, likely=(120.0, 600.0), text="tau, hardly identified"
    )
    requote_rate: float = quantity(
        0.8, unit="1/s", source=SEARCH, gt=0.0, le=1.0, likely=(0.5, 1.0), text="probability of a look within a second"
    )
    last_weight: float = quantity(0.4, unit="-", source=SEARCH, ge=0.0, le=1.0, text="w, hardly matters")
    inventory_coins: float = quantity(
        5000.0, unit="BTC", source=SEARCH, gt=0.0, likely=(2500.0, 15000.0), text="sum of the makers' inventory limits"
    )
    skew: float = quantity(
        0.0001, unit="fraction", source="sign and shape after Avellaneda and Stoikov, size assumed", ge=0.0, le=0.05
    )
    sticky: float = quantity(
        0.03, unit="-", source=SEARCH, ge=0.0, le=1.0, likely=(0.0, 0.05), text="share never withdrawn"
    )
    obliged: float = quantity(
        0.0,
        unit="-",
        source="policy: no maker on 10 Oct 2025 had to stay",
        ge=0.0,
        le=1.0,
        text="least share of the normal size",
    )
    loss_share: float = quantity(
        0.15,
        unit="-",
        source="makers with reported losses stopped quoting; how much it took was not reported",
        gt=0.0,
        likely=(0.05, 0.5),
        text="median loss, as a share of risk capital, at which a maker stops",
    )
    loss_spread: float = quantity(0.5, unit="log", source="not observed", ge=0.0, le=2.0)
    pause_s: float = quantity(1800.0, unit="s", source="not observed", ge=0.0, likely=(300.0, 7200.0))
    leverage: int = quantity(4, unit="x", source="keeps the whole ladder inside the tier limits", ge=1, le=20)
    price_tolerance: float = quantity(
        0.25, unit="of the distance", source="saves messages; deep quotes move less often", ge=0.0, lt=1.0
    )
    size_tolerance: float = quantity(0.25, unit="-", source="saves messages", ge=0.0, lt=1.0)


def ladder(
    parameters: MakersParameters, depth_coins: float, reach: float, tick: float, lot_coins: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Normal ladder of every maker in one market.

    Args:
        parameters: the makers.
        depth_coins: coins within 1 % of the centre on one side, all makers together.
        reach: farthest step, fraction of the centre.
        tick: one tick as a fraction of the price.
        lot_coins: coins in a lot.
        seed: draws which maker gets which shift.

    Returns:
        distance (makers, steps), fraction of the centre, and cumulative lots (makers, steps), both float64.
    """
    makers, steps, kappa = parameters.count, parameters.steps, parameters.depth_exponent
    first = min(parameters.first_ticks * tick, 0.5 * reach)
    log_ratio = math.log(reach / first) / steps
    order = np.argsort(uniforms(seed, _TASTE, np.arange(makers), 0, 9), kind="stable")
    shift = np.empty(makers)
    shift[order] = (np.arange(makers) + 0.5) / makers
    edge = reach * np.exp(-log_ratio * (np.arange(steps - 1, -1, -1)[None, :] + shift[:, None]))
    cumulative = depth_coins / makers * (100.0 * edge) ** kappa / lot_coins
    # An order stands for the interval up to its edge. Putting it at the edge would show too little on average, so it
    # stands where the mean over the shifts of the step function equals D(u).
    bias = kappa * log_ratio
    distance = edge * math.exp(-log_ratio * math.log(bias / -math.expm1(-bias)) / bias)
    return distance, cumulative


class Makers(Participant):
    """All market makers of a venue: machines with one account row each and a ladder on perpetual and spot market."""

    machine = True
    latency = MACHINE_LATENCY
    row_kind = MAKER
    parameters: MakersParameters

    def rows_needed(self) -> int:
        return self.parameters.count

    def bind(self, world: World) -> None:
        """Ladders, personal limits, and deposits that cover the whole ladder in both markets."""
        p, self.world = self.parameters, world
        accounts, markets, rows = world.accounts, world.markets, self.rows
        accounts.kind[rows] = self.row_kind
        accounts.leverage[rows] = p.leverage
        self.markets = (world.perp, world.spot) if p.spot_share > 0.0 else (world.perp,)
        self._distance, self._lots = [], []
        for market in self.markets:
            perp = market == world.perp
            tables = ladder(
                p,
                p.depth_coins * (1.0 if perp else p.spot_share),
                p.reach if perp else p.spot_reach,
                1.0 / float(world.start_ticks[market]),
                float(markets.lot_coins[market]),
                world.seed,
            )
            self._distance.append(tables[0])
            self._lots.append(tables[1])
        number = self._number = np.arange(p.count)
        self._z0 = p.thinning_level * np.exp(p.thinning_spread * normals(world.seed, _TASTE, number, 0, 0))
        self._loss_limit = p.loss_share * np.exp(p.loss_spread * normals(world.seed, _TASTE, number, 0, 1))
        self._fast = np.ones(p.count)
        self._paused_until_s = np.full(p.count, -1.0)
        self._handles = np.full((len(self.markets), p.count, 2, p.steps), NOBODY, np.int64)
        self._ladder_size = p.count * 2 * p.steps
        self._out = np.zeros(self._ladder_size, MESSAGE)
        self._emitted = np.zeros(self._handles.size, np.int64)
        self._ops = np.zeros(self._handles.size, np.int8)
        self._sent = 0
        self._memory: PriceMemory | None = None
        self._tick = -1
        self._awake = np.ones(p.count, np.bool_)
        self.offered = 1.0
        """Mean share of the normal size that the makers mean to show, both sides, at their last look."""
        self._fund(world)

    def _fund(self, world: World) -> None:
        """Cash for all quotes twice over (a moved order releases its reserve only after the batch), and coins."""
        p, markets = self.parameters, world.markets
        perp_value = float(world.start_ticks[world.perp]) * float(markets.tick_value[world.perp])
        self._limit_lots = p.inventory_coins / p.count / float(markets.lot_coins[world.perp])
        self._risk_capital = self._limit_lots * perp_value
        cash = self._risk_capital + 2.2 * self._lots[0][:, -1] * perp_value * (1.0 / p.leverage + p.reach)
        coins = np.zeros(p.count, np.int64)
        if len(self.markets) > 1:
            spot_value = float(world.start_ticks[world.spot]) * float(markets.tick_value[world.spot])
            cash = cash + 2.2 * self._lots[1][:, -1] * spot_value
            coins = (2.2 * self._lots[1][:, -1] * float(markets.lot_units[world.spot])).astype(np.int64)
            world.deposit(self.rows, world.btc, coins)
        world.deposit(self.rows, world.usdt, cash.astype(np.int64))
        self._opening_coins = coins
        self._opening_wealth = self._wealth(float(world.start_ticks[world.perp]), float(world.start_ticks[world.spot]))

    def _coins_lots(self) -> NDArray[np.float64]:
        """Spot coins above the opening stock, in lots of the perpetual; shape (makers,)."""
        extra = self.world.accounts.cash[self.world.btc, self.rows] - self._opening_coins
        lots: NDArray[np.float64] = extra / float(self.world.markets.lot_units[self.world.perp])
        return lots

    def _wealth(self, perp_ticks: float, spot_ticks: float) -> NDArray[np.float64]:
        """Settled cash, marked position and coins beyond the opening stock, settlement units; shape (makers,)."""
        world = self.world
        accounts, markets, slot = world.accounts, world.markets, int(world.markets.slot[world.perp])
        value = accounts.position[slot, self.rows] * (perp_ticks * float(markets.tick_value[world.perp]))
        extra = accounts.cash[world.btc, self.rows] - self._opening_coins
        coin_value = spot_ticks * float(markets.tick_value[world.spot]) / float(markets.lot_units[world.spot])
        cash = accounts.cash[world.usdt, self.rows] + accounts.margin[slot, self.rows]
        wealth: NDArray[np.float64] = cash - accounts.entry_cost[slot, self.rows] + value + extra * coin_value
        return wealth

    def _scales(self, view: View, fresh: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Share of the normal size (2, makers), inventory over its limit (makers,); `fresh`: first look of a tick."""
        p, world = self.parameters, self.world
        if self._memory is None:
            self._memory = PriceMemory(view.last_ticks, view.tick_s)
        self._memory.remember(view)
        z = max(self._memory.stress(view, market) for market in self.markets)
        wanted = 1.0 / np.minimum(p.thinning_max, 1.0 + (z / self._z0) ** p.thinning_power)
        if fresh:
            back = -math.expm1(-view.tick_s / p.return_s)
            self._fast += np.maximum(wanted - self._fast, 0.0) * back
        np.minimum(self._fast, wanted, out=self._fast)
        slot = int(world.markets.slot[world.perp])
        inventory = (world.accounts.position[slot, self.rows] + self._coins_lots()) / self._limit_lots
        perp_ticks = float(view.mark_ticks[world.perp] or view.last_ticks[world.perp])
        lost = (
            self._opening_wealth - self._wealth(perp_ticks, float(view.last_ticks[world.spot]))
        ) / self._risk_capital
        hit = (lost > self._loss_limit) & (view.seconds >= self._paused_until_s)
        if hit.any():
            # The next pause needs a further loss of the same size, not the old one again.
            self._paused_until_s[hit] = view.seconds + p.pause_s
            self._opening_wealth[hit] -= lost[hit] * self._risk_capital
        willing = self._fast * (view.seconds >= self._paused_until_s)
        side = np.array([[1.0], [-1.0]])
        scale = willing * np.clip(1.0 - side * inventory, 0.0, 1.0)
        return np.maximum(scale, max(p.sticky, p.obliged)), inventory

    def decide(self, view: View, batch: Batch) -> None:
        """Look at the market and change what should stand elsewhere."""
        p = self.parameters
        self._sent = 0
        first, fresh = self._tick < 0, view.tick != self._tick
        if fresh:
            self._tick = view.tick
            chance = 1.0 - (1.0 - p.requote_rate) ** view.tick_s
            self._awake = uniforms(view.seed, _AWAKE, self._number, view.tick, 0) < (1.0 if first else chance)
        scale, inventory = self._scales(view, fresh)
        self.offered = float(scale.mean())
        shift = 1.0 - p.skew * np.clip(inventory, -1.0, 1.0)
        for index, market in enumerate(self.markets):
            self._quote(view, batch, index, market, scale, shift, fresh, first)

    def _quote(
        self,
        view: View,
        batch: Batch,
        index: int,
        market: int,
        scale: NDArray[np.float64],
        shift: NDArray[np.float64],
        refill: bool,
        first: bool,
    ) -> None:
        """One market's messages, remembered for `after_trade`."""
        p = self.parameters
        bid, ask, last = int(view.bid_ticks[market]), int(view.ask_ticks[market]), int(view.last_ticks[market])
        # Before there are quotes, what rests in the book is far from the price and its middle means nothing.
        mid = 0.5 * (bid + ask) if bid > 0 and ask > 0 and not first else float(last)
        centre = ((1.0 - p.last_weight) * mid + p.last_weight * last) * shift
        emitted = self._emitted[self._sent :]
        count = quote(
            self._out,
            self.world.books.orders,
            self._handles[index],
            emitted,
            self.rows,
            self._awake,
            refill,
            scale,
            self._distance[index],
            self._lots[index],
            centre,
            bid,
            ask,
            p.price_tolerance,
            p.size_tolerance,
            market,
            self.latency,
            BY_QUOTE,
        )
        emitted[:count] += index * self._ladder_size
        self._ops[self._sent : self._sent + count] = self._out["op"][:count]
        batch.room(count)[:] = self._out[:count]
        batch.took(count)
        self._sent += count

    def after_trade(self, handles: I64, offset: int) -> None:
        """Remember what now rests. A replace that was refused leaves its old order where it was."""
        sent, self._sent = self._sent, 0
        where, kept = self._emitted[:sent], (self._ops[:sent] == REPLACE) & (handles[:sent] < 0)
        flat = self._handles.reshape(-1)
        flat[where] = np.where(kept, flat[where], handles[:sent])
