"""The numbered steps of an order's way, at each of which a drill kills the daemon."""

from __future__ import annotations

from typing import NamedTuple


class Step(NamedTuple):
    """A place in the code to die at; `at_start` where a start passes it, before anything is traded."""

    name: str
    what: str
    at_start: bool = False


STEPS = (
    Step("decided", "an order is decided, the journal has not been asked"),
    Step("order-in-transaction", "the order is in the transaction, before COMMIT"),
    Step("order-committed", "the order is committed, before it is sent"),
    Step("before-placing", "before placeOrder is written to the socket"),
    Step("entry-without-stop", "the entry is written, the stop attached to it is not yet"),
    Step("placed", "entry and stop are written, TWS has not answered"),
    Step("acknowledged", "TWS has answered, the desk has not heard it"),
    Step("execution-received", "an execution is received, before the inbox"),
    Step("fill-decided", "the fill is decided, the journal has not been asked"),
    Step("fill-in-transaction", "the fill is in the transaction, before COMMIT"),
    Step("fill-committed", "the fill is committed, before anything that follows from it is sent"),
    Step("commission-committed", "the commission is committed"),
    Step("stop-change-sent", "the change of a stop is written to the socket"),
    Step(
        "stop-change-confirmed", "the change of a stop is confirmed, the exit that waited for it is decided"
    ),
    Step("exit-sent", "the exit that waited is written to the socket"),
    Step("books-opening", "a start opens the books, before COMMIT", at_start=True),
    Step("books-opened", "the opened books are committed, before anything is sent", at_start=True),
)
NAMES = tuple(step.name for step in STEPS)
