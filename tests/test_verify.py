"""The replayer against run folders made by hand: every kind of event, and every kind of lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abm.events import (
    BAD_DEBT,
    BY_LIQUIDATION,
    DELEVERAGE,
    EVENT,
    FILL_EVENT,
    FUNDING,
    LIQUIDATION,
    LIQUIDATION_FEE,
    NEWS,
    TAKEOVER,
    TRANSFER,
)
from abm.state import CROSS, FEES, FUND, FUNDING_REMAINDER, ISOLATED, NOBODY, OUTSIDE, RETAIL, ROUNDING
from abm.verify import VerifyError, verify_run
from abm.verify.replay import trade

SPOT_MARKET, PERP = 0, 1
USDT, BTC = 0, 1
ANN, BOB, CAT, DAN, THE_FUND, THE_FEES, REMAINDER, ROUND, WORLD = range(9)
KINDS = [RETAIL, RETAIL, RETAIL, RETAIL, FUND, FEES, FUNDING_REMAINDER, ROUNDING, OUTSIDE]
TICK_VALUE = 100  # micro-dollars: a tick of 0.1 dollar on a lot of 0.001 BTC

INFO: dict[str, Any] = {
    "name": "by-hand",
    "complete": True,
    "assets": ["USDT", "BTC"],
    "venues": ["binance"],
    "markets": [
        {
            "name": name,
            "venue": "binance",
            "kind": kind,
            "slot": slot,
            "settle": "USDT",
            "base": "BTC",
            "tick_value": TICK_VALUE,
            "lot_units": 100_000,
            "taker_fee": 50_000,  # 0.05 %
            "maker_fee": 20_000,
        }
        for name, kind, slot in (("BTCUSDT spot", "spot", -1), ("BTCUSDT perpetual", "perpetual", 0))
    ],
}

Table = dict[str, list[int]]


def opening() -> Table:
    """Ann (isolated) is long 3 lots at 1000.0 dollars from Dan; everybody has money; Bob has a coin."""
    cash = [40_000, 5_000_000, 5_000_000, 9_000_000, 100_000, 0, 0, 0]
    return {
        "cash_USDT": [*cash, -sum(cash) - 60_000],
        "cash_BTC": [0, 100_000_000, 0, 0, 0, 0, 0, 0, -100_000_000],
        "margin_0": [60_000, 0, 0, 0, 0, 0, 0, 0, 0],
        "position_0": [3, 0, 0, -3, 0, 0, 0, 0, 0],
        "entry_cost_0": [3_000_000, 0, 0, -3_000_000, 0, 0, 0, 0, 0],
    }


def events() -> list[dict[str, int]]:
    """One of everything that moves money, and two kinds that do not."""
    perp = {"market": PERP, "asset": USDT}
    fill = {"kind": FILL_EVENT, "market": PERP, "asset": USDT, "account": CAT, "counterparty": DAN}
    return [
        # Cat buys 2 lots of coins from Bob at 1000.1; fees of 0.05 and 0.02 % rounded up.
        {**fill, "market": SPOT_MARKET, "counterparty": BOB, "side": 1, "price_ticks": 10_001, "size_lots": 2}
        | {"amount": 2_000_200, "fee_taker": 1_001, "fee_maker": 401},
        {"kind": NEWS, "amount": -37_000},
        # Cat goes long 2 against Dan at 990.0, then sells 3 at 985.0: closes two, is short one.
        {**fill, "side": 1, "price_ticks": 9_900, "size_lots": 2, "amount": 1_980_000}
        | {"fee_taker": 990, "fee_maker": 396},
        {**fill, "side": -1, "price_ticks": 9_850, "size_lots": 3, "amount": 2_955_000}
        | {"fee_taker": 1_478, "fee_maker": 591, "cause": 2},
        # Funding of 0.01 % at a mark of 980.3: longs pay, shorts receive, each rounded against the row.
        {**perp, "kind": FUNDING, "price_ticks": 9_803, "amount": 10_000},
        # Ann is liquidated: one lot through the book (another fee), the fee, the rest to the fund at an odd price.
        {**perp, "kind": LIQUIDATION, "account": ANN, "side": -1, "size_lots": 3, "amount": 1_000, "cause": 3},
        {**fill, "account": ANN, "side": -1, "price_ticks": 9_700, "size_lots": 1, "amount": 970_000}
        | {"fee_taker": 0, "fee_maker": 194, "reason": BY_LIQUIDATION, "cause": 5},
        {**perp, "kind": LIQUIDATION_FEE, "account": ANN, "counterparty": THE_FUND, "size_lots": 1, "amount": 777},
        {**perp, "kind": TAKEOVER, "account": ANN, "counterparty": THE_FUND, "side": -1, "size_lots": 2}
        | {"amount": -1_935_001, "cause": 5},
        # The fund passes one lot to the short Cat; it tops Ann up; Bob sends money to Cat.
        {**perp, "kind": DELEVERAGE, "account": THE_FUND, "counterparty": CAT, "side": -1, "size_lots": 1}
        | {"amount": -967_501, "cause": 8},
        {"kind": BAD_DEBT, "asset": USDT, "account": THE_FUND, "counterparty": ANN, "amount": 71},
        {"kind": TRANSFER, "asset": BTC, "account": BOB, "counterparty": CAT, "amount": 12_345},
    ]


def closing() -> Table:
    """The same, worked out by hand (micro-dollars, satoshi, lots)."""
    # Funding of a lot: 980,300 x 0.01 % = 98.03. Ann is long 3: 294.09, pays 295. Cat is short 1: receives 98.
    ann = 40_000 + 60_000 - 295  # cash and margin
    ann += 970_000 - 1_000_000  # one of three lots closed at 970.0 dollars
    ann += -777 + (1_935_001 - 2_000_000) + 71
    bob = 5_000_000 + 2_000_200 - 401
    cat = 5_000_000 - 2_000_200 - 1_001 - 990 - 1_478
    cat += 1_970_000 - 1_980_000  # two lots bought at 990.0, sold at 985.0
    cat += 98 + 985_000 - 967_501  # the short lot, opened at 985.0, is deleveraged at 967.501
    dan = 9_000_000 - 396 - 591 - 194
    # Dan sells 2 more (cost -4,980,000 for 5) and buys back 3 at 985.0: three fifths of the cost are 2,988,000.
    dan += 2_988_000 - 2_955_000
    dan += 196  # funding on 2: 196.06, the fraction stays with the venue
    dan += 996_000 - 970_000  # buys one from Ann
    # The fund holds 2 at 1,935,001 and gives one at 967,501; the cost of one is 967,500 (rounded toward zero).
    fund = 100_000 + 777 - 71 + (967_501 - 967_500)
    fees = 1_001 + 401 + 990 + 396 + 1_478 + 591 + 194
    remainder = 295 - 98 - 196
    opened = opening()
    return {
        "cash_USDT": [ann - 11, bob, cat, dan, fund, fees, remainder, 0, opened["cash_USDT"][WORLD]],
        "cash_BTC": [0, 100_000_000 - 200_000 - 12_345, 200_000 + 12_345, 0, 0, 0, 0, 0, -100_000_000],
        "margin_0": [11, 0, 0, 0, 0, 0, 0, 0, 0],  # the split between cash and margin does not matter
        "position_0": [0, 0, 0, -1, 1, 0, 0, 0, 0],
        "entry_cost_0": [0, 0, 0, -996_000, 967_501, 0, 0, 0, 0],
    }


def write_table(path: Path, table: Table) -> None:
    rows = len(KINDS)
    fixed = {"row": range(rows), "venue": [0] * rows, "kind": KINDS, "mode": [ISOLATED] + [CROSS] * (rows - 1)}
    columns = {name: np.array(values, np.int32) for name, values in fixed.items()}
    columns |= {name: np.array(values, np.int64) for name, values in table.items()}
    pq.write_table(pa.table(columns), path)


def event_array(rows: list[dict[str, int]]) -> np.ndarray[Any, Any]:
    """Rows with `seq` 0, 1, 2, ... and nobody where nothing is said."""
    array = np.zeros(len(rows), EVENT)
    for name in ("market", "asset", "account", "counterparty", "order_id", "cause"):
        array[name] = NOBODY
    array["seq"] = np.arange(len(rows))
    for record, row in zip(array, rows, strict=True):
        for name, value in row.items():
            record[name] = value
    return array


def write_run(folder: Path, log: np.ndarray[Any, Any], before: Table, after: Table) -> Path:
    """A run folder with what the replayer needs."""
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(INFO))
    write_table(folder / "opening.parquet", before)
    write_table(folder / "closing.parquet", after)
    pq.write_table(pa.table({name: log[name] for name in EVENT.names or ()}), folder / "events.parquet")
    return folder


def test_every_kind_of_event_by_hand(tmp_path: Path) -> None:
    report = verify_run(write_run(tmp_path / "run", event_array(events()), opening(), closing()))
    assert report.ok, report.text
    assert (report.events, report.fills, report.rows) == (12, 4, 9)
    assert "every closing balance follows" in report.text


@pytest.mark.parametrize("column", list(opening()))
@pytest.mark.parametrize("row", range(len(KINDS)))
def test_one_unit_off_is_found(tmp_path: Path, column: str, row: int) -> None:
    after = closing()
    after[column][row] += 1
    report = verify_run(write_run(tmp_path / "run", event_array(events()), opening(), after))
    assert not report.ok
    (difference,) = report.differences
    assert (difference.row, difference.found - difference.expected) == (row, 1)
    assert difference.column.startswith(column.split("_")[0] if column != "margin_0" else "cash+margin")


@pytest.mark.parametrize("index", [i for i, row in enumerate(events()) if row.get("counterparty", NOBODY) != NOBODY])
@pytest.mark.parametrize("party", ["account", "counterparty"])
def test_a_posting_to_the_wrong_row_is_found(tmp_path: Path, index: int, party: str) -> None:
    """Sums cannot see this: the same amounts, another row."""
    rows = events()
    parties = (rows[index]["account"], rows[index]["counterparty"])
    wrong = next(row for row in (ANN, BOB, CAT, DAN) if row not in parties)
    rows[index][party] = wrong
    report = verify_run(write_run(tmp_path / "run", event_array(rows), opening(), closing()))
    assert not report.ok
    touched = {difference.row for difference in report.differences}
    assert {events()[index][party], wrong} <= touched
    assert not any("add up" in problem for problem in report.problems)


def moves() -> list[tuple[int, str, int | None]]:
    """Every column of every event that moves money, with a small change of it; None turns the sign."""
    used: dict[int, tuple[str, ...]] = {FUNDING: ("amount", "price_ticks")}
    used[FILL_EVENT] = ("amount", "fee_taker", "fee_maker", "size_lots", "price_ticks")
    used |= dict.fromkeys((TAKEOVER, DELEVERAGE), ("amount", "size_lots"))
    used |= dict.fromkeys((LIQUIDATION_FEE, BAD_DEBT, TRANSFER), ("amount",))
    found: list[tuple[int, str, int | None]] = []
    for i, row in enumerate(events()):
        # On so few lots a rate must move by more than 1e-8 before a payment moves by a micro-dollar.
        step = 1_000 if row["kind"] == FUNDING else 1
        found += [(i, name, step) for name in used.get(row["kind"], ())]
        if "side" in row and row["kind"] in used:
            found.append((i, "side", None))
    return found


@pytest.mark.parametrize(("index", "name", "step"), moves())
def test_a_changed_event_is_found(tmp_path: Path, index: int, name: str, step: int | None) -> None:
    log = event_array(events())
    log[index][name] = -log[index][name] if step is None else log[index][name] + step
    assert not verify_run(write_run(tmp_path / "run", log, opening(), closing())).ok


@pytest.mark.parametrize("index", [i for i, row in enumerate(events()) if row["kind"] not in (NEWS, LIQUIDATION)])
def test_a_missing_event_is_found(tmp_path: Path, index: int) -> None:
    log = np.delete(event_array(events()), index)
    report = verify_run(write_run(tmp_path / "run", log, opening(), closing()))
    assert report.differences
    if len({events()[index].get("account"), events()[index].get("counterparty")}) == 2:
        assert "unexplained" in report.text


def test_a_difference_names_the_first_event_that_touched_it(tmp_path: Path) -> None:
    after = closing()
    after["cash_USDT"][THE_FUND] += 5
    after["position_0"][CAT] += 1
    after["cash_USDT"][ROUND] += 1
    report = verify_run(write_run(tmp_path / "run", event_array(events()), opening(), after))
    firsts = {(d.row, d.column): (d.first_seq, d.first_kind) for d in report.differences}
    assert firsts[CAT, "position_0"] == (2, "fill")  # the spot fill before it moved no position
    assert firsts[THE_FUND, "cash+margin USDT"] == (4, "funding")
    assert firsts[ROUND, "cash+margin USDT"] == (4, "funding")
    assert "(+5)" in report.text


@pytest.mark.parametrize(
    ("index", "change", "words"),
    [
        (0, {"amount": 2_000_201}, "value is not price x size"),
        (0, {"fee_taker": 1_000}, "taker fee"),
        (6, {"fee_maker": 195}, "maker fee"),
        (3, {"cause": 3}, "cause is not earlier"),
        (3, {"seq": 2}, "seq does not rise"),
        (10, {"amount": -71}, "negative"),
        (2, {"market": 2}, "no such market"),
        (2, {"account": 9}, "no such account row"),
        (11, {"counterparty": NOBODY}, "no such counterparty row"),
        (11, {"asset": 2}, "no such asset"),
        (2, {"side": 0}, "side is neither"),
        (8, {"size_lots": 0}, "size is not positive"),
        (8, {"market": SPOT_MARKET}, "spot market has no positions"),
        (1, {"kind": 99}, "unknown kind"),
    ],
)
def test_events_that_contradict_themselves(tmp_path: Path, index: int, change: dict[str, int], words: str) -> None:
    rows = events()
    rows[index] = rows[index] | change
    report = verify_run(write_run(tmp_path / "run", event_array(rows), opening(), closing()))
    assert not report.ok
    assert any(words in problem for problem in report.problems), report.text


def test_sums_that_do_not_vanish(tmp_path: Path) -> None:
    before, after = opening(), closing()
    for table in (before, after):
        table["cash_BTC"][DAN] += 7
        table["position_0"][BOB] += 1
    report = verify_run(write_run(tmp_path / "run", event_array(events()), before, after))
    assert sum("7 units of BTC" in problem for problem in report.problems) == 2
    assert any("add up to 1 lots" in problem for problem in report.problems)


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(VerifyError, match=r"lacks run\.json"):
        verify_run(tmp_path)
    run = write_run(tmp_path / "run", event_array(events()), opening(), closing())
    (run / "events.parquet").unlink()
    with pytest.raises(VerifyError, match="summary"):
        verify_run(run)
    run = write_run(tmp_path / "two", event_array(events()), opening(), closing())
    (run / "run.json").write_text('{"assets": ["USDT"]}')
    with pytest.raises(VerifyError, match="markets"):
        verify_run(run)
    run = write_run(tmp_path / "three", event_array(events()), opening(), closing())
    pq.write_table(pq.read_table(run / "closing.parquet").drop_columns("position_0"), run / "closing.parquet")
    with pytest.raises(VerifyError, match="position_0"):
        verify_run(run)


def test_rows_must_be_the_same_before_and_after(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", event_array(events()), opening(), closing())
    pq.write_table(pq.read_table(run / "closing.parquet").slice(0, 8), run / "closing.parquet")
    assert any("same rows" in problem for problem in verify_run(run).problems)


def test_a_run_without_events_changes_nothing(tmp_path: Path) -> None:
    assert verify_run(write_run(tmp_path / "run", event_array([]), opening(), opening())).ok
    assert not verify_run(write_run(tmp_path / "two", event_array([]), opening(), closing())).ok


@given(st.lists(st.tuples(st.integers(-20, 20).filter(bool), st.integers(-50, 5_000)), max_size=30))
def test_a_trade_keeps_wealth_minus_cost_plus_value(trades: list[tuple[int, int]]) -> None:
    """Whatever closes or flips: cash - cost falls by exactly the value; the cost is nothing when the position is."""
    position, cost, wealth = [0], [0], [1_000]
    held = spent = 0
    for lots, price in trades:
        value = lots * price + (1 if lots > 3 else 0)  # also values that are no multiple of the size
        trade(position, cost, wealth, 0, lots, value)
        held, spent = held + lots, spent + value
        assert position == [held]
        assert wealth[0] - cost[0] == 1_000 - spent
        if held == 0:
            assert cost == [0]
