"""Protective stops at the broker: as many shares as are held, never more, never at a looser price."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from fractions import Fraction

import msgspec

from robo_trader.core.desk import Desk
from robo_trader.core.draft import Draft
from robo_trader.core.events import (
    SECOND_NS,
    Cancel,
    Modify,
    Order,
    OrderStatus,
    OrderType,
    SetTimer,
    Side,
    Submit,
)
from robo_trader.core.orders import OrderState, worked
from robo_trader.core.protocols import StopRule
from robo_trader.core.steps import Unprotected

# A stop that was refused or lost is placed again at once, and then only after this long.
RETRY_NS = 30 * SECOND_NS
# A change of a stop that nobody confirms is asked for again after this long, and then after ever longer.
PATIENCE_NS = 30 * SECOND_NS
MOST_ASKS = 6
MOST_STOPS = 8  # of a symbol; beyond that a standing one grows
JUMP = 0.2  # of the price; more than that, and it may be another share
LOOKS = 2  # at the account, which a difference takes to be believed
TIMER = "stop:"
NO_PRICE = "no stop price can be known: neither ATR nor price"
UNSEEN = "no price has been seen since it was lost"


@dataclass(frozen=True, slots=True)
class _Loss:
    """When a stop was lost, at which price, after how many looks at the account, whether another had been just before,
    and whether the broker had it and took it away.
    """

    ts: int
    price: float | None
    looks: int
    again: bool
    taken: bool
    why: str


class Cover:
    """Keeps the stops of each symbol equal to its position. Without a rule there are none, and nobody misses them."""

    def __init__(self, desk: Desk, rule: StopRule | None) -> None:
        self._desk = desk
        self._orders = desk.orders
        self._rule = rule
        self._levels: dict[str, Decimal] = {}  # the tightest stop price of each position so far
        self._doubted: dict[str, Decimal] = {}  # of a position in quarantine, that price as it was before
        self._given: dict[str, Decimal] = {}  # where the next stop goes, whatever the rule says
        self._bare: dict[str, int] = {}  # shares told to be without a stop
        self._lost: dict[str, _Loss] = {}  # the last stop that ended without our doing
        self._looks = 0  # at the account
        self._unsure: set[str] = set()  # symbols whose lost stop waits for such looks
        self._wakes: dict[str, int] = {}  # the next timer of a symbol

    @property
    def is_kept(self) -> bool:
        """Whether positions are protected at all."""
        return self._rule is not None

    @property
    def wants_look(self) -> bool:
        """Whether a stop waits until the account has been compared."""
        return bool(self._unsure)

    def remember(self, symbol: str, price: Decimal | None) -> None:
        """Take over the stop price of an earlier session."""
        if price is not None:
            self._levels[symbol] = price

    def forget(self, symbol: str) -> None:
        """A person has said what is held: what the stops of before were meant for is no guide any more."""
        self._levels.pop(symbol, None)
        self._lost.pop(symbol, None)

    def split(self, symbol: str, ratio: Fraction, draft: Draft) -> Decimal | None:
        """Take back the stops of a share that is counted anew; return the price for what is placed in their stead."""
        for stop in self._orders.stops(symbol):
            if stop.wanted != 0:
                self._change(stop, 0, draft)
        self._lost.pop(symbol, None)
        held, level = self._desk.position(symbol), self._levels.pop(symbol, None)
        level = self._doubted.pop(symbol, level)
        if level is None or not held:
            return None
        # To the tick that loosens nothing.
        tick, rounding = (
            self._desk.portfolio.instrument(symbol).tick,
            ROUND_CEILING if held > 0 else ROUND_FLOOR,
        )
        exact = level * ratio.denominator / ratio.numerator
        price = max(tick, (exact / tick).quantize(Decimal(1), rounding) * tick)
        self._levels[symbol] = self._given[symbol] = price
        return price

    def attaches(self, symbol: str) -> bool:
        """Return whether an entry takes a stop along; brokers limit the orders of a side, so there are never many."""
        return len(self._orders.stops(symbol)) < MOST_STOPS

    def attached(self, order: Order) -> Order | None:
        """Return the stop that goes out with an entry, None where its price cannot be known."""
        price = self._price(order.symbol, order.side)
        return (
            None if price is None else self._stop(order.symbol, order.side, order.quantity, order.id, price)
        )

    def shares(self, symbol: str, side: Side) -> int:
        """Return the shares that stops of one side may still trade, whatever becomes of changes under way."""
        return sum(self._counted(stop) for stop in self._orders.stops(symbol) if stop.order.side is side)

    def balance(self, symbol: str, leaving: int, draft: Draft) -> None:
        """Bring the stops to what is held less what is `leaving` by exits: shrink, or add what is missing."""
        if self._rule is None:
            return
        self._unsure.discard(symbol)
        held = self._desk.surely_held(symbol)
        if not held:
            for known in (self._levels, self._lost, self._given):
                known.pop(symbol, None)
        if not self._desk.quarantined(symbol):
            self._doubted.pop(symbol, None)
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
            if all(stop.status is not OrderStatus.INTENT for stop in right):
                self._tell(symbol, 0, "", draft)
        elif all(stop.wanted is None for stop in stops):  # a change under way may still turn out otherwise
            self._add(symbol, Side.BUY if held > 0 else Side.SELL, missing, right, draft)

    def on_end(self, stop: OrderState, why: str) -> None:
        """A stop ended without trading. Where neither we nor its entry's end meant it to, it is lost."""
        entry = self._orders.state(stop.order.attached_to)
        if stop.wanted is None and (entry is None or entry.executed):
            symbol, last = stop.order.symbol, self._lost.get(stop.order.symbol)
            again = last is not None and self._desk.now - last.ts < RETRY_NS
            taken = stop.status is OrderStatus.CANCELLED
            self._lost[symbol] = _Loss(
                self._desk.now, self._desk.price(symbol), self._looks, again, taken, why
            )

    def on_timer(self, symbol: str, draft: Draft) -> None:
        """Cancel what did not answer to a change or a cancel; what is bare is looked at by who settles next."""
        self._wakes.pop(symbol, None)
        for stop in self._orders.stops(symbol):
            if stop.wanted is not None and self._desk.now - stop.asked >= PATIENCE_NS << stop.asks:
                stop.wanted, stop.asks = None, min(stop.asks + 1, MOST_ASKS)
                self._shrink(stop, 0, draft)

    def on_account(self) -> None:
        """The account has been looked at: what failed before may be tried again."""
        self._looks += 1
        self._lost = {symbol: replace(loss, again=False) for symbol, loss in self._lost.items()}

    # ------------------------------------------------------------------------------------------- the quantity

    def _counted(self, stop: OrderState) -> int:
        """Return the shares a stop may trade now."""
        entry = self._entry(stop)
        return worked(abs(stop.remaining), stop.executed, None if entry is None else entry.executed)

    def _entry(self, stop: OrderState) -> OrderState | None:
        """Return the entry a stop is attached to while that may still trade."""
        entry = self._orders.state(stop.order.attached_to)
        return entry if entry is not None and entry.remaining else None

    def _reduce(self, stops: list[OrderState], excess: int, draft: Draft) -> None:
        """Take shares off the stops, the last one first; what is being taken off already counts."""
        for stop in reversed(stops):
            counted = self._counted(stop)
            if stop.wanted is not None:
                excess -= max(0, counted - max(0, stop.wanted - stop.executed))
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
        if stop.was_refused:
            quantity = 0
            if self._desk.now - stop.asked < PATIENCE_NS:
                self._wake(stop.order.symbol, PATIENCE_NS, draft)
                return
        self._change(stop, quantity, draft)

    def _change(self, stop: OrderState, quantity: int, draft: Draft) -> None:
        """Ask for another quantity, or for the end of a stop; until that is confirmed nothing else is asked of it."""
        self._wake(stop.order.symbol, PATIENCE_NS << stop.asks, draft)
        stop.wanted, stop.asked = quantity, self._desk.now
        changed = msgspec.structs.replace(stop.order, quantity=quantity)
        draft.command(Modify(changed) if quantity else Cancel(stop.order.id))

    def _add(self, symbol: str, entry: Side, shares: int, stops: list[OrderState], draft: Draft) -> None:
        """Protect what has no stop, unless that must wait."""
        price = self._given.get(symbol) or self._price(symbol, entry)
        wait = NO_PRICE if price is None else self._wait(symbol, entry, price)
        if wait or price is None:
            # No price comes in a night, and a second of it takes as long to write down as one of the day.
            is_near = wait == UNSEEN and self._desk.session() is not None
            self._wake(symbol, SECOND_NS if is_near else RETRY_NS, draft)
            if wait != UNSEEN or self._desk.now - self._lost[symbol].ts >= RETRY_NS:
                self._tell(symbol, shares, wait, draft)
            return
        standing = [stop for stop in stops if self._may_grow(stop)]
        if len(stops) >= MOST_STOPS and standing:
            self._change(standing[0], standing[0].order.quantity + shares, draft)
            return
        stop = self._stop(symbol, entry, shares, "", price)
        changed = self._orders.submit(stop)
        assert changed is not None, "its number is new"
        self._given.pop(symbol, None)
        draft.command(Submit(stop))
        draft.fact(msgspec.structs.replace(changed, ts=self._desk.now))

    def _may_grow(self, stop: OrderState) -> bool:
        """Whether a stop stands untouched: not triggered, not in doubt, on its own."""
        return stop.status is OrderStatus.WORKING and not stop.was_refused and self._entry(stop) is None

    def _wait(self, symbol: str, entry: Side, price: Decimal) -> str:
        """Say why a stop that was lost may not be placed again yet, empty where it may.

        A broker cancels stops for a split, and at the old price the new shares would be sold at once: so there must be
        a price since, and where the market has jumped or is beyond the stop, the account must have been compared.
        """
        loss, market = self._lost.get(symbol), self._desk.price(symbol)
        if loss is None:
            return ""
        if loss.again and self._desk.now - loss.ts < RETRY_NS:
            return f"stops do not last: {loss.why}"
        if not loss.taken:
            return ""
        if market is None or (self._desk.portfolio.price_ts(symbol) or 0) <= loss.ts:
            return UNSEEN
        has_jumped = loss.price is None or abs(market / loss.price - 1) > JUMP
        is_beyond = (float(price) - market) * entry.sign >= 0
        if (has_jumped or is_beyond) and self._looks - loss.looks < LOOKS:
            self._unsure.add(symbol)
            return f"the market is far from where the stop was lost ({loss.why}): comparing the account first"
        return ""

    def _wake(self, symbol: str, after_ns: int, draft: Draft) -> None:
        """Look at a symbol again, once, however often that is asked for."""
        at = self._desk.now + after_ns
        if not self._desk.now < self._wakes.get(symbol, 0) <= at:
            self._wakes[symbol] = at
            draft.command(SetTimer(at, TIMER + symbol))

    # ---------------------------------------------------------------------------------------------- the price

    def _stop(self, symbol: str, entry: Side, shares: int, attached_to: str, price: Decimal) -> Order:
        parent_id = self._desk.next_parent_id()
        return Order(
            f"{parent_id}.1", parent_id, symbol, entry.other, shares, OrderType.STOP, algorithm="stop",
            reason=f"protects {symbol}", stop_price=price, tif="GTC", attached_to=attached_to,
        )  # fmt: skip

    def _price(self, symbol: str, entry: Side) -> Decimal | None:
        """Return the rule's price or the one that stood, whichever is tighter: averaging down loosens no stop.

        In quarantine the shares may not be those the old price was meant for.
        """
        assert self._rule is not None, "asked only where stops are kept"
        observed = self._rule.price(symbol, entry, self._desk)
        wished = None if observed is None else self._desk.portfolio.instrument(symbol).price(observed)
        if self._desk.quarantined(symbol) and wished is not None:
            if symbol in self._levels:
                self._doubted.setdefault(symbol, self._levels[symbol])
            self._levels[symbol] = wished
        known = self._levels.get(symbol) if self._desk.position(symbol) * entry.sign > 0 else None
        return known if wished is None else _tighter(wished, known, entry)

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
