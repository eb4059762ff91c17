"""Economic nonsense in a scenario that is otherwise well formed: lines `dotted.path: value: what is wrong`.

The checks read the scenario by attribute and return nothing when all is well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from abm.scenario_alts import Depeg, alt_setups, lead_preset
from abm.scenario_venues import VenueSetup
from abm.settings import SettingsError, nearest
from abm.units import INT64_MAX, MAX_LOTS
from abm.venues.preset import VenuePreset, asset_units, market_problems

if TYPE_CHECKING:
    from abm.scenario import Scenario
    from abm.world_parameters import MacroStep, News


def nonsense(scenario: Scenario) -> list[str]:
    """Every economic mistake of a scenario, one line each; empty when there is none."""
    checks = (clock, news, granularity, treasuries, others, incidents, participants)
    lines = [line for check in checks for line in check(scenario)]
    venues = {"": lead_preset(scenario), **{f"others.{other.name}.": other.venue for other in scenario.others}}
    for where, preset in venues.items():
        beside = (0, 0) if where else (len(scenario.alts), len(scenario.collateral))
        lines += [where + line for line in (*instruments(preset, *beside), *venue(preset))]
    if missing := list(alts(scenario)):
        return lines + missing
    try:
        setups = dict(zip(venues, scenario.venue_setups(), strict=True))
        coins = alt_setups(scenario, setups[""])
    except SettingsError as error:
        return lines + error.lines
    lead = setups[""].preset
    setups[""] = replace(setups[""], preset=lead.model_copy(update={"perpetual": lead.perpetual[:1]}))
    prices = dict.fromkeys(setups, scenario.world.start_price_usd)
    for coin, setup in coins:
        setups[f"alts.{coin.name}."], prices[f"alts.{coin.name}."] = setup, coin.start_price_usd
    return lines + [
        where + line
        for where, setup in setups.items()
        for line in (*shares(setup), *leverage(setup), *overflow(setup, prices[where]))
    ]


def clock(s: Scenario) -> Iterator[str]:
    """Times must fit whole ticks and whole milliseconds."""
    if s.start.tzinfo is None:
        yield f"start: {s.start.isoformat()}: has no time zone; write 2025-10-10T20:40:00Z"
    tick_ms = s.tick_s * 1000
    if abs(tick_ms - round(tick_ms)) > 1e-6:
        yield f"tick_s: {s.tick_s:g}: is no whole number of milliseconds"
    if abs(s.duration_s / s.tick_s - s.ticks) > 1e-9 or s.ticks < 1:
        whole = int(s.duration_s / s.tick_s)
        near = f"{max(1, whole) * s.tick_s:g} or {(whole + 1) * s.tick_s:g} would be"
        yield f"duration_s: {s.duration_s:g}: is no multiple of tick_s = {s.tick_s:g} s; {near}"


def news(s: Scenario) -> Iterator[str]:
    """News and steps of the stock index must lie inside the run, and names be unique."""
    scheduled: dict[str, Sequence[News | MacroStep]] = {"news": s.news, "world.macro_steps": s.world.macro_steps}
    span = f"the run covers {s.start:%H:%M:%S} to {s.end:%H:%M:%S} UTC"
    for path, items in scheduled.items():
        seen: set[str] = set()
        for item in items:
            where = f"{path}.{item.name}"
            if item.name in seen:
                yield f"{where}.name: used twice"
            seen.add(item.name)
            at = s.news_seconds(item)
            if at < 0 or at >= s.duration_s:
                yield f"{where}.at: {item.at.isoformat()}: lies outside the run ({span})"
            elif at + item.over_s > s.duration_s + 1e-9:
                yield f"{where}.over_s: {item.over_s:g}: goes on after the end of the run ({span})"


def others(s: Scenario) -> Iterator[str]:
    """Venues have names of their own, and count assets in the same units."""
    names = [s.venue.name]
    for other in s.others:
        if other.venue.name in names:
            yield f"others.{other.name}.venue.name: {other.venue.name}: another venue has this name"
        names.append(other.venue.name)
    if len({other.name for other in s.others}) < len(s.others):
        yield "others: two of them have the same name"
    try:
        asset_units([s.venue, *(other.venue for other in s.others)])
    except SettingsError as error:
        yield from (f"others: {line}" for line in error.lines)


def incidents(s: Scenario) -> Iterator[str]:
    """Incidents name a venue of this world and begin inside the run."""
    names = [s.venue.name, *(other.venue.name for other in s.others)]
    for n, item in enumerate(s.incidents):
        if item.venue not in names:
            yield f"incidents.{n}.venue: {item.venue}: no such venue here{nearest(item.venue, names)}"
        if not 0 <= s.news_seconds(item) < s.duration_s:
            span = f"the run covers {s.start:%H:%M:%S} to {s.end:%H:%M:%S} UTC"
            yield f"incidents.{n}.at: {item.at.isoformat()}: lies outside the run ({span})"


def participants(s: Scenario) -> Iterator[str]:
    """Participants that a scenario names have names of their own and trade at a venue of this world."""
    names = [s.venue.name, *(other.venue.name for other in s.others)]
    seen: set[str] = set()
    for item in s.participants:
        if item.name in seen:
            yield f"participants.{item.name}.name: used twice"
        seen.add(item.name)
        if item.venue is not None and item.venue not in names:
            yield f"participants.{item.name}.venue: {item.venue}: no such venue here{nearest(item.venue, names)}"


def instruments(preset: VenuePreset, coins: int = 0, assets: int = 0) -> Iterator[str]:
    """A run needs a spot market and a perpetual for BTC and each altcoin; other collateral may have a spot market."""
    for name, listed, most in (
        ("spot", preset.spot, 1 + coins + assets),
        ("perpetual", preset.perpetual, 1 + coins),
    ):
        if not 1 <= len(listed) <= most:
            yield f"venue.{name}: {len(listed)} markets: a run has exactly one, and one for each coin of `alts`"


def alts(s: Scenario) -> Iterator[str]:
    """Altcoins and collateral must be listed at the lead venue, and their times lie inside the run."""
    preset = lead_preset(s)
    spots, perpetuals = {m.base for m in preset.spot}, {m.base for m in preset.perpetual}
    haircuts = {asset.name for asset in preset.assets if asset.haircut is not None}
    seen = {preset.perpetual[0].base} if preset.perpetual else set()
    for coin in s.alts:
        if coin.name in seen:
            yield f"alts.{coin.name}.name: traded twice"
        seen.add(coin.name)
        if coin.name not in spots & perpetuals:
            yield f"alts.{coin.name}.name: {s.venue.name} lists no spot market and linear perpetual of it"
        yield from _inside(s, f"alts.{coin.name}.news", coin.news)
    names = [item.name for item in s.collateral]
    yield from (f"collateral.{name}.name: used twice" for name in sorted({n for n in names if names.count(n) > 1}))
    for asset in s.collateral:
        if asset.name not in haircuts & spots:
            yield f"collateral.{asset.name}.name: {s.venue.name} states no haircut and spot market for it"
        if asset.depegs and asset.name in seen:
            yield f"collateral.{asset.name}.depegs: {asset.name} is a coin of this world and has its own price"
        yield from _inside(s, f"collateral.{asset.name}.depegs", asset.depegs)


def _inside(s: Scenario, where: str, items: Sequence[News | Depeg]) -> Iterator[str]:
    """Each must begin inside the run."""
    for n, item in enumerate(items):
        if not 0 <= s.news_seconds(item) < s.duration_s:
            span = f"the run covers {s.start:%H:%M:%S} to {s.end:%H:%M:%S} UTC"
            yield f"{where}.{n}.at: {item.at.isoformat()}: lies outside the run ({span})"


def granularity(s: Scenario) -> Iterator[str]:
    """The number of accounts stands in one place."""
    if s.retail.accounts != s.accounts:
        yield f"retail.accounts: {s.retail.accounts}: differs from accounts = {s.accounts}; set only `accounts`"


def shares(s: VenueSetup) -> Iterator[str]:
    """Parts of one whole must not exceed it."""
    r = s.retail
    wholes = {
        "retail.class_notional": r.class_notional,
        "retail.class_accounts": r.class_accounts,
        "retail.long_accounts + retail.short_accounts": (r.long_accounts, r.short_accounts),
        "retail.trend_share + retail.value_share": (r.trend_share, r.value_share),
    }
    for path, parts in wholes.items():
        if sum(parts) > 1 + 1e-9:
            listed = " + ".join(f"{part:g}" for part in parts)
            yield f"{path}: {listed}: shares of one whole that exceed 1 together ({sum(parts):g})"
    if r.notional_shares()[-1] < -1e-9:
        most = r.leverage_density / sum(r.notional_shares()[:-1])
        yield f"retail.leverage_density: {r.leverage_density:g}: leaves nothing for the last class; at most {most:g}"


def leverage(s: VenueSetup) -> Iterator[str]:
    """Nobody may want more leverage than the venue's smallest bracket gives, nor be liquidatable at the opening."""
    chosen = {
        "retail.entrant_short_leverage": s.retail.entrant_short_leverage,
        "retail.entrant_long_leverage": s.retail.entrant_long_leverage,
        "retail.news_leverage": s.retail.news_leverage,
        "makers.leverage": s.makers.leverage,
    }
    for market in s.preset.perpetual:
        if not market.tiers:
            continue
        first = market.tiers[0]
        for path, value in chosen.items():
            if value > first.leverage:
                yield f"{path}: {value:g}: {market.name} gives at most {first.leverage}x"
            elif 1 / value < float(first.maintenance):
                yield f"{path}: {value:g}: initial margin 1/{value:g} is below maintenance {first.maintenance}"


def venue(preset: VenuePreset) -> Iterator[str]:
    """The venue's own checks: ticks, brackets, continuity, maintenance below initial margin."""
    for line in market_problems(preset):
        yield f"venue.{line}"
    if not preset.perpetual or not preset.spot:
        yield f"venue.{preset.name}: needs a spot market and a perpetual"


def overflow(s: VenueSetup, start_price_usd: float) -> Iterator[str]:
    """Sums of positions and of their values must fit 64-bit integers."""
    units = {asset.name: Decimal(asset.unit) for asset in s.preset.assets}
    coins, price = Decimal(str(s.retail.open_interest_coins)), Decimal(str(start_price_usd))
    for market in s.preset.perpetual:
        lot, highest = Decimal(market.lot), Decimal(market.highest_price)
        if lot <= 0 or highest <= 0 or market.settle not in units:
            continue  # `venue` has said so
        if coins / lot > MAX_LOTS:
            yield f"retail.open_interest_coins: {coins:g}: more than {MAX_LOTS * lot:,.0f} BTC, the largest position"
        if price > highest:
            yield f"world.start_price_usd: {price:g}: above the highest price of {market.name}, {highest:g}"
        value = 2 * coins * price / units[market.settle]
        if value > INT64_MAX:
            yield (
                f"retail.open_interest_coins: {coins:g}: overflow: open interest x price is {value:.2E} units of "
                f"{market.settle}, 64-bit money ends at {INT64_MAX:.2E}"
            )


def treasuries(s: Scenario) -> Iterator[str]:
    """A loan must not be in breach of its covenant before anything has happened."""
    for n, company in enumerate(s.treasuries):
        where, pledged = f"treasuries.{n}", company.coins * s.world.start_price_usd
        if company.debt_usd > 0 and company.debt_usd >= company.ltv_limit * pledged:
            ratio = company.debt_usd / pledged if pledged > 0 else float("inf")
            words = f"loan to value {ratio:.3g}, limit {company.ltv_limit:g}"
            yield f"{where}.debt_usd: {company.debt_usd:g}: covenant breached at the start ({words})"
        if company.ltv_target > company.ltv_limit:
            yield f"{where}.ltv_target: {company.ltv_target:g}: above the limit {company.ltv_limit:g}"
