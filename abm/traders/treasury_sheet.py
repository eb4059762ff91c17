"""Balance sheet of a company that holds coins: what it owes, when something must be paid, what its share is worth.

H coins at price P, secured loan D, notes and preferred shares F, cash C, N shares at S.

Loan with a covenant LTV = D / (A P) <= l on the coins A that can be pledged: touched at P* = D / (l A); equity in the
loan is gone at D / A. To come back to a target t by selling x coins at P and repaying (no impact):

    (D - x P) / ((A - x) P) = t    =>    x = (D - t A P) / (P (1 - t))

Convertible notes are unsecured here, or secured without a price trigger: they never trip on a price. On the day on
which the holders may put them (or at maturity) they are paid in cash if S < K, their conversion price, else they become
principal / K shares.

mNAV is enterprise value over coins, as the companies report it: m = (N S + D + F - C) / (H P), so that
S = max(0, (m H P - D - F + C) / N). Its logarithm follows, over a time dt with log return r of the coin,

    ln m <- mean + (ln m - mean) exp(-k dt) + b r + s sqrt((1 - exp(-2 k dt)) / 2k) e - q z

e standard normal and keyed, z the share of all shares that leaves a lock-up (PIPE) in dt, q the pressure of such sales.
Fast falls leave k and s no time: m(P) = m0 (P / P0)^b.

Issuing d N shares at S and buying coins multiplies coins per share by (1 + e d) / (1 + d), where e = N S / (H P) is
market value over coins (m itself without debt): above 1 only if e > 1. Buying back is d < 0.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Self

from pydantic import Field, model_validator

from abm.parameters import Parameters, quantity


def covenant_price(debt: float, coins: float, limit: float) -> float:
    """Price at which LTV reaches the limit: D / (l H); dollars. `coins` and `limit` must be positive."""
    return debt / (limit * coins)


def zero_equity_price(debt: float, coins: float) -> float:
    """Price at which the coins are worth the debt: D / H; dollars."""
    return debt / coins


def coins_to_sell(debt: float, coins: float, price: float, target: float) -> float:
    """Coins whose sale at `price`, proceeds repaid, brings LTV to `target`: (D - t H P) / (P (1 - t)), in [0, H].

    Money in dollars, 0 <= target < 1, else raises ValueError.
    """
    if not 0.0 <= target < 1.0:
        raise ValueError(f"target {target} must lie in [0, 1)")
    return min(coins, max(0.0, (debt - target * coins * price) / (price * (1.0 - target))))


def coins_per_share_factor(premium: float, dilution: float) -> float:
    """Growth of coins per share when `dilution` new shares a share are sold at `premium` = market value / coins."""
    return (1.0 + premium * dilution) / (1.0 + dilution)


def share_price(mnav: float, coins: float, price: float, claims: float, cash: float, shares: float) -> float:
    """S = max(0, (m H P - claims + C) / N); dollars. `claims` are loan, notes and preferred shares together."""
    return max(0.0, (mnav * coins * price - claims + cash) / shares)


def price_for_share(sought: float, sheet: TreasuryParameters, price: float) -> float:
    """Price of the coin at which the share is worth `sought`, when mNAV is m0 (P / P0)^b and P0 = `price`; dollars.

    m0 H P (P / P0)^b = N S + claims - C, so P = P0 (that / (m0 H P0))^(1 / (1 + b)).
    """
    worth = max(0.0, sheet.shares * sought + sheet.claims_usd - sheet.cash_usd)
    return float(price * (worth / (sheet.mnav * sheet.coins * price)) ** (1.0 / (1.0 + sheet.mnav_beta)))


def next_log_mnav(
    log_mnav: float, mean: float, speed: float, days: float, pull: float, noise: float, draw: float
) -> float:
    """One step of ln m; `speed` 1/day, `noise` per square root of a day, `pull` = b r - q z, `draw` standard normal."""
    kept = math.exp(-speed * days)
    spread = math.sqrt((1.0 - kept * kept) / (2.0 * speed)) if speed > 0.0 else math.sqrt(days)
    return mean + (log_mnav - mean) * kept + pull + noise * spread * draw


class Convertible(Parameters):
    """Convertible notes: no covenant on the price of the coin."""

    name: str = Field(default="", description="for example its year")
    principal_usd: float = quantity(..., unit="$", source="see the entry", gt=0.0)
    conversion_usd: float = quantity(..., unit="$", source="see the entry", gt=0.0, text="conversion price of a share")
    put_on: datetime | None = Field(default=None, description="first day on which holders may ask for cash")
    matures_on: datetime = Field(..., description="last day; holders get cash or shares")
    pledged_coins: float = quantity(
        0.0, unit="BTC", source="see the entry", ge=0.0, text="coins that secure it, without a price trigger"
    )

    @property
    def due_on(self) -> datetime:
        """First day on which cash can be asked for."""
        return self.matures_on if self.put_on is None else min(self.put_on, self.matures_on)


class Placement(Parameters):
    """Shares sold privately (PIPE) that may not be traded before the lock-up ends; counted in `shares` already."""

    shares: float = quantity(..., unit="shares", source="see the entry", gt=0.0)
    unlock_on: datetime = Field(..., description="end of the lock-up")
    sold_share: float = quantity(1.0, unit="-", source="assumed", gt=0.0, le=1.0, text="part that comes to the market")
    over_days: float = quantity(5.0, unit="days", source="assumed", gt=0.0, text="time over which it is sold, evenly")
    pressure: float = quantity(
        1.0, unit="-", source="assumed", ge=0.0, likely=(0.3, 3.0), text="fall of ln mNAV per share of all shares sold"
    )

    def released(self, start: datetime, seconds: float) -> float:
        """Shares that have come to the market so many seconds after `start`."""
        days = (seconds - (self.unlock_on - start).total_seconds()) / 86_400.0
        return self.shares * self.sold_share * min(max(days / self.over_days, 0.0), 1.0)


class TreasuryParameters(Parameters):
    """One treasury company."""

    name: str = Field(default="", description="short name, by which `--set …companies.NAME.…` finds it")
    coins: float = quantity(
        5000.0,
        unit="BTC",
        source="a mid-sized holder; stress case",
        ge=0.0,
        likely=(0.0, 30e3),
        text="all coins it holds",
    )
    debt_usd: float = quantity(
        280e6, unit="$", source="stress case: covenant at -4 % from 116,830", ge=0.0, text="secured loan"
    )
    cash_usd: float = quantity(1e6, unit="$", source="thin, as reported of such firms", ge=0.0)
    ltv_limit: float = quantity(0.5, unit="-", source="stress case", gt=0.0, lt=1.0, likely=(0.4, 0.8))
    ltv_target: float = quantity(0.5, unit="-", source="back to the limit, no further", gt=0.0, lt=1.0)
    pledged_coins: float | None = quantity(
        None, unit="BTC", source="left out: all", text="coins pledged at the start; more are posted before any is sold"
    )
    tied_coins: float = quantity(
        0.0, unit="BTC", source="none", ge=0.0, text="coins lent out: neither pledged for the loan nor sold"
    )
    cure_s: float = quantity(
        0.0, unit="s", source="none", ge=0.0, likely=(0.0, 172_800.0), text="time from a breach to the forced sale"
    )
    converts: tuple[Convertible, ...] = ()
    unsecured_usd: float = quantity(0.0, unit="$", source="none", ge=0.0, text="other debt, without covenant or put")
    preferred_usd: float = quantity(0.0, unit="$", source="none", ge=0.0, text="preferred shares at face value")
    dividend_usd: float = quantity(0.0, unit="$ a year", source="none", ge=0.0, text="preferred dividends, in cash")
    dividend_days: float = quantity(30.4375, unit="days", source="monthly", gt=0.0, text="time between two payments")
    shares: float = quantity(0.0, unit="shares", source="0: the share is not modelled", ge=0.0)
    mnav: float = quantity(1.0, unit="-", source="assumed", gt=0.0, likely=(0.5, 2.5), text="at the start")
    mnav_mean: float = quantity(1.0, unit="-", source="assumed", gt=0.0, likely=(0.8, 1.5), text="long-run median")
    mnav_speed: float = quantity(0.02, unit="1/day", source="assumed", ge=0.0, likely=(0.0, 0.1))
    mnav_beta: float = quantity(
        0.3, unit="-", source="assumed: premiums shrink when the coin falls", ge=0.0, likely=(0.0, 1.0)
    )
    mnav_noise: float = quantity(0.0, unit="per sqrt(day)", source="off", ge=0.0, likely=(0.0, 0.05))
    placements: tuple[Placement, ...] = ()
    atm_share: float = quantity(
        0.0, unit="1/day", source="off", ge=0.0, le=1.0, text="shares issued at the market while mNAV is above 1"
    )
    buyback_share: float = quantity(
        0.0, unit="1/day", source="off", ge=0.0, le=1.0, text="shares bought back while mNAV is below 1"
    )
    buyback_sells: bool = Field(default=False, description="sell coins for buy-backs that cash does not cover")
    review_s: float = quantity(60.0, unit="s", source="not observed", gt=0.0)
    participation: float = quantity(0.2, unit="-", source="common execution limit", gt=0.0, le=1.0, likely=(0.05, 0.3))
    least_rate_coins: float = quantity(
        0.5, unit="BTC/s", source="not observed", ge=0.0, text="pace of sale when the volume seen is small or mixed"
    )
    slip: float = quantity(0.005, unit="fraction", source="not observed", ge=0.0, le=0.05)

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.tied_coins + sum(note.pledged_coins for note in self.converts) > self.coins:
            raise ValueError("more coins are tied than it holds")
        if self.pledged_coins is not None and not 0.0 <= self.pledged_coins <= self.free_coins:
            raise ValueError("pledged_coins: must lie between 0 and the coins that are not tied")
        if self.shares == 0.0 and (self.converts or self.placements or self.atm_share or self.buyback_share):
            raise ValueError("shares: needed where notes convert, or shares are issued or bought back")
        return self

    @property
    def free_coins(self) -> float:
        """Coins that can be pledged for the loan, or sold."""
        return self.coins - self.tied_coins - sum(note.pledged_coins for note in self.converts)

    @property
    def notes_usd(self) -> float:
        """Convertible notes at face value."""
        return sum(note.principal_usd for note in self.converts)

    @property
    def claims_usd(self) -> float:
        """Loan, notes, other debt and preferred shares: what stands before the shareholders."""
        return self.debt_usd + self.notes_usd + self.unsecured_usd + self.preferred_usd

    @property
    def owes(self) -> bool:
        """Whether there is anything to review: a debt, a dividend, or a share that moves."""
        return self.debt_usd > 0.0 or self.dividend_usd > 0.0 or bool(self.converts) or self.shares > 0.0
