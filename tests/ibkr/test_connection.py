"""A session is ready or refused with a reason, watched, and closed for certain."""

import asyncio
import socket
import time

import pytest

from robo_trader.core.errors import BrokerUnreachable, ConfigurationError, ConnectionLost
from robo_trader.ibkr.refusals import ClientIdInUse, NothingListening, RequestRefused, Unanswered
from robo_trader.practice.gateway import PracticeGateway, PracticeOptions
from robo_trader.simulation.market import SyntheticMarket


async def test_a_session_is_ready_with_account_and_time(gateway, desks):
    desk = desks()
    account = await desk.connection.connect()
    assert account.id == gateway[0].account == desk.connection.account
    assert account.is_practice
    assert account.server_version == 178
    assert desk.connection.server_time == gateway[0].now() // 10**9 * 10**9


async def test_nothing_listening_is_told_from_a_mute_tws(desks):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(NothingListening, match=f"nothing listens at 127.0.0.1:{port}"):
            await desks(port).connection.connect()


async def test_a_mute_tws_is_unreachable_after_the_time_out(desks, serve):
    ended = asyncio.Event()

    async def mute(reader, writer):
        while await reader.read(100):
            pass
        writer.close()
        ended.set()

    desk = desks(await serve(mute), connect_timeout_s=0.05)
    with pytest.raises(BrokerUnreachable, match="did not finish the handshake within") as caught:
        await desk.connection.connect()
    assert not isinstance(caught.value, NothingListening)
    await asyncio.wait_for(ended.wait(), 2)  # the socket was closed, no zombie stays behind


async def test_a_tws_that_hangs_up_in_the_handshake_does_not_cost_the_time_out(desks, serve):
    async def rude(reader, writer):
        await reader.read(4)
        writer.transport.abort()

    desk = desks(await serve(rude), connect_timeout_s=30.0)
    with pytest.raises(BrokerUnreachable):
        await asyncio.wait_for(desk.connection.connect(), 2)


async def test_a_login_without_accounts_is_unreachable(desks, serve):
    async def logged_out(reader, writer):
        await reader.read(100)
        hello = b"178\x0020260105 09:30:00 EST\x00"
        writer.write(len(hello).to_bytes(4, "big") + hello)
        while await reader.read(100):
            pass
        writer.close()

    desk = desks(await serve(logged_out), connect_timeout_s=0.05)
    with pytest.raises(BrokerUnreachable, match="not be logged in"):
        await desk.connection.connect()


async def test_a_client_id_in_use_is_its_own_error_at_once(desks):
    first, second = desks(), desks(connect_timeout_s=30.0)
    await first.connection.connect()
    with pytest.raises(ClientIdInUse, match="client id 1 is already in use"):
        await asyncio.wait_for(second.connection.connect(), 2)
    await first.settle()  # the first session did not suffer


async def test_an_account_the_login_does_not_manage_is_refused(desks):
    with pytest.raises(ConfigurationError, match="account U1 is not among them"):
        await desks(account="U1").connection.connect()


async def test_every_socket_opened_is_closed(desks, wire):
    desk = desks(wire.port)
    for _ in range(3):
        await desk.connection.connect()
    await desk.connection.close()
    await desk.until(lambda: wire.closed == 3)
    assert wire.opened == 3


async def test_closing_does_not_wait_for_a_frozen_peer(desks, wire):
    desk = desks(wire.port)
    await desk.connection.connect()
    wire.blocked = True
    desk.connection.ib.client.conn.sendMsg(b"x" * 10_000_000)
    await asyncio.wait_for(desk.connection.close(), 1)
    await desk.until(lambda: wire.closed == wire.opened)


async def test_a_dropped_connection_is_noticed_and_replaced(desks, wire):
    desk = desks(wire.port)
    await desk.connection.connect()
    wire.cut()
    assert await asyncio.wait_for(desk.connection.wait_lost(), 2) == "TWS closed the connection"
    with pytest.raises(ConnectionLost):
        _ = desk.connection.ib
    await desk.until(lambda: wire.closed == 1)
    await desk.connection.connect()
    await desk.settle()


async def test_a_frozen_tws_is_noticed_by_the_heartbeat(desks, wire):
    desk = desks(wire.port, heartbeat_s=0.01, heartbeat_timeout_s=0.05)
    await desk.connection.connect()
    wire.blocked = True
    reason = await asyncio.wait_for(desk.connection.wait_lost(), 2)
    assert reason == "TWS did not answer the heartbeat within 0.05 s"
    wire.blocked = False
    await desk.until(lambda: True)
    await desk.connection.connect()
    await desk.settle()


async def test_being_too_busy_to_listen_is_not_taken_for_a_frozen_tws(desks, monkeypatch):
    desk = desks(heartbeat_s=0.01, heartbeat_timeout_s=0.03)
    await desk.connection.connect()
    client = desk.connection.ib.client
    ask, asked = client.reqCurrentTime, []

    def ask_and_compute():
        ask()
        asked.append(client.connectionStats().numMsgRecv)
        if len(asked) == 1:
            time.sleep(0.06)  # the whole loop stands still, as it does in a long computation

    monkeypatch.setattr(client, "reqCurrentTime", ask_and_compute)
    await desk.until(lambda: len(asked) == 4)
    assert asked[-1] >= asked[0] + 3


async def test_another_account_behind_the_same_port_is_refused(desks, wire):
    desk = desks(wire.port)
    await desk.connection.connect()
    other = PracticeGateway(PracticeOptions(speed=0), SyntheticMarket(8))
    wire.target = await other.start()
    with pytest.raises(ConfigurationError, match=f"{desk.connection.account} is not among them"):
        await desk.connection.connect()
    await other.stop()


async def test_what_our_own_callback_raises_climbs_out_of_the_library(gateway, desks):
    desk = desks()
    await desk.open()

    def broken(_):
        raise ZeroDivisionError("a bug of ours")

    desk.pipeline.on_bar = broken
    await desk.feed.subscribe(["AAPL"])
    await desk.settle()
    await gateway[0].advance(15)
    with pytest.raises(ZeroDivisionError, match="a bug of ours"):
        await asyncio.wait_for(desk.connection.wait_lost(), 2)


async def test_an_unreadable_order_message_ends_the_session(desks):
    desk = desks()
    await desk.connection.connect()
    desk.connection.ib.client.decoder.interpret(["3", "one", "Filled"])
    assert "could not be read" in await desk.connection.wait_lost()


async def test_an_unknown_message_is_survived(desks):
    desk = desks()
    await desk.connection.connect()
    desk.connection.ib.client.decoder.interpret(["999", "news of tomorrow"])
    await desk.settle()


async def test_a_question_without_answer_is_an_error_and_not_an_empty_list(desks, wire):
    desk = desks(wire.port, request_timeout_s=0.05)
    await desk.connection.connect()
    await desk.contracts.qualify("AAPL")
    now = desk.connection.server_time
    wire.blocked = True
    with pytest.raises(Unanswered):
        await desk.feed.history("AAPL", now - 10**14)


async def test_two_who_ask_at_once_both_get_their_answer(desks):
    desk = desks()
    await desk.connection.connect()
    times = await asyncio.gather(*(desk.connection.ask_time() for _ in range(5)))
    assert len(set(times)) == 1


async def test_a_refused_request_says_why(desks):
    desk = desks()
    await desk.connection.connect()
    record = await desk.contracts.qualify("AAPL")
    ib = desk.connection.ib
    with pytest.raises(RequestRefused, match=r"\(321\)"):
        await desk.connection.ask(
            ib.reqHistoricalDataAsync(record.contract, "", "1 X", "1 min", "TRADES", True, timeout=0),
            "nonsense",
        )


async def test_cancelling_a_connect_leaves_no_socket_behind(desks, serve):
    ended, begun = asyncio.Event(), asyncio.Event()

    async def mute(reader, writer):
        begun.set()
        while await reader.read(100):
            pass
        writer.close()
        ended.set()

    desk = desks(await serve(mute), connect_timeout_s=30.0)
    attempt = asyncio.create_task(desk.connection.connect())
    await begun.wait()
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    await asyncio.wait_for(ended.wait(), 2)


async def test_fifty_hang_ups_in_the_handshake_leave_no_socket_and_cost_no_login(desks, serve):
    async def rude(reader, writer):
        await reader.read(4)
        writer.transport.abort()

    connection = desks(await serve(rude), connect_timeout_s=30.0).connection
    for attempt in range(1, 51):
        with pytest.raises(BrokerUnreachable):
            await asyncio.wait_for(connection.connect(), 2)
        assert connection.opened == connection.closed == attempt
    assert connection.logins == 0


async def test_closing_ends_a_task_that_swallows_a_cancel(desks):
    desk = desks()
    await desk.connection.connect()
    swallowed = []

    async def stubborn():
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed.append(True)
                if len(swallowed) > 1:
                    raise

    desk.connection.spawn(stubborn())
    await asyncio.sleep(0)
    await asyncio.wait_for(desk.connection.close(), 2)
    assert len(swallowed) == 2
