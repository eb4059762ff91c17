"""The kinds of `who-matters`: what switches each on or off in October. A new kind is a new line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of participant, or one of its habits.

    `part` is True when it is a part of the scenario and `settings` take it out; False when they bring it in.
    """

    name: str
    part: bool
    settings: tuple[str, ...]


def joined(kind: str, **parameters: Any) -> str:
    """Setting that adds one participant of a kind."""
    return f"participants={json.dumps([{'name': kind, 'kind': kind, 'parameters': parameters}])}"


def mixed(share: float, whole: Mapping[str, float], **parameters: Any) -> tuple[str, ...]:
    """Settings that hand a share of retail's coins, `whole`, to programs that follow the same rule."""
    people = tuple(f"retail.{name}={(1 - share) * coins:g}" for name, coins in whole.items())
    return (*people, joined("retail-bots", **parameters, **{name: share * coins for name, coins in whole.items()}))


_RETAIL_COINS = {
    "open_interest_coins": 83_000,
    "entrant_short_coins": 6_900,
    "entrant_long_coins": 5_000,
    "news_coins": 3_900,
}
KINDS: tuple[Kind, ...] = (
    Kind("retail: leverage", True, ("retail.most_leverage=1",)),
    Kind("retail: panic", True, ("retail.panic=0",)),
    Kind("retail: stop-losses", True, ("retail.stop_share=0",)),
    Kind("retail: new shorts", True, ("retail.short_gain=0",)),
    Kind("retail: trend followers", True, ("retail.trend_gain=0",)),
    Kind("retail: short covering", True, ("retail.cover_chance=0",)),
    Kind("retail: news traders", True, ("retail.news_coins=0",)),
    Kind("noise traders", True, ("noise.rate_coins=0",)),
    Kind("noise: more when it moves", True, ("noise.slope=0",)),
    Kind("makers: thinning", True, ("makers.thinning_max=1",)),
    Kind("makers: stop after losses", True, ("makers.loss_share=1000",)),
    Kind("arbitrageurs", True, ("arbitrageurs.rate_coins=0.001", "arbitrageurs.reversion_coins=0")),
    Kind("makers: quotes follow news", True, ("makers.follow_news=0",)),
    Kind("value buyers", True, ("value_buyers.coins=0",)),
    Kind("value sellers", True, ("value_sellers.coins=0",)),
    Kind("hedgers: closing", True, ("hedgers.close_share=0",)),
    Kind("treasury company", False, ("treasuries=[{coins=5000, debt_usd=280000000, ltv_limit=0.5}]",)),
    Kind("hedgers: sell coins after ADL", False, ("hedgers.sell_unhedged=1",)),
    Kind("beliefs", False, ("retail.beliefs.share=1",)),
    Kind("copy groups", False, ("retail.copying.share=0.3",)),
    Kind("herding on flow", False, ("retail.copying.herd_chance=0.1",)),
    Kind("RSI", False, ("retail.signals.rsi_share=0.2",)),
    Kind("algorithmic stops", False, ("retail.stops.share=[0.5, 0.5, 0.3, 0.1]",)),
    Kind("reaction to funding", False, ("retail.carry.leave=0.02", "retail.carry.enter=0.02")),
    Kind("adaptive leverage", False, ("retail.caution.share=0.65", "retail.caution.past_loss=1")),
    Kind("stablecoin reserve", False, ("retail.remedies.share=1", "retail.remedies.reserve=[0.05, 0.15]",
                                       "retail.remedies.top_up=0.5")),
    Kind("bots, a third of retail", False, mixed(1 / 3, _RETAIL_COINS, accounts=2_000)),
    Kind("ETF", False, (joined("etf"),)),
    Kind("leveraged funds", False, (joined("leveraged-fund"),)),
    Kind("stakers", False, (joined("staker"),)),
)  # fmt: skip
