"""One company at work: it reviews its balance sheet on a slow clock, and sells or buys coins over time in spot.

At a review, in this order: the share (mNAV, shares out of lock-up); notes that are due, by put or maturity; dividends;
the covenant; shares issued or bought back. A breach is answered by posting more of the free coins; when none are left
it stands for the cure period, then coins are sold until LTV is back at the target. Cash goes to the secured lender
first, then to what else is due. What is paid leaves the venue: lenders and shareholders are the outside world.
"""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np

from abm.events import BY_BUYBACK, BY_COVENANT, BY_INCOME, BY_ISSUANCE, BY_REDEMPTION, COVENANT
from abm.rng import normal, stream
from abm.state import BUY, IOC, SELL, TREASURY
from abm.traders.base import Batch, Office, View, World
from abm.traders.treasury_sheet import TreasuryParameters, coins_to_sell, next_log_mnav, share_price
from abm.units import MICRO

_LUCK = stream("treasury share")
DAY_S = 86_400.0
SUPERFLUOUS_USD = 1.0
"""Debts below a dollar are not worth a sale."""


class Firm:
    """A company with one account row: coins and cash on the spot market.

    `number` keys its luck. Counters run from the opening: `issued_usd`, `bought_back_usd`, `dividends_usd`, `calls`
    (times that coins were posted), `breaches`.
    """

    def __init__(self, parameters: TreasuryParameters, number: int) -> None:
        self.parameters, self.number = parameters, number
        self.rows = np.zeros(0, np.int64)

    def open(self, world: World, row: int) -> None:
        """Deposit coins and cash on this row."""
        p, self.world, self._row = self.parameters, world, row
        self.rows = np.array([row])
        world.accounts.kind[row] = TREASURY
        self._unit = int(world.markets.lot_units[world.spot])
        self._lot_coins = float(world.markets.lot_coins[world.spot])
        lots = int(p.coins / self._lot_coins)
        world.deposit(self.rows, world.btc, np.array([lots * self._unit]))
        world.deposit(self.rows, world.usdt, np.array([round(p.cash_usd * MICRO)]))
        self.repaid_micro = self._due_micro = 0
        self.to_sell_lots = self.to_buy_lots = self.calls = self.breaches = 0
        self._from_lots = lots
        self._tied_lots = round((p.coins - p.free_coins) / self._lot_coins)
        self._pledged_lots = -1 if p.pledged_coins is None else round(p.pledged_coins / self._lot_coins)
        self._breach_s = -1.0
        self._next_review_s = self._reviewed_s = self._divided_s = 0.0
        self.shares, self.log_mnav = p.shares, math.log(p.mnav)
        self._notes = list(p.converts)
        self._released = 0.0
        self._price = 0.0
        self._buy_micro = self._cash_before = 0
        self.issued_usd = self.bought_back_usd = self.dividends_usd = 0.0

    # --- what it has and owes -----------------------------------------------------------------------------------------
    @property
    def debt_usd(self) -> float:
        """What is left of the loan."""
        return self.parameters.debt_usd - self.repaid_micro / MICRO

    @property
    def claims_usd(self) -> float:
        """Loan, notes not yet due, other debt, preferred shares, and what is due and not yet paid."""
        p, notes = self.parameters, sum(note.principal_usd for note in self._notes)
        return self.debt_usd + notes + p.unsecured_usd + p.preferred_usd + self._due_micro / MICRO

    @property
    def coins_lots(self) -> int:
        """Coins held, in lots of the spot market."""
        return int(self.world.accounts.cash[self.world.btc, self._row]) // self._unit

    @property
    def coins(self) -> float:
        """Coins held."""
        return self.coins_lots * self._lot_coins

    @property
    def free_lots(self) -> int:
        """Lots that can be pledged for the loan, or sold."""
        return max(0, self.coins_lots - self._tied_lots)

    @property
    def cash_usd(self) -> float:
        """Cash."""
        return int(self.world.accounts.cash[self.world.usdt, self._row]) / MICRO

    @property
    def mnav(self) -> float:
        """Enterprise value over the value of the coins."""
        return math.exp(self.log_mnav)

    def share_usd(self, price_usd: float) -> float:
        """Price of its share when the coin stands at `price_usd`; nan where the share is not modelled."""
        if self.shares <= 0.0:
            return math.nan
        return share_price(self.mnav, self.coins, price_usd, self.claims_usd, self.cash_usd, self.shares)

    def loan_to_value(self, price_usd: float) -> float:
        """Loan over the coins pledged (all free ones where none are named); nan without debt, inf without coins."""
        if self.debt_usd <= 0.0:
            return math.nan
        lots = self.free_lots if self._pledged_lots < 0 else min(self._pledged_lots, self.free_lots)
        value = lots * self._lot_coins * price_usd
        return self.debt_usd / value if value > 0.0 else math.inf

    # --- the slow clock -----------------------------------------------------------------------------------------------
    def review(self, view: View, office: Office) -> None:
        """Everything that falls due. A breach that must be sold for is a COVENANT event; size 0: the cure period runs.

        The event has the price, the lots to sell and loan to value in millionths.
        """
        p = self.parameters
        if view.seconds < self._next_review_s or not p.owes:
            return
        self._next_review_s = view.seconds + p.review_s
        ticks = int(view.last_ticks[self.world.spot])
        price = ticks * float(self.world.markets.tick_dollars[self.world.spot])
        if self._buy_micro > 0:  # what was spent on coins since the last review
            self._buy_micro = max(0, self._buy_micro - max(0, self._cash_before - self._cash_micro()))
        self._move_share(view, price)
        self._fall_due(view, office, price)
        self._covenant(view, office, price, ticks)
        self._pay_due(office, price)
        self._shares_for_coins(view, office, price)
        self._reviewed_s, self._price = view.seconds, price
        self._from_lots, self._cash_before = self.coins_lots, self._cash_micro()

    def _cash_micro(self) -> int:
        return max(0, int(self.world.accounts.cash[self.world.usdt, self._row]))

    def _pay(self, office: Office, micro: int, reason: int) -> None:
        if micro > 0:
            office.pay(self._row, office.outside, self.world.usdt, micro, reason)

    def _move_share(self, view: View, price: float) -> None:
        p = self.parameters
        if self.shares <= 0.0 or self._price <= 0.0:
            return
        released = sum(one.released(self.world.start, view.seconds) * one.pressure for one in p.placements)
        pull = p.mnav_beta * math.log(price / self._price) - (released - self._released) / self.shares
        self._released = released
        draw = normal(view.seed, _LUCK, self.number, view.tick, 0) if p.mnav_noise > 0.0 else 0.0
        days = (view.seconds - self._reviewed_s) / DAY_S
        self.log_mnav = next_log_mnav(
            self.log_mnav, math.log(p.mnav_mean), p.mnav_speed, days, pull, p.mnav_noise, draw
        )

    def _fall_due(self, view: View, office: Office, price: float) -> None:
        """Notes that may be put or have matured: cash below the conversion price, shares above. Dividends, in cash."""
        p = self.parameters
        now = self.world.start + timedelta(seconds=view.seconds)
        for note in [note for note in self._notes if note.due_on <= now]:
            into_shares = self.share_usd(price) >= note.conversion_usd
            self._notes.remove(note)
            if into_shares:
                self.shares += note.principal_usd / note.conversion_usd
            else:
                self._due_micro += round(note.principal_usd * MICRO)
            self._tied_lots = max(0, self._tied_lots - round(note.pledged_coins / self._lot_coins))
        period_s = p.dividend_days * DAY_S
        while p.dividend_usd > 0.0 and view.seconds - self._divided_s >= period_s:
            self._divided_s += period_s
            amount = p.dividend_usd * p.dividend_days / 365.25
            self.dividends_usd += amount
            paid = min(self._cash_micro(), round(amount * MICRO))
            self._pay(office, paid, BY_INCOME)
            self._due_micro += round(amount * MICRO) - paid

    def _covenant(self, view: View, office: Office, price: float, ticks: int) -> None:
        p = self.parameters
        selling = self.to_sell_lots > 0 and self._breach_s >= 0.0
        paid = 0
        if p.debt_usd > 0.0 and (self._strained(price) or selling):
            paid = min(self._cash_micro(), max(0, round(self.debt_usd * MICRO)))
            self.repaid_micro += paid
        self.to_sell_lots = 0
        threshold = min(p.ltv_target, p.ltv_limit) if selling else p.ltv_limit
        ratio = self.loan_to_value(price)
        if math.isnan(ratio) or ratio <= threshold or self.debt_usd < SUPERFLUOUS_USD:
            self._breach_s = -1.0
        else:
            self._answer_breach(view, office, price, ticks, ratio, started=selling)
        if paid:
            self._pay(office, paid, BY_COVENANT)

    def _strained(self, price: float) -> bool:
        """Whether the loan would be in breach with every free coin pledged; before that, coins are posted, not cash."""
        ratio = self.loan_to_value(price)
        if math.isnan(ratio) or ratio <= self.parameters.ltv_limit:
            return False
        if self._pledged_lots < 0:
            return True
        return self.debt_usd > self.parameters.ltv_limit * self.free_lots * self._lot_coins * price

    def _answer_breach(
        self, view: View, office: Office, price: float, ticks: int, ratio: float, *, started: bool
    ) -> None:
        """Post coins if there are any; else wait for the cure period, then sell."""
        p = self.parameters
        target = min(p.ltv_target, p.ltv_limit)
        if self._pledged_lots >= 0 and not started:
            wanted = math.ceil(self.debt_usd / (target * price * self._lot_coins))
            if self._pledged_lots < self.free_lots:
                self.calls += 1
            self._pledged_lots = min(self.free_lots, max(self._pledged_lots, wanted))
            ratio = self.loan_to_value(price)
            if ratio <= p.ltv_limit:
                self._breach_s = -1.0
                return
        if self._breach_s < 0.0:
            self._breach_s = view.seconds
            self.breaches += 1
        elif not started and view.seconds - self._breach_s < p.cure_s:
            return
        if view.seconds - self._breach_s >= p.cure_s:
            coins = coins_to_sell(self.debt_usd, self.free_lots * self._lot_coins, price, target)
            self.to_sell_lots = min(self.free_lots, math.ceil(coins / self._lot_coins))
        office.note(
            COVENANT,
            side=SELL,
            market=self.world.spot,
            account=self._row,
            price_ticks=ticks,
            size_lots=self.to_sell_lots,
            amount=round(min(ratio, 1e6) * 1_000_000),
        )

    def _pay_due(self, office: Office, price: float) -> None:
        """Pay what is due from cash; sell coins for the rest (never below what the loan needs: the lender is first)."""
        if self._due_micro <= 0:
            return
        if self._breach_s < 0.0:
            paid = min(self._cash_micro(), self._due_micro)
            self._due_micro -= paid
            self._pay(office, paid, BY_REDEMPTION)
        lots = math.ceil(self._due_micro / MICRO / (price * self._lot_coins))
        self.to_sell_lots = min(self.free_lots, self.to_sell_lots + lots)

    def _shares_for_coins(self, view: View, office: Office, price: float) -> None:
        """Issue shares above the coins' value and buy coins; below it buy shares back, with cash or with coins."""
        p = self.parameters
        days = (view.seconds - self._reviewed_s) / DAY_S
        worth = self.share_usd(price) if self.shares > 0.0 else 0.0
        if worth <= 0.0 or days <= 0.0 or self.to_sell_lots > 0:
            self.to_buy_lots = 0
            return
        if p.atm_share > 0.0 and self.mnav > 1.0:
            raised = round(p.atm_share * days * self.shares * worth * MICRO)
            office.pay(office.outside, self._row, self.world.usdt, raised, BY_ISSUANCE)
            self.shares *= 1.0 + p.atm_share * days
            self.issued_usd += raised / MICRO
            self._buy_micro += raised
        elif p.buyback_share > 0.0 and self.mnav < 1.0:
            wanted = round(p.buyback_share * days * self.shares * worth * MICRO)
            spent = min(self._cash_micro(), wanted)
            self._pay(office, spent, BY_BUYBACK)
            self.shares -= spent / MICRO / worth
            self.bought_back_usd += spent / MICRO
            if p.buyback_sells:  # the rest at the next review, out of what the coins bring
                self.to_sell_lots = min(self.free_lots, round((wanted - spent) / MICRO / (price * self._lot_coins)))
        self.to_buy_lots = int(min(self._buy_micro, self._cash_micro()) / MICRO / (price * self._lot_coins))

    # --- orders -------------------------------------------------------------------------------------------------------
    def order(self, view: View, batch: Batch, latency: int) -> None:
        """A slice of what is to be sold or bought."""
        side, wanted = (SELL, self.to_sell_lots) if self.to_sell_lots > 0 else (BUY, self.to_buy_lots)
        left = wanted - side * (self.coins_lots - self._from_lots)
        last = int(view.last_ticks[self.world.spot])
        if wanted == 0 or left <= 0 or last <= 0:
            return
        p, spot = self.parameters, self.world.spot
        # The flow seen is net, so it is a lower bound of the volume.
        rate = max(p.least_rate_coins, p.participation * abs(float(view.flow_lots[spot])) * self._lot_coins / 60.0)
        size = min(left, max(1, round(rate * view.tick_s / self._lot_coins)))
        order = batch.add(1)
        order["market"], order["account"], order["op"], order["side"] = spot, self._row, IOC, side
        order["price_ticks"], order["size_lots"] = max(1, int(last * (1.0 + side * p.slip))), size
        order["reason"], order["latency"] = (BY_COVENANT if side == SELL else BY_ISSUANCE), latency
