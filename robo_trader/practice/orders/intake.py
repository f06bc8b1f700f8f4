"""How orders come in: checked, built, transmitted family by family, and changed."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from robo_trader.core.events import MINUTE_NS, Side
from robo_trader.core.protocols import Session
from robo_trader.practice.account import margin, shorts, tickets
from robo_trader.practice.account.shorts import Borrow, Locate
from robo_trader.practice.account.tickets import ALL, ON_CLOSE, OPENING, TRAILING, Terms, Ticket
from robo_trader.practice.market.contracts import NO_DEFINITION, Directory
from robo_trader.practice.market.exchange import Exchange
from robo_trader.practice.market.stamps import stamp
from robo_trader.practice.orders import messages as say
from robo_trader.practice.orders.checks import Flaw, flaw, modification_flaw, unsupported
from robo_trader.practice.orders.floor import Floor
from robo_trader.practice.orders.life import OrderLife, released
from robo_trader.practice.orders.order_file import OrderFile
from robo_trader.practice.orders.requests import PlaceOrder
from robo_trader.practice.orders.triggers import first_stop
from robo_trader.practice.protocol.moments import moment

_CUT_OFF = {"MOC": 10 * MINUTE_NS, "LOC": 2 * MINUTE_NS}  # before the close
_GENERATIONS = 3  # in one family of orders
_REJECTED = "Order rejected - reason:"
_CROWD = "Your account has a minimum of {} orders working on either the buy or sell side for this particular contract"


class OrderIntake:
    """Takes new orders and changes of live ones."""

    def __init__(
        self,
        account: str,
        exchange: Exchange,
        directory: Directory,
        file: OrderFile,
        life: OrderLife,
        floor: Floor,
        borrow: Borrow,
        orders_a_side: int,
    ) -> None:
        self._account = account
        self._exchange = exchange
        self._directory = directory
        self._file = file
        self._life = life
        self._floor = floor
        self._borrow = borrow
        self._orders_a_side = orders_a_side

    # --------------------------------------------------------------------------------------------- new orders

    def place(self, client: int, request: PlaceOrder, now: int) -> None:
        """Take a new order or, under the id of a live one, its modification; a what-if order is only answered."""
        known = self._file.find(client, request.order_id)
        if request.what_if:
            return self._place(client, request, now)
        if known is not None and not known.done:
            return self._modify(known, request, now)
        if known is not None and known.status == tickets.FILLED and self._changes(known, request):
            return self._file.refuse(client, request.order_id, 104, "Can't modify a filled order.")
        if request.order_id < self._file.next_id(client):
            return self._file.refuse(client, request.order_id, 103, "Duplicate order id")
        return self._place(client, request, now)

    def _changes(self, known: Ticket, request: PlaceOrder) -> bool:
        same = self._directory.find(request.contract) == known.symbol and request.action == known.side
        figures = request.quantity, _limit(request), request.terms.aux or None
        return same and figures != (known.quantity, known.limit, known.terms.aux or None)

    def _place(self, client: int, request: PlaceOrder, now: int) -> None:
        symbol = self._directory.find(request.contract)
        found = (200, NO_DEFINITION) if symbol is None else flaw(request, now)
        parent_id = request.terms.parent_id
        parent = self._file.find(client, parent_id) if parent_id else None
        if (
            found is None
            and parent_id
            and (parent is None or parent.status in (tickets.CANCELLED, tickets.INACTIVE))
        ):
            found = 135, f"Can't find order with id = {parent_id}"
        if found is not None or symbol is None:
            return self._file.refuse(client, request.order_id, *(found or (200, NO_DEFINITION)))
        ticket = self._build(client, request, symbol, parent, now)
        found = unsupported(request, self._account) or self._too_late(ticket, now) or self._too_deep(ticket)
        found = found or self._too_many(ticket)
        if request.what_if:
            return self._answer_what_if(ticket, found)
        if found is not None:
            return self._life.reject(ticket, *found, now)
        self._file.put(ticket)
        return self._transmit(ticket, now) if request.transmit else None

    def _build(
        self, client: int, request: PlaceOrder, symbol: str, parent: Ticket | None, now: int
    ) -> Ticket:
        terms, tif = request.terms, request.tif or "DAY"
        ticket = Ticket(
            0 if request.what_if else self._file.next_perm_id(), client, request.order_id, symbol,
            Side(request.action), int(request.quantity), request.type, _limit(request), tif, request.ref,
            self._account, tickets.PENDING, terms=terms, oca=terms.oca_group, oca_type=terms.oca_type or 3,
            starts=moment(terms.good_after, now) if terms.good_after else 0,
            expires=self.expiry(tif, terms.good_till, now),
        )  # fmt: skip
        if parent is not None:
            ticket = msgspec.structs.replace(
                ticket, parent=parent.perm_id, released=released(ticket, parent), oca=str(parent.perm_id), oca_type=3,
            )  # fmt: skip
        return msgspec.structs.replace(ticket, stop=self._first_stop(ticket, now))

    def _first_stop(self, ticket: Ticket, now: int) -> Decimal | None:
        """Return where a stop stands; one that does not work yet begins to trail when it does."""
        works = ticket.workable > 0 and ticket.starts <= now
        return first_stop(ticket, self._exchange.last(ticket.symbol) if works else None)

    def _session(self, now: int) -> Session:
        """Return the session that an order placed now is for."""
        session = self._exchange.session
        return session if now < session.close else self._exchange.calendar.after(session.label)

    def expiry(self, tif: str, good_till: str, now: int) -> int:
        """Return when an order placed now ends by itself, UTC ns; 0 for never."""
        if tif == "GTC":
            return 0
        if tif == "GTD":
            return moment(good_till, now)
        if tif != OPENING:
            return self._session(now).close
        opens = self._session(now).open
        return (
            opens if now < opens else self._exchange.calendar.after(self._session(now).label).open
        ) + MINUTE_NS

    def _too_late(self, ticket: Ticket, now: int) -> Flaw | None:
        cut_off = _CUT_OFF.get(ticket.type)
        if cut_off is None or now < self._session(now).close - cut_off:
            return None
        return (
            201,
            f"{_REJECTED}{ticket.type} orders are not accepted within {cut_off // MINUTE_NS} minutes of the close",
        )

    def _too_deep(self, ticket: Ticket) -> Flaw | None:
        for _ in range(_GENERATIONS):
            above = self._file.get(ticket.parent)
            if above is None:
                return None
            ticket = above
        return 201, f"{_REJECTED}a family has no more than {_GENERATIONS} generations of orders"

    def _too_many(self, ticket: Ticket) -> Flaw | None:
        if not ticket.oca or ticket.parent or not self._file.has_traded(ticket.oca):
            return None
        return 201, f"{_REJECTED}an order of OCA group {ticket.oca} has already traded"

    def _answer_what_if(self, ticket: Ticket, found: Flaw | None) -> None:
        if found is not None:
            return self._file.refuse(ticket.client_id, ticket.order_id, *found)
        effect = margin.impact(self._file.books, self._exchange.last, ticket, self._exchange.is_open)
        asked = msgspec.structs.replace(ticket, status=tickets.PRE_SUBMITTED)
        return self._file.answer(
            ticket.client_id, lambda version: say.open_order(version, asked, impact=effect)
        )

    # ---------------------------------------------------------------------------------------------- transmitting

    def _transmit(self, ticket: Ticket, now: int) -> None:
        """Send an order to the market, with all of its family that waited for it: parents first."""
        root = ticket
        while (above := self._file.get(root.parent)) is not None:
            root = above
        family = [root]
        for member in family:
            family += self._file.children(member)
        for member in family:
            waiting = self._file.get(member.perm_id)
            if waiting is not None and waiting.status == tickets.PENDING:
                self.accept(waiting, now)

    def accept(self, ticket: Ticket, now: int) -> None:
        """Let an order into the market, or reject it for want of margin or of shares to borrow."""
        found = Locate.FOUND
        reason = self._crowd(ticket)
        if reason or not self._is_exit(ticket):
            reason = reason or self._refusal(ticket)
            if reason:
                return self._life.reject(ticket, 201, _REJECTED + reason, now)
            found = self.locate(ticket)
            if found is Locate.REFUSED:
                return self._life.reject(ticket, 201, _REJECTED + shorts.NOT_SHORTABLE, now)
        held = shorts.WHY_HELD if found is Locate.HELD else ""
        accepted = self._file.change(ticket, status=tickets.PRE_SUBMITTED, held=held)
        self._file.tell_status(accepted)
        if held:
            self._file.refuse_order(accepted, *shorts.HELD)
        if not self._exchange.is_open:
            return self._warn_closed(accepted)
        self._life.stirred[accepted.perm_id] = None
        return self._floor.settle(now)

    def _crowd(self, ticket: Ticket) -> str:
        """Return why no more orders of its side are taken for a share, children that wait among them."""
        ours = ticket.symbol, ticket.side
        working = sum((other.symbol, other.side) == ours for other in self._file.working())
        return _CROWD.format(self._orders_a_side) if working >= self._orders_a_side else ""

    def locate(self, ticket: Ticket) -> Locate:
        """Say whether the shares an order sells are there or can be borrowed."""
        located = [other for other in self._file.working() if not other.held]
        return self._borrow.locate(ticket, located, self._file.books)

    def _refusal(self, ticket: Ticket) -> str:
        """Return why the account cannot carry an order. Of an OCA group the largest counts, of a bracket the parent."""
        exchange, counted = self._exchange, dict[int | str, Ticket]()
        for other in self._file.working():
            of = other.oca or other.perm_id
            if self._is_exit(other) or of == ticket.oca:
                continue
            rival = counted.setdefault(of, other)
            if rival is not other and self._worth(other) > self._worth(rival):
                counted[of] = other
        return margin.refusal(ticket, counted.values(), self._file.books, exchange.last, exchange.is_open)

    def _worth(self, ticket: Ticket) -> Decimal:
        return ticket.remaining * margin.order_price(ticket, self._file.books, self._exchange.last)

    def _is_exit(self, ticket: Ticket) -> bool:
        """Say whether an order only closes what its parent opens."""
        parent = self._file.get(ticket.parent)
        if parent is None or (parent.symbol, parent.side) == (ticket.symbol, ticket.side):
            return False
        return parent.symbol == ticket.symbol and ticket.quantity <= parent.quantity + parent.reduced

    def _warn_closed(self, ticket: Ticket) -> None:
        opens = self._exchange.session.open
        if self._exchange.now >= opens:
            opens = self._exchange.calendar.after(self._exchange.session.label).open
        text = (
            f"Order Message:\n{ticket.side} {ticket.quantity} {ticket.symbol} NASDAQ.NMS\n"
            f"Warning: your order will not be placed at the exchange until {stamp(178, opens)}"
        )
        self._file.refuse_order(ticket, 399, text)

    # ------------------------------------------------------------------------------------------------- changes

    def _modify(self, ticket: Ticket, request: PlaceOrder, now: int) -> None:
        found = self._modification_flaw(ticket, request, now)
        if found is None:
            changed = self._changed(ticket, request, now)
            changed, found = self._afforded(changed)
        if found is not None:
            return self._file.refuse(ticket.client_id, ticket.order_id, *found)
        self._file.put(changed)
        if ticket.status == tickets.PENDING:
            return self._transmit(changed, now) if request.transmit else None
        if changed.workable > ticket.workable or _place(changed) != _place(ticket):
            self._floor.forget(changed)
        else:
            self._floor.shrink(changed)
        self._file.tell_status(changed)
        if changed.held != ticket.held:
            self._floor.forget(changed)
            self._file.refuse_order(changed, *shorts.HELD)
        self._life.stirred[changed.perm_id] = None
        return self._floor.settle(now)

    def _afforded(self, changed: Ticket) -> tuple[Ticket, Flaw | None]:
        """Return a changed order, held where more shares must be located, and why the account cannot carry it."""
        if changed.status == tickets.PENDING or self._is_exit(changed):
            return changed, None
        reason, found = self._refusal(changed), self.locate(changed)
        if not reason and found is Locate.REFUSED:
            reason = shorts.NOT_SHORTABLE
        if not reason and found is Locate.HELD and not changed.held:
            changed = msgspec.structs.replace(changed, held=shorts.WHY_HELD, status=tickets.PRE_SUBMITTED)
        return changed, (201, _REJECTED + reason) if reason else None

    def _modification_flaw(self, ticket: Ticket, request: PlaceOrder, now: int) -> Flaw | None:
        symbol = self._directory.find(request.contract)
        is_same = symbol == ticket.symbol
        found = modification_flaw(
            request, (symbol if is_same else None, ticket.side, ticket.type), ticket.tif
        )
        found = found or flaw(request, now)
        if found is not None:
            return found
        parent = self._file.find(ticket.client_id, request.terms.parent_id)
        if request.terms.parent_id and (parent is None or parent.done):
            # As reported of TWS: a change that names a parent which has ended fails, one that names none is taken.
            return 135, f"Can't find order with id = {request.terms.parent_id}"
        if request.quantity <= ticket.filled:
            return 110, f"{ticket.filled} shares are already filled."
        terms, before = request.terms, ticket.terms
        if (terms.algo, terms.algo_params) != (before.algo, before.algo_params):
            return 440, "Order modify failed. Algorithm cannot be modified."
        if terms.oca_group not in ("", ticket.oca, before.oca_group):
            return 201, f"{_REJECTED}OCA group revision is not allowed."
        return unsupported(request, self._account) or self._too_late(ticket, now)

    def _changed(self, ticket: Ticket, request: PlaceOrder, now: int) -> Ticket:
        terms, tif = request.terms, request.tif or "DAY"
        changed = msgspec.structs.replace(
            ticket, quantity=int(request.quantity), reduced=0, limit=_limit(request), tif=tif, terms=terms,
            starts=moment(terms.good_after, now) if terms.good_after else 0,
            expires=ticket.expires if tif == ticket.tif != "GTD" else self.expiry(tif, terms.good_till, now),
        )  # fmt: skip
        parent = self._file.get(ticket.parent)
        if parent is not None and ticket.released != ALL:
            changed = msgspec.structs.replace(changed, released=released(changed, parent))
        if ticket.triggered or (ticket.type in TRAILING and _trail(terms) == _trail(ticket.terms)):
            return changed
        return msgspec.structs.replace(changed, stop=self._first_stop(changed, now))

    def is_locked(self, ticket: Ticket, now: int) -> bool:
        """Say whether an order is bound for the closing auction and can no longer be taken back."""
        return ticket.type in ON_CLOSE and ticket.expires - _CUT_OFF[ticket.type] <= now < ticket.expires


def _limit(request: PlaceOrder) -> Decimal | None:
    """Return the limit of an order that has one: 0 stands for none where it may be left out."""
    return (request.limit or None) if request.type in ("LMT", "STP LMT", "LOC", "MIDPRICE") else None


def _trail(terms: Terms) -> tuple[object, ...]:
    return terms.aux, terms.trailing_percent, terms.trail_stop


def _place(ticket: Ticket) -> tuple[object, ...]:
    """Return what an order cannot change without losing its place in the queue."""
    return ticket.limit, ticket.stop, ticket.starts, ticket.terms.display_size, ticket.terms.all_or_none
