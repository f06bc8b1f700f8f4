"""What survives: a reconnecting client, a restarted gateway, a full disk."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from ib_async import Contract, LimitOrder, MarketOrder

from robo_trader.core.errors import DataError
from robo_trader.practice.gateway import PracticeGateway, PracticeOptions
from robo_trader.simulation.tape import TapeMarket
from tests.practice.conftest import Desk

Restart = Callable[[], AbstractAsyncContextManager[Desk]]


async def test_a_client_that_comes_back_finds_its_orders_and_executions(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    await desk.advance(5)
    filled = ib.placeOrder(stock, MarketOrder("BUY", 3, orderRef="run-1.1"))
    resting = ib.placeOrder(stock, LimitOrder("BUY", 7, 150.0, orderRef="run-1.2"))
    await desk.settle()
    ib.disconnect()
    again = await desk.connect(3)
    again.disconnect()
    back = await desk.connect(1)
    (fill,) = back.fills()
    assert fill.execution.execId == filled.fills[0].execution.execId
    by_ref = {trade.order.orderRef: trade for trade in back.trades()}
    assert by_ref["run-1.1"].orderStatus.status == "Filled"
    assert by_ref["run-1.1"].order.permId == filled.order.permId
    assert by_ref["run-1.2"].orderStatus.status == "Submitted"
    back.cancelOrder(by_ref["run-1.2"].order)
    await desk.settle()
    assert by_ref["run-1.2"].orderStatus.status == "Cancelled"
    assert back.client.getReqId() > resting.order.orderId


async def test_a_restarted_gateway_has_forgotten_nothing(restart: Restart, stock: Contract) -> None:
    async with restart() as desk:
        ib = await desk.connect()
        await desk.advance(5 + 60)
        ib.placeOrder(stock, MarketOrder("BUY", 30, orderRef="run-1.1"))
        resting = ib.placeOrder(stock, LimitOrder("BUY", 7, 150.0, orderRef="run-1.2"))
        cancelled = ib.placeOrder(stock, LimitOrder("BUY", 9, 150.0, orderRef="run-1.3"))
        await desk.settle()
        ib.cancelOrder(cancelled.order)
        await desk.settle()
        told = {(v.tag, v.currency): v.value for v in ib.accountValues()}
        time, fills = await ib.reqCurrentTimeAsync(), ib.fills()
    async with restart() as desk:
        ib = await desk.connect()
        assert {(v.tag, v.currency): v.value for v in ib.accountValues()} == told
        assert await ib.reqCurrentTimeAsync() == time
        assert [f.execution for f in ib.fills()] == [f.execution for f in fills]
        assert [p.position for p in ib.positions()] == [30]
        by_ref = {trade.order.orderRef: trade for trade in ib.trades()}
        assert {ref: trade.orderStatus.status for ref, trade in by_ref.items()} == {
            "run-1.1": "Filled",
            "run-1.2": "Submitted",
            "run-1.3": "Cancelled",
        }
        order = by_ref["run-1.2"].order
        assert order.permId == resting.order.permId
        order.lmtPrice = 250.0
        ib.placeOrder(stock, order)
        await desk.settle()
        assert [p.position for p in ib.positions()] == [37]
        new = ib.placeOrder(stock, MarketOrder("BUY", 1))
        await desk.settle()
        assert new.order.permId > resting.order.permId
        assert new.orderStatus.status == "Filled"


async def test_what_was_told_is_on_disk_even_if_the_process_dies_now(
    desk: Desk, tape: TapeMarket, stock: Contract, tmp_path: Path
) -> None:
    options = PracticeOptions(speed=0, state=tmp_path / "a")
    gateway = PracticeGateway(options, tape)
    running = Desk(gateway, await gateway.start())
    ib = await running.connect()
    await running.advance(5)
    ib.placeOrder(stock, MarketOrder("BUY", 2, orderRef="run-1.1"))
    await running.advance(15)
    # Copies of the files as they are now are what a kill would leave.
    (tmp_path / "b").mkdir()
    for file in (tmp_path / "a").iterdir():
        (tmp_path / "b" / file.name).write_bytes(file.read_bytes())
    running.close()
    await gateway.stop()
    survivor = PracticeGateway(PracticeOptions(speed=0, state=tmp_path / "b"), tape)
    running = Desk(survivor, await survivor.start())
    ib = await running.connect()
    assert [f.execution.orderRef for f in ib.fills()] == ["run-1.1"]
    assert [p.position for p in ib.positions()] == [2]
    assert str(await ib.reqCurrentTimeAsync()) == "2026-01-13 14:30:15+00:00"
    running.close()
    await survivor.stop()


async def test_two_gateways_never_share_one_account(tape: TapeMarket, tmp_path: Path) -> None:
    options = PracticeOptions(speed=0, state=tmp_path)
    gateway = PracticeGateway(options, tape)
    with pytest.raises(DataError, match="another practice gateway"):
        PracticeGateway(options, tape)
    await gateway.stop()


async def test_a_state_file_that_is_none_is_refused(tape: TapeMarket, tmp_path: Path) -> None:
    from robo_trader.practice.gateway import account_of

    (tmp_path / f"{account_of(tape)}.db").write_text("This is not a database. " * 100)
    with pytest.raises(DataError, match="not a database"):
        PracticeGateway(PracticeOptions(speed=0, state=tmp_path), tape)


async def test_what_cannot_be_saved_is_not_told(restart: Restart, stock: Contract) -> None:
    async with restart() as desk:
        ib = await desk.connect()
        await desk.advance(5)
        assert desk.gateway._state is not None
        desk.gateway._state._db.execute("PRAGMA query_only=ON")  # as a full disk would
        trade = ib.placeOrder(stock, MarketOrder("BUY", 1))
        with pytest.raises(DataError, match="cannot be written"):
            await desk.gateway.failed()
        assert not trade.fills


async def test_a_damaged_state_file_is_an_error_with_a_way_out(restart: Restart, tmp_path: Path) -> None:
    async with restart():
        pass
    (file,) = tmp_path.rglob("DUP*.db")
    pages = bytearray(file.read_bytes())
    pages[4096:] = b"\xff" * (len(pages) - 4096)
    file.write_bytes(pages)
    with pytest.raises(DataError, match="begin anew"):
        async with restart():
            pass
