"""What happened in a run, from its events: how many of each kind, and the rare ones in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abm.event_words import MEANING, words
from abm.events import (
    BAD_DEBT,
    COVENANT,
    DELEVERAGE,
    HALT,
    KIND_NAMES,
    LIQUIDATION,
    MARGIN_CALL,
    REOPEN,
    SCHEDULE,
    SETTLEMENT,
)
from abm.report.page import Html, dollars, number, paragraph, table

if TYPE_CHECKING:
    import pandas as pd

    from abm.recorder import Run

RARE = (DELEVERAGE, BAD_DEBT, COVENANT, MARGIN_CALL, HALT, REOPEN, SCHEDULE, SETTLEMENT)
MOST_RARE = 40
LARGEST = 10


def event_blocks(run: Run, summary: dict[str, Any]) -> Html:
    """Counts by kind, causes of the liquidations, the largest of them, and the rare events one by one."""
    if run.info.get("record") == "summary":
        return paragraph("This run was recorded at level summary and keeps no events.")
    events = run.forced_events
    if events.empty:
        return paragraph("No event but ordinary trades.")
    parts = [_counts(events), _causes(summary), _largest(run, events), _rare(run, events)]
    return Html("\n".join(part for part in parts if part))


def _counts(events: pd.DataFrame) -> Html:
    rows = []
    for kind in MEANING:
        mine = events[events["kind"] == kind]
        if len(mine) or kind in (LIQUIDATION, DELEVERAGE, HALT, COVENANT, BAD_DEBT):
            first, last = (_clock(mine["time"].iloc[i]) if len(mine) else "" for i in (0, -1))
            rows.append((KIND_NAMES[kind], MEANING[kind], f"{len(mine):,}", first, last))
    return table("Events", ("event", "what it is", "number", "first, UTC", "last, UTC"), rows, (0, 1))


def _causes(summary: dict[str, Any]) -> Html:
    causes = summary.get("liquidation_causes") or {}
    total = sum(causes.values())
    if not total:
        return Html("")
    rows = [
        (name, f"{count:,}", f"{100 * count / total:.0f}")
        for name, count in sorted(causes.items(), key=lambda item: (-item[1], item[0]))
    ]
    note = "The reason of the trade that moved the mark price past an account's threshold."
    return table("What set off the liquidations", ("reason of that trade", "liquidations", "%"), rows, note=note)


def _largest(run: Run, events: pd.DataFrame) -> Html:
    mine = events[events["kind"] == LIQUIDATION]
    if mine.empty:
        return Html("")
    sizes = _dollars(run, mine)
    order = np.lexsort((mine["seq"].to_numpy(), -sizes))[:LARGEST]
    rows = [
        (
            _clock(row.time),
            _market(run, row.market),
            f"{row.account:,}",
            "long" if row.side < 0 else "short",
            dollars(float(size)),
        )
        for row, size in zip(mine.iloc[order].itertuples(), sizes[order], strict=True)
    ]
    heads = ("UTC", "market", "account", "position", "size")
    return table(f"The {len(rows)} largest liquidations", heads, rows, (0, 1, 3), "Valued at the mark price.")


def _dollars(run: Run, mine: pd.DataFrame) -> NDArray[np.float64]:
    """What the size of each event is worth at the mark of its own market, (n,)."""
    sizes = np.zeros(len(mine))
    for m, market in enumerate(run.info["markets"]):
        rows = (mine["market"] == m).to_numpy()
        if not rows.any():
            continue
        lots = mine["size_lots"].to_numpy()[rows]
        if market.get("inverse"):  # a lot is worth fixed dollars
            sizes[rows] = lots * market["inverse"] * market["tick_dollars"] * 1e-8
            continue
        steps = run.steps
        if market["base"] in set(run.alts["coin"]):
            steps = run.alts[run.alts["coin"] == market["base"]]
        elif market["venue"] in set(run.venues["venue"]):
            steps = run.venues[run.venues["venue"] == market["venue"]]
        at = np.clip(np.searchsorted(steps["tick"].to_numpy(), mine["tick"].to_numpy()[rows]), 0, len(steps) - 1)
        sizes[rows] = lots * market["lot_coins"] * steps["mark_usd"].to_numpy()[at]
    return sizes


def _rare(run: Run, events: pd.DataFrame) -> Html:
    mine = events[events["kind"].isin(RARE)]
    if mine.empty:
        return Html("")
    shown = mine.head(MOST_RARE)
    rows = [
        (_clock(row.time), KIND_NAMES[row.kind], _market(run, row.market), words(row._asdict(), run.info))
        for row in shown.itertuples()
    ]
    more = "" if len(mine) <= MOST_RARE else f"The first {MOST_RARE} of {len(mine):,}; all are in events.parquet."
    return table("Rare events, one by one", ("UTC", "event", "market", "what happened"), rows, (0, 1, 2, 3), more)


def _market(run: Run, market: int) -> str:
    return str(run.info["markets"][market]["name"]) if 0 <= market < len(run.info["markets"]) else ""


def _clock(moment: Any) -> str:
    return f"{moment:%d %b %H:%M:%S}"


def fills_words(summary: dict[str, Any]) -> str:
    """Messages and fills."""
    return f"{number(summary.get('messages'))} messages, {number(summary.get('fills'))} fills"
