"""The state of a simulation as arrays: messages, fills, markets and accounts.

A *market* is one book, (venue, instrument). An account *row* belongs to one venue and may hold every asset and a
position in each of that venue's instruments, which are numbered 0..K-1 within the venue (`Markets.slot`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]
I32 = NDArray[np.int32]
I16 = NDArray[np.int16]
I8 = NDArray[np.int8]

BUY = 1
SELL = -1
NOBODY = -1
"""No owner, no counterparty, no handle."""

# --- what a message asks for ------------------------------------------------------------------------------------------
LIMIT, MARKET, IOC, FOK, POST_ONLY, STOP, STOP_LIMIT, CANCEL, REPLACE, TRIGGER, REFUSED = range(11)
"""Operations. TRIGGER sets off a waiting stop (mark-price stops); admission turns an uncovered message into REFUSED."""

REDUCE_ONLY = 1
"""Flag: clipped so that it never opens or flips a position."""
FORCED = 2
"""Flag: sent by the liquidation engine; leaves initial margin and order reserves alone."""
ON_MARK = 4
"""Flag: a stop that watches the mark price, not the last trade."""

# --- self-trade modes -------------------------------------------------------------------------------------------------
SELF_TRADE_NONE, CANCEL_TAKER, CANCEL_MAKER, CANCEL_BOTH, DECREMENT = range(5)
SELF_TRADE_MODES = {
    "none": SELF_TRADE_NONE,
    "cancel-taker": CANCEL_TAKER,
    "cancel-maker": CANCEL_MAKER,
    "cancel-both": CANCEL_BOTH,
    "decrement": DECREMENT,
}
"""Their names in presets and order files."""

# --- how an order's quantity left the book without trading ------------------------------------------------------------
EXPIRED, CANCELLED, REJECTED, REPLACED, SELF_TRADED, CLIPPED, UNCOVERED = range(7)
"""Reasons of a `CLOSE` record. REPLACED: the old quantity of a replaced order; CLIPPED: reduce-only with nothing left
to reduce; UNCOVERED: refused at admission for want of margin or coins."""

MESSAGE = np.dtype(
    [
        ("market", np.int32),
        ("account", np.int32),  # row; NOBODY = no self-trade check, no position
        ("op", np.int8),
        ("side", np.int8),  # BUY or SELL
        ("flags", np.int8),
        ("reason", np.int8),  # a code of abm.events, copied to the fills
        ("latency", np.int8),  # class: lower goes first
        ("price_ticks", np.int64),  # limit; for market orders and stops the worst price, 0 = any
        ("stop_ticks", np.int64),
        ("size_lots", np.int64),
        ("order", np.int64),  # new orders: the id to be given; CANCEL, REPLACE, TRIGGER: the handle
        ("unit_reserve", np.int64),  # units reserved per lot, set by admission
        ("cause", np.int64),  # seq of the event that set this off, NOBODY if none
    ],
    align=True,
)

FILL = np.dtype(
    [
        ("market", np.int32),
        ("taker", np.int32),
        ("maker", np.int32),
        ("side", np.int8),  # the taker's
        ("taker_flags", np.int8),
        ("maker_flags", np.int8),
        ("reason", np.int8),  # the taker's
        ("price_ticks", np.int64),
        ("size_lots", np.int64),
        ("taker_order", np.int64),
        ("maker_order", np.int64),
        ("taker_reserve", np.int64),  # units reserved per lot
        ("maker_reserve", np.int64),
        ("cause", np.int64),
    ],
    align=True,
)

CLOSE = np.dtype(
    [
        ("market", np.int32),
        ("account", np.int32),
        ("side", np.int8),
        ("flags", np.int8),
        ("reason", np.int8),  # EXPIRED ... UNCOVERED
        ("op", np.int8),
        ("size_lots", np.int64),  # quantity that leaves; 0 for a rejected cancel
        ("order", np.int64),  # id
        ("unit_reserve", np.int64),
        ("message", np.int64),  # index in the batch
    ],
    align=True,
)

# --- markets ----------------------------------------------------------------------------------------------------------
SPOT, PERPETUAL = range(2)


def _none() -> I64:
    return np.zeros(0, np.int64)


@dataclass(slots=True)
class Markets:
    """Fixed facts of each market, one entry a market (M) unless said otherwise. Money in settlement asset units."""

    names: list[str]
    venue: I32
    kind: I32  # SPOT or PERPETUAL
    slot: I32  # position column among the venue's instruments; -1 for spot
    settle: I32  # asset of cash
    base: I32  # asset of coins (spot); for perpetuals the asset it follows
    tick_value: I64  # settlement units per tick and lot
    lot_units: I64  # base units (satoshi) in a lot
    taker_fee: I64  # rate
    maker_fee: I64  # rate, negative = rebate
    band: I64  # rate: how far a taker's worst price may lie from the mark
    price_filter: I64  # rate: how far beyond the mark a limit may bid up or offer down
    tick_dollars: NDArray[np.float64]  # for people and figures
    lot_coins: NDArray[np.float64]
    tier_floor: I64  # (M, T) notional in settlement units, first 0; unused tiers INT64_MAX
    tier_maintenance: I64  # (M, T) rate
    tier_amount: I64  # (M, T) settlement units, the amount that makes maintenance continuous
    tier_leverage: I64  # (M, T) highest whole-number leverage
    inverse: I64 = field(default_factory=_none)  # settlement units * ticks a lot; 0 = linear
    expiry_ms: I64 = field(default_factory=_none)  # of a dated future, since 1970 UTC; 0 = never

    def __post_init__(self) -> None:
        if self.inverse.size == 0:
            self.inverse = np.zeros(self.count, np.int64)
        if self.expiry_ms.size == 0:
            self.expiry_ms = np.zeros(self.count, np.int64)

    @property
    def count(self) -> int:
        """Number of markets, M."""
        return len(self.names)

    def value_of(self, market: int, lots: int, price_ticks: int) -> int:
        """`value` of one position, a whole number."""
        if self.inverse[market]:
            return int(self.value(market, lots, price_ticks))
        return int(lots) * int(price_ticks) * int(self.tick_value[market])

    def value(self, market: Any, lots: Any, price_ticks: Any) -> I64:
        """Signed value of signed lots at a price, settlement units; arrays of one shape. As `units.signed_value`."""
        lots, price = np.asarray(lots, np.int64), np.asarray(price_ticks, np.int64)
        linear: I64 = lots * price * self.tick_value[market]
        inverse = self.inverse[market]
        if not np.count_nonzero(inverse):
            return linear
        size, whole = np.abs(lots), inverse // price
        coins = whole * size + (inverse - whole * price) * size // price
        return np.where(inverse == 0, linear, -np.sign(lots) * coins)


# --- accounts ---------------------------------------------------------------------------------------------------------
CROSS, ISOLATED = range(2)

(
    RETAIL,
    MAKER,
    ARBITRAGEUR,
    VALUE_BUYER,
    TREASURY,
    HEDGER,
    ETF,
    LEVERAGED_FUND,
    STAKER,
    OWN_KIND,
    FUND,
    FEES,
    FUNDING_REMAINDER,
    ROUNDING,
    OUTSIDE,
) = range(15)
"""Kinds of row; OWN_KIND: of a trader that somebody added. From FUND on, rows belong to the venue or to the world, and
are never liquidated."""
KIND_NAMES = (
    "retail",
    "maker",
    "arbitrageur",
    "value buyer",
    "treasury",
    "hedger",
    "exchange-traded fund",
    "leveraged fund",
    "staker",
    "own kind",
    "insurance fund",
    "fees",
    "funding remainder",
    "rounding",
    "outside world",
)


@dataclass(slots=True)
class Accounts:
    """Every account as struct of arrays: R rows, A assets, K instruments of a venue.

    Settled wealth of a row in asset a is cash[a] (+ the isolated margins for its settlement asset); its equity adds
    value(position, mark) - entry_cost over its positions.
    """

    kind: I32  # (R,)
    venue: I32  # (R,)
    mode: I32  # (R,) CROSS or ISOLATED
    leverage: I64  # (R,) chosen leverage, a whole number
    cash: I64  # (A, R) units
    reserved: I64  # (A, R) units held for open orders: never negative
    margin: I64  # (K, R) isolated margin, units of the settlement asset
    position: I64  # (K, R) lots, signed
    entry_cost: I64  # (K, R) signed settlement value
    open_bid: I64  # (K, R) lots of resting and waiting orders that are not reduce-only
    open_ask: I64  # (K, R)
    cooldown_until_ms: I64  # (K, R) time before which the venue does not force the position again
    whole_until_ms: I64  # (K, R) time before which a forced position is closed whole, not in steps
    call_until_ms: I64  # (K, R) time by which a margin call must be answered; 0 = none
    deleveraged: I64  # (K, R) lots that deleveraging has taken so far, of which the venue tells the account
    backed: NDArray[np.bool_] = field(repr=False)  # (A, R) cross rows with coins that are collateral for this asset
    touched: NDArray[np.bool_] = field(repr=False)  # (R,) rows whose liquidation price must be recomputed

    @classmethod
    def empty(cls, rows: int, assets: int, instruments: int) -> Accounts:
        """All zero; shapes as in the field comments."""

        def table(n: int) -> I64:
            return np.zeros((n, rows), np.int64)

        return cls(
            kind=np.zeros(rows, np.int32),
            venue=np.zeros(rows, np.int32),
            mode=np.zeros(rows, np.int32),
            leverage=np.ones(rows, np.int64),
            cash=table(assets),
            reserved=table(assets),
            margin=table(instruments),
            position=table(instruments),
            entry_cost=table(instruments),
            open_bid=table(instruments),
            open_ask=table(instruments),
            cooldown_until_ms=table(instruments),
            whole_until_ms=table(instruments),
            call_until_ms=table(instruments),
            deleveraged=table(instruments),
            backed=np.zeros((assets, rows), np.bool_),
            touched=np.zeros(rows, np.bool_),
        )

    @property
    def rows(self) -> int:
        """Number of account rows, R."""
        return int(self.kind.size)
