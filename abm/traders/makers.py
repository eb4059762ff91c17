"""Market makers: a ladder in each market, thinned as the market gets violent, withdrawn by inventory and losses.

Normal ladder. Together the makers show D(u) = depth * u**kappa coins within u per cent of the centre, out to `reach`;
the steps of one maker are geometric, and the makers' steps are shifted against each other so that the sum is smooth.

Centre. c = (1 - w) mid + w last, times 1 + f dV / V when the fundamental value has just changed by dV: quotes follow
public news without a trade (f is `follow_news`, off unless asked for). It is moved against the own inventory by
-c skew q / Q, the first-order term of the reservation price of Avellaneda and Stoikov (2008); q inventory (perpetual
and spot coins together), Q its limit. Their mid price comes from outside; here the makers' own quotes make it. So what
they lean on average is taken out of the mid before they lean anew: inventory holds the price off by so much, and does
not push it on with every look.

Optimal rules (`quoting`). The innermost quote is then one clip at the distance that `abm.traders.quotes` gives for the
inventory, about that rule's centre, and the rest of the ladder stands behind it. Inventory then acts through the price;
the share shown falls only at the limit, where the rule has no quote, and there to what is never withdrawn.

Share shown. s = max(sticky, obliged, g i l) with
    g  thinning: falls at once to g* = 1 / min(fmax, 1 + (z / z0)**p), comes back by dg/dt = (g* - g) / tau;
       z is `abm.traders.stress`, z0 lognormal over makers;
    i  inventory: 1 - q / Q on the bid, 1 + q / Q on the ask, within [0, 1];
    l  alarms: 0 for `pause_s` after a loss, after a fall of the venue's insurance fund, after deleveraging took a part
       of the position (`abm.traders.makers_alarms`; the last two are off unless asked for).

Clock. A maker comes back to its quotes with a given probability a second. Inside a tick those who are awake look
again in every round, with the fresh last price; then they only take away.

Grades: ladder and thinning are calibrated to reported depth, in calm and by z; withdrawal by loss is assumed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.events import BY_QUOTE
from abm.rng import normals, stream, uniforms
from abm.state import I64, MAKER, NOBODY, REPLACE
from abm.traders.base import MACHINE_LATENCY, Batch, Participant, View, World, together
from abm.traders.handle import Account, Luck, Orders
from abm.traders.makers_alarms import Alarms
from abm.traders.makers_kernel import quote, shown, weighed
from abm.traders.makers_parameters import MakersParameters
from abm.traders.quotes import Asymptotic, AvellanedaStoikov, Exact, Quotes, QuotingModel, Rule, Symmetric
from abm.traders.stress import PriceMemory

__all__ = ["Makers", "MakersParameters", "ladder"]

F64 = NDArray[np.float64]
_AWAKE = stream("maker awake")
_TASTE = stream("maker taste")


def ladder(
    parameters: MakersParameters, depth_coins: float, reach: float, tick: float, lot_coins: float, seed: int
) -> tuple[F64, F64]:
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


def clip_ladder(
    parameters: MakersParameters, depth_coins: float, reach: float, tick: float, lot_coins: float, seed: int
) -> tuple[F64, F64]:
    """The ladder behind an optimal quote; arguments and results as of `ladder`.

    The first step is one clip at distance 0 (from where the rule puts it), the others a ladder of one step less.
    """
    makers, behind = parameters.count, parameters.steps - 1
    clip = np.full((makers, 1), parameters.clip_coins / lot_coins)
    distance, cumulative = np.zeros((makers, 1)), clip
    if behind:
        shorter = parameters.model_copy(update={"steps": behind})
        tables = ladder(shorter, depth_coins, reach, tick, lot_coins, seed)
        distance = np.concatenate([distance, tables[0]], axis=1)
        cumulative = np.concatenate([clip, clip + tables[1]], axis=1)
    return distance, cumulative


def optimal_rule(parameters: MakersParameters, price_usd: float, tick_s: float) -> Rule:
    """The rule of `parameters.quoting`: inventory in clips, time in seconds, prices as fractions of `price_usd`."""
    p = parameters
    # what a clip gains when the price rises by all of itself
    clip_usd = p.clip_coins * price_usd
    model = QuotingModel(p.risk_aversion * clip_usd, p.volatility, p.arrival_decay, p.arrival_rate)
    if p.quoting == "avellaneda-stoikov":
        return AvellanedaStoikov(model)
    if p.quoting == "symmetric":
        return Symmetric(model, p.horizon_s)
    if p.quoting == "glft":
        return Exact(model, p.clips, tick_s, p.horizon_s)
    return Asymptotic(model)


class Makers(Participant):
    """All market makers of a venue: machines with one account row each and a ladder on perpetual and spot market.

    `perps` (makers,) gives each maker a perpetual of its own instead of the world's (many markets side by side).
    """

    machine = True
    latency = MACHINE_LATENCY
    row_kind = MAKER
    parameters: MakersParameters

    def __init__(self, model: Any, parameters: MakersParameters, perps: I64 | None = None) -> None:
        super().__init__(model, parameters)
        self._perps = perps

    def rows_needed(self) -> int:
        return self.parameters.count

    def bind(self, world: World) -> None:
        """Ladders, personal limits, and deposits that cover the whole ladder in both markets."""
        p, self.world = self.parameters, world
        accounts, markets, rows = world.accounts, world.markets, self.rows
        accounts.kind[rows] = self.row_kind
        accounts.leverage[rows] = p.leverage
        perps = np.full(p.count, world.perp) if self._perps is None else self._perps
        self.markets: tuple[I64, ...] = (perps, np.full(p.count, world.spot)) if p.spot_share > 0.0 else (perps,)
        """For the perpetual and, where it is quoted, spot: the market of each maker, int64 (makers,)."""
        # one number where all makers share a book: plain indices are quicker
        self._at: list[Any] = [int(book[0]) if (book == book[0]).all() else book for book in self.markets]
        self._slots: Any = markets.slot[self._at[0]]
        if isinstance(self._at[0], int):
            self._slots = int(self._slots)
        self._watched = np.unique(np.concatenate(self.markets)).tolist()
        self._place = [np.searchsorted(self._watched, book) for book in self.markets]
        self._tick_value = markets.tick_value[perps].astype(np.float64)
        self._inverse = markets.inverse[perps].astype(np.float64)
        self._slot_of: I64 = markets.slot[perps].astype(np.int64)
        # of accounts and markets that stand together, as plain indices and slices: views instead of copies
        self._where = together(rows) if isinstance(self._slots, int) else rows
        self._start = [world.start_ticks[book].astype(np.float64) for book in self.markets]
        self._none = np.zeros(p.count)
        self._rule: Rule | None = None
        self._distance, self._lots = [], []
        for index, book in enumerate(self.markets):
            share, market = p.spot_share if index else 1.0, int(book[0])
            build, sized = ladder, p
            if p.quoting != "ladder":
                build, sized = clip_ladder, p.model_copy(update={"clip_coins": p.clip_coins * share})
            tables = build(
                sized,
                p.depth_coins * share,
                p.spot_reach if index else p.reach,
                1.0 / float(world.start_ticks[market]),
                float(markets.lot_coins[market]),
                world.seed,
            )
            self._distance.append(tables[0])
            self._lots.append(tables[1])
        number = self._number = np.arange(p.count)
        self._z0 = p.thinning_level * np.exp(p.thinning_spread * normals(world.seed, _TASTE, number, 0, 0))
        self.alarms = Alarms(p, world.seed, _TASTE)
        self._fast, self._skew = np.ones(p.count), np.zeros(p.count)
        self._lean_ticks: list[Any] = [0.0 for _ in self.markets]
        """What is in the middle of each book because its makers leaned at their last look; (makers,) or one for all."""
        self._resting = np.full((len(self.markets), p.count, 2, p.steps), NOBODY, np.int64)
        self._ladder_size = p.count * 2 * p.steps
        self._emitted = np.zeros(self._resting.size, np.int64)
        self._ops = np.zeros(self._resting.size, np.int8)
        self._sent = 0
        self._memory: PriceMemory | None = None
        self._tick, self._fresh = -1, True
        self._news, self._fair_ticks = 1.0, 0.0
        self._aims: list[tuple[Any, F64]] = []
        self._scale = np.ones((2, p.count))
        self._awake = np.ones(p.count, np.bool_)
        self._fund(world)

    def _fund(self, world: World) -> None:
        """Cash for all quotes twice over (a moved order releases its reserve only after the batch), and coins."""
        p, markets = self.parameters, world.markets
        perps = self.markets[0]
        self._price_usd = float(world.start_ticks[perps[0]]) * float(markets.tick_dollars[perps[0]])
        perp_value = self._start[0] * markets.tick_value[perps]
        self._limit_lots = p.inventory_coins / p.count / float(markets.lot_coins[perps[0]])
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
        self.opening_wealth = self._wealth(world.start_ticks[perps], float(world.start_ticks[world.spot]))
        """Settlement units, (makers,)."""
        self._reference = self.opening_wealth.copy()

    def _linear(self) -> bool:
        """Whether no maker holds an inverse contract."""
        return not np.count_nonzero(self._inverse)

    def _wealth(self, perp_ticks: Any, spot_ticks: float) -> F64:
        """Settled cash, marked position and coins beyond the opening stock, settlement units; shape (makers,).

        `perp_ticks`: the price at which perpetuals count, one for all or (makers,).
        """
        world, rows, slots = self.world, self._where, self._slots
        accounts, markets = world.accounts, world.markets
        held = accounts.position[slots, rows]
        value = held * (perp_ticks * self._tick_value) if self._linear() else -held * self._inverse / perp_ticks
        cash = accounts.cash[world.usdt, rows] + accounts.margin[slots, rows]
        wealth: F64 = cash - accounts.entry_cost[slots, rows] + value
        if len(self.markets) > 1:
            spot = world.spot
            extra = accounts.cash[world.btc, rows] - self._opening_coins
            coin_value = spot_ticks * float(markets.tick_value[spot]) / float(markets.lot_units[spot])
            wealth = wealth + extra * coin_value
        return wealth

    @property
    def offered(self) -> float:
        """Mean share of the normal size that the makers mean to show, both sides, at their last look."""
        return float(self._scale.mean())

    def gained(self, view: View) -> F64:
        """Wealth at the mark less that of the opening, settlement units, (makers,): what quoting has earned or cost."""
        return self._wealth(view.mark_ticks[self._at[0]], float(view.last_ticks[self.world.spot])) - self.opening_wealth

    def _stress(self, view: View) -> Any:
        """The larger z of each maker's books, (makers,); one number if all have the same."""
        if self._memory is None:
            self._memory = PriceMemory(view.last_ticks, view.tick_s)
        self._memory.remember(view)
        z = [self._memory.stress(view, market) for market in self._watched]
        if len(z) == len(self.markets):
            return max(z)
        return np.max([np.take(z, place) for place in self._place], axis=0)

    def _scales(self, view: View, fresh: bool) -> tuple[F64, F64]:
        """Share of the normal size (2, makers), inventory over its limit (makers,); `fresh`: first look of a tick."""
        p, world = self.parameters, self.world
        wanted = self._fast
        if p.thinning_max > 1.0:
            wanted = 1.0 / np.minimum(p.thinning_max, 1.0 + (self._stress(view) / self._z0) ** p.thinning_power)
        alarms, inventory = self.alarms, np.empty(p.count)
        self._weigh(view, inventory)
        if alarms.watches_fund:
            alarms.fund(view.fund_distress, view.seconds)
        if alarms.watches_hedge:
            alarms.hedges(world.accounts.deleveraged[self._slots, self.rows], view.seconds)
        back = -math.expm1(-view.tick_s / p.return_s) if fresh else 0.0
        scale, by_room, least = np.empty((2, p.count)), p.quoting == "ladder", max(p.sticky, p.obliged)
        shown(
            scale, self._skew, self._fast, wanted, back, inventory, alarms.until_s, view.seconds, by_room, least, p.skew
        )
        return scale, inventory

    def _weigh(self, view: View, inventory: F64) -> None:
        """Inventory over its limit, into (makers,), and the alarm of losses, in one pass over the accounts."""
        world, accounts, markets, alarms = self.world, self.world.accounts, self.world.markets, self.alarms
        spot, coin_value = NOBODY, 0.0
        if len(self.markets) > 1:
            spot = world.spot
            coin_value = float(view.last_ticks[spot]) * float(markets.tick_value[spot]) / float(markets.lot_units[spot])
        weighed(
            inventory, self._reference, alarms.until_s, self.rows, self.markets[0], self._slot_of, spot,
            view.mark_ticks, view.last_ticks, self._tick_value, self._inverse, self._linear(), markets.lot_units,
            coin_value, self._opening_coins, accounts.cash[world.usdt], accounts.cash[world.btc], accounts.margin,
            accounts.position, accounts.entry_cost, self._limit_lots, self._risk_capital, alarms.loss_limit,
            view.seconds, alarms.pause_s,
        )  # fmt: skip

    def prepare(self, view: View) -> None:
        """Look at the market: what each maker means to show now, and about which price."""
        p = self.parameters
        self._sent = 0
        first, self._fresh = self._tick < 0, view.tick != self._tick
        self._news = 1.0
        if self._fresh:
            self._tick = view.tick
            self._news = self._told(float(view.fair_ticks[self.world.perp]))
            chance = 1.0 - (1.0 - p.requote_rate) ** view.tick_s
            self._awake = uniforms(view.seed, _AWAKE, self._number, view.tick, 0) < (1.0 if first else chance)
        self._scale, inventory = self._scales(view, self._fresh)
        books = range(len(self.markets))
        middle = [self._middle(view, index, first) for index in books]
        if p.quoting == "ladder":
            self._aims = [
                (self._leaning(index, middle[index], middle[index] * self._skew), self._none) for index in books
            ]
            return
        quotes, start = self._innermost(view, inventory), self._start
        self._aims = [
            (self._leaning(index, middle[index], quotes.shift * start[index]), quotes.half * start[index])
            for index in books
        ]

    def _leaning(self, index: int, middle: Any, lean_ticks: F64) -> F64:
        """Centre of each maker, ticks (makers,): the middle without what all leaned before, and with its own lean."""
        before = self._lean_ticks[index]
        shared = isinstance(self._at[index], int)
        self._lean_ticks[index] = float(lean_ticks.mean()) if shared else lean_ticks
        own: F64 = middle + lean_ticks if self.parameters.centre_on == "index" else middle - before + lean_ticks
        return own

    def _told(self, fair_ticks: float) -> float:
        """What the change of the fundamental value since the last tick does to the centre, a factor."""
        before, self._fair_ticks = self._fair_ticks or fair_ticks, fair_ticks
        return 1.0 + self.parameters.follow_news * (fair_ticks / before - 1.0)

    def woken(self, view: View) -> I64:
        """Numbers of the makers who come back to their quotes."""
        return np.flatnonzero(self._awake)

    def decide(self, view: View, batch: Batch) -> None:
        """Change what should stand elsewhere."""
        self.prepare(view)
        for index in range(len(self.markets)):
            self._quote(view, batch, index, self._awake)

    def decide_one(self, view: View, me: Account, rng: Luck) -> Orders:
        """The same for one maker."""
        batch = Batch(8)
        for index in range(len(self.markets)):
            self._quote(view, batch, index, self._number == me.number)
        return batch.messages()

    def _innermost(self, view: View, inventory: F64) -> Quotes:
        """What an optimal rule asks for, as fractions of the opening price.

        `inventory` (makers,) is given as a share of its limit.
        """
        p = self.parameters
        if self._rule is None:
            self._rule = optimal_rule(p, self._price_usd, view.tick_s)
        clips = inventory * (p.inventory_coins / p.count / p.clip_coins)
        return self._rule(clips, p.horizon_s - view.seconds % p.horizon_s)

    def _middle(self, view: View, index: int, first: bool) -> Any:
        """What each maker takes for the middle price of its book, in ticks; (makers,), or one number for all."""
        p, at = self.parameters, self._at[index]
        if p.centre_on == "index":
            return view.index_ticks[at]
        bid, ask, last = view.bid_ticks[at], view.ask_ticks[at], view.last_ticks[at]
        # Before there are quotes, what rests in the book is far from the price and its middle means nothing.
        if isinstance(at, int):
            bid, ask, last = int(bid), int(ask), int(last)
            mid = 0.5 * (bid + ask) if bid > 0 and ask > 0 and not first else last
        else:
            mid = np.where((bid > 0) & (ask > 0) & (not first), 0.5 * (bid + ask), last)
        centre = (1.0 - p.last_weight) * mid + p.last_weight * last
        return centre * self._news if p.follow_news else centre

    def _quote(self, view: View, batch: Batch, index: int, who: NDArray[np.bool_]) -> None:
        """One book's messages of some makers (mask, (makers,)), remembered for `after_trade`."""
        p, markets = self.parameters, self.markets[index]
        centre_ticks, inner_ticks = self._aims[index]
        out = batch.space(self._ladder_size)
        count = quote(
            out, self.world.books.orders, self._resting[index], self._emitted[self._sent :], self.rows, who,
            self._fresh, self._scale, inner_ticks, self._distance[index], self._lots[index], centre_ticks, markets,
            view.bid_ticks, view.ask_ticks, p.price_tolerance, p.size_tolerance, self.latency, BY_QUOTE,
            index * self._ladder_size,
        )  # fmt: skip
        self._ops[self._sent : self._sent + count] = out["op"][:count]
        batch.took(count)
        self._sent += count

    def after_trade(self, handles: I64, offset: int) -> None:
        """Remember what now rests. A replace that was refused leaves its old order where it was."""
        sent, self._sent = self._sent, 0
        where, kept = self._emitted[:sent], (self._ops[:sent] == REPLACE) & (handles[:sent] < 0)
        flat = self._resting.reshape(-1)
        flat[where] = np.where(kept, flat[where], handles[:sent])
