"""The file of all orders and executions of one account: found by every id, saved, and only then told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from robo_trader.core.events import SECOND_NS
from robo_trader.practice.account.books import Books
from robo_trader.practice.account.state import State
from robo_trader.practice.account.tickets import PENDING, Execution, Ticket
from robo_trader.practice.market.exchange import Exchange
from robo_trader.practice.orders import messages as say
from robo_trader.practice.protocol.wire import error

Message = Callable[[int], bytes]  # of the client's version
Told = tuple[int, Message]  # client id and what it is told

_NIGHT_NS = 9 * 3_600 * SECOND_NS  # from shortly after midnight to the open


class OrderFile:
    """Keeps tickets and executions. What changed is saved by `commit`, which then hands over what may be told."""

    def __init__(
        self, exchange: Exchange, books: Books, state: State | None, next_perm_id: int, master: int | None
    ) -> None:
        self.books = books
        self.binds_manual = False  # whether client 0 wants to hear of orders made in TWS
        self._exchange = exchange
        self._state = state
        self._next_perm_id = next_perm_id
        self._master = master
        self._tickets: dict[int, Ticket] = {}
        self._working: dict[int, None] = {}  # permanent ids, in order of arrival
        self._by_client: dict[tuple[int, int], int] = {}
        self._next_ids: dict[int, int] = {}
        self._children: dict[int, dict[int, None]] = {}  # live ones, by their parent
        self._groups: dict[str, dict[int, None]] = {}  # live ones, by their OCA group
        self._executions: list[Execution] = []
        self._changed: dict[int, Ticket] = {}
        self._booked = 0
        self._told: list[Told] = []
        self._traded: set[str] = set()

    # ------------------------------------------------------------------------------------------------ finding

    def get(self, perm_id: int) -> Ticket | None:
        """Return an order by its permanent id, None where it is not known any more."""
        return self._tickets.get(perm_id)

    def find(self, client: int, order_id: int) -> Ticket | None:
        """Return a client's order by the client's own id."""
        return self._tickets.get(self._by_client.get((client, order_id), 0))

    def next_id(self, client: int) -> int:
        """Return the next order id a client may use."""
        return self._next_ids.get(client, 1)

    def next_perm_id(self) -> int:
        """Return a permanent id that was never used before."""
        self._next_perm_id += 1
        return self._next_perm_id - 1

    def next_bound_id(self) -> int:
        """Return an order id for an order made by hand: below all there are, and below 0."""
        return min([0, *(order_id for client, order_id in self._by_client if client == 0)]) - 1

    def live(self) -> list[Ticket]:
        """Return all orders that have not ended, those not yet transmitted included, oldest first."""
        return [self._tickets[perm_id] for perm_id in self._working]

    def working(self, client: int | None = None) -> list[Ticket]:
        """Return the live orders that were transmitted, of one client or of all."""
        return [t for t in self.live() if t.status != PENDING and client in (None, t.client_id)]

    def children(self, parent: Ticket) -> list[Ticket]:
        """Return the live orders that an order is the parent of."""
        return [self._tickets[perm_id] for perm_id in self._children.get(parent.perm_id, ())]

    def mates(self, ticket: Ticket) -> list[Ticket]:
        """Return the other live orders of an order's OCA group."""
        group = self._groups.get(ticket.oca, ()) if ticket.oca else ()
        return [self._tickets[perm_id] for perm_id in group if perm_id != ticket.perm_id]

    def has_traded(self, group: str) -> bool:
        """Say whether an order of an OCA group has traded, of those still known."""
        return any(t.oca == group and t.filled > 0 and not t.parent for t in self._tickets.values())

    def completed(self) -> list[Ticket]:
        """Return the orders that ended in the present session."""
        since = self._today()
        return [ticket for ticket in self._tickets.values() if ticket.done and ticket.done_ts >= since]

    def executed(self) -> list[Execution]:
        """Return the present session's executions as they stand after corrections, oldest first."""
        since = self._today()
        standing = {fill.trade: fill for fill in self._executions if fill.ts >= since}
        return list(standing.values())

    def execution(self, exec_id: str) -> Execution | None:
        """Return the standing version of the execution that any of its ids names."""
        trade = exec_id.rpartition(".")[0]
        found = [fill for fill in self._executions if fill.trade == trade]
        return found[-1] if found else None

    # ------------------------------------------------------------------------------------------------ keeping

    def put(self, ticket: Ticket) -> None:
        """File an order, new or changed."""
        self._tickets[ticket.perm_id] = self._changed[ticket.perm_id] = ticket
        if ticket.order_id:
            self._by_client[ticket.client_id, ticket.order_id] = ticket.perm_id
            self._next_ids[ticket.client_id] = max(self.next_id(ticket.client_id), ticket.order_id + 1)
        if ticket.done:
            self._working.pop(ticket.perm_id, None)
        else:
            self._working[ticket.perm_id] = None
        if ticket.parent:
            _index(self._children, ticket.parent, ticket)
        if ticket.oca:
            _index(self._groups, ticket.oca, ticket)

    def change(self, ticket: Ticket, **changes: object) -> Ticket:
        """File an order with some of its fields changed, and return it."""
        after = msgspec.structs.replace(ticket, **changes)
        self.put(after)
        return after

    def add(self, fill: Execution) -> None:
        """File an execution."""
        self._executions.append(fill)
        self._traded.add(fill.symbol)

    def restore(self, tickets: Iterable[Ticket], executions: Iterable[Execution]) -> None:
        """Take over the orders and executions of a saved account."""
        for ticket in tickets:
            self.put(ticket)
        self._executions = list(executions)
        self._changed.clear()
        self.forget_past()

    def forget_past(self) -> None:
        """Drop from memory what ended before today; on disk it stays."""
        since = self._today()
        for ticket in [t for t in self._tickets.values() if t.done and t.done_ts < since]:
            del self._tickets[ticket.perm_id]
            self._by_client.pop((ticket.client_id, ticket.order_id), None)
        self._executions = [fill for fill in self._executions if fill.ts >= since]
        self._booked = len(self._executions)

    def take_traded(self) -> set[str]:
        """Return the symbols traded since this was last asked."""
        traded, self._traded = self._traded, set()
        return traded

    def _today(self) -> int:
        """Return a time after the last close and before any order of today (UTC ns)."""
        return self._exchange.session.open - _NIGHT_NS

    # ------------------------------------------------------------------------------------------------ telling

    def tell(self, ticket: Ticket, *messages: Callable[[int, Ticket], bytes]) -> None:
        """Tell whoever may hear of an order: its owner, the master client, and client 0 of one made in TWS."""
        for message in messages:
            self._tell(ticket, lambda version, message=message: message(version, ticket))  # type: ignore[misc]

    def tell_status(self, ticket: Ticket) -> None:
        """Tell an order and its status."""
        self.tell(ticket, say.open_order, say.order_status)

    def tell_fill(self, ticket: Ticket, fill: Execution, message: Callable[[int, Execution], bytes]) -> None:
        """Tell of an execution whoever may hear of its order."""
        self._tell(ticket, lambda version: message(version, fill))

    def _tell(self, ticket: Ticket, message: Message) -> None:
        audience = {} if ticket.manual and not self.binds_manual else {ticket.client_id: None}
        if self._master is not None:
            audience[self._master] = None
        self._told += [(client, message) for client in audience]

    def refuse(self, client: int, order_id: int, code: int, text: str) -> None:
        """Tell a client, and nobody else, an error about an order."""
        self._told.append((client, lambda version: error(version, order_id, code, text)))

    def answer(self, client: int, message: Message) -> None:
        """Tell a client, and nobody else, something about no order."""
        self._told.append((client, message))

    def refuse_order(self, ticket: Ticket, code: int, text: str) -> None:
        """Tell the owner of an order an error about it."""
        if not ticket.manual or (self.binds_manual and ticket.order_id):
            self.refuse(ticket.client_id, ticket.order_id, code, text)

    @property
    def anything_to_tell(self) -> bool:
        return bool(self._told)

    @property
    def anything_to_save(self) -> bool:
        return bool(self._changed)

    def commit(self) -> list[Told]:
        """Save, then hand over what may now be told. Raises DataError where it cannot be saved."""
        if self._state is not None:
            new = self._executions[self._booked :]
            self._state.save(self._exchange.now, self.books, self._next_perm_id, self._changed.values(), new)
        self._changed.clear()
        self._booked = len(self._executions)
        told, self._told = self._told, []
        return told


_Key = TypeVar("_Key")


def _index(index: dict[_Key, dict[int, None]], key: _Key, ticket: Ticket) -> None:
    """Enter a live order under a key, or take out one that has ended."""
    if not ticket.done:
        index.setdefault(key, {})[ticket.perm_id] = None
    elif key in index:
        index[key].pop(ticket.perm_id, None)
        if not index[key]:
            del index[key]
