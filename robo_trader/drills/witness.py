"""The broker's side of a drill's comparison: a practice gateway that is watched, and forgets nothing at midnight."""

from __future__ import annotations

from robo_trader.drills.ledger import BrokerFill, BrokerOrder, Truth
from robo_trader.practice.account.tickets import CANCELLED, Execution, Ticket
from robo_trader.practice.gateway import PracticeGateway, PracticeOptions
from robo_trader.practice.orders.order_book import Told
from robo_trader.simulation.tape import MinuteSource

# Hears of every order, so that whatever happens to one is told, and noted here.
MASTER = 1_000


class Witness:
    """Keeps every order and execution of a gateway, long after it has forgotten those of earlier days."""

    def __init__(self) -> None:
        self._tickets: dict[int, Ticket] = {}
        self._held: dict[int, int] = {}  # what was held when an order was first seen
        self._fills: dict[str, Execution] = {}  # by trade, as they stand after corrections

    def note(self, gateway: PracticeGateway) -> None:
        """Look at what was ordered and executed today."""
        orders = gateway.orders
        for fill in orders.executed():
            self._fills[fill.trade] = fill
        for ticket in (*orders.completed(), *orders.working()):
            known = self._tickets.get(ticket.perm_id)
            if known is not ticket:
                self._tickets[ticket.perm_id] = ticket
            if known is None:
                traded = ticket.side.sign * ticket.filled
                self._held[ticket.perm_id] = gateway.books.quantity(ticket.symbol) - traded

    @property
    def executions(self) -> int:
        """How many there were."""
        return len(self._fills)

    def truth(self, gateway: PracticeGateway) -> Truth:
        """Return all that has happened, and what stands now."""
        self.note(gateway)
        live = {ticket.perm_id for ticket in gateway.orders.working()}
        books = gateway.books
        return Truth(
            {
                ticket.perm_id: self._order(ticket, ticket.perm_id in live)
                for ticket in self._tickets.values()
                if not _never_went_out(ticket)
            },
            tuple(map(_fill, self._fills.values())),
            {symbol: books.quantity(symbol) for symbol in books.held()},
            books.cash,
        )

    def _order(self, ticket: Ticket, live: bool) -> BrokerOrder:
        return BrokerOrder(
            ticket.perm_id, ticket.ref, ticket.symbol, ticket.side, ticket.quantity, ticket.filled,
            ticket.workable if live else 0, live, ticket.type == "STP", ticket.parent, self._held[ticket.perm_id],
        )  # fmt: skip


class WatchedGateway(PracticeGateway):
    """A practice gateway that tells its witness whatever becomes of orders. Give it `master_client=MASTER`."""

    def __init__(self, options: PracticeOptions, source: MinuteSource) -> None:
        self.witness = Witness()
        super().__init__(options, source)

    def deliver(self, told: list[Told]) -> None:
        """Note what has happened, then send it."""
        if told:
            self.witness.note(self)
        super().deliver(told)

    def truth(self) -> Truth:
        """Return all that ever happened on the account, and what stands now."""
        return self.witness.truth(self)


def _fill(done: Execution) -> BrokerFill:
    return BrokerFill(
        done.exec_id, done.perm_id, done.symbol, done.side, done.quantity, done.price, done.commission
    )


def _never_went_out(ticket: Ticket) -> bool:
    """An order whose last part never came was given back unseen by any market."""
    return ticket.status == CANCELLED and ticket.reason == "Never transmitted"
