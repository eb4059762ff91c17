"""Disclosure: the venue publishes at which prices how much would be liquidated (`abm.venues.profile`).

Nobody reacts to it by itself: who does is named by the scenario (`abm.traders.profile_readers`), or reads `published`
on their own.
"""

from __future__ import annotations

from pydantic import PrivateAttr

from abm.parameters import Parameters, quantity
from abm.venues.exchange import Exchanges
from abm.venues.profile import Profile, profile_of


class Disclosure(Parameters):
    """Every `every_s` seconds, lots by distance from the mark in steps of `step`, out to `reach` on both sides."""

    every_s: float = quantity(60.0, unit="s", gt=0, source="policy")
    step: float = quantity(0.005, unit="fraction", gt=0, lt=0.5, source="policy")
    reach: float = quantity(0.2, unit="fraction", gt=0, lt=1, source="policy")
    _profiles: dict[int, Profile] = PrivateAttr(default_factory=dict)
    _next_ms: list[int] = PrivateAttr(default_factory=lambda: [0])

    def begin(self, exchanges: Exchanges) -> None:
        """Nothing is published yet."""
        self._profiles.clear()
        self._next_ms[0] = 0

    def after_mark(self, exchanges: Exchanges, now_ms: int) -> None:
        """Publish when it is time."""
        if now_ms < self._next_ms[0]:
            return
        self._next_ms[0] = now_ms + round(self.every_s * 1000)
        for desk in exchanges.desks:
            self._profiles[desk.market] = profile_of(desk, self.step, self.reach)

    def published(self, market: int) -> Profile | None:
        """The latest profile of a perpetual; None before the first."""
        return self._profiles.get(market)
