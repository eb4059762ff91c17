"""A scenario: everything that decides a run, read from one TOML file.

`load_scenario` resolves `extends`, applies `--set`, checks the whole and reports every mistake together. Numbers that
nobody observed have a default, a likely range and the grade "assumed".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from abm.parameters import Parameters, quantity
from abm.policies import Policies
from abm.scenario_alts import Altcoin, Collateral, Depeg, lead_preset
from abm.scenario_checks import nonsense
from abm.scenario_venues import DEFAULT_VENUE, Incident, OtherVenue, VenueSetup, named, setup_beside, with_venues
from abm.settings import (
    SettingsError,
    Table,
    markdown_table,
    merge,
    nearest,
    override,
    put,
    read_toml,
    to_toml,
    toml_value,
    validate,
    without_mistakes,
)
from abm.traders.arbitrageurs import ArbitrageursParameters
from abm.traders.bridges import BridgesParameters
from abm.traders.hedgers import HedgersParameters
from abm.traders.kinds import Joined, kinds_reference, with_participants
from abm.traders.makers import MakersParameters
from abm.traders.noise import NoiseParameters
from abm.traders.pool import PoolParameters
from abm.traders.retail_parameters import RetailParameters
from abm.traders.treasury import TreasuryParameters
from abm.traders.value_buyers import ValueBuyersParameters
from abm.venues.preset import VenuePreset, load_preset
from abm.world_parameters import MacroStep, News, WorldParameters

SCENARIOS = Path(__file__).resolve().parent / "scenarios"
DEFAULT_SCENARIO = "tiny"
INDIVIDUAL_UP_TO = 2_000
"""`traders = "auto"` asks every retail trader by itself up to this number of accounts, by arrays above."""


class ScenarioError(SettingsError):
    """A scenario with mistakes; `lines` holds them all."""


class StateParameters(Parameters):
    """State of the market at the start that belongs to no kind of trader; open interest is in `retail`."""

    last_funding_bp: float = quantity(
        0.10,
        unit="bp per 8 h",
        ge=-30,
        le=30,
        grade="A",
        source="Binance BTCUSDT funding print of 10 Oct 2025 16:00 UTC",
        text="last funding rate before the start",
    )


class Scenario(Parameters):
    """Everything that decides a run. `resolved` gives it as plain data, `load_scenario` reads it."""

    name: str = Field("unnamed", description="short name; the run folder is called after it", min_length=1)
    title: str = Field("", description="one line for figures")
    description: str = Field("", description="what it is for, what is observed and what is assumed")
    extends: str | None = Field(None, description="scenario (name or file) that this one changes")
    start: datetime = Field(datetime(2025, 10, 10, 20, 40, tzinfo=UTC), description="first instant, UTC")
    duration_s: float = quantity(
        6_000.0, unit="s", gt=0, le=32 * 86_400, source="20:40 to 22:20", text="simulated time"
    )
    tick_s: float = quantity(
        1.0,
        unit="s",
        ge=0.001,
        le=60,
        source="modelling choice; results are shown as a function of it",
        text="tick length",
    )
    rounds_max: int = quantity(
        8,
        unit="rounds",
        ge=1,
        le=1_000,
        source="modelling choice; hitting the cap is an event",
        text="rounds inside a tick",
    )
    seed: int = quantity(1, unit="-", ge=0, lt=2**62, source="any", text="seed of all random streams")
    accounts: int = quantity(
        100_000, unit="accounts", ge=50, le=5_000_000, source="granularity only: totals stay", text="retail accounts"
    )
    traders: Literal["auto", "individual", "cohort"] = Field(
        "auto", description="how retail traders decide: each by itself, or by arrays (same results); auto: by number"
    )
    record: Literal["summary", "fills", "orders"] = Field("fills", description="what a run keeps")
    world: WorldParameters = WorldParameters()
    news: tuple[News, ...] = ()
    venue: VenuePreset = Field(default_factory=lambda: load_preset(DEFAULT_VENUE))
    state: StateParameters = StateParameters()
    retail: RetailParameters = RetailParameters()
    noise: NoiseParameters = NoiseParameters()
    makers: MakersParameters = MakersParameters()
    arbitrageurs: ArbitrageursParameters = ArbitrageursParameters()
    value_buyers: ValueBuyersParameters = ValueBuyersParameters()
    value_sellers: ValueBuyersParameters = ValueBuyersParameters(coins=0.0)
    treasuries: tuple[TreasuryParameters, ...] = (TreasuryParameters(),)
    hedgers: HedgersParameters = HedgersParameters()
    pool: PoolParameters = PoolParameters()
    others: tuple[OtherVenue, ...] = ()
    alts: tuple[Altcoin, ...] = ()
    collateral: tuple[Collateral, ...] = ()
    bridges: BridgesParameters = BridgesParameters()
    incidents: tuple[Incident, ...] = ()
    participants: tuple[Joined, ...] = ()
    policies: Policies = Policies()

    @field_validator("others")
    @classmethod
    def _by_name(cls, others: tuple[OtherVenue, ...]) -> tuple[OtherVenue, ...]:
        """The order in a file means nothing."""
        return tuple(sorted(others, key=lambda other: other.name))

    def venue_setups(self) -> list[VenueSetup]:
        """All venues with their traders, the lead venue first. Raises `SettingsError` for bad tables of the others."""
        retail = self.retail.model_copy(update={"accounts": self.accounts})
        lead = VenueSetup(
            lead_preset(self), self.seed, self.state.last_funding_bp, retail, self.noise, self.makers,
            self.arbitrageurs, self.value_buyers, self.value_sellers, self.hedgers, self.pool, self.treasuries,
        )  # fmt: skip
        return [lead, *(setup_beside(lead, other) for other in self.others)]

    @property
    def ticks(self) -> int:
        """Number of ticks of a run."""
        return round(self.duration_s / self.tick_s)

    @property
    def end(self) -> datetime:
        """Last instant."""
        return self.start + timedelta(seconds=self.duration_s)

    @property
    def individual(self) -> bool:
        """Whether every retail trader is asked by itself."""
        return self.traders == "individual" or (self.traders == "auto" and self.accounts <= INDIVIDUAL_UP_TO)

    def news_seconds(self, news: News | Incident | MacroStep | Depeg) -> float:
        """Seconds from the start to the beginning of a news item or an incident (see `seconds_after`)."""
        return seconds_after(self.start, news.at)

    def resolved(self) -> Table:
        """Plain data (numbers, texts, lists, dicts) that `from_resolved` turns back into the same scenario."""
        data: Table = self.model_dump(mode="json")
        del data["extends"]
        return data

    def changed(self, changes: Mapping[str, Any] | None = None, **values: Any) -> Scenario:
        """A checked copy with other values: `changed({"makers.count": 30})` or `changed(seed=2, makers__count=30)`."""
        data = self.resolved()
        every = {**(changes or {}), **{key.replace("__", "."): value for key, value in values.items()}}
        for path, value in every.items():
            data = put(data, path, value)
        if "retail.accounts" not in every:
            data["retail"]["accounts"] = data["accounts"]
        return _checked(data, self.name)


def seconds_after(start: datetime, at: time | datetime) -> float:
    """Seconds from `start` to a time of day (the next such time) or an instant (may be negative)."""
    if isinstance(at, datetime):
        return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - start).total_seconds()
    moment = datetime.combine(start.date(), at, tzinfo=start.tzinfo)
    return ((moment if moment >= start else moment + timedelta(days=1)) - start).total_seconds()


# --- loading ----------------------------------------------------------------------------------------------------------
def scenario_names() -> list[str]:
    """Names of the scenarios that come with the package."""
    return sorted(path.stem for path in SCENARIOS.glob("*.toml"))


def find_scenario(name_or_path: str | Path, beside: Path | None = None) -> Path:
    """File of a scenario: a path (also relative to `beside`) or the name of a packaged one. Raises `ScenarioError`."""
    text = str(name_or_path)
    for candidate in (Path(text), (beside or Path()) / text):
        if candidate.suffix == ".toml" and candidate.is_file():
            return candidate
    packaged = SCENARIOS / f"{text}.toml"
    if packaged.is_file():
        return packaged
    raise ScenarioError([f"{text}: no such file, and no scenario of this name{nearest(text, scenario_names())}"])


def load_table(name_or_path: str | Path, beside: Path | None = None, seen: tuple[Path, ...] = ()) -> Table:
    """The TOML tables of a scenario with everything it extends merged in, unchecked.

    Raises:
        ScenarioError: no such scenario, not TOML, or one that extends itself.
    """
    path = find_scenario(name_or_path, beside).resolve()
    if path in seen:
        raise ScenarioError([f"extends: {path.stem} extends itself: {' -> '.join(p.stem for p in (*seen, path))}"])
    own = read_toml(path)
    own.setdefault("name", path.stem)
    parent = own.get("extends")
    if not isinstance(parent, str):
        return own
    merged: Table = merge(load_table(parent, path.parent, (*seen, path)), own)
    return merged


def load_scenario(
    name_or_path: str | Path = DEFAULT_SCENARIO,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    accounts: int | None = None,
) -> Scenario:
    """Read, override and check a scenario.

    Args:
        name_or_path: packaged name ("october-2025") or a TOML file.
        overrides: texts `a.b=value`, value as in TOML or JSON.
        seed: replaces the file's.
        accounts: replaces the file's.

    Raises:
        ScenarioError: with one line for every mistake found.
    """
    try:
        table = load_table(name_or_path)
        # The preset first: the other settings may reach into its tables.
        early = [text for text in overrides if text.partition("=")[0].strip().endswith("venue.preset")]
        for assignment in early:
            table = override(named(table), assignment)
        table, bad = with_venues(table)
        for assignment in (text for text in overrides if text not in early):
            try:
                table = override(table, assignment)
            except SettingsError as error:
                bad += error.lines
        table |= {key: value for key, value in (("seed", seed), ("accounts", accounts)) if value is not None}
        return _checked(table, str(name_or_path), bad)
    except ScenarioError:
        raise
    except SettingsError as error:
        raise ScenarioError(error.lines, error.origin) from None


def from_resolved(data: Mapping[str, Any]) -> Scenario:
    """The scenario of a `run.json`."""
    return _checked(dict(data), str(data.get("name", "scenario")))


def _checked(table: Table, origin: str, earlier: Iterable[str] = ()) -> Scenario:
    """Validate; where the schema finds mistakes, go on with defaults there, so that the economic checks report too."""
    lines = list(earlier)
    table = _with_accounts(table)
    table, venue_lines = with_venues(table)
    table, participant_lines = with_participants(table)
    lines += venue_lines + participant_lines
    try:
        scenario = validate(Scenario, table, origin)
    except SettingsError as error:
        lines += error.lines
        try:
            scenario = validate(Scenario, without_mistakes(Scenario, table), origin)
        except SettingsError:
            raise ScenarioError(lines, origin) from None
    lines += nonsense(scenario)
    if lines:
        raise ScenarioError(lines, origin)
    return scenario


def _with_accounts(table: Table) -> Table:
    """`retail.accounts` follows `accounts` unless it was set (the checks refuse two different numbers)."""
    retail = table.get("retail", {})
    accounts = table.get("accounts", Scenario.model_fields["accounts"].default)
    if (
        not isinstance(retail, Mapping)
        or "accounts" in retail
        or not isinstance(accounts, int)
        or not 50 <= accounts <= 5_000_000
    ):
        return table
    return {**table, "retail": {**retail, "accounts": accounts}}


# --- writing ----------------------------------------------------------------------------------------------------------
def write_toml(scenario: Scenario, path: Path) -> None:
    """Write every value of a scenario as one TOML file."""
    path.write_text(to_toml(scenario.resolved()), encoding="utf-8")


def new_scenario(file: Path, source: str) -> Path:
    """Write a short scenario file that extends a packaged one; returns the file.

    Raises `ScenarioError` when the source is unknown, the name no `.toml` or the file there already.
    """
    parent = find_scenario(source)
    if file.suffix != ".toml":
        raise ScenarioError([f"{file}: a scenario file ends in .toml"])
    if file.exists():
        raise ScenarioError([f"{file}: exists already and is not overwritten"])
    base = load_scenario(source)
    link = source if parent.parent == SCENARIOS else str(parent.resolve())
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        f"""# A scenario of your own: everything not written here is as in {source}. All parameters: docs/parameters.md.
extends = {toml_value(link)}
name = {toml_value(file.stem)}
title = {toml_value(f"{file.stem}, after {source}")}

# seed = {base.seed}
# accounts = {base.accounts}
# duration_s = {base.duration_s:g}
# tick_s = {base.tick_s:g}

# [makers]
# depth_coins = {base.makers.depth_coins:g}

# [venue.backstop]
# size_usd = {base.venue.backstop.size_usd}
""",
        encoding="utf-8",
    )
    return file


def reference_table() -> str:
    """Markdown: every parameter with default, unit, bounds, likely range, grade, meaning and source."""
    return markdown_table(Scenario)


def reference_page() -> str:
    """`docs/parameters.md`: made by `python -m abm.scenario > docs/parameters.md`, compared by a test."""
    kinds = kinds_reference({info.annotation: name for name, info in Scenario.model_fields.items()})
    return f"""# Parameters of a scenario

Every value of a scenario file, as the schema has it (made by `python -m abm.scenario > docs/parameters.md`). Bounds are
enforced; the likely range is what a sensitivity study should cover. Grades: A measured in data, B reported by one good
source, C relayed, M general knowledge, calibrated to a target, assumed where nobody could know. `[]` stands for the
items of a list, which `--set` finds by position or by `name`. The venue is filled in from a preset (`venue.preset`,
here `{DEFAULT_VENUE}`), which lists the source of each of its numbers. Kinds of participants that a scenario adds by
`[[participants]]` follow; their parameters stand below `participants.NAME.parameters`.

{reference_table()}{kinds}"""


if __name__ == "__main__":
    print(reference_page(), end="")
