"""The event log in words: what happened in a tick, what one event goes back to, what one account went through.

Events are `abm.events.EVENT` rows; `facts` are the recorder's (markets, assets). Lines are dicts of plain data: tick,
seq, kind (colour and filter), words, detail, usd, account (-1 = none).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.event_words import Facts, coins, sentence
from abm.events import (
    BAD_DEBT,
    BY_LIQUIDATION,
    COVENANT,
    DELEVERAGE,
    FILL_EVENT,
    FUNDING,
    HALT,
    LIQUIDATION,
    MARGIN_CALL,
    NEWS,
    REOPEN,
    ROUND_CAP,
    SETTLEMENT,
    TAKEOVER,
)
from abm.state import BUY, SELL

Line = dict[str, Any]
GROUPS = {NEWS: "news", COVENANT: "treasury", DELEVERAGE: "adl", TAKEOVER: "fund", BAD_DEBT: "fund"}
CHAIN_LENGTH = 40
STORY_LINES = 200


def usd(rows: NDArray[np.void], facts: Facts) -> NDArray[np.float64]:
    """Size times price of rows that have both, dollars."""
    tick = np.array([market["tick_dollars"] for market in facts["markets"]])
    return np.asarray(coins(rows, facts) * rows["price_ticks"] * tick[rows["market"]])


def millions(value: float) -> str:
    """`64.1 $M`, `2.30 $bn`, `12,400 $`."""
    size = abs(value)
    if size >= 1e9:
        return f"{value / 1e9:,.2f} $bn"
    if size >= 1e5:
        return f"{value / 1e6:,.1f} $M" if size >= 1e6 else f"{value / 1e6:,.2f} $M"
    return f"{value:,.0f} $"


def signed(value: float, digits: int) -> str:
    """A number with its sign, a true minus."""
    return f"{value:+.{digits}f}".replace("-", "−")


def lines(rows: NDArray[np.void], facts: Facts, mark_usd: float) -> list[Line]:
    """The lines of one tick, most telling last, from its events without ordinary fills."""
    found: list[Line] = []
    for kind, tell in TELLERS:
        mine = rows[rows["kind"] == kind]
        if mine.size:
            found += tell(mine, rows, facts, mark_usd)
    return found


def places(facts: Facts, alts: Sequence[str] = ()) -> list[dict[str, Any]]:
    """What a log can be about: each venue's coin, then each of `alts` at the lead venue: coin and market numbers."""
    markets, found = facts["markets"], []
    coin = next(one["base"] for one in markets if one["kind"] == "perpetual")
    for venue, base in [*((name, coin) for name in facts["venues"]), *((facts["venues"][0], alt) for alt in alts)]:
        mine = [n for n, one in enumerate(markets) if one["venue"] == venue and one["base"] == base]
        found.append({"coin": base, "markets": mine})
    others = set(range(len(markets))).difference(*(one["markets"] for one in found))
    found[0]["markets"] += sorted(others)  # what belongs to no other place is told at the lead venue
    return found


class Teller:
    """Lines of tick after tick about one of `places`.

    News that moves the value for many ticks is told once, when it begins; events of no market are told everywhere.
    """

    def __init__(self, place: Mapping[str, Any]) -> None:
        self.place = place
        self._markets = np.array([-1, *place["markets"]])
        self._news_tick = -1

    def lines(self, rows: NDArray[np.void], facts: Facts, mark_usd: float) -> list[Line]:
        """The new lines of one tick."""
        rows = rows[np.isin(rows["market"], self._markets) | (rows["kind"] == NEWS)]
        told = lines(rows, facts, mark_usd)
        news = next((line for line in told if line["kind"] == "news"), None)
        if news is not None:
            told = [line for line in told if line is not news or news["tick"] > self._news_tick + 1]
            self._news_tick = news["tick"]
        return told


def _line(row: np.void, kind: str, words: str, detail: str, amount: float = 0.0, account: int = -1) -> Line:
    return {
        **{"tick": int(row["tick"]), "seq": int(row["seq"]), "kind": kind, "words": words, "detail": detail},
        **{"usd": amount, "account": account},
    }


def _news(mine: NDArray[np.void], _rows: Any, _facts: Facts, _mark: float) -> list[Line]:
    change = float(mine["amount"].sum()) / 1e4
    return [_line(mine[0], "news", "News moves the fair value", f"{signed(change, 2)} % in this tick")]


def _liquidations(mine: NDArray[np.void], rows: NDArray[np.void], facts: Facts, mark: float) -> list[Line]:
    found = []
    forced = rows[(rows["kind"] == FILL_EVENT) & (rows["reason"] == BY_LIQUIDATION)]
    for side, kind, noun, verb in ((SELL, "long", "long", "sold"), (BUY, "short", "short", "bought")):
        side_rows = mine[mine["side"] == side]
        if side_rows.size == 0:
            continue
        traded = float(usd(forced[forced["side"] == side], facts).sum())
        size = coins(side_rows, facts)
        largest = side_rows[int(np.argmax(size))]
        accounts = np.unique(side_rows["account"]).size
        account, most = int(largest["account"]), float(size.max()) * mark
        words = f"{accounts:,} {noun}s liquidated" if accounts > 1 else f"{noun.title()} {millions(most)} liquidated"
        detail = (f"{millions(traded)} {verb} in the book" if traded else "the book took nothing") + (
            f"; largest {millions(most)}" if accounts > 1 else ""
        )
        found.append(_line(largest, kind, words, f"{detail}, account {account:,}", traded, account))
    return found


def _takeovers(mine: NDArray[np.void], _rows: Any, facts: Facts, mark: float) -> list[Line]:
    size = float(coins(mine, facts).sum()) * mark
    many = f"{mine.size:,} positions" if mine.size > 1 else "a position"
    return [_line(mine[0], "fund", f"Fund takes over {many}", f"{millions(size)} that the book did not take", size)]


def _bad_debt(mine: NDArray[np.void], _rows: Any, _facts: Facts, _mark: float) -> list[Line]:
    paid = float(mine["amount"].sum()) / 1e6
    return [_line(mine[0], "fund", f"Fund pays {millions(paid)}", "losses beyond the margin of the bankrupt", paid)]


def _deleverage(mine: NDArray[np.void], _rows: Any, facts: Facts, mark: float) -> list[Line]:
    size = coins(mine, facts) * mark
    winners, largest = np.unique(mine["counterparty"]).size, mine[int(np.argmax(size))]
    words = f"ADL: {winners:,} winner{'s' if winners != 1 else ''} closed"
    detail = f"{millions(float(size.sum()))} taken from them, largest account {int(largest['counterparty']):,}"
    return [_line(largest, "adl", words, detail, float(size.sum()), int(largest["counterparty"]))]


def _covenant(mine: NDArray[np.void], _rows: Any, facts: Facts, _mark: float) -> list[Line]:
    found = []
    for row, many in zip(mine, coins(mine, facts), strict=True):
        ltv = float(row["amount"]) / 1e4
        words = f"Treasury must sell {float(many):,.0f} {facts['markets'][int(row['market'])]['base']}"
        found.append(_line(row, "treasury", words, f"loan to value {ltv:.1f} %", 0.0, int(row["account"])))
    return found


def _funding(mine: NDArray[np.void], _rows: Any, _facts: Facts, _mark: float) -> list[Line]:
    rate = float(mine["amount"][0]) / 1e4
    return [_line(mine[0], "market", f"Funding {signed(rate, 2)} bp", "longs pay shorts if above zero")]


def _simple(kind: str, words: str, detail: str) -> Callable[..., list[Line]]:
    def tell(mine: NDArray[np.void], _rows: Any, _facts: Facts, _mark: float) -> list[Line]:
        return [_line(mine[0], kind, words, detail if mine.size == 1 else f"{detail} ({mine.size:,} times)")]

    return tell


TELLERS: tuple[tuple[int, Callable[..., list[Line]]], ...] = (
    (NEWS, _news),
    (FUNDING, _funding),
    (MARGIN_CALL, _simple("market", "Margin call", "the account has time to answer")),
    (LIQUIDATION, _liquidations),
    (COVENANT, _covenant),
    (TAKEOVER, _takeovers),
    (BAD_DEBT, _bad_debt),
    (DELEVERAGE, _deleverage),
    (HALT, _simple("market", "Trading halts", "circuit breaker, hours or outage")),
    (REOPEN, _simple("market", "Trading opens again", "by an auction")),
    (ROUND_CAP, _simple("market", "Rounds of this tick used up", "more accounts wait for the next tick")),
    (SETTLEMENT, _simple("market", "Contract settles", "every position closes at the settlement price")),
)


# --- causes and accounts ----------------------------------------------------------------------------------------------
def _words(row: np.void, facts: Facts) -> tuple[str, str]:
    """Kind and words of one event."""
    kind, side = int(row["kind"]), int(row["side"])
    colour = "long" if side == SELL else "short"
    if kind == LIQUIDATION or (kind == FILL_EVENT and int(row["reason"]) == BY_LIQUIDATION):
        return colour, sentence(row, facts)
    return GROUPS.get(kind, "market"), sentence(row, facts)


def chain(kept: NDArray[np.void], seq: int, facts: Facts) -> list[Line]:
    """What an event goes back to, newest first: event, its cause, the cause of that; `kept` is sorted by seq.

    It ends at an event that nothing kept caused. A fill stands for all fills of its order.
    """
    found: list[Line] = []
    while seq >= 0 and len(found) < CHAIN_LENGTH:
        at = int(np.searchsorted(kept["seq"], seq))
        if at >= kept.size or int(kept["seq"][at]) != seq:
            break
        row = kept[at]
        kind, words = _words(row, facts)
        found.append(_line(row, kind, words, "", 0.0, int(row["account"])))
        seq = int(row["cause"])
    return found


def account_story(kept: NDArray[np.void], account: int, facts: Facts) -> list[Line]:
    """The events of one account among those kept, oldest first, at most the last 200."""
    mine = kept[(kept["account"] == account) | (kept["counterparty"] == account)][-STORY_LINES:]
    found = []
    for row in mine:
        kind, words = _words(row, facts)
        role = "" if int(row["account"]) == account else " (the other side)"
        found.append(_line(row, kind, words + role, "", 0.0, account))
    return found
