"""Parameters of the market makers: ladder, thinning, limits, and the rule of the innermost quote."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from abm.parameters import Parameters, quantity

SEARCH = "search on the path of 10 Oct 2025 with a one-book prototype"
MOST_CLIPS = 200
"""Largest inventory grid of the exact rule: its table is found by matrix products of this size."""
RuleName = Literal["ladder", "symmetric", "avellaneda-stoikov", "glft", "glft-asymptotic"]


class MakersParameters(Parameters):
    """Market makers of one venue."""

    count: int = quantity(
        20, unit="makers", source="number of large quoting firms, not observed", ge=1, le=400, likely=(10, 40)
    )
    depth_coins: float = quantity(
        2090.0,
        unit="BTC",
        source="$244m of bids within 1 % (median of 5 days, 30-s snapshots of the Binance book) at 116,830",
        ge=0.0,
        grade="B",
        text="normal depth within 1 % of the centre on each side of the perpetual, all makers",
    )
    depth_exponent: float = quantity(
        1.13,
        unit="-",
        source="cumulative depth of BTC against distance, order-book snapshots",
        gt=0.2,
        le=3.0,
        grade="B",
    )
    spot_share: float = quantity(
        0.3, unit="-", source="spot over perpetual depth, not observed", ge=0.0, le=5.0, likely=(0.15, 0.6)
    )
    reach: float = quantity(
        0.14, unit="fraction", source=SEARCH, gt=0.0, lt=0.9, text="farthest quote on the perpetual"
    )
    spot_reach: float = quantity(0.08, unit="fraction", source="bounds the coins tied up", gt=0.0, lt=0.9)
    steps: int = quantity(
        36,
        unit="steps",
        source="resolution: a step is 1.4 times as far as the one before",
        ge=1,
        le=200,
        text="orders a side; with an optimal rule the first is its quote, the others the ladder behind it",
    )
    first_ticks: float = quantity(
        1.0, unit="ticks", source="the calm spread of the perpetual is 1 tick", ge=0.5, le=1000.0, grade="M"
    )
    thinning_level: float = quantity(15.8, unit="-", source=SEARCH, gt=0.0, grade="calibrated", likely=(12.0, 18.0))
    thinning_spread: float = quantity(0.5, unit="log", source=SEARCH, ge=0.0, le=2.0, text="sd of ln z0 over makers")
    thinning_power: float = quantity(
        2.35, unit="-", source=SEARCH, ge=0.0, le=8.0, grade="calibrated", likely=(1.75, 2.4)
    )
    thinning_max: float = quantity(25.0, unit="-", source=SEARCH, ge=1.0, grade="calibrated", likely=(25.0, 100.0))
    return_s: float = quantity(
        400.0, unit="s", source=SEARCH, gt=0.0, likely=(120.0, 600.0), text="tau, hardly identified"
    )
    requote_rate: float = quantity(
        0.8, unit="1/s", source=SEARCH, gt=0.0, le=1.0, likely=(0.5, 1.0), text="probability of a look within a second"
    )
    last_weight: float = quantity(0.4, unit="-", source=SEARCH, ge=0.0, le=1.0, text="w, hardly matters")
    follow_news: float = quantity(
        0.0,
        unit="-",
        source="most price discovery is by quotes, not trades (Brogaard, Hendershott and Riordan 2019); share assumed",
        ge=0.0,
        le=1.0,
        text="share of a change of the fundamental value by which the centre moves at once; as no quote goes through"
        " the other side's, the middle of the book follows by two thirds of it",
    )
    inventory_coins: float = quantity(
        5000.0, unit="BTC", source=SEARCH, gt=0.0, likely=(2500.0, 15000.0), text="sum of the makers' inventory limits"
    )
    skew: float = quantity(
        0.0001,
        unit="fraction",
        source="sign and shape after Avellaneda and Stoikov, size assumed",
        ge=0.0,
        le=0.05,
        text="by which quotes stand off the middle at the inventory limit",
    )
    sticky: float = quantity(
        0.03, unit="-", source=SEARCH, ge=0.0, le=1.0, likely=(0.0, 0.05), text="share never withdrawn"
    )
    obliged: float = quantity(
        0.0,
        unit="-",
        source="policy: no maker on 10 Oct 2025 had to stay",
        ge=0.0,
        le=1.0,
        text="least share of the normal size",
    )
    loss_share: float = quantity(
        0.15,
        unit="-",
        source="makers with reported losses stopped quoting; how much it took was not reported",
        gt=0.0,
        likely=(0.05, 0.5),
        text="median loss, as a share of risk capital, at which a maker stops",
    )
    loss_spread: float = quantity(0.5, unit="log", source="not observed", ge=0.0, le=2.0)
    pause_s: float = quantity(1800.0, unit="s", source="not observed", ge=0.0, likely=(300.0, 7200.0))
    watch_fund: float = quantity(
        0.0,
        unit="-",
        source="off. That makers left because venues were in distress is reported, how many is not",
        ge=0.0,
        le=1.0,
        likely=(0.0, 1.0),
        text="share of makers who stop when the venue's insurance fund falls",
    )
    fund_fall: float = quantity(
        0.3,
        unit="of the fund",
        source="not observed",
        gt=0.0,
        le=1.0,
        likely=(0.05, 0.5),
        text="median fall of the fund at which they stop",
    )
    fund_spread: float = quantity(0.5, unit="log", source="not observed", ge=0.0, le=2.0)
    watch_hedge: float = quantity(
        0.0,
        unit="-",
        source="off. That makers lost the hedged half of their book to deleveraging and stopped is reported, how many"
        " is not",
        ge=0.0,
        le=1.0,
        likely=(0.0, 1.0),
        text="share of makers who stop when deleveraging takes a part of their position",
    )
    leverage: int = quantity(4, unit="x", source="keeps the whole ladder inside the tier limits", ge=1, le=20)
    price_tolerance: float = quantity(
        0.25, unit="of the distance", source="saves messages; deep quotes move less often", ge=0.0, lt=1.0
    )
    size_tolerance: float = quantity(0.25, unit="-", source="saves messages", ge=0.0, lt=1.0)
    quoting: RuleName = quantity(
        "ladder",
        unit="-",
        source="the ladder is what was calibrated",
        text="where the innermost quote stands: ladder, or an optimal rule of `abm.traders.quotes`",
    )
    centre_on: Literal["book", "index"] = quantity(
        "book",
        unit="-",
        source="not observed",
        text="the makers' middle price: of book and last price, or index",
    )
    clip_coins: float = quantity(
        5.0, unit="BTC", source="chosen", gt=0.0, text="optimal rules: size of the innermost quote, unit of inventory"
    )
    risk_aversion: float = quantity(
        1e-5,
        unit="1/$",
        source="chosen so that 100 BTC move the quotes by about half a basis point",
        gt=0.0,
        likely=(1e-6, 1e-4),
        text="optimal rules: gamma, constant absolute risk aversion",
    )
    volatility: float = quantity(
        0.0000756,
        unit="1/sqrt(s)",
        source="sd of 5-minute returns, 0.131 %, of the Binance perpetual, July to December 2025",
        gt=0.0,
        grade="A",
        text="optimal rules: sigma, as a fraction of the opening price",
    )
    arrival_rate: float = quantity(
        10.0,
        unit="1/s",
        source="not observed",
        gt=0.0,
        likely=(1.0, 50.0),
        text="optimal rules: A, market orders of a clip that reach the middle price, each side",
    )
    arrival_decay: float = quantity(
        100_000.0,
        unit="1/fraction",
        source="not observed; the half-spread is about 1/k, here a tenth of a basis point",
        gt=0.0,
        likely=(1e4, 1e6),
        text="optimal rules: k, per fraction of the opening price",
    )
    horizon_s: float = quantity(
        600.0,
        unit="s",
        source="chosen; the spread of Avellaneda and Stoikov grows with it: over a day it would be 30 basis points",
        gt=0.0,
        likely=(60.0, 3600.0),
        text="optimal rules: T, length of the sessions at whose ends inventory is valued, one after another",
    )

    @property
    def clips(self) -> int:
        """A maker's inventory limit in clips."""
        return int(self.inventory_coins / self.count / self.clip_coins + 1e-9)

    @model_validator(mode="after")
    def _grid(self) -> MakersParameters:
        if self.quoting == "glft" and not 1 <= self.clips <= MOST_CLIPS:
            raise ValueError(
                f"quoting: 'glft' needs an inventory limit of 1 to {MOST_CLIPS} clips a maker, here {self.clips}; "
                "change clip_coins or inventory_coins, or take 'glft-asymptotic'"
            )
        return self
