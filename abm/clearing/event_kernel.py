"""Compiled part of the event log: the fills of a trade as events."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.compiled import kernel
from abm.units import signed_value


@kernel
def log_fills(
    rows: NDArray[Any],
    fills: NDArray[Any],
    fees: NDArray[np.int64],
    last_seq: NDArray[np.int64],
    first: int,
    tick: int,
    number: int,
    kind: int,
    settle: NDArray[np.int32],
    tick_value: NDArray[np.int64],
    inverse: NDArray[np.int64],
) -> None:
    """Write FILL (n,) with their `fees` int64 (n, 2), taker and maker, over `rows`, EVENT (n,), as events of a `kind`.

    They are numbered from `first`; `last_seq` (M,) receives the latest of each market. Where nothing is kept `rows` is
    empty. `number` is that of the round; `settle`, `tick_value` and `inverse` (M,) as in `Markets`.
    """
    for i in range(fills.size):
        market = fills[i]["market"]
        last_seq[market] = first + i
        if rows.size == 0:
            continue
        price = fills[i]["price_ticks"]
        lots = fills[i]["size_lots"]
        rows[i]["tick"] = tick
        rows[i]["round"] = number
        rows[i]["seq"] = first + i
        rows[i]["kind"] = kind
        rows[i]["market"] = market
        rows[i]["asset"] = settle[market]
        rows[i]["account"] = fills[i]["taker"]
        rows[i]["counterparty"] = fills[i]["maker"]
        rows[i]["side"] = fills[i]["side"]
        rows[i]["order_id"] = fills[i]["taker_order"]
        rows[i]["price_ticks"] = price
        rows[i]["size_lots"] = lots
        rows[i]["amount"] = abs(signed_value(lots, price, tick_value[market], inverse[market]))
        rows[i]["fee_taker"] = fees[i, 0]
        rows[i]["fee_maker"] = fees[i, 1]
        rows[i]["reason"] = fills[i]["reason"]
        rows[i]["cause"] = fills[i]["cause"]
