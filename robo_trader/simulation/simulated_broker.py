"""A broker without a market of its own: it fills orders on the quotes and bars that others bring."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from msgspec import structs

from robo_trader.core.errors import LedgerError
from robo_trader.core.events import (
    AccountSnapshot,
    Bar,
    Event,
    Fill,
    Holding,
    OpenOrder,
    Order,
    OrderStatus,
    OrderType,
    OrderUpdate,
    Quote,
    Side,
)
from robo_trader.core.instrument import Instrument
from robo_trader.core.portfolio import Position
from robo_trader.core.protocols import Calendar, Inbox, Market
from robo_trader.simulation.costs import CommissionMeter
from robo_trader.simulation.matching import Matching
from robo_trader.simulation.tape import standing_quote

REMEMBERED = 10_000  # finished orders and fills


@dataclass(frozen=True)
class SimulatedBrokerOptions:
    """What is not in the data."""

    spread_bps: float = 1.5  # full spread around a bar's open where no quotes are seen, at least a cent


class _Working:
    """One live order: what it is, what is done, since when it stands and until when it is good."""

    __slots__ = ("broker_id", "fills", "meter", "order", "since", "until")

    def __init__(self, order: Order, broker_id: int, since: int, until: int | None) -> None:
        self.order = order
        self.broker_id = broker_id
        self.since = since
        self.until = until  # None until a session begins
        self.fills = 0
        self.meter = CommissionMeter()

    @property
    def filled(self) -> int:
        return self.meter.quantity

    @property
    def remaining(self) -> int:
        return self.order.quantity - self.filled


class SimulatedBroker:
    """Implements `core.protocols.Broker` for dry runs and the past.

    Feed it every event by `on_event`, *before* the desk sees it: an order then trades at the earliest on the next
    quote, or, for a symbol that has never been quoted, at the open of the next whole bar, plus or minus half a
    spread. Never on what the desk decided from. Size is limited by the quote's displayed size, or by participation in
    the bar's volume; the rest waits. Orders are good for the day and trade in regular hours only.
    """

    def __init__(
        self,
        inbox: Inbox,
        matching: Matching,
        calendar: Calendar,
        account: str,
        cash: Decimal,
        holdings: Sequence[Holding] = (),
        options: SimulatedBrokerOptions | None = None,
    ) -> None:
        self._inbox = inbox
        self._matching = matching
        self._calendar = calendar
        self._account = account
        self._cash = cash
        self._options = options or SimulatedBrokerOptions()
        self._positions = {one.symbol: _opened(one) for one in holdings}
        self._marks: dict[str, float] = {}
        self._live: dict[str, _Working] = {}
        self._standing: dict[str, list[_Working]] = {}  # the live orders of each symbol, oldest first
        self._done: OrderedDict[str, OrderUpdate] = OrderedDict()
        self._fills: deque[Fill] = deque(maxlen=REMEMBERED)
        self._quoted: set[str] = set()
        self._now = 0
        self._broker_id = 0

    # --------------------------------------------------------------------------------------------- the orders

    async def submit(self, order: Order) -> None:
        """Take an order, or say REJECTED and why. The same id a second time changes nothing."""
        if order.id in self._live or order.id in self._done:
            return
        self._broker_id += 1
        session = self._calendar.session(self._now)
        # What comes as the bell rings waits for the next session.
        until = session.close if session is not None and self._now < session.close else None
        working = _Working(order, self._broker_id, self._now, until)
        nonsense = _nonsense(order)
        if nonsense:
            self._end(working, OrderStatus.REJECTED, nonsense)
            return
        self._live[order.id] = working
        self._standing.setdefault(order.symbol, []).append(working)
        self._tell(working, OrderStatus.WORKING)

    async def modify(self, order: Order) -> None:
        """Change quantity, type or limit of a live order; a change that makes no sense is refused and told."""
        working = self._live.get(order.id)
        if working is None:
            self._tell_absent(order.id)
            return
        refusal = _nonsense(order) or _misfit(order, working)
        if refusal:
            self._tell(working, _status(working), f"not modified: {refusal}")
            return
        working.order, working.since = order, self._now
        self._tell(working, _status(working))

    async def cancel(self, order_id: str) -> None:
        """Take back what is left of a live order; a finished one is told again as it ended."""
        working = self._live.get(order_id)
        if working is None:
            self._tell_absent(order_id)
        else:
            self._end(working, OrderStatus.CANCELLED, "cancelled on request")

    async def snapshot(self) -> AccountSnapshot:
        """Return the account now; positions at the last seen price, else at cost."""
        held = [(symbol, held) for symbol, held in sorted(self._positions.items()) if held.quantity]
        return AccountSnapshot(
            ts=self._now,
            account=self._account,
            cash=self._cash,
            net_liquidation=self._cash + sum((self._value(*one) for one in held), Decimal(0)),
            holdings=tuple(Holding(symbol, p.quantity, tuple(p.lots), p.quantity) for symbol, p in held),
            orders=tuple(
                OpenOrder(one.order, one.filled, one.broker_id, status=_status(one))
                for one in self._live.values()
            ),
            fills=tuple(self._fills),
        )

    # --------------------------------------------------------------------------------------------- the market

    def on_event(self, event: Event) -> None:
        """Let time pass and, on a quote or a live bar, trade."""
        if event.ts > self._now:
            self._now = event.ts
        match event:
            case Bar():
                if not event.history:
                    self._on_bar(event)
            case Quote():
                self._on_quote(event)

    def _on_quote(self, quote: Quote) -> None:
        self._quoted.add(quote.symbol)
        self._mark(quote.symbol, (quote.bid + quote.ask) / 2)
        if not self._standing.get(quote.symbol):
            return
        for side, size in ((Side.BUY, quote.ask_size), (Side.SELL, quote.bid_size)):
            shares = int(size) if math.isfinite(size) else 0
            self._trade(quote.symbol, side, Market(quote.ts, quote.bid, quote.ask, shares), quote.ts)

    def _on_bar(self, bar: Bar) -> None:
        if self._standing.get(bar.symbol) and bar.symbol not in self._quoted:
            spread = max(0.01, bar.open * self._options.spread_bps / 10_000)
            bid, ask = standing_quote(bar.open, spread)
            market = Market(bar.ts, bid, ask, self._matching.available(bar.volume))
            for side in (Side.BUY, Side.SELL):
                self._trade(bar.symbol, side, market, bar.ts - bar.interval_ns)
        self._mark(bar.symbol, bar.close)

    def _trade(self, symbol: str, side: Side, market: Market, began: int) -> None:
        """Fill the orders of one side, oldest first, that stood when this market began; they share what there is."""
        left = market.available
        for working in tuple(self._standing[symbol]):
            order = working.order
            if order.side is not side or not self._in_session(working):
                continue
            if working.since > began:
                continue
            execution = self._matching.fill(
                order, working.remaining, Market(market.ts, market.bid, market.ask, left)
            )
            if execution is not None:
                left -= execution.quantity
                self._book(working, execution.quantity, execution.price)

    def _in_session(self, working: _Working) -> bool:
        """Say whether the order may trade now; an order whose day is over ends here."""
        if working.until is None:
            session = self._calendar.session(self._now)
            working.until = session.close if session is not None else None
            return session is not None
        if self._now > working.until:
            self._end(working, OrderStatus.CANCELLED, "the day it was good for is over")
            return False
        return True

    # ---------------------------------------------------------------------------------------------- the books

    def _book(self, working: _Working, quantity: int, price: Decimal) -> None:
        order = working.order
        working.fills += 1
        fill = Fill(
            ts=self._now,
            order_id=order.id,
            exec_id=f"{self._account}.{order.id}.{working.fills}",
            symbol=order.symbol,
            side=order.side,
            quantity=quantity,
            price=price,
            commission=working.meter.charge(quantity, price),
        )
        self._fills.append(fill)
        self._cash -= order.side.sign * quantity * price + (fill.commission or 0)
        position = self._positions.get(order.symbol)
        if position is None:
            position = self._positions[order.symbol] = Position()
        position.trade(order.side.sign * quantity, price)
        self._inbox.put(fill)
        if working.remaining:
            self._tell(working, OrderStatus.PARTIAL)
        else:
            self._end(working, OrderStatus.FILLED, "")

    def _mark(self, symbol: str, price: float) -> None:
        if 0.01 <= price < math.inf:
            self._marks[symbol] = price

    def _value(self, symbol: str, position: Position) -> Decimal:
        mark = self._marks.get(symbol)
        return position.cost if mark is None else position.quantity * Instrument(symbol).price(mark)

    # ------------------------------------------------------------------------------------------- what is told

    def _tell(self, working: _Working, status: OrderStatus, reason: str = "") -> OrderUpdate:
        update = OrderUpdate(
            ts=self._now,
            order_id=working.order.id,
            status=status,
            filled=working.filled,
            remaining=working.remaining,
            broker_id=working.broker_id,
            reason=reason,
        )
        self._inbox.put(update)
        return update

    def _end(self, working: _Working, status: OrderStatus, reason: str) -> None:
        if self._live.pop(working.order.id, None) is not None:
            self._standing[working.order.symbol].remove(working)
        self._done[working.order.id] = self._tell(working, status, reason)
        if len(self._done) > REMEMBERED:
            self._done.popitem(last=False)

    def _tell_absent(self, order_id: str) -> None:
        unknown = OrderUpdate(self._now, order_id, OrderStatus.NEVER_SENT, reason="no such order here")
        self._inbox.put(structs.replace(self._done.get(order_id, unknown), ts=self._now))


def _status(working: _Working) -> OrderStatus:
    return OrderStatus.PARTIAL if working.filled else OrderStatus.WORKING


def _nonsense(order: Order) -> str:
    """Return why no broker would take this order, empty if one would."""
    if order.quantity <= 0:
        return f"{order.quantity} is not a number of shares to trade"
    if order.type is OrderType.LIMIT and order.limit_price is None:
        return "a limit order needs a limit price"
    limit = order.limit_price
    if limit is not None and not (
        limit.is_finite() and limit > 0 and limit % Instrument(order.symbol).tick == 0
    ):
        return f"{limit} is not a limit price on the tick"
    return ""


def _misfit(order: Order, working: _Working) -> str:
    """Return why this is no change of that order, empty if it is one."""
    if (order.symbol, order.side) != (working.order.symbol, working.order.side):
        return "symbol and side cannot change"
    if order.quantity <= working.filled:
        return f"{working.filled} shares are filled already"
    return ""


def _opened(holding: Holding) -> Position:
    """Return the position a holding describes. Raises LedgerError where its lots do not add up to it."""
    position = Position(holding.lots)
    if position.quantity != holding.quantity:
        raise LedgerError(f"{holding.symbol}: the lots do not add up to {holding.quantity} shares")
    return position
