"""A file of an older version becomes one of today's, with a copy beside it and no row lost."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from robo_trader.core.events import TradingState
from robo_trader.storage import queries, recall
from robo_trader.storage.database import Database
from robo_trader.storage.schema import MIGRATIONS

ROOT = Path(__file__).resolve().parents[2]
VERSION_1 = Path(__file__).with_name("schema_v1.sql")
TABLES_1 = (
    "sessions", "journal", "bars", "ticks", "features", "signals", "decisions", "orders", "fills", "positions",
    "equity", "violations", "halts", "models", "jobs",
)  # fmt: skip


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A database with rows in every table, as version 1 left it."""
    path = tmp_path / "desk.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_1.read_text())
    return path


def contents(path: Path) -> dict[str, list[dict[str, object]]]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return {
            table: [dict(row) for row in connection.execute(f'SELECT * FROM "{table}"')] for table in TABLES_1
        }


async def test_every_row_of_a_version_1_file_is_there_after_the_migration(old: Path) -> None:
    before = contents(old)
    assert all(before.values())
    await (await Database.open(old)).close()
    after = contents(old)
    for table, rows in before.items():
        kept = [{name: row[name] for name in rows[0]} for row in after[table]]
        assert kept == rows, table


async def test_the_copy_made_before_the_migration_equals_the_file_as_it_was(old: Path) -> None:
    before = contents(old)
    await (await Database.open(old)).close()
    copy = old.with_name("desk.db.v1.bak")
    assert contents(copy) == before
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == 1
    # It is a database like any other: it can be put back and migrated again.
    await (await Database.open(copy)).close()
    assert contents(copy) == contents(old)


async def test_a_migrated_file_gives_a_restart_what_it_held(old: Path) -> None:
    await (await Database.open(old)).close()
    with closing(queries.connect_readonly(old)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
        found = recall.stored(connection)
        rows = queries.fills(connection)
    assert {symbol: sum(lot.quantity for lot in lots) for symbol, lots in found.lots.items()} == {
        "AAPL": 60,
        "MSFT": 10,
    }
    assert {stem: fill.price for stem, fill in found.booked.items()} == {
        "0000": Decimal("400.25"),
        "0001": Decimal("180.12"),
    }
    assert found.halts == (("operator", TradingState.HALTED, "enough"),)
    assert [order.order.tif for order in found.unresolved] == ["DAY", "DAY"]
    assert not found.stops
    assert {row["superseded_by"] for row in rows} == {""}


async def test_a_reader_that_meets_an_older_file_says_what_to_do(old: Path) -> None:
    with pytest.raises(queries.DataError, match=r"schema version 1; start the daemon once"):
        queries.connect_readonly(old)


def test_a_migration_killed_at_any_of_its_statements_leaves_the_old_file_or_the_new(old: Path) -> None:
    command = [sys.executable, "-m", "tests.storage.killed", str(old), "migrations", "0", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    killed = int(done.stdout.split()[0])
    assert killed > 20
    assert done.stdout.endswith(f"then version {len(MIGRATIONS)}\n")


async def test_a_file_that_cannot_be_copied_is_not_migrated(old: Path) -> None:
    (old.parent / "desk.db.v1.bak").mkdir()
    before = contents(old)
    with pytest.raises(queries.DataError, match=r"desk\.db\.v1\.bak: the backup of"):
        await Database.open(old)
    assert contents(old) == before
