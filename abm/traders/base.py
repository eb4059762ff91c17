"""What every participant shares: what it sees, how it asks, and where its accounts are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Protocol

import mesa
import numpy as np
from numpy.typing import NDArray

from abm.book.books import Books
from abm.events import ORDINARY
from abm.parameters import Parameters
from abm.records import plain, put
from abm.rng import stream
from abm.state import I64, MESSAGE, NOBODY, Accounts, Markets
from abm.traders.handle import Account, Luck, Orders, gathered
from abm.venues.exchange import AGENT_NUMBERS

HORIZONS_S = (15, 60, 180, 300, 600)
"""Look-back horizons of `View.returns`, in seconds."""

FORCED_LATENCY, MACHINE_LATENCY, BOT_LATENCY, PEOPLE_LATENCY = range(4)
"""Latency classes inside one batch: a lower class is executed first."""


@dataclass(slots=True)
class View:
    """What everybody may see at the moment of a decision. Arrays (M,) by market id; prices in that market's ticks."""

    seed: int
    tick: int
    round: int
    seconds: float
    tick_s: float
    bid_ticks: I64  # 0 = empty side
    ask_ticks: I64
    last_ticks: I64
    mark_ticks: I64  # of the perpetuals; for spot the last price
    index_ticks: I64
    fair_ticks: NDArray[np.float64]  # fundamental value; only informed kinds use it
    returns: NDArray[np.float64]  # (M, len(HORIZONS_S)) signed log return of the last price, as of the last tick
    high_600_ticks: I64
    low_600_ticks: I64
    ema50_ticks: NDArray[np.float64]
    flow_lots: NDArray[np.float64]  # net taker volume of the last 60 s
    fund_distress: float  # 0 calm ... 1 insurance fund at its floor
    funding_bp: NDArray[np.float64]  # indicated funding of the perpetuals, basis points per 8 h; 0 for spot
    macro: float  # log level of the stock index, 0 at the start


_BLANK = np.zeros(1024, MESSAGE)
_BLANK["order"] = _BLANK["cause"] = NOBODY
_BLANK_BYTES = plain(_BLANK)
"""New records, to be copied as bytes."""


def form(**fields: int) -> NDArray[Any]:
    """What a kind of message has in common, MESSAGE (1,): a new record with these fields."""
    record = _BLANK[:1].copy()
    for name, value in fields.items():
        record[name] = value
    return record


def together(rows: I64) -> Any:
    """The same rows (n,) as a slice where they stand together in the table, which reads them without a copy."""
    if rows.size and np.array_equal(rows, np.arange(rows[0], rows[0] + rows.size)):
        return slice(int(rows[0]), int(rows[0]) + rows.size)
    return rows


class Batch:
    """Messages being collected for one trade. Records start zeroed, with order and cause set to nobody."""

    def __init__(self, capacity: int = 4096) -> None:
        self._keep(np.zeros(capacity, MESSAGE))
        self.count = 0

    def _keep(self, records: NDArray[Any]) -> None:
        """Collect in these records from now on; views of them that are needed again and again."""
        self._records, self._bytes, self._latency = records, plain(records), records["latency"]

    def room(self, n: int) -> NDArray[Any]:
        """A writable view of the next records, MESSAGE (n,), not yet taken; call `took` with how many were used."""
        free = self.space(n)
        if n <= _BLANK.size:
            self._bytes[self.count : self.count + n] = _BLANK_BYTES[:n]
        else:
            free[:] = _BLANK[0]
        return free

    def space(self, n: int) -> NDArray[Any]:
        """As `room`, MESSAGE (n,), but as an earlier batch left them: for those who write every field."""
        if self.count + n > self._records.size:
            bigger = np.zeros(max(2 * self._records.size, self.count + n), MESSAGE)
            put(bigger[: self.count], self._records[: self.count])
            self._keep(bigger)
        return self._records[self.count : self.count + n]

    def took(self, n: int) -> None:
        """Keep the first n records of the last `room`."""
        self.count += n

    def add(self, n: int, form: NDArray[Any] | None = None) -> NDArray[Any]:
        """MESSAGE (n,): new records to be filled in, a view; copies of a `form`, MESSAGE (1,), where one is given."""
        if form is None:
            free = self.room(n)
        else:
            free = self.space(n)
            self._bytes[self.count : self.count + n] = plain(form)
        self.count += n
        return free

    def extend(self, messages: NDArray[Any]) -> None:
        """Add whole records, MESSAGE (n,)."""
        self.space(messages.size)
        self._bytes[self.count : self.count + messages.size] = plain(messages)
        self.count += messages.size

    def messages(self) -> NDArray[Any]:
        """The records so far, MESSAGE (n,), a view."""
        return self._records[: self.count]

    def stamp(self, first: int, latency: int) -> None:
        """Give the records from `first` on their latency class."""
        self._latency[first : self.count] = latency

    def clear(self) -> None:
        """Begin afresh; the buffer stays."""
        self.count = 0


@dataclass(slots=True)
class World:
    """Where participants are set up: the shared state, and the opening postings."""

    seed: int
    markets: Markets
    accounts: Accounts
    books: Books
    perp: int  # market id of the perpetual
    spot: int
    usdt: int  # asset ids
    btc: int
    start_ticks: I64  # (M,) opening price of each market
    start_s: float  # UTC seconds of day at the opening
    start: datetime  # first instant, UTC
    events: list[tuple[Any, ...]] = field(default_factory=list)

    def deposit(self, rows: I64, asset: int, amounts: I64) -> None:
        """Opening balance: units from the outside world to rows. Shapes (n,), int64."""
        self.accounts.cash[asset, rows] += amounts

    def open_positions(self, rows: I64, lots: I64, entry_value: I64, margin: I64 | None = None) -> None:
        """Opening positions on the perpetual: signed lots, signed entry cost and isolated margin in settlement units.

        All int64 (n,); without margin (cross rows) the table of margins is left as it is.
        """
        slot = int(self.markets.slot[self.perp])
        self.accounts.position[slot, rows] = lots
        self.accounts.entry_cost[slot, rows] = entry_value
        if margin is not None:
            self.accounts.margin[slot, rows] = margin


class Office(Protocol):
    """What institutions are given at a review: they pay each other, and they say what they do."""

    outside: int
    """Row of the outside world at the participant's venue."""

    def pay(self, payer: int, receiver: int, asset: int, amount: int, reason: int) -> None:
        """Post `amount` (units of `asset`, >= 0) from one row to another, now."""

    def note(self, kind: int, **fields: int) -> None:
        """Add an event of a kind of `abm.events` that moves no money."""


def asked(rule: Callable[[View, I64, Batch], None], view: View, number: int) -> NDArray[Any]:
    """What a rule on an array of account numbers says for one of them: MESSAGE (n,)."""
    batch = Batch(8)
    rule(view, np.array([number]), batch)
    return batch.messages()


def bare_model() -> Any:
    """A Mesa model without a market, to hold participants in the small worlds of experiments."""
    return mesa.Model(rng=1)


class Participant(mesa.Agent):
    """One kind of participant with all its accounts; `parameters` is its frozen parameters object.

    It has `decide_one`, what one account asks for, and may have a `decide` that does the same for all by arrays: the
    same messages for each account, in the same order within the account. The order of accounts inside a batch means
    nothing: a batch is executed by latency class and a draw keyed by account, and orders are numbered after that.

    People decide once a tick on what they saw at its end; machines (`machine = True`) again in every round inside the
    tick.
    """

    machine = False
    latency = PEOPLE_LATENCY
    parameters_class: ClassVar[type[Parameters]]
    """Schema of its parameters; a kind that a scenario may name needs one."""
    name = ""
    """Of an entry of the scenario's `participants`."""
    venue = 0
    """Id of the venue where it trades."""
    seat = 0
    """Whose view it has: a venue's or, behind those, an altcoin's."""
    reason = ORDINARY
    """Code of `abm.events` that the orders of its handles carry."""
    example: ClassVar[Mapping[str, Any]] = {}
    """Parameters with which it has something to do in a tiny world, for `deleverage check`."""
    example_scenario: ClassVar[Mapping[str, Any]] = {}
    """Values of the scenario, by dotted path, that it needs for that."""
    example_world: ClassVar[str] = "tiny"
    """The packaged scenario in which it is looked at."""
    world: World
    _ids = AGENT_NUMBERS

    def __init__(self, model: Any, parameters: Parameters) -> None:
        super().__init__(model)
        self.parameters = parameters
        self.rows: I64 = np.zeros(0, np.int64)
        self._answered: list[tuple[int, int]] = []
        self._handles: dict[int, list[int]] = {}

    def rows_needed(self) -> int:
        """Number of account rows."""
        return 1

    def bind(self, world: World) -> None:
        """Take possession of `self.rows` (set by the model before the call) and post the opening state."""

    def begin(self, model: Any) -> None:
        """Once, when every participant is bound and the exchanges stand, before anybody acts."""

    def prepare(self, view: View) -> None:
        """Once per decision, before anybody is asked: what all accounts share, and forgetting what was sent."""

    def woken(self, view: View) -> I64:
        """Numbers (n,) of the accounts that decide now, ascending; asked once per decision. Default: everybody."""
        return np.arange(self.rows.size)

    def decide_one(self, view: View, me: Account, rng: Luck) -> Orders:
        """MESSAGE (n,) of account `me.number`, or a list of such.

        It may change what belongs to this account, nothing that is shared.
        """
        return None

    def decide(self, view: View, batch: Batch) -> None:
        """Add the messages of all accounts to the batch. Default: ask one by one."""
        if type(self).decide_one is not Participant.decide_one:
            self.ask_each(view, batch)

    def ask_each(self, view: View, batch: Batch, backwards: bool = False) -> None:
        """Ask every woken account by itself and add what it answers; the slow twin of a `decide` by arrays.

        `backwards` begins with the last: it must not make a difference.
        """
        self.prepare(view)
        self._answered.clear()
        luck = stream(f"{type(self).__name__} {self.name}")
        for number in self.woken(view)[:: -1 if backwards else 1].tolist():
            me = Account(self, view, number, self._handles.get(number, ()))
            answer = gathered(self.decide_one(view, me, Luck(view.seed, luck, number, view.tick, view.round)))
            if answer.size:
                batch.add(answer.size)[:] = answer
                self._answered.append((number, answer.size))

    def after_trade(self, handles: I64, offset: int) -> None:
        """Handles of what now rests because of the messages this participant added, in the same order; shape (n,).

        `offset` is the index of the first of them in the batch as it was collected. Default: remember them for
        `Account.orders`.
        """
        at = 0
        for number, count in self._answered:
            new = [handle for handle in handles[at : at + count].tolist() if handle != NOBODY]
            old = [handle for handle in self._handles.get(number, ()) if self.world.books.order(handle) is not None]
            self._handles[number] = [*old, *(handle for handle in new if handle not in old)]
            at += count
        self._answered.clear()

    def review(self, view: View, office: Office) -> None:
        """At the end of a tick, for institutions: postings that are no trades, and what they decide on slow clocks."""

    def measured(self) -> Mapping[str, float]:
        """Figures of its own at the end of the tick, by name with a unit suffix; the same names in every tick."""
        return {}
