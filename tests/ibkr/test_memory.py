"""A session that lasts keeps nothing of what is over."""

from __future__ import annotations

from robo_trader.core.events import OrderStatus
from tests.ibkr.test_broker import statuses, trading


async def test_of_orders_that_ended_the_library_keeps_nothing_and_they_are_told_as_before(
    gateway, desks, order
):
    desk = await trading(gateway, desks())
    for n in range(5):
        await desk.broker.submit(order(f"s-{n}.1", 10))
        await desk.settle()
    wrapper = desk.connection.ib.wrapper
    assert wrapper.trades == wrapper.permId2Trade == wrapper.fills == {}
    assert all(statuses(desk, f"s-{n}.1")[-1] is OrderStatus.FILLED for n in range(5))
    snapshot = await desk.broker.snapshot()
    assert len({fill.order_id for fill in snapshot.fills}) == 5
    assert all(fill.commission is not None for fill in snapshot.fills)
    (found,) = await desk.broker.resolve(["s-3.1"])
    assert found.status is OrderStatus.FILLED
    assert wrapper.trades == wrapper.permId2Trade == wrapper.fills == {}
