"""A real figure with its band, and rows of the collection of facts that no run can be held against."""

from __future__ import annotations

import math
from dataclasses import dataclass

COUNTED_GRADES = ("A", "B")
"""Grades whose rows make up the share inside: A exchange or chain records, B a data vendor or the exchange itself."""
UNKNOWN = math.nan
"""The figure of a row of which only bounds are published."""


@dataclass(frozen=True, slots=True)
class Target:
    """A real figure; its band is the spread of sources, or, where there is one, the tolerance stated in `source`.

    Attributes:
        key: of the measure of a run (`abm.measures.summary`); times `scale` it is in `unit`.
        real: nan when only the band is known.
        grade: A exchange or chain records, B data vendor or exchange, C press, M from memory.
        row: number in the project's collection of facts (docs/validation.md lists them).
        venue: name of the venue whose own measure is meant; "" for the lead venue.
        bound: the figure covers more than the model has (all coins, all contracts), so that it only bounds it;
            easily kept, and so not counted.
        follows: says the same as another row in other words and is not counted again.
        given: put into the scenario (its news, its depth), so that it is shown and not counted.
    """

    measure: str
    key: str
    unit: str
    real: float
    low: float
    high: float
    grade: str
    source: str
    scale: float = 1.0
    row: str = ""
    venue: str = ""
    bound: bool = False
    follows: bool = False
    given: bool = False

    @property
    def counted(self) -> bool:
        """Whether the row counts in the share inside."""
        return self.grade in COUNTED_GRADES and not (self.follows or self.bound or self.given)

    @property
    def path(self) -> str:
        """The measure's dotted key in a flat table of measures."""
        return f"venues.{self.venue}.{self.key}" if self.venue else self.key


@dataclass(frozen=True, slots=True)
class Silent:
    """A row of the facts that the model cannot speak to, and why."""

    row: str
    what: str
    reason: str
