"""An exchange for tests, and what they do with it."""

from __future__ import annotations

from datetime import date

from robo_trader.core.events import SECOND_NS, Side
from robo_trader.data.sessions import XnysCalendar
from robo_trader.practice.market.exchange import Exchange, LimitBook
from robo_trader.simulation.market import SyntheticMarket
from robo_trader.simulation.tape import MinuteSource

CALENDAR = XnysCalendar()
MONDAY, TUESDAY = CALENDAR.sessions(date(2026, 1, 12), date(2026, 1, 13))
MARKET = SyntheticMarket(11)


def exchange_of(market: MinuteSource = MARKET, start: str | None = None, beats: int = 5) -> Exchange:
    return Exchange(market, CALENDAR, start, beats)


def open_exchange(market: MinuteSource = MARKET, beats: int = 5) -> Exchange:
    exchange = exchange_of(market, beats=beats)
    forward(exchange, 5)
    return exchange


def forward(exchange: Exchange, seconds: float) -> None:
    """Step that far on."""
    until = exchange.now + round(seconds * SECOND_NS)
    while exchange.now < until:
        assert exchange.step()


def book_of(exchange: Exchange, symbol: str = "AAPL") -> LimitBook:
    book = exchange.book(symbol)
    assert book is not None
    return book


def top_of(book: LimitBook) -> tuple[float, float, int, int]:
    bid, ask = (book.levels(side)[0] for side in (Side.BUY, Side.SELL))
    return bid.price, ask.price, bid.size, ask.size


def next_session(exchange: Exchange) -> None:
    exchange.seek(exchange.session.close)
    exchange.step()
