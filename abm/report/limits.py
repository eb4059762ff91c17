"""What a result of the model cannot carry, in general and for one scenario."""

from __future__ import annotations

from abm.report.assumptions import Assumption
from abm.scenario import Scenario

GENERAL = (
    "The model explains mechanisms. It forecasts nothing, and no trade should rest on it.",
    "Its behaviour was set on one event, the evening of 10 October 2025. The values are not identified: other "
    "combinations give the same path.",
    "The news is a declared profile of fair value over time. Its size comes from the part of the fall that stayed; the "
    "cascade beyond it is the model's.",
    "Open interest by leverage, the limits of market makers and the fund's share for one contract were observed by "
    "nobody. They are assumed, each with a likely range where one can be stated.",
    "People decide once a tick and see what the last tick left: results hold for the tick length that is stated here.",
    "The number of accounts is granularity, not size: totals stay. Small numbers make single accounts large.",
    "A scenario that a packaged one extends keeps its behaviour; whether it holds on another day is untested unless "
    "said otherwise.",
)
ONE_SEED = (
    "This is one run with one seed: an example, not a result. Seeds differ widely; use deleverage sweep or "
    "deleverage compare for statements about a rule."
)
FEW_ACCOUNTS = 5_000


def limits(scenario: Scenario | None, items: list[Assumption], one_run: bool) -> list[str]:
    """Limits of a result, those of this very scenario first."""
    lines = [ONE_SEED] if one_run else []
    if scenario is None:
        return [*lines, *GENERAL]
    assumed = [news.name for news in scenario.news if news.grade == "assumed"]
    if assumed:
        lines.append(f"News that no source supports in size or at all: {', '.join(assumed)}.")
    if scenario.accounts < FEW_ACCOUNTS:
        lines.append(f"With {scenario.accounts:,} accounts single traders are large: treat sizes and counts as coarse.")
    if not scenario.others:
        lines.append("There is one venue, and its index is its own spot market: no other market holds its price.")
    beyond = [item.path for item in items if item.outside]
    if beyond:
        lines.append(f"Values outside the range that is thought likely: {', '.join(beyond)}.")
    if scenario.participants:
        names = ", ".join(joined.name for joined in scenario.participants)
        lines.append(f"Participants whose behaviour is largely assumed take part: {names}.")
    return [*lines, *GENERAL]
