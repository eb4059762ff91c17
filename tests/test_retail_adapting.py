"""Leverage that adapts, remedies of a trader, leverage classes as data, and cohorts that a scenario names."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from abm import MarketModel
from abm.events import BY_REBALANCING
from abm.recorder import Recorder
from abm.scenario import load_scenario
from abm.state import CROSS, IOC, ISOLATED, REDUCE_ONLY
from abm.traders.retail import RetailParameters
from abm.traders.retail_kernel import CAUTION, KEPT, NEWS, SENSITIVITY
from abm.traders.retail_opening import opening_book
from tests.retail_stage import alone, at, close_to_share, cohort_of, everybody, groups, opened
from tests.traders_world import PERP, START_TICKS


def test_leverage_after_a_loss_is_what_the_formula_says() -> None:
    """Everybody loses 70 % and is flat: the next leverage is L0 x 0.3, whole, and the share at 1-3x follows from it."""
    stage = alone(caution={"share": 0.65, "loss": 1.0, "memory_s": 1e9})
    cohort = cohort_of(stage)
    accounts, rows = stage.accounts, cohort.rows
    accounts.margin[PERP, rows] += accounts.cash[0, rows]
    usual, trader = accounts.leverage[rows].copy(), cohort.kind != NEWS
    opened(stage)
    assert cohort.habits is not None
    accounts.position[PERP, rows] = accounts.entry_cost[PERP, rows] = 0
    accounts.margin[PERP, rows] = 0
    accounts.cash[0, rows] = np.round(0.3 * cohort.habits.table[:, 11])
    everybody(stage)
    adapts = cohort.habits.table[:, SENSITIVITY] > 0
    close_to_share(int(adapts.sum()), int(trader.sum()), 0.65)
    wanted = np.where(adapts, np.maximum(1, np.floor(0.3 * usual + 1e-6)), usual).astype(int)
    assert (np.abs(accounts.leverage[rows] - wanted) <= (np.abs(0.3 * usual - np.rint(0.3 * usual)) < 1e-3)).all()
    low, predicted = accounts.leverage[rows] <= 3, wanted <= 3
    assert low.sum() == pytest.approx(predicted.sum(), rel=0.02)
    assert low.mean() > (usual <= 3).mean() + 0.2
    # by class tables: of those who adapt, all with L0 <= 13 are at 1-3x afterwards
    assert (low[adapts] == (usual[adapts] <= 13)).all()


def test_volatility_lowers_leverage_and_time_restores_it() -> None:
    stage = alone(caution={"share": 1.0, "loss": 1.0, "volatility": 1.0, "calm_bp": 5.0, "memory_s": 100.0})
    cohort = cohort_of(stage)
    _, _, flat = groups(stage)
    usual = stage.accounts.leverage[flat].copy()
    opened(stage)
    assert cohort.habits is not None
    cohort.habits.chart.variance = (20e-4) ** 2  # four times calm
    everybody(stage)
    assert (stage.accounts.leverage[flat] == np.maximum(1, usual // 4)).all()
    cohort.habits.table[:, CAUTION] = np.log(2.0)
    cohort.habits.chart.variance = 0.0
    everybody(stage, 20)  # 100 to 200 s later: a half to a fifth of it is left
    left = cohort.habits.table[flat, CAUTION] / np.log(2.0)
    assert left.max() < np.exp(-1.8) and left.min() > np.exp(-2.1)
    assert (stage.accounts.leverage[flat] <= usual).all() and (stage.accounts.leverage[flat] > usual // 2).any()


def test_positions_are_cut_to_the_leverage_wanted() -> None:
    stage = alone(spare_cash=0.0, caution={"share": 1.0, "loss": 1.0, "trim_chance": 1.0, "trim_band": 0.2})
    cohort = cohort_of(stage)
    sent = everybody(stage, last_ticks=at(0.98))
    assert (sent["reason"] == BY_REBALANCING).all()
    assert (sent["op"] == IOC).all() and (sent["flags"] == REDUCE_ONLY).all()
    assert cohort.habits is not None
    who = sent["account"].astype(int)
    position = np.abs(stage.accounts.position[PERP, who])
    assert (sent["size_lots"] < position).all() and (sent["side"] == -np.sign(stage.accounts.position[PERP, who])).all()
    price = int(at(0.98)[0])
    equity = cohort.equity_units(price)[who]
    goal = np.maximum(1.0, stage.accounts.leverage[who] * np.exp(-cohort.habits.table[who, CAUTION]))
    after = (position - sent["size_lots"]) * price * 100 / equity
    assert (after >= goal - 1e-9).all() and ((after - goal) * equity <= 1.0001 * price * 100).all()


def test_past_losses_are_smaller_positions_with_the_same_margin() -> None:
    before, after = alone(), alone(caution={"share": 0.65, "past_loss": 1.6, "loss": 1.0})
    old, new = before.accounts, after.accounts
    cohort = cohort_of(after)
    assert cohort.habits is not None
    adapts = cohort.habits.table[:, SENSITIVITY] > 0
    wanted = np.maximum(1, np.floor(old.leverage * np.exp(-1.6) + 1e-9)).astype(int)
    assert (new.leverage == np.where(adapts, wanted, old.leverage)).all()
    large = adapts & (np.abs(old.position[PERP]) > 200)
    ratio = np.abs(new.position[PERP, large] / old.position[PERP, large])
    assert np.abs(ratio - new.leverage[large] / old.leverage[large]).max() < 0.01
    alike = large & (new.mode == ISOLATED)
    assert new.margin[PERP, alike] == pytest.approx(old.margin[PERP, alike], rel=0.01)
    assert (new.position[PERP, ~adapts] == old.position[PERP, ~adapts]).all()


def test_wealth_is_split_into_position_reserve_and_coins() -> None:
    plain = alone()
    careful = alone(remedies={"share": 0.5, "size": 0.5, "reserve": (0.1, 0.1), "outside": 0.2, "top_up": 0.5})
    cohort = cohort_of(careful)
    assert cohort.habits is not None
    kept = cohort.habits.table[:, KEPT]
    does = kept > 0
    close_to_share(int(does.sum()), 3960, 0.5)
    large = does & (np.abs(plain.accounts.position[PERP]) > 200)
    ratio = careful.accounts.position[PERP, large] / plain.accounts.position[PERP, large]
    assert np.abs(ratio - 0.5 * (1.0 - 0.1 - 0.2)).max() < 0.01
    wealth = cohort_of(plain).equity_units(START_TICKS)
    paper = cohort_of(plain).opening
    moved = np.abs(START_TICKS - paper.entry_ticks) * np.abs(paper.position_lots) * 100
    same = large & (moved < 0.001 * wealth)
    assert same.any()
    assert kept[same] / wealth[same] == pytest.approx(0.1, rel=0.03)
    coins = careful.accounts.cash[1, same] / 100_000 * START_TICKS * 100
    assert coins / wealth[same] == pytest.approx(0.2, rel=0.01)


def test_the_reserve_goes_into_the_margin_once_half_of_it_is_lost() -> None:
    stage = alone(remedies={"share": 1.0, "reserve": (0.1, 0.1), "top_up": 0.5}, spare_cash=0.0, entry_scatter=0.0)
    cohort = cohort_of(stage)
    accounts, rows = stage.accounts, cohort.rows
    opened(stage)
    assert cohort.habits is not None
    margin, cash = accounts.margin[PERP].copy(), accounts.cash[0].copy()
    kept = cohort.habits.table[:, KEPT].copy()
    price = int(at(0.97)[0])
    worth = accounts.position[PERP] * price * 100
    own = margin - accounts.entry_cost[PERP] + worth
    initial = np.abs(worth) // accounts.leverage
    everybody(stage, last_ticks=at(0.97))
    added = accounts.margin[PERP] - margin
    assert (added == cash - accounts.cash[0]).all() and (added >= 0).all()
    due = (accounts.position[PERP] != 0) & (accounts.mode == ISOLATED) & (own < 0.5 * initial) & (cohort.kind != NEWS)
    assert due.sum() > 50 and (added[~due] == 0).all()
    assert (added[due] == np.minimum(np.floor(kept), np.minimum(cash, initial - own))[due]).all()
    assert accounts.touched[rows[due & (added > 0)]].all()
    assert (accounts.mode[added > 0] != CROSS).all()
    assert cohort.habits.table[:, KEPT] == pytest.approx(kept - added)


def test_leverage_classes_are_data() -> None:
    mix = {
        "class_leverages": [[[1001, 0.5], [500, 0.5]], [[1, 0.2], [2, 0.5], [3, 0.3]]],
        "class_notional": [0.1, 0.9],
        "class_accounts": [0.3, 0.7],
        "most_leverage": 1001,
        "entrant_long_leverage": 900.0,
        "entrant_leverage_range": [2, 1001],
    }
    p = RetailParameters.model_validate(mix)
    assert p.leverage_class(np.array([1001, 500, 499, 3, 1])).tolist() == [0, 0, 1, 1, 1]
    book = opening_book(p, 4000, 1, START_TICKS, 0.001)
    longs = book.position_lots > 0
    assert set(book.leverage[longs].tolist()) == {1, 2, 3, 500, 1001}
    total = book.position_lots[longs].sum()
    assert book.position_lots[longs & (book.leverage <= 3)].sum() / total == pytest.approx(0.9, abs=1e-6)
    assert (book.leverage[longs] <= 3).mean() == pytest.approx(0.7, abs=0.01)
    assert book.leverage.max() == 1001
    wrong = ({"class_notional": [1.0]}, {"class_leverages": mix["class_leverages"][::-1]}, {"stops": {"share": []}})
    for change in wrong:
        with pytest.raises(ValidationError):
            RetailParameters.model_validate(mix | change)


def test_a_scenario_names_cohorts_and_reads_their_figures() -> None:
    small = {"accounts": 120, "open_interest_coins": 200.0, "review_s": 20.0, "stops": {"share": [0.5]}}
    crowd = [
        {"name": "people", "kind": "retail", "parameters": small | {"luck": 2}},
        {"name": "programs", "kind": "retail-bots", "parameters": small | {"luck": 2}},
    ]
    scenario = load_scenario("tiny").changed(participants=crowd, duration_s=60)
    recorder = Recorder("fills")
    model = MarketModel(scenario, recorder=recorder)
    model.run()
    table = recorder.run().participants
    for name in ("people", "programs"):
        assert table[f"{name}.wealth_ratio"].iloc[-1] == pytest.approx(1.0, abs=0.2)
        assert 0.0 <= table[f"{name}.liquidated_share"].iloc[-1] <= 1.0
        assert (np.diff(table[f"{name}.liquidated_share"]) >= 0).all()
        assert table[f"{name}.open_interest_coins"].iloc[0] == pytest.approx(260.0, rel=0.05)
    assert table["people.low_leverage_share"].iloc[0] == table["programs.low_leverage_share"].iloc[0] > 0.2
