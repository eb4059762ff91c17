"""Stakers: capital that chooses between an outside yield and leveraged long positions.

A holder with wealth w keeps a part s outside at a yield y (staking, lending), the rest carries long positions at
leverage L. By the year and as a share of capital the positions are expected to bring

    c = L (g - f)

with g the rise of the price they expect and f the funding that longs pay, 3 * 365 times the smoothed rate of 8 hours.
Discrete choice with intensity 1 / T (Brock and Hommes, "A rational route to randomness", Econometrica 65 (1997)) says
what part of the wealth belongs outside, with a personal taste e of deviation `taste`,

    s* = 1 / (1 + exp(-(y - c + e) / T))

and a holder who looks, every `look_s` on average, closes the share `speed` of the distance s* - s. To stake he sells
the same share of position and capital, so that the leverage of what is left stays as it is; the money leaves the venue
when the position is sold. To come back he asks for it, waits `unbonding_s`, and opens positions with what arrives.
With y and f at rest s goes to s* and open interest of the kind to L (1 - s*) w / p. Rewards are left outside.

That staking may draw capital from leverage is a claim of seed S18; sizes, tastes and speeds are not observed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from abm.events import BY_STAKING
from abm.parameters import Parameters, quantity
from abm.rng import normals, stream, uniforms
from abm.state import BUY, CROSS, I64, IOC, REDUCE_ONLY, SELL, STAKER
from abm.traders.base import PEOPLE_LATENCY, Batch, Office, Participant, View, World, asked
from abm.traders.handle import Account, Luck, Orders
from abm.traders.retail_opening import bounded_pareto
from abm.units import MICRO

FUNDING_A_YEAR = 3 * 365
"""Payments of an 8-hour rate in a year."""
NEVER = math.inf
_TASTE = stream("staking taste")
_LOOK = stream("staking look")
UNKNOWN = "not observed"


def staked_share(advantage: Any, temperature: float) -> NDArray[np.float64]:
    """s* = 1 / (1 + exp(-advantage / T)), both as fractions a year; float64 of the shape of `advantage`."""
    share: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(np.asarray(advantage) / temperature, -700.0, 700.0)))
    return share


class YieldStep(Parameters):
    """From when on the outside yield is another."""

    at_s: float = quantity(..., unit="s", ge=0.0, source="set by the scenario", text="after the start")
    percent: float = quantity(..., unit="% a year", ge=-100.0, le=1000.0, source="set by the scenario")


class StakersParameters(Parameters):
    """Holders who choose between staking and leverage."""

    accounts: int = quantity(400, unit="accounts", source="a resolution", ge=1, le=1_000_000)
    capital_usd: float = quantity(
        400e6, unit="$", source=UNKNOWN, gt=0.0, likely=(0.0, 1e9), text="all their wealth, inside and outside"
    )
    size_tail: float = quantity(0.8, unit="-", source="as retail", gt=0.1, lt=1.0)
    largest_share: float = quantity(0.05, unit="-", source=UNKNOWN, gt=0.0, le=1.0)
    leverage: float = quantity(
        5.0, unit="x", source=UNKNOWN, ge=1.0, le=50.0, likely=(1.0, 10.0), text="L of the capital that is not staked"
    )
    yield_percent: float = quantity(
        3.0, unit="% a year", source="ether staking, 2025: about 3", grade="M", ge=-100.0, le=1000.0, likely=(2.0, 5.0)
    )
    yields: tuple[YieldStep, ...] = ()
    expected_percent: float = quantity(
        8.0, unit="% a year", source=UNKNOWN, ge=-1000.0, le=1000.0, likely=(0.0, 40.0), text="g"
    )
    temperature_percent: float = quantity(
        20.0, unit="% a year", source=UNKNOWN, gt=0.0, likely=(5.0, 50.0), text="T: how little yields decide"
    )
    taste_percent: float = quantity(5.0, unit="% a year", source=UNKNOWN, ge=0.0, text="deviation of e")
    opening_funding_bp: float = quantity(
        0.52, unit="bp per 8 h", source="mean of 30 days before 10 Oct 2025, Binance BTCUSDT", grade="A", ge=-30, le=30
    )
    funding_memory_s: float = quantity(
        28_800.0, unit="s", source="one funding period", gt=0.0, text="time over which funding is smoothed"
    )
    look_s: float = quantity(
        21_600.0, unit="s", source=UNKNOWN, gt=0.0, likely=(600.0, 86_400.0), text="mean time between two looks"
    )
    speed: float = quantity(0.5, unit="a look", source=UNKNOWN, gt=0.0, le=1.0, text="share of the distance closed")
    least_share: float = quantity(
        0.01, unit="of wealth", source=UNKNOWN, ge=0.0, le=1.0, text="a smaller distance is let be"
    )
    unbonding_s: float = quantity(
        604_800.0,
        unit="s",
        source="ether's exit queue: hours to six weeks in 2025",
        grade="M",
        ge=0.0,
        likely=(3_600.0, 3.9e6),
        text="until money asked for is back",
    )
    slip: float = quantity(0.003, unit="fraction", source="as noise traders", ge=0.0, le=0.05)


class Stakers(Participant):
    """Accounts with cross margin, and what they hold outside; it counts as staked until it is asked back."""

    latency = PEOPLE_LATENCY
    parameters_class = StakersParameters
    parameters: StakersParameters
    example: ClassVar[Mapping[str, Any]] = {"look_s": 20.0, "yields": [{"at_s": 20.0, "percent": 40.0}]}

    def rows_needed(self) -> int:
        return self.parameters.accounts

    def bind(self, world: World) -> None:
        """Wealth divided as the opening yield and funding ask for; positions at the opening price."""
        p, self.world, n = self.parameters, world, self.rows.size
        accounts, markets = world.accounts, world.markets
        accounts.kind[self.rows], accounts.mode[self.rows] = STAKER, CROSS
        accounts.leverage[self.rows] = math.ceil(p.leverage) + 1
        self._number = np.arange(n)
        self._taste = p.taste_percent / 100.0 * normals(world.seed, _TASTE, self._number, 0, 0)
        self._yields = sorted((step.at_s, step.percent) for step in p.yields)
        self._funding, self._now_s = p.opening_funding_bp, 0.0
        size = bounded_pareto((n - self._number - 0.5) / n, p.size_tail, n, p.largest_share)
        wealth = np.floor(p.capital_usd * MICRO * size)
        self.staked = np.floor(wealth * self.target(p.yield_percent / 100.0, self._number)).astype(np.int64)
        """Micro-dollars outside, not asked back; int64 (n,)."""
        self.leaving = np.zeros(n, np.int64)
        """Micro-dollars asked back and not here yet, until `due_s`; (n,) each."""
        self.due_s = np.full(n, NEVER)
        cash = wealth.astype(np.int64) - self.staked
        self._lot_value = int(markets.tick_value[world.perp])
        price = int(world.start_ticks[world.perp]) * self._lot_value
        lots = np.floor(p.leverage * cash / price).astype(np.int64)
        world.deposit(self.rows, world.usdt, cash)
        world.open_positions(self.rows, lots, lots * price)
        self._slot = int(markets.slot[world.perp])
        self._wants = np.zeros(n, np.int64)  # micro-dollars to be staked when the lots asked for are sold
        self._asked_lots, self._held_lots = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self._to_open = np.zeros(n, np.int64)  # micro-dollars that came back and wait for a position

    def outside_yield(self, seconds: float) -> float:
        """The yield y at a moment of the run, a fraction a year."""
        percent = self.parameters.yield_percent
        for at_s, later in self._yields:
            percent = later if seconds >= at_s else percent
        return percent / 100.0

    def carry(self) -> float:
        """Expected carry c = L (g - f), a fraction a year."""
        p = self.parameters
        return p.leverage * (p.expected_percent / 100.0 - self._funding * 1e-4 * FUNDING_A_YEAR)

    def target(self, outside_yield: float, who: I64) -> NDArray[np.float64]:
        """s* of these accounts, the share of wealth that belongs outside; float64 (k,)."""
        advantage = outside_yield - self.carry() + self._taste[who]
        return staked_share(advantage, self.parameters.temperature_percent / 100.0)

    def equity(self, view: View, who: I64) -> NDArray[np.float64]:
        """Wealth at the venue, at the mark, micro-dollars; float64 (k,)."""
        accounts, world, rows = self.world.accounts, self.world, self.rows[who]
        held = accounts.position[self._slot, rows] * int(view.mark_ticks[world.perp]) * self._lot_value
        wealth: NDArray[np.float64] = (
            accounts.cash[world.usdt, rows] + held - accounts.entry_cost[self._slot, rows]
        ).astype(np.float64)
        return wealth

    def woken(self, view: View) -> I64:
        """Numbers of those who look, and of those whose money has come back."""
        chance = -math.expm1(-view.tick_s / self.parameters.look_s)
        looks = uniforms(view.seed, _LOOK, self._number, view.tick, 0) < chance
        return np.flatnonzero(looks | (self._to_open > 0))

    def decide(self, view: View, batch: Batch) -> None:
        """Sell to stake, ask back, or open positions with what came back."""
        who = self.woken(view)
        if who.size:
            self._rule(view, who, batch)

    def decide_one(self, view: View, me: Account, rng: Luck) -> Orders:
        """As `decide`, for one account."""
        return asked(self._rule, view, me.number)

    def _rule(self, view: View, who: I64, batch: Batch) -> None:
        p, world = self.parameters, self.world
        last = int(view.last_ticks[world.perp])
        if last <= 0:
            return
        price = last * self._lot_value
        here, back = self.equity(view, who), self._to_open[who]
        position = world.accounts.position[self._slot, self.rows[who]]
        wealth = np.maximum(here, 0.0) + self.staked[who] + self.leaving[who]
        outside = self.target(self.outside_yield(view.seconds), who) * wealth
        step = np.where(back > 0, 0.0, p.speed * (outside - self.staked[who]))
        worth = np.abs(step) >= np.maximum(p.speed * p.least_share * wealth, 1.0)
        # Back from staking: at most one request at a time.
        returns = worth & (step < 0.0) & (self.leaving[who] == 0) & (self.staked[who] > 0)
        asks = who[returns]
        amount = np.minimum(np.floor(-step[returns]).astype(np.int64), self.staked[asks])
        self.staked[asks] -= amount
        self.leaving[asks] = amount
        self.due_s[asks] = view.seconds + p.unbonding_s
        stakes = worth & (step > 0.0) & (here > 0.0)
        share = np.minimum(np.where(stakes, step, 0.0) / np.maximum(here, 1.0), 1.0)
        sell = np.floor(share * np.maximum(position, 0)).astype(np.int64)
        share = np.where(position > 0, sell / np.maximum(position, 1), share)  # as much capital as whole lots sold
        self._wants[who] = np.floor(share * np.maximum(here, 0.0)).astype(np.int64)
        self._asked_lots[who], self._held_lots[who] = sell, position
        buy = np.where(back > 0, np.floor(p.leverage * back / price), 0).astype(np.int64)
        self._to_open[who] = 0
        lots = np.where(buy > 0, buy, sell)
        acts = np.flatnonzero(lots > 0)
        side = np.where(buy[acts] > 0, BUY, SELL)
        orders = batch.add(acts.size)
        orders["market"], orders["account"], orders["op"], orders["side"] = world.perp, self.rows[who[acts]], IOC, side
        orders["flags"] = np.where(side == SELL, REDUCE_ONLY, 0)
        orders["price_ticks"] = np.maximum(np.rint(last * (1.0 + side * p.slip)), 1)
        orders["size_lots"], orders["reason"], orders["latency"] = lots[acts], BY_STAKING, self.latency

    def review(self, view: View, office: Office) -> None:
        """Money of sold positions goes out, money asked back comes in; funding is smoothed."""
        world, accounts = self.world, self.world.accounts
        now = float(view.funding_bp[world.perp])
        self._funding -= math.expm1(-view.tick_s / self.parameters.funding_memory_s) * (now - self._funding)
        for me in np.flatnonzero(self._wants).tolist():
            row, asked_lots = int(self.rows[me]), int(self._asked_lots[me])
            sold = int(self._held_lots[me]) - int(accounts.position[self._slot, row])
            part = int(self._wants[me])
            if asked_lots > 0:  # what was not sold stays behind its position
                part = part * max(0, min(sold, asked_lots)) // asked_lots
            free = int(accounts.cash[world.usdt, row]) - int(accounts.reserved[world.usdt, row])
            part = max(0, min(part, free))
            office.pay(row, office.outside, world.usdt, part, BY_STAKING)
            self.staked[me] += part
        self._wants[:] = 0
        for me in np.flatnonzero(self.due_s <= view.seconds).tolist():
            office.pay(office.outside, int(self.rows[me]), world.usdt, int(self.leaving[me]), BY_STAKING)
            self._to_open[me] = self.leaving[me]
            self.leaving[me], self.due_s[me] = 0, NEVER
        self._now_s = view.seconds

    def measured(self) -> Mapping[str, float]:
        """What is outside, what is on its way back, the positions, and what decides."""
        accounts, outside_yield = self.world.accounts, self.outside_yield(self._now_s)
        lots = int(accounts.position[self._slot, self.rows].sum())
        return {
            "staked_usd": int(self.staked.sum()) / MICRO,
            "unbonding_usd": int(self.leaving.sum()) / MICRO,
            "position_btc": lots * float(self.world.markets.lot_coins[self.world.perp]),
            "yield_percent": 100.0 * outside_yield,
            "carry_percent": 100.0 * self.carry(),
            "target_share": float(self.target(outside_yield, self._number).mean()),
        }
