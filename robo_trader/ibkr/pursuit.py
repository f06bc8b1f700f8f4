"""What follows once an order is out: what is wanted of it is seen through, and where TWS left it open we ask."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from robo_trader.core.errors import ConnectionLost
from robo_trader.core.events import OrderStatus
from robo_trader.ibkr.connection import Connection
from robo_trader.ibkr.pacing import Pacer
from robo_trader.ibkr.questions import MAX_ASKS, Questions, outcome
from robo_trader.ibkr.refusals import RequestRefused
from robo_trader.ibkr.register import Register
from robo_trader.ibkr.tickets import Ticket
from robo_trader.ibkr.voice import Voice
from robo_trader.ibkr.writing import has_session, write_cancel, write_change

log = structlog.get_logger()
S = OrderStatus
LONGEST_PAUSE_S = 30.0
MAX_TRIES = 3  # at taking an order back
PROBE_AFTER = 2  # looks that did not show an order sent in this session


@dataclass(frozen=True)
class BrokerOptions:
    """How long TWS may take to say what it meant, and to say its first word of an order, before we ask."""

    confirm_after_s: float = 1.0
    answer_within_s: float = 5.0


class Pursuit:
    """Carries out changes and cancels, and asks what became of orders in doubt."""

    def __init__(
        self,
        connection: Connection,
        pacer: Pacer,
        questions: Questions,
        orders: Register,
        voice: Voice,
        options: BrokerOptions,
    ) -> None:
        self._connection = connection
        self._pacer = pacer
        self._questions = questions
        self._orders = orders
        self._voice = voice
        self._options = options

    def can_send(self) -> bool:
        """Return whether there is a session, and it is reconciled."""
        return self._voice.speaking and has_session(self._connection)

    async def carry_out(self, ticket: Ticket) -> None:
        """Send the change or the cancel that is wanted of an order; where that cannot be, leave it wanted."""
        await self._pacer.order()
        if ticket.has_ended or not ticket.unsent or not self.can_send():
            return
        if not ticket.tws_id:
            if ticket.named and ticket.client_id != self._connection.options.client_id:
                self._cannot_touch(ticket)
            return
        ticket.unsent = False
        ticket.error_code, ticket.reason = 0, ""
        try:
            if ticket.cancelling:
                write_cancel(self._connection, ticket)
            elif ticket.change is not None:
                write_change(self._connection, self._orders, ticket)
        except (ConnectionLost, ConnectionError) as error:
            # The order is as alive as it was; the loss itself is told by the connection.
            ticket.unsent = True
            log.warning("not_sent", order=ticket.order.id, reason=str(error))
            return
        self.doubt(ticket)

    def resume(self, number: int) -> None:
        """Carry out what has waited for a session, on the orders shown since that question; end what should be over."""
        for ticket in self._orders:
            if ticket.named < number:
                continue
            if ticket.unsent and not ticket.has_ended:
                self._connection.spawn(self.carry_out(ticket))
            elif ticket.is_ghost(number):
                self._connection.spawn(self._lay(ticket))

    def await_answer(self, ticket: Ticket) -> None:
        """Begin to doubt an order if TWS says nothing of it in time."""

        def look() -> None:
            if ticket.is_unanswered:
                self._voice.tell(ticket, S.UNKNOWN, f"TWS has said nothing of it for {limit:g} s")
                self.doubt(ticket)

        limit = self._options.answer_within_s
        asyncio.get_running_loop().call_later(limit, look)

    def doubt(self, ticket: Ticket) -> None:
        """Ask what became of an order, in a moment, if TWS has not said by then."""
        if self._voice.speaking and ticket.is_doubtful and not ticket.confirming:
            ticket.confirming, ticket.asks = True, 0
            self._connection.spawn(self._confirm(ticket))

    async def _confirm(self, ticket: Ticket) -> None:
        pause = self._options.confirm_after_s
        try:
            while True:
                await asyncio.sleep(pause)
                if not ticket.is_doubtful or await self._is_settled(ticket):
                    return
                pause = min(2 * pause, LONGEST_PAUSE_S)
        finally:
            ticket.confirming = False

    async def _is_settled(self, ticket: Ticket) -> bool:
        """Ask TWS and do what the answer calls for; return whether that is all there is to do."""
        ticket.asks += 1
        try:
            look = await self._questions.look()
        except RequestRefused as error:
            log.warning("not_answered", order=ticket.order.id, reason=str(error))
            return ticket.asks > MAX_ASKS
        self.resume(look.number)
        status, reason = outcome(ticket, look)
        is_shown = ticket.named >= look.number
        if is_shown:
            ticket.error_code = 0
        self._voice.tell(ticket, status, reason)
        if is_shown and not ticket.has_ended:
            await self._insist(ticket)
        elif ticket.is_unanswered and ticket.asks == PROBE_AFTER:
            # To the cancel of an order it has not got, TWS says so.
            ticket.cancelling = ticket.unsent = True
            await self.carry_out(ticket)
        return not ticket.is_doubtful or ticket.asks > MAX_ASKS

    async def _insist(self, ticket: Ticket) -> None:
        """Send again what is wanted of a live order, a few times; a cancel or a change twice is one."""
        ticket.tries += 1
        if ticket.cancelling and ticket.tries <= MAX_TRIES:
            ticket.unsent = True
            await self.carry_out(ticket)
        elif ticket.cancelling:
            ticket.cancelling = False
            self._voice.tell(ticket, ticket.status, "TWS was told to take it back and does not")
        elif ticket.change is not None and ticket.tries > 1:
            ticket.change, ticket.told = None, None
            self._voice.tell(ticket, ticket.status, "TWS was told of a change and works on as before")

    async def _lay(self, ticket: Ticket) -> None:
        """Take back an order that TWS shows alive after it had said it was over: nobody reckons with it."""
        log.warning("ended_order_alive", order=ticket.order.id, ended=ticket.status)
        await self._pacer.order()
        if self.can_send() and ticket.tws_id:
            write_cancel(self._connection, ticket)

    def _cannot_touch(self, ticket: Ticket) -> None:
        ticket.cancelling, ticket.change, ticket.unsent, ticket.told = False, None, False, None
        why = f"it was sent under client id {ticket.client_id}: only that, or a hand in TWS, can touch it"
        self._voice.tell(ticket, ticket.status, why)
