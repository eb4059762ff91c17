"""The README and the pages of docs/ do what they say: Python snippets run, names and links exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
SNIPPETS = [
    pytest.param(match[1], id=f"{page.name}-{number}")
    for page in PAGES
    for number, match in enumerate(BLOCK.finditer(page.read_text(encoding="utf-8")))
]


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_snippets_run(snippet: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", snippet],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{snippet}\n{done.stdout}{done.stderr}"


def test_the_readme_has_a_snippet() -> None:
    assert SNIPPETS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_automatic_check_runs_the_readmes_line() -> None:
    """`.ci/run` takes the line from between the marker and the end of its block; there must be exactly one."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- test line -->\n```bash\n(.+)\n```\n", readme)
    assert block
    assert "\n" not in block[1]
    assert "pip install" in block[1] and "pytest" in block[1]
    assert readme.count("<!-- test line -->") == 1


def test_commands_in_the_table_exist() -> None:
    from abm.cli import app

    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    named = set(re.findall(r"^\| `deleverage ([\w-]+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.M))
    assert named
    assert named <= known
