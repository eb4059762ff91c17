"""How the pages of this folder become a site: `make docs`. Nothing of the package is imported."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_about = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "Deleverage"
author = copyright = _about["authors"][0]["name"]
version = release = _about["version"]

extensions = ["myst_parser"]
myst_fence_as_directive = ["math"]  # equations stand in fences, as other readers of Markdown have them; `$` is money
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = html_show_sourcelink = False

ABOVE = {"readme": "README.md", "changelog": "CHANGELOG.md"}
"""Pages of the site whose text lies in the folder above; here only a line stands in their place."""


def from_above(app: Any, name: str, source: list[str]) -> None:
    """Put the texts of the folder above in their places, and let links to them lead there."""
    up = "../" * name.count("/")
    if name in ABOVE:
        path = ROOT / ABOVE[name]
        app.env.note_dependency(str(path))
        text = path.read_text(encoding="utf-8").replace("](docs/scenarios)", "](gallery.md)").replace("](docs/", "](")
        source[0] = re.sub(r"\]\((?=CITATION|LICENSE)", "](../", text)
        up = ".."  # never found: what stands beside it is in the same folder
    for page, file in ABOVE.items():
        source[0] = source[0].replace(f"]({file})", f"]({page}.md)").replace(f"](../{up}{file})", f"]({up}{page}.md)")


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", from_above)
