"""Venue presets: the shipped ones, their arrays, and every kind of mistake."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest

from abm.clearing.formulas import maintenance_amounts
from abm.settings import SettingsError, merge, read_toml, to_toml, validate
from abm.state import CANCEL_MAKER, PERPETUAL, SPOT
from abm.units import INT64_MAX, rate_units, signed_value
from abm.venues.build import collateral_haircuts
from abm.venues.preset import (
    FOLDER,
    VenuePreset,
    asset_names,
    asset_units,
    build_markets,
    load_preset,
    market_problems,
    preset_names,
)

NAME = "binance-2025-10"
MULTI = "binance-multi-2025-10"


def edited(tmp_path, *changes, name=NAME):
    """A shipped preset with text replaced, loaded from a file."""
    text = (FOLDER / f"{name}.toml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "edited.toml"
    path.write_text(text)
    return load_preset(path)


def complaints(tmp_path, *changes, name=NAME):
    with pytest.raises(SettingsError) as caught:
        edited(tmp_path, *changes, name=name)
    return caught.value.lines


# --- what ships -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", preset_names())
def test_shipped_presets_load_and_every_number_has_a_source(name):
    preset = load_preset(name)
    numbers = list(preset.numbers())
    assert len(numbers) > 40
    assert all(preset.source_of(path) for path in numbers)
    assert preset.source_of("nowhere.at.all") is None
    assert market_problems(preset) == []


@pytest.mark.parametrize("name", preset_names())
def test_what_is_verified_says_where(name):
    preset = load_preset(name)
    for path, (status, text) in preset.sources.items():
        assert status != "verified" or "https://" in text, path
        assert "not used" not in text or status == "default", path


@pytest.mark.parametrize("name", preset_names())
def test_presets_survive_being_written_down(name):
    """As a run folder keeps them: plain data, with every default written out."""
    preset = load_preset(name)
    assert validate(VenuePreset, preset.model_dump(mode="json"), name) == preset
    text = to_toml(preset.model_dump(mode="json"))
    assert "None" not in text


def test_the_file_of_every_venue_is_there():
    venues = {load_preset(name).name for name in preset_names()}
    assert venues == {"binance", "bybit", "hyperliquid", "okx", "aster-pro", "aster-simple", "regulated"}
    baskets = [mark.basket for name in preset_names() for mark in [p.mark for p in load_preset(name).perpetual]]
    assert {venue for basket in baskets for venue, _ in basket} <= venues | {"own"}


def test_markets_of_the_day():
    preset = load_preset(NAME)
    markets = build_markets([preset])
    assert markets.names == ["binance/BTCUSDT-SPOT", "binance/BTCUSDT"]
    assert markets.kind.tolist() == [SPOT, PERPETUAL] and markets.slot.tolist() == [-1, 0]
    assert asset_names([preset]) == ["USDT", "BTC"] and markets.base.tolist() == [1, 1]
    assert markets.tick_value.tolist() == [1, 100]
    assert markets.lot_units.tolist() == [10_000, 100_000]
    assert markets.taker_fee.tolist() == [100_000, 50_000]
    assert np.all(np.diff(markets.tier_floor[1]) > 0)
    assert markets.tier_amount[1, -1] == 421_482_000 * 10**6
    assert markets.tier_leverage[1].tolist() == [150, 100, 75, 50, 25, 20, 10, 5, 4, 3, 2, 1]
    assert markets.inverse.tolist() == [0, 0] and markets.expiry_ms.tolist() == [0, 0]
    assert preset.self_trade_mode == CANCEL_MAKER
    for field in ("venue", "kind", "slot", "settle", "base"):
        assert getattr(markets, field).dtype == np.int32


def test_several_instruments_inverse_and_dated():
    preset = load_preset(MULTI)
    markets = build_markets([preset])
    assert asset_names([preset]) == ["USDT", "BTC", "ETH", "USDE"]
    assert markets.slot.tolist() == [-1, -1, -1, 0, 1, 2, 3]
    coin = markets.names.index("binance/BTCUSD")
    assert markets.settle[coin] == markets.base[coin] == 1
    assert markets.inverse[coin] == 10**11 and markets.inverse.nonzero()[0].tolist() == [coin]
    assert markets.tick_value[coin] == markets.lot_units[coin] == 0
    # ten contracts of 100 dollars at 100,000.0 dollars are 0.01 BTC
    assert signed_value(-10, 1_000_000, int(markets.tick_value[coin]), int(markets.inverse[coin])) == 10**6
    assert markets.tier_floor[coin, 1] == 10 * 10**8 and markets.tier_amount[coin, 3] == 56_000_000
    assert markets.tier_floor[coin, 9:].tolist() == [INT64_MAX] * 3
    future = markets.names.index("binance/BTCUSDT-251226")
    assert markets.expiry_ms[future] == datetime(2025, 12, 26, 8, tzinfo=UTC).timestamp() * 1000
    assert markets.expiry_ms.nonzero()[0].tolist() == [future]


def test_haircuts_by_venue_and_asset():
    presets = [load_preset(MULTI), load_preset("hyperliquid-2025-10")]
    assert asset_names(presets) == ["USDT", "BTC", "ETH", "USDE", "USDC"]
    five = rate_units("0.05")
    assert collateral_haircuts(presets).tolist() == [[0, five, five, 2 * five, -1], [-1, -1, -1, -1, 0]]


def test_all_venues_fit_into_one_world():
    presets = [load_preset(name) for name in preset_names() if name != MULTI]
    markets = build_markets(presets)
    assert markets.count == 2 * len(presets)
    assert markets.venue.tolist() == [v for v in range(len(presets)) for _ in range(2)]
    for preset in presets:
        for market in preset.perpetual:
            unit = Decimal(next(asset.unit for asset in preset.assets if asset.name == market.settle))
            floors = [int(Decimal(tier.from_notional) / unit) for tier in market.tiers]
            amounts = maintenance_amounts(floors, [rate_units(tier.maintenance) for tier in market.tiers])
            assert amounts == [int(Decimal(tier.amount) / unit) for tier in market.tiers]


def test_two_venues_share_assets_but_not_names():
    one = load_preset(NAME)
    two = one.model_copy(update={"name": "other"})
    markets = build_markets([one, two])
    assert markets.venue.tolist() == [0, 0, 1, 1] and markets.settle.tolist() == [0] * 4
    assert markets.names[3] == "other/BTCUSDT"
    with pytest.raises(SettingsError, match="two venues"):
        build_markets([one, one])
    dollars = one.assets[0].model_copy(update={"unit": "0.01"})
    with pytest.raises(SettingsError, match="units of"):
        asset_units([one, two.model_copy(update={"assets": (dollars, one.assets[1])})])


# --- hours ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "at, open_",
    [
        ("2025-10-10T20:59:59", True),  # Friday
        ("2025-10-10T21:00:00", False),
        ("2025-10-10T21:15:00", False),  # the fall of the day
        ("2025-10-11T12:00:00", False),
        ("2025-10-12T21:59:59", False),
        ("2025-10-12T22:00:00", True),
        ("2025-10-13T20:59:59", True),
        ("2025-10-13T21:30:00", False),  # the daily break
        ("2025-10-13T22:00:00", True),
    ],
)
def test_closing_hours(at, open_):
    hours = load_preset("regulated-2025-10").hours
    assert hours.is_open(datetime.fromisoformat(at).replace(tzinfo=UTC)) is open_


def test_hours_over_midnight():
    regulated = load_preset("regulated-2025-10").hours
    hours = regulated.model_copy(update={"daily_close": "23:30", "daily_open": "00:30"})
    times = ((0, 0), (0, 30), (20, 59), (21, 0))
    assert [hours.is_open(datetime(2025, 10, 10, *at, tzinfo=UTC)) for at in times] == [False, True, True, False]
    hours = hours.model_copy(update={"weekly_close": "Sat 02:00", "weekly_open": "Mon 01:00"})
    moments = [datetime(2025, 10, day, *at, tzinfo=UTC) for day, at in ((11, (1, 0)), (11, (2, 0)), (13, (0, 59)))]
    assert [hours.is_open(at) for at in moments] == [True, False, False]
    assert hours.is_open(datetime(2025, 10, 13, 1, tzinfo=UTC))


# --- mistakes ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "change, message",
    [
        (('tick = "0.01"', 'tick = "0.005"'), "no whole number"),
        (('tick = "0.01"', 'tick = "-1"'), "must be positive"),
        (('tick = "0.01"', 'tick = "one"'), "decimal number"),
        (('taker_fee = "0.001"', 'taker_fee = "0.0000000001"'), "8 decimals"),
        (('taker_fee = "0.001"', 'taker_fee = "1.5"'), "between -1 and 1"),
        (('base = "BTC"', 'base = "ETH"'), "unknown asset ETH"),
        (('unit = "0.000001"', 'unit = "0"'), "assets.USDT.unit: must be positive"),
        (('name = "USDT"', 'name = "BTC"'), "assets.BTC: listed twice"),
        (('highest_price = "1000000"', 'highest_price = "1e13"'), "int64"),
        (("leverage = 150", "leverage = 251"), "liquidated at the opening"),
        (("leverage = 100", "leverage = 151"), "leverage must not rise"),
        (('"0.0065"', '"0.0045"'), "must ascend"),
        (('amount =         "300"', 'amount = "301"'), "continuous with 300"),
        (('from_notional =             "0"', 'from_notional = "1"'), "must start at 0"),
        (('"300_000"', '"300_000.0000001"'), "from_notional: in units of USDT it"),
        (("from_notional =", "from_usd ="), "tiers.0.from_notional: missing"),
        (('"backstop.size_usd"', '"backstop.sise_usd"'), "no entry in .sources. for backstop.size_usd"),
        (('"backstop.size_usd"', '"backstop.sise_usd"'), "sise_usd. is no field of this preset; did you mean"),
        (("schema_version = 2\n", ""), "schema_version: missing"),
        (("schema_version = 2", "schema_version = 1"), "schema_version"),
        (('self_trade = "cancel-maker"', 'self_trade = "cancel-makers"'), "cancel-maker"),
        (("interval_h = 8", "interval_hours = 8"), "interval_h"),
        (("interval_h = 8", "interval_h = 5"), "does not divide a day"),
        (('name = "BTCUSDT-SPOT"', 'name = "BTCUSDT"'), "two markets"),
        (('name = "BTCUSDT-SPOT"', 'name = "BTC.SPOT"'), "cannot be reached"),
        (('rule = "median-basis-average"', 'rule = "median-basis-avarage"'), "median-basis-average"),
        (('"median-bid-last-ask"', '"basket"'), "mark.basket: needed"),
        (("basis_points = 30", 'basket = [["own", 1]]\nbasis_points = 30'), "and only there"),
        (("floor_usd = 0", "floor_usd = 2_000_000_000"), "above size_usd"),
        (('sizing = "bring-back"', 'sizing = "whole"\nstep_share = "0.2"'), 'only with sizing = "share"'),
        (('sizing = "bring-back"', 'sizing = "whole"\ntiers_down = 2'), 'only with sizing = "lower-tier"'),
        (('takeover_whole = "1"', 'takeover_whole = "1.1"'), "takeover_whole: 1.1 must lie between 0 and 1"),
        (('fee = "0.0125"', 'fee = "0.0125"\nmargin_share = "1"'), "liquidated at the opening"),
        (('trigger = "floor"', 'trigger = "drawdown"\ndrawdown = "0"'), "any loss would deleverage"),
        (('price = "bankruptcy"', 'price = "mark"\nmark_beyond = "0.05"'), "mark_beyond: only with"),
    ],
)
def test_mistakes_are_named(tmp_path, change, message):
    assert re.search(message, "\n".join(complaints(tmp_path, change)))


@pytest.mark.parametrize(
    "change, message",
    [
        (('settle = "BTC"', 'settle = "USDT"'), "settled in its base, BTC, not USDT"),
        (('lot = "1"\ntaker_fee = "0.0005"', 'lot = "2"\ntaker_fee = "0.0005"'), '"1" contract'),
        (('inverse_contract = "100"', 'inverse_contract = "0"'), "inverse_contract: must be positive"),
        (('inverse_contract = "100"', 'inverse_contract = "0.00000000001"'), "no whole number"),
        (('inverse_contract = "100"', 'inverse_contract = "1e7"'), "over int64"),
        (("expiry = 2025-12-26T08:00:00Z", "expiry = 2025-12-26T08:00:00"), "no time zone"),
        (("expiry = 2025-12-26T08:00:00Z\n", ""), "BTCUSDT-251226.funding: missing"),
        (('haircut = "0.1"', 'haircut = "1.1"'), "assets.USDE.haircut"),
        (('base = "USDE"', 'base = "ETH"'), "collateral needs a spot market"),
    ],
)
def test_mistakes_of_several_instruments_are_named(tmp_path, change, message):
    assert re.search(message, "\n".join(complaints(tmp_path, change, name=MULTI)))


@pytest.mark.parametrize(
    "change, message",
    [
        (('weekly_close = "Fri 21:00"', 'weekly_close = "21:00"'), 'hours.weekly_close.*"Fri 21:00"'),
        (('daily_open = "22:00"', 'daily_open = "25:00"'), "hours.daily_open.*UTC"),
        (('breaker_move = "0.1"', 'breaker_move = "0"'), "never open"),
        (("expiry = 2025-10-31T16:00:00Z", "expiry = 2025-10-31T16:00:00Z\nfunding = {}"), "a dated future has none"),
        (('"hours" = ["verified"', '"hour" = ["verified"'), "no entry in .sources. for hours.weekly_close"),
    ],
)
def test_mistakes_of_hours_and_futures_are_named(tmp_path, change, message):
    assert re.search(message, "\n".join(complaints(tmp_path, change, name="regulated-2025-10")))


def test_all_mistakes_are_listed_at_once(tmp_path):
    """Those of the schema together with those of the economics and of the sources."""
    lines = complaints(
        tmp_path,
        ("leverage = 150", "leverage = 251"),
        ('tick = "0.01"', 'tick = "0.005"'),
        ('order_limit = "bankruptcy"', 'order_limit = "bankrupt"'),
        ('"backstop.size_usd"', '"backstop.sise_usd"'),
    )
    for words in ("251x", "no whole number", 'did you mean "bankruptcy"', "sise_usd", "no entry in [sources]"):
        assert any(words in line for line in lines), words
    assert len(lines) == 5


def test_a_broken_market_brings_no_further_complaints(tmp_path):
    assert len(complaints(tmp_path, ('weights = "linear"', 'weights = "linaer"'))) == 1


def test_settings_reach_into_the_new_tables():
    table = merge(read_toml(FOLDER / "okx-2025-10.toml"), {"liquidation": {"tiers_down": 1, "whole_up_to_tier": 1}})
    assert validate(VenuePreset, table, "okx").liquidation.tiers_down == 1


def test_unknown_preset_names_the_nearest():
    with pytest.raises(SettingsError, match=NAME):
        load_preset("binance-2025")


def test_presets_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        load_preset(NAME).name = "x"
    assert VenuePreset.model_config["extra"] == "forbid"
