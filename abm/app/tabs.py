"""What the tabs beside Market show of a model now: book, venue, treasuries, and the edges of the liquidation map.

Pure functions: a model and one of its places (a venue's perpetual, or an altcoin's) in, plain data out; they change
nothing. Money in dollars, sizes in coins of that perpetual. Accounts: `abm.app.ledger`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abm.clearing.adl import winners_at
from abm.clearing.adl.queue import Queue
from abm.clearing.adl.winners import Winners
from abm.state import BUY, FORCED, MAKER, SELL
from abm.units import INT64_MAX, MICRO, SATOSHI

if TYPE_CHECKING:
    from abm.model import MarketModel
    from abm.opening import Place

Plain = dict[str, Any]
BOOK_LEVELS, BOOK_REACH = 30, 0.03
"""Bins of the book a side, and its reach (fraction of the mid)."""
FORCED_S = 60.0
"""Forced trades of so many seconds stand beside the book."""
MAP_BINS, MAP_REACH = 120, 0.30
"""Bins and reach (fraction of the opening price, either way) of the map of liquidation prices."""
RANKS = 16
FAILED_SHARE = 0.01
"""The queue is asked: who is closed if this share of the open interest fails now?"""


def finite(value: float) -> float | None:
    """A number for JSON."""
    return float(value) if math.isfinite(value) else None


# --- book -------------------------------------------------------------------------------------------------------------
def book(model: MarketModel, place: Place, forced: NDArray[np.void]) -> Plain:
    """Orders of a perpetual by distance from the mid, each side, in coins by bin.

    Resting orders of makers, of people and, should an engine leave one, forced ones; stops by trigger price; and
    `forced`, fills of forced orders (rows of `abm.events.EVENT`), which take at once and never rest: sold into the
    bids, bought from the asks.
    """
    books, perp = model.books, place.perp
    dollars, lot = float(model.markets.tick_dollars[perp]), float(model.markets.lot_coins[perp])
    bid, ask = books.best(perp, BUY), books.best(perp, SELL)
    mid = (bid + ask) / 2 if bid and ask else float(model.exchanges.last_ticks()[perp])
    edges = np.linspace(0.0, BOOK_REACH, BOOK_LEVELS + 1)
    signed = np.linspace(-BOOK_REACH, BOOK_REACH, 2 * BOOK_LEVELS + 1)
    stops = books.waiting_stops(perp)
    sides: Plain = {}
    for name, side in (("bids", BUY), ("asks", SELL)):
        ticks, lots, _, accounts, handles = books.resting(perp, side)
        away = np.abs(ticks / mid - 1.0)
        known = accounts >= 0
        made = np.zeros(ticks.size, bool)
        made[known] = model.accounts.kind[accounts[known]] == MAKER
        by_force = (books.orders["flags"][handles & 0xFFFFFFFF] & FORCED) != 0
        classes = {"makers": made & ~by_force, "people": ~made & ~by_force, "forced": by_force}
        sides[name] = {"orders": int(ticks.size)} | {
            kind: np.histogram(away[mask], edges, weights=lots[mask] * lot)[0].tolist()
            for kind, mask in classes.items()
        }
        mine, taken = stops[stops["side"] == side], forced[forced["side"] == side]
        sides[name]["stops"] = np.histogram(mine["stop_ticks"] / mid - 1, signed, weights=mine["size_lots"] * lot)[
            0
        ].tolist()
        prices, sizes = taken["price_ticks"] / mid - 1.0, taken["size_lots"] * lot
        sides[name]["traded_by_force"] = np.histogram(prices, signed, weights=sizes)[0].tolist()
        sides[name]["forced_beyond"] = float(sizes[np.abs(prices) > BOOK_REACH].sum())
    return {
        **{
            "mid_usd": mid * dollars,
            "bid_usd": bid * dollars if bid else None,
            "ask_usd": ask * dollars if ask else None,
        },
        **{
            "edges_percent": (100.0 * edges).tolist(),
            "signed_percent": (100.0 * signed).tolist(),
            "forced_s": FORCED_S,
        },
        **{"makers_quoting": finite(float(place.makers.offered)), "makers": int(place.setup.makers.count)},
        "stops_waiting": int(stops.size),
        **sides,
    }


# --- venue ------------------------------------------------------------------------------------------------------------
def venue(model: MarketModel, place: Place) -> Plain:
    """The fund, the brackets as they are now, and whom the rule would close first if 1 % of the open interest failed.

    Both queues: winning shorts answer for bankrupt longs and the other way round.
    """
    perp, markets = place.perp, model.markets
    desk = next(desk for desk in model.exchanges.desks if desk.market == perp)
    lot = float(markets.lot_coins[perp])
    used = int((markets.tier_floor[perp] < INT64_MAX).sum())
    unit = SATOSHI if markets.inverse[perp] else MICRO
    asked = max(1, round(FAILED_SHARE * int(model.money.longs[markets.venue[perp], markets.slot[perp]])))
    queues: Plain = {}
    for name, side in (("shorts", SELL), ("longs", BUY)):
        winners = winners_at(markets, model.accounts, perp, side, int(desk.mark_ticks))
        first = _first(desk.backstop.rule, winners, asked, lot, unit)
        queues[name] = {"winners": int(winners.eligible.sum()), "asked_coins": asked * lot, "first": first}
    preset = place.setup.preset
    return {
        "name": place.name,
        "title": preset.title,
        "fund_usd": model.exchanges.fund_equity(place.number) / MICRO,
        "fund_opening_usd": preset.backstop.size_usd,
        "fund_position_coins": int(model.accounts.position[desk.slot, desk.fund_row]) * lot,
        "rule": preset.deleverage.rule,
        "ranked": isinstance(desk.backstop.rule, Queue),
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


def _first(rule: Any, winners: Winners, asked: int, lot: float, unit: int) -> list[Plain]:
    """The first winners of a queue in its order (of other rules those that give most), and what each would lose."""
    if rule.moves != "positions":
        return []
    taken = rule.allocate(winners.needed(asked), winners)
    if isinstance(rule, Queue):
        order = rule.ranking(winners, RANKS)[:RANKS]
    else:
        order = np.argsort(-taken, kind="stable")[:RANKS]
        order = order[taken[order] > 0]
    return [
        {
            "account": int(winners.rows[at]),
            "coins": float(winners.size_lots[at] * lot),
            "taken_coins": float(taken[at] * lot),
            "profit_usd": float(winners.unrealised[at] / unit),
            "profit_percent": float(100.0 * winners.unrealised[at] / max(winners.entry_notional[at], 1)),
            "leverage": float(winners.notional[at] / max(winners.equity[at], 1)),
        }
        for at in order.tolist()
    ]


# --- treasuries -------------------------------------------------------------------------------------------------------
def treasuries(model: MarketModel, place: Place) -> Plain:
    """Each company: coins and what it sold, loan to value against its limit, the covenant's price, mNAV."""
    price = float(model.exchanges.last_ticks()[place.spot] * model.markets.tick_dollars[place.spot])
    found = []
    for number, one in enumerate(place.treasuries):
        firm: Any = getattr(one, "firm", one)
        terms = firm.parameters
        coins, ratio = float(firm.coins), firm.loan_to_value(price)
        known = math.isfinite(ratio)
        covenant = price * ratio / terms.ltv_limit if known else None
        found.append(
            {
                "name": terms.name or f"company {number + 1}",
                "coins": coins,
                "opening_coins": float(terms.coins),
                "sold_coins": float(terms.coins) - coins,
                "debt_usd": float(firm.debt_usd),
                "cash_usd": float(firm.cash_usd),
                "ltv_percent": 100.0 * ratio if known else None,
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
