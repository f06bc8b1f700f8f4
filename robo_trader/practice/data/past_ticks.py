"""The trades, quotes and midpoints of the past, as they were told one by one when they happened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from robo_trader.core.events import DAY_NS, MINUTE_NS, SECOND_NS
from robo_trader.practice.data.periods import span
from robo_trader.practice.market.exchange import Exchange
from robo_trader.practice.market.quotes import QuoteAt
from robo_trader.practice.protocol.wire import Field, frame
from robo_trader.simulation.flow import ODD_LOT, Print
from robo_trader.simulation.tape import SLICE_NS

UNREPORTED = 2  # bit of a trade's mask
MOST_TICKS = 1000  # in one answer
TRADES, BID_ASK, MIDPOINT = "TRADES", "BID_ASK", "MIDPOINT"
MESSAGES = {MIDPOINT: 96, BID_ASK: 97, TRADES: 98}
_SESSIONS = 2  # that are searched
_YEARS = 68

Tick = TypeVar("Tick", Print, QuoteAt)
Between = Callable[[int, int], Iterable[Tick]]  # the ticks at begin <= ts < end
_Row = tuple[Field, ...]


def trade_mask(done: Print) -> int:
    """Return the mask of a trade: odd lots are not reported as the last price."""
    return UNREPORTED if ODD_LOT in done.conditions.split() else 0


def midpoint(quote: QuoteAt) -> float | None:
    """Return the middle of a quote (USD), None where a side is missing."""
    return round((quote.bid + quote.ask) / 2, 4) if quote.bid > 0 and quote.ask > 0 else None


def prices_of(quote: QuoteAt) -> tuple[float, float]:
    """Return the prices of a quote."""
    return quote.bid, quote.ask


def without_repeats(
    quotes: Iterable[QuoteAt], before: object, shown: Callable[[QuoteAt], object]
) -> Iterator[QuoteAt]:
    """Leave out quotes that show the same as the one before them, the first one as `before`."""
    for quote in quotes:
        if (now := shown(quote)) != before:
            before = now
            yield quote


class PastTicks:
    """Finds one symbol's ticks of one kind, in two sessions at most."""

    def __init__(self, exchange: Exchange, symbol: str, what: str, without_sizes: bool = False) -> None:
        """`what` is TRADES, BID_ASK or MIDPOINT; `without_sizes` leaves out quotes that differ in size only."""
        self._exchange = exchange
        self._symbol = symbol
        self._what = what
        self._without_sizes = without_sizes

    def ahead(self, begin: int, end: int, count: int) -> list[_Row]:
        """Return the first ticks at begin <= ts < end, and the rest of the last one's second, as rows."""
        if self._what == TRADES:
            return _trades(_first(count, self._ahead(begin, end, self._prints)))
        return self._shown(_first(count, self._ahead(begin, end, self._quotes)))

    def latest(self, end: int, count: int) -> list[_Row]:
        """Return the last ticks before `end`, and the rest of the first one's second, as rows."""
        if self._what == TRADES:
            return _trades(self._latest(end, count, self._prints))
        return self._shown(self._latest(end, count, self._quotes))

    def _prints(self, begin: int, end: int) -> Iterable[Print]:
        return self._exchange.prints_between(self._symbol, begin, end)

    def _quotes(self, begin: int, end: int) -> Iterable[QuoteAt]:
        # From a slice earlier: what changes is seen against what stood before.
        told: Iterable[QuoteAt] = self._exchange.quotes_between(self._symbol, begin - SLICE_NS, end)
        if self._what == MIDPOINT:
            told = (quote for quote in without_repeats(told, None, midpoint) if midpoint(quote) is not None)
        elif self._without_sizes:
            told = without_repeats(told, None, prices_of)
        return (quote for quote in told if quote.ts >= begin)

    def _shown(self, quotes: Iterable[QuoteAt]) -> list[_Row]:
        if self._what == MIDPOINT:
            return [(quote.ts // SECOND_NS, 0, midpoint(quote), 0) for quote in quotes]
        return [(q.ts // SECOND_NS, 0, q.bid, q.ask, q.bid_size, q.ask_size) for q in quotes]

    def _ahead(self, begin: int, end: int, between: Between[Tick]) -> Iterator[Tick]:
        """Yield the ticks of the first two sessions that end after `begin`."""
        calendar, source = self._exchange.calendar, self._exchange.source
        first = max(source.first, calendar.label_of(begin))
        sessions = [s for s, _ in span(calendar, first, end, (_YEARS, "Y"), DAY_NS) if s.close > begin]
        for session in sessions[:_SESSIONS]:
            yield from between(max(begin, session.open), min(end, session.close))

    def _latest(self, end: int, count: int, between: Between[Tick]) -> list[Tick]:
        """Return the last ticks, found in windows that double until there are enough."""
        calendar, source = self._exchange.calendar, self._exchange.source
        found: list[Tick] = []
        for session, _ in reversed(span(calendar, source.first, end, (_SESSIONS, "D"), DAY_NS)):
            since, window = min(end, session.close), MINUTE_NS
            while since > session.open and len(found) < count:
                until = since
                since, window = max(session.open, (until - window) // SECOND_NS * SECOND_NS), 2 * window
                found[:0] = between(since, until)
        if len(found) <= count:
            return found
        second = found[-count].ts // SECOND_NS
        return [tick for tick in found if tick.ts // SECOND_NS >= second]


def encode(what: str, request: int, rows: list[_Row]) -> bytes:
    """Encode historicalTicks (96), -BidAsk (97) or -Last (98)."""
    return frame(MESSAGES[what], request, len(rows), *[field for row in rows for field in row], True)


def _trades(prints: Iterable[Print]) -> list[_Row]:
    return [(p.ts // SECOND_NS, trade_mask(p), p.price, p.size, p.exchange, p.conditions) for p in prints]


def _first(count: int, ticks: Iterator[Tick]) -> list[Tick]:
    """Return the first ticks and the rest of the last one's second."""
    found: list[Tick] = []
    for tick in ticks:
        if len(found) >= count and tick.ts // SECOND_NS != found[-1].ts // SECOND_NS:
            break
        found.append(tick)
    return found
