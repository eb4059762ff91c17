"""The replayer's own arithmetic: what each event does to each row, on plain Python integers, which cannot overflow.

Written from `docs/money.md`, not from the clearing code; nothing here is shared with it but the event codes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from abm.events import BAD_DEBT, DELEVERAGE, FILL_EVENT, FUNDING, LIQUIDATION_FEE, SETTLEMENT, TAKEOVER, TRANSFER
from abm.state import FEES, FUNDING_REMAINDER, NOBODY, PERPETUAL, ROUNDING, SPOT
from abm.units import RATE_ONE

POSTED = (
    "kind",
    "market",
    "asset",
    "account",
    "counterparty",
    "side",
    "price_ticks",
    "size_lots",
    "amount",
    "fee_taker",
    "fee_maker",
)
"""Event columns that move money, in the order in which `Replay.run` unpacks them."""
COLUMNS = ("seq", "reason", "cause", *POSTED)
BATCH_ROWS = 1 << 17

TRADES = (FILL_EVENT, TAKEOVER, DELEVERAGE)
OFF_BOOK = (TAKEOVER, DELEVERAGE)
PAYMENTS = (LIQUIDATION_FEE, BAD_DEBT, TRANSFER)
"""Kinds that only move `amount` of `asset` from account to counterparty."""

Batch = dict[str, NDArray[np.int64]]
Rows = list[int]


class VerifyError(ValueError):
    """The folder is no run that can be verified; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Market:
    """What `run.json` says of a market; venue, assets and kind as numbers, money in settlement units."""

    venue: int
    kind: int
    slot: int
    settle: int
    base: int
    tick_value: int
    lot_units: int
    taker_fee: int
    maker_fee: int
    inverse: int = 0

    def value(self, lots: int, price: int) -> int:
        """Signed value of signed lots; of an inverse contract minus (constant x lots / price), toward zero."""
        if not self.inverse:
            return lots * price * self.tick_value
        coins = self.inverse * abs(lots) // price
        return -coins if lots > 0 else coins


def read_markets(info: dict[str, Any]) -> list[Market]:
    """The markets of a run, from its `run.json`. Raises KeyError, ValueError or TypeError when something is missing."""

    def number(value: Any, names: list[str]) -> int:
        return names.index(value) if isinstance(value, str) else int(value)

    return [
        Market(
            venue=number(item["venue"], info["venues"]),
            kind=number(item["kind"], ["spot", "perpetual"]),
            slot=int(item["slot"]),
            settle=number(item["settle"], info["assets"]),
            base=number(item["base"], info["assets"]),
            **{key: int(item[key]) for key in ("tick_value", "lot_units", "taker_fee", "maker_fee")},
            inverse=int(item.get("inverse", 0)),
        )
        for item in info["markets"]
    ]


def batches(path: Path) -> Iterator[Batch]:
    """The events of a run in pieces: int64 arrays by column name. Raises VerifyError when a column is missing."""
    with pq.ParquetFile(path) as file:
        missing = sorted(set(COLUMNS) - set(file.schema_arrow.names))
        if missing:
            raise VerifyError(f"{path.name} lacks {', '.join(missing)}")
        for part in file.iter_batches(BATCH_ROWS, columns=list(COLUMNS)):
            if part.num_rows:
                yield {name: part.column(name).to_numpy(zero_copy_only=False).astype(np.int64) for name in COLUMNS}


def _toward_zero(amount: int, factor: int, divisor: int) -> int:
    """The quotient amount * factor / divisor rounded toward zero; factor and divisor are positive."""
    part = abs(amount) * factor // divisor
    return part if amount >= 0 else -part


def trade(position: Rows, cost: Rows, wealth: Rows, row: int, lots: int, value: int) -> None:
    """One side of a trade: signed lots at a signed value. What closes goes first, with its share of cost and value."""
    held = position[row]
    position[row] = held + lots
    if held == 0 or (held > 0) == (lots > 0):
        cost[row] += value
        return
    size, open_lots = abs(lots), abs(held)
    closed = min(size, open_lots)
    closed_value = value if closed == size else _toward_zero(value, closed, size)
    closed_cost = cost[row] if closed == open_lots else _toward_zero(cost[row], closed, open_lots)
    wealth[row] -= closed_cost + closed_value
    cost[row] += value - closed_value - closed_cost


@dataclass(slots=True)
class Books:
    """All rows of a run: wealth per asset, position and entry cost per instrument slot; plain lists indexed by row."""

    venue: Rows
    kind: Rows
    wealth: list[Rows]  # cash, and the isolated margins held in that asset
    position: list[Rows]
    cost: list[Rows]

    @classmethod
    def read(cls, path: Path, assets: list[str], markets: list[Market]) -> Books:
        """From `opening.parquet` or `closing.parquet`.

        Raises VerifyError when a column is missing or the rows are not numbered 0, 1, 2, ...
        """
        table = pq.read_table(path)

        def column(name: str) -> NDArray[np.int64]:
            if name not in table.column_names:
                raise VerifyError(f"{path.name} has no column {name}")
            return np.asarray(table.column(name).to_numpy(), np.int64)

        if not np.array_equal(column("row"), np.arange(table.num_rows)):
            raise VerifyError(f"{path.name}: rows must be numbered 0, 1, 2, ...")
        venue = column("venue")
        wealth = [column(f"cash_{name}") for name in assets]
        perpetuals = [market for market in markets if market.kind == PERPETUAL]
        for market in perpetuals:
            margin = np.where(venue == market.venue, column(f"margin_{market.slot}"), 0)
            wealth[market.settle] = wealth[market.settle] + margin
        slots = range(max((market.slot for market in perpetuals), default=-1) + 1)
        return cls(
            venue=venue.tolist(),
            kind=column("kind").tolist(),
            wealth=[item.tolist() for item in wealth],
            position=[column(f"position_{slot}").tolist() for slot in slots],
            cost=[column(f"entry_cost_{slot}").tolist() for slot in slots],
        )

    @property
    def rows(self) -> int:
        """Number of account rows."""
        return len(self.kind)

    def row_of(self, venue: int, kind: int) -> int:
        """The venue's own row of a kind. Raises VerifyError unless there is exactly one."""
        found = [row for row in range(self.rows) if self.kind[row] == kind and self.venue[row] == venue]
        if len(found) != 1:
            raise VerifyError(f"venue {venue} has {len(found)} rows of kind {kind}; one is needed")
        return found[0]

    def columns(self, assets: list[str]) -> Iterator[tuple[str, Rows]]:
        """Every balance column, with a name for people."""
        yield from ((f"cash+margin {name}", rows) for name, rows in zip(assets, self.wealth, strict=True))
        yield from ((f"position_{slot}", rows) for slot, rows in enumerate(self.position))
        yield from ((f"entry_cost_{slot}", rows) for slot, rows in enumerate(self.cost))


@dataclass(slots=True)
class Replay:
    """Applies events to `books` in order."""

    books: Books
    markets: list[Market]
    fees_row: Rows = field(default_factory=list)  # per market
    remainder_row: Rows = field(default_factory=list)  # per market; NOBODY for spot
    events: int = 0
    fills: int = 0

    def __post_init__(self) -> None:
        self.fees_row = [self.books.row_of(market.venue, FEES) for market in self.markets]
        self.remainder_row = [
            self.books.row_of(market.venue, FUNDING_REMAINDER) if market.kind == PERPETUAL else NOBODY
            for market in self.markets
        ]

    def run(self, batch: Batch) -> None:
        """Post one batch of events; they must have passed `verify.impossible`."""
        wealth = self.books.wealth
        columns = [batch[name].tolist() for name in POSTED]
        for kind, m, asset, account, other, side, price, lots, amount, taker_fee, maker_fee in zip(
            *columns, strict=True
        ):
            if kind == FILL_EVENT:
                self.fill(m, account, other, side, price, lots, taker_fee, maker_fee)
            elif kind in OFF_BOOK:
                self.exchange(self.markets[m], account, other, side * lots, amount)
            elif kind == FUNDING:
                self.funding(m, price, amount)
            elif kind == SETTLEMENT:
                self.settlement(m, price)
            elif kind in PAYMENTS:
                wealth[asset][account] -= amount
                wealth[asset][other] += amount
        self.events += len(columns[0])

    def fill(
        self, m: int, taker: int, maker: int, side: int, price: int, lots: int, taker_fee: int, maker_fee: int
    ) -> None:
        """A trade through the book; both fees go to the venue."""
        self.fills += 1
        market = self.markets[m]
        cash = self.books.wealth[market.settle]
        value = side * market.value(lots, price)
        cash[taker] -= taker_fee
        cash[maker] -= maker_fee
        cash[self.fees_row[m]] += taker_fee + maker_fee
        if market.kind == SPOT:
            coins = self.books.wealth[market.base]
            units = side * lots * market.lot_units
            cash[taker] -= value
            coins[taker] += units
            cash[maker] += value
            coins[maker] -= units
        else:
            self.exchange(market, taker, maker, side * lots, value)

    def exchange(self, market: Market, account: int, other: int, lots: int, value: int) -> None:
        """A position changes hands at an exact signed value, without a fee."""
        position, cost = self.books.position[market.slot], self.books.cost[market.slot]
        cash = self.books.wealth[market.settle]
        trade(position, cost, cash, account, lots, value)
        trade(position, cost, cash, other, -lots, -value)

    def funding(self, m: int, mark_ticks: int, rate: int) -> None:
        """Who has a position pays (or receives) the rate on its value, rounded up; the venue keeps the crumbs."""
        market = self.markets[m]
        cash = self.books.wealth[market.settle]
        sign = -1 if market.inverse else 1  # of an inverse contract a long's value is negative
        paid = 0
        for row, (venue, lots) in enumerate(zip(self.books.venue, self.books.position[market.slot], strict=True)):
            if lots and venue == market.venue:
                payment = -(-sign * market.value(lots, mark_ticks) * rate // RATE_ONE)
                cash[row] -= payment
                paid += payment
        cash[self.remainder_row[m]] += paid

    def settlement(self, m: int, price: int) -> None:
        """A dated future ends: every position closes at one price; what rounding leaves is the venue's."""
        market = self.markets[m]
        position, cost = self.books.position[market.slot], self.books.cost[market.slot]
        cash, left = self.books.wealth[market.settle], 0
        for row, venue in enumerate(self.books.venue):
            if position[row] and venue == market.venue:
                value = market.value(position[row], price)
                cash[row] += value - cost[row]
                left -= value
                position[row] = cost[row] = 0
        cash[self.books.row_of(market.venue, ROUNDING)] += left
