"""Coins and a yield-bearing dollar token as margin: haircuts, the venue's own spot price, seizure, admission.

Prices, rules and names as in `tests.test_cross_margin`: USDe counts 90 %, ETH 95 %.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from abm.events import BAD_DEBT, BY_SEIZURE, LIQUIDATION, TAKEOVER, TRANSFER
from abm.state import BUY, LIMIT, NOBODY, SELL
from abm.traders.base import Batch
from abm.units import MICRO, SATOSHI
from abm.venues.exchange import FUND_ROW
from tests.replayed import Replayed
from tests.test_cross_margin import BTC, COIN, Multi, multi
from tests.venue_world import DEEP_POCKET, FIRST

pytestmark = pytest.mark.kernels

TOKEN, ETH_SPOT, BTC_SPOT = "USDEUSDT-SPOT", "ETHUSDT-SPOT", "BTCUSDT-SPOT"


def backed(world: Multi, i: int = 0, lots: int = 1_000, usde: int = 10_000, eth: float = 0.0, usdt: int = 0) -> int:
    """A cross account long in BTC whose margin is tokens and coins; the row."""
    row = world.hold(i, lots, 10, market=world.market_of(BTC), cross=True)
    a = world.accounts
    a.cash[0, row] = usdt * MICRO
    a.cash[world.assets.index("USDE"), row] = usde * MICRO
    a.cash[world.assets.index("ETH"), row] = round(eth * SATOSHI)
    a.touched[row] = True
    world.settle_outside()
    return row


def equity(world: Multi, row: int) -> int:
    return int(world.exchange.cross.equity(np.array([row]), world.market_of(BTC))[0][0])


def test_equity_counts_what_the_own_spot_pays_less_a_haircut() -> None:
    """10,000 USDe at 0.9990: 8,991 $; 0.5 ETH at 4,000 $: 1,900 $; 100 $ of cash; BTC at its entry."""
    world = Multi(1)
    row = backed(world, eth=0.5, usdt=100)
    world.at(**{TOKEN: 9_990})
    assert equity(world, row) == (8_991 + 1_900 + 100) * MICRO
    world.at(**{ETH_SPOT: 300_000, BTC: 1_010_000})
    assert equity(world, row) == (8_991 + 1_425 + 100 + 1_000) * MICRO


def test_a_depeg_at_this_venue_liquidates_though_bitcoin_has_not_moved() -> None:
    """1 BTC long at 100,000 $ needs 400 $. BTC at 93,000: -7,000 $, so the 10,000 USDe must count 7,372 (0.4 %).

    At 0.8200 they count 7,380, at 0.8190 7,371. Taken over: the fund gets the position at 93,371... and the tokens.
    """
    world = Multi(1)
    row = backed(world)
    world.at(BTCUSDT=930_000, **{TOKEN: 8_200})
    replayed = Replayed(world)
    world.liquidate_until_quiet()
    assert world.events(LIQUIDATION).size == 0
    world.at(**{TOKEN: 8_190})
    world.liquidate_until_quiet()
    assert world.events(LIQUIDATION)["amount"].tolist() == [371 * MICRO]
    # the account's debt after the takeover is what its tokens count for: sold at 92,629 $, 7,371 $ short
    assert world.events(TAKEOVER)["amount"].tolist() == [-(100_000 - 7_371) * MICRO]
    seized = world.events(TRANSFER)
    assert seized["reason"].tolist() == [BY_SEIZURE] * 2
    assert seized["amount"].tolist() == [10_000 * MICRO, 7_371 * MICRO]
    assert seized["account"].tolist() == [row, FUND_ROW] and seized["counterparty"].tolist() == [FUND_ROW, row]
    a = world.accounts
    assert not a.cash[:, row].any() and not a.position[:, row].any()
    # the fund took a position that is worth 371 $ more than it paid, and tokens at what they count for
    assert world.exchange.fund_equity(world.exchanges.mark_ticks) == 1_000_371 * MICRO
    replayed.check()


def test_a_debt_takes_only_as_many_coins_as_it_needs_rounded_for_the_fund() -> None:
    """1,000.000001 $ of debt, ETH counts 3,800 $: 0.26315790 ETH (0.263157894...), for 1,000.000001 $."""
    world = Multi(1)
    row, eth = FIRST, world.assets.index("ETH")
    world.accounts.mode[row] = 0
    world.accounts.cash[eth, row], world.accounts.cash[0, row] = SATOSHI, -1_000_000_001
    world.settle_outside()
    replayed = Replayed(world)
    world.liquidate_until_quiet()
    units = -(-1_000_000_001 * SATOSHI // (3_800 * MICRO))
    assert world.events(TRANSFER)["amount"].tolist() == [units, 1_000_000_001]
    assert world.accounts.cash[:, row].tolist() == [0, 0, SATOSHI - units, 0]
    assert world.events(BAD_DEBT).size == 0
    replayed.check()


def test_what_collateral_does_not_cover_is_bad_debt() -> None:
    """A close without limit at 90,000 $: 10,000 $ of debt, 10,000 USDe at 0.70 count 6,300: 3,700 for the fund."""
    world = Multi(1, multi(order_limit="none"))
    row = backed(world)
    world.quote(BUY, 900_000, 1_000)
    replayed = Replayed(world)
    world.at(BTCUSDT=930_000, **{TOKEN: 7_000})
    world.liquidate_until_quiet()
    assert world.events(TRANSFER)["amount"].tolist() == [10_000 * MICRO, 6_300 * MICRO]
    assert world.events(BAD_DEBT)["amount"].tolist() == [3_700 * MICRO]
    assert not world.accounts.cash[:, row].any()
    assert world.exchange.fund_equity(world.exchanges.mark_ticks) == (1_000_000 - 3_700) * MICRO
    replayed.check()


def test_the_fund_sells_what_it_seized_on_the_own_spot() -> None:
    """Its share of a second goes to the best bid, and the token falls further: a depeg feeds itself."""
    world = Multi(1)
    backed(world)
    token = world.market_of(TOKEN)
    world.quote(BUY, 8_190, 3, DEEP_POCKET, token)
    world.at(BTCUSDT=930_000, **{TOKEN: 8_190})
    world.liquidate_until_quiet()
    replayed = Replayed(world)

    batch = Batch()
    world.exchange.decide(SimpleNamespace(round=1, tick_s=1.0, last_ticks=world.exchanges.mark_ticks), batch)
    orders = batch.messages()
    assert orders["market"].tolist() == [world.market_of(BTC), token] and orders["side"].tolist() == [SELL, SELL]
    assert orders["size_lots"].tolist() == [1, 6]  # 0.0005 a second of 10,000, and one
    world.send(orders)
    assert int(world.accounts.cash[world.assets.index("USDE"), FUND_ROW]) == 9_997 * MICRO
    world.audit()
    replayed.check()


# --- admission --------------------------------------------------------------------------------------------------------
def admitted(world: Multi, row: int, instrument: str, side: int, lots: int, price: int) -> bool:
    order = world.message(row, LIMIT, side, lots, price_ticks=price, market=world.market_of(instrument))
    return bool(world.send(order)[0] != NOBODY)


def test_collateral_admits_orders() -> None:
    """10,000 USDe count 9,000 $: at 10x 0.9 BTC of bids at the mark, 90,000 $, and not a lot more."""
    world = Multi(1)
    row = backed(world, lots=0)
    world.accounts.leverage[row] = 10
    assert not admitted(world, row, BTC, BUY, 901, 1_000_000)
    assert admitted(world, row, BTC, BUY, 900, 1_000_000)
    assert not admitted(world, row, BTC, BUY, 1, 1_000_000)
    world.audit()


def test_collateral_buys_no_coins_and_is_nothing_to_an_isolated_account() -> None:
    world = Multi(1)
    row = backed(world, lots=0)
    assert not admitted(world, row, BTC_SPOT, BUY, 1, 10_000_000)
    world.accounts.mode[row] = 1
    assert not admitted(world, row, BTC, BUY, 1, 1_000_000)


def test_dollar_collateral_does_not_back_coin_margined_positions() -> None:
    world = Multi(1)
    row = backed(world, lots=0)
    assert not admitted(world, row, COIN, BUY, 1, 1_000_000)
    world.accounts.cash[world.assets.index("BTC"), row] = SATOSHI // 10
    assert admitted(world, row, COIN, BUY, 900, 1_000_000)  # 90,000 $ at 10x: 0.09 BTC


def test_coins_that_are_margin_cannot_be_sold() -> None:
    """100 contracts at 100,000 $ are 0.1 BTC, margin 0.01 BTC at 10x: of 0.05 BTC, 0.04 may be sold."""
    world = Multi(1)
    row = world.hold(0, 100, 10, market=world.market_of(COIN), cross=True)
    world.accounts.cash[world.assets.index("BTC"), row] = SATOSHI // 20
    world.settle_outside()
    assert not admitted(world, row, BTC_SPOT, SELL, 401, 10_000_000)
    assert admitted(world, row, BTC_SPOT, SELL, 400, 10_000_000)


# --- property ---------------------------------------------------------------------------------------------------------
@settings(max_examples=15, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    usde=st.integers(0, 20_000 * MICRO), eth=st.integers(0, 2 * SATOSHI), usdt=st.integers(0, 5_000 * MICRO),
    token=st.integers(1, 12_000), coin=st.integers(1, 800_000), mark=st.integers(800_000, 1_000_000),
    bid=st.integers(600_000, 1_000_000), lots=st.integers(1, 1_500),
)  # fmt: skip
def test_a_liquidated_account_leaves_nothing_and_nothing_gets_lost(
    usde: int, eth: int, usdt: int, token: int, coin: int, mark: int, bid: int, lots: int
) -> None:
    """Forced if and only if cash + collateral + profit is below maintenance, by exact sums; every unit is found."""
    world = Multi(1)
    row = backed(world, lots=1_000, usde=0)
    a = world.accounts
    a.cash[:, row] = [usdt, 0, eth, usde]
    a.touched[row] = True
    world.settle_outside()
    replayed = Replayed(world)
    world.quote(BUY, bid, lots)
    world.at(BTCUSDT=mark, **{TOKEN: token, ETH_SPOT: coin})
    counted = usde * token * 9 // 100_000 + eth * (coin * 9_500) // SATOSHI
    own = usdt + counted + 1_000 * (mark - 1_000_000) * 100
    assert abs(equity(world, row) - own) <= 1
    below = equity(world, row) < mark * 100 * 1_000 * 4 // 1_000
    world.liquidate_until_quiet(30)
    assert (world.events(LIQUIDATION).size > 0) == below
    if below and world.events(TAKEOVER).size:
        assert not a.cash[0, row] and not a.position[:, row].any()
        assert not world.exchange.cross.collateral_value(np.array([row]), 0).any()  # but dust that counts nothing
    replayed.check()
