"""The state table of orders: what may follow what, and what a late word changes."""

import pytest

from robo_trader.core.events import Fill, OpenOrder, Order, OrderStatus, OrderUpdate, Side
from robo_trader.core.orders import LEGAL, OrderBook
from robo_trader.core.steps import Anomaly, OrderChanged

S = OrderStatus


def book_with(quantity: int = 10) -> OrderBook:
    book = OrderBook()
    book.submit(Order("s-1.1", "s-1", "NVDA", Side.SELL, quantity))
    return book


def told(status: OrderStatus, order_id: str = "s-1.1") -> OrderUpdate:
    return OrderUpdate(5, order_id, status, broker_id=77)


def traded(quantity: int, n: int = 1) -> Fill:
    return Fill(5, "s-1.1", f"e{n}", "NVDA", Side.SELL, quantity, 100)


def test_the_same_intent_is_never_submitted_twice():
    book = book_with()
    assert book.submit(Order("s-1.1", "s-1", "NVDA", Side.SELL, 10)) is None
    assert book.working("NVDA") == -10


def test_working_shares_shrink_with_fills_and_vanish_at_the_end():
    book = book_with()
    book.update(told(S.WORKING))
    assert isinstance(book.fill(traded(4), 4), OrderChanged)
    assert book.working("NVDA") == -6
    changed = book.fill(traded(6, 2), 6)
    assert isinstance(changed, OrderChanged)
    assert (changed.status, changed.filled, changed.broker_id) == (S.FILLED, 10, 77)
    assert book.working("NVDA") == 0
    assert book.live() == []


def test_a_fill_after_a_cancel_is_counted_and_told():
    book = book_with()
    book.update(told(S.CANCELLED))
    assert isinstance(book.fill(traded(4), 4), Anomaly)
    assert book.fill(traded(6, 2), 6).status is S.FILLED


def test_a_late_word_of_an_earlier_state_is_no_news():
    book = book_with()
    book.update(told(S.CANCELLED))
    assert book.update(told(S.WORKING)) is None
    assert book.update(told(S.CANCELLED)) is None


def test_an_over_fill_and_a_stranger_are_anomalies():
    book = book_with()
    assert isinstance(book.fill(traded(11), 11), Anomaly)
    assert isinstance(book.update(told(S.WORKING, "other")), Anomaly)


def test_an_order_found_at_the_broker_counts_with_what_is_left():
    book = OrderBook()
    book.adopt(OpenOrder(Order("old-1.1", "old-1", "NVDA", Side.BUY, 10), filled=3, broker_id=9))
    assert book.working("NVDA") == 7


@pytest.mark.parametrize("status", list(S))
def test_every_status_has_its_row_and_an_end_can_only_become_a_fill(status):
    assert LEGAL[status] <= set(S)
    if status in (S.CANCELLED, S.REJECTED):
        assert LEGAL[status] == {S.FILLED}


def test_what_ended_long_ago_is_forgotten_and_what_lives_is_not():
    book = OrderBook()
    for number in ("s-1.1", "s-2.1"):
        book.submit(Order(number, "s", "NVDA", Side.SELL, 10))
    book.update(OrderUpdate(100, "s-1.1", S.CANCELLED))
    book.forget_before(100)
    assert book.get("s-1.1")
    book.forget_before(101)
    assert book.get("s-1.1") is None
    assert book.get("s-2.1")
