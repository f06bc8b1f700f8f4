"""The scoring of a drill: every defect that can be planted is seen, counted under its own name, and counted once."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from robo_trader.core.events import OrderStatus, Side
from robo_trader.drills.ledger import (
    COUNTERS,
    Books,
    BrokerFill,
    BrokerOrder,
    Ledger,
    OurFill,
    OurOrder,
    Truth,
    compare,
)

BUY, SELL = Side.BUY, Side.SELL
ENTRY = BrokerOrder(1, "s-1.1", "AAPL", BUY, 100, filled=100)
STOP = BrokerOrder(2, "s-2.1", "AAPL", SELL, 100, workable=100, live=True, stop=True, parent=1)
TRUTH = Truth(
    {1: ENTRY, 2: STOP},
    (
        BrokerFill("x.1.01", 1, "AAPL", BUY, 60, Decimal("10.00"), Decimal("1.00")),
        BrokerFill("x.2.01", 1, "AAPL", BUY, 40, Decimal("10.01"), Decimal("0.50")),
    ),
    {"AAPL": 100},
    Decimal("98998.10"),
)
BOOKS = Books(
    {
        "s-1.1": OurOrder("s-1.1", "s-1", "AAPL", 100, OrderStatus.FILLED),
        "s-2.1": OurOrder("s-2.1", "s-2", "AAPL", 100, OrderStatus.WORKING),
    },
    (
        OurFill("x.1.01", "AAPL", BUY, 60, Decimal("10.00"), Decimal("1.00")),
        OurFill("x.2.01", "AAPL", BUY, 40, Decimal("10.01"), Decimal("0.50")),
    ),
    {"AAPL": (100, 100)},
    Decimal("98998.10"),
    decided={"s-1": 100},
)


def with_order(order: BrokerOrder, truth: Truth = TRUTH) -> Truth:
    return msgspec.structs.replace(truth, orders={**truth.orders, order.perm_id: order})


def with_fills(*fills: BrokerFill, held: int) -> Truth:
    return msgspec.structs.replace(TRUTH, fills=(*TRUTH.fills, *fills), positions={"AAPL": held})


def booked(**changes: object) -> Books:
    return msgspec.structs.replace(BOOKS, **changes)


def counted(truth: Truth, books: Books) -> dict[str, int]:
    ledger = Ledger()
    ledger.add(compare(truth, books))
    return {name: count for name, count in ledger.counts.items() if count}


def test_books_that_agree_count_nothing():
    assert compare(TRUTH, BOOKS) == []


def test_one_order_ref_in_two_broker_orders_is_sent_twice():
    again = msgspec.structs.replace(ENTRY, perm_id=9, filled=0)
    assert counted(with_order(again), BOOKS) == {"sent_twice": 1}


def test_two_orders_for_one_decision_are_sent_twice_whatever_their_refs():
    second = BrokerOrder(9, "s-1.2", "AAPL", BUY, 100, workable=10, live=True)
    known = {**BOOKS.orders, "s-1.2": OurOrder("s-1.2", "s-1", "AAPL", 100, OrderStatus.WORKING)}
    assert counted(with_order(second), booked(orders=known)) == {"sent_twice": 1}


def test_an_execution_we_did_not_book_is_lost_and_the_books_differ():
    books = booked(fills=BOOKS.fills[:1])
    assert counted(TRUTH, books) == {"fills_lost": 1, "books_differ": 1}


def test_an_execution_booked_under_two_versions_is_doubled():
    second = msgspec.structs.replace(BOOKS.fills[0], exec_id="x.1.02")
    assert counted(TRUTH, booked(fills=(*BOOKS.fills, second)))["fills_doubled"] == 1


def test_an_execution_the_broker_does_not_know_is_doubled():
    invented = msgspec.structs.replace(BOOKS.fills[0], exec_id="y.1.01")
    assert counted(TRUTH, booked(fills=(*BOOKS.fills, invented))) == {"fills_doubled": 1, "books_differ": 1}


def test_a_correction_that_replaced_its_execution_is_neither_lost_nor_doubled():
    corrected = msgspec.structs.replace(TRUTH.fills[0], exec_id="x.1.02", price=Decimal("9.90"))
    truth = msgspec.structs.replace(TRUTH, fills=(corrected, TRUTH.fills[1]))
    old = msgspec.structs.replace(BOOKS.fills[0], standing=False)
    new = msgspec.structs.replace(BOOKS.fills[0], exec_id="x.1.02", price=Decimal("9.90"))
    assert counted(truth, booked(fills=(old, new, BOOKS.fills[1]))) == {}
    assert counted(truth, BOOKS) == {"fills_lost": 1}


@pytest.mark.parametrize(
    "changes",
    [
        {"positions": {"AAPL": (99, 100)}},
        {"positions": {"AAPL": (100, 99)}},
        {"positions": {}},
        {"cash": Decimal("98998.11")},
        {"fills": (BOOKS.fills[0], msgspec.structs.replace(BOOKS.fills[1], commission=None))},
    ],
)
def test_a_share_a_lot_a_cent_or_a_commission_makes_the_books_differ(changes: dict[str, object]):
    assert counted(TRUTH, booked(**changes)) == {"books_differ": 1}


def test_a_quarantine_of_what_agrees_is_counted():
    assert counted(TRUTH, booked(quarantined=frozenset({"AAPL"}))) == {"quarantined": 1}


@pytest.mark.parametrize("workable", [0, 99])
def test_a_stop_of_fewer_shares_than_are_held_is_missing(workable: int):
    stop = msgspec.structs.replace(STOP, workable=workable)
    assert counted(with_order(stop), BOOKS) == {"stops_missing": 1}


def test_an_exit_at_work_may_stand_in_for_the_part_of_the_stop_it_sells():
    stop = msgspec.structs.replace(STOP, workable=70)
    leaving = BrokerOrder(3, "s-3.1", "AAPL", SELL, 30, workable=30, live=True, held=100)
    known = {**BOOKS.orders, "s-3.1": OurOrder("s-3.1", "s-3", "AAPL", 30, OrderStatus.WORKING)}
    assert counted(with_order(leaving, with_order(stop)), booked(orders=known)) == {}
    assert counted(with_order(leaving), booked(orders=known)) == {"exits_flipped": 1}


def test_a_stop_that_is_left_without_a_position_may_flip_it():
    truth = with_fills(BrokerFill("x.3.01", 3, "AAPL", SELL, 100, Decimal(10), Decimal(0)), held=0)
    truth = with_order(BrokerOrder(3, "s-3.1", "AAPL", SELL, 100, filled=100, held=100), truth)
    assert counted(truth, BOOKS)["exits_flipped"] == 1


def test_an_exit_and_a_stop_that_both_trade_flip_the_position():
    exit_ = BrokerOrder(3, "s-3.1", "AAPL", SELL, 100, filled=100, held=100)
    stop = msgspec.structs.replace(STOP, live=False, workable=0, filled=100)
    fills = [BrokerFill(f"x.{n}.01", n, "AAPL", SELL, 100, Decimal(10), Decimal(0)) for n in (2, 3)]
    for order in (fills, fills[::-1]):
        truth = with_order(exit_, with_order(stop, with_fills(*order, held=-100)))
        assert counted(truth, BOOKS)["exits_flipped"] == 1


def test_an_entry_on_the_other_side_is_no_flip_for_its_stop_says_what_it_is():
    exit_ = BrokerOrder(3, "s-3.1", "AAPL", SELL, 100, filled=100, held=100)
    entry = BrokerOrder(4, "s-4.1", "AAPL", SELL, 50, filled=50, held=100)
    cover = BrokerOrder(5, "s-5.1", "AAPL", BUY, 50, workable=50, live=True, stop=True, parent=4)
    fills = [
        BrokerFill("x.3.01", 3, "AAPL", SELL, 100, Decimal(10), Decimal(0)),
        BrokerFill("x.4.01", 4, "AAPL", SELL, 50, Decimal(10), Decimal(0)),
    ]
    truth = with_fills(*fills, held=-50)
    stopped = msgspec.structs.replace(STOP, live=False, workable=0)
    for order in (exit_, entry, cover, stopped):
        truth = with_order(order, truth)
    assert "exits_flipped" not in counted(truth, BOOKS)
    assert "stops_missing" not in counted(truth, BOOKS)


def test_an_order_we_do_not_know_and_one_only_we_believe_in_are_lost():
    stranger = BrokerOrder(9, "s-9.1", "MSFT", BUY, 1)
    assert counted(with_order(stranger), BOOKS) == {"orders_lost": 1}
    ghost = OurOrder("s-9.1", "s-9", "MSFT", 1, OrderStatus.UNKNOWN)
    assert counted(TRUTH, booked(orders={**BOOKS.orders, "s-9.1": ghost})) == {"orders_lost": 1}


def test_an_order_of_somebody_else_is_none_of_ours():
    assert counted(with_order(BrokerOrder(9, "", "MSFT", BUY, 1, filled=0)), BOOKS) == {}


def test_the_same_wrong_seen_again_is_counted_once():
    ledger, found = Ledger(), compare(TRUTH, booked(cash=Decimal(1)))
    assert ledger.add(found) == found
    assert ledger.add(found) == []
    assert ledger.counts["books_differ"] == 1
    assert list(ledger.counts) == list(COUNTERS)
    assert not ledger.is_clean
