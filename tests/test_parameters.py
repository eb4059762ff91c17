"""Parameter objects and the reference table made from them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import Field, ValidationError

from abm.parameters import Parameters, quantity, reference_rows


class Inner(Parameters):
    share: float = quantity(0.25, unit="-", source="nobody knows", ge=0, lt=1, likely=(0.1, 0.5), text="a share")


class Outer(Parameters):
    size: int = quantity(..., unit="$", source="a paper", gt=0, grade="B")
    inner: Inner = Inner()
    many: tuple[Inner, ...] = ()
    table: dict[str, Inner] = Field(default_factory=dict)
    maybe: Inner | None = None
    note: str = "x"


def test_frozen_closed_and_bounded():
    value = Outer(size=1)
    with pytest.raises(ValidationError, match="frozen"):
        value.size = 2
    with pytest.raises(ValidationError) as caught:
        Outer(size=0, inner={"share": 1}, sise=3)
    assert {error["loc"] for error in caught.value.errors()} == {("size",), ("inner", "share"), ("sise",)}


def test_reference_rows_carry_everything():
    rows = {row["path"]: row for row in reference_rows(Outer)}
    assert list(rows) == ["size", "inner.share", "many[].share", "table.*.share", "maybe.share", "note"]
    assert rows["size"] == {
        "path": "size",
        "type": "int",
        "default": "required",
        "unit": "$",
        "bounds": "> 0",
        "likely": "",
        "grade": "B",
        "source": "a paper",
        "text": "",
    }
    share = rows["inner.share"]
    assert (share["default"], share["bounds"], share["likely"]) == ("0.25", ">= 0, < 1", "0.1 to 0.5")
    assert (share["grade"], share["text"]) == ("assumed", "a share")


def test_likely_range_must_not_be_upside_down():
    with pytest.raises(ValueError, match="upside down"):
        quantity(1, unit="-", source="-", likely=(2, 1))


def test_import_is_cheap():
    code = "import sys, abm.parameters; sys.exit(any(m in sys.modules for m in ('numba', 'mesa', 'numpy', 'pandas')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
