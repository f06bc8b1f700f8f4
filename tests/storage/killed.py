"""Kills writers of a database in children of its own, round after round, and looks at what they left.

`python -m tests.storage.killed FILE statements|rounds|migrations N SEED` says what it saw; an assertion that fails ends it.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path

from robo_trader.core.events import Event, Fill, Lot, Order, OrderStatus, OrderType, Side, Submit, Timer
from robo_trader.core.steps import Equity, OrderChanged, PositionChanged, Step
from robo_trader.storage import database
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal
from robo_trader.storage.queries import connect_readonly
from robo_trader.storage.recall import stored
from robo_trader.storage.schema import MIGRATIONS

LONGEST_LIFE = 400  # statements


def die_at(connection: sqlite3.Connection, statement: int) -> None:
    """Kill this process when the connection begins its n-th statement from now."""
    left = statement

    def count(_: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    connection.set_trace_callback(count)


def bought(n: int, held: int, cash: Decimal) -> tuple[Event, Step]:
    """One share bought: fill, position with its lots, order and cash."""
    fill = Fill(n, f"o-{n}.1", f"{n:06x}.01", "AAPL", Side.BUY, 1, Decimal(1), Decimal("0.25"))
    facts = (
        PositionChanged(n, "AAPL", held, (Lot(held, Decimal(1)),), Decimal(0)),
        OrderChanged(n, fill.order_id, OrderStatus.FILLED, 1),
        Equity(n, cash, Decimal(held), Decimal(1_000_000), Decimal(0), Decimal(0)),
    )
    return fill, Step((), facts)


def ordered(n: int) -> tuple[Event, Step]:
    order = Order(f"o-{n}.1", "o", "AAPL", Side.BUY, 1)
    stop = Order(f"s-{n}.1", "s", "AAPL", Side.SELL, 1, OrderType.STOP, stop_price=Decimal("0.5"), tif="GTC")
    return Timer(n, "t"), Step((Submit(order, stop),))


async def trade(path: Path, first: int, session: str, dies_at: int) -> None:
    """Trade a share at a time from the `first` on, and say on disk's behalf what may be said, until killed."""
    books = await Database.open(path)
    await books.start_session(session, first, "paper", "DU1", [], "{}")
    await books.write(lambda connection: die_at(connection, dies_at))
    journal = SqliteJournal(books, session)
    for n in range(first, first + LONGEST_LIFE):
        journal.add(*ordered(n))
        journal.add(*bought(n, n, Decimal(1_000_000) - n))
        await journal.commit()
        os.write(1, f"{n}\n".encode())  # what would be sent now is on disk


def child(work: Callable[[], None], told: int) -> int:
    """Run work in a process of its own, its output in the pipe `told`; return how it ended."""
    pid = os.fork()
    if pid == 0:
        os.dup2(told, 1)
        work()
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def look(path: Path) -> int:
    """Return how many shares the books hold, having found every table telling the same of each of them."""
    with closing(connect_readonly(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        ask = connection.execute
        found = stored(connection)
        shares = sum(lot.quantity for lot in found.lots.get("AAPL", ()))
        (cash,) = ask("SELECT cash FROM equity ORDER BY id DESC LIMIT 1").fetchone() or ("1000000",)
        assert len(found.booked) == shares == 1_000_000 - Decimal(cash)
        assert ask("SELECT count(*) FROM orders WHERE status = 'filled'").fetchone()[0] == shares
        assert ask("SELECT count(*) FROM orders WHERE type = 'STP'").fetchone()[0] == shares
        assert ask("SELECT count(*) FROM journal").fetchone()[0] == 2 * shares
        for (session,) in ask("SELECT id FROM sessions").fetchall():
            seqs = ask("SELECT seq FROM journal WHERE session_id = ? ORDER BY seq", (session,)).fetchall()
            assert [seq for (seq,) in seqs] == list(range(1, len(seqs) + 1))
    return shares


def kill_again_and_again(path: Path, deaths: list[int]) -> str:
    """Kill a writer once for each number of statements it may live, one after the other on the same file."""
    asyncio.run(opened(path))
    shares = 0
    for number, statements in enumerate(deaths):
        reading, writing = os.pipe()

        def work(first: int = shares + 1, session: str = f"s{number}", dies_at: int = statements) -> None:
            asyncio.run(trade(path, first, session, dies_at))

        status = child(work, writing)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            lines = pipe.read().splitlines()
        assert os.WIFSIGNALED(status), status
        assert os.WTERMSIG(status) == signal.SIGKILL
        promised = int(lines[-1]) if lines else shares
        # What was told is there, whole, and at most the one that was being written besides.
        shares = look(path)
        assert promised <= shares <= promised + 1, (promised, shares)
        asyncio.run(opened(path))
    return f"{len(deaths)} killed, {shares} shares bought, none lost, none twice"


def kill_migrations(path: Path) -> str:
    """Kill a migration at each of its statements; what it leaves is of the old version or the new, never between."""
    before, seen = rows_of(path), set()
    for statements in range(1_000):
        status = child(lambda dies_at=statements: asyncio.run(migrated(path, dies_at)), 1)  # type: ignore[misc]
        with closing(sqlite3.connect(path)) as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            seen.add((version, connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]))
        assert rows_of(path) == before
        if not os.WIFSIGNALED(status):
            break
    versions = sorted(version for version, _ in seen)
    # Each with all its tables, or one version would be there twice; a short one may be passed in one go.
    assert len(versions) == len({*versions}), seen
    assert (versions[0], versions[-1]) == (1, len(MIGRATIONS)), seen
    return f"{statements} killed, then version {versions[-1]}"


async def migrated(path: Path, dies_at: int) -> None:
    """Open a database, and so migrate it, until killed."""
    prepare = database._prepare

    def watched(path: Path, connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
        die_at(connection, dies_at)
        prepare(path, connection, migrations)

    database._prepare = watched
    await opened(path)


def rows_of(path: Path) -> list[object]:
    """Return what version 1 knows of orders and executions."""
    with closing(sqlite3.connect(path)) as connection:
        return [
            connection.execute("SELECT id, status, filled FROM orders").fetchall(),
            connection.execute("SELECT exec_id, quantity, price, commission FROM fills").fetchall(),
        ]


async def opened(path: Path) -> None:
    await (await Database.open(path)).close()


def main() -> None:
    """Kill, look, and say how it went."""
    path, how, n, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    rng = random.Random(seed)
    if how == "migrations":
        sys.stdout.write(kill_migrations(path) + "\n")
        return
    lives = list(range(n)) if how == "statements" else [rng.randrange(LONGEST_LIFE) for _ in range(n)]
    sys.stdout.write(kill_again_and_again(path, lives) + "\n")


if __name__ == "__main__":
    main()
