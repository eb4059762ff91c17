"""The model as its users meet it: construction, the loop, audits that are always on, and one run through everything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abm import MarketModel
from abm.clearing.audit import AuditError, audit_money
from abm.events import (
    COVENANT,
    DELEVERAGE,
    FUNDING,
    LIQUIDATION,
    LIQUIDATION_FEE,
    NEWS,
    ROUND_CAP,
    TAKEOVER,
    EventLog,
)
from abm.model import REPORTERS, WHOLE_AUDIT_TICKS
from abm.recorder import Recorder
from abm.results import load_run
from abm.scenario import ScenarioError
from abm.state import NOBODY, Accounts
from abm.traders.makers import Makers
from abm.traders.retail import RetailCohort
from abm.traders.retail_trader import RetailTrader
from abm.venues.exchange import Exchange
from abm.verify import verify_run
from tests.stressed import stressed, write_run

NEWS_AT_ONCE = {"name": "shock", "at": "20:40:01", "change_percent": -2}


def small(**changes: Any) -> MarketModel:
    return MarketModel(**({"accounts": 60, "duration_s": 20, "news": [NEWS_AT_ONCE]} | changes))


@pytest.fixture(scope="module")
def crash(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that went through everything, as a folder."""
    return write_run(stressed(), tmp_path_factory.mktemp("crash") / "run")


def test_no_arguments() -> None:
    model = MarketModel()
    assert model.setup.name == "tiny" and model.running and model.tick == 0
    model.step()
    assert model.tick == model.steps == 1
    assert model.latest["messages"] > 0 and model.latest["perp_usd"] > 0


def test_scalar_keywords_reach_the_scenario() -> None:
    model = small(seed=7, makers__count=9, news__shock__change_percent=-1.0, venue__backstop__size_usd=5)
    setup = model.setup
    assert (setup.seed, setup.accounts, setup.retail.accounts, setup.makers.count) == (7, 60, 60, 9)
    assert setup.news[0].change_percent == -1.0 and model.exchanges.fund_equity() == 5_000_000
    assert small(rng=7, accounts=60).setup.seed == 7
    with pytest.raises(ScenarioError, match=r'makers.cuont.*did you mean "count"'):
        small(makers__cuont=9)


def test_a_plain_loop_ends_with_the_scenario() -> None:
    model = small(duration_s=6)
    steps = 0
    while model.running:
        model.step()
        steps += 1
    assert steps == model.tick == 6


def test_everybody_is_an_agent() -> None:
    kinds = small().agents_by_type
    assert len(kinds[RetailCohort]) == len(kinds[Makers]) == len(kinds[Exchange]) == 1
    assert len(kinds[RetailTrader]) == 60
    assert RetailTrader not in small(traders="cohort").agents_by_type
    numbers = [agent.unique_id for agent in small().agents]
    assert numbers == list(range(1, len(numbers) + 1)), "each model counts from one"


def test_a_trader_reads_its_account() -> None:
    model = small()
    held = model.accounts.position[0]
    for trader in model.agents_by_type[RetailTrader]:
        assert trader.position_lots == held[trader.row]
        if trader.position_lots:
            assert trader.entry_ticks > 0


def test_data_collector_has_one_row_a_tick() -> None:
    model = small(duration_s=5)
    model.run()
    frame = model.datacollector.get_model_vars_dataframe()
    assert list(frame.columns) == list(REPORTERS) and len(frame) == 6
    assert frame["perp_usd"].iloc[-1] == model.latest["perp_usd"]
    assert np.isfinite(frame.to_numpy()).all()


DAMAGES = [
    (lambda a, row: a.cash.__setitem__((0, row), a.cash[0, row] + 1), "USDT does not add up, residue 1 units"),
    (lambda a, row: a.cash.__setitem__((1, row), a.cash[1, row] - 2), "BTC does not add up, residue -2 units"),
    (lambda a, row: a.margin.__setitem__((0, row), a.margin[0, row] + 3), "USDT does not add up, residue 3 units"),
    (lambda a, row: a.entry_cost.__setitem__((0, row), a.entry_cost[0, row] + 4), "add up, residue -4 units"),
    (lambda a, row: a.position.__setitem__((0, row), a.position[0, row] + 1), "positions sum to 1 lots"),
]


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize(("damage", "words"), DAMAGES)
def test_a_damaged_ledger_stops_the_run(damage: Callable[[Accounts, int], None], words: str, marked: bool) -> None:
    """What, where, which tick, how to see it again: at once, or where nobody marked the row at the next whole count."""
    model = small(seed=3)
    model.step()
    row = model.accounts.rows - 1  # the outside world's partner: nothing is posted to it
    damage(model.accounts, row)
    model.accounts.touched[row] = marked
    if not marked:
        model.step()  # not seen: every posting of the tick is right
        model.tick = WHOLE_AUDIT_TICKS - 1
    with pytest.raises(AuditError, match=words) as caught:
        model.step()
    text = str(caught.value)
    assert f"tick {2 if marked else WHOLE_AUDIT_TICKS}, round 1" in text
    assert "deleverage run tiny --seed 3 --accounts 60" in text


def test_an_order_that_gives_back_more_than_it_reserved_stops_the_run() -> None:
    """Seen when it is filled or cancelled, whoever owns it."""
    model = small(seed=3)
    model.step()
    model.accounts.reserved[0] -= 3_000_000_000_000_000
    with pytest.raises(AuditError, match="reserved USDT is -"):
        model.step()


def test_half_a_change_that_nobody_marked_is_no_error() -> None:
    """Money moves between two rows, one of them marked: the whole count finds nothing wrong, and goes on from there."""
    model = small(seed=3)
    model.step()
    first, second = model.accounts.rows - 1, model.accounts.rows - 2
    model.accounts.cash[0, [first, second]] += (7, -7)
    model.accounts.touched[first] = True
    model.step()
    model.accounts.touched[second] = True
    model.step()
    assert not model.money._money.any()


def test_open_interest_is_what_a_whole_count_finds() -> None:
    model = MarketModel(stressed())
    for _ in range(50):
        model.step()
        assert np.array_equal(model.money.longs, audit_money(model.floor, model.exchanges.assets))


def test_the_slow_audit_sees_what_sums_miss() -> None:
    """Money moved between two rows' reserves, and an order that vanished from the book's copy of positions."""
    model = small()
    model.step()
    rows = np.flatnonzero(model.accounts.reserved[0] > 10)[:2]
    model.accounts.reserved[0, rows] += (5, -5)
    model.tick = WHOLE_AUDIT_TICKS - 1
    with pytest.raises(AuditError, match=rf"tick 60.*account {rows[0]}: reserved units"):
        model.step()


@pytest.mark.parametrize("name", ["_threshold", "_before", "_place", "_after"])
def test_the_slow_audit_follows_the_margin_ladder(name: str) -> None:
    model = small()
    model.step()
    ladder = model.exchanges.desks[0].ladder
    row = np.flatnonzero(ladder._place >= 0)[3]
    getattr(ladder, name)[row] += 5
    model.tick = 60
    with pytest.raises(AuditError, match=r"tick 60.*margin ladder of .*: row"):
        model.audit()


def test_depth_is_the_sum_of_the_levels() -> None:
    """Short ranges are summed as they lie in memory, long ones by the levels in use."""
    model = MarketModel(stressed())
    for _ in range(60):
        model.step()
    books = model.books
    for market in (model.perp, model.spot):
        for side in (1, -1):
            best = books.best(market, side)
            for away in (-1, 0, 1, 37, 2_000, 30_000, 40_000, 900_000):
                worst = best - side * away
                assert books.depth_lots(market, side, worst) == books.ladder(market, side, worst)[1].sum()


def test_a_full_event_buffer_says_so() -> None:
    model = small(recorder=Recorder("orders"))
    log = EventLog("orders", capacity=8, limit=100)
    log.next_seq = model.log.next_seq
    model.log = model.floor.log = log
    with pytest.raises(OverflowError, match=r"tick 1, round \d: \d+ events exceed the buffer of 100; record at level"):
        model.step()


def test_a_hit_round_cap_is_an_event() -> None:
    recorder = Recorder("fills")
    model = MarketModel(stressed(rounds_max=1), recorder=recorder)
    model.run()
    events = recorder.events_array
    caps = events[events["kind"] == ROUND_CAP]
    assert caps.size and (caps["round"] == 1).all()
    forced = np.unique(events["tick"][events["kind"] == LIQUIDATION])
    assert set(forced) <= set(caps["tick"]), "every tick that forced somebody wanted another round"
    assert recorder.steps_array["rounds"].max() == 1
    later = Recorder("fills")
    MarketModel(stressed(), recorder=later).run()
    assert later.steps_array["rounds"].max() > 1


def test_everything_happened(crash: Path) -> None:
    """The run below is only worth something if it visits every rule."""
    run = load_run(crash)
    kinds = set(run.events["kind"])
    assert {LIQUIDATION, LIQUIDATION_FEE, TAKEOVER, DELEVERAGE, FUNDING, NEWS} <= kinds
    assert run.info["complete"] and run.info["ticks"] == 100
    assert run.steps["adl_accounts"].sum() > 0 and run.steps["liquidated_long_usd"].sum() > 0


def test_the_independent_replayer_agrees(crash: Path) -> None:
    report = verify_run(crash)
    assert report.ok, report.text


def test_causes_lead_back_to_an_event(crash: Path) -> None:
    """Every liquidation names an earlier event, and what followed names the liquidation."""
    events = load_run(crash).events.set_index("seq")
    forced = events[events["kind"] == LIQUIDATION]
    assert (forced["cause"] < forced.index).all()
    for kind in (TAKEOVER, LIQUIDATION_FEE):
        causes = events.loc[events["kind"] == kind, "cause"]
        causes = causes[causes != NOBODY]
        assert set(events.loc[causes, "kind"]) == {LIQUIDATION}


def test_longs_are_sold_and_shorts_bought(crash: Path) -> None:
    """The forced side is against the position at that moment; in a fall, longs suffer."""
    run = load_run(crash)
    forced = run.events[run.events["kind"] == LIQUIDATION]
    slot, opening = "position_0", run.opening.set_index("row")
    first = forced.groupby("account").first()
    held = opening.loc[first.index, slot]
    known = held != 0
    assert known.any() and (first.loc[known, "side"] == -np.sign(held[known])).mean() > 0.9
    assert run.steps["liquidated_long_usd"].sum() > run.steps["liquidated_short_usd"].sum()


def test_a_covenant_breach_sells_coins(crash: Path) -> None:
    run = load_run(crash)
    breaches = run.events[run.events["kind"] == COVENANT]
    assert len(breaches) and (breaches["amount"] > 500_000).all(), "loan to value above 0.5, in millionths"
    assert run.steps["treasury_btc"].iloc[-1] < run.steps["treasury_btc"].iloc[0]
