"""The last ticks before now, as they were told one by one, in one message."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from robo_trader.core.events import MINUTE_NS, SECOND_NS
from robo_trader.practice.market.exchange import Exchange
from robo_trader.practice.market.quotes import QuoteAt
from robo_trader.practice.protocol.wire import Field, frame
from robo_trader.simulation.flow import ODD_LOT, Print

UNREPORTED = 2  # bit of a trade's mask
_SESSIONS_BACK = 2
_Tick = TypeVar("_Tick", Print, QuoteAt)


def trade_mask(done: Print) -> int:
    """Return the mask of a trade: odd lots are not reported as the last price."""
    return UNREPORTED if ODD_LOT in done.conditions.split() else 0


def midpoint(quote: QuoteAt) -> float | None:
    """Return the middle of a quote (USD), None where a side is missing."""
    return round((quote.bid + quote.ask) / 2, 4) if quote.bid > 0 and quote.ask > 0 else None


def past_trades(exchange: Exchange, request: int, symbol: str, count: int) -> bytes:
    """Encode historicalTicksLast (98) of the last trades."""
    done = _latest(exchange, count, lambda begin, end: exchange.prints_between(symbol, begin, end))
    rows = [(p.ts // SECOND_NS, trade_mask(p), p.price, p.size, p.exchange, p.conditions) for p in done]
    return _encode(98, request, rows)


def past_quotes(exchange: Exchange, request: int, symbol: str, count: int, without_sizes: bool) -> bytes:
    """Encode historicalTicksBidAsk (97) of the last quotes, those that differ in size only left out where wanted."""
    shown = prices_of if without_sizes else quoted
    latest = _latest_quotes(exchange, symbol, count, shown)
    return _encode(
        97, request, [(q.ts // SECOND_NS, 0, q.bid, q.ask, q.bid_size, q.ask_size) for q in latest]
    )


def past_midpoints(exchange: Exchange, request: int, symbol: str, count: int) -> bytes:
    """Encode historicalTicks (96) of the last midpoints."""
    latest = _latest_quotes(exchange, symbol, count, midpoint)
    rows = [(q.ts // SECOND_NS, 0, middle, 0) for q in latest if (middle := midpoint(q)) is not None]
    return _encode(96, request, rows)


def without_repeats(
    quotes: Iterable[QuoteAt], before: object, shown: Callable[[QuoteAt], object]
) -> Iterator[QuoteAt]:
    """Leave out quotes that show the same as the one before them, the first one as `before`."""
    for quote in quotes:
        if (now := shown(quote)) != before:
            before = now
            yield quote


def quoted(quote: QuoteAt) -> tuple[float, ...]:
    """Return all of a quote but its time."""
    return quote[1:]


def prices_of(quote: QuoteAt) -> tuple[float, float]:
    """Return the prices of a quote."""
    return quote.bid, quote.ask


def _latest_quotes(
    exchange: Exchange, symbol: str, count: int, shown: Callable[[QuoteAt], object]
) -> Sequence[QuoteAt]:
    def quotes(begin: int, end: int) -> Iterable[QuoteAt]:
        return exchange.quotes_between(symbol, begin, end)

    return _latest(exchange, count, quotes, lambda found: list(without_repeats(found, None, shown)))


def _latest(
    exchange: Exchange,
    count: int,
    between: Callable[[int, int], Iterable[_Tick]],
    thinned: Callable[[list[_Tick]], list[_Tick]] = lambda found: found,
) -> Sequence[_Tick]:
    """Return the last `count` ticks up to now, of this session and the one before it."""
    found: list[_Tick] = []
    session, end = exchange.session, min(exchange.now, exchange.session.close)
    for _ in range(_SESSIONS_BACK):
        window = MINUTE_NS
        while end > session.open and len(found) < count:
            begin: int = max(session.open, end - window)
            found = thinned(list(between(begin, end)) + found)
            end, window = begin, 2 * window
        session = exchange.calendar.before(session.label, 1)[0]
        if session.label < exchange.source.first:
            break
        end = session.close
    return found[-count:]


def _encode(kind: int, request: int, rows: Sequence[tuple[Field, ...]]) -> bytes:
    return frame(kind, request, len(rows), *[field for row in rows for field in row], True)
