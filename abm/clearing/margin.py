"""Who is below maintenance: a ladder of liquidation prices for one perpetual, and a full scan for a venue.

The ladder finds the rows that a move of the mark crossed without looking at the others. It holds every row with one
liquidation price: isolated positions, and cross rows with no other position at the venue. Cross rows with several
positions have none and are found by `VenueMargin`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.clearing.margin_kernel import FINE, OUT, advance, inspect, rebucket, scan
from abm.state import FUND, I64, PERPETUAL, Accounts, Markets
from abm.units import RATE_ONE

NO_ROWS: I64 = np.empty(0, np.int64)
NO_ROWS.setflags(write=False)


PROBLEMS = (
    "",
    "broken list",
    "below maintenance, yet in a bucket",
    "wrong bucket",
    "broken pending list",
    "places disagree with lists",
)
"""In words, by the codes of `inspect`."""


class MarginLadder:
    """Rows of one perpetual in buckets by exact liquidation tick.

    Args:
        market: index in `markets`; must be a perpetual.
        markets, accounts: the tables; read afresh at every call.
        base_tick: tick of the lowest bucket.
        levels: number of buckets a side. Ticks outside go to the end buckets and stay exact, only slower.
        margin_share: share of its margin (1e-8) that an isolated position must keep beside the tiers' requirement.

    Raises ValueError for a market without margin or a number of levels that int32 bucket numbers cannot hold.
    Call `rebuild` once, `update` after every change of position, cost, cash or margin, `crossed` at every new mark.
    """

    def __init__(
        self, market: int, markets: Markets, accounts: Accounts, base_tick: int, levels: int, margin_share: int = 0
    ) -> None:
        if markets.kind[market] != PERPETUAL:
            raise ValueError(f"market {markets.names[market]} is no perpetual and has no margin")
        if not 0 < levels < 1 << 30:
            raise ValueError(f"levels must be between 1 and 2**30, not {levels}")
        self.market = market
        self.markets = markets
        self.accounts = accounts
        self.base_tick = int(base_tick)
        self.levels = int(levels)
        self._tiers = (markets.tier_floor[market], markets.tier_maintenance[market], markets.tier_amount[market])
        self.venue = int(markets.venue[market])
        self._slot = int(markets.slot[market])
        self._settle = int(markets.settle[market])
        self._value = (int(markets.tick_value[market]), int(markets.inverse[market]), int(margin_share))
        self._peers = peers_of(markets, accounts, market)
        self.rebuild(1)

    def rebuild(self, mark_ticks: int) -> None:
        """Empty the ladder and put every row into it at this mark."""
        rows = self.accounts.rows
        self._heads = np.zeros(2 * self.levels, np.int32)
        self._after = np.full(rows, -1, np.int32)
        self._before = np.full(rows, -1, np.int32)
        self._place = np.full(rows, OUT, np.int32)
        self._threshold = np.zeros(rows, np.int64)
        self._pending = np.zeros(rows, np.int32)
        self._state = np.array([mark_ticks, 0], np.int64)
        self._lists = (
            self._heads,
            self._after,
            self._before,
            self._place,
            self._threshold,
            self._pending,
            self._state,
        )
        self._rebucket(np.flatnonzero(self.accounts.position[self._slot]))

    def update(self, rows: NDArray[np.int64], mark_ticks: int) -> None:
        """Recompute the liquidation tick of `rows` (int64, any order, repeats allowed) and move the mark there."""
        self._rebucket(rows)
        self._move(mark_ticks)

    def crossed(self, mark_ticks: int) -> I64:
        """Rows whose equity is below maintenance at this mark, int64 (n,), ascending."""
        self._move(mark_ticks)
        count = self._state[1]
        if count == 0:
            return NO_ROWS
        found: I64 = self._pending[:count].astype(np.int64)
        found.sort()
        return found

    def liquidation_ticks(self, rows: ArrayLike) -> I64:
        """Liquidation tick of each row, int64 (n,) like `rows`, as of its last `update`; 0 = none, see `formulas`."""
        ticks: I64 = np.abs(self._threshold[np.asarray(rows)])
        return ticks

    def check(self) -> None:
        """Compare lists, places and thresholds; raises AssertionError. For tests and the slow audit."""
        seen = np.empty(self.accounts.rows, np.int64)
        pairs = np.flatnonzero(self._heads.view(np.int64) != 0)  # seven times as fast as without the comparison
        filled = (2 * pairs[:, None] + np.arange(2)).reshape(-1)
        filled = filled[self._heads[filled] != 0]
        problem, row = inspect(filled, self.base_tick, self.levels, *self._lists, seen)
        assert problem == FINE, f"row {row}: {PROBLEMS[problem]}"

    def _rebucket(self, rows: NDArray[np.int64]) -> None:
        accounts = self.accounts
        rebucket(
            np.asarray(rows, np.int64),
            self.venue,
            self._slot,
            *self._value,
            self.base_tick,
            self.levels,
            accounts.kind,
            accounts.venue,
            accounts.mode,
            accounts.backed[self._settle],
            self._peers,
            accounts.cash[self._settle],
            accounts.margin[self._slot],
            accounts.position,
            accounts.entry_cost[self._slot],
            *self._tiers,
            *self._lists,
        )

    def _move(self, mark_ticks: int) -> None:
        if mark_ticks != self._state[0]:
            advance(int(mark_ticks), self.base_tick, self.levels, *self._lists)


def peers_of(markets: Markets, accounts: Accounts, market: int) -> NDArray[np.bool_]:
    """Bool (K,): position slots of the market's venue that settle in the same asset; they share a cross margin."""
    peers = np.zeros(accounts.position.shape[0], np.bool_)
    same = (markets.venue == markets.venue[market]) & (markets.settle == markets.settle[market])
    peers[markets.slot[same & (markets.kind == PERPETUAL)]] = True
    return peers


def venue_perpetuals(markets: Markets, venue: int) -> I64:
    """Indices (K,) of a venue's perpetuals by slot. Raises ValueError if they settle in different assets."""
    found = np.flatnonzero((markets.venue == venue) & (markets.kind == PERPETUAL))
    found = found[np.argsort(markets.slot[found], kind="stable")]
    if np.unique(markets.settle[found]).size > 1:
        raise ValueError(f"venue {venue}: cross margin over several settlement assets is not supported")
    return found


class VenueMargin:
    """Full scan of a venue's rows, cross positions summed. Keeps its buffers; tables are read afresh."""

    def __init__(self, venue: int, markets: Markets, accounts: Accounts) -> None:
        self.venue = venue
        self.accounts = accounts
        self.perpetuals = venue_perpetuals(markets, venue)
        self._settle = int(markets.settle[self.perpetuals[0]]) if self.perpetuals.size else 0
        self._facts = markets.tick_value[self.perpetuals]
        self._tiers = (
            markets.tier_floor[self.perpetuals],
            markets.tier_maintenance[self.perpetuals],
            markets.tier_amount[self.perpetuals],
        )
        self._found = np.empty(accounts.rows, np.int64)

    def below(self, mark_ticks: ArrayLike, first_row: int = 0, end_row: int | None = None) -> I64:
        """Rows of the venue below maintenance at these marks (int64, one a perpetual, by slot), ascending.

        `first_row` and `end_row` limit the scan to where the venue's rows are.
        """
        accounts = self.accounts
        count = scan(
            first_row,
            accounts.rows if end_row is None else end_row,
            self.venue,
            np.asarray(mark_ticks, np.int64).reshape(-1),
            self._facts,
            accounts.kind,
            accounts.venue,
            accounts.mode,
            accounts.cash[self._settle],
            accounts.margin,
            accounts.position,
            accounts.entry_cost,
            *self._tiers,
            self._found,
        )
        return self._found[:count].copy()


def maintenance_of(notional: I64, markets: Markets, market: int) -> I64:
    """`formulas.maintenance_margin` of absolute notional values, int64 settlement units in and out, of one shape."""
    tier = np.searchsorted(markets.tier_floor[market], notional, side="right") - 1
    rate = markets.tier_maintenance[market][tier]
    whole = notional // RATE_ONE
    owed: I64 = whole * rate + ((notional - whole * RATE_ONE) * rate + RATE_ONE - 1) // RATE_ONE
    owed -= markets.tier_amount[market][tier]
    return owed


def traders_with_positions(markets: Markets, accounts: Accounts, market: int) -> I64:
    """Rows (int64, ascending) of a perpetual's venue that hold a position there and are no venue rows."""
    held = accounts.position[markets.slot[market]] != 0
    return np.flatnonzero(held & (accounts.venue == markets.venue[market]) & (accounts.kind < FUND))
