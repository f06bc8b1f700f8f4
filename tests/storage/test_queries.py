"""What the page, the command line and a restart are told of a recorded session."""

import doctest
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from sqlite3 import Connection, OperationalError

import numpy as np
import pytest

from robo_trader.core.errors import DataError
from robo_trader.core.events import (
    MINUTE_NS,
    AccountSnapshot,
    Bar,
    Event,
    Halt,
    Lot,
    OrderStatus,
    OrderType,
    Side,
    Timer,
    TradingState,
)
from robo_trader.core.recovery import Left, Stored
from robo_trader.core.steps import Drifted, DriftSummary, Equity, Halted, Step
from robo_trader.storage import queries, recall, rows
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal
from tests.storage.conftest import OPENING, SESSION


@pytest.fixture
async def connection(database: Database, day: list[tuple[Event, Step]]) -> AsyncIterator[Connection]:
    journal = SqliteJournal(database, SESSION)
    for event, step in day:
        await journal.record(event, step)
    await journal.flush()
    with closing(queries.connect_readonly(database.path)) as opened:
        yield opened


def test_the_examples_in_the_docstrings_are_true() -> None:
    assert sum(doctest.testmod(module).failed for module in (queries, rows)) == 0


def test_everything_for_the_page_is_plain_json(connection: Connection) -> None:
    asked = (
        queries.status, queries.positions, queries.equity_curve, queries.orders, queries.fills,
        queries.last_signals, queries.last_decisions, queries.last_violations, queries.models, queries.jobs,
        queries.halt_state, queries.session_row, queries.stops, queries.unprotected, queries.quarantines,
        queries.cash_moves,
    )  # fmt: skip
    for question in asked:
        answer = question(connection)
        assert json.loads(json.dumps(answer, allow_nan=False)) == answer


def test_status_shows_the_session_at_a_glance(connection: Connection) -> None:
    found = queries.status(connection)
    assert found["session"]["id"] == SESSION
    assert found["equity"]["cash"] == "87191.80"
    assert found["halt"]["halted"] is False
    assert found["last_event"]["seq"] == 17
    assert {row["symbol"]: row["quantity"] for row in found["positions"]} == {"AAPL": 50, "MSFT": 10}
    assert [row["id"] for row in found["open_orders"]] == [
        "20260105-1-3.1", "20260105-1-2.1", "20260105-1-1.1", "yesterday-4.2"
    ]  # fmt: skip
    assert found["counts"] == {"signals": 2, "decisions": 1, "orders": 4, "fills": 3, "violations": 2}


async def test_status_of_an_empty_database_has_nothing_to_say(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    await (await Database.open(path)).close()
    with closing(queries.connect_readonly(path)) as connection:
        found = queries.status(connection)
    assert found["session"] is found["equity"] is found["halt"] is found["last_event"] is None
    assert found["positions"] == found["open_orders"] == []


def test_a_restart_learns_holdings_as_lots(connection: Connection) -> None:
    found = recall.holdings(connection)
    assert found["AAPL"] == (50, (Lot(50, Decimal("180.10"), "0001"),), Decimal("-0.90"))
    assert found["MSFT"] == (10, (Lot(10, Decimal("400.25")),), Decimal(0))


def test_a_restart_learns_open_intents_as_orders(connection: Connection) -> None:
    theirs, ours, exit_, stop = recall.open_intents(connection)
    assert (theirs.order.id, theirs.broker_id, theirs.status) == ("yesterday-4.2", 77, OrderStatus.PARTIAL)
    assert theirs.order.limit_price == Decimal("410.50")
    assert (ours.status, ours.filled, ours.broker_id) == (OrderStatus.PARTIAL, 60, 4711)
    assert (ours.order.side, ours.order.quantity, ours.order.type) == (Side.BUY, 80, OrderType.MARKET)
    assert (ours.order.limit_price, ours.order.algorithm) == (Decimal("181.01"), "twap")
    assert (exit_.status, exit_.order.attached_to) == (OrderStatus.INTENT, "")
    assert (stop.order.type, stop.order.stop_price) == (OrderType.STOP, Decimal("190.05"))
    assert (stop.order.tif, stop.order.attached_to, stop.order.protects) == ("GTC", exit_.order.id, True)


def test_a_restart_learns_the_executions_already_booked(connection: Connection) -> None:
    found = recall.booked(connection)
    assert {stem: (fill.exec_id, fill.commission) for stem, fill in found.items()} == {
        "0001": ("0001.02", Decimal("0.90")),
        "0000": ("0000.09", Decimal("1.00")),
    }


def test_a_restart_learns_all_of_it_at_once(connection: Connection) -> None:
    found = recall.stored(connection)
    assert not found.first
    assert set(found.lots) == {"AAPL", "MSFT"}
    assert set(found.booked) == {"0001", "0000"}
    assert [order.order.id for order in found.unresolved][:2] == ["yesterday-4.2", "20260105-1-1.1"]
    assert found.halts == ()  # a part of the daemon that waited for something waits no more
    assert found.ignored == {"MSFT": Left(-2, OPENING + 15 * MINUTE_NS)}


async def test_a_first_start_has_nothing_to_learn_until_the_books_have_been_opened(
    database: Database,
) -> None:
    journal = SqliteJournal(database, SESSION)
    await journal.record(Bar("AAPL", 1, 1.0, 1.0, 1.0, 1.0, 1.0, history=True), Step())
    await journal.flush()
    with closing(queries.connect_readonly(database.path)) as connection:
        assert recall.stored(connection) == Stored()
        await journal.record(AccountSnapshot(2, "DU1", Decimal(1), Decimal(1)), Step())
        assert not recall.stored(connection).first
        await journal.record(Halt(3, "enough", "user"), Step((), (Halted(3, "enough", "user"),)))
        assert recall.stored(connection).halts == (("user", TradingState.HALTED, "enough"),)


async def test_a_day_starts_with_the_equity_last_stated_before_its_open_or_first_after(
    database: Database,
) -> None:
    journal = SqliteJournal(database, SESSION)
    with closing(queries.connect_readonly(database.path)) as connection:
        assert recall.day_start(connection, 50) is None
        for ts in (60, 70, 80):
            books = Equity(ts, Decimal(ts), Decimal("0.50"), Decimal(0), Decimal(0), Decimal(0))
            await journal.record(Timer(ts, "t"), Step((), (books,)))
        await journal.flush()
        assert [recall.day_start(connection, at) for at in (50, 60, 75)] == [
            Decimal("60.50"), Decimal("60.50"), Decimal("70.50")
        ]  # fmt: skip


def test_the_last_halt_or_resume_counts(connection: Connection) -> None:
    found = queries.halt_state(connection)
    assert found is not None
    assert (found["halted"], found["state"], found["reason"], found["by"]) == (
        False, "reducing", "reopening", "session"
    )  # fmt: skip


def test_orders_can_be_asked_by_state(connection: Connection) -> None:
    assert [row["id"] for row in queries.orders(connection)][2:] == ["20260105-1-1.1", "yesterday-4.2"]
    assert queries.orders(connection, [OrderStatus.FILLED]) == []
    assert queries.orders(connection, []) == []
    assert len(queries.orders(connection, [OrderStatus.PARTIAL], limit=1)) == 1


def test_signals_and_abstentions_are_told_apart_newest_first(connection: Connection) -> None:
    silent, spoken = queries.last_signals(connection)
    assert (silent["kind"], silent["probability"], silent["direction"]) == ("abstained", 0.52, None)
    assert (spoken["kind"], spoken["direction"], spoken["reason"]) == ("signal", 1, "5 over 20")
    assert spoken["ts"] == "2026-01-05T14:33:00Z"


def test_decisions_carry_their_sizing_steps(connection: Connection) -> None:
    (found,) = queries.last_decisions(connection)
    assert found["steps"] == {"risk_usd": 1000.0}


def test_refusals_say_value_and_limit_or_that_they_were_unknown(connection: Connection) -> None:
    unknown, known = queries.last_violations(connection)
    assert (unknown["gate"], unknown["value"], unknown["limit"]) == ("heat", None, None)
    assert (known["gate"], known["value"], known["limit"]) == ("daily_loss", -1200.0, -1000.0)


async def test_bars_come_oldest_first_the_newest_of_them_as_arrays(
    database: Database, connection: Connection
) -> None:
    await database.store_bars(
        Bar("NVDA", n * MINUTE_NS, n, n + 2.0, n - 1.0, n + 1.0, 10.0 * n) for n in range(1, 9)
    )
    found = queries.bars(connection, "NVDA", since=3 * MINUTE_NS, limit=4)
    assert found.ts.tolist() == [n * MINUTE_NS for n in (5, 6, 7, 8)]
    assert found.ts.dtype == np.int64
    assert found.close.tolist() == [6.0, 7.0, 8.0, 9.0]
    assert found.volume.flags.c_contiguous
    assert len(queries.bars(connection, "NVDA", since=3 * MINUTE_NS).ts) == 6
    assert len(queries.bars(connection, "NVDA").ts) == 8
    assert len(queries.bars(connection, "NVDA", interval_ns=1).ts) == 0
    assert queries.bar_symbols(connection) == ["AAPL", "NVDA"]


def test_equity_is_oldest_first(connection: Connection) -> None:
    (found,) = queries.equity_curve(connection)
    assert Decimal(found["cash"]) + Decimal(found["value"]) == sum(
        Decimal(found[name]) for name in ("start", "realised", "unrealised")
    )
    assert queries.equity_curve(connection, since=found["ts_ns"] + 1) == []


def test_a_reader_cannot_write(connection: Connection) -> None:
    with pytest.raises(OperationalError, match="readonly"):
        connection.execute("DELETE FROM journal")


def test_a_missing_file_is_a_clear_error_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.db: cannot read the database|nowhere\.db: cannot open"):
        queries.connect_readonly(tmp_path / "nowhere.db")
    assert not (tmp_path / "nowhere.db").exists()


async def test_a_name_with_odd_characters_is_found(tmp_path: Path) -> None:
    path = tmp_path / "50% of #1? yes.db"
    await (await Database.open(path)).close()
    queries.connect_readonly(path).close()


async def test_a_file_without_its_side_files_can_be_read(tmp_path: Path, database: Database) -> None:
    copy = tmp_path / "archive" / "desk.db"
    await database.backup(copy)
    moved = copy.rename(tmp_path / "moved.db")
    shutil.rmtree(copy.parent)
    with closing(queries.connect_readonly(moved)) as connection:
        assert queries.session_row(connection) is not None


async def test_what_has_drifted_and_not_come_back_is_told_of_the_last_session_only(
    database: Database, connection: Connection
) -> None:
    await database.start_session("today", OPENING, "paper", "DU1234567", [], "{}")
    assert queries.drift(connection) == {"standing": [], "summary": None}
    journal = SqliteJournal(database, "today")
    facts = [
        Drifted(OPENING + 1, "rsi_14", "psi", 0.3, 0.25),
        Drifted(OPENING + 1, "atr_close_14", "ks", 0.9, 0.3),
        Drifted(OPENING + 1, "roc_10", "psi", 0.5, 0.25),
        Drifted(OPENING + 2, "roc_10", "psi", 0.1, 0.25),
    ]
    summary = DriftSummary(OPENING + 2, "2026-01-05", 720, 34, 0, False, tuple(facts[:1]))
    await journal.record(Timer(OPENING, "t"), Step((), (*facts, summary)))
    await journal.flush()
    told = queries.status(connection)["drift"]
    assert [(row["feature"], row["test"]) for row in told["standing"]] == [
        ("atr_close_14", "ks"),
        ("rsi_14", "psi"),
    ]
    assert told["standing"][0]["ts_ns"] == OPENING + 1
    assert (told["summary"]["day"], told["summary"]["drifting"], told["summary"]["alarm"]) == (
        "2026-01-05", 0, False
    )  # fmt: skip
    assert told["summary"]["worst"][0]["feature"] == "rsi_14"
    await database.start_session("later", OPENING, "paper", "DU1234567", [], "{}")
    assert queries.drift(connection) == {"standing": [], "summary": None}


async def test_drift_is_calm_or_alarming_since_it_was_first_told_so(
    database: Database, connection: Connection
) -> None:
    await database.start_session("today", OPENING, "paper", "DU1234567", [], "{}")
    journal = SqliteJournal(database, "today")
    since = []
    for i, alarm in enumerate((False, False, True, True, False)):
        told = DriftSummary(OPENING + i, "2026-01-05", 720, 34, 0, alarm, ())
        await journal.record(Timer(OPENING, "t"), Step((), (told,)))
        await journal.flush()
        since.append(queries.drift(connection)["summary"]["since_ns"] - OPENING)
    assert since == [0, 0, 2, 2, 4]
