"""The ledger: cash and FIFO lots in Decimal, so that cash + value == start + realised + unrealised at every step."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction

import msgspec

from robo_trader.core.events import AccountSnapshot, Fill, Lot
from robo_trader.core.executions import stem, version
from robo_trader.core.instrument import Instrument
from robo_trader.core.steps import Equity, PositionChanged

ZERO = Decimal(0)


class Position:
    """One symbol's lots, oldest first, all long or all short."""

    __slots__ = ("cost", "lots", "quantity", "realised")

    def __init__(self, lots: tuple[Lot, ...] = ()) -> None:
        self.lots: deque[Lot] = deque(lots)
        self.quantity: int = sum(lot.quantity for lot in lots)
        self.cost: Decimal = sum((lot.quantity * lot.price for lot in lots), ZERO)
        self.realised: Decimal = ZERO

    def trade(self, quantity: int, price: Decimal, by: str = "") -> Decimal:
        """Book signed shares at a price, closing the oldest lots first; return the realised P&L before commission.

        `by` names the execution, without its version, so that a correction finds what is left of it.

        >>> p = Position((Lot(10, Decimal(100)), Lot(10, Decimal(110))))
        >>> p.trade(-15, Decimal(120)), p.quantity
        (Decimal('250'), 5)
        """
        realised = ZERO
        self.quantity += quantity
        while quantity and self.lots and (self.lots[0].quantity > 0) != (quantity > 0):
            oldest = self.lots.popleft()
            closed = -quantity if abs(quantity) < abs(oldest.quantity) else oldest.quantity
            realised += closed * (price - oldest.price)
            self.cost -= closed * oldest.price
            quantity += closed
            if closed != oldest.quantity:
                self.lots.appendleft(Lot(oldest.quantity - closed, oldest.price, oldest.exec_id))
        if quantity:
            self.lots.append(Lot(quantity, price, by))
            self.cost += quantity * price
        return realised

    def correct(self, by: str, was: tuple[int, Decimal], now: tuple[int, Decimal]) -> Decimal:
        """Replace an execution of signed shares at a price by another; return what that changes in realised P&L.

        What is left of it is revalued where it lies. Shares it did not trade after all are taken from there first, and
        beyond that traded back.

        >>> p = Position((Lot(10, Decimal(100), "a"),))
        >>> p.trade(-4, Decimal(120)), p.correct("a", (10, Decimal(100)), (10, Decimal(101))), p.cost
        (Decimal('80'), Decimal('-4'), Decimal('606'))
        >>> p.correct("a", (10, Decimal(101)), (0, Decimal(101))), p.quantity
        (Decimal('0'), -4)
        """
        (quantity, old), (target, new) = was, now
        left = sum(lot.quantity for lot in self.lots if lot.exec_id == by)
        realised = -(quantity - left) * (new - old)
        back = target - quantity
        taken = max(back, -left) if left > 0 else min(back, -left)
        taken = taken if taken * left < 0 else 0
        self._revalue(by, new, left + taken)
        self.quantity += taken
        return realised + (self.trade(back - taken, new, by) if back != taken else ZERO)

    def _revalue(self, by: str, price: Decimal, shares: int) -> None:
        """Give the lots of one execution a price, and keep as many of its shares."""
        lots = []
        for lot in self.lots:
            if lot.exec_id == by:
                kept = min(shares, lot.quantity) if lot.quantity > 0 else max(shares, lot.quantity)
                shares -= kept
                lot = Lot(kept, price, by)
            if lot.quantity:
                lots.append(lot)
        self.lots = deque(lots)
        self.cost = sum((lot.quantity * lot.price for lot in self.lots), ZERO)


def _counted_anew(lots: Iterable[Lot], ratio: Fraction) -> tuple[Lot, ...]:
    """Return lots in new shares, whole ones, together as many as all of them make.

    >>> half = Lot(5, Decimal(20))
    >>> [(lot.quantity, str(lot.price)) for lot in _counted_anew((half, half, half), Fraction(1, 2))]
    [(2, '40'), (3, '40'), (2, '40')]
    """
    found, old, new = [], 0, 0
    for lot in lots:
        old += lot.quantity
        whole = int(old * ratio)
        if whole != new:
            found.append(Lot(whole - new, lot.price * ratio.denominator / ratio.numerator))
        new = whole
    return tuple(found)


class Booking(msgspec.Struct, frozen=True):
    """What a fill changed: shares more (or, of a correction, fewer), and the version it replaced."""

    shares: int
    replaced: Fill | None


class Portfolio:
    """What the account owns and owes. Fills are booked once by execution id; realised is net of commission."""

    def __init__(self, instruments: Mapping[str, Instrument]) -> None:
        self._instruments = dict(instruments)
        self._booked: dict[
            str, Fill
        ] = {}  # by execution, the version that stands, with the commission booked so far
        self._marks: dict[str, float] = {}
        self._mark_ts: dict[str, int] = {}
        self._prices: dict[str, tuple[float, Decimal]] = {}  # the mark valued last, and what it is owned at
        self._value: Decimal | None = None  # of all positions, until a mark or a fill changes it
        self.positions: dict[str, Position] = {}
        self.cash: Decimal = ZERO
        self.cost: Decimal = ZERO
        self.start: Decimal = ZERO
        self.realised: Decimal = ZERO

    def open(self, snapshot: AccountSnapshot) -> None:
        """Begin the books with the account as it is; start equity counts holdings at cost.

        The snapshot's fills are in its holdings and cash already: they are only remembered, so that hearing of
        them again changes nothing.
        """
        self.cash = snapshot.cash
        self._booked = {stem(fill.exec_id): fill for fill in snapshot.fills}
        self.positions = {h.symbol: Position(h.lots) for h in snapshot.holdings if h.lots}
        self.cost = sum((p.cost for p in self.positions.values()), ZERO)
        self.start = self.cash + self.cost
        self._value = None

    def forget_before(self, ts: int) -> None:
        """Drop what is remembered of fills before a time (UTC ns): TWS neither tells nor corrects them any more."""
        self._booked = {key: fill for key, fill in self._booked.items() if fill.ts >= ts}

    def apply(self, fill: Fill) -> Booking | None:
        """Book a fill, a later version of one, or the commission of one already booked; None where nothing is new."""
        key = stem(fill.exec_id)
        known = self._booked.get(key)
        if known is not None and version(fill.exec_id) < version(known.exec_id):
            return None
        if known is None or fill.exec_id == known.exec_id:
            charged = self._charge(fill, known)
            if known is None:
                self._trade(fill, key)
            self._booked[key] = fill if charged or known is None else known
            return Booking(0 if known else fill.quantity, None) if charged or known is None else None
        # A correction told before its commission costs what the version before it did, until we hear otherwise.
        fill = msgspec.structs.replace(
            fill, commission=known.commission if fill.commission is None else fill.commission
        )
        self._correct(known, fill, key)
        self._charge(fill, known)
        self._booked[key] = fill
        return Booking(fill.quantity - known.quantity, known)

    def _trade(self, fill: Fill, key: str) -> None:
        signed = fill.side.sign * fill.quantity
        position = self._position(fill.symbol)
        cost = position.cost
        self._earn(position, position.trade(signed, fill.price, key), cost)
        self.cash -= signed * fill.price

    def _correct(self, was: Fill, fill: Fill, key: str) -> None:
        position, sign = self._position(fill.symbol), fill.side.sign
        before = sign * was.quantity, was.price
        now = sign * fill.quantity, fill.price
        cost = position.cost
        self._earn(position, position.correct(key, before, now), cost)
        self.cash += before[0] * before[1] - now[0] * now[1]

    def _earn(self, position: Position, realised: Decimal, cost_before: Decimal) -> None:
        self.cost += position.cost - cost_before
        self._value = None
        position.realised += realised
        self.realised += realised

    def _position(self, symbol: str) -> Position:
        position = self.positions.get(symbol)
        if position is None:
            position = self.positions[symbol] = Position()
        return position

    def _charge(self, fill: Fill, known: Fill | None) -> bool:
        before = known.commission if known is not None else None
        due = (fill.commission or ZERO) - (before or ZERO)
        if fill.commission is None or (fill.commission == before):
            return False
        self._position(fill.symbol).realised -= due
        self.realised -= due
        self.cash -= due
        return True

    def uncharged(self, since: int) -> bool:
        """Return whether a fill after `since` (UTC ns) still waits for its commission."""
        return any(f.commission is None and f.quantity and f.ts > since for f in self._booked.values())

    def adopt(self, symbol: str, quantity: int) -> None:
        """Hold what the broker says, at the prices of our lots or, beyond them, at the mark; equity starts anew there.

        Raises LedgerError where a price is needed and none is known.
        """
        position = self._position(symbol)
        lots, left = [], quantity
        for lot in position.lots:
            kept = min(lot.quantity, left) if left > 0 else max(lot.quantity, left)
            if kept * left > 0 and kept * lot.quantity > 0:
                lots.append(Lot(kept, lot.price, lot.exec_id))
                left -= kept
        if left:
            lots.append(Lot(left, self.instrument(symbol).price(self._marks.get(symbol, 0.0))))
        adopted = Position(tuple(lots))
        adopted.realised = position.realised
        self.positions[symbol] = adopted
        self.cost += adopted.cost - position.cost
        self.start += adopted.cost - position.cost
        self._value = None

    def split(self, symbol: str, ratio: Fraction, since: int) -> Decimal:
        """Count a share anew, `ratio` new shares for an old one; return what the fraction left over is worth in USD.

        Lots keep their cost, up to that fraction: cash in its place comes from the broker. A mark of before `since`
        (ns UTC) is divided as well. A later correction of an execution revalues none of these lots.
        """
        mark = self._marks.get(symbol)
        if mark is not None and self._mark_ts[symbol] <= since:
            mark = self._marks[symbol] = mark / float(ratio)
        self._value = None
        if not self.quantity(symbol):
            return ZERO
        position = self.positions[symbol]
        counted = Position(_counted_anew(position.lots, ratio))
        counted.realised = position.realised
        self.positions[symbol] = counted
        self.cost += counted.cost - position.cost
        self.start += counted.cost - position.cost
        left = position.quantity * ratio - counted.quantity
        worth = ZERO if mark is None else self.instrument(symbol).price(mark)
        return worth * left.numerator / left.denominator

    def move_cash(self, amount: Decimal) -> None:
        """Book cash that came or went by no trade: it is no profit, so equity starts anew with it."""
        self.cash += amount
        self.start += amount

    def mark(self, symbol: str, price: float, ts: int) -> None:
        """Note an observed price; it becomes a Decimal only when something is valued."""
        self._marks[symbol] = price
        self._mark_ts[symbol] = ts
        if self.quantity(symbol):
            self._value = None

    def price(self, symbol: str) -> float | None:
        """Return the last observed price in USD, None before the first."""
        return self._marks.get(symbol)

    def price_ts(self, symbol: str) -> int | None:
        """Return when the last price was observed, UTC ns, None before the first."""
        return self._mark_ts.get(symbol)

    def quantity(self, symbol: str) -> int:
        """Return the signed shares held."""
        position = self.positions.get(symbol)
        return position.quantity if position else 0

    def held(self) -> Iterator[str]:
        """Yield the symbols of open positions."""
        return (symbol for symbol, position in self.positions.items() if position.quantity)

    def value(self) -> Decimal | None:
        """Value all positions at their marks in USD, None while one has no mark."""
        if self._value is not None:
            return self._value
        total = ZERO
        for symbol, position in self.positions.items():
            if position.quantity:
                mark = self._marks.get(symbol)
                if mark is None:
                    return None
                known = self._prices.get(symbol)
                if known is None or known[0] != mark:
                    known = self._prices[symbol] = (mark, self.instrument(symbol).price(mark))
                total += position.quantity * known[1]
        self._value = total
        return total

    def equity(self) -> Decimal | None:
        """Return cash plus value in USD, None while a held symbol has no mark."""
        value = self.value()
        return None if value is None else self.cash + value

    def summary(self, ts: int) -> Equity | None:
        """State the books at `ts`, None while a held symbol has no mark."""
        value = self.value()
        if value is None:
            return None
        return Equity(ts, self.cash, value, self.start, self.realised, value - self.cost)

    def changed(self, symbol: str, ts: int) -> PositionChanged:
        """Describe one position whole, as it is kept in the database."""
        position = self.positions[symbol]
        return PositionChanged(ts, symbol, position.quantity, tuple(position.lots), position.realised)

    def instrument(self, symbol: str) -> Instrument:
        """Return what a symbol is; one that nobody described is an ordinary share."""
        known = self._instruments.get(symbol)
        return known if known is not None else self._instruments.setdefault(symbol, Instrument(symbol))
