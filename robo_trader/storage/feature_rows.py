"""Reads what was computed of the market: vectors by time, and what the features knew when a session began."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from robo_trader.storage.rows import marks

BLOCK = 1024  # rows read at a time
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
class FeatureMatrix:
    """Vectors of several symbols in order of time, ties in order of symbol: row i is of `symbols[symbol[i]]` at `ts[i]`.

    `x` is (n, columns), `ts` (UTC ns) and `symbol` (n,).
    """

    ts: NDArray[np.int64]
    symbol: NDArray[np.int64]
    symbols: tuple[str, ...]
    x: NDArray[np.float64]
    version: str


def last_vector(connection: sqlite3.Connection, symbol: str, at: int = LAST) -> FeatureVector | None:
    """Return a symbol's newest vector at or before a time (UTC ns), None where there is none."""
    row = connection.execute(
        'SELECT ts, symbol, version, "values" FROM features WHERE symbol = ? AND ts <= ? ORDER BY ts DESC LIMIT 1',
        (symbol, at),
    ).fetchone()
    if row is None:
        return None
    ts, symbol, version, values = row
    return FeatureVector(ts, symbol, version, np.frombuffer(values), columns_of(connection, version))


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


def matrix(
    connection: sqlite3.Connection,
    version: str,
    symbols: Sequence[str],
    since: int = FIRST,
    until: int = LAST,
) -> FeatureMatrix:
    """Return the vectors of a version with since <= ts < until (UTC ns). Takes the matrix's memory once, and no more."""
    names = tuple(sorted(set(symbols)))
    where = f"FROM features WHERE ts >= ? AND ts < ? AND version = ? AND symbol IN ({marks(names)})"
    asked = (since, until, version, *names)
    n, size = connection.execute(f'SELECT count(*), (SELECT length("values") {where} LIMIT 1) {where}',
                                 (*asked, *asked)).fetchone()  # fmt: skip
    ts, symbol = np.empty(n, np.int64), np.empty(n, np.int64)
    x = np.empty((n, (size or 0) // 8))
    number = {name: i for i, name in enumerate(names)}
    rows = connection.execute(f'SELECT ts, symbol, "values" {where} ORDER BY ts, symbol', asked)
    start = 0
    while start < n and (block := rows.fetchmany(min(BLOCK, n - start))):
        part = slice(start, start + len(block))
        times, told, values = zip(*block, strict=True)
        ts[part], symbol[part] = times, [number[one] for one in told]
        x[part] = np.frombuffer(b"".join(values)).reshape(len(block), -1)
        start += len(block)
    return FeatureMatrix(ts[:start], symbol[:start], names, x[:start], version)


def state(connection: sqlite3.Connection, session_id: str) -> bytes | None:
    """Return what the features knew when a session began, None for one that began without."""
    row = connection.execute(
        "SELECT state FROM feature_states WHERE session_id = ?", (session_id,)
    ).fetchone()
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
