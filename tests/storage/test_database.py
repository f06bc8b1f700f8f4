"""Opening, checking, migrating, writing and copying a database file."""

import asyncio
import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from robo_trader.core.errors import DataError, DeskHalted
from robo_trader.core.events import MINUTE_NS, Bar, Order, Side, Submit, Timer
from robo_trader.core.steps import Step
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal
from robo_trader.storage.queries import bars, connect_readonly, jobs, models, orders, session_row
from robo_trader.storage.schema import APPLICATION_ID, MIGRATIONS

TABLES = {
    "sessions", "journal", "bars", "ticks", "features", "signals", "decisions", "orders", "fills", "positions",
    "equity", "violations", "halts", "models", "jobs", "quarantines", "cash_moves", "unprotected",
    "feature_states", "feature_columns", "histories", "drifted", "drift_summaries", "qualities", "regimes", "splits",
    "trainings", "shadows",
}  # fmt: skip


def insert_jobs(connection: sqlite3.Connection) -> None:
    connection.executemany(
        "INSERT INTO jobs VALUES (?, NULL, NULL, 'ok', '')", [(f"job {n}",) for n in range(10)]
    )


async def test_a_new_file_gets_its_directories_tables_and_settings(tmp_path: Path) -> None:
    path = tmp_path / "rooms" / "deep" / "desk.db"
    async with await Database.open(path) as database:
        found = await database.write(
            lambda connection: connection.execute("PRAGMA synchronous").fetchone()[0]
        )
        assert found == 2  # FULL
        keys = await database.write(
            lambda connection: connection.execute("PRAGMA foreign_keys").fetchone()[0]
        )
        assert keys == 1
    with closing(sqlite3.connect(path)) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert names == TABLES
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
        assert connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID


async def test_opening_again_keeps_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    async with await Database.open(path) as database:
        await database.record_job("retrain", 1, 2, "ok")
    async with await Database.open(path) as database:
        await database.record_job("retrain", 2, 3, "failed", "no bars")
    with closing(connect_readonly(path)) as connection:
        (job,) = jobs(connection)
    assert (job["last_run_ns"], job["next_run_ns"], job["state"], job["detail"]) == (
        2,
        3,
        "failed",
        "no bars",
    )


async def test_an_older_file_is_copied_before_it_is_migrated(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    async with await Database.open(path) as database:
        await database.record_job("retrain", 1, 2, "ok")
    newer = (*MIGRATIONS, "ALTER TABLE jobs ADD COLUMN owner TEXT;")
    async with await Database.open(path, migrations=newer) as database:
        rows = await database.write(
            lambda connection: connection.execute("SELECT name, owner FROM jobs").fetchall()
        )
    assert rows == [("retrain", None)]
    with closing(connect_readonly(tmp_path / f"desk.db.v{len(MIGRATIONS)}.bak")) as connection:
        assert [job["name"] for job in jobs(connection)] == ["retrain"]


async def test_a_migration_that_fails_leaves_the_file_as_it_was_and_can_be_tried_again(
    tmp_path: Path,
) -> None:
    path = tmp_path / "desk.db"
    await (await Database.open(path)).close()
    broken = (*MIGRATIONS, "ALTER TABLE jobs ADD COLUMN owner TEXT; SELECT nonsense FROM nowhere;")
    for _ in range(2):
        with pytest.raises(DataError, match="no such table: nowhere"):
            await Database.open(path, migrations=broken)
    async with await Database.open(path) as database:
        await database.record_job("retrain", 1, 2, "ok")


async def test_a_newer_file_is_refused_by_writer_and_reader(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    newer = (*MIGRATIONS, "ALTER TABLE jobs ADD COLUMN owner TEXT;")
    await (await Database.open(path, migrations=newer)).close()
    with pytest.raises(
        DataError, match=rf"desk\.db.*schema version {len(newer)}.*knows up to {len(MIGRATIONS)}.*--db"
    ):
        await Database.open(path)
    with pytest.raises(DataError, match=f"schema version {len(newer)}"):
        connect_readonly(path)


async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Dear diary, today I bought NVDA. " * 100)
    with pytest.raises(DataError, match=r"notes\.txt.*not a database.*--db"):
        await Database.open(path)
    assert path.read_text().startswith("Dear diary")
    with pytest.raises(DataError, match="not a database"):
        connect_readonly(path)


async def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "recipes.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    with pytest.raises(DataError, match="another program"):
        await Database.open(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 1


async def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    async with await Database.open(path) as database:
        await database.store_bars([Bar("AAPL", n, 1.0, 1.0, 1.0, 1.0, 1.0) for n in range(5000)])
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(os.urandom(30_000))
    with pytest.raises(DataError, match=r"damaged|malformed"):
        await Database.open(path)


async def test_a_directory_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot open"):
        await Database.open(tmp_path)


async def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rooms").write_text("")
    with pytest.raises(DataError, match="cannot open"):
        await Database.open(tmp_path / "rooms" / "desk.db")


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory anybody may enter, and a process without the rights of root while the test runs."""
    directory = Path(tempfile.mkdtemp())
    root = os.geteuid() == 0
    directory.chmod(0o755)
    yield directory
    if root:
        os.seteuid(0)
    directory.chmod(0o755)
    shutil.rmtree(directory)


def without_rights(directory: Path) -> None:
    directory.chmod(stat.S_IRUSR | stat.S_IXUSR | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
    if os.geteuid() == 0:
        os.seteuid(65534)


async def test_a_directory_without_the_right_to_write_is_refused(open_directory: Path) -> None:
    without_rights(open_directory)
    with pytest.raises(DataError, match="cannot open"):
        await Database.open(open_directory / "desk.db")


async def test_a_file_without_the_right_to_write_is_refused_before_trading(open_directory: Path) -> None:
    path = open_directory / "desk.db"
    await (await Database.open(path)).close()
    path.chmod(0o444)
    without_rights(open_directory)
    with pytest.raises(DataError, match=r"readonly.*make the file and its directory writable|cannot open"):
        await Database.open(path)


async def test_a_file_another_program_is_writing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("robo_trader.storage.database.BUSY_TIMEOUT_S", 0.05)
    path = tmp_path / "desk.db"
    await (await Database.open(path)).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DataError, match=r"locked.*another program"):
            await Database.open(path)


async def test_a_failed_write_halts_leaves_nothing_and_stops_all_later_writes(database: Database) -> None:
    def half(connection: sqlite3.Connection) -> None:
        insert_jobs(connection)
        insert_jobs(connection)

    with pytest.raises(DeskHalted, match="UNIQUE"):
        await database.write(half)
    with pytest.raises(DeskHalted, match=r"earlier failure.*UNIQUE"):
        await database.record_job("retrain", 1, 2, "ok")
    with closing(connect_readonly(database.path)) as connection:
        assert jobs(connection) == []
    with closing(sqlite3.connect(database.path, timeout=0)) as other:
        insert_jobs(other)  # no lock is left behind either


async def test_work_that_fails_by_itself_leaves_nothing_and_the_next_goes_on(database: Database) -> None:
    def half(connection: sqlite3.Connection) -> None:
        insert_jobs(connection)
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        await database.write(half)
    await database.record_job("retrain", 1, 2, "ok")
    with closing(connect_readonly(database.path)) as connection:
        assert [job["name"] for job in jobs(connection)] == ["retrain"]


async def test_a_number_too_large_for_the_file_halts(database: Database) -> None:
    with pytest.raises(DeskHalted, match="too large"):
        await database.record_job("retrain", 2**63, None, "ok")


async def test_a_full_disk_halts_loudly_and_keeps_what_was_there(database: Database) -> None:
    await database.record_job("retrain", 1, 2, "ok")
    await database.write(lambda connection: connection.execute("SELECT 1"))
    pages = await database.write(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
    await database.write(
        lambda connection: connection.execute(f"PRAGMA max_page_count = {pages + 2}").fetchone()
    )
    with pytest.raises(DeskHalted, match=r"full.*free some disk space"):
        await database.store_bars(Bar("AAPL", n, 1.0, 1.0, 1.0, 1.0, 1.0) for n in range(5000))
    with closing(connect_readonly(database.path)) as connection:
        assert len(jobs(connection)) == 1
        assert len(bars(connection, "AAPL").ts) == 0


async def test_nothing_deletes_fills(database: Database, day: list) -> None:
    journal = SqliteJournal(database, "20260105-1")
    for event, step in day:
        await journal.record(event, step)
    with pytest.raises(DeskHalted, match="fills are never deleted"):
        await database.write(lambda connection: connection.execute("DELETE FROM fills"))


async def test_a_backup_made_while_writing_is_whole_and_writing_goes_on(
    database: Database, tmp_path: Path
) -> None:
    journal = SqliteJournal(database, "20260105-1")

    async def trade() -> None:
        for n in range(300):
            order = Order(f"o-{n}", "o", "AAPL", Side.BUY, 1)
            await journal.record(Timer(n, "t"), Step(commands=(Submit(order),)))

    trading = asyncio.create_task(trade())
    await asyncio.sleep(0)
    target = tmp_path / "backups" / "copy.db"
    await database.backup(target)
    await trading
    assert [entry.name for entry in target.parent.iterdir()] == ["copy.db"]
    with closing(connect_readonly(target)) as copy, closing(connect_readonly(database.path)) as original:
        copied = copy.execute("SELECT seq, ts, event, step FROM journal ORDER BY seq").fetchall()
        written = original.execute("SELECT seq, ts, event, step FROM journal ORDER BY seq").fetchall()
        assert len(written) == 300
        assert copied == written[: len(copied)]
        assert len(orders(copy, limit=1000)) == len(copied)
    async with await Database.open(target) as restored:
        await restored.record_job("retrain", 1, 2, "ok")


async def test_a_backup_at_rest_equals_its_original_in_every_table(database: Database, day: list) -> None:
    journal = SqliteJournal(database, "20260105-1")
    for event, step in day:
        await journal.record(event, step)
    target = database.path.with_name("copy.db")
    await database.backup(target)
    with closing(connect_readonly(target)) as copy, closing(connect_readonly(database.path)) as original:
        assert copy.execute("PRAGMA journal_mode").fetchone()[0] == "delete"  # one file, nothing beside it
        for table in TABLES:
            query = f"SELECT * FROM {table}"
            assert copy.execute(query).fetchall() == original.execute(query).fetchall()


async def test_a_backup_overwrites_nothing(database: Database, tmp_path: Path) -> None:
    target = tmp_path / "precious.db"
    target.write_text("precious")
    with pytest.raises(DataError, match=r"precious\.db: exists already"):
        await database.backup(target)
    assert target.read_text() == "precious"
    taken = tmp_path / "taken.db"
    taken.symlink_to(tmp_path / "not there yet")
    with pytest.raises(DataError, match="exists"):
        await database.backup(taken)
    assert taken.is_symlink()


async def test_a_backup_that_fails_leaves_nothing_behind(tmp_path: Path, database: Database) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="the backup of"):
        await database.backup(tmp_path / "file" / "copy.db")
    assert sorted(entry.name for entry in tmp_path.iterdir() if "desk" not in entry.name) == ["file"]


async def test_a_session_begins_and_ends(database: Database) -> None:
    with closing(connect_readonly(database.path)) as connection:
        begun = session_row(connection)
        assert begun is not None
        assert begun["symbols"] == ["AAPL", "MSFT"]
        assert begun["config"] == {"seed": 7}
        assert len(begun["config_hash"]) == 64
        assert (begun["started"], begun["ended"], begun["outcome"]) == ("2026-01-05T14:30:00Z", None, None)
        await database.end_session("20260105-1", begun["started_ns"] + MINUTE_NS, "stopped by the user")
        ended = session_row(connection, "20260105-1")
        assert ended is not None
        assert (ended["ended"], ended["outcome"]) == ("2026-01-05T14:31:00Z", "stopped by the user")
        assert session_row(connection, "another") is None


async def test_a_bar_that_is_known_stays_as_it_was_first_told(database: Database) -> None:
    await database.store_bars([Bar("AAPL", 60, 1.0, 2.0, 0.5, 1.5, 10.0)])
    await database.store_bars(
        [Bar("AAPL", 60, 9.0, 9.0, 9.0, 9.0, 9.0), Bar("AAPL", 120, 2.0, 2.0, 2.0, 2.0, 2.0)]
    )
    with closing(connect_readonly(database.path)) as connection:
        assert bars(connection, "AAPL").open.tolist() == [1.0, 2.0]


async def test_a_bar_of_nan_halts(database: Database) -> None:
    with pytest.raises(DeskHalted, match=r"NOT NULL constraint failed: bars\.close"):
        await database.store_bars([Bar("AAPL", 60, 1.0, 2.0, 0.5, float("nan"), 10.0)])


async def test_a_model_is_kept_once_per_content(database: Database) -> None:
    for loaded in (1, 2):
        await database.record_model("ensemble", "v1", "ab" * 32, "trained_models/v1", "AUC 0.55", loaded)
    with closing(connect_readonly(database.path)) as connection:
        (model,) = models(connection)
    assert (model["name"], model["loaded_ns"], model["verdict"]) == ("ensemble", 2, "AUC 0.55")
