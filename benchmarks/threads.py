"""Whether venues in threads would pay inside one run: `python -m benchmarks.threads [--quick] [--docs FILE]`.

Kernels release the interpreter, so two could run at once. Measured are

* `match` of a tick's messages for V markets: one call for all, as the tick does it, against two threads with half the
  markets each (each with books of its own), for batches of a tick's size and far larger ones;
* the share of a tick with three venues that is compiled code at all: no thread can save more than half of that
  (Amdahl), whatever it costs to hand the work over.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import abm
from abm import MarketModel, state
from abm.book.books import Books
from abm.recorder import Recorder
from abm.scenario import load_scenario
from benchmarks.book import ACCOUNTS, MIDDLE_TICKS, Messages, random_orders
from benchmarks.machine import described, fill

THREADS = 2
VENUES = (2, 4, 8)


def streams(markets: int, size: int, batches: int) -> list[Messages]:
    """Batches of so many messages for every market, in one array each."""
    rng = np.random.default_rng(7)
    found = []
    for _ in range(batches):
        messages = random_orders(rng, markets * size, 40.0)
        messages["op"] = np.where(rng.random(messages.size) < 0.45, state.MARKET, messages["op"])
        messages["price_ticks"][messages["op"] == state.MARKET] = 0
        messages["market"] = np.repeat(np.arange(markets), size)
        messages["order"] = np.arange(messages.size)
        found.append(messages)
    return found


def books(markets: int) -> Books:
    return Books(markets, MIDDLE_TICKS - (1 << 17), 1 << 18, state.CANCEL_TAKER, capacity=1 << 20)


def matched(markets: int, size: int, batches: int) -> tuple[float, float]:
    """Median microseconds of a batch: in one call, and in two threads with half the markets each."""
    net, offset = np.zeros(ACCOUNTS, np.int64), np.full(markets, -1, np.int64)
    half = markets // THREADS
    whole, parts = books(markets), [books(half) for _ in range(THREADS)]
    one, two = [], []
    with ThreadPoolExecutor(THREADS) as pool:
        for messages in streams(markets, size, batches):
            shares = [part.copy() for part in np.split(messages, THREADS)]
            for number, share in enumerate(shares):
                share["market"] -= number * half
            begin = time.perf_counter()
            whole.match(messages, net, offset)
            middle = time.perf_counter()
            futures = [pool.submit(b.match, s, net, offset[:half]) for b, s in zip(parts, shares, strict=True)]
            for future in futures:
                future.result()
            two.append(time.perf_counter() - middle)
            one.append(middle - begin)
    return 1e6 * statistics.median(one[1:]), 1e6 * statistics.median(two[1:])


def _timed(kernel: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    def call(*given: Any) -> Any:
        begin = time.perf_counter()
        try:
            return kernel(*given)
        finally:
            spent[0] += time.perf_counter() - begin

    return call


def modules() -> list[ModuleType]:
    """All modules of the package that are imported."""
    names = [info.name for info in pkgutil.walk_packages(abm.__path__, "abm.") if info.name.endswith("_kernel")]
    for name in names:
        importlib.import_module(name)
    return [module for name, module in sorted(sys.modules.items()) if name.startswith("abm.")]


def compiled_share(ticks: int) -> tuple[float, float]:
    """Milliseconds of a tick with three venues, and of those in compiled code."""
    scenario = load_scenario("october-2025-venues", accounts=20_000)
    model = MarketModel(scenario, recorder=Recorder("fills"))
    for _ in range(60):
        model.step()
    spent, replaced = [0.0], []
    for module in modules():
        if module.__name__.endswith("_kernel"):
            continue  # kernels call each other's scalar helpers; only the calls from Python are timed
        for name, value in list(vars(module).items()):
            if hasattr(value, "py_func"):
                replaced.append((module, name, value))
                setattr(module, name, _timed(value, spent))
    try:
        begin = time.perf_counter()
        for _ in range(ticks):
            model.step()
        whole = time.perf_counter() - begin
    finally:
        for module, name, value in replaced:
            setattr(module, name, value)
    return 1e3 * whole / ticks, 1e3 * spent[0] / ticks


def main(words: Sequence[str] | None = None) -> None:
    """Print the figures and what follows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--docs", type=Path, metavar="FILE", help="also put it between its marks in this file")
    options = parser.parse_args(words)
    machine = described()
    lines = [f"{'markets':>8}{'messages a market':>20}{'one call, us':>15}{'two threads, us':>18}{'faster':>9}"]
    gain = {}
    for size, batches in ((700, 10 if options.quick else 200), (5_000, 4 if options.quick else 40)):
        for markets in VENUES[:1] if options.quick else VENUES:
            one, two = matched(markets, size, batches)
            gain[size, markets] = one / two
            lines.append(f"{markets:8}{size:20,}{one:15,.0f}{two:18,.0f}{one / two:9.2f}")
    whole, compiled = compiled_share(30 if options.quick else 300)
    share = compiled / whole
    bound = 1 / (1 - share + share / THREADS)
    lines += [
        "",
        f"a tick of october-2025-venues (three venues, 20,000 accounts): {whole:.2f} ms, compiled {compiled:.2f} ms "
        f"({100 * share:.0f} %)",
        f"with {THREADS} threads and nothing lost a run would be {bound:.2f} times as fast (Amdahl); two runs at a "
        f"time on {os.cpu_count()} cores are up to {THREADS} times",
    ]
    print(machine)
    print("\n".join(lines))
    if options.docs:
        fill(options.docs, "threads", "\n".join(["```text", machine, "", *lines, "```"]))


if __name__ == "__main__":
    main()
