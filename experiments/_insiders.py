"""The markets of `adverse-selection`, many replicas side by side, and their exact solutions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.rng import normals, stream, uniforms
from abm.state import BUY, CANCEL, I64, LIMIT, MARKET, NOBODY, SELL, SPOT
from abm.units import MICRO
from experiments._side_by_side import COIN, USD, build_markets, dollars, open_floor, orders

F64 = NDArray[np.float64]
WORTH, TRADER, VALUE, NOISE = (stream(f"adverse selection: {name}") for name in ("worth", "trader", "value", "noise"))
ROOM_TICKS = 1_000
"""Below the low value: the last bids may lie a tick under it, and books that grow are moved."""
PURSE = 10**15
"""Micro-dollars and coins of everybody: enough."""


# --- exact ------------------------------------------------------------------------------------------------------------
def quotes(belief: Any, share: float) -> tuple[Any, Any]:
    """Ask and bid, as shares of the way from low to high value, of a maker with this belief in the high value."""
    up, down = (1 + share) / 2, (1 - share) / 2
    ask = belief * up / (belief * up + (1 - belief) * down)
    bid = belief * down / (belief * down + (1 - belief) * up)
    return ask, bid


def belief_after(prior: float, share: float, net_buys: Any) -> Any:
    """Belief in the high value after a net number of buys: each multiplies the odds by (1 + share) / (1 - share)."""
    odds = math.log(prior / (1 - prior)) + np.asarray(net_buys) * math.log((1 + share) / (1 - share))
    return 1 / (1 + np.exp(-odds))


def expected_learning(options: Any, believed: float) -> dict[str, Any]:
    """Enumeration over the number of buys among n trades, for a maker who takes the informed share for `believed`.

    Returns spread (trades + 1,), the mean spread after n trades in shares of the width; variance, the mean squared
    error of the last belief; maker_usd and informed_usd, expected profits a path.
    """
    a, prior, width = options.informed, options.prior, options.value_high - options.value_low
    worth = {1: prior, 0: 1 - prior}
    pmf = {1: np.ones(1), 0: np.ones(1)}  # number of buys so far, given the value
    spread, maker, informed = [], 0.0, 0.0
    for trade in range(options.trades + 1):
        belief = belief_after(prior, believed, 2 * np.arange(trade + 1) - trade)
        ask, bid = quotes(belief, believed)
        spread.append(sum(worth[v] * float((pmf[v] * (ask - bid)).sum()) for v in (0, 1)))
        if trade == options.trades:
            break
        for v in (0, 1):
            buys = (1 + a) / 2 if v else (1 - a) / 2
            gain = buys * (ask - v) + (1 - buys) * (v - bid)
            maker += worth[v] * float((pmf[v] * gain).sum())
            informed += worth[v] * a * float((pmf[v] * ((v - ask) if v else (bid - v))).sum())
            pmf[v] = np.append(pmf[v] * (1 - buys), 0) + np.append(0, pmf[v] * buys)
    variance = sum(worth[v] * float((pmf[v] * (v - belief) ** 2).sum()) for v in (0, 1))
    return {
        "spread": np.array(spread), "variance": variance, "maker_usd": width * maker, "informed_usd": width * informed,
    }  # fmt: skip


def kyle_moments(options: Any, many: float, impact: float) -> dict[str, float]:
    """Expected profits when the insider trades `many` times Kyle's intensity and the book's slope is `impact` ($/lot).

    With x = b (v - p0) and y = x + u: the insider earns b (1 - L b) S0 where all trade at p0 + L y; makers whose book
    is walked sell at p0 + L y / 2 on average and earn L (b^2 S0 + s^2) / 2 - b S0.
    """
    variance, noise = options.value_sd**2, float(options.noise_sd) ** 2
    b = many * math.sqrt(noise / variance)
    return {
        "insider_usd": b * (1 - impact * b) * variance,
        "walked_usd": 0.5 * impact * (b * b * variance + noise) - b * variance,
    }


# --- Glosten and Milgrom ----------------------------------------------------------------------------------------------
class Sequential:
    """Paths of traders who come one by one to a maker with a bid and an ask of one lot in a real book.

    After `run`: side, price_usd (paths, trades); belief, spread_usd (paths, trades + 1); high (paths,) whether the
    asset is worth the high value; maker_usd, informed_usd, uninformed_usd (paths,); made_units, what the postings
    created out of nothing.
    """

    def __init__(self, options: Any, believed: float, paths: int, number: int) -> None:
        self.options, self.believed, self.number = options, believed, number
        self.count = min(options.replicas, paths)
        self.blocks = -(-paths // self.count)
        every = np.arange(self.count)
        kind = np.full(self.count, SPOT, np.int32)
        markets = build_markets(kind, 0 * kind, options.tick, round(options.tick * MICRO))
        self.low = round(options.value_low / options.tick)
        self.width = round(options.value_high / options.tick) - self.low
        self.floor = open_floor(markets, 3 * self.count, self.low - ROOM_TICKS, options.seed)
        self.floor.accounts.cash[:] = PURSE
        self.market, self.maker, self.informed, self.other = every, every, every + self.count, every + 2 * self.count
        self.mark = np.full(self.count, self.low, np.int64)
        total = self.count * self.blocks
        self.side = np.zeros((total, options.trades), np.int64)
        self.price_usd = np.zeros((total, options.trades))
        self.belief = np.zeros((total, options.trades + 1))
        self.spread_usd = np.zeros((total, options.trades + 1))
        self.high = np.zeros(total)
        self.maker_usd, self.informed_usd, self.uninformed_usd = np.zeros((3, total))

    def run(self) -> Sequential:
        """All paths, one block of replicas after another."""
        before = self.floor.accounts.cash.sum(axis=1)
        for block in range(self.blocks):
            self._block(block)
        self.made_units = float(np.abs(self.floor.accounts.cash.sum(axis=1) - before).sum())
        return self

    def _block(self, block: int) -> None:
        o, n = self.options, self.count
        mine = slice(block * n, (block + 1) * n)
        paths = np.arange(mine.start, mine.stop)
        high = uniforms(o.seed, WORTH, paths, self.number, 0) < o.prior
        cash = self.floor.accounts.cash
        opening = cash.copy()
        net, left = np.zeros(n, np.int64), np.zeros((0, 2), np.int64)
        for trade in range(o.trades):
            left = self._trade(paths, high, trade, net, left, mine)
        self._look(mine, o.trades, net)
        self._cancel(left)
        worth = (self.low + self.width * high) * o.tick
        gain = dollars(cash[USD] - opening[USD]) + (cash[COIN] - opening[COIN]) * np.tile(worth, 3)
        self.maker_usd[mine], self.informed_usd[mine], self.uninformed_usd[mine] = gain.reshape(3, n)
        self.high[mine] = high

    def _look(self, mine: slice, trade: int, net: I64) -> tuple[I64, I64]:
        """Quotes in ticks for what the maker has seen; writes belief and spread."""
        belief = belief_after(self.options.prior, self.believed, net)
        ask, bid = (self.low + np.rint(self.width * quote).astype(np.int64) for quote in quotes(belief, self.believed))
        bid = np.minimum(bid, ask - 1)
        self.belief[mine, trade], self.spread_usd[mine, trade] = belief, (ask - bid) * self.options.tick
        return ask, bid

    def _cancel(self, left: I64) -> None:
        if left.size:
            self.floor.trade(self._cancels(left), self.mark, 0)

    def _cancels(self, left: I64) -> Any:
        """Cancels of quotes that were not hit: (k, 2) replica and handle."""
        out = orders(CANCEL, left[:, 0], left[:, 0], 0, 0, 0, 0)
        out["order"] = left[:, 1]
        return out

    def _trade(self, paths: I64, high: Any, trade: int, net: I64, left: I64, mine: slice) -> I64:
        """One trader in each replica: new quotes rest, the order hits one; the maker sees which. Returns what rests."""
        o, n = self.options, self.count
        ask, bid = self._look(mine, trade, net)
        knows = uniforms(o.seed, TRADER, paths, self.number, 2 * trade) < o.informed
        coin = uniforms(o.seed, TRADER, paths, self.number, 2 * trade + 1) < 0.5
        side = np.where(np.where(knows, high, coin), BUY, SELL)
        batch = [
            self._cancels(left),
            orders(LIMIT, self.market, self.maker, BUY, 1, bid, 0),
            orders(LIMIT, self.market, self.maker, SELL, 1, ask, 0),
            orders(MARKET, self.market, np.where(knows, self.informed, self.other), side, 1, 0, 1),
        ]
        handles = self.floor.trade(np.concatenate(batch), self.mark, trade)[left.shape[0] :]
        fills = self.floor.fills
        if fills.size != n:
            raise AssertionError(f"{fills.size} fills of {n} orders")
        where = fills["market"]
        net[where] += fills["side"]
        self.side[mine.start + where, trade] = fills["side"]
        self.price_usd[mine.start + where, trade] = fills["price_ticks"] * o.tick
        rest = np.where(side == BUY, handles[:n], handles[n : 2 * n])
        return np.stack([self.market, rest], axis=1)


# --- Kyle -------------------------------------------------------------------------------------------------------------
class Kyle:
    """Auctions: the net order flow walks up a uniform book, then all trade at its last price in a second book.

    After `run`, (auctions,) each: value and price ($ from the prior mean), flow (lots), insider_usd, noise_usd,
    maker_usd (all trade at the last price), walked_usd (the maker whose book is walked); impact $/lot of the book;
    cut, orders that the ladder could not fill; made_units.
    """

    def __init__(self, options: Any, many: float, auctions: int, number: int) -> None:
        self.options, self.many, self.number = options, many, number
        n = self.count = min(options.replicas, auctions)
        self.blocks = -(-auctions // n)
        tick, sd = options.kyle_tick, options.value_sd
        self.per_tick = round(tick / (0.5 * sd / options.noise_sd))
        self.impact = tick / self.per_tick
        flow_sd = math.hypot(1.0, many) * options.noise_sd
        self.depth = math.ceil(7.0 * flow_sd * self.impact / tick) + 2
        self.centre = 20 * self.depth
        kind = np.full(2 * n, SPOT, np.int32)
        self.floor = open_floor(
            build_markets(kind, 0 * kind, tick, round(tick * MICRO)), 5 * n, self.centre - 2 * self.depth, options.seed,
            2 * n * (self.depth + 8) + (1 << 12),
        )  # fmt: skip
        self.floor.accounts.cash[:] = PURSE
        self.mark = np.full(2 * n, self.centre, np.int64)
        self.every = np.arange(n)
        self.walked_row, self.broker, self.maker, self.insider, self.noise = (self.every + k * n for k in range(5))
        self.value, self.price, self.insider_usd, self.noise_usd, self.maker_usd, self.walked_usd = np.zeros(
            (6, n * self.blocks)
        )
        self.flow = np.zeros(n * self.blocks, np.int64)
        self.cut = 0

    def run(self) -> Kyle:
        """Lay the ladder once, then auction by auction; what was taken is put back."""
        cash = self.floor.accounts.cash
        before = cash.sum(axis=1)
        for side in (BUY, SELL):
            steps = np.tile(np.arange(1, self.depth + 1), self.count)
            where = np.repeat(self.every, self.depth)
            self.floor.trade(
                orders(LIMIT, where, self.walked_row[where], side, self.per_tick, self._level(side, steps), 0),
                self.mark, 0,
            )  # fmt: skip
        missing = orders(LIMIT, self.every[:0], self.every[:0], BUY, 0, 0, 0)
        for block in range(self.blocks):
            missing = self._auction(block, missing)
        self.made_units = float(np.abs(cash.sum(axis=1) - before).sum())
        return self

    def _level(self, side: int, steps: Any) -> Any:
        """Ticks of the k-th level: the prior mean lies half a tick above `centre`, between the best quotes."""
        return self.centre - side * steps + (side == BUY)

    def _auction(self, block: int, missing: Any) -> Any:
        """One auction in each replica; returns the orders that make the ladder whole again."""
        o, n = self.options, self.count
        mine = slice(block * n, (block + 1) * n)
        draws = np.arange(mine.start, mine.stop)
        value = o.value_sd * normals(o.seed, VALUE, draws, self.number, 0)
        x = np.rint(self.many * o.noise_sd / o.value_sd * value).astype(np.int64)
        u = np.rint(o.noise_sd * normals(o.seed, NOISE, draws, self.number, 0)).astype(np.int64)
        y = x + u
        cash = self.floor.accounts.cash
        opening = cash.copy()
        some = y != 0
        walk = orders(MARKET, self.every[some], self.broker[some], np.sign(y[some]), np.abs(y[some]), 0, 1)
        self.floor.trade(np.concatenate([missing, walk]), self.mark, 2 * block)
        fills = self.floor.fills.copy()
        self.cut += int(np.abs(y).sum() - fills["size_lots"].sum())
        last = np.where(y == 0, self.centre, self.floor.books.last_ticks()[:n])
        self._clear(x, u, last, block)
        self.value[mine], self.flow[mine] = value, y
        self.price[mine] = np.where(y == 0, 0.0, (last - self.centre - 0.5) * o.kyle_tick)
        worth = (self.centre + 0.5) * o.kyle_tick + value
        gain = dollars(cash[USD] - opening[USD]) + (cash[COIN] - opening[COIN]) * np.tile(worth, 5)
        self.walked_usd[mine], self.maker_usd[mine] = gain[:n], gain[2 * n : 3 * n]
        self.insider_usd[mine], self.noise_usd[mine] = gain[3 * n : 4 * n], gain[4 * n :]
        where = fills["market"]
        return orders(
            LIMIT, where, self.walked_row[where], -fills["side"], fills["size_lots"], fills["price_ticks"], 0
        )  # fmt: skip

    def _clear(self, x: I64, u: I64, price: I64, block: int) -> None:
        """Everybody trades at one price: the maker takes the net flow, opposite orders meet one another."""
        y, where = x + u, self.every + self.count
        first = np.abs(x) >= np.abs(u)  # the larger order takes, the smaller rests if it is opposite
        batch = []
        for row, size, takes in ((self.insider, x, first), (self.noise, u, ~first)):
            joins = takes | (np.sign(x) == np.sign(u))
            for op, latency, some in ((MARKET, 2, joins & (size != 0)), (LIMIT, 1, ~joins & (size != 0))):
                batch.append(
                    orders(op, where[some], row[some], np.sign(size[some]), np.abs(size[some]), price[some], latency)
                )
        some = y != 0
        batch.append(orders(LIMIT, where[some], self.maker[some], -np.sign(y[some]), np.abs(y[some]), price[some], 0))
        handles = self.floor.trade(np.concatenate(batch), self.mark, 2 * block + 1)
        books = self.floor.books
        if any(books.best_ticks(side)[self.count :].any() for side in (BUY, SELL)) or self.floor.tally().refused:
            raise AssertionError(f"the auction did not clear: {int((handles != NOBODY).sum())} orders rested")
