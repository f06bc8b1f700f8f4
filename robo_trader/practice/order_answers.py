"""What clients say of orders, and what they are told of them."""

from __future__ import annotations

from collections.abc import Callable

from robo_trader.practice.clients import Answer, Client
from robo_trader.practice.history import parse_end
from robo_trader.practice.messages import stamp
from robo_trader.practice.orders import OrderBook, Told, live_execution
from robo_trader.practice.requests import read_place_order
from robo_trader.practice.tickets import commission_report, completed_order, open_order, order_status
from robo_trader.practice.wire import Cursor, frame


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

    def _place_order(self, client: Client, cursor: Cursor) -> None:
        request = read_place_order(cursor, client.version)
        self._deliver(self._orders.place(client.key, request, self._now()))

    def _cancel_order(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        self._deliver(self._orders.cancel(client.key, cursor.integer(), self._now()))

    def _global_cancel(self, _client: Client, _cursor: Cursor) -> None:
        self._deliver(self._orders.cancel_all(self._now()))

    def _open_orders(self, client: Client, _cursor: Cursor) -> None:
        self._tell_open(client, client.id)

    def _all_open_orders(self, client: Client, _cursor: Cursor) -> None:
        self._tell_open(client, None)

    def _tell_open(self, client: Client, of: int | None) -> None:
        for ticket in self._orders.working(of):
            client.send(open_order(client.version, ticket) + order_status(client.version, ticket))
        client.send(frame(53, 1))

    def _completed_orders(self, client: Client, _cursor: Cursor) -> None:
        for ticket in self._orders.completed():
            client.send(completed_order(client.version, ticket, stamp(client.version, ticket.done_ts)))
        client.send(frame(102))

    def _executions(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        request, of_client = cursor.integer(), cursor.integer()
        account, since, symbol = cursor.text(), cursor.text(), cursor.text()
        cursor.skip(2)
        side = {"BUY": "BUY", "BOT": "BUY", "SELL": "SELL", "SLD": "SELL"}.get(cursor.text().upper())
        earliest = parse_end(since, self._now()) if since else 0
        for fill in self._orders.executed():
            if (
                of_client in (0, fill.client_id)
                and account in ("", fill.account)
                and symbol in ("", fill.symbol)
                and side in (None, fill.side)
                and fill.ts >= earliest
            ):
                client.send(live_execution(client.version, fill, request))
                client.send(commission_report(client.version, fill))
        client.send(frame(55, 1, request))

    def _next_id(self, client: Client, _cursor: Cursor) -> None:
        client.send(frame(9, 1, self._orders.next_id(client.key)))

    def _bind(self, _client: Client, _cursor: Cursor) -> None:
        """Accept the wish to bind orders made by hand: there are none here."""
