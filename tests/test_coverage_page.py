"""docs/coverage.md: generated, and true about what exists."""

from __future__ import annotations

from pathlib import Path

from abm.coverage import DOCS, ROWS, System, missing, page


def test_the_page_is_up_to_date() -> None:
    words = (DOCS / "coverage.md").read_text(encoding="utf-8")
    assert words == page(), "run: python -m abm.coverage > docs/coverage.md"


def test_every_system_has_a_row() -> None:
    assert [row.number for row in ROWS] == list(range(1, 26))
    for row in ROWS:
        assert row.commands or row.open, f"S{row.number} neither shown nor said to be open"
        assert all(not missing(command) for command in row.commands) or row.state(DOCS) != "shown"


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    rows = (
        System(1, "one", ("deleverage run tiny", "deleverage run nowhere"), "nothing.png"),
        System(2, "two", ("deleverage experiment nothing",), "nothing.png"),
        System(3, "three"),
        System(4, "four", ("deleverage run tiny",), "there.png"),
        System(5, "five", ("deleverage run tiny",), "there.png", "much"),
    )
    (tmp_path / "there.png").write_bytes(b"x")
    words = page(rows, tmp_path)
    assert [row.state(tmp_path) for row in rows] == ["partly", "open", "open", "shown", "partly"]
    assert "1 shown, 2 partly, 2 open." in words
    assert "no scenario nowhere; no figure yet" in words and "no experiment nothing" in words
    assert "nothing.png" not in words and "`deleverage run nowhere`" not in words


def test_commands_are_checked() -> None:
    assert missing("deleverage compare tiny --set makers.count=10") == ""
    assert "makers.cuont" in missing("deleverage compare tiny --set makers.cuont=10")
    assert missing("deleverage fly tiny") and missing("rm tiny x")
