"""Accounts of one market at one tick: as they stand now, or as they stood at a tick that was kept.

A `Ledger` has what the page tells of an account. `Ledgers` keeps many of them by what changed from one to the next, so
that a hundred thousand accounts over a whole run fit into memory.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abm.clearing.margin import MarginLadder
from abm.state import I64, ISOLATED, KIND_NAMES
from abm.units import INT64_MAX, MICRO, SATOSHI

if TYPE_CHECKING:
    from abm.model import MarketModel
    from abm.opening import Place

Plain = dict[str, Any]
LISTED = 40
"""Rows of the list of traders."""
LOTS, COST, MARGIN, CASH, TICKS, DELEVERAGED = range(6)
NO_PRICE = INT64_MAX // 2
"""Liquidation ticks from here on mean: at no price."""


@dataclass(frozen=True)
class Ledger:
    """All rows at the end of tick `tick`, mark in price ticks; `values` int64 (6, R).

    Rows of `values`: position, entry cost, margin, cash, liquidation tick (0 = none), lots deleveraged.
    """

    tick: int
    mark_ticks: int
    values: I64


def ladder_of(model: MarketModel, place: Place) -> MarginLadder:
    """The margin ladder of a place's perpetual."""
    return next(desk.ladder for desk in model.exchanges.desks if desk.market == place.perp)


def ledger_now(model: MarketModel, place: Place) -> Ledger:
    """The accounts as they stand."""
    accounts, markets, perp = model.accounts, model.markets, place.perp
    slot, settle = int(markets.slot[perp]), int(markets.settle[perp])
    held = accounts.position[slot]
    ticks = np.zeros(accounts.rows, np.int64)
    rows = np.flatnonzero((held != 0) & (accounts.venue == place.number))
    ticks[rows] = ladder_of(model, place).liquidation_ticks(rows)
    parts = (held, accounts.entry_cost[slot], accounts.margin[slot], accounts.cash[settle], ticks)
    values = np.stack([*parts, accounts.deleveraged[slot]])
    return Ledger(model.tick, int(model.exchanges.mark_ticks[perp]), values)


class Ledgers:
    """Ledgers of one place, each told by the rows that differ from the one before."""

    def __init__(self) -> None:
        self.ticks: list[int] = []
        self._marks: list[int] = []
        self._changes: list[tuple[NDArray[np.int32], I64]] = []
        self._last: I64 | None = None

    def keep(self, ledger: Ledger) -> None:
        """Add the next one."""
        now = ledger.values
        rows = np.arange(now.shape[1]) if self._last is None else np.flatnonzero((now != self._last).any(axis=0))
        self._changes.append((rows.astype(np.int32), now[:, rows]))
        self._marks.append(ledger.mark_ticks)
        self._last = now
        self.ticks.append(ledger.tick)  # last: a reader that sees the tick finds all of it

    @property
    def nbytes(self) -> int:
        """Memory of what is kept, bytes."""
        return sum(rows.nbytes + values.nbytes for rows, values in self._changes)

    def at(self, tick: int) -> Ledger | None:
        """The latest one kept that is not later than `tick`, None if there is none."""
        number = bisect_right(self.ticks, tick)
        if number == 0:
            return None
        values = self._changes[0][1].copy()
        for rows, changed in self._changes[1:number]:
            values[:, rows] = changed
        return Ledger(self.ticks[number - 1], self._marks[number - 1], values)

    def history(self, row: int, tick: int) -> tuple[list[int], I64]:
        """What was kept of one row until `tick`: the ticks (n,) and its values (6, n)."""
        number = bisect_right(self.ticks, tick)
        found = np.zeros((6, number), np.int64)
        last = np.zeros(6, np.int64)
        for column, (rows, values) in enumerate(self._changes[:number]):
            at = int(np.searchsorted(rows, row))
            if at < rows.size and rows[at] == row:
                last = values[:, at]
            found[:, column] = last
        return self.ticks[:number], found


# --- what the page tells of it ----------------------------------------------------------------------------------------
def with_position(model: MarketModel, place: Place, ledger: Ledger) -> I64:
    """Rows of traders with a position (no rows of the venue itself)."""
    people = model.accounts.kind < KIND_NAMES.index("insurance fund")
    rows: I64 = np.flatnonzero((ledger.values[LOTS] != 0) & (model.accounts.venue == place.number) & people)
    return rows


def account(model: MarketModel, place: Place, ledger: Ledger, row: int) -> Plain:
    """One account: position, entry, margin, equity, leverage, liquidation price and its distance.

    For a cross account the liquidation price holds the prices of its other positions.
    """
    accounts, markets, perp = model.accounts, model.markets, place.perp
    unit = SATOSHI if markets.inverse[perp] else MICRO
    dollars, lot, mark = float(markets.tick_dollars[perp]), float(markets.lot_coins[perp]), ledger.mark_ticks
    lots, cost, margin, cash, tick, taken = (int(value) for value in ledger.values[:, row])
    value = int(markets.value(perp, lots, mark))
    isolated = int(accounts.mode[row]) == ISOLATED
    own = (margin if isolated else margin + cash) + value - cost
    liquidation = tick * dollars if lots and 0 < tick < NO_PRICE else None
    return {
        "account": row,
        "kind": KIND_NAMES[int(accounts.kind[row])],
        "mode": "isolated" if isolated else "cross",
        "side": (lots > 0) - (lots < 0),
        "coins": lots * lot,
        "notional_usd": abs(value) / unit,
        "entry_usd": abs(cost) / (abs(lots) * int(markets.tick_value[perp])) * dollars
        if lots and not markets.inverse[perp] else None,
        "margin_usd": margin / unit,
        "cash_usd": cash / unit,
        "profit_usd": (value - cost) / unit,
        "equity_usd": own / unit,
        "leverage": abs(value) / own if own > 0 and lots else None,
        "chosen_leverage": int(accounts.leverage[row]),
        "liquidation_usd": liquidation,
        "distance_percent": 100.0 * (liquidation / (mark * dollars) - 1.0) if liquidation else None,
        "deleveraged_coins": taken * lot,
    }  # fmt: skip


def traders(model: MarketModel, place: Place, ledger: Ledger, order: str = "nearest", picked: int = -1) -> Plain:
    """The accounts nearest to liquidation, or the largest, and the one picked in full (any row of the table)."""
    rows = with_position(model, place, ledger)
    lots, ticks = ledger.values[LOTS, rows], ledger.values[TICKS, rows]
    if order == "largest":
        chosen = rows[np.argsort(-np.abs(lots), kind="stable")[:LISTED]]
    else:
        known = (ticks > 0) & (ticks < NO_PRICE)
        away = np.abs(ticks[known] / ledger.mark_ticks - 1.0)
        chosen = rows[known][np.argsort(away, kind="stable")[:LISTED]]
    found = picked if 0 <= picked < model.accounts.rows else -1
    return {
        "order": order,
        "with_position": int(rows.size),
        "rows": [account(model, place, ledger, row) for row in chosen.tolist()],
        "picked": account(model, place, ledger, found) if found >= 0 else None,
        "last_account": model.accounts.rows - 1,
    }


def lifeline(model: MarketModel, place: Place, ledgers: Ledgers, row: int, tick: int) -> Plain:
    """An account over the kept ticks: position in coins, liquidation price (None = none), leverage."""
    ticks, values = ledgers.history(row, tick)
    dollars, lot = float(model.markets.tick_dollars[place.perp]), float(model.markets.lot_coins[place.perp])
    price = [
        float(t) * dollars if n and 0 < t < NO_PRICE else None for t, n in zip(values[TICKS], values[LOTS], strict=True)
    ]
    return {"ticks": list(ticks), "coins": (values[LOTS] * lot).tolist(), "liquidation_usd": price}


def liquidation_profile(
    model: MarketModel, place: Place, ledger: Ledger, edges: NDArray[np.float64]
) -> tuple[list[int], list[int]]:
    """Value at the mark, whole dollars, of longs and of shorts by the price at which they would be liquidated.

    Exact for isolated accounts; of cross accounts with the prices of their other positions held.
    """
    rows = with_position(model, place, ledger)
    lots = ledger.values[LOTS, rows]
    dollars = float(model.markets.tick_dollars[place.perp])
    price = ledger.values[TICKS, rows] * dollars
    value = np.abs(lots) * float(model.markets.lot_coins[place.perp]) * ledger.mark_ticks * dollars
    found = [np.histogram(price[mask], edges, weights=value[mask])[0] for mask in (lots > 0, lots < 0)]
    return tuple(np.rint(part).astype(np.int64).tolist() for part in found)
