"""What was measured on real markets, with grade and band, and a run's figures beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from abm.targets import october, others
from abm.targets.events import (
    CALM,
    DAY,
    EVENTS,
    LEAST_CALM_S,
    LOW_TIME,
    LOW_USD,
    NOVEMBER,
    OCTOBER,
    PRINT_USD,
    SEPTEMBER,
    WINDOW,
    event_of,
    is_october,
)
from abm.targets.silent import SILENT
from abm.targets.target import COUNTED_GRADES, UNKNOWN, Silent, Target

if TYPE_CHECKING:
    from abm.scenario import Scenario

__all__ = [
    "COUNTED_GRADES",
    "DAY",
    "EVENTS",
    "SILENT",
    "TARGETS",
    "UNKNOWN",
    "VENUE_TARGETS",
    "WINDOW",
    "Silent",
    "Target",
    "comparison",
    "event_of",
    "is_october",
    "real_points",
    "subject",
    "targets_of",
]
TARGETS = october.HEADLINES
VENUE_TARGETS = october.VENUES
"""Shown beside every run of 10 October; `targets_of` has all rows."""


def subject(scenario: Scenario) -> str:
    """What a scenario is held against: the name of an event, "calm", or "" when there is nothing."""
    event = event_of(scenario)
    return event.name if event else CALM if not scenario.news else ""


def targets_of(scenario: Scenario) -> tuple[Target, ...]:
    """Every row that a scenario is held against; rows of venues where these are in its world."""
    about = subject(scenario)
    if about == OCTOBER.name:
        found: tuple[Target, ...] = (*TARGETS, *october.MORE)
        names = [scenario.venue.name, *(other.venue.name for other in scenario.others)]
        for name in names if len(names) > 1 else ():
            found += VENUE_TARGETS.get(name, ()) + october.MORE_VENUES.get(name, ())
        return found
    if about == CALM and scenario.duration_s < LEAST_CALM_S:
        return tuple(target for target in others.CALM if not target.key.startswith("bar_"))
    return {SEPTEMBER.name: others.SEPTEMBER, NOVEMBER.name: others.NOVEMBER, CALM: others.CALM}.get(about, ())


def comparison(measured: Mapping[str, Any], scenario: Scenario) -> list[dict[str, Any]]:
    """Rows model beside real with band and grade; empty for scenarios that are not about the evening of 10 October.

    `inside` is True or False when both are known, else None: a miss is shown as a miss.
    """
    if not is_october(scenario):
        return []
    rows = []
    judged = [(target, measured) for target in TARGETS]
    for name, own in measured.get("venues", {}).items():
        judged += [(target, own) for target in VENUE_TARGETS.get(name, ())]
    for target, found in judged:
        value = found.get(target.key, math.nan)
        model = float(value) * target.scale if value is not None else math.nan
        known = not math.isnan(model)
        rows.append(
            {
                "measure": target.measure,
                "unit": target.unit,
                "model": model if known else None,
                "real": target.real,
                "low": target.low,
                "high": target.high,
                "grade": target.grade,
                "inside": bool(target.low <= model <= target.high) if known else None,
                "source": target.source,
            }
        )
    return rows


_CLOSES = (112_891, 111_904, 112_138, 110_998, 108_905, 107_677, 108_890, 103_441, 104_311, 106_417, 107_274, 107_747,
           108_473, 107_112)  # fmt: skip


def real_points(scenario: Scenario) -> list[dict[str, Any]]:
    """Published point values of the real price: dicts with time, price_usd, label, grade; empty for other evenings.

    The closes are those of one-minute candles and stand at the end of their minute.
    """
    if not is_october(scenario):
        return []
    first = DAY.replace(hour=21, minute=13)
    points = [
        (DAY.replace(hour=20, minute=50), PRINT_USD, "last print before the news"),
        (DAY.replace(hour=20, minute=55), 115_328.0, "five-minute close"),
        (DAY.replace(hour=21), 114_198.0, "five-minute close"),
        *[(first + timedelta(minutes=n), float(close), "minute close") for n, close in enumerate(_CLOSES)],
        (LOW_TIME, LOW_USD, "low"),
    ]
    for minutes, share in ((10, 0.50), (30, 0.75), (60, 0.76)):
        points.append(
            (LOW_TIME + timedelta(minutes=minutes), LOW_USD + share * (PRINT_USD - LOW_USD), "recovery share")
        )
    keep = [point for point in points if scenario.start <= point[0] <= scenario.end + timedelta(minutes=1)]
    return [{"time": t, "price_usd": p, "label": label, "grade": "A"} for t, p, label in sorted(keep)]
