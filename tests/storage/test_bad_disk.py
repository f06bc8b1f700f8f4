"""A disk that is full, broken, slow, locked or taken away: loud, in words that help, and nothing told is lost."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from robo_trader.core.errors import DataError, DeskHalted
from robo_trader.core.events import Event, Order, Quote, Side, Submit, Timer
from robo_trader.core.steps import NOTHING, Step
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal
from robo_trader.storage.queries import connect_readonly, jobs, orders
from robo_trader.storage.recall import stored
from tests.storage.conftest import SESSION

ROOT = Path(__file__).resolve().parents[2]
Day = list[tuple[Event, Step]]


def order(n: int) -> tuple[Event, Step]:
    return Timer(n, "t"), Step((Submit(Order(f"o-{n}.1", "o", "AAPL", Side.BUY, 1)),))


def on_disk(path: Path) -> list[str]:
    with closing(connect_readonly(path)) as connection:
        return sorted(row["id"] for row in orders(connection, limit=1_000_000))


# --------------------------------------------------------------------------------------- full, read-only, locked

WRITE_UNTIL_IT_IS_FULL = """
import asyncio, resource, sys
from pathlib import Path
from robo_trader.core.errors import DeskHalted
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal
from tests.storage.test_bad_disk import order

async def main():
    database = await Database.open(Path(sys.argv[1]))
    await database.start_session("s", 0, "paper", "DU1", [], "{}")
    resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, 700_000))
    journal = SqliteJournal(database, "s")
    for n in range(10_000):
        await journal.record(*order(n))
        print(f"o-{n}.1", flush=True)

try:
    asyncio.run(main())
except DeskHalted as error:
    print(error, file=sys.stderr)
    raise SystemExit(error.exit_code)
"""


def test_a_disk_that_takes_no_more_halts_and_what_was_told_is_there(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    command = [sys.executable, "-c", WRITE_UNTIL_IT_IS_FULL, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == DeskHalted.exit_code, done.stderr
    assert "writing failed" in done.stderr
    assert "free some disk space" in done.stderr or "look whether it is full" in done.stderr
    told = sorted(done.stdout.split())
    assert len(told) > 10
    assert on_disk(path) == told


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        pytest.param(
            "PRAGMA query_only = 1", r"readonly.*make the file and its directory writable", id="read-only"
        ),
        pytest.param("PRAGMA max_page_count = 1", r"full.*free some disk space", id="full"),
    ],
)
async def test_a_file_that_takes_no_more_in_the_midst_of_a_day_halts_and_nothing_is_sent(
    database: Database, break_it: str, words: str
) -> None:
    journal = SqliteJournal(database, SESSION)
    await journal.record(*order(1))
    await database.write(lambda connection: connection.execute(break_it).fetchall())
    sent: list[str] = []

    async def send() -> None:
        for n in range(2, 1000):
            await journal.record(*order(n))
            sent.append(f"o-{n}.1")

    with pytest.raises(DeskHalted, match=words):
        await send()
    assert on_disk(database.path) == sorted(["o-1.1", *sent])
    with pytest.raises(DeskHalted):
        await journal.flush()  # what could not be written is never taken for written


@pytest.fixture
def other(database: Database) -> Iterator[sqlite3.Connection]:
    """Another program with the same file, which has just begun to write."""
    with closing(sqlite3.connect(database.path, isolation_level=None, timeout=0)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


async def test_an_order_waits_for_another_writer_and_is_then_written(
    database: Database, other: sqlite3.Connection
) -> None:
    writing = asyncio.create_task(SqliteJournal(database, SESSION).record(*order(1)))
    await asyncio.wait((writing,), timeout=0.05)
    assert not writing.done()
    other.execute("COMMIT")
    await writing
    assert on_disk(database.path) == ["o-1.1"]


async def test_another_writer_that_does_not_let_go_halts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("robo_trader.storage.database.BUSY_TIMEOUT_S", 0.05)
    async with await Database.open(tmp_path / "desk.db") as database:
        await database.start_session(SESSION, 0, "paper", "DU1", [], "{}")
        with closing(sqlite3.connect(database.path, isolation_level=None, timeout=0)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(DeskHalted, match=r"locked; another program is writing to it"):
                await SqliteJournal(database, SESSION).record(*order(1))


# ------------------------------------------------------------------------------------------------ slow, or gone


async def test_a_disk_that_does_not_answer_halts_and_is_not_waited_for(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("robo_trader.storage.database.PATIENCE_S", 0.05)
    answer = threading.Event()
    journal = SqliteJournal(database, SESSION)
    try:
        with pytest.raises(DeskHalted, match=r"not answered for 0\.05 s; look whether the disk"):
            await database.write(lambda _: answer.wait())
        with pytest.raises(DeskHalted, match="earlier failure: the disk has not answered"):
            await journal.record(*order(1))
        await database.close()
    finally:
        answer.set()


@pytest.mark.parametrize(
    "lose",
    [
        pytest.param(lambda path: path.unlink(), id="deleted"),
        pytest.param(lambda path: path.rename(path.with_name("elsewhere.db")), id="moved"),
        pytest.param(lambda path: shutil.copy(path, path.with_name("c")).replace(path), id="replaced"),
        pytest.param(lambda path: path.with_name("desk.db-wal").unlink(), id="its log deleted"),
    ],
)
async def test_files_that_are_taken_away_in_the_midst_of_a_day_halt(
    database: Database, lose: Callable[[Path], object]
) -> None:
    journal = SqliteJournal(database, SESSION)
    await journal.record(*order(1))
    await journal.flush()
    lose(database.path)
    with pytest.raises(DeskHalted, match="moved, replaced or deleted while in use"):
        await journal.flush()
    with pytest.raises(DeskHalted):
        await journal.record(*order(2))


# ----------------------------------------------------------------------------------- what waits for the disk


async def test_a_commit_waits_for_what_another_took_and_is_still_writing(database: Database) -> None:
    journal, go = SqliteJournal(database, SESSION), threading.Event()
    blocked = asyncio.create_task(database.write(lambda _: go.wait()))
    await asyncio.sleep(0)
    journal.add(*order(1))
    first = asyncio.create_task(journal.commit())
    await asyncio.sleep(0)
    second = asyncio.create_task(journal.commit())
    await asyncio.wait((second,), timeout=0.05)
    assert not second.done()
    first.cancel()
    go.set()
    await second
    assert on_disk(database.path) == ["o-1.1"]
    await blocked


async def test_a_commit_fails_with_what_another_took_and_could_not_write(database: Database) -> None:
    journal = SqliteJournal(database, SESSION)
    await journal.record(*order(1))
    journal.add(*order(1))
    first, second = asyncio.create_task(journal.commit()), asyncio.create_task(journal.commit())
    for commit in (first, second):
        with pytest.raises(DeskHalted, match="UNIQUE"):
            await commit
    with pytest.raises(DeskHalted, match="UNIQUE"):
        await journal.commit()


async def test_what_waits_in_memory_for_the_disk_is_bounded(database: Database) -> None:
    journal = SqliteJournal(database, SESSION, group=5)
    dues = [journal.add(Quote("AAPL", n, 1.0, 1.1, 1.0, 1.0), NOTHING) for n in range(100)]
    assert dues == [False] * 4 + [True] * 96
    assert journal.load == 1.0
    with pytest.raises(DeskHalted, match="100 events wait for the disk"):
        journal.add(*order(1))
    await journal.commit()
    assert journal.load == 0.0
    await journal.record(*order(1))
    assert on_disk(database.path) == ["o-1.1"]


# ------------------------------------------------------------------------------------------------------- damage


async def test_a_file_damaged_anywhere_is_refused_in_words_or_still_tells_whole_books(
    database: Database, day: Day, tmp_path: Path
) -> None:
    journal = SqliteJournal(database, SESSION)
    for event, step in day:
        await journal.record(event, step)
    whole = tmp_path / "whole.db"
    await database.backup(whole)
    sound, rng, refused = whole.read_bytes(), random.Random(1), []
    for n in range(40):
        path = tmp_path / f"{n}.db"
        damaged = bytearray(sound)
        for _ in range(rng.choice((1, 8, 64))):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            async with await Database.open(path):
                with closing(connect_readonly(path)) as connection:
                    stored(connection)
        except DataError as error:
            refused.append(str(error))
    assert len(refused) > 10
    assert [words for words in refused if "--db" not in words] == []


@pytest.mark.parametrize("table", ["orders", "fills", "positions"])
async def test_an_index_that_forgot_an_order_or_an_execution_is_noticed_at_the_start(
    database: Database, day: Day, table: str
) -> None:
    journal = SqliteJournal(database, SESSION)
    for event, step in day:
        await journal.record(event, step)
    lost = database.path.with_name("lost.db")
    await database.backup(lost)
    with closing(sqlite3.connect(lost, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = 1")
        connection.execute("CREATE TABLE other (x TEXT UNIQUE)")
        connection.execute(
            "UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE tbl_name = 'other' "
            "AND type = 'index') WHERE type = 'index' AND tbl_name = ? AND sql IS NULL",
            (table,),
        )
    with pytest.raises(DataError, match=r"damaged|malformed"):
        await Database.open(lost)


async def test_what_a_crash_left_in_the_log_is_there_at_the_next_start(
    database: Database, tmp_path: Path
) -> None:
    await SqliteJournal(database, SESSION).record(*order(1))
    crashed = tmp_path / "crashed" / "desk.db"
    crashed.parent.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{database.path}{suffix}", f"{crashed}{suffix}")
    assert crashed.with_name("desk.db-wal").stat().st_size > 0
    async with await Database.open(crashed) as opened:
        await opened.record_job("desk", 1, None, "alive")
    assert on_disk(crashed) == ["o-1.1"]
    with closing(connect_readonly(crashed)) as connection:
        assert [job["name"] for job in jobs(connection)] == ["desk"]
