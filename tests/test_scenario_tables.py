"""Every table in `tests/scenarios` on the real engine, and that a wrong table fails readably."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from abm.venues.preset import BackstopRules, DeleverageRules, LiquidationRules
from tests.scenario_tables import Run, Story, TableError, stories

FOLDER = Path(__file__).parent / "scenarios"
STORIES = [story for path in sorted(FOLDER.glob("*.txt")) for story in stories(path)]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_scenario(story: Story) -> None:
    Run(story).run()


def test_every_rule_has_a_table() -> None:
    """Each way to size, to limit, to trigger, to deleverage and to price it, by default or by `set`."""
    used = {name: set[str]() for name in ("sizing", "order_limit", "trigger", "rule", "price")}
    for story in STORIES:
        preset = Run(story).preset
        used["sizing"].add(preset.liquidation.sizing)
        used["order_limit"].add(preset.liquidation.order_limit)
        used["trigger"].add(preset.backstop.trigger)
        used["rule"].add(preset.deleverage.rule)
        used["price"].add(preset.deleverage.price)
    for rules in (LiquidationRules, BackstopRules, DeleverageRules):
        for name in used.keys() & rules.model_fields.keys():
            assert used[name] == set(get_args(rules.model_fields[name].annotation)), name


RIGHT = """
venue binance-2025-10
set fees = 0
set liquidation.fee = 0
set band = 50 %
price 100
fund 40
account | position | entry | money
A | +100 | 100 | 5x isolated     # a note
B | -100 | 100 | 500 cross
book buys 6 at 82
mark 79
round -> A sells 100 at 80 or better | A sold 6 to book at 82
-> adl B 94 for A at 79.87 (bankruptcy)
after | position | money
A | 0 | 0
"""


def run(folder: Path, *changes: tuple[str, str]) -> None:
    text = RIGHT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "case.txt").write_text(text, encoding="utf-8")
    for story in stories(folder / "case.txt"):
        Run(story).run()


def test_a_wrong_expectation_shows_both_sides(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(AssertionError) as failure:
        run(tmp_path, ("adl B 94", "adl B 93"))
    assert str(failure.value).splitlines() == [
        "case, line 13: round",
        "  expected                    | found",
        "  A sells 100 at 80 or better | A sells 100 at 80 or better",
        "  A sold 6 to book at 82      | A sold 6 to book at 82",
        "> adl B 93 for A at 79.87     | adl B 94 for A at 79.87",
    ]
    with pytest.raises(AssertionError, match=r"> nothing +\| adl B 94 for A at 79.87"):
        run(tmp_path, ("-> adl B 94 for A at 79.87 (bankruptcy)\n", ""))
    with pytest.raises(AssertionError, match=r"(?s)A after.*> money 1 +\| money 0"):
        run(tmp_path, ("A | 0 | 0", "A | 0 | 1"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("B | -100", "B | -90", "positions add up to 10, not 0"),
        ("mark 79", "marc 79", r"line 12: nobody knows what 'marc 79' means"),
        ("mark 79", "mark low", "line 12: 'low' is not a number"),
        ("band =", "liquidation.bend =", "line 5: no rule is called 'liquidation.bend'"),
        ("after | position | money", "after | position | wealth", "line 16: 'wealth' is none of BTCUSDT, position"),
        ("A | 0 | 0", "C | 0 | 0", "line 16: there is no account 'C'"),
        ("venue binance-2025-10", "", "no line 'venue ...'"),
        ("5x isolated ", "5x isolated | 3", "line 9: an account has"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(TableError, match=message):
        run(tmp_path, (old, new))
