"""What a restart has to know of an account: read from its tables, as messages."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from robo_trader.core.errors import DataError
from robo_trader.core.events import Fill, Lot, OpenOrder, Order, OrderStatus, OrderType, Side, TradingState
from robo_trader.core.executions import stem
from robo_trader.core.recovery import Left, Stored
from robo_trader.storage.halts import standing
from robo_trader.storage.rows import OPEN, marks

# An order that never came to life protected nothing.
_NEVER_ALIVE = (OrderStatus.REJECTED, OrderStatus.NEVER_SENT)

lots_decoder = msgspec.json.Decoder(tuple[Lot, ...])


class Position(NamedTuple):
    """Signed shares, lots oldest first, realised P&L in USD since the session's books opened, net."""

    quantity: int
    lots: tuple[Lot, ...]
    realised: Decimal


def stored(connection: sqlite3.Connection) -> Stored:
    """Return what recovery needs to know of this account; `day` and `day_start` need a calendar and stay empty.

    Raises DataError where the tables cannot be read or contradict themselves: nobody trades on such books.
    """
    try:
        return _stored(connection)
    # All that reading a damaged row can raise: no such number, price, side or JSON, or no such page.
    except (ValueError, ArithmeticError, msgspec.MsgspecError, sqlite3.DatabaseError) as error:
        raise DataError(
            f"the books cannot be read ({error!r}); restore a backup or name another file with --db"
        ) from error


def _stored(connection: sqlite3.Connection) -> Stored:
    return Stored(
        first=connection.execute("SELECT count(*) FROM sessions WHERE opened IS NOT NULL").fetchone()[0] == 0,
        lots={symbol: position.lots for symbol, position in holdings(connection).items()},
        cash=_cash(connection),
        booked=booked(connection),
        unresolved=tuple(open_intents(connection)),
        stops=last_stops(connection) | _restated_stops(connection),
        ignored=ignored(connection),
        halts=tuple(
            (halt["by"], TradingState(halt["state"]), halt["reason"])
            for halt in standing(connection, over_restart=True)
        ),
    )


def holdings(connection: sqlite3.Connection) -> dict[str, Position]:
    """Return what our books hold by symbol, flat symbols left out."""
    rows = connection.execute("SELECT symbol, quantity, lots, realised FROM positions WHERE quantity != 0")
    return {row[0]: _position(*row) for row in rows}


def _position(symbol: str, quantity: int, lots: str, realised: str) -> Position:
    held = Position(quantity, lots_decoder.decode(lots), Decimal(realised))
    if sum(lot.quantity for lot in held.lots) != quantity:
        raise ValueError(f"{symbol}: {quantity} shares, but its lots hold others")
    return held


def open_intents(connection: sqlite3.Connection) -> list[OpenOrder]:
    """Return the orders of any session whose end is not booked, oldest first, each in its last known state."""
    rows = connection.execute(
        "SELECT id, parent_id, symbol, side, quantity, type, limit_price, algorithm, reason, stop_price, tif, "
        f"attached_to, filled, broker_id, status FROM orders WHERE status IN ({marks(OPEN)}) ORDER BY rowid",
        OPEN,
    )
    return [OpenOrder(_order(row[:12]), row[12], row[13], OrderStatus(row[14])) for row in rows]


def _order(row: Sequence[Any]) -> Order:
    order_id, parent_id, symbol, side, quantity, kind, limit, algorithm, reason, stop, tif, attached_to = row
    return Order(
        order_id, parent_id, symbol, Side(side), quantity, OrderType(kind), _price(limit), algorithm, reason,
        _price(stop), tif, attached_to,
    )  # fmt: skip


def booked(connection: sqlite3.Connection) -> dict[str, Fill]:
    """Return every execution ever booked, without its version, and the version of it that stands."""
    rows = connection.execute(
        "SELECT ts, order_id, exec_id, symbol, side, quantity, price, commission FROM fills "
        "WHERE superseded_by = '' ORDER BY rowid"
    )
    return {stem(row[2]): _fill(row) for row in rows}


def _fill(row: Sequence[Any]) -> Fill:
    ts, order_id, exec_id, symbol, side, quantity, price, commission = row
    return Fill(ts, order_id, exec_id, symbol, Side(side), quantity, Decimal(price), _price(commission))


def last_stops(connection: sqlite3.Connection) -> dict[str, Decimal]:
    """Return by held symbol the price in USD at which it was last protected since it was flat.

    A stop that still works counts before one that has ended.
    """
    rows = connection.execute(
        "SELECT positions.symbol, stop_price FROM positions JOIN orders ON orders.symbol = positions.symbol "
        "WHERE positions.quantity != 0 AND type = 'STP' AND stop_price IS NOT NULL "
        "AND side = CASE WHEN positions.quantity > 0 THEN 'SELL' ELSE 'BUY' END "
        f"AND status NOT IN ({marks(_NEVER_ALIVE)}) "
        f"AND (positions.flat IS NULL OR created >= positions.flat OR status IN ({marks(OPEN)})) "
        f"ORDER BY status IN ({marks(OPEN)}), orders.rowid",
        (*_NEVER_ALIVE, *OPEN, *OPEN),
    )
    return {symbol: Decimal(price) for symbol, price in rows}  # the last of a symbol stays


def _restated_stops(connection: sqlite3.Connection) -> dict[str, Decimal]:
    """Return by held symbol the price of a split's stop, where none has been placed since the split."""
    rows = connection.execute(
        "SELECT symbol, stop_price FROM splits AS split WHERE since IS NOT NULL AND stop_price IS NOT NULL "
        "AND id = (SELECT max(id) FROM splits WHERE symbol = split.symbol AND since IS NOT NULL) "
        "AND symbol IN (SELECT symbol FROM positions WHERE quantity != 0 AND (flat IS NULL OR flat < split.ts)) "
        "AND NOT EXISTS (SELECT 1 FROM orders WHERE orders.symbol = split.symbol AND type = 'STP' "
        f"AND stop_price = split.stop_price AND created >= split.ts AND status NOT IN ({marks(_NEVER_ALIVE)}))",
        _NEVER_ALIVE,
    )
    return {symbol: Decimal(price) for symbol, price in rows}


def ignored(connection: sqlite3.Connection) -> dict[str, Left]:
    """Return by symbol the shares at the broker that a person told us last to leave alone, and until when."""
    rows = connection.execute(
        "SELECT symbol, ignored, ignored_until FROM quarantines WHERE id IN "
        "(SELECT max(id) FROM quarantines WHERE ignored_until IS NOT NULL GROUP BY symbol)"
    )
    return {symbol: Left(shares, until) for symbol, shares, until in rows}


def day_start(connection: sqlite3.Connection, session_open: int) -> Decimal | None:
    """Return the equity in USD a trading day began with: as the day itself stated it last, else as told at its open.

    `session_open` in ns UTC; told at the open is the last equity by then, else the first after it.
    """
    stated = connection.execute(
        "SELECT day_start FROM equity WHERE ts > ? AND day_start IS NOT NULL ORDER BY ts DESC, id DESC LIMIT 1",
        (session_open,),
    ).fetchone()
    if stated is not None:
        return Decimal(stated[0])
    for comparison, order in (("<=", "DESC"), (">", "ASC")):
        row = connection.execute(
            f"SELECT cash, value FROM equity WHERE ts {comparison} ? ORDER BY ts {order}, id {order} LIMIT 1",
            (session_open,),
        ).fetchone()
        if row is not None:
            return Decimal(row[0]) + Decimal(row[1])
    return None


def _cash(connection: sqlite3.Connection) -> Decimal | None:
    row = connection.execute("SELECT cash FROM equity ORDER BY id DESC LIMIT 1").fetchone()
    return None if row is None else Decimal(row[0])


def _price(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
