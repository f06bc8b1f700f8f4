"""What we ask TWS about the account, and what became of an order by its answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from ib_async import IB
from ib_async.order import Trade

from robo_trader.core.events import OrderStatus
from robo_trader.ibkr.connection import Connection
from robo_trader.ibkr.pacing import Pacer
from robo_trader.ibkr.refusals import Unanswered
from robo_trader.ibkr.tickets import WORDS, Ticket
from robo_trader.ibkr.values import whole_shares

T = TypeVar("T")
S = OrderStatus
# How often we ask for what TWS neither shows nor denies; with pauses that double, about half a minute.
MAX_ASKS = 5
NOT_SHOWN = "TWS shows it neither open nor completed nor executed"


@dataclass(frozen=True)
class Ended:
    """How a completed order ended, by TWS's word, and the shares it traded where that is told."""

    word: str
    perm_id: int
    filled: int | None


class Look:
    """Three full answers of TWS: open orders since question `number`, executions, and then completed orders."""

    def __init__(self, number: int, completed: Iterable[Trade]) -> None:
        self.number = number
        self._by_perm_id: dict[int, Ended] = {}
        self._by_ref: dict[str, Ended] = {}
        for trade in completed:
            order = trade.order
            ended = Ended(trade.orderStatus.status, order.permId, whole_shares(float(order.filledQuantity)))
            self._by_perm_id[order.permId] = self._by_ref[order.orderRef] = ended

    def completed(self, order_id: str, perm_id: int) -> Ended | None:
        """Return how an order ended, None where it is not among the completed."""
        return (self._by_perm_id.get(perm_id) if perm_id else None) or self._by_ref.get(order_id)


class Questions:
    """Asks what carries no request id, one at a time; an answer without its end is no answer, and ends the session."""

    def __init__(self, connection: Connection, pacer: Pacer) -> None:
        self.number = 0  # of the latest question for open orders
        self.listing = False  # whether TWS is showing open orders in answer to one
        self._connection = connection
        self._pacer = pacer
        self._turn = asyncio.Lock()
        self._begun = 0
        self._last: Look | None = None

    async def positions(self) -> None:
        """Have TWS tell all positions; what it no longer names is no longer held."""
        found = await self._ask(lambda ib: ib.reqPositionsAsync(), "positions")
        account = self._connection.account
        named = {position.contract.conId for position in found if position.account == account}
        held = self._connection.ib.wrapper.positions[account]
        for con_id in [con_id for con_id in held if con_id not in named]:
            del held[con_id]

    async def open_orders(self) -> int:
        """Have TWS show all open orders; return the number of the question."""
        asked = 0

        def request(ib: IB) -> Awaitable[list[Trade]]:
            nonlocal asked
            self.number = asked = self.number + 1
            self.listing = True
            return ib.reqAllOpenOrdersAsync()

        try:
            await self._ask(request, "open orders")
        finally:
            self.listing = False
        return asked

    async def executions(self) -> None:
        """Have TWS tell the executions of the day."""
        await self._ask(lambda ib: ib.reqExecutionsAsync(), "executions")

    async def look(self) -> Look:
        """Ask for open orders, executions and completed orders; who asks meanwhile shares the next look."""
        before = self._begun
        async with self._turn:
            if self._last is None or self._begun == before:
                self._begun += 1
                self._last = None
                number = await self.open_orders()
                await self.executions()
                completed = await self._ask(lambda ib: ib.reqCompletedOrdersAsync(False), "completed orders")
                self._last = Look(number, completed)
            return self._last

    async def _ask(self, request: Callable[[IB], Awaitable[list[T]]], what: str) -> list[T]:
        await self._pacer.lookup()
        try:
            return await self._connection.ask_in_turn(request, what)
        except Unanswered as error:
            # The end of this answer, should it still come, would be taken for that of the next one.
            self._connection.lose(str(error))
            raise


def outcome(ticket: Ticket, look: Look) -> tuple[OrderStatus, str]:
    """Return where an order is by a look at TWS, and why; UNKNOWN where TWS has yet to show it."""
    ended = look.completed(ticket.order.id, ticket.perm_id)
    if ticket.has_ended:
        return ticket.status, ticket.reason
    if ticket.executed >= ticket.order.quantity:
        return S.FILLED, ""
    if ended is not None:
        return _completed(ticket, ended)
    if ticket.named >= look.number:
        return ticket.shown, ""
    if ticket.acknowledged:
        gone = ticket.asks >= MAX_ASKS
        return (ticket.ended, "TWS knows it no more") if gone else (S.UNKNOWN, NOT_SHOWN)
    return _never_acknowledged(ticket)


def _completed(ticket: Ticket, ended: Ended) -> tuple[OrderStatus, str]:
    word = WORDS.get(ended.word, S.CANCELLED)
    traded = ticket.order.quantity if word is S.FILLED else ended.filled or 0
    missing = traded - ticket.executed
    if missing > 0:
        # An order is filled by its executions; those of an earlier day TWS does not tell again.
        why = f"TWS says {ended.word}, and has yet to tell of executions of {missing} shares"
        return (S.CANCELLED, why) if ticket.asks >= MAX_ASKS else (S.UNKNOWN, why)
    if word is S.UNKNOWN:  # a completed order that is inactive was refused
        return S.REJECTED, ticket.reason or ended.word
    return ticket.ended, ticket.reason


def _never_acknowledged(ticket: Ticket) -> tuple[OrderStatus, str]:
    if ticket.is_rejected:
        return S.REJECTED, ticket.reason
    if ticket.tws_id and not ticket.disowned:
        # In the session it was sent in, TWS may yet come to it: it must not be thought never sent.
        return S.UNKNOWN, NOT_SHOWN
    return S.NEVER_SENT, NOT_SHOWN
