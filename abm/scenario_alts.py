"""Altcoins and other collateral at the lead venue, as a scenario's tables `alts` and `collateral` give them.

An altcoin has a spot market and a perpetual at the lead venue, in the same accounts as BTC and behind the same
insurance fund, and traders of the same kinds with the same parameters. What is an amount is scaled: coins by
`share` * (BTC price / its price), so that depth, open interest and capital in dollars are `share` of those of BTC; what
people are used to (panic, stops, discounts worth buying) by `volatility_ratio`. Tables of traders hold only what
differs.

Collateral is an asset that some retail accounts of the BTC perpetual hold in place of cash. If it is no coin of this
world it has a spot market of its own there, around a value that a `depeg` may change: at this venue only.
"""

from __future__ import annotations

from datetime import datetime, time
from typing import TYPE_CHECKING, Any

from pydantic import Field

from abm.parameters import Parameters, quantity
from abm.scenario_venues import AMOUNTS, LEAST_ACCOUNTS, Differing, VenueSetup, venue_seed
from abm.settings import SettingsError, validate
from abm.traders.peg_market import PegMarketParameters
from abm.venues.preset import VenuePreset
from abm.world_parameters import News

if TYPE_CHECKING:
    from collections.abc import Sequence

    from abm.scenario import Scenario

TRADERS = ("retail", "noise", "makers", "arbitrageurs", "value_buyers", "value_sellers", "hedgers")
COUNTED = ("orders_s",)
"""Amounts that are no coins: scaled by the share alone."""
HABITS: dict[str, tuple[str, ...]] = {
    "retail": ("panic_drawdown", "cover_gain", "stop_distance", "profit_distance"),
    "value_buyers": ("margin", "width"),
    "value_sellers": ("margin", "width"),
}
"""Distances that people measure by what they are used to."""


class Altcoin(Differing):
    """A coin beside BTC at the lead venue; its spot market and perpetual stand in the venue's preset."""

    name: str = Field(description="the asset, as in the preset", pattern=r"^[A-Z][A-Z0-9]*$")
    start_price_usd: float = quantity(..., unit="$", gt=0, source="see the scenario")
    share: float = quantity(
        ..., unit="of BTC", gt=0, le=20, source="see the scenario", text="size of the market in dollars beside BTC's"
    )
    accounts_share: float = quantity(
        0.5, unit="of BTC", gt=0, le=5, source="a resolution", text="retail accounts beside those of BTC"
    )
    beta: float = quantity(
        1.3,
        unit="-",
        ge=-5,
        le=5,
        source="daily and hourly returns of ETH on those of BTC in 2025, order of magnitude",
        grade="M",
        likely=(1.0, 1.8),
        text="move of what its traders believe it is worth, for a move of BTC (logs)",
    )
    price_weight: float = quantity(
        0.5,
        unit="-",
        ge=0,
        le=1,
        source="not observed",
        likely=(0.0, 1.0),
        text="1: believers look at the traded price of BTC; 0: at its fundamental value",
    )
    macro_beta: float = quantity(
        0.0, unit="-", ge=-5, le=5, source="not observed; what acts through BTC is in `beta`", text="to the stock index"
    )
    volatility_bp: float = quantity(
        3.0,
        unit="bp per sqrt(minute)",
        ge=0,
        le=500,
        source="not observed; below BTC's own, so that returns of the two correlate by 0.8 to 0.9",
        likely=(1.0, 6.0),
        text="of the part of its value that BTC does not explain",
    )
    volatility_ratio: float = quantity(
        1.4,
        unit="of BTC",
        gt=0,
        le=10,
        source="daily volatility of ETH over that of BTC in 2025, order of magnitude",
        grade="M",
        likely=(1.2, 1.7),
        text="what its people are used to: scales their distances",
    )
    news: tuple[News, ...] = ()
    shared: float = quantity(
        0.3,
        unit="of its positions",
        ge=0,
        le=1,
        source="not observed",
        likely=(0.1, 0.6),
        text="retail positions that lie in cross-margin accounts which also hold BTC, on the same side",
    )


class Depeg(Parameters):
    """A time in which an asset is worth less at this venue than elsewhere; declared, not explained."""

    at: time | datetime = Field(description="when it starts: UTC time of day, or date and time")
    to: float = quantity(..., unit="of its price", gt=0, le=10, source="see the scenario", text="value at the bottom")
    over_s: float = quantity(120.0, unit="s", gt=0, source="assumed", text="time down, and time up again")
    lasts_s: float = quantity(..., unit="s", gt=0, source="see the scenario", text="from the beginning to the recovery")
    source: str = Field("", description="where time and size come from")


class Collateral(Parameters):
    """An asset that retail accounts of the BTC perpetual hold as margin; the haircut stands in the preset."""

    name: str = Field(description="the asset, as in the preset", pattern=r"^[A-Z][A-Z0-9]*$")
    accounts: float = quantity(
        ..., unit="of positions", ge=0, le=1, source="see the scenario", text="retail positions in such cross accounts"
    )
    replaced: float = quantity(
        0.8, unit="of cash", ge=0, le=1, source="not observed", text="cash that the asset stands for, after its haircut"
    )
    start_price_usd: float = quantity(1.0, unit="$", gt=0, source="at par", text="ignored for coins of this world")
    market: PegMarketParameters = PegMarketParameters()
    depegs: tuple[Depeg, ...] = ()


# --- what is listed ---------------------------------------------------------------------------------------------------
def listed(preset: VenuePreset, coins: Sequence[str], assets: Sequence[str]) -> VenuePreset:
    """The venue with the instruments of its first coin and of `coins`, and spot markets of `assets`; no others.

    Of a coin counts the first linear perpetual without expiry in the settlement asset of the first perpetual.
    """
    if not preset.perpetual or not preset.spot:
        return preset
    lead = preset.perpetual[0]
    perpetuals = [lead]
    for coin in coins:
        fit = (m for m in preset.perpetual if (m.base, m.settle) == (coin, lead.settle) and m.expiry is None)
        perpetuals += [m for m in fit if m.inverse_contract is None][:1]
    wanted = {lead.base, *coins, *assets}
    spots = tuple(market for market in preset.spot if market.base in wanted)
    used = {name for market in (*spots, *perpetuals) for name in (market.base, market.settle)}
    held = tuple(asset for asset in preset.assets if asset.name in used)
    return preset.model_copy(update={"spot": spots, "perpetual": tuple(perpetuals), "assets": held})


def lead_preset(scenario: Scenario) -> VenuePreset:
    """The lead venue as this scenario trades there: with its altcoins and collateral, otherwise as it stands."""
    if not scenario.alts and not scenario.collateral:
        return scenario.venue
    return listed(scenario.venue, [coin.name for coin in scenario.alts], [item.name for item in scenario.collateral])


def alt_setups(scenario: Scenario, lead: VenueSetup) -> list[tuple[Altcoin, VenueSetup]]:
    """Every altcoin with its traders; their preset holds its two instruments alone.

    Raises `SettingsError` with every mistake in their tables, as `alts.NAME.…`.
    """
    lines: list[str] = []
    found = []
    for coin in scenario.alts:
        try:
            found.append(_setup(scenario, lead, coin))
        except SettingsError as error:
            lines += [f"alts.{coin.name}.{line}" for line in error.lines]
    if lines:
        raise SettingsError(lines, "alts")
    return found


def _setup(scenario: Scenario, lead: VenueSetup, coin: Altcoin) -> tuple[Altcoin, VenueSetup]:
    coins = coin.share * scenario.world.start_price_usd / coin.start_price_usd
    traders: dict[str, Any] = {"pool": lead.pool.model_copy(update={"capital_usd": 0.0})}
    lines: list[str] = []
    for kind in TRADERS:
        like: Parameters = getattr(lead, kind)
        table = like.model_dump(mode="json")
        table |= {name: table[name] * (coin.share if name in COUNTED else coins) for name in AMOUNTS[kind]}
        table |= {name: table[name] * coin.volatility_ratio for name in HABITS.get(kind, ())}
        if kind == "retail":
            table["accounts"] = max(LEAST_ACCOUNTS, round(table["accounts"] * coin.accounts_share))
            table["path_ratio"] = [ratio**coin.beta for ratio in table["path_ratio"]]
        try:
            traders[kind] = validate(type(like), table | getattr(coin, kind), kind)
        except SettingsError as error:
            lines += [f"{kind}.{line}" for line in error.lines]
    if lines:
        raise SettingsError(lines, coin.name)
    venue = lead.preset
    own = {name: tuple(m for m in getattr(venue, name) if m.base == coin.name) for name in ("spot", "perpetual")}
    seed = venue_seed(lead.seed, f"alt {coin.name}")
    return coin, VenueSetup(venue.model_copy(update=own), seed, lead.last_funding_bp, **traders)
