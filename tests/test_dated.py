"""A dated future: no funding, and at its end every position closes at the index, once, and nothing trades any more."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from abm.events import BAD_DEBT, FUNDING, SETTLEMENT
from abm.state import BUY, CROSS, ISOLATED, LIMIT, SELL
from abm.units import MICRO
from abm.venues.exchange import FUND_ROW
from tests.replayed import Replayed
from tests.test_cross_margin import BTC, DATED, PRICES, Multi, multi
from tests.venue_world import DEEP_POCKET, FIRST, VenueWorld

pytestmark = pytest.mark.kernels

EXPIRY = datetime(2025, 12, 26, 8, tzinfo=UTC)
DAY_MS = int(datetime(2025, 12, 25, tzinfo=UTC).timestamp() * 1000)
OPENING_S = 75_000
LEFT_S = int(EXPIRY.timestamp()) - DAY_MS // 1000 - OPENING_S
"""From the opening at 20:50 to the expiry at 8:00."""


class Dated(Multi):
    """The evening before the expiry."""

    def __init__(self, n: int) -> None:
        VenueWorld.__init__(self, n, multi(), PRICES, 1_000_000, levels=1 << 18, day_ms=DAY_MS)
        self.future = self.market_of(DATED)
        self.end = next(desk for desk in self.exchange.desks if desk.market == self.future)

    def settle_at(self, index: int) -> None:
        """The end of the tick in which the time comes."""
        self.model.tick = LEFT_S
        self.end.index_ticks = index
        self.exchanges.fund()
        self.audit()


def test_it_ends_at_its_time_not_before() -> None:
    world = Dated(1)
    row = world.hold(0, 1_000, 10, market=world.future)
    world.model.tick = LEFT_S - 1
    world.exchanges.fund()
    assert world.events(SETTLEMENT).size == 0 and world.table("position", DATED, row) == 1_000
    world.settle_at(1_000_000)
    assert world.events(SETTLEMENT)["price_ticks"].tolist() == [1_000_000]
    world.model.tick += 1
    world.exchanges.fund()
    assert world.events(SETTLEMENT).size == 1


def test_everybody_is_paid_by_the_index_and_all_orders_are_gone() -> None:
    """Index 103,000 $, last trade at 100,500: 1 BTC long +3,000 $, 2 BTC short -6,000 $, margins back."""
    world = Dated(2)
    long = world.hold(0, 1_000, 10, market=world.future)
    short = world.hold(1, -2_000, 10, market=world.future, cross=True)
    other = world.hold(1, 500, 10, market=world.market_of(BTC), cross=True)
    world.quote(BUY, [1_000_000, 999_000], 10, market=world.future)
    world.quote(SELL, 1_004_000, 10, short, market=world.future)
    replayed = Replayed(world)
    world.settle_at(1_030_000)
    a, slot = world.accounts, world.end.slot
    assert int(a.cash[0, long]) == (10_000 + 3_000) * MICRO
    assert other == short and int(a.cash[0, short]) == (20_000 + 5_000 - 6_000 - 5) * MICRO  # funding of the perpetual
    for table in (a.position, a.entry_cost, a.margin, a.open_bid, a.open_ask):
        assert not table[slot].any()
    assert world.table("position", BTC, short) == 500
    assert not world.floor.books.handles_of(np.ones(a.rows, np.bool_), world.future).size
    replayed.check()


def test_nothing_trades_afterwards() -> None:
    world = Dated(1)
    world.hold(0, 1_000, 10, market=world.future)
    world.settle_at(1_000_000)
    order = world.message(DEEP_POCKET, LIMIT, BUY, 1, price_ticks=1_000_000, market=world.future)
    world.send(world.exchanges.passing(order))
    assert not world.floor.books.handles_of(np.ones(world.accounts.rows, np.bool_), world.future).size
    world.exchanges.begin_tick()
    assert world.exchanges.halts.halted[world.future]
    perpetual = world.message(DEEP_POCKET, LIMIT, BUY, 1, price_ticks=999_000)
    assert world.send(world.exchanges.passing(perpetual))[0] >= 0


def test_an_isolated_position_loses_no_more_than_its_margin() -> None:
    """Index 15 % below the entry, 10,000 $ of margin: 5,000 $ are bad debt; the 700 $ of cash stay."""
    world = Dated(1)
    row = world.hold(0, 1_000, 10, market=world.future)
    world.accounts.cash[0, row] = 700 * MICRO
    world.settle_outside()
    replayed = Replayed(world)
    world.settle_at(850_000)
    assert int(world.accounts.cash[0, row]) == 700 * MICRO and not world.accounts.margin[:, row].any()
    assert world.events(BAD_DEBT)["amount"].tolist() == [5_000 * MICRO]
    assert int(world.accounts.cash[0, FUND_ROW]) == (1_000_000 - 5_000) * MICRO
    replayed.check()


def test_a_cross_account_that_ends_in_debt_is_topped_up() -> None:
    world = Dated(1)
    row = world.hold(0, 1_000, 10, market=world.future, cross=True)
    replayed = Replayed(world)
    world.settle_at(850_000)
    assert int(world.accounts.cash[0, row]) == 0 and world.events(BAD_DEBT)["amount"].tolist() == [5_000 * MICRO]
    replayed.check()


def test_no_funding() -> None:
    """A whole day: the perpetuals pay three times, the future never."""
    world = Dated(1)
    world.hold(0, 1_000, 10, market=world.future)
    assert world.end.funding is None and world.exchanges.indicated_funding_bp(world.future) == 0.0
    for hour in range(1, 11):
        world.model.tick = 3_600 * hour
        world.exchanges.fund()
    assert world.future not in world.events(FUNDING)["market"]
    assert set(world.events(FUNDING)["market"].tolist()) == {3, 4, 5}  # the perpetuals


@settings(max_examples=15, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    lots=st.lists(st.integers(-50_000, 50_000).filter(bool), min_size=1, max_size=5),
    index=st.integers(300_000, 2_000_000), crossed=st.integers(0, 31),
)  # fmt: skip
def test_the_settlement_sums_to_zero(lots: list[int], index: int, crossed: int) -> None:
    """Whatever they hold: what longs get shorts pay, the fund what is missing, all explained by the events."""
    world = Dated(len(lots))
    for i, n in enumerate(lots):
        world.hold(i, n, 10, market=world.future, cross=bool(crossed >> i & 1))
    replayed = Replayed(world)
    world.settle_at(index)
    rows = FIRST + np.arange(len(lots))
    assert set(np.unique(world.accounts.mode[rows])) <= {CROSS, ISOLATED}
    for n, row in zip(lots, rows.tolist(), strict=True):
        margin = -(-abs(n) * 100_000_000 // 10)
        assert int(world.accounts.cash[0, row]) == max(0, margin + n * (index - 1_000_000) * 100)
    replayed.check()
