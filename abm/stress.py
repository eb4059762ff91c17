"""Stress of treasury companies: at which price what falls due, what must be sold, what the sale does to the others.

(a) Closed form, company by company (`marks`, `strain`): exact, no market. A fall of the coin to P strains a company by

    the covenant    LTV on all it can pledge above its limit once its cash has gone into the loan; before that it posts
    the puts        notes that may be put or mature inside the horizon while the share, at mNAV m0 (P / P0)^b, is worth
                    less than the conversion price: principal in cash
    the dividends   of the horizon, in cash

Cash pays first; then, while mNAV at that price is above 1, shares issued at the market pay puts and dividends, at most
`issue_share` of all shares; coins are sold for the rest (`abm.traders.treasury_sheet`). Nobody earns anything.

(b) A fixed point (`settle`): all sell at once, the price falls by I(Q) of the coins sold, and everybody is looked at
again at the lower price, until nobody sells more. Sales only grow as the price falls, so iterating from the shocked
price ends at the highest price at which all obligations are met. Two laws for I, as bounds:

    book    one sweep of the bids that stand in the scenario's market at its opening, spot and perpetual together, at
            the same relative distances from the shocked price; continued beyond the last bid by the ladder's power law.
            Nobody refills: an upper bound for a patient sale
    root    I = Y s sqrt(Q / V), s the daily volatility, V coins traded a day: the law of orders worked over time

(c) `abm.stress_runs` runs the sale in the model's market.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abm.parameters import Parameters, quantity
from abm.settings import SettingsError
from abm.traders.treasury_sheet import (
    TreasuryParameters,
    coins_to_sell,
    covenant_price,
    price_for_share,
    share_price,
    zero_equity_price,
)

if TYPE_CHECKING:
    from abm.scenario import Scenario

YEAR_DAYS = 365.25
NAN = float("nan")


class StressOptions(Parameters):
    """What is asked of the balance sheets and of the market."""

    horizon_days: float = quantity(
        365.0, unit="days", source="a year", ge=0.0, text="time in which puts and dividends fall"
    )
    impact: str = "book"
    depth: float = quantity(
        1.0, unit="-", source="the book as it stands", gt=0.0, text="bids over those at the opening"
    )
    issue_share: float = quantity(
        0.1,
        unit="-",
        source="assumed",
        ge=0.0,
        le=1.0,
        likely=(0.0, 0.3),
        text="shares issued at most, over all shares",
    )
    root_factor: float = quantity(1.0, unit="-", source="Y of the square-root law, about 0.5 to 1", grade="M", gt=0.0)
    daily_volatility: float = quantity(0.0219, unit="-", source="daily returns of 2025", grade="A", gt=0.0)
    daily_volume_coins: float = quantity(
        119_320.0, unit="BTC/day", source="median of the Binance perpetual, 15 Sep to 9 Oct 2025", grade="A", gt=0.0
    )


@dataclass(frozen=True, slots=True)
class Strain:
    """One company at one price. Coins to sell by reason (at most what it can sell); `unmet_usd` is what that leaves."""

    company: str
    price_usd: float
    ltv: float  # with everything pledged that can be; nan without a loan
    posted_coins: float  # pledged beyond what was pledged at the start
    covenant_coins: float
    put_coins: float
    dividend_coins: float
    issued_usd: float  # raised by issuing shares
    unmet_usd: float
    share_usd: float
    equity_usd: float  # coins + cash - claims

    @property
    def coins(self) -> float:
        """All coins it must sell."""
        return self.covenant_coins + self.put_coins + self.dividend_coins

    @property
    def trips(self) -> str:
        """What trips, in words; empty when nothing does, "posts" when it only has to pledge more."""
        parts = ((self.covenant_coins, "covenant"), (self.put_coins, "put"), (self.dividend_coins, "dividend"))
        words = [word for coins, word in parts if coins > 0.0]
        if self.unmet_usd > 0.0:
            words.append("unmet")
        return " + ".join(words) or ("posts" if self.posted_coins > 0.0 else "")


def strain(
    sheet: TreasuryParameters, price: float, start_price: float, start: datetime, options: StressOptions
) -> Strain:
    """What a company must sell when the coin stands at `price`; dollars. Exact: no market."""
    free, debt, cash = sheet.free_coins, sheet.debt_usd, sheet.cash_usd
    posted = covenant = 0.0
    pledged = free if sheet.pledged_coins is None else sheet.pledged_coins
    if debt > sheet.ltv_limit * pledged * price:
        target = min(sheet.ltv_target, sheet.ltv_limit)
        posted = min(free, max(pledged, debt / (target * price))) - pledged
        if debt > sheet.ltv_limit * free * price:
            paid = min(cash, debt)
            debt, cash = debt - paid, cash - paid
            if debt > sheet.ltv_limit * free * price:
                covenant = coins_to_sell(debt, free, price, target)
    share, puts, issuable = NAN, 0.0, 0.0
    if sheet.shares > 0.0:
        mnav = sheet.mnav * (price / start_price) ** sheet.mnav_beta
        share = share_price(mnav, sheet.coins, price, sheet.claims_usd, sheet.cash_usd, sheet.shares)
        end = start + timedelta(days=options.horizon_days)
        puts = sum(n.principal_usd for n in sheet.converts if n.due_on <= end and share < n.conversion_usd)
        issuable = options.issue_share * sheet.shares * share if mnav > 1.0 else 0.0
    dividends = sheet.dividend_usd * options.horizon_days / YEAR_DAYS
    issued, unmet = 0.0, max(0.0, debt - covenant * price) if covenant >= free else 0.0
    sold = []
    left = free - covenant
    for due in (puts, dividends):
        from_cash = min(cash, due)
        from_shares = min(issuable - issued, due - from_cash)
        cash, issued = cash - from_cash, issued + from_shares
        sold.append(min(left, (due - from_cash - from_shares) / price))
        left -= sold[-1]
        unmet += due - from_cash - from_shares - sold[-1] * price
    ltv = sheet.debt_usd / (free * price) if sheet.debt_usd > 0.0 and free > 0.0 else NAN
    equity = sheet.coins * price + sheet.cash_usd - sheet.claims_usd
    return Strain(sheet.name, price, ltv, posted, covenant, sold[0], sold[1], issued, _dollars(unmet), share, equity)


def _dollars(value: float) -> float:
    """A shortfall; rounding of products is none."""
    return value if value > 1.0 else 0.0


@dataclass(frozen=True, slots=True)
class Marks:
    """Prices of the coin at which something happens to a company, and the drop to them in per cent; nan where never."""

    company: str
    coins: float
    claims_usd: float
    posts_usd: float  # more must be pledged
    covenant_usd: float  # all is pledged and the limit is reached
    sells_usd: float  # cash no longer cures it
    zero_equity_usd: float  # the coins pledged are worth the loan
    first_put: str
    put_usd: float  # below it the holders of the first put want cash
    cash_years: float  # cash over yearly dividends


def marks(sheet: TreasuryParameters, start_price: float) -> Marks:
    """The closed-form prices of one company."""
    free, debt, limit = sheet.free_coins, sheet.debt_usd, sheet.ltv_limit
    pledged = free if sheet.pledged_coins is None else sheet.pledged_coins
    loan = debt > 0.0 and free > 0.0
    net = debt - sheet.cash_usd
    notes = sorted(sheet.converts, key=lambda note: note.due_on)
    first = notes[0] if notes else None
    return Marks(
        sheet.name,
        sheet.coins,
        sheet.claims_usd,
        covenant_price(debt, pledged, limit) if loan and 0.0 < pledged < free else NAN,
        covenant_price(debt, free, limit) if loan else NAN,
        covenant_price(net, free, limit) if loan and net > 0.0 else NAN,
        zero_equity_price(debt, free) if loan else NAN,
        f"{first.due_on:%Y-%m}" if first else "",
        price_for_share(first.conversion_usd, sheet, start_price) if first else NAN,
        sheet.cash_usd / sheet.dividend_usd if sheet.dividend_usd > 0.0 else NAN,
    )


# --- impact -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Ladder:
    """Coins bid within a distance below the middle: `distance` (fractions, rising), cumulative `coins`; both (n,)."""

    distance: NDArray[np.float64]
    coins: NDArray[np.float64]
    exponent: float  # of the continuation beyond the last bid

    def impact(self, sold: float) -> float:
        """Fraction by which the price falls when so many coins are sold into it at once."""
        if sold <= 0.0:
            return 0.0
        if sold <= self.coins[-1]:
            return float(np.interp(sold, self.coins, self.distance))
        return min(0.99, float(self.distance[-1] * (sold / self.coins[-1]) ** (1.0 / self.exponent)))


def opening_ladder(scenario: Scenario, depth: float) -> Ladder:
    """Opening bids of a scenario's market, spot and perpetual, times `depth`; raises SettingsError for none."""
    from abm.model import MarketModel
    from abm.state import BUY, SELL

    small = scenario.changed(accounts=min(scenario.accounts, 1_000), treasuries=[], participants=[], news=[])
    model = MarketModel(small)
    reach = max(model.makers.parameters.reach, model.makers.parameters.spot_reach)
    distance = np.concatenate([[0.0], np.geomspace(1e-4, reach, 120)])
    coins = np.zeros(distance.size)
    for market in (model.spot, model.perp):
        middle = (model.books.best(market, BUY) + model.books.best(market, SELL)) / 2.0
        lots = [model.books.depth_lots(market, BUY, round(middle * (1.0 - u))) for u in distance[1:].tolist()]
        coins[1:] += np.array(lots) * float(model.markets.lot_coins[market])
    coins = np.maximum.accumulate(coins) * depth
    if coins[-1] <= 0.0:
        raise SettingsError(["makers.depth_coins: no bids stand at the opening: there is no book to sell into"])
    return Ladder(distance, coins, model.makers.parameters.depth_exponent)


def root_impact(sold: float, options: StressOptions) -> float:
    """Y s sqrt(Q / V)."""
    return min(0.99, options.root_factor * options.daily_volatility * math.sqrt(sold / options.daily_volume_coins))


# --- the fixed point --------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Settled:
    """One drop: the price it leads to, and every company there. `first` are the strains at the shocked price itself."""

    drop: float  # fraction
    shocked_usd: float
    price_usd: float
    steps: int
    first: tuple[Strain, ...]
    strains: tuple[Strain, ...]

    @property
    def coins(self) -> float:
        """Coins sold by all."""
        return sum(one.coins for one in self.strains)

    @property
    def effect(self) -> float:
        """What the sale does to the price: a fraction, negative."""
        return self.price_usd / self.shocked_usd - 1.0

    @property
    def by_others(self) -> tuple[str, ...]:
        """Companies that sell only because others do."""
        pairs = zip(self.first, self.strains, strict=True)
        return tuple(after.company for before, after in pairs if before.coins <= 0.0 < after.coins)


def settle(
    sheets: Sequence[TreasuryParameters],
    drop: float,
    start_price: float,
    start: datetime,
    options: StressOptions,
    impact: Callable[[float], float],
    steps_max: int = 500,
) -> Settled:
    """Iterate sale and price from the shocked price down until nobody sells more (to a thousandth of a coin)."""
    shocked = start_price * (1.0 - drop)

    def look(price: float) -> tuple[Strain, ...]:
        return tuple(strain(sheet, price, start_price, start, options) for sheet in sheets)

    first = strains = look(shocked)
    price, sold, steps = shocked, 0.0, 0
    while steps < steps_max:
        now = sum(one.coins for one in strains)
        if now <= sold + 1e-3:
            break
        sold, steps = now, steps + 1
        price = shocked * (1.0 - impact(sold))
        strains = look(price)
    return Settled(drop, shocked, price, steps, first, strains)


def companies_of(scenario: Scenario) -> tuple[TreasuryParameters, ...]:
    """All treasury companies of a scenario, each with a name of its own. Raises `SettingsError` when there is none."""
    from abm.traders.treasury_population import TreasuriesParameters

    found = [one for one in scenario.treasuries if one.owes or one.coins > 0.0]
    for entry in scenario.participants:
        if entry.kind == "treasuries":
            found += TreasuriesParameters.model_validate(entry.checked().model_dump()).companies
    if not found:
        raise SettingsError(
            ['no treasury company: the scenario has neither `treasuries` nor participants of kind "treasuries"'],
            scenario.name,
        )
    names: dict[str, int] = {}
    named = []
    for one in found:
        name = one.name or "company"
        names[name] = names.get(name, 0) + 1
        named.append(one.model_copy(update={"name": name if names[name] == 1 else f"{name} {names[name]}"}))
    return tuple(named)


@dataclass(frozen=True, slots=True)
class Stress:
    """Everything `deleverage stress` found."""

    scenario: str
    title: str
    start_usd: float
    options: StressOptions
    sheets: tuple[TreasuryParameters, ...]
    marks: tuple[Marks, ...]
    settled: tuple[Settled, ...]  # by the law asked for
    otherwise: tuple[Settled, ...]  # by the other law

    def rows(self) -> list[dict[str, Any]]:
        """One row a company and drop, dollars and coins; at the price where all sales have been met."""
        found = []
        for one in self.settled:
            for before, after in zip(one.first, one.strains, strict=True):
                found.append(
                    {
                        "drop_percent": round(100.0 * one.drop, 6),
                        "company": after.company,
                        "shocked_usd": one.shocked_usd,
                        "price_usd": one.price_usd,
                        "trips_at_shock": before.trips,
                        "trips": after.trips,
                        "ltv": after.ltv,
                        "posted_coins": after.posted_coins,
                        "sold_coins_at_shock": before.coins,
                        "sold_coins": after.coins,
                        "covenant_coins": after.covenant_coins,
                        "put_coins": after.put_coins,
                        "dividend_coins": after.dividend_coins,
                        "sold_usd": after.coins * one.price_usd,
                        "issued_usd": after.issued_usd,
                        "unmet_usd": after.unmet_usd,
                        "share_usd": after.share_usd,
                        "equity_usd": after.equity_usd,
                    }
                )
        return found

    def drops(self) -> list[dict[str, Any]]:
        """One row a drop: what is sold, what that does to the price by either law, who sells only because of others."""
        pairs = zip(self.settled, self.otherwise, strict=True)
        return [
            {
                "drop_percent": round(100.0 * one.drop, 6),
                "shocked_usd": one.shocked_usd,
                "companies": sum(s.coins > 0.0 for s in one.strains),
                "at_shock": sum(s.coins > 0.0 for s in one.first),
                "posting": sum(s.posted_coins > 0.0 for s in one.strains),
                "static_coins": sum(s.coins for s in one.first),
                "sold_coins": one.coins,
                "sold_usd": one.coins * one.price_usd,
                "price_usd": one.price_usd,
                "effect_percent": 100.0 * one.effect,
                "other_effect_percent": 100.0 * other.effect,
                "issued_usd": sum(s.issued_usd for s in one.strains),
                "unmet_usd": sum(s.unmet_usd for s in one.strains),
                "by_others": ", ".join(one.by_others),
            }
            for one, other in pairs
        ]


def stress(scenario: Scenario, drops: Sequence[float], options: StressOptions) -> Stress:
    """Balance sheets and fixed points of all companies of a scenario at every drop (fractions of the opening price).

    Raises SettingsError without companies or bids."""
    if options.impact not in ("book", "root"):
        raise SettingsError([f'impact: "{options.impact}": one of book, root'])
    sheets = companies_of(scenario)
    price, start = scenario.world.start_price_usd, scenario.start
    ladder = opening_ladder(scenario, options.depth)
    laws: dict[str, Callable[[float], float]] = {
        "book": ladder.impact,
        "root": lambda sold: root_impact(sold, options),
    }

    def by(law: str) -> tuple[Settled, ...]:
        return tuple(settle(sheets, drop, price, start, options, laws[law]) for drop in drops)

    other = "root" if options.impact == "book" else "book"
    return Stress(
        scenario.name, scenario.title, price, options, sheets, tuple(marks(one, price) for one in sheets),
        by(options.impact), by(other),
    )  # fmt: skip
