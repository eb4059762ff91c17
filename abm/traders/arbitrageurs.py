"""Arbitrageurs with limited capital: between the spot market and the perpetual, and between this venue and others.

Basis. With b the bid and a the ask, selling the perpetual against spot earns e = b_perp / a_spot - 1 before costs,
the reverse b_spot / a_perp - 1. An account acts when e exceeds both taker fees and its personal threshold; the rest
is the excess x. It then takes

    rate dt min(1, x / full)   coins on both legs, immediate-or-cancel,

no more than its capital, coins, cash and the depth that is still profitable allow; the worst prices of the legs share
the excess equally. What one leg lacks is hedged on the perpetual. All limits are coins a second: rounds inside a tick
share one budget.

Elsewhere. While there is one venue only, a few fast accounts stand for those who trade it against the others. On the
perpetual they hold

    A clip(y / width, -1, 1) + B clip(x / outside_width, -1, 1)   coins

with y and x the parts of ln(EMA50 / p) and ln(F / p) beyond the taker fee. They build it up at speed 1 / tau and give
it back at speed 1 / `unwind_s`; in spot they hold the second term alone, times `outside_spot_share`. The price
elsewhere is taken to be fair value F. B is small: it carries ordinary moves of F into the book and cannot hold a
falling market. A and tau were found in a search with a one-book prototype and are not identified; everything else
here is assumed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from abm.events import BY_ARBITRAGE
from abm.parameters import Parameters, quantity
from abm.rng import normals, stream
from abm.state import ARBITRAGEUR, BUY, CROSS, I64, IOC, SELL
from abm.traders.arbitrage_kernel import approach
from abm.traders.base import BOT_LATENCY, Batch, Participant, View, World, asked, form, together
from abm.traders.handle import Account, Luck, Orders
from abm.units import RATE_ONE

SEARCH = "search on the path of 10 Oct 2025 with a one-book prototype"
_TASTE = stream("arbitrage taste")
EVERYBODY = slice(None)


class ArbitrageursParameters(Parameters):
    """Spot-perpetual arbitrageurs, and fast traders between venues."""

    accounts: int = quantity(10, unit="accounts", source="not observed", ge=1, le=1000)
    capital_coins: float = quantity(
        6000.0,
        unit="BTC",
        source="not observed; below 3,000 the perpetual leaves spot in the fall",
        gt=0.0,
        likely=(2e3, 30e3),
        text="largest total position, each way",
    )
    threshold: float = quantity(
        0.0002, unit="fraction", source="not observed", ge=0.0, le=0.1, text="median profit asked for"
    )
    threshold_spread: float = quantity(0.5, unit="log", source="not observed", ge=0.0, le=2.0)
    full: float = quantity(
        0.002, unit="fraction", source="not observed", gt=0.0, text="excess at which all of the rate is used"
    )
    rate_coins: float = quantity(
        20.0, unit="BTC/s", source="not observed", gt=0.0, likely=(5.0, 100.0), text="all accounts"
    )
    hedge_slip: float = quantity(0.005, unit="fraction", source="not observed", ge=0.0, le=0.05)
    leverage: int = quantity(3, unit="x", source="not observed", ge=1, le=20)
    reverters: int = quantity(5, unit="accounts", source="a resolution", ge=0, le=1000)
    reversion_coins: float = quantity(700.0, unit="BTC", source=SEARCH, ge=0.0, likely=(400.0, 1500.0), text="A")
    reversion_width: float = quantity(0.01, unit="fraction", source="not observed", gt=0.0)
    reversion_s: float = quantity(5.0, unit="s", source=SEARCH, gt=0.0, text="tau, not identified")
    unwind_s: float = quantity(
        60.0, unit="s", source="not observed", gt=0.0, text="time in which they give a position back"
    )
    outside_coins: float = quantity(
        600.0, unit="BTC", source="carries ordinary moves of fair value", ge=0.0, likely=(200.0, 1500.0), text="B"
    )
    outside_width: float = quantity(0.002, unit="fraction", source="not observed", gt=0.0, likely=(0.001, 0.005))
    outside_spot_share: float = quantity(0.3, unit="-", source="as the makers' depth", ge=0.0, le=5.0)


class Arbitrageurs(Participant):
    """Machines that look at both markets in every round. The last `reverters` rows trade against other venues."""

    machine = True
    latency = BOT_LATENCY
    row_kind = ARBITRAGEUR
    parameters: ArbitrageursParameters

    def rows_needed(self) -> int:
        return self.parameters.accounts + self.parameters.reverters

    def bind(self, world: World) -> None:
        """Coins for half of the capital, cash for all of it on both legs."""
        p, self.world = self.parameters, world
        accounts, markets = world.accounts, world.markets
        accounts.kind[self.rows] = self.row_kind
        accounts.mode[self.rows] = CROSS
        accounts.leverage[self.rows] = p.leverage
        self._pairs, self._fast = self.rows[: p.accounts], self.rows[p.accounts :]
        self._slot, self._unit = int(markets.slot[world.perp]), int(markets.lot_units[world.spot])
        self._limit_lots = p.capital_coins / p.accounts / float(markets.lot_coins[world.perp])
        worth = float(world.start_ticks[world.perp]) * float(markets.tick_value[world.perp])
        # Perpetual lots in a spot lot: positions are compared in lots of the perpetual.
        self._ratio = float(markets.lot_coins[world.spot]) / float(markets.lot_coins[world.perp])
        cash = self._limit_lots * worth * (1.1 + 2.0 / p.leverage)
        world.deposit(self._pairs, world.usdt, np.full(self._pairs.size, math.ceil(cash)))
        lots = int(0.5 * self._limit_lots / self._ratio)
        self._opening_coins = lots * self._unit
        world.deposit(self._pairs, world.btc, np.full(self._pairs.size, self._opening_coins))
        if p.reverters:
            lot_coins = float(markets.lot_coins[world.perp])
            self._revert_lots, self._outside_lots = (
                coins / p.reverters / lot_coins for coins in (p.reversion_coins, p.outside_coins)
            )
            spot_lots = self._outside_lots * p.outside_spot_share / self._ratio
            cash = 1.2 * (self._revert_lots + self._outside_lots + 2.0 * spot_lots * self._ratio) * worth
            world.deposit(self._fast, world.usdt, np.full(p.reverters, math.ceil(cash)))
            self._fast_coins = math.ceil(1.2 * spot_lots) * self._unit
            world.deposit(self._fast, world.btc, np.full(p.reverters, self._fast_coins))
        spread = normals(world.seed, _TASTE, np.arange(p.accounts), 0, 0)
        self._threshold = p.threshold * np.exp(p.threshold_spread * spread)
        self._least = float(self._threshold.min())
        self._dollars = (float(markets.tick_dollars[world.perp]), float(markets.tick_dollars[world.spot]))
        self._tick, self._fresh, self._side = -1, False, 0
        self._forms = {
            (market, side): form(market=market, op=IOC, side=side, reason=BY_ARBITRAGE, latency=self.latency)
            for market in (world.perp, world.spot)
            for side in (BUY, SELL)
        }
        self._pair_rows, self._fast_rows = together(self._pairs), together(self._fast)
        self._charged()
        self._paces: tuple[float, Any] = (0.0, None)
        self._budget_lots = np.zeros(p.accounts)
        self._lots: I64 | None = None
        self._worst = (0, 0)

    def _charged(self) -> None:
        """The taker fees of both markets now, as fractions; a venue may change them."""
        perp, spot, fees = self.world.perp, self.world.spot, self.world.markets.taker_fee
        self._fees = {market: float(fees[market]) / RATE_ONE for market in (perp, spot)}
        self._cost = float(fees[perp] + fees[spot]) / RATE_ONE

    def prepare(self, view: View) -> None:
        """The budgets of a tick; which way the basis pays, if it does, and how much of it each account takes."""
        self._fresh = view.tick != self._tick
        if self._fresh:
            self._tick = view.tick
            self._charged()
            each = self.parameters.rate_coins * view.tick_s / self.parameters.accounts
            self._budget_lots[:] = each / float(self.world.markets.lot_coins[self.world.perp])
        self._side, self._lots = 0, None
        for side in (SELL, BUY):
            edge = self._edge(view, side)
            if edge - self._cost > self._least:
                self._side = side
                self._plan(view, side, edge)
                return

    def decide(self, view: View, batch: Batch) -> None:
        """Trade the basis if there is one; otherwise, once a tick, hedge what is left over."""
        self.prepare(view)
        if self._fresh or self._lots is not None:
            self._trade(view, EVERYBODY, EVERYBODY if self._fast.size else None, batch)

    def decide_one(self, view: View, me: Account, rng: Luck) -> Orders:
        """The same for one account."""
        return asked(self._rule, view, me.number)

    def _rule(self, view: View, who: I64, batch: Batch) -> None:
        count = self.parameters.accounts
        fast = who[who >= count] - count
        self._trade(view, who[who < count], fast if fast.size else None, batch)

    def _trade(self, view: View, pairs: Any, fast: Any, batch: Batch) -> None:
        """What some accounts of each kind want, by their numbers within the kind; of the fast ones perhaps none."""
        if self._fresh and fast is not None:
            self._revert(view, fast, batch)
        if self._lots is not None:
            lots, rows = self._lots[pairs], self._pairs[pairs]
            self._budget_lots[pairs] -= lots
            self._send(batch, self.world.perp, self._side, rows, lots, self._worst[0])
            self._send(batch, self.world.spot, -self._side, rows, (lots / self._ratio).astype(np.int64), self._worst[1])
        elif self._fresh and not self._side:
            self._hedge(view, pairs, batch)

    def _edge(self, view: View, side: int) -> float:
        """What trading the perpetual on `side` against spot earns before costs; -1 where a side is empty."""
        perp, spot = self.world.perp, self.world.spot
        ours, theirs = (view.bid_ticks, view.ask_ticks) if side == SELL else (view.ask_ticks, view.bid_ticks)
        perp_usd, spot_usd = int(ours[perp]) * self._dollars[0], int(theirs[spot]) * self._dollars[1]
        if perp_usd <= 0.0 or spot_usd <= 0.0:
            return -1.0
        return perp_usd / spot_usd - 1.0 if side == SELL else spot_usd / perp_usd - 1.0

    def _plan(self, view: View, side: int, edge: float) -> None:
        """Lots of both legs for every account whose threshold is passed; `side` is that of the perpetual."""
        p, world, books = self.parameters, self.world, self.world.books
        perp, spot = world.perp, world.spot
        excess = edge - self._cost - self._threshold
        position = world.accounts.position[self._slot, self._pair_rows]
        give = 0.5 * (edge - self._cost - self._least)
        perp_best = int((view.bid_ticks if side == SELL else view.ask_ticks)[perp])
        spot_best = int((view.ask_ticks if side == SELL else view.bid_ticks)[spot])
        perp_worst = max(1, int(perp_best * (1.0 + side * give)))
        spot_worst = max(1, int(spot_best * (1.0 - side * give)))
        room = self._limit_lots - side * position
        accounts = world.accounts
        asset = world.usdt if side == SELL else world.btc
        free = accounts.cash[asset, self._pair_rows] - accounts.reserved[asset, self._pair_rows]
        if side == SELL:
            worth = spot_worst * float(world.markets.tick_value[spot]) / self._ratio
            room = np.minimum(room, 0.9 * free / worth)
        else:
            room = np.minimum(room, free / self._unit * self._ratio)
        wanted = self._budget_lots * np.minimum(np.maximum(excess / p.full, 0.0), 1.0)
        wanted = np.minimum(np.minimum(wanted, self._budget_lots), np.maximum(room, 0.0))
        total = float(wanted.sum())
        if total < 1.0:
            return
        deep = min(books.depth_lots(perp, -side, perp_worst), books.depth_lots(spot, side, spot_worst) * self._ratio)
        self._lots = np.floor(wanted * min(1.0, deep / total)).astype(np.int64)
        self._worst = (perp_worst, spot_worst)

    def _hedge(self, view: View, who: Any, batch: Batch) -> None:
        """Trade the difference of the legs away on the perpetual."""
        accounts, rows, everyone = self.world.accounts, self._pairs[who], self._pair_rows
        coins = (accounts.cash[self.world.btc, everyone] - self._opening_coins) / self._unit * self._ratio
        open_lots = (accounts.position[self._slot, everyone] + coins).astype(np.int64)[who]
        last = int(view.last_ticks[self.world.perp])
        if last <= 0 or not np.count_nonzero(open_lots):
            return
        for side in (BUY, SELL):
            lots = np.maximum(-side * open_lots, 0)
            worst = max(1, int(last * (1.0 + side * self.parameters.hedge_slip)))
            self._send(batch, self.world.perp, side, rows, lots, worst)

    def _revert(self, view: View, who: Any, batch: Batch) -> None:
        """The step of the fast accounts toward their targets in both markets."""
        p, world, rows, everyone = self.parameters, self.world, self._fast[who], self._fast_rows
        last, average = float(view.last_ticks[world.perp]), float(view.ema50_ticks[world.perp])
        if last > 0.0 and average > 0.0:
            target = self._revert_lots * self._beyond_fee(world.perp, average / last, p.reversion_width)
            target += self._outside_lots * self._outside(view, world.perp)
            held = world.accounts.position[self._slot, everyone]
            self._approach(view, batch, world.perp, target, rows, held[who])
        if p.outside_spot_share > 0.0:
            target = self._outside_lots * p.outside_spot_share / self._ratio * self._outside(view, world.spot)
            held = (world.accounts.cash[world.btc, everyone] - self._fast_coins) // self._unit
            self._approach(view, batch, world.spot, target, rows, held[who])

    def _outside(self, view: View, market: int) -> float:
        """The term in fair value, within [-1, 1]."""
        last, fair = float(view.last_ticks[market]), float(view.fair_ticks[market])
        if last <= 0.0 or fair <= 0.0:
            return 0.0
        return self._beyond_fee(market, fair / last, self.parameters.outside_width)

    def _beyond_fee(self, market: int, ratio: float, width: float) -> float:
        """What ln(ratio) leaves after the taker fee, over `width`, within [-1, 1]."""
        gap = math.log(ratio)
        return math.copysign(min(1.0, max(0.0, abs(gap) - self._fees[market]) / width), gap)

    def _approach(self, view: View, batch: Batch, market: int, target: float, rows: I64, held: I64) -> None:
        """Orders that close the distance to `target` (lots of each account), slowly where a position is given back."""
        p = self.parameters
        if self._paces[0] != view.tick_s:
            paces = -np.expm1(-view.tick_s / np.array([p.unwind_s, p.reversion_s]))
            self._paces = (view.tick_s, tuple(paces.tolist()))
        last = int(view.last_ticks[market])
        most, least = (max(1, int(last * (1.0 + side * p.hedge_slip))) for side in (BUY, SELL))
        # Not for crumbs: a step of a thousandth of the capacity.
        crumb = 0.001 * (self._revert_lots + self._outside_lots)
        orders = batch.room(rows.size)
        back, forth = self._paces[1]
        batch.took(
            approach(orders, rows, held, target, back, forth, crumb, market, most, least, self.latency, BY_ARBITRAGE)
        )

    def _send(self, batch: Batch, market: int, side: int, rows: I64, lots: I64, worst_ticks: int) -> None:
        """Immediate-or-cancel orders for the rows with a positive size."""
        some = np.flatnonzero(lots > 0)
        if some.size == 0:
            return
        orders = batch.add(some.size, self._forms[market, side])
        orders["account"], orders["price_ticks"], orders["size_lots"] = rows[some], worst_ticks, lots[some]
