"""One record a tick: what the run's time series keep (`abm.recorder.STEP` gives the columns)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abm.state import BUY, SELL
from abm.units import MICRO, SATOSHI

if TYPE_CHECKING:
    from abm.clearing.trading import Tally
    from abm.model import MarketModel

DEPTH_SHARE = 0.01
"""Depth is measured within this fraction of the mid, as in the venue's published depth snapshots."""
NAN = float("nan")


def step_record(model: MarketModel, tally: Tally) -> dict[str, float]:
    """Values of the tick that has just ended, by column name of `abm.recorder.STEP`.

    Units by suffix: dollars, coins, basis points; nan where there is nothing to measure.
    """
    return {**_prices(model), **_trading(model, tally), **_forced(model), **_institutions(model)}


def _prices(model: MarketModel) -> dict[str, float]:
    books, perp, spot = model.books, model.perp, model.spot
    dollars = model.markets.tick_dollars
    last = model.exchanges.last_ticks()
    bid, ask = books.best(perp, BUY), books.best(perp, SELL)
    mid = (bid + ask) / 2 if bid and ask else NAN
    record = {
        "tick": model.tick,
        "fair_usd": model.world.usd,
        "spot_usd": last[spot] * dollars[spot],
        "perp_usd": last[perp] * dollars[perp],
        "mark_usd": model.exchanges.mark_ticks[perp] * dollars[perp],
        "index_usd": model.exchanges.index_ticks[perp] * dollars[perp],
        "bid_usd": bid * dollars[perp] if bid else NAN,
        "ask_usd": ask * dollars[perp] if ask else NAN,
        "spread_bp": (ask - bid) / mid * 1e4,
        "news_fair_change": model.world.news_change,
    }
    for name, side in (("depth_bid_usd", BUY), ("depth_ask_usd", SELL)):
        centre = mid if mid == mid else float(last[perp])
        lots = books.depth_lots(perp, side, round(centre * (1 - side * DEPTH_SHARE)))
        record[name] = lots * model.markets.lot_coins[perp] * centre * dollars[perp]
    return record


def _trading(model: MarketModel, tally: Tally) -> dict[str, float]:
    perp, spot = model.perp, model.spot
    markets = model.markets
    coins, dollars = markets.lot_coins, markets.tick_dollars[perp]
    last = float(model.exchanges.last_ticks()[perp])
    open_lots = model.open_interest_lots[markets.venue[perp], markets.slot[perp]]
    return {
        "rounds": model.round,
        "messages": tally.messages,
        "fills": tally.fills,
        "perp_high_usd": (tally.high_ticks[perp] or last) * dollars,
        "perp_low_usd": (tally.low_ticks[perp] or last) * dollars,
        "volume_btc": tally.volume_lots[perp] * coins[perp],
        "net_taker_btc": tally.net_taker_lots[perp] * coins[perp],
        "spot_volume_btc": tally.volume_lots[spot] * coins[spot],
        "open_interest_btc": open_lots * coins[perp],
        "funding_bp_8h": model.exchanges.indicated_funding_bp(perp),
    }


def _forced(model: MarketModel) -> dict[str, float]:
    t = model.exchanges.tick_totals()
    return {
        "liquidated_long_usd": t.liquidated_long / MICRO,
        "liquidated_short_usd": t.liquidated_short / MICRO,
        "liquidated_long_accounts": t.long_accounts,
        "liquidated_short_accounts": t.short_accounts,
        "taken_over_usd": t.taken_over / MICRO,
        "adl_usd": t.deleveraged / MICRO,
        "adl_accounts": t.deleveraged_accounts,
        "fund_usd": model.exchanges.fund_equity() / MICRO,
        "bad_debt_usd": max(0, -model.exchanges.fund_equity()) / MICRO,
    }


def _institutions(model: MarketModel) -> dict[str, float]:
    spot, markets = model.spot, model.markets
    base = int(markets.base[spot])
    coins = sum(int(model.accounts.cash[base, t.rows].sum()) for t in model.treasuries)
    price = float(model.exchanges.last_ticks()[spot] * markets.tick_dollars[spot])
    ratios = [t.loan_to_value(price) for t in model.treasuries if t.debt_usd > 0]
    return {
        "treasury_btc": coins / SATOSHI,
        "treasury_ltv": max(ratios, default=NAN),
        "makers_quoting": model.makers.offered,
    }


