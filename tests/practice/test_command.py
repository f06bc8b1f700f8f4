"""The gateway as a process: what it prints, how it ends, and that it outlives nobody."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
from ib_async import IB, Contract, MarketOrder, Stock

PRACTICE = (sys.executable, "-m", "robo_trader.practice")


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *PRACTICE, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


async def first_line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode()


async def connected(line: str) -> tuple[IB, Contract]:
    """Connect to the gateway that printed this line, and look AAPL up."""
    ib = IB()
    await ib.connectAsync("127.0.0.1", int(line.split()[4].split(":")[1]), clientId=1, raiseSyncErrors=True)
    (share,) = await ib.qualifyContractsAsync(Stock("AAPL", "SMART", "USD"))
    assert isinstance(share, Contract)
    return ib, share


async def test_it_says_where_it_listens_serves_a_fast_market_and_ends_at_once_when_told(
    tmp_path: Path,
) -> None:
    process = await start("--port", "0", "--speed", "600", "--symbols", "aapl", "--state", str(tmp_path))
    line = await first_line(process)
    assert line.startswith("practice gateway listening on 127.0.0.1:")
    assert line.endswith(" clock 20260105 09:29:55 America/New_York speed 600 edge on\n")
    ib, share = await connected(line)
    assert await ib.reqContractDetailsAsync(Stock("MSFT", "SMART", "USD")) == []
    bars = ib.reqRealTimeBars(share, 5, "TRADES", True)
    async with asyncio.timeout(10):
        while len(bars) < 30:
            await bars.updateEvent
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    assert time.monotonic() - began < 1
    ib.disconnect()
    assert list(tmp_path.glob("DUP*.db"))


async def test_a_killed_gateway_remembers_what_it_told(tmp_path: Path) -> None:
    arguments = ("--port", "0", "--speed", "60", "--state", str(tmp_path))
    process = await start(*arguments)
    ib, share = await connected(await first_line(process))
    told = asyncio.get_running_loop().create_future()
    ib.commissionReportEvent += lambda _trade, fill, _report: told.done() or told.set_result(fill)
    ib.reqRealTimeBars(share, 5, "TRADES", True)
    ib.placeOrder(share, MarketOrder("BUY", 3, orderRef="run-1.1"))
    async with asyncio.timeout(10):
        fill = await told
    process.kill()
    await process.wait()
    ib.disconnect()
    process = await start(*arguments)
    line = await first_line(process)
    assert "clock 20260105 09:3" in line  # not 09:29:55: it goes on where it was
    ib, _ = await connected(line)
    assert [f.execution.execId for f in ib.fills()] == [fill.execution.execId]
    assert [(p.contract.symbol, p.position) for p in ib.positions()] == [("AAPL", 3)]
    ib.disconnect()
    process.terminate()
    assert await process.wait() == 0


async def test_a_taken_port_is_said_clearly() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = await start("--port", str(taken.getsockname()[1]))
        _, error = await process.communicate()
    assert process.returncode == 2
    assert b"cannot be had" in error


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--host", "0.0.0.0"), 2, b"this machine only"),
        (("--tape", "missing.csv"), 5, b"no such tape file"),
        (("--start", "2001-01-01"), 2, b"--start"),
        (("--cash", "much"), 2, b"not an amount"),
        (("--cash", "nan"), 2, b"not an amount"),
        (("--cash", "inf"), 2, b"not an amount"),
        (("--cash", "-1"), 2, b"makes no sense"),
        (("--port", "70000"), 2, b"not a port"),
        (("--speed", "nan"), 2, b"must move"),
        (("--speed", "inf"), 2, b"makes no sense"),
        (("--speed", "0"), 2, b"must move"),
    ],
)
async def test_what_cannot_be_is_refused_in_one_line(
    arguments: tuple[str, ...], code: int, words: bytes
) -> None:
    process = await start("--port", "0", *arguments)
    _, error = await process.communicate()
    assert process.returncode == code
    assert words in error
    assert b"Traceback" not in error


async def test_it_ends_when_its_parent_is_gone(tape_file: Path) -> None:
    code = (
        "import os, subprocess, sys, time\n"
        f"p = subprocess.Popen([sys.executable, '-m', 'robo_trader.practice', '--port', '0', '--tape', {str(tape_file)!r},"
        " '--parent-pid', str(os.getpid())])\n"
        "time.sleep(60)\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert "tape tape.csv" in await first_line(parent)
    parent.kill()
    assert parent.stdout is not None
    async with asyncio.timeout(5):
        assert await parent.stdout.read() == b""  # the gateway held the other end, until it ended
    await parent.wait()
