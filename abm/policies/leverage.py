"""Leverage cap and initial-margin floor: how much anybody may borrow against a position.

Both lower the highest leverage of every bracket. Positions that exist at the opening stay as large as they are and
have more money behind them; what people can open later is smaller. Makers, arbitrageurs, hedgers, value buyers and
traders between venues obey and have the money for it: above a cap all their orders would be refused.
"""

from __future__ import annotations

import math

import numpy as np

from abm.parameters import Parameters, quantity
from abm.state import Markets


class LeverageCap(Parameters):
    """No position may be opened above a multiple of its margin."""

    most: int = quantity(..., unit="x", ge=1, le=1001, source="policy", text="highest leverage on every venue")

    @property
    def cap(self) -> int:
        """Highest leverage that is left, x."""
        return self.most

    def prepare(self, markets: Markets) -> None:
        """Lower the brackets' highest leverage."""
        np.minimum(markets.tier_leverage, self.most, out=markets.tier_leverage)


class InitialMarginFloor(Parameters):
    """Margin to open a position is at least a share of its value."""

    rate: float = quantity(..., unit="share", gt=0, le=1, source="policy", text="least initial margin")

    @property
    def cap(self) -> int:
        """Highest leverage that is left, x, a whole number: the floor is met or exceeded."""
        return max(math.floor(1.0 / self.rate), 1)

    def prepare(self, markets: Markets) -> None:
        """Lower the brackets' highest leverage."""
        np.minimum(markets.tier_leverage, self.cap, out=markets.tier_leverage)
