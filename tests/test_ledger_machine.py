"""Random histories through the real engine, checked after every step by a second ledger and by the formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from numpy.typing import NDArray

from abm.clearing.formulas import Tier, below_maintenance
from abm.events import BY_LIQUIDATION, DELEVERAGE, FILL_EVENT, LIQUIDATION, TAKEOVER
from abm.state import (
    BUY,
    CANCEL,
    CROSS,
    FOK,
    FUND,
    IOC,
    ISOLATED,
    LIMIT,
    MARKET,
    NOBODY,
    ON_MARK,
    POST_ONLY,
    REDUCE_ONLY,
    REPLACE,
    SELL,
    STOP,
    STOP_LIMIT,
)
from abm.traders.base import MACHINE_LATENCY, PEOPLE_LATENCY
from abm.units import MICRO
from abm.venues import desk
from abm.venues.exchange import FEES_ROW, OUTSIDE_ROW
from abm.venues.preset import VenuePreset, load_preset
from tests.shadow_ledger import ShadowLedger
from tests.venue_world import DEEP_POCKET, FIRST, VenueWorld

PRICE_USD = 1000.0
LEVELS = 1 << 15
ACCOUNTS = (  # mode, leverage, dollars, coins in lots
    (CROSS, 1, 200_000, 2_000_000),
    (CROSS, 20, 1_000_000, 0),
    (CROSS, 100, 5_000, 50_000),
    (ISOLATED, 5, 20_000, 0),
    (ISOLATED, 50, 20_000, 0),
    (ISOLATED, 150, 2_000, 0),
)
ROWS = st.sampled_from(range(FIRST, FIRST + len(ACCOUNTS)))
KINDS = st.sampled_from((LIMIT, LIMIT, MARKET, IOC, FOK, POST_ONLY, STOP, STOP_LIMIT))
BASIS_POINTS = st.sampled_from((-900, -400, -120, -40, -10, -1, 0, 1, 10, 40, 120, 400, 900))
CHANGES_OF_MARK = st.sampled_from((-2500, -900, -300, -60, -5, 5, 60, 300, 900, 2500))
AWAY = st.sampled_from((0, 5, 100))
SIDES = st.sampled_from((BUY, SELL))
ORDERS = st.fixed_dictionaries(
    {
        "account": ROWS,
        "op": KINDS,
        "side": SIDES,
        "lots": st.sampled_from((1, 70, 4000, 25_000, 100_000, 400_000)),
        "price": BASIS_POINTS,
        "stop": BASIS_POINTS,
        "any_price": st.booleans(),
        "flags": st.sampled_from((0, 0, 0, REDUCE_ONLY, ON_MARK, REDUCE_ONLY | ON_MARK)),
        "spot": st.sampled_from((False, False, False, True)),
    }
)
CHANGES = st.fixed_dictionaries(
    {
        "op": st.sampled_from((CANCEL, REPLACE)),
        "which": st.integers(0, 7),
        "lots": st.sampled_from((-1, 0, 1, 3000, 30_000)),
        "price": st.one_of(st.none(), BASIS_POINTS),
    }
)


def venue(limit_rule: str, sizing: str, fee: str, pays_fee: bool) -> VenuePreset:
    """Binance with other liquidation rules."""
    base = load_preset("binance-2025-10")
    rules = base.liquidation.model_copy(
        update={"order_limit": limit_rule, "sizing": sizing, "fee": fee, "pays_taker_fee": pays_fee}
    )
    backstop = base.backstop.model_copy(update={"floor_usd": 0, "unload_share": "0.1"})
    return base.model_copy(update={"liquidation": rules, "backstop": backstop})


class LedgerMachine(RuleBasedStateMachine):
    """Orders of every kind, moving marks, liquidation, funding and transfers, in any order."""

    @initialize(
        limit_rule=st.sampled_from(("bankruptcy", "bankruptcy", "band", "none")),
        sizing=st.sampled_from(("bring-back", "whole")),
        fee=st.sampled_from(("0.0125", "0.001")),
        pays_fee=st.booleans(),
        fund_usd=st.sampled_from((0, 500, 20_000, 10**9)),
        self_trade=st.integers(0, 4),
        depth=st.sampled_from((100, 10_000, 1_000_000)),
        sides=st.tuples(*(st.sampled_from((BUY, SELL, 0)) for _ in ACCOUNTS)),
    )
    def open(
        self,
        limit_rule: str,
        sizing: str,
        fee: str,
        pays_fee: bool,
        fund_usd: int,
        self_trade: int,
        depth: int,
        sides: tuple[int, ...],
    ) -> None:
        """Money, a quoted book, and positions near the limit of what each account may hold."""
        self.limit_rule, self.pays_fee = limit_rule, pays_fee
        rules = venue(limit_rule, sizing, fee, pays_fee)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(desk, "LADDER_LEVELS", LEVELS)
            world = VenueWorld(len(ACCOUNTS), rules, PRICE_USD, fund_usd=fund_usd, self_trade=self_trade, levels=LEVELS)
        self.world = world
        a, m = world.accounts, world.markets
        for i, (mode, leverage, dollars, coin_lots) in enumerate(ACCOUNTS):
            a.mode[FIRST + i], a.leverage[FIRST + i] = mode, leverage
            a.cash[0, FIRST + i] = dollars * MICRO
            a.cash[1, FIRST + i] = coin_lots * int(m.lot_units[world.spot])
        a.mode[DEEP_POCKET] = CROSS
        world.settle_outside()
        world.exchanges.rebucket()
        columns = (m.tier_floor, m.tier_maintenance, m.tier_amount, m.tier_leverage)
        table = zip(*(column[world.perp].tolist() for column in columns), strict=True)
        self.tiers = [Tier(*row) for row in table if row[0] < 2**62]
        self.shadow = ShadowLedger(m, a, FEES_ROW)
        self.handles: list[tuple[int, int, int]] = []
        self.seen = 0
        self.moment = 0
        mark = int(world.desk.mark_ticks)
        for market, unit in ((world.perp, 1), (world.spot, 10)):
            for side in (BUY, SELL):
                world.quote(side, [(mark - side * step) * unit for step in (1, 50, 2000)], depth, market=market)
        for i, side in enumerate(sides):
            if side:
                lots = int(0.9 * ACCOUNTS[i][2] * min(ACCOUNTS[i][1], 130) / PRICE_USD / 0.001)
                world.quote(-side, mark, lots)
                world.send(world.message(FIRST + i, IOC, side, lots, price_ticks=mark))

    # --- what may happen ----------------------------------------------------------------------------------------------

    def _order(self, o: dict[str, Any]) -> NDArray[Any]:
        world = self.world
        market, unit = (world.spot, 10) if o["spot"] else (world.perp, 1)
        mark = int(world.exchanges.mark_ticks[market])
        price = max(mark + mark * o["price"] // 10_000, 1)
        if o["any_price"] and o["op"] in (MARKET, IOC, FOK, STOP):
            price = 0
        stop = max(mark + mark * o["stop"] // 10_000, 1) if o["op"] in (STOP, STOP_LIMIT) else 0
        return world.message(
            o["account"], o["op"], o["side"], o["lots"] * unit, market=market, price_ticks=price, stop_ticks=stop,
            flags=o["flags"], latency=PEOPLE_LATENCY,
        )  # fmt: skip

    def _change(self, c: dict[str, Any]) -> NDArray[Any] | None:
        if not self.handles:
            return None
        market, account, handle = self.handles[-1 - c["which"] % len(self.handles)]
        mark = int(self.world.exchanges.mark_ticks[market])
        price = -1 if c["price"] is None else mark + mark * c["price"] // 10_000
        return self.world.message(
            account, c["op"], 0, c["lots"], market=market, price_ticks=price, order=handle, latency=MACHINE_LATENCY
        )

    def _messages(self, orders: list[dict[str, Any]], changes: list[dict[str, Any]]) -> NDArray[Any]:
        made = [self._order(o) for o in orders] + [m for c in changes if (m := self._change(c)) is not None]
        return np.concatenate(made) if made else self.world.message(0, CANCEL)[:0]

    def _trade(self, batch: NDArray[Any]) -> None:
        """As the model does: trade, then new liquidation prices."""
        self.moment += 1
        handles = self.world.floor.trade(batch.copy(), self.world.exchanges.mark_ticks, self.moment)
        for message, handle in zip(batch, handles, strict=True):
            if handle != NOBODY and message["account"] >= FIRST:
                self.handles.append((int(message["market"]), int(message["account"]), int(handle)))
        self.world.exchanges.rebucket()

    @rule(orders=st.lists(ORDERS, min_size=1, max_size=5), changes=st.lists(CHANGES, max_size=3))
    def trade(self, orders: list[dict[str, Any]], changes: list[dict[str, Any]]) -> None:
        self._trade(self._messages(orders, changes))

    @rule(side=SIDES, lots=st.sampled_from((50, 10_000, 500_000)), away=AWAY, spot=st.booleans())
    def quote(self, side: int, lots: int, away: int, spot: bool) -> None:
        """The deep pocket provides a level near the mark."""
        market = self.world.spot if spot else self.world.perp
        mark = int(self.world.exchanges.mark_ticks[market])
        price = max(mark - side * mark * away // 10_000, 1)
        self._trade(self.world.message(DEEP_POCKET, LIMIT, side, lots, market=market, price_ticks=price))

    @rule(change=CHANGES_OF_MARK)
    def move_mark(self, change: int) -> None:
        mark = int(self.world.desk.mark_ticks)
        self.world.set_mark(min(max(mark + mark * change // 10_000, 2000), 30_000))

    @rule(change=CHANGES_OF_MARK, again=st.booleans())
    def shock(self, change: int, again: bool) -> None:
        """A new mark, and what it forces at once."""
        self.move_mark(change)
        for _ in range(1 + again):
            self.everything_adds_up()
            self.round([], [], False)

    @rule(seconds=st.integers(1, 40))
    def mark(self, seconds: int) -> None:
        """The venue's own mark, from the books."""
        self.world.model.tick += seconds
        self.world.exchanges.mark()

    @rule(orders=st.lists(ORDERS, max_size=3), changes=st.lists(CHANGES, max_size=2), unload=st.booleans())
    def round(self, orders: list[dict[str, Any]], changes: list[dict[str, Any]], unload: bool) -> None:
        """A round of liquidation in which machines trade too."""
        world = self.world
        forced = world.exchanges.liquidate()
        parts = [self._messages(orders, changes)]
        if forced is not None:
            parts.insert(0, forced)
        order = world.desk.unloading(1.0) if unload else None
        if order is not None:
            parts.append(order)
        before = [int(x) for x in world.accounts.position[0]]
        self._check_limits(forced)
        self._trade(np.concatenate(parts))
        world.exchanges.absorb()
        self._check_passed(before)
        a = world.accounts
        plain = (a.kind < FUND) & (a.position[0] == 0) & (a.cash[1] == 0)
        negative = np.flatnonzero(plain & (a.cash[0] + a.margin[0] < 0))
        assert negative.size == 0, f"rows {negative} are flat and owe {a.cash[0, negative]}"
        assert not a.margin[0, a.position[0] == 0].any()
        fresh = world.log.rows()[self.seen :]
        forced_rows = set(fresh["account"][fresh["kind"] == LIQUIDATION].tolist())
        winners = set(fresh["counterparty"][fresh["kind"] == DELEVERAGE].tolist())
        left = set(world.desk.ladder.crossed(world.desk.mark_ticks).tolist())
        assert not (forced_rows - winners) & left, "a forced account is neither safe nor gone"

    @rule(premium=st.sampled_from((-400_000, -60_000, 0, 90_000, 400_000)))
    def fund(self, premium: int) -> None:
        self.world.model.tick += 8 * 3600
        self.world.desk.funding.preload(premium, 10**6)
        self.world.exchanges.fund()

    @rule(row=ROWS, dollars=st.sampled_from((-5_000, -50, 100, 20_000)))
    def transfer(self, row: int, dollars: int) -> None:
        """Deposits, and withdrawals of what is not reserved."""
        a, amount = self.world.accounts, abs(dollars) * MICRO
        if dollars > 0:
            self.world.floor.transfer(OUTSIDE_ROW, row, 0, amount)
        else:
            amount = min(amount, int(a.cash[0, row] - a.reserved[0, row]))
            if amount <= 0:
                return
            self.world.floor.transfer(row, OUTSIDE_ROW, 0, amount)
        self.world.exchanges.rebucket()

    # --- what must hold -----------------------------------------------------------------------------------------------

    def _check_limits(self, forced: NDArray[Any] | None) -> None:
        """With the bankruptcy rule the whole position sold at the limit, inside the band, leaves nobody below zero."""
        if forced is None or self.limit_rule != "bankruptcy":
            return
        a, m = self.world.accounts, self.world.markets
        unit = int(m.tick_value[self.world.perp])
        for order in forced[(forced["op"] == IOC)]:
            row, price = int(order["account"]), int(order["price_ticks"])
            wealth = int(a.margin[0, row] if a.mode[row] == ISOLATED else a.cash[0, row])
            held, cost = int(a.position[0, row]), int(a.entry_cost[0, row])
            unfillable = held < 0 and price == 1
            assert unfillable or wealth + held * price * unit - cost >= 0

    def _check_passed(self, before: list[int]) -> None:
        """Deleveraging only reduces; forced fills obey their limit and point at their liquidation."""
        events = self.world.log.rows()[self.seen :]
        limits = {int(e["seq"]): e for e in events if e["kind"] == LIQUIDATION}
        for e in events:
            row, other, lots = int(e["account"]), int(e["counterparty"]), int(e["side"]) * int(e["size_lots"])
            if e["kind"] == FILL_EVENT:
                before[row] += lots if e["market"] == self.world.perp else 0
                before[other] -= lots if e["market"] == self.world.perp else 0
                if e["reason"] == BY_LIQUIDATION:
                    start = limits[int(e["cause"])]
                    assert start["account"] == row and start["side"] == e["side"]
                    limit = int(start["price_ticks"])
                    assert limit == 0 or e["side"] * (limit - e["price_ticks"]) >= 0
                    assert e["fee_taker"] == 0 or self.pays_fee
            elif e["kind"] in (TAKEOVER, DELEVERAGE):
                assert lots != 0
                if e["kind"] == DELEVERAGE:
                    assert before[other] * lots > 0 and abs(lots) <= abs(before[other]), "a winner flips"
                assert before[row] * lots < 0 and abs(lots) <= abs(before[row])
                before[row] += lots
                before[other] -= lots

    @invariant()
    def everything_adds_up(self) -> None:
        world = self.world
        events = world.log.rows()
        fresh, self.seen = events[self.seen :], events.size
        note(f"kinds of events: {np.unique(fresh['kind']).tolist()}")
        self.shadow.apply(fresh)
        self.shadow.compare(world.accounts)
        world.audit()
        a, mark = world.accounts, int(world.desk.mark_ticks)
        unit = int(world.markets.tick_value[world.perp])
        below = [
            row
            for row in np.flatnonzero((a.position[0] != 0) & (a.kind < FUND))
            if below_maintenance(
                int(a.margin[0, row] if a.mode[row] == ISOLATED else a.cash[0, row]),
                int(a.position[0, row]),
                mark,
                int(a.entry_cost[0, row]),
                unit,
                self.tiers,
            )
        ]
        assert world.desk.ladder.crossed(mark).tolist() == below


SMALL = settings(max_examples=60, stateful_step_count=30)
LARGE = settings(max_examples=200, stateful_step_count=50)


def test_random_histories_keep_the_books() -> None:
    run_state_machine_as_test(LedgerMachine, settings=SMALL)


@pytest.mark.full
def test_many_random_histories_keep_the_books() -> None:
    run_state_machine_as_test(LedgerMachine, settings=LARGE)
