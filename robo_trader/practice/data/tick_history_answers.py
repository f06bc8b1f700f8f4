"""Past ticks on request: the very trades and quotes that were told one by one when they happened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from robo_trader.core.events import DAY_NS, MINUTE_NS, SECOND_NS
from robo_trader.practice.data.history_answers import not_permitted, refuse
from robo_trader.practice.data.history_request import TicksRequest, read_ticks_request
from robo_trader.practice.data.past_ticks import midpoint, trade_mask, without_repeats
from robo_trader.practice.data.periods import BadQuestion, parse_end, parse_time, span
from robo_trader.practice.market.contracts import Directory
from robo_trader.practice.market.exchange import Exchange, Print, QuoteAt
from robo_trader.practice.protocol.clients import Answer, Client
from robo_trader.practice.protocol.wire import Cursor, Field, frame
from robo_trader.simulation.tape import SLICE_NS

_MOST_TICKS = 1000
_SESSIONS = 2  # that are searched
_YEARS = 68
_KINDS = {"MIDPOINT": 96, "BID_ASK": 97, "TRADES": 98}
_Tick = TypeVar("_Tick", Print, QuoteAt)
_Between = Callable[[int, int], Iterable[_Tick]]  # the ticks at begin <= ts < end


class TickHistoryAnswers:
    """Answers reqHistoricalTicks (96) with historicalTicks (96), -BidAsk (97) or -Last (98).

    Ticks are the first `count` from a start, or the last `count` before an end, and all those of the same second as the
    last of them. They are looked for in two sessions. Without live market data (`paid`) there are none.
    """

    def __init__(self, exchange: Exchange, directory: Directory, paid: bool) -> None:
        self._exchange = exchange
        self._directory = directory
        self._paid = paid
        self.answers: dict[int, Answer] = {96: self._ticks}

    def drop(self, client: Client) -> None:
        """Forget a client that has gone: nothing here is kept for one."""

    def _ticks(self, client: Client, cursor: Cursor) -> None:
        asked = read_ticks_request(cursor)
        symbol = self._directory.settle(client, asked.request, asked.contract)
        if symbol is None:
            return None
        if not self._paid:
            text = f"Failed to request historical ticks:{not_permitted(symbol)}"
            return client.error(asked.request, 10187, text)
        try:
            rows = self._rows(asked, symbol)
        except BadQuestion as error:
            refuse(client, asked.request, error)
        else:
            fields = [field for row in rows for field in row]
            client.send(frame(_KINDS[asked.what], asked.request, len(rows), *fields, True))

    def _rows(self, asked: TicksRequest, symbol: str) -> list[tuple[Field, ...]]:
        if asked.what not in _KINDS:
            raise BadQuestion("What to show field is missing or incorrect.")
        if not 1 <= asked.count <= _MOST_TICKS:
            raise BadQuestion(f"The number of ticks must be 1 to {_MOST_TICKS}, not {asked.count}")
        if asked.what == "TRADES":
            done = self._find(asked, lambda begin, end: self._exchange.prints_between(symbol, begin, end))
            return [
                (p.ts // SECOND_NS, trade_mask(p), p.price, p.size, p.exchange, p.conditions) for p in done
            ]
        quotes = self._find(asked, lambda begin, end: self._quotes(asked, symbol, begin, end))
        if asked.what == "MIDPOINT":
            return [(quote.ts // SECOND_NS, 0, midpoint(quote), 0) for quote in quotes]
        return [(q.ts // SECOND_NS, 0, q.bid, q.ask, q.bid_size, q.ask_size) for q in quotes]

    def _quotes(self, asked: TicksRequest, symbol: str, begin: int, end: int) -> Iterable[QuoteAt]:
        # From a slice earlier: what changes is seen against what stood before.
        told: Iterable[QuoteAt] = self._exchange.quotes_between(symbol, begin - SLICE_NS, end)
        if asked.what == "MIDPOINT":
            told = (quote for quote in without_repeats(told, None, midpoint) if midpoint(quote) is not None)
        elif asked.without_sizes:
            told = without_repeats(told, None, lambda q: (q.bid, q.ask))
        return (quote for quote in told if quote.ts >= begin)

    def _find(self, asked: TicksRequest, between: _Between[_Tick]) -> list[_Tick]:
        now = self._exchange.now
        if asked.start:
            end = parse_end(asked.end, now)
            return _first(asked.count, self._ahead(min(parse_time(asked.start), now), end, between))
        if not asked.end:
            raise BadQuestion("Either the start or the end of the ticks must be given")
        return self._latest(asked.count, parse_end(asked.end, now), between)

    def _ahead(self, begin: int, end: int, between: _Between[_Tick]) -> Iterator[_Tick]:
        """Yield the ticks of the first two sessions that end after `begin`."""
        calendar, source = self._exchange.calendar, self._exchange.source
        first = max(source.first, calendar.label_of(begin))
        sessions = [s for s, _ in span(calendar, first, end, (_YEARS, "Y"), DAY_NS) if s.close > begin]
        for session in sessions[:_SESSIONS]:
            yield from between(max(begin, session.open), min(end, session.close))

    def _latest(self, count: int, end: int, between: _Between[_Tick]) -> list[_Tick]:
        """Return the last ticks before `end`, in windows that double until there are enough."""
        calendar, source = self._exchange.calendar, self._exchange.source
        found: list[_Tick] = []
        for session, _ in reversed(span(calendar, source.first, end, (_SESSIONS, "D"), DAY_NS)):
            upper, window = min(end, session.close), MINUTE_NS
            since = upper
            ticks: list[_Tick] = []
            while since > session.open and len(found) + len(ticks) < count:
                since, window = max(session.open, upper - window), 2 * window
                ticks = list(between(since, upper))
            found[:0] = ticks
        if len(found) <= count:
            return found
        second = found[-count].ts // SECOND_NS
        return [tick for tick in found if tick.ts // SECOND_NS >= second]


def _first(count: int, ticks: Iterator[_Tick]) -> list[_Tick]:
    """Return the first ticks and the rest of the last one's second."""
    found: list[_Tick] = []
    for tick in ticks:
        if len(found) >= count and tick.ts // SECOND_NS != found[-1].ts // SECOND_NS:
            break
        found.append(tick)
    return found
