"""Attacks on the running daemon: it goes on, or ends with a reason; the books stay the broker's; every session replays."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import time
from decimal import Decimal
from pathlib import Path

import pytest
from ib_async import IB, MarketOrder, Stock

from robo_trader.bootstrap.commands import recorded_engine
from robo_trader.practice.account.books import Position
from robo_trader.practice.gateway import PracticeGateway
from robo_trader.simulation.flow import FlowOptions
from robo_trader.storage import queries
from robo_trader.storage.replay import replay
from tests.daemon.conftest import PATIENCE_S, Desk, Run, account_at

pytestmark = pytest.mark.daemon
READY = "state=ready"


async def stopped(run: Run, gateway: PracticeGateway | None = None) -> None:
    """Stop the daemon; with `gateway` the market first, for its stops trade on when it is gone."""
    if gateway is not None:
        gateway.plant("halt", **{"for": 1e8})
    run.signal(signal.SIGTERM)
    assert await run.end() == 0, run.text


def replays(desk: Desk) -> None:
    """Every session of the database gives the same steps again, however it ended."""
    with contextlib.closing(queries.connect_readonly(desk.database())) as connection:
        for (session,) in connection.execute("SELECT DISTINCT session_id FROM journal").fetchall():
            row = queries.session_row(connection, session)
            assert row is not None
            engine = recorded_engine(connection, row)
            assert replay(engine, queries.journal_rows(connection, session)) is None, session


async def books_are_the_brokers(desk: Desk, port: int) -> None:
    theirs = await account_at(port)
    # A broker tells the executions of today.
    ours = dict(desk.rows("SELECT exec_id, quantity FROM fills"))
    assert theirs.executions.items() <= ours.items()
    held = desk.rows(
        "SELECT symbol, sum(iif(side = 'BUY', quantity, -quantity)) AS q FROM fills GROUP BY symbol HAVING q != 0"
    )
    assert dict(held) == theirs.positions
    assert dict(desk.rows("SELECT symbol, quantity FROM positions WHERE quantity != 0")) == theirs.positions
    assert Decimal(desk.rows("SELECT cash FROM equity ORDER BY id DESC LIMIT 1")[0][0]) == theirs.cash
    assert desk.rows("SELECT count(*) FROM fills WHERE commission IS NULL") == [(0,)]
    replays(desk)


async def test_what_filled_while_the_daemon_was_dead_is_booked_once(desk: Desk):
    gateway, port = await desk.gateway(speed=600, flow=FlowOptions(depth=0.00001))
    run = await desk.daemon(port)
    await run.until(READY)
    while not any(order.filled and order.type != "STP" for order in gateway._orders.working()):
        await asyncio.sleep(0.001)
    run.signal(signal.SIGKILL)
    await run.end()
    before = len(gateway._orders.executed())
    entries = {order.ref for order in gateway._orders.working() if order.type != "STP"}
    while len(gateway._orders.executed()) < before + 5 and entries & {
        o.ref for o in gateway._orders.working()
    }:
        await asyncio.sleep(0.01)
    again = await desk.daemon(port)
    await again.until(" bar ")
    await stopped(again, gateway)
    assert len(gateway._orders.executed()) > before
    await books_are_the_brokers(desk, port)


def children_of(run: Run, module: str) -> list[int]:
    """Return the process ids of a daemon's children that run a module."""
    tasks = Path(f"/proc/{run.process.pid}/task")
    children = " ".join(path.read_text() for path in tasks.glob("*/children")).split()
    return [int(c) for c in children if module in Path(f"/proc/{c}/cmdline").read_bytes().decode()]


async def child_of(run: Run, module: str) -> int:
    """Wait until the child that runs a module goes by that name: for a moment it goes by its parent's."""
    async with asyncio.timeout(PATIENCE_S):
        while not (found := children_of(run, module)):
            await asyncio.sleep(0.01)
    (pid,) = found
    return pid


async def gone(pid: int, seconds: float = 5.0) -> None:
    """Wait for the end of a process; an ended one that nobody has reaped counts."""
    deadline = time.monotonic() + seconds
    stat = Path(f"/proc/{pid}/stat")
    while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline, f"process {pid} is still there after {seconds} s"
        await asyncio.sleep(0.02)


def free_port() -> int:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        return free.getsockname()[1]


async def practising(desk: Desk, *words: str, **settings: object) -> Run:
    """A daemon with a practice gateway of its own, on a free port."""
    ports = {"ibkr_port": 0, "dashboard_port": free_port(), "hub_port": free_port()}
    words = ("run", "--symbols", "AAPL,NVDA", "--practice", "always", "--speed", "1200", *words)
    return await desk.command(*words, **({"execution_algorithm": "market"} | ports | settings))


async def test_a_practice_gateway_that_dies_is_started_again_and_trading_goes_on(desk: Desk):
    run = await practising(desk, "--no-dashboard")
    await run.until("fill ")
    os.kill(await child_of(run, "robo_trader.practice"), signal.SIGKILL)
    await run.until(READY, times=2)
    fills = run.text.count("fill ")
    await run.until("fill ", times=fills + 2)
    await stopped(run)
    replays(desk)


@pytest.mark.parametrize("module", ["robo_trader.websocket_server", "robo_trader.dashboard"])
async def test_a_screen_that_dies_is_told_and_started_again_while_trading_goes_on(desk: Desk, module: str):
    run = await practising(desk)
    await run.until("ready")
    pid = await child_of(run, module)
    os.kill(pid, signal.SIGKILL)
    await run.until("screen ended")
    await run.until("fill ")
    while not (found := children_of(run, module)):
        await asyncio.sleep(0.05)
    assert found != [pid]
    await stopped(run)


async def test_no_child_outlives_a_daemon_that_is_killed(desk: Desk):
    run = await practising(desk)
    await run.until("ready")
    modules = ("robo_trader.practice", "robo_trader.websocket_server", "robo_trader.dashboard")
    children = [await child_of(run, module) for module in modules]
    run.signal(signal.SIGKILL)
    await run.end()
    for child in children:
        await gone(child)


async def test_a_trainer_ends_with_its_daemon(desk: Desk):
    for number in (signal.SIGTERM, signal.SIGKILL):
        run = await practising(desk, "--no-dashboard", "--use-ml", ml_history_days=30)
        await run.until("training")
        child = await child_of(run, "robo_trader.train_models")
        run.signal(number)
        assert await run.end() == (0 if number == signal.SIGTERM else -number)
        await gone(child)


class Wire:
    """Stands between daemon and gateway, and cuts the line at one message, said or swallowed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._cuts: list[tuple[str, bytes, bool]] = []
        self.cuts_made = 0

    def cut_at(self, side: str, kind: bytes, said: bool) -> None:
        self._cuts.append((side, kind, said))

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        back.write(await reader.readexactly(4))  # "API\0"
        pumps = [
            asyncio.create_task(self._pump("daemon", reader, back)),
            asyncio.create_task(self._pump("gateway", there, writer)),
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        writer.transport.abort()
        back.close()

    async def _pump(self, side: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readexactly(4)
                body = await reader.readexactly(int.from_bytes(head, "big"))
                kind = body.partition(b"\0")[0]
                cut = next((c for c in self._cuts if c[:2] == (side, kind)), None)
                if cut is None or cut[2]:
                    writer.write(head + body)
                if cut is not None:
                    self._cuts.remove(cut)
                    self.cuts_made += 1
                    return


ORDER, STATUS, OPEN_ORDER, EXECUTION, COMMISSION = b"3", b"3", b"5", b"11", b"59"


@pytest.mark.parametrize(
    ("side", "kind", "said"),
    [
        ("daemon", ORDER, True),
        ("daemon", ORDER, False),
        ("gateway", OPEN_ORDER, False),
        ("gateway", STATUS, False),
        ("gateway", EXECUTION, False),
        ("gateway", EXECUTION, True),
        ("gateway", COMMISSION, False),
    ],
)
async def test_a_line_cut_at_any_word_about_an_order_loses_and_doubles_nothing(
    desk: Desk, side: str, kind: bytes, said: bool
):
    gateway, port = await desk.gateway(speed=1800, flow=FlowOptions(depth=0.0005))
    wire = Wire(port)
    async with await asyncio.start_server(wire, "127.0.0.1", 0) as server:
        run = await desk.daemon(
            server.sockets[0].getsockname()[1],
            execution_algorithm="twap",
            execution_twap_duration_s=120,
            ibkr_logins_per_hour=1000,
        )
        await run.until("-1.2 ")
        for n in (1, 2, 3):
            wire.cut_at(side, kind, said)
            await run.until(READY, times=n + 1)
        await run.until(" bar ", times=run.text.count(" bar ") + 10)
        await stopped(run, gateway)
    assert wire.cuts_made == 3
    await books_are_the_brokers(desk, port)
    sent = desk.rows("SELECT count(*), count(DISTINCT id) FROM orders")
    assert sent[0][0] == sent[0][1]
    assert "anomaly" not in run.text
    assert "mismatch" not in run.text


async def drop_the_session(gateway: PracticeGateway, run: Run) -> None:
    """Cut every client off; with the new session the daemon compares its books with the broker's."""
    ready = run.text.count(READY)
    for client in list(gateway._sockets):
        client.abort()
    await run.until(READY, times=ready + 1)
    await run.until(" bar ", times=run.text.count(" bar ") + 2)


async def test_a_trade_of_another_client_is_booked_under_its_own_name_and_told(desk: Desk):
    gateway, port = await desk.gateway()
    run = await desk.daemon(port)
    await run.until(" bar ")
    ib = IB()
    await ib.connectAsync("127.0.0.1", port, clientId=55)
    (contract,) = await ib.qualifyContractsAsync(Stock("NVDA", "SMART", "USD"))
    trade = ib.placeOrder(contract, MarketOrder("BUY", 50))
    while not trade.isDone():
        await asyncio.sleep(0.01)
    ib.disconnect()
    await drop_the_session(gateway, run)
    await run.until("client-55:")
    await run.until("AAPL @")
    await stopped(run, gateway)
    await books_are_the_brokers(desk, port)
    assert desk.rows("SELECT side, quantity FROM fills WHERE order_id LIKE 'client-55:%'") == [("BUY", 50)]
    assert desk.rows("SELECT count(*) FROM orders WHERE id LIKE 'client-55:%'") == [(0,)]


async def test_a_position_nobody_traded_quarantines_its_symbol_and_the_others_trade_on(desk: Desk):
    gateway, port = await desk.gateway()
    run = await desk.daemon(port)
    await run.until(" bar ")
    gateway._orders.books.positions["NVDA"] = Position(-33)
    await drop_the_session(gateway, run)
    await run.until("mismatch")
    await run.until("gate=quarantine")
    await run.until("AAPL @", times=run.text.count("AAPL @") + 1)
    await stopped(run)
    replays(desk)


async def test_a_disk_that_is_full_stops_the_daemon_and_leaves_nothing_half_booked(desk: Desk):
    gateway, port = await desk.gateway()
    run = await desk.daemon(port)
    await run.until("fill ")
    largest = max(path.stat().st_size for path in (desk.home / "data").iterdir())
    resource.prlimit(run.process.pid, resource.RLIMIT_FSIZE, (largest + 50_000, largest + 50_000))
    assert await run.end() == 4, run.text
    assert "disk I/O error" in (desk.home / "data" / "last_exit.txt").read_text()
    again = await desk.daemon(port)
    await again.until(" bar ")
    await stopped(again, gateway)
    await books_are_the_brokers(desk, port)


async def test_a_frozen_gateway_is_noticed_left_and_found_again(desk: Desk):
    run = await practising(desk, "--no-dashboard", ibkr_heartbeat_s=0.3, ibkr_connect_timeout_s=0.5)
    await run.until("fill ")
    gateway = await child_of(run, "robo_trader.practice")
    os.kill(gateway, signal.SIGSTOP)
    await run.until("heartbeat")
    await run.until("state=waiting")
    os.kill(gateway, signal.SIGCONT)
    await run.until(READY, times=2)
    await run.until("fill ", times=run.text.count("fill ") + 1)
    os.kill(gateway, signal.SIGSTOP)
    await stopped(run)
    await gone(gateway)
    replays(desk)
