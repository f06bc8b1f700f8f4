"""Vectors come back from the database as they were told, by time and by symbol, until they are too old to keep."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from zlib import crc32

import numpy as np
import pytest

from robo_trader.core.errors import DataError
from robo_trader.core.events import DAY_NS, MINUTE_NS, Bar
from robo_trader.core.steps import FeatureRow, Step
from robo_trader.storage import feature_rows
from robo_trader.storage import statements as sql
from robo_trader.storage.database import Database
from robo_trader.storage.feature_rows import Asked, Told
from robo_trader.storage.queries import connect_readonly
from tests.storage.conftest import OPENING, SESSION
from tests.storage.told import Tell

SYMBOLS = ("AAPL", "MSFT", "NVDA")
WIDTH, MINUTES = 5, 12


def closed(minute: int) -> int:
    return OPENING + (minute + 1) * MINUTE_NS


def vector(symbol: str, minute: int) -> np.ndarray:
    x = np.arange(WIDTH) + 100.0 * SYMBOLS.index(symbol) + 1000.0 * minute
    x[minute % WIDTH] = np.nan
    return x


@pytest.fixture
async def told(tell: Tell) -> None:
    """A morning of vectors; one minute of MSFT lacks, and one vector of NVDA is of another version."""
    for minute in range(MINUTES):
        for symbol in SYMBOLS[::-1]:
            if (symbol, minute) != ("MSFT", 3):
                ts, version = closed(minute), "v0" if (symbol, minute) == ("NVDA", 0) else "v1"
                bar = Bar(symbol, ts, 1.0, 1.0, 1.0, 1.0, 1.0)
                await tell(
                    (bar, Step((), (FeatureRow(ts, symbol, version, vector(symbol, minute).tobytes()),)))
                )


@pytest.mark.usefixtures("told")
async def test_a_matrix_has_the_rows_in_order_of_time_then_of_symbol(connection: sqlite3.Connection) -> None:
    found = feature_rows.matrix(connection, Asked("v1", ["NVDA", "MSFT"], closed(0), closed(5)))
    expected = [(closed(m), s) for m in range(5) for s in ("MSFT", "NVDA")]
    expected = [row for row in expected if row not in ((closed(3), "MSFT"), (closed(0), "NVDA"))]
    assert [(ts, found.symbols[i]) for ts, i in zip(found.ts.tolist(), found.symbol, strict=True)] == expected
    rows = [vector(symbol, (ts - closed(0)) // MINUTE_NS) for ts, symbol in expected]
    assert found.x.tobytes() == np.array(rows).tobytes()


@pytest.mark.usefixtures("told")
async def test_more_rows_than_are_read_at_once_come_whole(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = feature_rows.matrix(connection, Asked("v1", SYMBOLS))
    monkeypatch.setattr(feature_rows, "BLOCK", 4)
    in_blocks = feature_rows.matrix(connection, Asked("v1", SYMBOLS))
    assert len(whole.ts) == 3 * MINUTES - 2
    assert in_blocks.x.tobytes() == whole.x.tobytes()


@pytest.mark.usefixtures("told")
async def test_nothing_asked_for_gives_nothing(connection: sqlite3.Connection) -> None:
    for version, symbols in (("v2", SYMBOLS), ("v1", ()), ("v1", ("TSLA",))):
        found = feature_rows.matrix(connection, Asked(version, symbols))
        assert (len(found.ts), len(found.symbol), len(found.x)) == (0, 0, 0)


@pytest.mark.usefixtures("told")
async def test_the_last_vector_by_a_time_says_of_which_bar_and_version_it_is(
    database: Database, connection: sqlite3.Connection
) -> None:
    await database.keep_feature_state(SESSION, "v1", ["a", "b", "c", "d", "e"], b"state")
    newest = feature_rows.last_vector(connection, "NVDA")
    assert newest is not None
    assert (newest.ts, newest.version, newest.columns) == (
        closed(MINUTES - 1),
        "v1",
        ("a", "b", "c", "d", "e"),
    )
    between = feature_rows.last_vector(connection, "MSFT", closed(3) + 1)
    assert between is not None
    assert between.values.tobytes() == vector("MSFT", 2).tobytes()
    first = feature_rows.last_vector(connection, "NVDA", closed(0))
    assert first is not None
    assert (first.version, first.columns) == ("v0", ())
    assert feature_rows.last_vector(connection, "NVDA", closed(0) - 1) is None
    assert feature_rows.last_vector(connection, "TSLA") is None
    assert feature_rows.span(connection, "MSFT") == (closed(0), closed(MINUTES - 1))
    assert feature_rows.span(connection, "TSLA") is None


@pytest.mark.usefixtures("told")
async def test_what_is_too_old_goes_oldest_first_and_a_few_at_a_time(
    database: Database, connection: sqlite3.Connection
) -> None:
    assert await database.forget_features(closed(2), most=4) == 4
    assert feature_rows.span(connection, "MSFT") == (closed(1), closed(MINUTES - 1))
    assert await database.forget_features(closed(2), most=4) == 2
    assert await database.forget_features(closed(2), most=4) == 0
    assert {feature_rows.span(connection, s) for s in ("AAPL", "MSFT")} == {(closed(2), closed(MINUTES - 1))}


@pytest.mark.usefixtures("told")
async def test_what_is_there_is_told_by_symbol_and_version(connection: sqlite3.Connection) -> None:
    assert feature_rows.told(connection) == [
        Told("AAPL", "v1", MINUTES, closed(0), closed(MINUTES - 1)),
        Told("MSFT", "v1", MINUTES - 1, closed(0), closed(MINUTES - 1)),
        Told("NVDA", "v0", 1, closed(0), closed(0)),
        Told("NVDA", "v1", MINUTES - 1, closed(1), closed(MINUTES - 1)),
    ]
    assert feature_rows.told(connection, closed(0), closed(1))[1:] == [
        Told("MSFT", "v1", 1, closed(0), closed(0)),
        Told("NVDA", "v0", 1, closed(0), closed(0)),
    ]


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("cut", [slice(0, 8), slice(0, 13), slice(1, None), None])
async def test_a_vector_that_the_disk_altered_is_refused_by_name_and_the_others_are_read(
    database: Database, connection: sqlite3.Connection, cut: slice | None
) -> None:
    """Cut, or with one bit turned."""
    values = vector("MSFT", 7).tobytes()
    damaged = bytes([*values[:20], values[20] ^ 1, *values[21:]]) if cut is None else values[cut]
    where = (closed(7), "MSFT")
    sql = 'UPDATE features SET "values" = ? WHERE ts = ? AND symbol = ?'
    await database.write(lambda writing: writing.execute(sql, (damaged, *where)))
    why = "features of MSFT at .* are not what was written.* DELETE FROM features WHERE ts = "
    with pytest.raises(DataError, match=why):
        feature_rows.last_vector(connection, "MSFT", closed(7))
    with pytest.raises(DataError, match=why):
        feature_rows.matrix(connection, Asked("v1", SYMBOLS))
    assert len(feature_rows.matrix(connection, Asked("v1", ["AAPL", "NVDA"])).ts) == 2 * MINUTES - 1
    assert len(feature_rows.matrix(connection, Asked("v1", SYMBOLS, until=closed(7))).ts) == 3 * 7 - 2


@pytest.mark.usefixtures("told")
async def test_a_vector_of_before_there_were_checksums_is_read(
    database: Database, connection: sqlite3.Connection
) -> None:
    await database.write(lambda writing: writing.execute("UPDATE features SET crc = NULL"))
    assert feature_rows.last_vector(connection, "MSFT") is not None
    assert len(feature_rows.matrix(connection, Asked("v1", SYMBOLS)).ts) == 3 * MINUTES - 2


async def test_a_file_whose_old_days_go_does_not_grow(
    database: Database, connection: sqlite3.Connection
) -> None:
    values = bytes(1312)
    pages = []
    for day in range(6):
        since = OPENING + day * DAY_NS
        rows = [("NVDA", "v1", since + n * MINUTE_NS, values, crc32(values)) for n in range(390)]
        await database.write(lambda writing, rows=rows: writing.executemany(sql.FEATURES, rows))
        while await database.forget_features(since - DAY_NS, most=100):
            pass
        await database.checkpoint()
        pages.append(connection.execute("PRAGMA page_count").fetchone()[0])
        assert len(feature_rows.matrix(connection, Asked("v1", ["NVDA"])).ts) == 390 * min(day + 1, 2)
    assert pages[-1] <= pages[2] + 3  # of about 130 a day
    assert pages[1] > pages[0] + 100


@pytest.mark.usefixtures("told")
async def test_the_state_of_a_session_goes_with_its_vectors_but_never_that_of_the_last_one(
    database: Database, connection: sqlite3.Connection
) -> None:
    await database.keep_feature_state(SESSION, "v1", ["a"], b"first")
    end = closed(MINUTES - 1)
    assert await database.forget_feature_states(end + 1) == 0  # it is the last one
    for later in ("silent", "now"):
        await database.start_session(later, OPENING, "paper", "DU1234567", ["AAPL"], "{}")
        await database.keep_feature_state(later, "v1", ["a"], b"later")
    assert await database.forget_feature_states(end) == 1  # of the one that recorded nothing
    assert feature_rows.state(connection, SESSION) == b"first"
    assert await database.forget_feature_states(end + 1) == 1
    assert await database.forget_feature_states(end + 1) == 0
    assert feature_rows.state(connection, "now") == b"later"
    with pytest.raises(
        DataError, match=f"session {SESSION} knew .* FEATURES_KEEP_DAYS .* no longer replayed"
    ):
        feature_rows.state(connection, SESSION)


async def test_the_state_of_a_session_is_kept_with_it(
    database: Database, connection: sqlite3.Connection
) -> None:
    assert feature_rows.state(connection, SESSION) is None
    await database.keep_feature_state(SESSION, "v1", ["a"], bytes(range(256)))
    assert feature_rows.state(connection, SESSION) == bytes(range(256))
    await database.start_session("another", OPENING, "paper", "DU1234567", ["AAPL"], "{}")
    await database.keep_feature_state("another", "v1", ["a"], b"other")
    assert feature_rows.columns_of(connection, "v1") == ("a",)


@pytest.mark.usefixtures("told")
async def test_the_version_a_session_told_first_is_found_in_its_journal(
    connection: sqlite3.Connection,
) -> None:
    assert feature_rows.version_told(connection, SESSION) == "v0"
    assert feature_rows.version_told(connection, "another") is None


async def test_sessions_asked_for_are_remembered_by_symbol_and_size(
    database: Database, connection: sqlite3.Connection
) -> None:
    asked = [
        ("AAPL", MINUTE_NS, "2026-01-02"),
        ("AAPL", 5 * MINUTE_NS, "2026-01-05"),
        ("MSFT", MINUTE_NS, "2026-01-05"),
    ]
    await database.note_histories(asked)
    await database.note_histories(asked)
    assert feature_rows.histories(connection, "AAPL", MINUTE_NS) == {"2026-01-02"}
    assert feature_rows.histories(connection, "NVDA", MINUTE_NS) == frozenset()


async def test_more_bars_than_one_transaction_takes_are_stored_whole(database: Database) -> None:
    bars = [Bar("AAPL", OPENING + n * MINUTE_NS, 1.0, 1.0, 1.0, 1.0, 1.0) for n in range(12_001)]
    await database.store_bars(iter(bars))
    with closing(connect_readonly(database.path)) as connection:
        assert connection.execute("SELECT count(*), max(ts) FROM bars").fetchone() == (len(bars), bars[-1].ts)
