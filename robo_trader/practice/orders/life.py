"""What becomes of an order: filled, cancelled or rejected, and what that does to the orders tied to it.

Orders are tied in two ways. **OCA groups**: when one order of a group trades, even in part, or is cancelled, the others
are cancelled (type 1) or, while it has traded only in part, reduced in proportion (types 2 and 3). **Families**: a child
order waits for its parent's fills and may trade as many of its shares, in proportion, as the parent has traded. Children
of one parent are an OCA group of type 3. Whoever cancels a parent cancels what its children could not trade yet.
"""

from __future__ import annotations

from decimal import Decimal
from functools import partial

import msgspec

from robo_trader.practice.account import tickets
from robo_trader.practice.account.tickets import ALL, Execution, Ticket
from robo_trader.practice.market.exchange import Exchange
from robo_trader.practice.orders import messages as say
from robo_trader.practice.orders.order_file import OrderFile
from robo_trader.simulation import live_order as simulated
from robo_trader.simulation.costs import CommissionMeter

BY_TRADER = "Cancelled by Trader"


class OrderLife:
    """Moves orders along, files every step and tells it."""

    def __init__(self, account: str, file: OrderFile, exchange: Exchange) -> None:
        self.stirred: dict[int, None] = {}  # permanent ids of orders that may have something to do now
        self._leaving: dict[int, str] = {}
        self._account = int(account[3:])
        self._file = file
        self._exchange = exchange

    # ----------------------------------------------------------------------------------------------- its steps

    def fill(
        self, ticket: Ticket, quantity: int, price: Decimal, now: int, liquidity: int = tickets.ADDED
    ) -> Ticket:
        """Book one execution, tell it, and let it work on the orders tied to this one."""
        filled, notional = ticket.filled + quantity, ticket.notional + quantity * price
        fee = CommissionMeter(ticket.filled, ticket.notional).charge(quantity, price)
        realised = self._file.books.book(ticket.symbol, ticket.side, quantity, price, fee)
        done = filled >= ticket.quantity
        after = self._file.change(
            ticket, filled=filled, notional=notional, commission=ticket.commission + fee, last_price=price,
            fills=ticket.fills + 1, status=tickets.FILLED if done else tickets.SUBMITTED,
            done_ts=now if done else 0,
        )  # fmt: skip
        execution = Execution(
            f"{self._account:08x}.{ticket.perm_id:08x}.{after.fills:02d}.01", ticket.perm_id, ticket.client_id,
            ticket.order_id, ticket.symbol, ticket.side, quantity, price, fee, realised, filled, after.average,
            ticket.ref, ticket.account, now, liquidity=liquidity,
        )  # fmt: skip
        self._file.add(execution)
        self._file.tell_fill(after, execution, say.execution)
        self._file.tell_status(after)
        if done:
            self._file.tell(after, partial(say.open_order, with_commission=True))
        self._file.tell_fill(after, execution, say.commission_report)
        self._after_fill(ticket, after, now)
        return self._file.get(ticket.perm_id) or after

    def cancel(self, ticket: Ticket, reason: str, now: int, completed: str = BY_TRADER) -> None:
        """End an order, tell its owner `reason`, and cancel what is tied to it.

        `completed` is what completedOrder will say where there is no reason.
        """
        self._end(ticket, reason or completed, reason, now)
        self._loosen(ticket, [*self._file.mates(ticket)], now)

    def lapse(self, ticket: Ticket, why: str, now: int) -> None:
        """End an order that gives up by itself: the rest of its OCA group lives on, what hangs on it does not."""
        self._end(ticket, why, "", now)
        self._loosen(ticket, [], now)

    def reject(self, ticket: Ticket, code: int, text: str, now: int) -> None:
        """End an order that was never in the market: the error first, then Inactive."""
        self.leave(ticket)
        ended = msgspec.structs.replace(
            ticket, status=tickets.INACTIVE, reason=text.partition("reason:")[2] or text, done_ts=now
        )
        self._file.put(ended)
        self._file.refuse_order(ended, code, text)
        self._file.tell_status(ended)
        self._loosen(ended, [], now)

    def leave(self, ticket: Ticket) -> None:
        """Take an order out of the market's queue; in a halt, where no queue can be reached, as soon as one can."""
        book = self._exchange.book(ticket.symbol)
        if book is not None:
            book.leave(ticket.perm_id)
            self._leaving.pop(ticket.perm_id, None)
        elif self._exchange.is_open:
            self._leaving[ticket.perm_id] = ticket.symbol

    def leave_at_last(self) -> set[int]:
        """Take out what left in a halt, and return it: what it got in the beat just made does not count."""
        left = set(self._leaving)
        for perm_id, symbol in list(self._leaving.items()):
            book = self._exchange.book(symbol)
            if book is not None:
                book.leave(perm_id)
            if book is not None or not self._exchange.is_open:
                del self._leaving[perm_id]
        return left

    # ----------------------------------------------------------------------------------------------- its ties

    def _after_fill(self, before: Ticket, after: Ticket, now: int) -> None:
        for child in self._file.children(after):
            changed = self._file.change(child, released=released(child, after))
            self.stirred[child.perm_id] = None
            if child.why_held != changed.why_held and changed.status != tickets.PENDING:
                self._file.tell_status(changed)
        for mate in self._file.mates(after):
            self._lessen(self._file.get(mate.perm_id) or mate, before, after, now)

    def _lessen(self, mate: Ticket, before: Ticket, after: Ticket, now: int) -> None:
        """Take off an OCA order what another one of its group has traded."""
        left = 0 if mate.oca_type == 1 else mate.remaining * after.remaining // before.remaining
        off = mate.remaining - left
        if left <= 0:
            self._end(mate, "OCA group filled", "", now)
            return self._loosen(mate, [], now)
        if not off:
            return None
        fewer = self._file.change(
            mate, quantity=mate.quantity - off, reduced=mate.reduced + off,
            released=mate.released if mate.released == ALL else max(0, mate.released - off),
        )  # fmt: skip
        self.stirred[mate.perm_id] = None
        return self._file.tell_status(fewer) if fewer.status != tickets.PENDING else None

    def _end(self, ticket: Ticket, completed: str, reason: str, now: int) -> None:
        self.leave(ticket)
        ended = self._file.change(ticket, status=tickets.CANCELLED, reason=completed, done_ts=now)
        self._file.tell(ended, say.order_status)
        self._file.refuse_order(ended, 202, f"Order Canceled - reason:{reason}")

    def _loosen(self, ended: Ticket, mates: list[Ticket], now: int) -> None:
        """Cancel the OCA mates given, and all children of what has ended unfilled, and theirs in turn."""
        ends = [(mate.perm_id, "OCA group canceled") for mate in mates] + self._orphans(ended)
        while ends:
            perm_id, why = ends.pop()
            ticket = self._file.get(perm_id)
            if ticket is not None and not ticket.done:
                self._end(ticket, why, "", now)
                ends += self._orphans(ticket)

    def _orphans(self, parent: Ticket) -> list[tuple[int, str]]:
        """Return the children that end with their parent; the others keep what its fills released."""
        ends: list[tuple[int, str]] = []
        for child in self._file.children(parent):
            kept = max(child.released, child.filled)
            if child.released == ALL:
                continue
            if kept <= child.filled:
                ends.append((child.perm_id, "Parent order ended"))
                continue
            fewer = self._file.change(child, quantity=kept, released=ALL)
            if child.status != tickets.PENDING:
                self._file.tell_status(fewer)
        return ends


def released(child: Ticket, parent: Ticket) -> int:
    """Return how many shares of a child its parent's fills let trade, `ALL` once the parent is filled.

    >>> from robo_trader.core.events import Side
    >>> parent = Ticket(1, 1, 1, "AAPL", Side.BUY, 100, "LMT", None, "DAY", "", "DUP1", filled=30)
    >>> released(msgspec.structs.replace(parent, perm_id=2, filled=0), parent)
    30
    """
    if parent.status == tickets.FILLED:
        return ALL
    entered = child.quantity + child.reduced
    return max(0, simulated.released(entered, parent.quantity, parent.remaining) - child.reduced)
