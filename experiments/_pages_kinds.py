"""What a page of a scenario is made of: variants, measures, a picture; `experiments/_pages_list.py` has them all."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from abm.figures.variants import Picture
from abm.provenance import canonical_json
from abm.scenario import load_table
from abm.scenario_venues import with_venues
from abm.settings import override

WORDS = frozenset({"title", "description", "label", "source", "grade", "assumed"})
"""Settings that do not decide a number of the page."""
CHOSEN = frozenset({"accounts", "seed"})
"""Settings of a scenario that its page chooses itself."""


@dataclass(frozen=True)
class Measure:
    """A column of the table: words and unit of its head, the figure (see `experiments/_pages_read.py`), its scale."""

    words: str
    unit: str
    figure: str
    scale: float = 1.0
    digits: int = 1


@dataclass(frozen=True)
class Page:
    """A scenario with its variants (label -> settings `a.b=value`; one is the scenario as it is). The first is the
    one that the others are held against, seed by seed.

    `groups`: participants of one run who are the rows of the table, in place of variants; {group} in a figure is their
    name. `picture`: what is drawn, panel by panel, or one of the figures made for such runs: "spillover"
    (`abm.figures.spillover`, the scenario as it is) and "sale" (`abm.figures.treasury_run`, the second variant beside
    the first).
    """

    variants: Mapping[str, tuple[str, ...]]
    measures: tuple[Measure, ...]
    picture: Picture | str
    groups: tuple[str, ...] = ()
    seeds: int = 3
    accounts: int = 100_000
    record: str = "summary"


def digest(scenario: str, page: Page) -> str:
    """Eight signs that change when a number of the scenario or of its venues does, in any variant.

    Only what the files say counts, not words or a default of the program.
    """
    tables = []
    for settings in page.variants.values():
        table, _ = with_venues(load_table(scenario))
        for setting in settings:
            table = override(table, setting)
        tables.append(_numbers({key: value for key, value in table.items() if key not in CHOSEN}))
    return hashlib.sha256(canonical_json(tables).encode()).hexdigest()[:8]


def _numbers(value: Any) -> Any:
    """The same tables without their words."""
    if isinstance(value, Mapping):
        return {key: _numbers(item) for key, item in value.items() if key not in WORDS}
    if isinstance(value, list | tuple):
        return [_numbers(item) for item in value]
    return value if isinstance(value, int | float | str) or value is None else str(value)
