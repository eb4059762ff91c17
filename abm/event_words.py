"""Events in words: what each kind means, and one event as a sentence; the report and the browser lab use the same.

`facts` are `run.json` or the recorder's facts: they hold the table of markets. A row is anything with the names of
`abm.events.EVENT`: a record, or one row of a data frame as a mapping.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from abm.events import (
    BAD_DEBT,
    BY_LIQUIDATION,
    COVENANT,
    DELEVERAGE,
    FILL_EVENT,
    FUNDING,
    HALT,
    KIND_NAMES,
    LIQUIDATION,
    MARGIN_CALL,
    NEWS,
    REASON_NAMES,
    REOPEN,
    ROUND_CAP,
    SCHEDULE,
    SETTLEMENT,
    TAKEOVER,
)
from abm.state import SELL

Facts = Mapping[str, Any]
MEANING = {
    NEWS: "ticks in which news moved fair value",
    LIQUIDATION: "accounts below maintenance, taken over by the venue's engine",
    TAKEOVER: "positions that the insurance fund took over",
    DELEVERAGE: "winning positions closed by force (auto-deleveraging)",
    BAD_DEBT: "accounts whose loss the fund paid",
    COVENANT: "treasury companies forced to sell by a covenant",
    MARGIN_CALL: "accounts called to add margin",
    HALT: "trading halts",
    REOPEN: "reopenings by auction",
    FUNDING: "funding payments of a market",
    SETTLEMENT: "markets settled",
    SCHEDULE: "changes of a venue's leverage or fees",
    ROUND_CAP: "ticks whose rounds were cut off by the limit: accounts were left waiting",
}
"""What each kind is, for a table that counts them; in the order of such a table."""


def coins(rows: Any, facts: Facts) -> Any:
    """Sizes in coins, float64 like `rows`."""
    lot = np.array([market["lot_coins"] for market in facts["markets"]])
    return np.asarray(rows["size_lots"] * lot[rows["market"]])


def amount_of(value: float) -> str:
    """A number of coins to about three digits: `4,300`, `0.500`."""
    if value == 0 or value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def words(row: Any, facts: Facts) -> str:
    """What happened, without the name of the kind."""
    kind, market = int(row["kind"]), int(row["market"])
    here = facts["markets"][market] if market >= 0 else None
    size = f"{amount_of(int(row['size_lots']) * here['lot_coins'])} {here['base']}" if here else ""
    price = int(row["price_ticks"]) * here["tick_dollars"] if here else 0.0
    tell = SENTENCES.get(kind)
    return tell(row, size, price) if tell is not None else size


def _fill(row: Any, size: str, price: float) -> str:
    side, reason = int(row["side"]), int(row["reason"])
    verb = ("sold" if side == SELL else "bought") if side else "traded"
    what = "forced order" if reason == BY_LIQUIDATION else REASON_NAMES[reason]
    return f"{verb} {size} at {price:,.1f} ({what})"


def _liquidation(row: Any, size: str, price: float) -> str:
    return f"{'long' if int(row['side']) == SELL else 'short'} of account {int(row['account']):,} liquidated: {size}"


def _percent(row: Any, size: str, price: float) -> str:
    return f"fair value {int(row['amount']) / 1e4:+.2f} %".replace("-", "\N{MINUS SIGN}")


def _funding(row: Any, size: str, price: float) -> str:
    return f"rate {int(row['amount']) / 1e4:+.2f} bp".replace("-", "\N{MINUS SIGN}")


Sentence = Callable[[Any, str, float], str]
SENTENCES: dict[int, Sentence] = {
    FILL_EVENT: _fill,
    LIQUIDATION: _liquidation,
    NEWS: _percent,
    FUNDING: _funding,
    TAKEOVER: lambda row, size, price: f"the fund takes over {size} of account {row['account']:,}",
    DELEVERAGE: lambda row, size, price: (
        f"{size} of account {row['counterparty']:,} closed against account {row['account']:,}"
    ),
    BAD_DEBT: lambda row, size, price: f"account {row['counterparty']:,} topped up by row {row['account']:,}",
    COVENANT: lambda row, size, price: (
        f"treasury company (row {row['account']:,}) must sell {size}, loan to value {row['amount'] / 1e4:.1f} %"
    ),
    MARGIN_CALL: lambda row, size, price: f"account {row['account']:,} has {row['amount'] / 1000:,.0f} s to answer",
    HALT: lambda row, size, price: f"for {row['amount'] / 1000:,.0f} s",
    REOPEN: lambda row, size, price: "by auction",
    SCHEDULE: lambda row, size, price: f"highest leverage {row['size_lots']:,}, taker fee {row['amount'] / 1e6:.4g} %",
    SETTLEMENT: lambda row, size, price: "every position closed at the settlement price",
    ROUND_CAP: lambda row, size, price: f"{row['size_lots']:,} accounts still wait",
}
COMPLETE = {FILL_EVENT, LIQUIDATION, TAKEOVER, DELEVERAGE, COVENANT}
"""Kinds whose sentence stands by itself, without the name of the kind in front."""


def sentence(row: Any, facts: Facts) -> str:
    """What happened, by itself."""
    kind = int(row["kind"])
    told = words(row, facts)
    if kind in COMPLETE:
        return told
    return f"{KIND_NAMES[kind]}: {told}" if told else KIND_NAMES[kind]
