"""Each rule of the order book on examples worked by hand."""

from __future__ import annotations

import doctest
from typing import Any

import numpy as np
import pytest

import abm.book.order_book
from abm import state
from abm.book.books import Books
from abm.book.order_book import Done, OrderBook
from tests.book_streams import MODES, to_records

pytestmark = pytest.mark.kernels


def trades(done: Done) -> list[tuple[int, int, int]]:
    return [(fill.maker, fill.price, fill.qty) for fill in done.fills]


def asks(mode: str = "none") -> OrderBook:
    """Sells of owners a, b, a at 101, 102, 103, two lots each: ids 1, 2, 3."""
    book = OrderBook(mode)
    for price, owner in ((101, "a"), (102, "b"), (103, "a")):
        book.limit("sell", price, 2, owner)
    return book


def test_docstring_examples() -> None:
    assert doctest.testmod(abm.book.order_book).failed == 0


def test_price_then_time() -> None:
    book = OrderBook()
    for price in (101, 100, 100):
        book.limit("sell", price, 2)
    done = book.limit("buy", 101, 5)
    assert trades(done) == [(2, 100, 2), (3, 100, 2), (1, 101, 1)]
    assert book.asks == [(101, 1)] and book.last == 101 and done.resting == 0
    assert "101" in repr(book)


@pytest.mark.parametrize(("price", "qty"), [(0, 1), (-1, 1), (100, 0), (100, -1)])
def test_numbers_must_be_positive(price: int, qty: int) -> None:
    book = OrderBook()
    assert not book.limit("buy", price, qty).accepted and book.bids == []


def test_market_and_ioc_rest_nothing() -> None:
    book = asks()
    assert book.ioc("buy", 5, price=102).expired == {4: 1}
    assert book.market("buy", 5).expired == {5: 3}
    empty = book.market("buy", 5)
    assert empty.accepted and empty.expired == {6: 5} and book.bids == []


def test_fok_all_or_nothing() -> None:
    book = asks()
    assert not book.fok("buy", 5, price=102).accepted
    assert book.asks == [(101, 2), (102, 2), (103, 2)]
    assert trades(book.fok("buy", 5)) == [(1, 101, 2), (2, 102, 2), (3, 103, 1)]


def test_fok_counts_what_the_mode_would_fill() -> None:
    """Owner b would meet its own order at 102: two lots in front of it, two behind."""
    accepted = {mode: asks(mode).fok("buy", 4, owner="b").accepted for mode in MODES}
    assert accepted == {
        "none": True,
        "cancel-taker": False,
        "cancel-maker": True,
        "cancel-both": False,
        "decrement": False,
    }
    assert all(asks(mode).fok("buy", 2, owner="b").accepted for mode in MODES)
    done = asks("cancel-maker").fok("buy", 4, owner="b")
    assert trades(done) == [(1, 101, 2), (3, 103, 2)] and done.expired == {2: 2}


def test_post_only() -> None:
    book = asks()
    assert not book.limit("buy", 101, 1, post_only=True).accepted
    assert not book.limit("buy", 102, 1, post_only=True).accepted
    assert book.limit("buy", 100, 1, post_only=True).resting == 1


def test_replace_keeps_or_loses_its_place() -> None:
    book = OrderBook()
    for _ in range(3):
        book.limit("buy", 100, 5)
    book.replace(1, qty=4)  # smaller: keeps
    book.replace(2, qty=5)  # equal: loses
    assert trades(book.market("sell", 14)) == [(1, 100, 4), (3, 100, 5), (2, 100, 5)]


def test_replace_may_trade_and_may_cancel() -> None:
    book = asks()
    book.limit("buy", 99, 3)
    done = book.replace(4, price=102)
    assert trades(done) == [(1, 101, 2), (2, 102, 1)] and done.resting == 0
    assert book.replace(3, qty=0, owner="a").accepted and book.asks == [(102, 1)] and book.bids == []
    assert not book.replace(3, qty=1, owner="a").accepted


@pytest.mark.parametrize("change", [{"qty": -1 - 1}, {"price": 0}, {"price": -5}])
def test_bad_replace_changes_nothing(change: dict[str, int]) -> None:
    book = OrderBook()
    book.limit("buy", 100, 5)
    assert not book.replace(1, **change).accepted
    assert book.bids == [(100, 5)]


def test_cancel_and_replace_need_the_owner() -> None:
    book = OrderBook()
    book.limit("buy", 100, 5, "ann")
    for owner in (None, "bob"):
        assert not book.cancel(1, owner).accepted
        assert not book.replace(1, qty=1, owner=owner).accepted
    assert not book.cancel(7).accepted
    assert book.cancel(1, "ann").accepted
    assert not book.cancel(1, "ann").accepted


def test_replace_of_a_waiting_stop_is_rejected_its_cancel_is_not() -> None:
    book = OrderBook()
    book.stop("buy", 105, 1)
    assert not book.replace(1, qty=2).accepted
    assert book.cancel(1).accepted


@pytest.mark.parametrize(
    ("mode", "filled", "expired", "left"),
    [
        ("none", [(1, 101, 2), (2, 102, 2), (3, 103, 1)], {}, [(103, 1)]),
        ("cancel-taker", [(1, 101, 2)], {4: 3}, [(102, 2), (103, 2)]),
        ("cancel-maker", [(1, 101, 2), (3, 103, 2)], {2: 2}, []),
        ("cancel-both", [(1, 101, 2)], {2: 2, 4: 3}, [(103, 2)]),
        ("decrement", [(1, 101, 2), (3, 103, 1)], {2: 2, 4: 2}, [(103, 1)]),
    ],
)
def test_self_trade_modes(mode: str, filled: Any, expired: Any, left: Any) -> None:
    book = asks(mode)
    done = book.limit("buy", 103, 5, owner="b")
    assert (trades(done), done.expired, book.asks) == (filled, expired, left)
    assert done.resting == (1 if mode == "cancel-maker" else 0)


@pytest.mark.parametrize("mode", MODES)
def test_a_replace_that_would_meet_itself(mode: str) -> None:
    book = asks(mode)
    book.limit("buy", 99, 4, owner="b")
    done = book.replace(4, price=103, owner="b")
    assert done.accepted == (mode not in ("cancel-taker", "cancel-both"))
    if not done.accepted:
        assert book.bids == [(99, 4)] and done.fills == []
    assert book.replace(4, price=100, qty=2, owner="b").accepted == (mode not in ("none", "decrement", "cancel-maker"))


# --- stops ---------------------------------------------------------------------------------------------------------


def test_stops_wait_for_the_first_trade() -> None:
    book = OrderBook()
    assert book.stop("buy", 50, 1).resting == 1
    assert book.stop("sell", 200, 1).resting == 1


def test_a_stop_already_through_runs_at_once() -> None:
    book = asks()
    book.market("buy", 1)
    assert trades(book.stop("buy", 101, 2)) == [(1, 101, 1), (2, 102, 1)]
    assert book.stop("sell", 102, 3).expired == {6: 3}


def test_cascade_runs_first_in_first_out() -> None:
    """A trade at 101 sets off the stop at 101 and, behind it, what its own trades set off."""
    book = OrderBook()
    for price in (101, 102, 103, 104):
        book.limit("sell", price, 1)  # ids 1-4
    book.stop("buy", 102, 1)  # 5
    book.stop("buy", 101, 1)  # 6
    book.stop("buy", 101, 1, price=101)  # 7: a limit that will rest
    done = book.market("buy", 1)
    assert [(fill.taker, fill.maker) for fill in done.fills] == [(8, 1), (6, 2), (5, 3)]
    assert book.bids == [(101, 1)] and book.last == 103
    assert book.cancel(7).accepted, "the order keeps its id"


def test_buys_go_before_sells() -> None:
    book = OrderBook()
    book.stop("sell", 110, 1)  # 1
    book.stop("sell", 120, 1)  # 2: falling stop, so before 1
    book.stop("buy", 90, 1)  # 3
    book.stop("buy", 80, 1)  # 4: rising stop, so before 3
    book.limit("buy", 99, 2)
    book.limit("sell", 101, 2)
    book.limit("sell", 100, 1)
    done = book.market("buy", 1)  # trades at 100: the first price sets all four off
    assert [fill.taker for fill in done.fills] == [8, 4, 3, 2, 1]


def test_prices_passed_on_the_way_set_nothing_off() -> None:
    book = OrderBook()
    book.limit("sell", 103, 1)
    book.market("buy", 1)  # last 103
    book.stop("sell", 101, 1)
    book.limit("sell", 100, 1)
    book.limit("sell", 104, 1)
    book.limit("buy", 104, 2)  # trades at 100 and 104
    assert book.resting(3) == 1 and book.last == 104


# --- at a venue: positions, the mark -------------------------------------------------------------------------------


class Venue:
    """One market with positions of rows 0-3."""

    def __init__(self, *net: int, mode: int = 0) -> None:
        self.books = Books(1, self_trade=mode, capacity=64)
        self.net = np.array(net, np.int64)
        self.count = 0

    def send(self, op: str, side: int, qty: int, owner: int, **fields: Any) -> Any:
        self.count += 1
        message = {"op": op, "id": self.count, "side": side, "qty": qty, "owner": owner} | fields
        outcome = self.books.match(to_records([message]), self.net, np.zeros(1, np.int64), 1_000)
        self.books.check()
        return outcome


def test_reduce_only_never_opens_or_flips() -> None:
    venue = Venue(5, -3, 0, 0)
    venue.send("limit", 1, 20, 3, price=100)
    sold = venue.send("market", -1, 8, 0, reduce_only=True)
    assert sold.fills["size_lots"].tolist() == [5]
    assert [(close["reason"], close["size_lots"]) for close in sold.closes] == [(state.CLIPPED, 3)]
    assert venue.send("limit", -1, 4, 1, price=100, reduce_only=True).closes["size_lots"].tolist() == [4]
    assert venue.net.tolist() == [0, -3, 0, 5]


def test_a_resting_reduce_only_order_is_clipped_when_it_is_reached() -> None:
    venue = Venue(5, 0, 0, 0)
    venue.send("limit", -1, 5, 0, price=101, reduce_only=True)
    venue.send("limit", 1, 10, 2, price=99)
    venue.send("market", -1, 3, 0)
    done = venue.send("market", 1, 5, 1)
    assert done.fills["size_lots"].tolist() == [2]
    assert done.closes["reason"].tolist() == [state.CLIPPED, state.EXPIRED]
    assert venue.net.tolist() == [0, 2, 3, 0]


def test_fok_counts_clipped_orders_as_clipped() -> None:
    """Two reduce-only sells of one long of 4: together they fill 4, not 6."""
    for qty, accepted in ((5, False), (4, True)):
        venue = Venue(4, 0, 0, 0)
        venue.send("limit", -1, 3, 0, price=101, reduce_only=True)
        venue.send("limit", -1, 3, 0, price=102, reduce_only=True)
        done = venue.send("fok", 1, qty, 1)
        assert (done.closes["reason"][0] != state.REJECTED) == accepted
        assert venue.net.tolist() == ([0, 4, 0, 0] if accepted else [4, 0, 0, 0])


def test_mark_stops_ignore_the_last_price_and_are_triggered() -> None:
    venue = Venue(0, 0, 0, 0)
    venue.send("limit", -1, 9, 0, price=101)
    handle = int(venue.send("stop", 1, 2, 1, stop=100, on_mark=True, reason=4).handles[0])
    venue.send("market", 1, 1, 2)
    assert venue.books.due_stops(0, 100).tolist() == [handle]
    done = venue.books.match(
        to_records([{"op": "trigger", "id": handle, "cause": 77}]), venue.net, np.zeros(1, np.int64)
    )
    assert [(f["taker_order"], f["size_lots"], f["cause"], f["reason"]) for f in done.fills] == [(2, 2, 77, 4)]
    assert venue.books.order(handle) is None
    again = venue.books.match(to_records([{"op": "trigger", "id": handle}]), venue.net, np.zeros(1, np.int64))
    assert again.closes["reason"].tolist() == [state.REJECTED]


def test_the_cause_of_a_cascade_is_the_fill() -> None:
    venue = Venue(0, 0, 0, 0)
    venue.send("limit", -1, 1, 0, price=101)
    venue.send("limit", -1, 5, 0, price=102)
    venue.send("stop", 1, 1, 1, stop=101, cause=5)
    assert venue.send("limit", 1, 1, 2, price=101, cause=6).fills["cause"].tolist() == [6, 1_000]


def test_worst_price_of_a_stop_and_of_a_market_order() -> None:
    venue = Venue(0, 0, 0, 0)
    for price in (101, 103):
        venue.send("limit", -1, 1, 0, price=price)
    venue.send("stop", 1, 5, 1, stop=101, price=102)
    done = venue.send("market", 1, 1, 2, price=101)
    assert done.fills["price_ticks"].tolist() == [101]
    assert done.closes["size_lots"].tolist() == [5], "103 is beyond the stop's worst price"


def test_replace_reports_the_old_quantity_and_takes_the_new_reserve() -> None:
    venue = Venue(0, 0, 0, 0)
    handle = int(venue.send("limit", 1, 9, 0, price=99, reserve=10).handles[0])
    done = venue.send("replace", 1, 4, 0, id=handle, price=99, reserve=12)
    assert [(c["reason"], c["size_lots"], c["unit_reserve"]) for c in done.closes] == [(state.REPLACED, 9, 10)]
    assert done.handles.tolist() == [handle]
    order = venue.books.order(handle)
    assert order is not None and (int(order["size_lots"]), int(order["unit_reserve"])) == (4, 12)
    refused = venue.send("replace", 1, 7, 3, id=handle, reserve=13)
    assert [(c["reason"], c["size_lots"], c["unit_reserve"]) for c in refused.closes] == [(state.REJECTED, 7, 13)]


def test_refused_messages_are_skipped() -> None:
    outcome = Venue(0).send("refused", 1, 5, 0, price=100)
    assert outcome.fills.size == outcome.closes.size == 0 and outcome.handles.tolist() == [state.NOBODY]
