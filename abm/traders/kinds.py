"""Participants that a scenario names: `[[participants]]` with a kind, a venue and the kind's own parameters.

A kind is the name of a built-in one (`BUILT_IN`) or `package.module:Class`, a subclass of `Participant` with a
`parameters_class`. A class from outside is code: it is imported only with `--allow-code` (`abm.outside.allow`) or after
`permit`, and the hash of its file becomes part of the scenario.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from abm import outside
from abm.parameters import Parameters
from abm.settings import SettingsError, Table, markdown_table, nearest, validate
from abm.traders.base import Participant

BUILT_IN: dict[str, str] = {
    "leveraged-fund": "abm.traders.leveraged_funds:LeveragedFunds",
    "exchange-competition": "abm.traders.competition:ExchangeCompetition",
    "migration": "abm.traders.migration:Migration",
    "etf": "abm.traders.etf:Etf",
    "staker": "abm.traders.stakers:Stakers",
    "treasuries": "abm.traders.treasury:Treasuries",
    "retail": "abm.traders.retail:RetailCohort",
    "profile-predators": "abm.traders.profile_readers:Predators",
    "profile-providers": "abm.traders.profile_readers:Providers",
    "retail-bots": "abm.traders.retail_bots:RetailBots",
}
"""Class of each built-in kind that a scenario may name, as `module:Class`."""
_permitted: set[str] = set()


class Joined(Parameters):
    """A participant beside the fixed kinds; several may be of one kind."""

    name: str = Field(
        description="short name, by which `--set participants.NAME.…` finds it", pattern=r"^[a-z][a-z0-9-]*$"
    )
    kind: str = Field(description="a built-in kind, or package.module:Class (needs --allow-code)")
    code: str = Field("", description="of a class from outside: SHA-256 of its file, filled in when it is loaded")
    venue: str | None = Field(None, description="name of the venue where it trades; left out: the lead venue")
    parameters: dict[str, Any] = Field({}, description="the kind's own parameters; see its part of this table")

    def checked(self) -> Parameters:
        """Its parameters as an object. Raises `SettingsError`."""
        return validate(kind_class(self.kind).parameters_class, self.parameters, self.name)


def described() -> list[tuple[str, str]]:
    """Name and first line of the documentation of each built-in kind."""
    rows = []
    for kind, target in BUILT_IN.items():
        words = importlib.import_module(target.partition(":")[0]).__doc__ or ""
        rows.append((kind, words.strip().split("\n")[0]))
    return rows


def kinds_reference(above: Mapping[Any, str]) -> str:
    """Markdown: a section with the parameters of each built-in kind; `above` names schemas that are listed already."""
    parts = []
    for kind, words in described():
        schema = kind_class(kind).parameters_class
        where = f"Parameters as `{above[schema]}` above.\n" if schema in above else markdown_table(schema)
        parts.append(f"\n## Participants of kind `{kind}`\n\n{words}\n\n{where}")
    return "".join(parts)


def permit(kind: str) -> None:
    """Allow `package.module:Class` to be imported from now on."""
    _permitted.add(kind)


def kind_class(kind: str) -> type[Participant]:
    """The class of a kind. Raises `SettingsError` for what is unknown, not permitted or no such class."""
    if kind not in BUILT_IN and ":" not in kind:
        raise SettingsError([f'kind: "{kind}": no such kind of participant{nearest(kind, list(BUILT_IN))}'])
    if kind not in BUILT_IN and kind not in _permitted and not outside.allowed():
        raise SettingsError([f'kind: "{kind}": is code from outside; it is loaded only with --allow-code'])
    module, _, name = BUILT_IN.get(kind, kind).partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:  # whatever a module from outside does when it is imported
        words = f"{type(error).__name__}: {error}" if kind not in BUILT_IN else str(error)
        raise SettingsError([f'kind: "{kind}": cannot be loaded: {words}']) from None
    if not (isinstance(found, type) and issubclass(found, Participant) and hasattr(found, "parameters_class")):
        raise SettingsError([f'kind: "{kind}": is no Participant with a parameters_class'])
    return found


def code_of(kind: str, stated: str) -> str:
    """Hash of the file of a class from outside, "" of a built-in kind. Raises `SettingsError` if it is not `stated`."""
    if kind in BUILT_IN:
        return ""
    found = outside.file_hash(importlib.import_module(kind_class(kind).__module__))
    if stated not in ("", found):
        words = f"the file was {stated[:12]} when this was written and is {found[:12]} now"
        raise SettingsError([f"code: {words}; to use it as it is now, leave `code` out"])
    return found


def with_participants(table: Table) -> tuple[Table, list[str]]:
    """Fill in the parameters of every entry, so that a resolved scenario holds them all; and say what is wrong."""
    entries = table.get("participants")
    if not isinstance(entries, list):
        return table, []
    filled, lines = [], []
    for entry in entries:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("kind"), str):
            filled.append(entry)
            continue
        name = str(entry.get("name", entry["kind"].rpartition(":")[2].lower()))
        own = entry.get("parameters", {})
        try:
            schema = kind_class(entry["kind"]).parameters_class
            if isinstance(own, Mapping):
                own = validate(schema, own, name).model_dump(mode="json")
            code = code_of(entry["kind"], str(entry.get("code", "")))
        except SettingsError as error:
            lines += [f"participants.{name}.{line}" for line in error.lines]
            continue
        filled.append({**entry, "name": name, "code": code, "parameters": own})
    return {**table, "participants": filled}, lines
