"""Our orders by every name they have: our id, TWS's permanent id, and the number they have in this session."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from ib_async.contract import Contract
from ib_async.objects import Execution
from ib_async.order import Order as IbOrder

from robo_trader.core.events import Order
from robo_trader.ibkr.tickets import Ticket, is_child, is_readable, order_of

_UNSET = 2_147_483_647


class Register:
    """Keeps the ticket of every order of ours that was handed over or found at TWS."""

    def __init__(self) -> None:
        self._tickets: dict[str, Ticket] = {}
        self._by_perm_id: dict[int, Ticket] = {}
        # By client id and order id, good for one session; the names also of orders that have ended.
        self._by_tws_id: dict[tuple[int, int], Ticket] = {}
        self._names: dict[tuple[int, int], str] = {}
        self._highest: dict[int, int] = {}  # the highest order id of each client id, in any session

    def __contains__(self, order_id: str) -> bool:
        return order_id in self._tickets

    def __iter__(self) -> Iterator[Ticket]:
        return iter(list(self._tickets.values()))

    def get(self, order_id: str) -> Ticket | None:
        return self._tickets.get(order_id)

    def add(self, ticket: Ticket) -> None:
        """Take in an order; its id must be new."""
        self._tickets[ticket.order.id] = ticket

    def number(self, ticket: Ticket, client_id: int, tws_id: int) -> None:
        """Note how an order is called in this session."""
        self._by_tws_id[client_id, tws_id] = ticket
        self._name(client_id, tws_id, ticket.order.id)

    def highest(self, client_id: int) -> int:
        """Return the highest order id that is known to have been used by an API client."""
        return self._highest.get(client_id, 0)

    def _name(self, client_id: int, tws_id: int, order_id: str) -> None:
        self._names[client_id, tws_id] = order_id
        if tws_id < _UNSET:
            self._highest[client_id] = max(self.highest(client_id), tws_id)

    def find(self, client_id: int, tws_id: int, perm_id: int = 0) -> Ticket | None:
        """Return the order TWS speaks of: its permanent id says more than the number it has in a session."""
        ticket = self._by_perm_id.get(perm_id) if perm_id else None
        ticket = ticket or self._by_tws_id.get((client_id, tws_id))
        if ticket is not None and perm_id:
            self.bind(ticket, perm_id)
        return ticket

    def bind(self, ticket: Ticket, perm_id: int) -> None:
        """Note TWS's permanent id of an order."""
        if perm_id:
            ticket.perm_id = perm_id
            self._by_perm_id[perm_id] = ticket

    def shown(self, contract: Contract, found: IbOrder) -> Ticket | None:
        """Return the order that openOrder shows, taken in where it is ours from before; None where it is not ours."""
        ticket = self._by_perm_id.get(found.permId) or self._tickets.get(found.orderRef)
        if ticket is None:
            if not is_child(found.orderRef) or not is_readable(found):
                return None
            ticket = Ticket(order_of(contract, found), contract)
            self.add(ticket)
        ticket.client_id = found.clientId
        self.bind(ticket, found.permId)
        self.number(ticket, found.clientId, found.orderId)
        return ticket

    def owner_of(self, execution: Execution) -> str:
        """Return the id of the order an execution belongs to: ours, else where it came from and its permanent id."""
        ticket = self._by_perm_id.get(execution.permId) if execution.permId else None
        if ticket is not None:
            return ticket.order.id
        ref = execution.orderRef
        if ref in self._tickets or is_child(ref):
            self._name(execution.clientId, execution.orderId, ref)
            return ref
        origin = f"client-{execution.clientId}" if execution.clientId else "manual"
        return f"{origin}:{execution.permId}"

    def attached(self, ticket: Ticket) -> Order:
        """Return an order with the one it is attached to, where this session has shown that."""
        order = ticket.order
        if order.attached_to or not ticket.parent_tws_id:
            return order
        parent = self._names.get((ticket.client_id, ticket.parent_tws_id), "")
        return msgspec.structs.replace(order, attached_to=parent)

    def begin_session(self, forget_before: int) -> None:
        """Forget the numbers of the session before, and orders that ended before that time (UTC ns)."""
        self._by_tws_id.clear()
        self._names.clear()
        for ticket in self:
            # Before the first event there is no time yet, and what ended then is not old.
            if ticket.has_ended and 0 < ticket.ended_ts < forget_before:
                del self._tickets[ticket.order.id]
                self._by_perm_id.pop(ticket.perm_id, None)
            else:
                ticket.begin_session()
