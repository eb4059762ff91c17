"""The compiled books against the naive one on random streams: fills, closings, positions, state; and their memory."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from abm import state
from abm.book.books import BookLimitError, Books
from abm.book.ladders import MAX_SPAN
from tests.book_streams import MODES, Race, random_stream, to_records

NO_POSITIONS = (np.zeros(1, np.int64), np.full(8, -1, np.int64))


def run(race: Race, stream: list[dict[str, Any]], step: int, check: bool = True) -> None:
    for start in range(0, len(stream), step):
        race.batch(stream[start : start + step])
        race.compare_state()
        if check:
            race.books.check()


@pytest.mark.parametrize("mode", MODES)
def test_replay_streams(mode: str) -> None:
    """Identifiers that are never reused, every message kind and mistake."""
    stream = random_stream(11, 3_000)
    race = Race(mode, ids=3_002)
    run(race, stream, 37)
    assert len(race.naive[0].fills) > 500
    reasons = Counter(close[1] for close in race.naive[0].closes)
    assert {"expired", "cancelled", "rejected", "replaced"} <= set(reasons)
    assert ("self-traded" in reasons) == (mode != "none")


@pytest.mark.parametrize("mode", MODES)
def test_venue_streams_of_three_markets(mode: str) -> None:
    """Handles that are reused, reduce-only orders, mark-price stops, a pool and a price range that have to grow."""
    stream = random_stream(12, 3_000, markets=3, venue=True, repeat_ids=False)
    race = Race(mode, markets=3, venue=True, capacity=2)
    run(race, stream, 61)
    assert any(close[1] == "clipped" for book in race.naive for close in book.closes)


def test_batch_size_does_not_matter() -> None:
    stream = random_stream(13, 2_000)
    for step in (1, 2_000):
        run(Race("decrement", ids=2_002), stream, step, check=False)


@pytest.mark.full
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_long_streams(mode: str, seed: int) -> None:
    run(Race(mode, ids=100_002), random_stream(seed, 100_000), 1_000, check=False)


@pytest.mark.full
@pytest.mark.parametrize("mode", MODES)
def test_structure_after_each_message(mode: str) -> None:
    race = Race(mode, venue=True)
    for i, message in enumerate(random_stream(21, 25_000, venue=True, repeat_ids=False)):
        race.batch([message])
        race.books.check()
        if i % 100 == 0:
            race.compare_state()


@pytest.mark.parametrize("mode", MODES)
def test_no_lot_is_lost(mode: str) -> None:
    """Submitted + increases = 2 x traded + cancelled, reduced, expired, refused + resting, by message of the stream."""
    records = to_records(random_stream(14, 5_000, venue=True))
    records["order"][records["order"] > 5_000] = 5_001
    new = (records["op"] <= state.STOP_LIMIT) & (records["size_lots"] > 0)
    books = Books(1, 900, 1, MODES.index(mode), capacity=5_002, fixed_slots=True)
    outcome = books.match(records, np.zeros(8, np.int64), np.zeros(1, np.int64))
    closes = outcome.closes
    at_replaces = records["op"][closes["message"]] == state.REPLACE
    replaced = closes["reason"] == state.REPLACED
    entered = int(records["size_lots"][new].sum())
    for close in closes[replaced]:  # the new quantity of an accepted replace enters as the old one leaves
        wanted = int(records["size_lots"][close["message"]])
        entered += wanted if wanted != -1 else int(close["size_lots"])
    refused = at_replaces & (closes["reason"] == state.REJECTED)
    left = int(closes["size_lots"][~refused].sum())
    live = books._memory.live_slots()
    assert entered == 2 * int(outcome.fills["size_lots"].sum()) + left + int(books.orders["size_lots"][live].sum())


# --- handles and growth --------------------------------------------------------------------------------------------


def limits(prices: list[int], side: int = 1, first_id: int = 0) -> np.ndarray[Any, Any]:
    stream = [
        {"op": "limit", "id": first_id + i, "side": side, "price": price, "qty": 1} for i, price in enumerate(prices)
    ]
    return to_records(stream)


def test_a_handle_is_good_for_one_order() -> None:
    books = Books(1, capacity=1)
    old = int(books.match(limits([100]), *NO_POSITIONS).handles[0])
    record = books.order(old)
    assert record is not None and int(record["price_ticks"]) == 100
    assert books.match(to_records([{"op": "cancel", "id": old}]), *NO_POSITIONS).closes["reason"][0] == state.CANCELLED
    assert books.order(old) is None
    new = int(books.match(limits([101]), *NO_POSITIONS).handles[0])
    assert new != old and new & 0xFFFFFFFF == old & 0xFFFFFFFF, "the slot is used again under another handle"
    rejected = books.match(to_records([{"op": "cancel", "id": old}]), *NO_POSITIONS).closes
    assert rejected["reason"][0] == state.REJECTED and rejected["size_lots"][0] == 0
    assert books.order(new) is not None
    books.check()


def test_growth_keeps_every_order() -> None:
    books = Books(2, base_ticks=[1000, 0], levels=1, capacity=1)
    first = books.match(limits([1000, 1000, 1010]), *NO_POSITIONS).handles.tolist()
    far = limits([600_000, 999], side=-1, first_id=3)
    far["price_ticks"][1] = 5_000_000
    books.match(far, *NO_POSITIONS)
    books.match(limits([1], first_id=5), *NO_POSITIONS)
    books.check()
    ticks, _, ids, _, handles = books.resting(0, 1)
    assert ticks.tolist() == [1010, 1000, 1000, 1] and ids.tolist() == [2, 0, 1, 5]
    assert handles.tolist()[:3] == [first[2], first[0], first[1]]
    assert books.resting(0, -1)[0].tolist() == [600_000, 5_000_000]
    assert books.best(1, 1) == 0


def test_a_batch_beyond_the_limits_changes_nothing() -> None:
    books = Books(1, capacity=4)
    books.match(limits([100, 101]), *NO_POSITIONS)
    before, size = books.state_sha256(0), books.orders.size
    with pytest.raises(BookLimitError, match="market 0"):
        books.match(limits([102, 103, 104, 105, 100 + MAX_SPAN], first_id=2), *NO_POSITIONS)
    assert books.state_sha256(0) == before
    assert books.orders.size == size
    books.check()


def test_worst_prices_do_not_widen_the_ladder() -> None:
    books = Books(1, capacity=4)
    book = to_records([{"op": "ioc", "id": 1, "side": 1, "price": 1 << 50, "qty": 1}])
    assert books.match(book, *NO_POSITIONS).closes["reason"].tolist() == [state.EXPIRED]


def test_check_finds_damage() -> None:
    def damaged(change: Any) -> Books:
        books = Books(1, capacity=8)
        books.match(limits([100, 100, 101]), *NO_POSITIONS)
        change(books)
        return books

    def set_field(array: Any, index: int, name: str, value: int) -> None:
        array[index][name] = value

    for change in (
        lambda b: set_field(b._memory.links, 2, "prev", 0),
        lambda b: set_field(b.orders, 1, "size_lots", 2),
        lambda b: set_field(b._memory.queues, 0, "best", 100),
        lambda b: b._memory.words.__setitem__(1, 0),
        lambda b: set_field(b.orders, 3, "side", -1),
        lambda b: b._memory.pool.__setitem__(1, 5),
    ):
        with pytest.raises(AssertionError):
            damaged(change).check()


def test_looking() -> None:
    books = Books(2, capacity=8)
    books.match(limits([100, 99, 99, 90]), *NO_POSITIONS)
    books.match(limits([105, 107], side=-1, first_id=4), *NO_POSITIONS)
    assert (books.best(0, 1), books.best(0, -1), books.last(0)) == (100, 105, 0)
    assert books.depth_lots(0, 1, 99) == 3 and books.depth_lots(0, -1, 106) == 1
    assert books.impact_ticks(0, 1, 2) == 106.0 and books.impact_ticks(0, -1, 2) == 99.5
    assert np.isnan(books.impact_ticks(0, 1, 3))


def test_orders_of_accounts_and_due_stops() -> None:
    stream: list[dict[str, Any]] = [
        {"op": "stop", "id": i, "side": side, "stop": stop, "qty": 1, "owner": i % 2, "on_mark": True}
        for i, (side, stop) in enumerate([(1, 105), (1, 103), (-1, 95), (-1, 97), (1, 103)])
    ]
    stream.append({"op": "limit", "id": 5, "side": 1, "price": 80, "qty": 1})
    books = Books(1, capacity=8)
    handles = books.match(to_records(stream), *NO_POSITIONS).handles.tolist()
    assert books.due_stops(0, 104).tolist() == [handles[1], handles[4]]
    assert books.due_stops(0, 96).tolist() == [handles[3]]
    assert books.due_stops(0, 100).size == 0
    assert books.handles_of(np.array([False, True]), 0).tolist() == [handles[1], handles[3]]
    assert books.waiting_stops(0)["id"].tolist() == [0, 1, 2, 3, 4]
