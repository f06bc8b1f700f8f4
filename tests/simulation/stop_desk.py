"""A simulated broker whose market the test makes, and the orders it is given."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from robo_trader.core.events import (
    MINUTE_NS,
    SECOND_NS,
    Bar,
    Fill,
    Order,
    OrderType,
    OrderUpdate,
    Quote,
    Side,
    Trade,
)
from robo_trader.core.inbox import Inbox
from robo_trader.data.sessions import XnysCalendar
from robo_trader.simulation.matching import Matching
from robo_trader.simulation.simulated_broker import SimulatedBroker

CALENDAR = XnysCalendar()
MONDAY, TUESDAY = CALENDAR.sessions(date(2026, 1, 5), date(2026, 1, 6))
T = MONDAY.open + 10 * MINUTE_NS


class Room:
    """A broker whose market the test makes, and what it said."""

    def __init__(self):
        self.inbox = Inbox()
        self.broker = SimulatedBroker(self.inbox, Matching(), CALENDAR, "SIM000001", Decimal(100_000))
        self.now = T

    def heard(self):
        """Return what came since the last time."""
        return [self.inbox._next() for _ in range(len(self.inbox))]

    def fills(self):
        return [(e.order_id, e.quantity, str(e.price)) for e in self.heard() if isinstance(e, Fill)]

    def last(self, order_id):
        said = [e for e in self.heard() if isinstance(e, OrderUpdate) and e.order_id == order_id]
        return said[-1].status, said[-1].filled, said[-1].remaining

    def at(self, ts):
        self.now = ts - SECOND_NS
        return self

    def quote(self, bid=100.0, ask=None, size=1000.0):
        self.now += SECOND_NS
        self.broker.on_event(
            Quote("NVDA", self.now, bid, round(bid + 0.02, 2) if ask is None else ask, size, size)
        )

    def print(self, price):
        self.now += SECOND_NS
        self.broker.on_event(Trade("NVDA", self.now, price, 100.0))

    def bar(self, open=100.0, low=99.5, high=100.5, volume=60_000.0):
        self.now += MINUTE_NS
        self.broker.on_event(Bar("NVDA", self.now, open, high, low, open, volume))

    async def orders(self):
        return {one.order.id: one for one in (await self.broker.snapshot()).orders}

    async def position(self):
        return sum(one.quantity for one in (await self.broker.snapshot()).holdings)


def entry(quantity=100, limit=None, id="s-1.1", side=Side.BUY, tif="DAY"):
    kind = OrderType.MARKET if limit is None else OrderType.LIMIT
    price = None if limit is None else Decimal(limit)
    return Order(id, id.partition(".")[0], "NVDA", side, quantity, kind, price, tif=tif)


def stop(price="99.00", quantity=100, to="s-1.1", id="s-2.1", side=Side.SELL, tif="GTC"):
    return Order(
        id, id.partition(".")[0], "NVDA", side, quantity, OrderType.STOP, stop_price=Decimal(price), tif=tif,
        attached_to=to,
    )  # fmt: skip
