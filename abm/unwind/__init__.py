"""One waterfall on a snapshot of accounts: at a given mark, who is liquidated, who takes over, who pays.

The engine is the venue's own (exchange, floor, backstop, deleveraging rule); the world around it stands still: the mark
does not move, nobody trades of his own accord, the book is what it is. Whatever the snapshot leaves open (the other
side of its positions, the orders of the book) belongs to one row, the rest of the market, which is never forced,
deleveraged or charged: a snapshot without winners has nobody to deleverage.
"""

from abm.unwind.tables import BookLevels, Snapshot, read_book, read_snapshot
from abm.unwind.waterfall import CAUSES, Unwound, unwind

__all__ = ["CAUSES", "BookLevels", "Snapshot", "Unwound", "read_book", "read_snapshot", "unwind"]
