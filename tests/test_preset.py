"""Venue presets: the shipped one, and every kind of mistake."""

from __future__ import annotations

import re

import numpy as np
import pytest

from abm.settings import SettingsError
from abm.state import CANCEL_MAKER, PERPETUAL, SPOT
from abm.venues.preset import (
    FOLDER,
    VenuePreset,
    asset_names,
    asset_units,
    build_markets,
    load_preset,
    preset_names,
)

NAME = "binance-2025-10"


def edited(tmp_path, *changes):
    """The shipped preset with text replaced, loaded from a file."""
    text = (FOLDER / f"{NAME}.toml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "edited.toml"
    path.write_text(text)
    return load_preset(path)


def test_shipped_presets_load_and_every_number_has_a_source():
    assert NAME in preset_names()
    for name in preset_names():
        preset = load_preset(name)
        numbers = list(preset.numbers())
        assert len(numbers) > 20
        assert all(preset.source_of(path) for path in numbers)
        assert preset.source_of("nowhere.at.all") is None


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
    assert preset.self_trade_mode == CANCEL_MAKER
    for field in ("venue", "kind", "slot", "settle", "base"):
        assert getattr(markets, field).dtype == np.int32


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


@pytest.mark.parametrize(
    "change, message",
    [
        (('tick = "0.01"', 'tick = "0.005"'), "no whole number"),
        (('tick = "0.01"', 'tick = "-1"'), "must be positive"),
        (('tick = "0.01"', 'tick = "one"'), "decimal number"),
        (('taker_fee = "0.001"', 'taker_fee = "0.0000000001"'), "8 decimals"),
        (('base = "BTC"', 'base = "ETH"'), "unknown asset ETH"),
        (('highest_price = "1000000"', 'highest_price = "1e13"'), "int64"),
        (("leverage = 150", "leverage = 251"), "liquidated at the opening"),
        (("leverage = 100", "leverage = 151"), "leverage must not rise"),
        (('"0.0065"', '"0.0045"'), "must ascend"),
        (("amount_usd =         300", "amount_usd = 301"), "continuous with 300"),
        (("from_usd =             0", "from_usd = 1"), "must start at 0"),
        (('"backstop.size_usd"', '"backstop.sise_usd"'), "no entry in .sources. for backstop.size_usd"),
        (('self_trade = "cancel-maker"', 'self_trade = "cancel-makers"'), "cancel-maker"),
        (("interval_h = 8", "interval_hours = 8"), "interval_h"),
        (('name = "BTCUSDT-SPOT"', 'name = "BTCUSDT"'), "two markets"),
    ],
)
def test_mistakes_are_named(tmp_path, change, message):
    with pytest.raises(SettingsError) as caught:
        edited(tmp_path, change)
    assert re.search(message, str(caught.value))


def test_all_mistakes_are_listed_at_once(tmp_path):
    with pytest.raises(SettingsError) as caught:
        edited(tmp_path, ("leverage = 150", "leverage = 251"), ('tick = "0.01"', 'tick = "0.005"'))
    assert len(caught.value.lines) >= 2


def test_unknown_preset_names_the_nearest():
    with pytest.raises(SettingsError, match=NAME):
        load_preset("binance-2025")


def test_presets_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        load_preset(NAME).name = "x"
    assert VenuePreset.model_config["extra"] == "forbid"
