"""Who pays when the insurance fund cannot take a bankrupt position: deleveraging and loss rules, one file each.

A rule is any object with `moves` and `allocate(needed_lots, winners) -> lots per row`. The engine executes what it
returns and checks it with `check_allocation`: winners only, no side flip, and in total as much as is needed or all
there is. Rules that move cash or nothing close nobody.
"""

from abm.clearing.adl.binance import BinanceQueue
from abm.clearing.adl.bybit import BybitQueue
from abm.clearing.adl.capped_pro_rata import CappedProRata
from abm.clearing.adl.hyperliquid import HyperliquidQueue
from abm.clearing.adl.none import NoDeleveraging
from abm.clearing.adl.pro_rata import ProRata
from abm.clearing.adl.rules import RULES, deleveraging_rule
from abm.clearing.adl.socialised import Holders, SocialisedLoss
from abm.clearing.adl.winners import (
    AllocationError,
    DeleveragingRule,
    Moves,
    Winners,
    check_allocation,
    winners_at,
)

__all__ = [
    "RULES",
    "AllocationError",
    "BinanceQueue",
    "BybitQueue",
    "CappedProRata",
    "DeleveragingRule",
    "Holders",
    "HyperliquidQueue",
    "Moves",
    "NoDeleveraging",
    "ProRata",
    "SocialisedLoss",
    "Winners",
    "check_allocation",
    "deleveraging_rule",
    "winners_at",
]
