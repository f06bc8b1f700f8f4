"""All orders of all clients on one account, from placing to their end."""

from __future__ import annotations

from decimal import Decimal

from robo_trader.core.events import Side
from robo_trader.practice.account import shorts, tickets
from robo_trader.practice.account.books import Books
from robo_trader.practice.account.shorts import Borrow, Locate
from robo_trader.practice.account.state import State
from robo_trader.practice.account.tickets import Execution, Ticket
from robo_trader.practice.market.contracts import Directory
from robo_trader.practice.market.exchange import Exchange
from robo_trader.practice.orders.checks import MAX_QUANTITY, is_price
from robo_trader.practice.orders.floor import Floor
from robo_trader.practice.orders.intake import OrderIntake
from robo_trader.practice.orders.life import OrderLife
from robo_trader.practice.orders.order_file import OrderFile, Told
from robo_trader.practice.orders.repairs import OrderRepairs
from robo_trader.practice.orders.requests import PlaceOrder

__all__ = ["OrderBook", "Told"]


class OrderBook:
    """Takes orders and their changes, moves them at every beat. Public methods save, then return whom to tell what."""

    def __init__(
        self,
        account: str,
        exchange: Exchange,
        directory: Directory,
        books: Books,
        state: State | None,
        next_perm_id: int,
        master: int | None = None,
        borrow: Borrow | None = None,
        orders_a_side: int = 15,
    ) -> None:
        """Open an empty book. `master` is a client that hears of all orders; `borrow` lends shares, else plenty.

        No more than `orders_a_side` orders to buy, and as many to sell, work in one share at once.
        """
        self.books = books
        self.borrow = borrow or Borrow()
        self._exchange = exchange
        self._file = OrderFile(exchange, books, state, next_perm_id, master)
        self._life = OrderLife(account, self._file, exchange)
        self._floor = Floor(exchange, self._file, self._life)
        self._intake = OrderIntake(
            account, exchange, directory, self._file, self._life, self._floor, self.borrow, orders_a_side
        )
        self._repairs = OrderRepairs(account, self._file, self._life, self._floor, self._intake)

    def restore(self, saved_tickets: list[Ticket], executions: list[Execution]) -> None:
        """Take over the orders and executions of a saved account; what has expired since, or was never sent, ends."""
        now = self._exchange.now
        self._file.restore(saved_tickets, executions)
        for ticket in self._file.live():
            if ticket.tif == "DAY" and not ticket.expires:
                self._file.change(ticket, expires=self._intake.expiry("DAY", "", now))
        self._end_untransmitted(now)
        self._floor.lapse(now)

    def restart(self, now: int) -> list[Told]:
        """Forget what a restart of TWS forgets: the orders that were never transmitted."""
        self._end_untransmitted(now)
        return self.commit()

    def _end_untransmitted(self, now: int) -> None:
        for ticket in self._file.live():
            still = self._file.get(ticket.perm_id)
            if still is not None and still.status == tickets.PENDING:
                self._life.cancel(still, "", now, "Never transmitted")

    def forget_past(self) -> None:
        """Drop from memory what ended before today; on disk it stays."""
        self._file.forget_past()

    def next_id(self, client: int) -> int:
        """Return the next order id a client may use."""
        return self._file.next_id(client)

    def working(self, client: int | None = None) -> list[Ticket]:
        """Return the live orders that were transmitted, of one client or of all."""
        return self._file.working(client)

    def completed(self) -> list[Ticket]:
        """Return the orders that ended in the present session."""
        return self._file.completed()

    def executed(self) -> list[Execution]:
        """Return the present session's executions as they stand after corrections, oldest first."""
        return self._file.executed()

    def take_traded(self) -> set[str]:
        """Return the symbols traded since this was last asked."""
        return self._file.take_traded()

    def commit(self) -> list[Told]:
        """Save, then hand over what may now be told. Raises DataError where it cannot be saved."""
        return self._file.commit()

    # ------------------------------------------------------------------------------------------- client calls

    def place(self, client: int, request: PlaceOrder, now: int) -> list[Told]:
        """Take a new order or, under the id of a live one, its modification; a what-if order is only answered."""
        self._intake.place(client, request, now)
        return self.commit()

    def cancel(self, client: int, order_id: int, now: int) -> list[Told]:
        """Take back what is left of a client's own order."""
        ticket = self._file.find(client, order_id)
        name = f"OrderId {order_id} that needs to be cancelled"
        if ticket is None:
            self._file.refuse(client, order_id, 10147, f"{name} is not found.")
        elif ticket.done:
            self._file.refuse(client, order_id, 10148, f"{name} cannot be cancelled, state: {ticket.status}.")
        elif self._intake.is_locked(ticket, now):
            text = (
                f"Cancel attempted when order is not in a cancellable state. Order permId = {ticket.perm_id}"
            )
            self._file.refuse(client, order_id, 161, text)
        else:
            self._life.cancel(ticket, "", now)
            self._floor.settle(now)
        return self.commit()

    def cancel_all(self, now: int) -> list[Told]:
        """Take back every live order of the account, whoever placed it."""
        for ticket in self._file.live():
            still = self._file.get(ticket.perm_id)
            if still is not None and not still.done and not self._intake.is_locked(still, now):
                self._life.cancel(still, "Global cancel", now)
        return self.commit()

    def bind_manual(self, wanted: bool) -> list[Told]:
        """Let client 0 hear of orders made by hand from now on, under order ids of its own, or no longer."""
        self._file.binds_manual = wanted
        if not wanted:
            return []
        self._repairs.bind()
        return self.commit()

    def bind_once(self) -> list[Told]:
        """Give the live orders made by hand order ids of client 0, without binding later ones."""
        before, self._file.binds_manual = self._file.binds_manual, True
        self._repairs.bind()
        self._file.binds_manual = before
        return self.commit()

    def on_beat(self, now: int) -> list[Told]:
        """Move every order after the market has made a beat."""
        self._find_shares(now)
        self._floor.beat(now)
        file = self._file
        if file.anything_to_tell or (file.anything_to_save and self._exchange.slice_ended):
            return self.commit()
        return []

    def _find_shares(self, now: int) -> None:
        for ticket in self._file.working():
            waits = ticket.held == shorts.WHY_HELD and not ticket.pinned
            if waits and self._intake.locate(ticket) is Locate.FOUND:
                self._repairs.release(ticket, now)

    # ------------------------------------------------------------------------------------------ from outside

    def manual(
        self, symbol: str, side: Side, quantity: int, kind: str, limit: Decimal | None, now: int
    ) -> list[Told]:
        """Place an order by hand in TWS: a day order, `kind` MKT or LMT. Raises ValueError for one that cannot be."""
        if kind not in ("MKT", "LMT") or (kind == "LMT") != (limit is not None):
            raise ValueError("an order by hand is MKT, or LMT with a limit")
        if limit is not None and not is_price(limit):
            raise ValueError(f"{limit} is not a price one can order at")
        if not 0 < quantity <= MAX_QUANTITY or self._exchange.last(symbol) is None:
            raise ValueError(f"{quantity} shares of {symbol} cannot be ordered")
        expires = self._intake.expiry("DAY", "", now)
        self._repairs.manual(symbol, side, quantity, kind, limit, expires, now)
        return self.commit()

    def correct(self, exec_id: str, price: Decimal, quantity: int) -> list[Told]:
        """Correct an execution of today, told as its next version (`.02`). `quantity` at most what was traded.

        Books and positions follow at once. Raises ValueError where there is no such execution or it cannot be so.
        """
        fill = self._standing(exec_id)
        if not 0 < quantity <= fill.quantity or not (price.is_finite() and price > 0):
            raise ValueError(
                f"{exec_id}: {quantity} at {price} cannot correct {fill.quantity} at {fill.price}"
            )
        self._repairs.revise(fill, price, quantity)
        return self.commit()

    def bust(self, exec_id: str) -> list[Told]:
        """Undo an execution of today, told as its next version of no shares. Raises ValueError for an unknown one."""
        fill = self._standing(exec_id)
        self._repairs.revise(fill, fill.price, 0)
        return self.commit()

    def cancel_at_exchange(self, perm_id: int, reason: str, now: int) -> list[Told]:
        """Cancel an order that nobody asked to cancel. Raises ValueError where it is not live."""
        self._life.cancel(self._live(perm_id), reason, now)
        self._floor.settle(now)
        return self.commit()

    def end_of(self, symbols: set[str], reason: str, now: int) -> list[Told]:
        """Cancel every order for these symbols, not yet transmitted ones too, and save all of it at once."""
        for ticket in self._file.live():
            still = self._file.get(ticket.perm_id)
            if ticket.symbol in symbols and still is not None and not still.done:
                self._life.cancel(still, reason, now)
        return self.commit()

    def hold(self, perm_id: int, why: str) -> list[Told]:
        """Keep a live order from the market until it is released, `why` such as `locate`. Raises ValueError."""
        self._repairs.hold(self._live(perm_id), why)
        return self.commit()

    def release(self, perm_id: int, now: int) -> list[Told]:
        """Let a held order into the market again. Raises ValueError where it is not live."""
        self._repairs.release(self._live(perm_id), now)
        return self.commit()

    def _live(self, perm_id: int) -> Ticket:
        ticket = self._file.get(perm_id)
        if ticket is None or ticket.done or ticket.status == tickets.PENDING:
            raise ValueError(f"there is no live order {perm_id}")
        return ticket

    def _standing(self, exec_id: str) -> Execution:
        fill = self._file.execution(exec_id)
        if fill is None or not fill.quantity:
            raise ValueError(f"there is no execution {exec_id} of today")
        return fill
