"""Agents beside a peer: `python -m benchmarks.peers` runs workload W-A here and, when it is installed, in bourse.

W-A: N agents, N x T = 200,000 messages, one message an agent and step in shuffled order: 20 % market; 35 % cancel of
the own oldest order (a limit when none is held); otherwise a limit; side even, 1-5 units, price 10,000 -/+ k ticks, k
in -2..40. The decisions are the same arrays on both sides. Here a message goes through admission, margin, matching,
posting and the event log of a perpetual market; bourse (`StepEnvNumpy`) has a book without accounts.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from abm.book.books import Books
from abm.clearing.trading import TradingFloor
from abm.events import EventLog
from abm.state import BUY, CANCEL, I64, LIMIT, MARKET, MESSAGE, NOBODY, PERPETUAL, SELL, Accounts
from abm.venues.preset import build_markets, load_preset

MESSAGES = 200_000
HELD = 512
"""Orders an agent remembers at most."""
Step = Callable[[I64, I64, I64, I64, I64, I64], I64]
"""(op, side, size, price, id to cancel, agent) of a step -> id of each new order, -1 where there is none."""


def drive(agents: int, step: Step, seed: int = 1) -> float:
    """Seconds of the whole workload; decisions included."""
    random = np.random.default_rng(seed)
    held = np.full((agents, HELD), NOBODY, np.int64)
    first = np.zeros(agents, np.int64)
    last = np.zeros(agents, np.int64)
    begun = time.perf_counter()
    for _ in range(MESSAGES // agents):
        who = random.permutation(agents)
        draw = random.random(agents)
        cancels = (draw >= 0.2) & (draw < 0.55) & (first[who] < last[who])
        op = np.where(draw < 0.2, MARKET, np.where(cancels, CANCEL, LIMIT))
        side = np.where(random.random(agents) < 0.5, BUY, SELL)
        price = 10_000 - side * random.integers(-2, 41, agents)
        target = np.where(cancels, held[who, first[who] % HELD], NOBODY)
        first[who] += cancels
        ids = step(op, side, random.integers(1, 6, agents), price, target, who)
        new = who[(op == LIMIT) & (ids >= 0)]
        held[new, last[new] % HELD] = ids[(op == LIMIT) & (ids >= 0)]
        last[new] += 1
    return time.perf_counter() - begun


def ours(agents: int) -> Step:
    """The project's trading floor with one cross account an agent."""
    markets = build_markets([load_preset("binance-2025-10")])
    perp = int(np.flatnonzero(markets.kind == PERPETUAL)[0])
    accounts = Accounts.empty(agents + 5, 2, 1)
    accounts.cash[0, 5:] = 10**13
    accounts.leverage[:] = 10
    log = EventLog("fills")
    floor = TradingFloor(markets, accounts, Books(markets.count, 1, 1 << 15, 0), log, 1)
    floor.fee_row[:] = 1
    mark = np.full(markets.count, 10_000)
    clock = iter(range(1 << 30))

    def step(op: I64, side: I64, size: I64, price: I64, target: I64, who: I64) -> I64:
        batch = np.zeros(op.size, MESSAGE)
        batch["market"], batch["account"], batch["op"], batch["side"] = perp, who + 5, op, side
        batch["price_ticks"] = np.where(op == MARKET, 0, price)
        batch["size_lots"], batch["order"], batch["cause"] = size, target, NOBODY
        handles = floor.trade(batch, mark, next(clock))
        log.clear()
        return handles

    return step


def bourse(agents: int) -> Step | str:
    """bourse's vectorised environment, or why there is none."""
    try:
        from bourse.core import StepEnvNumpy
    except ImportError as error:
        return f"skipped: {error} (pip install bourse)"
    environment = StepEnvNumpy(1, 0, 1, 100_000)
    none = np.iinfo(np.uint64).max

    def step(op: I64, side: I64, size: I64, price: I64, target: I64, who: I64) -> I64:
        limit = np.where(op == MARKET, np.where(side > 0, 20_000, 1), price)
        kind = np.where(op == CANCEL, 2, 1).astype(np.uint32)
        known = np.where(op == CANCEL, target, 0).astype(np.uint64)
        ids = environment.submit_instructions(
            (kind, side > 0, size.astype(np.uint32), who.astype(np.uint32), limit.astype(np.uint32), known)
        )
        environment.step()
        return np.where(ids == none, NOBODY, ids.astype(np.int64))

    return step


def main() -> None:
    """Print thousand messages a second, median of five runs taken in turn."""
    print(f"{'W-A, thousand messages/s':<28}{'here':>10}{'bourse':>10}")
    for agents in (100, 1_000, 10_000):
        peer = bourse(agents)
        if isinstance(peer, str):
            print(f"bourse {peer}")
        drive(agents, ours(agents))
        mine, theirs = [], []
        for _ in range(5):
            mine.append(MESSAGES / drive(agents, ours(agents)) / 1e3)
            rival = bourse(agents)
            if not isinstance(rival, str):
                theirs.append(MESSAGES / drive(agents, rival) / 1e3)
        said = f"{np.median(theirs):>10,.0f}" if theirs else f"{'-':>10}"
        print(f"{f'{agents:,} agents':<28}{np.median(mine):>10,.0f}{said}")


if __name__ == "__main__":
    main()
