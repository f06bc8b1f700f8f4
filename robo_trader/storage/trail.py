"""Reads what led to a decision and what came of it."""

from __future__ import annotations

import sqlite3
from typing import Any, NamedTuple

from robo_trader.core.events import Event, decode_event
from robo_trader.core.steps import Step, decode_step
from robo_trader.storage.rows import dicts, first, marks


class Moment(NamedTuple):
    """When a symbol was spoken of: the session, the event in its journal, and what the desk did about it."""

    session_id: str
    seq: int
    event: Event
    step: Step


def last_moment(connection: sqlite3.Connection, symbol: str, until: int) -> Moment | None:
    """Return the newest signal, abstention or decision of a symbol at or before a time (UTC ns), None for none."""
    row = connection.execute(
        "SELECT journal.session_id, journal.seq, journal.event, journal.step FROM ("
        "SELECT session_id, seq, ts FROM signals WHERE symbol = ?1 AND ts <= ?2 "
        "UNION SELECT session_id, seq, ts FROM decisions WHERE symbol = ?1 AND ts <= ?2) AS told "
        "JOIN journal ON journal.session_id = told.session_id AND journal.seq = told.seq "
        "JOIN sessions ON sessions.id = told.session_id "
        "ORDER BY told.ts DESC, sessions.rowid DESC, told.seq DESC LIMIT 1",
        (symbol, until),
    ).fetchone()
    if row is None:
        return None
    session_id, seq, event, step = row
    return Moment(session_id, seq, decode_event(event.encode()), decode_step(step.encode()))


def regime_at(
    connection: sqlite3.Connection, session_id: str, symbol: str, until: int
) -> dict[str, Any] | None:
    """Return the regime a session told of a symbol last by then: since when, and by which rule."""
    found = dicts(
        connection,
        "SELECT ts, regime, was, why, known FROM regimes WHERE session_id = ? AND symbol = ? AND ts <= ? "
        "ORDER BY id DESC LIMIT 1",
        (session_id, symbol, until),
    )
    return first([row | {"known": bool(row["known"])} for row in found])


def orders_of(connection: sqlite3.Connection, parent_id: str) -> list[dict[str, Any]]:
    """Return the orders a parent was worked by, and the stops attached to them, in the order they went out."""
    return dicts(
        connection,
        "SELECT id, symbol, side, quantity, type, limit_price, stop_price, algorithm, status, filled, message, created, "
        "updated FROM orders WHERE parent_id = ?1 OR attached_to IN (SELECT id FROM orders WHERE parent_id = ?1) "
        "ORDER BY rowid",
        (parent_id,),
    )


def refusals_of(connection: sqlite3.Connection, parent_id: str) -> list[dict[str, Any]]:
    """Return what gates refused of a parent, oldest first."""
    return dicts(
        connection,
        'SELECT ts, order_id, gate, reason, value, "limit" FROM violations '
        "WHERE order_id = ?1 OR (order_id > ?1 || '.' AND order_id < ?1 || '/') ORDER BY id",
        (parent_id,),
    )


def fills_of(connection: sqlite3.Connection, order_ids: list[str]) -> list[dict[str, Any]]:
    """Return the executions of these orders that stand, oldest first."""
    return dicts(
        connection,
        "SELECT ts, exec_id, order_id, side, quantity, price, commission FROM fills "
        f"WHERE superseded_by = '' AND order_id IN ({marks(order_ids)}) ORDER BY rowid",
        tuple(order_ids),
    )
