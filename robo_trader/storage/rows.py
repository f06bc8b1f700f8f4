"""How rows of the tables become what readers get."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from robo_trader.core.events import SECOND_NS
from robo_trader.core.orders import LIVE

OPEN = tuple(sorted(LIVE))
_TIMES = (
    "ts", "started", "ended", "created", "updated", "loaded", "last_run", "next_run", "since", "ignored_until"
)  # fmt: skip


def iso(ts: int) -> str:
    """Write UTC nanoseconds as ISO 8601, to the microsecond where it is not a whole second.

    >>> iso(1_767_623_460_000_000_000)
    '2026-01-05T14:31:00Z'
    """
    moment = datetime.fromtimestamp(ts // SECOND_NS, UTC).replace(microsecond=ts % SECOND_NS // 1000)
    return moment.isoformat().replace("+00:00", "Z")


def dicts(
    connection: sqlite3.Connection, sql: str, parameters: Sequence[object] = ()
) -> list[dict[str, Any]]:
    """Return the rows of a question as JSON-ready dicts, each time twice: `ts` as ISO 8601 UTC, `ts_ns`."""
    cursor = connection.execute(sql, parameters)
    names = [column[0] for column in cursor.description]
    return [_row(dict(zip(names, values, strict=True))) for values in cursor]


def _row(row: dict[str, Any]) -> dict[str, Any]:
    for name in _TIMES:
        if name in row:
            row[f"{name}_ns"] = row[name]
            row[name] = None if row[name] is None else iso(row[name])
    return row


def first(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the first row, None for none."""
    return rows[0] if rows else None


def marks(values: Sequence[object]) -> str:
    """Return as many question marks as there are values.

    >>> marks(("working", "partial"))
    '?, ?'
    """
    return ", ".join("?" * len(values))
