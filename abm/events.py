"""The event log: append-only rows from which `deleverage verify` rebuilds every balance.

`account` is who acts or pays, `counterparty` the other side. Money is in units of `asset`. The value of a trade is
`price_ticks * size_lots * tick_value`; where a position passes at a price that is no whole tick (takeover,
deleveraging), `amount` holds the exact signed value.

| kind | account, counterparty | side, price, size | amount |
|---|---|---|---|
| FILL | taker, maker | taker's side | value; the fees go to the venue's fee row |
| LIQUIDATION | the account | the forced order's side, limit (0 = none), size | its equity at the mark |
| LIQUIDATION_FEE | the account, the fund | size liquidated | fee |
| TAKEOVER | the account, the fund | side the account trades, size | signed value: cost moves from account to fund |
| DELEVERAGE | bankrupt account or fund, winner | side the account trades, size | signed value, likewise |
| BAD_DEBT | the fund, the account that is topped up | | amount paid |
| FUNDING | | price = mark | the rate (1e-8); each row with a position pays `funding_payment` |
| TRANSFER | payer, receiver | | amount of `asset` |
| NEWS | | | change of fair value in millionths |
| ROUND_CAP | | size = accounts still waiting | |
| COVENANT | the treasury | SELL, price = spot, size = lots to sell | loan to value in millionths |
| MARGIN_CALL | the account | | time to answer, ms |
| SETTLEMENT | | price = settlement price | 0; every position of the market closes at it |
| HALT | | price = last | length, ms |
| REOPEN | | price of the auction (last price without one) | |
| SCHEDULE | | size = highest leverage from now on | taker fee from now on (1e-8) |
| PLACE, REMOVE | the owner | side, price, size | only at level `orders`; `reason` of REMOVE as in `state.CLOSE` |
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

EVENT = np.dtype(
    [
        ("tick", np.int32),
        ("round", np.int16),
        ("seq", np.int64),
        ("kind", np.int8),
        ("market", np.int16),
        ("asset", np.int16),
        ("account", np.int32),
        ("counterparty", np.int32),
        ("side", np.int8),
        ("order_id", np.int64),
        ("price_ticks", np.int64),
        ("size_lots", np.int64),
        ("amount", np.int64),
        ("fee_taker", np.int64),
        ("fee_maker", np.int64),
        ("reason", np.int8),
        ("cause", np.int64),
    ]
)

(
    FILL_EVENT,
    LIQUIDATION,
    LIQUIDATION_FEE,
    TAKEOVER,
    DELEVERAGE,
    BAD_DEBT,
    FUNDING,
    TRANSFER,
    NEWS,
    ROUND_CAP,
    COVENANT,
    PLACE,
    REMOVE,
    MARGIN_CALL,
    SETTLEMENT,
    HALT,
    REOPEN,
    SCHEDULE,
) = range(18)
KIND_NAMES = (
    "fill",
    "liquidation",
    "liquidation fee",
    "takeover",
    "deleverage",
    "bad debt",
    "funding",
    "transfer",
    "news",
    "round cap",
    "covenant",
    "place",
    "remove",
    "margin call",
    "settlement",
    "halt",
    "reopen",
    "schedule",
)

(
    ORDINARY,
    BY_LIQUIDATION,
    BY_FUND,
    BY_STOP_LOSS,
    BY_TAKE_PROFIT,
    BY_PANIC,
    BY_NEWS,
    BY_VALUE,
    BY_TREND,
    BY_NOISE,
    BY_ARBITRAGE,
    BY_COVENANT,
    BY_QUOTE,
    BY_COVERING,
    BY_ENTRY,
    DEPOSIT,
    BY_LOSS_SHARING,
    BY_SEIZURE,
    BY_COPYING,
    BY_SIGNAL,
    BY_FUNDING_COST,
    BY_REBALANCING,
    BY_CREATION,
    BY_REDEMPTION,
    BY_ISSUANCE,
    BY_BUYBACK,
    BY_INCOME,
    BY_MIGRATION,
    BY_STAKING,
) = range(29)
"""Why something was done: the `reason` of fills, transfers and forced actions."""
REASON_NAMES = (
    "ordinary",
    "liquidation",
    "fund unloading",
    "stop-loss",
    "take-profit",
    "panic",
    "news",
    "value",
    "trend",
    "noise",
    "arbitrage",
    "covenant",
    "quote",
    "covering",
    "entry",
    "deposit",
    "loss sharing",
    "seizure of collateral",
    "copy trading",
    "chart signal",
    "funding cost",
    "rebalancing",
    "creation",
    "redemption",
    "issuance",
    "buy-back",
    "income",
    "migration",
    "staking",
)

LEVELS = ("summary", "fills", "orders")
"""What is kept: nothing but the summary; all but single orders (default); everything."""


class EventLog:
    """Collects one tick's events in order and numbers them; the recorder takes them at the end of the tick.

    Every event gets a `seq`, also at levels that do not keep it, so that what is kept is the same at every level.
    """

    def __init__(self, level: str = "fills", capacity: int = 1 << 16, limit: int = 1 << 24) -> None:
        if level not in LEVELS:
            raise ValueError(f"record level {level!r} is none of {', '.join(LEVELS)}")
        self.keeps_fills = level != "summary"
        self.keeps_orders = level == "orders"
        self.next_seq = 0
        self.tick = 0
        self.round = 0
        self._limit = limit
        self._rows = np.zeros(capacity, EVENT)
        self._count = 0

    def add(self, kind: int, n: int = 1, **columns: Any) -> int:
        """Append n events of one kind, columns by name (scalars or arrays (n,)); returns the seq of the first.

        Raises OverflowError when a tick has more events than the buffer's limit.
        """
        first, rows = self.next_seq, self.room(n)
        if rows.size == 0:
            return first
        rows["tick"], rows["round"], rows["kind"] = self.tick, self.round, kind
        rows["seq"] = np.arange(first, first + n)
        rows["asset"] = columns.pop("asset", 0)
        for name, missing in _MISSING.items():
            rows[name] = columns.get(name, missing)
        return first

    def room(self, n: int) -> NDArray[Any]:
        """The next n numbers are taken: their rows, EVENT (n,), to be written in full; none at level `summary`.

        Raises OverflowError as `add` does.
        """
        self.next_seq += n
        if not self.keeps_fills:
            return self._rows[:0]
        needed = self._count + n
        if needed > self._limit:
            raise OverflowError(
                f"tick {self.tick}, round {self.round}: {needed} events exceed the buffer of {self._limit}; "
                "record at level 'summary' or shorten the tick"
            )
        if needed > self._rows.size:
            bigger = np.zeros(max(needed, 2 * self._rows.size), EVENT)
            bigger[: self._count] = self._rows[: self._count]
            self._rows = bigger
        rows = self._rows[self._count : needed]
        self._count = needed
        return rows

    def rows(self) -> NDArray[Any]:
        """The events of the tick so far, EVENT (n,): a view, valid until `clear`."""
        return self._rows[: self._count]

    def clear(self) -> None:
        """Begin the next tick's events; the numbering goes on."""
        self._count = 0


_MISSING = {
    "market": -1,
    "account": -1,
    "counterparty": -1,
    "side": 0,
    "order_id": -1,
    "price_ticks": 0,
    "size_lots": 0,
    "amount": 0,
    "fee_taker": 0,
    "fee_maker": 0,
    "reason": 0,
    "cause": -1,
}
