"""Slower than before? `python -m benchmarks.guard [REVISION] [--limit 1.10]` compares this tree with a revision of git.

Seconds mean little on a machine that others use, ratios of neighbouring measurements do: one process runs each tree,
and they take turns at short pieces of the same work (whole ticks of October with 10,000 accounts, calm and crash; a
stream of orders through the books). CPU time, not wall time; each piece is compared with the other tree's next to it.
The median of the ratios stands with its 95 % bootstrap interval. Exit status 1: the interval of some work lies above
the limit. The revision is unpacked into a temporary folder; the repository is left alone.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import described

ROOT = Path(__file__).resolve().parent.parent
WORKS = ("ticks", "book")
LIMIT = 1.10
WORKER = """
import json, sys, time
import numpy as np
from abm import MarketModel, state
from abm.book.books import Books
from abm.recorder import Recorder
from abm.scenario import load_scenario
news = [{"name": "shock", "at": "20:40:40", "over_s": 10, "change_percent": -12}]
asked = json.loads(sys.stdin.readline())
rng = np.random.default_rng(1)
stream = np.zeros(asked["messages"], state.MESSAGE)
stream["op"] = np.where(rng.random(stream.size) < 0.45, state.MARKET, state.LIMIT)
stream["account"] = rng.integers(0, 1000, stream.size)
stream["side"] = rng.choice([1, -1], stream.size)
stream["size_lots"] = rng.integers(1, 11, stream.size)
far = rng.exponential(60, stream.size).astype(np.int64) - 2
stream["price_ticks"] = np.where(stream["op"] == state.MARKET, 0, 500_000 - stream["side"] * far)
stream["order"], stream["cause"] = np.arange(stream.size), -1
net, offset = np.zeros(1000, np.int64), np.zeros(1, np.int64)

def fresh():
    scenario = load_scenario("october-2025", accounts=asked["accounts"]).changed(news=news)
    return MarketModel(scenario, recorder=Recorder("fills"))

model = fresh()
for _ in range(asked["warm"]):
    model.step()
model = fresh()
Books(1, 400_000, 1 << 18, 0).match(stream[:1000], net, offset)
print("ready", flush=True)
for line in sys.stdin:
    work, count = json.loads(line)
    if work == "ticks":
        if model.tick + count > model.setup.ticks:
            model = fresh()
        begin = time.process_time()
        for _ in range(count):
            model.step()
    else:
        parts = [Books(1, 400_000, 1 << 18, 0) for _ in range(count)]
        begin = time.process_time()
        for books in parts:
            books.match(stream, net, offset)
    print(time.process_time() - begin, flush=True)
"""


class Worker:
    """A process with one of the trees."""

    def __init__(self, tree: Path, asked: dict[str, int]) -> None:
        surroundings = os.environ | {"PYTHONPATH": str(tree), "PYTHONSAFEPATH": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tree, env=surroundings,
        )  # fmt: skip
        self.tell(asked)

    def tell(self, words: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        """The next line; raises RuntimeError when the process has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of {self.process.args!r:.40} ended with status {self.process.wait()}")
        return line.strip()

    def run(self, work: str, count: int) -> float:
        """CPU seconds of a piece."""
        self.tell([work, count])
        return float(self.answer())

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


@contextmanager
def unpacked(revision: str) -> Iterator[Path]:
    """A folder with the files of a revision. Raises SystemExit when git does not know it."""
    packed = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=False)
    if packed.returncode:
        raise SystemExit(f"git archive {revision}: {packed.stderr.decode().strip()}")
    with tempfile.TemporaryDirectory(prefix="deleverage-guard-") as folder:
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder)


def ratios(trees: tuple[Path, Path], starts: int, pairs: int, asked: dict[str, int]) -> dict[str, NDArray[np.float64]]:
    """CPU time of the first tree over that of the second, (starts * pairs,) of each work."""
    found: dict[str, list[float]] = {work: [] for work in WORKS}
    for _ in range(starts):
        workers = [Worker(tree, asked) for tree in trees]
        try:
            for worker in workers:
                worker.answer()
            for pair in range(pairs):
                for work in WORKS:
                    spent = [0.0, 0.0]
                    for which in (0, 1) if pair % 2 else (1, 0):
                        spent[which] = workers[which].run(work, asked[work])
                    found[work].append(spent[0] / spent[1])
        finally:
            for worker in workers:
                worker.close()
    return {work: np.array(values) for work, values in found.items()}


def interval(values: NDArray[np.float64], draws: int = 4_000) -> tuple[float, float, float]:
    """Median, and the ends of its 95 % interval (percentile bootstrap)."""
    again = np.random.default_rng(1).choice(values, (draws, values.size))
    low, high = np.quantile(np.median(again, axis=1), [0.025, 0.975])
    return float(np.median(values)), float(low), float(high)


def main(words: Sequence[str] | None = None) -> int:
    """Print the ratios; 1 when this tree is slower than the limit allows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("revision", nargs="?", default="HEAD")
    parser.add_argument("--limit", type=float, default=LIMIT)
    parser.add_argument("--starts", type=int, default=3, help="processes of each tree, one after the other")
    parser.add_argument("--pairs", type=int, default=30, help="pairs of pieces in each")
    parser.add_argument("--quick", action="store_true", help="two small pairs: whether it runs, not how fast")
    options = parser.parse_args(words)
    asked = {"accounts": 10_000, "messages": 50_000, "warm": 130, "ticks": 30, "book": 8}
    starts, pairs = options.starts, options.pairs
    if options.quick:
        asked |= {"accounts": 2_000, "messages": 5_000, "warm": 3, "ticks": 2, "book": 1}
        starts, pairs = 1, 2
    print(described(), flush=True)
    slower = False
    with unpacked(options.revision) as before:
        for work, values in ratios((ROOT, before), starts, pairs, asked).items():
            middle, low, high = interval(values)
            slower |= low > options.limit
            said = "slower" if low > options.limit else "ok"
            print(f"{work:8}{middle:6.3f} of the time of {options.revision} (95 %: {low:.3f} to {high:.3f}): {said}")
    return int(slower)


if __name__ == "__main__":
    sys.exit(main())
