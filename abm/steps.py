"""One record a tick: what the run's time series keep (`abm.recorder.STEP` gives the columns)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abm.state import BUY, I32, I64, SELL
from abm.units import MICRO, SATOSHI

if TYPE_CHECKING:
    from abm.clearing.trading import Tally
    from abm.model import MarketModel
    from abm.opening import Place

DEPTH_SHARE = 0.01
"""Depth is measured within this fraction of the mid, as in the venue's published depth snapshots."""
NAN = float("nan")


class Traffic:
    """Messages and fills of a tick by venue, int64 (V,); `venue` (M,) is that of each market."""

    def __init__(self, venue: I32) -> None:
        self._venue, self._venues = venue, int(venue.max()) + 1
        self.messages: I64 = np.zeros(self._venues, np.int64)
        self.fills: I64 = np.zeros(self._venues, np.int64)

    def clear(self) -> None:
        """Begin the next tick."""
        self.messages[:] = self.fills[:] = 0

    def count(self, messages: NDArray[Any], fills: NDArray[Any]) -> None:
        """Add a trade's MESSAGE (n,) and FILL (m,)."""
        for total, rows in ((self.messages, messages), (self.fills, fills)):
            if self._venues == 1:
                total += rows.size
            else:
                total += np.bincount(self._venue[rows["market"]], minlength=self._venues)


def step_record(model: MarketModel, place: Place, tally: Tally) -> dict[str, float]:
    """Values of the tick that has just ended at one venue or of one altcoin, by column name of `abm.recorder.STEP`.

    Units by suffix: dollars, coins (of the place's own coin, whatever the name), basis points; nan where there is
    nothing to measure. Messages, fills and the fund are those of the venue.
    """
    last = model.exchanges.last_ticks()
    return {
        **_prices(model, place, last),
        **_trading(model, place, tally, float(last[place.perp])),
        **_forced(model, place),
        **_institutions(model, place, float(last[place.spot])),
    }


def peg_record(model: MarketModel, spot: int, tally: Tally) -> dict[str, float]:
    """What there is of a collateral asset, which has a spot market only: its value and price, dollars, and volume."""
    dollars, values = float(model.markets.tick_dollars[spot]), model.beside
    return {
        "tick": model.tick,
        "fair_usd": float(values.usd[spot]) if values else NAN,
        "spot_usd": float(model.exchanges.last_ticks()[spot]) * dollars,
        "spot_volume_btc": float(tally.volume_lots[spot] * model.markets.lot_coins[spot]),
    }


def _prices(model: MarketModel, place: Place, last: I64) -> dict[str, float]:
    books, perp, spot, exchanges = model.books, place.perp, place.spot, model.exchanges
    dollars, spot_dollars = float(model.markets.tick_dollars[perp]), float(model.markets.tick_dollars[spot])
    bid, ask = books.best(perp, BUY), books.best(perp, SELL)
    mid = (bid + ask) / 2 if bid and ask else NAN
    record = {
        "tick": model.tick,
        "fair_usd": place.value.usd if place.value else model.world.usd,
        "spot_usd": int(last[spot]) * spot_dollars,
        "perp_usd": int(last[perp]) * dollars,
        "mark_usd": int(exchanges.mark_ticks[perp]) * dollars,
        "index_usd": int(exchanges.index_ticks[perp]) * dollars,
        "bid_usd": bid * dollars if bid else NAN,
        "ask_usd": ask * dollars if ask else NAN,
        "spread_bp": (ask - bid) / mid * 1e4,
        "news_fair_change": place.value.news_change if place.value else model.world.news_change,
    }
    centre, lot_coins = mid if mid == mid else float(last[perp]), float(model.markets.lot_coins[perp])
    for name, side in (("depth_bid_usd", BUY), ("depth_ask_usd", SELL)):
        lots = books.depth_lots(perp, side, round(centre * (1 - side * DEPTH_SHARE)))
        record[name] = lots * lot_coins * centre * dollars
    return record


def _trading(model: MarketModel, place: Place, tally: Tally, last: float) -> dict[str, float]:
    perp, spot = place.perp, place.spot
    markets = model.markets
    coins, dollars = float(markets.lot_coins[perp]), float(markets.tick_dollars[perp])
    open_lots = int(model.money.longs[markets.venue[perp], markets.slot[perp]])
    return {
        "rounds": model.round,
        "messages": int(model.traffic.messages[place.number]),
        "fills": int(model.traffic.fills[place.number]),
        "perp_high_usd": (int(tally.high_ticks[perp]) or last) * dollars,
        "perp_low_usd": (int(tally.low_ticks[perp]) or last) * dollars,
        "volume_btc": int(tally.volume_lots[perp]) * coins,
        "net_taker_btc": int(tally.net_taker_lots[perp]) * coins,
        "spot_volume_btc": int(tally.volume_lots[spot]) * float(markets.lot_coins[spot]),
        "open_interest_btc": open_lots * coins,
        "funding_bp_8h": model.exchanges.indicated_funding_bp(perp),
    }


def _forced(model: MarketModel, place: Place) -> dict[str, float]:
    t, fund = model.exchanges.tick_totals(place.perp), model.exchanges.fund_equity(place.number)
    return {
        "liquidated_long_usd": t.liquidated_long / MICRO,
        "liquidated_short_usd": t.liquidated_short / MICRO,
        "liquidated_long_accounts": t.long_accounts,
        "liquidated_short_accounts": t.short_accounts,
        "taken_over_usd": t.taken_over / MICRO,
        "adl_usd": t.deleveraged / MICRO,
        "adl_accounts": t.deleveraged_accounts,
        "fund_usd": fund / MICRO,
        "bad_debt_usd": max(0, -fund) / MICRO,
    }


def _institutions(model: MarketModel, place: Place, last: float) -> dict[str, float]:
    spot, markets = place.spot, model.markets
    base = int(markets.base[spot])
    coins = sum(int(model.accounts.cash[base, t.rows].sum()) for t in place.treasuries)
    price = last * float(markets.tick_dollars[spot])
    ratios = [t.loan_to_value(price) for t in place.treasuries if t.debt_usd > 0]
    return {
        "treasury_btc": coins / SATOSHI,
        "treasury_ltv": max(ratios, default=NAN),
        "makers_quoting": place.makers.offered,
    }
