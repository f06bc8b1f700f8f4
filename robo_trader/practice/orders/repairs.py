"""What happens to orders from outside: made by hand in TWS, corrected, busted, cancelled or held by others."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from robo_trader.core.events import Side
from robo_trader.practice.account import shorts, tickets
from robo_trader.practice.account.tickets import Execution, Ticket
from robo_trader.practice.orders import messages as say
from robo_trader.practice.orders.floor import Floor
from robo_trader.practice.orders.intake import OrderIntake
from robo_trader.practice.orders.life import OrderLife
from robo_trader.practice.orders.order_file import OrderFile


class OrderRepairs:
    """Acts on the orders of an account as TWS, the exchange or the broker do."""

    def __init__(
        self, account: str, file: OrderFile, life: OrderLife, floor: Floor, intake: OrderIntake
    ) -> None:
        self._account = account
        self._file = file
        self._life = life
        self._floor = floor
        self._intake = intake

    def manual(
        self, symbol: str, side: Side, quantity: int, kind: str, limit: Decimal | None, expires: int, now: int
    ) -> None:
        """Place an order by hand: client 0, no order id, no reference."""
        order_id = self._file.next_bound_id() if self._file.binds_manual else 0
        ticket = Ticket(
            self._file.next_perm_id(), 0, order_id, symbol, side, quantity, kind, limit, "DAY", "", self._account,
            tickets.PENDING, manual=True, expires=expires,
        )  # fmt: skip
        self._file.put(ticket)
        if order_id:
            self._file.tell(ticket, say.order_bound)
        self._intake.accept(ticket, now)

    def bind(self) -> None:
        """Give the live orders made by hand order ids of client 0, which are negative, and tell it."""
        for ticket in self._file.working():
            if ticket.manual and not ticket.order_id:
                bound = self._file.change(ticket, order_id=self._file.next_bound_id())
                self._file.tell(bound, say.order_bound, say.open_order, say.order_status)

    def revise(self, fill: Execution, price: Decimal, quantity: int) -> None:
        """Replace an execution by its next version, in the books too; one of no shares is a bust."""
        ticket = self._file.get(fill.perm_id)
        assert ticket is not None, "an order is kept as long as its executions"
        fee = fill.commission if quantity else Decimal(0)
        after = self._file.change(
            ticket, filled=ticket.filled + quantity - fill.quantity,
            notional=ticket.notional + quantity * price - fill.quantity * fill.price,
            commission=ticket.commission + fee - fill.commission,
        )  # fmt: skip
        revised = msgspec.structs.replace(
            fill, exec_id=f"{fill.trade}.{fill.version + 1:02d}", quantity=quantity, price=price, commission=fee,
            realised=None, cumulative=after.filled, average=after.average,
        )  # fmt: skip
        of_symbol = [
            other for other in self._file.executed() if other.symbol == fill.symbol and other.quantity
        ]
        standing = [revised if other.trade == fill.trade else other for other in of_symbol]
        standing = [other for other in standing if other.quantity]
        results = dict(zip(standing, self._file.books.rebook(fill.symbol, standing), strict=True))
        revised = msgspec.structs.replace(revised, realised=results.get(revised))
        self._file.add(revised)
        self._file.tell_fill(after, revised, say.execution)
        self._file.tell_fill(after, revised, say.commission_report)

    def hold(self, ticket: Ticket, why: str) -> None:
        """Take an order out of the market and keep it back, `why` in the words of orderStatus."""
        self._floor.forget(ticket)
        held = self._file.change(ticket, held=why, pinned=True, status=tickets.PRE_SUBMITTED)
        self._file.tell_status(held)
        if why == shorts.WHY_HELD:
            self._file.refuse_order(held, *shorts.HELD)

    def release(self, ticket: Ticket, now: int) -> None:
        """Let an order that was held into the market again."""
        free = self._file.change(ticket, held="", pinned=False)
        self._file.tell_status(free)
        self._life.stirred[free.perm_id] = None
        self._floor.settle(now)
