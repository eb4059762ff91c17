"""What the tabs show, now and at earlier ticks: `Past` keeps them at regular ticks of one model, for every place.

A place is a venue's perpetual or an altcoin's. Readings are taken by whoever steps the model and are never changed
afterwards, so that a window's request may read them while the model runs.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from abm.app import ledger, story, tabs
from abm.scenario import Scenario

if TYPE_CHECKING:
    from abm.app.watcher import Watcher
    from abm.model import MarketModel
    from abm.opening import Place

Plain = dict[str, Any]
KEPT = 300
"""At most about so many readings of a run."""
SERIES = ("ltv_percent", "limit_percent", "mnav", "distance_percent", "sold_coins")
"""What the page draws of each company over time."""


def places_of(model: MarketModel) -> tuple[Place, ...]:
    """What a window can be shown: every venue, then every altcoin."""
    return (*model.places, *model.alts)


def kept_every(scenario: Scenario) -> int:
    """Ticks between two readings."""
    return max(1, -(-scenario.ticks // KEPT))


class Kept:
    """Readings of one place: `ticks`, one entry a reading; `maps` has columns of the liquidation map."""

    def __init__(self, opening_usd: float) -> None:
        self.edges = tabs.map_edges(opening_usd)
        self.ticks: list[int] = []
        self.books: list[Plain] = []
        self.venues: list[Plain] = []
        self.treasuries: list[Plain] = []
        self.maps: list[tuple[int, list[int], list[int]]] = []
        self.ledgers = ledger.Ledgers()

    def note(self, model: MarketModel, place: Place, watcher: Watcher) -> None:
        """One reading."""
        now = ledger.ledger_now(model, place)
        self.maps.append((model.tick, *ledger.liquidation_profile(model, place, now, self.edges)))
        self.books.append(tabs.book(model, place, watcher.forced(place.perp, model.tick)))
        self.venues.append(tabs.venue(model, place))
        self.treasuries.append(tabs.treasuries(model, place))
        self.ledgers.keep(now)
        self.ticks.append(model.tick)  # last: a reader that sees the tick finds all of it


class Past:
    """All readings of one model."""

    def __init__(self, model: MarketModel, watcher: Watcher) -> None:
        self.model, self.watcher, self.every = model, watcher, kept_every(model.setup)
        marks, dollars = model.exchanges.mark_ticks, model.markets.tick_dollars
        self.places = places_of(model)
        self.kept = [Kept(float(marks[place.perp] * dollars[place.perp])) for place in self.places]
        self.note()

    def after_step(self) -> None:
        """A reading when one is due."""
        if self.model.tick % self.every == 0 or not self.model.running:
            self.note()

    def note(self) -> None:
        """A reading of every place."""
        for place, kept in zip(self.places, self.kept, strict=True):
            kept.note(self.model, place, self.watcher)

    # --- reading ------------------------------------------------------------------------------------------------------
    def at(self, name: str, number: int, tick: int, arguments: Mapping[str, Any]) -> Plain:
        """A tab as it was at the latest reading not later than `tick`: its data and the tick of that reading."""
        kept = self.kept[number]
        if tick < (kept.ticks[0] if kept.ticks else 0):
            return {"tick": -1, "data": None}
        index = bisect_right(kept.ticks, tick) - 1
        read = kept.ticks[index]
        if name == "book":
            return {"tick": read, "data": kept.books[index]}
        if name == "venue":
            return {"tick": read, "data": kept.venues[index]}
        if name == "treasuries":
            return {"tick": read, "data": kept.treasuries[index] | {"series": self._companies(kept, index + 1)}}
        if name == "heatmap":
            have = int(arguments.get("have", 0))
            return {"tick": read, "data": {"have": have, "columns": kept.maps[have:], "edges_usd": kept.edges.tolist()}}
        found = kept.ledgers.at(tick)
        return {"tick": read, "data": self._traders(number, found, arguments) if found is not None else None}

    def now(self, name: str, number: int, arguments: Mapping[str, Any]) -> Plain:
        """A tab as the model stands. Only for whoever steps the model."""
        place, tick, data = self.places[number], self.model.tick, None
        if name == "book":
            data = tabs.book(self.model, place, self.watcher.forced(place.perp, tick))
        elif name == "venue":
            data = tabs.venue(self.model, place)
        elif name == "treasuries":
            kept = self.kept[number]
            data = tabs.treasuries(self.model, place) | {"series": self._companies(kept, len(kept.ticks))}
        elif name == "traders":
            data = self._traders(number, ledger.ledger_now(self.model, place), arguments)
        elif name == "heatmap":
            return self.at(name, number, tick, arguments)
        return {"tick": tick, "data": data}

    def _traders(self, number: int, found: ledger.Ledger, arguments: Mapping[str, Any]) -> Plain:
        picked, place = int(arguments.get("account", -1)), self.places[number]
        data = ledger.traders(self.model, place, found, str(arguments.get("order", "nearest")), picked)
        if data["picked"]:
            watcher = self.watcher
            told = story.account_story(watcher.kept, picked, watcher.facts)
            data["story"] = [line for line in told if line["tick"] <= found.tick]
            data["life"] = ledger.lifeline(self.model, place, self.kept[number].ledgers, picked, found.tick)
        return data

    @staticmethod
    def _companies(kept: Kept, readings: int) -> Plain:
        """Each company over the readings so far."""
        rows, ticks = kept.treasuries[:readings], kept.ticks[:readings]
        names = [one["name"] for one in rows[0]["companies"]] if rows else []
        return {
            "ticks": ticks,
            "companies": [
                {"name": name} | {key: [row["companies"][i][key] for row in rows] for key in SERIES}
                for i, name in enumerate(names)
            ],
        }
