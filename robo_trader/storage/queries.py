"""Read-only questions to a database file, for the page, the command line, replay and training.

Rows come back as JSON-ready dicts: money as decimal strings, each time twice, as ISO 8601 UTC (`ts`) and as
integer nanoseconds (`ts_ns`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from robo_trader.core.errors import DataError
from robo_trader.core.events import MINUTE_NS, OrderStatus
from robo_trader.core.executions import origin
from robo_trader.data.bars import restate
from robo_trader.storage import qualities
from robo_trader.storage.database import SQLITE_ERRORS, readonly
from robo_trader.storage.halts import halt_state
from robo_trader.storage.recall import lots_decoder
from robo_trader.storage.rows import OPEN, dicts, first, marks
from robo_trader.storage.schema import MIGRATIONS, check_known, version


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
    except (*SQLITE_ERRORS, DataError) as error:
        connection.close()
        raise DataError(f"{path}: cannot read the database: {error}") from error
    return connection


# --------------------------------------------------------------------------------------- sessions and journal


def session_row(connection: sqlite3.Connection, session_id: str | None = None) -> dict[str, Any] | None:
    """Return one session, the last one where no id is given; `config` and `symbols` decoded."""
    columns = "SELECT id, started, ended, mode, account, symbols, config, config_hash, outcome FROM sessions"
    if session_id is None:
        found = first(dicts(connection, f"{columns} ORDER BY rowid DESC LIMIT 1"))
    else:
        found = first(dicts(connection, f"{columns} WHERE id = ?", (session_id,)))
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
        "link": job(connection, "link"),
        "equity": first(equity_curve(connection, limit=1)),
        "positions": positions(connection),
        "open_orders": orders(connection, OPEN),
        "stops": stops(connection),
        "unprotected": unprotected(connection),
        "quarantines": quarantines(connection),
        "splits": suspected_splits(connection),
        "models": models(connection),
        "drift": drift(connection),
        "regimes": regimes(connection),
        "quality": qualities.glance(connection),
        "jobs": jobs(connection),
        "last_event": first(
            dicts(
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
    """Return the newest `limit` bars closed at or after `since` (ns UTC), all of them where not given.

    In today's shares: what was told before a split is restated.
    """
    rows = connection.execute(
        "SELECT ts, open, high, low, close, volume, coalesce(told, ts) FROM bars "
        "WHERE symbol = ? AND interval_ns = ? AND ts >= ? ORDER BY ts DESC LIMIT ?",
        (symbol, interval_ns, -(2**63) if since is None else since, -1 if limit is None else limit),
    )
    layout = np.dtype([("ts", np.int64), *((name, np.float64) for name in _PRICES), ("told", np.int64)])
    table = np.fromiter(rows, dtype=layout)[::-1]
    ts, *columns = (np.ascontiguousarray(table[name]) for name in ("ts", *_PRICES))
    restate(columns, table["told"], splits(connection, symbol))
    return BarArrays(ts, *columns)


def splits(connection: sqlite3.Connection, symbol: str) -> list[tuple[int, int, int]]:
    """Return the splits of a share that a person said, oldest first: since when (ns UTC), new shares and old ones."""
    rows = connection.execute(
        "SELECT since, new, old FROM splits WHERE symbol = ? AND since IS NOT NULL ORDER BY since, id",
        (symbol,),
    )
    return rows.fetchall()


def last_splits(connection: sqlite3.Connection) -> dict[str, int]:
    """Return by symbol since when (ns UTC) its last split holds."""
    return dict(
        connection.execute("SELECT symbol, max(since) FROM splits WHERE since IS NOT NULL GROUP BY symbol")
    )


def suspected_splits(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """Return what nights of the last session looked like a split and were not answered with one, newest first."""
    return dicts(
        connection,
        "SELECT symbol, ts, new, old, why FROM splits AS night WHERE since IS NULL AND new != old AND id = "
        "(SELECT max(id) FROM splits WHERE symbol = night.symbol) "
        "AND session_id = (SELECT id FROM sessions ORDER BY rowid DESC LIMIT 1) ORDER BY id DESC",
    )


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
    found = dicts(
        connection,
        "SELECT symbol, quantity, lots, realised, updated FROM positions "
        "WHERE quantity != 0 OR CAST(realised AS REAL) != 0 ORDER BY symbol",
    )
    for row in found:
        row["lots"] = [
            {"quantity": lot.quantity, "price": str(lot.price)} for lot in lots_decoder.decode(row["lots"])
        ]
    return found


def equity_curve(
    connection: sqlite3.Connection, since: int | None = None, limit: int = 2000
) -> list[dict[str, Any]]:
    """Return the newest `limit` states of the books at or after `since` (ns UTC), oldest first."""
    found = dicts(
        connection,
        "SELECT ts, cash, value, start, realised, unrealised, day_start FROM equity "
        "WHERE ts >= ? ORDER BY ts DESC, id DESC LIMIT ?",
        (-(2**63) if since is None else since, limit),
    )
    return found[::-1]


def orders(
    connection: sqlite3.Connection, status: Sequence[OrderStatus] | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """Return the newest `limit` orders, newest first, only those in one of the states where given."""
    wanted = tuple(OrderStatus) if status is None else tuple(status)
    return dicts(
        connection,
        "SELECT id, parent_id, symbol, side, quantity, type, limit_price, stop_price, tif, attached_to, algorithm, "
        f"reason, status, filled, broker_id, message, session_id, created, updated "
        f"FROM orders WHERE status IN ({marks(wanted)}) ORDER BY rowid DESC LIMIT ?",
        (*wanted, limit),
    )


def fills(connection: sqlite3.Connection, limit: int = 100) -> list[dict[str, Any]]:
    """Return the newest `limit` executions, newest first, corrected ones included (`superseded_by` says by which).

    `origin` is "ours", or who else of the account traded: "manual", "client-<id>".
    """
    found = dicts(
        connection,
        "SELECT ts, exec_id, order_id, symbol, side, quantity, price, commission, superseded_by, session_id "
        "FROM fills ORDER BY rowid DESC LIMIT ?",
        (limit,),
    )
    for row in found:
        row["origin"] = origin(row["order_id"])
    return found


def stops(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """Return the protective stops that live at the broker, by symbol; `shares` is what each still covers.

    One that is attached to an entry covers no more than has been traded of that.
    """
    return dicts(
        connection,
        "SELECT s.symbol, s.id, s.side, s.quantity, s.filled, "
        f"CASE WHEN entry.status IN ({marks(OPEN)}) THEN min(s.quantity, entry.filled) ELSE s.quantity END "
        "- s.filled AS shares, "
        "s.stop_price, s.tif, s.attached_to, s.status, s.broker_id, s.created, s.updated "
        "FROM orders AS s LEFT JOIN orders AS entry ON entry.id = s.attached_to "
        f"WHERE s.type = 'STP' AND s.status IN ({marks(OPEN)}) ORDER BY s.symbol, s.rowid",
        (*OPEN, *OPEN),
    )


def unprotected(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """Return the symbols with shares that no stop protects, by name, as told last since the books were opened."""
    return dicts(
        connection,
        "SELECT symbol, ts, shares, why FROM unprotected WHERE id IN (SELECT max(id) FROM unprotected "
        "WHERE session_id = (SELECT id FROM sessions WHERE opened IS NOT NULL ORDER BY rowid DESC LIMIT 1) "
        "GROUP BY symbol) AND shares != 0 ORDER BY symbol",
    )


def quarantines(connection: sqlite3.Connection, open_only: bool = True) -> list[dict[str, Any]]:
    """Return where our positions differ, or differed, from the broker's, newest first.

    Both sides as told last, since when, until when (`ended`, None for still) and how it ended; `ignored` shares are left
    alone until `ignored_until`.
    """
    return dicts(
        connection,
        "SELECT symbol, since, ours, broker, updated, ended, how, ignored, ignored_until FROM quarantines "
        f"{'WHERE ended IS NULL' if open_only else ''} ORDER BY id DESC",
    )


def cash_moves(connection: sqlite3.Connection, limit: int = 100) -> list[dict[str, Any]]:
    """Return the newest changes of cash that no trade made, newest first, in USD."""
    return dicts(
        connection, "SELECT ts, amount, cash, why FROM cash_moves ORDER BY id DESC LIMIT ?", (limit,)
    )


def last_signals(connection: sqlite3.Connection, limit: int = 50) -> list[dict[str, Any]]:
    """Return the newest signals and abstentions (`kind` says which), newest first."""
    return dicts(
        connection,
        "SELECT ts, symbol, strategy, kind, direction, strength, probability, model, reason, regime FROM signals "
        "ORDER BY id DESC LIMIT ?",
        (limit,),
    )


def last_decisions(connection: sqlite3.Connection, limit: int = 50) -> list[dict[str, Any]]:
    """Return the newest decisions with their sizing steps by name, newest first."""
    found = dicts(
        connection,
        "SELECT ts, symbol, strategy, order_id, side, quantity, algorithm, reason, steps, regime FROM decisions "
        "ORDER BY id DESC LIMIT ?",
        (limit,),
    )
    for row in found:
        row["steps"] = msgspec.json.decode(row["steps"])
    return found


def last_violations(connection: sqlite3.Connection, limit: int = 50) -> list[dict[str, Any]]:
    """Return the newest refusals with value and limit (None where unknown), newest first."""
    return dicts(
        connection,
        'SELECT ts, order_id, symbol, gate, reason, value, "limit" FROM violations ORDER BY id DESC LIMIT ?',
        (limit,),
    )


def models(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """Return the models ever loaded, the last loaded first."""
    return dicts(
        connection, "SELECT name, version, sha256, path, verdict, loaded FROM models ORDER BY loaded DESC"
    )


def drift(connection: sqlite3.Connection) -> dict[str, Any]:
    """Return how the features stand against the training window in the last session.

    `standing` are the readings beyond their limits, furthest first; `summary` is what was told last of all features, None
    before anything was, and since when they are calm or alarming.
    """
    session = session_row(connection)
    of_session = (session["id"] if session else "",)
    standing = dicts(
        connection,
        'SELECT ts, feature, test, value, "limit" FROM drifted WHERE id IN '
        "(SELECT max(id) FROM drifted WHERE session_id = ? GROUP BY feature, test) "
        'AND value > "limit" ORDER BY value / "limit" DESC, feature, test',
        of_session,
    )
    summary = first(
        dicts(
            connection,
            'SELECT ts, day, "rows", columns, drifting, alarm, worst, (SELECT min(ts) FROM drift_summaries AS same '
            "WHERE same.session_id = last.session_id AND same.id > coalesce((SELECT max(id) FROM drift_summaries "
            "WHERE session_id = last.session_id AND alarm != last.alarm), 0)) AS since "
            "FROM drift_summaries AS last WHERE session_id = ? ORDER BY id DESC LIMIT 1",
            of_session,
        )
    )
    if summary is not None:
        summary |= {"alarm": bool(summary["alarm"]), "worst": msgspec.json.decode(summary["worst"])}
    return {"standing": standing, "summary": summary}


def regimes(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """Return what kind of market each symbol is in, by name, as told last in the last session: since when, and why."""
    session = session_row(connection)
    found = dicts(
        connection,
        "SELECT symbol, ts, regime, was, why, known FROM regimes WHERE id IN "
        "(SELECT max(id) FROM regimes WHERE session_id = ? GROUP BY symbol) ORDER BY symbol",
        (session["id"] if session else "",),
    )
    return [row | {"known": bool(row["known"])} for row in found]


def job(connection: sqlite3.Connection, name: str) -> dict[str, Any] | None:
    """Return one job (the session with the broker is told as "link"), None where it was never told of."""
    return first([row for row in jobs(connection) if row["name"] == name])


def jobs(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """Return the scheduled jobs by name."""
    return dicts(connection, "SELECT name, last_run, next_run, state, detail FROM jobs ORDER BY name")
