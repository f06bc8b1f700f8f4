"""History on request, and bars that are kept up to date."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from robo_trader.practice import messages
from robo_trader.practice.clients import Answer, Client, forget
from robo_trader.practice.contracts import NO_DEFINITION, Directory
from robo_trader.practice.exchange import Exchange
from robo_trader.practice.history import (
    BAR_SIZES,
    BadQuestion,
    PastBar,
    bar_fields,
    bar_time,
    grow,
    parse_end,
    past_bars,
)
from robo_trader.practice.messages import stamp
from robo_trader.practice.requests import HistoryRequest, read_history_request
from robo_trader.practice.wire import Cursor, frame


@dataclass
class Growing:
    """A history question kept up to date."""

    symbol: str
    bar_size: str
    as_epoch: bool
    bar: PastBar | None


class HistoryAnswers:
    """Answers questions for past bars. `listened` is called when somebody wants them kept up to date."""

    def __init__(self, exchange: Exchange, directory: Directory, listened: Callable[[], None]) -> None:
        self._exchange = exchange
        self._directory = directory
        self._listened = listened
        self._growing: dict[Client, dict[int, Growing]] = {}
        self.answers: dict[int, Answer] = {20: self._history, 25: self._cancel_history}

    def drop(self, client: Client) -> None:
        """Forget a client that has gone."""
        self._growing.pop(client, None)

    def closed_slice(self) -> None:
        """Let the slice that has just ended grow the bars that are kept up to date."""
        for client, lines in self._growing.items():
            client.send(b"".join([self._grown(client, request, line) for request, line in lines.items()]))

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
        self._growing.setdefault(client, {})[asked.request] = growing
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
        forget(client, self._growing.get(client, {}), cursor.integer(), 366, text)

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
