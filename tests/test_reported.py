"""Liquidation totals as vendors see them, on events made by hand; value sellers as the mirror image of buyers."""

from datetime import UTC, datetime

import numpy as np
import pytest

from abm.events import BY_LIQUIDATION, BY_VALUE, DELEVERAGE, EVENT, FILL_EVENT
from abm.recorder import Recorder, Run
from abm.reported import reported_liquidations
from abm.state import BUY, CANCEL, IOC, LIMIT, MESSAGE, NOBODY, REPLACE, SELL
from abm.traders.value_buyers import ValueBuyersParameters, ValueSellers
from abm.venues.preset import asset_names, build_markets, load_preset
from tests.traders_world import PERP, SPOT_MARKET, START_TICKS, Stage

START = datetime(2025, 10, 10, 20, 40, tzinfo=UTC)


def run_of(*rows: tuple[int, int, int, str, int, int], tick_s: float = 1.0) -> Run:
    """Forced events of the multi-asset venue: (kind, tick, account, market, lots, price in ticks)."""
    preset = load_preset("binance-multi-2025-10")
    markets = build_markets([preset])
    recorder = Recorder()
    recorder.begin(markets, asset_names([preset]), [preset.name], START, tick_s)
    events = np.zeros(len(rows), EVENT)
    for n, (kind, tick, account, market, lots, price) in enumerate(rows):
        events[n]["kind"], events[n]["tick"], events[n]["account"] = kind, tick, account
        events[n]["market"] = markets.names.index(f"{preset.name}/{market}")
        events[n]["size_lots"], events[n]["price_ticks"], events[n]["side"] = lots, price, SELL
    events["reason"], events["seq"] = BY_LIQUIDATION, np.arange(len(rows))
    recorder.events(events)
    return recorder.run()


def test_of_each_second_and_symbol_the_feed_shows_the_last_order() -> None:
    """Two orders of BTC in second 1 (the first in two fills), one of ETH, one of BTC in second 2; $100 a lot of BTC."""
    run = run_of(
        (FILL_EVENT, 1, 7, "BTCUSDT", 6, 1_000_000),
        (FILL_EVENT, 1, 8, "BTCUSDT", 3, 1_000_000),
        (FILL_EVENT, 1, 7, "ETHUSDT", 5, 400_000),  # $4 a lot of 0.001
        (FILL_EVENT, 1, 8, "BTCUSDT", 1, 1_000_000),
        (FILL_EVENT, 2, 7, "BTCUSDT", 2, 1_000_000),
        (DELEVERAGE, 2, 9, "BTCUSDT", 50, 1_000_000),
    )
    seen = reported_liquidations(run.events, run.info)
    assert seen["forced_usd"] == pytest.approx(1200 + 20)
    assert seen["reported_usd"] == pytest.approx(400 + 20 + 200)
    assert seen["both_sides_usd"] == pytest.approx(2 * 1220 + 5000)


def test_ticks_shorter_than_a_second_share_its_one_order() -> None:
    fills = [(FILL_EVENT, tick, tick, "BTCUSDT", tick, 1_000_000) for tick in (1, 2, 3, 4)]
    run = run_of(*fills, tick_s=0.5)  # ticks end at 0.5, 1.0, 1.5 and 2.0 s
    assert reported_liquidations(run.events, run.info)["reported_usd"] == pytest.approx(200 + 400)


def test_an_inverse_contract_is_worth_its_dollars() -> None:
    run = run_of((FILL_EVENT, 1, 7, "BTCUSD", 6, 1_000_000), (FILL_EVENT, 1, 7, "BTCUSD", 6, 500_000))
    assert reported_liquidations(run.events, run.info)["forced_usd"] == pytest.approx(1200)


def test_nothing_forced_is_nothing_reported() -> None:
    run = run_of((DELEVERAGE, 1, 9, "BTCUSDT", 50, 1_000_000))
    seen = reported_liquidations(run.events, run.info)
    assert (seen["forced_usd"], seen["reported_usd"]) == (0, 0) and seen["both_sides_usd"] == pytest.approx(5000)


# --- value sellers ----------------------------------------------------------------------------------------------------
def test_value_sellers_sell_premiums_and_nothing_else() -> None:
    """Coins in the spot market, short positions on the perpetual, by the law of the buyers with the sign turned."""
    stage = Stage(1, (ValueSellers, ValueBuyersParameters(margin_spread=0.0)))
    sellers = stage.people[0]
    assert isinstance(sellers, ValueSellers)
    for market in (PERP, SPOT_MARKET):
        bids = np.zeros(1, MESSAGE)
        bids["market"], bids["op"], bids["side"], bids["size_lots"] = market, LIMIT, BUY, 10**9
        bids["price_ticks"], bids["account"], bids["order"] = START_TICKS, NOBODY, NOBODY
        stage.trade(bids)
    fair = {gap: {"fair_ticks": np.array([START_TICKS * (1 - gap)] * 2)} for gap in (-0.2, 0.035, 0.036 + 0.085 / 2)}
    for tick in range(40):
        stage.tick = tick
        for gap in (-0.2, 0.035):
            assert stage.ask(sellers, stage.view(**fair[gap])).size == 0
    kinds: set[int] = set()
    for tick in range(40, 400):
        stage.tick = tick
        messages = stage.turn(sellers, stage.view(**fair[0.036 + 0.085 / 2]))
        assert (messages["side"] == SELL).all() and (messages["reason"] == BY_VALUE).all()
        kinds |= set(messages["op"].tolist())
    assert {IOC, LIMIT, REPLACE} <= kinds <= {IOC, LIMIT, REPLACE, CANCEL}
    sold = sellers.bought_lots()
    target = round(ValueBuyersParameters().coins * 1000) / 2
    assert 0 < sold.sum() <= target
    assert sold[sellers.market == SPOT_MARKET].sum() / sold.sum() == pytest.approx(0.25, abs=0.04)
    assert (stage.accounts.position[0, sellers.rows[sellers.market == PERP]] <= 0).all()
    assert (stage.accounts.cash[1, sellers.rows] >= 0).all(), "nobody sells coins it does not have"
