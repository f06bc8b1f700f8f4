"""Who listens to what: real-time bars, ticks, growing history bars, positions and account values."""

from __future__ import annotations

from dataclasses import dataclass, field

from robo_trader.core.events import SECOND_NS
from robo_trader.practice import messages
from robo_trader.practice.books import FLAT, Books
from robo_trader.practice.clients import Client
from robo_trader.practice.exchange import Exchange, Slice
from robo_trader.practice.history import BAR_SIZES, PastBar, bar_time, grow
from robo_trader.practice.messages import price_tick
from robo_trader.practice.wire import frame

ACCOUNT_NS = 180 * SECOND_NS  # account values are told again this often, and after every trade


@dataclass
class Growing:
    """A history question kept up to date."""

    symbol: str
    bar_size: str
    as_epoch: bool
    bar: PastBar | None


@dataclass
class Ticks:
    """A market data line and what it last showed."""

    symbol: str
    high: float = 0.0
    low: float = 0.0
    volume: int = 0


@dataclass
class Listening:
    """All subscriptions of one client, by its request ids."""

    bars: dict[int, str] = field(default_factory=dict)
    ticks: dict[int, Ticks] = field(default_factory=dict)
    growing: dict[int, Growing] = field(default_factory=dict)
    positions: bool = False
    account: bool = False
    account_requests: set[int] = field(default_factory=set)
    summaries: dict[int, tuple[str, ...]] = field(default_factory=dict)


class Streams:
    """Tells each client what it listens to, slice by slice."""

    def __init__(self, account: str, exchange: Exchange, books: Books) -> None:
        self._account = account
        self._exchange = exchange
        self._books = books
        self._listening: dict[Client, Listening] = {}

    def of(self, client: Client) -> Listening:
        """Return a client's subscriptions to read or to change."""
        return self._listening.setdefault(client, Listening())

    def drop(self, client: Client) -> None:
        self._listening.pop(client, None)

    def closed_slice(self) -> None:
        """Tell the slice that has just ended."""
        for client, listening in self._listening.items():
            told = [self._bar(request, symbol) for request, symbol in listening.bars.items()]
            told += [self._last(request, line) for request, line in listening.ticks.items()]
            told += [self._grown(client, request, line) for request, line in listening.growing.items()]
            client.send(b"".join(told))

    def standing_quotes(self) -> None:
        """Tell the quotes that stand from now on."""
        morning = self._exchange.now == self._exchange.session.open
        for client, listening in self._listening.items():
            if morning:
                listening.ticks = {request: Ticks(line.symbol) for request, line in listening.ticks.items()}
            told = [self._quote(request, line.symbol) for request, line in listening.ticks.items()]
            client.send(b"".join(told))

    def begin_ticks(self, client: Client, request: int, symbol: str) -> None:
        """Open a market data line: what is known of today, then the standing quote."""
        line = self.of(client).ticks[request] = Ticks(symbol)
        told = [frame(81, request, 0.01, "NASDAQ", 3), frame(58, 1, request, 1)]
        today = self._exchange.so_far(symbol)
        before = self._exchange.close_before(symbol)
        if before is not None:
            told.append(price_tick(request, messages.CLOSE, before, 0))
        for traded in today:
            _gather(line, traded)
        if today:
            told.append(price_tick(request, messages.OPEN, today[0].open, 0))
            told.append(price_tick(request, messages.HIGH, line.high, 0))
            told.append(price_tick(request, messages.LOW, line.low, 0))
            told.append(price_tick(request, messages.LAST, today[-1].close, today[-1].volume))
            told.append(frame(2, 6, request, messages.VOLUME, line.volume))
        told.append(self._quote(request, symbol))
        client.send(b"".join(told))

    def account_changed(self, symbols: set[str]) -> None:
        """Tell positions that changed, and what the account is worth now."""
        for client, listening in self._listening.items():
            if listening.positions:
                client.send(b"".join(self.position(symbol) for symbol in sorted(symbols)))
        self.account_values(symbols)

    def account_values(self, symbols: set[str] | None = None) -> None:
        """Tell every listener the account's values, with the holdings of `symbols` besides those held."""
        for client, listening in self._listening.items():
            told = [self.values(request) for request in listening.account_requests]
            told += [self.summary(request, tags) for request, tags in listening.summaries.items()]
            if listening.account:
                told.append(self.updates(symbols or set()))
            client.send(b"".join(told))

    # ------------------------------------------------------------------------------- one answer to one client

    def position(self, symbol: str) -> bytes:
        return messages.position(self._account, symbol, self._books.positions.get(symbol, FLAT))

    def updates(self, also: set[str]) -> bytes:
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

    def values(self, request: int) -> bytes:
        """Return the account's values in answer to reqAccountUpdatesMulti."""
        told = (frame(73, 1, request, self._account, "", key, text, "USD") for key, text in self._values())
        return b"".join(told)

    def summary(self, request: int, tags: tuple[str, ...]) -> bytes:
        """Return the wanted account values; AccountType is a word, all others are USD."""
        rows = [("AccountType", "INDIVIDUAL", ""), *((key, text, "USD") for key, text in self._values())]
        wanted = [row for row in rows if row[0] in tags or any(tag.startswith("$LEDGER") for tag in tags)]
        return b"".join(frame(63, 1, request, self._account, *row) for row in wanted)

    def _values(self) -> list[tuple[str, str]]:
        return [(key, format(value, "f")) for key, value in self._books.values(self._exchange.last).items()]

    def _holding(self, symbol: str) -> bytes:
        held = self._books.positions.get(symbol, FLAT)
        return messages.portfolio(self._account, symbol, held, self._books.value(symbol, self._exchange.last))

    def _bar(self, request: int, symbol: str) -> bytes:
        traded = self._exchange.closed(symbol)
        return messages.real_time_bar(request, traded) if traded is not None else b""

    def _last(self, request: int, line: Ticks) -> bytes:
        traded = self._exchange.closed(line.symbol)
        if traded is None or not traded.volume:
            return b""
        high, low, first = line.high, line.low, not line.volume
        _gather(line, traded)
        told = [price_tick(request, messages.OPEN, traded.open, 0)] if first else []
        if line.high != high:
            told.append(price_tick(request, messages.HIGH, line.high, 0))
        if line.low != low:
            told.append(price_tick(request, messages.LOW, line.low, 0))
        stamp = self._exchange.now // SECOND_NS
        told.append(frame(46, 6, request, messages.LAST_TIME, str(stamp)))
        told.append(price_tick(request, messages.LAST, traded.close, traded.volume))
        told.append(frame(2, 6, request, messages.VOLUME, line.volume))
        return b"".join(told)

    def _quote(self, request: int, symbol: str) -> bytes:
        market = self._exchange.market(symbol)
        if market is None:
            return price_tick(request, messages.BID, -1.0, 0) + price_tick(request, messages.ASK, -1.0, 0)
        if not market.available:
            return b""
        bid = price_tick(request, messages.BID, market.bid, market.available)
        return bid + price_tick(request, messages.ASK, market.ask, market.available)

    def _grown(self, client: Client, request: int, line: Growing) -> bytes:
        traded = self._exchange.closed(line.symbol)
        if traded is None or not traded.volume:
            return b""
        interval = BAR_SIZES[line.bar_size]
        bar = line.bar = grow(line.bar, traded, self._exchange.session.open, interval)
        if bar is None:
            return b""
        when = bar_time(bar.start, interval, line.as_epoch, client.version)
        count = messages.trades(bar.volume)
        return frame(90, request, count, when, bar.open, bar.close, bar.high, bar.low, bar.wap, bar.volume)


_LEDGER = ("CashBalance", "StockMarketValue", "UnrealizedPnL", "RealizedPnL")


def _gather(line: Ticks, traded: Slice) -> None:
    """Add a slice to what a line shows of the day."""
    line.high = max(line.high, traded.high)
    line.low = min(line.low, traded.low) if line.low else traded.low
    line.volume += traded.volume
