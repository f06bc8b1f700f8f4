"""Selling what one does not have: shares that can be borrowed, and the price test after a fall."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from enum import Enum

from robo_trader.core.events import Side
from robo_trader.practice.account.books import Books, exact, price_step
from robo_trader.practice.account.tickets import Ticket
from robo_trader.practice.market.exchange import Exchange
from robo_trader.simulation.tape import SLICE_NS

PLENTY = 10_000_000  # shares of a symbol of which nothing else is said
WHY_HELD = "locate"
HELD = 404, "Order held while securities are located."
NOT_SHORTABLE = "The contract is not available for short sale."
_FALL = 0.9  # of the previous close
_LOW = 2  # column of a slice's prices


class Locate(Enum):
    """What becomes of a sell order: it may work, it waits for shares, or it is refused."""

    FOUND = "found"
    HELD = "held"
    REFUSED = "refused"


class Borrow:
    """Shares that can be borrowed for short sales: plenty of every symbol but those in `shares`."""

    def __init__(self, shares: dict[str, int | None] | None = None) -> None:
        self.shares: dict[str, int | None] = dict(shares or {})

    def limit(self, symbol: str, shares: int | None) -> None:
        """Lend no more than `shares` of a symbol; with 0 short sales wait, with None they are refused."""
        self.shares[symbol] = shares

    def free(self, symbol: str) -> None:
        """Lend plenty of a symbol again."""
        self.shares.pop(symbol, None)

    def available(self, symbol: str, books: Books) -> int:
        """Return how many more shares can be sold short than already are."""
        lent = max(0, -books.quantity(symbol))
        return max(0, (self.shares.get(symbol, PLENTY) or 0) - lent)

    def locate(self, ticket: Ticket, working: Iterable[Ticket], books: Books) -> Locate:
        """Say whether the shares of a sell order, besides those of the other working sells, can be delivered.

        `working` are the orders that have found theirs; orders that still wait must not be among them.
        """
        if ticket.side is not Side.SELL or ticket.symbol not in self.shares:
            return Locate.FOUND
        claims: dict[int | str, int] = {}  # of an OCA group only the largest order sells
        for other in working:
            mine = other.perm_id == ticket.perm_id or (ticket.oca and other.oca == ticket.oca)
            if _sells(other, ticket.symbol) and not mine:
                of = other.oca or other.perm_id
                claims[of] = max(claims.get(of, 0), other.workable)
        short_after = sum(claims.values()) + ticket.remaining - books.quantity(ticket.symbol)
        lendable = self.shares[ticket.symbol]
        if short_after <= 0:
            return Locate.FOUND
        if lendable is None:
            return Locate.REFUSED
        return Locate.FOUND if short_after <= lendable else Locate.HELD


class PriceTest:
    """Rule 201 of Regulation SHO: a share that fell by a tenth is sold short only above the best bid.

    It holds from a trade at 90 % of the previous close or below for the rest of that session and all of the next.
    Source: 17 CFR 242.201. All of it follows from the market's prices, so nothing of it is kept over a restart.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._label = ""
        self._fallen: dict[str, bool] = {}  # the session before, and today once it has happened
        self._seen: dict[str, int] = {}  # slices of today looked at

    def restricted(self, symbol: str) -> bool:
        """Return whether a short sale of a share is under the price test now."""
        if self._label != self._exchange.session.label:
            self._label = self._exchange.session.label
            self._fallen.clear()
            self._seen.clear()
        if symbol not in self._fallen:
            self._fallen[symbol] = self._fell_before(symbol)
        if not self._fallen[symbol]:
            self._fallen[symbol] = self._fell_today(symbol)
        return self._fallen[symbol]

    def floor(self, symbol: str, bid: float) -> Decimal | None:
        """Return the lowest price a short sale may trade at, one tick above the best bid; None without a test."""
        if not self.restricted(symbol):
            return None
        return exact(bid) + price_step(bid)

    def _fell_today(self, symbol: str) -> bool:
        exchange, seen = self._exchange, self._seen.get(symbol, 0)
        ended = (exchange.now - exchange.session.open) // SLICE_NS
        if ended <= seen:
            return False
        self._seen[symbol] = ended
        rows, close = exchange.rows(symbol, exchange.session), exchange.close_before(symbol)
        if rows is None or close is None:
            return False
        return bool((rows.prices[seen:ended, _LOW] <= _FALL * close).any())

    def _fell_before(self, symbol: str) -> bool:
        exchange = self._exchange
        (before,) = exchange.calendar.before(exchange.session.label, 1)
        (earlier,) = exchange.calendar.before(before.label, 1)
        if earlier.label < exchange.source.first:
            return False
        lows, closes = exchange.minutes(symbol, before).low, exchange.minutes(symbol, earlier).close
        return bool(len(lows) and len(closes) and lows.min() <= _FALL * closes[-1])


def _sells(ticket: Ticket, symbol: str) -> bool:
    return ticket.symbol == symbol and ticket.side is Side.SELL
