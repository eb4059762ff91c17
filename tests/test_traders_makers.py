"""Market makers: depth of the ladder, thinning, inventory, obligations, and quotes inside a tick."""

from __future__ import annotations

import numpy as np
import pytest

from abm.state import BUY, CANCEL, IOC, MESSAGE, NOBODY, POST_ONLY, REPLACE, SELL
from abm.traders.base import Batch
from abm.traders.makers import Makers, MakersParameters
from tests.traders_world import PERP, SPOT_MARKET, START_TICKS, Stage

pytestmark = pytest.mark.kernels


def staged(**settings: float) -> tuple[Stage, Makers]:
    stage = Stage(3, (Makers, MakersParameters(**settings)))
    makers = stage.people[0]
    assert isinstance(makers, Makers)
    stage.turn(makers, stage.view())
    return stage, makers


def bid_depth_dollars(stage: Stage, market: int = PERP) -> float:
    prices, lots = stage.books.ladder(market, BUY, int(START_TICKS * 0.99))
    return float((prices * lots).sum()) * 1e-4


def shock(stage: Stage, z: float) -> dict[str, np.ndarray]:
    """A fall over 15 s that makes z as large as asked."""
    last = np.array([START_TICKS] * 2) * np.exp(-z * 0.00131 * np.sqrt(15 / 300))
    return {"last_ticks": last.astype(np.int64)}


@pytest.mark.parametrize("steps", [30, 36])
def test_depth_within_one_per_cent_is_244_million(steps: int) -> None:
    stage, _ = staged(steps=steps)
    assert bid_depth_dollars(stage) == pytest.approx(244e6, rel=0.03)
    asks, lots = stage.books.ladder(PERP, SELL, int(START_TICKS * 1.01))
    assert float((asks * lots).sum()) * 1e-4 == pytest.approx(244e6, rel=0.03)
    assert bid_depth_dollars(stage, SPOT_MARKET) == pytest.approx(0.3 * 244e6, rel=0.03)
    stage.books.check()


def test_ladder_follows_the_power_law_and_starts_at_a_tick() -> None:
    stage, makers = staged()
    for per_cent in (0.05, 0.2, 2.0, 8.0):
        lots = stage.books.depth_lots(PERP, BUY, int(START_TICKS * (1 - per_cent / 100)))
        assert lots * 0.001 == pytest.approx(2090 * per_cent**1.13, rel=0.06)
    assert stage.books.best(PERP, SELL) - stage.books.best(PERP, BUY) <= 4
    assert stage.books.ladder(PERP, BUY)[0].min() > START_TICKS * 0.85
    assert makers.offered == 1.0


def test_a_calm_tick_changes_little_and_never_crosses() -> None:
    stage, makers = staged()
    for tick in range(1, 20):
        stage.tick = tick
        taken = np.zeros(1, MESSAGE)
        taken["op"], taken["side"], taken["size_lots"], taken["account"] = IOC, BUY if tick % 2 else SELL, 1500, NOBODY
        taken["order"] = NOBODY
        stage.trade(taken)
        messages = stage.ask(makers, stage.view())
        fills, _, handles = stage.trade(messages.copy())
        makers.after_trade(handles, 0)
        assert fills.size == 0, "makers never take"
        assert messages.size < 1500
        assert np.isin(messages["op"], (POST_ONLY, REPLACE, CANCEL)).all()
    stage.books.check()
    live = makers._resting[makers._resting >= 0]
    known = sum(stage.books.order(int(handle)) is not None for handle in live)
    resting = sum(stage.books.count_resting(market, side) for market in range(2) for side in (BUY, SELL))
    assert known == resting, "every resting order is remembered, none twice"
    assert bid_depth_dollars(stage) == pytest.approx(244e6, rel=0.06)


def test_thinning_law_at_its_level_and_its_floor() -> None:
    stage, makers = staged(thinning_spread=0.0)
    stage.tick = 1
    makers.decide(stage.view(**shock(stage, 15.8)), Batch())
    assert makers.offered == pytest.approx(0.5, rel=0.01)
    stage.tick = 2
    makers.decide(stage.view(**shock(stage, 200.0)), Batch())
    assert makers.offered == pytest.approx(1 / 25, rel=0.01)


@pytest.mark.parametrize(
    ("z", "low", "high"), [(1.0, 1.0, 1.12), (5.0, 1.03, 1.4), (10.0, 1.2, 2.1), (16.0, 1.6, 3.0), (30.0, 3.0, 20.0)]
)
def test_thinning_against_reported_depth_by_z(z: float, low: float, high: float) -> None:
    # Reported falls of depth by |z| of the 5-minute return: 1.08 (0-2), 1.23 (4-6), 1.75 (8-12), 2.4 (12-20), 6.1
    # (above 20).
    stage, makers = staged()
    stage.tick = 1
    stage.ask(makers, stage.view(**shock(stage, z)))
    assert low <= 1.0 / makers.offered <= high


def test_depth_comes_back_by_the_clock_not_by_rounds() -> None:
    stage, makers = staged(thinning_spread=0.0, loss_share=1.0)
    stage.tick = 1
    stage.turn(makers, stage.view(**shock(stage, 200.0)))
    for number in range(1, 6):
        stage.turn(makers, stage.view(round=number))
    assert makers.offered == pytest.approx(0.04, rel=0.01)
    stage.tick = 2
    stage.turn(makers, stage.view())
    assert makers.offered == pytest.approx(0.04 + 0.96 * (1 - np.exp(-1 / 400)), rel=0.01)


def test_later_rounds_only_take_away() -> None:
    stage, makers = staged(requote_rate=1.0, thinning_max=1.0, inventory_coins=1e6, loss_share=10.0)
    stage.tick = 1
    stage.turn(makers, stage.view())
    before = stage.books.depth_lots(PERP, BUY, 1)
    sweep = np.zeros(1, MESSAGE)
    sweep["op"], sweep["side"], sweep["size_lots"], sweep["account"], sweep["order"] = (
        IOC,
        SELL,
        900_000,
        NOBODY,
        NOBODY,
    )
    stage.trade(sweep)
    left = stage.books.depth_lots(PERP, BUY, 1)
    assert before - left == 900_000
    messages = stage.turn(makers, stage.view(round=1))
    assert not (messages["op"] == POST_ONLY).any()
    assert stage.books.depth_lots(PERP, BUY, 1) <= left
    stage.tick = 2
    stage.turn(makers, stage.view())
    assert stage.books.depth_lots(PERP, BUY, 1) > left


@pytest.mark.parametrize("obliged", [0.0, 1.0])
def test_a_lean_is_a_level_and_not_a_push_with_every_look(obliged: float) -> None:
    """Makers at half their limit hold the price off by at most half of `skew`, however often they look."""
    stage, makers = staged(skew=0.001, last_weight=0.0, requote_rate=1.0, thinning_max=1.0, obliged=obliged)

    def off_after(*held_lots: float) -> float:
        for lots in held_lots:
            stage.accounts.position[0, makers.rows] = int(lots)
            stage.accounts.entry_cost[0, makers.rows] = int(lots) * START_TICKS * 100
            stage.tick += 1
            stage.turn(makers, stage.view())
        return 0.5 * (stage.books.best(PERP, BUY) + stage.books.best(PERP, SELL)) - START_TICKS

    full = 0.0005 * START_TICKS
    leaned = off_after(*np.linspace(0, 125_000, 20))
    assert -1.05 * full < leaned < -0.2 * full, "long makers hold the price down"
    assert off_after(*[125_000] * 60) == pytest.approx(leaned, abs=0.02 * full), "and no further with every look"
    assert off_after(*np.linspace(125_000, 0, 20)) == pytest.approx(0.0, abs=0.5 * full), "until they are flat"


def test_long_makers_bid_less_and_obliged_makers_stay() -> None:
    stage, makers = staged(thinning_spread=0.0)
    stage.accounts.position[0, makers.rows] = 125_000
    stage.accounts.entry_cost[0, makers.rows] = 125_000 * START_TICKS * 100
    scale, inventory = makers._scales(stage.view(), True)
    assert inventory == pytest.approx(np.full(20, 0.5))
    assert scale[0] == pytest.approx(np.full(20, 0.5)) and scale[1] == pytest.approx(np.ones(20))
    stage, makers = staged(obliged=0.25)
    stage.tick = 1
    stage.ask(makers, stage.view(**shock(stage, 300.0)))
    assert makers.offered == pytest.approx(0.25)


def test_losses_make_a_maker_stop_for_a_while() -> None:
    stage, makers = staged(loss_spread=0.0, pause_s=60.0)
    stage.accounts.cash[0, makers.rows[0]] -= int(0.2 * makers._risk_capital[0])
    stage.tick = 1
    scale, _ = makers._scales(stage.view(), True)
    assert scale[0, 0] == pytest.approx(0.03) and scale[0, 1:] == pytest.approx(np.ones(19))
    stage.tick = 62
    scale, _ = makers._scales(stage.view(), True)
    assert scale[0, 0] == pytest.approx(1.0)


def test_who_is_awake_does_not_depend_on_other_parameters() -> None:
    first = staged()[1]
    other = staged(depth_coins=900.0, thinning_power=1.0, leverage=2)[1]
    stage_a, stage_b = staged()[0], staged(obliged=0.5)[0]
    awake = []
    for stage in (stage_a, stage_b):
        makers = stage.people[0]
        stage.tick = 5
        stage.ask(makers, stage.view())
        awake.append(makers._awake.copy())
    assert (awake[0] == awake[1]).all() and 10 <= awake[0].sum() <= 20
    assert (first._z0 == other._z0).all()


@pytest.mark.parametrize("share", [1.0, 0.5, 0.0])
def test_quotes_follow_the_value(share: float) -> None:
    """A slide of 1 % in a hundred ticks takes the middle with it, in both markets, by two thirds of the share followed.

    No quote goes through what the other side shows, so the side that should move towards it lags: a third is left to
    trades. The last price goes along here, as it does where small trades meet the quotes all the time.
    """
    stage, makers = staged(follow_news=share, requote_rate=1.0)
    books, fair = stage.books, float(START_TICKS)
    for stage.tick in range(1, 101):
        fair *= 0.9999
        middle = [(books.best(market, BUY) + books.best(market, SELL)) // 2 for market in (PERP, SPOT_MARKET)]
        stage.turn(makers, stage.view(fair_ticks=np.array([fair] * 2), last_ticks=np.array(middle)))
    for market in (PERP, SPOT_MARKET):
        moved = (books.best(market, BUY) + books.best(market, SELL)) / 2 / START_TICKS - 1.0
        assert moved == pytest.approx(-0.01 * share * 2 / 3, rel=0.03)
    books.check()
