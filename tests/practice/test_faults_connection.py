"""Faults of the connection, and what the real client suffers from each."""

from __future__ import annotations

import asyncio

import pytest
from ib_async import IB, Contract, LimitOrder, MarketOrder

from robo_trader.practice.gateway import PracticeOptions
from robo_trader.practice.protocol import clients
from robo_trader.simulation.tape import TapeMarket
from tests.practice.conftest import Desk, desk_of

SHORT = 0.15  # wall seconds a client waits before it gives up


async def attempt(desk: Desk, ib: IB | None = None, client_id: int = 9, **also: object) -> IB:
    """Connect with little patience; what fails, fails as it does in the client."""
    ib = ib or IB()
    await ib.connectAsync("127.0.0.1", desk.port, clientId=client_id, timeout=SHORT, **also)
    return ib


async def let_the_loop_turn(times: int = 20) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


async def gone(ib: IB) -> None:
    """Wait until the client knows that its connection is gone."""
    async with asyncio.timeout(5):
        while ib.isConnected():
            await asyncio.sleep(0)


def codes_of(ib: IB) -> list[int]:
    codes: list[int] = []
    ib.errorEvent += lambda _about, code, *_: codes.append(code)
    return codes


async def test_mute_handshake_costs_the_whole_timeout_and_the_same_object_recovers(desk: Desk) -> None:
    desk.gateway.plant("mute-handshake")
    ib = IB()
    with pytest.raises(TimeoutError):
        await attempt(desk, ib)
    desk.gateway.lift("mute-handshake")
    assert (await attempt(desk, ib)).isConnected()
    ib.disconnect()


async def test_no_accounts_looks_like_nobody_there(desk: Desk) -> None:
    desk.gateway.plant("no-accounts")
    with pytest.raises(TimeoutError):
        await attempt(desk)


@pytest.mark.parametrize(
    ("which", "said"),
    [
        ("positions", "positions request timed out"),
        ("open-orders", "open orders request timed out"),
        ("completed-orders", "completed orders request timed out"),
        ("account", "account updates request timed out"),
        ("account-values", "account updates for"),
        ("executions", "executions request timed out"),
    ],
)
async def test_withhold_end_connects_half_synchronised_and_says_so_only_in_the_log(
    desk: Desk, stock: Contract, caplog: pytest.LogCaptureFixture, which: str, said: str
) -> None:
    first = await desk.connect()
    await desk.advance(5)
    first.placeOrder(stock, MarketOrder("BUY", 3))
    await desk.advance(5)
    desk.gateway.plant("withhold-end", of=which)
    ib = await attempt(desk)
    assert ib.isConnected()
    assert said in caplog.text
    if which == "executions":
        assert ib.fills()
    ib.disconnect()
    with pytest.raises(ConnectionError, match=said):
        await attempt(desk, client_id=10, raiseSyncErrors=True)


async def test_withheld_position_end_leaves_a_connected_client_without_positions(desk: Desk) -> None:
    desk.gateway.plant("withhold-end", of="positions")
    ib = await attempt(desk)
    assert (ib.isConnected(), ib.positions()) == (True, [])
    ib.disconnect()


async def test_client_id_in_use_hangs_up_at_once_and_still_costs_the_whole_timeout(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.gateway.plant("client-id-in-use")
    ib, loop = IB(), asyncio.get_running_loop()
    codes, said = codes_of(ib), list[str]()
    ib.client.apiError += said.append
    began = loop.time()
    with pytest.raises(TimeoutError):
        await attempt(desk, ib)
    assert loop.time() - began >= SHORT
    assert codes == [326]
    assert "already in use" in said[0]


@pytest.mark.parametrize("name", ["drop-fin", "drop-rst"])
async def test_drop_fin_and_drop_rst_wipe_everything_local(desk: Desk, stock: Contract, name: str) -> None:
    ib = await desk.connect()
    await desk.advance(5)
    ticker, trade = ib.reqMktData(stock), ib.placeOrder(stock, LimitOrder("BUY", 3, 100.0))
    await desk.settle()
    done: list[bool] = []
    ticker.updateEvent.connect(lambda _: None, done=lambda _: done.append(True))
    desk.gateway.plant("history-timeout")
    waiting = asyncio.ensure_future(ib.reqHistoricalDataAsync(stock, "", "1 D", "1 min", "TRADES", True))
    await desk.settle()
    desk.gateway.plant(name)
    with pytest.raises(ConnectionError, match="Socket disconnect"):
        await waiting
    assert not ib.isConnected()
    assert (ib.trades(), ib.tickers(), done) == ([], [], [True])
    assert trade.orderStatus.status == "Submitted"
    await ib.connectAsync("127.0.0.1", desk.port, clientId=1, raiseSyncErrors=True)
    (again,) = ib.openTrades()
    assert again is not trade
    assert ib.tickers() == []


async def test_refuse_connections_refuses_at_once_and_opens_the_same_port_again(desk: Desk) -> None:
    inside = await desk.connect()
    desk.gateway.plant("refuse-connections", **{"for": 10})
    with pytest.raises(ConnectionRefusedError):
        await attempt(desk)
    assert await inside.reqCurrentTimeAsync()
    await desk.advance(10)
    assert (await desk.connect(9)).isConnected()
    desk.gateway.plant("refuse-connections")
    desk.gateway.lift()
    assert (await desk.connect(10)).isConnected()


async def test_a_frozen_gateway_looks_connected(desk: Desk) -> None:
    ib = await desk.connect()
    gone_events: list[bool] = []
    ib.disconnectedEvent += lambda: gone_events.append(True)
    desk.gateway.plant("freeze")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ib.reqCurrentTimeAsync(), SHORT)
    assert (ib.isConnected(), gone_events) == (True, [])
    with pytest.raises(TimeoutError):
        await attempt(desk)  # the kernel accepts, the gateway does not answer
    desk.gateway.lift("freeze")
    assert await ib.reqCurrentTimeAsync()


async def test_an_object_with_unsent_bytes_never_reconnects_after_a_freeze(
    desk: Desk, stock: Contract, tape: TapeMarket
) -> None:
    ib = await desk.connect()
    desk.gateway.plant("freeze")
    transport = ib.client.conn.transport
    while not transport.get_write_buffer_size():
        ib.client.send(4711, "x" * 500_000)
        await asyncio.sleep(0)
    ib.disconnect()
    async with desk_of(PracticeOptions(speed=0), tape) as healthy:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await attempt(healthy, ib)
        assert (await attempt(healthy, client_id=11)).isConnected()
        healthy.gateway.plant("drop-fin")
    transport.abort()


async def test_bad_length_silences_a_client_that_looks_connected(desk: Desk) -> None:
    ib = await desk.connect()
    desk.gateway.plant("bad-length")
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ib.reqCurrentTimeAsync(), SHORT)
    assert ib.isConnected()
    assert len(ib.client._data) > 20  # and bytes pile up


async def test_bad_body_is_logged_and_dropped_and_in_the_handshake_shows_as_a_timeout(
    desk: Desk, stock: Contract, caplog: pytest.LogCaptureFixture
) -> None:
    ib = await desk.connect()
    desk.gateway.plant("bad-body", on=49)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ib.reqCurrentTimeAsync(), SHORT)
    assert await ib.reqCurrentTimeAsync()
    desk.gateway.plant("bad-body", on="9")
    with pytest.raises(TimeoutError):
        await attempt(desk)


async def test_an_unknown_message_harms_nothing(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    ib = await desk.connect()
    desk.gateway.plant("unknown-message", on=49)
    assert await ib.reqCurrentTimeAsync()
    assert "299" in caplog.text


async def test_slow_drip_and_coalesce_change_packets_and_no_content(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    packets: list[int] = []
    ib.client.conn.hasData += lambda data: packets.append(len(data))
    whole = list(await ib.reqHistoricalDataAsync(stock, "", "1 D", "1 hour", "TRADES", True))
    packets.clear()
    desk.gateway.plant("slow-drip")
    assert list(await ib.reqHistoricalDataAsync(stock, "", "1 D", "1 hour", "TRADES", True)) == whole
    assert max(packets) < 10
    desk.gateway.lift()
    desk.gateway.plant("coalesce", seconds=15)
    ib.reqMktData(stock)
    ib.reqRealTimeBars(stock, 5, "TRADES", True)
    await let_the_loop_turn()
    packets.clear()
    for _ in range(2):
        await desk.gateway.advance(5)
        await let_the_loop_turn()
    assert packets == []
    await desk.gateway.advance(5)
    await let_the_loop_turn()
    assert len(packets) == 1


async def test_a_fault_aimed_at_one_client_leaves_the_other_alone(desk: Desk) -> None:
    first, second = await desk.connect(1), await desk.connect(2)
    desk.gateway.plant("drop-fin", client=2)
    await gone(second)
    assert await first.reqCurrentTimeAsync()


async def test_a_socket_that_never_greets_is_hung_up_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(clients, "GREETING_S", 0.01)
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.port)
    writer.write(b"API\0\0\0")
    assert await reader.read() == b""
    writer.close()
