"""Published, exact and ours side by side: the rows by which experiments say how well they reproduce a result."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

Check = dict[str, Any]
HEADS = ("published", "exact", "ours", "difference", "tolerance")
WIDTH = 12


def check(
    what: str,
    ours: float,
    *,
    exact: float | None = None,
    published: float | None = None,
    within: float,
    why: str,
    unit: str = "-",
) -> Check:
    """One comparison.

    Args:
        what: the quantity, in words.
        ours: what the project's own book, clearing and agents gave.
        exact: what theory or an exact solver gives; it is what counts where both are known.
        published: what the paper prints.
        within: tolerance, absolute, in the quantity's unit.
        why: where the tolerance comes from, e.g. "4 standard errors".
        unit: of all the numbers.

    Returns:
        A row for `results`, with `difference` (ours minus the value it is held against) and `inside`.

    Raises:
        ValueError: neither an exact nor a published value is given.
    """
    held = exact if exact is not None else published
    if held is None:
        raise ValueError(f"{what}: nothing to compare with")
    difference = float(ours) - float(held)
    return {
        "what": what,
        "unit": unit,
        "published": None if published is None else float(published),
        "exact": None if exact is None else float(exact),
        "ours": float(ours),
        "difference": difference,
        "tolerance": float(within),
        "why": why,
        "inside": bool(abs(difference) <= within),
    }


def check_table(checks: Sequence[Check]) -> str:
    """The comparisons as plain lines, with a count of those inside their tolerance."""
    names = [f"{row['what']}, {row['unit']}" if row["unit"] != "-" else row["what"] for row in checks]
    wide = max((len(name) for name in names), default=0) + 2
    lines = [f"{'':<{wide}}" + "".join(f"{head:>{WIDTH}}" for head in HEADS)]
    for name, row in zip(names, checks, strict=True):
        cells = "".join(f"{_number(row[head]):>{WIDTH}}" for head in HEADS)
        lines.append(f"{name:<{wide}}{cells}  {'' if row['inside'] else 'OUTSIDE '}({row['why']})")
    inside = sum(row["inside"] for row in checks)
    return "\n".join([*lines, f"{inside} of {len(checks)} inside their tolerance"])


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = min(max(4 - math.floor(math.log10(abs(value))), 0), 6) if abs(value) < 1e5 else 0
    return f"{value:.{decimals}f}"
