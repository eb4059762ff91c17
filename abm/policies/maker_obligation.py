"""Maker obligation: market makers must show a share of their normal size at all times, in exchange for their status."""

from __future__ import annotations

from abm.parameters import Parameters, quantity
from abm.traders.makers import MakersParameters


class MakerObligation(Parameters):
    """Presence, width and size. The makers' ladder keeps its distances, so the width is that of their first quote."""

    share: float = quantity(..., unit="share", gt=0, le=1, source="policy", text="of the normal size, always shown")
    most_spread_ticks: float = quantity(
        2.0, unit="ticks", ge=1, source="policy", text="the first quotes are no further apart than this"
    )

    def oblige(self, makers: MakersParameters) -> MakersParameters:
        """The same makers under the obligation."""
        first = min(makers.first_ticks, self.most_spread_ticks / 2.0)
        return makers.model_copy(update={"obliged": max(makers.obliged, self.share), "first_ticks": first})
