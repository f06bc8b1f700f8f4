"""The orders we sent and where each is in its life; an error is not an end, and silence is UNKNOWN."""

from __future__ import annotations

from collections.abc import Collection

from robo_trader.core.events import (
    Anomaly,
    Fill,
    OpenOrder,
    Order,
    OrderChanged,
    OrderStatus,
    OrderUpdate,
    Side,
)

S = OrderStatus
LIVE = frozenset({S.INTENT, S.WORKING, S.PARTIAL, S.UNKNOWN})
_ENDS = frozenset({S.FILLED, S.CANCELLED, S.REJECTED})
# From each status, the statuses it may move to. Executions outrank words: a fill after an end is booked and told.
LEGAL: dict[OrderStatus, frozenset[OrderStatus]] = {
    S.INTENT: frozenset({S.WORKING, S.PARTIAL, S.UNKNOWN, S.NEVER_SENT}) | _ENDS,
    S.WORKING: frozenset({S.PARTIAL, S.UNKNOWN}) | _ENDS,
    S.PARTIAL: frozenset({S.FILLED, S.CANCELLED, S.UNKNOWN, S.REJECTED}),
    S.UNKNOWN: frozenset({S.WORKING, S.PARTIAL, S.NEVER_SENT}) | _ENDS,
    S.FILLED: frozenset(),
    S.CANCELLED: frozenset({S.FILLED}),
    S.REJECTED: frozenset({S.FILLED}),
    S.NEVER_SENT: frozenset(),
}


class OrderState:
    """One child order: its status, what has traded by execution, and the broker's permanent id."""

    __slots__ = ("broker_id", "executed", "order", "sign", "status")

    def __init__(self, order: Order, status: OrderStatus = S.INTENT, executed: int = 0, broker_id: int = 0):
        self.order = order
        self.sign = order.side.sign
        self.status = status
        self.executed = executed
        self.broker_id = broker_id

    @property
    def remaining(self) -> int:
        """Signed shares that may still trade."""
        return self.sign * (self.order.quantity - self.executed) if self.status in LIVE else 0


class OrderBook:
    """Every order of this session by id, with the live ones at hand by symbol."""

    def __init__(self) -> None:
        self._states: dict[str, OrderState] = {}
        self._live: dict[str, dict[str, OrderState]] = {}

    def submit(self, order: Order) -> OrderChanged | None:
        """Note an intent. Returns None when the id is known already: the same intent is never sent twice."""
        if order.id in self._states:
            return None
        self._keep(OrderState(order))
        return OrderChanged(0, order.id, S.INTENT, 0)

    def adopt(self, found: OpenOrder) -> None:
        """Take over an order of an earlier session whose end is not booked yet."""
        self._keep(OrderState(found.order, found.status, found.filled, found.broker_id))

    def get(self, order_id: str) -> Order | None:
        """Return the order with this id, None where it is not ours."""
        state = self._states.get(order_id)
        return state.order if state else None

    def working(self, symbol: str) -> int:
        """Return the signed shares that live orders of this symbol may still trade."""
        live = self._live.get(symbol)
        return sum([state.remaining for state in live.values()]) if live else 0

    def coming(self, symbol: str, side: Side, besides: Collection[str] = ()) -> int:
        """Return the shares that live orders on one side may still trade, those of the parents `besides` left out."""
        live = self._live.get(symbol, {}).values()
        counted = [s for s in live if s.order.side is side and s.order.parent_id not in besides]
        return sum(abs(state.remaining) for state in counted)

    def live(self) -> list[Order]:
        """Return all live orders."""
        return [state.order for by_id in self._live.values() for state in by_id.values()]

    def symbols(self) -> list[str]:
        """Return the symbols that have a live order."""
        return [symbol for symbol, live in self._live.items() if live]

    def update(self, update: OrderUpdate) -> OrderChanged | Anomaly | None:
        """Apply what the broker said; None when it was nothing new, an Anomaly when the step is not legal."""
        state = self._states.get(update.order_id)
        if state is None:
            return Anomaly(update.ts, "", f"{update.status} said of an unknown order: {update.order_id}")
        state.broker_id = update.broker_id or state.broker_id
        # A word of FILLED waits for its executions: until they are booked the shares must count as still to come.
        if update.status is state.status or update.status is S.FILLED:
            return None
        if update.status not in LEGAL[state.status]:
            return self._illegal(state, update)
        return self._move(state, update.status, update.ts, update.reason)

    def fill(self, fill: Fill) -> OrderChanged | Anomaly | None:
        """Apply an execution seen for the first time."""
        state = self._states.get(fill.order_id)
        if state is None:
            return Anomaly(
                fill.ts, fill.symbol, f"fill of an order this session does not know: {fill.order_id}"
            )
        ended = state.status not in LIVE
        state.executed += fill.quantity
        if state.executed > state.order.quantity:
            return Anomaly(fill.ts, fill.symbol, f"over-fill of {fill.order_id}: {state.executed} shares")
        if state.executed == state.order.quantity:
            return self._move(state, S.FILLED, fill.ts)
        if ended:
            return Anomaly(fill.ts, fill.symbol, f"fill of {fill.order_id} after it was {state.status}")
        return self._move(state, S.PARTIAL, fill.ts)

    def _illegal(self, state: OrderState, update: OrderUpdate) -> Anomaly | None:
        # The broker repeats itself and its messages overtake each other: an older word is no news.
        if update.status in (S.WORKING, S.PARTIAL, S.UNKNOWN):
            return None
        what = f"{state.order.id} cannot go from {state.status} to {update.status}"
        return Anomaly(update.ts, state.order.symbol, what)

    def _move(self, state: OrderState, status: OrderStatus, ts: int, reason: str = "") -> OrderChanged:
        state.status = status
        if status not in LIVE:
            self._live[state.order.symbol].pop(state.order.id, None)
        return OrderChanged(ts, state.order.id, status, state.executed, state.broker_id, reason)

    def _keep(self, state: OrderState) -> None:
        self._states[state.order.id] = state
        self._live.setdefault(state.order.symbol, {})[state.order.id] = state
