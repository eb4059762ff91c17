"""Compiled look into one side of a book: what a taker would find there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.book.record_kernel import bit, pick
from abm.compiled import kernel


@kernel
def sweep(
    words: NDArray[np.uint64], levels: NDArray[Any], shift: int, best_ticks: int, worst_ticks: int, most_lots: int
) -> tuple[int, int]:
    """Lots resting from the best price to the worst, both in ticks, and the sum of price times lots, up to `most_lots`.

    `words` (n,) is the lowest rank of the bitmap, `levels`, LEVEL (m,), are those of all ladders, `shift` is that of
    the queue; both prices lie within its ladder. The book counts downward where the worst price is the lower one.
    """
    lots = 0
    value = 0
    down = worst_ticks < best_ticks
    low = min(best_ticks, worst_ticks) + shift
    high = max(best_ticks, worst_ticks) + shift
    first = low >> 6
    last = high >> 6
    for n in range(last - first + 1):
        at = last - n if down else first + n
        word = words[at]
        while word != 0:
            position = pick(word, down)
            word ^= bit(position)
            index = (at << 6) + position
            if index < low or index > high:
                continue
            taken = min(levels[index]["lots"], most_lots - lots)
            lots += taken
            value += taken * (index - shift)
            if lots == most_lots:
                return lots, value
    return lots, value
