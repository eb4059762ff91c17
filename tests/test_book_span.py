"""Wide books side by side: the next price is found wherever a ladder lies in memory."""

import numpy as np
import pytest

from abm.book.books import Books
from abm.state import BUY, IOC, LIMIT, MESSAGE, NOBODY, SELL

MEGA = 1 << 20


@pytest.mark.parametrize("first_span", [1, 3, 5, 7])
def test_the_next_price_is_found_across_the_whole_ladder(first_span: int) -> None:
    """A second book of 2 or 4 Mi ticks begins after a first one of odd size, so that its ladders lie anywhere."""
    for span in (2, 4):
        books = Books(2, [1, 1], [first_span * MEGA, span * MEGA])
        ticks = np.linspace(10, span * MEGA - 10, 33).astype(np.int64)
        for side in (BUY, SELL):
            orders = np.zeros(ticks.size, MESSAGE)
            orders["market"], orders["account"], orders["op"], orders["side"] = 1, NOBODY, LIMIT, side
            orders["price_ticks"], orders["size_lots"], orders["order"] = ticks, 1, np.arange(ticks.size)
            takers = orders.copy()
            takers["op"], takers["side"], takers["price_ticks"] = IOC, -side, 1 if side == BUY else span * MEGA
            none = np.zeros(1, np.int64), np.array([-1, -1])
            books.match(orders, *none)
            fills = books.match(takers, *none).fills
            assert fills["price_ticks"].tolist() == sorted(ticks.tolist(), reverse=side == BUY)
            books.check()
