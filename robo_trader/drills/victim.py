"""`python -m robo_trader.drills.victim --at STEP -- run ...`: the daemon as it is, that kills itself at one step."""

from __future__ import annotations

import argparse
import os
import runpy
import signal
import sqlite3
import sys
from collections.abc import Callable
from typing import Any

from ib_async.client import Client

from robo_trader.core.engine import Engine
from robo_trader.core.events import AccountSnapshot, Event, Fill, OrderUpdate, Submit
from robo_trader.core.steps import Step
from robo_trader.drills.steps import NAMES, STEPS
from robo_trader.ibkr.tap import Tap
from robo_trader.storage.database import Database

STOP = "STP"
# How far the books have come, for each step that is a transaction: it is passed where this grows.
_GROWING = {
    "order": "SELECT coalesce(max(rowid), 0) FROM orders",
    "fill": "SELECT coalesce(max(rowid), 0) FROM fills",
    "commission": "SELECT count(commission) FROM fills",
    "books": "SELECT count(opened) FROM sessions",
}
_WRITES = {
    "order-in-transaction": "order",
    "fill-in-transaction": "fill",
    "books-opening": "books",
    "order-committed": "order",
    "fill-committed": "fill",
    "commission-committed": "commission",
    "books-opened": "books",
}
_BEFORE_COMMIT = frozenset({"order-in-transaction", "fill-in-transaction", "books-opening"})


class Trap:
    """Ends the process with SIGKILL the n-th time its step is passed after it was armed."""

    def __init__(self, at: str, nth: int) -> None:
        """It is armed by SIGUSR2; that of a step of the start at once."""
        self.at = at
        self._left = nth
        self._armed = next(step.at_start for step in STEPS if step.name == at)
        self._fresh: set[str] = set()  # orders decided and not yet sent
        self._stops: set[str] = set()
        self._released: set[str] = set()  # exits that waited for the change of a stop
        self._types: dict[int, str] = {}  # by TWS's order id

    def arm(self, *_: object) -> None:
        self._armed = True

    def passes(self, step: str) -> None:
        """Note that a step is passed; where it is the one to die at, this does not return."""
        if step != self.at or not self._armed:
            return
        self._left -= 1
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    # ------------------------------------------------------------------------------------------ what it sees

    def decided(self, event: Event, step: Step) -> None:
        """See a step of the desk before the journal does."""
        sent = [command for command in step.commands if isinstance(command, Submit)]
        for submit in sent:
            orders = [submit.order] if submit.stop is None else [submit.order, submit.stop]
            self._fresh |= {order.id for order in orders}
            self._stops |= {order.id for order in orders if order.protects}
        if isinstance(event, AccountSnapshot):
            self._stops |= {found.order.id for found in event.orders if found.order.protects}
        if sent:
            self.passes("decided")
        if isinstance(event, Fill):
            self.passes("fill-decided")
        if isinstance(event, OrderUpdate) and event.order_id in self._stops:
            exits = {s.order.id for s in sent if s.stop is None and not s.order.protects}
            self._released |= exits
            if exits:
                self.passes("stop-change-confirmed")

    def about_to_place(self, ref: str) -> None:
        """See an order before it is written to the socket."""
        if ref in self._fresh:
            self.passes("before-placing")

    def placed(self, order_id: int, ref: str, kind: str, transmit: bool) -> None:
        """See an order that was written to the socket."""
        known, self._types[order_id] = ref not in self._fresh, kind
        self._fresh.discard(ref)
        if known:
            if kind == STOP:
                self.passes("stop-change-sent")
        elif not transmit:
            self.passes("entry-without-stop")
        else:
            self.passes("placed")
        if ref in self._released:
            self.passes("exit-sent")

    def cancelled(self, order_id: int) -> None:
        """See a cancel that was written to the socket."""
        if self._types.get(order_id) == STOP:
            self.passes("stop-change-sent")

    def answered(self, order_id: int, kind: str) -> None:
        """See what TWS says of an order before the desk does."""
        if order_id in self._types:
            self.passes("acknowledged")
        self._types[order_id] = kind

    def growth(self, connection: sqlite3.Connection) -> int:
        """Return how far the books have come in what this step is about, 0 for a step that is no transaction."""
        what = _WRITES.get(self.at)
        if what is None:
            return 0
        found: int = connection.execute(_GROWING[what]).fetchone()[0]
        return found


def set_up(trap: Trap) -> None:
    """Let the trap see every step of the daemon that will run in this process."""
    _replace(Engine, "on_event", lambda real: lambda engine, event: _decide(trap, real, engine, event))
    _replace(Database, "write", lambda real: lambda database, work: _write(trap, real, database, work))
    _replace(Client, "placeOrder", lambda real: lambda *call: _place(trap, real, *call))
    _replace(Client, "cancelOrder", lambda real: lambda *call: _cancel(trap, real, *call))
    _replace(Tap, "openOrder", lambda real: lambda *call: _answer(trap, real, *call))
    _replace(Tap, "execDetails", lambda real: lambda *call: _executed(trap, real, *call))


def _replace(owner: type, name: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    setattr(owner, name, wrap(getattr(owner, name)))


def _decide(trap: Trap, real: Callable[..., Step], engine: Engine, event: Event) -> Step:
    step = real(engine, event)
    trap.decided(event, step)
    return step


async def _write(
    trap: Trap, real: Callable[..., Any], database: Database, work: Callable[[sqlite3.Connection], Any]
) -> Any:
    grown = False

    def watched(connection: sqlite3.Connection) -> Any:
        nonlocal grown
        before = trap.growth(connection)
        result = work(connection)
        grown = trap.growth(connection) > before
        if grown and trap.at in _BEFORE_COMMIT:
            trap.passes(trap.at)
        return result

    result = await real(database, watched)
    if grown and trap.at not in _BEFORE_COMMIT:
        trap.passes(trap.at)
    return result


def _place(
    trap: Trap, real: Callable[..., Any], client: Client, order_id: int, contract: Any, order: Any
) -> Any:
    trap.about_to_place(order.orderRef)
    result = real(client, order_id, contract, order)
    trap.placed(order_id, order.orderRef, order.orderType, order.transmit)
    return result


def _cancel(trap: Trap, real: Callable[..., Any], client: Client, order_id: int, *rest: Any) -> Any:
    result = real(client, order_id, *rest)
    trap.cancelled(order_id)
    return result


def _answer(
    trap: Trap, real: Callable[..., Any], tap: Tap, order_id: int, contract: Any, order: Any, state: Any
) -> Any:
    trap.answered(order_id, order.orderType)
    return real(tap, order_id, contract, order, state)


def _executed(trap: Trap, real: Callable[..., Any], tap: Tap, *rest: Any) -> Any:
    trap.passes("execution-received")
    return real(tap, *rest)


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m robo_trader` with what stands behind `--`, and die at the step."""
    parser = argparse.ArgumentParser(prog="python -m robo_trader.drills.victim", description=__doc__)
    parser.add_argument("--at", choices=NAMES, required=True, help="the step to die at")
    parser.add_argument("--nth", type=int, default=1, help="at its n-th time (default: %(default)s)")
    parser.add_argument("command", nargs="+", help="arguments of the daemon, behind --")
    asked = parser.parse_args(arguments)
    trap = Trap(asked.at, asked.nth)
    set_up(trap)
    signal.signal(signal.SIGUSR2, trap.arm)
    sys.argv = ["robo_trader", *asked.command]
    runpy.run_module("robo_trader", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
