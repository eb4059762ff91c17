"""The verifier's replay beside a small world: every balance rebuilt from the opening and the events."""

from __future__ import annotations

from typing import Any

import numpy as np

from abm.state import PERPETUAL
from abm.verify.replay import COLUMNS, Books, Market, Replay
from tests.venue_world import VenueWorld


def _books(world: VenueWorld) -> Books:
    a, markets = world.accounts, world.markets
    wealth = a.cash.copy()
    for m in np.flatnonzero(markets.kind == PERPETUAL).tolist():
        wealth[markets.settle[m]] += a.margin[markets.slot[m]]
    tables: list[Any] = [wealth.tolist(), a.position.tolist(), a.entry_cost.tolist()]
    return Books(a.venue.tolist(), a.kind.tolist(), *tables)


class Replayed:
    """Take it when the opening stands; `check` compares it with the world after the events so far."""

    def __init__(self, world: VenueWorld) -> None:
        names = ("venue", "kind", "slot", "settle", "base", "tick_value", "lot_units", "taker_fee", "maker_fee")
        markets = world.markets
        self.world = world
        self.first = world.log.rows().size
        self.replay = Replay(
            _books(world),
            [Market(*(int(getattr(markets, name)[m]) for name in (*names, "inverse"))) for m in range(markets.count)],
        )

    def check(self) -> None:
        """Every balance of every row follows from the events, to the unit."""
        events = self.world.log.rows()[self.first :]
        self.first += events.size
        self.replay.run({name: events[name].astype(np.int64) for name in COLUMNS})
        for (name, ours), (_, theirs) in zip(
            self.replay.books.columns(self.world.assets), _books(self.world).columns(self.world.assets), strict=True
        ):
            assert ours == theirs, name
