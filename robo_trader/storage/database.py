"""The one writer of a database file: opens, checks, migrates, writes whole transactions, copies itself."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

import aiosqlite

from robo_trader.core.errors import DataError, DeskHalted
from robo_trader.core.events import Bar, encode
from robo_trader.data.quality import Quality
from robo_trader.storage import qualities
from robo_trader.storage import statements as sql
from robo_trader.storage.schema import MIGRATIONS, check_known, migrate, version
from robo_trader.storage.statements import bar_row

T = TypeVar("T")

BUSY_TIMEOUT_S = 5.0
# An order waits so long for the disk, and then the desk ends rather than hang with a market that moves.
PATIENCE_S = 10.0
# SQLite's word about a damaged file may quote what is no text.
SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
# SQLite's own limit of its write-ahead log, for a writer that never calls `checkpoint`.
LOG_PAGES = 20_000
# From here on the log is cut as soon as its readers leave a gap, for which an order may have to wait so long.
LONG_LOG_BYTES = 64_000_000
GAP_S = 0.05
# Rows of one transaction where there are very many: an order may wait behind it.
BULK = 5_000


class _Writer(aiosqlite.Connection):
    """A connection that runs a whole piece of work in one visit to its thread, so cancelling cannot split it."""

    def __init__(self, path: Path) -> None:
        def connect() -> sqlite3.Connection:
            return sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_S)

        super().__init__(connect, iter_chunk_size=64)
        # What is committed is committed: a forgotten close must not keep a dying process alive.
        self._thread.daemon = True

    async def visit(self, work: Callable[[sqlite3.Connection], T]) -> T:
        result: T = await self._execute(work, self._conn)  # type: ignore[no-untyped-call]
        return result


class Database:
    """An open database file with a single writing connection; work is done in the order it was asked for."""

    def __init__(self, path: Path, writer: _Writer) -> None:
        self.path = path
        self._writer = writer
        self._failure = ""
        self._hangs = False
        self._files = _identities(path)

    @classmethod
    async def open(cls, path: Path, *, migrations: Sequence[str] = MIGRATIONS) -> Self:
        """Open or create the file, check it, bring its schema up to date (after a copy `<name>.v<N>.bak`).

        Raises DataError where it is no database of ours, damaged, of a newer version, or cannot be written.
        """
        try:
            await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
            writer = _Writer(path)
            await writer
        except (OSError, sqlite3.Error) as error:
            raise DataError(f"{path}: cannot open the database: {error}") from error
        try:
            await writer.visit(lambda connection: _prepare(path, connection, migrations))
        except BaseException as error:
            await writer.close()
            if isinstance(error, (*SQLITE_ERRORS, OSError, DataError)):
                raise DataError(f"{path}: cannot use the database: {error}{_advice(error)}") from error
            raise
        return cls(path, writer)

    async def close(self) -> None:
        """Finish what was asked for and close the file; a disk that hangs is not waited for."""
        if not self._hangs:
            await self._writer.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` as one transaction, on disk when this returns; it is finished even if the caller is cancelled.

        Raises DeskHalted where it fails or the disk does not answer in time, and from then on: nothing may be written
        after a hole.
        """
        self._require_whole()
        return await self._visit(lambda connection: self._transact(connection, work))

    async def _visit(self, work: Callable[[sqlite3.Connection], T]) -> T:
        visit = asyncio.ensure_future(self._writer.visit(work))
        done, _ = await asyncio.wait((visit,), timeout=PATIENCE_S)
        if not done:
            self._hangs = True
            raise self._failed(f"the disk has not answered for {PATIENCE_S:g} s")
        return visit.result()

    def _require_whole(self) -> None:
        if self._failure:
            raise DeskHalted(f"{self.path}: not writing after an earlier failure: {self._failure}")

    def _failed(self, why: str) -> DeskHalted:
        self._failure = self._failure or why
        return DeskHalted(f"{self.path}: writing failed: {why}{_advice(why)}")

    def _transact(self, connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
        self._require_whole()
        try:
            connection.execute("BEGIN IMMEDIATE")
            result = work(connection)
            connection.execute("COMMIT")
        except (*SQLITE_ERRORS, OverflowError) as error:
            raise self._failed(str(error)) from error
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        return result

    async def checkpoint(self) -> None:
        """Move what the write-ahead log holds into the file, which is safe without: call it while no order waits.

        Raises DeskHalted where it fails, or where the files are no longer those that were opened.
        """
        if not self._failure:  # which was told when it happened
            await self._visit(self._move_log)

    def _move_log(self, connection: sqlite3.Connection) -> None:
        # SQLite would go on writing to files that nobody will find again.
        if _identities(self.path) != self._files:
            raise self._failed("its files were moved, replaced or deleted while in use; leave them in place")
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            if _log_of(self.path).stat().st_size > LONG_LOG_BYTES:
                _cut_log(connection)
        except SQLITE_ERRORS as error:
            raise self._failed(str(error)) from error

    async def backup(self, target: Path) -> None:
        """Copy the database as it is now to a new file while writing goes on.

        Raises DataError where `target` exists or cannot be written.
        """
        await asyncio.to_thread(backup, self.path, target)

    async def start_session(
        self, session_id: str, started: int, mode: str, account: str, symbols: Sequence[str], config: str
    ) -> None:
        """Open a session; `config` is JSON holding everything needed to build an identical engine."""
        digest = hashlib.sha256(config.encode()).hexdigest()
        row = (session_id, started, mode, account, encode(list(symbols)).decode(), config, digest)
        await self._execute(
            "INSERT INTO sessions (id, started, mode, account, symbols, config, config_hash) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            [row],
        )

    async def end_session(self, session_id: str, ended: int, outcome: str) -> None:
        """Close a session with how it went; one without an end was cut off."""
        await self._execute(
            "UPDATE sessions SET ended = ?, outcome = ? WHERE id = ?", [(ended, outcome, session_id)]
        )

    async def store_bars(self, bars: Iterable[Bar], now: int = 0) -> None:
        """Keep bars, history or live, told at the market's time `now` (UTC ns); one already known is left as it is."""
        rest = iter(bars)
        while rows := [bar_row(bar, now) for bar in islice(rest, BULK)]:
            await self._execute(sql.INSERT_BAR, rows)

    async def note_histories(self, asked: Iterable[tuple[str, int, str]]) -> None:
        """Note that the broker has told all bars it has of past sessions: (symbol, interval in ns, session's label)."""
        await self._execute(sql.HISTORY_ASKED, list(asked))

    async def keep_feature_state(
        self, session_id: str, version: str, columns: Sequence[str], state: bytes
    ) -> None:
        """Keep what the features knew when a session began, and what the columns of their version are called."""
        named = [(version, encode(list(columns)).decode())]

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(sql.FEATURE_COLUMNS, named)
            connection.execute(sql.FEATURE_STATE, (session_id, version, state))

        await self.write(work)

    async def forget_features(self, before: int, most: int = 1_000) -> int:
        """Delete the oldest feature rows of before a time (ns UTC), `most` at a time; return how many it were."""
        return await self.write(
            lambda connection: connection.execute(sql.FEATURES_OLD, (before, most)).rowcount
        )

    async def forget_feature_states(self, before: int, most: int = 1) -> int:
        """Empty what the features knew as a session began that ended before a time (ns UTC), `most` at a time.

        Never of the last session. Returns how many it were; the sessions cannot be replayed any more, and say so.
        """
        return await self.write(
            lambda connection: connection.execute(sql.FEATURE_STATES_OLD, (before, most)).rowcount
        )

    async def keep_qualities(self, session_id: str, found: Sequence[Quality]) -> None:
        """Write down how good the data were that a session has seen so far, by symbol and day."""
        await self.write(lambda connection: qualities.keep(connection, session_id, found))

    async def record_model(
        self, name: str, version: str, sha256: str, path: str, verdict: str, loaded: int
    ) -> None:
        """Note that a model was loaded, and what its evaluation said."""
        await self._execute(
            "INSERT INTO models (name, version, sha256, path, verdict, loaded) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (name, version, sha256) DO UPDATE SET path = excluded.path, "
            "verdict = excluded.verdict, loaded = excluded.loaded",
            [(name, version, sha256, path, verdict, loaded)],
        )

    async def record_job(
        self, name: str, last_run: int | None, next_run: int | None, state: str, detail: str = ""
    ) -> None:
        """Note when a scheduled job ran, runs next, and how it went."""
        await self._execute(
            "INSERT INTO jobs (name, last_run, next_run, state, detail) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (name) DO UPDATE SET last_run = excluded.last_run, next_run = excluded.next_run, "
            "state = excluded.state, detail = excluded.detail",
            [(name, last_run, next_run, state, detail)],
        )

    async def _execute(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        await self.write(lambda connection: connection.executemany(statement, rows))


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _cut_log(connection: sqlite3.Connection) -> None:
    """Begin the log anew unless somebody reads in it: with many readers there may never be a moment without one."""
    try:
        connection.execute(f"PRAGMA busy_timeout = {GAP_S * 1000:.0f}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000:.0f}")


def _identities(path: Path) -> list[tuple[int, int] | None]:
    """Say which files these are: the database and its write-ahead log."""
    found: list[tuple[int, int] | None] = []
    for file in (path, _log_of(path)):
        try:
            status = file.stat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_dev, status.st_ino))
    return found


def readonly(path: Path) -> sqlite3.Connection:
    """Connect without the right to write. Raises sqlite3.Error where there is no such file."""
    # Handlers of the page share a connection across threads; SQLite itself takes turns.
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False
    )


def backup(source: Path, target: Path, *, replace: bool = False) -> None:
    """Copy a database that may be in use to a checked file of its own.

    Raises DataError where `target` exists and may not be replaced, or cannot be written.
    """
    partial = target.with_name(target.name + ".partial")
    if not replace and target.exists():
        raise DataError(f"{target}: exists already; name a new file for the backup")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy(source, partial)
        # Takes the name, or fails where somebody else did meanwhile: a rename alone would overwrite.
        target.touch(exist_ok=replace)
        partial.replace(target)
    except (*SQLITE_ERRORS, OSError, DataError) as error:
        raise DataError(f"{target}: the backup of {source} failed: {error}{_advice(error)}") from error
    finally:
        # Where nothing could be written there may be no directory to remove it from.
        with suppress(OSError):
            partial.unlink()


def _copy(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    with closing(readonly(source)) as original, closing(sqlite3.connect(target)) as copy:
        original.backup(copy)
        # One file with nothing beside it, so that it may be moved away.
        copy.execute("PRAGMA journal_mode = DELETE")
        _check_integrity(copy)
    with target.open("rb") as written:
        os.fsync(written.fileno())


def _prepare(path: Path, connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    found = version(connection)
    check_known(found, len(migrations))
    _check_integrity(connection)
    # Also proves, before trading, that the file can be written and nobody else holds it.
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ROLLBACK")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    # By itself SQLite would move its log in the midst of some commit, perhaps one that an order waits for.
    connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
    connection.execute("PRAGMA foreign_keys = ON")
    if 0 < found < len(migrations):
        backup(path, path.with_name(f"{path.name}.v{found}.bak"), replace=True)
    migrate(connection, migrations)
    # Makes the log's file where there is none yet, so that it can be told whether it is still the same.
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ROLLBACK")


def _check_integrity(connection: sqlite3.Connection) -> None:
    """Look at every page, and at the indexes by which an order or an execution is known to be there already."""
    books = (
        [f"integrity_check({table})" for table in ("orders", "fills", "positions")]
        if _rows(connection)
        else []
    )
    for check in ("quick_check(1)", *books):
        answer = connection.execute(f"PRAGMA {check}").fetchone()[0]
        if answer != "ok":
            raise DataError(f"it is damaged ({answer}); restore a backup or name another file with --db")


def _rows(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def _advice(error: Exception | str) -> str:
    """Say what the user can do about an error that SQLite words for programmers."""
    text = str(error)
    for sign, advice in (
        ("not a database", "; restore a backup or name another file with --db"),
        ("malformed", "; restore a backup or name another file with --db"),
        ("can't decode", "; it is damaged: restore a backup or name another file with --db"),
        ("readonly", "; make the file and its directory writable or name another file with --db"),
        ("locked", "; another program is writing to it"),
        ("full", "; free some disk space"),
        ("I/O error", "; the disk refuses it: look whether it is full, read-only or broken"),
        ("not answered", "; look whether the disk, or the network it is on, works"),
    ):
        if sign in text:
            return advice
    return ""
