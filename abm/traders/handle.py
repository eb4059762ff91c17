"""What `decide_one` is handed: a light handle on one account, and luck that is keyed, not sequential.

Both read arrays and hold nothing that outlives the decision. Prices are dollars and sizes coins here; orders become
`MESSAGE` records in ticks and lots, rounded so that nobody pays more or sells more than was said.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from abm.book.record_kernel import WAITING
from abm.rng import uniform
from abm.state import (
    BUY,
    CANCEL,
    IOC,
    LIMIT,
    MARKET,
    MESSAGE,
    NOBODY,
    ON_MARK,
    POST_ONLY,
    REDUCE_ONLY,
    REPLACE,
    SELL,
    STOP,
)
from abm.units import MICRO, SATOSHI

if TYPE_CHECKING:
    from abm.traders.base import Participant, View

Orders = Sequence[NDArray[Any]] | NDArray[Any] | None
"""What a trader answers: MESSAGE (n,), or a list of such arrays, or nothing."""
_DRAWS_A_ROUND = 1 << 16
_NOTHING = np.zeros(0, MESSAGE)


class Luck:
    """Random numbers of one account in one decision: pure functions of seed, kind, account, tick, round and draw.

    The first draw of a decision is the same number whoever else was asked, and whatever others drew.
    """

    __slots__ = ("_draw", "_number", "_seed", "_stream", "_tick")

    def __init__(self, seed: int, stream_id: int, number: int, tick: int, round_: int) -> None:
        self._seed, self._stream, self._number, self._tick = seed, stream_id, number, tick
        self._draw = round_ * _DRAWS_A_ROUND

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A number in the open interval (low, high)."""
        self._draw += 1
        drawn = uniform(self._seed, self._stream, self._number, self._tick, self._draw)
        return low + (high - low) * drawn

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.uniform() < probability

    def integer(self, low: int, high: int) -> int:
        """A whole number, low <= n < high."""
        return low + int(self.uniform() * (high - low))

    def normal(self, mean: float = 0.0, sd: float = 1.0) -> float:
        """A normal number (Box-Muller on two draws)."""
        radius = math.sqrt(-2.0 * math.log(self.uniform()))
        return mean + sd * radius * math.cos(2.0 * math.pi * self.uniform())

    def exponential(self, mean: float = 1.0) -> float:
        """An exponential waiting time or size with this mean."""
        return -mean * math.log(self.uniform())


class Resting(NamedTuple):
    """An order of one's own that stands in the book, or a stop that waits."""

    handle: int
    market: int
    side: int  # BUY or SELL
    price: float  # dollars; of a stop that waits its trigger
    coins: float  # what is left of it
    waits: bool  # a stop


class Account:
    """One account at the moment of a decision: `number` within its participant, `row` in the tables.

    Markets default to the perpetual; `spot` is the id of the spot market. Money is in the settlement asset: dollars,
    or coins where the perpetual is settled in coins. What it asks for is
    MESSAGE (1,), or (0,) where nothing is to be done.
    """

    __slots__ = ("_handles", "_owner", "number", "row", "view")

    def __init__(self, owner: Participant, view: View, number: int, handles: Sequence[int] = ()) -> None:
        self._owner, self.view, self.number, self._handles = owner, view, number, handles
        self.row = int(owner.rows[number])

    # --- markets ------------------------------------------------------------------------------------------------------

    @property
    def perp(self) -> int:
        """Id of the perpetual."""
        return int(self._owner.world.perp)

    @property
    def spot(self) -> int:
        """Id of the spot market."""
        return int(self._owner.world.spot)

    def _usd(self, ticks: NDArray[Any], market: int | None) -> float:
        m = self.perp if market is None else market
        return float(ticks[m]) * float(self._owner.world.markets.tick_dollars[m])

    def last(self, market: int | None = None) -> float:
        """Last price."""
        return self._usd(self.view.last_ticks, market)

    def mark(self, market: int | None = None) -> float:
        """Mark price."""
        return self._usd(self.view.mark_ticks, market)

    def bid(self, market: int | None = None) -> float:
        """Best bid; 0 = there is none."""
        return self._usd(self.view.bid_ticks, market)

    def ask(self, market: int | None = None) -> float:
        """Best ask; 0 = there is none."""
        return self._usd(self.view.ask_ticks, market)

    def seconds_return(self, column: int, market: int | None = None) -> float:
        """Log return of the last price over `abm.traders.base.HORIZONS_S[column]` seconds."""
        return float(self.view.returns[self.perp if market is None else market, column])

    # --- what it has --------------------------------------------------------------------------------------------------

    @property
    def position_lots(self) -> int:
        """Signed position on the perpetual, lots."""
        world = self._owner.world
        return int(world.accounts.position[int(world.markets.slot[world.perp]), self.row])

    @property
    def position(self) -> float:
        """Signed position on the perpetual, coins at the lot's size."""
        return self.position_lots * float(self._owner.world.markets.lot_coins[self.perp])

    @property
    def entry(self) -> float:
        """Average entry price of the position on the perpetual, dollars; 0 without one."""
        world, lots = self._owner.world, self.position_lots
        if not lots:
            return 0.0
        markets, m = world.markets, world.perp
        cost = abs(int(world.accounts.entry_cost[int(markets.slot[m]), self.row]))
        inverse, size = int(markets.inverse[m]), abs(lots)
        ticks = inverse * size / cost if inverse else cost / (size * int(markets.tick_value[m]))
        return ticks * self._tick(m)

    @property
    def coins(self) -> float:
        """Coins owned."""
        return float(self._owner.world.accounts.cash[self._owner.world.btc, self.row]) / SATOSHI

    @property
    def _money_unit(self) -> int:
        world = self._owner.world
        return SATOSHI if world.markets.inverse[world.perp] else MICRO

    @property
    def cash(self) -> float:
        """Cash in the settlement asset."""
        return float(self._owner.world.accounts.cash[self._owner.world.usdt, self.row]) / self._money_unit

    @property
    def free(self) -> float:
        """Cash that no open order reserves."""
        world = self._owner.world
        held = int(world.accounts.cash[world.usdt, self.row] - world.accounts.reserved[world.usdt, self.row])
        return held / self._money_unit

    @property
    def equity(self) -> float:
        """Cash and isolated margin plus what the position has gained at the mark."""
        world, row = self._owner.world, self.row
        accounts, slot = world.accounts, int(world.markets.slot[world.perp])
        value = int(world.markets.value(world.perp, self.position_lots, int(self.view.mark_ticks[world.perp])))
        own = accounts.cash[world.usdt, row] + accounts.margin[slot, row] - accounts.entry_cost[slot, row]
        return (int(own) + value) / self._money_unit

    @property
    def orders(self) -> list[Resting]:
        """Its orders that rest or wait now, oldest first (of kinds that leave `after_trade` to the base class)."""
        world, found = self._owner.world, []
        for handle in self._handles:
            order = world.books.order(handle)
            if order is None:
                continue
            market, waits = int(order["market"]), int(order["state"]) == WAITING
            ticks = int(order["stop_ticks"] if waits else order["price_ticks"])
            price = ticks * float(world.markets.tick_dollars[market])
            coins = int(order["size_lots"]) * float(world.markets.lot_coins[market])
            found.append(Resting(handle, market, int(order["side"]), price, coins, waits))
        return found

    # --- what it may ask for ------------------------------------------------------------------------------------------

    def buy(
        self,
        coins: float,
        *,
        limit: float | None = None,
        worst: float | None = None,
        market: int | None = None,
        reduce_only: bool = False,
        post_only: bool = False,
    ) -> NDArray[Any]:
        """Buy coins: `limit` rests in the book, `worst` takes now up to that price, neither takes at any price.

        Without a price the venue's band around the mark bounds what is paid. `post_only` refuses to take.
        """
        return self._new(BUY, coins, limit, worst, market, reduce_only, post_only)

    def sell(
        self,
        coins: float,
        *,
        limit: float | None = None,
        worst: float | None = None,
        market: int | None = None,
        reduce_only: bool = False,
        post_only: bool = False,
    ) -> NDArray[Any]:
        """Sell coins; arguments as in `buy`."""
        return self._new(SELL, coins, limit, worst, market, reduce_only, post_only)

    def close(self) -> NDArray[Any]:
        """Trade the whole position on the perpetual away, now; nothing without one."""
        held = self.position
        return self._new(SELL if held > 0 else BUY, abs(held), None, None, None, True, False) if held else _NOTHING

    def stop(self, trigger: float, coins: float | None = None, *, on_mark: bool = False) -> NDArray[Any]:
        """A reduce-only stop for the position on the perpetual (or `coins` of it) at the trigger price."""
        held = self.position
        size = abs(held) if coins is None else coins
        if not held:
            return _NOTHING
        order = self._message(self.perp, STOP, SELL if held > 0 else BUY, self._lots(size, self.perp))
        order["stop_ticks"] = max(1, round(trigger / self._tick(self.perp)))
        order["flags"] = REDUCE_ONLY | (ON_MARK if on_mark else 0)
        return order

    def cancel(self, order: Resting) -> NDArray[Any]:
        """Take back an order of one's own."""
        message = self._message(order.market, CANCEL, order.side, 0)
        message["order"] = order.handle
        return message

    def replace(self, order: Resting, *, limit: float, coins: float) -> NDArray[Any]:
        """Move an order to another price and size; it stays where it was if that is refused."""
        message = self._message(order.market, REPLACE, order.side, self._lots(coins, order.market))
        message["order"], message["price_ticks"] = order.handle, self._ticks(limit, order.side, order.market)
        return message

    def _new(
        self,
        side: int,
        coins: float,
        limit: float | None,
        worst: float | None,
        market: int | None,
        reduce_only: bool,
        post_only: bool,
    ) -> NDArray[Any]:
        if limit is not None and worst is not None:
            raise ValueError("an order has a limit (it rests) or a worst price (it takes now), not both")
        m = self.perp if market is None else market
        lots = self._lots(coins, m)
        if lots <= 0:
            return _NOTHING
        price = limit if limit is not None else worst
        op = MARKET if price is None else IOC if limit is None else POST_ONLY if post_only else LIMIT
        order = self._message(m, op, side, lots)
        order["price_ticks"] = 0 if price is None else self._ticks(price, side, m)
        order["flags"] = REDUCE_ONLY if reduce_only else 0
        return order

    def _message(self, market: int, op: int, side: int, lots: int) -> NDArray[Any]:
        order = np.zeros(1, MESSAGE)
        order["market"], order["account"], order["op"], order["side"] = market, self.row, op, side
        order["size_lots"], order["order"], order["cause"] = lots, NOBODY, NOBODY
        order["reason"], order["latency"] = self._owner.reason, self._owner.latency
        return order

    def _tick(self, market: int) -> float:
        return float(self._owner.world.markets.tick_dollars[market])

    def _lots(self, coins: float, market: int) -> int:
        return math.floor(coins / float(self._owner.world.markets.lot_coins[market]) + 1e-9)

    def _ticks(self, price: float, side: int, market: int) -> int:
        """Rounded away from the other side: a buyer bids no more than said, a seller asks no less."""
        ticks = price / self._tick(market)
        return max(1, math.floor(ticks + 1e-9) if side == BUY else math.ceil(ticks - 1e-9))


def gathered(answer: Orders) -> NDArray[Any]:
    """What a trader answered as one array, MESSAGE (n,)."""
    if answer is None:
        return _NOTHING
    if isinstance(answer, np.ndarray):
        return answer
    parts = [part for part in answer if part.size]
    return np.concatenate(parts) if parts else _NOTHING
