"""What can be seen of the market by whom: as it is, or as it was a quarter of an hour ago."""

from __future__ import annotations

from collections.abc import Sequence

from robo_trader.core.events import MINUTE_NS, Side
from robo_trader.practice.data.board import NO_QUOTE
from robo_trader.practice.market.exchange import Exchange, Halt
from robo_trader.practice.market.quotes import QuoteAt
from robo_trader.practice.protocol.ticks import DELAYED, LIVE
from robo_trader.simulation.flow import Print
from robo_trader.simulation.rows import Slice
from robo_trader.simulation.tape import SLICE_NS, standing_quote

DELAY_NS = 15 * MINUTE_NS
_LOT = 100
_PAUSE = "limit up"


class LiveView:
    """The market as it is."""

    kinds = LIVE

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    @property
    def session(self) -> str:
        return self._exchange.session.label

    @property
    def is_open(self) -> bool:
        return self._exchange.is_open

    @property
    def slice_ended(self) -> bool:
        return self._exchange.slice_ended

    def look(self, symbol: str) -> tuple[Sequence[Print], QuoteAt, int]:
        exchange = self._exchange
        beat = exchange.beat(symbol)
        touch = self._left(symbol) if exchange.is_touched(symbol) else beat.quote
        return beat.prints, touch, kind_of(beat.halt)

    def _left(self, symbol: str) -> QuoteAt:
        """Return the best of what our own orders have left."""
        book = self._exchange.book(symbol)
        if book is None:
            return NO_QUOTE
        bids, asks = book.levels(Side.BUY), book.levels(Side.SELL)
        bid, bid_size = bids[0] if bids else (-1.0, 0)
        ask, ask_size = asks[0] if asks else (-1.0, 0)
        return QuoteAt(self._exchange.now, bid, ask, bid_size, ask_size)

    def closing_touch(self, symbol: str) -> QuoteAt:
        last = self._exchange.last(symbol)
        return NO_QUOTE if last is None else drawn_touch(self._exchange, symbol, last)

    def so_far(self, symbol: str) -> Sequence[Slice]:
        return self._exchange.so_far(symbol)

    def part(self, symbol: str) -> Sequence[Print]:
        exchange = self._exchange
        if not exchange.is_open:
            return ()
        begin = exchange.now - (exchange.now - exchange.session.open) % SLICE_NS
        return list(exchange.prints_between(symbol, begin, exchange.now))

    def last_print(self, symbol: str) -> Print | None:
        traded = next((one for one in reversed(self.so_far(symbol)) if one.volume), None)
        if traded is None:
            return None
        return list(self._exchange.prints_between(symbol, traded.start, traded.start + SLICE_NS))[-1]

    def close_before(self, symbol: str) -> float | None:
        return self._exchange.close_before(symbol)


class DelayedView(LiveView):
    """The market a quarter of an hour ago, in steps of five seconds; the end of a day is never seen that way."""

    kinds = DELAYED

    @property
    def then(self) -> int:
        """The end of the last slice that may be seen, UTC ns."""
        exchange = self._exchange
        return exchange.now - DELAY_NS - (exchange.now - exchange.session.open) % SLICE_NS

    @property
    def is_open(self) -> bool:
        session = self._exchange.session
        return session.open <= self.then < session.close

    @property
    def slice_ended(self) -> bool:
        return self._exchange.slice_ended and self.then > self._exchange.session.open

    def look(self, symbol: str) -> tuple[Sequence[Print], QuoteAt, int]:
        then, exchange = self.then, self._exchange
        prints = list(exchange.prints_between(symbol, then - SLICE_NS, then)) if self.slice_ended else ()
        return prints, self._touch(symbol), kind_of(exchange.halt(symbol))

    def _touch(self, symbol: str) -> QuoteAt:
        """Return the last quote of the two slices before; none means that there was a halt."""
        if not self.is_open:
            return NO_QUOTE
        latest = NO_QUOTE
        for quote in self._exchange.quotes_between(symbol, self.then - 2 * SLICE_NS, self.then):
            latest = quote
        return latest

    def closing_touch(self, symbol: str) -> QuoteAt:
        so_far = self.so_far(symbol)
        last = so_far[-1].close if so_far else self.close_before(symbol)
        return NO_QUOTE if last is None else drawn_touch(self._exchange, symbol, last)

    def so_far(self, symbol: str) -> Sequence[Slice]:
        slices = max(0, (self.then - self._exchange.session.open) // SLICE_NS)
        return self._exchange.so_far(symbol)[:slices]

    def part(self, symbol: str) -> Sequence[Print]:
        return ()


def kind_of(halt: Halt | None) -> int:
    """Return 0 for trading, 1 for a halt, 2 for a pause by volatility."""
    if halt is None:
        return 0
    return 2 if halt.reason.startswith(_PAUSE) else 1


def drawn_touch(exchange: Exchange, symbol: str, price: float) -> QuoteAt:
    """Return a quote of a round lot a side around a price."""
    bid, ask = standing_quote(price, exchange.source.spread(symbol, price))
    return QuoteAt(exchange.now, bid, ask, _LOT, _LOT)
