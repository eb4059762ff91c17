"""Cost of a tick in which nothing happens: `python -m benchmarks.idle`.

Six venues with three instruments each, full books, healthy accounts, isolated, and cross in several instruments. A tick
is begun, marks are made, nobody is forced, nothing is absorbed, funding is sampled by clock. Median over many ticks;
goal: 0.3 ms where nothing trades ("still"). "moving": the same phases after a trade in every market, whose own cost is
not counted.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from abm.book.books import Books
from abm.clearing.trading import TradingFloor
from abm.events import EventLog
from abm.state import (
    BUY,
    CROSS,
    FEES,
    FORCED,
    FUND,
    FUNDING_REMAINDER,
    ISOLATED,
    LIMIT,
    MARKET,
    MESSAGE,
    NOBODY,
    OUTSIDE,
    ROUNDING,
    SELL,
    Accounts,
)
from abm.venues.exchange import FUND_ROW, REMAINDER_ROW, VENUE_ROWS, Exchange, Exchanges
from abm.venues.preset import VenuePreset, asset_names, build_markets, load_preset

GOAL_MS = 0.3
PRICES = {"BTC": 100_000.0, "ETH": 4_000.0, "USDE": 1.0}
PHASES = ("begin_tick", "mark", "liquidate", "absorb", "fund")


class Clock:
    """What an exchange asks of its model."""

    def __init__(self) -> None:
        self.tick = self.round = 0
        self.setup = SimpleNamespace(tick_s=1.0)

    def register_agent(self, agent: Any) -> None:
        agent.unique_id = 1


def preset(number: int, instruments: int) -> VenuePreset:
    """The packaged venue with the first so many derivatives, under its own name."""
    base = load_preset("binance-multi-2025-10")
    return base.model_copy(update={"name": f"venue-{number}", "perpetual": base.perpetual[:instruments]})


def populate(accounts: Accounts, first: int, rows: int, exchange: Exchange, start: Any) -> None:
    """Healthy accounts at 10x after the venue's own rows; the sums do not matter here."""
    rng = np.random.default_rng(first)
    own = np.arange(first + len(VENUE_ROWS), first + rows)
    accounts.mode[own] = np.where(rng.random(own.size) < 0.9, ISOLATED, CROSS)
    accounts.leverage[own] = 10
    markets = exchange.floor.markets
    for n, desk in enumerate(exchange.desks):
        held = own[(own % len(exchange.desks) == n) | (accounts.mode[own] == CROSS)]
        lots = rng.integers(1, 100, held.size) * rng.choice([-1, 1], held.size)
        value = markets.value(desk.market, lots, start[desk.market])
        accounts.position[desk.slot, held], accounts.entry_cost[desk.slot, held] = lots, value
        isolated = accounts.mode[held] == ISOLATED
        accounts.margin[desk.slot, held[isolated]] = np.abs(value[isolated]) // 10
        accounts.cash[desk.settle, held[~isolated]] += np.abs(value[~isolated]) // 10
    accounts.cash[0, first + FUND_ROW] = 10**15


def world(venues: int, instruments: int, rows: int) -> Exchanges:
    """Venues side by side with `rows` accounts each."""
    presets = [preset(n, instruments) for n in range(venues)]
    markets, assets = build_markets(presets), asset_names(presets)
    start = np.array(
        [round(PRICES[assets[b]] / t) for b, t in zip(markets.base, markets.tick_dollars, strict=True)], np.int64
    )
    accounts = Accounts.empty(venues * rows, len(assets), instruments)
    accounts.venue[:] = np.repeat(np.arange(venues), rows)
    books = Books(markets.count, [max(int(t) - (1 << 15), 1) for t in start], 1 << 16, 0)
    floor = TradingFloor(markets, accounts, books, EventLog("fills"), 1)
    clock, exchanges = Clock(), []
    for n, one in enumerate(presets):
        accounts.kind[n * rows : n * rows + len(VENUE_ROWS)] = OUTSIDE, FEES, FUNDING_REMAINDER, ROUNDING, FUND
        exchanges.append(Exchange(clock, n, one, floor, n * rows, start, 1.0, 75_000))
        populate(accounts, n * rows, rows, exchanges[-1], start)
    floor.net_lots[:] = accounts.position.reshape(-1)
    orders = np.zeros(markets.count * 40, MESSAGE)
    orders["market"] = np.repeat(np.arange(markets.count), 40)
    orders["account"] = markets.venue[orders["market"]] * rows + REMAINDER_ROW  # which may hold anything
    orders["flags"], orders["op"], orders["order"], orders["cause"] = FORCED, LIMIT, NOBODY, NOBODY
    step = np.tile(np.concatenate([-np.arange(1, 21), np.arange(1, 21)]), markets.count)
    orders["side"], orders["size_lots"] = np.where(step < 0, BUY, SELL), 10**6
    orders["price_ticks"] = start[orders["market"]] + step
    floor.trade(orders, start, 0)
    return Exchanges(exchanges, floor, assets, start)


def measure(exchanges: Exchanges, ticks: int, drift: bool) -> dict[str, float]:
    """Milliseconds of a tick by phase (means) and as a whole (median, 9 in 10). `drift`: spot moves in every tick."""
    clock: Clock = exchanges.venues[0].model
    spent: dict[str, float] = defaultdict(float)
    laps = []
    for n in range(ticks):
        clock.tick += 1
        if drift:
            nudge(exchanges, n)
        begin = time.perf_counter()
        last = begin
        for name in PHASES:
            phase: Callable[[], Any] = getattr(exchanges, name)
            phase()
            now = time.perf_counter()
            spent[name] += now - last
            last = now
        laps.append(last - begin)
        if exchanges.forced_any:
            raise AssertionError("somebody was forced: not an idle tick")
        exchanges.floor.log.clear()
    figures = {"median": 1e3 * statistics.median(laps), "9 in 10": 1e3 * statistics.quantiles(laps, n=10)[-1]}
    return figures | {f"  {name}, mean": 1e3 * total / ticks for name, total in spent.items()}


def nudge(exchanges: Exchanges, n: int) -> None:
    """A lot bought, then one sold, at the best price of every market: all prices move to and fro by a spread."""
    count = exchanges.floor.markets.count
    orders = np.zeros(count, MESSAGE)
    orders["market"] = np.arange(count)
    orders["account"] = exchanges.floor.markets.venue * (
        exchanges.floor.accounts.rows // len(exchanges.venues)
    )  # the world
    orders["flags"], orders["op"], orders["order"], orders["cause"] = FORCED, MARKET, NOBODY, NOBODY
    orders["side"], orders["size_lots"] = BUY if n % 2 else SELL, 1
    exchanges.floor.trade(orders, exchanges.mark_ticks, n)
    exchanges.rebucket()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--venues", type=int, default=6)
    parser.add_argument("--instruments", type=int, default=3)
    parser.add_argument("--accounts", type=int, default=5_000, help="of each venue")
    parser.add_argument("--ticks", type=int, default=2_000)
    options = parser.parse_args()
    for venues, instruments in ((1, 1), (options.venues, options.instruments)):
        exchanges = world(venues, instruments, options.accounts)
        measure(exchanges, 20, False)
        print(f"{venues} venues x {instruments} instruments, {options.accounts:,} accounts each, ms a tick")
        still = measure(exchanges, options.ticks, False)
        moving = measure(exchanges, options.ticks, True)
        print(f"  {'':24}{'still':>10}{'moving':>10}")
        for name, figure in still.items():
            print(f"  {name:24}{figure:10.4f}{moving[name]:10.4f}")
    print(f"goal: {GOAL_MS} ms for {options.venues} x {options.instruments}")


if __name__ == "__main__":
    main()
