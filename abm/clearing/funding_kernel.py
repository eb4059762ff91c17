"""Compiled funding payments; `funding.pay` documents them."""

from __future__ import annotations

from typing import Any

from abm.compiled import kernel
from abm.state import ISOLATED
from abm.units import at_rate_ceil, signed_value


@kernel
def pay_rows(
    venue_id: int,
    price_ticks: int,
    tick_value: int,
    inverse: int,
    rate: int,
    remainder_row: int,
    venue: Any,
    mode: Any,
    cash: Any,
    margin: Any,
    position: Any,
    touched: Any,
) -> tuple[int, int]:
    """Charge every row of the venue with a position; returns (paid, received), both >= 0, the difference posted.

    venue, mode, cash (settlement asset), margin and position (the market's slot), touched: (R,). Positions pay on their
    value at `price_ticks`; of an inverse contract a long's value is negative, and it pays on the opposite.
    """
    paid = 0
    received = 0
    for row in range(position.size):
        if position[row] == 0 or venue[row] != venue_id:
            continue
        value = signed_value(position[row], price_ticks, tick_value, inverse)
        payment = at_rate_ceil(value if inverse == 0 else -value, rate)
        if mode[row] == ISOLATED:
            margin[row] -= payment
        else:
            cash[row] -= payment
        touched[row] = True
        if payment > 0:
            paid += payment
        else:
            received -= payment
    cash[remainder_row] += paid - received
    return paid, received
