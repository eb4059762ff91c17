"""Settings written by people: merging tables, overriding single values, and saying everything that is wrong at once.

Knows nothing of scenarios: it works on any `Parameters` schema, so presets and experiments report mistakes alike.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from abm.parameters import reference_rows

Table = dict[str, Any]
P = TypeVar("P", bound=BaseModel)


class SettingsError(ValueError):
    """Bad input. `lines` holds every problem found, one `dotted.path: value: what is wrong` each."""

    def __init__(self, lines: Sequence[str], origin: str = "") -> None:
        self.lines = list(lines)
        self.origin = origin
        head = f"{origin}: " if origin else ""
        count = f"{len(self.lines)} problem{'s' if len(self.lines) != 1 else ''}"
        super().__init__("\n".join([f"{head}{count}", *(f"  {line}" for line in self.lines)]))


# --- tables -----------------------------------------------------------------------------------------------------------
def read_toml(path: Path) -> Table:
    """A TOML file as a dict. Raises `SettingsError` with the line of a syntax error."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"not valid TOML: {error}"], str(path)) from None


def keyed(value: object) -> bool:
    """Whether this is a list of tables that all carry a `name`."""
    return (
        isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) and "name" in item for item in value)
    )


def merge(base: Any, over: Any) -> Any:
    """`over` on top of `base`: tables merge key by key, lists of named tables by name, everything else is replaced."""
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        merged = dict(base)
        for key, value in over.items():
            merged[key] = merge(base[key], value) if key in base else value
        return merged
    if keyed(base) and keyed(over):
        changes = {item["name"]: item for item in over}
        kept = [merge(item, changes.pop(item["name"])) if item["name"] in changes else item for item in base]
        return kept + list(changes.values())
    return over


def parse_value(text: str) -> Any:
    """The right side of `a.b=v`: a TOML value (number, true, "text", time, list, table), JSON, or else plain text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        pass
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text.strip()


def override(table: Table, assignment: str) -> Table:
    """A copy of `table` with the text `a.b=v` applied. Raises `SettingsError` when it is none, or as `put`."""
    path, equals, text = assignment.partition("=")
    if not equals or not all(key.strip() for key in path.split(".")):
        raise SettingsError([f"{assignment!r}: not of the form a.b=value"], "--set")
    return put(table, path, parse_value(text))


def put(table: Table, path: str, value: Any) -> Table:
    """A copy of `table` with `value` at the dotted path. List items are named by position or by their `name`.

    Raises `SettingsError` for a list without such an item; unknown names are left to the schema.
    """
    keys = [key.strip() for key in path.split(".")]

    def placed(node: Any, depth: int) -> Any:
        if depth == len(keys):
            return value
        key = keys[depth]
        if isinstance(node, list):
            index = item_index(node, key)
            if index is None:
                names = [str(item.get("name", i)) for i, item in enumerate(node) if isinstance(item, Mapping)]
                raise SettingsError([f"{path}: no item {key!r} in {'.'.join(keys[:depth])}{nearest(key, names)}"])
            return [placed(item, depth + 1) if i == index else item for i, item in enumerate(node)]
        inner = dict(node) if isinstance(node, Mapping) else {}
        inner[key] = placed(inner.get(key), depth + 1)
        return inner

    changed: Table = placed(table, 0)
    return changed


def item_index(items: Sequence[Any], key: str) -> int | None:
    """Position of the list item with this position or `name`."""
    if key.isdigit():
        return int(key) if int(key) < len(items) else None
    return next((i for i, item in enumerate(items) if isinstance(item, Mapping) and item.get("name") == key), None)


def nearest(word: str, names: Sequence[str]) -> str:
    """`; did you mean "x"?`, or `; known: ...` for a short list, or nothing."""
    lower = [name.lower() for name in names]
    close = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.55)
    close = close or [name for name in lower if len(word) > 2 and name.startswith(word.lower()[:-1])]
    if close:
        original = next(name for name in names if name.lower() == close[0])
        return f'; did you mean "{original}"?'
    return f"; known: {', '.join(names)}" if 0 < len(names) <= 12 else ""


# --- schema -----------------------------------------------------------------------------------------------------------
class Catalogue:
    """The fields of a schema by dotted path, for messages: nearest names, bounds and units."""

    def __init__(self, schema: type[BaseModel]) -> None:
        self.rows = {row["path"]: row for row in reference_rows(schema)}

    def find(self, path: Sequence[str | int]) -> tuple[str, dict[str, str] | None]:
        """Pattern (`news[].at`) and row of a location; parts that pydantic adds for branches of a union are dropped."""
        pattern = ""
        for part in path:
            tries = [f"{pattern}[]"] if isinstance(part, int) else [f"{pattern}.{part}".lstrip("."), f"{pattern}.*"]
            known = [
                t
                for t in tries
                if t in self.rows or any(row.startswith((f"{t}.", f"{t}[]", f"{t}[")) for row in self.rows)
            ]
            pattern = known[0] if known else pattern
        return pattern, self.rows.get(pattern)

    def names(self, pattern: str) -> list[str]:
        """Names allowed directly below a pattern."""
        prefix = f"{pattern}." if pattern else ""
        below = [path[len(prefix) :] for path in self.rows if path.startswith(prefix)]
        return list(dict.fromkeys(rest.split(".")[0].split("[")[0] for rest in below))

    def unknown(self, path: Sequence[str | int]) -> str:
        """What to say about an unknown name: the nearest one beside it, else the same name elsewhere."""
        pattern, _ = self.find(path[:-1])
        word = str(path[-1])
        hint = nearest(word, self.names(pattern))
        if "did you mean" not in hint:
            elsewhere = [known for known in self.rows if known.rsplit(".", 1)[-1] == word]
            hint = f'; did you mean "{elsewhere[0]}"?' if elsewhere else hint
        return f"unknown name{hint}"


def allowed(row: Mapping[str, str] | None) -> str:
    """`; allowed: >= 0, $` for a message."""
    if row is None:
        return ""
    parts = [part for part in (row["bounds"], row["unit"] if row["unit"] != "-" else "") if part]
    return f"; allowed: {', '.join(parts)}" if row["bounds"] else (f"; unit: {parts[0]}" if parts else "")


def plain(value: Any) -> str:
    """A value as people write it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, datetime | time | date):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False, default=str)


def validate(schema: type[P], data: Mapping[str, Any], origin: str) -> P:
    """Check a table against a schema, strictly: "5" is no number, true is no 1.

    Raises `SettingsError` with every problem found.
    """
    try:
        return _parse(schema, data)
    except ValidationError as error:
        raise SettingsError(problems(error, schema, data), origin) from None


def _parse(schema: type[P], data: Mapping[str, Any]) -> P:
    # As JSON text: only there does strict checking still accept lists for tuples and texts for times.
    return schema.model_validate_json(json.dumps(data, default=_iso), strict=True)


def without_mistakes(schema: type[BaseModel], data: Table) -> Table:
    """The table without the entries that the schema refuses, so that later checks can still look at the rest."""
    try:
        _parse(schema, data)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            data = _removed(data, item["loc"])
    return data


def _removed(node: Any, path: Sequence[str | int]) -> Any:
    """A copy of nested tables without the entry at `path`; in a list the whole item goes."""
    if isinstance(node, Mapping) and path[0] in node:
        rest = {key: value for key, value in node.items() if key != path[0]}
        inner = node[str(path[0])]
        if len(path) == 1 or not isinstance(inner, Mapping | list):
            return rest
        return {**rest, path[0]: _removed(inner, path[1:])}
    if isinstance(node, list) and isinstance(path[0], int):
        return [item for i, item in enumerate(node) if i != path[0]]
    return node


def _iso(value: Any) -> str:
    if isinstance(value, datetime | time | date):
        return value.isoformat()
    raise TypeError(f"{value!r} cannot stand in a settings file")


def problems(error: ValidationError, schema: type[BaseModel], data: Any) -> list[str]:
    """One line for each error pydantic found, with nearest name, bounds and unit."""
    catalogue = Catalogue(schema)
    lines: dict[str, str] = {}
    for item in error.errors(include_url=False):
        path = item["loc"]
        pattern, row = catalogue.find(path)
        where = dotted(path, data) or "file"
        value = "" if isinstance(item["input"], Mapping) or item["type"] == "missing" else f"{plain(item['input'])}: "
        if item["type"] == "extra_forbidden":
            what = catalogue.unknown(path)
        elif item["type"] == "missing":
            what = f"missing{allowed(row)}"
        else:
            message = item["msg"].removeprefix("Value error, ").replace("Input should be", "should be")
            message = message[:1].lower() + message[1:]
            choices = str(item.get("ctx", {}).get("expected", "")) if item["type"] == "literal_error" else ""
            names = [choice.strip(" '\"") for choice in choices.replace(" or ", ",").split(",") if choice.strip()]
            hint = nearest(str(item["input"]), names) if names else ""
            what = f"{message}{hint if 'did you mean' in hint else ''}{allowed(row)}"
        lines.setdefault(f"{where}|{pattern}" if row else where, f"{where}: {value}{what}")
    return list(lines.values())


def dotted(path: Sequence[str | int], data: Any) -> str:
    """`news.tariff.at` for a location; a list item is called by its name where it has one."""
    parts: list[str] = []
    for part in path:
        inner = None
        if isinstance(part, int):
            inner = data[part] if isinstance(data, list | tuple) and part < len(data) else None
            parts.append(str(inner["name"]) if isinstance(inner, Mapping) and "name" in inner else str(part))
        elif isinstance(data, Mapping) or not parts:
            inner = data.get(part) if isinstance(data, Mapping) else None
            parts.append(part)
        data = inner
    return ".".join(parts)


# --- writing ----------------------------------------------------------------------------------------------------------
def toml_value(value: Any) -> str:
    """One TOML value."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, time | date):
        return value.isoformat()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{toml_key(k)} = {toml_value(v)}" for k, v in value.items() if v is not None) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    return json.dumps(str(value), ensure_ascii=False)


def toml_key(key: str) -> str:
    """A key, quoted where it must be."""
    return (
        key
        if key and all(c.isascii() and (c.isalnum() or c in "_-") for c in key)
        else json.dumps(key, ensure_ascii=False)
    )


def to_toml(table: Mapping[str, Any], prefix: str = "") -> str:
    """A TOML document: plain values first, then tables and lists of tables. `None` is left out."""
    lines, later = [], []
    for key, value in table.items():
        path = f"{prefix}{toml_key(key)}"
        tables = isinstance(value, list | tuple) and bool(value) and all(isinstance(item, Mapping) for item in value)
        if isinstance(value, Mapping):
            later.append(f"\n[{path}]\n{to_toml(value, f'{path}.')}")
        elif tables:
            later += [f"\n[[{path}]]\n{to_toml(item, f'{path}.')}" for item in value]
        elif value is not None:
            lines.append(f"{toml_key(key)} = {toml_value(value)}\n")
    return "".join(lines + later)


def markdown_table(schema: type[BaseModel], prefix: str = "") -> str:
    """Markdown table of every field of a schema, ordered as declared."""
    columns = ("path", "default", "unit", "bounds", "likely", "grade", "text", "source")
    heads = ("name", "default", "unit", "bounds", "likely", "grade", "meaning", "source")
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for row in reference_rows(schema, prefix):
        cells = [row[column].replace("|", "\\|").replace("\n", " ") for column in columns]
        cells[0] = f"`{cells[0]}`"
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
