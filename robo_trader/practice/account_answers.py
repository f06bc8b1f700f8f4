"""The account as clients see it: positions, values and summaries, told and kept up to date."""

from __future__ import annotations

from dataclasses import dataclass, field

from robo_trader.core.events import SECOND_NS
from robo_trader.practice import messages
from robo_trader.practice.books import FLAT, Books
from robo_trader.practice.clients import Answer, Client
from robo_trader.practice.exchange import Exchange
from robo_trader.practice.wire import Cursor, frame

ACCOUNT_NS = 180 * SECOND_NS  # account values are told again this often, and after every trade
_LEDGER = ("CashBalance", "StockMarketValue", "UnrealizedPnL", "RealizedPnL")


@dataclass
class Listening:
    """What one client wants to hear of the account, by its request ids."""

    positions: bool = False
    account: bool = False
    account_requests: set[int] = field(default_factory=set)
    summaries: dict[int, tuple[str, ...]] = field(default_factory=dict)


class AccountAnswers:
    """Answers questions about the account, and tells listeners what changed."""

    def __init__(self, account: str, exchange: Exchange, books: Books) -> None:
        self._account = account
        self._exchange = exchange
        self._books = books
        self._listening: dict[Client, Listening] = {}
        self.answers: dict[int, Answer] = {
            6: self._account_updates,
            17: self._managed_accounts,
            61: self._positions,
            62: self._account_summary,
            63: self._cancel_account_summary,
            64: self._cancel_positions,
            76: self._account_values,
            77: self._cancel_account_values,
        }

    def drop(self, client: Client) -> None:
        """Forget a client that has gone."""
        self._listening.pop(client, None)

    def changed(self, symbols: set[str]) -> None:
        """Tell positions that changed, and what the account is worth now."""
        for client, listening in self._listening.items():
            if listening.positions:
                client.send(b"".join(self._position(symbol) for symbol in sorted(symbols)))
        self.tell_values(symbols)

    def tell_values(self, symbols: set[str] | None = None) -> None:
        """Tell every listener the account's values, with the holdings of `symbols` besides those held."""
        for client, listening in self._listening.items():
            told = [self._told_values(request) for request in listening.account_requests]
            told += [self._summary(request, tags) for request, tags in listening.summaries.items()]
            if listening.account:
                told.append(self._updates(symbols or set()))
            client.send(b"".join(told))

    # ------------------------------------------------------------------------------------------------ requests

    def _managed_accounts(self, client: Client, _cursor: Cursor) -> None:
        client.send(frame(15, 1, self._account))

    def _positions(self, client: Client, _cursor: Cursor) -> None:
        self._of(client).positions = True
        for symbol in self._books.held():
            client.send(self._position(symbol))
        client.send(frame(62, 1))

    def _cancel_positions(self, client: Client, _cursor: Cursor) -> None:
        self._of(client).positions = False

    def _account_updates(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        wanted = self._of(client).account = cursor.flag()
        if wanted:
            client.send(self._updates(set()))
            client.send(frame(54, 1, self._account))

    def _account_values(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        request = cursor.integer()
        self._of(client).account_requests.add(request)
        client.send(self._told_values(request))
        client.send(frame(74, 1, request))

    def _cancel_account_values(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        self._of(client).account_requests.discard(cursor.integer())

    def _account_summary(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        request = cursor.integer()
        cursor.skip(1)  # group: there is one account
        tags = tuple(tag.strip() for tag in cursor.text().split(","))
        self._of(client).summaries[request] = tags
        client.send(self._summary(request, tags))
        client.send(frame(64, 1, request))

    def _cancel_account_summary(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        self._of(client).summaries.pop(cursor.integer(), None)

    def _of(self, client: Client) -> Listening:
        return self._listening.setdefault(client, Listening())

    # ------------------------------------------------------------------------------------------- one answer

    def _position(self, symbol: str) -> bytes:
        return messages.position(self._account, symbol, self._books.positions.get(symbol, FLAT))

    def _updates(self, also: set[str]) -> bytes:
        """Return the account's values (6), holdings (7) and time (8); `also` are symbols perhaps just sold."""
        told = [
            frame(6, 2, "AccountType", "INDIVIDUAL", "", self._account),
            frame(6, 2, "AccountReady", "true", "", self._account),
        ]
        values = self._values()
        told += [frame(6, 2, key, text, "USD", self._account) for key, text in values]
        told += [frame(6, 2, key, text, "BASE", self._account) for key, text in values if key in _LEDGER]
        told += [self._holding(symbol) for symbol in sorted({*self._books.held(), *also})]
        clock = messages.stamp(178, self._exchange.now)[9:14]
        return b"".join([*told, frame(8, 1, clock)])

    def _told_values(self, request: int) -> bytes:
        """Return the account's values in answer to reqAccountUpdatesMulti."""
        told = (frame(73, 1, request, self._account, "", key, text, "USD") for key, text in self._values())
        return b"".join(told)

    def _summary(self, request: int, tags: tuple[str, ...]) -> bytes:
        """Return the wanted account values; AccountType is a word, all others are USD."""
        rows = [("AccountType", "INDIVIDUAL", ""), *((key, text, "USD") for key, text in self._values())]
        wanted = [row for row in rows if row[0] in tags or any(tag.startswith("$LEDGER") for tag in tags)]
        return b"".join(frame(63, 1, request, self._account, *row) for row in wanted)

    def _values(self) -> list[tuple[str, str]]:
        return [(key, format(value, "f")) for key, value in self._books.values(self._exchange.last).items()]

    def _holding(self, symbol: str) -> bytes:
        held = self._books.positions.get(symbol, FLAT)
        return messages.portfolio(self._account, symbol, held, self._books.value(symbol, self._exchange.last))
