"""What is economically or numerically wrong with a venue preset that is otherwise well formed: one line a mistake."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from abm.clearing.formulas import maintenance_amounts
from abm.settings import nearest
from abm.units import INT64_MAX, MAX_LOTS, RATE_ONE, rate_units
from abm.venues.rules import Instrument, PerpetualRules

if TYPE_CHECKING:
    from abm.venues.preset import VenuePreset

LOWEST_PRICE_SHARE = 100_000
"""An inverse contract is worth more coins the lower the price: it must fit down to highest_price / this."""


def market_problems(preset: VenuePreset) -> list[str]:
    """Every mistake in a preset, one line each; empty if there is none."""
    checks = (_sources, _assets, _names, _instruments, _liquidation, _losses, _hours)
    return [line for check in checks for line in check(preset)]


def _sources(preset: VenuePreset) -> Iterator[str]:
    bare = [path for path in preset.numbers() if preset.source_of(path) is None]
    if bare:
        yield f"no entry in [sources] for {', '.join(bare)}"
    paths = list(dict.fromkeys(path for path, _ in preset.leaves()))
    groups = {path.rpartition(".")[0] for path in paths}
    for key, (_, text) in preset.sources.items():
        # a market that is not there is no mistake here: its name was, or its schema, and that has been said
        known = not key.startswith(("spot.", "perpetual.", "assets.")) or ".".join(key.split(".")[:2]) in groups
        if known and not any(path == key or path.startswith(f"{key}.") for path in paths):
            yield f'sources: "{key}" is no field of this preset{nearest(key, paths)}'
        if not text.strip():
            yield f'sources: "{key}" has no text'


def _assets(preset: VenuePreset) -> Iterator[str]:
    settled = {market.settle for market in (*preset.spot, *preset.perpetual)}
    at_spot = {market.base for market in preset.spot}
    names = [asset.name for asset in preset.assets]
    yield from (f"assets.{name}: listed twice" for name in sorted({n for n in names if names.count(n) > 1}))
    for asset in preset.assets:
        if Decimal(asset.unit) <= 0:
            yield f"assets.{asset.name}.unit: must be positive"
        if asset.haircut is not None:
            yield from _rate(f"assets.{asset.name}.haircut", asset.haircut)
            if asset.name not in at_spot and asset.name not in settled:
                yield f"assets.{asset.name}.haircut: collateral needs a spot market that gives its value"


def _names(preset: VenuePreset) -> Iterator[str]:
    names = [market.name for market in (*preset.spot, *preset.perpetual)]
    yield from (f"{name}: two markets have this name" for name in sorted({n for n in names if names.count(n) > 1}))
    yield from (f"{name}: a name with a dot cannot be reached by --set" for name in names if "." in name)


def _rate(where: str, text: str, least: int = 0, most: int = 1) -> Iterator[str]:
    """A rate in [least, most] that 1e-8 can express."""
    try:
        rate_units(text)
    except ValueError as error:
        yield f"{where}: {error}"
    else:
        if not least <= Decimal(text) <= most:
            yield f"{where}: {text} must lie between {least} and {most}"


# --- instruments ------------------------------------------------------------------------------------------------------
def _instruments(preset: VenuePreset) -> Iterator[str]:
    units = {asset.name: Decimal(asset.unit) for asset in preset.assets}
    for market in (*preset.spot, *preset.perpetual):
        where = market.name
        positive = True
        for field in ("tick", "lot", "highest_price"):
            if Decimal(getattr(market, field)) <= 0:
                yield f"{where}.{field}: must be positive"
                positive = False
        for field, least in (("taker_fee", -1), ("maker_fee", -1), ("price_band", 0), ("price_filter", 0)):
            yield from _rate(f"{where}.{field}", getattr(market, field), least)
        if isinstance(market, PerpetualRules):
            yield from _derivative(market)
        missing = [asset for asset in (market.base, market.settle) if asset not in units]
        if missing:
            yield f"{where}: unknown asset {', '.join(missing)}"
        elif positive and min(units[market.base], units[market.settle]) > 0:
            inverse = isinstance(market, PerpetualRules) and market.inverse_contract is not None
            yield from _inverse_units(market, units) if inverse else _linear_units(market, units)
            if isinstance(market, PerpetualRules):
                yield from _tiers(market, units[market.settle])


def _whole(where: str, what: str, value: Decimal) -> Iterator[str]:
    if value != int(value):
        yield f"{where}: {what} is {value}, which is no whole number"


def _linear_units(market: Instrument, units: dict[str, Decimal]) -> Iterator[str]:
    """A tick of a lot and a lot itself must be whole units, and the largest position fit 64 bits."""
    where = market.name
    tick_value = Decimal(market.tick) * Decimal(market.lot) / units[market.settle]
    yield from _whole(where, f"tick * lot in units of {market.settle}", tick_value)
    yield from _whole(f"{where}.lot", f"in units of {market.base} it", Decimal(market.lot) / units[market.base])
    largest = Decimal(market.highest_price) / Decimal(market.tick) * MAX_LOTS * tick_value
    if largest > INT64_MAX:
        yield f"{where}: {MAX_LOTS} lots at the highest price are worth {largest:.2E} units, over int64"


def _inverse_units(market: Instrument, units: dict[str, Decimal]) -> Iterator[str]:
    """A contract's coins times the price in ticks must be whole units, and the largest position fit 64 bits."""
    where = market.name
    assert isinstance(market, PerpetualRules) and market.inverse_contract is not None
    contract = Decimal(market.inverse_contract)
    if contract <= 0:
        yield f"{where}.inverse_contract: must be positive"
        return
    if market.settle != market.base:
        yield f"{where}.settle: an inverse contract is settled in its base, {market.base}, not {market.settle}"
    if Decimal(market.lot) != 1:
        yield f'{where}.lot: of an inverse contract is "1" contract, not {market.lot}'
    inverse = contract / Decimal(market.tick) / units[market.settle]
    yield from _whole(where, f"inverse_contract / tick in units of {market.settle}", inverse)
    lowest = max(Decimal(1), Decimal(market.highest_price) / Decimal(market.tick) / LOWEST_PRICE_SHARE)
    largest = inverse / lowest * MAX_LOTS
    if largest > INT64_MAX:
        price = lowest * Decimal(market.tick)
        yield f"{where}: {MAX_LOTS} contracts at a price of {price:f} are worth {largest:.2E} units, over int64"


def _derivative(market: PerpetualRules) -> Iterator[str]:
    where, funding, mark = market.name, market.funding, market.mark
    if market.expiry is None and funding is None:
        yield f"{where}.funding: missing: only a dated future has none"
    if market.expiry is not None:
        if funding is not None:
            yield f"{where}.funding: a dated future has none"
        if market.expiry.tzinfo is None:
            yield f"{where}.expiry: {market.expiry.isoformat()}: has no time zone; write 2025-12-26T08:00:00Z"
    if funding is not None:
        for field in ("interest", "clamp", "cap"):
            yield from _rate(f"{where}.funding.{field}", getattr(funding, field), -1 if field == "interest" else 0)
        if 24 % funding.interval_h:
            yield f"{where}.funding.interval_h: {funding.interval_h} does not divide a day"
    if (mark.index == "basket") != bool(mark.basket):
        yield f'{where}.mark.basket: needed with index = "basket", and only there'
    venues = [venue for venue, _ in mark.basket]
    yield from (f"{where}.mark.basket: {v} is listed twice" for v in sorted({v for v in venues if venues.count(v) > 1}))
    yield from (f"{where}.mark.basket: weight of {v} must be positive, not {w}" for v, w in mark.basket if w < 1)


def _tiers(market: PerpetualRules, unit: Decimal) -> Iterator[str]:
    """Brackets must start at 0, ascend, be continuous, and not liquidate anybody at the opening."""
    tiers = market.tiers
    if not tiers:
        yield f"{market.name}.tiers: at least one is needed"
        return
    try:
        rates = [rate_units(tier.maintenance) for tier in tiers]
    except ValueError as error:
        yield f"{market.name}.tiers: {error}"
        return
    starts = [Decimal(tier.from_notional) for tier in tiers]
    if starts[0] != 0:
        yield f"{market.name}.tiers: the first must start at 0, not {tiers[0].from_notional}"
    for n, (tier, rate) in enumerate(zip(tiers, rates, strict=True)):
        where = f"{market.name}.tiers.{n + 1}"
        if not 0 < rate < RATE_ONE:
            yield f"{where}: maintenance {tier.maintenance} must lie between 0 and 1"
        if rate * tier.leverage > RATE_ONE:
            yield (
                f"{where}: {tier.leverage}x needs 1/{tier.leverage} of initial margin, less than maintenance "
                f"{tier.maintenance}: liquidated at the opening"
            )
        if n and (starts[n] <= starts[n - 1] or rate < rates[n - 1]):
            yield f"{where}: bounds and rates must ascend"
        if n and tier.leverage > tiers[n - 1].leverage:
            yield f"{where}: leverage must not rise with size"
    yield from _continuity(market, unit, starts, rates)


def _continuity(
    market: PerpetualRules, unit: Decimal, starts: Sequence[Decimal], rates: Sequence[int]
) -> Iterator[str]:
    floors = [start / unit for start in starts]
    for n, floor in enumerate(floors):
        yield from _whole(f"{market.name}.tiers.{n + 1}.from_notional", f"in units of {market.settle} it", floor)
        if floor > INT64_MAX:
            yield f"{market.name}.tiers.{n + 1}.from_notional: {floor:.2E} units, over int64"
    try:
        amounts = maintenance_amounts([int(floor) for floor in floors], rates)
    except ValueError as error:
        yield f"{market.name}.tiers: {error}"
        return
    for n, (tier, amount) in enumerate(zip(market.tiers, amounts, strict=True)):
        if amount != Decimal(tier.amount) / unit:
            exact = f"{(amount * unit).normalize():f}"
            yield f"{market.name}.tiers.{n + 1}.amount: {tier.amount} makes maintenance jump; continuous with {exact}"


# --- losses and hours -------------------------------------------------------------------------------------------------
def _liquidation(preset: VenuePreset) -> Iterator[str]:
    rules = preset.liquidation
    for field in ("step_share", "takeover_partial", "takeover_whole", "fee", "margin_share"):
        yield from _rate(f"liquidation.{field}", getattr(rules, field))
    if Decimal(rules.step_share) <= 0:
        yield f"liquidation.step_share: {rules.step_share} closes nothing"
    if rules.sizing != "share" and (Decimal(rules.step_share) != 1 or rules.step_above_usd):
        yield 'liquidation.step_share, step_above_usd: only with sizing = "share"'
    if rules.sizing != "lower-tier" and (rules.tiers_down, rules.whole_up_to_tier) != (1, 1):
        yield 'liquidation.tiers_down, whole_up_to_tier: only with sizing = "lower-tier"'
    if Decimal(rules.margin_share) >= 1:
        yield f"liquidation.margin_share: {rules.margin_share}: everybody would be liquidated at the opening"


def _losses(preset: VenuePreset) -> Iterator[str]:
    backstop, deleverage = preset.backstop, preset.deleverage
    for field in ("drawdown", "unload_share", "unload_slip"):
        yield from _rate(f"backstop.{field}", getattr(backstop, field))
    if backstop.trigger == "drawdown" and Decimal(backstop.drawdown) <= 0:
        yield "backstop.drawdown: must be positive: any loss would deleverage"
    if backstop.floor_usd > backstop.size_usd:
        yield f"backstop.floor_usd: {backstop.floor_usd} lies above size_usd = {backstop.size_usd}"
    yield from _rate("deleverage.mark_beyond", deleverage.mark_beyond)
    if Decimal(deleverage.mark_beyond) > 0 and deleverage.price != "bankruptcy":
        yield 'deleverage.mark_beyond: only with price = "bankruptcy"'


def _hours(preset: VenuePreset) -> Iterator[str]:
    if preset.hours is not None:
        yield from _rate("hours.breaker_move", preset.hours.breaker_move)
        if Decimal(preset.hours.breaker_move) <= 0:
            yield "hours.breaker_move: must be positive: the market would never open"
