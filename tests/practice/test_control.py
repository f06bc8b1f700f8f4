"""The control socket and the commands that go through it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ib_async import IB, Contract, MarketOrder

from robo_trader.core.command_socket import MAX_GUESTS, MAX_LINE
from robo_trader.core.errors import BrokerUnreachable, ConfigurationError
from robo_trader.practice.control import ask, socket_path
from robo_trader.practice.gateway import PracticeGateway, PracticeOptions
from robo_trader.simulation.tape import TapeMarket
from tests.practice.conftest import Desk, desk_of
from tests.practice.test_faults_connection import codes_of


@pytest.fixture
def options(tmp_path: Path) -> PracticeOptions:
    return PracticeOptions(speed=0, control=tmp_path / "control")


async def command(desk: Desk, tmp_path: Path, do: str, **what: object) -> dict[str, object]:
    """Give a command as another process would."""
    return await asyncio.to_thread(ask, tmp_path / "control", desk.port, {"do": do, **what})


@pytest.fixture
async def line(
    desk: Desk, tmp_path: Path
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_unix_connection(socket_path(tmp_path / "control", desk.port))
    yield reader, writer
    writer.close()


async def test_the_socket_is_this_users_alone_and_gone_afterwards(
    options: PracticeOptions, tape: TapeMarket, tmp_path: Path
) -> None:
    async with desk_of(options, tape) as desk:
        path = socket_path(tmp_path / "control", desk.port)
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


async def test_what_an_earlier_gateway_left_behind_is_replaced(tape: TapeMarket, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = socket_path(tmp_path, port)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    async with desk_of(PracticeOptions(port=port, speed=0, control=tmp_path), tape):
        answer = await asyncio.to_thread(ask, tmp_path, port, {"do": "status"})
        assert answer["clients"] == []


async def test_a_directory_of_somebody_else_is_refused(tape: TapeMarket, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    gateway = PracticeGateway(PracticeOptions(speed=0, control=tmp_path / "link"), tape)
    with pytest.raises(ConfigurationError, match="--control"):
        await gateway.start()
    await gateway.stop()
    assert os.listdir(tmp_path / "elsewhere") == []


async def test_a_directory_that_others_can_write_to_is_refused_and_left_as_it_was(
    tape: TapeMarket, tmp_path: Path
) -> None:
    tmp_path.chmod(0o1777)
    gateway = PracticeGateway(PracticeOptions(speed=0, control=tmp_path), tape)
    with pytest.raises(ConfigurationError, match="others can write to"):
        await gateway.start()
    await gateway.stop()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777


async def test_nobody_there_is_said_with_the_place_that_was_looked_at(tmp_path: Path) -> None:
    with pytest.raises(BrokerUnreachable, match=r"port 7497 listens at .*practice-7497\.sock"):
        ask(tmp_path, 7497, {"do": "status"})


async def test_faults_are_planted_shown_and_lifted(desk: Desk, tmp_path: Path, stock: Contract) -> None:
    ib = await desk.connect()
    bars = ib.reqRealTimeBars(stock, 5, "TRADES", True)
    planted = await command(
        desk, tmp_path, "plant", name="stale", parameters={"symbol": "AAPL", "for": "600"}
    )
    assert planted == {"number": 1}
    await desk.advance(20)
    assert len(bars) == 0
    (fault,) = (await command(desk, tmp_path, "status"))["faults"]
    assert (fault["name"], fault["symbol"], fault["for"]) == ("stale", "AAPL", 600)
    assert fault["strikes"] == 3
    assert await command(desk, tmp_path, "lift", name="stale") == {"lifted": 1}
    await desk.advance(5)
    assert len(bars) == 1


async def test_status_tells_clock_clients_and_account(desk: Desk, tmp_path: Path) -> None:
    await desk.connect(4)
    await desk.advance(5)
    assert await command(desk, tmp_path, "order", side="BUY", shares=5, symbol="aapl") == {}
    await desk.advance(5)
    told = await command(desk, tmp_path, "status")
    assert told["clock"] == "20260113 09:30:05 America/New_York"
    assert (told["account"], told["clients"]) == (desk.gateway.account, [4])
    assert (told["open"], told["positions"]) == (True, {"AAPL": 5})
    assert float(str(told["cash"])) < 100_000


async def test_halts_splits_and_dividends_are_commanded(desk: Desk, tmp_path: Path, stock: Contract) -> None:
    ib = await desk.connect()
    await desk.advance(5)
    ticker = ib.reqMktData(stock)
    await command(desk, tmp_path, "halt", symbol="market")
    await desk.advance(5)
    assert ticker.bid == -1
    assert await command(desk, tmp_path, "resume", symbol="market") == {"halted": True}
    assert await command(desk, tmp_path, "resume", symbol="market") == {"halted": False}
    await desk.advance(10)
    assert ticker.bid > 0
    assert await command(desk, tmp_path, "split", symbol="AAPL", ratio="2") == {"session": "2026-01-14"}
    assert await command(desk, tmp_path, "dividend", symbol="THIN", usd="0.25") == {"session": "2026-01-14"}


async def test_a_short_sale_waits_for_shares_to_borrow_or_is_refused(
    desk: Desk, tmp_path: Path, stock: Contract
) -> None:
    ib = await desk.connect()
    await desk.advance(5)
    await command(desk, tmp_path, "borrow", symbol="aapl", shares="0")
    waits = ib.placeOrder(stock, MarketOrder("SELL", 10))
    await desk.advance(1)
    assert (waits.isDone(), waits.orderStatus.whyHeld) == (False, "locate")
    await command(desk, tmp_path, "borrow", symbol="AAPL", shares=10)
    await desk.advance(1)
    assert waits.orderStatus.status == "Filled"
    await command(desk, tmp_path, "borrow", symbol="AAPL", shares="none")
    refused = ib.placeOrder(stock, MarketOrder("SELL", 10))
    await desk.advance(1)
    assert refused.orderStatus.status == "Inactive"
    await command(desk, tmp_path, "borrow", symbol="AAPL", shares="plenty")
    served = ib.placeOrder(stock, MarketOrder("SELL", 10))
    await desk.advance(1)
    assert served.orderStatus.status == "Filled"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"do": "dance"}, "dance"),
        ({}, "do"),
        ({"do": "plant", "name": "stal"}, "did you mean 'stale'"),
        ({"do": "plant", "name": "stale", "parameters": {"symbl": "X"}}, "did you mean 'symbol'"),
        ({"do": "status", "please": 1}, "please"),
        ({"do": "split", "symbol": "AAPL", "ratio": "-1"}, "makes no sense"),
        ({"do": "split", "symbol": "AAPL", "ratio": "two"}, "ratio"),
        ({"do": "split", "symbol": "AAPL", "ratio": "NaN"}, "makes no sense"),
        ({"do": "dividend", "symbol": "AAPL", "usd": "NaN"}, "makes no sense"),
        ({"do": "plant", "name": "stale", "parameters": {"name": "spike"}}, "parameter of stale"),
        (
            {"do": "plant", "name": "position-change", "parameters": {"symbol": "AAPL", "shares": "0"}},
            "shares=0",
        ),
        ({"do": "order", "side": "HOLD", "shares": 1, "symbol": "AAPL"}, "side"),
        ({"do": "order", "side": "BUY", "shares": 0, "symbol": "AAPL"}, "cannot be ordered"),
        ({"do": "order", "side": "BUY", "shares": 1, "symbol": "GONE"}, "GONE"),
        ({"do": "halt", "symbol": ""}, "symbol"),
        ({"do": "borrow", "symbol": "AAPL", "shares": -1}, "shares"),
        ({"do": "borrow", "symbol": "AAPL", "shares": "few"}, "shares"),
    ],
)
async def test_what_makes_no_sense_is_answered_with_an_error(
    desk: Desk, tmp_path: Path, wanted: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        await asyncio.to_thread(ask, tmp_path / "control", desk.port, wanted)


async def test_garbage_is_answered_and_a_line_without_end_hung_up_on(
    desk: Desk, line: tuple[asyncio.StreamReader, asyncio.StreamWriter]
) -> None:
    reader, writer = line
    for garbage in (b"\n", b"[]\n", b"\xff\n", b'{"do": 1}\n', b"{}\n"):
        writer.write(garbage)
        assert json.loads(await reader.readline())["ok"] is False
    writer.write(b"x" * (MAX_LINE * 3))
    assert await reader.read() == b""
    ib = await desk.connect()
    assert await ib.reqCurrentTimeAsync()


async def test_guests_are_few_and_none_keeps_the_gateway_waiting(desk: Desk, tmp_path: Path) -> None:
    path = socket_path(tmp_path / "control", desk.port)
    guests = [await asyncio.open_unix_connection(path) for _ in range(MAX_GUESTS)]
    for _, writer in guests:
        writer.write(b'{"do":')  # and never the rest
    await desk.connect()
    reader, extra = await asyncio.open_unix_connection(path)
    assert await reader.read() == b""
    for writer in (extra, *(writer for _, writer in guests)):
        writer.close()


async def test_a_fault_planted_from_outside_strikes_a_client(desk: Desk, tmp_path: Path) -> None:
    ib: IB = await desk.connect()
    codes = codes_of(ib)
    await command(desk, tmp_path, "plant", name="outage-flood", parameters={"count": "1"})
    await desk.settle()
    assert codes == [1100, 1102]
