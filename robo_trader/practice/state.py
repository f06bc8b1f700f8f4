"""What the gateway must not forget, on disk before any client is told."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import msgspec

from robo_trader.core.errors import DataError
from robo_trader.practice.books import Books
from robo_trader.practice.tickets import Execution, Ticket

_VERSION = 1
_SCHEMA = """
CREATE TABLE account (one INTEGER PRIMARY KEY CHECK (one = 1), clock INTEGER NOT NULL, books BLOB NOT NULL,
                      next_perm_id INTEGER NOT NULL) STRICT;
CREATE TABLE ticket (perm_id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE execution (exec_id TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT;
"""
_T = TypeVar("_T")
_encode = msgspec.json.Encoder(decimal_format="string").encode


class Saved(msgspec.Struct, frozen=True):
    """A gateway as it was: clock in UTC ns, orders and executions oldest first."""

    clock: int
    books: Books
    next_perm_id: int
    tickets: list[Ticket]
    executions: list[Execution]


class State:
    """One SQLite file for each practice account. Every `save` is one transaction, on disk when it returns."""

    def __init__(self, directory: Path, account: str) -> None:
        """Open or make `<directory>/<account>.db`. Raises DataError where that file is not ours or in use."""
        self.path = directory / f"{account}.db"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            clock = self.path.with_suffix(".clock")
            clock.touch()
            self._clock = clock.open("r+b", buffering=0)
            self._db = sqlite3.connect(self.path, isolation_level=None, timeout=0.5)
        except (sqlite3.Error, OSError) as error:
            raise DataError(f"{self.path}: {error}") from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self.close()
            raise DataError(f"{self.path}: {error}; is another practice gateway using it?") from error

    def load(self) -> Saved | None:
        """Return what was saved last, None from a new file. Raises DataError, closed, where it cannot be read."""
        try:
            row = self._db.execute("SELECT clock, books, next_perm_id FROM account").fetchone()
            if row is None:
                return None
            clock, books, next_perm_id = row
            return Saved(
                max(clock, self._last_clock()),
                msgspec.json.decode(books, type=Books),
                next_perm_id,
                self._all("SELECT body FROM ticket ORDER BY perm_id", Ticket),
                self._all("SELECT body FROM execution ORDER BY rowid", Execution),
            )
        except (msgspec.DecodeError, sqlite3.Error) as error:
            self.close()
            raise DataError(f"{self.path}: {error}; move the file away to begin anew") from error

    def save(
        self,
        clock: int,
        books: Books,
        next_perm_id: int,
        tickets: Iterable[Ticket],
        executions: Iterable[Execution],
    ) -> None:
        """Commit the account and the orders and executions that changed. Raises DataError where it cannot."""
        db = self._db
        account = (clock, _encode(books), next_perm_id)
        try:
            db.execute("BEGIN")
            db.execute("REPLACE INTO account VALUES (1, ?, ?, ?)", account)
            db.executemany("REPLACE INTO ticket VALUES (?, ?)", [(t.perm_id, _encode(t)) for t in tickets])
            fills = [(e.exec_id, _encode(e)) for e in executions]
            db.executemany("INSERT INTO execution VALUES (?, ?)", fills)
            db.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._unwritable(error) from error

    def save_clock(self, clock: int) -> None:
        """Save only the time, 120 times a second at speed 600. Raises DataError.

        It outlives a killed process; after a power cut the time of the last `save` stands.
        """
        try:
            self._clock.seek(0)
            self._clock.write(b"%020d" % clock)
        except OSError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        self._db.close()
        self._clock.close()

    def _prepare(self) -> None:
        # Two gateways on one account would sell its shares twice.
        self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={_VERSION}; COMMIT;")
        elif version != _VERSION:
            self.close()
            raise DataError(f"{self.path}: made by another version ({version}); move it away to begin anew")

    def _last_clock(self) -> int:
        self._clock.seek(0)
        text = self._clock.read(20)
        return int(text) if text.isdigit() else 0

    def _unwritable(self, error: Exception) -> DataError:
        return DataError(f"{self.path}: cannot be written: {error}")

    def _all(self, query: str, kind: type[_T]) -> list[_T]:
        return [msgspec.json.decode(body, type=kind) for (body,) in self._db.execute(query)]
