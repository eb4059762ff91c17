"""Admission and reserves, worked by hand.

Binance fees (taker 0.05 %), mark 100,000 $: a lot of the perpetual is worth 100 $ and its fee is 0.05 $.
"""

from __future__ import annotations

import pytest

from abm.state import (
    BUY,
    CANCEL,
    CROSS,
    FORCED,
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
from abm.units import MAX_LOTS, MICRO
from abm.venues.exchange import FEES_ROW
from abm.venues.preset import load_preset
from tests.venue_world import DEEP_POCKET, FIRST, VenueWorld

pytestmark = pytest.mark.kernels

MARK = 1_000_000
FEE = 50_000
"""Taker fee of a lot at the mark, micro-dollars."""
SPOT_MARK = 10_000_000
SPOT_UNIT = 10_000_000 + 10_000
"""What a spot lot costs at the mark with its fee of 0.1 %."""


def world_with(dollars: float, mode: int = CROSS, leverage: int = 10, lots: int = 0, coin_lots: int = 0) -> VenueWorld:
    """One account with this much cash; `lots` held from the mark on."""
    world = VenueWorld(1, load_preset("binance-2025-10"))
    if lots:
        world.hold(0, lots, leverage)
    a = world.accounts
    a.mode[FIRST], a.leverage[FIRST] = mode, leverage
    if mode == CROSS:
        a.margin[0, FIRST] = 0
    a.cash[0, FIRST] = round(dollars * MICRO)
    a.cash[1, FIRST] = coin_lots * int(world.markets.lot_units[world.spot])
    world.settle_outside()
    world.exchanges.rebucket()
    return world


def place(
    world: VenueWorld, op: int, side: int, lots: int, price: int = 0, flags: int = 0, market: int | None = None
) -> int:
    """The account's order; returns its handle."""
    chosen = world.perp if market is None else market
    message = world.message(FIRST, op, side, lots, price_ticks=price, flags=flags, market=chosen)
    handle = int(world.send(message)[0])
    world.audit()
    return handle


def reserved(world: VenueWorld, asset: int = 0) -> int:
    return int(world.accounts.reserved[asset, FIRST])


# --- initial margin ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("missing", "covered"), [(0, True), (1, False)])
def test_bids_and_asks_share_one_initial_margin(missing: int, covered: bool) -> None:
    """10 lots each way at 10x: margin 100 $ once, fees 0.50 $ and (at 101,000 $) 0.505 $."""
    world = world_with(101.005 - missing * 1e-6)
    assert place(world, LIMIT, BUY, 10, 990_000) != NOBODY
    assert reserved(world) == 10 * FEE
    assert (place(world, LIMIT, SELL, 10, 1_010_000) != NOBODY) == covered
    assert reserved(world) == 10 * FEE + covered * 10 * 50_500
    assert place(world, LIMIT, BUY, 1, 990_000) == NOBODY


@pytest.mark.parametrize(("lots", "covered"), [(20, True), (21, False)])
def test_a_position_offsets_orders_against_it(lots: int, covered: bool) -> None:
    """Long 10: asks of 20 leave |10 - 20| = 10 at risk, margin 100 $ as before; the fee of 20 lots is 1.01 $."""
    world = world_with(101.01, lots=10)
    assert (place(world, LIMIT, SELL, lots, 1_010_000) != NOBODY) == covered


def test_the_loss_of_a_bad_price_is_reserved() -> None:
    """A bid 100.50 $ above the mark, 2,000 $ of it at 10x: margin 200 $ and what follows.

    Per lot: fee ceil(100,100,500 * 0.0005) = 50,051, loss 100,500, its margin 10,050: 160,601.
    """
    world = world_with(200 + 20 * 0.160601)
    assert place(world, LIMIT, BUY, 20, 1_001_005) != NOBODY
    assert reserved(world) == 20 * 160_601
    short = world_with(200 + 20 * 0.160601 - 1e-6)
    assert place(short, LIMIT, BUY, 20, 1_001_005) == NOBODY and reserved(short) == 0
    assert short.floor.tally().refused == 1


def test_unrealised_profit_covers_derivatives_of_a_cross_account_only() -> None:
    for mode, covered in ((CROSS, True), (ISOLATED, False)):
        world = world_with(0, mode, lots=10)
        world.set_mark(1_200_000)
        assert (place(world, LIMIT, BUY, 1, 1_190_000) != NOBODY) == covered


@pytest.mark.parametrize(("leverage", "lots", "covered"), [(150, 2_999, True), (150, 3_000, False), (100, 3_000, True)])
def test_the_tier_caps_leverage(leverage: int, lots: int, covered: bool) -> None:
    """From 300,000 $ on at most 100x."""
    world = world_with(10_000, leverage=leverage)
    assert (place(world, LIMIT, BUY, lots, 999_000) != NOBODY) == covered


def test_two_orders_of_one_batch_are_covered_together() -> None:
    world = world_with(150)
    one = world.message(FIRST, LIMIT, BUY, 10, price_ticks=990_000)
    handles = world.send(one, one.copy())
    assert [int(h) == NOBODY for h in handles] == [False, True]
    assert world.floor.tally().refused == 1 and int(world.accounts.open_bid[0, FIRST]) == 10
    world.audit()


def test_reduce_only_needs_no_cover_and_reserves_nothing() -> None:
    world = world_with(0, ISOLATED, lots=10)
    assert place(world, LIMIT, SELL, 25, 1_010_000, REDUCE_ONLY) != NOBODY
    assert place(world, STOP_LIMIT, SELL, 10, 990_000, REDUCE_ONLY) == NOBODY  # no stop price: rejected
    assert reserved(world) == 0 and int(world.accounts.open_ask[0, FIRST]) == 0
    world.quote(BUY, 1_010_000, 25)
    world.audit()
    assert int(world.accounts.position[0, FIRST]) == 0  # clipped at 10


def test_forced_orders_skip_admission() -> None:
    """No cover, no band, no reserve."""
    world = world_with(0, ISOLATED, lots=10)
    world.quote(BUY, 900_000, 4)
    assert place(world, IOC, SELL, 10, 1, FORCED | REDUCE_ONLY) == NOBODY
    assert int(world.accounts.position[0, FIRST]) == 6 and reserved(world) == 0


# --- release ----------------------------------------------------------------------------------------------------------


def test_cancel_releases() -> None:
    world = world_with(200)
    handle = place(world, LIMIT, BUY, 10, 990_000)
    world.send(world.message(FIRST, CANCEL, order=handle))
    world.audit()
    assert reserved(world) == 0 and int(world.accounts.open_bid[0, FIRST]) == 0


def test_a_fill_releases_its_part() -> None:
    world = world_with(200)
    place(world, LIMIT, BUY, 10, 990_000)
    world.quote(SELL, 990_000, 4)
    world.audit()
    assert reserved(world) == 6 * FEE and int(world.accounts.open_bid[0, FIRST]) == 6
    assert int(world.accounts.cash[0, FIRST]) == 200 * MICRO - 4 * 19_800  # maker fee 0.02 % of 99 $


def test_what_expires_or_is_rejected_releases() -> None:
    world = world_with(200)
    world.quote(SELL, 1_000_000, 3)
    place(world, IOC, BUY, 10, 1_000_000)
    assert int(world.accounts.position[0, FIRST]) == 3 and reserved(world) == 0
    world.quote(SELL, 1_000_000, 3)
    assert place(world, POST_ONLY, BUY, 3, 1_000_000) == NOBODY
    assert reserved(world) == 0 and int(world.accounts.open_bid[0, FIRST]) == 0


@pytest.mark.parametrize(
    ("lots", "price", "left"), [(4, 990_000, 4), (15, 980_000, 15), (-1, 985_000, 10), (7, -1, 7), (0, -1, 0)]
)
def test_a_replace_carries_the_new_reserve(lots: int, price: int, left: int) -> None:
    """Smaller in its place, larger at another price, with either unchanged (-1), and size 0 as a cancel."""
    world = world_with(1_000)
    handle = place(world, LIMIT, BUY, 10, 990_000)
    world.send(world.message(FIRST, REPLACE, 0, lots, price_ticks=price, order=handle))
    world.audit()
    assert reserved(world) == left * FEE and int(world.accounts.open_bid[0, FIRST]) == left


def test_a_replace_is_covered_beside_the_old_order() -> None:
    """The old order may still trade before the replace: both must be covered, and a refused replace changes nothing."""
    world = world_with(150)
    handle = place(world, LIMIT, BUY, 10, 990_000)
    world.send(world.message(FIRST, REPLACE, 0, 12, price_ticks=990_000, order=handle))
    world.audit()
    assert reserved(world) == 10 * FEE and int(world.accounts.open_bid[0, FIRST]) == 10


# --- worst prices -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize("given", [0, 500_000])
def test_a_market_order_stops_at_the_band(side: int, given: int) -> None:
    """5 % around the mark, whatever limit is given beyond it."""
    world = world_with(10_000)
    band = MARK + side * 50_000
    world.quote(-side, [band, band + side], 5)
    place(world, MARKET, side, 10, MARK + side * given if given else 0)
    assert int(world.accounts.position[0, FIRST]) == side * 5
    assert world.floor.books.last(world.perp) == band


def test_a_stop_has_the_band_around_its_stop_price() -> None:
    """Buy stop at 110,000: worst price 115,500; the loss of 15,500 $ a coin is reserved, with margin."""
    world = world_with(1_000)
    message = world.message(FIRST, STOP, BUY, 10, stop_ticks=1_100_000, flags=ON_MARK)
    handle = int(world.send(message)[0])
    order = world.floor.books.order(handle)
    assert order is not None and int(order["price_ticks"]) == 1_155_000
    assert reserved(world) == 10 * (57_750 + 15_500_000 + 1_550_000)


# --- isolated margin --------------------------------------------------------------------------------------------------


def test_isolated_margin_moves_at_the_fill_and_returns_in_proportion() -> None:
    """10 lots at 100,100 $, 10x: margin 100.10 $ + open loss 1 $ = 101.10 $. Selling 4 there returns 40.44 $."""
    world = world_with(500, ISOLATED)
    world.quote(SELL, 1_001_000, 10)
    place(world, IOC, BUY, 10, 1_001_000)
    a = world.accounts
    assert int(a.margin[0, FIRST]) == 101_100_000
    assert int(a.cash[0, FIRST]) == 500_000_000 - 101_100_000 - 500_500
    world.quote(BUY, 1_001_000, 4)
    place(world, IOC, SELL, 4, 1_001_000, REDUCE_ONLY)
    assert int(a.margin[0, FIRST]) == 60_660_000
    assert int(a.cash[0, FIRST]) == 500_000_000 - 60_660_000 - 500_500 - 200_200
    assert int(a.cash[0, FEES_ROW]) == 500_500 + 200_200 + -(-1_001_000 * 1_000 * 2 // 10_000) + 80_080


def test_a_flip_returns_the_old_margin_and_takes_the_new() -> None:
    """Long 10 at the mark sells 15 at 101,000 $: 10 $ profit and 100 $ margin back, short 5 with margin 50.50 $."""
    world = world_with(100, ISOLATED, lots=10)
    world.quote(BUY, 1_010_000, 15)
    place(world, IOC, SELL, 15, 1_010_000)
    a = world.accounts
    assert int(a.position[0, FIRST]) == -5 and int(a.margin[0, FIRST]) == 50_500_000
    assert int(a.entry_cost[0, FIRST]) == -5 * 101_000_000
    assert int(a.cash[0, FIRST]) == (100 + 100 + 10) * MICRO - 50_500_000 - 15 * 50_500


# --- spot -------------------------------------------------------------------------------------------------------------


def test_spot_reserves_cash_or_coins_in_full() -> None:
    world = world_with(10 * SPOT_UNIT / MICRO, coin_lots=10)
    assert place(world, LIMIT, BUY, 11, SPOT_MARK, market=world.spot) == NOBODY
    assert place(world, LIMIT, BUY, 10, SPOT_MARK, market=world.spot) != NOBODY
    assert place(world, LIMIT, SELL, 11, SPOT_MARK + 100, market=world.spot) == NOBODY
    assert place(world, LIMIT, SELL, 10, SPOT_MARK + 100, market=world.spot) != NOBODY
    assert (reserved(world), reserved(world, 1)) == (10 * SPOT_UNIT, 10 * 10_000)
    world.quote(SELL, SPOT_MARK, 4, market=world.spot)
    world.quote(BUY, SPOT_MARK + 100, 3, market=world.spot)
    world.audit()
    assert (reserved(world), reserved(world, 1)) == (6 * SPOT_UNIT, 7 * 10_000)
    assert int(world.accounts.cash[1, FIRST]) == (10 + 4 - 3) * 10_000


def test_unrealised_profit_and_margin_do_not_buy_spot() -> None:
    """Long 10 with 120 $: at 120,000 $ the profit is 200 $, yet 12 lots of 10.01 $ exceed the cash."""
    world = world_with(120, lots=10)
    world.set_mark(1_200_000)
    assert place(world, LIMIT, BUY, 12, SPOT_MARK, market=world.spot) == NOBODY
    assert place(world, LIMIT, BUY, 11, SPOT_MARK, market=world.spot) != NOBODY
    tied = world_with(120, lots=10)  # without the profit, 100 $ of the cash is initial margin
    assert place(tied, LIMIT, BUY, 2, SPOT_MARK, market=tied.spot) == NOBODY


# --- what is no order -------------------------------------------------------------------------------------------------


def test_malformed_orders_leave_no_reserve() -> None:
    """No price, no size, too large a size, reduce-only on spot: refused or rejected, and nothing is held."""
    world = world_with(10_000, coin_lots=5)
    for op in (LIMIT, POST_ONLY):
        for side, lots, price in ((BUY, 10, 0), (BUY, 0, 990_000), (SELL, 3, -5)):
            assert place(world, op, side, lots, price) == NOBODY
    assert place(world, LIMIT, BUY, MAX_LOTS + 1, 990_000) == NOBODY
    assert place(world, LIMIT, BUY, 2**62, 1, REDUCE_ONLY) == NOBODY
    assert place(world, MARKET, SELL, 50, 0, REDUCE_ONLY, market=world.spot) == NOBODY
    handle = place(world, LIMIT, BUY, 1, 990_000)
    for lots, price in ((5, 0), (5, -7), (-3, 980_000)):
        world.send(world.message(FIRST, REPLACE, 0, lots, price_ticks=price, order=handle))
    world.send(world.message(DEEP_POCKET, REPLACE, 0, 3, price_ticks=980_000, order=handle))
    world.audit()
    assert reserved(world) == FEE and int(world.accounts.open_bid[0, FIRST]) == 1


def test_who_only_reduces_needs_no_margin() -> None:
    """Below initial margin a plain order may close up to the whole position, reserving nothing; one lot more: not."""
    world = world_with(50, leverage=10, lots=10)  # 1,000 $ held, 100 $ of initial margin needed, 50 there
    assert place(world, LIMIT, SELL, 11, 1_001_000) == NOBODY
    assert place(world, LIMIT, SELL, 10, 1_001_000) != NOBODY
    assert int(world.accounts.reserved[0, FIRST]) == 0 and int(world.accounts.open_ask[0, FIRST]) == 10
    assert place(world, LIMIT, SELL, 1, 1_001_000) == NOBODY, "together with the first it would open a short"
    world.audit()
