"""Carries orders to TWS and brings back what became of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog
from ib_async.contract import Contract
from ib_async.objects import CommissionReport, Execution
from ib_async.order import Order as IbOrder
from ib_async.order import OrderState

from robo_trader.core.errors import ConfigurationError, ConnectionLost, DeskHalted
from robo_trader.core.events import DAY_NS, AccountSnapshot, OpenOrder, Order, OrderStatus, OrderUpdate
from robo_trader.core.protocols import Inbox
from robo_trader.ibkr.account import account_value, holdings
from robo_trader.ibkr.connection import Connection
from robo_trader.ibkr.contracts import Contracts
from robo_trader.ibkr.executions import Executions
from robo_trader.ibkr.pacing import Pacer
from robo_trader.ibkr.pursuit import BrokerOptions, Pursuit
from robo_trader.ibkr.questions import Look, Questions, outcome
from robo_trader.ibkr.refusals import RequestRefused
from robo_trader.ibkr.register import Register
from robo_trader.ibkr.tickets import ENDS, NO_PARENT, NOT_FOUND, NOTICES, OF_CHANGES, WORDS, Ticket
from robo_trader.ibkr.values import whole_shares
from robo_trader.ibkr.voice import Voice
from robo_trader.ibkr.writing import write_orders

__all__ = ["BrokerOptions", "IbBroker"]
log = structlog.get_logger()
S = OrderStatus
KEPT_NS = 7 * DAY_NS  # how long an execution may still be corrected


class IbBroker:
    """The broker behind TWS. Our order id travels as orderRef; silence after `submit` is never answered by sending again.

    It says nothing into the inbox from the moment a session is opened until `snapshot` has been taken, which then
    holds all that happened meanwhile.
    """

    def __init__(
        self,
        connection: Connection,
        contracts: Contracts,
        inbox: Inbox,
        pacer: Pacer,
        now: Callable[[], int],
        options: BrokerOptions | None = None,
    ) -> None:
        """Listen to `connection`; `now` is the market's time in UTC ns, no earlier than anything the desk was told."""
        self._connection = connection
        self._contracts = contracts
        self._pacer = pacer
        self._now = now
        self._questions = Questions(connection, pacer)
        self._orders = Register()
        self._executions = Executions()
        self._voice = Voice(inbox, self._executions, self._questions, now)
        self._pursuit = Pursuit(
            connection, pacer, self._questions, self._orders, self._voice, options or BrokerOptions()
        )
        connection.orders = self

    # ------------------------------------------------------------------------------------------------ commands

    async def submit(self, order: Order, stop: Order | None = None) -> None:
        """Send an order and, as one with it, the stop attached to it.

        Raises DeskHalted where one of their ids was sent before; every other trouble is an OrderUpdate.
        """
        tickets = [Ticket(one) for one in (order, stop) if one is not None]
        known = [ticket.order.id for ticket in tickets if ticket.order.id in self._orders]
        if known:
            raise DeskHalted(f"order {', '.join(known)} was about to be sent a second time")
        for ticket in tickets:
            self._orders.add(ticket)
        try:
            contract = (await self._contracts.qualify(order.symbol)).contract
        except (ConfigurationError, RequestRefused) as error:
            self._voice.say(tickets, S.REJECTED, str(error))
            return
        except ConnectionLost as error:
            self._voice.say(tickets, S.NEVER_SENT, str(error))
            return
        for ticket in tickets:
            ticket.contract = contract
            await self._pacer.order()
        self._send(tickets)

    def _send(self, tickets: list[Ticket]) -> None:
        """Write an order and its stop in one go, so that neither can be sent and the other not."""
        entry = tickets[0]
        if not self._pursuit.can_send():
            self._voice.say(
                tickets, S.NEVER_SENT, "there is no session with TWS, or it is not yet reconciled"
            )
        elif entry.cancelling:
            self._voice.say(tickets, S.NEVER_SENT, "taken back before it was sent")
        else:
            try:
                write_orders(self._connection, self._orders, tickets)
            except Exception as error:
                # It may have left or not: asking will tell, sending again might trade twice.
                self._voice.say(tickets, S.UNKNOWN, f"sending failed: {error!r}")
            for ticket in tickets:
                self._pursuit.await_answer(ticket)
                if ticket.unsent:
                    self._connection.spawn(self._pursuit.carry_out(ticket))

    async def modify(self, order: Order) -> None:
        """Change quantity or prices of a live order; told with filled and remaining as TWS works it then.

        Without a session it is carried out after the next snapshot, if the order still lives.
        """
        ticket = self._orders.get(order.id)
        if ticket is None or ticket.has_ended:
            log.warning("modify_without_order", order=order.id)
            return
        ticket.change, ticket.unsent, ticket.tries = order, True, 0
        await self._pursuit.carry_out(ticket)

    async def cancel(self, order_id: str) -> None:
        """Take back what is left of an order; without a session, after the next snapshot, if it still lives."""
        ticket = self._orders.get(order_id)
        if ticket is None or ticket.has_ended:
            # Of one that has ended the desk has yet to hear.
            log.debug("cancel_without_order", order=order_id)
            return
        ticket.cancelling, ticket.unsent, ticket.change, ticket.tries = True, True, None, 0
        await self._pursuit.carry_out(ticket)

    # ------------------------------------------------------------------------------------------------ questions

    async def snapshot(self) -> AccountSnapshot:
        """Ask TWS for the whole account. Raises ConnectionLost where it does not answer, RequestRefused where it says no."""
        await self._questions.positions()
        number = await self._questions.open_orders()
        await self._questions.executions()
        ts = max(self._now(), await self._connection.ask_time())
        account = AccountSnapshot(
            ts=ts,
            account=self._connection.account,
            cash=account_value(self._connection, "TotalCashValue"),
            net_liquidation=account_value(self._connection, "NetLiquidation"),
            holdings=holdings(self._connection),
            orders=tuple(
                OpenOrder(self._orders.attached(t), t.filled, t.perm_id, t.shown)
                for t in self._orders
                if t.named >= number and not t.has_ended
            ),
            fills=self._executions.all(),
        )
        self._voice.speak(ts)
        self._pursuit.resume(number)
        return account

    def mute(self) -> None:
        """Say nothing into the inbox until the next snapshot: in a dry run the account's own trades are not ours."""
        self._voice.speaking = False

    async def resolve(self, order_ids: Iterable[str]) -> list[OrderUpdate]:
        """Say what became of orders the desk believes alive, by open orders, executions and completed orders.

        What was sent just now is left out. One that TWS neither shows nor denies is UNKNOWN; we go on asking, and tell.
        """
        # An order that is answered while we ask is not in the answer.
        asked = [order_id for order_id in order_ids if not self._is_in_flight(order_id)]
        look = await self._questions.look()
        return [self._outcome(order_id, look) for order_id in asked]

    def _is_in_flight(self, order_id: str) -> bool:
        """Whether an order is being sent in this very session and TWS has yet to say its first word of it."""
        ticket = self._orders.get(order_id)
        return ticket is not None and ticket.status is S.INTENT

    def was_given(self, order_id: str) -> bool:
        """Return whether an order has been handed over; the desk may believe one alive that is on its way to us."""
        return order_id in self._orders

    def _outcome(self, order_id: str, look: Look) -> OrderUpdate:
        ticket, ts = self._orders.get(order_id), self._voice.after_fills()
        if ticket is None:
            executed, ended = self._executions.shares_of(order_id), look.completed(order_id, 0)
            gone = S.CANCELLED if executed else S.NEVER_SENT
            status = gone if ended is None else WORDS.get(ended.word, S.CANCELLED)
            perm_id = ended.perm_id if ended is not None else 0
            return OrderUpdate(ts, order_id, status, executed, 0, perm_id, "found at the broker")
        status, reason = outcome(ticket, look)
        self._voice.note(ticket, status, reason)
        if ticket.is_doubtful:
            self._pursuit.doubt(ticket)
        ticket.told = None  # whoever asked says it; should it be said again, it is no news
        if not reason and status in ENDS:
            reason = "found at the broker"
        said = ticket.filled, ticket.left, ticket.perm_id, reason
        return OrderUpdate(ts, order_id, status, *said)

    def positions(self) -> dict[str, int]:
        """Return the account's share positions by symbol, as of the last word on them; TWS tells each change."""
        return {holding.symbol: holding.quantity for holding in holdings(self._connection)}

    # -------------------------------------------------------------------------------------------- what TWS says

    def on_connecting(self) -> None:
        """A new session begins: what was numbered in the old one means nothing any more."""
        self._voice.speaking = False
        past = self._voice.after_fills() - KEPT_NS
        self._executions.forget_before(past)
        self._orders.begin_session(past)

    def on_open_order(self, contract: Contract, order: IbOrder, state: OrderState) -> None:
        """TWS shows an order; after a reconnect this is where we find ours again, by its orderRef."""
        if order.account not in ("", self._connection.account):
            return  # a desk on another account of this login has ids like ours
        is_known = order.orderRef in self._orders
        ticket = self._orders.shown(contract, order)
        if ticket is None:
            return
        if not is_known:
            ticket.executed = ticket.filled = self._executions.shares_of(ticket.order.id)
        ticket.contract = ticket.contract or contract
        ticket.parent_tws_id = order.parentId
        if order.clientId == self._connection.options.client_id:
            ticket.tws_id = order.orderId  # an order of another client id can be seen and not touched
        if ticket.show(order):
            ticket.told = None  # that it was changed is news, whatever the words
        self._on_word(ticket, state.status, 0)

    def on_order_status(
        self, order_id: int, status: str, filled: float, remaining: float, perm_id: int, client_id: int
    ) -> None:
        """TWS says where an order is."""
        ticket = self._orders.find(client_id, order_id, perm_id)
        if ticket is None:
            return
        shares, left = whole_shares(filled) or 0, whole_shares(remaining) or 0
        if WORDS.get(status) is S.WORKING and ticket.show_quantity(shares + left):
            ticket.told = None
        self._on_word(ticket, status, shares)

    def on_execution(self, contract: Contract, execution: Execution, live: bool) -> None:
        """TWS tells a trade: just done, corrected, or in answer to a question; each is told to the desk once."""
        if execution.acctNumber not in ("", self._connection.account):
            return
        order_id = self._orders.owner_of(execution)
        taken = self._executions.take(contract, execution, order_id)
        if taken is None:
            return
        fill, shares = taken
        self._voice.tell_fill(fill)
        ticket = self._orders.get(fill.order_id)
        if ticket is None:
            return
        ticket.acknowledged = True
        ticket.executed += shares
        ticket.filled = max(ticket.filled + min(shares, 0), ticket.executed)
        if ticket.executed >= ticket.order.quantity:
            self._voice.tell(ticket, S.FILLED)
        elif not ticket.has_ended or ticket.was_thought_unsent:  # a correction revives no order
            is_over = ticket.is_over and ticket.executed >= ticket.filled
            self._voice.tell(ticket, ticket.ended if is_over else ticket.working)

    def on_commission(self, report: CommissionReport) -> None:
        """TWS tells what a trade cost, mostly after the trade itself."""
        fill = self._executions.charge(report)
        if fill is not None:
            self._voice.tell_fill(fill)

    def on_order_error(self, order_id: int, code: int, text: str) -> None:
        """An error is a word, not an end: the order is over once TWS shows it to be."""
        ticket = self._orders.find(self._connection.options.client_id, order_id)
        if ticket is None:
            return
        reason = f"{text} ({code})"
        if code in NOTICES:
            # Said of an order we want to change or to end, it would be taken for the answer to that.
            if ticket.change is None and not ticket.cancelling:
                self._notice(ticket, reason)
            return
        if code == NO_PARENT and ticket.change is not None and not ticket.is_detached:
            ticket.is_detached = ticket.unsent = True
            self._connection.spawn(self._pursuit.carry_out(ticket))
            return
        if ticket.change is not None:
            # Whatever it is, the order is not worked as we wanted it; how it is worked TWS shows.
            ticket.change, ticket.unsent, ticket.told = None, False, None
        if code not in OF_CHANGES:
            ticket.error_code, ticket.reason = code, reason
            ticket.disowned = ticket.disowned or code == NOT_FOUND
        self._notice(ticket, reason)
        self._pursuit.doubt(ticket)
        entry = self._orders.find(ticket.client_id, ticket.parent_tws_id)
        if ticket.is_unanswered and entry is not None and entry.is_unanswered and not entry.error_code:
            # Without its stop TWS keeps the entry to itself, for somebody to send it by hand.
            entry.cancelling = entry.unsent = True
            self._connection.spawn(self._pursuit.carry_out(entry))

    def on_lost(self, reason: str) -> None:
        """The session ended: of what was sent and not acknowledged we know nothing."""
        for ticket in self._orders:
            if ticket.is_unanswered:
                self._voice.tell(ticket, S.UNKNOWN, reason)

    def _on_word(self, ticket: Ticket, word: str, filled: int) -> None:
        ticket.acknowledged = True
        ticket.filled = max(ticket.filled, filled)
        status = WORDS.get(word)
        if status is None:
            log.warning("unknown_order_status", status=word, order=ticket.order.id)
        ticket.is_inactive = status is S.UNKNOWN
        if status in (None, S.WORKING) or (ticket.is_inactive and self._questions.listing):
            ticket.named = self._questions.number
        if status is None or (ticket.has_ended and not ticket.was_thought_unsent):
            return  # an end TWS told is not taken back by a word, and another one adds nothing
        ticket.is_over = status is S.CANCELLED
        if status is S.WORKING:
            self._voice.tell(ticket, ticket.working)
        elif ticket.is_inactive:
            self._voice.tell(ticket, ticket.inactive)
        elif ticket.is_over and ticket.executed >= ticket.filled:
            self._voice.tell(ticket, ticket.ended)
        elif status is S.FILLED and ticket.executed >= ticket.order.quantity:
            self._voice.tell(ticket, S.FILLED)  # TWS has made it smaller, down to what had traded
        # Else executions are still to come, and by them the desk ends an order.
        self._pursuit.doubt(ticket)

    def _notice(self, ticket: Ticket, reason: str) -> None:
        """Tell what TWS said of an order that goes on."""
        if ticket.is_inactive and ticket.is_rejected and not ticket.has_ended:
            self._voice.tell(ticket, S.REJECTED)
        elif ticket.acknowledged and not ticket.has_ended:
            self._voice.tell(ticket, ticket.status, reason)
