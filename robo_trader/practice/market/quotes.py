"""What is told of a touch and of an auction: the best bid and offer, and who took them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from robo_trader.core.events import Side
from robo_trader.simulation.flow import CLOSING, OPENING, Print, TouchAt


class QuoteAt(NamedTuple):
    """The best bid and offer from `ts` (UTC ns) on, in USD and shares; -1 and 0 for a side nobody quotes."""

    ts: int
    bid: float
    ask: float
    bid_size: int
    ask_size: int


class Auction(NamedTuple):
    """What the opening or the closing auction of a session traded: price in USD, shares."""

    opening: bool
    price: float
    size: int


def no_quote(ts: int) -> QuoteAt:
    return QuoteAt(ts, -1.0, -1.0, 0, 0)


def quote_of(touch: TouchAt) -> QuoteAt:
    bid, ask = touch.bid / 100 if touch.bid else -1.0, touch.ask / 100 if touch.ask else -1.0
    return QuoteAt(touch.ts, bid, ask, touch.bid_size, touch.ask_size)


def changes(events: Iterable[Print | TouchAt], last: QuoteAt) -> Iterator[QuoteAt]:
    """Return the quotes that differ from the one before, the first from `last`."""
    for event in events:
        if isinstance(event, TouchAt) and (quote := quote_of(event))[1:] != last[1:]:
            last = quote
            yield quote


def aggressor(price: float, touch: TouchAt) -> Side | None:
    """Return who took: the buyer at the ask or above, the seller at the bid or below, unknown between."""
    if touch.ask and price >= touch.ask / 100:
        return Side.BUY
    return Side.SELL if price <= touch.bid / 100 else None


def auction_in(prints: Iterable[Print]) -> Auction | None:
    """Return the auction among these trades, None where there is none."""
    for done in prints:
        marks = done.conditions.split()
        if OPENING in marks or CLOSING in marks:
            return Auction(OPENING in marks, done.price, done.size)
    return None
