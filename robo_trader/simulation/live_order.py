"""One order as a simulated broker works it: how much of it may trade, since when, and what it may become."""

from __future__ import annotations

from decimal import Decimal

from robo_trader.core.events import Order, OrderStatus, OrderType
from robo_trader.core.instrument import Instrument
from robo_trader.simulation.costs import CommissionMeter

FORCES = ("DAY", "GTC")


def released(quantity: int, entry: int, entry_left: int) -> int:
    """Return how many of `quantity` attached shares an entry of `entry` shares lets trade while `entry_left` are left.

    In proportion, floored.

    >>> released(100, 100, 70), released(50, 100, 70), released(100, 100, 0)
    (30, 15, 100)
    """
    return max(0, quantity - -(-quantity * entry_left // entry))


class LiveOrder:
    """One live order: what it is, what is done, since when it stands and until when it is good."""

    __slots__ = (
        "attached", "broker_id", "entry", "fills", "meter", "order", "since", "triggered", "until",
    )  # fmt: skip

    def __init__(self, order: Order, broker_id: int, since: int) -> None:
        self.order = order
        self.broker_id = broker_id
        self.since = since
        self.until: int | None = None  # a session's close, None for one not begun yet or for ever
        self.fills = 0
        self.meter = CommissionMeter()
        self.triggered = False
        self.entry: LiveOrder | None = None  # while it lives
        self.attached: list[LiveOrder] = []

    @property
    def filled(self) -> int:
        return self.meter.quantity

    @property
    def remaining(self) -> int:
        return self.order.quantity - self.filled

    @property
    def status(self) -> OrderStatus:
        return OrderStatus.PARTIAL if self.filled else OrderStatus.WORKING

    @property
    def waits_for_trigger(self) -> bool:
        return self.order.type is OrderType.STOP and not self.triggered

    @property
    def protected(self) -> int:
        """The shares it is for now: of an attached order no more than its entry has traded."""
        entry = self.entry
        if entry is None:
            return self.order.quantity
        return min(released(self.order.quantity, entry.order.quantity, entry.remaining), entry.filled)

    @property
    def workable(self) -> int:
        """The shares that may trade now."""
        return max(0, self.protected - self.filled)

    def attach(self, entry: LiveOrder) -> None:
        """Wait for what an entry trades."""
        self.entry = entry
        entry.attached.append(self)

    def change(self, order: Order, now: int) -> None:
        """Become another quantity or price. Only what just shrinks has seen the market since before."""
        before = self.order
        if order.quantity > before.quantity or _prices(order) != _prices(before):
            self.since = now
        self.order = order


def nonsense(order: Order) -> str:
    """Return why no broker would take this order, empty if one would."""
    if order.quantity <= 0:
        return f"{order.quantity} is not a number of shares to trade"
    if order.tif not in FORCES:
        return f"{order.tif!r} is not a time in force, only {' and '.join(FORCES)} are"
    if order.type is OrderType.LIMIT and order.limit_price is None:
        return "a limit order needs a limit price"
    if order.type is OrderType.STOP and order.stop_price is None:
        return "a stop order needs a stop price"
    strange = [price for price in _prices(order) if price is not None and not _is_price(order.symbol, price)]
    return f"{strange[0]} is not a price on the tick" if strange else ""


def unfit(stop: Order, entry: Order) -> str:
    """Return why this is no stop to attach to that order, empty if it is one."""
    if stop.type is not OrderType.STOP or stop.attached_to != entry.id:
        return f"{stop.id} is no stop attached to {entry.id}"
    if stop.symbol != entry.symbol or stop.side is entry.side:
        return "a stop is for the same symbol and the other side"
    if stop.quantity > entry.quantity:
        return f"a stop of {stop.quantity} shares would turn a position of {entry.quantity}"
    return nonsense(stop)


def misfit(order: Order, live: LiveOrder) -> str:
    """Return why this is no change of that order, empty if it is one."""
    before = live.order
    if (order.symbol, order.side, order.type) != (before.symbol, before.side, before.type):
        return "symbol, side and type cannot change"
    if order.quantity <= live.filled:
        return f"{live.filled} shares are filled already"
    return nonsense(order)


def _prices(order: Order) -> tuple[Decimal | None, Decimal | None]:
    return order.limit_price, order.stop_price


def _is_price(symbol: str, price: Decimal) -> bool:
    return price.is_finite() and price > 0 and price % Instrument(symbol).tick == 0
