"""Circuit breaker: a market that moves too far too fast stands still, then opens by a call auction."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PrivateAttr

from abm.parameters import Parameters, quantity
from abm.state import PERPETUAL
from abm.venues.exchange import Exchanges
from abm.venues.halts import MoveBreaker


class CircuitBreaker(Parameters):
    """A move of `move` within `window_s` halts the market for `halt_s`; the last tick of the halt is the call."""

    move: float = quantity(0.05, unit="fraction", gt=0, lt=1, source="policy", likely=(0.02, 0.15))
    window_s: float = quantity(300.0, unit="s", gt=0, source="policy", likely=(60.0, 3600.0))
    halt_s: float = quantity(300.0, unit="s", gt=0, source="policy", likely=(30.0, 1800.0))
    markets: Literal["perpetual", "all"] = Field("all", description="which markets have one")
    together: bool = Field(True, description="whether one breaker halts every market that has one")
    _breakers: list[MoveBreaker] = PrivateAttr(default_factory=list)

    def begin(self, exchanges: Exchanges) -> None:
        """One breaker a market."""
        markets = exchanges.floor.markets
        chosen = [m for m in range(markets.count) if self.markets == "all" or markets.kind[m] == PERPETUAL]
        times = (round(self.window_s * 1000), round(self.halt_s * 1000))
        self._breakers[:] = [MoveBreaker(m, self.move, *times) for m in chosen]

    def after_mark(self, exchanges: Exchanges, now_ms: int) -> None:
        """Watch the last prices."""
        last = exchanges.last_ticks()
        tripped = [b.watch(exchanges.halts, int(last[b.market]), now_ms) for b in self._breakers]
        if any(tripped) and self.together:
            for breaker in self._breakers:
                exchanges.halts.halt(breaker.market, now_ms + breaker.halt_ms, now_ms)
