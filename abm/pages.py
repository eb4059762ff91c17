"""Parts of a page that a command writes: what stands between two markers is written afresh, the rest stays.

<!-- begin NAME: command -->
...
<!-- end NAME -->
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from abm.settings import SettingsError


def fill(path: Path, parts: Mapping[str, str]) -> list[str]:
    """Write parts (Markdown by name) between their markers; the names that the page has, in its order.

    Raises SettingsError when the page is not there or a marker lacks its end.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError([f"{path}: {error.strerror}"]) from None
    found = []
    for match in re.finditer(r"<!-- begin ([a-z0-9-]+)[^>]*-->\n", text):
        name = match[1]
        if f"<!-- end {name} -->" not in text[match.end() :]:
            raise SettingsError([f"{path}: marker {name} has no end"])
        found.append(name)
    for name in found:
        if name in parts:
            form = rf"(<!-- begin {name}(?![a-z0-9-])[^>]*-->\n).*?(<!-- end {name} -->)"
            body = parts[name].strip()
            text = re.sub(form, lambda m, body=body: f"{m[1]}\n{body}\n\n{m[2]}", text, flags=re.S)  # type: ignore[misc]
    path.write_text(text, encoding="utf-8")
    return found


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the first column is of words, the others stand right."""
    rule = ["---", *("---:" for _ in heads[1:])]
    lines = [heads, rule, *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
