"""Index baskets: the price of a coin as a venue takes it from several venues' spot markets.

A basket names venues with weights. Those that are in the world count; the venue itself is called "own". The index is
the weighted average (Binance, Bybit, OKX), or, for an oracle, the weighted median of their spot prices (Hyperliquid),
each spot price being the median of best bid, last trade and best ask. An oracle venue also looks at the others'
perpetuals: the weighted median of their mids. Settlement assets count at par. A venue that stands still counts with its
last prices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from abm.book.books import Books
from abm.clearing.formulas import round_div
from abm.clearing.mark import price_ratio, spot_index_ticks, weighted_average, weighted_median
from abm.state import BUY, I64, PERPETUAL, SELL, SPOT, Markets


class Source(NamedTuple):
    """A market whose price counts: a tick of it is numerator / denominator ticks of the derivative."""

    market: int
    weight: int
    numerator: int
    denominator: int


class Basket:
    """Where a derivative's index comes from; prices are given in ticks of the derivative, arrays by market id (M,).

    Args:
        spots: spot markets of the basket.
        perps: perpetuals of other venues for the mark; empty where the rule does not look at them.
        oracle: median instead of average.
    """

    def __init__(self, spots: Sequence[Source], perps: Sequence[Source], oracle: bool) -> None:
        self.spots, self.perps = tuple(spots), tuple(perps)
        self._weights = [source.weight for source in self.spots]
        self._combine = weighted_median if oracle else weighted_average

    def index_ticks(self, books: Books, last_ticks: I64) -> int:
        """The index; `last_ticks` int64 (M,). Raises ValueError when a spot market has no price."""
        prices = [
            spot_index_ticks(books.best(s.market, BUY), int(last_ticks[s.market]), books.best(s.market, SELL), *s[2:])
            for s in self.spots
        ]
        return self._combine(prices, self._weights)

    def others_ticks(self, books: Books, last_ticks: I64) -> int:
        """Weighted median of the other venues' perpetuals; 0 = there are none."""
        if not self.perps:
            return 0
        prices = []
        for s in self.perps:
            bid, ask = books.best(s.market, BUY), books.best(s.market, SELL)
            doubled = bid + ask if bid and ask else 2 * int(last_ticks[s.market])
            prices.append(round_div(doubled * s.numerator, 2 * s.denominator))
        return weighted_median(prices, [s.weight for s in self.perps])

    def latest(self, last_fill_seq: I64, of_spots: bool) -> int:
        """Seq of the latest fill in the spot markets, or in the other venues' perpetuals."""
        return max(int(last_fill_seq[source.market]) for source in (self.spots if of_spots else self.perps))


def basket_of(
    parts: Sequence[tuple[str, int]], market: int, markets: Markets, names: Sequence[str], oracle: bool
) -> Basket | None:
    """The basket of a derivative as far as its venues are in this world; None when no other venue is.

    `parts` are (venue or "own", weight), `names` those of the venues by venue id.
    """
    own = int(markets.venue[market])
    spots: list[Source] = []
    perps: list[Source] = []
    for name, weight in parts:
        venue = own if name == "own" else names.index(name) if name in names else -1
        for kind, found in ((SPOT, spots), (PERPETUAL, perps)):
            here = (markets.venue == venue) & (markets.kind == kind) & (markets.base == markets.base[market])
            for one in here.nonzero()[0][:1].tolist():
                ratio = price_ratio(str(markets.tick_dollars[one]), str(markets.tick_dollars[market]))
                found.append(Source(one, weight, *ratio))
    if all(markets.venue[source.market] == own for source in spots):
        return None
    others = [source for source in perps if markets.venue[source.market] != own]
    return Basket(spots, others if oracle else [], oracle)
