"""Replaying a file of orders: the book's answers as `fills.csv` and `book.json`.

The file is JSON lines (one object a line) or Parquet with the same columns: `op, id, side ("B" or "S"), price, qty,
owner, stop`. It is read and checked as a whole before anything is executed or written. Where the format is silent:
null is absent; a field that an operation does not use must still have the right type; `market` and `stop` ignore a
price; empty lines are allowed at the end only; a whole number stored as a float is an integer in Parquet (a column
with gaps is stored so) and malformed in JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.book.books import Books, state_text
from abm.book.record_kernel import UNCHANGED
from abm.state import (
    CANCEL,
    CLOSE,
    EXPIRED,
    FOK,
    I64,
    IOC,
    LIMIT,
    MARKET,
    MESSAGE,
    NOBODY,
    POST_ONLY,
    REJECTED,
    REPLACE,
    SELF_TRADE_MODES,
    SELF_TRADED,
    STOP,
    STOP_LIMIT,
)

OPS = {
    "limit": LIMIT,
    "market": MARKET,
    "ioc": IOC,
    "fok": FOK,
    "post_only": POST_ONLY,
    "stop": STOP,
    "stop_limit": STOP_LIMIT,
    "cancel": CANCEL,
    "replace": REPLACE,
}
REQUIRED = {
    "limit": ("id", "side", "qty", "price"),
    "market": ("id", "side", "qty"),
    "ioc": ("id", "side", "qty"),
    "fok": ("id", "side", "qty"),
    "post_only": ("id", "side", "qty", "price"),
    "stop": ("id", "side", "qty", "stop"),
    "stop_limit": ("id", "side", "qty", "stop", "price"),
    "cancel": ("id",),
    "replace": ("id",),
}
NUMBERS = ("id", "price", "qty", "stop")
COLUMNS = ("op", *NUMBERS, "side", "owner")
WRONG = -2
"""Stands for every number that is not positive: not acceptable, and not UNCHANGED either."""


class MalformedLineError(ValueError):
    """A line of the file is not a message; `line` counts from 1 (rows, in Parquet)."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line


# --- reading --------------------------------------------------------------------------------------
def _json_rows(path: Path) -> Iterator[dict[str, Any]]:
    lines = path.read_bytes().split(b"\n")
    while lines and not lines[-1].strip():
        lines.pop()
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise MalformedLineError(number, f"not JSON ({error})") from None
        if not isinstance(row, dict):
            raise MalformedLineError(number, "not a JSON object")
        yield row


def _parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as parquet

    file = parquet.ParquetFile(path)
    names = [name for name in COLUMNS if name in file.schema_arrow.names]
    for batch in file.iter_batches(columns=names):
        for row in batch.to_pylist():
            for name in NUMBERS:
                value = row.get(name)
                if isinstance(value, float):
                    row[name] = None if value != value else int(value) if value.is_integer() else value
            yield row


def _checked(number: int, row: dict[str, Any]) -> tuple[Any, ...]:
    """(op, side, price, stop, qty, id, owner) of a line; price, stop and qty as the kernel wants them."""
    name = row.get("op")
    if not isinstance(name, str) or name not in OPS:
        raise MalformedLineError(number, f"unknown op {name!r}; one of {', '.join(OPS)}")
    for field in REQUIRED[name]:
        if row.get(field) is None:
            raise MalformedLineError(number, f"{name} without {field!r}")
    for field in NUMBERS:
        value = row.get(field)
        if value is not None and (type(value) is not int or not -(2**63) <= value < 2**63):
            raise MalformedLineError(number, f"{field} {value!r} is not a (64-bit) integer")
    side, owner = row.get("side"), row.get("owner")
    if side not in (None, "B", "S"):
        raise MalformedLineError(number, f"side {side!r}; 'B' or 'S'")
    if owner is not None and not isinstance(owner, str):
        raise MalformedLineError(number, f"owner {owner!r} is not text")
    price, stop, qty = row.get("price"), row.get("stop"), row.get("qty")
    if name == "replace":
        price = UNCHANGED if price is None else price if price > 0 else WRONG
        qty = UNCHANGED if qty is None else qty if qty >= 0 else WRONG
    elif name in ("market", "stop", "cancel"):
        price = 0
    else:  # an absent price means any, a zero is a mistake
        price = 0 if price is None else price if price > 0 else WRONG
    stop = stop if name in ("stop", "stop_limit") else 0
    return OPS[name], -1 if side == "S" else 1, price, stop, qty or 0, row["id"], owner


class _Stream:
    """A file as MESSAGE records. Prices become ranks and ids the order of first appearance, so that any price and
    id will do.
    """

    def __init__(self, path: Path) -> None:
        rows = _parquet_rows(path) if path.suffix == ".parquet" else _json_rows(path)
        owners: dict[str, int] = {}
        dense: dict[int, int] = {}
        table = []
        for number, row in enumerate(rows, 1):
            op, side, price, stop, qty, name, owner = _checked(number, row)
            account = NOBODY if owner is None else owners.setdefault(owner, len(owners))
            slot = dense.setdefault(name, len(dense) + 1)
            table.append((0, account, op, side, 0, 0, 0, price, stop, qty, slot, 0, NOBODY))
        self.messages: NDArray[np.void] = np.array(table, MESSAGE)
        self.ids = np.array([0, *dense], np.int64)  # by slot
        price, stop = self.messages["price_ticks"], self.messages["stop_ticks"]
        both = np.concatenate([price[price > 0], stop[stop > 0]])
        self.prices: I64 = np.concatenate([[0], np.unique(both)])  # rank 0 stays "none"
        for name_of_field in ("price_ticks", "stop_ticks"):
            column = self.messages[name_of_field]
            ranks = np.searchsorted(self.prices, column)
            self.messages[name_of_field] = np.where(column > 0, ranks, column)


# --- running --------------------------------------------------------------------------------------
class _Replay:
    """Executes a stream in steps and collects what the files report."""

    def __init__(self, stream: _Stream, mode: str) -> None:
        self.stream = stream
        self.books = Books(1, 0, stream.prices.size, SELF_TRADE_MODES[mode], stream.ids.size, True)
        self.fills: list[NDArray[np.void]] = []
        self.closes: list[NDArray[np.void]] = []
        self.count = 0
        self.digest = hashlib.sha256()
        self.lines: list[str] = []

    def run(self, step: NDArray[np.void]) -> None:
        outcome = self.books.match(step, np.zeros(1, np.int64), np.full(1, NOBODY, np.int64), self.count)
        fills: NDArray[np.void] = outcome.fills
        self.count += fills.size
        self.closes.append(outcome.closes.copy())
        ids, prices = self.stream.ids, self.stream.prices
        columns = (
            *(ids[fills["maker_order"]], ids[fills["taker_order"]]),
            *(prices[fills["price_ticks"]], fills["size_lots"]),
        )
        rows = zip(*(column.tolist() for column in columns), strict=True)
        text = "".join(f"{maker},{taker},{price},{qty}\n" for maker, taker, price, qty in rows)
        self.lines.append(text)
        self.digest.update(text.encode())

    def state_sha256(self) -> str:
        return hashlib.sha256(state_text(self.books, 0, self.stream.prices, self.stream.ids).encode()).hexdigest()

    def checkpoint(self, messages: int) -> dict[str, Any]:
        return {
            "messages": messages,
            "fills": self.count,
            "fills_sha256": self.digest.hexdigest(),
            "state_sha256": self.state_sha256(),
        }

    def summary(self) -> dict[str, Any]:
        """The content of book.json."""
        ids, prices = self.stream.ids, self.stream.prices
        closes = np.concatenate(self.closes) if self.closes else np.zeros(0, CLOSE)
        expired: dict[int, int] = {}
        for close in closes[np.isin(closes["reason"], (EXPIRED, SELF_TRADED))]:
            order = int(ids[close["order"]])
            expired[order] = expired.get(order, 0) + int(close["size_lots"])
        stops = [
            {
                "id": int(ids[stop["id"]]),
                "side": "B" if stop["side"] > 0 else "S",
                "stop": int(prices[stop["stop_ticks"]]),
                "price": int(prices[stop["price_ticks"]]) if stop["price_ticks"] else None,
                "qty": int(stop["size_lots"]),
            }
            for stop in self.books.waiting_stops(0)
        ]
        last = self.books.last(0)
        return {
            "resting": [level for side in (1, -1) for level in self._levels(side)],
            "untriggered_stops": sorted(stops, key=lambda stop: stop["id"]),
            "rejected": ids[closes["order"][closes["reason"] == REJECTED]].tolist(),
            "expired": {str(order): qty for order, qty in sorted(expired.items())},
            "last_trade_price": int(prices[last]) if last else None,
            "messages": int(self.stream.messages.size),
            "state_sha256": self.state_sha256(),
        }

    def _levels(self, side: int) -> list[dict[str, Any]]:
        ticks, lots, ids, _, _ = self.books.resting(0, side)
        levels: list[dict[str, Any]] = []
        rows = zip(self.stream.prices[ticks].tolist(), lots.tolist(), self.stream.ids[ids].tolist(), strict=True)
        for price, qty, order in rows:
            if not levels or levels[-1]["price"] != price:
                levels.append({"side": "B" if side > 0 else "S", "price": price, "qty": 0, "ids": []})
            levels[-1]["qty"] += qty
            levels[-1]["ids"].append(order)
        return levels


def replay_orders(
    path: str | Path, self_trade: str = "none", checkpoint: int = 0, out_dir: str | Path | None = None
) -> dict[str, Any]:
    """Run a file of orders through one book; returns what `book.json` holds.

    `checkpoint` N > 0 adds `checkpoints`: fill count, SHA-256 of the lines of fills.csv so far and the state hash
    after every N messages. With `out_dir` it writes `fills.csv` (`maker,taker,price,qty` in order) and `book.json`
    there. Raises MalformedLineError with the number of the first line that is no message, FileNotFoundError, or
    ValueError for an unknown mode: then nothing is written.
    """
    if self_trade not in SELF_TRADE_MODES:
        raise ValueError(f"self_trade {self_trade!r}: one of {', '.join(SELF_TRADE_MODES)}")
    if checkpoint < 0:
        raise ValueError(f"checkpoint {checkpoint}: a number of messages")
    stream = _Stream(Path(path))
    replay = _Replay(stream, self_trade)
    step = checkpoint or max(1, stream.messages.size)
    checkpoints = []
    for start in range(0, stream.messages.size, step):
        part = stream.messages[start : start + step]
        replay.run(part)
        if checkpoint and part.size == checkpoint:
            checkpoints.append(replay.checkpoint(start + part.size))
    result = replay.summary()
    if checkpoint:
        result["checkpoints"] = checkpoints
    if out_dir is not None:
        folder = Path(out_dir)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "fills.csv").write_text("".join(replay.lines), newline="")
        (folder / "book.json").write_text(json.dumps(result, indent=1) + "\n", newline="")
    return result
