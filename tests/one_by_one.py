"""A kind's accounts asked one by one say what they say together; for the tests of single kinds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from abm.traders.base import Batch, View
from tests.traders_world import Stage


def same_one_by_one(build: Callable[[], Stage], views: Callable[[Stage, int], View], ticks: int) -> int:
    """Two equal stages, one asked by arrays, one account by account; returns how many messages they agreed on.

    `views(stage, tick)` is what both see; fills are posted and handles handed back in both.
    """
    together, alone = build(), build()
    count = 0
    for tick in range(ticks):
        said = []
        for stage in (together, alone):
            stage.tick = tick
            batch, one = Batch(), stage.people[0]
            (one.decide if stage is together else one.ask_each)(views(stage, tick), batch)
            # a batch is executed by a draw keyed by account: here in the order of the rows
            order = np.argsort(batch.messages()["account"], kind="stable")
            handles = np.empty(batch.count, np.int64)
            messages = batch.messages()[order].copy()
            handles[order] = stage.trade(messages.copy())[2]
            said.append(messages)
            if batch.count:
                one.after_trade(handles, 0)
        assert said[0].tolist() == said[1].tolist(), f"tick {tick}"
        count += said[0].size
    for name in ("cash", "position", "entry_cost"):
        assert (getattr(together.accounts, name) == getattr(alone.accounts, name)).all()
    return count
