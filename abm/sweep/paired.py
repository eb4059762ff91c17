"""Pairs of runs on common seeds: the table of their differences and its figure's data."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from abm.scenario import Scenario
from abm.sweep.run import Outcome

if TYPE_CHECKING:
    import pandas as pd

COMPARED = (
    ("fall_percent", "fall to the low", "%"),
    ("minutes_to_low", "time to the low", "min"),
    ("multiplier", "fall / news", "times"),
    ("recovery_30min_percent", "recovered after 30 min", "%"),
    ("liquidated_usd", "liquidated", "$m"),
    ("long_share_percent", "long share of it", "%"),
    ("liquidation_starts", "liquidations", "accounts"),
    ("flow_branching_ratio", "branching ratio", ""),
    ("depth_ratio", "fall of depth", "times"),
    ("volume_btc", "volume", "BTC"),
    ("fund_largest_loss_usd", "fund, largest loss", "$m"),
    ("adl_usd", "auto-deleveraged", "$m"),
    ("bad_debt_usd", "bad debt", "$m"),
)


def paired_table(base: Sequence[Outcome], changed: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Rows of a paired comparison: medians of both, median and range of the difference over common seeds.

    Failed runs drop out with their partner. Money in $m. Keys of a row: key, measure, unit, base, changed, difference,
    low, high, pairs.
    """
    rows = []
    for key, measure, unit in COMPARED:
        scale = 1e-6 if unit == "$m" else 1.0
        pairs = [
            (scale * a.summary[key], scale * b.summary[key])
            for a, b in zip(base, changed, strict=True)
            if _known(a.summary.get(key)) and _known(b.summary.get(key))
        ]
        differences = [after - before for before, after in pairs]
        rows.append(
            {
                "key": key,
                "measure": measure,
                "unit": unit,
                "base": statistics.median(before for before, _ in pairs) if pairs else None,
                "changed": statistics.median(after for _, after in pairs) if pairs else None,
                "difference": statistics.median(differences) if pairs else None,
                "low": min(differences, default=None),
                "high": max(differences, default=None),
                "pairs": len(pairs),
            }
        )
    return rows


def pairs_frame(
    outcomes: Sequence[Outcome], variants: tuple[str, str]
) -> tuple[pd.DataFrame, dict[str, tuple[str, str]]]:
    """Table for `abm.figures.compare.draw_compare` and its labels, from outcomes in the order of `paired_jobs`."""
    import pandas as pd

    labels = {key: (words[:1].upper() + words[1:], "$" if unit == "$m" else unit) for key, words, unit in COMPARED}
    rows = [
        {"seed": outcome.seed, "variant": variants[i % 2], **{key: outcome.summary.get(key) for key in labels}}
        for i, outcome in enumerate(outcomes)
        if not outcome.error
    ]
    frame = pd.DataFrame(rows).astype(dict.fromkeys(labels, float)) if rows else pd.DataFrame(rows)
    return frame, labels


def _known(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def paired_jobs(base: Scenario, changed: Scenario, reps: int) -> list[tuple[dict[str, Any], int]]:
    """Jobs of a paired comparison: seeds seed, seed + 1, ...; base and changed of a seed side by side."""
    first, second = base.resolved(), changed.resolved()
    return [(data, base.seed + rep) for rep in range(reps) for data in (first, second)]
