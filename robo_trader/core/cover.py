"""Protective stops at the broker: as many shares as are held, never more, never at a looser price."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import msgspec

from robo_trader.core.desk import Desk
from robo_trader.core.draft import Draft
from robo_trader.core.events import SECOND_NS, Cancel, Modify, Order, OrderType, SetTimer, Side, Submit
from robo_trader.core.orders import OrderState
from robo_trader.core.protocols import StopRule
from robo_trader.core.steps import Unprotected

# A stop that was refused or lost is placed again at once, and then only after this long.
RETRY_NS = 30 * SECOND_NS
# A change of a stop that nobody confirms is asked for again after this long, and then after ever longer.
PATIENCE_NS = 30 * SECOND_NS
MOST_ASKS = 6
TIMER = "stop:"


@dataclass(frozen=True, slots=True)
class _Loss:
    """When a stop was lost, whether another had been lost shortly before, and why."""

    ts: int
    again: bool
    why: str


class Cover:
    """Keeps the stops of each symbol equal to its position. Without a rule there are none, and nobody misses them."""

    def __init__(self, desk: Desk, rule: StopRule | None) -> None:
        self._desk = desk
        self._orders = desk.orders
        self._rule = rule
        self._levels: dict[str, Decimal] = {}  # the tightest stop price of each position so far
        self._bare: dict[str, int] = {}  # shares told to be without a stop
        self._lost: dict[str, _Loss] = {}  # the last stop that ended without our doing

    @property
    def is_kept(self) -> bool:
        """Whether positions are protected at all."""
        return self._rule is not None

    def remember(self, symbol: str, price: Decimal | None) -> None:
        """Take over the stop price of an earlier session."""
        if price is not None:
            self._levels[symbol] = price

    def attached(self, order: Order) -> Order | None:
        """Return the stop that goes out with an entry, None where its price cannot be known."""
        return self._stop(order.symbol, order.side, order.quantity, order.id)

    def shares(self, symbol: str, side: Side) -> int:
        """Return the shares that stops of one side may still trade, whatever becomes of changes under way."""
        return sum(self._counted(stop) for stop in self._orders.stops(symbol) if stop.order.side is side)

    def balance(self, symbol: str, leaving: int, draft: Draft) -> None:
        """Bring the stops to what is held less what is `leaving` by exits: shrink, or add what is missing."""
        if self._rule is None:
            return
        held = self._desk.surely_held(symbol)
        if not held:
            self._levels.pop(symbol, None)
        stops = self._orders.stops(symbol)
        for stop in stops:
            if stop.sign * held >= 0 and stop.wanted is None and self._entry(stop) is None:
                self._shrink(stop, 0, draft)
        right = [stop for stop in stops if stop.sign * held < 0]
        self._note_level(symbol, right)
        missing = abs(held) - leaving - sum(self._counted(stop) for stop in right)
        if missing < 0:
            self._reduce(right, -missing, draft)
        if missing <= 0:
            self._tell(symbol, 0, "", draft)
        elif all(stop.wanted is None for stop in stops):  # a change under way may still turn out otherwise
            self._add(symbol, Side.BUY if held > 0 else Side.SELL, missing, draft)

    def on_end(self, stop: OrderState, why: str) -> None:
        """A stop ended without trading. Where neither we nor its entry's end meant it to, it is lost."""
        entry = self._orders.state(stop.order.attached_to)
        if stop.wanted is None and (entry is None or entry.executed):
            symbol, last = stop.order.symbol, self._lost.get(stop.order.symbol)
            again = last is not None and self._desk.now - last.ts < RETRY_NS
            self._lost[symbol] = _Loss(self._desk.now, again, why)

    def on_timer(self, symbol: str, draft: Draft) -> None:
        """Cancel what did not answer to a change or a cancel, and let a stop that was lost be tried again."""
        loss = self._lost.get(symbol)
        if loss is not None and self._desk.now - loss.ts >= RETRY_NS:
            del self._lost[symbol]
        if symbol in self._bare:
            draft.command(SetTimer(self._desk.now + RETRY_NS, TIMER + symbol))
        for stop in self._orders.stops(symbol):
            if stop.wanted is not None and self._desk.now - stop.asked >= PATIENCE_NS << stop.asks:
                stop.wanted, stop.asks = None, min(stop.asks + 1, MOST_ASKS)
                self._shrink(stop, 0, draft)

    def forgive(self) -> None:
        """The broker has been asked anew: what failed before may be tried again."""
        self._lost.clear()

    # ------------------------------------------------------------------------------------------- the quantity

    def _counted(self, stop: OrderState) -> int:
        """Return the shares a stop may trade now; the broker works an attached one as far as its entry has traded."""
        entry = self._entry(stop)
        if entry is None:
            return abs(stop.remaining)
        return min(abs(stop.remaining), max(0, entry.executed - stop.executed))

    def _entry(self, stop: OrderState) -> OrderState | None:
        """Return the entry a stop is attached to while that may still trade."""
        entry = self._orders.state(stop.order.attached_to)
        return entry if entry is not None and entry.remaining else None

    def _reduce(self, stops: list[OrderState], excess: int, draft: Draft) -> None:
        """Take shares off the stops, the last one first; what is being taken off already counts."""
        for stop in reversed(stops):
            counted = self._counted(stop)
            if stop.wanted is not None:
                excess -= counted - max(0, stop.wanted - stop.executed)
                continue
            if excess <= 0:
                return
            off = min(excess, counted)
            excess -= off
            left = abs(stop.remaining) - off
            # One whose entry still trades works in proportion to that: of a smaller one the broker would work too little.
            part = left and off < counted and self._entry(stop) is None
            self._shrink(stop, stop.executed + left if part else 0, draft)

    def _shrink(self, stop: OrderState, quantity: int, draft: Draft) -> None:
        """Change a stop to fewer shares, or cancel it. One that refused a change is cancelled, after a pause."""
        draft.command(SetTimer(self._desk.now + (PATIENCE_NS << stop.asks), TIMER + stop.order.symbol))
        if stop.was_refused:
            if self._desk.now - stop.asked < PATIENCE_NS:
                return
            quantity = 0
        stop.wanted, stop.asked = quantity, self._desk.now
        changed = msgspec.structs.replace(stop.order, quantity=quantity)
        draft.command(Modify(changed) if quantity else Cancel(stop.order.id))

    def _add(self, symbol: str, entry: Side, shares: int, draft: Draft) -> None:
        loss = self._lost.get(symbol)
        if loss is not None and loss.again and self._desk.now - loss.ts < RETRY_NS:
            self._give_up(symbol, shares, f"stops do not last: {loss.why}", draft)
            return
        stop = self._stop(symbol, entry, shares, "")
        if stop is None:
            self._give_up(symbol, shares, "no stop price can be known: neither ATR nor price", draft)
            return
        changed = self._orders.submit(stop)
        assert changed is not None, "its number is new"
        draft.command(Submit(stop))
        draft.fact(msgspec.structs.replace(changed, ts=self._desk.now))

    def _give_up(self, symbol: str, shares: int, why: str, draft: Draft) -> None:
        """Say that shares are bare, and look again later."""
        if symbol not in self._bare:
            draft.command(SetTimer(self._desk.now + RETRY_NS, TIMER + symbol))
        self._tell(symbol, shares, why, draft)

    # ---------------------------------------------------------------------------------------------- the price

    def _stop(self, symbol: str, entry: Side, shares: int, attached_to: str) -> Order | None:
        price = self._price(symbol, entry)
        if price is None:
            return None
        parent_id = self._desk.next_parent_id()
        return Order(
            f"{parent_id}.1", parent_id, symbol, entry.other, shares, OrderType.STOP, algorithm="stop",
            reason=f"protects {symbol}", stop_price=price, tif="GTC", attached_to=attached_to,
        )  # fmt: skip

    def _price(self, symbol: str, entry: Side) -> Decimal | None:
        """Return the rule's price or the one that stood, whichever is tighter: averaging down loosens no stop."""
        assert self._rule is not None, "asked only where stops are kept"
        wished = self._rule.price(symbol, entry, self._desk)
        known = self._levels.get(symbol) if self._desk.position(symbol) * entry.sign > 0 else None
        if wished is None:
            return known
        return _tighter(self._desk.portfolio.instrument(symbol).price(wished), known, entry)

    def _note_level(self, symbol: str, stops: list[OrderState]) -> None:
        for stop in stops:
            price = stop.order.stop_price
            if price is not None:
                entry = Side.BUY if stop.sign < 0 else Side.SELL
                self._levels[symbol] = _tighter(price, self._levels.get(symbol), entry)

    def _tell(self, symbol: str, shares: int, why: str, draft: Draft) -> None:
        if shares != self._bare.get(symbol, 0):
            draft.fact(Unprotected(self._desk.now, symbol, shares, why))
            if shares:
                self._bare[symbol] = shares
            else:
                del self._bare[symbol]


def _tighter(price: Decimal, known: Decimal | None, entry: Side) -> Decimal:
    if known is None:
        return price
    return max(price, known) if entry is Side.BUY else min(price, known)
