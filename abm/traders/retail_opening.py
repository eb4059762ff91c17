"""The state in which retail traders are found: sizes, leverage, entries, as a pure function of parameters and seed.

Sizes. Bounded Pareto with tail index `size_tail` inside each leverage class; the bound keeps one account below
`largest_share` of its class. Classes are scaled to their notional, so open interest and leverage mix are the same for
any number of accounts.

Entries. A trader of age a entered at the price of that time (a coarse path of turning points) times a small scatter;
who would have been liquidated since is replaced by a younger one. High leverage therefore means young positions.

Strata. Inside a class the account of size rank k takes the quantiles frac(k phi + u) of age and frac(k sqrt(2) + v)
of leverage: neighbours in size are spread evenly over entries, so no seed owes its path to one large account near the
price. Which account id has which rank is a keyed shuffle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abm.rng import normals, stream, uniform, uniforms
from abm.state import BUY, I64, SELL
from abm.traders.retail_kernel import NEWS, NOISE, TREND, VALUE
from abm.traders.retail_parameters import RetailParameters

_OPENING = stream("retail opening")
_GOLDEN = 0.5 * (math.sqrt(5.0) - 1.0)
_SQUARE = math.sqrt(2.0) - 1.0
_SURVIVAL_MAINTENANCE = 0.005


@dataclass(slots=True)
class OpeningBook:
    """One entry a trader, shape (n,); `cash_lots` is free cash in lots at the opening price."""

    position_lots: I64
    entry_ticks: I64
    leverage: I64
    isolated: NDArray[np.bool_]
    kind: NDArray[np.int8]
    entry_side: NDArray[np.int8]
    cash_lots: NDArray[np.float64]
    news_lots: NDArray[np.float64]


def bounded_pareto(quantile: NDArray[np.float64], tail: float, count: int, largest_share: float) -> NDArray[np.float64]:
    """Sizes as a share of their sum at `quantile` in (0, 1) of a Pareto law bounded at about `largest_share`.

    `count` is the number of draws the bound is meant for. Returns float64, same shape, summing to 1.
    """
    share = max(largest_share, 4.0 / count)
    low = ((1.0 - tail) / (tail * count * share)) ** (1.0 / tail)
    low_power = low ** (-tail)
    size = (low_power - quantile * (low_power - 1.0)) ** (-1.0 / tail)
    result: NDArray[np.float64] = size / size.sum()
    return result


def whole_lots(share: NDArray[np.float64], total: int) -> I64:
    """Split `total` lots by shares (n,), float64 that sum to 1, into whole lots (n,), int64.

    At least one lot each as far as they go; the largest takes the rest.
    """
    lots = np.maximum(1, np.floor(share * total)).astype(np.int64)
    order = np.argsort(-share, kind="stable")
    rest = total - int(lots.sum())
    for at in order:
        step = rest if rest > 0 else max(rest, 1 - int(lots[at]))
        lots[at] += step
        rest -= step
        if rest == 0:
            break
    if rest < 0:
        lots[order[total:]] = 0
    return lots


def opening_book(
    parameters: RetailParameters, n: int, seed: int, start_price_ticks: int, lot_coins: float
) -> OpeningBook:
    """The opening state of n traders. Pure: the same arguments give the same arrays.

    Args:
        parameters: retail parameters.
        n: number of traders, at least 50.
        seed: of the run.
        start_price_ticks: opening price.
        lot_coins: coins in a lot.

    Returns:
        Arrays (n,), one value a trader: `OpeningBook` names each with its unit.

    Raises:
        ValueError: fewer than 50 traders.
    """
    if n < 50:
        raise ValueError(f"{n} retail accounts are too few for the opening state; 50 is the least")
    p = parameters
    book = OpeningBook(
        position_lots=np.zeros(n, np.int64),
        entry_ticks=np.full(n, start_price_ticks, np.int64),
        leverage=np.ones(n, np.int64),
        isolated=uniforms(seed, _OPENING, np.arange(n), 0, 0) < p.isolated_share,
        kind=np.zeros(n, np.int8),
        entry_side=np.zeros(n, np.int8),
        cash_lots=np.zeros(n),
        news_lots=np.zeros(n),
    )
    ids = np.argsort(uniforms(seed, _OPENING, np.arange(n), 0, 1), kind="stable")
    draw = uniforms(seed, _OPENING, np.arange(n), 0, 2)
    book.kind[:] = np.where(draw < p.trend_share, TREND, np.where(draw < p.trend_share + p.value_share, VALUE, NOISE))
    news = max(5, round(p.news_share * n))
    rest = n - news
    longs = round(rest * p.long_accounts)
    shorts = round(rest * p.short_accounts)
    parts = np.split(ids, [news, news + longs, news + longs + shorts])
    _news(p, book, parts[0], lot_coins)
    total = p.open_interest_coins / lot_coins
    _holders(p, book, parts[1], BUY, total, seed, start_price_ticks)
    _holders(p, book, parts[2], SELL, total * p.short_share, seed, start_price_ticks)
    _entrants(p, book, parts[3], seed, lot_coins)
    capped = np.minimum(book.leverage, p.most_leverage)
    book.cash_lots *= book.leverage / capped  # the same positions with more money behind them
    book.leverage[:] = capped
    return book


def _news(p: RetailParameters, book: OpeningBook, ids: I64, lot_coins: float) -> None:
    """News traders: cross margin, no position yet, each with its share of the total capacity."""
    quantile = (np.arange(ids.size) + 0.5) / ids.size
    book.kind[ids] = NEWS
    book.entry_side[ids] = BUY
    book.isolated[ids] = False
    book.leverage[ids] = p.news_leverage
    share = bounded_pareto(quantile, p.size_tail, ids.size, 0.02)
    book.news_lots[ids] = share * (p.news_coins / lot_coins)
    book.cash_lots[ids] = 2.0 * book.news_lots[ids] / p.news_leverage


def _holders(
    p: RetailParameters, book: OpeningBook, ids: I64, side: int, total: float, seed: int, start_ticks: int
) -> None:
    """Traders with a position: leverage classes by account numbers, each scaled to its notional."""
    if ids.size == 0:
        return
    book.entry_side[ids] = side
    accounts = np.array(p.class_accounts)
    numbers = np.maximum(1, np.floor(accounts / accounts.sum() * ids.size)).astype(np.int64)
    numbers[-1] += ids.size - int(numbers.sum())
    lots_left = round(total)
    at = 0
    for number, (count, part) in enumerate(zip(numbers.tolist(), p.notional_shares(), strict=True)):
        mine = ids[at : at + count]
        at += count
        lots = lots_left if number == numbers.size - 1 else round(total * part)
        lots_left -= lots
        rank = np.arange(count)
        size = whole_lots(bounded_pareto((count - rank - 0.5) / count, p.size_tail, count, p.largest_share), lots)
        key = 10 * number + (0 if side == BUY else 5)
        shift = [uniform(seed, _OPENING, 0, 0, 100 + key + k) for k in range(2)]
        choices, weights = zip(*p.class_leverages[number], strict=True)
        pick = np.searchsorted(np.cumsum(weights), (rank * _SQUARE + shift[0]) % 1.0)
        leverage = np.array(choices)[np.minimum(pick, len(choices) - 1)]
        scatter = p.entry_scatter * normals(seed, _OPENING, mine, 0, 3)
        ratio = entry_ratio(p, (rank * _GOLDEN + shift[1]) % 1.0, scatter, leverage, side)
        book.position_lots[mine] = side * size
        book.leverage[mine] = leverage
        book.entry_ticks[mine] = np.maximum(1, np.rint(ratio * start_ticks)).astype(np.int64)
        book.cash_lots[mine] = p.spare_cash * size / leverage


def entry_ratio(
    p: RetailParameters,
    quantile: NDArray[np.float64],
    scatter: NDArray[np.float64],
    leverage: I64,
    side: int,
) -> NDArray[np.float64]:
    """Entry price over the opening price of positions that have survived until now; shape (n,).

    Age has an exponential law cut at the length of the path; a position that would have been liquidated on the way,
    or would be within `safety` of it now, gets 0.6 of the age and is tried again, in the end at the present price.
    """
    path_age = np.array(p.path_days)
    path = np.array(p.path_ratio)
    worst = np.minimum.accumulate(path) if side == BUY else np.maximum.accumulate(path)
    whole = -math.expm1(-path_age[-1] / p.age_days)
    age = -p.age_days * np.log1p(-quantile * whole)
    ratio = np.ones(quantile.size)
    open_ones = np.arange(quantile.size)
    for trial in range(40):
        mine = age[open_ones]
        price = np.interp(mine, path_age, path) * (1.0 + scatter[open_ones] * np.minimum(1.0, mine))
        price = np.ones_like(price) if trial == 39 else price
        younger = np.maximum(np.searchsorted(path_age, mine, side="right") - 1, 0)
        extreme = worst[younger]
        limit = price * (1.0 - side / leverage[open_ones]) / (1.0 - side * _SURVIVAL_MAINTENANCE)
        dead = (side * (extreme - limit) <= 0.0) | (side * (1.0 - limit) <= p.safety)
        ratio[open_ones] = price
        open_ones = open_ones[dead]
        if open_ones.size == 0:
            break
        age[open_ones] *= 0.6
    return ratio


def _entrants(p: RetailParameters, book: OpeningBook, ids: I64, seed: int, lot_coins: float) -> None:
    """Traders without a position: cash for one entry at their leverage, some waiting to go long, some to go short."""
    if ids.size == 0:
        return
    cut = round(ids.size * p.entrant_short_accounts)
    for mine, side, coins, median in (
        (ids[:cut], SELL, p.entrant_short_coins, p.entrant_short_leverage),
        (ids[cut:], BUY, p.entrant_long_coins, p.entrant_long_leverage),
    ):
        if mine.size == 0:
            continue
        book.entry_side[mine] = side
        book.isolated[mine] = True
        spread = np.exp(p.entrant_leverage_spread * normals(seed, _OPENING, mine, 0, 4))
        book.leverage[mine] = np.clip(np.rint(median * spread), *p.entrant_leverage_range).astype(np.int64)
        rank = (np.arange(mine.size) + 0.5) / mine.size
        share = bounded_pareto(rank, p.size_tail, mine.size, p.largest_share)
        book.cash_lots[mine] = share * coins / lot_coins / book.leverage[mine] / p.usage
