"""Read-only questions to a database file, for the page, the command line, replay and training.

Rows come back as JSON-ready dicts: money as decimal strings, each time twice, as ISO 8601 UTC (`ts`) and as
integer nanoseconds (`ts_ns`). What a restart needs comes back as messages instead.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from robo_trader.core.errors import DataError
from robo_trader.core.events import (
    MINUTE_NS,
    SECOND_NS,
    Lot,
    OpenOrder,
    Order,
    OrderStatus,
    OrderType,
    Side,
)
from robo_trader.core.recovery import Stored
from robo_trader.storage.database import readonly
from robo_trader.storage.schema import MIGRATIONS, check_known, version

OPEN = (OrderStatus.INTENT, OrderStatus.WORKING, OrderStatus.PARTIAL, OrderStatus.UNKNOWN)

_lots = msgspec.json.Decoder(tuple[Lot, ...])


class Position(NamedTuple):
    """Signed shares, lots oldest first, realised P&L in USD since the session's books opened, net."""

    quantity: int
    lots: tuple[Lot, ...]
    realised: Decimal


@dataclass(frozen=True)
class BarArrays:
    """Bars of one symbol, oldest first, each array of shape (n,): `ts` int64 ns UTC at the close, the rest float64."""

    ts: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]


def connect_readonly(path: Path) -> sqlite3.Connection:
    """Connect without the right to write; safe beside a running daemon and across threads.

    Raises DataError where the file is missing, no database of ours, or of another schema version.
    """
    try:
        connection = readonly(path)
    except sqlite3.Error as error:
        raise DataError(f"{path}: cannot open the database: {error}") from error
    try:
        found = version(connection)
        check_known(found, len(MIGRATIONS))
        if found < len(MIGRATIONS):
            raise DataError(f"it has schema version {found}; start the daemon once to bring it up to date")
    except (sqlite3.Error, DataError) as error:
        connection.close()
        raise DataError(f"{path}: cannot read the database: {error}") from error
    return connection


# ------------------------------------------------------------------------------------- what a restart needs


def holdings(connection: sqlite3.Connection) -> dict[str, Position]:
    """Return what our books hold by symbol, flat symbols left out."""
    rows = connection.execute("SELECT symbol, quantity, lots, realised FROM positions WHERE quantity != 0")
    return {
        symbol: Position(quantity, _lots.decode(lots), Decimal(paid)) for symbol, quantity, lots, paid in rows
    }


def open_intents(connection: sqlite3.Connection) -> list[OpenOrder]:
    """Return the orders of any session whose end is not booked, oldest first, each in its last known state."""
    rows = connection.execute(
        "SELECT id, parent_id, symbol, side, quantity, type, limit_price, algorithm, reason, "
        f"filled, broker_id, status FROM orders WHERE status IN ({_marks(OPEN)}) ORDER BY rowid",
        OPEN,
    )
    return [OpenOrder(_order(row[:9]), row[9], row[10], OrderStatus(row[11])) for row in rows]


def _order(row: Sequence[Any]) -> Order:
    order_id, parent_id, symbol, side, quantity, kind, limit, algorithm, reason = row
    price = None if limit is None else Decimal(limit)
    return Order(order_id, parent_id, symbol, Side(side), quantity, OrderType(kind), price, algorithm, reason)


def known_exec_ids(connection: sqlite3.Connection) -> dict[str, Decimal | None]:
    """Return all executions ever booked by id, each with the commission in USD booked for it, None for none yet."""
    rows = connection.execute("SELECT exec_id, commission FROM fills")
    return {exec_id: None if paid is None else Decimal(paid) for exec_id, paid in rows}


def stored(connection: sqlite3.Connection) -> Stored:
    """Return what recovery needs to know of this account; `day` and `day_start` need a calendar and stay empty."""
    halt = halt_state(connection)
    return Stored(
        first=connection.execute("SELECT count(*) FROM sessions WHERE opened IS NOT NULL").fetchone()[0] == 0,
        lots={symbol: position.lots for symbol, position in holdings(connection).items()},
        booked=known_exec_ids(connection),
        unresolved=tuple(open_intents(connection)),
        halted=halt["reason"] if halt and halt["halted"] else "",
    )


def day_start(connection: sqlite3.Connection, session_open: int) -> Decimal | None:
    """Return the equity in USD a trading day began with: as last stated by its open (ns UTC), else first after."""
    for comparison, order in (("<=", "DESC"), (">", "ASC")):
        row = connection.execute(
            f"SELECT cash, value FROM equity WHERE ts {comparison} ? ORDER BY ts {order}, id {order} LIMIT 1",
            (session_open,),
        ).fetchone()
        if row is not None:
            return Decimal(row[0]) + Decimal(row[1])
    return None


def halt_state(connection: sqlite3.Connection) -> dict[str, Any] | None:
    """Return the last halt or resume (`halted` says which), None where neither ever happened."""
    return _first(_dicts(connection, "SELECT ts, halted, reason, by FROM halts ORDER BY id DESC LIMIT 1"))


# --------------------------------------------------------------------------------------- sessions and journal


def session_row(connection: sqlite3.Connection, session_id: str | None = None) -> dict[str, Any] | None:
    """Return one session, the last one where no id is given; `config` and `symbols` decoded."""
    columns = "SELECT id, started, ended, mode, account, symbols, config, config_hash, outcome FROM sessions"
    if session_id is None:
        found = _first(_dicts(connection, f"{columns} ORDER BY rowid DESC LIMIT 1"))
    else:
        found = _first(_dicts(connection, f"{columns} WHERE id = ?", (session_id,)))
    if found is not None:
        for name in ("symbols", "config"):
            found[name] = msgspec.json.decode(found[name])
    return found


def journal_rows(connection: sqlite3.Connection, session_id: str) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield (seq, event, step) of a session in order, the JSON as it was encoded."""
    rows = connection.execute(
        "SELECT seq, event, step FROM journal WHERE session_id = ? ORDER BY seq", (session_id,)
    )
    for seq, event, step in rows:
        yield seq, event.encode(), step.encode()


def status(connection: sqlite3.Connection) -> dict[str, Any]:
    """Return the state of the last session at a glance."""
    session = session_row(connection)
    of_session = (session["id"] if session else "",)
    return {
        "session": session,
        "halt": halt_state(connection),
        "equity": _first(equity_curve(connection, limit=1)),
        "positions": positions(connection),
        "open_orders": orders(connection, OPEN),
        "models": models(connection),
        "jobs": jobs(connection),
        "last_event": _first(
            _dicts(
                connection,
                "SELECT ts, seq FROM journal WHERE session_id = ? ORDER BY seq DESC LIMIT 1",
                of_session,
            )
        ),
        "counts": {
            table: _count(connection, table, of_session)
            for table in ("signals", "decisions", "orders", "fills", "violations")
        },
    }


def _count(connection: sqlite3.Connection, table: str, of_session: tuple[str]) -> int:
    found: int = connection.execute(
        f"SELECT count(*) FROM {table} WHERE session_id = ?", of_session
    ).fetchone()[0]
    return found


# ------------------------------------------------------------------------------------------------- the market


def bars(
    connection: sqlite3.Connection,
    symbol: str,
    interval_ns: int = MINUTE_NS,
    since: int | None = None,
    limit: int | None = None,
) -> BarArrays:
    """Return the newest `limit` bars closed at or after `since` (ns UTC), all of them where not given."""
    rows = connection.execute(
        "SELECT ts, open, high, low, close, volume FROM bars "
        "WHERE symbol = ? AND interval_ns = ? AND ts >= ? ORDER BY ts DESC LIMIT ?",
        (symbol, interval_ns, -(2**63) if since is None else since, -1 if limit is None else limit),
    )
    layout = np.dtype([("ts", np.int64), *((name, np.float64) for name in _PRICES)])
    table = np.fromiter(rows, dtype=layout)[::-1]
    return BarArrays(*(np.ascontiguousarray(table[name]) for name in ("ts", *_PRICES)))


_PRICES = ("open", "high", "low", "close", "volume")


def bar_symbols(connection: sqlite3.Connection, interval_ns: int = MINUTE_NS) -> list[str]:
    """Return the symbols that have bars of this interval, by name."""
    rows = connection.execute(
        "SELECT DISTINCT symbol FROM bars WHERE interval_ns = ? ORDER BY symbol", (interval_ns,)
    )
    return [row[0] for row in rows]


# -------------------------------------------------------------------------------------------------- the desk


def positions(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """Return the rows of the books by symbol, flat ones with a result in this session included."""
    found = _dicts(
        connection,
        "SELECT symbol, quantity, lots, realised, updated FROM positions "
        "WHERE quantity != 0 OR CAST(realised AS REAL) != 0 ORDER BY symbol",
    )
    for row in found:
        row["lots"] = [
            {"quantity": lot.quantity, "price": str(lot.price)} for lot in _lots.decode(row["lots"])
        ]
    return found


def equity_curve(
    connection: sqlite3.Connection, since: int | None = None, limit: int = 2000
) -> list[dict[str, Any]]:
    """Return the newest `limit` states of the books at or after `since` (ns UTC), oldest first."""
    found = _dicts(
        connection,
        "SELECT ts, cash, value, start, realised, unrealised FROM equity "
        "WHERE ts >= ? ORDER BY ts DESC, id DESC LIMIT ?",
        (-(2**63) if since is None else since, limit),
    )
    return found[::-1]


def orders(
    connection: sqlite3.Connection, status: Sequence[OrderStatus] | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """Return the newest `limit` orders, newest first, only those in one of the states where given."""
    wanted = tuple(OrderStatus) if status is None else tuple(status)
    return _dicts(
        connection,
        "SELECT id, parent_id, symbol, side, quantity, type, limit_price, algorithm, reason, status, filled, "
        f"broker_id, message, session_id, created, updated FROM orders WHERE status IN ({_marks(wanted)}) "
        "ORDER BY rowid DESC LIMIT ?",
        (*wanted, limit),
    )


def fills(connection: sqlite3.Connection, limit: int = 100) -> list[dict[str, Any]]:
    """Return the newest `limit` executions, newest first."""
    return _dicts(
        connection,
        "SELECT ts, exec_id, order_id, symbol, side, quantity, price, commission, session_id FROM fills "
        "ORDER BY rowid DESC LIMIT ?",
        (limit,),
    )


def last_signals(connection: sqlite3.Connection, limit: int = 50) -> list[dict[str, Any]]:
    """Return the newest signals and abstentions (`kind` says which), newest first."""
    return _dicts(
        connection,
        "SELECT ts, symbol, strategy, kind, direction, strength, probability, model, reason FROM signals "
        "ORDER BY id DESC LIMIT ?",
        (limit,),
    )


def last_decisions(connection: sqlite3.Connection, limit: int = 50) -> list[dict[str, Any]]:
    """Return the newest decisions with their sizing steps by name, newest first."""
    found = _dicts(
        connection,
        "SELECT ts, symbol, strategy, order_id, side, quantity, algorithm, reason, steps FROM decisions "
        "ORDER BY id DESC LIMIT ?",
        (limit,),
    )
    for row in found:
        row["steps"] = msgspec.json.decode(row["steps"])
    return found


def last_violations(connection: sqlite3.Connection, limit: int = 50) -> list[dict[str, Any]]:
    """Return the newest refusals with value and limit (None where unknown), newest first."""
    return _dicts(
        connection,
        'SELECT ts, order_id, symbol, gate, reason, value, "limit" FROM violations ORDER BY id DESC LIMIT ?',
        (limit,),
    )


def models(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """Return the models ever loaded, the last loaded first."""
    return _dicts(
        connection, "SELECT name, version, sha256, path, verdict, loaded FROM models ORDER BY loaded DESC"
    )


def jobs(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """Return the scheduled jobs by name."""
    return _dicts(connection, "SELECT name, last_run, next_run, state, detail FROM jobs ORDER BY name")


# ---------------------------------------------------------------------------------------------------- shapes

_TIMES = ("ts", "started", "ended", "created", "updated", "loaded", "last_run", "next_run")


def iso(ts: int) -> str:
    """Write UTC nanoseconds as ISO 8601, to the microsecond where it is not a whole second.

    >>> iso(1_767_623_460_000_000_000)
    '2026-01-05T14:31:00Z'
    """
    moment = datetime.fromtimestamp(ts // SECOND_NS, UTC).replace(microsecond=ts % SECOND_NS // 1000)
    return moment.isoformat().replace("+00:00", "Z")


def _dicts(
    connection: sqlite3.Connection, sql: str, parameters: Sequence[object] = ()
) -> list[dict[str, Any]]:
    cursor = connection.execute(sql, parameters)
    names = [column[0] for column in cursor.description]
    return [_row(dict(zip(names, values, strict=True))) for values in cursor]


def _row(row: dict[str, Any]) -> dict[str, Any]:
    for name in _TIMES:
        if name in row:
            row[f"{name}_ns"] = row[name]
            row[name] = None if row[name] is None else iso(row[name])
    if "halted" in row:
        row["halted"] = bool(row["halted"])
    return row


def _first(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    return rows[0] if rows else None


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
