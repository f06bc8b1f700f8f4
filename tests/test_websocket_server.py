"""The hub over real sockets: what a page gets, and what it cannot do to the desk."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from robo_trader.core.events import Bar, Event, Fill, Quote, Side, Timer
from robo_trader.core.steps import Denied, Equity, Fact, Halted, Step
from robo_trader.websocket_client.journal import HubJournal, JournalOptions
from robo_trader.websocket_client.wire import PUBLISHER, VIEWER
from robo_trader.websocket_server import Hub, HubOptions, bind, serving

TOKEN = "a-token"
TICK = Timer(1_767_623_400_000_000_000, "t")


@asynccontextmanager
async def hub_running(port: int = 0, **options: Any) -> AsyncIterator[str]:
    sock = bind(port)
    hub = Hub(TOKEN, HubOptions(**{"flush_s": 0.01, "heartbeat_s": 0.2, **options}))
    async with serving(hub, sock, page_port=5555):
        yield f"ws://127.0.0.1:{sock.getsockname()[1]}"


@asynccontextmanager
async def desk(url: str, token: str = TOKEN) -> AsyncIterator[HubJournal]:
    journal = HubJournal(url, token, JournalOptions(flush_s=0.01, beat_s=0.1, backoff_s=0.02))
    task = asyncio.create_task(journal.run())
    try:
        yield journal
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def page(url: str, **options: Any) -> Any:
    return connect(url, subprotocols=[VIEWER], compression=None, proxy=None, close_timeout=0.5, **options)


async def say(connection: ClientConnection, **frame: object) -> None:
    await connection.send(json.dumps(frame))


async def hear(connection: ClientConnection, **wanted: object) -> dict[str, Any]:
    """Return the next frame that has these fields."""
    async with asyncio.timeout(5):
        while True:
            frame: dict[str, Any] = json.loads(await connection.recv())
            if all(frame.get(name) == value for name, value in wanted.items()):
                return frame


async def tell(journal: HubJournal, *facts: Fact, event: Event = TICK) -> None:
    await journal.record(event, Step(facts=facts))


def equity(cash: str, ts: int = TICK.ts) -> Equity:
    return Equity(ts, Decimal(cash), Decimal(0), Decimal(100000), Decimal(0), Decimal(0))


async def test_a_page_gets_a_snapshot_and_then_the_changes() -> None:
    async with hub_running() as url, desk(url) as journal, page(url) as viewer:
        await tell(journal, equity("100000.10"))
        hello = await hear(viewer, t="hello")
        await hear(viewer, t="hb", desk=True)
        await say(viewer, t="sub", id=1, ch=["account"])
        snap = await hear(viewer, t="snap", ch="account")
        assert snap["epoch"] == hello["epoch"]
        assert snap["data"][0]["data"]["equity"] == "100000.10"
        await tell(journal, equity("99999.90", TICK.ts + 1))
        delta = await hear(viewer, t="d", ch="account")
        assert delta["data"]["equity"] == "99999.90"
        assert delta["data"]["day_pnl"] == "-0.20"
        assert delta["seq"] == snap["seq"] + 1


async def test_the_sequence_of_a_channel_has_no_gap_even_when_quotes_conflate() -> None:
    async with hub_running() as url, desk(url) as journal, page(url) as viewer:
        await say(viewer, t="sub", ch=["quotes:NVDA", "denied"])
        seen: dict[str, int] = {}
        for number in range(300):
            await journal.record(Quote("NVDA", TICK.ts + number, 100.0, 100.01 + number, 1, 1), Step())
            if number % 10 == 0:
                await tell(journal, Denied(number, f"s-{number}", "NVDA", "heat", "too hot", 0.07, 0.06))
            await asyncio.sleep(0)
        refusals: set[int] = set()
        ask = 0.0
        while ask != 100.01 + 299 or len(refusals) < 30:
            frame = await hear(viewer)
            if frame["t"] not in ("d", "snap"):
                continue
            assert frame["seq"] == seen.get(frame["ch"], 0) + 1
            seen[frame["ch"]] = frame["seq"]
            rows = frame["data"] if frame["t"] == "snap" else [frame]
            if frame["ch"] == "denied":
                refusals.update(row["data"]["ts"] for row in rows)
            elif rows:
                ask = rows[0]["data"]["ask"]
        assert seen["quotes:NVDA"] < 301


async def test_nan_decimal_and_numpy_travel_and_one_bad_value_stops_nothing() -> None:
    async with hub_running() as url, desk(url) as journal, page(url) as viewer:
        await say(viewer, t="sub", ch=["bars:NVDA", "status", "fills"])
        await hear(viewer, t="snap", ch="fills")
        journal.describe(odd=object())
        await journal.record(Bar("NVDA", 1, np.float64(1.5), 2.0, 1.0, float("nan"), 10.0), Step())
        bar = await hear(viewer, t="d", ch="bars:NVDA")
        assert (bar["data"]["open"], bar["data"]["close"]) == (1.5, None)
        journal.describe(odd=np.array([1.0, np.nan]))
        status = await hear(viewer, t="d", ch="status")
        assert status["data"]["odd"] == [1.0, None]
        fill = Fill(1, "s-1.1", "e1", "NVDA", Side.BUY, 5, Decimal("180.10"))
        await journal.record(fill, Step())
        assert (await hear(viewer, t="d", ch="fills"))["data"]["price"] == "180.10"


async def test_lost_rows_are_told_once_a_minute_and_not_each_time() -> None:
    with structlog.testing.capture_logs() as logs:
        async with hub_running() as url, desk(url) as journal, page(url) as viewer:
            await say(viewer, t="sub", ch=["status", "fills"])
            await hear(viewer, t="snap", ch="fills")
            for number in range(3):
                journal.describe(odd=object())
                fill = Fill(1, "s-1.1", f"e{number}", "NVDA", Side.BUY, 5, Decimal("180.10"))
                await journal.record(fill, Step())
                await hear(viewer, t="d", ch="fills")
            for number in range(3, 5000):  # more at once than the queue takes
                fill = Fill(1, "s-1.1", f"e{number}", "NVDA", Side.BUY, 5, Decimal("180.10"))
                await journal.record(fill, Step())
            await hear(viewer, t="snap", ch="fills")
    (loss,) = [entry for entry in logs if entry["event"] == "hub_lost_rows"]
    assert (loss["log_level"], loss["dropped"]) == ("warning", 0)
    assert loss["unsendable"] >= 1


async def test_a_publisher_needs_the_token() -> None:
    async with hub_running(auth_s=0.1) as url:
        for first in ('{"t":"auth","token":"wrong"}', '{"t":"live"}', "nonsense"):
            async with connect(url, subprotocols=[PUBLISHER], proxy=None) as intruder:
                await intruder.send(first)
                with pytest.raises(ConnectionClosed) as closed:
                    await intruder.recv()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 4401
        async with connect(url, subprotocols=[PUBLISHER], proxy=None) as silent:
            with pytest.raises(ConnectionClosed) as closed:
                await silent.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4408


async def test_a_browser_from_elsewhere_is_refused() -> None:
    async with hub_running() as url:
        for origin in ("http://evil.example", "http://127.0.0.1:5556", "null"):
            with pytest.raises(InvalidStatus) as refused:
                await page(url, origin=Origin(origin))
            assert refused.value.response.status_code == 403
        async with page(url, origin=Origin("http://localhost:5555")) as viewer:
            await hear(viewer, t="hello")
        for offered in ([PUBLISHER], [PUBLISHER, Subprotocol("x")]):
            with pytest.raises(InvalidStatus) as refused:
                await connect(url, subprotocols=offered, origin=Origin("http://127.0.0.1:5555"), proxy=None)
            assert refused.value.response.status_code == 403


async def test_a_page_beyond_the_limit_is_refused() -> None:
    async with hub_running(clients=1) as url, page(url) as first:
        await hear(first, t="hello")
        for offered in ([VIEWER], [PUBLISHER, VIEWER]):
            with pytest.raises(InvalidStatus) as refused:
                await connect(url, subprotocols=offered, proxy=None)
            assert refused.value.response.status_code == 503


async def test_bad_requests_are_answered_or_end_the_connection() -> None:
    async with hub_running(subscriptions=2) as url, page(url) as viewer:
        await say(viewer, t="sub", id=7, ch=["nonsense"])
        assert (await hear(viewer, t="err"))["code"] == "unknown_channel"
        await say(viewer, t="sub", id=8, ch=["orders", "fills", "signals"])
        assert (await hear(viewer, t="err", id=8))["code"] == "too_many_subscriptions"
        await say(viewer, t="ping", id=9)
        await hear(viewer, t="pong", id=9)
        await say(viewer, t="resync", ch="orders")
        assert (await hear(viewer, t="snap", ch="orders", seq=2))["data"] == []
        await say(viewer, t="sub", ch=7)
        with pytest.raises(ConnectionClosed) as closed:
            await hear(viewer, t="never")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4400


@pytest.mark.parametrize("nonsense", [b'{"t":"sub","ch":["\xff"]}', b'{"t":"sub","x":' + b"[" * 30_000, "[]"])
@pytest.mark.parametrize("protocol", [VIEWER, PUBLISHER])
async def test_nonsense_costs_its_sender_the_connection_and_nobody_else(
    nonsense: bytes | str, protocol: Subprotocol
) -> None:
    async with hub_running() as url, page(url) as other:
        async with connect(url, subprotocols=[protocol], compression=None, proxy=None) as connection:
            if protocol == PUBLISHER:
                await say(connection, t="auth", token=TOKEN)
            await connection.send(nonsense)
            with pytest.raises(ConnectionClosed) as closed:
                await hear(connection, t="never")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4400
        await say(other, t="ping", id=1)
        await hear(other, t="pong", id=1)


async def test_a_stalled_page_neither_blocks_the_others_nor_grows() -> None:
    async with hub_running(send_s=0.5, capacity=50) as url, desk(url) as journal:
        stalled = socket.socket()
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, port = url.removeprefix("ws://").split(":")
        await asyncio.get_running_loop().run_in_executor(None, stalled.connect, (host, int(port)))
        stalled.sendall(
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Protocol: robotrader.v1\r\n\r\n" + masked('{"t":"sub","ch":["denied"]}')
        )
        async with page(url) as viewer:
            await say(viewer, t="sub", ch=["denied"])
            await hear(viewer, t="snap")
            started = time.monotonic()
            for number in range(200):
                await tell(journal, Denied(number, "s-1", "NVDA", "heat", "x" * 40_000))
                assert (await hear(viewer, t="d", ch="denied"))["data"]["ts"] == number
            assert time.monotonic() - started < 10
        stalled.settimeout(5)
        assert await asyncio.to_thread(reaches_the_end, stalled)
        stalled.close()


def reaches_the_end(stalled: socket.socket) -> bool:
    """Read what the kernel still holds; True once the other side has hung up."""
    try:
        while stalled.recv(1 << 16):
            continue
    except ConnectionError:
        return True
    return True


def masked(text: str) -> bytes:
    """Return a client's text frame with a mask of zeros."""
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text.encode()


async def test_after_a_restart_of_the_hub_both_sides_resume_in_a_new_epoch() -> None:
    async with hub_running() as url:
        port = int(url.rpartition(":")[2])
        journal_context = desk(url)
        journal = await journal_context.__aenter__()
        await tell(journal, equity("100001"))
        async with page(url) as viewer:
            first = await hear(viewer, t="hello")
            await hear(viewer, t="hb", desk=True)
    async with hub_running(port) as url, page(url) as viewer:
        second = await hear(viewer, t="hello")
        await say(viewer, t="sub", ch=["account"])
        await hear(viewer, t="hb", desk=True)
        await say(viewer, t="resync", ch="account")
        rows: list[dict[str, Any]] = []
        while not rows:
            rows = (await hear(viewer, t="snap", ch="account"))["data"]
        assert rows[0]["data"]["equity"] == "100001"
        assert first["epoch"] != second["epoch"]
    await journal_context.__aexit__(None, None, None)


async def test_the_page_learns_at_once_that_the_desk_is_gone() -> None:
    async with hub_running(heartbeat_s=30) as url, page(url) as viewer:
        async with desk(url) as journal:
            await tell(journal, equity("100001"))
            await hear(viewer, t="hb", desk=True)
        gone = await hear(viewer, t="hb", desk=False)
        assert gone["desk_age_ms"] < 5000


async def test_the_last_words_of_a_desk_that_stops_arrive() -> None:
    async with hub_running() as url, page(url) as viewer:
        await say(viewer, t="sub", ch=["status"])
        async with desk(url) as journal:
            await hear(viewer, t="hb", desk=True)
            await tell(journal, Halted(1, "the account differs", "broker"))
        assert (await hear(viewer, t="d", ch="status"))["data"]["holds"][0]["by"] == "broker"


async def test_a_desk_that_starts_again_replaces_the_picture_of_the_earlier_one() -> None:
    async with hub_running() as url, page(url) as viewer:
        await say(viewer, t="sub", ch=["denied", "account"])
        async with desk(url) as journal:
            await hear(viewer, t="hb", desk=True)
            await tell(journal, Denied(1, "s-1", "NVDA", "heat", "hot"), equity("5"))
            await hear(viewer, t="d", ch="denied")
        async with desk(url) as journal:
            await tell(journal, equity("7"))
            assert (await hear(viewer, t="snap", ch="denied"))["data"] == []


def start(*argv: str, token: str | None = TOKEN) -> subprocess.Popen[str]:
    environment = {**os.environ, "ROBO_HUB_TOKEN": token or ""}
    command = [sys.executable, "-m", "robo_trader.websocket_server", *argv]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ready(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_the_process_ends_in_time_on_sigterm_and_says_when_its_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        busy = start("--port", str(port))
        _, words = busy.communicate(timeout=20)
        assert busy.returncode == 2
        assert f"127.0.0.1:{port}" in words
    impossible = start("--port", "70000")
    _, words = impossible.communicate(timeout=20)
    assert (impossible.returncode, "no such port" in words) == (2, True)
    nameless = start("--port", "0", token=None)
    _, words = nameless.communicate(timeout=20)
    assert (nameless.returncode, "ROBO_HUB_TOKEN" in words) == (2, True)
    hub = start("--port", str(port))
    assert ready(hub) == f"hub ready on ws://127.0.0.1:{port}\n"
    hub.send_signal(signal.SIGTERM)
    sent = time.monotonic()
    _, words = hub.communicate(timeout=20)
    assert (hub.returncode, words) == (0, "")
    assert time.monotonic() - sent < 3


def test_the_process_ends_when_its_parent_is_gone() -> None:
    parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    hub = start("--port", "0", "--parent-pid", str(parent.pid))
    parent.communicate(b"\n", timeout=20)
    _, words = hub.communicate(timeout=20)
    assert (hub.returncode, words) == (0, "")
