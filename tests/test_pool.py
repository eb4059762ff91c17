"""The pool of Aster Simple: every trade at the oracle's price, 1001x, and what traders win the pool loses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abm.events import FILL_EVENT, LIQUIDATION
from abm.state import BUY, ISOLATED, MARKET, SELL
from abm.traders.base import Batch, World, bare_model
from abm.traders.pool import Pool, PoolParameters
from abm.units import MICRO
from abm.venues.exchange import FEES_ROW, FUND_ROW
from abm.venues.preset import load_preset
from tests.replayed import Replayed
from tests.traders_world import START
from tests.venue_world import FIRST, VenueWorld

pytestmark = pytest.mark.kernels

POOL, TRADER = FIRST, FIRST + 1
CAPITAL = 50_000_000


class PoolWorld(VenueWorld):
    """A pool, then traders with cash; the index is set by hand and the mark is the index."""

    def __init__(self, traders: int = 1, capital_usd: float = CAPITAL, dollars: int = 100_000) -> None:
        super().__init__(1 + traders, load_preset("aster-simple-2025-10"), levels=1 << 18)
        self.pool = Pool(bare_model(), PoolParameters(capital_usd=capital_usd))
        self.pool.rows = np.array([POOL])
        a = self.accounts
        a.leverage[TRADER:] = 1_001
        a.cash[0, TRADER:] = dollars * MICRO
        self.pool.bind(World(1, self.markets, a, self.floor.books, self.perp, self.spot, 0, 1, self.start, 0.0, START))
        self.settle_outside()
        self.replayed = Replayed(self)
        self.oracle(int(self.start[self.perp]))

    def oracle(self, index: int, *others: Any) -> None:
        """A new price; the pool moves its quotes, and whatever else comes is in the same batch."""
        self.set_mark(index)
        self.exchanges.index_ticks[self.perp] = index
        forced = self.exchanges.liquidate()
        batch = Batch()
        view: Any = SimpleNamespace(seed=1, tick=0, round=1, index_ticks=self.exchanges.index_ticks)
        self.pool.decide(view, batch)
        batch.messages()["latency"] = self.pool.latency
        n = batch.count
        parts = [*([forced] if forced is not None else []), *others, batch.messages()]
        handles = self.send(*parts)
        self.pool.after_trade(handles[handles.size - n :], 0)
        self.exchanges.absorb()
        self.audit()
        self.replayed.check()

    def fills(self) -> Any:
        rows = self.log.rows()
        return rows[rows["kind"] == FILL_EVENT]

    def equity(self, row: int, mark: int) -> int:
        a = self.accounts
        held = int(a.position[0, row]) * mark * int(self.markets.tick_value[self.perp])
        return int(a.cash[0, row] + a.margin[0, row] - a.entry_cost[0, row]) + held


def test_it_quotes_at_the_index_and_follows_it() -> None:
    """5 million dollars a side at 100,000 $: 50 BTC; a hit quote is filled up again."""
    world = PoolWorld()
    books = world.floor.books
    for index in (1_000_000, 1_000_400, 999_000):
        world.oracle(index)
        assert (books.best(world.perp, BUY), books.best(world.perp, SELL)) == (index, index + 1)
    order = books.order(world.pool._handle[SELL])
    assert order is not None and int(order["size_lots"]) == 5_000_000_000_000 // (999_000 * 100)
    world.oracle(999_000, world.message(TRADER, MARKET, BUY, 10))
    world.oracle(999_000)
    order = books.order(world.pool._handle[SELL])
    assert order is not None and int(order["size_lots"]) == 5_000_000_000_000 // (999_000 * 100)


@pytest.mark.parametrize("side", [BUY, SELL])
def test_at_1001x_a_move_of_0_055_percent_liquidates(side: int) -> None:
    """Margin 0.0999 % of the value; 15 % of it and 0.03 % of the value must be left: 0.0549 % may be lost.

    The forced order trades at the oracle's new price, not at a stale quote.
    """
    world = PoolWorld()
    world.oracle(1_000_000, world.message(TRADER, MARKET, side, 1_000))
    entry = int(world.fills()["price_ticks"][-1])
    assert entry == (1_000_001 if side == BUY else 1_000_000)
    world.oracle(entry - side * 540)
    assert int(world.accounts.position[0, TRADER]) == side * 1_000
    world.oracle(entry - side * 551)
    assert int(world.accounts.position[0, TRADER]) == 0
    forced = world.log.rows()[world.log.rows()["kind"] == LIQUIDATION]
    assert forced["account"].tolist() == [TRADER]
    assert abs(int(world.fills()["price_ticks"][-1]) - (entry - side * 551)) <= 1
    # never more than the margin is lost: the rest of the cash is untouched
    assert int(world.accounts.cash[0, TRADER]) >= (100_000 - 100) * MICRO - 15 * MICRO


@settings(max_examples=25, deadline=None)
@given(path=st.lists(st.tuples(st.integers(-900, 900), st.integers(-800, 800)), min_size=1, max_size=6))
def test_what_traders_win_the_pool_loses(path: list[tuple[int, int]]) -> None:
    """Random moves of the oracle and market orders at 1001x, liquidations included: to the micro-dollar.

    Traders, pool, and the venue's fund and fees (which a bankrupt trader may cost) sum to zero.
    """
    world = PoolWorld(2)
    rows = [POOL, TRADER, TRADER + 1, FUND_ROW, FEES_ROW]
    before = [world.equity(row, 1_000_000) for row in rows]
    index = 1_000_000
    for move, lots in path:
        index += move
        orders = [world.message(TRADER, MARKET, 1 if lots > 0 else -1, abs(lots))] if lots else []
        world.oracle(index, *orders)
        gains = [world.equity(row, index) - was for row, was in zip(rows, before, strict=True)]
        assert gains[0] == -sum(gains[1:])
        assert world.accounts.mode[TRADER] == ISOLATED


def test_without_capital_left_it_stops_quoting_one_side() -> None:
    """10 million dollars of capital at 1x, both old and new quotes reserved: it cannot sell for ever."""
    world = PoolWorld(capital_usd=11_000_000, dollars=10_000_000)
    for _ in range(6):
        world.oracle(1_000_000, world.message(TRADER, MARKET, BUY, 50_000))
    assert int(world.accounts.position[0, POOL]) >= -110_000
    assert world.floor.books.best(world.perp, SELL) == 0 and world.floor.books.best(world.perp, BUY) == 1_000_000


def test_it_is_off_by_default() -> None:
    assert PoolParameters().capital_usd == 0.0


def test_a_pool_venue_beside_a_venue_with_a_book() -> None:
    """Switched on for one venue of a world: its perpetual trades at the index, and every tick is audited."""
    from abm.model import MarketModel
    from abm.scenario import load_scenario

    settings = (
        'others.bybit-2025-10.venue.preset="aster-simple-2025-10"',
        "others.bybit-2025-10.pool.capital_usd=5e7",
        "others.bybit-2025-10.makers.depth_coins=1",
        "duration_s=30",
    )
    model = MarketModel(load_scenario("two-venues", settings, accounts=100))
    model.run()
    desk = model.exchanges.venues[1].desks[0]
    last = int(model.exchanges.last_ticks()[desk.market])
    assert abs(last / desk.index_ticks - 1) < 0.002
    pool = next(m for m in model.machines if type(m).__name__ == "Pool")
    assert model.floor.books.best(desk.market, 1) >= desk.index_ticks - 1 and pool.rows.size == 1
