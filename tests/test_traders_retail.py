"""Retail traders: opening state, calendar, the rule, and individuals that do exactly what the cohort does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abm.events import BY_COVERING, BY_ENTRY, BY_NEWS, BY_PANIC, BY_STOP_LOSS, BY_TAKE_PROFIT
from abm.rng import uniforms
from abm.state import BUY, CANCEL, CROSS, IOC, LIMIT, MESSAGE, NOBODY, REDUCE_ONLY, SELL, STOP
from abm.traders.base import HORIZONS_S
from abm.traders.hedgers import Hedgers, HedgersParameters
from abm.traders.noise import Noise, NoiseParameters
from abm.traders.retail import Calendar, RetailCohort, RetailParameters
from abm.traders.retail_kernel import NEWS, affordable_lots
from abm.traders.retail_opening import bounded_pareto, opening_book, whole_lots
from abm.traders.retail_trader import individually
from abm.units import RATE_ONE, at_rate_ceil
from tests.traders_world import PERP, SPOT_MARKET, START_TICKS, Stage

CLASSES = ((20, 1000, 0.012), (10, 20, 0.049), (5, 10, 0.106), (1, 5, 0.833))


@pytest.mark.parametrize(("n", "seed"), [(500, 1), (20_000, 1), (20_000, 2), (100_000, 7)])
def test_open_interest_and_leverage_mix_do_not_depend_on_the_number_of_accounts(n: int, seed: int) -> None:
    book = opening_book(RetailParameters(), n, seed, START_TICKS, 0.001)
    longs = book.position_lots > 0
    total = int(book.position_lots[longs].sum())
    assert total == 90_000_000
    assert -int(book.position_lots[book.position_lots < 0].sum()) == round(90_000_000 * RetailParameters().short_share)
    for low, high, share in CLASSES:
        inside = longs & (book.leverage >= low) & (book.leverage < high)
        assert book.position_lots[inside].sum() / total == pytest.approx(share, abs=1e-6)
    assert book.news_lots.sum() == pytest.approx(3_900_000)
    assert book.position_lots.max() <= max(0.02, 30 / n) * total


def test_sizes_are_heavy_tailed() -> None:
    sizes = bounded_pareto((np.arange(50_000) + 0.5) / 50_000, 0.8, 50_000, 0.015)
    assert sizes.sum() == pytest.approx(1.0) and sizes.max() <= 0.02
    top = np.sort(sizes)[::-1]
    hill = 1.0 / np.log(top[500:5000] / top[5000]).mean()
    exact = 1.0 / np.log((np.arange(500, 5000) / 5000.0) ** -1.25).mean()
    assert hill == pytest.approx(exact, rel=0.15)
    book = opening_book(RetailParameters(), 100_000, 1, START_TICKS, 0.001)
    lots = np.sort(book.position_lots[book.position_lots > 0])[::-1]
    k = lots.size // 20
    assert 0.7 < 1.0 / np.log(lots[:k] / lots[k]).mean() < 1.0
    assert whole_lots(np.array([0.7, 0.2, 0.1]), 11).tolist() == [8, 2, 1]
    assert whole_lots(np.array([0.5, 0.3, 0.2]), 2).sum() == 2


def test_only_survivors_are_there_and_high_leverage_is_young() -> None:
    p = RetailParameters()
    book = opening_book(p, 20_000, 3, START_TICKS, 0.001)
    held = np.flatnonzero(book.position_lots)
    side = np.sign(book.position_lots[held])
    ratio = book.entry_ticks[held] / START_TICKS
    liquidation = ratio * (1 - side / book.leverage[held]) / (1 - 0.005 * side)
    assert (side * (1 - liquidation) > 0.9 * p.safety).all()
    distance = np.abs(ratio - 1)
    assert distance[book.leverage[held] >= 20].mean() < 0.8 * distance[book.leverage[held] < 5].mean()
    # A 50x long cannot have entered above the present price by more than its margin.
    fifty = (book.leverage[held] == 50) & (side > 0)
    assert fifty.any() and ratio[fifty].max() < 1.017


def test_liquidations_near_the_price_hardly_depend_on_the_seed() -> None:
    near = []
    for seed in range(6):
        book = opening_book(RetailParameters(), 20_000, seed, START_TICKS, 0.001)
        longs = book.position_lots > 0
        price = book.entry_ticks / START_TICKS * (1 - 1 / book.leverage) / 0.995
        near.append([book.position_lots[longs & (price > 1 - fall)].sum() * 0.001 for fall in (0.03, 0.13)])
    spread = np.std(near, axis=0) / np.mean(near, axis=0)
    assert (spread < 0.1).all()
    assert 6_000 < np.mean(near, axis=0)[1] < 11_000  # 10,300 BTC were found in the search


def test_hedgers_close_the_sums() -> None:
    stage = Stage(5, (RetailCohort, RetailParameters(accounts=2000)), (Hedgers, HedgersParameters()))
    accounts, hedgers = stage.accounts, stage.people[1]
    assert isinstance(hedgers, Hedgers)
    hedgers.balance(stage.world, -int(accounts.position[0].sum()))
    assert accounts.position[0].sum() == 0
    assert accounts.entry_cost[0].sum() == 0
    assert -accounts.position[0, hedgers.rows].sum() == round(90_000_000 * (1 - RetailParameters().short_share))
    value = accounts.position[0] * START_TICKS * 100
    equity = accounts.cash[0] + accounts.margin[0] - accounts.entry_cost[0] + value
    leverage = np.abs(value[hedgers.rows]) / equity[hedgers.rows]
    assert leverage.min() > 0.8 and leverage.max() < 2.2
    retail = stage.people[0].rows
    assert (equity[retail][accounts.position[0, retail] != 0] > 0).all()
    assert (accounts.cash >= 0).all() and (accounts.margin >= 0).all()
    cross = (accounts.mode[retail] == CROSS) & (accounts.position[0, retail] != 0)
    assert cross.any() and (accounts.margin[0, retail[cross]] == 0).all()


def test_calendar_wakes_everybody_once_an_interval() -> None:
    calendar = Calendar(9, np.arange(5000), 240.0, 1.0)
    seen = [calendar.woken(tick) for tick in range(480)]
    counts = np.array([group.size for group in seen])
    for start in (0, 240):
        assert (np.sort(np.concatenate(seen[start : start + 240])) == np.arange(5000)).all()
    assert abs(counts.mean() - 5000 / 240) < 1e-9 and 2.5 < counts.std() < 7.0
    assert all((np.diff(group) > 0).all() for group in seen)
    assert calendar.woken(240).tolist() == seen[240].tolist()


@given(
    free=st.integers(10**6, 10**14),
    leverage=st.integers(1, 1001),
    last=st.integers(1000, 2_000_000),
    apart=st.floats(-0.03, 0.03),
    side=st.sampled_from((BUY, SELL)),
    fee=st.integers(0, 200_000),
)
def test_what_a_trader_can_afford_is_what_the_venue_admits(
    free: int, leverage: int, last: int, apart: float, side: int, fee: int
) -> None:
    slip, usage, tick_value = 0.003, 0.9, 100
    mark = int(last * (1 + apart))
    lots = affordable_lots(free, leverage, usage, slip, fee / RATE_ONE, last, mark, tick_value)
    # the reserve of `clearing/admit_kernel.py`, for one order of an account without a position
    price = int(last * (1 + side * slip))
    loss = max(side * (price - mark), 0) * tick_value
    unit = at_rate_ceil(max(price, mark) * tick_value, fee) + loss + -(-loss // leverage)
    assert -(-lots * mark * tick_value // leverage) + unit * lots <= free
    if leverage <= 10 and abs(apart) < 1e-3 and lots > 1000:
        assert lots == int(usage * free * leverage / (last * tick_value))  # nothing but `usage` binds


def crash(stage: Stage, fall: float = 0.09) -> dict[str, object]:
    last = np.array([int(START_TICKS * (1 - fall))] * 2)
    returns = np.full((2, len(HORIZONS_S)), np.log1p(-fall))
    return {
        "last_ticks": last,
        "mark_ticks": last,
        "returns": returns,
        "high_600_ticks": np.array([START_TICKS] * 2),
        "fair_ticks": last * 0.97,
    }


@pytest.mark.kernels
def test_individuals_send_what_the_cohort_sends() -> None:
    stages = []
    for individual in (False, True):
        stage = Stage(11, (RetailCohort, RetailParameters(accounts=600, stop_share=0.3, profit_share=0.3)))
        cohort = stage.people[0]
        assert isinstance(cohort, RetailCohort)
        if individual:
            assert len(individually(cohort)) == 600
        # A deep book for everybody to trade with.
        deep = np.zeros(2, MESSAGE)
        deep["op"], deep["side"], deep["account"], deep["order"] = LIMIT, (BUY, SELL), NOBODY, NOBODY
        deep["price_ticks"], deep["size_lots"] = (int(START_TICKS * 0.905), int(START_TICKS * 1.04)), 10**9
        stage.trade(deep)
        stages.append(stage)
    sent = 0
    for tick in range(300):
        changes = crash(stages[0]) if tick > 60 else {}
        both = []
        for stage in stages:
            stage.tick = tick
            both.append(stage.turn(stage.people[0], stage.view(**changes)))
        assert both[0].tolist() == both[1].tolist()
        sent += both[0].size
    assert sent > 400
    one, other = stages
    assert (one.accounts.position == other.accounts.position).all()
    assert one.books.state_sha256(PERP) == other.books.state_sha256(PERP)
    assert (one.people[0].protective == other.people[0].protective).all()
    assert (one.people[0].rest_until_s == other.people[0].rest_until_s).all() and other.people[0].rest_until_s.max() > 0


def test_a_fall_brings_panic_covering_and_new_shorts() -> None:
    stage = Stage(2, (RetailCohort, RetailParameters(accounts=20_000)))
    cohort = stage.people[0]
    first = stage.turn(cohort, stage.view())
    assert np.isin(first["op"], (STOP, LIMIT)).mean() > 0.95 and (first["flags"] == REDUCE_ONLY).all()
    stops = first[first["op"] == STOP]
    longs = stops[stops["side"] == SELL]
    assert (longs["stop_ticks"] < START_TICKS * 0.996).all() and (
        stops[stops["side"] == BUY]["stop_ticks"] > START_TICKS
    ).all()
    assert np.median(1 - longs["stop_ticks"] / START_TICKS) == pytest.approx(0.048, rel=0.15)
    assert longs.size == pytest.approx(0.02 * 9900, rel=0.3)
    assert {BY_STOP_LOSS, BY_TAKE_PROFIT} <= set(first["reason"])
    messages = []
    for tick in range(1, 241):
        stage.tick = tick
        messages.append(stage.ask(cohort, stage.view(**crash(stage))))
    everything = np.concatenate(messages)
    by = {int(code): everything[everything["reason"] == code] for code in set(everything["reason"])}
    sold = by[BY_PANIC]
    assert (sold["side"] == SELL).all() and (sold["flags"] == REDUCE_ONLY).all() and (sold["op"] == IOC).all()
    assert 0.01 * 90e6 < sold["size_lots"].sum() < RetailParameters().panic_most * 90e6
    assert (by[BY_COVERING]["side"] == BUY).all() and (by[BY_COVERING]["flags"] == REDUCE_ONLY).all()
    new = by[BY_ENTRY]
    assert (new["side"] == SELL).all() and (new["flags"] == 0).all()
    assert 20 <= np.median(stage.accounts.leverage[new["account"]]) <= 35
    assert 0.2 * 7e6 < new["size_lots"].sum() < 0.7 * 7e6
    # Fair value 3 % below the price: news traders sell that share of their capacity, each time anew as nothing is
    # filled here.
    assert (by[BY_NEWS]["side"] == SELL).all()
    assert (cohort.kind[by[BY_NEWS]["account"]] == NEWS).all()
    cancels = everything[everything["op"] == CANCEL]
    assert cancels.size > 0 and (cancels["order"] >= 0).all()


def test_calm_reviews_are_quiet() -> None:
    stage = Stage(2, (RetailCohort, RetailParameters(accounts=20_000)))
    stage.turn(stage.people[0], stage.view())
    count = 0
    for tick in range(1, 241):
        stage.tick = tick
        count += stage.ask(stage.people[0], stage.view()).size
    # 14,000 positions with a mean life of 2 days and 6,000 flat traders who enter once a day.
    assert 15 < count < 80


def test_tastes_do_not_move_with_other_parameters() -> None:
    one = Stage(4, (RetailCohort, RetailParameters(accounts=500))).people[0]
    other = Stage(
        4, (RetailCohort, RetailParameters(accounts=500, panic=0.1, slip=0.01, open_interest_coins=1e4))
    ).people[0]
    assert (one.taste[1:] == other.taste[1:]).all() and (one.opening.leverage == other.opening.leverage).all()
    assert (one.opening.entry_ticks == other.opening.entry_ticks).all()


def test_noise_flow_has_the_right_size_and_stays_near_zero() -> None:
    stage = Stage(6, (Noise, NoiseParameters()))
    noise = stage.people[0]
    volume = {PERP: 0.0, SPOT_MARKET: 0.0}
    violent = 0.0
    for tick in range(1500):
        stage.tick = tick
        calm = stage.view(returns=np.full((2, len(HORIZONS_S)), 0.0))
        calm.returns[:, 3] = 0.00131
        for message in stage.ask(noise, calm):
            volume[int(message["market"])] += int(message["size_lots"]) * 0.001
            assert message["op"] == IOC and abs(message["price_ticks"] / START_TICKS - 1) < 0.00301
        calm.returns[:, 3] = 0.05
        orders = stage.ask(noise, calm)
        violent += float(orders["size_lots"][orders["market"] == PERP].sum()) * 0.001
    assert volume[PERP] / 1500 == pytest.approx(1.5, rel=0.12)
    assert volume[SPOT_MARKET] / 1500 == pytest.approx(0.17 * 1.5, rel=0.3)
    assert violent / 1500 == pytest.approx(25 * 1.5, rel=0.1)
    stage.accounts.position[0, noise.rows] = 90_000
    sides = np.concatenate([stage.ask(noise, stage.view(tick=t, seconds=t * 200.0)) for t in range(300)])
    assert (sides["side"][sides["market"] == PERP] == SELL).mean() > 0.85


def test_draws_are_uniform_enough() -> None:
    draws = uniforms(1, 12345, np.arange(10_000), 3, 0)
    assert abs(draws.mean() - 0.5) < 0.02 and draws.min() > 0.0 and draws.max() < 1.0
