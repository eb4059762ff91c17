"""Who sets liquidations off: the fill that crossed the threshold, and the flow that moved the price there."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abm.events import BY_LIQUIDATION, FILL_EVENT, LIQUIDATION, REASON_NAMES
from abm.state import SELL

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
WINDOW_S = 60.0
"""How far back the move goes that a liquidation is put down to; chosen."""


def by_cause(events: pd.DataFrame, mine: NDArray[np.bool_]) -> dict[str, Any]:
    """Who caused the liquidations: their `cause` is the fill that moved the mark past the threshold.

    The branching ratio is the number of liquidations that a forced fill caused, per liquidation: the mean number of
    children. Counted are the liquidations among `mine` (n,), whatever venue the fill was at. The last fill is often a
    small one of the background flow, so that this is a lower bound; `by_flow` shares the move out instead.
    """
    kind, seq = events["kind"].to_numpy(), events["seq"].to_numpy()
    started = (kind == LIQUIDATION) & mine
    total = int(started.sum())
    if not total:
        return {"branching_ratio": math.nan, "liquidation_causes": {}}
    order = np.argsort(seq, kind="stable")
    causes = events["cause"].to_numpy()[started]
    place = order[np.clip(np.searchsorted(seq[order], causes), 0, seq.size - 1)]
    is_fill = (seq[place] == causes) & (kind[place] == FILL_EVENT)
    reasons = np.where(is_fill, events["reason"].to_numpy()[place], -1)
    counts = {("index or news" if r < 0 else REASON_NAMES[r]): int((reasons == r).sum()) for r in np.unique(reasons)}
    return {"branching_ratio": float((reasons == BY_LIQUIDATION).mean()), "liquidation_causes": counts}


def by_flow(events: pd.DataFrame, steps: pd.DataFrame, lot_coins: Floats, window_ticks: int) -> float:
    """Coins liquidated that earlier forced orders set off, per coin liquidated: 0 to 1, nan without liquidations.

    A liquidation goes back to the move of the mark against it in the window before its tick. What the fair value
    moved in that time is the news' part of it; the rest is ascribed to the takers in proportion to what they sold (of
    shorts: bought) on balance, of which forced orders have their share, all of it where the others bought on balance.
    A mark that did not move against the position sets nothing down to anybody.

    In a cascade of linear impact, where each forced coin has n children in the next tick, a window of one tick gives
    n itself, and n = 1 - 1 / multiplier (Hawkes and Oakes 1974: the share of a process that is not immigrants).

    Args:
        events: `Run.forced_events` of one perpetual's market and of no other.
        steps: the table of that market, one row a tick.
        lot_coins: coins a lot by market number, (markets,).
        window_ticks: how far back the move goes, 1 or more.
    """
    ticks = steps["tick"].to_numpy()
    kind = events["kind"].to_numpy()
    began, forced = kind == LIQUIDATION, (kind == FILL_EVENT) & (events["reason"].to_numpy() == BY_LIQUIDATION)
    coins = events["size_lots"].to_numpy() * lot_coins[events["market"].to_numpy()]
    side = events["side"].to_numpy()
    row = np.searchsorted(ticks, events["tick"].to_numpy())

    traded: Floats = np.bincount(row[forced], coins[forced] * side[forced], ticks.size).astype(np.float64)
    by_force = _before(traded, window_ticks)
    net = _before(steps["net_taker_btc"].to_numpy(), window_ticks)
    moved, news = (_before(_moves(steps[name].to_numpy()), window_ticks) for name in ("mark_usd", "fair_usd"))
    at, way = row[began], np.where(side[began] == SELL, -1.0, 1.0)
    share = _part(way * by_force[at], way * net[at]) * (1.0 - _part(way * news[at], way * moved[at]))
    weight = coins[began]
    known = way * moved[at] > 0
    return float((share * known) @ weight / weight.sum()) if weight.sum() > 0 else math.nan


def _moves(prices: Floats) -> Floats:
    """Change of the logarithm of prices (ticks,) in each tick, 0 in the first."""
    logs = np.log(prices)
    moves: Floats = np.diff(logs, prepend=logs[0])
    return moves


def _before(flow: Floats, width: int) -> Floats:
    """Sum of a flow (ticks,) over the `width` ticks that ended before each tick."""
    summed = np.concatenate([[0.0], np.cumsum(flow)])
    row = np.arange(flow.size)
    sums: Floats = summed[row] - summed[np.maximum(row - width, 0)]
    return sums


def _part(part: Floats, whole: Floats) -> Floats:
    """What share of `whole` (n,) is `part` (n,), 0 to 1; all of it where a part above zero faces no whole."""
    share = np.divide(part, whole, out=np.ones_like(part), where=whole > 0)
    shares: Floats = np.where(part > 0, np.clip(share, 0.0, 1.0), 0.0)
    return shares
