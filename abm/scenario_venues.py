"""Several venues in one world: what another venue is, what may happen to one, and its traders as scaled copies.

The lead venue is the scenario's own `venue`. Another one has traders of the same kinds with the same parameters, where
everything that is an amount is multiplied by `share`; what its own tables state is taken as it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from abm.parameters import Parameters, quantity
from abm.rng import bits, stream
from abm.settings import SettingsError, Table, merge, nearest, read_toml, validate
from abm.traders.arbitrageurs import ArbitrageursParameters
from abm.traders.hedgers import HedgersParameters
from abm.traders.makers import MakersParameters
from abm.traders.noise import NoiseParameters
from abm.traders.pool import PoolParameters
from abm.traders.retail_parameters import RetailParameters
from abm.traders.treasury import TreasuryParameters
from abm.traders.value_buyers import ValueBuyersParameters
from abm.venues.preset import FOLDER, VenuePreset, preset_names

DEFAULT_VENUE = "binance-2025-10"
LEAST_ACCOUNTS = 50
AMOUNTS: dict[str, tuple[str, ...]] = {
    "retail": ("open_interest_coins", "entrant_short_coins", "entrant_long_coins", "news_coins"),
    "noise": ("rate_coins", "orders_s", "inventory_coins"),
    "makers": ("depth_coins", "inventory_coins"),
    "arbitrageurs": ("capital_coins", "rate_coins", "reversion_coins", "outside_coins"),
    "value_buyers": ("coins",),
    "value_sellers": ("coins",),
    "hedgers": (),
    "pool": ("capital_usd", "quote_usd"),
}
"""Parameters that are multiplied by a venue's share, by kind of trader."""


class Incident(Parameters):
    """Something that happens to one venue."""

    venue: str = Field(description="name of the venue, as in its preset")
    kind: Literal["outage", "latency"] = Field(
        description="outage: nothing reaches the venue and its engine stands still; latency: messages arrive later"
    )
    at: time | datetime = Field(description="when it starts: UTC time of day, or date and time")
    over_s: float = quantity(..., unit="s", gt=0, source="see the scenario", text="how long it lasts")
    delay_ticks: int = quantity(
        1, unit="ticks", ge=1, le=600, source="see the scenario", text="latency: how much later messages arrive"
    )
    source: str = Field("", description="where time and kind come from")


class Differing(Parameters):
    """Tables of the traders of another market; each holds only what differs from those of the lead venue."""

    retail: dict[str, Any] = Field({}, description="retail parameters that differ here")
    noise: dict[str, Any] = Field({}, description="noise parameters that differ here")
    makers: dict[str, Any] = Field({}, description="makers' parameters that differ here")
    arbitrageurs: dict[str, Any] = Field({}, description="arbitrageurs' parameters that differ here")
    value_buyers: dict[str, Any] = Field({}, description="value buyers' parameters that differ here")
    value_sellers: dict[str, Any] = Field({}, description="value sellers' parameters that differ here")
    hedgers: dict[str, Any] = Field({}, description="hedgers' parameters that differ here")


class OtherVenue(Differing):
    """A venue beside the lead venue. The tables of traders hold only what differs."""

    name: str = Field(description="by which `--set others.NAME.…` finds it; also its preset unless `venue.preset` says")
    share: float = quantity(
        ..., unit="of the lead venue", gt=0, le=100, source="see the scenario", text="size of everything here"
    )
    last_funding_bp: float | None = quantity(
        None, unit="bp per 8 h", ge=-30, le=30, source="as at the lead venue", text="last funding rate before the start"
    )
    venue: VenuePreset
    pool: dict[str, Any] = Field({}, description="the pool's parameters that differ here")


@dataclass(frozen=True, slots=True)
class VenueSetup:
    """One venue with everybody who trades there; `seed` keys the draws made there."""

    preset: VenuePreset
    seed: int
    last_funding_bp: float
    retail: RetailParameters
    noise: NoiseParameters
    makers: MakersParameters
    arbitrageurs: ArbitrageursParameters
    value_buyers: ValueBuyersParameters
    value_sellers: ValueBuyersParameters
    hedgers: HedgersParameters
    pool: PoolParameters
    treasuries: tuple[TreasuryParameters, ...] = ()


def venue_seed(seed: int, name: str) -> int:
    """Seed of another venue's draws: nobody's luck depends on which other venues there are."""
    return bits(seed, stream(f"venue {name}"), 0, 0, 0)


def setup_beside(lead: VenueSetup, other: OtherVenue) -> VenueSetup:
    """Another venue: the lead venue's traders scaled by its share, under its own tables.

    Raises `SettingsError` with every mistake in those tables, as `others.NAME.retail.…`.
    """
    lines: list[str] = []
    traders: dict[str, Any] = {}
    for kind, names in AMOUNTS.items():
        own: dict[str, Any] = getattr(other, kind)
        like: Parameters = getattr(lead, kind)
        table = like.model_dump(mode="json")
        table |= {name: table[name] * other.share for name in names}
        if kind == "retail":
            table["accounts"] = max(LEAST_ACCOUNTS, round(table["accounts"] * other.share))
        try:
            traders[kind] = validate(type(like), merge(table, own), kind)
        except SettingsError as error:
            lines += [f"others.{other.name}.{kind}.{line}" for line in error.lines]
    if lines:
        raise SettingsError(lines, f"others.{other.name}")
    funding = lead.last_funding_bp if other.last_funding_bp is None else other.last_funding_bp
    return VenueSetup(other.venue, venue_seed(lead.seed, other.venue.name), funding, **traders)


# --- tables as they are read ------------------------------------------------------------------------------------------
def with_venues(table: Table) -> tuple[Table, list[str]]:
    """Fill in the presets of the lead venue and of all others."""
    table, lines = _with_preset(named(table), DEFAULT_VENUE, "")
    others = table.get("others")
    if isinstance(others, list):
        filled = []
        for item in others:
            known = isinstance(item, Mapping)
            name = str(item.get("name")) if known else ""
            inner, bad = _with_preset(dict(item), name, f"others.{name}.") if known else (item, [])
            filled += [] if bad else [inner]
            lines += bad
        table = {**table, "others": filled}
    return table, lines


def named(table: Table) -> Table:
    """Other venues without a name are called by their preset."""
    others = table.get("others")
    if not isinstance(others, list):
        return table
    named = []
    for item in others:
        venue = item.get("venue") if isinstance(item, Mapping) and "name" not in item else None
        named.append({"name": venue["preset"], **item} if isinstance(venue, Mapping) and "preset" in venue else item)
    return {**table, "others": named}


def _with_preset(table: Table, default: str, where: str) -> tuple[Table, list[str]]:
    """Replace `venue.preset` by the preset's tables under the table's own venue settings; a whole venue stays."""
    venue = table.get("venue", {})
    if not isinstance(venue, Mapping) or ("preset" not in venue and "sources" in venue):
        return table, []
    own = dict(venue)
    name = str(own.pop("preset", default))
    lines = []
    if name not in preset_names():
        lines.append(f'{where}venue.preset: "{name}": no such venue preset{nearest(name, preset_names())}')
        name = DEFAULT_VENUE
    base = read_toml(Path(str(FOLDER / f"{name}.toml")))
    return {**table, "venue": merge(base, own)}, lines
