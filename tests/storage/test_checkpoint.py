"""The write-ahead log is moved into the file when asked, and never by a commit that an order may wait for."""

from __future__ import annotations

from robo_trader.core.events import Halt, Step
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal
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
