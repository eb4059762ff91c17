"""The basis stays within its no-arbitrage band while arbitrageurs have capital, and leaves it when they have not."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from abm.book.books import Books
from abm.state import BUY, LIMIT, MESSAGE, NOBODY, SELL
from abm.traders.arbitrageurs import Arbitrageurs, ArbitrageursParameters
from abm.traders.base import Batch, View, World, bare_model
from abm.traders.cash_and_carry import CashAndCarry, CashAndCarryParameters
from abm.units import MICRO
from tests.one_by_one import same_one_by_one
from tests.test_cross_margin import DATED
from tests.test_dated import EXPIRY, LEFT_S, Dated
from tests.traders_world import PERP, SPOT_MARKET, START_TICKS, Stage
from tests.venue_world import DEEP_POCKET, FIRST

pytestmark = pytest.mark.kernels

FEES = 0.0005 + 0.001
THRESHOLD = 0.0002


# --- spot and perpetual -----------------------------------------------------------------------------------------------
class Pressed:
    """Somebody buys (or sells) the perpetual for ever; both books are uniform, so x lots net move a price by x / rho.

    Every tick the ladders stand about the price that the flow so far has made.
    """

    def __init__(self, capital_coins: float, sign: int = 1) -> None:
        settings: dict[str, Any] = {"threshold": THRESHOLD, "threshold_spread": 0.0, "full": 1e-4, "reverters": 0}
        self.stage = Stage(1, (Arbitrageurs, ArbitrageursParameters(capital_coins=capital_coins, **settings)))
        self.pairs = self.stage.people[0]
        assert isinstance(self.pairs, Arbitrageurs)
        self.sign, self.pressure = sign, 0
        self.lots_a_tick = 100

    def step(self, tick: int) -> float:
        """One second with 5 BTC of pressure; returns the basis before the arbitrageurs trade."""
        stage, rows = self.stage, self.pairs.rows
        stage.tick = tick
        self.pressure += self.sign * 5_000
        held = int(stage.accounts.position[0, rows].sum())
        bought = int((stage.accounts.cash[1, rows] - self.pairs._opening_coins).sum()) // 100_000
        middle = [START_TICKS + (x // self.lots_a_tick) for x in (self.pressure + held, bought)]
        stage.books = stage.world.books = Books(2, START_TICKS - (1 << 15), 1 << 16)
        for market in (PERP, SPOT_MARKET):
            for side in (BUY, SELL):
                batch = np.zeros(2_000, MESSAGE)
                batch["market"], batch["op"], batch["side"] = market, LIMIT, side
                batch["account"], batch["order"], batch["size_lots"] = NOBODY, NOBODY, self.lots_a_tick
                batch["price_ticks"] = middle[market] - side * (1 + np.arange(2_000))
                stage.trade(batch)
        stage.turn(self.pairs, stage.view(last_ticks=np.array(middle), round=1))
        return middle[PERP] / middle[SPOT_MARKET] - 1.0


@pytest.mark.parametrize(("sign", "capital_lots"), [(1, 50_000), (-1, 25_000)])
def test_with_capital_the_basis_stays_in_the_band_and_without_it_goes_where_it_is_pushed(
    sign: int, capital_lots: int
) -> None:
    """Coins lie ready for half of the capital only: against a discount that is the limit."""
    band = FEES + THRESHOLD
    rich = Pressed(6000.0, sign)
    paths = np.array([rich.step(tick) for tick in range(1, 201)])
    assert np.abs(paths).max() < band + 2e-4, "fees, threshold and what makes them trade"
    assert abs(paths[-1]) > 0.8 * band, "and no less: inside the band they do nothing"
    poor = Pressed(50.0, sign)
    paths = np.array([poor.step(tick) for tick in range(1, 201)])
    assert int(poor.stage.accounts.position[0, poor.pairs.rows].sum()) == -sign * capital_lots, "all capital in use"
    # 5 BTC a second push 50 ticks, less what was traded against them on both sides
    assert sign * paths[-1] * START_TICKS == pytest.approx(200 * 50 - 2 * capital_lots / 100, rel=0.03)
    inside = np.abs(paths) < band + 2e-4
    assert inside[:38].all() and not inside[70:].any(), "it leaves the band when the capital is used up"


def test_the_band_follows_the_fees_that_a_venue_asks_now() -> None:
    """Twice the fee of the perpetual after 100 s: from then on the basis may be 0.05 points wider."""
    pressed = Pressed(6000.0)
    narrow = np.array([pressed.step(tick) for tick in range(1, 101)])
    pressed.stage.world.markets.taker_fee[PERP] *= 2
    wide = np.array([pressed.step(tick) for tick in range(101, 201)])
    assert wide.max() - narrow.max() == pytest.approx(0.0005, abs=1e-4)


def test_arbitrageurs_one_by_one() -> None:
    def build() -> Stage:
        stage = Stage(1, (Arbitrageurs, ArbitrageursParameters(accounts=4, reverters=3)))
        for market, middle in ((PERP, START_TICKS + 6_000), (SPOT_MARKET, START_TICKS)):
            batch = np.zeros(4_000, MESSAGE)
            batch["market"], batch["op"], batch["account"], batch["order"] = market, LIMIT, NOBODY, NOBODY
            batch["side"] = np.repeat([BUY, SELL], 2_000)
            batch["price_ticks"] = middle - batch["side"] * (1 + np.tile(np.arange(2_000), 2))
            batch["size_lots"] = 150
            stage.trade(batch)
        return stage

    def view(stage: Stage, tick: int) -> View:
        average = np.array([START_TICKS * 1.02] * 2)
        return stage.view(round=1, tick=tick // 2, ema50_ticks=average, fair_ticks=np.array([START_TICKS * 0.99] * 2))

    assert same_one_by_one(build, view, 30) > 100


# --- spot and a dated future ------------------------------------------------------------------------------------------
RATE = 0.5
"""A year: large, so that eleven hours of it can be seen."""
CARRY = RATE * LEFT_S / (365 * 86_400)


class Carried:
    """A venue on the evening before the expiry with four accounts of the kind; the book is filled by hand."""

    def __init__(self, capital_coins: float = 100.0) -> None:
        settings: dict[str, Any] = {"accounts": 4, "threshold": THRESHOLD, "threshold_spread": 0.0, "full": 1e-5}
        self.world = world = Dated(4)
        self.kind = CashAndCarry(
            bare_model(), CashAndCarryParameters(rate_a_year=RATE, capital_coins=capital_coins, **settings)
        )
        self.kind.rows = np.arange(FIRST, FIRST + 4)
        opening = datetime.fromtimestamp(EXPIRY.timestamp() - LEFT_S, UTC)
        btc = world.assets.index("BTC")
        self.kind.bind(
            World(
                1,
                world.markets,
                world.accounts,
                world.floor.books,
                world.perp,
                world.spot,
                0,
                btc,
                world.start,
                75_000.0,
                opening,
            )
        )
        world.settle_outside()
        self.spot_ticks = int(world.start[world.spot])
        self.tick = 0

    def quotes(self, market: int, side: int, price_over_spot: float, coins: float) -> None:
        """One order of the deep pocket at a distance from 100,000 $."""
        ticks, lot = self.world.markets.tick_dollars[market], self.world.markets.lot_coins[market]
        self.world.quote(side, round(100_000.0 * (1 + price_over_spot) / ticks), round(coins / lot), market=market)

    def turn(self, times: int = 1, seconds: float = 0.0) -> int:
        """Ticks of the kind alone; returns how many messages it sent."""
        sent, books = 0, self.world.floor.books
        for _ in range(times):
            self.tick += 1
            last = books.last_ticks()
            view: Any = SimpleNamespace(
                seed=1, tick=self.tick, round=1, tick_s=1.0, seconds=seconds,
                bid_ticks=books.best_ticks(BUY), ask_ticks=books.best_ticks(SELL),
                last_ticks=np.where(last > 0, last, self.world.start),
            )  # fmt: skip
            batch = Batch()
            self.kind.decide(view, batch)
            sent += batch.count
            if batch.count:
                self.world.send(batch.messages().copy())
                self.world.audit()
        return sent

    @property
    def held(self) -> float:
        """Coins of the future, all accounts."""
        slot = self.world.markets.slot[self.world.future]
        lots = int(self.world.accounts.position[slot, self.kind.rows].sum())
        return lots * float(self.world.markets.lot_coins[self.world.future])

    @property
    def coins(self) -> float:
        """Coins above the opening stock."""
        extra = self.world.accounts.cash[self.world.assets.index("BTC"), self.kind.rows] - self.kind._opening_coins
        return float(extra.sum()) / 1e8


@pytest.mark.parametrize("side", [SELL, BUY])
def test_nobody_trades_inside_the_band_and_everybody_outside(side: int) -> None:
    """Edges at r tau + c and r tau - c; fees are zero in this world, c is the threshold."""
    edge = CARRY - side * THRESHOLD
    for outside, trades in ((-2e-5, False), (2e-5, True)):
        carried = Carried()
        carried.quotes(carried.world.future, -side, edge - side * outside, 50.0)
        carried.quotes(carried.world.spot, side, 0.0, 50.0)
        assert (carried.turn(20) > 0) == trades
        if trades:
            assert carried.held == pytest.approx(side * 50.0) and carried.coins == pytest.approx(-carried.held)


def test_trading_brings_the_basis_back_to_the_edge_and_capital_is_the_limit() -> None:
    for capital, ends_inside in ((1000.0, True), (20.0, False)):
        carried = Carried(capital)
        for level in np.arange(0.005, -0.001, -2e-4):
            carried.quotes(carried.world.future, BUY, float(level), 5.0)
        carried.quotes(carried.world.spot, SELL, 0.0, 1000.0)
        carried.turn(60)
        best = carried.world.floor.books.best(carried.world.future, BUY) / carried.world.start[carried.world.future] - 1
        assert (best <= CARRY + THRESHOLD + 1e-5) == ends_inside
        if ends_inside:
            assert best > CARRY + THRESHOLD - 2e-4 - 1e-5
        else:
            assert carried.held == pytest.approx(-20.0) and best > 0.003


def test_the_carry_asked_one_by_one_does_the_same() -> None:
    """Basis opened at both edges, with capital that runs out: the same cash, coins and positions of everybody."""
    ends = []
    for one_by_one in (False, True):
        carried = Carried(20.0)
        if one_by_one:
            carried.kind.decide = carried.kind.ask_each  # type: ignore[method-assign]
        for level in np.arange(0.005, -0.001, -2e-4):
            carried.quotes(carried.world.future, BUY, float(level), 5.0)
        carried.quotes(carried.world.spot, SELL, 0.0, 1000.0)
        assert carried.turn(60) > 4
        tables = carried.world.accounts
        ends.append((tables.cash.copy(), tables.position.copy(), tables.entry_cost.copy()))
    assert all((a == b).all() for a, b in zip(*ends, strict=True))


def test_held_to_the_end_it_earns_the_basis_wherever_the_price_goes() -> None:
    """Sold at 100,500 $, coins at 100,000 $: 50 coins earn 25,000 $, whether the end is at 80,000 or 130,000 $."""
    for end in (80_000, 130_000):
        carried = Carried()
        world, rows = carried.world, carried.kind.rows
        before = int(world.accounts.cash[0, rows].sum())
        carried.quotes(world.future, BUY, 0.005, 50.0)
        carried.quotes(world.spot, SELL, 0.0, 50.0)
        carried.turn(20)
        assert carried.held == pytest.approx(-50.0)
        world.settle_at(end * 10)
        ticks = round(end / float(world.markets.tick_dollars[world.spot]))
        world.quote(BUY, ticks, 10**6, market=world.spot)
        world.set_mark(ticks, world.spot)
        world.send(world.message(DEEP_POCKET, LIMIT, SELL, 1, price_ticks=ticks, market=world.spot))  # a trade there
        carried.turn(20, seconds=float(LEFT_S))
        assert carried.held == 0.0 and carried.coins == pytest.approx(0.0, abs=1e-3)
        gained = (int(world.accounts.cash[0, rows].sum()) - before) / MICRO
        assert gained == pytest.approx(25_000.0, rel=1e-3)


def test_no_dated_future_nobody_acts_and_a_wrong_name_is_refused() -> None:
    stage = Stage(1, (CashAndCarry, CashAndCarryParameters()))
    assert stage.ask(stage.people[0], stage.view()).size == 0
    with pytest.raises(ValueError, match="no dated future"):
        Stage(1, (CashAndCarry, CashAndCarryParameters(market=DATED)))
