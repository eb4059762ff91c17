"""Parameters of the retail traders, with sources and grades; equations in `abm.traders.retail`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from abm.parameters import Parameters, quantity
from abm.state import I64
from abm.traders.retail_behaviour import Beliefs, Carry, Caution, Copying, LevelPanic, Remedies, Signals, Stops

SEARCH = "search on the path of 10 Oct 2025 with a one-book prototype"
UNKNOWN = "not observed"
SET_HERE = "set on the path of 10 Oct 2025 with this model (20,000 and 100,000 accounts, seeds 1-4); not identified"


class RetailParameters(Parameters):
    """Retail traders of one venue's perpetual."""

    accounts: int = quantity(
        100_000, unit="accounts", source="a resolution, not a number of people", ge=50, le=5_000_000
    )
    open_interest_coins: float = quantity(
        90_000.0,
        unit="BTC",
        source="order of magnitude of the largest venue, 10 Oct 2025",
        gt=0.0,
        likely=(60e3, 120e3),
    )
    short_share: float = quantity(
        0.3,
        unit="-",
        source=UNKNOWN,
        ge=0.0,
        le=1.0,
        likely=(0.15, 0.5),
        text="retail shorts over retail longs, by notional",
    )
    long_accounts: float = quantity(
        0.5, unit="-", source=UNKNOWN, gt=0.0, lt=1.0, text="share of accounts that are long"
    )
    short_accounts: float = quantity(
        0.2, unit="-", source=UNKNOWN, ge=0.0, lt=1.0, text="share of accounts that are short"
    )
    class_leverages: tuple[tuple[tuple[int, float], ...], ...] = quantity(
        (
            ((20, 0.45), (25, 0.25), (30, 0.1), (50, 0.15), (75, 0.05)),
            ((10, 0.6), (12, 0.15), (15, 0.25)),
            ((5, 0.6), (6, 0.1), (7, 0.1), (8, 0.2)),
            ((1, 0.7), (2, 0.15), (3, 0.1), (4, 0.05)),
        ),
        unit="x",
        source="round numbers prevail; frequencies assumed",
        text="the venue's leverage classes, highest first: leverages in each and their frequency",
    )
    class_notional: tuple[float, ...] = quantity(
        (0.012, 0.049, 0.106, 0.833),
        unit="-",
        source=SEARCH,
        grade="calibrated",
        text="notional of the classes: at >= 20x, 10-20x, 5-10x, < 5x",
    )
    leverage_density: float = quantity(
        1.0,
        unit="-",
        source=UNKNOWN,
        gt=0.0,
        text="factor on the notional of every class but the last, which takes the rest",
    )
    class_accounts: tuple[float, ...] = quantity(
        (0.12, 0.18, 0.2, 0.5),
        unit="-",
        source="small accounts use more leverage; shares assumed",
        text="accounts in those classes",
    )
    most_leverage: int = quantity(
        150,
        unit="x",
        source="the venue's own limit; lower values are the what-if of the same positions with more money behind them",
        ge=1,
        le=1001,
        text="cap on everybody's leverage",
    )
    size_tail: float = quantity(
        0.8,
        unit="-",
        source="Hill 0.76-0.87 of deleveraged accounts on Hyperliquid",
        gt=0.1,
        lt=1.0,
        grade="A",
        likely=(0.7, 0.9),
    )
    largest_share: float = quantity(
        0.015, unit="-", source=UNKNOWN, gt=0.0, le=1.0, text="largest account in its leverage class"
    )
    isolated_share: float = quantity(
        0.8, unit="-", source=UNKNOWN, ge=0.0, le=1.0, text="isolated rather than cross margin"
    )
    spare_cash: float = quantity(
        0.3, unit="of margin", source=UNKNOWN, ge=0.0, text="free cash beside the initial margin"
    )
    age_days: float = quantity(
        6.0, unit="d", source=UNKNOWN, gt=0.0, likely=(3.0, 15.0), text="mean age before survival"
    )
    path_days: tuple[float, ...] = quantity(
        (0.0, 0.06, 0.3, 1.15, 2.11, 3.09, 4.07, 5.16, 5.66, 14.39, 16.12, 16.69, 22.1, 25.0),
        unit="d",
        source="turning points (2.2 %) of Binance 5-minute bars, 15 Sep to 10 Oct 2025",
        grade="A",
        text="ages of the turning points of the price before the opening, rising from 0",
    )
    path_ratio: tuple[float, ...] = quantity(
        (1.0, 0.9917, 1.0486, 1.0236, 1.0629, 1.0316, 1.0804, 1.0457, 1.0775, 0.9293, 0.975, 0.9496, 1.009, 0.98),
        unit="-",
        source="turning points (2.2 %) of Binance 5-minute bars, 15 Sep to 10 Oct 2025",
        grade="A",
        text="price at those ages over the opening price",
    )
    entry_scatter: float = quantity(0.006, unit="fraction", source="between the turning points", ge=0.0, le=0.2)
    safety: float = quantity(
        0.004, unit="fraction", source=UNKNOWN, ge=0.0, lt=0.5, text="nobody opens nearer to liquidation"
    )

    review_s: float = quantity(240.0, unit="s", source=SEARCH, gt=0.0, grade="calibrated")
    trend_share: float = quantity(0.4, unit="-", source=UNKNOWN, ge=0.0, le=1.0)
    value_share: float = quantity(0.2, unit="-", source=UNKNOWN, ge=0.0, le=1.0)
    belief_spread: float = quantity(0.01, unit="log", source=UNKNOWN, ge=0.0, text="sd of the error about fair value")
    panic: float = quantity(0.5, unit="-", source=SET_HERE, ge=0.0, grade="calibrated", likely=(0.2, 1.0))
    panic_most: float = quantity(
        0.15, unit="a review", source=SET_HERE, ge=0.0, le=1.0, grade="calibrated", likely=(0.03, 0.25)
    )
    panic_drawdown: float = quantity(
        0.056, unit="fraction", source=SEARCH, gt=0.0, grade="calibrated", text="median of d"
    )
    panic_spread: float = quantity(0.5, unit="log", source=UNKNOWN, ge=0.0, le=2.0)
    panic_slip: float = quantity(
        0.007,
        unit="fraction",
        source=SET_HERE,
        ge=0.0,
        le=0.05,
        grade="calibrated",
        likely=(0.003, 0.02),
        text="worst price of panic sales and of short covering",
    )
    cover_gain: float = quantity(0.04, unit="fraction", source=UNKNOWN, gt=0.0, text="median personal gain")
    cover_spread: float = quantity(0.5, unit="log", source=UNKNOWN, ge=0.0, le=2.0)
    cover_chance: float = quantity(
        0.15, unit="a review", source=SET_HERE, ge=0.0, le=1.0, grade="calibrated", likely=(0.08, 0.5)
    )
    stop_share: float = quantity(0.02, unit="-", source=SEARCH, ge=0.0, le=1.0, grade="calibrated", likely=(0.02, 0.05))
    stop_distance: float = quantity(0.048, unit="fraction", source=SEARCH, gt=0.0, lt=0.9, grade="calibrated")
    stop_spread: float = quantity(0.5, unit="log", source=UNKNOWN, ge=0.0, le=2.0)
    profit_share: float = quantity(0.05, unit="-", source=UNKNOWN, ge=0.0, le=1.0)
    profit_distance: float = quantity(0.05, unit="fraction", source=UNKNOWN, gt=0.0, lt=0.9)
    holding_s: float = quantity(
        172_800.0, unit="s", source=UNKNOWN, gt=0.0, text="mean time until a position is closed anyway"
    )
    idle_s: float = quantity(
        86_400.0, unit="s", source=UNKNOWN, gt=0.0, text="mean time until a flat trader enters anyway"
    )
    rest_s: float = quantity(
        3600.0, unit="s", source="few who lost a position trade again within minutes (6.7 % in 5 min)", ge=0.0
    )
    trend_level: float = quantity(0.003, unit="fraction", source=UNKNOWN, ge=0.0)
    trend_gain: float = quantity(5.0, unit="-", source=UNKNOWN, ge=0.0)
    value_level: float = quantity(0.02, unit="fraction", source=UNKNOWN, ge=0.0)
    value_chance: float = quantity(0.05, unit="a review", source=UNKNOWN, ge=0.0, le=1.0)
    short_gain: float = quantity(5.0, unit="-", source=SEARCH, ge=0.0, grade="calibrated", likely=(1.5, 5.0))
    entrant_short_accounts: float = quantity(0.6, unit="-", source=UNKNOWN, ge=0.0, le=1.0, text="of the flat accounts")
    entrant_short_coins: float = quantity(7000.0, unit="BTC", source=UNKNOWN, ge=0.0, likely=(2e3, 15e3))
    entrant_short_leverage: float = quantity(25.0, unit="x", source=SEARCH, ge=1.0, le=1001.0, likely=(20.0, 35.0))
    entrant_long_coins: float = quantity(5000.0, unit="BTC", source=UNKNOWN, ge=0.0)
    entrant_long_leverage: float = quantity(5.0, unit="x", source=UNKNOWN, ge=1.0, le=1001.0)
    entrant_leverage_spread: float = quantity(0.35, unit="log", source=UNKNOWN, ge=0.0, le=2.0)
    entrant_leverage_range: tuple[int, int] = quantity(
        (2, 75), unit="x", source="assumed", text="least and most leverage of traders without a position"
    )
    usage: float = quantity(
        0.9, unit="-", source="the rest pays fees", gt=0.0, le=1.0, text="share of free cash in an entry"
    )
    slip: float = quantity(0.003, unit="fraction", source=SEARCH, ge=0.0, le=0.05)
    news_share: float = quantity(
        0.01, unit="-", source="a resolution", ge=0.0, lt=0.5, text="accounts that trade on news"
    )
    news_coins: float = quantity(3900.0, unit="BTC", source=SEARCH, ge=0.0, grade="calibrated", likely=(2e3, 5e3))
    news_width: float = quantity(0.05, unit="fraction", source=SEARCH, gt=0.0, grade="calibrated")
    news_s: float = quantity(40.0, unit="s", source=SEARCH, gt=0.0, grade="calibrated")
    news_leverage: int = quantity(3, unit="x", source=UNKNOWN, ge=1, le=20)

    luck: int = quantity(
        0, unit="-", source="a choice", ge=0, text="cohorts of a venue with the same number are twins in their draws"
    )
    beliefs: Beliefs = Beliefs()
    signals: Signals = Signals()
    copying: Copying = Copying()
    stops: Stops = Stops()
    level_panic: LevelPanic = LevelPanic()
    carry: Carry = Carry()
    caution: Caution = Caution()
    remedies: Remedies = Remedies()

    @model_validator(mode="after")
    def _classes_match(self) -> RetailParameters:
        """One notional, one number of accounts for each leverage class; classes from high to low."""
        classes = len(self.class_leverages)
        if not classes == len(self.class_notional) == len(self.class_accounts):
            raise ValueError("class_leverages, class_notional and class_accounts need one entry for each class")
        if classes == 0 or not all(self.class_leverages):
            raise ValueError("class_leverages: every class needs a leverage")
        if any(not 1 <= leverage <= 1001 for one in self.class_leverages for leverage, _ in one):
            raise ValueError("class_leverages: leverage is 1 to 1001")
        floors = self.class_floors()
        if floors != sorted(floors, reverse=True):
            raise ValueError("class_leverages: the class with the highest leverage comes first")
        if not self.stops.share or len(self.stops.share) > classes:
            raise ValueError("stops.share: at most one entry for each leverage class; the last counts for the rest")
        if not 1 <= self.entrant_leverage_range[0] <= self.entrant_leverage_range[1] <= 1001:
            raise ValueError("entrant_leverage_range: from least to most, 1 to 1001")
        low, high = self.remedies.reserve
        if not 0.0 <= low <= high or high + self.remedies.outside >= 1.0:
            raise ValueError("remedies.reserve: from, to; with `outside` less than everything")
        return self

    def notional_shares(self) -> list[float]:
        """Share of all notional in each leverage class, `leverage_density` applied; their sum is one."""
        total = sum(self.class_notional)
        leveraged = [self.leverage_density * part / total for part in self.class_notional[:-1]]
        return [*leveraged, 1.0 - sum(leveraged)]

    def class_floors(self) -> list[int]:
        """Lowest leverage of each class."""
        return [min(leverage for leverage, _ in one) for one in self.class_leverages]

    def leverage_class(self, leverage: I64) -> I64:
        """Number of the class of each leverage, int64 (n,); what is below the last class counts to it."""
        floors = np.array(self.class_floors()[::-1])
        found: I64 = floors.size - np.maximum(np.searchsorted(floors, leverage, side="right"), 1)
        return found

    def rule_numbers(self) -> NDArray[np.float64]:
        """The tail of `retail_rule`'s arguments, from `panic` on, then rest and usage; float64 (15,)."""
        return np.array(
            [
                self.panic,
                self.panic_most,
                self.cover_chance,
                self.review_s / self.holding_s,
                self.review_s / self.idle_s,
                self.trend_level,
                self.trend_gain,
                self.value_level,
                self.value_chance,
                self.short_gain,
                self.news_width,
                self.slip,
                self.panic_slip,
                self.rest_s,
                self.usage,
            ]
        )
