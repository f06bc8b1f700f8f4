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
    OrderUpdate,
    Quote,
    Side,
    Trade,
)
from robo_trader.core.instrument import Instrument
from robo_trader.core.portfolio import Position
from robo_trader.core.protocols import Calendar, Inbox, Market, Session
from robo_trader.simulation.live_order import LiveOrder, misfit, nonsense, unfit
from robo_trader.simulation.matching import Matching
from robo_trader.simulation.tape import standing_quote

REMEMBERED = 10_000  # finished orders and fills
_NEVER = 2**63  # ns


@dataclass(frozen=True)
class SimulatedBrokerOptions:
    """What is not in the data."""

    spread_bps: float = 1.5  # full spread around a bar's open where no quotes are seen, at least a cent


class SimulatedBroker:
    """Implements `core.protocols.Broker` for dry runs and the past.

    Feed it every event by `on_event`, *before* the desk sees it: an order then trades at the earliest on the next
    quote, or, for a symbol that has never been quoted, at the open of the next whole bar, plus or minus half a
    spread. Never on what the desk decided from. Size is limited by the quote's displayed size, or by participation in
    the bar's volume; the rest waits. Orders trade in regular hours only, and are good for the day or, GTC, for ever.

    A stop rests here until the market reaches it, by the rule of `Matching`; where there are only bars it then trades
    at the bar's open if that lies beyond it, else at its own price, less half a spread. Attached to an entry it
    is worked for as many shares, in proportion, as that has traded, and when the entry ends keeps only these.
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
        self._live: dict[str, LiveOrder] = {}
        self._standing: dict[str, list[LiveOrder]] = {}  # the live orders of each symbol, oldest first
        self._done: OrderedDict[str, OrderUpdate] = OrderedDict()
        self._fills: deque[Fill] = deque(maxlen=REMEMBERED)
        self._quoted: set[str] = set()
        self._now = 0
        self._session: Session | None = None  # the last one seen
        self._bell = _NEVER  # when the next day order ends
        self._broker_id = 0

    # --------------------------------------------------------------------------------------------- the orders

    async def submit(self, order: Order, stop: Order | None = None) -> None:
        """Take an order with its stop, or say REJECTED of both and why. The same id again changes nothing."""
        if self._is_known(order.id):
            return
        entry = self._number(order)
        refusal = nonsense(order) or self._orphaned(order)
        if stop is None:
            if refusal:
                self._end(entry, OrderStatus.REJECTED, refusal)
            else:
                self._stand(entry, self._live.get(order.attached_to))
            return
        if self._is_known(stop.id):
            self._end(entry, OrderStatus.REJECTED, f"its stop {stop.id} was sent before")
            return
        child, flaw = self._number(stop), unfit(stop, order)
        if refusal or flaw:
            self._end(entry, OrderStatus.REJECTED, refusal or f"its stop makes no sense: {flaw}")
            self._end(child, OrderStatus.REJECTED, flaw or f"its order makes no sense: {refusal}")
            return
        self._stand(entry, None)
        self._stand(child, entry)

    async def modify(self, order: Order) -> None:
        """Change quantity or prices of a live order; a change that makes no sense is refused and told."""
        live = self._live.get(order.id)
        if live is None:
            self._tell_absent(order.id)
            return
        refusal = misfit(order, live)
        if refusal:
            self._tell(live, live.status, f"not modified: {refusal}")
            return
        if order.tif != live.order.tif:
            live.until = None
        live.change(structs.replace(order, attached_to=live.order.attached_to), self._now)
        self._date(live)
        self._tell(live, live.status)

    async def cancel(self, order_id: str) -> None:
        """Take back what is left of a live order; a finished one is told again as it ended."""
        live = self._live.get(order_id)
        if live is None:
            self._tell_absent(order_id)
        else:
            self._end(live, OrderStatus.CANCELLED, "cancelled on request")

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
                OpenOrder(one.order, one.filled, one.broker_id, status=one.status)
                for one in self._live.values()
            ),
            fills=tuple(self._fills),
        )

    def _is_known(self, order_id: str) -> bool:
        return order_id in self._live or order_id in self._done

    def _orphaned(self, order: Order) -> str:
        """Return why nothing can be attached where this order wants to be, empty if it can."""
        entry = self._live.get(order.attached_to)
        if entry is not None:
            return unfit(order, entry.order)
        ended = self._done.get(order.attached_to)
        if ended is None or ended.status is OrderStatus.FILLED:
            return ""
        return f"{order.attached_to}, to which it is attached, was {ended.status}"

    def _number(self, order: Order) -> LiveOrder:
        self._broker_id += 1
        return LiveOrder(order, self._broker_id, self._now)

    def _stand(self, live: LiveOrder, entry: LiveOrder | None) -> None:
        if entry is not None:
            live.attach(entry)
        self._date(live)
        self._live[live.order.id] = live
        self._standing.setdefault(live.order.symbol, []).append(live)
        self._tell(live, OrderStatus.WORKING)

    # ------------------------------------------------------------------------------------------------ the day

    def _date(self, live: LiveOrder) -> None:
        """Let a day order end with the present session; what comes as the bell rings waits for the next one."""
        if live.order.tif == "DAY" and live.until is None:
            session = self._open_session()
            if session is not None and self._now < session.close:
                self._end_by(live, session.close)

    def _end_by(self, live: LiveOrder, close: int) -> None:
        live.until = close
        self._bell = min(self._bell, close)

    def _open_session(self) -> Session | None:
        """Return the session of now; one just seen is the last for the day orders that waited for it."""
        known = self._session
        if known is not None and known.open < self._now <= known.close:
            return known
        session = self._calendar.session(self._now)
        if session is not None:
            self._session = session
            for live in self._live.values():
                if live.order.tif == "DAY" and live.until is None:
                    self._end_by(live, session.close)
        return session

    def _ring(self) -> None:
        """End the orders whose day is over."""
        for live in tuple(self._live.values()):
            if live.until is not None and live.until < self._now and live.order.id in self._live:
                self._end(live, OrderStatus.CANCELLED, "the day it was good for is over")
        left = [live.until for live in self._live.values() if live.until is not None]
        self._bell = min(left, default=_NEVER)

    # --------------------------------------------------------------------------------------------- the market

    def on_event(self, event: Event) -> None:
        """Let time pass and, on a quote, a print or a live bar, trigger and trade."""
        if event.ts > self._now:
            self._now = event.ts
            if event.ts > self._bell:
                self._ring()
        match event:
            case Bar():
                if not event.history:
                    self._on_bar(event)
            case Quote():
                self._on_quote(event)
            case Trade():
                if event.symbol in self._quoted:
                    self._watch(event.symbol, event.price, event.price, event.ts)

    def _on_quote(self, quote: Quote) -> None:
        self._quoted.add(quote.symbol)
        self._mark(quote.symbol, (quote.bid + quote.ask) / 2)
        if not self._may_trade(quote.symbol):
            return
        for live in self._waiting(quote.symbol, quote.ts):
            live.triggered = self._matching.quote_triggers(live.order, quote.bid, quote.ask)
        left = {Side.BUY: _shares(quote.ask_size), Side.SELL: _shares(quote.bid_size)}
        self._trade(quote.symbol, (quote.bid, quote.ask), left, quote.ts)

    def _on_bar(self, bar: Bar) -> None:
        if bar.symbol in self._quoted:
            # Prints are sampled: what they missed, the bar has seen.
            self._watch(bar.symbol, bar.low, bar.high, bar.ts - bar.interval_ns)
        elif self._may_trade(bar.symbol):
            self._trade_bar(bar, bar.ts - bar.interval_ns)
        self._mark(bar.symbol, bar.close)

    def _trade_bar(self, bar: Bar, began: int) -> None:
        """Trade at the open, and then let the rest of the bar trigger stops, which trade where they stand."""
        left = dict.fromkeys(Side, self._matching.available(bar.volume))
        self._watch(bar.symbol, bar.open, bar.open, began)
        self._trade(bar.symbol, self._quote_around(bar.open), left, began)
        for live in self._watch(bar.symbol, bar.low, bar.high, began):
            # Of an entry that traded at this open already beyond its stop, the open is the better guess.
            worse = min if live.order.side is Side.SELL else max
            self._meet(
                live, self._quote_around(worse(bar.open, float(live.order.stop_price or 0))), left, began
            )

    def _quote_around(self, price: float) -> tuple[float, float]:
        return standing_quote(price, max(0.01, price * self._options.spread_bps / 10_000))

    def _may_trade(self, symbol: str) -> bool:
        return bool(self._standing.get(symbol)) and self._open_session() is not None

    def _waiting(self, symbol: str, began: int) -> list[LiveOrder]:
        """Return the untriggered stops that had something to protect when this market began."""
        return [
            live for live in self._standing.get(symbol, ())
            if live.waits_for_trigger and live.since <= began and live.workable
        ]  # fmt: skip

    def _watch(self, symbol: str, low: float, high: float, began: int) -> list[LiveOrder]:
        """Trigger the stops that trades from `low` to `high` reach, and return them."""
        if not self._may_trade(symbol):
            return []
        waiting = self._waiting(symbol, began)
        fired = [live for live in waiting if self._matching.triggers(live.order, low, high)]
        for live in fired:
            live.triggered = True
        return fired

    def _trade(self, symbol: str, quote: tuple[float, float], left: dict[Side, int], began: int) -> None:
        """Fill the orders that stood when this market began, oldest first; those of one side share what is `left`."""
        for live in tuple(self._standing[symbol]):
            if live.since <= began and not live.waits_for_trigger and live.order.id in self._live:
                self._meet(live, quote, left, began)

    def _meet(self, live: LiveOrder, quote: tuple[float, float], left: dict[Side, int], began: int) -> None:
        side = live.order.side
        market = Market(self._now, *quote, left[side])
        execution = self._matching.fill(live.order, live.workable, market)
        if execution is not None:
            left[side] -= execution.quantity
            self._book(live, execution.quantity, execution.price, began)

    # ---------------------------------------------------------------------------------------------- the books

    def _book(self, live: LiveOrder, quantity: int, price: Decimal, began: int) -> None:
        order = live.order
        for attached in live.attached:
            if (
                not live.filled
            ):  # from now on there is something to protect: what was before does not trigger it
                attached.since = max(attached.since, began)
        live.fills += 1
        fill = Fill(
            ts=self._now,
            order_id=order.id,
            exec_id=f"{self._account}.{order.id}.{live.fills}.01",
            symbol=order.symbol,
            side=order.side,
            quantity=quantity,
            price=price,
            commission=live.meter.charge(quantity, price),
        )
        self._fills.append(fill)
        self._cash -= order.side.sign * quantity * price + (fill.commission or 0)
        position = self._positions.get(order.symbol)
        if position is None:
            position = self._positions[order.symbol] = Position()
        position.trade(order.side.sign * quantity, price)
        self._inbox.put(fill)
        if live.remaining:
            self._tell(live, OrderStatus.PARTIAL)
        else:
            self._end(live, OrderStatus.FILLED, "")

    def _mark(self, symbol: str, price: float) -> None:
        if 0.01 <= price < math.inf:
            self._marks[symbol] = price

    def _value(self, symbol: str, position: Position) -> Decimal:
        mark = self._marks.get(symbol)
        return position.cost if mark is None else position.quantity * Instrument(symbol).price(mark)

    # ------------------------------------------------------------------------------------------- what is told

    def _tell(self, live: LiveOrder, status: OrderStatus, reason: str = "") -> OrderUpdate:
        update = OrderUpdate(
            ts=self._now,
            order_id=live.order.id,
            status=status,
            filled=live.filled,
            remaining=live.remaining,
            broker_id=live.broker_id,
            reason=reason,
        )
        self._inbox.put(update)
        return update

    def _end(self, live: LiveOrder, status: OrderStatus, reason: str) -> None:
        if self._live.pop(live.order.id, None) is not None:
            self._standing[live.order.symbol].remove(live)
        self._done[live.order.id] = self._tell(live, status, reason)
        if len(self._done) > REMEMBERED:
            self._done.popitem(last=False)
        for attached in live.attached:
            if attached.order.id in self._live:
                self._loosen(attached)

    def _loosen(self, attached: LiveOrder) -> None:
        """Leave an order whose entry has ended with what that traded."""
        kept, attached.entry = attached.protected, None
        if kept <= attached.filled:
            self._end(attached, OrderStatus.CANCELLED, "the order it was attached to has ended")
        elif kept < attached.order.quantity:
            attached.order = structs.replace(attached.order, quantity=kept)
            self._tell(attached, attached.status, "the order it was attached to has ended")

    def _tell_absent(self, order_id: str) -> None:
        unknown = OrderUpdate(self._now, order_id, OrderStatus.NEVER_SENT, reason="no such order here")
        self._inbox.put(structs.replace(self._done.get(order_id, unknown), ts=self._now))


def _shares(size: float) -> int:
    return int(size) if math.isfinite(size) else 0


def _opened(holding: Holding) -> Position:
    """Return the position a holding describes. Raises LedgerError where its lots do not add up to it."""
    position = Position(holding.lots)
    if position.quantity != holding.quantity:
        raise LedgerError(f"{holding.symbol}: the lots do not add up to {holding.quantity} shares")
    return position
