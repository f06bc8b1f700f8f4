"""When a stop becomes an order: what its trigger method looks at, and how a trailing stop follows the price."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import msgspec

from robo_trader.core.events import Side
from robo_trader.practice.account.tickets import TRAILING, Ticket
from robo_trader.practice.market.exchange import Exchange

_CENT = Decimal("0.01")
_DOUBLED = frozenset({1, 3})  # methods that want two prices in a row
_HUNDRED = 100


def first_stop(ticket: Ticket, last: float | None) -> Decimal | None:
    """Return where the stop of a new order stands: where it says, or a trailing amount from the last price."""
    if ticket.type not in TRAILING:
        return ticket.terms.aux
    if ticket.terms.trail_stop:
        return ticket.terms.trail_stop
    return _behind(ticket, Decimal(repr(last))) if last is not None else None


class Prices:
    """What stops look at in the beat just made, looked up once for all that look at the same.

    Methods as in TWS: 0 and 2 last price, 3 two last prices in a row, 4 bid or ask (a buy stop looks at the bid, a
    sell stop at the ask), 1 two of these in a row, 7 last price or bid or ask, 8 midpoint.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._seen: dict[tuple[str, Side, int], Sequence[Decimal]] = {}

    def __call__(self, ticket: Ticket) -> Sequence[Decimal]:
        """Return the prices an order looks at, oldest first."""
        of = ticket.symbol, ticket.side, ticket.terms.trigger_method
        if of not in self._seen:
            self._seen[of] = tuple(_observed(ticket, self._exchange))
        return self._seen[of]


def watch(ticket: Ticket, prices: Sequence[Decimal]) -> Ticket:
    """Return an untriggered stop after these prices: as it was, moved, or triggered."""
    stop, seen, needed = ticket.stop, ticket.trigger_seen, 2 if ticket.terms.trigger_method in _DOUBLED else 1
    moves = ticket.type in TRAILING and prices and _moves(ticket, prices)
    for price in prices:
        if stop is not None and (price - stop) * ticket.side.sign >= 0:
            seen += 1
            if seen >= needed:
                return _triggered(msgspec.structs.replace(ticket, stop=stop))
            continue
        seen = 0
        if moves:
            stop = _followed(ticket, stop, price)
    if (stop, seen) == (ticket.stop, ticket.trigger_seen):
        return ticket
    return msgspec.structs.replace(ticket, stop=stop, trigger_seen=seen)


def _observed(ticket: Ticket, exchange: Exchange) -> Iterator[Decimal]:
    method, symbol = ticket.terms.trigger_method, ticket.symbol
    if method in (0, 2, 3, 7):
        yield from (Decimal(repr(trade.price)) for trade in exchange.prints(symbol))
    if method in (1, 4, 7, 8):
        for quote in exchange.quotes(symbol):
            if quote.bid > 0 and quote.ask > 0:
                bid, ask = Decimal(repr(quote.bid)), Decimal(repr(quote.ask))
                yield (bid + ask) / 2 if method == 8 else bid if ticket.side is Side.BUY else ask


def _behind(ticket: Ticket, price: Decimal) -> Decimal:
    """Return the stop that trails a price: below it for a sell, above it for a buy, on the cent."""
    percent = ticket.terms.trailing_percent
    amount = price * percent / _HUNDRED if percent else ticket.terms.aux or Decimal(0)
    rounding = ROUND_FLOOR if ticket.side is Side.SELL else ROUND_CEILING
    return max(_CENT, (price + ticket.side.sign * amount).quantize(_CENT, rounding))


def _moves(ticket: Ticket, prices: Sequence[Decimal]) -> bool:
    """Say whether any of these prices moves a trailing stop; most do not, which is quickly seen of the best one."""
    best = max(prices) if ticket.side is Side.SELL else min(prices)
    return ticket.stop is None or _followed(ticket, ticket.stop, best) != ticket.stop


def _followed(ticket: Ticket, stop: Decimal | None, price: Decimal) -> Decimal:
    """Return a trailing stop after a price: it only ever comes closer."""
    trailed: Sequence[Decimal] = [_behind(ticket, price), *([stop] if stop is not None else [])]
    return max(trailed) if ticket.side is Side.SELL else min(trailed)


def _triggered(ticket: Ticket) -> Ticket:
    limit = ticket.limit
    if ticket.type == "TRAIL LIMIT" and ticket.stop is not None and ticket.terms.limit_offset is not None:
        limit = ticket.stop + ticket.side.sign * ticket.terms.limit_offset
    return msgspec.structs.replace(ticket, triggered=True, limit=limit)
