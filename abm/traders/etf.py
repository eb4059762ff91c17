"""Exchange-traded funds: investors' money follows performance, an authorised participant trades the coins.

A fund has S shares and C satoshi in custody; net asset value a share is C P / S at price P.

**Investors.** In each session of the US stock market (`abm.market_hours`) net demand in dollars is

    flow = scale (a + b R),    R = ln(P_t / P_{t-T})

spread evenly over the session (positive: shares are bought). Flows that follow past returns: Sirri and Tufano, "Costly
search and mutual fund flows", J. Finance 53 (1998); Berk and Green, J. Polit. Econ. 112 (2004). Here a and b come from
least squares on the daily net flow of the US spot bitcoin funds, 13 Dec 2024 to 14 Nov 2025 (231 sessions with a flow,
T = 5 calendar days up to and including the day): a = 100 (26), b = 5,701 (637) million dollars, Newey-West errors,
10 lags, R2 = 0.43, residual 295; that is $57m for each per cent. Part of b is the flow moving the price, so it is an
upper bound for what returns do to flows. For days listed in `flows` the stated amount replaces the equation.

**Authorised participant.** Gets the investors' dollars, buys coins in the spot market and delivers them for new shares
in whole baskets; or redeems baskets, sells the coins and hands the proceeds out. With dS shares created it delivers
ceil(C dS / S), with dS redeemed it receives floor(C dS / S): exactly C dS / S when that is whole, as it is with the
default of whole satoshi a share, so C / S stays the same number; otherwise less than one satoshi stays with the fund,
and C / S never falls. The fund itself never trades: impact and fees fall on those who come and go. Coins leave the
market by this way and come back by it (`Reserves`).

It trades only in market hours, immediate or cancel, the open demand within `work_s`, but no more than the share
`participation` of the volume seen (at least `least_rate_coins`). The premium of shares over NAV, the sponsor's fee
(about 0.7 bp a day) and settlement a day later are left out.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from abm.events import BY_CREATION, BY_REDEMPTION
from abm.market_hours import SESSION_S, StockHours
from abm.parameters import Parameters, quantity
from abm.state import BUY, ETF, IOC, MESSAGE, NOBODY, SELL
from abm.traders.base import PEOPLE_LATENCY, Batch, Office, Participant, View, World
from abm.traders.handle import Account, Luck, Orders
from abm.traders.reserves import Reserves
from abm.units import MICRO, SATOSHI

DAY_S = 86_400.0
FIT = "least squares on daily net flows of the US spot bitcoin funds, 13 Dec 2024 to 14 Nov 2025"


def basket_coins(coins: int, outstanding: int, shares: int, side: int) -> int:
    """Satoshi that `shares` new shares cost (BUY: rounded up) or redeemed ones return (SELL: rounded down)."""
    return -(-coins * shares // outstanding) if side == BUY else coins * shares // outstanding


class DayFlow(Parameters):
    """The net flow of one session, instead of the equation's."""

    day: date = quantity(..., unit="-", source="see `source`", text="the session's date")
    flow_usd: float = quantity(..., unit="$", source="see `source`", text="net flow of all funds; < 0: redemptions")
    source: str = quantity("", unit="-", source="-", text="where it comes from")


class EtfParameters(Parameters):
    """One fund, or all of them as one."""

    scale: float = quantity(
        1.0, unit="-", source="1 = all funds", gt=0.0, le=1.0, text="part of holdings and flows that is in this world"
    )
    coins: float = quantity(
        1_340_000.0,
        unit="BTC",
        source="US spot bitcoin funds together, autumn 2025",
        grade="M",
        gt=0.0,
        likely=(1.25e6, 1.4e6),
        text="in custody",
    )
    share_satoshi: int = quantity(
        56_800, unit="satoshi", source="the largest fund: about 0.000568 BTC a share", grade="M", ge=1
    )
    basket_shares: int = quantity(
        40_000, unit="shares", source="the largest fund's creation unit", grade="M", ge=1, text="shares in a basket"
    )
    base_flow_usd: float = quantity(100e6, unit="$ a session", source=FIT, grade="A", likely=(48e6, 152e6), text="a")
    flow_per_return_usd: float = quantity(
        5_701e6,
        unit="$ a session",
        source=FIT + "; 637m standard error",
        grade="A",
        likely=(0.0, 7e9),
        text="b: flow at a log return of 1",
    )
    look_back_s: float = quantity(
        432_000.0, unit="s", source="five days fit best of 1 to 30", grade="A", gt=0.0, text="T"
    )
    past_return: float = quantity(
        0.0, unit="log", source="set by the scenario", text="over T before the opening, taken as evenly spread"
    )
    flows: tuple[DayFlow, ...] = ()
    work_s: float = quantity(
        300.0, unit="s", source="not observed", gt=0.0, likely=(60.0, 3600.0), text="time to work off what is open"
    )
    participation: float = quantity(0.2, unit="-", source="common execution limit", gt=0.0, le=1.0, likely=(0.05, 0.3))
    least_rate_coins: float = quantity(
        0.5, unit="BTC/s", source="not observed", ge=0.0, text="pace when the volume seen is small or mixed"
    )
    slip: float = quantity(0.003, unit="fraction", source="not observed", ge=0.0, le=0.05)
    look_s: float = quantity(60.0, unit="s", source="a resolution", gt=0.0, text="between two prices remembered")


class Etf(Participant):
    """A fund and its authorised participant: the first row is custody, the second trades."""

    latency = PEOPLE_LATENCY
    parameters_class = EtfParameters
    parameters: EtfParameters
    example: ClassVar[Mapping[str, Any]] = {"flows": [{"day": "2025-10-10", "flow_usd": -5e9}]}
    example_scenario: ClassVar[Mapping[str, Any]] = {"start": "2025-10-10T15:40:00Z", "news.shock.at": "15:40:20"}

    def rows_needed(self) -> int:
        return 2

    def bind(self, world: World) -> None:
        """Whole baskets in custody; the authorised participant starts with nothing."""
        p, self.world = self.parameters, world
        self.custody, self.trader = int(self.rows[0]), int(self.rows[1])
        world.accounts.kind[self.rows] = ETF
        baskets = max(1, round(p.scale * p.coins * SATOSHI / (p.share_satoshi * p.basket_shares)))
        self.shares = baskets * p.basket_shares
        world.deposit(self.rows[:1], world.btc, np.array([self.shares * p.share_satoshi]))
        self._hours = StockHours(world.start)
        self._stated = {entry.day: entry.flow_usd for entry in p.flows}
        self._unit = int(world.markets.lot_units[world.spot])
        self._dollars = float(world.markets.tick_dollars[world.spot])
        self._start_usd = float(world.start_ticks[world.spot]) * self._dollars
        self._prices: deque[float] = deque(maxlen=max(1, math.ceil(p.look_back_s / p.look_s)))
        self._next_look_s = 0.0
        self.open_micro = 0
        """Investors' orders not yet executed, signed: dollars to be invested, or (negative) to be paid out."""
        self.demanded_usd = self.traded_usd = 0.0
        self._cash = 0
        self._price_usd = self._start_usd

    def begin(self, model: Any) -> None:
        """Every row has its kind now."""
        self._reserves = Reserves(self.world.accounts, self.world.btc, self.venue)

    @property
    def custody_satoshi(self) -> int:
        """Coins in custody."""
        return int(self.world.accounts.cash[self.world.btc, self.custody])

    def look_back_return(self, seconds: float, price_usd: float) -> float:
        """R at a moment of the run: log return over T; its part before the opening is `past_return`, spread evenly."""
        p = self.parameters
        if seconds < p.look_back_s:
            return math.log(price_usd / self._start_usd) + p.past_return * (1.0 - seconds / p.look_back_s)
        return math.log(price_usd / self._prices[0])

    def session_flow_usd(self, seconds: float, price_usd: float) -> float:
        """Net flow a session at this moment: the day's stated one, or a + b R; all times `scale`."""
        p = self.parameters
        day = (self.world.start + timedelta(seconds=seconds)).date()
        stated = self._stated.get(day)
        if stated is not None:
            return p.scale * stated
        return p.scale * (p.base_flow_usd + p.flow_per_return_usd * self.look_back_return(seconds, price_usd))

    def subscribe(self, amount_usd: float) -> None:
        """Somebody's own order of shares, beside the flow; negative: redeemed. Their money is in the outside world."""
        self.open_micro += round(amount_usd * MICRO)
        self.demanded_usd += amount_usd

    def decide(self, view: View, batch: Batch) -> None:
        """A slice of the open demand."""
        order = self._slice(view)
        if order.size:
            batch.add(1)[:] = order

    def decide_one(self, view: View, me: Account, rng: Luck) -> Orders:
        """As `decide`: only the authorised participant trades."""
        return self._slice(view) if me.number == 1 else None

    def _slice(self, view: View) -> NDArray[Any]:
        """MESSAGE (1,) or (0,): what the authorised participant sends in this tick."""
        p, world = self.parameters, self.world
        last, open_s = int(view.last_ticks[world.spot]), self._hours.open_s(view.seconds - view.tick_s, view.seconds)
        if self.open_micro == 0 or last <= 0 or open_s == 0.0:
            return np.zeros(0, MESSAGE)
        side = BUY if self.open_micro > 0 else SELL
        price = last * self._dollars
        lot_coins = self._unit / SATOSHI
        # The flow seen is net, so it is a lower bound of the volume.
        most = max(p.least_rate_coins, p.participation * abs(float(view.flow_lots[world.spot])) * lot_coins / 60.0)
        rate = min(most, abs(self.open_micro) / MICRO / price / p.work_s)
        lots = min(round(rate * open_s / lot_coins), round(abs(self.open_micro) / MICRO / price / lot_coins))
        limit = max(1, round(last * (1.0 + side * p.slip)))
        if side == BUY:
            fee = 1.0 + float(world.markets.taker_fee[world.spot]) / 1e8
            cost = limit * int(world.markets.tick_value[world.spot]) * fee
            lots = min(lots, int(self._cash / cost))
        else:
            lots = min(lots, int(world.accounts.cash[world.btc, self.trader]) // self._unit)
        if lots <= 0:
            return np.zeros(0, MESSAGE)
        order = np.zeros(1, MESSAGE)
        order["order"] = order["cause"] = NOBODY
        order["market"], order["account"], order["op"], order["side"] = world.spot, self.trader, IOC, side
        order["price_ticks"], order["size_lots"], order["latency"] = limit, lots, self.latency
        order["reason"] = BY_CREATION if side == BUY else BY_REDEMPTION
        return order

    def review(self, view: View, office: Office) -> None:
        """Investors' orders of this tick, money in and out, baskets in and out."""
        p, world = self.parameters, self.world
        cash = int(world.accounts.cash[world.usdt, self.trader])
        self.open_micro += cash - self._cash  # what was bought or sold since the last tick
        self.traded_usd -= (cash - self._cash) / MICRO
        last = int(view.last_ticks[world.spot])
        if last > 0:
            self._price_usd = last * self._dollars
        if view.seconds >= self._next_look_s:
            self._prices.append(self._price_usd)
            self._next_look_s += p.look_s
        open_s = self._hours.open_s(view.seconds - view.tick_s, view.seconds)
        if open_s > 0.0:
            wanted = self.session_flow_usd(view.seconds, self._price_usd) * open_s / SESSION_S
            self.open_micro += round(wanted * MICRO)
            self.demanded_usd += wanted
        if open_s > 0.0 or cash != self._cash:
            self._settle(cash, office)
        self._cash = int(world.accounts.cash[world.usdt, self.trader])

    def _settle(self, cash: int, office: Office) -> None:
        """The trader's cash becomes what is still to be invested; whole baskets of coins go where they belong."""
        world, target = self.world, max(self.open_micro, 0)
        if cash < target:
            office.pay(office.outside, self.trader, world.usdt, target - cash, BY_CREATION)
        elif cash > target:
            office.pay(self.trader, office.outside, world.usdt, cash - target, BY_REDEMPTION)
        held = int(world.accounts.cash[world.btc, self.trader])
        if self.open_micro < 0:
            needed = math.ceil(-self.open_micro / MICRO / self._price_usd * SATOSHI) - held
            self.redeem(needed, office)
        elif held:
            self.create(held, office)

    def create(self, satoshi: int, office: Office) -> None:
        """Deliver as many whole baskets as these coins fill."""
        basket = self.parameters.basket_shares
        shares = satoshi * self.shares // self.custody_satoshi // basket * basket
        if shares > 0:
            coins = basket_coins(self.custody_satoshi, self.shares, shares, BUY)
            if coins <= satoshi:
                office.pay(self.trader, self.custody, self.world.btc, coins, BY_CREATION)
                self.shares += shares

    def redeem(self, satoshi: int, office: Office) -> None:
        """Redeem whole baskets that hold at least these coins; one basket always stays."""
        basket = self.parameters.basket_shares
        if satoshi <= 0:
            return
        per_basket = max(1, self.custody_satoshi * basket // self.shares)
        shares = min(-(-satoshi // per_basket), self.shares // basket - 1) * basket
        if shares > 0:
            coins = basket_coins(self.custody_satoshi, self.shares, shares, SELL)
            office.pay(self.custody, self.trader, self.world.btc, coins, BY_REDEMPTION)
            self.shares -= shares

    def measured(self) -> Mapping[str, float]:
        """Flows so far, shares, custody, NAV, and what coins are left at the venue."""
        coins = self.custody_satoshi
        return {
            "demanded_usd": self.demanded_usd,
            "traded_usd": self.traded_usd,
            "open_usd": self.open_micro / MICRO,
            "custody_btc": coins / SATOSHI,
            "shares_count": float(self.shares),
            "nav_usd": coins / SATOSHI * self._price_usd / self.shares,
            "reserve_btc": self._reserves.btc(),
        }
