"""When a company that borrowed against coins must sell them, and how much depth it needs to survive the sale.

A company owes D dollars against H coins and must keep D <= l H P. Exact, and held against the project's own functions,
book and random paths:

* its covenant trips at P* = D / (l H); at P < P*, without impact, it must sell (D - l H P) / (P (1 - l)) coins;
* with bids of density rho (coins a dollar) the sale of s coins takes the price to P - s / rho and brings
  s (P - s / (2 rho)), so selling ends where

      (1/2 - l) s^2 / rho - ((1 - l) P - l H / rho) s + D - l H P = 0.

  Near the covenant this has a solution only for rho > l H / ((1 - l) P): below that depth a sale lowers the price
  faster than it lowers the debt, and all coins go, or as many as there are bids for. In the book the company sells what
  `coins_to_sell` says at the best bid, repays, looks at the price that is left, and sells again;
* under geometric Brownian motion without impact or drift the chance that the covenant trips within T follows from the
  reflection principle; looked at every dt, the barrier counts as exp(-0.5826 sigma sqrt(dt)) lower.

Wen (2025), arXiv:2511.01135, states such a condition; we have its abstract only and reproduce none of its figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator, model_validator
from scipy.special import ndtr

from abm.parameters import Parameters, quantity
from abm.rng import normals, stream
from abm.state import BUY, I64, IOC, LIMIT, SELL, SPOT, Accounts
from abm.traders.treasury_sheet import coins_per_share_factor, coins_to_sell, covenant_price, zero_equity_price
from abm.units import MICRO, RATE_ONE
from experiments._checks import Check, check, check_table
from experiments._side_by_side import COIN, USD, build_markets, open_floor, orders

__all__ = ["FULL", "QUICK", "Options", "draw", "run", "text"]

F64 = NDArray[np.float64]
TICK_USD, COIN_LOTS = 10.0, 10
"""Of the spot market: a lot is a tenth of a coin."""
SHIFT, DAYS = 0.5826, 365.0
MOST_ROUNDS = 2_000
_PATHS = stream("treasury survival: prices")
OTHERS, COMPANY = range(2)
EXAMPLES = (("trigger price", 80_000.0, 0.0), ("zero equity price", 40_000.0, 0.0), ("coins to sell", 1428.571, 1e-3),
            ("coins a share at a premium", 1.0909, 5e-5), ("coins a share below", 0.9818, 5e-5))  # fmt: skip
"""H = 10,000 coins, D = $400m, l = 0.5, P = $70,000; a tenth more shares at 2 and at 0.8 times the coins' value."""


class Options(Parameters):
    """The company, its market and the paths."""

    coins: int = quantity(10_000, unit="coins", source="chosen", ge=100, le=1_000_000, text="H")
    debt_usd: float = quantity(400e6, unit="$", source="chosen", gt=0.0, text="D")
    limit: float = quantity(0.5, unit="of value", source="chosen", gt=0.05, lt=0.95, text="l: debt over coins' value")
    shocks: list[float] = quantity(
        [0.01, 0.03, 0.1], unit="fraction", source="chosen", text="price below the trigger when the company looks"
    )
    depths: list[float] = quantity(
        [0.7, 0.9, 1.1, 1.3, 1.5, 2.0, 3.0, 5.0, 10.0], unit="of the critical", source="chosen", text="bids' density"
    )
    volatility: float = quantity(0.6, unit="1/sqrt(year)", source="about that of bitcoin", gt=0.0, le=3.0)
    loans: list[float] = quantity(
        [0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45], unit="of value", source="chosen", text="debt at the start, paths"
    )
    horizons_days: list[int] = quantity([30, 180, 365], unit="days", source="chosen")
    paths: int = quantity(20_000, unit="paths", source="0.4 % in a chance", ge=200, le=2_000_000)
    seed: int = quantity(1, unit="-", source="chosen", ge=0)

    @field_validator("shocks", "depths", "loans", "horizons_days")
    @classmethod
    def _rising(cls, values: list[float]) -> list[float]:
        if not values or sorted(set(values)) != values or values[0] <= 0:
            raise ValueError("a rising list of different numbers above 0 is needed")
        return values

    @model_validator(mode="after")
    def _fits(self) -> Options:
        problems = []
        if self.shocks[-1] >= 0.9:
            problems.append("shocks: below 0.9")
        if self.loans[-1] >= self.limit:
            problems.append(f"loans: below the limit of {self.limit:g}, or the covenant is broken at the start")
        trigger = covenant_price(self.debt_usd, self.coins, self.limit)
        if not 1e3 <= trigger <= 1e6:
            problems.append(f"debt_usd: the trigger price {trigger:,.0f} $ should lie between 1,000 and 1,000,000")
        if problems:
            raise ValueError("; ".join(problems))
        return self


QUICK = {"depths": [0.8, 1.2, 2.0, 5.0], "paths": 4_000, "horizons_days": [30, 180]}
FULL = {"paths": 400_000}


def critical_density(options: Options, price: float) -> float:
    """Bids, coins a dollar, below which selling at this price ends only without coins."""
    return options.limit * options.coins / ((1.0 - options.limit) * price)


def sold_coins(options: Options, price: float, density: float) -> float:
    """Coins sold until the covenant holds again; if it never does, all of them or all that the bids take."""
    square = (0.5 - options.limit) / density
    slope = (1.0 - options.limit) * price - options.limit * options.coins / density
    short = options.debt_usd - options.limit * options.coins * price
    if short <= 0.0:
        return 0.0
    roots = np.roots([square, -slope, short]) if abs(square) > 1e-15 else np.array([short / slope if slope else -1.0])
    reach = min(float(options.coins), price * density)
    real = [float(root.real) for root in roots if abs(root.imag) < 1e-9 and 0.0 < root.real <= reach]
    return min(real, default=reach)


def run(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """An object: `rows` of the sales in the book, `chances` of the paths, and `checks`."""
    trigger = covenant_price(options.debt_usd, options.coins, options.limit)
    cases = [(shock, depth) for shock in options.shocks for depth in options.depths]
    prices = np.array([TICK_USD * round(trigger * (1.0 - shock) / TICK_USD) for shock, _ in cases])
    lots = [
        max(round(depth * critical_density(options, price) * TICK_USD * COIN_LOTS), 1)
        for (_, depth), price in zip(cases, prices, strict=True)
    ]
    sold, rounds = sell_in_book(options, prices, np.array(lots, np.int64))
    rows = []
    for place, (shock, depth) in enumerate(cases):
        density = lots[place] / TICK_USD / COIN_LOTS
        # half of the first tick counts, and the last is eaten in part
        near = [sold_coins(options, prices[place] + ticks * TICK_USD, density) for ticks in (-1.0, 0.5, 1.0)]
        rows.append({
            "shock": shock, "depth": density / critical_density(options, prices[place]), "wanted_depth": depth,
            "price": float(prices[place]), "density": density, "sold": float(sold[place]), "exact": near[1],
            "within": max(abs(near[0] - near[1]), abs(near[2] - near[1])) + 2.0 / COIN_LOTS,
            "rounds": int(rounds[place]),
        })  # fmt: skip
    say(f"{len(rows)} sales in the book, at most {int(rounds.max())} rounds")
    chances = _chances(options, say)
    curves = [_curve(options, shock, trigger * (1.0 - shock)) for shock in options.shocks]
    checks = [*_example_checks(), *_sale_checks(options, rows), *_chance_checks(chances)]
    return {
        "trigger": trigger,
        "coins": options.coins,
        "rows": rows,
        "curves": curves,
        "chances": chances,
        "checks": checks,
    }


def _curve(options: Options, shock: float, price: float) -> dict[str, Any]:
    """Exact coins sold by depth, for the picture."""
    depths = np.geomspace(options.depths[0], options.depths[-1], 200)
    critical = critical_density(options, price)
    return {
        "shock": shock, "depth": depths.tolist(),
        "sold": [sold_coins(options, price, float(depth) * critical) for depth in depths],
    }  # fmt: skip


def sell_in_book(options: Options, prices: F64, lots_per_tick: I64) -> tuple[F64, I64]:
    """Companies side by side, each in a spot market of its own: coins sold and rounds (R,)."""
    count = prices.size
    every, tops = np.arange(count), np.rint(prices / TICK_USD).astype(np.int64)
    markets = build_markets(
        np.full(count, SPOT, np.int32), every.astype(np.int32), TICK_USD, round(TICK_USD / COIN_LOTS * MICRO)
    )
    markets.band[:] = markets.price_filter[:] = RATE_ONE
    accounts = Accounts.empty(2 * count, 2, 1)
    accounts.venue[:] = np.repeat(every, 2)
    others, company = 2 * every + OTHERS, 2 * every + COMPANY
    accounts.cash[USD, others] = 1 << 60
    accounts.cash[COIN, company] = options.coins * COIN_LOTS
    floor = open_floor(markets, accounts, 1, options.seed)
    levels = np.minimum(options.coins * COIN_LOTS // lots_per_tick + 2, tops - 1)
    row = np.repeat(every, levels)
    below = np.arange(row.size) - np.repeat(np.cumsum(levels) - levels, levels)
    floor.trade(orders(LIMIT, row, others[row], BUY, lots_per_tick[row], tops[row] - below, 0), tops, 0)
    rounds = np.zeros(count, np.int64)
    for number in range(MOST_ROUNDS):
        best = floor.books.best_ticks(BUY)
        debt = options.debt_usd - accounts.cash[USD, company] / MICRO
        held = accounts.cash[COIN, company]
        wanted = [
            coins_to_sell(float(owed), float(lots) / COIN_LOTS, float(bid) * TICK_USD, options.limit) if bid else 0.0
            for owed, lots, bid in zip(debt, held, best, strict=True)
        ]
        size = np.minimum(np.ceil(np.round(np.array(wanted) * COIN_LOTS, 6)).astype(np.int64), held)
        some = size > 0
        if not some.any():
            break
        rounds += some
        floor.trade(orders(IOC, every[some], company[some], SELL, size[some], 1, 0), np.maximum(best, 1), number + 1)
    sold: F64 = options.coins - accounts.cash[COIN, company] / COIN_LOTS
    return sold, rounds


def tripped(loan: float, limit: float, volatility: float, years: float, step: float = 0.0) -> float:
    """Chance that debt over value, at first `loan`, reaches `limit` within `years`, looked at every `step` years."""
    barrier = math.log(loan / limit) - SHIFT * volatility * math.sqrt(step)
    drift, spread = -0.5 * volatility**2, volatility * math.sqrt(years)
    first = ndtr((barrier - drift * years) / spread)
    return float(first + math.exp(2.0 * drift * barrier / volatility**2) * ndtr((barrier + drift * years) / spread))


def _chances(options: Options, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Chance that the covenant trips, from daily paths and exactly."""
    every = np.arange(options.paths)
    sd = options.volatility / math.sqrt(DAYS)
    level, low = np.zeros((2, options.paths))
    found = []
    for day in range(1, options.horizons_days[-1] + 1):
        level += sd * normals(options.seed, _PATHS, every, day, 0) - 0.5 * sd * sd
        low = np.minimum(low, level)
        if day not in options.horizons_days:
            continue
        for loan in options.loans:
            found.append({
                "days": day, "loan": loan, "ours": float((low <= math.log(loan / options.limit)).mean()),
                "exact": tripped(loan, options.limit, options.volatility, day / DAYS, 1.0 / DAYS),
                "always": tripped(loan, options.limit, options.volatility, day / DAYS), "paths": options.paths,
            })  # fmt: skip
        say(f"{day} days")
    return found


def _example_checks() -> list[Check]:
    """The project's own functions on round numbers."""
    debt, coins, limit = 400e6, 10_000.0, 0.5
    ours = (covenant_price(debt, coins, limit), zero_equity_price(debt, coins),
            coins_to_sell(debt, coins, 70_000.0, limit), coins_per_share_factor(2.0, 0.1),
            coins_per_share_factor(0.8, 0.1))  # fmt: skip
    return [
        check(what, value, exact=exact, within=within, why="the digits given")
        for (what, exact, within), value in zip(EXAMPLES, ours, strict=True)
    ]


def _sale_checks(options: Options, rows: list[dict[str, Any]]) -> list[Check]:
    checks = []
    for row in rows:
        what = f"coins sold, {100 * row['shock']:g} % below the trigger, depth {row['depth']:.2f}"
        why = "a tick of price and two lots" if row["exact"] < options.coins else "all"
        checks.append(check(what, row["sold"], exact=row["exact"], within=row["within"], why=why, unit="coins"))
    return checks


def _chance_checks(chances: list[dict[str, Any]]) -> list[Check]:
    checks = []
    for row in chances:
        error = 4.0 * math.sqrt(max(row["exact"] * (1.0 - row["exact"]), 1.0 / row["paths"]) / row["paths"])
        what = f"chance of a forced sale, {row['days']} days, debt {100 * row['loan']:g} % of value"
        # the shift of the barrier is itself of first order in the root of the step
        checks.append(check(what, row["ours"], exact=row["exact"], within=error + 0.002, why="4 se, shift 0.002"))
    return checks


def text(results: dict[str, Any]) -> str:
    """The checks."""
    return f"trigger price {results['trigger']:,.0f} $\n" + check_table(results["checks"])


def draw(results: dict[str, Any], path: Path) -> Path:
    """Coins sold by depth, and chances of a forced sale by debt."""
    from experiments._survival_figure import draw as plate

    return plate(results, path)
