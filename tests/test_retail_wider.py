"""Retail behaviour that is off by default, each part alone, signed and against its formula."""

from __future__ import annotations

import numpy as np
import pytest

from abm.events import BY_COPYING, BY_FUNDING_COST, BY_PANIC, BY_SIGNAL, BY_STOP_LOSS
from abm.state import BUY, CANCEL, IOC, REDUCE_ONLY, SELL, STOP
from abm.traders.base import BOT_LATENCY, HORIZONS_S
from abm.traders.retail import RetailParameters
from abm.traders.retail_behaviour import Signals
from abm.traders.retail_bots import RetailBots
from abm.traders.retail_kernel import HORIZON, STOP_MARGIN, WEIGHT_NOISE, WEIGHT_TREND, WEIGHT_VALUE
from abm.traders.retail_signals import Bars, Chart
from abm.traders.retail_trader import individually
from abm.traders.retail_wider import switched_on
from tests.retail_stage import alone, at, close_to_share, cohort_of, deep_book, everybody, groups, opened
from tests.traders_world import PERP, START_TICKS


def test_by_default_nothing_is_on() -> None:
    assert not switched_on(RetailParameters())
    stage = alone(500)
    assert cohort_of(stage).habits is None and everybody(stage).size == 0


@pytest.mark.parametrize("funding_bp", [11.0, -11.0])
def test_who_pays_funding_leaves_and_who_receives_it_enters(funding_bp: float) -> None:
    stage = alone(carry={"leave": 0.02, "enter": 0.01, "free_bp": 1.0})
    sent = everybody(stage, funding_bp=np.array([funding_bp, 0.0]))
    longs, shorts, flat = groups(stage)
    payers = longs if funding_bp > 0 else shorts
    assert (sent["reason"] == BY_FUNDING_COST).all() and (sent["op"] == IOC).all()
    leaving = sent[sent["flags"] == REDUCE_ONLY]
    assert np.isin(leaving["account"], payers).all()
    close_to_share(leaving.size, payers.size, 0.02 * 10.0)
    entering = sent[sent["flags"] == 0]
    assert (entering["side"] == (SELL if funding_bp > 0 else BUY)).all()
    close_to_share(entering.size, flat.size, 0.01 * 10.0)
    assert everybody(stage, 2, funding_bp=np.array([1.0, 0.0])).size == 0


def test_many_leave_at_a_level_and_nobody_enters_below_it() -> None:
    stage = alone(level_panic={"usd": 100_000.0, "spread": 0.0, "chance": 0.3}, carry={"enter": 1.0})
    funding = np.array([-50.0, 0.0])
    assert (everybody(stage, last_ticks=at(0.9), funding_bp=funding)["reason"] == BY_FUNDING_COST).all()
    sent = everybody(stage, 2, last_ticks=at(0.8), funding_bp=funding)
    longs, _, flat = groups(stage)
    left = sent[sent["reason"] == BY_PANIC]
    assert np.isin(left["account"], longs).all() and (left["side"] == SELL).all()
    close_to_share(left.size, longs.size, 0.3)
    assert not np.isin(sent["account"], flat).any()


def test_herding_follows_the_flow() -> None:
    stage = alone(copying={"herd_chance": 0.2, "herd_flow": 0.001})
    scale = 0.001 * np.abs(stage.accounts.position[PERP]).sum()
    sent = everybody(stage, flow_lots=np.array([-0.7 * scale, 0.0]))
    longs, _, flat = groups(stage)
    assert (sent["side"] == SELL).all() and (sent["reason"] == BY_COPYING).all()
    leaving = sent["flags"] == REDUCE_ONLY
    assert np.isin(sent["account"][leaving], longs).all()
    close_to_share(int(leaving.sum()), longs.size, 0.2 * np.tanh(0.7))
    close_to_share(int((~leaving).sum()), flat.size, 0.2 * np.tanh(0.7))


def test_a_group_acts_on_one_signal_within_its_lag() -> None:
    copying = {"share": 0.4, "groups": 5, "lag_s": 4.0, "chance": 0.5, "level": 0.006, "level_spread": 0.0}
    stage = alone(review_s=1e6, copying=copying)
    cohort = cohort_of(stage)
    opened(stage)
    assert cohort.habits is not None
    members = cohort.habits.members
    close_to_share(members.size, 3960, 0.4)
    falling = np.full((2, len(HORIZONS_S)), -0.0061)
    sizes, everything = [], []
    for tick in range(1, 9):
        stage.tick = tick
        sent = stage.ask(cohort, stage.view(returns=falling if tick >= 3 else falling * 0.9))
        sizes.append(sent.size)
        everything.append(sent)
    sent = np.concatenate(everything)
    assert sizes[:2] == [0, 0] and min(sizes[2:6]) > 0 and sizes[6:] == [0, 0]
    assert (sent["side"] == SELL).all() and (sent["reason"] == BY_COPYING).all()
    assert np.isin(sent["account"], members).all() and np.unique(sent["account"]).size == sent.size
    longs, _, flat = groups(stage)
    close_to_share(sent.size, int(np.isin(members, np.union1d(longs, flat)).sum()), 0.5)


def test_rsi_is_wilders() -> None:
    rng = np.random.default_rng(3)
    closes = 100.0 + np.cumsum(rng.normal(size=60))
    bars = Bars(14, 60.0)
    for number, close in enumerate(closes):
        bars.see(60.0 * number + 59.0, float(close))
    bars.see(60.0 * closes.size, 1.0)  # the last bar closes
    change = np.diff(np.concatenate([closes[:1], closes]))
    up, down = np.maximum(change, 0.0), np.maximum(-change, 0.0)
    rise, fall = up[:14].mean(), down[:14].mean()
    for more, less in zip(up[14:], down[14:], strict=True):
        rise, fall = (13 * rise + more) / 14, (13 * fall + less) / 14
    assert bars.rsi == pytest.approx(100.0 - 100.0 / (1.0 + rise / fall), rel=1e-12)


def test_rsi_readers_buy_what_is_oversold() -> None:
    stage = alone(signals={"rsi_share": 0.5, "rsi_bar_s": 1.0, "rsi_bars": 3, "chance": 0.4})
    cohort = cohort_of(stage)
    for tick in range(9):
        stage.tick = tick
        assert stage.ask(cohort, stage.view(last_ticks=at(1 - 0.0001 * tick))).size == 0 or tick >= 3
    sent = everybody(stage, last_ticks=at(0.999))
    _, shorts, flat = groups(stage)
    assert (sent["reason"] == BY_SIGNAL).all() and (sent["side"] == BUY).all()
    entering = sent["flags"] == 0
    close_to_share(int(entering.sum()), flat.size, 0.5 * 0.4)
    close_to_share(int((~entering).sum()), shorts.size, 0.5 * 0.4)


def test_a_gap_draws_the_price_until_it_is_filled() -> None:
    stage = alone(200)
    chart = Chart(Signals(gap_usd=110_990.0, gap_least=0.003), PERP, 0.1)
    path = [(0.95, 0.0), (0.94, 1.0), (0.949, 1.0), (0.9502, 0.0), (0.9, 0.0)]
    for number, (price, signal) in enumerate(path):
        chart.see(stage.view(seconds=float(number), last_ticks=at(price)))
        assert chart.gap_signal == signal
    closes = Chart(Signals(gap_share=1.0, gap_least=0.003), PERP, 0.1)
    closes.regulated, book = 1, np.array([1_000_000, 1_000_000])
    dark = np.array([1_000_000, 0])
    steps = [(book, 1.0, 0.0), (dark, 1.0, 0.0), (dark, 1.02, -1.0), (book, 1.01, -1.0), (book, 0.999, 0.0)]
    for number, (best, price, signal) in enumerate(steps):
        last = np.array([round(START_TICKS * price), START_TICKS])
        closes.see(stage.view(seconds=float(number), last_ticks=last, bid_ticks=best, ask_ticks=best))
        assert closes.gap_signal == signal


def test_beliefs_are_the_mixture_of_chiarella_and_iori() -> None:
    beliefs = {"share": 0.8, "value": 1.0, "trend": 2.0, "noise": 0.0, "level": 0.003, "chance": 1.0}
    stage = alone(belief_spread=0.0, beliefs=beliefs)
    cohort = cohort_of(stage)
    returns = np.array([[-0.002, -0.004, -0.008, -0.01, -0.012]] * 2)
    sent = everybody(stage, returns=returns, fair_ticks=at(1.0) * 1.02)
    assert cohort.habits is not None
    table = cohort.habits.table
    value, trend, horizon = table[:, WEIGHT_VALUE], table[:, WEIGHT_TREND], table[:, HORIZON].astype(int)
    believes = value > 0.0
    wished = np.where(believes, 200.0 * (1.0 + value) / (1.0 + trend), np.array(HORIZONS_S)[horizon])
    close_to_share(int(believes.sum()), 3960, 0.8)
    assert value[believes].mean() == pytest.approx(1.0, abs=4.0 / np.sqrt(believes.sum()))
    assert trend[believes].mean() == pytest.approx(2.0, abs=8.0 / np.sqrt(believes.sum()))
    own = np.array(HORIZONS_S)[horizon]
    assert (np.abs(np.log(wished / own)) <= np.abs(np.log(wished[:, None] / HORIZONS_S)).min(axis=1) + 1e-12).all()
    part = value * np.log(1.02) * np.minimum(1.0, own / 600.0) + trend * returns[0, horizon]
    expected = np.where(believes, part / np.where(believes, value + trend, 1.0), 0.0)
    longs, shorts, flat = groups(stage)
    sells = np.union1d(longs[expected[longs] < -0.003], flat[expected[flat] < -0.003])
    buys = np.union1d(shorts[expected[shorts] > 0.003], flat[expected[flat] > 0.003])
    assert sells.size > 100 and buys.size > 100
    assert np.sort(sent["account"][sent["side"] == SELL]).tolist() == sells.tolist()
    assert np.sort(sent["account"][sent["side"] == BUY]).tolist() == buys.tolist()


def test_noise_beliefs_have_the_stated_size() -> None:
    only = {"share": 1.0, "value": 0.0, "trend": 0.0, "noise": 1.0, "sigma_bp": 10.0, "level": 0.001, "chance": 1.0}
    stage = alone(beliefs=only)
    sent = everybody(stage)
    habits = cohort_of(stage).habits
    assert habits is not None and (habits.table[:, WEIGHT_NOISE] > 0.0).mean() > 0.98
    # uniform with variance sigma^2 h, h = 180 s: the part beyond the level is 1 - level / (sqrt(3) sigma sqrt(h))
    beyond = 1.0 - 0.001 / (np.sqrt(3.0) * 10e-4 * np.sqrt(180.0 / 60.0))
    longs, shorts, flat = groups(stage)
    close_to_share(int(np.isin(sent["account"], flat).sum()), flat.size, beyond)
    close_to_share(int(np.isin(sent["account"], longs).sum()), longs.size, beyond / 2)
    close_to_share(int(np.isin(sent["account"], shorts).sum()), shorts.size, beyond / 2)


def test_algorithmic_stops_by_leverage_class() -> None:
    stage = alone(8000, stops={"share": (0.8, 0.4, 0.2, 0.0), "margin": 0.5})
    sent = opened(stage)
    assert (sent["op"] == STOP).all() and (sent["reason"] == BY_STOP_LOSS).all()
    leverage = stage.accounts.leverage
    side = np.sign(stage.accounts.position[PERP])
    held = np.flatnonzero(side)
    for low, high, share in ((20, 1001, 0.8), (10, 20, 0.4), (5, 10, 0.2), (1, 5, 0.0)):
        inside = held[(leverage[held] >= low) & (leverage[held] < high)]
        close_to_share(int(np.isin(sent["account"], inside).sum()), inside.size, share)
    owner = sent["account"]
    expected = START_TICKS * (1.0 - side[owner] * 0.5 / leverage[owner])
    assert np.abs(sent["stop_ticks"] - expected).max() <= 1.0


def test_a_trailing_stop_only_tightens() -> None:
    stage = alone(stops={"share": (1.0,), "margin": 0.5, "trails": 0.25})
    first = opened(stage)
    longs, shorts, _ = groups(stage)
    leverage = stage.accounts.leverage
    sent = everybody(stage, last_ticks=at(1.03))
    new, gone = sent[sent["op"] == STOP], sent[sent["op"] == CANCEL]
    assert new.size == gone.size > 100 and np.isin(new["account"], longs).all()
    distance = 0.5 / leverage[longs]
    moves = 1.03 * (1 - distance) - (1 - distance) > 0.25 * distance * 1.03
    assert new.size == int(moves.sum())
    before = dict(zip(first["account"].tolist(), first["stop_ticks"].tolist(), strict=True))
    assert all(order["stop_ticks"] > before[int(order["account"])] for order in new)
    fallen = alone(stops={"share": (1.0,), "margin": 0.5, "trails": 0.25})
    opened(fallen)
    assert np.isin(everybody(fallen, last_ticks=at(0.97))["account"], shorts).all()


EVERYTHING = {
    "beliefs": {"share": 0.7},
    "signals": {"rsi_share": 0.3, "rsi_bar_s": 5.0, "gap_share": 0.3, "gap_usd": 110_990.0},
    "copying": {"herd_chance": 0.05, "share": 0.4},
    "stops": {"share": (0.6, 0.4, 0.3, 0.2), "trails": 0.2},
    "level_panic": {"usd": 108_000.0, "chance": 0.05},
    "carry": {"leave": 0.01, "enter": 0.01},
    "caution": {"share": 0.65, "past_loss": 0.5, "trim_chance": 0.1},
    "remedies": {"share": 0.3, "reserve": (0.05, 0.15), "top_up": 0.6, "outside": 0.1},
}


@pytest.mark.kernels
def test_individuals_are_the_cohort_with_everything_on() -> None:
    stages = []
    for individual in (False, True):
        stage = alone(600, 11, review_s=60.0, panic=0.5, profit_share=0.3, stop_share=0.1, **EVERYTHING)
        if individual:
            individually(cohort_of(stage))
        deep_book(stage)
        stages.append(stage)
    reasons: set[int] = set()
    for tick in range(200):
        fall = 0.0004 * max(0, tick - 60)
        changes = {
            "last_ticks": at(1 - fall),
            "returns": np.full((2, len(HORIZONS_S)), -fall),
            "high_600_ticks": at(1.0),
            "funding_bp": np.array([5.0 - 0.1 * tick, 0.0]),
            "flow_lots": np.array([-1e5, 0.0]),
        }
        both = []
        for stage in stages:
            stage.tick = tick
            both.append(stage.turn(stage.people[0], stage.view(**changes)))
        assert both[0].tolist() == both[1].tolist()
        reasons |= set(both[0]["reason"].tolist())
    assert {BY_COPYING, BY_SIGNAL, BY_FUNDING_COST, BY_STOP_LOSS, BY_PANIC} <= reasons
    one, other = stages
    for name in ("position", "cash", "margin", "leverage"):
        assert (getattr(one.accounts, name) == getattr(other.accounts, name)).all()
    ours, theirs = cohort_of(one).habits, cohort_of(other).habits
    assert ours is not None and theirs is not None and (ours.table == theirs.table).all()
    assert one.books.state_sha256(PERP) == other.books.state_sha256(PERP)


def test_programs_are_twins_who_are_asked_in_every_round() -> None:
    options = {"carry": {"leave": 0.05}, "luck": 3}
    people, bots = alone(**options), alone(kind=RetailBots, **options)
    assert (people.accounts.position == bots.accounts.position).all()
    funding = np.array([11.0, 0.0])
    opened(people), opened(bots)
    people.tick = bots.tick = 7
    first = people.ask(people.people[0], people.view(funding_bp=funding))
    again = [bots.ask(bots.people[0], bots.view(funding_bp=funding, round=round_)) for round_ in (1, 2, 3)]
    assert bots.people[0].machine and (again[0]["latency"] == BOT_LATENCY).all()
    assert again[0]["account"].tolist() == first["account"].tolist()
    assert again[1]["account"].tolist() != first["account"].tolist()  # new draws for the same people
    other = alone(carry={"leave": 0.05}, luck=4)
    assert (other.accounts.position != people.accounts.position).any()


def test_stops_are_drawn_by_key() -> None:
    few, many = (alone(stops={"share": (share,)}) for share in (0.2, 0.5))
    tables = [cohort_of(stage).habits.table[:, STOP_MARGIN] > 0 for stage in (few, many)]  # type: ignore[union-attr]
    assert not (tables[0] & ~tables[1]).any()
