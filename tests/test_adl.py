"""Deleveraging: the queue, its exact order, and what no rule may do."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abm.clearing.adl import AllocationError, BinanceQueue, Winners, check_allocation, winners_at
from abm.clearing.formulas import adl_score
from abm.state import BUY, FUND, ISOLATED, SELL, Accounts
from abm.units import MICRO
from abm.venues.preset import build_markets, load_preset


def winners(profits, wallets=None, sizes=None, maintenance=None):
    """Winners with a profit in dollars of one dollar a lot, unless said otherwise."""
    profits = np.array(profits, np.int64)

    def money(values, default):
        return np.array(values if values is not None else [default] * profits.size, np.int64) * MICRO

    return Winners(
        rows=np.arange(profits.size) * 2 + 1,
        size_lots=np.array(sizes, np.int64) if sizes is not None else np.maximum(profits, 1),
        unrealised=profits * MICRO,
        wallet=money(wallets, 1000),
        maintenance=money(maintenance, 10),
    )


def allocated(needed, who):
    lots = BinanceQueue().allocate(needed, who)
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
    assert allocated(4, who) == [3, 0, 0, 1]


def test_ties_go_by_row_and_near_ties_by_exact_fractions():
    equal = winners([10, 10, 10], sizes=[1, 1, 1])
    assert BinanceQueue().ranking(equal).tolist() == [0, 1, 2]
    close = Winners(
        rows=np.arange(3),
        size_lots=np.ones(3, np.int64),
        unrealised=np.array([3 * 10**15, 3 * 10**15 + 1, 3 * 10**15]),
        wallet=np.array([10**17, 10**17, 10**17 - 1]),
        maintenance=np.full(3, 10**13),
    )
    exact = [adl_score(*(int(a[i]) for a in (close.unrealised, close.wallet, close.maintenance))) for i in range(3)]
    assert BinanceQueue().ranking(close).tolist() == sorted(range(3), key=lambda i: -exact[i]) == [1, 2, 0]


@given(st.integers(0, 2**32 - 1), st.integers(1, 2_000), st.integers(0, 100_000))
def test_looking_at_the_top_only_changes_nothing(seed, count, needed):
    rng = np.random.default_rng(seed)
    who = winners(
        rng.integers(-5, 10, count),
        wallets=rng.integers(-3, 10, count),
        sizes=rng.integers(1, 100, count),
        maintenance=rng.integers(0, 4, count),
    )

    def exact(i: int) -> Fraction:
        return adl_score(*(int(a[i]) for a in (who.unrealised, who.wallet, who.maintenance)))

    order = sorted(np.flatnonzero(who.eligible).tolist(), key=lambda i: (-exact(i), i))
    assert BinanceQueue().ranking(who).tolist() == order
    expected, left = [0] * count, needed
    for i in order:
        expected[i] = min(left, int(who.size_lots[i]))
        left -= expected[i]
    assert allocated(needed, who) == expected


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
    markets, accounts = build_markets([load_preset("binance-2025-10")]), Accounts.empty(7, 2, 1, 2)
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
    assert winners_at(markets, accounts, 1, BUY, 1100, excluded=[0]).rows.tolist() == [6]
    assert winners_at(markets, accounts, 1, SELL, 1100).rows.size == 0
    assert winners_at(markets, accounts, 1, SELL, 900).rows.tolist() == [1, 4]
    with pytest.raises(ValueError, match="ascending"):
        Winners(*[np.array([2, 1])] * 5)
