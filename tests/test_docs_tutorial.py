"""docs/tutorial.md does what it says: its files, its commands and its Python, in order, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from abm.scenario import load_scenario
from abm.sweep.study import load_study

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "tutorial.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
COMMAND = "from abm.cli import main; main()"


def python(folder: Path, code: str, *words: str) -> subprocess.CompletedProcess[str]:
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-c", code, *words]
    return subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, check=False)


def blocks() -> list[tuple[str, str]]:
    return FENCE.findall(PAGE.read_text(encoding="utf-8"))


def test_its_files_are_valid(tmp_path: Path) -> None:
    for kind, text in blocks():
        if kind == "toml":
            (tmp_path / text.split()[1]).write_text(text, encoding="utf-8")
    assert load_scenario(tmp_path / "cascade.toml").venue.backstop.size_usd == 1_000_000
    assert load_study(tmp_path / "news.toml").replicates == 3


@pytest.mark.full
def test_the_tutorial_runs(tmp_path: Path) -> None:
    """Every block in order; a command is expected to end with 0, or with the exit code that its comment names."""
    said, commands = "", 0
    for kind, text in blocks():
        if kind == "toml":
            name = re.match(r"# ([\w-]+\.toml)\n", text)
            assert name, text
            (tmp_path / name[1]).write_text(text, encoding="utf-8")
        elif kind == "py":
            done = python(tmp_path, text)
            assert done.returncode == 0, f"{text}\n{done.stderr}"
            said += done.stdout
        else:
            assert kind == "console", f"a block of {kind}: nothing runs it"
            for line in text.splitlines():
                words, _, note = line.partition("#")
                expected = int(note.removeprefix(" exit code ")) if note else 0
                command, *rest = words.split()
                assert command == "deleverage"
                done = python(tmp_path, COMMAND, *rest)
                assert done.returncode == expected, f"{line}\n{done.stdout}{done.stderr}"
                commands += 1
    assert commands >= 12
    assert "0 winners" not in said and "winners were closed" in said
    assert (tmp_path / "runs/first/overview.png").is_file() and (tmp_path / "runs/sweep-news.html").is_file()
