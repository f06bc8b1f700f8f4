"""The ledger: cash and FIFO lots in Decimal, so that cash + value == start + realised + unrealised at every step."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from decimal import Decimal

from robo_trader.core.events import AccountSnapshot, Equity, Fill, Lot, PositionChanged
from robo_trader.core.instrument import Instrument

ZERO = Decimal(0)


class Position:
    """One symbol's lots, oldest first, all long or all short."""

    __slots__ = ("cost", "lots", "quantity", "realised")

    def __init__(self, lots: tuple[Lot, ...] = ()) -> None:
        self.lots: deque[Lot] = deque(lots)
        self.quantity: int = sum(lot.quantity for lot in lots)
        self.cost: Decimal = sum((lot.quantity * lot.price for lot in lots), ZERO)
        self.realised: Decimal = ZERO

    def trade(self, quantity: int, price: Decimal) -> Decimal:
        """Book signed shares at a price, closing the oldest lots first; return the realised P&L before commission.

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
                self.lots.appendleft(Lot(oldest.quantity - closed, oldest.price))
        if quantity:
            self.lots.append(Lot(quantity, price))
            self.cost += quantity * price
        return realised


class Portfolio:
    """What the account owns and owes. Fills are booked once by execution id; realised is net of commission."""

    def __init__(self, instruments: Mapping[str, Instrument]) -> None:
        self._instruments = dict(instruments)
        self._booked: dict[str, Decimal] = {}  # exec_id -> commission booked so far
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
        self._booked = {fill.exec_id: fill.commission or ZERO for fill in snapshot.fills}
        self.positions = {h.symbol: Position(h.lots) for h in snapshot.holdings if h.lots}
        self.cost = sum((p.cost for p in self.positions.values()), ZERO)
        self.start = self.cash + self.cost
        self._value = None

    def apply(self, fill: Fill) -> bool:
        """Book a fill, or the commission of one already booked; False when there was nothing new in it."""
        first_seen = fill.exec_id not in self._booked
        if first_seen:
            self._booked[fill.exec_id] = ZERO
            self._trade(fill)
        return self._charge(fill) or first_seen

    def _trade(self, fill: Fill) -> None:
        position = self.positions.get(fill.symbol)
        if position is None:
            position = self.positions[fill.symbol] = Position()
        signed = fill.side.sign * fill.quantity
        self.cost -= position.cost
        realised = position.trade(signed, fill.price)
        self.cost += position.cost
        self._value = None
        position.realised += realised
        self.realised += realised
        self.cash -= signed * fill.price

    def _charge(self, fill: Fill) -> bool:
        due = (fill.commission or ZERO) - self._booked[fill.exec_id]
        if fill.commission is None or not due:
            return False
        self._booked[fill.exec_id] = fill.commission
        self.positions[fill.symbol].realised -= due
        self.realised -= due
        self.cash -= due
        return True

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
                    known = self._prices[symbol] = (mark, self._instrument(symbol).price(mark))
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

    def _instrument(self, symbol: str) -> Instrument:
        known = self._instruments.get(symbol)
        return known if known is not None else self._instruments.setdefault(symbol, Instrument(symbol))
