"""Our side of a drill's comparison: what the database says of the account, read while the daemon runs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import msgspec

from robo_trader.core.events import Lot, OrderStatus, Side
from robo_trader.core.steps import Anomaly, decode_step
from robo_trader.drills.ledger import Books, OurFill, OurOrder
from robo_trader.storage.queries import connect_readonly

# Events come nearly in order of time: the latest is among the last.
_LATEST = "SELECT max(ts) FROM (SELECT ts FROM journal ORDER BY rowid DESC LIMIT 50)"
_lots = msgspec.json.Decoder(tuple[Lot, ...])


def read_books(path: Path) -> Books:
    """Read the books of an account. Raises DataError where there is no database of ours."""
    with closing(connect_readonly(path)) as connection:
        connection.execute("BEGIN")  # all tables as they were at one moment
        return Books(
            _orders(connection),
            _fills(connection),
            _positions(connection),
            _cash(connection),
            frozenset(s for (s,) in connection.execute("SELECT symbol FROM quarantines WHERE ended IS NULL")),
            dict(connection.execute("SELECT order_id, quantity FROM decisions WHERE order_id != ''")),
            connection.execute("SELECT coalesce(max(rowid), 0) FROM journal").fetchone()[0],
        )


class Progress(NamedTuple):
    """How many sessions have opened their books, and the market time of the latest event, UTC ns."""

    opened: int
    ts: int


def progress(path: Path) -> Progress:
    """Read how far the daemons have come. Raises DataError where there is no database of ours."""
    with closing(connect_readonly(path)) as connection:
        opened: int = connection.execute("SELECT count(opened) FROM sessions").fetchone()[0]
        ts: int | None = connection.execute(_LATEST).fetchone()[0]
        return Progress(opened, ts or 0)


def sessions(path: Path) -> list[str]:
    """Return the sessions that recorded anything, oldest first."""
    with closing(connect_readonly(path)) as connection:
        rows = connection.execute(
            "SELECT id FROM sessions WHERE id IN (SELECT session_id FROM journal) ORDER BY rowid"
        )
        return [session for (session,) in rows]


def anomalies(path: Path, session: str) -> list[str]:
    """Return what a session called impossible, each once."""
    with closing(connect_readonly(path)) as connection:
        rows = connection.execute(
            "SELECT step FROM journal WHERE session_id = ? AND instr(step, '\"Anomaly\"')", (session,)
        )
        facts = [fact for (step,) in rows for fact in decode_step(step.encode()).facts]
    return list(dict.fromkeys(f"{f.symbol}: {f.what}" for f in facts if isinstance(f, Anomaly)))


def _orders(connection: sqlite3.Connection) -> dict[str, OurOrder]:
    rows = connection.execute("SELECT id, parent_id, symbol, quantity, status FROM orders")
    return {
        order_id: OurOrder(order_id, parent_id, symbol, shares, OrderStatus(status))
        for order_id, parent_id, symbol, shares, status in rows
    }


def _fills(connection: sqlite3.Connection) -> tuple[OurFill, ...]:
    rows = connection.execute(
        "SELECT exec_id, symbol, side, quantity, price, commission, superseded_by = '' FROM fills ORDER BY rowid"
    )
    return tuple(
        OurFill(
            exec_id, symbol, Side(side), shares, Decimal(price),
            None if paid is None else Decimal(paid), bool(standing),
        )
        for exec_id, symbol, side, shares, price, paid, standing in rows
    )  # fmt: skip


def _positions(connection: sqlite3.Connection) -> dict[str, tuple[int, int]]:
    rows = connection.execute("SELECT symbol, quantity, lots FROM positions")
    return {symbol: (held, sum(lot.quantity for lot in _lots.decode(lots))) for symbol, held, lots in rows}


def _cash(connection: sqlite3.Connection) -> Decimal | None:
    row = connection.execute("SELECT cash FROM equity ORDER BY id DESC LIMIT 1").fetchone()
    return None if row is None else Decimal(row[0])
