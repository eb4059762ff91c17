"""The backstop of one perpetual: the fund takes over what the book did not, and winners are deleveraged behind it.

The insurance fund is an account: it holds what it took over, its equity is marked, it unloads by a stated rule.
Auto-deleveraging fires when its marked equity, after a takeover or a new mark, would be below its floor: the incoming
position first, then the inventory at the average price at which it was taken over. What no winner can take stays with
the fund: bad debt.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from abm.clearing.adl import DeleveragingRule, check_allocation, winners_at
from abm.clearing.liquidation import LiquidationEngine, Takeovers
from abm.events import BAD_DEBT, DELEVERAGE, TAKEOVER
from abm.state import FUND, I64, NOBODY


@dataclass(slots=True)
class BackstopTally:
    """What the backstop did since the last `take_tally`: notional at the mark in settlement units, and accounts."""

    long: int = 0  # taken out of liquidated longs without the book: taken over or deleveraged
    short: int = 0
    taken_over: int = 0
    deleveraged: int = 0
    deleveraged_accounts: int = 0


@dataclass(slots=True)
class Backstop:
    """The fund of one perpetual. `floor_units`: marked equity below which it takes nothing more."""

    engine: LiquidationEngine
    rule: DeleveragingRule
    floor_units: int
    tally: BackstopTally = field(default_factory=BackstopTally)
    deleveraged_rows: list[I64] = field(default_factory=list)  # winners whose orders are still to be cancelled
    _excluded: list[int] = field(default_factory=list)

    def equity(self, mark_ticks: int) -> int:
        """Marked equity of the fund in settlement units."""
        engine = self.engine
        accounts, row = engine.floor.accounts, engine.fund_row
        value = int(accounts.position[engine.slot, row]) * mark_ticks * engine.tick_value
        return int(accounts.cash[engine.settle, row]) + value - int(accounts.entry_cost[engine.slot, row])

    def absorb(self, takeovers: Takeovers, mark_ticks: int) -> None:
        """Take over what the engine hands over, in the order of rows; deleverage where the floor would be broken.

        Works at `mark_ticks`, the mark of the round. What the rule allocates is checked: raises `AllocationError`.
        """
        per_lot = mark_ticks * self.engine.tick_value
        self._excluded = takeovers.rows.tolist()
        # what each takeover adds to the fund's marked equity: the account's own equity, mostly negative
        gains = takeovers.value - takeovers.lots * per_lot
        path = self.equity(mark_ticks) + np.cumsum(gains)
        safe = bool(np.all(path >= self.floor_units))
        if safe:
            self._take(takeovers, per_lot)
        else:
            for i in range(takeovers.rows.size):
                columns = (takeovers.rows, takeovers.lots, takeovers.value, takeovers.cause)
                one = Takeovers(*(column[i : i + 1] for column in columns))
                if self.equity(mark_ticks) + int(gains[i]) < self.floor_units:
                    one = self._deleverage(one, mark_ticks)
                self._take(one, per_lot)
        self._deleverage_inventory(mark_ticks)
        self._top_up()

    def watch(self, mark_ticks: int) -> None:
        """On a new mark without takeovers: deleverage the inventory if the fund has fallen below its floor."""
        self._excluded = []
        self._deleverage_inventory(mark_ticks)
        self._top_up()

    def take_tally(self) -> BackstopTally:
        """What was done since the last call."""
        tally, self.tally = self.tally, BackstopTally()
        return tally

    def _take(self, takeovers: Takeovers, per_lot: int) -> None:
        engine = self.engine
        lots = takeovers.lots
        self.tally.long += int(-lots[lots < 0].sum()) * per_lot
        self.tally.short += int(lots[lots > 0].sum()) * per_lot
        self.tally.taken_over += int(np.abs(lots).sum()) * per_lot
        fund = np.full(takeovers.rows.size, engine.fund_row, np.int64)
        engine.floor.pass_positions(
            TAKEOVER, engine.market, takeovers.rows, fund, lots, takeovers.value, takeovers.cause
        )
        self._pay_out(takeovers.rows)

    def _pay_out(self, rows: I64) -> None:
        """An isolated account whose position is gone gets its margin, here exactly zero, back into cash."""
        engine = self.engine
        accounts = engine.floor.accounts
        flat = rows[accounts.position[engine.slot, rows] == 0]
        accounts.cash[engine.settle, flat] += accounts.margin[engine.slot, flat]
        accounts.margin[engine.slot, flat] = 0

    def _top_up(self) -> None:
        """The fund pays what accounts owe that closed beyond bankruptcy without being forced.

        By an order of their own, or as a winner deleveraged at a price worse than the mark. Accounts with a position or
        coins can still settle themselves.
        """
        engine = self.engine
        accounts, markets, settle = engine.floor.accounts, engine.floor.markets, engine.settle
        cash = accounts.cash[settle]
        rows = np.flatnonzero(cash < 0)
        rows = rows[(accounts.kind[rows] < FUND) & (accounts.venue[rows] == markets.venue[engine.market])]
        coins = np.delete(accounts.cash[:, rows], settle, axis=0)
        rows = rows[~(accounts.position[:, rows].any(axis=0) | (coins > 0).any(axis=0))]
        if rows.size == 0:
            return
        owed = -cash[rows]
        cash[rows] = 0
        cash[engine.fund_row] -= owed.sum()
        accounts.touched[rows] = True
        accounts.touched[engine.fund_row] = True
        engine.floor.log.add(
            BAD_DEBT, rows.size, market=engine.market, asset=settle, account=engine.fund_row, counterparty=rows,
            amount=owed,
        )  # fmt: skip

    def _deleverage_inventory(self, mark_ticks: int) -> None:
        """On a mark that drags the fund below its floor, its inventory goes to winners at its average entry price."""
        engine = self.engine
        accounts, fund = engine.floor.accounts, engine.fund_row
        held = int(accounts.position[engine.slot, fund])
        cost = int(accounts.entry_cost[engine.slot, fund])
        losing = held * mark_ticks * engine.tick_value < cost
        if held == 0 or not losing or self.equity(mark_ticks) >= self.floor_units:
            return
        row, lots, value, cause = (np.array([x], np.int64) for x in (fund, -held, -cost, NOBODY))
        self._deleverage(Takeovers(row, lots, value, cause), mark_ticks)

    def _deleverage(self, one: Takeovers, mark_ticks: int) -> Takeovers:
        """Pass one position to winners on the other side at its exact value; returns what none of them could take."""
        engine = self.engine
        row, lots, value = int(one.rows[0]), int(one.lots[0]), int(one.value[0])
        floor = engine.floor
        side = 1 if lots > 0 else -1
        # the account is a seller where `side` is -1: then those on the other side hold shorts
        winners = winners_at(floor.markets, floor.accounts, engine.market, side, mark_ticks, self._excluded)
        taken = self.rule.allocate(abs(lots), winners)
        check_allocation(abs(lots), winners, taken)
        chosen = np.flatnonzero(taken)
        if chosen.size == 0:
            return one
        rows, sizes = winners.rows[chosen], taken[chosen]
        # cumulative rounding: the parts add up to the exact whole
        edges = [value * int(done) // abs(lots) for done in np.concatenate([[0], np.cumsum(sizes)])]
        bounds = np.array(edges, np.int64)
        parts = bounds[1:] - bounds[:-1]
        n = chosen.size
        engine.floor.pass_positions(
            DELEVERAGE, engine.market, np.full(n, row), rows, side * sizes, parts, np.full(n, one.cause[0])
        )
        total = int(sizes.sum())
        notional = total * mark_ticks * engine.tick_value
        self.tally.deleveraged += notional
        if row != engine.fund_row and side < 0:
            self.tally.long += notional
        elif row != engine.fund_row:
            self.tally.short += notional
        self.tally.deleveraged_accounts += n
        self.deleveraged_rows.append(rows)
        rest_lots = side * (abs(lots) - total)
        if rest_lots == 0:
            self._pay_out(one.rows[one.rows != engine.fund_row])
        rest = np.array([rest_lots], np.int64), np.array([value - edges[-1]], np.int64)
        keep = slice(0, 0) if rest_lots == 0 else slice(0, 1)
        return Takeovers(one.rows[keep], rest[0][keep], rest[1][keep], one.cause[keep])
