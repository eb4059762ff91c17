"""Base of all parameter objects: frozen, closed to unknown names; every number with unit, bounds, grade, source."""

from __future__ import annotations

import types
import typing
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Grade = Literal["A", "B", "C", "M", "calibrated", "assumed"]
"""How well a default is known: A measured in data, B reported by one good source, C relayed, M general knowledge,
calibrated to a target, assumed where nobody could know."""


class Parameters(BaseModel):
    """A frozen set of parameters; unknown names and wrong types are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def quantity(
    default: Any,
    *,
    unit: str,
    source: str,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    grade: Grade = "assumed",
    likely: tuple[float, float] | None = None,
    text: str | None = None,
) -> Any:
    """A field with its unit, bounds, grade and source, as the reference table shows them.

    Args:
        default: value, `...` for a required field.
        unit: e.g. "$", "1/s", "rate"; "-" for a pure number.
        source: where the default comes from, in a few words or as an address.
        ge, gt, le, lt: bounds outside of which a value is refused.
        grade: how well the default is known.
        likely: range that a sensitivity study should cover.
        text: one line of explanation.
    """
    extra: dict[str, Any] = {"unit": unit, "source": source, "grade": grade}
    if likely is not None:
        if not likely[0] <= likely[1]:
            raise ValueError(f"likely range {likely} is upside down")
        extra["likely"] = list(likely)
    return Field(default, ge=ge, gt=gt, le=le, lt=lt, description=text, json_schema_extra=extra)


def reference_rows(cls: type[BaseModel], prefix: str = "") -> list[dict[str, str]]:
    """The reference table of a parameter class, nested classes included.

    Returns one dict a field with the text columns path, type, default, unit, bounds, likely, grade, source, text. Lists
    of parameter objects appear as `path[]`, tables as `path.*`.
    """
    rows: list[dict[str, str]] = []
    for name, info in cls.model_fields.items():
        path = prefix + name
        nested = _nested(info.annotation)
        if nested:
            for kind, mark in nested:
                rows.extend(reference_rows(kind, f"{path}{mark}."))
            continue
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        likely = extra.get("likely")
        rows.append(
            {
                "path": path,
                "type": _type_name(info.annotation),
                "default": "required" if info.is_required() else _plain(info.get_default(call_default_factory=True)),
                "unit": str(extra.get("unit", "")),
                "bounds": _bounds(info.metadata),
                "likely": f"{_plain(likely[0])} to {_plain(likely[1])}" if isinstance(likely, list) else "",
                "grade": str(extra.get("grade", "")),
                "source": str(extra.get("source", "")),
                "text": info.description or "",
            }
        )
    return rows


def _nested(annotation: Any) -> list[tuple[type[BaseModel], str]]:
    """Parameter classes inside an annotation, each with the mark that its path gets."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [(annotation, "")]
    origin = typing.get_origin(annotation)
    marks: dict[Any, str] = {list: "[]", tuple: "[]", dict: ".*"}
    marks.update(dict.fromkeys((typing.Union, types.UnionType, typing.Annotated), ""))
    if origin not in marks:
        return []
    found = []
    for part in typing.get_args(annotation):
        found.extend([(kind, marks[origin] + mark) for kind, mark in _nested(part)])
    return found


def _type_name(annotation: Any) -> str:
    """Readable name of a type."""
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__name__
    if typing.get_origin(annotation) is Literal:
        return " | ".join(repr(choice) for choice in typing.get_args(annotation))
    return str(annotation).replace("typing.", "")


def _plain(value: Any) -> str:
    """A default as people write it."""
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def _bounds(metadata: list[Any]) -> str:
    """The bounds among the constraints of a field, e.g. ">= 0, < 1"."""
    signs = (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))
    return ", ".join(
        f"{sign} {_plain(getattr(item, key))}"
        for key, sign in signs
        for item in metadata
        if getattr(item, key, None) is not None
    )
