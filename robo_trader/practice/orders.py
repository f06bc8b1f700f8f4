"""Orders from placing to their end: checked, matched against the standing quote, booked, saved, then told."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial

import msgspec

from robo_trader.core.events import SECOND_NS, OrderType, Side
from robo_trader.core.protocols import FillModel
from robo_trader.practice import tickets
from robo_trader.practice.books import LEVERAGE, Books
from robo_trader.practice.contracts import Directory
from robo_trader.practice.exchange import Exchange
from robo_trader.practice.messages import stamp
from robo_trader.practice.requests import PlaceOrder
from robo_trader.practice.state import State
from robo_trader.practice.tickets import Execution, Ticket
from robo_trader.practice.wire import error
from robo_trader.simulation.costs import CommissionMeter

Message = Callable[[int], bytes]  # of the client's version
Told = tuple[int, Message]  # client id and what it is told

_CENT = Decimal("0.01")
_MAX_QUANTITY = 10_000_000
_NIGHT_NS = 9 * 3_600 * SECOND_NS  # from shortly after midnight to the open


class OrderBook:
    """All orders of all clients on one account. Its public methods save what changed and return whom to tell what."""

    def __init__(
        self,
        account: str,
        exchange: Exchange,
        directory: Directory,
        books: Books,
        fill_model: FillModel,
        state: State | None,
        next_perm_id: int,
    ) -> None:
        self.account = account
        self.books = books
        self._executions: list[Execution] = []
        self._exchange = exchange
        self._directory = directory
        self._fill_model = fill_model
        self._state = state
        self._next_perm_id = next_perm_id
        self._tickets: dict[int, Ticket] = {}
        self._working: dict[int, None] = {}  # permanent ids, in order of arrival
        self._by_client: dict[tuple[int, int], int] = {}
        self._next_ids: dict[int, int] = {}
        self._changed: dict[int, Ticket] = {}
        self._booked = 0
        self._told: list[Told] = []
        self._traded: set[str] = set()

    def restore(self, saved_tickets: list[Ticket], executions: list[Execution]) -> None:
        """Take over the orders and executions of a saved account."""
        for ticket in saved_tickets:
            self._file(ticket)
        self._executions = list(executions)
        self._changed.clear()
        self.forget_past()

    def forget_past(self) -> None:
        """Drop from memory what ended before today; on disk it stays."""
        past = [t for t in self._tickets.values() if t.done and t.done_ts < self._today()]
        for ticket in past:
            del self._tickets[ticket.perm_id]
            del self._by_client[ticket.client_id, ticket.order_id]
        self._executions = self.executed()
        self._booked = len(self._executions)

    def next_id(self, client: int) -> int:
        """Return the next order id a client may use."""
        return self._next_ids.get(client, 1)

    def working(self, client: int | None = None) -> list[Ticket]:
        """Return the live orders, of one client or of all."""
        found = [self._tickets[perm_id] for perm_id in self._working]
        return [ticket for ticket in found if client is None or ticket.client_id == client]

    def completed(self) -> list[Ticket]:
        """Return the orders that ended in the present session."""
        since = self._today()
        return [ticket for ticket in self._tickets.values() if ticket.done and ticket.done_ts >= since]

    def executed(self) -> list[Execution]:
        """Return the present session's executions, oldest first."""
        since = self._today()
        return [fill for fill in self._executions if fill.ts >= since]

    def _today(self) -> int:
        """Return a time after the last close and before any order of today (UTC ns)."""
        return self._exchange.session.open - _NIGHT_NS

    # ------------------------------------------------------------------------------------------- client calls

    def place(self, client: int, request: PlaceOrder, now: int) -> list[Told]:
        """Take a new order or, under the id of a live one, its modification."""
        known = self._by_client.get((client, request.order_id))
        if known is not None and known in self._working:
            self._modify(self._tickets[known], request, now)
        elif request.order_id < self.next_id(client):
            self._refuse(client, request.order_id, 103, "Duplicate order id")
        else:
            self._place(client, request, now)
        return self.commit()

    def cancel(self, client: int, order_id: int, now: int) -> list[Told]:
        """Take back what is left of a client's own order."""
        ticket = self._tickets.get(self._by_client.get((client, order_id), 0))
        if ticket is None:
            text = f"OrderId {order_id} that needs to be cancelled is not found."
            self._refuse(client, order_id, 10147, text)
        elif ticket.done:
            text = (
                f"OrderId {order_id} that needs to be cancelled cannot be cancelled, state: {ticket.status}."
            )
            self._refuse(client, order_id, 10148, text)
        else:
            self._cancel(ticket, "", now)
        return self.commit()

    def cancel_all(self, now: int) -> list[Told]:
        """Take back every live order of the account, whoever placed it."""
        for ticket in self.working():
            self._cancel(ticket, "Global cancel", now)
        return self.commit()

    def on_quotes(self, now: int) -> list[Told]:
        """Match the live orders, oldest first, against the new standing quotes; end day orders at the close."""
        closing = self._exchange.now == self._exchange.session.close
        for ticket in self.working():
            if closing and ticket.tif == "DAY":
                self._cancel(ticket, "Day order expired at the close", now)
            elif ticket.status == tickets.PRE_SUBMITTED and self._exchange.is_open:
                self._work(ticket, now)
            else:
                self._match(ticket, now)
        return self.commit() if self._told else []

    def take_traded(self) -> set[str]:
        """Return the symbols traded since this was last asked."""
        traded, self._traded = self._traded, set()
        return traded

    def commit(self) -> list[Told]:
        """Save, then hand over what may now be told."""
        if self._state is not None:
            new = self._executions[self._booked :]
            self._state.save(self._exchange.now, self.books, self._next_perm_id, self._changed.values(), new)
        self._changed.clear()
        self._booked = len(self._executions)
        told, self._told = self._told, []
        return told

    # ------------------------------------------------------------------------------------------------ placing

    def _place(self, client: int, request: PlaceOrder, now: int) -> None:
        symbol = self._directory.find(request.contract)
        if symbol is None:
            text = "No security definition has been found for the request"
            return self._refuse(client, request.order_id, 200, text)
        flaw = _flaw(request)
        if flaw is not None:
            return self._refuse(client, request.order_id, *flaw)
        ticket = Ticket(
            self._next_perm_id, client, request.order_id, symbol, Side(request.action), int(request.quantity),
            OrderType.LIMIT if request.type == "LMT" else OrderType.MARKET, _limit(request),
            request.tif or "DAY", request.ref, self.account,
        )  # fmt: skip
        self._next_perm_id += 1
        reason = _unsupported(request, self.account) or self._too_big(ticket)
        if reason:
            return self._reject(ticket, reason, now)
        self._file(ticket)
        self._tell(ticket, tickets.open_order)
        self._tell(ticket, tickets.order_status)
        if self._exchange.is_open:
            return self._work(ticket, now)
        return self._warn_closed(ticket)

    def _work(self, ticket: Ticket, now: int) -> None:
        """Match an order that has just arrived or changed, and say so if nothing came of it."""
        self._match(ticket, now)
        if self._tickets[ticket.perm_id].fills == ticket.fills:
            self._step(ticket, tickets.open_order, tickets.order_status, status=tickets.SUBMITTED)

    def _modify(self, ticket: Ticket, request: PlaceOrder, now: int) -> None:
        flaw = _flaw(request)
        if self._directory.find(request.contract) != ticket.symbol or request.action != ticket.side:
            flaw = 105, "Order being modified does not match the original order."
        elif request.type != ticket.type:
            flaw = 329, "Order modify failed. Cannot change to the new order type."
        elif flaw is None and request.quantity <= ticket.filled:
            flaw = 110, f"{ticket.filled} shares are already filled."
        if flaw is not None:
            return self._refuse(ticket.client_id, ticket.order_id, *flaw)
        changed = msgspec.structs.replace(ticket, quantity=int(request.quantity), limit=_limit(request))
        reason = _unsupported(request, self.account) or self._too_big(changed)
        if reason:
            return self._refuse(ticket.client_id, ticket.order_id, 201, f"Order rejected - reason:{reason}")
        self._file(changed)
        if self._exchange.is_open:
            return self._work(changed, now)
        self._tell(changed, tickets.open_order)
        return self._tell(changed, tickets.order_status)

    def _too_big(self, ticket: Ticket) -> str:
        """Return why the account cannot carry an order, empty if it can; what only reduces a position always can."""
        mark = self._exchange.last
        price = mark(ticket.symbol)
        if price is None:
            return f"no price is known for {ticket.symbol}"
        held = self.books.quantity(ticket.symbol)
        ordered = {t.perm_id: t for t in self.working()} | {ticket.perm_id: ticket}
        same_way = [t for t in ordered.values() if t.symbol == ticket.symbol and t.side is ticket.side]
        if held * ticket.side.sign < 0 and sum(t.remaining for t in same_way) <= abs(held):
            return ""
        wanted = sum((Decimal(t.remaining) * _price_of(t, mark) for t in ordered.values()), Decimal(0))
        limit = LEVERAGE * self.books.net_liquidation(mark)
        exposure = self.books.gross(mark) + wanted
        if exposure <= limit:
            return ""
        return f"exposure of {exposure:.2f} USD would exceed the buying power limit of {limit:.2f} USD"

    # --------------------------------------------------------------------------------------------- happenings

    def _match(self, ticket: Ticket, now: int) -> None:
        market = self._exchange.market(ticket.symbol)
        if market is None or market.available <= 0:
            return
        found = self._fill_model.fill(ticket.order(), ticket.remaining, market)
        if found is not None:
            self._exchange.take(ticket.symbol, found.quantity)
            self._fill(ticket, found.quantity, found.price, now)

    def _fill(self, ticket: Ticket, quantity: int, price: Decimal, now: int) -> None:
        filled, notional = ticket.filled + quantity, ticket.notional + quantity * price
        fee = CommissionMeter(ticket.filled, ticket.notional).charge(quantity, price)
        realised = self.books.book(ticket.symbol, ticket.side, quantity, price, fee)
        done = filled == ticket.quantity
        after = msgspec.structs.replace(
            ticket, filled=filled, notional=notional, commission=ticket.commission + fee, last_price=price,
            fills=ticket.fills + 1, status=tickets.FILLED if done else tickets.SUBMITTED,
            done_ts=now if done else 0,
        )  # fmt: skip
        self._file(after)
        fill = Execution(
            f"{int(self.account[3:]):08x}.{ticket.perm_id:08x}.{after.fills:02d}.01", ticket.perm_id,
            ticket.client_id, ticket.order_id, ticket.symbol, ticket.side, quantity, price, fee, realised,
            filled, after.average, ticket.ref, self.account, now,
        )  # fmt: skip
        self._executions.append(fill)
        self._traded.add(ticket.symbol)
        self._told.append((ticket.client_id, lambda version: live_execution(version, fill)))
        self._tell(after, tickets.open_order)
        self._tell(after, tickets.order_status)
        if done:
            self._tell(after, partial(tickets.open_order, with_commission=True))
        self._told.append((ticket.client_id, lambda version: tickets.commission_report(version, fill)))

    def _cancel(self, ticket: Ticket, reason: str, now: int) -> None:
        self._step(ticket, tickets.order_status, status=tickets.CANCELLED, reason=reason, done_ts=now)
        self._refuse(ticket.client_id, ticket.order_id, 202, f"Order Canceled - reason:{reason}")

    def _reject(self, ticket: Ticket, reason: str, now: int) -> None:
        self._refuse(ticket.client_id, ticket.order_id, 201, f"Order rejected - reason:{reason}")
        self._step(
            ticket, tickets.open_order, tickets.order_status,
            status=tickets.INACTIVE, reason=reason, done_ts=now,
        )  # fmt: skip

    def _warn_closed(self, ticket: Ticket) -> None:
        opens = self._exchange.session.open
        if self._exchange.now >= opens:
            opens = self._exchange.calendar.after(self._exchange.session.label).open
        text = (
            f"Order Message:\n{ticket.side} {ticket.quantity} {ticket.symbol} NASDAQ.NMS\n"
            f"Warning: your order will not be placed at the exchange until {stamp(178, opens)}"
        )
        self._refuse(ticket.client_id, ticket.order_id, 399, text)

    def _step(self, ticket: Ticket, *messages: Callable[[int, Ticket], bytes], **changes: object) -> None:
        after = msgspec.structs.replace(ticket, **changes)
        self._file(after)
        for message in messages:
            self._tell(after, message)

    def _file(self, ticket: Ticket) -> None:
        self._tickets[ticket.perm_id] = self._changed[ticket.perm_id] = ticket
        self._by_client[ticket.client_id, ticket.order_id] = ticket.perm_id
        self._next_ids[ticket.client_id] = max(self.next_id(ticket.client_id), ticket.order_id + 1)
        if ticket.done:
            self._working.pop(ticket.perm_id, None)
        else:
            self._working[ticket.perm_id] = None

    def _tell(self, ticket: Ticket, message: Callable[[int, Ticket], bytes]) -> None:
        self._told.append((ticket.client_id, lambda version: message(version, ticket)))

    def _refuse(self, client: int, order_id: int, code: int, text: str) -> None:
        self._told.append((client, lambda version: error(version, order_id, code, text)))


def live_execution(version: int, fill: Execution, request: int = -1) -> bytes:
    """Encode execDetails with its time, for a live fill or in answer to `request`."""
    return tickets.execution(version, fill, request, stamp(version, fill.ts))


def _price_of(ticket: Ticket, mark: Callable[[str], float | None]) -> Decimal:
    if ticket.limit is not None:
        return ticket.limit
    return Decimal(mark(ticket.symbol) or 0).quantize(_CENT)


def _limit(request: PlaceOrder) -> Decimal | None:
    return Decimal(repr(request.limit)) if request.type == "LMT" else None


def _flaw(request: PlaceOrder) -> tuple[int, str] | None:
    """Return the error code and text for figures that make no sense, None where they do."""
    quantity, limit = request.quantity, request.limit
    if request.action not in ("BUY", "SELL"):
        return 201, f"Order rejected - reason:'{request.action}' is neither BUY nor SELL"
    if quantity == 0:
        return 434, "The order size cannot be zero."
    if not 0 < quantity <= _MAX_QUANTITY:
        return 201, f"Order rejected - reason:{quantity!r} is not a number of shares one can order"
    if quantity != int(quantity):
        return 10243, "Fractional-sized order cannot be placed via API."
    if request.type != "LMT":
        return None
    if limit is None or not 0 < limit < 1e7 or Decimal(repr(limit)) % _CENT:
        return 110, "The price does not conform to the minimum price variation for this contract."
    return None


def _unsupported(request: PlaceOrder, account: str) -> str:
    """Return what this market does not do with a well-formed order, empty for what it does."""
    if request.account not in ("", account):
        return f"the account {request.account} is not this one"
    if request.type not in ("MKT", "LMT"):
        return f"order type {request.type!r} is not supported here, only MKT and LMT are"
    if request.tif not in ("", "DAY", "GTC"):
        return f"time in force {request.tif!r} is not supported here, only DAY and GTC are"
    return f"{request.special} are not supported here" if request.special else ""
