"""Value buyers: capital that comes in when the price is well below fair value, mostly by resting bids.

With gap = F / p - 1 (F fair value, p last price), a buyer wants in all

    V clip((gap - m) / w, 0, 1)

and closes the distance to it with speed 1 / tau, when it looks, every `look_s` on average. The share `resting` of
what it adds becomes a bid below the market, `offset` away and moved along at each look; the rest is taken at once. It
holds what it bought. m is lognormal over buyers around `margin`; of the capital V the share `spot_share` works in the
spot market. Value sellers are their mirror image: coins and short positions that are sold well above fair value.

V, m, w, tau and the resting share were found in a search with a one-book prototype (graded calibrated): bids that
rest, not bids that take, are what keeps net taker flow as small as observed. The split over markets is assumed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.events import BY_VALUE
from abm.parameters import Parameters, quantity
from abm.rng import normals, stream, uniforms
from abm.state import BUY, CANCEL, CROSS, I64, IOC, LIMIT, NOBODY, REPLACE, SELL, VALUE_BUYER
from abm.traders.base import PEOPLE_LATENCY, Batch, Participant, View, World, asked, form
from abm.traders.handle import Account, Luck, Orders

SEARCH = "search on the path of 10 Oct 2025 with a one-book prototype"
_TASTE = stream("value taste")
_LOOK = stream("value look")


class ValueBuyersParameters(Parameters):
    """Buyers of large discounts, or sellers of large premiums."""

    accounts: int = quantity(60, unit="accounts", source="a resolution", ge=2, le=10_000)
    coins: float = quantity(
        18_500.0,
        unit="BTC",
        source="set on the path of 10 Oct 2025 with this model; with 14,400 two of four seeds run away",
        ge=0.0,
        grade="calibrated",
        likely=(12e3, 20e3),
        text="V",
    )
    margin: float = quantity(
        0.036, unit="fraction", source=SEARCH, ge=0.0, grade="calibrated", likely=(0.025, 0.04), text="m"
    )
    margin_spread: float = quantity(0.15, unit="log", source="not observed", ge=0.0, le=1.0)
    width: float = quantity(0.085, unit="fraction", source=SEARCH, gt=0.0, grade="calibrated", text="w")
    speed_s: float = quantity(
        48.0,
        unit="s",
        source=SEARCH,
        gt=0.0,
        grade="calibrated",
        likely=(35.0, 60.0),
        text="tau; at 200 s prices run away",
    )
    resting: float = quantity(0.79, unit="-", source=SEARCH, ge=0.0, le=1.0, grade="calibrated")
    look_s: float = quantity(8.0, unit="s", source="not observed", gt=0.0)
    offset: float = quantity(0.003, unit="fraction", source="not observed", gt=0.0, lt=0.2, likely=(0.001, 0.01))
    offset_spread: float = quantity(0.8, unit="log", source="not observed", ge=0.0, le=2.0)
    slip: float = quantity(0.003, unit="fraction", source="as noise traders", ge=0.0, le=0.05)
    spot_share: float = quantity(0.25, unit="-", source="not observed", ge=0.0, le=1.0, likely=(0.1, 0.5))
    leverage: int = quantity(2, unit="x", source="not observed; deep capital", ge=1, le=10)


class ValueBuyers(Participant):
    """Accounts that buy discounts: the first in the spot market, the others on the perpetual; one bid each."""

    side = BUY
    first_key = 0
    """Of the keys by which their luck is drawn."""
    latency = PEOPLE_LATENCY
    row_kind = VALUE_BUYER
    parameters: ValueBuyersParameters

    def rows_needed(self) -> int:
        return self.parameters.accounts

    def bind(self, world: World) -> None:
        """Cash for the whole capital, twice over: a moved bid releases its reserve only after the batch."""
        p, self.world, n = self.parameters, world, self.rows.size
        accounts, markets, rows = world.accounts, world.markets, self.rows
        accounts.kind[rows] = self.row_kind
        accounts.mode[rows] = CROSS
        accounts.leverage[rows] = p.leverage
        in_spot = min(n - 1, max(1, round(n * p.spot_share))) if p.spot_share > 0.0 else 0
        self._number = np.arange(n)
        self.market = np.where(self._number < in_spot, world.spot, world.perp)
        share = np.where(self._number < in_spot, p.spot_share / max(in_spot, 1), (1.0 - p.spot_share) / (n - in_spot))
        self._capital_lots = share * p.coins / markets.lot_coins[self.market]
        self._key = self._number + self.first_key
        self._margin = p.margin * np.exp(p.margin_spread * normals(world.seed, _TASTE, self._key, 0, 0))
        self._offset = p.offset * np.exp(p.offset_spread * normals(world.seed, _TASTE, self._key, 0, 1))
        worth = world.start_ticks[self.market] * markets.tick_value[self.market].astype(np.float64)
        sells_coins = (self.market == world.spot) & (self.side == SELL)
        lots = np.where(sells_coins, np.ceil(2.2 * self._capital_lots), 0).astype(np.int64)
        self._opening_coins = lots * int(markets.lot_units[world.spot])
        world.deposit(rows, world.btc, self._opening_coins)
        cash = np.where(sells_coins, 0.0, np.ceil(2.2 * self._capital_lots * worth))
        world.deposit(rows, world.usdt, cash.astype(np.int64))
        self._handle = np.full(n, NOBODY, np.int64)
        self._least = float(self._margin.min())
        self._bidding = False
        """Whether an account has a bid in the book, perhaps."""
        self._forms = [form(op=op, side=self.side, reason=BY_VALUE, latency=self.latency) for op in (IOC, LIMIT)]
        self._keep: list[I64] = []
        self._old: list[I64] = []

    def bought_lots(self) -> NDArray[np.int64]:
        """Lots each account has bought (sellers: sold) in its market; shape (accounts,)."""
        world, slot = self.world, int(self.world.markets.slot[self.world.perp])
        coins = (world.accounts.cash[world.btc, self.rows] - self._opening_coins) // world.markets.lot_units[world.spot]
        held: NDArray[np.int64] = np.where(self.market == world.spot, coins, world.accounts.position[slot, self.rows])
        return self.side * held

    def prepare(self, view: View) -> None:
        """Forget what was sent."""
        self._keep.clear()
        self._old.clear()

    def decide(self, view: View, batch: Batch) -> None:
        """Those who look: take a little, and put the bid where it belongs now."""
        self.prepare(view)
        self._rule(view, self._number, batch)

    def decide_one(self, view: View, me: Account, rng: Luck) -> Orders:
        """One buyer, if it looks."""
        return asked(self._rule, view, me.number)

    def _rule(self, view: View, numbers: I64, batch: Batch) -> None:
        """Those of these accounts who look."""
        if not self._bidding and not (self._pays(view, self.world.perp) or self._pays(view, self.world.spot)):
            return
        p, books, market = self.parameters, self.world.books, self.market[numbers]
        chance = -math.expm1(-view.tick_s / p.look_s)
        last = np.maximum(view.last_ticks, 1)[market]
        gap = self.side * (view.fair_ticks[market] / last - 1.0)
        wanted = self._capital_lots[numbers] * np.minimum(np.maximum((gap - self._margin[numbers]) / p.width, 0.0), 1.0)
        if not wanted.any() and (self._handle[numbers] < 0).all():
            return
        at = np.flatnonzero(uniforms(view.seed, _LOOK, self._key[numbers], view.tick, 0) < chance)
        if at.size == 0:
            return
        looks, last = numbers[at], last[at]
        missing = np.maximum(wanted[at] - self.bought_lots()[looks], 0.0)
        # 1 / chance ticks pass between two looks on average: this is what speed 1 / tau closes in that time.
        step = missing * -math.expm1(-view.tick_s / (chance * p.speed_s))
        resting = books.lots_left(self._handle[looks])
        self._handle[looks[resting == 0]] = NOBODY
        take = np.floor((1.0 - p.resting) * step).astype(np.int64)
        rest = np.floor(np.minimum(resting + p.resting * step, p.resting * missing)).astype(np.int64)
        price = np.floor(last * (1.0 - self.side * self._offset[looks])).astype(np.int64)
        self._send(batch, looks, take, rest, resting, np.maximum(price, 1), last)

    def _pays(self, view: View, market: int) -> bool:
        """Whether the last price of a market lies far enough from fair value, on the side that pays, for anybody."""
        gap = float(view.fair_ticks[market]) / max(int(view.last_ticks[market]), 1) - 1.0
        return self.side * gap > self._least

    def _send(self, batch: Batch, looks: I64, take: I64, rest: I64, resting: I64, price: I64, last: I64) -> None:
        """First what is taken, then the bids: new, moved or cancelled."""
        p = self.parameters
        takers, bids = take > 0, (rest > 0) | (resting > 0)
        who = looks[takers]
        orders: NDArray[Any] = batch.add(who.size, self._forms[0])
        orders["market"], orders["account"] = self.market[who], self.rows[who]
        orders["price_ticks"], orders["size_lots"] = np.rint(last[takers] * (1.0 + self.side * p.slip)), take[takers]
        mine = looks[bids]
        bid: NDArray[Any] = batch.add(mine.size, self._forms[1])
        bid["market"], bid["account"], bid["order"] = self.market[mine], self.rows[mine], self._handle[mine]
        bid["op"] = np.where(rest[bids] == 0, CANCEL, np.where(resting[bids] > 0, REPLACE, LIMIT))
        bid["price_ticks"], bid["size_lots"] = price[bids], rest[bids]
        self._keep += [np.full(who.size, NOBODY), mine]
        self._old += [np.full(who.size, NOBODY), np.where(bid["op"] == REPLACE, self._handle[mine], NOBODY)]

    def after_trade(self, handles: I64, offset: int) -> None:
        """Remember the bids. A replace that was refused leaves its old order where it was."""
        if not self._keep:
            return
        keep, old = np.concatenate(self._keep), np.concatenate(self._old)
        bids = keep >= 0
        self._handle[keep[bids]] = np.where(handles[bids] >= 0, handles[bids], old[bids])
        self._bidding = bool((self._handle >= 0).any())


class ValueSellers(ValueBuyers):
    """The mirror image: accounts that sell premiums, coins in the spot market, short positions on the perpetual."""

    side = SELL
    first_key = 1 << 20
