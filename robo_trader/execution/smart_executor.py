"""Works parent orders as child orders on timers, and keeps parent and children in balance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from robo_trader.core.events import (
    Cancel,
    Command,
    Fill,
    Order,
    OrderStatus,
    OrderUpdate,
    SetTimer,
    Submit,
    Timer,
)
from robo_trader.core.protocols import View
from robo_trader.execution.algorithms import Algorithm, Slice

_ENDED = frozenset({OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.NEVER_SENT})


@dataclass(frozen=True)
class ExecutorOptions:
    """`algorithm` is `auto`, `market` or `twap`; auto takes TWAP above `twap_above_participation` of a bar's volume."""

    algorithm: str = "auto"
    twap_above_participation: float = 0.01


class Parent:
    """One parent order at work: what is scheduled, what is out, what has filled."""

    __slots__ = ("order", "out", "sent", "slices")

    def __init__(self, order: Order, slices: Sequence[Slice]) -> None:
        self.order = order
        self.slices = list(slices)
        self.out: dict[str, int] = {}  # child id -> shares sent and not yet traded
        self.sent = 0  # slices sent so far

    @property
    def coming(self) -> int:
        """Shares still scheduled or out."""
        scheduled = sum([piece.quantity for piece in self.slices[self.sent :]])
        return scheduled + sum(self.out.values())

    @property
    def done(self) -> bool:
        """Whether nothing is scheduled or out any more."""
        return not self.out and self.sent == len(self.slices)

    def next_child(self) -> Order:
        """Take the next slice off the schedule as an order."""
        piece = self.slices[self.sent]
        self.sent += 1
        child_id = f"{self.order.id}.{self.sent}"
        self.out[child_id] = piece.quantity
        return msgspec.structs.replace(self.order, id=child_id, quantity=piece.quantity)


class SmartExecutor:
    """Sends each slice when its time comes. Children never sum above their parent."""

    def __init__(self, algorithms: Mapping[str, Algorithm], options: ExecutorOptions) -> None:
        self._algorithms = dict(algorithms)
        self._options = options
        self._parents: dict[str, Parent] = {}

    def choose(self, order: Order, view: View) -> str:
        """Name the algorithm: as configured, else TWAP for what is large against a bar's usual volume.

        Orders that only reduce go out at once; where the usual volume is unknown the patient way is taken.
        """
        if self._options.algorithm != "auto":
            return self._options.algorithm
        if view.position(order.symbol) * order.side.sign < 0:
            return "market"
        volume = view.feature(order.symbol, "volume_sma_20")
        small = volume is not None and order.quantity <= volume * self._options.twap_above_participation
        return "market" if small else "twap"

    def start(self, order: Order, view: View) -> Sequence[Command]:
        """Begin a parent: what is due now goes out, a timer stands for each later slice."""
        slices = self._algorithms[order.algorithm].schedule(order, view)
        parent = self._parents[order.id] = Parent(order, slices)
        due = [Submit(parent.next_child()) for piece in slices if piece.ts <= view.now]
        return [*due, *(SetTimer(piece.ts, order.id) for piece in slices[parent.sent :])]

    def on_timer(self, timer: Timer, view: View) -> Sequence[Command]:
        """Send the next slice of the parent the timer names; nothing when it has been given up."""
        parent = self._parents.get(timer.key)
        if parent is None or parent.sent == len(parent.slices):
            return ()
        return (Submit(parent.next_child()),)

    def on_fill(self, fill: Fill) -> None:
        """Take traded shares off what is out."""
        parent = self._parents.get(_parent_id(fill.order_id))
        if parent is not None and fill.order_id in parent.out:
            parent.out[fill.order_id] -= fill.quantity
            if parent.out[fill.order_id] <= 0:
                del parent.out[fill.order_id]
            self._forget_if_done(parent)

    def on_cut(self, child: Order) -> None:
        """Take over the quantity a child really went out with."""
        parent = self._parents.get(child.parent_id)
        if parent is not None:
            parent.out[child.id] = child.quantity

    def on_update(self, update: OrderUpdate) -> Sequence[Command]:
        """Drop a child that ended without trading. A refused slice ends the schedule: the next would be refused too."""
        parent = self._parents.get(_parent_id(update.order_id))
        if parent is None or update.status not in _ENDED:
            return ()
        parent.out.pop(update.order_id, None)
        if update.status is OrderStatus.REJECTED:
            parent.sent = len(parent.slices)
        self._forget_if_done(parent)
        return ()

    def stop(self, parent_id: str) -> Sequence[Command]:
        """Give up a parent: forget its schedule, cancel what is out."""
        parent = self._parents.pop(parent_id, None)
        return [Cancel(child_id) for child_id in parent.out] if parent else ()

    def working(self, symbol: str) -> Sequence[tuple[Order, int]]:
        """Return the parents of a symbol still worked, with the signed shares still to come."""
        return [
            (parent.order, parent.order.side.sign * parent.coming)
            for parent in self._parents.values()
            if parent.order.symbol == symbol
        ]

    def _forget_if_done(self, parent: Parent) -> None:
        if parent.done:
            self._parents.pop(parent.order.id, None)


def _parent_id(child_id: str) -> str:
    return child_id.rpartition(".")[0]
