"""The backstop of one perpetual: the fund takes over what the book did not, and winners are deleveraged behind it.

The insurance fund is an account: it holds what it took over, its equity is marked, it unloads by a stated rule.
Auto-deleveraging fires when its marked equity, after a takeover or a new mark, would be below its floor: the incoming
position first, then the inventory at the average price at which it was taken over. What no winner can take stays with
the fund: bad debt.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from abm.clearing.adl import DeleveragingRule, Holders, SocialisedLoss, check_allocation, winners_at
from abm.clearing.liquidation import LiquidationEngine, Takeovers
from abm.events import BAD_DEBT, BY_LOSS_SHARING, BY_SEIZURE, DELEVERAGE, TAKEOVER, TRANSFER
from abm.state import FUND, I64, ISOLATED, NOBODY
from abm.units import RATE_ONE, mul_div_trunc

AT_BANKRUPTCY, AT_MARK, AT_PREVIOUS_MARK = range(3)
"""At what price winners are closed."""


@dataclass(frozen=True, slots=True)
class BackstopRules:
    """When the fund takes nothing more, and at what price winners are closed. Money in settlement units.

    `floor_units`: marked equity below which it takes nothing more. With `drawdown` (a share, 1e-8) the floor is instead
    what is left of the fund's peak of the last `window_ms` after losing that share. `mark_beyond` (rate): winners are
    closed at the mark where the bankruptcy price lies further from it than this; 0 = never.
    """

    floor_units: int = 0
    drawdown: int = 0
    window_ms: int = 8 * 3_600_000
    price: int = AT_BANKRUPTCY
    mark_beyond: int = 0


@dataclass(slots=True)
class BackstopTally:
    """What the backstop did since the last `take_tally`: notional at the mark in settlement units, and accounts."""

    long: int = 0  # taken out of liquidated longs without the book: taken over or deleveraged
    short: int = 0
    taken_over: int = 0
    deleveraged: int = 0
    deleveraged_accounts: int = 0


def _nobody() -> I64:
    return np.zeros(0, np.int64)


@dataclass(slots=True)
class Backstop:
    """The fund of one perpetual and the venue's rule for losses that it cannot carry.

    A rule that closes nobody leaves the position with the fund: holders are charged, or its equity goes below zero.
    """

    engine: LiquidationEngine
    rule: DeleveragingRule
    rules: BackstopRules = BackstopRules()
    tally: BackstopTally = field(default_factory=BackstopTally)
    deleveraged_rows: list[I64] = field(default_factory=list)  # winners whose orders are still to be cancelled
    previous_mark_ticks: int = 0
    _owing: I64 = field(default_factory=_nobody)
    """Rows that may owe: cash below zero when they were noted."""
    _topped_up_seq: int = -1
    _excluded: list[int] = field(default_factory=list)
    _peaks: deque[tuple[int, int]] = field(default_factory=deque)  # (time, equity) falling: candidates for the peak

    def value(self, lots: int, mark_ticks: int) -> int:
        """Signed value of signed lots, settlement units."""
        engine = self.engine
        return engine.floor.markets.value_of(engine.market, lots, mark_ticks)

    def equity(self, mark_ticks: int) -> int:
        """Marked equity of the fund in this settlement asset, over all perpetuals; settlement units."""
        engine = self.engine
        accounts, markets, row = engine.floor.accounts, engine.floor.markets, engine.fund_row
        total = int(accounts.cash[engine.settle, row]) + engine.cross.seized_value(row, engine.settle)
        for other in engine.cross.perpetuals.tolist():
            slot = int(markets.slot[other])
            held = int(accounts.position[slot, row])
            if markets.settle[other] == engine.settle and held:
                mark = mark_ticks if other == engine.market else int(engine.cross.marks[other])
                total += markets.value_of(other, held, mark) - int(accounts.entry_cost[slot, row])
        return total

    def floor_units(self) -> int:
        """Marked equity below which the fund takes nothing more."""
        if not self.rules.drawdown or not self._peaks:
            return self.rules.floor_units
        peak = self._peaks[0][1]
        return max(peak - peak * self.rules.drawdown // RATE_ONE, self.rules.floor_units)

    def note_time(self, now_ms: int, mark_ticks: int) -> None:
        """Remember the fund's equity for the drawdown; once a round, before anything is taken over."""
        if not self.rules.drawdown:
            return
        equity = self.equity(mark_ticks)
        while self._peaks and self._peaks[-1][1] <= equity:
            self._peaks.pop()
        self._peaks.append((now_ms, equity))
        while self._peaks[0][0] < now_ms - self.rules.window_ms:
            self._peaks.popleft()

    def note(self, rows: I64) -> None:
        """Rows (n,) whose balances changed. Call with all of them once, then with those that were touched."""
        accounts, engine = self.engine.floor.accounts, self.engine
        owing = rows[accounts.cash[engine.settle, rows] < 0]
        if owing.size:
            here = accounts.venue[owing] == engine.floor.markets.venue[engine.market]
            self._owing = np.union1d(self._owing, owing[here & (accounts.kind[owing] < FUND)])

    def absorb(self, takeovers: Takeovers, mark_ticks: int) -> None:
        """Take over what the engine hands over, in the order of rows; deleverage where the floor would be broken.

        Works at `mark_ticks`, the mark of the round. What the rule allocates is checked: raises `AllocationError`.
        """
        markets, market = self.engine.floor.markets, self.engine.market
        self._excluded = takeovers.rows.tolist()
        # what each takeover adds to the fund's marked equity: the account's own equity, mostly negative
        gains = takeovers.value - markets.value(market, takeovers.lots, mark_ticks)
        floor = self.floor_units()
        path = self.equity(mark_ticks) + np.cumsum(gains)
        if self.rule.moves != "positions" or bool(np.all(path >= floor)):
            self._take(takeovers, mark_ticks)
        else:
            for i in range(takeovers.rows.size):
                columns = (takeovers.rows, takeovers.lots, takeovers.value, takeovers.cause)
                one = Takeovers(*(column[i : i + 1] for column in columns))
                if self.equity(mark_ticks) + int(gains[i]) < floor:
                    one = self._deleverage(one, mark_ticks)
                self._take(one, mark_ticks)
        self.watch(mark_ticks, excluded=self._excluded)

    def watch(self, mark_ticks: int, excluded: list[int] | None = None) -> None:
        """On a new mark: deleverage the inventory, or share the loss, if the fund has fallen below its floor."""
        self._excluded = excluded or []
        self._deleverage_inventory(mark_ticks)
        self._share_loss(mark_ticks)
        self._top_up()
        self._topped_up_seq = self.engine.floor.log.next_seq
        self.previous_mark_ticks = mark_ticks

    def take_tally(self) -> BackstopTally:
        """What was done since the last call."""
        tally, self.tally = self.tally, BackstopTally()
        return tally

    def _take(self, takeovers: Takeovers, mark_ticks: int) -> None:
        engine = self.engine
        lots = takeovers.lots
        worth = np.abs(engine.floor.markets.value(engine.market, lots, mark_ticks))
        self.tally.long += int(worth[lots < 0].sum())
        self.tally.short += int(worth[lots > 0].sum())
        self.tally.taken_over += int(worth.sum())
        fund = np.full(takeovers.rows.size, engine.fund_row, np.int64)
        engine.floor.pass_positions(
            TAKEOVER, engine.market, takeovers.rows, fund, lots, takeovers.value, takeovers.cause
        )
        self.pay_out(takeovers.rows)

    def pay_out(self, rows: I64) -> None:
        """An isolated account of `rows` (n,) without a position gets what is left of its margin; the fund pays debts.

        After a takeover exactly nothing is left; after deleveraging at another price than bankruptcy something may be.
        """
        engine = self.engine
        accounts = engine.floor.accounts
        flat = rows[(accounts.position[engine.slot, rows] == 0) & (accounts.mode[rows] == ISOLATED)]
        owing = flat[accounts.margin[engine.slot, flat] < 0]
        self._pay_debts(owing, -accounts.margin[engine.slot, owing])
        accounts.margin[engine.slot, owing] = 0
        accounts.cash[engine.settle, flat] += accounts.margin[engine.slot, flat]
        accounts.margin[engine.slot, flat] = 0

    def _pay_debts(self, rows: I64, owed: I64) -> None:
        """The fund pays what rows (n,) owe; the caller books it to them."""
        engine = self.engine
        if rows.size == 0:
            return
        engine.floor.accounts.cash[engine.settle, engine.fund_row] -= int(owed.sum())
        engine.floor.accounts.touched[rows] = True
        engine.floor.accounts.touched[engine.fund_row] = True
        engine.floor.log.add(
            BAD_DEBT, rows.size, market=engine.market, asset=engine.settle, account=engine.fund_row,
            counterparty=rows, amount=owed,
        )  # fmt: skip

    def _top_up(self) -> None:
        """The fund pays what accounts owe that closed beyond bankruptcy without being forced.

        By an order of their own, or as a winner deleveraged at a price worse than the mark. Accounts with a position in
        this asset, or coins, can still settle themselves.
        """
        engine = self.engine
        if self._topped_up_seq == engine.floor.log.next_seq:
            return  # nothing was posted since
        accounts, settle = engine.floor.accounts, engine.settle
        cash = accounts.cash[settle]
        self.note(np.flatnonzero(accounts.touched))
        self._owing = self._owing[cash[self._owing] < 0]
        if self._owing.size == 0:
            return
        rows = self._owing[~accounts.position[np.ix_(engine.cross.slots(settle), self._owing)].any(axis=0)]
        for row, asset, units, paid in engine.cross.seize(rows, settle, engine.fund_row):
            parties = ((row, engine.fund_row, asset, units), (engine.fund_row, row, settle, paid))
            for payer, receiver, what, amount in parties:
                engine.floor.log.add(
                    TRANSFER, asset=what, account=payer, counterparty=receiver, amount=amount, reason=BY_SEIZURE
                )
        coins = np.delete(accounts.cash[:, rows], settle, axis=0)
        rows = rows[(cash[rows] < 0) & ~(coins > 0).any(axis=0)]
        owed = -cash[rows]
        cash[rows] = 0
        self._pay_debts(rows, owed)

    def _share_loss(self, mark_ticks: int) -> None:
        """Every holder of a position pays a part of what the fund lacks to its floor, as far as equity goes."""
        engine = self.engine
        if not isinstance(self.rule, SocialisedLoss):
            return
        missing = self.floor_units() - self.equity(mark_ticks)
        if missing <= 0:
            return
        accounts, markets = engine.floor.accounts, engine.floor.markets
        held = accounts.position[engine.slot]
        rows = np.flatnonzero((held != 0) & (accounts.kind < FUND) & (accounts.venue == markets.venue[engine.market]))
        profit = markets.value(engine.market, held[rows], mark_ticks) - accounts.entry_cost[engine.slot, rows]
        equity = engine.wealth(rows) + profit
        paid = self.rule.charges(missing, Holders(rows, np.abs(held[rows]), equity))
        rows, paid = rows[paid > 0], paid[paid > 0]
        isolated = accounts.mode[rows] == ISOLATED
        accounts.margin[engine.slot, rows[isolated]] -= paid[isolated]
        accounts.cash[engine.settle, rows[~isolated]] -= paid[~isolated]
        accounts.cash[engine.settle, engine.fund_row] += int(paid.sum())
        accounts.touched[rows] = True
        engine.floor.log.add(
            TRANSFER, rows.size, market=engine.market, asset=engine.settle, account=rows, counterparty=engine.fund_row,
            amount=paid, reason=BY_LOSS_SHARING,
        )  # fmt: skip

    def _deleverage_inventory(self, mark_ticks: int) -> None:
        """On a mark that drags the fund below its floor, as much of its inventory as restores it goes to winners.

        At the average price at which it was taken over; by a rule that closes at the mark, which restores nothing, all.
        """
        engine = self.engine
        accounts, fund = engine.floor.accounts, engine.fund_row
        held, cost = int(accounts.position[engine.slot, fund]), int(accounts.entry_cost[engine.slot, fund])
        if held == 0 or self.rule.moves != "positions":
            return
        loss, missing = cost - self.value(held, mark_ticks), self.floor_units() - self.equity(mark_ticks)
        if loss <= 0 or missing <= 0:
            return
        size = abs(held)
        if self.rules.price == AT_BANKRUPTCY:
            size = min(-(-size * missing // loss), size)
        value = -mul_div_trunc(cost, size, abs(held))
        passed = (fund, -size if held > 0 else size, value, NOBODY)
        self._deleverage(Takeovers(*(np.array([x], np.int64) for x in passed)), mark_ticks)

    def _deleverage(self, one: Takeovers, mark_ticks: int) -> Takeovers:
        """Pass one position to winners on the other side at an exact value; returns what none of them could take."""
        engine, rule = self.engine, self.rule
        row, lots = int(one.rows[0]), int(one.lots[0])
        value = self._closing_value(lots, int(one.value[0]), mark_ticks)
        floor = engine.floor
        side = 1 if lots > 0 else -1
        # the account is a seller where `side` is -1: then those on the other side hold shorts
        winners = winners_at(
            floor.markets, floor.accounts, engine.market, side, mark_ticks, self._excluded, engine.account_equity()
        )
        taken = rule.allocate(abs(lots), winners)
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
        notional = abs(self.value(total, mark_ticks))
        self.tally.deleveraged += notional
        if row != engine.fund_row and side < 0:
            self.tally.long += notional
        elif row != engine.fund_row:
            self.tally.short += notional
        self.tally.deleveraged_accounts += n
        self.deleveraged_rows.append(rows)
        rest_lots = side * (abs(lots) - total)
        if rest_lots == 0:
            self.pay_out(one.rows[one.rows != engine.fund_row])
        if rest_lots == 0:
            return Takeovers(one.rows[:0], one.lots[:0], one.value[:0], one.cause[:0])
        if row != engine.fund_row:  # what is left goes to the fund at the value that leaves the account with nothing
            kept = int(engine.wealth(one.rows)[0]) - int(floor.accounts.entry_cost[engine.slot, row])
        else:
            kept = value - edges[-1]
        return Takeovers(one.rows, np.array([rest_lots], np.int64), np.array([kept], np.int64), one.cause)

    def _closing_value(self, lots: int, bankrupt_value: int, mark_ticks: int) -> int:
        """Signed value at which winners are closed: bankruptcy, mark or the mark before, by the venue's rule."""
        at_mark = self.value(lots, mark_ticks)
        if self.rules.price == AT_MARK:
            return at_mark
        if self.rules.price == AT_PREVIOUS_MARK:
            return self.value(lots, self.previous_mark_ticks or mark_ticks)
        if self.rules.mark_beyond and abs(bankrupt_value - at_mark) * RATE_ONE > abs(at_mark) * self.rules.mark_beyond:
            return at_mark
        return bankrupt_value
