"""Random order streams, and the comparison of the compiled books with the naive one on them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm import state
from abm.book.books import Books
from tests.naive_book import NaiveBook

MODES = ("none", "cancel-taker", "cancel-maker", "cancel-both", "decrement")
OPS = (
    "limit",
    "market",
    "ioc",
    "fok",
    "post_only",
    "stop",
    "stop_limit",
    "cancel",
    "replace",
    "trigger",
    "refused",
)
REASONS = ("expired", "cancelled", "rejected", "replaced", "self-traded", "clipped", "uncovered")
MIX = (0.34, 0.07, 0.05, 0.05, 0.08, 0.06, 0.06, 0.15, 0.12, 0.01, 0.01)
NEVER = 1 << 40
"""An id that no order of a stream has."""


def to_records(stream: list[dict[str, Any]]) -> NDArray[np.void]:
    """The dicts of a stream as MESSAGE records; absent price or quantity of a replace becomes UNCHANGED."""
    records = np.zeros(len(stream), state.MESSAGE)
    for i, m in enumerate(stream):
        absent = -1 if m["op"] == "replace" else 0
        flags = state.REDUCE_ONLY * m.get("reduce_only", False) + state.ON_MARK * m.get("on_mark", False)
        records[i] = (
            *(m.get("market", 0), m.get("owner", -1), OPS.index(m["op"]), m.get("side", 1)),
            *(flags, m.get("reason", 0), 0),
            *(m.get("price", absent), m.get("stop", 0), m.get("qty", absent), m["id"], m.get("reserve", 0)),
            m.get("cause", -1),
        )
    return records


def random_stream(
    seed: int, n: int, markets: int = 1, venue: bool = False, repeat_ids: bool = True
) -> list[dict[str, Any]]:
    """`n` messages with every operation and every kind of mistake; `venue` adds reduce-only and mark-price stops."""
    rng = np.random.default_rng(seed)
    ops = rng.choice(len(OPS), n, p=MIX)
    stream: list[dict[str, Any]] = []
    ids: list[list[int]] = [[] for _ in range(markets)]
    owner_of: dict[int, int] = {}
    middle = [1000] * markets
    for i in range(1, n + 1):
        op = OPS[ops[i - 1]]
        market = int(rng.integers(markets))
        middle[market] += int(rng.integers(-1, 2))
        side = 1 if rng.random() < 0.5 else -1
        m: dict[str, Any] = {"op": op, "market": market, "id": i, "reserve": int(rng.integers(1, 100)), "reason": i % 7}
        m["cause"] = i
        known = ids[market]
        if op in ("cancel", "replace", "trigger"):
            recent = known[-60:] if rng.random() < 0.9 else known
            m["id"] = recent[int(rng.integers(len(recent)))] if recent and rng.random() < 0.97 else NEVER
            m["owner"] = owner_of.get(m["id"], -1) if rng.random() < 0.95 else 1
            if op == "replace":
                if rng.random() < 0.6:
                    m["price"] = middle[market] + int(rng.integers(-8, 9))
                if rng.random() < 0.7:
                    m["qty"] = int(rng.integers(0, 12))
                if rng.random() < 0.02:
                    m["price"] = 0
                if rng.random() < 0.02:
                    m["qty"] = -2
        else:
            m |= {"side": side, "qty": int(rng.integers(1, 12)), "owner": int(rng.integers(-1, 5))}
            if op in ("limit", "post_only", "stop_limit") or (op in ("ioc", "fok", "stop") and rng.random() < 0.6):
                m["price"] = middle[market] - side * int(rng.integers(-4, 12))
            if op in ("stop", "stop_limit"):
                m["stop"] = middle[market] + side * int(rng.integers(-2, 15))
            if venue:
                m["reduce_only"] = bool(rng.random() < 0.3)
                m["on_mark"] = bool(op in ("stop", "stop_limit") and rng.random() < 0.4)
            if op == "fok" and rng.random() < 0.5:
                m["qty"] = int(rng.integers(1, 40))
            if rng.random() < 0.01:
                m["qty"] = int(rng.integers(-3, 1))
            if rng.random() < 0.01:
                m["price"] = -int(rng.integers(0, 3))
            if rng.random() < 0.01:
                m["stop"] = 0
            if repeat_ids and known and rng.random() < 0.02:
                m["id"] = known[int(rng.integers(len(known)))]
            else:
                known.append(i)
                owner_of[i] = m["owner"]
        stream.append(m)
    return stream


def fill_row(fill: Any) -> tuple[Any, ...]:
    """The fields that the naive book also has, in its order (cause last)."""
    names = ("maker_order", "taker_order", "price_ticks", "size_lots", "side", "reason")
    row = tuple(int(fill[name]) for name in (*names, "taker_reserve", "maker_reserve"))
    flags = tuple(bool(int(fill[name]) & state.REDUCE_ONLY) for name in ("taker_flags", "maker_flags"))
    return (*row, *flags, int(fill["cause"]))


class Race:
    """Runs a stream through the compiled books, batch by batch, and through one naive book a market."""

    def __init__(self, mode: str, markets: int = 1, venue: bool = False, ids: int = 0, **options: Any) -> None:
        self.fixed = ids > 0
        settings = {"base_ticks": 900, "levels": 1024, "capacity": ids or 16} | options
        self.books = Books(markets, self_trade=MODES.index(mode), fixed_slots=self.fixed, **settings)
        self.naive = [NaiveBook(mode, {} if venue else None) for _ in range(markets)]
        self.net = np.zeros(markets * 8, np.int64)
        self.offset = np.arange(markets, dtype=np.int64) * 8 if venue else np.full(markets, -1, np.int64)
        self.handle_of: dict[int, int] = {}
        self.id_of: dict[int, int] = {}
        self.n_fills = 0

    def batch(self, stream: list[dict[str, Any]]) -> None:
        """Run messages on both and compare every fill and closing."""
        if self.fixed:
            stream = [m if m["id"] != NEVER else m | {"id": self.books.orders.size - 1} for m in stream]
        records = to_records(stream)
        targets = np.isin(records["op"], (state.CANCEL, state.REPLACE, state.TRIGGER))
        if not self.fixed:  # handles are known from earlier batches only
            for i in np.flatnonzero(targets):
                number = int(records["order"][i])
                if number not in self.handle_of:
                    stream[i] = stream[i] | {"id": NEVER}
                records["order"][i] = self.handle_of.get(number, NEVER)
        result = self.books.match(records, self.net, self.offset, self.n_fills)
        self._compare(stream, records, result)
        self.n_fills += result.fills.size
        for i in np.flatnonzero((result.handles != state.NOBODY) & ~targets):
            self.handle_of[int(records["order"][i])] = int(result.handles[i])
            self.id_of[int(result.handles[i])] = int(records["order"][i])

    def _compare(self, stream: list[dict[str, Any]], records: Any, result: Any) -> None:
        fills, closes = [], []
        for i, m in enumerate(stream):
            book = self.naive[m.get("market", 0)]
            before, left, start = len(book.fills), len(book.closes), len(fills)
            book.run(m)
            for maker, taker, price, lots, side, cause, *rest in book.fills[before:]:
                if isinstance(cause, tuple):
                    cause = self.n_fills + start + cause[1] - before
                fills.append((maker, taker, price, lots, side, *rest, cause))
            closes += [(*row, i) for row in book.closes[left:]]
        got = [fill_row(fill) for fill in result.fills]
        assert got == fills
        got_closes = []
        for close in result.closes:
            number = int(close["order"])
            if records["op"][close["message"]] in (state.CANCEL, state.REPLACE, state.TRIGGER) and (
                close["reason"] == state.REJECTED
            ):
                number = stream[close["message"]]["id"]
            names = ("size_lots", "side", "account", "unit_reserve", "message")
            got_closes.append((number, REASONS[close["reason"]], *(int(close[name]) for name in names)))
        assert got_closes == closes

    def compare_state(self) -> None:
        """State hash, last price, positions."""
        for market, naive in enumerate(self.naive):
            assert self.books.state_sha256(market) == naive.state_sha256()
            assert self.books.last(market) == naive.last
            if naive.net is not None:
                for owner, lots in naive.net.items():
                    assert self.net[self.offset[market] + owner] == lots
