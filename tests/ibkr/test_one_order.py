"""Fifty signals at once, through the journal on disk and the wire: one order, and one stop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec

from robo_trader.core.events import Bar
from robo_trader.core.inbox import Inbox
from robo_trader.core.protocols import View
from robo_trader.core.running import run
from robo_trader.core.steps import Fact, Signal
from robo_trader.ibkr.broker import IbBroker
from robo_trader.ibkr.pacing import Pacer
from robo_trader.risk.stops import AtrStop, StopOptions
from robo_trader.storage import queries
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal
from tests import desks as made
from tests.ibkr.conftest import UNPACED
from tests.ibkr.test_broker import trading

SIGNALS = 50


@dataclass
class Eager:
    """Wants to be long at every bar."""

    name: str = "eager"

    def on_bar(self, bar: Bar, view: View) -> Sequence[Signal | Fact]:
        return [Signal(bar.ts, bar.symbol, self.name, 1, 1.0, "always")]


async def test_fifty_concurrent_signals_for_one_symbol_are_one_order(gateway, desks, tmp_path: Path):
    practice, _ = gateway
    tws = await trading(gateway, desks())  # its market is AAPL's
    inbox = Inbox()
    broker = IbBroker(tws.connection, tws.contracts, inbox, Pacer(UNPACED), lambda: inbox.now)
    engine = made.desk(Eager(), stops=AtrStop(StopOptions()))
    async with await Database.open(tmp_path / "desk.db") as database:
        await database.start_session("s", 0, "paper", "DUP", ("NVDA",), "{}")
        journal = SqliteJournal(database, "s")
        inbox.put(msgspec.structs.replace(await broker.snapshot(), ts=made.OPEN))
        working = asyncio.create_task(run(engine, inbox, broker, journal))

        async def signal(number: int) -> None:
            await asyncio.sleep(0)
            inbox.put(made.bar(number // 10 + 1))

        await asyncio.gather(*(signal(number) for number in range(SIGNALS)))
        await tws.until(lambda: engine.desk.orders.stops("NVDA"))
        await tws.settle()
        inbox.close()
        await working
        await journal.commit()
        with closing(queries.connect_readonly(database.path)) as books:
            decided = queries.orders(books, None, 1000)
    assert sorted(order["type"] for order in decided) == ["MKT", "STP"]
    sent = {ticket.ref for ticket in (*practice.orders.working(), *practice.orders.completed())}
    assert sent == {order["id"] for order in decided}
