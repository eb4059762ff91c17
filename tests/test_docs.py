"""The documentation: every page is reached, what is made from the code is in step with it, commands are as written."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from abm import MarketModel, gallery, reference
from abm.cli import app
from abm.coverage import missing
from abm.measures import summary, words
from abm.recorder import STEP, Recorder

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md"))]
CODE = re.compile(r"^```(?:bash|sh|console)\n(.*?)^```$|((?:^ {4}(?:deleverage|    --).*\n)+)", re.M | re.S)
SHORT = {"-h", "--help"}


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    named = [
        path
        for block in re.findall(r"^```\{toctree\}\n(.*?)^```$", index, re.M | re.S)
        for line in block.splitlines()
        if line and not line.startswith(":")
        for path in (DOCS.glob(f"{line}.md") if "*" in line else [DOCS / f"{line}.md"])
    ]
    assert len(named) == len(set(named)), "a page stands in two places"
    assert set(named) == set(PAGES) - {DOCS / "index.md"}


@pytest.mark.parametrize("name", sorted(reference.PAGES))
def test_the_reference_is_up_to_date(name: str) -> None:
    made = reference.PAGES[name]().rstrip() + "\n"
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    assert page == made, f"run: python -m abm.reference {name} > docs/{name}.md"


def test_the_gallery_is_up_to_date_and_complete() -> None:
    shown, unknown = gallery.figures()
    assert not unknown, f"say in abm/gallery.py how they are made: {unknown}"
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    assert page == gallery.page(), "run: python -m abm.gallery > docs/gallery.md"
    pictures = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.png")}
    assert set(re.findall(r"\]\(([^)]+\.png)\)", page)) == pictures
    for one in shown:
        assert one.commands, f"{one.file}: no command"
        for command in one.commands:
            if command.split()[1] in ("run", "compare", "stress", "experiment"):
                assert missing(command) == "", command


def test_every_measure_is_explained() -> None:
    """The measures of a run, and those in words: the same names."""
    recorder = Recorder("fills")
    model = MarketModel("tiny", recorder=recorder, duration_s=40)
    model.run()
    found = {re.sub(r"^price_\d{4}_", "price_HHMM_", name) for name in summary(recorder.run())}
    explained = [name for rows in words.MEASURES.values() for name in rows]
    assert len(explained) == len(set(explained))
    assert set(explained) == found
    assert set(words.STEPS) == set(STEP.names or ())
    assert all(words.unit(name) for name in found if name.endswith(("_usd", "_percent", "_bp", "_min", "_s")))


def test_every_event_is_explained() -> None:
    """Kinds in the table of the docstring; numbers and constants belong together."""
    from abm import events

    table = {
        word.strip() for row in re.findall(r"^\| ([A-Z_, ]+) \|", events.__doc__ or "", re.M) for word in row.split(",")
    }
    for number, _ in enumerate(events.KIND_NAMES):
        name = reference._constant(number, 0)
        assert getattr(events, name) == number and name.removesuffix("_EVENT") in table
    for number, _ in enumerate(events.REASON_NAMES):
        assert getattr(events, reference._constant(number, 1)) == number


def known_options() -> dict[str, set[str]]:
    """Options by command."""
    found = {}
    for command in app.registered_commands:
        assert command.callback
        rows = reference.options(command.callback)
        written = {name for row in rows for name in re.findall(r"--[\w-]+", row[0])}
        found[command.name or command.callback.__name__] = written | SHORT
    return found


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.stem)
def test_commands_and_their_options_exist(page: Path) -> None:
    """In every block of commands, on every page."""
    known = known_options()
    text = page.read_text(encoding="utf-8")
    for fenced, indented in CODE.findall(text):
        block = (fenced or indented).replace("\\\n", " ")
        for line in block.splitlines():
            parts = line.split(" #")[0].split("deleverage ", 1)
            if len(parts) < 2 or (parts[0].strip() and not parts[0].rstrip().endswith("bin/")):
                continue
            command, *rest = shlex.split(parts[1])
            if command.startswith("-"):
                continue
            assert command in known, f"{page.name}: {line}"
            used = {word.split("=")[0] for word in rest if re.match(r"--\w", word)}
            assert used <= known[command], f"{page.name}: {line}: {used - known[command]}"


@pytest.mark.full
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("sphinx")
    pytest.importorskip("myst_parser")
    pytest.importorskip("furo")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(DOCS), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for page in PAGES:
        html = (tmp_path / page.relative_to(DOCS)).with_suffix(".html")
        assert html.is_file(), page
    assert "micro-dollar" in (tmp_path / "readme.html").read_text(encoding="utf-8")
