"""Writes orders, their changes and their cancels to TWS."""

from __future__ import annotations

from ib_async import IB
from ib_async.order import Order as IbOrder

from robo_trader.core.errors import ConnectionLost
from robo_trader.core.events import Order
from robo_trader.ibkr.connection import Connection
from robo_trader.ibkr.register import Register
from robo_trader.ibkr.tickets import Ticket, ib_order


def has_session(connection: Connection) -> bool:
    """Return whether there is a session to write to."""
    try:
        return connection.ib is not None
    except ConnectionLost:
        return False


def write_orders(connection: Connection, register: Register, tickets: list[Ticket]) -> None:
    """Write an order, or an order and the stop attached to it, which TWS takes as one.

    TWS keeps an order without `transmit` to itself until its child comes: neither works without the other.
    """
    ib, client_id = connection.ib, connection.options.client_id
    sent = [_numbered(ib, register, ticket, client_id, connection.account) for ticket in tickets]
    entry, *stops = sent
    entry.transmit = not stops
    entry.parentId = _parent(register, tickets[0], client_id)
    for stop in stops:
        stop.parentId = entry.orderId
    for ticket, order in zip(tickets, sent, strict=True):
        ticket.parent_tws_id = order.parentId
        _place(ib, ticket, order)


def write_change(connection: Connection, register: Register, ticket: Ticket) -> None:
    """Write what is wanted of a live order in place of what TWS works."""
    assert ticket.change is not None, "there is nothing to write"
    order = _addressed(ticket, ticket.change, connection.options.client_id, connection.account)
    # TWS refuses a change that names a parent which has ended (135), though it goes on showing it.
    parent = register.find(ticket.client_id, ticket.parent_tws_id)
    if parent is not None and not parent.has_ended and not ticket.is_detached:
        order.parentId = parent.tws_id
    _place(connection.ib, ticket, order)


def write_cancel(connection: Connection, ticket: Ticket) -> None:
    """Write that what is left of an order is to be taken back."""
    connection.ib.client.cancelOrder(ticket.tws_id, "")  # type: ignore[no-untyped-call]


def _numbered(ib: IB, register: Register, ticket: Ticket, client_id: int, account: str) -> IbOrder:
    # TWS may offer ids that were used before; under one of those we would change another order.
    ib.client.updateReqId(register.highest(client_id) + 1)  # type: ignore[no-untyped-call]
    ticket.tws_id, ticket.client_id = ib.client.getReqId(), client_id
    register.number(ticket, client_id, ticket.tws_id)
    return _addressed(ticket, ticket.order, client_id, account)


def _addressed(ticket: Ticket, order: Order, client_id: int, account: str) -> IbOrder:
    sent = ib_order(order, account)
    sent.orderId, sent.clientId = ticket.tws_id, client_id
    return sent


def _parent(register: Register, ticket: Ticket, client_id: int) -> int:
    """Return the number of the live order that one sent later is attached to, 0 where there is none."""
    parent = register.get(ticket.order.attached_to)
    is_live = parent is not None and parent.acknowledged and not parent.has_ended
    return parent.tws_id if parent is not None and is_live and parent.client_id == client_id else 0


def _place(ib: IB, ticket: Ticket, order: IbOrder) -> None:
    ib.client.placeOrder(ticket.tws_id, ticket.contract, order)  # type: ignore[no-untyped-call]
