"""The rules by the names that presets use."""

from __future__ import annotations

from collections.abc import Callable

from abm.clearing.adl.binance import BinanceQueue
from abm.clearing.adl.bybit import BybitQueue
from abm.clearing.adl.capped_pro_rata import CappedProRata
from abm.clearing.adl.hyperliquid import HyperliquidQueue
from abm.clearing.adl.none import NoDeleveraging
from abm.clearing.adl.pro_rata import ProRata
from abm.clearing.adl.socialised import SocialisedLoss
from abm.clearing.adl.winners import DeleveragingRule

RULES: dict[str, Callable[[int], DeleveragingRule]] = {
    "binance-queue": BinanceQueue,
    "bybit-queue": lambda one: BybitQueue(),
    "hyperliquid-queue": lambda one: HyperliquidQueue(),
    "pro-rata": lambda one: ProRata(),
    "capped-pro-rata": lambda one: CappedProRata(),
    "socialised": lambda one: SocialisedLoss(),
    "none": lambda one: NoDeleveraging(),
}
"""A rule by its name, made for a settlement coin of so many units."""


def deleveraging_rule(name: str, one: int = 1_000_000) -> DeleveragingRule:
    """The rule of this name; `one` is one whole settlement coin in units. Raises ValueError for an unknown name."""
    if name not in RULES:
        raise ValueError(f"deleveraging rule {name!r} is not known; take one of {', '.join(RULES)}")
    return RULES[name](one)
