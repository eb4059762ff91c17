"""The slow clocks at the end of a tick: covenants, creations, transfers. Orders go out with the next tick."""

from __future__ import annotations

from collections.abc import Iterable

from abm.clearing.trading import TradingFloor
from abm.traders.base import Participant
from abm.venues.exchange import OUTSIDE_ROW


class VenueOffice:
    """What institutions of one venue are given: `outside` is the venue's row of the outside world."""

    def __init__(self, floor: TradingFloor, first_row: int) -> None:
        self._floor = floor
        self.outside = first_row + OUTSIDE_ROW

    def pay(self, payer: int, receiver: int, asset: int, amount: int, reason: int) -> None:
        """Post `amount` (units of `asset`) from one row to another. Raises ValueError for a negative amount."""
        if amount < 0:
            raise ValueError(f"a payment of {amount} from row {payer} to row {receiver}: must not be negative")
        if amount:
            self._floor.transfer(payer, receiver, asset, amount, reason)

    def note(self, kind: int, **fields: int) -> None:
        """Add an event that moves no money."""
        self._floor.log.add(kind, **fields)


def with_reviews(participants: Iterable[Participant]) -> list[Participant]:
    """Those who have a slow clock."""
    return [one for one in participants if type(one).review is not Participant.review]
