"""Leveraged value funds, after Thurner, Farmer and Geanakoplos (2012): buyers of discounts who must sell into a fall.

A fund with wealth W sees the mispricing m = 1 - p / F (F fair value, p last price; in the paper V - p with V = 1) and
wants coins worth

    D p = min(beta m, lambda) W   for m > 0,   D = 0 otherwise.

Below m = lambda / beta it leans against the fall. Beyond, its leverage D p / W is at the limit lambda: when the price
falls from p to p', the wealth falls by D (p - p') and the fund must sell

    (lambda - 1) (p / p' - 1) D   coins,

a margin call. With lambda = 1 that is nothing. Betas are spread evenly from `least_beta` to `most_beta`.

Wealth. W changes by what the fund earns and by its investors: every `flow_s`, with r the return since the last time, P
<- (1 - a) P + a r and F = max(-1, b (P - benchmark)) W flows in, or is owed and paid out as positions are sold. Below
`default_share` of its first wealth a fund closes; after `reentry_s` another one takes its place with the first wealth.

In the book. The fund holds the perpetual in a cross account: the venue is its bank, with its own initial margin, tiers
and liquidation below the fund's limit. (A bank loan on spot would be the same demand with interest in place of
funding.) It goes to its target at speed 1 / tau by immediate-or-cancel orders; a margin call sells all that is above
the limit at once. The paper clears one Walrasian market a step; so the numbers of its figures are not to be expected,
their order is.

Form, betas (5, 10, ... 50), a, b, benchmark and default are the paper's, as relayed (papers card #2; two public
implementations differ in a and b). Time has no unit there; `flow_s`, `speed_s`, `reentry_s` and the capital are
assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from abm.events import BY_COVENANT, BY_CREATION, BY_REDEMPTION, BY_VALUE
from abm.parameters import Parameters, quantity
from abm.state import BUY, CROSS, I64, IOC, LEVERAGED_FUND, SELL
from abm.traders.base import PEOPLE_LATENCY, Batch, Office, Participant, View, World, asked
from abm.traders.handle import Account, Luck, Orders
from abm.units import INT64_MAX, MICRO

F64 = NDArray[np.float64]
PAPER = "Thurner, Farmer and Geanakoplos (2012), as relayed"


class LeveragedFundsParameters(Parameters):
    """Value funds that borrow."""

    funds: int = quantity(10, unit="funds", source=PAPER, ge=1, le=1000, grade="C")
    capital_usd: float = quantity(
        100e6, unit="$", source="not observed", gt=0.0, likely=(10e6, 2e9), text="first wealth of all funds together"
    )
    least_beta: float = quantity(5.0, unit="-", source=PAPER, gt=0.0, grade="C", text="leverage per unit of mispricing")
    most_beta: float = quantity(50.0, unit="-", source=PAPER, gt=0.0, grade="C")
    most_leverage: float = quantity(
        10.0, unit="x", source=PAPER, ge=0.1, le=50.0, grade="C", likely=(1.0, 20.0), text="lambda"
    )
    speed_s: float = quantity(30.0, unit="s", source="not observed", gt=0.0, likely=(5.0, 300.0), text="tau")
    slip: float = quantity(0.003, unit="fraction", source="as noise traders", ge=0.0, le=0.5)
    call_slip: float = quantity(
        0.02, unit="fraction", source="not observed", ge=0.0, le=0.5, text="worst price of a sale by margin call"
    )
    flow_s: float = quantity(
        86_400.0, unit="s", source="a step of the paper has no length", gt=0.0, text="between two flows of investors"
    )
    flow_memory: float = quantity(0.1, unit="-", source=PAPER, ge=0.0, le=1.0, grade="C", text="a")
    flow_response: float = quantity(0.15, unit="-", source=PAPER, ge=0.0, grade="C", text="b; 0: no flows")
    benchmark: float = quantity(0.005, unit="fraction", source=PAPER, grade="C", text="return that keeps investors")
    default_share: float = quantity(0.1, unit="of the first wealth", source=PAPER, ge=0.0, lt=1.0, grade="C")
    reentry_s: float = quantity(8_640_000.0, unit="s", source="100 steps", gt=0.0)


def demand(mispricing: F64, beta: F64, most_leverage: float) -> F64:
    """Wanted leverage D p / W = min(beta m, lambda), a fraction; nothing where m <= 0; all of one shape."""
    wanted: F64 = np.clip(beta * mispricing, 0.0, most_leverage)
    return wanted


class LeveragedFunds(Participant):
    """All funds of the entry: cross accounts on the perpetual. People: they decide once a tick."""

    latency = PEOPLE_LATENCY
    row_kind = LEVERAGED_FUND
    example_scenario: ClassVar[Mapping[str, Any]] = {"news.shock.change_percent": 3}  # a discount to buy
    parameters_class = LeveragedFundsParameters
    parameters: LeveragedFundsParameters

    def rows_needed(self) -> int:
        return self.parameters.funds

    def bind(self, world: World) -> None:
        """The first wealth in cash; a leverage setting a quarter above the limit, so that the limit binds first."""
        p, self.world, n = self.parameters, world, self.rows.size
        accounts, markets, perp = world.accounts, world.markets, world.perp
        accounts.kind[self.rows], accounts.mode[self.rows] = self.row_kind, CROSS
        accounts.leverage[self.rows] = chosen = min(
            int(np.ceil(1.25 * p.most_leverage)), int(markets.tier_leverage[perp, 0])
        )
        over = markets.tier_floor[perp][(markets.tier_leverage[perp] < chosen) & (markets.tier_floor[perp] > 0)]
        self._most_value = float(over.min() if over.size else INT64_MAX)
        """Largest position that the venue's tiers allow at that setting, settlement units."""
        self._slot = int(markets.slot[perp])
        self._beta = np.linspace(p.least_beta, p.most_beta, n) if n > 1 else np.array([p.least_beta])
        self.first_wealth = round(p.capital_usd * MICRO / n)
        world.deposit(self.rows, world.usdt, np.full(n, self.first_wealth))
        self.owed = np.zeros(n, np.int64)
        """What investors have asked back and not been paid yet, settlement units (funds,)."""
        self.performance = np.full(n, p.benchmark)
        self._valued = np.full(n, self.first_wealth)
        self._next_flow_s = p.flow_s
        self._closed_until_s = np.full(n, -1.0)
        self._called = np.zeros(n, np.bool_)

    def wealth(self, view: View, who: I64) -> I64:
        """Cash and marked position of some funds, settlement units; shape of `who`."""
        world, rows, perp = self.world, self.rows[who], self.world.perp
        accounts, mark = world.accounts, int(view.mark_ticks[perp]) or int(view.last_ticks[perp])
        value = world.markets.value(perp, accounts.position[self._slot, rows], mark)
        settled: I64 = accounts.cash[world.usdt, rows] - accounts.entry_cost[self._slot, rows] + value
        return settled

    def decide(self, view: View, batch: Batch) -> None:
        """Step toward the target, or back under the limit."""
        self._rule(view, np.arange(self.rows.size), batch)

    def decide_one(self, view: View, me: Account, rng: Luck) -> Orders:
        """The same for one fund."""
        return asked(self._rule, view, me.number)

    def _rule(self, view: View, who: I64, batch: Batch) -> None:
        p, world = self.parameters, self.world
        last, fair = int(view.last_ticks[world.perp]), float(view.fair_ticks[world.perp])
        if last <= 0 or fair <= 0.0:
            return
        lot = float(world.markets.value(world.perp, 1, last))
        held = world.accounts.position[self._slot, self.rows[who]]
        wealth = np.maximum(self.wealth(view, who) - self.owed[who], 0).astype(np.float64)
        leverage = demand(np.full(who.size, 1.0 - last / fair), self._beta[who], p.most_leverage)
        leverage[view.seconds < self._closed_until_s[who]] = 0.0
        target = np.floor(np.minimum(leverage * wealth, self._most_value) / lot)
        limit = np.floor(p.most_leverage * wealth / lot)
        called = self._called[who] = (held > 0) & (held > limit)
        step = np.trunc((target - held) * -np.expm1(-view.tick_s / p.speed_s))
        step = np.where(called, np.minimum(step, limit - held), step).astype(np.int64)
        for side, urgent in ((BUY, False), (SELL, False), (SELL, True)):
            some = (side * step > 0) & (called == urgent)
            if not some.any():
                continue
            slip = p.call_slip if urgent else p.slip
            orders = batch.add(int(some.sum()))
            orders["market"], orders["account"], orders["op"] = world.perp, self.rows[who[some]], IOC
            orders["side"], orders["size_lots"] = side, np.abs(step[some])
            orders["price_ticks"] = max(1, round(last * (1.0 + side * slip)))
            orders["reason"], orders["latency"] = BY_COVENANT if urgent else BY_VALUE, self.latency

    # --- investors ----------------------------------------------------------------------------------------------------

    def review(self, view: View, office: Office) -> None:
        """Defaults and new funds; flows of investors on their clock; what is owed is paid as far as it is free."""
        due = view.seconds >= self._next_flow_s
        wealth = self.wealth(view, np.arange(self.rows.size))
        low = wealth < self.parameters.default_share * self.first_wealth
        if not due and not low.any() and not self.owed.any() and not (self._closed_until_s > 0.0).any():
            return
        for number in np.flatnonzero(low & (self._closed_until_s < 0.0)).tolist():
            self._closed_until_s[number], self.owed[number] = view.seconds + self.parameters.reentry_s, 0
        for number in np.flatnonzero((self._closed_until_s > 0.0) & (view.seconds >= self._closed_until_s)).tolist():
            self._begin_again(number, int(wealth[number]), office)
        if due:
            self._next_flow_s = view.seconds + self.parameters.flow_s
            for number in np.flatnonzero(self._closed_until_s < 0.0).tolist():
                self._flow(number, int(wealth[number]), office)
        for number in np.flatnonzero(self.owed).tolist():
            self._redeem(view, number, office)

    def _begin_again(self, number: int, wealth: int, office: Office) -> None:
        row = int(self.rows[number])
        if wealth < self.first_wealth:
            office.pay(office.outside, row, self.world.usdt, self.first_wealth - wealth, BY_CREATION)
        self._closed_until_s[number], self.performance[number] = -1.0, self.parameters.benchmark
        self._valued[number] = max(wealth, self.first_wealth)

    def _flow(self, number: int, wealth: int, office: Office) -> None:
        p, mine = self.parameters, max(wealth - int(self.owed[number]), 0)
        earned = mine / max(int(self._valued[number]), 1) - 1.0
        self.performance[number] += p.flow_memory * (earned - self.performance[number])
        flow = int(max(-1.0, p.flow_response * (self.performance[number] - p.benchmark)) * mine)
        if flow > 0:
            office.pay(office.outside, int(self.rows[number]), self.world.usdt, flow, BY_CREATION)
        else:
            self.owed[number] -= flow
        self._valued[number] = mine + flow

    def _redeem(self, view: View, number: int, office: Office) -> None:
        """Pay what is owed from cash that the position does not need at the limit of leverage."""
        world, row = self.world, int(self.rows[number])
        accounts, perp = world.accounts, world.perp
        mark = int(view.mark_ticks[perp]) or int(view.last_ticks[perp])
        value = int(world.markets.value(perp, int(accounts.position[self._slot, row]), mark))
        free = int(self.wealth(view, np.array([number]))[0]) - int(abs(value) / self.parameters.most_leverage)
        free = min(free, int(accounts.cash[world.usdt, row] - accounts.reserved[world.usdt, row]))
        paid = max(0, min(int(self.owed[number]), free))
        if paid:
            self.owed[number] -= paid
            office.pay(row, office.outside, world.usdt, paid, BY_REDEMPTION)

    def measured(self) -> Mapping[str, float]:
        """Positions, money owed, and funds that had a margin call at their last decision, or are closed."""
        held = int(self.world.accounts.position[self._slot, self.rows].sum())
        return {
            "position_btc": held * float(self.world.markets.lot_coins[self.world.perp]),
            "owed_usd": float(self.owed.sum()) / MICRO,
            "called_funds": float(self._called.sum()),
            "closed_funds": float((self._closed_until_s > 0.0).sum()),
        }
