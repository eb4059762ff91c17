"""A small world for tests of traders: a perpetual, a spot market, real books, plain posting of fills, no fees."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import mesa
import numpy as np

from abm.book.books import Books
from abm.state import CLOSE, FILL, NOBODY, PERPETUAL, REFUSED, SPOT, Accounts, Markets
from abm.traders.base import HORIZONS_S, Batch, Participant, View, World

PERP, SPOT_MARKET = 0, 1
OUTSIDE = -1
"""Row number by which the stage's office calls the outside world."""
START = datetime(2025, 10, 10, tzinfo=UTC)
START_TICKS = 1_168_300
"""116,830 dollars in ticks of 0.1."""


def markets() -> Markets:
    """Two markets of one venue with ticks, lots and fees as at Binance, settled in micro-dollars and satoshi."""
    return Markets(
        names=["BTCUSDT-PERP", "BTCUSDT"],
        venue=np.zeros(2, np.int32),
        kind=np.array([PERPETUAL, SPOT], np.int32),
        slot=np.array([0, -1], np.int32),
        settle=np.zeros(2, np.int32),
        base=np.ones(2, np.int32),
        tick_value=np.array([100, 100]),
        lot_units=np.array([100_000, 100_000]),
        taker_fee=np.array([50_000, 100_000]),
        maker_fee=np.array([20_000, 100_000]),
        band=np.array([5_000_000, 5_000_000]),
        price_filter=np.array([5_000_000, 5_000_000]),
        tick_dollars=np.array([0.1, 0.1]),
        lot_coins=np.array([0.001, 0.001]),
        tier_floor=np.zeros((2, 1), np.int64),
        tier_maintenance=np.full((2, 1), 400_000),
        tier_amount=np.zeros((2, 1), np.int64),
        tier_leverage=np.full((2, 1), 150),
    )


class StageOffice:
    """Pays between rows of the stage and remembers what was paid and noted."""

    outside = OUTSIDE

    def __init__(self, accounts: Accounts) -> None:
        self.accounts = accounts
        self.paid: list[tuple[int, int, int, int, int]] = []
        self.notes: list[dict[str, int]] = []

    def pay(self, payer: int, receiver: int, asset: int, amount: int, reason: int) -> None:
        self.paid.append((payer, receiver, asset, amount, reason))
        for row, sign in ((payer, -1), (receiver, 1)):
            if row != OUTSIDE:
                self.accounts.cash[asset, row] += sign * amount

    def note(self, kind: int, **fields: int) -> None:
        self.notes.append({"kind": kind, **fields})


class Stage:
    """Participants on a stub world; `trade` executes messages, posts fills without fees and hands back handles."""

    def __init__(self, seed: int, *kinds: tuple[type[Participant], Any]) -> None:
        model = mesa.Model()
        self.people = [kind(model, parameters) for kind, parameters in kinds]
        rows = [person.rows_needed() for person in self.people]
        self.accounts = Accounts.empty(sum(rows), 2, 1)
        self.books = Books(2, START_TICKS - (1 << 19), 1 << 20)
        self.world = World(
            seed,
            markets(),
            self.accounts,
            self.books,
            PERP,
            SPOT_MARKET,
            0,
            1,
            np.array([START_TICKS] * 2),
            0.0,
            START,
        )
        at = 0
        for person, count in zip(self.people, rows, strict=True):
            person.rows = np.arange(at, at + count)
            at += count
            person.bind(self.world)
        self.office = StageOffice(self.accounts)
        self.seed, self.tick, self.ids = seed, 0, 0
        self.last = np.array([START_TICKS] * 2)

    def view(self, **changes: Any) -> View:
        """A calm view of the books, with `changes`."""
        best = np.array([[self.books.best(market, side) for market in range(2)] for side in (1, -1)])
        last = np.array([self.books.last(market) or START_TICKS for market in range(2)])
        facts: dict[str, Any] = {
            "seed": self.seed,
            "tick": self.tick,
            "round": 0,
            "seconds": float(self.tick),
            "tick_s": 1.0,
            "bid_ticks": best[0],
            "ask_ticks": best[1],
            "last_ticks": last,
            "mark_ticks": last,
            "index_ticks": last,
            "fair_ticks": last.astype(float),
            "returns": np.zeros((2, len(HORIZONS_S))),
            "high_600_ticks": last,
            "low_600_ticks": last,
            "ema50_ticks": last.astype(float),
            "flow_lots": np.zeros(2),
            "fund_distress": 0.0,
            "funding_bp": np.zeros(2),
            "macro": 0.0,
        }
        return View(**(facts | changes))

    def review(self, person: Participant, view: View) -> list[dict[str, int]]:
        """A participant's slow clock; returns the notes it made."""
        before = len(self.office.notes)
        person.review(view, self.office)
        return self.office.notes[before:]

    def ask(self, person: Participant, view: View) -> np.ndarray:
        """A participant's messages, copied."""
        batch = Batch()
        person.decide(view, batch)
        return batch.messages().copy()

    def trade(self, messages: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Execute; returns copies of fills, closes and handles."""
        new = messages["order"] == NOBODY
        messages["order"][new] = self.ids + np.arange(int(new.sum()))
        self.ids += int(new.sum())
        net = self.accounts.position[0].copy()
        outcome = self.books.match(messages, net, np.array([0, -1]))
        fills, closes = outcome.fills.astype(FILL), outcome.closes.astype(CLOSE)
        for fill in fills:
            side, lots, market = int(fill["side"]), int(fill["size_lots"]), int(fill["market"])
            value = int(fill["price_ticks"]) * lots * 100
            for row, sign in ((int(fill["taker"]), side), (int(fill["maker"]), -side)):
                if row == NOBODY:
                    continue
                if market == PERP:
                    # Average-cost details do not matter here: cash and cost move together.
                    self.accounts.position[0, row] += sign * lots
                    self.accounts.entry_cost[0, row] += sign * value
                else:
                    self.accounts.cash[0, row] -= sign * value
                    self.accounts.cash[1, row] += sign * lots * 100_000
        return fills, closes, outcome.handles.copy()

    def turn(self, person: Participant, view: View) -> np.ndarray:
        """Decide, execute, hand back handles; returns the messages as sent."""
        messages = self.ask(person, view)
        assert not (messages["op"] == REFUSED).any()
        person.after_trade(self.trade(messages.copy())[2], 0)
        return messages
