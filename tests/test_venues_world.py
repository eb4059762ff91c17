"""Several venues in one world: nobody's luck depends on the others, money is never lost between two, rules hold."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abm import MarketModel
from abm.clearing.audit import audit_money, audit_structure
from abm.events import DELEVERAGE, FILL_EVENT, HALT, LIQUIDATION, PLACE, REMOVE, REOPEN, TRANSFER
from abm.measures import summary
from abm.recorder import STEP, Recorder
from abm.results import RunWriter, load_run
from abm.scenario import Scenario, ScenarioError, from_resolved, load_scenario
from abm.scenario_venues import venue_seed
from abm.state import BUY, IOC, MESSAGE, NOBODY, SELL
from abm.units import RATE_ONE
from abm.venues.exchange import OUTSIDE_ROW
from abm.verify import verify_run

OTHER = "others.bybit-2025-10"
THREE = """
extends = "two-venues"
duration_s = 25
accounts = 100
[[news]]
name = "shock"
at = 20:40:05
"""
PARTS = (
    '[[others]]\nname = "hyperliquid-2025-10"\nshare = 0.5\n',
    '[[others]]\nname = "bybit-2025-10"\n[others.makers]\ncount = 9\n',
)


def small(**changes: Any) -> Scenario:
    """Two venues of a hundred and forty accounts, quiet unless told."""
    return load_scenario("two-venues").changed(**({"accounts": 100, "duration_s": 20, "news": []} | changes))


def recorded(scenario: Scenario, level: str = "fills") -> Recorder:
    recorder = Recorder(level)
    MarketModel(scenario, recorder=recorder).run()
    return recorder


# --- what a scenario says ---------------------------------------------------------------------------------------------
def test_a_share_scales_amounts_and_tables_are_taken_as_they_stand() -> None:
    s = load_scenario("two-venues", [f"{OTHER}.share=0.25", f"{OTHER}.makers.depth_coins=77", "accounts=1000"])
    lead, other = s.venue_setups()
    assert other.retail.open_interest_coins == 0.25 * lead.retail.open_interest_coins
    assert (other.retail.accounts, lead.retail.accounts) == (250, 1000)
    assert other.makers.depth_coins == 77 and other.makers.inventory_coins == 0.25 * lead.makers.inventory_coins
    assert other.arbitrageurs.outside_coins == 0 and other.makers.count == lead.makers.count
    assert other.preset.name == "bybit" and other.seed == venue_seed(1, "bybit") != lead.seed == 1
    later = s.changed({f"{OTHER}.share": 0.5, "retail.open_interest_coins": 1000.0})
    assert later.venue_setups()[1].retail.open_interest_coins == 500
    assert from_resolved(s.resolved()).resolved() == s.resolved()


@pytest.mark.parametrize(
    ("setting", "path", "words"),
    [
        (f"{OTHER}.retail.panik=1", f"{OTHER}.retail.panik", 'did you mean "panic"'),
        (f"{OTHER}.makers.depth_coins=-1", f"{OTHER}.makers.depth_coins", ">= 0"),
        (f"{OTHER}.share=0", f"{OTHER}.share", "> 0"),
        (f"{OTHER}.venue.preset=bybit-2025-1", f"{OTHER}.venue.preset", 'did you mean "bybit-2025-10"'),
        (f"{OTHER}.venue.name=binance", f"{OTHER}.venue.name", "another venue has this name"),
        (f"{OTHER}.retail.trend_share=0.9", f"{OTHER}.retail.trend_share + retail.value_share", "exceed 1"),
        ("others.okx.share=1", "others.okx.share", "no item"),
        ('incidents=[{venue="bibit", kind="outage", at="20:40:10", over_s=5}]', "incidents.0.venue", '"bybit"'),
        ('incidents=[{venue="bybit", kind="outage", at="22:40:10", over_s=5}]', "incidents.0.at", "outside the run"),
        ('incidents=[{venue="bybit", kind="fire", at="20:40:10", over_s=5}]', "incidents.0.kind", "outage"),
    ],
)
def test_mistakes_about_other_venues(setting: str, path: str, words: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        load_scenario("two-venues", [setting])
    assert any(line.startswith(f"{path}: ") and words in line for line in caught.value.lines), caught.value.lines


def test_the_order_of_venues_in_the_file_changes_no_byte(tmp_path: Path) -> None:
    runs = []
    for number, parts in enumerate((PARTS, PARTS[::-1])):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "three.toml").write_text(THREE + "".join(parts))
        scenario = load_scenario(folder / "three.toml")
        out = folder / "run"
        with RunWriter(out, scenario=scenario.resolved(), name="three", title="", seed=1, level="orders") as writer:
            MarketModel(scenario, recorder=writer).run()
            writer.close_data()
            writer.finish({}, [])
            runs.append(writer.publish())
    for name in ("run.json", "steps.parquet", "venues.parquet", "events.parquet", "opening.parquet", "closing.parquet"):
        assert (runs[0] / name).read_bytes() == (runs[1] / name).read_bytes(), name
    assert load_run(runs[0]).info["venues"] == ["binance", "bybit", "hyperliquid"]


# --- everybody's own luck ---------------------------------------------------------------------------------------------
def test_another_venue_leaves_the_first_alone() -> None:
    """Without accounts between them, the lead venue of two does what it does alone, tick by tick."""
    alone = recorded(small(others=[])).steps_array
    two = recorded(small(bridges__capital_coins=0.0))
    assert alone["volume_btc"].sum() > 0
    assert alone.tobytes() == two.steps_array.tobytes()
    lead = two.venues_array[::2]
    assert lead.tobytes() == two.steps_array.tobytes()


def test_a_third_venue_leaves_the_second_alone() -> None:
    """The third comes first by name (and by row and market), and is not in the second's basket."""
    third = {"name": "aster-pro-2025-10", "share": 0.3, "venue": {"preset": "aster-pro-2025-10"}}
    second = small().resolved()["others"][0]
    runs = [
        recorded(small(others=others, bridges__capital_coins=0.0)).run().venues
        for others in ([second], [third, second])
    ]
    ours, theirs = (run[run["venue"] == "bybit"].reset_index(drop=True) for run in runs)
    assert ours["volume_btc"].sum() > 0 and set(runs[1]["venue"]) == {"binance", "aster-pro", "bybit"}
    assert ours.equals(theirs)


# --- index baskets ----------------------------------------------------------------------------------------------------
def test_the_basket_is_the_average_of_the_spots_there_are() -> None:
    """Bybit names itself, Binance and OKX with equal weights; OKX is not in this world."""
    model = MarketModel(small())
    for _ in range(15):
        model.step()
    spots = [model.places[n].spot for n in (0, 1)]
    last, best = model.exchanges.last_ticks(), [[model.books.best(m, side) for m in spots] for side in (BUY, SELL)]
    cents = [sorted((best[0][n], int(last[m]), best[1][n]))[1] for n, m in enumerate(spots)]
    assert cents[0] != cents[1]
    model.exchanges.mark()
    found = model.exchanges.index_ticks[[place.perp for place in model.places]]
    tens = [(price + 5) // 10 for price in cents]  # a tick of the perpetual is ten of spot
    assert found[0] == tens[0]
    assert found[1] == (sum(tens) + 1) // 2


def test_an_oracle_takes_the_weighted_median_and_the_other_perpetuals() -> None:
    other = {"name": "hyperliquid-2025-10", "share": 0.3, "venue": {"preset": "hyperliquid-2025-10"}}
    model = MarketModel(small(others=[other, small().resolved()["others"][0]]))
    for _ in range(3):
        model.step()
    desk = next(desk for desk in model.exchanges.desks if desk.venue == 2)
    assert desk.basket is not None
    assert [(s.market, s.weight) for s in desk.basket.spots] == [(0, 3), (2, 2)]
    assert [(s.market, s.weight) for s in desk.basket.perps] == [(1, 3), (3, 2)]
    last = model.exchanges.last_ticks()
    bid, ask = model.books.best(1, BUY), model.books.best(1, SELL)
    assert desk.basket.others_ticks(model.books, last) == (bid + ask + 10) // 20  # Binance has most of the weight
    assert MarketModel(small(others=[])).exchanges.desks[0].basket is None


# --- accounts between venues ------------------------------------------------------------------------------------------
def test_arbitrage_closes_a_gap() -> None:
    """One large sale into a thin book at the second venue: the accounts buy there and sell at the first."""
    gaps, held = [], []
    thin = {f"{OTHER}.makers.depth_coins": 100, f"{OTHER}.noise.rate_coins": 0.05, "makers.follow_news": 0.0}
    for capital in (0.0, 3000.0):
        recorder = Recorder("fills")
        model = MarketModel(small(duration_s=120, bridges__capital_coins=capital).changed(thin), recorder=recorder)
        model.step()
        place, row = model.places[1], int(model.places[1].hedgers.rows[0])
        settle = int(model.markets.settle[place.perp])
        model.floor.transfer(place.first_row + OUTSIDE_ROW, row, settle, 10**15)
        sale = np.zeros(1, MESSAGE)
        sale["market"], sale["account"], sale["op"], sale["side"], sale["order"] = place.perp, row, IOC, SELL, NOBODY
        sale["size_lots"] = 400_000  # of 0.001 BTC
        model.floor.trade(sale, model.exchanges.mark_ticks, 0)
        positions = []
        while model.running:
            model.step()
            if model.bridges is not None:
                positions.append(model.bridges.positions().sum(axis=1))
        first, second = (recorder.venues_array["perp_usd"][n::2] for n in (0, 1))
        gaps.append(float(np.median(np.abs(second / first - 1)[-20:])))
        held = positions
    fees = 2 * float(model.markets.taker_fee[[model.perp, place.perp]].sum()) / RATE_ONE
    assert gaps[0] > 0.01 and gaps[1] < 2 * fees
    first, second = np.array(held)[-1]
    assert second > 0 > first and abs(first + second) < 0.1 * second, "bought where cheap, sold where dear"


def test_a_position_is_given_back_when_the_gap_is_gone() -> None:
    """Long at one venue and short at the other, with equal prices: both legs shrink together."""
    model = MarketModel(small(bridges__closed=0.01, bridges__rate_coins=10.0))
    bridges = model.bridges
    assert bridges is not None
    for leg, side in zip(bridges.legs, (BUY, SELL), strict=True):  # against the hedgers, who take any position
        place = model.places[leg.world.accounts.venue[leg.rows[0]]]
        row, lots = int(place.hedgers.rows[0]), np.array([side * 5_000], np.int64)
        value = lots * model.exchanges.mark_ticks[place.perp] * model.markets.tick_value[place.perp]
        none = np.array([NOBODY], np.int64)
        model.floor.pass_positions(DELEVERAGE, place.perp, leg.rows[:1], np.array([row]), lots, value, none)
    sizes = []
    while model.running:
        model.step()
        sizes.append(bridges.positions()[:, 0])
    legs = np.array(sizes)
    assert legs[0, 0] > 0 > legs[0, 1] and (np.diff(np.abs(legs), axis=0) <= 0).all()
    assert (legs[-1] == 0).all()


def test_money_between_venues_is_always_somewhere() -> None:
    """Sent against the outside of one venue, in flight for its delay, received against the outside of the other."""
    changes = {"bridges__review_s": 2.0, "bridges__delay_s": 5.0, "bridges__least_share": 1.0}
    recorder = Recorder("fills")
    model = MarketModel(small(duration_s=30, accounts=200, **changes), recorder=recorder)
    bridges = model.bridges
    assert bridges is not None
    rich, poor = (leg.rows[0] for leg in bridges.legs)
    outside = [place.first_row + OUTSIDE_ROW for place in model.places]
    cash = model.accounts.cash
    # half of an account's money leaves one venue, so that there is something to even out
    model.floor.transfer(int(poor), outside[1], bridges.legs[1].world.usdt, int(cash[0, poor]) // 2)
    before = [int(cash[0, row]) for row in (*outside, rich, poor)]
    seen = set()
    while model.running:
        model.step()
        flying = sum(posting.amount for _, posting in bridges.on_the_way)
        moved = [int(cash[0, row]) - was for row, was in zip(outside, before, strict=False)]
        assert sum(moved) == flying, "what has left and not arrived is with the outside world"
        audit_money(model.floor, model.exchanges.assets)
        seen.add(flying > 0)
    assert seen == {True, False}
    assert int(cash[0, rich]) < before[2] and int(cash[0, poor]) > before[3]
    sent = recorder.events_array[recorder.events_array["kind"] == TRANSFER]
    venue = model.accounts.venue
    assert sent.size > 2 and (venue[sent["account"]] == venue[sent["counterparty"]]).all()


# --- incidents --------------------------------------------------------------------------------------------------------
def test_during_an_outage_nothing_happens_at_the_venue() -> None:
    """No order comes or goes and nobody is forced, while the other venue trades; then it opens and goes on."""
    outage = {"venue": "bybit", "kind": "outage", "at": "20:40:08", "over_s": 7.0}
    shock = {"name": "shock", "at": "20:40:06", "over_s": 2, "change_percent": -6.0}
    scenario = small(incidents=[outage], news=[shock], duration_s=25, accounts=300, retail__news_s=5.0)
    recorder = Recorder("orders")
    model = MarketModel(scenario, recorder=recorder)
    model.run()
    events = recorder.events_array
    there = np.isin(events["market"], [2, 3])
    dark = (events["tick"] >= 9) & (events["tick"] <= 15)
    assert set(events["kind"][there & dark]) == {HALT}
    assert set(events["tick"][there & (events["kind"] == REOPEN)]) == {16}
    acts = np.isin(events["kind"], [FILL_EVENT, PLACE, REMOVE])
    assert model.bridges is not None
    assert not np.isin(events["account"][dark], model.bridges.rows).any(), "who needs both venues trades at neither"
    assert (acts & dark & ~there).any()
    for tick in (8, 16):
        assert (acts & there & (events["tick"] == tick)).any(), tick
    late = events[there & (events["kind"] == LIQUIDATION)]
    assert late.size and late["tick"].min() >= 16, "who fell below maintenance in the dark is forced afterwards"
    audit_structure(model.floor)


def test_latency_shows_the_past() -> None:
    """What arrives late was decided on what was seen so many ticks ago; the other venue sees the present."""
    slow = {"venue": "bybit", "kind": "latency", "at": "20:40:05", "over_s": 5.0, "delay_ticks": 2}
    model = MarketModel(small(incidents=[slow], accounts=300))
    seen: list[Any] = []
    while model.running:
        model.step()
        model._look()
        seen.append((model.views[0], model.views[1]))
    for tick in range(1, 20):
        ours, there = seen[tick]
        then = seen[tick - 2][0] if 6 <= tick + 1 <= 10 else ours
        assert np.array_equal(there.fair_ticks, then.fair_ticks), tick + 1
        assert (there.tick, there.round) == (ours.tick, ours.round) and there.seed != ours.seed


# --- what is kept -----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def fallen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two venues through a shock, recorded."""
    shock = {"name": "shock", "at": "20:40:05", "over_s": 3, "change_percent": -8.0}
    scenario = small(news=[shock], duration_s=60, accounts=400, retail__news_s=5.0)
    out = tmp_path_factory.mktemp("two") / "run"
    with RunWriter(out, scenario=scenario.resolved(), name="two", title="", seed=1) as writer:
        MarketModel(scenario, recorder=writer).run()
        writer.finish(summary(writer.close_data()), [])
        return writer.publish()


def test_each_venue_has_its_steps_and_measures(fallen: Path) -> None:
    run = load_run(fallen)
    assert list(run.venues.columns) == ["venue", "tick", "time", *[n for n in STEP.names if n != "tick"]]
    assert run.venues["venue"].tolist() == ["binance", "bybit"] * 60
    lead = run.venues[run.venues["venue"] == "binance"].drop(columns="venue").reset_index(drop=True)
    assert lead.equals(run.steps)
    found = run.info["summary"]
    each = found["venues"]
    assert each["binance"]["liquidated_usd"] == found["liquidated_usd"] > 0 < each["bybit"]["liquidated_usd"]
    assert sum(measures["share_percent"] for measures in each.values()) == pytest.approx(100)
    assert each["bybit"]["fund_start_usd"] == 1e8 and each["binance"]["fund_start_usd"] == 1.23e9
    for measures in each.values():
        assert 0 < measures["reported_liquidated_usd"] <= measures["both_sides_liquidated_usd"] / 2


def test_the_independent_replayer_agrees_on_two_venues(fallen: Path) -> None:
    report = verify_run(fallen)
    assert report.ok, report.text


def test_one_venue_keeps_no_table_of_venues(tmp_path: Path) -> None:
    recorder = recorded(small(others=[], duration_s=3))
    assert recorder.venues_array.size == 0 and recorder.run().venues.empty
    assert "venues" not in summary(recorder.run())


# --- packaged worlds --------------------------------------------------------------------------------------------------
def test_the_cluster_of_shorts_is_as_large_as_reported() -> None:
    """$1.59bn of shorts are forced below 98,000, most of them within 3 % of 95,000."""
    model = MarketModel("short-squeeze-95k", accounts=2000)
    rows, desk = model.retail.rows, model.exchanges.desks[0]
    coins = model.accounts.position[0, rows] * model.markets.lot_coins[model.perp]
    price = desk.ladder.liquidation_ticks(rows.tolist()) * model.markets.tick_dollars[model.perp]
    forced = (coins < 0) & (price > 91_500) & (price < 98_000)
    assert -coins[forced].sum() * 95_000 == pytest.approx(1.59e9, rel=0.15)


@pytest.fixture(scope="module")
def squeeze() -> Recorder:
    recorder = Recorder("fills")
    MarketModel(load_scenario("short-squeeze-95k", accounts=2000), recorder=recorder).run()
    return recorder


@pytest.mark.full
def test_up_to_the_high_shorts_are_squeezed_and_the_price_overshoots(squeeze: Recorder) -> None:
    high = int(squeeze.steps_array["perp_high_usd"].argmax())
    steps, events = squeeze.steps_array[: high + 1], squeeze.events_array
    assert steps["liquidated_short_usd"].sum() > 20 * steps["liquidated_long_usd"].sum()
    assert 1.0e9 < steps["liquidated_short_usd"].sum() < 2.2e9
    assert steps["perp_high_usd"].max() > 1.02 * steps["fair_usd"].max()
    forced = (events["kind"] == LIQUIDATION) & (events["tick"] <= high)
    assert (events["side"][forced] == BUY).mean() > 0.95


@pytest.mark.full
@pytest.mark.xfail(strict=True, reason="seed 1 turns round after its high and forces $230m of longs: docs/scenarios")
def test_all_in_all_it_is_shorts_who_are_forced(squeeze: Recorder) -> None:
    """What the scenario should do, and does not on its first seed: neither now nor with the calibration before."""
    steps, events = squeeze.steps_array, squeeze.events_array
    assert steps["liquidated_short_usd"].sum() > 20 * steps["liquidated_long_usd"].sum()
    assert (events["side"][events["kind"] == LIQUIDATION] == BUY).mean() > 0.95


def test_october_with_three_venues_begins() -> None:
    model = MarketModel("october-2025-venues", accounts=200, duration_s=2, news=[])
    assert [place.name for place in model.places] == ["binance", "bybit", "hyperliquid"]
    model.run()
    assert (model.accounts.venue[model.bridges.rows] == np.repeat([0, 1, 2], 10)).all()  # type: ignore[union-attr]
    assert NOBODY not in model.bridges.rows  # type: ignore[union-attr]


def test_figures_of_one_venue_are_judged_where_it_is_in_the_world() -> None:
    """Deleveraging at Hyperliquid is held against the chain data; without that venue there is nothing to judge."""
    from abm.targets import TARGETS, VENUE_TARGETS, comparison

    october = load_scenario("october-2025-venues", accounts=200)
    own = {"adl_usd": 600e6, "adl_delay_s": 300.0, "long_share_percent": 93.0}
    rows = comparison({"venues": {"hyperliquid": own, "bybit": {}}}, october)
    assert len(rows) == len(TARGETS) + len(VENUE_TARGETS["hyperliquid"])
    verdicts = {row["measure"]: row["inside"] for row in rows[len(TARGETS) :]}
    assert verdicts["Hyperliquid: deleveraged, BTC"] is True
    assert verdicts["Hyperliquid: first liquidation to first ADL"] is False
    assert verdicts["Hyperliquid: bad debt"] is None
    assert len(comparison({}, october)) == len(TARGETS)
