"""The margin ladder, the full scan and the formulas agree on who is below maintenance, whatever happens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abm.clearing import formulas as f
from abm.clearing.margin import MarginLadder, VenueMargin, maintenance_of, venue_perpetuals
from abm.state import CROSS, FUND, ISOLATED, PERPETUAL, RETAIL, SPOT, Accounts, Markets
from abm.units import INT64_MAX, MICRO

pytestmark = pytest.mark.kernels

BRACKETS = (
    ((0, 400_000), (300_000, 500_000), (800_000, 650_000), (3_000_000, 1_000_000), (12_000_000, 2_000_000)),
    ((0, 1_000_000), (500_000, 2_500_000), (5_000_000, 50_000_000)),
)
TICK_VALUES = (100, 37)
WIDTH = 6


def tiers(k):
    floors = [dollars * MICRO for dollars, _ in BRACKETS[k]]
    rates = [rate for _, rate in BRACKETS[k]]
    return [f.Tier(*row, leverage=1) for row in zip(floors, rates, f.maintenance_amounts(floors, rates), strict=True)]


def markets(perpetuals=1):
    """A spot market and one or two perpetuals of one venue."""
    count = 1 + perpetuals
    floor = np.full((count, WIDTH), INT64_MAX, np.int64)
    rate, amount = np.zeros((count, WIDTH), np.int64), np.zeros((count, WIDTH), np.int64)
    for k in range(perpetuals):
        for n, tier in enumerate(tiers(k)):
            floor[k + 1, n], rate[k + 1, n], amount[k + 1, n] = tier.floor, tier.rate, tier.amount

    def column(*values):
        return np.array(values[:count])

    return Markets(
        names=["spot", "one", "two"][:count],
        venue=np.zeros(count, np.int32),
        kind=column(SPOT, PERPETUAL, PERPETUAL).astype(np.int32),
        slot=column(-1, 0, 1).astype(np.int32),
        settle=np.zeros(count, np.int32),
        base=np.ones(count, np.int32),
        tick_value=column(1, *TICK_VALUES),
        lot_units=np.ones(count, np.int64),
        taker_fee=np.zeros(count, np.int64),
        maker_fee=np.zeros(count, np.int64),
        band=np.zeros(count, np.int64),
        price_filter=np.zeros(count, np.int64),
        tick_dollars=np.ones(count),
        lot_coins=np.ones(count),
        tier_floor=floor,
        tier_maintenance=rate,
        tier_amount=amount,
        tier_leverage=np.ones((count, WIDTH), np.int64),
    )


def place(accounts, row, rng, mark, slots=1):
    """Give a row a new random position, or none, and the margin of a random leverage."""
    accounts.mode[row] = rng.integers(2)
    accounts.kind[row] = FUND if rng.random() < 0.05 else RETAIL
    accounts.venue[row] = int(rng.random() < 0.05)
    accounts.cash[0, row] = 0
    for k in range(slots):
        accounts.position[k, row] = accounts.entry_cost[k, row] = accounts.margin[k, row] = 0
        if rng.random() < 0.2:
            continue
        lots = int(10 ** rng.uniform(0, 8.5)) * int(rng.choice([-1, 1]))
        price = max(1, int(mark * rng.normal(1, 0.02)))
        cost = lots * price * TICK_VALUES[k]
        margin = int(abs(cost) / rng.choice([0.9, 1, 2, 5, 10, 20, 50, 100, 150]))
        accounts.position[k, row], accounts.entry_cost[k, row] = lots, cost
        if accounts.mode[row] == ISOLATED:
            accounts.margin[k, row] = margin
            accounts.cash[0, row] = 10**12
        else:
            accounts.cash[0, row] += margin


def brute(accounts, marks, venue=0):
    """Rows below maintenance, from the formulas."""
    found = []
    for row in range(accounts.rows):
        if accounts.kind[row] >= FUND or accounts.venue[row] != venue:
            continue
        equity, needed, below, held = int(accounts.cash[0, row]), 0, False, False
        for k, mark in enumerate(marks):
            lots, cost = int(accounts.position[k, row]), int(accounts.entry_cost[k, row])
            if lots == 0:
                continue
            held = True
            own = f.equity(0, lots, mark, cost, TICK_VALUES[k])
            required = f.maintenance_margin(abs(lots * mark * TICK_VALUES[k]), tiers(k))
            if accounts.mode[row] == ISOLATED:
                below = below or own + int(accounts.margin[k, row]) < required
            equity, needed = equity + own, needed + required
        if accounts.mode[row] == CROSS:
            below = held and equity < needed
        if below:
            found.append(row)
    return found


@given(st.integers(0, 2**32 - 1), st.sampled_from([(0, 4000), (900, 200), (1100, 50), (1, 1)]))
def test_ladder_scan_and_formulas_agree(seed, shape):
    rng = np.random.default_rng(seed)
    accounts, facts = Accounts.empty(40, 2, 1), markets()
    mark = 1000
    for row in range(accounts.rows):
        place(accounts, row, rng, mark)
    ladder, full = MarginLadder(1, facts, accounts, *shape), VenueMargin(0, facts, accounts)
    ladder.rebuild(mark)
    for _ in range(12):
        rows = rng.integers(0, accounts.rows, rng.integers(0, 6))
        for row in rows:
            place(accounts, row, rng, mark)
        ladder.update(rows, mark)
        ladder.check()
        expected = brute(accounts, [mark])
        assert ladder.crossed(mark).tolist() == expected
        mark = max(1, int(mark * rng.choice([rng.normal(1, 0.01), rng.normal(1, 0.3), 1])))
        expected = brute(accounts, [mark])
        found = ladder.crossed(mark)
        assert found.dtype == np.int64 and found.tolist() == expected
        assert full.below([mark]).tolist() == expected
        ladder.check()


@given(st.integers(0, 2**32 - 1))
def test_liquidation_ticks_are_those_of_the_formula(seed):
    rng = np.random.default_rng(seed)
    accounts, facts = Accounts.empty(30, 2, 1), markets()
    for row in range(accounts.rows):
        place(accounts, row, rng, 1_000_000)
    ladder = MarginLadder(1, facts, accounts, 0, 2_000_000)
    ladder.rebuild(1_000_000)
    for row, ticks in enumerate(ladder.liquidation_ticks(np.arange(accounts.rows))):
        collateral = accounts.margin[0, row] if accounts.mode[row] == ISOLATED else accounts.cash[0, row]
        expected = f.liquidation_price_ticks(
            int(accounts.position[0, row]), int(accounts.entry_cost[0, row]), int(collateral), TICK_VALUES[0], tiers(0)
        )
        outside = accounts.kind[row] >= FUND or accounts.venue[row] != 0
        assert ticks == (0 if outside else expected)


@given(st.integers(0, 2**32 - 1))
def test_cross_positions_in_two_instruments_are_summed(seed):
    rng = np.random.default_rng(seed)
    accounts, facts = Accounts.empty(40, 2, 2), markets(perpetuals=2)
    for row in range(accounts.rows):
        place(accounts, row, rng, 1000, slots=2)
    ladders, full = [MarginLadder(1 + k, facts, accounts, 0, 3000) for k in range(2)], VenueMargin(0, facts, accounts)
    several = (accounts.mode == CROSS) & (accounts.position != 0).all(axis=0)
    for _ in range(4):
        marks = rng.integers(700, 1300, 2)
        expected = brute(accounts, [int(mark) for mark in marks])
        assert full.below(marks).tolist() == expected
        by_ladder = set().union(
            *(ladder.crossed(int(mark)).tolist() for ladder, mark in zip(ladders, marks, strict=True))
        )
        assert by_ladder == {row for row in expected if not several[row]}


def test_own_fill_past_the_mark_is_pending_at_once_and_leaves_when_closed():
    accounts, facts = Accounts.empty(1, 2, 1), markets()
    ladder = MarginLadder(1, facts, accounts, 0, 2000)
    ladder.rebuild(1000)
    accounts.position[0, 0], accounts.entry_cost[0, 0] = 10, 10 * 1100 * 100
    accounts.cash[0, 0] = 50_000
    ladder.update(np.array([0]), 1000)
    assert ladder.crossed(1000).tolist() == [0]
    assert ladder.crossed(1200).tolist() == []
    assert ladder.crossed(1000).tolist() == [0]
    accounts.position[0, 0] = accounts.entry_cost[0, 0] = 0
    ladder.update(np.array([0, 0]), 1000)
    assert ladder.crossed(1).tolist() == []
    assert ladder.liquidation_ticks(0) == 0


@pytest.mark.parametrize("mode", [CROSS, ISOLATED])
@pytest.mark.parametrize("perpetuals", [1, 2])
def test_equity_equal_to_maintenance_is_enough(mode, perpetuals):
    accounts, facts = Accounts.empty(2, 2, perpetuals), markets(perpetuals)
    accounts.mode[:] = mode
    accounts.position[0], accounts.entry_cost[0] = 10, 10 * 1000 * 100
    wealth = accounts.margin[0] if mode == ISOLATED else accounts.cash[0]
    wealth[:] = f.maintenance_margin(10 * 1000 * 100, tiers(0)) - np.arange(2)
    ladder = MarginLadder(1, facts, accounts, 0, 2000)
    ladder.rebuild(1000)
    assert ladder.crossed(1000).tolist() == VenueMargin(0, facts, accounts).below([1000] * perpetuals).tolist() == [1]


def test_debt_without_a_position_is_not_a_liquidation():
    for perpetuals in (1, 2):
        accounts, facts = Accounts.empty(1, 2, perpetuals), markets(perpetuals)
        accounts.cash[0] = -5
        assert VenueMargin(0, facts, accounts).below([1000] * perpetuals).size == 0


def test_scan_can_be_limited_to_a_range_of_rows():
    accounts, facts = Accounts.empty(3, 2, 1), markets()
    accounts.position[0], accounts.entry_cost[0] = 10, 10 * 1100 * 100
    assert VenueMargin(0, facts, accounts).below(1000, 1, 2).tolist() == [1]


def test_limits_are_refused():
    accounts, facts = Accounts.empty(1, 2, 1), markets(perpetuals=2)
    with pytest.raises(ValueError, match="no perpetual"):
        MarginLadder(0, facts, accounts, 0, 10)
    with pytest.raises(ValueError, match="levels"):
        MarginLadder(1, facts, accounts, 0, 0)
    facts.settle[2] = 1
    with pytest.raises(ValueError, match="settlement"):
        venue_perpetuals(facts, 0)


@given(st.lists(st.integers(0, 10**17), min_size=1, max_size=20))
def test_maintenance_by_arrays(notionals):
    expected = [f.maintenance_margin(notional, tiers(0)) for notional in notionals]
    assert maintenance_of(np.array(notionals, np.int64), markets(), 1).tolist() == expected
