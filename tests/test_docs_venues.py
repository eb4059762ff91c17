"""docs/venues.md: every function that it names as executing a rule is there, and every choice of a preset is named."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from abm.settings import read_toml
from abm.venues import rules
from abm.venues.preset import FOLDER, preset_names

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "venues.md").read_text(encoding="utf-8")
TABLE = PAGE.split("## Where each rule is executed")[1].split("\n## ")[0]
NAMED = sorted(set(re.findall(r"`(abm/[\w/]+\.py):([\w.]+)`", TABLE)))


@cache
def defined(file: str) -> set[str]:
    """Dotted names of all functions, classes and methods of a file."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    names = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{item.name}" for item in node.body if isinstance(item, ast.FunctionDef)}
    return names


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_the_function_is_there(file: str, name: str) -> None:
    assert (ROOT / file).is_file(), file
    assert name in defined(file), f"{file} has no {name}"


def test_every_rule_has_a_function() -> None:
    lines = [line for line in TABLE.splitlines() if line.startswith("| ") and not line.startswith("| **")]
    assert len(lines) > 40
    assert all(re.search(r"`abm/[\w/]+\.py:[\w.]+`", line) for line in lines[1:]), lines


def test_every_kind_of_rule_is_in_the_table() -> None:
    """Each way to size, each queue's file, and each heading that presets write numbers under."""
    for sizing in set(get_args(rules.LiquidationRules.model_fields["sizing"].annotation)) - {"whole"}:
        assert f'"{sizing}"' in TABLE
    for file in (ROOT / "abm/clearing/adl").glob("*.py"):
        if file.stem not in ("__init__", "rules", "shares", "queue", "haircuts"):
            assert f"abm/clearing/adl/{file.name}" in TABLE
    used = {key for name in preset_names() for key in read_toml(FOLDER / f"{name}.toml")["liquidation"]}
    told = {"pays_taker_fee", "step_above_usd", "step_share", "whole_up_to_tier"}  # part of a named rule's numbers
    assert {key for key in used - told if key not in TABLE} == set()


def test_headings_exist_in_the_presets() -> None:
    """What the third column names is a field of the schema."""
    text = (ROOT / "abm/venues/rules.py").read_text() + (ROOT / "abm/venues/preset.py").read_text()
    for line in TABLE.splitlines():
        cells = line.split(" | ")
        if len(cells) == 4 and not line.startswith("| **"):
            for name in re.findall(r"`([a-z_.]+)[` =]", cells[2]):
                assert name == "pool" or re.search(rf"\b{name.split('.')[-1]}\b", text), name
