"""Exchange reserves: coins that participants of the market hold at a venue.

Coins in the custody of funds, of treasury companies and of stakers do not count, nor do those of the venue itself or of
the outside world: a coin that goes from a seller to one of them leaves the reserve (seed S17: low exchange reserves).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from abm.state import ETF, FUND, STAKER, TREASURY, Accounts
from abm.units import SATOSHI


class Reserves:
    """Measures the coins held at one venue; the rows that count are found once."""

    def __init__(self, accounts: Accounts, coins: int, venue: int) -> None:
        kind = accounts.kind
        counts: NDArray[np.bool_] = (accounts.venue == venue) & (kind < FUND) & ~np.isin(kind, (ETF, STAKER, TREASURY))
        self._accounts, self._coins = accounts, coins
        self._rows = np.flatnonzero(counts)

    def btc(self) -> float:
        """Coins now."""
        return int(self._accounts.cash[self._coins, self._rows].sum()) / SATOSHI
