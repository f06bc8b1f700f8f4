"""The orders we sent and where each is in its life; an error is not an end, and silence is UNKNOWN."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from robo_trader.core.events import Fill, OpenOrder, Order, OrderStatus, OrderUpdate, Side
from robo_trader.core.steps import Anomaly, OrderChanged

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
    # Concluded from the broker's silence, so its word is stronger.
    S.NEVER_SENT: frozenset({S.WORKING, S.PARTIAL}) | _ENDS,
}


def worked(left: int, traded: int, entry_traded: int | None) -> int:
    """Return the shares of a stop that the broker works: all that are left, or as far as its live entry has traded.

    >>> worked(100, 0, None), worked(100, 0, 40), worked(90, 10, 40)
    (100, 40, 30)
    """
    return left if entry_traded is None else min(left, max(0, entry_traded - traded))


class OrderState:
    """One child order: its status, what has traded by execution, and the broker's permanent id.

    `wanted` is the quantity of a change the broker has yet to confirm, 0 for a cancel, None for no change; `asked` is
    when it was wanted, `asks` how often in vain, and `was_refused` whether the last change came to nothing.
    """

    __slots__ = (
        "asked",
        "asks",
        "broker_id",
        "ended_ts",
        "executed",
        "order",
        "sign",
        "status",
        "wanted",
        "was_refused",
    )

    def __init__(self, order: Order, status: OrderStatus = S.INTENT, executed: int = 0, broker_id: int = 0):
        self.order = order
        self.sign = order.side.sign
        self.status = status
        self.executed = executed
        self.broker_id = broker_id
        self.wanted: int | None = None
        self.asked = 0
        self.asks = 0
        self.ended_ts = 0
        self.was_refused = False

    @property
    def remaining(self) -> int:
        """Signed shares that may still trade."""
        return self.sign * (self.order.quantity - self.executed) if self.status in LIVE else 0


class OrderBook:
    """Every order of this session by id, with the live ones at hand by symbol; protective stops stand apart."""

    def __init__(self) -> None:
        self._states: dict[str, OrderState] = {}
        self._live: dict[str, dict[str, OrderState]] = {}
        self._stops: dict[str, dict[str, OrderState]] = {}

    def forget_before(self, ts: int) -> None:
        """Drop what ended before a time: nobody can ask for it, or correct it, any more."""
        old = [key for key, state in self._states.items() if state.status not in LIVE and state.ended_ts < ts]
        for key in old:
            del self._states[key]

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

    def state(self, order_id: str) -> OrderState | None:
        """Return where the order with this id is, None where it is not ours."""
        return self._states.get(order_id)

    def stops(self, symbol: str) -> list[OrderState]:
        """Return the live protective stops of a symbol, oldest first."""
        return list(self._stops.get(symbol, {}).values())

    def working(self, symbol: str) -> int:
        """Return the signed shares that live orders of this symbol may still trade, protective stops left out."""
        live = self._live.get(symbol)
        return sum([state.remaining for state in live.values()]) if live else 0

    def coming(self, symbol: str, side: Side, besides: Collection[str] = ()) -> int:
        """Return the shares that live orders on one side may still trade, those of the parents `besides` left out.

        Protective stops do not count: they trade only where nobody else did.
        """
        live = self._live.get(symbol, {}).values()
        counted = [s for s in live if s.order.side is side and s.order.parent_id not in besides]
        return sum(abs(state.remaining) for state in counted)

    def live(self) -> list[Order]:
        """Return all live orders, protective stops too."""
        tables = (self._live, self._stops)
        return [state.order for table in tables for by_id in table.values() for state in by_id.values()]

    def symbols(self) -> list[str]:
        """Return the symbols that have a live order, protective stops left out."""
        return [symbol for symbol, live in self._live.items() if live]

    def stopped_symbols(self) -> list[str]:
        """Return the symbols that have a live protective stop."""
        return [symbol for symbol, stops in self._stops.items() if stops]

    def update(self, update: OrderUpdate) -> OrderChanged | Anomaly | None:
        """Apply what the broker said; None when it was nothing new, an Anomaly when the step is not legal."""
        state = self._states.get(update.order_id)
        if state is None:
            return Anomaly(update.ts, "", f"{update.status} said of an unknown order: {update.order_id}")
        state.broker_id = update.broker_id or state.broker_id
        resized = _resized(state, update)
        # A word of FILLED waits for its executions: until they are booked the shares must count as still to come.
        if update.status is S.FILLED and state.remaining:
            return None
        if update.status is state.status and not resized:
            return None
        if update.status is not state.status and update.status not in LEGAL[state.status]:
            return self._illegal(state, update)
        return self._move(state, update.status, update.ts, update.reason)

    def fill(self, fill: Fill, shares: int) -> OrderChanged | Anomaly | None:
        """Apply an execution, or the `shares` by which a correction changed it; None where it changed none."""
        state = self._states.get(fill.order_id)
        if state is None:
            return Anomaly(
                fill.ts, fill.symbol, f"fill of an order this session does not know: {fill.order_id}"
            )
        ended = state.status not in LIVE
        state.executed += shares
        if shares <= 0:
            return None  # a correction revives no order: TWS would have to tell it
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
        if status in LIVE:
            self._keep(state)
        else:
            state.ended_ts = ts
            self._table(state).get(state.order.symbol, {}).pop(state.order.id, None)
        return OrderChanged(ts, state.order.id, status, state.executed, state.broker_id, reason)

    def _keep(self, state: OrderState) -> None:
        self._states[state.order.id] = state
        self._table(state).setdefault(state.order.symbol, {})[state.order.id] = state

    def _table(self, state: OrderState) -> dict[str, dict[str, OrderState]]:
        return self._stops if state.order.protects else self._live


def _resized(state: OrderState, update: OrderUpdate) -> bool:
    """Take over the quantity at which the broker works a stop; say whether that, or a wish of ours, has changed.

    With an entry that ends half filled the broker shrinks the stop itself, down to one that is filled by that.
    """
    if not state.order.protects or update.status not in (S.WORKING, S.PARTIAL, S.FILLED):
        return False
    shown = update.filled + (0 if update.status is S.FILLED else update.remaining)
    if not shown or (update.status is not S.FILLED and not update.remaining):
        return False
    changed = shown != state.order.quantity
    if changed:
        state.order = msgspec.structs.replace(state.order, quantity=shown)
    if state.wanted is not None and (shown == state.wanted or update.reason):
        state.was_refused, state.wanted, state.asks = shown != state.wanted, None, 0
        return True
    return changed
