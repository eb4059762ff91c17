"""Liquidation totals: as they were, and as data vendors see them.

Three counts of the same forced trading, in dollars at the prices of the fills:

* true: every fill of a forced order, once;
* throttled: a public feed that shows at most one order a second and symbol, the last of the second
  (https://www.binance.bh/en-AE/square/post/30850840862433);
* both sides: each forced fill counted for the account that is closed and for the one that trades with it, and
  deleveraging counted among the liquidations, as in the published sums of the Hyperliquid chain data of 10 October 2025
  (https://github.com/ConejoCapital/HyperMultiAssetedADL; every second there has an even number of them).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abm.events import BY_LIQUIDATION, DELEVERAGE, FILL_EVENT

if TYPE_CHECKING:
    import pandas as pd


def reported_liquidations(events: pd.DataFrame, info: Mapping[str, Any]) -> dict[str, float]:
    """Dollars of forced fills: `forced_usd` (true), `reported_usd` (throttled) and `both_sides_usd`.

    `events` as `Run.events` gives them, `info` with the table of markets (`run.json`); linear and inverse contracts.
    """
    kind, reason = events["kind"].to_numpy(), events["reason"].to_numpy()
    forced = events[(kind == FILL_EVENT) & (reason == BY_LIQUIDATION)]
    closed = dollars_of(events[kind == DELEVERAGE], info)
    sizes = dollars_of(forced, info)
    total = float(sizes.sum())
    both = 2.0 * total + float(closed.sum())
    if forced.empty:
        return {"forced_usd": 0.0, "reported_usd": 0.0, "both_sides_usd": both}
    table = forced[["market", "account", "side", "seq"]].assign(usd=sizes, second=forced["time"].dt.ceil("s"))
    orders = table.groupby(["market", "second", "account", "side"], observed=True).agg({"usd": "sum", "seq": "max"})
    last = orders.sort_values("seq").groupby(level=["market", "second"])["usd"].last()
    return {"forced_usd": total, "reported_usd": float(last.sum()), "both_sides_usd": both}


def dollars_of(rows: pd.DataFrame, info: Mapping[str, Any]) -> NDArray[np.float64]:
    """What each event's size is worth at its price, (n,)."""
    markets = info["markets"]
    linear = np.array([market["tick_dollars"] * market["lot_coins"] for market in markets])
    # a lot of an inverse contract is worth fixed dollars: settlement units x ticks, over those of a coin and a dollar
    fixed = np.array([market.get("inverse", 0) * market["tick_dollars"] * 1e-8 for market in markets])
    market, size = rows["market"].to_numpy(), rows["size_lots"].to_numpy()
    dollars: NDArray[np.float64] = size * np.where(
        fixed[market] > 0.0, fixed[market], rows["price_ticks"].to_numpy() * linear[market]
    )
    return dollars
