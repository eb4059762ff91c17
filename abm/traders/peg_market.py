"""The spot market of a collateral asset: a dealer around a stated value, and small trades that make a price.

The dealer shows bids and asks on `steps` levels, the k-th at value * (1 -+ half_spread * k), together `depth_usd` a
side, and puts them anew whenever the value has moved by a tick or a level was taken, by at most four fifths of the
venue's price filter a tick. Its limit is what its money and coins allow. A taker buys or sells one lot a second, by a
keyed coin, so that the last price follows the value. The value is the view's fair value of this market: declared by the
scenario, not explained. What the venue's fund sells of seized collateral meets these bids. Everything here is assumed;
it stands for a market that is not the subject.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from abm.events import BY_NOISE, BY_QUOTE
from abm.parameters import Parameters, quantity
from abm.rng import stream, uniforms
from abm.state import BUY, CANCEL, IOC, LIMIT, NOBODY, RETAIL, SELL
from abm.traders.base import PEOPLE_LATENCY, Batch, Participant, View, World
from abm.traders.handle import Account, Luck, Orders
from abm.units import RATE_ONE

_TAKER = stream("peg taker")


class PegMarketParameters(Parameters):
    """A dealer market around a declared value."""

    depth_usd: float = quantity(
        20e6, unit="$", source="not observed", gt=0, likely=(1e6, 100e6), text="shown on each side in all"
    )
    steps: int = quantity(5, unit="levels", source="a resolution", ge=1, le=50)
    half_spread: float = quantity(0.0002, unit="fraction", source="about two ticks", gt=0, lt=0.05)
    capital_usd: float = quantity(1e9, unit="$", source="so large that it does not matter", gt=0)


class PegMarket(Participant):
    """Dealer (first row) and taker (second) in the spot market of one asset; `market` is set before `bind`."""

    latency = PEOPLE_LATENCY
    parameters: PegMarketParameters
    parameters_class = PegMarketParameters
    market = NOBODY

    def rows_needed(self) -> int:
        return 2

    def bind(self, world: World) -> None:
        """Money and coins for both."""
        p, markets, self.world = self.parameters, world.markets, world
        self._base, self._settle = int(markets.base[self.market]), int(markets.settle[self.market])
        world.accounts.kind[self.rows] = RETAIL
        lot_value = float(world.start_ticks[self.market]) * float(markets.tick_value[self.market])
        units = p.capital_usd * 1e6
        lots = int(units / lot_value)
        world.deposit(self.rows, self._settle, np.full(2, int(units), np.int64))
        world.deposit(self.rows, self._base, np.full(2, lots * int(markets.lot_units[self.market]), np.int64))
        # a jump beyond the venue's price filter takes several ticks
        self._reach = 0.8 * float(markets.price_filter[self.market]) / RATE_ONE
        self._shown = (0, 0)

    def _levels(self, view: View) -> NDArray[np.float64]:
        """Prices of the levels, bids then asks, ticks; shape (2, steps)."""
        p, last = self.parameters, float(view.last_ticks[self.market])
        reach, k = self._reach * last, np.arange(1, p.steps + 1)
        value = min(max(float(view.fair_ticks[self.market]), last - reach), last + reach)
        bids = np.floor(value * (1.0 - p.half_spread * k))
        asks = np.ceil(value * (1.0 + p.half_spread * k))
        levels: NDArray[np.float64] = np.maximum(np.stack([bids, asks]), 1.0)
        return levels

    def decide_one(self, view: View, me: Account, rng: Luck) -> Orders:
        """New quotes where they are due (dealer), one lot (taker)."""
        return self._lot(view) if me.number else self._quotes(view, [order.handle for order in me.orders])

    def _quotes(self, view: View, old: list[int]) -> Orders:
        p, markets, books = self.parameters, self.world.markets, self.world.books
        prices = self._levels(view)
        wanted = int(prices[0, 0]), int(prices[1, 0])
        if old and wanted == self._shown == (books.best(self.market, BUY), books.best(self.market, SELL)):
            return None
        self._shown = wanted
        batch = Batch(len(old) + 2 * p.steps)
        cancels = batch.add(len(old))
        cancels["market"], cancels["account"], cancels["op"] = self.market, self.rows[0], CANCEL
        cancels["order"], cancels["side"] = old, BUY
        lot_usd = prices * float(markets.tick_dollars[self.market]) * float(markets.lot_coins[self.market])
        orders = batch.add(2 * p.steps)
        orders["market"], orders["account"], orders["op"] = self.market, self.rows[0], LIMIT
        orders["side"], orders["price_ticks"] = np.repeat([BUY, SELL], p.steps), prices.reshape(-1)
        orders["size_lots"] = np.maximum(p.depth_usd / p.steps / lot_usd, 1.0).reshape(-1).astype(np.int64)
        orders["reason"], batch.messages()["latency"] = BY_QUOTE, self.latency
        return batch.messages()

    def _lot(self, view: View) -> Orders:
        draw = uniforms(view.seed, _TAKER + self.market, np.zeros(1, np.int64), view.tick, 0)
        side = BUY if float(draw[0]) < 0.5 else SELL
        batch = Batch(1)
        lot = batch.add(1)
        lot["market"], lot["account"], lot["op"], lot["side"] = self.market, self.rows[1], IOC, side
        lot["price_ticks"], lot["size_lots"] = self._levels(view)[0 if side == SELL else 1, -1], 1
        lot["reason"], lot["latency"] = BY_NOISE, self.latency
        return batch.messages()
