"""Shared by `avellaneda-stoikov-2008` and `glft-2013`: their market, through the project's own books and ledger.

Many paths run side by side. Each has a perpetual of its own (a venue a path, all in one `Books`, one `TradingFloor`),
one of the `Makers`, and one row for everybody who trades with it. The middle price S moves by sigma sqrt(dt) up or down
in a step; makers quote about it (it is their index). In each step one market order a side comes in, immediate or
cancel, for one unit, with the limit price S ± ln(A dt / U) / k, U uniform: it trades with a quote at distance d exactly
with probability min(1, A exp(-k d) dt), as in Avellaneda and Stoikov (2008), section 3.3. Inventory and profit are read
from the ledger; what is left over counts at the last middle price.

Prices are whole ticks. S is rounded to the nearest tick, quotes away from their centre; that makes spreads wider by one
tick on average, and changes results by less than `rounding` in the tables says.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator, model_validator

from abm.book.books import Books
from abm.book.record_kernel import RESTING
from abm.clearing.audit import audit_money, audit_structure
from abm.clearing.trading import TradingFloor
from abm.events import EventLog
from abm.parameters import Parameters, quantity
from abm.rng import stream, uniforms
from abm.state import BUY, CANCEL, I64, IOC, MAKER, MESSAGE, NOBODY, OUTSIDE, PERPETUAL, SELL, Accounts, Markets
from abm.traders.base import HORIZONS_S, PEOPLE_LATENCY, Batch, View, World, bare_model
from abm.traders.makers import Makers, MakersParameters
from abm.traders.makers_parameters import RuleName
from abm.traders.quotes import AvellanedaStoikov, Exact, QuotingModel, Rule, Symmetric
from abm.units import MICRO, RATE_ONE
from experiments._maker_chain import Chain, Moments

F64 = NDArray[np.float64]
PAPER = "Avellaneda and Stoikov (2008), section 3.3"
ROWS = 3
"""Rows a path: the outside world, everybody who trades with the maker, the maker."""
LEVELS = 1 << 18
MOST_STEPS = 200_000
_PRICE = stream("optimal makers: middle price")
_ORDERS = stream("optimal makers: market orders")


class MakerOptions(Parameters):
    """The model of both papers: prices in $, time in units of which T is the end."""

    gammas: list[float] = quantity([0.1, 0.01, 1.0], unit="1/$", source=PAPER, text="risk aversions, a row each")
    paths: int = quantity(1000, unit="paths", source=PAPER, ge=2, le=1_000_000)
    dt: float = quantity(0.005, unit="time", source=PAPER, gt=0.0, text="length of a step")
    T: float = quantity(1.0, unit="time", source=PAPER, gt=0.0)
    s0: float = quantity(100.0, unit="$", source=PAPER, gt=0.0, text="middle price at the start")
    sigma: float = quantity(2.0, unit="$/sqrt(time)", source=PAPER, gt=0.0)
    k: float = quantity(1.5, unit="1/$", source=PAPER, gt=0.0, text="decay of the rate of fills with distance")
    A: float = quantity(140.0, unit="1/time", source=PAPER, gt=0.0, text="rate of fills at the middle price")
    tick: float = quantity(0.001, unit="$", source="small against every distance", gt=0.0)
    seed: int = quantity(1, unit="-", source="chosen", ge=0)
    block: int = quantity(250, unit="paths", source="side by side; changes nothing but time", ge=1, le=400)

    @property
    def steps(self) -> int:
        """Number of steps, T / dt."""
        return max(1, round(self.T / self.dt))

    def model(self, gamma: float) -> QuotingModel:
        """The model of the quotes for one risk aversion."""
        return QuotingModel(gamma, self.sigma, self.k, self.A)

    def chain(self, gamma: float, quoting: RuleName, limit: int, **changes: Any) -> Chain:
        """What the exact solver takes: the same rule, in $ and units."""
        facts: dict[str, Any] = {"dt": self.dt, "steps": self.steps} | changes
        dt, model = facts["dt"], self.model(gamma)
        rules: dict[str, Callable[[], Rule]] = {
            "avellaneda-stoikov": lambda: AvellanedaStoikov(model),
            "symmetric": lambda: Symmetric(model, self.T),
            "glft": lambda: Exact(model, limit, dt, self.T),
        }
        return Chain(rules[quoting](), self.sigma, self.k, self.A, limit=limit, **facts)

    @field_validator("gammas")
    @classmethod
    def _gammas(cls, values: list[float]) -> list[float]:
        if not values or not all(0.0 < value <= 100.0 for value in values):
            raise ValueError("at least one risk aversion, each above 0 and at most 100")
        if len(set(values)) < len(values):
            raise ValueError("each risk aversion once")
        return values

    @model_validator(mode="after")
    def _consistent(self) -> MakerOptions:
        problems = []
        if not 1 <= self.steps <= MOST_STEPS or abs(self.steps * self.dt / self.T - 1.0) > 1e-9:
            problems.append(f"dt: {self.dt:g}: T = {self.T:g} must be 1 to {MOST_STEPS:,} whole steps")
        widest = 8.0 * self.sigma * math.sqrt(self.T)
        if widest >= self.s0:
            problems.append(
                f"sigma: {self.sigma:g}: the price may reach zero; s0 must exceed 8 sigma sqrt(T), {widest:g}"
            )
        if self.s0 / self.tick > 1e7:
            problems.append(f"tick: {self.tick:g}: more than 10 million ticks up to s0 = {self.s0:g}")
        if self.tick > 0.1 / self.k:
            problems.append(f"tick: {self.tick:g}: must not exceed a tenth of 1 / k = {0.1 / self.k:g}")
        whole = (self.tick * MICRO, self.s0 / self.tick)
        if any(abs(value - round(value)) > 1e-6 or round(value) < 1 for value in whole):
            problems.append(f"tick: {self.tick:g}: must be whole millionths of a $ and divide s0 = {self.s0:g}")
        if problems:
            raise ValueError("; ".join(problems))
        return self


class Paths(NamedTuple):
    """What the ledger says at the end, and what the books showed; arrays (paths,)."""

    profit: F64  # $
    inventory: I64  # units
    spread: float  # $, mean over steps and paths in which both quotes stood
    fills: float  # a path
    misplaced: int  # quotes that stood more than a tick from the rule's place, or did not stand
    sample: dict[str, list[float]]  # path 0, every step


@dataclass(slots=True)
class Book:
    """A block of paths: their markets, books, accounts and makers."""

    makers: Makers
    floor: TradingFloor
    world: World
    customers: I64
    start: I64

    @property
    def paths(self) -> int:
        """How many run side by side."""
        return int(self.customers.size)


def markets(paths: int, tick: float) -> Markets:
    """One perpetual a path, on a venue of its own, without fees; a lot is one unit, and money is in millionths of $."""
    flat = np.zeros((paths, 1), np.int64)
    return Markets(
        names=[f"path {n}" for n in range(paths)],
        venue=np.arange(paths, dtype=np.int32),
        kind=np.full(paths, PERPETUAL, np.int32),
        slot=np.zeros(paths, np.int32),
        settle=np.zeros(paths, np.int32),
        base=np.ones(paths, np.int32),
        tick_value=np.full(paths, round(tick * MICRO), np.int64),
        lot_units=np.ones(paths, np.int64),
        taker_fee=np.zeros(paths, np.int64),
        maker_fee=np.zeros(paths, np.int64),
        band=np.full(paths, RATE_ONE, np.int64),
        price_filter=np.full(paths, RATE_ONE, np.int64),
        tick_dollars=np.full(paths, tick),
        lot_coins=np.ones(paths),
        tier_floor=flat,
        tier_maintenance=flat.copy(),
        tier_amount=flat.copy(),
        tier_leverage=np.full((paths, 1), 100, np.int64),
    )


def maker_parameters(
    options: MakerOptions, gamma: float, quoting: RuleName, paths: int, limit: int
) -> MakersParameters:
    """The market's makers with an optimal rule and nothing else: no thinning, no pauses, one order a side."""
    return MakersParameters(
        count=paths,
        quoting=quoting,
        centre_on="index",
        steps=1,
        clip_coins=1.0,
        inventory_coins=float(limit * paths),
        spot_share=0.0,
        risk_aversion=gamma,
        volatility=options.sigma / options.s0,
        arrival_rate=options.A,
        arrival_decay=options.k * options.s0,
        horizon_s=options.T,
        thinning_max=1.0,
        requote_rate=1.0,
        sticky=0.0,
        loss_share=1e9,
        price_tolerance=0.0,
        size_tolerance=0.0,
    )


def empty_books(options: MakerOptions) -> Books:
    """Books for a block. Those of one block after another may be the same: memory once used is there already."""
    paths = min(options.block, options.paths)
    base = max(round(options.s0 / options.tick) - LEVELS // 2, 1)
    return Books(paths, base, LEVELS, 0, capacity=max(8 * paths, 64))


def open_block(books: Books, options: MakerOptions, gamma: float, quoting: RuleName, paths: int, limit: int) -> Book:
    """A block before its first step, on the first `paths` of the books, which are empty; deposits are made."""
    tables, accounts = markets(paths, options.tick), Accounts.empty(ROWS * paths, 2, 1)
    accounts.venue[:] = np.repeat(np.arange(paths), ROWS)
    outside, customers = np.arange(paths) * ROWS, np.arange(paths) * ROWS + 1
    accounts.kind[outside] = OUTSIDE
    start = np.full(paths, round(options.s0 / options.tick), np.int64)
    world = World(options.seed, tables, accounts, books, 0, 0, 0, 1, start, 0.0, datetime(2008, 4, 1, tzinfo=UTC))
    makers = Makers(bare_model(), maker_parameters(options, gamma, quoting, paths, limit), np.arange(paths))
    makers.rows = np.arange(paths) * ROWS + 2
    makers.bind(world)
    assert (accounts.kind[makers.rows] == MAKER).all()
    purse = np.full(paths, round(options.s0 * MICRO) * 8 * (options.steps + 4))
    world.deposit(customers, world.usdt, purse)
    for asset in range(2):
        accounts.cash[asset, outside] = -accounts.cash[asset].reshape(paths, ROWS)[:, 1:].sum(axis=1)
    floor = TradingFloor(tables, accounts, books, EventLog("summary"), options.seed)
    floor.fee_row[:] = outside
    return Book(makers, floor, world, customers, start)


def look(book: Book, options: MakerOptions, step: int, middle: I64) -> View:
    """What the makers see: their books, and the middle price as index and mark."""
    books, paths = book.floor.books, book.paths
    return View(
        seed=options.seed,
        tick=step,
        round=0,
        seconds=step * options.dt,
        tick_s=options.dt,
        bid_ticks=books.best_ticks(BUY)[:paths],
        ask_ticks=books.best_ticks(SELL)[:paths],
        last_ticks=middle,
        mark_ticks=middle,
        index_ticks=middle,
        fair_ticks=middle.astype(np.float64),
        returns=np.zeros((paths, len(HORIZONS_S))),
        high_600_ticks=middle,
        low_600_ticks=middle,
        ema50_ticks=middle.astype(np.float64),
        flow_lots=np.zeros(paths),
        fund_distress=0.0,
        funding_bp=np.zeros(paths),
        macro=0.0,
    )


def market_orders(options: MakerOptions, book: Book, first: int, step: int, middle: I64) -> NDArray[Any]:
    """One order a side and path, MESSAGE (2 paths,); `first` is the number of the block's first path."""
    paths = book.paths
    numbers = np.arange(first, first + paths)
    orders = np.zeros(2 * paths, MESSAGE)
    for index, side in enumerate((BUY, SELL)):
        mine = orders[index * paths : (index + 1) * paths]
        luck = uniforms(options.seed, _ORDERS, numbers, step, index)
        reach = np.log(options.A * options.dt / luck) / (options.k * options.tick)
        mine["side"] = side
        # as far as it reaches and not a tick further: the quotes are whole ticks, so the chance stays exact
        mine["price_ticks"] = np.maximum(side * np.floor(side * middle + reach), 1.0)
        mine["market"] = np.arange(paths)
        mine["account"] = book.customers
    orders["op"], orders["size_lots"], orders["latency"] = IOC, 1, PEOPLE_LATENCY
    orders["order"] = orders["cause"] = NOBODY
    return orders


def standing(book: Book, view: View, rule: Rule, options: MakerOptions, limit: int) -> tuple[I64, I64, int]:
    """Best bid and ask of every book, and how many quotes are not where the rule wants them (to a tick)."""
    books = book.floor.books
    inventory = book.world.accounts.position[0, book.makers.rows]
    quotes = rule(inventory.astype(np.float64), options.T - view.seconds)
    found, misplaced = {}, 0
    for side, distance in ((BUY, quotes.bid), (SELL, quotes.ask)):
        found[side] = books.best_ticks(side)[: book.paths]
        wanted = side * np.floor(side * view.index_ticks - distance / options.tick)
        wanted = np.where(side * inventory < limit, wanted, 0.0)
        misplaced += int((np.abs(found[side] - wanted) > 1.0).sum())
    return found[BUY], found[SELL], misplaced


def clear(book: Book, middle: I64) -> None:
    """Cancel everything that rests."""
    books = book.floor.books
    slots = np.flatnonzero(books.orders["state"] == RESTING)
    cancels = np.zeros(slots.size, MESSAGE)
    cancels["market"], cancels["account"] = books.orders["market"][slots], books.orders["account"][slots]
    cancels["op"], cancels["order"], cancels["cause"] = CANCEL, books.handles(slots), NOBODY
    book.floor.trade(cancels, middle, 0)
    assert not (books.orders["state"] == RESTING).any()


def simulate_block(
    books: Books, options: MakerOptions, gamma: float, quoting: RuleName, limit: int, first: int, paths: int
) -> tuple[Paths, float]:
    """Paths `first` ... `first + paths - 1` side by side; also the number of steps in which both quotes stood."""
    book = open_block(books, options, gamma, quoting, paths, limit)
    accounts, floor, rows, tick = book.world.accounts, book.floor, book.makers.rows, options.tick
    deposit = accounts.cash[0, rows].copy()
    rule = options.chain(gamma, quoting, limit).rule
    numbers, batch = np.arange(first, first + paths), Batch(4 * paths)
    net, jump = np.zeros(paths), options.sigma * math.sqrt(options.dt)
    middle, spread, both, misplaced = book.start, 0.0, 0.0, 0
    sample: dict[str, list[float]] = {name: [] for name in ("time", "middle", "bid", "ask", "inventory")}
    for step in range(options.steps):
        view = look(book, options, step, middle)
        batch.clear()
        book.makers.decide(view, batch)
        messages = batch.messages()
        book.makers.after_trade(floor.trade(messages, middle, 2 * step), 0)
        bid, ask, wrong = standing(book, view, rule, options, limit)
        stand = (bid > 0) & (ask > 0)
        spread += float((ask - bid)[stand].sum()) * tick
        both += float(stand.sum())
        misplaced += wrong
        held = float(accounts.position[0, rows[0]])
        for name, value in zip(
            sample, (view.seconds, middle[0] * tick, bid[0] * tick, ask[0] * tick, held), strict=True
        ):
            sample[name].append(round(float(value), 9))
        floor.trade(market_orders(options, book, first, step, middle), middle, 2 * step + 1)
        net += np.where(uniforms(options.seed, _PRICE, numbers, step, 0) < 0.5, 1.0, -1.0)
        middle = np.rint((options.s0 + jump * net) / tick).astype(np.int64)
    audit_money(floor, ["cash", "units"])
    if first == 0:
        audit_structure(floor)
    clear(book, middle)
    inventory = accounts.position[0, rows].copy()
    value = inventory * middle * book.world.markets.tick_value - accounts.entry_cost[0, rows]
    profit = (accounts.cash[0, rows] + value - deposit) / MICRO
    tally = floor.tally()
    return Paths(profit, inventory, spread, float(tally.fills), misplaced, sample), both


def simulate(
    books: Books,
    options: MakerOptions,
    gamma: float,
    quoting: RuleName,
    limit: int,
    say: Callable[[str], None] = lambda words: None,
) -> Paths:
    """All paths, block by block, in `empty_books`; every rule and gamma meets the same luck, path by path."""
    blocks, both = [], 0.0
    for first in range(0, options.paths, options.block):
        paths = min(options.block, options.paths - first)
        done, stood = simulate_block(books, options, gamma, quoting, limit, first, paths)
        blocks.append(done)
        both += stood
        say(f"gamma {gamma:g}, {quoting}: {first + paths:,} of {options.paths:,} paths")
    return Paths(
        np.concatenate([block.profit for block in blocks]),
        np.concatenate([block.inventory for block in blocks]),
        sum(block.spread for block in blocks) / max(both, 1.0),
        sum(block.fills for block in blocks) / options.paths,
        sum(block.misplaced for block in blocks),
        blocks[0].sample,
    )


def standard_errors(moments: Moments, paths: int) -> tuple[float, float]:
    """Of the mean and of the standard deviation of a sample of `paths`, by the exact second and fourth moments."""
    return moments.sd / math.sqrt(paths), moments.sd * math.sqrt((moments.kurtosis - 1.0) / (4.0 * paths))
