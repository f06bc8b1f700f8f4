"""What is recorded comes back, and what was recorded before sending is on disk whatever happens."""

import asyncio
import sqlite3
import threading
from contextlib import closing
from decimal import Decimal
from typing import get_args

import pytest

from robo_trader.core.errors import DeskHalted
from robo_trader.core.events import (
    AccountSnapshot,
    Bar,
    Command,
    Event,
    Fill,
    OpenOrder,
    Order,
    OrderStatus,
    OrderUpdate,
    Quote,
    Side,
    Submit,
    Timer,
    decode_event,
)
from robo_trader.core.steps import (
    NOTHING,
    Fact,
    Halted,
    OrderChanged,
    PositionChanged,
    Step,
    decode_step,
    journaled,
)
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal, is_urgent
from robo_trader.storage.queries import (
    connect_readonly,
    fills,
    journal_rows,
    orders,
    positions,
)
from robo_trader.storage.recall import booked, holdings, open_intents

SESSION = "20260105-1"
Day = list[tuple[Event, Step]]


async def recorded(database: Database, day: Day, group: int = 500) -> sqlite3.Connection:
    journal = SqliteJournal(database, SESSION, group=group)
    for event, step in day:
        await journal.record(event, step)
    await journal.flush()
    return connect_readonly(database.path)


def test_the_sample_day_uses_every_message_there_is(day: Day) -> None:
    assert {type(event) for event, _ in day} == set(get_args(Event))
    assert {type(command) for _, step in day for command in step.commands} == set(get_args(Command))
    assert {type(fact) for _, step in day for fact in step.facts} == set(get_args(Fact))


@pytest.mark.parametrize("group", [1, 3, 500])
async def test_every_message_comes_back_in_order(database: Database, day: Day, group: int) -> None:
    with closing(await recorded(database, day, group)) as connection:
        rows = list(journal_rows(connection, SESSION))
    assert [seq for seq, _, _ in rows] == list(range(1, len(day) + 1))
    for (_, event, step), (told, answered) in zip(rows, day, strict=True):
        assert decode_event(event) == told
        answered = decode_step(journaled(answered))
        back = decode_step(step)
        assert (tuple(back.commands), tuple(back.facts)) == (tuple(answered.commands), tuple(answered.facts))


@pytest.mark.parametrize("group", [1, 500])
async def test_every_table_gets_its_rows_whatever_the_grouping(
    database: Database, day: Day, group: int
) -> None:
    expected = {
        "journal": len(day), "bars": 2, "ticks": 2, "features": 1, "signals": 2, "decisions": 1, "orders": 4,
        "fills": 3, "positions": 2, "equity": 1, "violations": 2, "halts": 3, "quarantines": 1, "cash_moves": 1,
        "unprotected": 1, "regimes": 1, "drifted": 1, "drift_summaries": 1, "splits": 2, "shadows": 1,
    }  # fmt: skip
    with closing(await recorded(database, day, group)) as connection:
        for table, rows in expected.items():
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == rows, table


async def test_a_fill_told_again_changes_its_commission_and_nothing_else(database: Database) -> None:
    journal = SqliteJournal(database, SESSION)
    fill = Fill(5, "o-1", "e-1", "AAPL", Side.BUY, 10, Decimal("180.10"))
    paid = Fill(6, "o-1", "e-1", "AAPL", Side.BUY, 10, Decimal("180.10"), Decimal("1.00"))
    other = Fill(7, "o-1", "e-1", "AAPL", Side.BUY, 99, Decimal("1.00"), Decimal("1.05"))
    for told in (fill, fill, paid, other, fill):
        await journal.record(told, Step())
    with closing(connect_readonly(database.path)) as connection:
        (found,) = fills(connection)
        assert booked(connection)["e-1"].commission == Decimal("1.05")
    assert (found["ts_ns"], found["quantity"], found["price"], found["commission"]) == (
        5,
        10,
        "180.10",
        "1.05",
    )


async def test_the_first_snapshot_of_a_session_opens_the_books(database: Database, day: Day) -> None:
    with closing(await recorded(database, day)) as connection:
        assert {symbol: row.quantity for symbol, row in holdings(connection).items()} == {
            "AAPL": 50,
            "MSFT": 10,
        }
        await database.start_session("next", 1, "paper", "DU1234567", [], "{}")
        opening, _ = day[0]
        await SqliteJournal(database, "next").record(opening, Step())
        assert {symbol: row.quantity for symbol, row in holdings(connection).items()} == {"MSFT": 10}
        assert [row["symbol"] for row in positions(connection)] == ["MSFT"]


async def test_a_later_snapshot_changes_neither_positions_nor_orders_nor_fills(
    database: Database, day: Day
) -> None:
    journal = SqliteJournal(database, SESSION)
    for event, step in day:
        await journal.record(event, step)
    with closing(connect_readonly(database.path)) as connection:

        def books() -> list[object]:
            return [
                connection.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall()
                for table in ("positions", "orders", "fills", "sessions")
            ]

        before = books()
        stranger = Order("theirs-1.1", "theirs-1", "NVDA", Side.BUY, 5)
        unheard = Fill(9, stranger.id, "0009.01", "NVDA", Side.BUY, 5, Decimal(1))
        later = AccountSnapshot(
            9, "DU1234567", Decimal(1), Decimal(1), (), (OpenOrder(stranger),), (unheard,)
        )
        await journal.record(later, Step())
        assert books() == before


async def test_an_order_found_at_the_opening_takes_the_state_it_was_found_in(
    database: Database, day: Day
) -> None:
    journal = SqliteJournal(database, SESSION)
    order = Order("20260105-1-9.1", "20260105-1-9", "AAPL", Side.BUY, 10)
    await journal.record(Timer(1, "t"), Step((Submit(order),)))
    await database.start_session("next", 1, "paper", "DU1234567", [], "{}")
    found = OpenOrder(order, 4, 88, OrderStatus.PARTIAL)
    opening = AccountSnapshot(2, "DU1234567", Decimal(1), Decimal(1), (), (found,))
    await SqliteJournal(database, "next").record(opening, Step())
    with closing(connect_readonly(database.path)) as connection:
        assert open_intents(connection) == [found]


async def test_the_broker_number_of_an_order_is_kept_even_where_nothing_else_is_new(
    database: Database,
) -> None:
    journal = SqliteJournal(database, SESSION)
    order = Order("o-1", "o", "AAPL", Side.BUY, 10)
    await journal.record(Timer(1, "t"), Step((Submit(order),)))
    await journal.record(OrderUpdate(2, "o-1", OrderStatus.INTENT, broker_id=4711), NOTHING)
    with closing(connect_readonly(database.path)) as connection:
        assert open_intents(connection) == [OpenOrder(order, 0, 4711, OrderStatus.INTENT)]


async def test_an_order_keeps_its_number_and_its_last_message(database: Database) -> None:
    journal = SqliteJournal(database, SESSION)
    await journal.record(Timer(1, "t"), Step((Submit(Order("o-1", "o", "AAPL", Side.BUY, 10)),)))
    for change in (
        OrderChanged(2, "o-1", OrderStatus.WORKING, 0, 4711, "held until the open"),
        OrderChanged(3, "o-1", OrderStatus.PARTIAL, 5),
    ):
        await journal.record(Timer(change.ts, "t"), Step((), (change,)))
    await journal.flush()
    with closing(connect_readonly(database.path)) as connection:
        (found,) = orders(connection)
    assert (found["broker_id"], found["message"]) == (4711, "held until the open")
    assert (found["status"], found["filled"], found["updated_ns"]) == ("partial", 5, 3)


async def test_a_fill_and_its_position_are_seen_together_or_not_at_all(database: Database) -> None:
    journal = SqliteJournal(database, SESSION)
    done = threading.Event()
    seen: list[tuple[int, int]] = []

    def watch() -> None:
        with closing(connect_readonly(database.path)) as connection:
            while not done.wait(0.001):
                seen.append(
                    connection.execute(
                        "SELECT (SELECT coalesce(sum(quantity), 0) FROM fills), "
                        "(SELECT coalesce(sum(quantity), 0) FROM positions)"
                    ).fetchone()
                )

    watching = asyncio.create_task(asyncio.to_thread(watch))
    for n in range(1, 201):
        fill = Fill(n, "o-1", f"e-{n}", "AAPL", Side.BUY, 1, Decimal(1))
        await journal.record(fill, Step((), (PositionChanged(n, "AAPL", n, (), Decimal(0)),)))
    done.set()
    await watching
    assert seen
    assert all(filled == held for filled, held in seen)


async def test_what_is_not_urgent_waits_for_its_group_or_a_flush(database: Database) -> None:
    journal = SqliteJournal(database, SESSION, group=10)
    with closing(connect_readonly(database.path)) as connection:

        def on_disk() -> int:
            return sum(1 for _ in journal_rows(connection, SESSION))

        for n in range(9):
            await journal.record(Quote("AAPL", n, 1.0, 1.1, 1.0, 1.0), NOTHING)
        assert on_disk() == 0
        await journal.record(Quote("AAPL", 9, 1.0, 1.1, 1.0, 1.0), NOTHING)
        assert on_disk() == 10
        await journal.record(Quote("AAPL", 10, 1.0, 1.1, 1.0, 1.0), NOTHING)
        await journal.flush()
        assert on_disk() == 11


async def test_what_is_urgent_is_on_disk_with_all_before_it_when_record_returns(
    database: Database, day: Day
) -> None:
    journal = SqliteJournal(database, SESSION)
    with closing(connect_readonly(database.path)) as connection:
        for n, (event, step) in enumerate(day, start=1):
            await journal.record(event, step)
            if is_urgent(event, step):
                assert sum(1 for _ in journal_rows(connection, SESSION)) == n


def test_a_halt_of_the_desk_itself_is_urgent() -> None:
    bar = Bar("AAPL", 60, 1.0, 1.0, 1.0, 1.0, 1.0)
    assert not is_urgent(bar, Step())
    assert is_urgent(bar, Step((), (Halted(60, "lost too much", "daily_loss"),)))


async def test_an_order_id_used_twice_halts_before_it_is_sent_twice(database: Database) -> None:
    journal = SqliteJournal(database, SESSION)
    step = Step((Submit(Order("o-1", "o", "AAPL", Side.BUY, 1)),))
    await journal.record(Timer(1, "t"), step)
    with pytest.raises(DeskHalted, match=r"orders\.id"):
        await journal.record(Timer(2, "t"), step)


async def test_a_session_that_was_never_opened_cannot_be_journaled(database: Database) -> None:
    journal = SqliteJournal(database, "unheard of")
    await journal.record(Timer(1, "t"), Step())
    with pytest.raises(DeskHalted, match="FOREIGN KEY"):
        await journal.flush()


async def test_a_failed_group_is_never_swallowed(database: Database) -> None:
    journal = SqliteJournal(database, SESSION, group=2)
    nan = Bar("AAPL", 60, 1.0, 1.0, 1.0, float("nan"), 1.0)
    await journal.record(nan, Step())
    with pytest.raises(DeskHalted, match=r"bars\.close"):
        await journal.record(Timer(61, "t"), Step())
    await journal.record(Timer(62, "t"), Step())
    with pytest.raises(DeskHalted, match="earlier failure"):
        await journal.flush()


async def test_a_cancelled_record_is_written_whole_and_in_its_place(database: Database) -> None:
    journal = SqliteJournal(database, SESSION)
    step = Step((Submit(Order("o-1", "o", "AAPL", Side.BUY, 1)),))
    recording = asyncio.create_task(journal.record(Timer(1, "t"), step))
    await asyncio.sleep(0)
    recording.cancel()
    with pytest.raises(asyncio.CancelledError):
        await recording
    await journal.record(Timer(2, "t"), Step())
    await journal.flush()
    with closing(connect_readonly(database.path)) as connection:
        assert [seq for seq, _, _ in journal_rows(connection, SESSION)] == [1, 2]
        assert connection.execute("SELECT id, status FROM orders").fetchall() == [("o-1", "intent")]
