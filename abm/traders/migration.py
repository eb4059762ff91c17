"""Money moves between venues, into an exchange-traded fund, and back: by how attractive each place has become.

Attraction. Of venue v, relative to its opening,

    u_v = leverage ln(L_v / L_v0) - fee (f_v - f_v0) - deleveraging A_v - fund X_v - outage [closed]
          + regulation [regulated] A

L highest leverage offered, f taker fee in basis points; A_v what was deleveraged there over its open interest of that
moment, summed, decaying with `memory_s`; X_v how far its fund is used up (0 to 1); A the average of A_v over venues,
weighted by their money. The fund (ETF) is a place like a regulated venue, u = regulation A.

Choice. With b_v the money that calls v its home, the share of all money that wants to be at v is the logit

    pi_v = b_v exp(u_v) / sum b exp(u).

b_v is the retail money at v at the opening and follows what is won and lost there by trading, so that losses are not
made good by others' money, and nothing moves while nothing has changed. b of the fund is `etf_share` of all money.

Flow. Every `review_s`, of the difference between what is at v and what wants to be there, the part
1 - exp(-review_s / time_s) moves (only the net is posted): with u constant the shares relax to the logit's,
m(t) = pi M + (m(0) - pi M) exp(-t / time_s). Only accounts without position and order can leave, so less may move.
Which of them go is drawn by key; an account that goes takes all its free money, the last one a part.

Money. An amount leaves the account for the outside world of its venue, is on its way for `delay_s`, and enters an
account without a position, drawn by key, from the outside world of the other venue. Settlement assets count at par.
What goes to the fund stays in the outside world unless the scenario has a participant named `etf` that takes
subscriptions: then it is told the amount (dollars; negative for money that comes back).

That users left a venue that had deleveraged them is reported (Hyperliquid: 50,000 active traders before, 20,000 after
10 October 2025, relayed); the form of the rule and all other numbers are assumed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from abm.events import BY_MIGRATION
from abm.parameters import Parameters, quantity
from abm.rng import stream, uniforms
from abm.state import I64
from abm.traders.base import Office, Participant, View
from abm.traders.competition import flat
from abm.traders.retail_kernel import NEWS
from abm.units import MICRO, RATE_ONE
from abm.venues.exchange import OUTSIDE_ROW

if TYPE_CHECKING:
    from abm.opening import Place

UNKNOWN = "not observed"
ACTIVE = 10 * MICRO
"""An account with less than $10 is nobody's any more."""
_LEAVES, _ARRIVES = stream("migration leaves"), stream("migration arrives")
F64 = NDArray[np.float64]


class MigrationParameters(Parameters):
    """Retail money that looks for another place."""

    venues: tuple[str, ...] = Field(default=(), description="names of the venues between which it moves; none: all")
    review_s: float = quantity(86_400.0, unit="s", source="a day; accelerated scenarios say so", gt=0.0)
    time_s: float = quantity(
        604_800.0, unit="s", source="a week, not observed", gt=0.0, likely=(86_400.0, 2_592_000.0), text="relaxation"
    )
    delay_s: float = quantity(
        3_600.0, unit="s", source="confirmations and crediting, as between the bridges' venues", ge=0.0, grade="M"
    )
    leverage: float = quantity(
        0.3, unit="per log of leverage", source=UNKNOWN, ge=0.0, likely=(0.0, 1.0), text="pull of leverage offered"
    )
    fee: float = quantity(0.05, unit="per bp", source=UNKNOWN, ge=0.0, likely=(0.0, 0.2))
    deleveraging: float = quantity(
        6.5,
        unit="per share of open interest",
        source="traders of Hyperliquid fell to 0.4 (ln = -0.92) after 14 % of its BTC open interest was deleveraged",
        ge=0.0,
        grade="C",
        likely=(2.0, 15.0),
        text="push of having been deleveraged",
    )
    fund: float = quantity(
        0.5, unit="-", source=UNKNOWN, ge=0.0, likely=(0.0, 2.0), text="push of a fund that is used up"
    )
    outage: float = quantity(0.5, unit="-", source=UNKNOWN, ge=0.0, text="push of a venue that stands still")
    regulation: float = quantity(
        2.0,
        unit="per share of open interest",
        source=UNKNOWN,
        ge=0.0,
        likely=(0.0, 6.0),
        text="pull of regulated places after deleveraging anywhere",
    )
    memory_s: float = quantity(2_592_000.0, unit="s", source="a month, not observed", gt=0.0, text="of deleveraging")
    etf_share: float = quantity(
        0.05, unit="-", source=UNKNOWN, ge=0.0, lt=1.0, text="of all money: in the fund at the opening"
    )
    etf: str = Field(default="", description="name of the participant that takes subscriptions; none: money is outside")


# --- the rule ---------------------------------------------------------------------------------------------------------
def logit(base: F64, attraction: F64) -> F64:
    """Shares pi of the places, float64 (P,), from what calls them home (money) and their attraction."""
    weight = base * np.exp(attraction - attraction.max())
    share: F64 = weight / weight.sum()
    return share


def net_flows(money: F64, share: F64, part: float, free: F64) -> tuple[F64, F64]:
    """What leaves and what enters each place, float64 (P,): `part` of the distance to its share; at most `free`."""
    gap = share * money.sum() - money
    leaves = np.minimum(part * np.maximum(-gap, 0.0), np.maximum(free, 0.0))
    room = np.maximum(gap, 0.0)
    enters = room * (leaves.sum() / room.sum()) if room.sum() > 0.0 else np.zeros_like(room)
    return leaves if room.sum() > 0.0 else np.zeros_like(room), enters


def pieces(leaving: I64, quota: I64) -> tuple[I64, I64, I64]:
    """Hand the leaving amounts (n,) one after another to the places (P,) until each has its quota.

    Returns (number of the leaving amount, place, amount) of every piece, int64 (k,); sums are equal.
    """
    ends, marks = np.cumsum(leaving), np.cumsum(quota)
    cuts = np.union1d(ends, marks)
    cuts = cuts[(cuts > 0) & (cuts <= (ends[-1] if ends.size else 0))]
    amount = np.diff(cuts, prepend=0)
    who, place = np.searchsorted(ends, cuts), np.searchsorted(marks, cuts)
    return who.astype(np.int64), place.astype(np.int64), amount.astype(np.int64)


# --- the places -------------------------------------------------------------------------------------------------------
@dataclass(slots=True)
class Home:
    """One venue between which money moves."""

    place: Place
    settle: int
    outside: int
    people: I64  # numbers of its retail traders that can move (not those who trade on news)
    regulated: bool
    start_leverage: int
    start_fee: int
    known_usd: float = 0.0  # money there as of the last look, with what came and went since
    distress: float = 0.0  # A_v
    arrived: int = 0  # pieces so far, key of the draws
    net_micro: int = 0  # arrived less left
    key: str = field(init=False)

    def __post_init__(self) -> None:
        self.key = self.place.name.replace("-", "_")


@dataclass(frozen=True, slots=True)
class Flying:
    """Amounts (settlement units) on their way to a venue."""

    due_s: float
    home: int
    amounts: I64


class Migration(Participant):
    """All who move money. It has no account of its own: it posts between retail accounts and the outside worlds."""

    parameters: MigrationParameters
    parameters_class = MigrationParameters
    example: ClassVar[Mapping[str, Any]] = {"review_s": 5.0, "time_s": 20.0, "delay_s": 3.0}
    example_world = "two-venues"

    def rows_needed(self) -> int:
        return 0

    def begin(self, model: Any) -> None:
        """Find the venues and what calls them home."""
        p = self.parameters
        self._markets, self._accounts, self._exchanges = model.markets, model.accounts, model.exchanges
        chosen = [place for place in model.places if not p.venues or place.name in p.venues]
        self.homes = [self._home(place) for place in chosen]
        self.base = np.array([self._money(home).sum() / MICRO for home in self.homes])
        for home, money in zip(self.homes, self.base.tolist(), strict=True):
            home.known_usd = money
        self.etf_usd = float(self.base.sum()) * p.etf_share / (1.0 - p.etf_share)
        self.base = np.append(self.base, self.etf_usd)
        joined = [one for place in model.places for one in place.joined]
        named = [one for one in joined if p.etf and one.name == p.etf]
        self._subscribe = getattr(named[0], "subscribe", None) if named else None
        self.on_the_way: list[Flying] = []
        self.etf_micro = 0  # net of what went to the fund since the opening
        self._next_s = p.review_s

    def _home(self, place: Place) -> Home:
        m, markets = place.perp, self._markets
        people = np.flatnonzero(place.retail.kind != NEWS)
        return Home(
            place, int(markets.settle[m]), place.first_row + OUTSIDE_ROW, people, place.setup.preset.hours is not None,
            int(markets.tier_leverage[m, 0]), int(markets.taker_fee[m]),
        )  # fmt: skip

    def review(self, view: View, office: Office) -> None:
        """Remember who was deleveraged; credit what arrives; when it is time, let money leave."""
        decay = math.exp(-view.tick_s / self.parameters.memory_s)
        for home in self.homes:
            home.distress *= decay
            deleveraged = self._exchanges.tick_totals(home.place.perp).deleveraged
            if deleveraged:
                home.distress += deleveraged / max(self._interest(home, view) + deleveraged, 1.0)
        self._arrive(view, office)
        if view.seconds >= self._next_s:
            self._next_s = view.seconds + self.parameters.review_s
            self._leave(view, office)

    def _interest(self, home: Home, view: View) -> float:
        """Open interest at the mark, settlement units."""
        m, a = home.place.perp, self._accounts
        lots = np.maximum(a.position[int(self._markets.slot[m]), a.venue == home.place.number], 0).sum()
        return float(abs(int(self._markets.value(m, int(lots), int(view.mark_ticks[m])))))

    def _money(self, home: Home) -> I64:
        """Cash and isolated margin of everybody who can move, settlement units, int64 (n,)."""
        a, rows = self._accounts, home.place.retail.rows[home.people]
        money: I64 = a.cash[home.settle, rows] + a.margin[:, rows].sum(axis=0)
        return money

    def attraction(self) -> F64:
        """The u of each venue and of the fund, float64 (V + 1,): log weights of the choice."""
        p, markets, halts = self.parameters, self._markets, self._exchanges.halts
        weight = self.base[:-1] / self.base[:-1].sum()
        afraid = p.regulation * float((weight * [home.distress for home in self.homes]).sum())
        found = []
        for home in self.homes:
            m = home.place.perp
            u = p.leverage * math.log(int(markets.tier_leverage[m, 0]) / home.start_leverage)
            u -= p.fee * (int(markets.taker_fee[m]) - home.start_fee) / (RATE_ONE // 10_000)
            u -= p.deleveraging * home.distress + p.fund * self._exchanges.distress(home.place.number)
            u -= p.outage * bool(halts.dark[m])
            found.append(u + afraid * home.regulated)
        return np.array([*found, afraid])

    def _leave(self, view: View, office: Office) -> None:
        """The net flows of this review."""
        p = self.parameters
        for number, home in enumerate(self.homes):  # what was won or lost here moves what calls it home
            money = float(self._money(home).sum()) / MICRO
            self.base[number] *= max(money, 0.0) / home.known_usd if home.known_usd > 0.0 else 1.0
            home.known_usd = money
        present = np.array([home.known_usd for home in self.homes])
        for item in self.on_the_way:
            present[item.home] += float(item.amounts.sum()) / MICRO
        free = [self._free(home) for home in self.homes]
        can_go = np.array([0.0 if self._closed(h) else f.sum() / MICRO for h, f in zip(self.homes, free, strict=True)])
        share = logit(self.base, self.attraction())
        part = -math.expm1(-p.review_s / p.time_s)
        everything = np.append(present, self.etf_usd)
        leaves, enters = net_flows(everything, share, part, np.append(can_go, self.etf_usd))
        quota = np.floor(enters * MICRO).astype(np.int64)
        going = [self._going(home, money, view, round(out * MICRO)) for home, money, out in
                 zip(self.homes, free, leaves.tolist(), strict=False)]  # fmt: skip
        amounts = np.concatenate([*(amount for _, amount in going), np.array([round(leaves[-1] * MICRO)])])
        origin = np.repeat(np.arange(len(going) + 1), [*(rows.size for rows, _ in going), 1])
        rows = np.concatenate([*(rows for rows, _ in going), np.array([-1])])
        who, place, amount = pieces(amounts, quota)
        known = place < quota.size  # fractions of a unit that the quotas lack stay where they are
        self._post(view, office, origin[who[known]], rows[who[known]], place[known], amount[known])

    def _closed(self, home: Home) -> bool:
        return bool(self._exchanges.halts.dark[home.place.perp])

    def _free(self, home: Home) -> I64:
        """Free cash of those who have no position and no order, 0 for the others; int64 (n,)."""
        a, rows = self._accounts, home.place.retail.rows[home.people]
        cash = a.cash[home.settle, rows] - a.reserved[home.settle, rows]
        money: I64 = np.where(flat(a, rows), np.maximum(cash, 0), 0)
        return money

    def _going(self, home: Home, free: I64, view: View, total: int) -> tuple[I64, I64]:
        """Rows that leave, in the order drawn, and their amounts, which add up to `total` (or all there is)."""
        order = np.argsort(uniforms(home.place.setup.seed, _LEAVES, home.people, view.tick, 0), kind="stable")
        order = order[free[order] > 0]
        ends = np.cumsum(free[order])
        count = int(np.searchsorted(ends, total)) + 1 if total > 0 else 0
        chosen, amounts = order[:count], free[order[:count]].copy()
        if 0 < count <= order.size:
            amounts[-1] -= int(ends[count - 1]) - total
        return home.place.retail.rows[home.people[chosen]], amounts

    def _post(self, view: View, office: Office, origin: I64, rows: I64, place: I64, amount: I64) -> None:
        """Take the amounts out of the accounts (origin V: out of the fund) and send them on their way."""
        etf = len(self.homes)
        for start, row, units in zip(origin.tolist(), rows.tolist(), amount.tolist(), strict=True):
            if start != etf:
                home = self.homes[start]
                office.pay(row, home.outside, home.settle, units, BY_MIGRATION)
                home.known_usd -= units / MICRO
                home.net_micro -= units
        to_fund = int(amount[place == etf].sum()) - int(amount[origin == etf].sum())
        self.etf_micro += to_fund
        self.etf_usd += to_fund / MICRO
        if to_fund and self._subscribe is not None:
            self._subscribe(to_fund / MICRO)
        for number in range(etf):
            mine = amount[place == number]
            if mine.size:
                self.on_the_way.append(Flying(view.seconds + self.parameters.delay_s, number, mine))

    def _arrive(self, view: View, office: Office) -> None:
        """Credit what is due, each piece to somebody without a position; a closed venue credits when it is open."""
        due = [f.due_s <= view.seconds and not self._closed(self.homes[f.home]) for f in self.on_the_way]
        now = [item for item, arrives in zip(self.on_the_way, due, strict=True) if arrives]
        self.on_the_way = [item for item, arrives in zip(self.on_the_way, due, strict=True) if not arrives]
        for item in now:
            home = self.homes[item.home]
            rows = home.place.retail.rows[home.people]
            rows = rows[flat(self._accounts, rows)]
            if not rows.size:
                self.on_the_way.append(item)
                continue
            number = home.arrived + np.arange(item.amounts.size)
            pick = uniforms(home.place.setup.seed, _ARRIVES, number, 0, 0) * rows.size
            for row, units in zip(rows[pick.astype(np.int64)].tolist(), item.amounts.tolist(), strict=True):
                office.pay(home.outside, row, home.settle, units, BY_MIGRATION)
            total = int(item.amounts.sum())
            home.arrived += item.amounts.size
            home.known_usd += total / MICRO
            home.net_micro += total

    def measured(self) -> Mapping[str, float]:
        """Money, active accounts and net flow of each venue, on the way, and to the fund since the opening."""
        flying = sum(int(item.amounts.sum()) for item in self.on_the_way)
        found = {"on_the_way_usd": flying / MICRO, "to_etf_usd": self.etf_micro / MICRO}
        for home in self.homes:
            money = self._money(home)
            found[f"{home.key}_money_usd"] = float(money.sum()) / MICRO
            found[f"{home.key}_traders"] = float((money >= ACTIVE).sum())
            found[f"{home.key}_net_usd"] = home.net_micro / MICRO
        return found
