"""What the desk is told of its orders: news alone, in order, and nothing while a session is being caught up with."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from robo_trader.core.events import Fill, OrderStatus, OrderUpdate
from robo_trader.core.protocols import Inbox
from robo_trader.ibkr.executions import Executions
from robo_trader.ibkr.questions import Questions
from robo_trader.ibkr.tickets import ENDS, Ticket

S = OrderStatus


class Voice:
    """Speaks to the desk through its inbox."""

    def __init__(
        self, inbox: Inbox, executions: Executions, questions: Questions, now: Callable[[], int]
    ) -> None:
        """`now` is the market's time in UTC ns, no earlier than anything the desk was told."""
        self.speaking = False  # whether what TWS says is passed on
        self._since = 0  # since when, UTC ns
        self._inbox = inbox
        self._executions = executions
        self._questions = questions
        self._now = now

    def speak(self, since: int) -> None:
        """Pass on from now on what TWS says: the account as of `since` (UTC ns) holds what was said before."""
        if not self.speaking:
            self.speaking, self._since = True, since

    def tell(self, ticket: Ticket, status: OrderStatus, reason: str = "") -> None:
        """Pass on a word of TWS where it is news."""
        self.note(ticket, status, reason)
        # What was once the matter with an order that goes on is not the matter for ever.
        why = reason if status in (S.WORKING, S.PARTIAL) else reason or ticket.reason
        words = status, ticket.filled, ticket.left, ticket.perm_id, why
        is_news = ticket.told is None or words[:4] != ticket.told[:4] or (why and why != ticket.told[4])
        if is_news and self.speaking:
            ticket.told = words
            self._inbox.put(OrderUpdate(self.after_fills(), ticket.order.id, *words))

    def tell_fill(self, fill: Fill) -> None:
        """Pass on an execution, a correction of one, or its commission."""
        if self.speaking:
            # By the exchange's clock it may be older than the account; before that the desk has no books to put it in.
            late = fill.ts < self._since
            self._inbox.put(msgspec.structs.replace(fill, ts=self._since) if late else fill)

    def say(self, tickets: Iterable[Ticket], status: OrderStatus, reason: str) -> None:
        """Say what we know by ourselves, which needs no session."""
        for ticket in tickets:
            self.note(ticket, status, reason)
            said = ticket.filled, ticket.left, ticket.perm_id, reason
            self._inbox.put(OrderUpdate(self.after_fills(), ticket.order.id, status, *said))

    def note(self, ticket: Ticket, status: OrderStatus, reason: str) -> None:
        """Take over where an order is."""
        if status in ENDS and not ticket.has_ended:
            ticket.ended_ts, ticket.ended_at = self.after_fills(), self._questions.number
        ticket.status, ticket.reason = status, reason or ticket.reason

    def after_fills(self) -> int:
        """Return the market's time, or that of the last execution or the account where the desk has yet to hear of it.

        Events wait in order of time: a word must not overtake what it rests on.
        """
        return max(self._now(), self._since, self._executions.latest_ts)
