"""The book kernel beside a C++ ladder with the same features: `python -m benchmarks.ladder [--quick]`.

`ladder.cpp` is compiled with `g++ -O3 -march=native` (or `$CXX`) into a temporary folder and called through ctypes with
the very arrays the books get: same messages, same records out. First both execute the whole stream and must agree in
every fill, closing, handle, position and resting order; then they are timed in turn, one after the other, so that other
work on the machine meets both. The ratio is the median of those of the pairs.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm import state
from abm.book.books import Books
from benchmarks.book import Messages, mixed_stream, new_books, peer_stream, positions

SOURCE = Path(__file__).with_name("ladder.cpp")
FLAGS = ("-O3", "-march=native", "-std=c++17", "-shared", "-fPIC")
GOAL = 0.7
"""Our speed over that of the C++ ladder (DESIGN, speed goals)."""
CAPACITY = 1 << 20
"""Orders in the pool, as `benchmarks.book.new_books`."""
RESTING = (15_000, 110_000)


def compiler() -> str | None:
    """Path of a C++ compiler, or None."""
    named = os.environ.get("CXX")
    return shutil.which(named) if named else shutil.which("g++") or shutil.which("clang++")


def build(folder: Path) -> ctypes.CDLL | str:
    """The compiled ladder, or why there is none."""
    command = compiler()
    if command is None:
        return "skipped: no C++ compiler (g++, clang++ or $CXX)"
    library = folder / "ladder.so"
    done = subprocess.run([command, *FLAGS, "-o", str(library), str(SOURCE)], capture_output=True, text=True)
    if done.returncode:
        return f"skipped: {command} failed: {done.stderr.strip()[:300]}"
    loaded = ctypes.CDLL(str(library))
    whole, at = ctypes.c_int64, ctypes.c_void_p
    loaded.ladder_open.argtypes, loaded.ladder_open.restype = [whole] * 5, at
    loaded.ladder_close.argtypes, loaded.ladder_close.restype = [at], None
    loaded.ladder_match.argtypes = [at, at, whole, at, at, at, at, at, whole, at]
    loaded.ladder_match.restype = whole
    loaded.ladder_queue.argtypes, loaded.ladder_queue.restype = [at, whole, whole, at], whole
    return loaded


class CppBooks:
    """`Books` of one market by the C++ ladder: the same `match`, the same arrays."""

    def __init__(self, library: ctypes.CDLL, self_trade: int) -> None:
        self.library = library
        self.engine = library.ladder_open(1, 0, 1 << 20, self_trade, CAPACITY)

    def close(self) -> None:
        """Give the memory back."""
        self.library.ladder_close(self.engine)

    @staticmethod
    def outputs(n: int) -> tuple[Messages, Messages, state.I64, state.I64]:
        """Arrays large enough for what a batch of n messages may write."""
        fills, closes = np.zeros(CAPACITY + n, state.FILL), np.zeros(4 * (CAPACITY + n), state.CLOSE)
        return fills, closes, np.zeros(n, np.int64), np.zeros(2, np.int64)

    def match(
        self, messages: Messages, net_lots: state.I64, net_offset: state.I64, out: tuple[NDArray[Any], ...]
    ) -> tuple[Messages, Messages, state.I64]:
        """Execute MESSAGE[n]; (fills, closes, handles), views of `out`. Raises ValueError when it does not fit."""
        fills, closes, handles, counts = out
        arrays = (net_lots, net_offset, fills, closes, handles)
        refused = self.library.ladder_match(
            *(self.engine, messages.ctypes.data, messages.size),
            *(array.ctypes.data for array in arrays),
            *(0, counts.ctypes.data),
        )
        if refused:
            raise ValueError("the C++ ladder is too small for this batch")
        return fills[: counts[0]], closes[: counts[1]], handles[: messages.size]

    def queue(self, number: int) -> state.I64:
        """(price or stop, id, lots) of a queue in match order, int64 (n, 3)."""
        rows = np.zeros((self.library.ladder_queue(self.engine, 0, number, None), 3), np.int64)
        self.library.ladder_queue(self.engine, 0, number, rows.ctypes.data)
        return rows


@dataclass
class Workload:
    """A stream, what fills the book before it, and how it is executed."""

    name: str
    start: Messages | None
    stream: Messages
    self_trade: int
    tracked: bool
    wanted: int = 0
    """Resting orders that it is made to keep; 0 = it has its own way."""
    ours: list[float] = field(default_factory=list)
    cpp: list[float] = field(default_factory=list)
    agreed: str = ""
    resting: int = 0

    @property
    def timed(self) -> int:
        """Messages of the timed half."""
        return self.stream.size - self.stream.size // 2

    @property
    def ratios(self) -> list[float]:
        """Our speed over that of C++, of each pair."""
        return [theirs / mine for mine, theirs in zip(self.ours, self.cpp, strict=True)]


def workloads(n: int, resting: tuple[int, ...] = RESTING) -> list[Workload]:
    """W-B, and the mix of every kind of order at these numbers of resting orders."""
    found = [Workload("W-B", None, peer_stream(n, 1), state.SELF_TRADE_NONE, False)]
    for orders in resting:
        found.append(Workload("mix", *mixed_stream(orders, n, 2), state.CANCEL_TAKER, True, orders))
    return found


def _same(ours: NDArray[Any], theirs: NDArray[Any], what: str) -> None:
    for name in ours.dtype.names or (None,):
        mine, other = (ours, theirs) if name is None else (ours[name], theirs[name])
        if not np.array_equal(mine, other):
            raise AssertionError(f"the book and the C++ ladder disagree: {what} {name or ''}")


def agree(library: ctypes.CDLL, work: Workload) -> str:
    """Run a workload in both and compare everything; says how much was compared. Raises AssertionError."""
    books, (net, offset) = new_books(work.self_trade), positions(work.tracked)
    peer, peer_net = CppBooks(library, work.self_trade), net.copy()
    digest, fills = hashlib.sha256(), 0
    half = work.stream.size // 2
    for batch in (work.start, work.stream[:half], work.stream[half:]):
        if batch is None or not batch.size:
            continue
        out = peer.outputs(batch.size)
        mine = books.match(batch, net, offset)
        theirs = peer.match(batch, peer_net, offset, out)
        for name, one, other in zip(("fills", "closings", "handles"), mine, theirs, strict=True):
            _same(one, other, name)
        fills += mine.fills.size
        digest.update(mine.fills.tobytes())
    _same(net, peer_net, "positions")
    for number, side in enumerate((1, -1)):
        ticks, lots, ids, _, _ = books.resting(0, side)
        _same(np.column_stack([ticks, ids, lots]), peer.queue(number), "resting orders")
    stops = books.waiting_stops(0)
    theirs_waiting = np.concatenate([peer.queue(number)[:, 1:] for number in range(2, 6)])
    by_id = np.argsort(theirs_waiting[:, 0], kind="stable")
    _same(np.column_stack([stops["id"], stops["size_lots"]]), theirs_waiting[by_id], "waiting stops")
    work.resting = books.count_resting(0, 1) + books.count_resting(0, -1)
    peer.close()
    return f"{fills:,} fills, checksum {digest.hexdigest()[:12]}"


def time_ours(work: Workload) -> float:
    """Seconds of the second half of the stream in the project's books."""
    books: Books = new_books(work.self_trade)
    net, offset = positions(work.tracked)
    half = work.stream.size // 2
    if work.start is not None:
        books.match(work.start, net, offset)
    books.match(work.stream[:half], net, offset)
    begin = time.perf_counter()
    books.match(work.stream[half:], net, offset)
    return time.perf_counter() - begin


def time_cpp(library: ctypes.CDLL, work: Workload, out: tuple[NDArray[Any], ...]) -> float:
    """The same in the C++ ladder."""
    books, (net, offset) = CppBooks(library, work.self_trade), positions(work.tracked)
    half = work.stream.size // 2
    if work.start is not None:
        books.match(work.start, net, offset, out)
    books.match(work.stream[:half], net, offset, out)
    begin = time.perf_counter()
    books.match(work.stream[half:], net, offset, out)
    seconds = time.perf_counter() - begin
    books.close()
    return seconds


def compare(library: ctypes.CDLL, works: list[Workload], repeats: int) -> list[Workload]:
    """Check that both agree on every workload, then time them in turn; the workloads with their seconds."""
    for work in works:
        work.agreed = agree(library, work)
        out = CppBooks.outputs(max(work.stream.size, 0 if work.start is None else work.start.size))
        time_ours(work), time_cpp(library, work, out)
        for repeat in range(repeats):
            runs = [(work.ours, lambda w=work: time_ours(w)), (work.cpp, lambda w=work, o=out: time_cpp(library, w, o))]
            for seconds, run in runs if repeat % 2 else reversed(runs):
                seconds.append(run())
    return works


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="short streams, three repetitions")
    parser.add_argument("--repeats", type=int, default=None)
    options = parser.parse_args()
    n, repeats = (100_000, 3) if options.quick else (1_000_000, 9)
    with tempfile.TemporaryDirectory() as folder:
        library = build(Path(folder))
        if isinstance(library, str):
            print(f"C++ ladder {library}")
            return
        print(f"{'workload':10}{'resting':>9}{'here':>9}{'C++':>9}  million messages/s; ratio (goal {GOAL})")
        for work in compare(library, workloads(n), options.repeats or repeats):
            here, cpp = (work.timed / statistics.median(seconds) / 1e6 for seconds in (work.ours, work.cpp))
            low, high = min(work.ratios), max(work.ratios)
            print(
                f"{work.name:10}{work.resting:9,}{here:9.1f}{cpp:9.1f}  {statistics.median(work.ratios):.2f}"
                f" ({low:.2f} to {high:.2f}); equal: {work.agreed}"
            )


if __name__ == "__main__":
    main()
