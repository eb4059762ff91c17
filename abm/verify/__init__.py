"""The independent accountant: rebuilds every closing balance of a run from its opening balances and its events.

It shares nothing with the code that cleared the trades: it reads the files of a run folder, applies the money rules
of `docs/money.md` to plain integers, and compares. A posting to the wrong row leaves every sum of the model's own
audit intact; here it does not, because each row is rebuilt by itself.

Compared, for every row: settled wealth per asset (cash plus the isolated margins held in that asset), position and
entry cost per instrument. How wealth is split between cash and isolated margin is the account's own affair.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from abm.events import BY_FUND, BY_LIQUIDATION, FILL_EVENT, FUNDING, KIND_NAMES, SCHEDULE, SETTLEMENT
from abm.state import PERPETUAL
from abm.units import RATE_ONE
from abm.verify.replay import PAYMENTS, TRADES, Batch, Books, Market, Replay, VerifyError, batches, read_markets

__all__ = ["Difference", "VerifyError", "VerifyReport", "verify_run"]

TWO_SIDED = (*TRADES, *PAYMENTS)
PER_MARKET = (*TRADES, FUNDING, SETTLEMENT, SCHEDULE)
SHOWN = 20
"""Differences and problems that the text lists; the report holds all."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A balance that the events do not explain. Units: of the asset (wealth, entry cost) or lots (position)."""

    row: int
    column: str
    expected: int  # what the replay gives
    found: int  # what closing.parquet says
    first_seq: int | None  # first event that touched this balance; looked up for the first `SHOWN` differences
    first_kind: str = ""

    def __str__(self) -> str:
        first = "" if self.first_seq is None else f"; first touched by event {self.first_seq} ({self.first_kind})"
        off = self.found - self.expected
        return f"row {self.row} {self.column}: replayed {self.expected:,}, stored {self.found:,} ({off:+,}){first}"


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """Outcome of a verification."""

    name: str
    events: int
    fills: int
    rows: int
    differences: list[Difference]
    problems: list[str]  # events that contradict themselves, sums that do not vanish
    complete: bool = True

    @property
    def ok(self) -> bool:
        """True when every balance is explained and nothing contradicts itself."""
        return not self.differences and not self.problems

    @property
    def text(self) -> str:
        """The report for people, a line or a few."""
        size = f"{self.events:,} events ({self.fills:,} fills), {self.rows:,} rows"
        if not self.complete:
            size += ", a run that was broken off"
        if self.ok:
            return f"{self.name}: {size}: every closing balance follows from the opening balances and the events"
        lines = [f"{self.name}: {size}: {len(self.differences)} unexplained balances, {len(self.problems)} problems"]
        lines += [f"  {item}" for item in self.problems[:SHOWN]]
        lines += [f"  {item}" for item in self.differences[:SHOWN]]
        hidden = max(len(self.problems) - SHOWN, 0) + max(len(self.differences) - SHOWN, 0)
        return "\n".join([*lines, f"  and {hidden} more"] if hidden else lines)


def impossible(batch: Batch, markets: list[Market], assets: int, rows: int) -> str | None:
    """The first event that cannot be replayed at all, in words; None when all can."""
    kind, account, other = batch["kind"], batch["account"], batch["counterparty"]
    two, per_market, trades = np.isin(kind, TWO_SIDED), np.isin(kind, PER_MARKET), np.isin(kind, TRADES)
    no_market = per_market & ((batch["market"] < 0) | (batch["market"] >= len(markets)))
    m = np.where(no_market | ~per_market, 0, batch["market"])
    spot = np.array([market.kind != PERPETUAL for market in markets])[m]
    checks = {
        "unknown kind": (kind < 0) | (kind >= len(KIND_NAMES)),
        "no such market": no_market,
        "a spot market has no positions": per_market & (kind != FILL_EVENT) & spot,
        "no such asset": two & ~trades & ((batch["asset"] < 0) | (batch["asset"] >= assets)),
        "no such account row": two & ((account < 0) | (account >= rows)),
        "no such counterparty row": two & ((other < 0) | (other >= rows)),
        "side is neither 1 nor -1": trades & (np.abs(batch["side"]) != 1),
        "size is not positive": trades & (batch["size_lots"] <= 0),
    }
    for words, bad in checks.items():
        if bad.any():
            i = int(np.argmax(bad))
            return f"event {batch['seq'][i]} (kind {kind[i]}): {words}"
    return None


def _contradictions(batch: Batch, markets: list[Market], last_seq: int) -> Iterator[str]:
    """Events whose own columns disagree: order, cause, value, fees."""
    seq, kind, value, reason = batch["seq"], batch["kind"], batch["amount"], batch["reason"]
    fill = kind == FILL_EVENT
    m = np.where(fill, batch["market"], 0)  # any market will do where the column means nothing
    tick_value, inverse, taker_rate, maker_rate = (
        np.array([getattr(market, name) for market in markets], np.int64)[m]
        for name in ("tick_value", "inverse", "taker_fee", "maker_fee")
    )
    for i in np.flatnonzero(kind == SCHEDULE).tolist():  # a new taker fee, for what is traded after it
        taker_rate[i + 1 :][batch["market"][i + 1 :] == batch["market"][i]] = value[i]
    price, lots = np.maximum(batch["price_ticks"], 1), batch["size_lots"]
    coins = inverse // price * lots + (inverse % price) * lots // price
    worth = np.where(inverse == 0, price * lots * tick_value, coins)
    # ceil(value * rate) in two steps that stay inside 64 bits: minus the floor of minus the value.
    whole, rest = np.divmod(-value, RATE_ONE)
    taker_due, maker_due = (-(whole * rate + rest * rate // RATE_ONE) for rate in (taker_rate, maker_rate))
    # Orders of the venue's own engine: many venues ask the liquidation fee instead, and nothing of their fund.
    exempt = np.isin(reason, (BY_LIQUIDATION, BY_FUND)) & (batch["fee_taker"] == 0)
    checks = {
        "seq does not rise": np.diff(seq, prepend=last_seq) <= 0,
        "cause is not earlier": batch["cause"] >= seq,
        "value is not price x size": fill & ((value != worth) | (batch["price_ticks"] <= 0)),
        "taker fee is not the schedule's": fill & ~exempt & (batch["fee_taker"] != taker_due),
        "maker fee is not the schedule's": fill & (batch["fee_maker"] != maker_due),
        "amount is negative": np.isin(kind, PAYMENTS) & (value < 0),
    }
    for words, bad in checks.items():
        yield from (f"event {seq[i]} ({KIND_NAMES[kind[i]]}): {words}" for i in np.flatnonzero(bad).tolist())


def _rescheduled(batch: Batch, markets: list[Market]) -> list[Market]:
    """The markets with the fees that hold after the batch."""
    changed = list(markets)
    for i in np.flatnonzero(batch["kind"] == SCHEDULE).tolist():
        m = int(batch["market"][i])
        changed[m] = replace(changed[m], taker_fee=int(batch["amount"][i]))
    return changed


def _sums(when: str, books: Books, markets: list[Market], assets: list[str]) -> Iterator[str]:
    """What must vanish over all rows: net money and coins (the outside world is a row), longs against shorts."""
    net = [sum(rows) for rows in books.wealth]
    for market in markets:
        if market.kind != PERPETUAL:
            continue
        position, cost = books.position[market.slot], books.cost[market.slot]
        rows = [row for row, venue in enumerate(books.venue) if venue == market.venue]
        net[market.settle] -= sum(cost[row] for row in rows)
        if lots := sum(position[row] for row in rows):
            yield f"{when}: positions in slot {market.slot} of venue {market.venue} add up to {lots:,} lots, not 0"
    for name, total in zip(assets, net, strict=True):
        if total:
            yield f"{when}: cash + margin - entry cost over all rows is {total:,} units of {name}, not 0"


def _first_touch(path: Path, wanted: list[tuple[int, str]], replay: Replay) -> dict[tuple[int, str], tuple[int, str]]:
    """(seq, kind) of the first event that can have moved each wanted (row, column); absent if none."""
    found: dict[tuple[int, str], tuple[int, str]] = {}
    slot_of = np.array([market.slot for market in replay.markets], np.int64)
    venue_of = np.array([market.venue for market in replay.markets], np.int64)
    fees_of = np.array(replay.fees_row, np.int64)
    for batch in batches(path) if wanted else ():
        kind, trades = batch["kind"], np.isin(batch["kind"], TRADES)
        m = np.where(np.isin(kind, PER_MARKET), batch["market"], 0) % len(replay.markets)
        for row, column in wanted:
            if (row, column) in found:
                continue
            hit = np.isin(kind, TWO_SIDED) & ((batch["account"] == row) | (batch["counterparty"] == row))
            if column.startswith("cash"):
                hit |= (kind == FILL_EVENT) & (fees_of[m] == row)
                hit |= np.isin(kind, (FUNDING, SETTLEMENT)) & (venue_of[m] == replay.books.venue[row])
            else:
                hit &= trades & (slot_of[m] == int(column.rsplit("_", 1)[1]))
            if hit.any():
                i = int(np.argmax(hit))
                found[row, column] = (int(batch["seq"][i]), KIND_NAMES[kind[i]])
    return found


def _compare(path: Path, replay: Replay, closing: Books, assets: list[str]) -> list[Difference]:
    """Every balance in which the replay and the closing file disagree, with the first event that touched it."""
    off = [
        (row, name, expected, found)
        for (name, ours), (_, theirs) in zip(replay.books.columns(assets), closing.columns(assets), strict=True)
        if ours != theirs
        for row, (expected, found) in enumerate(zip(ours, theirs, strict=True))
        if expected != found
    ]
    touched = _first_touch(path, [(row, name) for row, name, *_ in off[:SHOWN]], replay)
    return [Difference(*item, *touched.get((item[0], item[1]), (None, ""))) for item in off]


def verify_run(path: str | Path) -> VerifyReport:
    """Replay a run folder (`run.json`, `opening`, `events`, `closing.parquet`) and compare with its closing balances.

    Raises VerifyError when the folder is not a run or kept no events. A wrong balance is no error but a finding.
    """
    folder = Path(path)
    needed = ("run.json", "opening.parquet", "events.parquet", "closing.parquet")
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        hint = "; a run recorded at level `summary` keeps no events" if "run.json" not in missing else ""
        raise VerifyError(f"{folder} lacks {', '.join(missing)}{hint}")
    try:
        info = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        markets, assets = read_markets(info), [str(name) for name in info["assets"]]
    except (KeyError, ValueError, TypeError) as error:
        raise VerifyError(f"{folder / 'run.json'} does not describe its markets: {error!r}") from error
    opening = Books.read(folder / "opening.parquet", assets, markets)
    closing = Books.read(folder / "closing.parquet", assets, markets)
    name, complete = str(info.get("name", folder.name)), bool(info.get("complete", True))
    problems = [*_sums("opening", opening, markets, assets), *_sums("closing", closing, markets, assets)]
    if (opening.kind, opening.venue) != (closing.kind, closing.venue):
        problems.append("opening and closing do not list the same rows (number, kind or venue differ)")
        return VerifyReport(name, 0, 0, opening.rows, [], problems, complete)
    replay = Replay(opening, markets)
    last_seq = -1
    for batch in batches(folder / "events.parquet"):
        if words := impossible(batch, markets, len(assets), opening.rows):
            problems.append(f"{words}; the replay stops before its batch")
            break
        problems += _contradictions(batch, markets, last_seq)
        last_seq = int(batch["seq"][-1])
        markets = _rescheduled(batch, markets)
        replay.run(batch)
    differences = _compare(folder / "events.parquet", replay, closing, assets)
    return VerifyReport(name, replay.events, replay.fills, opening.rows, differences, problems, complete)
