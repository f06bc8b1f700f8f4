"""How good the data were by symbol and day, kept for each session and summed over those that saw a day."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

import msgspec

from robo_trader.data.quality import Quality, summed, worst_first

_DAYS = 20  # that the worst is looked for in
_KEEP = (
    "INSERT INTO qualities (day, symbol, session_id, whole, filled, lost, refused) VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (day, symbol, session_id) DO UPDATE SET whole = excluded.whole, filled = excluded.filled, "
    "lost = excluded.lost, refused = excluded.refused"
)
_RECENT = (
    "SELECT symbol, whole, filled, lost, refused, day FROM qualities WHERE day IN "
    "(SELECT DISTINCT day FROM qualities ORDER BY day DESC LIMIT ?)"
)


def keep(connection: sqlite3.Connection, session_id: str, qualities: Iterable[Quality]) -> None:
    """Write down what a session has counted so far, in place of what it had."""
    for one in qualities:
        refused = msgspec.json.encode(one.refused).decode()
        row = (one.day, one.symbol, session_id, one.whole, one.filled, one.lost, refused)
        connection.execute(_KEEP, row)


def recent(connection: sqlite3.Connection, days: int = _DAYS) -> list[Quality]:
    """Return one for each symbol of the last `days` that have any, all sessions of a day together, the worst first."""
    rows = connection.execute(_RECENT, (days,)).fetchall()
    parts = (
        Quality(symbol, whole, filled, lost, msgspec.json.decode(refused, type=dict[str, int]), day)
        for symbol, whole, filled, lost, refused, day in rows
    )
    return worst_first(summed(parts))


def glance(connection: sqlite3.Connection) -> dict[str, Any]:
    """Return the newest day's qualities, and the worst of the days before it (None where there is none)."""
    found = recent(connection)
    newest = max((one.day for one in found), default="")
    before = [one for one in found if one.day != newest and one.percent is not None]
    return {
        "day": newest,
        "today": [one.as_row() for one in found if one.day == newest],
        "worst_before": before[0].as_row() if before else None,
    }
