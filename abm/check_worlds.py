"""Small worlds of a few seconds, one for each kind of participant, in which `abm.check` looks at it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from abm.scenario import Scenario, load_scenario
from abm.settings import SettingsError, nearest, parse_value
from abm.traders.base import Participant
from abm.traders.kinds import BUILT_IN, kind_class

NAME = "checked"
"""Name of the participant in its world, where it has an entry of its own."""


class Fixed(NamedTuple):
    """A kind that every scenario has: its class, the world in which it is looked at, and what is changed there."""

    target: str
    path: str
    scenario: str = "tiny"
    changes: Mapping[str, Any] = {}


SHOCK: list[dict[str, Any]] = [
    {"name": "shock", "at": "20:40:10", "over_s": 10, "change_percent": -5, "label": "news", "source": "made up"}
]
RISE: list[dict[str, Any]] = [SHOCK[0] | {"change_percent": 5}]
SMALL: dict[str, Any] = {
    "duration_s": 60.0,
    "accounts": 200,
    "traders": "cohort",
    "record": "orders",
    "makers.count": 6,
    "retail.news_s": 10.0,
    "news": SHOCK,
}
"""What makes a packaged scenario a world of a few seconds in which something happens."""
FIXED: dict[str, Fixed] = {
    "retail": Fixed(
        "abm.traders.retail:RetailCohort",
        "retail",
        changes={"retail.review_s": 5.0, "retail.holding_s": 100.0, "retail.stop_share": 0.3},
    ),
    "noise": Fixed("abm.traders.noise:Noise", "noise"),
    "makers": Fixed("abm.traders.makers:Makers", "makers"),
    "arbitrageurs": Fixed("abm.traders.arbitrageurs:Arbitrageurs", "arbitrageurs"),
    "value-buyers": Fixed(
        "abm.traders.value_buyers:ValueBuyers", "value_buyers", changes={"news": RISE, "value_buyers.margin": 0.002}
    ),
    "value-sellers": Fixed(
        "abm.traders.value_buyers:ValueSellers",
        "value_sellers",
        changes={"value_sellers.coins": 5000.0, "value_sellers.margin": 0.002},
    ),
    "hedgers": Fixed(
        "abm.traders.hedgers:Hedgers", "hedgers", changes={"hedgers.discount": 0.0001, "hedgers.review_s": 3.0}
    ),
    "treasury": Fixed(
        "abm.traders.treasury:Treasury",
        "treasuries.0",
        changes={"treasuries.0.review_s": 10.0, "treasuries.0.debt_usd": 291.5e6, "treasuries.0.cash_usd": 0.0},
    ),
    "pool": Fixed("abm.traders.pool:Pool", "pool", changes={"pool.capital_usd": 50e6}),
    "alt-retail": Fixed("abm.traders.alt_retail:AltRetail", "retail", "altcoin-spillover"),
    "peg-market": Fixed(
        "abm.traders.peg_market:PegMarket",
        "collateral.0.market",
        "collateral-depeg",
        {"collateral.0.depegs": [{"at": "20:40:15", "to": 0.8, "over_s": 10.0, "lasts_s": 20.0, "source": "made up"}]},
    ),
    "bridges": Fixed(
        "abm.traders.bridges:Bridges", "bridges", "two-venues", {"incidents": [], "bridges.threshold": 0.0}
    ),
}
"""Kinds that need no entry in `[[participants]]`."""
WORLDS: dict[str, tuple[str, dict[str, Any]]] = {
    "exchange-competition": ("two-venues", {"review_s": 10.0, "threshold": 0.0}),
    "migration": ("two-venues", {"review_s": 10.0, "time_s": 60.0, "delay_s": 10.0, "deleveraging": 1.0}),
}
"""Scenario and parameters in which a kind for a scenario's `[[participants]]` has something to do."""


@dataclass(slots=True)
class Subject:
    """A kind in its small world."""

    kind: str
    cls: type[Participant]
    scenario: Scenario


def all_kinds() -> list[str]:
    """Names of every kind that comes with the package."""
    return list(dict.fromkeys([*FIXED, *BUILT_IN]))


def subject_of(kind: str, settings: Sequence[str] = ()) -> Subject:
    """The kind in its small world; `settings` are texts `FIELD=value` of its parameters, or `scenario.a.b=value`.

    Raises `SettingsError` when the kind is unknown or a value is refused.
    """
    if kind not in FIXED and kind not in BUILT_IN and ":" not in kind:
        raise SettingsError([f'"{kind}": no such kind of participant{nearest(kind, all_kinds())}'])
    if kind in FIXED:
        fixed = FIXED[kind]
        module, _, name = fixed.target.partition(":")
        cls, path, changes = getattr(importlib.import_module(module), name), fixed.path, dict(fixed.changes)
        base = load_scenario(fixed.scenario)
    else:
        cls, path, changes = kind_class(kind), f"participants.{NAME}.parameters", {}
        world, parameters = WORLDS.get(kind, (cls.example_world, {}))
        base = load_scenario(world)
        changes["participants"] = [{"name": NAME, "kind": kind, "parameters": {**parameters, **cls.example}}]
        changes |= cls.example_scenario
    for text in settings:
        where, equals, value = text.partition("=")
        if not equals:
            raise SettingsError([f"{text!r}: not of the form FIELD=value"], "--set")
        own = where.strip()
        changes[own.removeprefix("scenario.") if own.startswith("scenario.") else f"{path}.{own}"] = parse_value(value)
    return Subject(kind, cls, base.changed({**SMALL, "start": "2025-10-10T20:40:00Z", **changes}))
