"""The state of the desk, and the read-only view of it that strategies, sizers and gates get."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from robo_trader.core.events import Order, TradingState
from robo_trader.core.holds import Holds
from robo_trader.core.instrument import Instrument
from robo_trader.core.orders import OrderBook
from robo_trader.core.portfolio import Portfolio
from robo_trader.core.protocols import Calendar, Reading, Regimes, Session, Vector


class Waiting(NamedTuple):
    """An order that may not go out yet: an exit until the stops make room, an entry until what it follows is closed."""

    order: Order
    reduces: bool


class Desk:
    """Everything the engine remembers; satisfies `View`."""

    def __init__(
        self,
        session_id: str,
        instruments: Mapping[str, Instrument],
        calendar: Calendar,
        feature_names: Sequence[str],
        regimes: Regimes | None = None,
    ) -> None:
        self._session_id = session_id
        self._parents = 0
        self.portfolio = Portfolio(instruments)
        self.orders = OrderBook()
        self.waiting: dict[str, list[Waiting]] = {}  # by symbol, what was decided on and may not go out yet
        self.now = 0
        self.holds = Holds()
        self.day = ""
        self.day_start: Decimal | None = None
        self.mismatched: dict[str, int] = {}
        self.theirs: dict[str, int] = {}  # the broker's position where it differs from ours
        self.vectors: dict[str, Vector] = {}
        self._calendar = calendar
        self._regimes = regimes
        self._session: Session | None = None  # the last one asked for
        self.feature_names = tuple(feature_names)
        self._columns = {name: i for i, name in enumerate(feature_names)}

    def position(self, symbol: str) -> int:
        """Return the signed shares held."""
        return self.portfolio.quantity(symbol)

    def working(self, symbol: str) -> int:
        """Return the signed shares that orders at work may still trade, protective stops left out."""
        waiting = self.waiting.get(symbol, ())
        return self.orders.working(symbol) + sum(one.order.side.sign * one.order.quantity for one in waiting)

    def price(self, symbol: str) -> float | None:
        """Return the last observed price in USD."""
        return self.portfolio.price(symbol)

    def price_age_ns(self, symbol: str) -> int | None:
        """Return how long ago the price was observed."""
        seen = self.portfolio.price_ts(symbol)
        return None if seen is None else self.now - seen

    def vector(self, symbol: str) -> Vector | None:
        """Return the feature vector of the last closed bar."""
        return self.vectors.get(symbol)

    def feature(self, symbol: str, name: str) -> float | None:
        """Return one feature of the last closed bar by name."""
        vector, column = self.vectors.get(symbol), self._columns.get(name)
        value = math.nan if vector is None or column is None else vector.item(column)
        return None if math.isnan(value) else value

    def regime(self, symbol: str) -> Reading | None:
        """Return what kind of market the symbol is in, None where nobody looks."""
        return None if self._regimes is None else self._regimes.reading(symbol)

    def regime_name(self, symbol: str) -> str:
        """Return the same as a word, empty where nobody looks."""
        reading = self.regime(symbol)
        return "" if reading is None else str(reading.regime)

    def held(self) -> Sequence[str]:
        """Return the symbols with a position or a live order."""
        return sorted({*self.portfolio.held(), *self.orders.symbols()})

    def equity(self) -> Decimal | None:
        """Return cash plus value, None while a holding has no price."""
        return self.portfolio.equity()

    def day_start_equity(self) -> Decimal | None:
        """Return the equity the exchange session began with."""
        return self.day_start

    def session(self) -> Session | None:
        """Return the exchange session that is open now."""
        return self.session_at(self.now)

    def session_at(self, ts: int) -> Session | None:
        """Return the exchange session that contains `ts`; the calendar is asked only when it is another one."""
        known = self._session
        if known is None or not known.open < ts <= known.close:
            known = self._session = self._calendar.session(ts)
        return known

    @property
    def state(self) -> TradingState:
        """Return what the desk may do."""
        return self.holds.state

    @property
    def stopped(self) -> str:
        """Return why new exposure is refused, empty while it is allowed."""
        return "; ".join(f"{hold.reason} ({by})" for by, hold in sorted(self.holds.by.items()))

    def next_parent_id(self) -> str:
        """Return the id of a new parent order."""
        self._parents += 1
        return f"{self._session_id}-{self._parents}"

    def surely_held(self, symbol: str) -> int:
        """Return the position; in quarantine no more of it than the broker knows of, or an exit might open one there."""
        ours = self.position(symbol)
        if not self.quarantined(symbol):
            return ours
        theirs = self.theirs.get(symbol, 0)
        return min(ours, theirs, key=abs) if ours * theirs > 0 else 0

    def quarantined(self, symbol: str) -> bool:
        """Return whether two accounts of this symbol in a row differed from ours."""
        return self.mismatched.get(symbol, 0) >= 2
