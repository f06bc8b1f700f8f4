"""The trap of a victim: it springs at its own step, the n-th time, and only once armed; and its wraps change nothing."""

from __future__ import annotations

import os
import signal
import sqlite3
from decimal import Decimal

import pytest

from robo_trader.core.events import Fill, Order, OrderStatus, OrderType, OrderUpdate, Side, Submit
from robo_trader.core.steps import Step
from robo_trader.drills.steps import NAMES, STEPS
from robo_trader.drills.victim import Trap


class Died(BaseException):
    """In place of the end of the process."""


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(pid: int, number: int) -> None:
        assert (pid, number) == (os.getpid(), signal.SIGKILL)
        raise Died

    monkeypatch.setattr(os, "kill", kill)


def armed(at: str, nth: int = 1) -> Trap:
    trap = Trap(at, nth)
    trap.arm()
    return trap


ENTRY = Order("s-1.1", "s-1", "AAPL", Side.BUY, 10)
STOP = Order("s-2.1", "s-2", "AAPL", Side.SELL, 10, OrderType.STOP, stop_price=Decimal(9), tif="GTC")
EXIT = Order("s-3.1", "s-3", "AAPL", Side.SELL, 10)
FILL = Fill(1, "s-1.1", "x.01", "AAPL", Side.BUY, 10, Decimal(10))
CONFIRMED = OrderUpdate(1, "s-2.1", OrderStatus.CANCELLED)
BOTH = Step([Submit(ENTRY, STOP)])


def test_a_step_is_passed_until_it_is_armed_and_then_the_nth_time_counts(killed: None):
    trap = Trap("decided", 2)
    for _ in range(5):
        trap.decided(FILL, BOTH)
    trap.arm()
    trap.decided(FILL, BOTH)
    trap.decided(FILL, Step())
    with pytest.raises(Died):
        trap.decided(FILL, BOTH)


def test_a_step_of_the_start_is_armed_from_the_start(killed: None):
    with pytest.raises(Died):
        Trap("books-opened", 1).passes("books-opened")
    Trap("placed", 1).passes("placed")


def test_an_entry_whose_stop_is_not_yet_written_is_told_from_one_that_is_whole(killed: None):
    for at, last in (("entry-without-stop", "s-1.1"), ("placed", "s-2.1")):
        trap = armed(at)
        trap.decided(FILL, BOTH)
        trap.about_to_place("s-1.1")
        if last == "s-1.1":
            with pytest.raises(Died):
                trap.placed(7, "s-1.1", "MKT", False)
            continue
        trap.placed(7, "s-1.1", "MKT", False)
        trap.about_to_place("s-2.1")
        with pytest.raises(Died):
            trap.placed(8, "s-2.1", "STP", True)


def test_the_change_of_a_stop_its_confirmation_and_the_exit_that_waited_are_three_steps(killed: None):
    for at in ("stop-change-sent", "stop-change-confirmed", "exit-sent"):
        trap, died = armed(at), []
        trap.decided(FILL, BOTH)
        trap.placed(7, "s-1.1", "MKT", False)
        trap.placed(8, "s-2.1", "STP", True)
        for name, pass_by in (
            ("stop-change-sent", lambda trap=trap: trap.cancelled(8)),
            ("stop-change-confirmed", lambda trap=trap: trap.decided(CONFIRMED, Step([Submit(EXIT)]))),
            ("exit-sent", lambda trap=trap: trap.placed(9, "s-3.1", "MKT", True)),
        ):
            try:
                pass_by()
            except Died:
                died.append(name)
        assert died == [at]


def test_the_first_word_of_tws_is_that_on_an_order_of_this_session(killed: None):
    trap = armed("acknowledged")
    trap.answered(8, "STP")  # found at the start
    trap.decided(FILL, BOTH)
    trap.placed(9, "s-1.1", "MKT", False)
    with pytest.raises(Died):
        trap.answered(9, "MKT")


def test_a_transaction_counts_where_the_books_have_grown_in_it():
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE fills (commission TEXT)")
        trap = Trap("commission-committed", 1)
        connection.execute("INSERT INTO fills VALUES (NULL)")
        assert trap.growth(connection) == 0
        connection.execute("UPDATE fills SET commission = '1'")
        assert trap.growth(connection) == 1
        assert Trap("decided", 1).growth(connection) == 0
    connection.close()


def test_every_step_has_a_name_of_its_own_and_says_what_it_is():
    assert len(set(NAMES)) == len(NAMES) == 17
    assert all(step.what for step in STEPS)
