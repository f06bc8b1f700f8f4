"""The write-ahead log is moved into the file when asked, and never by a commit that an order may wait for."""

from __future__ import annotations

from contextlib import closing

import pytest

from robo_trader.core.events import Halt
from robo_trader.core.steps import Step
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal
from robo_trader.storage.queries import connect_readonly
from tests.storage.conftest import SESSION

SQLITE_OWN_LIMIT = 1_000 * 4096  # bytes of log after which SQLite by default moves it


async def test_commits_leave_the_log_alone_and_a_flush_moves_it(database: Database) -> None:
    journal = SqliteJournal(database, SESSION)
    log = database.path.with_name(f"{database.path.name}-wal")
    before = database.path.stat().st_size
    n = 0
    while log.stat().st_size < 1.1 * SQLITE_OWN_LIMIT:
        n += 1
        await journal.record(Halt(n, "x" * 100_000, "operator"), Step())
    assert database.path.stat().st_size == before
    await journal.flush()
    assert database.path.stat().st_size > before + n * 100_000


async def test_a_log_that_a_reader_keeps_grows_and_is_cut_once_the_reader_has_gone(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("robo_trader.storage.database.LONG_LOG_BYTES", 1_000_000)
    journal = SqliteJournal(database, SESSION)
    log = database.path.with_name(f"{database.path.name}-wal")
    with closing(connect_readonly(database.path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM journal").fetchone()
        for n in range(1, 30):
            await journal.record(Halt(n, "x" * 100_000, "operator"), Step())
        await journal.flush()  # waits for no reader
        assert log.stat().st_size > 2_000_000
    await journal.flush()
    assert log.stat().st_size == 0
    await journal.record(Halt(99, "x", "operator"), Step())
    with closing(connect_readonly(database.path)) as reader:
        assert reader.execute("SELECT count(*) FROM journal").fetchone()[0] == 30
