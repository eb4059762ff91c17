"""Compiled funding payments; `funding.pay` documents them."""

from __future__ import annotations

from typing import Any

from abm.compiled import kernel
from abm.state import ISOLATED
from abm.units import at_rate_ceil


@kernel
def pay_rows(
    venue_id: int,
    unit_value: int,
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

    venue, mode, cash (settlement asset), margin and position (the market's slot), touched: (R,). unit_value: settlement
    units of one lot at the mark.
    """
    paid = 0
    received = 0
    for row in range(position.size):
        if position[row] == 0 or venue[row] != venue_id:
            continue
        payment = at_rate_ceil(position[row] * unit_value, rate)
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
