"""Other peers: `python -m benchmarks.others [--peer-python PYTHON] [--quick]`. What is not installed is said.

* Mesa as in its tutorials: one Python object a trader, workload W-A (see `peers`), messages go to a list; no book, no
  accounts.
* PAMS (`pip install pams`): its own fundamentalist-chartist-noise traders on its own book, orders a second.
* The liquidation engine of lrvx (`pip install lrvx`; before: flox-py): one mark after the other over positions of which
  none is below maintenance, position checks a second; here the full scan of the same number of accounts.

PAMS and lrvx may need another numpy: `--peer-python` names an interpreter that has them (an environment of its own).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import deque
from typing import Any

import mesa
import numpy as np

from abm.clearing.margin import VenueMargin
from abm.venues.preset import build_markets, load_preset
from benchmarks.margin import MARK, population
from benchmarks.peers import MESSAGES
from experiments._fcn_market import SAMPLE
from experiments._fcn_pams import settings

SECONDS = 900
PAMS = """
import json, random, sys, time, warnings
warnings.simplefilter("ignore")
from pams.runners import SequentialRunner
asked = json.load(sys.stdin)
runner = SequentialRunner(settings=asked, prng=random.Random(1))
begin = time.perf_counter()
runner.main()
seconds = time.perf_counter() - begin
market = runner.simulator.markets[0]
orders = sum(market.get_n_buy_orders()) + sum(market.get_n_sell_orders())
print("FOUND" + json.dumps(orders / seconds))
"""
LRVX = """
import json, sys, time
import lrvx
asked = json.load(sys.stdin)
engine = lrvx.LiquidationEngine.binance_um_futures()
for n, (lots, entry, equity) in enumerate(asked["positions"]):
    engine.open_position(n, 1, lots, entry, equity)
for mark in asked["marks"][:20]:
    engine.on_mark(1, mark)
begin = time.perf_counter()
for mark in asked["marks"]:
    engine.on_mark(1, mark)
seconds = time.perf_counter() - begin
assert engine.liquidations_count() == 0, "somebody was liquidated"
print("FOUND" + json.dumps(engine.position_count() * len(asked["marks"]) / seconds))
"""


class Trader(mesa.Agent):
    """A trader of W-A as one would write it at first."""

    def __init__(self, model: PlainModel) -> None:
        super().__init__(model)
        self.held: deque[int] = deque()

    def step(self) -> None:
        """One message."""
        model, random = self.model, self.model.random
        draw, side = random.random(), 1 if random.random() < 0.5 else -1
        size, price = random.randint(1, 5), 10_000 - side * random.randint(-2, 40)
        if draw < 0.2:
            model.messages.append(("market", self.unique_id, side, size, 0))
        elif draw < 0.55 and self.held:
            model.messages.append(("cancel", self.unique_id, side, 0, self.held.popleft()))
        else:
            model.sent += 1
            self.held.append(model.sent)
            model.messages.append(("limit", self.unique_id, side, size, price))


class PlainModel(mesa.Model):
    """So many of them."""

    def __init__(self, agents: int) -> None:
        super().__init__(rng=1)
        self.messages: list[tuple[Any, ...]] = []
        self.sent = 0
        for _ in range(agents):
            Trader(self)

    def step(self) -> None:
        """Everybody once, in random order."""
        self.messages.clear()
        self.agents.shuffle_do("step")


def drive_mesa(agents: int) -> float:
    """Seconds of the whole workload W-A in plain Mesa, without any market."""
    model = PlainModel(agents)
    begin = time.perf_counter()
    for _ in range(MESSAGES // agents):
        model.step()
    return time.perf_counter() - begin


def _elsewhere(python: str, program: str, asked: object) -> float | str:
    """What a program in another interpreter found, or why it found nothing."""
    try:
        ran = subprocess.run(
            [python or sys.executable, "-c", program],
            input=json.dumps(asked), capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        return f"skipped: {error}"
    _, mark, found = ran.stdout.partition("FOUND")
    if ran.returncode or not mark:
        return f"skipped: {(ran.stderr.strip().splitlines() or ['no answer'])[-1][:200]}"
    return float(json.loads(found))


def pams(python: str, traders: int = 100, steps: int = 1_000) -> float | str:
    """Orders a second, or why there are none."""
    return _elsewhere(python, PAMS, settings(SAMPLE, traders, 100, steps))


def marks(count: int) -> list[int]:
    """A walk of single ticks around the middle, which nobody's margin minds."""
    steps = np.random.default_rng(2).choice([-1, 1], count)
    found: list[int] = (MARK + np.cumsum(steps)).tolist()
    return found


def lrvx(python: str, accounts: int, count: int = 200) -> float | str:
    """Position checks a second of the liquidation engine, or why there are none."""
    people = population(accounts)
    equity = np.abs(people.entry_cost[0]) / 1e6
    rows = np.column_stack([people.position[0] / 1e3, people.entry_cost[0] / people.position[0] / 1e3, equity])
    return _elsewhere(python, LRVX, {"positions": rows.tolist(), "marks": [mark / 10 for mark in marks(count)]})


def scan(accounts: int, count: int = 200) -> float:
    """Account checks a second of the full scan here, at the same marks."""
    markets, people = build_markets([load_preset("binance-2025-10")]), population(accounts)
    full = VenueMargin(0, markets, people)
    moves = marks(count)
    full.below(moves[0])
    begin = time.perf_counter()
    for mark in moves:
        full.below(mark)
    return accounts * count / (time.perf_counter() - begin)


def main() -> None:
    """Print one run of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--peer-python", default="", help="interpreter that has PAMS and lrvx; empty: this one")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    for agents in (1_000,) if options.quick else (100, 1_000, 10_000):
        print(f"plain Mesa, W-A, {agents:,} agents: {MESSAGES / drive_mesa(agents) / 1e3:,.0f} thousand messages/s")
    orders = pams(options.peer_python, 100, 200 if options.quick else 1_000)
    print(f"PAMS: {orders if isinstance(orders, str) else f'{orders:,.0f} orders/s'}")
    for accounts in (10_000,) if options.quick else (10_000, 100_000):
        checks = lrvx(options.peer_python, accounts)
        print(f"full scan of {accounts:,} accounts: {scan(accounts) / 1e6:,.0f} million checks/s")
        print(f"lrvx: {checks if isinstance(checks, str) else f'{checks / 1e6:,.1f} million checks/s'}")


if __name__ == "__main__":
    main()
