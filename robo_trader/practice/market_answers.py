"""Live market data: quotes and trades line by line, and 5-second real-time bars."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from robo_trader.core.events import SECOND_NS
from robo_trader.practice import messages
from robo_trader.practice.clients import Answer, Client, forget
from robo_trader.practice.contracts import Directory
from robo_trader.practice.exchange import Exchange, Slice
from robo_trader.practice.messages import price_tick
from robo_trader.practice.wire import Cursor, frame


@dataclass
class Ticks:
    """A market data line and what it last showed."""

    symbol: str
    high: float = 0.0
    low: float = 0.0
    volume: int = 0


@dataclass
class Lines:
    """What one client listens to, by its request ids."""

    bars: dict[int, str] = field(default_factory=dict)
    ticks: dict[int, Ticks] = field(default_factory=dict)


class MarketAnswers:
    """Opens and closes lines of market data, and tells each line what happens.

    `listened` is called when somebody asks for live data.
    """

    def __init__(self, exchange: Exchange, directory: Directory, listened: Callable[[], None]) -> None:
        self._exchange = exchange
        self._directory = directory
        self._listened = listened
        self._lines: dict[Client, Lines] = {}
        self.answers: dict[int, Answer] = {
            1: self._market_data,
            2: self._cancel_market_data,
            50: self._real_time_bars,
            51: self._cancel_real_time_bars,
        }

    def drop(self, client: Client) -> None:
        """Forget a client that has gone."""
        self._lines.pop(client, None)

    def closed_slice(self) -> None:
        """Tell the slice that has just ended."""
        for client, lines in self._lines.items():
            told = [self._bar(request, symbol) for request, symbol in lines.bars.items()]
            told += [self._last(request, line) for request, line in lines.ticks.items()]
            client.send(b"".join(told))

    def standing_quotes(self) -> None:
        """Tell the quotes that stand from now on."""
        morning = self._exchange.now == self._exchange.session.open
        for client, lines in self._lines.items():
            if morning:
                lines.ticks = {request: Ticks(line.symbol) for request, line in lines.ticks.items()}
            told = [self._quote(request, line.symbol) for request, line in lines.ticks.items()]
            client.send(b"".join(told))

    # ------------------------------------------------------------------------------------------------ requests

    def _market_data(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        request = cursor.integer()
        symbol = self._directory.read(client, request, cursor)
        if symbol is None:
            return None
        if cursor.flag():
            return client.error(request, 321, "Delta neutral contracts are not traded here")
        cursor.skip(1)  # generic ticks
        snapshot = cursor.flag()
        self._begin_ticks(client, request, symbol)
        if not snapshot:
            return self._listened()
        del self._of(client).ticks[request]
        return client.send(frame(57, 1, request))

    def _cancel_market_data(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        forget(client, self._of(client).ticks, cursor.integer(), 300, "Can't find EId with tickerId:")

    def _real_time_bars(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        request = cursor.integer()
        symbol = self._directory.read(client, request, cursor)
        if symbol is None:
            return None
        cursor.skip(1)  # the bar size: there is only one
        if cursor.text() != "TRADES":
            return client.error(request, 321, "Only TRADES bars are available here")
        self._of(client).bars[request] = symbol
        return self._listened()

    def _cancel_real_time_bars(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        forget(client, self._of(client).bars, cursor.integer(), 300, "Can't find EId with tickerId:")

    def _of(self, client: Client) -> Lines:
        return self._lines.setdefault(client, Lines())

    # ------------------------------------------------------------------------------------------- one line

    def _begin_ticks(self, client: Client, request: int, symbol: str) -> None:
        """Open a market data line: what is known of today, then the standing quote."""
        line = self._of(client).ticks[request] = Ticks(symbol)
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


def _gather(line: Ticks, traded: Slice) -> None:
    """Add a slice to what a line shows of the day."""
    line.high = max(line.high, traded.high)
    line.low = min(line.low, traded.low) if line.low else traded.low
    line.volume += traded.volume
