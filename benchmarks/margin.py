"""Margin checks: accounts crossed by a move of the mark, recomputed liquidation prices, full scan.

Run with `python -m benchmarks.margin`. One perpetual at 116,830 $, leverage 5 to 100, heavy-tailed sizes, both sides.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from abm.clearing.margin import MarginLadder, VenueMargin
from abm.state import ISOLATED, Accounts
from abm.venues.preset import build_markets, load_preset

MARK = 1_168_300
LEVELS = 2_500_000


def population(rows: int, seed: int = 1) -> Accounts:
    """Healthy accounts, half isolated, half cross."""
    rng = np.random.default_rng(seed)
    accounts = Accounts.empty(rows, 2, 1)
    side = rng.choice([-1, 1], rows)
    lots = side * (1 + 50 * rng.pareto(1.2, rows)).clip(max=2_000_000).astype(np.int64)
    leverage = rng.choice([5, 10, 20, 50, 100], rows)
    entry = MARK - (side * rng.random(rows) * MARK / leverage / 3).astype(np.int64)
    cost = lots * entry * 100
    margin = np.abs(cost) // leverage
    margin = np.where(np.abs(cost) > 1e12, np.abs(cost) // 4, margin)
    accounts.mode[:] = rng.integers(0, 2, rows)
    accounts.position[0], accounts.entry_cost[0] = lots, cost
    accounts.margin[0] = np.where(accounts.mode == ISOLATED, margin, 0)
    accounts.cash[0] = np.where(accounts.mode == ISOLATED, 0, margin)
    return accounts


def best(run: Callable[[], object], repeats: int = 7) -> float:
    """Seconds of the fastest of some runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def measure(rows: int) -> dict[str, float]:
    """Figures for this many accounts."""
    markets, accounts = build_markets([load_preset("binance-2025-10")]), population(rows)
    ladder, full = MarginLadder(1, markets, accounts, 0, LEVELS), VenueMargin(0, markets, accounts)
    ladder.rebuild(MARK)
    found = ladder.crossed(MARK)
    if not np.array_equal(found, full.below(MARK)):
        raise AssertionError("ladder and scan disagree")
    moves = np.cumsum(np.random.default_rng(2).choice([-1, 1], 2_000)) + MARK

    def walk() -> None:
        for mark in moves.tolist():
            ladder.crossed(mark)

    def fall() -> None:
        ladder.crossed(MARK * 9 // 10)
        ladder.crossed(MARK)

    touched = np.random.default_rng(3).integers(0, rows, 10_000)
    return {
        "1-tick move, us": best(walk, 3) / moves.size * 1e6,
        "10 % fall and back, us": best(fall, 3) * 1e6,
        "rows crossed by it": float(ladder.crossed(MARK * 9 // 10).size),
        "rebucket, ns a row": best(lambda: ladder.update(touched, MARK)) / touched.size * 1e9,
        "full scan, ns an account": best(lambda: full.below(MARK)) / rows * 1e9,
        "below at the opening": float(found.size),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    columns = {rows: measure(rows) for rows in parser.parse_args().accounts}
    print(f"{'accounts':28}" + "".join(f"{rows:>14,}" for rows in columns))
    for name in next(iter(columns.values())):
        print(f"{name:28}" + "".join(f"{figures[name]:14,.2f}" for figures in columns.values()))


if __name__ == "__main__":
    main()
