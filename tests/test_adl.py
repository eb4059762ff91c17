"""Deleveraging: queues and their exact order, where winners come from, and what no rule may do."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abm.clearing.adl import (
    AllocationError,
    BinanceQueue,
    BybitQueue,
    HyperliquidQueue,
    Winners,
    check_allocation,
    winners_at,
)
from abm.clearing.formulas import adl_score
from abm.state import BUY, FUND, ISOLATED, PERPETUAL, SELL, SPOT, Accounts, Markets
from abm.units import MICRO


def markets_of(inverse=0):
    """Spot and a perpetual of one venue; a tick and lot are worth 100 units, maintenance is 0.4 %."""
    two, ids = np.zeros(2, np.int64), np.zeros(2, np.int32)
    return Markets(
        names=["v/spot", "v/perp"], venue=ids, kind=np.array([SPOT, PERPETUAL], np.int32),
        slot=np.array([-1, 0], np.int32), settle=ids, base=ids + 1, tick_value=two + 100, lot_units=two + 100_000,
        taker_fee=two, maker_fee=two, band=two, price_filter=two, tick_dollars=np.full(2, 0.1),
        lot_coins=np.full(2, 0.001), tier_floor=np.zeros((2, 1), np.int64),
        tier_maintenance=np.full((2, 1), 400_000), tier_amount=np.zeros((2, 1), np.int64),
        tier_leverage=np.full((2, 1), 100), inverse=np.array([0, inverse]),
    )  # fmt: skip


def winners(profits, wallets=None, sizes=None, maintenance=None, notional=None):
    """Winners with a profit in dollars of one dollar a lot, unless said otherwise; a long's entry value."""
    profits = np.array(profits, np.int64)

    def money(values, default):
        return np.array(values if values is not None else [default] * profits.size, np.int64) * MICRO

    wallet, value = money(wallets, 1000), money(notional, 10_000)
    return Winners(
        rows=np.arange(profits.size) * 2 + 1,
        size_lots=np.array(sizes, np.int64) if sizes is not None else np.maximum(profits, 1),
        unrealised=profits * MICRO,
        wallet=wallet,
        maintenance=money(maintenance, 10),
        notional=value,
        entry_notional=value - profits * MICRO,
        equity=wallet + profits * MICRO,
    )


def allocated(needed, who, rule=BinanceQueue()):  # noqa: B008
    lots = rule.allocate(needed, who)
    check_allocation(needed, who, lots)
    return lots.tolist()


def test_the_largest_winner_pays_first_and_whole():
    who = winners([60, 100, 40])
    assert allocated(50, who) == [0, 50, 0]
    assert allocated(130, who) == [30, 100, 0]
    assert allocated(1_000, who) == [60, 100, 40]
    assert allocated(0, who) == allocated(-3, who) == [0, 0, 0]


def test_splitting_an_account_moves_the_hit_only_if_it_spreads_the_profit_thin():
    # Ten accounts of 10 with a full wallet each rank below the 60 ...
    thin = winners([10] * 10 + [60, 40])
    assert allocated(50, thin)[:10] == [0] * 10
    assert allocated(50, thin)[10] == 50
    # ... but a split of profit, wallet and requirement alike leaves the ratio and so the place in the queue.
    alike = winners([10] * 10 + [60, 40], wallets=[100] * 10 + [1000] * 2, maintenance=[1] * 10 + [10] * 2)
    assert allocated(50, alike) == [10] * 5 + [0] * 7


def test_accounts_without_profit_or_equity_come_last_or_never():
    who = winners([5, -5, 0, 7], wallets=[100, 1, 1, -7], sizes=[3, 3, 3, 3])
    assert allocated(100, who) == [3, 0, 0, 3]
    for rule in BinanceQueue(), BybitQueue(), HyperliquidQueue():
        assert allocated(4, who, rule) == [3, 0, 0, 1]


def test_ties_go_by_row_and_near_ties_by_exact_fractions():
    equal = winners([10, 10, 10], sizes=[1, 1, 1])
    wallet, profit = np.array([10**17, 10**17, 10**17 - 1]), np.array([3 * 10**15, 3 * 10**15 + 1, 3 * 10**15])
    close = Winners(
        rows=np.arange(3),
        size_lots=np.ones(3, np.int64),
        unrealised=profit,
        wallet=wallet,
        maintenance=np.full(3, 10**13),
        notional=np.full(3, 10**16),
        entry_notional=np.full(3, 10**16),
        equity=wallet + profit,
    )
    for rule in BinanceQueue(), BybitQueue(), HyperliquidQueue():
        assert rule.ranking(equal).tolist() == [0, 1, 2]
        # a difference of 1e-15 in the ratio, below what floating point tells apart: more profit, or less wallet
        assert rule.ranking(close).tolist() == [1, 2, 0]
    assert [adl_score(*(int(a[i]) for a in (close.unrealised, close.wallet, close.maintenance))) for i in (1, 2)] == [
        BinanceQueue().exact(close, i) for i in (1, 2)
    ]


@pytest.mark.parametrize("rule", [BinanceQueue(), BybitQueue(), HyperliquidQueue()], ids=lambda r: type(r).__name__)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 800), needed=st.integers(0, 100_000))
def test_looking_at_the_top_only_changes_nothing(rule, seed, count, needed):
    rng = np.random.default_rng(seed)
    who = winners(
        rng.integers(-5, 10, count),
        wallets=rng.integers(-3, 10, count),
        sizes=rng.integers(1, 100, count),
        maintenance=rng.integers(0, 4, count),
        notional=rng.integers(10, 14, count),
    )
    exact = {i: rule.exact(who, i) for i in np.flatnonzero(who.eligible).tolist()}
    order = sorted(exact, key=lambda i: (-exact[i], i))
    assert rule.ranking(who).tolist() == order
    expected, left = [0] * count, needed
    for i in order:
        expected[i] = min(left, int(who.size_lots[i]))
        left -= expected[i]
    assert allocated(needed, who, rule) == expected


def test_scores_by_hand():
    # a long of $10,000 that gained $2,000, $500 in the wallet: equity 2,500
    who = winners([2_000], wallets=[500], maintenance=[40])
    assert BinanceQueue().exact(who, 0) == Fraction(2_000, 500) * Fraction(40, 2_500)
    assert BybitQueue().exact(who, 0) == Fraction(2_000, 8_000) * Fraction(10_000, 2_500) == 1
    assert HyperliquidQueue().exact(who, 0) == 1
    # no account value: leverage is the floor, 1e-8; no profit: the return is
    broke = winners([2_000, 0], wallets=[-2_000, 5_000])
    assert BybitQueue().exact(broke, 0) == 0
    assert HyperliquidQueue().exact(broke, 0) == Fraction(1, 4 * 10**8)
    assert HyperliquidQueue().exact(broke, 1) == 2 * Fraction(1, 10**8)


def test_binance_looks_at_the_requirement_the_others_at_leverage():
    """Equity 200 and 700 behind $10,000 each; the first needs ten times the maintenance of the second."""
    who = winners([100, 400], wallets=[100, 300], maintenance=[400, 40])
    assert BinanceQueue().ranking(who).tolist() == [0, 1]  # 2.0 and 0.08
    for rule in BybitQueue(), HyperliquidQueue():
        assert rule.ranking(who).tolist() == [1, 0]  # 0.505 and 0.595


@pytest.mark.parametrize(
    "lots, what",
    [
        ([5, 0, 0], "wanted"),
        ([11, 0, 0], "flip"),
        ([-1, 11, 0], "negative"),
        ([9, 0, 1], "without profit"),
        ([10, 0], "shape"),
        ([10.0, 0, 0], "whole numbers"),
    ],
)
def test_bad_allocations_are_refused(lots, what):
    with pytest.raises(AllocationError, match=what):
        check_allocation(10, winners([10, 20, -5], sizes=[10, 20, 5]), np.array(lots))


def test_winners_come_from_the_accounts():
    markets, accounts = markets_of(), Accounts.empty(7, 2, 1)
    accounts.position[0] = [10, -10, 10, 10, -10, 0, 10]
    accounts.entry_cost[0] = accounts.position[0] * 1000 * 100
    accounts.entry_cost[0, 2] += 10**6
    accounts.kind[3] = FUND
    accounts.mode[6] = ISOLATED
    accounts.cash[0], accounts.margin[0] = 50, 7
    longs = winners_at(markets, accounts, 1, BUY, 1100)
    assert longs.rows.tolist() == [0, 6]
    assert longs.size_lots.tolist() == [10, 10]
    assert longs.unrealised.tolist() == [100_000, 100_000]
    assert longs.wallet.tolist() == [50, 7]
    assert longs.maintenance.tolist() == [4_400, 4_400]
    assert longs.notional.tolist() == [1_100_000] * 2
    assert longs.entry_notional.tolist() == [1_000_000] * 2
    assert longs.equity.tolist() == [100_050, 100_007]
    whole = winners_at(markets, accounts, 1, BUY, 1100, equity=np.arange(7) * 1_000)
    assert whole.equity.tolist() == [0, 100_007], "an isolated position stands for itself"
    assert winners_at(markets, accounts, 1, BUY, 1100, excluded=[0]).rows.tolist() == [6]
    assert winners_at(markets, accounts, 1, SELL, 1100).rows.size == 0
    assert winners_at(markets, accounts, 1, SELL, 900).rows.tolist() == [1, 4]
    with pytest.raises(ValueError, match="ascending"):
        Winners(*[np.array([2, 1])] * 8)


def test_winners_of_an_inverse_contract():
    """$100 contracts settled in satoshi, tick $0.1: a long's value is minus the coins it owes."""
    markets, accounts = markets_of(inverse=10**11), Accounts.empty(7, 2, 1)
    accounts.position[0, :2] = 10, -10
    accounts.entry_cost[0, :2] = -(10**12) // 1_000_000, 10**12 // 1_000_000
    longs = winners_at(markets, accounts, 1, BUY, 1_250_000)
    assert longs.rows.tolist() == [0]
    assert longs.notional.tolist() == [800_000]
    assert longs.unrealised.tolist() == [200_000]
    shorts = winners_at(markets, accounts, 1, SELL, 800_000)
    assert shorts.rows.tolist() == [1]
    assert shorts.unrealised.tolist() == [250_000]
