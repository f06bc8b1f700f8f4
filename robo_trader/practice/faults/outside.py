"""Faults from outside: what the exchange, the broker and other people do to orders and the account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from robo_trader.core.events import Side
from robo_trader.practice.account.books import exact
from robo_trader.practice.account.tickets import Execution, Ticket
from robo_trader.practice.faults.kinds import Act, Fault, option
from robo_trader.practice.market.contracts import Contract
from robo_trader.practice.orders import messages as say
from robo_trader.practice.orders.requests import PlaceOrder
from robo_trader.practice.protocol.clients import Client


@dataclass(eq=False)
class ManualOrder(Act):
    """Place an order by hand in TWS.

    No client placed it and only client 0 hears of it; the position changes for all of them.
    """

    side: Literal["BUY", "SELL"] = option("BUY", "its side")
    shares: int = option(10, "its size")
    limit: float = option(0.0, "its limit, USD, 0 for a market order")
    needs_symbol = True

    def terms(self) -> tuple[str, Decimal | None]:
        """Return its type and its limit."""
        return ("LMT", Decimal(repr(self.limit))) if self.limit else ("MKT", None)

    def act(self, clients: Sequence[Client]) -> None:
        ground, (kind, limit) = self.ground, self.terms()
        told = ground.orders.manual(self.symbol, Side(self.side), self.shares, kind, limit, ground.now())
        ground.deliver(told)


@dataclass(eq=False)
class ForeignOrder(ManualOrder):
    """Place an order of another API client.

    Invisible to all others until they ask for all open orders; they cannot cancel it, only try for ever.
    """

    owner: int = option(77, "the client id it belongs to")

    def act(self, clients: Sequence[Client]) -> None:
        orders, (kind, limit) = self.ground.orders, self.terms()
        share = Contract(symbol=self.symbol, sec_type="STK", exchange="SMART", currency="USD")
        number = orders.next_id(self.owner)
        order = PlaceOrder(number, share, self.side, float(self.shares), kind, limit, "DAY", "", "")
        self.ground.deliver(orders.place(self.owner, order, self.ground.now()))


@dataclass(eq=False)
class PositionChange(Act):
    """Change a position without any order: shares moved in or out, an assignment, a trade in another system.

    Positions no longer are the sum of the executions anybody was told of.
    """

    shares: int = option(100, "moved in, out where negative")
    needs_symbol = True

    def act(self, clients: Sequence[Client]) -> None:
        if not self.shares:
            raise ValueError("shares=0 changes no position")
        price = exact(self.ground.exchange.last(self.symbol) or 0)
        side = Side.BUY if self.shares > 0 else Side.SELL
        self.ground.books.book(self.symbol, side, abs(self.shares), price, Decimal(0))
        self.ground.deliver(self.ground.orders.commit())
        self.ground.changed({self.symbol})


@dataclass(eq=False)
class Correction(Act):
    """Correct the last execution: the same id with the next revision (.02), another price, perhaps fewer shares.

    ib_async appends it as one more fill: filled() counts twice, remaining() goes below zero.
    """

    by: float = option(-0.01, "USD added to the price")
    shares: int = option(0, "its new size, 0 for the one it has")

    def act(self, clients: Sequence[Client]) -> None:
        fill = _last(self)
        if fill is not None:
            price, orders = fill.price + Decimal(repr(self.by)), self.ground.orders
            self.ground.deliver(orders.correct(fill.exec_id, price, self.shares or fill.quantity))


@dataclass(eq=False)
class Bust(Act):
    """Bust the last execution: the same id with the next revision, and no shares.

    The position is gone again; a list of fills still holds it.
    """

    def act(self, clients: Sequence[Client]) -> None:
        fill = _last(self)
        if fill is not None:
            self.ground.deliver(self.ground.orders.bust(fill.exec_id))


@dataclass(eq=False)
class ExchangeCancel(Act):
    """Cancel the oldest live order without being asked.

    Cancelled and 202 out of the blue: what was believed to be working, a stop perhaps, protects no more.
    """

    reason: str = option("Order cancelled by exchange", "what TWS says")

    def act(self, clients: Sequence[Client]) -> None:
        for ticket in _live(self)[:1]:
            told = self.ground.orders.cancel_at_exchange(ticket.perm_id, self.reason, self.ground.now())
            self.ground.deliver(told)


@dataclass(eq=False)
class HeldOrder(Fault):
    """Keep live orders from the market, as while shares to sell short are being located (404).

    PreSubmitted with whyHeld `locate`: it may fill any time later, or never.
    """

    why: str = option("locate", "the word in whyHeld")
    kept: list[int] = field(default_factory=list, init=False, repr=False)
    times = 1
    acts = True
    lasts_s = 60.0

    def act(self, clients: Sequence[Client]) -> None:
        for ticket in _live(self):
            self.kept.append(ticket.perm_id)
            self.ground.deliver(self.ground.orders.hold(ticket.perm_id, self.why))

    def end(self) -> None:
        for perm_id in self.kept:
            # One that is let go may trade, and end others that were held with it.
            if perm_id in {ticket.perm_id for ticket in self.ground.orders.working()}:
                self.ground.deliver(self.ground.orders.release(perm_id, self.ground.now()))


@dataclass(eq=False)
class UnsolicitedCompleted(Act):
    """Send completedOrder messages that nobody asked for.

    ib_async logs KeyError 'completedOrders' for each and goes on.
    """

    def act(self, clients: Sequence[Client]) -> None:
        for client in clients:
            for ticket in self.ground.orders.completed():
                client.send(say.completed_order(client.version, ticket))


def _last(fault: Fault) -> Execution | None:
    """Return the last execution that stands, of the share the fault is about."""
    found = [e for e in fault.ground.orders.executed() if e.quantity and fault.symbol in ("", e.symbol)]
    return found[-1] if found else None


def _live(fault: Fault) -> list[Ticket]:
    return [t for t in fault.ground.orders.working() if fault.symbol in ("", t.symbol)]


FAULTS: tuple[type[Fault], ...] = (
    ManualOrder, ForeignOrder, PositionChange, Correction, Bust, ExchangeCancel, HeldOrder, UnsolicitedCompleted,
)  # fmt: skip
