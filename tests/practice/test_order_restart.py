"""What orders keep over a restart of the gateway: ties, triggers, trails, shown sizes and ids."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from ib_async import Contract, LimitOrder, MarketOrder, Order, StopOrder

from tests.practice.conftest import Desk
from tests.practice.order_desk import OPEN, offers, opened

Restart = Callable[[], AbstractAsyncContextManager[Desk]]


async def test_a_bracket_goes_on_where_it_was(restart: Restart, stock: Contract) -> None:
    async with restart() as desk:
        ib = await opened(desk)
        entry = offers(desk)[0].price
        for order in ib.bracketOrder("BUY", 10, entry, 300.0, round(entry - 0.3, 2)):
            ib.placeOrder(stock, order)
        await desk.settle()
    async with restart() as desk:
        ib = await desk.connect()
        assert sorted(t.orderStatus.status for t in ib.openTrades()) == ["PreSubmitted", "Submitted"]
        await desk.advance(600)
        assert sorted(t.orderStatus.status for t in ib.trades() if t.order.parentId) == [
            "Cancelled",
            "Filled",
        ]
        assert ib.positions() == []


async def test_triggers_trails_and_groups_stand_as_they_stood(restart: Restart, stock: Contract) -> None:
    async with restart() as desk:
        ib = await opened(desk)
        trail = Order(action="SELL", totalQuantity=10, orderType="TRAIL", auxPrice=5.0, tif="GTC")
        for order in (
            trail,
            StopOrder("SELL", 10, 150.0, ocaGroup="g", ocaType=1),
            LimitOrder("SELL", 10, 400.0, ocaGroup="g", ocaType=1, displaySize=4),
        ):
            ib.placeOrder(stock, order)
        await desk.advance(360)  # the price has risen: the trail has moved
        before = desk.gateway.orders.working()
        assert before[0].stop is not None
        assert before[0].terms.trail_stop is None
    async with restart() as desk:
        assert desk.gateway.orders.working() == before
        ib = await desk.connect()
        ib.reqGlobalCancel()
        await desk.settle()
        assert desk.gateway.orders.working() == []


async def test_what_was_never_transmitted_is_gone_after_a_restart(restart: Restart, stock: Contract) -> None:
    async with restart() as desk:
        ib = await opened(desk)
        ib.placeOrder(stock, LimitOrder("BUY", 1, 150.0, transmit=False))
        await desk.settle()
    async with restart() as desk:
        ib = await desk.connect()
        assert (await ib.reqAllOpenOrdersAsync(), desk.gateway.orders.next_id(1)) == ([], 4)


async def test_a_day_order_that_expired_meanwhile_is_not_there_any_more(
    restart: Restart, stock: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with restart() as desk:
        ib = await opened(desk)
        ib.placeOrder(stock, LimitOrder("BUY", 1, 150.0))
        await desk.settle()
        exchange = desk.gateway.exchange
        assert desk.gateway._state is not None
        desk.gateway._state.save_clock(exchange.session.close)  # killed between the close and what follows it
    async with restart() as desk:
        assert desk.gateway.orders.working() == []
        assert [ticket.reason for ticket in desk.gateway.orders.completed()] == ["Expired"]


async def test_a_correction_stands_after_a_restart(restart: Restart, stock: Contract) -> None:
    from decimal import Decimal

    async with restart() as desk:
        ib = await desk.connect()
        await desk.advance(OPEN)
        trade = ib.placeOrder(stock, MarketOrder("BUY", 10))
        await desk.settle()
        exec_id = trade.fills[0].execution.execId
        desk.gateway.deliver(desk.gateway.orders.correct(exec_id, Decimal(190), 10))
    async with restart() as desk:
        ib = await desk.connect()
        (fill,) = ib.fills()
        assert (fill.execution.execId, fill.execution.price) == (exec_id[:-2] + "02", 190.0)
        assert desk.gateway.orders.books.cash == 100_000 - 1_901
