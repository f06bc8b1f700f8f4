"""The real engine, journaled: its session replays, its books are the database's, and a restart goes on from them."""

from collections.abc import Sequence
from contextlib import closing
from decimal import Decimal

import pytest

from robo_trader.core.engine import Engine
from robo_trader.core.events import (
    AccountSnapshot,
    Event,
    Fill,
    Halt,
    Holding,
    OrderStatus,
    OrderUpdate,
    Side,
    Submit,
)
from robo_trader.core.recovery import recover
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal
from robo_trader.storage.queries import connect_readonly, fills, journal_rows, orders
from robo_trader.storage.recall import holdings, stored
from robo_trader.storage.replay import replay
from tests.desks import OPEN, Scripted, bar, desk, opening, quote

BOUGHT = "s-1.1"


def fresh(shares: int = 100) -> Engine:
    return desk(Scripted(wants=[("NVDA", 1)]), shares=shares)


def fill(exec_id: str, quantity: int, commission: str | None = None) -> Fill:
    paid = None if commission is None else Decimal(commission)
    return Fill(OPEN + 5, BOUGHT, exec_id, "NVDA", Side.BUY, quantity, Decimal("100.01"), paid)


def morning() -> list[Event]:
    return [
        bar(-1, history=True),
        opening(),
        quote(0.5),
        bar(1),
        OrderUpdate(OPEN + 4, BOUGHT, OrderStatus.WORKING, 0, 100, 4711),
        fill("e-1", 60),
        fill("e-1", 60, "1.00"),
        bar(2, close=101.0),
        fill("e-2", 30),
    ]


async def recorded(database: Database, session: str, engine: Engine, events: Sequence[Event]) -> Engine:
    await database.start_session(session, OPEN, "paper", "DU1", ["NVDA"], "{}")
    journal = SqliteJournal(database, session)
    for event in events:
        await journal.record(event, engine.on_event(event))
    await journal.flush()
    return engine


async def test_a_session_of_the_real_engine_replays_byte_for_byte(database: Database) -> None:
    await recorded(database, "s", fresh(), morning())
    with closing(connect_readonly(database.path)) as connection:
        assert replay(fresh(), journal_rows(connection, "s")) is None
        found = replay(fresh(shares=99), journal_rows(connection, "s"))
    assert found is not None
    assert found.seq == 4
    assert '"quantity":100' in found.expected
    assert '"quantity":99' in found.got


async def test_the_tables_say_what_the_engine_knows(database: Database) -> None:
    engine = await recorded(database, "s", fresh(), morning())
    position = engine.desk.portfolio.positions["NVDA"]
    with closing(connect_readonly(database.path)) as connection:
        assert holdings(connection) == {"NVDA": (90, tuple(position.lots), position.realised)}
        assert sum(row["quantity"] for row in fills(connection)) == 90
        (order,) = orders(connection)
        assert (order["id"], order["status"], order["filled"]) == (BOUGHT, "partial", 90)
        assert (order["broker_id"], order["quantity"]) == (4711, 100)


async def test_an_intent_is_in_the_database_before_it_could_be_sent(database: Database) -> None:
    await database.start_session("s", OPEN, "paper", "DU1", ["NVDA"], "{}")
    journal, engine, sent = SqliteJournal(database, "s"), fresh(), []
    with closing(connect_readonly(database.path)) as connection:
        for event in morning():
            step = engine.on_event(event)
            await journal.record(event, step)
            for command in step.commands:
                if isinstance(command, Submit):
                    sent.append(command.order.id)
                    assert command.order.id in [row["id"] for row in orders(connection)]
    assert sent == [BOUGHT]


@pytest.mark.parametrize("cut", range(4, len(morning()) + 1))
async def test_a_restart_after_any_event_ends_with_the_broker_in_cash_shares_and_orders(
    database: Database, cut: int
) -> None:
    first = await recorded(database, "s", fresh(), morning()[:cut])
    with closing(connect_readonly(database.path)) as connection:
        told = [fill("e-1", 60, "1.00"), fill("e-2", 30, "0.25")]
        cash = Decimal(100_000) - 90 * Decimal("100.01") - Decimal("1.25")
        held = (Holding("NVDA", 90, (), 90),)
        broker = AccountSnapshot(OPEN + 10**12, "DU1", cash, cash, held, (), tuple(told))
        events = recover(stored(connection), broker)
        second = await recorded(database, "s2", desk(Scripted()), [quote(18), *events])
        assert second.desk.portfolio.cash == cash
        assert second.desk.position("NVDA") == holdings(connection)["NVDA"].quantity == 90
        assert {row["exec_id"]: row["commission"] for row in fills(connection)} == {
            "e-1": "1.00",
            "e-2": "0.25",
        }
        (order,) = orders(connection)
        assert (order["status"], order["filled"]) == ("cancelled", 90)
        again = recover(stored(connection), broker)
        assert [type(event) for event in again] == [AccountSnapshot]
        assert first.desk.position("NVDA") <= 90


async def test_a_halt_outlives_the_process(database: Database) -> None:
    halt = Halt(OPEN + 6, "enough for today", "user")
    await recorded(database, "s", fresh(), [*morning(), halt])
    with closing(connect_readonly(database.path)) as connection:
        broker = AccountSnapshot(OPEN + 10, "DU1", Decimal(1), Decimal(1))
        second = await recorded(database, "s2", desk(Scripted()), recover(stored(connection), broker))
        assert second.desk.stopped == "enough for today (user)"
        assert [why for _, _, why in stored(connection).halts] == ["enough for today"]


async def test_market_data_between_flushes_costs_a_restart_nothing_but_itself(database: Database) -> None:
    await database.start_session("s", OPEN, "paper", "DU1", ["NVDA"], "{}")
    journal, engine = SqliteJournal(database, "s"), fresh()
    for event in [*morning(), *(quote(3 + n / 100) for n in range(20))]:
        await journal.record(event, engine.on_event(event))
    with closing(connect_readonly(database.path)) as connection:
        rows = list(journal_rows(connection, "s"))
        assert len(rows) == len(morning())
        assert replay(fresh(), rows) is None
