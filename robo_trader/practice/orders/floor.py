"""Where orders meet the market: they take what the book shows, wait in its queues, and trade in the auctions."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from robo_trader.core.events import Side
from robo_trader.practice.account.shorts import PriceTest
from robo_trader.practice.account.tickets import (
    ON_CLOSE,
    OPENING,
    PENDING,
    PRE_SUBMITTED,
    REMOVED,
    SUBMITTED,
    Ticket,
)
from robo_trader.practice.market.exchange import Exchange
from robo_trader.practice.orders.algos import NOTHING, Sight, Stance, stance
from robo_trader.practice.orders.life import OrderLife
from robo_trader.practice.orders.order_file import OrderFile
from robo_trader.practice.orders.triggers import Prices, watch
from robo_trader.simulation.limit_book import LimitBook
from robo_trader.simulation.tape import SLICE_NS

_CENT = Decimal("0.01")


class Floor:
    """Works the live orders of one account, oldest first.

    An order that rests keeps its place in the queue until its price changes or it grows. An order with a display size
    shows only that many shares; when they are gone the next ones join the back of the queue. All-or-none and
    fill-or-kill orders trade only when the book shows all they want.
    """

    def __init__(self, exchange: Exchange, file: OrderFile, life: OrderLife) -> None:
        self._exchange = exchange
        self._file = file
        self._life = life
        self._test = PriceTest(exchange)
        self._resting_at: dict[int, Decimal] = {}  # by permanent id
        self._resting: dict[int, Ticket] = {}  # orders as they were when they last rested as they should
        self._auctioned: dict[tuple[str, Side], int] = {}  # shares we got in the auctions of this beat

    def settle(self, now: int) -> None:
        """Work every order that something has happened to, until nothing more happens."""
        stirred = self._life.stirred
        while stirred:
            perm_id = next(iter(stirred))
            del stirred[perm_id]
            self._meet(perm_id, now)

    def beat(self, now: int) -> None:
        """Book what resting orders got in the beat just made, then trigger, auction, end and work orders."""
        # What a fill of this beat sets free has not seen the prints before that fill.
        watched = [t.perm_id for t in self._file.live() if t.waits_for_trigger and self._may_work(t)]
        prices = Prices(self._exchange)
        left = self._life.leave_at_last()
        for got in self._exchange.fills:
            ticket = self._file.get(got.key) if got.key not in left else None
            quantity = min(got.quantity, ticket.workable) if ticket is not None and not ticket.done else 0
            if ticket is not None and quantity > 0:
                self._life.fill(ticket, quantity, got.price, now)
        for perm_id in watched:
            self._watch(perm_id, prices)
        self._auctioned.clear()
        for ticket in self._file.live():
            if ticket.type in ON_CLOSE or ticket.tif == OPENING:
                self._auction(ticket.perm_id, now)
        self.lapse(now)
        self._life.stirred.update(self._restless())
        self.settle(now)
        if self._exchange.slice_ended:
            self._resting_at = {key: price for key, price in self._resting_at.items() if self._is_live(key)}
            self._resting = {key: ticket for key, ticket in self._resting.items() if self._is_live(key)}

    def _restless(self) -> dict[int, None]:
        """Return the live orders that may have something to do: all but those that rest as they did."""
        live, resting, exchange = self._file.live(), self._resting, self._exchange
        books = {symbol: exchange.book(symbol) for symbol in {ticket.symbol for ticket in live}}
        found: dict[int, None] = {}
        for ticket in live:
            key, book = ticket.perm_id, books[ticket.symbol]
            if resting.get(key) is not ticket or (book is not None and key not in book):
                found[key] = None
        return found

    def lapse(self, now: int) -> None:
        """End the orders whose time is over."""
        for ticket in self._file.live():
            if ticket.expires and ticket.expires <= now and self._is_live(ticket.perm_id):
                self._life.lapse(ticket, "Expired", now)

    def forget(self, ticket: Ticket) -> None:
        """Take an order out of its queue, so that it lines up anew."""
        self._resting_at.pop(ticket.perm_id, None)
        self._life.leave(ticket)

    def shrink(self, ticket: Ticket) -> None:
        """Leave an order no more shares in its queue than it wants, at its place."""
        book = self._exchange.book(ticket.symbol)
        if book is not None and book.remaining(ticket.perm_id) > ticket.workable:
            book.reduce(ticket.perm_id, ticket.workable)

    def _is_live(self, perm_id: int) -> bool:
        ticket = self._file.get(perm_id)
        return ticket is not None and not ticket.done

    # -------------------------------------------------------------------------------------- before the market

    def _watch(self, perm_id: int, prices: Prices) -> None:
        ticket = self._file.get(perm_id)
        if ticket is None or ticket.done:
            return
        after = watch(ticket, prices(ticket))
        if after is ticket:
            return
        if after.triggered:
            self._file.tell_status(self._file.change(after, status=SUBMITTED))
        else:
            self._file.put(after)

    def _may_work(self, ticket: Ticket) -> bool:
        return (
            ticket.status != PENDING
            and not ticket.held
            and ticket.workable > 0
            and ticket.starts <= self._exchange.now
        )

    def _auction(self, perm_id: int, now: int) -> None:
        ticket, exchange = self._file.get(perm_id), self._exchange
        if ticket is None or ticket.done or not self._may_work(ticket):
            return
        auction = exchange.auction(ticket.symbol)
        if auction is None or auction.opening != (ticket.tif == OPENING):
            return
        price, limit = Decimal(repr(auction.price)), ticket.priced_at
        ours = ticket.symbol, ticket.side
        quantity = min(ticket.workable, auction.size - self._auctioned.get(ours, 0))
        if ticket.terms.all_or_none and quantity < ticket.remaining:
            quantity = 0
        if quantity > 0 and (limit is None or (limit - price) * ticket.side.sign >= 0):
            self._auctioned[ours] = self._auctioned.get(ours, 0) + quantity
            ticket = self._life.fill(ticket, quantity, price, now)
        if not ticket.done:
            self._life.lapse(ticket, "Not filled in the auction", now)

    # ------------------------------------------------------------------------------------------ in the market

    def _meet(self, perm_id: int, now: int) -> None:
        ticket, exchange = self._file.get(perm_id), self._exchange
        if ticket is None or ticket.done or not exchange.is_open or not self._may_work(ticket):
            return
        if ticket.waits_for_trigger or ticket.tif == OPENING:
            return
        book = None if ticket.type in ON_CLOSE else exchange.book(ticket.symbol)
        if book is not None and self._is_settled(ticket, book):
            self._resting[perm_id] = ticket
        elif book is not None:
            if not ticket.since:
                ticket = self._file.change(ticket, since=now)
            self._trade(ticket, book, now)
        after = self._file.get(perm_id)
        if after is not None and after.status == PRE_SUBMITTED:
            self._file.tell_status(self._file.change(after, status=SUBMITTED))

    def _is_settled(self, ticket: Ticket, book: LimitBook) -> bool:
        """Say whether a plain limit order rests as it should, so that nothing needs to be looked at."""
        key, terms = ticket.perm_id, ticket.terms
        if key not in book or terms.algo or terms.display_size or ticket.type == "MIDPRICE":
            return False
        return self._resting_at.get(key) == ticket.limit and book.remaining(key) == ticket.workable

    def _trade(self, ticket: Ticket, book: LimitBook, now: int) -> None:
        stands = self._stance(ticket, book, now)
        if stands.over:
            return self._life.lapse(ticket, "Algo ended", now)
        if stands.quantity <= 0:
            return self.forget(ticket)
        if self._stays(ticket, book, stands):
            return None
        self._life.leave(ticket)
        ticket, left = self._take(ticket, book, stands, now)
        if ticket.done or self._file.get(ticket.perm_id) is not ticket:
            return None
        if ticket.tif in ("IOC", "FOK"):
            return self._life.lapse(ticket, f"{ticket.tif} order not filled", now)
        if stands.rest is not None and left > 0 and not ticket.terms.all_or_none:
            self._rest(ticket, book, stands.rest, left)
        return None

    def _stance(self, ticket: Ticket, book: LimitBook, now: int) -> Stance:
        bids, asks = book.levels(Side.BUY), book.levels(Side.SELL)
        if (ticket.terms.algo or ticket.type == "MIDPRICE") and not (bids and asks):
            return NOTHING
        bid, ask = (Decimal(repr(side[0].price)) if side else Decimal(0) for side in (bids, asks))
        stands = stance(ticket, Sight(now, self._exchange.session, bid, ask, self._traded(ticket)))
        return self._lawful(ticket, stands, bids[0].price) if bids else stands

    def _lawful(self, ticket: Ticket, stands: Stance, bid: float) -> Stance:
        """Keep a short sale above the bid where the price test holds."""
        if ticket.side is Side.BUY or self._file.books.quantity(ticket.symbol) >= ticket.remaining:
            return stands
        floor = self._test.floor(ticket.symbol, bid)
        if floor is None:
            return stands
        limit = max(stands.limit or floor, floor)
        return stands._replace(limit=limit, rest=max(stands.rest or floor, floor))

    def _traded(self, ticket: Ticket) -> int:
        """Return the volume traded in whole slices since an order was first worked."""
        if ticket.terms.algo != "Vwap":
            return 0
        exchange = self._exchange
        opened, rows = exchange.session.open, exchange.rows(ticket.symbol, exchange.session)
        first, ended = (max(0, ts - opened) // SLICE_NS for ts in (ticket.since, exchange.now))
        return int(rows.volume[first:ended].sum()) if rows is not None else 0

    def _stays(self, ticket: Ticket, book: LimitBook, stands: Stance) -> bool:
        key = ticket.perm_id
        if key not in book or self._resting_at.get(key) != stands.rest:
            return False
        if book.remaining(key) > stands.quantity:
            book.reduce(key, stands.quantity)
        return bool(ticket.terms.display_size) or book.remaining(key) >= stands.quantity

    def _take(self, ticket: Ticket, book: LimitBook, stands: Stance, now: int) -> tuple[Ticket, int]:
        """Take what the book shows. Return the order after that, and what of the stance is still wanted."""
        wanted = stands.quantity
        whole = ticket.tif == "FOK" or ticket.terms.all_or_none
        if whole and min(wanted, _shown(book, ticket.side, stands.limit)) < ticket.remaining:
            return ticket, wanted
        for got in book.take(ticket.side, wanted, stands.limit):
            ticket = self._life.fill(ticket, got.quantity, got.price, now, REMOVED)
            wanted -= got.quantity
        return ticket, wanted

    def _rest(self, ticket: Ticket, book: LimitBook, price: Decimal, quantity: int) -> None:
        shown = min(quantity, ticket.terms.display_size or quantity)
        on_cent = price.quantize(_CENT, ROUND_FLOOR if ticket.side is Side.BUY else ROUND_CEILING)
        if on_cent > 0:  # a bid below one cent has no queue to wait in
            book.rest(ticket.perm_id, ticket.side, on_cent, shown)
            self._resting_at[ticket.perm_id] = price


def _shown(book: LimitBook, side: Side, limit: Decimal | None) -> int:
    other = Side.SELL if side is Side.BUY else Side.BUY
    within = (
        level for level in book.levels(other)
        if limit is None or (Decimal(repr(level.price)) - limit) * side.sign <= 0
    )  # fmt: skip
    return sum(level.size for level in within)
