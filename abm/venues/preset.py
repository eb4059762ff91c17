"""A venue as data: a TOML file that chooses every rule by name and says where each number comes from.

Prices, sizes and rates are decimal strings, so that what the file says is what the venue uses. The file's `[sources]`
table maps a dotted path, or the beginning of one, to `[status, text]`; every number must be covered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from abm.parameters import Parameters, quantity
from abm.settings import SettingsError, nearest, read_toml, validate
from abm.state import PERPETUAL, SELF_TRADE_MODES, SPOT, Markets

INT64_MAX = int(np.iinfo(np.int64).max)
FOLDER = files("abm.venues") / "presets"


def _decimal(text: str) -> str:
    try:
        finite = Decimal(text).is_finite()
    except InvalidOperation:
        finite = False
    if not finite:
        raise ValueError('should be a decimal number in quotes, such as "0.001"')
    return text


DecimalText = Annotated[str, AfterValidator(_decimal)]
"""An exact decimal number, written in quotes."""

_HERE = "each preset states its own"


class Asset(Parameters):
    """An asset and its smallest unit."""

    name: str
    unit: DecimalText = quantity(..., unit="coins", source=_HERE, text="smallest amount that is booked")


class Instrument(Parameters):
    """What spot and perpetual markets share."""

    name: str
    base: str = Field(description="asset that is traded or followed")
    settle: str = Field(description="asset of prices, fees and profits")
    tick: DecimalText = quantity(..., unit="$", source=_HERE, text="smallest price step")
    lot: DecimalText = quantity(..., unit="coins", source=_HERE, text="smallest size step")
    taker_fee: DecimalText = quantity(..., unit="rate", source=_HERE)
    maker_fee: DecimalText = quantity(..., unit="rate", source=_HERE, text="negative for a rebate")
    price_band: DecimalText = quantity(..., unit="rate", source=_HERE, text="how far a taker may trade from the mark")
    price_filter: DecimalText = quantity(..., unit="rate", source=_HERE, text="how far a limit may lie from the mark")
    highest_price: DecimalText = quantity(..., unit="$", source=_HERE, text="bound against overflow")


class TierRow(Parameters):
    """A margin bracket as venues print it."""

    from_usd: int = quantity(..., unit="$", ge=0, source=_HERE, text="lowest notional value")
    leverage: int = quantity(..., unit="-", ge=1, source=_HERE, text="highest leverage")
    maintenance: DecimalText = quantity(..., unit="rate", source=_HERE)
    amount_usd: int = quantity(..., unit="$", ge=0, source=_HERE, text="taken off, so that maintenance is continuous")


class MarkRules(Parameters):
    """Where index and mark price come from."""

    rule: Literal["median-basis-average"] = "median-basis-average"
    index: Literal["median-bid-last-ask"] = "median-bid-last-ask"
    basis_points: int = quantity(30, unit="-", ge=1, source="Binance, from 18 Sep 2025", grade="B")
    basis_period_s: int = quantity(1, unit="s", ge=1, source="Binance, from 18 Sep 2025", grade="B")


class FundingRules(Parameters):
    """The funding rate; rates per 8 hours."""

    interval_h: int = quantity(8, unit="h", ge=1, le=24, source="Binance BTCUSDT", grade="A")
    interest: DecimalText = quantity("0.0001", unit="rate/8h", source="Binance", grade="B")
    clamp: DecimalText = quantity("0.0005", unit="rate/8h", source="Binance", grade="B")
    cap: DecimalText = quantity("0.003", unit="rate/8h", source="range of BTCUSDT prints 2020-2026", grade="A")
    impact_usd: int = quantity(30_000, unit="$", gt=0, source="200 $ / initial margin at highest leverage", grade="M")
    sample_period_s: int = quantity(5, unit="s", ge=1, source="Binance documentation, from memory", grade="M")
    weights: Literal["linear", "equal"] = Field(default="linear", description="weights of an interval's samples")


class LiquidationRules(Parameters):
    """What happens to an account below maintenance."""

    order_limit: Literal["bankruptcy", "band", "none"] = Field(default="bankruptcy", description="worst price")
    sizing: Literal["bring-back", "whole"] = Field(default="bring-back", description="back to maintenance, or all")
    fee: DecimalText = quantity("0.0125", unit="rate", source="Binance BTCUSDT liquidationFee", grade="B")
    pays_taker_fee: bool = Field(default=False, description="whether forced orders also pay the taker fee")


class BackstopRules(Parameters):
    """The insurance fund."""

    size_usd: int = quantity(..., unit="$", ge=0, source=_HERE, text="capital at the opening")
    floor_usd: int = quantity(
        0, unit="$", source="no public threshold", text="marked equity that sets off deleveraging"
    )
    unload_share: DecimalText = quantity(
        "0.0005",
        unit="1/s",
        source="no public rule: half of it in 23 minutes",
        text="share of the inventory unloaded a second",
    )
    unload_slip: DecimalText = quantity(
        "0.0005", unit="rate", source="no public rule", text="how far from the best price the fund trades"
    )


class PerpetualRules(Instrument):
    """A perpetual: an instrument with margin, mark and funding."""

    tiers: tuple[TierRow, ...]
    mark: MarkRules = MarkRules()
    funding: FundingRules = FundingRules()


class VenuePreset(Parameters):
    """A venue: assets, markets and rules."""

    name: str
    title: str
    in_force: str = Field(description="when these rules applied")
    self_trade: Literal["none", "cancel-taker", "cancel-maker", "cancel-both", "decrement"] = "cancel-maker"
    assets: tuple[Asset, ...]
    spot: tuple[Instrument, ...] = ()
    perpetual: tuple[PerpetualRules, ...] = ()
    liquidation: LiquidationRules = LiquidationRules()
    backstop: BackstopRules
    deleverage: Literal["binance-queue"] = "binance-queue"
    sources: dict[str, tuple[Literal["verified", "partial", "default"], str]]

    @model_validator(mode="after")
    def _every_number_has_a_source(self) -> Self:
        bare = [path for path in self.numbers() if self.source_of(path) is None]
        if bare:
            raise ValueError("no entry in [sources] for " + ", ".join(bare))
        return self

    def numbers(self) -> Iterator[str]:
        """Dotted paths of all numbers in the preset; list items are called by name, tiers together."""
        leaves = _leaves(self.model_dump(exclude={"sources"}))
        numeric = [path for path, value in leaves if isinstance(value, int | float) or _is_number(str(value))]
        yield from dict.fromkeys(numeric)

    def source_of(self, path: str) -> tuple[str, str] | None:
        """(status, text) of the longest entry of [sources] that is `path` or a beginning of it."""
        parts = path.split(".")
        for n in range(len(parts), 0, -1):
            found = self.sources.get(".".join(parts[:n]))
            if found:
                return found
        return None

    @property
    def self_trade_mode(self) -> int:
        """Code of the self-trade mode, as in `state`."""
        return SELF_TRADE_MODES[self.self_trade]


def _is_number(text: str) -> bool:
    try:
        return Decimal(text).is_finite()
    except InvalidOperation:
        return False


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list | tuple):
        for inner in value:
            name = inner.get("name") if isinstance(inner, dict) else None
            yield from _leaves(inner, f"{path}.{name}" if name else path)
    else:
        yield path, value


# --- loading ----------------------------------------------------------------------------------------------------------
def preset_names() -> list[str]:
    """Names of the presets that come with the package."""
    return sorted(item.name.removesuffix(".toml") for item in FOLDER.iterdir() if item.name.endswith(".toml"))


def load_preset(name: str | Path) -> VenuePreset:
    """A preset by name, or from a file when `name` ends in `.toml`.

    Raises `SettingsError` with all problems: schema, missing sources, and the checks of `build_markets`.
    """
    if str(name).endswith(".toml"):
        path = Path(name)
    else:
        if name not in preset_names():
            raise SettingsError([f'no venue preset "{name}"{nearest(str(name), preset_names())}'])
        path = Path(str(FOLDER / f"{name}.toml"))
    preset = validate(VenuePreset, read_toml(path), path.name)
    problems = market_problems(preset)
    if problems:
        raise SettingsError(problems, path.name)
    return preset


def market_problems(preset: VenuePreset) -> list[str]:
    """What is economically or numerically wrong with a preset's markets, one line each; empty if nothing."""
    from abm.units import MAX_LOTS, rate_units

    units = {asset.name: Decimal(asset.unit) for asset in preset.assets}
    problems: list[str] = []
    names = [market.name for market in (*preset.spot, *preset.perpetual)]
    problems += [f"{name}: two markets have this name" for name in sorted({n for n in names if names.count(n) > 1})]
    for market in (*preset.spot, *preset.perpetual):
        where = market.name
        missing = [asset for asset in (market.base, market.settle) if asset not in units]
        if missing:
            problems.append(f"{where}: unknown asset {', '.join(missing)}")
            continue
        for field in ("tick", "lot", "highest_price"):
            if Decimal(getattr(market, field)) <= 0:
                problems.append(f"{where}.{field}: must be positive")
        for field in ("taker_fee", "maker_fee", "price_band", "price_filter"):
            try:
                rate_units(getattr(market, field))
            except ValueError as error:
                problems.append(f"{where}.{field}: {error}")
        if Decimal(market.tick) <= 0 or Decimal(market.lot) <= 0:
            continue
        tick_value = Decimal(market.tick) * Decimal(market.lot) / units[market.settle]
        if tick_value != int(tick_value):
            problems.append(f"{where}: tick * lot is {tick_value} units of {market.settle}, which is no whole number")
        lot_units = Decimal(market.lot) / units[market.base]
        if lot_units != int(lot_units):
            problems.append(f"{where}.lot: {lot_units} units of {market.base}, which is no whole number")
        largest = Decimal(market.highest_price) / Decimal(market.tick) * MAX_LOTS * tick_value
        if largest > INT64_MAX:
            problems.append(f"{where}: {MAX_LOTS} lots at the highest price are worth {largest:.2E} units, over int64")
        if isinstance(market, PerpetualRules):
            problems += _tier_problems(market, units[market.settle])
    return problems


def _tier_problems(market: PerpetualRules, unit: Decimal) -> list[str]:
    """Brackets must start at 0, ascend, be continuous, and not liquidate anybody at the opening."""
    from abm.clearing.formulas import maintenance_amounts
    from abm.units import RATE_ONE, rate_units

    if not market.tiers:
        return [f"{market.name}.tiers: at least one is needed"]
    problems = []
    try:
        rates = [rate_units(tier.maintenance) for tier in market.tiers]
    except ValueError as error:
        return [f"{market.name}.tiers: {error}"]
    if market.tiers[0].from_usd != 0:
        problems.append(f"{market.name}.tiers: the first must start at 0, not {market.tiers[0].from_usd}")
    for n, (tier, rate) in enumerate(zip(market.tiers, rates, strict=True)):
        where = f"{market.name}.tiers.{n + 1}"
        if not 0 < rate < RATE_ONE:
            problems.append(f"{where}: maintenance {tier.maintenance} must lie between 0 and 1")
        if rate * tier.leverage > RATE_ONE:
            problems.append(
                f"{where}: {tier.leverage}x needs 1/{tier.leverage} of initial margin, less than maintenance "
                f"{tier.maintenance}: liquidated at the opening"
            )
        if n and (tier.from_usd <= market.tiers[n - 1].from_usd or rate < rates[n - 1]):
            problems.append(f"{where}: bounds and rates must ascend")
        if n and tier.leverage > market.tiers[n - 1].leverage:
            problems.append(f"{where}: leverage must not rise with size")
    floors = [int(tier.from_usd / unit) for tier in market.tiers]
    try:
        amounts = maintenance_amounts(floors, rates)
    except ValueError as error:
        return [*problems, f"{market.name}.tiers: {error}"]
    for n, (tier, amount) in enumerate(zip(market.tiers, amounts, strict=True)):
        if amount != int(tier.amount_usd / unit):
            problems.append(
                f"{market.name}.tiers.{n + 1}.amount_usd: {tier.amount_usd} makes maintenance jump; "
                f"continuous with {amount * unit:f}"
            )
    return problems


# --- markets ----------------------------------------------------------------------------------------------------------
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


def build_markets(presets: Sequence[VenuePreset]) -> Markets:
    """Markets of these venues: per venue its spot markets, then its perpetuals, in the order of the files.

    A market is called `venue/instrument`; venue ids are positions in `presets`, asset ids those of `asset_names`.
    Raises `SettingsError` listing everything that is wrong.
    """
    from abm.units import rate_units

    problems = [f"{preset.name}: {line}" for preset in presets for line in market_problems(preset)]
    names = [preset.name for preset in presets]
    problems += [f"{name}: two venues have this name" for name in sorted({n for n in names if names.count(n) > 1})]
    units = dict(zip(asset_names(presets), asset_units(presets), strict=True))
    if problems:
        raise SettingsError(problems)
    listed = [(v, m) for v, preset in enumerate(presets) for m in (*preset.spot, *preset.perpetual)]
    assets = list(units)

    def column(values: Iterator[int], dtype: type[np.signedinteger[Any]]) -> Any:
        return np.fromiter(values, dtype, len(listed))

    width = max([1, *(len(m.tiers) for _, m in listed if isinstance(m, PerpetualRules))])
    floor = np.full((len(listed), width), INT64_MAX, np.int64)
    rate, amount, leverage = (np.zeros((len(listed), width), np.int64) for _ in range(3))
    slot = np.full(len(listed), -1, np.int32)
    floor[:, 0] = 0
    leverage[:, 0] = 1
    for i, (v, market) in enumerate(listed):
        if not isinstance(market, PerpetualRules):
            continue
        slot[i] = presets[v].perpetual.index(market)
        for n, tier in enumerate(market.tiers):
            unit = units[market.settle]
            floor[i, n], amount[i, n] = int(tier.from_usd / unit), int(tier.amount_usd / unit)
            rate[i, n], leverage[i, n] = rate_units(tier.maintenance), tier.leverage
    return Markets(
        names=[f"{presets[v].name}/{m.name}" for v, m in listed],
        venue=column((v for v, _ in listed), np.int32),
        kind=column((PERPETUAL if isinstance(m, PerpetualRules) else SPOT for _, m in listed), np.int32),
        slot=slot,
        settle=column((assets.index(m.settle) for _, m in listed), np.int32),
        base=column((assets.index(m.base) for _, m in listed), np.int32),
        tick_value=column((int(Decimal(m.tick) * Decimal(m.lot) / units[m.settle]) for _, m in listed), np.int64),
        lot_units=column((int(Decimal(m.lot) / units[m.base]) for _, m in listed), np.int64),
        taker_fee=column((rate_units(m.taker_fee) for _, m in listed), np.int64),
        maker_fee=column((rate_units(m.maker_fee) for _, m in listed), np.int64),
        band=column((rate_units(m.price_band) for _, m in listed), np.int64),
        price_filter=column((rate_units(m.price_filter) for _, m in listed), np.int64),
        tick_dollars=np.array([float(m.tick) for _, m in listed]),
        lot_coins=np.array([float(m.lot) for _, m in listed]),
        tier_floor=floor,
        tier_maintenance=rate,
        tier_amount=amount,
        tier_leverage=leverage,
    )
