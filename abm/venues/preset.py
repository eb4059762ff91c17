"""A venue as data: a TOML file that chooses every rule by name and says where each number comes from.

The file's `[sources]` table maps a dotted path, or the beginning of one, to `[status, text]`; every number must be
covered. The rules are in `abm.venues.rules`, the checks in `abm.venues.checks`, the arrays in `abm.venues.build`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from abm.parameters import Parameters
from abm.settings import SettingsError, nearest, read_toml, validate, without_mistakes
from abm.state import SELF_TRADE_MODES
from abm.venues.build import asset_names, asset_units, build_markets
from abm.venues.checks import market_problems
from abm.venues.rules import (
    Asset,
    BackstopRules,
    DecimalText,
    DeleverageRules,
    FundingRules,
    HoursRules,
    Instrument,
    LiquidationRules,
    MarkRules,
    PerpetualRules,
    TierRow,
    is_decimal,
)

__all__ = [
    "FOLDER",
    "Asset",
    "BackstopRules",
    "DecimalText",
    "DeleverageRules",
    "FundingRules",
    "HoursRules",
    "Instrument",
    "LiquidationRules",
    "MarkRules",
    "PerpetualRules",
    "TierRow",
    "VenuePreset",
    "asset_names",
    "asset_units",
    "build_markets",
    "load_preset",
    "market_problems",
    "preset_names",
]

FOLDER = files("abm.venues") / "presets"
Status = Literal["verified", "partial", "default"]
"""Read in a source; read with a gap; general knowledge or a choice, to be varied."""
_UNSOURCED = ("schema_version", "sources")


class VenuePreset(Parameters):
    """A venue: assets, markets and rules."""

    schema_version: Literal[2] = Field(description="of this file's layout")
    name: str
    title: str
    in_force: str = Field(description="when these rules applied")
    self_trade: Literal["none", "cancel-taker", "cancel-maker", "cancel-both", "decrement"] = "cancel-maker"
    assets: tuple[Asset, ...]
    spot: tuple[Instrument, ...] = ()
    perpetual: tuple[PerpetualRules, ...] = ()
    liquidation: LiquidationRules = LiquidationRules()
    backstop: BackstopRules
    deleverage: DeleverageRules = DeleverageRules()
    hours: HoursRules | None = None
    sources: dict[str, tuple[Status, str]]

    def numbers(self) -> Iterator[str]:
        """Dotted paths of all numbers, dates and times in the preset; list items by name, tiers together."""
        numeric = [path for path, value in self.leaves() if _is_number(value) or path.startswith("hours.")]
        yield from dict.fromkeys(numeric)

    def leaves(self) -> Iterator[tuple[str, Any]]:
        """(dotted path, value) of everything but the sources themselves; list items are called by name."""
        yield from _leaves(self.model_dump(exclude=set(_UNSOURCED)))

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


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | datetime) or (isinstance(value, str) and is_decimal(value))


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list | tuple):
        for inner in value:
            name = inner.get("name") if isinstance(inner, dict) else None
            yield from _leaves(inner, f"{path}.{name}" if name else path)
    elif value is not None:
        yield path, value


# --- loading ----------------------------------------------------------------------------------------------------------
def preset_names() -> list[str]:
    """Names of the presets that come with the package."""
    return sorted(item.name.removesuffix(".toml") for item in FOLDER.iterdir() if item.name.endswith(".toml"))


def load_preset(name: str | Path) -> VenuePreset:
    """A preset by name, or from a file when `name` ends in `.toml`.

    Raises `SettingsError` with all problems: those of the schema, and those of `market_problems` in what is left
    without them (a market whose schema is broken is looked at no further).
    """
    if str(name).endswith(".toml"):
        path = Path(name)
    else:
        if name not in preset_names():
            raise SettingsError([f'no venue preset "{name}"{nearest(str(name), preset_names())}'])
        path = Path(str(FOLDER / f"{name}.toml"))
    table = read_toml(path)
    lines: list[str] = []
    try:
        preset = validate(VenuePreset, table, path.name)
    except SettingsError as error:
        lines = error.lines
        try:
            preset = validate(VenuePreset, without_mistakes(VenuePreset, table), path.name)
        except SettingsError:
            raise error from None
    lines += market_problems(preset)
    if lines:
        raise SettingsError(lines, path.name)
    return preset
