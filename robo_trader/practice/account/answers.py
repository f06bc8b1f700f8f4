"""The account as clients see it: positions, values, profit and loss, told and kept up to date."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial

from robo_trader.core.events import SECOND_NS
from robo_trader.practice.account import messages
from robo_trader.practice.account.books import FLAT, Books
from robo_trader.practice.account.values import Row, account_values, light_of, summary_of
from robo_trader.practice.market.contracts import con_id_of
from robo_trader.practice.market.exchange import Exchange
from robo_trader.practice.market.overlays import Split
from robo_trader.practice.market.stamps import stamp
from robo_trader.practice.protocol.clients import Answer, Client
from robo_trader.practice.protocol.wire import INVALID, Cursor, frame

ACCOUNT_NS = 180 * SECOND_NS  # account values that changed are told this often, and after every trade
MOST_SUMMARIES = 2  # of one client, as TWS allows
MOST_REQUESTS = 100  # of each other kind, of one client
_NONE = Decimal(0)
_TOO_MANY = "Error processing request.-'bW' : cause - Maximum number of {} requests exceeded"
_NO_PNL = 10185, "Failed to cancel PNL (not subscribed)"
_NO_SINGLE = 10186, "Failed to cancel PNL single (not subscribed)"


class Told:
    """What was told last of the rows a subscription wants, so that only what changed is told again."""

    def __init__(self, choose: Callable[[list[Row]], list[Row]] = list) -> None:
        self._choose = choose
        self._last: set[Row] = set()

    def fresh(self, rows: list[Row]) -> list[Row]:
        """Return the wanted rows that are not as they were told."""
        wanted = self._choose(rows)
        changed = [row for row in wanted if row not in self._last]
        self._last = set(wanted)
        return changed


@dataclass
class Listening:
    """What one client wants to hear of the account, most of it by its request ids."""

    positions: bool = False
    account: Told | None = None
    holdings: dict[str, bytes] = field(default_factory=dict)  # as told last, while `account` is wanted
    positions_multi: set[int] = field(default_factory=set)
    values_multi: dict[int, Told] = field(default_factory=dict)
    summaries: dict[int, Told] = field(default_factory=dict)
    pnl: dict[int, bytes] = field(default_factory=dict)  # as told last
    singles: dict[int, tuple[int, bytes]] = field(default_factory=dict)  # contract id, and what was told last


class AccountAnswers:
    """Answers questions about the account, and tells listeners what changed."""

    def __init__(self, account: str, exchange: Exchange, books: Books) -> None:
        self._account = account
        self._exchange = exchange
        self._books = books
        self._listening: dict[Client, Listening] = {}
        self._is_stale = False  # whether its worth will be told in the next turn of the event loop
        self.answers: dict[int, Answer] = {
            6: self._account_updates,
            17: self._managed_accounts,
            61: self._positions,
            62: self._account_summary,
            63: self._cancel_account_summary,
            64: self._cancel_positions,
            74: self._positions_multi,
            75: self._cancel_positions_multi,
            76: self._values_multi,
            77: self._cancel_values_multi,
            92: self._pnl,
            93: self._cancel_pnl,
            94: self._pnl_single,
            95: self._cancel_pnl_single,
        }

    def drop(self, client: Client) -> None:
        """Forget a client that has gone."""
        self._listening.pop(client, None)

    # ------------------------------------------------------------------------------------------------ happenings

    def new_day(self) -> set[str]:
        """Turn the books to the present session and book its splits and dividends. Return the symbols of splits."""
        exchange = self._exchange
        actions = exchange.take_actions()
        changed = self._books.begin_day(exchange.session.label, exchange.close_before, actions)
        if changed:
            self.changed(changed)
        return {action.symbol for action in actions if isinstance(action, Split)}

    def on_beat(self) -> None:
        """Tell P&L each market second and account values every three minutes, where they have changed."""
        if self._exchange.now % SECOND_NS == 0:
            self._tell_pnl()
        if self._exchange.now % ACCOUNT_NS == 0:
            self.tell_values()

    def changed(self, symbols: set[str]) -> None:
        """Tell positions that changed, and once that is on its way what the account is worth now."""
        for client, listening in self._listening.items():
            told = [self._position(symbol) for symbol in sorted(symbols) if listening.positions]
            for request in listening.positions_multi:
                told += [self._position_multi(request, symbol) for symbol in sorted(symbols)]
            client.send(b"".join(told))
        if self._listening and not self._is_stale:  # nobody listens before there is an event loop
            self._is_stale = True
            # Scores of values, which nobody who waits for a fill should have to read first.
            asyncio.get_running_loop().call_soon(self._tell_worth)

    def _tell_worth(self) -> None:
        self._is_stale = False
        self.tell_values()
        self._tell_pnl()

    def tell_values(self) -> None:
        """Tell every listener the account values and holdings that changed."""
        rows = account_values(self._books, self._exchange) if self._listening else []
        for client, listening in self._listening.items():
            told = [
                self._fresh_multi(request, since, rows) for request, since in listening.values_multi.items()
            ]
            told += [
                self._fresh_summary(request, since, rows) for request, since in listening.summaries.items()
            ]
            if listening.account is not None:
                told.append(self._fresh_updates(listening, listening.account, rows))
            client.send(b"".join(told))

    def _tell_pnl(self) -> None:
        for client, listening in self._listening.items():
            if listening.pnl or listening.singles:
                client.send(self._fresh_pnl(listening))

    # ------------------------------------------------------------------------------------- accounts and positions

    def _managed_accounts(self, client: Client, _cursor: Cursor) -> None:
        client.send(frame(15, 1, self._account))

    def _positions(self, client: Client, _cursor: Cursor) -> None:
        self._of(client).positions = True
        for symbol in self._books.held():
            client.send(self._position(symbol))
        client.send(frame(62, 1))

    def _cancel_positions(self, client: Client, _cursor: Cursor) -> None:
        self._of(client).positions = False

    def _positions_multi(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        request, wanted = cursor.integer(), self._of(client).positions_multi
        if not self._is_ours(client, request, cursor.text(), cursor.text()):
            return
        if self._has_room(client, request, len(wanted - {request}), MOST_REQUESTS, "position"):
            wanted.add(request)
            held = [self._position_multi(request, symbol) for symbol in self._books.held()]
            client.send(b"".join([*held, frame(72, 1, request)]))

    def _cancel_positions_multi(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        self._of(client).positions_multi.discard(cursor.integer())

    # ------------------------------------------------------------------------------------------------- values

    def _account_updates(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        wanted, account, listening = cursor.flag(), cursor.text(), self._of(client)
        if not self._is_ours(client, -1, account, ""):
            return
        listening.holdings.clear()
        listening.account = Told() if wanted else None
        if listening.account is not None:
            rows = account_values(self._books, self._exchange)
            client.send(self._fresh_updates(listening, listening.account, rows))
            client.send(frame(54, 1, self._account))

    def _values_multi(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        request, account, model, light = cursor.integer(), cursor.text(), cursor.text(), cursor.flag()
        wanted = self._of(client).values_multi
        if not self._is_ours(client, request, account, model):
            return
        if self._has_room(client, request, len(wanted.keys() - {request}), MOST_REQUESTS, "account update"):
            since = wanted[request] = Told(light_of) if light else Told()
            client.send(self._fresh_multi(request, since, account_values(self._books, self._exchange)))
            client.send(frame(74, 1, request))

    def _cancel_values_multi(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        self._of(client).values_multi.pop(cursor.integer(), None)

    def _account_summary(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        request, group = cursor.integer(), cursor.text()
        tags = tuple(tag.strip() for tag in cursor.text().split(","))
        wanted = self._of(client).summaries
        if group != "All":
            return client.error(request, 321, f"{INVALID}Invalid group name '{group}'.")
        if self._has_room(client, request, len(wanted.keys() - {request}), MOST_SUMMARIES, "account summary"):
            since = wanted[request] = Told(partial(summary_of, tags=tags))
            client.send(self._fresh_summary(request, since, account_values(self._books, self._exchange)))
            client.send(frame(64, 1, request))
        return None

    def _cancel_account_summary(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        self._of(client).summaries.pop(cursor.integer(), None)

    # --------------------------------------------------------------------------------------- profit and loss

    def _pnl(self, client: Client, cursor: Cursor) -> None:
        request, listening = cursor.integer(), self._of(client)
        if not self._is_ours(client, request, cursor.text(), cursor.text()):
            return
        if self._has_room(client, request, len(listening.pnl.keys() - {request}), MOST_REQUESTS, "PnL"):
            listening.pnl[request] = b""
            client.send(self._fresh_pnl(listening))

    def _cancel_pnl(self, client: Client, cursor: Cursor) -> None:
        request = cursor.integer()
        if self._of(client).pnl.pop(request, None) is None:
            client.error(request, *_NO_PNL)

    def _pnl_single(self, client: Client, cursor: Cursor) -> None:
        request, listening = cursor.integer(), self._of(client)
        if not self._is_ours(client, request, cursor.text(), cursor.text()):
            return
        others = len(listening.singles.keys() - {request})
        if self._has_room(client, request, others, MOST_REQUESTS, "PnL single"):
            listening.singles[request] = cursor.integer(), b""
            client.send(self._fresh_pnl(listening))

    def _cancel_pnl_single(self, client: Client, cursor: Cursor) -> None:
        request = cursor.integer()
        if self._of(client).singles.pop(request, None) is None:
            client.error(request, *_NO_SINGLE)

    # ------------------------------------------------------------------------------------------- one answer

    def _of(self, client: Client) -> Listening:
        return self._listening.setdefault(client, Listening())

    def _is_ours(self, client: Client, request: int, account: str, model: str) -> bool:
        """Tell a client whose account or model code is none here, and return whether it is one."""
        if account not in ("", self._account):
            client.error(request, 321, f"{INVALID}Invalid account code '{account}'.")
        elif model:
            client.error(request, 321, f"{INVALID}Invalid model code '{model}'.")
        else:
            return True
        return False

    def _has_room(self, client: Client, request: int, others: int, most: int, kind: str) -> bool:
        if others < most:
            return True
        client.error(request, 322, _TOO_MANY.format(kind))
        return False

    def _position(self, symbol: str) -> bytes:
        return messages.position(self._account, symbol, self._books.positions.get(symbol, FLAT))

    def _position_multi(self, request: int, symbol: str) -> bytes:
        held = self._books.positions.get(symbol, FLAT)
        return messages.position_multi(request, self._account, symbol, held)

    def _fresh_updates(self, listening: Listening, since: Told, rows: list[Row]) -> bytes:
        """Return the account's values (6) and holdings (7) that changed, and the time (8)."""
        told = [messages.value(self._account, row) for row in since.fresh(rows)]
        holdings = {symbol: self._holding(symbol) for symbol in {*self._books.held(), *listening.holdings}}
        told += [holdings[s] for s in sorted(holdings) if holdings[s] != listening.holdings.get(s)]
        listening.holdings = {symbol: holdings[symbol] for symbol in self._books.held()}
        clock = stamp(178, self._exchange.now)[9:14]
        return b"".join([*told, frame(8, 1, clock)])

    def _holding(self, symbol: str) -> bytes:
        held = self._books.positions.get(symbol, FLAT)
        return messages.portfolio(self._account, symbol, held, self._books.value(symbol, self._exchange.last))

    def _fresh_multi(self, request: int, since: Told, rows: list[Row]) -> bytes:
        return b"".join(messages.value_multi(request, self._account, row) for row in since.fresh(rows))

    def _fresh_summary(self, request: int, since: Told, rows: list[Row]) -> bytes:
        return b"".join(messages.summary(request, self._account, row) for row in since.fresh(rows))

    def _fresh_pnl(self, listening: Listening) -> bytes:
        """Return the P&L (94) and single P&L (95) that are not as they were told."""
        told = []
        figures = self._account_pnl() if listening.pnl else (_NONE, _NONE, _NONE)
        for request, last in listening.pnl.items():
            now = messages.pnl(request, *figures)
            if now != last:
                listening.pnl[request] = now
                told.append(now)
        symbols = {con_id_of(symbol): symbol for symbol in self._books.touched()} if listening.singles else {}
        for request, (con_id, last) in listening.singles.items():
            now = self._pnl_of(request, symbols.get(con_id))
            if now != last:
                listening.singles[request] = con_id, now
                told.append(now)
        return b"".join(told)

    def _account_pnl(self) -> tuple[Decimal, Decimal, Decimal]:
        """Return the account's daily, unrealised and realised P&L, USD."""
        books, mark, closes = self._books, self._exchange.last, self._exchange.close_before
        touched = books.touched()
        daily = sum((books.daily(symbol, mark, closes) for symbol in touched), _NONE)
        unrealised = sum((books.unrealised(symbol, mark) for symbol in touched), _NONE)
        realised = sum((books.positions[symbol].realised for symbol in touched), _NONE)
        return daily, unrealised, realised

    def _pnl_of(self, request: int, symbol: str | None) -> bytes:
        """Return a symbol's P&L; all but the quantity is unknown where it was not held since the last close."""
        books, mark = self._books, self._exchange.last
        if symbol is None:
            return messages.pnl_single(request, 0, None, None, None, None)
        daily, held = books.daily(symbol, mark, self._exchange.close_before), books.positions[symbol]
        unrealised = books.unrealised(symbol, mark)
        worth = books.value(symbol, mark)
        return messages.pnl_single(request, held.quantity, daily, unrealised, held.realised, worth)
