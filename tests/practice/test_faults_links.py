"""Faults of what lies behind the gateway, and what the real client suffers from each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

import pytest
from ib_async import IB, Contract, LimitOrder, MarketOrder

from robo_trader.practice.gateway import PracticeOptions
from robo_trader.simulation.tape import TapeMarket
from tests.practice.conftest import Desk, desk_of
from tests.practice.test_faults_connection import codes_of, gone, let_the_loop_turn

OPEN = datetime(2026, 1, 13, 14, 30, tzinfo=UTC)


async def watched(desk: Desk, stock: Contract) -> tuple[IB, object]:
    """Return a client after the open, and its real-time bars."""
    ib = await desk.connect()
    await desk.advance(5)
    bars = ib.reqRealTimeBars(stock, 5, "TRADES", True)
    await desk.advance(10)
    assert len(bars) == 2
    return ib, bars


@pytest.mark.parametrize(
    ("name", "told", "revived"),
    [
        ("outage-kept", [1100, 1102], True),
        ("outage-lost", [1100, 1101], False),
        ("server-broken", [2110, 2104, 2106], True),
        ("farm-broken", [2103, 2104], False),
    ],
)
async def test_an_outage_keeps_the_socket_and_stops_the_stream(
    desk: Desk, stock: Contract, name: str, told: list[int], revived: bool
) -> None:
    ib, bars = await watched(desk, stock)
    codes = codes_of(ib)
    desk.gateway.plant(name, **{"for": 20})
    await desk.advance(15)
    assert (ib.isConnected(), len(bars), codes) == (True, 2, told[:1])
    await desk.advance(5)
    await desk.advance(30)
    assert codes == told
    assert (len(bars) > 2) == revived
    assert ib.isConnected()
    if not revived:
        again = ib.reqRealTimeBars(stock, 5, "TRADES", True)
        await desk.advance(10)
        assert len(again) == 2


async def test_a_farm_that_comes_back_may_bring_its_streams(desk: Desk, stock: Contract) -> None:
    _, bars = await watched(desk, stock)
    desk.gateway.plant("farm-broken", revive=True, **{"for": 20})
    await desk.advance(15)
    assert len(bars) == 2
    await desk.advance(20)
    assert len(bars) == 6


async def test_an_outage_flood_is_fifty_outages_in_one_packet(desk: Desk) -> None:
    ib = await desk.connect()
    codes = codes_of(ib)
    desk.gateway.plant("outage-flood")
    await desk.settle()
    assert codes == [1100, 1102] * 50


async def test_a_port_reset_is_announced_and_ends_the_connection(desk: Desk) -> None:
    ib = await desk.connect()
    codes = codes_of(ib)
    desk.gateway.plant("port-reset")
    await gone(ib)
    assert codes == [1300]


async def test_restart_keep_replays_commissions_and_no_executions(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    await desk.advance(5)
    ib.placeOrder(stock, MarketOrder("BUY", 3))
    resting = ib.placeOrder(stock, LimitOrder("BUY", 1, 100.0))
    await desk.advance(5)
    perm_id = resting.order.permId
    desk.gateway.plant("restart-keep", **{"for": 20})
    await gone(ib)
    with pytest.raises(ConnectionRefusedError):
        await ib.connectAsync("127.0.0.1", desk.port, clientId=1)
    await desk.gateway.advance(20)
    replayed: dict[str, int] = {"execution": 0, "commission": 0}

    def count(kind: str) -> Callable[..., None]:
        return lambda *_: replayed.__setitem__(kind, replayed[kind] + 1)

    ib.execDetailsEvent += count("execution")
    ib.commissionReportEvent += count("commission")
    await ib.connectAsync("127.0.0.1", desk.port, clientId=1, raiseSyncErrors=True)
    assert replayed == {"execution": 0, "commission": 1}
    assert [f.execution.shares for f in ib.fills()] == [3]
    assert [t.order.permId for t in ib.openTrades()] == [perm_id]
    (finished,) = [t for t in ib.trades() if t.isDone()]
    assert (finished.order.orderId, finished.order.clientId, finished.orderStatus.filled) == (0, 0, 0)


async def test_restart_lose_uses_the_ids_of_lost_orders_again(
    restart: Callable[[], AbstractAsyncContextManager[Desk]], stock: Contract
) -> None:
    async with restart() as desk:
        ib = await desk.connect()
        await desk.advance(5)
        lost = ib.placeOrder(stock, LimitOrder("BUY", 1, 100.0))
        ib.placeOrder(stock, MarketOrder("BUY", 3))
        await desk.advance(5)
        assert ib.positions()
        order_id, perm_id = lost.order.orderId, lost.order.permId
        desk.gateway.plant("restart-lose", **{"for": 5})
        await gone(ib)
        await desk.gateway.advance(5)
        fresh = await desk.connect()
        assert (fresh.openTrades(), fresh.fills(), fresh.positions()) == ([], [], [])
        other = fresh.placeOrder(stock, LimitOrder("SELL", 7, 900.0, orderId=order_id))
        await desk.settle()
        assert other.order.orderId == order_id
        assert other.order.permId != perm_id
        assert other.orderStatus.status == "Submitted"
    async with restart() as desk:
        ib = await desk.connect()
        assert [t.order.permId for t in ib.openTrades()] == [other.order.permId]


async def test_next_id_backwards_has_orders_refused_as_duplicates(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    await desk.advance(5)
    for _ in range(3):
        ib.placeOrder(stock, MarketOrder("BUY", 1))
    await desk.settle()
    ib.disconnect()
    desk.gateway.plant("next-id-backwards", by=3)
    await let_the_loop_turn()
    again = await desk.connect()
    codes = codes_of(again)
    trade = again.placeOrder(stock, MarketOrder("BUY", 1, orderId=1))
    await desk.settle()
    assert codes == [103]
    assert trade.orderStatus.status == "Cancelled"


async def test_clock_skew_moves_the_clock_and_the_executions(desk: Desk, stock: Contract) -> None:
    desk.gateway.plant("clock-skew", seconds=-600)
    ib = await desk.connect()
    await desk.advance(5)
    assert await ib.reqCurrentTimeAsync() == OPEN - timedelta(minutes=10)
    trade = ib.placeOrder(stock, MarketOrder("BUY", 1))
    await desk.advance(5)
    assert trade.fills[0].execution.time < OPEN - timedelta(minutes=9)


async def test_dst_puts_bars_an_hour_beside_the_session(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    right = await ib.reqHistoricalDataAsync(stock, "", "1 D", "1 hour", "TRADES", True)
    desk.gateway.plant("dst")
    wrong = await ib.reqHistoricalDataAsync(stock, "", "1 D", "1 hour", "TRADES", True)
    assert wrong[0].date == right[0].date + timedelta(hours=1)


@pytest.mark.parametrize(
    ("form", "zone", "off"),
    [
        ({"form": "zone", "zone": "MET"}, "", timedelta(0)),
        ({"form": "zoneless"}, "America/New_York", timedelta(0)),
        ({"form": "zoneless"}, "UTC", timedelta(hours=-5)),  # read as the zone the client believes in
        ({"form": "utc-dash"}, "America/New_York", timedelta(hours=5)),
    ],
)
async def test_time_format_moves_executions_by_hours(
    desk: Desk, stock: Contract, form: dict[str, str], zone: str, off: timedelta
) -> None:
    ib = await desk.connect()
    ib.TimezoneTWS = zone
    await desk.advance(5)
    true = await desk_time(desk)
    desk.gateway.plant("time-format", **form)
    trade = ib.placeOrder(stock, MarketOrder("BUY", 1))
    await desk.settle()
    assert trade.fills[0].execution.time == true + off


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../zone", "America"])
async def test_a_zone_that_does_not_exist_swallows_the_execution(
    desk: Desk, stock: Contract, zone: str
) -> None:
    ib = await desk.connect()
    await desk.advance(5)
    desk.gateway.plant("time-format", form="zone", zone=zone)
    trade = ib.placeOrder(stock, MarketOrder("BUY", 1))
    await desk.settle()
    assert (trade.orderStatus.status, trade.fills) == ("Filled", [])


async def desk_time(desk: Desk) -> datetime:
    return datetime.fromtimestamp(desk.gateway.now() // 1_000_000_000, UTC)


async def test_a_timed_fault_ends_by_itself_and_can_be_lifted_early(desk: Desk, stock: Contract) -> None:
    ib, bars = await watched(desk, stock)
    codes = codes_of(ib)
    desk.gateway.plant("outage-kept", at="09:31", **{"for": 60})
    await desk.gateway.advance(30)
    await desk.settle()
    assert codes == []
    await desk.advance(30)
    assert codes == [1100]
    count = len(bars)
    assert desk.gateway.lift("outage-kept") == 1
    await desk.advance(5)
    assert codes == [1100, 1102]
    assert len(bars) == count + 1


async def test_a_restart_ends_although_nobody_listens_to_the_market(tape: TapeMarket) -> None:
    async with desk_of(PracticeOptions(speed=6000), tape) as desk:
        desk.gateway.plant("restart-keep", **{"for": 60})
        with pytest.raises(ConnectionRefusedError):
            await desk.connect()
        async with asyncio.timeout(5):
            while desk.gateway.planted():
                await asyncio.sleep(0)
        assert (await desk.connect()).isConnected()


async def test_a_position_change_and_a_halt_outlive_the_gateway(
    restart: Callable[[], AbstractAsyncContextManager[Desk]], stock: Contract
) -> None:
    async with restart() as desk:
        await desk.gateway.advance(5)
        desk.gateway.plant("position-change", symbol="AAPL", shares=25)
        desk.gateway.plant("halt", symbol="AAPL")
    async with restart() as desk:
        ib = await desk.connect()
        assert ib.positions()[0].position == 25
        assert desk.gateway.exchange.halt("AAPL") is not None
