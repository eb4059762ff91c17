"""Compiled parts of the tick against the plain way of saying the same: events of fills, makers, a step to a target."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from abm.book.books import Books
from abm.clearing.event_kernel import log_fills
from abm.events import EVENT, FILL_EVENT, EventLog
from abm.state import BUY, FILL, LIMIT, MESSAGE, NOBODY, SELL
from abm.traders.arbitrage_kernel import approach
from abm.traders.makers import Makers, MakersParameters
from abm.units import signed_value
from tests.traders_world import START_TICKS, Stage

pytestmark = pytest.mark.kernels


def some_fills(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    fills, fees = np.zeros(count, FILL), rng.integers(-50, 50, (count, 2))
    for name in ("market", "taker", "maker", "reason", "taker_order", "maker_order", "cause"):
        fills[name] = rng.integers(0, 2, count) if name == "market" else rng.integers(0, 20, count)
    fills["price_ticks"], fills["size_lots"] = rng.integers(900, 1100, count), rng.integers(1, 99, count)
    fills["side"] = rng.choice([BUY, SELL], count)
    return fills, fees


@pytest.mark.parametrize("level", ["summary", "fills"])
def test_fills_are_logged_as_any_event(level: str) -> None:
    """One linear market and one inverse: the same rows, numbers and last fills as column by column."""
    fills, fees = some_fills(40)
    settle, tick_value = np.array([2, 1], np.int32), np.array([7, 1])
    inverse = np.array([0, 10**12])
    whole, single, latest = EventLog(level), EventLog(level), np.full(2, NOBODY)
    for log in (whole, single):
        log.add(FILL_EVENT)
        log.tick, log.round = 5, 3
    market = fills["market"]
    terms = zip(fills["size_lots"], fills["price_ticks"], tick_value[market], inverse[market], strict=True)
    first, rows = whole.next_seq, whole.room(fills.size)
    log_fills(rows, fills, fees, latest, first, 5, 3, FILL_EVENT, settle, tick_value, inverse)
    single.add(
        FILL_EVENT, fills.size, market=market, asset=settle[market], account=fills["taker"],
        counterparty=fills["maker"], side=fills["side"], order_id=fills["taker_order"],
        price_ticks=fills["price_ticks"],
        size_lots=fills["size_lots"], amount=[abs(signed_value(*map(int, term))) for term in terms],
        fee_taker=fees[:, 0], fee_maker=fees[:, 1], reason=fills["reason"], cause=fills["cause"],
    )  # fmt: skip
    assert whole.rows().tobytes() == single.rows().tobytes() and whole.next_seq == single.next_seq
    assert whole.rows().dtype == EVENT and whole.rows().size == (41 if level == "fills" else 0)
    assert latest.tolist() == [first + int(np.flatnonzero(market == m)[-1]) for m in (0, 1)]


@pytest.mark.parametrize(("spot_share", "inverse"), [(0.3, 0.0), (0.0, 0.0), (0.0, 1e13)])
def test_makers_weigh_themselves_as_wealth_says(spot_share: float, inverse: float) -> None:
    """Inventory over its limit, and a pause exactly where the loss of wealth exceeds the personal limit."""
    stage = Stage(3, (Makers, MakersParameters(count=12, loss_share=0.05, loss_spread=0.8, spot_share=spot_share)))
    makers = stage.people[0]
    assert isinstance(makers, Makers)
    makers._inverse[:] = inverse
    rng, accounts, world = np.random.default_rng(1), stage.accounts, stage.world
    accounts.position[0, makers.rows] = rng.integers(-900, 900, 12)
    accounts.entry_cost[0, makers.rows] = accounts.position[0, makers.rows] * START_TICKS
    accounts.cash[world.usdt, makers.rows] -= (rng.random(12) * 0.2 * makers._risk_capital).astype(np.int64)
    if spot_share:
        accounts.cash[world.btc, makers.rows] += rng.integers(-9, 9, 12) * 10**6
    view, inventory, reference = stage.view(), np.empty(12), makers._reference.copy()
    mark = view.mark_ticks[world.perp] or view.last_ticks[world.perp]
    wealth = makers._wealth(mark, float(view.last_ticks[world.spot]))
    lost = (reference - wealth) / makers._risk_capital
    makers._weigh(view, inventory)
    hit = lost > makers.alarms.loss_limit
    assert 0 < hit.sum() < 12 or inverse
    assert np.array_equal(makers.alarms.until_s > view.seconds, hit)
    assert np.array_equal(makers._reference, np.where(hit, reference - lost * makers._risk_capital, reference))
    lots = accounts.position[0, makers.rows].astype(np.float64)
    if spot_share:
        extra = accounts.cash[world.btc, makers.rows] - makers._opening_coins
        lots += extra / world.markets.lot_units[world.perp]
    assert np.array_equal(inventory, lots / makers._limit_lots)


def test_a_step_to_the_target() -> None:
    """Faster forth than back, nothing for crumbs, buys before sells."""
    held = np.array([0, 500, 1200, -300, 995, 1004, 3000])
    target, back, forth, least = 1000.0, 0.02, 0.25, 2.0
    gap = target - held
    step = (gap * np.where(gap * held < 0.0, back, forth)).astype(np.int64)
    step[np.abs(step) < least] = 0
    out = np.zeros(held.size, MESSAGE)
    count = approach(out, np.arange(held.size) + 10, held, target, back, forth, least, 1, 1010, 990, 2, 9)
    buys, sells = np.flatnonzero(step > 0), np.flatnonzero(step < 0)
    made = out[:count]
    assert made["account"].tolist() == [*(buys + 10), *(sells + 10)]
    assert made["size_lots"].tolist() == [*step[buys], *-step[sells]] and step[2] == -4
    assert made["price_ticks"].tolist() == [1010] * buys.size + [990] * sells.size


def test_orders_by_handle_and_by_owner() -> None:
    books = Books(SimpleNamespace(count=2), capacity=16)
    batch = np.zeros(6, MESSAGE)
    batch["op"], batch["side"], batch["order"], batch["size_lots"] = LIMIT, BUY, np.arange(6), np.arange(6) + 1
    batch["market"], batch["account"], batch["price_ticks"] = [0, 1, 0, 1, 0, 1], [0, 1, 1, 0, NOBODY, 1], 100
    nowhere = (np.zeros(0, np.int64), np.full(2, -1, np.int64))
    handles = books.match(batch, *nowhere).handles.copy()
    sale = np.zeros(1, MESSAGE)
    sale["op"], sale["side"], sale["order"], sale["size_lots"], sale["price_ticks"] = LIMIT, SELL, 9, 2, 100
    sale["account"] = NOBODY
    books.match(sale, *nowhere)  # fills the first order and a part of the third
    asked = np.array([handles[0], handles[2], NOBODY, handles[5], 1 << 40 | 10**6])
    assert books.lots_left(asked).tolist() == [0, 2, 0, 6, 0]
    mine = np.array([False, True])
    assert books.handles_of(mine).tolist() == [handles[1], handles[2], handles[5]]
    assert books.handles_of(mine, 1).tolist() == [handles[1], handles[5]]
