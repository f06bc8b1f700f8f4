"""What the gateway must not forget, on disk before any client is told."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import msgspec

from robo_trader.core.errors import DataError
from robo_trader.data.sessions import XnysCalendar
from robo_trader.practice.account.books import Books
from robo_trader.practice.account.tickets import Execution, Ticket
from robo_trader.practice.market.overlays import Overlays

_VERSION = 2
_SCHEMA = """
CREATE TABLE account (one INTEGER PRIMARY KEY CHECK (one = 1), clock INTEGER NOT NULL, books BLOB NOT NULL,
                      next_perm_id INTEGER NOT NULL) STRICT;
CREATE TABLE ticket (perm_id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE execution (exec_id TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT;
"""
_MARKET = "CREATE TABLE market (one INTEGER PRIMARY KEY CHECK (one = 1), body BLOB NOT NULL) STRICT;"
_T = TypeVar("_T")
_encode = msgspec.json.Encoder(decimal_format="string").encode


class Market(msgspec.Struct, frozen=True):
    """What commands have done to the market: halts, splits, dividends, and the shares that can be borrowed."""

    overlays: Overlays = Overlays()
    borrow: dict[str, int | None] = {}


class Saved(msgspec.Struct, frozen=True):
    """A gateway as it was: clock in UTC ns, orders and executions oldest first, replaced executions among them."""

    clock: int
    books: Books
    next_perm_id: int
    tickets: list[Ticket]
    executions: list[Execution]
    market: Market


class State:
    """One SQLite file for each practice account. Every `save` is one transaction, on disk when it returns."""

    def __init__(self, directory: Path, account: str) -> None:
        """Open or make `<directory>/<account>.db`, one of an earlier version is brought up to this one.

        Raises DataError where that file is not ours or in use.
        """
        self._market: Callable[[], Market] = Market
        self._saved_market = Market()
        self._saved_account: tuple[bytes, int] | None = None  # books and next permanent id
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
        except msgspec.DecodeError as error:
            raise self._unreadable(error) from error

    def watch(self, market: Callable[[], Market]) -> None:
        """Save what `market` returns too, whenever it has changed: with all else, or with the clock's next step."""
        self._market = market

    def load(self) -> Saved | None:
        """Return what was saved last, None from a new file. Raises DataError, closed, where it cannot be read."""
        try:
            row = self._db.execute("SELECT clock, books, next_perm_id FROM account").fetchone()
            if row is None:
                return None
            clock, books, next_perm_id = row
            market = self._db.execute("SELECT body FROM market").fetchone()
            if market is not None:
                self._saved_market = msgspec.json.decode(market[0], type=Market)
            return Saved(
                max(clock, self._last_clock()),
                msgspec.json.decode(books, type=Books),
                next_perm_id,
                self._all("SELECT body FROM ticket ORDER BY perm_id", Ticket),
                self._executions(),
                self._saved_market,
            )
        except (msgspec.DecodeError, sqlite3.Error) as error:
            raise self._unreadable(error) from error

    def save(
        self,
        clock: int,
        books: Books,
        next_perm_id: int,
        tickets: Iterable[Ticket],
        executions: Iterable[Execution],
    ) -> None:
        """Commit the account and the orders and executions that changed. Raises DataError where it cannot.

        Where nothing but the time has changed nothing is written: that is what `save_clock` is for.
        """
        db = self._db
        account, market = (_encode(books), next_perm_id), self._market()
        orders = [(t.perm_id, _encode(t)) for t in tickets]
        fills = [(e.exec_id, _encode(e)) for e in executions]
        if not (orders or fills) and (account, market) == (self._saved_account, self._saved_market):
            return
        try:
            db.execute("BEGIN")
            db.execute("REPLACE INTO account VALUES (1, ?, ?, ?)", (clock, *account))
            if market != self._saved_market:
                db.execute("REPLACE INTO market VALUES (1, ?)", (_encode(market),))
            db.executemany("REPLACE INTO ticket VALUES (?, ?)", orders)
            db.executemany("INSERT INTO execution VALUES (?, ?)", fills)
            db.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._unwritable(error) from error
        self._saved_account, self._saved_market = account, market

    def forget(self) -> None:
        """Forget the account with all its orders and executions. Raises DataError where it cannot."""
        try:
            self._db.executescript(
                "BEGIN; DELETE FROM ticket; DELETE FROM execution; DELETE FROM account; COMMIT;"
            )
        except sqlite3.Error as error:
            raise self._unwritable(error) from error
        self._saved_account = None

    def save_clock(self, clock: int) -> None:
        """Save only the time, 120 times a second at speed 600, and the market if it was changed. Raises DataError.

        It outlives a killed process; after a power cut the time of the last `save` stands.
        """
        market = self._market()
        try:
            self._clock.seek(0)
            self._clock.write(b"%020d" % clock)
            if market != self._saved_market:
                self._db.execute("REPLACE INTO market VALUES (1, ?)", (_encode(market),))
        except (OSError, sqlite3.Error) as error:
            raise self._unwritable(error) from error
        self._saved_market = market

    def close(self) -> None:
        self._db.close()
        self._clock.close()

    def _prepare(self) -> None:
        # Two gateways on one account would sell its shares twice.
        self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            self.close()
            raise DataError(f"{self.path}: made by a later version ({version}); move it away to begin anew")
        if version == 0:
            self._db.executescript(f"BEGIN; {_SCHEMA} {_MARKET} PRAGMA user_version={_VERSION}; COMMIT;")
        elif version == 1:
            self._upgrade()

    def _upgrade(self) -> None:
        """Bring a file of version 1 up to this one: its books knew no days, and nothing was laid over the market."""
        self._db.execute("BEGIN")
        row = self._db.execute("SELECT clock, books FROM account").fetchone()
        if row is not None:
            clock, books = row
            cash = msgspec.json.decode(books, type=Books).cash
            told = _encode(_by_days(cash, self._executions(), max(clock, self._last_clock())))
            self._db.execute("UPDATE account SET books = ?", (told,))
        self._db.execute(_MARKET)
        self._db.execute(f"PRAGMA user_version={_VERSION}")
        self._db.execute("COMMIT")

    def _last_clock(self) -> int:
        self._clock.seek(0)
        text = self._clock.read(20)
        return int(text) if text.isdigit() else 0

    def _unwritable(self, error: Exception) -> DataError:
        return DataError(f"{self.path}: cannot be written: {error}")

    def _unreadable(self, error: Exception) -> DataError:
        self.close()
        return DataError(f"{self.path}: {error}; move the file away to begin anew")

    def _executions(self) -> list[Execution]:
        return self._all("SELECT body FROM execution ORDER BY rowid", Execution)

    def _all(self, query: str, kind: type[_T]) -> list[_T]:
        return [msgspec.json.decode(body, type=kind) for (body,) in self._db.execute(query)]


def _by_days(cash: Decimal, executions: list[Execution], clock: int) -> Books:
    """Return books of that much cash as all executions made them, turned to the day of `clock`."""
    spent = sum((f.side.sign * f.quantity * f.price + f.commission for f in executions), Decimal(0))
    books, date_of = Books(cash + spent), XnysCalendar().label_of
    for f in executions:
        books.begin_day(date_of(f.ts), _unknown)
        books.book(f.symbol, f.side, f.quantity, f.price, f.commission)
    books.begin_day(date_of(clock), _unknown)
    return books


def _unknown(_symbol: str) -> None:
    return None
