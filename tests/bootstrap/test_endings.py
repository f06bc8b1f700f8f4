"""How orders are taken back: all at once, stops never, and at the broker itself when no desk is left."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal

import pytest

from robo_trader.bootstrap import endings
from robo_trader.bootstrap.endings import last_will, opens, take_back
from robo_trader.core.errors import ConnectionLost
from robo_trader.core.events import Holding as Held
from robo_trader.core.events import Lot, OpenOrder, Order, OrderStatus, OrderType, OrderUpdate, Side
from robo_trader.core.inbox import Inbox
from tests.desks import Scripted, desk, opening


def order(n: int, side: Side = Side.BUY, symbol: str = "NVDA") -> Order:
    return Order(f"s-{n}.1", f"s-{n}", symbol, side, 10)


STOP = Order("s-99.1", "s-99", "NVDA", Side.SELL, 10, OrderType.STOP, stop_price=Decimal(90), tif="GTC")


class SlowBroker:
    """Takes back one order each `pace_s`, one after the other, as one that is paced does; it ignores the deaf ones."""

    def __init__(self, inbox: Inbox, *orders: Order, pace_s: float = 0.0) -> None:
        self.works = {o.id: o for o in orders}
        self.asked: list[str] = []
        self.deaf: set[str] = set()
        self.failure: Exception | None = None
        self._inbox = inbox
        self._pace_s = pace_s
        self._turn = asyncio.Lock()

    def live(self) -> list[Order]:
        return list(self.works.values())

    async def cancel(self, order_id: str) -> None:
        self.asked.append(order_id)
        async with self._turn:
            await asyncio.sleep(self._pace_s)
        if self.failure is not None:
            raise self.failure
        if order_id not in self.deaf and self.works.pop(order_id, None):
            self._inbox.put(OrderUpdate(1, order_id, OrderStatus.CANCELLED))


async def test_all_are_asked_for_at_once_each_once_and_the_stop_stays():
    broker = SlowBroker(Inbox(), *[order(n) for n in range(50)], STOP, pace_s=0.001)
    left = await take_back(broker, broker.live, lambda: 0, 2.0)
    assert left == []
    assert broker.live() == [STOP]
    assert sorted(broker.asked) == sorted({o.id for o in [order(n) for n in range(50)]})


async def test_what_came_too_early_is_asked_back_again_and_what_stays_is_named(monkeypatch):
    broker = SlowBroker(Inbox(), order(1), order(2))
    broker.deaf = {"s-1.1", "s-2.1"}
    monkeypatch.setattr(endings, "AGAIN_S", 0.01)
    taking = asyncio.create_task(take_back(broker, broker.live, lambda: 0, 0.8))
    while len(broker.asked) < 3:
        await asyncio.sleep(0)
    broker.deaf = {"s-2.1"}
    assert await taking == [order(2)]
    assert broker.asked.count("s-1.1") >= 2


async def test_it_waits_for_what_the_desk_has_yet_to_hear_and_no_longer_than_it_may():
    broker, waiting = SlowBroker(Inbox()), [3]

    async def heard() -> None:
        await asyncio.sleep(0.05)
        broker.works = {"s-1.1": order(1)}
        waiting[0] = 0

    hearing = asyncio.create_task(heard())
    assert await take_back(broker, broker.live, lambda: waiting[0], 2.0) == []
    await hearing
    assert broker.asked == ["s-1.1"]
    began = time.monotonic()
    await take_back(broker, broker.live, lambda: 1, 0.1)
    assert time.monotonic() - began < 2


def test_what_stays_open_is_said_with_the_stops_that_stay_with_it():
    lots = {"NVDA": Lot(10, Decimal(100)), "AAPL": Lot(-5, Decimal(100))}
    held = tuple(Held(symbol, lot.quantity, (lot,), lot.quantity) for symbol, lot in lots.items())
    engine = desk(Scripted())
    engine.on_event(opening(holdings=held, orders=(OpenOrder(STOP, 4, 9),)))
    assert endings.kept(engine.desk).startswith("-5 AAPL (stops for 0), 10 NVDA (stops for 6")


class Holding:
    """A view of a desk that holds NVDA long and AAPL short."""

    def position(self, symbol: str) -> int:
        return {"NVDA": 10, "AAPL": -5}.get(symbol, 0)


def test_only_what_would_open_or_add_is_taken_back_in_the_last_will():
    adds = [order(1), order(2, Side.SELL, "AAPL"), order(3, symbol="MSFT"), order(4, Side.SELL, "MSFT")]
    exits = [order(5, Side.SELL), order(6, Side.BUY, "AAPL"), STOP]
    assert opens([*adds, *exits], Holding()) == adds


async def test_the_last_will_is_heard_from_an_inbox_that_is_full():
    inbox = Inbox(capacity=4)
    for n in range(3):
        inbox.put(OrderUpdate(1, f"old-{n}", OrderStatus.WORKING))
    broker = SlowBroker(inbox, order(1), pace_s=0.01)
    inbox.put(OrderUpdate(1, "old-3", OrderStatus.WORKING))
    assert await last_will(broker, inbox, ["s-1.1"], 2.0) == []
    assert broker.works == {}


async def test_the_last_will_ends_in_time_though_the_broker_says_nothing():
    inbox = Inbox()
    broker = SlowBroker(inbox, order(1), order(2))
    broker.deaf = {"s-2.1"}
    began = time.monotonic()
    assert await last_will(broker, inbox, ["s-1.1", "s-2.1"], 0.2) == ["s-2.1"]
    assert time.monotonic() - began < 1.0


@pytest.mark.parametrize("failure", [ConnectionLost("gone"), ValueError("a bug")])
async def test_an_error_of_the_broker_does_not_hide_what_ended_the_session(failure: Exception):
    inbox = Inbox()
    broker = SlowBroker(inbox, order(1))
    broker.failure = failure
    assert await last_will(broker, inbox, ["s-1.1"], 0.1) == ["s-1.1"]


def test_the_reason_of_an_end_is_the_first_error_of_a_group():
    group = ExceptionGroup(
        "unhandled errors in a TaskGroup", [ExceptionGroup("", [ConnectionLost("hung up")])]
    )
    assert endings.reason(group) == "ConnectionLost: hung up"
