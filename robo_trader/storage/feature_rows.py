"""Reads what was computed of the market: vectors by time, and what the features knew when a session began."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from zlib import crc32

import msgspec
import numpy as np
from numpy.typing import NDArray

from robo_trader.core.errors import DataError
from robo_trader.storage.rows import iso, marks

BLOCK = 8192  # rows read at a time: ten megabytes
FIRST, LAST = -(2**63), 2**63 - 1


class FeatureVector(NamedTuple):
    """One vector: of which bar (its close, UTC ns), of which version of the features, and what its columns are called.

    `columns` is empty for a version whose columns nobody noted.
    """

    ts: int
    symbol: str
    version: str
    values: NDArray[np.float64]
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """Which vectors are meant: those of a version of the features, of symbols, with since <= ts < until (UTC ns)."""

    version: str
    symbols: Sequence[str]
    since: int = FIRST
    until: int = LAST


@dataclass(frozen=True)
class FeatureMatrix:
    """Vectors of several symbols in order of time, ties in order of symbol: row i is of `symbols[symbol[i]]` at `ts[i]`.

    `x` is (n, columns), `ts` (UTC ns) and `symbol` (n,).
    """

    ts: NDArray[np.int64]
    symbol: NDArray[np.int64]
    symbols: tuple[str, ...]
    x: NDArray[np.float64]
    version: str


class Told(NamedTuple):
    """What is there of one symbol in one version: how many vectors, and when the first and the last was told (UTC ns)."""

    symbol: str
    version: str
    rows: int
    first: int
    last: int


def last_vector(connection: sqlite3.Connection, symbol: str, at: int = LAST) -> FeatureVector | None:
    """Return a symbol's newest vector at or before a time (UTC ns), None where there is none.

    Raises DataError where the row is damaged.
    """
    row = connection.execute(
        'SELECT ts, symbol, "values", crc, version FROM features WHERE symbol = ? AND ts <= ? ORDER BY ts DESC LIMIT 1',
        (symbol, at),
    ).fetchone()
    if row is None:
        return None
    ts, symbol, values, _, version = row
    columns = columns_of(connection, version)
    _require_whole([row[:4]], len(columns) or len(values) // 8)
    return FeatureVector(ts, symbol, version, np.frombuffer(values), columns)


def columns_of(connection: sqlite3.Connection, version: str) -> tuple[str, ...]:
    """Return what the columns of a version are called, in their order; empty for one that is not known."""
    row = connection.execute("SELECT columns FROM feature_columns WHERE version = ?", (version,)).fetchone()
    return () if row is None else tuple(msgspec.json.decode(row[0], type=list[str]))


def span(connection: sqlite3.Connection, symbol: str) -> tuple[int, int] | None:
    """Return when a symbol's first and last vector was told (UTC ns), None where there is none."""
    first, last = connection.execute(
        "SELECT min(ts), max(ts) FROM features WHERE symbol = ?", (symbol,)
    ).fetchone()
    return None if first is None else (first, last)


def told(connection: sqlite3.Connection, since: int = FIRST, until: int = LAST) -> list[Told]:
    """Return what vectors there are with since <= ts < until (UTC ns), by symbol and version."""
    rows = connection.execute(
        "SELECT symbol, version, count(*), min(ts), max(ts) FROM features WHERE ts >= ? AND ts < ? "
        "GROUP BY symbol, version ORDER BY symbol, min(ts)",
        (since, until),
    )
    return [Told(*row) for row in rows]


def matrix(connection: sqlite3.Connection, asked: Asked) -> FeatureMatrix:
    """Return the vectors that are asked for. Takes the matrix's memory once, and no more.

    Raises DataError where a row is damaged.
    """
    names, where, given = _question(asked)
    n, size = connection.execute(
        f'SELECT count(*), (SELECT length("values") {where} LIMIT 1) {where}', (*given, *given)
    ).fetchone()
    width = len(columns_of(connection, asked.version)) or (size or 0) // 8
    ts, symbol, x = np.empty(n, np.int64), np.empty(n, np.int64), np.empty((n, width))
    start = 0
    for block in blocks(connection, asked):  # a daemon may add and delete meanwhile
        stop = min(start + len(block.ts), n)
        for whole, part in ((ts, block.ts), (symbol, block.symbol), (x, block.x)):
            whole[start:stop] = part[: stop - start]
        start = stop
    return FeatureMatrix(ts[:start], symbol[:start], names, x[:start], asked.version)


def blocks(connection: sqlite3.Connection, asked: Asked) -> Iterator[FeatureMatrix]:
    """Yield the vectors that are asked for, BLOCK of them at a time. Raises DataError where a row is damaged."""
    names, where, given = _question(asked)
    width = len(columns_of(connection, asked.version))
    number = {name: i for i, name in enumerate(names)}
    rows = connection.execute(f'SELECT ts, symbol, "values", crc {where} ORDER BY ts, symbol', given)
    while block := rows.fetchmany(BLOCK):
        times, of, values, _ = zip(*block, strict=True)
        _require_whole(block, width or len(values[0]) // 8)
        yield FeatureMatrix(
            np.array(times, np.int64),
            np.array([number[one] for one in of], np.int64),
            names,
            np.frombuffer(b"".join(values)).reshape(len(block), -1),
            asked.version,
        )


def _question(asked: Asked) -> tuple[tuple[str, ...], str, tuple[object, ...]]:
    names = tuple(sorted(set(asked.symbols)))
    where = f"FROM features WHERE ts >= ? AND ts < ? AND version = ? AND symbol IN ({marks(names)})"
    return names, where, (asked.since, asked.until, asked.version, *names)


def _require_whole(rows: Sequence[tuple[Any, ...]], width: int) -> None:
    """Raise DataError on the first of (ts, symbol, values, crc) that is not as it was written."""
    damaged = [len(values) != 8 * width or crc not in (None, crc32(values)) for _, _, values, crc in rows]
    if any(damaged):
        ts, symbol, *_ = rows[damaged.index(True)]
        raise DataError(
            f"the features of {symbol} at {iso(ts)} are not what was written: the file is damaged. Restore a backup, or "
            f"do without that row: DELETE FROM features WHERE ts = {ts} AND symbol = '{symbol}'"
        )


def state(connection: sqlite3.Connection, session_id: str) -> bytes | None:
    """Return what the features knew when a session began, None for one that began without.

    Raises DataError where it was not kept so long.
    """
    row = connection.execute(
        "SELECT state FROM feature_states WHERE session_id = ?", (session_id,)
    ).fetchone()
    if row is not None and not row[0]:
        raise DataError(
            f"what the features of session {session_id} knew as it began was kept for FEATURES_KEEP_DAYS and then "
            "deleted: its events can be read, but no longer replayed"
        )
    return None if row is None else row[0]


def version_told(connection: sqlite3.Connection, session_id: str) -> str | None:
    """Return the version of a session's first vector in the journal, None where it told none."""
    row = connection.execute(
        "SELECT json_extract(fact.value, '$.version') FROM journal, json_each(journal.step, '$.facts') AS fact "
        "WHERE session_id = ? AND json_extract(fact.value, '$.kind') = 'FeatureRow' ORDER BY seq LIMIT 1",
        (session_id,),
    ).fetchone()
    return None if row is None else row[0]


def histories(connection: sqlite3.Connection, symbol: str, interval_ns: int) -> frozenset[str]:
    """Return the labels of past sessions of which the broker has told all bars it has."""
    rows = connection.execute(
        "SELECT session FROM histories WHERE symbol = ? AND interval_ns = ?", (symbol, interval_ns)
    )
    return frozenset(row[0] for row in rows)
