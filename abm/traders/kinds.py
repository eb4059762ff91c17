"""Participants that a scenario names: `[[participants]]` with a kind, a venue and the kind's own parameters.

A kind is the name of a built-in one (`BUILT_IN`) or `package.module:Class`, a subclass of `Participant` with a
`parameters_class`. A class from outside is code: it is imported only after `permit`, which `--allow-code` calls.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from abm.parameters import Parameters
from abm.settings import SettingsError, Table, nearest, validate
from abm.traders.base import Participant

BUILT_IN: dict[str, str] = {}
"""Class of each built-in kind that a scenario may name, as `module:Class`."""
_permitted: set[str] = set()


class Joined(Parameters):
    """A participant beside the fixed kinds; several may be of one kind."""

    name: str = Field(
        description="short name, by which `--set participants.NAME.…` finds it", pattern=r"^[a-z][a-z0-9-]*$"
    )
    kind: str = Field(description="a built-in kind, or package.module:Class (needs --allow-code)")
    venue: str | None = Field(None, description="name of the venue where it trades; left out: the lead venue")
    parameters: dict[str, Any] = Field({}, description="the kind's own parameters; see its part of this table")

    def checked(self) -> Parameters:
        """Its parameters as an object. Raises `SettingsError`."""
        return validate(kind_class(self.kind).parameters_class, self.parameters, self.name)


def permit(kind: str) -> None:
    """Allow `package.module:Class` to be imported from now on."""
    _permitted.add(kind)


def kind_class(kind: str) -> type[Participant]:
    """The class of a kind. Raises `SettingsError` for what is unknown, not permitted or no such class."""
    if kind not in BUILT_IN and ":" not in kind:
        raise SettingsError([f'kind: "{kind}": no such kind of participant{nearest(kind, list(BUILT_IN))}'])
    if kind not in BUILT_IN and kind not in _permitted:
        raise SettingsError([f'kind: "{kind}": is code from outside; it is loaded only with --allow-code'])
    module, _, name = BUILT_IN.get(kind, kind).partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise SettingsError([f'kind: "{kind}": cannot be loaded: {error}']) from None
    if not (isinstance(found, type) and issubclass(found, Participant) and hasattr(found, "parameters_class")):
        raise SettingsError([f'kind: "{kind}": is no Participant with a parameters_class'])
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
        except SettingsError as error:
            lines += [f"participants.{name}.{line}" for line in error.lines]
            continue
        filled.append({**entry, "name": name, "parameters": own})
    return {**table, "participants": filled}, lines
