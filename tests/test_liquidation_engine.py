"""The liquidation waterfall, worked by hand: forced order, fee, fund, deleveraging, bad debt, and what caused what."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from abm.clearing.formulas import Tier, bring_back_lots, maintenance_margin
from abm.clearing.liquidation_kernel import BRING_BACK, LIMIT_NONE, size_forced
from abm.events import (
    BAD_DEBT,
    BY_FUND,
    BY_LIQUIDATION,
    DELEVERAGE,
    FILL_EVENT,
    LIQUIDATION,
    LIQUIDATION_FEE,
    TAKEOVER,
)
from abm.state import BUY, CROSS, IOC, LIMIT, ON_MARK, REDUCE_ONLY, SELL, STOP
from abm.units import MICRO, RATE_ONE
from abm.venues.exchange import FUND_ROW
from abm.venues.preset import load_preset
from tests.venue_world import DEEP_POCKET, VenueWorld, preset

pytestmark = pytest.mark.kernels


def events(world: VenueWorld, kind: int) -> NDArray[Any]:
    return np.extract(world.log.rows()["kind"] == kind, world.log.rows())


def binance(fee: str = "0.0125", **liquidation: Any) -> Any:
    """The packaged venue without trading fees."""
    base = load_preset("binance-2025-10")
    perp = base.perpetual[0].model_copy(update={"taker_fee": "0", "maker_fee": "0"})
    rules = base.liquidation.model_copy(update={"fee": fee, **liquidation})
    return base.model_copy(update={"perpetual": (perp,), "liquidation": rules})


# --- the forced order -------------------------------------------------------------------------------------------------


def test_a_large_account_is_brought_back_to_maintenance() -> None:
    """Long 200 BTC at 100,000 $ with 1,000,000 $ of margin; mark 96,500 $.

    Equity 300,000; value 19.3m $, maintenance 2 % - 132,000 = 254,000: still safe. At 96,000: equity 200,000, value
    19.2m, maintenance 252,000. Selling q BTC costs 1,200 q of fee and frees 1,920 q of maintenance (tier from 12m on):
    q = 52,000 / 720 = 72.2222, so 72.223 BTC; the value left, 12.267m, is still in the tier.
    """
    world = VenueWorld(1, binance())
    row = world.hold(0, 200_000, 20)
    world.quote(BUY, 960_000, 300_000)
    world.set_mark(965_000)
    world.liquidate_until_quiet()
    assert events(world, LIQUIDATION).size == 0
    world.set_mark(960_000)
    world.liquidate_until_quiet()
    forced = events(world, LIQUIDATION)
    assert forced["size_lots"].tolist() == [72_223] and forced["amount"].tolist() == [200_000 * MICRO]
    # bankruptcy at 95,000 $, above the 5 % band: the limit of the order
    assert forced["price_ticks"].tolist() == [950_000]
    fee = 72_223 * 96_000_000 * 125 // 10_000
    assert events(world, LIQUIDATION_FEE)["amount"].tolist() == [fee]
    a = world.accounts
    assert int(a.position[0, row]) == 127_777 and int(a.cash[0, row]) == 0
    equity = int(a.margin[0, row]) + 127_777 * 96_000_000 - int(a.entry_cost[0, row])
    assert equity == 200_000 * MICRO - fee
    assert equity >= 127_777 * 96_000_000 * 2 // 100 - 132_000 * MICRO
    assert events(world, TAKEOVER).size == 0


def test_what_the_book_does_not_take_passes_to_the_fund_whole() -> None:
    """The same account, but the book takes only 50 BTC: it stays below maintenance and loses everything."""
    world = VenueWorld(1, binance())
    row = world.hold(0, 200_000, 20)
    world.quote(BUY, 960_000, 50_000)
    before = world.fund_cash
    world.set_mark(960_000)
    world.liquidate_until_quiet()
    a = world.accounts
    assert int(a.position[0, row]) == int(a.margin[0, row]) == int(a.cash[0, row]) == int(a.entry_cost[0, row]) == 0
    fee = 50_000 * 96_000_000 * 125 // 10_000
    taken = events(world, TAKEOVER)
    assert taken["size_lots"].tolist() == [150_000] and taken["side"].tolist() == [SELL]
    # 50 BTC lost 200,000 $ of the margin, the fee 60,000: the rest passes at a value that is 740,000 below its cost
    assert taken["amount"].tolist() == [-(15_000_000 - 740_000) * MICRO]
    assert int(a.position[0, FUND_ROW]) == 150_000 and world.fund_cash - before == fee
    # the fund's gain at the mark: what was left of the account, 200,000 - 60,000
    assert world.exchange.fund_equity(world.exchanges.mark_ticks) - before == 200_000 * MICRO


def test_a_small_account_is_closed_whole() -> None:
    """Maintenance 0.4 % is below the fee of 1.25 %: what is left of the equity is the fee."""
    world = VenueWorld(1, binance())
    row = world.hold(0, 1_000, 20)
    world.quote(BUY, 953_000, 1_000)
    world.set_mark(953_000)
    world.liquidate_until_quiet()
    assert events(world, LIQUIDATION)["size_lots"].tolist() == [1_000]
    assert events(world, LIQUIDATION_FEE)["amount"].tolist() == [300 * MICRO]  # 1.25 % would be 1,191 $
    assert int(world.accounts.cash[0, row]) == int(world.accounts.margin[0, row]) == 0


def test_the_fee_is_the_rate_where_equity_allows_and_the_rest_is_paid_out() -> None:
    """Fee 0.1 % of 95,300 $ is 95.30 $; 204.70 $ go back to the account."""
    world = VenueWorld(1, binance("0.001", sizing="whole"))
    row = world.hold(0, 1_000, 20)
    world.quote(BUY, 953_000, 1_000)
    world.set_mark(953_000)
    world.liquidate_until_quiet()
    assert events(world, LIQUIDATION_FEE)["amount"].tolist() == [95_300_000]
    assert int(world.accounts.cash[0, row]) == 204_700_000


TIERS = [
    Tier(0, 400_000, 0, 150),
    Tier(300_000_000_000, 500_000, 300_000_000, 100),
    Tier(800_000_000_000, 650_000, 1_500_000_000, 75),
]


@given(
    lots=st.integers(1, 12_000), sign=st.sampled_from((1, -1)), share=st.integers(-20_000, 6_499),
    fee=st.sampled_from((0, 100_000, 399_999, 400_000, 450_000, 600_000, 1_250_000)),
)  # fmt: skip
def test_size_of_the_forced_order_is_the_formula(lots: int, sign: int, share: int, fee: int) -> None:
    """`share` of the value in millionths is the equity."""
    mark, unit = 1_000_000, 100
    value = lots * mark * unit
    equity = value * share // 1_000_000
    floors, rates, amounts = (np.array([tier[n] for tier in TIERS], np.int64) for n in range(3))
    one = np.zeros((1, 1), np.int64)
    found, _, left, required = size_forced(
        np.array([0]), np.array([equity - sign * value]), np.zeros(1, np.bool_), 0, mark, unit, 0, 5_000_000,
        LIMIT_NONE, fee, BRING_BACK, RATE_ONE, 0, 1, 1, 0, floors, rates, amounts, np.zeros(1, np.int32), one,
        np.array([[sign * lots]]), one,
    )  # fmt: skip
    expected = bring_back_lots(sign * lots, mark, equity, unit, TIERS, fee)
    assert left[0] == equity
    assert found[0] == expected or expected == 0
    assert required[0] == maintenance_margin(value, TIERS)


def test_open_orders_are_cancelled_on_every_market_of_the_venue_first() -> None:
    """Its own bid cannot meet its forced sale, and spot reserves come back."""
    world = VenueWorld(1, binance("0.001"))
    row = world.hold(0, 1_000, 20)
    world.accounts.cash[0, row] = 10_000 * MICRO
    world.settle_outside()
    own_bid = world.message(row, LIMIT, BUY, 100, price_ticks=953_000)
    on_spot = world.message(row, LIMIT, BUY, 10, price_ticks=9_000_000, market=world.spot)
    stop = world.message(row, STOP, SELL, 1_000, stop_ticks=952_000, flags=REDUCE_ONLY)
    assert (world.send(own_bid, on_spot, stop) >= 0).all()
    world.quote(BUY, 952_500, 1_000)
    world.set_mark(953_000)
    world.liquidate_until_quiet()
    a, own = world.accounts, np.arange(world.accounts.rows) == row
    assert not a.reserved[:, row].any() and not a.open_bid[0, row]
    for market in (world.perp, world.spot):
        assert world.floor.books.handles_of(own, market).size == 0
    fills = events(world, FILL_EVENT)
    assert fills["account"].tolist() == [row] and fills["counterparty"].tolist() == [DEEP_POCKET]
    assert fills["price_ticks"].tolist() == [952_500]


@pytest.mark.parametrize(("pays", "fee"), [(False, 0), (True, -(-95_300_000_000 * 5 // 10_000))])
def test_forced_orders_pay_the_taker_fee_only_where_the_venue_says_so(pays: bool, fee: int) -> None:
    """The fee comes out of the position's margin: cash beside an isolated position is not touched."""
    base = load_preset("binance-2025-10")
    rules = base.liquidation.model_copy(update={"fee": "0", "sizing": "whole", "pays_taker_fee": pays})
    world = VenueWorld(1, base.model_copy(update={"liquidation": rules}))
    row = world.hold(0, 1_000, 20)
    world.quote(BUY, 953_000, 1_000)
    world.set_mark(953_000)
    messages = world.exchanges.liquidate()
    assert messages is not None
    world.send(messages)
    assert events(world, FILL_EVENT)["fee_taker"].tolist() == [fee]
    assert int(world.accounts.cash[0, row]) == 0 and int(world.accounts.margin[0, row]) == 300 * MICRO - fee
    world.exchanges.absorb()
    world.audit()
    assert int(world.accounts.cash[0, row]) == 300 * MICRO - fee


def test_cooldown_leaves_a_row_alone() -> None:
    world = VenueWorld(2, preset(takeover_partial="0"))
    rows = [world.hold(i, 1_000, 20) for i in range(2)]
    world.accounts.cooldown_until_ms[0, rows[0]] = 75_000 * 1000 + 1000
    world.set_mark(954_000)
    world.liquidate_until_quiet()
    assert world.exchanges.waiting() == 1
    world.model.tick = 1
    world.liquidate_until_quiet()
    assert events(world, LIQUIDATION)["account"].tolist() == [rows[1], rows[0]]


def test_a_row_can_be_forced_round_after_round() -> None:
    """Brought back at 96,200 $ and again at 96,100 $; gone at 95,000 $."""
    world = VenueWorld(1, binance())
    row = world.hold(0, 200_000, 20)
    held = [200_000]
    for mark in (962_000, 961_000, 950_000):
        world.quote(BUY, mark, 300_000)
        world.set_mark(mark)
        world.liquidate_until_quiet()
        held.append(int(world.accounts.position[0, row]))
    # at 96,200 $ equity is 240,000, maintenance 252,800; a coin sold frees 721.50 net of its fee: 17.741 BTC, then 25
    assert held[1] == 200_000 - 17_741 and 156_000 < held[2] < 158_000 and held[3] == 0
    assert events(world, LIQUIDATION)["account"].tolist() == [row] * 3
    assert int(world.accounts.cash[0, row]) == int(world.accounts.margin[0, row]) == 0


# --- stops on the mark ------------------------------------------------------------------------------------------------


def test_stops_on_the_mark_join_the_round() -> None:
    """A safe account's stop-loss runs with another's forced order; a forced account's own stop is cancelled first."""
    world = VenueWorld(2, preset())
    forced, safe = world.hold(0, 1_000, 20), world.hold(1, 1_000, 5)
    stops = [
        world.message(row, STOP, SELL, 1_000, stop_ticks=954_000, price_ticks=900_000, flags=REDUCE_ONLY | ON_MARK)
        for row in (forced, safe)
    ]
    world.send(*stops)
    world.quote(BUY, 953_500, 5_000)
    world.set_mark(953_800)
    world.liquidate_until_quiet()
    fills = events(world, FILL_EVENT)
    assert sorted(fills["account"].tolist()) == [forced, safe]
    assert fills["size_lots"].tolist() == [1_000, 1_000]
    assert not world.accounts.position[0, [forced, safe]].any()
    assert {int(e["account"]): int(e["reason"]) for e in fills}[forced] == BY_LIQUIDATION


# --- the fund ---------------------------------------------------------------------------------------------------------


def test_the_fund_marks_its_inventory_and_realises_when_it_unloads() -> None:
    """10 BTC taken over at the bankruptcy price of 95,000 $, sold again 0.2 % a second at 97,000 $."""
    rules = preset(sizing="whole")
    backstop = rules.backstop.model_copy(update={"unload_share": "0.002"})
    world = VenueWorld(1, rules.model_copy(update={"backstop": backstop}))
    world.hold(0, 10_000, 20)
    before = world.fund_cash
    world.set_mark(952_000)
    world.liquidate_until_quiet()
    a = world.accounts
    assert int(a.position[0, FUND_ROW]) == 10_000 and int(a.entry_cost[0, FUND_ROW]) == 950_000 * MICRO
    assert world.fund_cash == before
    assert world.exchange.fund_equity(world.exchanges.mark_ticks) == before + 2_000 * MICRO
    world.quote(BUY, 970_000, 1_000)
    order = world.desk.unloading(1.0)
    assert order is not None and order["size_lots"].tolist() == [21]
    world.send(order)
    fill = events(world, FILL_EVENT)
    assert fill["reason"].tolist() == [BY_FUND] and fill["account"].tolist() == [FUND_ROW]
    assert world.fund_cash - before == 21 * 2_000 * 1_000 and int(a.entry_cost[0, FUND_ROW]) == 9_979 * 95 * MICRO
    world.audit()


def test_incoming_positions_are_deleveraged_before_the_fund_falls_below_its_floor() -> None:
    """Two longs of 1 BTC at 50x, mark 97,000 $: each lacks 1,000 $. A fund of 1,500 $ takes only the first."""
    world = VenueWorld(2, preset(sizing="whole"), fund_usd=1_500)
    rows = [world.hold(i, 1_000, 50) for i in range(2)]
    world.set_mark(970_000)
    world.liquidate_until_quiet()
    taken, passed, starts = (events(world, kind) for kind in (TAKEOVER, DELEVERAGE, LIQUIDATION))
    assert taken["account"].tolist() == [rows[0]] and passed["account"].tolist() == [rows[1]]
    assert passed["counterparty"].tolist() == [DEEP_POCKET] and passed["amount"].tolist() == [-98_000 * MICRO]
    assert world.exchange.fund_equity(world.exchanges.mark_ticks) == 500 * MICRO
    assert not world.accounts.cash[0, rows].any() and not world.accounts.position[0, rows].any()
    assert [*taken["cause"], *passed["cause"]] == starts["seq"].tolist()


def test_inventory_is_deleveraged_on_a_new_mark_at_its_average_price() -> None:
    """The fund holds 2 BTC from bankruptcies at 98,000 and 99,000 $; four lots bring it back to its floor."""
    world = VenueWorld(2, preset(sizing="whole"), fund_usd=10_000)
    _ = [world.hold(i, 1_000, leverage) for i, leverage in enumerate((50, 100))]
    world.set_mark(980_000)
    world.liquidate_until_quiet()
    a = world.accounts
    assert int(a.position[0, FUND_ROW]) == 2_000 and int(a.entry_cost[0, FUND_ROW]) == 197_000 * MICRO
    winner = a.cash[0, DEEP_POCKET]
    world.set_mark(935_100)
    world.liquidate_until_quiet()
    assert events(world, DELEVERAGE).size == 0  # worth 187,020: 20 $ above the floor
    world.set_mark(934_900)
    world.liquidate_until_quiet()
    passed = events(world, DELEVERAGE)
    assert passed["account"].tolist() == [FUND_ROW] and passed["amount"].tolist() == [-394 * MICRO]
    assert int(a.position[0, FUND_ROW]) == 1_996 and int(a.cash[0, DEEP_POCKET] - winner) == 6 * MICRO
    assert 0 <= world.exchange.fund_equity(world.exchanges.mark_ticks) < 5.01 * MICRO


def test_without_a_winner_the_fund_takes_the_loss() -> None:
    """The short on the other side was opened at 90,000 $ and loses too: nobody can be deleveraged."""
    world = VenueWorld(1, preset(sizing="whole"), fund_usd=1_000)
    row = world.hold(0, 1_000, 20)
    a = world.accounts
    a.entry_cost[0, DEEP_POCKET] = -90_000 * MICRO
    world.settle_outside()
    world.set_mark(930_000)
    world.liquidate_until_quiet()
    assert events(world, DELEVERAGE).size == 0 and events(world, TAKEOVER)["account"].tolist() == [row]
    assert int(a.position[0, FUND_ROW]) == 1_000 and int(a.cash[0, row]) == 0
    assert world.exchange.fund_equity(world.exchanges.mark_ticks) == -1_000 * MICRO


def test_a_close_beyond_bankruptcy_is_paid_by_the_fund() -> None:
    """Without a limit the forced order sells at 94,000 $, 1,000 $ below bankruptcy."""
    world = VenueWorld(1, preset(sizing="whole", order_limit="none"))
    row = world.hold(0, 1_000, 20)
    world.quote(BUY, 940_000, 1_000)
    world.set_mark(953_000)
    world.liquidate_until_quiet()
    debt = events(world, BAD_DEBT)
    assert debt["amount"].tolist() == [1_000 * MICRO] and debt["counterparty"].tolist() == [row]
    assert debt["cause"].tolist() == events(world, LIQUIDATION)["seq"].tolist()
    assert world.fund_cash == 999_999_000 * MICRO and int(world.accounts.cash[0, row]) == 0


# --- debts outside a liquidation --------------------------------------------------------------------------------------


def test_a_winner_deleveraged_beyond_its_own_margin_is_topped_up() -> None:
    """A short from 91,000 $ at 50x is in profit at 90,900 but closes at the loser's 98,000: 5,180 $ missing."""
    world = VenueWorld(2, preset(sizing="whole"), fund_usd=0)
    loser, winner = world.hold(0, 1_000, 50), world.hold(1, -1_000, 50, 910_000)
    a = world.accounts
    a.entry_cost[0, DEEP_POCKET] = 0
    world.settle_outside()
    world.set_mark(909_000)
    world.liquidate_until_quiet()
    assert events(world, DELEVERAGE)["counterparty"].tolist() == [winner]
    assert not a.position[0, [loser, winner]].any() and not a.cash[0, [loser, winner]].any()
    assert events(world, BAD_DEBT)["amount"].tolist() == [(7_000 - 1_820) * MICRO]
    assert world.fund_cash == -5_180 * MICRO


@pytest.mark.parametrize("coins", [0, 1])
def test_an_own_close_beyond_bankruptcy_is_topped_up_unless_coins_are_left(coins: int) -> None:
    """Reduce-only at 94,000 $ with 5,000 $ of margin, before the mark has moved: 1,000 $ are missing."""
    world = VenueWorld(1, preset(), fund_usd=10_000)
    row = world.hold(0, 1_000, 20)
    world.accounts.cash[1, row] = coins
    world.settle_outside()
    world.quote(BUY, 940_000, 1_000)
    world.send(world.message(row, IOC, SELL, 1_000, price_ticks=940_000, flags=REDUCE_ONLY))
    assert int(world.accounts.cash[0, row]) == -1_000 * MICRO
    world.liquidate_until_quiet()
    assert int(world.accounts.cash[0, row]) == (-1_000 * MICRO if coins else 0)
    assert world.fund_cash == (10_000 if coins else 9_000) * MICRO


# --- causes -----------------------------------------------------------------------------------------------------------


def test_liquidations_name_the_fill_that_moved_the_mark_and_fills_the_liquidation() -> None:
    """Spot and perpetual fall to 95,200 $; the mark follows and forces a long."""
    world = VenueWorld(1, preset())
    row = world.hold(0, 1_000, 20)
    world.accounts.mode[DEEP_POCKET] = CROSS
    for market, unit in ((world.spot, 10), (world.perp, 1)):
        world.quote(BUY, 952_000 * unit, 2_000, market=market)
        world.quote(SELL, 952_010 * unit, 2_000, market=market)
    world.send(world.message(DEEP_POCKET, IOC, SELL, 10, price_ticks=9_520_000, market=world.spot))
    world.send(world.message(DEEP_POCKET, IOC, SELL, 10, price_ticks=952_000))
    on_spot, on_perp = (int(e["seq"]) for e in events(world, FILL_EVENT))
    world.model.tick = 60
    world.exchanges.mark()
    world.liquidate_until_quiet()
    forced = events(world, LIQUIDATION)
    assert forced["account"].tolist() == [row] and int(forced["cause"][0]) in (on_spot, on_perp)
    fills = events(world, FILL_EVENT)
    fills = fills[fills["reason"] == BY_LIQUIDATION]
    assert fills.size and set(fills["cause"]) == set(forced["seq"])


def test_a_mark_by_funding_and_index_names_the_spot_fill() -> None:
    """The perpetual stands still at 100,000 $ and its basis average above the index: the median is the index."""
    world = VenueWorld(1, preset())
    world.hold(0, 1_000, 20)
    world.quote(BUY, 9_520_000, 2_000, market=world.spot)
    world.quote(SELL, 9_520_010, 2_000, market=world.spot)
    world.send(world.message(DEEP_POCKET, IOC, SELL, 10, price_ticks=9_520_000, market=world.spot))
    world.quote(BUY, 940_000, 10)
    world.quote(SELL, 940_000, 5)  # the last price is far below the index, the basis average far above
    world.quote(SELL, 1_200_000, 5)
    spot_fill = int(events(world, FILL_EVENT)["seq"][0])
    world.model.tick = 60
    world.exchanges.mark()
    assert world.desk.mark_ticks == 952_000
    world.liquidate_until_quiet()
    assert events(world, LIQUIDATION)["cause"].tolist() == [spot_fill]
