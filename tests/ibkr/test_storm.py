"""Orders, stops, changes and cancels among faults drawn at random: in the end the desk and TWS believe the same."""

import random
from decimal import Decimal

import pytest

from robo_trader.core.errors import BrokerUnreachable, ConnectionLost
from robo_trader.core.events import Fill, OrderStatus, OrderType, OrderUpdate, Side
from robo_trader.core.executions import stem
from robo_trader.core.instrument import Instrument
from robo_trader.core.orders import OrderBook
from robo_trader.core.portfolio import Portfolio
from tests.ibkr.conftest import buy
from tests.ibkr.test_broker import trading

S = OrderStatus
FAULTS = (
    "duplicate", "reorder", "missing-status", "missing-open-order", "commission-first",
    "commission-late", "delay-ack", "error-on-live", "error-after-fill", "ghost-inactive", "reject",
    "cancel-ignored", "cancel-fill-race", "fill-after-cancel", "lose-before-accept", "accept-then-drop", "drop-rst",
    "drop-fin", "exchange-cancel", "held-order", "correction", "bust", "unsolicited-completed",
    "next-id-backwards", "bad-body",
)  # fmt: skip


class Believer:
    """What the desk makes of it: the real order book and the real books."""

    def __init__(self, desk, gateway):
        self.desk, self.gateway = desk, gateway
        self.orders, self.heard = OrderBook(), 0
        self.portfolio = Portfolio({"AAPL": Instrument("AAPL")})
        self.portfolio.cash = Decimal(100_000)
        self.numbers = 0

    def hear(self):
        for event in self.desk.inbox.events[self.heard :]:
            self.take(event)
        self.heard = len(self.desk.inbox.events)

    def take(self, event):
        match event:
            case Fill():
                booking = self.portfolio.apply(event)
                if booking is not None and booking.shares:
                    self.orders.fill(event, booking.shares)
            case OrderUpdate():
                self.orders.update(event)

    def live(self):
        return self.orders.live()

    async def enter(self, dice):
        self.numbers += 1
        quantity, kind = dice.choice((10, 900, 2500)), dice.random()
        more = {"type": OrderType.LIMIT, "limit_price": Decimal("60.01")} if kind < 0.4 else {}
        entry = buy(f"s-{self.numbers}.1", quantity, side=dice.choice(list(Side)), **more)
        stop = None
        if dice.random() < 0.6:
            at = Decimal("90.00") if entry.side is Side.BUY else Decimal("190.00")
            stop = buy(
                f"s-{self.numbers}.2", quantity, side=entry.side.other, type=OrderType.STOP, stop_price=at,
                tif="GTC", attached_to=entry.id,
            )  # fmt: skip
        for order in (entry, stop):
            if order is not None:
                assert self.orders.submit(order) is not None
        await self.desk.broker.submit(entry, stop)

    async def change(self, dice):
        stops = [order for order in self.live() if order.protects]
        if stops:
            order = dice.choice(stops)
            fewer = max(1, order.quantity - dice.choice((0, 1, 5)))
            price = order.stop_price + dice.choice((0, Decimal("0.50")))
            await self.desk.broker.modify(
                buy(order.id, fewer, side=order.side, type=OrderType.STOP, stop_price=price, tif="GTC")
            )

    async def withdraw(self, dice):
        if self.live():
            await self.desk.broker.cancel(dice.choice(self.live()).id)

    async def reconnect(self):
        await self.desk.connection.close()
        while True:
            try:
                await self.desk.connection.connect()
                snapshot = await self.desk.broker.snapshot()
                outcomes = await self.desk.broker.resolve([order.id for order in self.live()])
            except (ConnectionLost, BrokerUnreachable):
                await self.gateway.advance(1)
            else:
                self.hear()
                for event in (*snapshot.fills, *outcomes):
                    self.take(event)
                return snapshot

    async def rest(self):
        """Everything said is heard, and nothing is asked any more."""
        await self.desk.settle()
        await self.desk.until(lambda: not any(ticket.confirming for ticket in self.desk.broker._orders))
        self.hear()


async def storm(believer, dice, rounds=25):
    acts = (believer.enter, believer.enter, believer.change, believer.withdraw)
    gateway = believer.gateway
    for _ in range(rounds):
        if dice.random() < 0.5:
            name, times = dice.choice(FAULTS), dice.choice((1, 2, 5))
            # A greeting that cannot be read costs a whole time-out, and is another matter.
            aim = {"on": "3,5,11,59"} if name == "bad-body" else {}
            gateway.plant(name, times=times, **aim)
        try:
            await dice.choice(acts)(dice)
            await gateway.advance(dice.choice((1, 5)))
            await believer.desk.settle()
        except ConnectionLost:
            await believer.reconnect()
        believer.hear()


@pytest.mark.parametrize("seed", range(12))
async def test_after_a_storm_the_desk_and_tws_believe_the_same(gateway, desks, seed):
    dice = random.Random(seed)
    desk = await trading(gateway, desks(connect_timeout_s=1.0, request_timeout_s=1.0))
    believer = Believer(desk, gateway[0])
    await storm(believer, dice)
    gateway[0].lift()
    await gateway[0].advance(90)
    await believer.reconnect()
    await believer.rest()
    snapshot = await believer.reconnect()
    await believer.rest()

    at_tws = {ticket.ref: ticket for ticket in gateway[0].orders.working()}
    assert len(at_tws) == len(gateway[0].orders.working())  # never two of one name
    assert {o.id: o.quantity for o in believer.live()} == {r: t.quantity for r, t in at_tws.items()}
    for order in believer.live():
        assert believer.orders.state(order.id).executed == at_tws[order.id].filled
    executions = {fill.trade: fill for fill in gateway[0].orders.executed()}
    told = {stem(fill.exec_id): fill for fill in snapshot.fills}
    assert sum(f.quantity for f in told.values()) == sum(f.quantity for f in executions.values())
    books = gateway[0].books
    assert believer.portfolio.quantity("AAPL") == books.quantity("AAPL")
    assert believer.portfolio.cash == snapshot.cash == books.cash
    for number in range(1, believer.numbers + 1):
        traded = sum(fill.quantity for fill in told.values() if fill.order_id == f"s-{number}.1")
        assert believer.orders.state(f"s-{number}.1").executed == traded
