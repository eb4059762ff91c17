"""Every number that a scenario rests on: its value, its default, how well it is known, and what it could be instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel

from abm.parameters import Parameters, reference_rows
from abm.report.page import Html, escaped, flat, number, paragraph, table
from abm.scenario import Scenario
from abm.scenario_venues import Differing
from abm.settings import SettingsError, plain
from abm.venues.preset import VenuePreset, load_preset, preset_names

ABOUT = ("name", "title", "description", "extends", "start", "seed", "record", "traders", "news", "venue")
"""Fields of a scenario that other sections show."""
UNKNOWN = ("assumed", "calibrated")
"""Grades of values that nobody has measured."""
GRADES = {
    "A": "measured in data",
    "B": "reported by one good source",
    "C": "relayed",
    "M": "general knowledge",
    "calibrated": "set so that the model meets a target",
    "assumed": "not observed, or a choice of the model",
}
LONGEST = 90
"""Characters of a value that a table shows; the whole is in the scenario file at the end."""


@dataclass(frozen=True, slots=True)
class Assumption:
    """One value of a scenario. `grade` is "" for choices that are no quantities; `outside`: of its likely range."""

    path: str
    value: Any
    default: Any
    differs: bool
    unit: str = ""
    grade: str = ""
    likely: str = ""
    text: str = ""
    source: str = ""
    outside: bool = False


def assumptions(scenario: Scenario) -> list[Assumption]:
    """Every value of a scenario but its rule books and news, in the order of the schema."""
    base = Scenario.model_validate({})
    found = [item for item in _walk(scenario, base, "") if item.path.split(".")[0] not in ABOUT]
    for other in scenario.others:
        found += _differing(other, scenario, f"others.{other.name}")
    for joined in scenario.participants:
        try:
            own = joined.checked()
        except SettingsError:
            continue
        found += _walk(own, None, f"participants.{joined.name}.parameters")
    return found


def _walk(node: BaseModel, base: Any, path: str) -> Iterator[Assumption]:
    """The leaves of a parameter object; `base` is what the object would be by default (None: the class's defaults)."""
    for name, info in type(node).model_fields.items():
        value, where = getattr(node, name), f"{path}.{name}".lstrip(".")
        default = getattr(base, name) if type(base) is type(node) else None if info.is_required() else _default(info)
        if isinstance(value, VenuePreset) or (isinstance(node, Differing) and isinstance(value, dict)):
            continue
        if name == "parameters" and path.startswith("participants."):
            continue
        if isinstance(value, Parameters):
            yield from _walk(value, default, where)
        elif isinstance(value, tuple) and value and all(isinstance(item, Parameters) for item in value):
            for i, item in enumerate(value):
                first = default[i] if isinstance(default, tuple) and i < len(default) else None
                yield from _walk(item, first, f"{where}.{getattr(item, 'name', '') or i}")
        else:
            required = info.is_required() and type(base) is not type(node)
            yield _judged(_rows(type(node)).get(name, {}), where, value, "none" if required else default, required)


def _differing(other: Differing, scenario: Scenario, path: str) -> Iterator[Assumption]:
    """What another venue, or coin, states for its traders, beside the lead venue's values."""
    for kind in type(other).model_fields:
        lead, own = getattr(scenario, kind, None), getattr(other, kind)
        if not isinstance(own, dict) or not isinstance(lead, Parameters):
            continue
        rows = _rows(type(lead))
        for name, value in own.items():
            first = getattr(lead, name, None)
            yield _judged(rows.get(name, {}), f"{path}.{kind}.{name}", value, first, value != first)


def _judged(row: Mapping[str, str], path: str, value: Any, default: Any, differs: bool) -> Assumption:
    """A leaf beside its row of the reference."""
    likely = row.get("likely", "")
    outside = False
    if likely and value and isinstance(value, int | float) and not isinstance(value, bool):  # 0 stands for off
        low, high = (float(end) for end in likely.split(" to "))
        outside = not low - 1e-9 * abs(low) <= value <= high + 1e-9 * abs(high)
    unit = row.get("unit", "")
    return Assumption(
        path,
        value,
        default,
        differs or _data(value) != _data(default),
        "" if unit == "-" else unit,
        row.get("grade", ""),
        likely,
        row.get("text", ""),
        row.get("source", ""),
        outside,
    )


@cache
def _rows(kind: type[BaseModel]) -> dict[str, dict[str, str]]:
    return {row["path"]: row for row in reference_rows(kind)}


def _default(info: Any) -> Any:
    return info.get_default(call_default_factory=True)


def _data(value: Any) -> Any:
    """Tuples as lists, so that a value from a file equals one from the schema."""
    return [_data(item) for item in value] if isinstance(value, list | tuple) else value


# --- as tables --------------------------------------------------------------------------------------------------------
HEADS = ("parameter", "value", "default", "unit", "grade", "likely range", "meaning and source")
WORDS = (0, 3, 4, 5, 6)


def shown(value: Any) -> str:
    """A value in a cell."""
    if isinstance(value, tuple | list) and all(isinstance(item, int | float) for item in value):
        words = ", ".join(plain(item) for item in value) or "none"
    elif value is None:
        words = "none"
    elif isinstance(value, str):
        words = value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        whole = abs(value) >= 10_000 and value == int(value)
        words = f"{int(value):,}" if whole else plain(value)
    else:
        words = plain(value.model_dump(mode="json") if isinstance(value, BaseModel) else _data(value))
    return words if len(words) <= LONGEST else f"{words[:LONGEST]} …"


def broken(path: str) -> Html:
    """A dotted path that may be broken after a dot or an underscore."""
    return Html(escaped(path).replace(".", ".<wbr>").replace("_", "_<wbr>"))


def parameter_table(caption: str, items: Sequence[Assumption], note: str = "") -> Html:
    """Parameters with grade, range and source."""
    rows = []
    for item in items:
        likely = f"{item.likely} (value is outside)" if item.outside else item.likely
        source = " ".join(text.rstrip(".") + "." for text in (item.text, item.source) if text)
        default = "required" if item.default == "none" and item.differs else shown(item.default)
        rows.append((broken(item.path), shown(item.value), default, item.unit, item.grade, likely, source))
    return table(caption, HEADS, rows, WORDS, note, "parameters")


def counts(items: Sequence[Assumption]) -> Html:
    """How many values are known how well."""
    graded = [item for item in items if item.grade]
    rows = [
        (
            grade,
            words,
            str(sum(item.grade == grade for item in graded)),
            str(sum(item.grade == grade and item.differs for item in graded)),
        )
        for grade, words in GRADES.items()
    ]
    heads = ("grade", "meaning", "parameters", "not at their default")
    return table("How well the numbers are known", heads, rows, (0, 1))


def blocks(scenario: Scenario) -> tuple[Html, Html]:
    """The section of assumptions, and the appendix with all parameters at their defaults that are not assumed."""
    items = assumptions(scenario)
    changed = [item for item in items if item.differs]
    unknown = [item for item in items if not item.differs and item.grade in UNKNOWN]
    rest = [item for item in items if not item.differs and item.grade not in UNKNOWN]
    beyond = sum(item.outside for item in items)
    words = f"{len(items):,} values, {len(changed)} of them not at their default. "
    words += f"{sum(item.grade == 'assumed' for item in items)} are assumed: observed by nobody, or chosen; "
    words += f"{sum(item.grade == 'calibrated' for item in items)} are calibrated; "
    words += f"{beyond} lie outside their likely range. "
    words += "A value without a grade is a choice of the model. Venue rules and news have tables of their own."
    first = [
        paragraph(words),
        counts(items),
        parameter_table("Values that differ from the defaults", changed),
        parameter_table("Assumed and calibrated values at their defaults", unknown),
    ]
    last = parameter_table("Other values, at their defaults", rest)
    return Html("\n".join(first)), last


def news_table(scenario: Scenario) -> Html:
    """The news: what is imposed on the market from outside."""
    rows = [
        (
            item.name,
            str(item.at),
            number(item.over_s),
            plain(item.change_percent).replace("-", "\N{MINUS SIGN}"),
            item.grade,
            item.source,
        )
        for item in scenario.news
    ]
    heads = ("news", "UTC", "lasts, s", "change of fair value, %", "grade", "source")
    note = "Everything beyond it comes from the market itself."
    return table("News, imposed from outside", heads, rows, (0, 1, 4, 5), note)


# --- rule books -------------------------------------------------------------------------------------------------------
def rule_books(scenario: Scenario) -> Html:
    """Each venue's rules: which preset they come from, what was changed, how well each is known."""
    parts: list[Html] = []
    for venue in (scenario.venue, *(other.venue for other in scenario.others)):
        name, changes = nearest_preset(venue)
        words = f"{venue.title} ({venue.name}), in force {venue.in_force}. "
        words += f"The rules of preset {name}, unchanged." if not changes else f"Preset {name}, with changes:"
        parts.append(paragraph(words))
        if changes:
            title = f"Rules of {venue.name} that differ from the preset"
            parts.append(table(title, ("rule", "here", "preset"), changes))
        rows = [(path, status, text) for path, (status, text) in venue.sources.items()]
        note = "verified: read in a source; partial: with a gap; default: general knowledge or a choice."
        title = f"Sources of the rules of {venue.name}"
        parts.append(table(title, ("rule", "status", "source"), rows, (0, 1, 2), note))
    return Html("\n".join(parts))


def nearest_preset(venue: VenuePreset) -> tuple[str, list[tuple[str, str, str]]]:
    """The packaged preset with the fewest differences, and these as (rule, here, in the preset)."""
    here = flat(venue.model_dump(mode="json", exclude={"sources", "schema_version"}))
    best: tuple[str, list[tuple[str, str, str]]] | None = None
    for name in preset_names():
        there = flat(load_preset(name).model_dump(mode="json", exclude={"sources", "schema_version"}))
        paths = [path for path in dict.fromkeys([*here, *there]) if here.get(path) != there.get(path)]
        changes = [(path, shown(here.get(path)), shown(there.get(path))) for path in paths]
        if best is None or len(changes) < len(best[1]):
            best = (name, changes)
    assert best is not None
    return best
