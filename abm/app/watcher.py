"""The recorder of a model that somebody watches: ticks of every place, and the events that tell the story."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.app import story
from abm.app.tabs import FORCED_S
from abm.events import BY_LIQUIDATION, EVENT, FILL_EVENT
from abm.recorder import Recorder, forced_rows
from abm.records import joined, taken
from abm.state import Markets


class Watcher(Recorder):
    """Keeps the ticks, and of the events those that tell the story (no ordinary fills but causes).

    Places are numbered as on the page: venues, then altcoins. `lines[n]` is the log of place n. `alts`, names of the
    altcoins, must be set before the model is built.
    """

    alts: Sequence[str] = ()

    def __init__(self) -> None:
        super().__init__("fills")
        self.story: list[NDArray[np.void]] = []
        self.lines: list[list[story.Line]] = [[]]
        self._fresh: NDArray[np.void] | None = None
        self._beside: list[Recorder] = []
        self._tellers: list[story.Teller] = []
        self._joined: tuple[int, NDArray[np.void]] = (0, np.zeros(0, EVENT))

    def begin(
        self, markets: Markets, assets: Sequence[str], venues: Sequence[str], start: datetime, tick_s: float
    ) -> None:
        """The facts of the run."""
        super().begin(markets, assets, venues, start, tick_s)
        self._tellers = [story.Teller(one) for one in story.places(self.facts, self.alts)]
        self.lines = [[] for _ in self._tellers]
        self._beside = [Recorder("summary") for _ in self._tellers[1:]]

    def events(self, rows: NDArray[np.void]) -> None:
        """Events of one tick; what is no ordinary fill is kept."""
        self._fresh = forced_rows(rows) if rows.size else None
        if self._fresh is not None and self._fresh.size:
            self.story.append(self._fresh)

    def venue_steps(self, rows: Sequence[Mapping[str, float]]) -> None:
        """One tick of the venues; the lead venue's comes once more by `step`."""
        for row, beside in zip(rows[1:], self._beside, strict=False):
            beside.step(row)

    def alt_steps(self, rows: Mapping[str, Mapping[str, float]]) -> None:
        """One tick of the altcoins."""
        for teller, beside in zip(self._tellers[1:], self._beside, strict=True):
            if teller.place["coin"] in rows:
                beside.step(rows[teller.place["coin"]])

    def step(self, row: Any) -> None:
        """The tick is over: its lines of the log."""
        super().step(row)
        if self._fresh is not None and self._fresh.size:
            for number, teller in enumerate(self._tellers):
                mark = float(self.steps_of(number)["mark_usd"][-1])
                self.lines[number] += teller.lines(self._fresh, self.facts, mark)
        self._fresh = None

    def steps_of(self, number: int) -> NDArray[np.void]:
        """Ticks of a place so far, (ticks,) of dtype `STEP`."""
        return self.steps_array if number == 0 else self._beside[number - 1].steps_array

    def forced(self, market: int, tick: int) -> NDArray[np.void]:
        """Fills of forced orders in a market within the last minute before the end of `tick`."""
        first, found = tick - FORCED_S / float(self.facts["tick_s"]), []
        for rows in reversed(self.story):
            if rows["tick"][0] <= first:
                break
            mine = (rows["kind"] == FILL_EVENT) & (rows["reason"] == BY_LIQUIDATION) & (rows["market"] == market)
            found.append(taken(rows, mine))
        return joined(found) if found else np.zeros(0, EVENT)

    @property
    def kept(self) -> NDArray[np.void]:
        """All events kept, by seq."""
        parts = len(self.story)
        if self._joined[0] != parts:
            self._joined = (parts, joined(self.story[:parts]))
        return self._joined[1]
