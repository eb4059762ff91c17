"""The rules of a venue as plain parameters, schema version 2: instruments, margin, mark, funding, losses, hours.

Prices, sizes and rates are decimal strings, so that what a file says is what the venue uses. Which venue does what, and
how well it is known, stands in `docs/venues.md`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from abm.parameters import Parameters, quantity

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY_AND_TIME = re.compile(rf"^(?:({'|'.join(DAYS)}) )?([01]\d|2[0-3]):([0-5]\d)$")


def is_decimal(text: str) -> bool:
    """Whether a text is a finite decimal number."""
    try:
        return Decimal(text).is_finite()
    except InvalidOperation:
        return False


def _decimal(text: str) -> str:
    if not is_decimal(text):
        raise ValueError('should be a decimal number in quotes, such as "0.001"')
    return text


def _moment(text: str, weekly: bool) -> str:
    match = _DAY_AND_TIME.match(text)
    if match is None or (match[1] is not None) != weekly:
        raise ValueError('should be UTC such as "Fri 21:00"' if weekly else 'should be UTC such as "21:00"')
    return text


DecimalText = Annotated[str, AfterValidator(_decimal)]
"""An exact decimal number, written in quotes."""
WeekTime = Annotated[str, AfterValidator(lambda text: _moment(text, True))]
"""A moment of the week in UTC, such as "Fri 21:00"."""
DayTime = Annotated[str, AfterValidator(lambda text: _moment(text, False))]
"""A moment of the day in UTC, such as "21:00"."""

_HERE = "each preset states its own"


# --- instruments ------------------------------------------------------------------------------------------------------
class Asset(Parameters):
    """An asset and its smallest unit."""

    name: str
    unit: DecimalText = quantity(..., unit="coins", source=_HERE, text="smallest amount that is booked")
    haircut: DecimalText | None = quantity(
        None,
        unit="share",
        source=_HERE,
        text="taken off its value at the venue's own spot where it is collateral; none: no collateral",
    )


class Instrument(Parameters):
    """What spot and derivative markets share."""

    name: str
    base: str = Field(description="asset that is traded or followed")
    settle: str = Field(description="asset of prices, fees and profits; of an inverse contract the base")
    tick: DecimalText = quantity(..., unit="$", source=_HERE, text="smallest price step")
    lot: DecimalText = quantity(..., unit="coins", source=_HERE, text='smallest size step; "1" contract if inverse')
    taker_fee: DecimalText = quantity(..., unit="rate", source=_HERE)
    maker_fee: DecimalText = quantity(..., unit="rate", source=_HERE, text="negative for a rebate")
    price_band: DecimalText = quantity(..., unit="rate", source=_HERE, text="how far a taker may trade from the mark")
    price_filter: DecimalText = quantity(..., unit="rate", source=_HERE, text="how far a limit may lie from the mark")
    highest_price: DecimalText = quantity(..., unit="$", source=_HERE, text="bound against overflow")


class TierRow(Parameters):
    """A margin bracket as venues print it; amounts in the settlement asset."""

    from_notional: DecimalText = quantity(..., unit="settlement asset", source=_HERE, text="lowest notional value")
    leverage: int = quantity(..., unit="-", ge=1, source=_HERE, text="highest leverage")
    maintenance: DecimalText = quantity(..., unit="rate", source=_HERE)
    amount: DecimalText = quantity(
        ..., unit="settlement asset", source=_HERE, text="taken off, so that maintenance is continuous"
    )


# --- prices that are not traded ---------------------------------------------------------------------------------------
class MarkRules(Parameters):
    """Where index and mark price come from; the rules themselves are in `abm.clearing.mark`."""

    rule: Literal["median-basis-average", "median-oracle-ema", "index-basis-average", "index", "last"] = (
        "median-basis-average"
    )
    basis_points: int = quantity(
        30, unit="-", ge=1, source="Binance, from 18 Sep 2025", grade="B", text="samples of (mid - index) averaged"
    )
    basis_period_s: int = quantity(1, unit="s", ge=1, source="Binance, from 18 Sep 2025", grade="B")
    ema_s: int = quantity(150, unit="s", ge=1, source="Hyperliquid", grade="A", text="time constant: median-oracle-ema")
    index: Literal["median-bid-last-ask", "basket"] = Field(
        default="median-bid-last-ask", description="of the venue's own spot market, or a basket over venues"
    )
    basket: tuple[tuple[str, int], ...] = Field(
        default=(), description='(venue, weight): venue by its name, or "own"; alone, the own spot stands for all'
    )


class FundingRules(Parameters):
    """The funding rate; rates per 8 hours."""

    interval_h: int = quantity(8, unit="h", ge=1, le=24, source="Binance BTCUSDT", grade="A")
    interest: DecimalText = quantity("0.0001", unit="rate/8h", source="Binance", grade="B")
    clamp: DecimalText = quantity("0.0005", unit="rate/8h", source="Binance", grade="B")
    cap: DecimalText = quantity("0.003", unit="rate/8h", source="range of BTCUSDT prints 2020-2026", grade="A")
    impact_usd: int = quantity(30_000, unit="$", gt=0, source="200 $ / initial margin at highest leverage", grade="M")
    sample_period_s: int = quantity(5, unit="s", ge=1, source="Binance documentation, from memory", grade="M")
    weights: Literal["linear", "equal"] = Field(default="linear", description="weights of an interval's samples")
    notional: Literal["mark", "index"] = Field(default="mark", description="price at which positions pay")


class PerpetualRules(Instrument):
    """A derivative: perpetual, inverse perpetual, or dated future."""

    tiers: tuple[TierRow, ...]
    mark: MarkRules = MarkRules()
    funding: FundingRules | None = Field(default=None, description="none for a dated future")
    inverse_contract: DecimalText | None = quantity(
        None, unit="$", source=_HERE, text="value of a coin-margined contract; then lot is 1 and settle the base"
    )
    expiry: datetime | None = Field(default=None, description="UTC; of a dated future")


# --- losses -----------------------------------------------------------------------------------------------------------
class LiquidationRules(Parameters):
    """What happens to an account below maintenance. The defaults of what a venue does not use change nothing."""

    order_limit: Literal["bankruptcy", "band", "none"] = Field(default="bankruptcy", description="worst price")
    sizing: Literal["bring-back", "whole", "share", "lower-tier"] = Field(
        default="bring-back", description="back to maintenance, all, a share a time, or down some tiers a time"
    )
    step_share: DecimalText = quantity("1", unit="share", source=_HERE, text="part closed at once: share")
    step_above_usd: int = quantity(0, unit="$", ge=0, source=_HERE, text="only larger positions go in steps: share")
    tiers_down: int = quantity(1, unit="tiers", ge=1, source=_HERE, text="how far at once: lower-tier")
    whole_up_to_tier: int = quantity(1, unit="tiers", ge=1, source=_HERE, text="these are closed whole: lower-tier")
    recheck_s: int = quantity(0, unit="s", ge=0, source=_HERE, text="after a step the account is left alone so long")
    cooldown_s: int = quantity(
        0, unit="s", ge=0, source=_HERE, text="forced again within this time after a step, it is closed whole"
    )
    takeover_partial: DecimalText = quantity(
        "1", unit="share", source=_HERE, text="of maintenance: equity below it after a step goes to the backstop"
    )
    takeover_whole: DecimalText = quantity("1", unit="share", source=_HERE, text="the same after an order for all")
    straight_to_backstop: bool = Field(
        default=False, description="equity below `takeover_partial` at the mark: not offered to the book first"
    )
    fee: DecimalText = quantity("0.0125", unit="rate", source="Binance BTCUSDT liquidationFee", grade="B")
    pays_taker_fee: bool = Field(default=False, description="whether forced orders also pay the taker fee")
    margin_share: DecimalText = quantity(
        "0", unit="share", source=_HERE, text="of the isolated margin that maintenance is at least"
    )
    deadline_s: int = quantity(0, unit="s", ge=0, source=_HERE, text="time to answer a margin call; 0: forced at once")


class BackstopRules(Parameters):
    """The insurance fund, liquidator vault or default fund."""

    size_usd: int = quantity(..., unit="$", ge=0, source=_HERE, text="capital at the opening")
    floor_usd: int = quantity(
        0, unit="$", source="no public threshold", text="marked equity that sets off deleveraging"
    )
    trigger: Literal["floor", "drawdown"] = Field(default="floor", description="what sets off deleveraging")
    drawdown: DecimalText = quantity("1", unit="share", source=_HERE, text="loss from the peak: drawdown")
    drawdown_window_h: int = quantity(8, unit="h", ge=1, source=_HERE, text="how far back the peak counts: drawdown")
    unload_share: DecimalText = quantity(
        "0.0005",
        unit="1/s",
        source="no public rule: half of it in 23 minutes",
        text="share of the inventory unloaded a second",
    )
    unload_slip: DecimalText = quantity(
        "0.0005", unit="rate", source="no public rule", text="how far from the best price the fund trades"
    )


class DeleverageRules(Parameters):
    """Who pays what the backstop cannot."""

    rule: Literal[
        "binance-queue",
        "bybit-queue",
        "hyperliquid-queue",
        "pro-rata",
        "capped-pro-rata",
        "socialised",
        "none",
    ] = "binance-queue"
    price: Literal["bankruptcy", "mark", "previous-mark"] = "bankruptcy"
    cancels_orders: bool = Field(default=True, description="whether the open orders of those chosen are cancelled")
    mark_beyond: DecimalText = quantity(
        "0", unit="rate", source=_HERE, text="the mark is used if bankruptcy lies further from it; 0: never"
    )


# --- hours ------------------------------------------------------------------------------------------------------------
class HoursRules(Parameters):
    """When derivatives trade, and the halt on a fast move."""

    weekly_close: WeekTime = Field(description="UTC")
    weekly_open: WeekTime = Field(description="UTC")
    daily_close: DayTime = Field(description="UTC")
    daily_open: DayTime = Field(description="UTC")
    breaker_move: DecimalText = quantity(..., unit="rate", source=_HERE, text="move that halts trading")
    breaker_window_s: int = quantity(..., unit="s", ge=1, source=_HERE, text="looking back so far")
    breaker_halt_s: int = quantity(..., unit="s", ge=1, source=_HERE)

    def is_open(self, at: datetime) -> bool:
        """Whether trading is open at this moment; at the instant of a close it no longer is."""
        at = at.astimezone(UTC)
        week = timedelta(days=7)
        since = (at - _week_start(at)) % week
        closed = (_of_week(self.weekly_open) - _of_week(self.weekly_close)) % week
        if (since - _of_week(self.weekly_close)) % week < closed:
            return False
        day = timedelta(days=1)
        pause = (_of_day(self.daily_open) - _of_day(self.daily_close)) % day
        return not (since - _of_day(self.daily_close)) % day < pause

    def next_open(self, at: datetime) -> datetime:
        """First full minute from `at` on at which trading is open."""
        minute = at.astimezone(UTC).replace(second=0, microsecond=0)
        if minute < at:
            minute += timedelta(minutes=1)
        while not self.is_open(minute):
            minute += timedelta(minutes=1)
        return minute


def _week_start(at: datetime) -> datetime:
    return datetime.combine(at.date() - timedelta(days=at.weekday()), time(0), tzinfo=UTC)


def _of_day(text: str) -> timedelta:
    hours, minutes = text[-5:].split(":")
    return timedelta(hours=int(hours), minutes=int(minutes))


def _of_week(text: str) -> timedelta:
    return timedelta(days=DAYS.index(text[:3])) + _of_day(text)
