"""The markets of venue presets as arrays, and their assets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from abm.settings import SettingsError
from abm.state import I64, PERPETUAL, SPOT, Markets
from abm.units import INT64_MAX, rate_units
from abm.venues.checks import market_problems
from abm.venues.rules import Instrument, PerpetualRules

if TYPE_CHECKING:
    from abm.venues.preset import VenuePreset

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def asset_names(presets: Sequence[VenuePreset]) -> list[str]:
    """Assets of all venues in order of first mention: their position is the asset id."""
    return list(dict.fromkeys(asset.name for preset in presets for asset in preset.assets))


def asset_units(presets: Sequence[VenuePreset]) -> list[Decimal]:
    """Smallest unit of each asset, by asset id. Raises `SettingsError` if venues disagree."""
    units: dict[str, Decimal] = {}
    for preset in presets:
        for asset in preset.assets:
            if units.setdefault(asset.name, Decimal(asset.unit)) != Decimal(asset.unit):
                other = units[asset.name]
                raise SettingsError([f"{preset.name}: another venue counts {asset.name} in units of {other}"])
    return list(units.values())


def collateral_haircuts(presets: Sequence[VenuePreset]) -> I64:
    """Haircut of each asset at each venue as a rate (1e-8), int64 (venues, assets); -1 = no collateral there.

    An asset in which an instrument with margin settles is collateral without a haircut unless the file states one.
    """
    names = asset_names(presets)
    haircuts = np.full((len(presets), len(names)), -1, np.int64)
    for v, preset in enumerate(presets):
        for market in preset.perpetual:
            haircuts[v, names.index(market.settle)] = 0
        for asset in preset.assets:
            if asset.haircut is not None:
                haircuts[v, names.index(asset.name)] = rate_units(asset.haircut)
    return haircuts


def build_markets(presets: Sequence[VenuePreset]) -> Markets:
    """Markets of these venues: per venue its spot markets, then its derivatives, in the order of the files.

    A market is called `venue/instrument`; venue ids are positions in `presets`, asset ids those of `asset_names`. Of an
    inverse contract `inverse` replaces `tick_value` and `lot_units`, which are 0.
    Raises `SettingsError` listing everything that is wrong.
    """
    problems = [f"{preset.name}: {line}" for preset in presets for line in market_problems(preset)]
    names = [preset.name for preset in presets]
    problems += [f"{name}: two venues have this name" for name in sorted({n for n in names if names.count(n) > 1})]
    units = dict(zip(asset_names(presets), asset_units(presets), strict=True))
    if problems:
        raise SettingsError(problems)
    listed: list[tuple[int, Instrument]] = [
        (v, m) for v, preset in enumerate(presets) for m in (*preset.spot, *preset.perpetual)
    ]
    assets = list(units)

    def column(values: Iterator[int], dtype: type[np.signedinteger[Any]] = np.int64) -> Any:
        return np.fromiter(values, dtype, len(listed))

    floor, rate, amount, leverage = _tiers([market for _, market in listed], units)
    return Markets(
        names=[f"{presets[v].name}/{m.name}" for v, m in listed],
        venue=column((v for v, _ in listed), np.int32),
        kind=column((PERPETUAL if isinstance(m, PerpetualRules) else SPOT for _, m in listed), np.int32),
        slot=column((_slot(presets[v], m) for v, m in listed), np.int32),
        settle=column((assets.index(m.settle) for _, m in listed), np.int32),
        base=column((assets.index(m.base) for _, m in listed), np.int32),
        tick_value=column(_linear(m, Decimal(m.tick) * Decimal(m.lot) / units[m.settle]) for _, m in listed),
        lot_units=column(_linear(m, Decimal(m.lot) / units[m.base]) for _, m in listed),
        taker_fee=column(rate_units(m.taker_fee) for _, m in listed),
        maker_fee=column(rate_units(m.maker_fee) for _, m in listed),
        band=column(rate_units(m.price_band) for _, m in listed),
        price_filter=column(rate_units(m.price_filter) for _, m in listed),
        tick_dollars=np.array([float(m.tick) for _, m in listed]),
        lot_coins=np.array([float(m.lot) for _, m in listed]),
        tier_floor=floor,
        tier_maintenance=rate,
        tier_amount=amount,
        tier_leverage=leverage,
        inverse=column(_inverse(m, units) for _, m in listed),
        expiry_ms=column(_expiry_ms(m) for _, m in listed),
    )


def _slot(preset: VenuePreset, market: Instrument) -> int:
    return next((n for n, one in enumerate(preset.perpetual) if one is market), -1)


def _contract(market: Instrument) -> Decimal | None:
    """Dollars of an inverse contract; None for what is linear."""
    if isinstance(market, PerpetualRules) and market.inverse_contract is not None:
        return Decimal(market.inverse_contract)
    return None


def _linear(market: Instrument, value: Decimal) -> int:
    return int(value) if _contract(market) is None else 0


def _inverse(market: Instrument, units: dict[str, Decimal]) -> int:
    """Settlement units times ticks a contract; 0 = linear."""
    contract = _contract(market)
    return 0 if contract is None else int(contract / Decimal(market.tick) / units[market.settle])


def _expiry_ms(market: Instrument) -> int:
    """Milliseconds since 1970 UTC; 0 = never."""
    if not isinstance(market, PerpetualRules) or market.expiry is None:
        return 0
    return (market.expiry - _EPOCH) // timedelta(milliseconds=1)


def _tiers(markets: Sequence[Instrument], units: dict[str, Decimal]) -> tuple[I64, I64, I64, I64]:
    """Floor, maintenance rate, amount and leverage of every bracket, each int64 (M, T), as in `Markets`."""
    width = max([1, *(len(m.tiers) for m in markets if isinstance(m, PerpetualRules))])
    floor = np.full((len(markets), width), INT64_MAX, np.int64)
    rate, amount, leverage = (np.zeros((len(markets), width), np.int64) for _ in range(3))
    floor[:, 0] = 0
    leverage[:, 0] = 1
    for i, market in enumerate(markets):
        if isinstance(market, PerpetualRules):
            unit = units[market.settle]
            for n, tier in enumerate(market.tiers):
                floor[i, n], amount[i, n] = int(Decimal(tier.from_notional) / unit), int(Decimal(tier.amount) / unit)
                rate[i, n], leverage[i, n] = rate_units(tier.maintenance), tier.leverage
    return floor, rate, amount, leverage
