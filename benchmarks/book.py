"""Speed of the order books: `python -m benchmarks.book [--quick]` prints a table.

Streams are generated beforehand by running the books in small batches (so that cancels aim at handles that exist);
then fresh books execute the same messages in one call, which is timed. The first half of each stream warms memory
and is not timed.

* W-B: 20 % market, 35 % cancel of one of the last 1,000 limits, else limit; sides even, 1-5 lots, price 10,000 -/+
  k, k in -2..40.
* mix: every kind of order, owners with self-trade check and positions, reduce-only, stops, at a steady number of
  resting orders; three cancels or replaces in four aim at the newest 1,000 orders, the others at any older one.
* small batches: the cost of one `match` of 1 and of 20 messages, as the tick calls it.
* bourse, when it can be imported: its `OrderBook` on W-B, one call a message as its interface has it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm import state
from abm.book.books import Books

Messages = NDArray[np.void]
ACCOUNTS = 10_000
MIDDLE_TICKS = 500_000
GOALS = {15_000: 50, 110_000: 30}
"""Million messages a second by number of resting orders (DESIGN, speed goals)."""


def random_orders(rng: np.random.Generator, n: int, mean_distance: float) -> Messages:
    """New orders of every kind around a fixed middle; most of them rest."""
    kinds = [state.LIMIT, state.POST_ONLY, state.MARKET, state.IOC, state.FOK, state.STOP, state.STOP_LIMIT]
    messages = np.zeros(n, state.MESSAGE)
    messages["op"] = rng.choice(kinds, n, p=[0.71, 0.06, 0.13, 0.05, 0.01, 0.02, 0.02])
    messages["account"] = rng.integers(0, ACCOUNTS, n)
    side = rng.choice([1, -1], n)
    messages["side"] = side
    messages["flags"] = np.where(rng.random(n) < 0.02, state.REDUCE_ONLY, 0)
    messages["size_lots"] = rng.integers(1, 11, n)
    distance = rng.exponential(mean_distance, n).astype(np.int64) - 2
    messages["price_ticks"] = MIDDLE_TICKS - side * distance
    messages["price_ticks"][messages["op"] == state.MARKET] = 0
    stops = messages["op"] >= state.STOP
    messages["stop_ticks"][stops] = MIDDLE_TICKS + (side * (50 + distance))[stops]
    messages["price_ticks"][stops] = messages["stop_ticks"][stops] + (side * 20)[stops]
    messages["cause"] = state.NOBODY
    return messages


def new_books(self_trade: int) -> Books:
    return Books(1, base_ticks=0, levels=1 << 20, self_trade=self_trade, capacity=1 << 20)


def positions(tracked: bool) -> tuple[state.I64, state.I64]:
    """A flat position table, and its offset (-1: not tracked)."""
    return np.zeros(ACCOUNTS, np.int64), np.full(1, 0 if tracked else -1, np.int64)


def mixed_stream(resting: int, n: int, seed: int) -> tuple[Messages, Messages]:
    """Orders that fill the book to `resting`, then `n` messages that keep it there."""
    rng = np.random.default_rng(seed)
    books, (net, offset) = new_books(state.CANCEL_TAKER), positions(True)
    distance = 40.0 + resting / 100
    start = random_orders(rng, int(resting * 1.02), distance)
    start["op"] = state.LIMIT
    start["flags"] = 0
    start["price_ticks"] -= start["side"] * 3
    start["order"] = np.arange(start.size)
    books.match(start, net, offset)
    parts: list[Messages] = []
    chunk = 500
    while sum(part.size for part in parts) < n:
        live = books._memory.live_slots(0)
        messages = random_orders(rng, chunk, distance)
        messages["order"] = start.size + chunk * len(parts) + np.arange(chunk)
        surplus = (live.size - resting) / chunk
        cancels = int(chunk * np.clip(0.36 + surplus, 0.05, 0.8))
        replaces = chunk // 20
        where = rng.permutation(chunk)[: cancels + replaces]
        by_age = live[np.argsort(books.orders["id"][live])]
        recent = rng.choice(by_age[-2 * chunk :], where.size * 3 // 4, replace=False)
        older = rng.choice(by_age[: -2 * chunk], where.size - recent.size, replace=False)
        targets = rng.permutation(np.concatenate([recent, older]))
        messages["op"][where] = np.where(np.arange(where.size) < cancels, state.CANCEL, state.REPLACE)
        messages["order"][where] = books.handles(targets)
        messages["account"][where] = books.orders["account"][targets]
        books.match(messages, net, offset)
        parts.append(messages)
    return start, np.concatenate(parts)[:n]


def peer_stream(n: int, seed: int) -> Messages:
    """W-B. Cancels aim at one of the last 1,000 limits that rested when a run of 200 messages began."""
    rng = np.random.default_rng(seed)
    books, (net, offset) = new_books(state.SELF_TRADE_NONE), positions(False)
    chunk = 200
    recent = np.zeros(0, np.int64)
    parts = []
    for part in range(n // chunk):
        messages = np.zeros(chunk, state.MESSAGE)
        draw = rng.random(chunk)
        cancel = (draw >= 0.20) & (draw < 0.55) & (recent.size > 0)
        messages["op"] = np.where(draw < 0.20, state.MARKET, np.where(cancel, state.CANCEL, state.LIMIT))
        messages["side"] = rng.choice([1, -1], chunk)
        messages["size_lots"] = rng.integers(1, 6, chunk)
        messages["price_ticks"] = np.where(draw < 0.20, 0, 10_000 - messages["side"] * rng.integers(-2, 41, chunk))
        messages["account"] = state.NOBODY
        messages["order"] = part * chunk + np.arange(chunk)
        if recent.size:
            messages["order"][cancel] = recent[rng.integers(0, recent.size, int(cancel.sum()))]
        handles = books.match(messages, net, offset).handles
        recent = np.concatenate([recent, handles[(handles != state.NOBODY) & ~cancel]])[-1_000:]
        parts.append(messages)
    return np.concatenate(parts)


def timed(start: Messages | None, stream: Messages, mode: int, tracked: bool, repeats: int) -> tuple[float, Books]:
    """Median seconds for the second half of a stream in one call, and the books afterwards."""
    seconds = []
    half = stream.size // 2
    for _ in range(repeats):
        books, (net, offset) = new_books(mode), positions(tracked)
        if start is not None:
            books.match(start, net, offset)
        books.match(stream[:half], net, offset)
        begin = time.perf_counter()
        books.match(stream[half:], net, offset)
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds), books


def small_batches(size: int) -> float:
    """Median seconds of one `match` of `size` messages on a book with 15,000 orders."""
    start, stream = mixed_stream(15_000, 20_000, 5)
    books, (net, offset) = new_books(state.CANCEL_TAKER), positions(True)
    books.match(start, net, offset)
    seconds = []
    for at in range(0, stream.size - size, size):
        begin = time.perf_counter()
        books.match(stream[at : at + size], net, offset)
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def run_bourse(stream: Messages) -> Callable[[], float] | str:
    """A function that times bourse on a W-B stream, or why there is none."""
    try:
        from bourse.core import OrderBook
    except ImportError as error:
        return f"skipped: {error} (pip install bourse)"

    def run() -> float:
        book: Any = OrderBook(0, 1)
        half = stream.size // 2
        rows = stream[["op", "side", "size_lots", "price_ticks", "order"]].tolist()
        ids: list[int] = []
        begin = 0.0
        rng = np.random.default_rng(1).integers(1, 1_001, stream.size).tolist()
        for i, (op, side, lots, price, _) in enumerate(rows):
            if i == half:
                begin = time.perf_counter()
            if op == state.CANCEL:
                book.cancel_order(ids[-min(rng[i], len(ids))])
            elif op == state.MARKET:
                book.place_order(side > 0, lots, 0)
            else:
                ids.append(book.place_order(side > 0, lots, 0, price=price))
        return time.perf_counter() - begin

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="short streams, one repetition")
    quick = parser.parse_args().quick
    n, repeats = (100_000, 1) if quick else (1_000_000, 5)
    begin = time.perf_counter()
    timed(None, peer_stream(400, 0), 0, False, 1)
    print(f"compile or load: {time.perf_counter() - begin:.2f} s")
    print(f"{'workload':<28}{'resting':>9}{'M msg/s':>9}{'ns/msg':>8}  goal")
    stream = peer_stream(n, 1)
    seconds, books = timed(None, stream, 0, False, repeats)
    _row("W-B", books, seconds, n // 2)
    for resting in (5_000, 15_000, 110_000):
        start, stream = mixed_stream(resting, n, 2)
        seconds, books = timed(start, stream, state.CANCEL_TAKER, True, repeats)
        _row("mix, all features", books, seconds, n // 2, GOALS.get(resting))
    for size in (1, 20):
        print(f"match of {size:>2} message(s): {small_batches(size) * 1e6:.1f} us a call (goal: under 15)")
    stream = peer_stream(min(n, 200_000), 1)
    peer = run_bourse(stream)
    if isinstance(peer, str):
        print(f"bourse {peer}")
    else:
        seconds = peer()
        half = stream.size / 2
        print(f"{'bourse W-B, call a message':<37}{half / seconds / 1e6:>9.2f}{seconds / half * 1e9:>8.0f}")


def _row(name: str, books: Books, seconds: float, n: int, goal: int | None = None) -> None:
    resting = books.count_resting(0, 1) + books.count_resting(0, -1)
    print(f"{name:<28}{resting:>9,}{n / seconds / 1e6:>9.1f}{seconds / n * 1e9:>8.1f}  {goal or '-'}")


if __name__ == "__main__":
    main()
