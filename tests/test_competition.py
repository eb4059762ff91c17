"""Exchanges that compete: who loses share raises leverage, legally and never above the cap; nobody gains by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abm import MarketModel
from abm.clearing.formulas import Tier, maintenance_margin
from abm.events import SCHEDULE
from abm.recorder import Recorder
from abm.results import RunWriter
from abm.scenario import Scenario, load_scenario
from abm.settings import SettingsError
from abm.traders.competition import (
    BP,
    LADDER,
    CompetitionParameters,
    ExchangeCompetition,
    answer,
    next_step,
    schedule,
    usable_leverage,
)
from abm.traders.migration import logit
from abm.units import INT64_MAX, RATE_ONE
from abm.venues.preset import build_markets, load_preset, preset_names
from abm.verify import verify_run

PLAIN = CompetitionParameters()
FEE = 5 * BP


def small(parameters: dict[str, Any] | None = None, **changes: Any) -> Scenario:
    """Two venues whose traders come and go within a minute, and a race with a review every 5 s."""
    race = {"review_s": 5.0, "threshold": 0.0, "brackets": "all", "take_up": 0.5, **(parameters or {})}
    joined = [{"name": "race", "kind": "exchange-competition", "parameters": race}]
    base = {"accounts": 150, "duration_s": 40, "news": [], "retail.idle_s": 30.0, "retail.holding_s": 30.0}
    base |= {"retail.usage": 0.45, "retail.slip": 0.0005, "participants": joined}
    return load_scenario("two-venues").changed(base | changes)


def race_of(model: MarketModel) -> ExchangeCompetition:
    found = model.places[0].joined[0]
    assert isinstance(found, ExchangeCompetition)
    return found


# --- the rule ---------------------------------------------------------------------------------------------------------
def test_a_loser_raises_leverage_and_cuts_the_fee_a_winner_raises_the_fee() -> None:
    step = round(PLAIN.fee_step_bp * BP)
    assert answer(PLAIN, -0.05, 50, FEE, 1001, 0) == (100, FEE - step)
    assert answer(PLAIN, 0.05, 50, FEE, 1001, 0) == (50, FEE + step)
    assert answer(PLAIN, 0.01, 50, FEE, 1001, 0) == (50, FEE)
    low, high = round(PLAIN.least_fee_bp * BP), round(PLAIN.most_fee_bp * BP)
    assert answer(PLAIN, -1.0, 50, low, 1001, 0)[1] == low and answer(PLAIN, 1.0, 50, high, 1001, 0)[1] == high
    assert answer(PLAIN, -1.0, 50, low + 1, 1001, low + BP)[1] == low + 1, "never raised by a cut"


@given(st.integers(1, 1001), st.integers(1, 1001), st.floats(-1, 1))
def test_the_cap_binds(leverage: int, cap: int, change: float) -> None:
    raised, _ = answer(PLAIN, change, leverage, FEE, cap, 0)
    assert leverage <= raised <= max(leverage, cap)
    assert raised == leverage or raised in (cap, *LADDER)
    assert next_step(LADDER, 1001, cap) == 1001


@pytest.mark.parametrize("name", [n for n in preset_names() if n not in ("okx-2025-10", "binance-multi-2025-10")])
@pytest.mark.parametrize("every", [False, True])
def test_every_step_is_legal(name: str, every: bool) -> None:
    """Initial margin above maintenance in each bracket, brackets in order, and maintenance continuous."""
    preset = load_preset(name)
    markets = build_markets([preset])
    perp = int(np.flatnonzero(markets.kind)[0])
    used = int((markets.tier_floor[perp] < INT64_MAX).sum())
    base = tuple(t[perp, :used] for t in (markets.tier_floor, markets.tier_maintenance, markets.tier_leverage))
    for step in LADDER:
        most, rates, amounts = schedule(base, step, every, 0.6)  # type: ignore[arg-type]
        assert most[0] == step and (np.diff(most) <= 0).all() and (most >= 1).all()
        assert (np.diff(rates) >= 0).all() and (rates <= base[1]).all()
        assert (rates * most < RATE_ONE).all(), "a position at the highest leverage is not liquidatable"
        tiers = [Tier(*map(int, row)) for row in zip(base[0], rates, amounts, most, strict=True)]
        for floor in base[0][1:].tolist():
            assert maintenance_margin(floor, tiers) - maintenance_margin(floor - 1, tiers) in (0, 1)
        if not every:
            assert (most[1:] <= base[2][1:]).all()


def test_leverage_is_what_the_bracket_of_the_money_allows() -> None:
    floors, most = np.array([0, 1_000, 10_000]), np.array([100, 20, 5])
    money = np.array([1.0, 9.0, 40.0, 600.0, 1e6])
    found = usable_leverage(money, np.full(5, 1001), floors, most)
    for cash, leverage in zip(money.tolist(), found.tolist(), strict=True):
        legal = [n for n in range(1, 101) if n <= most[np.searchsorted(floors, cash * n, side="right") - 1]]
        assert leverage == max([1, *legal])
    assert usable_leverage(money, np.full(5, 3), floors, most).max() == 3


def test_the_race_ends_at_the_top_with_the_shares_it_began_with() -> None:
    """Traders choose by differences only (logit), so a race that everybody runs to the end changes no share."""
    p = CompetitionParameters(threshold=0.005)
    base, leverage = np.array([0.5, 0.3, 0.2]), [20, 20, 50]
    start = np.array(leverage)
    money = usual = base.copy()
    gained = []
    for _ in range(200):
        attraction = 0.5 * np.log(np.array(leverage) / start)
        money = money + 0.5 * (logit(base, attraction) - money)
        change = np.log(money / usual)
        leverage = [answer(p, d, lev, FEE, 1001, 0)[0] for d, lev in zip(change.tolist(), leverage, strict=True)]
        leverage[0] = max(leverage[0], 40)  # somebody begins
        usual = usual + 0.5 * (money - usual)
        gained.append(money[0] / base[0] - 1)
    assert leverage == [1001] * 3
    assert max(gained) > 0.05, "the first to move gains for a while"
    expected = logit(base, 0.5 * np.log(1001 / start))
    assert money == pytest.approx(expected, abs=1e-6)
    assert expected[0] / expected[1] == pytest.approx(base[0] / base[1])


# --- in a world -------------------------------------------------------------------------------------------------------
def test_venues_move_and_say_so() -> None:
    recorder = Recorder("fills")
    model = MarketModel(small({"start_leverage": {"binance": 20, "bybit": 20}}), recorder=recorder)
    race = race_of(model)
    assert [rival.leverage for rival in race.rivals] == [20, 20]
    assert (model.markets.tier_leverage[[place.perp for place in model.places], 0] == 20).all()
    before = {rival.key: (rival.leverage, rival.usual) for rival in race.rivals}
    while model.running:
        model.step()
        for rival in race.rivals:
            leverage, usual = before[rival.key]
            if rival.leverage > leverage:
                assert rival.share < usual, "only a venue that lost share raises leverage"
                assert rival.leverage == next_step(LADDER, leverage, INT64_MAX)
            before[rival.key] = rival.leverage, rival.usual
            assert model.markets.tier_leverage[rival.place.perp].max() == rival.leverage
        model.exchanges.check_ladders()
    said = recorder.events_array[recorder.events_array["kind"] == SCHEDULE]
    figures = recorder.run().participants
    for rival in race.rivals:
        mine = said[said["market"] == rival.place.perp]
        assert mine.size and mine["size_lots"][-1] == rival.leverage == figures[f"race.{rival.key}_leverage_x"].iloc[-1]
        assert mine["amount"][-1] == model.markets.taker_fee[rival.place.perp]
    assert sum(figures[f"race.{rival.key}_share_percent"].iloc[-1] for rival in race.rivals) == pytest.approx(100)
    assert max(rival.leverage for rival in race.rivals) >= 100


def test_a_regulator_ends_the_race() -> None:
    capped: dict[str, Any] = {"policies.leverage_cap.most": 20, "retail.most_leverage": 20}
    capped["retail.entrant_short_leverage"] = 10.0
    model = MarketModel(small(**capped))
    while model.running:
        model.step()
        assert model.markets.tier_leverage.max() <= 20
    assert [rival.leverage for rival in race_of(model).rivals] == [20, 20]
    assert (model.accounts.leverage <= 20).all()


def test_flat_accounts_take_what_is_offered_up_to_what_they_want() -> None:
    model = MarketModel(small({"review_s": 1.0, "take_up": 1.0, "start_leverage": {"binance": 50}}))
    race, retail = race_of(model), model.places[0].retail
    before = model.accounts.leverage.copy()
    model.step()
    after, number = model.accounts.leverage, np.arange(retail.rows.size)
    raised = number[after[retail.rows] > before[retail.rows]]
    assert raised.size > 10 and (after >= before).all()
    assert (after[retail.rows[raised]] <= np.minimum(race.rivals[0].appetite[raised], 50)).all()
    changed = np.flatnonzero(after != before)
    assert np.isin(changed, np.concatenate([place.retail.rows for place in model.places])).all()


def test_fees_that_change_are_verified(tmp_path: Path) -> None:
    """The independent replayer holds every fee against the schedule of its moment."""
    scenario = small()
    with RunWriter(tmp_path / "run", scenario=scenario.resolved(), name="race", title="", seed=1) as writer:
        MarketModel(scenario, recorder=writer).run()
        writer.close_data()
        writer.finish({}, [])
        folder = writer.publish()
    report = verify_run(folder)
    assert report.ok, report.text
    import pyarrow.parquet as pq

    table = pq.read_table(folder / "events.parquet")
    kind = table["kind"].to_numpy()
    assert (kind == SCHEDULE).sum() > 2
    amount = table["amount"].to_numpy().copy()
    amount[np.flatnonzero(kind == SCHEDULE)[0]] += BP
    forged = table.set_column(table.schema.get_field_index("amount"), "amount", [amount])
    pq.write_table(forged, folder / "events.parquet")
    assert any("taker fee is not the schedule's" in line for line in verify_run(folder).problems)


def test_what_cannot_be() -> None:
    with pytest.raises(SettingsError, match="no such venue here: kraken"):
        MarketModel(small({"start_leverage": {"kraken": 20}}))
    with pytest.raises(SettingsError, match="dynamic margin"):
        MarketModel(small(**{"policies.dynamic_margin": {}}))
    with pytest.raises(SettingsError, match="steps of leverage must rise"):
        small({"ladder": [50, 20]})
