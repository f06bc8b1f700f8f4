"""The journal on disk: every event and step in order, and the same facts as rows of the tables."""

from __future__ import annotations

import asyncio
import sqlite3
from decimal import Decimal
from typing import assert_never
from zlib import crc32

from robo_trader.core.errors import DeskHalted
from robo_trader.core.events import (
    AccountSnapshot,
    Bar,
    Cancel,
    Command,
    Depth,
    Event,
    FeedStatus,
    Fill,
    Flatten,
    Halt,
    Lot,
    ModelChanged,
    Modify,
    OpenOrder,
    Order,
    OrderStatus,
    OrderUpdate,
    Quote,
    Resolve,
    Resume,
    Retrained,
    SetTimer,
    Split,
    Submit,
    Timer,
    Trade,
    encode,
)
from robo_trader.core.executions import stem, version
from robo_trader.core.steps import (
    NOTHING,
    Abstained,
    Agreed,
    Anomaly,
    CashMoved,
    Corrected,
    Decision,
    Denied,
    Drifted,
    DriftSummary,
    Equity,
    Fact,
    FeatureRow,
    Halted,
    Ignored,
    Mismatch,
    OrderChanged,
    PositionChanged,
    RegimeChanged,
    Resumed,
    Shadow,
    Signal,
    SplitBooked,
    SplitSuspected,
    Step,
    Unprotected,
    journaled,
)
from robo_trader.storage import statements as sql
from robo_trader.storage.database import Database

_NOTHING_TEXT = encode(NOTHING).decode()
_URGENT_EVENTS = (
    Fill, OrderUpdate, AccountSnapshot, Halt, Resume, Flatten, Resolve, Split, ModelChanged
)  # fmt: skip
_URGENT_STEPS = (
    Submit, Modify, Cancel, Halted, Resumed, Mismatch, Agreed, Ignored, CashMoved, Corrected, Unprotected,
    SplitBooked, SplitSuspected,
)  # fmt: skip
# A writer that goes on adding, though told to commit, is stopped before it fills the memory.
_MOST_GROUPS = 20

Row = tuple[object, ...]


def is_urgent(event: Event, step: Step) -> bool:
    """Whether this must be on disk before anything is sent: orders, executions, the account, halts, differences."""
    return (
        isinstance(event, _URGENT_EVENTS)
        or any(isinstance(command, _URGENT_STEPS) for command in step.commands)
        or any(isinstance(fact, _URGENT_STEPS) for fact in step.facts)
    )


class _Rows:
    """What waits for the disk: streams by statement, the books in the order they were told."""

    def __init__(self) -> None:
        self.streams: dict[str, list[Row]] = {statement: [] for statement in sql.STREAMS}
        self.books: list[tuple[str, Row]] = []
        self.executed: set[str] = set()  # executions, without their version

    @property
    def events(self) -> int:
        return len(self.streams[sql.EVENT])

    def write(self, connection: sqlite3.Connection) -> None:
        for statement, group in self.streams.items():
            if group:
                connection.executemany(statement, group)
        for statement, row in self.books:
            connection.execute(statement, row)
        for execution in self.executed:
            _supersede(connection, execution)


class SqliteJournal:
    """Writes a session: what is urgent at once and whole, the rest in groups of `group` events or by `flush`."""

    def __init__(self, database: Database, session_id: str, *, group: int = 500) -> None:
        self._database = database
        self._session_id = session_id
        self._group = group
        self._most = group * _MOST_GROUPS
        self._seq = 0
        self._opened = False
        self._now = 0  # the market's time
        self._rows = _Rows()
        # The write asked for last; those before it end before it.
        self._last: asyncio.Future[None] | None = None

    async def record(self, event: Event, step: Step) -> None:
        """Keep one event and its step. Raises DeskHalted where they cannot be written."""
        if self.add(event, step):
            await self.commit()

    def add(self, event: Event, step: Step) -> bool:
        """Take one event and its step, in memory only; return whether a commit is due before anything is sent or added.

        Raises DeskHalted where far more waits for the disk than that allows.
        """
        if self._rows.events >= self._most:
            raise DeskHalted(f"{self._rows.events} events wait for the disk; stopping rather than losing one")
        self._seq += 1
        self._now = max(self._now, event.ts)
        step_text = _NOTHING_TEXT if step is NOTHING else journaled(step).decode()
        self._stream(sql.EVENT, (self._session_id, self._seq, event.ts, encode(event).decode(), step_text))
        self._add_event(event, step)
        for command in step.commands:
            self._add_command(event.ts, command)
        for fact in step.facts:
            self._add_fact(fact)
        return self._rows.events >= self._group or is_urgent(event, step)

    @property
    def load(self) -> float:
        """How much waits in memory for a commit, from 0 to 1; at 1 the desk stops."""
        return self._rows.events / self._most

    async def flush(self) -> None:
        """Put everything recorded so far on disk, and tidy up. Raises DeskHalted where it cannot be written."""
        await self.commit()
        await self._database.checkpoint()

    async def commit(self) -> None:
        """Return once all that was added is on disk, in one transaction with what else waited.

        Raises DeskHalted where it cannot be written. A caller that is cancelled takes nothing back.
        """
        rows, self._rows = self._rows, _Rows()
        if rows.events:
            self._last = asyncio.ensure_future(self._database.write(rows.write))
        # Somebody else's commit may have taken the rows and be on its way still.
        if self._last is not None:
            await asyncio.shield(self._last)

    def _stream(self, statement: str, row: Row) -> None:
        self._rows.streams[statement].append(row)

    def _book(self, statement: str, row: Row) -> None:
        self._rows.books.append((statement, row))

    def _add_event(self, event: Event, step: Step) -> None:
        match event:
            case Quote():
                self._stream(
                    sql.QUOTE, (event.ts, event.symbol, event.bid, event.ask, event.bid_size, event.ask_size)
                )
            case Trade():
                self._stream(sql.TRADE, (event.ts, event.symbol, event.price, event.size))
            case Bar():
                self._stream(sql.INSERT_BAR, sql.bar_row(event, self._now))
            case Fill():
                self._add_fill(event)
            case AccountSnapshot():
                self._add_account(event, step)
            case OrderUpdate():
                self._add_update(event)
            case Depth():
                pass  # kept whole in the journal row
            case FeedStatus() | Timer() | Halt() | Resume() | Flatten() | Resolve() | Split():
                pass  # what they change is told by the facts of their step
            case ModelChanged() | Retrained():
                pass  # kept whole in the journal row; roles and trainings have a place of their own
            case _:
                assert_never(event)

    def _add_account(self, account: AccountSnapshot, step: Step) -> None:
        """Open the books with the session's first snapshot; a later one is compared with them, not booked."""
        if self._opened:
            return
        self._opened = True
        held = [holding.symbol for holding in account.holdings]
        differing = [fact.symbol for fact in step.facts if isinstance(fact, Mismatch)]
        self._book(sql.SESSION_OPENED, (account.ts, self._session_id))
        self._book(sql.POSITIONS_OPENED, (self._session_id, account.ts, _json(held)))
        self._book(sql.QUARANTINES_OPENED, (account.ts, _json(differing)))
        for holding in account.holdings:
            self._add_position(account.ts, holding.symbol, holding.quantity, holding.lots, Decimal(0))
        for found in account.orders:
            self._book(sql.ORDER_ADOPTED, self._order_row(account.ts, found))
        for fill in account.fills:
            self._add_fill(fill)

    def _add_update(self, update: OrderUpdate) -> None:
        # Its status is told by the facts of the step; its number and its size may come without one.
        if update.broker_id:
            self._book(sql.ORDER_NUMBERED, (update.broker_id, update.order_id))
        if update.status in (OrderStatus.WORKING, OrderStatus.PARTIAL) and update.remaining:
            self._book(sql.ORDER_RESIZED, (update.filled + update.remaining, update.ts, update.order_id))

    def _add_position(
        self, ts: int, symbol: str, quantity: int, lots: tuple[Lot, ...], realised: Decimal
    ) -> None:
        row = (symbol, quantity, _json(lots), str(realised), self._session_id, ts)
        self._book(sql.POSITION, row)

    def _add_fill(self, fill: Fill) -> None:
        self._book(
            sql.FILL,
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
        self._rows.executed.add(stem(fill.exec_id))

    def _add_command(self, ts: int, command: Command) -> None:
        match command:
            case Submit(order, stop):
                for sent in (order, stop):
                    if sent is not None:
                        self._book(sql.ORDER, self._order_row(ts, OpenOrder(sent, status=OrderStatus.INTENT)))
            case Modify(order):
                prices = (_money(order.limit_price), _money(order.stop_price))
                self._book(sql.ORDER_MODIFIED, (order.quantity, *prices, ts, order.id))
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
            _money(order.stop_price),
            order.tif,
            order.attached_to,
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
                self._stream(
                    sql.FEATURES, (fact.symbol, fact.version, fact.ts, fact.values, crc32(fact.values))
                )
            case Equity():
                money = (fact.cash, fact.value, fact.start, fact.realised, fact.unrealised)
                self._stream(
                    sql.EQUITY, (self._session_id, fact.ts, *map(str, money), _money(fact.day_start))
                )
            case Signal():
                said = (fact.direction, fact.strength, fact.probability, fact.model, fact.reason, fact.regime)
                self._stream(sql.SIGNAL, (*at, fact.symbol, fact.strategy, "signal", *said))
            case Abstained():
                silence = (None, None, fact.probability, "", fact.reason, fact.regime)
                self._stream(sql.SIGNAL, (*at, fact.symbol, fact.strategy, "abstained", *silence))
            case Decision():
                order = (fact.order_id, fact.side, fact.quantity, fact.algorithm, fact.reason)
                self._stream(
                    sql.DECISION, (*at, fact.symbol, fact.strategy, *order, _json(fact.steps), fact.regime)
                )
            case Denied():
                refusal = (fact.gate, fact.reason, fact.value, fact.limit)
                self._stream(sql.VIOLATION, (*at, fact.order_id, fact.symbol, *refusal))
            case PositionChanged():
                self._add_position(fact.ts, fact.symbol, fact.quantity, fact.lots, fact.realised)
            case OrderChanged():
                change = (fact.status, fact.filled, fact.broker_id, fact.reason)
                self._book(sql.ORDER_CHANGED, (*change, fact.ts, fact.order_id))
            case Halted() | Resumed():
                self._add_halt(fact)
            case Mismatch():
                self._book(sql.QUARANTINED, (self._session_id, fact.symbol, fact.ts, fact.ours, fact.broker))
            case Ignored():
                self._book(sql.QUARANTINE_IGNORED, (fact.shares, fact.until, fact.ts, fact.symbol))
            case Agreed():
                self._book(sql.QUARANTINE_ENDED, (fact.ts, fact.how, fact.symbol))
            case CashMoved():
                moved = (str(fact.amount), str(fact.cash), fact.why)
                self._book(sql.CASH_MOVED, (self._session_id, fact.ts, *moved))
            case Unprotected():
                self._book(sql.UNPROTECTED, (self._session_id, fact.ts, fact.symbol, fact.shares, fact.why))
            case RegimeChanged():
                told = (fact.symbol, fact.regime, fact.was, fact.why, fact.known)
                self._stream(sql.REGIME, (self._session_id, fact.ts, *told))
            case Drifted():
                reading = (fact.feature, fact.test, fact.value, fact.limit)
                self._stream(sql.DRIFTED, (self._session_id, fact.ts, *reading))
            case DriftSummary():
                counts = (fact.rows, fact.columns, fact.drifting, fact.alarm)
                self._stream(
                    sql.DRIFT_SUMMARY, (self._session_id, fact.ts, fact.session, *counts, _json(fact.worst))
                )
            case Shadow():
                versions = (fact.champion, fact.challenger, fact.said, fact.shadow)
                self._stream(sql.SHADOW, (self._session_id, fact.ts, fact.symbol, *versions))
            case SplitBooked():
                stop = (fact.since, _money(fact.stop_price), fact.why)
                self._book(sql.SPLIT, (self._session_id, fact.ts, fact.symbol, fact.new, fact.old, *stop))
            case SplitSuspected():
                row = (self._session_id, fact.ts, fact.symbol, fact.new, fact.old, None, None, fact.why)
                self._book(sql.SPLIT, row)
            case Corrected() | Anomaly():
                pass  # kept whole in the journal row; a corrected fill's rows say it themselves
            case _:
                assert_never(fact)

    def _add_halt(self, fact: Halted | Resumed) -> None:
        lifted = _json(fact.lifted if isinstance(fact, Resumed) else ())
        row = (fact.ts, isinstance(fact, Halted), fact.reason, fact.by, fact.state, lifted)
        self._book(sql.HALT, (self._session_id, *row))


def _supersede(connection: sqlite3.Connection, execution: str) -> None:
    """Mark all but the highest version of an execution, in whatever order they came."""
    found = [row[0] for row in connection.execute(sql.FILL_VERSIONS, (execution,))]
    versions = sorted((exec_id for exec_id in found if stem(exec_id) == execution), key=version)
    for replaced in versions[:-1]:
        connection.execute(sql.FILL_SUPERSEDED, (versions[-1], replaced))


def _money(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)


def _json(value: object) -> str:
    return encode(value).decode()
