"""The journal on disk: every event and step in order, and the same facts as rows of the tables."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from typing import assert_never

from robo_trader.core.events import (
    NOTHING,
    Abstained,
    AccountSnapshot,
    Anomaly,
    Bar,
    Cancel,
    Command,
    Decision,
    Denied,
    Equity,
    Event,
    Fact,
    FeatureRow,
    FeedStatus,
    Fill,
    Halt,
    Halted,
    Lot,
    Mismatch,
    Modify,
    OpenOrder,
    Order,
    OrderChanged,
    OrderStatus,
    OrderUpdate,
    PositionChanged,
    Quote,
    Resume,
    Resumed,
    SetTimer,
    Signal,
    Step,
    Submit,
    Timer,
    Trade,
    encode,
)
from robo_trader.storage.database import INSERT_BAR, Database, bar_row

_EVENT = "INSERT INTO journal (session_id, seq, ts, event, step) VALUES (?, ?, ?, ?, ?)"
_QUOTE = "INSERT INTO ticks (ts, symbol, bid, ask, bid_size, ask_size) VALUES (?, ?, ?, ?, ?, ?)"
_TRADE = "INSERT INTO ticks (ts, symbol, price, size) VALUES (?, ?, ?, ?)"
# The first vector told of a bar is the one that was decided on; a later warm-up does not rewrite it.
_FEATURES = (
    'INSERT INTO features (symbol, version, ts, "values") VALUES (?, ?, ?, ?) '
    "ON CONFLICT (symbol, version, ts) DO NOTHING"
)
_SIGNAL = (
    "INSERT INTO signals (session_id, seq, ts, symbol, strategy, kind, direction, strength, probability, "
    "model, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_DECISION = (
    "INSERT INTO decisions (session_id, seq, ts, symbol, strategy, order_id, side, quantity, algorithm, "
    "reason, steps) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_VIOLATION = (
    'INSERT INTO violations (session_id, seq, ts, order_id, symbol, gate, reason, value, "limit") '
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_ORDER = (
    "INSERT INTO orders (id, parent_id, session_id, symbol, side, quantity, type, limit_price, algorithm, "
    "reason, status, filled, broker_id, created, updated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_ORDER_ADOPTED = _ORDER + (
    " ON CONFLICT (id) DO UPDATE SET status = excluded.status, filled = excluded.filled, "
    "broker_id = coalesce(nullif(excluded.broker_id, 0), broker_id), updated = excluded.updated"
)
_ORDER_NUMBERED = "UPDATE orders SET broker_id = ? WHERE id = ?"
_ORDER_MODIFIED = "UPDATE orders SET quantity = ?, limit_price = ?, updated = ? WHERE id = ?"
_ORDER_CHANGED = (
    "UPDATE orders SET status = ?, filled = ?, broker_id = coalesce(nullif(?, 0), broker_id), "
    "message = CASE WHEN ?4 = '' THEN message ELSE ?4 END, updated = ? WHERE id = ?"
)
# Told again it changes its commission, as in the ledger, and nothing else.
_FILL = (
    "INSERT INTO fills (exec_id, order_id, session_id, ts, symbol, side, quantity, price, commission) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (exec_id) DO UPDATE SET commission = excluded.commission WHERE excluded.commission IS NOT NULL"
)
_SESSION_OPENED = "UPDATE sessions SET opened = ? WHERE id = ?"
_POSITIONS_OPENED = (
    "UPDATE positions SET quantity = 0, lots = '[]', realised = '0', session_id = ?, updated = ?"
)
_POSITION = (
    "INSERT INTO positions (symbol, quantity, lots, realised, session_id, updated) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (symbol) DO UPDATE SET quantity = excluded.quantity, lots = excluded.lots, "
    "realised = excluded.realised, session_id = excluded.session_id, updated = excluded.updated"
)
_EQUITY = "INSERT INTO equity (session_id, ts, cash, value, start, realised, unrealised) VALUES (?, ?, ?, ?, ?, ?, ?)"
_HALT = "INSERT INTO halts (session_id, ts, halted, reason, by) VALUES (?, ?, ?, ?, ?)"

# Rows of one statement keep their order; statements run in this one, so an order exists before it changes.
_STATEMENTS = (
    _EVENT, INSERT_BAR, _QUOTE, _TRADE, _FEATURES, _SIGNAL, _DECISION, _VIOLATION,
    _ORDER, _ORDER_ADOPTED, _ORDER_NUMBERED, _ORDER_MODIFIED, _ORDER_CHANGED, _FILL,
    _SESSION_OPENED, _POSITIONS_OPENED, _POSITION, _EQUITY, _HALT,
)  # fmt: skip

_NOTHING_TEXT = encode(NOTHING).decode()
_URGENT_EVENTS = (Fill, OrderUpdate, AccountSnapshot, Halt, Resume)
_URGENT_STEPS = (Submit, Modify, Cancel, Halted, Resumed)

Row = tuple[object, ...]


def is_urgent(event: Event, step: Step) -> bool:
    """Whether this must be on disk before anything is sent: orders, executions, the account, halts."""
    return (
        isinstance(event, _URGENT_EVENTS)
        or any(isinstance(command, _URGENT_STEPS) for command in step.commands)
        or any(isinstance(fact, _URGENT_STEPS) for fact in step.facts)
    )


class SqliteJournal:
    """Writes a session: what is urgent at once and whole, the rest in groups of `group` events or by `flush`."""

    def __init__(self, database: Database, session_id: str, *, group: int = 500) -> None:
        self._database = database
        self._session_id = session_id
        self._group = group
        self._seq = 0
        self._opened = False
        self._rows = _no_rows()

    async def record(self, event: Event, step: Step) -> None:
        """Keep one event and its step. Raises DeskHalted where they cannot be written."""
        self._seq += 1
        step_text = _NOTHING_TEXT if step is NOTHING else encode(step).decode()
        self._add(_EVENT, (self._session_id, self._seq, event.ts, encode(event).decode(), step_text))
        self._add_event(event)
        for command in step.commands:
            self._add_command(event.ts, command)
        for fact in step.facts:
            self._add_fact(fact)
        if len(self._rows[_EVENT]) >= self._group or is_urgent(event, step):
            await self.commit()

    async def flush(self) -> None:
        """Put everything recorded so far on disk, and tidy up. Raises DeskHalted where it cannot be written."""
        await self.commit()
        await self._database.checkpoint()

    async def commit(self) -> None:
        """Put everything recorded so far on disk. Raises DeskHalted where it cannot be written."""
        rows, self._rows = self._rows, _no_rows()
        if rows[_EVENT]:
            await self._database.write(lambda connection: _write(connection, rows))

    async def close(self) -> None:
        """Put the rest on disk; the database stays open."""
        await self.flush()

    def _add(self, statement: str, row: Row) -> None:
        self._rows[statement].append(row)

    def _add_event(self, event: Event) -> None:
        match event:
            case Quote():
                self._add(
                    _QUOTE, (event.ts, event.symbol, event.bid, event.ask, event.bid_size, event.ask_size)
                )
            case Trade():
                self._add(_TRADE, (event.ts, event.symbol, event.price, event.size))
            case Bar():
                self._add(INSERT_BAR, bar_row(event))
            case Fill():
                self._add_fill(event)
            case AccountSnapshot():
                self._add_account(event)
            case OrderUpdate():
                # Its status is told by the facts of the step; its number may come without one.
                if event.broker_id:
                    self._add(_ORDER_NUMBERED, (event.broker_id, event.order_id))
            case FeedStatus() | Timer() | Halt() | Resume():
                pass  # what they change is told by the facts of their step
            case _:
                assert_never(event)

    def _add_account(self, account: AccountSnapshot) -> None:
        """Open the books with the session's first snapshot; a later one is compared with them, not booked."""
        if self._opened:
            return
        self._opened = True
        self._add(_SESSION_OPENED, (account.ts, self._session_id))
        self._add(_POSITIONS_OPENED, (self._session_id, account.ts))
        for holding in account.holdings:
            self._add_position(account.ts, holding.symbol, holding.quantity, holding.lots, Decimal(0))
        for found in account.orders:
            self._add(_ORDER_ADOPTED, self._order_row(account.ts, found))
        for fill in account.fills:
            self._add_fill(fill)

    def _add_position(
        self, ts: int, symbol: str, quantity: int, lots: tuple[Lot, ...], realised: Decimal
    ) -> None:
        row = (symbol, quantity, encode(lots).decode(), str(realised), self._session_id, ts)
        self._add(_POSITION, row)

    def _add_fill(self, fill: Fill) -> None:
        self._add(
            _FILL,
            (
                fill.exec_id,
                fill.order_id,
                self._session_id,
                fill.ts,
                fill.symbol,
                fill.side,
                fill.quantity,
                str(fill.price),
                _money(fill.commission),
            ),
        )

    def _add_command(self, ts: int, command: Command) -> None:
        match command:
            case Submit(order):
                self._add(_ORDER, self._order_row(ts, OpenOrder(order, status=OrderStatus.INTENT)))
            case Modify(order):
                self._add(_ORDER_MODIFIED, (order.quantity, _money(order.limit_price), ts, order.id))
            case Cancel() | SetTimer():
                pass
            case _:
                assert_never(command)

    def _order_row(self, ts: int, found: OpenOrder) -> Row:
        order: Order = found.order
        return (
            order.id,
            order.parent_id,
            self._session_id,
            order.symbol,
            order.side,
            order.quantity,
            order.type,
            _money(order.limit_price),
            order.algorithm,
            order.reason,
            found.status,
            found.filled,
            found.broker_id,
            ts,
            ts,
        )

    def _add_fact(self, fact: Fact) -> None:
        at = (self._session_id, self._seq, fact.ts)
        match fact:
            case FeatureRow():
                self._add(_FEATURES, (fact.symbol, fact.version, fact.ts, fact.values))
            case Equity():
                money = (fact.cash, fact.value, fact.start, fact.realised, fact.unrealised)
                self._add(_EQUITY, (self._session_id, fact.ts, *map(str, money)))
            case Signal():
                said = (fact.direction, fact.strength, fact.probability, fact.model, fact.reason)
                self._add(_SIGNAL, (*at, fact.symbol, fact.strategy, "signal", *said))
            case Abstained():
                silence = (None, None, fact.probability, "", fact.reason)
                self._add(_SIGNAL, (*at, fact.symbol, fact.strategy, "abstained", *silence))
            case Decision():
                order = (fact.order_id, fact.side, fact.quantity, fact.algorithm, fact.reason)
                self._add(_DECISION, (*at, fact.symbol, fact.strategy, *order, encode(fact.steps).decode()))
            case Denied():
                refusal = (fact.gate, fact.reason, fact.value, fact.limit)
                self._add(_VIOLATION, (*at, fact.order_id, fact.symbol, *refusal))
            case PositionChanged():
                self._add_position(fact.ts, fact.symbol, fact.quantity, fact.lots, fact.realised)
            case OrderChanged():
                change = (fact.status, fact.filled, fact.broker_id, fact.reason)
                self._add(_ORDER_CHANGED, (*change, fact.ts, fact.order_id))
            case Halted():
                self._add(_HALT, (self._session_id, fact.ts, 1, fact.reason, fact.by))
            case Resumed():
                self._add(_HALT, (self._session_id, fact.ts, 0, fact.reason, fact.by))
            case Anomaly() | Mismatch():
                pass  # kept whole in the journal row
            case _:
                assert_never(fact)


def _money(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)


def _no_rows() -> dict[str, list[Row]]:
    return {statement: [] for statement in _STATEMENTS}


def _write(connection: sqlite3.Connection, rows: dict[str, list[Row]]) -> None:
    for statement, group in rows.items():
        if group:
            connection.executemany(statement, group)
