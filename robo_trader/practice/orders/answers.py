"""What clients say of orders, and what they are told of them."""

from __future__ import annotations

from collections.abc import Callable

from robo_trader.practice.account.tickets import Execution
from robo_trader.practice.orders.messages import (
    commission_report,
    completed_order,
    execution,
    open_order,
    order_status,
)
from robo_trader.practice.orders.order_book import OrderBook, Told
from robo_trader.practice.orders.requests import read_place_order
from robo_trader.practice.protocol.clients import Answer, Client
from robo_trader.practice.protocol.moments import moment
from robo_trader.practice.protocol.wire import INVALID, Cursor, frame

_SIDES = {"BUY": "BUY", "BOT": "BUY", "SELL": "SELL", "SLD": "SELL"}
_ONLY_CLIENT_0 = "Only API connections with clientId set to 0 can set the auto bind TWS orders property."


class OrderAnswers:
    """Hands orders to the book and answers questions about them; `deliver` takes what orders made to be told."""

    def __init__(
        self, orders: OrderBook, now: Callable[[], int], deliver: Callable[[list[Told]], None]
    ) -> None:
        self._orders = orders
        self._now = now
        self._deliver = deliver
        self.answers: dict[int, Answer] = {
            3: self._place_order,
            4: self._cancel_order,
            5: self._open_orders,
            7: self._executions,
            8: self._next_id,
            15: self._bind,
            16: self._all_open_orders,
            58: self._global_cancel,
            99: self._completed_orders,
        }

    def drop(self, client: Client) -> None:
        """Forget a client that has gone: its orders live on."""
        if client.id == 0:
            self._orders.bind_manual(False)

    def _place_order(self, client: Client, cursor: Cursor) -> None:
        request = read_place_order(cursor, client.version)
        self._deliver(self._orders.place(client.key, request, self._now()))

    def _cancel_order(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        self._deliver(self._orders.cancel(client.key, cursor.integer(), self._now()))

    def _global_cancel(self, _client: Client, _cursor: Cursor) -> None:
        self._deliver(self._orders.cancel_all(self._now()))

    def _open_orders(self, client: Client, _cursor: Cursor) -> None:
        if client.key == 0:
            self._deliver(self._orders.bind_once())
        self._tell_open(client, client.key)

    def _all_open_orders(self, client: Client, _cursor: Cursor) -> None:
        self._tell_open(client, None)

    def _tell_open(self, client: Client, of: int | None) -> None:
        for ticket in self._orders.working(of):
            client.send(open_order(client.version, ticket) + order_status(client.version, ticket))
        client.send(frame(53, 1))

    def _completed_orders(self, client: Client, cursor: Cursor) -> None:
        api_only = cursor.flag()
        for ticket in self._orders.completed():
            if not (api_only and ticket.manual):
                client.send(completed_order(client.version, ticket))
        client.send(frame(102))

    def _executions(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        request, wanted = cursor.integer(), _wanted(cursor, self._now())
        if wanted is None:
            return client.error(request, 321, f"{INVALID}the time of the execution filter is no time")
        for fill in self._orders.executed():
            if wanted(fill):
                client.send(execution(client.version, fill, request))
                client.send(commission_report(client.version, fill))
        return client.send(frame(55, 1, request))

    def _next_id(self, client: Client, _cursor: Cursor) -> None:
        client.send(frame(9, 1, self._orders.next_id(client.key)))

    def _bind(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        if client.key == 0:
            return self._deliver(self._orders.bind_manual(cursor.flag()))
        return client.error(-1, 327, _ONLY_CLIENT_0)


def _wanted(cursor: Cursor, now: int) -> Callable[[Execution], bool] | None:
    """Read an execution filter, empty fields are open; None where its time is no time."""
    of_client, account, since, symbol = cursor.integer(), cursor.text(), cursor.text(), cursor.text()
    kind, exchange, side = cursor.text(), cursor.text(), _SIDES.get(cursor.text().upper())
    try:
        earliest = moment(since, now) if since else 0
    except ValueError:
        return None
    return lambda fill: (
        of_client in (0, fill.client_id)
        and account in ("", fill.account)
        and symbol in ("", fill.symbol)
        and kind in ("", "STK")
        and exchange in ("", "SMART", fill.exchange)
        and side in (None, fill.side)
        and fill.ts >= earliest
    )
