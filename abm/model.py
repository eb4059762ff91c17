"""The market model: `MarketModel.step` is the model, read it top to bottom."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from weakref import WeakSet

import mesa
import numpy as np
from numpy.typing import NDArray

from abm.clearing.audit import AuditError, MoneyAudit, audit_structure
from abm.events import NEWS, ROUND_CAP
from abm.institutions import VenueOffice, with_reviews
from abm.opening import Opening
from abm.recorder import Recorder
from abm.records import joined
from abm.scenario import DEFAULT_SCENARIO, Scenario, load_scenario
from abm.state import BUY, PERPETUAL, SELL
from abm.steps import Traffic, peg_record, step_record
from abm.tape import Tape
from abm.traders.base import Batch, Participant, View
from abm.world import fair_value

WHOLE_AUDIT_TICKS = 60
"""Ticks between two audits of everything: all accounts, the books, reserves and ladders."""


class MarketModel(mesa.Model):
    """Leveraged traders, makers, arbitrageurs, value buyers and a treasury meet in the books of one venue or several.

    Args:
        scenario: a `Scenario`, the name of a packaged one or a file; None = `tiny`.
        seed: replaces the scenario's seed.
        recorder: receives opening balances, events and one record a tick (`abm.results`); None = memory, level
            `summary`.
        rng: another name of `seed`, by which Mesa's own tools pass it.
        kwargs: scenario values by dotted path with `__` for dots, e.g. `accounts=500`, `makers__count=10`.

    The resolved scenario is `model.setup` (Mesa keeps an attribute `scenario` for itself). Randomness comes from keyed
    streams (`abm.rng`), never from `model.random`. `places` are the venues, the lead venue first; `perp`, `spot`,
    `makers` and `retail` are those of the lead venue; `alts` are the altcoins traded there.
    """

    view: View
    """What everybody sees, as of the lead venue; `views` has one for each venue."""

    def __init__(
        self,
        scenario: Scenario | str | None = None,
        *,
        seed: int | None = None,
        recorder: Recorder | None = None,
        rng: int | None = None,
        **kwargs: Any,
    ) -> None:
        _make_room()
        _ALIVE.add(self)
        self.setup = _setup(scenario, rng if seed is None else seed, kwargs)
        super().__init__(rng=self.setup.seed)
        self.tick = 0
        self.round = 0
        self.recorder = recorder or Recorder("summary")
        opening = Opening(self, self.recorder.level)
        self.markets, self.accounts, self.books = opening.markets, opening.accounts, opening.books
        self.log, self.floor, self.exchanges = opening.log, opening.floor, opening.exchanges
        self.policies = opening.policies
        self.money = MoneyAudit(self.floor, self.exchanges.assets)
        self.people, self.machines, self.bridges = opening.people, opening.machines, opening.bridges
        self.places, self.alts, self.pegs, self.beside = opening.places, opening.alts, opening.pegs, opening.values
        self.institutions = with_reviews(opening.everyone)
        self._offices = [VenueOffice(self.floor, place.first_row) for place in self.places]
        self._joined = [one for place in self.places for one in place.joined]
        self._perpetuals = np.flatnonzero(self.markets.kind == PERPETUAL)
        lead = self.places[0]
        self.makers, self.retail, self.treasuries = lead.makers, lead.retail, lead.treasuries
        self.perp, self.spot = lead.perp, lead.spot
        self.traffic = Traffic(self.markets.venue)
        self.batch = Batch()
        self._dark: set[int] = set()
        self._late: dict[int, int] = {}
        slowest = [item.delay_ticks for item in self.setup.incidents if item.kind == "latency"]
        self._past: deque[View] = deque(maxlen=max(slowest, default=0) + 1)
        self._asked: list[tuple[Participant, int, int]] = []
        self.tape = Tape(opening.start_ticks, self.setup.tick_s)
        self.world = fair_value(self.setup)
        self._look()
        for one in opening.everyone:
            one.begin(self)
        self.recorder.begin(
            self.markets, opening.assets, [e.name for e in self.exchanges], self.setup.start, self.setup.tick_s
        )
        self.recorder.opening(self.accounts)
        everywhere = (*self.places, *self.alts)
        self.trade(self.decide([place.makers for place in everywhere]))  # the books stand before anybody acts
        self.audit()
        self.latest = step_record(self, lead, self.floor.tally())
        self.datacollector = Collector(model_reporters=REPORTERS)
        self.datacollector.collect(self)

    # --- the tick -----------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """One tick. Read top to bottom: this is the model."""
        self.begin_tick()
        self.advance_world()  # fair value, scheduled news
        self.trade(self.decide(self.people))  # admit -> match -> post, all markets
        for _ in self.rounds():  # one always; another while the last one forced anything; capped, a hit cap is an event
            self.exchanges.mark()  # every index and mark from one snapshot
            forced = self.exchanges.liquidate()  # below maintenance: cancel orders, forced orders by the venue's rule
            self.trade(self.decide(self.machines), forced)
            self.exchanges.absorb()  # backstop takes what the book did not; losses; deleverage
        self.exchanges.fund()  # when due; longs <-> shorts, zero-sum
        self.review_institutions()  # covenants, transfers: slow clocks
        self.audit()  # exact; raises
        self.record()

    def run(self) -> None:
        """Step to the end of the scenario and record the closing balances."""
        while self.running:
            self.step()
        self.recorder.closing(self.accounts)

    # --- its parts ----------------------------------------------------------------------------------------------------

    def begin_tick(self) -> None:
        """Count on, and forget what the last tick's tallies held."""
        self.tick += 1
        self.round = 0
        self.log.tick, self.log.round = self.tick, 0
        self.floor.reset_tally()
        self.traffic.clear()
        self.exchanges.begin_tick()
        if self.setup.incidents:
            self._begin_incidents()

    def _begin_incidents(self) -> None:
        """Outages and latency of this tick: an outage lets all markets of its venue stand still."""
        now_s, tick_s, desk = (self.tick - 1) * self.setup.tick_s, self.setup.tick_s, self.exchanges.desks[0]
        self._late.clear()
        for item in self.setup.incidents:
            at_s = self.setup.news_seconds(item)
            if not at_s <= now_s < at_s + item.over_s:
                continue
            venue = next(place.number for place in self.places if place.name == item.venue)
            if item.kind == "latency":
                self._late[venue] = max(item.delay_ticks, self._late.get(venue, 0))
                continue
            # open again at the beginning of the first tick after the outage
            until_ms = desk.start_ms + round((at_s + item.over_s + tick_s) * 1000)
            for market in np.flatnonzero(self.markets.venue == venue).tolist():
                self.exchanges.halts.halt(market, until_ms, desk.now_ms(self.tick, tick_s), dark=True)
        self._dark = set(self.markets.venue[self.exchanges.halts.dark].tolist())

    def advance_world(self) -> None:
        """Move the stock index and the fair value; news is an event that others can be caused by."""
        self.world.advance(self.tick)
        change = self.world.news_change
        if change:
            self.log.add(NEWS, market=self.spot, amount=round(change * 1_000_000))
        if self.beside is not None:
            index_usd = float(self.exchanges.index_ticks[self.perp] * self.markets.tick_dollars[self.perp])
            self.beside.advance(self.tick, self.world, index_usd)

    def rounds(self) -> Iterator[int]:
        """Rounds 1, 2, ...: the first always, another while the last one forced anything, at most `rounds_max`."""
        for number in range(1, self.setup.rounds_max + 1):
            self.round = self.log.round = number
            yield number
            if not self.exchanges.forced_any:
                return
        self.log.add(ROUND_CAP, size_lots=self.exchanges.waiting())

    def decide(self, participants: list[Participant]) -> Batch:
        """Ask everybody in the list; their messages are collected, none is executed yet."""
        self._look()
        self.batch.clear()
        self._asked.clear()
        for participant in participants:
            if participant.venue in self._dark:
                continue  # nothing they send would arrive
            start = self.batch.count
            participant.decide(self.views[participant.seat], self.batch)
            end = self.batch.count
            if end > start:
                self.batch.stamp(start, participant.latency)
                self._asked.append((participant, start, end))
        return self.batch

    def trade(self, batch: Batch, forced: NDArray[Any] | None = None) -> None:
        """Execute a batch on all markets, tell everybody what rests, and find the new liquidation prices.

        `forced` are the engines' messages, MESSAGE (n,); they go first.
        """
        messages = self.exchanges.passing(batch.messages())
        ahead = 0 if forced is None else forced.size
        if forced is not None and ahead:
            messages = joined([forced, messages])
        moment = self.tick * 1024 + self.round
        handles = self.floor.trade(messages, self.exchanges.mark_ticks, moment)
        self.traffic.count(messages, self.floor.fills)
        for participant, start, end in self._asked:
            participant.after_trade(handles[ahead + start : ahead + end], start)
        self.exchanges.rebucket()

    def review_institutions(self) -> None:
        """Slow clocks: covenants of treasury companies, money between venues. Orders go out with the next tick."""
        if self.bridges is None and not self.institutions:
            return
        self._look()
        if self.bridges is not None:
            self.bridges.review(self.view, self._offices[0])
        for institution in self.institutions:
            if institution.venue not in self._dark:
                institution.review(self.views[institution.seat], self._offices[institution.venue])

    def audit(self) -> None:
        """Postings every tick; everything every 60 ticks, after every unwind and at the end.

        Raises `AuditError` with tick and seed.
        """
        try:
            whole = self.tick % WHOLE_AUDIT_TICKS == 0 or self.exchanges.unwound or self.tick == self.setup.ticks
            self.money.check(self.exchanges.take_changed(), whole)
            if whole:
                audit_structure(self.floor)
                self.exchanges.check_ladders()
        except AuditError as error:
            raise AuditError(
                f"tick {self.tick}, round {self.round}: {error}. To reproduce: deleverage run {self.setup.name} "
                f"--seed {self.setup.seed} --accounts {self.setup.accounts}"
            ) from error

    def record(self) -> None:
        """Hand the tick's events and its record to the recorder; the tape moves on."""
        tally = self.floor.tally()
        self.tape.record(self.exchanges.last_ticks(), tally.net_taker_lots)
        self.latest = step_record(self, self.places[0], tally)
        if len(self.places) > 1:
            self.recorder.venue_steps([step_record(self, place, tally) for place in self.places])
        if self.beside is not None:
            coins = {alt.coin: step_record(self, alt, tally) for alt in self.alts}
            self.recorder.alt_steps(coins | {peg.name: peg_record(self, peg.market, tally) for peg in self.pegs})
        if self._joined:
            self.recorder.measured(
                {f"{one.name}.{key}": value for one in self._joined for key, value in one.measured().items()}
            )
        self.recorder.events(self.log.rows())
        self.log.clear()
        self.recorder.step(self.latest)
        self.datacollector.collect(self)
        self.running = self.tick < self.setup.ticks

    # --- what is seen -------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Refresh the public view: one snapshot for everybody who decides now."""
        s, exchanges, books = self.setup, self.exchanges, self.books
        if not hasattr(self, "view") or self.view.tick != self.tick:
            self._seen = (self.tape.returns(), self.tape.high_ticks(), self.tape.low_ticks())
            self._fair_ticks = (self.beside or self.world).usd / self.markets.tick_dollars
            self._funding_bp = np.zeros(self.markets.count)
            self._funding_bp[self._perpetuals] = [exchanges.indicated_funding_bp(m) for m in self._perpetuals.tolist()]
        returns, high, low = self._seen
        shown: dict[str, Any] = {
            "tick": self.tick,
            "round": self.round,
            "seconds": self.tick * s.tick_s,
            "tick_s": s.tick_s,
            "bid_ticks": exchanges.offered(books.best_ticks(BUY)),
            "ask_ticks": exchanges.offered(books.best_ticks(SELL)),
            "last_ticks": exchanges.last_ticks(),
            "mark_ticks": exchanges.mark_ticks,
            "index_ticks": exchanges.index_ticks,
            "fair_ticks": self._fair_ticks,
            "returns": returns,
            "high_600_ticks": high,
            "low_600_ticks": low,
            "ema50_ticks": self.tape.ema50_ticks,
            "flow_lots": self.tape.flow_lots,
            "funding_bp": self._funding_bp,
            "macro": self.world.macro,
        }
        distress = [exchanges.distress(venue.venue) for venue in exchanges]
        self.view = View(seed=s.seed, fund_distress=distress[0], **shown)
        # the same prices for those who trade elsewhere, who have their own luck and their own fund
        self.views = [
            self.view,
            *(
                View(seed=place.setup.seed, fund_distress=distress[place.number], **shown)
                for place in (*self.places[1:], *self.alts)
            ),
        ]
        if self.bridges is not None:
            halted = self.exchanges.halts.halted
            self.bridges.reachable[:] = [not halted[p.perp] and p.number not in self._late for p in self.places]
        if self._past.maxlen and self._past.maxlen > 1:
            self._look_back()

    def _look_back(self) -> None:
        """Messages to a slow venue arrive late: what arrives now was decided on what was seen so many ticks ago."""
        if not self._past or self._past[-1].tick != self.tick:
            kept = {name: getattr(self.view, name).copy() for name in ("mark_ticks", "index_ticks")}
            self._past.append(replace(self.view, **kept))
        for place in (*self.places, *self.alts):
            ticks = self._late.get(place.number)
            if ticks is not None:
                now, then = self.views[place.seat], self._past[max(len(self._past) - 1 - ticks, 0)]
                clock = {name: getattr(now, name) for name in ("seed", "tick", "round", "seconds", "fund_distress")}
                self.views[place.seat] = replace(then, **clock)


_ALIVE: WeakSet[MarketModel] = WeakSet()
MODELS_AT_ONCE = 4


def _make_room() -> None:
    """Let go of models nobody holds any more.

    A Mesa model dies in a reference cycle, and Python's collector counts objects, not bytes: in a loop over models it
    would come only after gigabytes.
    """
    if len(_ALIVE) >= MODELS_AT_ONCE:
        gc.collect()


def _setup(scenario: Any, seed: int | None, changes: dict[str, Any]) -> Scenario:
    """The scenario of a model. What is neither ours nor a name (Mesa's controllers hand over theirs) counts as None."""
    known = scenario if isinstance(scenario, Scenario | str) else DEFAULT_SCENARIO
    chosen = known if isinstance(known, Scenario) else load_scenario(known)
    if seed is not None:
        changes = changes | {"seed": int(seed)}
    return chosen.changed(**changes) if changes else chosen


def _reporter(name: str) -> Any:
    def report(model: MarketModel) -> float:
        return model.latest[name]

    return report


COLLECTED = (
    *("perp_usd", "mark_usd", "spot_usd", "depth_bid_usd"),
    *("open_interest_btc", "fund_usd", "liquidated_long_usd"),
)


class Collector(mesa.DataCollector):
    """Mesa's collector without its checks and deep copies at every step: what it is given are plain numbers."""

    def collect(self, model: MarketModel) -> None:
        """Append this tick's numbers."""
        when = getattr(self, "_collection_steps", None)
        if when is not None:  # Mesa 3.5: `batch_run` reads nothing that has no time beside it
            when.append(model.time)
        for name, report in self.model_reporters.items():
            self.model_vars[name].append(report(model))


REPORTERS = {name: _reporter(name) for name in COLLECTED}
"""What Mesa's DataCollector keeps of each tick; everything else is in the recorder."""
