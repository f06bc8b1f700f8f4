"""Carries orders to TWS and brings back what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

import msgspec
import structlog
from ib_async import IB
from ib_async.contract import Contract
from ib_async.objects import CommissionReport, Execution
from ib_async.order import Order as IbOrder
from ib_async.order import OrderState, Trade

from robo_trader.core.errors import ConfigurationError, ConnectionLost, DeskHalted
from robo_trader.core.events import (
    AccountSnapshot,
    Fill,
    Holding,
    Lot,
    OpenOrder,
    Order,
    OrderStatus,
    OrderUpdate,
)
from robo_trader.core.protocols import Inbox
from robo_trader.ibkr.connection import Connection, RequestRefused
from robo_trader.ibkr.contracts import Contracts
from robo_trader.ibkr.pacing import Pacer
from robo_trader.ibkr.tickets import (
    NOTICES,
    WORDS,
    Ticket,
    fill_of,
    ib_order,
    is_child,
    is_readable,
    order_of,
    symbol_of,
)
from robo_trader.ibkr.values import owned_amount, owned_price, whole_shares

T = TypeVar("T")
log = structlog.get_logger()
S = OrderStatus


@dataclass(frozen=True)
class BrokerOptions:
    """How long TWS may take to say what an error meant for an order, before we ask."""

    confirm_after_s: float = 1.0


class IbBroker:
    """The broker behind TWS. Our order id travels as orderRef; silence after `submit` is never answered by sending again.

    It says nothing into the inbox from the moment a session is opened until `snapshot` has been taken, which then
    holds all that happened meanwhile.
    """

    def __init__(
        self,
        connection: Connection,
        contracts: Contracts,
        inbox: Inbox,
        pacer: Pacer,
        now: Callable[[], int],
        options: BrokerOptions = BrokerOptions(),
    ) -> None:
        """Listen to `connection`; `now` is the desk's clock in UTC ns."""
        self._connection = connection
        self._contracts = contracts
        self._inbox = inbox
        self._pacer = pacer
        self._now = now
        self._options = options
        self._tickets: dict[str, Ticket] = {}
        self._by_tws_id: dict[tuple[int, int], Ticket] = {}  # client id and order id: good for one session
        self._by_perm_id: dict[int, Ticket] = {}
        self._fills: dict[str, Fill] = {}
        self._stems: dict[str, str] = {}  # execution id without its correction number -> the one booked
        self._commissions: dict[str, Decimal] = {}
        self._executed_ts = 0  # of the latest execution
        self._speaking = False
        connection.orders = self

    # ------------------------------------------------------------------------------------------------ commands

    async def submit(self, order: Order) -> None:
        """Send an order. Raises DeskHalted where this id was sent before; every other trouble is an OrderUpdate."""
        if order.id in self._tickets:
            raise DeskHalted(f"order {order.id} was about to be sent a second time")
        self._tickets[order.id] = ticket = Ticket(order)
        try:
            ticket.contract = (await self._contracts.qualify(order.symbol)).contract
        except (ConfigurationError, RequestRefused) as error:
            self._tell(ticket, S.REJECTED, str(error))
            return
        except ConnectionLost as error:
            self._tell(ticket, S.NEVER_SENT, str(error))
            return
        await self._send(ticket)

    async def modify(self, order: Order) -> None:
        """Replace quantity or limit of a working order."""
        ticket = self._tickets.get(order.id)
        if ticket is None or not ticket.tws_id or ticket.has_ended:
            log.warning("modify_without_order", order=order.id)
            return
        ticket.order = order
        await self._send(ticket)

    async def cancel(self, order_id: str) -> None:
        """Take back what is left of an order."""
        await self._pacer.order()
        ticket = self._tickets.get(order_id)
        if ticket is not None and ticket.has_ended:
            return  # the desk has yet to hear of it
        if ticket is None or not ticket.tws_id:
            log.warning("cancel_without_order", order=order_id)
            return
        ticket.error_code, ticket.reason = 0, ""
        try:
            self._connection.ib.client.cancelOrder(ticket.tws_id, "")  # type: ignore[no-untyped-call]
        except (ConnectionLost, ConnectionError) as error:
            # The order is as alive as it was; the loss itself is told by the connection.
            log.warning("cancel_not_sent", order=order_id, reason=str(error))

    async def _send(self, ticket: Ticket) -> None:
        await self._pacer.order()
        try:
            ib = self._connection.ib
            if not self._speaking:
                raise ConnectionLost("the session is not yet reconciled")
        except ConnectionLost as error:
            self._tell(ticket, S.UNKNOWN if ticket.tws_id else S.NEVER_SENT, str(error))
            return
        try:
            self._place(ib, ticket)
        except Exception as error:
            # It may have left or not: asking will tell, sending again might trade twice.
            self._tell(ticket, S.UNKNOWN, f"sending failed: {error!r}")

    def _place(self, ib: IB, ticket: Ticket) -> None:
        client = self._connection.options.client_id
        ticket.tws_id = ticket.tws_id or ib.client.getReqId()
        self._by_tws_id[client, ticket.tws_id] = ticket
        order = ib_order(ticket.order, self._connection.account)
        order.orderId, order.clientId = ticket.tws_id, client
        ib.client.placeOrder(ticket.tws_id, ticket.contract, order)  # type: ignore[no-untyped-call]

    # ------------------------------------------------------------------------------------------------ questions

    async def snapshot(self) -> AccountSnapshot:
        """Ask TWS for the whole account. Raises ConnectionLost where it does not answer."""
        await self._ask(lambda ib: ib.reqPositionsAsync(), "positions")
        found = await self._ask(lambda ib: ib.reqAllOpenOrdersAsync(), "open orders")
        await self._ask(lambda ib: ib.reqExecutionsAsync(), "executions")
        ts = max(self._now(), await self._connection.ask_time())
        alive = [self._tickets[t.order.orderRef] for t in found if t.order.orderRef in self._tickets]
        self._speaking = True
        return AccountSnapshot(
            ts=ts,
            account=self._connection.account,
            cash=self._account_value("TotalCashValue"),
            net_liquidation=self._account_value("NetLiquidation"),
            holdings=self._holdings(),
            orders=tuple(OpenOrder(t.order, t.filled, t.perm_id) for t in alive if t.is_alive),
            fills=tuple(sorted(self._fills.values(), key=lambda fill: (fill.ts, fill.exec_id))),
        )

    def mute(self) -> None:
        """Say nothing into the inbox until the next snapshot: in a dry run the account's own trades are not ours."""
        self._speaking = False

    async def resolve(self, order_ids: Iterable[str]) -> list[OrderUpdate]:
        """Say what became of orders the desk believes alive; take a snapshot first.

        What TWS neither has open nor completed nor executed was never sent. What was sent just now is left out.
        """
        found = await self._ask(lambda ib: ib.reqCompletedOrdersAsync(False), "completed orders")
        completed = {trade.order.orderRef: trade for trade in found}
        ts = self._after_fills()
        return [
            self._outcome(ts, order_id, completed.get(order_id))
            for order_id in order_ids
            if not self._is_in_flight(order_id)
        ]

    def _is_in_flight(self, order_id: str) -> bool:
        """Whether an order is being sent in this very session and TWS has yet to say its first word of it."""
        ticket = self._tickets.get(order_id)
        return ticket is not None and ticket.status is S.INTENT

    def was_given(self, order_id: str) -> bool:
        """Whether an order has been handed over; the desk may believe one alive that is on its way to us."""
        return order_id in self._tickets

    async def _ask(self, request: Callable[[IB], Awaitable[list[T]]], what: str) -> list[T]:
        await self._pacer.lookup()
        return await self._connection.ask_in_turn(request, what)

    def _outcome(self, ts: int, order_id: str, completed: Trade | None) -> OrderUpdate:
        executed = sum(fill.quantity for fill in self._fills.values() if fill.order_id == order_id)
        ticket = self._tickets.get(order_id)
        if ticket is not None and ticket.is_alive:
            status, perm_id = ticket.status, ticket.perm_id
        elif completed is not None:
            word = WORDS.get(completed.orderStatus.status, S.CANCELLED)
            status, perm_id = S.REJECTED if word is S.UNKNOWN else word, completed.order.permId
        else:
            status, perm_id = S.CANCELLED if executed else S.NEVER_SENT, 0
        return OrderUpdate(ts, order_id, status, executed, 0, perm_id, "found at the broker")

    def _account_value(self, tag: str) -> Decimal:
        # TWS tells these anew whenever a position changes, and every three minutes.
        values = self._connection.ib.accountValues(self._connection.account)
        by_currency = {value.currency: owned_amount(value.value) for value in values if value.tag == tag}
        amount = by_currency.get("USD", by_currency.get("BASE"))
        if amount is None:
            raise ConnectionLost(f"TWS told no {tag} for {self._connection.account}")
        return amount

    def held(self) -> list[str]:
        """Return the symbols of the account's share positions, as of the last word on them."""
        return sorted(holding.symbol for holding in self._holdings())

    def _holdings(self) -> tuple[Holding, ...]:
        positions = self._connection.ib.positions(self._connection.account)
        return tuple(
            # Shares that came by a transfer or a spin-off have cost nothing.
            Holding(
                symbol_of(p.contract),
                quantity,
                (Lot(quantity, owned_price(p.avgCost) or Decimal(0)),),
                quantity,
            )
            for p in positions
            if p.contract.secType == "STK" and (quantity := whole_shares(p.position))
        )

    # -------------------------------------------------------------------------------------------- what TWS says

    def on_connecting(self) -> None:
        """A new session begins: what was numbered in the old one means nothing any more."""
        self._speaking = False
        self._by_tws_id.clear()
        for ticket in self._tickets.values():
            if ticket.is_unanswered:
                ticket.status = S.UNKNOWN
            ticket.tws_id = 0

    def on_open_order(self, contract: Contract, order: IbOrder, state: OrderState) -> None:
        """TWS shows an order; after a reconnect this is where we find ours again, by its orderRef."""
        if not self._is_ours(order.orderRef) or not is_readable(order):
            return
        ticket = self._tickets.get(order.orderRef)
        if ticket is None:
            ticket = self._tickets[order.orderRef] = Ticket(order_of(contract, order))
        ticket.contract = ticket.contract or contract
        ticket.show_quantity(whole_shares(float(order.totalQuantity)))
        ticket.perm_id = order.permId
        if order.clientId == self._connection.options.client_id:
            ticket.tws_id = order.orderId  # an order of another client id can be seen and not touched
        self._by_tws_id[order.clientId, order.orderId] = ticket
        self._by_perm_id[order.permId] = ticket
        self._on_word(ticket, state.status, 0)

    def on_order_status(
        self, order_id: int, status: str, filled: float, remaining: float, perm_id: int, client_id: int
    ) -> None:
        """TWS says where an order is."""
        ticket = self._by_perm_id.get(perm_id) or self._by_tws_id.get((client_id, order_id))
        if ticket is not None:
            ticket.perm_id = perm_id or ticket.perm_id
            self._on_word(ticket, status, whole_shares(filled) or 0)

    def on_execution(self, contract: Contract, execution: Execution, live: bool) -> None:
        """TWS tells a trade: just done, or in answer to a question; each is told to the desk once."""
        fill = self._fill(contract, execution)
        if fill is None or fill.exec_id in self._fills or self._is_correction(fill):
            return
        self._fills[fill.exec_id] = fill
        self._executed_ts = max(self._executed_ts, fill.ts)
        if self._speaking:
            self._inbox.put(fill)
        ticket = self._tickets.get(fill.order_id)
        if ticket is not None:
            ticket.executed += fill.quantity
            ticket.filled = max(ticket.filled, ticket.executed)
            ticket.acknowledged = True
            self._tell(ticket, S.FILLED if ticket.executed >= ticket.order.quantity else S.PARTIAL)

    def on_commission(self, report: CommissionReport) -> None:
        """TWS tells what a trade cost, mostly after the trade itself."""
        commission = owned_amount(report.commission)
        if commission is None:
            return
        self._commissions[report.execId] = commission
        fill = self._fills.get(report.execId)
        if fill is not None and fill.commission != commission:
            fill = self._fills[fill.exec_id] = msgspec.structs.replace(fill, commission=commission)
            if self._speaking:
                self._inbox.put(fill)

    def on_order_error(self, order_id: int, code: int, text: str) -> None:
        """An error is a word, not an end: the order is over once TWS shows it to be."""
        ticket = self._by_tws_id.get((self._connection.options.client_id, order_id))
        if ticket is None:
            return
        ticket.reason = f"{text} ({code})"
        if code not in NOTICES:
            ticket.error_code = code
            self._doubt(ticket)
        if ticket.told is not None:
            self._tell(ticket, ticket.inactive if ticket.status is S.UNKNOWN else ticket.status)

    def on_lost(self, reason: str) -> None:
        """The session ended: of what was sent and not acknowledged we know nothing."""
        for ticket in self._tickets.values():
            if ticket.is_unanswered:
                self._tell(ticket, S.UNKNOWN, reason)

    def _on_word(self, ticket: Ticket, word: str, filled: int) -> None:
        ticket.acknowledged = True
        ticket.filled = max(ticket.filled, filled)
        status = WORDS.get(word)
        if status is None:
            log.warning("unknown_order_status", status=word, order=ticket.order.id)
        elif status is S.FILLED and ticket.executed < ticket.order.quantity:
            # The executions are still to come, and the desk ends an order by them.
            self._doubt(ticket)
        elif status in (S.CANCELLED, S.UNKNOWN):
            self._tell(ticket, ticket.ended if status is S.CANCELLED else ticket.inactive)
        elif not ticket.has_ended:
            self._tell(ticket, S.PARTIAL if ticket.filled and status is S.WORKING else status)

    def _doubt(self, ticket: Ticket) -> None:
        if not ticket.has_ended and not ticket.confirming:
            ticket.confirming = True
            self._connection.spawn(self._confirm(ticket))

    async def _confirm(self, ticket: Ticket) -> None:
        """Give TWS a moment to say what became of an order, then ask."""
        try:
            await asyncio.sleep(self._options.confirm_after_s)
            if not ticket.has_ended:
                await self._ask_after(ticket)
        finally:
            ticket.confirming = False

    async def _ask_after(self, ticket: Ticket) -> None:
        found = await self._ask(lambda ib: ib.reqAllOpenOrdersAsync(), "open orders")
        await self._ask(lambda ib: ib.reqExecutionsAsync(), "executions")
        if ticket.has_ended or ticket.order.id in {trade.order.orderRef for trade in found}:
            return
        full = ticket.filled >= ticket.order.quantity
        self._tell(ticket, S.FILLED if full else ticket.ended)

    def _tell(self, ticket: Ticket, status: OrderStatus, reason: str = "") -> None:
        ticket.status, ticket.reason = status, reason or ticket.reason
        words = (status, ticket.filled, ticket.perm_id, ticket.reason)
        if words == ticket.told or not self._speaking:
            return
        ticket.told = words
        left = max(ticket.order.quantity - ticket.filled, 0)
        said = ticket.order.id, status, ticket.filled, left, ticket.perm_id, ticket.reason
        self._inbox.put(OrderUpdate(self._after_fills(), *said))

    def _after_fills(self) -> int:
        """Return the desk's time, or that of the last execution where the desk has yet to hear of it.

        Events wait in order of time: a word must not overtake the executions it rests on.
        """
        return max(self._now(), self._executed_ts)

    def _is_ours(self, ref: str) -> bool:
        return ref in self._tickets or is_child(ref)

    def _is_correction(self, fill: Fill) -> bool:
        """TWS corrects an execution by telling it again with a higher last number; it is not another trade."""
        stem = fill.exec_id.rpartition(".")[0] or fill.exec_id
        booked = self._stems.setdefault(stem, fill.exec_id)
        if booked != fill.exec_id:
            log.warning("execution_corrected", booked=booked, now=fill.exec_id, price=str(fill.price))
        return booked != fill.exec_id

    def _fill(self, contract: Contract, execution: Execution) -> Fill | None:
        ours = self._is_ours(execution.orderRef)
        order_id = execution.orderRef if ours else f"foreign:{execution.permId}"
        fill = fill_of(contract, execution, order_id, self._commissions.get(execution.execId))
        if fill is None:
            log.warning("execution_ignored", execution=execution.execId, contract=contract.symbol)
        return fill
