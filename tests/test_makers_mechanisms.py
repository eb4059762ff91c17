"""Each mechanism of the makers alone, against its formula: thinning, return, ladder, alarms, obligation."""

from __future__ import annotations

import numpy as np
import pytest

from abm.state import BUY, IOC, MESSAGE, NOBODY, SELL
from abm.traders.base import View
from abm.traders.makers import Makers, MakersParameters
from tests.one_by_one import same_one_by_one
from tests.traders_world import PERP, SPOT_MARKET, START_TICKS, Stage
from tests.venue_world import FIRST, VenueWorld, preset

pytestmark = pytest.mark.kernels

ALONE = {"thinning_spread": 0.0, "loss_spread": 0.0, "fund_spread": 0.0, "loss_share": 0.15, "sticky": 0.0}
"""Every maker alike, nothing that never leaves."""


def staged(**settings: float) -> tuple[Stage, Makers]:
    stage = Stage(3, (Makers, MakersParameters(**{**ALONE, **settings})))
    makers = stage.people[0]
    assert isinstance(makers, Makers)
    stage.turn(makers, stage.view())
    return stage, makers


def fallen(z: float) -> dict[str, np.ndarray]:
    """Prices after a fall that makes z over 15 s as large as asked."""
    last = np.array([START_TICKS] * 2) * np.exp(-z * 0.00131 * np.sqrt(15 / 300))
    return {"last_ticks": last.astype(np.int64)}


def depth_lots(stage: Stage, market: int = PERP) -> int:
    return sum(stage.books.depth_lots(market, side, 1 if side == BUY else 10**8) for side in (BUY, SELL))


# --- thinning, return, ladder -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(("level", "power", "most"), [(15.8, 2.35, 25.0), (8.0, 1.0, 50.0), (4.0, 3.0, 10.0)])
def test_depth_shown_is_the_thinning_formula(level: float, power: float, most: float) -> None:
    """Depth over its calm value = 1 / min(fmax, 1 + (z / z0)**p), in the makers' intention and in the book."""
    for z in (1.0, 4.0, 8.0, 16.0, 40.0, 120.0):
        stage, makers = staged(
            thinning_level=level, thinning_power=power, thinning_max=most, requote_rate=1.0, size_tolerance=0.0
        )
        calm = depth_lots(stage)
        stage.tick = 1
        stage.turn(makers, stage.view(**fallen(z)))
        expected = 1.0 / min(most, 1.0 + (z / level) ** power)
        assert makers.offered == pytest.approx(expected, rel=2e-3)
        assert depth_lots(stage) / calm == pytest.approx(expected, rel=0.01)


def test_depth_comes_back_with_its_time_constant() -> None:
    """Once z is small again, 1 - g falls by exp(-t / tau), tau = 100 s."""
    stage, makers = staged(return_s=100.0)
    for tick in range(1, 303):  # z sees 300 s back
        stage.tick = tick
        makers.prepare(stage.view(**fallen(300.0)))
    missing = 1.0 - makers.offered
    assert 0.9 < missing < 0.96
    for tick in range(303, 553):
        stage.tick = tick
        makers.prepare(stage.view(**fallen(300.0)))
        assert 1.0 - makers.offered == pytest.approx(missing * np.exp(-(tick - 302) / 100.0), rel=1e-9)


@pytest.mark.parametrize("exponent", [0.8, 1.13, 1.6])
def test_measured_exponent_of_the_ladder(exponent: float) -> None:
    """Slope of ln D(u) on ln u, u from 0.05 to 8 %: the exponent that was put in."""
    stage, _ = staged(depth_exponent=exponent)
    u = np.geomspace(0.05, 8.0, 30)
    for side in (BUY, SELL):
        depth = [stage.books.depth_lots(PERP, side, round(START_TICKS * (1 - side * x / 100))) for x in u]
        assert np.polyfit(np.log(u), np.log(depth), 1)[0] == pytest.approx(exponent, abs=0.03)


# --- alarms -----------------------------------------------------------------------------------------------------------
def offered_at(stage: Stage, makers: Makers, seconds: int, **changes: float) -> np.ndarray:
    """Share shown by each maker on the bid, (makers,)."""
    stage.tick = seconds
    makers.prepare(stage.view(**changes))
    return makers._scale[0].copy()


def test_drawdown_stop_at_the_stated_loss_and_the_next_at_twice_it() -> None:
    stage, makers = staged(pause_s=60.0)
    lose = makers._risk_capital[0]
    cash, row = stage.accounts.cash, makers.rows[0]
    cash[0, row] -= int(0.149 * lose)
    assert offered_at(stage, makers, 1)[0] == 1.0
    cash[0, row] -= int(0.002 * lose)
    assert offered_at(stage, makers, 2).tolist() == [0.0] + [1.0] * 19
    assert offered_at(stage, makers, 61)[0] == 0.0
    assert offered_at(stage, makers, 62)[0] == 1.0, "after a pause of 60 s the old loss is forgotten"
    cash[0, row] -= int(0.149 * lose)
    assert offered_at(stage, makers, 63)[0] == 1.0
    cash[0, row] -= int(0.002 * lose)
    assert offered_at(stage, makers, 64)[0] == 0.0
    assert makers.gained(stage.view())[0] == pytest.approx(-0.302 * lose, rel=1e-6)


def test_makers_leave_when_the_insurance_fund_falls() -> None:
    stage, makers = staged(pause_s=60.0, watch_fund=1.0, fund_fall=0.3)
    assert offered_at(stage, makers, 1, fund_distress=0.29).min() == 1.0
    assert offered_at(stage, makers, 2, fund_distress=0.31).max() == 0.0
    assert offered_at(stage, makers, 62, fund_distress=0.31).min() == 1.0, "they return; the fund has not recovered"
    assert offered_at(stage, makers, 63, fund_distress=0.60).min() == 1.0
    assert offered_at(stage, makers, 64, fund_distress=0.62).max() == 0.0, "a further fall of the same size"
    assert offered_at(stage, makers, 200, fund_distress=0.1).min() == 1.0
    assert offered_at(stage, makers, 201, fund_distress=0.41).max() == 0.0, "counted from where the fund recovered to"


def test_deleveraging_of_its_position_makes_a_maker_pull_its_quotes() -> None:
    stage, makers = staged(pause_s=60.0, watch_hedge=1.0, requote_rate=1.0)
    rows = makers.rows
    stage.accounts.deleveraged[0, rows[3]] += 1
    stage.tick = 1
    stage.turn(makers, stage.view())
    assert makers._scale[:, 3].tolist() == [0.0, 0.0] and makers._scale[:, :3].min() == 1.0
    for market in (PERP, SPOT_MARKET):
        mine = np.arange(stage.accounts.rows) == rows[3]
        assert stage.books.handles_of(mine, market).size == 0
        assert stage.books.handles_of(~mine, market).size > 500
    assert offered_at(stage, makers, 30)[3] == 0.0
    stage.accounts.deleveraged[0, rows[3]] += 5
    assert offered_at(stage, makers, 40)[3] == 0.0
    assert offered_at(stage, makers, 62)[3] == 0.0, "another deleveraging prolongs the pause"
    assert offered_at(stage, makers, 100)[3] == 1.0


def test_who_listens_is_a_share_and_nobody_does_unless_asked() -> None:
    stage, makers = staged()
    stage.accounts.deleveraged[0] += 100
    assert offered_at(stage, makers, 1, fund_distress=1.0).min() == 1.0
    stage, makers = staged(count=400, watch_fund=0.25, watch_hedge=0.0)
    away = offered_at(stage, makers, 1, fund_distress=1.0) == 0.0
    assert 0.15 < away.mean() < 0.35


def test_the_venue_counts_what_deleveraging_takes_and_nothing_else() -> None:
    """A short is deleveraged against a bankrupt long without bids: its lots are counted, of nobody else."""
    world = VenueWorld(2, preset(), fund_usd=0)
    loser = world.hold(0, 1_000, 50)
    winner = world.hold(1, -600, 5, entry_ticks=1_010_000)
    world.set_mark(950_000)
    world.liquidate_until_quiet()
    assert world.accounts.position[0, loser] == 0
    taken = world.accounts.deleveraged[0]
    assert taken[winner] == 600 + int(world.accounts.position[0, winner])
    assert taken.sum() <= 1_000 and taken[loser] == 0 and taken[FIRST - 1 :].sum() == taken.sum() > 0


# --- obligation -------------------------------------------------------------------------------------------------------
def crash(obliged: float, seed: int = 3) -> tuple[float, float]:
    """A seller takes 100 BTC a second down to a limit that falls by 5 % in a minute: least share, makers' gain in $."""
    settings = {**ALONE, "obliged": obliged, "thinning_level": 4.0, "requote_rate": 1.0}
    stage = Stage(seed, (Makers, MakersParameters(**settings)))
    makers = stage.people[0]
    assert isinstance(makers, Makers)
    stage.turn(makers, stage.view())
    least = 1.0
    for tick in range(1, 61):
        stage.tick = tick
        sale = np.zeros(1, MESSAGE)
        sale["op"], sale["side"], sale["account"], sale["order"] = IOC, SELL, NOBODY, NOBODY
        sale["price_ticks"], sale["size_lots"] = int(START_TICKS * (1.0 - 0.05 * tick / 60)), 100_000
        stage.trade(sale)
        stage.turn(makers, stage.view())
        least = min(least, float(makers._scale.min()))
    return least, float(makers.gained(stage.view()).sum()) / 1e6


def test_obliged_makers_never_show_less_than_their_share_and_pay_for_it() -> None:
    free_share, free = crash(0.0)
    bound_share, bound = crash(0.4)
    assert free_share < 0.1 and bound_share == 0.4
    assert bound < free < 0.0, "what they must buy on the way down costs them more"
    assert bound < 1.5 * free


# --- one by one -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("quoting", ["ladder", "glft-asymptotic"])
def test_makers_one_by_one(quoting: str) -> None:
    def build() -> Stage:
        settings = {"count": 5, "steps": 6, "watch_fund": 0.5, "watch_hedge": 0.5, "pause_s": 5.0, "quoting": quoting}
        stage = Stage(3, (Makers, MakersParameters(**settings)))
        stage.turn(stage.people[0], stage.view())
        return stage

    def seen(stage: Stage, tick: int) -> View:
        if tick == 10:
            stage.accounts.deleveraged[0, 1] += 1
        last = np.array([START_TICKS - 40 * tick] * 2)
        return stage.view(fund_distress=0.02 * tick, last_ticks=last, round=tick % 2)

    assert same_one_by_one(build, seen, 25) > 300


def test_wealth_counts_an_inverse_contract_by_the_price() -> None:
    """Long 10 lots of 100 $ from 100,000 $ to 80,000 $: 1,000 $ / 100,000 - 1,000 $ / 80,000 coins = -0.0025."""
    stage, makers = staged(spot_share=0.0)
    makers._inverse[:] = 100.0 * 10 * 1e8  # satoshi * ticks of 0.1 $ a lot
    accounts, row = stage.accounts, makers.rows[0]
    before = makers._wealth(1_000_000, 0.0)[0]
    accounts.position[0, row], accounts.entry_cost[0, row] = 10, -1_000_000
    assert makers._wealth(1_000_000, 0.0)[0] == pytest.approx(before)
    assert makers._wealth(800_000, 0.0)[0] - before == pytest.approx(-0.0025e8)
