"""Random histories on every venue with every loss rule: what may never happen, whatever the rule book.

After every step: money, positions and coins add up exactly per asset and no reserve is negative (the engine's audits),
and a second ledger, fed by the events alone, has the same balances. In every round of liquidation:

* an account without position and orders keeps every unit it has;
* deleveraging happens only under a rule that closes positions; it takes from winners of the instrument in which an
  account was forced or the fund holds inventory, reduces and never flips; a loss is shared only by holders;
* rounds at one mark come to rest.

At rest, with the market open, under a rule that closes positions: a fund that holds inventory at a loss and is below
its floor (with a drawdown trigger: below what the peak allows) has found every winner on the other side. Not claimed:

* inventory at a profit stays, since closing it at its average price restores nothing;
* rules that close nobody (socialised, none) may leave the fund below, the first once the holders have no equity left;
* closing at the mark restores nothing either: the whole inventory goes, and the fund may stay below without any.

Within a round the claim holds at once, unless the fund paid a debt after the deleveraging, another instrument shares
its money, or the venue closes at the mark because bankruptcy is too far from it (`mark_beyond`).
"""

from __future__ import annotations

from typing import Any, ClassVar
from zlib import crc32

import numpy as np
import pytest
from hypothesis import note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from numpy.typing import NDArray

from abm.clearing.adl import RULES, SocialisedLoss, winners_at
from abm.clearing.audit import audit_money
from abm.events import (
    BAD_DEBT,
    BY_LOSS_SHARING,
    DELEVERAGE,
    FILL_EVENT,
    LIQUIDATION,
    TAKEOVER,
    TRANSFER,
)
from abm.state import (
    BUY,
    CANCEL,
    CROSS,
    FUND,
    IOC,
    ISOLATED,
    LIMIT,
    MARKET,
    ON_MARK,
    POST_ONLY,
    REDUCE_ONLY,
    SELL,
    SPOT,
    STOP,
)
from abm.units import MICRO
from abm.venues import desk as desk_module
from abm.venues.desk import PerpetualDesk
from abm.venues.exchange import FUND_ROW, OUTSIDE_ROW
from abm.venues.preset import VenuePreset, load_preset, preset_names
from tests.venue_ledger import VenueLedger
from tests.venue_world import DEEP_POCKET, FIRST, VenueWorld

PRICES = {"BTC": 2000.0, "ETH": 200.0, "USDE": 1.0}
LEVELS = 1 << 16
ACCOUNTS = (  # mode, highest leverage, dollars, dollars in coins
    (CROSS, 1, 200_000, 4_000),
    (CROSS, 20, 100_000, 0),
    (CROSS, 100, 5_000, 5_000),
    (ISOLATED, 5, 20_000, 0),
    (ISOLATED, 50, 20_000, 0),
    (ISOLATED, 1001, 2_000, 0),
    (CROSS, 10, 10_000, 0),  # never trades: the bystander
)
BYSTANDER = FIRST + len(ACCOUNTS) - 1
MOST_ROUNDS = 60
COMBINATIONS = [(preset, name) for preset in preset_names() for name in RULES]
ROWS = st.sampled_from(range(FIRST, BYSTANDER))
SIDES = st.sampled_from((BUY, SELL))
MARKETS = st.integers(0, 6)
SHOCKS = st.sampled_from((60, 300, 900, 2500, 5000))
CHANGES = st.sampled_from((-2500, -900, -300, -60, -5, 5, 60, 300, 900, 2500))
ORDERS = st.fixed_dictionaries(
    {
        "account": ROWS,
        "op": st.sampled_from((LIMIT, LIMIT, MARKET, IOC, POST_ONLY, STOP)),
        "side": SIDES,
        "dollars": st.sampled_from((1, 150, 8_000, 50_000, 200_000, 800_000)),
        "price": st.sampled_from((-400, -120, -40, -1, 0, 1, 40, 120, 400)),
        "flags": st.sampled_from((0, 0, 0, REDUCE_ONLY, ON_MARK, REDUCE_ONLY | ON_MARK)),
        "market": MARKETS,
    }
)


def venue(name: str, rule_name: str, floor_usd: int) -> VenuePreset:
    """A packaged venue with this loss rule; margin calls are due within a minute."""
    base = load_preset(name)
    closing = base.deleverage.model_copy(update={"rule": rule_name})
    backstop = base.backstop.model_copy(update={"floor_usd": floor_usd, "unload_share": "0.1"})
    liquidation = base.liquidation.model_copy(update={"deadline_s": min(base.liquidation.deadline_s, 60)})
    return base.model_copy(update={"deleverage": closing, "backstop": backstop, "liquidation": liquidation})


class VenueMachine(RuleBasedStateMachine):
    """Orders, marks, rounds, funding, transfers, halts and time on one venue."""

    combination: ClassVar = COMBINATIONS[0]

    @initialize(number=st.integers(0, 2**32 - 1))
    def begin(self, number: int) -> None:
        """Money, a quoted book, and positions near the limit of what each account may hold; all drawn from a number."""
        rng = np.random.default_rng(number)
        name, rule_name = self.combination
        fund_usd, floor_usd = int(rng.choice([0, 500, 20_000, 10**6])), int(rng.choice([0, 0, 0, 400]))
        depth_usd, self_trade = int(rng.choice([2_000, 100_000, 10**7])), int(rng.integers(5))
        note(f"{name} with {rule_name}, fund {fund_usd}, floor {floor_usd}, depth {depth_usd}")
        preset = venue(name, rule_name, floor_usd)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(desk_module, "LADDER_LEVELS", LEVELS)
            self.world = VenueWorld(len(ACCOUNTS), preset, PRICES, fund_usd, self_trade, levels=LEVELS)
        world, a = self.world, self.world.accounts
        self.perps = [desk.market for desk in world.exchanges.desks]
        self.highest = min(max(tier.leverage for tier in perp.tiers) for perp in preset.perpetual)
        coins = {asset.name: round(1 / (PRICES.get(asset.name, 1.0) * float(asset.unit))) for asset in preset.assets}
        for i, (mode, leverage, dollars, in_coins) in enumerate(ACCOUNTS):
            a.mode[FIRST + i], a.leverage[FIRST + i] = mode, min(leverage, self.highest)
            a.cash[0, FIRST + i] = dollars * MICRO
            for asset, units in enumerate(coins.values()):
                a.cash[asset, FIRST + i] += units * (in_coins if asset else 0) // max(len(coins) - 1, 1)
        if any(world.markets.inverse):
            a.cash[1, FUND_ROW] = coins["BTC"] * fund_usd
        a.mode[DEEP_POCKET] = CROSS
        world.settle_outside()
        world.exchanges.rebucket()
        self.ledger = VenueLedger(world)
        self.seen = self.moment = 0
        for market in range(world.markets.count):
            mark = int(world.exchanges.mark_ticks[market])
            for side in (BUY, SELL):
                prices = [mark - side * max(mark * away // 10_000, 1) for away in (1, 25, 300)]
                world.quote(side, prices, self.lots(market, depth_usd), market=market)
        for row, (_, leverage, dollars, _) in enumerate(ACCOUNTS[:-1], FIRST):
            for market in rng.permutation(self.perps)[:2].tolist():
                side, mark = int(rng.choice([BUY, SELL])), int(world.exchanges.mark_ticks[market])
                for share in (0.9, 0.4, 0.1):  # the most that its tier allows
                    lots = self.lots(market, int(share * dollars * min(leverage, self.highest)))
                    if not a.position[world.markets.slot[market], row]:
                        world.quote(-side, mark, lots, market=market)
                        world.send(world.message(row, IOC, side, lots, price_ticks=mark, market=market))

    def lots(self, market: int, dollars: int) -> int:
        """Size of an order worth so much at the mark."""
        m, mark = self.world.markets, int(self.world.exchanges.mark_ticks[market])
        return max(dollars // 100 if m.inverse[market] else dollars * MICRO // (mark * int(m.tick_value[market])), 1)

    # --- what may happen ----------------------------------------------------------------------------------------------

    def order(self, o: dict[str, Any]) -> NDArray[Any]:
        world = self.world
        market = o["market"] % world.markets.count
        spot = world.markets.kind[market] == SPOT
        mark = int(world.exchanges.mark_ticks[market])
        price = max(mark + mark * o["price"] // 10_000, 1)
        stop = price if o["op"] == STOP else 0
        return world.message(
            o["account"], o["op"], o["side"], self.lots(market, o["dollars"]), market=market, stop_ticks=stop,
            price_ticks=0 if o["op"] in (MARKET, STOP) else price, flags=0 if spot else o["flags"],
        )  # fmt: skip

    def send(self, batch: NDArray[Any]) -> None:
        """As the model does: what may pass is traded, then new liquidation prices."""
        self.moment += 1
        exchanges = self.world.exchanges
        self.world.floor.trade(exchanges.passing(batch), exchanges.mark_ticks, self.moment)
        exchanges.rebucket()

    @rule(orders=st.lists(ORDERS, min_size=1, max_size=5))
    def trade(self, orders: list[dict[str, Any]]) -> None:
        self.send(np.concatenate([self.order(o) for o in orders]))

    @rule(side=SIDES, dollars=st.sampled_from((150, 50_000, 2_000_000)), away=st.sampled_from((0, 5, 100)), m=MARKETS)
    def quote(self, side: int, dollars: int, away: int, m: int) -> None:
        """The deep pocket provides a level near the mark."""
        market = m % self.world.markets.count
        mark = int(self.world.exchanges.mark_ticks[market])
        price = max(mark - side * mark * away // 10_000, 1)
        lots = self.lots(market, dollars)
        self.send(self.world.message(DEEP_POCKET, LIMIT, side, lots, market=market, price_ticks=price))

    @rule(change=CHANGES, m=MARKETS)
    def move_mark(self, change: int, m: int) -> None:
        """Of a derivative, or the price at which coins count."""
        market = m % self.world.markets.count
        start, now = int(self.world.start[market]), int(self.world.exchanges.mark_ticks[market])
        self.world.set_mark(min(max(now + now * change // 10_000, start // 5), start * 3), market)

    def shock(self, moves: tuple[int, ...], leave: bool) -> None:
        """All marks move, with or without the book; what that forces is dealt with to the end."""
        if leave:
            self.send(self.world.desk.engine.cancels(np.array([DEEP_POCKET])))
        for move in moves:
            for market in self.perps:
                self.move_mark(move, market)
            self.until_quiet()

    @rule(by=SHOCKS, leave=st.booleans())
    def fall(self, by: int, leave: bool) -> None:
        self.shock((-by,), leave)

    @rule(by=SHOCKS, leave=st.booleans())
    def rise(self, by: int, leave: bool) -> None:
        self.shock((by + by // 4,), leave)

    @rule(by=SHOCKS, leave=st.booleans(), side=SIDES, seconds=st.sampled_from((61, 0, 4000)))
    def whipsaw(self, by: int, leave: bool, side: int, seconds: int) -> None:
        """Down and up, or up and down; steps are looked at again, calls run out, the daily break ends."""
        self.shock((side * by,), leave)
        self.wait(seconds)
        self.shock((-side * by, -side * by), leave)

    @rule(seconds=st.sampled_from((1, 60)), m=MARKETS, dark=st.booleans(), stay=st.sampled_from((False, False, True)))
    def halt(self, seconds: int, m: int, dark: bool, stay: bool) -> None:
        """A market stands still, a round goes by; mostly it opens again."""
        now = self.world.desk.now_ms(self.world.model.tick, 1.0)
        self.world.exchanges.halts.halt(m % self.world.markets.count, now + seconds * 1000, now, dark)
        self.round(False)
        if not stay:
            self.wait(seconds)

    @rule(what=st.sampled_from(("wait", "funding", "mark", "expiry")), seconds=st.sampled_from((1, 61, 3600, 90_000)))
    def meanwhile(self, what: str, seconds: int) -> None:
        """Time passes; funding is paid, of a random premium; the venue's own marks; the dated future ends."""
        exchanges = self.world.exchanges
        self.wait(seconds if what == "wait" else 8 * 3600 if what == "funding" else 1)
        if what == "mark":
            exchanges.mark()
            self.ledger.mark = exchanges.mark_ticks
        for desk in exchanges.desks:
            if what == "funding" and desk.funding is not None:
                desk.funding.preload((seconds % 7 - 3) * 100_000, 10**6)
            if what == "expiry" and desk.expiry_ms:
                desk.expiry_ms = 1
        exchanges.fund()

    def wait(self, seconds: int) -> None:
        """Halts end, margin calls run out, peaks are forgotten."""
        self.world.model.tick += seconds
        self.world.exchanges.begin_tick()

    @rule(row=ROWS, dollars=st.sampled_from((-5_000, -50, 100, 20_000)))
    def transfer(self, row: int, dollars: int) -> None:
        """Deposits, and withdrawals of what is not reserved."""
        a, amount = self.world.accounts, abs(dollars) * MICRO
        if dollars > 0:
            self.world.floor.transfer(OUTSIDE_ROW, row, 0, amount)
        elif (free := min(amount, int(a.cash[0, row] - a.reserved[0, row]))) > 0:
            self.world.floor.transfer(row, OUTSIDE_ROW, 0, free)
        self.world.exchanges.rebucket()

    @rule(unload=st.booleans())
    def round(self, unload: bool) -> None:
        """One round of liquidation, and what it may not do."""
        world, a = self.world, self.world.accounts
        self.digest({})
        exchanges = world.exchanges
        forced = exchanges.liquidate()
        parts = [world.message(0, CANCEL)[:0]] if forced is None else [forced]
        orders = [desk.unloading(1.0) for desk in exchanges.desks] if unload else []
        self.send(np.concatenate([*parts, *(order for order in orders if order is not None)]))
        losers = self.losers()
        idle = np.flatnonzero(~a.position.any(axis=0) & ~self.with_orders() & (a.kind < FUND))
        idle = np.setdiff1d(idle, list(set().union(*losers.values())))
        idle = idle[(a.cash[:, idle] >= 0).all(axis=0) & (a.margin[:, idle] == 0).all(axis=0)]
        before = a.cash[:, idle].copy()
        exchanges.absorb()
        assert np.array_equal(a.cash[:, idle], before) and not a.margin[:, idle].any(), "an idle account paid"
        assert BYSTANDER in idle
        self.digest(losers)
        self.nobody_owes()
        paid = (world.log.rows()[self.last :]["kind"] == BAD_DEBT).any()
        if len(exchanges.desks) == 1 and not paid and not exchanges.desks[0].backstop.rules.mark_beyond:
            self.fund_has_asked_everybody(exchanges.desks[0])

    def until_quiet(self) -> None:
        """Rounds at the present marks come to rest; then no fund is below its floor that could have passed on more."""
        for _ in range(MOST_ROUNDS):
            self.round(False)
            if not np.isin(self.world.log.rows()[self.last :]["kind"], (FILL_EVENT, TAKEOVER, DELEVERAGE)).any():
                break
        else:
            raise AssertionError(f"no rest after {MOST_ROUNDS} rounds")
        for desk in self.world.exchanges.desks:
            self.fund_has_asked_everybody(desk)

    # --- what must hold -----------------------------------------------------------------------------------------------

    def with_orders(self) -> NDArray[np.bool_]:
        """Bool (R,): rows with an order in a book."""
        floor = self.world.floor
        everyone, found = np.ones(floor.accounts.rows, np.bool_), np.zeros(floor.accounts.rows, np.bool_)
        for market in range(floor.markets.count):
            found[floor.books.orders["account"][floor.books.handles_of(everyone, market) & 0xFFFFFFFF]] = True
        return found

    def losers(self) -> dict[int, set[int]]:
        """By instrument, who was forced in this round; the fund always may pass on what it holds."""
        fresh = self.world.log.rows()[self.seen :]
        forced = fresh[fresh["kind"] == LIQUIDATION]
        return {m: {FUND_ROW, *forced["account"][forced["market"] == m].tolist()} for m in self.perps}

    def digest(self, losers: dict[int, set[int]]) -> None:
        """Post the new events to the second ledger one by one, looking at each before it is posted."""
        events = self.world.log.rows()
        self.last, fresh = self.seen, events[self.seen :]
        self.seen = events.size
        for n, e in enumerate(fresh):
            if e["kind"] == DELEVERAGE:
                self.check_deleverage(e, losers)
            elif e["kind"] == TRANSFER and e["reason"] == BY_LOSS_SHARING:
                rules = [desk.backstop.rule for desk in self.world.exchanges.desks if desk.market == e["market"]]
                self.ledger.open(int(e["market"]))
                assert self.ledger.position[int(e["account"])] and isinstance(rules[0], SocialisedLoss)
            self.ledger.apply(fresh[n : n + 1])
        self.ledger.compare(self.world.accounts)

    def check_deleverage(self, e: Any, losers: dict[int, set[int]]) -> None:
        """A winner of this instrument reduces against somebody who may lose here."""
        market, row, other = int(e["market"]), int(e["account"]), int(e["counterparty"])
        lots, ledger = int(e["side"]) * int(e["size_lots"]), self.ledger
        ledger.open(market)
        desk = next(desk for desk in self.world.exchanges.desks if desk.market == market)
        assert desk.backstop.rule.moves == "positions" and row in losers[market]
        held = ledger.position[other]
        assert held * lots > 0 and abs(lots) <= abs(held), "a winner flips"
        assert ledger.position[row] * lots < 0 and abs(lots) <= abs(ledger.position[row])
        profit = ledger.value(market, held, int(ledger.mark[market])) - ledger.cost[other]
        assert profit > 0 and self.world.accounts.kind[other] < FUND, "not a winner"

    def fund_has_asked_everybody(self, desk: PerpetualDesk) -> None:
        """The claim about the fund's floor that the head of this file states."""
        world, backstop, mark = self.world, desk.backstop, int(desk.mark_ticks)
        held = int(world.accounts.position[desk.slot, FUND_ROW])
        if backstop.rule.moves != "positions" or held == 0 or world.exchanges.halts.until_ms[desk.market]:
            return
        loss = int(world.accounts.entry_cost[desk.slot, FUND_ROW]) - backstop.value(held, mark)
        if loss <= 0 or backstop.equity(mark) >= backstop.floor_units():
            return
        side = SELL if held > 0 else BUY
        winners = winners_at(world.markets, world.accounts, desk.market, side, mark)
        lost = f"fund {backstop.equity(mark)} below {backstop.floor_units()}, holds {held}"
        assert winners.available_lots == 0, f"{lost}; rows {winners.rows.tolist()} have {winners.available_lots}"

    def nobody_owes(self) -> None:
        """Who has neither positions nor coins owes nothing either: the fund has paid."""
        a = self.world.accounts
        if self.world.exchanges.halts.halted.any():
            return
        flat = (a.kind < FUND) & ~a.position.any(axis=0) & ~(a.cash > 0).any(axis=0)
        assert not (a.cash[:, flat] < 0).any(), f"rows {np.flatnonzero(flat & (a.cash < 0).any(axis=0))} owe"

    @invariant()
    def everything_adds_up(self) -> None:
        self.digest({})
        audit_money(self.world.floor, self.world.assets)
        if self.moment % 4 == 0:  # the slow part: books, reserves, ladders
            self.world.audit()


def on(preset: str, rule_name: str) -> type[VenueMachine]:
    """The machine on one venue with one rule."""
    return type("On", (VenueMachine,), {"combination": (preset, rule_name)})


@pytest.mark.parametrize(("preset", "rule_name"), COMBINATIONS)
def test_no_rule_breaks_its_promises(preset: str, rule_name: str) -> None:
    machine = seed(crc32(f"{preset} {rule_name}".encode()))(on(preset, rule_name))  # else all see the same examples
    run_state_machine_as_test(machine, settings=settings(max_examples=3, stateful_step_count=12))


@pytest.mark.full
@pytest.mark.parametrize(("preset", "rule_name"), COMBINATIONS)
def test_no_rule_breaks_its_promises_in_many_histories(preset: str, rule_name: str) -> None:
    """Together 1,008 histories of 50 steps."""
    run_state_machine_as_test(on(preset, rule_name), settings=settings(max_examples=18, stateful_step_count=50))
