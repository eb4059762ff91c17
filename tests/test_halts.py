"""Call auctions and halts: the price against brute force, one price for all, and a market that stands still."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from abm.clearing.auction import hold_auction, uncross
from abm.events import FILL_EVENT, HALT, LIQUIDATION, REOPEN
from abm.state import BUY, CANCEL, IOC, LIMIT, NOBODY, SELL
from abm.venues.halts import MoveBreaker
from abm.venues.preset import load_preset
from tests.venue_world import DEEP_POCKET, VenueWorld, preset

orders = st.lists(st.tuples(st.integers(90, 110), st.integers(1, 9)), max_size=8)


@given(orders, orders, st.integers(90, 110))
def test_auction_price_trades_the_most(bids: list[tuple[int, int]], asks: list[tuple[int, int]], last: int) -> None:
    """No other price trades more, and none that trades as much leaves less over."""
    columns = [np.array([order[n] for order in side], np.int64) for side in (bids, asks) for n in (0, 1)]
    found = uncross(*columns, last)

    def at(price: int) -> tuple[int, int]:
        wanted = sum(lots for ticks, lots in bids if ticks >= price)
        offered = sum(lots for ticks, lots in asks if ticks <= price)
        return min(wanted, offered), -abs(wanted - offered)

    if found.lots == 0:
        assert all(at(price)[0] == 0 for price in range(89, 112))
    else:
        assert at(found.price_ticks)[0] == found.lots
        assert max(at(price) for price in range(89, 112)) == at(found.price_ticks)


def test_everybody_trades_at_one_price_best_limit_first() -> None:
    """Resting and called orders meet at one price; what is left returns to its own limit with its own size."""
    world = VenueWorld(0, preset())
    handles = {}
    for name, side, ticks, lots in (("a", BUY, 999_000, 5), ("b", BUY, 998_000, 5), ("c", SELL, 1_001_000, 4)):
        handles[name] = world.send(world.message(DEEP_POCKET, LIMIT, side, lots, price_ticks=ticks, latency=0))[0]
    calls = np.concatenate(
        [
            world.message(DEEP_POCKET, LIMIT, SELL, 8, price_ticks=997_000),
            world.message(DEEP_POCKET, LIMIT, BUY, 2, price_ticks=1_000_000),
            world.message(DEEP_POCKET, LIMIT, BUY, 3, price_ticks=990_000),
        ]
    )
    world.log.clear()
    found = hold_auction(world.floor, world.perp, calls, world.exchanges.mark_ticks, 0)
    fills = world.log.rows()
    fills = fills[fills["kind"] == FILL_EVENT]
    assert (found.price_ticks, found.lots) == (998_000, 8)
    assert set(fills["price_ticks"].tolist()) == {998_000} and int(fills["size_lots"].sum()) == 8
    # the two called at 1,000,000 and the five at 999,000 came first; one of the five at the price is filled
    ticks, lots, *_ = world.floor.books.resting(world.perp, BUY)
    assert list(zip(ticks.tolist(), lots.tolist(), strict=True)) == [(998_000, 4), (990_000, 3)]
    assert world.floor.books.order(int(handles["a"])) is None and world.floor.books.order(int(handles["b"])) is not None
    assert world.floor.books.best(world.perp, SELL) == 1_001_000
    world.audit()


def test_a_halted_market_matches_nothing_and_forces_nobody() -> None:
    """Cancels pass, a bankrupt account waits, and the call opens the market at one price."""
    world = VenueWorld(1, preset())
    row = world.hold(0, 1_000, 20)
    world.quote(BUY, 990_000, 2_000)
    bid = world.send(world.message(DEEP_POCKET, LIMIT, BUY, 7, price_ticks=980_000))[0]
    exchanges, halts, now = world.exchanges, world.exchanges.halts, 75_000_000
    halts.halt(world.perp, now + 3_000, now)
    sell = world.message(DEEP_POCKET, IOC, SELL, 100)
    cancel = world.message(DEEP_POCKET, CANCEL, order=int(bid))
    assert (world.send(exchanges.passing(np.concatenate([sell, cancel]))) == NOBODY).all()
    assert world.floor.books.best(world.perp, BUY) == 990_000 and world.floor.books.order(int(bid)) is None
    world.set_mark(950_000)
    assert exchanges.liquidate() is None and not exchanges.forced_any
    world.model.tick = 2  # the call
    called = world.message(DEEP_POCKET, LIMIT, SELL, 50, price_ticks=985_000)
    world.send(exchanges.passing(called))
    assert world.floor.books.last(world.perp) == 0
    world.model.tick = 3
    exchanges.begin_tick()
    # 985,000 to 990,000 trade as much: without a trade before, the price nearest to the mark is taken
    assert not halts.halted.any() and world.floor.books.last(world.perp) == 985_000
    world.liquidate_until_quiet()
    kinds = world.log.rows()["kind"].tolist()
    assert kinds.count(HALT) == kinds.count(REOPEN) == 1 and LIQUIDATION in kinds
    assert world.accounts.position[0, row] == 0


def test_breaker_looks_back_over_its_window() -> None:
    world = VenueWorld(0, preset())
    halts, breaker = world.exchanges.halts, MoveBreaker(world.perp, 0.05, 60_000, 120_000)
    assert not breaker.watch(halts, 1_000_000, 0)
    assert not breaker.watch(halts, 960_000, 50_000)
    assert not breaker.watch(halts, 945_000, 110_000)  # 5.5 % from the start, 1.6 % within the window
    assert breaker.watch(halts, 905_000, 115_000)
    assert halts.until_ms[world.perp] == 235_000
    assert not breaker.watch(halts, 800_000, 116_000)


def test_the_regulated_venue_is_closed_at_the_weekend() -> None:
    """Closed from Friday 21:00 UTC, before the fall of 10 October 2025 at 21:12."""
    hours = load_preset("regulated-2025-10").hours
    assert hours is not None
    friday = datetime(2025, 10, 10, 20, 59, tzinfo=UTC)
    assert hours.is_open(friday) and not hours.is_open(friday.replace(hour=21, minute=12))
    assert hours.next_open(friday.replace(hour=21, minute=12)) == datetime(2025, 10, 12, 22, 0, tzinfo=UTC)
