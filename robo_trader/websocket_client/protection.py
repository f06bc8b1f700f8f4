"""What the stops at the broker protect of each position, as the page shows it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from robo_trader.core.events import Modify, OpenOrder, Order, OrderStatus, OrderUpdate, Submit
from robo_trader.core.orders import LIVE, worked
from robo_trader.core.steps import OrderChanged, Unprotected


class _Standing:
    """One order that works: how much of it has traded, and the change the broker has yet to confirm."""

    __slots__ = ("order", "price", "quantity", "traded", "wanted")

    def __init__(self, order: Order, traded: int = 0) -> None:
        self.order = order
        self.quantity = order.quantity
        self.price = order.stop_price
        self.traded = traded
        self.wanted: Order | None = None


class Protection:
    """Knows, by symbol, the shares that live stops cover, their prices, and what is said to be uncovered."""

    def __init__(self) -> None:
        self._stops: dict[str, _Standing] = {}
        self._entries: dict[str, _Standing] = {}  # orders with a stop attached, while they may trade
        self._bare: dict[str, Unprotected] = {}

    def row(self, symbol: str) -> dict[str, Any] | None:
        """Return what the page is told of a symbol, None where there is neither stop nor alarm."""
        stops = [stop for stop in self._stops.values() if stop.order.symbol == symbol]
        bare = self._bare.get(symbol)
        if not stops and bare is None:
            return None
        return {
            "symbol": symbol,
            "covered": sum(self._covers(stop) for stop in stops),
            "stops": [_price(stop) for stop in stops],
            "unprotected": bare.shares if bare else 0,
            "why": bare.why if bare else "",
        }

    def submit(self, command: Submit) -> str:
        """Take an order that goes out; return its symbol where that changes what is protected, else nothing."""
        order = command.order
        if command.stop is not None:
            self._entries[order.id] = _Standing(order)
            self._stops[command.stop.id] = _Standing(command.stop)
        elif order.protects:
            self._stops[order.id] = _Standing(order)
        else:
            return ""
        return order.symbol

    def modify(self, command: Modify) -> None:
        """Note a change that is asked for; it counts once the broker confirms it."""
        stop = self._stops.get(command.order.id)
        if stop is not None:
            stop.wanted = command.order

    def adopt(self, found: OpenOrder) -> str:
        """Take over a stop of an earlier session; return its symbol, nothing for any other order."""
        if not found.order.protects or not found.alive:
            return ""
        self._stops[found.order.id] = _Standing(found.order, found.filled)
        return found.order.symbol

    def update(self, update: OrderUpdate) -> str:
        """Take the quantity at which the broker works a stop; return the symbol where it is one."""
        stop = self._stops.get(update.order_id)
        if stop is None or update.status not in (OrderStatus.WORKING, OrderStatus.PARTIAL):
            return ""
        if update.remaining:
            stop.quantity = update.filled + update.remaining
        if stop.wanted is not None and stop.quantity == stop.wanted.quantity and not update.reason:
            stop.price, stop.wanted = stop.wanted.stop_price, None
        return stop.order.symbol

    def change(self, change: OrderChanged) -> str:
        """Take an order's new state; return its symbol where that changes what is protected, else nothing."""
        for standing in (self._stops, self._entries):
            found = standing.get(change.order_id)
            if found is None:
                continue
            found.traded = change.filled
            if change.status not in LIVE:
                del standing[change.order_id]
            return found.order.symbol
        return ""

    def bare(self, fact: Unprotected) -> str:
        """Take an alarm, or its end; return its symbol."""
        self._bare[fact.symbol] = fact
        if not fact.shares:
            del self._bare[fact.symbol]
        return fact.symbol

    def _covers(self, stop: _Standing) -> int:
        entry = self._entries.get(stop.order.attached_to)
        return worked(stop.quantity - stop.traded, stop.traded, None if entry is None else entry.traded)


def _price(stop: _Standing) -> dict[str, Decimal | int | str | None]:
    return {"id": stop.order.id, "price": stop.price, "shares": stop.quantity - stop.traded}
