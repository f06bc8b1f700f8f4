"""What the gateway does with each request of a client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from robo_trader.core.events import SECOND_NS
from robo_trader.practice.clients import Client
from robo_trader.practice.contracts import Directory, details_fields, read_contract
from robo_trader.practice.exchange import Exchange
from robo_trader.practice.history import (
    BAR_SIZES,
    BadQuestion,
    PastBar,
    bar_fields,
    bar_time,
    parse_end,
    past_bars,
)
from robo_trader.practice.messages import hour, stamp
from robo_trader.practice.orders import OrderBook, Told, live_execution
from robo_trader.practice.requests import HistoryRequest, read_history_request, read_place_order
from robo_trader.practice.streams import Growing, Streams
from robo_trader.practice.tickets import commission_report, completed_order, open_order, order_status
from robo_trader.practice.wire import Cursor, frame

NO_DEFINITION = "No security definition has been found for the request"
# Questions TWS would answer and we do not, with the fields before their request id: a client must not wait for ever.
_NOT_HERE = {10: 1, 22: 0, 52: 1, 74: 1, 78: 0, 81: 0, 87: 0, 88: 0, 92: 0, 94: 0, 96: 0, 97: 0}
_Answer = Callable[[Client, Cursor], None]


class Answers:
    """Answers questions from the market and the account; hands orders to the book.

    `listened` is called when somebody first asks for live data, `deliver` takes what orders made to be told.
    """

    def __init__(
        self,
        exchange: Exchange,
        directory: Directory,
        orders: OrderBook,
        streams: Streams,
        now: Callable[[], int],
        listened: Callable[[], None],
        deliver: Callable[[list[Told]], None],
    ) -> None:
        self._exchange = exchange
        self._directory = directory
        self._orders = orders
        self._streams = streams
        self._now = now
        self._listened = listened
        self._deliver = deliver
        self._answers: dict[int, _Answer] = {
            1: self._market_data,
            2: self._cancel_market_data,
            3: self._place_order,
            4: self._cancel_order,
            5: self._open_orders,
            6: self._account_updates,
            7: self._executions,
            8: self._next_id,
            9: self._contract_details,
            14: self._ignore,  # the server's log level
            15: self._ignore,  # binding of orders made by hand: there are none here
            16: self._all_open_orders,
            17: self._managed_accounts,
            20: self._history,
            25: self._cancel_history,
            49: self._current_time,
            50: self._real_time_bars,
            51: self._cancel_real_time_bars,
            58: self._global_cancel,
            59: self._ignore,  # market data type: all data here is live
            61: self._positions,
            62: self._account_summary,
            63: self._cancel_account_summary,
            64: self._cancel_positions,
            76: self._account_values,
            77: self._cancel_account_values,
            99: self._completed_orders,
        }

    def __call__(self, client: Client, kind: int, cursor: Cursor) -> None:
        """Answer one message. Raises WireError where it cannot be read."""
        answer = self._answers.get(kind)
        if answer is not None:
            answer(client, cursor)
        elif kind in _NOT_HERE:
            cursor.skip(_NOT_HERE[kind])
            client.error(cursor.integer(), 354, "This is not available in the practice market")
        else:
            client.error(-1, 505, f"Fatal error: unknown message id {kind}")

    def welcome(self, client: Client, client_id: int) -> None:
        """Send what TWS sends unasked to a new client."""
        client.send(frame(15, 1, self._orders.account))
        client.send(frame(9, 1, self._orders.next_id(client_id)))
        for code, text in (
            (2104, "Market data farm connection is OK:usfarm"),
            (2106, "HMDS data farm connection is OK:ushmds"),
            (2158, "Sec-def data farm connection is OK:secdefnj"),
        ):
            client.error(-1, code, text)

    # ------------------------------------------------------------------------------------------------- orders

    def _place_order(self, client: Client, cursor: Cursor) -> None:
        request = read_place_order(cursor, client.version)
        self._deliver(self._orders.place(_id(client), request, self._now()))

    def _cancel_order(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        self._deliver(self._orders.cancel(_id(client), cursor.integer(), self._now()))

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

    # ---------------------------------------------------------------------------------------------- the account

    def _next_id(self, client: Client, _cursor: Cursor) -> None:
        client.send(frame(9, 1, self._orders.next_id(_id(client))))

    def _managed_accounts(self, client: Client, _cursor: Cursor) -> None:
        client.send(frame(15, 1, self._orders.account))

    def _positions(self, client: Client, _cursor: Cursor) -> None:
        self._streams.of(client).positions = True
        for symbol in self._orders.books.held():
            client.send(self._streams.position(symbol))
        client.send(frame(62, 1))

    def _cancel_positions(self, client: Client, _cursor: Cursor) -> None:
        self._streams.of(client).positions = False

    def _account_updates(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        wanted = self._streams.of(client).account = cursor.flag()
        if wanted:
            client.send(self._streams.updates(set()))
            client.send(frame(54, 1, self._orders.account))

    def _account_values(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        request = cursor.integer()
        self._streams.of(client).account_requests.add(request)
        client.send(self._streams.values(request))
        client.send(frame(74, 1, request))

    def _cancel_account_values(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        self._streams.of(client).account_requests.discard(cursor.integer())

    def _account_summary(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        request = cursor.integer()
        cursor.skip(1)  # group: there is one account
        tags = tuple(tag.strip() for tag in cursor.text().split(","))
        self._streams.of(client).summaries[request] = tags
        client.send(self._streams.summary(request, tags))
        client.send(frame(64, 1, request))

    def _cancel_account_summary(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        self._streams.of(client).summaries.pop(cursor.integer(), None)

    # ------------------------------------------------------------------------------------------------ the market

    def _current_time(self, client: Client, _cursor: Cursor) -> None:
        client.send(frame(49, 1, self._now() // SECOND_NS))

    def _contract_details(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        request, contract = cursor.integer(), read_contract(cursor)
        symbol = self._directory.find(contract)
        if symbol is None or (not contract.con_id and not (contract.sec_type and contract.currency)):
            return client.error(request, 200, NO_DEFINITION)
        client.send(frame(*details_fields(client.version, request, symbol, self._hours())))
        return client.send(frame(52, 1, request))

    def _hours(self) -> str:
        """Return the trading hours of the present session and the next five, New York time."""
        sessions, label = [self._exchange.session], self._exchange.session.label
        for _ in range(5):
            sessions.append(self._exchange.calendar.after(label))
            label = sessions[-1].label
        return ";".join(f"{hour(session.open)}-{hour(session.close)}" for session in sessions)

    def _symbol(self, client: Client, request: int, cursor: Cursor) -> str | None:
        """Read a contract and return its symbol; where there is no such share, say so and return None."""
        symbol = self._directory.find(read_contract(cursor))
        if symbol is None:
            client.error(request, 200, NO_DEFINITION)
        return symbol

    def _market_data(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        request = cursor.integer()
        symbol = self._symbol(client, request, cursor)
        if symbol is None:
            return None
        if cursor.flag():
            return client.error(request, 321, "Delta neutral contracts are not traded here")
        cursor.skip(1)  # generic ticks
        snapshot = cursor.flag()
        self._streams.begin_ticks(client, request, symbol)
        if not snapshot:
            return self._listened()
        del self._streams.of(client).ticks[request]
        return client.send(frame(57, 1, request))

    def _cancel_market_data(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        _forget(
            client, self._streams.of(client).ticks, cursor.integer(), 300, "Can't find EId with tickerId:"
        )

    def _real_time_bars(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        request = cursor.integer()
        symbol = self._symbol(client, request, cursor)
        if symbol is None:
            return None
        cursor.skip(1)  # the bar size: there is only one
        if cursor.text() != "TRADES":
            return client.error(request, 321, "Only TRADES bars are available here")
        self._streams.of(client).bars[request] = symbol
        return self._listened()

    def _cancel_real_time_bars(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        _forget(client, self._streams.of(client).bars, cursor.integer(), 300, "Can't find EId with tickerId:")

    def _history(self, client: Client, cursor: Cursor) -> None:
        asked = read_history_request(cursor)
        symbol = self._directory.find(asked.contract)
        if symbol is None:
            return client.error(asked.request, 200, NO_DEFINITION)
        try:
            bars = self._bars(asked, symbol)
        except BadQuestion as bad:
            return client.error(asked.request, 321, f"Error validating request: {bad}")
        if not bars:
            text = "Historical Market Data Service error message:HMDS query returned no data"
            return client.error(asked.request, 162, text)
        client.send(self._historical_data(client, asked, bars))
        if not asked.keep_up_to_date:
            return None
        growing = Growing(symbol, asked.bar_size, asked.as_epoch, bars[-1])
        self._streams.of(client).growing[asked.request] = growing
        return self._listened()

    def _bars(self, asked: HistoryRequest, symbol: str) -> list[PastBar]:
        if asked.what != "TRADES":
            raise BadQuestion(f"{asked.what} bars are not available here, only TRADES are")
        if asked.keep_up_to_date and asked.end:
            raise BadQuestion("bars that are kept up to date have no end time")
        end = parse_end(asked.end, self._exchange.now)
        return past_bars(self._exchange, symbol, end, asked.duration, asked.bar_size)

    def _historical_data(self, client: Client, asked: HistoryRequest, bars: list[PastBar]) -> bytes:
        interval, version = BAR_SIZES[asked.bar_size], client.version
        fields = [
            field
            for bar in bars
            for field in bar_fields(bar, bar_time(bar.start, interval, asked.as_epoch, version))
        ]
        first, last = stamp(version, bars[0].start), stamp(version, parse_end(asked.end, self._exchange.now))
        return frame(17, asked.request, first, last, len(bars), *fields)

    def _cancel_history(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        text = "No historical data query found for ticker id:"
        _forget(client, self._streams.of(client).growing, cursor.integer(), 366, text)

    def _ignore(self, _client: Client, _cursor: Cursor) -> None:
        """Accept a request that has nothing to change here."""


def _id(client: Client) -> int:
    assert client.id is not None, "a client is let in under an id before it may ask"
    return client.id


def _forget(client: Client, table: dict[int, Any], request: int, code: int, text: str) -> None:
    """End a subscription; one that is not there is said so."""
    if table.pop(request, None) is None:
        client.error(request, code, f"{text}{request}")
