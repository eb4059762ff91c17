"""What the tabs beside Market show of a model now: book, traders, venue, treasuries, and the map of liquidation prices.

Pure functions: a model (or arrays) in, plain data out; they change nothing. Money in dollars, sizes in coins of the
lead venue's perpetual.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abm.clearing.adl import winners_at
from abm.state import BUY, ISOLATED, KIND_NAMES, MAKER, SELL
from abm.units import INT64_MAX, MICRO, SATOSHI

if TYPE_CHECKING:
    from abm.model import MarketModel

Plain = dict[str, Any]
BOOK_LEVELS = 24
BOOK_REACH = 0.03
"""The book is shown within this fraction of the mid."""
MAP_BINS, MAP_REACH = 120, 0.30
"""Bins and reach (fraction of the opening price, either way) of the map of liquidation prices."""
LISTED = 40


def finite(value: float) -> float | None:
    """A number for JSON."""
    return float(value) if math.isfinite(value) else None


# --- book -------------------------------------------------------------------------------------------------------------
def book(model: MarketModel) -> Plain:
    """Resting orders of the perpetual by distance from the mid: makers and others, each side, in coins by bin."""
    books, perp = model.books, model.perp
    dollars, lot = float(model.markets.tick_dollars[perp]), float(model.markets.lot_coins[perp])
    bid, ask = books.best(perp, BUY), books.best(perp, SELL)
    last = float(model.exchanges.last_ticks()[perp])
    mid = (bid + ask) / 2 if bid and ask else last
    edges = np.linspace(0.0, BOOK_REACH, BOOK_LEVELS + 1)
    sides: Plain = {}
    for name, side in (("bids", BUY), ("asks", SELL)):
        ticks, lots, _, accounts, _ = books.resting(perp, side)
        away = np.abs(ticks / mid - 1.0)
        made = np.zeros(ticks.size, bool)
        known = accounts >= 0
        made[known] = model.accounts.kind[accounts[known]] == MAKER
        total = [np.histogram(away[mask], edges, weights=lots[mask] * lot)[0].tolist() for mask in (made, ~made)]
        sides[name] = {"makers": total[0], "others": total[1], "orders": int(ticks.size)}
    stops = books.waiting_stops(perp)
    return {
        "mid_usd": mid * dollars,
        "bid_usd": bid * dollars if bid else None,
        "ask_usd": ask * dollars if ask else None,
        "edges_percent": (100.0 * edges).tolist(),
        "makers_quoting": finite(float(model.latest["makers_quoting"])),
        "makers": int(model.setup.makers.count),
        "stops_waiting": int(stops.size),
        "depth_bid_usd": finite(float(model.latest["depth_bid_usd"])),
        "depth_ask_usd": finite(float(model.latest["depth_ask_usd"])),
        **sides,
    }


# --- accounts ---------------------------------------------------------------------------------------------------------
def _positions(model: MarketModel) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Rows of traders with a position on the lead perpetual, their lots, and their liquidation ticks (0 = none)."""
    accounts, perp = model.accounts, model.perp
    slot, venue = int(model.markets.slot[perp]), int(model.markets.venue[perp])
    held = accounts.position[slot]
    rows = np.flatnonzero(
        (held != 0) & (accounts.venue == venue) & (accounts.kind < KIND_NAMES.index("insurance fund"))
    )
    ladder = next(desk.ladder for desk in model.exchanges.desks if desk.market == perp)
    return rows, held[rows], ladder.liquidation_ticks(rows)


def account(model: MarketModel, row: int) -> Plain:
    """One account: position, entry, margin, equity, leverage, liquidation price and its distance.

    For a cross account the liquidation price holds the prices of its other positions.
    """
    accounts, markets, perp = model.accounts, model.markets, model.perp
    slot, settle = int(markets.slot[perp]), int(markets.settle[perp])
    unit = SATOSHI if markets.inverse[perp] else MICRO
    dollars, lot = float(markets.tick_dollars[perp]), float(markets.lot_coins[perp])
    mark = int(model.exchanges.mark_ticks[perp])
    lots, cost = int(accounts.position[slot, row]), int(accounts.entry_cost[slot, row])
    value = int(markets.value(perp, lots, mark))
    isolated = int(accounts.mode[row]) == ISOLATED
    margin, cash = int(accounts.margin[slot, row]), int(accounts.cash[settle, row])
    own = (margin if isolated else margin + cash) + value - cost
    ladder = next(desk.ladder for desk in model.exchanges.desks if desk.market == perp)
    tick = int(ladder.liquidation_ticks(np.array([row]))[0]) if lots else 0
    liquidation = tick * dollars if 0 < tick < INT64_MAX // 2 else None
    return {
        "account": row,
        "kind": KIND_NAMES[int(accounts.kind[row])],
        "mode": "isolated" if isolated else "cross",
        "side": (lots > 0) - (lots < 0),
        "coins": lots * lot,
        "notional_usd": abs(value) / unit,
        "entry_usd": abs(cost) / (abs(lots) * int(markets.tick_value[perp])) * dollars
        if lots and not markets.inverse[perp] else None,
        "margin_usd": margin / unit,
        "cash_usd": cash / unit,
        "profit_usd": (value - cost) / unit,
        "equity_usd": own / unit,
        "leverage": abs(value) / own if own > 0 and lots else None,
        "chosen_leverage": int(accounts.leverage[row]),
        "liquidation_usd": liquidation,
        "distance_percent": 100.0 * (liquidation / (mark * dollars) - 1.0) if liquidation else None,
        "open_orders": int(accounts.open_orders[perp, row]),
        "deleveraged_coins": int(accounts.deleveraged[slot, row]) * lot,
        "cost_exact": cost,
    }  # fmt: skip


def traders(model: MarketModel, order: str = "nearest", picked: int = -1) -> Plain:
    """The accounts nearest to liquidation, or the largest, and the one picked in full (any row of the table)."""
    rows, lots, ticks = _positions(model)
    mark = int(model.exchanges.mark_ticks[model.perp])
    if order == "largest":
        chosen = rows[np.argsort(-np.abs(lots), kind="stable")[:LISTED]]
    else:
        known = (ticks > 0) & (ticks < INT64_MAX // 2)
        away = np.abs(ticks[known] / mark - 1.0)
        chosen = rows[known][np.argsort(away, kind="stable")[:LISTED]]
    found = picked if 0 <= picked < model.accounts.rows else -1
    return {
        "order": order,
        "with_position": int(rows.size),
        "rows": [account(model, row) for row in chosen.tolist()],
        "picked": account(model, found) if found >= 0 else None,
        "last_account": model.accounts.rows - 1,
    }


# --- venue ------------------------------------------------------------------------------------------------------------
def venue(model: MarketModel) -> Plain:
    """The fund, the brackets as they are now, and whom the rule would close first if 1 % of the open interest failed.

    Both queues: winning shorts answer for bankrupt longs and the other way round.
    """
    perp = model.perp
    desk = next(desk for desk in model.exchanges.desks if desk.market == perp)
    markets, lot = model.markets, float(model.markets.lot_coins[perp])
    used = int((markets.tier_floor[perp] < INT64_MAX).sum())
    unit = SATOSHI if markets.inverse[perp] else MICRO
    rule = desk.backstop.rule
    queues: Plain = {}
    for name, side in (("shorts", SELL), ("longs", BUY)):
        winners = winners_at(markets, model.accounts, perp, side, int(desk.mark_ticks))
        asked = max(1, int(model.open_interest_lots[markets.venue[perp], markets.slot[perp]]) // 100)
        taken = rule.allocate(winners.needed(asked), winners) if rule.moves == "positions" else None
        listed = []
        if taken is not None:
            for at in np.argsort(-taken, kind="stable")[:12]:
                if taken[at] > 0:
                    profit, wallet = winners.unrealised[at] / unit, max(winners.equity[at] / unit, 1e-9)
                    listed.append(
                        {
                            "account": int(winners.rows[at]),
                            "coins": float(winners.size_lots[at] * lot),
                            "taken_coins": float(taken[at] * lot),
                            "profit_usd": float(profit),
                            "profit_percent": float(
                                100.0 * winners.unrealised[at] / max(winners.entry_notional[at], 1)
                            ),
                            "leverage": float(winners.notional[at] / unit / wallet),
                        }
                    )
        queues[name] = {"winners": int(winners.eligible.sum()), "asked_coins": asked * lot, "first": listed}
    place, backstop = model.places[0], model.setup.venue.backstop
    held = int(model.accounts.position[desk.slot, desk.fund_row])
    return {
        "name": place.name,
        "title": model.setup.venue.title,
        "fund_usd": model.exchanges.fund_equity(place.number) / MICRO,
        "fund_opening_usd": backstop.size_usd,
        "fund_position_coins": held * lot,
        "rule": model.setup.venue.deleverage.rule,
        "queues": queues,
        "tiers": [
            {
                "from_usd": float(markets.tier_floor[perp, i] / unit),
                "leverage": int(markets.tier_leverage[perp, i]),
                "maintenance_percent": float(markets.tier_maintenance[perp, i] / 1e6),
            }
            for i in range(used)
        ],
    }


# --- treasuries -------------------------------------------------------------------------------------------------------
def treasuries(model: MarketModel) -> Plain:
    """Each company: coins and what it sold, loan to value against its limit, the covenant's price, mNAV."""
    spot = model.spot
    price = float(model.exchanges.last_ticks()[spot] * model.markets.tick_dollars[spot])
    found = []
    for number, one in enumerate(model.treasuries):
        firm: Any = getattr(one, "firm", one)
        terms = firm.parameters
        coins = float(firm.coins)
        pledged = terms.coins - terms.tied_coins
        covenant = (
            firm.debt_usd / (terms.ltv_limit * max(coins - terms.tied_coins, 1e-9)) if firm.debt_usd > 0 else None
        )
        ratio = firm.loan_to_value(price)
        found.append(
            {
                "name": terms.name or f"company {number + 1}",
                "coins": coins,
                "opening_coins": float(terms.coins),
                "sold_coins": float(terms.coins) - coins,
                "pledged_coins": float(pledged),
                "debt_usd": float(firm.debt_usd),
                "cash_usd": float(firm.cash_usd),
                "ltv_percent": 100.0 * ratio if math.isfinite(ratio) else None,
                "limit_percent": 100.0 * terms.ltv_limit,
                "covenant_usd": covenant,
                "distance_percent": 100.0 * (covenant / price - 1.0) if covenant else None,
                "mnav": finite(float(firm.mnav)),
                "breaches": int(firm.breaches),
            }
        )
    return {"spot_usd": price, "companies": found}


# --- the map of liquidation prices ------------------------------------------------------------------------------------
def map_edges(opening_usd: float) -> NDArray[np.float64]:
    """Edges of the map's price bins, dollars, (MAP_BINS + 1,)."""
    return np.linspace(opening_usd * (1 - MAP_REACH), opening_usd * (1 + MAP_REACH), MAP_BINS + 1)


def liquidation_profile(model: MarketModel, edges: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    """Value at the mark, dollars, of longs and of shorts by the price at which they would be liquidated."""
    _, lots, ticks = _positions(model)
    perp = model.perp
    price = ticks * float(model.markets.tick_dollars[perp])
    value = np.abs(lots) * float(model.markets.lot_coins[perp] * model.latest["mark_usd"])
    found = [np.histogram(price[mask], edges, weights=value[mask])[0] for mask in (lots > 0, lots < 0)]
    return found[0].round().tolist(), found[1].round().tolist()
