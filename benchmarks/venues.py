"""Idle cost of many venues: what a tick of 6 venues x 3 instruments costs when nobody trades.

`python -m benchmarks.venues` prints milliseconds a tick, in all and for each phase, best of several repeats.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from abm.book.books import Books
from abm.clearing.audit import audit_money
from abm.clearing.trading import TradingFloor
from abm.events import EventLog
from abm.settings import read_toml, validate
from abm.state import BUY, LIMIT, MESSAGE, NOBODY, PERPETUAL, SELL, Accounts
from abm.traders.base import bare_model
from abm.venues.exchange import OUTSIDE_ROW, VENUE_ROWS, Exchange, Exchanges
from abm.venues.preset import FOLDER, VenuePreset, asset_names, build_markets

VENUES = tuple(f"{name}-2025-10" for name in ("binance", "bybit", "hyperliquid", "okx", "aster-pro", "binance"))
SOURCED = ("assets", "spot", "perpetual", "liquidation", "backstop", "deleverage")
PRICE_USD = 116_830.0


class Clock:
    """Stands for the scenario of a model."""

    tick_s = 1.0


def preset(name: str, number: int) -> VenuePreset:
    """A venue with spot and two perpetuals, the second a copy of the first."""
    table = read_toml(Path(str(FOLDER / f"{name}.toml")))
    first = table["perpetual"][0]
    table["perpetual"] = [first, {**first, "name": f"{first['name']}-2"}]
    if number == 5:
        table["name"] = "another"
    table["sources"] = {key: ["default", "-"] for key in SOURCED}
    return validate(VenuePreset, table, name)


def world(accounts: int) -> Exchanges:
    """Six venues, two orders in every book, nobody with a position."""
    presets = [preset(name, number) for number, name in enumerate(VENUES)]
    markets = build_markets(presets)
    start = np.rint(PRICE_USD / markets.tick_dollars).astype(np.int64)
    each = len(VENUE_ROWS) + accounts
    state = Accounts.empty(each * len(presets), len(asset_names(presets)), 2)
    state.venue[:] = np.repeat(np.arange(len(presets)), each)
    outside = np.arange(len(presets)) * each + OUTSIDE_ROW
    state.cash[:] = 10**15
    state.cash[:, outside] = -(each - 1) * 10**15
    books = Books(markets.count, (start - (1 << 19)).clip(1).tolist(), [1 << 20] * markets.count, [1] * markets.count)
    floor = TradingFloor(markets, state, books, EventLog("fills"), 1)
    model: Any = bare_model()
    model.tick, model.setup = 0, Clock()
    exchanges = Exchanges(
        [Exchange(model, n, p, floor, n * each, start, 0.1, 75_000) for n, p in enumerate(presets)],
        floor, asset_names(presets), start,
    )  # fmt: skip
    quotes = np.zeros(2 * markets.count, MESSAGE)
    quotes["market"], quotes["side"] = np.repeat(np.arange(markets.count), 2), [BUY, SELL] * markets.count
    quotes["account"] = markets.venue[quotes["market"]] * each + len(VENUE_ROWS)
    quotes["op"], quotes["size_lots"], quotes["order"] = LIMIT, 10_000, NOBODY
    quotes["price_ticks"] = start[quotes["market"]] - quotes["side"]
    state.leverage[:] = 2
    floor.trade(quotes, exchanges.mark_ticks, 0)
    exchanges.rebucket()
    return exchanges


def phases(exchanges: Exchanges) -> dict[str, Callable[[], Any]]:
    """The phases of an idle tick, in their order."""
    floor, books = exchanges.floor, exchanges.floor.books
    none = np.zeros(0, MESSAGE)
    return {
        "begin": lambda: (floor.reset_tally(), exchanges.begin_tick()),
        "look": lambda: (books.best_ticks(BUY), books.best_ticks(SELL), exchanges.last_ticks(), exchanges.distress()),
        "mark": exchanges.mark,
        "liquidate": exchanges.liquidate,
        "trade": lambda: (floor.trade(none, exchanges.mark_ticks, 0), exchanges.rebucket()),
        "absorb": exchanges.absorb,
        "fund": exchanges.fund,
        "audit": lambda: audit_money(floor, exchanges.assets),
    }


def measure(exchanges: Exchanges, ticks: int) -> dict[str, float]:
    """Milliseconds of each phase, mean over `ticks`."""
    steps = phases(exchanges)
    spent = dict.fromkeys(steps, 0.0)
    for _ in range(ticks):
        exchanges.venues[0].model.tick += 1
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            spent[name] += time.perf_counter() - began
    return {name: 1e3 * seconds / ticks for name, seconds in spent.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=1000, help="a venue")
    parser.add_argument("--ticks", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    exchanges = world(options.accounts)
    perps = int((exchanges.floor.markets.kind == PERPETUAL).sum())
    print(f"{len(VENUES)} venues, {exchanges.floor.markets.count} markets ({perps} perpetuals), nobody trades")
    measure(exchanges, 20)
    runs = [measure(exchanges, options.ticks) for _ in range(options.repeats)]
    best = min(runs, key=lambda found: sum(found.values()))
    for name, spent in best.items():
        print(f"{name:<12}{spent:8.3f} ms")
    print(f"{'a tick':<12}{sum(best.values()):8.3f} ms (goal 0.3)")


if __name__ == "__main__":
    main()
